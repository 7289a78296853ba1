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
OWN_REASONS = {"not_permitted"}
OWN_REMEDIES = {"hidden_owner", "kernel_socket", "leftover", "not_permitted"}
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
        assert (port.before, port.status, port.bindable, port.kept, port.ephemeral, port.established, port.time_wait) == tuple(
            other[key] for key in ("before", "status", "bindable", "kept", "ephemeral", "established", "time_wait")
        )
        assert [in_python.told_row(row) for row in port.sockets] == other["sockets"]
        assert [(holder.kind, holder.name, list(holder.pids), holder.stoppable, holder.outcome) for holder in port.holders] == [
            tuple(holder[key] for key in ("kind", "name", "pids", "stoppable", "outcome")) for holder in other["holders"]
        ]
        for holder, twin in zip(port.holders, other["holders"]):
            if holder.refusal is not None:
                ours = common(holder.refusal.code, holder.refusal.reason, holder.refusal.remedy)
                assert common(twin["code"], twin["reason"], twin["remedy_says"]) == ours
    ours = [(step.action, ONLY_LINUX.sub("", step.target), list(step.ports), list(step.also_frees), step.kill, step.grace) for step in plan.steps]
    assert ours == [
        tuple(step[key] for key in ("action", "target", "ports", "also_frees", "kill", "grace")) for step in told["actions"]
    ]
