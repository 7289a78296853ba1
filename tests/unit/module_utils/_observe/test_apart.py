# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a process is contained, and whose word that is: real control groups, namespaces and a real containerd."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Unit
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import apart, processes

ID = "0123456789abcdef" * 4
NOBODY = 65534
AS_NOBODY = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
WAIT = ("/bin/sh", "-c", "echo; exec sleep 60")

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="by design: control groups of others need root"
)


@pytest.fixture
def group():
    """A function that makes a control group, gives it to an account, and puts processes into it."""
    places = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")
    base = next((one for one in places if _holds(one)), "")
    made, inside = [], []

    def make(path, *pids, owner=0):
        where = base
        for part in path.split("/"):
            where += "/" + part
            if not os.path.isdir(where):
                os.mkdir(where)
                os.chown(where, owner, owner)
                made.append(where)
        for pid in pids:
            with open(where + "/cgroup.procs", "w", encoding="ascii") as stream:
                stream.write(str(pid))
            inside.append(pid)

    yield make
    for pid in inside:
        with contextlib.suppress(OSError), open(base + "/cgroup.procs", "w", encoding="ascii") as stream:
            stream.write(str(pid))
    for where in reversed(made):
        with contextlib.suppress(OSError):
            os.rmdir(where)


def _holds(folder):
    return os.path.isfile(folder + "/cgroup.procs") and os.access(folder, os.W_OK)


def seen(pid):
    return processes.describe([pid])[pid]


def test_a_container_that_root_has_named(start, group):
    pid = start(*WAIT)
    group("harbour-%d/docker-%s.scope" % (pid, ID), pid)
    assert seen(pid).container == Container("docker", ID)


def test_the_folder_that_an_account_was_given(start, group):
    """Its own name is root's word: an engine gives a container its folder when that has a user namespace."""
    pid = start(*AS_NOBODY, *WAIT)
    group("harbour-%d" % pid)
    group("harbour-%d/docker-%s.scope" % (pid, ID), pid, owner=NOBODY)
    assert seen(pid).container == Container("docker", ID)


@pytest.mark.parametrize("name", ["docker-%s.scope" % ID, "kubepods/pod0a1b2c3d/" + ID, "default/" + ID, "lxc/web"])
def test_what_an_account_names_below_its_own_folder(start, group, name):
    pid = start(*AS_NOBODY, *WAIT)
    group("harbour-%d" % pid, owner=NOBODY)
    group("harbour-%d/%s" % (pid, name), pid, owner=NOBODY)
    found = seen(pid).container
    assert found is not None and found.user == NOBODY and not found.unsure


def test_a_process_of_root_in_the_folder_of_an_account(start, group):
    """That account may move there whatever it has started, also by sudo: the names stay its own."""
    pid = start(*WAIT)
    group("harbour-%d/docker-%s.scope" % (pid, ID), pid, owner=NOBODY)
    assert seen(pid).container == Container("docker", ID, user=NOBODY)


@pytest.mark.parametrize("name", ["postgresql.service", "user.slice/user-0.slice/user@0.service/evil.service"])
def test_units_that_an_account_makes_up(start, group, name):
    pid = start(*AS_NOBODY, *WAIT)
    group("harbour-%d" % pid, owner=NOBODY)
    group("harbour-%d/%s" % (pid, name), pid, owner=NOBODY)
    assert seen(pid).unit is None


def test_units_of_an_account_below_its_own_manager(start, group):
    pid = start(*AS_NOBODY, *WAIT)
    folder = "harbour-%d/user@65534.service" % pid
    group("harbour-%d" % pid)
    group(folder, owner=NOBODY)
    group(folder + "/app.slice/web.service", pid, owner=NOBODY)
    assert seen(pid).unit == Unit("web.service", NOBODY)


def test_a_plain_process(start):
    assert seen(start(*WAIT)).apart == ""


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("--pid", "--fork", "--kill-child"), "PID"),
        (("--pid", "--fork", "--kill-child", "--mount-proc"), "PID"),
        (("--mount",), "mount"),
    ],
)
def test_namespaces_that_root_has_made(start, options, kind):
    pid = start("unshare", *options, *WAIT)
    inner = children(pid)[0] if "--fork" in options else pid
    assert seen(inner).apart == kind


def test_namespaces_that_an_account_has_made_for_itself(start):
    pid = start(*AS_NOBODY, "unshare", "--user", "--map-root-user", "--pid", "--mount", "--fork", "--kill-child", *WAIT)
    assert seen(children(pid)[0]).apart == ""


def test_a_service_may_have_its_own_view_of_the_files(start, group):
    """PrivateTmp=, ProtectSystem= and the like."""
    pid = start("unshare", "--mount", *WAIT)
    group("harbour-%d/web.service" % pid, pid)
    assert seen(pid).apart == "" and seen(pid).unit == Unit("web.service")


def test_a_login_may_have_a_tmp_of_its_own(start, group):
    pid = start("unshare", "--mount", *WAIT)
    group("harbour-%d/session-3.scope" % pid, pid)
    assert seen(pid).apart == ""


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as stream:
        return [int(word) for word in stream.read().split()]


@pytest.mark.parametrize(
    ("proven", "words", "uid", "container"),
    [
        (
            "containerd-shim-runc-v2",
            "shim -namespace moby -id %s -address /run/c.sock" % ID,
            0,
            Container("docker", ID),
        ),
        ("containerd-shim-runc-v2", "shim -namespace default -id web1", 0, Container("containerd", "web1")),
        ("containerd-shim-kata-v2", "shim -namespace edge -id a", 0, Container("containerd", "a", project="edge")),
        (
            "conmon",
            "conmon --api-version 1 -c %s -n web --exit-command /usr/bin/podman" % ID,
            0,
            Container("podman", ID),
        ),
        ("conmon", "conmon -c %s" % ID, 1000, Container("podman", ID, user=1000)),
        ("conmon", "conmon -c %s --exit-dir /var/run/crio/exits" % ID, 0, Container("cri-o", ID)),
        ("crio-conmon", "crio-conmon -c %s --exit-dir /var/run/crio/exits" % ID, 0, Container("cri-o", ID)),
        ("runc", "runc --root /r run --bundle /b web", 0, Container("runc", "web")),
        ("crun", "crun run web", 0, Container("runc", "web")),
        ("runc", "runc list", 0, None),
        ("runcible", "runcible run web", 0, None),
    ],
)
def test_what_a_runtimes_own_process_watches_over(proven, words, uid, container):
    assert apart.watched((proven,), words.split(), uid) == container


@pytest.mark.skipif(
    not all(map(shutil.which, ("containerd", "ctr", "busybox"))), reason="by design: needs containerd on this machine"
)
def test_a_container_of_ctr_is_known_by_its_shim(roots_path):
    """Its control group, /default/web1, could be anybody's."""
    socket = str(roots_path / "c.sock")
    for name in ("bin", "proc", "dev", "sys"):
        (roots_path / "image" / name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), roots_path / "image" / "bin" / "busybox")
    ctr = ("ctr", "--address", socket)
    with open(roots_path / "log", "wb") as log:
        engine = subprocess.Popen(
            ["containerd", "--address", socket, "--root", roots_path / "root", "--state", roots_path / "state"],
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _until(lambda: subprocess.run([*ctr, "version"], capture_output=True, check=False).returncode == 0)
            name = "harbour-%d" % os.getpid()
            subprocess.run(
                [*ctr, "run", "--detach", "--rootfs", "--net-host", roots_path / "image", name,
                 "/bin/busybox", "sleep", "120"],
                check=True, stdout=log, stderr=log,
            )  # fmt: skip
            try:
                listed = subprocess.run([*ctr, "task", "ls"], check=True, capture_output=True, text=True).stdout
                pid = next(int(line.split()[1]) for line in listed.splitlines() if line.startswith(name))
                assert seen(pid).container == Container("containerd", name)
            finally:
                subprocess.run([*ctr, "task", "rm", "--force", name], check=True, stdout=log, stderr=log)
                subprocess.run([*ctr, "container", "rm", name], check=True, stdout=log, stderr=log)
        finally:
            engine.terminate()
            engine.wait(30)


def _until(good, seconds=30):
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end, "it did not come to pass in %d s" % seconds
        time.sleep(0.1)
