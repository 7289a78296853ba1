# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A busy host to measure against: real processes with real descriptors, listeners and connections.

The processes are children of the benchmark and live exactly as long as it does: each waits on a pipe whose other end
only the benchmark has. That pipe closes when the benchmark ends, however it ends, even by SIGKILL.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import struct
import time
import typing as t

# Below the ephemeral range, where no outgoing connection of the machine itself can be.
FIRST_PORT, LAST_PORT = 20000, 32000
READY_WITHIN = 180.0


class Size(t.NamedTuple):
    """How much of everything. Each connection has both of its ends here, so it counts two descriptors."""

    name: str
    processes: int
    files: int  # a process
    listeners: int  # a process
    connections: int  # a process

    @property
    def descriptors(self) -> int:
        return self.processes * (self.files + self.listeners + 2 * self.connections)

    def __str__(self) -> str:
        return "%d processes, %d listeners, %d connections, %d descriptors" % (
            self.processes,
            self.processes * self.listeners,
            self.processes * self.connections,
            self.descriptors,
        )


BUSY = Size("busy", processes=500, files=100, listeners=2, connections=16)
CROWDED = Size("crowded", processes=50, files=0, listeners=1, connections=2000)
BUSY_QUICK = Size("busy, quick", processes=100, files=100, listeners=2, connections=16)
CROWDED_QUICK = Size("crowded, quick", processes=10, files=0, listeners=1, connections=1000)


class Load:
    """``with Load(BUSY) as load``: ``load.listeners`` is port -> pid, all of them listening on 127.0.0.1."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.listeners: t.Dict[int, int] = {}
        self._children: t.List[int] = []
        self._life = -1

    def __enter__(self) -> Load:
        allow_descriptors(self.size.files + self.size.listeners + 2 * self.size.connections + 64)
        waiting, self._life = os.pipe()
        answers, answer = os.pipe()
        try:
            try:
                for number in range(self.size.processes):
                    pid = os.fork()
                    if pid == 0:
                        self._child(number, waiting, answers, answer)
                    self._children.append(pid)
            finally:
                os.close(waiting)
                os.close(answer)
            self._read_answers(answers)
        except BaseException:
            self.end()
            raise
        finally:
            os.close(answers)
        return self

    def __exit__(self, *_unused: object) -> None:
        self.end()

    def end(self) -> None:
        """End every child by its pid. None can be somebody else's: none has been waited for yet."""
        os.close(self._life)
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        for pid in self._children:
            os.waitpid(pid, 0)
        self._children = []

    def _read_answers(self, answers: int) -> None:
        """A line a child: its pid and its ports. The pipe ends early when a child has failed."""
        until = time.monotonic() + READY_WITHIN
        text = b""
        while text.count(b"\n") < self.size.processes:
            chunk = os.read(answers, 65536)
            if not chunk or time.monotonic() > until:
                raise RuntimeError("only %d of %s are up" % (text.count(b"\n"), self.size))
            text += chunk
        for line in text.splitlines():
            pid, *ports = (int(word) for word in line.split())
            self.listeners.update((port, pid) for port in ports)

    def _child(self, number: int, waiting: int, answers: int, answer: int) -> t.NoReturn:
        """Never returns, and never runs anything that the benchmark has registered for its own end."""
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches us too, and needs no traceback from each
            os.close(self._life)
            os.close(answers)
            kept: t.List[object] = [os.open(os.devnull, os.O_RDONLY) for _unused in range(self.size.files)]
            width = (LAST_PORT - FIRST_PORT) // self.size.processes
            first = FIRST_PORT + number * width
            listeners = listen(range(first, first + width), self.size.listeners)
            for each in range(self.size.connections):
                kept += connect_to(listeners[each % len(listeners)])
            ports = [listener.getsockname()[1] for listener in listeners]
            os.write(answer, b"%d %s\n" % (os.getpid(), " ".join(map(str, ports)).encode()))
            os.close(answer)
            os.read(waiting, 1)
        finally:
            os._exit(0)


def listen(ports: t.Iterable[int], count: int) -> t.List[socket.socket]:
    """Listeners on the first of these ports that are not taken."""
    found: t.List[socket.socket] = []
    for port in ports:
        if len(found) == count:
            break
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.close()
            continue
        listener.listen(16)
        found.append(listener)
    return found


def connect_to(listener: socket.socket) -> t.Tuple[socket.socket, socket.socket]:
    """One connection: the client's end and the server's."""
    client = socket.create_connection(listener.getsockname())
    # Closed by a reset when its process ends: no TIME_WAIT of this load is left for the next one to be measured with.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return client, listener.accept()[0]


def allow_descriptors(count: int) -> None:
    """Raise our own limit, which the children inherit; beyond the hard limit only root may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(count, hard)))
