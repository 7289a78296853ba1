# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first process says of a unit decides who is an agent and what the network rests on, and not what a process says."""

from __future__ import annotations

from lab.harness import Host

# A main process that has started a server, and something else in its place.
STRAY = "lab-serve 8080 & exec sleep 600"


def action(host: Host, **options) -> dict:
    freed = host.free(8080, **options)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    (found,) = freed.done["actions"]
    assert not host.held(8080)
    return found


def test_what_an_agent_has_started_is_stopped_and_the_agent_stays(host: Host):
    host.unit("bamboo-agent.service", command="/bin/sh -c '%s'" % STRAY, User="nobody")
    host.wait_held(8080)
    agent = host.main_pid("bamboo-agent.service")
    assert action(host)["action"] == "signal"
    assert host.main_pid("bamboo-agent.service") == agent


def test_an_agent_is_known_by_what_its_unit_starts(host: Host):
    host.write("/usr/local/sbin/buildkite-agent", "#!/bin/sh\n%s\n" % STRAY, mode="755")
    host.unit("builds.service", command="/usr/local/sbin/buildkite-agent start", User="nobody")
    host.wait_held(8080)
    agent = host.main_pid("builds.service")
    assert action(host)["action"] == "signal"
    assert host.main_pid("builds.service") == agent


def test_a_service_does_not_keep_its_unit_by_a_name(host: Host):
    command = "/bin/sh -c 'printf cron >/proc/self/comm; lab-serve 8080 & wait'"
    host.unit("app.service", command=command, User="nobody", Restart="always")
    host.wait_held(8080)
    assert host.sh("cat /proc/%d/comm" % host.main_pid("app.service")).strip() == "cron"
    assert action(host)["action"] == "stop_unit"
    assert not host.active("app.service")


def test_what_the_network_rests_on_says_what_to_do_instead(host: Host):
    """By its unit, whatever account and program run in it; unprotect takes it off the list."""
    host.unit("tailscaled.service", command="lab-serve 8080", User="nobody")
    host.wait_held(8080)
    for options in ({}, {"method": "service"}):
        refused = host.free(8080, again=False, **options).done
        assert refused.failed and not refused["changed"] and refused["reason"] == "protected_process", refused
        assert "/etc/default/tailscaled" in refused["msg"], refused
    assert host.active("tailscaled.service")
    assert action(host, unprotect=["tailscaled"])["action"] == "stop_unit"
