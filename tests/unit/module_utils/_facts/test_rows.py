# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DESIGN of the facts, key by key: what a snapshot becomes."""

from __future__ import annotations

import json

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._facts import dates, rows
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    BOUND,
    ESTABLISHED,
    IPV4,
    IPV6,
    LISTEN,
    TCP,
    TIME_WAIT,
    UDP,
    UNCONN,
    Blind,
    Container,
    Endpoint,
    Process,
    Snapshot,
    Socket,
    Unit,
)

MASTER = Process(
    10,
    "nginx",
    1,
    "/usr/sbin/nginx",
    "nginx: master",
    0,
    "root",
    1486038585.5,
    7,
    ancestors=(1,),
    unit=Unit("nginx.service"),
)
WORKER = Process(
    11, "nginx", 10, "/usr/sbin/nginx", "nginx: worker", 33, "www-data", 1486038586.5, 8, ancestors=(10, 1)
)
INIT = Process(1, "systemd", user="root", started=1.0)
BASE = {"address", "port", "protocol", "pid", "name", "user", "stime"}
MORE = {"family", "v6only", "interface", "service", "container", "started", "owners", "owner_status"}
OF_CONNECTIONS = {"state", "foreign_address", "remote_address", "remote_port"}
FULL = {"exe", "command"}
UTC = dates.parse("%s")


def listener(port=443, inode=5, **more):
    return Socket(TCP, IPV4, "0.0.0.0", port, LISTEN, inode=inode, **more)


def snapshot(*sockets, owners=None, **more):
    known = {process.pid: process for process in (INIT, MASTER, WORKER)}
    return Snapshot(sockets, {5: (10, 11)} if owners is None else owners, known, **more)


DEFAULT = rows.View()


def tcp(found, view=DEFAULT):
    return rows.facts(found, view)["tcp_listen"]


def test_both_lists_are_always_there():
    assert rows.facts(Snapshot(), rows.View()) == {"tcp_listen": [], "udp_listen": []}


@pytest.mark.parametrize("connections", [False, True])
@pytest.mark.parametrize("details", ["none", "process", "full"])
@pytest.mark.parametrize("ss", [False, True])
@pytest.mark.parametrize("owners", [{}, {5: (10, 11)}])
def test_the_keys(connections, details, ss, owners):
    expected = BASE | MORE | (OF_CONNECTIONS if connections else set()) | (FULL if details == "full" else set())
    view = rows.View(ss=ss, connections=connections, details=details)
    for row in tcp(snapshot(listener(), owners=owners), view):
        assert set(row) == expected
        for owner in row["owners"]:
            extra = FULL if details == "full" else set()
            assert set(owner) == {"pid", "name", "user", "stime", "started", "service", "container"} | extra


def test_values_and_types():
    (row,) = tcp(snapshot(listener(interface=3)), rows.View(interfaces={3: "eth1"}, date=dates.parse("%Y")))
    assert row.pop("owners") == [
        {"pid": 10, "name": "nginx", "user": "root", "stime": "2017", "started": "2017-02-02T12:29:45Z", "service": "nginx.service",
         "container": None},
        {"pid": 11, "name": "nginx", "user": "www-data", "stime": "2017", "started": "2017-02-02T12:29:46Z", "service": None,
         "container": None},
    ]  # fmt: skip
    assert row == {
        "address": "0.0.0.0", "port": 443, "protocol": "tcp", "pid": 10, "name": "nginx", "user": "root", "stime": "2017",
        "started": "2017-02-02T12:29:45Z", "service": "nginx.service", "container": None, "family": "ipv4", "v6only": None,
        "interface": "eth1", "owner_status": "known",
    }  # fmt: skip


def test_full_details():
    (row,) = tcp(snapshot(listener()), rows.View(details="full"))
    assert (row["exe"], row["command"]) == ("/usr/sbin/nginx", "nginx: master")
    assert [owner["command"] for owner in row["owners"]] == ["nginx: master", "nginx: worker"]


def test_ss_has_one_row_a_sharer_and_each_knows_all():
    found = tcp(snapshot(listener()), rows.View(ss=True))
    assert [row["pid"] for row in found] == [10, 11]
    assert [row["user"] for row in found] == ["root", "www-data"]
    assert [[owner["pid"] for owner in row["owners"]] for row in found] == [[10, 11], [10, 11]]


@pytest.mark.parametrize(
    ("sharers", "first"),
    [
        ((10, 11), 10),
        ((5, 10, 11), 10),  # a worker with a lower number than its master
        ((1, 10, 11), 10),  # PID 1 shares every activated socket
        ((1,), 1),
        ((1, 11), 11),
    ],
)
def test_the_main_owner_is_the_root_most(sharers, first):
    found = snapshot(listener(), owners={5: sharers})
    young = Process(5, "nginx", 10, user="root", started=3.0, ancestors=(10, 1))
    found = found._replace(processes={**found.processes, 5: young})
    (row,) = tcp(found)
    assert row["pid"] == first
    assert sorted(owner["pid"] for owner in row["owners"]) == sorted(sharers)


@pytest.mark.parametrize(
    ("more", "view", "status", "name"),
    [
        ({"blind": (Blind("not_root", "x"),)}, rows.View(), "not_root", None),
        ({"blind": (Blind("hidepid", "x"), Blind("not_root", "y"))}, rows.View(), "hidepid", None),
        ({"blind": (Blind("netlink_refused", "x"), Blind("pid_namespace", "y"))}, rows.View(), "pid_namespace", None),
        ({"blind": (Blind("descriptors_refused", "x"),)}, rows.View(), "descriptors_refused", None),
        ({"blind": (Blind("owners_hidden", "x"),)}, rows.View(), "owners_hidden", None),
        ({}, rows.View(), "unknown", None),
        ({"kernel": {(TCP, 443): "nfsd"}, "blind": (Blind("not_root", "x"),)}, rows.View(), "kernel", "nfsd"),
        ({}, rows.View(details="none"), "not_asked", None),
    ],
)
@pytest.mark.parametrize("ss", [False, True])
def test_an_unknown_owner_is_null_and_the_status_says_why(more, view, status, name, ss):
    (row,) = tcp(snapshot(listener(), owners={}, **more), view._replace(ss=ss))
    assert row["owner_status"] == status
    assert row["name"] == name
    assert {key: row[key] for key in ("pid", "user", "stime", "started", "service", "container")} == dict.fromkeys(
        ("pid", "user", "stime", "started", "service", "container")
    )
    assert row["owners"] == []


def test_what_no_process_can_have():
    left = Socket(TCP, IPV4, "127.0.0.1", 443, TIME_WAIT, "127.0.0.1", 40000)
    (row,) = tcp(snapshot(left, blind=(Blind("not_root", "x"),)), rows.View(tcp=None, connections=True))
    assert (row["owner_status"], row["pid"], row["state"]) == ("none", None, "TIME_WAIT")


def test_who_is_gone_by_now_is_no_owner():
    (row,) = tcp(snapshot(listener(), owners={5: (11, 999)}))
    assert [owner["pid"] for owner in row["owners"]] == [11]


OTHERS = (
    listener(1, 5),
    Socket(TCP, IPV4, "127.0.0.1", 2, ESTABLISHED, "192.0.2.7", 443, inode=5),
    Socket(TCP, IPV4, "127.0.0.1", 3, BOUND, inode=5),
    Socket(UDP, IPV4, "127.0.0.1", 4, UNCONN, inode=5),
    Socket(UDP, IPV6, "::1", 5, ESTABLISHED, "::1", 53, inode=5),
)


@pytest.mark.parametrize(
    ("view", "tcp_ports", "udp_ports"),
    [
        (rows.View(), [1], [4]),
        (rows.View(tcp=None, udp=None), [1, 2, 3], [4, 5]),
        (rows.View(tcp={BOUND}), [3], [4]),
        (rows.View(tcp={LISTEN, ESTABLISHED}), [1, 2], [4]),
        (rows.View(tcp={""}), [], [4]),
    ],
)
def test_which_sockets_are_shown(view, tcp_ports, udp_ports):
    found = rows.facts(snapshot(*OTHERS), view)
    assert [row["port"] for row in found["tcp_listen"]] == tcp_ports
    assert [row["port"] for row in found["udp_listen"]] == udp_ports


@pytest.mark.parametrize(
    ("ss", "states"), [(False, ["LISTEN", "ESTABLISHED", "BOUND"]), (True, ["LISTEN", "ESTAB", "BOUND"])]
)
def test_keys_of_connections(ss, states):
    found = rows.facts(snapshot(*OTHERS, owners={}), rows.View(ss=ss, connections=True, tcp=None, udp=None))
    assert [row["state"] for row in found["tcp_listen"]] == states
    assert [row["state"] for row in found["udp_listen"]] == ["UNCONN", states[1]]
    assert [row["foreign_address"] for row in found["tcp_listen"]] == ["0.0.0.0:*", "192.0.2.7:443", "0.0.0.0:*"]
    assert [row["remote_address"] for row in found["tcp_listen"]] == [None, "192.0.2.7", None]
    assert [row["remote_port"] for row in found["tcp_listen"]] == [None, 443, None]
    assert found["udp_listen"][1]["foreign_address"] == ("[::1]:53" if ss else "::1:53")


def test_equal_sockets_are_one_row_but_for_ss():
    group = [listener(inode=inode) for inode in (5, 6, 7)]
    found = snapshot(*group, owners={5: (10,), 6: (10,), 7: (11,)})
    assert [row["pid"] for row in tcp(found)] == [10, 11]
    assert [row["pid"] for row in tcp(found, rows.View(ss=True))] == [10, 10, 11]


def test_the_order_is_not_the_kernels():
    sockets = [listener(port, port) for port in (30, 10, 20)]
    assert [row["port"] for row in tcp(snapshot(*sockets))] == [10, 20, 30]


def test_the_name_is_whole():
    long = MASTER._replace(name="systemd-resolve", whole_name="systemd-resolved")
    found = snapshot(listener(), owners={5: (10,)})._replace(processes={10: long})
    assert tcp(found)[0]["name"] == "systemd-resolved"


def test_a_container():
    inside = MASTER._replace(container=Container("docker", "ab" * 32))
    found = snapshot(listener(), owners={5: (10,)})._replace(processes={10: inside})
    assert tcp(found)[0]["container"] == {"engine": "docker", "id": "ab" * 32, "name": None}


def test_v6only_and_dual_stack():
    sockets = [
        Socket(TCP, IPV6, "::", port, LISTEN, inode=5, v6only=only) for port, only in ((1, True), (2, False), (3, None))
    ]
    assert [(row["address"], row["v6only"]) for row in tcp(snapshot(*sockets))] == [
        ("::", True),
        ("::", False),
        ("::", None),
    ]


def test_it_is_json():
    found = rows.facts(snapshot(*OTHERS), rows.View(connections=True, tcp=None, udp=None, details="full"))
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("blind", "owners", "view", "said"),
    [
        ((), None, rows.View(), "1 TCP and 0 UDP sockets"),
        (
            (Blind("not_root", "3 processes are closed", advice="become"),),
            {},
            rows.View(),
            "1 TCP and 0 UDP sockets; the owners of 1 are not known; 3 processes are closed; become",
        ),
        ((Blind("not_root", "closed"),), None, rows.View(), "1 TCP and 0 UDP sockets"),
        ((Blind("netlink_refused", "by /proc"),), None, rows.View(), "1 TCP and 0 UDP sockets; by /proc"),
        ((), {}, rows.View(details="none"), "1 TCP and 0 UDP sockets"),
    ],
)
def test_the_line_for_people(blind, owners, view, said):
    found = snapshot(listener(), blind=blind, owners=owners)
    assert rows.message(found, rows.facts(found, view)) == said


def test_containers_are_named_by_their_engine():
    """One that holds the socket itself, by its id; behind a relay, by what it publishes at this very address."""
    inside = Container("docker", "aa" * 32)
    told = (
        Container("docker", "aa" * 32, "edge", asked=True),
        Container("docker", "bb" * 32, "web", asked=True, published=(Endpoint("tcp", "0.0.0.0", 8080),)),
    )
    listening = (
        Socket("tcp", "ipv4", "0.0.0.0", 80, "LISTEN", inode=1),
        Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=2),
        Socket("tcp", "ipv4", "127.0.0.1", 8080, "LISTEN", inode=3),
    )
    processes = {
        10: Process(10, "nginx", container=inside),
        20: Process(20, "docker-proxy", proven=("docker-proxy",)),
        30: Process(30, "other"),
    }
    seen = Snapshot(listening, {1: (10,), 2: (20,), 3: (30,)}, processes, containers=told)
    names = [(row["container"] or {}).get("name") for row in tcp(seen)]
    assert names == ["edge", "web", None]
    silent = [row["container"] for row in tcp(seen._replace(containers=()))]
    assert silent == [{"engine": "docker", "id": "aa" * 32, "name": None}, None, None]


@pytest.mark.parametrize(
    ("process", "user", "name"),
    [
        (Process(20, "docker-proxy", proven=("docker-proxy",)), None, "web"),
        (Process(20, "dockerd", proven=("dockerd",)), None, "web"),
        (Process(20, "docker-proxy", uid=1000, real_uid=1000), None, None),
        (Process(20, "nginx", proven=("nginx",)), None, None),
        (Process(20, "app", uid=1000, real_uid=1000), None, None),
        (Process(20, "rootlessport", uid=1000, real_uid=1000), 1000, "web"),
        (Process(20, "rootlessport", uid=1001, real_uid=1001), 1000, None),
        (Process(20, "app", uid=1000, real_uid=1000), 1000, None),
    ],
)
def test_who_merely_has_the_address_of_a_container_is_not_behind_it(process, user, name):
    told = (
        Container("docker", "bb" * 32, "web", user=user, asked=True, published=(Endpoint("tcp", "0.0.0.0", 8080),)),
    )
    row = Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=2)
    seen = Snapshot((row,), {2: (20,)}, {20: process}, containers=told)
    assert (tcp(seen)[0]["container"] or {}).get("name") == name
