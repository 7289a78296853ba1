# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the module says what its code does: options against the table, result keys against a real result."""

from __future__ import annotations

import ast
import re
import time
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.harbormaster.ports.plugins.module_utils import _argspec, _conductor, _report
from ansible_collections.harbormaster.ports.plugins.module_utils._decide import reasons
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Plan, Policy, Snapshot, Step

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
MODULE = PLUGINS / "modules" / "port_owner.py"
SPEC = _argspec.port_owner()
# What Ansible adds to every result by itself.
ANSIBLES = {"changed", "failed", "diff", "warnings", "exception", "invocation"}


def documents():
    """DOCUMENTATION, EXAMPLES and RETURN of the module, read without importing it."""
    found = {}
    for node in ast.parse(MODULE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id in ("DOCUMENTATION", "EXAMPLES", "RETURN"):
            found[node.targets[0].id] = yaml.safe_load(ast.literal_eval(node.value))
    return found


DOCUMENTS = documents()


def flat(options, below, path=""):
    """Every option by its path: ``plan.port``."""
    for name, option in options.items():
        yield path + name, option
        yield from flat(option.get(below) or {}, below, path + name + ".")


DOCUMENTED = dict(flat(DOCUMENTS["DOCUMENTATION"]["options"], "suboptions"))
CODED = dict(flat(SPEC["argument_spec"], "options"))


def test_the_same_options_are_documented_and_coded():
    assert set(DOCUMENTED) == set(CODED)


@pytest.mark.parametrize("name", sorted(CODED))
@pytest.mark.parametrize("field", ["type", "elements", "default", "choices", "aliases", "required"])
def test_option_is_documented_as_coded(name, field):
    default = False if field == "required" else None
    assert DOCUMENTED[name].get(field, default) == CODED[name].get(field, default)


def test_every_option_says_what_it_means():
    for name, option in DOCUMENTED.items():
        text = option["description"]
        assert "".join(text if isinstance(text, list) else [text]).strip(), name


def test_port_or_plan():
    assert SPEC["mutually_exclusive"] == [("port", "plan")]
    assert SPEC["required_one_of"] == [("port", "plan")]
    assert SPEC["supports_check_mode"] is True


def test_examples_are_tasks_that_the_options_allow():
    validator = ArgumentSpecValidator(SPEC["argument_spec"], SPEC["mutually_exclusive"])
    names = set()
    for task in DOCUMENTS["EXAMPLES"]:
        options = task["harbormaster.ports.port_owner"]
        assert validator.validate(options).error_messages == [], task["name"]
        names.add(task["name"])
    assert len(names) == len(DOCUMENTS["EXAMPLES"]) >= 7


# Results ------------------------------------------------------------------------------------------------------------


def undocumented(result, documented, path=""):
    """Keys of a real result that RETURN lacks, and keys of RETURN that the result lacks."""
    for key in set(result) ^ set(documented):
        yield path + key
    for key in set(result) & set(documented):
        yield from compared(result[key], documented[key], path + key)


def compared(value, document, path):
    kinds = {"int": int, "str": str, "bool": bool, "float": (int, float), "list": list, "dict": dict}
    if value is None:
        return
    if not isinstance(value, kinds[document["type"]]) or (document["type"] == "int" and isinstance(value, bool)):
        yield "%s is %s, documented as %s" % (path, type(value).__name__, document["type"])
    if isinstance(value, dict):
        inner = document.get("contains")
        yield from undocumented(value, inner, path + ".") if inner else sampled(value, document, path)
    if isinstance(value, list):
        for item in value:
            if document.get("contains"):
                yield from undocumented(item, document["contains"], path + "[].")
            elif isinstance(item, dict):
                yield from sampled(item, {"sample": document["sample"][0]}, path + "[]")
            else:
                yield from compared(item, {"type": document["elements"]}, path + "[]")


def sampled(value, document, path):
    """Where the keys are not described one by one, the sample (or for blocked_by the description) shows them."""
    if document["sample"] is not None and set(document["sample"]) != set(value):
        yield "%s has %s, the sample %s" % (path, sorted(value), sorted(document["sample"]))
    for key in value:
        if document["sample"] is None and key not in "".join(document["description"]):
            yield "%s.%s" % (path, key)


def results(port):
    """A report, a refusal, a check-mode run and a failed run, all real; nothing of this process is stopped."""
    validator = ArgumentSpecValidator(SPEC["argument_spec"])
    for check_mode, options in (
        (False, {"port": "%d/tcp" % port}),
        (True, {"port": "%d/tcp" % port, "state": "free"}),
        (False, {"port": ["%d/tcp" % port, "%d/udp" % port], "owner": "no-such-program"}),
    ):
        params = validator.validate(options).validated_parameters
        yield _report.result(_conductor.run(params, check_mode), time.time())


def test_every_key_of_a_real_result_is_documented_and_the_other_way_round(listener):
    for result in results(listener):
        documented = dict(DOCUMENTS["RETURN"])
        if "reason" not in result:
            assert documented.pop("reason")["returned"] == "failure"
        result.pop("changed")
        assert list(undocumented(result, documented)) == []


def test_every_key_of_an_action_is_documented_and_the_other_way_round():
    step = Step("signal", "signal", "nginx (pid 812)", ("80/tcp",), ("443/tcp",), ("a.service",))
    story = _conductor.Story(Snapshot(), Plan((), (step,)), Policy(state="free"), check_mode=True)
    result = _report.result(story, time.time())
    assert len(result["actions"]) == 1
    documented = {"actions": DOCUMENTS["RETURN"]["actions"]}
    assert list(undocumented({"actions": result["actions"]}, documented)) == []


def test_samples_have_the_documented_keys():
    for name, document in DOCUMENTS["RETURN"].items():
        if document.get("contains"):
            for sample in document["sample"]:
                assert list(undocumented(sample, document["contains"], name + ".")) == []


def test_every_reason_code_is_a_word():
    codes = [value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)]
    assert len(codes) == len(set(codes))
    for code in codes:
        assert code == code.lower() and code.replace("_", "").isalpha()


def test_what_ansible_adds_is_not_documented():
    assert not set(DOCUMENTS["RETURN"]) & ANSIBLES


@pytest.mark.parametrize("path", sorted(PLUGINS.glob("*/*.yml")), ids=lambda path: path.name)
def test_documentation_that_lies_beside_its_code_can_be_read(path):
    """What is documented there is compared with the code in tests/windows; a slip of the pen shows here, in seconds."""
    documentation = yaml.safe_load(path.read_text(encoding="utf-8"))["DOCUMENTATION"]
    assert path.stem in (documentation.get("name"), documentation.get("module"))
    if path.stem == "win_port_owner":
        assert dict(flat(documentation["options"], "suboptions")).keys() == DOCUMENTED.keys()


def test_changelog_fragments_are_yaml_and_in_no_markup_of_ansible():
    """The changelog knows reStructuredText alone: what documentation writes as O(port) would stand in it as it is."""
    for path in sorted((PLUGINS.parent / "changelogs" / "fragments").glob("*.yml")):
        sections = yaml.safe_load(path.read_text(encoding="utf-8"))
        told = [
            entry for entries in sections.values() for entry in ([entries] if isinstance(entries, str) else entries)
        ]
        assert told and all(isinstance(entry, str) for entry in told), path
        assert not [entry for entry in told if re.search(r"\b(?:[CIMOPVBEU]|RV)\(", entry)], path
