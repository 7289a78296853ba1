# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that no table lists. Private to harbormaster.ports: not an interface for other collections.

Before Linux 6.8 a TCP socket that is bound and neither listens nor is connected is in no table. Where a bind fails and
no row explains it, each socket of each process is asked for its name: its descriptor is copied (pidfd_getfd(2), Linux
5.6) and closed at once. Needs ptrace rights over the process.
"""

from __future__ import annotations

import errno
import os
import socket
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.pidfd import open_pidfd
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    BOUND,
    IPV4,
    IPV6,
    TCP,
    UDP,
    UNCONN,
    Blind,
    Snapshot,
    Socket,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import processes

_SYS_PIDFD_GETFD = 438
# asm-generic/socket.h, Linux 5.14: identifies the network namespace of a socket, which need not be its process's.
_SO_NETNS_COOKIE = 71

_TYPES = {TCP: socket.SOCK_STREAM, UDP: socket.SOCK_DGRAM}
_FAMILIES = {socket.AF_INET: IPV4, socket.AF_INET6: IPV6}
# After so many descriptors of one process the clock is looked at.
_GLANCE = 1024
_LATE = Blind(
    "descriptors_refused",
    "there was no time to ask every process for sockets that no table lists: some have too many files open",
    advice="look who that is (lsof | awk '{print $3}' | sort | uniq -c | sort -n), then run the task again",
)


class _TimeIsOver(Exception):
    """The clock of the look has ended a search."""


def explained(snapshot: Snapshot, ports: t.Iterable[t.Tuple[str, int]], clock: t.Optional[Clock] = None) -> Snapshot:
    """The snapshot, with the sockets that keep these ports from being bound although no table lists them.

    Where this can't be asked, or nothing is found, the snapshot stays as it is: then the owner is hidden.

    :param ports: (protocol, port) pairs.
    :param clock: of the look. A search that it ends finds nothing: some of the sharers alone would look like all of them.
    """
    clock = clock or Clock()
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    rows, owners = list(snapshot.sockets), dict(snapshot.owners)
    listed = {row.inode for row in rows}
    try:
        for protocol, port in ports:
            found, sharers = find_bound(port, protocol, pids, listed, clock)
            rows += found
            owners.update(sharers)
        known = dict(snapshot.processes)
        late: t.Set[int] = set()
        wanted = {pid for sharers in owners.values() for pid in sharers}.difference(known)
        known.update(processes.describe(wanted, clock=clock, late=late))
        if late:
            raise _TimeIsOver
    except SourceRefused:
        # Before Linux 5.6, or in a sandbox.
        return snapshot
    except _TimeIsOver:
        return snapshot._replace(blind=(*snapshot.blind, _LATE))
    return snapshot._replace(sockets=tuple(rows), owners=owners, processes=known)


def find_bound(
    port: int,
    protocol: str,
    pids: t.Iterable[int],
    listed: t.Container[int] = (),
    clock: t.Optional[Clock] = None,
) -> t.Tuple[t.List[Socket], t.Dict[int, t.Tuple[int, ...]]]:
    """The sockets of this network namespace that these processes have bound to the port, without a peer or a listener.

    :param pids: processes to look into; those that have ended or that can't be looked into are passed over.
    :param listed: inodes of sockets that are known already: these are not copied.
    :returns: the sockets, and inode -> pids that have it open, lowest first.
    :raises SourceRefused: this kernel or sandbox has no pidfd_getfd.
    :raises _TimeIsOver: not everybody could be looked into.
    """
    clock = clock or Clock()
    rows: t.Dict[int, Socket] = {}
    owners: t.Dict[int, t.Set[int]] = {}
    dull: t.Set[int] = set()
    for pid in sorted(set(pids)):
        unknown = []
        for number, inode in _sockets(pid, clock):
            if inode in rows:
                owners[inode].add(pid)
            elif inode not in listed and inode not in dull:
                unknown.append((number, inode))
        for inode, row in _ask(pid, unknown, port, protocol, clock):
            if row is None:
                dull.add(inode)
            else:
                rows[inode] = row
                owners[inode] = {pid}
    return list(rows.values()), {inode: tuple(sorted(sharers)) for inode, sharers in owners.items()}


def _sockets(pid: int, clock: Clock) -> t.Iterator[t.Tuple[int, int]]:
    """(descriptor, inode) of the process's sockets."""
    directory = "/proc/%d/fd" % pid
    if clock.over:
        raise _TimeIsOver
    try:
        names = os.listdir(directory)
    except OSError:
        # It has ended, or does not show its descriptors to us.
        return
    for count, name in enumerate(names, 1):
        if not count % _GLANCE and clock.over:
            raise _TimeIsOver
        try:
            target = os.readlink("%s/%s" % (directory, name))
        except OSError:
            # Closed meanwhile, or not shown.
            continue
        if target.startswith("socket:[") and target[8:-1].isdigit():
            yield int(name), int(target[8:-1])


def _ask(
    pid: int, descriptors: t.Sequence[t.Tuple[int, int]], port: int, protocol: str, clock: Clock
) -> t.Iterator[t.Tuple[int, t.Optional[Socket]]]:
    """(inode, row) of these descriptors of a process; None for a row of no interest, nothing for what can't be asked."""
    if not descriptors:
        return
    try:
        pidfd = open_pidfd(pid)
    except ProcessLookupError:
        return
    if pidfd is None:
        raise SourceRefused("pidfd_getfd", "no pidfd_open here")
    try:
        for count, (number, inode) in enumerate(descriptors, 1):
            if not count % _GLANCE and clock.over:
                raise _TimeIsOver
            try:
                descriptor = _getfd(pidfd, number)
            except OSError as error:
                if error.errno == errno.ENOSYS:
                    raise SourceRefused("pidfd_getfd", os.strerror(errno.ENOSYS)) from error
                # EBADF: closed meanwhile. ESRCH: ended. EPERM: no ptrace rights. EMFILE: at our limit.
                continue
            try:
                # The process may have opened something else under this number since it was listed.
                if os.fstat(descriptor).st_ino == inode:
                    row = _row(descriptor, inode, port, protocol)
                    yield inode, row if row and _is_local(descriptor, pid) else None
            except OSError:
                # It changed while it was asked, or is a socket of a kind that has no such name.
                continue
            finally:
                os.close(descriptor)
    finally:
        os.close(pidfd)


def _row(descriptor: int, inode: int, port: int, protocol: str) -> t.Optional[Socket]:
    # Detached on every way out: closing is the caller's. Only read: file status flags and options are shared with
    # the socket's owner.
    view = socket.socket(fileno=descriptor)
    try:
        family = _FAMILIES.get(view.family)
        if family is None or view.type != _TYPES[protocol] or view.getsockname()[1] != port:
            return None
        if protocol == TCP and view.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
        if _connected(view):
            return None
        v6only = None
        if family == IPV6:
            v6only = bool(view.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
        address = view.getsockname()[0].partition("%")[0]
        if address.startswith("::ffff:") and "." in address:
            address = address[7:]
        # The owner of the inode is the uid that the tables show.
        uid = os.fstat(descriptor).st_uid
        return Socket(protocol, family, address, port, BOUND if protocol == TCP else UNCONN, "", 0, uid, inode, v6only)
    finally:
        view.detach()


def _is_local(descriptor: int, pid: int) -> bool:
    """Whether the socket is in our network namespace; before Linux 5.14 the process's own must do as an answer."""
    view = socket.socket(fileno=descriptor)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
            cookies = [one.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8) for one in (view, ours)]
    except OSError:
        return os.stat("/proc/%d/ns/net" % pid).st_ino == os.stat("/proc/self/ns/net").st_ino
    finally:
        view.detach()
    return cookies[0] == cookies[1]


def _connected(view: socket.socket) -> bool:
    try:
        view.getpeername()
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            return False
        raise
    return True


def _getfd(pidfd: int, number: int) -> int:
    """A copy of another process's descriptor. It is closed on exec by itself."""
    import ctypes  # not on the common path: it costs 10 ms

    answer = ctypes.CDLL(None, use_errno=True).syscall(_SYS_PIDFD_GETFD, pidfd, number, 0)
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(answer)
