# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.harbormaster.ports.plugins.filter.on_port import FilterModule
from ansible_collections.harbormaster.ports.plugins.plugin_utils import _questions

ON_PORT = FilterModule().filters()["on_port"]
SIDECAR = Path(__file__).resolve().parents[3] / "plugins" / "filter" / "on_port.yml"
ROWS = [{"address": "0.0.0.0", "port": 80, "protocol": "tcp", "pid": 1, "name": "nginx", "user": "root", "stime": ""}]
FACTS = {"tcp_listen": ROWS, "udp_listen": []}


def test_rows():
    assert ON_PORT(FACTS, 80) == ROWS
    assert ON_PORT(FACTS, 80, "udp") == []
    assert ON_PORT(FACTS, owner="nginx", address="127.0.0.1") == ROWS


@pytest.mark.parametrize("facts", [None, {}, [5]])
def test_missing_facts(facts):
    with pytest.raises(AnsibleFilterError, match=r"^harbormaster\.ports\.on_port: "):
        ON_PORT(facts, 80)


@pytest.mark.parametrize("arguments", [{"port": 0}, {"ports": 80}, {"protocol": "x"}, {"address": "x"}])
def test_bad_arguments(arguments):
    with pytest.raises(AnsibleFilterError, match=next(iter(arguments))):
        ON_PORT(FACTS, **arguments)


def test_the_documentation_has_every_argument():
    document = yaml.safe_load(SIDECAR.read_text(encoding="utf-8"))["DOCUMENTATION"]
    assert list(document["options"]) == ["_input", "port", "protocol", "address", "owner",
                                         "service", "container"]  # fmt: skip
    assert document["options"]["protocol"]["default"] == _questions.question().protocol
