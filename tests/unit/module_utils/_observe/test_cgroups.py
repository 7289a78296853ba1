# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Unit
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.cgroups import parse, root_of

CASES = yaml.safe_load(Path(__file__).parents[2].joinpath("data", "cgroups.yml").read_text("utf-8"))
ID = "0123456789abcdef" * 4


class Told:
    """Whose word the paths of a case are, where it says so."""

    def __init__(self, case):
        self.case = case

    def of(self, hierarchy, path):
        case = self.case
        if "words" in case:
            return tuple(case["words"][hierarchy])
        if "word" in case:
            return tuple(case["word"]) if case["word"] else None
        return len([part for part in path.split("/") if part]), None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_recorded(case):
    data = "".join(line + "\n" for line in case["lines"] or ()).encode()
    unit = Unit(*case["unit"]) if "unit" in case else None
    container = Container(*case["container"]) if "container" in case else None
    if container is not None:
        container = container._replace(user=case.get("user"), unsure=case.get("unsure", False))
    assert parse(data, case.get("root", ""), Told(case)) == (unit, container)
    if not {"word", "words"} & set(case):
        assert parse(data, case.get("root", "")) == (unit, container), "the text alone says the same"


@pytest.mark.parametrize(
    ("data", "root"),
    [
        (b"0::/init.scope\n", ""),
        (b"0::/\n", ""),
        (b"", ""),
        (b"0::/docker/%b/init.scope\n" % ID.encode(), "/docker/" + ID),
        (b"0::/docker/%b\n" % ID.encode(), "/docker/" + ID),
        (b"4:memory:/docker/abc\n3:cpu:/docker/abc\n", "/docker/abc"),
        (b"9:name=systemd:/right\n4:memory:/wrong\n0::/\n", "/right"),
    ],
)
def test_root_of(data, root):
    assert root_of(data) == root


@pytest.mark.parametrize(
    "data", [b"0::\n", b"0:/x\n", b"x::/y\n", b"nonsense\n", b"0::relative\n", b"\0\n", b"1:name=systemd:/x\n0:"]
)
def test_malformed(data):
    with pytest.raises(MalformedData):
        parse(data)
    with pytest.raises(MalformedData):
        root_of(data)


def test_the_own_root_is_whole_directories():
    assert parse(b"0::/lxc/web\n", "/l")[1] == Container("lxc", "web")
    assert parse(b"0::/lxc/web\n", "/lxc")[1] is None


def test_bytes_that_are_not_utf8():
    unit, container = parse(b"0::/system.slice/caf\xe9.service\n")
    assert unit == Unit("caf\\xe9.service")
    assert container is None
    assert parse(b"0::/machine.slice/systemd-nspawn@\\xe4\\xb8\\x96.service\n")[1] == Container("systemd-nspawn", "世")
