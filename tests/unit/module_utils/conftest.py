# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces, for tests of real sockets on fixed ports."""

from __future__ import annotations

import ctypes
import fcntl
import os
import pickle
import signal
import socket
import struct
import sys
import traceback

import pytest
from hypothesis import settings

# Machines that run tests are slow now and then, and leave nothing behind.
settings.register_profile("ports", deadline=None, database=None)
settings.load_profile("ports")

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
PR_SET_DUMPABLE = 4
NOBODY = 65534


@pytest.fixture
def in_netns():
    """A function that runs another one in a process and network namespace of its own, and returns what it returns.

    The loopback is up and every port is free there. ``user=True`` drops all privileges first. What the function raises
    fails the test; after a minute it is killed.
    """
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("needs root on Linux for a network namespace")
    children = []

    def run(function, *arguments, user=False):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            answer = b""
            try:
                os.close(reader)
                signal.alarm(60)
                _enter()
                if user:
                    os.setgroups([])
                    os.setgid(NOBODY)
                    os.setuid(NOBODY)
                    # A process that changed its user is closed to others of that user, and partly to itself.
                    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1)
                answer = pickle.dumps((True, function(*arguments)))
            except BaseException:
                answer = pickle.dumps((False, traceback.format_exc()))
            finally:
                # Never back into the test runner, of which this is a copy.
                with os.fdopen(writer, "wb") as stream:
                    stream.write(answer)
                os._exit(0)
        children.append(pid)
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            data = stream.read()
        os.waitpid(pid, 0)
        children.remove(pid)
        if not data:
            pytest.fail("the process in the namespace ended without an answer")
        good, answer = pickle.loads(data)
        if not good:
            pytest.fail(answer, pytrace=False)
        return answer

    yield run
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _enter():
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
    # Of a family that no socket table of the tests shows, not even while it ends.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
