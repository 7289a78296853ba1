# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who listens on Unix sockets, whatever other sockets are called."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData, SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import engines, unix_sockets

TABLE = b"""Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 28000 /run/docker.sock
0000000000000000: 00000003 00000000 00000000 0001 03 28001 /run/docker.sock
0000000000000000: 00000002 00000000 00010000 0001 01 28002 /run/docker/libnetwork/7c4414348643.sock
0000000000000000: 00000002 00000000 00010000 0005 01 28003 @abstract
0000000000000000: 00000002 00000000 00010000 0001 01 28004
0000000000000000: 00000002 00000000 00010000 0001 01 28005 /tmp/a b\xff.sock
0000000000000000: 00000002 00000000 00010000 0001 01    28006 /tmp/a b.sock
0000000000000000: 00000002 00000000 00010000 0001 01 28007 relative.sock
"""
# What a socket may be called so that the text shows a row more.
FORGED = "x\n0000000000000000: 00000002 00000000 00010000 0001 01 %d /run/docker.sock"


def test_the_text():
    """Connections, abstract and unnamed sockets, and paths that would have to be altered to be shown, are left out."""
    assert unix_sockets.by_text(TABLE) == {
        28000: "/run/docker.sock",
        28002: "/run/docker/libnetwork/7c4414348643.sock",
        28006: "/tmp/a b.sock",
    }
    assert unix_sockets.by_text(b"") == {}


def inode(one):
    return os.fstat(one.fileno()).st_ino


def among_forged_ones(directory, text_only):
    with contextlib.ExitStack() as sockets:

        def listen(name):
            one = sockets.enter_context(socket.socket(socket.AF_UNIX))
            one.bind(name)
            one.listen()
            return one

        path = directory + "/docker.sock"
        real = listen(path)
        connected = sockets.enter_context(socket.socket(socket.AF_UNIX))
        connected.connect(path)
        unlisted = sockets.enter_context(socket.socket(socket.AF_UNIX))
        unlisted.bind(directory + "/not-listening.sock")
        listen("\0" + FORGED % 4711)
        listen(directory + "/y\n: 00010000")
        listen("\0" + directory + "/abstract.sock")
        if text_only:
            unix_sockets._by_netlink = refused
        found, sure = unix_sockets.listening(lambda _inode, _path: True)
        return found, sure, inode(real), path


def refused(_wanted, _seconds):
    raise SourceRefused("unix_diag", "no such thing")


def test_a_name_with_a_newline_forges_nothing(in_netns, tmp_path):
    found, sure, number, path = in_netns(among_forged_ones, str(tmp_path), False)
    assert (found, sure) == ({number: path}, True)


def test_where_the_text_is_all_there_is_that_is_said(in_netns, tmp_path):
    """Then a row stands for no more than its inode, which the caller has to find at a process."""
    found, sure, number, path = in_netns(among_forged_ones, str(tmp_path), True)
    assert found[number] == path and found[4711] == "/run/docker.sock" and not sure


def many():
    with contextlib.ExitStack() as sockets:
        for number in range(800):
            one = sockets.enter_context(socket.socket(socket.AF_UNIX))
            one.bind("\0many-%d" % number)
            one.listen()
        last = sockets.enter_context(socket.socket(socket.AF_UNIX))
        last.bind("/tmp/last-%d" % os.getpid())
        last.listen()
        os.unlink("/tmp/last-%d" % os.getpid())
        return unix_sockets.listening(lambda _inode, path: path.startswith("/tmp/last-")), inode(last)


def test_one_among_many(in_netns):
    (found, sure), number = in_netns(many)
    assert list(found) == [number] and sure


@pytest.mark.parametrize("body", [b"", b"\x01\x01\x0a\x00", b"\x01\x01\x0a\x00" + bytes(12) + b"\xff\xff\x00\x00"])
def test_bytes_that_are_no_such_message(body):
    with pytest.raises(MalformedData):
        unix_sockets._understood(body)


def no_file():
    engines._TABLE = "/proc/self/no/such/file"
    return engines.docker_may_run()


def test_not_seen_is_not_not_there(in_netns):
    assert in_netns(no_file) is True


def with_a_long_table(names):
    with contextlib.ExitStack() as sockets:
        for name in names:
            sockets.enter_context(socket.socket(socket.AF_UNIX)).bind("\0" + name)
        return engines.docker_may_run()


def test_a_word_at_any_place_of_the_table(in_netns, monkeypatch):
    monkeypatch.setattr(engines, "_CHUNK", 7)
    assert in_netns(with_a_long_table, ["a" * number + "dock" for number in range(20)]) is False
    for number in range(8):
        assert in_netns(with_a_long_table, ["b" * number + "docker"]) is True
