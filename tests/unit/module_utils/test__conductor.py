# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of the stages: which one may run when, and what is waited for. Forbidden stages are mines that go off."""

from __future__ import annotations

import os
import signal
import socket
import time

import psutil
import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.harbormaster.ports.plugins.module_utils import _argspec, _conductor
from ansible_collections.harbormaster.ports.plugins.module_utils._act import registry
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError, SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Outcome,
    Policy,
    Process,
    Refusal,
    Snapshot,
    Socket,
    Unit,
    UnitFacts,
    Wish,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._prove import proof

SOON = 10.0
LONG = 25.0
OPTIONS = ArgumentSpecValidator(_argspec.port_owner()["argument_spec"])
KEY = ("tcp", 8080, None)
FREE = Snapshot(bindable={KEY: True})
PROVE = proof.prove


def held(*pids, name="node", inode=None, address="0.0.0.0"):
    """These processes, each with a listener of its own; ``inode`` makes it one that they share."""
    known = {pid: Process(pid, name, 1, start_ticks=pid * 10, ancestors=(1,)) for pid in pids}
    rows = tuple(
        Socket("tcp", "ipv4", address, 8080, "LISTEN", inode=inode or 1000 + pid)
        for pid in (pids[:1] if inode else pids)
    )
    owners = {inode: pids} if inode else {1000 + pid: (pid,) for pid in pids}
    return Snapshot(rows, owners, {**known, 1: Process(1, "systemd")})


def connected():
    """Nothing listens; a connection of somebody has the port."""
    row = Socket("tcp", "ipv4", "10.0.0.1", 8080, "ESTABLISHED", "10.0.0.2", 443, inode=77)
    known = {100: Process(100, "curl", 1, ancestors=(1,))}
    return Snapshot((row,), {77: (100,)}, known, bindable={KEY: False})


class World:
    """What the conductor sees instead of this host: a look or a glance at the table takes the next snapshot.

    ``looks`` and ``glances`` say for which: the last of each stays for ever.
    """

    def __init__(self, looks, glances=None):
        self.looks, self.glances = list(looks), list(glances or [])
        self.log = []
        self.now = looks[0]

    def __call__(self, wishes, policy, backend, may_ask=False):
        self.may_ask = may_ask
        self.log.append("eyes")
        return self

    def look(self):
        self.log.append("look")
        self.now = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return self.now

    def rows(self):
        self.log.append("rows")
        if self.glances:
            self.now = self.glances.pop(0)
        return self.now.sockets

    def holds(self, pid, inodes):
        raise AssertionError("the conductor asks about processes only through the act stage")

    def start_ticks(self, pid):
        return None


@pytest.fixture
def world(monkeypatch):
    """A function that puts these snapshots in the place of the host, with mines where act and prove would begin."""

    def mine(*unused, **more):
        pytest.fail("a stage ran that must not run here")

    monkeypatch.setattr(registry, "carry_out", mine)
    monkeypatch.setattr(proof, "prove", mine)
    monkeypatch.setattr(_conductor, "probe", mine)

    def make(*looks, glances=None):
        made = World(looks, glances)
        monkeypatch.setattr(_conductor, "SystemEyes", made)
        return made

    return make


@pytest.fixture
def act(monkeypatch):
    """Takes the mine under act away: the steps of each call, all of them done."""
    calls = []

    def carry_out(steps, eyes, number_of):
        calls.append([step.roots[0].pid for step in steps])
        for step in steps:
            yield Outcome(step, "done", acted=True)

    monkeypatch.setattr(registry, "carry_out", carry_out)
    return calls


@pytest.fixture
def prove(monkeypatch):
    """Takes the mine under prove away: it says what the world looks like."""
    calls = []

    def look_again(eyes, judge, outcomes, settle, until, guess):
        calls.append((tuple(outcomes), settle))
        snapshot = eyes.look()
        return _conductor.Proof(snapshot, judge(snapshot))

    monkeypatch.setattr(proof, "prove", look_again)
    return calls


def run(check_mode=False, **options):
    options.setdefault("port", "8080/tcp")
    if "plan" in options:
        del options["port"]
    checked = OPTIONS.validate(options)
    assert checked.error_messages == []
    return _conductor.run(checked.validated_parameters, check_mode)


# Forbidden stages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("look", [FREE, held(100), connected()], ids=["free", "held", "connected"])
def test_a_report_looks_once_and_does_nothing(world, look, check_mode):
    seen = world(look)
    story = run(check_mode, timeout=LONG)
    assert seen.log == ["eyes", "look"]
    assert (story.outcomes, story.proof, story.failure) == ((), None, None)


def test_check_mode_decides_and_stops_there(world):
    seen = world(held(100))
    story = run(True, state="free")
    assert seen.log == ["eyes", "look"]
    assert len(story.plan.steps) == 1
    assert (story.outcomes, story.proof, story.failure) == ((), None, None)
    assert story.check_mode


@pytest.mark.parametrize("options", [dict(protect=["node"]), dict(stop_only=["java"]), dict(method="none")])
def test_a_refused_plan_is_not_begun(world, options):
    seen = world(held(100))
    story = run(state="free", **options)
    assert seen.log == ["eyes", "look"]
    assert story.failure is not None
    assert (story.outcomes, story.proof) == ((), None)


def test_what_is_free_already_needs_no_proof(world):
    world(FREE)
    story = run(state="free")
    assert (story.failure, story.outcomes, story.proof) == (None, (), None)


def test_an_empty_plan_does_not_even_look(world):
    seen = world(held(100))
    assert run(plan=[], state="free").failure is None
    assert seen.log == []


def test_bad_options_are_found_before_anything_is_looked_at(world):
    seen = world(held(100))
    for options in (dict(port="0"), dict(signal="NOPE"), dict(drain=-1), dict(state="free", keep=[])):
        with pytest.raises(OptionError):
            run(**options)
    assert seen.log == []


# Waiting ------------------------------------------------------------------------------------------------------------


def test_an_owner_that_comes_is_waited_for(world):
    world(FREE, held(100), glances=[FREE, FREE, held(100)])
    began = time.monotonic()
    story = run(owner="node", timeout=LONG)
    assert story.failure is None
    assert time.monotonic() - began < SOON


def test_an_owner_that_does_not_come_is_waited_for_no_longer_than_said(world):
    world(FREE)
    began = time.monotonic()
    story = run(owner="node", timeout=0.4)
    assert story.failure.code == "not_held"
    assert 0.4 <= time.monotonic() - began < SOON
    assert story.elapsed >= 0.4


def test_a_wrong_owner_may_still_go(world):
    world(held(100, name="old"), FREE, held(200, name="node"))
    assert run(owner="node", timeout=LONG).failure is None


def test_what_passes_by_itself_is_waited_for(world):
    world(connected(), FREE, glances=[connected(), FREE])
    story = run(state="free", timeout=LONG)
    assert story.failure is None


def test_what_does_not_pass_is_not_waited_for(world):
    world(held(100))
    began = time.monotonic()
    assert run(state="free", protect=["node"], timeout=LONG).failure.code == "protected_process"
    assert time.monotonic() - began < SOON


def test_method_none_waits_for_any_holder(world):
    world(held(100, name="dbus-daemon"), FREE)
    story = run(state="free", method="none", timeout=5)
    assert story.failure is None
    assert story.outcomes == ()


def test_without_a_timeout_nothing_is_waited_for(world):
    world(connected())
    began = time.monotonic()
    assert run(state="free").failure.code == "connection"
    assert time.monotonic() - began < SOON


def test_check_mode_waits_for_nothing(world):
    world(connected())
    began = time.monotonic()
    assert run(True, state="free", timeout=LONG, drain=LONG, settle=LONG).failure.code == "connection"
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize(
    ("check_mode", "options", "may_ask"),
    [(False, {"state": "free"}, True), (True, {"state": "free"}, False), (False, {"state": "present"}, False)],
)
def test_only_a_run_that_changes_things_may_run_the_programs_of_others(world, check_mode, options, may_ask):
    seen = world(FREE)
    run(check_mode, **options)
    assert seen.may_ask is may_ask


def test_all_looks_within_a_look_share_a_clock_and_the_next_look_has_a_new_one(monkeypatch):
    clocks = []

    def observe(ports, backend, other_ports, may_ask, clock):
        clocks.append((may_ask, clock))
        return Snapshot()

    monkeypatch.setattr(_conductor, "observe", observe)
    monkeypatch.setattr(_conductor, "probe", lambda *key: False)
    eyes = _conductor.SystemEyes([Wish(20003, "tcp")], Policy(state="free"), "psutil", may_ask=True)
    eyes.look()
    eyes.look()
    assert [may_ask for may_ask, _clock in clocks] == [True] * len(clocks)
    first, again, second = [clock for _may_ask, clock in clocks][:3]
    assert first is again and first is not second


# Act and prove ------------------------------------------------------------------------------------------------------


def test_what_was_planned_is_done_and_proven(world, act, prove):
    seen = world(held(100), FREE)
    story = run(state="free")
    assert act == [[100]]
    assert len(prove) == 1
    assert prove[0][1] == 3.0
    assert story.failure is None
    assert [outcome.result for outcome in story.outcomes] == ["done"]
    assert story.proof.plan.ports[0].status == "free"
    assert seen.log[:3] == ["eyes", "look", "rows"]


def test_settle_is_what_was_asked_for(world, act, prove):
    world(held(100), FREE)
    run(state="free", settle=7)
    assert prove[0][1] == 7.0


def test_a_holder_that_came_after_the_look_is_planned_anew(world, act, prove):
    """Never the new one by the old plan: both by a new plan."""
    world(held(100), held(100, 200), FREE, glances=[held(100, 200)])
    story = run(state="free")
    assert act == [[100, 200]]
    assert story.failure is None


def test_a_holder_that_came_and_may_not_be_stopped_keeps_everything_from_being_touched(world):
    both = held(100, 200)
    both = both._replace(processes={**both.processes, 200: both.processes[200]._replace(name="dbus-daemon")})
    world(held(100), both, glances=[both])
    story = run(state="free")
    assert story.failure.code == "protected_process"
    assert story.outcomes == ()


def test_where_new_holders_come_all_the_time_nobody_is_stopped(world):
    crowd = [held(*range(100, 101 + number)) for number in range(20)]
    seen = world(*crowd[::2], glances=crowd[1::2])
    story = run(state="free")
    assert story.failure.code == "changing"
    assert story.outcomes == ()
    assert seen.log.count("look") <= _conductor.MOST_PLANS + 1


def test_who_left_before_the_first_signal_is_success_without_a_change(world, monkeypatch):
    def gone(steps, eyes, number_of):
        return iter([Outcome(step, "gone") for step in steps])

    monkeypatch.setattr(registry, "carry_out", gone)
    world(held(100), FREE)
    story = run(state="free")
    assert story.failure is None
    assert not any(outcome.acted for outcome in story.outcomes)
    assert story.proof.plan.ports[0].status == "free"


def test_a_failed_step_is_looked_at_and_not_proven(world, monkeypatch):
    refusal = Refusal("still_held", "it stays", "none")

    def fail(steps, eyes, number_of):
        return iter([Outcome(step, "failed", acted=True, error=refusal) for step in steps])

    monkeypatch.setattr(registry, "carry_out", fail)
    world(held(100))
    story = run(state="free")
    assert story.failure is refusal
    assert story.proof is not None
    assert story.proof.plan.ports[0].before == "held"


def test_a_sharer_that_the_first_look_did_not_see_gets_a_second_round(world, act, prove):
    """The same socket, so it is the same wish that is carried on."""
    world(held(100, inode=11), held(101, inode=11), FREE)
    story = run(state="free")
    assert act == [[100], [101]]
    assert len(story.outcomes) == 2


def test_a_new_socket_after_the_stop_is_for_the_proof_to_name(world, act, prove):
    world(held(100), held(200))
    run(state="free")
    assert act == [[100]]
    assert len(prove) == 1


def test_rounds_are_bounded(world, act, prove):
    """Sharer after sharer, as a program that forks faster than it can be stopped."""
    world(*[held(100 + number, inode=11) for number in range(20)])
    run(state="free")
    assert len(act) == _conductor.MOST_PLANS
    assert len(prove) == 1


def test_what_was_done_is_told_also_when_nothing_can_be_seen_any_more(world, act):
    seen = world(held(100))

    def blind():
        raise SourceRefused("sock_diag", "Operation not permitted")

    monkey = seen.look
    seen.look = lambda: monkey() if seen.log.count("look") < 1 else blind()
    story = run(state="free")
    assert [outcome.acted for outcome in story.outcomes] == [True]
    assert story.failure.code == "not_proven"


def test_what_can_not_be_seen_at_all_is_an_error(world):
    seen = world(held(100))

    def blind():
        raise SourceRefused("sock_diag", "Operation not permitted")

    seen.look = blind
    with pytest.raises(SourceRefused):
        run()


def with_client(snapshot):
    row = Socket("tcp", "ipv4", "10.0.0.1", 8080, "ESTABLISHED", "10.0.0.2", 50000, inode=12)
    return snapshot._replace(sockets=(*snapshot.sockets, row))


def test_after_a_drain_that_waited_the_plan_is_made_again(world):
    """The client left, and meanwhile a protected process came to share the socket: nobody is stopped any more."""
    old = held(100, inode=11)
    shared = held(100, 101, inode=11)
    shared = shared._replace(processes={**shared.processes, 101: shared.processes[101]._replace(name="dbus-daemon")})
    seen = world(with_client(old), shared, glances=[with_client(old), old])
    story = run(state="free", drain=LONG)
    assert seen.log.count("look") == 2
    assert story.failure.code == "protected_process"
    assert story.outcomes == ()


def test_after_a_drain_the_new_plan_is_carried_out_and_nothing_drained_again(world, act, prove):
    """A client that is still there when the time is over is not waited for a second time."""
    busy = with_client(held(100, inode=11))
    world(busy, with_client(held(100, 101, inode=11)), FREE)
    began = time.monotonic()
    story = run(state="free", drain=0.3)
    assert 0.3 <= time.monotonic() - began < SOON
    assert act == [[100, 101]]
    assert story.failure is None


def test_a_drain_that_had_nobody_to_wait_for_leaves_the_plan_as_it_is(world, monkeypatch, prove):
    at_the_stop = []

    def carry_out(steps, eyes, number_of):
        at_the_stop.append(seen.log.count("look"))
        return iter([Outcome(step, "done", acted=True) for step in steps])

    monkeypatch.setattr(registry, "carry_out", carry_out)
    seen = world(held(100), FREE)
    assert run(state="free", drain=LONG).failure is None
    assert at_the_stop == [1]


def forked(inode, *pids):
    """A server with its worker, or what is left of them; psutil's inodes are made up of who shares the socket."""
    both = held(100, 101, inode=inode)
    worker = both.processes[101]._replace(parent_pid=100, ancestors=(100, 1))
    return both._replace(owners={inode: pids}, processes={**both.processes, 101: worker})


def test_a_source_without_inodes_gets_its_second_round_by_processes(world, act, prove):
    """When the root has gone the socket has another name; the worker is the one that the plan knew."""
    world(forked(-1, 100, 101), forked(-2, 101), FREE)
    assert run(state="free").failure is None
    assert act == [[100], [101]]


def test_a_source_without_inodes_gives_no_round_against_a_newcomer(world, act, prove):
    """Neither the socket nor the process is what was judged."""
    world(forked(-1, 100, 101), held(102, inode=-2), FREE)
    run(state="free")
    assert act == [[100]]


def test_a_passing_refusal_after_a_stop_is_waited_for(world, act, monkeypatch):
    """The stopped one's child still serves a client, for which the next server would have to wait."""
    busy = connected()
    seen = world(held(100), busy, busy, FREE)
    monkeypatch.setattr(proof, "prove", PROVE)
    began = time.monotonic()
    story = run(state="free", settle=0, timeout=LONG)
    assert story.failure is None
    assert story.proof.plan.ports[0].status == "free"
    assert seen.log.count("look") == 4
    assert time.monotonic() - began < SOON


# The real host ------------------------------------------------------------------------------------------------------


def test_a_real_holder_is_stopped_and_a_second_run_finds_nothing_to_do(hold):
    holder = hold(workers=1)
    options = dict(port="%d/tcp" % holder.port, state="free", settle=0)
    story = run(**options)
    assert story.failure is None
    assert holder.ended_by() == signal.SIGTERM
    assert story.proof.plan.ports[0].bindable is True
    again = run(**options)
    assert (again.failure, again.outcomes) == (None, ())


def test_a_real_holder_that_takes_the_port_in_between_is_not_hit(hold, monkeypatch):
    """Another program joins the port (SO_REUSEPORT) after the first look, and is protected: the first one lives too."""
    holder = hold()
    rows = _conductor.SystemEyes.rows
    joined = []

    def join(eyes):
        if not joined:
            one = socket.socket()
            one.bind(("127.0.0.2", holder.port))
            one.listen()
            joined.append(one)
        return rows(eyes)

    monkeypatch.setattr(_conductor.SystemEyes, "rows", join)
    story = run(port="%d/tcp" % holder.port, state="free", settle=0)
    joined[0].close()
    # the newcomer is this very process
    assert story.failure.code == "own_ancestor"
    assert story.outcomes == ()
    assert holder.lives()


@pytest.fixture
def probes(monkeypatch):
    asked = []

    def probe(*key):
        asked.append(key)
        return True

    monkeypatch.setattr(_conductor, "probe", probe)
    return asked


def test_a_report_probes_once_and_never_a_port_that_somebody_listens_on(listener, probes):
    free = Wish(listener, "udp")
    eyes = _conductor.SystemEyes([Wish(listener, "tcp"), free], Policy(), "auto")
    eyes.look()
    eyes.look()
    assert probes == [free.key]


def test_who_waits_for_an_owner_never_probes(probes):
    eyes = _conductor.SystemEyes([Wish(20003, "tcp")], Policy(timeout=30.0), "auto")
    eyes.look()
    assert probes == []


def test_who_frees_probes_at_every_look(probes):
    eyes = _conductor.SystemEyes([Wish(20003, "tcp")], Policy(state="free", timeout=30.0), "auto")
    eyes.look()
    eyes.look()
    assert probes == [("tcp", 20003, None)] * 2


def test_wishes_at_several_addresses_are_probed_one_by_one(probes):
    wishes = [Wish(20003, "tcp", address="127.0.0.1"), Wish(20003, "tcp", address="127.0.0.2")]
    snapshot = _conductor.SystemEyes(wishes, Policy(state="free"), "auto").look()
    assert sorted(probes) == [wish.key for wish in wishes]
    assert snapshot.bindable == {wish.key: True for wish in wishes}


def test_who_comes_between_the_table_and_the_bind_is_named(monkeypatch):
    """The bind fails, and the table that was read before it does not say why. The next one does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    servers = []
    real = _conductor.probe

    def probe(*key):
        if not servers:
            servers.append(socket.create_server(("127.0.0.1", port)))
        return real(*key)

    monkeypatch.setattr(_conductor, "probe", probe)
    try:
        story = run(port="%d/tcp" % port)
    finally:
        for server in servers:
            server.close()
    (found,) = story.plan.ports
    assert [(holder.kind, holder.pids[:1]) for holder in found.holders] == [("process", (os.getpid(),))]
    assert found.status == "held"


def test_what_no_table_shows_is_asked_for_twice_and_not_for_ever(monkeypatch):
    looks = []
    real = _conductor.observe

    def observe(*arguments):
        looks.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(_conductor, "observe", observe)
    monkeypatch.setattr(_conductor, "probe", lambda *key: False)
    snapshot = _conductor.SystemEyes([Wish(20003, "tcp")], Policy(), "auto").look()
    assert len(looks) == 2
    assert snapshot.bindable == {("tcp", 20003, None): False}
    monkeypatch.setattr(_conductor, "probe", lambda *key: True)
    _conductor.SystemEyes([Wish(20003, "tcp")], Policy(), "auto").look()
    assert len(looks) == 3


@pytest.mark.parametrize("backend", ["auto", "procfs", "psutil"])
def test_workers_are_freed_whatever_names_the_socket(hold, ends, monkeypatch, backend):
    """psutil knows no inodes: when the master has gone, what its workers share has another name than before."""
    holder = hold(workers=1)
    if backend == "psutil":
        # It reads every descriptor of the host for each question: here those of the two that matter are enough.
        mine = [psutil.Process(pid) for pid in (holder.pid, *holder.workers)]
        monkeypatch.setattr(psutil, "process_iter", lambda: iter(mine))
        monkeypatch.setattr(psutil, "net_connections", lambda kind: [])
    story = run(port="%d/tcp" % holder.port, state="free", settle=0, backend=backend)
    assert story.failure is None, story.failure
    assert holder.ended_by() == signal.SIGTERM
    assert all(ends(pid) for pid in holder.workers)
    assert story.proof.plan.ports[0].status == "free"


def test_what_a_manager_leaves_behind_is_never_signalled_in_the_same_run(world, act, prove):
    """A unit whose stop was given up: its process lives on, outside of any running unit. Nothing is killed past systemd."""
    unit = Unit("tough.service")
    before = held(100)
    before = before._replace(
        processes={**before.processes, 100: before.processes[100]._replace(unit=unit)},
        units={unit: UnitFacts(unit, main_pid=100)},
    )
    after = before._replace(units={unit: UnitFacts(unit, active="failed")})
    world(before, after)
    story = run(state="free")
    assert act == [[100]]
    assert [outcome.step.action for outcome in story.outcomes] == ["stop_unit"]
