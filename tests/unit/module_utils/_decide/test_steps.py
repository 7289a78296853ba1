# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A step always acts on something; the vectors hold that for all that the rules let pass, these for what they might."""

from __future__ import annotations

import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._decide import decide, steps
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Container,
    Policy,
    Process,
    Snapshot,
    Socket,
    Step,
    Supervised,
    Target,
    Unit,
    UnitFacts,
    UnitTarget,
    Wish,
)

ROW = Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=7)
FULL = {
    "signal": {"roots": (Target(100, 1, "web"),)},
    "destroy": {"sockets": (ROW,)},
    "systemd": {"units": (UnitTarget(Unit("web.service")),)},
    "resolver": {"units": (UnitTarget(Unit("systemd-resolved.service")),), "settings": ("DNSStubListener=no",)},
    "container": {"container": Container("docker", "aa")},
    "supervisor": {"supervised": Supervised("supervisord", 90, stop=("supervisorctl", "stop", "web"))},
}


def step(actuator, **more):
    return Step(actuator, "any", "web", ("8080/tcp",), **more)


@pytest.mark.parametrize("actuator", sorted(FULL))
def test_each_kind_of_step_needs_what_it_acts_on(actuator):
    assert not steps.is_empty(step(actuator, **FULL[actuator]))
    for missing in FULL[actuator]:
        rest = {key: value for key, value in FULL[actuator].items() if key != missing}
        assert steps.is_empty(step(actuator, **rest)), missing
    assert steps.is_empty(step(actuator))


def test_an_unknown_kind_is_empty():
    assert steps.is_empty(step("telepathy", **FULL["signal"]))


def test_an_empty_step_is_a_refusal_and_no_plan(monkeypatch):
    """Whatever the rules have let pass: nothing is told as done where nothing was done."""
    snapshot = Snapshot(
        sockets=(ROW,), owners={7: (100,)}, processes={1: Process(1, "systemd"), 100: Process(100, "web", 1)}
    )
    wishes = [Wish(8080, "tcp")]
    policy = Policy(state="free")
    assert decide.decide(snapshot, wishes, policy).steps
    plan = steps.plan
    monkeypatch.setattr(steps, "plan", lambda *told: [one._replace(roots=(), members=()) for one in plan(*told)])
    decided = decide.decide(snapshot, wishes, policy)
    assert decided.steps == ()
    (port,) = decided.ports
    assert port.refusal.code == "unsupported_manager" and port.status == "held"
    assert [(holder.stoppable, holder.outcome) for holder in port.holders] == [(False, "refused")]


def test_who_is_just_ending_has_not_become_another_program():
    """Between TERM and the end a process loses its executable, its names and its command line first."""
    judged = Target(100, 1, "web", exe="/usr/bin/python3.11", names=("python3.11", "web"), command="web", image=7)
    assert judged.is_still(Target(100, 1, "web", names=("web",)))
    assert not judged.is_still(Target(100, 1, "web", exe="/usr/bin/postgres", names=("postgres",), image=8))
    assert not judged.is_still(Target(100, 2, "web", names=("web",)))


def crowd(number, together):
    """So many processes of one account, each with a listener of its own on the port; in one unit, or in none."""
    unit = Unit("crowd.service") if together else None
    known = {1: Process(1, "systemd", 0, uid=0, proven=("systemd",))}
    for pid in range(100, 100 + number):
        known[pid] = Process(pid, "crowd", 1, uid=65534, real_uid=65534, ancestors=(1,), unit=unit)
    return Snapshot(
        sockets=tuple(Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=pid) for pid in range(100, 100 + number)),
        owners={pid: (pid,) for pid in range(100, 100 + number)},
        processes=known,
        units={unit: UnitFacts(unit)} if unit else {},
    )


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("state", ["present", "free"])
def test_a_crowd_of_holders_takes_time_in_proportion(state, together):
    spent = []
    for number in (200, 800):
        snapshot, runs = crowd(number, together), []
        for _again in range(2):
            began = time.process_time()
            plan = decide.decide(snapshot, [Wish(8080, "tcp")], Policy(state=state))
            runs.append(time.process_time() - began)
        assert {row.inode for holder in plan.ports[0].holders for row in holder.sockets} == set(snapshot.owners)
        spent.append(min(runs))
    assert spent[1] < 9 * spent[0], spent


NAMELESS = {"method": "signal", "force": True}


@pytest.mark.parametrize(
    ("process", "wish", "policy", "nameless"),
    [
        ({}, {}, NAMELESS, True),
        ({}, {"user": ("nobody",)}, NAMELESS, True),
        ({}, {}, {"method": "signal"}, False),  # a database is spared, by its name
        ({}, {}, {"force": True}, False),  # what claims to be protected is refused
        ({}, {"stop_only": ("web",)}, NAMELESS, False),
        ({}, {"keep": ("db",)}, NAMELESS, False),
        ({}, {}, {**NAMELESS, "protect": ("db",)}, False),
        ({"proven": ("web",)}, {}, NAMELESS, False),
        ({"uid": 0, "real_uid": 0}, {}, NAMELESS, False),
    ],
)
def test_names_have_a_word_unless_all_of_them_are_claims_that_the_task_overrules(process, wish, policy, nameless):
    holder = {
        "name": "web",
        "parent_pid": 1,
        "uid": 65534,
        "real_uid": 65534,
        "user": "nobody",
        "ancestors": (1,),
        **process,
    }
    known = {1: Process(1, "systemd", 0, uid=0, proven=("systemd",)), 100: Process(100, **holder)}
    snapshot = Snapshot(sockets=(ROW,), owners={7: (100,)}, processes=known)
    plan = decide.decide(snapshot, [Wish(8080, "tcp", **wish)], Policy(state="free", **policy))
    assert [step.nameless for step in plan.steps] == [nameless]
