# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which actuator gets which steps, in what order, and what is waited for and counted before."""

from __future__ import annotations

import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils import _wishes
from ansible_collections.harbormaster.ports.plugins.module_utils._act import registry
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Outcome, Refusal, Socket, Step, Target

SOON = 10.0
LONG = 25.0


def listener(address="0.0.0.0", port=8080, inode=11):
    return Socket("tcp", "ipv4", address, port, "LISTEN", inode=inode)


def client(number, address="10.0.0.1", port=8080, state="ESTABLISHED"):
    return Socket("tcp", "ipv4", address, port, state, "10.0.0.2", 50000 + number, inode=100 + number)


def step(name, actuator="signal", *rows, port=8080):
    roots = (Target(100, 1, name),) if actuator == "signal" else ()
    return Step(actuator, actuator, name, ("%d/tcp" % port,), roots=roots, sockets=rows or (listener(),))


class Eyes:
    """Eyes that see what the test says; after the last table they go on seeing it."""

    def __init__(self, *tables, left=()):
        self.tables = list(tables)
        self.left = left  # what is still there when the holders have been stopped

    def rows(self):
        return tuple(self.tables.pop(0) if len(self.tables) > 1 else self.tables[0])

    def holds(self, pid, inodes):
        raise AssertionError("the registry itself asks nobody")

    start_ticks = look = holds


@pytest.fixture
def calls(monkeypatch):
    """What each actuator was called with; an outcome for each step, failed when its name says so."""
    made = []

    def actuator(name):
        def act(steps, eyes, number_of):
            made.append((name, [one.target for one in steps]))
            eyes.tables = [eyes.left]
            return [
                Outcome(one, "failed", error=Refusal("step_failed", "no", "none"))
                if one.target.startswith("bad")
                else Outcome(
                    one, "gone" if one.target.startswith("gone") else "done", not one.target.startswith("gone")
                )
                for one in steps
            ]

        return act

    monkeypatch.setattr(registry, "ACTUATORS", {name: actuator(name) for name in ("signal", "destroy")})
    return made


def carry_out(steps, eyes=None, drain=0.0):
    eyes = eyes or Eyes([])
    if drain:
        registry.drain(steps, eyes, drain)
    return list(registry.carry_out(steps, eyes, _wishes.signal_number))


def test_every_actuator_that_a_step_may_name_is_there():
    assert set(registry.ACTUATORS) == {"signal", "destroy", "systemd", "resolver", "container", "supervisor"}


def test_steps_of_one_kind_that_follow_each_other_go_together(calls):
    carry_out([step("a"), step("b"), step("c", "destroy"), step("d")])
    assert calls == [("signal", ["a", "b"]), ("destroy", ["c"]), ("signal", ["d"])]


def test_what_ended_with_an_earlier_step_did_not_leave_by_itself(calls):
    base = step("base")._replace(covers=(("process", 7), ("process", 9)), holders=(("service", "base"),))
    along = step("gone: child", "destroy")._replace(holders=(("process", 7),))
    alone = step("gone: alone", "destroy")._replace(holders=(("process", 8),))
    partly = step("gone: partly", "destroy")._replace(holders=(("process", 9), ("process", 8)))
    outcomes = carry_out([base, along, alone, partly])
    assert [(one.result, one.acted, one.along) for one in outcomes] == [
        ("done", True, ""), ("done", False, "base"), ("gone", False, ""), ("gone", False, "")
    ]  # fmt: skip


def test_what_did_nothing_ends_nobody_along(calls):
    base = step("gone: base")._replace(covers=(("process", 7),))
    along = step("gone: child")._replace(holders=(("process", 7),))
    assert [one.result for one in carry_out([base, along])] == ["gone", "gone"]


def test_after_a_failure_nothing_more_is_begun(calls):
    outcomes = carry_out([step("a"), step("bad"), step("c", "destroy"), step("d")])
    assert calls == [("signal", ["a", "bad"])]
    assert [outcome.result for outcome in outcomes] == ["done", "failed"]


def test_no_steps_no_calls(calls):
    assert carry_out([]) == []
    assert calls == []


def test_drain_ends_when_the_clients_have_left(calls):
    eyes = Eyes([listener(), client(1)], [listener(), client(1)], [listener()])
    began = time.monotonic()
    (outcome,) = carry_out([step("a")], eyes, drain=LONG)
    assert time.monotonic() - began < SOON
    assert outcome.dropped == 0


def test_drain_is_bounded_and_the_rest_is_counted(calls):
    began = time.monotonic()
    (outcome,) = carry_out([step("a")], Eyes([listener(), client(1), client(2)]), drain=0.3)
    assert 0.3 <= time.monotonic() - began < SOON
    assert calls == [("signal", ["a"])]
    assert outcome.dropped == 2


def test_nobody_is_asked_before_the_drain_is_over(calls):
    class Watching(Eyes):
        def rows(self):
            looks.append(list(calls))
            return super().rows()

    looks = []
    carry_out([step("a")], Watching([client(1)], [client(1)], []), drain=SOON)
    assert calls
    assert looks[:3] == [[], [], []]


def test_without_drain_nothing_is_waited_for(calls):
    eyes = Eyes([client(1)], [])
    (outcome,) = carry_out([step("a")], eyes)
    assert outcome.dropped == 1
    assert len(eyes.tables) == 1, "it looked more than once"


@pytest.mark.parametrize("state", ["TIME_WAIT", "CLOSE_WAIT", "FIN_WAIT2", "LISTEN"])
def test_only_open_connections_are_waited_for(calls, state):
    (outcome,) = carry_out([step("a")], Eyes([client(1, state=state)]), drain=LONG)
    assert outcome.dropped == 0


def test_a_child_that_goes_on_serving_drops_nobody(calls):
    (outcome,) = carry_out([step("a")], Eyes([client(1), client(2)], left=[client(2)]))
    assert outcome.dropped == 1


def test_what_was_not_done_drops_nobody(calls):
    (outcome,) = carry_out([step("gone")], Eyes([client(1)]))
    assert outcome.dropped == 0


def test_closing_a_socket_drains_nobody(calls):
    outgoing = client(1)
    (outcome,) = carry_out([step("a", "destroy", outgoing)], Eyes([outgoing, client(2)]), drain=LONG)
    assert outcome.dropped == 0


def test_clients_on_other_ports_do_not_count(calls):
    (outcome,) = carry_out([step("a")], Eyes([client(1, port=8081)]), drain=LONG)
    assert outcome.dropped == 0


def test_clients_of_somebody_else_at_another_address_do_not_count(calls):
    """With ``address`` the neighbour on the same port is not stopped, and its clients don't leave."""
    mine = listener("192.0.2.10")
    rows = [mine, listener("127.0.0.1", inode=12), client(1, "127.0.0.1"), client(2, "192.0.2.10")]
    (outcome,) = carry_out([step("a", "signal", mine)], Eyes(rows))
    assert outcome.dropped == 1


def test_two_holders_of_one_port_share_its_clients(calls):
    first, second = listener(inode=11), listener(inode=12)
    rows = [first, second, client(1), client(2), client(3)]
    outcomes = carry_out([step("a", "signal", first), step("b", "signal", second)], Eyes(rows))
    assert sum(outcome.dropped for outcome in outcomes) == 3
