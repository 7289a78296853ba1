# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the modules as tables. Private to harbormaster.ports. The documentation of each module mirrors them."""

from __future__ import annotations

import typing as t


def _names() -> t.Dict[str, t.Any]:
    return {"type": "list", "elements": "str"}


def _wish_options() -> t.Dict[str, t.Any]:
    """What the task says of its ports, and each item of ``plan`` of its own."""
    return {
        "address": {"type": "str"},
        "owner": _names(),
        "user": _names(),
        "keep": _names(),
        "stop_only": _names(),
    }


def port_owner() -> t.Dict[str, t.Any]:
    """What AnsibleModule takes for port_owner: the options, and which of them go together."""
    protocols = ["any", "tcp", "udp"]
    in_plan: t.Dict[str, t.Any] = {
        "port": {"type": "str", "required": True},
        "protocol": {"type": "str", "choices": protocols},
    }
    in_plan.update(_wish_options())
    options: t.Dict[str, t.Any] = {
        "port": {"type": "list", "elements": "str", "aliases": ["ports"]},
        "plan": {"type": "list", "elements": "dict", "options": in_plan},
        "protocol": {"type": "str", "default": "any", "choices": protocols},
        "state": {"type": "str", "default": "present", "choices": ["present", "free"]},
        "method": {
            "type": "str",
            "default": "auto",
            "choices": ["auto", "service", "container", "signal", "none"],
        },
        "signal": {"type": "str", "default": "TERM"},
        "grace_period": {"type": "float"},
        "force": {"type": "bool"},
        "drain": {"type": "float", "default": 0},
        "settle": {"type": "float"},
        "timeout": {"type": "float", "default": 0},
        "close_blocking": {"type": "bool", "default": False},
        "collateral": {"type": "str", "default": "warn", "choices": ["warn", "refuse", "accept"]},
        "persist": {"type": "bool", "default": False},
        "protect": {"type": "list", "elements": "str", "default": []},
        "unprotect": {"type": "list", "elements": "str", "default": []},
        "backend": {"type": "str", "default": "auto", "choices": ["auto", "netlink", "procfs", "psutil"]},
    }
    options.update(_wish_options())
    return {
        "argument_spec": options,
        "mutually_exclusive": [("port", "plan")],
        "required_one_of": [("port", "plan")],
        "supports_check_mode": True,
    }


def listen_ports_facts() -> t.Dict[str, t.Any]:
    """What AnsibleModule takes for listen_ports_facts."""
    return {
        "argument_spec": {
            "command": {"type": "str", "choices": ["netstat", "ss"]},
            "include_non_listening": {"type": "bool", "default": False},
            "tcp_filter": {"type": "list", "elements": "str", "default": ["Listen"]},
            "date_uformat": {"type": "str", "default": "%c"},
            "details": {"type": "str", "default": "process", "choices": ["none", "process", "full"]},
            "backend": {"type": "str", "default": "auto", "choices": ["auto", "netlink", "procfs", "psutil"]},
        },
        "supports_check_mode": True,
    }
