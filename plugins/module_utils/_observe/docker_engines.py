# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker engines that run here. Private to harbormaster.ports: not an interface for other collections.

A look must not start an engine: systemd keeps the socket of one that does not run, and connecting to it starts it. So
the processes come first (dockerd, in our network namespace), then the sockets that they listen on, by way of their
descriptors, and only these are connected to. A process called dockerd is an engine of root's only by evidence.
"""

from __future__ import annotations

import os
import re
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import engine_api, evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Blind
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    docker_settings,
    namespaces,
    unix_sockets,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.open_tables import Tables

DOCKERD = b"dockerd\n"
# What stands on the host for the ports of a Docker container.
RELAYS = frozenset(("docker-proxy", "rootlesskit", "slirp4netns", "dockerd"))
BLIND = "container_engine"
# The same of an engine under which somebody on the host listens on each port that a container publishes.
BLIND_BUT_SHOWN = "container_engine_with_sockets"
# The same of an engine of another account: it counts for that account's sockets alone.
BLIND_OF_ANOTHER = "container_engine_of_another"
NOT_ASKED = "not asked, as only a run that frees a port asks another account's programs, with that account's rights"
WITH_RIGHTS = "run the task with become: true"
# Of the sockets that dockerd listens on, these are not its API (daemon/metrics_unix.go, libnetwork's key listener).
_NOT_THE_API = re.compile(r"/libnetwork/[^/]+\.sock\Z|/metrics\.sock\Z|/containerd[^/]*\Z")
_USUAL = "/docker.sock"
_HOST_OPTION = re.compile(rb"(?:\A|\0)(?:-H|--host)[=\0]?unix://([^\0]+)")
_CONNECT = 1.0
# Seconds until an engine has to be found at one of its sockets.
_BOUND = 2.0
# Of the sockets that another account's engine may listen on, so many are tried.
_MOST_PLACES = 4
# And of the processes of one account that are called dockerd, so many.
_MOST_DAEMONS = 2


class Engine(t.NamedTuple):
    """A Docker engine that runs.

    :param pid: its process; 0 when only its sockets are seen.
    :param uid: the account that it runs as: not 0 for a rootless one.
    :param endpoint: path of its API's socket.
    """

    pid: int
    uid: int
    endpoint: str

    @property
    def claimed(self) -> bool:
        """Whether it is another account's program: then what it says is that account's word."""
        return self.uid not in evidence.accounts()

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return "the Docker engine (%s)" % ("dockerd, pid %d" % self.pid if self.pid else self.endpoint)


class _Problem(t.NamedTuple):
    """Why an engine can't be asked, what helps, and whether that is because of who asks."""

    text: str
    advice: str
    refused: bool = False


def running(users: t.AbstractSet[int], may_ask: bool, clock: Clock) -> t.Tuple[t.List[Engine], t.List[Blind]]:
    """The engines that can be asked, and why others can't.

    As ourselves only those are connected to that are proven: by their process, and by where their socket lies. One of
    another account matters to that account's holders alone, and is connected to by that account.

    :param users: accounts whose processes hold a wanted port, by what may be a container: their engines count too, also
        in network namespaces of their own (rootless).
    :param may_ask: engines of other accounts may be asked, as these accounts.
    """
    found: t.List[Engine] = []
    blind: t.List[Blind] = []
    ours: t.Dict[int, int] = {}
    others: t.Dict[int, t.List[int]] = {}
    for pid in daemons():
        uid = _account(pid)
        if uid is None:
            continue
        if uid not in evidence.accounts():
            if uid in users:
                others.setdefault(uid, []).append(pid)
        elif uid in users or namespaces.same(pid, "net") is not False:
            unproven = _unproven(pid)
            if unproven is None:
                ours[pid] = uid
            elif unproven:
                blind.append(Blind(BLIND, unproven, advice="give its program and the folders above it to root"))
    _ours(ours, clock, found, blind)
    if not ours:
        # A hidden process (hidepid) has its sockets in the table: one that only an engine in operation has proves it.
        there, _sure = unix_sockets.listening(lambda _inode, path: "/libnetwork/" in path or path.endswith(_USUAL))
        if any(evidence.folder(path.partition("/libnetwork/")[0]) for path in there.values() if "/libnetwork/" in path):
            usual = [path for path in sorted(there.values()) if path.endswith(_USUAL) and evidence.listener(path)]
            found += [Engine(0, 0, path) for path in usual[:1]]
    _of_others(others, may_ask, clock, found, blind)
    return found, blind


def _of_others(
    others: t.Mapping[int, t.Sequence[int]], may_ask: bool, clock: Clock, found: t.List[Engine], blind: t.List[Blind]
) -> None:
    """Add the engines of other accounts, or why they are not asked. None of them takes the time of all."""
    until = time.monotonic() + clock.left(_BOUND)
    for number, (uid, pids) in enumerate(sorted(others.items())):
        if not (may_ask and os.geteuid() == 0):
            text = "the Docker engine of uid %d: %s" % (uid, NOT_ASKED)
            # Without rights, a run that frees a port does not ask it either.
            unasked = uid if os.geteuid() == 0 else None
            blind.append(Blind(BLIND_OF_ANOTHER, text, advice=WITH_RIGHTS if may_ask else "", unasked=unasked))
            continue
        share = (until - time.monotonic()) / (len(others) - number)
        for pid in pids[:_MOST_DAEMONS]:
            if time.monotonic() >= until:
                # To look for its sockets takes time as well: their account may have made very many.
                text = "the Docker engine of uid %d: it was not asked in time" % uid
                blind.append(Blind(BLIND_OF_ANOTHER, text, advice="free the ports of fewer accounts in one task"))
                continue
            tables = Tables(Clock(share / min(len(pids), _MOST_DAEMONS)))
            paths = candidates(pid, unix_sockets.by_text(unix_sockets.table(pid)), tables)[:_MOST_PLACES]
            reached = _reached(Engine(pid, uid, ""), paths, tables.clock.until, (), tables)
            _add(reached, found, blind, BLIND_OF_ANOTHER)


def _ours(pids: t.Mapping[int, int], clock: Clock, found: t.List[Engine], blind: t.List[Blind]) -> None:
    """Add the engines among our own processes, root's and those of the account that we run as."""
    here = {pid: namespaces.same(pid, "net") for pid in pids}
    concerned = sorted(pids)
    if not concerned:
        return
    tables = Tables(clock)
    owned = {inode for pid in concerned for inode in tables.of(pid) or ()}
    named = {path for pid in concerned for path in _named(pid)}
    table, _sure = unix_sockets.listening(
        lambda inode, path: inode in owned or path.endswith(_USUAL) or path in named, clock.left(_CONNECT)
    )
    taken: t.Set[str] = set()
    # Those that are certainly here first: what they listen on can't be another one's.
    for pid in sorted(concerned, key=lambda pid: here[pid] is None):
        there = table if here[pid] is not False else unix_sockets.by_text(unix_sockets.table(pid))
        paths = [path for path in candidates(pid, there, tables) if path not in taken]
        until = time.monotonic() + clock.left(_BOUND)
        reached = _reached(Engine(pid, pids[pid], ""), paths, until, concerned, tables)
        if isinstance(reached, Engine):
            taken.update(paths)
        elif here[pid] is not None or (paths and reached.refused):
            taken.update(paths)
        else:
            # Another user's, in a namespace that we can't be told of: with no socket of its own here, not in ours.
            continue
        shown = (
            not isinstance(reached, Engine)
            and reached.refused
            and here[pid] is not False
            and docker_settings.shows_its_ports(_command(pid), docker_settings.configuration())
        )
        _add(reached, found, blind, BLIND_BUT_SHOWN if shown else BLIND)


def _add(reached: t.Union[Engine, _Problem], found: t.List[Engine], blind: t.List[Blind], code: str) -> None:
    if isinstance(reached, Engine):
        found.append(reached)
    else:
        blind.append(Blind(code, reached.text, advice=reached.advice))


def daemons() -> t.List[int]:
    """Pids of all processes called dockerd, whoever they really are."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/comm" % name, "rb") as stream:
                    if stream.read(16) == DOCKERD:
                        found.append(int(name))
            except OSError:
                # ended meanwhile, or hidden
                continue
    return sorted(found)


def _account(pid: int) -> t.Optional[int]:
    """The account whose program a process is: that of who started it, also where it has another one's rights."""
    try:
        with open("/proc/%d/status" % pid, "rb") as stream:
            uids = evidence.uids(stream.read(1 << 16))
    except OSError:
        return None
    return None if uids is None else uids[0]


def _unproven(pid: int) -> t.Optional[str]:
    """Why one of our own accounts' processes is not believed; empty when it is something else, None when it is believed."""
    names = evidence.process_names(pid)
    if engine_api.PROGRAM in names or os.geteuid() != 0:
        # Who is not root is told nothing of root's executables, and has no rights to lose.
        return None
    if names:
        # A program of root's that anybody can start under any name (su, passwd).
        return ""
    return "the process %s (pid %d): not asked, as others than root may write its program" % (engine_api.PROGRAM, pid)


def candidates(pid: int, there: t.Mapping[int, str], tables: t.Optional[Tables] = None) -> t.List[str]:
    """Paths of the sockets that may be an engine's API, the likeliest one first.

    :param there: inode -> path of the sockets of its network namespace that somebody listens on.
    """
    mine = (tables or Tables(Clock())).of(pid)
    if mine is None:
        # With more time it could be seen which socket is its own. So none is guessed.
        return []
    own = {there[inode] for inode in mine if inode in there}
    if not own:
        # Its descriptors are not for our eyes: then what it was told on its command line, and the usual place.
        named = _named(pid)
        own = {path for path in there.values() if path in named or (not named and path.endswith(_USUAL))}
    usable = [path for path in own if not _NOT_THE_API.search(path)]
    return sorted(usable, key=lambda path: (not path.endswith(_USUAL), path))


def _named(pid: int) -> t.Set[str]:
    """Sockets that its command line names."""
    return {printable(path) for path in _HOST_OPTION.findall(_command(pid))}


def _reached(
    engine: Engine,
    paths: t.Sequence[str],
    until: float,
    daemon_pids: t.Sequence[int],
    tables: Tables,
) -> t.Union[Engine, _Problem]:
    """The engine at the first of these paths where it is the one that listens.

    :param until: when that has to be known (monotonic seconds).
    """
    pid, uid = engine.pid, engine.uid
    problem = _Problem("%s listens on no Unix socket" % engine.name, "start it with -H unix:///run/docker.sock as well")
    if not paths and pid in tables.late:
        advice = "look whether it has very many files open (ls /proc/%d/fd | wc -l), then run the task again" % pid
        problem = _Problem("%s was not asked: there was no time to look for its sockets" % engine.name, advice)
    elif not paths and not tables.of(pid):
        problem = _Problem("%s can't be asked: its sockets can't be seen" % engine.name, WITH_RIGHTS, True)
    for path in paths:
        # Where it has other mounts than we, its path leads somewhere else here.
        for endpoint in (path, "/proc/%d/root%s" % (pid, path)):
            try:
                left = max(until - time.monotonic(), 0.001)
                # A child that asks as another account has to be started first, which on a busy machine takes its time.
                there = engine_api.peer(endpoint, left if engine.claimed else min(_CONNECT, left), uid)
            except engine_api.EngineSilent as silence:
                if not problem.refused:
                    text = "%s can't be asked at %s: %s" % (engine.name, path, silence.why)
                    problem = _Problem(text, WITH_RIGHTS if silence.refused else look_at(path), silence.refused)
                continue
            # systemd has made the socket of an engine that it starts on demand: then it is the one who listens.
            if engine_api.is_engine(there, uid) and (there.pid == pid or there.pid not in daemon_pids):
                return engine._replace(endpoint=endpoint)
            text = "%s can't be asked: at %s another process listens" % (engine.name, path)
            problem = _Problem(text, "look who took its place: ss -lxp")
            break
    return problem


def look_at(endpoint: str) -> str:
    """What to do about an engine that does not answer."""
    return "look whether it is well: docker -H unix://%s ps" % endpoint


def _command(pid: int) -> bytes:
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as stream:
            return stream.read(1 << 16)
    except OSError:
        return b""
