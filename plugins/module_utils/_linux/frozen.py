# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a process is frozen by its control group: then no signal reaches it. Private to harbormaster.ports."""

from __future__ import annotations

import typing as t

_MOST = 1 << 16


def is_frozen(pid: int) -> bool:
    """By the freezer of cgroups(7): ``frozen 1`` in cgroup.events (version 2), or freezer.state (version 1)."""
    for line in (_read("/proc/%d/cgroup" % pid) or "").splitlines():
        number, _colon, rest = line.partition(":")
        controllers, _colon, path = rest.partition(":")
        if ".." in path.split("/"):
            # Of another cgroup namespace: not to be found from here.
            continue
        if number == "0":
            for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
                if "frozen 1" in (_read("%s%s/cgroup.events" % (root, path)) or "").splitlines():
                    return True
        elif "freezer" in controllers.split(","):
            state = _read("/sys/fs/cgroup/freezer%s/freezer.state" % path) or ""
            if state.strip() in ("FROZEN", "FREEZING"):
                return True
    return False


def _read(path: str) -> t.Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(_MOST)
    except OSError:
        # Gone, or no such control group here.
        return None
