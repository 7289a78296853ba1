# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Freeing: the port is free, the holders are gone, everybody else lives. And check mode said so before."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from zoo import harness, world
from zoo.bestiary import ANIMALS, Animal

SLEEP = "pidfd.py:sleep"  # the run waits


def outcomes(result: harness.Result, port: int, protocol: str = "tcp") -> list[tuple[str, str]]:
    return [(found["kind"], found["outcome"]) for found in result.port(port, protocol)["holders"]]


@pytest.mark.parametrize("animal", ANIMALS, ids=lambda animal: animal.name)
def test_check_mode_predicts_and_the_real_run_frees(zoo, animal: Animal) -> None:
    if animal.root_to_free and not world.ROOT:
        world.lacking("freeing %s needs root" % animal.name)
    holder = zoo.keep(animal)
    predicted = zoo.free([holder.port], check=True, **animal.ask)
    assert set(holder.living()) >= set(holder.owners) | set(holder.others), "check mode touches nobody"
    real = zoo.free([holder.port], **animal.ask)
    assert predicted.comparable() == real.comparable()
    assert predicted.failed == real.failed
    assert all(action["result"] == "predicted" for action in predicted["actions"])

    for protocol in animal.rows:
        assert real.port(holder.port, protocol)["status"] == animal.after
        assert real.port(holder.port, protocol)["before"] == animal.before
    if animal.code is not None:
        assert real.failed and real["changed"] is False and real["actions"] == []
        assert real.port(holder.port, animal.rows[0])["blocked_by"]["code"] == animal.code
        assert set(holder.living()) >= set(holder.owners)
        return
    assert not real.failed, real["msg"]
    assert real["free"] is True
    assert real["changed"] is (animal.before != "lingering")
    assert not [row for row in world.table(holder.port) if row[2]]
    assert world.wait_gone([] if animal.survives else holder.owners) == []
    if animal.survives:
        assert holder.living(holder.owners) == holder.owners
    assert holder.living(holder.others) == holder.others

    again = zoo.free([holder.port], **animal.ask)
    assert (again["changed"], again.failed, again["actions"]) == (False, False, [])


def test_clients_of_the_port_survive(zoo) -> None:
    server = zoo.start("tcp4", accept=True)
    crowd = zoo.start("clients", server.port, number=4)
    predicted = zoo.free([server.port], check=True)
    real = zoo.free([server.port])
    assert not real.failed, real["msg"]
    assert predicted.comparable() == real.comparable()
    assert world.wait_gone(server.owners) == []
    assert crowd.living() == list(crowd.identities)
    assert real.port(server.port)["status"] in ("free", "lingering")


def test_clients_and_workers_of_a_dual_stack_server(zoo) -> None:
    server = zoo.start("dual_stack", accept=True)
    crowds = [zoo.start("clients", server.port), zoo.start("clients", server.port, address="::1")]
    real = zoo.free([server.port])
    assert not real.failed, real["msg"]
    assert world.wait_gone(server.owners) == []
    assert all(len(crowd.living()) == 4 for crowd in crowds)


def test_same_port_at_another_address_survives(zoo) -> None:
    port = zoo.port()
    asked = zoo.start("tcp4", port, address="127.0.0.2")
    neighbour = zoo.start("tcp4", port, address="127.0.0.3")
    six = zoo.start("tcp6", port)
    real = zoo.free([port], address="127.0.0.2", protocol="tcp")
    assert not real.failed, real["msg"]
    assert world.wait_gone(asked.owners) == []
    assert neighbour.living() and six.living()


def test_an_address_that_nobody_can_bind_without_its_interface(zoo) -> None:
    """The holder is on every address, so on this one too; whether it could be bound afterwards nobody can say."""
    holder = zoo.start("dual_stack")
    report = zoo.run(port=["%d/tcp" % holder.port], address="fe80::1")
    assert not report.failed, report["msg"]
    assert report.port(holder.port)["status"] == "held"
    real = zoo.free(["%d/tcp" % holder.port], address="fe80::1")
    assert not real.failed, real["msg"]
    assert not holder.living()
    assert (real.port(holder.port)["status"], real.port(holder.port)["bindable"]) == ("free", None)


def test_parent_shell_survives(zoo) -> None:
    """The shell that started the holder is not the holder."""
    holder = zoo.start("inherited_parent_lives", comm="deploy.sh")
    real = zoo.free([holder.port])
    assert not real.failed, real["msg"]
    assert holder.living() == holder.others


def test_similar_name_is_not_the_name(zoo) -> None:
    """``stop_only: myapp`` stops myapp; myapp2, my and myapp-x are others."""
    first = zoo.port(4)
    names = ("myapp", "myapp2", "my", "myapp-x")
    holders = [zoo.start("tcp4", first + step, comm=name) for step, name in enumerate(names)]
    refused = zoo.free(["%d-%d" % (first, first + 3)], stop_only=["myapp"])
    assert refused.failed and refused["changed"] is False
    assert all(holder.living() for holder in holders), "all or nothing"
    assert {entry["blocked_by"]["code"] for entry in refused["ports"] if entry["blocked_by"]} == {"owner_mismatch"}
    real = zoo.free(["%d-%d" % (first, first + 3)], stop_only=["myapp"], keep=["*"])
    assert not real.failed, real["msg"]
    assert world.wait_gone(holders[0].owners) == []
    assert all(holder.living() for holder in holders[1:])
    assert [outcomes(real, first + step)[0][1] for step in range(4)] == ["stopped", "kept", "kept", "kept"]


def test_exe_name_counts_whole(zoo) -> None:
    """A program is known by the name of its file, too, and by its whole path."""
    port = zoo.port()
    holder = zoo.start("tcp4", port, executable=zoo.program("harbour"), comm="other")
    assert zoo.free([port], stop_only=["harbou"]).failed
    assert zoo.free([port], stop_only=["/bin/harbour"]).failed
    assert holder.living()
    assert not zoo.free([port], stop_only=["*/harbour"]).failed
    assert world.wait_gone(holder.owners) == []


def test_replaced_program_keeps_its_name(zoo) -> None:
    """An upgrade replaced the file under the running program: the kernel says `` (deleted)`` behind the path."""
    program = zoo.program("drydock-%d" % os.getpid())
    holder = zoo.start("tcp4", executable=program, comm="other")
    os.unlink(program)
    assert os.readlink("/proc/%d/exe" % holder.pid).endswith(" (deleted)")
    real = zoo.free([holder.port], stop_only=[os.path.basename(program)])
    assert not real.failed, real["msg"]
    assert world.wait_gone(holder.owners) == []


def test_other_ports_of_the_holder_are_said_or_refused(zoo) -> None:
    other = zoo.port()
    holder = zoo.start("tcp4", also=other)
    refused = zoo.free([holder.port], collateral="refuse")
    assert refused.failed and refused["changed"] is False
    assert refused.port(holder.port)["blocked_by"]["code"] == "collateral"
    assert holder.living()
    predicted, real = zoo.free([holder.port], check=True), zoo.free([holder.port])
    assert predicted.comparable() == real.comparable()
    assert [action["also_frees"] for action in real["actions"]] == [["%d/tcp" % other]]
    assert any("%d/tcp" % other in str(warning) for warning in real["warnings"])
    assert world.table(other) == []


def test_two_runs_at_once(zoo) -> None:
    """Both see the holder, both may signal it; whoever comes late finds the port free. Neither fails."""
    holder = zoo.start("slow", delay=0.3)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda dummy: zoo.free([holder.port]), range(2)))
    assert [result["msg"] for result in results if result.failed] == []
    assert any(result["changed"] for result in results)
    assert world.wait_gone(holder.owners) == []


def test_two_holders_of_which_one_is_protected(zoo) -> None:
    port = zoo.port()
    first = zoo.start("tcp4", port, reuseport=True, comm="sshd")
    second = zoo.start("tcp4", port, reuseport=True, comm="webapp")
    predicted = zoo.free([port], check=True)
    real = zoo.free([port])
    assert predicted.comparable() == real.comparable()
    assert real.failed and real["changed"] is False and real["actions"] == []
    assert real.port(port)["blocked_by"]["code"] == "protected_process"
    assert first.living() and second.living()


def test_protect_option_guards_all_asked_ports(zoo) -> None:
    """All or nothing over all ports of the task."""
    plain, guarded = zoo.start("tcp4", comm="webapp"), zoo.start("tcp4", comm="ledger")
    real = zoo.free([plain.port, guarded.port], protect=["ledger"])
    assert real.failed and real["changed"] is False
    assert plain.living() and guarded.living()
    assert real.port(guarded.port)["blocked_by"]["code"] == "protected_process"
    freed = zoo.free([plain.port, guarded.port], protect=["ledge", "edger", "ledger2"])
    assert not freed.failed, freed["msg"]
    assert world.wait_gone(plain.owners + guarded.owners) == []


def test_unprotect_takes_a_default_name_off(zoo) -> None:
    holder = zoo.start("tcp4", comm="dropbear")
    assert zoo.free([holder.port]).failed
    assert holder.living()
    assert not zoo.free([holder.port], unprotect=["dropbear"]).failed


def test_user_narrows(zoo) -> None:
    holder = zoo.start("tcp4")
    real = zoo.free([holder.port], user=["daemon"])
    assert real.failed and real.port(holder.port)["blocked_by"]["code"] == "user_mismatch"
    assert holder.living()


def test_method_none_waits_and_stops_nothing(zoo) -> None:
    holder = zoo.start("tcp4")
    real = zoo.free([holder.port], method="none", timeout=0.3)
    assert real.failed and real.port(holder.port)["blocked_by"]["code"] == "still_held"
    assert real.seconds > 0.3
    assert holder.living()


def test_own_ancestor_is_never_stopped(zoo) -> None:
    """The port is held by the process that runs these tests: the module's parent."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", zoo.port()))
        sock.listen(1)
        port = sock.getsockname()[1]
        for unprotect in ([], ["*"]):
            real = zoo.free([port], unprotect=unprotect)
            assert real.failed
            assert real.port(port)["blocked_by"]["code"] == "own_ancestor"
            assert os.getpid() in real.pids()


def test_free_returns_soon_after_the_exit(zoo) -> None:
    """It wakes on the exit: the best of some runs has little on top of the holder's own 0.6 s."""
    late = []
    for _attempt in range(5):
        holder = zoo.start("slow", delay=0.6)
        (action,) = zoo.free([holder.port])["actions"]
        assert action["seconds"] >= 0.59
        late.append(action["seconds"] - 0.6)
        if late[-1] < 0.05:
            break
    assert min(late) < 0.05, late


def test_connection_without_close_blocking_is_passing(zoo) -> None:
    holder = zoo.start("outgoing", 0)
    real = zoo.free([holder.port])
    assert real.failed and real["changed"] is False
    blocked = real.port(holder.port)["blocked_by"]
    assert (blocked["code"], blocked["passing"]) == ("connection", True)
    assert holder.living() == list(holder.identities)


def test_timeout_waits_for_a_connection_to_end(zoo) -> None:
    """The far end closes, then ours: nothing is left behind, and the run ends as soon as that is so."""
    holder = zoo.start("outgoing", 0)

    def hang_up(dummy) -> None:
        os.kill(holder.others[0], signal.SIGTERM)
        assert world.wait_gone(holder.others) == []
        holder.tell("exit")

    with harness.Hook([SLEEP], hang_up) as hook:
        real = zoo.free([holder.port], timeout=50, hook=hook)
    assert hook.seen == [SLEEP]
    assert not real.failed, real["msg"]
    assert (real["changed"], real["actions"], real["free"]) == (False, [], True)
    assert real["elapsed"] < 40


@pytest.mark.root
def test_explicitly_bound_connection_stays_bound_and_it_is_said(zoo) -> None:
    holder = zoo.start("outgoing_bound")
    real = zoo.free([holder.port], close_blocking=True)
    assert real.failed, "SOCK_DESTROY leaves an explicitly bound socket bound"
    assert real["changed"] is True
    assert real.port(holder.port)["status"] == "held"
    assert outcomes(real, holder.port) == [("connection", "none")], "it holds the port as before"
    assert holder.living(holder.owners) == holder.owners


def test_present_never_waits_without_owner(zoo) -> None:
    holder = zoo.start("tcp4")
    real = zoo.run(port=[holder.port], timeout=50)
    assert not real.failed and real["elapsed"] < 30


def test_owner_waits_until_the_right_one_holds_it(zoo) -> None:
    port = zoo.port()
    with harness.Hook([SLEEP], lambda dummy: zoo.start("tcp4", port, comm="nginx")) as hook:
        result = zoo.run(port=["%d/tcp" % port], owner=["nginx"], timeout=50, hook=hook)
    assert hook.seen == [SLEEP]
    assert not result.failed, result["msg"]
    assert result["elapsed"] < 40
    wrong = zoo.run(port=["%d/tcp" % port], owner=["ngin"])
    assert wrong.failed and wrong.port(port)["blocked_by"]["code"] == "owner_mismatch"


def test_owner_of_a_free_port_is_a_failure(zoo) -> None:
    port = zoo.port()
    result = zoo.run(port=["%d/tcp" % port], owner=["*"])
    assert result.failed and result["changed"] is False
    assert result.port(port)["blocked_by"]["code"] == "not_held"


def test_plan_is_judged_together(zoo) -> None:
    java, other = zoo.start("tcp4", comm="java"), zoo.start("tcp4", comm="cobol")
    plan = [{"port": str(java.port), "stop_only": ["java"]}, {"port": str(other.port), "stop_only": ["java"]}]
    real = zoo.run(plan=plan, state="free", settle=0)
    assert real.failed and real["changed"] is False
    assert java.living() and other.living()
    plan[1]["keep"] = ["cobol"]
    real = zoo.run(plan=plan, state="free", settle=0)
    assert not real.failed, real["msg"]
    assert not java.living() and other.living()


@pytest.mark.parametrize("backend", ["procfs", "psutil"])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_server_for_ipv6_alone_is_not_stopped_for_an_ipv4_address(zoo, backend: str, protocol: str) -> None:
    """The fall-back tables don't say whether a socket on [::] takes IPv4 too: it is asked, and never taken for granted."""
    # The tests' own Python has psutil.
    python = sys.executable if backend == "psutil" else None
    holder = zoo.start("v6only" if protocol == "tcp" else "udp_v6only")
    real = zoo.free(["%d/%s" % (holder.port, protocol)], address="127.0.0.1", backend=backend, python=python)
    assert holder.living() == holder.owners, "it has nothing to do with 127.0.0.1"
    assert not real.failed and real["changed"] is False, real["msg"]
    assert real.port(holder.port, protocol)["status"] == "free"
    both = zoo.start("dual_stack" if protocol == "tcp" else "udp_dual_stack")
    real = zoo.free(["%d/%s" % (both.port, protocol)], address="127.0.0.1", backend=backend, python=python)
    assert not real.failed, real["msg"]
    assert world.wait_gone(both.owners) == []


def test_a_server_on_ipv6_beside_one_on_ipv4_is_not_stopped_with_it(zoo) -> None:
    """A bind to the asked address would meet the IPv4 server: another address of the loopback network tells."""
    beside = zoo.start("v6only")
    holder = zoo.start("tcp4", beside.port)
    real = zoo.free(["%d/tcp" % holder.port], address="127.0.0.1", backend="procfs")
    assert beside.living() == beside.owners
    assert not real.failed, real["msg"]
    assert world.wait_gone(holder.owners) == []


def test_what_can_not_be_told_is_refused(zoo) -> None:
    """Two servers on the wildcards of both families: each bind meets the first one."""
    beside = zoo.start("v6only")
    holder = zoo.start("tcp4_wildcard", beside.port)
    real = zoo.free(["%d/tcp" % holder.port], address="127.0.0.1", backend="procfs")
    assert real.failed and real["reason"] == "hidden_owner", real["msg"]
    assert "could not be told" in real["msg"]
    assert beside.living() == beside.owners and holder.living() == holder.owners


def test_who_was_waited_for_and_left_is_told(zoo) -> None:
    """Not as if the port had been free all along."""
    holder = zoo.start("tcp4")

    def leave(dummy) -> None:
        time.sleep(1.1)
        holder.tell("exit")
        holder.process.wait(5)

    with harness.Hook([SLEEP], leave) as hook:
        real = zoo.free([holder.port], method="none", timeout=30, hook=hook)
    assert hook.seen == [SLEEP]
    assert (real.failed, real["changed"], real["free"]) == (False, False, True), real["msg"]
    port = real.port(holder.port)
    assert (port["before"], port["status"], port["blocked_by"]) == ("held", "free", None)
    assert outcomes(real, holder.port) == [("process", "gone")]
    assert real.pids() == holder.owners
    assert re.search(
        r"\(pid %d, .*\) left after \d s; %d/tcp, %d/udp are free" % (holder.pid, holder.port, holder.port), real["msg"]
    )
    assert real["diff"]["before"] != real["diff"]["after"]


@pytest.mark.parametrize("reuse", [True, False])
def test_a_connection_that_may_stay_beside_a_listener_that_goes(zoo, reuse: bool) -> None:
    """Whether a server can bind beside it depends on its socket, which a bind tells before."""
    stays = zoo.start("outgoing_bound", address="127.0.0.2", comm="curl", reuse=reuse)
    goes = zoo.start("tcp4", stays.port)
    options = {"keep": ["curl"]}
    predicted = zoo.free(["%d/tcp" % goes.port], check=True, **options)
    real = zoo.free(["%d/tcp" % goes.port], **options)
    assert not real.failed, real["msg"]
    assert predicted.comparable() == real.comparable()
    assert real.port(goes.port)["status"] == ("lingering" if reuse else "held")
    assert stays.living() == stays.owners + stays.others


def test_one_name_for_a_process_in_the_facts_and_in_a_report(zoo, facts_module) -> None:
    """The kernel cuts names to 15 bytes; both modules say it in full."""
    program = zoo.program("harbour-sign-of-a-long-name")
    holder = zoo.start("tcp4", executable=program)
    report = zoo.run(port=holder.port)
    (row,) = [one for one in facts_module.run()["ansible_facts"]["tcp_listen"] if one["port"] == holder.port]
    assert [row["name"]] == [one["name"] for one in report["owners"]] == ["harbour-sign-of-a-long-name"]
    assert [one["name"] for one in report.port(holder.port)["holders"]] == [row["name"]]
    kept = zoo.free([holder.port], keep=[row["name"]])
    assert holder.living() == holder.owners and not kept.failed
