# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers, as the engines that run tell of them. Private to harbormaster.ports.

Loaded only when there is an engine to ask (see `engines`). Proven Docker engines are asked side by side; podman's commands
and the engines of other accounts one after the other, as a process that has threads should not fork. All of it is
bounded by the clock of the look.

What an engine of another account says is that account's word. It counts for that account's own processes, and for
nothing else: not for a port without a socket, not for somebody else's socket, and not by what its labels say.
"""

from __future__ import annotations

import threading
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Blind, Container, Process
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    docker,
    docker_engines,
    namespaces,
    processes,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.engines import (
    DOCKER_HELPERS,
    PODMAN_HELPERS,
    chain,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import Wanted

# Seconds that one engine may take for all of its answers.
BOUND = 5.0
# Whose helpers they are, where no control group says it. What both engines use is podman's unless it is below a rootlesskit.
_HELPERS = (("docker", DOCKER_HELPERS - PODMAN_HELPERS), ("podman", PODMAN_HELPERS))


class Found:
    """What the engines have told so far."""

    def __init__(self) -> None:
        self.containers: t.List[Container] = []
        self.blind: t.List[Blind] = []
        # engine -> the accounts that have one which only a run that changes things asks
        self.unasked: t.Dict[str, t.Set[int]] = {}

    def add_blind(self, engine: str, blind: t.Iterable[Blind]) -> None:
        """Keep what could not be asked, and of whom."""
        for one in blind:
            self.blind.append(one)
            if one.unasked is not None:
                self.unasked.setdefault(engine, set()).add(one.unasked)


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
    clock = clock or Clock()
    chains = [chain(processes, processes[pid]) for pid in behind]
    found = Found()
    _ask_docker(docker.Question(wanted, _ids(chains, "docker")), chains, clock, may_ask, found)
    pids = frozenset(one.pid for line in chains for one in line)
    if unreserved or any(_leads_to_podman(one) for line in chains for one in line):
        question = docker.Question(wanted, _ids(chains, "podman"), pids)
        _ask_podman(question, chains, unreserved, clock, may_ask, found)
    found.blind += _unknown(chains, found)
    # One container may be told of twice, by engines or accounts that share their directories. A claim replaces nothing.
    told: t.Dict[str, Container] = {}
    for one in sorted(found.containers, key=_is_claimed):
        joined = _claim(one, chains) if _is_claimed(one) else _own(one)
        if joined is not None:
            told.setdefault(one.id, joined)
    unasked = [one for one in _unasked(chains, found) if one.id not in told] if found.unasked else []
    everything = sorted([*told.values(), *unasked], key=lambda one: (one.engine, one.name, one.id, one.inside))
    return tuple(everything), tuple(found.blind)


def _is_claimed(container: Container) -> bool:
    """Whether another account's engine has told of it."""
    return container.user is not None and container.user not in evidence.accounts()


def _own(container: Container) -> Container:
    """A container of an engine of ours; its processes have the host's network only if its first one really has it."""
    if container.host_network and container.pid and not namespaces.same(container.pid, "net"):
        return container._replace(host_network=False)
    return container


def _claim(container: Container, chains: t.Sequence[t.Sequence[Process]]) -> t.Optional[Container]:
    """A container of another account's engine, with the holders that it counts for; None when it counts for none."""
    user = container.user
    inside, relays = [], False
    for line in chains:
        holder = line[0]
        if user is None or not namespaces.belongs_to(holder, user):
            continue
        first = next((one for one in line if one.pid == container.pid and one.pid > 1), None)
        descends = first is not None and namespaces.belongs_to(first, user) and namespaces.same(first.pid, "net")
        if descends or (holder.container is not None and holder.container.id == container.id):
            inside.append(holder.pid)
        relays = relays or holder.name in docker_engines.RELAYS or holder.name in PODMAN_HELPERS
    if not inside and not relays:
        return None
    pid = container.pid if user is not None and _is_of(container.pid, user) else 0
    return container._replace(claimed=True, inside=tuple(sorted(inside)), orchestrator="", pid=pid)


def _is_of(pid: int, user: int) -> bool:
    """Whether a process is an account's: of another one, also of this very task, its engine tells nothing."""
    one = processes.describe([pid], commands=False).get(pid) if pid > 1 else None
    return one is not None and namespaces.belongs_to(one, user)


def _unasked(chains: t.Sequence[t.Sequence[Process]], found: Found) -> t.List[Container]:
    """What holders of other accounts are in or stand for, where a run that changes things would ask these accounts' engines."""
    known: t.Dict[t.Tuple[str, t.Any], Container] = {}
    for line in chains:
        holder = line[0]
        one = _unasked_behind(line, found)
        if one is not None and one.user is not None and namespaces.belongs_to(holder, one.user):
            # Without an id each of them may be another one.
            key = (one.engine, one.key if one.id else holder.pid)
            before = known[key].inside if key in known else ()
            known[key] = one._replace(inside=tuple(sorted({*before, holder.pid})))
    return list(known.values())


def _unasked_behind(line: t.Sequence[Process], found: Found) -> t.Optional[Container]:
    """The container of a holder by its control group, or by the helpers of an engine that it is or descends from."""
    inside = next((one.container for one in line if one.container), None)
    if inside is not None:
        # A name that is not this account's word is no container of its engine.
        theirs = inside.user in found.unasked.get(inside.engine, ()) and not inside.unsure
        return Container(inside.engine, inside.id, user=inside.user, claimed=True, unasked=True) if theirs else None
    for engine, helpers in _HELPERS:
        accounts = found.unasked.get(engine, ())
        uid = next((one.account for one in line if one.name in helpers and one.account in accounts), None)
        if uid is not None:
            return Container(engine, "", user=uid, claimed=True, unasked=True)
    return None


def _leads_to_podman(process: Process) -> bool:
    container = process.container
    return process.name in PODMAN_HELPERS or (container is not None and container.engine == "podman")


def _ids(chains: t.Sequence[t.Sequence[Process]], engine: str) -> t.FrozenSet[str]:
    """Ids of the containers that the holders are in, by their cgroups or that of what watches over them."""
    nearest = [next((one.container for one in line if one.container), None) for line in chains]
    return frozenset(container.id for container in nearest if container and container.engine == engine)


def _ask_docker(
    question: docker.Question,
    chains: t.Sequence[t.Sequence[Process]],
    clock: Clock,
    may_ask: bool,
    found: Found,
) -> None:
    users = {one.account for line in chains for one in line if one.account}
    if any(one.name == "rootlesskit" and one.account == 0 for line in chains for one in line):
        users.add(0)
    known, blind = docker_engines.running({uid for uid in users if uid is not None}, may_ask, clock)
    found.add_blind("docker", blind)

    def ask(engine: docker_engines.Engine, seconds: float) -> None:
        docker.ask(engine, question, time.monotonic() + clock.left(seconds), found.containers, found.blind)

    engines = [engine for engine in known if not engine.claimed]
    threads = [threading.Thread(target=ask, args=(engine, BOUND), daemon=True) for engine in engines[1:]]
    for thread in threads:
        thread.start()
    for engine in engines[:1]:
        ask(engine, BOUND)
    for thread in threads:
        thread.join()
    others = [engine for engine in known if engine.claimed]
    for number, engine in enumerate(others):
        ask(engine, min(BOUND, clock.left() / (len(others) - number + 1)))


def _ask_podman(
    question: docker.Question,
    chains: t.Sequence[t.Sequence[Process]],
    unreserved: bool,
    clock: Clock,
    may_ask: bool,
    found: Found,
) -> None:
    # Loaded here: most hosts that have a container have it from Docker.
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import podman

    accounts, blind = podman.accounts(chains, unreserved, may_ask)
    found.add_blind("podman", blind)
    # Our own first, and no account takes the time of those behind it.
    accounts.sort(key=lambda account: account.claimed)
    for number, account in enumerate(accounts):
        seconds = min(BOUND, clock.left() / (len(accounts) - number + 1)) if account.claimed else clock.left(BOUND)
        podman.ask(account, question, time.monotonic() + seconds, found.containers, found.blind)


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
