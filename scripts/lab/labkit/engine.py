# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own engine, in a network namespace of its own.

It shares nothing with another engine on the machine: own containerd, own directories and sockets, and its bridge,
routes, firewall rules and published ports exist in the lab's namespace only.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
import typing as t
from pathlib import Path

from labkit.place import CACHE, IN_LAB, NAME, NETNS, NETWORK, RUN, LabError, NoLab, docker, run, say, wait_for

DATA = CACHE / "engine"

# Without CAP_SYS_RESOURCE (a container, a restricted machine) no process may lower an OOM score.
CONTAINERD = """\
version = 2
root = "{data}/containerd"
state = "{run}/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{run}/containerd.sock"
[ttrpc]
  address = "{run}/containerd.sock.ttrpc"
"""


def up() -> None:
    """Start the engine, unless it runs."""
    if answers():
        return
    down()
    RUN.mkdir(mode=0o755, parents=True, exist_ok=True)
    DATA.mkdir(parents=True, exist_ok=True)
    if not NETNS.exists():
        done = run("ip", "netns", "add", NAME, check=False)
        if done.returncode:
            raise NoLab("no network namespace can be made here: %s" % done.stderr.strip())
    run(*IN_LAB, "ip", "link", "set", "lo", "up")
    (RUN / "containerd.toml").write_text(CONTAINERD.format(data=DATA, run=RUN), encoding="utf-8")
    _start("containerd", "containerd", "--config", RUN / "containerd.toml")
    wait_for("containerd's socket", (RUN / "containerd.sock").exists, 30)
    _start(
        "dockerd", *IN_LAB, "dockerd", "--host", "unix://%s/docker.sock" % RUN, "--containerd", RUN / "containerd.sock",
        "--data-root", DATA / "docker", "--exec-root", RUN / "docker", "--pidfile", RUN / "docker.pid", "--bip", NETWORK,
        "--oom-score-adjust", "0",
    )  # fmt: skip
    try:
        wait_for("the engine", answers, 60)
    except LabError:
        log = (RUN / "dockerd.log").read_text(errors="replace")[-1500:]
        raise NoLab("the lab's engine does not start here. The end of its log:\n%s" % log) from None


def answers() -> bool:
    if not (RUN / "docker.sock").exists():
        return False
    return docker("version", "--format", "{{.Server.Version}}", check=False, seconds=30).returncode == 0


def _start(name: str, *command: t.Any) -> None:
    with open(RUN / (name + ".log"), "ab") as log:
        subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/",
        )  # fmt: skip


def _ours() -> t.Dict[int, str]:
    """The processes of this lab: those that were told its directory, by pid."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                program = os.path.basename(words[0].decode(errors="replace"))
                tools = ("dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy", "ssh", "ssh:")
                told = any(str(RUN).encode() in word or str(DATA).encode() in word for word in words)
                if told and program in tools:
                    found[int(entry.name)] = program
    return found


def _end(names: t.Iterable[str], number: int, seconds: float) -> None:
    for pid, name in _ours().items():
        if name in names:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
    end = time.monotonic() + seconds
    while time.monotonic() < end and set(names) & set(_ours().values()):
        time.sleep(0.1)


def down() -> None:
    """End the engine and all that it left, whatever state it is in."""
    if answers():
        names = docker("ps", "-aq", check=False).stdout.split()
        if names:
            docker("rm", "--force", "--volumes", *names, check=False)
    for names in (("ssh", "ssh:"), ("dockerd",), ("containerd",)):
        _end(names, signal.SIGTERM, 20)
    _end(set(_ours().values()), signal.SIGKILL, 5)
    left = _ours()
    if left:
        raise LabError("processes of the lab would not end: %s" % left)
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()[::-1]:
        point = line.split()[1]
        if point.startswith(("%s/" % RUN, "%s/" % DATA)):
            run("umount", "--lazy", point, check=False)
    if NETNS.exists():
        run("ip", "netns", "delete", NAME)
    _remove_cgroups()
    shutil.rmtree(RUN, ignore_errors=True)
    shutil.rmtree(DATA, ignore_errors=True)
    if RUN.exists() or DATA.exists():
        say("could not remove all of %s and %s" % (RUN, DATA))


def _remove_cgroups() -> None:
    """Empty groups that systemd in a host left behind: the engine removes only its own."""
    remembered = CACHE / "hosts.ids"
    if not remembered.exists():
        return
    for name in remembered.read_text(encoding="ascii").split():
        for top in Path("/sys/fs/cgroup").glob("*/docker/%s" % name):
            for folder, _folders, _files in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):  # not empty: somebody lives there
                    os.rmdir(folder)
    remembered.unlink()
