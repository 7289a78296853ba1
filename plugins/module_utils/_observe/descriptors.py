# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which processes have a socket open. Private to harbormaster.ports: not an interface for other collections.

The kernel keeps no way from a socket back to its processes: they are found by reading every link in every
/proc/[pid]/fd (proc_pid_fd(5)) and keeping those that say ``socket:[inode]``. On a host with 60,000 descriptors this is
nearly all of a look's time, hence:

* the working directory goes into each fd directory, so that the kernel resolves one short name a descriptor
  (0.9 of the time that ``dir_fd`` takes); it is put back whatever happens, and where it could not be put back
  (a directory that we may not enter again) descriptors are read by ``dir_fd``;
* beyond a few thousand descriptors, and with a second core to use, the rest of the processes is shared with a forked child. Both
  take batches of processes from one pipe until it is empty; what the child does not report in full is read again here.

A socket that nobody seems to have may still belong to a thread: threads can have their own table of descriptors
(unshare(2), CLONE_FILES), and a leader that has exited shows none while its threads live on. These are looked at last.
"""

from __future__ import annotations

import errno
import functools
import os
import select
import signal
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock

# A child pays for itself (2 to 5 ms for the fork and what it copies) when about this many links are left to read.
FORK_AFTER = 4000
# A child that reports nothing for this long is stuck on something of the kernel's; we then read its share too.
_CHILD_TIMEOUT = 20.0
# Seconds that it may be late with that, once the search has come to its end.
_CHILD_GRACE = 1.0
# Seconds for one scan, and what it may take of the time that a look has left. An account can have a million descriptors open.
LONGEST, _SHARE = 10.0, 0.8
# Seconds in which it has to be seen that a process has let a socket go.
_LETTING_GO = 2.0
# After so many descriptors the clock is looked at.
_GLANCE = 4096
# More than this is no report of ours: a million sharers.
_REPORT_LIMIT = 32 << 20

_VANISHED = (errno.ENOENT, errno.ESRCH)
# It is we who are short of something: "holds nothing" would be a lie.
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Scan(t.NamedTuple):
    """What one pass over all processes found.

    :param owners: inode -> every pid that has it open, lowest first.
    :param refused: pid -> errno of processes whose descriptors could not be read; ETIME for want of time. One that vanished is
        not among them.
    :param hidepid: the mount of /proc hides other users' processes from us.
    :param seen: how many descriptors were looked at.
    """

    owners: t.Dict[int, t.Tuple[int, ...]]
    refused: t.Dict[int, int]
    hidepid: bool
    seen: int


class _Tally:
    """What has been found so far, and the monotonic time at which the search ends."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.hits: t.List[t.Tuple[int, int]] = []  # (inode, pid)
        self.refused: t.Dict[int, int] = {}
        self.seen = 0


def scan(inodes: t.AbstractSet[int], clock: t.Optional[Clock] = None) -> Scan:
    """Find every process that has one of these sockets open.

    :param clock: of the look. Most of what is left may be taken; the rest is for asking about who was found.
    """
    wanted = {b"socket:[%d]" % inode: inode for inode in inodes if inode}
    if not wanted:
        return Scan({}, {}, hidepid(), 0)
    tally = _Tally(time.monotonic() + (LONGEST if clock is None else min(LONGEST, clock.left() * _SHARE)))
    pids = _pids()
    with _Here() as here:
        read = _links_here if here.can_return else _links_by_fd
        at = 0
        alone = not _may_fork()
        while at < len(pids) and (alone or tally.seen < FORK_AFTER):
            _look(pids[at : at + 1], wanted, read, tally)
            at += 1
        if at < len(pids):
            _look_together(pids[at:], wanted, read, tally)
        missing = set(inodes) - {inode for inode, _pid in tally.hits} - {0}
        if missing:
            _look_at_threads(pids, {b"socket:[%d]" % inode: inode for inode in missing}, read, tally)
    owners: t.Dict[int, t.Set[int]] = {}
    for inode, pid in tally.hits:
        owners.setdefault(inode, set()).add(pid)
    return Scan({inode: tuple(sorted(found)) for inode, found in owners.items()}, tally.refused, hidepid(), tally.seen)


def inodes_of(pid: int, clock: t.Optional[Clock] = None) -> t.Optional[t.Set[int]]:
    """Inodes of all sockets that a process has open; none when it is gone or may not be looked at.

    :returns: None when there was no time to read them all, which says nothing of what it holds.
    """
    clock = clock or Clock()
    if clock.over:
        return None
    found = set()
    try:
        for number, link in enumerate(_links_by_fd(b"/proc/%d/fd" % pid), 1):
            if link.startswith(b"socket:["):
                found.add(int(link[8:-1]))
            if not number % _GLANCE and clock.over:
                return None
    except OSError as error:
        if error.errno in _SHORT:
            raise
        # gone or refused, in the middle perhaps: what was read is true, more is not to be had
    return found


def still_holds(pid: int, inodes: t.Iterable[int], clock: t.Optional[Clock] = None) -> bool:
    """Whether the process still has at least one of these sockets open, as far as can be seen.

    Its threads are asked too: the first one may have ended, and any of them may have a table of its own. Without the time
    to see everything it may still hold them: a look has found it so, and nobody may escape by filling his table.
    """
    wanted = {b"socket:[%d]" % inode: inode for inode in inodes if inode}
    if not wanted:
        return False
    clock = clock or Clock(_LETTING_GO)
    try:
        for number, link in enumerate(_links_by_fd(b"/proc/%d/fd" % pid)):
            if link in wanted or (not number % _GLANCE and clock.over):
                return True
    except OSError as error:
        if error.errno in _SHORT:
            raise
    tally = _Tally(clock.until)
    _look_at_threads([b"%d" % pid], wanted, _links_by_fd, tally)
    return bool(tally.hits) or errno.ETIME in tally.refused.values()


def hidepid() -> bool:
    """Whether processes of others are hidden from us by the mount option ``hidepid`` (proc(5))."""
    try:
        # Mode 1 lists PID 1 and refuses what is in it; the other modes don't show it at all.
        os.stat("/proc/1/stat")
        owner = os.stat("/proc/1").st_uid
    except OSError:
        return True
    if os.geteuid() == 0 or owner != os.geteuid():
        return False
    # PID 1 is our own (a container of ours), so seeing it says nothing.
    try:
        with open("/proc/self/mounts", "rb") as stream:
            return mounted_with_hidepid(stream.read())
    except OSError:
        return False


def mounted_with_hidepid(mounts: bytes) -> bool:
    """Whether /proc/self/mounts (fstab(5)) says that /proc hides processes: by number, or by word since Linux 5.8."""
    hides = False
    for line in mounts.split(b"\n"):
        fields = line.split(b" ")
        if len(fields) >= 4 and fields[1] == b"/proc" and fields[2] == b"proc":
            # the last mount on one place is the one that is seen
            options = fields[3].split(b",")
            hides = any(each.startswith(b"hidepid=") and each not in (b"hidepid=0", b"hidepid=off") for each in options)
    return hides


_Read = t.Callable[[bytes], t.Iterator[bytes]]


class _Here:
    """The working directory, to come back to."""

    def __enter__(self) -> _Here:
        try:
            self._directory = os.open(".", os.O_PATH | os.O_DIRECTORY)
            # O_PATH opens what may be opened by nobody; only going there shows that we may
            os.fchdir(self._directory)
            self.can_return = True
        except OSError:
            self._directory = -1
            self.can_return = False
        return self

    def __exit__(self, *_unused: object) -> None:
        if self._directory >= 0:
            os.fchdir(self._directory)
            os.close(self._directory)


def _pids() -> t.List[bytes]:
    return [name for name in os.listdir(b"/proc") if name.isdigit()]


def _links_here(directory: bytes) -> t.Iterator[bytes]:
    """Targets of all descriptors in a fd directory, by going there."""
    os.chdir(directory)
    return map(os.readlink, os.listdir(b"."))


def _links_by_fd(directory: bytes) -> t.Iterator[bytes]:
    """The same without moving, each one only when it is asked for."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        read = functools.partial(os.readlink, dir_fd=handle)
        with os.scandir(handle) as entries:
            for entry in entries:
                try:
                    link = os.fsencode(read(entry.name))
                except FileNotFoundError:
                    continue  # closed since it was listed
                yield link
    finally:
        os.close(handle)


def _look(pids: t.Iterable[bytes], wanted: t.Mapping[bytes, int], read: _Read, tally: _Tally) -> None:
    for pid in pids:
        if time.monotonic() > tally.until:
            tally.refused[int(pid)] = errno.ETIME
        else:
            _look_into(b"/proc/%b/fd" % pid, int(pid), wanted, read, tally)


def _look_into(directory: bytes, pid: int, wanted: t.Mapping[bytes, int], read: _Read, tally: _Tally) -> None:
    links: t.Optional[t.Iterator[bytes]] = None
    while True:
        try:
            if links is None:
                links = read(directory)
            for link in links:
                tally.seen += 1
                if link in wanted:
                    tally.hits.append((wanted[link], pid))
                elif not tally.seen % _GLANCE and time.monotonic() > tally.until:
                    tally.refused[pid] = errno.ETIME
                    return
            return
        except OSError as error:
            # One descriptor that was closed since it was listed: the iterator goes on behind it. Without an iterator,
            # it is the process that is gone (ENOENT before it is reaped, ESRCH after).
            if error.errno in _VANISHED:
                if links is not None and error.errno == errno.ENOENT:
                    continue
                return
            # EACCES, EPERM: not ours. The kernel decides that by process (ptrace(2), access mode checking), so
            # the other links would be refused as well. Whatever else it is: we have not seen these descriptors.
            tally.refused[pid] = error.errno or errno.EIO
            return


# --- two at once


def _may_fork() -> bool:
    """Whether a second core can help, and forking is safe: with one thread only, as no lock is then half held."""
    return len(os.sched_getaffinity(0)) > 1 and len(os.listdir("/proc/self/task")) == 1


def _look_together(pids: t.List[bytes], wanted: t.Mapping[bytes, int], read: _Read, tally: _Tally) -> None:
    # Batches as small as one byte can number them: a few large processes are shared out evenly too.
    size = -(-len(pids) // 255)
    batches = [pids[at : at + size] for at in range(0, len(pids), size)]
    try:
        child = _Child(batches, wanted, read, tally.until)
    except OSError:
        # no process or no pipe to be had: alone then
        _look(pids, wanted, read, tally)
        return
    done = set()
    try:
        for number in _numbers(child.queue):
            done.add(number)
            _look(batches[number], wanted, read, tally)
        done |= child.report_into(tally, wanted)
    finally:
        child.end()
    for number, batch in enumerate(batches):
        if number not in done:
            _look(batch, wanted, read, tally)


def _numbers(queue: int) -> t.Iterator[int]:
    """Batch numbers from the shared pipe, one byte each, until both sides have emptied it."""
    while True:
        byte = os.read(queue, 1)
        if not byte:
            return
        yield byte[0]


class _Child:
    """A forked copy of this process that reads batches too, and reports them through a pipe.

    A report is a line a fact: ``h INODE PID``, ``r PID ERRNO``, ``s SEEN``, and ``d BATCH`` when the batch is whole. What
    comes after the last ``d`` does not count.
    """

    def __init__(
        self, batches: t.List[t.List[bytes]], wanted: t.Mapping[bytes, int], read: _Read, until: float
    ) -> None:
        self._until = until
        self.queue, fill = os.pipe()
        try:
            os.write(fill, bytes(range(len(batches))))
        finally:
            os.close(fill)
        try:
            self._answer, answer = os.pipe()
        except OSError:
            os.close(self.queue)
            raise
        try:
            self._pid = os.fork()
        except OSError:
            for descriptor in (self.queue, self._answer, answer):
                os.close(descriptor)
            raise
        if self._pid == 0:
            # Nothing of the parent's may run in here: no handler of its signals, no exit function, no flush.
            try:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.close(self._answer)
                self._work(batches, wanted, read, answer)
            finally:
                os._exit(0)
        os.close(answer)

    def _work(self, batches: t.List[t.List[bytes]], wanted: t.Mapping[bytes, int], read: _Read, answer: int) -> None:
        for number in _numbers(self.queue):
            tally = _Tally(self._until)
            _look(batches[number], wanted, read, tally)
            lines = ["h %d %d" % hit for hit in tally.hits]
            lines += ["r %d %d" % refusal for refusal in tally.refused.items()]
            lines += ["s %d" % tally.seen, "d %d\n" % number]
            data = "\n".join(lines).encode("ascii")
            while data:
                data = data[os.write(answer, data) :]

    def report_into(self, tally: _Tally, wanted: t.Mapping[bytes, int]) -> t.Set[int]:
        """Add what the child found; the numbers of the batches that it did in full."""
        known = set(wanted.values())
        done = set()
        part = _Tally(tally.until)
        for line in self._lines(tally.until):
            kind, *words = line.split()
            numbers = [int(word) for word in words]
            if kind == b"h" and numbers[0] in known:
                part.hits.append((numbers[0], numbers[1]))
            elif kind == b"r":
                part.refused[numbers[0]] = numbers[1]
            elif kind == b"s":
                part.seen += numbers[0]
            elif kind == b"d":
                done.add(numbers[0])
                tally.hits += part.hits
                tally.refused.update(part.refused)
                tally.seen += part.seen
                part = _Tally(tally.until)
        return done

    def _lines(self, until: float) -> t.List[bytes]:
        data = b""
        now = time.monotonic()
        until = min(now + _CHILD_TIMEOUT, max(now, until) + _CHILD_GRACE)
        poll = select.poll()
        poll.register(self._answer, select.POLLIN)
        while len(data) < _REPORT_LIMIT:
            left = until - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                break
            chunk = os.read(self._answer, 1 << 16)
            if not chunk:
                break
            data += chunk
        return data.split(b"\n")[:-1]

    def end(self) -> None:
        """Make sure that nothing of it is left."""
        os.close(self._answer)
        os.close(self.queue)
        try:
            # It is at its end already, unless it was too slow. Nobody has reaped it, so the pid is still its own.
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        except OSError:
            # ECHILD, ESRCH: the kernel has reaped it by itself, as whoever started us ignores SIGCHLD
            pass


# --- threads


def _look_at_threads(pids: t.Iterable[bytes], wanted: t.Mapping[bytes, int], read: _Read, tally: _Tally) -> None:
    """Read the descriptors of threads that have a table of their own."""
    share = None
    for pid in pids:
        if time.monotonic() > tally.until:
            tally.refused.setdefault(int(pid), errno.ETIME)
            return
        # Also of processes that were refused: the directory of a dead leader belongs to root, those of its threads do not.
        try:
            threads = os.listdir(b"/proc/%b/task" % pid)
        except OSError:
            continue  # gone: a thread can't outlive its process
        if len(threads) < 2:
            continue
        if share is None:
            from ansible_collections.harbormaster.ports.plugins.module_utils._linux import kcmp

            share = kcmp.table_comparer()
        for thread in threads:
            if time.monotonic() > tally.until:
                tally.refused[int(pid)] = errno.ETIME
                return
            if thread != pid and not share(int(pid), int(thread)):
                _look_into(b"/proc/%b/task/%b/fd" % (pid, thread), int(pid), wanted, read, tally)
