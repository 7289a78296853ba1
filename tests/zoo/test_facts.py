# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""listen_ports_facts over the whole zoo, row by row beside ss, netstat and psutil."""

from __future__ import annotations

import os
import re
import resource
import socket
import subprocess
import sys
import time

import pytest

from zoo import harness, world
from zoo.bestiary import ALL, ANIMALS, Animal
from zoo.world import NOBODY

# /proc/net has no row of these.
NETLINK_ONLY = {"bound_only", "shut_down"}
EVERY = pytest.mark.parametrize("animal", ANIMALS, ids=lambda animal: animal.name)


class Facts:
    """What the module said, and the rows on one port."""

    def __init__(self, module: harness.Module, **options) -> None:
        self.result = module.run(**options)
        assert not self.result.failed, self.result["msg"]
        assert self.result["changed"] is False
        self.rows = self.result["ansible_facts"]["tcp_listen"] + self.result["ansible_facts"]["udp_listen"]

    def on(self, port: int) -> list[dict]:
        return [row for row in self.rows if row["port"] == port]


def pids(rows: list[dict]) -> list[int]:
    return sorted({owner["pid"] for row in rows for owner in row["owners"]})


@EVERY
@pytest.mark.parametrize("backend", ["auto", "netlink", "procfs"])
def test_every_owner_of_every_animal(zoo, facts_module, animal: Animal, backend: str) -> None:
    if backend == "procfs" and animal.species in NETLINK_ONLY:
        backend = "auto"
    holder = zoo.keep(animal)
    found = Facts(facts_module, backend=backend, include_non_listening=True)
    rows = found.on(holder.port)
    assert rows
    assert pids(rows) == holder.owners
    assert {row["protocol"] for row in rows} == set(animal.rows)
    for row in rows:
        assert (row["pid"] is None) is (row["owner_status"] != "known") is (row["owners"] == [])
        if row["owners"]:
            assert row["owners"][0]["pid"] == row["pid"]
    listening = [row for row in rows if row["state"] in ("LISTEN", "UNCONN")]
    plain = Facts(facts_module, backend=backend)
    assert [row["owners"] for row in plain.on(holder.port)] == [row["owners"] for row in listening]
    assert set(holder.living()) >= set(holder.owners)


@EVERY
def test_its_main_owner_is_the_root_most(zoo, facts_module, animal: Animal) -> None:
    holder = zoo.keep(animal)
    for row in Facts(facts_module, include_non_listening=True).on(holder.port):
        sharers = {owner["pid"] for owner in row["owners"]}
        if sharers and animal.species in ("forked_sharers", "reaping_master"):
            assert row["pid"] == holder.pid


# Oracles ----------------------------------------------------------------------------------------------------------


def by_ss() -> dict[tuple, set[int]]:
    """(protocol, state, address, port, peer) -> pids, as ss says it."""
    run = subprocess.run(["ss", "-tuanpH"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, timeout=30)
    found: dict[tuple, set[int]] = {}
    # a name with a line break goes on in the next line
    text = run.stdout.decode(errors="replace").rstrip()
    for line in re.split(r"\n(?=(?:tcp|udp) )", text) if text else []:
        words = re.match(r"(tcp|udp) +(\S+) +\d+ +\d+ +(\S+):(\d+) +(\S+)", line)
        assert words, line
        protocol, state, address, port, peer = words.groups()
        key = (protocol, state, plain(address), int(port), peer)
        found.setdefault(key, set()).update(int(pid) for pid in re.findall(r"pid=(\d+)", line))
    return found


def plain(address: str) -> str:
    address = "::" if address == "*" else address.partition("%")[0].strip("[]")
    return address[7:] if address.startswith("::ffff:") else address


@pytest.mark.tool("ss")
@EVERY
def test_row_by_row_as_ss_has_them(zoo, facts_module, animal: Animal) -> None:
    zoo.keep(animal)
    ours: dict[tuple, set[int]] = {}
    for row in Facts(facts_module, command="ss", include_non_listening=True).rows:
        key = (row["protocol"], row["state"], row["address"], row["port"], row["foreign_address"])
        ours.setdefault(key, set()).update({row["pid"]} - {None})
    # bound sockets are ours alone; ss of a later release calls them UNCONN
    ours = {key: found for key, found in ours.items() if key[1] != "BOUND"}
    ss = {key: found for key, found in by_ss().items() if key[:2] != ("tcp", "UNCONN")}
    assert set(ours) == set(ss)
    for key, found in ss.items():
        assert found == ours[key] if animal.ss == ALL else found <= ours[key]


def by_netstat() -> set[tuple]:
    """(protocol, state, address, port, peer, pid), as netstat says it."""
    words = ["netstat", "-tunapW"]
    run = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, timeout=30)
    found = set()
    for line in run.stdout.decode(errors="replace").splitlines():
        row = re.match(r"(tcp|udp)6? +\d+ +\d+ +(\S+):(\d+) +(\S+) +(?:([A-Z_0-9]+) +)?(-|\d+/)", line)
        if row:
            protocol, address, port, peer, state, pid = row.groups()
            owner = None if pid == "-" else int(pid[:-1])
            found.add((protocol, state or "UNCONN", plain(address), int(port), peer, owner))
    return found


@pytest.mark.tool("netstat")
@EVERY
def test_row_by_row_as_netstat_has_them(zoo, facts_module, animal: Animal) -> None:
    zoo.keep(animal)
    rows = Facts(facts_module, include_non_listening=True).rows
    keys = ("protocol", "state", "address", "port", "foreign_address")
    ours = {tuple(row[key] for key in keys): row for row in rows if row["state"] != "BOUND"}
    netstat = by_netstat()
    assert {row[:5] for row in netstat} == set(ours)
    for row in netstat:
        if row[5] is not None:
            assert row[5] in {owner["pid"] for other in rows for owner in other["owners"] if other["port"] == row[3]}


@EVERY
def test_row_by_row_as_psutil_has_them(zoo, facts_module, animal: Animal) -> None:
    try:
        import psutil
    except ImportError:
        world.lacking("psutil is not installed")
    zoo.keep(animal)
    rows = Facts(facts_module, include_non_listening=True).rows
    shared = {
        (row["protocol"], row["address"], row["port"], row["remote_address"] or "", row["remote_port"] or 0): {
            owner["pid"] for other in rows if other["port"] == row["port"] for owner in other["owners"]
        }
        for row in rows
        if row["state"] != "BOUND"
    }
    theirs = {}
    for each in psutil.net_connections("inet"):
        protocol = "udp" if each.type == socket.SOCK_DGRAM else "tcp"
        remote = (plain(each.raddr.ip), each.raddr.port) if each.raddr else ("", 0)
        theirs.setdefault((protocol, plain(each.laddr.ip), each.laddr.port, *remote), set()).add(each.pid)
    assert set(theirs) == set(shared)
    for key, found in theirs.items():
        assert found - {None} <= shared[key]
        if animal.psutil == ALL and animal.ss == ALL and animal.kind == "process" and len(shared[key]) == 1:
            assert found - {None} == shared[key] or None in found


# What can't be seen -----------------------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.parametrize("species", ["tcp4", "udp4", "dual_stack", "setuid_drop"])
@pytest.mark.parametrize("backend", ["auto", "procfs"])
def test_another_users_owner_is_null_and_said_to_be_hidden(zoo, facts_module, species: str, backend: str) -> None:
    holder = zoo.start(species)
    found = Facts(facts_module, as_user=NOBODY, backend=backend)
    (row,) = found.on(holder.port)
    assert (row["pid"], row["name"], row["user"], row["stime"], row["owners"]) == (None, None, None, None, [])
    assert row["owner_status"] == "not_root"
    assert "become: true" in found.result["msg"]


@pytest.mark.root
@pytest.mark.parametrize("species", ["tcp4", "udp4", "forked_sharers", "zombie_leader"])
def test_own_processes_need_no_root(zoo, facts_module, species: str) -> None:
    holder = zoo.start(species, user=NOBODY)
    found = Facts(facts_module, as_user=NOBODY)
    assert pids(found.on(holder.port)) == holder.owners
    assert "not known" not in found.result["msg"]


@pytest.mark.root
@pytest.mark.tool("setpriv")
@pytest.mark.tool("unshare")
def test_hidepid(zoo, facts_module) -> None:
    ours, theirs = zoo.start("tcp4", user=NOBODY), zoo.start("tcp4")
    script = 'mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid %d --regid %d --clear-groups "$@"' % (
        NOBODY,
        NOBODY,
    )
    found = Facts(facts_module, prefix=("unshare", "-m", "sh", "-c", script, "sh"))
    assert pids(found.on(ours.port)) == ours.owners
    (row,) = found.on(theirs.port)
    assert (row["pid"], row["owner_status"]) == (None, "hidepid")
    assert "hidepid" in found.result["msg"]


@pytest.mark.root
def test_a_pid_namespace(zoo, facts_module) -> None:
    holder = zoo.start("tcp4")
    (row,) = Facts(facts_module, prefix=("unshare", "-pf", "--mount-proc")).on(holder.port)
    assert (row["pid"], row["owner_status"]) == (None, "pid_namespace")


@EVERY
def test_a_container_without_netlink(zoo, facts_module, animal: Animal) -> None:
    prefix = (facts_module.python, str(harness.HERE_COPY / "without_netlink.py"))
    if subprocess.run([*prefix, "true"], check=False, timeout=30).returncode:
        world.lacking("seccomp filters can't be had")
    holder = zoo.keep(animal)
    found = Facts(facts_module, prefix=prefix, include_non_listening=True)
    assert "sock_diag is refused" in found.result["msg"]
    assert pids(found.on(holder.port)) == ([] if animal.species in NETLINK_ONLY else holder.owners)
    forced = facts_module.run(prefix=prefix, backend="netlink")
    assert forced.failed
    assert "sock_diag" in forced["msg"]


def test_a_descriptor_in_flight_is_unknown(zoo, facts_module) -> None:
    holder = zoo.start("in_flight")
    (row,) = Facts(facts_module).on(holder.port)
    assert row["pid"] is None
    assert row["owner_status"] in ("unknown", "descriptors_refused", "pid_namespace")


@pytest.mark.root
@pytest.mark.tool("ip")
def test_the_kernels_own_socket(zoo, facts_module) -> None:
    link = ["vx0", "type", "vxlan", "id", "5", "dstport", "4789", "local", "127.0.0.1", "dev", "lo"]
    subprocess.run(["ip", "link", "add", *link], check=True, timeout=10)
    subprocess.run(["ip", "link", "set", "vx0", "up"], check=True, timeout=10)
    (row,) = Facts(facts_module).on(4789)
    assert (row["pid"], row["owner_status"], row["name"]) == (None, "kernel", "vxlan link vx0")


# What it says -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "comm", [b"two\nlines", b"\xff\xfecaf\xe9", b"\x1b[31mred", b"tab\there", b"a) S 1 (b"], ids=repr
)
@pytest.mark.parametrize("details", ["process", "full"])
def test_odd_bytes_survive_json(zoo, facts_module, comm: bytes, details: str) -> None:
    holder = zoo.start("tcp4", comm=comm, argv=(b"\xff\xfe", b"two\nlines", b"\x1b]0;title\x07"))
    (row,) = Facts(facts_module, details=details).on(holder.port)
    assert row["pid"] == holder.pid
    assert row["name"].isprintable()
    if details == "full":
        assert row["command"].isprintable()


def test_a_long_name_is_whole(zoo, facts_module) -> None:
    holder = zoo.start("tcp4", executable=zoo.program("harbormaster-test-daemon"))
    (row,) = Facts(facts_module).on(holder.port)
    assert row["name"] == "harbormaster-test-daemon"


def test_secrets_stay_where_they_are(zoo, facts_module) -> None:
    holder = zoo.start("tcp4", argv=("--password=hunter2zebra", "harmless"))
    found = Facts(facts_module, details="full")
    (row,) = found.on(holder.port)
    assert "harmless" in row["command"]
    assert "hunter2zebra" not in found.result.text


def test_times_are_those_of_ps(zoo, facts_module) -> None:
    holder = zoo.start("tcp4")
    run = subprocess.run(["ps", "-o", "lstart=", "-p", str(holder.pid)], stdout=subprocess.PIPE, check=True, timeout=10)
    (row,) = Facts(facts_module).on(holder.port)
    ours, theirs = time.mktime(time.strptime(row["stime"])), time.mktime(time.strptime(run.stdout.decode().strip()))
    assert abs(ours - theirs) <= 1


@pytest.mark.parametrize("backend", ["auto", "procfs"])
def test_a_thousand_listeners(zoo, facts_module, backend: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    servers = []
    try:
        for port in range(20000, 21000) if zoo.network else [0] * 1000:
            server = socket.socket()
            servers.append(server)
            server.bind(("127.0.0.1", port))
            server.listen()
        ports = sorted(server.getsockname()[1] for server in servers)
        found = Facts(facts_module, backend=backend)
    finally:
        for server in servers:
            server.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sorted(row["port"] for row in found.rows if row["port"] in set(ports)) == ports
    assert {row["pid"] for row in found.rows if row["port"] in set(ports)} == {os.getpid()}


def test_psutil_backend_agrees(zoo, facts_module) -> None:
    try:
        import psutil  # noqa: F401
    except ImportError:
        world.lacking("psutil is not installed")
    holders = [zoo.start(species) for species in ("tcp4", "udp6", "dual_stack", "forked_sharers")]
    found = Facts(facts_module, backend="psutil", python=sys.executable)
    plain_facts = Facts(facts_module)
    for holder in holders:
        assert pids(found.on(holder.port)) == holder.owners
        ours, theirs = plain_facts.on(holder.port)[0], found.on(holder.port)[0]
        assert set(ours) == set(theirs)
        for key in ("address", "pid", "name", "user", "stime", "started", "service", "owner_status", "family"):
            assert ours[key] == theirs[key], key


def test_the_tools_of_the_oracles_are_not_needed(zoo, facts_module) -> None:
    """Nothing is run: it works with a PATH that leads nowhere."""
    holder = zoo.start("tcp4")
    found = Facts(facts_module, prefix=("env", "PATH=/nowhere"), command="netstat")
    assert pids(found.on(holder.port)) == holder.owners
