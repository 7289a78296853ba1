# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sources of managers say together."""

from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Unit, UnitFacts
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import managers

NAME = "postgresql.service"


@pytest.mark.parametrize("user", [None, 1000])
@pytest.mark.parametrize(
    ("monitor", "facts", "kept"),
    [
        (70, {"main_pid": 70}, True),
        (70, {"main_pid": 60, "pids": (60, 70)}, True),
        (70, {"main_pid": 60, "pids": (60,)}, False),
        (70, {}, False),
        (0, {"main_pid": 0}, False),
        (1, {"main_pid": 1, "pids": (1,)}, False),
    ],
    ids=["its main process", "in its control group", "of another unit", "of none", "no conmon", "not pid 1"],
)
def test_a_unit_of_a_label_has_to_run_the_containers_monitor(user, monitor, facts, kept):
    """Any image may bring the label PODMAN_SYSTEMD_UNIT."""
    unit = Unit(NAME, user)
    container = Container("podman", "a" * 64, unit=NAME, user=user, monitor=monitor)
    assert managers._with_unit(container, {unit: UnitFacts(unit, **facts)}).unit == (NAME if kept else "")


def test_a_unit_that_nobody_could_be_asked_about_stays_named():
    """Nothing is stopped by such a name: its manager has not told of it."""
    container = Container("podman", "a" * 64, unit=NAME, monitor=70)
    assert managers._with_unit(container, {Unit(NAME, 1000): UnitFacts(Unit(NAME, 1000))}).unit == NAME
