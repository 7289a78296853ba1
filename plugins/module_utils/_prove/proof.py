# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof: look again, watch that nothing takes a freed port back, bind it once. Private to harbormaster.ports.

Only what this stage has seen counts as success.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import (
    RESPAWNED,
    STILL_HELD,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.pidfd import Waker
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    BOUND,
    CONNECTION,
    LEFTOVER,
    LISTEN,
    UDP,
    Eyes,
    Holder,
    Outcome,
    Plan,
    PortPlan,
    Process,
    Proof,
    Refusal,
    Restarter,
    Snapshot,
    Socket,
)

# After a signal a supervisor needs time to notice; one took a port back after 1.06 s.
SETTLE_AFTER_SIGNAL = 3.0
SETTLE_AFTER_MANAGER = 1.0
# Who is known to start it again later than this is named, and not waited for.
MOST_SETTLE = 30.0

Judge = t.Callable[[Snapshot], Plan]
Guess = t.Callable[[Process], t.Optional[str]]


def settle_seconds(wanted: t.Optional[float], outcomes: t.Iterable[Outcome], eyes: t.Optional[Eyes] = None) -> float:
    """How long the freed ports are watched: not at all when nothing was stopped.

    Unless it was said, as long as those take that are known to start it again: its manager's RestartSec=, a watcher that
    lives on.

    :param eyes: tell who lives on; without them, all do.
    """
    stopped = [outcome for outcome in outcomes if outcome.acted and outcome.step.actuator != "destroy"]
    if not stopped:
        return 0.0
    if wanted is not None:
        return wanted
    signalled = any(outcome.step.actuator == "signal" for outcome in stopped)
    seconds = [SETTLE_AFTER_SIGNAL if signalled else SETTLE_AFTER_MANAGER]
    for outcome in stopped:
        if outcome.step.watch:
            # With a second for the start of the program.
            seconds.append(outcome.step.watch + 1.0)
        seconds += [one.delay for one in outcome.step.restarters if one.delay is not None and _lives(one, eyes)]
    return max([one for one in seconds if one <= MOST_SETTLE])


def with_living(outcomes: t.Sequence[Outcome], eyes: Eyes) -> t.List[Outcome]:
    """The outcomes, with those alone who may start it again that still live."""
    answer = []
    for outcome in outcomes:
        living = tuple(one for one in outcome.step.restarters if _lives(one, eyes))
        answer.append(outcome._replace(step=outcome.step._replace(restarters=living)))
    return answer


def _lives(restarter: Restarter, eyes: t.Optional[Eyes]) -> bool:
    return not restarter.pid or eyes is None or eyes.start_ticks(restarter.pid) == restarter.start_ticks


def prove(eyes: Eyes, judge: Judge, outcomes: t.Sequence[Outcome], settle: float, until: float, guess: Guess) -> Proof:
    """Say what the ports are like now, and whether that is what was wished.

    :param eyes: the observe stage; its snapshots carry the answers of the bind probe.
    :param judge: the decide stage with the wishes of the task.
    :param outcomes: what was done; a port held again by somebody else afterwards was taken back.
    :param settle: seconds in which nothing may take a port.
    :param until: monotonic time up to which what passes by itself (leftovers, connections) may still go away.
    :param guess: name of the supervisor that a process looks like, None for no such.
    """
    began = time.monotonic()
    settled = began + settle
    judged: t.FrozenSet[t.Any] = frozenset()
    with Waker() as waker:
        while True:
            takers = _takers(eyes.rows())
            now = time.monotonic()
            if takers <= judged and now < settled:
                waker.sleep(settled)
                continue
            snapshot = eyes.look()
            plan = judge(snapshot)
            unmet = [port for port in plan.ports if not _met(port)]
            if not unmet and now >= settled:
                return Proof(snapshot, plan, watched=settle)
            if unmet and not (now < until and all(_passes(port) for port in unmet)):
                return Proof(snapshot, plan, _why(snapshot, unmet[0], outcomes, now - began, guess))
            judged = takers
            for _turn in range(5 if unmet else 1):
                waker.sleep(until if unmet else settled)


def _takers(rows: t.Iterable[Socket]) -> t.FrozenSet[t.Tuple[str, int, str, int, str]]:
    """What tells one holding socket from another."""
    return frozenset(
        (row.protocol, row.port, row.address, row.inode, row.state)
        for row in rows
        if row.protocol == UDP or row.state in (LISTEN, BOUND)
    )


def _met(port: PortPlan) -> bool:
    """Free, lingering, or held only by those who may stay. The plan's own predictions don't count here."""
    if any(holder.stoppable or holder.outcome == "refused" for holder in port.holders):
        return False
    return port.met


def _passes(port: PortPlan) -> bool:
    """Whether what is in the way ends by itself."""
    if port.refusal is not None:
        return port.refusal.passing
    return bool(port.holders) and all(holder.kind == LEFTOVER for holder in port.holders)


def _why(snapshot: Snapshot, port: PortPlan, outcomes: t.Sequence[Outcome], seconds: float, guess: Guess) -> Refusal:
    """Name who holds an unmet port: one that did not go, or a new one, with its parent and the likely supervisor."""
    culprit = next((holder for holder in port.holders if holder.outcome != "kept"), None)
    closed = {inode for outcome in outcomes if outcome.step.actuator == "destroy" for inode in outcome.step.inodes}
    if culprit is not None and culprit.inodes & closed:
        return Refusal(
            STILL_HELD,
            "the connection on %s was closed, but its program had bound the socket explicitly, so it keeps the port"
            % port.wish.label,
            "free it without close_blocking, which stops %s, or wait for its end with timeout" % (culprit.name or "it"),
        )
    if culprit is not None and not culprit.pids and (culprit.container or culprit.unit):
        return _managed(port, culprit, outcomes, seconds)
    if culprit is None or not culprit.pids or culprit.kind == CONNECTION:
        if port.refusal is not None:
            return port.refusal
        return Refusal(STILL_HELD, "%s still can't be bound" % port.wish.label, "look again with state: present")
    stopped = {inode for outcome in outcomes for inode in outcome.step.inodes}
    old = {
        (target.pid, target.start_ticks) for outcome in outcomes for target in outcome.step.roots + outcome.step.members
    }
    process = snapshot.processes[culprit.pids[0]]
    managed = {
        (target.pid, target.start_ticks)
        for outcome in outcomes
        if outcome.step.actuator not in ("signal", "destroy")
        for target in outcome.step.roots + outcome.step.members
    }
    if (process.pid, process.start_ticks) in managed:
        # Whatever a new decision would do about it: its manager was asked, and left it running.
        return Refusal(
            STILL_HELD,
            "%s still holds %s after its manager has stopped what it belongs to" % (_named(process), port.wish.label),
            "look why it was left running (KillMode= and SendSIGKILL= of a unit), and stop it by hand",
        )
    if (process.pid, process.start_ticks) in old or not any(outcome.acted for outcome in outcomes):
        return port.refusal or Refusal(
            STILL_HELD,
            "%s still holds %s" % (_named(process), port.wish.label),
            "give it more time with grace_period, or allow KILL with force: true",
        )
    if culprit.inodes & stopped:
        # The very same socket: it was never free.
        return port.refusal or Refusal(
            STILL_HELD,
            "%s shares the socket on %s and still holds it" % (_named(process), port.wish.label),
            "run the task again",
        )
    return _respawned(snapshot, port, process, min((ticks for _pid, ticks in old), default=None), seconds, guess)


def _respawned(
    snapshot: Snapshot, port: PortPlan, process: Process, before: t.Optional[int], seconds: float, guess: Guess
) -> Refusal:
    """
    :param before: when the first of those that were stopped had started, in ticks. What has started both was there by then.
    """
    parent = snapshot.processes.get(process.parent_pid)
    grandparent = snapshot.processes.get(parent.parent_pid) if parent else None
    above = [snapshot.processes[pid] for pid in process.ancestors if pid in snapshot.processes]
    elder = [one for one in above if before is not None and one.start_ticks <= before]
    suspects = [(one, guess(one)) for one in (*elder, parent, grandparent) if one is not None and one.pid > 1]
    named = next(("%s (%s)" % (_named(one), what) for one, what in suspects if what), None)
    if process.unit and named is None:
        named = process.unit.name
    text = "%s was freed, and taken again within %.1f s by %s" % (port.wish.label, seconds, _named(process))
    if parent is not None:
        text += ", whose parent is %s" % _named(parent)
    text += "; likely supervisor: %s" % (named or "unknown")
    return Refusal(RESPAWNED, text, "stop what starts it, then run the task again; nothing was killed twice")


def _managed(port: PortPlan, culprit: Holder, outcomes: t.Sequence[Outcome], seconds: float) -> Refusal:
    """A container or unit that no process shows."""
    what = "%s %s" % (culprit.kind.replace("_", " "), culprit.name)
    if any(outcome.acted for outcome in outcomes) and (culprit.outcome != "refused" or port.refusal is None):
        text = "%s was freed, and taken again within %.1f s by the %s" % (port.wish.label, seconds, what)
        return Refusal(RESPAWNED, text, "stop what starts it, then run the task again; nothing was stopped twice")
    return port.refusal or Refusal(STILL_HELD, "the %s still holds %s" % (what, port.wish.label), "run the task again")


def _named(process: Process) -> str:
    return "%s (pid %d)" % (process.called, process.pid)
