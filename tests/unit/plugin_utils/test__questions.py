# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to rows of all three shapes that there are."""

from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.plugin_utils import _questions
from ansible_collections.harbormaster.ports.plugins.plugin_utils._questions import QuestionError, ask, holding, question


def ours(port, address="0.0.0.0", protocol="tcp", **more):
    row = {
        "address": address, "port": port, "protocol": protocol, "pid": 10, "name": "nginx", "user": "root", "stime": "x",
        "started": "x", "service": "nginx.service", "container": None, "family": "ipv6" if ":" in address else "ipv4",
        "v6only": None, "interface": None, "owner_status": "known",
    }  # fmt: skip
    row.update(more)
    owner = {key: row[key] for key in ("pid", "name", "user", "stime", "started", "service", "container")}
    row.setdefault("owners", [owner] if row["pid"] else [])
    return row


def theirs(port, address="0.0.0.0", protocol="tcp", **more):
    """A row of community.general's module."""
    row = {
        "address": address,
        "port": port,
        "protocol": protocol,
        "pid": 10,
        "name": "nginx",
        "user": "root",
        "stime": "x",
    }
    return dict(row, **more)


def windows(port, address="0.0.0.0", protocol="tcp", **more):
    row = {
        "address": address, "port": port, "protocol": protocol, "pid": 4812, "name": "Nginx.exe", "user": "WEB\\svc", "stime": "x"
    }  # fmt: skip
    return dict(row, **more)


SHAPES = [ours, theirs, windows]


def facts(*rows):
    found = {"tcp_listen": [], "udp_listen": [], "hostname": "web1"}
    for row in rows:
        found[row["protocol"] + "_listen"].append(row)
    return found


def ports(rows):
    return [(row["port"], row["protocol"]) for row in rows]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [(80, "tcp"), (443, "tcp"), (8005, "tcp"), (53, "udp"), (443, "udp")]),
        ({"port": 443}, [(443, "tcp"), (443, "udp")]),
        ({"port": "443"}, [(443, "tcp"), (443, "udp")]),
        ({"port": 443, "protocol": "tcp"}, [(443, "tcp")]),
        ({"port": 443, "protocol": "UDP"}, [(443, "udp")]),
        ({"port": "443/udp"}, [(443, "udp")]),
        ({"port": "443/udp", "protocol": "tcp"}, [(443, "udp")]),
        ({"port": "8000-8010"}, [(8005, "tcp")]),
        ({"port": ["80", "53/udp"]}, [(80, "tcp"), (53, "udp")]),
        ({"port": ["80/tcp", 443], "protocol": "udp"}, [(80, "tcp"), (443, "udp")]),
        ({"port": "https/tcp"}, [(443, "tcp")]),
        ({"port": 81}, []),
        ({"protocol": "udp"}, [(53, "udp"), (443, "udp")]),
    ],
)
def test_by_port_and_protocol(shape, arguments, expected):
    given = facts(shape(80), shape(443), shape(8005), shape(53, protocol="udp"), shape(443, protocol="udp"))
    assert ports(ask(given, question(**arguments))) == expected


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("bound", "address", "meets"),
    [
        ("0.0.0.0", "127.0.0.1", True),
        ("0.0.0.0", "::1", False),
        ("0.0.0.0", "0.0.0.0", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "::", True),
        ("::1", "0.0.0.0", False),
        ("::1", "::1", True),
        ("::", "127.0.0.1", True),
        ("::", "::1", True),
        ("*", "127.0.0.1", True),
        ("127.0.0.53%lo", "127.0.0.53", True),
        ("fe80::1%eth0", "fe80::1", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
    ],
)
def test_by_address(shape, bound, address, meets):
    assert bool(ask(facts(shape(80, bound)), question(80, address=address))) is meets


def test_v6only_takes_no_ipv4():
    assert ask(facts(ours(80, "::", v6only=True)), question(80, address="127.0.0.1")) == []
    assert ask(facts(ours(80, "::", v6only=False)), question(80, address="127.0.0.1"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("owner", "found"),
    [("nginx", True), (["apache2", "nginx"], True), ("ngin*", True), ("ngin", False), ("java", False)],
)
def test_by_owner(shape, owner, found):
    assert bool(ask(facts(shape(80)), question(80, owner=owner))) is found


def test_windows_names_in_any_case():
    for owner in ("nginx.exe", "NGINX", "Nginx"):
        assert ask(facts(windows(80)), question(owner=owner))
    assert not ask(facts(theirs(80)), question(owner="NGINX"))


def test_every_sharer_is_an_owner():
    row = ours(
        80,
        owners=[{"pid": 1, "name": "systemd", "service": None}, {"pid": 2, "name": "cupsd", "service": "cups.service"}],
    )
    assert ask(facts(row), question(owner="cupsd"))
    assert ask(facts(row), question(service="cups"))
    assert not ask(facts(row), question(owner="nginx"))


def test_by_executable():
    row = ours(80, owners=[{"pid": 1, "name": "python3", "exe": "/opt/app/bin/shipyard"}])
    assert ask(facts(row), question(owner="shipyard"))


@pytest.mark.parametrize("service", ["nginx", "nginx.service", "ng*", ["x", "nginx"]])
def test_by_service(service):
    given = facts(ours(80), ours(81, service=None), ours(82, service="getty@tty1.service"))
    assert ports(ask(given, question(service=service))) == [(80, "tcp")]
    assert ports(ask(given, question(service="getty"))) == [(82, "tcp")]


@pytest.mark.parametrize("container", ["web", "ab" * 32, "ab" * 6, "we?"])
def test_by_container(container):
    given = facts(ours(80, container={"engine": "docker", "id": "ab" * 32, "name": "web"}), ours(81))
    assert ports(ask(given, question(container=container))) == [(80, "tcp")]


@pytest.mark.parametrize("shape", [theirs, windows])
@pytest.mark.parametrize("key", ["service", "container"])
def test_what_the_rows_do_not_say_is_an_error(shape, key):
    with pytest.raises(QuestionError, match=key):
        ask(facts(shape(80)), question(**{key: "nginx"}))


def test_facts_without_owners_do_not_say_who():
    row = ours(80, pid=None, name=None, owner_status="not_asked")
    for key in ("owner", "service", "container"):
        with pytest.raises(QuestionError, match="details=none"):
            ask(facts(row), question(**{key: "nginx"}))
    assert ask(facts(row), question(80))


@pytest.mark.parametrize(
    "row", [ours(80, pid=None, name=None, service=None, owner_status="not_root"), theirs(80, pid=0, name="")]
)
def test_an_unknown_owner_matches_nobody_and_holds_the_port(row):
    assert ask(facts(row), question(80, owner="*")) == []
    assert holding(ask(facts(row), question(80)))


class Undefined:
    """Stands for Jinja's class of that name, and those that Ansible has made of it."""


class AnsibleUndefined(Undefined):
    pass


@pytest.mark.parametrize(
    "given",
    [
        None, {}, {"hostname": "web1"}, {"tcp_listen": None, "udp_listen": []}, {"tcp_listen": []}, {"udp_listen": []},
        {"tcp_listen": "", "udp_listen": ""}, {"tcp_listen": AnsibleUndefined(), "udp_listen": []}, AnsibleUndefined(), "", "x", 5,
        {"ansible_facts": {}}, {"ansible_facts": None}, {"tcp_listen": {}, "udp_listen": {}},
    ],
)  # fmt: skip
def test_missing_facts_are_an_error(given):
    with pytest.raises(QuestionError, match="listen_ports_facts"):
        ask(given, question(80))


@pytest.mark.parametrize("given", [[5], [{"port": 80}], {"tcp_listen": ["x"], "udp_listen": []}, [None]])
def test_what_is_no_row(given):
    with pytest.raises(QuestionError, match="port and address"):
        ask(given, question(80))


def test_only_the_protocol_that_is_asked_for_has_to_be_there():
    assert ask({"tcp_listen": [theirs(80)]}, question("80/tcp"))
    assert ask({"udp_listen": []}, question(80, "udp")) == []


def test_a_result_and_a_list_of_rows():
    given = facts(theirs(80), theirs(80, protocol="udp"))
    assert len(ask({"changed": False, "ansible_facts": given}, question(80))) == 2
    assert ports(ask(given["tcp_listen"], question(80))) == [(80, "tcp")]
    assert ports(ask(given["tcp_listen"] + given["udp_listen"], question("80/udp"))) == [(80, "udp")]
    assert ask([], question(80)) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"port": 0}, "0"),
        ({"port": 70000}, "70000"),
        ({"port": "80-"}, "80-"),
        ({"port": "9000-8000"}, "9000-8000"),
        ({"port": "no-such-service"}, "no-such-service"),
        ({"port": []}, "port"),
        ({"port": True}, "True"),
        ({"port": 80.5}, "80.5"),
        ({"port": {}}, "port"),
        ({"port": [None]}, "None"),
        ({"protocol": "sctp"}, "sctp"),
        ({"protocol": None}, "None"),
        ({"address": "nowhere"}, "nowhere"),
        ({"owner": ""}, "owner"),
        ({"owner": []}, "owner"),
        ({"owner": 5}, "owner"),
        ({"service": [""]}, "service"),
        ({"container": {}}, "container"),
    ],
)
def test_bad_arguments(arguments, says):
    with pytest.raises(QuestionError) as caught:
        question(**arguments)
    assert says in str(caught.value)
    assert next(iter(arguments)) in str(caught.value)


@pytest.mark.parametrize(
    ("state", "holds"),
    [
        ("LISTEN", True), ("BOUND", True), ("UNCONN", True), ("ESTABLISHED", True), ("ESTAB", True), ("CLOSE_WAIT", True),
        ("", True), (None, True), ("TIME_WAIT", False), ("TIME-WAIT", False), ("TimeWait", False), ("FIN_WAIT1", False),
        ("FIN-WAIT-2", False), ("FinWait2", False), ("LAST_ACK", False), ("CLOSING", False), ("SYN_RECV", False),
    ],
)  # fmt: skip
def test_what_holds_a_port(state, holds):
    assert bool(holding([theirs(80, state=state)])) is holds
    assert holding([theirs(80)])


def test_the_words_for_missing_facts_name_all_three_modules():
    for name in ("harbormaster.ports", "community.general", "ansible.windows"):
        assert name in _questions._GATHER
