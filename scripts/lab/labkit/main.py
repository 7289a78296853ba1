# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: real systemd hosts with engines of their own, in a network namespace.

lab up          start it, or what is missing of it; 3: this machine can't have one
lab down        take it down, with all that it left
lab status      its hosts, and how to reach them
lab fresh HOST  throw a host away and start a new one
lab clean       down, and the caches too
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from labkit import engine, hosts
from labkit.place import CACHE, STATE, LabError, NoLab, alone, install_commands


def up() -> None:
    if not hosts.is_root():
        raise NoLab("needs root: it makes a network namespace and starts an engine")
    if not engine.answers():
        STATE.unlink(missing_ok=True)
    install_commands()
    engine.up()
    hosts.up()
    hosts.check()


def down() -> None:
    STATE.unlink(missing_ok=True)
    engine.down()


def main(words: list[str]) -> int:
    command = words[0] if words else "help"
    try:
        with alone("lab"):
            if command == "up":
                up()
            elif command == "down":
                down()
            elif command == "clean":
                down()
                shutil.rmtree(CACHE)
            elif command == "fresh" and len(words) == 2 and words[1] in hosts.HOSTS:
                hosts.recreate(words[1])
            elif command != "status":
                sys.stderr.write(__doc__)
                return 2
        if command in ("up", "status"):
            print(hosts.status())
    except NoLab as problem:
        sys.stderr.write("lab: this machine can't have a lab: %s\n" % problem)
        return 3
    except LabError as problem:
        sys.stderr.write("lab: %s\n" % problem)
        return 1
    return 0


sys.exit(main(sys.argv[1:]))
