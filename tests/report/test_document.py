# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents against the schema that is shipped with the collection."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import fleet
import jsonschema
import pytest
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import document, page

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "docs" / "fleet-report.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def by_port_owner():
    """A report of a check alone."""
    blocked = {"code": "protected_process", "reason": "sshd is protected", "remedy": "unprotect", "passing": True}
    port = {
        "port": 22, "protocol": "tcp", "address": None, "before": "held", "status": "held", "sockets": [{"address": "0.0.0.0"}],
        "holders": [{"kind": "process", "name": "sshd", "pids": [700], "outcome": "refused"}], "blocked_by": blocked,
    }  # fmt: skip
    result = {
        "ports": [port],
        "owners": [fleet.owner("sshd", "root", "ssh.service", 700, "2026-02-20T06:12:44Z")],
        "actions": [],
    }
    return fleet.report([document.Given("a", result=result, items=fleet.items([22]))], facts_asked=False)


DOCUMENTS = {
    "small": fleet.small,
    "synthetic": lambda: fleet.large(hosts=20),
    "empty": lambda: fleet.report([]),
    "check": by_port_owner,
    "commands": lambda: fleet.report([document.Given("a", facts=fleet.facts(fleet.row("x", "y", None, 1, command="x", exe="/x")))], commands=True),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_written_is_as_described(name):
    made = json.loads(page.to_json(DOCUMENTS[name]()))
    assert [error.message for error in VALIDATOR.iter_errors(made)] == []


def test_every_key_that_is_described_is_made_by_some_document():
    """So that the schema promises nothing that is never there."""
    texts = [page.to_json(make()) for make in DOCUMENTS.values()]
    described = set()

    def walk(part):
        if isinstance(part, dict):
            described.update(part.get("properties", {}))
            for value in part.values():
                walk(value)
        elif isinstance(part, list):
            for value in part:
                walk(value)

    walk(SCHEMA)
    made = {key for key in described if any('"%s":' % key in text for text in texts)}
    # a range without its owner, notices, and facts of others: tests/unit has these
    assert described - made <= {"last", "stime", "interface", "code", "text", "passing", "v6only"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("hosts", 0, "status"), "fine"),
        (("hosts", 0, "listeners", 0, "port"), 0),
        (("hosts", 0, "listeners", 0, "more"), 1),
        (("conflicts", 0, "kind"), "odd"),
        (("changes", 0, "before"), None),
        (("summary", "complete"), "no"),
    ],
)
def test_what_is_not_as_described_is_found(path, value):
    made = copy.deepcopy(fleet.small())
    inner = made
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    assert list(VALIDATOR.iter_errors(made)) != []
