# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What manages the processes that were found. Private to harbormaster.ports: not an interface for other collections.

Engines first, as a unit may run a container; then the service managers, once each for all units of concern; then the
supervisors, which are asked meanwhile. Each source is loaded and asked only where something points to it.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Blind,
    Container,
    Process,
    Snapshot,
    Unit,
    UnitFacts,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import engines
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import IDLE, Wanted

# key of a container -> what the main process of its unit has to be one of
Mains = t.Mapping[t.Tuple[str, t.Optional[int]], t.FrozenSet[int]]

# What a booted systemd leaves there (sd_booted(3)).
_BOOTED = "/run/systemd/system"
_RESOLVED = Unit("systemd-resolved.service")
_DNS = 53


def with_managers(snapshot: Snapshot, wanted: Wanted, stopping: bool, clock: Clock, may_ask: bool) -> Snapshot:
    """The snapshot, with the managers of its processes, and the containers that publish a wanted port without a socket.

    :param stopping: also what only matters to who wants to stop them.
    :param clock: of the look, which bounds all of them together.
    :param may_ask: programs of other accounts may be asked too, as these accounts.
    """
    holders = {pid for pids in snapshot.owners.values() for pid in pids}
    # Every holder has ancestors; which of them are supervisors is cheap to see, asking them is not.
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import supervisors

    supervised = supervisors.asked(snapshot.processes, holders, stopping, clock, may_ask)
    containers, blind = engines.containers(wanted, snapshot.processes, holders, clock, may_ask)
    if not holders and not containers and not snapshot.sockets:
        return snapshot._replace(blind=snapshot.blind + blind)
    units: t.Mapping[Unit, UnitFacts] = {}
    run: t.Tuple[Container, ...] = ()
    mains: Mains = {}
    if os.path.isdir(_BOOTED):
        run, mains = _of_clients(containers)
        units, unasked = _units(snapshot, (*containers, *run), clock, may_ask)
        blind += unasked
    if units and stopping:
        from ansible_collections.harbormaster.ports.plugins.module_utils._observe import boot

        units, above = boot.told(units, clock)
        snapshot = snapshot._replace(wanting=above)
    snapshot = snapshot._replace(
        containers=tuple(_with_unit(container, units) for container in containers),
        units=units,
        blind=snapshot.blind + blind,
        own_unit=_own_unit() if units else None,
    )
    if mains:
        snapshot = snapshot._replace(containers=_run_by_units(snapshot.containers, run, mains, units))
    # Any program may call itself like it; its service manager knows which one it is.
    resolved = units.get(_RESOLVED)
    if (resolved is not None and resolved.main_pid in holders) or (stopping and _serves_names(snapshot)):
        from ansible_collections.harbormaster.ports.plugins.module_utils._observe import resolver

        snapshot = snapshot._replace(resolver=resolver.resolver())
    found, unasked = supervised.answers()
    return snapshot._replace(supervised=found, blind=snapshot.blind + unasked)


def _of_clients(containers: t.Tuple[Container, ...]) -> t.Tuple[t.Tuple[Container, ...], Mains]:
    """The containers with the units that run them by the engine's own command, and the main processes that these must have."""
    if all(container.unit for container in containers):
        return containers, {}
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import clients

    return clients.with_units(containers, clients.running(containers))


def _run_by_units(
    containers: t.Tuple[Container, ...],
    run: t.Tuple[Container, ...],
    mains: Mains,
    units: t.Mapping[Unit, UnitFacts],
) -> t.Tuple[Container, ...]:
    """The containers; each with the unit of its client where the service manager says that this is the main process there.

    :param run: the same ones with those units.
    """
    named = {}
    for one in run:
        facts = units.get(Unit(one.unit, one.user))
        if one.key in mains and facts is not None and facts.main_pid in mains[one.key]:
            named[one.key] = one.unit
    return tuple(one._replace(unit=one.unit or named.get(one.key, "")) for one in containers)


def _serves_names(snapshot: Snapshot) -> bool:
    """Whether somebody may be stopped by whom this host's own names are resolved."""
    ports = {row.port for row in snapshot.sockets}
    return _DNS in ports or any(one.port == _DNS for container in snapshot.containers for one in container.published)


def _units(
    snapshot: Snapshot, containers: t.Sequence[Container], clock: Clock, may_ask: bool
) -> t.Tuple[t.Mapping[Unit, UnitFacts], t.Tuple[Blind, ...]]:
    """What the service managers say of the holders' units, and of their sockets where one of them holds a row."""
    wanted = {Unit(container.unit, container.user) for container in containers if container.unit}
    sockets_of: t.Set[t.Optional[int]] = set()
    for row in snapshot.sockets:
        pids = snapshot.owners.get(row.inode, ())
        if row.state in IDLE and not pids:
            # PID 1's descriptors are often closed to a look.
            sockets_of.add(None)
        for pid in pids:
            process = snapshot.processes.get(pid)
            if process is None:
                continue
            if _is_service_manager(process):
                sockets_of.add(None if pid == 1 else process.uid)
                if pid != 1 and process.uid is not None:
                    # Whether it is that user's manager, or only called so, the first process says.
                    wanted.add(Unit("user@%d.service" % process.uid))
            elif process.unit is not None and process.unit.name.endswith(".service"):
                wanted.add(process.unit)
    if not wanted and not sockets_of:
        return {}, ()
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import systemd

    return systemd.facts(wanted, sockets_of, snapshot.sockets, clock, may_ask)


def _with_unit(container: Container, units: t.Mapping[Unit, UnitFacts]) -> Container:
    """The container with its unit only where that unit really runs it: the label that names the unit may be the image's."""
    facts = units.get(Unit(container.unit, container.user)) if container.unit else None
    if facts is None or (container.monitor > 1 and container.monitor in (facts.main_pid, *facts.pids)):
        return container
    return container._replace(unit="")


def _is_service_manager(process: Process) -> bool:
    return process.name == "systemd" and (
        process.pid == 1 or (process.unit is not None and process.unit.name.startswith(("user@", "init.scope")))
    )


def _own_unit() -> t.Optional[Unit]:
    """The unit in which this process runs."""
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import processes

    own = processes.describe([os.getpid()], commands=False).get(os.getpid())
    return own.unit if own is not None else None
