# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The .ps1 modules: thin, of Windows PowerShell 5.1, and with the options that the documentation and the Linux modules have."""

from __future__ import annotations

import ast
import typing as t

import pytest
import tree_sitter
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.harbormaster.ports.plugins.module_utils import _argspec

from windows import powershell, rig

MODULES = {"win_port_owner": "port_owner", "win_listen_ports_facts": "listen_ports_facts"}
ENTRIES = {
    "win_port_owner": rig.NAMESPACE + "Conductor.PortOwner.Run",
    "win_listen_ports_facts": rig.NAMESPACE + "Facts.ListenPortsFacts.Run",
}
LINUX = {"win_port_owner": _argspec.port_owner(), "win_listen_ports_facts": _argspec.listen_ports_facts()}
FIELDS = ("type", "elements", "default", "choices", "aliases", "required")

# What a literal, an assignment and a call are made of. PowerShell 7 has more; 5.1 has all of these.
SYNTAX_OF_5_1 = {
    "argument_expression", "argument_expression_list", "argument_list", "array_expression", "array_literal_expression",
    "assignment_expression", "assignment_operator", "assignment_value", "comment", "decimal_integer_literal",
    "expandable_string_literal", "expression_with_unary_operator", "hash_entry", "hash_literal_body", "hash_literal_expression",
    "integer_literal", "invocation_expression", "key_expression", "left_assignment_expression", "member_access", "member_name", "pipeline",
    "pipeline_chain", "program", "simple_name", "statement_list", "string_literal", "type_identifier", "type_literal", "type_name",
    "type_spec", "unary_expression", "variable",
}  # fmt: skip

SCRIPTS = {path.stem: powershell.Script(path) for path in powershell.modules()}


def documents(name: str) -> dict[str, t.Any]:
    """DOCUMENTATION, EXAMPLES and RETURN beside a .ps1."""
    found = yaml.safe_load((powershell.MODULES / (name + ".yml")).read_text(encoding="utf-8"))
    return dict(found, EXAMPLES=yaml.safe_load(found["EXAMPLES"]))


def documents_of_linux(name: str) -> dict[str, t.Any]:
    """The same of a .py module, read without importing it."""
    found = {}
    for node in ast.parse((powershell.MODULES / (name + ".py")).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("DOCUMENTATION", "RETURN"):
            found[node.targets[0].id] = yaml.safe_load(ast.literal_eval(node.value))
    return found


def flat(options: t.Mapping[str, t.Any], below: str, path: str = "") -> t.Iterator[tuple[str, dict[str, t.Any]]]:
    """Every option by its path, such as ``plan.port``, with the fields that say what it takes."""
    for name, option in options.items():
        said = {
            field: option[field]
            for field in FIELDS
            if option.get(field) not in (None, False) or (field == "default" and field in option)
        }
        yield path + name, said
        yield from flat(option.get(below) or {}, below, path + name + ".")


def test_these_are_all_modules():
    assert set(SCRIPTS) == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_the_grammar_reads_every_byte(name):
    root = SCRIPTS[name].tree.root_node
    assert not root.has_error
    assert not [node for node in powershell.nodes(root) if node.is_missing or node.type == "ERROR"]


def newer(script: powershell.Script) -> set[str]:
    """What a script has that 5.1 does not know, and commands, which a module of ours does not need."""
    found = set()
    for node in powershell.nodes(script.tree.root_node):
        if node.is_named and node.type not in SYNTAX_OF_5_1:
            found.add(node.type)
        if node.type == "assignment_operator" and powershell.text(node) != "=":
            found.add(powershell.text(node))
    return found


@pytest.mark.parametrize("name", MODULES)
def test_only_syntax_of_5_1_and_no_command(name):
    assert newer(SCRIPTS[name]) == set()


# What Ansible.Basic reads numbers by, which must not be the host's language.
CULTURE = (
    "[System.Threading.Thread]::CurrentThread.CurrentCulture = [System.Globalization.CultureInfo]::InvariantCulture"
)

HELPERS = sorted((rig.ROOT / "tests").rglob("*.ps1"))


@pytest.mark.parametrize("path", HELPERS, ids=lambda path: path.name)
def test_helpers_of_the_tests_on_windows_are_read_too(path):
    """They can't run here. At least they are PowerShell."""
    tree = tree_sitter.Parser(powershell.LANGUAGE).parse(path.read_bytes())
    assert not tree.root_node.has_error


@pytest.mark.parametrize("source", ["$x = $a ?? 1", "Get-Foo && Get-Bar", "$x = $a ? 1 : 2", "$x ??= 1", "Get-Process"])
def test_newer_syntax_and_commands_are_seen(source, tmp_path):
    path = tmp_path / "x.ps1"
    path.write_text(source + "\n")
    script = powershell.Script(path)
    assert script.tree.root_node.has_error or newer(script)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_its_options_one_call_and_the_end(name):
    script = SCRIPTS[name]
    assert script.source.startswith("#!powershell\n")
    assert script.source.isascii(), (
        "Windows PowerShell takes a file without a byte order mark for one of the local code page"
    )
    assert script.calls == [ENTRIES[name]]
    before = [CULTURE] if any(option["type"] == "float" for option in script.spec["options"].values()) else []
    assert script.statements == [
        *before,
        "$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)",
        "$module.ExitJson()",
    ]
    assert script.requires == ["Ansible.Basic", ENTRIES[name].rsplit(".", 2)[0]]
    assert script.source.count("#AnsibleRequires") == len(script.requires), "one is written in another way"


@pytest.mark.parametrize("name", MODULES)
def test_the_options_are_those_of_linux(name):
    assert dict(flat(SCRIPTS[name].spec["options"], "options")) == dict(flat(LINUX[name]["argument_spec"], "options"))
    rest = {key: value for key, value in LINUX[name].items() if key != "argument_spec"}
    for key in ("mutually_exclusive", "required_one_of"):
        if key in rest:
            rest[key] = [list(group) for group in rest[key]]
    assert {key: value for key, value in SCRIPTS[name].spec.items() if key != "options"} == rest


@pytest.mark.parametrize("name", MODULES)
def test_the_options_are_documented_as_they_are(name):
    documented = documents(name)["DOCUMENTATION"]
    assert documented["module"] == name
    assert dict(flat(documented["options"], "suboptions")) == dict(flat(SCRIPTS[name].spec["options"], "options"))


@pytest.mark.parametrize("name", MODULES)
def test_every_option_says_what_it_means(name):
    def check(options):
        for option in options.values():
            text = option["description"]
            assert "".join(text if isinstance(text, list) else [text]).strip()
            check(option.get("suboptions") or {})

    check(documents(name)["DOCUMENTATION"]["options"])


@pytest.mark.parametrize("name", MODULES)
def test_examples_are_tasks_that_the_options_allow(name):
    validator = ArgumentSpecValidator(LINUX[name]["argument_spec"], LINUX[name].get("mutually_exclusive"))
    tasks = [task for task in documents(name)["EXAMPLES"] if "harbormaster.ports." + MODULES[name] in task]
    assert tasks
    for task in tasks:
        assert validator.validate(task["harbormaster.ports." + MODULES[name]] or {}).error_messages == [], task["name"]


def missing(linux: t.Mapping[str, t.Any], windows: t.Mapping[str, t.Any], path: str = "") -> t.Iterator[str]:
    """Result keys of Linux that Windows has not, or has with another type."""
    for key, document in linux.items():
        if key not in windows or windows[key]["type"] != document["type"]:
            yield path + key
        else:
            yield from missing(document.get("contains") or {}, windows[key].get("contains") or {}, path + key + ".")


@pytest.mark.parametrize("name", MODULES)
def test_the_result_has_every_key_that_it_has_on_linux(name):
    assert list(missing(documents_of_linux(MODULES[name])["RETURN"], documents(name)["RETURN"])) == []


@pytest.mark.parametrize("name", MODULES)
def test_samples_have_the_documented_keys(name):
    def check(documented, path=""):
        for key, document in documented.items():
            inner = document.get("contains")
            if not inner:
                continue
            for sample in document.get("sample") or []:
                optional = {one for one, said in inner.items() if "O(" in said.get("returned", "")}
                assert set(inner) - optional <= set(sample) <= set(inner), path + key
            check(inner, path + key + ".")

    check(documents(name)["RETURN"])
