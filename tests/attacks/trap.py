# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the account without rights runs: it holds a port, and becomes, or is the child of, something with a chosen name.

``python3 trap.py FILE``, with the options as JSON in it. It writes one line, ``{"port": ..., "pid": ..., "above": ...}``, and waits for
its end. For the standard library of any Python 3.
"""

from __future__ import annotations

import array
import ctypes
import json
import os
import signal
import socket
import sys
import time

HELPERS = []
CROWD = ("dockerd", "conmon", "docker", "kubelet", "supervisord", "sshd", "monit", "podman", "systemd", "k3s")


def rename(name):
    ctypes.CDLL(None).prctl(15, name.encode("latin-1")[:15], 0, 0, 0)  # PR_SET_NAME of linux/prctl.h


def listening(options):
    family = socket.AF_INET6 if options.get("v6") else socket.AF_INET
    kind = socket.SOCK_DGRAM if options.get("udp") else socket.SOCK_STREAM
    one = socket.socket(family, kind)
    one.bind(("::1" if options.get("v6") else "127.0.0.1", options.get("port", 0)))
    if not options.get("udp"):
        one.listen(8)
    return one


def serve_unix(path, answer, full):
    """A socket that answers everybody with the same bytes, or one whose backlog is full."""
    there = socket.socket(socket.AF_UNIX)
    there.bind(path)
    there.listen(0 if full else 16)
    if full:
        clients = []
        for _number in range(2):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            try:
                client.connect(path)
            except OSError:
                pass
            clients.append(client)
        return [there, *clients]
    helper = os.fork()
    HELPERS.append(helper)
    if not helper:
        while True:
            friend, _address = there.accept()
            with open(path + ".asked", "a") as log:
                log.write("asked\n")
            try:
                request = friend.recv(65536).decode("latin-1").split(" ")
                body = json.dumps(answer_for(request[1], answer)).encode()
                friend.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body)
            except OSError:
                pass
            friend.close()
    return [there]


def answer_for(path, answers):
    if path.endswith("/json") and path.count("/") > 2:
        return answers.get("inspect", {})
    if path.startswith("/containers"):
        listed = answers.get("containers", [])
        return [dict(one, Labels={"a": "x" * answers.get("padding", 0)}) for one in listed]
    return answers.get(path, [])


def send(through, what):
    through.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [what.fileno()]))])


def main():
    with open(sys.argv[1], encoding="utf-8") as stream:
        options = json.load(stream)
    kept = []
    for name in options.get("abstract", []):
        one = socket.socket(socket.AF_UNIX)
        one.bind("\0" + name)
        one.listen(1)
        kept.append(one)
    for path in options.get("unix", []):
        kept += serve_unix(path, options.get("answers", {}), options.get("full", False))
    holder = listening(options)
    port = holder.getsockname()[1]
    if options.get("connected"):
        # An established connection of the holder itself: what an agent or a session has.
        one = socket.create_connection(("127.0.0.1", options["connected"]))
        kept.append(one)
    child = 0
    if options.get("in_flight"):
        # On its way to nobody: no process has a descriptor of it any more.
        if options["in_flight"] == "unaccepted":
            near, far = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
            far.bind("\0harbour-%d" % os.getpid())
            far.listen(1)
            near.connect(far.getsockname())
        else:
            near, far = socket.socketpair()
        send(near, holder)
        holder.close()
        kept += [near, far]
    if options.get("hand_to"):
        # A daemon of somebody else's gets the listener too.
        friend = socket.socket(socket.AF_UNIX)
        friend.connect(options["hand_to"])
        send(friend, holder)
        kept.append(friend)
    if options.get("child"):
        # What has the name is the parent of what holds the port.
        child = os.fork()
        if not child:
            rename(options.get("child_name", "web"))
            while True:
                time.sleep(60)
        holder.close()
    for number in range(options.get("crowd", 0)):
        # Each has a name that somebody looks for, and none is anybody's parent.
        helper = os.fork()
        HELPERS.append(helper)
        if not helper:
            rename(CROWD[number % len(CROWD)])
            while True:
                time.sleep(600)
    said = {"port": port, "pid": child or os.getpid(), "above": os.getpid(), "helpers": HELPERS}
    print(json.dumps(said), flush=True)
    if options.get("exec"):
        for one in [holder, *kept]:
            if one.fileno() >= 0:
                os.set_inheritable(one.fileno(), True)
        os.execve(options["exec"], options.get("argv") or [options["exec"]], dict(os.environ, **options.get("env", {})))
    if options.get("name"):
        rename(options["name"])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
