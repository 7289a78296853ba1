# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that a supervisor would start again. Private to harbormaster.ports: not an interface for other collections.

A supervisor is the parent, or a farther ancestor, of what it starts; only monit is none. Whether a process is one is
evidence when it is root's by its program (`Process.proven`): then its command is run as ourselves, if that is proven too.
All else is a program of the account that has started it. It is asked only in a run that changes things, as that account,
and what it says counts for processes of that account alone; what it calls itself means nothing for anybody else's.
"""

from __future__ import annotations

import os
import stat
import typing as t
from functools import partial

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Blind, Process, Supervised
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import supervisor_talk
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.supervisor_talk import Group, Talk

# What only asking takes is loaded by the questions: most holders have nobody to ask.

# Of one account, so many supervisors are asked at a time, and so many accounts: each of them costs processes and threads.
_AT_ONCE = 8
_MOST_ACCOUNTS = 16
_TOO_LATE = "it did not answer in time"

Ask = t.Callable[[Group, Talk], t.Dict[int, Supervised]]


class Asked:
    """The supervisors of some holders, which are being asked from the moment this is made."""

    def __init__(self, groups: t.Sequence[Group], members: t.Mapping[int, t.Tuple[int, int]], clock: Clock) -> None:
        self._groups = groups
        self._members = members
        self._clock = clock
        self._found: t.Dict[t.Tuple[int, int], Supervised] = {}
        self._questions: t.List[t.Any] = []
        self._monit: t.Any = None

    def begin(self, queues: t.Sequence[t.List[Group]], talk: Talk) -> None:
        """Ask these, each queue by as many at a time as one account may have."""
        # Loaded here, and threads begun, only where there is somebody to ask.
        from ansible_collections.harbormaster.ports.plugins.module_utils._linux.together import Question

        def work(queue: t.List[Group]) -> bool:
            while queue and not talk.clock.over:
                try:
                    group = queue.pop(0)
                except IndexError:
                    # Another one has taken the last.
                    break
                told = _KINDS[group.name](group, talk)
                self._found.update(((group.supervisor.pid, child), one) for child, one in told.items())
            return True

        for queue in queues:
            for _number in range(min(_AT_ONCE, len(queue))):
                self._questions.append(Question(partial(work, queue)))

    def begin_monit(self, processes: t.Mapping[int, Process], rest: t.Sequence[int], talk: Talk) -> None:
        """Ask monit of these holders."""
        from ansible_collections.harbormaster.ports.plugins.module_utils._linux.together import Question
        from ansible_collections.harbormaster.ports.plugins.module_utils._observe import monit

        self._monit = Question(lambda: monit.watched(processes, rest, talk))

    def known(self, told: t.Mapping[int, Supervised], supervisor: int) -> None:
        """What is said of a supervisor's children without asking it."""
        self._found.update(((supervisor, child), one) for child, one in told.items())

    def answers(self) -> t.Tuple[t.Mapping[int, Supervised], t.Tuple[Blind, ...]]:
        """pid -> its supervisor, and which could not be asked."""
        for question in self._questions:
            question.answer(self._clock)
        told = dict(self._found)
        blind: t.Tuple[Blind, ...] = ()
        for group in self._groups:
            for child, entry in group.each(_TOO_LATE).items():
                told.setdefault((group.supervisor.pid, child), entry)
        found = {pid: told[key] for pid, key in self._members.items()}
        late = sorted({"%s (pid %d)" % (one.supervisor, one.pid) for one in found.values() if one.why == _TOO_LATE})
        if late:
            blind += (Blind("supervisor", "%s did not answer in time" % ", ".join(late), len(late)),)
        if self._monit is not None:
            watched = self._monit.answer(self._clock)
            if watched is None:
                blind += (Blind("supervisor", "monit did not answer in time", advice="look at monit status"),)
            else:
                found.update(watched)
        return found, blind


def asked(
    processes: t.Mapping[int, Process],
    holders: t.AbstractSet[int],
    stopping: bool,
    clock: Clock,
    may_ask: bool,
) -> Asked:
    """Begin to ask the supervisors of those of the holders that have one.

    :param processes: the holders and all of their ancestors.
    :param stopping: also find out what only matters to who wants to stop them.
    :param clock: of the look, which bounds all of them together.
    :param may_ask: supervisors of other accounts may be asked too, as these accounts.
    """
    children: t.Dict[t.Tuple[str, int], t.Dict[int, Process]] = {}
    members: t.Dict[int, t.Tuple[int, int]] = {}
    for pid in sorted(holders):
        process = processes.get(pid)
        above = _above(processes, process) if process is not None and pid > 1 else None
        if above is not None:
            name, supervisor, child = above
            children.setdefault((name, supervisor.pid), {})[child.pid] = child
            members[pid] = (supervisor.pid, child.pid)
    groups = [
        Group(name, processes[pid], tuple(below.values()), _user(processes[pid], name))
        for (name, pid), below in sorted(children.items(), key=lambda one: one[0][1])
    ]
    talk = Talk(clock, stopping)
    answer = Asked(groups, members, clock)
    queues: t.Dict[t.Optional[int], t.List[Group]] = {}
    for group in groups:
        if group.user is None and not _proven(group.supervisor, group.name):
            why = "it is not asked: others than root may have made it what it is"
            answer.known(group.each(why), group.supervisor.pid)
        elif group.user is not None and not may_ask:
            told = {pid: one._replace(unasked=True) for pid, one in group.each("not asked").items()}
            answer.known(told, group.supervisor.pid)
        else:
            queues.setdefault(group.user, []).append(group)
    chosen = sorted(queues, key=lambda user: -1 if user is None else user)[:_MOST_ACCOUNTS]
    if chosen:
        answer.begin([queues[user] for user in chosen], talk)
    rest = [pid for pid in sorted(holders) if pid > 1 and pid in processes and pid not in members]
    if rest and any(map(os.path.lexists, supervisor_talk.MONIT_PID_FILES)):
        answer.begin_monit(processes, rest, talk)
    return answer


def _above(processes: t.Mapping[int, Process], process: Process) -> t.Optional[t.Tuple[str, Process, Process]]:
    """The nearest supervisor of a process: its kind, itself, and the child of it that the process is or comes from."""
    if process.container is not None:
        return None
    child = process
    for pid in (process.pid, *process.ancestors):
        candidate = processes.get(pid)
        if candidate is None or pid <= 1:
            continue
        name = _kind(candidate)
        # pm2's daemon has the sockets of its apps in cluster mode itself.
        if name is not None and (pid != process.pid or name == "pm2") and _concerns(candidate, name, child):
            return name, candidate, child
        child = candidate
    return None


def _kind(process: Process) -> t.Optional[str]:
    """What supervisor a process is by its names, which are claims; None for none."""
    names = (process.name, (process.exe or "").rpartition("/")[2], process.whole_name, *process.proven)
    if process.name.startswith("PM2 "):
        return "pm2"
    return next((kind for name, kind in _NAMES if name in names), None)


def _proven(process: Process, kind: str) -> bool:
    """Whether it is that supervisor by evidence."""
    if kind == "pm2":
        return any(name.startswith("PM2 ") for name in process.proven)
    return any(name in process.proven for name, of in _NAMES if of == kind)


def _concerns(supervisor: Process, kind: str, child: Process) -> bool:
    """Whether it can be the supervisor of this child: root's may be of anybody's, any other account's of its own alone."""
    return _proven(supervisor, kind) or supervisor.account in evidence.accounts() or supervisor.account == child.account


def _user(supervisor: Process, kind: str) -> t.Optional[int]:
    """The account as which it is asked; None for ourselves."""
    if _proven(supervisor, kind) or supervisor.account in evidence.accounts():
        return None
    return supervisor.account


# supervisord ------------------------------------------------------------------------------------------------------


def _supervisord(group: Group, talk: Talk) -> t.Dict[int, Supervised]:
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import supervisor_words

    words, why = supervisorctl(group)
    if why:
        return group.each(why)
    text, why = talk.ask([*words, "status"], group.user)
    told = {one.pid: one.name for one in supervisor_words.parse_supervisor_status(text)}
    listed = [child for child in group.children if child.pid in told]
    starts: t.Dict[str, bool] = {}
    if talk.stopping and listed:
        starts = supervisor_words.parse_supervisor_avail(talk.ask([*words, "avail"], group.user)[0])
    found = {}
    for child in group.children:
        name = told.get(child.pid)
        if name is None:
            why_not = why or "supervisorctl status does not list pid %d" % child.pid
            found[child.pid] = group.base(child)._replace(why=why_not)
            continue
        found[child.pid] = group.base(child)._replace(
            program=name,
            stop=(*words, "stop", name),
            start=(*words, "start", name),
            returns_at_boot=starts.get(name),
        )
    return found


def supervisorctl(group: Group) -> t.Tuple[t.List[str], str]:
    """How to call supervisorctl for a supervisord, and why it can't be called.

    As ourselves only what is proven is run: the program beside supervisord's, or that of our PATH; and only with a
    configuration that is proven, as it may name code.
    """
    from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import supervisor_words

    pid = group.supervisor.pid
    arguments = supervisor_talk.arguments(pid)
    script = supervisor_words.supervisord_script(arguments)
    beside = script[: -len("supervisord")] + "supervisorctl" if script.endswith("/supervisord") else ""
    if group.user is None and beside:
        beside = evidence.find(beside, command.PATH) or ""
    configuration = supervisor_words.supervisord_configuration(arguments, supervisor_talk.folder(pid) or "/")
    if group.user is None and configuration and evidence.read(configuration) is None:
        return [], "others than root may write its configuration %s" % configuration
    return [beside or "supervisorctl", *(["-c", configuration] if configuration else [])], ""


# runit, s6, daemontools: a supervisor for each service directory, which is its working directory -----------------------


class _Tools(t.NamedTuple):
    """Commands that end where the directory follows."""

    ask: t.Tuple[str, ...]
    stop: t.Tuple[str, ...]
    start: t.Tuple[str, ...]


_TOOLS = {
    "runit": _Tools(("sv", "status"), ("sv", "-w", "30", "down"), ("sv", "up")),
    "s6": _Tools(("s6-svstat",), ("s6-svc", "-d"), ("s6-svc", "-u")),
    "daemontools": _Tools(("svstat",), ("svc", "-d"), ("svc", "-u")),
}


def _directory(group: Group, talk: Talk) -> t.Dict[int, Supervised]:
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import supervisor_words

    tools = _TOOLS[group.name]
    folder = supervisor_talk.folder(group.supervisor.pid)
    if not folder:
        return group.each("its service directory can't be read")
    why = _unproven(folder) if group.user is None else ""
    if why:
        return group.each(why)
    program = folder.rstrip("/").rpartition("/")[2]
    text, why = talk.ask([*tools.ask, folder], group.user)
    pid = supervisor_words.parse_service_pid(text)
    found = {}
    for child in group.children:
        base = group.base(child)._replace(program=program)
        if pid != child.pid:
            base = base._replace(why=why or "%s does not tell of pid %d" % (tools.ask[0], child.pid))
        else:
            base = base._replace(
                stop=(*tools.stop, folder), start=(*tools.start, folder), returns_at_boot=_boot(folder)
            )
        found[child.pid] = base
    return found


# What the tools open in "supervise" of a service directory: they write to a FIFO and read the file (as runit's sv, s6-svc and
# daemontools' svc do).
_OPENED = (("control", stat.S_IFIFO), ("ok", stat.S_IFIFO), ("status", stat.S_IFREG))


def _unproven(folder: str) -> str:
    """Why its tools are not started in a service directory as ourselves; empty when they may be.

    They follow links and write to what they find, so others than root may have no word in any folder that they go to.
    ``supervise`` may be a link of root's to another place.
    """
    # A logger has a service directory of its own in there, which its tools look at too.
    log = os.path.join(folder, "log")
    supervise = [os.path.join(place, "supervise") for place in (folder, log)]
    for place in (folder, supervise[0], *filter(os.path.lexists, (log, supervise[1]))):
        if evidence.folder(place) is None:
            return "others than root may write %s" % place
    for path, kind in ((os.path.join(place, name), kind) for place in supervise for name, kind in _OPENED):
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            # The tool says so in its own words.
            continue
        if stat.S_IFMT(mode) != kind:
            return "%s is not what a supervisor makes there" % path
    return ""


def _boot(folder: str) -> bool:
    """Whether a service starts with its supervisor: it does unless there is a file ``down`` in its directory."""
    return not os.path.lexists(os.path.join(folder, "down"))


def _pm2(group: Group, talk: Talk) -> t.Dict[int, Supervised]:
    # Loaded here: few hosts have one.
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import pm2

    return pm2.ask(group, talk)


# name of the process -> what people call the supervisor
_NAMES = (
    ("supervisord", "supervisord"),
    ("runsv", "runit"),
    ("s6-supervise", "s6"),
    ("supervise", "daemontools"),
)
_KINDS: t.Mapping[str, Ask] = {
    "supervisord": _supervisord,
    "runit": _directory,
    "s6": _directory,
    "daemontools": _directory,
    "pm2": _pm2,
}
