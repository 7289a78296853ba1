# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.harbormaster.ports.plugins.filter import port_plan, port_plan_problem
from ansible_collections.harbormaster.ports.plugins.plugin_utils import _plan

PLAN = port_plan.FilterModule().filters()["port_plan"]
PROBLEM = port_plan_problem.FilterModule().filters()["port_plan_problem"]
FOLDER = Path(__file__).resolve().parents[3] / "plugins" / "filter"


def test_plan():
    plan = [8080, {"port": 443, "owner": "nginx"}]
    assert PLAN(plan) == [{"port": "8080"}, {"port": "443", "keep": ["nginx"]}]
    assert PLAN(plan, "clear", False) == [{"port": "8080"}, {"port": "443"}]
    assert PLAN(plan, "verify") == [{"port": "443", "owner": ["nginx"]}]


@pytest.mark.parametrize("plan", ["80-", [{"port": 80, "x": 1}], {}])
def test_both_say_the_same(plan):
    said = PROBLEM(plan, "my_plan")
    assert said.startswith("my_plan")
    with pytest.raises(AnsibleFilterError) as caught:
        PLAN(plan, option="my_plan")
    assert said in str(caught.value)


@pytest.mark.parametrize("plan", [None, [], [8080], "8080", [{"port": "https", "owner": []}]])
def test_a_plan_without_a_problem(plan):
    assert PROBLEM(plan) == ""


def test_the_documentation_has_every_argument():
    document = yaml.safe_load((FOLDER / "port_plan.yml").read_text(encoding="utf-8"))["DOCUMENTATION"]
    assert list(document["options"]) == ["_input", "purpose", "keep_owner", "option"]
    assert document["options"]["purpose"]["choices"] == list(_plan.PURPOSES)
    document = yaml.safe_load((FOLDER / "port_plan_problem.yml").read_text(encoding="utf-8"))["DOCUMENTATION"]
    assert list(document["options"]) == ["_input", "option"]
