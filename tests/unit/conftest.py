# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real holders for the tests that stop something: small programs on a free loopback port, ended by pid."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

# How it takes TERM: polite ends, deaf ignores it, closes gives up its socket and lives on, deaf-workers' workers ignore
# it. It says its port and the pids of its workers when all of them are ready, and one line for whatever happens after.
PROGRAM = """
import os, signal, socket, sys
how, workers = sys.argv[1], int(sys.argv[2])
def say(text): os.write(1, text.encode() + b"\\n")
one = socket.socket()
one.bind(("127.0.0.1", 0))
one.listen(8)
def close(*unused):
    one.close()
    say("closed")
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job is born deaf to it
if how == "deaf": signal.signal(signal.SIGTERM, signal.SIG_IGN)
if how == "closes": signal.signal(signal.SIGTERM, close)
master, pids, ready = os.getpid(), [], os.pipe()
for number in range(workers):
    pid = os.fork()
    if not pid:
        def told(*unused):
            say("worker told, master %s" % ("alive" if os.getppid() == master else "gone"))
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN if how == "deaf-workers" else told)
        os.write(ready[1], b"x")
        while True: signal.pause()
    pids.append(pid)
    os.read(ready[0], 1)
say(" ".join(map(str, [one.getsockname()[1]] + pids)))
while True: signal.pause()
"""


class Holder:
    """One program with its workers."""

    def __init__(self, how, workers):
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, how, str(workers)], stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.port, *self.workers = map(int, self.line().split())
        self._identities = {pid: start_ticks(pid) for pid in self.workers}

    def line(self, seconds=30.0):
        """The next line that it says; empty when it says nothing any more."""
        assert select.select([self.process.stdout], [], [], seconds)[0], "it says nothing"
        text = b""
        while not text.endswith(b"\n"):
            letter = os.read(self.process.stdout.fileno(), 1)
            if not letter:
                break
            text += letter
        return text.decode().strip()

    def says_nothing(self):
        return not select.select([self.process.stdout], [], [], 0)[0]

    def ended_by(self, seconds=30.0):
        """The signal that ended it."""
        return -self.process.wait(seconds)

    def lives(self):
        return self.process.poll() is None

    def end(self):
        for pid, ticks in self._identities.items():
            if ticks is not None and start_ticks(pid) == ticks:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def start_ticks(pid):
    """Field 22 of proc_pid_stat(5); None when there is no such process or only its remains."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as stream:
            fields = stream.read().rsplit(b")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


@pytest.fixture
def alive():
    """A function: whether a process is there and is no zombie."""
    return lambda pid: start_ticks(pid) is not None


@pytest.fixture
def ends():
    """A function: whether a process that is not our child comes to its end, which nobody tells us."""

    def poll(pid, seconds=10.0):
        until = time.monotonic() + seconds
        while start_ticks(pid) is not None and time.monotonic() < until:
            time.sleep(0.01)
        return start_ticks(pid) is None

    return poll


@pytest.fixture
def hold():
    """A function that starts a holder: ``hold()``, ``hold("deaf")``, ``hold(workers=2)``."""
    holders = []

    def start(how="polite", workers=0):
        holders.append(Holder(how, workers))
        return holders[-1]

    yield start
    for holder in holders:
        holder.end()


@pytest.fixture
def listener():
    """The port of a server of this process on the loopback, for the length of the test."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1]
