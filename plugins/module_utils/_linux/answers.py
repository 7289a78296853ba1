# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading JSON that an engine has answered. Private to harbormaster.ports: not an interface for other collections.

An answer is somebody else's: a field may be missing, null or of another type in another version of the engine. Each of
these functions takes the way to a field and gives the empty value of its type where there is nothing of the kind.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable_text

# Ids of containers and pods; they go into paths and onto command lines, so nothing else may pass for one.
_ID = re.compile(r"[0-9a-f]{64}\Z")
_LONGEST = 1024
_LARGEST = 1 << 53


def decoded(data: t.Union[bytes, str]) -> t.Any:
    """JSON as objects; None for what is none."""
    import json

    try:
        return json.loads(data if isinstance(data, str) else data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def at(answer: t.Any, *names: str) -> t.Any:
    """What is at the end of the way through objects in objects; None when the way ends before."""
    for name in names:
        answer = answer.get(name) if isinstance(answer, dict) else None
    return answer


def text(answer: t.Any, *names: str) -> str:
    """A string, printable and not endless."""
    value = at(answer, *names)
    return printable_text(value)[:_LONGEST] if isinstance(value, str) else ""


def number(answer: t.Any, *names: str) -> t.Optional[int]:
    """An integer that is one in JSON too, and that a number with a fraction can be as well; None for what is none."""
    value = at(answer, *names)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST else None


def truth(answer: t.Any, *names: str) -> bool:
    """Whether it says true."""
    return at(answer, *names) is True


def objects(answer: t.Any, *names: str) -> t.List[t.Dict[str, t.Any]]:
    """The objects of a list."""
    value = at(answer, *names)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def identifier(answer: t.Any, *names: str) -> str:
    """An id of 64 hexadecimal digits; empty for anything else."""
    value = at(answer, *names)
    return value if isinstance(value, str) and _ID.match(value) else ""
