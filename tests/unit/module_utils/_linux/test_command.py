# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands with a bound: real ones."""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command

# A plain user may not be able to read this Python's own files: what its child needs is loaded before.
LOADED = (ctypes, resource)
NOBODY = pwd.getpwnam("nobody")


def sh(script, timeout=20.0, **keywords):
    return command.run(["/bin/sh", "-c", script], timeout, **keywords)


def test_what_it_said_and_how_it_ended():
    answer = sh("echo out; echo err >&2; exit 3")
    assert (answer.status, answer.stdout.strip(), answer.stderr.strip()) == (3, "out", "err")
    assert not answer.ok and answer.problem == "err" and answer.first_line == "err"
    assert sh("exit 3").problem == "sh ended with status 3"
    assert sh("kill -9 $$").status == -9


def test_all_is_well():
    answer = sh("true")
    assert answer.ok and answer.problem == "" and answer.first_line == ""


def test_words_are_no_shell():
    assert command.run(["echo", "$HOME; id"], 20.0).stdout.strip() == "$HOME; id"


def test_what_it_gets(monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("HOME", "/home/of/mine")
    answer = sh(
        "pwd; env; cat; ls /proc/self/fd | wc -l; ps -o sid= -p $$; echo $$", environment={"LC_ALL": "x", "MORE": "1"}
    )
    lines = answer.stdout.split("\n")
    assert lines[0] == "/", "another user may not be allowed to enter our directory"
    assert {"HOME=/home/of/mine", "LC_ALL=x", "MORE=1", "PATH=" + command.PATH} <= set(lines)
    assert not any("SECRET" in line for line in lines)
    assert lines[-4].strip() == "4", "its three and the one of the listing"
    assert lines[-3].strip() == lines[-2].strip(), "a session of its own"


def test_one_that_not_even_kill_ends(monkeypatch):
    """It waits in the kernel for a disk or server that is dead: we don't wait with it."""
    spared = []
    monkeypatch.setattr(command.os, "killpg", lambda group, number: spared.append(group))
    began = time.monotonic()
    try:
        answer = command.run(["sleep", "60"], 0.2)
        assert answer.timed_out and not answer.ok and "did not answer within 0.2 s" in answer.problem
        assert time.monotonic() - began < 30
    finally:
        os.kill(spared[0], 9)


def test_a_descriptor_of_ours_stays_ours():
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        assert sh("test -e /proc/self/fd/%d && echo there" % writer).stdout.strip() == ""
    finally:
        os.close(reader)
        os.close(writer)


def test_our_input_is_not_its_input():
    reader, writer = os.pipe()
    ours = os.dup(0)
    try:
        os.write(writer, b"the module itself\n")
        os.close(writer)
        os.dup2(reader, 0)
        assert sh("cat").stdout == ""
    finally:
        os.dup2(ours, 0)
        os.close(ours)
        os.close(reader)


def test_what_is_not_there_is_said():
    answer = command.run(["/nowhere/harbour-tool", "x"], 20.0)
    assert (answer.status, answer.not_started) == (None, "harbour-tool is not installed")
    assert not answer.ok and answer.problem == "harbour-tool is not installed"


def test_what_can_not_be_run_is_said(tmp_path):
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    assert command.run([str(tmp_path / "tool")], 20.0).problem == "tool can't be run"
    assert "can't be run" in command.run(["a\0b"], 20.0).problem


def alive(pid):
    """Whether it runs; what is dead and waits for its parent does not."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_too_long_ends_it_with_everything_that_it_started(tmp_path):
    began = time.monotonic()
    script = "trap '' TERM; sleep 900 & echo $! >%s/pid; echo begun; wait; sleep 900" % tmp_path
    answer = sh(script, 1.0)
    assert time.monotonic() - began < 10
    assert answer.timed_out and not answer.ok and answer.stdout.strip() == "begun"
    assert answer.problem == "sh did not answer within 1 s"
    child = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 10
    while alive(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(child)


def test_what_goes_on_in_the_background_is_not_waited_for(tmp_path):
    """It keeps the pipes open. It is ended here, as nobody else does."""
    began = time.monotonic()
    answer = sh("sleep 60 & echo $! >%s/pid; echo done" % tmp_path)
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert answer.ok and answer.stdout.strip() == "done"
    assert time.monotonic() - began < 15


def test_an_endless_answer_is_cut_and_does_not_block(monkeypatch):
    monkeypatch.setattr(command, "LARGEST", 1000)
    answer = sh("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end >&2")
    assert answer.ok and len(answer.stdout) <= 1000 and answer.stderr.strip() == "end"


def test_what_it_says_can_be_shown():
    assert sh("printf 'a\\033[2Jb\\nc\\377\\n'").stdout.split("\n")[:2] == ["a\\x1b[2Jb", "c\\xff"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_another_user_with_nothing_of_ours():
    before = os.getgroups()
    os.setgroups([4, 6])
    try:
        answer = sh("id -u; id -g; id -G; env; grep -E 'CapEff|CapPrm' /proc/self/status", uid=NOBODY.pw_uid)
    finally:
        os.setgroups(before)
    assert answer.ok, answer
    lines = answer.stdout.split("\n")
    assert lines[:2] == [str(NOBODY.pw_uid), str(NOBODY.pw_gid)]
    assert set(lines[2].split()) == {str(group) for group in os.getgrouplist("nobody", NOBODY.pw_gid)}
    runtime = "/run/user/%d" % NOBODY.pw_uid
    expected = {
        "HOME=" + NOBODY.pw_dir, "USER=nobody", "LOGNAME=nobody", "XDG_RUNTIME_DIR=" + runtime,
        "DBUS_SESSION_BUS_ADDRESS=unix:path=%s/bus" % runtime,
    }  # fmt: skip
    assert expected <= set(lines)
    assert {"CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"} <= {line.replace("\\x09", "\t") for line in lines}


def test_an_account_that_does_not_exist():
    assert command.run(["true"], 20.0, uid=4_000_000_001).problem == "there is no account with uid 4000000001"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_who_is_not_root_can_not_become_another(in_netns):
    answer = in_netns(sh, "id -u", 20.0, user=True)
    assert answer.ok
    assert in_netns(_as_root, user=True) == "sh can't be run as uid 0"


def _as_root():
    return sh("id -u", uid=0).problem


def test_our_own_uid_takes_no_change():
    answer = sh("id -u", uid=os.geteuid())
    assert answer.ok and answer.stdout.strip() == str(os.geteuid())


# As another account -----------------------------------------------------------------------------------------------


def as_nobody(script, **keywords):
    return sh(script, uid=NOBODY.pw_uid, **keywords)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_it_has_the_rights_of_its_account_alone():
    said = as_nobody(
        "grep -E '^(Uid|Gid|NoNewPrivs|CapEff|CapPrm)' /proc/self/status; ulimit -c; ulimit -t; ulimit -d; pwd"
    ).stdout
    assert r"Uid:\x09%d\x09%d\x09%d\x09%d" % ((NOBODY.pw_uid,) * 4) in said
    assert r"Gid:\x09%d\x09%d\x09%d\x09%d" % ((NOBODY.pw_gid,) * 4) in said
    assert r"NoNewPrivs:\x091" in said
    assert r"CapEff:\x090000000000000000" in said and r"CapPrm:\x090000000000000000" in said
    assert said.splitlines()[-4:] == ["0", "10", "1048576", "/"]


READ_KEY = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(64)
found = libc.syscall(%d, 11, %d, buffer, 64, 0)
print("read", buffer.value.decode() if found > 0 else ctypes.get_errno())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_it_does_not_get_our_keys():
    """A key in root's session keyring that its possessor may read: who keeps that keyring possesses it."""
    machine = command._KEYCTL[os.uname().machine]
    # add_key(2) has the number before request_key and keyctl on the architectures of the table; x86_64's is 248.
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if not child:
        libc.syscall(machine, 1, None)
        key = libc.syscall(machine - 2, b"user", b"harbour-test", b"S3cr3tX", 7, -3)
        libc.syscall(machine, 5, key, 0x3F3F3F00)  # KEYCTL_SETPERM: possessor, user, group
        own = command.run(["/usr/bin/python3", "-c", READ_KEY % (machine, key)], 20.0).stdout
        said = command.run(["/usr/bin/python3", "-c", READ_KEY % (machine, key)], 20.0, uid=NOBODY.pw_uid).stdout
        os._exit(0 if "S3cr3tX" in own and said.startswith("read ") and "S3cr3tX" not in said else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_call_as_another_account():
    assert command.call(lambda: b"%d %d" % (os.getuid(), len(os.listdir("/proc/self/fd"))), 10.0, NOBODY.pw_uid) == (
        b"%d 5" % NOBODY.pw_uid
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_call_that_does_not_come_back():
    began = time.monotonic()
    assert command.call(lambda: time.sleep(60), 0.3, NOBODY.pw_uid) is None
    assert command.call(lambda: b"x" * 100, 10.0, NOBODY.pw_uid, most=99) is None
    assert command.call(lambda: 1 / 0, 10.0, NOBODY.pw_uid) is None
    assert time.monotonic() - began < 20


# An account of its own, as it stops all that it may.
STOPPER = "games"
STOP_ALL = (
    "import os, signal\nprint(flush=True)\nwhile True:\n try: os.kill(-1, signal.SIGSTOP)\n except OSError: pass\n"
)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_an_account_that_stops_its_commands_before_they_begin():
    """Its program has not been run yet, so what waits for that would wait for ever. A maze of links to nowhere gives it the time."""
    maze = Path(tempfile.mkdtemp(dir="/tmp"))
    maze.chmod(0o755)
    (maze / "a").mkdir()
    (maze / "l0").symlink_to("nowhere")
    for number in range(1, 39):
        (maze / ("l%d" % number)).symlink_to("a/../" * 800 + "l%d" % (number - 1))
    (maze / "sleep").symlink_to("l38")
    account = pwd.getpwnam(STOPPER)
    bomb = subprocess.Popen(
        ["setpriv", "--reuid", STOPPER, "--clear-groups", "/usr/bin/python3", "-c", STOP_ALL], stdout=subprocess.PIPE
    )
    try:
        bomb.stdout.readline()
        signal.alarm(60)
        began = time.monotonic()
        for _number in range(5):
            answer = command.run(["sleep", "60"], 0.5, account.pw_uid, {"PATH": "%s:/usr/bin:/bin" % maze})
            assert answer.timed_out and "did not answer within 0.5 s" in answer.problem
            assert command.call(lambda: b"x" * 2_000_000, 0.5, account.pw_uid) is None
        assert time.monotonic() - began < 40
    finally:
        signal.alarm(0)
        bomb.kill()
        bomb.wait()
        bomb.stdout.close()
        shutil.rmtree(maze)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_call_that_is_ended_in_the_middle_has_not_answered():
    def work():
        os.write(3, b"half of it")
        os.kill(os.getpid(), 9)
        return b""

    assert command.call(work, 10.0, NOBODY.pw_uid) is None


FLOODS = (r"\n", r"\001", r"\377", r"a\001", r"\303\251\377", r"\342\200\256", r"x\n", r"\t \n")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_costs_little(flood):
    """Of processor time, not counting what the account itself has spent."""
    script = "i=0; while [ $i -lt 14 ]; do a=$a$a; [ $i = 0 ] && a='%s'; i=$((i+1)); done; " % flood
    script += 'j=0; while [ $j -lt 600 ]; do printf "$a"; j=$((j+1)); done; printf "$a$a" >&2'
    before = time.process_time()
    answer = as_nobody(script, timeout=60.0)
    assert len(answer.stdout.split("\n")) + len(answer.problem) < 200_000
    assert time.process_time() - before < 0.4, "2 MB of this"
    assert len(answer.stdout) <= command.LARGEST_OF_OTHERS and len(answer.stderr) <= 8 * 65_536
    assert len(answer.first_line) <= 400


# As ourselves -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have a file of somebody else")
def test_what_others_may_write_is_not_run_with_our_rights(roots_path):
    tool = roots_path / "tool"
    tool.write_text("#!/bin/sh\necho ran\n")
    tool.chmod(0o755)
    assert command.run([str(tool)], 20.0).stdout.strip() == "ran"
    os.chown(tool, NOBODY.pw_uid, 0)
    answer = command.run([str(tool)], 20.0)
    assert answer.stdout == "" and "is not run" in answer.problem and str(tool) in answer.problem
    assert command.run([str(tool)], 20.0, uid=NOBODY.pw_uid).stdout.strip() == "ran", "it may harm its own account"


@pytest.fixture
def two_folders(roots_path, monkeypatch):
    """A search path with a folder of nobody's before one of root's; a function that puts a program into one of them."""
    folders = {"theirs": roots_path / "theirs", "ours": roots_path / "ours"}
    for folder in folders.values():
        folder.mkdir()
    os.chown(folders["theirs"], NOBODY.pw_uid, 0)
    monkeypatch.setattr(command, "PATH", "%(theirs)s:%(ours)s:/usr/bin:/bin" % folders)

    def put(where, text, name="probe"):
        path = folders[where] / name
        path.write_text("#!/bin/sh\n%s\n" % text)
        path.chmod(0o755)
        return path

    return put


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have a folder of somebody else")
def test_what_was_proven_is_what_is_run(two_folders):
    """A search of its own would find the one that comes first."""
    two_folders("theirs", "echo theirs")
    assert "is not run" in command.run(["probe"], 20.0).problem
    two_folders("ours", "echo ours")
    assert command.run(["probe"], 20.0).stdout.strip() == "ours"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have a file of somebody else")
def test_a_file_of_others_in_a_folder_of_ours_is_passed_over_too(two_folders, monkeypatch):
    theirs = two_folders("ours", "echo theirs", "probe")
    os.chown(theirs, NOBODY.pw_uid, 0)
    later = theirs.parent / "later"
    later.mkdir()
    (later / "probe").write_text("#!/bin/sh\necho ours\n")
    (later / "probe").chmod(0o755)
    monkeypatch.setattr(command, "PATH", "%s:%s:/usr/bin:/bin" % (theirs.parent, later))
    assert command.run(["probe"], 20.0).stdout.strip() == "ours"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have a folder of somebody else")
@pytest.mark.parametrize("own_path", [False, True])
def test_what_it_starts_itself_is_not_of_others_either(two_folders, own_path):
    two_folders("theirs", "echo theirs", "helper")
    two_folders("ours", "echo ours", "helper")
    two_folders("ours", "helper")
    environment = {"PATH": command.PATH} if own_path else None
    assert command.run(["probe"], 20.0, environment=environment).stdout.strip() == "ours"
    assert command.run(["helper"], 20.0, uid=NOBODY.pw_uid).stdout.strip() == "theirs", "it may harm its own account"
