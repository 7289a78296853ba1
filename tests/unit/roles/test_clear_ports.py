# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role and the playbooks promise, as far as their files alone can show it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.harbormaster.ports.plugins.module_utils import _argspec

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "clear_ports"
PORT_OWNER = "harbormaster.ports.port_owner"
# What the plan and the entry point decide, and what only some systems know.
NOT_OF_THE_ROLE = {
    "port",
    "plan",
    "protocol",
    "address",
    "owner",
    "user",
    "keep",
    "stop_only",
    "state",
    "signal",
    "backend",
}
OWN = {"clear_ports_plan", "clear_ports_keep_owner", "clear_ports_check_strict", "clear_ports_verify_timeout"}


def read(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


SPECS = read(ROLE / "meta" / "argument_specs.yml")["argument_specs"]
DEFAULTS = read(ROLE / "defaults" / "main.yml")
ENTRY_POINTS = sorted(path.stem for path in (ROLE / "tasks").glob("*.yml"))
FILES = sorted([*ROLE.rglob("*.yml"), *(ROOT / "playbooks").glob("*.yml")])


def tasks(entry):
    return read(ROLE / "tasks" / (entry + ".yml"))


def the_task(entry):
    (found,) = [task for task in tasks(entry) if PORT_OWNER in task]
    return found


def test_each_entry_point_is_documented():
    assert sorted(SPECS) == ENTRY_POINTS == ["check", "main", "verify"]


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_the_documentation_has_the_defaults(entry):
    for name, option in SPECS[entry]["options"].items():
        assert DEFAULTS[name] == option.get("default"), name


def test_no_variable_without_documentation():
    assert set(DEFAULTS) == {name for spec in SPECS.values() for name in spec["options"]}


def test_check_has_the_options_of_main():
    assert set(SPECS["check"]["options"]) == {*SPECS["main"]["options"], "clear_ports_check_strict"}
    assert the_task("check")[PORT_OWNER] == the_task("main")[PORT_OWNER]
    assert the_task("check")["check_mode"] is True


def test_the_options_are_those_of_the_module():
    known = _argspec.port_owner()["argument_spec"]
    given = {name: option for name, option in SPECS["main"]["options"].items() if name not in OWN}
    assert {name[len("clear_ports_") :] for name in given} == set(known) - NOT_OF_THE_ROLE
    for name, option in given.items():
        of_module = known[name[len("clear_ports_") :]]
        for key in ("type", "elements", "choices", "default"):
            assert option.get(key) == of_module.get(key), (name, key)


@pytest.mark.parametrize("entry", ["main", "check"])
def test_each_option_reaches_the_module(entry):
    given = the_task(entry)[PORT_OWNER]
    for name in set(SPECS[entry]["options"]) - OWN:
        text = given[name[len("clear_ports_") :]]
        none = DEFAULTS[name] is None
        assert text == ("{{ omit if %s is none else %s }}" % (name, name) if none else "{{ %s }}" % name)


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_tags(entry):
    assert {tuple(task["tags"]) for task in tasks(entry)} == {("clear_ports", "clear_ports_" + entry)}


def test_verify_is_skipped_in_check_mode():
    assert the_task("verify")["when"] == "not ansible_check_mode"


def keywords(node):
    """Every key of every mapping, wherever it is."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield key, value
            yield from keywords(value)
    elif isinstance(node, list):
        for value in node:
            yield from keywords(value)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_linux_and_windows_alike(path):
    """No facts, no become, and no word that tells one system from the other."""
    found = dict(keywords(read(path)))
    assert not [key for key in found if str(key).startswith("become")]
    assert found.get("gather_facts") in (None, False)
    text = re.sub(r"^ *#.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert not re.search(
        r"ansible_facts|ansible_os_family|ansible_system|ansible_distribution|win_port_owner|ansible_become", text
    )


def test_every_play_chooses_its_hosts_by_the_same_variable():
    for path in (ROOT / "playbooks").glob("*.yml"):
        for play in read(path):
            assert play["hosts"] == "{{ ports_hosts | default('all') }}", path


def test_every_variable_of_a_playbook_is_in_its_head():
    for path in (ROOT / "playbooks").glob("*.yml"):
        head, _marker, body = path.read_text(encoding="utf-8").partition("\n- name: ")
        asked = set(re.findall(r"(?<!groups\.)\b(ports_\w+) \| default", body)) | set(
            re.findall(r"(ports_\w+) is defined", body)
        )
        told = set(re.findall(r"^# (ports_\w+)", head, re.MULTILINE))
        assert told == asked, path
