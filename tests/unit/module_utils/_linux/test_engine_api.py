# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One question over a real Unix socket, to servers that behave in every way."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import signal
import socket
import struct
import tempfile
import threading
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import engine_api

ME = os.geteuid()
NOBODY = pwd.getpwnam("nobody").pw_uid
GOOD = b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"a": 42}'


@pytest.fixture
def server(unix_server):
    return lambda answer=GOOD: unix_server(answer)


def silence(endpoint, seconds=5.0, **options):
    with pytest.raises(engine_api.EngineSilent) as caught:
        engine_api.ask(endpoint, "/x", seconds, **dict({"uid": ME}, **options))
    return caught.value


def test_a_question(server):
    one = server()
    answer = engine_api.ask(one.path, "/containers/json", 5.0, ME)
    assert (answer.status, answer.content, answer.good) == (200, {"a": 42}, True)
    assert one.asked[0].startswith(b"GET /containers/json HTTP/1.0\r\nHost: localhost\r\n")
    assert one.asked[0].endswith(b"\r\n\r\n")


def test_something_is_to_be_done(server):
    one = server(b"HTTP/1.1 204 No Content\r\n\r\n")
    answer = engine_api.ask(
        one.path, "/containers/x/update", 5.0, ME, body={"RestartPolicy": {"Name": "no"}}, post=True
    )
    assert (answer.status, answer.content, answer.good) == (204, None, True)
    head, _border, body = one.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /containers/x/update HTTP/1.0\r\n")
    assert b"Content-Length: %d" % len(body) in head and json.loads(body) == {"RestartPolicy": {"Name": "no"}}


def test_without_a_body_its_length_is_said_all_the_same(server):
    one = server(b"HTTP/1.0 304 Not Modified\r\n\r\n")
    assert engine_api.ask(one.path, "/containers/x/stop", 5.0, ME, post=True).good
    assert b"Content-Length: 0\r\n" in one.asked[0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'HTTP/1.0 409 Conflict\r\n\r\n{"message": "it is\\npaused"}', "it is\\x0apaused"),
        (b"HTTP/1.0 500 Oh\r\n\r\n<html>", "it answered with HTTP status 500"),
        (b"HTTP/1.0 404 Not Found\r\n\r\n", "it answered with HTTP status 404"),
    ],
)
def test_the_engines_own_words(server, answer, words):
    said = engine_api.ask(server(answer).path, "/x", 5.0, ME)
    assert not said.good and said.words == words


def test_an_answer_in_pieces(server):
    def drip(link):
        for byte in GOOD:
            link.sendall(bytes((byte,)))

    assert engine_api.ask(server(drip).path, "/x", 5.0, ME).content == {"a": 42}


def test_an_answer_without_a_length_ends_when_the_engine_closes(server):
    whole = json.dumps([{"Id": "x" * 64}] * 3000).encode()
    assert len(engine_api.ask(server(b"HTTP/1.0 200 OK\r\n\r\n" + whole).path, "/x", 5.0, ME).content) == 3000


def test_with_a_length_nobody_waits_for_the_close(server):
    def lingers(link):
        link.sendall(GOOD)
        link.recv(1)

    began = time.monotonic()
    assert engine_api.ask(server(lingers).path, "/x", 5.0, ME).content == {"a": 42}
    assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP answer but SSH-2.0"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 9", "no HTTP answer"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n{", "ended after"),
        (b'HTTP/1.0 200 OK\r\n\r\n[{"Id":', "no JSON"),
        (b"HTTP/1.0 200 OK\r\n\r\n\x1b[31m", "no JSON in its answer but \\x1b[31m"),
        (b"HTTP/1.0 200 OK\r\n\r\n", "no JSON"),
    ],
)
def test_what_is_no_answer(server, answer, why):
    error = silence(server(answer).path)
    assert why in error.why and error.sent and not error.late
    assert error.code == "source_refused"


def test_one_that_never_answers_is_waited_for_so_long(server):
    release = threading.Event()
    one = server(lambda _link: release.wait(30))
    began = time.monotonic()
    error = silence(one.path, 0.3)
    release.set()
    assert 0.25 < time.monotonic() - began < 3
    assert error.late and error.sent and error.why == "no answer within 0.3 s"


def test_one_that_drips_is_not_waited_for_any_longer(server):
    """The bound is one of the whole exchange, not of each byte."""

    def drip(link):
        link.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        for _number in range(200):
            link.sendall(b" ")
            time.sleep(0.05)

    began = time.monotonic()
    assert silence(server(drip).path, 0.5).late
    assert time.monotonic() - began < 4


def test_one_that_says_too_much(server, monkeypatch):
    monkeypatch.setattr(engine_api, "_MOST_BYTES", 1 << 20)

    def talks(link):
        link.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        for _number in range(64):
            link.sendall(b" " * (1 << 16))

    assert "more than 1 MB" in silence(server(talks).path).why


def test_nobody_there(tmp_path, server):
    error = silence(str(tmp_path / "none"))
    assert error.why == "No such file or directory" and not error.sent and not error.refused
    one = server()
    one.close()
    assert silence(one.path).why == "Connection refused"
    (tmp_path / "file").write_text("x")
    assert not silence(str(tmp_path / "file")).sent


def test_a_path_that_no_socket_can_have():
    assert not silence("/x" * 200).sent


def test_a_full_backlog_is_waited_for(roots_path, server):
    """A Unix socket says at once that there is no room, and there may be some in a moment."""
    server()  # for its fixture gives this process the name of an engine
    endpoint = str(roots_path / "s")

    def serve():
        for _number in range(len(crowd) + 1):
            link, _address = engine.accept()
            with link:
                link.recv(65536)
                link.sendall(GOOD)

    with contextlib.ExitStack() as sockets:
        engine = sockets.enter_context(socket.socket(socket.AF_UNIX))
        engine.bind(endpoint)
        engine.listen(0)
        crowd = []
        with pytest.raises(BlockingIOError):
            for _number in range(100):
                crowd.append(sockets.enter_context(socket.socket(socket.AF_UNIX)))
                crowd[-1].setblocking(False)
                crowd[-1].connect(endpoint)
        error = silence(endpoint, 0.3)
        assert error.late and not error.sent
        # Who found no room is not in the queue.
        crowd.pop()
        for other in crowd:
            other.sendall(b"x")
        later = threading.Timer(0.2, serve)
        later.daemon = True
        later.start()
        assert engine_api.ask(endpoint, "/x", 20.0, ME).content == {"a": 42}
        later.join(20)


def test_somebody_else_who_listens_is_asked_nothing(server):
    """An engine of another account is asked by that account: which finds that it is not the one who listens."""
    one = server()
    os.chmod(one.path, 0o777)
    error = silence(one.path, uid=NOBODY)
    assert "uid %d listens there, not uid %d" % (ME, NOBODY) == error.why and not error.sent
    one.close()
    assert one.asked in ([], [b""])


def test_who_listens(server, tmp_path):
    assert engine_api.peer(server().path, 1.0, ME) == (os.getpid(), ME)
    with pytest.raises(engine_api.EngineSilent) as caught:
        engine_api.peer(str(tmp_path / "none"), 1.0, ME)
    assert caught.value.why == "No such file or directory"


def closed_to_us(path):
    try:
        engine_api.ask(path, "/x", 1.0, os.geteuid())
    except engine_api.EngineSilent as error:
        return error.why, error.refused, error.sent
    return None


def test_one_that_we_may_not_ask(in_netns):
    # pytest's own directories are closed to other users.
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as one:
        os.chmod(directory, 0o755)
        one.bind(directory + "/engine")
        one.listen()
        os.chmod(directory + "/engine", 0o600)
        assert in_netns(closed_to_us, directory + "/engine", user=True) == ("Permission denied", True, False)


# What is proven, and by whom others are asked ----------------------------------------------------------------------


@contextlib.contextmanager
def engine_of(uid, path, work, name=b"dockerd"):
    """A process of an account that listens there, and works on the first connections."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            ctypes.CDLL(None).prctl(15, name)
            one = socket.socket(socket.AF_UNIX)
            one.bind(path)
            one.listen()
            os.write(writer, b"x")
            while True:
                work(one.accept()[0])
        finally:
            os._exit(0)
    try:
        assert os.read(reader, 1) == b"x"
        yield pid
    finally:
        os.close(reader)
        os.close(writer)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.fixture
def place(roots_path):
    """Where sockets of root's and of nobody's can be."""
    theirs = roots_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    return str(theirs / "s")


def says_who(link):
    link.recv(65536)
    _pid, uid, _gid = struct.unpack("=iII", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    link.sendall(b'HTTP/1.0 200 OK\r\n\r\n{"uid": %d}' % uid)
    link.close()


needs_root = pytest.mark.skipif(ME != 0, reason="needs root, to be two accounts")


@needs_root
def test_an_engine_of_another_account_is_asked_by_that_account(place):
    with engine_of(NOBODY, place, says_who):
        assert engine_api.ask(place, "/x", 5.0, NOBODY).content == {"uid": NOBODY}
        assert engine_api.peer(place, 5.0, NOBODY).uid == NOBODY


@needs_root
def test_root_connects_to_nothing_that_another_account_has_made(place):
    """Not even to see who listens: whoever made the socket may have it lead to anything."""
    with engine_of(0, place, says_who):
        os.chmod(place, 0o777)
        assert "others than root" in silence(place, uid=0).why
        with pytest.raises(engine_api.EngineSilent) as caught:
            engine_api.peer(place, 5.0, 0)
        assert "others than root" in caught.value.why
    os.unlink(place)


@needs_root
@pytest.mark.parametrize("name", [b"dockerd", b"elsewhat"])
def test_only_a_proven_engine_is_spoken_to(roots_path, name):
    path = str(roots_path / "s")
    with engine_of(0, path, says_who, name):
        if name == b"dockerd":
            assert engine_api.ask(path, "/x", 5.0, 0).content == {"uid": 0}
        else:
            error = silence(path, uid=0)
            assert "no proven dockerd" in error.why and not error.sent


@needs_root
@pytest.mark.parametrize("words", [b"[],", b"{},", b'{"a":[]},', b'"ab",', b"1e9,"])
def test_the_worst_answer_of_another_account_takes_less_than_64_mb(place, words):
    """As objects, JSON may be many times its size; and what is longer is not read to its end."""
    huge = b"[" + words * ((3 << 20) // len(words))

    def floods(link):
        link.recv(65536)
        link.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + huge)
        link.close()

    largest = b"[" + words * ((engine_api._MOST_OF_OTHERS - 100) // len(words)) + b"1]"

    def fits(link):
        link.recv(65536)
        link.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + largest)
        link.close()

    with engine_of(NOBODY, place, floods):
        assert "more than 1 MB" in silence(place, uid=NOBODY).why
    os.unlink(place)
    reader, writer = os.pipe()
    with engine_of(NOBODY, place, fits):
        # in a process of its own, as the peak of this one may have been higher before
        pid = os.fork()
        if not pid:
            try:
                before = peak()
                engine_api.ask(place, "/x", 20.0, NOBODY)
                os.write(writer, str(peak() - before).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        assert int(stream.read()) < 64 << 10


def peak():
    """The most memory that this process has had so far, in KB."""
    with open("/proc/self/status", encoding="ascii") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith("VmHWM"))


@needs_root
def test_another_account_keeps_nobody_waiting(place):
    def sleeps(_link):
        time.sleep(60)

    with engine_of(NOBODY, place, sleeps):
        began = time.monotonic()
        error = silence(place, 0.5, uid=NOBODY)
        assert error.late and time.monotonic() - began < 2


def test_who_is_not_root_asks_nobody_else(in_netns, place):
    why, refused, sent = in_netns(asks_for_root_only, place, user=True)
    assert "only that account or root" in why and refused and not sent


def asks_for_root_only(path):
    try:
        engine_api.ask(path, "/x", 1.0, NOBODY - 1)
    except engine_api.EngineSilent as error:
        return error.why, error.refused, error.sent
    return None
