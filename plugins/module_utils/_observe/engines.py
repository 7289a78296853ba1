# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a container engine has to be asked at all. Private to harbormaster.ports.

Every run on every host comes through here, so this is one look for a word in /proc/net/unix: a Docker engine listens on
several Unix sockets below a directory of its name. What others write there can only make us look closer. Podman has no
engine that runs; its containers are met through the helpers that hold their ports. The one exception is a setting under which nobody holds them.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Blind, Container, Process
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import Wanted

Found = t.Tuple[t.Tuple[Container, ...], t.Tuple[Blind, ...]]

# comm of what stands on the host for a container, as podman (rootlessport, slirp4netns, pasta, conmon) and a rootless
# Docker (rootlesskit, slirp4netns) name them.
PODMAN_HELPERS = frozenset(("conmon", "rootlessport", "slirp4netns", "pasta", "pasta.avx2"))
DOCKER_HELPERS = frozenset(("dockerd", "docker-proxy", "rootlesskit", "slirp4netns"))
_ENGINES = ("docker", "podman")
_ENGINE = b"docker"
_TABLE = "/proc/self/net/unix"
_CHUNK = 1 << 17
# containers.conf(5): later ones win, but who turns it back on further down is only asked for nothing.
_CONFIGURATION = ("/usr/share/containers/containers.conf", "/etc/containers/containers.conf")
_CONFIGURATION_DIRECTORY = "/etc/containers/containers.conf.d"
_NO_RESERVATION = re.compile(rb"^[ \t]*enable_port_reservation[ \t]*=[ \t]*false\b", re.MULTILINE)


def containers(
    wanted: Wanted,
    processes: t.Optional[t.Mapping[int, Process]] = None,
    holders: t.Iterable[int] = (),
    clock: t.Optional[Clock] = None,
    may_ask: bool = False,
) -> Found:
    """The containers and swarm services that publish a wanted port or have a holder in them, as their engines tell.

    :param wanted: the ports, as in `table.by_protocol`. A port counts also when no socket is on it: some engines
        lead it into a container by the packet filter alone.
    :param processes: the holders and their ancestors.
    :param holders: pids that have a socket on a wanted port.
    :param clock: of the look, which bounds all of them together.
    :param may_ask: engines of other accounts may be asked too, as these accounts.
    :returns: the containers, and which engine could not be asked. Only engines that run already are asked, each at most
        for a few seconds. Never raises for what an engine does.
    """
    known = processes or {}
    behind = [pid for pid in holders if pid in known and _may_be_a_containers(known, known[pid])]
    unreserved = _reserves_nothing()
    if not (behind or unreserved or docker_may_run()):
        return (), ()
    # Loaded here: hosts without an engine never need it.
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import containers as asking

    return asking.containers(wanted, known, behind, unreserved, clock or Clock(), may_ask)


def chain(known: t.Mapping[int, Process], process: Process) -> t.List[Process]:
    """A process and its ancestors, nearest first."""
    return [process] + [known[pid] for pid in process.ancestors if pid in known]


def docker_may_run() -> bool:
    """Whether a Docker engine may run in this network namespace; False is certain."""
    try:
        with open(_TABLE, "rb") as stream:
            before = b""
            while True:
                data = stream.read(_CHUNK)
                if _ENGINE in before + data:
                    return True
                if not data:
                    return False
                before = data[1 - len(_ENGINE) :]
    except OSError:
        # A kernel or sandbox that has no such file says nothing about it.
        return True


def _may_be_a_containers(known: t.Mapping[int, Process], process: Process) -> bool:
    return any(
        one.name in PODMAN_HELPERS
        or one.name in DOCKER_HELPERS
        or (one.container is not None and one.container.engine in _ENGINES)
        for one in chain(known, process)
    )


def _reserves_nothing() -> bool:
    """Whether podman was told not to hold the ports that it publishes."""
    paths = list(_CONFIGURATION)
    try:
        names = os.listdir(_CONFIGURATION_DIRECTORY)
    except OSError:
        # no such directory is the common case
        names = []
    paths += ["%s/%s" % (_CONFIGURATION_DIRECTORY, name) for name in names if name.endswith(".conf")]
    for path in paths:
        try:
            with open(path, "rb") as stream:
                if _NO_RESERVATION.search(stream.read(1 << 20)):
                    return True
        except OSError:
            # nor such a file; one that we may not read only root's podman could mean
            continue
    return False
