# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one bound of a look. Private to harbormaster.ports: not an interface for other collections.

Everything that is asked within a look (service managers, engines, supervisors) shares this clock. What each of them may
take for itself is the smaller of its own bound and what is left.
"""

from __future__ import annotations

import time

# Seconds for everything that is asked within one look.
LOOK = 10.0


class Clock:
    """Time that is running out.

    :param seconds: how long everything together may take.
    """

    def __init__(self, seconds: float = LOOK) -> None:
        self.until = time.monotonic() + seconds

    def left(self, most: float = LOOK) -> float:
        """Seconds that the next question may take: what is left, at most ``most``, never below 0."""
        return max(0.0, min(most, self.until - time.monotonic()))

    @property
    def over(self) -> bool:
        """Whether nothing may be asked any more."""
        return time.monotonic() >= self.until
