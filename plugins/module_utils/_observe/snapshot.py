# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at the system. Private to harbormaster.ports: not an interface for other collections.

Rows come from the kernel's socket table. What is behind them (owners, processes, units, what could not be seen) is asked
only when there are any, and by code that is loaded only then: a run on a free port pays for nothing else.
"""

from __future__ import annotations

import os
import re
import sys
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Snapshot, Socket
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import engines
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import ports as port_sets
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import IDLE, Table, Wanted, by_protocol

_CAP_NET_ADMIN = 12  # linux/capability.h


def observe(
    ports: t.Iterable[t.Tuple[str, int]],
    backend: str = "auto",
    other_ports: bool = False,
    may_ask: bool = False,
    clock: t.Optional[Clock] = None,
) -> Snapshot:
    """See who holds these ports.

    :param ports: (protocol, port) pairs.
    :param backend: ``auto``, ``netlink``, ``procfs`` or ``psutil``.
    :param other_ports: also find the listening, bound and unconnected UDP sockets that the holders have on other ports.
        Owners of these are looked for among the holders only.
    :param may_ask: run programs of other accounts and connect to their sockets, as them, to hear of their own processes.
        A look that changes nothing must not.
    :param clock: bounds all that is asked; a new one unless said.
    :raises SourceRefused: the asked backend is not to be had here; ``auto`` has tried what there is.
    :raises MalformedData: the kernel said something that it is not documented to say.
    """
    clock = clock or Clock()
    wanted = by_protocol(ports)
    if needs_psutil(backend):
        return _by_psutil(wanted, other_ports)
    table = Table(backend)
    rows = table.rows(wanted)
    ephemeral, reserved = port_sets.ephemeral()
    snapshot = Snapshot(
        sockets=tuple(rows),
        blind=tuple(table.blind),
        ephemeral=ephemeral,
        ephemeral_reserved=reserved,
        backend=table.backend,
        may_close=_may_close(),
    )
    if not any(row.inode or row.state in IDLE for row in rows):
        # A container's port may be published without a socket of this host.
        containers, unasked = engines.containers(wanted, clock=clock, may_ask=may_ask)
        snapshot = snapshot._replace(blind=snapshot.blind + unasked)
        if not containers:
            return snapshot
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import owned

    return owned.with_owners(snapshot, table, wanted, other_ports, clock, may_ask)


def observe_sockets(ports: t.Iterable[t.Tuple[str, int]], backend: str = "auto") -> t.Tuple[Socket, ...]:
    """Only the rows on these ports: what a loop that waits for a change can afford to ask for."""
    wanted = by_protocol(ports)
    if needs_psutil(backend):
        return _by_psutil(wanted, False).sockets
    return tuple(Table(backend).rows(wanted))


def observe_all(
    everything: bool = False, owners: bool = True, commands: bool = False, backend: str = "auto"
) -> Snapshot:
    """See all ports of this host (of its network namespace) at once.

    :param everything: connections, what they have left, and bound sockets too; else TCP listeners and unconnected UDP.
    :param owners: look for the processes; this takes a pass over every descriptor of the host.
    :param commands: read their executables and command lines too.
    :param backend: as in `observe`. psutil always looks for owners.
    :raises SourceRefused, MalformedData: as `observe`.
    """
    if needs_psutil(backend):
        from ansible_collections.harbormaster.ports.plugins.module_utils._observe import by_psutil

        return by_psutil.observe_all(everything)
    table = Table(backend)
    rows = table.all_rows(everything)
    snapshot = Snapshot(sockets=tuple(rows), blind=tuple(table.blind), backend=table.backend)
    if not (rows and owners):
        return snapshot
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import owned

    return owned.with_all_owners(snapshot, lambda: table.all_rows(everything), commands, Clock())


def needs_psutil(backend: str) -> bool:
    """Whether a look through this backend goes through psutil here."""
    return backend == "psutil" or not sys.platform.startswith("linux")


def _by_psutil(wanted: Wanted, other_ports: bool) -> Snapshot:
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import by_psutil

    return by_psutil.observe(wanted, other_ports)


def _may_close() -> bool:
    """Whether this process has CAP_NET_ADMIN (capabilities(7)), which SOCK_DESTROY takes."""
    try:
        with open("/proc/self/status", "rb") as stream:
            effective = re.search(rb"^CapEff:\t([0-9a-f]{1,16})$", stream.read(), re.MULTILINE)
    except OSError:
        effective = None
    return bool(int(effective.group(1), 16) >> _CAP_NET_ADMIN & 1) if effective else os.geteuid() == 0
