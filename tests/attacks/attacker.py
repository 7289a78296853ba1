# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An account without rights, its folder of traps, and a witness of everything that was run for it."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from zoo import world

GROUP = world.NOBODY
# Tests that run at the same time have an account each: what frees the port of one asks the engines of its account, and
# those of another test are not to be asked.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
ACCOUNT = pwd.getpwnam(("nobody", "games", "news", "uucp")[_WORKER % 4]).pw_uid
PYTHON = "/usr/bin/python3"
HERE = Path(__file__).resolve().parent

# Every tool in the attacker's folder is this: it writes down with which rights and secrets it was run, and answers.
WITNESS = """#!/usr/bin/python3
import json, os, sys
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
keys = open("/proc/keys").read() if os.path.exists("/proc/keys") else ""
seen = {"words": sys.argv, "uids": status["Uid"].split(), "gids": status["Gid"].split(),
        "groups": status["Groups"].split(), "capabilities": status["CapEff"].strip(),
        "no_new_privs": status["NoNewPrivs"].strip(), "environment": dict(os.environ), "keys": keys,
        "descriptors": [os.readlink("/proc/self/fd/" + name) for name in os.listdir("/proc/self/fd")
                        if os.path.islink("/proc/self/fd/" + name)], "folder": os.getcwd()}
with open(%(log)r, "a") as log:
    log.write(json.dumps(seen) + "\\n")
sys.stdout.write(%(answer)r)
"""


class Trap(t.NamedTuple):
    """A process that holds a port.

    :param pid: of the holder. above: of what bears the name, when that is its parent.
    """

    port: int
    pid: int
    above: int


class Attacker:
    """Sets traps as its account. What it has started is ended by pid, its folder is removed."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="attack-", dir="/tmp"))
        self.log = self.folder / "witness.log"
        self._processes: list[subprocess.Popen] = []
        self._pids: dict[int, int | None] = {}
        self.cgroups: list[Path] = []
        shutil.copy(HERE / "trap.py", self.folder / "trap.py")
        self.log.touch()
        self.log.chmod(0o666)
        os.chown(self.folder, ACCOUNT, GROUP)

    def __enter__(self) -> Attacker:
        return self

    def __exit__(self, *dummy: t.Any) -> None:
        for pid, ticks in self._pids.items():
            if world.alive(pid, ticks):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(10)
            process.stdout.close()
            process.stdin.close()
        world.wait_gone(self._pids)
        for folder in reversed(self.cgroups):
            with contextlib.suppress(OSError):
                folder.rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Its folder ---------------------------------------------------------------------------------------------------

    def tool(self, name: str, answer: str = "") -> str:
        """A program that writes down that it was run."""
        return self.file(name, WITNESS % {"log": str(self.log), "answer": answer}, 0o755)

    def file(self, name: str, text: str, mode: int = 0o644) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        for one in (path, *path.parents):
            if self.folder in (one, *one.parents):
                os.chown(one, ACCOUNT, GROUP)
        return str(path)

    def link(self, name: str, target: str) -> str:
        path = self.folder / name
        path.symlink_to(target)
        os.lchown(path, ACCOUNT, GROUP)
        return str(path)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def witnessed(self) -> list[dict]:
        """Every run of one of its tools."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    # Its processes ------------------------------------------------------------------------------------------------

    def trap(self, cwd: str = "", **options: t.Any) -> Trap:
        """Start a trap as its account; see trap.py for the options."""
        said_to_it = self.file("trap-%d.json" % len(self._processes), json.dumps(options))
        process = subprocess.Popen(
            [PYTHON, self.path("trap.py"), said_to_it],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd or str(self.folder), user=ACCOUNT, group=GROUP,
            extra_groups=[], start_new_session=True
        )  # fmt: skip
        self._processes.append(process)
        if not select.select([process.stdout], [], [], 20)[0]:
            raise RuntimeError("a trap did not report")
        said = json.loads(process.stdout.readline())
        for pid in (said["pid"], said["above"], *said.pop("helpers")):
            self._pids[pid] = world.start_ticks(pid)
        # What execs something else is that now.
        if options.get("exec"):
            wanted = os.path.basename(options["exec"])[:15]
            end = time.monotonic() + 10
            while time.monotonic() < end and Path("/proc/%d/comm" % said["above"]).read_text().strip() != wanted:
                time.sleep(0.01)
        return Trap(**said)
