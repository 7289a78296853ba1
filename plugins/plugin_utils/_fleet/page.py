# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the document to the page and to the file beside it. Private to harbormaster.ports.

The page is put together from the files of the folder web/. It loads nothing, and its policy lets only its own script and
style run: what a host says is data in it, whatever it looks like.
"""

from __future__ import annotations

import base64
import hashlib
import re
import typing as t
from pathlib import Path

Document = t.Dict[str, t.Any]

SOURCES = Path(__file__).parent / "web"
# In this order: each uses what the ones before it have.
SCRIPTS = ("text.js", "model.js", "search.js", "grid.js", "details.js", "views.js", "print.js", "app.js")
STYLES = ("style.css",)

_MARK = re.compile(r"@@([A-Z_]+)@@")
# JSON inside of a script element: none of these may begin an end tag, a comment or an entity, or end a line of a script.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_TO_ESCAPE = re.compile("[<>&\u2028\u2029]")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&#39;"}


def to_json(document: Document) -> str:
    """The document as a file: one line a host, conflict and change, so that two of them can be compared by line."""
    import json

    def dump(value: t.Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    parts = []
    for key, value in document.items():
        if isinstance(value, list) and value:
            text = "[\n  %s\n ]" % ",\n  ".join(dump(one) for one in value)
        else:
            text = dump(value)
        parts.append(" %s: %s" % (dump(key), text))
    return "{\n%s\n}\n" % ",\n".join(parts)


def embedded(text: str) -> str:
    """JSON that can stand inside of a script element."""
    return _TO_ESCAPE.sub(lambda found: _ESCAPES[found.group()], text)


def to_html(document: Document, text: str) -> str:
    """The whole page.

    :param text: the document by `to_json`: the page renders exactly what lies beside it.
    :raises OSError: a file of the collection is missing.
    """
    script = "(() => {\n'use strict';\n%s})();\n" % "".join(_source(name) for name in SCRIPTS)
    style = "".join(_source(name) for name in STYLES)
    values = {
        "TITLE": _entities(document["title"]),
        "SUMMARY": _entities(_sentence(document)),
        "POLICY": "; ".join((
            "default-src 'none'",
            "script-src %s" % _hash(script),
            "style-src %s" % _hash(style),
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )),
        "STYLE": style,
        "SCRIPT": script,
        "DATA": embedded(text),
    }  # fmt: skip
    # In one pass: what is put in is not looked at again.
    return _MARK.sub(lambda found: values[found.group(1)], _source("page.html"))


def _sentence(document: Document) -> str:
    from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet.document import sentence

    return sentence(document["summary"])


def _source(name: str) -> str:
    return (SOURCES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a policy names what may run (CSP level 3, hash-source)."""
    return "'sha256-%s'" % base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _entities(text: str) -> str:
    return "".join(_ENTITIES.get(letter, letter) for letter in text)
