# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the role clear_ports, as port_owner takes it."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.harbormaster.ports.plugins.plugin_utils import _plan


def port_plan(
    plan: t.Any, purpose: str = _plan.CLEAR, keep_owner: bool = True, option: str = "clear_ports_plan"
) -> t.List[t.Dict[str, t.Any]]:
    """The wishes of the plan; port_plan.yml has the arguments."""
    try:
        return _plan.normalise(plan, purpose, keep_owner, option)
    except _plan.PlanError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """Name and function."""
        return {"port_plan": port_plan}
