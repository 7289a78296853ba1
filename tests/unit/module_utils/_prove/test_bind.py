# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bind probe against real sockets, in a network namespace of their own."""

from __future__ import annotations

import errno
import os
import socket

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._prove.bind import probe

PORT = 20002
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def held(protocol, family, address, v6only=None, listen=True, reuse=False):
    one = socket.socket(family, KINDS[protocol])
    if v6only is not None:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    if reuse:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((address, PORT))
    if protocol == "tcp" and listen:
        one.listen()
    return one


def ask(holders, questions):
    sockets = [held(*arguments) for arguments in holders]
    answers = [probe(protocol, PORT, address) for protocol, address in questions]
    return answers if all(sockets) else []


V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.mark.parametrize(
    ("holders", "question", "answer"),
    [
        ([], ("tcp", None), True),
        ([], ("udp", None), True),
        ([], ("tcp", "127.0.0.1"), True),
        ([], ("tcp", "::1"), True),
        ([("tcp", V4, "127.0.0.1")], ("tcp", None), False),
        ([("tcp", V4, "127.0.0.1")], ("udp", None), True),
        ([("udp", V4, "127.0.0.1")], ("udp", None), False),
        ([("udp", V4, "127.0.0.1")], ("tcp", None), True),
        ([("tcp", V4, "0.0.0.0")], ("tcp", "127.0.0.1"), False),
        ([("tcp", V4, "127.0.0.1")], ("tcp", "127.0.0.2"), True),
        ([("tcp", V6, "::1")], ("tcp", None), False),
        ([("tcp", V6, "::1")], ("tcp", "127.0.0.1"), True),
        ([("tcp", V6, "::", 0)], ("tcp", "127.0.0.1"), False),
        ([("tcp", V6, "::", 1)], ("tcp", "127.0.0.1"), True),
        ([("tcp", V6, "::", 1)], ("tcp", None), False),
        ([("tcp", V4, "127.0.0.1", None, False)], ("tcp", None), False),
        # whom a server with SO_REUSEADDR can share the port with until one of them listens
        ([("tcp", V4, "127.0.0.1", None, False, True)], ("tcp", None), True),
        # addresses that the host has only later, as a failover's
        ([], ("tcp", "192.0.2.10"), True),
        ([], ("tcp", "2001:db8::1"), True),
        ([("tcp", V4, "0.0.0.0")], ("tcp", "192.0.2.10"), False),
        # a server that asks for "::" by name wants the IPv4 side too
        ([("tcp", V4, "127.0.0.1")], ("tcp", "::"), False),
        # without its interface nobody can bind it
        ([], ("tcp", "fe80::1"), None),
    ],
)
def test_a_bind_says_what_a_server_would_meet(in_netns, holders, question, answer):
    assert in_netns(ask, holders, [question]) == [answer]


def outgoing():
    server = socket.create_server(("127.0.0.1", PORT + 1))
    client = socket.create_connection(("127.0.0.1", PORT + 1))
    return probe("tcp", client.getsockname()[1], None) if server else None


def test_an_outgoing_connection_keeps_a_server_out(in_netns):
    assert in_netns(outgoing) is False


def time_wait(reuse):
    server = held("tcp", V4, "127.0.0.1", reuse=reuse)
    client = socket.create_connection(("127.0.0.1", PORT))
    accepted = server.accept()[0]
    # the side that closes first has the port, and gets TIME_WAIT
    accepted.close()
    assert client.recv(1) == b""
    client.close()
    server.close()
    return probe("tcp", PORT, None)


@pytest.mark.parametrize("reuse", [True, False])
def test_time_wait_blocks_only_where_the_old_server_lacked_reuseaddr(in_netns, reuse):
    assert in_netns(time_wait, reuse) is reuse


def privileged():
    return probe("tcp", 80, None), probe("udp", 80, None), probe("tcp", 80, "127.0.0.1"), probe("tcp", PORT, None)


def test_what_may_not_be_tried_is_no_verdict(in_netns):
    assert in_netns(privileged, user=True) == (None, None, None, True)


def after_the_probe():
    before = len(os.listdir("/proc/self/fd"))
    assert probe("tcp", PORT, None) is True
    assert len(os.listdir("/proc/self/fd")) == before
    # without SO_REUSEADDR, which is how the pickiest server binds
    return [held(protocol, V6, "::", 0).getsockname()[1] for protocol in ("tcp", "udp")]


def test_the_probe_leaves_nothing_behind(in_netns):
    assert in_netns(after_the_probe) == [PORT, PORT]


def test_the_probe_never_listens(monkeypatch):
    def listen(*unused):
        raise AssertionError("a probe that listens takes connections")

    monkeypatch.setattr(socket.socket, "listen", listen, raising=False)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    assert probe("tcp", port, "127.0.0.1") is True


class WithoutIPv6(socket.socket):
    """A host with IPv6 off."""

    number = errno.EAFNOSUPPORT

    def __init__(self, family=-1, kind=-1, *others, **more):
        if family == socket.AF_INET6:
            raise OSError(self.number, os.strerror(self.number))
        super().__init__(family, kind, *others, **more)


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_family_that_the_host_lacks_is_skipped(monkeypatch):
    port = free_port()
    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    assert probe("tcp", port, None) is True
    assert probe("tcp", port, "::1") is None


def test_another_failure_is_not_taken_for_an_answer(monkeypatch):
    port = free_port()
    monkeypatch.setattr(WithoutIPv6, "number", errno.EMFILE)
    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        probe("tcp", port, None)
