# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which engines are asked about which holders, and what is made of all they say."""

from __future__ import annotations

import os
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Blind, Container, Process
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    containers,
    docker,
    docker_engines,
    podman,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import by_protocol

WEB = by_protocol([("tcp", 8080)])
ID, OTHER = "a1" * 32, "b2" * 32


class Asked:
    """What the engines were asked, and what they shall say."""

    def __init__(self):
        self.docker, self.podman, self.rootless, self.chains, self.unreserved = [], [], None, None, None
        self.engines, self.accounts, self.blind, self.says = [], [], [], {}


@pytest.fixture
def asked(monkeypatch):
    one = Asked()

    def running(users, may_ask, clock):
        one.rootless, one.may_ask = set(users), may_ask
        return one.engines, []

    def accounts(chains, unreserved, may_ask):
        one.chains, one.unreserved = [[process.pid for process in line] for line in chains], unreserved
        return one.accounts, []

    def ask_docker(engine, question, until, found, blind):
        one.docker.append(question)
        assert 0 < until - time.monotonic() <= containers.BOUND
        found += one.says.get(engine.pid, [])
        blind += one.blind

    def ask_podman(account, question, until, found, blind):
        one.podman.append(question)
        assert 0 < until - time.monotonic() <= containers.BOUND
        found += one.says.get(account.uid, [])

    monkeypatch.setattr(docker_engines, "running", running)
    monkeypatch.setattr(docker, "ask", ask_docker)
    monkeypatch.setattr(podman, "accounts", accounts)
    monkeypatch.setattr(podman, "ask", ask_podman)
    return one


def process(pid, name, *ancestors, container=None, uid=0):
    engine, _colon, identity = (container or "").partition(":")
    return Process(pid, name, ancestors=ancestors, uid=uid, container=Container(engine, identity) if engine else None)


def look(*processes, behind=(100,), unreserved=False, clock=None):
    known = {one.pid: one for one in processes}
    found, blind = containers.containers(WEB, known, [pid for pid in behind if pid in known], unreserved, clock)
    return [one.name for one in found], [one.text for one in blind]


def test_without_a_holder_only_docker_is_asked(asked):
    asked.engines = [docker.Engine(7, 0, "/run/docker.sock")]
    asked.says[7] = [Container("docker", ID, "web")]
    assert look() == (["web"], [])
    assert asked.docker == [docker.Question(WEB, frozenset())] and asked.podman == [] and asked.chains is None


def test_podman_is_asked_where_its_ports_have_no_holder(asked):
    asked.accounts = [podman.Account(0)]
    asked.says[0] = [Container("podman", ID, "web")]
    assert look(unreserved=True) == (["web"], [])
    assert asked.unreserved is True


def test_the_ids_of_control_groups_go_to_their_engines(asked):
    asked.engines, asked.accounts = [docker.Engine(7, 0, "/run/docker.sock")], [podman.Account(0)]
    asked.says = {7: [Container("docker", ID)], 0: [Container("podman", OTHER)]}
    one = process(100, "httpd", container="docker:" + ID)
    two = process(200, "httpd", 150, container="podman:" + OTHER)
    look(one, two, process(150, "conmon"), behind=(100, 200))
    assert asked.docker[0].ids == {ID}
    assert asked.podman[0].ids == {OTHER} and asked.podman[0].pids == {100, 200, 150}
    assert asked.chains == [[100], [200, 150]]


def test_the_nearest_container_is_the_one(asked):
    """An ancestor may be in one as well: what runs the engine."""
    asked.engines = [docker.Engine(7, 0, "/run/docker.sock")]
    look(process(100, "httpd", 90, container="docker:" + ID), process(90, "sh", container="docker:" + OTHER))
    assert asked.docker[0].ids == {ID}


def test_whose_rootless_engine_has_a_port(asked):
    look(process(100, "rootlesskit", uid=1000))
    assert asked.rootless == {1000}
    look(process(100, "docker-proxy", uid=0))
    assert asked.rootless == set()


def test_a_container_is_told_of_once(asked):
    asked.accounts = [podman.Account(0), podman.Account(0, ("podman", "--root", "/srv"))]
    asked.says[0] = [Container("podman", ID, "web")]
    assert look(process(100, "conmon")) == (["web"], [])
    assert len(asked.podman) == 2


def test_several_engines_are_asked_side_by_side(asked, monkeypatch):
    asked.engines = [docker.Engine(pid, 0, "/run/%d.sock" % pid) for pid in range(1, 6)]
    inner = docker.ask

    def slow(*arguments):
        time.sleep(0.3)
        inner(*arguments)

    monkeypatch.setattr(docker, "ask", slow)
    began = time.monotonic()
    look()
    assert len(asked.docker) == 5 and time.monotonic() - began < 1.2


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_a_container_that_no_engine_knows_is_said(asked, engine):
    found, (text,) = look(process(100, "httpd", container="%s:%s" % (engine, ID)))
    assert found == [] and ID[:12] in text and engine in text


def test_it_is_not_said_again_when_an_engine_was_silent(asked):
    asked.engines, asked.blind = [docker.Engine(7, 0, "/x")], [Blind("container_engine", "it hangs")]
    assert look(process(100, "httpd", container="docker:" + ID)) == ([], ["it hangs"])


def test_all_accounts_together_have_a_bound(asked, monkeypatch):
    asked.accounts = [podman.Account(uid) for uid in range(3)]
    limits = []
    monkeypatch.setattr(podman, "ask", lambda account, question, until, *rest: limits.append(until - time.monotonic()))
    look(process(100, "conmon", uid=os.geteuid()), clock=Clock(1.0))
    assert len(limits) == 3 and max(limits) <= 1.0
