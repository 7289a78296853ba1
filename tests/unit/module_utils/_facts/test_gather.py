# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options to facts, and real sockets to facts, in network namespaces of their own."""

from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils import _argspec
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError, SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._facts import gather
from ansible_collections.harbormaster.ports.plugins.module_utils._model import BOUND, LISTEN, UNCONN
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    descriptors,
    masking,
    netlink,
    owned,
    processes,
    procnet,
    snapshot,
)

# Loaded here: a test that has become another user can't read this Python's files.
LOADED = (masking, owned, procnet)
PORT = 20500
DEFAULTS = {name: spec.get("default") for name, spec in _argspec.listen_ports_facts()["argument_spec"].items()}


def facts(**options):
    return gather.gather(dict(DEFAULTS, **options)).facts


def listen(port=PORT, host="127.0.0.1", family=socket.AF_INET):
    server = socket.socket(family)
    server.bind((host, port))
    server.listen()
    return server


@pytest.mark.parametrize(
    ("options", "ss", "connections", "tcp", "udp"),
    [
        ({}, False, False, {LISTEN}, {UNCONN}),
        ({"command": "netstat"}, False, False, {LISTEN}, {UNCONN}),
        ({"command": "ss"}, True, False, {LISTEN}, {UNCONN}),
        ({"include_non_listening": True}, False, True, None, None),
        ({"tcp_filter": ["listen"]}, False, False, {LISTEN}, {UNCONN}),
        ({"tcp_filter": ["Listen", "Bound"]}, False, True, {LISTEN, BOUND}, {UNCONN}),
        ({"tcp_filter": ["DeleteTCB"]}, False, True, {""}, {UNCONN}),
    ],
)
def test_what_the_task_wants_to_see(options, ss, connections, tcp, udp):
    view = gather.parse_view(dict(DEFAULTS, **options))
    assert (view.ss, view.connections, view.tcp, view.udp) == (ss, connections, tcp, udp)


@pytest.mark.parametrize(
    "options",
    [
        {"tcp_filter": []},
        {"tcp_filter": ["ESTAB"]},
        {"date_uformat": "%Q"},
        {"tcp_filter": ["Bound"], "include_non_listening": True},
    ],
)
def test_bad_options(options):
    with pytest.raises(OptionError):
        gather.parse_view(dict(DEFAULTS, **options))


@pytest.mark.parametrize("backend", ["auto", "netlink", "procfs", "psutil"])
def test_real_sockets(in_netns, backend):
    def look():
        with listen(), listen(PORT + 1, "::1", socket.AF_INET6), socket.socket(type=socket.SOCK_DGRAM) as datagram:
            datagram.bind(("0.0.0.0", PORT))
            return facts(backend=backend), os.getpid()

    found, pid = in_netns(look)
    assert [(row["address"], row["port"], row["pid"]) for row in found["tcp_listen"]] == [
        ("127.0.0.1", PORT, pid),
        ("::1", PORT + 1, pid),
    ]
    assert [(row["address"], row["port"], row["pid"]) for row in found["udp_listen"]] == [("0.0.0.0", PORT, pid)]
    assert {row["owner_status"] for each in found.values() for row in each} == {"known"}


def test_details_none_looks_at_no_process(in_netns, monkeypatch):
    monkeypatch.setattr(descriptors, "scan", lambda *_unused: 1 / 0)

    def look():
        with listen():
            return facts(details="none")["tcp_listen"]

    (row,) = in_netns(look)
    assert (row["port"], row["pid"], row["owner_status"], row["owners"]) == (PORT, None, "not_asked", [])


def test_details_process_reads_no_command_line(in_netns, monkeypatch):
    monkeypatch.setattr(processes, "parse_command", lambda _data: 1 / 0)

    def look():
        with listen():
            return facts()["tcp_listen"], os.getpid()

    found, pid = in_netns(look)
    assert [row["pid"] for row in found] == [pid]


def test_details_full(in_netns):
    def look():
        with listen():
            return facts(details="full")["tcp_listen"][0], os.readlink("/proc/self/exe")

    row, exe = in_netns(look)
    assert row["exe"] == exe
    assert row["command"]


def test_connections_and_bound_sockets_on_demand(in_netns):
    def look():
        with listen() as server, socket.create_connection(server.getsockname()) as client, socket.socket() as idle:
            idle.bind(("127.0.0.1", PORT + 1))
            accepted = server.accept()[0]
            with accepted:
                return facts(), facts(include_non_listening=True), facts(tcp_filter=["Bound"]), client.getsockname()[1]

    plain, everything, bound, peer = in_netns(look)
    assert [row["port"] for row in plain["tcp_listen"]] == [PORT]
    states = {(row["port"], row["state"], row["foreign_address"]) for row in everything["tcp_listen"]}
    assert states >= {
        (PORT, "LISTEN", "0.0.0.0:*"),
        (PORT, "ESTABLISHED", "127.0.0.1:%d" % peer),
        (peer, "ESTABLISHED", "127.0.0.1:%d" % PORT),
    }
    if [int(part) for part in os.uname().release.split(".")[:2]] >= [6, 8]:
        assert (PORT + 1, "BOUND", "0.0.0.0:*") in states
        assert [(row["port"], row["state"]) for row in bound["tcp_listen"]] == [(PORT + 1, "BOUND")]


def test_listeners_alone_are_asked_for_by_their_own_table(in_netns, monkeypatch):
    """The kernel must not walk its connections: of TCP only the listening state is asked for."""
    asked = []
    real = netlink._table

    def table(protocol, family, states, extra):
        asked.append((protocol, states))
        return real(protocol, family, states, extra)

    monkeypatch.setattr(netlink, "_table", table)

    def look():
        facts()
        return asked

    assert set(in_netns(look)) == {("tcp", 1 << 10), ("udp", 1 << 7)}


def test_a_refused_netlink_is_no_obstacle(in_netns, monkeypatch):
    def refuse(*_unused):
        raise SourceRefused("sock_diag", "Operation not permitted")

    monkeypatch.setattr(netlink, "_table", refuse)

    def look():
        with listen():
            return gather.gather(DEFAULTS), os.getpid()

    answer, pid = in_netns(look)
    assert [row["pid"] for row in answer.facts["tcp_listen"]] == [pid]
    assert "/proc/net was read" in answer.message
    with pytest.raises(SourceRefused):
        facts(backend="netlink")


def test_the_name_of_an_interface(in_netns):
    def look():
        with listen() as server:
            server.setsockopt(socket.SOL_SOCKET, 25, b"lo\0")  # SO_BINDTODEVICE, asm-generic/socket.h
            return facts()["tcp_listen"][0]["interface"]

    assert in_netns(look) == "lo"


def test_the_ephemeral_ranges_go_without_what_is_reserved(in_netns):
    def look():
        with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as stream:
            stream.write("40000 41000")
        with open("/proc/sys/net/ipv4/ip_local_reserved_ports", "w", encoding="ascii") as stream:
            stream.write("40000,40100-40102,50000")
        return gather.gather(DEFAULTS).ephemeral

    ranges = [[40001, 40099], [40103, 41000]]
    assert in_netns(look) == {"tcp": ranges, "udp": ranges}


def test_the_ephemeral_ranges_of_another_system_are_not_guessed(monkeypatch):
    monkeypatch.setattr(gather, "observe_all", lambda **_unused: gather.Snapshot())
    monkeypatch.setattr(gather.sys, "platform", "freebsd14")
    assert gather.gather(DEFAULTS).ephemeral == {"tcp": [], "udp": []}


def test_nothing_is_a_fact_too(in_netns):
    answer = in_netns(lambda: gather.gather(DEFAULTS))
    assert answer.facts == {"tcp_listen": [], "udp_listen": []}
    assert answer.message == "0 TCP and 0 UDP sockets"


@pytest.mark.parametrize("backend", ["netlink", "procfs", "psutil"])
def test_every_backend_leaves_out_what_nobody_asked_for(in_netns, backend):
    def look():
        with listen() as server, socket.create_connection(server.getsockname()):
            return snapshot.observe_all(backend=backend).sockets, snapshot.observe_all(True, backend=backend).sockets

    plain, everything = in_netns(look)
    assert [row.state for row in plain] == [LISTEN]
    assert len(everything) == 3
