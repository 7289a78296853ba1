# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket table by /proc/net. Private to harbormaster.ports: not an interface for other collections.

For hosts and sandboxes that refuse netlink. It knows neither IPV6_V6ONLY, nor interfaces, nor cookies, nor TCP sockets
that are bound without listening. Layout: proc_net(5), and get_tcp4_sock() and its kin in the kernel.
"""

from __future__ import annotations

import binascii
import socket
import sys
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData, SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
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

_TCP_STATES = {
    b"01": ESTABLISHED,
    b"02": "SYN_SENT",
    b"03": "SYN_RECV",
    b"04": "FIN_WAIT1",
    b"05": "FIN_WAIT2",
    b"06": TIME_WAIT,
    b"07": "CLOSE",
    b"08": CLOSE_WAIT,
    b"09": "LAST_ACK",
    b"0A": LISTEN,
    b"0B": "CLOSING",
    b"0C": "SYN_RECV",
}
_UDP_STATES = {b"01": ESTABLISHED, b"07": UNCONN}

_MAPPED = bytes(10) + b"\xff\xff"
# Column of each field; a TIME_WAIT row ends after the reference count and pointer behind the inode.
_LOCAL, _REMOTE, _STATE, _QUEUES, _UID, _INODE = 1, 2, 3, 4, 7, 9


def read(ranges: t.Optional[Ranges] = None, protocols: t.Sequence[str] = (TCP, UDP)) -> t.List[Socket]:
    """Every socket of this network namespace whose local port is in the ranges (None: all ports), each once.

    :raises SourceRefused: a table can't be read; one for IPv6 that isn't there is no refusal.
    :raises MalformedData: a table is not what proc_net(5) says.
    """
    rows: t.List[Socket] = []
    for protocol in protocols:
        for family, suffix in ((IPV4, ""), (IPV6, "6")):
            # Not /proc/net: that is the same link, but sandboxes know this name better.
            path = "/proc/self/net/%s%s" % (protocol, suffix)
            try:
                with open(path, "rb") as stream:
                    data = stream.read()
            except OSError as error:
                if family == IPV6 and isinstance(error, FileNotFoundError):
                    # IPv6 is not in this kernel, or switched off at boot.
                    continue
                raise SourceRefused(path, error.strerror or str(error)) from error
            rows += parse_table(data, protocol, family)
    if ranges is not None:
        wanted = {port for port in {row.port for row in rows} if contains(ranges, port)}
        rows = [row for row in rows if row.port in wanted]
    # The kernel writes the table page by page and may repeat a row at the seam.
    return list(dict.fromkeys(rows))


def parse_table(data: bytes, protocol: str, family: str) -> t.List[Socket]:
    """Understand one table: a title line, then one line for each socket.

    :raises MalformedData: a line that is not one, also when the last one is cut.
    """
    source = "/proc/net/%s%s" % (protocol, "" if family == IPV4 else "6")
    lines = data.split(b"\n")
    if not lines[0].split()[:2] == [b"sl", b"local_address"] or lines.pop() != b"":
        raise MalformedData(source, "no title, or no end of line at the end", data)
    states = _TCP_STATES if protocol == TCP else _UDP_STATES
    rows = []
    for line in lines[1:]:
        words = line.split()
        try:
            address, port = _endpoint(words[_LOCAL], family)
            remote, peer = _endpoint(words[_REMOTE], family)
            nowhere = peer == 0 and not words[_REMOTE].strip(b"0:")
            row = Socket(
                protocol,
                family,
                address,
                port,
                states[words[_STATE]],
                "" if nowhere else remote,
                peer,
                _number(words[_UID]),
                _number(words[_INODE]),
                rqueue=int(_hexadecimal(words[_QUEUES].partition(b":")[2], 4), 16),
            )
        except (IndexError, KeyError, ValueError) as error:
            raise MalformedData(source, "not a row", line) from error
        rows.append(row)
    return rows


def _endpoint(word: bytes, family: str) -> t.Tuple[str, int]:
    """``0100007F:1F90``: each 32-bit word of the address as a number of this machine, the port as a plain number."""
    digits, _colon, port = word.partition(b":")
    raw = _hexadecimal_bytes(digits, 4 if family == IPV4 else 16)
    if sys.byteorder == "little":
        raw = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    if family == IPV4:
        text = socket.inet_ntop(socket.AF_INET, raw)
    elif raw[:12] == _MAPPED:
        text = socket.inet_ntop(socket.AF_INET, raw[12:])
    else:
        text = socket.inet_ntop(socket.AF_INET6, raw)
    return text, int(_hexadecimal(port, 2), 16)


def _hexadecimal_bytes(digits: bytes, size: int) -> bytes:
    return binascii.unhexlify(_hexadecimal(digits, size))


def _hexadecimal(digits: bytes, size: int) -> bytes:
    """These digits, when they are as many as `size` bytes have. int() alone would take blanks, signs and underscores."""
    if len(digits) != 2 * size or not digits.isalnum():
        raise ValueError("not %d hexadecimal bytes" % size)
    return digits


def _number(digits: bytes) -> int:
    # At most 20 digits, as an unsigned long has.
    if not digits.isdigit() or len(digits) > 20:
        raise ValueError("not a number")
    return int(digits)
