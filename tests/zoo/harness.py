# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper's tools: start holders, run the module, and leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from zoo import world
from zoo.bestiary import Animal

HERE = Path(__file__).resolve().parent
TREE = Path(os.environ.get("ZOO_TREE", HERE.parent.parent))
MODULES = "ansible_collections.harbormaster.ports.plugins.modules."
COLLECTION = "harbormaster.ports."

DEADLINE = 60.0  # seconds for one run of the module; each wait of the module is far below

# What may differ between a check-mode run and a real one: how it went and what time it was.
FLEETING = {"result", "seconds", "elapsed", "age_seconds", "connections", "dropped", "rqueue"}


# Holders ----------------------------------------------------------------------------------------------------------


class Holder:
    """One animal: its first process, what it reported, and its end."""

    def __init__(self, command: list, options: dict, user: int | None, executable: str | None) -> None:
        self.options = options
        self.identities: dict[int, int] = {}
        self._buffer = b""
        self._reader, writer = os.pipe()
        environment = dict(os.environ, ZOO_OPTIONS=json.dumps(options), ZOO_REPORT=str(writer))
        self.process = subprocess.Popen(
            command,
            executable=executable,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            pass_fds=(writer,),
            user=user,
            group=user,
            extra_groups=[] if user is not None else None,
            cwd="/",
        )
        os.close(writer)
        first = self.next_report()
        self.port: int = first["port"]
        self.owners: list[int] = first["owners"]
        self.others: list[int] = first["others"]

    def next_report(self, seconds: float = 10.0) -> dict:
        """The next line the animal writes, awaited; its pids become ours to end."""
        end = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = end - time.monotonic()
            if left < 0 or not self._read(left):
                raise RuntimeError("a holder did not report: %s" % self._complaint())
        return self._line()

    def reports(self) -> list[dict]:
        """All the lines that are there by now."""
        while self._read(0):
            pass
        lines = []
        while b"\n" in self._buffer:
            lines.append(self._line())
        return lines

    def _read(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        data = os.read(self._reader, 65536) if poll.poll(int(seconds * 1000)) else b""
        self._buffer += data
        return bool(data)

    def _line(self) -> dict:
        line, self._buffer = self._buffer.split(b"\n", 1)
        report = json.loads(line)
        for pid in report["owners"] + report["others"] + [report["pid"]]:
            ticks = world.start_ticks(pid)
            if ticks is not None:
                self.identities.setdefault(pid, ticks)
        return report

    def _complaint(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        poll = select.poll()
        poll.register(self.process.stderr, select.POLLIN)
        return os.read(self.process.stderr.fileno(), 4000).decode(errors="replace") if poll.poll(0) else ""

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, word: str) -> None:
        os.write(self.process.stdin.fileno(), word.encode() + b"\n")

    def living(self, pids=None) -> list[int]:
        """Those of the reported processes that live, and are the same ones."""
        return [
            pid for pid in (self.identities if pids is None else pids) if world.alive(pid, self.identities.get(pid))
        ]

    def end(self) -> None:
        """End each reported process, by pid and start time, then collect our child."""
        self.reports()
        parents_first = sorted(self.identities, key=lambda pid: pid != self.pid)
        for pid in parents_first:
            if world.alive(pid, self.identities[pid]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(5)
        self.process.stderr.close()
        world.wait_gone(self.identities)
        self.reports()
        for pid in self.living():
            os.kill(pid, signal.SIGKILL)
        os.close(self._reader)


# The module -------------------------------------------------------------------------------------------------------


class Result(dict):
    """What the module printed, plus how it ended."""

    def __init__(self, run: subprocess.CompletedProcess, seconds: float) -> None:
        self.returncode, self.seconds = run.returncode, seconds
        self.text = run.stdout.decode(errors="replace")
        self.complaint = run.stderr.decode(errors="replace")
        if "Traceback" in self.text or "Traceback" in self.complaint:
            raise AssertionError("a traceback reached the user:\n%s\n%s" % (self.text, self.complaint))
        try:
            super().__init__(json.loads(self.text))
        except ValueError:
            raise AssertionError("no JSON came out: %r %r" % (self.text, self.complaint)) from None

    @property
    def failed(self) -> bool:
        return bool(self.get("failed"))

    def port(self, number: int, protocol: str = "tcp") -> dict:
        found = [entry for entry in self["ports"] if (entry["port"], entry["protocol"]) == (number, protocol)]
        if len(found) != 1:
            raise AssertionError("%d entries for %d/%s in %s" % (len(found), number, protocol, self["ports"]))
        return found[0]

    def pids(self) -> list[int]:
        """The processes that the report names as owners."""
        return sorted(entry["pid"] for entry in self["owners"])

    def comparable(self) -> dict:
        """What check mode must predict exactly."""
        return {key: steady(self.get(key)) for key in ("changed", "ports", "actions")}


def steady(value):
    """A result without what may differ between two runs of the same thing."""
    if isinstance(value, dict):
        return {key: steady(inner) for key, inner in value.items() if key not in FLEETING}
    if isinstance(value, list):
        return [steady(inner) for inner in value]
    if isinstance(value, str):
        return re.sub(r"\b\d+ processes\b", "some processes", value)
    return value


def collection_path(parent: Path) -> Path:
    """Make ``ansible_collections/harbormaster/ports`` below ``parent`` point at this tree."""
    link = parent / "ansible_collections" / "harbormaster" / "ports"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(TREE)
    return parent


def ansible_environment(work: Path, **more: str) -> dict[str, str]:
    """Environment for the ansible commands: only our configuration, nothing of the user's."""
    (work / "ansible.cfg").touch()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environment.update(
        ANSIBLE_COLLECTIONS_PATH=str(work),
        ANSIBLE_CONFIG=str(work / "ansible.cfg"),
        ANSIBLE_HOME=str(work / "home"),
        ANSIBLE_LOCAL_TEMP=str(work / "local"),
        ANSIBLE_REMOTE_TMP=str(work / "remote"),
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_LOCALHOST_WARNING="0",
        ANSIBLE_INVENTORY_UNPARSED_WARNING="0",
        LC_ALL="C.UTF-8",
    )
    environment.update(more)
    return environment


def ansible_command(name: str) -> str:
    """The ansible that belongs to the Python that runs the tests."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else (shutil.which(name) or name)


def explode(work: Path, python: str, name: str) -> Path:
    """Let ansible itself build the module's AnsiballZ payload, and unpack it as its documentation says.

    :returns: a directory with exactly the files that a target gets.
    """
    remote = work / ("keep_" + name)
    environment = ansible_environment(
        work, ANSIBLE_KEEP_REMOTE_FILES="1", ANSIBLE_PIPELINING="0", ANSIBLE_REMOTE_TMP=str(remote)
    )
    # it fails at the target where an option is missing, and the payload is there all the same
    command = [ansible_command("ansible"), "localhost", "-c", "local", "-m", COLLECTION + name]
    run = subprocess.run(
        command + ["-e", "ansible_python_interpreter=" + python],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False
    )  # fmt: skip
    wrappers = list(remote.glob("*/AnsiballZ_%s.py" % name))
    if len(wrappers) != 1:
        raise RuntimeError("ansible made no payload: %s" % run.stdout.decode(errors="replace"))
    subprocess.run([python, str(wrappers[0]), "explode"], check=True, stdout=subprocess.DEVNULL, timeout=60)
    directory = wrappers[0].parent / "debug_dir"
    # Compiled once, as the runs below are many; a target compiles each time.
    subprocess.run(
        [python, "-m", "compileall", "-q", str(directory)], stdout=subprocess.DEVNULL, timeout=120, check=False
    )
    return directory


class Module:
    """The module as a target runs it."""

    def __init__(self, work: Path, python: str, name: str = "port_owner") -> None:
        self.python = python
        self.name = name
        self.directory = explode(work, python, name)

    def run(
        self, check: bool = False, as_user: int | None = None, python: str | None = None,
        hook: Hook | None = None, prefix: tuple[str, ...] = (), **arguments
    ) -> Result:  # fmt: skip
        """Run it once. ``hook`` stops it at named calls, ``prefix`` is a command that runs a command."""
        for name, value in (("_ansible_check_mode", check), ("_ansible_diff", True)):
            arguments.setdefault(name, value)
        environment = dict(os.environ, LC_ALL="C.UTF-8", PYTHONDONTWRITEBYTECODE="1")
        if hook is not None:
            environment["ZOO_HOOK"] = hook.order()
        command = [
            *prefix,
            python or self.python,
            str(HERE_COPY / "runner.py"),
            str(self.directory),
            MODULES + self.name,
        ]
        began = time.monotonic()
        run = subprocess.run(
            command,
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd="/", timeout=DEADLINE,
            user=as_user, group=as_user, extra_groups=[] if as_user is not None else None, check=False
        )  # fmt: skip
        return Result(run, time.monotonic() - began)


class Hook:
    """Answers the runner when it stops: calls ``react(name of the call)`` in a thread of ours, then lets it go on."""

    def __init__(self, calls, react, times: int = 1) -> None:
        self.calls, self.react, self.times = list(calls), react, times
        self.seen: list[str] = []
        self.error: BaseException | None = None
        self._directory = tempfile.mkdtemp(prefix="zoo-hook-")
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self._directory + "/s")
        self._server.listen(8)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def order(self) -> str:
        return json.dumps({"calls": self.calls, "times": self.times, "socket": self._directory + "/s"})

    def __enter__(self) -> Hook:
        self._thread.start()
        return self

    def _serve(self) -> None:
        while True:
            try:
                friend = self._server.accept()[0]
            except OSError:
                return
            with friend:
                name = friend.recv(100).strip().decode()
                if not name:
                    return
                self.seen.append(name)
                try:
                    self.react(name)
                except BaseException as error:  # shown by __exit__: the run shall not hang for it
                    self.error = error
                friend.sendall(b".")

    def __exit__(self, *dummy) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)
        shutil.rmtree(self._directory, ignore_errors=True)
        if self.error is not None:
            raise self.error


# One test's zoo ---------------------------------------------------------------------------------------------------

HERE_COPY = HERE


def readable_copy(work: Path) -> None:
    """Put the zoo's programs where every user can read them: a checkout below /root is closed to others."""
    global HERE_COPY
    HERE_COPY = work / "programs"
    HERE_COPY.mkdir(exist_ok=True)
    for name in ("holders.py", "runner.py", "without_netlink.py"):
        shutil.copy(HERE / name, HERE_COPY / name)
    for directory, names, files in os.walk(work):
        for name in [".", *names, *files]:
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode | stat.S_IRGRP | stat.S_IROTH | (
                    stat.S_IXGRP | stat.S_IXOTH if os.path.isdir(path) else 0))  # fmt: skip


class Zoo:
    """What a test gets: a network, ports, holders and the module."""

    def __init__(self, module: Module, private: bool = True) -> None:
        self.module = module
        self.network = world.Network() if private else None
        self.ports = world.Ports(private)
        self.holders: list[Holder] = []

    def port(self, count: int = 1) -> int:
        return self.ports.take(count)

    def keep(self, animal: Animal, **options) -> Holder:
        """Start one of the bestiary."""
        if animal.root and not world.ROOT:
            world.lacking("%s needs root" % animal.name)
        return self.start(animal.species, 0 if animal.picks else None, **{**animal.options, **options})

    def start(
        self, species: str, port: int | None = None, argv: tuple = (), user: int | None = None,
        executable: str | None = None, **options
    ) -> Holder:  # fmt: skip
        """Start one animal and wait until it is in place. ``port`` 0: whatever the kernel gives."""
        options["port"] = self.port() if port is None else port
        if "comm" in options and isinstance(options["comm"], bytes):
            options["comm"] = options["comm"].decode("latin-1")
        program = executable or self.module.python
        holder = Holder([program, str(HERE_COPY / "holders.py"), species, *argv], options, user, executable)
        self.holders.append(holder)
        if species == "stopped":
            os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
        return holder

    def program(self, name: str) -> str:
        """A copy of the Python under another name: what it runs is known by that name's exe."""
        path = HERE_COPY / name
        if not path.exists():
            beside = path.with_name("%s.%d" % (name, os.getpid()))
            shutil.copy(os.path.realpath(self.module.python), beside)
            beside.rename(path)
        probe = [str(path), "-c", "import os, socket; print(os.readlink('/proc/self/exe'))"]
        run = subprocess.run(probe, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False)
        if run.stdout.decode().strip() != str(path):
            world.lacking("a copy of %s does not run by itself" % self.module.python)
        return str(path)

    def run(self, **arguments) -> Result:
        return self.module.run(**arguments)

    def free(self, port, **arguments) -> Result:
        """Free a port with the waits cut to what these holders need."""
        arguments.setdefault("settle", 0)
        return self.run(port=port, state="free", **arguments)

    def close(self) -> list[int]:
        """End everything; returns what was left behind without anybody having reported it."""
        try:
            for holder in reversed(self.holders):
                holder.end()
            left = []
            if self.network is not None:
                left = [pid for pid in self.network.inhabitants() if world.alive(pid)]
                for pid in left:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            return left
        finally:
            self.ports.give_back()
            if self.network is not None:
                self.network.leave()
