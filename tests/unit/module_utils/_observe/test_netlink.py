# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket table by sock_diag: recorded rows, made-up rows, and a zoo of sockets against ss and psutil."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData, SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import netlink as wire
from ansible_collections.harbormaster.ports.plugins.module_utils._model import BOUND, LISTEN, TCP, TIME_WAIT, Socket
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import netlink, procnet
from hypothesis import example, given
from hypothesis import strategies as some

ROWS = yaml.safe_load((Path(__file__).resolve().parents[2] / "data" / "sock_diag.yml").read_text(encoding="utf-8"))
little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="by design: recorded on a little-endian machine")

SO_BINDTODEVICE = 25
IPPROTO_MPTCP = 262


def raw(case):
    return bytes.fromhex(case["bytes"].replace(" ", ""))


@little_endian
@pytest.mark.parametrize("case", ROWS, ids=[case["what"] for case in ROWS])
def test_recorded_rows(case):
    data = raw(case)
    expected = Socket(protocol=case["protocol"], diag_id=data[4:52], **case["row"])
    assert netlink.parse_row(data, case["protocol"]) == expected


@little_endian
@pytest.mark.parametrize("case", ROWS, ids=[case["what"] for case in ROWS])
def test_no_half_rows(case):
    data = raw(case)
    whole = netlink.parse_row(data, case["protocol"])
    for size in range(len(data)):
        try:
            cut = netlink.parse_row(data[:size], case["protocol"])
        except MalformedData:
            continue
        # The attributes are cut: at most the answer to "IPv6 only?" is lost, nothing is invented.
        assert size >= 72
        assert cut._replace(v6only=whole.v6only) == whole


MUTANTS = some.tuples(
    some.sampled_from(ROWS),
    some.lists(some.tuples(some.integers(0, 140), some.integers(0, 255)), max_size=6),
    some.integers(0, 140),
)


@given(MUTANTS, some.sampled_from(["tcp", "udp"]))
def test_mutated_rows_are_understood_or_refused(mutant, protocol):
    case, changes, size = mutant
    data = bytearray(raw(case))
    for offset, value in changes:
        if offset < len(data):
            data[offset] = value
    try:
        row = netlink.parse_row(bytes(data[:size]), protocol)
    except MalformedData:
        return
    assert 0 <= row.port <= 65535
    assert row.v6only in (None, True, False)


@pytest.mark.parametrize(
    ("offset", "value"), [(0, 1), (0, 0), (1, 0), (1, 13), (1, 255)], ids=["unix", "no family", "0", "13", "255"]
)
def test_families_and_states_that_were_not_asked_for(offset, value):
    data = bytearray(raw(ROWS[0]))
    data[offset] = value
    with pytest.raises(MalformedData):
        netlink.parse_row(bytes(data), "tcp")


def test_udp_has_two_states_only():
    with pytest.raises(MalformedData, match="udp socket in state 10"):
        netlink.parse_row(raw(ROWS[0]), "udp")


# The filter program.

KNOWN = [
    (((7900, 7900),), "02081400 0000dc1e 03080c00 0000dc1e"),
    (
        ((80, 80), (8000, 8010)),
        "02081400 00005000 03080c00 00005000 01041400 02081400 0000401f 03080c00 00004a1f",
    ),
]


@little_endian
@pytest.mark.parametrize(("ranges", "program"), KNOWN)
def test_known_programs(ranges, program):
    assert netlink.bytecode(ranges).hex() == program.replace(" ", "")


def runs(program, port):
    """What the kernel's inet_diag_bc_run does with the program: True when the row passes."""
    length, offset = len(program), 0
    while length > 0:
        code, yes, no = struct.unpack_from("=BBH", program, offset)
        limit = struct.unpack_from("=H", program, offset + 6)[0] if code in (2, 3) else None
        truth = {1: False, 2: limit is not None and port >= limit, 3: limit is not None and port <= limit}[code]
        step = yes if truth else no
        length -= step
        offset += step
    return length == 0


RANGES = some.lists(some.integers(1, 65535), min_size=1, max_size=40, unique=True).map(
    lambda edges: tuple((low, low) if index % 2 else (max(low - 3, 1), low) for index, low in enumerate(sorted(edges)))
)


@example(((80, 80),), 80)
@example(((80, 80),), 81)
@given(RANGES, some.integers(0, 65535))
def test_the_program_lets_pass_what_is_in_a_range(ranges, port):
    ports = [port, *(edge for pair in ranges for edge in pair), *(pair[1] + 1 for pair in ranges)]
    program = netlink.bytecode(ranges)
    for one in ports:
        assert runs(program, one) == any(first <= one <= last for first, last in ranges)


# Real sockets, in a namespace of their own.


class Zoo:
    """Sockets of every kind; they stay open as long as it lives."""

    def __init__(self):
        self.kept = []
        server = self.tcp("127.0.0.1", 20001, backlog=8)
        self.tcp("0.0.0.0", 20002)
        self.tcp("::1", 20003, only=True)
        dual = self.tcp("::", 20004, only=False)
        self.tcp("::ffff:127.0.0.2", 20005, only=False)
        for _unused in range(3):
            self.tcp("127.0.0.1", 20006, share=True)
        self.tcp("127.0.0.3", 20007, device=b"lo")
        # Bound and no more.
        self.tcp("127.0.0.1", 20008, backlog=None)
        self.tcp("::", 20009, only=True, backlog=None)
        # Connections: accepted, of a dual stack, waiting to be accepted, half closed, over.
        self.connect(20001, 20101, server)
        self.connect(20004, 20102, dual)
        one, _unused = self.connect(20001, 20104, server)
        one.shutdown(socket.SHUT_WR)
        over, gone = self.connect(20001, 20105, server)
        over.close()
        gone.close()
        orphan, _unused = self.connect(20001, 20106, server)
        orphan.close()
        self.connect(20001, 20103, None)
        # No room in the queue of this listener: the second one tries in vain.
        self.tcp("127.0.0.1", 20010, backlog=0)
        for number in (20107, 20108):
            late = self.keep(socket.socket())
            late.setblocking(False)
            late.bind(("127.0.0.1", number))
            late.connect_ex(("127.0.0.1", 20010))
        self.udp("127.0.0.1", 20001)
        self.udp("::", 20002)
        self.udp("::1", 20003).connect(("::1", 20202))
        self.udp("0.0.0.0", 20004).connect(("127.0.0.1", 20201))
        for _unused in range(2):
            self.udp("127.0.0.1", 20006, share=True)

    def keep(self, one):
        self.kept.append(one)
        return one

    def tcp(self, address, port, backlog=16, only=None, share=False, device=b"", protocol=0):
        one = self.bind(socket.SOCK_STREAM, address, port, only, share, device, protocol)
        if backlog is not None:
            one.listen(backlog)
        return one

    def udp(self, address, port, only=None, share=False):
        return self.bind(socket.SOCK_DGRAM, address, port, only, share)

    def bind(self, kind, address, port, only, share, device=b"", protocol=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        one = self.keep(socket.socket(family, kind, protocol))
        if kind == socket.SOCK_STREAM:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if only is not None:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        if share:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if device:
            one.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, device)
        one.bind((address, port))
        return one

    def connect(self, port, source, server):
        client = self.keep(socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.1", source)))
        return client, self.keep(server.accept()[0]) if server else None

    def settle(self):
        """Wait for the last acknowledgements: until nothing is in SYN_RECV (03) or FIN_WAIT1 (04) any more."""
        for _unused in range(10000):
            with open("/proc/self/net/tcp", encoding="ascii") as stream:
                states = {line.split()[3] for line in stream}
            if not states & {"03", "04"}:
                return
            time.sleep(0.001)
        raise TimeoutError(states)

    def inodes(self):
        return {os.fstat(one.fileno()).st_ino for one in self.kept if one.fileno() >= 0}


def key(row):
    return row.protocol, row.family, row.address, row.port, row.state, row.remote_address, row.remote_port, row.inode


SS_STATES = {"ESTAB": "ESTABLISHED", "SYN-RECV": "SYN_RECV", "SYN-SENT": "SYN_SENT", "CLOSE-WAIT": "CLOSE_WAIT"}
SS_STATES.update({"FIN-WAIT-1": "FIN_WAIT1", "FIN-WAIT-2": "FIN_WAIT2", "TIME-WAIT": "TIME_WAIT"})


def by_ss(family):
    """What `ss` shows of one family, as the keys of our rows."""
    rows = set()
    command = ["ss", "-anHtue", "-4" if family == "ipv4" else "-6"]
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        words = line.split()
        ends = []
        for word in words[4:6]:
            address, _unused, port = word.rpartition(":")
            address = address.partition("%")[0].strip("[]")
            address = "::" if address == "*" else address
            ends += [address[7:] if address.startswith("::ffff:") else address, 0 if port == "*" else int(port)]
        if ends[3] == 0:
            ends[2] = ""
        inode = next((int(word[4:]) for word in words if word.startswith("ino:")), 0)
        rows.add((words[0], family, ends[0], ends[1], SS_STATES.get(words[1], words[1]), ends[2], ends[3], inode))
    return rows


def by_psutil():
    """What psutil shows, without inodes, which it does not tell."""
    rows = set()
    for one in psutil.net_connections("inet"):
        family = "ipv6" if one.family == socket.AF_INET6 else "ipv4"
        remote = (one.raddr.ip, one.raddr.port) if one.raddr else ("", 0)
        protocol = "udp" if one.type == socket.SOCK_DGRAM else "tcp"
        state = one.status if protocol == "tcp" else ("ESTABLISHED" if one.raddr else "UNCONN")
        plain = [text[7:] if text.startswith("::ffff:") else text for text in (one.laddr.ip, remote[0])]
        rows.add((protocol, family, plain[0], one.laddr.port, state, plain[1], remote[1]))
    return rows


def look_at_zoo():
    zoo = Zoo()
    zoo.settle()
    rows = netlink.dump()
    return {
        "rows": rows,
        "filtered": netlink.dump(((1, 65535),)),
        "many": netlink.dump(tuple((port, port) for port in range(20000, 20400, 2))),
        "some": netlink.dump(((20001, 20001), (20004, 20006))),
        "none": netlink.dump(((25000, 26000),)),
        "listen": netlink.dump(None, (TCP,), netlink.LISTEN_STATES),
        "future": netlink.dump(None, states=0xFFFFFFFF),
        "udp": netlink.dump(None, ("udp",)),
        "twice": netlink.dump_all_twice(),
        "proc": procnet.read(),
        "proc some": procnet.read(((20001, 20001), (20004, 20006))),
        "inodes": zoo.inodes(),
        "ss": {family: by_ss(family) for family in ("ipv4", "ipv6")} if shutil.which("ss") else None,
        "psutil": by_psutil(),
    }


@pytest.fixture
def seen(in_netns):
    return in_netns(look_at_zoo)


def test_a_zoo_of_sockets(seen):
    rows = seen["rows"]
    keys = [key(row) for row in rows]
    assert len(keys) == len(set(keys)), "a row twice"
    # By construction: every descriptor has its one row, and no row has an inode that is not ours.
    assert sorted(row.inode for row in rows if row.inode) == sorted(seen["inodes"])
    # Compared with others, who don't see what is only bound.
    shown = [row for row in rows if row.state != BOUND]
    assert sorted({key(row)[:7] for row in shown}) == sorted(seen["psutil"])
    assert sorted(row.port for row in rows if row.state == BOUND) == [20008, 20009]
    states = {row.state for row in rows}
    assert {LISTEN, TIME_WAIT, "CLOSE_WAIT", "FIN_WAIT2", "SYN_SENT", "UNCONN", "ESTABLISHED"} <= states
    by_port = {(row.protocol, row.port): row for row in rows if row.state in (LISTEN, "UNCONN")}
    assert by_port["tcp", 20003].v6only is True
    assert by_port["tcp", 20004].v6only is False
    assert by_port["tcp", 20005].address == "127.0.0.2"
    assert by_port["tcp", 20005].family == "ipv6"
    assert by_port["tcp", 20007].interface > 0
    assert by_port["tcp", 20001].rqueue == 1
    accepted = [row for row in rows if row.port == 20004 and row.remote_port == 20102]
    assert [(row.family, row.address) for row in accepted] == [("ipv6", "127.0.0.1")]
    waiting = [row for row in rows if row.port == 20001 and row.remote_port == 20103]
    assert [(row.state, row.inode) for row in waiting] == [("ESTABLISHED", 0)]
    assert len([row for row in rows if (row.protocol, row.port, row.state) == ("tcp", 20006, LISTEN)]) == 3


@pytest.mark.skipif(shutil.which("ss") is None, reason="needs ss (iproute2)")
@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_the_zoo_as_ss_sees_it(seen, family):
    ours = {key(row) for row in seen["rows"] if row.state != BOUND and row.family == family}
    assert sorted(ours) == sorted(seen["ss"][family])


def test_filters_leave_out_the_rest_and_only_that(seen):
    rows = seen["rows"]

    def only(ports):
        return sorted(key(row) for row in rows if row.port in ports)

    assert sorted(map(key, seen["filtered"])) == only(range(1, 65536))
    assert sorted(map(key, seen["some"])) == only([20001, 20004, 20005, 20006])
    # More ranges than the kernel is asked to check.
    assert sorted(map(key, seen["many"])) == only(range(20000, 20400, 2))
    assert seen["none"] == []
    assert sorted(map(key, seen["udp"])) == sorted(key(row) for row in rows if row.protocol == "udp")
    wanted = sorted(key(row) for row in rows if row.protocol == "tcp" and row.state in (LISTEN, BOUND))
    assert sorted(map(key, seen["listen"])) == wanted


def test_bits_of_states_that_do_not_exist_do_no_harm(seen):
    assert sorted(map(key, seen["future"])) == sorted(map(key, seen["rows"]))


def test_two_looks_united_hold_each_socket_once(seen):
    assert sorted(map(key, seen["twice"])) == sorted(map(key, seen["rows"]))


def test_proc_net_shows_the_same_but_for_what_is_bound(seen):
    shown = [row for row in seen["rows"] if row.state != BOUND]
    assert sorted(map(key, seen["proc"])) == sorted(map(key, shown))
    some_ports = [20001, 20004, 20005, 20006]
    assert sorted(map(key, seen["proc some"])) == sorted(key(row) for row in shown if row.port in some_ports)
    rest = {key(row): (row.uid, row.rqueue) for row in shown}
    assert {key(row): (row.uid, row.rqueue) for row in seen["proc"]} == rest


def test_a_plain_user_sees_the_same_sockets(in_netns):
    def look():
        zoo = Zoo.__new__(Zoo)
        zoo.kept = []
        zoo.tcp("127.0.0.1", 20001)
        zoo.tcp("::", 20002, backlog=None)
        return [(row.port, row.state, row.uid) for row in netlink.dump()]

    assert in_netns(look, user=True) == [(20001, LISTEN, 65534), (20002, BOUND, 65534)]


def test_an_unlistened_listener_is_bound(in_netns):
    def look():
        with socket.socket() as one:
            one.bind(("127.0.0.1", 20001))
            one.listen()
            one.shutdown(socket.SHUT_RDWR)
            return [row.state for row in netlink.dump(((20001, 20001),))]

    assert in_netns(look) == [BOUND]


def look_at_mptcp():
    zoo = Zoo.__new__(Zoo)
    zoo.kept = []
    plain = zoo.tcp("127.0.0.1", 20001)
    before = netlink.mptcp_sockets(netlink._protocols_file())
    server = zoo.tcp("127.0.0.1", 20002, protocol=IPPROTO_MPTCP)
    zoo.tcp("::", 20003, protocol=IPPROTO_MPTCP)
    zoo.tcp("127.0.0.1", 20004, backlog=None, protocol=IPPROTO_MPTCP)
    client = zoo.keep(socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP))
    client.bind(("127.0.0.1", 20005))
    client.connect(("127.0.0.1", 20002))
    zoo.keep(server.accept()[0])
    rows = netlink.dump(((20000, 20010),))
    plain_inode = os.fstat(plain.fileno()).st_ino
    return before, rows, zoo.inodes(), plain_inode


@pytest.fixture
def mptcp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError as error:
        pytest.skip("this kernel has no MPTCP: %s" % error)


def test_mptcp_sockets_are_there_once_with_the_inode_of_their_descriptor(mptcp, in_netns):
    before, rows, inodes, plain = in_netns(look_at_mptcp)
    assert before is False
    assert sorted(row.inode for row in rows) == sorted(inodes)
    assert {row.port: row.state for row in rows if not row.remote_port} == {
        20001: LISTEN,
        20002: LISTEN,
        20003: LISTEN,
        20004: BOUND,
    }
    # What is only bound is in no MPTCP table: it is there, but looks like plain TCP.
    assert {row.port for row in rows if not row.mptcp} == {20001, 20004}
    assert [row.inode for row in rows if row.port == 20001] == [plain]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", False),
        ("protocol  size sockets  memory\nTCP       2432     12      1\n", False),
        ("MPTCP     1856      0       0   no\nMPTCPv6   1992      0\n", False),
        ("MPTCP     1856      0       0   no\nMPTCPv6   1992      2\n", True),
        ("MPTCP", False),
    ],
)
def test_whether_there_are_mptcp_sockets(text, answer):
    assert netlink.mptcp_sockets(text) is answer


# What the kernel refuses.


def test_no_ranges_ask_nothing(monkeypatch):
    monkeypatch.setattr(wire, "ask", lambda *_arguments: pytest.fail("asked"))
    assert netlink.dump(()) == []


def test_a_refusal_is_never_an_empty_table(monkeypatch):
    def refuse(*_arguments):
        raise wire.Refused("sock_diag", 2)

    monkeypatch.setattr(wire, "ask", refuse)
    with pytest.raises(SourceRefused):
        netlink.dump(((80, 80),))


def test_mptcp_that_can_not_be_asked_leaves_the_rows(monkeypatch):
    row = Socket("tcp", "ipv4", "127.0.0.1", 80, LISTEN, inode=7)

    def refuse(*_arguments):
        raise wire.Refused("sock_diag", 2)

    monkeypatch.setattr(wire, "ask", refuse)
    assert netlink._mark_mptcp([row], netlink.ALL_STATES, b"") == [row]


def test_of_two_looks_the_second_counts_and_the_first_fills_its_holes(monkeypatch):
    def made(number, state):
        return Socket("tcp", "ipv4", "127.0.0.1", 80, state, inode=number, diag_id=bytes(40) + bytes([number] * 8))

    looks = [[made(1, "ESTABLISHED"), made(2, LISTEN)], [made(1, "CLOSE_WAIT"), made(3, LISTEN)]]
    monkeypatch.setattr(netlink, "dump", lambda *_arguments: looks.pop(0))
    rows = netlink.dump_all_twice()
    assert sorted((row.inode, row.state) for row in rows) == [(1, "CLOSE_WAIT"), (2, LISTEN), (3, LISTEN)]
