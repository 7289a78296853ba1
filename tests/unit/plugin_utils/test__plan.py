# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the role: what each item means before and after a deploy, and what is wrong with it, in one sentence."""

from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils import _argspec
from ansible_collections.harbormaster.ports.plugins.plugin_utils import _plan
from ansible_collections.harbormaster.ports.plugins.plugin_utils._plan import PlanError, items, normalise

# The item, what has to be free before a deploy, and what has to hold after it.
CASES = [
    (8080, {"port": "8080"}, None),
    ("443/tcp", {"port": "443/tcp"}, None),
    (" 9000-9010 ", {"port": "9000-9010"}, None),
    ("https", {"port": "https"}, None),
    ({"port": 8080}, {"port": "8080"}, None),
    (
        {"port": "443/tcp", "owner": ["nginx", "W3SVC"]},
        {"port": "443/tcp", "keep": ["nginx", "W3SVC"]},
        {"port": "443/tcp", "owner": ["nginx", "W3SVC"]},
    ),
    ({"port": 443, "owner": "nginx"}, {"port": "443", "keep": ["nginx"]}, {"port": "443", "owner": ["nginx"]}),
    (
        {"port": 443, "owner": "nginx, apache2"},
        {"port": "443", "keep": ["nginx", "apache2"]},
        {"port": "443", "owner": ["nginx", "apache2"]},
    ),
    ({"port": 23, "owner": []}, {"port": "23"}, {"port": "23", "owner": []}),
    ({"port": 23, "owner": [], "stop_only": "x"}, {"port": "23", "stop_only": ["x"]}, {"port": "23", "owner": []}),
    ({"port": 9000, "stop_only": ["java"]}, {"port": "9000", "stop_only": ["java"]}, None),
    ({"port": 9000, "keep": ["java"]}, {"port": "9000", "keep": ["java"]}, None),
    (
        {"port": 9000, "owner": ["a", "b"], "keep": ["b", "c"]},
        {"port": "9000", "keep": ["a", "b", "c"]},
        {"port": "9000", "owner": ["a", "b"]},
    ),
    (
        {"port": 53, "protocol": "udp", "address": "192.0.2.10", "owner": ["named"], "user": ["bind", 53]},
        {"port": "53", "protocol": "udp", "address": "192.0.2.10", "keep": ["named"], "user": ["bind", "53"]},
        {"port": "53", "protocol": "udp", "address": "192.0.2.10", "owner": ["named"], "user": ["bind", "53"]},
    ),
    # A user alone says whose processes may be stopped; it is no claim.
    ({"port": 9000, "user": "app"}, {"port": "9000", "user": ["app"]}, None),
    ({"port": 9000, "owner": None, "address": None}, {"port": "9000"}, None),
]


@pytest.mark.parametrize(("item", "before", "after"), CASES, ids=[str(case[0]) for case in CASES])
def test_what_an_item_means(item, before, after):
    assert normalise([item], "clear") == [before]
    assert normalise([item], "verify") == ([] if after is None else [after])


def test_without_keeping_the_owner():
    plan = [{"port": 443, "owner": "nginx"}, {"port": 80, "owner": "nginx", "keep": "varnish"}]
    assert normalise(plan, "clear", keep_owner=False) == [{"port": "443"}, {"port": "80", "keep": ["varnish"]}]
    assert normalise(plan, "verify", keep_owner=False) == normalise(plan, "verify")


@pytest.mark.parametrize("plan", [None, [], "", "  ", ()])
def test_an_empty_plan(plan):
    assert normalise(plan, "clear") == normalise(plan, "verify") == []


@pytest.mark.parametrize("plan", ["8080, 443/tcp", ["8080", "443/tcp"], (8080, "443/tcp")])
def test_the_command_line_has_only_text(plan):
    assert normalise(plan, "clear") == [{"port": "8080"}, {"port": "443/tcp"}]


def test_a_lone_number():
    assert normalise(8080, "clear") == [{"port": "8080"}]


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"port": 80}, "clear_ports_plan: {'port': 80} is not usable: a list is wanted"),
        (True, "clear_ports_plan: True is not usable: a list is wanted"),
        (80.5, "clear_ports_plan: 80.5 is not usable"),
        ([80, 0], "clear_ports_plan[1].port: '0' is not usable: a port is a number from 1 to 65535"),
        ([70000], "clear_ports_plan[0].port: '70000' is not usable"),
        (["80-"], "clear_ports_plan[0].port: '80-' is not usable: allowed are 1 to 65535, a range"),
        (["9000-8000"], "clear_ports_plan[0].port: '9000-8000' is not usable: the range ends before it begins"),
        (["80/sctp"], "clear_ports_plan[0].port: '80/sctp' is not usable: after the slash tcp or udp"),
        (["https/sctp"], "clear_ports_plan[0].port: 'https/sctp' is not usable: after the slash"),
        (["https/"], "clear_ports_plan[0].port: 'https/' is not usable: after the slash"),
        (["not a port"], "clear_ports_plan[0].port: 'not a port' is not usable"),
        ("8080,,9090", "clear_ports_plan[1].port: '' is not usable"),
        ([""], "clear_ports_plan[0].port: '' is not usable"),
        ([None], "clear_ports_plan[0]: None is not usable: a port is wanted"),
        ([True], "clear_ports_plan[0]: True is not usable"),
        ([80.0], "clear_ports_plan[0]: 80.0 is not usable"),
        ([[80]], "clear_ports_plan[0]: [80] is not usable"),
        ([{}], "clear_ports_plan[0].port: None is not usable: a port is wanted"),
        ([{"port": True}], "clear_ports_plan[0].port: True is not usable"),
        (
            [80, {"port": 81, "onwer": "x"}],
            "clear_ports_plan[1]: there is no key 'onwer': port, protocol, address, owner",
        ),
        ([{"port": 80, "owner": ""}], "clear_ports_plan[0].owner: [''] is not usable: an empty name"),
        ([{"port": 80, "owner": {}}], "clear_ports_plan[0].owner: {} is not usable: a name or a list of names"),
        ([{"port": 80, "owner": [None]}], "clear_ports_plan[0].owner: [None] is not usable"),
        ([{"port": 80, "owner": True}], "clear_ports_plan[0].owner: True is not usable"),
        ([{"port": 80, "owner": ["a\nb"]}], "clear_ports_plan[0].owner: ['a\\nb'] is not usable: only printable"),
        ([{"port": 80, "keep": []}], "clear_ports_plan[0].keep: [] is not usable: an empty list"),
        ([{"port": 80, "stop_only": []}], "clear_ports_plan[0].stop_only: [] is not usable: an empty list"),
        ([{"port": 80, "user": []}], "clear_ports_plan[0].user: [] is not usable: an empty list"),
        (
            [{"port": 80, "owner": [], "keep": "x"}],
            "clear_ports_plan[0]: owner says that nobody may hold the port, and keep",
        ),
        ([{"port": 80, "protocol": "sctp"}], "clear_ports_plan[0].protocol: 'sctp' is not usable: any, tcp or udp"),
        ([{"port": 80, "address": "nowhere"}], "clear_ports_plan[0].address: 'nowhere' is not usable: an IPv4 or IPv6"),
        (["1-4096", "5000"], "clear_ports_plan: '4097 ports' is not usable: at most 4096 ports"),
        (["9" * 5000], "clear_ports_plan[0].port: '999"),
    ],
)
def test_what_is_wrong_is_one_sentence(plan, says):
    for purpose in _plan.PURPOSES:
        with pytest.raises(PlanError) as caught:
            normalise(plan, purpose)
        said = str(caught.value)
        assert said.startswith(says)
        assert "\n" not in said
        assert len(said) < 300


def test_the_variable_has_the_users_name():
    with pytest.raises(PlanError, match=r"^my_\\1plan\[0\]\.port: "):
        items(["0"], r"my_\1plan")


def test_an_unknown_purpose():
    with pytest.raises(PlanError, match="purpose: 'x' is not usable: clear or verify"):
        normalise([80], "x")


@pytest.mark.parametrize("name", ["no-such-service", "no-such-service/tcp", "3com-tsmux", "a"])
def test_names_of_services_are_left_to_the_hosts(name):
    assert normalise([name, {"port": name, "owner": "x"}], "clear") == [{"port": name}, {"port": name, "keep": ["x"]}]


def test_nothing_of_the_users_is_changed():
    plan = [{"port": 80, "owner": ["nginx"], "keep": ["x"]}]
    first = normalise(plan, "clear")
    first[0]["keep"].append("y")
    assert plan == [{"port": 80, "owner": ["nginx"], "keep": ["x"]}]


def test_the_keys_are_those_of_the_module():
    assert set(_plan.KEYS) == set(_argspec.port_owner()["argument_spec"]["plan"]["options"])
