# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of facts, as the report keeps them. Private to harbormaster.ports. Pure.

What a host says is what anybody on that host says: every text is made printable and cut, every number checked, and a row
that is none is counted, not trusted.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable_text
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.masking import mask_command

Row = t.Dict[str, t.Any]
# By protocol, the (first, last) of each range that the host gives to outgoing connections.
Ranges = t.Mapping[str, t.Sequence[t.Tuple[int, int]]]

PROTOCOLS = ("tcp", "udp")
KNOWN, UNKNOWN = "known", "unknown"
# A socket without a process, where that is the whole truth.
NOBODYS = ("none", "kernel")

# 65,535 ports of two protocols, on a few addresses: beyond that a host is not telling what it has.
MOST_ROWS = 20000
MOST_OWNERS = 64
LONGEST = 256
LONGEST_PATH = 1024
LONGEST_MESSAGE = 2000

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z", re.ASCII)


class Listeners(t.NamedTuple):
    """What one host listens on.

    :param rows: sorted by port, protocol and address.
    :param problems: what was not usable, as sentences.
    """

    rows: t.List[Row]
    problems: t.List[str]


def clean(value: t.Any, most: int = LONGEST) -> t.Optional[str]:
    """Text that can be shown anywhere, at most so many characters; None for nothing and for what is no text."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    # str() also takes off what Ansible has tied to a value of its own
    text = printable_text(str(value)[: most + 1])
    return (text if len(text) <= most else text[: most - 3] + "...") or None


def read(facts: t.Any, ranges: Ranges, commands: bool) -> Listeners:
    """The rows of ``tcp_listen`` and ``udp_listen``; of harbormaster.ports, community.general or ansible.windows.

    :param ranges: ports in them are marked ``ephemeral``.
    :param commands: keep command lines, masked once more.
    """
    rows: t.List[Row] = []
    problems: t.List[str] = []
    odd = 0
    for protocol in PROTOCOLS:
        given = facts.get(protocol + "_listen") if isinstance(facts, t.Mapping) else None
        if not isinstance(given, (list, tuple)):
            problems.append("%s_listen is not in its facts" % protocol)
            continue
        if len(given) > MOST_ROWS:
            problems.append("%d of its %d %s rows are left out" % (len(given) - MOST_ROWS, len(given), protocol))
        for raw in given[:MOST_ROWS]:
            row = one_row(raw, protocol, ranges, commands)
            if row is None:
                odd += 1
            else:
                rows.append(row)
    if odd:
        problems.append("%d of its rows are not rows of facts about ports, and are left out" % odd)
    return Listeners(in_order(rows), problems)


def in_order(rows: t.Iterable[Row]) -> t.List[Row]:
    """By port, protocol and address."""
    return sorted(rows, key=lambda row: (row["port"], row["protocol"], row["address"], row.get("pid") or 0))


def one_row(raw: t.Any, protocol: str, ranges: Ranges, commands: bool) -> t.Optional[Row]:
    """One row with the keys of the document; what is not known is not there. None when it is no row."""
    if not isinstance(raw, t.Mapping):
        return None
    port = raw.get("port")
    address = clean(raw.get("address"))
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port <= 65535 or address is None:
        return None
    row: Row = {"protocol": protocol, "port": int(port), "address": address}
    row.update(_person(raw, commands))
    interface = clean(raw.get("interface"))
    if interface:
        row["interface"] = interface
    if isinstance(raw.get("v6only"), bool):
        row["v6only"] = bool(raw["v6only"])
    status = clean(raw.get("owner_status"))
    # Others have no owner_status, and write an owner that they don't know as 0 or as an empty text.
    row["owner_status"] = status or (KNOWN if "name" in row else UNKNOWN)
    given = raw.get("owners")
    if isinstance(given, (list, tuple)) and len(given) > 1:
        row["owners"] = [_person(one, commands) for one in given[:MOST_OWNERS] if isinstance(one, t.Mapping)]
    if is_ephemeral(port, protocol, ranges):
        row["ephemeral"] = True
    return row


def is_ephemeral(port: int, protocol: str, ranges: Ranges) -> bool:
    """Whether the host may give this port to an outgoing connection."""
    return any(first <= port <= last for first, last in ranges.get(protocol, ()))


def read_ranges(raw: t.Any) -> Ranges:
    """``{tcp: [[32768, 60999]], udp: ...}`` of the facts module; what is none is left out."""
    found: t.Dict[str, t.List[t.Tuple[int, int]]] = {}
    for protocol in PROTOCOLS:
        given = raw.get(protocol) if isinstance(raw, t.Mapping) else None
        pairs = given if isinstance(given, (list, tuple)) else []
        found[protocol] = [
            (int(pair[0]), int(pair[1]))
            for pair in pairs[:MOST_ROWS]
            if isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(end, int) for end in pair)
        ]
    return found


def is_hidden(row: Row) -> bool:
    """Somebody has it, and nobody knows who."""
    return row["owner_status"] != KNOWN and row["owner_status"] not in NOBODYS


def label(row: Row) -> str:
    """Who has it, for people: ``nginx (root, nginx.service)``."""
    name = row.get("name") or ("nobody" if row.get("owner_status") == "none" else "unknown")
    container = row.get("container") or {}
    more = [row.get("user"), row.get("service"), container.get("name") or container.get("id", "")[:12]]
    told = ", ".join(part for part in more if part)
    return "%s (%s)" % (name, told) if told else str(name)


def _person(raw: t.Mapping[str, t.Any], commands: bool) -> Row:
    """The keys that say who it is."""
    person: Row = {}
    pid = raw.get("pid")
    if isinstance(pid, int) and not isinstance(pid, bool) and pid > 0:
        person["pid"] = int(pid)
    for key, most in (("name", LONGEST), ("user", LONGEST), ("service", LONGEST), ("exe", LONGEST_PATH)):
        text = clean(raw.get(key), most)
        if text:
            person[key] = text
    started = clean(raw.get("started"))
    if started and _MOMENT.match(started):
        person["started"] = started
    elif raw.get("stime"):
        # of a module that knows no other one: in the host's own time and words
        person["stime"] = clean(raw.get("stime"))
    container = raw.get("container")
    if isinstance(container, t.Mapping):
        kept = {key: clean(container.get(key)) for key in ("engine", "id", "name")}
        person["container"] = {key: text for key, text in kept.items() if text}
    if commands and isinstance(raw.get("command"), str) and raw["command"]:
        person["command"] = mask_command([str(raw["command"])])
    return person
