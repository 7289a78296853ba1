# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which holders go, which may stay, and which must not be touched. Private to harbormaster.ports. Pure.

A part of `decide` that only ``state: free`` needs: reports, by far the most common runs, don't load it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import (
    holders,
    matching,
    reasons,
    rules,
    steps,
    tables,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.case import Case
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.sockets import (
    Index,
    Rows,
    ephemeral_warning,
    is_unclear,
    unseen_warning,
    will_linger,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    CONNECTION,
    FREE,
    LEFTOVER,
    LINGERING,
    Holder,
    Plan,
    Policy,
    PortPlan,
    Snapshot,
    Step,
)


def plan(snapshot: Snapshot, policy: Policy, index: Index, seen: t.Sequence[PortPlan]) -> Plan:
    """The steps that free the ports, or the refusals when only one holder of one port must not be stopped.

    :param seen: the ports as they are.
    """
    general = ephemeral_warning(seen) + unseen_warning(snapshot, seen)
    asked = {(port.wish.port, port.wish.protocol) for port in seen}
    judged = _kept_elsewhere(snapshot, policy, [_judged(snapshot, policy, port, asked) for port in seen])
    planned = steps.plan(snapshot, policy, judged)
    judged = steps.refuse_empty(judged, planned)
    names: t.Tuple[str, ...] = ()
    if snapshot.resolver is not None:
        from ansible_collections.harbormaster.ports.plugins.module_utils._decide import joint

        judged, planned, names = joint.names(snapshot, policy, judged, planned)
    unread = "; ".join(blind.text for blind in snapshot.blind if blind.code == "others_unread")
    if policy.collateral == "refuse":
        judged = steps.refuse_collateral(judged, planned, unread)
    if any(port.refusal for port in judged):
        return Plan(tuple(judged), (), general)
    warnings = names
    if policy.collateral != "accept":
        warnings += _besides(planned)
        # What is not seen is not "nothing".
        warnings += (unread,) if unread and planned else ()
    warnings += tuple(
        "stopping %s may leave %s alive (KillMode= of its unit): who then still has the port is signalled"
        % (step.target, ", ".join("%s (pid %d)" % (target.name, target.pid) for target in step.survivors))
        for step in planned
        if step.survivors
    )
    warnings += _other_init(snapshot, planned) + _unsent(policy, planned) + _unasked(snapshot, planned)
    predicted = tuple(_predicted(snapshot, port, index.rows(port.wish)) for port in judged)
    return Plan(predicted, tuple(planned), general + warnings)


def _besides(planned: t.Sequence[Step]) -> t.Tuple[str, ...]:
    """What the steps free and stop that nobody asked for."""
    frees = ("stopping %s also frees %s" % (one.target, ", ".join(one.also_frees)) for one in planned if one.also_frees)
    stops = ("stopping %s also stops %s" % (one.target, ", ".join(one.also_stops)) for one in planned if one.also_stops)
    return (*frees, *stops)


def _beside_kept(snapshot: Snapshot, port: PortPlan) -> PortPlan:
    """What is left of a port when all that may stay is a connection: a server can bind beside it, where a bind said so."""
    kept = [holder for holder in port.holders if holder.outcome == "kept"]
    said = {snapshot.bindable.get((row.protocol, row.port, row.address)) for holder in kept for row in holder.sockets}
    if any(holder.kind != CONNECTION for holder in kept) or None in said:
        return port
    return port._replace(bindable=False) if False in said else port._replace(status=LINGERING, bindable=True)


def _unsent(policy: Policy, planned: t.Sequence[Step]) -> t.Tuple[str, ...]:
    """A warning about each manager that stops in its own way, where the task names a signal."""
    if policy.signal == "TERM":
        return ()
    return tuple(
        "signal: %s is not sent to %s: its manager stops it in its own way (method: signal sends it)"
        % (policy.signal, step.target)
        for step in planned
        if step.actuator not in ("signal", "destroy")
    )


def _other_init(snapshot: Snapshot, planned: t.Sequence[Step]) -> t.Tuple[str, ...]:
    """A warning where the first process is none that says what it would start again."""
    first = snapshot.processes.get(1)
    if first is None or not matching.program(first, tables.OTHER_INITS):
        return ()
    return tuple(
        "%s may be a service of %s, which may start it again, now or at boot; stop it with rc-service or service too"
        % (step.target, first.name)
        for step in planned
        if step.action == "signal" and snapshot.processes[step.roots[0].pid].parent_pid == 1
    )


def _unasked(snapshot: Snapshot, planned: t.Sequence[Step]) -> t.Tuple[str, ...]:
    """What a look that changes nothing can't know: what a supervisor or an engine of another account would answer."""
    containers = [(container, set(container.inside)) for container in snapshot.containers if container.unasked]
    engines = (
        (step, next((one for one, inside in containers if inside & {target.pid for target in step.roots}), None))
        for step in planned
    )
    return tuple(
        "%s is known to %s of uid %s, a program of another account, which is not asked now: the run that stops it asks it, as "
        "that account, acts on the container or unit that it names, and may refuse that, as for the names in keep, protect and "
        "stop_only" % (step.target, container.engine, container.user)
        for step, container in engines
        if container is not None
    ) + tuple(
        "%s is run by %s (pid %d), a program of another account, which is not asked now: the run that stops it asks it, as "
        "that account, and fails with supervised when it does not answer"
        % (step.target, step.supervised.supervisor, step.supervised.pid)
        for step in planned
        if step.supervised is not None and step.supervised.unasked
    )


def _judged(snapshot: Snapshot, policy: Policy, port: PortPlan, asked: t.AbstractSet[t.Tuple[int, str]]) -> PortPlan:
    """Each holder asked against the rules. A port that a bind says yes to needs nothing."""
    if port.status in (FREE, LINGERING):
        return port
    answered: t.List[Holder] = []
    for found in port.holders:
        holder = holders.named_suspects(snapshot, policy, port.wish, found)
        who = holders.describe(snapshot, holder)
        case = Case(snapshot, policy, port.wish, holder, who, holders.main_process(snapshot, holder), asked)
        if rules.may_stay(case):
            answered.append(holder._replace(outcome="kept"))
            continue
        if holder.kind == LEFTOVER and port.bindable is not False:
            answered.append(holder)
            continue
        refusal = rules.refusal(case)
        if refusal is None and is_unclear(holder.sockets, port.wish.address):
            refusal = reasons.unclear_family(who, port.wish.label)
        if refusal:
            answered.append(holder._replace(outcome="refused", refusal=refusal))
        else:
            answered.append(holder._replace(stoppable=True))
    refusals = sorted((holder.refusal for holder in answered if holder.refusal), key=lambda refusal: refusal.passing)
    kept = any(holder.outcome == "kept" for holder in answered)
    return port._replace(holders=tuple(answered), refusal=refusals[0] if refusals else None, kept=kept and not refusals)


def _kept_elsewhere(snapshot: Snapshot, policy: Policy, ports: t.Sequence[PortPlan]) -> t.List[PortPlan]:
    """The ports, with a refusal where a holder would be stopped that may stay on another one: it can't do both."""
    keeping: t.Dict[t.Any, PortPlan] = {}
    for port in ports:
        for holder in port.holders:
            if holder.outcome == "kept" and holder.kind != CONNECTION:
                keeping.update(dict.fromkeys(_is(holder), port))
    answer = []
    for port in ports:
        marked = []
        clashes = []
        for holder in port.holders:
            ends = steps.reach(snapshot, policy, holder) if keeping and holder.stoppable else set()
            clash = next((keeping[one] for one in keeping if one in ends), None)
            if holder.stoppable and holder.kind != CONNECTION and clash is not None:
                refusal = reasons.kept_elsewhere(holder.name, clash.wish.label)
                marked.append(holder._replace(stoppable=False, outcome="refused", refusal=refusal))
                clashes.append(refusal)
            else:
                marked.append(holder)
        judged = port._replace(holders=tuple(marked))
        if clashes:
            judged = judged._replace(refusal=clashes[0] if _may_wait(port) else port.refusal, kept=False)
        answer.append(judged)
    return answer


def _is(holder: Holder) -> t.Set[t.Any]:
    """What a holder is known by: its pids, its unit, its container."""
    known: t.Set[t.Any] = set(holder.pids) - {1}
    if holder.unit is not None:
        known.add(holder.unit)
    if holder.container is not None:
        known.add(holder.container.key)
    return known


def _may_wait(port: PortPlan) -> bool:
    return port.refusal is None or port.refusal.passing


def _predicted(snapshot: Snapshot, port: PortPlan, rows: Rows) -> PortPlan:
    """The port as it will be when the steps are done."""
    stopped = [holder for holder in port.holders if holder.stoppable]
    if not stopped:
        return port
    after = tuple(holder._replace(outcome="stopped") if holder.stoppable else holder for holder in port.holders)
    if port.kept:
        return _beside_kept(snapshot, port._replace(holders=after))
    serving = any(holder.kind not in (CONNECTION, LEFTOVER) for holder in stopped)
    status = LINGERING if serving and will_linger(rows) else FREE
    return port._replace(holders=after, status=status, bindable=True)
