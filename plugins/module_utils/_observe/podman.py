# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of podman, as its command tells of them. Private to harbormaster.ports.

Podman has no engine that runs: its command reads a database below directories that each account may choose for itself.
Who they are is told by what stands on the host for a container: conmon, which watches over each of them and carries the
account's options on its command line, for the command that cleans up after it; without root also rootlessport,
slirp4netns or pasta. The command is run as the account of these, never as root for somebody else's containers.

What such a process says of itself is the word of its account, and is used with that account's rights alone. For root's
podman only a conmon counts that is proven to be root's. The program is always our own podman, only options that can't make
it run another one are taken over, and a conmon has to be in the namespaces of this host, so that no container can pose
as one.
"""

from __future__ import annotations

import os
import re
import stat
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import answers, command, evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable, printable_text
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Blind, Container, Process
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    docker,
    environment,
    namespaces,
    orchestrators,
    processes,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import ports as port_sets
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.docker import Question
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.docker_engines import (
    BLIND,
    BLIND_OF_ANOTHER,
    NOT_ASKED,
    WITH_RIGHTS,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.engines import PODMAN_HELPERS

CONMON = b"conmon\n"
_CONMONS = frozenset(("conmon",))
# The longest list of containers that is understood. As objects in memory, JSON takes up to 25 times its size.
_MOST = 4 << 20
_MOST_OF_OTHERS = 2 << 20
# Of other accounts, what is looked at: accounts, conmons of each, ways to ask that these name, containers that concern us.
_MOST_ACCOUNTS, _MOST_CONMONS, _MOST_WAYS, _MOST_CHOSEN = 16, 8, 4, 50
_LONGEST_COMMAND = 1 << 14
PROGRAM = "podman"
# Options of the whole command (podman(1)) that say where an account keeps its containers, and the form of their values.
_DIRECTORY = re.compile(r"/[^\0]{0,1000}\Z")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_OPTIONS = {
    "--root": _DIRECTORY,
    "--runroot": _DIRECTORY,
    "--tmpdir": _DIRECTORY,
    "--volumepath": _DIRECTORY,
    "--network-config-dir": _DIRECTORY,
    "--cgroup-manager": _WORD,
    "--network-backend": _WORD,
    "--runtime": _WORD,
    "--storage-driver": _WORD,
    "--events-backend": _WORD,
    "--db-backend": _WORD,
}
# Where the account keeps its settings and its runtime directory; nothing that says who it is inside of its namespace.
_VARIABLES = frozenset(
    (b"HOME", b"XDG_RUNTIME_DIR", b"XDG_CONFIG_HOME", b"XDG_DATA_HOME", b"CONTAINERS_CONF", b"CONTAINERS_STORAGE_CONF")
)
_FLAG, _VALUE = "--exit-command", "--exit-command-arg"
# podman's release 5.1.0 can change the restart policy of a container that exists.
_CAN_PERSIST = (5, 1)
_VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")
_RESTARTED = ("always", "unless-stopped")
_STOP_TIMEOUT = 10.0
_LIST = ("ps", "--all", "--pod", "--format", "json")
# States in which it holds its ports, of podman-ps(1).
_ALIVE = ("running", "paused", "stopping")


class Account(t.NamedTuple):
    """Somebody's containers.

    :param uid: whose.
    :param command: podman with the options that they were started with.
    :param environment: variables that it needs.
    """

    uid: int
    command: t.Tuple[str, ...] = (PROGRAM,)
    environment: t.Tuple[t.Tuple[str, str], ...] = ()

    @property
    def claimed(self) -> bool:
        """Whether it is another account's: then what its podman says is that account's word."""
        return self.uid not in evidence.accounts()

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return "podman of user %s" % processes.account(self.uid)


def accounts(
    chains: t.Sequence[t.Sequence[Process]], unreserved: bool, may_ask: bool = False
) -> t.Tuple[t.List[Account], t.List[Blind]]:
    """Whose containers the holders may be in or stand for, and whose can't be asked.

    :param chains: each holder with its ancestors.
    :param unreserved: root's containers may publish ports that nobody holds.
    :param may_ask: podman of other accounts may be run, as these accounts.
    """
    helpers = {one.account: one for line in chains for one in _helpers(line) if one.account is not None}
    wanted = set(helpers)
    if unreserved:
        wanted.add(0)
    found: t.Dict[t.Tuple[int, t.Tuple[str, ...]], Account] = {}
    blind = []
    own = os.geteuid()
    others = 0
    for uid in sorted(wanted):
        if own not in (0, uid):
            text = "%s can't be asked by another user" % Account(uid).name
            # A report that runs as root asks root's own podman alone.
            advice = WITH_RIGHTS if may_ask or uid == 0 else ""
            blind.append(Blind(BLIND if uid == 0 else BLIND_OF_ANOTHER, text, advice=advice))
            continue
        if uid != own and not may_ask:
            blind.append(Blind(BLIND_OF_ANOTHER, "%s: %s" % (Account(uid).name, NOT_ASKED), unasked=uid))
            continue
        pids = conmons(uid)
        if uid not in evidence.accounts():
            others += 1
            if others > _MOST_ACCOUNTS:
                text = "%s is not asked: only %d accounts are" % (Account(uid).name, _MOST_ACCOUNTS)
                blind.append(Blind(BLIND_OF_ANOTHER, text, advice="free the ports of fewer accounts in one task"))
                continue
            # They all say the same, where nobody wants to have us read for long.
            pids = pids[:_MOST_CONMONS]
        monitors = [account for account in map(_account_of, pids) if account]
        if not monitors and uid in helpers:
            helper = helpers[uid]
            trusted = uid not in evidence.accounts() or _is_proven(helper.pid, PODMAN_HELPERS)
            if trusted or helper.container is not None:
                monitors = [Account(uid, environment=_environment(helper.pid) if trusted else ())]
        for account in monitors if uid in evidence.accounts() else monitors[:_MOST_WAYS]:
            # The same containers, whatever else was set when one of them was started.
            found.setdefault((uid, account.command), account)
    return list(found.values()), blind


def _helpers(line: t.Sequence[Process]) -> t.List[Process]:
    """The processes of this line whose account is that of a container of podman's."""
    container = next((one.container for one in line if one.container), None)
    if container is not None and container.engine != PROGRAM:
        # Others use the same helpers: conmon watches over cri-o's containers too.
        return []
    found = [one for one in line if one.name in PODMAN_HELPERS]
    # A process inside may run as another one of the account's users: it counts only when nothing outside is left.
    return found or (list(line[:1]) if container is not None else [])


def _is_proven(pid: int, names: t.AbstractSet[str]) -> bool:
    return not names.isdisjoint(evidence.process_names(pid))


def conmons(uid: int) -> t.List[int]:
    """Pids of an account's conmon processes in our namespaces; of our own accounts only those that are proven."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/comm" % name, "rb") as stream:
                    if stream.read(16) != CONMON:
                        continue
                if _is_of(int(name), uid) and _is_of_this_host(int(name), uid):
                    found.append(int(name))
            except OSError:
                # ended meanwhile, or hidden
                continue
    return sorted(found)


def _is_of(pid: int, uid: int) -> bool:
    """Whether a conmon's words are this account's: nobody else has started it, by a set-uid program of that account."""
    with open("/proc/%d/status" % pid, "rb") as stream:
        uids = evidence.uids(stream.read(1 << 16))
    if uids != (uid, uid, uid):
        return False
    if uid in evidence.accounts():
        return _is_proven(pid, _CONMONS)
    return not os.stat("/proc/%d/exe" % pid).st_mode & stat.S_ISUID


def _is_of_this_host(pid: int, uid: int) -> bool:
    """Whether it is in our own namespaces. Without root, podman has user and mount namespaces of its own."""
    kinds = ("pid", "net") if uid else ("pid", "net", "mnt", "user")
    return all(namespaces.same(pid, kind) for kind in kinds)


def _account_of(pid: int) -> t.Optional[Account]:
    """The account that a conmon works for; None when it is not podman's or has ended."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as stream:
            options = parse_conmon(stream.read(_LONGEST_COMMAND))
        with open("/proc/%d/status" % pid, "rb") as stream:
            uid = processes.parse_status(stream.read()).real_uid
    except OSError:
        return None
    return None if options is None else Account(uid, (PROGRAM,) + options, _environment(pid))


def parse_conmon(command_line: bytes) -> t.Optional[t.Tuple[str, ...]]:
    """The options of podman's own command, out of the command line of a conmon; None when it is somebody else's.

    They stand one word at a time (``--exit-command-arg --root --exit-command-arg /var/lib/...``) before the words
    ``container cleanup``.
    """
    words = [printable(word) for word in command_line.split(b"\0")]
    program, said = "", []
    for before, word in zip(words, words[1:]):
        if before == _FLAG:
            program = word
        elif before == _VALUE:
            said.append(word)
    if program.rpartition("/")[2] != PROGRAM:
        return None
    options: t.List[str] = []
    for name, value in zip(said, said[1:]):
        if name == "container":
            break
        if name in _OPTIONS and _OPTIONS[name].match(value) and ".." not in value.split("/"):
            options += [name, value]
    return tuple(options)


def _environment(pid: int) -> t.Tuple[t.Tuple[str, str], ...]:
    """What an account's own podman has set for its helpers."""
    found = environment.read(pid, _VARIABLES)
    return tuple(sorted((os.fsdecode(name), os.fsdecode(value)) for name, value in found.items() if value))


class _Refused(Exception):
    """Podman has not answered, or has said that it won't."""


def ask(account: Account, question: Question, until: float, found: t.List[Container], blind: t.List[Blind]) -> None:
    """Add the containers of one account that the question is about.

    :param until: when all of its answers have to be there (monotonic seconds).
    """
    try:
        entries = _listed(_said(account, _LIST, until))
        chosen = choose(entries, question)
        if not chosen:
            return
        if account.claimed and len(chosen) > _MOST_CHOSEN:
            raise _Refused("it names more than %d containers for these ports" % _MOST_CHOSEN)
        # What is stopped along with a pod's keeper has stop timeouts of its own.
        along = [one for entry in chosen if answers.truth(entry, "IsInfra") for one in _members(entries, entry)]
        identities = tuple(dict.fromkeys(answers.identifier(one, "Id") for one in chosen + along))
        # One that has gone meanwhile makes it fail, but it tells of the others.
        said = _said(account, ("container", "inspect") + identities, until, partly=True)
        inspected = {answers.identifier(one, "Id"): one for one in _listed(said)}
        for entry in chosen:
            container = parse(inspected, entry, entries, account)
            if container and container.restart in _RESTARTED:
                container = container._replace(can_persist=_version(account, until) >= _CAN_PERSIST)
            if container:
                found.append(_believed(account, container))
    except _Refused as refusal:
        text = "%s can't be asked: %s" % (account.name, refusal)
        code = BLIND_OF_ANOTHER if account.claimed else BLIND
        blind.append(Blind(code, text, advice="look what hinders it: %s ps" % PROGRAM))


def _listed(said: str) -> t.List[t.Any]:
    """The objects of a list; what can't be read whole is not taken for an empty one."""
    content = answers.decoded(said)
    if not isinstance(content, list) and said.strip() not in ("", "null"):
        raise _Refused("its answer is no list of containers, or too long a one")
    return answers.objects({"all": content}, "all")


def _believed(account: Account, container: Container) -> Container:
    """The container with an orchestrator only where that is really there: its label may come with the image."""
    if container.orchestrator and (account.claimed or not orchestrators.runs(container.orchestrator)):
        return container._replace(orchestrator="")
    return container


def choose(entries: t.Sequence[t.Any], question: Question) -> t.List[t.Any]:
    """The entries of ``podman ps`` that hold a port in question.

    All containers of a pod show its ports, but only the one that keeps the pod's namespaces has them. Another one counts
    when a holder is in it: then it uses the network of the host.
    """
    alive = [one for one in entries if answers.identifier(one, "Id") and answers.text(one, "State") in _ALIVE]
    seen = [(one, _is_inside(one, question), _publishes(one, question)) for one in alive]
    keepers = {answers.text(one, "Pod") for one, _inside, publishes in seen if publishes and _keeps(one)}
    return [
        one
        for one, inside, publishes in seen
        if inside or (publishes and (_keeps(one) or answers.text(one, "Pod") not in keepers))
    ]


def _keeps(entry: t.Any) -> bool:
    return answers.truth(entry, "IsInfra")


def _publishes(entry: t.Any, question: Question) -> bool:
    return any(
        port_sets.overlap(question.wanted.get(protocol, ()), first, last)
        for protocol, first, last in listed_ports(entry)
    )


def _is_inside(entry: t.Any, question: Question) -> bool:
    # By pid where it has no cgroup of its own (--cgroups=disabled).
    return answers.text(entry, "Id") in question.ids or answers.number(entry, "Pid") in question.pids


def listed_ports(entry: t.Any) -> t.List[t.Tuple[str, int, int]]:
    """Protocol, first and last of the published ports of an entry of ``podman ps``; podman 3 called the fields otherwise."""
    found = []
    for one in answers.objects(entry, "Ports"):
        first = answers.number(one, "host_port") or answers.number(one, "hostPort") or 0
        length = max(answers.number(one, "range") or 1, 1)
        if 0 < first < 65536:
            last = min(first + length - 1, 65535)
            found += [(protocol or "tcp", first, last) for protocol in answers.text(one, "protocol").split(",")]
    return found


def parse(
    inspected: t.Mapping[str, t.Any], entry: t.Any, entries: t.Sequence[t.Any], account: Account
) -> t.Optional[Container]:
    """A container out of ``podman container inspect``; None when it does not run any more.

    :param inspected: id -> what that says.
    :param entry: what ``podman ps`` says of it.
    :param entries: what it says of all.
    """
    identity = answers.identifier(entry, "Id")
    content = inspected.get(identity)
    if answers.text(content, "State", "Status") not in _ALIVE:
        return None
    labels = answers.at(content, "Config", "Labels")
    orchestrator, project, service = docker.by_labels(labels)
    infra = answers.truth(entry, "IsInfra")
    pod = answers.identifier(entry, "Pod")
    members = _members(entries, entry) if infra and pod else []
    seconds = [
        answers.number(inspected.get(answers.identifier(one, "Id")), "Config", "StopTimeout")
        for one in [entry] + members
    ]
    return Container(
        engine=PROGRAM,
        id=identity,
        name=answers.text(content, "Name"),
        asked=True,
        user=account.uid or None,
        pid=answers.number(content, "State", "Pid") or 0,
        started=answers.text(content, "State", "StartedAt"),
        published=docker.endpoints(answers.at(content, "NetworkSettings", "Ports")),
        host_network=answers.text(content, "HostConfig", "NetworkMode") == "host",
        restart=answers.text(content, "HostConfig", "RestartPolicy", "Name") or "no",
        removed_on_stop=answers.truth(content, "HostConfig", "AutoRemove"),
        stop_timeout=max(_STOP_TIMEOUT if one is None else float(one) for one in seconds),
        project=answers.text(entry, "PodName") or project,
        service=service,
        orchestrator=orchestrator,
        unit=answers.text(labels, "PODMAN_SYSTEMD_UNIT"),
        monitor=answers.number(content, "State", "ConmonPid") or 0,
        pod=pod if infra else "",
        members=tuple(sorted(_name(one) for one in members)),
        command=account.command,
        environment=account.environment,
    )


def _members(entries: t.Iterable[t.Any], keeper: t.Any) -> t.List[t.Any]:
    """The entries of the containers in a pod that have their ports by its keeper, without the keeper itself."""
    pod, identity = answers.identifier(keeper, "Pod"), answers.identifier(keeper, "Id")
    return [
        one
        for one in entries
        if pod
        and answers.identifier(one, "Pod") == pod
        and answers.identifier(one, "Id") not in ("", identity)
        and answers.text(one, "State") in _ALIVE
    ]


def _name(entry: t.Any) -> str:
    names = answers.at(entry, "Names")
    name = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""
    return printable_text(name) or answers.identifier(entry, "Id")[:12]


def _version(account: Account, until: float) -> t.Tuple[int, int]:
    """The release of this podman; 0.0 when it does not say."""
    found = _VERSION.search(_said(account, ("--version",), until))
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _said(account: Account, words: t.Tuple[str, ...], until: float, partly: bool = False) -> str:
    """What podman writes.

    :param partly: an answer counts also when it was not content with the question.
    :raises _Refused: nothing in time, or that it failed.
    """
    uid = None if account.uid == os.geteuid() else account.uid
    left = max(until - time.monotonic(), 0.001)
    answer = command.run(account.command + words, left, uid=uid, environment=dict(account.environment))
    if answer.problem and not (partly and answer.stdout.strip() and not answer.timed_out):
        raise _Refused(answer.problem[:400])
    most = _MOST_OF_OTHERS if account.claimed else _MOST
    if len(answer.stdout) > most:
        raise _Refused("an answer of more than %d MB" % (most >> 20))
    return answer.stdout
