# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the zoo stands in: processes, the kernel's socket tables, networks and ports of our own."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import select
import socket
import struct
import tempfile
import time
from pathlib import Path

import pytest

NOBODY = 65534
ROOT = os.geteuid() == 0

CLONE_NEWNET = 0x40000000  # linux/sched.h
SIOCSIFFLAGS = 0x8914  # linux/sockios.h
IFF_UP_RUNNING = 0x41  # linux/if.h


def lacking(reason: str) -> None:
    """Skip the test, or fail it where everything is expected to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail("CI=true, and this can't be tested: " + reason)
    pytest.skip(reason)


# Processes ------------------------------------------------------------------------------------------------------


def start_ticks(pid: int) -> int | None:
    """Field 22 of proc_pid_stat(5): with the pid it names a process for good."""
    try:
        text = Path("/proc/%d/stat" % pid).read_bytes()
    except OSError:
        return None
    return int(text.rsplit(b")", 1)[1].split()[19])


def state(pid: int) -> str:
    """The letter of proc_pid_stat(5); X when there is no such process."""
    try:
        return Path("/proc/%d/stat" % pid).read_bytes().rsplit(b")", 1)[1].split()[0].decode()
    except OSError:
        return "X"


def alive(pid: int, ticks: int | None = None) -> bool:
    """Whether any thread of the process still runs: a zombie leader may have live threads."""
    if ticks is not None and start_ticks(pid) != ticks:
        return False
    try:
        threads = os.listdir("/proc/%d/task" % pid)
    except OSError:
        return False
    for thread in threads:
        with contextlib.suppress(OSError):
            text = Path("/proc/%d/task/%s/stat" % (pid, thread)).read_bytes()
            if text.rsplit(b")", 1)[1].split()[0] not in (b"Z", b"X"):
                return True
    return False


def wait_gone(pids, seconds: float = 20.0) -> list[int]:
    """Wait for the end of processes, ours or not; the ones that are still there at the end of the wait."""
    end = time.monotonic() + seconds
    left = []
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(max(0, int((end - time.monotonic()) * 1000))):
            left.append(pid)
        os.close(descriptor)
    return left


def open_inodes(pid: int) -> set[int]:
    """Socket inodes in the descriptor tables of a process, all of its threads."""
    inodes = set()
    for task in Path("/proc/%d/task" % pid).iterdir():
        with contextlib.suppress(OSError):
            for name in os.listdir(task / "fd"):
                with contextlib.suppress(OSError):
                    link = os.readlink(task / "fd" / name)
                    if link.startswith("socket:["):
                        inodes.add(int(link[8:-1]))
    return inodes


def table(port: int) -> list[tuple[str, str, int]]:
    """(table, state, inode) of each row of /proc/net on a local port: the plainest view there is."""
    rows = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path("/proc/self/net/" + name).read_text().splitlines()[1:]:
                field = line.split()
                if int(field[1].rsplit(":", 1)[1], 16) == port:
                    rows.append((name, field[3], int(field[9])))
    return rows


def in_table(port: int) -> bool:
    """Something has the port: a listening or connected TCP socket, or any UDP one."""
    return any(inode for dummy, dummy, inode in table(port))


# Networks of our own ----------------------------------------------------------------------------------------------


class Network:
    """A network namespace for the calling thread and all it starts: own ports, own loopback, no bystanders."""

    def __init__(self) -> None:
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        libc = ctypes.CDLL(None, use_errno=True)
        self._setns = libc.setns
        if libc.unshare(CLONE_NEWNET):
            os.close(self.home)
            raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
        self.id = os.readlink("/proc/thread-self/ns/net")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))

    def inhabitants(self) -> list[int]:
        """Every process in here but ourselves."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                with contextlib.suppress(OSError):
                    if os.readlink("/proc/%s/ns/net" % name) == self.id:
                        found.append(int(name))
        return found

    def leave(self) -> None:
        if self._setns(self.home, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(self.home)


class Ports:
    """Ports for one test. In a network of our own any will do; else each is reserved among all the workers."""

    def __init__(self, private: bool) -> None:
        self._private = private
        self._next = random.randrange(20000, 30000)
        self._locks: list[int] = []

    def take(self, count: int = 1) -> int:
        """The first of ``count`` neighbouring ports that nobody has."""
        while True:
            first, self._next = self._next, self._next + count
            if self._next > 31900:
                self._next = 20000
            if self._private or all(self._reserve(port) for port in range(first, first + count)):
                return first

    def _reserve(self, port: int) -> bool:
        lock = os.open(os.path.join(tempfile.gettempdir(), "zoo-port-%d" % port), os.O_CREAT | os.O_RDWR, 0o666)
        self._locks.append(lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return not table(port)

    def give_back(self) -> None:
        for lock in self._locks:
            with contextlib.suppress(OSError):
                os.unlink(os.readlink("/proc/self/fd/%d" % lock))
            os.close(lock)
        self._locks = []
