# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of the C#: which file may use which, and what none of them does. Read as text; no compiler is needed."""

from __future__ import annotations

import re

import pytest

from windows import rig

FILES = rig.utils()
ROOMS = ("Native", "Observe", "Decide", "Act", "Prove", "Conductor", "Facts", "Report")
# Nouns, words and pure helpers that every stage may use.
LEAVES = {"Model", "ModelPlans", "ModelRun", "Errors", "Addresses"}
STAGES = ("Observe", "Decide", "Act", "Prove")
# What a room may use, beside itself and the leaves.
ALLOWED = {
    "Native": set(),
    "Observe": {"Native"},
    "Decide": set(),
    "Act": {"Native", "Observe"},  # the handles that were opened before the decision are the observer's
    "Prove": {"Native"},
    "Facts": {"Native", "Observe"},
    "Conductor": {"Native", "Wishes", "Report", *STAGES},
    "Wishes": {"PortNames"},
    "Report": {"Words", "Decide", "PortNames"},
    "Words": {"Decide"},
    "PortNames": {"Native"},
}
PURE = {
    "System",
    "System.Collections",
    "System.Collections.Generic",
    "System.Globalization",
    "System.Linq",
    "System.Text",
    "System.Text.RegularExpressions",
}
MOST_LINES = 500  # "about 450"
USING = re.compile(r"^using ([\w.]+);$", re.MULTILINE)
HEADER = (
    "// Copyright (c) 2026, the harbormaster.ports contributors\n"
    "// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)\n"
    "// SPDX-License-" + "Identifier: GPL-3.0-or-later\n"
)
# Newer than C# 5: interpolation, null propagation, nameof, expression bodies, inline out. mcs with -langversion:5 refuses most itself.
NEWER = re.compile(r'[=(+,?:]\s*\$"|\w\?\.[A-Za-z]|\bnameof\(|\bout var\b|\bswitch\s*\{\s*_')


def named(path):
    return path.name


def room_of(stem):
    """``Observe`` for Observe and ObserveTables; the name itself for the leaves and the single files."""
    if stem in LEAVES:
        return "leaf"
    if stem in ("Masking", "SecretNames", "SecretShapes", "SecretWords"):
        return "Observe"
    return next((room for room in ROOMS if stem.startswith(room)), stem)


def own_usings(text):
    return [name[len(rig.NAMESPACE) :] for name in USING.findall(text) if name.startswith(rig.NAMESPACE)]


def test_there_are_files():
    assert {room_of(path.stem) for path in FILES} >= {*ROOMS, "Wishes", "Report", "leaf"}


@pytest.mark.parametrize("path", FILES, ids=named)
def test_a_file_looks_like_one_of_ours(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith(HEADER)
    assert text.isascii(), "Windows PowerShell 5.1 compiles it from a text of its own encoding"
    assert text.count("\n") <= MOST_LINES
    assert "\nnamespace %s%s\n" % (rig.NAMESPACE, path.stem) in text
    assert not NEWER.search(text)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_usings_of_ours_are_where_ansible_finds_them(path):
    text = path.read_text(encoding="utf-8")
    assert len(re.findall(r"using\s+%s" % re.escape(rig.NAMESPACE), text)) == len(own_usings(text)), (
        "one is not alone on its line"
    )
    there = {one.stem for one in FILES}
    assert set(own_usings(text)) <= there
    used = set(re.findall(r"%s(\w+)\." % re.escape(rig.NAMESPACE), text))
    assert used <= set(own_usings(text)) | {path.stem}, "a full name without its using is not sent"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_usings_run_one_way(path):
    room = room_of(path.stem)
    for used in own_usings(path.read_text(encoding="utf-8")):
        target = room_of(used)
        if target in ("leaf", room):
            continue
        assert target in ALLOWED.get(room, set()), "%s uses %s" % (path.stem, used)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_only_the_native_room_calls_windows(path):
    text = path.read_text(encoding="utf-8")
    for line in text.splitlines():
        if re.search(r"\bextern\b", line):
            assert path.stem.startswith("Native")
            assert re.search(r"extern +[A-Za-z0-9_.]+ +[A-Za-z0-9_]+ *\(", line), (
                "a fake library finds it by this form: " + line
            )
    assert "EntryPoint" not in text or "EntryPointNotFound" in text
    if not path.stem.startswith("Native"):
        assert "DllImport" not in text


@pytest.mark.parametrize("path", FILES, ids=named)
def test_decisions_are_pure(path):
    if room_of(path.stem) in ("Decide", "leaf", "Wishes"):
        text = path.read_text(encoding="utf-8")
        others = {name for name in USING.findall(text) if not name.startswith(rig.NAMESPACE)}
        assert others <= PURE | ({"System.Net"} if path.stem == "Addresses" else set()), others - PURE
        assert not re.search(r"\b(DateTime\.(Utc)?Now|Environment\.|Console\.|File\.|Thread\.)", text)


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_wmi_and_nothing_that_swallows_an_exit(path):
    text = path.read_text(encoding="utf-8")
    assert "System.Management" not in text
    # ExitJson ends the module by an exception: who catches all of them swallows the result.
    assert not re.search(r"catch\s*(\(Exception\b[^)]*\))?\s*\{", text)
