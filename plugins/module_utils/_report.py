# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a Story to the result that the user gets: the keys of the module's documentation. Private to harbormaster.ports."""

from __future__ import annotations

import socket
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils import _words
from ansible_collections.harbormaster.ports.plugins.module_utils._conductor import Story
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    FREE,
    LINGERING,
    Container,
    Holder,
    Outcome,
    PortPlan,
    Process,
    Refusal,
    Snapshot,
    Socket,
    Step,
)


def result(story: Story, now: float) -> t.Dict[str, t.Any]:
    """Every result key; the same ones in success, failure and check mode.

    :param now: seconds since the epoch, for ages.
    """
    after = _after(story)
    answer: t.Dict[str, t.Any] = {
        "changed": bool(story.plan.steps and not story.failure)
        if story.check_mode
        else any(o.acted for o in story.outcomes),
        "free": all(port.met for port in after),
        "msg": _words.message(story, after, now),
        "ports": [_port(story, port) for port in after],
        "owners": _owners(story, now),
        "actions": _actions(story),
        "elapsed": round(story.elapsed, 3),
    }
    if story.failure is not None:
        answer["reason"] = story.failure.code
    return answer


def diff(story: Story) -> t.Dict[str, str]:
    """What ``--diff`` shows: one line a port, before and after."""
    after = _after(story)
    before = ["%s %s%s" % (port.wish.label, port.before, _names(port)) for port in after]
    now = [
        "%s %s%s" % (port.wish.label, port.status, _names(port) if port.status == port.before else "") for port in after
    ]
    return {"before": "".join(line + "\n" for line in before), "after": "".join(line + "\n" for line in now)}


def _names(port: PortPlan) -> str:
    names = sorted({holder.name for holder in port.holders if holder.name})
    return " by " + ", ".join(names) if names else ""


def _after(story: Story) -> t.Tuple[PortPlan, ...]:
    """The ports with what was found before, what became of each holder, and the state after."""
    if story.proof is None and story.failure is None:
        return story.plan.ports
    # Without a look afterwards only what was found is a fact, never what was planned.
    later = story.proof.plan if story.proof else story.plan
    results = {key: outcome for outcome in story.outcomes for key in outcome.step.holders}
    return tuple(
        planned._replace(
            status=proven.before,
            # What a bind said, not what the plan expects one to say.
            bindable=(story.proof.snapshot if story.proof else story.snapshot).bindable.get(planned.wish.key),
            holders=tuple(_with_outcome(story, holder, results) for holder in planned.holders)
            + tuple(
                holder._replace(outcome="kept" if holder.outcome == "kept" else "none")
                for holder in proven.holders
                if _is_new(holder, planned) or _has_become(story, holder)
            ),
            refusal=_blocked(story, planned, proven),
            kept=proven.kept,
        )
        for planned, proven in zip(story.plan.ports, later.ports)
    )


def _blocked(story: Story, planned: PortPlan, proven: PortPlan) -> t.Optional[Refusal]:
    if story.failure in story.plan.refusals:
        return planned.refusal
    if proven.kept or proven.before in (FREE, LINGERING):
        return None
    return planned.refusal or story.failure


def _with_outcome(story: Story, holder: Holder, results: t.Mapping[t.Tuple[t.Any, ...], Outcome]) -> Holder:
    if not holder.stoppable:
        # What was waited for, and went.
        gone = story.waited and holder.outcome == "refused" and not _still_there(story, holder)
        return holder._replace(outcome="gone", refusal=None) if gone else holder
    outcome = results.get(holder.key)
    if outcome is None:
        return holder._replace(outcome="none" if _still_there(story, holder) else "gone")
    word = {"done": "stopped", "gone": "gone"}.get(outcome.result, "none")
    if outcome.step.actuator == "destroy" and story.proof is not None:
        # A closed socket that its program had bound explicitly holds the port as before.
        word = "none" if holder.inodes & {row.inode for row in story.proof.snapshot.sockets} else word
    return holder._replace(outcome=word, refusal=outcome.error)


def _still_there(story: Story, holder: Holder) -> bool:
    later = story.proof.plan.ports if story.proof else story.plan.ports
    return any(holder.key == found.key for port in later for found in port.holders)


def _is_new(holder: Holder, planned: PortPlan) -> bool:
    """A holder of the look afterwards that the plan did not know."""
    if not (holder.pids or holder.unit or holder.container):
        return False
    known = {old.key for old in planned.holders}
    return holder.key not in known and not any(set(holder.pids) & set(old.pids) for old in planned.holders)


def _has_become(story: Story, holder: Holder) -> bool:
    """A holder of the look afterwards that is another program than the one with its pid before."""
    if story.proof is None or not holder.pids or holder.pids[0] not in story.snapshot.processes:
        return False
    was, now = story.snapshot.processes[holder.pids[0]], story.proof.snapshot.processes[holder.pids[0]]
    return any(outcome.became for outcome in story.outcomes) and (was.name, was.exe) != (now.name, now.exe)


def _port(story: Story, port: PortPlan) -> t.Dict[str, t.Any]:
    return {
        "port": port.wish.port,
        "protocol": port.wish.protocol,
        "address": port.wish.address,
        "port_name": _service_name(port.wish.port, port.wish.protocol),
        "before": port.before,
        "status": port.status,
        "bindable": port.bindable,
        "ephemeral": port.ephemeral,
        "sockets": [_socket(story, row) for row in port.sockets],
        "holders": [_holder(story, holder) for holder in port.holders],
        "connections": {"established": port.established, "time_wait": port.time_wait},
        "blocked_by": _refusal(port.refusal),
    }


def _socket(story: Story, row: Socket) -> t.Dict[str, t.Any]:
    return {
        "address": row.address,
        "family": row.family,
        "state": row.state,
        "user": _words.account(row.uid),
        "inode": row.inode if row.inode > 0 else None,
    }


def _holder(story: Story, holder: Holder) -> t.Dict[str, t.Any]:
    return {
        "kind": holder.kind,
        "name": holder.name or None,
        "pids": list(holder.pids),
        "service": holder.unit.name if holder.unit else None,
        "container": _container(holder.container),
        "stoppable": holder.stoppable,
        "outcome": holder.outcome,
        "code": holder.refusal.code if holder.refusal else None,
        "reason": holder.refusal.reason if holder.refusal else None,
        "remedy": holder.refusal.remedy if holder.refusal else None,
    }


def _refusal(refusal: t.Optional[Refusal]) -> t.Optional[t.Dict[str, t.Any]]:
    if refusal is None:
        return None
    return {"code": refusal.code, "reason": refusal.reason, "remedy": refusal.remedy, "passing": refusal.passing}


def _owners(story: Story, now: float) -> t.List[t.Dict[str, t.Any]]:
    """One entry for each process that was found, the ones that came later too."""
    seen: t.Dict[t.Tuple[int, int, str], t.Tuple[Process, t.Optional[Container], t.Dict[str, None]]] = {}
    looks: t.List[t.Tuple[Snapshot, t.Tuple[PortPlan, ...]]] = [(story.snapshot, story.plan.ports)]
    if story.proof is not None:
        looks.append((story.proof.snapshot, story.proof.plan.ports))
    for snapshot, ports in looks:
        for port in ports:
            # A relay holds ports for its container, and for none that its engine did not tell of.
            inside = {pid: holder.container for holder in port.holders for pid in holder.pids}
            for pid in sorted(inside):
                process = snapshot.processes[pid]
                # What has become another program by exec is told as both.
                became = process.name if any(outcome.became for outcome in story.outcomes) else ""
                identity = (pid, process.start_ticks, became)
                held = seen.setdefault(identity, (process, inside[pid] or process.roots_container, {}))[2]
                held["%d/%s" % (port.wish.port, port.wish.protocol)] = None
    return [_owner(process, container, list(held), now) for process, container, held in seen.values()]


def _owner(process: Process, container: t.Optional[Container], ports: t.List[str], now: float) -> t.Dict[str, t.Any]:
    return {
        "pid": process.pid,
        "name": process.called,
        "exe": process.exe,
        "command": process.command,
        "user": process.user,
        "started": _iso(process.started),
        "age_seconds": None if process.started is None else max(0, int(now - process.started)),
        "parent_pid": process.parent_pid,
        "service": process.unit.name if process.unit else None,
        "container": _container(container),
        "ports": ports,
    }


def _container(container: t.Optional[Container]) -> t.Optional[t.Dict[str, t.Any]]:
    if container is None or not container.id:
        # An engine that was not asked has not said which one it is.
        return None
    return {
        "engine": container.engine,
        "id": container.id,
        "name": container.name or None,
        "project": container.project or None,
        "service": container.service or None,
    }


def _actions(story: Story) -> t.List[t.Dict[str, t.Any]]:
    if story.check_mode:
        return [_action(step, "predicted", 0.0, 0) for step in story.plan.steps]
    return [_action(o.step, o.result, o.seconds, o.dropped) for o in story.outcomes if o.result != "gone"]


def _action(step: Step, outcome: str, seconds: float, dropped: int) -> t.Dict[str, t.Any]:
    return {
        "action": step.action,
        "target": step.target,
        "ports": list(step.ports),
        "also_frees": list(step.also_frees),
        "also_stops": list(step.also_stops),
        "returns_at_boot": step.returns_at_boot,
        "undo": step.undo or None,
        "may_restart": [one.who for one in step.restarters],
        "dropped": dropped,
        "result": outcome,
        "seconds": round(seconds, 3),
    }


def _iso(started: t.Optional[float]) -> t.Optional[str]:
    return None if started is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))


def _service_name(port: int, protocol: str) -> t.Optional[str]:
    try:
        return socket.getservbyport(port, protocol)
    except OSError:
        # Not in /etc/services.
        return None
