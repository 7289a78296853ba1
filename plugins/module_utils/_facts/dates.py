# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dates by the codes of PowerShell's ``Get-Date -UFormat``. Private to harbormaster.ports. Pure.

In the words of the C locale, whatever the host's locale is: a playbook that parses a date works everywhere.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip

# Codes that are short for several others.
_COMPOSED = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "r": "%I:%M:%S %p",
    "T": "%H:%M:%S",
    "X": "%H:%M:%S",
    "x": "%m/%d/%y",
}

_CODES: t.Dict[str, t.Callable[[time.struct_time, float], str]] = {
    "%": lambda when, epoch: "%",
    "A": lambda when, epoch: _DAYS[when.tm_wday],
    "a": lambda when, epoch: _DAYS[when.tm_wday][:3],
    "B": lambda when, epoch: _MONTHS[when.tm_mon - 1],
    "b": lambda when, epoch: _MONTHS[when.tm_mon - 1][:3],
    "C": lambda when, epoch: "%02d" % (when.tm_year // 100),
    "d": lambda when, epoch: "%02d" % when.tm_mday,
    "e": lambda when, epoch: "%2d" % when.tm_mday,
    "G": lambda when, epoch: "%04d" % _iso_week(when)[0],
    "g": lambda when, epoch: "%02d" % (_iso_week(when)[0] % 100),
    "H": lambda when, epoch: "%02d" % when.tm_hour,
    "h": lambda when, epoch: _MONTHS[when.tm_mon - 1][:3],
    "I": lambda when, epoch: "%02d" % (when.tm_hour % 12 or 12),
    "j": lambda when, epoch: "%03d" % when.tm_yday,
    "k": lambda when, epoch: "%2d" % when.tm_hour,
    "l": lambda when, epoch: "%2d" % (when.tm_hour % 12 or 12),
    "M": lambda when, epoch: "%02d" % when.tm_min,
    "m": lambda when, epoch: "%02d" % when.tm_mon,
    "n": lambda when, epoch: "\n",
    "p": lambda when, epoch: "AM" if when.tm_hour < 12 else "PM",
    "S": lambda when, epoch: "%02d" % when.tm_sec,
    "s": lambda when, epoch: "%d" % epoch,
    "t": lambda when, epoch: "\t",
    "U": lambda when, epoch: "%02d" % ((when.tm_yday + 6 - (when.tm_wday + 1) % 7) // 7),
    "u": lambda when, epoch: "%d" % (when.tm_wday + 1),
    "V": lambda when, epoch: "%02d" % _iso_week(when)[1],
    "W": lambda when, epoch: "%02d" % ((when.tm_yday + 6 - when.tm_wday) // 7),
    "w": lambda when, epoch: "%d" % ((when.tm_wday + 1) % 7),
    "Y": lambda when, epoch: "%04d" % when.tm_year,
    "y": lambda when, epoch: "%02d" % (when.tm_year % 100),
    "Z": lambda when, epoch: _offset(when),
}


class Format(t.NamedTuple):
    """A date format that has been understood: what stands between the codes, and the codes."""

    pieces: t.Tuple[t.Union[str, t.Callable[[time.struct_time, float], str]], ...]

    def __call__(self, epoch: float) -> str:
        """A moment (seconds since the epoch) in the host's own time zone."""
        when = time.localtime(epoch)
        return "".join(piece if isinstance(piece, str) else piece(when, epoch) for piece in self.pieces)


def parse(text: str) -> Format:
    """Understand ``%Y-%m-%d``.

    :raises OptionError: for a code that there is not, and a ``%`` without one.
    """
    pieces: t.List[t.Union[str, t.Callable[[time.struct_time, float], str]]] = []
    at = 0
    while at < len(text):
        if text[at] != "%":
            end = text.find("%", at)
            end = len(text) if end < 0 else end
            pieces.append(text[at:end])
            at = end
            continue
        code = text[at + 1 : at + 2]
        if code in _COMPOSED:
            pieces += parse(_COMPOSED[code]).pieces
        elif code in _CODES:
            pieces.append(_CODES[code])
        else:
            codes = "".join(sorted([*_CODES, *_COMPOSED], key=lambda one: (one.lower(), one)))
            raise OptionError("date_uformat", text, "after a %% one of %s is allowed" % codes)
        at += 2
    return Format(tuple(pieces))


def iso(epoch: float) -> str:
    """ISO 8601 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


def _iso_week(when: time.struct_time) -> t.Tuple[int, int]:
    """Year and week of ISO 8601: a week belongs to the year that has its Thursday."""
    year = when.tm_year
    week = (when.tm_yday - when.tm_wday + 9) // 7
    if week < 1:
        year -= 1
        week = _weeks(year)
    elif week > _weeks(year):
        year, week = year + 1, 1
    return year, week


def _weeks(year: int) -> int:
    def last_day(year: int) -> int:
        return (year + year // 4 - year // 100 + year // 400) % 7

    return 53 if last_day(year) == 4 or last_day(year - 1) == 3 else 52


def _offset(when: time.struct_time) -> str:
    """Whole hours from UTC, as ``+01``."""
    seconds = when.tm_gmtoff or 0
    return "%s%02d" % ("-" if seconds < 0 else "+", abs(seconds) // 3600)
