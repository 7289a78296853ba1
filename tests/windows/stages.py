# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages observe, act and prove of Windows by themselves: what tests ask of them through entries/SystemEntry.cs."""

from __future__ import annotations

import json
import re
import subprocess
import typing as t
from pathlib import Path

from windows import rig

HERE = Path(__file__).resolve().parent
ENTRY = HERE / "entries" / "SystemEntry.cs"
FAKES = HERE / "fakes"
RECORDED = HERE / "recorded"
# The stages, and what they may use. Not the modules: a test of the stages compiles without them.
ROOMS = re.compile(r"^(Native|Observe|Act|Prove|Model|Errors|Addresses|Masking|SecretNames)")
Json = t.Any


def program(csharp: Path, fakes: t.Mapping[str, str] | None = None) -> Path:
    """The stages as a program of Windows.

    :param fakes: library -> name of the C file in ``fakes/`` that answers for it.
    """
    sources = [path for path in rig.utils() if ROOMS.match(path.name)]
    named = {library: FAKES / name for library, name in (fakes or {}).items()}
    return rig.program(csharp, [*sources, ENTRY], fakes=named)


def parsed(app: Path, method: str, given: Json) -> Json:
    """The same without Windows, for what only understands text and bytes: mono is nearer to the .NET of Windows PowerShell 5.1.

    :raises AssertionError: an exception came through.
    """
    text = given if isinstance(given, str) else json.dumps(given)
    done = subprocess.run(
        ["mono", str(app), "-", "SystemEntry." + method], input=text, capture_output=True, text=True, timeout=60, check=False
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
        assert done.returncode == 0 and not done.stderr.strip(), (done.returncode, done.stdout[-2000:], done.stderr[-3000:])
        return json.loads(done.stdout)

    def look(self, *ports: str, **asked: Json) -> Json:
        """A snapshot of these ports, written ``tcp 8080``."""
        return self("Look", {"ports": list(ports), "others": False, "everything": False, "commands": True, **asked})
