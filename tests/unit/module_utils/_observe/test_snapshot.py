# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import BOUND, ESTABLISHED, LISTEN, UNCONN
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    carriers,
    descriptors,
    environment,
    kernel,
    masking,
    netlink,
    owned,
    processes,
    snapshot,
)

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="by design: looks at Linux")
# Loaded here: a test that has become another user can't read this Python's files.
LOADED = (carriers, kernel, masking)
PORT = 20500
BOTH = [("tcp", PORT), ("udp", PORT)]


def listen(port=PORT, host="127.0.0.1"):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    server.listen()
    return server


def datagram(port=PORT):
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", port))
    return server


def fork_holder(function=lambda: None):
    """A child that calls the function, then only holds what it has, and ends with its parent at the latest."""
    ready, said = os.pipe()
    alive, _kept_by_the_parent = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(_kept_by_the_parent)
            kept = function()
            os.write(said, b"x")
            os.read(alive, 1)
            del kept
        finally:
            os._exit(1)
    os.read(ready, 1)
    os.close(ready)
    os.close(said)
    return child


def inode_of(server):
    return os.fstat(server.fileno()).st_ino


def states(sockets):
    return sorted((row.protocol, row.port, row.state) for row in sockets)


@pytest.mark.parametrize("backend", ["auto", "netlink", "procfs", "psutil"])
def test_who_holds_it(in_netns, backend):
    def look():
        with listen() as server, datagram() as second, listen(PORT + 1), datagram(PORT + 2):
            found = snapshot.observe(BOTH, backend)
            own = {row.state: found.owners[row.inode] for row in found.sockets}
            return found, own, inode_of(server), inode_of(second), os.getpid()

    found, own, first, second, pid = in_netns(look, alone=False)
    assert states(found.sockets) == [("tcp", PORT, LISTEN), ("udp", PORT, UNCONN)]
    assert own == {LISTEN: (pid,), UNCONN: (pid,)}
    if backend != "psutil":
        assert set(found.owners) == {first, second}
    assert found.processes[pid].parent_pid == os.getpid()
    assert found.processes[os.getpid()].command
    assert found.self_pids >= {pid, os.getpid()}
    assert found.backend == {"auto": "netlink"}.get(backend, backend)
    assert found.other_sockets == ()
    assert found.ephemeral[0] < found.ephemeral[1]
    if backend != "psutil":
        assert found.blind == ()


def test_each_protocol_has_its_own_ports(in_netns):
    def look():
        with listen(), datagram(), listen(PORT + 1), datagram(PORT + 1):
            return snapshot.observe([("tcp", PORT), ("udp", PORT + 1)]).sockets

    assert states(in_netns(look)) == [("tcp", PORT, LISTEN), ("udp", PORT + 1, UNCONN)]


def test_a_free_port_costs_no_scan(in_netns, monkeypatch):
    monkeypatch.setattr(descriptors, "scan", lambda *_unused: 1 / 0)
    monkeypatch.setattr(environment, "read", lambda *_unused: 1 / 0)
    found = in_netns(snapshot.observe, BOTH)
    assert (found.sockets, found.owners, found.processes, found.blind, found.carriers) == ((), {}, {}, (), {})
    assert in_netns(snapshot.observe, []).sockets == ()


def test_connections_belong_to_both_ends(in_netns):
    def look():
        with listen() as server, socket.create_connection(("127.0.0.1", PORT)):
            waiting = snapshot.observe(BOTH)
            accepted, _address = server.accept()
            with accepted:
                return waiting, snapshot.observe(BOTH), inode_of(accepted)

    waiting, taken, inode = in_netns(look)
    assert {row.inode for row in waiting.sockets if row.state == ESTABLISHED} == {0}
    assert waiting.blind == ()
    assert inode in taken.owners


def test_bound_and_not_listening(in_netns):
    def look():
        with socket.socket() as idle:
            idle.bind(("127.0.0.1", PORT))
            return snapshot.observe(BOTH), snapshot.observe(BOTH, "procfs"), inode_of(idle), os.getpid()

    seen, by_procfs, inode, pid = in_netns(look)
    assert [row.state for row in seen.sockets] == [BOUND]
    assert seen.owners == {inode: (pid,)}
    assert by_procfs.sockets == ()


@pytest.mark.parametrize("backend", ["auto", "procfs", "psutil"])
def test_other_ports_of_the_holders(in_netns, backend):
    def look():
        # a stranger's listener must not be there
        fork_holder(lambda: listen(PORT + 9))
        with listen(), listen(PORT + 1), datagram(PORT + 2), socket.socket() as idle:
            idle.bind(("127.0.0.1", PORT + 3))
            return snapshot.observe([("tcp", PORT)], backend, other_ports=True), os.getpid()

    found, pid = in_netns(look)
    expected = [("tcp", PORT + 1, LISTEN), ("udp", PORT + 2, UNCONN)]
    if backend == "auto":  # the others read the same tables in /proc
        expected.insert(1, ("tcp", PORT + 3, BOUND))
    assert states(found.other_sockets) == expected
    assert all(found.owners[row.inode] == (pid,) for row in found.other_sockets)
    assert states(found.sockets) == [("tcp", PORT, LISTEN)]


def test_rows_alone(in_netns):
    def look():
        with listen(), datagram():
            return [snapshot.observe_sockets(BOTH, backend) for backend in ("auto", "procfs", "psutil")]

    for rows in in_netns(look):
        assert states(rows) == [("tcp", PORT, LISTEN), ("udp", PORT, UNCONN)]


# --- sources that are refused


def refuse(*_unused):
    raise SourceRefused("sock_diag", "Operation not permitted")


def test_auto_falls_back_and_says_so(in_netns, monkeypatch):
    monkeypatch.setattr(netlink, "dump", refuse)

    def look():
        with listen():
            return snapshot.observe(BOTH, other_ports=True)

    found = in_netns(look)
    assert found.backend == "procfs"
    assert len(found.owners) == 1
    (blind,) = found.blind
    assert blind.code == "netlink_refused"
    assert "Operation not permitted" in blind.text


def test_a_forced_netlink_does_not_fall_back(monkeypatch):
    monkeypatch.setattr(netlink, "dump", refuse)
    with pytest.raises(SourceRefused):
        snapshot.observe(BOTH, "netlink")


# --- owners that can't be seen


def test_another_users_socket(in_netns):
    def look():
        with listen():
            fork_holder()
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        return snapshot.observe(BOTH)

    found = in_netns(look)
    assert len(found.sockets) == 1
    assert found.owners == {}
    codes = [blind.code for blind in found.blind]
    assert codes[0] == "not_root"
    assert "hidepid" not in codes
    assert "become: true" in found.blind[0].advice
    assert "nobody" in found.blind[0].text
    assert found.blind[0].hidden >= 1


def test_want_of_time_is_told_before_what_is_refused(monkeypatch):
    scan = descriptors.Scan({}, {7: errno.EACCES, 9: errno.ETIME}, False, 0)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    blind = owned._unseen_owners(scan)[0]
    assert (blind.code, blind.hidden) == ("descriptors_refused", 2)
    assert "no time to look into 2 processes, the first is pid 9" in blind.text and "lsof" in blind.advice


def test_want_of_time_is_not_want_of_rights(monkeypatch):
    scan = descriptors.Scan({}, {7: errno.EACCES, 8: errno.EACCES, 9: errno.ETIME}, False, 0)
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    rights, late = owned._unseen_owners(scan)[:2]
    assert (rights.code, rights.hidden) == ("not_root", 2)
    assert (late.code, late.hidden) == ("descriptors_refused", 1) and "1 process, the first is pid 9" in late.text


class Over(Clock):
    """A clock by which there is time to search, and none to read who was found."""

    over = True


@pytest.mark.parametrize("clock", [Clock(-1), Over()])
def test_who_could_not_be_read_in_time_is_told_and_not_gone(in_netns, clock):
    def look():
        with listen():
            return snapshot.observe(BOTH, clock=clock)

    found = in_netns(look)
    assert len(found.sockets) == 1 and found.owners == {}
    blind = next(blind for blind in found.blind if blind.code == "descriptors_refused")
    assert "no time" in blind.text


def test_all_sharers_are_known_or_none(in_netns):
    """Who is not read may be the one that must not be stopped."""

    def look():
        with listen():
            child = fork_holder()
            try:
                late = Late(child)
                return snapshot.observe(BOTH, clock=late)
            finally:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)

    class Late(Clock):
        def __init__(self, pid):
            super().__init__()
            self.pid = pid

    real = processes._Look.read

    def read(self, pid, full):
        if isinstance(self._clock, Late) and pid == self._clock.pid:
            self._clock = Over()
        return real(self, pid, full)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes._Look, "read", read)
        found = in_netns(look)
    assert found.owners == {} and "no time" in found.blind[0].text


def test_what_else_would_be_let_go_is_not_all_seen(in_netns, monkeypatch):
    """Other ports of a holder into which there was no time to look: nothing says that there are none."""
    real = owned._with_other_ports

    def late(found, table, wanted, tables):
        tables.clock = Clock(-1)
        return real(found, table, wanted, tables)

    def look():
        with listen() as server, listen(PORT + 1):
            seen = snapshot.observe(BOTH, other_ports=True)
            monkeypatch.setattr(owned, "_with_other_ports", late)
            return seen, snapshot.observe(BOTH, other_ports=True), inode_of(server), os.getpid()

    seen, found, inode, pid = in_netns(look)
    assert [row.port for row in seen.other_sockets] == [PORT + 1]
    assert not [blind for blind in seen.blind if blind.code == "others_unread"]
    assert found.owners == {inode: (pid,)} and found.other_sockets == ()
    blind = next(blind for blind in found.blind if blind.code == "others_unread")
    assert "1 process" in blind.text and str(pid) in blind.text


def test_own_socket_of_a_plain_user(in_netns):
    def look():
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, which a change of the user takes away
        with listen() as server:
            return snapshot.observe(BOTH), inode_of(server), os.getpid()

    found, inode, pid = in_netns(look, user=True)
    assert found.owners == {inode: (pid,)}
    assert found.blind == ()


def test_hidepid(in_netns):
    def look():
        libc = ctypes.CDLL(None, use_errno=True)
        with listen():
            fork_holder()
        if libc.unshare(0x20000) or libc.mount(None, b"/", None, 1 << 18 | 1 << 14, None):
            raise OSError(ctypes.get_errno(), "mount namespace")
        if libc.mount(b"proc", b"/proc", b"proc", 0, b"hidepid=2"):
            raise OSError(ctypes.get_errno(), "mount")
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        return snapshot.observe(BOTH)

    found = in_netns(look)
    assert len(found.sockets) == 1
    assert found.owners == {}
    assert found.blind[0].code == "hidepid"


def test_a_process_outside_of_the_pid_namespace(in_netns):
    def look():
        libc = ctypes.CDLL(None, use_errno=True)
        server = listen()  # held by this process, which the namespace below does not show
        if libc.unshare(0x20000000 | 0x20000) or libc.mount(None, b"/", None, 1 << 18 | 1 << 14, None):
            raise OSError(ctypes.get_errno(), "namespaces")
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            server.close()
            code = 1
            try:
                if libc.mount(b"proc", b"/proc", b"proc", 0, None) == 0:
                    found = snapshot.observe(BOTH)
                    os.write(writer, repr((len(found.sockets), found.owners, [b.code for b in found.blind])).encode())
                    code = 0
            finally:
                os._exit(code)
        os.waitpid(child, 0)
        return os.read(reader, 4096).decode()

    assert in_netns(look) == "(1, {}, ['pid_namespace'])"


def test_the_kernels_own_socket(in_netns):
    def look():
        command = "ip link add vx0 type vxlan id 5 dstport %d local 127.0.0.1 dev lo" % PORT
        if subprocess.run([*command.split()], capture_output=True, check=False).returncode:
            return None
        subprocess.run(["ip", "link", "set", "vx0", "up"], check=True)
        return snapshot.observe(BOTH)

    found = in_netns(look)
    if found is None:
        pytest.skip("this kernel has no vxlan")
    assert [row.protocol for row in found.sockets] == ["udp"]
    assert found.owners == {}
    assert "vx0" in found.kernel[("udp", PORT)]


def test_a_socket_that_ends_between_two_looks_is_gone(in_netns, monkeypatch):
    """The owner of what the first look saw has vanished; the second look sees neither."""

    def look():
        server = listen()
        real = descriptors.scan

        def scan(inodes, *clock):
            server.close()
            return real(inodes, *clock)

        monkeypatch.setattr(descriptors, "scan", scan)
        return snapshot.observe(BOTH)

    found = in_netns(look)
    assert (found.sockets, found.owners, found.blind) == ((), {}, ())


def test_an_owner_that_comes_with_the_second_look(in_netns, monkeypatch):
    """A descriptor on its way between two processes belongs to nobody, and arrives."""

    def look():
        here, there = socket.socketpair()
        server = listen()
        socket.send_fds(here, [b"x"], [server.fileno()])
        inode = inode_of(server)
        server.close()
        received = []

        def pause(_seconds):
            received.extend(socket.recv_fds(there, 1, 1)[1])

        monkeypatch.setattr(owned.time, "sleep", pause)
        return snapshot.observe(BOTH), inode, os.getpid()

    if not hasattr(socket, "send_fds"):
        pytest.skip("by design: this Python can't send descriptors (older than 3.9)")
    found, inode, pid = in_netns(look)
    assert found.owners == {inode: (pid,)}
    assert found.blind == ()


def test_an_owner_that_is_gone_when_it_is_described(in_netns, monkeypatch):
    def look():
        with listen() as server:
            child = fork_holder()
            real = processes.describe

            def describe(pids, *rest):
                if child in set(pids):
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                return real(pids)

            monkeypatch.setattr(processes, "describe", describe)
            return snapshot.observe(BOTH), inode_of(server), os.getpid()

    found, inode, pid = in_netns(look)
    assert found.owners == {inode: (pid,)}
    assert set(found.processes) >= {pid}
