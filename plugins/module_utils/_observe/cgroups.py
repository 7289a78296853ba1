# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit and container of a process, out of its cgroup. Private to harbormaster.ports.

The kernel lists the cgroups of a process in /proc/[pid]/cgroup, one hierarchy a line (cgroups(7)):

    0::/system.slice/nginx.service                      v2: one hierarchy, it always has number 0 and no name
    1:name=systemd:/system.slice/nginx.service          v1 and hybrid: systemd's own one is the named one
    4:memory:/docker/0123...                            v1: a controller's

systemd gives each unit a cgroup of the unit's name, and engines give each container one that carries its id. Reading
from the root: the first unit is the one that the host's systemd manages; what comes below a container is the
container's own affair (a whole second systemd may live there).
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Unit

Found = t.Tuple[t.Optional[Unit], t.Optional[Container]]

_ID = "(?P<id>[0-9a-f]{64})"
# Names that engines and container managers give to a cgroup, as one path component. conmon is podman's and cri-o's
# monitor: it is not inside of the container, but it lives for it alone and may hold its published port.
_SCOPES: t.Tuple[t.Tuple[str, t.Pattern[str]], ...] = (
    ("docker", re.compile(r"docker-%s\.scope" % _ID)),
    ("podman", re.compile(r"libpod-(?:conmon-|payload-)?%s(?:\.scope)?" % _ID)),
    ("containerd", re.compile(r"(?:cri-containerd|nerdctl)-%s\.scope" % _ID)),
    ("cri-o", re.compile(r"crio-(?:conmon-)?%s(?:\.scope)?" % _ID)),
    ("lxc", re.compile(r"lxc\.payload\.(?P<id>.+)")),
    ("systemd-nspawn", re.compile(r"systemd-nspawn@(?P<id>.+)\.service")),
    ("libvirt", re.compile(r"machine-(?P<id>(?:qemu|lxc|bhyve)\\x2d.+)\.scope")),
    ("systemd-nspawn", re.compile(r"machine-(?P<id>.+)\.scope")),
)
_BARE_ID = re.compile(r"[0-9a-f]{64}")
# Directories that hold one directory a container; any other one (ecs/TASK, a --cgroup-parent) is docker's as well.
_PARENTS = {"default": "containerd", "k8s.io": "containerd", "libpod_parent": "podman"}
_LXC_PARENTS = ("lxc", "lxc.payload")
_USER_MANAGER = re.compile(r"user@([0-9]+)\.service")
_HEX_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


def parse(data: bytes, own_root: str = "") -> Found:
    """The unit that manages a process and the container that it runs in, each None when there is none.

    :param data: content of /proc/[pid]/cgroup.
    :param own_root: what :func:`root_of` said about PID 1: the path below which this system's own cgroups are.
    :raises MalformedData: a line without its three fields.

    Unit names stay as systemd writes them (``\\x2d`` and all), as that is what systemctl takes. Sessions and other scopes
    are no managers: they were made for processes that somebody else started.
    """
    hierarchies = _hierarchies(data)
    systemds = _systemds(hierarchies)
    unit, container = None, None
    for name, path in hierarchies:
        parts = _parts(path, own_root)
        at, found = _container_in(parts)
        if container is None:
            container = found
        if unit is None and name == systemds:
            # a unit at the place of the container is the host's unit that runs it (systemd-nspawn@x.service)
            unit = _unit_in(parts if at is None else parts[: at + 1])
    return unit, container


def root_of(data: bytes) -> str:
    """The cgroup that this system lives in, out of PID 1's own /proc/1/cgroup; empty on a host or in a cgroup namespace.

    In a container that sees the host's cgroups every path begins with the container's own (/docker/ID).
    """
    hierarchies = _hierarchies(data)
    systemds = _systemds(hierarchies)
    # without systemd's or v2's one: every controller of v1 says the same of a container
    paths = [path for name, path in hierarchies if name == systemds] or [path for _name, path in hierarchies] or ["/"]
    path = paths[0]
    if path.endswith("/init.scope"):  # where systemd puts itself
        path = path[: -len("/init.scope")]
    return "" if path == "/" else path


def _hierarchies(data: bytes) -> t.List[t.Tuple[str, str]]:
    """(name, path) of each line: ``name=systemd`` or the controllers, and an empty name for v2's hierarchy."""
    found = []
    for line in data.split(b"\n"):
        if not line:
            continue
        fields = line.split(b":", 2)
        if len(fields) != 3 or not fields[0].isdigit() or not fields[2].startswith(b"/"):
            raise MalformedData("/proc/pid/cgroup", "not number:controllers:path", line)
        path = printable(fields[2])
        if path.endswith(" (deleted)"):  # the kernel's mark for a cgroup that was removed under its process
            path = path[: -len(" (deleted)")]
        found.append((printable(fields[1]), path))
    return found


def _systemds(hierarchies: t.Sequence[t.Tuple[str, str]]) -> str:
    """The hierarchy that systemd keeps its units in. Where both exist (hybrid), the v2 one may be unused."""
    return "name=systemd" if any(name == "name=systemd" for name, _path in hierarchies) else ""


def _parts(path: str, own_root: str) -> t.List[str]:
    if own_root and (path == own_root or path.startswith(own_root + "/")):
        path = path[len(own_root) :]
    # "/../.." leads out of a cgroup namespace; "_" is what systemd puts before a name that the kernel could mean
    return [part[1:] if part.startswith("_") else part for part in path.split("/") if part not in ("", "..")]


def _container_in(parts: t.Sequence[str]) -> t.Tuple[t.Optional[int], t.Optional[Container]]:
    """The first container from the root, and at which part it was found."""
    in_pod = False
    for at, part in enumerate(parts):
        parent = parts[at - 1] if at else ""
        in_pod = in_pod or "kubepods" in part  # kubepods.slice, kubelet-kubepods.slice
        found = None
        for engine, pattern in _SCOPES:
            match = pattern.fullmatch(part)
            if match:
                found = (engine, match.group("id"))
                break
        else:
            if parent in _LXC_PARENTS:
                found = ("lxc", part)
            elif at and _BARE_ID.fullmatch(part):
                found = (_PARENTS.get(parent, "docker"), part)
        if found:
            # whatever runs a pod's containers, it is the cluster that starts and stops them
            engine = "kubernetes" if in_pod else found[0]
            return at, Container(engine, _unescape(found[1]))
    return None, None


def _unit_in(parts: t.Sequence[str]) -> t.Optional[Unit]:
    user = None
    manager = None
    for at, part in enumerate(parts):
        match = _USER_MANAGER.fullmatch(part) if user is None else None
        if match:
            user, manager = int(match.group(1)), at
        elif part.endswith(".service"):
            return Unit(part, user)
    if manager is not None and list(parts[manager + 1 :]) in ([], ["init.scope"]):
        return Unit(parts[manager])
    return None


def _unescape(name: str) -> str:
    r"""systemd writes ``-`` inside of a name as ``\x2d`` (systemd-escape(1)); a machine's own name has the dash."""
    escaped = _HEX_ESCAPE.sub(lambda found: bytes((int(found.group(1), 16),)), name.encode("utf-8"))
    return printable(escaped)
