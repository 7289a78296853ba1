# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server for the hosts of the lab: it holds ports, answers with its pid, and ends as it was told.

Its process is called lab-serve, after the file that it is installed as. It needs nothing but Python.
"""

import argparse
import os
import selectors
import signal
import socket
import sys
import time


def listener(address, port, kind):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    if kind == socket.SOCK_STREAM:
        sock.listen(16)
    return sock


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("ports", nargs="*", type=int)
    parser.add_argument("--udp", action="append", default=[], type=int, metavar="PORT")
    parser.add_argument("--address", default="0.0.0.0")
    parser.add_argument("--activated", action="store_true", help="serve what systemd passed, see sd_listen_fds(3)")
    parser.add_argument("--inetd", action="store_true", help="serve the connection on descriptor 0, for Accept=yes")
    parser.add_argument("--deaf", action="store_true", help="ignore TERM, INT, QUIT and HUP")
    parser.add_argument("--slow", type=float, default=0, metavar="SECONDS", help="from TERM to the end")
    parser.add_argument("--code", type=int, default=0, help="exit code after TERM")
    parser.add_argument("--store", action="store_true", help="leave the sockets with systemd as well, see sd_notify(3)")
    parser.add_argument("--workers", type=int, default=0, help="children that share the sockets")
    parser.add_argument("--children", type=int, default=0, metavar="PORT", help="a child of its own holds this port")
    return parser.parse_args()


def serve(socks):
    selector = selectors.DefaultSelector()
    for sock in socks:
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
    kept = []
    while True:
        for key, _events in selector.select():
            sock = key.fileobj
            try:
                if sock.type == socket.SOCK_DGRAM:
                    sender = sock.recvfrom(2000)[1]
                    sock.sendto(b"%d\n" % os.getpid(), sender)
                elif sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    client = sock.accept()[0]
                    client.sendall(b"%d\n" % os.getpid())
                    selector.register(client, selectors.EVENT_READ)
                    kept.append(client)
                elif not sock.recv(2000):
                    selector.unregister(sock)
                    kept.remove(sock)
                    sock.close()
            except BlockingIOError:
                pass  # another worker was faster
            except OSError:
                selector.unregister(sock)


def main():
    told = options()
    if told.inetd:
        os.write(0, b"%d\n" % os.getpid())
        while os.read(0, 2000):
            pass
        return

    def leave(number, frame):
        time.sleep(told.slow)
        os._exit(told.code)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if told.deaf else leave)
    socks = [listener(told.address, port, socket.SOCK_STREAM) for port in told.ports]
    socks += [listener(told.address, port, socket.SOCK_DGRAM) for port in told.udp]
    if told.activated:
        socks += [socket.socket(fileno=3 + index) for index in range(int(os.environ["LISTEN_FDS"]))]
    if told.store:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect(os.environ["NOTIFY_SOCKET"])
            socket.send_fds(manager, [b"FDSTORE=1\nFDNAME=kept"], [sock.fileno() for sock in socks])
    for _worker in range(told.workers):
        if os.fork() == 0:
            break
    if told.children and os.fork() == 0:
        for sock in socks:
            sock.close()
        serve([listener(told.address, told.children, socket.SOCK_STREAM)])
    serve(socks)


if __name__ == "__main__":
    sys.exit(main())
