# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields of somebody else's JSON: of every type, missing, and hostile."""

from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import answers
from hypothesis import given
from hypothesis import strategies as some

ID = "0123456789abcdef" * 4
LEAVES = some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text()
BRANCHES = some.lists(LEAVES, max_size=3) | some.dictionaries(some.sampled_from("abc"), LEAVES)
ANY_JSON = LEAVES | BRANCHES | some.dictionaries(some.sampled_from("abc"), BRANCHES)


def test_what_is_there_is_found():
    said = {"a": {"b": "text", "n": 7, "yes": True, "all": [{"x": 1}, 2, {"y": 2}], "id": ID}}
    assert answers.text(said, "a", "b") == "text"
    assert answers.number(said, "a", "n") == 7
    assert answers.truth(said, "a", "yes") is True
    assert answers.objects(said, "a", "all") == [{"x": 1}, {"y": 2}]
    assert answers.identifier(said, "a", "id") == ID


@given(ANY_JSON)
def test_whatever_it_is_the_type_is_right(said):
    for way in ((), ("a",), ("a", "b")):
        assert isinstance(answers.text(said, *way), str)
        assert answers.number(said, *way) is None or isinstance(answers.number(said, *way), int)
        assert answers.truth(said, *way) in (True, False)
        assert all(isinstance(one, dict) for one in answers.objects(said, *way))
        assert answers.identifier(said, *way) == ""


def test_a_text_is_printable_and_not_endless():
    assert answers.text({"a": "red\x1b[31m\n\u202e"}, "a") == "red\\x1b[31m\\x0a\\u202e"
    assert len(answers.text({"a": "x" * 5000}, "a")) == 1024


@pytest.mark.parametrize("value", [True, "7", 7.0, None, [7]])
def test_only_numbers_are_numbers(value):
    assert answers.number({"a": value}, "a") is None


@pytest.mark.parametrize(
    "value",
    [ID[:-1], ID + "0", ID.upper(), ID[:-1] + "g", ID[:-1] + "\n", ID + "\n", "../" + ID[3:], "", None, 7],
)
def test_what_goes_into_a_path_is_an_id_and_nothing_else(value):
    assert answers.identifier({"Id": value}, "Id") == ""


def test_json():
    assert answers.decoded(b'{"a": 1}') == {"a": 1}
    assert answers.decoded('[{"a": 1}]') == [{"a": 1}]
    assert answers.decoded(b"\xff\xfe") is None
    assert answers.decoded(b"<html>") is None
    assert answers.decoded(b"") is None
    assert answers.decoded("[" * 200000) is None


def test_a_number_that_is_too_large_for_anything_is_none():
    said = answers.decoded(b'{"a": %s, "b": -%s, "c": 9007199254740992}' % ((b"9" * 400,) * 2))
    assert [answers.number(said, name) for name in "abc"] == [None, None, 1 << 53]
