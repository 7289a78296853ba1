# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a control group keeps a process from hearing signals, by the files of both versions of cgroups(7)."""

from __future__ import annotations

import os

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import frozen


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"/proc/7/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/cgroup.events": "populated 1\nfrozen 1\n"}, True),
        ({"/proc/7/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/cgroup.events": "populated 1\nfrozen 0\n"}, False),
        ({"/proc/7/cgroup": "0::/a\n", "/sys/fs/cgroup/unified/a/cgroup.events": "frozen 1\n"}, True),
        ({"/proc/7/cgroup": "5:freezer:/a\n0::/\n", "/sys/fs/cgroup/freezer/a/freezer.state": "FROZEN\n"}, True),
        ({"/proc/7/cgroup": "5:freezer:/a\n", "/sys/fs/cgroup/freezer/a/freezer.state": "THAWED\n"}, False),
        ({"/proc/7/cgroup": "0::/../x\n", "/sys/fs/cgroup/../x/cgroup.events": "frozen 1\n"}, False),
        ({"/proc/7/cgroup": "not a line\n"}, False),
        ({}, False),
    ],
)
def test_frozen(monkeypatch, files, said):
    monkeypatch.setattr(frozen, "_read", files.get)
    assert frozen.is_frozen(7) is said


def test_this_process_runs():
    assert frozen.is_frozen(os.getpid()) is False
