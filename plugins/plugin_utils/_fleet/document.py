# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what each host has said to the one document of the report. Private to harbormaster.ports. Pure.

docs/fleet-report.schema.json describes the document. Whoever adds a key adds it there; whoever takes one away or changes
what it means raises baseline.VERSION.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import PortsError
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import baseline, listeners, plan
from ansible_collections.harbormaster.ports.plugins.plugin_utils._questions import QuestionError

Document = t.Dict[str, t.Any]

OK, FAILED, UNREACHABLE, NOT_RUN = "ok", "failed", "unreachable", "not_run"
STATUSES = (OK, FAILED, UNREACHABLE, NOT_RUN)

_LEFT = "it left the play before its turn came: the first failure of the run says why"
_OUTSIDE = "it is not in this run: outside of --limit, or not among the hosts of the play"
_WAITS = "its turn has not come, or nothing was asked of it"


class Given(t.NamedTuple):
    """What the run knows of one host.

    :param in_play: the play was to run on it.
    :param active: it has not left the play since.
    :param facts: registered result of listen_ports_facts, or facts alone; None when there is none.
    :param result: registered result of port_owner.
    :param items: its plan, None or empty when it has none.
    :param plan_error: why its plan is not usable.
    """

    name: str
    in_play: bool = True
    active: bool = True
    groups: t.Tuple[str, ...] = ()
    facts: t.Optional[t.Mapping[str, t.Any]] = None
    result: t.Optional[t.Mapping[str, t.Any]] = None
    items: t.Optional[t.Tuple[plan.Item, ...]] = None
    plan_error: t.Optional[str] = None


class Frame(t.NamedTuple):
    """What is said of the report as a whole.

    :param generated: ISO 8601, UTC.
    :param facts_asked: hosts were asked for all of their listeners, not only for the ports of a plan.
    :param commands: command lines are shown.
    """

    generated: str
    title: str = "Ports of the fleet"
    collection: str = ""
    ansible: str = ""
    facts_asked: bool = True
    commands: bool = False


def assemble(
    frame: Frame,
    hosts: t.Sequence[Given],
    earlier: t.Optional[Document] = None,
    notices: t.Sequence[t.Mapping[str, str]] = (),
) -> Document:
    """The whole document.

    :param earlier: the document of an earlier run, as `baseline.read` gives it.
    :param notices: what people must know of the report itself, with ``code`` and ``text``.
    """
    plans: t.List[t.Tuple[plan.Item, ...]] = []
    entries: t.List[Document] = []
    conflicts: t.List[Document] = []
    for given in hosts:
        entry = _host(given, frame)
        if given.items:
            if given.items not in plans:
                plans.append(given.items)
            entry["plan"] = plans.index(given.items)
            if entry["status"] == OK:
                conflicts += _conflicts(given, entry)
        entries.append(entry)
    document: Document = {
        "schema": baseline.SCHEMA,
        "version": baseline.VERSION,
        "generated": frame.generated,
        "title": listeners.clean(frame.title) or "",
        "generator": {"collection": frame.collection, "ansible": frame.ansible},
        "scope": "all" if frame.facts_asked else "plan",
        "commands": frame.commands,
        "notices": [dict(notice) for notice in notices],
        "summary": {},
        "plans": [[item.document() for item in items] for items in plans],
        "conflicts": conflicts,
        "baseline": None,
        "changes": [],
        "hosts": entries,
    }
    if earlier is not None:
        compared = baseline.compare(earlier, entries, _planned(plans))
        document["baseline"], document["changes"] = compared.about, compared.changes
    document["summary"] = summary(document)
    return document


def summary(document: Document) -> Document:
    """The numbers, small enough for ``set_stats``. ``complete`` is only true when every host has said all it was asked."""
    hosts = document["hosts"]
    counts = {status: sum(host["status"] == status for host in hosts) for status in STATUSES}
    rows = [row for host in hosts for row in host["listeners"]]
    kinds = [one["kind"] for one in document["conflicts"]]
    changed = [one["kind"] for one in document["changes"]]
    return {
        "complete": bool(hosts) and counts[OK] == len(hosts) and not any(host["problems"] for host in hosts),
        "hosts": {"total": len(hosts), **counts, "with_problems": sum(bool(host["problems"]) for host in hosts)},
        "listeners": len(rows),
        "ports": len({(row["protocol"], row["port"]) for row in rows}),
        "unknown_owners": sum(listeners.is_hidden(row) for row in rows),
        "ephemeral": sum(row.get("ephemeral", False) for row in rows),
        "conflicts": None
        if not document["plans"]
        else {
            # nobody there yet is what a deploy is for
            "total": sum(kind != plan.MISSING for kind in kinds),
            **{kind: kinds.count(kind) for kind in plan.KINDS},
        },
        "changes": None
        if document["baseline"] is None
        else {"total": len(changed), **{kind: changed.count(kind) for kind in baseline.KINDS}},
    }


def sentence(numbers: Document) -> str:
    """The summary as one line for people, what is missing first."""
    hosts = numbers["hosts"]
    parts = []
    if not hosts["total"]:
        return "no hosts: nothing is known"
    missing = ["%d %s" % (hosts[one], one.replace("_", " ")) for one in STATUSES if one != OK and hosts[one]]
    if missing:
        parts.append("PARTIAL, %s of %d hosts" % (", ".join(missing), hosts["total"]))
    elif hosts["with_problems"]:
        parts.append("PARTIAL, %d of %d hosts with problems" % (hosts["with_problems"], hosts["total"]))
    parts.append(
        "%s on %s" % (_count(numbers["listeners"], "listener", "listeners"), _count(hosts[OK], "host", "hosts"))
    )
    if numbers["conflicts"] is not None:
        parts.append(_count(numbers["conflicts"]["total"], "conflict with the plan", "conflicts with the plan"))
    if numbers["changes"] is not None:
        parts.append(_count(numbers["changes"]["total"], "change", "changes"))
    if numbers["unknown_owners"]:
        parts.append(_count(numbers["unknown_owners"], "unknown owner", "unknown owners"))
    return "; ".join(parts)


def _host(given: Given, frame: Frame) -> Document:
    """One entry of ``hosts``: status, why, and what it listens on."""
    asked = given.facts if frame.facts_asked else given.result
    status, message = _status(given, asked, frame.facts_asked)
    ranges = listeners.read_ranges(asked.get("ephemeral") if asked else None)
    entry: Document = {
        "name": listeners.clean(given.name) or "?",
        "status": status,
        "groups": [listeners.clean(group) or "?" for group in given.groups],
        "problems": [],
        "listeners": [],
    }
    if message:
        entry["message"] = listeners.clean(message, listeners.LONGEST_MESSAGE)
    if ranges["tcp"] or ranges["udp"]:
        entry["ephemeral"] = {protocol: [list(pair) for pair in pairs] for protocol, pairs in ranges.items()}
    if status == OK and frame.facts_asked:
        found = listeners.read(_facts(asked), ranges, frame.commands)
        entry["listeners"], entry["problems"] = found.rows, found.problems
    elif status == OK:
        entry["listeners"] = plan.rows_of_port_owner(asked, ranges, frame.commands)
    # The role fails for it as well, in the same words.
    if given.plan_error and given.plan_error not in str(message):
        entry["problems"].append("its plan is not usable: " + (listeners.clean(given.plan_error, 500) or "?"))
    elif frame.facts_asked and _not_judged(given.result):
        why = listeners.clean((given.result or {}).get("msg"), 500)
        entry["problems"].append("port_owner could not judge its plan: %s" % (why or "no reason given"))
    return entry


def _status(given: Given, asked: t.Optional[t.Mapping[str, t.Any]], facts: bool) -> t.Tuple[str, t.Optional[str]]:
    if asked is None:
        if not given.in_play:
            return NOT_RUN, _OUTSIDE
        return (NOT_RUN, _WAITS) if given.active else (FAILED, _LEFT)
    said = asked.get("msg")
    if asked.get("unreachable"):
        return UNREACHABLE, said or "no reason given"
    if isinstance(_facts(asked), t.Mapping) if facts else _has_ports(asked):
        return OK, None
    if asked.get("skipped"):
        return NOT_RUN, "the task was skipped: %s" % (asked.get("skip_reason") or "a condition was not met")
    nothing = "its result holds no %s" % ("facts about ports" if facts else "ports")
    return FAILED, _failure(said, asked.get("module_stderr")) or nothing


def _failure(said: t.Any, errors: t.Any) -> t.Optional[str]:
    """Why a task has failed. Where Python did not even start, Ansible's own sentence is about JSON, and what tells is in stderr."""
    said = str(said) if said else ""
    first = next((line.strip() for line in str(errors or "").splitlines() if line.strip()), "")
    if not first or first in said:
        return said or None
    return "%s (%s)" % (first, said) if said else first


def _not_judged(result: t.Optional[t.Mapping[str, t.Any]]) -> bool:
    """Whether port_owner was asked and had no answer; whatever a task's own failed_when makes of that."""
    return result is not None and not _has_ports(result) and not result.get("skipped")


def _facts(result: t.Any) -> t.Any:
    """The facts out of a task's result, or facts as they are; None when it holds none."""
    if not isinstance(result, t.Mapping) or result.get("failed"):
        return None
    for facts in (result, result.get("ansible_facts")):
        if isinstance(facts, t.Mapping) and ("tcp_listen" in facts or "udp_listen" in facts):
            return facts
    return None


def _has_ports(result: t.Mapping[str, t.Any]) -> bool:
    return isinstance(result.get("ports"), (list, tuple))


def _conflicts(given: Given, entry: Document) -> t.List[Document]:
    judged = plan.by_port_owner(given.result)
    try:
        found = plan.judge(given.items or (), entry["listeners"], judged)
    except (QuestionError, PortsError) as error:
        entry["problems"].append("its plan could not be judged: %s" % error)
        return []
    return [{"host": entry["name"], **conflict} for conflict in found]


def _planned(plans: t.Iterable[t.Sequence[plan.Item]]) -> t.Callable[[int], bool]:
    spans = {(item.first, item.last) for items in plans for item in items}
    return lambda port: any(first <= port <= last for first, last in spans)


def _count(number: int, one: str, more: str) -> str:
    return "%d %s" % (number, one if number == 1 else more)
