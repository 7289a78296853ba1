# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Process descriptors, and waiting for processes and sockets to end. Private to harbormaster.ports.

A pidfd (pidfd_open(2), Linux 5.3) means one process for good, also when its pid is given to another one. Python
has these calls since 3.9; below that they are made by number: they are the same on every architecture.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import sys
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import netlink

_SYS_PIDFD_SEND_SIGNAL = 424
_SYS_PIDFD_OPEN = 434


def open_pidfd(pid: int) -> t.Optional[int]:
    """A descriptor for the process that has this pid now; None where the system has no pidfds.

    :raises ProcessLookupError: no such process.
    """
    if pid <= 1:
        raise ProcessLookupError(errno.ESRCH, "pid %d is never a target" % pid)
    if not sys.platform.startswith("linux"):
        return None
    try:
        if hasattr(os, "pidfd_open"):
            return int(os.pidfd_open(pid))
        return _syscall(_SYS_PIDFD_OPEN, pid, 0)
    except ProcessLookupError:
        raise
    except OSError:
        # ENOSYS: before 5.3. EPERM: a seccomp filter that doesn't know the call. EMFILE: signals by pid work still.
        return None


def send(pid: int, pidfd: t.Optional[int], number: int) -> None:
    """Send a signal through the pidfd, or by pid where there is none.

    :raises ProcessLookupError: the process has ended.
    :raises PermissionError: it belongs to somebody else.
    """
    if pid <= 1:
        raise ProcessLookupError(errno.ESRCH, "pid %d is never signalled" % pid)
    if pidfd is None:
        os.kill(pid, number)
    elif ended(pidfd):
        # The kernel takes signals for who has ended and was not asked about yet, and delivers them to nobody.
        raise ProcessLookupError(errno.ESRCH, "pid %d has ended" % pid)
    elif hasattr(signal, "pidfd_send_signal"):
        signal.pidfd_send_signal(pidfd, number)
    else:
        _syscall(_SYS_PIDFD_SEND_SIGNAL, pidfd, number, None, 0)


def ended(pidfd: int) -> bool:
    """Whether the process, with all of its threads, has ended; also when nobody has reaped it yet."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(0))


class Waker:
    """Sleeps until a process or a socket ends, or a time is over, whichever comes first.

    Sockets that end are told by the kernel (see `netlink.destroy_watch`). New ones are told by nobody, so a sleep
    is never longer than ``LONGEST`` seconds: the one who waits looks then.
    """

    LONGEST = 0.05

    def __init__(self) -> None:
        self._watch: t.Optional[socket.socket] = None

    def __enter__(self) -> Waker:
        if sys.platform.startswith("linux"):
            self._watch = netlink.destroy_watch()
        return self

    def __exit__(self, *_unused: object) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def sleep(self, until: float, pidfds: t.Iterable[int] = ()) -> None:
        """Return when a pidfd or the watch has news, at ``until`` (monotonic seconds), or after ``LONGEST``."""
        left = min(max(until - time.monotonic(), 0.0), self.LONGEST)
        poller = select.poll()
        for pidfd in pidfds:
            poller.register(pidfd, select.POLLIN)
        if self._watch is not None:
            poller.register(self._watch, select.POLLIN)
        told = poller.poll(int(left * 1000) + 1)
        if self._watch is not None and any(number == self._watch.fileno() for number, _event in told):
            netlink.drain_watch(self._watch)


def _syscall(number: int, *arguments: t.Optional[int]) -> int:
    """One system call by its number, for Pythons without a wrapper for it."""
    import ctypes  # here: only Python 3.8 needs it, and it costs 10 ms

    answer = ctypes.CDLL(None, use_errno=True).syscall(number, *arguments)
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(answer)
