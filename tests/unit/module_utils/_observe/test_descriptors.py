# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import kcmp
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import descriptors, open_tables
from ansible_collections.harbormaster.ports.tests.unit.module_utils._observe.clocks import Countdown

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="by design: reads Linux's /proc")
CLONE_NEWNS = 0x20000
MS_PRIVATE_REC = 1 << 18 | 1 << 14
NOBODY = 65534


@pytest.fixture
def forks():
    """A function that forks a child which calls another one, says so, and stays until the test's end."""
    children = []

    def fork(function=lambda: None):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.close(reader)
                signal.alarm(60)
                function()
                os.write(writer, b"x")
                signal.pause()
            finally:
                os._exit(1)
        children.append(pid)
        os.close(writer)
        assert os.read(reader, 1) == b"x"
        os.close(reader)
        return pid

    yield fork
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.fixture
def listener():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


def inode_of(server):
    return os.fstat(server.fileno()).st_ino


def test_every_sharer_is_found(listener, forks):
    pids = sorted([os.getpid()] + [forks() for _unused in range(4)])
    found = descriptors.scan({inode_of(listener)})
    assert found.owners == {inode_of(listener): tuple(pids)}
    assert found.seen > 5


def test_only_who_has_it(listener, forks):
    without = forks(listener.close)
    found = descriptors.scan({inode_of(listener), 2})
    assert found.owners == {inode_of(listener): (os.getpid(),)}
    assert without not in found.refused


def test_nothing_to_look_for_reads_nothing():
    assert descriptors.scan(set()).seen == 0
    assert descriptors.scan({0}).owners == {}


def test_a_number_is_not_matched_by_its_beginning(listener):
    inode = inode_of(listener)
    assert descriptors.scan({int(str(inode)[:-1]), inode * 10}).owners == {}


def test_the_working_directory_stays(listener, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = os.listdir("/proc/self/fd")
    descriptors.scan({inode_of(listener)})
    assert os.getcwd() == str(tmp_path)
    assert os.listdir("/proc/self/fd") == before
    with pytest.raises(TypeError):
        descriptors.scan({"not a number"})  # type: ignore[arg-type]
    monkeypatch.setattr(descriptors, "_look", lambda *_unused: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        descriptors.scan({inode_of(listener)})
    assert os.getcwd() == str(tmp_path)
    assert os.listdir("/proc/self/fd") == before


def test_a_working_directory_that_is_gone(listener, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert descriptors.scan({inode_of(listener)}).owners == {inode_of(listener): (os.getpid(),)}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give up its rights")
def test_a_working_directory_that_may_not_be_entered_again(listener, tmp_path, in_netns):
    closed = tmp_path / "closed"
    closed.mkdir()
    os.chmod(closed, 0o700)

    def look():
        os.chdir(closed)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        # having changed its user, a process is not traceable by itself until this is said (prctl(2), PR_SET_DUMPABLE)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
        with socket.socket() as own:
            own.bind(("127.0.0.1", 0))
            found = descriptors.scan({inode_of(own)})
            return found.owners == {inode_of(own): (os.getpid(),)}, os.readlink("/proc/self/cwd")

    assert in_netns(look) == (True, str(closed))


def test_inodes_of_and_still_holds(listener, forks):
    inode = inode_of(listener)
    child = forks()
    without = forks(listener.close)
    assert inode in descriptors.inodes_of(child)
    assert descriptors.still_holds(child, [3, inode])
    assert inode not in descriptors.inodes_of(without)
    assert not descriptors.still_holds(without, [inode])
    assert not descriptors.still_holds(child, [])
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    assert descriptors.inodes_of(ended.pid) == set()
    assert descriptors.inodes_of(0) == set()


MANY = 3000


@pytest.fixture
def hoarder(forks, listener, monkeypatch):
    """A process with many descriptors, none of them of the listener."""

    def hoard():
        listener.close()
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        one = socket.socket()
        for _unused in range(MANY):
            os.dup(one.fileno())

    # as many of these as of a hundred thousand
    monkeypatch.setattr(descriptors, "_GLANCE", MANY // 6)
    return forks(hoard)


@pytest.fixture
def links_read(monkeypatch):
    """The links that were read."""
    read = []
    real = os.readlink

    def readlink(path, **more):
        read.append(path)
        return real(path, **more)

    monkeypatch.setattr(os, "readlink", readlink)
    return read


def test_a_table_that_takes_too_long_is_left_in_the_middle(hoarder, links_read):
    """An account can have half a million descriptors in each process. What was not read to its end says nothing."""
    assert descriptors.inodes_of(hoarder, Countdown(3)) is None
    assert MANY / 10 < len(links_read) < MANY * 0.7
    del links_read[:]
    assert len(descriptors.inodes_of(hoarder, Clock(600))) == 1
    assert len(links_read) > MANY


def test_no_table_is_read_when_the_time_is_over(forks, links_read):
    child = forks()
    assert descriptors.inodes_of(child, Clock(-1)) is None
    tables = open_tables.Tables(Clock(-1))
    assert tables.of(child) is None and tables.late == {child}
    assert links_read == []


def test_a_table_is_read_once_in_a_look(listener, forks, links_read, monkeypatch):
    child = forks()
    tables = open_tables.Tables(Clock())
    assert inode_of(listener) in tables.of(child)
    before = len(links_read)
    tables.clock = Clock(-1)
    assert inode_of(listener) in tables.of(child)
    assert len(links_read) == before > 0 and tables.late == set()
    # The largest ones would cost more memory than time.
    monkeypatch.setattr(open_tables, "_KEPT", 0)
    tables = open_tables.Tables(Clock())
    assert tables.of(child) == tables.of(child)
    assert len(links_read) == 3 * before


def test_who_can_not_be_read_in_time_may_still_hold_it(listener, hoarder, forks, links_read):
    """A process must not escape by filling its table."""
    inode = inode_of(listener)
    assert not descriptors.still_holds(hoarder, [inode], Clock(600))
    del links_read[:]
    assert descriptors.still_holds(hoarder, [inode], Countdown(3))
    assert len(links_read) < MANY * 0.7
    assert descriptors.still_holds(forks(listener.close), [inode], Clock(-1))
    # To hold nothing of nothing takes no time.
    assert not descriptors.still_holds(hoarder, [], Clock(-1))


def test_threads_that_can_not_be_read_in_time_may_still_hold_it(listener, forks, monkeypatch):
    inode, child = inode_of(listener), forks(listener.close)
    clock = Clock(-1)
    monkeypatch.setattr(Clock, "over", False)
    assert descriptors.still_holds(child, [inode], clock)


def test_one_that_is_found_needs_no_more_links(listener, forks, links_read):
    child = forks(lambda: [os.dup(2) for _unused in range(500)])
    assert descriptors.still_holds(child, [inode_of(listener)])
    assert len(links_read) < 300


@pytest.mark.parametrize(("left", "longest"), [(6.0, 4.8), (600.0, 8.0), (-1.0, 0.0)])
def test_a_scan_leaves_time_for_what_it_finds(listener, monkeypatch, left, longest):
    """It shares the clock of the look, and with all of it nothing could be said of who was found."""
    ends = []

    class Tally(descriptors._Tally):
        def __init__(self, until):
            ends.append(until)
            super().__init__(until)

    monkeypatch.setattr(descriptors, "_Tally", Tally)
    monkeypatch.setattr(descriptors, "_may_fork", lambda: False)
    begin = time.monotonic()
    found = descriptors.scan({inode_of(listener)}, Clock(left))
    assert ends[0] - time.monotonic() <= longest
    assert ends[0] - begin >= longest - 0.1
    if left < 0:
        assert found.owners == {} and found.refused[os.getpid()] == errno.ETIME


@pytest.fixture
def no_more_descriptors():
    """A context in which this process can open nothing: only inside it, as the test runner opens files as well."""

    @contextlib.contextmanager
    def inside():
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(2)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    return inside


@pytest.mark.parametrize("question", ["inodes_of", "still_holds"])
def test_who_is_short_of_descriptors_does_not_say_that_others_hold_nothing(
    listener, forks, no_more_descriptors, question
):
    """A holder that seems to hold nothing counts as gone, and a carrier of the connection as none."""
    inode = inode_of(listener)
    child = forks()
    arguments = (child, [inode])[: 1 if question == "inodes_of" else 2]
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)), no_more_descriptors():
        getattr(descriptors, question)(*arguments)
    assert inode in descriptors.inodes_of(child)


# --- the forked half


def together(pids, wanted):
    tally = descriptors._Tally(time.monotonic() + 60)
    with descriptors._Here():
        descriptors._look_together(pids, wanted, descriptors._links_here, tally)
    return tally


def alone(pids, wanted):
    tally = descriptors._Tally(time.monotonic() + 60)
    with descriptors._Here():
        descriptors._look(pids, wanted, descriptors._links_here, tally)
    return tally


@pytest.fixture
def crowd(listener, forks):
    """Processes of ours with and without the socket, and what is to be found of them."""
    pids = [forks(listener.close if number % 3 else lambda: None) for number in range(40)]
    wanted = {b"socket:[%d]" % inode_of(listener): inode_of(listener)}
    return [b"%d" % pid for pid in pids], wanted, sorted((inode_of(listener), pid) for pid in pids[::3])


def test_two_halves_find_what_one_finds(crowd):
    pids, wanted, expected = crowd
    before = os.listdir("/proc/self/fd")
    for _unused in range(20):
        random.shuffle(pids)
        both, one = together(pids, wanted), alone(pids, wanted)
        assert sorted(both.hits) == sorted(one.hits) == expected
        assert both.seen == one.seen
    assert os.listdir("/proc/self/fd") == before
    with open("/proc/self/task/%d/children" % os.getpid(), "rb") as stream:
        assert sorted(stream.read().split()) == sorted(pids)  # no zombie is left


def test_a_large_scan_is_shared(crowd, listener, monkeypatch):
    _pids, _wanted, expected = crowd
    monkeypatch.setattr(descriptors, "FORK_AFTER", 0)
    # whatever cores and threads this test runner has
    monkeypatch.setattr(descriptors, "_may_fork", lambda: True)
    used = []
    real = descriptors._look_together
    monkeypatch.setattr(descriptors, "_look_together", lambda *all_of: (used.append(1), real(*all_of)))
    found = descriptors.scan({inode_of(listener)})
    assert used == [1]
    # neither half takes the other for a sharer
    assert found.owners[inode_of(listener)] == tuple(sorted({pid for _inode, pid in expected} | {os.getpid()}))


def test_one_core_does_not_fork(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert not descriptors._may_fork()


def test_a_process_with_threads_does_not_fork(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    done = threading.Event()
    thread = threading.Thread(target=done.wait, args=(30,))
    thread.start()
    try:
        assert not descriptors._may_fork()
    finally:
        done.set()
        thread.join()


def die(_answer):
    os._exit(3)


def talk_nonsense(answer):
    os.write(answer, b"h 1 1\nr 5 13\ns 999999\n")


def stop_in_the_middle(answer):
    os.write(answer, b"s 999999\nd")


def hang(_answer):
    signal.pause()


@pytest.mark.parametrize("end", [die, talk_nonsense, stop_in_the_middle, hang])
def test_what_a_broken_child_leaves_is_read_again(crowd, monkeypatch, end):
    """The child takes every batch, reports none of them whole, and comes to its end."""
    pids, wanted, expected = crowd
    real = descriptors._Child.__init__
    reader, writer = os.pipe()

    def work(self, batches, wanted, read, answer):
        assert list(descriptors._numbers(self.queue)) == list(range(len(batches)))
        os.write(writer, b"x")
        end(answer)

    def begin(self, *arguments):
        real(self, *arguments)
        os.read(reader, 1)

    monkeypatch.setattr(descriptors._Child, "_work", work)
    monkeypatch.setattr(descriptors._Child, "__init__", begin)
    monkeypatch.setattr(descriptors, "_CHILD_TIMEOUT", 0.2)
    tally = together(pids, wanted)
    os.close(reader)
    os.close(writer)
    assert sorted(tally.hits) == expected
    assert tally.seen == alone(pids, wanted).seen
    assert tally.refused == {}


def test_a_child_is_not_waited_for_when_the_search_is_over(crowd, monkeypatch):
    """It may be stuck in the kernel, with what another account has made."""
    pids, wanted, _expected = crowd
    monkeypatch.setattr(descriptors._Child, "_work", lambda *_unused: signal.pause())
    monkeypatch.setattr(descriptors, "_CHILD_TIMEOUT", 3600.0)
    monkeypatch.setattr(descriptors, "_CHILD_GRACE", 0.1)

    def stop(*_unused):
        raise AssertionError("it waits for its child")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    try:
        tally = descriptors._Tally(time.monotonic() - 1)
        with descriptors._Here():
            descriptors._look_together(pids, wanted, descriptors._links_here, tally)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert tally.hits == [] and set(tally.refused.values()) == {errno.ETIME}
    assert set(tally.refused) == {int(pid) for pid in pids}


@pytest.mark.parametrize("fork_after", [0, 10**9])
def test_a_search_has_an_end(listener, forks, monkeypatch, fork_after):
    """Whose descriptors were not looked at for want of time is told, and is not "nobody has it"."""
    monkeypatch.setattr(descriptors, "FORK_AFTER", fork_after)
    monkeypatch.setattr(descriptors, "LONGEST", -1.0)
    found = descriptors.scan({inode_of(listener)})
    assert found.owners == {} and found.refused[os.getpid()] == errno.ETIME


def test_one_process_with_very_many_descriptors_is_left_in_the_middle(listener, monkeypatch):
    monkeypatch.setattr(descriptors, "_GLANCE", 8)
    tally = descriptors._Tally(time.monotonic() - 1)
    links = [b"socket:[%d]" % number for number in range(100)]
    descriptors._look_into(b"", 7, {b"socket:[99]": 99}, lambda _directory: iter(links), tally)
    assert (tally.hits, tally.refused, tally.seen) == ([], {7: errno.ETIME}, 8)


@pytest.mark.parametrize("missing", ["fork", "pipe"])
def test_without_a_child_one_reads_alone(crowd, monkeypatch, missing):
    pids, wanted, expected = crowd
    before = os.listdir("/proc/self/fd")

    def refuse():
        raise OSError(errno.EAGAIN, "none left")

    monkeypatch.setattr(os, missing, refuse)
    assert sorted(together(pids, wanted).hits) == expected
    assert os.listdir("/proc/self/fd") == before


def test_a_kernel_that_reaps_by_itself(crowd):
    pids, wanted, expected = crowd
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert sorted(together(pids, wanted).hits) == expected
    finally:
        signal.signal(signal.SIGCHLD, before)


# --- threads


THREAD = """
import ctypes, os, socket, sys, threading
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
ready = threading.Event()
def work():
    if ctypes.CDLL(None).unshare(0x400): os._exit(1)  # CLONE_FILES
    ready.set(); threading.Event().wait(60)
other = threading.Thread(target=work, daemon=True); other.start(); ready.wait()
print(os.fstat(server.fileno()).st_ino, flush=True)
if sys.argv[1] == "close":
    server.close(); print("closed", flush=True); other.join()
else:
    ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.fixture
def threaded():
    started = []

    def start(how):
        process = subprocess.Popen([sys.executable, "-c", THREAD, how], stdout=subprocess.PIPE, text=True)
        started.append(process)
        inode = int(process.stdout.readline())
        if how == "close":
            process.stdout.readline()
        else:
            while open("/proc/%d/stat" % process.pid).read().rsplit(") ", 1)[1][0] != "Z":
                assert process.poll() is None
        return process.pid, inode

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("how", ["close", "leader exits"])
def test_a_thread_with_its_own_table(threaded, how):
    pid, inode = threaded(how)
    assert descriptors.scan({inode}).owners == {inode: (pid,)}
    assert inode not in descriptors.inodes_of(pid)
    assert descriptors.still_holds(pid, [inode])
    assert not descriptors.still_holds(pid, [inode + 1])


def test_a_shared_table_is_known_as_such():
    same = kcmp.table_comparer()
    ready, done = threading.Event(), threading.Event()
    numbers = []

    def work():
        numbers.append(threading.get_native_id())
        ready.set()
        done.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(30)
        assert same(os.getpid(), numbers[0])
        assert not same(os.getpid(), os.getppid())
    finally:
        done.set()
        thread.join()


# --- what can't be seen


@pytest.mark.parametrize(
    ("mounts", "hides"),
    [
        (b"proc /proc proc rw,relatime 0 0\n", False),
        (b"proc /proc proc rw,relatime,hidepid=2 0 0\n", True),
        (b"proc /proc proc rw,hidepid=invisible,gid=5 0 0\n", True),
        (b"proc /proc proc rw,hidepid=ptraceable 0 0\n", True),
        (b"proc /proc proc rw,hidepid=0 0 0\n", False),
        (b"proc /proc proc rw,hidepid=off 0 0\n", False),
        (b"proc /mnt/proc proc rw,hidepid=2 0 0\nproc /proc proc rw 0 0\n", False),
        (b"proc /proc proc rw 0 0\nproc /proc proc rw,hidepid=1 0 0\n", True),
        (b"", False),
        (b"nonsense\n\n", False),
    ],
)
def test_mounted_with_hidepid(mounts, hides):
    assert descriptors.mounted_with_hidepid(mounts) is hides


def scan_for_anothers(listener):
    """Look for a socket that only the parent has."""
    inode = inode_of(listener)
    listener.close()
    found = descriptors.scan({inode})
    return found.owners, found.refused, found.hidepid


def test_a_plain_user_is_refused_and_says_so(in_netns, listener):
    owners, refused, hidden = in_netns(scan_for_anothers, listener, user=True, alone=False)
    assert owners == {}
    assert refused[os.getpid()] in (errno.EACCES, errno.EPERM)
    assert hidden is False


@pytest.mark.parametrize(("option", "seen"), [("hidepid=1", True), ("hidepid=2", False)])
def test_hidepid(in_netns, listener, option, seen):
    def look():
        libc = ctypes.CDLL(None, use_errno=True)
        # a new instance of proc in a mount namespace of our own; the host's is left alone
        if (
            libc.unshare(CLONE_NEWNS)
            or libc.mount(None, b"/", None, MS_PRIVATE_REC, None)
            or libc.mount(b"proc", b"/proc", b"proc", 0, option.encode())
        ):
            raise OSError(ctypes.get_errno(), "mount")
        as_root = descriptors.scan({inode_of(listener)}).hidepid
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        return (as_root, *scan_for_anothers(listener))

    as_root, owners, refused, hidden = in_netns(look, alone=False)
    assert as_root is False
    assert owners == {}
    assert (os.getpid() in refused) is seen
    assert hidden is True
