# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one module out of an exploded AnsiballZ payload: what the target sees, without the seconds around it.

``python runner.py DIRECTORY MODULE < arguments.json``, arguments as ``{"ANSIBLE_MODULE_ARGS": {...}}``.

With ZOO_HOOK (JSON: ``calls``, ``socket``, ``times``) the run stops just before each call of a function that is
named in ``calls`` (``file.py:name``), says so on the Unix socket and goes on when that answers. So a test can change the
world at a known place, and no line of the product is replaced.
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import sys


def install(hook):
    left = {name: hook.get("times", 1) for name in hook["calls"]}

    def stop_at(frame, event, argument):
        if event != "call":
            return
        name = "%s:%s" % (os.path.basename(frame.f_code.co_filename), frame.f_code.co_name)
        if left.get(name, 0) <= 0:
            return
        left[name] -= 1
        sys.setprofile(None)
        with socket.socket(socket.AF_UNIX) as keeper:
            keeper.connect(hook["socket"])
            keeper.sendall(name.encode() + b"\n")
            keeper.recv(1)
        sys.setprofile(stop_at)

    sys.setprofile(stop_at)


def main():
    directory, module = sys.argv[1:3]
    sys.path[0] = directory
    sys.argv[1:] = []
    from ansible.module_utils import basic  # pylint: disable=import-error

    basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
    basic._ANSIBLE_PROFILE = "legacy"  # asked for by ansible-core 2.19 and newer, ignored before
    hook = os.environ.pop("ZOO_HOOK", "")
    if hook:
        install(json.loads(hook))
    names = {"_module_fqn": module, "_modlib_path": directory}
    runpy.run_module(module, init_globals=names, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
