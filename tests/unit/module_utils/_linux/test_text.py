# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import (
    _UNSAFE,
    printable,
    printable_lines,
    printable_text,
    whole_number,
)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"nginx", "nginx"),
        (b"", ""),
        ("Grüße 世界".encode(), "Grüße 世界"),
        (b"a b\\x2dc", "a b\\x2dc"),
        (b"\xff\xfe", "\\xff\\xfe"),
        (b"caf\xe9", "caf\\xe9"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),  # a surrogate, encoded
        (b"a\nb\tc\x00d", "a\\x0ab\\x09c\\x00d"),
        (b"\x1b[31mred", "\\x1b[31mred"),
        (b"\x7f", "\\x7f"),
        ("\x9b31m".encode(), "\\x9b31m"),  # C1, the one-byte form of ESC [
        ("a\u2028b\u2029c".encode(), "a\\u2028b\\u2029c"),
        ("\u202etxt.exe".encode(), "\\u202etxt.exe"),
        ("\u2066\u2069\u200e\u200f\u061c".encode(), "\\u2066\\u2069\\u200e\\u200f\\u061c"),
    ],
)
def test_printable(raw, shown):
    assert printable(raw) == shown


def test_every_byte_and_pair_stays_on_one_line_and_goes_through_json():
    for raw in [bytes((first, second)) for first in range(256) for second in range(256)]:
        text = printable(raw)
        assert json.loads(json.dumps(text)) == text
        text.encode("utf-8")
        assert len(text.splitlines()) == 1
        assert not any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain", "plain"), (b"\xe9".decode("utf-8", "surrogateescape"), "\\xe9"), ("\ud800", "\\ud800")],
)
def test_decoded_text(text, shown):
    assert printable_text(text) == shown


@pytest.mark.parametrize(
    "raw",
    [b"a\nb\n", b"a\x1b[2J\n\xff\n\xc3\xa9", b"\xe2\x80\xae\r\n", b"\xed\xa0\x80", b"", b"\n\n", b"\tx\x85\xc2\x85"],
)
def test_several_lines_are_shown_as_each_of_them_is(raw):
    assert printable_lines(raw) == "\n".join(printable(line) for line in raw.split(b"\n"))


@pytest.mark.parametrize("kind", [b"\x01", b"\xff", b"a\x01", b"\xc3\xa9\xff", "\u202e".encode(), b"\n\r"])
def test_what_is_nothing_but_unsafe_costs_little_and_is_safe(kind):
    raw = kind * ((2 << 20) // len(kind))
    before = time.process_time()
    shown = printable_lines(raw)
    assert time.process_time() - before < 0.15
    assert len(shown) == len(raw) and not _UNSAFE.search(shown.replace("\n", ""))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        ("", 0),
        ("-1", 0),
        ("\u00b2", 0),
        ("\u0661", 0),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, 0),
        ("1" * 9999, 0),
    ],
)
def test_whole_numbers(text, number):
    assert whole_number(text) == number
