# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says, made safe to show. Private to harbormaster.ports: not an interface for other collections.

Process names, paths and arguments are bytes that any user of the host chooses. They end up in a terminal, in JSON
and in HTML, so nothing in them may move a cursor, break a line or turn the reading direction.
"""

from __future__ import annotations

import re
import typing as t

# C0, DEL and C1; Arabic letter mark, LRM and RLM; line and paragraph separator; embeddings, overrides and isolates;
# surrogates, which JSON can't carry (they can't come out of UTF-8, but out of a str that somebody else decoded).
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
# Of one text, so many characters are written out. A text with more of them is no words, and is shown with less care.
_MOST_ESCAPES = 1 << 14
_PLAIN = bytes(code if code == 0x0A or 0x20 <= code < 0x7F else 0x3F for code in range(256))


def printable(raw: bytes) -> str:
    r"""Bytes as text that can be shown anywhere: valid UTF-8 stays, all else becomes ``\xNN`` or ``\uNNNN``.

    A backslash stays one backslash (systemd's names are full of them), so this is for reading, not for turning back.
    """
    # bytes that are not UTF-8, encoded surrogates among them, come out of the codec as \xNN already
    return printable_text(raw.decode("utf-8", "backslashreplace"))


def printable_lines(raw: bytes) -> str:
    """The same for several lines, which stay apart; and in a time that hardly depends on what is in the text.

    Whoever writes nothing but what has to be escaped gets a question mark for each byte that is no plain ASCII.
    """
    # in one go, where the other codec calls back for each byte; `_escape` knows these
    text = raw.decode("utf-8", "surrogateescape")
    shown, number = _UNSAFE_IN_LINES.subn(_escape, text, _MOST_ESCAPES)
    return shown if number < _MOST_ESCAPES else raw.translate(_PLAIN).decode("ascii")


def printable_text(text: str) -> str:
    """The same for text that is decoded already."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape, text)


def _escape(found: t.Match[str]) -> str:
    code = ord(found.group())
    if 0xDC80 <= code <= 0xDCFF:  # a byte that surrogateescape put away
        code -= 0xDC00
    return "\\x%02x" % code if code < 0x100 else "\\u%04x" % code


def whole_number(text: str) -> int:
    """A number of at most 18 digits; 0 for what is none. isdigit() alone would let superscripts pass."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
