# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real programs to look at."""

from __future__ import annotations

import subprocess

import pytest


@pytest.fixture
def start():
    """A function that starts a program and returns its pid when it has said a line."""
    started = []

    def run(*argv, **options):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, stdin=subprocess.PIPE, **options)
        started.append(process)
        assert process.stdout.readline()
        return process.pid

    yield run
    for process in started:
        process.kill()
        process.communicate()
