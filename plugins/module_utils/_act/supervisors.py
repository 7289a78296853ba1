# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping a program through its supervisor. Private to harbormaster.ports: not an interface for other collections.

Some supervisors answer when the program has ended (supervisorctl, sv, pm2), others at once (s6, daemontools, monit): so
the socket table says when it is done, not the command.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import STEP_FAILED, STILL_HELD
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.pidfd import Waker
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Eyes, Outcome, Refusal, Step, Supervised


def stop(steps: t.Sequence[Step], eyes: Eyes, number_of: t.Callable[[str], int]) -> t.List[Outcome]:
    """Have these programs stopped, one after the other; after a failure no further one is begun."""
    del number_of
    outcomes: t.List[Outcome] = []
    for step in steps:
        outcomes.append(_stop(step, eyes))
        if outcomes[-1].result == "failed":
            break
    return outcomes


def _stop(step: Step, eyes: Eyes) -> Outcome:
    began = time.monotonic()
    program = step.supervised
    if program is None or not program.stop or not _still(step, eyes):
        return Outcome(step, "gone", seconds=time.monotonic() - began)
    until = began + step.grace
    answer = command.run(program.stop, step.grace, uid=program.user, environment=dict(program.environment))
    with Waker() as waker:
        while _listed(step, eyes) and time.monotonic() < until and not answer.problem:
            waker.sleep(until)
    error = _error(step, program, answer) if _listed(step, eyes) else None
    return Outcome(
        step=step,
        # Without a command that ran, who is gone has left by itself.
        result="failed" if error else "gone" if answer.not_started else "done",
        # A command that could not be started has asked nobody.
        acted=not answer.not_started,
        seconds=time.monotonic() - began,
        error=error,
    )


def _still(step: Step, eyes: Eyes) -> bool:
    """Whether the process that was judged is still the one, and still has the socket."""
    root = step.roots[0] if step.roots else None
    return root is not None and eyes.start_ticks(root.pid) == root.start_ticks and _listed(step, eyes)


def _listed(step: Step, eyes: Eyes) -> bool:
    return bool(step.inodes & {row.inode for row in eyes.rows()})


def _error(step: Step, program: Supervised, answer: command.Answer) -> Refusal:
    said = answer.problem or answer.first_line
    words = " ".join(program.stop)
    if answer.problem:
        problem = "%s could not stop %s: %s: %s" % (program.supervisor, step.target, words, said)
        return Refusal(STEP_FAILED, problem, "look at %s yourself, then run the task again" % program.supervisor)
    problem = "%s still holds it %g s after %s%s" % (step.target, step.grace, words, " (%s)" % said if said else "")
    return Refusal(STILL_HELD, problem, "give it more time with grace_period; nothing was killed")
