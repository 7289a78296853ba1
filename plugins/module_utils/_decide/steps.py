# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From stoppable holders to steps. Private to harbormaster.ports. Pure.

One holder on several asked ports is stopped once. What a step does besides, it says.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import (
    by_manager,
    holders,
    managed_steps,
    matching,
    reasons,
    resolving,
    restarts,
    tables,
    units,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import PROVEN
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
    Refusal,
    Snapshot,
    Socket,
    Step,
    Target,
)

PROCESS_GRACE = 30.0

Thing = t.TypeVar("Thing")


def plan(snapshot: Snapshot, policy: Policy, ports: t.Sequence[PortPlan]) -> t.List[Step]:
    """The steps for every holder that was found stoppable, in the order of the ports, each holder once."""
    found: t.List[Step] = []
    # Where the step of a holder, or of a unit, is.
    places: t.Dict[t.Tuple[t.Any, ...], int] = {}
    for port in ports:
        for holder in port.holders:
            if not holder.stoppable:
                continue
            step = _step(snapshot, policy, port, holder)
            at = min((places[key] for key in _keys(step) if key in places), default=len(found))
            if at == len(found):
                found.append(step)
            else:
                found[at] = _merged(found[at], step)
            for key in _keys(step):
                places[key] = at
    found = _units_together(found)
    wished = {row for step in found for row in step.sockets}
    asked = {(port.wish.port, port.wish.protocol) for port in ports}
    # What is asked for itself is nobody's collateral.
    named = {holder.unit.name for port in ports for holder in port.holders if holder.stoppable and holder.unit}
    others = _held_by(snapshot, wished)
    covers = managed_steps.covered(snapshot, found)
    return [
        step._replace(
            also_frees=_also_frees(snapshot, step, others, asked),
            dependants=tuple(name for name in step.dependants if name not in named),
            restarters=restarts.of(snapshot, step),
            watch=restarts.delay(snapshot, step),
            covers=covers[number],
        )
        for number, step in enumerate(found)
    ]


def _units_together(steps: t.Sequence[Step]) -> t.List[Step]:
    """The steps in their order, with all that go through service managers where the first of them is: they stop at once."""
    through = [step for step in steps if step.actuator == "systemd"]
    at = next((number for number, step in enumerate(steps) if step.actuator == "systemd"), 0)
    others = [step for step in steps if step.actuator != "systemd"]
    return others[:at] + through + others[at:]


def is_empty(step: Step) -> bool:
    """Whether there is nothing that a step would act on: it would be told as done, and nothing would have been done."""
    acted_on: t.Mapping[str, t.Tuple[t.Any, ...]] = {
        "signal": (step.roots,),
        "destroy": (step.sockets,),
        "systemd": (step.units,),
        "resolver": (step.units, step.settings),
        "container": (step.container,),
        # Its command is not there where nobody has asked it yet: a prediction, with a warning.
        "supervisor": (step.supervised,),
    }
    return not all(acted_on.get(step.actuator, (None,)))


def refuse_empty(ports: t.Sequence[PortPlan], planned: t.Sequence[Step]) -> t.List[PortPlan]:
    """The ports, with a refusal on each one whose step would do nothing. No rule lets such a holder pass; this is the net."""
    return refuse(
        ports, [step for step in planned if is_empty(step)], lambda step: reasons.nothing_to_act_on(step.target)
    )


def refuse_collateral(ports: t.Sequence[PortPlan], planned: t.Sequence[Step], unread: str = "") -> t.List[PortPlan]:
    """The ports, with a refusal on each one whose step would free or stop more than was asked for.

    :param unread: why it may be more than was seen; then that holds for each step.
    """
    return refuse(
        ports,
        [step for step in planned if step.also_frees or step.dependants or (unread and step.actuator != "destroy")],
        lambda step: (
            reasons.collateral(step.target, ", ".join(step.also_frees), ", ".join(step.dependants))
            if step.also_frees or step.dependants
            else reasons.collateral_unread(step.target, unread)
        ),
    )


def refuse(ports: t.Sequence[PortPlan], steps: t.Sequence[Step], why: t.Callable[[Step], Refusal]) -> t.List[PortPlan]:
    """The ports, with a refusal on each one that one of these steps would free."""
    refused = {label: step for step in steps for label in step.ports}
    answer = []
    for port in ports:
        step = refused.get(port.wish.label)
        if step is None or port.refusal is not None:
            answer.append(port)
            continue
        refusal = why(step)
        marked = tuple(
            holder._replace(stoppable=False, outcome="refused", refusal=refusal)
            if holder.key in step.holders
            else holder
            for holder in port.holders
        )
        answer.append(port._replace(holders=marked, refusal=refusal, kept=False))
    return answer


def reach(snapshot: Snapshot, policy: Policy, holder: Holder) -> t.Set[t.Any]:
    """What ends when a holder is stopped: its pids, its container, and the units that stop with it, with their pids."""
    ends: t.Set[t.Any] = set(holder.pids) - {1}
    if holder.container is not None:
        ends.add(holder.container.key)
    if by_manager.way(policy, holder) == by_manager.BY_SERVICE and holder.unit is not None:
        chosen = units.group(snapshot, holder.unit)
        for facts in chosen + units.dependants(snapshot, chosen):
            ends.add(facts.unit)
            ends.update(facts.pids)
    elif holder.unit is not None:
        ends.add(holder.unit)
    return ends


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
        return Step(
            "destroy",
            "close_socket",
            target,
            (port.wish.label,),
            sockets=holder.sockets,
            grace=5.0,
            holders=(holder.key,),
        )
    # PID 1 has the sockets that it activates; nobody ever asks it to end.
    targets = [as_target(snapshot.processes[pid]) for pid in holder.pids if pid > 1]
    common = Step(
        actuator="signal",
        action="signal",
        target=who,
        ports=(port.wish.label,),
        roots=tuple(targets[:1]),
        members=tuple(targets[1:]),
        sockets=holder.sockets,
        holders=(holder.key,),
        persist=policy.persist,
    )
    by = by_manager.way(policy, holder)
    if by != by_manager.BY_SIGNAL:
        step = managed_steps.BUILDERS[by](snapshot, policy, port.wish, holder, common)
        if not step.survivors:
            return step
        step = _signalled(snapshot, policy, step, step.survivors)
        facts = snapshot.units.get(holder.unit) if holder.unit is not None else None
        # SendSIGKILL=no is its administrator's word that nothing of it is killed.
        return step._replace(kill=step.kill and (policy.force is True or facts is None or facts.kills))
    grace = PROCESS_GRACE if policy.grace_period is None else policy.grace_period
    suspected = bool(holder.sockets) and not any(row.inode in snapshot.owners for row in holder.sockets)
    step = _signalled(snapshot, policy, common, targets)._replace(
        grace=grace, suspected=suspected, nameless=_is_nameless(snapshot, policy, port, holder)
    )
    facts = snapshot.units.get(holder.unit) if holder.unit is not None else None
    if facts is None:
        return step
    # Who is started again after KILL, and not after a polite end, is left to that.
    return step._replace(kill=step.kill and not units.restarts(facts, "KILL"))


def _is_nameless(snapshot: Snapshot, policy: Policy, port: PortPlan, holder: Holder) -> bool:
    """Whether no name of a holder's processes has a word in what is done to them, as all of these are claims that the task overrules."""
    by_name = (port.wish.stop_only, port.wish.keep, policy.protect or None)
    if policy.method != "signal" or policy.force is not True or any(option is not None for option in by_name):
        return False
    known = [snapshot.processes[pid] for pid in holder.pids if pid in snapshot.processes]
    return all(not process.proven and process.account for process in known)


def _signalled(snapshot: Snapshot, policy: Policy, step: Step, targets: t.Sequence[Target]) -> Step:
    """A step with how these processes are asked to end, and whether they may be killed."""
    processes = [snapshot.processes[target.pid] for target in targets]
    return step._replace(
        signal=polite_signal(processes[0], policy.signal) if processes else policy.signal,
        kill=all(may_kill(process, policy.force) for process in processes),
    )


def as_target(process: Process) -> Target:
    """A process as what it is known by."""
    return Target(
        process.pid,
        process.start_ticks,
        process.name,
        matching.executable(process),
        matching.names_of(process) | {name + PROVEN for name in process.proven},
        process.command or "",
        process.image,
    )


def _keys(step: Step) -> t.List[t.Tuple[t.Any, ...]]:
    """What makes two steps one: the same holder, or a unit of one manager, which stops in one call anyway."""
    return [(step.actuator, key) for key in (*step.holders, *(target.unit for target in step.units))]


def _merged(first: Step, second: Step) -> Step:
    """Two steps on the same holder as one."""
    known = set(first.roots) | set(first.members)
    primary = tuple(target.unit.name for target in first.units[:1])
    besides = tuple(target.unit.name for target in second.units[:1]) + second.also_stops
    # One that signals nobody has nothing to say about how.
    signalling = [step for step in (first, second) if step.actuator == "signal" or step.survivors] or [first]
    return first._replace(
        ports=_union(first.ports, second.ports),
        members=first.members + tuple(target for target in second.roots + second.members if target not in known),
        sockets=_union(first.sockets, second.sockets),
        holders=_union(first.holders, second.holders),
        units=_union(first.units, second.units),
        also_stops=tuple(name for name in _union(first.also_stops, besides) if name not in primary),
        dependants=_union(first.dependants, second.dependants),
        disable=_union(first.disable, second.disable),
        mask=_union(first.mask, second.mask),
        returns_at_boot=first.returns_at_boot or second.returns_at_boot,
        undo=_both_undone(first, second),
        settings=_union(first.settings, second.settings),
        relink=first.relink or second.relink,
        survivors=_union(first.survivors, second.survivors),
        signal=signalling[0].signal,
        kill=all(step.kill for step in signalling),
        grace=max(first.grace, second.grace),
    )


def _both_undone(first: Step, second: Step) -> str:
    """The command that takes back what both steps keep down; that of one where it does all of the other's."""
    kept = [{*step.disable, *step.mask} for step in (first, second)]
    if kept[1] <= kept[0]:
        return first.undo
    return second.undo if kept[0] <= kept[1] else "%s && %s" % (first.undo, second.undo)


def _union(first: t.Tuple[Thing, ...], second: t.Tuple[Thing, ...]) -> t.Tuple[Thing, ...]:
    return tuple(dict.fromkeys(first + second))


# A row that nobody asked for, and who has it.
Held = t.Tuple[Socket, t.FrozenSet[int]]


def _held_by(snapshot: Snapshot, wished: t.AbstractSet[Socket]) -> t.Mapping[int, t.Sequence[Held]]:
    """The rows that a server holds and no step takes away, with who has them, by the first of these processes.

    :param wished: rows that some step takes away.
    """
    found: t.Dict[int, t.List[Held]] = {}
    for row in snapshot.other_sockets + snapshot.sockets:
        if row in wished or not (row.protocol == UDP or row.state in (LISTEN, BOUND)):
            continue
        owners = frozenset(snapshot.owners.get(row.inode, ())) - {1}
        if owners:
            found.setdefault(min(owners), []).append((row, owners))
    return found


def _also_frees(
    snapshot: Snapshot,
    step: Step,
    others: t.Mapping[int, t.Sequence[Held]],
    asked: t.AbstractSet[t.Tuple[int, str]],
) -> t.Tuple[str, ...]:
    """Ports that only what this step stops has, and that nobody asked for.

    :param others: see `_held_by`.
    :param asked: (port, protocol) of the wishes.
    """
    if step.actuator == "destroy":
        return ()
    labels = managed_steps.published(snapshot, step) - asked
    pids = managed_steps.ending(snapshot, step)
    for pid in pids:
        for row, owners in others.get(pid, ()):
            if pids.issuperset(owners) and (not step.settings or resolving.frees(step.settings, row)):
                labels.add((row.port, row.protocol))
    return tuple("%d/%s" % label for label in sorted(labels))
