# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker engines: found by their processes and by the sockets that these listen on."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    descriptors,
    docker_engines,
    unix_sockets,
)


def test_the_sockets_of_a_process(tmp_path, listeners):
    names = ["docker.sock", "other.sock", "metrics.sock", "libnetwork/0123.sock", "containerd/containerd.sock.ttrpc"]
    own = listeners(*(tmp_path / name for name in names))
    there, _sure = unix_sockets.listening(lambda _inode, path: path.startswith(str(tmp_path)))
    there[1] = "/run/docker.sock"
    assert docker_engines.candidates(own, there) == [str(tmp_path / "docker.sock"), str(tmp_path / "other.sock")]


def test_without_its_descriptors_the_usual_place_counts(monkeypatch):
    """A process of another user: its command line is all there is, and often it says nothing."""
    monkeypatch.setattr(descriptors, "inodes_of", lambda *_unused: set())
    there = {1: "/run/docker.sock", 2: "/srv/docker.sock", 3: "/srv/x.sock"}
    said = {}
    monkeypatch.setattr(docker_engines, "_command", lambda pid: said[pid])
    said[1] = b"/usr/bin/dockerd\0-H\0fd://"
    assert docker_engines.candidates(1, there) == ["/run/docker.sock", "/srv/docker.sock"]
    for words in (b"-H\0unix:///srv/x.sock", b"--host=unix:///srv/x.sock", b"-Hunix:///srv/x.sock"):
        said[1] = b"dockerd\0" + words + b"\0--debug"
        assert docker_engines.candidates(1, there) == ["/srv/x.sock"]


def test_whose_sockets_there_was_no_time_to_see_is_not_proven_to_be_that_engine(tmp_path, listeners, monkeypatch):
    """Its command line and the usual place would do for one whose descriptors are not for our eyes: here they are."""
    own = listeners(tmp_path / "docker.sock")
    there, _sure = unix_sockets.listening(lambda _inode, path: path.startswith(str(tmp_path)))
    late = Clock(-1)
    assert docker_engines.candidates(own, there, docker_engines.Tables(late)) == []
    monkeypatch.setattr(docker_engines, "daemons", lambda: [own])
    monkeypatch.setattr(docker_engines, "_unproven", lambda pid: None)
    found, (blind,) = docker_engines.running(frozenset(), True, late)
    assert found == [] and blind.code == docker_engines.BLIND
    assert "(dockerd, pid %d) was not asked: there was no time" % own in blind.text


def test_engines_of_others_are_refused_once(monkeypatch):
    """Which of these is ours can't be told by another user: one socket is closed to us, and that is said once."""

    def refused(path, seconds, uid):
        raise docker_engines.engine_api.EngineSilent(path, "Permission denied", refused=True)

    monkeypatch.setattr(docker_engines, "daemons", lambda: [11, 12, 13])
    monkeypatch.setattr(docker_engines.namespaces, "same", lambda pid, kind: None)
    monkeypatch.setattr(docker_engines, "_account", lambda pid: 0)
    monkeypatch.setattr(docker_engines, "_unproven", lambda pid: None)
    monkeypatch.setattr(docker_engines, "candidates", lambda *_unused: ["/run/docker.sock"])
    monkeypatch.setattr(docker_engines.engine_api, "peer", refused)
    found, (blind,) = docker_engines.running(frozenset(), True, Clock())
    assert found == [] and "at /run/docker.sock: Permission denied" in blind.text and "become" in blind.advice


@pytest.mark.parametrize("place", ["roots", "somebodys"])
@pytest.mark.parametrize("in_operation", [True, False])
def test_an_engine_whose_process_is_hidden(monkeypatch, roots_path, tmp_path, listeners, place, in_operation):
    """hidepid: nobody is to be seen, but a socket that only an engine in operation has, in a folder that is root's."""
    folder = roots_path if place == "roots" else tmp_path
    listeners(folder / "docker.sock", *([folder / "libnetwork" / "0.sock"] if in_operation else []))
    monkeypatch.setattr(docker_engines, "daemons", lambda: [])
    monkeypatch.setattr(docker_engines, "_USUAL", str(folder / "docker.sock"))
    expected = [docker_engines.Engine(0, 0, str(folder / "docker.sock"))] if place == "roots" and in_operation else []
    monkeypatch.setattr(docker_engines.unix_sockets, "listening", only_below(str(folder)))
    assert docker_engines.running(frozenset(), True, Clock()) == (expected, [])


def only_below(folder):
    """The real sockets, without those of engines that run on the machine of the tests."""
    real = unix_sockets.listening
    return lambda wanted, *rest: real(lambda inode, path: path.startswith(folder) and wanted(inode, path), *rest)


@pytest.fixture
def listeners():
    """A function that listens on paths, and says by which process."""
    import os

    sockets = []

    def start(*paths):
        for path in paths:
            path.parent.mkdir(exist_ok=True, parents=True)
            sockets.append(socket.socket(socket.AF_UNIX))
            sockets[-1].bind(str(path))
            sockets[-1].listen()
        return os.getpid()

    yield start
    for one in sockets:
        one.close()
