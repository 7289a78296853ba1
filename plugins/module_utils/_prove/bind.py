# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a server could bind a port now: by binding it, once. Private to harbormaster.ports.

The probe binds as servers do, never listens, and closes at once: TCP with SO_REUSEADDR, UDP with no option; on both
wildcards, the IPv6 one with IPV6_V6ONLY; or on one address, with IP_FREEBIND in case the host has it only later.

It can be wrong for a server that sets no SO_REUSEADDR (TIME_WAIT blocks that one), for one that joins others with
SO_REUSEPORT (it could bind where the probe can't), behind NAT, and where SELinux allows a port to one domain only.
"""

from __future__ import annotations

import errno
import socket
import sys
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._model import UDP, Socket

# linux/in.h and linux/in6.h; Python's socket module has neither.
_IP_FREEBIND = 15
_IPV6_FREEBIND = 78

# EACCES: a port below ip_unprivileged_port_start without root, or SELinux. EPERM: the same through an LSM or BPF.
_NOT_ALLOWED = (errno.EACCES, errno.EPERM)
# The host has no such family (IPv6 off), or the address is none that it could ever have.
# EINVAL: a link-local or multicast IPv6 address, which needs an interface.
_NO_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT, errno.EINVAL)


def probe(protocol: str, port: int, address: t.Optional[str]) -> t.Optional[bool]:
    """True when the port can be bound, False when it is in use, None when it could not be tried.

    :raises OSError: only for failures of another kind, such as too many open files.
    """
    if address is None:
        places = [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")]
    else:
        places = [(socket.AF_INET6 if ":" in address else socket.AF_INET, address)]
    answers = [_bind(protocol, port, family, place, address is not None) for family, place in places]
    if False in answers:
        return False
    return True if True in answers else None


# Nobody binds this address of the loopback network by its name. All of the network is local on Linux, on other systems not.
QUIET_PLACE = "127.83.67.91"


def takes_ipv4(protocol: str, port: int, rows: t.Iterable[Socket]) -> t.Optional[bool]:
    """Whether the socket on the IPv6 wildcard has the IPv4 port too (it is no IPV6_V6ONLY one): a bind to IPv4 tells.

    Without SO_REUSEADDR, so that what is only bound tells as well.

    :param rows: everything that is on the port.
    :returns: None where that can't be told: another row may be why the bind fails, or this account may not bind.
    """
    place = QUIET_PLACE if sys.platform.startswith("linux") else "0.0.0.0"
    # Elsewhere than on Linux any IPv4 address meets the wildcard.
    mixed = any(":" not in row.address and (place == "0.0.0.0" or row.address in ("0.0.0.0", place)) for row in rows)
    kind = socket.SOCK_DGRAM if protocol == UDP else socket.SOCK_STREAM
    try:
        with socket.socket(socket.AF_INET, kind | getattr(socket, "SOCK_CLOEXEC", 0)) as probing:
            probing.bind((place, port))
    except OSError as error:
        return True if error.errno == errno.EADDRINUSE and not mixed else None
    return False


def _bind(protocol: str, port: int, family: int, address: str, freebind: bool) -> t.Optional[bool]:
    kind = socket.SOCK_DGRAM if protocol == UDP else socket.SOCK_STREAM
    try:
        probing = socket.socket(family, kind | getattr(socket, "SOCK_CLOEXEC", 0))
    except OSError as error:
        if error.errno in _NO_FAMILY:
            return None
        raise
    with probing:
        if protocol != UDP:
            probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Only a server that asks for "::" by name wants the IPv4 side with it; else that is probed by itself.
            probing.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if freebind and address == "::" else 1)
        if freebind:
            _set_freebind(probing, family)
        try:
            probing.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            if error.errno in _NOT_ALLOWED + _NO_FAMILY:
                return None
            raise
    return True


def _set_freebind(probing: socket.socket, family: int) -> None:
    try:
        if family == socket.AF_INET6:
            probing.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        else:
            probing.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    except OSError:
        # Not on this system: then an address that the host lacks answers EADDRNOTAVAIL, which is no verdict.
        return
