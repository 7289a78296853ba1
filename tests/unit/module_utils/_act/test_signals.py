# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping real processes: who is signalled, in which order, what is waited for, and who never is."""

from __future__ import annotations

import os
import signal
import socket

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils import _wishes
from ansible_collections.harbormaster.ports.plugins.module_utils._act import signals
from ansible_collections.harbormaster.ports.plugins.module_utils._conductor import SystemEyes
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import pidfd
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Policy, Step, Target, Wish

# Far above what anything here needs; and a wait that a test never sits out unless something is broken.
SOON = 10.0
LONG = 25.0


def eyes_on(*holders):
    return SystemEyes([Wish(holder.port, "tcp") for holder in holders], Policy(state="free"), "auto")


def step_for(holder, **changes):
    """The step that stops a holder, as the decide stage makes it."""
    eyes = eyes_on(holder)
    targets = [Target(pid, eyes.start_ticks(pid), "holder") for pid in [holder.pid, *holder.workers]]
    rows = tuple(row for row in eyes.rows() if row.port == holder.port)
    assert rows
    step = Step(
        "signal", "signal", "holder (pid %d)" % holder.pid, ("%d/tcp" % holder.port,), roots=(targets[0],),
        members=tuple(targets[1:]), sockets=rows, kill=True, grace=SOON,
    )  # fmt: skip
    return step._replace(**changes)


def stop(*holders, **changes):
    """Stop them together; the outcomes."""
    steps = [step_for(holder, **changes) for holder in holders]
    return signals.stop(steps, eyes_on(*holders), _wishes.signal_number)


@pytest.fixture(params=["as python has it", "by number", "without"])
def pidfds(request, monkeypatch):
    """The three ways to hold a process: Python's calls, the system calls by number (Python 3.8), and none at all."""
    if request.param == "by number":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
        monkeypatch.delattr(signal, "pidfd_send_signal", raising=False)
    if request.param == "without":

        def missing(pid):
            return None if pid > 1 else pidfd_open(pid)

        pidfd_open = pidfd.open_pidfd
        monkeypatch.setattr(pidfd, "open_pidfd", missing)
    return request.param


# Asking -------------------------------------------------------------------------------------------------------------


def test_a_polite_holder_ends(hold, pidfds):
    holder = hold()
    (outcome,) = stop(holder)
    assert (outcome.result, outcome.acted, outcome.killed, outcome.error) == ("done", True, (), None)
    assert holder.ended_by() == signal.SIGTERM
    assert 0 < outcome.seconds < SOON


def test_the_signal_that_was_asked_for_is_sent(hold):
    holder = hold("deaf")
    (outcome,) = stop(holder, signal="INT")
    assert outcome.result == "done"
    assert outcome.killed == ()
    holder.process.wait(SOON)


def test_a_stopped_process_is_woken_to_hear_the_signal(hold, pidfds):
    holder = hold()
    os.kill(holder.pid, signal.SIGSTOP)
    os.waitpid(holder.pid, os.WUNTRACED)
    (outcome,) = stop(holder, kill=False)
    assert outcome.result == "done"
    assert holder.ended_by() == signal.SIGTERM


def test_a_socket_that_was_closed_ends_the_wait_though_the_process_lives(hold, pidfds):
    holder = hold("closes")
    (outcome,) = stop(holder)
    assert (outcome.result, outcome.killed) == ("done", ())
    assert outcome.seconds < SOON
    assert holder.line() == "closed"
    assert holder.lives()


def test_the_wait_ends_with_the_process_and_not_with_a_clock(hold):
    holder = hold()
    assert stop(holder, grace=LONG)[0].seconds < SOON


# Killing ------------------------------------------------------------------------------------------------------------


def test_who_ignores_the_signal_is_killed_after_the_grace_period(hold, pidfds):
    holder = hold("deaf")
    (outcome,) = stop(holder, grace=0.3)
    assert (outcome.result, outcome.killed) == ("done", (holder.pid,))
    assert holder.ended_by() == signal.SIGKILL
    assert 0.3 <= outcome.seconds < SOON


def test_who_ignores_the_signal_lives_where_killing_is_not_allowed(hold, pidfds):
    holder = hold("deaf")
    (outcome,) = stop(holder, grace=0.3, kill=False)
    assert (outcome.result, outcome.acted, outcome.killed) == ("failed", True, ())
    assert outcome.error.code == "still_held"
    assert "force: true" in outcome.error.remedy
    assert 0.3 <= outcome.seconds < SOON
    assert holder.lives()


def test_no_grace_at_all(hold):
    holder = hold("deaf")
    (outcome,) = stop(holder, grace=0.0)
    assert outcome.killed == (holder.pid,)


def test_the_wait_after_a_kill_is_bounded_too(hold, monkeypatch):
    """A process in an uninterruptible sleep takes KILL and stays. Here the KILL is lost on its way."""
    holder = hold("deaf")
    sent = []

    def lose_kill(pid, descriptor, number):
        sent.append(number)

    monkeypatch.setattr(pidfd, "send", lose_kill)
    monkeypatch.setattr(signals, "KILL_WAIT", 0.2)
    (outcome,) = stop(holder, grace=0.1)
    assert sent == [signal.SIGTERM, signal.SIGCONT, signal.SIGKILL]
    assert (outcome.result, outcome.error.code) == ("failed", "still_held")
    assert "after KILL" in outcome.error.reason
    assert outcome.seconds < SOON


def test_holders_are_waited_for_side_by_side(hold, monkeypatch):
    """All of them are asked before the first grace period is over."""
    holders = [hold("deaf") for _number in range(3)]
    send, sent = pidfd.send, []

    def record(pid, descriptor, number):
        sent.append((number, pid))
        send(pid, descriptor, number)

    monkeypatch.setattr(pidfd, "send", record)
    outcomes = stop(*holders, grace=0.5)
    assert [outcome.killed for outcome in outcomes] == [(holder.pid,) for holder in holders]
    asked = [(number, holder.pid) for holder in holders for number in (signal.SIGTERM, signal.SIGCONT)]
    assert sent == asked + [(signal.SIGKILL, holder.pid) for holder in holders]


def test_outcomes_come_in_the_order_of_the_steps(hold):
    deaf, polite = hold("deaf"), hold()
    outcomes = stop(deaf, polite, grace=0.5)
    assert [outcome.step.roots[0].pid for outcome in outcomes] == [deaf.pid, polite.pid]
    assert [bool(outcome.killed) for outcome in outcomes] == [True, False]


# Families -----------------------------------------------------------------------------------------------------------


def test_workers_are_asked_only_when_their_master_is_gone(hold, pidfds):
    holder = hold(workers=2)
    (outcome,) = stop(holder)
    assert (outcome.result, outcome.killed) == ("done", ())
    assert holder.ended_by() == signal.SIGTERM
    assert [holder.line(), holder.line()] == ["worker told, master gone"] * 2


def test_workers_are_left_alone_while_their_master_lives(hold, alive):
    holder = hold("deaf", workers=1)
    (outcome,) = stop(holder, grace=0.5, kill=False)
    assert outcome.result == "failed"
    assert holder.says_nothing()
    assert alive(holder.workers[0])


def test_everybody_who_still_holds_it_is_killed(hold, ends):
    holder = hold("deaf", workers=2)
    (outcome,) = stop(holder, grace=0.3)
    assert outcome.result == "done"
    assert outcome.killed == (holder.pid,)
    assert all(ends(pid) for pid in holder.workers), "they were asked, when their root had been killed"


def test_workers_get_a_grace_period_of_their_own(hold, ends):
    holder = hold("deaf-workers", workers=1)
    (outcome,) = stop(holder, grace=0.4)
    assert outcome.result == "done"
    assert outcome.killed == tuple(holder.workers)
    assert holder.ended_by() == signal.SIGTERM
    assert 0.4 <= outcome.seconds < SOON
    assert ends(holder.workers[0])


def test_workers_are_asked_when_the_master_had_left_before(hold):
    holder = hold(workers=1)
    step = step_for(holder)
    holder.process.kill()
    holder.process.wait()
    (outcome,) = signals.stop([step], eyes_on(holder), _wishes.signal_number)
    assert (outcome.result, outcome.acted, outcome.killed) == ("done", True, ())
    assert holder.line() == "worker told, master gone"


# Who is never hit ---------------------------------------------------------------------------------------------------


def test_another_process_with_the_same_pid_is_not_hit(hold, pidfds):
    """The start time of the plan is not the start time of who has the pid now."""
    holder = hold()
    step = step_for(holder)
    other = step.roots[0]._replace(start_ticks=step.roots[0].start_ticks - 1)
    (outcome,) = signals.stop([step._replace(roots=(other,))], eyes_on(holder), _wishes.signal_number)
    assert (outcome.result, outcome.acted) == ("gone", False)
    assert holder.lives()


def test_a_process_that_gave_its_socket_up_is_not_hit(hold, pidfds):
    """Same process, other socket: the port that it was to be stopped for is not its any more."""
    holder, bystander = hold(), hold()
    step = step_for(holder)
    own = step_for(bystander)
    (outcome,) = signals.stop([step._replace(roots=own.roots)], eyes_on(holder, bystander), _wishes.signal_number)
    assert (outcome.result, outcome.acted) == ("gone", False)
    assert bystander.lives()
    assert holder.lives()


def test_who_left_by_itself_is_gone_and_nothing_was_done(hold, pidfds):
    holder = hold()
    step = step_for(holder)
    holder.process.kill()
    holder.process.wait()
    (outcome,) = signals.stop([step], eyes_on(holder), _wishes.signal_number)
    assert (outcome.result, outcome.acted, outcome.killed) == ("gone", False, ())


def test_a_zombie_holds_nothing_and_is_gone(hold, pidfds):
    holder = hold()
    step = step_for(holder)
    os.kill(holder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    (outcome,) = signals.stop([step], eyes_on(holder), _wishes.signal_number)
    assert (outcome.result, outcome.acted) == ("gone", False)


class EverybodyHolds:
    """Eyes that say yes to everything: what is left are the checks of the act stage itself."""

    def __init__(self, row):
        self.row = row

    def rows(self):
        return (self.row,)

    def holds(self, pid, inodes):
        return True

    def start_ticks(self, pid):
        return 1


@pytest.mark.parametrize("pid", [1, 0, -1])
def test_the_first_process_and_groups_are_never_signalled(hold, pidfds, monkeypatch, pid):
    step = step_for(hold())
    monkeypatch.setattr(os, "kill", lambda *arguments: pytest.fail("kill%r" % (arguments,)))
    (outcome,) = signals.stop(
        [step._replace(roots=(Target(pid, 1, "init"),))], EverybodyHolds(step.sockets[0]), _wishes.signal_number
    )
    assert (outcome.result, outcome.acted) == ("gone", False)


JAVA = Target(9, 70, "java", "/opt/java", frozenset(("java",)), "java -jar a", 5000)


@pytest.mark.parametrize(
    ("now", "still"),
    [
        ({}, True),
        ({"pid": 10}, False),
        ({"start_ticks": 71}, False),
        ({"exe": "/opt/postgres"}, False),
        # renamed, without exec
        ({"name": "x", "names": frozenset(("x",)), "command": "x"}, True),
        # the same interpreter with another script
        ({"image": 6000, "command": "java -jar b"}, False),
        ({"image": 6000, "names": frozenset(("x",))}, False),
        # started again as what it was
        ({"image": 6000}, True),
        # what another account may not see
        ({"image": 0, "names": frozenset(("x",))}, False),
        # on its way out: its program is gone already
        ({"exe": "", "names": frozenset(("java",)), "command": "", "image": 0}, True),
        ({"exe": "", "name": "postgres", "names": frozenset(("postgres",)), "command": "", "image": 0}, False),
    ],
)
def test_what_is_still_the_program_that_was_judged(now, still):
    assert JAVA.is_still(JAVA._replace(**now)) is still


def test_what_is_read_in_the_middle_of_an_exec_is_read_again(hold, pidfds):
    """The file is the new program's already, the name still the old one's."""
    judged = Target(hold().pid, 1, "java", "/opt/java", frozenset(("java",)), "java", 5000)
    worker = judged._replace(name="worker", exe="/opt/worker", names=frozenset(("worker",)), image=6000)
    reads = [worker._replace(name="java"), worker]

    class InTheMiddle(EverybodyHolds):
        def target(self, pid):
            return reads.pop(0)

    grip = signals._Grip(judged, InTheMiddle(None), Step("signal", "signal", "java", ("8080/tcp",)))
    try:
        assert grip.became() == "worker"
    finally:
        grip.close()


@pytest.mark.parametrize(
    ("nameless", "proven", "became"), [(False, False, "worker"), (True, False, ""), (True, True, "worker")]
)
def test_another_program_is_judged_anew_unless_no_name_has_a_word(hold, nameless, proven, became):
    """What root's own program it has become is evidence, and that always has one."""
    judged = Target(hold().pid, 1, "java", "/opt/java", frozenset(("java",)), "java", 5000)
    names = frozenset(("worker", "worker, proven") if proven else ("worker",))

    class Another(EverybodyHolds):
        def target(self, pid):
            return judged._replace(name="worker", exe="/opt/worker", names=names, image=6000)

    grip = signals._Grip(judged, Another(None), Step("signal", "signal", "java", ("8080/tcp",), nameless=nameless))
    try:
        assert grip.became() == became
    finally:
        grip.close()


# When things go wrong -----------------------------------------------------------------------------------------------


def test_a_signal_that_is_not_permitted_is_a_failure_with_advice(hold, monkeypatch):
    holder = hold()

    def refuse(pid, descriptor, number):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(pidfd, "send", refuse)
    (outcome,) = stop(holder)
    assert (outcome.result, outcome.acted) == ("failed", False)
    assert outcome.error.code == "not_permitted"
    assert "become: true" in outcome.error.remedy


def test_who_ends_between_check_and_signal_is_no_failure(hold, monkeypatch):
    holder = hold()

    def too_late(pid, descriptor, number):
        holder.process.kill()
        holder.process.wait()
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(pidfd, "send", too_late)
    (outcome,) = stop(holder)
    assert outcome.error is None
    assert (outcome.result, outcome.acted, outcome.killed) == ("gone", False, ())


def test_who_ends_when_it_is_due_to_be_killed_was_not_killed(hold, monkeypatch):
    """The polite signal was delivered and nothing else: the holder left late, by its own choice."""
    holder = hold("deaf")
    real = pidfd.send

    def late(pid, descriptor, number):
        if number == signal.SIGKILL:
            holder.process.kill()
            os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
        real(pid, descriptor, number)

    monkeypatch.setattr(pidfd, "send", late)
    (outcome,) = stop(holder, grace=0.1)
    assert (outcome.result, outcome.acted, outcome.killed) == ("done", True, ())


def test_who_has_ended_and_was_not_reaped_gets_nothing(hold, monkeypatch):
    """The kernel takes a signal for a zombie; nobody hears it."""
    holder = hold()
    real = pidfd.send

    def too_late(pid, descriptor, number):
        holder.process.kill()
        os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
        real(pid, descriptor, number)

    monkeypatch.setattr(pidfd, "send", too_late)
    (outcome,) = stop(holder)
    assert (outcome.result, outcome.acted) == ("gone", False)


def test_a_table_that_can_not_be_read_any_more_ends_the_wait_and_tells_what_was_sent(hold):
    holder = hold("deaf")
    step = step_for(holder)
    sight = eyes_on(holder)
    looks = []

    class Blinded:
        holds, start_ticks, target = sight.holds, sight.start_ticks, sight.target

        def rows(self):
            looks.append(1)
            if len(looks) > 1:
                raise SourceRefused("sock_diag", "Operation not permitted")
            return sight.rows()

    (outcome,) = signals.stop([step], Blinded(), _wishes.signal_number)
    assert (outcome.result, outcome.acted) == ("failed", True)
    assert outcome.error.code == "step_failed"
    assert holder.lives()


def test_no_descriptor_is_left_open(hold, pidfds):
    holders = [hold(), hold("deaf", workers=1)]
    steps = [step_for(holder, grace=0.2) for holder in holders]
    before = sorted(os.listdir("/proc/self/fd"))
    signals.stop(steps, eyes_on(*holders), _wishes.signal_number)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_clients_are_left_alone(hold):
    """The other end of a connection is not the holder, whoever it is; here it is this very process."""
    holder = hold()
    with socket.create_connection(("127.0.0.1", holder.port)) as client:
        (outcome,) = stop(holder)
        assert outcome.result == "done"
        client.settimeout(SOON)
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass  # it was waiting in the listener's queue
