# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose namespaces a process is in, as the kernel says. Private to harbormaster.ports."""

from __future__ import annotations

import fcntl
import os
import struct
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._model import Process

# linux/nsfs.h
_NS_GET_OWNER_UID = 0xB704
_UID = struct.Struct("=I")


def same(pid: int, kind: str) -> t.Optional[bool]:
    """Whether a process is in our own namespace of this kind (``net``); None for one that may not be looked at."""
    try:
        return os.stat("/proc/%d/ns/%s" % (pid, kind)).st_ino == os.stat("/proc/self/ns/%s" % kind).st_ino
    except PermissionError:
        return None
    except OSError:
        # it has ended
        return False


def belongs_to(process: Process, uid: int) -> bool:
    """Whether a process is an account's: started by it, or by one of the subordinate users in a user namespace of its own."""
    return process.account == uid or owner(process.pid) == uid


def owner(pid: int) -> t.Optional[int]:
    """The account that has made the user namespace of a process; None for the host's own one, or when it can't be told."""
    try:
        handle = os.open("/proc/%d/ns/user" % pid, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.fstat(handle).st_ino == os.stat("/proc/self/ns/user").st_ino:
            return None
        (uid,) = _UID.unpack(fcntl.ioctl(handle, _NS_GET_OWNER_UID, bytes(_UID.size)))
        return int(uid)
    except OSError:
        return None
    finally:
        os.close(handle)
