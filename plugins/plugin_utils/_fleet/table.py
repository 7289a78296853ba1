# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The short table at the end of a run, for the terminal. Private to harbormaster.ports. Pure."""

from __future__ import annotations

import re
import typing as t
import unicodedata

from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import document, listeners, plan

Document = t.Dict[str, t.Any]
Line = t.Tuple[int, t.Tuple[str, ...]]

HEADINGS = ("HOST", "PORT", "OWNER", "USER", "SERVICE", "SINCE", "NOTE")
# A terminal of 160 columns is usual in front of a fleet; the note is last, so that only it is cut off in a narrow one.
WIDEST = (24, 22, 20, 14, 26, 20, 70)
KINDS = {
    plan.IN_THE_WAY: "in the way",
    plan.REFUSED: "refused",
    plan.UNKNOWN_OWNER: "unknown owner",
    plan.MISSING: "not there yet",
}

# Why an owner is not known (owner_status), as the page says it (web/model.js).
WHY_UNKNOWN = {
    "unknown": "no process was seen with it: it may just be ending",
    "not_asked": "the facts were gathered without owners (details: none)",
    "not_root": "only root sees processes of other users: become helps",
    "hidepid": "/proc hides the processes of other users: become helps",
    "descriptors_refused": "not even root may look into that process there",
    "pid_namespace": "seen from inside a container: look from outside of it",
    "owners_hidden": "psutil may not see it: become helps",
    "sockets_refused": "psutil may not see it: become helps",
    "kernel": "the kernel itself has it",
    "none": "no process has it",
}
# What Ansible, ssh and the libraries below them say before they come to the cause.
_PREAMBLES = re.compile(
    r"\s*(?:Task failed: |Failed to connect to the host via \w+: |Data could not be sent to remote host .{1,255}? over ssh: "
    r"|Warning: Permanently added .{1,255}? known hosts\.|ssh: (?:connect to host \S{1,255} port \d+: |Could not resolve hostname \S{1,255}: )?)"
)
# Ends of lines as printable_text writes them.
_LINE_ENDS = re.compile(r"(?:\\x0[ad])+")
_CAUSED_BY = re.compile(r"Caused by \w+\(.{0,400}\[Errno -?\d+\] ([^'\")]{1,200})")


def lines(report: Document, most: int) -> t.List[str]:
    """The table: hosts that could not be seen, conflicts, changes and unknown owners first, then the rest.

    :param most: rows, without the heading and the line that says what is not in it.
    """
    rows = _unseen(report) + _conflicts(report) + _changes(report) + _listeners(report)
    # Where there is room for all of them, people look for a host and a port.
    rows.sort(key=lambda row: row[0])
    shown = [cells for _rank, cells in rows[:most]]
    if len(rows) <= most:
        shown.sort(key=lambda cells: (cells[0], int(cells[1].partition("/")[0].partition("-")[0] or 0)))
    table = [HEADINGS] + [tuple(_cut(cell, most) for cell, most in zip(cells, WIDEST)) for cells in shown]
    widths = [max(_width(cells[column]) for cells in table) for column in range(len(HEADINGS))]
    text = ["  ".join(_fill(cell, width) for cell, width in zip(cells, widths)).rstrip() for cells in table]
    if len(rows) > most:
        text.append("... and %d more" % (len(rows) - most))
    return text


def _unseen(report: Document) -> t.List[Line]:
    found: t.List[Line] = []
    for host in report["hosts"]:
        if host["status"] != document.OK:
            note = "%s: %s" % (host["status"].replace("_", " ").upper(), _cause(host.get("message") or "?"))
            found.append((0, (host["name"], "", "", "", "", "", note)))
        found += [(0, (host["name"], "", "", "", "", "", problem)) for problem in host["problems"]]
    return found


def _cause(message: str) -> str:
    """What a message comes to after its introductions: a line is cut at its end, and the whole text is in the page."""
    below = _CAUSED_BY.search(message)
    if below:
        return below.group(1)
    whole = _LINE_ENDS.sub(" ", message).strip()
    at = 0
    begin = _PREAMBLES.match(whole)
    while begin is not None and begin.end() < len(whole):
        at = begin.end()
        begin = _PREAMBLES.match(whole, at)
    return whole[at:].strip()


def _conflicts(report: Document) -> t.List[Line]:
    at = {(host["name"], row["protocol"], row["port"]): row for host in report["hosts"] for row in host["listeners"]}
    found: t.List[Line] = []
    for one in report["conflicts"]:
        place = str(one["port"]) + ("-%d" % one["last"] if "last" in one else "")
        place += "/" + one["protocol"] if "protocol" in one else ""
        note = KINDS[one["kind"]]
        told = one.get("reason") or ("wanted: " + one["wanted"] if "wanted" in one else "")
        row = at.get((one["host"], one.get("protocol"), one["port"]))
        who = _person(row) if row else (", ".join(one["found"]), "", "", "")
        cells = (one["host"], place, *who, "%s: %s" % (note, told) if told else note)
        found.append((5 if one["kind"] == plan.MISSING else 1, cells))
    return found


def _changes(report: Document) -> t.List[Line]:
    found: t.List[Line] = []
    for one in report["changes"]:
        note = one["kind"].replace("_", " ")
        if one["before"] and one["before"] != one["after"]:
            note += ", before: " + ", ".join(one["before"])
        place = "%d/%s" % (one["port"], one["protocol"])
        found.append((2, (one["host"], place, ", ".join(one["after"]), "", "", "", note)))
    return found


def _listeners(report: Document) -> t.List[Line]:
    told = {(one["host"], one.get("protocol"), one["port"]) for one in report["conflicts"]}
    found: t.List[Line] = []
    for host in report["hosts"]:
        seen: t.Set[t.Tuple[str, ...]] = set()
        for row in host["listeners"]:
            if (host["name"], row["protocol"], row["port"]) in told:
                continue
            hidden = listeners.is_hidden(row)
            status = row["owner_status"]
            note = "unknown owner: " + WHY_UNKNOWN.get(status, status) if hidden else ""
            cells = (host["name"], "%d/%s" % (row["port"], row["protocol"]), *_person(row), note)
            # IPv4 and IPv6 are two sockets of one service.
            if cells not in seen:
                seen.add(cells)
                found.append((3 if hidden else 4, cells))
    return found


def _person(row: Document) -> t.Tuple[str, str, str, str]:
    container = row.get("container") or {}
    place = row.get("service") or container.get("name") or container.get("id", "")[:12]
    since = (row.get("started") or row.get("stime") or "").replace("T", " ")
    return row.get("name") or "?", row.get("user") or "", place, since


def _cut(cell: str, most: int) -> str:
    if _width(cell) <= most:
        return cell
    while _width(cell) > most - 1:
        cell = cell[:-1]
    return cell + "…"


def _fill(cell: str, width: int) -> str:
    return cell + " " * (width - _width(cell))


def _width(text: str) -> int:
    """Columns that a terminal takes for it: wide letters two, combining ones none (Unicode, annex 11)."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)
