# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the compiler here, which is for .NET 4, can't see: whether the .NET of PowerShell 7 has all that is used, and no name of its own."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest

from windows import rig

ENTRY = Path(__file__).resolve().parent / "entries" / "PortabilityEntry.cs"
USING = re.compile(r"^using ([\w.]+);$", re.MULTILINE)
TYPE = re.compile(
    r"^    (?:public|internal)(?: static| sealed| abstract)* (?:class|struct|enum|interface|delegate \w+) (\w+)",
    re.MULTILINE,
)
# Of the releases after the one in the rig, for which it is too old to be asked.
NEWER = {"System.Threading": {"Lock"}, "System.Linq": {"AsyncEnumerable"}}


@pytest.fixture(scope="module")
def ask(csharp, prefix):
    app = rig.program(csharp, [*rig.utils(), ENTRY])

    def call(method, text=""):
        done = prefix.call("net", str(app), "-", "PortabilityEntry." + method, stdin=text)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return json.loads(done.stdout)

    return call


def framework():
    """Names of the assemblies of the .NET in the rig."""
    spec = importlib.util.spec_from_file_location("make_host", rig.SCRIPTS / "make_host.py")
    make_host = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_host)
    names = make_host.Donor((rig.CACHE / "root" / "rig" / "net.exe").read_bytes()).files
    return sorted(
        name[:-4]
        for name, (_at, _size, kind) in names.items()
        if kind == make_host.ASSEMBLY and name.startswith("System.")
    )


def test_every_member_that_is_used_is_there_and_not_obsolete(ask):
    seen = ask("Members", rig.NAMESPACE)
    assert seen["members"] > 5000, "the code was read"
    assert seen["found"] == []


def test_what_is_obsolete_is_seen(csharp, prefix, tmp_path):
    source = tmp_path / "Old.cs"
    source.write_text(
        "namespace Trial { public static class Old { public static string M() {"
        " return System.Reflection.Assembly.GetExecutingAssembly().CodeBase + System.AppDomain.CreateDomain(null); } } }\n"
    )
    app = rig.program(csharp, [source, ENTRY])
    done = prefix.call("net", str(app), "-", "PortabilityEntry.Members", stdin="Trial.")
    found = json.loads(done.stdout)["found"]
    assert any("CodeBase" in one for one in found) and any("CreateDomain" in one for one in found)


def test_no_name_is_both_ours_and_the_systems(ask):
    """In a file that uses both namespaces, PowerShell 7 would not know which is meant (CS0104)."""
    system = {
        space: {name.split("`")[0] for name in names} for space, names in ask("Types", json.dumps(framework())).items()
    }
    assert "Range" in system["System"], "newer than .NET 4"
    for space, names in NEWER.items():
        system.setdefault(space, set()).update(names)
    texts = {path.stem: path.read_text(encoding="utf-8") for path in rig.utils()}
    ours = {stem: set(TYPE.findall(text)) for stem, text in texts.items()}
    for stem, text in texts.items():
        spaces = [name for name in USING.findall(text) if not name.startswith(rig.NAMESPACE)]
        theirs = set().union(*(system.get(space, set()) for space in spaces))
        from_ours = [name[len(rig.NAMESPACE) :] for name in USING.findall(text) if name.startswith(rig.NAMESPACE)]
        both = {name for used in from_ours for name in ours[used] & theirs if re.search(r"\b%s\b" % name, text)}
        assert both == set(), "%s: %s" % (stem, sorted(both))
