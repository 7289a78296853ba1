# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo, as somebody runs it who keeps what it says in a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.harbormaster.ports.tests.contrib import test_short_names

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def collections(tmp_path):
    place = tmp_path / "ansible_collections" / "harbormaster"
    place.mkdir(parents=True)
    (place / "ports").symlink_to(ROOT)
    return tmp_path


def test_all_that_the_demo_says_is_in_the_file_it_goes_to(collections, tmp_path):
    folder = test_short_names.FOLDERS[-1]
    path = os.pathsep.join((folder, str(Path(sys.executable).parent), os.environ["PATH"]))
    log = tmp_path / "log"
    with log.open("wb") as stream:
        subprocess.run(
            [str(ROOT / "scripts" / "demo" / "run")],
            env=dict(os.environ, PATH=path, ANSIBLE_COLLECTIONS_PATH=str(collections)),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=True,
            timeout=300,
        )
    told = log.read_text(encoding="utf-8")
    steps = [
        "A small server was started",
        "held by python",
        "changed=1 ",
        "The same playbook again",
        "changed=0 ",
        "What happened",
    ]
    places = [told.find(step) for step in steps]
    assert -1 not in places and places == sorted(places), told
