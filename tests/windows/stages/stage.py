# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages observe, act and prove of Windows by themselves: what tests ask of them through entries/SystemEntry.cs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import typing as t
from pathlib import Path

from windows import rig

HERE = Path(__file__).resolve().parents[1]
ENTRY = HERE / "entries" / "SystemEntry.cs"
FAKES = HERE / "fakes"
RECORDED = HERE / "recorded"
LIBRARIES = ("advapi32", "httpapi", "iphlpapi", "kernel32", "ntdll", "ws2_32")
# The stages, and what they may use. Not the modules: a test of the stages compiles without them.
ROOMS = re.compile(r"^(Native|Observe|Act|Prove|Model|Errors|Addresses|Masking|Secret)")
Json = t.Any
# A queue of HTTP.sys, as netsh shows it: for a pid and a port.
QUEUE = """
Snapshot of HTTP service state (Request Queue View):
-----------------------------------------------------

Request queue name: shop
    Number of active processes attached: 1
    Process IDs:
        %d

    URL groups:
        Registered URLs:
            HTTP://+:%d/SHOP/
"""


def netsh_text(name: str) -> bytes:
    """What netsh has said, with the ends of lines that it has; in here they are as everywhere else.

    Texts in a code page are no text to most programs: they end in ``.bin``.
    """
    path = RECORDED / "netsh" / name
    path = path if path.exists() else path.with_suffix(".bin")
    return path.read_bytes().replace(b"\n", b"\r\n")


def program(csharp: Path, recorded: bool = False) -> Path:
    """The stages as a program of Windows.

    :param recorded: with all fake libraries. What a test did not record, they hand on to the real ones.
    """
    sources = [path for path in rig.utils() if ROOMS.match(path.name)]
    return rig.program(csharp, [*sources, ENTRY], fakes={name: FAKES / (name + ".c") for name in LIBRARIES if recorded})


def parsed(app: Path, method: str, given: Json) -> Json:
    """The same without Windows, for what only understands text and bytes: mono is nearer to the .NET of Windows PowerShell 5.1.

    :raises AssertionError: an exception came through.
    """
    text = given if isinstance(given, str) else json.dumps(given)
    done = subprocess.run(
        ["mono", str(app), "-", "SystemEntry." + method],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr.strip(), (done.returncode, done.stdout[-2000:], done.stderr[-3000:])
    return json.loads(done.stdout)


class Stages:
    """One compiled program in one Windows."""

    def __init__(self, app: Path, prefix: rig.Prefix) -> None:
        self.app = app
        self.prefix = prefix

    def __call__(self, method: str, given: Json, **environment: str) -> Json:
        """Call a method of the entry with a value, or with text as it is, and understand what it answers.

        :raises AssertionError: an exception came through.
        """
        text = given if isinstance(given, str) else json.dumps(given)
        done = self.prefix.call("net", str(self.app), "-", "SystemEntry." + method, stdin=text, **environment)
        assert done.returncode == 0 and not done.stderr.strip(), (
            done.returncode,
            done.stdout[-2000:],
            done.stderr[-3000:],
        )
        return json.loads(done.stdout)

    def look(self, *ports: str, **asked: Json) -> Json:
        """A snapshot of these ports, written ``tcp 8080``."""
        return self("Look", {"ports": list(ports), "others": False, "everything": False, "commands": True, **asked})


class Recorded:
    """What the fake libraries and the fake netsh of a Windows answer."""

    def __init__(self, prefix: rig.Prefix) -> None:
        self.folder = prefix.drive_c / "recorded"
        self._netsh = prefix.drive_c / "netsh"
        self._program = prefix.drive_c / "windows" / "system32" / "netsh.exe"
        prefix.call("wine", "cmd", "/c", "rem")  # a new prefix is there when a first program has run
        self._before = self._program.read_bytes() if self._program.exists() else b""
        self.clear()
        self.folder.mkdir()

    def write(self, name: str, data: t.Union[str, bytes]) -> None:
        """A file of C:\\recorded."""
        (self.folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())

    def read(self, name: str) -> str:
        """What a fake library wrote down."""
        return (self.folder / name).read_text()

    def netsh(self, arguments: str, text: str) -> None:
        """What netsh says when it is called with these arguments, blanks written as ``_``."""
        self._netsh.mkdir(exist_ok=True)
        (self._netsh / (arguments + ".txt")).write_text(text)
        self.netsh_is(rig.native("netsh"))

    def netsh_is(self, program: Path) -> None:
        """Put a program in netsh's place."""
        self._program.unlink(missing_ok=True)
        shutil.copy(program, self._program)

    def netsh_calls(self) -> list[str]:
        """The arguments of every call so far."""
        calls = self._netsh / "calls"
        return calls.read_text().split() if calls.exists() else []

    def clear(self) -> None:
        """As if nothing had been recorded."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self._netsh, ignore_errors=True)
        if self._program.exists() and self._program.read_bytes() != self._before:
            self._program.write_bytes(self._before)


class Services:
    """Services of one Windows that a test has made."""

    def __init__(self, prefix: rig.Prefix, program: str) -> None:
        self._prefix = prefix
        self._program = program
        self._names: list[str] = []

    def install(self, name: str, *specs: str) -> int:
        """Make a service and start it; its pid.

        :param specs: see fixtures/service.c.
        """
        self._names.append(name)
        done = self._prefix.call("exe", self._program, "install", name, "-", *specs)
        found = rig.READY.search(done.stdout)
        assert found, (done.stdout, done.stderr)
        return int(found.group(1))

    def state(self, name: str) -> tuple[int, int, int]:
        """State, pid and start type of a service."""
        words = self._prefix.call("exe", self._program, "state", name).stdout.split()
        return int(words[0]), int(words[1]), int(words[2])

    def restart(self, name: str) -> None:
        """Stop a service and start it again."""
        for command, wanted in (("stop", 1), ("start", 4)):
            self._prefix.call("wine", "sc", command, name)
            until(lambda wanted=wanted: self.state(name)[0] == wanted)

    def clear(self) -> None:
        """End the processes, whatever they say to a stop, and take the services out of the list."""
        for name in self._names:
            pid = self.state(name)[1]
            if pid:
                self._prefix.call("wine", "taskkill", "/f", "/pid", str(pid))
            self._prefix.call("exe", self._program, "remove", name)


def end(animal: rig.Animal) -> None:
    """End a program of Windows that a test has started, and wait until it is gone."""
    if animal.alive():
        animal.process.terminate()
    animal.process.wait(20)


def until(check: t.Callable[[], t.Any], seconds: float = 20.0) -> t.Any:
    """Wait until a check says something that is true."""
    end = time.monotonic() + seconds
    while True:
        said = check()
        if said:
            return said
        assert time.monotonic() < end, said
        time.sleep(0.05)
