# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts module as a target runs it, and its documentation against its code."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.harbormaster.ports.plugins.module_utils import _argspec
from ansible_collections.harbormaster.ports.plugins.module_utils._facts import rows, states

ROOT = Path(__file__).resolve().parents[3]
NAME = "ansible_collections.harbormaster.ports.plugins.modules.listen_ports_facts"
SPEC = _argspec.listen_ports_facts()

# What Ansible's wrapper does around a module. The profile is asked for by ansible-core 2.19 and newer.
WRAPPER = """
import runpy, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
basic._ANSIBLE_PROFILE = "legacy"
runpy.run_module(%r, run_name="__main__", alter_sys=True)
"""


def run(options, before="", **environment):
    done = subprocess.run(
        [sys.executable, "-c", before + WRAPPER % NAME],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(
            os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)), PYTHONDONTWRITEBYTECODE="1", **environment
        ),
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in done.stdout + done.stderr, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "de_DE.UTF-8"])
def test_it_finds_us(listener, locale):
    result = run({}, LC_ALL=locale)
    assert result["changed"] is False
    (row,) = [row for row in result["ansible_facts"]["tcp_listen"] if row["port"] == listener]
    assert (row["pid"], row["owner_status"]) == (os.getpid(), "known")


BAD = [
    ({"tcp_filter": ["ESTAB"]}, "tcp_filter: 'ESTAB'"),
    ({"tcp_filter": []}, "tcp_filter: []"),
    ({"tcp_filter": ""}, "tcp_filter: ''"),
    ({"tcp_filter": ["Listen", "Bound"], "include_non_listening": True}, "tcp_filter: 'Listen, Bound'"),
    ({"date_uformat": "%Q"}, "date_uformat: '%Q'"),
    ({"date_uformat": "%" * 99}, "date_uformat: "),
    ({"command": "lsof"}, "command"),
    ({"details": "some"}, "details"),
    ({"details": True}, "details"),
    ({"include_non_listening": "perhaps"}, "include_non_listening"),
    ({"backend": "guess"}, "backend"),
    ({"port": 80}, "port"),
]


@pytest.mark.parametrize(("options", "says"), BAD, ids=str)
def test_bad_value_is_one_clear_sentence(options, says):
    result = run(options)
    assert result["failed"] is True
    assert says in result["msg"]
    assert "\n" not in result["msg"]
    if ":" in says:
        assert result["reason"] == "bad_option"
        assert "allowed" in result["msg"] or "excludes" in result["msg"]


def test_a_missing_psutil_is_named():
    result = run({"backend": "psutil"}, before="import sys; sys.modules['psutil'] = None\n")
    assert (result["failed"], result["reason"]) == (True, "missing_psutil")
    assert "python3-psutil" in result["msg"]


def test_too_few_descriptors_are_a_sentence():
    result = run({}, before="import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))\n")
    assert result.get("failed") or result["ansible_facts"]
    assert result["msg"]


# Documentation ------------------------------------------------------------------------------------------------------


def documents():
    found = {}
    for node in ast.parse((ROOT / "plugins" / "modules" / "listen_ports_facts.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            found[node.targets[0].id] = yaml.safe_load(ast.literal_eval(node.value))
    return found


DOCUMENTS = documents()
OPTIONS = DOCUMENTS["DOCUMENTATION"]["options"]


@pytest.mark.parametrize("name", sorted({*OPTIONS, *SPEC["argument_spec"]}))
def test_option_is_documented_as_coded(name):
    for field in ("type", "elements", "default", "choices", "aliases", "required"):
        assert OPTIONS[name].get(field) == SPEC["argument_spec"][name].get(field)
    assert OPTIONS[name]["description"]


def test_options_of_the_modules_that_it_replaces():
    """Names, types, choices and defaults, as community.general and ansible.windows have them."""
    spec = SPEC["argument_spec"]
    assert spec["command"] == {"type": "str", "choices": ["netstat", "ss"]}
    assert spec["include_non_listening"] == {"type": "bool", "default": False}
    assert spec["date_uformat"] == {"type": "str", "default": "%c"}
    assert spec["tcp_filter"] == {"type": "list", "elements": "str", "default": ["Listen"]}
    words = "Bound Closed CloseWait Closing DeleteTCB Established FinWait1 FinWait2 LastAck Listen SynReceived SynSent TimeWait"
    assert sorted(states.WINDOWS_STATES) == sorted(words.split())


def test_examples_are_tasks_that_the_options_allow():
    validator = ArgumentSpecValidator(SPEC["argument_spec"])
    used = 0
    for task in DOCUMENTS["EXAMPLES"]:
        defaults = task.get("module_defaults", {})
        for tasks in (task, defaults):
            if "harbormaster.ports.listen_ports_facts" in tasks:
                used += 1
                assert not validator.validate(tasks["harbormaster.ports.listen_ports_facts"] or {}).error_messages
    assert used >= 5


KINDS = {"int": int, "str": str, "bool": bool, "list": list, "dict": dict}


@pytest.mark.parametrize("options", [{}, {"details": "full"}, {"include_non_listening": True, "details": "full"}])
def test_every_key_of_a_real_result_is_documented_and_the_other_way_round(listener, options):
    result = run(options)
    assert set(result) - {"invocation", "changed"} == set(DOCUMENTS["RETURN"]) - {"reason"}
    facts = DOCUMENTS["RETURN"]["ansible_facts"]["contains"]
    assert set(result["ansible_facts"]) == set(facts)
    documented = facts["tcp_listen"]["contains"]
    expected = {
        key
        for key, text in documented.items()
        if ("details=full" not in text["returned"] or "details" in options)
        and ("include_non_listening" not in text["returned"] or "include_non_listening" in options)
    }
    for row in result["ansible_facts"]["tcp_listen"] + result["ansible_facts"]["udp_listen"]:
        assert set(row) == expected
        for key, value in row.items():
            assert value is None or isinstance(value, KINDS[documented[key]["type"]]), key


def test_samples_and_statuses_are_documented():
    facts = DOCUMENTS["RETURN"]["ansible_facts"]["contains"]
    documented = set(facts["tcp_listen"]["contains"])
    for name in facts:
        for sample in facts[name]["sample"]:
            assert set(sample) <= documented
    text = "".join(facts["tcp_listen"]["contains"]["owner_status"]["description"])
    for status in (*rows.REASONS, rows.KNOWN, rows.NOT_ASKED, rows.OWNERLESS, rows.KERNEL, rows.UNKNOWN):
        assert "V(%s)" % status in text


def test_it_is_in_the_action_group():
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    on_controller = {path.stem for path in (ROOT / "plugins" / "action").glob("*.py")}
    modules = {path.stem for path in (ROOT / "plugins" / "modules").glob("*.py")} - on_controller
    assert modules <= set(runtime["action_groups"]["ports"])
    redirect = runtime["plugin_routing"]["modules"]["listen_ports_facts.ps1"]["redirect"]
    assert redirect == "harbormaster.ports.win_listen_ports_facts"


def test_its_short_name_is_a_copy_of_the_first_one():
    """All but the words in which it says its name."""
    one, other = (
        (ROOT / "contrib" / "short_names" / name).read_text() for name in ("port_owner.py", "listen_ports_facts.py")
    )
    assert one.partition("from __future__")[2] == other.partition("from __future__")[2]
