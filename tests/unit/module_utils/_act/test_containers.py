# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping containers: engines on real Unix sockets and real commands, in every way that they can answer."""

from __future__ import annotations

import os
import threading
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._act import containers
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Socket, Step

ID, POD = "a1" * 32, "b2" * 32
STARTED = "2026-11-21T04:39:21.145516061Z"
ROW = Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=11)


class Eyes:
    """The rows that are left; nothing else is looked at."""

    def __init__(self, *rows):
        self._rows = rows

    def rows(self):
        return self._rows


def stop(container, eyes=None, sockets=(ROW,), **step):
    one = Step(
        "container", "stop_container", "the container", ("8080/tcp",), container=container, sockets=sockets,
        **dict({"grace": 5.0}, **step),
    )  # fmt: skip
    (outcome,) = containers.stop([one], eyes or Eyes(ROW), None)
    assert outcome.step is one
    return outcome


# Docker ------------------------------------------------------------------------------------------------------------


class Engine:
    """One container and what its engine does when it is asked to stop it."""

    def __init__(self, engine_at):
        self.status, self.started, self.there = "running", STARTED, True
        # tests put others in their place
        self.on_stop, self.on_update = self.ends, {"Warnings": None}
        self._server = engine_at(
            {
                "/containers/%s/json" % ID: self._state,
                "POST /containers/%s/stop" % ID: self._stop,
                "POST /containers/%s/update" % ID: lambda: self.on_update,
            }
        )

    def _state(self):
        if not self.there:
            return 404, {"message": "No such container: " + ID}
        return {"Id": ID, "State": {"Status": self.status, "StartedAt": self.started}}

    def _stop(self):
        return self.on_stop()

    def ends(self):
        self.status = "exited"
        return 204

    def container(self, **more):
        user = os.geteuid() or None
        return Container("docker", ID, "web", True, user, self._server.path, 812, STARTED, **more)

    @property
    def asked(self):
        """What it was asked for, without the looks."""
        return [one.split(" ")[-1].rpartition("/")[2] for one in self._server.questions if not one.endswith("/json")]

    def body(self, word):
        """What was sent along."""
        (data,) = [one for one in self._server.asked if one.startswith(b"POST") and word in one.split(b"\r\n")[0]]
        return data.partition(b"\r\n\r\n")[2]


@pytest.fixture
def engine(engine_at):
    return Engine(engine_at)


def test_a_container_is_stopped_by_its_engine(engine):
    outcome = stop(engine.container())
    assert (outcome.result, outcome.acted, outcome.error) == ("done", True, None)
    # no limit of ours: its own stop timeout holds
    assert engine.asked == ["stop"] and engine.status == "exited" and engine.body(b"/stop ") == b""


def test_one_that_no_socket_shows(engine):
    assert stop(engine.container(), Eyes(), sockets=()).result == "done"


@pytest.mark.parametrize(
    "change",
    [{"there": False}, {"status": "exited"}, {"status": "created"}, {"started": "2026-11-21T05:00:00Z"}],
    ids=["deleted", "ended", "created anew", "another run"],
)
def test_one_that_has_left_by_itself(engine, change):
    for name, value in change.items():
        setattr(engine, name, value)
    outcome = stop(engine.container())
    assert (outcome.result, outcome.acted, outcome.error) == ("gone", False, None)
    assert engine.asked == []


def test_one_that_has_let_the_port_go(engine):
    outcome = stop(engine.container(), Eyes(ROW._replace(inode=12)))
    assert (outcome.result, outcome.acted) == ("gone", False) and engine.asked == []


def test_one_that_its_engine_has_started_again(engine):
    """With a restart policy it is the same container in its next life: it was judged."""
    engine.started = "2026-11-21T05:00:00Z"
    assert stop(engine.container(restart="always")).result == "done"


def test_one_that_ends_before_it_is_asked(engine):
    engine.on_stop = lambda: engine.ends() and 304
    outcome = stop(engine.container())
    assert (outcome.result, outcome.acted, outcome.error) == ("gone", False, None)


def test_one_that_is_deleted_when_it_stops(engine):
    def vanishes():
        engine.there = False
        return 204

    engine.on_stop = vanishes
    outcome = stop(engine.container(removed_on_stop=True), persist=True)
    assert (outcome.result, outcome.acted, engine.asked) == ("done", True, ["stop"])


def test_one_that_ends_a_moment_after_the_answer(engine):
    def soon():
        engine.status = "removing"
        threading.Timer(0.3, engine.ends).start()
        return 204

    engine.on_stop = soon
    outcome = stop(engine.container())
    assert outcome.result == "done" and outcome.seconds >= 0.25


def test_to_last_it_loses_its_restart_policy_afterwards(engine):
    outcome = stop(engine.container(restart="always"), persist=True)
    assert (outcome.result, engine.asked) == ("done", ["stop", "update"])
    assert engine.body(b"/update ") == b'{"RestartPolicy": {"Name": "no"}}'


@pytest.mark.parametrize(("restart", "persist"), [("no", True), ("", True), ("always", False)])
def test_a_policy_that_is_left_alone(engine, restart, persist):
    stop(engine.container(restart=restart), persist=persist)
    assert engine.asked == ["stop"]


def test_a_policy_that_can_not_be_changed(engine):
    engine.on_update = (500, {"message": "no space left"})
    outcome = stop(engine.container(restart="always"), persist=True)
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", True, "step_failed")
    for words in ("was stopped", "restart policy is still always", "no space left"):
        assert words in outcome.error.reason
    path = engine.container().endpoint
    assert outcome.error.remedy == "run: docker -H unix://%s update --restart=no web" % path


def test_a_stop_that_fails_leaves_the_policy_alone(engine):
    engine.on_stop = lambda: (500, {"message": "cannot stop\x1b[2J container"})
    began = time.monotonic()
    outcome = stop(engine.container(restart="always"), persist=True)
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", True, "step_failed")
    assert outcome.error.reason == "the container was not stopped, it is running: cannot stop\\x1b[2J container"
    assert engine.asked == ["stop"] and time.monotonic() - began < 4, "a clear answer is not waited upon"


def test_an_error_that_came_with_the_end(engine):
    """The engine complains, but the container has ended: that is what was wanted."""
    engine.on_stop = lambda: engine.ends() and (500, {"message": "network not removed"})
    assert stop(engine.container()).result == "done"


def test_one_that_outlives_our_wait(engine):
    engine.on_stop = lambda: time.sleep(1.2) or 204
    began = time.monotonic()
    outcome = stop(engine.container(), grace=0.4)
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", True, "still_held")
    assert "is running after 0.4 s" in outcome.error.reason and "goes on" in outcome.error.reason
    assert "grace_period" in outcome.error.remedy and time.monotonic() - began < 5


def test_one_that_ends_while_the_engine_says_nothing(engine):
    engine.on_stop = lambda: (engine.ends() and time.sleep(1.0)) or 204
    assert stop(engine.container(), grace=0.4).result == "done"


def test_an_engine_that_hangs(engine, monkeypatch):
    monkeypatch.setattr(containers, "_LOOK", 0.3)

    engine.on_stop = lambda: time.sleep(1.5) or 204
    began = time.monotonic()
    outcome = stop(engine.container(), grace=0.3)
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", True, "step_failed")
    assert "was asked to stop, and whether it still runs can't be told" in outcome.error.reason
    assert "no answer within 0.3 s" in outcome.error.reason and "docker -H unix://" in outcome.error.remedy
    assert time.monotonic() - began < 5


def test_an_engine_that_is_gone(tmp_path):
    container = Container("docker", ID, "web", True, os.geteuid() or None, str(tmp_path / "none"), 812, STARTED)
    outcome = stop(container)
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", False, "step_failed")
    assert "was not stopped: the engine at" in outcome.error.reason and "No such file" in outcome.error.reason


def test_somebody_else_on_the_engines_socket(engine):
    outcome = stop(engine.container()._replace(user=65534))
    assert (outcome.result, outcome.acted) == ("failed", False)
    # as nobody, the socket of this test is closed to us: it is never asked as ourselves
    assert "listens there" in outcome.error.reason or "Permission denied" in outcome.error.reason
    assert engine.asked == []


def test_an_engine_that_we_may_not_ask(monkeypatch, engine):
    def refused(*unused):
        raise containers.engine_api.EngineSilent("/run/docker.sock", "Permission denied", refused=True)

    monkeypatch.setattr(containers.engine_api, "ask", refused)
    outcome = stop(engine.container())
    assert (outcome.acted, outcome.error.code) == (False, "not_permitted") and "become" in outcome.error.remedy


def test_several_are_stopped_side_by_side(engine_at):
    """Ten of them, each of which needs a while, on engines of their own."""
    fleet = [Engine(engine_at) for _number in range(10)]
    for one in fleet:
        one.on_stop = lambda one=one: time.sleep(0.4) or one.ends()
    steps = [
        Step("container", "stop_container", "c%d" % at, (), container=one.container(), grace=20.0)
        for at, one in enumerate(fleet)
    ]
    steps[3] = steps[3]._replace(container=None)
    began = time.monotonic()
    outcomes = containers.stop(steps, Eyes(), None)
    assert time.monotonic() - began < 3.0
    assert [one.step.target for one in outcomes] == ["c%d" % at for at in range(10)]
    assert [one.result for one in outcomes] == ["done"] * 3 + ["failed"] + ["done"] * 6


def test_an_engine_that_nobody_knows():
    outcome = stop(Container("cri-o", ID, asked=True), sockets=())
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", False, "step_failed")


# Podman ------------------------------------------------------------------------------------------------------------

INSPECT = '[{"Id": "%s", "State": {"Status": "%s", "StartedAt": "%s"}}]'


@pytest.fixture
def podman(podman_command, roots_path):
    """A function: a container whose command answers so; it ends when the word ``stop`` was said to it."""

    def make(said=("", 0), after="exited", status="running", started=STARTED, update=("", 0), **more):
        (plain,) = podman_command(
            {
                "container inspect *": INSPECT % (ID, status, started),
                "stop *": said,
                "pod stop *": said,
                "update *": update,
            }
        )
        ended = roots_path / "ended"
        ended.write_text(INSPECT % (ID, after, started) if after else "")
        # Once it was told to stop, it says what it says afterwards.
        path = roots_path / "podman-with-state"
        path.write_text(
            "#!/bin/sh\n"
            'case "$*" in "container inspect"*) if grep -q stop %(calls)s 2>/dev/null; then\n'
            '  echo "$*" >>%(calls)s; cat %(ended)s; test -s %(ended)s && exit; echo "Error: no such container" >&2; exit 125\n'
            "fi;; esac\nexec %(plain)s \"$@\"\n" % {"calls": roots_path / "calls", "ended": ended, "plain": plain}
        )  # fmt: skip
        path.chmod(0o755)
        user = os.geteuid() or None
        return Container("podman", ID, "web", True, user, pid=812, started=STARTED, command=(str(path),), **more)

    make.calls = lambda: [one for one in podman_command.calls() if not one.startswith("container inspect")]
    return make


def test_a_container_is_stopped_by_podman(podman):
    outcome = stop(podman())
    assert (outcome.result, outcome.acted, outcome.error) == ("done", True, None)
    assert podman.calls() == ["stop " + ID]


def test_a_pod_is_stopped_as_a_whole(podman):
    assert stop(podman(pod=POD)).result == "done"
    assert podman.calls() == ["pod stop " + POD]


def test_one_that_podman_deletes_when_it_stops(podman):
    assert stop(podman(after="", removed_on_stop=True)).result == "done"


@pytest.mark.parametrize("change", [{"status": "exited"}, {"started": "2026-11-21T05:00:00Z"}])
def test_one_of_podman_that_has_left_by_itself(podman, change):
    outcome = stop(podman(**change))
    assert (outcome.result, outcome.acted) == ("gone", False) and podman.calls() == []


def test_one_of_podman_that_was_deleted(podman_command):
    command = podman_command({"container inspect *": ("Error: no such container %s\n" % ID, 125)})
    container = Container("podman", ID, "web", True, os.geteuid() or None, started=STARTED, command=command)
    outcome = stop(container)
    assert (outcome.result, outcome.acted, outcome.error) == ("gone", False, None)


def test_a_podman_that_can_not_say(podman_command):
    command = podman_command({"container inspect *": ("Error: database is locked\n", 125)})
    container = Container("podman", ID, "web", True, os.geteuid() or None, started=STARTED, command=command)
    outcome = stop(container)
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", False, "step_failed")
    assert "was not stopped: Error: database is locked" in outcome.error.reason and "podman ps" in outcome.error.remedy


def test_a_podman_that_fails(podman):
    outcome = stop(podman(said=("Error: given PID did not die\n", 125), after="running"))
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", True, "step_failed")
    assert "it is running: Error: given PID did not die" in outcome.error.reason


def test_a_podman_that_is_ended_in_its_wait(podman, roots_path):
    container = podman(after="stopping")
    slow = roots_path / "slow"
    slow.write_text(
        '#!/bin/sh\ncase "$1" in stop) echo "$*" >>%s/calls; exec sleep 30;; esac\nexec %s "$@"\n'
        % (roots_path, container.command[0])
    )
    slow.chmod(0o755)
    began = time.monotonic()
    outcome = stop(container._replace(command=(str(slow),)), grace=0.5)
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", True, "still_held")
    assert "is stopping after 0.5 s" in outcome.error.reason and "nothing will kill" in outcome.error.reason
    assert time.monotonic() - began < 10


def test_to_last_podman_changes_the_policy(podman):
    assert stop(podman(restart="always"), persist=True).result == "done"
    assert podman.calls() == ["stop " + ID, "update --restart no " + ID]


def test_a_policy_that_podman_can_not_change(podman):
    outcome = stop(podman(restart="always", update=("Error: unknown flag: --restart\n", 125)), persist=True)
    assert (outcome.result, outcome.acted) == ("failed", True)
    assert "was stopped, but its restart policy is still always: Error: unknown flag" in outcome.error.reason
    assert outcome.error.remedy == "run: podman update --restart=no web"


def test_whose_podman_has_to_be_asked_is_said(podman, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    container = podman(said=("Error: no\n", 125), after="running")
    assert container.user == 1001 and stop(container).error.remedy == "look what hinders it: podman ps (as uid 1001)"
