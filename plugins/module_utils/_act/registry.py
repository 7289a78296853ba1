# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file carries out which kind of step, and the order. Private to harbormaster.ports.

A new manager is one file with one function like `signals.stop`, one line here, and one builder in `_decide/steps.py`.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._act import signals, sockets
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import pidfd
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    ESTABLISHED,
    LISTEN,
    TCP,
    Eyes,
    Outcome,
    Socket,
    Step,
)

Actuator = t.Callable[[t.Sequence[Step], Eyes, t.Callable[[str], int]], t.List[Outcome]]


# The managers' files are loaded when one of their steps is due: most runs need none of them.
def _systemd(steps: t.Sequence[Step], eyes: Eyes, number_of: t.Callable[[str], int]) -> t.List[Outcome]:
    from ansible_collections.harbormaster.ports.plugins.module_utils._act import systemd

    return [signals.end_survivors(outcome, eyes, number_of) for outcome in systemd.stop(steps, eyes, number_of)]


def _resolver(steps: t.Sequence[Step], eyes: Eyes, number_of: t.Callable[[str], int]) -> t.List[Outcome]:
    from ansible_collections.harbormaster.ports.plugins.module_utils._act import resolver

    return resolver.configure(steps, eyes, number_of)


def _container(steps: t.Sequence[Step], eyes: Eyes, number_of: t.Callable[[str], int]) -> t.List[Outcome]:
    from ansible_collections.harbormaster.ports.plugins.module_utils._act import containers

    return containers.stop(steps, eyes, number_of)


def _supervisor(steps: t.Sequence[Step], eyes: Eyes, number_of: t.Callable[[str], int]) -> t.List[Outcome]:
    from ansible_collections.harbormaster.ports.plugins.module_utils._act import supervisors

    return supervisors.stop(steps, eyes, number_of)


ACTUATORS: t.Mapping[str, Actuator] = {
    "signal": signals.stop,
    "destroy": sockets.close,
    "systemd": _systemd,
    "resolver": _resolver,
    "container": _container,
    "supervisor": _supervisor,
}


def drain(steps: t.Sequence[Step], eyes: Eyes, seconds: float) -> bool:
    """Wait until nobody is connected to the holders of these steps any more, at most so long.

    :returns: whether there was anybody to wait for: then time has passed, and the plan is an old one.
    """
    until = time.monotonic() + seconds
    waited = False
    with pidfd.Waker() as waker:
        while time.monotonic() < until and any(_clients(steps, eyes)):
            waited = True
            waker.sleep(until)
    return waited


def carry_out(steps: t.Sequence[Step], eyes: Eyes, number_of: t.Callable[[str], int]) -> t.Iterator[Outcome]:
    """Do the steps in their order, those of one kind that follow each other together.

    :param number_of: the number of a signal's name.
    :returns: the outcome of each step that was begun. After a failure no further step is begun.
    """
    connected = dict(zip(steps, _clients(steps, eyes)))
    ended: t.Dict[t.Tuple[t.Any, ...], str] = {}
    rest = list(steps)
    while rest:
        actuator = rest[0].actuator
        batch = [step for index, step in enumerate(rest) if all(s.actuator == actuator for s in rest[: index + 1])]
        rest = rest[len(batch) :]
        failed = False
        outcomes = ACTUATORS[actuator](batch, eyes, number_of)
        # A child that goes on serving its client drops nobody.
        left = _established(eyes) if any(connected[step] for step in batch) else set()
        for outcome in outcomes:
            failed = failed or outcome.result == "failed"
            if outcome.acted and outcome.result == "done":
                ended.update(dict.fromkeys(outcome.step.covers, outcome.step.target))
            yield _with_earlier(outcome, ended)._replace(
                dropped=len(connected[outcome.step] - left) if outcome.acted else 0
            )
        if failed:
            return


def _with_earlier(outcome: Outcome, ended: t.Mapping[t.Tuple[t.Any, ...], str]) -> Outcome:
    """An outcome; done where its holders had ended with an earlier step of the same plan, and not by themselves.

    :param ended: key of a holder -> the target of the step with which it ended.
    """
    if outcome.result != "gone" or not outcome.step.holders or not ended.keys() >= set(outcome.step.holders):
        return outcome
    return outcome._replace(result="done", along=ended[outcome.step.holders[0]])


def _clients(steps: t.Sequence[Step], eyes: Eyes) -> t.List[t.Set[Socket]]:
    """The connections of clients to the holders of each step. One that two steps share counts for the first."""
    listeners = [
        [row for row in step.sockets if row.state == LISTEN] if step.actuator != "destroy" else [] for step in steps
    ]
    found: t.List[t.Set[Socket]] = [set() for _step in steps]
    if not any(listeners):
        return found
    for client in _established(eyes):
        for index, accepting in enumerate(listeners):
            if any(listener.accepts(client) for listener in accepting):
                found[index].add(client)
                break
    return found


def _established(eyes: Eyes) -> t.Set[Socket]:
    """Established connections, without what changes while they live."""
    rows = eyes.rows()
    return {row._replace(rqueue=0, inode=0) for row in rows if row.protocol == TCP and row.state == ESTABLISHED}
