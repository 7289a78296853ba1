# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one line for people."""

from __future__ import annotations

import os
import pwd

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils import _report, _words
from ansible_collections.harbormaster.ports.plugins.module_utils._conductor import Story
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.decide import decide
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Blind,
    Container,
    Endpoint,
    Outcome,
    Plan,
    Policy,
    Process,
    Proof,
    Resolver,
    Snapshot,
    Socket,
    Supervised,
    Unit,
    UnitFacts,
    Wish,
)

NOW = 1_700_000_000.0
TCP, UDP = Wish(8080, "tcp"), Wish(8080, "udp")
FREEING = Policy(state="free")


def held(name="nginx", pid=812, pids=(), **more):
    parents = {pid: 1, **dict.fromkeys(pids, pid)}
    known = {
        one: Process(
            one, name, parent, user="root", started=NOW - 11520, start_ticks=one, ancestors=(parent, 1), **more
        )
        for one, parent in parents.items()
    }
    row = Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=11)
    return Snapshot((row,), {11: (pid, *pids)}, known, bindable={UDP.key: True})


def line(snapshot, policy=None, wishes=(TCP,), after=None, **more):
    policy = policy or Policy()
    plan = decide(snapshot, wishes, policy)
    failure = plan.refusals[0] if plan.refusals else None
    outcomes, proof = (), None
    if after is not None:
        outcomes = tuple(Outcome(step, "done", True, 0.1, 0, **more) for step in plan.steps)
        proof = Proof(after, decide(after, wishes, policy))
        more = {}
    story = Story(snapshot, plan, policy, outcomes, proof, failure)
    text = _report.result(story._replace(**more), NOW)["msg"]
    assert "\n" not in text
    return text


FREE = Snapshot(bindable={TCP.key: True})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (-5, "0 s"), (0.9, "0 s"), (1, "1 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"),
        (3600, "1 h"), (3601, "1 h"), (11520, "3 h 12 min"), (86400, "1 d"), (90000, "1 d 1 h"), (86460, "1 d"),
        (1e9, "11574 d 1 h"),
    ],
)  # fmt: skip
def test_duration(seconds, text):
    assert _words.duration(seconds) == text


def test_account():
    assert _words.account(None) is None
    assert _words.account(0) == pwd.getpwuid(0).pw_name
    nobody = next(uid for uid in range(60000, 65000) if uid not in {entry.pw_uid for entry in pwd.getpwall()})
    assert _words.account(nobody) == str(nobody)


def test_who_has_it():
    snapshot = held(unit=Unit("nginx.service"))
    assert line(snapshot, wishes=(TCP, UDP)) == (
        "port 8080/tcp: held by nginx (pid 812, user root, nginx.service), running for 3 h 12 min; free: 8080/udp"
    )


def test_workers_are_counted():
    assert "(pid 812, user root) and 2 more processes that share its socket" in line(held(pids=(813, 814)))
    assert "(pid 812, user root) and 1 more process that shares its socket" in line(held(pids=(813,)))


def test_nobody():
    assert line(FREE) == "free: 8080/tcp"


def test_many_ports_are_counted():
    wishes = [Wish(port, "tcp") for port in range(20000, 20100)]
    assert line(Snapshot(), wishes=wishes) == "100 ports free"
    rows = tuple(Socket("tcp", "ipv4", "0.0.0.0", 20000 + n, "LISTEN", inode=1 + n) for n in range(20))
    known = {1000 + n: Process(1000 + n, "node", 1, ancestors=(1,)) for n in range(20)}
    crowd = Snapshot(rows, {1 + n: (1000 + n,) for n in range(20)}, known)
    text = line(crowd, wishes=wishes)
    assert text.count("held by") == _words.MOST_NAMED
    assert "12 more are in ports" in text
    assert text.endswith("80 ports free")


def test_an_outgoing_connection():
    row = Socket("tcp", "ipv4", "10.0.0.1", 8080, "ESTABLISHED", "10.0.0.2", 443, inode=11)
    snapshot = held("curl")._replace(sockets=(row,), bindable={TCP.key: False})
    assert "held by a connection of curl (pid 812, user root)" in line(snapshot)


def test_leftovers_that_do_not_block():
    row = Socket("tcp", "ipv4", "10.0.0.1", 8080, "TIME_WAIT", "10.0.0.2", 443)
    text = line(Snapshot((row,), bindable={TCP.key: True}))
    assert "nobody listens" in text
    assert "a server can bind it" in text


def test_who_can_not_be_seen_is_said_with_the_reason():
    row = Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=11)
    text = line(Snapshot((row,), blind=(Blind("not_root", "12 processes of other users can't be looked into"),)))
    assert "a process that can't be seen" in text
    assert "12 processes of other users" in text


def test_what_no_table_shows():
    assert "can't be bound" in line(Snapshot(bindable={TCP.key: False}))


def test_stopped_and_proven():
    text = line(held(), FREEING, after=FREE)
    assert text == (
        "stopped nginx (pid 812, user root) with TERM; 8080/tcp is free: nothing took it back, and a test bind succeeded"
    )


def test_killed_is_said():
    text = line(held(), FREEING._replace(grace_period=5.0), after=FREE, killed=(812,))
    assert "after 5 s, KILL to pid 812" in text


def test_a_bind_that_could_not_be_tried_is_not_claimed():
    text = line(held(), FREEING, after=Snapshot(bindable={TCP.key: None}))
    assert "succeeded" not in text


def both(*names):
    """Programs of these names, each with a listener of its own."""
    found = [held(name, 812 + number) for number, name in enumerate(names)]
    rows = tuple(one.sockets[0]._replace(inode=11 + number) for number, one in enumerate(found))
    known = {pid: process for one in found for pid, process in one.processes.items()}
    return Snapshot(rows, {11 + number: (812 + number,) for number in range(len(names))}, known)


def test_where_somebody_stays_no_port_is_called_free():
    text = line(both("nginx", "cobol"), FREEING, [TCP._replace(keep=("cobol",))], both("cobol"))
    assert text == "stopped nginx (pid 812, user root) with TERM; kept cobol on 8080/tcp"


def test_only_a_bind_on_a_free_port_could_be_tried():
    """One port is kept, so nothing was bound there; on the other one a bind worked."""
    other = Wish(9090, "tcp")
    crowd = both("nginx", "cobol")
    before = crowd._replace(sockets=(crowd.sockets[0]._replace(port=9090), crowd.sockets[1]))
    after = before._replace(sockets=before.sockets[1:], bindable={other.key: True})
    text = line(before, FREEING, [TCP._replace(keep=("cobol",)), other], after)
    assert text.endswith("; kept cobol on 8080/tcp; 9090/tcp is free: nothing took it back, and a test bind succeeded")


def test_what_was_not_watched_is_not_claimed():
    text = line(held(), FREEING._replace(settle=0.0), after=FREE)
    assert "took it back" not in text
    assert text.endswith("a test bind succeeded")


def test_what_would_be_done():
    text = line(held(), FREEING, check_mode=True)
    assert text == "would stop nginx (pid 812, user root) with TERM to free 8080/tcp"


def test_nothing_to_do():
    assert line(FREE, FREEING) == "8080/tcp was already free"


def test_kept():
    text = line(held(), FREEING, wishes=(TCP._replace(keep=("nginx",)),))
    assert "kept nginx on 8080/tcp" in text


def test_refused_says_what_is_wrong_what_to_do_and_what_would_have_happened():
    rows = (
        Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=11),
        Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=12),
    )
    known = {
        100: Process(100, "dbus-daemon", 1, user="root", ancestors=(1,)),
        200: Process(200, "node", 1, user="app", ancestors=(1,)),
    }
    text = line(Snapshot(rows, {11: (100,), 12: (200,)}, known), FREEING)
    assert text.startswith("nothing was stopped: ")
    assert "dbus-daemon (pid 100, user root) is protected (dbus-daemon)" in text
    assert "unprotect" in text
    assert "node (pid 200, user app) would have been stopped" in text


def test_what_is_in_the_way_is_told_first_however_many_others_there_are():
    ports = range(8000, 8020)
    rows = tuple(Socket("tcp", "ipv4", "0.0.0.0", port, "LISTEN", inode=port) for port in ports)
    known = {port: Process(port, "node", 1, user="app", ancestors=(1,)) for port in ports}
    known[8019] = Process(8019, "dbus-daemon", 1, user="root", ancestors=(1,))
    wishes = tuple(Wish(port, "tcp") for port in ports)
    text = line(Snapshot(rows, {port: (port,) for port in ports}, known), FREEING, wishes=wishes)
    assert text.startswith("nothing was stopped: 8019/tcp: dbus-daemon (pid 8019, user root) is protected ")
    assert text.endswith("; 12 more are in ports")


def test_a_missing_owner():
    text = line(FREE, wishes=(TCP._replace(owner=("nginx",)),))
    assert text == "8080/tcp: nothing listens, expected nginx (start it, or wait longer with timeout)"


def test_an_empty_plan():
    story = Story(Snapshot(), Plan(()), FREEING)
    assert _words.message(story, (), NOW) == "nothing was asked for: the plan is empty"


def test_this_process_has_an_account():
    assert _words.account(os.getuid()) == pwd.getpwuid(os.getuid()).pw_name


# Holders with a manager -------------------------------------------------------------------------------------------


WEB = Unit("web.service")


def service(persist=False, **facts):
    """A service on the port, and what its manager says of it."""
    known = UnitFacts(WEB, main_pid=812, file_state="enabled", wanted_by=("multi-user.target",), **facts)
    return held("web", unit=WEB)._replace(units={WEB: known})


def test_a_service_is_stopped_through_its_manager_and_its_return_is_said():
    text = line(service(), FREEING, after=FREE)
    assert text.startswith(
        "stopped web (pid 812, user root, web.service) through systemd (back at boot); 8080/tcp is free: "
    )


def test_what_stops_along_is_said_before_and_after():
    dependant = UnitFacts(Unit("app.service"))
    snapshot = service(stopped_with=("app.service",))
    snapshot = snapshot._replace(units={**snapshot.units, dependant.unit: dependant})
    assert "through systemd and with it app.service (back at boot); " in line(snapshot, FREEING, after=FREE)
    before = line(snapshot, FREEING, check_mode=True)
    assert before == (
        "would stop web (pid 812, user root, web.service) through systemd and with it app.service (back at boot) "
        "to free 8080/tcp"
    )


def test_what_lasts_can_be_undone():
    text = line(service(), FREEING._replace(persist=True), after=FREE)
    assert "through systemd (not back at boot; undo: systemctl enable web.service); " in text


CONTAINER = Container(
    "docker", "5f2c0e0d7a11", "shop-web-1", asked=True, project="shop", service="web",
    published=(Endpoint("tcp", "0.0.0.0", 8080),),
)  # fmt: skip


def test_a_container_is_named_with_its_project_and_its_relay():
    snapshot = held("docker-proxy", proven=("docker-proxy",))._replace(containers=(CONTAINER,))
    assert line(snapshot) == (
        "port 8080/tcp: held by the docker container shop-web-1 (project shop, service web, docker-proxy, pid 812), "
        "running for 3 h 12 min"
    )
    text = line(snapshot, FREEING, after=FREE)
    assert text.startswith("stopped the docker container shop-web-1 (")
    assert ") through docker; 8080/tcp is free" in text


def test_a_container_whose_return_nobody_can_know():
    container = CONTAINER._replace(restart="on-failure")
    text = line(FREE._replace(containers=(container,)), FREEING, check_mode=True)
    assert " through docker (may be back at boot) to free 8080/tcp" in text


def test_a_container_without_a_socket_is_named_too():
    snapshot = FREE._replace(containers=(CONTAINER,))
    assert line(snapshot) == "port 8080/tcp: held by the docker container shop-web-1 (project shop, service web)"


def test_a_socket_unit_has_no_age_of_its_own():
    unit = Unit("web.socket")
    snapshot = held("systemd", pid=1)._replace(
        units={unit: UnitFacts(unit, listens=(Endpoint("tcp", "0.0.0.0", 8080),))}
    )
    assert line(snapshot) == "port 8080/tcp: held by web.socket (held by systemd, pid 1)"


def test_settings_are_named():
    unit = Unit("systemd-resolved.service")
    known = held("systemd-resolve", unit=unit)
    row = known.sockets[0]._replace(address="127.0.0.53", port=53)
    snapshot = known._replace(
        sockets=(row,), units={unit: UnitFacts(unit, main_pid=812)}, resolver=Resolver(("192.0.2.53",), "stub", ())
    )
    text = line(snapshot, FREEING, wishes=(Wish(53, "tcp"),), after=Snapshot(bindable={Wish(53, "tcp").key: True}))
    assert text.startswith(
        "turned off DNSStubListener and DNSStubListenerExtra in systemd-resolve (pid 812, user root, "
    )
    assert "undo: " not in text


def test_a_supervised_program_is_stopped_through_its_supervisor():
    program = Supervised("pm2", 50, "shop", 812, ("pm2", "stop", "0"))
    text = line(held("node")._replace(supervised={812: program}), FREEING, after=FREE)
    assert text.startswith("stopped node (pid 812, user root, pm2's shop) through pm2; ")
