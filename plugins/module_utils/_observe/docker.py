# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Docker engines say of their containers. Private to harbormaster.ports: not an interface for other collections.

Labels come from images as well as from whoever has made the container: they say who runs it only where that is there.
"""

from __future__ import annotations

import re
import socket
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import answers, engine_api
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Blind, Container, Endpoint
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import docker_engines, orchestrators
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import ports as port_sets
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.docker_engines import Engine
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import Wanted

# The engine's own default where the container has no setting (StopTimeout of the Engine API).
_STOP_TIMEOUT = 10.0
ANY = ("0.0.0.0", "::")
# What a node answers that is in no swarm, or does not lead one.
_NO_MANAGER = "not a swarm manager"
_TASK = re.compile(r"[0-9a-z]{1,64}\Z")


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


def ask(engine: Engine, question: Question, until: float, found: t.List[Container], blind: t.List[Blind]) -> None:
    """Add the containers and services of one engine that the question is about.

    :param until: when all of its answers have to be there (monotonic seconds).
    """
    try:
        found += _containers(engine, question, until)
        if not engine.claimed:
            # A service has its ports without a socket of its account's, which is nothing that a claim can show.
            found += _services(engine, question, until)
    except engine_api.EngineSilent as silence:
        text = "%s can't be asked at %s: %s" % (engine.name, engine.endpoint, silence.why)
        advice = docker_engines.WITH_RIGHTS if silence.refused else docker_engines.look_at(engine.endpoint)
        blind.append(Blind(_blind(engine), text, advice=advice))
    except _Refused as refusal:
        text = "%s says: %s" % (engine.name, refusal)
        blind.append(Blind(_blind(engine), text, advice="look at its log, such as journalctl -u docker"))


class _Refused(Exception):
    """An engine has answered that it won't."""


def _blind(engine: Engine) -> str:
    return docker_engines.BLIND_OF_ANOTHER if engine.claimed else docker_engines.BLIND


def _containers(engine: Engine, question: Question, until: float) -> t.Iterator[Container]:
    listed = _asked(engine, "/containers/json", until)
    if not isinstance(listed, list):
        raise _Refused("no list of containers")
    for entry in answers.objects({"all": listed}, "all"):
        identity = answers.identifier(entry, "Id")
        # One that waits to be started again has no ports now, and takes them again in a moment.
        restarting = answers.text(entry, "State") == "restarting"
        if identity and (identity in question.ids or restarting or question.concerns(listed_ports(entry))):
            content = _asked(engine, "/containers/%s/json" % identity, until, absent=True)
            container = parse(content, engine)
            if container and (identity in question.ids or question.concerns(container.published)):
                yield _believed(engine, content, container, until)


def _believed(engine: Engine, content: t.Any, container: Container, until: float) -> Container:
    """The container with an orchestrator only where that is really there: its label may come with the image."""
    if not container.orchestrator:
        return container
    if engine.claimed:
        there = False
    elif container.orchestrator == "swarm":
        there = _is_task(engine, content, until)
    else:
        there = orchestrators.runs(container.orchestrator)
    return container if there else container._replace(orchestrator="")


def _is_task(engine: Engine, content: t.Any, until: float) -> bool:
    """Whether a container is one of the engine's swarm: by the node, by the name that swarm has given it, and by its manager."""
    swarm = answers.at(_asked(engine, "/info", until), "Swarm")
    labels = answers.at(content, "Config", "Labels")
    node, task = answers.text(swarm, "NodeID"), answers.text(labels, "com.docker.swarm.task.id")
    name = answers.text(content, "Name").lstrip("/")
    if (
        answers.text(swarm, "LocalNodeState") in ("", "inactive")
        or not node
        or answers.text(labels, "com.docker.swarm.node.id") != node
        or answers.text(labels, "com.docker.swarm.task.name") != name
        or not (_TASK.match(task) and name.endswith("." + task))
    ):
        return False
    if not answers.truth(swarm, "ControlAvailable"):
        # A worker is told nothing of tasks.
        return True
    known = _asked(engine, "/tasks/%s" % task, until, absent=True)
    return answers.identifier(known, "Status", "ContainerStatus", "ContainerID") == answers.identifier(content, "Id")


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
