# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping units through systemd. Private to harbormaster.ports: not an interface for other collections.

One `systemctl stop` takes a service together with everything that would start it again. A unit that was started anew since
the decision is another one: then nothing is done. A unit whose program ends with an error when it is stopped is `failed`
afterwards: it is stopped. Ending the client does not end the stop: a job that takes too long goes on, and that is said.
"""

from __future__ import annotations

import os
import shlex
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import (
    NOT_PERMITTED,
    STEP_FAILED,
    STILL_HELD,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Eyes, Outcome, Refusal, Step

# Seconds for a question, and for switching a unit off.
PATIENCE = 10.0
_DOWN = ("inactive", "failed")


class State(t.NamedTuple):
    """What identifies a unit's run, and how it is."""

    active: str
    sub: str
    main_pid: int
    invocation: str


def stop(steps: t.Sequence[Step], eyes: Eyes, number_of: t.Callable[[str], int]) -> t.List[Outcome]:
    """Have the units of these steps stopped, one step after the other; after a failure no further one is begun."""
    del number_of
    outcomes: t.List[Outcome] = []
    for step in steps:
        outcomes.append(_stop(step, eyes))
        if outcomes[-1].result == "failed":
            break
    return outcomes


def parse_states(text: str) -> t.Dict[str, State]:
    """Understand ``systemctl show -p Id,ActiveState,SubState,MainPID,InvocationID``: by name."""
    states = {}
    for block in text.split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if values.get("Id"):
            pid = values.get("MainPID", "")
            states[values["Id"]] = State(
                values.get("ActiveState", ""),
                values.get("SubState", ""),
                int(pid) if pid.isdigit() else 0,
                values.get("InvocationID", ""),
            )
    return states


def systemctl(user: t.Optional[int], words: t.Sequence[str], timeout: float) -> command.Answer:
    """A command for one service manager: the system's, or that of a user, which only this user (and no root) may talk to."""
    manager = [] if user is None else ["--user"]
    return command.run(["systemctl", *manager, "--no-ask-password", "--no-pager", *words], timeout, uid=user)


def states(user: t.Optional[int], names: t.Sequence[str]) -> t.Dict[str, State]:
    """How these units are now; empty when the manager does not answer."""
    words = ["show", "-p", "Id,ActiveState,SubState,MainPID,InvocationID", "--", *names]
    return parse_states(systemctl(user, words, PATIENCE).stdout)


def _stop(step: Step, eyes: Eyes) -> Outcome:
    began = time.monotonic()
    user = step.units[0].unit.user if step.units else None
    names = [target.unit.name for target in step.units]

    def outcome(result: str, acted: bool, error: t.Optional[Refusal] = None) -> Outcome:
        return Outcome(step, result, acted=acted, seconds=time.monotonic() - began, error=error)

    if not names or not same(step, states(user, names)) or not still(step, eyes):
        return outcome("gone", False)
    answer = systemctl(user, ["stop", "--", *names], step.grace)
    if answer.not_started:
        return outcome("failed", False, _failed(step, user, answer.problem))
    after = states(user, names)
    up = ["%s is %s (%s)" % (name, after[name].active, after[name].sub) for name in names if not _is_down(after, name)]
    if up or not after:
        # Refused before anything was done, or on its way: only the latter has changed something.
        acted = answer.timed_out or not same(step, after)
        return outcome("failed", acted, _not_down(step, user, answer, up))
    return outcome(*_lasting(step, user))


def same(step: Step, now: t.Mapping[str, State]) -> bool:
    """Whether these are the very runs that were judged."""
    for target in step.units:
        state = now.get(target.unit.name)
        if state is None or (state.main_pid, state.invocation) != (target.main_pid, target.invocation):
            return False
    return True


def still(step: Step, eyes: Eyes) -> bool:
    """Whether one of the sockets is still there. A step on a unit in auto-restart may have none at this moment."""
    return not step.inodes or bool(step.inodes & {row.inode for row in eyes.rows()})


def _is_down(now: t.Mapping[str, State], name: str) -> bool:
    # A transient unit is forgotten when it has ended.
    return name not in now or now[name].active in _DOWN


def _not_down(step: Step, user: t.Optional[int], answer: command.Answer, up: t.Sequence[str]) -> Refusal:
    state = ", ".join(up) or "its state can't be seen"
    whose = "systemctl" if user is None else "systemctl --user -M %d@" % user
    if answer.timed_out:
        return Refusal(
            STILL_HELD,
            "%s did not stop within %g s: %s" % (step.target, step.grace, state),
            "the stop goes on in systemd (%s list-jobs shows it, %s cancel ends it); wait, or give it more time with "
            "grace_period" % (whose, whose),
        )
    return _failed(step, user, "%s; %s" % (answer.first_line or "systemctl gave no reason", state))


def _failed(step: Step, user: t.Optional[int], why: str) -> Refusal:
    if os.geteuid() != 0 and any(word in why.lower() for word in ("authentication", "access denied", "permission")):
        return Refusal(NOT_PERMITTED, "%s can't be stopped: %s" % (step.target, why), "run the task with become: true")
    names = [target.unit.name for target in step.units]
    whose = "" if user is None else "--user -M %d@ " % user
    return Refusal(
        STEP_FAILED,
        "%s can't be stopped: %s" % (step.target, why),
        "look at systemctl %sstatus %s" % (whose, " ".join(map(shlex.quote, names))),
    )


def _lasting(step: Step, user: t.Optional[int]) -> t.Tuple[str, bool, t.Optional[Refusal]]:
    """Keep the stopped units from starting at boot, where that was asked for."""
    for verb, names in (("disable", step.disable), ("mask", step.mask)):
        if not names:
            continue
        answer = systemctl(user, [verb, "--quiet", "--", *names], PATIENCE)
        if not answer.ok:
            error = Refusal(
                STEP_FAILED,
                "%s is stopped, but systemctl %s %s failed: %s" % (step.target, verb, " ".join(names), answer.problem),
                "it will be back at boot: run that command yourself",
            )
            return "failed", True, error
    return "done", True, None
