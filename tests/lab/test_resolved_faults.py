# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Port 53 where something is in the way: it is freed, or the host is left as it was, and names resolve all the time."""

from __future__ import annotations

import pytest
from labkit import place

from lab.harness import Freed, Host

DROP_IN = "/run/systemd/resolved.conf.d/zz-harbormaster-ports.conf"
SETTINGS = "/etc/systemd/resolved.conf.d/"
STUB = "/run/systemd/resolve/stub-resolv.conf"


@pytest.fixture(autouse=True)
def tidy(host: Host):
    """What the resolver is given here does not outlive the test."""
    yield
    host.sh(
        "umount /etc/resolv.conf 2>/dev/null; rm -rf /run/systemd/resolved.conf.d /etc/systemd/system/systemd-resolved.service.d;"
        " find /etc/systemd/resolved.conf.d -type f ! -name 10-lab.conf -delete;"
        " rm -f /etc/resolv.conf /etc/resolv.conf.before-harbormaster-ports;"
        " ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf; systemctl daemon-reload;"
        " systemctl reset-failed systemd-resolved; systemctl restart systemd-resolved"
    )


def restart(host: Host) -> None:
    host.sh("systemctl reset-failed systemd-resolved; systemctl restart systemd-resolved")


def state(host: Host) -> str:
    """Everything about the resolver that a failed run must leave as it was."""
    return host.sh(
        "ss -Hltun 'sport = :53' | awk '{print $1, $5}' | sort; ls -l /etc/resolv.conf | cut -d' ' -f1,9-; cat /etc/resolv.conf;"
        " find /run/systemd/resolved.conf.d /etc/systemd/resolved.conf.d /etc/resolv.conf* 2>/dev/null | sort"
    )


def given_back(host: Host, freed: Freed, before: str, reason: str, changed: bool = True) -> str:
    """A failure that was told, after which all is as it was."""
    done = freed.done
    assert done.failed and done["reason"] == reason and done["changed"] is changed, done
    assert "put back as it was" in done["msg"], done["msg"]
    assert host.active("systemd-resolved.service") and host.resolves()
    assert state(host) == before
    assert done.status(53) == "held" and done.holder(53)["kind"] == "resolver"
    return done["msg"]


def freed_and_resolving(host: Host, freed: Freed, port: int = 53) -> dict:
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert not host.held(port) and not host.held(port, "udp")
    assert host.resolves() and host.active("systemd-resolved.service")
    (action,) = freed.done["actions"]
    return action


def prepare(host: Host, script: str) -> None:
    """Have systemd run something before the resolver starts."""
    host.write(
        "/etc/systemd/system/systemd-resolved.service.d/a.conf", "[Service]\nExecStartPre=+/bin/sh -c '%s'\n" % script
    )
    host.sh("systemctl daemon-reload")


# Freed all the same -------------------------------------------------------------------------------------------------


def test_a_start_limit_that_others_have_used_up(host: Host):
    """Our restart is the one too many, and must not be the one that takes the resolver down."""
    host.write(
        "/etc/systemd/system/systemd-resolved.service.d/a.conf",
        "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\n",
    )
    host.sh("systemctl daemon-reload; systemctl reset-failed systemd-resolved")
    host.sh("systemctl restart systemd-resolved; systemctl restart systemd-resolved")
    freed_and_resolving(host, host.free(53))
    assert "start-limit-hit" in host.sh("journalctl -u systemd-resolved -o cat --since -5min"), "the limit was met"


def test_two_of_its_ports_take_one_restart(host: Host):
    host.wait_held(5355)
    started = int(host.sh("journalctl -u systemd-resolved -o cat | grep -c ^Started"))
    freed_and_resolving(host, host.free([53, 5355]))
    assert not host.held(5355) and not host.held(5355, "udp")
    assert int(host.sh("journalctl -u systemd-resolved -o cat | grep -c ^Started")) == started + 1


def test_what_was_set_for_good_and_what_is_set_until_the_reboot_both_hold(host: Host):
    host.wait_held(5355)
    freed_and_resolving(host, host.free(5355, persist=True), 5355)
    freed_and_resolving(host, host.free(53))
    assert not host.held(5355) and not host.held(5355, "udp")
    host.reboot()
    host.wait_held(53)
    assert not host.held(5355) and host.resolves()


def test_short_names_of_a_plain_file_still_resolve(host: Host):
    name, domain = place.DNS_NAME.split(".", 1)
    host.sh("rm /etc/resolv.conf; printf 'nameserver 127.0.0.53\\nsearch %s\\n' >/etc/resolv.conf" % domain)
    restart(host)
    assert host.ok("getent hosts " + name)
    freed = host.free(53)
    freed_and_resolving(host, freed)
    assert host.ok("getent hosts " + name), host.sh("cat /etc/resolv.conf " + DROP_IN)
    kept = "nameserver 127.0.0.53\nsearch " + domain
    assert host.sh("cat /etc/resolv.conf.before-harbormaster-ports") == kept
    host.sh(freed.done["actions"][0]["undo"])
    assert host.sh("cat /etc/resolv.conf") == kept and host.ok("getent hosts " + name), "the undo is one"


def test_a_plain_file_that_names_an_extra_listener(host: Host):
    host.write(SETTINGS + "50-extra.conf", "[Resolve]\nDNSStubListenerExtra=127.0.0.1\n")
    host.sh("rm /etc/resolv.conf; echo nameserver 127.0.0.1 >/etc/resolv.conf")
    restart(host)
    assert host.resolves()
    freed_and_resolving(host, host.free(53))


# Given back ---------------------------------------------------------------------------------------------------------


def test_a_setting_that_is_read_later_still(host: Host):
    host.write(SETTINGS + "zzz-ours.conf", "[Resolve]\nDNSStubListener=yes\n")
    restart(host)
    before = state(host)
    text = given_back(host, host.free(53, again=False), before, "still_held")
    assert "cat-config" in text


def test_a_file_that_is_mounted_over_resolv_conf(host: Host):
    """As engines do it. It names nobody but the stub, and can't become a link."""
    host.sh("rm /etc/resolv.conf; cp %s /etc/resolv.conf; cp %s /root/resolv" % (STUB, STUB))
    host.undo("rm /root/resolv")
    host.sh("mount --bind /root/resolv /etc/resolv.conf")
    restart(host)
    before, pids = state(host), host.pids(53)
    given_back(host, host.free(53, again=False), before, "step_failed", changed=False)
    assert host.pids(53) == pids, "not even restarted"


def test_a_resolver_that_does_not_start_with_the_new_setting(host: Host):
    prepare(host, "! test -e " + DROP_IN)
    before = state(host)
    text = given_back(host, host.free(53, again=False), before, "step_failed")
    assert "journalctl" in text


def test_a_restart_that_hangs(host: Host):
    prepare(host, "test ! -e %s || sleep 120" % DROP_IN)
    before = state(host)
    freed = host.free(53, again=False, grace_period=1)
    given_back(host, freed, before, "step_failed")
    assert freed.done["elapsed"] < 30


def test_a_server_that_is_lost_with_the_restart(host: Host):
    """As when a network manager does not tell it again: without the stub nobody would know where to ask."""
    prepare(
        host,
        "test ! -e {0} || sed -i s/^DNS=.*/DNS=/ {1}; test -e {0} || cp /root/lab.conf {1}".format(
            DROP_IN, SETTINGS + "10-lab.conf"
        ),
    )
    host.sh("cp %s10-lab.conf /root/lab.conf" % SETTINGS)
    host.undo("rm /root/lab.conf")
    before = state(host)
    given_back(host, host.free(53, again=False), before, "step_failed")


def test_without_become_it_is_refused_and_said(host: Host):
    before = state(host)
    done = host.free(53, again=False, play_remote_user="ops").done
    assert done.failed and not done["changed"], done
    assert "become" in done["msg"], done["msg"]
    assert state(host) == before and host.resolves()
