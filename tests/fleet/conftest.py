# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the fleet.

HARBORMASTER_ANSIBLE_BIN names folders that hold ``ansible-playbook``, separated by ``:``; every test runs with each of them,
on the collection as ``ansible-galaxy`` has built and installed it. hosts.py has the hosts.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import controller
import hosts
from zoo import world

FOLDERS = [folder for folder in os.environ.get("HARBORMASTER_ANSIBLE_BIN", "").split(os.pathsep) if folder]


def _core(folder: str) -> str:
    """A short name for the ids of tests: that of the environment."""
    return Path(folder).parent.name


@pytest.fixture(scope="session", params=FOLDERS or [str(Path(sys.executable).parent)], ids=_core)
def installed(request: pytest.FixtureRequest) -> t.Iterator[controller.Installed]:
    """One ansible with the collection in a directory that was empty before."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        yield controller.Installed(Path(folder), Path(request.param))


@pytest.fixture(scope="session")
def world_of_hosts() -> t.Iterator[hosts.Fleet]:
    named = os.environ.get("HARBORMASTER_FLEET_INVENTORY")
    if named:
        beside = Path(FOLDERS[0]) if FOLDERS else Path(sys.executable).parent
        yield hosts.named_fleet(named, str(beside / "ansible-inventory"))
        return
    if not world.ROOT:
        world.lacking("network namespaces need root")
    for command in ("ip", "ssh", "ssh-keygen"):
        if shutil.which(command) is None:
            world.lacking("needs the command " + command)
    if not Path("/usr/sbin/sshd").exists():
        world.lacking("needs the command sshd")
    with tempfile.TemporaryDirectory(prefix="fleet-hosts-") as folder:
        fleet = hosts.NamespaceFleet(Path(folder))
        try:
            yield fleet
        finally:
            fleet.close()


@pytest.fixture
def site(installed: controller.Installed, world_of_hosts: hosts.Fleet, tmp_path: Path) -> t.Iterator[controller.Site]:
    """The hosts with nothing of ours on them, and a controller to run playbooks from."""
    place = controller.Site(installed, world_of_hosts, tmp_path)
    try:
        yield place
    finally:
        place.clean()
