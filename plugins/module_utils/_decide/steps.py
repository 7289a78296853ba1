# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From stoppable holders to steps. Private to harbormaster.ports. Pure.

One holder on several asked ports is stopped once. What a step does besides, it says.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import holders, matching, reasons, tables
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    BOUND,
    CONNECTION,
    LEFTOVER,
    LISTEN,
    UDP,
    Holder,
    Policy,
    PortPlan,
    Process,
    Snapshot,
    Socket,
    Step,
    Target,
)

PROCESS_GRACE = 30.0


def plan(snapshot: Snapshot, policy: Policy, ports: t.Sequence[PortPlan]) -> t.List[Step]:
    """The steps for every holder that was found stoppable, in the order of the ports, each holder once."""
    found: t.Dict[t.Tuple[t.Any, ...], Step] = {}
    for port in ports:
        for holder in port.holders:
            if not holder.stoppable:
                continue
            step = _step(snapshot, policy, port, holder)
            key = (step.actuator,) + (
                tuple(row.diag_id for row in step.sockets) if step.actuator == "destroy" else holder.pids[:1]
            )
            found[key] = _merged(found[key], step) if key in found else step
    wished = {row for step in found.values() for row in step.sockets}
    return [step._replace(also_frees=_also_frees(snapshot, step, wished)) for step in found.values()]


def refuse_collateral(ports: t.Sequence[PortPlan], planned: t.Sequence[Step]) -> t.List[PortPlan]:
    """The ports, with a refusal on each one whose step would free more than was asked for."""
    refused: t.Dict[str, Step] = {label: step for step in planned if step.also_frees for label in step.ports}
    answer = []
    for port in ports:
        step = refused.get(port.wish.label)
        if step is None or port.refusal is not None:
            answer.append(port)
            continue
        refusal = reasons.collateral(step.target, ", ".join(step.also_frees))
        pids = {target.pid for target in step.roots}
        marked = tuple(
            holder._replace(stoppable=False, outcome="refused", refusal=refusal)
            if pids.intersection(holder.pids)
            else holder
            for holder in port.holders
        )
        answer.append(port._replace(holders=marked, refusal=refusal, kept=False))
    return answer


def polite_signal(process: Process, wanted: str) -> str:
    """The signal that asks this program to end: some do something else on TERM."""
    if wanted != "TERM":
        return wanted
    return next((signal for name, signal in tables.POLITE_SIGNALS if matching.program(process, (name,))), wanted)


def may_kill(process: Process, force: t.Optional[bool]) -> bool:
    """Whether KILL may follow when the grace period is over; databases are spared unless ``force`` says so."""
    if force is not None:
        return force
    return matching.program(process, tables.DATABASES) is None


def _step(snapshot: Snapshot, policy: Policy, port: PortPlan, holder: Holder) -> Step:
    who = holders.describe(snapshot, holder)
    if holder.kind in (CONNECTION, LEFTOVER):
        target = who if holder.kind == LEFTOVER else "connection of %s" % who
        return Step("destroy", "close_socket", target, (port.wish.label,), sockets=holder.sockets, grace=5.0)
    main = snapshot.processes[holder.pids[0]]
    targets = [_target(snapshot.processes[pid]) for pid in holder.pids]
    return Step(
        actuator="signal",
        action="signal",
        target=who,
        ports=(port.wish.label,),
        roots=(targets[0],),
        members=tuple(targets[1:]),
        sockets=holder.sockets,
        signal=polite_signal(main, policy.signal),
        kill=all(may_kill(snapshot.processes[pid], policy.force) for pid in holder.pids),
        grace=PROCESS_GRACE if policy.grace_period is None else policy.grace_period,
    )


def _target(process: Process) -> Target:
    return Target(process.pid, process.start_ticks, process.name)


def _merged(first: Step, second: Step) -> Step:
    """Two steps on the same holder as one."""
    known = set(first.roots) | set(first.members)
    return first._replace(
        ports=first.ports + tuple(label for label in second.ports if label not in first.ports),
        members=first.members + tuple(target for target in second.members if target not in known),
        sockets=first.sockets + tuple(row for row in second.sockets if row not in first.sockets),
        kill=first.kill and second.kill,
    )


def _also_frees(snapshot: Snapshot, step: Step, wished: t.AbstractSet[Socket]) -> t.Tuple[str, ...]:
    """Ports that only the processes of this step have, and that nobody asked for."""
    if step.actuator != "signal":
        return ()
    pids = {target.pid for target in step.roots + step.members}
    labels = {
        (row.port, row.protocol)
        for row in snapshot.other_sockets + snapshot.sockets
        if row not in wished
        and (row.protocol == UDP or row.state in (LISTEN, BOUND))
        and pids.issuperset(snapshot.owners.get(row.inode, (0,)))
    }
    return tuple("%d/%s" % label for label in sorted(labels))
