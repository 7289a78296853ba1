# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import listeners
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

NO_RANGES = {"tcp": [], "udp": []}


def test_a_row_keeps_what_is_known(row):
    given = row(443, v6only=False, interface="eth1", container={"engine": "docker", "id": "5f2c", "name": None})
    assert listeners.one_row(given, "tcp", NO_RANGES, False) == {
        "protocol": "tcp", "port": 443, "address": "0.0.0.0", "pid": 812, "name": "nginx", "user": "root",
        "started": "2026-03-01T06:12:44Z", "container": {"engine": "docker", "id": "5f2c"}, "interface": "eth1",
        "v6only": False, "owner_status": "known",
    }  # fmt: skip


def test_rows_of_the_modules_of_others():
    """community.general writes 0 and empty texts where it knows no owner, and no status."""
    theirs = {
        "address": "::",
        "port": 80,
        "protocol": "tcp",
        "pid": 7,
        "name": "httpd",
        "user": "apache",
        "stime": "Thu Feb  2 13:29:45 2017",
    }
    known = listeners.one_row(theirs, "tcp", NO_RANGES, False)
    assert (known["owner_status"], known["stime"]) == ("known", "Thu Feb  2 13:29:45 2017")
    unknown = listeners.one_row({**theirs, "pid": 0, "name": "", "user": "", "stime": ""}, "tcp", NO_RANGES, False)
    assert unknown == {"protocol": "tcp", "port": 80, "address": "::", "owner_status": "unknown"}
    assert listeners.is_hidden(unknown)


@pytest.mark.parametrize("port", [0, 65536, -1, True, "80", None, 80.0, [80]])
def test_a_port_that_is_none(row, facts, port):
    found = listeners.read(facts(row(22), {**row(1), "port": port})["ansible_facts"], NO_RANGES, False)
    assert [one["port"] for one in found.rows] == [22]
    assert found.problems == ["1 of its rows are not rows of facts about ports, and are left out"]


@pytest.mark.parametrize("facts", [None, {}, [], "x", {"tcp_listen": 5, "udp_listen": {}}])
def test_facts_that_are_none(facts):
    assert listeners.read(facts, NO_RANGES, False) == (
        [],
        ["tcp_listen is not in its facts", "udp_listen is not in its facts"],
    )


def test_too_many_rows_are_said(monkeypatch, row, facts):
    monkeypatch.setattr(listeners, "MOST_ROWS", 3)
    found = listeners.read(facts(*(row(port) for port in range(1, 6)))["ansible_facts"], NO_RANGES, False)
    assert len(found.rows) == 3
    assert found.problems == ["2 of its 5 tcp rows are left out"]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("a\u2028b\nc\x1b[2J", "a\\u2028b\\x0ac\\x1b[2J"),
        ("x" * 300, "x" * 253 + "..."),
        ("", None), (None, None), (True, None), (["a"], None), (5, "5"),
    ],
)  # fmt: skip
def test_text_is_cleaned(raw, shown):
    assert listeners.clean(raw) == shown


def test_commands_are_left_out_unless_asked_for_and_masked_when_they_are(row):
    given = row(443, exe="/usr/bin/java", command="java -jar x --password=hunter2")
    given["owners"] = [given, dict(given, pid=813)]
    text = json.dumps(listeners.one_row(given, "tcp", NO_RANGES, False))
    assert "command" not in text
    assert "/usr/bin/java" in text
    shown = listeners.one_row(given, "tcp", NO_RANGES, True)
    assert "hunter2" not in json.dumps(shown)
    assert [one["command"].startswith("java -jar x --password=") for one in (shown, *shown["owners"])] == [True] * 3


def test_what_others_call_a_command_is_no_mapping(row):
    assert "command" not in listeners.one_row(row(443, command={"a": 1}), "tcp", NO_RANGES, True)


def test_sharers_are_kept_where_there_are_several(row):
    one = row(80)
    assert "owners" not in listeners.one_row(one, "tcp", NO_RANGES, False)
    one["owners"] = [dict(one["owners"][0], pid=pid) for pid in (812, 813)] + ["x"]
    assert [who["pid"] for who in listeners.one_row(one, "tcp", NO_RANGES, False)["owners"]] == [812, 813]


def test_ephemeral_ports_by_protocol(row):
    ranges = listeners.read_ranges({"tcp": [[40000, 41000]], "udp": []})
    assert listeners.one_row(row(40000), "tcp", ranges, False)["ephemeral"] is True
    assert "ephemeral" not in listeners.one_row(row(40000), "udp", ranges, False)
    assert "ephemeral" not in listeners.one_row(row(41001), "tcp", ranges, False)


@pytest.mark.parametrize("raw", [None, 5, {"tcp": 5}, {"tcp": [5, [1], [1, 2, 3], ["a", "b"], [[], []]]}])
def test_ranges_that_are_none(raw):
    assert listeners.read_ranges(raw) == NO_RANGES


ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
KEYS = some.sampled_from(
    ["port", "address", "pid", "name", "user", "owners", "container", "started", "owner_status", "v6only", "command"]
)


# The first text takes long: its table of characters is made then.
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(some.dictionaries(KEYS, ANYTHING | some.integers(1, 65535)))
def test_whatever_a_host_says_is_a_row_or_none(raw):
    row = listeners.one_row(raw, "tcp", NO_RANGES, True)
    if row is not None:
        assert 0 < row["port"] <= 65535
        assert json.loads(json.dumps(row, allow_nan=False)) == row
        assert not any(letter in json.dumps(row, ensure_ascii=False) for letter in "\u202e\u2028\x1b")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, "nginx (root)"),
        ({"service": "nginx.service"}, "nginx (root, nginx.service)"),
        (
            {"user": None, "container": {"engine": "docker", "id": "5f2c0e0d7a99aaaa", "name": None}},
            "nginx (5f2c0e0d7a99)",
        ),
        ({"name": None, "pid": None, "user": None, "owner_status": "none"}, "nobody"),
        ({"name": None, "pid": None, "user": None, "owner_status": "not_root"}, "unknown"),
    ],
)
def test_labels(row, more, says):
    assert listeners.label(listeners.one_row(row(80, **more), "tcp", NO_RANGES, False)) == says
