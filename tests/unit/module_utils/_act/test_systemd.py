# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping units: one call, the identity before it, the state after it. systemd is played here; the lab has a real one."""

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._act import systemd
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Socket, Step, Unit, UnitTarget

ROW = Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=11)


class Played:
    """A service manager with units that stop as a test wants, and the eyes that see their socket."""

    def __init__(self):
        # name: [ActiveState, SubState, MainPID, InvocationID]
        self.units = {"web.service": ["active", "running", 100, "aa"], "web.socket": ["active", "running", 0, "bb"]}
        self.calls = []
        self.ends_as = ["inactive", "dead", 0, ""]
        self.stop_answer = {}
        self.answers = {}
        self.missing = False
        self.ends_of = {}
        self.times = {}

    def run(self, argv, timeout, uid=None, environment=None):
        words = [word for word in argv[1:] if word not in ("--no-ask-password", "--no-pager", "--quiet", "--")]
        assert ("--user" in words) == (uid is not None)
        words = [word for word in words if word != "--user"]
        answer = command.Answer(tuple(argv), 0, seconds=timeout)
        if self.missing:
            return answer._replace(status=None, not_started="systemctl is not installed")
        if words[0] == "show":
            blocks = []
            for name in words[3:]:
                state = self.units.get(name, ["inactive", "dead", 0, ""])
                block = "Id=%s\nActiveState=%s\nSubState=%s\nMainPID=%d\nInvocationID=%s" % (name, *state)
                blocks.append(block + "".join("\n%s=%d" % one for one in self.times.get(name, {}).items()))
            return answer._replace(stdout="\n\n".join(blocks) + "\n")
        assert "--no-ask-password" in argv, "nobody is there to be asked"
        self.calls.append((uid, timeout, *words))
        if words[0] == "stop":
            for name in words[1:]:
                ends = self.ends_of.get(name, self.ends_as)
                ends = ends() if callable(ends) else ends
                if ends is None:
                    del self.units[name]
                else:
                    self.units[name] = list(ends)
            return answer._replace(**self.stop_answer)
        return answer._replace(**self.answers.get(words[0], {}))

    def rows(self):
        return (ROW,)


@pytest.fixture
def played(monkeypatch):
    manager = Played()
    monkeypatch.setattr(command, "run", manager.run)
    return manager


def step(user=None, **fields):
    units = (UnitTarget(Unit("web.service", user), 100, "aa"), UnitTarget(Unit("web.socket", user), 0, "bb"))
    return Step(
        "systemd", "stop_unit", "web.service (pid 100)", ("8080/tcp",), sockets=(ROW,), units=units, grace=7.0
    )._replace(**fields)


def stop(played, *steps):
    return systemd.stop(steps or (step(),), played, None)


@pytest.mark.parametrize("user", [None, 1001])
def test_a_service_and_its_socket_are_stopped_in_one_call(played, user):
    (outcome,) = stop(played, step(user))
    assert (outcome.result, outcome.acted, outcome.error) == ("done", True, None)
    # The socket first: systemctl hands them over one by one, and it would start a service that is down already.
    assert played.calls == [(user, 7.0, "stop", "web.socket", "web.service")]


@pytest.mark.parametrize(
    "ends_as, answer",
    [
        # The program ended with an error when it was asked to end.
        (["failed", "failed", 0, ""], {}),
        (["failed", "failed", 0, ""], {"status": 1, "stderr": "Job for web.service failed."}),
        # A transient unit is forgotten: systemd says of it what it says of every name that it does not know.
        (None, {"status": 5}),
    ],
)
def test_what_is_down_is_stopped_whatever_systemctl_says(played, ends_as, answer):
    played.ends_as, played.stop_answer = ends_as, answer
    (outcome,) = stop(played)
    assert (outcome.result, outcome.acted, outcome.error) == ("done", True, None)


@pytest.mark.parametrize(
    "now",
    [
        ["active", "running", 101, "aa"],
        ["active", "running", 100, "cc"],
        ["inactive", "dead", 0, ""],
    ],
)
def test_another_run_of_the_unit_is_not_stopped(played, now):
    played.units["web.service"] = now
    (outcome,) = stop(played)
    assert (outcome.result, outcome.acted, outcome.error, played.calls) == ("gone", False, None, [])


def test_a_unit_that_let_the_port_go_is_not_stopped(played):
    (outcome,) = stop(played, step(sockets=(ROW._replace(inode=12),)))
    assert (outcome.result, outcome.acted, played.calls) == ("gone", False, [])


def test_a_unit_that_waits_for_its_next_start_has_no_socket_to_check(played):
    played.units["web.service"] = ["activating", "auto-restart", 0, "aa"]
    waiting = (UnitTarget(Unit("web.service"), 0, "aa"),)
    (outcome,) = stop(played, step(sockets=(), units=waiting))
    assert outcome.result == "done"


def test_no_unit_is_nothing_to_do(played):
    assert stop(played, step(units=()))[0].result == "gone" and played.calls == []


def test_a_stop_that_takes_too_long_goes_on_and_that_is_said(played):
    played.ends_as = ["deactivating", "stop-sigterm", 100, "aa"]
    played.stop_answer = {"timed_out": True, "status": -9}
    (outcome,) = stop(played, step(grace=0.05))
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", True, "still_held")
    assert (
        "within 0.05 s" in outcome.error.reason and "web.service is deactivating (stop-sigterm)" in outcome.error.reason
    )
    assert "systemctl list-jobs" in outcome.error.remedy and "grace_period" in outcome.error.remedy
    (outcome,) = stop(played, step(1001, grace=0.05, units=(UnitTarget(Unit("web.service", 1001), 100, "aa"),)))
    assert "systemctl --user -M 1001@ list-jobs" in outcome.error.remedy


def test_a_stop_that_is_over_after_all_when_the_wait_is(played):
    played.stop_answer = {"timed_out": True, "status": -9}
    assert stop(played)[0].result == "done"


def test_a_manager_that_refuses_is_quoted(played):
    played.ends_as = ["active", "running", 100, "aa"]
    played.units["web.socket"] = ["active", "running", 100, "aa"]
    same = (UnitTarget(Unit("web.service"), 100, "aa"),)
    played.stop_answer = {
        "status": 1,
        "stderr": "Failed to stop web.service: Operation refused, unit may be requested by dependency only.\n",
    }
    (outcome,) = stop(played, step(units=same))
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", False, "step_failed")
    assert (
        "requested by dependency only" in outcome.error.reason
        and "web.service is active (running)" in outcome.error.reason
    )
    assert "systemctl status web.service" in outcome.error.remedy


@pytest.mark.parametrize("uid, code", [(1000, "not_permitted"), (0, "step_failed")])
def test_without_the_right_it_says_what_helps(played, monkeypatch, uid, code):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    played.ends_as = ["active", "running", 100, "aa"]
    played.stop_answer = {"status": 4, "stderr": "Failed to stop web.service: Interactive authentication required."}
    (outcome,) = stop(played, step(units=(UnitTarget(Unit("web.service"), 100, "aa"),)))
    assert outcome.error.code == code and not outcome.acted
    assert ("become: true" in outcome.error.remedy) == (code == "not_permitted")


def test_persist_disables_and_masks_what_was_stopped(played):
    (outcome,) = stop(played, step(disable=("web.service",), mask=("web.socket",), persist=True))
    assert outcome.result == "done"
    assert [call[2:] for call in played.calls] == [
        ("stop", "web.socket", "web.service"),
        ("disable", "web.service"),
        ("mask", "web.socket"),
    ]


def test_what_could_not_be_disabled_is_said(played):
    played.answers["disable"] = {"status": 1, "stderr": "Failed to disable unit: Read-only file system"}
    (outcome,) = stop(played, step(disable=("web.service",), mask=("web.socket",), persist=True))
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", True, "step_failed")
    assert (
        "is stopped, but systemctl disable web.service failed: Failed to disable unit: Read-only"
        in outcome.error.reason
    )
    assert all(call[2] != "mask" for call in played.calls)


def test_what_is_not_down_is_not_disabled(played):
    played.ends_as = ["active", "running", 200, "cc"]
    (outcome,) = stop(played, step(disable=("web.service",)))
    assert (outcome.result, outcome.acted) == ("failed", True), "it was stopped, and started again by somebody"
    assert [call[2] for call in played.calls] == ["stop"]


def test_without_systemctl_nothing_is_done(played):
    played.missing = True
    (outcome,) = stop(played)
    assert (outcome.result, outcome.acted) == ("gone", False)


def of(name, user=None, pid=100, **fields):
    return step(target=name, units=(UnitTarget(Unit(name, user), pid, "aa"),), **fields)


def several(played, *names):
    played.units = {name: ["active", "running", 100, "aa"] for name in names}
    return [of(name) for name in names]


def test_units_of_one_manager_stop_side_by_side_in_one_call(played):
    steps = several(played, "a.service", "b.service", "c.service")
    outcomes = stop(played, steps[0], steps[1]._replace(grace=9.0), steps[2])
    assert [(one.step.target, one.result, one.acted) for one in outcomes] == [
        (name, "done", True) for name in ("a.service", "b.service", "c.service")
    ]
    assert played.calls == [(None, 9.0, "stop", "a.service", "b.service", "c.service")]


@pytest.mark.parametrize("trigger", ["a.path", "a.timer", "z.socket"])
def test_what_starts_others_stops_before_all_services(played, trigger):
    """A real lab host has started the service again in the moment between the two stops."""
    steps = several(played, "b.service", "c.service")
    played.units[trigger] = ["active", "waiting", 0, "aa"]
    steps[1] = steps[1]._replace(units=(*steps[1].units, UnitTarget(Unit(trigger, None), 0, "aa")))
    assert [one.result for one in stop(played, *steps)] == ["done", "done"]
    assert [call[2:] for call in played.calls] == [("stop", trigger, "b.service", "c.service")]


def test_a_trigger_that_has_stopped_has_changed_something(played):
    """Although the stop of its service was refused."""
    played.ends_of["web.service"] = ["active", "running", 100, "aa"]
    played.stop_answer = {"status": 1, "stderr": "Failed to stop web.service: Operation refused."}
    (outcome,) = stop(played)
    assert (outcome.result, outcome.acted) == ("failed", True)


def test_each_manager_is_asked_for_its_own_units(played):
    played.units = {name: ["active", "running", 100, "aa"] for name in ("a.service", "b.service", "c.service")}
    outcomes = stop(played, of("a.service"), of("b.service", 1001), of("c.service"))
    assert [one.step.target for one in outcomes] == ["a.service", "b.service", "c.service"]
    assert [(call[0], *call[3:]) for call in played.calls] == [(None, "a.service", "c.service"), (1001, "b.service")]


def test_after_a_failure_no_other_manager_is_asked(played):
    played.units = {name: ["active", "running", 100, "aa"] for name in ("a.service", "b.service", "c.service")}
    played.ends_of["a.service"] = ["active", "running", 100, "aa"]
    outcomes = stop(played, of("a.service"), of("b.service", 1001), of("c.service"))
    assert [(one.step.target, one.result) for one in outcomes] == [("a.service", "failed"), ("c.service", "done")]
    assert [call[0] for call in played.calls] == [None]


def test_each_of_several_units_is_judged_by_itself(played):
    steps = several(played, "a.service", "b.service", "c.service", "d.service")
    played.units["b.service"][3] = "cc"
    played.ends_of["c.service"] = ["active", "running", 100, "aa"]
    played.stop_answer = {"status": 1, "stderr": "Failed to stop c.service: Operation refused.\n"}
    steps[3] = steps[3]._replace(disable=("d.service",))
    outcomes = stop(played, *steps)
    assert [(one.result, one.acted) for one in outcomes] == [
        ("done", True), ("gone", False), ("failed", False), ("done", True)
    ]  # fmt: skip
    assert outcomes[2].error.code == "step_failed" and "Operation refused" in outcomes[2].error.reason
    assert [call[2:] for call in played.calls] == [
        ("stop", "a.service", "c.service", "d.service"),
        ("disable", "d.service"),
    ]


def test_who_waits_for_another_ones_end_has_its_own_time(played):
    """They are ordered: b begins to stop when a has ended."""
    a, b = several(played, "a.service", "b.service")
    turns = []

    def later():
        turns.append(1)
        if len(turns) == 1:
            return ["active", "running", 100, "aa"]
        return ["deactivating", "stop-sigterm", 100, "aa"] if len(turns) == 2 else ["inactive", "dead", 0, ""]

    played.ends_of["b.service"] = later
    played.times["b.service"] = {"ActiveExitTimestampMonotonic": (time.monotonic() + 2) * 1e6}
    played.stop_answer = {"timed_out": True, "status": -9}
    assert [one.result for one in stop(played, a, b)] == ["done", "done"]
    assert [call[3:] for call in played.calls] == [("a.service", "b.service"), ("b.service",), ("b.service",)]
    assert played.calls[1][1] == 7.0 and 7.0 <= played.calls[2][1] <= 9.0


def test_who_has_had_its_time_is_not_waited_for_again(played):
    a, b = several(played, "a.service", "b.service")
    played.ends_of["a.service"] = ["deactivating", "stop-sigterm", 100, "aa"]
    played.ends_of["b.service"] = ["active", "running", 100, "aa"]
    played.stop_answer = {"timed_out": True, "status": -9}
    outcomes = stop(played, a._replace(grace=0.0), b)
    assert [(one.result, one.error.code) for one in outcomes] == [("failed", "still_held")] * 2
    assert len(played.calls) == 1


@pytest.mark.parametrize(
    "now, says, acted",
    [
        # A start that came while it stopped, one that came before, and one that came when it was down.
        (["deactivating", "stop-sigterm", 100, "aa"], "started web.service", True),
        (["active", "running", 100, "aa"], "was taken back by somebody who started web.service (main pid 100)", False),
        (["active", "running", 222, "cc"], "somebody started web.service (main pid 222) again at once", True),
        (["activating", "start-pre", 0, "cc"], "somebody started web.service again at once", True),
    ],
)
def test_a_stop_that_a_start_replaces_is_a_respawn(played, now, says, acted):
    played.ends_of["web.service"] = now
    played.stop_answer = {"status": 1, "stderr": "Job for web.service canceled.\n"}
    (outcome,) = stop(played)
    assert (outcome.result, outcome.error.code) == ("failed", "respawned")
    assert says in outcome.error.reason or "started web.service" in outcome.error.reason
    assert "journalctl -u web.service" in outcome.error.remedy and "step_failed" not in str(outcome.error)
    assert len(played.calls) == 1, "nothing is stopped twice"
    # The same with an answer that says nothing, where the state tells it.
    if now[3] != "aa" or now[0] == "deactivating":
        played.units["web.service"] = ["active", "running", 100, "aa"]
        played.units["web.socket"] = ["active", "running", 0, "bb"]
        played.stop_answer = {}
        assert stop(played)[0].error.code == "respawned"


def test_how_long_each_of_them_took(played):
    a, b = several(played, "a.service", "b.service")
    played.times["a.service"] = {"InactiveEnterTimestampMonotonic": 5e6}
    outcomes = stop(played, a, b)
    assert 0 <= outcomes[0].seconds < 1, "a time of long ago is not of this stop"


def test_states_are_read_by_their_names():
    text = (
        "MainPID=12\nId=a.service\nActiveState=active\nSubState=running\nInvocationID=ff\n\n"
        "Id=b.socket\nActiveState=inactive\nSubState=dead\n\nActiveState=active\n\nMainPID=x\nId=c.service\n"
    )
    assert systemd.parse_states(text) == {
        "a.service": systemd.State("active", "running", 12, "ff"),
        "b.socket": systemd.State("inactive", "dead", 0, ""),
        "c.service": systemd.State("", "", 0, ""),
    }
