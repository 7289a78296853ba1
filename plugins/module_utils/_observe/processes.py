# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a process. Private to harbormaster.ports: not an interface for other collections.

Everything is read below one open /proc/[pid] directory: it stands for the process itself, so a pid that is given to
somebody else meanwhile answers ESRCH instead of a stranger's data. A process that vanishes is left out.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Process, Unit
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import cgroups

# Longer chains of parents are no real ones; a chain that is read while it changes must not keep us either.
MAX_ANCESTORS = 128
# TASK_COMM_LEN of linux/sched.h, without its NUL: a name of this length may have been longer.
_LONGEST_COMM = 15
# Of a command line, what may name a program: an interpreter's options and script.
_LONGEST_WORDS = 4096
# How the names begin of what stands above a container (see `apart`).
_SHIMS = ("containerd-shim", "conmon", "crio-conmon", "runc", "crun")

_UID = re.compile(rb"^Uid:\t(\d{1,10})\t(\d{1,10})\t(\d{1,10})\t(\d{1,10})$", re.MULTILINE)
# What is shown of a command line, and so all that is searched; and what is read of it: any account has one of megabytes.
# Of two bytes more the first one may be the end of its last word, and the second one says that there is more.
_LONGEST_COMMAND = 4096
_MOST_OF_COMMAND = _LONGEST_COMMAND + 2
# Of /proc/[pid]/stat and status: the first is much shorter, and in the second the accounts stand before what may be long,
# the list of 65536 groups. A control group has a path of at most 4096 characters, in one line for each of 14 hierarchies.
_MOST_OF_STATE = 4096
_MOST_OF_GROUPS = 64 << 10
_BTIME = re.compile(rb"^btime (\d{1,20})$", re.MULTILINE)


class Stat(t.NamedTuple):
    """The fields of /proc/[pid]/stat that we use; numbers in proc_pid_stat(5).

    :param start_ticks: field 22, clock ticks since boot.
    :param image: field 28, the address at which the stack begins; 0 where this account may not see it.
    """

    pid: int
    comm: bytes
    state: str
    parent_pid: int
    start_ticks: int
    image: int = 0


class Status(t.NamedTuple):
    """The fields of /proc/[pid]/status that we use."""

    real_uid: int
    effective_uid: int
    saved_uid: int


def parse_stat(data: bytes) -> Stat:
    """Understand /proc/[pid]/stat.

    The name is between the first ``(`` and the last ``)`` and may hold anything, also brackets, blanks and newlines;
    after it come only a letter and numbers.

    :raises MalformedData: anything else.
    """
    start, end = data.find(b" ("), data.rfind(b") ")
    fields = data[end + 2 :].split()
    # 4 (parent) is at 1 behind the name, 22 (start time) at 19
    if start < 1 or end < start or len(fields) < 20 or len(fields[0]) != 1:
        raise MalformedData("/proc/pid/stat", "not pid (name) letter numbers", data)
    numbers = (data[:start], fields[1], fields[19])
    if not all(number.isdigit() for number in numbers):
        raise MalformedData("/proc/pid/stat", "a field is not a number", data)
    pid, parent, ticks = (int(number) for number in numbers)
    image = int(fields[25]) if len(fields) > 25 and fields[25].isdigit() else 0
    return Stat(pid, data[start + 2 : end], fields[0].decode("ascii", "replace"), parent, ticks, image)


def parse_status(data: bytes) -> Status:
    """Understand /proc/[pid]/status: the ``Uid:`` line has real, effective, saved and file system uid.

    :raises MalformedData: no such line.
    """
    found = _UID.search(data)
    if not found:
        raise MalformedData("/proc/pid/status", "no Uid line", data)
    return Status(int(found.group(1)), int(found.group(2)), int(found.group(3)))


def parse_command(data: bytes) -> t.Optional[str]:
    """The masked command line out of /proc/[pid]/cmdline; None when there is none (kernel threads, zombies).

    A program that has rewritten its title leaves one string, padded with NULs to the length of the old one.

    :param data: its beginning is enough. Where there is more, also behind very many NULs, the text says so.
    """
    more = len(data) >= _MOST_OF_COMMAND
    data = data.rstrip(b"\0")
    if not data:
        return None
    # its patterns take a few milliseconds to compile, which a look at free ports need not spend
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe.masking import mask_command

    cut = len(data) > _LONGEST_COMMAND
    words = data[:_LONGEST_COMMAND].split(b"\0")
    shown = mask_command([word.decode("utf-8", "surrogateescape") for word in words], cut)
    return shown[: _LONGEST_COMMAND - 4] + " ..." if more and not cut else shown


def whole_name(comm: bytes, exe: t.Optional[str], arguments: bytes) -> t.Optional[str]:
    """The name that the kernel has cut to 15 bytes, out of the executable's path or the script's; None when it is whole.

    :param arguments: beginning of /proc/[pid]/cmdline. A script's name is behind that of its interpreter.
    """
    if len(comm) < _LONGEST_COMM:
        return None
    begin = printable(comm)
    paths = [] if exe is None else [exe[: -len(" (deleted)")] if exe.endswith(" (deleted)") else exe]
    words = arguments[:_MOST_OF_COMMAND].split(b"\0", 2)
    if len(words) < 3 and len(arguments) >= _MOST_OF_COMMAND:
        # the last one may go on behind what was read
        del words[-1]
    paths += [printable(word) for word in words[:2]]
    names = [path.rpartition("/")[2] for path in paths]
    return next((name for name in names if name.startswith(begin) and name != begin), None)


def describe(
    pids: t.Iterable[int],
    commands: bool = True,
    clock: t.Optional[Clock] = None,
    late: t.Optional[t.Set[int]] = None,
) -> t.Dict[int, Process]:
    """These processes and all of their ancestors; who has vanished meanwhile is left out.

    Ancestors have name, user and start time; only the asked ones and their direct parents have executable, command line,
    unit and container too.

    :param commands: False leaves out executables and command lines, and the parents' unit and container.
    :param clock: of the look.
    :param late: takes the asked processes that are left out although they are there, as there was no time to read them and
        everything above them: nothing is said of what stands below something unknown.
    """
    look = _Look(commands, clock)
    asked = set(pids)
    for pid in asked:
        look.read(pid, True)
    if commands:
        for pid in asked & set(look.facts):
            look.read(look.facts[pid].stat.parent_pid, True)
    for pid in list(look.facts):
        above = look.facts[pid].stat.parent_pid
        for _unused in range(MAX_ANCESTORS):
            if above in look.facts or not look.read(above, False):
                break
            above = look.facts[above].stat.parent_pid
    left_out = {pid for pid in asked if look.late and look.is_late(pid)}
    if late is not None:
        late.update(left_out)
    return {pid: look.process(pid) for pid in sorted(look.facts) if pid not in left_out}


def start_ticks(pid: int) -> t.Optional[int]:
    """Start time (field 22 of /proc/[pid]/stat) of the process that has this pid now; None when there is none.

    One that has ended and that its parent has not yet asked about (a zombie) is none, unless threads of it live on.
    """
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            stat = parse_stat(file.read(4096))
        if stat.state in ("Z", "X") and len(os.listdir("/proc/%d/task" % pid)) < 2:
            return None
        return stat.start_ticks
    except OSError:
        # ENOENT: no such process. ESRCH: it ended while it was read.
        return None


def self_pids() -> t.FrozenSet[int]:
    """This process and all of its ancestors."""
    found = {os.getpid()}
    pid = os.getppid()
    while pid and pid not in found and len(found) <= MAX_ANCESTORS:
        found.add(pid)
        try:
            with open("/proc/%d/stat" % pid, "rb") as stream:
                pid = parse_stat(stream.read()).parent_pid
        except OSError:
            # gone, or not readable by us (hidepid): an ancestor nevertheless, but its own parents stay unknown
            break
    return frozenset(found)


class _Facts(t.NamedTuple):
    """What was read of one process."""

    stat: Stat
    uids: Status
    exe: t.Optional[str]
    command: t.Optional[str]
    unit: t.Optional[Unit]
    container: t.Optional[Container]
    whole_name: t.Optional[str] = None
    proven: t.Tuple[str, ...] = ()
    watches: t.Optional[Container] = None
    apart: str = ""


class _Look:
    """One look at some processes, in which nothing is read twice."""

    def __init__(self, commands: bool = True, clock: t.Optional[Clock] = None) -> None:
        self._commands = commands
        self._clock = clock
        self.late: t.Set[int] = set()
        self.facts: t.Dict[int, _Facts] = {}
        self._users: t.Dict[int, str] = {}
        self._boot: t.Optional[float] = None
        self._root: t.Optional[str] = None
        self._words: t.Optional[cgroups.Words] = None
        self._ticks_a_second = os.sysconf("SC_CLK_TCK")

    def read(self, pid: int, full: bool) -> bool:
        """Add one process; False when it is not there (any more), or there is no time: then it is one of the ``late``."""
        if pid in self.facts:
            return True
        if self._clock is not None and pid > 0 and self._clock.over:
            self.late.add(pid)
            return False
        try:
            directory = os.open("/proc/%d" % pid, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            # gone, pid 0 (the parent of the first process of a namespace), or hidden from us
            return False
        try:
            stat_data = _content(directory, "stat", _MOST_OF_STATE)
            status_data = _content(directory, "status", _MOST_OF_STATE)
            if not stat_data or not status_data:
                # ENOENT: it ended after its directory was opened
                return False
            stat, uids = parse_stat(stat_data), parse_status(status_data)
            exe, command, unit, container, whole = None, None, None, None, None
            proven: t.Tuple[str, ...] = ()
            arguments, apart = b"", ""
            if full:
                groups = _content(directory, "cgroup", _MOST_OF_GROUPS)
                unit, container = cgroups.parse(groups, self._own_root(), self._whose())
                if self._commands and container is None:
                    apart = _namespace(directory, unit is not None, b"/session-" in groups)
            if full and (self._commands or len(stat.comm) >= _LONGEST_COMM):
                path, arguments = _exe(directory), _content(directory, "cmdline", _MOST_OF_COMMAND)
                whole = whole_name(stat.comm, path, arguments)
                if self._commands:
                    exe, command = path, parse_command(arguments)
                    proven = _proven(directory, stat, uids, path, arguments)
            elif self._commands and len(set(uids)) == 1 and uids.real_uid in evidence.accounts():
                # What is farther up may be a supervisor, an agent or a login daemon: then it matters what it really is.
                arguments = _content(directory, "cmdline", _MOST_OF_COMMAND)
                proven = _proven(directory, stat, uids, _exe(directory), arguments)
            watches = _watched(proven, arguments, uids.real_uid)
        except OSError:
            # ESRCH: it went away while we read; EACCES: hidepid=1 shows the directory, and nothing in it
            return False
        finally:
            os.close(directory)
        self.facts[pid] = _Facts(stat, uids, exe, command, unit, container, whole, proven, watches, apart)
        return True

    def is_late(self, pid: int) -> bool:
        """Whether there was no time for the process itself, or for one above it."""
        for _unused in range(MAX_ANCESTORS):
            if pid not in self.facts:
                return pid in self.late
            pid = self.facts[pid].stat.parent_pid
        return False

    def process(self, pid: int) -> Process:
        """One process that was read, with the chain of parents as far as these were read too."""
        facts = self.facts[pid]
        ancestors: t.List[int] = []
        above = facts.stat.parent_pid
        while above in self.facts and above not in ancestors and above != pid:
            ancestors.append(above)
            above = self.facts[above].stat.parent_pid
        return Process(
            pid=pid,
            name=printable(facts.stat.comm),
            parent_pid=facts.stat.parent_pid,
            exe=facts.exe,
            command=facts.command,
            uid=facts.uids.effective_uid,
            user=self._user(facts.uids.effective_uid),
            started=self._boot_time() + facts.stat.start_ticks / self._ticks_a_second,
            start_ticks=facts.stat.start_ticks,
            state=facts.stat.state,
            ancestors=tuple(ancestors),
            unit=facts.unit,
            container=self._container(facts.container, ancestors),
            whole_name=facts.whole_name,
            real_uid=facts.uids.real_uid,
            proven=facts.proven,
            image=facts.stat.image,
            apart=facts.apart,
        )

    def _container(self, named: t.Optional[Container], ancestors: t.Sequence[int]) -> t.Optional[Container]:
        """The container that root has named, else that of the runtime's own process above, else what its path claims."""
        if named is not None and named.user is None and not named.unsure:
            return named
        watchers = (self.facts[pid].watches for pid in ancestors)
        return next((container for container in watchers if container is not None), named)

    def _user(self, uid: int) -> str:
        if uid not in self._users:
            self._users[uid] = account(uid)
        return self._users[uid]

    def _boot_time(self) -> float:
        if self._boot is None:
            self._boot = _boot_time()
        return self._boot

    def _whose(self) -> cgroups.Words:
        if self._words is None:
            self._words = cgroups.Words(self._own_root())
        return self._words

    def _own_root(self) -> str:
        if self._root is None:
            try:
                with open("/proc/1/cgroup", "rb") as stream:
                    self._root = cgroups.root_of(stream.read())
            except OSError:
                # hidepid: paths stay as long as the kernel says them
                self._root = ""
        return self._root


def _content(directory: int, name: str, most: int) -> bytes:
    """The beginning of a file of an open /proc/[pid], at most so many bytes; empty where this kernel has no such file."""
    try:
        handle = os.open(name, os.O_RDONLY, dir_fd=directory)
    except FileNotFoundError:
        return b""
    try:
        data = os.read(handle, most)
        # a read of /proc may give less than is there; only nothing is the end
        while data and len(data) < most:
            more = os.read(handle, most - len(data))
            if not more:
                break
            data += more
        return data
    finally:
        os.close(handle)


def _exe(directory: int) -> t.Optional[str]:
    try:
        return printable(os.readlink(b"exe", dir_fd=directory))
    except OSError:
        # ENOENT: a kernel thread or a zombie has none; EACCES: the link of a process that we may not trace
        return None


def _namespace(directory: int, in_unit: bool, in_session: bool) -> str:
    """See `apart.namespace`, which is loaded only where there is something to look at."""
    try:
        if all(
            os.readlink(name, dir_fd=directory) == os.readlink("/proc/self/" + name)
            for name in (("ns/pid",) if in_unit else ("ns/pid", "ns/mnt"))
        ):
            return ""
    except OSError:
        # it has ended, or is not for our eyes: then nothing of it is stopped by us either
        return ""
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import apart

    return apart.namespace(directory, in_unit, in_session)


def _watched(proven: t.Sequence[str], arguments: bytes, uid: int) -> t.Optional[Container]:
    if not any(name.startswith(_SHIMS) for name in proven):
        return None
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import apart

    return apart.watched(
        proven, [printable(word) for word in arguments[:_LONGEST_WORDS].rstrip(b"\0").split(b"\0")], uid
    )


def _proven(directory: int, stat: Stat, uids: Status, exe: t.Optional[str], arguments: bytes) -> t.Tuple[str, ...]:
    words = [printable(word) for word in arguments[:_LONGEST_WORDS].split(b"\0")]
    return evidence.names(uids, printable(stat.comm), exe, words, lambda: os.stat("exe", dir_fd=directory))


def account(uid: int) -> str:
    """Name of an account; its number when it has none."""
    import pwd

    try:
        return printable(os.fsencode(pwd.getpwuid(uid).pw_name))
    except (KeyError, OSError, OverflowError):
        return str(uid)


def _boot_time() -> float:
    """Seconds since the epoch at which the clock of ``start_ticks`` began."""
    try:
        with open("/proc/stat", "rb") as stream:
            found = _BTIME.search(stream.read())
    except OSError:
        found = None
    if found:
        return float(int(found.group(1)))
    # /proc mounted with subset=pid has no stat file
    import time

    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
