# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a unit is the manager of: its main process and what that started, not everything that lies in its control group."""

from __future__ import annotations

import pytest
from labkit import place

from lab.harness import Freed, Host

BEHIND = "/bin/sh -c 'setsid lab-serve 8080 >/dev/null 2>&1 </dev/null &'"


def action_of(freed: Freed, name: str) -> dict:
    assert freed.done["changed"] and not freed.done.failed and freed.done["free"], freed.done
    (action,) = freed.done["actions"]
    assert action["action"] == name and action["result"] == "done", action
    return action


@pytest.mark.parametrize("mode", ["control-group", "process"])
def test_what_a_unit_has_left_behind_is_a_process(host: Host, mode: str):
    """Such are ifupdown's networking.service with its DHCP client, and the last unit of cloud-init."""
    host.unit("interfaces.service", BEHIND, Type="oneshot", RemainAfterExit="yes", KillMode=mode)
    (pid,) = host.wait_held(8080)
    assert "interfaces.service" in host.sh("cat /proc/%d/cgroup" % pid)
    action_of(host.free(8080), "signal")
    assert host.active("interfaces.service") and not host.alive(pid)


def test_a_script_of_the_hosts_start_manages_nothing(host: Host):
    host.unit("boot.service", BEHIND, Type="forking", RemainAfterExit="yes", GuessMainPID="no", TimeoutSec="0")
    host.wait_held(8080)
    assert host.sh("systemctl show -P SubState -P MainPID boot.service").split() == ["0", "running"]
    action_of(host.free(8080), "signal")
    assert host.active("boot.service")


def test_what_daemons_leave_to_the_first_process_is_no_main_process(host: Host):
    """The main process lives; a helper that it has sent away is neither it nor its child."""
    host.unit("agent.service", "/bin/sh -c 'setsid --fork lab-serve 8080; exec sleep 900'")
    host.wait_held(8080)
    action_of(host.free(8080), "signal")
    assert host.active("agent.service")


def test_daemons_of_which_systemd_knows_no_main_process(host: Host):
    two = "/bin/sh -c 'for p in 8080 8081; do setsid lab-serve $p >/dev/null 2>&1 </dev/null & done; sleep 1'"
    host.unit("legacy.service", two, Type="forking")
    host.wait_held(8081)
    assert host.sh("systemctl show -P SubState -P MainPID legacy.service").split() == ["0", "running"]
    action = action_of(host.free(8080), "stop_unit")
    assert action["also_frees"] == ["8081/tcp"] and not host.active("legacy.service")


@pytest.mark.parametrize("stop", ["kill $(cat /run/legacy.pid)", "true"], ids=["stops", "forgets"])
def test_a_script_of_sysv(host: Host, stop: str):
    """Its own stop ends the daemon; systemd does not (KillMode=process), and so whoever is left is signalled."""
    host.undo("systemctl stop legacy; rm -f /etc/init.d/legacy; systemctl daemon-reload")
    host.write(
        "/etc/init.d/legacy",
        "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: legacy\n# Required-Start:\n# Required-Stop:\n# Default-Start: 2 3 4 5\n"
        "# Default-Stop: 0 1 6\n# Short-Description: a daemon\n### END INIT INFO\n"
        "case $1 in start) setsid lab-serve 8080 >/dev/null 2>&1 </dev/null & echo $! >/run/legacy.pid;; stop) %s;; esac\n"
        % stop,
        mode="755",
    )
    host.sh("systemctl daemon-reload; systemctl start legacy")
    (pid,) = host.wait_held(8080)
    freed = host.free(8080)
    action_of(freed, "stop_unit")
    assert not host.active("legacy.service") and not host.alive(pid)
    assert any("KillMode" in warning for warning in freed.predicted["warnings"]), freed.predicted


@pytest.mark.parametrize("mode", ["process", "none"])
def test_who_outlives_its_unit_is_signalled_then(host: Host, mode: str):
    host.unit("web.service", "/bin/sh -c 'lab-serve 8080 & wait'", KillMode=mode, TimeoutStopSec="1s", Restart="always")
    (pid,) = host.wait_held(8080)
    freed = host.free(8080)
    action_of(freed, "stop_unit")
    assert not host.active("web.service") and not host.alive(pid) and host.stays_free(8080, 2)
    host.sh("systemctl kill --kill-whom=all web.service", check=False)


def test_who_outlives_its_unit_and_is_deaf_is_killed_where_force_allows(host: Host):
    host.unit("web.service", "/bin/sh -c 'lab-serve --deaf 8080 & wait'", KillMode="process")
    (pid,) = host.wait_held(8080)
    refused = host.free(8080, again=False, grace_period=2, force=False).done
    assert refused.failed and refused["changed"] and refused["reason"] == "still_held", refused
    assert host.alive(pid) and not host.active("web.service")
    host.sh("kill -9 %d" % pid)
    host.systemctl("start", "web.service")
    (pid,) = host.wait_held(8080)
    action_of(host.free(8080, grace_period=2), "stop_unit")
    assert not host.alive(pid)


def test_a_unit_is_known_by_its_other_names(host: Host):
    """redis.service is another name of Debian's redis-server.service."""
    host.unit(
        "cache-server.service",
        "lab-serve 8080",
        start=False,
        sections="[Install]\nAlias=cache.service\n",
        Restart="always",
    )
    host.sh("systemctl enable cache-server.service; systemctl start cache-server.service")
    host.undo("systemctl disable cache-server.service")
    pids = host.wait_held(8080)
    kept = host.free(8080, keep=["cache"]).done
    assert not kept["changed"] and not kept.failed and kept.holder(8080)["outcome"] == "kept", kept
    guarded = host.free(8080, protect=["cache"], again=False).done
    assert guarded.failed and guarded["reason"] == "protected_process", guarded
    assert not host.look(8080, owner=["cache.service"]).failed and host.pids(8080) == pids
    action_of(host.free(8080, stop_only=["cache"]), "stop_unit")


def test_a_program_with_a_title_of_its_own_is_known_by_its_name(host: Host):
    host.write(
        "/opt/lab/titled.py",
        "import ctypes, socket, time\nctypes.CDLL(None).prctl(15, b'gunicorn: master', 0, 0, 0)\n"
        "s = socket.socket(); s.setsockopt(1, 2, 1); s.bind(('0.0.0.0', 8080)); s.listen(5); time.sleep(900)\n",
    )
    host.spawn("/usr/bin/python3 /opt/lab/titled.py")
    pids = host.wait_held(8080)
    for name in ("gunicorn", "titled.py", "titled"):
        kept = host.free(8080, keep=[name]).done
        assert not kept["changed"] and not kept.failed, kept
        assert not host.look(8080, owner=[name]).failed
    assert host.free(8080, keep=["master"], stop_only=["app"], again=False).done.failed and host.pids(8080) == pids
    action_of(host.free(8080, stop_only=["gunicorn"]), "signal")


def test_each_shape_of_a_sockets_address_is_traced_to_its_unit(host: Host):
    host.sh("ip -6 addr add fe80::aa/64 dev eth0 nodad; ip -6 addr add ::1/128 dev lo; true", check=False)
    places = {
        "plain": ("ListenStream", "127.0.0.1:25410", "25410/tcp"),
        "zone": ("ListenStream", "[fe80::aa]:25411%%eth0", "25411/tcp"),
        "mapped": ("ListenStream", "[::ffff:127.0.0.1]:25412", "25412/tcp"),
        "six": ("ListenStream", "[::]:25413", "25413/tcp"),
        "any": ("ListenStream", "25414", "25414/tcp"),
        "loop": ("ListenDatagram", "[::1]:25415", "25415/udp"),
    }
    for name, (kind, where, _port) in places.items():
        host.unit(name + ".service", "lab-serve --activated", start=False)
        more = {"BindIPv6Only": "ipv6-only"} if name == "six" else {}
        host.unit(name + ".socket", **{kind: where}, **more)
    for name, (_kind, _where, port) in places.items():
        freed = host.free(port)
        action_of(freed, "stop_unit")
        number, _slash, protocol = port.partition("/")
        assert freed.done.holder(int(number), protocol)["name"] == name + ".socket", freed.done
        assert not host.active(name + ".socket"), name


def test_a_program_that_calls_itself_like_the_resolver(host: Host):
    host.sh("mkdir -p /opt/lab; cp $(command -v lab-serve) /opt/lab/systemd-resolve")
    host.undo("rm -f /opt/lab/systemd-resolve")
    host.unit("app.service", "/opt/lab/systemd-resolve --address 127.0.0.9 53 --udp 53", User="nobody",
              AmbientCapabilities="CAP_NET_BIND_SERVICE")  # fmt: skip
    host.sh("for i in $(seq 50); do ss -Hlnt src 127.0.0.9:53 | grep -q . && break; sleep 0.1; done")
    freed = host.free(53, address="127.0.0.9")
    action = action_of(freed, "stop_unit")
    assert "app.service" in action["target"] and not host.active("app.service")
    assert not host.ok("test -e /run/systemd/resolved.conf.d") and host.held(53) and host.resolves()


def test_the_resolver_and_its_only_upstream_are_not_freed_together(host: Host):
    conf = "/etc/systemd/resolved.conf.d/10-lab.conf"
    host.undo(
        "printf '[Resolve]\\nDNS=%s\\n' >%s; systemctl reset-failed systemd-resolved; systemctl restart systemd-resolved"
        % (place.GATEWAY, conf)
    )
    command = (
        "/usr/sbin/dnsmasq --keep-in-foreground --no-resolv --no-hosts --bind-interfaces --listen-address=127.0.0.1"
    )
    host.unit("dnsmasq.service", command + " --except-interface=none --server=%s" % place.GATEWAY, Restart="always")
    host.sh("for i in $(seq 50); do ss -Hlnt src 127.0.0.1:53 | grep -q . && break; sleep 0.1; done")
    host.sh("printf '[Resolve]\\nDNS=127.0.0.1\\n' >%s; systemctl restart systemd-resolved" % conf)
    assert host.resolves()
    done = host.free(53, again=False).done
    assert done.failed and not done["changed"] and done["reason"] == "would_break_dns", done
    assert "127.0.0.1" in done["msg"] and host.resolves()
    freed = host.free(53, address="127.0.0.1")
    action_of(freed, "stop_unit")
    assert any("alone" in warning for warning in freed.predicted["warnings"]), freed.predicted
