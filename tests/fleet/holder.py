# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Usage: NAME PORT[/udp]... Hold the ports under the name of this file, in the background. Prints the pid once they are held."""

from __future__ import annotations

import os
import signal
import socket
import sys

FAMILIES = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}

held = []
for word in sys.argv[1:]:
    number, _slash, protocol = word.partition("/")
    sock = socket.socket(socket.AF_INET, FAMILIES[protocol or "tcp"])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("0.0.0.0", int(number)))
    if protocol != "udp":
        sock.listen(5)
    held.append(sock)
child = os.fork()
if child:
    print(child, flush=True)
    os._exit(0)
os.setsid()
nowhere = os.open(os.devnull, os.O_RDWR)
for descriptor in (0, 1, 2):
    os.dup2(nowhere, descriptor)
while True:
    signal.pause()
