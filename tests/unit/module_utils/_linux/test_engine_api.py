# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One question over a real Unix socket, to servers that behave in every way."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
import threading
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import engine_api

GOOD = b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"a": 42}'


@pytest.fixture
def server(unix_server):
    return lambda answer=GOOD: unix_server(answer)


def silence(endpoint, seconds=5.0, **options):
    with pytest.raises(engine_api.EngineSilent) as caught:
        engine_api.ask(endpoint, "/x", seconds, **options)
    return caught.value


def test_a_question(server):
    one = server()
    answer = engine_api.ask(one.path, "/containers/json", 5.0, os.geteuid())
    assert (answer.status, answer.content, answer.good) == (200, {"a": 42}, True)
    assert one.asked[0].startswith(b"GET /containers/json HTTP/1.0\r\nHost: localhost\r\n")
    assert one.asked[0].endswith(b"\r\n\r\n")


def test_something_is_to_be_done(server):
    one = server(b"HTTP/1.1 204 No Content\r\n\r\n")
    answer = engine_api.ask(one.path, "/containers/x/update", 5.0, body={"RestartPolicy": {"Name": "no"}}, post=True)
    assert (answer.status, answer.content, answer.good) == (204, None, True)
    head, _border, body = one.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /containers/x/update HTTP/1.0\r\n")
    assert b"Content-Length: %d" % len(body) in head and json.loads(body) == {"RestartPolicy": {"Name": "no"}}


def test_without_a_body_its_length_is_said_all_the_same(server):
    one = server(b"HTTP/1.0 304 Not Modified\r\n\r\n")
    assert engine_api.ask(one.path, "/containers/x/stop", 5.0, post=True).good
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
    said = engine_api.ask(server(answer).path, "/x", 5.0)
    assert not said.good and said.words == words


def test_an_answer_in_pieces(server):
    def drip(link):
        for byte in GOOD:
            link.sendall(bytes((byte,)))

    assert engine_api.ask(server(drip).path, "/x", 5.0).content == {"a": 42}


def test_an_answer_without_a_length_ends_when_the_engine_closes(server):
    whole = json.dumps([{"Id": "x" * 64}] * 3000).encode()
    assert len(engine_api.ask(server(b"HTTP/1.0 200 OK\r\n\r\n" + whole).path, "/x", 5.0).content) == 3000


def test_with_a_length_nobody_waits_for_the_close(server):
    def lingers(link):
        link.sendall(GOOD)
        link.recv(1)

    began = time.monotonic()
    assert engine_api.ask(server(lingers).path, "/x", 5.0).content == {"a": 42}
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
    assert silence("/x" * 200).why == "AF_UNIX path too long"


def test_a_full_backlog_is_waited_for(tmp_path):
    """A Unix socket says at once that there is no room, and there may be some in a moment."""
    endpoint = str(tmp_path / "s")

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
        server = threading.Timer(0.2, serve)
        server.daemon = True
        server.start()
        assert engine_api.ask(endpoint, "/x", 20.0).content == {"a": 42}
        server.join(20)


def test_somebody_else_who_listens_is_asked_nothing(server):
    one = server()
    error = silence(one.path, uid=os.geteuid() + 1)
    assert "uid %d listens there, not uid %d" % (os.geteuid(), os.geteuid() + 1) == error.why and not error.sent
    one.close()
    assert one.asked in ([], [b""])


def test_who_listens(server, tmp_path):
    assert engine_api.peer(server().path, 1.0) == (os.getpid(), os.geteuid())
    with pytest.raises(engine_api.EngineSilent) as caught:
        engine_api.peer(str(tmp_path / "none"), 1.0)
    assert caught.value.why == "No such file or directory"


def closed_to_us(path):
    try:
        engine_api.ask(path, "/x", 1.0)
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
