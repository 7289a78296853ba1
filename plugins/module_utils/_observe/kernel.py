# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that the Linux kernel itself holds. Private to harbormaster.ports: not an interface for other collections.

A socket without a process may be the kernel's, but an exiting process or a descriptor in flight looks the same. So only
positive evidence counts: something that the kernel says it runs on that port. Evidence that can't be read is none.
"""

from __future__ import annotations

import struct
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData, ObserveError
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import netlink
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable_text
from ansible_collections.harbormaster.ports.plugins.module_utils._model import TCP, UDP, Socket

Key = t.Tuple[str, int]

_NFSD_PORTS = "/proc/fs/nfsd/portlist"

# linux/rtnetlink.h, linux/if_link.h
_RTM_NEWLINK, _RTM_GETLINK = 16, 18
# struct ifinfomsg: family, type, index, flags, change.
_LINK = struct.Struct("=BxHiII")
_IFF_UP = 1
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_LINK_NETNSID = 3, 18, 37
_INFO_KIND, _INFO_DATA = 1, 2
# Kind of link -> the attribute with its port, two bytes in network order: IFLA_VXLAN_PORT, IFLA_GENEVE_PORT,
# IFLA_BAREUDP_PORT.
_PORT_ATTRIBUTES = {"vxlan": 15, "geneve": 5, "bareudp": 1}
_WIREGUARD = "wireguard"

# linux/genetlink.h. struct genlmsghdr: command, version, reserved.
_GENERIC = struct.Struct("=BBH")
_GENL_ID_CTRL, _CTRL_CMD_GETFAMILY = 16, 3
_CTRL_FAMILY_ID, _CTRL_FAMILY_NAME = 1, 2
# linux/wireguard.h
_WG_CMD_GET_DEVICE, _WGDEVICE_IFNAME, _WGDEVICE_LISTEN_PORT = 0, 2, 6
# linux/fou.h
_FOU_CMD_GET, _FOU_PORT = 3, 1

_TIMEOUT = 5.0


class Link(t.NamedTuple):
    """A network link that may hold a UDP port. ``port`` is None where the link's own message does not say it."""

    kind: str
    name: str
    port: t.Optional[int]


def kernel_owners(rows: t.Sequence[Socket]) -> t.Dict[Key, str]:
    """What in the kernel holds the ports of these rows, in a few words such as ``vxlan link vx0``.

    Ask only for rows without a visible owner. What is missing in the answer has no known kernel owner.
    """
    wanted = {(row.protocol, row.port) for row in rows}
    owners: t.Dict[Key, str] = {}
    if any(protocol == UDP for protocol, _unused in wanted):
        # First come, first served: the sources are alike in trust, and a port has one of them.
        for source in (_from_links, _from_fou):
            try:
                found = source()
            except ObserveError:
                continue
            for key, words in found.items():
                owners.setdefault(key, words)
    try:
        with open(_NFSD_PORTS, encoding="utf-8", errors="replace") as stream:
            owners.update(parse_nfsd(stream.read()))
    except (OSError, MalformedData):
        # nfsd does not run, or its file system is not mounted here.
        pass
    return {key: words for key, words in owners.items() if key in wanted}


def parse_nfsd(text: str) -> t.Dict[Key, str]:
    """Understand /proc/fs/nfsd/portlist: a transport and a port a line.

    :raises MalformedData: a line that is something else.
    """
    owners: t.Dict[Key, str] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) != 2 or not (words[1].isascii() and words[1].isdigit()):
            raise MalformedData(_NFSD_PORTS, "not a transport and a port", line.encode("utf-8", "replace"))
        if words[0] in (TCP, UDP):
            # The third transport, rdma, takes no port of ours.
            owners[words[0], int(words[1])] = "nfsd (the kernel's NFS server)"
    return owners


def parse_link(payload: bytes) -> t.Optional[Link]:
    """Understand one RTM_NEWLINK message.

    :returns: None for a link that holds no port: of another kind, down, or with its socket in another namespace.
    :raises MalformedData: a message that is not laid out as linux/if_link.h says.
    """
    if len(payload) < _LINK.size:
        raise MalformedData("rtnetlink", "torn link", payload)
    flags = _LINK.unpack_from(payload)[3]
    link = dict(netlink.attributes(payload[_LINK.size :]))
    if not flags & _IFF_UP or _IFLA_LINK_NETNSID in link or _IFLA_LINKINFO not in link:
        # These links open their socket when they go up, in the namespace that they were made in.
        return None
    info = dict(netlink.attributes(link[_IFLA_LINKINFO]))
    kind, name = _text(info.get(_INFO_KIND, b"")), _text(link.get(_IFLA_IFNAME, b""))
    if kind == _WIREGUARD:
        return Link(kind, name, None)
    if kind not in _PORT_ATTRIBUTES:
        return None
    port = dict(netlink.attributes(info.get(_INFO_DATA, b""))).get(_PORT_ATTRIBUTES[kind])
    return None if port is None else Link(kind, name, _port(port, "big"))


def parse_wireguard(payload: bytes) -> t.Optional[int]:
    """The listen port in one WG_CMD_GET_DEVICE message; its keys are passed over. Later messages of a device lack it."""
    port = dict(_generic_attributes(payload)).get(_WGDEVICE_LISTEN_PORT)
    # The one port that is sent in this machine's byte order.
    return None if port is None else _port(port, "native")


def parse_fou(payload: bytes) -> t.Optional[int]:
    """The port in one FOU_CMD_GET message."""
    port = dict(_generic_attributes(payload)).get(_FOU_PORT)
    return None if port is None else _port(port, "big")


def parse_family(payload: bytes) -> t.Tuple[str, int]:
    """Name and number of the generic netlink family in one CTRL_CMD_NEWFAMILY message."""
    family = dict(_generic_attributes(payload))
    return _text(family.get(_CTRL_FAMILY_NAME, b"")), _port(family.get(_CTRL_FAMILY_ID, b""), "native")


def _from_links() -> t.Dict[Key, str]:
    request = _LINK.pack(0, 0, 0, 0, 0)
    answer = netlink.ask(netlink.NETLINK_ROUTE, _RTM_GETLINK, netlink.NLM_F_DUMP, request, _TIMEOUT)
    owners: t.Dict[Key, str] = {}
    for type_, body in answer:
        link = parse_link(body) if type_ == _RTM_NEWLINK else None
        if link is None:
            continue
        port = _wireguard_port(link.name) if link.kind == _WIREGUARD else link.port
        if port:
            owners.setdefault((UDP, port), "%s link %s" % (link.kind, printable_text(link.name)))
    return owners


def _wireguard_port(name: str) -> t.Optional[int]:
    attribute = netlink.attribute(_WGDEVICE_IFNAME, name.encode("utf-8", "surrogateescape") + b"\0")
    request = _GENERIC.pack(_WG_CMD_GET_DEVICE, 1, 0) + attribute
    try:
        family = _families()[_WIREGUARD]
        answer = netlink.ask(netlink.NETLINK_GENERIC, family, netlink.NLM_F_DUMP, request, _TIMEOUT)
        ports = [parse_wireguard(body) for _unused, body in answer]
    except (ObserveError, KeyError):
        # It tells only those who have CAP_NET_ADMIN. The other links still count.
        return None
    return next((port for port in ports if port), None)


def _from_fou() -> t.Dict[Key, str]:
    family = _families().get("fou")
    if family is None:
        return {}
    request = _GENERIC.pack(_FOU_CMD_GET, 1, 0)
    answer = netlink.ask(netlink.NETLINK_GENERIC, family, netlink.NLM_F_DUMP, request, _TIMEOUT)
    ports = [parse_fou(body) for _unused, body in answer]
    return {(UDP, port): "a foo-over-udp tunnel (ip fou)" for port in ports if port}


def _families() -> t.Dict[str, int]:
    """Every generic netlink family that is there. To ask for one by its name could load a kernel module."""
    request = _GENERIC.pack(_CTRL_CMD_GETFAMILY, 1, 0)
    answer = netlink.ask(netlink.NETLINK_GENERIC, _GENL_ID_CTRL, netlink.NLM_F_DUMP, request, _TIMEOUT)
    return dict(parse_family(body) for _unused, body in answer)


def _generic_attributes(payload: bytes) -> t.Iterator[t.Tuple[int, bytes]]:
    if len(payload) < _GENERIC.size:
        raise MalformedData("generic netlink", "torn message", payload)
    return netlink.attributes(payload[_GENERIC.size :])


def _port(value: bytes, order: str) -> int:
    if len(value) != 2:
        raise MalformedData("netlink", "number of %d bytes instead of 2" % len(value), value)
    number: int = struct.unpack(">H" if order == "big" else "=H", value)[0]
    return number


def _text(value: bytes) -> str:
    """A kernel string up to its NUL. Bytes that are no UTF-8 survive, to be sent back."""
    return value.split(b"\0")[0].decode("utf-8", "surrogateescape")
