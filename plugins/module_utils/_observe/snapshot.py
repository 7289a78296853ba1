# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at the system. Private to harbormaster.ports: not an interface for other collections.

Rows come from the kernel's socket table, owners from a pass over all descriptors, and only for sockets that were found;
everything else (processes, units, what the kernel holds itself, what could not be seen) is asked about these alone.
"""

from __future__ import annotations

import os
import sys
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    BOUND,
    LISTEN,
    TCP,
    UDP,
    UNCONN,
    Blind,
    Process,
    Snapshot,
    Socket,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    descriptors,
    netlink,
    processes,
    procnet,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    ports as port_sets,
)

Wanted = t.Dict[str, port_sets.Ranges]
Owners = t.Dict[int, t.Tuple[int, ...]]

# An exiting process has dropped its descriptors a moment before its sockets are gone, and a descriptor that is on its
# way to another process belongs to nobody: after this pause both are settled.
_SECOND_LOOK = 0.05
_IDLE = (LISTEN, BOUND, UNCONN)
# PROC_PID_INIT_INO of linux/proc_ns.h: the inode of the namespace that all others are below.
_FIRST_PID_NAMESPACE = 0xEFFFFFFC


def observe(ports: t.Iterable[t.Tuple[str, int]], backend: str = "auto", other_ports: bool = False) -> Snapshot:
    """See who holds these ports.

    :param ports: (protocol, port) pairs.
    :param backend: ``auto``, ``netlink``, ``procfs`` or ``psutil``.
    :param other_ports: also find the listening, bound and unconnected UDP sockets that the holders have on other ports.
        Owners of these are looked for among the holders only.
    :raises SourceRefused: the asked backend is not to be had here; ``auto`` has tried what there is.
    :raises MalformedData: the kernel said something that it is not documented to say.
    """
    wanted = _by_protocol(ports)
    if needs_psutil(backend):
        return _by_psutil(wanted, other_ports)
    table = _Table(backend)
    sockets, owners, known, scan = _look(table, wanted)
    unseen = _unseen(sockets, owners)
    if unseen:
        # with the kernel's sockets this pause is spent for nothing; they are rare, and look just like an exiting owner
        time.sleep(_SECOND_LOOK)
        sockets, owners, known, scan = _look(table, wanted, owners)
        unseen = _unseen(sockets, owners)
    blind = table.blind + (_unseen_owners(scan) if unseen else [])
    others: t.List[Socket] = []
    if other_ports and owners:
        others = _other_sockets(table, wanted, owners)
    ephemeral, reserved = port_sets.ephemeral()
    own = processes.self_pids()
    return Snapshot(
        sockets=tuple(sockets),
        owners=owners,
        processes=known,
        other_sockets=tuple(others),
        blind=tuple(blind),
        kernel=_kernel_owners([row for row in sockets if row.state in _IDLE and row.inode not in owners]),
        ephemeral=ephemeral,
        ephemeral_reserved=reserved,
        self_pids=own,
        carriers=_carriers(known, owners, own),
        backend=table.backend,
    )


def observe_sockets(ports: t.Iterable[t.Tuple[str, int]], backend: str = "auto") -> t.Tuple[Socket, ...]:
    """Only the rows on these ports: what a loop that waits for a change can afford to ask for."""
    wanted = _by_protocol(ports)
    if needs_psutil(backend):
        return _by_psutil(wanted, False).sockets
    return tuple(_Table(backend).rows(wanted))


def _unseen(sockets: t.Sequence[Socket], owners: Owners) -> t.List[Socket]:
    """The rows that have an owner which was not found. A listener's clients come and go: they don't count beside it."""
    listening = {(row.protocol, row.port) for row in sockets if row.state == LISTEN}
    return [
        row
        for row in sockets
        if row.inode and row.inode not in owners and (row.state in _IDLE or (row.protocol, row.port) not in listening)
    ]


def _by_protocol(ports: t.Iterable[t.Tuple[str, int]]) -> Wanted:
    numbers: t.Dict[str, t.Set[int]] = {}
    for protocol, port in ports:
        numbers.setdefault(protocol, set()).add(port)
    return {protocol: port_sets.merge(found) for protocol, found in sorted(numbers.items())}


def needs_psutil(backend: str) -> bool:
    """Whether a look through this backend goes through psutil here."""
    return backend == "psutil" or not sys.platform.startswith("linux")


class _Table:
    """The socket table, by the way that works here."""

    def __init__(self, backend: str) -> None:
        self.backend = "procfs" if backend == "procfs" else "netlink"
        self.blind: t.List[Blind] = []
        self._may_change = backend == "auto"

    def rows(self, wanted: Wanted) -> t.List[Socket]:
        if len(set(wanted.values())) == 1:
            # the common case, a port of any protocol: one question
            return self._read(next(iter(wanted.values())), tuple(wanted))
        return [row for protocol, ranges in wanted.items() for row in self._read(ranges, (protocol,))]

    def idle_rows(self) -> t.List[Socket]:
        """What listens, is bound, or is UDP and unconnected, on all ports."""
        if self.backend == "netlink":
            return netlink.dump(None, (TCP, UDP), netlink.LISTEN_STATES)
        return [row for row in procnet.read(None, (TCP, UDP)) if row.state in _IDLE]

    def _read(self, ranges: port_sets.Ranges, protocols: t.Tuple[str, ...]) -> t.List[Socket]:
        if self.backend == "netlink":
            try:
                return netlink.dump(ranges, protocols)
            except SourceRefused as refusal:
                if not self._may_change:
                    raise
                self.backend = "procfs"
                self.blind.append(Blind("netlink_refused", _NETLINK_REFUSED % refusal.why))
        return procnet.read(ranges, protocols)


def _look(
    table: _Table, wanted: Wanted, before: t.Optional[Owners] = None
) -> t.Tuple[t.List[Socket], Owners, t.Dict[int, Process], descriptors.Scan]:
    """Rows, owners and processes. Sockets whose owners are known from before are not searched for again."""
    sockets = table.rows(wanted)
    inodes = {row.inode for row in sockets if row.inode}
    owners = {inode: pids for inode, pids in (before or {}).items() if inode in inodes}
    scan = descriptors.scan(inodes.difference(owners)) if inodes else _NOTHING
    owners.update(scan.owners)
    known = processes.describe({pid for pids in owners.values() for pid in pids})
    # who has gone since the scan holds nothing any more
    alive = {inode: tuple(pid for pid in pids if pid in known) for inode, pids in owners.items()}
    return sockets, {inode: pids for inode, pids in alive.items() if pids}, known, scan


_NOTHING = descriptors.Scan({}, {}, False, 0)


def _other_sockets(table: _Table, wanted: Wanted, owners: Owners) -> t.List[Socket]:
    """Rows of the holders on ports that nobody asked for. Their owners are added to ``owners``."""
    having: t.Dict[int, t.List[int]] = {}
    for pid in sorted({pid for pids in owners.values() for pid in pids}):
        for inode in descriptors.inodes_of(pid):
            having.setdefault(inode, []).append(pid)
    found = []
    for row in table.idle_rows():
        if row.inode in having and not port_sets.contains(wanted.get(row.protocol, ()), row.port):
            found.append(row)
            owners[row.inode] = tuple(having[row.inode])
    return found


def _carriers(known: t.Mapping[int, Process], owners: Owners, own: t.FrozenSet[int]) -> t.Dict[int, str]:
    if not owners:
        return {}
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import carriers

    return carriers.carriers(known, owners, own)


def _kernel_owners(rows: t.List[Socket]) -> t.Dict[t.Tuple[str, int], str]:
    if not rows:
        return {}
    # needed rarely, and what a run imports costs it time
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import kernel

    return kernel.kernel_owners(rows)


def _by_psutil(wanted: Wanted, other_ports: bool) -> Snapshot:
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import psutil_backend

    ranges = port_sets.merge(
        port for each in wanted.values() for first, last in each for port in range(first, last + 1)
    )
    rows, owners, known, blind = psutil_backend.look(None if other_ports else ranges)
    asked = [row for row in rows if port_sets.contains(wanted.get(row.protocol, ()), row.port)]
    holders = {pid for row in asked for pid in owners.get(row.inode, ())}
    others = []
    if other_ports:
        mine = set(asked)
        others = [
            row
            for row in rows
            if row not in mine and row.state in _IDLE and holders.intersection(owners.get(row.inode, ()))
        ]
    shown = {row.inode for row in asked} | {row.inode for row in others}
    above = {pid for holder in holders if holder in known for pid in known[holder].ancestors}
    ephemeral, reserved = port_sets.ephemeral()
    own = _own_pids_by_psutil(known)
    return Snapshot(
        sockets=tuple(asked),
        owners={inode: pids for inode, pids in owners.items() if inode in shown},
        processes={pid: process for pid, process in known.items() if pid in holders or pid in above},
        other_sockets=tuple(others),
        blind=tuple(blind),
        ephemeral=ephemeral,
        ephemeral_reserved=reserved,
        self_pids=own,
        backend="psutil",
    )


def _own_pids_by_psutil(known: t.Mapping[int, Process]) -> t.FrozenSet[int]:
    own = os.getpid()
    found = {own, os.getppid()}
    for pid in (own, os.getppid()):
        if pid in known:
            found.update(known[pid].ancestors)
    return frozenset(found)


_NETLINK_REFUSED = "sock_diag is refused here (%s), so /proc/net was read: it does not show TCP sockets that are bound but don't listen"


def _unseen_owners(scan: descriptors.Scan) -> t.List[Blind]:
    """Why a socket of ours has no owner: everything that was closed to this look."""
    found = []
    root = os.geteuid() == 0
    become = "run the task with become: true"
    hidden = len(scan.refused)
    if scan.hidepid:
        text = "/proc hides the processes of other users (mount option hidepid)"
        found.append(Blind("hidepid", text, advice=become))
    if hidden and not root:
        text = "%d processes of other users can't be looked into as %s"
        found.append(Blind("not_root", text % (hidden, processes.account(os.geteuid())), hidden, become))
    elif hidden:
        pid, number = min(scan.refused.items())
        text = "the descriptors of %d processes can't be read even as root, the first is pid %d: %s"
        advice = "look from outside of this sandbox or container, or give it CAP_SYS_PTRACE"
        found.append(Blind("descriptors_refused", text % (hidden, pid, os.strerror(number)), hidden, advice))
    if _in_pid_namespace():
        text = "this system sees only the processes of its own PID namespace"
        found.append(Blind("pid_namespace", text, advice="look from the host that it runs on"))
    return found


def _in_pid_namespace() -> bool:
    try:
        return os.stat("/proc/self/ns/pid").st_ino != _FIRST_PID_NAMESPACE
    except OSError:
        # a kernel without these namespaces
        return False
