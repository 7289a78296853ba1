# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place that starts programs, and that does something as another account. Private to harbormaster.ports.

No shell, no terminal, nothing on standard input, the C locale, and a fixed PATH. A command that takes too long is killed
with everything that it has started.

As ourselves, only a *proven* program is run: one that nobody but root can have put there (see `evidence`). As another
account, a program has that account's rights and nothing else: its groups, its three uids and gids, a session keyring of
its own (root's may hold keys), no way to gain rights by a set-uid program, none of our descriptors, and limits.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable_lines

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# More than any answer that is of use here; the rest is read and thrown away.
LARGEST = 16 << 20
# The same for what another account's program says.
LARGEST_OF_OTHERS = 2 << 20
_MOST_LINES_OF_OTHERS = 100_000
_LARGEST_ERRORS_OF_OTHERS = 1 << 16
# Of what a command says, the part that is looked through for its first words, and as many of them as a sentence takes.
_BEGINNING = 1 << 16
_LONGEST_LINE = 400
# Limits of what runs as another account (setrlimit(2)): seconds of processor time, bytes of memory, of a file and of a core
# dump, descriptors. Programs of Node.js and Go reserve far more addresses than they use memory, so these are not limited.
_LIMITS = (
    ("RLIMIT_CPU", 10),
    ("RLIMIT_DATA", 1 << 30),
    ("RLIMIT_FSIZE", 64 << 20),
    ("RLIMIT_CORE", 0),
    ("RLIMIT_NOFILE", 1024),
)
# linux/prctl.h and linux/keyctl.h
_PR_SET_NO_NEW_PRIVS = 38
_KEYCTL_JOIN_SESSION_KEYRING = 1
# keyctl(2) has no function in the C library: its number in asm/unistd.h of each architecture.
_KEYCTL = {
    "x86_64": 250, "aarch64": 219, "riscv64": 219, "loongarch64": 219, "ppc64le": 271, "ppc64": 271, "s390x": 280,
    "armv7l": 311, "armv6l": 311, "i686": 288, "i586": 288,
}  # fmt: skip
# Nothing to hide: a kernel without keyrings (ENOSYS), or a sandbox that forbids the whole call, to the child too (EPERM).
_NO_KEYRINGS = (errno.ENOSYS, errno.EPERM)
# What is left of a killed command gets so long to close its end of the pipes.
_AFTERWARDS = 0.5


class Answer(t.NamedTuple):
    """How a command ended.

    :param status: exit status; negative for the signal that ended it (subprocess); None when it did not start.
    :param stdout: what it said, printable line by line.
    :param timed_out: it was killed when its time was over.
    :param not_started: why it could not be started, as a clause; empty when it was.
    """

    argv: t.Tuple[str, ...]
    status: t.Optional[int] = None
    stdout: str = ""
    stderr: str = ""
    timed_out: bool = False
    not_started: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """It ended by itself and said that all is well."""
        return self.status == 0 and not self.timed_out

    @property
    def first_line(self) -> str:
        """The first line that says something, of its errors or else of its output; not all of it when it is long."""
        lines = (line.strip() for said in (self.stderr, self.stdout) for line in said[:_BEGINNING].splitlines())
        return next((line for line in lines if line), "")[:_LONGEST_LINE]

    @property
    def problem(self) -> str:
        """What went wrong, as a clause; empty when nothing did."""
        if self.not_started:
            return self.not_started
        if self.timed_out:
            return "%s did not answer within %g s" % (self.argv[0].rpartition("/")[2], self.seconds)
        if self.status != 0:
            return self.first_line or "%s ended with status %s" % (self.argv[0].rpartition("/")[2], self.status)
        return ""


def run(
    argv: t.Sequence[str],
    timeout: float,
    uid: t.Optional[int] = None,
    environment: t.Optional[t.Mapping[str, str]] = None,
) -> Answer:
    """Run a command and wait for its end, at most so many seconds. Never raises for what the command does.

    :param argv: the program, by its path or as found on our PATH, and its arguments. As ourselves it has to be proven.
    :param uid: the account to run it as, with its groups and the address of its service manager; None for our own.
    :param environment: variables besides the few that every command gets, which they may replace.
    """
    import subprocess  # here and below: a run that asks no manager does not pay for these

    words = tuple(argv)
    if timeout <= 0:
        return Answer(words, not_started="no time was left to ask %s" % words[0].rpartition("/")[2])
    ours = uid is None or uid == os.geteuid()
    program = words[0]
    if ours:
        # What was proven is what is started: a search of Popen's own would take the first one, whoever has put it there.
        proven = evidence.find(program, PATH)
        if proven is None:
            return Answer(words, not_started=_unproven(program))
        program = proven
    variables = {"PATH": PATH, "LC_ALL": "C", "LANG": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    become: t.Optional[t.Callable[[], None]] = None
    try:
        if uid is not None:
            variables.update(_account(uid))
            become = _becomes(uid)
        elif "HOME" in os.environ:
            variables["HOME"] = os.environ["HOME"]
        variables.update(environment or {})
        if ours:
            # The same for what it starts itself.
            variables["PATH"] = ":".join(one for one in variables["PATH"].split(":") if evidence.folder(one))

        def start(before: t.Optional[t.Callable[[], None]]) -> t.Any:
            return subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn,ansible-bad-function
                words,
                executable=program,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # As another user our own directory may be closed to it.
                cwd="/",
                env=variables,
                # A session of its own: then all that it starts can be ended together, and no terminal is in its reach.
                start_new_session=True,
                # Only calls that are safe between fork and exec; subprocess has no user= before Python 3.9.
                preexec_fn=before,
            )

        if become is not None:
            return _as_another(start, become, words, timeout)
        process = start(None)
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        return Answer(words, not_started=_why_not(words, uid, error))
    return _waited(process, words, timeout)


def _as_another(
    start: t.Callable[[t.Callable[[], None]], t.Any],
    become: t.Callable[[], None],
    words: t.Tuple[str, ...],
    timeout: float,
) -> Answer:
    """How a command of another account ends.

    Popen waits until the program runs, without a bound. But from the moment that the child is that account's, this account
    can stop it, and the program may lie on a file system of its that never answers. So somebody else waits for Popen, and
    the child says who it is while it is still ours.
    """
    import threading
    import time

    until = time.monotonic() + timeout
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    started: t.List[t.Any] = []
    wrong: t.List[Exception] = []

    def told() -> None:
        os.write(writer, b"%d" % os.getpid())
        become()

    def begin() -> None:
        try:
            started.append(start(told))
        except Exception as error:  # pylint: disable=broad-except
            # Raised again below.
            wrong.append(error)

    starter = threading.Thread(target=begin, daemon=True)
    starter.start()
    starter.join(timeout)
    late = starter.is_alive()
    if late:
        with contextlib.suppress(OSError, ValueError):
            # Nobody has waited for this child yet, so its pid is still its own.
            os.kill(int(os.read(reader, 32)), signal.SIGKILL)
        starter.join(_AFTERWARDS)
    if not starter.is_alive():
        os.close(reader)
        os.close(writer)
    if wrong:
        raise wrong[0]
    if not started:
        return Answer(words, timed_out=True, seconds=timeout)
    left = max(until - time.monotonic(), 0.01)
    answer = _waited(started[0], words, left, LARGEST_OF_OTHERS, _LARGEST_ERRORS_OF_OTHERS, _MOST_LINES_OF_OTHERS)
    return answer._replace(timed_out=answer.timed_out or late, seconds=timeout)


def _unproven(program: str) -> str:
    """Why a program that is not proven is not started, as a clause."""
    places = [] if "\0" in program else [os.path.join(one, program) for one in PATH.split(":")]
    if any(os.access(place, os.X_OK) for place in places):
        return "%s is not run: others than root may write it, or a folder on the way to it" % program
    text = "%s can't be run" if not places or any(map(os.path.lexists, places)) else "%s is not installed"
    return text % program.rpartition("/")[2]


def call(function: t.Callable[[], bytes], timeout: float, uid: int, most: int = LARGEST_OF_OTHERS) -> t.Optional[bytes]:
    """Have a function of ours done as another account, in a child of its own, and take its answer.

    For what is no program, such as a question over a Unix socket: who connects to a socket of an account has no more
    rights than that account. To be called while this process has no other threads.

    :param function: what is done in the child; the bytes are its answer.
    :returns: None when there was no answer in time, or too long a one.
    :raises OSError, KeyError: the child can't be started, or there is no such account.
    """
    import select
    import time

    become = _becomes(uid)
    until = time.monotonic() + timeout
    reader, writer = os.pipe()
    status: t.Optional[int] = None
    child = os.fork()
    if not child:
        ended = 1
        try:
            os.setsid()
            os.dup2(writer, 3, inheritable=False)
            null = os.open(os.devnull, os.O_RDWR)
            for number in range(3):
                os.dup2(null, number)
            for number in map(int, os.listdir("/proc/self/fd")):
                if number > 3:
                    with contextlib.suppress(OSError):
                        # the listing's own is closed already
                        os.close(number)
            os.chdir("/")
            if become is not None:
                become()
            signal.alarm(max(1, int(timeout) + 1))
            answer = function()
            while answer:
                answer = answer[os.write(3, answer) :]
            ended = 0
        finally:
            os._exit(ended)  # pylint: disable=protected-access
    os.close(writer)
    data = b""
    try:
        while len(data) <= most:
            left = until - time.monotonic()
            if left <= 0 or not select.select([reader], [], [], left)[0]:
                return None
            more = os.read(reader, 1 << 16)
            if not more:
                # Its account may have ended it in the middle of its answer.
                status = _reaped(child)
                break
            data += more
    finally:
        os.close(reader)
        if status is None:
            os.kill(child, signal.SIGKILL)
            _reaped(child)
    return data if data and status == 0 else None


def _reaped(child: int) -> t.Optional[int]:
    """How a child has ended; None when it has not soon enough: its account can stop it, and have it wait in the kernel."""
    import time

    until = time.monotonic() + _AFTERWARDS
    pause = 0.0005
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        if time.monotonic() >= until:
            return None
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def _waited(
    process: t.Any,
    words: t.Tuple[str, ...],
    timeout: float,
    most: int = 0,
    most_errors: int = 0,
    most_lines: int = 0,
) -> Answer:
    import subprocess
    import threading

    said: t.List[bytearray] = [bytearray(), bytearray()]
    readers = [
        threading.Thread(target=_read, args=(stream, into, limit or LARGEST), daemon=True)
        for stream, into, limit in zip((process.stdout, process.stderr), said, (most, most_errors))
    ]
    for reader in readers:
        reader.start()
    timed_out = False
    try:
        process.wait(timeout)
    except subprocess.TimeoutExpired:
        timed_out = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # One that waits in the kernel for a dead disk or server does not even hear KILL.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_AFTERWARDS)
    for reader in readers:
        # A daemon that it has started may keep the pipes open for ever.
        reader.join(_AFTERWARDS)
    for stream in (process.stdout, process.stderr):
        if not any(reader.is_alive() for reader in readers):
            stream.close()
    out, err = (printable_lines(_first_lines(bytes(part), most_lines)) for part in said)
    return Answer(words, process.returncode, out, err, timed_out, "", timeout)


def _first_lines(data: bytes, most: int) -> bytes:
    """So many lines of a text; 0 for all of them."""
    if not most or data.count(b"\n") <= most:
        return data
    return b"\n".join(data.split(b"\n", most)[:most])


def _read(stream: t.BinaryIO, into: bytearray, most: int) -> None:
    """All of a stream, as much of it kept as is of use."""
    # ValueError: it was closed under us; OSError: nothing more comes
    with contextlib.suppress(OSError, ValueError):
        while True:
            data = os.read(stream.fileno(), 1 << 16)
            if not data:
                return
            into += data[: max(0, most - len(into))]


def _account(uid: int) -> t.Dict[str, str]:
    """What a login gives: the home, the name, and where the account's service manager listens."""
    import pwd

    known = pwd.getpwuid(uid)
    runtime = "/run/user/%d" % uid
    return {
        "HOME": known.pw_dir,
        "USER": known.pw_name,
        "LOGNAME": known.pw_name,
        "XDG_RUNTIME_DIR": runtime,
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=%s/bus" % runtime,
    }


def _becomes(uid: int) -> t.Optional[t.Callable[[], None]]:
    """What turns a child into that account, all rights and secrets of ours given up; None when we are that account.

    Whatever of it can't be done ends the child: nothing is run half changed.

    :raises KeyError: no such account. OSError: this machine has no way to leave our keys behind.
    """
    if uid == os.geteuid():
        return None
    import ctypes
    import pwd
    import resource

    known = pwd.getpwuid(uid)
    # Looked up here: the child of a program with threads must not ask name services, import or compile.
    groups = os.getgrouplist(known.pw_name, known.pw_gid)
    number = _KEYCTL.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, "how to leave the session keyring is not known on %s" % os.uname().machine)
    library = ctypes.CDLL(None, use_errno=True)
    limits = []
    for name, value in _LIMITS:
        hard = resource.getrlimit(getattr(resource, name))[1]
        # A lower limit that holds for us already can't be raised everywhere, not even by root.
        limits.append((getattr(resource, name), value if hard == resource.RLIM_INFINITY else min(value, hard)))

    def become() -> None:
        for which, value in limits:
            resource.setrlimit(which, (value, value))
        os.setgroups(groups)
        os.setresgid(known.pw_gid, known.pw_gid, known.pw_gid)
        os.setresuid(uid, uid, uid)
        # As that account: the new keyring is its own.
        if library.syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None) < 0 and ctypes.get_errno() not in _NO_KEYRINGS:
            raise OSError(ctypes.get_errno(), "no session keyring")
        if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs")

    return become


def _why_not(words: t.Sequence[str], uid: t.Optional[int], error: Exception) -> str:
    import subprocess

    program = words[0].rpartition("/")[2]
    if isinstance(error, KeyError):
        return "there is no account with uid %s" % uid
    if isinstance(error, OSError) and error.errno == errno.ENOENT:
        return "%s is not installed" % program
    if isinstance(error, (PermissionError, subprocess.SubprocessError)):
        return "%s can't be run%s" % (program, "" if uid is None else " as uid %d" % uid)
    return "%s can't be run: %s" % (program, error)
