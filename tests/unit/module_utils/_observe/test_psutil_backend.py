# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The psutil backend: what psutil says on other systems, made up, and a real look on this one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import namedtuple

import psutil
import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import ObserveError, SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._model import BOUND, LISTEN, UNCONN
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import processes, psutil_backend
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.psutil_backend import Row

Connection = namedtuple("Connection", "fd family type laddr raddr status pid")
End = namedtuple("End", "ip port")


def connection(address, port, status="LISTEN", remote=(), pid=100, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    return Connection(3, family, kind, End(address, port), End(*remote) if remote else (), status, pid)


@pytest.mark.parametrize(
    ("shown", "row"),
    [
        (connection("127.0.0.1", 80), ("tcp", "ipv4", "127.0.0.1", 80, LISTEN, "", 0)),
        (connection("::", 80, family=socket.AF_INET6), ("tcp", "ipv6", "::", 80, LISTEN, "", 0)),
        (connection("fe80::1%lo0", 80, family=socket.AF_INET6), ("tcp", "ipv6", "fe80::1", 80, LISTEN, "", 0)),
        (
            connection("::ffff:10.0.0.1", 80, "ESTABLISHED", ("::ffff:10.0.0.2", 9), family=socket.AF_INET6),
            ("tcp", "ipv6", "10.0.0.1", 80, "ESTABLISHED", "10.0.0.2", 9),
        ),
        # macOS says CLOSE, Solaris BOUND or IDLE
        (connection("127.0.0.1", 80, "CLOSE"), ("tcp", "ipv4", "127.0.0.1", 80, BOUND, "", 0)),
        (connection("127.0.0.1", 80, "BOUND"), ("tcp", "ipv4", "127.0.0.1", 80, BOUND, "", 0)),
        (connection("127.0.0.1", 80, "IDLE"), ("tcp", "ipv4", "127.0.0.1", 80, BOUND, "", 0)),
        (connection("0.0.0.0", 53, "NONE", kind=socket.SOCK_DGRAM), ("udp", "ipv4", "0.0.0.0", 53, UNCONN, "", 0)),
        (
            connection("127.0.0.1", 53, "NONE", ("127.0.0.1", 9), kind=socket.SOCK_DGRAM),
            ("udp", "ipv4", "127.0.0.1", 53, "ESTABLISHED", "127.0.0.1", 9),
        ),
    ],
)
def test_rows(shown, row):
    assert psutil_backend.parse_connection(shown, 7) == (*row, 7)


def test_what_has_no_port_is_no_row():
    assert psutil_backend.parse_connection(connection("0.0.0.0", 0, "CLOSE"), 7) is None
    assert psutil_backend.parse_connection(Connection(3, socket.AF_INET, 1, (), (), "NONE", 7), 7) is None


def listening(pid, address="127.0.0.1"):
    return Row("tcp", "ipv4", address, 80, LISTEN, "", 0, pid)


def connected(pid, state="ESTABLISHED", peer=9):
    return Row("tcp", "ipv4", "127.0.0.1", 80, state, "127.0.0.1", peer, pid)


def test_sharers_make_one_socket():
    rows = [listening(12), listening(11), listening(11), listening(13, "127.0.0.2"), listening(None)]
    sockets, owners = psutil_backend.unite(rows)
    assert [row.address for row in sockets] == ["127.0.0.1", "127.0.0.2"]
    assert [owners[row.inode] for row in sockets] == [(11, 12), (13,)]
    # No real inode is negative, and the next look makes up the same ones.
    assert all(row.inode < 0 for row in sockets)
    assert psutil_backend.unite(reversed(rows)) == (sockets, owners)
    assert psutil_backend.unite(rows[:1])[0][0].inode != sockets[0].inode


@pytest.mark.parametrize(
    ("rows", "descriptor"),
    [
        ([connected(None, "TIME_WAIT")], False),
        ([connected(None, "FIN_WAIT2")], False),
        ([connected(None), listening(11)], False),
        ([connected(None)], True),
        ([connected(None), listening(None)], True),
        ([listening(None)], True),
        ([Row("udp", "ipv4", "127.0.0.1", 80, UNCONN, "", 0, None)], True),
    ],
    ids=["over", "orphan", "accept queue", "connection", "hidden listener", "listener", "udp"],
)
def test_without_a_process_it_is_hidden_or_has_no_descriptor(rows, descriptor):
    sockets, owners = psutil_backend.unite(rows)
    (row,) = [row for row in sockets if (row.state, row.remote_port) == (rows[0].state, rows[0].remote_port)]
    assert bool(row.inode) is descriptor
    assert row.inode not in owners


class FakePsutil:
    """As psutil is on macOS for a plain user: no table of the system, and some processes are closed."""

    class Error(Exception):
        pass

    class NoSuchProcess(Error):
        pass

    class ZombieProcess(NoSuchProcess):
        pass

    class AccessDenied(Error):
        pass

    def __init__(self, processes, table=None):
        self.table = table
        self.processes = {process.pid: process for process in processes}

    def net_connections(self, kind):
        assert kind == "inet"
        if isinstance(self.table, list):
            return self.table
        raise self.table or self.AccessDenied()

    def process_iter(self):
        return list(self.processes.values())

    def Process(self, pid):
        if pid not in self.processes:
            raise self.NoSuchProcess
        return self.processes[pid]

    @staticmethod
    def boot_time():
        return 0.0


class FakeProcess:
    Uids = namedtuple("Uids", "real effective saved")

    def __init__(self, pid, parent, connections, **values):
        self.pid, self.parent, self.connections_, self.values = pid, parent, connections, values

    def _value(self, name, usual):
        value = self.values.get(name, usual)
        if isinstance(value, type) and issubclass(value, Exception):
            raise value
        return value

    def net_connections(self, kind):
        if isinstance(self.connections_, type):
            raise self.connections_
        return self.connections_

    def ppid(self):
        return self.parent

    def name(self):
        return self._value("name", "server")

    def exe(self):
        return self._value("exe", "/bin/server")

    def cmdline(self):
        return self._value("cmdline", ["server", "--password=geheim"])

    def uids(self):
        return self._value("uids", self.Uids(501, 0, 0))

    def username(self):
        return self._value("username", "ann")

    def create_time(self):
        return self._value("create_time", 1700000000.5)

    def status(self):
        return self._value("status", "zombie")


@pytest.fixture
def macos(monkeypatch):
    def use(fake):
        monkeypatch.setattr(psutil_backend, "_psutil", lambda: fake)
        monkeypatch.setattr(psutil_backend.sys, "platform", "darwin")
        return fake

    return use


def test_without_root_on_macos(macos):
    server = connection("127.0.0.1", 80)
    macos(
        FakePsutil(
            [
                FakeProcess(1, 0, FakePsutil.AccessDenied),
                FakeProcess(50, 1, [server, connection("127.0.0.1", 81)], name="sh\nell"),
                FakeProcess(51, 50, [server]),
                FakeProcess(60, 1, FakePsutil.AccessDenied),
                FakeProcess(61, 1, FakePsutil.NoSuchProcess),
            ]
        )
    )
    sockets, owners, processes, blind = psutil_backend.look(((80, 80),))
    assert [(row.port, row.state, row.uid) for row in sockets] == [(80, LISTEN, 0)]
    assert owners == {sockets[0].inode: (50, 51)}
    # The holders and their ancestors.
    assert sorted(processes) == [1, 50, 51]
    assert processes[51].ancestors == (50, 1)
    assert processes[50].name == "sh\\x0aell"
    assert (processes[51].started, processes[51].user, processes[51].uid) == (1700000000.5, "ann", 0)
    # There are no ticks since boot, but what identifies the process has to be there.
    assert (processes[51].start_ticks, processes[51].state) == (1700000000500, "Z")
    assert psutil_backend.start_ticks(51) == 1700000000500
    assert psutil_backend.start_ticks(61 + 1) is None
    assert "geheim" not in processes[51].command
    assert [(one.code, one.hidden) for one in blind] == [("sockets_refused", 2)]


def test_details_that_are_refused_are_said_and_the_rest_kept(macos):
    closed = FakeProcess(50, 1, [], exe=FakePsutil.AccessDenied, cmdline=FakePsutil.AccessDenied, username=KeyError)
    macos(FakePsutil([FakeProcess(1, 0, []), closed], [connection("127.0.0.1", 80, pid=50)]))
    _unused, owners, processes, blind = psutil_backend.look(None)
    assert list(owners.values()) == [(50,)]
    assert (processes[50].exe, processes[50].command, processes[50].user) == (None, None, None)
    assert processes[50].name == "server"
    assert [(one.code, one.hidden) for one in blind] == [("process_refused", 1)]


def test_a_holder_that_ended_meanwhile_holds_nothing(macos):
    macos(FakePsutil([], [connection("127.0.0.1", 80, pid=50)]))
    sockets, owners, processes, blind = psutil_backend.look(None)
    assert (len(sockets), owners, processes) == (1, {}, {})
    assert [one.code for one in blind] == ["owners_hidden"]


def test_sockets_without_a_visible_process_are_said(macos):
    macos(
        FakePsutil(
            [], [connection("127.0.0.1", 80, pid=None), connection("127.0.0.1", 81, "TIME_WAIT", ("::1", 9), None)]
        )
    )
    sockets, owners, _unused, blind = psutil_backend.look(None)
    assert [(row.port, row.inode < 0) for row in sockets] == [(80, True), (81, False)]
    assert owners == {}
    assert [(one.code, one.hidden) for one in blind] == [("owners_hidden", 1)]


def test_parents_in_a_ring_have_an_end(macos):
    macos(FakePsutil([FakeProcess(50, 51, []), FakeProcess(51, 50, [])], [connection("127.0.0.1", 80, pid=50)]))
    _unused, _unused, processes, _unused = psutil_backend.look(None)
    assert processes[50].ancestors == (51,)


@pytest.mark.parametrize("problem", [OSError("no"), NotImplementedError(), RuntimeError("no"), FakePsutil.Error()])
def test_no_table_at_all_is_a_refusal(macos, problem):
    macos(FakePsutil([], problem))
    with pytest.raises(SourceRefused, match="psutil"):
        psutil_backend.look(None)


def test_a_missing_psutil_names_its_package_and_the_interpreter(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(ObserveError) as caught:
        psutil_backend.look(None)
    assert caught.value.code == "missing_psutil"
    assert "python3-psutil" in caught.value.message
    assert "`%s -m pip install psutil`" % sys.executable in caught.value.message


def look_for_real():
    with socket.socket() as server, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other:
        server.bind(("127.0.0.1", 20001))
        server.listen()
        other.bind(("::1", 20002))
        children = []
        for _unused in range(3):
            pid = os.fork()
            if pid == 0:
                other.close()
                signal.pause()
            children.append(pid)
        try:
            # Until the last child has closed its copy of the second socket.
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                result = psutil_backend.look(((20001, 20002),))
                if sorted(map(len, result[1].values())) == [1, 4]:
                    break
            return result, [os.getpid(), *children], processes.describe([os.getpid()])[os.getpid()]
        finally:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


@pytest.mark.parametrize("user", [False, True], ids=["root", "user"])
def test_every_sharer_is_found_on_linux(in_netns, user):
    (sockets, owners, known, _unused), pids, self = in_netns(look_for_real, user=user)
    server, other = sorted(sockets, key=lambda row: row.port)
    assert (server.state, other.state) == (LISTEN, UNCONN)
    assert owners == {server.inode: tuple(sorted(pids)), other.inode: (pids[0],)}
    assert set(pids) <= set(known)
    mine = known[pids[0]]
    # The same process as the other backends identify it.
    assert (mine.start_ticks, mine.parent_pid, mine.uid) == (self.start_ticks, self.parent_pid, self.uid)
    assert known[pids[1]].ancestors[:2] == (pids[0], self.parent_pid)


def test_psutil_is_the_real_one():
    assert psutil_backend._psutil() is psutil


@pytest.mark.parametrize("uid", [os.geteuid(), 65534])
def test_what_is_proven_is_the_same_as_by_the_kernel(uid):
    """The names of a program of root's in a process of ours; of another account's process none."""
    if uid != os.geteuid() and os.geteuid() != 0:
        pytest.skip("by design: another account is needed")
    process = subprocess.Popen(["/bin/sleep", "60"], preexec_fn=lambda: os.setresuid(uid, uid, uid))  # noqa: PLW1509
    try:
        found = psutil_backend.process(process.pid)
        assert found is not None and found.proven == (("sleep",) if uid == os.geteuid() else ())
        assert found.real_uid == uid
        assert found.proven == processes.describe([process.pid])[process.pid].proven
    finally:
        process.kill()
        process.wait()
