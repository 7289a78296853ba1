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


def relinks(resolver: Resolver, sockets: t.Iterable[Socket]) -> bool:
    """Whether /etc/resolv.conf names nothing but addresses that are about to be given up.

    The link to the stub file needs no care: systemd-resolved makes that file a link to the one with the real servers.
    """
    if resolver.resolv_conf in ("stub", "uplink", "missing") or not resolver.servers:
        return False
    given_up = {row.address for row in sockets if row.port == _DNS}
    if given_up.intersection(STUB_ADDRESSES):
        given_up.update(STUB_ADDRESSES)
    return given_up.issuperset(resolver.servers)


def breaks(resolver: Resolver, sockets: t.Iterable[Socket]) -> str:
    """Why no name could be resolved afterwards, as a clause; empty when names still can."""
    rows = list(sockets)
    stub = any(row.port == _DNS and row.address in STUB_ADDRESSES for row in rows)
    if not relinks(resolver, rows) and not (stub and resolver.resolv_conf == "stub"):
        return ""
    if resolver.upstreams:
        return ""
    return "/etc/resolv.conf leads to it alone, and it knows no upstream server"
