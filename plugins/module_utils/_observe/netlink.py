# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket table by sock_diag(7). Private to harbormaster.ports: not an interface for other collections.

One dump for each protocol and address family, and the kernel leaves out the ports that nobody asked for. It shows what
/proc/net does not: the cookie that identifies a socket for good, IPV6_V6ONLY, and (since Linux 6.8) TCP sockets that are
bound and neither listen nor are connected. Layouts: linux/inet_diag.h.
"""

from __future__ import annotations

import socket
import struct
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData, SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import netlink
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    BOUND,
    CLOSE_WAIT,
    ESTABLISHED,
    IPV4,
    IPV6,
    LISTEN,
    TCP,
    TIME_WAIT,
    UDP,
    UNCONN,
    Socket,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.ports import Ranges, contains

# Bits of the states' numbers (net/tcp_states.h, 1 to 12) and TCP_BOUND_INACTIVE (13). Kernels that don't know a bit
# ignore it.
ALL_STATES = (1 << 14) - 2
# What a server holds without a connection: TCP listeners, bound ones, and unconnected UDP (7, TCP_CLOSE).
LISTEN_STATES = 1 << 10 | 1 << 13 | 1 << 7
# What waits for somebody. For listeners alone the kernel leaves its table of connections unread.
TCP_WAITING, UDP_WAITING = 1 << 10, 1 << 7

_TCP_STATES = {
    1: ESTABLISHED,
    2: "SYN_SENT",
    3: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    6: TIME_WAIT,
    # TCP_CLOSE: the kernel lists it only by the table of bound ports, so bound it is.
    7: BOUND,
    8: CLOSE_WAIT,
    9: "LAST_ACK",
    10: LISTEN,
    11: "CLOSING",
    12: "SYN_RECV",
}
_UDP_STATES = {1: ESTABLISHED, 7: UNCONN}

# struct inet_diag_msg: family, state, timer, retransmits, ports and addresses (big endian), interface, cookie (left
# out here), expires, receive queue, write queue, uid, inode.
_ROW = struct.Struct("=BBBBHH16s16sI8xIIIII")
_INET_DIAG_SKV6ONLY = 11

_INET_DIAG_REQ_BYTECODE = 1
_INET_DIAG_REQ_PROTOCOL = 3
_IPPROTO_MPTCP = 262

# struct inet_diag_bc_op: code, what to skip when it is so, and when it is not. A comparison's port is in the next op.
_OP = struct.Struct("=BBH")
_JUMP, _S_GE, _S_LE = 1, 2, 3

# The kernel checks the program in time that grows with the square of its length; beyond this many ranges it is
# quicker to get all rows and choose here.
KERNEL_RANGES = 64

_MAPPED = bytes(10) + b"\xff\xff"
_NOWHERE = bytes(16)


class _Texts(t.Dict[bytes, str]):
    """Address bytes -> text, each converted once: a busy host has few addresses and many rows."""


class _Texts4(_Texts):
    def __missing__(self, raw: bytes) -> str:
        text = self[raw] = socket.inet_ntop(socket.AF_INET, raw[:4])
        return text


class _Texts6(_Texts):
    def __missing__(self, raw: bytes) -> str:
        if raw[:12] == _MAPPED:
            text = socket.inet_ntop(socket.AF_INET, raw[12:])
        else:
            text = socket.inet_ntop(socket.AF_INET6, raw)
        self[raw] = text
        return text


_TEXTS4, _TEXTS6 = _Texts4(), _Texts6()


def parse_row(payload: bytes, protocol: str) -> Socket:
    """Understand one ``struct inet_diag_msg`` and the attributes behind it.

    :param protocol: ``tcp`` or ``udp``, which the row itself does not say.
    :raises MalformedData: a row that is too short, of another family or in no state that was asked for.
    """
    if len(payload) < 72:
        raise MalformedData("sock_diag", "row of %d bytes instead of 72" % len(payload), payload)
    number, state, _unused, _unused, port, peer, source, target, interface, _unused, rqueue, _unused, uid, inode = (
        _ROW.unpack_from(payload)
    )
    word = (_TCP_STATES if protocol == TCP else _UDP_STATES).get(state)
    if word is None:
        raise MalformedData("sock_diag", "%s socket in state %d" % (protocol, state), payload)
    v6only = None
    if number == 2:
        family, texts = IPV4, t.cast(_Texts, _TEXTS4)
    elif number == 10:
        family, texts = IPV6, _TEXTS6
        if state in (10, 7):
            v6only = _v6only(payload[72:])
    else:
        raise MalformedData("sock_diag", "address family %d" % number, payload)
    return Socket(
        protocol,
        family,
        texts[source],
        socket.ntohs(port),
        word,
        "" if peer == 0 and target == _NOWHERE else texts[target],
        socket.ntohs(peer),
        uid,
        inode,
        v6only,
        interface,
        rqueue,
        False,
        payload[4:52],
    )


def _v6only(data: bytes) -> t.Optional[bool]:
    for type_, value in netlink.attributes(data):
        if type_ == _INET_DIAG_SKV6ONLY:
            if len(value) != 1:
                raise MalformedData("sock_diag", "IPV6_V6ONLY in %d bytes" % len(value), data)
            return value != b"\0"
    return None


def bytecode(ranges: Ranges) -> bytes:
    """The program that lets pass what has its local port in one of the ranges; at most 3,276 of them fit.

    Each range is `port >= first, else try the next range; port <= last, else try the next range; accept`. To accept
    is to jump exactly to the end, to reject is to jump 4 bytes past it.
    """
    size = 20 * len(ranges) - 4
    program = []
    for index, (first, last) in enumerate(ranges):
        # The distance from a failed comparison to the next range, or, in the last one, past the end: alike.
        program += [_OP.pack(_S_GE, 8, 20), _OP.pack(0, 0, first), _OP.pack(_S_LE, 8, 12), _OP.pack(0, 0, last)]
        if index < len(ranges) - 1:
            program.append(_OP.pack(_JUMP, 4, size - (20 * index + 16)))
    return b"".join(program)


def dump(
    ranges: t.Optional[Ranges] = None,
    protocols: t.Sequence[str] = (TCP, UDP),
    states: int = ALL_STATES,
) -> t.List[Socket]:
    """Every socket of this network namespace whose local port is in the ranges.

    Without ranges it is the whole table, in which the kernel can lose rows: see `dump_all_twice`.

    :param ranges: None for all ports.
    :param states: bit mask over the numbers of net/tcp_states.h.
    :raises SourceRefused: netlink, or sock_diag for one of the protocols, is not to be had here. A kernel without
        IPv6 is no refusal.
    :raises MalformedData: the kernel's answer is not what linux/inet_diag.h says.
    """
    if ranges is not None and not ranges:
        return []
    extra, sift = b"", False
    if ranges is not None:
        sift = len(ranges) > KERNEL_RANGES
        chosen = ((ranges[0][0], ranges[-1][1]),) if sift else ranges
        extra = netlink.attribute(_INET_DIAG_REQ_BYTECODE, bytecode(chosen))
    rows: t.List[Socket] = []
    for protocol in protocols:
        # IPv4 clients of a dual-stack listener are in the dump of AF_INET6 only; no socket is in both.
        for family in (socket.AF_INET, socket.AF_INET6):
            rows += _table(protocol, family, states, extra)
    if sift and ranges is not None:
        # Looked up for each distinct port once.
        wanted = {port for port in {row.port for row in rows} if contains(ranges, port)}
        rows = [row for row in rows if row.port in wanted]
    if TCP in protocols and rows and mptcp_sockets(_protocols_file()):
        rows = _mark_mptcp(rows, states, extra)
    return rows


def _table(protocol: str, family: int, states: int, extra: bytes) -> t.List[Socket]:
    payload = netlink.diag_request(family, netlink.IPPROTO_NUMBERS[protocol], states) + extra
    flags = netlink.NLM_F_DUMP
    answer = netlink.ask(netlink.NETLINK_SOCK_DIAG, netlink.SOCK_DIAG_BY_FAMILY, flags, payload)
    return [parse_row(body, protocol) for type_, body in answer if type_ == netlink.SOCK_DIAG_BY_FAMILY]


def dump_all_twice(protocols: t.Sequence[str] = (TCP, UDP), states: int = ALL_STATES) -> t.List[Socket]:
    """The whole table, looked at twice and united.

    A dump without a port filter takes several messages, and the kernel finds its place again by counting: rows that
    stay can be lost while others come and go. Two looks rarely lose the same one. Of a socket that both looks saw,
    the second counts.
    """
    rows = {row.diag_id[40:48]: row for row in dump(None, protocols, states)}
    rows.update((row.diag_id[40:48], row) for row in dump(None, protocols, states))
    return list(rows.values())


def mptcp_sockets(text: str) -> bool:
    """Whether /proc/net/protocols counts any MPTCP socket (protocol, size, sockets, ...) in this namespace."""
    for line in text.splitlines():
        if line.startswith("MPTCP"):
            words = line.split(None, 3)
            if len(words) > 2 and words[2] != "0":
                return True
    return False


def _protocols_file() -> str:
    try:
        with open("/proc/self/net/protocols", encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        # Not shown here: the rows are complete without it, only their MPTCP flag is not.
        return ""


def _mark_mptcp(rows: t.List[Socket], states: int, extra: bytes) -> t.List[Socket]:
    """Say which TCP rows belong to MPTCP sockets.

    The port is held by the TCP socket underneath; it is in the TCP dump with the inode of the MPTCP socket that the
    program has, also when only bound. The MPTCP dump adds sockets whose TCP side is gone, which hold nothing: so it is
    used for the flag alone, and only where there are such sockets (asking may load a kernel module).
    """
    protocol = netlink.attribute(_INET_DIAG_REQ_PROTOCOL, struct.pack("=I", _IPPROTO_MPTCP))
    inodes: t.Set[int] = set()
    for family in (socket.AF_INET, socket.AF_INET6):
        # The real protocol number has more than 8 bits: it is in the attribute.
        try:
            payload = netlink.diag_request(family, _IPPROTO_MPTCP & 0xFF, states) + extra + protocol
            flags = netlink.NLM_F_DUMP
            answer = netlink.ask(netlink.NETLINK_SOCK_DIAG, netlink.SOCK_DIAG_BY_FAMILY, flags, payload)
            inodes.update(parse_row(body, TCP).inode for _unused, body in answer)
        except SourceRefused:
            # Kernels from 5.6 to 5.8, or without MPTCP_DIAG: it can't be said.
            return rows
    inodes.discard(0)
    return [row._replace(mptcp=True) if row.inode in inodes and row.protocol == TCP else row for row in rows]
