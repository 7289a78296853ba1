# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that a holder's own manager carries out. Private to harbormaster.ports. Pure.

Each builder completes the step that `steps` has begun: what the manager has to be asked for, how long that may take,
what stops besides, and what a reboot brings back.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import (
    at_boot,
    by_manager,
    commands,
    resolving,
    units,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import (
    KEPT,
    RESOLV_CONF,
    RESOLVER_LASTING,
    RESOLVER_RUNTIME,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Container,
    Holder,
    Policy,
    Snapshot,
    Step,
    Target,
    Unit,
    UnitFacts,
    UnitTarget,
    Wish,
)

# What an engine needs besides the container's own stop timeout, and that timeout where the engine has not said it.
ENGINE_MARGIN = 15.0
ENGINE_TIMEOUT = 10.0
# A restart of systemd-resolved, or a supervisor's stop, with its own escalation.
RESOLVER_GRACE = 30.0
SUPERVISOR_GRACE = 60.0

Builder = t.Callable[[Snapshot, Policy, Wish, Holder, Step], Step]


def ending(snapshot: Snapshot, step: Step) -> t.Set[int]:
    """The pids that end with a step, as far as they are known."""
    # A relay may serve other containers as well: it does not end with one of them.
    pids = set() if step.actuator == "container" else {target.pid for target in step.roots + step.members}
    if step.container is not None:
        inside = step.container
        pids.update(
            pid
            for pid, process in snapshot.processes.items()
            if (process.container is not None and process.container.key == inside.key and not process.container.unsure)
            or (inside.pid > 1 and inside.pid in (pid, *process.ancestors))
        )
    if step.supervised is not None:
        pids.update(step.supervised.stops)
    if not step.settings:
        for facts in _stopped(snapshot, step):
            pids.update(facts.pids)
    return pids


def covered(snapshot: Snapshot, steps: t.Sequence[Step]) -> t.List[t.Tuple[t.Tuple[t.Any, ...], ...]]:
    """For each step the holders of the others that end with it, by their keys."""
    if len(steps) < 2:
        return [()] * len(steps)
    # What has to end for a step to be covered, and the steps by one thing of that: an account can have thousands of them.
    needed: t.List[t.Tuple[t.Set[int], t.Set[Unit]]] = []
    of: t.Dict[t.Any, t.List[int]] = {}
    for number, step in enumerate(steps):
        pids = {target.pid for target in step.roots + step.members}
        pids = pids or {pid for inode in step.inodes for pid in snapshot.owners.get(inode, ())} - {1}
        chosen = {target.unit for target in step.units}
        needed.append((pids, chosen))
        for thing in (*list(pids)[:1], *list(chosen)[:1]):
            of.setdefault(thing, []).append(number)
    answer = []
    for number, step in enumerate(steps):
        ends = ending(snapshot, step)
        stopped = {facts.unit for facts in _stopped(snapshot, step)} if not step.settings else set()
        near = {other for thing in (*ends, *stopped) for other in of.get(thing, ())}
        found: t.List[t.Tuple[t.Any, ...]] = []
        for other in sorted(near - {number}):
            pids, chosen = needed[other]
            if (pids and pids <= ends) or (chosen and chosen <= stopped):
                found += steps[other].holders
        answer.append(tuple(found))
    return answer


def published(snapshot: Snapshot, step: Step) -> t.Set[t.Tuple[int, str]]:
    """The ports that a step frees by what it stops, whoever has their sockets: (port, protocol)."""
    endpoints = list(step.container.published) if step.container is not None else []
    if not step.settings:
        endpoints += [endpoint for facts in _stopped(snapshot, step) for endpoint in facts.listens]
    return {(endpoint.port, endpoint.protocol) for endpoint in endpoints}


def _stopped(snapshot: Snapshot, step: Step) -> t.Tuple[UnitFacts, ...]:
    """The units that end with a step: those that it stops, and what depends on them."""
    chosen = tuple(snapshot.units[target.unit] for target in step.units if target.unit in snapshot.units)
    return chosen + units.dependants(snapshot, chosen)


def _by_service(snapshot: Snapshot, policy: Policy, wish: Wish, holder: Holder, step: Step) -> Step:
    del wish
    chosen = units.group(snapshot, holder.unit) if holder.unit is not None else ()
    along = units.dependants(snapshot, chosen)
    disable = at_boot.disabled(snapshot, chosen) if policy.persist else ()
    mask = at_boot.masked(snapshot, chosen) if policy.persist else ()
    return step._replace(
        actuator="systemd",
        action="stop_unit",
        container=holder.container,
        units=tuple(UnitTarget(facts.unit, facts.main_pid, facts.invocation) for facts in chosen),
        also_stops=tuple(facts.unit.name for facts in chosen[1:] + along),
        dependants=tuple(facts.unit.name for facts in along),
        returns_at_boot=not policy.persist and at_boot.returns(snapshot, chosen),
        disable=tuple(facts.unit.name for facts in disable),
        mask=tuple(facts.unit.name for facts in mask),
        undo=_enable_again(disable, mask),
        grace=units.bound(chosen + along) if policy.grace_period is None else policy.grace_period,
        survivors=_left_alive(chosen, step.roots + step.members),
    )


def _left_alive(chosen: t.Sequence[UnitFacts], holding: t.Sequence[Target]) -> t.Tuple[Target, ...]:
    """The holder's processes that may outlive the stop of its unit (systemd.kill(5)).

    What systemd does not kill itself, the unit's main process or its ExecStop= may end all the same, as most do: nobody
    can know that before. So these are looked at when the unit has stopped.
    """
    if not chosen:
        return ()
    facts = chosen[0]
    if facts.kill_mode == "none" or not facts.kills:
        return tuple(holding)
    if facts.kill_mode == "process":
        return tuple(target for target in holding if target.pid not in facts.leading)
    return ()


def _enable_again(disabled: t.Sequence[UnitFacts], masked: t.Sequence[UnitFacts]) -> str:
    """The commands that take back what keeps these from starting at boot."""
    groups = (
        ("unmask", [facts.unit.name for facts in masked]),
        # Disabled, a unit from elsewhere is not known any more.
        ("link", [facts.linked for facts in disabled if facts.linked]),
        ("enable", [facts.unit.name for facts in disabled if facts.file_state != "linked"]),
    )
    user = next((facts.unit.user for facts in (*disabled, *masked)), None)
    return " && ".join(commands.systemctl(user, verb, *names) for verb, names in groups if names)


def _by_resolver(snapshot: Snapshot, policy: Policy, wish: Wish, holder: Holder, step: Step) -> Step:
    facts = snapshot.units.get(holder.unit) if holder.unit is not None else None
    relink = snapshot.resolver is not None and resolving.relinks(snapshot.resolver, holder.sockets)
    return step._replace(
        actuator="resolver",
        action="configure_resolver",
        units=(UnitTarget(facts.unit, facts.main_pid, facts.invocation),) if facts is not None else (),
        settings=resolving.settings(holder.sockets, everywhere=wish.address is None),
        relink=relink,
        returns_at_boot=not policy.persist,
        undo=stub_again(policy, relink),
        grace=RESOLVER_GRACE if policy.grace_period is None else policy.grace_period,
    )


def stub_again(policy: Policy, relink: bool) -> str:
    """The commands that take back what was set for systemd-resolved."""
    drop_in = RESOLVER_LASTING if policy.persist else RESOLVER_RUNTIME
    return ("mv %s%s %s && " % (RESOLV_CONF, KEPT, RESOLV_CONF) if relink else "") + (
        "rm %s && systemctl restart systemd-resolved" % drop_in
    )


def _by_container(snapshot: Snapshot, policy: Policy, wish: Wish, holder: Holder, step: Step) -> Step:
    del snapshot, wish
    container = holder.container
    if container is None:
        return step
    if container.unasked:
        # Which one it is, and what stops and comes back with it, is known to the run that asks its engine.
        return step._replace(actuator="container", action="stop_container", container=container, persist=False)
    own = ENGINE_TIMEOUT if container.stop_timeout is None else container.stop_timeout
    # Who says how long this may take must not make it last for ever.
    own = min(own, units.NO_TIMEOUT if container.claimed else units.LONGEST)
    returns = _returns(container)
    lasting = policy.persist and returns is not False
    return step._replace(
        actuator="container",
        action="stop_container",
        container=container,
        also_stops=container.members,
        dependants=container.members,
        returns_at_boot=False if lasting else returns,
        persist=lasting,
        undo="%s update --restart=%s %s"
        % (_client(container), _restart(container), container.name or container.id[:12])
        if lasting
        else "",
        grace=own + ENGINE_MARGIN if policy.grace_period is None else policy.grace_period,
    )


def _client(container: Container) -> str:
    """The command that asks this very engine: there may be several on one host."""
    if container.command:
        return " ".join(container.command)
    if container.endpoint in ("", "/run/docker.sock", "/var/run/docker.sock"):
        return container.engine
    return "%s -H unix://%s" % (container.engine, container.endpoint)


def _restart(container: Container) -> str:
    """Its restart policy, as an engine's command takes it."""
    return "%s:%d" % (container.restart, container.retries) if container.retries > 0 else container.restart


def _returns(container: Container) -> t.Optional[bool]:
    """Whether a container that was stopped by request comes back when its engine, or the host, starts again."""
    if container.engine == "podman":
        # podman has no daemon: that depends on podman-restart.service.
        return None if container.restart in ("always", "unless-stopped") else False
    if container.restart == "on-failure":
        # When it starts, dockerd takes one that was stopped and has ended with another status than 0 (143 after TERM, 137
        # after KILL) for one that has failed.
        return None
    return container.restart == "always"


def _by_supervisor(snapshot: Snapshot, policy: Policy, wish: Wish, holder: Holder, step: Step) -> Step:
    del snapshot, wish
    return step._replace(
        actuator="supervisor",
        action="stop_program",
        supervised=holder.supervised,
        returns_at_boot=holder.supervised.returns_at_boot if holder.supervised is not None else None,
        grace=SUPERVISOR_GRACE if policy.grace_period is None else policy.grace_period,
    )


BUILDERS: t.Mapping[str, Builder] = {
    by_manager.BY_SERVICE: _by_service,
    by_manager.BY_RESOLVER: _by_resolver,
    by_manager.BY_CONTAINER: _by_container,
    by_manager.BY_SUPERVISOR: _by_supervisor,
}
