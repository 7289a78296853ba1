# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What single processes have open. Private to harbormaster.ports: not an interface for other collections."""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import descriptors

# Tables with more sockets than this are not kept: an account can have half a million in each.
_KEPT = 4096


class Tables:
    """What single processes have open, read once in a look.

    :param clock: of the look.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.late: t.Set[int] = set()
        self._known: t.Dict[int, t.Set[int]] = {}

    def of(self, pid: int) -> t.Optional[t.Set[int]]:
        """As `descriptors.inodes_of`. Who could not be read in time is among the ``late`` from then on."""
        if pid in self._known:
            return self._known[pid]
        found = descriptors.inodes_of(pid, self.clock)
        if found is None:
            self.late.add(pid)
        elif len(found) <= _KEPT:
            self._known[pid] = found
        return found
