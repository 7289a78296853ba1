# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets ``listen_ports_facts`` be written without its namespace: ``ansible all -m listen_ports_facts``.

Opt-in: put this file's folder on ``action_plugins``. It runs the module of harbormaster.ports that is called like
this file, so a further short name is a copy of it under that name. README.md has the details.
"""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.plugins.action.normal import ActionModule as NormalAction

try:
    from ansible.executor.module_common import _apply_action_arg_defaults
except ImportError:  # ansible-core before 2.19

    def _apply_action_arg_defaults(action: str, task: t.Any, action_args: t.Any, templar: t.Any) -> t.Any:
        from ansible.executor.module_common import get_action_args_with_defaults

        groups = task.get_play()._action_groups
        return get_action_args_with_defaults(action, action_args, task.module_defaults, templar, action_groups=groups)


MODULE = "harbormaster.ports." + Path(__file__).stem


class ActionModule(NormalAction):  # type: ignore[misc]
    """Ansible's own way to run a module, under the full name of the short one.

    Check mode, async, become and Windows work as for every module because nothing else is replaced.
    """

    def _execute_module(self, **kwargs: t.Any) -> t.Any:
        # Ansible has applied the module_defaults of the short name only; without this line, ``protect`` and its
        # like that a play sets for the full name would silently not count here.
        args = _apply_action_arg_defaults(MODULE, self._task, self._task.args, self._templar)
        return super()._execute_module(module_name=MODULE, module_args=args, **kwargs)
