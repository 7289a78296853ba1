# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines that an account without rights pretends to have: real processes of nobody, with real sockets and holders."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import signal
import socket
import struct
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import engines, processes
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import by_protocol
from ansible_collections.harbormaster.ports.tests.unit.module_utils._observe.children import PR_SET_NAME, process

NOBODY = pwd.getpwnam("nobody").pw_uid
ID = "a1" * 32
PORT = 8080
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have processes of two accounts")


def holding(ready):
    """A TCP port of the host's is what it holds."""
    one = socket.socket()
    one.bind(("127.0.0.1", PORT))
    one.listen()
    ready()
    time.sleep(60)


def idle(ready):
    ready()
    time.sleep(60)


def engine(path, log, claim, holds=False):
    """An engine that answers what ``claim`` makes of it, and writes down who has connected."""

    def work(ready):
        one = socket.socket(socket.AF_UNIX)
        one.bind(path)
        os.chmod(path, 0o777)
        one.listen()
        port = socket.socket()
        if holds:
            port.bind(("127.0.0.1", PORT))
            port.listen()
        ready()
        while True:
            link = one.accept()[0]
            _pid, uid, _gid = struct.unpack("=iII", link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            with open(log, "a", encoding="utf-8") as stream:
                stream.write("%d\n" % uid)
            words = link.recv(65536).decode().split(" ", 2)
            if len(words) > 2:
                said = claim(words[1])
                link.sendall(b"HTTP/1.0 %d Answer\r\n\r\n" % (404 if said is None else 200) + json.dumps(said).encode())
            link.close()

    return work


def claiming(pid=0, labels=None, host=True, port=PORT):
    """A container with whatever first process, and what leads into it."""
    ports = {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": str(port)}]}
    content = {
        "Id": ID,
        "Name": "/postgres",
        "State": {"Running": True, "Pid": pid, "StartedAt": "2026-11-21T00:00:00Z"},
        "Config": {"Labels": labels or {}},
        "HostConfig": {"NetworkMode": "host" if host else "bridge"},
        "NetworkSettings": {"Ports": ports},
    }
    listed = [{"Id": ID, "State": "running", "Ports": [{"Type": "tcp", "IP": "0.0.0.0", "PublicPort": port}]}]
    service = {
        "ID": "x" * 25,
        "Spec": {"Name": "s"},
        "Endpoint": {"Ports": [{"PublishedPort": port, "Protocol": "tcp"}]},
    }
    swarm = {"Swarm": {"LocalNodeState": "active", "NodeID": "n", "ControlAvailable": False}}
    return {"/containers/json": listed, "/containers/%s/json" % ID: content, "/services": [service], "/info": swarm}.get


SWARM = {
    "com.docker.swarm.service.name": "s",
    "com.docker.swarm.task.id": "t",
    "com.docker.swarm.task.name": "postgres",
    "com.docker.swarm.node.id": "n",
    "io.kubernetes.pod.name": "web-7",
}


@pytest.fixture
def place(roots_path):
    """A folder of nobody's."""
    folder = roots_path / "theirs"
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    return str(folder)


def look(holders, may_ask, seconds=10.0):
    known = processes.describe(holders)
    found, blind = engines.containers(by_protocol([("tcp", PORT)]), known, holders, Clock(seconds), may_ask)
    return list(found), [(one.code, one.text, one.advice) for one in blind]


def who_was_asked(log):
    if not os.path.exists(log):
        return set()
    with open(log, encoding="utf-8") as stream:
        return {int(line) for line in stream}


def with_a_free_port(place):
    with process("dockerd", NOBODY, engine(place + "/docker.sock", place + "/log", claiming(labels=SWARM))):
        return look([], False), look([], True), who_was_asked(place + "/log")


def test_a_free_port_is_nobodys_to_claim(in_netns, place):
    reported, freed, asked = in_netns(with_a_free_port, place)
    assert reported == freed == ([], []) and asked == set()


@pytest.mark.parametrize("name", ["docker.sock", "s"])
@pytest.mark.parametrize("may_ask", [False, True])
def test_the_holder_of_an_account_is_in_its_containers_by_that_accounts_word(in_netns, place, name, may_ask):
    """A report connects to nothing, and a run that frees asks as that account: its port can be freed by its own engine."""
    (found, blind), asked = in_netns(with_its_own_holder, place, name, may_ask)
    if may_ask:
        assert asked == {NOBODY} and blind == []
        assert [(one.name, one.claimed, one.user, one.orchestrator) for one in found] == [
            ("postgres", True, NOBODY, "")
        ]
    else:
        assert asked == set()
        assert [(one.engine, one.id, one.asked, one.unasked, one.user) for one in found] == [
            ("docker", "", False, True, NOBODY)
        ]
        ((code, text, advice),) = blind
        assert code == "container_engine_of_another" and "not asked" in text and str(NOBODY) in text and advice == ""


def with_its_own_holder(place, name, may_ask):
    work = engine(place + "/" + name, place + "/log", claiming(labels=SWARM), holds=True)
    with process("dockerd", NOBODY, work) as pid:
        return look([pid], may_ask), who_was_asked(place + "/log")


def with_a_holder_of_roots(place, may_ask):
    """Root's process holds the port; nobody's engine says that it is a container of its own."""
    with process("postgres", 0, holding) as victim:
        work = engine(place + "/docker.sock", place + "/log", claiming(victim, SWARM))
        with process("dockerd", NOBODY, work), process("rootlesskit", NOBODY, idle) as relay:
            return look([victim, relay], may_ask), victim


@pytest.mark.parametrize("may_ask", [False, True])
def test_a_process_of_roots_is_in_nobodys_container(in_netns, place, may_ask):
    (found, _blind), victim = in_netns(with_a_holder_of_roots, place, may_ask)
    assert all(one.claimed and victim not in one.inside for one in found)
    assert [one.asked for one in found] == [may_ask], "the engine has to be one that is asked at all"


def below_an_ancestor(place, may_ask):
    """State.Pid is what nobody's holder descends from, and root's as well."""
    holder = process("rootlesskit", NOBODY, idle)
    with holder as pid:
        work = engine(place + "/docker.sock", place + "/log", claiming(os.getpid()))
        with process("dockerd", NOBODY, work):
            return look([pid], may_ask), pid


def test_an_ancestor_of_roots_is_no_first_process_of_nobodys_container(in_netns, place):
    (found, _blind), pid = in_netns(below_an_ancestor, place, True)
    assert [one.inside for one in found] == [()]
    assert [one.pid for one in found] == [0], "this very task would be said to be in it"


def descends(place):
    """nobody's engine with a holder that really descends from the container's first process."""

    def first(ready):
        work = engine(place + "/docker.sock", place + "/log", claiming(os.getpid()))
        with process("dockerd", NOBODY, work), process("httpd", NOBODY, holding) as pid:
            with open(place + "/pid", "w", encoding="utf-8") as stream:
                stream.write(str(pid))
            ready()
            time.sleep(60)

    with process("dockerd", NOBODY, first):
        with open(place + "/pid", encoding="utf-8") as stream:
            pid = int(stream.read())
        try:
            return look([pid], True)[0], pid
        finally:
            # its parent is killed, and with it nobody ends it
            for child in own_children(place):
                os.kill(child, signal.SIGKILL)


def own_children(place):
    with open(place + "/pid", encoding="utf-8") as stream:
        pid = int(stream.read())
    with open("/proc/%d/stat" % pid, encoding="utf-8") as stream:
        parent = int(stream.read().rpartition(") ")[2].split()[1])
    with open("/proc/%d/task/%d/children" % (parent, parent), encoding="utf-8") as stream:
        return [int(word) for word in stream.read().split()]


def test_a_holder_that_descends_from_the_first_process_is_in_it(in_netns, place):
    found, pid = in_netns(descends, place)
    assert [one.inside for one in found] == [(pid,)]
    assert all(one.pid > 1 for one in found)


def full_backlogs(place, uid, may_ask):
    """Ten sockets of a dockerd that accepts nothing, and on which nobody finds room."""

    def work(ready):
        crowd = []
        for number in range(10):
            one = socket.socket(socket.AF_UNIX)
            one.bind("%s/%d.sock" % (place, number))
            one.listen(0)
            crowd.append(one)
            with contextlib.suppress(BlockingIOError):
                for _number in range(100):
                    client = socket.socket(socket.AF_UNIX)
                    client.setblocking(False)
                    crowd.append(client)
                    client.connect("%s/%d.sock" % (place, number))
        holding(ready)

    with process("dockerd", uid, work) as pid:
        began = time.monotonic()
        return look([pid], may_ask), time.monotonic() - began


@pytest.mark.parametrize(("uid", "may_ask"), [(NOBODY, False), (NOBODY, True), (0, True)])
def test_full_backlogs_cost_no_more_than_the_bound(in_netns, place, roots_path, uid, may_ask):
    (found, blind), seconds = in_netns(full_backlogs, place if uid else str(roots_path), uid, may_ask)
    assert not any(one.asked for one in found) and blind and seconds < 5


def many_engines(place):
    with contextlib.ExitStack() as stack:
        for number in range(12):
            stack.enter_context(process("dockerd", NOBODY, silent("%s/%d.sock" % (place, number))))
        holder = stack.enter_context(process("rootlesskit", NOBODY, holding))
        began = time.monotonic()
        return look([holder], True), time.monotonic() - began


def silent(path):
    def work(ready):
        one = socket.socket(socket.AF_UNIX)
        one.bind(path)
        one.listen()
        ready()
        time.sleep(60)

    return work


def test_many_silent_engines_of_one_account_share_one_bound(in_netns, place):
    (found, blind), seconds = in_netns(many_engines, place)
    assert found == [] and blind and seconds < 9


def set_uid_dockerd(program):
    """A set-uid program of root's that nobody has started by the name of dockerd."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.dup2(reader, 0)
        os.execv(program, [program, "-"])
    try:
        for _attempt in range(200):
            with open("/proc/%d/comm" % pid, encoding="utf-8") as stream:
                if stream.read() == "dockerd\n":
                    break
            time.sleep(0.02)
        with open("/proc/%d/status" % pid, "rb") as stream:
            uids = engines_uids(stream.read())
        # a socket whose name makes everybody look closer
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as one:
            one.bind("\0docker")
            return uids, look([], True)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


def engines_uids(status):
    from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence

    return evidence.uids(status)


def test_a_set_uid_program_by_the_name_of_an_engine_is_none(in_netns, roots_path):
    import shutil

    program = roots_path / "dockerd"
    shutil.copy("/bin/cat", str(program))
    program.chmod(0o4755)
    uids, found = in_netns(set_uid_dockerd, str(program))
    assert uids == (NOBODY, 0, 0) and found == ([], [])


def forged_row(place):
    """The engine of root's, and a name of nobody's that shows its inode at another path, and another one at its path."""
    path = place + "/docker.sock"
    one = socket.socket(socket.AF_UNIX)
    one.bind(path)
    one.listen()
    inode = os.fstat(one.fileno()).st_ino
    other = socket.socket(socket.AF_UNIX)
    text = "x\n0000000000000000: 00000002 00000000 00010000 0001 01 %d %s"
    other.bind("\0" + text % (inode, "/t/s"))
    third = socket.socket(socket.AF_UNIX)
    third.bind("\0" + (text % (4711, path))[:100])
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        one.listen()
        ctypes.CDLL(None).prctl(PR_SET_NAME, b"dockerd")
        os.write(writer, b"x")
        claim = claiming(host=False)
        while True:
            link = one.accept()[0]
            words = link.recv(65536).decode().split(" ", 2)
            if len(words) > 2:
                said = claim(words[1])
                link.sendall(
                    b"HTTP/1.0 200 Answer\r\n\r\n" + json.dumps([] if words[1] == "/services" else said).encode()
                )
            link.close()
    os.read(reader, 1)
    try:
        return look([], False)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_name_with_a_newline_hides_no_engine(in_netns, roots_path):
    found, blind = in_netns(forged_row, str(roots_path))
    assert [one.name for one in found] == ["postgres"] and blind == []


# Whose engines no test that runs beside these has.
ANOTHER, ALONE = NOBODY - 1, NOBODY - 2


def behind(holders, may_ask=False):
    """What is told of engines that were not asked: engine, whose, and which holders."""
    return [(one.engine, one.user, one.inside) for one in look(holders, may_ask)[0] if one.unasked]


def below(name, uid, path):
    """A process of this account that holds the port, started by one of this name; its pid stands in a file."""

    def work(ready):
        with process("httpd", uid, holding) as pid:
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(str(pid))
            ready()
            time.sleep(60)

    return process(name, NOBODY, work)


def pid_in(path):
    with open(path, encoding="utf-8") as stream:
        return int(stream.read())


def helpers_of_podman(name):
    """Two of an account, one of another account, and one of root's own."""
    with process(name, NOBODY, idle) as one, process(name, NOBODY, idle) as two:
        with process(name, ANOTHER, idle) as three, process(name, 0, idle) as roots:
            with process("httpd", NOBODY, idle) as plain:
                return (one, two, three), behind([one, two, three, roots, plain])


@pytest.mark.parametrize("name", ["rootlessport", "slirp4netns", "pasta", "conmon"])
def test_a_helper_stands_for_a_container_of_an_engine_that_was_not_asked(in_netns, name):
    (one, two, three), told = in_netns(helpers_of_podman, name)
    assert sorted(told) == sorted(
        [("podman", NOBODY, (one,)), ("podman", NOBODY, (two,)), ("podman", ANOTHER, (three,))]
    )


def helpers_of_docker(place, with_an_engine):
    os.chmod(place, 0o777)
    with contextlib.ExitStack() as stack:
        if with_an_engine:
            stack.enter_context(process("dockerd", ALONE, silent(place + "/docker.sock")))
        relay = stack.enter_context(process("rootlesskit", ALONE, idle))
        return relay, behind([relay])


@pytest.mark.parametrize("with_an_engine", [True, False])
def test_where_no_engine_runs_none_was_left_unasked(in_netns, place, with_an_engine):
    relay, told = in_netns(helpers_of_docker, place, with_an_engine)
    assert told == ([("docker", ALONE, (relay,))] if with_an_engine else [])


def below_a_monitor(place, uid):
    with below("conmon", uid, place + "/pid"):
        pid = pid_in(place + "/pid")
        try:
            return pid, behind([pid])
        finally:
            os.kill(pid, signal.SIGKILL)


def test_who_descends_from_an_accounts_monitor_is_in_its_container(in_netns, place):
    pid, told = in_netns(below_a_monitor, place, NOBODY)
    assert told == [("podman", NOBODY, (pid,))]


def named_by_a_control_group(container):
    """A holder with the control group of a container, as its account or root has named it."""
    with process("conmon", NOBODY, idle) as monitor, process("httpd", NOBODY, idle) as pid, process(
        "httpd", NOBODY, idle
    ) as other:
        known = {
            one: made._replace(container=container, ancestors=(monitor,))
            for one, made in processes.describe([pid, other]).items()
            if one in (pid, other)
        }
        known.update(processes.describe([monitor]))
        found, _blind = engines.containers(by_protocol([("tcp", PORT)]), known, [pid, other], Clock(10.0), False)
        return (pid, other), [(one.id, one.user, one.inside) for one in found if one.unasked]


@pytest.mark.parametrize(
    ("container", "theirs"),
    [
        (Container("podman", ID, user=NOBODY), True),
        (Container("podman", ID), False),
        (Container("podman", ID, user=ANOTHER), False),
        (Container("podman", ID, user=NOBODY, unsure=True), False),
        (Container("cri-o", ID, user=NOBODY), False),
    ],
)
def test_a_control_group_counts_as_the_word_of_its_own_account(in_netns, container, theirs):
    pids, told = in_netns(named_by_a_control_group, container)
    assert told == ([(ID, NOBODY, pids)] if theirs else [])


def without_rights(place):
    """Who is not root asks nobody else's engine in a real run either: nothing is left to that one."""
    with process("dockerd", NOBODY, silent(place + "/docker.sock")), process("rootlesskit", NOBODY, idle) as relay:
        with process("rootlessport", NOBODY, idle) as port:
            os.seteuid(ANOTHER)
            try:
                return behind([relay, port])
            finally:
                os.seteuid(0)


def test_without_rights_nothing_is_left_to_the_real_run(in_netns, place):
    assert in_netns(without_rights, place) == []
