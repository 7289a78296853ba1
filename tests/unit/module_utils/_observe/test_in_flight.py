# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that no table of descriptors shows: real processes of an account, with the kernel's own places to keep them."""

from __future__ import annotations

import array
import ctypes
import os
import pwd
import socket
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import in_flight, snapshot
from ansible_collections.harbormaster.ports.tests.unit.module_utils._observe.children import process

# An account that nothing else here runs as.
ACCOUNT = pwd.getpwnam("irc").pw_uid
PORT = 8080
# linux/io_uring.h, and their numbers on all machines (asm-generic/unistd.h)
IO_URING_SETUP, IO_URING_REGISTER, REGISTER_FILES = 425, 427, 2
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have processes of two accounts")


def listener():
    one = socket.socket()
    one.bind(("127.0.0.1", PORT))
    one.listen()
    return one


def send(through, what):
    through.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [what.fileno()]))])


def on_its_way(ready):
    near, _far = socket.socketpair()
    with listener() as one:
        send(near, one)
    ready()
    time.sleep(60)


def not_accepted(ready):
    there, near = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    there.bind("\0harbour-in-flight-%d" % os.getpid())
    there.listen()
    near.connect(there.getsockname())
    with listener() as one:
        send(near, one)
    ready()
    time.sleep(60)


def registered(ready):
    library = ctypes.CDLL(None, use_errno=True)
    ring = library.syscall(IO_URING_SETUP, 8, ctypes.create_string_buffer(120))
    with listener() as one:
        number = ctypes.c_int(one.fileno())
        if ring < 0 or library.syscall(IO_URING_REGISTER, ring, REGISTER_FILES, ctypes.byref(number), 1):
            raise OSError(ctypes.get_errno(), "io_uring")
    ready()
    time.sleep(60)


def idle(ready):
    near, _far = socket.socketpair()
    with listener() as one:
        near.send(b"no descriptors")
        ready()
        time.sleep(60)
        one.close()


def seen(work):
    with process("keeper", ACCOUNT, work) as pid:
        found = snapshot.observe([("tcp", PORT)])
        (row,) = found.sockets
        return row.inode in found.owners, dict(found.suspects), pid, found.processes.get(pid)


@pytest.mark.parametrize("work", [on_its_way, not_accepted, registered], ids=lambda one: one.__name__)
def test_who_keeps_sockets_where_no_descriptor_shows_them_is_a_suspect(in_netns, work):
    owned, suspects, pid, process_of = in_netns(seen, work)
    assert not owned and suspects == {ACCOUNT: (pid,)}
    assert process_of is not None and process_of.name == "keeper"


def test_who_has_a_descriptor_is_the_owner_and_nobody_is_suspected(in_netns):
    owned, suspects, _pid, _process = in_netns(seen, idle)
    assert owned and suspects == {}


def test_for_whom_there_was_no_time_is_told_and_no_suspect(monkeypatch):
    def work(ready):
        kept = [socket.socket() for _number in range(40)]
        ready()
        time.sleep(60)
        del kept

    with process("keeper", ACCOUNT, work):
        assert in_flight.suspects({ACCOUNT}, Clock()) == ({}, 0)
        assert in_flight.suspects({ACCOUNT}, Clock(0)) == ({}, 1)
        monkeypatch.setattr(in_flight, "_MOST_DESCRIPTORS", 20)
        assert in_flight.suspects({ACCOUNT}, Clock()) == ({}, 1)


def hidden_and_full(ready):
    kept = [socket.socket() for _number in range(40)]
    on_its_way(ready)
    del kept


def test_what_there_was_no_time_for_is_in_the_snapshot(in_netns, monkeypatch):
    monkeypatch.setattr(in_flight, "_MOST_DESCRIPTORS", 20)

    def look():
        with process("keeper", ACCOUNT, hidden_and_full):
            found = snapshot.observe([("tcp", PORT)])
            return dict(found.suspects), [(one.code, one.text, one.hidden) for one in found.blind]

    suspects, blind = in_netns(look)
    (told,) = [one for one in blind if one[0] == "in_flight_unread"]
    assert suspects == {} and "no time to see what 1 process" in told[1] and told[2] == 1


def with_another_port(ready):
    with socket.socket() as other:
        other.bind(("127.0.0.1", PORT + 1))
        other.listen()
        on_its_way(ready)


def test_what_else_a_suspect_holds_is_seen(in_netns):
    """It may be stopped like a holder, and that frees these ports too."""

    def look():
        with process("keeper", ACCOUNT, with_another_port) as pid:
            found = snapshot.observe([("tcp", PORT)], other_ports=True)
            return [row.port for row in found.other_sockets], dict(found.suspects) == {ACCOUNT: (pid,)}

    assert in_netns(look) == ([PORT + 1], True)
