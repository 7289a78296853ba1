# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a Windows that is not there: it takes what Ansible would send, and keeps it.

PRETENDED_WINDOWS_KEEP is a folder: each module that arrives is a JSON file in it, with its script, its C# and its arguments.
PRETENDED_WINDOWS_RUN is the command that stands for the host: the script's name and ``Type.Method`` of its call are added, its
input is the arguments, and what it prints is the result. Without it each module answers that it changed nothing.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: pretended_windows
short_description: Takes what Ansible would send to Windows
description: Takes what Ansible would send to Windows.
author: The harbormaster.ports contributors (@harbormaster)
options: {}
"""

import base64
import json
import os
import re
import subprocess
import typing as t
from pathlib import Path

from ansible.plugins.connection import ConnectionBase

# What parts the bootstrap from the module in what Ansible sends.
BETWEEN = b"\0\0\0\0"
CALL = re.compile(r"^\[([\w.]+)\]::(\w+)\(\$module\)$", re.MULTILINE)


class Arrived(t.NamedTuple):
    """One module as it was sent, whatever the version of Ansible.

    :param name: the script's name where it is said, such as ``harbormaster.ports.win_port_owner.ps1``.
    :param csharp: name and content of each C# util, as often as it was sent.
    """

    name: str
    script: str
    csharp: list[tuple[str, str]]
    arguments: dict[str, t.Any]


class Pairs(t.List[t.Tuple[str, t.Any]]):
    """An object of JSON as it is written: a name that is there twice does not hide."""


def understood(data: bytes) -> Arrived | None:
    """What ansible-core has put together; None for what is no module, such as a folder to be made."""
    manifest = json.loads(data.split(BETWEEN, 1)[1], object_pairs_hook=Pairs)
    found = dict(manifest)
    if "module_entry" in found:  # up to 2.18
        return Arrived(
            "",
            _text(found["module_entry"]),
            [(name, _text(content)) for name, content in found["csharp_utils"]],
            _plain(found["module_args"]),
        )
    scripts = [(name, _text(dict(content)["script"])) for name, content in found["scripts"]]
    (action,) = (one for one in map(dict, found["actions"]) if one["name"] == "module_wrapper.ps1")
    parameters = dict(action["params"])
    secure = dict(action["secure_params"])
    (arguments,) = (dict(one)["Value"] for one in [*parameters.get("Variables", []), *secure.get("Variables", [])])
    return Arrived(
        parameters["Script"],
        dict(scripts)[parameters["Script"]],
        [(name, content) for name, content in scripts if name.endswith(".cs")],
        _plain(arguments),
    )


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


def _plain(value: t.Any) -> t.Any:
    """Pairs back to dictionaries."""
    if isinstance(value, Pairs):
        return {name: _plain(content) for name, content in value}
    return [_plain(one) for one in value] if isinstance(value, list) else value


class Connection(ConnectionBase):  # type: ignore[misc]
    """Looks to Ansible as a Windows host does."""

    transport = "pretended_windows"
    module_implementation_preferences = (".ps1", ".exe", "")
    allow_executable = False
    has_pipelining = True
    always_pipeline_modules = True
    has_native_async = True

    def __init__(self, *args: t.Any, **kwargs: t.Any) -> None:
        self._shell_type = "powershell"
        super().__init__(*args, **kwargs)

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        if not in_data or BETWEEN not in in_data:
            # A temporary folder that is made or removed: its name is the last line that Ansible reads.
            return 0, rb"C:\Users\someone\AppData\Local\Temp\ansible-tmp", b""
        module = understood(in_data)
        if module is None:
            return 0, b"", b""
        folder = Path(os.environ["PRETENDED_WINDOWS_KEEP"])
        number = len(list(folder.glob("*.json")))
        (folder / ("%02d.json" % number)).write_text(json.dumps(module._asdict()))
        return self._answer(module)

    def _answer(self, module: Arrived) -> tuple[int, bytes, bytes]:
        command = os.environ.get("PRETENDED_WINDOWS_RUN")
        call = CALL.search(module.script)
        if not command or not call:
            return 0, b'{"changed": false, "msg": "pretended"}', b""
        name = "win_port_owner" if call.group(1).endswith("PortOwner") else "win_listen_ports_facts"
        done = subprocess.run(
            [*json.loads(command), name + ".json", ".".join(call.groups())],
            input=json.dumps(module.arguments).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        raise AssertionError("modules go through the pipe, not as the file %s" % out_path)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        raise AssertionError("nothing is fetched from here")

    def close(self) -> None:
        self._connected = False
