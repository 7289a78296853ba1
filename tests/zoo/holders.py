# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The animals of the zoo: real processes that hold ports, each in its own way.

Run as ``python holders.py SPECIES [words that show up in the command line]``. What the animal shall do comes as
JSON in ZOO_OPTIONS; when it is in place it writes one line of JSON to the descriptor in ZOO_REPORT:

    {"owners": [pids that hold the asked port, by construction], "others": [pids that must survive], "port": ...}

Standard input is its lifeline: each process ends when the keeper closes it, so a keeper that dies leaves
nothing behind. The line ``exit`` makes the first process leave by itself, ``close`` makes it give up its socket.

This file runs on its own, without the collection, on every Python from 3.8 on.
"""

from __future__ import annotations

import array
import ctypes
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
import time

PR_SET_NAME = 15  # linux/prctl.h
CLONE_FILES = 0x400  # linux/sched.h
SYS_EXIT = {"x86_64": 60}.get(os.uname().machine, 93)  # ends one thread, not the process; 93 is asm-generic's
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h
IPPROTO_MPTCP = 262  # linux/in.h

OPTIONS = json.loads(os.environ.get("ZOO_OPTIONS", "{}"))
SPECIES = {}


def species(function):
    SPECIES[function.__name__] = function
    return function


def option(name, default=None):
    return OPTIONS.get(name, default)


# Living together ------------------------------------------------------------------------------------------------


def report(owners, others=(), **more):
    """Tell the keeper that everything is in place. The keeper closes nothing before it has read this."""
    line = dict(more, owners=sorted(owners), others=sorted(others), pid=os.getpid())
    line.setdefault("port", option("port"))
    os.write(int(os.environ["ZOO_REPORT"]), json.dumps(line).encode() + b"\n")


def hold(sock=None, listen_to_keeper=False):
    """Live until the lifeline is cut. Poll reports a hang-up without being asked for it."""
    poll = select.poll()
    poll.register(0, select.POLLIN if listen_to_keeper else 0)
    accepting = sock is not None and option("accept", False)
    if accepting:
        poll.register(sock, select.POLLIN)
    friends = []
    while True:
        for number, event in poll.poll():
            if accepting and number == sock.fileno():
                friends.append(sock.accept()[0])
            elif event & select.POLLIN:
                word = os.read(0, 100).split()
                if b"exit" in word:
                    os._exit(0)
                if b"close" in word and sock is not None:
                    if accepting:
                        poll.unregister(sock)
                        accepting = False
                    sock.close()
                    report([], [os.getpid()])
            elif number == 0:
                os._exit(0)


def child(function, *arguments):
    """Fork; the child runs ``function`` and says when it is ready by what that calls first: ``ready()``."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        status = 1
        try:

            def ready(word=b"."):
                os.write(writer, word)
                os.close(writer)

            function(ready, *arguments)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    answer = os.read(reader, 100)
    os.close(reader)
    if not answer:
        raise RuntimeError("a child of the zoo died before it was ready")
    return pid, answer


def holding_child(ready, sock=None):
    ready()
    hold(sock)


def rename(name):
    """Set comm. The file takes what prctl takes, 15 bytes, any of them."""
    with open("/proc/self/comm", "wb") as comm:
        comm.write(name)


def ignore(*numbers):
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def wait_until(what, seconds=10.0):
    """Bounded wait for a state of the kernel that no descriptor announces."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise RuntimeError("the zoo waited in vain for %s" % what.__name__)
        time.sleep(0.002)


def tcp_states(port, file="/proc/self/net/tcp"):
    """The states (hexadecimal, include/net/tcp_states.h) of the rows whose local port it is."""
    with open(file) as table:
        next(table)
        rows = [row.split() for row in table]
    return [row[3] for row in rows if int(row[1].rsplit(":", 1)[1], 16) == port]


# Sockets --------------------------------------------------------------------------------------------------------


def bound(family=socket.AF_INET, kind=socket.SOCK_STREAM, address=None, proto=0, v6only=None, reuse=True, port=None):
    sock = socket.socket(family, kind, proto)
    if reuse and kind == socket.SOCK_STREAM:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if option("reuseport"):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(option("v6only", False if v6only is None else v6only))
        )
    default = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    sock.bind((option("address", address or default), option("port", 0) if port is None else port))
    return sock


def listening(**how):
    sock = bound(**how)
    sock.listen(option("backlog", 16))
    return sock


def alone(sock):
    """The plain animal: one process, one socket; ``dial``: also a connection to that port, ``also``: also that port."""
    extra = socket.create_server(("127.0.0.1", option("also"))) if option("also") else None
    phone = socket.create_connection(("127.0.0.1", option("dial"))) if option("dial") else None
    report([os.getpid()], port=sock.getsockname()[1])
    hold(sock, listen_to_keeper=True)
    del phone, extra


@species
def tcp4():
    alone(listening())


@species
def tcp6():
    alone(listening(family=socket.AF_INET6))


@species
def udp4():
    alone(bound(kind=socket.SOCK_DGRAM))


@species
def udp6():
    alone(bound(family=socket.AF_INET6, kind=socket.SOCK_DGRAM))


@species
def tcp4_wildcard():
    alone(listening(address="0.0.0.0"))


@species
def udp4_wildcard():
    alone(bound(kind=socket.SOCK_DGRAM, address="0.0.0.0"))


@species
def dual_stack():
    alone(listening(family=socket.AF_INET6, address="::", v6only=False))


@species
def v6only():
    alone(listening(family=socket.AF_INET6, address="::", v6only=True))


@species
def udp_dual_stack():
    alone(bound(family=socket.AF_INET6, kind=socket.SOCK_DGRAM, address="::", v6only=False))


@species
def udp_v6only():
    alone(bound(family=socket.AF_INET6, kind=socket.SOCK_DGRAM, address="::", v6only=True))


@species
def tcp_and_udp():
    keep = bound(kind=socket.SOCK_DGRAM)
    sock = listening()
    alone(sock)
    keep.close()


@species
def two_sockets():
    """One process, one port, one socket for each family, as nginx and sshd do it."""
    keep = listening(family=socket.AF_INET6, address="::", v6only=True)
    alone(listening(address="0.0.0.0"))
    keep.close()


@species
def mptcp():
    alone(listening(proto=IPPROTO_MPTCP))


@species
def bound_only():
    """Bound, never listening: ss, netstat, lsof and psutil all miss it."""
    alone(bound(reuse=False))


@species
def shut_down():
    """A listener after shutdown(): bound, and silent."""
    sock = listening()
    sock.shutdown(socket.SHUT_RDWR)
    alone(sock)


@species
def udp_connected():
    sock = bound(kind=socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", 9))
    alone(sock)


@species
def unaccepted():
    """A listener with a queue of connections that nobody accepted; their rows have no inode."""
    sock = listening()

    def client(ready):
        sock.close()
        friends = [socket.create_connection(("127.0.0.1", port)) for dummy in range(3)]
        ready()
        hold(friends[0])

    port = sock.getsockname()[1]
    pid, dummy = child(client)
    report([os.getpid()], [pid], port=port)
    hold(sock, listen_to_keeper=True)


# Sharing --------------------------------------------------------------------------------------------------------


@species
def reuseport_group():
    """Three processes, three sockets, one port."""
    OPTIONS["reuseport"] = True

    def member(ready):
        sock = listening()
        ready()
        hold(sock)

    pids = [child(member)[0] for dummy in range(2)]
    sock = listening()
    report([os.getpid()] + pids)
    hold(sock, listen_to_keeper=True)


@species
def forked_sharers():
    """Four processes, one socket; psutil names one of them."""
    sock = listening()
    pids = [child(holding_child)[0] for dummy in range(3)]
    report([os.getpid()] + pids)
    hold(sock, listen_to_keeper=True)


@species
def reaping_master():
    """A master that takes its three workers with it when it is asked to go, as nginx does.

    Its word to them is USR1. A worker that hears TERM was asked by somebody else, and says so.
    """
    sock = listening()

    def worker(ready):
        signal.signal(signal.SIGTERM, lambda number, frame: report([], [], signal=number))
        holding_child(ready)

    pids = [child(worker)[0] for dummy in range(3)]

    def leave(dummy, frame):
        time.sleep(0.2)
        for pid in pids:
            os.kill(pid, signal.SIGUSR1)
        for pid in pids:
            os.waitpid(pid, 0)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    report([os.getpid()] + pids)
    hold(sock, listen_to_keeper=True)


@species
def sharers_without_parent():
    """The parent gave its copy away and lives on: the children are the owners, the parent a bystander."""
    sock = listening()
    pids = [child(holding_child, sock)[0] for dummy in range(3)]
    sock.close()
    report(pids, [os.getpid()])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # reaps by itself
    hold(listen_to_keeper=True)


def run_kept(sock):
    """Exec this program again as ``kept``: it owns the socket by inheritance only."""
    sock.set_inheritable(True)
    os.set_inheritable(int(os.environ["ZOO_REPORT"]), True)
    os.environ["ZOO_OPTIONS"] = json.dumps(dict(OPTIONS, parent=os.getppid(), keep=sock.fileno()))
    os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), "kept"])


@species
def kept():
    """The second half of the inherited ones: never opened a socket in its life."""
    os.fstat(option("keep"))
    if option("announce"):
        report([os.getpid()], [option("parent")] if option("parent_lives") else [])
    hold()


@species
def inherited_parent_gone():
    """The parent opened the socket, started a program with it and went."""
    OPTIONS["announce"] = True
    sock = listening()
    parent = os.getpid()
    if os.fork() == 0:

        def orphaned():
            return os.getppid() != parent

        wait_until(orphaned)
        run_kept(sock)
    os._exit(0)


@species
def inherited_parent_lives():
    """The parent opened the socket, started a program with it, closed its own copy and lives on."""
    OPTIONS.update(announce=True, parent_lives=True)
    sock = listening()
    if os.fork() == 0:
        OPTIONS["parent"] = os.getppid()
        sock.set_inheritable(True)
        run_kept(sock)
    sock.close()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    hold()


@species
def passed():
    """A listener sent over a Unix socket to a process that is no child; the sender closed its copy."""
    ours, theirs = socket.socketpair()

    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        ours.close()
        dummy, ancillary, flags, sender = theirs.recvmsg(1, socket.CMSG_LEN(4))
        os.fstat(struct.unpack("=i", ancillary[0][2][:4])[0])
        os.write(writer, b".")
        hold()
    os.close(writer)
    theirs.close()
    with listening() as sock:
        ours.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sock.fileno()]))])
    os.read(reader, 1)
    report([pid], [os.getpid()])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    hold(listen_to_keeper=True)


@species
def in_flight():
    """A listener on its way: sent, not received, closed by the sender. No process has it, and it blocks the port."""
    ours, theirs = socket.socketpair()
    with listening() as sock:
        ours.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sock.fileno()]))])
    report([], [os.getpid()])
    hold(theirs, listen_to_keeper=True)


# Threads --------------------------------------------------------------------------------------------------------


def holding_thread(body):
    ready = threading.Event()
    thread = threading.Thread(target=body, args=(ready,), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("a thread of the zoo did not get ready")
    return thread


@species
def zombie_leader():
    """The first thread has ended (the process shows as a zombie), another one lives and holds the socket."""

    def body(ready):
        sock = listening()
        ready.set()

        def leader_gone():
            with open("/proc/%d/stat" % os.getpid()) as stat:
                return stat.read().rsplit(")", 1)[1].split()[0] == "Z"

        wait_until(leader_gone)
        report([os.getpid()])
        hold(sock)

    libc = ctypes.CDLL(None)
    holding_thread(body)
    libc.syscall(SYS_EXIT, 0)


@species
def unshared_files():
    """A thread with a descriptor table of its own: only /proc/pid/task/tid/fd shows the socket."""

    def body(ready):
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_FILES):
            raise OSError(ctypes.get_errno(), "unshare")
        sock = listening()
        ready.set()
        hold(sock)

    holding_thread(body)
    report([os.getpid()])
    hold(listen_to_keeper=True)


# Connections and what they leave behind ----------------------------------------------------------------------------


def peer():
    """A server in a process of its own, on another port: accepts one connection and keeps it."""
    port_reader, port_writer = os.pipe()

    def serve(ready):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            sock.listen(1)
            os.write(port_writer, b"%d" % sock.getsockname()[1])
            ready()
            friend = sock.accept()[0]
        hold(friend)

    pid, dummy = child(serve)
    port = int(os.read(port_reader, 10))
    os.close(port_reader)
    os.close(port_writer)
    return pid, port


@species
def outgoing():
    """An outgoing connection whose local port connect() chose."""
    pid, port = peer()
    sock = socket.create_connection(("127.0.0.1", port))
    report([os.getpid()], [pid], port=sock.getsockname()[1])
    hold(sock, listen_to_keeper=True)


@species
def outgoing_no_port():
    """The same, after a bind of the address alone."""
    pid, port = peer()
    sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind(("127.0.0.1", 0))
    sock.connect(("127.0.0.1", port))
    report([os.getpid()], [pid], port=sock.getsockname()[1])
    hold(sock, listen_to_keeper=True)


@species
def outgoing_bound():
    """The same with a port that the program asked for, and without SO_REUSEADDR."""
    pid, port = peer()
    sock = bound(reuse=option("reuse", False))
    sock.connect(("127.0.0.1", port))
    report([os.getpid()], [pid])
    hold(sock, listen_to_keeper=True)


@species
def clients():
    """Clients of somebody else's port: never an owner, always a bystander."""
    family = socket.AF_INET6 if ":" in option("address", "") else socket.AF_INET

    def client(ready):
        sock = socket.socket(family)
        sock.connect((option("address", "127.0.0.1"), option("port")))
        ready()
        hold(sock)

    pids = [child(client)[0] for dummy in range(option("number", 3))]
    report([], pids + [os.getpid()])
    hold(listen_to_keeper=True)


@species
def time_wait():
    """A server that closed first and left: TIME_WAIT rows, no process. ``reuse`` is its SO_REUSEADDR."""
    with listening(reuse=option("reuse", True)) as sock:
        port = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            friend = sock.accept()[0]
            friend.shutdown(socket.SHUT_WR)
            client.recv(1)  # the end of the stream: now our close makes the last half
        friend.close()

    def waiting():
        return tcp_states(port) == ["06"]

    wait_until(waiting)
    report([], [os.getpid()], port=port)
    hold(listen_to_keeper=True)


@species
def fin_wait():
    """A server that closed and left while its client keeps its half open: an orphan in FIN_WAIT2."""
    sock = listening(reuse=option("reuse", True))
    port = sock.getsockname()[1]

    def client(ready):
        sock.close()
        friend = socket.create_connection(("127.0.0.1", port))
        ready()
        hold(friend)

    pid, dummy = child(client)
    friend = sock.accept()[0]
    sock.close()
    friend.close()

    def waiting():
        return tcp_states(port) == ["05"]

    wait_until(waiting)
    report([], [os.getpid(), pid], port=port)
    hold(listen_to_keeper=True)


# Characters -------------------------------------------------------------------------------------------------------


@species
def stubborn():
    """Ignores every polite signal."""
    ignore(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    alone(listening())


@species
def slow():
    """Takes its time: closes the socket and goes a while after it was asked to."""

    def leave(dummy, frame):
        time.sleep(option("delay", 0.6))
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    alone(listening())


@species
def closes_and_lives():
    """On TERM it gives up the port, and goes on with other work. It must not be killed for that."""
    sock = listening()
    signal.signal(signal.SIGTERM, lambda dummy, frame: sock.close())
    report([os.getpid()])
    hold(listen_to_keeper=True)


@species
def stopped():
    """Frozen by SIGSTOP: TERM alone does not reach it."""
    sock = listening()
    report([os.getpid()])
    os.kill(os.getpid(), signal.SIGSTOP)
    hold(sock, listen_to_keeper=True)


@species
def term_only():
    """Says which signal ended it: a line with the number goes to the keeper."""
    sock = listening()

    def leave(number, frame):
        report([], [], signal=number)
        os._exit(0)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, leave)
    alone(sock)


@species
def turncoat():
    """On TERM or USR1 it becomes another program by exec, which keeps the socket and ignores what is polite."""
    sock = listening()
    sock.set_inheritable(True)
    os.environ["ZOO_SOCKET"] = str(sock.fileno())
    os.set_inheritable(int(os.environ["ZOO_REPORT"]), True)
    into = option("into", sys.executable)

    def become(dummy, frame):
        os.execv(into, [into, os.path.abspath(__file__), "heir"])

    signal.signal(signal.SIGTERM, become)
    signal.signal(signal.SIGUSR1, become)
    alone(sock)


@species
def heir():
    """What a turncoat becomes."""
    ignore(signal.SIGTERM, signal.SIGINT)
    alone(socket.socket(fileno=int(os.environ["ZOO_SOCKET"])))


@species
def setuid_drop():
    """Binds as root, goes on as somebody else: its /proc entry still belongs to root (not dumpable)."""
    sock = listening()
    os.setgroups([])
    os.setgid(option("gid", 65534))
    os.setuid(option("uid", 65534))
    alone(sock)


@species
def respawner():
    """A parent that starts its child again ``delay`` seconds after it went."""
    os.environ["ZOO_OPTIONS"] = json.dumps(dict(OPTIONS, others=[os.getpid()]))
    report_fd = int(os.environ["ZOO_REPORT"])
    while True:
        pid = os.fork()
        if pid == 0:
            os.set_inheritable(report_fd, True)
            os.execv(sys.executable, [sys.executable, os.path.abspath(__file__), "respawned"])
        os.waitpid(pid, 0)
        poll = select.poll()
        poll.register(0, 0)
        if poll.poll(int(option("delay", 0) * 1000)):
            os._exit(0)


@species
def respawned():
    """One life of a respawner's child."""
    sock = listening()
    report([os.getpid()], option("others", [os.getppid()]), life=True)
    hold(sock)


def main():
    if "comm" in OPTIONS and sys.argv[1] != "heir":
        rename(OPTIONS["comm"].encode("latin-1"))
    SPECIES[sys.argv[1]]()


if __name__ == "__main__":
    main()
