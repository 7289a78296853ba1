# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a port from systemd-resolved without taking name resolution away. Private to harbormaster.ports. Pure.

Settings are those of resolved.conf(5): each port belongs to one of them, and one restart frees it for tcp and udp.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._model import Resolver, Socket

# Where the stub listens (systemd-resolved.service(8)).
STUB_ADDRESSES = ("127.0.0.53", "127.0.0.54")
_DNS, _LLMNR, _MDNS = 53, 5355, 5353

_STUB = "DNSStubListener=no"
# An empty assignment takes back what earlier files have listed.
_EXTRA = "DNSStubListenerExtra="


def settings(sockets: t.Iterable[Socket], everywhere: bool = False) -> t.Tuple[str, ...]:
    """The lines that make systemd-resolved let go of these sockets.

    :param everywhere: its DNS port has to be free on every address: then no extra listener that is configured and could
        not bind so far may take it after the restart.
    """
    lines = set()
    for row in sockets:
        if row.port == _LLMNR:
            lines.add("LLMNR=no")
        elif row.port == _MDNS:
            lines.add("MulticastDNS=no")
        else:
            lines.add(_STUB if row.address in STUB_ADDRESSES else _EXTRA)
            if everywhere:
                lines.update((_STUB, _EXTRA))
    return tuple(sorted(lines))


def frees(lines: t.Sequence[str], row: Socket) -> bool:
    """Whether these settings take a row of systemd-resolved away."""
    return set(settings([row])) <= set(lines)


def relinks(resolver: Resolver, sockets: t.Iterable[Socket], lost: t.AbstractSet[str] = frozenset()) -> bool:
    """Whether /etc/resolv.conf names nothing but addresses that are about to be given up.

    :param lost: addresses of servers that other steps of the plan take away.

    The link to the stub file needs no care: systemd-resolved makes that file a link to the one with the real servers.
    """
    if resolver.resolv_conf in ("stub", "uplink", "missing") or not resolver.servers:
        return False
    given_up = {row.address for row in sockets if row.port == _DNS}
    if given_up.intersection(STUB_ADDRESSES):
        given_up.update(STUB_ADDRESSES)
    given_up.update(lost)
    return given_up.issuperset(resolver.servers)


def breaks(resolver: Resolver, sockets: t.Iterable[Socket], lost: t.AbstractSet[str] = frozenset()) -> str:
    """Why no name could be resolved afterwards, as a clause; empty when names still can.

    :param lost: as in `relinks`.
    """
    rows = list(sockets)
    stub = any(row.port == _DNS and row.address in STUB_ADDRESSES for row in rows)
    uplink = bool(lost) and resolver.resolv_conf == "uplink"
    if not relinks(resolver, rows, lost) and not (stub and resolver.resolv_conf == "stub") and not uplink:
        return ""
    if resolver.upstreams and set(resolver.upstreams) <= lost:
        return "the only servers that it knows (%s) are to be stopped as well" % ", ".join(resolver.upstreams)
    return "" if resolver.upstreams else "/etc/resolv.conf leads to it alone, and it knows no upstream server"


def serves(address: str, port: int, server: str, local: t.Container[str], v6only: t.Optional[bool] = True) -> bool:
    """Whether a socket on this address and port is the one that a name server's address leads to.

    :param local: servers that are this host's own addresses.
    """
    if port != _DNS:
        return False
    server = server.partition("%")[0]
    if address == server:
        return True
    if not (server.startswith("127.") or server == "::1" or server in local):
        return False
    if address == "0.0.0.0":
        return ":" not in server
    return address == "::" and (":" in server or not v6only)


def unresolved(resolver: Resolver, lost: t.AbstractSet[str]) -> t.Tuple[str, ...]:
    """The servers on which all of this host's names rest, when these are lost; empty when there is another one."""
    asked = resolver.servers
    if asked and set(asked) <= set(STUB_ADDRESSES):
        asked = resolver.upstreams
    return asked if set(asked) <= lost else ()
