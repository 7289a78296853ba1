# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping processes by signals. Private to harbormaster.ports.

The root-most process of a holder gets the polite signal, then CONT (one that is stopped could not hear it). The
processes that share its socket get theirs only when the root is gone and they still hold it. When the grace period
is over, KILL goes to those that still hold it, where the step allows that. The wait ends when the socket is gone or
the processes are.

Before each signal the target is checked again: a pidfd is opened, then the start time, the socket, the executable and the
names compared. A pid that was given to another process in between can't be hit; and a process that has become another
program by exec(2) gets no signal that was meant for the one before: its step ends, and it is judged anew.
"""

from __future__ import annotations

import os
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import (
    NOT_PERMITTED,
    STEP_FAILED,
    STILL_HELD,
    PortsError,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import frozen, pidfd
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Eyes, Outcome, Refusal, Step, Target

# What the kernel needs to end a process after KILL; one that waits for a dead disk or server may need for ever.
KILL_WAIT = 5.0
# Seconds for who has outlived its unit; a unit itself may take much longer.
SURVIVOR_GRACE = 30.0


def stop(steps: t.Sequence[Step], eyes: Eyes, number_of: t.Callable[[str], int]) -> t.List[Outcome]:
    """Carry out these steps together, so that their grace periods run side by side.

    :param number_of: the number of a signal's name.
    :returns: one Outcome for each step, in their order. Never raises for what a process does.
    """
    runs = [_Run(step, eyes, number_of(step.signal), number_of("CONT"), number_of("KILL")) for step in steps]
    try:
        with pidfd.Waker() as waker:
            listed = {row.inode for row in eyes.rows()}
            for run in runs:
                run.begin(listed)
            while True:
                pending = [run for run in runs if run.outcome is None]
                if not pending:
                    break
                open_inodes = {row.inode for row in eyes.rows()}
                for run in pending:
                    run.go_on(open_inodes)
                pending = [run for run in pending if run.outcome is None]
                if pending:
                    waker.sleep(min(run.deadline for run in pending), [fd for run in pending for fd in run.pidfds()])
    except (PortsError, OSError) as error:
        # The table can't be read any more. What was sent is sent, and has to be told.
        for run in runs:
            run.blinded(str(error))
    finally:
        for run in runs:
            run.close()
    return [run.outcome for run in runs if run.outcome is not None]


def end_survivors(outcome: Outcome, eyes: Eyes, number_of: t.Callable[[str], int]) -> Outcome:
    """The outcome of a unit's stop, when whoever was left alive by it and still holds the socket has been asked to end too."""
    step = outcome.step
    if outcome.result != "done" or not step.survivors:
        return outcome
    # Without the root of them, they are all asked at once.
    leading = 1 if step.survivors[0] in step.roots else len(step.survivors)
    rest = step._replace(
        roots=step.survivors[:leading],
        members=step.survivors[leading:],
        grace=min(step.grace, SURVIVOR_GRACE),
    )
    ended = stop([rest], eyes, number_of)[0]
    return outcome._replace(
        result="failed" if ended.result == "failed" else outcome.result,
        error=ended.error,
        killed=outcome.killed + ended.killed,
        seconds=outcome.seconds + ended.seconds,
    )


class _Grip:
    """One process, held by its identity."""

    def __init__(self, target: Target, eyes: Eyes, step: Step) -> None:
        self.target = target
        self._step = step
        self.pidfd: t.Optional[int] = None
        self._eyes = eyes
        try:
            self.pidfd = pidfd.open_pidfd(target.pid)
            self.gone = self._eyes.start_ticks(target.pid) != target.start_ticks
        except ProcessLookupError:
            self.gone = True

    def holds(self, inodes: t.AbstractSet[int]) -> bool:
        """Whether this very process still has one of the sockets open; one that is only suspected to may."""
        if self._step.suspected:
            return not self.ended()
        if self.ended() or not self._eyes.holds(self.target.pid, inodes):
            return False
        # Asked once more after the look: without a pidfd, the pid may have changed hands during it.
        return not self.ended()

    def ended(self) -> bool:
        """Whether the process is gone, or its pid means another one."""
        if not self.gone:
            if self.pidfd is not None:
                self.gone = pidfd.ended(self.pidfd)
            else:
                self.gone = self._eyes.start_ticks(self.target.pid) != self.target.start_ticks
        return self.gone

    def became(self) -> str:
        """What the process is by now, when it has become another program since it was judged; else empty."""
        if self.ended():
            return ""
        now = self._eyes.target(self.target.pid)
        if now is not None and not self.target.is_still(now):
            # Read once more: what is read while exec(2) is at work can have the name of the one and the file of the other.
            now = self._eyes.target(self.target.pid)
        if self.ended():
            return ""
        if now is None:
            return "something that can't be seen"
        if self._step.nameless and not now.proven:
            # It may be another program each time that it is looked at, and would never be reached.
            return ""
        return "" if self.target.is_still(now) else now.name

    def send(self, number: int) -> None:
        """
        :raises ProcessLookupError: it has ended, and got nothing.
        """
        if self.ended():
            raise ProcessLookupError(self.target.pid)
        pidfd.send(self.target.pid, self.pidfd, number)

    def close(self) -> None:
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None


class _Run:
    """One step on its way: roots asked, members asked, killed, over."""

    def __init__(self, step: Step, eyes: Eyes, polite: int, cont: int, kill: int) -> None:
        self.step = step
        self.outcome: t.Optional[Outcome] = None
        self.deadline = 0.0
        self._polite, self._cont, self._kill = polite, cont, kill
        self._roots = [_Grip(target, eyes, step) for target in step.roots]
        self._members = [_Grip(target, eyes, step) for target in step.members]
        self._began = time.monotonic()
        self._acted = False
        self._listed = True
        self._members_asked = not self._members
        self._killing = False
        self._killed: t.List[int] = []

    def begin(self, listed: t.AbstractSet[int]) -> None:
        """Ask the roots. When none of the processes holds the socket any more, nothing is done.

        :param listed: inodes of the rows that the table shows; it does not show every bound socket before Linux 6.8.
        """
        self._listed = bool(self.step.inodes & listed)
        roots = [grip for grip in self._roots if grip.holds(self.step.inodes)]
        if roots:
            self._ask(roots)
        elif any(grip.holds(self.step.inodes) for grip in self._members):
            self._ask_members()
        else:
            self._over("gone")

    def go_on(self, open_inodes: t.AbstractSet[int]) -> None:
        """Look where this step stands, and do what is due."""
        if self._listed and not self.step.inodes & open_inodes:
            self._over("done")
            return
        holding = [grip for grip in self._roots + self._members if grip.holds(self.step.inodes)]
        if not holding:
            # Every process that was to let it go has; whoever has the socket now is for a new decision.
            self._over("done")
            return
        if not self._members_asked and all(grip.ended() for grip in self._roots):
            self._ask_members()
            return
        if time.monotonic() < self.deadline:
            return
        if not self._members_asked and not any(grip in holding for grip in self._roots):
            # The root lives on and has closed its copy.
            self._ask_members()
        elif self._killing or not self.step.kill:
            self._fail()
        else:
            self._send_kill()

    def pidfds(self) -> t.List[int]:
        """Descriptors that become readable when one of the processes ends."""
        return [grip.pidfd for grip in self._roots + self._members if grip.pidfd is not None and not grip.ended()]

    def close(self) -> None:
        for grip in self._roots + self._members:
            grip.close()

    def blinded(self, why: str) -> None:
        """End a step that is still under way when nothing can be seen any more."""
        if self.outcome is None:
            problem = "whether %s has left can't be seen: %s" % (self.step.target, why)
            self._over("failed", Refusal(STEP_FAILED, problem, "look with state: present, then run the task again"))

    def _ask(self, grips: t.Sequence[_Grip]) -> None:
        self.deadline = time.monotonic() + self.step.grace
        for grip in grips:
            self._send(grip, self._polite)
            if self._polite != self._kill:
                self._send(grip, self._cont)

    def _ask_members(self) -> None:
        self._members_asked = True
        self._killing = False
        self._ask([grip for grip in self._members if grip.holds(self.step.inodes)])

    def _send_kill(self) -> None:
        self._killing = True
        self.deadline = time.monotonic() + KILL_WAIT
        # Nobody is killed who was not asked before.
        for grip in self._roots + (self._members if self._members_asked else []):
            if grip.holds(self.step.inodes) and self._send(grip, self._kill):
                self._killed.append(grip.target.pid)

    def _send(self, grip: _Grip, number: int) -> bool:
        """Send one signal to who is still what was judged.

        :returns: whether it was delivered.
        """
        if self.outcome is not None:
            return False
        became = grip.became()
        if became:
            self._over("failed" if self._acted else "gone", became=became)
            return False
        try:
            grip.send(number)
            self._acted = True
            return True
        except ProcessLookupError:
            # It ended between the check and the signal: that is what was wanted.
            grip.gone = True
        except OSError as error:
            self._over(
                "failed",
                Refusal(
                    NOT_PERMITTED,
                    "%s can't be signalled: %s" % (self.step.target, error.strerror),
                    "run the task as the owner of the process or with become: true",
                ),
            )
        return False

    def _fail(self) -> None:
        waited = "%g s after %s" % (self.step.grace, self.step.signal)
        if self._killing:
            problem = "%s still holds it %g s after KILL" % (self.step.target, KILL_WAIT)
            remedy = "it hangs in the kernel (state D): look at the disk or network file system that it waits for"
        else:
            problem = "%s still holds it %s, and it is not killed" % (self.step.target, waited)
            remedy = "give it more time with grace_period, or allow KILL with force: true"
        holding = [grip for grip in self._roots + self._members if grip.holds(self.step.inodes)]
        if any(frozen.is_frozen(grip.target.pid) for grip in holding):
            problem += "; it is frozen (cgroup)"
            remedy = "thaw it (systemctl thaw, docker unpause, or cgroup.freeze of its control group), then run the task again"
        self._over("failed", Refusal(STILL_HELD, problem, remedy))

    def _over(self, result: str, error: t.Optional[Refusal] = None, became: str = "") -> None:
        self.outcome = Outcome(
            step=self.step,
            # Who has left before anything was delivered has left by itself.
            result="gone" if result == "done" and not self._acted else result,
            acted=self._acted,
            seconds=time.monotonic() - self._began,
            killed=tuple(self._killed),
            error=error,
            became=became,
        )
