# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ctypes
import errno
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import environment, processes
from ansible_collections.harbormaster.ports.tests.unit.module_utils._observe.clocks import Countdown

psutil = pytest.importorskip("psutil")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="by design: reads Linux's /proc")

TAIL = b" S 7 42 9 34816 42 4194304 100 0 0 0 0 0 0 0 20 0 1 0 78601 3133440 394 18446744073709551615 1 1 140722 0\n"


@pytest.mark.parametrize(
    "comm",
    [
        b"bash",
        b"",
        b"a b",
        b"(sd-pam)",
        b") R 1 2 3 4",
        b"a) S 1 (b",
        b"new\nline",
        b"caf\xe9",
        b"()",
        b")",
        b"kworker/0:1-events",
    ],
)
def test_parse_stat(comm):
    assert processes.parse_stat(b"42 (" + comm + b")" + TAIL) == (42, comm, "S", 7, 78601, 140722)


@pytest.mark.parametrize(
    "data",
    [b"", b"42", b"42 (bash", b"42 bash S 7", b"42 (bash) S 7 42", b"42 (bash)" + TAIL.replace(b"78601", b"x"), b"x (bash)" + TAIL,
     b"42 (bash)" + TAIL.replace(b" S ", b" SS "), b"(bash)" + TAIL, b"42 (bash)" + TAIL.replace(b" 7 ", b" -7 ")],
)  # fmt: skip
def test_malformed_stat(data):
    with pytest.raises(MalformedData):
        processes.parse_stat(data)


def test_parse_status():
    assert processes.parse_status(b"Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t5\t5\t5\n") == (1, 2, 3)


@pytest.mark.parametrize(
    "data", [b"", b"Uid:\t1\t2\t3\n", b"Uid: 1 2 3 4\n", b"Name:\tUid:\t1\t2\t3\t4 \n", b"Uid:\t-1\t0\t0\t0\n"]
)
def test_malformed_status(data):
    with pytest.raises(MalformedData):
        processes.parse_status(data)


@pytest.mark.parametrize(
    ("data", "command"),
    [
        (b"", None),
        (b"\0\0\0", None),
        (b"nginx\0-g\0daemon off;\0", "nginx -g 'daemon off;'"),
        (b"a\0\0b\0", "a '' b"),
        (b"postgres: bob db idle\0\0\0\0\0\0", "postgres: bob db idle"),
        (b"app\0--password\0Hunter2xyz\0", "app --password ********"),
        (b"app\0caf\xe9\n\0", "app caf\\xe9\\x0a"),
    ],
)
def test_parse_command(data, command):
    assert processes.parse_command(data) == command


def test_the_longest_command_line_that_is_shown_whole():
    """4096 characters, and the NUL of the last word."""
    whole = b"app\0" + b"-x\0" * 1363 + b"-xy\0"
    assert processes.parse_command(whole) == "app" + " -x" * 1363 + " -xy"
    assert processes.parse_command(whole + b"y")[-4:] == " ..."
    assert len(processes.parse_command(whole[:-1] + b"y" * 5000)) <= 4096


def test_what_stands_behind_many_empty_arguments_is_not_left_out_silently():
    """What was read of it may be a title, or the beginning of something that is to be overlooked."""
    assert (
        processes.parse_command((b"app\0-x" + b"\0" * 5000 + b"--evil\0")[: processes._MOST_OF_COMMAND]) == "app -x ..."
    )


def test_half_of_a_scripts_name_is_none():
    script = b"/opt/" + b"d" * 4067 + b"/a-script-with-a-name-that-goes-on"
    arguments = b"python3\0" + script + b"\0"
    whole = processes.whole_name(b"a-script-with-a", "/usr/bin/python3", arguments[: processes._MOST_OF_COMMAND])
    assert whole in (None, "a-script-with-a-name-that-goes-on")


# --- real ones

WAIT = "print(1, flush=True); input()"


def test_a_process_as_psutil_sees_it(start):
    pid = start(sys.executable, "-c", WAIT, "a b", "--password=Hunter2xyz")
    found = processes.describe([pid])[pid]
    oracle = psutil.Process(pid)
    assert found.name == oracle.name()
    assert found.parent_pid == oracle.ppid() == os.getpid()
    assert found.exe == oracle.exe()
    assert found.command == "%s -c '%s' 'a b' --password=********" % (sys.executable, WAIT)
    assert found.uid == oracle.uids().effective
    assert found.user == oracle.username()
    assert found.started == pytest.approx(oracle.create_time(), abs=1)
    assert found.state in ("R", "S")
    assert found.ancestors == tuple(each.pid for each in oracle.parents())
    assert time.time() - found.started < 60


def test_all_ancestors_are_there_and_the_parent_has_its_command(start):
    pid = start(sys.executable, "-c", WAIT)
    found = processes.describe([pid])
    assert set(found) == {pid, os.getpid()} | {each.pid for each in psutil.Process().parents()}
    assert found[os.getpid()].command
    for above in found[os.getpid()].ancestors:
        assert found[above].name
        assert found[above].started > 0
        assert found[above].user
    assert found[pid].ancestors == (os.getpid(), *found[os.getpid()].ancestors)


def test_the_start_time_is_the_same_every_time(start):
    pid = start(sys.executable, "-c", WAIT)
    assert len({processes.describe([pid])[pid].started for _unused in range(50)}) == 1


def test_names_that_try_to_confuse(start):
    script = "import ctypes; ctypes.CDLL(None).prctl(15, %r); " + WAIT
    pid = start(sys.executable, "-c", script % b") R 1 (\n\xe9\x1b", "x\ny", b"\xff\xfe")
    found = processes.describe([pid])[pid]
    assert found.name == ") R 1 (\\x0a\\xe9\\x1b"
    assert found.parent_pid == os.getpid()
    assert found.command.endswith(" x\\x0ay \\xff\\xfe")


def test_an_executable_that_was_replaced(start, tmp_path):
    shutil.copy("/bin/sleep", tmp_path / "holder")
    process = subprocess.Popen([str(tmp_path / "holder"), "60"])
    try:
        os.unlink(tmp_path / "holder")
        assert processes.describe([process.pid])[process.pid].exe == "%s/holder (deleted)" % tmp_path
    finally:
        process.kill()
        process.wait()


def test_a_zombie_is_described_and_a_vanished_one_left_out():
    process = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    found = processes.describe([process.pid])[process.pid]
    assert (found.state, found.command, found.exe) == ("Z", None, None)
    assert found.name == "true"
    process.wait()
    assert processes.describe([process.pid]) == {}


@pytest.mark.parametrize("at", ["stat", "status", "cmdline", "cgroup"])
def test_one_that_vanishes_in_the_middle_is_left_out(monkeypatch, at):
    process = subprocess.Popen(["/bin/sleep", "60"])
    real = processes._content

    def content(directory, name, *most):
        if name == at and process.poll() is None:
            process.kill()
            process.wait()
        return real(directory, name, *most)

    monkeypatch.setattr(processes, "_content", content)
    assert processes.describe([process.pid]) == {}


@pytest.mark.parametrize(("at", "there"), [("stat", False), ("status", False), ("cmdline", True), ("cgroup", True)])
def test_a_file_that_is_not_there_any_more(start, monkeypatch, at, there):
    """ENOENT says that the process ended just now (ESRCH: a moment before), or that the kernel has no such file.

    No test can end a process inside a call of the kernel, so the answer is given here.
    """
    pid = start(sys.executable, "-c", WAIT)
    real = os.open

    def without(path, *arguments, dir_fd=None, **more):
        if dir_fd is not None and path == at:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return real(path, *arguments, dir_fd=dir_fd, **more)

    monkeypatch.setattr(os, "open", without)
    assert (pid in processes.describe([pid])) is there


def test_a_kernel_thread():
    found = processes.describe([2]).get(2)
    if found is None or found.name != "kthreadd":
        pytest.skip("by design: this PID namespace has no kernel threads")
    assert (found.exe, found.command, found.parent_pid) == (None, None, 0)


def test_for_whom_there_was_no_time_is_not_gone(start):
    pid = start(sys.executable, "-c", WAIT)
    late = set()
    assert processes.describe([pid], clock=Clock(-1), late=late) == {}
    assert late == {pid}
    late = set()
    assert set(processes.describe([pid, 0], clock=Clock(), late=late)) == set(processes.describe([pid]))
    assert late == set()


def test_who_stands_below_one_for_whom_there_was_no_time(start):
    """A supervisor, a container's monitor or our own shell may be among those."""
    pid = start(sys.executable, "-c", WAIT)
    above = processes.describe([pid])[pid].ancestors
    for looks in range(1 + len(above)):
        late = set()
        assert pid not in processes.describe([pid], clock=Countdown(looks), late=late)
        assert late == {pid}
    late = set()
    assert processes.describe([pid], clock=Countdown(1 + len(above)), late=late)[pid].ancestors == above
    assert late == set()


def test_nobody_and_nothing():
    assert processes.describe([]) == {}
    assert processes.describe([0, -5, 2**31 - 1]) == {}


def test_a_chain_of_parents_that_is_a_ring(monkeypatch):
    look = processes._Look()
    stat = processes.Stat(5, b"x", "S", 6, 0)
    look.facts[5] = processes._Facts(stat, processes.Status(0, 0, 0), None, None, None, None)
    look.facts[6] = processes._Facts(
        stat._replace(pid=6, parent_pid=5), processes.Status(0, 0, 0), None, None, None, None
    )
    assert look.process(5).ancestors == (6,)


def test_self_pids():
    assert processes.self_pids() == {os.getpid(), *(each.pid for each in psutil.Process().parents())}


def test_accounts():
    assert processes.account(0) == "root"
    free = next(uid for uid in range(60001, 65000) if uid not in {each.pw_uid for each in pwd.getpwall()})
    assert processes.account(free) == str(free)
    assert processes.account(2**32 - 1) == str(2**32 - 1)


def test_the_effective_user_counts(in_netns):
    def look():
        os.seteuid(65534)
        ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, which a change of the user takes away
        return processes.describe([os.getpid()])[os.getpid()]

    found = in_netns(look)
    assert (found.uid, found.user) == (65534, "nobody")


def test_what_a_plain_user_sees_of_others(in_netns, start):
    pid = start(sys.executable, "-c", WAIT)
    found = in_netns(processes.describe, [pid], user=True, alone=False)
    # the kernel shows everybody's name, user and command line, and refuses the link to the executable
    assert found[pid].exe is None
    assert found[pid].command.startswith(sys.executable)
    assert found[pid].user == "root"


def test_environment(start):
    pid = start(sys.executable, "-c", WAIT, env={"A": "b=c", "PATH": os.environ["PATH"], "EMPTY": "", "LAST": "z"})
    assert environment.read(pid, (b"A", b"EMPTY", b"LAST", b"ATH")) == {
        b"A": b"b=c",
        b"EMPTY": b"",
        b"LAST": b"z",
    }
    assert environment.read(pid, ()) == {}
    assert environment.read(2**31 - 1, (b"A",)) == {}


@pytest.fixture
def bytes_read(monkeypatch):
    """How many bytes the kernel has given, one read after the other."""
    sizes = []
    real = os.read

    def read(handle, size):
        data = real(handle, size)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(os, "read", read)
    return sizes


PADDING = {"P%d" % number: "x" * 100_000 for number in range(12)}


def test_of_a_long_environment_the_beginning_is_read(start, bytes_read):
    """Any account starts its processes with megabytes of it, and very many words."""
    first, last = {"FIRST": "1"}, {"LAST": "2"}
    pid = start(sys.executable, "-c", WAIT, env={**first, **PADDING, **last})
    del bytes_read[:]
    assert environment.read(pid, (b"FIRST", b"LAST")) == {b"FIRST": b"1"}
    assert 0 < sum(bytes_read) <= 128 << 10
    del bytes_read[:]
    assert environment.read(pid, (b"FIRST",)) == {b"FIRST": b"1"}
    assert sum(bytes_read) < 32 << 10


def test_of_a_long_command_line_the_beginning_is_read(start, bytes_read):
    pid = start(sys.executable, "-c", WAIT, "first", *["x" * 120_000] * 12, "last")
    del bytes_read[:]
    short = processes.describe([os.getpid()])[os.getpid()]
    before = sum(bytes_read)
    del bytes_read[:]
    found = processes.describe([pid])[pid]
    # It is read with its ancestors, which are those of this process and this process.
    assert sum(bytes_read) - before < 16 << 10
    assert short.command is not None
    assert found.command.startswith("%s -c '%s' first " % (sys.executable, WAIT)) and found.command.endswith("...")
    assert len(found.command) <= 4096 + len("...")


def test_half_a_variable_is_none(start):
    pid = start(sys.executable, "-c", WAIT, env={"A": "x" * 100_000, "B": "y" * 100_000, "C": "z"})
    assert environment.read(pid, (b"A", b"B", b"C")) == {b"A": b"x" * 100_000}


def test_the_first_variable_of_a_name_counts_as_for_getenv(start):
    code = """
import ctypes, sys
words = lambda *all_of: (ctypes.c_char_p * (len(all_of) + 1))(*all_of, None)
program = sys.argv[1].encode()
ctypes.CDLL(None).execve(program, words(program, b"-c", sys.argv[2].encode()), words(b"A=1", b"AB=2", b"A=3", b"B=4"))
"""
    pid = start(sys.executable, "-c", code, sys.executable, WAIT)
    assert environment.read(pid, (b"A", b"B")) == {b"A": b"1", b"B": b"4"}


def test_a_process_that_is_stopped(start):
    pid = start(sys.executable, "-c", WAIT)
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    assert processes.describe([pid])[pid].state == "T"


def test_many_processes_come_and_go():
    """Whatever is read while processes end, nothing is raised and nothing of the wrong process is told."""
    for _unused in range(100):
        process = subprocess.Popen(["/bin/true"])
        found = processes.describe([process.pid]).get(process.pid)
        process.wait()
        assert found is None or found.parent_pid == os.getpid()


@pytest.mark.parametrize(
    ("comm", "exe", "arguments", "whole"),
    [
        (b"nginx", "/usr/sbin/nginx-debug", b"", None),
        (b"systemd-resolve", "/lib/systemd/systemd-resolved", b"", "systemd-resolved"),
        (b"systemd-resolve", "/lib/systemd/systemd-resolved (deleted)", b"", "systemd-resolved"),
        (
            b"a-script-with-a",
            "/usr/bin/python3",
            b"/usr/bin/python3\0/opt/a-script-with-a-name\0x",
            "a-script-with-a-name",
        ),
        (b"exactly-fifteen", "/bin/exactly-fifteen", b"exactly-fifteen", None),
        (b"renamed-by-prct", "/bin/server", b"server", None),
        (b"systemd-resolve", None, b"", None),
    ],
)
def test_a_name_that_the_kernel_has_cut(comm, exe, arguments, whole):
    assert processes.whole_name(comm, exe, arguments) == whole


def test_without_commands():
    pid = os.getpid()
    found = processes.describe([pid], commands=False)[pid]
    full = processes.describe([pid])[pid]
    assert (found.exe, found.command) == (None, None)
    assert found == full._replace(exe=None, command=None, proven=())
