# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A clock that tests can stop."""

from __future__ import annotations

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock


class Countdown(Clock):
    """A clock that is over when it was looked at so often."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    @property
    def over(self):
        self.looks -= 1
        return self.looks < 0
