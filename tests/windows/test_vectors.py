# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vectors in C#, beside the Python that reads the same files. Runs on mono, all cases in one process, without Wine."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils import _conductor, _model, _report
from ansible_collections.harbormaster.ports.tests.unit.module_utils._decide import test_vectors as in_python
from ansible_collections.harbormaster.ports.tests.vectors import vectors

from windows import powershell, rig

ENTRY = Path(__file__).resolve().parent / "entries" / "VectorsEntry.cs"
CASES = dict(vectors.decisions("windows"))
BAD_INPUT = vectors.bad_input("windows")
SEEDS = 5
MODULE = "win_port_owner"


@pytest.fixture(scope="module")
def ask(tools, csharp):
    """Call one method of the entry with a value; what it answers."""
    app = rig.program(csharp, [*rig.utils(), ENTRY], powershell.specs())

    def call(method, value):
        done = subprocess.run(
            ["mono", str(app), "-", "VectorsEntry." + method, str(app.parent / (MODULE + ".json"))],
            input=json.dumps(value),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        )
        assert done.returncode == 0 and not done.stderr, done.stdout[-2000:] + done.stderr
        return json.loads(done.stdout)

    return call


@pytest.fixture(scope="module")
def plans(ask):
    """Id -> the plan of each case, as C# tells it."""
    asked = [{"given": case["given"], "wish": case["wish"], "seeds": SEEDS} for case in CASES.values()]
    return dict(zip(CASES, ask("Plans", asked)))


@pytest.mark.parametrize("name", CASES)
def test_vector(plans, name):
    case, told = CASES[name], plans[name]
    vectors.only(case, "name", "platform", "given", "wish", "expect")
    assert "error" not in told, "%s: %s" % (case["name"], told)
    found = vectors.unmet(case, told["ports"], told["actions"], told["warnings"])
    assert not found, "\n".join(["%s:" % case["name"], *found])


@pytest.mark.parametrize("name", CASES)
def test_order_of_what_was_seen_does_not_matter(plans, name):
    assert plans[name]["shuffled"] == []


@pytest.fixture(scope="module")
def said(ask):
    """What each task with bad options is told, in the order of the cases."""
    return ask("BadInput", [case["wish"] for case in BAD_INPUT])


@pytest.mark.parametrize(
    "number", range(len(BAD_INPUT)), ids=lambda number: "%s-%d" % (BAD_INPUT[number]["option"], number)
)
def test_bad_value_is_one_clear_sentence(said, number):
    case, told = BAD_INPUT[number], said[number]
    vectors.only(case, "wish", "option", "value", "says", "by", "platform")
    sentence = told.get("ansible") if case.get("by") == "ansible" else told.get("sentence")
    assert sentence is not None, told
    assert case["option"] in sentence
    assert case["value"] in sentence
    assert case["says"] in sentence
    if case.get("by") != "ansible":
        assert (told["option"], told["code"]) == (case["option"], "bad_option")
        assert sentence.startswith(case["option"] + ": ")
        assert sentence.isprintable()


# The same words ---------------------------------------------------------------------------------------------------

# What speaks of the system itself: its tools, its accounts, how long it keeps what. The other half is compared all the same.
OWN_REASONS = {"engine", "not_permitted", "wrong_method"}
OWN_REMEDIES = {"engine", "hidden_owner", "kernel_socket", "leftover", "not_permitted", "wrong_method"}
# Facts that only Linux tells: the unit of a process, the user of a socket.
ONLY_LINUX = re.compile(r"(, [^ ,()]+\.(service|scope)(?=\)))|( of uid [0-9, ]*[0-9])")
SHARED = {name: case for name, case in CASES.items() if "platform" not in case}


def common(code, reason, remedy):
    """What two languages have to say alike of one refusal."""
    return (
        code,
        None if code in OWN_REASONS else ONLY_LINUX.sub("", reason),
        None if code in OWN_REMEDIES else remedy,
    )


@pytest.mark.parametrize("name", SHARED)
def test_both_languages_say_the_same(plans, name):
    case, told = SHARED[name], plans[name]
    wishes, policy = in_python.wish_of(case)
    plan = in_python.decide(in_python.snapshot_of(case, wishes), wishes, policy)
    for port in plan.ports:
        other = told["ports"][port.wish.label]
        assert (
            port.before,
            port.status,
            port.bindable,
            port.kept,
            port.ephemeral,
            port.established,
            port.time_wait,
        ) == tuple(
            other[key] for key in ("before", "status", "bindable", "kept", "ephemeral", "established", "time_wait")
        )
        assert [in_python.told_row(row) for row in port.sockets] == other["sockets"]
        assert [
            (holder.kind, holder.name, list(holder.pids), holder.stoppable, holder.outcome) for holder in port.holders
        ] == [
            tuple(holder[key] for key in ("kind", "name", "pids", "stoppable", "outcome"))
            for holder in other["holders"]
        ]
        for holder, twin in zip(port.holders, other["holders"]):
            if holder.refusal is not None:
                ours = common(holder.refusal.code, holder.refusal.reason, holder.refusal.remedy)
                assert common(twin["code"], twin["reason"], twin["remedy_says"]) == ours
    ours = [
        (step.action, ONLY_LINUX.sub("", step.target), list(step.ports), list(step.also_frees), step.kill, step.grace)
        for step in plan.steps
    ]
    assert ours == [
        tuple(step[key] for key in ("action", "target", "ports", "also_frees", "kill", "grace"))
        for step in told["actions"]
    ]


# The same results ------------------------------------------------------------------------------------------------

NOW = 1_800_000_000
FREED = [name for name, case in SHARED.items() if case["wish"].get("state") == "free"]
# Linux asks with a signal, Windows through a window.
POLITE = re.compile(r"\bwith WM_CLOSE\b")
# What the two systems know about different things.
UNLIKE = {"port_name", "user", "inode"}


def born(case):
    """What was seen, with a start time and a parent for each process."""
    processes = [
        {"parent": 1, "started": NOW - 777 * entry["pid"], **entry} for entry in case["given"].get("processes", ())
    ]
    return dict(case["given"], processes=processes)


def empty(case):
    """What is seen when all of it is gone: every asked port can be bound."""
    wishes, _policy = in_python.wish_of(case)
    return {"bindable": {wish.label: True for wish in wishes}}


def python_story(case, end, check_mode):
    """What the Python of Linux tells of a run that ended in this way."""
    wishes, policy = in_python.wish_of(case)
    aged = in_python.snapshot_of(case, wishes)
    snapshot = aged._replace(
        processes={pid: one._replace(started=float(NOW - 777 * pid)) for pid, one in aged.processes.items()}
    )
    plan = in_python.decide(snapshot, wishes, policy)
    failure = plan.refusals[0] if plan.refusals else None
    story = _conductor.Story(snapshot, plan, policy, failure=failure, check_mode=check_mode, elapsed=2.0006)
    if end is not None:
        error = _model.Refusal("step_failed", "it does not end", "look at it") if end == "failed" else None
        later = in_python.snapshot_of(dict(case, given=case["given"] if error else empty(case)), wishes)
        outcomes = tuple(
            _model.Outcome(
                step, end, acted=end != "gone", seconds=1.2345, dropped=2 if end == "done" else 0, error=error
            )
            for step in plan.steps
        )
        proof = _model.Proof(later, in_python.decide(later, wishes, policy), error)
        story = story._replace(outcomes=outcomes, proof=proof, failure=error)
    return {"result": _report.result(story, NOW), "diff": _report.diff(story)}


def same(ours, theirs, where):
    """What of the Python's result is not in the other one in the same words. It may have more keys."""
    if isinstance(ours, dict):
        for key in set(ours) - UNLIKE:
            if key not in theirs:
                yield "%s.%s is not there" % (where, key)
            else:
                yield from same(ours[key], theirs[key], "%s.%s" % (where, key))
        if ours.get("code") in OWN_REASONS | OWN_REMEDIES:
            return
    elif isinstance(ours, list):
        if len(ours) != len(theirs):
            yield "%s: %d and %d" % (where, len(ours), len(theirs))
        for number, (one, other) in enumerate(zip(ours, theirs)):
            yield from same(one, other, "%s[%d]" % (where, number))
    elif isinstance(ours, str):
        if ONLY_LINUX.sub("", ours) != POLITE.sub("with TERM", theirs):
            yield "%s: %r and %r" % (where, ours, theirs)
    elif ours != theirs:
        yield "%s: %r and %r" % (where, ours, theirs)


def of_its_own(name):
    """Whether a case has sentences that speak of the system itself."""
    wishes, policy = in_python.wish_of(SHARED[name])
    plan = in_python.decide(in_python.snapshot_of(SHARED[name], wishes), wishes, policy)
    return any(refusal.code in OWN_REASONS | OWN_REMEDIES for refusal in plan.refusals) or any(
        "unit" in entry for entry in SHARED[name]["given"].get("processes", ())
    )


@pytest.mark.parametrize(
    ("end", "check_mode"), [(None, False), (None, True), ("done", False), ("gone", False), ("failed", False)]
)
def test_both_languages_tell_the_same_story(ask, end, check_mode):
    names = [name for name in (SHARED if end is None else FREED) if not of_its_own(name)]
    if end is not None:
        names = [name for name in names if python_story(SHARED[name], None, True)["result"]["actions"]]
    assert len(names) > 20
    asked = [
        {
            "given": born(SHARED[name]),
            "later": born(SHARED[name]) if end == "failed" else empty(SHARED[name]),
            "wish": SHARED[name]["wish"],
            "end": end,
            "now": NOW,
            "check_mode": check_mode,
        }
        for name in names
    ]
    found = []
    for name, told in zip(names, ask("Stories", asked)):
        assert "error" not in told, told
        found += same(python_story(SHARED[name], end, check_mode), told, name)
    assert not found, "\n".join(found[:40])
