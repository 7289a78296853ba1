# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the attacks: the zoo's module and network, and an account without rights that sets traps."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from zoo import world
from zoo.conftest import facts_module, module, target_python, work, zoo  # noqa: F401

from attacks.attacker import Attacker


@pytest.fixture
def attacker(zoo):  # noqa: F811
    if not world.ROOT:
        world.lacking("needs root, against whom the traps are set")
    with Attacker() as one:
        yield one
