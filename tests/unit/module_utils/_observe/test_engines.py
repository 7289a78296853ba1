# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engines are asked: real processes by the name of dockerd, with real sockets, in network namespaces of their own.

What they answer is recorded; real engines are for the lab.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import tempfile
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Process
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import engines
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import by_protocol
from ansible_collections.harbormaster.ports.tests.unit.module_utils._observe.children import PR_SET_NAME, process

WEB = by_protocol([("tcp", 8080)])


def dockerd(work):
    return process("dockerd", None, work)


def listener(path):
    one = socket.socket(socket.AF_UNIX)
    one.bind(path)
    one.listen()
    return one


def serving(path, routes, one=None):
    """What an engine does: it listens on its API and on a socket of libnetwork's, and answers."""

    def work(ready):
        own = one or listener(path)
        os.makedirs(os.path.dirname(path) + "/libnetwork", exist_ok=True)
        other = listener("%s/libnetwork/%d.sock" % (os.path.dirname(path), os.getpid()))
        ready()
        while other:
            link = own.accept()[0]
            words = link.recv(65536).decode().split(" ", 2)
            if len(words) > 2:
                status, content = routes.get(words[1], (404, {"message": "not here"}))
                link.sendall(b"HTTP/1.0 %d Answer\r\n\r\n" % status + json.dumps(content).encode())
            link.close()

    return work


def silent(path):
    def work(ready):
        one = listener(path)
        ready()
        while one:
            time.sleep(60)

    return work


@pytest.fixture
def routes(recorded):
    """An engine with one container that publishes 8080."""
    content = recorded("docker-20.10-web")
    listed = [one for one in recorded("docker-20.10-containers") if one["Names"] == ["/web"]]
    return {
        "/containers/json": (200, listed),
        "/containers/%s/json" % content["Id"]: (200, content),
        "/services": (503, {"message": "This node is not a swarm manager."}),
    }


def seen(wanted=WEB, *rest):
    found, blind = engines.containers(wanted, *rest)
    return [(one.name, one.endpoint, one.user) for one in found], [one.text for one in blind]


def runs_here(directory, routes):
    path = directory + "/docker.sock"
    with dockerd(serving(path, routes)):
        return seen(), seen(by_protocol([("tcp", 9999)])), path


def test_an_engine_that_runs(in_netns, routes, roots_path):
    """Found without a single socket on the port, and silent about what it does not publish."""
    web, other, path = in_netns(runs_here, str(roots_path), routes)
    assert web == ([("web", path, None)], [])
    assert other == ([], [])


def test_an_engine_of_a_user(in_netns, routes):
    """One that runs as the user who asks, like any other process of that user."""
    ((name, path, user),), blind = in_netns(by_user, routes, user=True)
    assert (name, user, blind) == ("web", 65534, []) and path.endswith("/docker.sock")


def by_user(routes):
    with tempfile.TemporaryDirectory() as directory:
        return runs_here(directory, routes)[0]


def test_an_engine_of_another_namespace_is_not_asked(in_netns, routes, roots_path):
    path = str(roots_path / "far" / "docker.sock")
    os.makedirs(os.path.dirname(path))
    with dockerd(serving(path, routes)):
        found, blind = in_netns(looks, routes)
    assert (found, blind) == ([], [])


def looks(_routes):
    # A socket of that name is in this namespace too: so the processes are looked at.
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as one:
        one.bind("/tmp/docker-%d.sock" % os.getpid())
        try:
            one.listen()
            return seen()
        finally:
            os.unlink("/tmp/docker-%d.sock" % os.getpid())


def starts_nothing(path):
    with contextlib.closing(listener(path)) as one:
        one.setblocking(False)
        found = seen()
        with pytest.raises(BlockingIOError):
            one.accept()
        return found


def test_the_socket_of_an_engine_that_does_not_run_is_left_alone(in_netns, roots_path):
    """Whoever connects to it, systemd, starts the engine."""
    assert in_netns(starts_nothing, str(roots_path / "docker.sock")) == ([], [])


def activated(directory, routes):
    """The socket was made by somebody else, as systemd does it, and handed on."""
    path = directory + "/docker.sock"
    ctypes.CDLL(None).prctl(PR_SET_NAME, b"systemd")
    with contextlib.closing(listener(path)) as one, dockerd(serving(path, routes, one)):
        return seen(), path


def test_an_engine_that_was_started_on_demand(in_netns, routes, roots_path):
    found, path = in_netns(activated, str(roots_path), routes)
    assert found == ([("web", path, None)], [])


def two(directory, routes):
    first, second = (directory + "/" + name for name in "ab")
    os.makedirs(first)
    os.makedirs(second)
    empty = dict(routes, **{"/containers/json": (200, [])})
    with dockerd(serving(first + "/docker.sock", empty)):
        with dockerd(serving(second + "/docker.sock", routes)):
            return seen()


def test_two_engines(in_netns, routes, roots_path):
    found, blind = in_netns(two, str(roots_path), routes)
    assert (found, blind) == ([("web", str(roots_path) + "/b/docker.sock", None)], [])


def hangs(directory, routes, several):
    os.makedirs(directory + "/a")
    os.makedirs(directory + "/b")
    with dockerd(silent(directory + "/a/docker.sock")):
        with dockerd(serving(directory + "/b/docker.sock", routes) if several else silent(directory + "/x")):
            began = time.monotonic()
            return seen(), time.monotonic() - began


def test_one_that_hangs_does_not_hide_the_other(in_netns, routes, roots_path, monkeypatch):
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import containers

    monkeypatch.setattr(containers, "BOUND", 0.5)
    (found, blind), seconds = in_netns(hangs, str(roots_path), routes, True)
    assert [name for name, _path, _user in found] == ["web"]
    assert len(blind) == 1 and "no answer within 0.5 s" in blind[0] and seconds < 5


def without_a_socket():
    def work(ready):
        # what a forked child has from us is not its own
        one.close()
        with contextlib.closing(socket.socket(socket.AF_INET)):
            ready()
            time.sleep(60)

    with contextlib.closing(listener("/tmp/docker-%d.sock" % os.getpid())) as one, dockerd(work):
        os.unlink(one.getsockname())
        return engines.containers(WEB)


def test_an_engine_without_a_unix_socket(in_netns):
    found, (blind,) = in_netns(without_a_socket)
    assert found == () and "listens on no Unix socket" in blind.text and "-H unix://" in blind.advice


def impostor(directory, routes):
    """Somebody has moved the engine's socket away and listens in its place."""
    path = directory + "/docker.sock"
    with dockerd(serving(path, routes)):
        os.rename(path, path + ".old")
        os.chmod(directory, 0o777)

        def work(ready):
            os.setuid(65534)
            silent(path)(ready)

        with process("other", None, work):
            return seen()


def test_an_impostor_is_not_asked(in_netns, routes, roots_path):
    """It is not even connected to, once others may write the folder."""
    found, blind = in_netns(impostor, str(roots_path), routes)
    assert found == []
    assert len(blind) == 1 and "others than root may write its folder" in blind[0]


# The way there -----------------------------------------------------------------------------------------------------


def test_without_an_engine_nothing_more_is_loaded(in_netns):
    # in a new namespace there is no socket at all
    assert in_netns(nothing_there) == (False, ((), ()))


def nothing_there():
    return engines.docker_may_run(), engines.containers(WEB)


def holder(name, pid=4000, ancestors=(), container=None):
    return Process(pid, name, ancestors=ancestors, container=container, uid=0)


@pytest.mark.parametrize(
    ("processes", "expected"),
    [
        ([holder("nginx")], False),
        ([holder("conmon")], True),
        ([holder("rootlessport")], True),
        ([holder("docker-proxy")], True),
        ([holder("httpd", ancestors=(3000,)), holder("conmon", 3000)], True),
        ([holder("httpd", container=Container("docker", "a" * 64))], True),
        ([holder("httpd", container=Container("lxc", "web"))], False),
        ([holder("httpd", container=Container("kubernetes", "a" * 64))], False),
    ],
)
def test_what_leads_to_an_engine(monkeypatch, processes, expected):
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import containers

    calls = []
    monkeypatch.setattr(engines, "docker_may_run", lambda: False)
    monkeypatch.setattr(engines, "_reserves_nothing", lambda: False)
    monkeypatch.setattr(containers, "containers", lambda *arguments: calls.append(arguments) or ((), ()))
    engines.containers(WEB, {one.pid: one for one in processes}, [4000, 1])
    assert bool(calls) is expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("[engine]\nenable_port_reservation = false\n", True),
        ("\tenable_port_reservation=false # for the memory", True),
        ("#enable_port_reservation = false", False),
        ("enable_port_reservation = true", False),
        ("enable_port_reservation = falsely", False),
    ],
)
@pytest.mark.parametrize("place", ["file", "directory"])
def test_whether_podman_holds_its_ports(tmp_path, monkeypatch, lines, expected, place):
    monkeypatch.setattr(engines, "_CONFIGURATION", (str(tmp_path / "none"), str(tmp_path / "containers.conf")))
    monkeypatch.setattr(engines, "_CONFIGURATION_DIRECTORY", str(tmp_path / "containers.conf.d"))
    assert engines._reserves_nothing() is False
    (tmp_path / "containers.conf.d").mkdir()
    (tmp_path / "containers.conf.d" / "x.txt").write_text("enable_port_reservation = false")
    (tmp_path / ("containers.conf" if place == "file" else "containers.conf.d/9.conf")).write_text(lines)
    assert engines._reserves_nothing() is expected
