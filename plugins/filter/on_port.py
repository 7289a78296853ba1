# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of facts about ports, chosen by port, address or owner."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.harbormaster.ports.plugins.plugin_utils import _questions


def on_port(facts: t.Any, port: t.Any = None, protocol: str = "any", **more: t.Any) -> t.List[t.Mapping[str, t.Any]]:
    """The rows that are meant; on_port.yml has the arguments."""
    unknown = sorted(set(more) - {"address", "owner", "service", "container"})
    if unknown:
        raise AnsibleFilterError("harbormaster.ports.on_port: there is no argument %s" % ", ".join(unknown))
    try:
        return _questions.ask(facts, _questions.question(port, protocol, **more))
    except _questions.QuestionError as error:
        raise AnsibleFilterError("harbormaster.ports.on_port: %s" % error) from error


class FilterModule:
    """What Ansible looks for in this file."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """Name and function."""
        return {"on_port": on_port}
