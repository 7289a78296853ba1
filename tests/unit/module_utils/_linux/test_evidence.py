# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be believed: real files, folders, sockets and processes, of root and of an account without rights."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import struct
import subprocess
import tempfile
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import processes

NOBODY = pwd.getpwnam("nobody").pw_uid
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have files of two accounts")


@pytest.fixture
def roots():
    """A folder that only root may write, on a path of such folders; /tmp is none."""
    folder = tempfile.mkdtemp(prefix="harbour-", dir="/var/lib")
    os.chmod(folder, 0o755)
    yield folder
    shutil.rmtree(folder)


def file_in(folder, name="tool", mode=0o755, owner=0, content="#!/bin/sh\n"):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="ascii") as stream:
        stream.write(content)
    os.chmod(path, mode)
    os.chown(path, owner, 0)
    return path


def test_roots_program_is_proven(roots):
    assert evidence.executable(file_in(roots)) == os.path.join(roots, "tool")
    assert evidence.executable("/bin/sh") == os.path.realpath("/bin/sh"), "links of root are followed"


@pytest.mark.parametrize("mode", [0o757, 0o777])
def test_a_program_that_others_may_write(roots, mode):
    assert evidence.executable(file_in(roots, mode=mode)) is None


def test_a_program_of_somebody_else(roots):
    assert evidence.executable(file_in(roots, owner=NOBODY)) is None


def test_a_program_that_a_group_may_write(roots):
    path = file_in(roots, mode=0o775)
    assert evidence.executable(path), "root's group is root"
    os.chown(path, 0, pwd.getpwnam("nobody").pw_gid)
    assert evidence.executable(path) is None


@pytest.mark.parametrize(("mode", "owner"), [(0o777, 0), (0o1777, 0), (0o755, NOBODY)])
def test_a_folder_on_the_way_of_somebody_else(roots, mode, owner):
    inner = os.path.join(roots, "a", "b")
    os.makedirs(inner)
    path = file_in(inner)
    assert evidence.executable(path)
    os.chmod(os.path.join(roots, "a"), mode)
    os.chown(os.path.join(roots, "a"), owner, 0)
    assert evidence.executable(path) is None


def test_links(roots):
    path = file_in(roots)
    os.symlink(path, os.path.join(roots, "good"))
    os.symlink("tool", os.path.join(roots, "short"))
    os.symlink("/tmp/harbour-not-there", os.path.join(roots, "out"))
    os.symlink("loop", os.path.join(roots, "loop"))
    os.symlink(path, os.path.join(roots, "foreign"))
    os.lchown(os.path.join(roots, "foreign"), NOBODY, 0)
    said = {
        name: evidence.executable(os.path.join(roots, name)) for name in ("good", "short", "out", "loop", "foreign")
    }
    assert said == {"good": path, "short": path, "out": None, "loop": None, "foreign": None}


def test_a_path_that_leaves_and_comes_back(roots):
    path = file_in(roots)
    assert evidence.executable("/tmp/.." + path) is None, "/tmp is a folder on the way"
    assert evidence.executable("/usr/.." + path) == path
    assert evidence.executable("tool") is None
    assert evidence.executable("") is None
    assert evidence.executable("/usr\0/bin/sh") is None


def test_a_small_file_is_read(roots):
    assert evidence.read(file_in(roots, content="812\n")) == b"812\n"
    assert evidence.read(file_in(roots, content="x" * 100), most=99) is None
    assert evidence.read(roots) is None
    assert evidence.read(os.path.join(roots, "nothing")) is None


def test_nothing_that_blocks_is_opened(roots):
    os.mkfifo(os.path.join(roots, "pid"))
    os.mknod(os.path.join(roots, "zero"), 0o644 | stat.S_IFCHR, os.makedev(1, 5))
    began = time.monotonic()
    assert evidence.read(os.path.join(roots, "pid")) is None
    assert evidence.read(os.path.join(roots, "zero")) is None
    assert time.monotonic() - began < 5


def test_a_socket(roots):
    path = os.path.join(roots, "engine.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0o666)
        assert evidence.listener(path) == path, "who may ask there does not matter"
        os.chown(path, NOBODY, 0)
        assert evidence.listener(path) is None


def test_programs_are_found_where_they_are_proven(roots):
    foreign = os.path.join(roots, "foreign")
    os.mkdir(foreign)
    file_in(foreign)
    os.chown(foreign, NOBODY, 0)
    assert evidence.find("tool", foreign) is None
    file_in(roots)
    assert evidence.find("tool", foreign + ":" + roots) == os.path.join(roots, "tool")


# Processes --------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(request):
    """Starts programs; each is ended by its pid."""

    def start(*words, **keywords):
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, **keywords)
        request.addfinalizer(process.wait)
        request.addfinalizer(process.kill)
        name = os.fsencode(os.path.basename(keywords.get("executable") or words[0]))[:15]
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with open("/proc/%d/comm" % process.pid, "rb") as stream:
                if stream.read().strip() == name:
                    break
            time.sleep(0.01)
        return processes.describe([process.pid])[process.pid]

    return start


def test_what_root_runs_is_what_it_is_called(run):
    seen = run("/bin/sleep", "60")
    assert (seen.proven, seen.real_uid) == (("sleep",), 0)


def test_a_name_by_a_link_proves_nothing_but_the_program(run, roots):
    """A set-uid program that becomes root for good can be started by anybody, through a link of any name."""
    os.symlink("/bin/sleep", os.path.join(roots, "supervisord"))
    seen = run(os.path.join(roots, "supervisord"), "60")
    assert seen.name == "supervisord"
    assert seen.proven == ("sleep",)


def test_a_script_of_root_is_what_it_is_called(run, roots):
    file_in(roots, "supervisord", content="#!/usr/bin/python3\nimport time\ntime.sleep(60)\n")
    seen = run(os.path.join(roots, "supervisord"))
    assert "supervisord" in seen.proven


def test_somebody_elses_program_proves_nothing(run):
    seen = run("/bin/sleep", "60", preexec_fn=lambda: os.setresuid(NOBODY, NOBODY, NOBODY))
    assert (seen.proven, seen.real_uid, seen.account) == ((), NOBODY, NOBODY)


@pytest.mark.parametrize("uids", [(NOBODY, 0, 0), (NOBODY, 0, NOBODY)])
def test_a_set_uid_program_proves_nothing(run, uids):
    seen = run("/bin/sleep", "60", preexec_fn=lambda: os.setresuid(*uids))
    assert (seen.proven, seen.uid, seen.account) == ((), 0, uids[0])


def test_a_program_of_somebody_else_that_root_runs(run, roots):
    path = os.path.join(roots, "dockerd")
    shutil.copy("/bin/sleep", path)
    assert run(path, "60").proven == ("dockerd",)
    os.chown(path, NOBODY, 0)
    assert run(path, "61").proven == ()


def test_a_program_that_was_replaced_while_it_runs(run, roots):
    path = os.path.join(roots, "dockerd")
    shutil.copy("/bin/sleep", path)
    process = run(path, "60")
    os.unlink(path)
    assert processes.describe([process.pid])[process.pid].proven == ("dockerd",)
    file_in(roots, "dockerd")
    assert processes.describe([process.pid])[process.pid].proven == ("dockerd",)


def test_a_program_of_another_mount_namespace(run, roots):
    """A container's own, at a path that the host has too."""
    script = 'mount -t tmpfs none "$0" && cp /bin/sleep "$0/dockerd" && exec "$0/dockerd" 60'
    process = run("unshare", "-m", "/bin/sh", "-c", script, roots)
    until = time.monotonic() + 10
    while time.monotonic() < until and processes.describe([process.pid])[process.pid].name != "dockerd":
        time.sleep(0.01)
    shutil.copy("/bin/sleep", os.path.join(roots, "dockerd"))
    assert processes.describe([process.pid])[process.pid].proven == ()
    os.unlink("/proc/%d/root%s/dockerd" % (process.pid, roots))
    now = processes.describe([process.pid])[process.pid]
    assert now.name == "dockerd" and now.proven == (), "also without its file"


@pytest.mark.parametrize(("mode", "said"), [(0o755, True), (0o4755, False), (0o2755, False)])
def test_what_anybody_may_start_is_not_called_what_it_says(run, roots, mode, said):
    """busybox is an interpreter of its applets, and where it is set-uid becomes root for good in some of them."""
    path = os.path.join(roots, "dash")
    shutil.copy(os.path.realpath("/bin/sh"), path)
    os.chmod(path, mode)
    os.symlink("dash", os.path.join(roots, "supervisord"))
    seen = run("supervisord", "-c", "read word", executable=os.path.join(roots, "supervisord"))
    assert seen.name == "supervisord" and ("supervisord" in seen.proven) is said
    assert "dash" in seen.proven


def with_list(path, *entries):
    """An access control list in the form of acl_ea.h: tag, rights, id."""
    data = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", data)
    except OSError:
        pytest.skip("this file system has no access control lists")


def test_an_account_of_an_access_control_list(roots):
    """Its right to write stands where a group's does, and the group is root's."""
    path = file_in(roots)
    os.chmod(path, 0o775)
    assert evidence.executable(path) == path
    nobody = 0xFFFFFFFF
    with_list(path, (1, 7, nobody), (2, 7, NOBODY), (4, 5, nobody), (0x10, 7, nobody), (0x20, 5, nobody))
    assert os.stat(path).st_mode & 0o777 == 0o775
    assert evidence.executable(path) is None
    assert evidence.find("tool", roots) is None
    inner = os.path.join(roots, "inner")
    os.mkdir(inner)
    os.chmod(inner, 0o775)
    assert evidence.folder(inner) == inner
    with_list(inner, (1, 7, nobody), (2, 7, NOBODY), (4, 5, nobody), (0x10, 7, nobody), (0x20, 5, nobody))
    assert evidence.folder(inner) is None
    assert evidence.executable(file_in(inner)) is None


# Control groups ---------------------------------------------------------------------------------------------------


def test_a_subtree_is_the_word_of_who_was_given_it(roots):
    os.makedirs(os.path.join(roots, "user.slice", "user@65534.service", "docker-1.scope"))
    path = "/user.slice/user@65534.service/docker-1.scope"
    assert evidence.words_of([roots], path) == (3, None)
    os.chown(os.path.join(roots, "user.slice", "user@65534.service"), NOBODY, 0)
    assert evidence.words_of([roots], path) == (2, NOBODY), "the unit's own name is root's word"
    assert evidence.words_of(["/nowhere", roots], path) == (2, NOBODY)


@pytest.mark.parametrize("path", ["/not/there", "/../../..", "/user.slice/.."])
def test_a_path_that_can_not_be_found_proves_nothing(roots, path):
    assert evidence.words_of([roots], path) is None
