# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of the code, read from its syntax trees: who may import whom, and what shipped code never does.

modules -> _argspec, _conductor, _report -> the four stages -> _model, _errors, _known, _linux
modules -> _facts -> the observe stage
action, filter, test -> plugin_utils
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[3] / "plugins"
OWN = "ansible_collections.harbormaster.ports.plugins.module_utils."
OWN_ON_CONTROLLER = "ansible_collections.harbormaster.ports.plugins.plugin_utils."
# The one file of its room that looks at a system.
GATHERING = "module_utils/_facts/gather.py"
# Plugins of the controller, which know Ansible.
ON_CONTROLLER = ("action", "filter", "test")
# Of the observe stage, what makes text safe to show: the report on the controller trusts no host to have done it.
SAFE_TEXT = (OWN + "_observe.masking", OWN + "_linux.text")
STAGES = ("_observe", "_decide", "_act", "_prove")
FILES = sorted(PLUGINS.rglob("*.py"))
MOST_LINES = 430  # "about 400"
MOST_LINES_OF_MAIN = 25
# Not everywhere, slow to load, or out of place: only inside of the function that needs them.
NOT_AT_THE_TOP = {
    "asyncio", "concurrent", "ctypes", "inspect", "ipaddress", "json", "logging", "multiprocessing", "psutil", "subprocess",
    "urllib", "yaml",
}  # fmt: skip
PURE = {"__future__", "dataclasses", "fnmatch", "typing"}
HEADER = (
    "# Copyright (c) 2026, the harbormaster.ports contributors\n"
    "# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)\n"
    "# SPDX-License-" + "Identifier: GPL-3.0-or-later\n"
)


def named(path):
    return str(path.relative_to(PLUGINS))


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def room_of(path):
    """``_observe`` for module_utils/_observe/x.py, ``_model`` for module_utils/_model.py, ``modules`` for a module."""
    parts = path.relative_to(PLUGINS).parts
    return parts[0] if parts[0] != "module_utils" else parts[1].replace(".py", "")


def rooms_of_name(name, imported=""):
    """The room that an absolute name of ours is in; None for names of others."""
    whole = "%s.%s" % (name, imported) if imported else name
    if (whole + ".").startswith(OWN_ON_CONTROLLER):
        return "plugin_utils"
    return whole[len(OWN) :].split(".")[0] if (whole + ".").startswith(OWN) else None


def imports(tree):
    """(node, module, name) of every import, also of those inside of functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node, node.module or "", alias.name


def allowed(room):
    """The rooms that a room may import from. The conductor and what is above it know every stage."""
    leaves = {"_model", "_managers", "_errors", "_known"}
    if room in leaves:
        return leaves
    if room == "_linux":
        return leaves | {"_linux"}
    if room in STAGES:
        return leaves | {"_linux", room}
    if room in ("_argspec", "_wishes"):
        return leaves
    if room == "_conductor":
        return leaves | {"_linux", "_wishes", *STAGES}
    if room in ("_report", "_words"):
        # what they put into words comes out of the decision
        return leaves | {"_conductor", "_words", "_decide"}
    if room == "_facts":
        return leaves | {"_facts"}
    if room == "modules":
        return leaves | {"_argspec", "_conductor", "_report", "_facts"}
    if room in ON_CONTROLLER:
        return {"plugin_utils"}
    if room == "plugin_utils":
        # it runs on the controller, and shares what a port and an address look like with the modules
        return leaves | {"_wishes", "plugin_utils"}
    raise AssertionError("a new room, %s: say here what it may import" % room)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_run_one_way(path):
    room = room_of(path)
    for node, module, name in imports(tree_of(path)):
        target = rooms_of_name(module, name)
        assert not getattr(node, "level", 0), "line %d: a relative import" % node.lineno
        if target is not None:
            extra = (
                {"_observe", "_linux"}
                if named(path) == GATHERING or (room == "plugin_utils" and module in SAFE_TEXT)
                else set()
            )
            assert target in allowed(room) | extra, "line %d: %s imports from %s" % (node.lineno, room, target)
        elif module.startswith(("ansible.", "ansible_collections")):
            assert room == "modules" or room in ON_CONTROLLER, "line %d: %s in %s" % (node.lineno, module, room)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_nothing_heavy_or_foreign_is_loaded_at_the_top(path):
    def at_the_top(body):
        for node in body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield node
            elif isinstance(node, (ast.If, ast.Try)):
                handlers = [line for handler in getattr(node, "handlers", ()) for line in handler.body]
                yield from at_the_top(node.body + node.orelse + handlers + getattr(node, "finalbody", []))

    for node in at_the_top(tree_of(path).body):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        for name in names:
            assert name.split(".")[0] not in NOT_AT_THE_TOP, "line %d: %s" % (node.lineno, name)


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) == "_decide"], ids=named)
def test_the_decision_is_pure(path):
    """No clock, no system: it imports nothing but words, and calls nothing that reads or waits."""
    tree = tree_of(path)
    for node, module, name in imports(tree):
        assert module.split(".")[0] in PURE or rooms_of_name(module, name), "line %d: %s" % (node.lineno, module)
        assert rooms_of_name(module, name) != "_linux", "line %d" % node.lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("open", "input", "eval", "exec", "__import__"), "line %d" % node.lineno


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) == "_facts"], ids=named)
def test_facts_are_made_without_a_look_at_the_system(path):
    """Only `gather` looks. Of time, only the conversion of a given moment is used."""
    for node, module, name in imports(tree_of(path)):
        if named(path) != GATHERING and rooms_of_name(module, name) is None:
            assert module.split(".")[0] in PURE | {"time"}, "line %d: %s" % (node.lineno, module)
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time":
            assert node.attr in ("localtime", "gmtime", "strftime", "struct_time"), "line %d" % node.lineno


@pytest.mark.parametrize("path", FILES, ids=named)
def test_what_shipped_code_never_does(path):
    for node in ast.walk(tree_of(path)):
        where = "line %d" % getattr(node, "lineno", 0)
        assert not isinstance(node, ast.Assert), where
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func) if hasattr(ast, "unparse") else getattr(node.func, "id", "")
            assert called not in ("print", "exit", "quit", "sys.exit", "os.system", "eval", "exec"), where
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            # named without a call, or below 3.9
            assert (node.value.id, node.attr) != ("sys", "exit"), where
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, where + ": catches everything, also the end of the interpreter"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_files_are_of_a_size_to_be_read(path):
    if room_of(path) != "modules":
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def is_on_controller(path):
    """A module that is its documentation alone: the action plugin of its name does the work."""
    return (PLUGINS / "action" / path.name).is_file()


@pytest.mark.parametrize(
    "path", [path for path in FILES if room_of(path) == "modules" and is_on_controller(path)], ids=named
)
def test_a_module_of_the_controller_is_its_documentation(path):
    kinds = {type(node) for node in tree_of(path).body}
    assert kinds == {ast.Expr, ast.ImportFrom, ast.Assign}
    assert [module for _node, module, _name in imports(tree_of(path))] == ["__future__"]


@pytest.mark.parametrize(
    "path", [path for path in FILES if room_of(path) == "modules" and not is_on_controller(path)], ids=named
)
def test_a_module_is_wiring(path):
    functions = [node for node in tree_of(path).body if isinstance(node, ast.FunctionDef)]
    assert [function.name for function in functions] == ["main"]
    main = functions[0]
    assert main.end_lineno - main.lineno + 1 <= MOST_LINES_OF_MAIN
    assert not any(isinstance(node, (ast.For, ast.While)) and _lines(node) > 3 for node in ast.walk(main))


def _lines(node):
    return node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("path", FILES, ids=named)
def test_every_file_has_its_header_and_says_what_it_is(path):
    text = path.read_text(encoding="utf-8")
    if path.name == "__init__.py":
        assert text == ""
        return
    begin = text.partition("\n")[2] if text.startswith("#!") else text
    assert begin.startswith(HEADER)
    tree = tree_of(path)
    document = ast.get_docstring(tree)
    assert document
    if room_of(path) != "modules" and room_of(path) not in ON_CONTROLLER:
        assert "Private to harbormaster.ports" in document
    futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    # The model says itself why it does without.
    expected = [] if path.name in ("_model.py", "_managers.py") else ["annotations"]
    assert [alias.name for node in futures for alias in node.names] == expected


@pytest.mark.parametrize("path", FILES, ids=named)
def test_public_names_say_what_they_do(path):
    tree = tree_of(path)
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), "%s, line %d" % (node.name, node.lineno)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_what_ansiballz_ships_is_imported_by_name(path):
    """It follows import statements only: a module that is loaded by a computed name would be missing at the target."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            assert name not in ("__import__", "import_module"), "line %d" % node.lineno


def test_the_walk_finds_the_files():
    assert {room_of(path) for path in FILES} >= {"modules", "_conductor", "_model", "_errors", "_linux", *STAGES}
