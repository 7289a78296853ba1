# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The .ps1 modules, read with a real grammar of PowerShell: no PowerShell is needed.

A module is the literal ``$spec``, one call into C#, ExitJson. `Script` takes it apart, and fails at whatever else is there.
"""

from __future__ import annotations

import re
import typing as t
from pathlib import Path

import tree_sitter
import tree_sitter_pwsh

MODULES = Path(__file__).resolve().parents[2] / "plugins" / "modules"
LANGUAGE = tree_sitter.Language(tree_sitter_pwsh.language())
REQUIRES = re.compile(r"^#AnsibleRequires -CSharpUtil (\S+)$", re.MULTILINE)
WORDS = {"$true": True, "$false": False, "$null": None}


class NotPlain(Exception):
    """Something that is no literal stands where one is expected."""


def nodes(node: tree_sitter.Node) -> t.Iterator[tree_sitter.Node]:
    """A node and all below it, in the order of the text."""
    yield node
    for child in node.children:
        yield from nodes(child)


def text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode()


def value(node: tree_sitter.Node) -> t.Any:
    """What a literal stands for: hashtables, arrays, texts, whole numbers, $true, $false.

    :raises NotPlain: for everything else, texts with a variable in them among it.
    """
    if node.type == "hash_literal_expression":
        return dict(entry(one) for one in nodes_of(node, "hash_entry"))
    if node.type == "array_expression":
        inner = [child for child in node.named_children if child.type != "comment"]
        found = value(inner[0]) if inner else []
        # @(x) is a list of one; the comma makes a list already.
        return found if isinstance(found, Comma) or not inner else [found]
    if node.type == "array_literal_expression":
        return Comma(value(child) for child in node.named_children)
    if node.type == "expression_with_unary_operator" and text(node.children[0]) == ",":
        return Comma([value(node.named_children[-1])])
    if node.type == "variable" and text(node).lower() in WORDS:
        return WORDS[text(node).lower()]
    if node.type == "decimal_integer_literal":
        return int(text(node))
    if node.type == "expandable_string_literal":
        whole = text(node)
        if len(whole) < 2 or whole[0] != '"' or whole[-1] != '"' or set(whole[1:-1]) & set('"$`'):
            raise NotPlain(whole)
        return whole[1:-1]
    named = [child for child in node.named_children if child.type != "comment"]
    if len(named) == 1 and node.child_count == 1:
        return value(named[0])
    raise NotPlain("%s: %s" % (node.type, text(node)))


class Comma(t.List[t.Any]):
    """What commas have put together."""


def nodes_of(node: tree_sitter.Node, kind: str) -> t.Iterator[tree_sitter.Node]:
    """The nearest nodes of this kind below a node, not those inside of them."""
    for child in node.children:
        if child.type == kind:
            yield child
        else:
            yield from nodes_of(child, kind)


def entry(node: tree_sitter.Node) -> tuple[str, t.Any]:
    key, content = (child for child in node.named_children if child.type != "comment")
    return text(key), value(content)


class Script:
    """One .ps1 module.

    :ivar spec: the options as Ansible.Basic takes them.
    :ivar requires: the C# utils that it names.
    :ivar calls: ``Namespace.Type.Method`` of each call of a static method, in order.
    :ivar statements: the other ones, as they stand there.
    """

    def __init__(self, path: Path) -> None:
        self.source = path.read_text(encoding="utf-8")
        self.tree = tree_sitter.Parser(LANGUAGE).parse(self.source.encode())
        self.requires = REQUIRES.findall(self.source)
        self.spec: dict[str, t.Any] = {}
        self.calls: list[str] = []
        self.statements: list[str] = []
        for statement in self._statements():
            self._take(statement)

    def _statements(self) -> list[tree_sitter.Node]:
        (listed,) = (node for node in self.tree.root_node.named_children if node.type == "statement_list")
        return [node for node in listed.named_children if node.type != "comment"]

    def _take(self, statement: tree_sitter.Node) -> None:
        whole = text(statement)
        if whole.startswith("$spec ="):
            self.spec = value(next(nodes_of(statement, "hash_literal_expression")))
            return
        call = re.fullmatch(r"\[([\w.]+)\]::(\w+)\(\$module\)", whole)
        if call:
            self.calls.append("%s.%s" % call.groups())
        else:
            self.statements.append(whole)


def modules() -> list[Path]:
    return sorted(MODULES.glob("*.ps1"))


def specs() -> dict[str, t.Any]:
    """Module -> its spec, as JSON can carry it."""
    return {path.stem: Script(path).spec for path in modules()}
