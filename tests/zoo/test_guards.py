# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who must never be stopped: managed holders, supervised ones, and what may carry the Ansible connection."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from zoo import harness, world

CONTAINER_ID = "3f4e" * 16


class Cgroup:
    """A cgroup of systemd's hierarchy (v1 and hybrid) or of the only one (v2), below PID 1's own."""

    def __init__(self, path: str) -> None:
        base, name = Path("/sys/fs/cgroup/systemd"), "name=systemd"
        if not (base / "cgroup.procs").exists():
            base, name = Path("/sys/fs/cgroup"), ""
        if not (base / "cgroup.procs").exists():
            world.lacking("no cgroup hierarchy is mounted")
        lines = [line.split(":", 2) for line in Path("/proc/1/cgroup").read_text().splitlines()]
        root = next((path for dummy, controllers, path in lines if controllers == name), "/")
        self.made: list[Path] = []
        here = base / root.strip("/").replace("init.scope", "")
        # A slice of this worker's own on top, so that nobody else is in what we remove.
        for part in ["zoo-%d.slice" % os.getpid(), *path.strip("/").split("/")]:
            here /= part
            if not here.exists():
                try:
                    here.mkdir()
                except OSError as error:
                    self.close()
                    world.lacking("no cgroup can be made: %s" % error)
                self.made.append(here)
        self.path = here

    def add(self, *pids: int) -> None:
        for pid in pids:
            (self.path / "cgroup.procs").write_text("%d\n" % pid)

    def close(self) -> None:
        for directory in reversed(self.made):
            with contextlib.suppress(OSError):
                directory.rmdir()


@pytest.fixture
def cgroup(zoo):
    made: list[Cgroup] = []

    def make(path: str) -> Cgroup:
        made.append(Cgroup(path))
        return made[-1]

    yield make
    for holder in zoo.holders:
        holder.end()
    zoo.holders.clear()
    for one in reversed(made):
        one.close()


def refused(real: harness.Result, port: int) -> str:
    assert real.failed and real["changed"] is False and real["actions"] == []
    return real.port(port)["blocked_by"]["code"]


@pytest.mark.root
def test_unit_is_named_and_never_signalled_behind_its_back(zoo, cgroup) -> None:
    unit = "zoo-%d.service" % os.getpid()
    holder = zoo.start("reaping_master")
    cgroup("system.slice/" + unit).add(*holder.owners)
    report = zoo.run(port=[holder.port])
    assert {owner["service"] for owner in report["owners"]} == {unit}
    assert [found["kind"] for found in report.port(holder.port)["holders"]] == ["service"]
    predicted, real = zoo.free([holder.port], check=True), zoo.free([holder.port])
    assert predicted.comparable() == real.comparable()
    assert refused(real, holder.port) == "unsupported_manager"
    assert unit in real["msg"] and "systemctl stop " + unit in real["msg"]
    assert holder.living() == list(holder.identities)
    signalled = zoo.free([holder.port], method="signal")
    assert not signalled.failed, signalled["msg"]
    assert world.wait_gone(holder.owners) == []


@pytest.mark.root
def test_launcher_is_no_manager(zoo, cgroup) -> None:
    """What cron started is a process; stopping cron.service is never the answer."""
    holder = zoo.start("tcp4")
    cgroup("system.slice/cron.service").add(holder.pid)
    real = zoo.free([holder.port])
    assert not real.failed, real["msg"]
    assert world.wait_gone(holder.owners) == []


@pytest.mark.root
def test_user_unit_is_a_unit_and_a_session_is_none(zoo, cgroup) -> None:
    managed, session = zoo.start("tcp4"), zoo.start("tcp4")
    cgroup("user.slice/user-1000.slice/user@1000.service/app.slice/zoo.service").add(managed.pid)
    cgroup("user.slice/user-1000.slice/session-7.scope").add(session.pid)
    assert refused(zoo.free([managed.port]), managed.port) == "unsupported_manager"
    assert managed.living()
    assert not zoo.free([session.port]).failed


@pytest.mark.root
@pytest.mark.parametrize(
    ("path", "engine"),
    [
        ("docker/" + CONTAINER_ID, "docker"),
        ("system.slice/docker-%s.scope" % CONTAINER_ID, "docker"),
        ("machine.slice/libpod-%s.scope" % CONTAINER_ID, "podman"),
        ("system.slice/cri-containerd-%s.scope" % CONTAINER_ID, "containerd"),
    ],
)
def test_container_is_named_and_never_signalled(zoo, cgroup, path: str, engine: str) -> None:
    holder = zoo.start("tcp4")
    cgroup(path).add(holder.pid)
    report = zoo.run(port=[holder.port])
    assert [found["kind"] for found in report.port(holder.port)["holders"]] == ["container"]
    assert CONTAINER_ID[:12] in str(report["owners"][0]["container"])
    real = zoo.free([holder.port])
    assert refused(real, holder.port) == "unsupported_manager"
    assert engine in real["msg"]
    assert holder.living()


@pytest.mark.parametrize("name", ["supervisord", "runsv", "s6-supervise"])
def test_supervised_is_refused_before_anything_is_stopped(zoo, name: str) -> None:
    holder = zoo.start("respawner", comm=name)
    real = zoo.free([holder.port])
    assert refused(real, holder.port) == "supervised"
    assert name in real["msg"]
    assert holder.living() == list(holder.identities)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("sshd", "protected_process"), ("NetworkManager", "protected_process"), ("dbus-daemon", "protected_process"),
        ("dockerd", "engine"), ("containerd", "engine"), ("kubelet", "engine"), ("docker-proxy", "engine"),
    ],
)  # fmt: skip
def test_default_list_is_protected(zoo, name: str, code: str) -> None:
    holder = zoo.start("tcp4", comm=name)
    assert refused(zoo.free([holder.port]), holder.port) == code
    assert holder.living()


AGENTS = ["sshd", "sshd-session", "dropbear", "tailscaled", "teleport", "amazon-ssm-agen", "waagent", "receptor"]


@pytest.mark.parametrize("name", AGENTS)
def test_agent_with_a_connection_may_carry_ours(zoo, name: str) -> None:
    """Async and sudo cut the line of parents, so every login daemon with a connection counts as the carrier."""
    agent = zoo.start("tcp4", comm=name, accept=True)
    caller = zoo.start("clients", agent.port, number=1)
    for options in ({}, {"unprotect": ["*"]}, {"unprotect": [name]}):
        predicted, real = zoo.free([agent.port], check=True, **options), zoo.free([agent.port], **options)
        assert predicted.comparable() == real.comparable()
        assert refused(real, agent.port) in ("own_connection", "protected_process")
    assert refused(real, agent.port) == "own_connection"
    assert agent.living() and len(caller.living()) == 2


def test_agent_that_called_home_may_carry_ours(zoo) -> None:
    """Its connection is on another port than the one that is asked for."""
    home = zoo.start("tcp4", accept=True)
    agent = zoo.start("tcp4", comm="receptor", dial=home.port)
    real = zoo.free([agent.port])
    assert refused(real, agent.port) == "own_connection"
    assert agent.living()


def test_agent_without_a_connection_is_a_process(zoo) -> None:
    agent = zoo.start("tcp4", comm="receptor")
    real = zoo.free([agent.port])
    assert not real.failed, real["msg"]
    assert world.wait_gone(agent.owners) == []


def test_similar_to_an_agent_is_no_agent(zoo) -> None:
    holder = zoo.start("tcp4", comm="receptor2", accept=True)
    zoo.start("clients", holder.port, number=1)
    assert not zoo.free([holder.port]).failed


def test_freeing_an_agents_client_port_is_refused_for_the_connection(zoo) -> None:
    """close_blocking must not cut the agent's own line."""
    home = zoo.start("tcp4", accept=True)
    agent = zoo.start("outgoing_bound", comm="receptor")
    real = zoo.free([agent.port], close_blocking=True)
    assert refused(real, agent.port) == "own_connection"
    assert agent.living() == list(agent.identities) and home.living()


OF_NOBODY = [
    "sshd", "dropbear", "tailscaled", "salt-minion", "rootlesskit", "conmon", "aardvark-dns", "dockerd", "k3s-server", "openvpn",
    "systemd", "systemd-resolve", "dbus-daemon", "xinetd",
]  # fmt: skip


@pytest.mark.root
@pytest.mark.parametrize("name", OF_NOBODY)
def test_no_name_of_an_accounts_choice_keeps_a_port_for_ever(zoo, name: str) -> None:
    """With an argument and a connection of any kind, too. What is refused for the name says what overrules it."""
    words = ("--conf-file=/var/lib/libvirt/dnsmasq/NetworkManager/x.conf",)
    for overruled in ({"method": "signal"}, {"unprotect": [name]}):
        holder = zoo.start("tcp4", comm=name, accept=True, argv=words, user=world.NOBODY)
        zoo.start("clients", holder.port, number=1)
        predicted = zoo.free([holder.port], check=True)
        if predicted.failed:
            assert refused(predicted, holder.port) != "own_connection"
            assert "method: signal" in predicted["msg"] and "unprotect: [%s]" % name in predicted["msg"]
            assert not zoo.free([holder.port], check=True, **overruled).failed
        assert holder.living()
        real = zoo.free([holder.port], **overruled)
        assert not real.failed, real["msg"]
        assert world.wait_gone(holder.owners) == []


@pytest.mark.root
@pytest.mark.parametrize("name", ["supervisord", "runsv", "s6-supervise", "monit", "circusd", "PM2 v5.3.0: G"])
def test_no_name_of_a_parent_keeps_a_port_for_ever(zoo, name: str) -> None:
    # It starts its child again later than anybody looks: here it is about the name alone.
    holder = zoo.start("respawner", comm=name, user=world.NOBODY, delay=60)
    real = zoo.free([holder.port], method="signal")
    assert not [one for one in real["ports"] if one["blocked_by"]], real["msg"]
    assert [action["action"] for action in real["actions"]] == ["signal"]


@pytest.mark.root
@pytest.mark.parametrize(
    ("name", "code"),
    [("sshd", "protected_process"), ("xinetd", "managed_elsewhere"), ("dockerd", "engine"), ("dhclient", "protected_process"),
     ("k3s-server", "protected_process"), ("tailscaled", "own_connection")],
)  # fmt: skip
def test_roots_own_is_refused_whatever_the_method(zoo, name: str, code: str) -> None:
    other = zoo.port()
    holder = zoo.start("tcp4", comm=name, accept=True, also=other)
    zoo.start("clients", holder.port, number=1)
    for options in ({}, {"method": "signal"}):
        real = zoo.free([holder.port], **options)
        assert refused(real, holder.port) in (code, "own_connection")
        assert "only its own word" not in real["msg"]
    assert holder.living()
