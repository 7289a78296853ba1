# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking several at once, within the clock of the look. Private to harbormaster.ports.

One that doesn't answer costs the others nothing, and the look no more than its bound: who has not answered by then is
left behind.
"""

from __future__ import annotations

import threading
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock

A = t.TypeVar("A")

# What a killed question may take after its time to come back with how it ended.
_GRACE = 0.5


class Question(t.Generic[A]):
    """A question that is being asked, from the moment it is made."""

    def __init__(self, ask: t.Callable[[], A]) -> None:
        self._ask = ask
        self._answer: t.List[A] = []
        self._error: t.List[Exception] = []
        # A daemon: one that hangs in the kernel must not keep the module from ending.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answer.append(self._ask())
        except Exception as error:  # pylint: disable=broad-except
            # Raised again where the answer is asked for.
            self._error.append(error)

    def answer(self, clock: Clock) -> t.Optional[A]:
        """What was answered, None when the clock has run out before. Raises what the question has raised."""
        self._thread.join(max(0.0, clock.until - time.monotonic()) + _GRACE)
        if self._error:
            raise self._error[0]
        return self._answer[0] if self._answer else None


def together(questions: t.Sequence[t.Callable[[], A]], clock: Clock) -> t.List[t.Optional[A]]:
    """The answers of all, in their order; None for who has not answered when the clock has run out."""
    asked = [Question(ask) for ask in questions]
    return [one.answer(clock) for one in asked]
