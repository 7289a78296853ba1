# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that does nothing but hold a free port of this machine. Prints the port once it listens."""

from __future__ import annotations

import signal
import socket


def listen() -> socket.socket:
    # Below the range from which the kernel serves outgoing connections: nothing takes these by chance.
    for port in range(20000, 32000):
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            continue
    raise SystemExit("every port from 20000 to 31999 is taken")


with listen() as server:
    print(server.getsockname()[1], flush=True)
    signal.pause()
