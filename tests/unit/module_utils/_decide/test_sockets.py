# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rows a bind would meet, held against the kernel's own answer."""

from __future__ import annotations

import errno
import socket

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._decide import sockets
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Snapshot, Socket, Wish

PORT = 20004
# address and v6only of a listener; None for IPv4
PLACES = [
    ("0.0.0.0", None), ("127.0.0.1", None), ("127.0.0.2", None), ("::", 0), ("::", 1), ("::1", 1),
]  # fmt: skip


def bound(address, v6only, listen):
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if v6only is not None:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    try:
        one.bind((address, PORT))
    except OSError as error:
        one.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    if listen:
        one.listen()
    return one


def kernel_says(holder, asked):
    """Whether a server can't be bound at ``asked`` while one listens at ``holder``."""
    first = bound(*holder, listen=True)
    second = bound(*asked, listen=False)
    first.close()
    if second is not None:
        second.close()
    return second is None


@pytest.mark.parametrize("holder", PLACES, ids=str)
@pytest.mark.parametrize("asked", [place for place in PLACES if place != ("::", 1)], ids=str)
def test_a_row_collides_where_the_kernel_says_so(in_netns, holder, asked):
    address, v6only = holder
    row = Socket(
        "tcp",
        "ipv6" if ":" in address else "ipv4",
        address,
        PORT,
        "LISTEN",
        v6only=None if v6only is None else bool(v6only),
    )
    assert sockets.collides(row, asked[0]) is in_netns(kernel_says, holder, asked)


def test_every_row_collides_where_no_address_is_asked():
    for address, _v6only in PLACES:
        assert sockets.collides(Socket("tcp", "ipv4", address, PORT, "LISTEN"), None)


@pytest.mark.parametrize(
    ("port", "reserved", "answer"),
    [(32767, (), False), (32768, (), True), (60999, (), True), (61000, (), False), (40000, (40000,), False)],
)
def test_ephemeral(port, reserved, answer):
    assert sockets.is_ephemeral(Snapshot(ephemeral_reserved=frozenset(reserved)), port) is answer


def connection(state, inode=12, unread=0):
    return Socket("tcp", "ipv4", "10.0.0.1", PORT, state, "10.0.0.2", 50000, inode=inode, rqueue=unread)


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        (connection("ESTABLISHED"), True),
        (connection("ESTABLISHED", unread=1), False),
        (connection("ESTABLISHED", inode=0), False),
        (connection("SYN_RECV", inode=0), False),
        (connection("CLOSE_WAIT"), False),
        (connection("LAST_ACK", inode=0), False),
        (connection("TIME_WAIT", inode=0), True),
        (connection("FIN_WAIT2", inode=0), True),
    ],
)
def test_what_a_stop_leaves_behind(row, answer):
    listener = Socket("tcp", "ipv4", "0.0.0.0", PORT, "LISTEN", inode=11)
    rows = sockets.Index(Snapshot((listener, row))).rows(Wish(PORT, "tcp"))
    assert rows.accepted == (row,)
    assert sockets.will_linger(rows) is answer
