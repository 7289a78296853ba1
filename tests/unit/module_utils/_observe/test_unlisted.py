# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that no table lists, found by a copy of their descriptor. On every kernel they can be asked for."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import subprocess
import sys

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import BOUND, UNCONN, Snapshot
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import netlink, unlisted
from ansible_collections.harbormaster.ports.tests.unit.module_utils._observe.clocks import Countdown

# Takes "fork" or "alone", then (kind, address, port, what to do) of each socket; says its child and the inodes, and waits
# for the end of its input.
HOLDER = """
import os, socket, sys
kept = []
for word in sys.argv[2:]:
    kind, address, port, then = word.split(",")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    one = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address == "::1")
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((address, int(port)))
    if then == "listen":
        one.listen()
    if then.startswith("connect"):
        one.connect(("127.0.0.1", int(then[8:])))
    one.setblocking(False)
    kept.append(one)
inodes = [os.fstat(one.fileno()).st_ino for one in kept]
child = os.fork() if sys.argv[1] == "fork" else 0
if child or sys.argv[1] != "fork":
    print(child, *inodes, flush=True)
sys.stdin.read()
if child:
    os.waitpid(child, 0)
"""


class Holder:
    def __init__(self, *sockets, fork=False):
        command = [sys.executable, "-c", HOLDER, "fork" if fork else "alone", *sockets]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.child, *self.inodes = map(int, self.process.stdout.readline().split())

    @property
    def pids(self):
        return sorted(pid for pid in (self.process.pid, self.child) if pid)

    def __enter__(self):
        return self

    def __exit__(self, *_unused):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


def look():
    words = [
        "tcp,127.0.0.1,20001,",
        "tcp,::1,20001,",
        "tcp,127.0.0.2,20001,listen",
        "tcp,127.0.0.1,20002,",
        "udp,127.0.0.1,20001,",
        "tcp,::,20003,",
        "tcp,::ffff:127.0.0.1,20004,",
        "tcp,127.0.0.2,20005,connect:20006",
    ]
    with socket.socket() as server:
        server.bind(("127.0.0.1", 20006))
        server.listen()
        with Holder(*words, fork=True) as holder:
            before = descriptors()
            pids = [1, os.getpid(), 2**22 + 1, *holder.pids]
            found = {
                name: unlisted.find_bound(port, protocol, pids)
                for name, port, protocol in [
                    ("tcp", 20001, "tcp"),
                    ("udp", 20001, "udp"),
                    ("dual", 20003, "tcp"),
                    ("mapped", 20004, "tcp"),
                    ("connected", 20005, "tcp"),
                    ("nothing", 20009, "tcp"),
                ]
            }
            known = unlisted.find_bound(20001, "tcp", pids, holder.inodes)
            return found, known, holder.pids, holder.inodes, before == descriptors(), netlink.dump(((20001, 20004),))


@pytest.fixture
def seen(in_netns):
    return in_netns(look)


def test_bound_sockets_and_all_who_share_them(seen):
    found, known, pids, inodes, _unused, _unused = seen
    rows, owners = found["tcp"]
    assert sorted((row.family, row.address, row.port, row.state, row.v6only) for row in rows) == [
        ("ipv4", "127.0.0.1", 20001, BOUND, None),
        ("ipv6", "::1", 20001, BOUND, True),
    ]
    assert owners == {inodes[0]: tuple(pids), inodes[1]: tuple(pids)}
    rows, owners = found["udp"]
    assert [(row.protocol, row.address, row.state) for row in rows] == [("udp", "127.0.0.1", UNCONN)]
    assert list(owners) == [inodes[4]]
    assert [(row.address, row.family, row.v6only) for row in found["dual"][0]] == [("::", "ipv6", False)]
    assert [(row.address, row.family) for row in found["mapped"][0]] == [("127.0.0.1", "ipv6")]
    assert found["connected"] == ([], {})
    assert found["nothing"] == ([], {})
    assert known == ([], {})


def test_no_descriptor_stays_open(seen):
    assert seen[4]


def test_the_rows_are_those_of_the_table(seen):
    table = {row.inode: row._replace(diag_id=b"") for row in seen[5]}
    if not any(row.state == BOUND for row in table.values()):
        pytest.skip("by design: before Linux 6.8 no table lists them")
    for rows, _unused in seen[0].values():
        assert [table[row.inode] for row in rows] == rows


def test_a_copy_leaves_the_socket_as_it_was(in_netns):
    def ask():
        with socket.socket() as one:
            one.bind(("127.0.0.1", 20001))
            holder = os.fork()
            if holder == 0:
                os.read(reader, 1)
                os._exit(0)
            one.settimeout(3)
            rows, _unused = unlisted.find_bound(20001, "tcp", [holder])
            one.listen()
            os.kill(holder, 9)
            os.waitpid(holder, 0)
            return len(rows), one.gettimeout(), os.get_blocking(one.fileno()), netlink.dump(((20001, 20001),))[0].state

    reader, writer = os.pipe()
    try:
        assert in_netns(ask) == (1, 3, False, "LISTEN")
    finally:
        os.close(reader)
        os.close(writer)


def test_who_can_not_be_looked_into_is_passed_over(in_netns):
    def ask():
        # As a user without privileges; the sockets are root's.
        with_nothing = unlisted.find_bound(20001, "tcp", [os.getppid(), 1])
        with socket.socket() as one:
            one.bind(("127.0.0.1", 20001))
            rows, owners = unlisted.find_bound(20001, "tcp", [os.getpid()])
            return with_nothing, len(rows), [row.uid for row in rows], [len(pids) for pids in owners.values()]

    nothing, number, uids, sharers = in_netns(ask, user=True)
    assert nothing == ([], {})
    assert (number, uids, sharers) == (1, [65534], [1])


def test_a_search_for_which_there_is_no_time_finds_nothing_and_says_so(monkeypatch):
    """Some of the sharers alone would look like all of them."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = ("tcp", one.getsockname()[1])
        late = unlisted.explained(Snapshot(), [port], Clock(-1))
        assert late.sockets == () and "no time" in late.blind[0].text
        # Who was found must be told with who he is.
        monkeypatch.setattr(unlisted, "find_bound", lambda *_unused: ([], {1: (os.getpid(),)}))
        late = unlisted.explained(Snapshot(), [port], Clock(-1))
        assert (late.owners, late.processes) == ({}, {}) and "no time" in late.blind[0].text


def test_a_search_ends_in_the_middle_of_a_large_table(monkeypatch):
    monkeypatch.setattr(unlisted, "_GLANCE", 10)
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        copies = [os.dup(other.fileno()) for _unused in range(100)]
        try:
            monkeypatch.setattr(unlisted, "open_pidfd", lambda _pid: 1 / 0)
            with pytest.raises(unlisted._TimeIsOver):
                unlisted.find_bound(one.getsockname()[1], "tcp", [os.getpid()], (), Countdown(2))
        finally:
            for copy in copies:
                os.close(copy)


def test_a_kernel_without_the_call_is_a_refusal(monkeypatch):
    class Library:
        def __init__(self, *_arguments, **_keywords):
            pass

        def syscall(self, *_arguments):
            ctypes.set_errno(errno.ENOSYS)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", Library)
    before = descriptors()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        with pytest.raises(SourceRefused, match="pidfd_getfd"):
            unlisted.find_bound(one.getsockname()[1], "tcp", [os.getpid()])
    assert descriptors() == before


def test_a_descriptor_that_was_reused_is_not_believed(monkeypatch):
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        stale = [(one.fileno(), os.fstat(other.fileno()).st_ino)]
        monkeypatch.setattr(unlisted, "_sockets", lambda *_unused: stale)
        assert unlisted.find_bound(one.getsockname()[1], "tcp", [os.getpid()]) == ([], {})


@pytest.mark.parametrize("cookies", [True, False], ids=["cookies", "before Linux 5.14"])
def test_the_same_port_of_another_namespace_is_none_of_ours(in_netns, monkeypatch, cookies):
    if not cookies:
        monkeypatch.setattr(unlisted, "_SO_NETNS_COOKIE", 9999)

    def ask():
        with Holder("tcp,127.0.0.1,20001,") as abroad:
            here = unlisted.find_bound(20001, "tcp", [abroad.process.pid])
            if ctypes.CDLL(None).unshare(0x40000000):
                raise OSError("unshare")
            return len(here[0]), unlisted.find_bound(20001, "tcp", [abroad.process.pid])

    assert in_netns(ask) == (1, ([], {}))
