# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Closing single sockets under programs that live on (SOCK_DESTROY, sock_diag(7)). Private to harbormaster.ports.

Meant for outgoing connections that sit on a port and for what old connections left behind. A socket that was bound
explicitly stays bound after it: the look afterwards tells.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import ActError
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import netlink
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Eyes, Outcome, Refusal, Step


def close(steps: t.Sequence[Step], eyes: Eyes, number_of: t.Callable[[str], int]) -> t.List[Outcome]:
    """Close the sockets of these steps. The row's cookie makes sure that only the socket that was seen is hit."""
    del eyes, number_of
    return [_close(step) for step in steps]


def _close(step: Step) -> Outcome:
    began = time.monotonic()
    closed = 0
    error: t.Optional[Refusal] = None
    try:
        for row in step.sockets:
            closed += netlink.destroy(row)
    except ActError as problem:
        error = Refusal(problem.code, problem.message, "wait for its end with timeout instead")
    return Outcome(
        step=step,
        result="failed" if error else "done" if closed else "gone",
        acted=bool(closed),
        seconds=time.monotonic() - began,
        error=error,
    )
