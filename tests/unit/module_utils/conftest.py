# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces, for tests of real sockets on fixed ports; engines on Unix sockets, with recorded answers."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import pickle
import signal
import socket
import struct
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import pytest
from hypothesis import settings

# Machines that run tests are slow now and then, and leave nothing behind.
settings.register_profile("ports", deadline=None, database=None)
settings.load_profile("ports")

# Name look-ups load this codec when they first need it, and an account without rights may not be able to.
"".encode("idna")

CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
PR_SET_NAME, PR_GET_NAME = 15, 16
PR_SET_DUMPABLE = 4
PR_SET_PDEATHSIG = 1
NOBODY = 65534
ENGINES = Path(__file__).resolve().parents[1] / "data" / "engines"


@pytest.fixture
def roots_path():
    """A new folder on a path that only root may write, as what is run as root has to lie on; /tmp is none."""
    with tempfile.TemporaryDirectory(prefix="harbour-", dir="/var/lib" if os.geteuid() == 0 else Path.home()) as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture
def in_netns():
    """A function that runs another one in a process and network namespace of its own, and returns what it returns.

    The loopback is up, every port is free there, and nobody else's processes are seen; with ``alone=False`` they are.
    ``user=True`` drops all privileges first. What the function raises fails the test; after a minute it is killed.
    """
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("needs root on Linux for a network namespace")
    children = []

    def run(function, *arguments, user=False, alone=True):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            answer = b""
            try:
                os.close(reader)
                signal.alarm(60)
                _enter()
                if alone:
                    _leave_all_others(writer)
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


def _leave_all_others(writer):
    """Go on as the second process of a PID namespace with a /proc of its own; who called waits for its end.

    The first one ignores what it has no handler for, the alarm too. It ends with the one that waits for it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWPID):
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNS | CLONE_NEWPID)")
    for _above in range(2):
        pid = os.fork()
        if pid:
            os.close(writer)
            os.waitpid(pid, 0)
            os._exit(0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) or libc.mount(b"proc", b"/proc", b"proc", 0, None):
        raise OSError(ctypes.get_errno(), "mount")


def _enter():
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET)")
    # Of a family that no socket table of the tests shows, not even while it ends.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


class UnixServer:
    """A listener on a Unix socket that takes one connection after the other.

    :param answer: what it sends; or a function of the connection, which may look at ``asked[-1]`` first.
    """

    def __init__(self, path, answer):
        self.path = str(path)
        self.asked = []
        self._answer = answer if callable(answer) else lambda link: link.sendall(answer)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                link, _address = self._socket.accept()
            except OSError:
                return
            with link, contextlib.suppress(OSError):
                self.asked.append(link.recv(65536))
                self._answer(link)

    def close(self):
        if self._thread.is_alive():
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._thread.join(10)


@pytest.fixture
def unix_server(roots_path):
    """A function that starts a `UnixServer`, as an engine of ours is: proven by its place, and by its process."""
    servers = []
    name = ctypes.create_string_buffer(16)
    library = ctypes.CDLL(None)
    library.prctl(PR_GET_NAME, name)

    def start(answer):
        library.prctl(PR_SET_NAME, b"dockerd")
        servers.append(UnixServer(roots_path / ("s%d" % len(servers)), answer))
        return servers[-1]

    yield start
    library.prctl(PR_SET_NAME, name.value)
    for one in servers:
        one.close()


@pytest.fixture
def engine_at(unix_server):
    """A function that starts an engine on a Unix socket, out of what it answers.

    ``{"/containers/json": [...], "POST /containers/x/stop": 204}``: content with status 200, a status, both as a pair, or
    a function that is called for one of these. What it was asked for is in ``questions``.
    """

    def start(routes):
        def reply(link):
            words = server.asked[-1].decode().split(" ", 2)
            if len(words) < 3:
                return
            question = words[1] if words[0] == "GET" else "%s %s" % (words[0], words[1])
            server.questions.append(question)
            said = routes.get(question, (404, {"message": "No such thing: " + question}))
            said = said() if callable(said) else said
            if isinstance(said, int):
                said = (said, None)
            status, content = said if isinstance(said, tuple) else (200, said)
            body = b"" if content is None else json.dumps(content).encode()
            link.sendall(b"HTTP/1.0 %d Answer\r\n\r\n" % status + body)

        server = unix_server(reply)
        server.questions = []
        return server

    return start


@pytest.fixture(scope="session")
def recorded():
    """A function that reads an answer of a real engine: ``recorded("docker-20.10-web")``."""
    return lambda name: json.loads((ENGINES / (name + ".json")).read_text(encoding="utf-8"))


@pytest.fixture
def podman_command(roots_path):
    """A command that answers as recorded; the function says what: ``podman_command({"ps": text, "inspect *": (text, 125)})``.

    Words are compared as a shell does (globs), the first that fits counts. ``calls()`` of what is returned are the words
    that it was run with.
    """

    def make(routes):
        path, calls = roots_path / "podman", roots_path / "calls"
        lines = ["#!/bin/sh", 'echo "$*" >>%s' % calls, 'case "$*" in']
        for number, (words, said) in enumerate(routes.items()):
            text, status = said if isinstance(said, tuple) else (said, 0)
            answer = roots_path / ("answer%d" % number)
            answer.write_text(text, encoding="utf-8")
            glob = words.replace(" ", "\\ ")
            if words == "hangs":
                glob, answer = "*", "/dev/null; exec sleep 30"
            lines.append("%s) cat %s%s; exit %d;;" % (glob, answer, " >&2" if status else "", status))
        path.write_text("\n".join(lines + ["esac", "echo 'Error: unknown: '$* >&2; exit 125", ""]), encoding="utf-8")
        path.chmod(0o755)
        make.calls = lambda: calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
        return (str(path),)

    return make
