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
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Unit

Found = t.Tuple[t.Optional[Unit], t.Optional[Container]]
# How many leading parts of a path are root's word, and the uid whose word the rest is (see `evidence.words_of`).
Word = t.Optional[t.Tuple[int, t.Optional[int]]]

# An id that says container, and nothing that says whose.
UNKNOWN_ENGINE = "unknown"

# What an engine calls a container, anywhere in a path component: docker-ID.scope, cri-containerd-ID, a:cri-containerd:ID, ID.
_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
# What stands beside the id, or above it. conmon is podman's and cri-o's monitor: it is not inside of the container, but
# it lives for it alone and may hold its published port.
_MAKERS = (
    ("libpod", "podman"),
    ("podman", "podman"),
    ("crio", "cri-o"),
    ("containerd", "containerd"),
    ("nerdctl", "containerd"),
    ("docker", "docker"),
)
# Whatever runs a pod's containers, it is the cluster that starts and stops them: kubepods.slice, kubelet-kubepods.slice,
# kubepods-burstable-podUID.slice:cri-containerd:ID. Beside the container's id, a pod has one of its own.
_PODS = re.compile(r"\A(?:[^.:]*-)?kubepods(?![^-.:])")
_POD = re.compile(r"pod([0-9a-f][0-9a-f_-]{3,63})")
# Names that other managers of machines give to a cgroup, as one path component.
_MACHINES: t.Tuple[t.Tuple[str, t.Pattern[str]], ...] = (
    ("lxc", re.compile(r"\Alxc\.payload\.(?P<id>.+)")),
    ("systemd-nspawn", re.compile(r"\Asystemd-nspawn@(?P<id>.+)\.service")),
    ("libvirt", re.compile(r"\Amachine-(?P<id>(?:qemu|lxc|bhyve)\\x2d.+)\.scope")),
    ("systemd-nspawn", re.compile(r"\Amachine-(?P<id>.+)\.scope")),
)
# Directories that hold one directory a container; any other one (ecs/TASK, a --cgroup-parent) is docker's as well.
_PARENTS = {"default": "containerd", "k8s.io": "containerd", "libpod_parent": "podman"}
_LXC_PARENTS = ("lxc", "lxc.payload")
_USER_MANAGER = re.compile(r"user@([0-9]+)\.service")
_HEX_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


class Words:
    """Whose word the paths of control groups are, by who owns their folders. Asked once a path."""

    def __init__(self, own_root: str = "") -> None:
        self._own_root = own_root
        self._known: t.Dict[t.Tuple[str, str], Word] = {}

    def of(self, hierarchy: str, path: str) -> Word:
        """How many leading parts of a path are root's word, and whose word the rest is; None when that can't be told.

        :param path: without what is this system's own root.
        """
        key = (hierarchy, path)
        if key not in self._known:
            self._known[key] = self._asked(hierarchy, path)
        return self._known[key]

    def _asked(self, hierarchy: str, path: str) -> Word:
        roots = _mounts(hierarchy)
        above = len([part for part in self._own_root.split("/") if part])
        if above:
            # A container that sees the host's paths has either the host's whole tree or its own part mounted.
            found = evidence.words_of(roots, self._own_root + path)
            if found is not None:
                return max(found[0] - above, 0), found[1]
        return evidence.words_of(roots, path)


def _mounts(hierarchy: str) -> t.List[str]:
    """Where a hierarchy of /proc/[pid]/cgroup is mounted: v2, alone or beside v1, systemd's own of v1, a controller's."""
    if not hierarchy:
        return ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
    if hierarchy == "name=systemd":
        return ["/sys/fs/cgroup/systemd"]
    return ["/sys/fs/cgroup/" + name for name in (hierarchy, *hierarchy.split(","))]


def parse(data: bytes, own_root: str = "", words: t.Optional[Words] = None) -> Found:
    """The unit that manages a process and the container that it runs in, each None when there is none.

    :param data: content of /proc/[pid]/cgroup.
    :param own_root: what :func:`root_of` said about PID 1: the path below which this system's own cgroups are.
    :param words: tells whose word a path is. Without it the text is taken as it stands, which proves nothing.
    :raises MalformedData: a line without its three fields.

    Unit names stay as systemd writes them (``\\x2d`` and all), as that is what systemctl takes. Sessions and other scopes
    are no managers: they were made for processes that somebody else started.

    An account to which systemd or root has given a subtree chooses every name in it. A container's name in there is one
    of that account's containers at most (`Container.user`), and a unit's name means nothing, unless it is the account's
    own service manager that was given the subtree. A name of which nobody can say whose word it is, is a mere claim.
    """
    hierarchies = _hierarchies(data)
    systemds = _systemds(hierarchies)
    unit, container = None, None
    for name, path in hierarchies:
        below = _below(path, own_root)
        parts = _parts(below)
        at, named, found = _container_in(parts)
        units = unit is None and name == systemds and any(part.endswith(".service") for part in parts)
        if not units and (found is None or (container is not None and _is_roots(container))):
            continue
        word = (len(parts), None) if words is None else words.of(name, below)
        if found is not None and (container is None or not _is_roots(container)):
            whose = _whose(found, named, word)
            container = whose if container is None or _is_roots(whose) else container
        if units:
            # a unit at the place of the container is the host's unit that runs it (systemd-nspawn@x.service)
            inside = at is not None and (word is None or at < word[0])
            unit = _unit_in(parts[: at + 1] if at is not None and inside else parts, word)
    return unit, container


def _whose(container: Container, at: int, word: Word) -> Container:
    """The container of a path, as the word of whoever has named that part of it."""
    if word is None:
        return container._replace(unsure=True)
    return container if at < word[0] else container._replace(user=word[1])


def _is_roots(container: Container) -> bool:
    return container.user is None and not container.unsure


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


def _below(path: str, own_root: str) -> str:
    if own_root and (path == own_root or path.startswith(own_root + "/")):
        return path[len(own_root) :]
    return path


def _parts(path: str) -> t.List[str]:
    # "/../.." leads out of a cgroup namespace; "_" is what systemd puts before a name that the kernel could mean
    return [part[1:] if part.startswith("_") else part for part in path.split("/") if part not in ("", "..")]


def _container_in(parts: t.Sequence[str]) -> t.Tuple[t.Optional[int], int, t.Optional[Container]]:
    """The first container from the root, at which part it was found, and which part says that it is one."""
    pods = None
    for at, part in enumerate(parts):
        if pods is None and _PODS.match(part) and not part.endswith(".service"):
            pods = at
        found = _named(part, parts[at - 1] if at else "")
        if found is not None and pods is not None:
            return at, pods, Container("kubernetes", found[1])
        if found is not None:
            return at, at, Container(found[0], found[1])
    if pods is None:
        return None, 0, None
    # A pod whose containers have no id here.
    at, pod = next(
        ((at, match.group(1)) for at, match in enumerate(map(_POD.search, parts)) if match and at >= pods),
        (len(parts) - 1, parts[-1]),
    )
    return at, pods, Container("kubernetes", pod)


def _named(part: str, parent: str) -> t.Optional[t.Tuple[str, str]]:
    """Engine and id of the container that this part of a path names."""
    for engine, pattern in _MACHINES:
        match = pattern.fullmatch(part)
        if match:
            return engine, _unescape(match.group("id"))
    if parent in _LXC_PARENTS:
        return "lxc", _unescape(part)
    found = None if part.endswith(".service") else _ID.search(part)
    if found is None:
        return None
    maker = next((engine for word, engine in _MAKERS if word in part), None)
    if maker is None and found.group() == part and parent:
        return _PARENTS.get(parent, "docker"), part
    return maker or UNKNOWN_ENGINE, found.group()


def _unit_in(parts: t.Sequence[str], word: Word) -> t.Optional[Unit]:
    roots, whose = (len(parts), None) if word is None else word
    user = None
    manager = None
    for at, part in enumerate(parts):
        match = _USER_MANAGER.fullmatch(part) if user is None and at < roots else None
        if match:
            user, manager = int(match.group(1)), at
        elif part.endswith(".service"):
            return Unit(part, user) if at < roots or (user is not None and whose == user) else None
    if manager is not None and list(parts[manager + 1 :]) in ([], ["init.scope"]):
        return Unit(parts[manager])
    return None


def _unescape(name: str) -> str:
    r"""systemd writes ``-`` inside of a name as ``\x2d`` (systemd-escape(1)); a machine's own name has the dash."""
    escaped = _HEX_ESCAPE.sub(lambda found: bytes((int(found.group(1), 16),)), name.encode("utf-8"))
    return printable(escaped)
