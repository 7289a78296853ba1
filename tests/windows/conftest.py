# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the Windows tests. With CI=true a rig that can't be made is a failure, not a skip."""

from __future__ import annotations

import os
import sys
import typing as t
from pathlib import Path

import ansible
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from windows import powershell, rig


@pytest.fixture(scope="session")
def tools() -> None:
    """The compilers and Wine are there."""
    why = rig.setup()
    if why and os.environ.get("CI") == "true":
        pytest.fail("CI=true, and %s" % why, pytrace=False)
    if why:
        pytest.skip(why)


@pytest.fixture(scope="session")
def csharp() -> Path:
    """The C# of the ansible-core that runs these tests."""
    return rig.csharp_of(Path(ansible.__file__).parent)


@pytest.fixture(scope="session")
def app(tools: None, csharp: Path) -> Path:
    """All utils with the options of both modules, as one program."""
    return rig.program(csharp, rig.utils(), powershell.specs())


@pytest.fixture(scope="session")
def prefix(tools: None) -> t.Iterator[rig.Prefix]:
    """One Windows for all tests of this worker."""
    made = rig.Prefix("tests-%s" % os.environ.get("PYTEST_XDIST_WORKER", "one"))
    made.drop()  # what an interrupted run may have left
    made = rig.Prefix(made.name)
    try:
        yield made
    finally:
        made.drop()
