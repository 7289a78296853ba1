# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: exactly the right pids for every animal, and nothing changed by looking."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import time
from datetime import datetime, timezone

import pytest

from zoo import harness, world
from zoo.bestiary import ANIMALS, Animal

# Only netlink shows sockets that are bound and do not listen: see test_bound_socket_without_a_row_is_not_called_free.
NETLINK_ONLY = {"bound_only", "shut_down"}
VIEWS = [
    pytest.param(animal, backend, id="%s-%s" % (animal.name, backend))
    for animal in ANIMALS
    for backend in ("auto", "netlink", "procfs")
    if not (backend == "procfs" and animal.species in NETLINK_ONLY)
]


def protocols(result: harness.Result, port: int) -> dict[str, dict]:
    return {entry["protocol"]: entry for entry in result["ports"] if entry["port"] == port}


@pytest.mark.parametrize(("animal", "backend"), VIEWS)
def test_names_every_owner_and_nobody_else(zoo, animal: Animal, backend: str) -> None:
    holder = zoo.keep(animal)
    result = zoo.run(port=[holder.port], backend=backend)
    assert not result.failed, result["msg"]
    assert result["changed"] is False
    assert result.pids() == holder.owners
    entries = protocols(result, holder.port)
    assert {name for name, entry in entries.items() if entry["status"] != "free"} == set(animal.rows)
    for name in animal.rows:
        entry = entries[name]
        assert entry["status"] == animal.before
        assert entry["before"] == animal.before
        kinds = {found["kind"] for found in entry["holders"]}
        assert kinds == {animal.kind}
        assert {pid for found in entry["holders"] for pid in found["pids"]} == set(holder.owners)
    assert result["free"] is (animal.before == "lingering")
    assert set(holder.living()) >= set(holder.owners) | set(holder.others)


@pytest.mark.parametrize(
    "animal",
    [animal for animal in ANIMALS if animal.psutil == "all" and animal.kind == "process"],
    ids=lambda one: one.name,
)
def test_psutil_backend_agrees_where_psutil_sees(zoo, animal: Animal) -> None:
    try:
        import psutil  # noqa: F401
    except ImportError:
        world.lacking("psutil is not installed")
    holder = zoo.keep(animal)
    result = zoo.run(port=[holder.port], backend="psutil", python=sys.executable)
    assert not result.failed, result["msg"]
    assert result.pids() == holder.owners


def test_free_port_is_reported_as_free(zoo) -> None:
    port = zoo.port()
    result = zoo.run(port=[port])
    assert (result["free"], result["changed"], result["owners"]) == (True, False, [])
    assert {entry["protocol"]: entry["status"] for entry in result["ports"]} == {"tcp": "free", "udp": "free"}


def test_owner_is_described(zoo) -> None:
    holder = zoo.start("tcp4", comm="shipyard", argv=("serve", "--verbose"))
    result = zoo.run(port=["%d/tcp" % holder.port])
    (owner,) = result["owners"]
    assert owner["name"] == "shipyard"
    assert owner["pid"] == holder.pid
    assert owner["parent_pid"] == os.getpid()
    assert owner["user"] == pwd.getpwuid(os.geteuid()).pw_name
    assert owner["exe"] == os.readlink("/proc/%d/exe" % holder.pid)
    assert owner["command"].endswith("tcp4 serve --verbose")
    assert owner["ports"] == ["%d/tcp" % holder.port] or owner["ports"] == [holder.port]
    started = datetime.fromisoformat(owner["started"].replace("Z", "+00:00"))
    assert started.tzinfo is not None and started.utcoffset() == timezone.utc.utcoffset(None)
    since_boot = world.start_ticks(holder.pid) / os.sysconf("SC_CLK_TCK")
    assert abs(started.timestamp() - (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot)) < 2
    assert 0 <= owner["age_seconds"] < 300
    assert "shipyard" in result["msg"] and str(holder.pid) in result["msg"]


@pytest.mark.parametrize(
    ("comm", "shown"),
    [(b"my app 1", "my app 1"), (b"a) S 1 (b", "a) S 1 (b"), (b"[x] {y}", "[x] {y}")],
    ids=["spaces", "parentheses", "brackets"],
)
def test_odd_names_are_shown_as_they_are(zoo, comm: bytes, shown: str) -> None:
    holder = zoo.start("tcp4", comm=comm)
    (owner,) = zoo.run(port=[holder.port])["owners"]
    assert owner["name"] == shown
    assert owner["parent_pid"] == os.getpid(), "the name must not shift the fields behind it"


@pytest.mark.parametrize("comm", [b"two\nlines", b"\xff\xfecaf\xe9", b"\x1b[31mred", b"tab\there"], ids=repr)
def test_unprintable_names_come_out_printable(zoo, comm: bytes) -> None:
    holder = zoo.start("tcp4", comm=comm, argv=(b"\xff\xfe", b"two\nlines", b"\x1b]0;title\x07"))
    result = zoo.run(port=[holder.port])
    (owner,) = result["owners"]
    for text in (owner["name"], owner["command"], result["msg"]):
        assert text.isprintable(), text
    assert owner["pid"] == holder.pid


SECRETS = [
    ("--password=hunter2zebra",),
    ("--password", "hunter2zebra"),
    ("-Dpw=hunter2zebra",),
    ("-Djavax.net.ssl.keyStorePassword=hunter2zebra",),
    ("--token", "hunter2zebra"),
    ("--api-key=hunter2zebra",),
    ("DB_PASSWORD=hunter2zebra",),
    ("postgresql://user:hunter2zebra@db/name",),
    ("Authorization: Bearer hunter2zebra",),
    ("-H", "Authorization: Basic hunter2zebra"),
]


@pytest.mark.parametrize("words", SECRETS, ids=lambda words: " ".join(words).replace("hunter2zebra", "x"))
def test_secrets_in_command_lines_never_come_out(zoo, words: tuple[str, ...]) -> None:
    holder = zoo.start("tcp4", argv=(*words, "--port=harmless"))
    result = zoo.run(port=[holder.port])
    assert result.pids() == holder.owners
    assert "hunter2zebra" not in result.text
    assert "harmless" in result["owners"][0]["command"], "masking must not eat what follows"


def test_mysql_style_password_never_comes_out(zoo) -> None:
    """``-pPASSWORD`` is a password where the program is one of MySQL's."""
    holder = zoo.start("tcp4", executable=zoo.program("mysql"), argv=("-uroot", "-phunter2zebra", "harmless"))
    result = zoo.run(port=[holder.port])
    assert result.pids() == holder.owners
    assert "hunter2zebra" not in result.text
    assert "harmless" in result["owners"][0]["command"]


def test_several_ports_in_one_run(zoo) -> None:
    first = zoo.port(20)
    holders = [zoo.start("tcp4", first + step) for step in range(0, 20, 4)]
    result = zoo.run(port=["%d-%d/tcp" % (first, first + 19)])
    assert result.pids() == sorted(holder.pid for holder in holders)
    assert [entry["port"] for entry in result["ports"] if entry["status"] == "held"] == [one.port for one in holders]
    assert len(result["ports"]) == 20


def test_clients_are_counted_and_are_no_owners(zoo) -> None:
    server = zoo.start("tcp4", accept=True)
    crowd = zoo.start("clients", server.port, number=3)
    result = zoo.run(port=["%d/tcp" % server.port])
    assert result.pids() == server.owners
    assert result.port(server.port)["connections"]["established"] == 3
    assert len(crowd.living()) == 4


def test_ipv4_clients_of_a_dual_stack_server_are_no_owners(zoo) -> None:
    server = zoo.start("dual_stack", accept=True)
    zoo.start("clients", server.port, number=2)
    zoo.start("clients", server.port, number=1, address="::1")
    result = zoo.run(port=["%d/tcp" % server.port])
    assert result.pids() == server.owners
    assert result.port(server.port)["connections"]["established"] == 3


@pytest.mark.parametrize(
    ("species", "address", "meets"),
    [
        ("tcp4", "127.0.0.1", True),
        ("tcp4", "127.0.0.2", False),
        ("tcp4", "::1", False),
        ("tcp4_wildcard", "127.0.0.2", True),
        ("tcp4_wildcard", "::1", False),
        ("tcp6", "::1", True),
        ("tcp6", "127.0.0.1", False),
        ("dual_stack", "127.0.0.1", True),
        ("dual_stack", "::1", True),
        ("v6only", "127.0.0.1", False),
        ("v6only", "::1", True),
    ],
)
def test_address_asks_for_what_a_bind_would_meet(zoo, species: str, address: str, meets: bool) -> None:
    holder = zoo.start(species)
    result = zoo.run(port=["%d/tcp" % holder.port], address=address)
    assert (result.port(holder.port)["status"] == "held") is meets
    assert result.pids() == (holder.owners if meets else [])


def test_bound_explicitly_for_an_outgoing_connection(zoo) -> None:
    for reuse in (False, True):
        holder = zoo.start("outgoing_bound", reuse=reuse)
        entry = zoo.run(port=["%d/tcp" % holder.port]).port(holder.port)
        assert [found["kind"] for found in entry["holders"]] == ["connection"]
        assert entry["holders"][0]["pids"] == holder.owners


def test_bound_socket_without_a_row_is_not_called_free(zoo) -> None:
    """/proc/net does not list it. The bind probe meets it, so it must not be reported as free."""
    holder = zoo.start("bound_only")
    result = zoo.run(port=["%d/tcp" % holder.port], backend="procfs")
    entry = result.port(holder.port)
    assert entry["status"] in ("held", "held_unknown")
    assert entry["bindable"] is False
    assert result["free"] is False


@pytest.mark.root
@pytest.mark.tool("ip")
def test_kernel_owned_port(zoo) -> None:
    subprocess.run(
        ["ip", "link", "add", "vx0", "type", "vxlan", "id", "5", "dstport", "4789", "local", "127.0.0.1", "dev", "lo"],
        check=True, timeout=10,
    )  # fmt: skip
    subprocess.run(["ip", "link", "set", "vx0", "up"], check=True, timeout=10)
    entry = zoo.run(port=["4789/udp"]).port(4789, "udp")
    assert [found["kind"] for found in entry["holders"]] == ["kernel"]
    freed = zoo.free(["4789/udp"])
    assert freed.failed
    assert freed.port(4789, "udp")["blocked_by"]["code"] == "kernel_socket"
    assert freed["changed"] is False


@pytest.mark.root
def test_another_pid_namespace_is_not_called_free(zoo) -> None:
    """A module inside a PID namespace sees the socket of a process outside, and not the process."""
    holder = zoo.start("tcp4")
    result = zoo.run(port=["%d/tcp" % holder.port], prefix=("unshare", "-pf", "--mount-proc"))
    assert result.port(holder.port)["status"] == "held_unknown"
    assert result.pids() == []
    assert result["free"] is False
