# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers, as the engines that run tell of them. Private to harbormaster.ports.

Loaded only when there is an engine to ask (see `engines`). Docker engines are asked side by side; podman's commands are
run one after the other, as a process that has threads should not fork.
"""

from __future__ import annotations

import threading
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Blind, Container, Process
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import docker
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.engines import PODMAN_HELPERS, chain
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import Wanted

# Seconds that one engine may take for all of its answers.
BOUND = 5.0


class Found:
    """What the engines have told so far."""

    def __init__(self) -> None:
        self.containers: t.List[Container] = []
        self.blind: t.List[Blind] = []


def containers(
    wanted: Wanted,
    processes: t.Mapping[int, Process],
    behind: t.Sequence[int],
    unreserved: bool,
    clock: t.Optional[Clock] = None,
    may_ask: bool = False,
) -> t.Tuple[t.Tuple[Container, ...], t.Tuple[Blind, ...]]:
    """See `engines.containers`.

    :param behind: the holders that a container may be behind.
    :param unreserved: podman of root may publish ports that nobody holds.
    """
    del may_ask
    clock = clock or Clock()
    chains = [chain(processes, processes[pid]) for pid in behind]
    found = Found()
    _ask_docker(docker.Question(wanted, _ids(chains, "docker")), chains, clock, found)
    pids = frozenset(one.pid for line in chains for one in line)
    if unreserved or any(_leads_to_podman(one) for line in chains for one in line):
        question = docker.Question(wanted, _ids(chains, "podman"), pids)
        _ask_podman(question, chains, unreserved, clock, found)
    found.blind += _unknown(chains, found)
    # One container may be told of twice, by engines or accounts that share their directories.
    told = {one.id: one for one in reversed(found.containers)}
    return tuple(sorted(told.values(), key=lambda one: (one.engine, one.name, one.id))), tuple(found.blind)


def _leads_to_podman(process: Process) -> bool:
    container = process.container
    return process.name in PODMAN_HELPERS or (container is not None and container.engine == "podman")


def _ids(chains: t.Sequence[t.Sequence[Process]], engine: str) -> t.FrozenSet[str]:
    """Ids of the containers that the holders are in, by their cgroups or that of what watches over them."""
    nearest = [next((one.container for one in line if one.container), None) for line in chains]
    return frozenset(container.id for container in nearest if container and container.engine == engine)


def _ask_docker(question: docker.Question, chains: t.Sequence[t.Sequence[Process]], clock: Clock, found: Found) -> None:
    rootless = {one.uid for line in chains for one in line if one.name == "rootlesskit" and one.uid is not None}
    engines, blind = docker.running(rootless)
    found.blind += blind

    def ask(engine: docker.Engine) -> None:
        docker.ask(engine, question, time.monotonic() + clock.left(BOUND), found.containers, found.blind)

    threads = [threading.Thread(target=ask, args=(engine,), daemon=True) for engine in engines[1:]]
    for thread in threads:
        thread.start()
    for engine in engines[:1]:
        ask(engine)
    for thread in threads:
        thread.join()


def _ask_podman(
    question: docker.Question,
    chains: t.Sequence[t.Sequence[Process]],
    unreserved: bool,
    clock: Clock,
    found: Found,
) -> None:
    # Loaded here: most hosts that have a container have it from Docker.
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import podman

    accounts, blind = podman.accounts(chains, unreserved)
    found.blind += blind
    for account in accounts:
        podman.ask(account, question, time.monotonic() + clock.left(BOUND), found.containers, found.blind)


def _unknown(chains: t.Sequence[t.Sequence[Process]], found: Found) -> t.Iterator[Blind]:
    """The containers that holders are in and that no engine has told of."""
    if found.blind:
        # An engine that could not be asked explains it.
        return
    told = {one.id for one in found.containers}
    for engine, start in (("docker", "dockerd"), ("podman", "podman")):
        for identity in sorted(_ids(chains, engine) - told):
            text = "container %s of %s is not known to any %s that runs here" % (identity[:12], engine, start)
            advice = "start its engine again, or look from the host or account that it belongs to"
            yield Blind("container_engine", text, advice=advice)
