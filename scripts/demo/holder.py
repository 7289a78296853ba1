# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that does nothing but hold a free port of this machine. Prints the port once it listens."""

from __future__ import annotations

import random
import signal
import socket


def listen() -> socket.socket:
    # Below the range from which the kernel serves outgoing connections, and no two of us at the same spot: nothing
    # takes the port back by chance once it is freed.
    for port in random.sample(range(20000, 32000), 200):
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            continue
    raise SystemExit("200 ports between 20000 and 31999 are taken")


with listen() as server:
    print(server.getsockname()[1], flush=True)
    signal.pause()
