# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of port numbers as ranges. Private to harbormaster.ports: not an interface for other collections."""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData

# First and last port of each range, sorted, with gaps between them.
Ranges = t.Tuple[t.Tuple[int, int], ...]

_RANGE_FILE = "/proc/sys/net/ipv4/ip_local_port_range"
_RESERVED_FILE = "/proc/sys/net/ipv4/ip_local_reserved_ports"

# The kernel's own default, for hosts that don't show theirs.
DEFAULT_EPHEMERAL = (32768, 60999)


def merge(ports: t.Iterable[int]) -> Ranges:
    """The fewest inclusive ranges that hold exactly these ports, sorted."""
    ranges: t.List[t.Tuple[int, int]] = []
    for port in sorted(set(ports)):
        if ranges and ranges[-1][1] == port - 1:
            ranges[-1] = (ranges[-1][0], port)
        else:
            ranges.append((port, port))
    return tuple(ranges)


def contains(ranges: Ranges, port: int) -> bool:
    """Whether one of the ranges holds the port."""
    for first, last in ranges:
        if port <= last:
            return port >= first
    return False


def overlap(ranges: Ranges, first: int, last: int) -> bool:
    """Whether one of the ranges holds one of the ports from first to last."""
    return any(low <= last and first <= high for low, high in ranges)


def parse_reserved(text: str) -> t.FrozenSet[int]:
    """Understand ip_local_reserved_ports: ``8080,9000-9010``, or an empty line.

    :raises MalformedData: anything else.
    """
    ports: t.Set[int] = set()
    for part in text.strip().split(","):
        if not part:
            continue
        first, dash, last = part.partition("-")
        low = _port(first, text)
        high = _port(last, text) if dash else low
        ports.update(range(low, high + 1))
    return frozenset(ports)


def parse_range(text: str) -> t.Tuple[int, int]:
    """Understand ip_local_port_range: first and last port, with blanks between them.

    :raises MalformedData: anything else.
    """
    words = text.split()
    if len(words) != 2:
        raise MalformedData(_RANGE_FILE, "not two numbers", text.encode("utf-8", "replace"))
    return _port(words[0], text), _port(words[1], text)


def _port(word: str, text: str) -> int:
    word = word.strip()
    # isdigit() alone would let superscripts pass.
    if not (word.isascii() and word.isdigit() and len(word) <= 5 and int(word) <= 65535):
        raise MalformedData("/proc/sys/net/ipv4", "not a port number", text.encode("utf-8", "replace"))
    return int(word)


def ephemeral() -> t.Tuple[t.Tuple[int, int], t.FrozenSet[int]]:
    """The range that the kernel gives to outgoing connections by itself, and the ports in it that it leaves out.

    A host that does not show or say them plainly has the kernel's defaults: this is for a warning only.
    """
    bounds, reserved = DEFAULT_EPHEMERAL, t.cast(t.FrozenSet[int], frozenset())
    try:
        with open(_RANGE_FILE, encoding="utf-8", errors="replace") as stream:
            bounds = parse_range(stream.read())
        with open(_RESERVED_FILE, encoding="utf-8", errors="replace") as stream:
            reserved = parse_reserved(stream.read())
    except (OSError, MalformedData):
        # No such file outside Linux and in some sandboxes.
        pass
    return bounds, reserved
