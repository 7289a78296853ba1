# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision: a pure function from what was seen and what is wished to a Plan. Private to harbormaster.ports.

No clock, no input or output, no Ansible. It is all or nothing: when one holder of one port is refused, the plan
has no steps at all.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import holders, matching, reasons
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.sockets import (
    Index,
    Rows,
    ephemeral_warning,
    is_ephemeral,
    is_unclear,
    unseen_warning,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    CONNECTION,
    ESTABLISHED,
    FREE,
    HELD,
    HELD_UNKNOWN,
    LEFTOVER,
    LINGERING,
    LISTEN,
    TIME_WAIT,
    UDP,
    UNKNOWN,
    Holder,
    Plan,
    Policy,
    PortPlan,
    Refusal,
    Snapshot,
    Wish,
)


def decide(snapshot: Snapshot, wishes: t.Sequence[Wish], policy: Policy) -> Plan:
    """What is the case on each wished port, and the steps that make the wishes true.

    :param snapshot: the rows of all wished ports, their owners, and what a bind said where nothing holds a port.
    :returns: ports in the order of the wishes. Steps only with ``state: free``, and only when nothing is refused.
    """
    index = Index(snapshot)
    seen = [_seen(snapshot, index.rows(wish), wish) for wish in wishes]
    if policy.state == "free":
        from ansible_collections.harbormaster.ports.plugins.module_utils._decide import freeing

        return freeing.plan(snapshot, policy, index, seen)
    warnings = ephemeral_warning([port for port in seen if port.wish.owner]) + unseen_warning(snapshot, seen)
    return Plan(tuple(_present(snapshot, seen)), warnings=warnings)


def _seen(snapshot: Snapshot, rows: Rows, wish: Wish) -> PortPlan:
    """One port as it is, without a judgement."""
    bindable = snapshot.bindable.get(wish.key)
    found = holders.find(snapshot, wish, rows, bindable)
    status = _status(rows, found, bindable, wish.address)
    return PortPlan(
        wish=wish,
        before=status,
        status=status,
        bindable=bindable,
        ephemeral=is_ephemeral(snapshot, wish.port),
        sockets=rows.blocking,
        holders=found,
        established=rows.in_state(ESTABLISHED),
        time_wait=rows.in_state(TIME_WAIT),
    )


def _status(rows: Rows, found: t.Sequence[Holder], bindable: t.Optional[bool], address: t.Optional[str]) -> str:
    if rows.holding:
        unknown = any(holder.kind == UNKNOWN for holder in found) or is_unclear(rows.holding, address)
        return HELD_UNKNOWN if unknown else HELD
    if any(holder.container for holder in found):
        # Its engine sends the port's traffic into the container: a bind may work, and would serve nobody.
        return HELD
    if rows.outgoing:
        return LINGERING if bindable else HELD
    if rows.leftovers:
        return HELD if bindable is False else LINGERING
    return HELD if bindable is False else FREE


def _present(snapshot: Snapshot, seen: t.Sequence[PortPlan]) -> t.Iterator[PortPlan]:
    """``owner`` looks at tcp and udp of one request together: one of them is held, and nobody else is on either."""
    held: t.Dict[t.Tuple[int, int], bool] = {}
    numbers: t.Dict[int, t.List[PortPlan]] = {}
    for port in seen:
        numbers.setdefault(port.wish.port, []).append(port)
        key = (port.wish.request, port.wish.port)
        held[key] = held.get(key, False) or any(_counts(snapshot, port, holder) for holder in port.holders)
    for port in seen:
        owner = _owner(port.wish)
        if owner is None:
            yield port
            continue
        refusal = _unmet(snapshot, port, owner)
        if refusal is None and owner and not held[(port.wish.request, port.wish.port)] and not _told_by_tcp(port.wish):
            refusal = reasons.not_held(", ".join(owner), _found(snapshot, port, owner, numbers[port.wish.port]))
        yield port._replace(refusal=refusal)


def _owner(wish: Wish) -> t.Optional[t.Sequence[str]]:
    """Who shall hold the port; ``user`` alone means anybody of these accounts."""
    return wish.owner if wish.owner is not None or wish.user is None else (matching.ANYBODY,)


def _told_by_tcp(wish: Wish) -> bool:
    """Of the two protocols of one request, tcp says that nobody is there."""
    return wish.protocol == UDP and not wish.named


def _in_the_way(port: PortPlan) -> t.List[Holder]:
    """Those who have the port against others; a client's socket on an ephemeral UDP port that nobody named does not."""
    if port.status in (FREE, LINGERING):
        return []
    return [
        holder
        for holder in port.holders
        if holder.kind != LEFTOVER and not (holder.kind == CONNECTION and port.wish.protocol == UDP)
    ]


def _serves(holder: Holder) -> bool:
    """Whether somebody can come in here: by a listener, an unconnected UDP socket, or what a container publishes.

    A connection, and a socket that is only bound, serve nobody.
    """
    if holder.container is not None:
        return True
    return any(row.state == LISTEN or (row.protocol == UDP and not row.remote_port) for row in holder.sockets)


def _counts(snapshot: Snapshot, port: PortPlan, holder: Holder) -> bool:
    """Whether this is somebody who serves the port, so that the wish can be met.

    An ephemeral UDP port that nobody named is a client's, unless it is the very owner who has it.
    """
    if not _serves(holder):
        return False
    if holder.kind != CONNECTION:
        return port.status not in (FREE, LINGERING)
    named = [name for name in _owner(port.wish) or () if name != matching.ANYBODY]
    main = holders.main_process(snapshot, holder)
    return holders.matches(snapshot, holder, main, named) and matching.runs_as(main, port.wish.user)


def _unmet(snapshot: Snapshot, port: PortPlan, owner: t.Sequence[str]) -> t.Optional[Refusal]:
    """Who has the port and should not."""
    wanted = ", ".join(owner) or "nobody"
    for holder in _in_the_way(port):
        main = holders.main_process(snapshot, holder)
        who = holders.describe(snapshot, holder)
        if holder.kind == UNKNOWN and (tuple(owner) != (matching.ANYBODY,) or not holder.sockets):
            return holders.hidden(snapshot, holder)._replace(passing=True)
        if not holders.matches(snapshot, holder, main, owner):
            return reasons.owner_mismatch(who, "owner", wanted)
        if not matching.runs_as(main, port.wish.user):
            account = str(main.user) if main else "somebody unknown"
            return reasons.user_mismatch(who, account, ", ".join(port.wish.user or ()))._replace(passing=True)
    return None


def _found(snapshot: Snapshot, port: PortPlan, owner: t.Sequence[str], same: t.Sequence[PortPlan]) -> t.List[str]:
    """What there is instead of the wanted server, as clauses: its connections, and the other protocol of the port.

    :param same: everything that was asked about this number.
    """
    clauses = []
    for holder in port.holders:
        if holder.kind == LEFTOVER or not holder.sockets or _serves(holder):
            continue
        connected = any(row.remote_port for row in holder.sockets)
        who = holders.describe(snapshot, holder)
        clauses.append("%s %s" % (who, "has only a connection on it" if connected else "has only bound it"))
    for other in same:
        if other.wish.protocol != port.wish.protocol:
            clauses += [
                "%s is held by %s" % (other.wish.label, holders.describe(snapshot, holder))
                for holder in other.holders
                if holder.kind != LEFTOVER
                and holders.matches(snapshot, holder, holders.main_process(snapshot, holder), owner)
            ]
    return list(dict.fromkeys(clauses))
