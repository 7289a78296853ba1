# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines at their odd moments: containers between two lives, engines that go in the middle."""

from __future__ import annotations

import time

from lab.harness import Host

# Does it to the engine as soon as that has told a container to end, and waits for it to do so.
WHEN_TOLD = "bash -c 'read -r word < <(timeout 60 docker events --filter event=kill --format x); kill -%s %d'"
DEAF = "sh -c 'trap \"\" TERM; httpd -f -p 80'"


def test_a_container_that_waits_to_be_started_again(host: Host):
    """Between two crashes nobody holds its port, and it will take it back: it is stopped as well."""
    host.container("crash", "8080:80", "--restart", "always", command="sh -c 'exit 1'")
    # The engine waits twice as long after each crash.
    for _attempt in range(100):
        if host.docker("inspect", "--format", "{{.State.Status}}", "crash") == "restarting" and not host.held(8080):
            seen = host.look(8080)
            if not host.held(8080):
                break
        time.sleep(0.2)
    assert seen.status(8080) == "held" and "crash" in seen["msg"], seen
    done = host.task(port=8080, state="free")
    assert done["changed"] and not done.failed and done["free"], done
    assert done.holder(8080)["container"]["name"] == "crash"
    assert host.docker("inspect", "--format", "{{.State.Status}}", "crash") == "exited"
    assert host.stays_free(8080, 5)


def test_a_paused_container(host: Host):
    host.container("still", "8080:80", "--stop-timeout", "1")
    host.docker("pause", "still")
    done = host.free(8080, again=False).done
    assert done["changed"] and not done.failed and done["free"], done
    assert not host.running("still") and not host.held(8080)


def test_an_engine_that_hangs_in_the_middle_of_a_stop(host: Host):
    """Bounded; and it is said that the stop was asked for, and that its end can't be seen."""
    host.container("deaf", "8080:80", "--stop-timeout", "40", command=DEAF)
    engine = host.main_pid("docker.service")
    host.undo("kill -CONT %d" % engine)
    host.spawn(WHEN_TOLD % ("STOP", engine))
    time.sleep(2)
    done = host.task(port=8080, state="free", grace_period=4)
    host.sh("kill -CONT %d" % engine)
    assert done.failed and done["changed"] and done["reason"] == "step_failed", done
    assert "deaf" in done["msg"] and "was asked to stop" in done["msg"] and "can't be told" in done["msg"], done
    assert done["elapsed"] < 40 and done.status(8080) == "held"


def test_an_engine_that_goes_in_the_middle_of_a_stop(host: Host):
    host.spoil()
    host.container("deaf", "8080:80", "--stop-timeout", "40", command=DEAF)
    host.sh("systemctl mask --runtime docker.service docker.socket")
    engine = host.main_pid("docker.service")
    host.spawn(WHEN_TOLD % ("KILL", engine))
    time.sleep(2)
    done = host.task(port=8080, state="free", grace_period=10)
    assert done.failed and done["changed"] and done["reason"] == "step_failed", done
    assert "was asked to stop" in done["msg"] and "docker" in done["msg"], done
    assert done["elapsed"] < 30


def test_our_patience_is_shorter_than_podmans(host: Host):
    """podman itself waits and kills: when it is ended in its wait, that is said, and another run goes on."""
    host.podman_image()
    host.container("deaf", "8080:80", "--stop-timeout", "5", engine="podman", command=DEAF)
    host.wait_held(8080)
    done = host.free(8080, again=False, grace_period=2).done
    assert done.failed and done["changed"] and done["reason"] == "still_held", done
    assert "nothing will kill the container" in done["msg"] and done["elapsed"] < 20, done
    assert done.status(8080) == "held" and host.held(8080)
    done = host.task(port=8080, state="free")
    assert done["changed"] and not done.failed and not host.held(8080), done
