# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What supervisors say and what they are told. Private to harbormaster.ports. Pure.

Answers are the word of whoever runs the supervisor: each of these takes time in proportion to the text, and nothing in
it can be an error. Commands that have changed since these versions were read: supervisor 4.2, runit 2.1, s6 2.11,
daemontools 0.76, pm2 5 and 6, monit 5.33.
"""

from __future__ import annotations

import os
import re
import typing as t

# As many digits as a pid of any kernel can have.
_PID = re.compile(r"[0-9]{1,10}\Z")
# sv: "run: web: (pid 12) 5s", s6-svstat: "up (pid 12 pgid 12) 5 seconds", svstat: "web: up (pid 12) 5 seconds"
_SERVICE_PID = re.compile(r"\(pid ([0-9]{1,10})[) ]")
# Of monitrc(5): text in quotes, a comment up to the end of its line, a word.
_MONITRC = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'|#[^\n]*|([^\s\"'#]+)")
# A JSON list of objects begins so; chatter in brackets ("[PM2] Spawning") does not.
_JSON_LIST = re.compile(r"\[\s{0,8}[{\]]")
# Chatter that begins like one is looked past so often.
_MOST_BEGINNINGS = 3
_LARGEST_JSON = 2 << 20


class Told(t.NamedTuple):
    """What a supervisor says of one of its programs that runs."""

    name: str
    pid: int


def pid_of(word: str) -> int:
    """A pid as a number; 0 for what is none."""
    return int(word) if _PID.match(word) else 0


def parse_supervisor_status(text: str) -> t.List[Told]:
    """Understand ``supervisorctl status``, the programs that run: ``web:web_00  RUNNING   pid 1234, uptime 0:00:05``."""
    found = []
    for line in text.splitlines():
        words = line.split(None, 4)
        if (
            len(words) > 3
            and not line[0].isspace()
            and words[1].isupper()
            and words[2] == "pid"
            and words[3][-1] == ","
        ):
            pid = pid_of(words[3][:-1])
            if pid:
                found.append(Told(words[0], pid))
    return found


def parse_supervisor_avail(text: str) -> t.Dict[str, bool]:
    """Understand ``supervisorctl avail``: name -> whether supervisord starts it with itself.

    A line is ``web:web_00    in use    auto      999:999``, with ``avail`` for what was taken out.
    """
    found = {}
    for line in text.splitlines():
        words = line.split(None, 4)
        rest = words[3:4] if words[1:3] == ["in", "use"] else words[2:3] if words[1:2] == ["avail"] else []
        if rest and rest[0] in ("auto", "manual"):
            found[words[0]] = rest[0] == "auto"
    return found


def supervisord_script(arguments: t.Sequence[str]) -> str:
    """The path of supervisord as it was started; a script of Python, so behind the interpreter's. Empty without one."""
    return next((word for word in arguments[:3] if word.rpartition("/")[2].startswith("supervisord")), "")


def supervisord_configuration(arguments: t.Sequence[str], folder: str) -> str:
    """The configuration that a supervisord was started with; empty for its usual one.

    :param folder: its working directory, which a relative path in there means.
    """
    for number, word in enumerate(arguments):
        value = ""
        if word in ("-c", "--configuration") and number + 1 < len(arguments):
            value = arguments[number + 1]
        elif word.startswith("--configuration="):
            value = word.partition("=")[2]
        elif word.startswith("-c") and len(word) > 2:
            value = word[2:]
        if value:
            return os.path.join(folder, value)
    return ""


def parse_service_pid(text: str) -> int:
    """The pid out of the answer of ``sv status``, ``s6-svstat`` and ``svstat``; 0 when the service is down."""
    found = _SERVICE_PID.search(text)
    return int(found.group(1)) if found else 0


class Pm2App(t.NamedTuple):
    """One process of pm2: what ``pm2 jlist`` says of it."""

    number: int
    name: str
    pid: int
    cluster: bool


def parse_pm2(text: str) -> t.List[Pm2App]:
    """Understand ``pm2 jlist``: JSON, behind lines of chatter (a new version, a daemon that was started)."""
    apps = []
    for entry in _objects(text):
        number, env, pid = _number(entry.get("pm_id")), entry.get("pm2_env"), _number(entry.get("pid"))
        if number is None:
            continue
        mode = env.get("exec_mode") if isinstance(env, dict) else ""
        name = entry.get("name")
        apps.append(
            Pm2App(
                number,
                name[:1024] if isinstance(name, str) and name else str(number),
                pid or 0,
                mode in ("cluster_mode", "cluster"),
            )
        )
    return apps


def parse_pm2_dump(text: str) -> t.Dict[str, bool]:
    """Understand what ``pm2 save`` has written: name -> whether pm2 starts the app when it is told to resurrect them."""
    found: t.Dict[str, bool] = {}
    for entry in _objects(text):
        name, status = entry.get("name"), entry.get("status")
        if isinstance(name, str):
            found[name] = found.get(name, False) or status != "stopped"
    return found


def _number(value: t.Any) -> t.Optional[int]:
    """An integer of a size that ids and pids have; JSON knows any size, and true is a number to Python."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32 else None


def _objects(text: str) -> t.List[t.Dict[str, t.Any]]:
    """The objects of the JSON list that a text ends with; empty for anything else."""
    import json

    if len(text) > _LARGEST_JSON:
        return []
    tried = 0
    start = 0
    while start >= 0 and tried < _MOST_BEGINNINGS:
        if _JSON_LIST.match(text, start):
            tried += 1
            try:
                entries = json.loads(text[start:])
            except (ValueError, RecursionError):
                entries = None
            if isinstance(entries, list):
                return [entry for entry in entries if isinstance(entry, dict)]
        start = text.find("\n[", start)
        start = start + 1 if start >= 0 else -1
    return []


def parse_monit_status(text: str) -> t.List[Told]:
    """Understand ``monit -B status``: the processes that it watches and that run.

    A block is headed by ``Process 'name'``; of its lines, which are indented, one is ``pid    1202``.
    """
    found = []
    name = ""
    for line in text.splitlines():
        if line[:1].isspace():
            words = line.split(None, 2)
            if name and len(words) == 2 and words[0] == "pid" and pid_of(words[1]):
                found.append(Told(name, pid_of(words[1])))
        elif line:
            head = line.rstrip()
            name = head[9:-1] if head.startswith("Process '") and head.endswith("'") else ""
    return found


class Monitrc(t.NamedTuple):
    """What matters here of a file of monitrc(5).

    :param checks: name -> pid file of each ``check process``.
    :param includes: patterns of further files.
    """

    checks: t.Dict[str, str]
    includes: t.List[str]


def parse_monitrc(text: str) -> Monitrc:
    """Understand monitrc(5) as far as needed: ``check process NAME [with] pidfile PATH`` and ``include PATTERN``."""
    checks: t.Dict[str, str] = {}
    includes: t.List[str] = []
    words = [_monit_word(found) for found in _MONITRC.finditer(text) if not found.group().startswith("#")]
    for number, (bare, _value) in enumerate(words):
        after = words[number + 1 : number + 6]
        if bare == "include" and after:
            includes.append(after[0][1])
        elif bare == "check" and len(after) > 1 and after[0][0] == "process":
            rest = after[3:] if len(after) > 2 and after[2][0] == "with" else after[2:]
            if len(rest) > 1 and rest[0][0] == "pidfile":
                checks[after[1][1]] = rest[1][1]
    return Monitrc(checks, includes)


def _monit_word(found: t.Match[str]) -> t.Tuple[str, str]:
    """A word as a keyword (empty for text in quotes) and as a value."""
    double, single, bare = found.groups()
    if bare is not None:
        return bare.lower(), bare
    return "", double if double is not None else single or ""


def monit_configuration(arguments: t.Sequence[str], folder: str) -> str:
    """The configuration that a monit was started with; empty for its usual one.

    :param folder: the daemon's working directory, which a relative path in there means.
    """
    for number, word in enumerate(arguments):
        if word == "-c" and number + 1 < len(arguments):
            return os.path.join(folder, arguments[number + 1])
    return ""
