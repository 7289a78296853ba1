# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that a supervisor would start again. Private to harbormaster.ports: not an interface for other collections.

A supervisor is the parent, or a farther ancestor, of what it starts; only monit is none: what it has started belongs to
PID 1, and its configuration names the pid files. Each is asked by its own command, and as the account that it runs as: its
configuration may name code, which must not run with more rights than the supervisor itself has. Commands that have
changed since these versions were read: supervisor 4.2, runit 2.1, s6 2.11, daemontools 0.76, pm2 5 and 6, monit 5.33.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Blind, Process, Supervised

# Seconds for each question. pm2 is a whole Node.js that has to start.
PATIENCE = 5.0
PM2_PATIENCE = 20.0

Environment = t.Tuple[t.Tuple[str, str], ...]
_MONIT_PID_FILES = ("/run/monit.pid", "/var/run/monit.pid")
_MONIT_FILES = ("/etc/monit/monitrc", "/etc/monitrc")


class Asked:
    """The supervisors of some holders, which are being asked from the moment this is made."""

    def __init__(
        self, processes: t.Mapping[int, Process], holders: t.AbstractSet[int], stopping: bool, clock: Clock
    ) -> None:
        self._clock = clock
        self._question: t.Any = None
        if any(map(os.path.exists, _MONIT_PID_FILES)) or any(map(_asker, processes.values())):
            # Loaded here, and a thread begun, only where there is somebody to ask.
            from ansible_collections.harbormaster.ports.plugins.module_utils._linux.together import Question

            self._question = Question(lambda: supervised(processes, holders, stopping))

    def answers(self) -> t.Tuple[t.Mapping[int, Supervised], t.Tuple[Blind, ...]]:
        """pid -> its supervisor, and which could not be asked."""
        found = self._question.answer(self._clock) if self._question is not None else {}
        if found is None:
            return {}, (Blind("supervisor", "the supervisors did not answer within the time of a look"),)
        return found, ()


def asked(
    processes: t.Mapping[int, Process],
    holders: t.AbstractSet[int],
    stopping: bool,
    clock: Clock,
    may_ask: bool,
) -> Asked:
    """Begin to ask the supervisors of the holders."""
    del may_ask
    return Asked(processes, holders, stopping, clock)


class Told(t.NamedTuple):
    """What a supervisor says of one of its programs.

    :param pid: 0 when it does not run.
    :param pids: all that stop with it.
    """

    name: str
    pid: int
    pids: t.Tuple[int, ...] = ()


def supervised(
    processes: t.Mapping[int, Process], holders: t.AbstractSet[int], stopping: bool
) -> t.Dict[int, Supervised]:
    """pid -> its supervisor, for those of the holders that have one.

    :param processes: the holders and all of their ancestors.
    :param stopping: also find out what only matters to who wants to stop them: whether they start with their supervisor.
    """
    found: t.Dict[int, Supervised] = {}
    known: t.Dict[t.Tuple[int, int], Supervised] = {}
    for pid in sorted(holders):
        process = processes.get(pid)
        if process is None or process.container is not None or pid <= 1:
            continue
        child = process
        for above in (pid, *process.ancestors):
            candidate = processes.get(above)
            asker = _asker(candidate) if candidate is not None and above > 1 else None
            if candidate is not None and asker is not None and (above != pid or candidate.name.startswith("PM2 ")):
                key = (above, child.pid)
                if key not in known:
                    known[key] = asker(candidate, child, stopping)
                found[pid] = known[key]
                break
            child = candidate or child
    rest = [pid for pid in sorted(holders) if pid > 1 and pid not in found and pid in processes]
    if rest:
        found.update(_by_monit(processes, rest))
    return found


# supervisord ------------------------------------------------------------------------------------------------------

# "web:web_00    RUNNING   pid 1234, uptime 0:00:05"
_SUPERVISOR_STATUS = re.compile(r"^(\S+)\s+[A-Z]+\s+pid (\d+),", re.MULTILINE)
# "web:web_00    in use    auto      999:999"
_SUPERVISOR_AVAIL = re.compile(r"^(\S+)\s+(?:in use|avail)\s+(auto|manual)\b", re.MULTILINE)


def parse_supervisor_status(text: str) -> t.List[Told]:
    """Understand ``supervisorctl status``: the programs that run."""
    return [Told(name, int(pid)) for name, pid in _SUPERVISOR_STATUS.findall(text)]


def parse_supervisor_avail(text: str) -> t.Dict[str, bool]:
    """Understand ``supervisorctl avail``: name -> whether supervisord starts it with itself."""
    return {name: start == "auto" for name, start in _SUPERVISOR_AVAIL.findall(text)}


def supervisord_words(arguments: t.Sequence[str], folder: str) -> t.List[str]:
    """How to call supervisorctl for a supervisord with this command line.

    :param arguments: of supervisord; a script of Python, so its own path is behind the interpreter's.
    :param folder: its working directory, which a relative path in there means.
    """
    script = next((word for word in arguments[:3] if word.rpartition("/")[2].startswith("supervisord")), "")
    beside = script[: -len("supervisord")] + "supervisorctl" if script.endswith("/supervisord") else "supervisorctl"
    for number, word in enumerate(arguments):
        value = ""
        if word in ("-c", "--configuration") and number + 1 < len(arguments):
            value = arguments[number + 1]
        elif word.startswith("--configuration="):
            value = word.partition("=")[2]
        elif word.startswith("-c") and len(word) > 2:
            value = word[2:]
        if value:
            return [beside, "-c", os.path.join(folder, value)]
    return [beside]


def _supervisord(supervisor: Process, child: Process, stopping: bool) -> Supervised:
    base = Supervised("supervisord", supervisor.pid, child=child.pid, user=_other_user(supervisor))
    words = supervisord_words(_arguments(supervisor.pid), _folder(supervisor.pid) or "/")
    text, why = _ask([*words, "status"], base.user)
    told = next((one for one in parse_supervisor_status(text) if one.pid == child.pid), None)
    if told is None:
        return base._replace(why=why or "supervisorctl status does not list pid %d" % child.pid)
    starts = parse_supervisor_avail(_ask([*words, "avail"], base.user)[0]) if stopping else {}
    return base._replace(
        program=told.name,
        stop=(*words, "stop", told.name),
        start=(*words, "start", told.name),
        returns_at_boot=starts.get(told.name),
    )


# runit, s6, daemontools: a supervisor for each service directory, which is its working directory -----------------------

# sv: "run: web: (pid 12) 5s", s6-svstat: "up (pid 12 pgid 12) 5 seconds", svstat: "web: up (pid 12) 5 seconds"
_SERVICE_PID = re.compile(r"\(pid (\d+)[) ]")


def parse_service_pid(text: str) -> int:
    """The pid out of the answer of ``sv status``, ``s6-svstat`` and ``svstat``; 0 when the service is down."""
    found = _SERVICE_PID.search(text)
    return int(found.group(1)) if found else 0


def _directory(
    name: str, supervisor: Process, child: Process, ask: t.Sequence[str], stop: t.Sequence[str], start: t.Sequence[str]
) -> Supervised:
    """A service directory's supervisor. Its words end where the directory follows."""
    folder = _folder(supervisor.pid)
    base = Supervised(name, supervisor.pid, child=child.pid, user=_other_user(supervisor))
    if not folder:
        return base._replace(why="its service directory can't be read")
    base = base._replace(program=folder.rstrip("/").rpartition("/")[2])
    text, why = _ask([*ask, folder], base.user)
    if parse_service_pid(text) != child.pid:
        return base._replace(why=why or "%s does not tell of pid %d" % (ask[0], child.pid))
    return base._replace(
        stop=(*stop, folder), start=(*start, folder), returns_at_boot=not os.path.exists(os.path.join(folder, "down"))
    )


def _runit(supervisor: Process, child: Process, stopping: bool) -> Supervised:
    del stopping
    return _directory("runit", supervisor, child, ["sv", "status"], ["sv", "-w", "30", "down"], ["sv", "up"])


def _s6(supervisor: Process, child: Process, stopping: bool) -> Supervised:
    del stopping
    return _directory("s6", supervisor, child, ["s6-svstat"], ["s6-svc", "-d"], ["s6-svc", "-u"])


def _daemontools(supervisor: Process, child: Process, stopping: bool) -> Supervised:
    del stopping
    return _directory("daemontools", supervisor, child, ["svstat"], ["svc", "-d"], ["svc", "-u"])


# pm2 --------------------------------------------------------------------------------------------------------------


class Pm2App(t.NamedTuple):
    """One process of pm2: what ``pm2 jlist`` says of it."""

    number: int
    name: str
    pid: int
    cluster: bool


def parse_pm2(text: str) -> t.List[Pm2App]:
    """Understand ``pm2 jlist``: JSON, behind lines of chatter (a new version, a daemon that was started)."""
    import json

    for start in [found.start() for found in re.finditer(r"^\[", text, re.MULTILINE)]:
        try:
            entries = json.loads(text[start:])
        except (ValueError, RecursionError):
            continue
        apps = []
        for entry in entries if isinstance(entries, list) else ():
            if not isinstance(entry, dict) or not isinstance(entry.get("pm_id"), int):
                continue
            env = entry.get("pm2_env")
            mode = env.get("exec_mode") if isinstance(env, dict) else ""
            pid = entry.get("pid")
            apps.append(
                Pm2App(
                    entry["pm_id"],
                    str(entry.get("name") or entry["pm_id"]),
                    pid if isinstance(pid, int) else 0,
                    mode in ("cluster_mode", "cluster"),
                )
            )
        return apps
    return []


def _pm2(supervisor: Process, child: Process, stopping: bool) -> Supervised:
    """An app of pm2. In its cluster mode the daemon itself holds the socket, for all workers of the app."""
    del stopping
    said = dict(word.partition("=")[::2] for word in _words("/proc/%d/environ" % supervisor.pid))
    environment = tuple((name, said[name]) for name in ("HOME", "PATH", "PM2_HOME") if said.get(name))
    base = Supervised("pm2", supervisor.pid, child=child.pid, user=_other_user(supervisor), environment=environment)
    text, why = _ask(["pm2", "jlist"], base.user, environment, PM2_PATIENCE)
    apps = parse_pm2(text)
    if child.pid == supervisor.pid:
        names = sorted({app.name for app in apps if app.cluster and app.pid})
        if len(names) != 1:
            why = why or "it serves %d apps in cluster mode from one process" % len(names)
            return base._replace(child=0, why=why)
        mine = [app for app in apps if app.cluster and app.name == names[0]]
        pids = tuple(app.pid for app in mine if app.pid)
        return base._replace(
            program=names[0], child=0, stop=("pm2", "stop", names[0]), start=("pm2", "start", names[0]), stops=pids
        )
    app = next((one for one in apps if one.pid == child.pid), None)
    if app is None:
        return base._replace(why=why or "pm2 jlist does not list pid %d" % child.pid)
    number = str(app.number)
    return base._replace(program=app.name, stop=("pm2", "stop", number), start=("pm2", "start", number))


# monit ------------------------------------------------------------------------------------------------------------

_MONIT_PROCESS = re.compile(r"^Process '(.+)'\s*$((?:\n[ \t]+.*)*)", re.MULTILINE)
_MONIT_PID = re.compile(r"^\s+pid\s+(\d+)\s*$", re.MULTILINE)
_MONIT_MODE = re.compile(r"^\s+on reboot\s+(\S+)", re.MULTILINE)
_MONIT_CHECK = re.compile(
    r"^\s*check\s+process\s+\"?([^\s\"]+)\"?\s+(?:with\s+)?pidfile\s+\"?([^\s\"]+)\"?", re.MULTILINE | re.IGNORECASE
)
_MONIT_INCLUDE = re.compile(r"^\s*include\s+\"?([^\s\"]+)\"?", re.MULTILINE | re.IGNORECASE)


def parse_monit_status(text: str) -> t.List[Told]:
    """Understand ``monit -B status``: the processes that it watches and that run."""
    found = []
    for name, body in _MONIT_PROCESS.findall(text):
        pid = _MONIT_PID.search(body)
        if pid:
            found.append(Told(name, int(pid.group(1))))
    return found


def parse_monit_checks(text: str) -> t.Dict[str, str]:
    """Understand monitrc(5) as far as needed: name -> pid file of each ``check process``."""
    return dict(_MONIT_CHECK.findall(text))


def _by_monit(processes: t.Mapping[int, Process], holders: t.Sequence[int]) -> t.Dict[int, Supervised]:
    """The holders that monit watches, or whose ancestors it does. Nearly free where no monit runs."""
    monit = next((pid for pid in map(_pid_in, _MONIT_PID_FILES) if pid and _name_of(pid) == "monit"), 0)
    if not monit:
        return {}
    words = monit_words(_arguments(monit), _folder(monit) or "/")
    text, why = _ask([*words, "-B", "status"], None)
    watched = {told.pid: told.name for told in parse_monit_status(text)}
    answers = bool(watched) or (not why and "Monit" in text)
    if not answers:
        why = why or "its interface is switched off (set httpd)"
    # The pid files tell what it would start again where its interface is off or refuses, and of a program that it has
    # just started: its status has a new pid only after the next of its rounds, which may be minutes apart.
    checks = _monit_checks(words[2:3] or _MONIT_FILES)
    for name, pid in ((name, _pid_in(path)) for name, path in checks.items()):
        if pid:
            watched.setdefault(pid, name)
    found = {}
    for pid in holders:
        process = processes[pid]
        child = next((one for one in (pid, *process.ancestors) if one > 1 and one in watched), 0)
        if not child:
            continue
        name = watched[child]
        entry = Supervised("monit", monit, name, child)
        if answers:
            entry = entry._replace(stop=(*words, "stop", name), start=(*words, "start", name))
        found[pid] = entry._replace(why="" if answers else why)
    return found


def monit_words(arguments: t.Sequence[str], folder: str) -> t.List[str]:
    """How to call monit for a daemon with this command line: with the same configuration, in which its interface is.

    :param folder: the daemon's working directory, which a relative path in there means.
    """
    for number, word in enumerate(arguments):
        if word == "-c" and number + 1 < len(arguments):
            return ["monit", "-c", os.path.join(folder, arguments[number + 1])]
    return ["monit"]


def _monit_checks(files: t.Sequence[str]) -> t.Dict[str, str]:
    import glob

    texts = [_read(path).decode("utf-8", "replace") for path in files]
    for text in list(texts):
        for pattern in _MONIT_INCLUDE.findall(text):
            texts += [_read(path).decode("utf-8", "replace") for path in sorted(glob.glob(pattern))]
    found: t.Dict[str, str] = {}
    for text in texts:
        found.update(parse_monit_checks(text))
    return found


# What all of them need --------------------------------------------------------------------------------------------

Asker = t.Callable[[Process, Process, bool], Supervised]
_ASKERS: t.Tuple[t.Tuple[str, Asker], ...] = (
    ("supervisord", _supervisord),
    ("runsv", _runit),
    ("s6-supervise", _s6),
    ("supervise", _daemontools),
)


def _asker(process: Process) -> t.Optional[Asker]:
    """What asks this process, when it is a supervisor."""
    if process.name.startswith("PM2 "):
        return _pm2
    names = (process.name, (process.exe or "").rpartition("/")[2], process.whole_name)
    return next((asker for name, asker in _ASKERS if name in names), None)


def _ask(
    argv: t.Sequence[str], user: t.Optional[int], environment: Environment = (), patience: float = PATIENCE
) -> t.Tuple[str, str]:
    """What a command says, and why it says nothing of use."""
    from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command

    answer = command.run(argv, patience, uid=user, environment=dict(environment))
    return answer.stdout, answer.problem


def _other_user(supervisor: Process) -> t.Optional[int]:
    """The account as which its commands have to run, None when that is our own."""
    return supervisor.uid if supervisor.uid != os.geteuid() else None


def _arguments(pid: int) -> t.List[str]:
    return _words("/proc/%d/cmdline" % pid)


def _words(path: str) -> t.List[str]:
    return [os.fsdecode(word) for word in _read(path).split(b"\0") if word]


def _folder(pid: int) -> str:
    """The working directory of a process; empty when it can't be read."""
    try:
        return os.readlink("/proc/%d/cwd" % pid)
    except OSError:
        return ""


def _pid_in(path: str) -> int:
    words = _read(path).split()
    return int(words[0]) if words and words[0].isdigit() else 0


def _name_of(pid: int) -> str:
    return printable(_read("/proc/%d/comm" % pid).strip())


def _read(path: str) -> bytes:
    """Content of a small file; empty when there is none, or none for us."""
    try:
        with open(path, "rb") as stream:
            return stream.read(1 << 20)
    except OSError:
        return b""
