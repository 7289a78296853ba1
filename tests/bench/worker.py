# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that looks ports up when it is told to, so that a look can be timed without its start and imports.

Each line on stdin is a look: its name and the ports. Each answer is a line of JSON: seconds, processor seconds, and the
pids that hold the ports, lowest first.

As a command of its own (``worker.py observe 20001``) it is the whole process: start, imports, one look, end.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import typing as t

from measure import cpu_seconds


def observe(ports: t.Sequence[int]) -> t.Iterable[int]:
    """The observe stage, as a task without ``protocol`` asks it: both protocols."""
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe.snapshot import observe as look

    snapshot = look([(protocol, port) for port in ports for protocol in ("tcp", "udp")])
    return {pid for row in snapshot.sockets if row.state == "LISTEN" for pid in snapshot.owners.get(row.inode, ())}


def table(ports: t.Sequence[int]) -> t.Iterable[int]:
    """Only the kernel's answer about these ports, without any owner."""
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe.snapshot import observe_sockets

    observe_sockets([(protocol, port) for port in ports for protocol in ("tcp", "udp")])
    return ()


def psutil(ports: t.Sequence[int]) -> t.Iterable[int]:
    import psutil as library

    wanted = set(ports)
    return {
        each.pid
        for each in library.net_connections("inet")
        if each.pid and each.laddr and each.laddr.port in wanted and each.status in ("LISTEN", "NONE")
    }


LOOKS = {"observe": observe, "table": table, "psutil": psutil}


def cpu() -> float:
    return cpu_seconds(resource.RUSAGE_SELF) + cpu_seconds(resource.RUSAGE_CHILDREN)


def main() -> None:
    if len(sys.argv) > 1:
        LOOKS[sys.argv[1]]([int(word) for word in sys.argv[2:]])
        return
    for line in sys.stdin:
        name, *words = line.split()
        ports = [int(word) for word in words]
        try:
            before, began = cpu(), time.perf_counter()
            pids = LOOKS[name](ports)
            answer: t.Dict[str, t.Any] = {"wall": time.perf_counter() - began, "cpu": cpu() - before}
            answer["pids"] = sorted(pids)
        except ImportError as error:
            answer = {"error": "%s can't be imported: %s" % (name, error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
