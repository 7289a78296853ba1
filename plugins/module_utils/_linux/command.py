# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running somebody else's command with a bound. Private to harbormaster.ports: not an interface for other collections.

No shell, no terminal, nothing on standard input, the C locale, and a PATH that finds what only root's has. A command that
takes too long is killed with everything that it has started.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# More than any answer that is of use here; the rest is read and thrown away.
LARGEST = 16 << 20
# What is left of a killed command gets so long to close its end of the pipes.
_AFTERWARDS = 1.0


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
        """The first line that says something, of its errors or else of its output."""
        lines = (line.strip() for line in (self.stderr + "\n" + self.stdout).splitlines())
        return next((line for line in lines if line), "")

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

    :param uid: the account to run it as, with its groups and the address of its service manager; None for our own.
    :param environment: variables besides the few that every command gets, which they may replace.
    """
    import subprocess  # here and below: a run that asks no manager does not pay for these

    words = tuple(argv)
    variables = {"PATH": PATH, "LC_ALL": "C", "LANG": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    become: t.Optional[t.Callable[[], None]] = None
    try:
        if uid is not None:
            variables.update(_account(uid))
            become = _becomes(uid)
        elif "HOME" in os.environ:
            variables["HOME"] = os.environ["HOME"]
        variables.update(environment or {})
        process = subprocess.Popen(  # pylint: disable=subprocess-popen-preexec-fn,ansible-bad-function
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # As another user our own directory may be closed to it.
            cwd="/",
            env=variables,
            # A session of its own: then all that it starts can be ended together, and no terminal is in its reach.
            start_new_session=True,
            # Only calls that are safe between fork and exec; subprocess has no user= before Python 3.9.
            preexec_fn=become,
        )
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        return Answer(words, not_started=_why_not(words, uid, error))
    return _waited(process, words, timeout)


def _waited(process: t.Any, words: t.Tuple[str, ...], timeout: float) -> Answer:
    import subprocess
    import threading

    said: t.List[bytearray] = [bytearray(), bytearray()]
    readers = [
        threading.Thread(target=_read, args=(stream, into), daemon=True)
        for stream, into in zip((process.stdout, process.stderr), said)
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
    out, err = ("\n".join(printable(line) for line in bytes(part).split(b"\n")) for part in said)
    return Answer(words, process.returncode, out, err, timed_out, "", timeout)


def _read(stream: t.BinaryIO, into: bytearray) -> None:
    """All of a stream, as much of it kept as is of use."""
    # ValueError: it was closed under us; OSError: nothing more comes
    with contextlib.suppress(OSError, ValueError):
        while True:
            data = os.read(stream.fileno(), 1 << 16)
            if not data:
                return
            into += data[: max(0, LARGEST - len(into))]


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
    """What turns a child into that account, all rights of ours given up; None when we are that account."""
    if uid == os.geteuid():
        return None
    import pwd

    known = pwd.getpwuid(uid)
    # Looked up here: the child of a program with threads must not ask name services.
    groups = os.getgrouplist(known.pw_name, known.pw_gid)

    def become() -> None:
        os.setgroups(groups)
        os.setgid(known.pw_gid)
        os.setuid(uid)

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
