# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of single stages."""

from __future__ import annotations

import itertools
import typing as t

import pytest

from windows import rig
from windows.stages import stage

# The zoo, which shares a worker's Windows with these tests, has ports from 21100 on.
PORTS = itertools.count(25000)


@pytest.fixture
def port() -> int:
    """A port that no other test of this worker uses."""
    return next(PORTS)


@pytest.fixture
def more_ports() -> t.Iterator[int]:
    """More of them."""
    return PORTS


@pytest.fixture(scope="session")
def holder(tools: None) -> str:
    """The program that holds ports (fixtures/holder.c)."""
    return str(rig.native("holder"))


@pytest.fixture(scope="session")
def real(csharp, prefix: rig.Prefix) -> stage.Stages:
    """The stages with the real libraries."""
    return stage.Stages(stage.program(csharp), prefix)


@pytest.fixture
def recorded(csharp, prefix: rig.Prefix) -> t.Iterator[t.Callable[..., t.Tuple[stage.Stages, stage.Recorded]]]:
    """The stages with fake libraries, by name, and the folder of what they answer."""
    folder = stage.Recorded(prefix)

    def made(*libraries: str) -> t.Tuple[stage.Stages, stage.Recorded]:
        return stage.Stages(stage.program(csharp, libraries), prefix), folder

    yield made
    folder.clear()


@pytest.fixture
def start(prefix: rig.Prefix, holder: str) -> t.Iterator[t.Callable[..., rig.Animal]]:
    """Start a holder; it is ended with the test."""
    animals = []

    def started(*arguments: object) -> rig.Animal:
        animals.append(prefix.start(holder, *map(str, arguments)))
        return animals[-1]

    yield started
    for animal in animals:
        stage.end(animal)


@pytest.fixture
def services(prefix: rig.Prefix) -> t.Iterator[stage.Services]:
    """Services of fixtures/service.c; they are gone with the test."""
    made = stage.Services(prefix, str(rig.native("service")))
    yield made
    made.clear()
