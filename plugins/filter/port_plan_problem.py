# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a plan of the role clear_ports, as a sentence.

port_plan raises the same sentence, but the newer ansible-core wraps the error of a filter in pages of its own.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.plugin_utils import _plan


def port_plan_problem(plan: t.Any, option: str = "clear_ports_plan") -> str:
    """The first problem of the plan, empty when it has none; port_plan_problem.yml has the arguments."""
    try:
        _plan.items(plan, option)
    except _plan.PlanError as error:
        return str(error)
    return ""


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """Name and function."""
        return {"port_plan_problem": port_plan_problem}
