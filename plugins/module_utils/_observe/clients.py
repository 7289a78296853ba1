# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units that run a container by their engine's own command. Private to harbormaster.ports.

``ExecStart=docker run --name web ...`` and ``docker compose up`` leave the client running as the main process of the unit:
whoever stops the container has it started again by the unit. Nothing of the container says so. The client's command line
does, and it is the word of whoever runs the unit. Looked for only where a container was found that no unit is known for.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Process, Unit
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import environment, processes

_COMPOSE = "docker-compose"
PROGRAMS = ("docker", _COMPOSE, "podman", "nerdctl", "conmon")
# What may stand between the main process of a unit and the client, other than a client.
_BETWEEN = ("sh", "bash", "dash", "ash", "env")
# More of them than these, and more text, nobody runs by units. Each account has its own number: none hides another's.
_MOST_CLIENTS = 256
_MOST_OF_OTHERS = 16
_LONGEST = 1 << 14
_MAX_PARENTS = 8
_RUNS, _STARTS = ("run",), ("start", "attach")
# Options of docker run and podman run without a value. All others take one.
_FLAGS = frozenset(
    "--detach --interactive --tty --rm --privileged --init --read-only --publish-all --no-healthcheck --oom-kill-disable "
    "--sig-proxy --disable-content-trust --quiet --replace --rmi --env-host --http-proxy --no-hosts --no-hostname --passwd "
    "--read-only-tmpfs --tls-verify --unsetenv-all --use-api-socket --help".split()
)
_SHORT_FLAGS = frozenset("ditPqh")
_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_NAME = re.compile(rb"^name:[ \t]*[\"']?([a-z0-9][a-z0-9_-]*)", re.MULTILINE)
_VARIABLE = b"COMPOSE_PROJECT_NAME"
_SETTING = re.compile(rb"^COMPOSE_PROJECT_NAME=[\"']?([a-z0-9][a-z0-9_-]*)", re.MULTILINE)
_NOT_IN_A_PROJECT = re.compile(r"[^a-z0-9_-]")


class Client(t.NamedTuple):
    """An engine's command that runs.

    :param words: its command line.
    :param folder: where it runs.
    :param lineage: itself and what has started it, as far as that may be the main process of its unit.
    """

    unit: Unit
    account: int
    words: t.Tuple[str, ...]
    folder: str
    lineage: t.FrozenSet[int]
    variables: t.Mapping[bytes, bytes]


def running(containers: t.Iterable[Container]) -> t.List[Client]:
    """The clients that run in units and may run one of these containers, each with what only its own account or root can
    have said of it.
    """
    accounts = {one.user or 0 for one in containers if one.asked and not one.unit}
    found = (_client(pid) for pid in candidates(accounts)) if accounts else ()
    return [client for client in found if client is not None]


def candidates(accounts: t.AbstractSet[int]) -> t.List[int]:
    """Pids of the clients of these accounts; those of our own are proven to be what they are called."""
    found: t.Dict[int, t.List[int]] = {}
    wanted = {name.encode("ascii") + b"\n" for name in PROGRAMS}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/comm" % name, "rb") as stream:
                if stream.read(17) not in wanted:
                    continue
            with open("/proc/%s/status" % name, "rb") as stream:
                uids = evidence.uids(stream.read(1 << 16))
        except OSError:
            # ended meanwhile, or hidden
            continue
        if uids is None or uids[0] not in accounts:
            continue
        own = uids[0] in evidence.accounts()
        mine = found.setdefault(uids[0], [])
        if len(mine) >= (_MOST_CLIENTS if own else _MOST_OF_OTHERS):
            continue
        # Another program of root's (sudo, su) can be started by anybody, with any words.
        if not (own and os.geteuid() == 0) or not set(PROGRAMS).isdisjoint(evidence.process_names(int(name))):
            mine.append(int(name))
    return [pid for _uid, pids in sorted(found.items()) for pid in pids]


def _client(pid: int) -> t.Optional[Client]:
    known = processes.describe([pid])
    process = known.get(pid)
    if process is None or process.unit is None or process.account is None:
        return None
    if process.container is not None and process.name != "conmon":
        # It runs in a container itself.
        return None
    if process.account == 0 and set(PROGRAMS).isdisjoint(process.proven):
        return None
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as stream:
            line = stream.read(_LONGEST)
        folder = printable(os.readlink(b"/proc/%d/cwd" % pid))
    except OSError:
        return None
    words = tuple(printable(word) for word in line.rstrip(b"\0").split(b"\0"))
    variables = environment.read(pid, (_VARIABLE,))
    return Client(process.unit, process.account, words, folder, _lineage(known, process), variables)


def _lineage(known: t.Mapping[int, Process], process: Process) -> t.FrozenSet[int]:
    """The process, and its parents as long as these are clients or shells. A job of cron's ends at cron."""
    found = {process.pid}
    for pid in process.ancestors[:_MAX_PARENTS]:
        if known[pid].name not in (*PROGRAMS, *_BETWEEN):
            break
        found.add(pid)
    return frozenset(found)


def with_units(
    containers: t.Sequence[Container], clients: t.Sequence[Client]
) -> t.Tuple[t.Tuple[Container, ...], t.Mapping[t.Tuple[str, t.Optional[int]], t.FrozenSet[int]]]:
    """The containers, those that a client runs with its unit; and whom the main process of that unit has to be among.

    A client of an account means that account's containers in units of that account's service manager, and root's means
    the system's.
    """
    answer: t.List[Container] = []
    mains: t.Dict[t.Tuple[str, t.Optional[int]], t.FrozenSet[int]] = {}
    for container in containers:
        mine = [
            (rank, client)
            for client in clients
            for rank in (_runs(client, container),)
            if rank
            and not container.unit
            and client.unit.user == container.user
            and client.account == (container.user or 0)
        ]
        best = max(mine, key=lambda one: one[0], default=None)
        if best is not None:
            mains[container.key] = best[1].lineage
        answer.append(container if best is None else container._replace(unit=best[1].unit.name))
    return tuple(answer), mains


def _runs(client: Client, container: Container) -> int:
    """Whether a client runs a container: 0 for no, else how sure that is."""
    at = next((n for n, word in enumerate(client.words[:3]) if word.rpartition("/")[2] in PROGRAMS), None)
    if at is None or not container.asked:
        return 0
    program, rest = client.words[at].rpartition("/")[2], client.words[at + 1 :]
    if program == "conmon":
        return 3 if container.id in rest else 0
    if program == _COMPOSE:
        return _composes(client, rest, container)
    verb = next((n for n, word in enumerate(rest) if word in (*_RUNS, *_STARTS, "compose")), None)
    if verb is None or (container.engine == "podman") != (program == "podman"):
        return 0
    if rest[verb] == "compose":
        return _composes(client, rest[verb + 1 :], container)
    said = rest[verb + 1 :]
    if rest[verb] in _STARTS:
        return 3 if any(_names(word, container) for word in said) else 0
    options = run_options(said)
    if options.get("--name") == container.name and container.name:
        return 3
    return 3 if _read(client, options.get("--cidfile", "")).strip() == container.id.encode("ascii") else 0


def _names(word: str, container: Container) -> bool:
    return word == container.name or (len(word) >= 12 and container.id.startswith(word))


def run_options(words: t.Sequence[str]) -> t.Dict[str, str]:
    """The options of ``docker run``. What follows the image belongs to the container's own command."""
    found: t.Dict[str, str] = {}
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "--":
        name, equals, value = words[at].partition("=")
        at += 1
        if name.startswith("--"):
            if not equals and name not in _FLAGS and at < len(words):
                value = words[at]
                at += 1
        elif not _SHORT_FLAGS.issuperset(name[1:]) and len(name.lstrip("-").lstrip("dit")) < 2 and not equals:
            # -p 80:80, -itp 80:80; in -p80:80 the value is there already
            at += 1
        found.setdefault(name, value)
    return found


def _composes(client: Client, words: t.Sequence[str], container: Container) -> int:
    """Whether ``compose up`` runs this container, by project, and by service where it names some."""
    if not container.project or not container.service:
        return 0
    up = next((n for n, word in enumerate(words) if word in ("up", "run", "start")), None)
    if up is None:
        return 0
    options: t.Dict[str, str] = {}
    for word, after in zip(words[:up], words[1 : up + 1]):
        name, equals, value = word.partition("=")
        if name.startswith("-"):
            options.setdefault(name, value if equals else after)
    files, folder = _place(client, options)
    if _project(client, options, files, folder) != container.project:
        return 0
    # Project and service are labels, which an image may bring. The name of its container no image can choose.
    stems = tuple(container.project + joint + container.service + joint for joint in "-_")
    named = rb"^[ \t]*container_name:[ \t]*[\"']?%s[\"']?[ \t]*$" % re.escape(container.name.encode("utf-8"))
    if not container.name.startswith(stems) and not any(re.search(named, one, re.MULTILINE) for one in files):
        return 0
    chosen = [word for word in words[up + 1 :] if not word.startswith("-")]
    return 3 if container.service in chosen else 1 if chosen else 2


def _place(client: Client, options: t.Mapping[str, str]) -> t.Tuple[t.List[bytes], str]:
    """The compose files, and the folder that a project is called by."""
    file = options.get("-f") or options.get("--file")
    directory = options.get("--project-directory")
    if file:
        path = os.path.join(client.folder, file)
        return [_read(client, path)], os.path.join(client.folder, directory) if directory else os.path.dirname(path)
    folder = os.path.join(client.folder, directory) if directory else client.folder
    here = folder
    while here not in ("", "/"):
        files = [_read(client, os.path.join(here, name)) for name in _FILES]
        if any(files):
            return [one for one in files if one], here
        here = os.path.dirname(here)
    return [], folder


def _project(client: Client, options: t.Mapping[str, str], files: t.Sequence[bytes], folder: str) -> str:
    said = options.get("-p") or options.get("--project-name")
    if said:
        return said
    variable = client.variables.get(_VARIABLE, b"")
    setting = _SETTING.search(_read(client, os.path.join(folder, ".env")))
    named = next((match for match in map(_NAME.search, files) if match), None)
    for match in (setting, named):
        variable = variable or (match.group(1) if match else b"")
    if variable:
        return printable(variable)
    base = os.path.basename(os.path.normpath(folder)).lower()
    return _NOT_IN_A_PROJECT.sub("", base).lstrip("_-")


def _read(client: Client, path: str) -> bytes:
    """A file that a client of root's names. Those of an account are not opened: its clients are known by their options."""
    if not path or client.account not in evidence.accounts():
        return b""
    return evidence.read(os.path.normpath(os.path.join(client.folder, path))) or b""
