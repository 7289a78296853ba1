# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How supervisors are asked: what all of them need. Private to harbormaster.ports."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Process, Supervised

# Seconds for each question. pm2 is a whole Node.js that has to start.
PATIENCE = 5.0
PM2_PATIENCE = 9.0
# Of a command line that somebody else has chosen, no more is read.
_LONGEST_WORDS = 4096
_LONGEST_WHY = 200

# Where the monit of a host says who it is.
MONIT_PID_FILES = ("/run/monit.pid", "/var/run/monit.pid")

Environment = t.Tuple[t.Tuple[str, str], ...]


class Talk(t.NamedTuple):
    """The circumstances of a question.

    :param stopping: also find out what only matters to who wants to stop the holders: whether they start at boot.
    """

    clock: Clock
    stopping: bool = False

    def ask(
        self,
        argv: t.Sequence[str],
        user: t.Optional[int],
        environment: Environment = (),
        patience: float = PATIENCE,
    ) -> t.Tuple[str, str]:
        """What a command says, and why it says nothing of use."""
        from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command

        answer = command.run(argv, self.clock.left(patience), uid=user, environment=dict(environment))
        return answer.stdout, answer.problem[:_LONGEST_WHY]


class Group(t.NamedTuple):
    """One supervisor, and those of its children that matter.

    :param name: of the kind of supervisor, as people know it.
    :param children: the processes that it has started itself and that hold a port, or that have started one that does.
    :param user: the account as which its commands have to run; None for ourselves, which only a proven one gets.
    """

    name: str
    supervisor: Process
    children: t.Tuple[Process, ...]
    user: t.Optional[int] = None

    def base(self, child: Process) -> Supervised:
        """What is known before anything was asked."""
        return Supervised(self.name, self.supervisor.pid, child=child.pid, user=self.user)

    def each(self, why: str) -> t.Dict[int, Supervised]:
        """The same for all of them: why it can't be asked."""
        return {child.pid: self.base(child)._replace(why=why) for child in self.children}


def arguments(pid: int) -> t.List[str]:
    """The command line of a process."""
    return _words("/proc/%d/cmdline" % pid, _LONGEST_WORDS)


def environment(pid: int) -> t.Dict[str, str]:
    """What a daemon's environment says of where its files are."""
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import environment as variables

    said = variables.read(pid, (b"HOME", b"PM2_HOME"))
    return {name.decode("ascii"): os.fsdecode(value) for name, value in said.items()}


def folder(pid: int) -> str:
    """The working directory of a process; empty when it can't be read."""
    try:
        return os.readlink("/proc/%d/cwd" % pid)
    except OSError:
        return ""


def _words(path: str, most: int) -> t.List[str]:
    try:
        with open(path, "rb") as stream:
            data = stream.read(most)
    except OSError:
        # It has ended, or it may not be looked at.
        return []
    return [os.fsdecode(word) for word in data.split(b"\0") if word]
