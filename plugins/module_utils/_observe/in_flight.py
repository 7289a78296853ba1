# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may have a socket that no table of descriptors shows. Private to harbormaster.ports.

A socket stays open without a descriptor while it is on its way to another process (SCM_RIGHTS of unix(7)), which an account
may let last for ever by never receiving it, and while it is registered with an io_uring (io_uring_register(2)). Who that is, the
kernel does not say: only that a process has such things. Loaded only where a socket has no owner.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock

_LARGEST = 1 << 16
# Seconds for all of it, and descriptors of one process: an account may have half a million in each.
_LONGEST = 1.0
_MOST_DESCRIPTORS = 10000
_IO_URING = b"anon_inode:[io_uring]"
_SOCKET = b"socket:["
# Lines of /proc/[pid]/fdinfo. Of a Unix socket: descriptors that wait in its queue, or in those of whom it has not accepted.
_WAITING = b"scm_fds:"
# Of an io_uring: files that are registered with it.
_REGISTERED = b"UserFiles:"


def suspects(makers: t.AbstractSet[int], clock: Clock) -> t.Tuple[t.Dict[int, t.Tuple[int, ...]], int]:
    """Accounts that have made sockets without an owner -> pids of theirs that may have these; and how many were not looked into.

    :param clock: of the look; this takes a small part of what is left.
    """
    own = Clock(clock.left(_LONGEST))
    found: t.Dict[int, t.List[int]] = {}
    late = 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        pid = int(name)
        accounts = makers & set(_accounts(pid))
        if not accounts:
            continue
        keeps = _keeps_some(pid, own)
        if keeps is None:
            late += 1
        for account in accounts if keeps else ():
            found.setdefault(account, []).append(pid)
    return {account: tuple(sorted(pids)) for account, pids in found.items()}, late


def _accounts(pid: int) -> t.Iterable[int]:
    uids = evidence.uids(_content("/proc/%d/status" % pid))
    return uids if uids is not None else ()


def _keeps_some(pid: int, clock: Clock) -> t.Optional[bool]:
    """Whether a process has a Unix socket in which descriptors wait, or files registered with an io_uring; None for no time."""
    folder = "/proc/%d/fd" % pid
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if clock.over or number >= _MOST_DESCRIPTORS:
                    return None
                try:
                    link = os.fsencode(os.readlink(entry.path))
                except OSError:
                    continue
                counter = _REGISTERED if link == _IO_URING else _WAITING if link.startswith(_SOCKET) else None
                if counter is not None and _counts(_content("/proc/%d/fdinfo/%s" % (pid, entry.name)), counter):
                    return True
    except OSError:
        return False
    return False


def _counts(info: bytes, counter: bytes) -> bool:
    """Whether this line of a fdinfo is there, and says more than 0."""
    lines = (line for line in info.split(b"\n") if line.startswith(counter))
    return any(line[len(counter) :].strip() != b"0" for line in lines)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(_LARGEST)
    except OSError:
        return b""
