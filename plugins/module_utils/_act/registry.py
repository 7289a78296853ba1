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
    Step,
)

Actuator = t.Callable[[t.Sequence[Step], Eyes, t.Callable[[str], int]], t.List[Outcome]]

ACTUATORS: t.Mapping[str, Actuator] = {
    "signal": signals.stop,
    "destroy": sockets.close,
}


def carry_out(
    steps: t.Sequence[Step], eyes: Eyes, drain: float, number_of: t.Callable[[str], int]
) -> t.Iterator[Outcome]:
    """Do the steps in their order, those of one kind that follow each other together.

    :param drain: seconds to wait first for the connections of the holders to end by themselves.
    :returns: the outcome of each step that was begun. After a failure no further step is begun.
    """
    if drain > 0:
        _drain(steps, eyes, drain)
    open_now = dict(zip(steps, _connections(steps, eyes)))
    rest = list(steps)
    while rest:
        actuator = rest[0].actuator
        batch = [step for index, step in enumerate(rest) if all(s.actuator == actuator for s in rest[: index + 1])]
        rest = rest[len(batch) :]
        failed = False
        for outcome in ACTUATORS[actuator](batch, eyes, number_of):
            failed = failed or outcome.result == "failed"
            yield outcome._replace(dropped=open_now[outcome.step] if outcome.acted else 0)
        if failed:
            return


def _drain(steps: t.Sequence[Step], eyes: Eyes, seconds: float) -> None:
    """Wait until nobody is connected to the holders any more, at most so long."""
    until = time.monotonic() + seconds
    with pidfd.Waker() as waker:
        while time.monotonic() < until and any(_connections(steps, eyes)):
            waker.sleep(until)


def _connections(steps: t.Sequence[Step], eyes: Eyes) -> t.List[int]:
    """How many clients are connected to the holders of each step. One that two steps share is counted once."""
    listeners = [[row for row in step.sockets if row.state == LISTEN] if step.roots else [] for step in steps]
    counts = [0] * len(steps)
    if not any(listeners):
        return counts
    for client in eyes.rows():
        if client.protocol == TCP and client.state == ESTABLISHED:
            for index, sockets_ in enumerate(listeners):
                if any(listener.accepts(client) for listener in sockets_):
                    counts[index] += 1
                    break
    return counts
