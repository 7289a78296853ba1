# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What manages the processes behind a socket. Private to harbormaster.ports. Pure.

The order of managers: a unit that runs the container, the container, the supervisor, the service, and without any of
these the process itself. A supervisor comes before the service, as it starts again what is stopped past it. A unit
manages a holder only when its main process shares the socket or is an ancestor of the holder, by its service manager's
word, and when it is no launcher (cron, sshd, a supervisor, a CI agent): what these started is not theirs to stop. Nor is
what merely lies in the control group of a unit that has done its work or is gone.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import matching, tables
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.sockets import collides
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    CONTAINER,
    PROCESS,
    RESOLVER,
    SERVICE,
    SYSTEMD_SOCKET,
    Container,
    Endpoint,
    Holder,
    Process,
    Snapshot,
    Socket,
    Supervised,
    Unit,
    UnitFacts,
    Wish,
)

# The only one that takes its port back and gives it up by a setting.
RESOLVED = Unit("systemd-resolved.service")
# SubState of a unit that runs, or reads its configuration again.
_RUNNING = ("running", "reload")


class Manager(t.NamedTuple):
    """What stops a holder: the kind of it, and the one."""

    kind: str
    unit: t.Optional[Unit] = None
    container: t.Optional[Container] = None
    supervised: t.Optional[Supervised] = None


def of(snapshot: Snapshot, pids: t.Sequence[int]) -> Manager:
    """The manager of processes that share a socket.

    :param pids: the root-most one first.
    """
    process = snapshot.processes[pids[0]]
    if process.pid == 1 and process.name != "systemd":
        return Manager(PROCESS)
    if is_service_manager(process):
        return Manager(SYSTEMD_SOCKET)
    container = _container_of(snapshot, process)
    if container is not None:
        unit = _running_unit(snapshot, container)
        return Manager(SERVICE if unit else CONTAINER, unit, container)
    if matching.program(process, tables.ENGINE_RELAYS):
        return Manager(CONTAINER)
    unit = _managing_unit(snapshot, process, pids)
    if snapshot.resolver is not None and is_resolver(snapshot, pids):
        return Manager(RESOLVER, unit)
    supervised = next((snapshot.supervised[pid] for pid in pids if pid in snapshot.supervised), None)
    # A supervisor inside of a unit, or one that watches it from outside (monit), would start it again.
    return Manager(PROCESS if unit is None else SERVICE, unit, supervised=supervised)


def is_service_manager(process: Process) -> bool:
    """systemd itself: PID 1, or the manager of a user's units."""
    if process.name != "systemd":
        return False
    unit = process.unit
    return process.pid == 1 or (unit is not None and matching.glob_any(unit.name, ("user@*.service", "init.scope")))


def is_resolver(snapshot: Snapshot, pids: t.Iterable[int]) -> bool:
    """Whether one of these is systemd-resolved, by the word of its service manager: any program may call itself so."""
    facts = snapshot.units.get(RESOLVED)
    return facts is not None and facts.main_pid > 1 and facts.main_pid in pids


def is_unasked(holder: Holder) -> bool:
    """Whether it is behind an engine of another account, which only a run that changes things asks."""
    return holder.container is not None and holder.container.unasked


def is_relay(process: Process) -> bool:
    """A process that holds ports for containers."""
    return matching.program(process, (*tables.ENGINE_RELAYS, "dockerd")) is not None


def publishing(snapshot: Snapshot, row: Socket, relay: Process) -> t.Optional[Container]:
    """The container that a relay's socket stands for, when the relay is its engine's own."""
    found = [
        c
        for c in snapshot.containers
        if _is_relay_of(relay, c) and any(_same(endpoint, row) for endpoint in c.published)
    ]
    # One that publishes this very address comes before one whose IPv4 port the socket may have beside it.
    exact = [c for c in found if any(one.address == row.address and _same(one, row) for one in c.published)]
    return min(exact or found, default=None, key=lambda container: (container.name, container.id))


def _is_relay_of(relay: Process, container: Container) -> bool:
    """Whether a relay may be one of the container's engine: of its account, and root's own only by evidence."""
    if container.claimed:
        return relay.account == container.user
    return container.user is not None or matching.proven(relay, (*tables.ENGINE_RELAYS, "dockerd")) is not None


def published(snapshot: Snapshot, wish: Wish) -> t.List[Container]:
    """The containers that publish the wished port, whether a socket shows it or not."""
    return sorted(
        (
            c
            for c in snapshot.containers
            # What another account says of a port without a socket of its own is nothing that it can know better.
            if not c.claimed and any(_meets(endpoint, wish) for endpoint in c.published)
        ),
        key=lambda container: (container.name, container.id),
    )


def publisher(snapshot: Snapshot, container: Container) -> Manager:
    """What stops a container that is known by what it publishes."""
    unit = _running_unit(snapshot, container)
    return Manager(SERVICE if unit else CONTAINER, unit, container)


def socket_unit(snapshot: Snapshot, row: Socket, user: t.Optional[int]) -> t.Optional[UnitFacts]:
    """The running .socket unit that listens where this row is.

    :param user: uid whose service manager has it, None for the system's.
    """
    for unit in sorted(snapshot.units, key=lambda unit: unit.name):
        facts = snapshot.units[unit]
        if unit.user == user and facts.up and any(_listens(endpoint, row) for endpoint in facts.listens):
            return facts
    return None


def keeper(snapshot: Snapshot, user: t.Optional[int]) -> t.Optional[UnitFacts]:
    """The only running service for which this service manager keeps descriptors; None when there are several or none.

    systemd's own daemons don't count: what journald, logind and udevd store are connections and devices, never ports.
    """
    # Loaded here: a report seldom gets as far.
    from ansible_collections.harbormaster.ports.plugins.module_utils._decide.protection import PROTECTED_UNITS

    found = [
        facts
        for facts in snapshot.units.values()
        if facts.unit.user == user
        and facts.up
        and facts.stored
        and not matching.glob_any(facts.unit.name, PROTECTED_UNITS)
    ]
    return found[0] if len(found) == 1 else None


def unit_names(snapshot: Snapshot, unit: Unit) -> t.Set[str]:
    """All that a pattern may call a unit: each of its names, with and without suffix and instance."""
    facts = snapshot.units.get(unit)
    known = (unit.name,) if facts is None else facts.known_as
    return {name for one in known for name in matching.unit_names(one)}


def is_launcher(snapshot: Snapshot, unit: Unit) -> bool:
    """Whether a unit starts things for others: by one of its names, by what it was told to start, or by its main process.

    What that process calls itself does not count, else each service could keep its unit from being stopped.
    """
    facts = snapshot.units.get(unit)
    known = (unit.name,) if facts is None else facts.known_as
    if any(matching.glob_any(name, tables.LAUNCHERS) for name in known):
        return True
    if facts is None:
        return False
    programs = tables.LAUNCHER_PROGRAMS + tuple(name for name, _command in tables.SUPERVISORS)
    if facts.program and matching.glob_any(facts.program, programs):
        return True
    return matching.proven(snapshot.processes.get(facts.main_pid), programs) is not None


def _managing_unit(snapshot: Snapshot, process: Process, pids: t.Sequence[int]) -> t.Optional[Unit]:
    unit = process.unit
    if unit is None or not unit.name.endswith(".service"):
        return None
    facts = snapshot.units.get(unit)
    if facts is None:
        # Its manager could not be asked: then the name alone has to do, and nothing is stopped.
        return None if is_launcher(snapshot, unit) else unit
    if facts.leading.intersection(pids):
        # A launcher's own port (supervisord's, an agent's) is the unit's like any other.
        return unit
    if is_launcher(snapshot, unit) or not facts.up:
        return None
    if facts.leading:
        return unit if facts.leading.intersection(process.ancestors) else None
    return unit if _without_a_main_process(facts, process) else None


def _without_a_main_process(facts: UnitFacts, process: Process) -> bool:
    """Whether a unit that has no main process has this one all the same.

    Most have none because their work is done (``exited``): what they have left behind is nobody's. The others are those
    of which systemd can't tell the main process (Type=forking without PIDFile=, a SysV script): these run because there
    is something in their control group. And a unit that waits for its next start takes its sockets back from systemd.
    """
    if facts.sub in _RUNNING:
        return process.pid in facts.pids and not facts.remains
    return facts.active == "activating" and bool(facts.stored or facts.triggered_by)


def _container_of(snapshot: Snapshot, process: Process) -> t.Optional[Container]:
    """The container in which a process runs, as its engine knows it where that was asked."""
    known = process.container
    lineage = {process.pid, *process.ancestors}
    unasked = next((c for c in snapshot.containers if c.unasked and process.pid in c.inside), None)
    if known is None:
        mine = (c for c in snapshot.containers if not c.claimed or process.pid in c.inside)
        return next((c for c in mine if c.host_network and c.pid > 1 and c.pid in lineage), unasked)
    if matching.program(process, ("conmon",)):
        # podman's monitor has the control group of its container, and may hold the port of another one of its pod.
        return unasked
    named = [c for c in snapshot.containers if c.id == known.id and (not c.claimed or process.pid in c.inside)]
    # A control group's name in the hands of an account means that one's containers alone, and a name that is nobody's
    # word means none: then the container is known by its first process.
    told = next((c for c in named if (c.user == known.user and not known.unsure) or c.pid in lineage - {0, 1}), None)
    if told is None and named and known.user is not None:
        # The account has taken the name of somebody else's container.
        return None
    told = known if told is None else told
    return told._replace(orchestrator="kubernetes") if known.engine == "kubernetes" else told


def _running_unit(snapshot: Snapshot, container: Container) -> t.Optional[Unit]:
    unit = Unit(container.unit, container.user) if container.unit else None
    facts = snapshot.units.get(unit) if unit else None
    if unit is None or facts is None or not facts.up or is_launcher(snapshot, unit):
        return None
    return unit


def _same(endpoint: Endpoint, row: Socket) -> bool:
    """Whether a relay's row is the socket of this published port. A relay may serve both families by one socket."""
    if (endpoint.protocol, endpoint.port) != (row.protocol, row.port):
        return False
    return endpoint.address == row.address or (row.address == "::" and endpoint.address == "0.0.0.0" and not row.v6only)


def _meets(endpoint: Endpoint, wish: Wish) -> bool:
    if (endpoint.protocol, endpoint.port) != (wish.protocol, wish.port):
        return False
    family = "ipv6" if ":" in endpoint.address else "ipv4"
    return collides(Socket(endpoint.protocol, family, endpoint.address, endpoint.port, "", v6only=True), wish.address)


def _listens(endpoint: Endpoint, row: Socket) -> bool:
    if (endpoint.protocol, endpoint.port) != (row.protocol, row.port):
        return False
    if endpoint.interface and row.interface and endpoint.interface != row.interface:
        return False
    return endpoint.address == row.address
