# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision: a pure function from what was seen and what is wished to a Plan. Private to harbormaster.ports.

No clock, no input or output, no Ansible. It is all or nothing: when one holder of one port is refused, the plan
has no steps at all.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import holders, matching, reasons, rules, steps
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.sockets import (
    Index,
    Rows,
    is_ephemeral,
    will_linger,
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
        return _free(snapshot, policy, index, seen)
    return Plan(
        tuple(_present(snapshot, seen)), warnings=_ephemeral_warning([port for port in seen if port.wish.owner])
    )


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
        established=rows.count(ESTABLISHED),
        time_wait=rows.count(TIME_WAIT),
    )


def _status(rows: Rows, found: t.Sequence[Holder], bindable: t.Optional[bool]) -> str:
    if rows.holding:
        return HELD_UNKNOWN if any(holder.kind == UNKNOWN for holder in found) else HELD
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
        yield replace(port, refusal=_unmet(snapshot, port, owner, held[(port.wish.request, port.wish.port)]))


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
            hidden = rules.refusal(rules.Case(snapshot, Policy(), port.wish, holder, who, main))
            return replace(hidden, passing=True) if hidden else None
        if not matching.matches(main, owner):
            return reasons.owner_mismatch(who, "owner", wanted)
        if not matching.runs_as(main, port.wish.user):
            account = str(main.user) if main else "somebody unknown"
            return replace(reasons.user_mismatch(who, account, ", ".join(port.wish.user or ())), passing=True)
    return reasons.not_held(wanted) if owner and not held else None


def _free(snapshot: Snapshot, policy: Policy, index: Index, seen: t.Sequence[PortPlan]) -> Plan:
    judged = [_judged(snapshot, policy, port) for port in seen]
    planned = steps.plan(snapshot, policy, judged)
    if policy.collateral == "refuse":
        judged = steps.refuse_collateral(judged, planned)
    if any(port.refusal for port in judged):
        return Plan(tuple(judged), (), _ephemeral_warning(judged))
    warnings = tuple(
        "stopping %s also frees %s" % (step.target, ", ".join(step.also_frees)) for step in planned if step.also_frees
    )
    predicted = tuple(_predicted(port, index.rows(port.wish)) for port in judged)
    return Plan(predicted, tuple(planned), _ephemeral_warning(judged) + warnings)


def _judged(snapshot: Snapshot, policy: Policy, port: PortPlan) -> PortPlan:
    """Each holder asked against the rules. A port that a bind says yes to needs nothing."""
    if port.status in (FREE, LINGERING):
        return port
    answered: t.List[Holder] = []
    for holder in port.holders:
        who = holders.describe(snapshot, holder)
        case = rules.Case(snapshot, policy, port.wish, holder, who, holders.main_process(snapshot, holder))
        if rules.may_stay(case):
            answered.append(replace(holder, outcome="kept"))
            continue
        if holder.kind == LEFTOVER and port.bindable is not False:
            answered.append(holder)
            continue
        refusal = rules.refusal(case)
        if refusal:
            answered.append(replace(holder, outcome="refused", refusal=refusal))
        else:
            answered.append(replace(holder, stoppable=True))
    refusals = sorted((holder.refusal for holder in answered if holder.refusal), key=lambda refusal: refusal.passing)
    kept = any(holder.outcome == "kept" for holder in answered)
    return replace(port, holders=tuple(answered), refusal=refusals[0] if refusals else None, kept=kept and not refusals)


def _predicted(port: PortPlan, rows: Rows) -> PortPlan:
    """The port as it will be when the steps are done."""
    stopped = [holder for holder in port.holders if holder.stoppable]
    if not stopped:
        return port
    after = tuple(replace(holder, outcome="stopped") if holder.stoppable else holder for holder in port.holders)
    if port.kept:
        return replace(port, holders=after)
    serving = any(holder.kind not in (CONNECTION, LEFTOVER) for holder in stopped)
    status = LINGERING if serving and will_linger(rows) else FREE
    return replace(port, holders=after, status=status, bindable=True)


def _ephemeral_warning(ports: t.Sequence[PortPlan]) -> t.Tuple[str, ...]:
    numbers = sorted({port.wish.port for port in ports if port.ephemeral})
    if not numbers:
        return ()
    shown = ", ".join(map(str, numbers[:5])) + (" and %d more" % (len(numbers) - 5) if len(numbers) > 5 else "")
    return (
        "port %s: inside the range from which the kernel serves outgoing connections, so one of them can take it at any "
        "moment; net.ipv4.ip_local_reserved_ports keeps it out" % shown,
    )
