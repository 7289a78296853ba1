# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an orchestrator is really there that a container's labels name. Private to harbormaster.ports.

Any image may bring labels. So a label decides only where the orchestrator's own agent runs on this host, by evidence.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence

# The agents' proven names, and the beginnings of what the kernel calls them (k3s-server, k3s: agent).
AGENTS: t.Mapping[str, t.Tuple[str, ...]] = {
    "kubernetes": ("kubelet", "k3s", "k3s-server", "k3s-agent", "rke2", "k0s", "kubelite", "hyperkube"),
    "nomad": ("nomad",),
}


def runs(orchestrator: str) -> bool:
    """Whether an agent of this orchestrator runs here, proven by its executable."""
    agents = AGENTS.get(orchestrator, ())
    if not agents:
        return False
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/comm" % name, "rb") as stream:
                called = os.fsdecode(stream.read(16).rstrip(b"\n"))
        except OSError:
            # ended meanwhile, or hidden
            continue
        if called.startswith(agents) and set(agents).intersection(evidence.process_names(int(name))):
            return True
    return False
