# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the action plugin against its code. tests/contrib/test_fleet_report.py runs it for real."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import document

ROOT = Path(__file__).resolve().parents[3]


def assigned(path):
    """Every text and dictionary that the file gives a name to."""
    found = {}
    for node in ast.parse((ROOT / "plugins" / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Constant, ast.Dict)):
            found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


DOCUMENTS = {name: yaml.safe_load(text) for name, text in assigned("modules/fleet_report.py").items()}
# Read, not imported: the plugin needs a whole controller, which the oldest Python here has not.
ARGUMENTS = assigned("action/fleet_report.py")["ARGUMENTS"]


@pytest.mark.parametrize("name", sorted({*ARGUMENTS, *DOCUMENTS["DOCUMENTATION"]["options"]}))
def test_option_is_documented_as_coded(name):
    documented, coded = DOCUMENTS["DOCUMENTATION"]["options"][name], ARGUMENTS[name]
    for field in ("type", "elements", "default", "choices", "required"):
        assert documented.get(field) == coded.get(field)
    assert documented["description"]


def test_examples_use_options_that_there_are():
    plays = DOCUMENTS["EXAMPLES"]
    tasks = [task for play in plays for task in (play.get("tasks") or [play])]
    used = [task["harbormaster.ports.fleet_report"] for task in tasks if "harbormaster.ports.fleet_report" in task]
    assert len(used) == 3
    for options in used:
        assert set(options) <= set(ARGUMENTS)
        assert "facts_variable" in options or "result_variable" in options


def test_the_summary_is_documented(assemble_nothing):
    documented = DOCUMENTS["RETURN"]["summary"]
    assert set(documented["contains"]) == set(documented["sample"]) == set(assemble_nothing)
    for key in ("hosts", "conflicts", "changes"):
        assert documented["sample"][key] == documented["contains"][key]["sample"]
    assert set(documented["sample"]["hosts"]) == set(assemble_nothing["hosts"])


@pytest.fixture
def assemble_nothing():
    return document.assemble(document.Frame("2026-03-02T09:30:00Z"), [])["summary"]


def test_the_sample_message_is_one_that_the_summary_makes():
    sample = dict(DOCUMENTS["RETURN"]["summary"]["sample"])
    assert document.sentence(sample) == DOCUMENTS["RETURN"]["msg"]["sample"]
