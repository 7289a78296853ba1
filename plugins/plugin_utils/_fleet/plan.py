# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan against what was seen: who is in its way. Private to harbormaster.ports. Pure.

There are two judges. What port_owner said of a host, it has judged with everything that it knows there. Where it has said
nothing, the facts are compared with the plan: they know listeners, not outgoing connections, and not what is protected.
"""

from __future__ import annotations

import fnmatch
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError
from ansible_collections.harbormaster.ports.plugins.module_utils._wishes import parse_ports, plain_address
from ansible_collections.harbormaster.ports.plugins.plugin_utils import _plan, _questions
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import listeners

Row = listeners.Row
Conflict = t.Dict[str, t.Any]
Key = t.Tuple[int, str, t.Optional[str]]

IN_THE_WAY, REFUSED, UNKNOWN_OWNER, MISSING = "in_the_way", "refused", "unknown_owner", "missing"
KINDS = (REFUSED, UNKNOWN_OWNER, IN_THE_WAY, MISSING)  # worst first
_REASONS = {
    REFUSED: "not in stop_only",
    UNKNOWN_OWNER: "owner not visible",
    IN_THE_WAY: "must be stopped first",
}


class Item(t.NamedTuple):
    """One wish of a plan.

    :param protocol: None for any.
    :param owner: who shall hold it; empty or None: nobody.
    """

    first: int
    last: int
    protocol: t.Optional[str]
    address: t.Optional[str]
    owner: t.Optional[t.Tuple[str, ...]]
    keep: t.Optional[t.Tuple[str, ...]]
    stop_only: t.Optional[t.Tuple[str, ...]]
    user: t.Optional[t.Tuple[str, ...]]

    def document(self) -> Row:
        """As the report keeps it; what was not said is not there."""
        names = {
            name: list(value) for name, value in self._asdict().items() if name in _plan.NAMES and value is not None
        }
        place: Row = {"port": self.first}
        if self.last != self.first:
            place["last"] = self.last
        if self.protocol:
            place["protocol"] = self.protocol
        if self.address:
            place["address"] = self.address
        return {**place, **names}

    def wanted(self) -> str:
        """What is wished, for people."""
        if self.owner:
            return "held by " + " or ".join(self.owner) + _accounts(self.user)
        parts = ["free"]
        if self.keep:
            parts.append("or held by " + " or ".join(self.keep))
        if self.stop_only:
            parts.append("only %s may be stopped" % " or ".join(self.stop_only))
        return ", ".join(parts) + _accounts(self.user)


def parse(plan: t.Any, option: str) -> t.Tuple[Item, ...]:
    """Understand a plan, as the role takes it; names of services are looked up on the controller.

    :raises PlanError: for each value that can't be used.
    """
    try:
        return tuple(_item(item, "%s[%d]" % (option, index)) for index, item in enumerate(_plan.items(plan, option)))
    except OptionError as error:
        raise _plan.PlanError(error.message) from error


def judge(
    items: t.Sequence[Item], rows: t.Sequence[Row], judged: t.Mapping[Key, t.Optional[Conflict]]
) -> t.List[Conflict]:
    """Every conflict of one host, by port.

    :param rows: what it listens on.
    :param judged: what port_owner has said, see `by_port_owner`: a port that is in there is not judged again.
    """
    by_port: t.Dict[int, t.List[Row]] = {}
    for row in rows:
        by_port.setdefault(row["port"], []).append(row)
    found = [conflict for conflict in judged.values() if conflict is not None]
    for item in items:
        found += _by_facts(item, by_port, judged)
    return sorted(found, key=lambda one: (one["port"], one.get("protocol") or "", one.get("address") or ""))


def by_port_owner(result: t.Any) -> t.Dict[Key, t.Optional[Conflict]]:
    """What a task with port_owner has said of each port; None for a port that is as wished.

    Ports of which it has only said who holds them are not in it: it was not asked who should.
    """
    found: t.Dict[Key, t.Optional[Conflict]] = {}
    actions = [one for one in _list(result, "actions") if isinstance(one, t.Mapping)]
    predicted = any(action.get("result") == "predicted" for action in actions)
    for port in _list(result, "ports"):
        if not isinstance(port, t.Mapping) or not isinstance(port.get("port"), int):
            continue
        key = (int(port["port"]), str(port.get("protocol")), listeners.clean(port.get("address")))
        holders = [holder for holder in _list(port, "holders") if isinstance(holder, t.Mapping)]
        outcomes = {holder.get("outcome") for holder in holders}
        base: Conflict = {"port": key[0], "protocol": key[1], "found": [_holder(holder) for holder in holders]}
        if key[2]:
            base["address"] = key[2]
        blocked = port.get("blocked_by")
        if isinstance(blocked, t.Mapping):
            found[key] = {**base, **_refusal(blocked), "judge": "port_owner"}
        elif "stopped" in outcomes and predicted:
            found[key] = {**base, "kind": IN_THE_WAY, "reason": "it would be stopped", "judge": "port_owner"}
        elif port.get("before") in ("free", "lingering") or outcomes & {"stopped", "kept", "gone"}:
            found[key] = None
    return found


def rows_of_port_owner(result: t.Any, ranges: listeners.Ranges, commands: bool) -> t.List[Row]:
    """Holders of the asked ports, as rows like those of the facts: where only port_owner was run."""
    people = {one.get("pid"): one for one in _list(result, "owners") if isinstance(one, t.Mapping)}
    rows: t.List[Row] = []
    for port in _list(result, "ports"):
        if not isinstance(port, t.Mapping):
            continue
        addresses = {one.get("address") for one in _list(port, "sockets") if isinstance(one, t.Mapping)}
        for holder in _list(port, "holders"):
            if not isinstance(holder, t.Mapping) or holder.get("kind") in ("connection", "leftover"):
                continue
            pids = _list(holder, "pids")
            who = people.get(pids[0] if pids else None, {"name": holder.get("name")})
            status = {"kernel": "kernel", "unknown": listeners.UNKNOWN}.get(str(holder.get("kind")), listeners.KNOWN)
            owners = [people[pid] for pid in pids if pid in people]
            raw = {**who, "port": port.get("port"), "owner_status": status, "owners": owners}
            # What an engine publishes by packet filter rules alone has no socket.
            for address in sorted(str(one) for one in addresses if one) or [port.get("address") or "*"]:
                row = listeners.one_row({**raw, "address": address}, str(port.get("protocol")), ranges, commands)
                if row is not None and row["protocol"] in listeners.PROTOCOLS:
                    rows.append(row)
    return listeners.in_order(rows)


def _by_facts(item: Item, by_port: t.Mapping[int, t.List[Row]], judged: t.Mapping[Key, t.Any]) -> t.Iterator[Conflict]:
    wanted = item.wanted()
    missing: t.List[int] = []
    span = range(item.first, item.last + 1)
    # Of a long range only the ports that somebody is on say something, unless each must have an owner.
    for port in span if item.owner else [port for port in span if port in by_port]:
        protocols = [item.protocol] if item.protocol else list(listeners.PROTOCOLS)
        told = [protocol for protocol in protocols if (port, protocol, item.address) in judged]
        asked = _questions.Question(address=item.address)
        here = [
            t.cast(Row, row)  # one of ours
            for row in _questions.ask(by_port.get(port, []), asked)
            if row["protocol"] in protocols
            and row["protocol"] not in told
            # A client's socket, unless UDP is named.
            and not (row["protocol"] == "udp" and row.get("ephemeral") and not item.protocol)
        ]
        if item.owner and not here and not told:
            missing.append(port)
        for protocol in protocols:
            yield from _of_port(item, port, protocol, [row for row in here if row["protocol"] == protocol], wanted)
    for first, last in _spans(missing):
        conflict: Conflict = {"kind": MISSING, "port": first, "wanted": wanted, "found": [], "judge": "facts"}
        if item.protocol:
            conflict["protocol"] = item.protocol
        if last != first:
            conflict["last"] = last
        if item.address:
            conflict["address"] = item.address
        yield {**conflict, "reason": "nobody listens on it"}


def _of_port(item: Item, port: int, protocol: str, here: t.List[Row], wanted: str) -> t.Iterator[Conflict]:
    """At most one conflict: the worst of those who listen on one port of one protocol."""
    kinds: t.Dict[str, t.List[Row]] = {}
    for row in here:
        kind = _kind(item, row)
        if kind:
            kinds.setdefault(kind, []).append(row)
    for kind in KINDS:
        if kind not in kinds:
            continue
        people = list(dict.fromkeys(listeners.label(row) for every in kinds.values() for row in every))
        conflict: Conflict = {
            "kind": kind,
            "port": port,
            "protocol": protocol,
            "wanted": wanted,
            "found": people,
            "judge": "facts",
        }
        if item.address:
            conflict["address"] = item.address
        conflict["reason"] = _REASONS[kind] if not (kind == IN_THE_WAY and item.owner) else "not the planned owner"
        yield conflict
        return


def _kind(item: Item, row: Row) -> t.Optional[str]:
    """What one listener means for the wish; None when it may stay."""
    stays = (item.owner or ()) + (item.keep or ())
    if listeners.is_hidden(row):
        return None if "*" in stays and not item.user else UNKNOWN_OWNER
    if "exe" not in row and any("/" in pattern for pattern in stays + (item.stop_only or ())):
        return UNKNOWN_OWNER  # its executable is asked for, and these facts don't have it
    named = item.stop_only is not None and _is_one_of(row, tuple(one for one in item.stop_only if one != "*"))
    if _is_one_of(row, stays) and not named:
        return IN_THE_WAY if item.owner and item.user and not _runs_as(row, item.user) else None
    if item.stop_only is not None and not _is_one_of(row, item.stop_only):
        return REFUSED
    return REFUSED if item.user and not _runs_as(row, item.user) else IN_THE_WAY


def _is_one_of(row: Row, patterns: t.Tuple[str, ...]) -> bool:
    if not patterns or "*" in patterns:
        return bool(patterns)
    paths = [str(one.get("exe")) for one in row.get("owners") or [row] if one.get("exe")]
    if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns if "/" in pattern for path in paths):
        return True
    # the question takes null for a name that is not known, which the report leaves out
    return bool(_questions.ask([{"name": None, **row}], _questions.Question(owner=patterns)))


def _runs_as(row: Row, accounts: t.Tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(row.get("user") or "", account) for account in accounts)


def _item(item: t.Mapping[str, t.Any], option: str) -> Item:
    (first, last), suffix = parse_ports(item["port"], option + ".port")
    protocol = suffix or item.get("protocol", "any")
    address = None if item.get("address") is None else plain_address(item["address"], option + ".address")
    names = {name: tuple(item[name]) if name in item else None for name in _plan.NAMES}
    return Item(first, last, None if protocol == "any" else protocol, address, **names)


def _accounts(user: t.Optional[t.Tuple[str, ...]]) -> str:
    return " (user %s)" % " or ".join(user) if user else ""


def _spans(ports: t.Iterable[int]) -> t.List[t.Tuple[int, int]]:
    spans: t.List[t.Tuple[int, int]] = []
    for port in ports:
        if spans and spans[-1][1] == port - 1:
            spans[-1] = (spans[-1][0], port)
        else:
            spans.append((port, port))
    return spans


def _refusal(blocked: t.Mapping[str, t.Any]) -> Conflict:
    code = listeners.clean(blocked.get("code")) or "refused"
    kind = {"not_held": MISSING, "hidden_owner": UNKNOWN_OWNER}.get(code, REFUSED)
    told: Conflict = {"kind": kind, "code": code}
    for key in ("reason", "remedy"):
        text = listeners.clean(blocked.get(key), listeners.LONGEST_MESSAGE)
        if text:
            told[key] = text
    if blocked.get("passing") is True:
        told["passing"] = True
    return told


def _holder(holder: t.Mapping[str, t.Any]) -> str:
    name = listeners.clean(holder.get("name")) or "unknown"
    pids = [str(pid) for pid in _list(holder, "pids") if isinstance(pid, int)]
    return "%s (pid %s)" % (name, pids[0]) if pids else name


def _list(found: t.Any, key: str) -> t.List[t.Any]:
    value = found.get(key) if isinstance(found, t.Mapping) else None
    return list(value[: listeners.MOST_ROWS]) if isinstance(value, (list, tuple)) else []
