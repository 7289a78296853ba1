# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping units through systemd. Private to harbormaster.ports: not an interface for other collections.

One `systemctl stop` takes all units of one manager, each service together with everything that would start it again: they
stop side by side, and where they have an order, systemd keeps it. What became of each is looked up afterwards. A unit that
was started anew since the decision is another one: it is left alone. A unit whose program ends with an error when it is
stopped is `failed` afterwards: it is stopped. Ending the client does not end the stop: a job that takes too long goes on, and
that is said. A stop that ended and left its unit up was taken back by somebody who started it: it is never tried twice.
"""

from __future__ import annotations

import os
import shlex
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import (
    NOT_PERMITTED,
    RESPAWNED,
    STEP_FAILED,
    STILL_HELD,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._known import TRIGGERS
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import whole_number
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Eyes, Outcome, Refusal, Step

# Seconds for a question, and for switching a unit off.
PATIENCE = 10.0
# For all stops of one call together, however they wait for each other.
LONGEST = 3600.0
_DOWN = ("inactive", "failed")
_PROPERTIES = (
    "Id,ActiveState,SubState,MainPID,InvocationID,ActiveExitTimestampMonotonic,InactiveEnterTimestampMonotonic"
)


class State(t.NamedTuple):
    """What identifies a unit's run, and how it is.

    :param leaving: monotonic time at which it last began to stop, 0 for never.
    :param ended: monotonic time at which it last was down, 0 for never.
    """

    active: str
    sub: str
    main_pid: int
    invocation: str
    leaving: float = 0.0
    ended: float = 0.0


def stop(steps: t.Sequence[Step], eyes: Eyes, number_of: t.Callable[[str], int]) -> t.List[Outcome]:
    """Have the units of these steps stopped, those of one service manager together; after a failure no other is begun."""
    del number_of
    outcomes: t.Dict[int, Outcome] = {}
    managers = [step.units[0].unit.user if step.units else None for step in steps]
    for user in dict.fromkeys(managers):
        numbers = [number for number, other in enumerate(managers) if other == user]
        outcomes.update(zip(numbers, _stop([steps[number] for number in numbers], user, eyes)))
        if any(outcome.result == "failed" for outcome in outcomes.values()):
            break
    return [outcomes[number] for number in sorted(outcomes)]


def parse_states(text: str) -> t.Dict[str, State]:
    """Understand what ``systemctl show`` says of these properties: by name."""
    states = {}
    for block in text.split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if values.get("Id"):
            pid = values.get("MainPID", "")
            states[values["Id"]] = State(
                values.get("ActiveState", ""),
                values.get("SubState", ""),
                whole_number(pid),
                values.get("InvocationID", ""),
                _seconds(values.get("ActiveExitTimestampMonotonic", "")),
                _seconds(values.get("InactiveEnterTimestampMonotonic", "")),
            )
    return states


def systemctl(user: t.Optional[int], words: t.Sequence[str], timeout: float) -> command.Answer:
    """A command for one service manager: the system's, or that of a user, which only this user (and no root) may talk to."""
    manager = [] if user is None else ["--user"]
    return command.run(["systemctl", *manager, "--no-ask-password", "--no-pager", *words], timeout, uid=user)


def states(user: t.Optional[int], names: t.Sequence[str]) -> t.Dict[str, State]:
    """How these units are now; empty when the manager does not answer."""
    words = ["show", "-p", _PROPERTIES, "--", *names]
    return parse_states(systemctl(user, words, PATIENCE).stdout)


def _seconds(text: str) -> float:
    """A moment of systemd's, which are microseconds."""
    return whole_number(text) / 1e6


def _stop(steps: t.Sequence[Step], user: t.Optional[int], eyes: Eyes) -> t.List[Outcome]:
    """Stop the units of these steps, all of one manager, in one call."""
    began = time.monotonic()
    now = states(user, _names(steps)) if _names(steps) else {}
    due = [step for step in steps if step.units and same(step, now)]
    seen = {row.inode for row in eyes.rows()} if any(step.inodes for step in due) else set()
    due = [step for step in due if not step.inodes or step.inodes & seen]
    answer, after = _asked(user, due, began) if due else (None, now)
    outcomes = []
    for step in steps:
        if step not in due or answer is None:
            result, acted, error = "gone", False, None
        else:
            result, acted, error = _judged(step, user, answer, now, after)
        outcomes.append(Outcome(step, result, acted=acted, seconds=_took(step, after, began), error=error))
    return outcomes


def _asked(
    user: t.Optional[int], due: t.Sequence[Step], began: float
) -> t.Tuple[command.Answer, t.Mapping[str, State]]:
    """Ask for all of these stops at once and wait for their ends.

    What has to wait for another one, as systemd orders them, has its own time from when it begins.
    """
    left = list(due)
    seconds = max(step.grace for step in due)
    while True:
        answer = systemctl(user, ["stop", "--", *_names(left)], seconds)
        after = states(user, _names(due))
        left = [step for step in left if any(not _is_down(after, name) for name in _names([step]))]
        times = [_time_left(step, after, began) for step in left]
        # Asking again for a stop that is on its way joins it.
        if not answer.timed_out or not after or not times or min(times) <= 0 or time.monotonic() > began + LONGEST:
            return answer, after
        seconds = max(times)


def _time_left(step: Step, after: t.Mapping[str, State], began: float) -> float:
    """Seconds that a stop which is not over yet may still take; all of them when it has not begun."""
    leaving = [
        max(after[name].leaving, began)
        for name in _names([step])
        if name in after and after[name].active == "deactivating"
    ]
    return step.grace - (time.monotonic() - min(leaving)) if leaving else step.grace


def _judged(
    step: Step,
    user: t.Optional[int],
    answer: command.Answer,
    now: t.Mapping[str, State],
    after: t.Mapping[str, State],
) -> t.Tuple[str, bool, t.Optional[Refusal]]:
    """What became of one step, by how its units are now."""
    if answer.not_started:
        return "failed", False, _failed(step, user, answer.problem)
    up = [name for name in _names([step]) if not _is_down(after, name)]
    if up or not after:
        # Refused before anything was done, or on its way: only the latter has changed something.
        ended = any(not _is_down(now, name) for name in _names([step]) if name not in up)
        acted = answer.timed_out or not same(step, after) or ended
        return "failed", acted, _not_down(step, user, answer, after, up)
    return _lasting(step, user)


def _names(steps: t.Iterable[Step]) -> t.List[str]:
    """The units of these steps, what starts others before the rest.

    systemctl hands them over one by one. A service that is down before the stop of its path unit arrives is started again.
    """
    names = dict.fromkeys(target.unit.name for step in steps for target in step.units)
    return sorted(names, key=lambda name: not name.endswith(TRIGGERS))


def _took(step: Step, after: t.Mapping[str, State], began: float) -> float:
    """Seconds until the last unit of a step was down; until now where systemd does not say."""
    now = time.monotonic()
    ends = [after[name].ended for name in _names([step]) if name in after]
    return max(ends) - began if ends and began <= max(ends) <= now else now - began


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


def _not_down(
    step: Step, user: t.Optional[int], answer: command.Answer, after: t.Mapping[str, State], up: t.Sequence[str]
) -> Refusal:
    state = ", ".join("%s is %s (%s)" % (name, after[name].active, after[name].sub) for name in up)
    state = state or "its state can't be seen"
    whose = "systemctl" if user is None else "systemctl --user -M %d@" % user
    if answer.timed_out:
        return Refusal(
            STILL_HELD,
            "%s did not stop within %g s: %s" % (step.target, step.grace, state),
            "the stop goes on in systemd (%s list-jobs shows it, %s cancel ends it); wait, or give it more time with "
            "grace_period" % (whose, whose),
        )
    again = [name for name in up if _started_again(step, answer, after[name], name)]
    if again:
        return _taken_back(step, user, after, again)
    return _failed(step, user, "%s; %s" % (answer.first_line or "systemctl gave no reason", state))


def _started_again(step: Step, answer: command.Answer, state: State, name: str) -> bool:
    """Whether somebody's start has replaced the stop of a unit, or has followed it."""
    if "Job for %s canceled" % name in answer.stderr:
        return True
    before = next(target for target in step.units if target.unit.name == name)
    # Without a start, a stop that is over would have left it down.
    return state.active == "deactivating" or (state.main_pid, state.invocation) != (before.main_pid, before.invocation)


def _taken_back(step: Step, user: t.Optional[int], after: t.Mapping[str, State], again: t.Sequence[str]) -> Refusal:
    told = []
    for name in again:
        pid = after[name].main_pid
        told.append("%s (main pid %d)" % (name, pid) if pid and after[name].active != "deactivating" else name)
    if same(step, after):
        text = "the stop of %s was taken back by somebody who started %s at the same time"
    else:
        text = "%s was stopped, and somebody started %s again at once"
    mine = "" if user is None else "--user "
    return Refusal(
        RESPAWNED,
        text % (step.target, ", ".join(told)),
        "stop what starts it (a watchdog, a timer, another unit; journalctl %s-u %s may tell), then run the task again; "
        "nothing was stopped twice" % (mine, shlex.quote(again[0])),
    )


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
