# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a port is free, out of facts about ports."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.harbormaster.ports.plugins.plugin_utils import _questions


def port_free(facts: t.Any, port: t.Any, protocol: str = "any", address: t.Any = None) -> bool:
    """Whether nothing in the facts is on these ports; port_free.yml has the arguments."""
    try:
        if port is None:
            raise _questions.QuestionError("port: give at least one")
        return not _questions.holding(_questions.ask(facts, _questions.question(port, protocol, address)))
    except _questions.QuestionError as error:
        raise AnsibleFilterError("harbormaster.ports.port_free: %s" % error) from error


class TestModule:
    """What Ansible looks for in this file."""

    def tests(self) -> t.Dict[str, t.Callable[..., bool]]:
        """Name and function."""
        return {"port_free": port_free}
