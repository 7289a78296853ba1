# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is different from an earlier report. Private to harbormaster.ports. Pure.

A port of a host is compared by who has it and on which addresses, never by pid: every restart changes that. What one of
the two reports did not see is not compared, and said to be so.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import listeners

Row = listeners.Row
Document = t.Dict[str, t.Any]

NEW, GONE, OWNER_CHANGED, ADDRESSES_CHANGED = "new", "gone", "owner_changed", "addresses_changed"
KINDS = (NEW, GONE, OWNER_CHANGED, ADDRESSES_CHANGED)

SCHEMA = "harbormaster.ports/fleet-report"
VERSION = 1


class BaselineError(Exception):
    """A file that is no report of ours; a sentence for people."""


class Compared(t.NamedTuple):
    """:param about: what the document says of the baseline. :param changes: one entry a host and port."""

    about: Document
    changes: t.List[Document]


def read(data: bytes, scope: str) -> Document:
    """Understand the JSON of an earlier report: its hosts with their listeners, cleaned like those of a host.

    :param scope: of the new report: what was not asked for in both can't be compared.
    :raises BaselineError: it is none.
    """
    import json

    try:
        document = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BaselineError("it is not JSON: %s" % listeners.clean(str(error))) from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise BaselineError("it is not the JSON of a fleet report, whose schema is %s" % SCHEMA)
    version = document.get("version")
    if version != VERSION:
        raise BaselineError("it has version %s of the schema, this release reads %d" % (version, VERSION))
    hosts = document.get("hosts")
    if not isinstance(hosts, list):
        raise BaselineError("it has no list of hosts")
    if document.get("scope") != scope:
        words = {"all": "all listeners", "plan": "the ports of a plan"}
        raise BaselineError("it has %s, this one has %s" % (words.get(str(document.get("scope")), "?"), words[scope]))
    return {
        "generated": listeners.clean(document.get("generated")) or "?",
        "hosts": [_host(host) for host in hosts],
    }


def compare(earlier: Document, hosts: t.Sequence[Document], planned: t.Callable[[int], bool]) -> Compared:
    """Every difference between two reports.

    :param earlier: of `read`.
    :param hosts: the ``hosts`` of the new document.
    :param planned: whether a port is in a plan.
    """
    before = {host["name"]: host for host in earlier["hosts"]}
    names = {host["name"] for host in hosts}
    about: Document = {
        "generated": earlier["generated"],
        "hosts_new": [host["name"] for host in hosts if host["name"] not in before],
        "hosts_gone": [name for name in before if name not in names],
        "hosts_not_compared": [],
        "ports_not_compared": 0,
        "passing": 0,
    }
    changes: t.List[Document] = []
    for host in hosts:
        old = before.get(host["name"])
        if old is None:
            continue
        unseen = next((one["status"] for one in (host, old) if one["status"] != "ok"), None)
        if unseen:
            when = "now" if host["status"] == unseen else "then"
            about["hosts_not_compared"].append({"host": host["name"], "reason": "%s %s" % (unseen, when)})
            continue
        changes += _host_changes(host, old, about, planned)
    return Compared(about, changes)


def _host(host: t.Any) -> Document:
    if not isinstance(host, dict) or not isinstance(host.get("listeners"), list):
        raise BaselineError("one of its hosts has no list of listeners")
    rows = []
    for raw in host["listeners"]:
        protocol = raw.get("protocol") if isinstance(raw, dict) else None
        row = listeners.one_row(raw, protocol, {}, False) if protocol in listeners.PROTOCOLS else None
        if row is None:
            raise BaselineError("a listener of %s is none: %.80r" % (listeners.clean(host.get("name")), raw))
        if raw.get("ephemeral") is True:
            row["ephemeral"] = True
        rows.append(row)
    return {
        "name": listeners.clean(host.get("name")) or "?",
        "status": listeners.clean(host.get("status")) or "?",
        "listeners": rows,
    }


def _host_changes(
    host: Document, old: Document, about: Document, planned: t.Callable[[int], bool]
) -> t.Iterator[Document]:
    now, then = _by_port(host), _by_port(old)
    for port, protocol in sorted({*now, *then}):
        rows, rows_then = now.get((port, protocol), []), then.get((port, protocol), [])
        kind = _kind(rows, rows_then)
        if kind is None:
            continue
        if kind == "not_compared":
            about["ports_not_compared"] += 1
            continue
        if protocol == "udp" and not planned(port) and all(row.get("ephemeral") for row in rows + rows_then):
            # Clients' sockets come and go.
            about["passing"] += 1
            continue
        change: Document = {"host": host["name"], "kind": kind, "protocol": protocol, "port": port}
        change["before"], change["after"] = _labels(rows_then), _labels(rows)
        change["addresses_before"], change["addresses_after"] = _addresses(rows_then), _addresses(rows)
        if any(row.get("ephemeral") for row in rows + rows_then):
            change["ephemeral"] = True
        yield change


def _by_port(host: Document) -> t.Dict[t.Tuple[int, str], t.List[Row]]:
    found: t.Dict[t.Tuple[int, str], t.List[Row]] = {}
    for row in host["listeners"]:
        found.setdefault((row["port"], row["protocol"]), []).append(row)
    return found


def _kind(rows: t.List[Row], then: t.List[Row]) -> t.Optional[str]:
    if not then:
        return NEW
    if not rows:
        return GONE
    if _who(rows) == _who(then):
        return None if _addresses(rows) == _addresses(then) else ADDRESSES_CHANGED
    if any(listeners.is_hidden(row) for row in rows + then):
        return "not_compared"
    return OWNER_CHANGED


def _who(rows: t.Iterable[Row]) -> t.Set[t.Tuple[t.Any, ...]]:
    """Who has it, without what changes at every start: pid, start time, a container's id where it has a name."""
    found = set()
    for row in rows:
        container = row.get("container") or {}
        place = container.get("name") or container.get("engine")
        found.add((row.get("name"), row.get("user"), row.get("service"), place))
    return found


def _labels(rows: t.Iterable[Row]) -> t.List[str]:
    return sorted({listeners.label(row) for row in rows})


def _addresses(rows: t.Iterable[Row]) -> t.List[str]:
    return sorted({row["address"] for row in rows})
