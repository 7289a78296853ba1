# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tests run with which of the offered ansible-cores."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Outside of the matrix, what is marked for it runs with the first core that is named: the newest."""
    newest = os.environ.get("HARBORMASTER_ANSIBLE_BIN", "").split(os.pathsep)[0]
    if not newest or os.environ.get("HARBORMASTER_MATRIX"):
        return
    left = [item for item in items if item.get_closest_marker("matrix") and _core(item) not in (newest, None)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def _core(item: pytest.Item) -> str | None:
    call = getattr(item, "callspec", None)
    return call.params.get("site") if call is not None else None
