# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds a free port and leaves: prints {"pid": ..., "port": ...} once the port is held, and goes on in the background.

Usage: holder.py tcp|udp [SECONDS]. Ends by itself after SECONDS, so that a broken test leaves nothing behind for long.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys


def hold(protocol: str) -> socket.socket:
    # Below the range from which the kernel serves outgoing connections, and no two of us at the same spot: nothing
    # takes the port back by chance once it is freed.
    for port in random.sample(range(20000, 32000), 200):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
        try:
            sock.bind(("127.0.0.1", port))
            if protocol == "tcp":
                sock.listen(5)
        except OSError:
            sock.close()
            continue
        return sock
    raise SystemExit("200 ports between 20000 and 31999 are taken")


def main(protocol: str, seconds: str = "300") -> None:
    sock = hold(protocol)
    pid = os.fork()
    if pid:
        print(json.dumps({"pid": pid, "port": sock.getsockname()[1]}))
        return
    # A session of its own and no descriptor of the task's: the task ends, and the holder is nobody's child.
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    signal.alarm(int(seconds))
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
