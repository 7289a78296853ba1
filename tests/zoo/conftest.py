# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the zoo.

ZOO_PYTHON is the Python that runs the module and the holders (default: /usr/bin/python3, else the tests' own).
With CI=true a missing tool or privilege is a failure, not a skip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from zoo import harness, world


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "root: needs root (other users, namespaces, raw sockets)")
    config.addinivalue_line("markers", "tool(name): needs a command")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("root") and not world.ROOT:
        world.lacking("needs root")
    for marker in item.iter_markers("tool"):
        for name in marker.args:
            if shutil.which(name) is None and not os.path.exists("/usr/sbin/" + name):
                world.lacking("needs the command " + name)


@pytest.fixture(scope="session")
def work():
    """A directory that every user may read, gone at the end."""
    directory = Path(tempfile.mkdtemp(prefix="zoo-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def target_python() -> str:
    """The Python of the pretended target."""
    named = os.environ.get("ZOO_PYTHON")
    if named:
        return named
    system = "/usr/bin/python3"
    if os.path.exists(system):
        probe = subprocess.run([system, "-c", "import sys; sys.exit(sys.version_info < (3, 8))"], check=False)
        if probe.returncode == 0:
            return system
    return sys.executable


@pytest.fixture(scope="session")
def module(work: Path, target_python: str) -> harness.Module:
    harness.collection_path(work)
    payload = harness.Module(work, target_python)
    harness.readable_copy(work)
    return payload


@pytest.fixture(scope="session")
def facts_module(work: Path, target_python: str, module: harness.Module) -> harness.Module:
    payload = harness.Module(work, target_python, "listen_ports_facts")
    harness.readable_copy(work)
    return payload


@pytest.fixture
def zoo(module: harness.Module):
    """A zoo for one test. As root it has a network of its own; else it picks ports that are free."""
    animals = harness.Zoo(module, private=world.ROOT)
    try:
        yield animals
    finally:
        left = animals.close()
    if left:
        pytest.fail("left behind: pids %s" % left)
