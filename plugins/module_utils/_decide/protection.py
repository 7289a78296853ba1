# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is protected by default, as tables of globs that are matched whole. Private to harbormaster.ports. Pure.

Beside `tables`, as a report needs none of it.
"""

from __future__ import annotations

from ansible_collections.harbormaster.ports.plugins.module_utils._decide.vital import VITAL

# Machines depend on these: stopping one locks people out or takes every container along.
PROTECTED = (
    "systemd",
    "init",
    "systemd-journal*",
    "systemd-logind",
    "systemd-udevd",
    "systemd-timesyn*",
    "systemd-machine*",
    "systemd-userdb*",
    "systemd-userwor*",
    "systemd-oomd",
    "dbus-daemon",
    "dbus-broker",
    "dbus-broker-lau*",
    "sshd",
    "ssh.socket",
    "sshd.socket",
    "dropbear",
    "dockerd",
    "containerd",
    "containerd-shim*",
    "podman",
    "crio",
    "kubelet",
    *(program for vital in VITAL for program in vital.programs),
)

# The same for systemd units, matched against the whole unit name. Units that one of these triggers, or is triggered
# by, are protected with it.
PROTECTED_UNITS = (
    "init.scope",
    "user@*.service",
    "systemd-journal*",
    "systemd-logind.service",
    "systemd-udev*",
    "systemd-timesyncd.service",
    "systemd-machined.service",
    "systemd-userdbd*",
    "systemd-oomd*",
    "dbus.service",
    "dbus.socket",
    "dbus-broker.service",
    "ssh.service",
    "ssh.socket",
    "ssh@*.service",
    "sshd.service",
    "sshd.socket",
    "sshd@*.service",
    "dropbear.service",
    "dropbear.socket",
    "dropbear@*.service",
    "docker.service",
    "docker.socket",
    "containerd.service",
    "podman.service",
    "podman.socket",
    "crio.service",
    "kubelet.service",
    *(unit for vital in VITAL for unit in vital.units),
)

# Entry of one of the two lists -> what to do in place of stopping it, as a clause.
INSTEAD = {entry: vital.instead for vital in VITAL for entry in vital.programs + vital.units}

# Unit of the list -> programs that take it off along with them: who says unprotect: [k3s] means k3s-agent.service too.
PROGRAMS_OF = {unit: vital.programs for vital in VITAL for unit in vital.units}
