# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apps of pm2. Private to harbormaster.ports: not an interface for other collections.

pm2 starts a daemon when it finds none, and finds it by its home. So it is told the home of the daemon that was seen. Root's
is asked only when its home is root's alone, with the socket in it: else root would speak with whoever listens there.
"""

from __future__ import annotations

import os
import stat
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command, evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Process, Supervised
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import processes, supervisor_talk
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.supervisor_talk import (
    PM2_PATIENCE,
    Environment,
    Group,
    Talk,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.supervisor_words import (
    Pm2App,
    parse_pm2,
    parse_pm2_dump,
)

# Where `systemctl enable` puts its links: what of pm2 starts at boot (`pm2 startup`).
_WANTS = "/etc/systemd/system"
_MOST_UNITS = 100
_BOOTED = "/run/systemd/system"
_LARGEST_DUMP = 2 << 20
_NO_DUMP = b"-"


def ask(group: Group, talk: Talk) -> t.Dict[int, Supervised]:
    """child -> what pm2 says of it. In its cluster mode the daemon itself holds the socket, for all workers of the app."""
    words, environment, why = _command(group)
    if why:
        return group.each(why)
    home = dict(environment)["PM2_HOME"]
    text, why = talk.ask([*words, "jlist"], group.user, environment, PM2_PATIENCE)
    apps = parse_pm2(text)
    boot = _boot(home, group.user, talk) if talk.stopping and apps else None
    found = {}
    for child in group.children:
        base = group.base(child)._replace(environment=environment)
        told, target = _cluster(group, apps) if child.pid == group.supervisor.pid else _fork(child, apps)
        if child.pid == group.supervisor.pid:
            base = base._replace(child=0)
        if told is None:
            found[child.pid] = base._replace(why=why or target)
            continue
        found[child.pid] = base._replace(
            program=told.name,
            stop=(*words, "stop", target),
            start=(*words, "start", target),
            stops=_workers(group, told.name, apps) if child.pid == group.supervisor.pid else (),
            returns_at_boot=boot(told.name) if boot is not None else None,
        )
    return found


def _fork(child: Process, apps: t.Sequence[Pm2App]) -> t.Tuple[t.Optional[Pm2App], str]:
    """The app that is this process, and what its commands are given; or None and why not."""
    app = next((one for one in apps if one.pid == child.pid), None)
    return (app, str(app.number)) if app is not None else (None, "pm2 jlist does not list pid %d" % child.pid)


def _cluster(group: Group, apps: t.Sequence[Pm2App]) -> t.Tuple[t.Optional[Pm2App], str]:
    """The only app in cluster mode: of two, none is guessed."""
    del group
    running = {app.name: app for app in apps if app.cluster and app.pid}
    if len(running) != 1:
        return None, "it serves %d apps in cluster mode from one process" % len(running)
    (app,) = running.values()
    return app, app.name


def _workers(group: Group, name: str, apps: t.Sequence[Pm2App]) -> t.Tuple[int, ...]:
    """The processes that stop with an app: of those that pm2 names, the ones that it has really started."""
    said = [app.pid for app in apps if app.cluster and app.name == name and app.pid]
    known = processes.describe(said[:1000], commands=False)
    return tuple(pid for pid in said if pid in known and known[pid].parent_pid == group.supervisor.pid)


def _command(group: Group) -> t.Tuple[t.Tuple[str, ...], Environment, str]:
    """The command of this daemon's pm2, the variables that it needs, and why there is none."""
    import pwd

    pid, user = group.supervisor.pid, group.user
    said = supervisor_talk.environment(pid)
    try:
        account = pwd.getpwuid(os.geteuid() if user is None else user)
    except KeyError:
        return (), (), "its account has no home"
    home = said.get("PM2_HOME") or os.path.join(said.get("HOME") or account.pw_dir, ".pm2")
    if user is None and (evidence.folder(home) is None or evidence.listener(home + "/rpc.sock") is None):
        return (), (), "others than root may write its home %s, or its socket is not there" % home
    # Where npm puts programs: beside the node that runs them, which is the kernel's word. pm2 itself starts node by its name.
    path = command.PATH
    beside = os.path.dirname(_exe(pid))
    if beside.startswith("/") and (user is not None or evidence.folder(beside) is not None):
        path = beside + ":" + path
    program = "pm2"
    if user is None:
        program = evidence.find("pm2", path) or "pm2"
    environment = (("HOME", account.pw_dir), ("PATH", path), ("PM2_HOME", home))
    return (program,), environment, ""


def _exe(pid: int) -> str:
    try:
        return os.readlink("/proc/%d/exe" % pid)
    except OSError:
        return ""


def _boot(home: str, user: t.Optional[int], talk: Talk) -> t.Optional[t.Callable[[str], t.Optional[bool]]]:
    """Whether an app comes back at boot, by its name: pm2 is started then, and has saved that it is to run."""
    if not os.path.isdir(_BOOTED) or not _starts_at_boot(home):
        # Something else may start pm2 at boot: cron, a login, a unit of another name.
        return None
    if user is None:
        data = evidence.read(home + "/dump.pm2", _LARGEST_DUMP)
        if data is None and not os.path.lexists(home + "/dump.pm2"):
            data = _NO_DUMP
    else:
        # The account's own file is opened as that account: it may be anything.
        data = command.call(lambda: _read(home + "/dump.pm2"), talk.clock.left(2.0), user)
    if data is None:
        return None
    saved = {} if data == _NO_DUMP else parse_pm2_dump(data.decode("utf-8", "replace"))
    return lambda name: saved.get(name, False)


def _starts_at_boot(home: str) -> bool:
    """Whether an enabled unit starts the pm2 of this home (`pm2 startup` names it pm2-ACCOUNT.service)."""
    import glob
    import itertools

    pattern = _WANTS + "/*.wants/pm2*.service"
    for path in itertools.islice(glob.iglob(pattern), _MOST_UNITS):
        text = (evidence.read(path) or b"").decode("utf-8", "replace")
        if any(line.strip().strip("\"'").endswith("PM2_HOME=" + home) for line in text.splitlines()[:1000]):
            return True
    return False


def _read(path: str) -> bytes:
    """Content of a small regular file, for a child that has become its owner."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return _NO_DUMP
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST_DUMP:
        return b""
    data = b""
    while len(data) <= _LARGEST_DUMP:
        more = os.read(handle, 1 << 16)
        if not more:
            break
        data += more
    return data
