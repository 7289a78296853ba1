# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the lab. Each test has a host to itself: a real systemd, sshd and Docker engine, reached over ssh."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "lab"))

from zoo import world

from lab import harness


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: the others fill the time of the other hosts meanwhile."""
    items.sort(key=lambda item: item.path.name != "test_real_servers.py")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> harness.Lab:
    problem = harness.why_not()
    if problem:
        world.lacking(problem)
    return harness.Lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def host(lab: harness.Lab):
    with lab.borrow() as borrowed:
        yield borrowed
