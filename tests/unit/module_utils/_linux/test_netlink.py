# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netlink's framing, its refusals, and what it can do to sockets."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import (
    ActError,
    MalformedData,
    ObserveError,
    SourceRefused,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import netlink
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Socket
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import netlink as table
from hypothesis import given
from hypothesis import strategies as some

MULTI = 2
INTERRUPTED = 0x10


def message(type_, payload=b"", flags=MULTI, sequence=1):
    size = 16 + len(payload)
    return struct.pack("=IHHII", size, type_, flags, sequence, 0) + payload + bytes(-size % 4)


def done(code=0, **fields):
    return message(3, struct.pack("=i", code), **fields)


def error(code, **fields):
    return message(2, struct.pack("=i", code) + bytes(16), **fields)


def test_messages_are_split():
    data = message(20, b"abcde") + message(20) + done()
    assert list(netlink.messages(data)) == [
        (20, MULTI, 1, b"abcde"),
        (20, MULTI, 1, b""),
        (3, MULTI, 1, bytes(4)),
    ]


def test_the_last_message_may_lack_its_padding():
    assert [body for _unused, _unused, _unused, body in netlink.messages(message(20, b"abcde")[:21])] == [b"abcde"]


@pytest.mark.parametrize(
    "data",
    [
        bytes(7),
        message(20) + bytes(4),
        struct.pack("=IHHII", 0, 20, 0, 1, 0),
        struct.pack("=IHHII", 15, 20, 0, 1, 0) + bytes(16),
        struct.pack("=IHHII", 17, 20, 0, 1, 0),
        struct.pack("=IHHII", 0xFFFFFFFF, 20, 0, 1, 0) + bytes(64),
    ],
)
def test_lengths_that_can_not_be(data):
    with pytest.raises(MalformedData):
        list(netlink.messages(data))


def test_attributes_are_split_and_their_flags_left_out():
    data = netlink.attribute(5, b"abc") + netlink.attribute(0x8000 | 6, b"") + netlink.attribute(0x4000 | 7, b"xyzt")
    assert list(netlink.attributes(data)) == [(5, b"abc"), (6, b""), (7, b"xyzt")]


@pytest.mark.parametrize("data", [b"\0", b"\0\0\0\0", b"\3\0\1\0", b"\5\0\1\0", b"\x04\0\1\0\x09\0\1\0abcd"])
def test_attribute_lengths_that_can_not_be(data):
    with pytest.raises(MalformedData):
        list(netlink.attributes(data))


@given(some.binary(max_size=200))
def test_any_bytes_are_framed_or_refused(data):
    for split in (netlink.messages, netlink.attributes):
        try:
            parts = list(split(data))
        except MalformedData:
            continue
        # Each part takes at least its header: so the number of parts, and with it the time, has a bound.
        assert len(parts) <= len(data)


class FakeKernel:
    """Stands in for the socket: hands out datagrams that were made up."""

    def __init__(self, *datagrams):
        self.datagrams = list(datagrams)
        self.sent = []
        self.closed = False

    def settimeout(self, _seconds):
        pass

    def sendto(self, data, _address):
        self.sent.append(data)

    def recvmsg(self, _size):
        if not self.datagrams:
            raise socket.timeout
        datagram = self.datagrams.pop(0)
        if isinstance(datagram, OSError):
            raise datagram
        return datagram if isinstance(datagram, tuple) else (datagram, [], 0, (0, 0))

    def close(self):
        self.closed = True


def answer(*datagrams, flags=netlink.NLM_F_DUMP, timeout=5.0):
    link = netlink.Netlink.__new__(netlink.Netlink)
    link.source, link._sequence, link._socket = "test", 0, FakeKernel(*datagrams)
    return list(link.request(20, flags, b"", timeout))


def test_a_dump_ends_with_done():
    assert answer(message(20, b"aaaa") + message(20, b"bbbb"), message(20, b"cccc") + done()) == [
        (20, b"aaaa"),
        (20, b"bbbb"),
        (20, b"cccc"),
    ]


def test_a_request_ends_with_its_acknowledgement():
    assert answer(message(20, b"aaaa", flags=0), error(0, flags=0), flags=0) == [(20, b"aaaa")]


def test_answers_to_older_questions_and_from_other_programs_are_passed_over():
    stale = message(20, b"old!", sequence=0) + done(sequence=0)
    alien = (message(20, b"evil") + done(), [], 0, (4711, 0))
    assert answer(stale, alien, message(20, b"true") + message(1) + done()) == [(20, b"true")]


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EPERM, errno.EINVAL])
def test_refusals_are_never_an_empty_answer(code):
    for end in (done(-code), error(-code)):
        with pytest.raises(netlink.Refused) as caught:
            answer(end)
        assert caught.value.errno == code
        assert os.strerror(code) in caught.value.message


@pytest.mark.parametrize(
    ("datagrams", "kind"),
    [
        ([message(20, b"aaaa", flags=MULTI | INTERRUPTED) + done()], netlink.Interrupted),
        ([message(20, b"aaaa") + done(flags=MULTI | INTERRUPTED)], netlink.Interrupted),
        ([message(20, b"aaaa"), OSError(errno.ENOBUFS, "")], netlink.Interrupted),
        ([message(4)], netlink.Interrupted),
        ([(message(20, b"aaaa"), [], socket.MSG_TRUNC, (0, 0))], MalformedData),
        ([b""], MalformedData),
        ([message(20, b"aaaa"), message(3, b"\0")], MalformedData),
        ([message(2)], MalformedData),
        ([error(5)], MalformedData),
        ([message(9)], MalformedData),
        ([message(20, b"aaaa")[:18]], MalformedData),
        ([OSError(errno.EIO, "")], netlink.Refused),
    ],
)
def test_answers_with_faults(datagrams, kind):
    with pytest.raises(kind):
        answer(*datagrams)


def test_a_kernel_that_stays_silent_is_not_waited_for():
    start = time.monotonic()
    with pytest.raises(SourceRefused, match="in time"):
        answer(message(20, b"aaaa"), timeout=0.02)
    assert time.monotonic() - start < 5


@given(some.binary(min_size=1, max_size=300))
def test_any_answer_ends(data):
    # After the made-up bytes the fake kernel is silent, and the wait has a bound.
    try:
        answer(data, timeout=0.001)
    except ObserveError:
        pass


def test_a_disturbed_question_is_asked_again(monkeypatch):
    kernels = [FakeKernel(message(20, b"half", flags=MULTI | INTERRUPTED) + done()), FakeKernel(message(20) + done())]
    made = list(kernels)
    monkeypatch.setattr(netlink.socket, "socket", lambda *_arguments: made.pop(0))
    assert netlink.ask(4, 20, netlink.NLM_F_DUMP, b"") == [(20, b"")]
    assert all(kernel.closed for kernel in kernels)


def test_a_question_is_not_asked_for_ever(monkeypatch):
    made = []

    def make(*_arguments):
        made.append(FakeKernel(message(20, flags=MULTI | INTERRUPTED) + done()))
        return made[-1]

    monkeypatch.setattr(netlink.socket, "socket", make)
    with pytest.raises(netlink.Interrupted):
        netlink.ask(4, 20, netlink.NLM_F_DUMP, b"")
    assert len(made) == netlink.ATTEMPTS


@pytest.mark.parametrize("code", [errno.EPERM, errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT])
def test_no_socket_is_a_refusal(monkeypatch, code):
    def make(*_arguments):
        raise OSError(code, "")

    monkeypatch.setattr(netlink.socket, "socket", make)
    with pytest.raises(netlink.Refused) as caught:
        netlink.Netlink(netlink.NETLINK_SOCK_DIAG)
    assert caught.value.message == "sock_diag can't be read: %s" % os.strerror(code)
    assert netlink.destroy_watch() is None


def test_an_unknown_protocol_is_refused_by_the_real_kernel(in_netns):
    def ask():
        request = netlink.diag_request(socket.AF_INET, 132, 0xFFFF)
        try:
            return netlink.ask(netlink.NETLINK_SOCK_DIAG, netlink.SOCK_DIAG_BY_FAMILY, netlink.NLM_F_DUMP, request)
        except netlink.Refused as refusal:
            return refusal.errno

    # 132 is SCTP; a kernel that has it answers with an empty table.
    assert in_netns(ask) in (errno.ENOENT, [])


def bound(kind=socket.SOCK_STREAM, family=socket.AF_INET, protocol=0, address="127.0.0.1", port=20001):
    one = socket.socket(family, kind, protocol)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((address, port))
    return one


def listener(**arguments):
    one = bound(**arguments)
    one.listen()
    return one


ENDINGS = {
    "listener": listener,
    "IPv6 listener": lambda: listener(family=socket.AF_INET6, address="::"),
    "bound": bound,
    "UDP": lambda: bound(socket.SOCK_DGRAM),
    "IPv6 UDP": lambda: bound(socket.SOCK_DGRAM, socket.AF_INET6, address="::1"),
}


@pytest.mark.parametrize("user", [False, True], ids=["root", "user"])
@pytest.mark.parametrize("make", ENDINGS.values(), ids=ENDINGS.keys())
def test_the_watch_wakes_when_a_socket_ends(in_netns, make, user):
    def watch():
        one = make()
        watch = netlink.destroy_watch()
        before = select.select([watch], [], [], 0)[0]
        one.close()
        woken = bool(select.select([watch], [], [], 10)[0])
        netlink.drain_watch(watch)
        return before, woken, select.select([watch], [], [], 0)[0]

    assert in_netns(watch, user=user) == ([], True, [])


def test_the_watch_heeds_the_protocol(in_netns):
    def watch():
        with netlink.destroy_watch(["udp"]) as watch:
            listener().close()
            silent = select.select([watch], [], [], 0.2)[0]
            bound(socket.SOCK_DGRAM).close()
            return silent, bool(select.select([watch], [], [], 10)[0])

    assert in_netns(watch) == ([], True)


def row_of(port, state=None):
    rows = [row for row in table.dump(((port, port),)) if state in (None, row.state)]
    assert len(rows) == 1
    return rows[0]


def closes_a_connection(family, address):
    server = listener(family=family, address="::" if family == socket.AF_INET6 else address)
    client = socket.create_connection((address, 20001))
    accepted, _unused = server.accept()
    port = client.getsockname()[1]
    row = row_of(port)
    first, second = netlink.destroy(row), netlink.destroy(row)
    client.settimeout(10)
    try:
        client.recv(1)
        seen = "nothing"
    except OSError as problem:
        seen = errno.errorcode[problem.errno]
    # The client object is alive and its port is free: connect() had chosen it.
    bound(port=port, address="127.0.0.1").close()
    accepted.close()
    return first, second, seen, [row.port for row in table.dump(((20001, 20001),)) if row.state == "LISTEN"]


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_destroy_closes_that_connection_alone(in_netns, family, address):
    assert in_netns(closes_a_connection, family, address) == (True, False, "ECONNABORTED", [20001])


def test_destroy_ends_udp_listeners_and_time_wait(in_netns):
    def close():
        udp, server = bound(socket.SOCK_DGRAM, port=20002), listener()
        client = socket.create_connection(("127.0.0.1", 20001))
        accepted, _unused = server.accept()
        port = client.getsockname()[1]
        client.close()
        accepted.close()
        answers = [
            netlink.destroy(row_of(20002)),
            netlink.destroy(row_of(port, "TIME_WAIT")),
            netlink.destroy(row_of(20001)),
        ]
        server.close()
        return answers, udp.fileno() > 0, table.dump(((20001, 20001), (port, port)))

    assert in_netns(close) == ([True, True, True], True, [])


def test_destroy_can_not_find_a_socket_that_is_only_bound(in_netns):
    def close():
        one = bound()
        return netlink.destroy(row_of(20001)), row_of(20001).state, one.fileno() > 0

    assert in_netns(close) == (False, "BOUND", True)


def test_destroy_misses_a_later_socket_with_the_same_addresses(in_netns):
    def close():
        one = listener()
        row = row_of(20001)
        one.close()
        two = listener()
        return netlink.destroy(row), row_of(20001).state, two.fileno() > 0

    assert in_netns(close) == (False, "LISTEN", True)


def test_destroy_needs_a_privilege_and_says_so(in_netns):
    def close():
        one = listener(family=socket.AF_INET6, address="::1")
        try:
            netlink.destroy(row_of(20001))
        except ActError as refusal:
            return refusal.code, refusal.message, one.fileno() > 0

    code, words, _unused = in_netns(close, user=True)
    assert code == "not_permitted"
    assert words == "the socket [::1]:20001/tcp can't be closed: this needs CAP_NET_ADMIN (become: true)"


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.EOPNOTSUPP, "step_failed", "INET_DIAG_DESTROY"),
        (errno.EACCES, "not_permitted", "CAP_NET_ADMIN"),
        (errno.EIO, "step_failed", os.strerror(errno.EIO)),
    ],
)
def test_destroy_tells_refusals_apart(monkeypatch, number, code, words):
    kernel = FakeKernel(error(-number))
    monkeypatch.setattr(netlink.socket, "socket", lambda *_arguments: kernel)
    with pytest.raises(ActError) as caught:
        netlink.destroy(Socket("tcp", "ipv4", "127.0.0.1", 20001, "LISTEN", diag_id=bytes(48)))
    assert caught.value.code == code
    assert words in caught.value.message


def test_destroy_needs_a_row_of_netlink():
    with pytest.raises(ActError, match="only netlink rows"):
        netlink.destroy(Socket("tcp", "ipv4", "127.0.0.1", 20001, "LISTEN"))
