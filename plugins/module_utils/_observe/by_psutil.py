# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at the system through psutil: where the kernel's own interfaces are not ours. Private to harbormaster.ports."""

from __future__ import annotations

import os
import sys
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._model import BOUND, LISTEN, UNCONN, Process, Snapshot
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    carriers,
    psutil_backend,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    ports as port_sets,
)

# Clock ticks by which psutil's time of a start, which has been to a clock of the day and back, may differ from the kernel's.
_ROUNDED = 100


def observe(wanted: t.Mapping[str, port_sets.Ranges], other_ports: bool) -> Snapshot:
    """What `snapshot.observe` gives, as far as psutil can tell it.

    :param wanted: protocol -> port ranges.
    :param other_ports: also find what the holders have on other ports.
    """
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
            if row not in mine
            and row.state in (LISTEN, BOUND, UNCONN)
            and holders.intersection(owners.get(row.inode, ()))
        ]
    shown = {row.inode for row in asked} | {row.inode for row in others}
    above = {pid for holder in holders if holder in known for pid in known[holder].ancestors}
    ephemeral, reserved = port_sets.ephemeral()
    return Snapshot(
        sockets=tuple(asked),
        owners={inode: pids for inode, pids in owners.items() if inode in shown},
        processes=_managed({pid: process for pid, process in known.items() if pid in holders or pid in above}),
        other_sockets=tuple(others),
        blind=tuple(blind),
        ephemeral=ephemeral,
        ephemeral_reserved=reserved,
        self_pids=frozenset((os.getpid(), *psutil_backend.ancestors(os.getpid()))),
        carriers={
            pid: "is a remote access service, and may be what runs this task"
            for pid in sorted(holders.intersection(known))
            if carriers.is_ssh(known[pid], known) or carriers.is_agent(known[pid], {})
        },
        backend="psutil",
        may_close=False,
    )


def observe_all(everything: bool) -> Snapshot:
    """What `snapshot.observe_all` gives, as far as psutil can tell it."""
    rows, owners, known, blind = psutil_backend.look()
    shown = [row for row in rows if everything or row.state in (LISTEN, UNCONN)]
    inodes = {row.inode for row in shown}
    return Snapshot(
        sockets=tuple(shown),
        owners={inode: pids for inode, pids in owners.items() if inode in inodes},
        processes=_managed(known),
        blind=tuple(blind),
        backend="psutil",
        may_close=False,
    )


def _managed(known: t.Dict[int, Process]) -> t.Dict[int, Process]:
    """The processes with the units and containers that psutil does not know of; Linux has them."""
    if not sys.platform.startswith("linux"):
        return known
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import processes

    described = processes.describe(known)
    return {pid: _joined(process, described.get(pid)) for pid, process in known.items()}


def _joined(process: Process, told: t.Optional[Process]) -> Process:
    """A process of psutil's with what only Linux says, when it is the same one."""
    if told is None or abs(told.start_ticks - process.start_ticks) > _ROUNDED:
        return process
    return process._replace(
        unit=told.unit,
        container=told.container,
        whole_name=told.whole_name,
        real_uid=told.real_uid,
        proven=told.proven,
        image=told.image,
    )


def process(pid: int) -> t.Optional[Process]:
    """One process as `observe` has it, without its ancestors; None when there is none."""
    found = psutil_backend.process(pid)
    return None if found is None else _managed({pid: found})[pid]
