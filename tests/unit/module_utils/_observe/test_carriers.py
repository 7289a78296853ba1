# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Process, Unit, UnitFacts
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import carriers, processes

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="by design: reads Linux's /proc")


@pytest.mark.parametrize(
    ("value", "session"),
    [
        ("192.0.2.1 50000 192.0.2.2 22", ("192.0.2.1", 50000, "192.0.2.2", 22)),
        ("fe80::1%eth0 50000 fe80::2%eth0 22", ("fe80::1", 50000, "fe80::2", 22)),
        ("", None),
        ("UNKNOWN 65535 UNKNOWN", None),
        ("a b c d", None),
        ("1 2 3 4 5", None),
    ],
)
def test_parse_session(value, session):
    assert carriers.parse_session(value) == session


def sshd(pid, parent=1, proven=True, name="sshd"):
    return Process(pid, name, parent, proven=(name,) if proven else ())


@pytest.mark.parametrize(
    ("process", "parent", "is_one"),
    [
        (sshd(10), None, True),
        (sshd(10, name="sshd-session"), None, True),
        (sshd(10, name="dropbear"), None, True),
        # the process of a session runs as the session's user, and its parent is the part that runs as root
        (sshd(10, 9, proven=False), sshd(9), True),
        (sshd(10, 9, proven=False, name="sshd-session"), sshd(9, name="sshd-session"), True),
        # a shell of that session, or a program of its user that is called so
        (sshd(10, 9, proven=False, name="bash"), sshd(9), False),
        (sshd(10, 9, proven=False), sshd(9, proven=False), False),
        (sshd(10, 1, proven=False), None, False),
        (Process(10, "x", 1, command="sshd: root@pts/0"), None, False),
        (Process(10, "x", 1, exe="/usr/sbin/sshd"), None, False),
        (Process(10, "ssh", 1, proven=("ssh",)), None, False),
        (Process(10, "sshd-keygen", 1, proven=("sshd-keygen",)), None, False),
    ],
)
def test_is_ssh_on_evidence(process, parent, is_one):
    known = {one.pid: one for one in (process, parent) if one is not None}
    assert carriers.is_ssh(process, known) is is_one


def facts(name, main_pid, user=None, program=""):
    unit = Unit(name, user)
    return {unit: UnitFacts(unit, main_pid=main_pid, program=program)}


def in_unit(name, user=None, **more):
    return Process(10, "java", 1, unit=Unit(name, user), **more)


@pytest.mark.parametrize(
    ("process", "units", "is_one"),
    [
        (Process(1, "amazon-ssm-agen", proven=("amazon-ssm-agent",)), {}, True),
        (Process(1, "python3", proven=("python3.11", "python3", "waagent")), {}, True),
        (Process(1, "ruby", proven=("ruby", "puppet")), {}, True),
        (Process(1, "tailscaled", proven=("tailscaled",)), {}, True),
        (Process(1, "tailscale", proven=("tailscale",)), {}, False),
        # a server that has connections all day: launcher, and no carrier
        (Process(1, "nomad", proven=("nomad",)), {}, False),
        # names are claims
        (Process(1, "tailscaled"), {}, False),
        (Process(1, "python3", command="/usr/bin/python3 -u /usr/sbin/waagent -daemon"), {}, False),
        (Process(1, "x", exe="/tmp/tailscaled"), {}, False),
        # as an account of its own: PID 1 knows which process it is
        (in_unit("vsts.agent.acme.pool.one.service"), facts("vsts.agent.acme.pool.one.service", 10), True),
        (in_unit("bamboo-agent.service"), facts("bamboo-agent.service", 10), True),
        (in_unit("teamcity-agent.service"), facts("teamcity-agent.service", 10), True),
        (in_unit("ci.service"), facts("ci.service", 10, program="buildkite-agent"), True),
        # what the agent has started is not the agent
        (in_unit("bamboo-agent.service"), facts("bamboo-agent.service", 9), False),
        (in_unit("ci.service"), facts("ci.service", 9, program="buildkite-agent"), False),
        # the word of a user's service manager, and a unit of which nobody has told
        (in_unit("bamboo-agent.service", 65534), facts("bamboo-agent.service", 10, 65534), False),
        (in_unit("bamboo-agent.service"), {}, False),
        (in_unit("nginx.service"), facts("nginx.service", 10, program="nginx"), False),
        (in_unit("jenkins.service"), facts("jenkins.service", 10, program="java"), False),
    ],
)
def test_is_agent_on_evidence(process, units, is_one):
    assert carriers.is_agent(process, units) is is_one


class Session:
    """A process of a given name with one accepted connection and one listening socket, as sshd has them for ssh -R."""

    def __init__(self, name, connected=True, others=(), uid=None):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen()
            self.client = socket.create_connection(server.getsockname())
            reader, writer = os.pipe()
            self.pid = os.fork()
            if self.pid == 0:
                try:
                    signal.alarm(60)
                    os.close(reader)
                    for each in (self, *others):
                        each.client.close()
                    if uid is not None:
                        os.setgroups([])
                        os.setresgid(uid, uid, uid)
                        os.setresuid(uid, uid, uid)
                    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)  # PR_SET_NAME
                    accepted, _address = server.accept()
                    if not connected:
                        accepted.close()
                    server.close()
                    forwarded = socket.socket()
                    forwarded.bind(("127.0.0.1", 0))
                    forwarded.listen()
                    os.write(writer, b"%d" % os.fstat(forwarded.fileno()).st_ino)
                    signal.pause()
                finally:
                    os._exit(1)
            os.close(writer)
            self.inode = int(os.read(reader, 20))
            os.close(reader)
        client, server = self.client.getsockname(), self.client.getpeername()
        self.variable = "%s %d %s %d" % (client + server)

    def end(self):
        self.client.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def sessions(monkeypatch):
    """A function that starts a session; our own environment names none yet."""
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    started = []

    def start(name, connected=True, uid=None):
        started.append(Session(name, connected, started, uid))
        return started[-1]

    yield start
    for session in started:
        session.end()


def find(*started, self_pids=frozenset(), tables=None):
    holders = {session.pid for session in started}
    return carriers.carriers(processes.describe(holders), holders, self_pids, tables=tables)


def test_other_holders_are_none_and_cost_no_dump(sessions, monkeypatch):
    monkeypatch.setattr(carriers, "_established", lambda: 1 / 0)
    assert find(sessions("nginx")) == {}
    assert carriers.carriers({}, frozenset(), frozenset()) == {}


@pytest.mark.parametrize("name", ["sshd", "sshd-session", "dropbear"])
def test_an_unknown_own_session_makes_every_session_one(sessions, name):
    one, two = sessions(name), sessions(name)
    found = find(one, two)
    assert set(found) == {one.pid, two.pid}
    assert "can't be told" in found[one.pid]


@pytest.mark.parametrize("named", [True, False])
def test_into_whom_there_was_no_time_to_look_may_carry_us(sessions, monkeypatch, named):
    """What was not read is not "no connection": that holds for who is proven to be one of those, and for nobody else."""
    own, idle, agent, other = sessions("sshd"), sessions("sshd", False), sessions("tailscaled"), sessions("nginx")
    if named:
        monkeypatch.setenv("SSH_CONNECTION", own.variable)
    found = find(own, idle, agent, other, tables=carriers.Tables(Clock(-1)))
    assert set(found) == {own.pid, idle.pid, agent.pid}
    assert "in time" in found[own.pid] and "can't be told" in found[own.pid]
    assert "in time" in found[agent.pid] and "agent" in found[agent.pid]


def test_who_has_started_our_session_was_not_found_in_time(sessions, monkeypatch):
    own, other = sessions("sshd"), sessions("sshd")
    monkeypatch.setenv("SSH_CONNECTION", own.variable)
    tables = carriers.Tables(Clock())
    assert set(find(own, other, tables=tables)) == {own.pid}
    tables.clock = Clock(-1)
    found = find(own, other, tables=tables)
    assert found[own.pid] == "is the SSH session that runs this task"
    assert "in time" in found[other.pid] and "can't be told" in found[other.pid]


def test_an_ancestor_into_which_there_was_no_time_to_look(sessions, monkeypatch):
    """It may have one more connection of ours, so those of others can't be told from it."""
    own, ancestor, other = sessions("sshd"), sessions("sshd"), sessions("sshd")
    monkeypatch.setenv("SSH_CONNECTION", own.variable)
    ours = {os.getpid(), ancestor.pid}
    tables = carriers.Tables(Clock())
    assert set(find(own, other, self_pids=ours, tables=tables)) == {own.pid}
    real = carriers.descriptors.inodes_of
    monkeypatch.setattr(
        carriers.descriptors, "inodes_of", lambda pid, clock: real(pid, Clock(-1) if pid == ancestor.pid else clock)
    )
    found = find(own, other, self_pids=ours, tables=carriers.Tables(Clock()))
    assert set(found) == {own.pid, other.pid} and "can't be told" in found[other.pid]


def test_who_would_stop_as_well_and_was_not_read_in_time(sessions):
    """It is nobody's owner, as its sockets were not seen."""
    one, agent = sessions("nginx"), sessions("tailscaled")
    tables = carriers.Tables(Clock(-1))
    tables.of(agent.pid)
    known = processes.describe([one.pid, agent.pid])
    assert set(carriers.carriers(known, {one.pid}, frozenset(), tables=tables)) == {agent.pid}


def test_sshd_without_a_connection_is_none(sessions):
    assert find(sessions("sshd", False)) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="by design: another account is needed")
@pytest.mark.parametrize("name", ["sshd", "sshd-session", "dropbear", "tailscaled", "amazon-ssm-agent", "salt-minion"])
def test_a_name_that_another_account_has_chosen_makes_no_carrier(sessions, name):
    assert find(sessions(name, uid=65534)) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="by design: another account is needed")
def test_a_pretender_beside_a_session(sessions):
    """It is not told from our own session that it has connections: those are not asked about."""
    real, pretender = sessions("sshd"), sessions("sshd", uid=65534)
    assert set(find(real, pretender)) == {real.pid}


def test_our_own_session_by_the_environment(sessions, monkeypatch):
    own, other = sessions("sshd"), sessions("sshd")
    monkeypatch.setenv("SSH_CONNECTION", own.variable)
    found = find(own, other)
    assert found == {own.pid: "is the SSH session that runs this task"}


def test_our_own_session_by_an_ancestors_environment(sessions):
    own, other = sessions("sshd"), sessions("sshd")
    ancestor = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, env={"SSH_CONNECTION": own.variable})
    try:
        # fork and exec are two moments, and the new environment comes after the new program
        until = time.monotonic() + 30
        while own.variable.encode() not in Path("/proc/%d/environ" % ancestor.pid).read_bytes():
            assert time.monotonic() < until
        assert set(find(own, other, self_pids={os.getpid(), ancestor.pid})) == {own.pid}
    finally:
        ancestor.communicate()


def test_our_own_session_by_ancestry(sessions):
    own, other = sessions("sshd"), sessions("sshd")
    assert set(find(own, other, self_pids={os.getpid(), own.pid})) == {own.pid}


def test_a_variable_of_a_session_that_is_gone_proves_nothing(sessions, monkeypatch):
    one = sessions("sshd")
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22")
    assert set(find(one)) == {one.pid}


def test_privilege_separation(sessions, monkeypatch):
    """The parent has the connection of our session, the child holds the port and has no connection of its own."""
    own, child = sessions("sshd"), sessions("sshd", False)
    monkeypatch.setenv("SSH_CONNECTION", own.variable)
    known = processes.describe([own.pid, child.pid])
    known[child.pid] = Process(child.pid, "sshd", parent_pid=own.pid)
    assert set(carriers.carriers(known, {child.pid}, frozenset())) == {child.pid}


def test_the_server_that_has_started_our_session(sessions, monkeypatch):
    """It has no connection of its own. The task is no descendant of it any more once it is async."""
    own = sessions("sshd")
    monkeypatch.setenv("SSH_CONNECTION", own.variable)
    here, elsewhere = os.getpid(), sessions("sshd", False)
    known = {pid: sshd(pid) for pid in (here, elsewhere.pid)}
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        found = carriers.carriers(known, {here, elsewhere.pid}, frozenset())
    assert found == {here: "has started the SSH session that runs this task"}


def test_agents_always(sessions, monkeypatch):
    own, agent, idle = sessions("sshd"), sessions("amazon-ssm-agent"), sessions("tailscaled", False)
    monkeypatch.setenv("SSH_CONNECTION", own.variable)
    found = find(own, agent, idle)
    assert set(found) == {own.pid, agent.pid}
    assert "agent" in found[agent.pid]


def test_the_local_other_end_of_our_session(sessions, monkeypatch):
    """Something in front of sshd on the same machine: here it is this very process, that has the client's end."""
    own = sessions("sshd")
    monkeypatch.setenv("SSH_CONNECTION", own.variable)
    known = processes.describe([os.getpid()])
    assert carriers.carriers(known, {os.getpid()}, frozenset()) == {
        os.getpid(): "is the near end of the SSH connection that runs this task"
    }


def test_our_own_session_in_a_program_of_any_name(sessions, monkeypatch):
    """An SSH server that no table knows, or a relay: what SSH_CONNECTION names is the connection itself."""
    own, other = sessions("tunneld"), sessions("tunneld")
    monkeypatch.setenv("SSH_CONNECTION", own.variable)
    assert find(own, other) == {own.pid: "has the very connection that SSH_CONNECTION names"}


def test_without_netlink(sessions, monkeypatch):
    from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SourceRefused
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import netlink

    def refuse(*_unused):
        raise SourceRefused("sock_diag", "Operation not permitted")

    one = sessions("sshd")
    monkeypatch.setattr(netlink, "dump", refuse)
    assert set(find(one)) == {one.pid}
