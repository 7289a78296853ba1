# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The awkward deaths: holders that don't die, die too early, come back, are frozen, or are somebody else by now."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from zoo import harness, world

OPEN = "pidfd.py:open_pidfd"  # the last moment before the target's identity is pinned
SEND = "pidfd.py:send"  # the last moment before the signal
SLEEP = "pidfd.py:sleep"  # it waits, for whatever it is


def test_ignores_term_and_is_killed(zoo) -> None:
    holder = zoo.start("stubborn")
    predicted = zoo.free([holder.port], check=True, grace_period=0.5)
    real = zoo.free([holder.port], grace_period=0.5)
    assert predicted.comparable() == real.comparable()
    assert not real.failed, real["msg"]
    assert real["elapsed"] >= 0.5
    assert world.wait_gone(holder.owners) == []
    assert "KILL" in real["msg"]


def test_ignores_term_and_is_not_killed_without_force(zoo) -> None:
    holder = zoo.start("stubborn")
    predicted = zoo.free([holder.port], check=True, grace_period=0.3, force=False)
    real = zoo.free([holder.port], grace_period=0.3, force=False)
    assert [harness.steady(action) for action in predicted["actions"]] == [
        harness.steady(action) for action in real["actions"]
    ]
    assert real.failed and real["changed"] is True, "a signal was sent"
    assert (real["reason"], real.port(holder.port)["status"]) == ("still_held", "held")
    assert [action["result"] for action in real["actions"]] == ["failed"]
    assert holder.living() == holder.owners


@pytest.mark.parametrize("name", ["postgres", "mysqld", "redis-server"])
def test_databases_are_spared_from_kill(zoo, name: str) -> None:
    holder = zoo.start("stubborn", comm=name)
    real = zoo.free([holder.port], grace_period=0.3)
    assert real.failed and real["reason"] == "still_held"
    assert holder.living() == holder.owners
    forced = zoo.free([holder.port], grace_period=0.3, force=True)
    assert not forced.failed, forced["msg"]
    assert world.wait_gone(holder.owners) == []


@pytest.mark.parametrize(
    ("comm", "options", "number"),
    [
        ("webapp", {}, signal.SIGTERM),
        ("postgres", {}, signal.SIGINT),
        ("uwsgi", {}, signal.SIGINT),
        ("webapp", {"signal": "HUP"}, signal.SIGHUP),
        ("webapp", {"signal": str(int(signal.SIGUSR1))}, signal.SIGUSR1),
    ],
)
def test_signal_by_program(zoo, comm: str, options: dict, number: int) -> None:
    holder = zoo.start("term_only", comm=comm)
    real = zoo.free([holder.port], **options)
    assert not real.failed, real["msg"]
    assert [line["signal"] for line in holder.reports()] == [number]


def test_stopped_one_gets_term_and_then_cont(zoo) -> None:
    holder = zoo.start("stopped")
    assert world.state(holder.pid) == "T"
    real = zoo.free([holder.port], force=False, grace_period=40)
    assert not real.failed, real["msg"]
    assert real["elapsed"] < 30
    assert world.wait_gone(holder.owners) == []


def test_master_takes_its_workers_along(zoo) -> None:
    """Only the root-most sharer is asked: its workers go in its own way."""
    holder = zoo.start("reaping_master")
    real = zoo.free([holder.port])
    assert not real.failed, real["msg"]
    assert holder.process.wait(5) == 0, "the master ended by its own handler, with its workers reaped"
    assert holder.reports() == [], "a worker was asked before its master had gone"
    assert world.wait_gone(holder.owners) == []


def test_workers_that_outlive_their_master(zoo) -> None:
    holder = zoo.start("forked_sharers")
    real = zoo.free([holder.port], force=False)
    assert not real.failed, real["msg"]
    assert world.wait_gone(holder.owners) == []


def test_holder_that_gives_up_the_port_is_not_killed(zoo) -> None:
    holder = zoo.start("closes_and_lives")
    real = zoo.free([holder.port], grace_period=0.5, force=True)
    assert not real.failed, real["msg"]
    assert holder.living() == holder.owners


@pytest.mark.parametrize("moment", [OPEN, SEND])
def test_holder_leaves_by_itself_in_between(zoo, moment: str) -> None:
    """Losing the race is success, and nothing was changed by us."""
    holder = zoo.start("tcp4")

    def leave(dummy) -> None:
        holder.tell("exit")
        holder.process.wait(5)

    with harness.Hook([moment], leave) as hook:
        real = zoo.free([holder.port], hook=hook)
    assert hook.seen == [moment]
    assert not real.failed, real["msg"]
    assert real["free"] is True
    assert real["changed"] is False
    assert real.port(holder.port)["status"] == "free"
    assert [one["outcome"] for one in real.port(holder.port)["holders"]] == ["gone"]
    assert "left by itself" in real["msg"] and "stopped" not in real["msg"], real["msg"]
    assert real["actions"] == []


def test_holder_that_ends_unreaped_in_between_left_by_itself(zoo) -> None:
    """A signal to a zombie succeeds and reaches nobody."""
    holder = zoo.start("tcp4")

    def leave(dummy) -> None:
        holder.tell("exit")
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)

    with harness.Hook([SEND], leave) as hook:
        real = zoo.free([holder.port], hook=hook)
    assert hook.seen == [SEND]
    assert (real.failed, real["free"], real["changed"], real["actions"]) == (False, True, False, [])
    assert "left by itself" in real["msg"] and "stopped" not in real["msg"], real["msg"]


@pytest.mark.parametrize("backend", ["auto", "procfs"])
def test_who_becomes_another_program_on_term_is_judged_anew(zoo, backend: str) -> None:
    """The task lets a java be stopped; what that turns into on TERM is a database, and nobody's to kill."""
    java, database = zoo.program("java"), zoo.program("postgres")
    holder = zoo.start("turncoat", executable=java, into=database)
    real = zoo.free([holder.port], stop_only=["java"], grace_period=3, force=True, backend=backend)
    assert holder.living() == holder.owners, "KILL was meant for java, and hit postgres"
    assert real.failed and real["changed"] is True, "TERM was sent"
    assert real["reason"] == "owner_mismatch" and "postgres" in real["msg"], real["msg"]
    assert [action["result"] for action in real["actions"]] == ["failed"]
    assert {one["name"] for one in real.port(holder.port)["holders"]} == {"java", "postgres"}


def test_who_becomes_another_program_that_may_go_too_gets_a_new_step(zoo) -> None:
    java, worker = zoo.program("java"), zoo.program("worker")
    holder = zoo.start("turncoat", executable=java, into=worker)
    real = zoo.free([holder.port], stop_only=["java", "worker"], grace_period=3)
    assert not real.failed, real["msg"]
    assert world.wait_gone(holder.owners) == []
    assert real["free"] is True and "became worker" in real["msg"], real["msg"]


@pytest.mark.parametrize("moment", [OPEN, SEND])
def test_who_becomes_another_program_before_anything_was_sent(zoo, moment: str) -> None:
    """At the last moment before the signal there is no check left; before that one it is seen."""
    java, database = zoo.program("java"), zoo.program("postgres")
    holder = zoo.start("turncoat", executable=java, into=database)

    def become(dummy) -> None:
        os.kill(holder.pid, signal.SIGUSR1)
        holder.next_report()

    with harness.Hook([moment], become) as hook:
        real = zoo.free([holder.port], stop_only=["java"], grace_period=0.4, force=True, hook=hook)
    assert hook.seen == [moment]
    assert holder.living() == holder.owners
    assert real.failed and real["reason"] == "owner_mismatch", real["msg"]
    assert real["changed"] is (moment == SEND)


def test_holder_closes_by_itself_in_between_and_lives(zoo) -> None:
    """It gave the port up a moment before the signal: it is no holder any more."""
    holder = zoo.start("tcp4")

    def close(dummy) -> None:
        holder.tell("close")
        holder.next_report()

    with harness.Hook([OPEN], close) as hook:
        real = zoo.free([holder.port], hook=hook)
    assert hook.seen == [OPEN]
    assert not real.failed, real["msg"]
    assert real["changed"] is False
    assert holder.living() == holder.owners


def replaced_by(zoo, comm):
    """Another program takes the port of webapp, which may be stopped, after the decision: the port, the new one, the result."""
    first = zoo.start("tcp4", comm="webapp")
    second = []

    def replace(dummy) -> None:
        first.tell("exit")
        first.process.wait(5)
        second.append(zoo.start("tcp4", first.port, comm=comm))

    with harness.Hook([OPEN], replace) as hook:
        real = zoo.free([first.port], hook=hook, stop_only=["webapp"])
    assert hook.seen == [OPEN]
    return first.port, second[0], real


def test_holder_is_replaced_by_another_pid(zoo) -> None:
    """The new one appeared after the decision. It is decided about anew: here it may be stopped as well."""
    port, second, real = replaced_by(zoo, "webapp")
    assert not real.failed, real["msg"]
    assert real["free"] is True
    assert world.wait_gone(second.owners) == []


def test_new_holder_that_may_not_be_stopped(zoo) -> None:
    """The one who appeared in between does not match: it is never stopped under the old decision."""
    port, second, real = replaced_by(zoo, "ledger")
    assert real.failed
    assert real.port(port)["blocked_by"]["code"] == "owner_mismatch"
    assert second.living() == second.owners


def test_holder_that_joins_in_between_is_never_stopped_unjudged(zoo) -> None:
    """A second socket on the same port (SO_REUSEPORT) appears while the first one is being stopped."""
    first = zoo.start("tcp4", comm="webapp", reuseport=True)
    second = []

    def join(dummy) -> None:
        second.append(zoo.start("tcp4", first.port, comm="ledger", reuseport=True))

    with harness.Hook([SEND], join) as hook:
        real = zoo.free([first.port], hook=hook, stop_only=["webapp"])
    assert hook.seen == [SEND]
    assert second[0].living() == second[0].owners
    assert real.failed and real["changed"] is True
    assert real.port(first.port)["status"] == "held"


@pytest.mark.parametrize(("delay", "settle"), [(0, 20), (0.6, 20)], ids=["at-once", "within-settle"])
def test_respawner_is_named_and_nothing_is_killed_twice(zoo, delay: float, settle: float) -> None:
    holder = zoo.start("respawner", delay=delay, comm="keepalive")
    predicted = zoo.free([holder.port], check=True, settle=settle)
    real = zoo.free([holder.port], settle=settle)
    assert [harness.steady(one) for one in predicted["actions"]] == [harness.steady(one) for one in real["actions"]]
    lives = [line["owners"][0] for line in holder.reports()]
    if not lives:
        lives = holder.next_report()["owners"]
    assert real.failed and real["changed"] is True
    assert real["reason"] == "respawned"
    assert len(lives) == 1, "the second life was not killed"
    assert holder.living(lives) == lives
    assert holder.living(holder.others) == holder.others
    assert str(lives[0]) in real["msg"], "the new holder is named"
    assert str(holder.others[0]) in real["msg"] and "keepalive" in real["msg"], "and its parent"


def test_shell_loop_is_named(zoo) -> None:
    """``while true; do serve; done``, the oldest supervisor of all."""
    port = zoo.port()
    program = harness.HERE_COPY / "holders.py"
    loop = "exec 9>&1; while true; do %s %s tcp4 >/dev/null; done" % (zoo.module.python, program)
    environment = dict(os.environ, ZOO_OPTIONS=json.dumps({"port": port}), ZOO_REPORT="9")
    shell = subprocess.Popen(["/bin/sh", "-c", loop], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    lives: list[int] = []
    try:
        lives.append(json.loads(shell.stdout.readline())["pid"])
        real = zoo.free([port], settle=20)
        lives.append(json.loads(shell.stdout.readline())["pid"])
        assert real.failed and real["reason"] == "respawned"
        assert shell.poll() is None and world.alive(lives[1])
        assert "pid %d" % lives[1] in real["msg"] and "pid %d" % shell.pid in real["msg"]
        assert re.search(r"\bsh\b|\bdash\b", real["msg"])
    finally:
        shell.kill()
        shell.wait(5)
        for pid in lives:
            if world.alive(pid):
                os.kill(pid, signal.SIGKILL)
        world.wait_gone(lives)
        shell.stdin.close()
        shell.stdout.close()


def test_drain_waits_for_the_clients_to_leave(zoo) -> None:
    server = zoo.start("tcp4", accept=True)
    crowd = zoo.start("clients", server.port, number=2)

    def leave(dummy) -> None:
        assert server.living() == server.owners, "while it drains, nobody is asked to go"
        zoo.holders.remove(crowd)
        crowd.end()

    with harness.Hook([SLEEP], leave) as hook:
        real = zoo.free([server.port], drain=50, hook=hook)
    assert hook.seen == [SLEEP]
    assert not real.failed, real["msg"]
    assert real["elapsed"] < 40
    assert [action["dropped"] for action in real["actions"]] == [0]


def test_drain_has_an_end_and_counts_the_rest(zoo) -> None:
    server = zoo.start("tcp4", accept=True)
    crowd = zoo.start("clients", server.port, number=3)
    real = zoo.free([server.port], drain=0.5)
    assert not real.failed, real["msg"]
    assert real["elapsed"] >= 0.5
    assert [action["dropped"] for action in real["actions"]] == [3]
    assert len(crowd.living()) == 4


@pytest.mark.root
@pytest.mark.parametrize("moment", [OPEN, SEND])
def test_reused_pid_is_never_hit(zoo, moment: str, target_python: str) -> None:
    """In a PID namespace the holder dies in between and an innocent process gets its very pid."""
    script = harness.HERE / "pid_reuse.py"
    command = ["unshare", "-pf", "--mount-proc", sys.executable, str(script), moment]
    command += [target_python, str(zoo.module.directory), str(harness.HERE_COPY), str(zoo.port())]
    run = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60, check=True)
    story = json.loads(run.stdout)
    assert story["seen"] == [moment]
    assert story["holder"] == story["innocent"], "the pid was not reused: the test proved nothing"
    assert story["alive"] is True, "an innocent process was hit: %s" % story
    assert story["result"]["changed"] is False
    assert not story["result"].get("failed"), story["result"]["msg"]
