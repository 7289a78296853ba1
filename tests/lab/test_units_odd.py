# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units as they are rarely thought of: odd names, other names, sockets side by side, and those that can't be stopped."""

from __future__ import annotations

from lab.harness import Freed, Host


def stopped(freed: Freed) -> dict:
    assert freed.done["changed"] and not freed.done.failed, freed.done
    (action,) = freed.done["actions"]
    assert action["action"] == "stop_unit" and action["result"] == "done", action
    return action


def test_a_name_with_an_escaped_letter(host: Host):
    """systemctl writes such names in quotes with a second backslash, but only in lists."""
    host.undo(
        "systemctl stop 'my\\x2dapp.socket' 'my\\x2dapp.service'; rm -f '/etc/systemd/system/my\\x2dapp.socket'"
        " '/etc/systemd/system/my\\x2dapp.service'; systemctl daemon-reload; systemctl reset-failed"
    )
    host.write("/etc/systemd/system/my\\x2dapp.service", "[Service]\nExecStart=lab-serve --activated\nRestart=always\n")
    host.write("/etc/systemd/system/my\\x2dapp.socket", "[Socket]\nListenStream=8080\n")
    host.sh("systemctl daemon-reload; systemctl start 'my\\x2dapp.socket' 'my\\x2dapp.service'")
    action = stopped(host.free(8080))
    assert "my\\x2dapp.socket" in action["also_stops"], action
    assert not host.active("my\\x2dapp.socket") and not host.active("my\\x2dapp.service")
    assert host.stays_free(8080, 3)


def test_instances_that_systemd_has_forgotten_to_tie_to_their_socket(host: Host):
    """After it has read its files again, a socket with Accept=yes does not name its instances any more."""
    host.unit("each@.service", exec="lab-serve --inetd", start=False, StandardInput="socket")
    host.unit("each.socket", ListenStream="8080", Accept="yes")
    host.sh("setsid --fork sh -c 'exec sleep 60 | busybox nc 127.0.0.1 8080' >/dev/null 2>&1; sleep 0.5")
    host.sh("systemctl daemon-reload")
    assert host.sh("systemctl show -P Triggers each.socket") == ""
    assert host.ok("systemctl list-units --plain --no-legend 'each@*.service' | grep -q running")
    stopped(host.free(8080))
    assert not host.active("each.socket")
    assert not host.ok("systemctl list-units --plain --no-legend 'each@*.service' | grep -q running")
    host.sh("pkill -x sleep", check=False)


def test_started_by_its_other_name(host: Host):
    host.unit(
        "real.service",
        exec="lab-serve 8080",
        start=False,
        Restart="always",
        sections="[Install]\nAlias=other.service\n",
    )
    host.sh("systemctl enable real.service; systemctl start other.service")
    host.wait_held(8080)
    looked = host.look(8080, owner=["real"])
    assert not looked.failed and looked.holder(8080)["name"] == "real.service", looked
    stopped(host.free(8080, stop_only=["real.service"]))
    assert not host.active("other.service")


def test_a_unit_that_must_not_be_stopped_by_hand(host: Host):
    host.unit("rock.service", exec="lab-serve 8080", sections="[Unit]\nRefuseManualStop=yes\n")
    pids = host.wait_held(8080)
    host.undo("rm -f /etc/systemd/system/rock.service; systemctl daemon-reload; systemctl stop rock.service")
    done = host.free(8080, again=False).done
    assert done.failed and not done["changed"] and done["reason"] == "not_stoppable", done
    assert host.pids(8080) == pids


def test_one_of_two_sockets_on_one_port(host: Host):
    """Each family has a unit of its own; an address chooses."""
    for name, place in (("four", "0.0.0.0:8080"), ("six", "[::]:8080")):
        host.unit(name + ".service", exec="lab-serve --activated", start=False)
        host.unit(name + ".socket", ListenStream=place, BindIPv6Only="ipv6-only")
    assert host.sh("ss -Hlnt sport = :8080 | wc -l") == "2"
    stopped(host.free(8080, address="127.0.0.1"))
    assert not host.active("four.socket") and host.active("six.socket")
