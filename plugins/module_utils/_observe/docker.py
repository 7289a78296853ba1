# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker engines that run here, and what they say of their containers. Private to harbormaster.ports.

A look must not start an engine: systemd keeps the socket of one that does not run, and connecting to it starts it. So
the processes come first (dockerd, in our network namespace), then the sockets that they listen on, by way of their
descriptors, and only these are connected to.
"""

from __future__ import annotations

import os
import re
import socket
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import answers, engine_api
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Blind, Container, Endpoint
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    descriptors,
    docker_settings,
    engines,
    processes,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import ports as port_sets
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import Wanted

DOCKERD = b"dockerd\n"
BLIND = "container_engine"
# The same of an engine under which somebody on the host listens on each port that a container publishes.
BLIND_BUT_SHOWN = "container_engine_with_sockets"
_WITH_RIGHTS = "run the task with become: true"
# Of the sockets that dockerd listens on, these are not its API (daemon/metrics_unix.go, libnetwork's key listener).
_NOT_THE_API = re.compile(r"/libnetwork/[^/]+\.sock\Z|/metrics\.sock\Z|/containerd[^/]*\Z")
_USUAL = "/docker.sock"
_HOST_OPTION = re.compile(rb"(?:\A|\0)(?:-H|--host)[=\0]?unix://([^\0]+)")
# Num RefCount Protocol Flags Type St Inode Path; the flag is __SO_ACCEPTCON of linux/net.h.
_LISTENING = re.compile(
    rb"^[0-9a-f]+: [0-9A-F]{8} [0-9A-F]{8} 00010000 [0-9A-F]{4} [0-9A-F]{2} +([0-9]{1,20}) (/.*)$", re.MULTILINE
)
# sun_path of struct sockaddr_un (unix(7)), without its NUL
_LONGEST_PATH = 107
_CONNECT = 1.0
# The engine's own default where the container has no setting (StopTimeout of the Engine API).
_STOP_TIMEOUT = 10.0
ANY = ("0.0.0.0", "::")
# What a node answers that is in no swarm, or does not lead one.
_NO_MANAGER = "not a swarm manager"


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
    def name(self) -> str:
        """What it is called in a sentence."""
        return "the Docker engine (%s)" % ("dockerd, pid %d" % self.pid if self.pid else self.endpoint)


class Question(t.NamedTuple):
    """Which containers are of interest.

    :param wanted: those that publish one of these ports.
    :param ids: those that have a holder in them, by its cgroup.
    :param pids: the holders and their ancestors: those whose first process is one of these.
    """

    wanted: Wanted
    ids: t.FrozenSet[str]
    pids: t.FrozenSet[int] = frozenset()

    def concerns(self, published: t.Iterable[Endpoint]) -> bool:
        """Whether a wanted port is among the published ones."""
        return any(port_sets.contains(self.wanted.get(one.protocol, ()), one.port) for one in published)


def running(rootless: t.AbstractSet[int]) -> t.Tuple[t.List[Engine], t.List[Blind]]:
    """The engines of our network namespace that can be asked, and why others can't.

    :param rootless: accounts whose rootlesskit holds a wanted port: their engine lives in a namespace of its own.
    """
    table = engines.unix_table("self")
    found: t.List[Engine] = []
    blind: t.List[Blind] = []
    here = {pid: _is_ours(pid) for pid in daemons()}
    pids = [pid for pid, ours in here.items() if ours is not False or (rootless and _uid(pid) in rootless)]
    taken: t.Set[str] = set()
    # Those that are certainly here first: what they listen on can't be another one's.
    for pid in sorted(pids, key=lambda pid: here[pid] is None):
        uid = _uid(pid)
        if uid is None:
            continue
        there = listening(engines.unix_table(pid) if here[pid] is False else table)
        paths = [path for path in candidates(pid, there) if path not in taken]
        reached = _reached(pid, uid, paths, pids)
        if isinstance(reached, Engine):
            found.append(reached)
            taken.update(paths)
        elif here[pid] is not None or (paths and reached.refused):
            shown = (
                reached.refused
                and here[pid] is not False
                and docker_settings.shows_its_ports(_command(pid), docker_settings.configuration())
            )
            blind.append(Blind(BLIND_BUT_SHOWN if shown else BLIND, reached.text, advice=reached.advice))
            taken.update(paths)
        # Else it is another user's, in a namespace that we can't be told of: with no socket of its own here, not in ours.
    if not pids:
        # A hidden process (hidepid) has its sockets in the table: one that only an engine in operation has proves it.
        paths = sorted(listening(table).values())
        if any("/libnetwork/" in path for path in paths):
            usual = [path for path in paths if path.endswith(_USUAL)]
            found += [Engine(0, 0, path) for path in usual[:1]]
    return found, blind


def daemons() -> t.List[int]:
    """Pids of all processes called dockerd."""
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


def listening(table: bytes) -> t.Dict[int, str]:
    """inode -> path of the Unix sockets that somebody listens on, out of /proc/net/unix.

    Only absolute paths that can be connected to: anybody may give a socket a name with anything in it.
    """
    found = {}
    for match in _LISTENING.finditer(table):
        raw = match.group(2)
        if len(raw) <= _LONGEST_PATH and printable(raw).encode("utf-8") == raw:
            found[int(match.group(1))] = raw.decode("utf-8")
    return found


def candidates(pid: int, there: t.Mapping[int, str]) -> t.List[str]:
    """Paths of the sockets that may be an engine's API, the likeliest one first.

    :param there: what `listening` said of its network namespace.
    """
    own = {there[inode] for inode in descriptors.inodes_of(pid) if inode in there}
    if not own:
        # Its descriptors are not readable by us: then what it was told on its command line, and the usual place.
        named = {printable(path) for path in _HOST_OPTION.findall(_command(pid))}
        own = {path for path in there.values() if path in named or (not named and path.endswith(_USUAL))}
    usable = [path for path in own if not _NOT_THE_API.search(path)]
    return sorted(usable, key=lambda path: (not path.endswith(_USUAL), path))


def ask(engine: Engine, question: Question, until: float, found: t.List[Container], blind: t.List[Blind]) -> None:
    """Add the containers and services of one engine that the question is about.

    :param until: when all of its answers have to be there (monotonic seconds).
    """
    try:
        found += _containers(engine, question, until)
        found += _services(engine, question, until)
    except engine_api.EngineSilent as silence:
        text = "%s can't be asked at %s: %s" % (engine.name, engine.endpoint, silence.why)
        blind.append(Blind(BLIND, text, advice=_WITH_RIGHTS if silence.refused else _look_at(engine.endpoint)))
    except _Refused as refusal:
        text = "%s says: %s" % (engine.name, refusal)
        blind.append(Blind(BLIND, text, advice="look at its log, such as journalctl -u docker"))


class _Refused(Exception):
    """An engine has answered that it won't."""


def _containers(engine: Engine, question: Question, until: float) -> t.Iterator[Container]:
    for entry in answers.objects({"all": _asked(engine, "/containers/json", until)}, "all"):
        identity = answers.identifier(entry, "Id")
        # One that waits to be started again has no ports now, and takes them again in a moment.
        restarting = answers.text(entry, "State") == "restarting"
        if identity and (identity in question.ids or restarting or question.concerns(listed_ports(entry))):
            container = parse(_asked(engine, "/containers/%s/json" % identity, until, absent=True), engine)
            if container and (identity in question.ids or question.concerns(container.published)):
                yield container


def _services(engine: Engine, question: Question, until: float) -> t.Iterator[Container]:
    answer = engine_api.ask(engine.endpoint, "/services", until - time.monotonic(), engine.uid)
    if not answer.good:
        if _NO_MANAGER in answer.words or answer.status == 404:
            return
        raise _Refused("%s (asked for the services of its swarm)" % answer.words)
    for entry in answers.objects({"all": answer.content}, "all"):
        service = parse_service(entry, engine)
        if service and question.concerns(service.published):
            yield service


def _asked(engine: Engine, path: str, until: float, absent: bool = False) -> t.Any:
    """The content of an answer.

    :param absent: what was asked about may have gone meanwhile: that is None.
    """
    answer = engine_api.ask(engine.endpoint, path, until - time.monotonic(), engine.uid)
    if absent and answer.status == 404:
        return None
    if not answer.good:
        raise _Refused(answer.words)
    return answer.content


def listed_ports(entry: t.Any) -> t.List[Endpoint]:
    """The published ports of an entry of /containers/json."""
    return [
        Endpoint(answers.text(one, "Type"), answers.text(one, "IP"), answers.number(one, "PublicPort") or 0)
        for one in answers.objects(entry, "Ports")
        if answers.number(one, "PublicPort")
    ]


def parse(content: t.Any, engine: Engine) -> t.Optional[Container]:
    """A container out of /containers/ID/json; None when it is none that runs or will run again by itself."""
    identity = answers.identifier(content, "Id")
    running_now = answers.truth(content, "State", "Running")
    if not identity or not running_now:
        return None
    labels = answers.at(content, "Config", "Labels")
    orchestrator, project, service = by_labels(labels)
    bound = endpoints(answers.at(content, "NetworkSettings", "Ports"))
    seconds = answers.number(content, "Config", "StopTimeout")
    return Container(
        engine="docker",
        id=identity,
        name=answers.text(content, "Name").lstrip("/"),
        asked=True,
        user=engine.uid or None,
        endpoint=engine.endpoint,
        pid=answers.number(content, "State", "Pid") or 0,
        started=answers.text(content, "State", "StartedAt"),
        # While it waits for its restart it is bound to nothing; these are what it will ask for.
        published=bound or endpoints(answers.at(content, "HostConfig", "PortBindings")),
        host_network=answers.text(content, "HostConfig", "NetworkMode") == "host",
        restart=answers.text(content, "HostConfig", "RestartPolicy", "Name") or "no",
        retries=answers.number(content, "HostConfig", "RestartPolicy", "MaximumRetryCount") or 0,
        removed_on_stop=answers.truth(content, "HostConfig", "AutoRemove"),
        # -1: it is never killed, however long it takes
        stop_timeout=_STOP_TIMEOUT if seconds is None else float(seconds) if seconds >= 0 else None,
        project=project,
        service=service,
        orchestrator=orchestrator,
    )


def parse_service(content: t.Any, engine: Engine) -> t.Optional[Container]:
    """A swarm service out of /services, with the ports that every node of the swarm answers on; None without any.

    Ports in host mode are those of its containers, and found there. One that is scaled to nothing takes no ports.
    """
    replicas = answers.number(content, "Spec", "Mode", "Replicated", "Replicas")
    published = tuple(
        Endpoint(answers.text(one, "Protocol") or "tcp", address, answers.number(one, "PublishedPort") or 0)
        for one in answers.objects(content, "Endpoint", "Ports")
        if answers.text(one, "PublishMode") != "host" and answers.number(one, "PublishedPort")
        for address in ANY
    )
    name = answers.text(content, "Spec", "Name")
    identity = answers.text(content, "ID")
    if not (published and name and identity) or replicas == 0:
        return None
    return Container(
        engine="docker",
        id=identity,
        name=name,
        asked=True,
        user=engine.uid or None,
        endpoint=engine.endpoint,
        published=published,
        service=name,
        project=answers.text(content, "Spec", "Labels", "com.docker.stack.namespace"),
        orchestrator="swarm",
    )


def by_labels(labels: t.Any) -> t.Tuple[str, str, str]:
    """(orchestrator, project, service) of a container, by what its maker has written on it."""
    pod = answers.text(labels, "io.kubernetes.pod.name")
    if pod:
        return "kubernetes", answers.text(labels, "io.kubernetes.pod.namespace"), pod
    swarm = answers.text(labels, "com.docker.swarm.service.name")
    if swarm or answers.text(labels, "com.docker.swarm.task.id"):
        return "swarm", answers.text(labels, "com.docker.stack.namespace"), swarm
    if answers.text(labels, "com.hashicorp.nomad.alloc_id"):
        job, task = (answers.text(labels, "com.hashicorp.nomad.%s_name" % one) for one in ("job", "task"))
        return "nomad", job, task
    # podman-compose writes both forms
    for maker in ("com.docker.compose", "io.podman.compose"):
        project = answers.text(labels, maker + ".project")
        if project:
            return "", project, answers.text(labels, maker + ".service")
    return "", "", ""


def endpoints(bindings: t.Any) -> t.Tuple[Endpoint, ...]:
    """The host's side of a table of bindings: ``{"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}``.

    No address means all of both families. A range of ports to choose from (``8000-8010``) is no port yet.
    """
    found = []
    for inside, outside in sorted(bindings.items()) if isinstance(bindings, dict) else ():
        protocol = str(inside).rpartition("/")[2] if "/" in str(inside) else "tcp"
        for one in answers.objects({"all": outside}, "all"):
            port = answers.text(one, "HostPort")
            if port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536:
                written = answers.text(one, "HostIp")
                addresses = (normal(written),) if written else ANY
                found += [Endpoint(protocol, address, int(port)) for address in addresses if address]
    return tuple(dict.fromkeys(found))


def normal(address: str) -> str:
    """An address as the kernel writes it; empty for what is none."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.inet_ntop(family, socket.inet_pton(family, address))
    except (OSError, ValueError):
        return ""


class _Problem(t.NamedTuple):
    """Why an engine can't be asked, what helps, and whether that is because of who asks."""

    text: str
    advice: str
    refused: bool = False


def _reached(pid: int, uid: int, paths: t.Sequence[str], daemon_pids: t.Sequence[int]) -> t.Union[Engine, _Problem]:
    """The engine at the first of these paths where it is the one that listens."""
    engine = Engine(pid, uid, "")
    problem = _Problem("%s listens on no Unix socket" % engine.name, "start it with -H unix:///run/docker.sock as well")
    if not paths and not descriptors.inodes_of(pid):
        problem = _Problem("%s can't be asked: its sockets can't be seen" % engine.name, _WITH_RIGHTS, True)
    for path in paths:
        # Where it has other mounts than we, its path leads somewhere else here.
        for endpoint in (path, "/proc/%d/root%s" % (pid, path)):
            try:
                there = engine_api.peer(endpoint, _CONNECT)
            except engine_api.EngineSilent as silence:
                if not problem.refused:
                    text = "%s can't be asked at %s: %s" % (engine.name, path, silence.why)
                    problem = _Problem(text, _WITH_RIGHTS if silence.refused else _look_at(path), silence.refused)
                continue
            # systemd has made the socket of an engine that it starts on demand: then it is the one who listens.
            if there.uid == uid and (there.pid == pid or there.pid not in daemon_pids):
                return engine._replace(endpoint=endpoint)
            text = "%s can't be asked: at %s another process listens" % (engine.name, path)
            problem = _Problem(text, "look who took its place: ss -lxp")
            break
    return problem


def _look_at(endpoint: str) -> str:
    return "look whether it is well: docker -H unix://%s ps" % endpoint


def _is_ours(pid: int) -> t.Optional[bool]:
    """Whether a process is in our network namespace; None for one that may not be looked at."""
    try:
        return os.stat("/proc/%d/ns/net" % pid).st_ino == os.stat("/proc/self/ns/net").st_ino
    except PermissionError:
        return None
    except OSError:
        # it has ended
        return False


def _uid(pid: int) -> t.Optional[int]:
    """The account of a process. The owner of its directory is no help: that is root's for one that can't be dumped."""
    try:
        with open("/proc/%d/status" % pid, "rb") as stream:
            return processes.parse_status(stream.read()).effective_uid
    except OSError:
        return None


def _command(pid: int) -> bytes:
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as stream:
            return stream.read(1 << 16)
    except OSError:
        return b""
