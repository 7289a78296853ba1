# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The zoo of Windows: real holders, the real module, the real tables of Wine. Bystanders live; check mode says so before."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

from windows import contract, rig

METHOD = rig.NAMESPACE + "Conductor.PortOwner.Run"
# What differs between a prediction and what it predicts, and nothing else.
FLEETING = {"result", "seconds", "elapsed", "age_seconds", "dropped", "connections", "started", "msg"}
PORTS = itertools.count(21100)
SLACK = 2.0  # seconds for what should take none, on a busy machine


def steady(value: t.Any) -> t.Any:
    """A result without what may differ between check mode and the real run."""
    if isinstance(value, dict):
        return {key: steady(inner) for key, inner in value.items() if key not in FLEETING}
    return [steady(inner) for inner in value] if isinstance(value, list) else value


class Zoo:
    """What one test starts, and the module as it would run beside it."""

    def __init__(self, prefix: rig.Prefix, app: Path) -> None:
        self.prefix = prefix
        self.app = app
        self.animals: list[rig.Animal] = []
        self.services: list[str] = []

    def port(self, count: int = 1) -> int:
        """A port that no other test of this worker uses, the first of ``count`` ones."""
        first, *_others = (next(PORTS) for _index in range(count))
        return first

    def start(self, mode: str, *arguments: t.Any) -> rig.Animal:
        self.animals.append(self.prefix.start(str(rig.native("holder")), mode, *map(str, arguments)))
        return self.animals[-1]

    def listen(self, port: int, *flags: str, kind: str = "tcp4", address: str = "127.0.0.1") -> rig.Animal:
        return self.start("listen", kind, address, port, *flags)

    def service(self, name: str, *specs: str, needs: str = "-") -> int:
        """Install and start a service; the pid of its process."""
        self.services.append(name)
        done = self.prefix.call("exe", str(rig.native("service")), "install", name, needs, *specs)
        assert done.stdout.startswith("ready"), done.stdout + done.stderr
        return int(done.stdout.split()[1])

    def state(self, name: str) -> tuple[int, int, int]:
        """State, pid and start type of a service, by the numbers of winsvc.h."""
        done = self.prefix.call("exe", str(rig.native("service")), "state", name)
        assert done.returncode == 0, done.stdout
        state, pid, start = map(int, done.stdout.split())
        return state, pid, start

    def run(self, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        return self.prefix.module(self.app, "win_port_owner", METHOD, dict(options, _ansible_check_mode=check)).data

    def free(self, port: t.Any, *, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        return self.run(port=port, state="free", check=check, **dict({"settle": 0.2}, **options))

    def close(self) -> None:
        for animal in self.animals:
            if animal.alive():
                animal.process.terminate()  # `timeout` hands it on to the program
        for animal in self.animals:
            animal.wait_gone(10)
        for name in self.services:
            self.prefix.call("exe", str(rig.native("service")), "remove", name)


@pytest.fixture
def zoo(prefix, app):
    made = Zoo(prefix, app)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def bystanders(zoo):
    """Others that nobody asked about: at the end of the test they still live."""
    others = [zoo.listen(zoo.port()), zoo.listen(zoo.port(), "window"), zoo.start("idle")]
    yield others
    assert [other.alive() for other in others] == [True] * len(others)


def entry(result: dict[str, t.Any], port: int, protocol: str = "tcp") -> dict[str, t.Any]:
    (found,) = [one for one in result["ports"] if (one["port"], one["protocol"]) == (port, protocol)]
    return found


def codes(result: dict[str, t.Any]) -> set[str]:
    return {one["blocked_by"]["code"] for one in result["ports"] if one["blocked_by"]}


# Reports --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("tcp4", "127.0.0.1"),
        ("tcp4", "0.0.0.0"),
        ("tcp6", "::1"),
        ("tcp6", "::"),
        ("udp4", "127.0.0.1"),
        ("udp6", "::1"),
    ],
)
def test_a_report_names_the_holder_and_changes_nothing(zoo, kind, address):
    port = zoo.port()
    holder = zoo.listen(port, kind=kind, address=address)
    result = zoo.run(port=port)
    found = entry(result, port, kind[:3])
    assert (found["status"], found["before"], found["blocked_by"]) == ("held", "held", None)
    assert [one["pids"] for one in found["holders"]] == [[holder.pid]]
    assert {row["address"] for row in found["sockets"]} == {address}
    (owner,) = result["owners"]
    assert (owner["pid"], owner["ports"]) == (holder.pid, ["%d/%s" % (port, kind[:3])])
    assert owner["name"].lower().startswith("holder") and "listen %s" % kind in owner["command"]
    assert entry(result, port, "udp" if kind[0] == "t" else "tcp")["status"] == "free"
    assert (result["changed"], result["free"], result["actions"]) == (False, False, [])
    assert "pid %d" % holder.pid in result["msg"]
    assert holder.alive()


def test_every_key_is_documented(zoo):
    port = zoo.port()
    zoo.listen(port, "window")
    report = zoo.run(port=port)
    refused = zoo.run(port="%d/tcp" % port, owner="no-such-program")
    freed = zoo.free(port)
    assert contract.differences("win_port_owner", report, {"reason"}) == []
    assert contract.differences("win_port_owner", refused) == []
    assert contract.differences("win_port_owner", freed, {"reason"}) == []
    assert len(freed["actions"]) == 1


def test_diff_mode_shows_a_port_before_and_after(zoo):
    port = zoo.port()
    zoo.listen(port, "window")
    shown = [zoo.free("%d/tcp" % port, check=check, _ansible_diff=True)["diff"] for check in (True, False)]
    assert shown[0] == shown[1]
    assert shown[1] == {"before": "%d/tcp held by holder.exe\n" % port, "after": "%d/tcp free\n" % port}


def test_a_free_port_is_free_and_can_be_bound(zoo):
    port = zoo.port()
    result = zoo.run(port=port)
    assert result["free"] is True
    assert [(one["status"], one["bindable"]) for one in result["ports"]] == [("free", True), ("free", True)]
    assert zoo.free(port)["changed"] is False


def test_all_listeners_of_a_port_are_named(zoo):
    port = zoo.port()
    holders = [zoo.listen(port, address="127.0.0.%d" % number) for number in (1, 2, 3)] + [
        zoo.listen(port, kind="tcp6", address="::1")
    ]
    result = zoo.run(port="%d/tcp" % port)
    assert {pid for one in entry(result, port)["holders"] for pid in one["pids"]} == {holder.pid for holder in holders}
    narrow = zoo.run(port="%d/tcp" % port, address="127.0.0.2")
    assert [one["pids"] for one in narrow["ports"][0]["holders"]] == [[holders[1].pid]]


def test_a_service_is_named_by_its_short_name(zoo):
    port = zoo.port()
    pid = zoo.service("rigreport", "rigreport:%d" % port)
    result = zoo.run(port="%d/tcp" % port, owner="rigreport")
    (found,) = entry(result, port)["holders"]
    assert (found["kind"], found["name"], found["pids"]) == ("service", "rigreport", [pid])
    assert result["owners"][0]["service"] == "rigreport"


def test_an_owner_is_waited_for(zoo):
    port = zoo.port()
    absent = zoo.run(port="%d/tcp" % port, owner="holder*")
    assert (absent["failed"], absent["reason"]) == (True, "not_held")
    late = subprocess.Popen(
        [
            str(rig.SCRIPTS / "run"),
            str(rig.CACHE),
            "exe",
            str(rig.native("holder")),
            "keeper",
            "tcp4",
            "127.0.0.1",
            str(port),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(zoo.prefix.environment, RIG_TIMEOUT="60"),
    )
    try:
        present = zoo.run(port="%d/tcp" % port, owner="holder*", timeout=30)
        assert entry(present, port)["status"] == "held" and "failed" not in present
    finally:
        late.terminate()
        late.wait(20)
    (child,) = entry(present, port)["holders"][0]["pids"]
    zoo.free("%d/tcp" % port, force=True)
    assert child not in [pid for one in zoo.run(port=port)["owners"] for pid in [one["pid"]]]


# Freeing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tcp4", "tcp6", "udp4", "udp6"])
@pytest.mark.parametrize("flags", [("window",), ("exclusive", "window"), ()], ids=["window", "exclusive", "console"])
def test_check_mode_predicts_and_the_real_run_frees(zoo, bystanders, kind, flags):
    port = zoo.port()
    holder = zoo.listen(port, *flags, kind=kind, address="::1" if "6" in kind else "127.0.0.1")
    force = None if "window" in flags else True
    asked = "%d/%s" % (port, kind[:3])
    predicted = zoo.free(asked, check=True, force=force)
    assert holder.alive()
    assert [action["result"] for action in predicted["actions"]] == ["predicted"]
    real = zoo.free(asked, force=force)
    assert "failed" not in real, real["msg"]
    assert steady(predicted) == steady(real)
    assert (real["changed"], real["free"]) == (True, True)
    found = entry(real, port, kind[:3])
    assert (found["before"], found["status"], found["bindable"]) == ("held", "free", True)
    assert holder.wait_gone()
    assert ("WM_CLOSE" in holder.said()) is ("window" in flags)
    again = zoo.free(asked, force=force)
    assert (again["changed"], again["free"], again["actions"]) == (False, True, [])


def test_no_window_has_no_polite_way(zoo, bystanders):
    port = zoo.port()
    holder = zoo.listen(port)
    for check in (True, False):
        refused = zoo.free("%d/tcp" % port, check=check)
        assert (refused["failed"], refused["reason"], refused["changed"]) == (True, "no_polite_way", False)
        assert "force" in refused["msg"]
        assert refused["actions"] == []
    assert holder.alive()


def test_who_refuses_wm_close_is_ended_after_the_grace_period(zoo, bystanders):
    port = zoo.port()
    holder = zoo.listen(port, "deaf")
    began = time.monotonic()
    real = zoo.free("%d/tcp" % port, grace_period=1)
    assert "failed" not in real, real["msg"]
    assert time.monotonic() - began >= 1
    assert "WM_CLOSE" in holder.said()
    assert holder.wait_gone()
    assert real["actions"][0]["seconds"] >= 1


def test_who_refuses_wm_close_stays_without_force(zoo, bystanders):
    port = zoo.port()
    holder = zoo.listen(port, "deaf")
    real = zoo.free("%d/tcp" % port, grace_period=0.5, force=False)
    assert (real["failed"], real["reason"], real["free"]) == (True, "still_held", False)
    assert holder.alive()
    assert entry(real, port)["status"] == "held"


def test_only_the_listener_of_that_address_goes(zoo, bystanders):
    port = zoo.port()
    holders = [zoo.listen(port, address="127.0.0.%d" % number) for number in (1, 2, 3)]
    real = zoo.free("%d/tcp" % port, address="127.0.0.2", force=True)
    assert "failed" not in real, real["msg"]
    assert holders[1].wait_gone()
    assert holders[0].alive() and holders[2].alive()


def test_several_holders_of_a_port_all_go(zoo, bystanders):
    port = zoo.port()
    holders = [
        zoo.listen(port, address="127.0.0.1"),
        zoo.listen(port, "window", address="127.0.0.2"),
        zoo.listen(port, kind="tcp6", address="::1"),
        zoo.listen(port, kind="udp4"),
    ]
    predicted = zoo.free(port, check=True, force=True)
    real = zoo.free(port, force=True)
    assert "failed" not in real, real["msg"]
    assert steady(predicted) == steady(real)
    assert all(holder.wait_gone() for holder in holders)
    assert {one["status"] for one in real["ports"]} == {"free"}


def test_clients_of_the_port_live_on(zoo, bystanders):
    port = zoo.port()
    server = zoo.listen(port, "window", "accept")
    client = zoo.start("connect", "tcp4", "127.0.0.1", port)
    server.wait_for("accepted")
    predicted = zoo.free("%d/tcp" % port, check=True)
    real = zoo.free("%d/tcp" % port)
    assert "failed" not in real, real["msg"]
    assert steady(predicted["actions"]) == steady(real["actions"])
    assert real["actions"][0]["dropped"] == 1
    assert server.wait_gone()
    assert client.alive()


def test_an_outgoing_connection_is_not_stopped(zoo, bystanders):
    port = zoo.port()
    zoo.listen(port, "accept")
    client = zoo.start("connect", "tcp4", "127.0.0.1", port)
    facts = zoo.prefix.module(
        zoo.app, "win_listen_ports_facts", rig.NAMESPACE + "Facts.ListenPortsFacts.Run", {"tcp_filter": ["Established"]}
    ).data["ansible_facts"]["tcp_listen"]
    (local,) = [row["port"] for row in facts if row["pid"] == client.pid]
    result = zoo.free("%d/tcp" % local, force=True)
    # Wine lets a bind through beside it, so it is not in the way; the vectors have the case in which it is.
    assert (result["changed"], result["actions"], entry(result, local)["status"]) == (False, [], "lingering")
    (found,) = entry(result, local)["holders"]
    assert (found["kind"], found["pids"], found["stoppable"]) == ("connection", [client.pid], False)
    assert client.alive()


def test_all_or_nothing(zoo, bystanders):
    first = zoo.port(2)
    polite, console = zoo.listen(first, "window"), zoo.listen(first + 1)
    refused = zoo.free(["%d/tcp" % first, "%d/tcp" % (first + 1)])
    assert (refused["failed"], refused["changed"], codes(refused)) == (True, False, {"no_polite_way"})
    assert polite.alive() and console.alive()
    assert "would have been stopped" in refused["msg"]


@pytest.mark.parametrize("others", ["java", "hold", "holder2", "older.exe", "*\\other\\*"])
def test_stop_only_spares_every_other_name(zoo, others):
    port = zoo.port()
    holder = zoo.listen(port, "window")
    refused = zoo.free("%d/tcp" % port, stop_only=[others])
    assert (refused["failed"], refused["reason"], refused["changed"]) == (True, "owner_mismatch", False)
    assert holder.alive()


@pytest.mark.parametrize("name", ["holder", "HOLDER.EXE", "hold*", "*\\holder.exe"])
def test_stop_only_knows_the_holder_by(zoo, bystanders, name):
    port = zoo.port()
    holder = zoo.listen(port, "window")
    real = zoo.free("%d/tcp" % port, stop_only=[name])
    assert "failed" not in real, real["msg"]
    assert holder.wait_gone()


def test_keep_keeps(zoo):
    port = zoo.port()
    holder = zoo.listen(port, "window")
    kept = zoo.free("%d/tcp" % port, keep=["holder"])
    assert (kept["changed"], kept["free"], entry(kept, port)["holders"][0]["outcome"]) == (False, True, "kept")
    assert holder.alive()


def test_method_none_stops_nobody(zoo):
    port = zoo.port()
    holder = zoo.listen(port, "window")
    refused = zoo.free("%d/tcp" % port, method="none", timeout=0.5)
    assert (refused["failed"], refused["reason"]) == (True, "still_held")
    assert holder.alive()


def test_protect_protects(zoo):
    port = zoo.port()
    holder = zoo.listen(port, "window")
    refused = zoo.free("%d/tcp" % port, protect=["holder"])
    assert (refused["failed"], refused["reason"]) == (True, "protected_process")
    assert holder.alive()


def test_a_process_that_nobody_may_open_is_refused_before_anything_is_done(zoo, bystanders):
    first = zoo.port(2)
    closed, other = zoo.listen(first, "closed"), zoo.listen(first + 1, "window")
    refused = zoo.free(["%d/tcp" % first, "%d/tcp" % (first + 1)], force=True)
    assert (refused["failed"], refused["reason"], refused["changed"]) == (True, "not_permitted", False)
    assert closed.alive() and other.alive()


def test_who_is_started_again_is_told_and_not_stopped_twice(zoo, bystanders):
    port = zoo.port()
    keeper = zoo.start("keeper", "tcp4", "127.0.0.1", port, "delay")
    first = int(keeper.wait_for(r"^child (\d+)").group(1))
    keeper.wait_for(r"^ready (?!%d\b)" % keeper.pid)
    real = zoo.free("%d/tcp" % port, force=True, settle=5)
    assert (real["failed"], real["reason"], real["changed"]) == (True, "respawned", True)
    assert [action["result"] for action in real["actions"]] == ["done"], "one stop, not two"
    pids = [pid for one in entry(real, port)["holders"] for pid in one["pids"]]
    children = [int(pid) for pid in re.findall(r"^child (\d+)", keeper.said(), re.MULTILINE)]
    assert children[0] == first and len(children) == 2
    assert "pid %d" % children[1] in real["msg"] and "pid %d" % keeper.pid in real["msg"]
    assert children[1] in pids
    assert keeper.alive()


# Services -------------------------------------------------------------------------------------------------------

RUNNING, STOPPED = 4, 1
ON_DEMAND, DISABLED = 3, 4


def test_a_service_is_stopped_through_its_manager(zoo, bystanders):
    first = zoo.port(2)
    zoo.service("rigstop", "rigstop:%d" % first)
    zoo.service("rigother", "rigother:%d" % (first + 1))
    predicted = zoo.free("%d/tcp" % first, check=True)
    assert zoo.state("rigstop")[0] == RUNNING
    real = zoo.free("%d/tcp" % first)
    assert "failed" not in real, real["msg"]
    assert steady(predicted) == steady(real)
    assert [action["action"] for action in real["actions"]] == ["stop_service"]
    assert zoo.state("rigstop")[0::2] == (STOPPED, ON_DEMAND)
    assert zoo.state("rigother")[0] == RUNNING
    assert zoo.free("%d/tcp" % first)["changed"] is False


def test_persist_disables_the_service(zoo):
    port = zoo.port()
    zoo.service("rigpersist", "rigpersist:%d" % port)
    real = zoo.free("%d/tcp" % port, persist=True)
    assert "failed" not in real, real["msg"]
    assert zoo.state("rigpersist")[0::2] == (STOPPED, DISABLED)


def test_a_slow_service_is_waited_for(zoo):
    port = zoo.port()
    zoo.service("rigslow", "rigslow:%d:slow" % port)
    real = zoo.free("%d/tcp" % port)
    assert "failed" not in real, real["msg"]
    assert real["actions"][0]["seconds"] >= 2.5
    assert zoo.state("rigslow")[0] == STOPPED


def test_a_service_that_never_stops_is_a_failure_and_lives(zoo, bystanders):
    port = zoo.port()
    pid = zoo.service("rigstubborn", "rigstubborn:%d:stubborn" % port)
    real = zoo.free("%d/tcp" % port, grace_period=1, force=True)
    assert (real["failed"], real["free"]) == (True, False)
    assert real["reason"] in ("step_failed", "still_held")
    assert zoo.state("rigstubborn")[1] == pid, "its process is never ended past the manager"


def test_a_service_that_takes_no_stop_is_refused(zoo, bystanders):
    port = zoo.port()
    pid = zoo.service("rigdeaf", "rigdeaf:%d:deaf" % port)
    refused = zoo.free("%d/tcp" % port)
    assert (refused["failed"], refused["changed"], refused["actions"]) == (True, False, [])
    assert zoo.state("rigdeaf")[:2] == (RUNNING, pid)


def test_method_service_refuses_a_process_and_signal_a_service(zoo):
    first = zoo.port(2)
    holder = zoo.listen(first, "window")
    zoo.service("rigmethod", "rigmethod:%d" % (first + 1))
    refused = zoo.free("%d/tcp" % first, method="service")
    assert (refused["failed"], refused["reason"]) == (True, "wrong_method")
    refused = zoo.free("%d/tcp" % first, method="container")
    assert (refused["failed"], refused["reason"]) == (True, "wrong_method")
    assert holder.alive() and zoo.state("rigmethod")[0] == RUNNING


# What no table shows --------------------------------------------------------------------------------------------


def server_of(prefix: rig.Prefix) -> int:
    """The process of Linux that keeps a prefix alive: its sockets are in this one's network."""
    wanted = b"WINEPREFIX=/prefix/%s\0" % prefix.name.encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text().startswith("wineserver") and wanted in (
                folder / "environ"
            ).read_bytes() + b"\0":
                return int(folder.name)
        except OSError:
            continue
    raise AssertionError("no wineserver of %s" % prefix.name)


def test_a_port_that_is_taken_and_in_no_table_is_not_free(zoo, bystanders):
    """A process of Linux in the same network: Windows shows no row, and the bind fails."""
    port = zoo.port()
    program = (
        "import socket, time; s = socket.create_server(('0.0.0.0', %d)); print('on', flush=True); time.sleep(60)" % port
    )
    command = ["nsenter", "--net", "--target", str(server_of(zoo.prefix)), sys.executable, "-c", program]
    hidden = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        assert hidden.stdout is not None and hidden.stdout.readline() == b"on\n"
        found = entry(zoo.run(port="%d/tcp" % port), port)
        assert (found["bindable"], found["status"]) == (False, "held")
        refused = zoo.free("%d/tcp" % port, force=True)
        assert (refused["failed"], refused["reason"], refused["changed"]) == (True, "hidden_owner", False)
        assert hidden.poll() is None
    finally:
        os.kill(hidden.pid, 9)
        hidden.wait()


# Bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"port": 0}, "'0'"),
        ({"port": "80-"}, "'80-'"),
        ({"port": "no-such-service"}, "no-such-service"),
        ({"port": 80, "state": "free", "owner": ["x"]}, "keep"),
        ({"port": 80, "timeout": -1}, "timeout"),
        ({"port": 80, "signal": "NOSUCH"}, "NOSUCH"),
        ({}, "port"),
    ],
)
def test_bad_options_are_one_sentence(zoo, options, says):
    result = zoo.run(**options)
    assert result["failed"] is True
    assert says in result["msg"]
    assert "\n" not in result["msg"]


def test_an_empty_plan_asks_for_nothing(zoo):
    result = zoo.run(plan=[], state="free")
    assert (result["changed"], result["free"], result["ports"]) == (False, True, [])


def test_a_service_name_is_the_hosts(zoo):
    result = zoo.run(port="https")
    assert {one["port"] for one in result["ports"]} == {443}
