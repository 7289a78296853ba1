# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds the rows of a wish: from sockets and owners to Holders. Private to harbormaster.ports. Pure.

Processes that share a socket because one forked the others are one holder, named after the root-most of them. A
process that got the socket in another way (passed on, or its parent closed its own copy) is a holder of its own.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import matching, reasons, tables
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.sockets import Rows
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    CONNECTION,
    CONTAINER,
    KERNEL,
    LEFTOVER,
    PROCESS,
    SERVICE,
    SYSTEMD_SOCKET,
    UNKNOWN,
    Holder,
    Process,
    Refusal,
    Snapshot,
    Socket,
    Wish,
)


def find(snapshot: Snapshot, wish: Wish, rows: Rows, bindable: t.Optional[bool]) -> t.Tuple[Holder, ...]:
    """Everybody and everything that keeps the wish's port, without a word yet on what may be done about it."""
    holders = _owned(snapshot, rows.holding, connection=False)
    holders += _unowned(snapshot, wish, [row for row in rows.holding if not _visible(snapshot, row)])
    holders += _owned(snapshot, rows.outgoing, connection=True)
    nameless = tuple(row for row in rows.outgoing if not _visible(snapshot, row))
    if nameless:
        holders.append(Holder(CONNECTION, "", sockets=nameless))
    if rows.leftovers:
        holders.append(Holder(LEFTOVER, "", sockets=rows.leftovers))
    if not holders and bindable is False:
        holders.append(Holder(UNKNOWN, ""))
    return tuple(holders)


def managed(process: Process) -> str:
    """The kind of holder that a process makes: the process itself, or what manages it.

    Only services manage: a scope was filled by somebody else, and a launcher's unit (cron, sshd, a CI agent) is
    never the manager of what it started.
    """
    if process.pid == 1:
        return SYSTEMD_SOCKET if process.name == "systemd" else PROCESS
    if process.container or matching.program(process, tables.ENGINE_RELAYS):
        return CONTAINER
    unit = process.unit
    if unit and unit.name.endswith(".service") and not matching.glob_any(unit.name, tables.LAUNCHERS):
        return SERVICE
    return PROCESS


def supervisor(snapshot: Snapshot, process: Process) -> t.Optional[t.Tuple[Process, str]]:
    """The supervisor that is the parent of a process, and the command that it takes."""
    parent = snapshot.processes.get(process.parent_pid)
    if parent is None or parent.pid == 1:
        return None
    for name, command in tables.SUPERVISORS:
        if matching.program(parent, (name,)):
            return parent, command
    return None


def supervisor_name(process: Process) -> t.Optional[str]:
    """What makes a process look like one that starts others again; None when nothing does."""
    if matching.program(process, [name for name, _command in tables.SUPERVISORS]):
        return "a supervisor"
    return "a shell or a watcher" if matching.program(process, tables.RESPAWNERS) else None


def describe(snapshot: Snapshot, holder: Holder) -> str:
    """A holder for people: ``nginx (pid 812, user root, nginx.service)``."""
    process = main_process(snapshot, holder)
    if holder.kind == LEFTOVER:
        return "leftovers of old connections"
    if process is None:
        if holder.kind == KERNEL:
            return "the kernel (%s)" % holder.name
        return "a process that can't be seen"
    facts = ["pid %d" % process.pid]
    if process.user is not None:
        facts.append("user %s" % process.user)
    if process.container:
        facts.append(
            "%s container %s" % (process.container.engine, process.container.name or process.container.id[:12])
        )
    elif process.unit:
        facts.append(process.unit.name)
    return "%s (%s)" % (process.name or "a process without a name", ", ".join(facts))


def hidden(snapshot: Snapshot, wish: Wish, holder: Holder) -> Refusal:
    """Why nothing can be said about a holder that is not seen, and what would help."""
    if not holder.sockets:
        what = "%s can't be bound although no socket is listed, and so it" % wish.label
    else:
        uids = sorted({row.uid for row in holder.sockets if row.uid is not None})
        what = "the socket on %s%s" % (wish.label, " of uid %s" % ", ".join(map(str, uids)) if uids else "")
    seen = "; ".join(blind.text for blind in snapshot.blind)
    advice = "; ".join(dict.fromkeys(blind.advice for blind in snapshot.blind if blind.advice))
    return reasons.hidden_owner(
        what,
        " (%s)" % seen if seen else "",
        advice or "look for it in other containers and namespaces, or as a kernel service; ss -tulpne shows the row",
    )


def main_process(snapshot: Snapshot, holder: Holder) -> t.Optional[Process]:
    """The root-most process of a holder."""
    return snapshot.processes.get(holder.pids[0]) if holder.pids else None


def _visible(snapshot: Snapshot, row: Socket) -> bool:
    return any(pid in snapshot.processes for pid in snapshot.owners.get(row.inode, ())) if row.inode else False


def _owned(snapshot: Snapshot, rows: t.Sequence[Socket], connection: bool) -> t.List[Holder]:
    """One holder for each root-most sharer of these rows."""
    shares: t.Dict[int, t.List[Socket]] = {}
    for row in rows:
        for pid in snapshot.owners.get(row.inode, ()):
            if pid in snapshot.processes:
                shares.setdefault(pid, []).append(row)
    families: t.Dict[int, t.List[int]] = {}
    for pid in sorted(shares):
        families.setdefault(_root(snapshot, pid, shares), []).append(pid)
    holders = []
    for root in sorted(families):
        pids = (root,) + tuple(pid for pid in families[root] if pid != root)
        own = tuple(row for row in rows if any(row in shares[pid] for pid in pids))
        process = snapshot.processes[root]
        kind = CONNECTION if connection else managed(process)
        holders.append(Holder(kind, _name(kind, process), pids, own))
    return holders


def _root(snapshot: Snapshot, pid: int, sharers: t.Container[int]) -> int:
    """The farthest ancestor that shares too; PID 1 does not count, it shares every socket that it activated."""
    root = pid
    for ancestor in snapshot.processes[pid].ancestors:
        if ancestor != 1 and ancestor in sharers:
            root = ancestor
    return root


def _unowned(snapshot: Snapshot, wish: Wish, rows: t.Sequence[Socket]) -> t.List[Holder]:
    if not rows:
        return []
    evidence = snapshot.kernel.get((wish.protocol, wish.port))
    if evidence:
        return [Holder(KERNEL, evidence, sockets=tuple(rows))]
    return [Holder(UNKNOWN, "", sockets=tuple(rows))]


def _name(kind: str, process: Process) -> str:
    if kind == SERVICE and process.unit:
        return process.unit.name
    if kind == CONTAINER and process.container:
        return process.container.name or process.container.id[:12]
    return process.name
