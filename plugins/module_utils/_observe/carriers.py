# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which holders may carry the Ansible connection. Private to harbormaster.ports.

Stopping what the task itself hangs on leaves a host half done and out of reach. Ancestry alone does not find it: async
and sudo detach the module from its connection. So a holder counts as a carrier when it has an established TCP connection and

* it is the sshd of our own session: one of our ancestors, or the owner of the connection that SSH_CONNECTION names in
  our environment or an ancestor's (async keeps the variable, sudo drops it from us and not from our ancestors);
* it is the sshd of any session, when our own can't be told: a session that was forwarded a port (``ssh -R``) can be
  stopped only when it surely is somebody else's;
* it is an agent that takes tasks from elsewhere: these look the same for everybody;
* it is the local other end of our own session: a multiplexer or tunnel in front of sshd;
* it is an sshd or an agent into which there was no time to look: it can't be told from the one that runs this task.

The server that has started our own session counts too, whose connections are those of its children: ancestry finds it
in a task that waits for its end, and not in one that is async.

Nobody can undo a refusal for a carrier, so it never rests on a name that a process gave itself. An agent is one whose
names are proven, or the main process of an agent's unit by PID 1's word. An sshd is proven too, or the child of a
proven one with its name: the process of a session runs as the session's user.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._known import AGENTS, SSH
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    ESTABLISHED,
    TCP,
    Process,
    Socket,
    Unit,
    UnitFacts,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    descriptors,
    environment,
    netlink,
    ports,
    processes,
    procnet,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.open_tables import Tables

_SSH = frozenset(SSH)
# In full, and as the kernel cuts a name that a script has given its process (TASK_COMM_LEN of linux/sched.h).
_AGENTS = frozenset(
    name for agent in AGENTS if agent.carries for program in agent.programs for name in (program, program[:15])
)
_TCP_ESTABLISHED = 1 << 1  # a bit of the states' numbers in net/tcp_states.h

_VARIABLE = b"SSH_CONNECTION"

# client address and port, server address and port; as sshd(8) writes them into SSH_CONNECTION
Session = t.Tuple[str, int, str, int]


def carriers(
    known: t.Mapping[int, Process],
    holders: t.AbstractSet[int],
    self_pids: t.AbstractSet[int],
    units: t.Optional[t.Mapping[Unit, UnitFacts]] = None,
    tables: t.Optional[Tables] = None,
) -> t.Dict[int, str]:
    """The holders that may carry our connection, and why, as the end of a sentence that begins with the process.

    :param known: the processes that were found, by pid.
    :param holders: pids of who holds something.
    :param self_pids: this process and its ancestors.
    :param units: what the service managers said.
    :param tables: what processes have open, within the clock of the look.
    """
    tables = tables or Tables(Clock())
    # Who would stop and could not be read in time may hold anything.
    holders = holders | tables.late
    ssh = {pid for pid in holders if pid in known and is_ssh(known[pid], known)}
    agents = {pid for pid in holders if pid in known and is_agent(known[pid], units or {})}
    sessions = _sessions(self_pids)
    if not ssh and not agents:
        # Nearly always so. What follows would read every connection of the host; only our own session counts here.
        rows = {row.inode: row for row in _established(sessions) if row.inode} if sessions else {}
    else:
        rows = {row.inode: row for row in _established() if row.inode}
    if not rows:
        return {}
    found: t.Dict[int, str] = {}
    far_ends = {(server, server_port, client, client_port) for client, client_port, server, server_port in sessions}
    connected = {pid: _connections(pid, rows, tables) for pid in holders}
    for pid in agents:
        if connected[pid] is None:
            found[pid] = "is an agent whose connections could not be read in time, and may be what runs this task"
        elif connected[pid]:
            found[pid] = "is an agent with an open connection, and may be what runs this task"
    for pid, inodes in connected.items():
        # Of others that could not be read in time nothing says that they carry anything.
        if any(_ends(rows[inode]) in sessions for inode in inodes or ()):
            found[pid] = "has the very connection that SSH_CONNECTION names"
        elif any(_ends(rows[inode]) in far_ends for inode in inodes or ()):
            found[pid] = "is the near end of the SSH connection that runs this task"
    if ssh:
        found.update(_ssh_carriers(ssh, rows, sessions, known, self_pids, tables))
    return found


def is_ssh(process: Process, known: t.Mapping[int, Process]) -> bool:
    """Whether a process is an SSH server, or its part that runs as a session's user; on evidence."""
    if _SSH.intersection(process.proven):
        return True
    parent = known.get(process.parent_pid)
    return process.name in _SSH and parent is not None and bool(_SSH.intersection(parent.proven))


def is_agent(process: Process, units: t.Mapping[Unit, UnitFacts]) -> bool:
    """Whether a process is an agent that may bring tasks; on evidence, its own or PID 1's."""
    if _AGENTS.intersection(process.proven):
        return True
    # Many run as an account of their own, so what they are called proves nothing; what PID 1 started them as does.
    unit = process.unit
    facts = units.get(unit) if unit is not None and unit.user is None else None
    if facts is None or facts.main_pid != process.pid:
        return False
    return facts.program in _AGENTS or any(
        fnmatch.fnmatchcase(facts.unit.name, glob) for agent in AGENTS if agent.carries for glob in agent.units
    )


def parse_session(value: str) -> t.Optional[Session]:
    """Understand SSH_CONNECTION: four words; None for anything else (UNKNOWN 65535 ... of a connection without TCP)."""
    words = value.split()
    if len(words) != 4 or not (words[1].isdigit() and words[3].isdigit()):
        return None
    # link-local addresses carry their interface (fe80::1%eth0), which a row does not
    return words[0].split("%")[0], int(words[1]), words[2].split("%")[0], int(words[3])


def _ssh_carriers(
    ssh: t.AbstractSet[int],
    rows: t.Mapping[int, Socket],
    sessions: t.AbstractSet[Session],
    known: t.Mapping[int, Process],
    self_pids: t.AbstractSet[int],
    tables: Tables,
) -> t.Dict[int, str]:
    own = {inode for inode, row in rows.items() if _ends(row) in sessions}
    above = processes.describe(self_pids)
    # Whether our own session can be told from every other one.
    sure = True
    for pid in self_pids & set(above):
        # Ours by ancestry: whatever calls itself so there can only be our own session's.
        if is_ssh(above[pid], above) or above[pid].name in _SSH:
            mine = _connections(pid, rows, tables)
            sure = sure and mine is not None
            own |= mine or set()
    # one session may be two processes, a privileged one and its child, and either may hold the port
    near = {pid: _near(pid, known, rows, tables) for pid in ssh}
    late = {pid for pid, inodes in near.items() if inodes is None}
    found: t.Dict[int, str] = {}
    if own:
        found = {pid: "is the SSH session that runs this task" for pid in ssh if own.intersection(near[pid] or ())}
        if set(found) < ssh:
            started, all_seen = _above(own, tables.clock)
            says = "has started the SSH session that runs this task"
            found.update(dict.fromkeys(ssh & started - set(found), says))
            if not all_seen:
                late = set(ssh)
    if not own or not sure:
        text = "is an SSH session with an open connection, and can't be told from the one that runs this task"
        found.update({pid: text for pid in ssh - set(found) if near[pid]})
    text = "is an SSH server that could not be looked into in time, and can't be told from the one that runs this task"
    found.update(dict.fromkeys(late - set(found), text))
    return found


def _above(inodes: t.AbstractSet[int], clock: Clock) -> t.Tuple[t.Set[int], bool]:
    """The ancestors of who has these connections, and whether there was time to find all: with async they are no ancestors
    of ours any more.
    """
    scan = descriptors.scan(inodes, clock)
    late: t.Set[int] = set()
    owners = {pid for pids in scan.owners.values() for pid in pids}
    found = set(processes.describe(owners, commands=False, clock=clock, late=late))
    return found, not late and errno.ETIME not in scan.refused.values()


def _connections(pid: int, rows: t.Mapping[int, Socket], tables: Tables) -> t.Optional[t.Set[int]]:
    """Inodes of those of these connections that a process has; None when there was no time to see."""
    found = tables.of(pid)
    return None if found is None else found.intersection(rows)


def _near(
    pid: int, known: t.Mapping[int, Process], rows: t.Mapping[int, Socket], tables: Tables
) -> t.Optional[t.Set[int]]:
    """Connections of an SSH server and of its parent, when that is one itself. A child has its parent's descriptors."""
    own = _connections(pid, rows, tables)
    parent = known.get(known[pid].parent_pid)
    if own is None or parent is None or not _SSH.intersection(parent.proven):
        return own
    above = _connections(parent.pid, rows, tables)
    return None if above is None else own | above


def _sessions(self_pids: t.AbstractSet[int]) -> t.Set[Session]:
    values = {os.environ.get(_VARIABLE.decode("ascii"), "")}
    for pid in self_pids - {os.getpid()}:
        values.add(environment.read(pid, (_VARIABLE,)).get(_VARIABLE, b"").decode("ascii", "replace"))
    found = (parse_session(value) for value in values)
    return {session for session in found if session}


def _ends(row: Socket) -> Session:
    return row.remote_address, row.remote_port, row.address, row.port


def _established(sessions: t.Optional[t.AbstractSet[Session]] = None) -> t.List[Socket]:
    """Every connection of the host, or those on the ports of these sessions."""
    ranges = None
    if sessions is not None:
        ranges = ports.merge(port for session in sessions for port in (session[1], session[3]) if port)
    try:
        return netlink.dump(ranges, (TCP,), _TCP_ESTABLISHED)
    except SourceRefused:
        return [row for row in procnet.read(ranges, (TCP,)) if row.state == ESTABLISHED]
