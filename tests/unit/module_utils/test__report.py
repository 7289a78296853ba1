# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a story to the result: the same keys whatever happened, and never a prediction sold as a fact."""

from __future__ import annotations

import json

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils import _report
from ansible_collections.harbormaster.ports.plugins.module_utils._conductor import Story
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.decide import decide
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Container,
    Outcome,
    Plan,
    Policy,
    Process,
    Proof,
    Refusal,
    Snapshot,
    Socket,
    Unit,
    Wish,
)

NOW = 1_700_000_000.0
WISH = Wish(8080, "tcp")
FREEING = Policy(state="free")
FREE = Snapshot(bindable={WISH.key: True})
KEYS = {"changed", "free", "msg", "ports", "owners", "actions", "elapsed"}
PORT_KEYS = {
    "port", "protocol", "address", "port_name", "before", "status", "bindable", "ephemeral", "sockets", "holders",
    "connections", "blocked_by",
}  # fmt: skip


def held(*pids, name="node", **more):
    processes = {
        pid: Process(
            pid, name, 1, "/usr/bin/" + name, name + " --run", 0, "root", NOW - 11520, pid * 10, ancestors=(1,)
        )
        for pid in pids
    }
    processes = {pid: process._replace(**more) for pid, process in processes.items()}
    rows = tuple(Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", uid=0, inode=1000 + pid) for pid in pids)
    return Snapshot(rows, {1000 + pid: (pid,) for pid in pids}, processes)


def story_of(before, after=None, policy=FREEING, wishes=(WISH,), result="done", failure=None, **more):
    """A run that found ``before``, carried its plan out with this result, and found ``after``."""
    plan = decide(before, wishes, policy)
    outcomes, proof = (), None
    if after is not None:
        error = failure if result == "failed" else None
        outcomes = tuple(Outcome(step, result, result != "gone", 0.1234, 2, error=error) for step in plan.steps)
        proof = Proof(after, decide(after, wishes, policy), failure)
    elif plan.refusals and failure is None:
        failure = plan.refusals[0]
    story = Story(before, plan, policy, outcomes, proof, failure, 1.23456)
    return story._replace(**more)


def result_of(*arguments, **more):
    result = _report.result(story_of(*arguments, **more), NOW)
    assert KEYS <= set(result) <= KEYS | {"reason"}
    assert ("reason" in result) == ("failure" in more or "reason" in result)
    for port in result["ports"]:
        assert set(port) == PORT_KEYS
    json.dumps(result)
    return result


# Shape --------------------------------------------------------------------------------------------------------------


def test_a_report():
    result = result_of(held(100), policy=Policy())
    assert (result["changed"], result["free"], result["elapsed"]) == (False, False, 1.235)
    assert "reason" not in result
    (port,) = result["ports"]
    assert (port["port"], port["protocol"], port["address"], port["before"], port["status"]) == (
        8080, "tcp", None, "held", "held",
    )  # fmt: skip
    assert port["sockets"] == [
        {"address": "0.0.0.0", "family": "ipv4", "state": "LISTEN", "user": "root", "inode": 1100}
    ]
    assert port["holders"] == [
        {
            "kind": "process", "name": "node", "pids": [100], "service": None, "container": None, "stoppable": False, "outcome": "none", "code": None,
            "reason": None, "remedy": None,
        }
    ]  # fmt: skip
    assert result["owners"] == [
        {
            "pid": 100, "name": "node", "exe": "/usr/bin/node", "command": "node --run", "user": "root",
            "started": "2023-11-14T19:01:20Z", "age_seconds": 11520, "parent_pid": 1, "service": None,
            "container": None, "ports": ["8080/tcp"],
        }
    ]  # fmt: skip
    assert result["actions"] == []


def test_what_is_not_known_is_null():
    result = result_of(held(100, exe=None, command=None, user=None, started=None), policy=Policy())
    owner = result["owners"][0]
    assert [owner[key] for key in ("exe", "command", "user", "started", "age_seconds")] == [None] * 5


def test_a_clock_that_was_set_back_makes_no_negative_age():
    assert result_of(held(100, started=NOW + 60), policy=Policy())["owners"][0]["age_seconds"] == 0


def test_unit_and_container():
    before = held(100, unit=Unit("shop.service"), container=Container("docker", "5f2c0e0d7a11", "web"))
    owner = result_of(before, policy=Policy())["owners"][0]
    assert owner["service"] == "shop.service"
    assert owner["container"] == {
        "engine": "docker",
        "id": "5f2c0e0d7a11",
        "name": "web",
        "project": None,
        "service": None,
    }


def test_a_container_without_a_name():
    owner = result_of(held(100, container=Container("docker", "5f2c")), policy=Policy())["owners"][0]
    assert owner["container"]["name"] is None


def test_inodes_that_a_source_made_up_are_not_shown():
    """psutil knows no inodes: its backend counts down from -1."""
    row = Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=-1)
    before = held(100)._replace(sockets=(row,), owners={-1: (100,)})
    result = result_of(before, policy=Policy())
    assert result["ports"][0]["sockets"][0]["inode"] is None
    assert len(result["owners"]) == 1


def test_one_entry_for_a_process_on_several_ports():
    row = Socket("udp", "ipv4", "0.0.0.0", 8080, "UNCONN", inode=2000)
    before = held(100)
    before = before._replace(sockets=(*before.sockets, row), owners={**before.owners, 2000: (100,)})
    result = result_of(before, policy=Policy(), wishes=(WISH, Wish(8080, "udp")))
    assert [owner["ports"] for owner in result["owners"]] == [["8080/tcp", "8080/udp"]]


def test_an_empty_plan():
    result = _report.result(Story(Snapshot(), Plan(()), FREEING), NOW)
    assert (result["changed"], result["free"], result["ports"], result["owners"]) == (False, True, [], [])


# What became of it ----------------------------------------------------------------------------------------------------


def test_freed():
    result = result_of(held(100), FREE)
    assert (result["changed"], result["free"]) == (True, True)
    (port,) = result["ports"]
    assert (port["before"], port["status"], port["bindable"], port["blocked_by"]) == ("held", "free", True, None)
    assert [holder["outcome"] for holder in port["holders"]] == ["stopped"]
    (action,) = result["actions"]
    assert (action["action"], action["ports"], action["result"], action["seconds"], action["dropped"]) == (
        "signal", ["8080/tcp"], "done", 0.123, 2,
    )  # fmt: skip


def test_check_mode_predicts_the_same():
    real = result_of(held(100), FREE)
    predicted = result_of(held(100), check_mode=True)
    assert predicted["changed"] is real["changed"] is True
    assert predicted["ports"] == real["ports"]
    assert [action["result"] for action in predicted["actions"]] == ["predicted"]
    same = {"action", "target", "ports", "also_frees", "also_stops", "returns_at_boot"}
    for one, other in zip(predicted["actions"], real["actions"]):
        assert {key: one[key] for key in same} == {key: other[key] for key in same}
    assert _report.diff(story_of(held(100), check_mode=True)) == _report.diff(story_of(held(100), FREE))


def test_who_left_by_itself_is_gone_and_nothing_changed():
    result = result_of(held(100), FREE, result="gone")
    assert (result["changed"], result["free"], result["actions"]) == (False, True, [])
    assert result["ports"][0]["holders"][0]["outcome"] == "gone"


def test_who_left_before_anything_was_tried_is_gone_without_an_action():
    result = result_of(held(100), FREE, outcomes=())
    assert (result["changed"], result["free"], result["actions"]) == (False, True, [])
    assert result["ports"][0]["holders"][0]["outcome"] == "gone"


def test_refused():
    result = result_of(held(100, name="dbus-daemon"))
    assert (result["changed"], result["free"], result["reason"]) == (False, False, "protected_process")
    (port,) = result["ports"]
    assert port["status"] == "held"
    assert set(port["blocked_by"]) == {"code", "reason", "remedy", "passing"}
    assert port["holders"][0]["outcome"] == "refused"
    assert port["holders"][0]["code"] == "protected_process"
    assert result["actions"] == []


def test_kept():
    result = result_of(held(100), wishes=(WISH._replace(keep=("node",)),))
    assert (result["changed"], result["free"]) == (False, True)
    assert result["ports"][0]["status"] == "held"
    assert result["ports"][0]["holders"][0]["outcome"] == "kept"


def test_a_failed_step_is_held_and_says_why():
    refusal = Refusal("still_held", "node stays", "wait")
    result = result_of(held(100), held(100), result="failed", failure=refusal)
    assert (result["changed"], result["free"], result["reason"]) == (True, False, "still_held")
    (port,) = result["ports"]
    assert (port["before"], port["status"]) == ("held", "held")
    assert port["blocked_by"]["code"] == "still_held"
    assert port["holders"][0]["outcome"] == "none"
    assert port["holders"][0]["code"] == "still_held"
    assert [action["result"] for action in result["actions"]] == ["failed"]


def test_of_two_steps_one_failed():
    """What was done is told beside what failed, and the port that was freed is free."""
    other = Wish(9090, "tcp")
    before = held(100, 200)
    rows = (before.sockets[0], before.sockets[1]._replace(port=9090))
    before = before._replace(sockets=rows)
    after = before._replace(sockets=rows[1:], bindable={WISH.key: True})
    refusal = Refusal("still_held", "node stays", "wait")
    plan = decide(before, (WISH, other), FREEING)
    outcomes = (Outcome(plan.steps[0], "done", True), Outcome(plan.steps[1], "failed", True, error=refusal))
    proof = Proof(after, decide(after, (WISH, other), FREEING))
    result = _report.result(Story(before, plan, FREEING, outcomes, proof, refusal), NOW)
    assert (result["changed"], result["free"]) == (True, False)
    first, second = result["ports"]
    assert (first["status"], first["blocked_by"]) == ("free", None)
    assert second["status"] == "held"
    assert second["blocked_by"]["code"] == "still_held"
    assert [port["holders"][0]["outcome"] for port in result["ports"]] == ["stopped", "none"]
    assert [action["result"] for action in result["actions"]] == ["done", "failed"]


def test_respawned_shows_the_new_holder_beside_the_old_one():
    refusal = Refusal("respawned", "taken again by node (pid 200)", "stop what starts it")
    result = result_of(held(100), held(200), failure=refusal)
    assert (result["changed"], result["free"], result["reason"]) == (True, False, "respawned")
    (port,) = result["ports"]
    assert (port["before"], port["status"], port["blocked_by"]["code"]) == ("held", "held", "respawned")
    assert (port["holders"][0]["pids"], port["holders"][0]["outcome"]) == ([100], "stopped")
    assert [200] in [holder["pids"] for holder in port["holders"]]
    # nothing was done to it, whatever a plan over the new look would do
    assert {holder["outcome"] for holder in port["holders"] if holder["pids"] == [200]} == {"none"}
    assert [owner["pid"] for owner in result["owners"]] == [100, 200]


@pytest.mark.parametrize("said", [None, False])
@pytest.mark.parametrize(
    ("result", "after"), [("failed", held(100)), ("done", held(200))], ids=["still_held", "respawned"]
)
def test_after_a_failure_bindable_is_what_a_bind_said(result, after, said):
    """The plan over the look afterwards would stop the holder too, and expects a bind to work then."""
    refusal = Refusal("still_held", "it stays", "wait")
    story = result_of(held(100), after._replace(bindable={WISH.key: said}), result=result, failure=refusal)
    assert story["ports"][0]["bindable"] is said


def test_where_nothing_could_be_seen_afterwards_no_bind_said_anything():
    refusal = Refusal("not_proven", "the result can't be seen", "look with state: present")
    before = held(100)
    story = story_of(before, FREE, failure=refusal)
    blind = story._replace(proof=Proof(story.snapshot, story.plan))
    assert story.plan.ports[0].bindable is True
    for each in (blind, story._replace(proof=None)):
        (port,) = _report.result(each, NOW)["ports"]
        assert (port["status"], port["bindable"]) == ("held", None)


def test_a_newcomer_that_may_stay_is_kept():
    """It came while the other one was stopped: the port is done with, and the line says by whom it is held."""
    result = result_of(held(100), held(200, name="cobol"), wishes=(WISH._replace(keep=("cobol",)),))
    assert (result["changed"], result["free"]) == (True, True)
    (port,) = result["ports"]
    assert [(holder["name"], holder["outcome"]) for holder in port["holders"]] == [
        ("node", "stopped"), ("cobol", "kept"),
    ]  # fmt: skip
    assert port["status"] == "held"
    assert "kept cobol on 8080/tcp" in result["msg"]


@pytest.mark.parametrize(("stays", "outcome"), [(True, "none"), (False, "stopped")])
def test_a_closed_connection_that_keeps_its_port_was_not_stopped(stays, outcome):
    """SOCK_DESTROY ends the connection; a port that its program had bound explicitly stays bound."""
    row = Socket(
        "tcp", "ipv4", "10.0.0.1", 8080, "ESTABLISHED", "10.0.0.2", 443, inode=1100, diag_id=b"as the kernel sent it"
    )
    before = held(100)._replace(sockets=(row,), bindable={WISH.key: False})
    bound = row._replace(state="BOUND", remote_address="", remote_port=0)
    after = before._replace(sockets=(bound,)) if stays else FREE
    failed = {"failure": Refusal("still_held", "it keeps the port", "wait")} if stays else {}
    result = result_of(before, after, policy=FREEING._replace(close_blocking=True), **failed)
    assert [action["action"] for action in result["actions"]] == ["close_socket"]
    (port,) = result["ports"]
    assert port["holders"][0]["outcome"] == outcome
    assert port["status"] == ("held" if stays else "free")


def test_what_is_said_of_a_port_after_a_stop_names_it_once():
    after = held(100)._replace(owners={}, processes={})
    refusal = decide(after, (WISH,), FREEING).ports[0].refusal
    message = result_of(held(100), after, failure=refusal)["msg"]
    assert message.startswith("8080/tcp: its socket of uid 0 is held by a process that can't be seen: ")
    assert message.count("8080/tcp") == 1


def test_a_plan_that_was_never_begun_is_no_fact():
    """New holders came again and again, so nothing was stopped: the predictions of the plan have not come true."""
    refusal = Refusal("changing", "new holders appeared in each of 3 looks", "stop what starts them")
    result = result_of(held(100), failure=refusal)
    assert (result["changed"], result["free"], result["reason"]) == (False, False, "changing")
    (port,) = result["ports"]
    assert (port["before"], port["status"]) == ("held", "held")
    assert port["blocked_by"]["code"] == "changing"
    assert port["holders"][0]["outcome"] == "none"
    assert result["actions"] == []
    assert "new holders appeared" in result["msg"]


def test_what_was_done_without_a_look_afterwards_is_not_called_free():
    refusal = Refusal("not_proven", "the result can't be seen", "look with state: present")
    story = story_of(held(100), FREE, failure=refusal, proof=None)
    result = _report.result(story, NOW)
    assert (result["changed"], result["free"], result["reason"]) == (True, False, "not_proven")
    assert result["ports"][0]["status"] != "free"
    assert result["ports"][0]["blocked_by"]["code"] == "not_proven"
    assert [action["result"] for action in result["actions"]] == ["done"]
    assert "can't be seen" in result["msg"]


# The diff -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("story", "before", "after"),
    [
        (story_of(held(100), FREE), "8080/tcp held by node\n", "8080/tcp free\n"),
        (story_of(held(100), check_mode=True), "8080/tcp held by node\n", "8080/tcp free\n"),
        (story_of(held(100), policy=Policy()), "8080/tcp held by node\n", "8080/tcp held by node\n"),
        (story_of(FREE), "8080/tcp free\n", "8080/tcp free\n"),
        (story_of(held(100, name="dbus-daemon")), "8080/tcp held by dbus-daemon\n", "8080/tcp held by dbus-daemon\n"),
    ],
    ids=["freed", "predicted", "report", "free", "refused"],
)
def test_diff(story, before, after):
    assert _report.diff(story) == {"before": before, "after": after}
