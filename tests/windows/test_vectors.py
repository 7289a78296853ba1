# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vectors in C#, beside the Python that reads the same files. Runs on mono, all cases in one process, without Wine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
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
