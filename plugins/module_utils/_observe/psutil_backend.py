# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets and processes by psutil. Private to harbormaster.ports: not an interface for other collections.

For the systems that have no /proc of Linux's kind: macOS, the BSDs, Solaris, AIX. psutil knows no inodes, so a socket
is what has the same protocol, addresses and state, and all processes that show it are its sharers; a made-up negative
number stands for the inode.
"""

from __future__ import annotations

import os
import socket
import sys
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import (
    MISSING_PSUTIL,
    ObserveError,
    SourceRefused,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable_text
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    BOUND,
    ESTABLISHED,
    IPV4,
    IPV6,
    LISTEN,
    TCP,
    TIME_WAIT,
    UDP,
    UNCONN,
    Blind,
    Process,
    Socket,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.ports import Ranges, contains

Look = t.Tuple[t.List[Socket], t.Dict[int, t.Tuple[int, ...]], t.Dict[int, Process], t.List[Blind]]

# psutil's words (CONN_*) that stand for a TCP socket with a port and without a connection.
_IDLE_WORDS = ("NONE", "CLOSE", "CLOSED", "IDLE", "BOUND")

# psutil's STATUS_* words -> one letter as in proc_pid_stat(5); what is missing here counts as sleeping.
_LETTERS = {
    "running": "R",
    "sleeping": "S",
    "disk-sleep": "D",
    "stopped": "T",
    "tracing-stop": "t",
    "zombie": "Z",
    "dead": "X",
    "idle": "I",
}

_BECOME = "run the task with become: true"

# A parent chain longer than this is a ring: a reused pid in the middle of it.
_GENERATIONS = 64


class Row(t.NamedTuple):
    """What one process says about one of its sockets; ``pid`` is None where psutil can't name it."""

    protocol: str
    family: str
    address: str
    port: int
    state: str
    remote_address: str
    remote_port: int
    pid: t.Optional[int]


def look(ranges: t.Optional[Ranges] = None) -> Look:
    """Every socket whose local port is in the ranges (None: all), who shares it, and what could not be seen.

    :returns: sockets; made-up inode -> pids, lowest first; the processes of these and their ancestors; blind spots.
    :raises ObserveError: `missing_psutil` when this Python has no psutil.
    :raises SourceRefused: psutil can't read sockets here at all.
    """
    psutil = _psutil()
    blind: t.List[Blind] = []
    rows = _rows(psutil, ranges, blind)
    sockets, owners = unite(rows)
    processes = _processes(psutil, sorted({pid for pids in owners.values() for pid in pids}), blind)
    owned = {}
    for inode, pids in owners.items():
        alive = tuple(pid for pid in pids if pid in processes)
        if alive:
            owned[inode] = alive
    ownerless = sum(1 for row in sockets if row.inode and row.inode not in owned)
    if ownerless:
        blind.append(
            Blind("owners_hidden", "%d sockets have no process that can be seen" % ownerless, ownerless, _BECOME)
        )
    uids = {inode: processes[pids[0]].uid for inode, pids in owned.items()}
    sockets = [row._replace(uid=uids.get(row.inode)) for row in sockets]
    return sockets, owned, processes, blind


def holds(pid: int, ports: t.Container[t.Tuple[str, int]]) -> bool:
    """Whether the process that has this pid now has a socket on one of these (protocol, port) pairs; asks only this one."""
    psutil = _psutil()
    try:
        rows = [parse_connection(connection, pid) for connection in _connections(psutil.Process(pid))]
    except (psutil.Error, OSError):
        # It has ended, or shows nothing.
        return False
    return any(row is not None and (row.protocol, row.port) in ports for row in rows)


def start_ticks(pid: int) -> t.Optional[int]:
    """What identifies the process that has this pid now, as `Process.start_ticks`; None when there is none."""
    psutil = _psutil()
    try:
        return _start_ticks(psutil, psutil.Process(pid).create_time())
    except (psutil.Error, OSError):
        # It has ended, or does not say.
        return None


def process(pid: int) -> t.Optional[Process]:
    """The process that has this pid now; None when there is none, or it shows nothing."""
    psutil = _psutil()
    try:
        return _process(psutil, pid, ())[0]
    except (psutil.Error, OSError):
        return None


def ancestors(pid: int) -> t.Tuple[int, ...]:
    """Parent, its parent and so on, nearest first."""
    return _ancestors(_psutil(), pid)


def parse_connection(connection: t.Any, pid: t.Optional[int]) -> t.Optional[Row]:
    """Understand one of psutil's ``sconn`` or ``pconn`` tuples; None for what has no port."""
    if not connection.laddr or not connection.laddr[1]:
        return None
    address, port = connection.laddr[0], connection.laddr[1]
    remote, peer = ("", 0) if not connection.raddr else (connection.raddr[0], connection.raddr[1])
    if not peer:
        remote = ""
    if connection.type == socket.SOCK_DGRAM:
        protocol, state = UDP, ESTABLISHED if peer else UNCONN
    else:
        protocol, state = TCP, str(connection.status)
        if state in _IDLE_WORDS:
            state = BOUND
    family = IPV6 if connection.family == socket.AF_INET6 else IPV4
    return Row(protocol, family, _plain(address), port, state, _plain(remote), peer, pid)


def unite(rows: t.Iterable[Row]) -> t.Tuple[t.List[Socket], t.Dict[int, t.Tuple[int, ...]]]:
    """One socket out of all rows that differ only in their process, with a made-up inode.

    A row without a process has no descriptor (inode 0) when it is closing, or is still in the queue of a listener that
    is seen; else it belongs to somebody who is not seen, which an inode without owners says.
    """
    sharers: t.Dict[t.Tuple[t.Any, ...], t.Set[int]] = {}
    for row in rows:
        pids = sharers.setdefault(row[:-1], set())
        if row.pid is not None:
            pids.add(row.pid)
    listening = {key[3] for key, pids in sharers.items() if key[4] == LISTEN and pids}
    sockets: t.List[Socket] = []
    owners: t.Dict[int, t.Tuple[int, ...]] = {}
    for key, pids in sorted(sharers.items(), key=lambda item: item[0]):
        protocol, family, address, port, state, remote, peer = key
        inode = _made_up_inode(key, pids)
        if pids:
            owners[inode] = tuple(sorted(pids))
        elif protocol == TCP and (
            state in (TIME_WAIT, "FIN_WAIT1", "FIN_WAIT2", "LAST_ACK", "CLOSING", "SYN_RECV")
            or (state == ESTABLISHED and port in listening)
        ):
            inode = 0
        sockets.append(Socket(protocol, family, address, port, state, remote, peer, inode=inode))
    return sockets, owners


def _made_up_inode(key: t.Tuple[t.Any, ...], pids: t.Iterable[int]) -> int:
    """A negative number that is the same in the next look, as long as the socket has the same owners."""
    import hashlib

    digest = hashlib.sha256(repr((key, sorted(pids))).encode("utf-8", "backslashreplace")).digest()
    return -1 - int.from_bytes(digest[:7], "big")


def _psutil() -> t.Any:
    try:
        import psutil
    except ImportError as error:
        raise ObserveError(
            MISSING_PSUTIL,
            "psutil is needed to look at sockets here and %s does not have it: install python3-psutil, "
            "or run `%s -m pip install psutil`" % (sys.executable, sys.executable),
        ) from error
    return psutil


def _rows(psutil: t.Any, ranges: t.Optional[Ranges], blind: t.List[Blind]) -> t.List[Row]:
    """The table of the whole system where it can be had, and of every process where that does not say all."""
    found: t.List[t.Tuple[t.Any, t.Optional[int]]] = []
    whole = True
    try:
        found += [(connection, connection.pid) for connection in psutil.net_connections(kind="inet")]
    except psutil.AccessDenied:
        # macOS without root: it fails as a whole at the first process of somebody else.
        whole = False
    except (psutil.Error, OSError, NotImplementedError, RuntimeError) as error:
        raise SourceRefused("psutil", str(error) or type(error).__name__) from error
    if not whole or sys.platform.startswith("linux"):
        # On Linux the whole table names one process of all that share a socket.
        refused = 0
        for process in psutil.process_iter():
            try:
                found += [(connection, process.pid) for connection in _connections(process)]
            except psutil.AccessDenied:
                refused += 1
            except (psutil.Error, OSError):
                # It ended while it was looked at.
                continue
        if refused:
            blind.append(
                Blind("sockets_refused", "the sockets of %d processes can't be seen" % refused, refused, _BECOME)
            )
    rows = [parse_connection(connection, pid) for connection, pid in found]
    return [row for row in rows if row is not None and (ranges is None or contains(ranges, row.port))]


def _connections(process: t.Any) -> t.List[t.Any]:
    # psutil 6.0 gave it a new name.
    method = getattr(process, "net_connections", None) or process.connections
    return t.cast(t.List[t.Any], method(kind="inet"))


def _processes(psutil: t.Any, pids: t.Sequence[int], blind: t.List[Blind]) -> t.Dict[int, Process]:
    """These processes and their ancestors, without those that have ended meanwhile."""
    processes: t.Dict[int, Process] = {}
    chains: t.Dict[int, t.Tuple[int, ...]] = {}
    hidden = 0
    todo = list(pids)
    while todo:
        pid = todo.pop()
        if pid in chains:
            continue
        chains[pid] = _ancestors(psutil, pid)
        todo += chains[pid]
        try:
            processes[pid], complete = _process(psutil, pid, chains[pid])
        except (psutil.NoSuchProcess, OSError):
            continue
        except psutil.AccessDenied:
            processes[pid], complete = Process(pid=pid, name="?", ancestors=chains[pid]), False
        if not complete and pid in pids:
            hidden += 1
    if hidden:
        blind.append(Blind("process_refused", "%d processes can't be seen in full" % hidden, hidden, _BECOME))
    return processes


def _process(psutil: t.Any, pid: int, ancestors: t.Tuple[int, ...]) -> t.Tuple[Process, bool]:
    """One process, and whether the system said all about it."""
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe.masking import mask_command

    handle = psutil.Process(pid)
    missing: t.List[str] = []

    def value(name: str) -> t.Any:
        try:
            return getattr(handle, name)()
        except psutil.ZombieProcess:
            return None
        except (psutil.AccessDenied, KeyError, NotImplementedError):
            # KeyError: a uid that has no account.
            missing.append(name)
            return None

    command, uids, started = value("cmdline"), value("uids"), value("create_time")
    user, exe = value("username"), value("exe")
    process = Process(
        pid=pid,
        name=printable_text(value("name") or "?"),
        parent_pid=value("ppid") or 0,
        exe=printable_text(exe) if exe else None,
        command=mask_command(command) if command else None,
        uid=None if uids is None else uids.effective,
        user=None if user is None else printable_text(user),
        started=started,
        start_ticks=_start_ticks(psutil, started),
        state=_LETTERS.get(value("status") or "", "S"),
        ancestors=ancestors,
        real_uid=None if uids is None else uids.real,
        proven=_proven(uids, value("name") or "", exe, command),
    )
    return process, not missing


def _proven(uids: t.Any, name: str, exe: t.Optional[str], command: t.Optional[t.Sequence[str]]) -> t.Tuple[str, ...]:
    if uids is None or not exe:
        return ()
    words = [printable_text(word) for word in command or ()]
    # Where there is no /proc, the file at its path is all that can be looked at.
    return evidence.names(tuple(uids), printable_text(name), printable_text(exe), words, lambda: os.stat(exe))


def _start_ticks(psutil: t.Any, started: t.Optional[float]) -> int:
    """Field 22 of proc_pid_stat(5), from which psutil made the time; milliseconds since the epoch elsewhere."""
    if started is None:
        return 0
    if not sys.platform.startswith("linux"):
        return round(started * 1000)
    seconds: float = started - psutil.boot_time()
    return round(seconds * os.sysconf("SC_CLK_TCK"))


def _ancestors(psutil: t.Any, pid: int) -> t.Tuple[int, ...]:
    chain: t.List[int] = []
    try:
        current = psutil.Process(pid).ppid()
        while current and current != pid and current not in chain and len(chain) < _GENERATIONS:
            chain.append(current)
            current = psutil.Process(current).ppid()
    except (psutil.Error, OSError):
        # The chain is broken here: a process ended, or shows nothing.
        pass
    return tuple(chain)


def _plain(address: str) -> str:
    """An address without its zone, and an IPv4-mapped one as IPv4."""
    address = address.partition("%")[0]
    if address.startswith("::ffff:") and "." in address:
        return address[len("::ffff:") :]
    return address
