# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managers that hang, fail or refuse: bounded time, a clear failure, and the state as it is found afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from labkit import hosts

from lab.harness import Host


def test_a_stop_job_longer_than_our_patience(host: Host):
    """The stop goes on without us; nothing is killed past the manager."""
    host.unit("slow.service", "lab-serve --slow 25 8080", TimeoutStopSec="60", Restart="always")
    (pid,) = host.wait_held(8080)
    done = host.free(8080, again=False, grace_period=2).done
    assert done.failed and done["reason"] in ("still_held", "step_failed"), done
    assert 2 <= done["elapsed"] < 15
    assert done.status(8080) == "held" and host.alive(pid)
    assert "slow.service" in done["msg"]
    assert host.systemctl("is-active", "slow.service", check=False) == "deactivating"


def test_the_units_own_timeout_is_waited_for(host: Host):
    host.unit("slow.service", "lab-serve --slow 4 8080", TimeoutStopSec="60", Restart="always")
    host.wait_held(8080)
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert freed.done["elapsed"] >= 4


def test_a_deaf_service_is_killed_by_its_manager(host: Host):
    host.unit("deaf.service", "lab-serve --deaf 8080", TimeoutStopSec="2", Restart="always")
    host.wait_held(8080)
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert host.stays_free(8080, 3)


def test_a_unit_that_keeps_its_port_through_its_stop(host: Host):
    """systemd gives the process up without killing it: the unit is down, the port is not free, and that is said."""
    host.unit("tough.service", "lab-serve --deaf 8080", TimeoutStopSec="1", SendSIGKILL="no")
    (pid,) = host.wait_held(8080)
    done = host.free(8080, again=False).done
    assert done.failed, done
    assert done["elapsed"] < 60
    assert done.status(8080) == "held" and host.alive(pid)
    assert str(pid) in str(done["ports"]), done


def test_a_unit_that_refuses_to_be_stopped(host: Host):
    host.unit("firm.service", "lab-serve 8080", sections="[Unit]\nRefuseManualStop=yes\n")
    pids = host.wait_held(8080)
    host.undo("sed -i /Refuse/d /etc/systemd/system/firm.service; systemctl daemon-reload; systemctl stop firm")
    done = host.free(8080, again=False).done
    assert done.failed and not done["changed"] and done["reason"] == "not_stoppable", done
    assert host.pids(8080) == pids


def test_a_stop_command_that_fails(host: Host):
    """ExecStop= fails, and systemd ends the process by itself."""
    host.unit("odd.service", "lab-serve 8080", ExecStop="/bin/false", Restart="always")
    host.wait_held(8080)
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert host.stays_free(8080, 2)


def test_a_unit_that_another_one_starts_again(host: Host):
    """A watchdog outside systemd: named, and nothing is stopped twice.

    Its start comes when the unit is down, while it stops, or just before that: only then is nothing changed.
    """
    host.unit("web.service", "lab-serve 8080")
    host.unit("watch.service", "/bin/sh -c 'while sleep 0.3; do systemctl start web; done'")
    (before,) = host.wait_held(8080)
    done = host.free(8080, again=False, settle=4).done
    assert done.failed and done["reason"] == "respawned", done
    assert done["changed"] != host.alive(before), done
    assert len(done["actions"]) == 1
    assert "web.service" in done["msg"], done["msg"]


@contextlib.contextmanager
def hanging(host: Host):
    """The host's first process does not run: every systemctl waits."""
    pid = int(hosts.docker("inspect", "--format", "{{.State.Pid}}", host.name).stdout)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_systemd_that_hangs(host: Host):
    host.unit("web.service", "lab-serve 8080", Restart="always")
    pids = host.wait_held(8080)
    host.look(8080)  # the connection is up
    with hanging(host):
        began = time.monotonic()
        done = host.free(8080, again=False).done
        took = time.monotonic() - began
    assert done.failed and not done["changed"], done
    assert done["elapsed"] < 30 and took < 90
    assert "systemd" in done["msg"] or "systemctl" in done["msg"], done["msg"]
    assert host.pids(8080) == pids and host.active("web.service")


def test_a_systemd_that_hangs_does_not_matter_to_a_report(host: Host):
    host.spawn("lab-serve 8080")
    pids = host.wait_held(8080)
    host.look(8080)
    with hanging(host):
        seen = host.look(8080)
    assert not seen.failed and seen.status(8080) == "held" and seen.pids() == pids
    assert seen["elapsed"] < 30


def test_the_module_is_told_to_end_while_a_unit_stops(host: Host):
    """Nothing is left half done: the stop goes on, and the next run finds a port that is free or about to be."""
    host.unit("slow.service", "lab-serve --slow 25 8080", TimeoutStopSec="90", Restart="always")
    host.wait_held(8080)
    host.task(port=8080, state="free", play_async=120, play_poll=0)
    state = "systemctl show -P ActiveState slow.service"
    assert host.ok("for i in $(seq 300); do [ $(%s) = deactivating ] && exit 0; sleep 0.1; done; exit 1" % state)
    host.sh("pkill -TERM -f '[A]nsiballZ_port_owner'")
    assert host.ok("for i in $(seq 50); do pgrep -f [A]nsiballZ_port_owner || exit 0; sleep 0.1; done; exit 1")
    assert host.ok("for i in $(seq 300); do ss -Hlnt sport = :8080 | grep -q . || exit 0; sleep 0.1; done; exit 1")
    assert not host.task(port=8080, state="free").failed
    assert not host.active("slow.service")
