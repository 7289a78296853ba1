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
    status = _status(rows, found, bindable)
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


def _status(rows: Rows, found: t.Sequence[Holder], bindable: t.Optional[bool]) -> str:
    if rows.holding:
        return HELD_UNKNOWN if any(holder.kind == UNKNOWN for holder in found) else HELD
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
    for port in seen:
        key = (port.wish.request, port.wish.port)
        held[key] = held.get(key, False) or bool(_serving(port))
    for port in seen:
        owner = port.wish.owner if port.wish.owner is not None or port.wish.user is None else (matching.ANYBODY,)
        if owner is None:
            yield port
            continue
        yield port._replace(refusal=_unmet(snapshot, port, owner, held[(port.wish.request, port.wish.port)]))


def _serving(port: PortPlan) -> t.List[Holder]:
    """Those who hold the port against others; a client's socket on an ephemeral UDP port that nobody named is none."""
    if port.status in (FREE, LINGERING):
        return []
    return [
        holder
        for holder in port.holders
        if holder.kind != LEFTOVER and not (holder.kind == CONNECTION and port.wish.protocol == UDP)
    ]


def _unmet(snapshot: Snapshot, port: PortPlan, owner: t.Sequence[str], held: bool) -> t.Optional[Refusal]:
    wanted = ", ".join(owner) or "nobody"
    for holder in _serving(port):
        main = holders.main_process(snapshot, holder)
        who = holders.describe(snapshot, holder)
        if holder.kind == UNKNOWN and tuple(owner) != (matching.ANYBODY,):
            return holders.hidden(snapshot, port.wish, holder)._replace(passing=True)
        if not holders.matches(snapshot, holder, main, owner):
            return reasons.owner_mismatch(who, "owner", wanted)
        if not matching.runs_as(main, port.wish.user):
            account = str(main.user) if main else "somebody unknown"
            return reasons.user_mismatch(who, account, ", ".join(port.wish.user or ()))._replace(passing=True)
    if held or not owner or (port.wish.protocol == UDP and not port.wish.named):
        # Of the two protocols of one request, tcp says that nobody is there.
        return None
    return reasons.not_held(wanted)
