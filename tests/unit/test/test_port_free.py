# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.harbormaster.ports.plugins.test.port_free import TestModule as Module

PORT_FREE = Module().tests()["port_free"]
SIDECAR = Path(__file__).resolve().parents[3] / "plugins" / "test" / "port_free.yml"


def row(port, **more):
    return dict(
        {"address": "127.0.0.1", "port": port, "protocol": "tcp", "pid": 0, "name": "", "user": "", "stime": ""}, **more
    )


FACTS = {"tcp_listen": [row(80), row(90, state="TIME_WAIT")], "udp_listen": [row(53, protocol="udp")]}


@pytest.mark.parametrize(
    ("arguments", "free"),
    [
        ((80,), False),
        ((81,), True),
        ((90,), True),
        (("80/udp",), True),
        ((80, "udp"), True),
        ((53,), False),
        ((53, "tcp"), True),
        (("70-85",), False),
        (("81-89",), True),
        (([81, 53],), False),
        ((80, "any", "127.0.0.2"), True),
        ((80, "any", "127.0.0.1"), False),
    ],
)
def test_free_or_not(arguments, free):
    assert PORT_FREE(FACTS, *arguments) is free


@pytest.mark.parametrize("facts", [None, {}, {"tcp_listen": []}, "free"])
def test_missing_facts_are_never_a_free_port(facts):
    with pytest.raises(AnsibleFilterError, match="listen_ports_facts"):
        PORT_FREE(facts, 80)


@pytest.mark.parametrize("port", [None, 0, "", [], "x-y"])
def test_bad_ports(port):
    with pytest.raises(AnsibleFilterError, match="port"):
        PORT_FREE(FACTS, port)


def test_the_documentation_has_every_argument():
    document = yaml.safe_load(SIDECAR.read_text(encoding="utf-8"))["DOCUMENTATION"]
    assert list(document["options"]) == ["_input", "port", "protocol", "address"]
    assert document["positional"] == "port, protocol, address"
