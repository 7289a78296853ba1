# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule is asked about. Private to harbormaster.ports. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import holders, managers, matching, reasons
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Holder,
    Policy,
    Process,
    Refusal,
    Snapshot,
    Wish,
)


class Case(t.NamedTuple):
    """One holder, and everything that a rule may look at.

    :param asked: (port, protocol) of all wishes: what stops with one of them may be wished by another.
    """

    snapshot: Snapshot
    policy: Policy
    wish: Wish
    holder: Holder
    who: str
    main: t.Optional[Process]
    asked: t.AbstractSet[t.Tuple[int, str]] = frozenset()

    @property
    def members(self) -> t.List[Process]:
        """Every process of the holder that is still known; without a service manager that holds its unit's socket."""
        known = [self.snapshot.processes[pid] for pid in self.holder.pids if pid in self.snapshot.processes]
        if self.holder.unit is None:
            return known
        return [process for process in known if not managers.is_service_manager(process)]

    def matches(self, process: t.Optional[Process], patterns: t.Iterable[str], cut: bool = False) -> bool:
        """Whether one of the patterns means this process of the holder, by its own names or its manager's."""
        return holders.matches(self.snapshot, self.holder, process, patterns, cut)

    def believed(self, refusal: Refusal, process: Process, entry: str) -> t.Optional[Refusal]:
        """A refusal because a process is what an entry of a table says: as it is on evidence, else as a claim of that process.

        Any account may call its programs what it likes, and must not get a refusal by that which no option lifts.
        """
        if matching.proven(process, (entry,)):
            return refusal
        return self.claimed(refusal, process.name, entry, *matching.programs(process))

    def claimed(self, refusal: Refusal, *names: str) -> t.Optional[Refusal]:
        """A refusal that rests on a claim; None when the task overrules it by ``method: signal`` or ``unprotect``.

        :param names: what ``unprotect`` may say; the first one is the one that people are told.
        """
        if self.policy.method == "signal" or set(names).intersection(self.policy.unprotect):
            return None
        return reasons.claimed(refusal, names[0])


Rule = t.Callable[[Case], t.Optional[Refusal]]
