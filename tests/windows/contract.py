# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results against their documentation: every key of a real result is documented, and the other way round."""

from __future__ import annotations

import typing as t

import yaml

from windows import powershell

KINDS: dict[str, t.Any] = {"int": int, "str": str, "bool": bool, "float": (int, float), "list": list, "dict": dict}
# What Ansible adds by itself.
ANSIBLES = {"changed", "failed", "invocation", "diff", "warnings", "exception"}


def documented(module: str) -> dict[str, t.Any]:
    """RETURN of a module."""
    text = (powershell.MODULES / (module + ".yml")).read_text(encoding="utf-8")
    return dict(yaml.safe_load(text)["RETURN"])


def differences(module: str, result: t.Mapping[str, t.Any], absent: t.Collection[str] = ()) -> list[str]:
    """Keys that one of both lacks, and values of another type.

    :param absent: names of keys that this result need not have, wherever they are documented.
    """
    ours = {key: value for key, value in result.items() if key not in ANSIBLES}
    return list(_object(ours, documented(module), "", set(absent)))


def _object(
    value: t.Mapping[str, t.Any], document: t.Mapping[str, t.Any], path: str, absent: set[str]
) -> t.Iterator[str]:
    for key in set(value) - set(document):
        yield "%s%s is not documented" % (path, key)
    for key in set(document) - set(value) - absent:
        yield "%s%s is not there" % (path, key)
    for key in set(value) & set(document):
        yield from _value(value[key], document[key], path + key, absent)


def _value(value: t.Any, document: t.Mapping[str, t.Any], path: str, absent: set[str]) -> t.Iterator[str]:
    if value is None:
        return
    if not isinstance(value, KINDS[document["type"]]) or (document["type"] == "int" and isinstance(value, bool)):
        yield "%s is %r, documented as %s" % (path, value, document["type"])
        return
    inner = document.get("contains")
    if isinstance(value, dict) and inner:
        yield from _object(value, inner, path + ".", absent)
    if isinstance(value, list):
        for item in value:
            if inner:
                yield from _object(item, inner, path + "[].", absent)
            else:
                yield from _value(item, {"type": document["elements"]}, path + "[]", absent)
