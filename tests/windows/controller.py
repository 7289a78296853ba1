# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller of its own, with each ansible-core that is offered, and a Windows host that is only pretended.

HARBORMASTER_ANSIBLE_BIN names folders that hold ``ansible`` and ``ansible-playbook``, separated by ``:``; without it the ones beside
this Python.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import typing as t
from pathlib import Path

from windows import rig

CONNECTIONS = Path(__file__).resolve().parent / "connection_plugins"


def folders() -> list[Path]:
    """The ``bin`` folders of the cores, oldest first as they are named."""
    named = os.environ.get("HARBORMASTER_ANSIBLE_BIN", "")
    found = [Path(folder) for folder in named.split(os.pathsep) if folder]
    return found or [Path(sys.executable).parent]


def label(folder: Path) -> str:
    """``2.19`` of .cache/cores/2.19/bin."""
    return folder.parent.name


def package(folder: Path) -> Path:
    """The ``ansible`` package that belongs to a ``bin`` folder."""
    (found,) = folder.parent.glob("lib/python3*/site-packages/ansible")
    return found


class Site:
    """Configuration, inventory and collection in one temporary folder.

    :param folder: where all of it goes.
    :param binaries: the ``bin`` folder of an ansible-core.
    """

    INVENTORY = """\
        here ansible_connection=local ansible_python_interpreter=%s
        there ansible_connection=pretended_windows
        """

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self.binaries = binaries
        self.kept = folder / "kept"
        self.kept.mkdir()
        collection = folder / "collections" / "ansible_collections" / "harbormaster" / "ports"
        collection.parent.mkdir(parents=True)
        collection.symlink_to(rig.ROOT)
        self.environment: dict[str, str] = {}

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def run(self, command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.write("inventory", textwrap.dedent(self.INVENTORY) % sys.executable)
        self.write(
            "ansible.cfg",
            """\
            [defaults]
            inventory = %(folder)s/inventory
            collections_path = %(folder)s/collections
            action_plugins = %(short)s
            connection_plugins = %(connections)s
            local_tmp = %(folder)s/tmp
            remote_tmp = %(folder)s/tmp
            retry_files_enabled = false
            nocolor = true
            """
            % {"folder": self.folder, "short": rig.ROOT / "contrib" / "short_names", "connections": CONNECTIONS},
        )
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return subprocess.run(
            [str(self.binaries / command), *arguments],
            env=dict(
                inherited,
                ANSIBLE_CONFIG=str(self.folder / "ansible.cfg"),
                PRETENDED_WINDOWS_KEEP=str(self.kept),
                LC_ALL="C.UTF-8",
                **self.environment,
                **environment,
            ),
            cwd=str(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=180,
            check=False,
        )

    def play(self, text: str, **environment: str) -> dict[str, t.Any]:
        """Run a play; host -> the content of the file that it wrote on the controller as ``HOST.json``, where it did."""
        done = self.run("ansible-playbook", str(self.write("play.yml", text)), **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        found = {host: self.folder / (host + ".json") for host in ("here", "there")}
        return {host: json.loads(path.read_text()) for host, path in found.items() if path.exists()}

    def arrived(self) -> list[dict[str, t.Any]]:
        """What the pretended Windows got, in order."""
        return [json.loads(path.read_text()) for path in sorted(self.kept.glob("*.json"))]
