# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Windows rig from Python: compile C# and C, run it under Wine, keep holders alive beside it.

What was compiled is kept in the rig's cache, in a folder named after everything that it was made of.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("HARBORMASTER_WINDOWS_RIG") or ROOT / ".cache" / "windows-rig")
SCRIPTS = Path(__file__).resolve().parent / "rig"
FIXTURES = Path(__file__).resolve().parent / "fixtures"
UTILS = ROOT / "plugins" / "module_utils" / "_windows"
NAMESPACE = "ansible_collections.harbormaster.ports.plugins.module_utils._windows."

# The language of Windows PowerShell 5.1 and the libraries that Ansible gives its compiler there; a warning is an error.
C_SHARP_5 = [
    "mcs",
    "-noconfig",
    "-r:System.dll",
    "-r:System.Core.dll",
    "-langversion:5",
    "-warnaserror+",
    "-warn:4",
    "-nologo",
]
# Ansible.Basic.cs says itself which warnings it does not mind (219, an unused variable); 436: our stand-ins have the names of real types.
ANSIBLE_BASIC = ["-target:library", "-d:WINDOWS", "-nowarn:219,436"]
NATIVE = ["x86_64-w64-mingw32-gcc", "-O1", "-Wall", "-Werror"]
NATIVE_LIBRARIES = ["-lws2_32", "-liphlpapi", "-ladvapi32", "-luser32"]

EXCEPTION = 98  # exit code of the driver when a user would see an exception
READY = re.compile(r"^ready (\d+)", re.MULTILINE)


class CompileError(Exception):
    """What the compiler says."""


def csharp_of(core: Path) -> Path:
    """Where an installed ansible-core keeps its C#.

    :param core: the folder of its ``ansible`` package.
    """
    return core / "module_utils" / "csharp"


def utils() -> list[Path]:
    """Every C# file of the collection."""
    return sorted(UTILS.glob("*.cs"))


# Compiling ------------------------------------------------------------------------------------------------------


def _made(name: str, parts: t.Iterable[Path], words: t.Iterable[str], make: t.Callable[[Path], None]) -> Path:
    """The folder of something compiled; made when it is not there yet, whole or not at all, by one process."""
    digest = hashlib.sha256()
    for word in words:
        digest.update(word.encode() + b"\0")
    for part in sorted(parts):
        digest.update(part.name.encode() + b"\0" + part.read_bytes() + b"\0")
    folder = CACHE / "build" / ("%s-%s" % (name, digest.hexdigest()[:16]))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (CACHE / "build" / ("%s.lock" % name)).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            work = Path(tempfile.mkdtemp(dir=folder.parent, prefix=name + ".new"))
            try:
                make(work)
                work.rename(folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return folder


def compiled(command: t.Sequence[str], out: Path, sources: t.Iterable[Path]) -> None:
    """Call a compiler.

    :raises CompileError: with what it says.
    """
    done = subprocess.run(
        [*command, "-out:%s" % out if command[0] == "mcs" else "-o%s" % out, *(str(source) for source in sources)]
        + (NATIVE_LIBRARIES if command[0] != "mcs" else []),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )
    if done.returncode or not out.exists():
        raise CompileError(done.stdout)


def native(name: str) -> Path:
    """A fixture as a program of Windows."""
    source = FIXTURES / (name + ".c")
    out = name + ".exe"
    return _made(name, [source], NATIVE, lambda work: compiled(NATIVE, work / out, [source])) / out


def ansible_basic(csharp: Path) -> Path:
    """Ansible.Basic.dll from the real Ansible.Basic.cs of one ansible-core."""
    sources = [csharp / "Ansible.Basic.cs", SCRIPTS / "PsShim.cs", SCRIPTS / "RigJson.cs"]

    def make(work: Path) -> None:
        compiled([*C_SHARP_5, *ANSIBLE_BASIC], work / "Ansible.Basic.dll", sources)

    return _made("basic", sources, ANSIBLE_BASIC, make) / "Ansible.Basic.dll"


def program(
    csharp: Path,
    sources: t.Sequence[Path],
    specs: t.Mapping[str, t.Any] | None = None,
    fakes: t.Mapping[str, Path] | None = None,
    counted: t.Sequence[str] = (),
) -> Path:
    """Our utils with the driver and the real Ansible.Basic, as one program.

    :param csharp: folder of an ansible-core's C#.
    :param sources: the utils, and what a test adds.
    :param specs: module -> its options, written to MODULE.json beside the program.
    :param fakes: name of a library -> C source of the functions that answer in its place.
    :param counted: names of libraries whose calls are counted, see `Prefix.calls`.
    """
    basic = ansible_basic(csharp)
    driver = SCRIPTS / "Driver.cs"
    written = {name + ".json": json.dumps(spec, sort_keys=True) for name, spec in (specs or {}).items()}
    faked = dict(fakes or {})

    def make(work: Path) -> None:
        shutil.copy(basic, work)
        compiled([*C_SHARP_5, "-r:%s" % basic], work / "app.exe", [*sources, driver])
        for name, text in written.items():
            (work / name).write_text(text)
        commands = [["fake_dll", str(CACHE), name, str(source), str(work)] for name, source in faked.items()]
        commands += [["count_dll", str(CACHE), name, str(work)] for name in counted]
        for script, *arguments in commands:
            command = [str(SCRIPTS / script), *arguments, *map(str, sources)]
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180, check=False
            )
            if done.returncode:
                raise CompileError(done.stdout)

    parts = [basic, driver, SCRIPTS / "fake_dll", SCRIPTS / "count_dll", *sources, *faked.values()]
    return _made("app", parts, [*written.values(), *faked, "counted", *counted], make) / "app.exe"


# Running --------------------------------------------------------------------------------------------------------


def on_mono(words: t.Sequence[t.Union[str, Path]], value: t.Any, timeout: float, **environment: str) -> t.Any:
    """What a program of ours answers to a value on mono, without Wine."""
    done = subprocess.run(
        ["mono", *map(str, words)],
        input=json.dumps(value),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=timeout,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **environment},
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stdout[-2000:] + done.stderr
    return json.loads(done.stdout)


class Result(t.NamedTuple):
    """What a module said.

    :param code: its exit code, 0 or 1.
    :param seconds: how long the whole process took.
    """

    code: int
    data: dict[str, t.Any]
    seconds: float


class Animal:
    """A program of Windows that stays, until it is told to go or its prefix ends."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern: str, seconds: float = 30.0) -> re.Match[str]:
        """Wait until its output has this.

        :raises AssertionError: with the output, when the time is over or it has ended without saying it.
        """
        end = time.monotonic() + seconds
        while True:
            ended = self.process.poll()
            found = re.search(pattern, self.said(), re.MULTILINE)
            if found:
                return found
            assert ended is None, "ended with %s: %r" % (ended, self.said())
            assert time.monotonic() < end, "no %r but %r" % (pattern, self.said())
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """Its id in Windows."""
        return int(self.wait_for(READY.pattern).group(1))

    def alive(self) -> bool:
        return self.process.poll() is None

    def wait_gone(self, seconds: float = 20.0) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        return not self.alive()


class Prefix:
    """One Windows: its registry, services, processes and network are its own.

    :param name: two prefixes with different names know nothing of each other.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.drive_c = CACHE / "root" / "prefix" / name / "drive_c"
        self._logs = Path(tempfile.mkdtemp(prefix="windows-rig-"))
        self._count = 0
        self.environment = dict(os.environ, RIG_PREFIX=name, RIG_NETNS="1")

    def call(
        self, *arguments: str, stdin: str = "", timeout: float = 120.0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """``run`` with its command and arguments; the program is ended when its time is over."""
        return subprocess.run(
            [str(SCRIPTS / "run"), str(CACHE), *arguments],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=timeout + 60,
            env=dict(self.environment, RIG_TIMEOUT=str(timeout), **environment),
            check=False,
        )

    def start(self, *arguments: str, ready: bool = True) -> Animal:
        """A native program that stays. ``ready``: wait until it says so."""
        self._count += 1
        log = self._logs / ("%d.log" % self._count)
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(SCRIPTS / "run"), str(CACHE), "exe", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(self.environment, RIG_TIMEOUT="400"),
                start_new_session=True,
            )
        animal = Animal(process, log)
        if ready:
            animal.wait_for(READY.pattern)
        return animal

    def module(self, app: Path, spec: str, method: str, options: t.Mapping[str, t.Any], **environment: str) -> Result:
        """A module with these options, as its .ps1 would call it.

        :raises AssertionError: it did not end as a module does: with one JSON object and its exit code.
        """
        began = time.monotonic()
        done = self.call("net", str(app), spec + ".json", method, stdin=json.dumps(dict(options)), **environment)
        seconds = time.monotonic() - began
        shown = "exit code %d, %r, %r" % (done.returncode, done.stdout[-3000:], done.stderr[-3000:])
        assert done.returncode in (0, 1), shown
        assert not done.stderr.strip(), shown
        try:
            data = json.loads(done.stdout)
        except ValueError:
            raise AssertionError(shown) from None
        assert bool(data.get("failed")) == (done.returncode == 1), shown
        return Result(done.returncode, data, seconds)

    def calls(self) -> dict[str, int]:
        """Function -> how often the last program with counted libraries has called it."""
        found: dict[str, int] = {}
        for path in sorted((self.drive_c / "calls").glob("*.txt")):
            for line in path.read_text().splitlines():
                name, count = line.split()
                found[name] = found.get(name, 0) + int(count)
            path.unlink()
        return found

    def stop(self) -> None:
        """End all processes of this Windows; the next program starts it anew."""
        self.call("stop")

    def drop(self) -> None:
        """End all processes, and remove it."""
        self.call("drop")
        shutil.rmtree(self._logs, ignore_errors=True)


@contextlib.contextmanager
def own_prefix(kind: str) -> t.Iterator[Prefix]:
    """A fresh Windows that nobody else uses, not another worker and not another run on this machine; gone at the end."""
    (CACHE / "used").mkdir(parents=True, exist_ok=True)
    for number in range(100):
        with (CACHE / "used" / ("%s-%d" % (kind, number))).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            Prefix("%s-%d" % (kind, number)).drop()  # what an interrupted run may have left
            made = Prefix("%s-%d" % (kind, number))
            try:
                yield made
            finally:
                made.drop()
            return
    raise AssertionError("100 prefixes are in use")


def setup() -> str:
    """Make the rig when it is not there; the reason when it can't be."""
    log = CACHE.parent / "windows-rig.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        done = subprocess.run(
            [str(SCRIPTS / "setup"), str(CACHE)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            timeout=1800,
            check=False,
        )
    return "" if done.returncode == 0 else "the Windows rig can't be set up:\n%s" % log.read_text()[-2000:]
