# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which holders go, which may stay, and which must not be touched. Private to harbormaster.ports. Pure.

A part of `decide` that only ``state: free`` needs: reports, by far the most common runs, don't load it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import holders, rules, steps
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.sockets import (
    Index,
    Rows,
    ephemeral_warning,
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
)


def plan(snapshot: Snapshot, policy: Policy, index: Index, seen: t.Sequence[PortPlan]) -> Plan:
    """The steps that free the ports, or the refusals when only one holder of one port must not be stopped.

    :param seen: the ports as they are.
    """
    judged = [_judged(snapshot, policy, port) for port in seen]
    planned = steps.plan(snapshot, policy, judged)
    if policy.collateral == "refuse":
        judged = steps.refuse_collateral(judged, planned)
    if any(port.refusal for port in judged):
        return Plan(tuple(judged), (), ephemeral_warning(judged))
    warnings = tuple(
        "stopping %s also frees %s" % (step.target, ", ".join(step.also_frees)) for step in planned if step.also_frees
    )
    going = {target.pid for step in planned for target in step.roots}
    predicted = tuple(_predicted(_gone_from(port, going), index.rows(port.wish)) for port in judged)
    return Plan(predicted, tuple(planned), ephemeral_warning(judged) + warnings)


def _judged(snapshot: Snapshot, policy: Policy, port: PortPlan) -> PortPlan:
    """Each holder asked against the rules. A port that a bind says yes to needs nothing."""
    if port.status in (FREE, LINGERING):
        return port
    answered: t.List[Holder] = []
    for holder in port.holders:
        who = holders.describe(snapshot, holder)
        case = rules.Case(snapshot, policy, port.wish, holder, who, holders.main_process(snapshot, holder))
        if rules.may_stay(case):
            answered.append(holder._replace(outcome="kept"))
            continue
        if holder.kind == LEFTOVER and port.bindable is not False:
            answered.append(holder)
            continue
        refusal = rules.refusal(case)
        if refusal:
            answered.append(holder._replace(outcome="refused", refusal=refusal))
        else:
            answered.append(holder._replace(stoppable=True))
    refusals = sorted((holder.refusal for holder in answered if holder.refusal), key=lambda refusal: refusal.passing)
    kept = any(holder.outcome == "kept" for holder in answered)
    return port._replace(holders=tuple(answered), refusal=refusals[0] if refusals else None, kept=kept and not refusals)


def _gone_from(port: PortPlan, going: t.Set[int]) -> PortPlan:
    """The port, when a holder that may stay on it has to go from another one: it goes from both."""
    marked = tuple(
        holder._replace(outcome="none", stoppable=True)
        if holder.outcome == "kept" and holder.kind != CONNECTION and going.intersection(holder.pids[:1])
        else holder
        for holder in port.holders
    )
    return port._replace(holders=marked, kept=any(holder.outcome == "kept" for holder in marked))


def _predicted(port: PortPlan, rows: Rows) -> PortPlan:
    """The port as it will be when the steps are done."""
    stopped = [holder for holder in port.holders if holder.stoppable]
    if not stopped:
        return port
    after = tuple(holder._replace(outcome="stopped") if holder.stoppable else holder for holder in port.holders)
    if port.kept:
        return port._replace(holders=after)
    serving = any(holder.kind not in (CONNECTION, LEFTOVER) for holder in stopped)
    status = LINGERING if serving and will_linger(rows) else FREE
    return port._replace(holders=after, status=status, bindable=True)
