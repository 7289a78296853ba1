# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that people are told to run. Private to harbormaster.ports. Pure."""

from __future__ import annotations

import typing as t

# What no shell takes for anything else (the set of Python's shlex).
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-")


def line(*words: str) -> str:
    """Words as a line that a shell takes apart into the same ones: unit names may have a backslash in them."""
    return " ".join(
        word if word and _PLAIN.issuperset(word) else "'%s'" % word.replace("'", "'\"'\"'") for word in words
    )


def systemctl(user: t.Union[int, str, None], *words: str) -> str:
    """A command for the service manager of the system, or of the user with this uid or name."""
    whose = () if user is None else ("--user", "-M", "%s@" % user)
    return line("systemctl", *whose, *words)
