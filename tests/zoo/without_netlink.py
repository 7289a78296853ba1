# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command as some sandboxes do: sockets of the family netlink are refused (EPERM), by seccomp(2).

``python without_netlink.py COMMAND ...``. Ends with 77 where that can't be had.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

# socket(2) by machine; AUDIT_ARCH_* of linux/audit.h
SYSTEMS = {"x86_64": (41, 0xC000003E), "aarch64": (198, 0xC00000B7)}
AF_NETLINK = 16
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
# linux/bpf_common.h: load a word, jump if equal, return; linux/seccomp.h: struct seccomp_data
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
NR, ARCH, FIRST_ARGUMENT = 0, 4, 16
ALLOW, ERRNO_EPERM = 0x7FFF0000, 0x00050001


def main():
    number, architecture = SYSTEMS.get(os.uname().machine, (None, None))
    if number is None or sys.byteorder != "little":
        sys.exit(77)
    program = [
        (LOAD, 0, 0, ARCH),
        (JUMP_EQUAL, 0, 5, architecture),
        (LOAD, 0, 0, NR),
        (JUMP_EQUAL, 0, 3, number),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (JUMP_EQUAL, 0, 1, AF_NETLINK),
        (RETURN, 0, 0, ERRNO_EPERM),
        (RETURN, 0, 0, ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    filters = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None).prctl
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filters, 0, 0):
        sys.exit(77)
    os.execvp(sys.argv[1], sys.argv[1:])


main()
