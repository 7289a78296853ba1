# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What monit watches. Private to harbormaster.ports: not an interface for other collections.

It is nobody's parent: what it has started belongs to PID 1, and its configuration names the pid files. So it is believed
only when it is root's, by its program; and of a program that writes its own pid file, only that program's account is told.
"""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Process, Supervised
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import processes, supervisor_talk
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.supervisor_talk import Talk
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.supervisor_words import (
    monit_configuration,
    parse_monit_status,
    parse_monitrc,
    pid_of,
)

FILES = ("/etc/monit/monitrc", "/etc/monitrc")
_MOST_FILES = 200
_LARGEST_PID_FILE = 64
_LARGEST_FILES = 4 << 20


def daemon() -> int:
    """The pid of root's monit; 0 when none runs. Nearly free then."""
    for path in supervisor_talk.MONIT_PID_FILES:
        pid = _pid_in(path) if os.path.lexists(path) else 0
        process = processes.describe([pid]).get(pid) if pid else None
        if process is not None and "monit" in process.proven:
            return pid
    return 0


def watched(known: t.Mapping[int, Process], holders: t.Sequence[int], talk: Talk) -> t.Dict[int, Supervised]:
    """The holders that monit watches, or whose ancestors it does."""
    monit = daemon()
    if not monit:
        return {}
    words = ["monit"]
    path = monit_configuration(supervisor_talk.arguments(monit), supervisor_talk.folder(monit) or "/")
    text, why = "", ""
    if path and evidence.read(path) is None:
        why = "others than root may write its configuration %s" % path
    else:
        words += ["-c", path] if path else []
        text, why = talk.ask([*words, "-B", "status"], None)
    told = parse_monit_status(text)
    answers = bool(told) or (not why and "Monit" in text)
    if not answers:
        why = why or "its interface is switched off (set httpd)"
    checks = _checks([path] if path else FILES)
    names = {one.pid: one.name for one in told}
    # The pid files tell what it would start again where its interface is off or refuses, and of a program that it has
    # just started: its status has a new pid only after the next of its rounds, which may be minutes apart.
    for name, pid_file in checks.items():
        pid = _pid_in(pid_file)
        if pid:
            names.setdefault(pid, name)
    found = {}
    for pid in holders:
        child = next((one for one in (pid, *known[pid].ancestors) if one > 1 and one in names), 0)
        if not child or not _may_tell_of(checks.get(names[child], ""), known.get(child)):
            continue
        name = names[child]
        entry = Supervised("monit", monit, name, child)
        if answers:
            entry = entry._replace(stop=(*words, "stop", name), start=(*words, "start", name))
        found[pid] = entry._replace(why="" if answers else why)
    return found


def _may_tell_of(pid_file: str, process: t.Optional[Process]) -> bool:
    """Whether monit's word that a process is the one that it watches is good.

    Root says so with a pid file that only root may write, and another account with its own of its own processes. Without
    a pid file that is known (it matches a pattern, or the configuration is not for our eyes) any account could have made
    its process look like the one: only root's are believed.
    """
    if process is None:
        return False
    if not pid_file:
        return process.account in evidence.accounts()
    if evidence.owner(pid_file, stat.S_IFREG):
        return True
    writer = _writer(pid_file)
    return writer is not None and process.account == writer


def _writer(path: str) -> t.Optional[int]:
    """The first account on the way to a file that is not root; None when there is none, or when nobody could say."""
    here = ""
    for part in path.split("/"):
        here += "/" + part if part else ""
        try:
            found = os.lstat(here or "/")
        except OSError:
            return None
        if found.st_uid not in evidence.accounts():
            return found.st_uid
    return None


def _checks(files: t.Sequence[str]) -> t.Dict[str, str]:
    """name -> pid file of what these files, and those that they include, have watched."""
    import glob
    import itertools

    found: t.Dict[str, str] = {}
    waiting = list(files)
    left = _LARGEST_FILES
    for path in waiting[: _MOST_FILES + len(files)]:
        data = evidence.read(path) or b""
        left -= len(data)
        if left < 0:
            break
        said = parse_monitrc(data.decode("utf-8", "replace"))
        found.update(said.checks)
        for pattern in said.includes[:_MOST_FILES] if path in files else ():
            waiting += sorted(itertools.islice(glob.iglob(pattern), _MOST_FILES))
    return found


def _pid_in(path: str) -> int:
    words = (evidence.read(path, _LARGEST_PID_FILE) or b"").split()
    return pid_of(words[0].decode("ascii", "replace")) if words else 0
