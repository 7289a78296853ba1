# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has the sockets that were found. Private to harbormaster.ports: not an interface for other collections.

Owners come from a pass over all descriptors; everything else (processes, units, what the kernel holds itself, what could
not be seen) is asked about these alone. Loaded only when there is a socket to ask about.
"""

from __future__ import annotations

import errno
import os
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import LISTEN, Blind, Process, Snapshot, Socket
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    descriptors,
    engines,
    managers,
    processes,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    ports as port_sets,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import IDLE, Table, Wanted, by_protocol

if t.TYPE_CHECKING:
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe.open_tables import Tables

Owners = t.Dict[int, t.Tuple[int, ...]]

# An exiting process has dropped its descriptors a moment before its sockets are gone, and a descriptor that is on its
# way to another process belongs to nobody: after this pause both are settled.
_SECOND_LOOK = 0.05
# PROC_PID_INIT_INO of linux/proc_ns.h: the inode of the namespace that all others are below.
_FIRST_PID_NAMESPACE = 0xEFFFFFFC


def with_owners(
    snapshot: Snapshot, table: Table, wanted: Wanted, other_ports: bool, clock: Clock, may_ask: bool
) -> Snapshot:
    """A snapshot that has rows, with everything about who has them.

    :param other_ports: see `snapshot.observe`, also for the others.
    """
    sockets, owners, known, scan = _look(list(snapshot.sockets), clock)
    unseen = _unseen(sockets, owners)
    if unseen:
        # with the kernel's sockets this pause is spent for nothing; they are rare, and look just like an exiting owner
        time.sleep(_SECOND_LOOK)
        sockets, owners, known, scan = _look(table.rows(wanted), clock, owners)
        unseen = _unseen(sockets, owners)
    kernel = _kernel_owners([row for row in sockets if row.state in IDLE and row.inode not in owners])
    suspects, unread = _suspects([row for row in unseen if (row.protocol, row.port) not in kernel], known, clock)
    snapshot = snapshot._replace(
        sockets=tuple(sockets),
        owners=owners,
        processes=known,
        blind=snapshot.blind + tuple(_unseen_owners(scan) if unseen else ()) + unread,
        kernel=kernel,
        self_pids=processes.self_pids(),
        suspects=suspects,
    )
    snapshot = managers.with_managers(snapshot, wanted, other_ports, clock, may_ask)
    if not other_ports:
        # Nothing is going to be stopped.
        return snapshot
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe.open_tables import Tables

    tables = Tables(clock)
    snapshot = _with_other_ports(snapshot, table, wanted, tables)
    return snapshot._replace(carriers=_carriers(snapshot, tables))


def _suspects(
    unseen: t.Sequence[Socket], known: t.Dict[int, Process], clock: Clock
) -> t.Tuple[t.Mapping[int, t.Tuple[int, ...]], t.Tuple[Blind, ...]]:
    """Who may have these rows (see `in_flight`). They are added to ``known``."""
    # Root hides nothing from itself, and most sockets of the kernel's are root's.
    makers = {row.uid for row in unseen if row.uid}
    if not makers:
        return {}, ()
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import in_flight

    found, late = in_flight.suspects(makers, clock)
    known.update(processes.describe({pid for pids in found.values() for pid in pids}.difference(known), clock=clock))
    text = "there was no time to see what %s of the same account may keep without a descriptor" % _several(late)
    return found, (Blind("in_flight_unread", text, late),) if late else ()


def _with_other_ports(snapshot: Snapshot, table: Table, wanted: Wanted, tables: Tables) -> Snapshot:
    """The snapshot with what else would end: other processes of the holders' units and containers, and the other ports of all."""
    holders = _holders(snapshot)
    along = {pid for facts in snapshot.units.values() if facts.up for pid in facts.pids}
    for container in snapshot.containers:
        # The ports of one with a network of its own are those that it publishes.
        if container.host_network and container.pid > 1:
            from ansible_collections.harbormaster.ports.plugins.module_utils._observe import systemd

            along.update(systemd.companions(container.pid))
    if not holders | along:
        return snapshot
    known = dict(snapshot.processes)
    late: t.Set[int] = set()
    known.update(processes.describe(along.difference(known), clock=tables.clock, late=late))
    owners = dict(snapshot.owners)
    others = _other_sockets(table, wanted, owners, holders | along, tables)
    blind = snapshot.blind + _unread(late | tables.late)
    return snapshot._replace(processes=known, owners=owners, other_sockets=tuple(others), blind=blind)


def with_all_owners(
    snapshot: Snapshot, rows_again: t.Callable[[], t.List[Socket]], commands: bool, clock: Clock
) -> Snapshot:
    """A snapshot of the whole host, with who has its sockets, as cheaply as possible: one pass over all descriptors.

    A second pass only helps where neither the kernel nor anything that is closed to us explains a missing owner.

    :param commands: executables and command lines too.
    :param clock: bounds the whole of it.
    """
    sockets, owners, known, scan = _look(list(snapshot.sockets), clock, commands=commands)
    kernel = _kernel_owners(_ownerless(sockets, owners))
    if not _is_closed_to_us(scan) and any(
        (row.protocol, row.port) not in kernel for row in _ownerless(sockets, owners)
    ):
        time.sleep(_SECOND_LOOK)
        sockets, owners, known, scan = _look(rows_again(), clock, owners, commands)
        kernel = _kernel_owners(_ownerless(sockets, owners))
    unseen = any(row.inode and row.inode not in owners for row in sockets)
    wanted = by_protocol((row.protocol, row.port) for row in sockets if row.state in IDLE)
    holders = {pid for pids in owners.values() for pid in pids}
    containers, unasked = engines.containers(wanted, known, holders, clock)
    return snapshot._replace(
        sockets=tuple(sockets),
        owners=owners,
        processes=known,
        blind=snapshot.blind + tuple(_unseen_owners(scan) if unseen else ()) + unasked,
        kernel=kernel,
        containers=containers,
    )


def _ownerless(sockets: t.Iterable[Socket], owners: Owners) -> t.List[Socket]:
    return [row for row in sockets if row.state in IDLE and row.inode not in owners]


def _is_closed_to_us(scan: descriptors.Scan) -> bool:
    """Other users' processes are: then a missing owner is one of theirs, nearly always."""
    return scan.hidepid or (bool(scan.refused) and os.geteuid() != 0)


def _look(
    sockets: t.List[Socket], clock: Clock, before: t.Optional[Owners] = None, commands: bool = True
) -> t.Tuple[t.List[Socket], Owners, t.Dict[int, Process], descriptors.Scan]:
    """Rows, owners and processes. Sockets whose owners are known from before are not searched for again.

    For whom there was no time counts as refused, and a socket that it has as one whose owners are not seen.
    """
    inodes = {row.inode for row in sockets if row.inode}
    owners = {inode: pids for inode, pids in (before or {}).items() if inode in inodes}
    scan = descriptors.scan(inodes.difference(owners), clock)
    owners.update(scan.owners)
    late: t.Set[int] = set()
    known = processes.describe({pid for pids in owners.values() for pid in pids}, commands, clock, late)
    if late:
        scan.refused.update(dict.fromkeys(late, errno.ETIME))
        owners = {inode: pids for inode, pids in owners.items() if late.isdisjoint(pids)}
    # who has gone since the scan holds nothing any more
    alive = {inode: tuple(pid for pid in pids if pid in known) for inode, pids in owners.items()}
    return sockets, {inode: pids for inode, pids in alive.items() if pids}, known, scan


def _other_sockets(
    table: Table, wanted: Wanted, owners: Owners, pids: t.Iterable[int], tables: Tables
) -> t.List[Socket]:
    """Rows of these processes on ports that nobody asked for. Their owners are added to ``owners``."""
    rows = [row for row in table.idle_rows() if row.inode]
    # Of what a process has open only these are kept: an account can have half a million others.
    listed = {row.inode for row in rows}
    having: t.Dict[int, t.List[int]] = {}
    for pid in sorted(pids):
        for inode in listed.intersection(tables.of(pid) or ()):
            having.setdefault(inode, []).append(pid)
    found = []
    for row in rows:
        if row.inode in having and not port_sets.contains(wanted.get(row.protocol, ()), row.port):
            found.append(row)
            owners[row.inode] = tuple(having[row.inode])
    return found


def _unread(late: t.AbstractSet[int]) -> t.Tuple[Blind, ...]:
    """For whom there was no time among those that would stop: what else they hold is not known."""
    if not late:
        return ()
    text = "there was no time to see what else %s would let go, the first is pid %d" % (_several(len(late)), min(late))
    advice = "look who has so many files open (ls /proc/PID/fd | wc -l), then run the task again"
    return (Blind("others_unread", text, len(late), advice),)


def _carriers(snapshot: Snapshot, tables: Tables) -> t.Dict[int, str]:
    holders = _holders(snapshot)
    if not holders:
        return {}
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import carriers

    return carriers.carriers(snapshot.processes, holders, snapshot.self_pids, snapshot.units, tables)


def _holders(snapshot: Snapshot) -> t.Set[int]:
    """Who has the asked ports, and who is only suspected to: that one may be stopped as well."""
    return {pid for pids in (*snapshot.owners.values(), *snapshot.suspects.values()) for pid in pids}


def _kernel_owners(rows: t.List[Socket]) -> t.Dict[t.Tuple[str, int], str]:
    if not rows:
        return {}
    # needed rarely, and what a run imports costs it time
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import kernel

    return kernel.kernel_owners(rows)


def _unseen(sockets: t.Sequence[Socket], owners: Owners) -> t.List[Socket]:
    """The rows that have an owner which was not found. A listener's clients come and go: they don't count beside it."""
    listening = {(row.protocol, row.port) for row in sockets if row.state == LISTEN}
    return [
        row
        for row in sockets
        if row.inode and row.inode not in owners and (row.state in IDLE or (row.protocol, row.port) not in listening)
    ]


def _unseen_owners(scan: descriptors.Scan) -> t.List[Blind]:
    """Why a socket of ours has no owner: everything that was closed to this look."""
    found = []
    root = os.geteuid() == 0
    become = "run the task with become: true"
    refused = scan.refused
    if scan.hidepid:
        text = "/proc hides the processes of other users (mount option hidepid)"
        found.append(Blind("hidepid", text, advice=become))
    if not root:
        refused = {pid: number for pid, number in refused.items() if number == errno.ETIME}
        hidden = len(scan.refused) - len(refused)
        text = "%s of other users can't be looked into as %s"
        if hidden:
            who = processes.account(os.geteuid())
            found.append(Blind("not_root", text % (_several(hidden), who), hidden, become))
    if refused:
        # Want of time comes first: it passes, and what is refused does not.
        pid, number = min(refused.items(), key=lambda one: (one[1] != errno.ETIME, one[0]))
        text = "the descriptors of %s can't be read even as root, the first is pid %d: %s"
        advice = "look from outside of this sandbox or container, or give it CAP_SYS_PTRACE"
        if number == errno.ETIME:
            text = "there was no time to look into %s, the first is pid %d (%s): others have too many files open"
            advice = "look who that is (lsof | awk '{print $3}' | sort | uniq -c | sort -n), then run the task again"
        text %= (_several(len(refused)), pid, os.strerror(number))
        found.append(Blind("descriptors_refused", text, len(refused), advice))
    if _in_pid_namespace():
        text = "this system sees only the processes of its own PID namespace"
        found.append(Blind("pid_namespace", text, advice="look from the host that it runs on"))
    return found


def _several(number: int) -> str:
    return "1 process" if number == 1 else "%d processes" % number


def _in_pid_namespace() -> bool:
    try:
        return os.stat("/proc/self/ns/pid").st_ino != _FIRST_PID_NAMESPACE
    except OSError:
        # a kernel without these namespaces
        return False
