# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd says of units. Private to harbormaster.ports: not an interface for other collections.

Names come from control groups, which cost nothing; what a manager knows about them is asked with one `systemctl show` a
manager for all of them, and one more for each ring of units around these (what triggers them, what stops with them).
The properties and their words are those of systemctl(1), org.freedesktop.systemd1(5), systemd.unit(5) and
systemd.socket(5); a property that a version does not know is simply not there.
"""

from __future__ import annotations

import os
import re
import socket
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command, evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import whole_number
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    TCP,
    UDP,
    Blind,
    Endpoint,
    Socket,
    Unit,
    UnitFacts,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import cgroups

# Seconds for each question.
PATIENCE = 5.0
# Units of units of units: more rings than any sane chain of dependencies has.
_MOST_RINGS = 24
_LONGEST_LINE = 1000  # names on one command line
_CGROUP_ROOTS = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup", "/sys/fs/cgroup/unified")
# A unit may have groups below its own, as many as it likes.
_MOST_GROUPS = 4096

_PROPERTIES = (
    "Id,Names,LoadState,ActiveState,SubState,MainPID,InvocationID,Restart,RestartUSec,TimeoutStopUSec,UnitFileState,WantedBy,"
    "RequiredBy,UpheldBy,TriggeredBy,Triggers,BoundBy,ConsistsOf,PropagatesStopTo,Listen,Accept,NFileDescriptorStore,"
    "RefuseManualStop,ControlGroup,SourcePath,ControlPID,KillMode,SendSIGKILL,RemainAfterExit,BindToDevice,ExecStart,"
    "FragmentPath"
)
# "[::]:8080 (Stream)", "127.0.0.1:53 (Datagram)", "[fe80::1]:53%eth0 (Datagram)"; older versions have the zone inside.
_LISTEN = re.compile(
    r"(?<!\S)(?:\[(?P<six>[0-9a-fA-F:.]{2,64})(?:%(?P<inside>[^\]\s]{1,64}))?\]|(?P<four>[0-9]{1,3}(?:\.[0-9]{1,3}){3})|(?P<any>\*))"
    r":(?P<port>[0-9]{1,5})(?:%(?P<zone>\S{1,64}))? \((?P<kind>\w{1,32})\)"
)
_MAPPED = "::ffff:"
# VALID_CHARS of systemd's unit-name.c, and the types whose units can have processes, sockets, or start these. Names come from
# control groups and labels too: what is none would spoil the answer for all that is asked with it, or mean many.
_UNIT_NAME = re.compile(
    r"[A-Za-z0-9:_.\\@-]{1,240}\.(?:service|socket|target|device|mount|automount|swap|timer|path|slice|scope)\Z"
)
_NAME = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|\S+')
_ESCAPED = re.compile(r"\\(.)")
_SPAN = re.compile(r"(?<![0-9.])([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(us|ms|s|min|h|d|w|month|y)\b")
_SECONDS = {
    "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "month": 2629800.0,
    "y": 31557600.0,
}  # fmt: skip

Properties = t.Dict[str, t.List[str]]


def facts(
    units: t.Iterable[Unit],
    sockets_of: t.Iterable[t.Optional[int]],
    rows: t.Sequence[Socket] = (),
    clock: t.Optional[Clock] = None,
    may_ask: bool = False,
) -> t.Tuple[t.Dict[Unit, UnitFacts], t.Tuple[Blind, ...]]:
    """These units, and all that is tied to them by triggers and by being stopped together.

    :param units: what processes belong to, by their control groups.
    :param sockets_of: service managers (a user's uid, None for the system's) that hold sockets themselves: of these, the
        .socket units on the ports of ``rows`` are told too, and the services whose descriptors they keep.
    :param rows: the rows on the asked ports.
    :param clock: of the look, which bounds all of them together.
    :param may_ask: managers of other accounts may be asked too, as these accounts.
    :returns: what the managers told, and which of them could not be asked. A unit that its manager does not know is missing.
    """
    del may_ask
    clock = clock or Clock()
    names: t.Dict[t.Optional[int], t.Set[str]] = {user: set() for user in sockets_of}
    holding = set(names)
    for unit in units:
        names.setdefault(unit.user, set()).add(unit.name)
    found: t.Dict[Unit, UnitFacts] = {}
    blind: t.List[Blind] = []
    ports = {(row.protocol, row.port) for row in rows}

    def ask(user: t.Optional[int]) -> t.Union[t.Dict[Unit, UnitFacts], str]:
        try:
            return _of_manager(user, names[user], user in holding, ports, clock)
        except Unanswered as error:
            return str(error)

    users = sorted(names, key=lambda user: -1 if user is None else user)
    for user, told in zip(users, _side_by_side(ask, users, clock)):
        if isinstance(told, dict):
            found.update(told)
        else:
            blind.append(_unasked(user, told or "it did not answer in time"))
    return found, tuple(blind)


def _side_by_side(
    ask: t.Callable[[t.Optional[int]], t.Union[t.Dict[Unit, UnitFacts], str]],
    users: t.Sequence[t.Optional[int]],
    clock: Clock,
) -> t.Sequence[t.Union[t.Dict[Unit, UnitFacts], str, None]]:
    if len(users) < 2:
        # The common case needs no threads.
        return [ask(user) for user in users]
    from ansible_collections.harbormaster.ports.plugins.module_utils._linux.together import together

    return together([lambda user=user: ask(user) for user in users], clock)  # type: ignore[misc]


def parse_show(text: str) -> t.List[Properties]:
    """Understand ``systemctl show``: a block of name=value lines for each unit, an empty line between blocks."""
    blocks: t.List[Properties] = []
    for block in re.split(r"\n\s*\n", text):
        properties: Properties = {}
        for line in block.splitlines():
            name, equals, value = line.partition("=")
            if equals:
                properties.setdefault(name.strip(), []).append(value)
        if properties.get("Id", [""])[0]:
            blocks.append(properties)
    return blocks


def parse_names(text: str) -> t.Tuple[str, ...]:
    """Understand a list of units: a name with a backslash stands in quotes, and each backslash in it is a double one."""
    return tuple(
        _ESCAPED.sub(r"\1", match.group("quoted")) if match.group("quoted") is not None else match.group()
        for match in _NAME.finditer(text)
    )


def parse_timespan(text: str) -> t.Optional[float]:
    """Understand systemd.time(7)'s spans as systemctl prints them: ``1min 30s``; None for ``infinity`` and nonsense."""
    parts = _SPAN.findall(text)
    if not parts:
        return 0.0 if text.strip() == "0" else None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_listen(
    values: t.Iterable[str], device: str = "", index: t.Callable[[str], int] = lambda _zone: 0
) -> t.Tuple[Endpoint, ...]:
    """Where a .socket unit listens, TCP and UDP only: files, netlink, vsock and the like are left out.

    Addresses come as a row of the socket table has them: IPv4 for an IPv4-mapped one, and both families for ``*``.

    :param device: BindToDevice=, which holds for all of them.
    :param index: the index of an interface by its name or number, 0 for one that is not there (any more).
    """
    endpoints = []
    for value in values:
        for match in _LISTEN.finditer(value):
            protocol = {"Stream": TCP, "Datagram": UDP}.get(match.group("kind"))
            if not protocol:
                continue
            zone = match.group("zone") or match.group("inside") or device
            for address in (
                ("0.0.0.0", "::") if match.group("any") else (_plain(match.group("six") or match.group("four")),)
            ):
                endpoints.append(Endpoint(protocol, address, int(match.group("port")), index(zone) if zone else 0))
    return tuple(endpoints)


def _plain(address: str) -> str:
    """An address as the socket table is told."""
    if ":" not in address:
        return address
    try:
        text = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, address))
    except (OSError, ValueError):
        # None of an address: then it explains no row.
        return ""
    return text[len(_MAPPED) :] if text.startswith(_MAPPED) and "." in text else text


def _index(zone: str) -> int:
    """The index of an interface, by its name or its number."""
    if zone.isdigit():
        return whole_number(zone)
    try:
        return socket.if_nametoindex(zone)
    except OSError:
        return 0


def facts_of(properties: Properties, user: t.Optional[int]) -> UnitFacts:
    """One block of ``systemctl show`` as facts; without the pids, which are read elsewhere."""

    def text(name: str) -> str:
        return properties.get(name, [""])[0].strip()

    def words(*names: str) -> t.Tuple[str, ...]:
        # systemd keeps no order
        return tuple(
            sorted({word for name in names for value in properties.get(name, ()) for word in parse_names(value)})
        )

    def number(name: str) -> int:
        return whole_number(text(name))

    return UnitFacts(
        unit=Unit(text("Id"), user),
        active=text("ActiveState"),
        sub=text("SubState"),
        main_pid=number("MainPID"),
        invocation=text("InvocationID"),
        restart=text("Restart") or "no",
        restart_delay=parse_timespan(text("RestartUSec")) or 0.0,
        # units without the property, such as timers, stop at once
        stop_timeout=parse_timespan(text("TimeoutStopUSec")) if text("TimeoutStopUSec") else 0.0,
        file_state=text("UnitFileState"),
        wanted_by=words("WantedBy", "RequiredBy", "UpheldBy"),
        triggered_by=words("TriggeredBy"),
        triggers=words("Triggers"),
        stopped_with=words("RequiredBy", "BoundBy", "ConsistsOf", "PropagatesStopTo"),
        listens=parse_listen(properties.get("Listen", ()), text("BindToDevice"), _index),
        stored=number("NFileDescriptorStore"),
        manual_stop=text("RefuseManualStop") != "yes",
        control_pid=number("ControlPID"),
        names=words("Names"),
        kill_mode=text("KillMode") or "control-group",
        kills=text("SendSIGKILL") != "no",
        remains=text("RemainAfterExit") == "yes" and "/init.d/" not in text("SourcePath"),
        program=_program(text("ExecStart")),
    )


def _program(value: str) -> str:
    """The name of what an ExecStart= starts; of an interpreter, the name of the script."""
    # "{ path=/usr/bin/python3 ; argv[]=/usr/bin/python3 /usr/bin/salt-minion ; ignore_errors=no ; ..."
    words = value.partition("argv[]=")[2].partition(" ; ignore_errors=")[0].split()
    if not words:
        return ""
    name = words[0].rpartition("/")[2]
    return evidence.script(words).rpartition("/")[2] if evidence.INTERPRETERS.match(name) else name


def show(user: t.Optional[int], names: t.Sequence[str], clock: t.Optional[Clock] = None) -> t.List[Properties]:
    """What one service manager says of units and globs of units.

    :raises Unanswered: it did not answer; the words are a clause.
    """
    argv = ["systemctl", *(["--user"] if user is not None else []), "--no-pager", "show", "-p", _PROPERTIES, "--"]
    if user is not None and os.geteuid() not in (0, user):
        raise Unanswered("only that user and root may ask it")
    clock = clock or Clock()
    found: t.List[Properties] = []
    for start in range(0, len(names), _LONGEST_LINE):
        asked = names[start : start + _LONGEST_LINE]
        answer = command.run([*argv, *asked], clock.left(PATIENCE), uid=user)
        if answer.problem:
            # What was told before it broke off is a part of the list, and nobody knows which.
            raise Unanswered(answer.problem)
        blocks = parse_show(answer.stdout)
        told = {name for block in blocks for name in parse_names(" ".join(block["Id"] + block.get("Names", [])))}
        untold = next((name for name in asked if name not in told and "*" not in name), None)
        if untold is not None and len(blocks) < len(asked):
            raise Unanswered("it did not tell of %s" % untold)
        found += blocks
    return found


def is_name(text: str) -> bool:
    """Whether this is the name of one unit."""
    return bool(_UNIT_NAME.match(text))


class Unanswered(Exception):
    """A service manager did not answer. The words are a clause."""


class _Manager:
    """One service manager, and what it has said so far."""

    def __init__(self, user: t.Optional[int], clock: Clock) -> None:
        self.user = user
        self._clock = clock
        self.known: t.Dict[str, Properties] = {}
        self._missing: t.Set[str] = set()

    def ask(self, names: t.Iterable[str]) -> None:
        """Have all of these told, asking only for what was not told yet. Globs mean units that are loaded."""
        unknown = set(names).difference(self.known, self._missing)
        wanted = sorted(name for name in unknown if _UNIT_NAME.match(name.replace("*", "x")))
        self._missing.update(unknown.difference(wanted))
        if not wanted:
            return
        for properties in show(self.user, wanted, self._clock):
            if properties.get("LoadState", [""])[0] != "not-found":
                self.known[properties["Id"][0]] = properties
                for alias in parse_names(" ".join(properties.get("Names", ()))):
                    self.known.setdefault(alias, properties)
        self._missing.update(name for name in wanted if name not in self.known)

    def told(self, name: str) -> t.Optional[UnitFacts]:
        properties = self.known.get(name)
        return facts_of(properties, self.user) if properties is not None else None


def _of_manager(
    user: t.Optional[int],
    names: t.Set[str],
    holding: bool,
    ports: t.AbstractSet[t.Tuple[str, int]],
    clock: Clock,
) -> t.Dict[Unit, UnitFacts]:
    manager = _Manager(user, clock)
    manager.ask(sorted(name for name in names if "*" not in name) + (["*.socket", "*.service"] if holding else []))
    chosen = {told.unit.name: told for told in map(manager.told, names) if told is not None}
    if holding:
        for name in list(manager.known):
            told = manager.told(name)
            if told is not None and (told.stored or any((one.protocol, one.port) in ports for one in told.listens)):
                chosen[told.unit.name] = told
    # A unit that the manager does not know (any more) runs nothing, and manages nothing.
    gone = {
        Unit(name, user): UnitFacts(Unit(name, user), active="inactive") for name in names if name not in manager.known
    }
    ring = set(chosen)
    for _turn in range(_MOST_RINGS):
        ring = {name for one in ring for name in _around(manager, chosen[one])}.difference(chosen)
        manager.ask(ring)
        found = [told for told in map(manager.told, sorted(ring)) if told is not None]
        ring = {told.unit.name for told in found}.difference(chosen)
        chosen.update((told.unit.name, told) for told in found)
        if not ring:
            break
    else:
        raise Unanswered("too long a chain of units depends on %s" % ", ".join(sorted(names)[:3]))
    answer = dict(gone)
    for name, told in _with_instances(manager, chosen):
        properties = manager.known[name]
        answer[told.unit] = told._replace(pids=_pids(properties, user))
    return answer


def _around(manager: _Manager, told: UnitFacts) -> t.Tuple[str, ...]:
    """Names of the units that are tied to one; for a socket that accepts for itself, a glob of its instances too."""
    return told.triggered_by + told.triggers + told.stopped_with + _instances(manager, told)


def _instances(manager: _Manager, told: UnitFacts) -> t.Tuple[str, ...]:
    if manager.known[told.unit.name].get("Accept", ["no"])[0] != "yes":
        return ()
    return (told.unit.name[: -len(".socket")] + "@*.service",)


def _with_instances(manager: _Manager, chosen: t.Dict[str, UnitFacts]) -> t.List[t.Tuple[str, UnitFacts]]:
    """The chosen units; sockets that accept for themselves have their running instances among what they trigger."""
    answer = dict(chosen)
    for name, told in chosen.items():
        for glob in _instances(manager, told):
            stem = glob.partition("*")[0]
            running = sorted(one for one in manager.known if one.startswith(stem) and one.endswith(".service"))
            answer[name] = told._replace(triggers=tuple(dict.fromkeys(told.triggers + tuple(running))))
            found = (manager.told(one) for one in running)
            answer.update((instance.unit.name, instance) for instance in found if instance is not None)
    return list(answer.items())


def companions(pid: int) -> t.Tuple[int, ...]:
    """The processes in the control group of a process and in the groups below: its container's, where it has a group."""
    try:
        with open("/proc/%d/cgroup" % pid, "rb") as stream:
            return _pids_of_group(cgroups.root_of(stream.read()))
    except (OSError, MalformedData, Unanswered):
        # It has ended, or there are no control groups, or more than anybody needs.
        return ()


def _pids(properties: Properties, user: t.Optional[int]) -> t.Tuple[int, ...]:
    """The processes of a unit: those of its control group and of the groups below.

    What the manager of a user says is that user's word: it counts below the manager's own group alone.
    """
    path = properties.get("ControlGroup", [""])[0].strip()
    if user is not None and "/user@%d.service/" % user not in path:
        return ()
    return _pids_of_group(path)


def _pids_of_group(path: str) -> t.Tuple[int, ...]:
    if not path or path == "/" or ".." in path.split("/"):
        return ()
    for root in _CGROUP_ROOTS:
        folder = root + path
        if os.path.isdir(folder):
            return tuple(sorted(_processes_below(folder)))
    return ()


def _processes_below(folder: str) -> t.Set[int]:
    found: t.Set[int] = set()
    for number, (where, _folders, files) in enumerate(os.walk(folder)):
        if number >= _MOST_GROUPS:
            raise Unanswered("there are more than %d control groups below %s" % (_MOST_GROUPS, folder))
        if "cgroup.procs" not in files:
            continue
        try:
            with open(os.path.join(where, "cgroup.procs"), "rb") as stream:
                # 0 stands for a process of another PID namespace
                found.update(int(word) for word in stream.read().split() if word.isdigit() and word != b"0")
        except OSError:
            # The group went away meanwhile, or it is one of threads (EOPNOTSUPP).
            continue
    return found


def _unasked(user: t.Optional[int], why: str) -> Blind:
    if user is None:
        return Blind("service_manager", "systemd could not be asked: %s" % why, advice="look at systemctl status")
    whose = "the service manager of uid %d" % user
    return Blind("service_manager", "%s could not be asked: %s" % (whose, why), advice="run the task with become: true")
