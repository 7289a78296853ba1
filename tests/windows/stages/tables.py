# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of socket tables, by the rules of struct and not by our own offsets.

MIB_TCPTABLE_OWNER_MODULE and its kin as tcpmib.h and udpmib.h have them.
"""

from __future__ import annotations

import ipaddress
import struct

# A FILETIME: some moment of 2026.
BOUND_AT = 134_397_103_878_723_020


def port(number):
    return struct.pack("!H2x", number)


def tcp4(state, local, local_port, remote="0.0.0.0", remote_port=0, pid=0, created=0):
    packed = struct.pack("<I", state) + ipaddress.ip_address(local).packed + port(local_port)
    packed += ipaddress.ip_address(remote).packed + port(remote_port) + struct.pack("<I", pid)
    return packed + struct.pack("<q16Q", created, *range(16))


def tcp6(state, local, local_port, remote="::", remote_port=0, pid=0, created=0, scope=0):
    packed = ipaddress.ip_address(local).packed + struct.pack("<I", scope) + port(local_port)
    packed += (
        ipaddress.ip_address(remote).packed + struct.pack("<I", 0) + port(remote_port) + struct.pack("<II", state, pid)
    )
    return packed + struct.pack("<q16Q", created, *range(16))


def udp4(local, local_port, pid=0, created=0):
    return (
        ipaddress.ip_address(local).packed + port(local_port) + struct.pack("<I4xqi4x16Q", pid, created, 0, *range(16))
    )


def udp6(local, local_port, pid=0, created=0, scope=0):
    packed = ipaddress.ip_address(local).packed + struct.pack("<I", scope) + port(local_port)
    return packed + struct.pack("<I4xqi4x16Q", pid, created, 0, *range(16))


def table(*rows):
    return struct.pack("<I4x", len(rows)) + b"".join(rows)
