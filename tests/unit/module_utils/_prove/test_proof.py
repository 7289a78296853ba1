# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof: what counts as success, what is waited for, and how a failure names who is to blame."""

from __future__ import annotations

import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.decide import decide
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.holders import supervisor_name
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Outcome,
    Policy,
    Process,
    Restarter,
    Snapshot,
    Socket,
    Step,
    Target,
    Unit,
    Wish,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._prove import proof

SOON = 10.0
LONG = 25.0
WISH = Wish(8080, "tcp")
STEP = Step("signal", "signal", "node (pid 100)", ("8080/tcp",), roots=(Target(100, 1000, "node"),))
DONE = Outcome(STEP, "done", acted=True)
FREE = Snapshot(bindable={WISH.key: True})


def held(pid, name="node", parent=1, inode=11, unit=None, others=()):
    """A snapshot in which this process listens."""
    ancestors = (parent, 1) if parent != 1 else (1,)
    process = Process(pid, name, parent, start_ticks=pid * 10, ancestors=ancestors, unit=unit and Unit(unit))
    known = {one.pid: one for one in (Process(1, "systemd"), process, *others)}
    row = Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=inode)
    return Snapshot((row,), {inode: (pid,)}, known)


def left_over(bindable):
    row = Socket("tcp", "ipv4", "10.0.0.1", 8080, "TIME_WAIT", "10.0.0.2", 50000)
    return Snapshot((row,), bindable={WISH.key: bindable})


class Eyes:
    """Eyes that see one snapshot after the other, the last one for ever: each ``rows`` moves on."""

    def __init__(self, *snapshots):
        self.snapshots = list(snapshots)
        self.looks = 0

    def rows(self):
        if len(self.snapshots) > 1:
            self.snapshots.pop(0)
        return self.snapshots[0].sockets

    def look(self):
        self.looks += 1
        return self.snapshots[0]

    def holds(self, pid, inodes):
        raise AssertionError("the proof asks about ports, not about processes")

    start_ticks = holds


def prove(*snapshots, settle=0.0, timeout=0.0, outcomes=(DONE,), wish=WISH, policy=None):
    eyes = Eyes(snapshots[0], *snapshots)
    policy = policy or Policy(state="free")
    until = time.monotonic() + timeout
    answer = proof.prove(
        eyes, lambda snapshot: decide(snapshot, [wish], policy), outcomes, settle, until, supervisor_name
    )
    return answer, eyes


# How long -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "actuator", "acted", "seconds"),
    [
        (None, "signal", True, 3.0),
        (None, "signal", False, 0.0),
        (None, "systemd", True, 1.0),
        (None, "destroy", True, 0.0),
        (0.0, "signal", True, 0.0),
        (7.5, "signal", True, 7.5),
        (7.5, "destroy", True, 0.0),
        (7.5, "signal", False, 0.0),
    ],
)
def test_settle(wanted, actuator, acted, seconds):
    outcome = Outcome(STEP._replace(actuator=actuator), "done", acted=acted)
    assert proof.settle_seconds(wanted, [outcome]) == seconds


def test_settle_of_nothing_and_of_several():
    managed = Outcome(STEP._replace(actuator="systemd"), "done", acted=True)
    assert proof.settle_seconds(None, []) == 0.0
    assert proof.settle_seconds(None, [managed, DONE]) == 3.0


class Living:
    """Eyes that know which process has which start time."""

    def __init__(self, **ticks):
        self.ticks = {int(pid[1:]): value for pid, value in ticks.items()}

    def start_ticks(self, pid):
        return self.ticks.get(pid)


WATCHER = Restarter("its parent uwsgi (pid 7)", 7, 70, 6.0)


@pytest.mark.parametrize(
    ("step", "eyes", "seconds"),
    [
        (STEP._replace(restarters=(WATCHER,)), Living(p7=70), 6.0),
        (STEP._replace(restarters=(WATCHER,)), Living(p7=71), 3.0),
        (STEP._replace(restarters=(WATCHER,)), Living(), 3.0),
        (STEP._replace(restarters=(WATCHER._replace(delay=None),)), Living(p7=70), 3.0),
        (STEP._replace(actuator="systemd", watch=0.1), Living(), 1.1),
        (STEP._replace(actuator="systemd", watch=5.0), Living(), 6.0),
        (STEP._replace(actuator="systemd", watch=3600.0), Living(), 1.0),
        (STEP._replace(watch=20.0), Living(), 21.0),
    ],
)
def test_settle_covers_who_is_known_to_start_it_again(step, eyes, seconds):
    outcome = Outcome(step, "done", acted=True)
    assert proof.settle_seconds(None, [outcome], eyes) == seconds
    assert proof.settle_seconds(0.5, [outcome], eyes) == 0.5, "who says it is believed"


def test_who_has_ended_meanwhile_starts_nothing_again():
    cron = Restarter("cron.service")
    outcome = Outcome(STEP._replace(restarters=(WATCHER, cron)), "done", acted=True)
    (left,) = proof.with_living([outcome], Living())
    assert left.step.restarters == (cron,)
    (both,) = proof.with_living([outcome], Living(p7=70))
    assert both.step.restarters == (WATCHER, cron)


def test_the_port_is_watched_for_all_of_settle():
    began = time.monotonic()
    answer, _eyes = prove(FREE, settle=0.5)
    assert answer.failure is None
    assert 0.5 <= time.monotonic() - began < SOON


def test_without_settle_one_look_is_the_proof():
    began = time.monotonic()
    answer, eyes = prove(FREE)
    assert answer.failure is None
    assert time.monotonic() - began < SOON
    assert eyes.looks == 1


# What is a success --------------------------------------------------------------------------------------------------


def test_leftovers_that_a_server_can_bind_over_are_a_success():
    answer, _eyes = prove(left_over(True))
    assert answer.failure is None
    assert answer.plan.ports[0].status == "lingering"


def test_who_may_stay_is_a_success():
    answer, _eyes = prove(held(200, "nginx"), wish=WISH._replace(keep=("nginx",)))
    assert answer.failure is None
    assert answer.plan.ports[0].kept


def test_what_can_not_be_bound_is_none():
    answer, _eyes = prove(Snapshot(bindable={WISH.key: False}))
    assert answer.failure is not None
    assert answer.failure.code == "hidden_owner"


def test_a_prediction_is_no_proof():
    """The decision over the new look would stop the holder, and predicts a free port. It is held all the same."""
    answer, _eyes = prove(held(100))
    assert answer.plan.ports[0].status == "free"
    assert answer.failure is not None


# Leftovers ----------------------------------------------------------------------------------------------------------


def test_leftovers_of_what_was_stopped_are_waited_for():
    began = time.monotonic()
    answer, _eyes = prove(left_over(False), left_over(False), FREE, timeout=LONG)
    assert answer.failure is None
    assert time.monotonic() - began < SOON


def connected(protocol="tcp"):
    """The stopped one's child still serves a client, which keeps the next server out."""
    wish = Wish(40000, protocol, named=protocol == "tcp")
    if protocol == "tcp":
        row = Socket("tcp", "ipv4", "10.0.0.1", 40000, "ESTABLISHED", "10.0.0.2", 50000, inode=12)
    else:
        row = Socket("udp", "ipv4", "0.0.0.0", 40000, "UNCONN", inode=12)
    known = {101: Process(101, "node", 1, start_ticks=1010, ancestors=(1,)), 1: Process(1, "systemd")}
    return wish, Snapshot((row,), {12: (101,)}, known, bindable={wish.key: False})


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_connection_after_a_stop_is_waited_for(protocol):
    wish, busy = connected(protocol)
    began = time.monotonic()
    answer, _eyes = prove(busy, busy, Snapshot(bindable={wish.key: True}), timeout=LONG, wish=wish)
    assert answer.failure is None
    assert answer.plan.ports[0].status == "free"
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("timeout", [0.0, 0.4])
def test_a_connection_after_a_stop_is_waited_for_within_timeout_only(timeout):
    wish, busy = connected()
    began = time.monotonic()
    answer, _eyes = prove(busy, timeout=timeout, wish=wish)
    assert (answer.failure.code, answer.failure.passing) == ("connection", True)
    assert timeout <= time.monotonic() - began < SOON


def test_what_passes_is_not_waited_for_beside_what_does_not():
    wish, busy = connected()
    other = held(200, "dbus-daemon")
    mixed = busy._replace(
        sockets=busy.sockets + tuple(row._replace(port=40000) for row in other.sockets),
        owners={**busy.owners, **other.owners},
        processes={**busy.processes, **other.processes},
    )
    began = time.monotonic()
    answer, _eyes = prove(mixed, timeout=LONG, wish=wish)
    assert answer.failure is not None
    assert time.monotonic() - began < SOON


def test_leftovers_are_waited_for_within_timeout_only():
    began = time.monotonic()
    answer, _eyes = prove(left_over(False), timeout=0.4)
    assert answer.failure.code == "leftover"
    assert 0.4 <= time.monotonic() - began < SOON


def test_a_holder_is_not_waited_for():
    began = time.monotonic()
    answer, _eyes = prove(held(200), timeout=LONG)
    assert answer.failure is not None
    assert time.monotonic() - began < SOON


# Who is to blame ----------------------------------------------------------------------------------------------------


def test_who_takes_the_port_back_is_named_with_parent_and_supervisor():
    boss = Process(50, "supervisord", 1, ancestors=(1,))
    answer, _eyes = prove(FREE, FREE, held(200, parent=50, others=[boss]), settle=LONG)
    assert answer.failure.code == "respawned"
    assert "node (pid 200)" in answer.failure.reason
    assert "supervisord (pid 50)" in answer.failure.reason
    assert "likely supervisor: supervisord (pid 50) (a supervisor)" in answer.failure.reason
    assert not answer.failure.passing


def test_the_supervisor_may_be_the_parent_of_the_parent():
    boss = Process(50, "PM2 v5.3.0: God", 1, ancestors=(1,))
    shell = Process(60, "wrapper", 50, ancestors=(50, 1))
    answer, _eyes = prove(held(200, parent=60, others=[boss, shell]))
    assert "likely supervisor: PM2 v5.3.0: God (pid 50)" in answer.failure.reason


def test_a_shell_that_came_with_the_taker_has_not_started_it_again():
    """A loop that starts a shell for each turn: the shell ends with what it runs, the loop goes on."""
    loop = Process(50, "sh", 1, start_ticks=500, ancestors=(1,))
    turn = Process(190, "sh", 50, start_ticks=1900, ancestors=(50, 1))
    known = held(200, parent=190, others=[loop, turn])
    known.processes[200] = known.processes[200]._replace(ancestors=(190, 50, 1))
    answer, _eyes = prove(known)
    assert "whose parent is sh (pid 190)" in answer.failure.reason
    assert "likely supervisor: sh (pid 50) (a shell or a watcher)" in answer.failure.reason


def test_a_unit_is_the_likely_supervisor_where_no_process_looks_like_one():
    answer, _eyes = prove(held(200, unit="shop.service"))
    assert "likely supervisor: shop.service" in answer.failure.reason


def test_a_taker_is_noticed_at_once_and_not_at_the_end_of_settle():
    began = time.monotonic()
    answer, _eyes = prove(FREE, held(200), settle=LONG)
    assert answer.failure.code == "respawned"
    assert time.monotonic() - began < SOON


def test_who_may_stay_does_not_end_the_watch():
    """The keeper comes back first and a stranger after it: both within settle."""
    wish = WISH._replace(keep=("nginx",))
    answer, _eyes = prove(held(200, "nginx"), held(200, "nginx"), held(300, inode=12), settle=LONG, wish=wish)
    assert answer.failure.code == "respawned"
    assert "node (pid 300)" in answer.failure.reason


def test_the_same_pid_with_another_start_time_is_a_new_process():
    again = held(100)
    reborn = again._replace(processes={**again.processes, 100: again.processes[100]._replace(start_ticks=99999)})
    assert prove(reborn)[0].failure.code == "respawned"


def test_who_never_went_is_not_called_respawned():
    answer, _eyes = prove(held(100))
    assert answer.failure.code == "still_held"
    assert "node (pid 100)" in answer.failure.reason


def test_a_protected_taker_is_called_by_what_happened():
    """Something was stopped, and the port was taken: that is the news, whoever it was."""
    answer, _eyes = prove(held(200, "dbus-daemon"))
    assert answer.failure.code == "respawned"


@pytest.mark.parametrize(("name", "code"), [("node", "still_held"), ("dbus-daemon", "protected_process")])
def test_who_shares_the_socket_did_not_take_it_again(name, code):
    """The very same socket, in a process that the stop did not mean: the port was never free."""
    sharing = DONE._replace(step=STEP._replace(sockets=held(100).sockets))
    answer, _eyes = prove(held(200, name), outcomes=[sharing])
    assert answer.failure.code == code
    assert "%s (pid 200" % name in answer.failure.reason
    assert "taken again" not in answer.failure.reason
    # another socket is another story
    assert prove(held(200, name, inode=99), outcomes=[sharing])[0].failure.code == "respawned"


def test_what_its_manager_left_running_is_told_as_such():
    step = STEP._replace(actuator="systemd", action="stop_unit", sockets=held(100).sockets)
    answer, _eyes = prove(held(100), outcomes=[DONE._replace(step=step)])
    assert answer.failure.code == "still_held"
    assert "after its manager has stopped what it belongs to" in answer.failure.reason
    assert "KillMode=" in answer.failure.remedy


def test_a_closed_connection_whose_program_had_bound_it_is_told_as_such():
    wish, busy = connected()
    step = Step("destroy", "close_socket", "connection of node (pid 101)", ("40000/tcp",), sockets=busy.sockets)
    row = busy.sockets[0]._replace(state="BOUND", remote_address="", remote_port=0)
    answer, _eyes = prove(busy._replace(sockets=(row,)), outcomes=[Outcome(step, "done", acted=True)], wish=wish)
    assert answer.failure.code == "still_held"
    assert "was closed, but its program had bound the socket explicitly" in answer.failure.reason
