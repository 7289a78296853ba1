# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a snapshot to the facts: the keys of the module's documentation. Private to harbormaster.ports. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._facts import dates, states
from ansible_collections.harbormaster.ports.plugins.module_utils._known import RELAYS
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    LISTEN,
    TCP,
    UNCONN,
    Container,
    Process,
    Snapshot,
    Socket,
)

Row = t.Dict[str, t.Any]

NONE, PROCESS, FULL = "none", "process", "full"

# Who holds ports for containers; the engine itself, too.
_RELAYS = frozenset((*RELAYS, "dockerd"))
# owner_status, beside the codes of what could not be seen.
KNOWN, NOT_ASKED, OWNERLESS, KERNEL, UNKNOWN = "known", "not_asked", "none", "kernel", "unknown"
# Of several reasons why processes are hidden, the first of these is the one that a row tells.
REASONS = ("hidepid", "not_root", "descriptors_refused", "pid_namespace", "owners_hidden", "sockets_refused")


class View(t.NamedTuple):
    """What the task wants to see of a snapshot.

    :param ss: words and rows as ss-based users have them: one row a sharer.
    :param connections: the keys that only say something of connections, too.
    :param tcp: TCP states to be shown, None for all.
    :param udp: UDP states likewise.
    :param details: ``none``, ``process`` or ``full``.
    :param date: format of ``stime``.
    :param interfaces: index -> name.
    """

    ss: bool = False
    connections: bool = False
    tcp: t.Optional[t.AbstractSet[str]] = frozenset((LISTEN,))
    udp: t.Optional[t.AbstractSet[str]] = frozenset((UNCONN,))
    details: str = PROCESS
    date: dates.Format = dates.parse("%c")
    interfaces: t.Mapping[int, str] = {}


def shown(snapshot: Snapshot, view: View) -> t.List[Socket]:
    """The sockets that the task wants to see, in an order that does not depend on the kernel's."""
    rows = []
    for row in snapshot.sockets:
        wanted = view.tcp if row.protocol == TCP else view.udp
        if wanted is None or row.state in wanted:
            rows.append(row)
    rows.sort(key=lambda row: (row.port, row.family, row.address, row.remote_address, row.remote_port, row.inode))
    return rows


def facts(snapshot: Snapshot, view: View) -> t.Dict[str, t.List[Row]]:
    """``tcp_listen`` and ``udp_listen``, always both."""
    found: t.Dict[str, t.List[Row]] = {"tcp_listen": [], "udp_listen": []}
    people = {pid: _owner(process, view) for pid, process in snapshot.processes.items()}
    why = next((code for code in REASONS if any(blind.code == code for blind in snapshot.blind)), UNKNOWN)
    before: t.Dict[str, t.Tuple[t.Any, ...]] = {}
    for socket in shown(snapshot, view):
        pids = root_first(snapshot, socket)
        status, name = KNOWN, None
        if not pids:
            status, name = _status(snapshot, socket, view, why)
        rows = found[socket.protocol + "_listen"]
        # Sockets of one SO_REUSEPORT group that differ in nothing are one row, as netstat-based users have it.
        looks = socket[:8] + socket[9:11] + (pids,)
        if not view.ss and before.get(socket.protocol) == looks:
            continue
        before[socket.protocol] = looks
        owners = [people[pid] for pid in pids]
        who: t.Sequence[t.Optional[Row]] = owners if view.ss else owners[:1]
        for number, owner in enumerate(who or [None]):
            rows.append(_row(socket, owner, owners, status, name, view))
            if owner is not None:
                rows[-1]["container"] = _container(_behind(snapshot, socket, pids[number]))
    return found


def _behind(snapshot: Snapshot, socket: Socket, pid: int) -> t.Optional[Container]:
    """The container that a process runs in, or for which it holds this very socket, as its engine knows it."""
    process = snapshot.processes[pid]
    own = process.container
    for container in snapshot.containers:
        if own is not None and container.key == own.key and not own.unsure:
            return container
        if (
            own is None
            and any(
                (one.protocol, one.port, one.address) == (socket.protocol, socket.port, socket.address)
                for one in container.published
            )
            and _is_relay_of(process, container)
        ):
            return container
    return own


def _is_relay_of(process: Process, container: Container) -> bool:
    """Whether a process may hold a port for a container: of its account, and root's own only by evidence.

    Another one may have the very address for itself, in another network namespace or while the engine does not hold it.
    """
    if container.user is not None:
        return process.account == container.user and not _RELAYS.isdisjoint((process.name, *process.proven))
    return not _RELAYS.isdisjoint(process.proven)


def _container(container: t.Optional[Container]) -> t.Optional[Row]:
    return (
        None if container is None else {"engine": container.engine, "id": container.id, "name": container.name or None}
    )


def root_first(snapshot: Snapshot, socket: Socket) -> t.Tuple[int, ...]:
    """Who shares a socket, the main owner first: the first one that has none of the others above it.

    PID 1 has every socket that it has opened for others: it is the main owner only where it is the only one.
    """
    pids = (
        tuple(pid for pid in snapshot.owners.get(socket.inode, ()) if pid in snapshot.processes) if socket.inode else ()
    )
    if len(pids) < 2:
        return pids
    sharers = set(pids) - {1}
    for pid in pids:
        if pid in sharers and sharers.isdisjoint(snapshot.processes[pid].ancestors):
            return (pid,) + tuple(other for other in pids if other != pid)
    return pids


def _status(snapshot: Snapshot, socket: Socket, view: View, why: str) -> t.Tuple[str, t.Optional[str]]:
    """Why a socket has no owner here, and the name of what in the kernel has it."""
    if view.details == NONE and not snapshot.owners:
        return NOT_ASKED, None
    if not socket.inode:
        return OWNERLESS, None
    kernel = snapshot.kernel.get((socket.protocol, socket.port))
    return (KERNEL, kernel) if kernel else (why, None)


def _row(
    socket: Socket, owner: t.Optional[Row], owners: t.List[Row], status: str, name: t.Optional[str], view: View
) -> Row:
    row: Row = {
        "address": socket.address,
        "port": socket.port,
        "protocol": socket.protocol,
        "pid": None,
        "name": name,
        "user": None,
        "stime": None,
        "started": None,
        "service": None,
        "container": None,
        "family": socket.family,
        "v6only": socket.v6only,
        "interface": view.interfaces.get(socket.interface),
        "owner_status": status,
        "owners": owners,
    }
    if view.details == FULL:
        row.update(exe=None, command=None)
    if owner is not None:
        row.update(owner)
    if view.connections:
        row.update(
            state=states.state(socket, view.ss),
            foreign_address=states.foreign_address(socket, view.ss),
            remote_address=socket.remote_address or None,
            remote_port=socket.remote_port or None,
        )
    return row


def _owner(process: Process, view: View) -> Row:
    """One entry of ``owners``; of the main owner these are keys of the row itself too."""
    owner: Row = {
        "pid": process.pid,
        "name": process.called,
        "user": process.user,
        "stime": None if process.started is None else view.date(process.started),
        "started": None if process.started is None else dates.iso(process.started),
        "service": process.unit.name if process.unit else None,
        "container": _container(process.container),
    }
    if view.details == FULL:
        owner.update(exe=process.exe, command=process.command)
    return owner


def message(snapshot: Snapshot, found: t.Mapping[str, t.Sequence[Row]]) -> str:
    """One line for people: how much was found, and what would show the owners that are missing."""
    rows = [row for each in found.values() for row in each]
    parts = ["%d TCP and %d UDP sockets" % (len(found["tcp_listen"]), len(found["udp_listen"]))]
    hidden = sum(row["pid"] is None and row["owner_status"] not in (NOT_ASKED, OWNERLESS, KERNEL) for row in rows)
    blinds = [blind for blind in snapshot.blind if hidden or blind.code not in REASONS]
    if hidden:
        parts.append("the owners of %d are not known" % hidden)
    parts += dict.fromkeys(blind.text for blind in blinds)
    parts += dict.fromkeys(blind.advice for blind in blinds if blind.advice)
    return "; ".join(parts)
