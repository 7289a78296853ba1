# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rows of the socket table a server's bind would meet. Private to harbormaster.ports. Pure.

LISTEN, BOUND, every UDP socket      holding: they block a bind
connection that a listener accepted  counted, and never touched
other connection with a descriptor   an outgoing connection: its local port is the wished one
other row without a descriptor       left over: TIME_WAIT, FIN_WAIT, orphans
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    BOUND,
    ESTABLISHED,
    FREE,
    LINGERING,
    LISTEN,
    TIME_WAIT,
    UDP,
    PortPlan,
    Snapshot,
    Socket,
    Wish,
)


class Rows(t.NamedTuple):
    """The rows of one wish, sorted by what they mean for it."""

    holding: t.Tuple[Socket, ...]
    outgoing: t.Tuple[Socket, ...]
    leftovers: t.Tuple[Socket, ...]
    accepted: t.Tuple[Socket, ...]

    @property
    def blocking(self) -> t.Tuple[Socket, ...]:
        """What a bind meets, or may meet."""
        return self.holding + self.outgoing + self.leftovers

    def in_state(self, state: str) -> int:
        """How many connections are in this state."""
        return sum(row.state == state for row in self.outgoing + self.leftovers + self.accepted)


class Index:
    """The rows of a snapshot by protocol and port, so that 4,096 wishes don't read every row 4,096 times."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._rows: t.Dict[t.Tuple[str, int], t.List[Socket]] = {}
        for row in snapshot.sockets:
            self._rows.setdefault((row.protocol, row.port), []).append(row)
        self._snapshot = snapshot

    def rows(self, wish: Wish) -> Rows:
        """The rows that count for a wish, in an order that does not depend on the kernel's."""
        rows = [row for row in self._rows.get((wish.protocol, wish.port), ()) if collides(row, wish.address)]
        rows.sort(key=_order)
        if wish.protocol == UDP:
            taken = tuple(rows)
            if not wish.named and is_ephemeral(self._snapshot, wish.port):
                return Rows((), taken, (), ())
            return Rows(taken, (), (), ())
        holding = tuple(row for row in rows if row.state in (LISTEN, BOUND))
        listeners = {row.address: row for row in holding if row.state == LISTEN and not row.v6only}
        listeners.update({row.address + " v6only": row for row in holding if row.state == LISTEN and row.v6only})
        outgoing: t.List[Socket] = []
        leftovers: t.List[Socket] = []
        accepted: t.List[Socket] = []
        for row in rows:
            if row.state in (LISTEN, BOUND):
                continue
            if any(listener.accepts(row) for listener in listeners.values()):
                accepted.append(row)
            elif row.inode:
                outgoing.append(row)
            else:
                leftovers.append(row)
        return Rows(holding, tuple(outgoing), tuple(leftovers), tuple(accepted))


def collides(row: Socket, address: t.Optional[str]) -> bool:
    """Whether a bind to ``address`` (None: to all of them) would meet this row.

    An IPv6 wildcard that is not IPv6-only has the IPv4 port too. Where the source can't say, it may: see `is_unclear`.
    """
    if address is None or row.address == address or row.address == "*":
        return True
    if ":" not in address:
        if address == "0.0.0.0":
            return ":" not in row.address or (row.address == "::" and not row.v6only)
        return row.address == "0.0.0.0" or (row.address == "::" and not row.v6only)
    if address == "::":
        return True
    return row.address == "::"


def unclear(row: Socket) -> bool:
    """Whether a socket is on the IPv6 wildcard and its source can't say if it takes IPv4 too."""
    return row.address == "::" and row.v6only is None


def is_unclear(rows: t.Iterable[Socket], address: t.Optional[str]) -> bool:
    """Whether nothing but sockets of which nobody knows if they take IPv4 meets a bind to this address.

    Dual stack is only the default: nobody is stopped for what may be IPv6's alone.
    """
    found = tuple(rows)
    return address is not None and ":" not in address and bool(found) and all(map(unclear, found))


def is_ephemeral(snapshot: Snapshot, port: int) -> bool:
    """Whether the kernel may give this port to an outgoing connection at any moment."""
    first, last = snapshot.ephemeral
    return first <= port <= last and port not in snapshot.ephemeral_reserved


def will_linger(rows: Rows) -> bool:
    """Whether connections stay behind in FIN_WAIT or TIME_WAIT when the holders are stopped.

    The kernel resets a connection whose data nobody has read, and one that waits to be accepted; the peer of one
    in CLOSE_WAIT has closed already. All others close in the ordinary way, and their rows stay for up to 60 s.
    """
    for row in rows.accepted:
        if row.state in (TIME_WAIT, "FIN_WAIT1", "FIN_WAIT2", "CLOSING"):
            return True
        if row.state == ESTABLISHED and row.inode and not row.rqueue:
            return True
    return bool(rows.leftovers)


def ephemeral_warning(ports: t.Sequence[PortPlan]) -> t.Tuple[str, ...]:
    """A warning about wished ports that an outgoing connection can take."""
    numbers = sorted({port.wish.port for port in ports if port.ephemeral})
    if not numbers:
        return ()
    shown = ", ".join(map(str, numbers[:5])) + (" and %d more" % (len(numbers) - 5) if len(numbers) > 5 else "")
    return (
        "port %s: inside the range from which the kernel serves outgoing connections, so one of them can take it at any "
        "moment; net.ipv4.ip_local_reserved_ports keeps it out" % shown,
    )


def unseen_warning(snapshot: Snapshot, ports: t.Sequence[PortPlan]) -> t.Tuple[str, ...]:
    """A warning about ports that look free while an engine that runs here does not say what it publishes."""
    looks_free = [port.wish.label for port in ports if port.status in (FREE, LINGERING) and not port.holders]
    silent = [blind for blind in snapshot.blind if blind.code == "container_engine"]
    if not looks_free or not silent:
        return ()
    shown = ", ".join(looks_free[:5]) + (" and %d more" % (len(looks_free) - 5) if len(looks_free) > 5 else "")
    why = "; ".join(dict.fromkeys(blind.text for blind in silent))
    advice = "; ".join(dict.fromkeys(blind.advice for blind in silent if blind.advice))
    return (
        "port %s: a container may publish it without a socket on this host: %s%s"
        % (shown, why, "; " + advice if advice else ""),
    )


def _order(row: Socket) -> t.Tuple[t.Any, ...]:
    return (row.protocol, row.family, row.address, row.port, row.state, row.remote_address, row.remote_port, row.inode)
