# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the tests: an ansible with the installed collection, and the hosts with what holds their ports."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import subprocess
import textwrap
import typing as t
from pathlib import Path

from hosts import PYTHON, Fleet

HERE = Path(__file__).resolve().parent
TREE = HERE.parents[1]
HOLDER = "#!%s\n" % PYTHON + (HERE / "holder.py").read_text(
    encoding="utf-8"
)  # no env: it would be the name of the process
SECONDS = 300  # for one playbook
ENV = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHONPATH"))}
SSH = "-F /dev/null -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"

FIND = """
import glob, sys
for name in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        words = open(name, "rb").read()
    except OSError:
        continue
    if sys.argv[1].encode() in words and b"%s -" not in words and not words.startswith(b"%s\\0-\\0"):
        print(name.split("/")[2])
""" % (PYTHON, PYTHON)


class Installed:
    """The collection as a user has it: built, and installed into a directory that was empty."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self.binaries = binaries
        self.collections = folder / "collections"
        self.galaxy("collection", "build", str(TREE), "--output-path", str(folder / "built"))
        (archive,) = (folder / "built").glob("*.tar.gz")
        self.galaxy("collection", "install", str(archive), "--collections-path", str(self.collections), "--offline")

    @property
    def tree(self) -> Path:
        return self.collections / "ansible_collections" / "harbormaster" / "ports"

    def galaxy(self, *words: str) -> None:
        done = subprocess.run(
            [str(self.binaries / "ansible-galaxy"), *words],
            env=self.environment(self.folder), cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError("ansible-galaxy %s: %s %s" % (" ".join(words), done.stdout, done.stderr))

    def environment(self, folder: Path) -> t.Dict[str, str]:
        """Only our configuration, nothing of the user's."""
        (folder / "ansible.cfg").touch()
        environment = dict(
            ENV,
            ANSIBLE_CONFIG=str(folder / "ansible.cfg"),
            ANSIBLE_HOME=str(folder / "home"),
            ANSIBLE_LOCAL_TEMP=str(folder / "local"),
            ANSIBLE_COLLECTIONS_PATH=str(self.collections),
            ANSIBLE_COLLECTIONS_SCAN_SYS_PATH="0",
            ANSIBLE_NOCOLOR="1",
            ANSIBLE_HOST_KEY_CHECKING="0",
            ANSIBLE_PIPELINING="1",
            ANSIBLE_TIMEOUT="10",
            LC_ALL="C.UTF-8",
        )
        return environment


class Run:
    """How a playbook ended."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.returncode = done.returncode
        self.text = done.stdout + done.stderr
        assert "Traceback" not in self.text, self.text
        assert "[DEPRECATION" not in self.text, self.text

    def recap(self, host: str) -> t.Dict[str, int]:
        """The counts of a host: ok, changed, unreachable, failed, skipped, rescued, ignored; empty when it was not run."""
        found = re.search(r"^%s\s+: (.*)$" % re.escape(host), self.text[self.text.index("PLAY RECAP") :], re.MULTILINE)
        pairs = (pair.split("=") for pair in found.group(1).split()) if found else ()
        return {name: int(count) for name, count in pairs}

    def said(self, task: str) -> str:
        """What was printed below the headers of the tasks with this name."""
        parts = re.split(r"^(?:TASK|PLAY) (?:\[(.*?)\]|RECAP) \*+$", self.text, flags=re.MULTILINE)
        return "\n".join(body for header, body in zip(parts[1::2], parts[2::2]) if header and task in header)

    def stats(self) -> t.Dict[str, t.Any]:
        """What set_stats has kept for AWX."""
        found = re.search(r"^CUSTOM STATS: \*+\s+RUN: (\{.*\})", self.text, re.MULTILINE)
        return json.loads(found.group(1)) if found else {}

    def counts(self, host: str) -> str:
        """The counts of a host that matter most, as one word to compare."""
        counts = self.recap(host)
        return "none" if not counts else "changed=%(changed)d unreachable=%(unreachable)d failed=%(failed)d" % counts


class Site:
    """One test: who holds what, the inventory, and the playbooks that are run."""

    _count = itertools.count()

    def __init__(self, installed: Installed, fleet: Fleet, folder: Path) -> None:
        self.installed = installed
        self.fleet = fleet
        self.folder = folder
        self.names = list(fleet.hosts)
        self.hosts: t.Dict[str, t.Dict[str, t.Any]] = fleet.inventory()
        self.settings: t.Dict[str, str] = {}
        # On the hosts, and in the command line of each process that is started from it.
        self.place = "/run/harbormaster-fleet-%d-%d" % (os.getpid(), next(self._count))
        for name, variables in self.hosts.items():
            variables["shop_folder"] = "%s/%s/shop" % (self.place, name)

    def unreachable(self, name: str = "lost1") -> str:
        """Add a host that refuses connections: nothing listens on its port 1."""
        self.hosts[name] = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_python_interpreter": PYTHON}
        return name

    def plan(self, plan: t.Any, *names: str, **more: t.Any) -> None:
        """Give hosts, or all of them, a plan and other variables."""
        for name in names or self.hosts:
            self.hosts[name].update(clear_ports_plan=plan, **more)

    def hold(self, host: str, *ports: t.Any, name: str = "stray", after: float = 0) -> int:
        """Start a holder on a host and give its pid; with ``after`` seconds it comes later, and has no pid yet."""
        path = "%s/%s/%s" % (self.place, host, name)
        self.fleet.write(host, path, HOLDER)
        words = " ".join(shlex.quote(str(word)) for word in (path, *ports))
        if after:
            self.fleet.run(host, "(sleep %g; %s) >/dev/null 2>&1 </dev/null &" % (after, words))
            return 0
        return int(self.fleet.run(host, words))

    def alive(self, host: str, pid: int) -> bool:
        """Whether a holder on the host still runs."""
        return self.fleet.run(host, "cat /proc/%d/cmdline 2>/dev/null; true" % pid).startswith(PYTHON)

    def fetch(self, host: str, port: int) -> str:
        """What the web server of a host says."""
        code = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=5).read().decode())"
        return self.fleet.run(host, "%s -c %s http://127.0.0.1:%d/" % (PYTHON, shlex.quote(code), port)).strip()

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def play(self, book: t.Union[str, Path], *words: str, **variables: t.Any) -> Run:
        """Run a playbook, by its name in a collection or by its file."""
        self.write("hosts.json", json.dumps({"all": {"hosts": self.hosts}}))
        environment = self.installed.environment(self.folder)
        environment.update(
            ANSIBLE_INVENTORY=str(self.folder / "hosts.json"),
            ANSIBLE_ROLES_PATH="%s:%s" % (self.folder / "roles", HERE / "roles"),
            ANSIBLE_SSH_ARGS=SSH,
            ANSIBLE_SSH_CONTROL_PATH_DIR=str(self.installed.folder / "cp"),
            ANSIBLE_SHOW_CUSTOM_STATS="1",
            **self.settings,
        )
        given = ["-e", json.dumps(variables)] if variables else []
        done = subprocess.run(
            [*self.fleet.controller, str(self.installed.binaries / "ansible-playbook"), str(book), *given, *words],
            env=environment, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=SECONDS, check=False,
        )  # fmt: skip
        return Run(done)

    def pids(self, host: str, path: str) -> t.List[int]:
        """The processes on a host that have a path in their command line, without the one that looks for it."""
        return [int(pid) for pid in self.fleet.run(host, "%s - %s" % (PYTHON, shlex.quote(path)), FIND).split()]

    def clean(self) -> None:
        """End all that was started from our place on the hosts, by pid."""
        for host in self.fleet.hosts:
            pids = self.pids(host, self.place + "/")
            if pids:
                self.fleet.run(host, "kill -9 %s 2>/dev/null; true" % " ".join(map(str, pids)))
            self.fleet.run(host, "rm -rf " + shlex.quote(self.place))
