# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ranges of ports."""

from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import ports
from hypothesis import given
from hypothesis import strategies as some

PORTS = some.sets(some.integers(1, 65535) | some.integers(8000, 8020), max_size=60)


@pytest.mark.parametrize(
    ("given_ports", "ranges"),
    [
        ([], ()),
        ([80], ((80, 80),)),
        ([82, 80, 81, 80], ((80, 82),)),
        ([80, 82], ((80, 80), (82, 82))),
        ([65535, 1], ((1, 1), (65535, 65535))),
    ],
)
def test_merge(given_ports, ranges):
    assert ports.merge(given_ports) == ranges


@given(PORTS)
def test_merged_ranges_hold_exactly_the_ports(wanted):
    ranges = ports.merge(wanted)
    assert {port for first, last in ranges for port in range(first, last + 1)} == wanted
    assert all(left[1] + 1 < right[0] for left, right in zip(ranges, ranges[1:]))
    assert {port for port in range(7990, 8030) if ports.contains(ranges, port)} == wanted & set(range(7990, 8030))


@pytest.mark.parametrize(
    ("text", "reserved"),
    [
        ("\n", set()),
        ("", set()),
        ("8080\n", {8080}),
        ("8080,9000-9003\n", {8080, 9000, 9001, 9002, 9003}),
        ("1-1,65535\n", {1, 65535}),
    ],
)
def test_reserved_ports(text, reserved):
    assert ports.parse_reserved(text) == reserved


@pytest.mark.parametrize("text", ["x", "1-", "-1", "80,65536", "1--2", "8²", "123456789012", "8080 9090"])
def test_reserved_ports_that_are_none(text):
    with pytest.raises(MalformedData):
        ports.parse_reserved(text)


def test_range():
    assert ports.parse_range("32768\t60999\n") == (32768, 60999)
    for text in ("", "1", "1 2 3", "a b", "1 65536"):
        with pytest.raises(MalformedData):
            ports.parse_range(text)


@given(some.text(max_size=40))
def test_any_text_is_understood_or_refused(text):
    for parse in (ports.parse_reserved, ports.parse_range):
        try:
            parse(text)
        except MalformedData:
            pass


def test_ephemeral_says_what_this_system_says(in_netns):
    def reserve():
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as stream:
            stream.write("40000 41000")
        with open("/proc/sys/net/ipv4/ip_local_reserved_ports", "w", encoding="ascii") as stream:
            stream.write("40100-40102,40200")
        return ports.ephemeral()

    # Both belong to the network namespace.
    assert in_netns(reserve) == ((40000, 41000), {40100, 40101, 40102, 40200})


def test_ephemeral_has_the_defaults_where_nothing_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(ports, "_RANGE_FILE", str(tmp_path / "nothing"))
    assert ports.ephemeral() == ((32768, 60999), frozenset())
