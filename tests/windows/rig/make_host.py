# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Usage: make_host.py DONOR.exe LAUNCHER.dll OUT.exe

Turns a self-contained single-file .NET program into a general host: its native stub and its framework stay, its own
assemblies go, and our launcher takes their place.

Layout of such a file (dotnet/runtime, Microsoft.NET.HostModel/Bundle, format 6, not compressed): the stub; the files, each
on a page of its own; a header, to which eight bytes before the signature point; the header's list of the files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import sys
from pathlib import Path

# SHA-256 of ".net core bundle", which marks the place in the stub.
SIGNATURE = hashlib.sha256(b".net core bundle\n").digest()
FORMAT = 6
PAGE = 4096
ASSEMBLY, DEPS, RUNTIME_CONFIG = 1, 3, 4  # file types
LAUNCHER = "launcher.dll"


def read_text(data: bytes, at: int) -> tuple[str, int]:
    """A length in groups of seven bits, lowest first, then UTF-8; and where the next item begins."""
    length = shift = 0
    while True:
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return data[at : at + length].decode(), at + length


def packed_text(text: str) -> bytes:
    raw = text.encode()
    length, out = len(raw), bytearray()
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out) + raw


class Donor:
    """What is inside of a single-file program."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.signature_at = data.index(SIGNATURE)
        (at,) = struct.unpack_from("<q", data, self.signature_at - 8)
        major, _minor, count = struct.unpack_from("<IIi", data, at)
        if major != FORMAT:
            sys.exit("the donor's bundle has format %d, expected is %d" % (major, FORMAT))
        _bundle_id, at = read_text(data, at + 12)
        at += 40  # places of deps.json and runtimeconfig.json, and flags
        self.files: dict[str, tuple[int, int, int]] = {}
        for _index in range(count):
            offset, size, compressed = struct.unpack_from("<qqq", data, at)
            name, after = read_text(data, at + 25)
            if compressed:
                sys.exit("the donor's bundle is compressed")
            self.files[name] = (offset, size, data[at + 24])
            at = after

    def name_of(self, kind: int) -> str:
        return next(name for name, file in self.files.items() if file[2] == kind)

    def content(self, name: str) -> bytes:
        offset, size, _kind = self.files[name]
        return self.data[offset : offset + size]

    def stub(self) -> bytearray:
        """The native part, up to the first file."""
        return bytearray(self.data[: min(offset for offset, _size, _kind in self.files.values())])


def own_deps(deps: dict, pack: str, name: str) -> dict:
    """deps.json of the host: the framework, and the launcher that needs it."""
    runtime = next(targets for targets in deps["targets"].values() if targets)[pack]["runtime"]
    title, version = pack.split("/")
    return {
        "runtimeTarget": deps["runtimeTarget"],
        "compilationOptions": {},
        "targets": {
            ".NETCoreApp,Version=v8.0": {},
            name: {
                "launcher/1.0.0": {"dependencies": {title: version}, "runtime": {LAUNCHER: {}}},
                pack: {"runtime": runtime},
            },
        },
        "libraries": {
            "launcher/1.0.0": {"type": "project", "serviceable": False, "sha512": ""},
            pack: deps["libraries"][pack],
        },
    }


def main(donor_path: str, launcher_path: str, out_path: str) -> None:
    donor = Donor(Path(donor_path).read_bytes())
    config_name = donor.name_of(RUNTIME_CONFIG)
    deps = json.loads(donor.content(donor.name_of(DEPS)))
    config = json.loads(donor.content(config_name))
    name, target = next((name, target) for name, target in deps["targets"].items() if target)
    pack = next(key for key in target if key.startswith("runtimepack."))
    framework = {path.rsplit("/", 1)[-1] for path in target[pack]["runtime"]}
    config["runtimeOptions"]["configProperties"].update(
        {
            "System.Globalization.Invariant": True,  # there is no ICU in the rig
            "System.GC.Concurrent": False,
            "System.Runtime.TieredPGO": False,
        }
    )

    out = donor.stub()
    old_program = config_name.replace(".runtimeconfig.json", ".dll").encode()
    at = out.index(old_program + b"\0")
    out[at : at + len(old_program)] = LAUNCHER.encode().ljust(len(old_program), b"\0")
    placed: list[tuple[int, int, int, str]] = []

    def add(file_name: str, content: bytes, kind: int) -> None:
        out.extend(b"\0" * (-len(out) % PAGE))
        placed.append((len(out), len(content), kind, file_name))
        out.extend(content)

    add(LAUNCHER, Path(launcher_path).read_bytes(), ASSEMBLY)
    add("launcher.runtimeconfig.json", json.dumps(config).encode(), RUNTIME_CONFIG)
    for file_name, (_offset, _size, kind) in donor.files.items():
        if file_name in framework:
            add(file_name, donor.content(file_name), kind)
    add("launcher.deps.json", json.dumps(own_deps(deps, pack, name)).encode(), DEPS)

    header = len(out)
    # The id names the folder that the stub unpacks to: it has to differ from the donor's.
    bundle_id = base64.urlsafe_b64encode(hashlib.sha256(bytes(out)).digest())[:32].decode()
    place = {kind: (offset, size) for offset, size, kind, _name in placed if kind != ASSEMBLY}
    out += struct.pack("<IIi", FORMAT, 0, len(placed)) + packed_text(bundle_id)
    out += struct.pack("<4qQ", *place[DEPS], *place[RUNTIME_CONFIG], 0)
    for offset, size, kind, file_name in placed:
        out += struct.pack("<qqqB", offset, size, 0, kind) + packed_text(file_name)
    struct.pack_into("<q", out, donor.signature_at - 8, header)
    Path(out_path).write_bytes(out)
    runtime = config["runtimeOptions"]["includedFrameworks"][0]
    print("%s %s, %d files, %d MB" % (runtime["name"], runtime["version"], len(placed), len(out) // 1000000))


if __name__ == "__main__":
    main(*sys.argv[1:])
