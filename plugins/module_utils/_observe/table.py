# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket table, by netlink, else /proc/net. Private to harbormaster.ports."""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    BOUND,
    LISTEN,
    TCP,
    UDP,
    UNCONN,
    Blind,
    Socket,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import netlink
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import ports as port_sets

Wanted = t.Dict[str, port_sets.Ranges]

# The states of sockets that have a port for themselves.
IDLE = (LISTEN, BOUND, UNCONN)
# Those of them that wait for somebody.
WAITING = (LISTEN, UNCONN)

_NETLINK_REFUSED = "sock_diag is refused here (%s), so /proc/net was read: it does not show TCP sockets that are bound but don't listen"


def by_protocol(ports: t.Iterable[t.Tuple[str, int]]) -> Wanted:
    """The ports of each protocol, as merged ranges."""
    numbers: t.Dict[str, t.Set[int]] = {}
    for protocol, port in ports:
        numbers.setdefault(protocol, set()).add(port)
    return {protocol: port_sets.merge(found) for protocol, found in sorted(numbers.items())}


class Table:
    """Rows by netlink, or by /proc/net where that is refused.

    :param backend: ``auto``, ``netlink`` or ``procfs``.
    """

    def __init__(self, backend: str) -> None:
        self.backend = "procfs" if backend == "procfs" else "netlink"
        self.blind: t.List[Blind] = []
        self._may_change = backend == "auto"

    def rows(self, wanted: Wanted) -> t.List[Socket]:
        """Every row on these ports."""
        if len(set(wanted.values())) == 1:
            # the common case, a port of any protocol: one question
            return self._read(next(iter(wanted.values())), tuple(wanted))
        return [row for protocol, ranges in wanted.items() for row in self._read(ranges, (protocol,))]

    def idle_rows(self) -> t.List[Socket]:
        """What listens, is bound, or is UDP and unconnected, on all ports."""
        if self.backend == "netlink":
            return netlink.dump(None, (TCP, UDP), netlink.LISTEN_STATES)
        return [row for row in _procnet_rows(None, (TCP, UDP)) if row.state in IDLE]

    def all_rows(self, everything: bool) -> t.List[Socket]:
        """The rows of the whole host: those that wait for somebody (TCP listeners, unconnected UDP), or every one.

        Whatever the number of connections is, those that wait cost the same: for them the kernel reads its table of
        listeners alone, as long as no other TCP state is asked for.
        """
        if self.backend == "netlink":
            try:
                if everything:
                    return netlink.dump_all_twice()
                listening = netlink.dump_all_twice((TCP,), netlink.TCP_WAITING)
                return listening + netlink.dump_all_twice((UDP,), netlink.UDP_WAITING)
            except SourceRefused as refusal:
                self._fall_back(refusal)
        return [row for row in _procnet_rows(None, (TCP, UDP)) if everything or row.state in WAITING]

    def _fall_back(self, refusal: SourceRefused) -> None:
        if not self._may_change:
            raise refusal
        self.backend = "procfs"
        self.blind.append(Blind("netlink_refused", _NETLINK_REFUSED % refusal.why))

    def _read(self, ranges: port_sets.Ranges, protocols: t.Tuple[str, ...]) -> t.List[Socket]:
        if self.backend == "netlink":
            try:
                return netlink.dump(ranges, protocols)
            except SourceRefused as refusal:
                self._fall_back(refusal)
        return _procnet_rows(ranges, protocols)


def _procnet_rows(ranges: t.Optional[port_sets.Ranges], protocols: t.Tuple[str, ...]) -> t.List[Socket]:
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import procnet

    return procnet.read(ranges, protocols)
