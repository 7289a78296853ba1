# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How this host resolves names. Private to harbormaster.ports: not an interface for other collections.

Only files are read, those that systemd-resolved keeps for everybody (systemd-resolved.service(8), /ETC/RESOLV.CONF).
"""

from __future__ import annotations

import os
import socket
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import resolv_conf
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Resolver


def resolver() -> Resolver:
    """What systemd-resolved and /etc/resolv.conf know of servers. Asked when systemd-resolved holds a wished port."""
    upstreams = resolv_conf.read(resolv_conf.UPLINK).servers
    servers = resolv_conf.read(resolv_conf.RESOLV_CONF).servers
    return Resolver(
        upstreams=tuple(server for server in upstreams if server not in resolv_conf.STUB_ADDRESSES),
        resolv_conf=kind(),
        servers=servers,
        local=tuple(server for server in dict.fromkeys(upstreams + servers) if _is_local(server)),
    )


def _is_local(server: str) -> bool:
    """Whether an address is one of this host's: then a socket can be bound to it. Nothing is sent."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # with a zone of IPv6 the address is looked up; none of these is a name
            place = socket.getaddrinfo(server, 0, family, socket.SOCK_DGRAM, 0, socket.AI_NUMERICHOST)[0][4]
            probe.bind(place)
    except (OSError, UnicodeError):
        return False
    return True


def kind() -> str:
    """What /etc/resolv.conf is, one of the words of `Resolver`; told as systemd-resolved itself does, by the file at its end.

    Where the stub is off, the stub's file is a link to the other one: so that one is compared first.
    """
    own = _identity(resolv_conf.RESOLV_CONF)
    if own is None:
        return "missing"
    for name, paths in (
        ("uplink", (resolv_conf.UPLINK,)),
        ("stub", (resolv_conf.STUB,)),
        ("static", resolv_conf.STATIC),
    ):
        if own in map(_identity, paths):
            return name
    return "foreign"


def _identity(path: str) -> t.Optional[t.Tuple[int, int]]:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
