# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the attacks: the zoo's module and network, and an account without rights that sets traps."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from zoo import conftest as of_the_zoo
from zoo import world

from attacks.attacker import Attacker

# pytest finds the zoo's fixtures by their names.
facts_module, module, target_python = of_the_zoo.facts_module, of_the_zoo.module, of_the_zoo.target_python
work, zoo = of_the_zoo.work, of_the_zoo.zoo


@pytest.fixture
def attacker(zoo):
    if not world.ROOT:
        world.lacking("needs root, against whom the traps are set")
    with Attacker() as one:
        yield one
