# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping through a supervisor: the command, the identity before it, and the socket table that says when it is done."""

from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._act import supervisors
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Socket, Step, Supervised, Target

ROW = Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=11)


class Eyes:
    """Rows that change with each look, and a start time."""

    def __init__(self, *looks, ticks=7):
        self.looks = list(looks)
        self.ticks = ticks

    def rows(self):
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def start_ticks(self, pid):
        assert pid == 100
        return self.ticks


@pytest.fixture
def answering(monkeypatch):
    calls = []

    def set_answer(**answer):
        def run(argv, timeout, uid=None, environment=None):
            calls.append((tuple(argv), timeout, uid, environment))
            return command.Answer(tuple(argv), **dict({"status": 0, "seconds": timeout}, **answer))

        monkeypatch.setattr(command, "run", run)
        return calls

    return set_answer


def step(grace=5.0, name="shop"):
    program = Supervised("supervisord", 50, name, 100, ("ctl", "stop", name), user=1001, environment=(("HOME", "/h"),))
    return Step(
        "supervisor", "stop_program", "web (pid 100)", ("8080/tcp",), roots=(Target(100, 7, "web"),), sockets=(ROW,),
        grace=grace, supervised=program,
    )  # fmt: skip


def stop(eyes, *steps):
    return supervisors.stop(steps or (step(),), eyes, None)


def test_a_program_is_stopped_as_the_user_of_its_supervisor(answering):
    calls = answering()
    (outcome,) = stop(Eyes((ROW,), ()))
    assert (outcome.result, outcome.acted, outcome.error) == ("done", True, None)
    assert calls == [(("ctl", "stop", "shop"), 5.0, 1001, {"HOME": "/h"})]


@pytest.mark.parametrize("eyes", [Eyes((ROW,), ticks=8), Eyes((ROW,), ticks=None), Eyes(())])
def test_another_process_or_a_port_that_was_let_go_is_not_touched(answering, eyes):
    calls = answering()
    (outcome,) = stop(eyes)
    assert (outcome.result, outcome.acted, calls) == ("gone", False, [])


def test_who_answers_at_once_is_waited_for(answering):
    answering()
    (outcome,) = stop(Eyes((ROW,), (ROW,), (ROW,), ()))
    assert outcome.result == "done"


def test_the_wait_is_bounded(answering):
    answering(stdout="shop: ERROR (not running)")
    (outcome,) = stop(Eyes((ROW,)), step(grace=0.2))
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", True, "still_held")
    assert "not running" in outcome.error.reason
    assert "grace_period" in outcome.error.remedy


def test_a_supervisor_that_fails_says_why(answering):
    answering(status=2, stderr="error: <class 'ConnectionRefusedError'>")
    (outcome,) = stop(Eyes((ROW,)))
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", True, "step_failed")
    assert "ConnectionRefusedError" in outcome.error.reason


def test_a_command_that_is_missing_has_done_nothing(answering):
    answering(status=None, not_started="ctl is not installed")
    (outcome,) = stop(Eyes((ROW,)))
    assert (outcome.result, outcome.acted) == ("failed", False)


def test_a_program_that_is_down_although_its_command_failed_is_down(answering):
    answering(status=1, stderr="something else")
    (outcome,) = stop(Eyes((ROW,), ()))
    assert (outcome.result, outcome.error) == ("done", None)


def test_after_a_failure_no_further_program_is_stopped(answering):
    calls = answering(status=1)
    outcomes = stop(Eyes((ROW,)), step(name="one"), step(name="two"))
    assert [outcome.result for outcome in outcomes] == ["failed"]
    assert len(calls) == 1
