# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import document, page

UNREACHABLE = {"unreachable": True, "changed": False, "msg": "Failed to connect to the host via ssh: No route to host"}
FAILED = {"failed": True, "changed": False, "msg": "The module interpreter '/usr/bin/python3' was not found."}
SKIPPED = {"skipped": True, "changed": False, "skip_reason": "Conditional result was False"}


@pytest.mark.parametrize(
    ("more", "status", "says"),
    [
        ({"facts": UNREACHABLE}, "unreachable", "No route to host"),
        ({"facts": FAILED}, "failed", "interpreter"),
        ({"facts": {"failed": True, "module_stderr": "killed"}}, "failed", "killed"),
        (
            {"facts": dict(FAILED, module_stderr="\npy: not found\nmore\n")},
            "failed",
            "py: not found (The module interpreter",
        ),
        (
            {"facts": dict(FAILED, module_stderr="was not found")},
            "failed",
            "The module interpreter '/usr/bin/python3' was not found.",
        ),
        ({"facts": {"failed": True}}, "failed", "holds no facts"),
        ({"facts": {"changed": False}}, "failed", "holds no facts"),
        ({"facts": SKIPPED}, "not_run", "Conditional"),
        ({"facts": None}, "not_run", "its turn"),
        ({"facts": None, "active": False}, "failed", "left the play"),
        ({"facts": None, "active": False, "in_play": False}, "not_run", "--limit"),
    ],
)
def test_hosts_that_were_not_seen_are_shown_as_such(assemble, host, more, status, says):
    report = assemble(host("web1"), host("web2", **more))
    entry = report["hosts"][1]
    assert (entry["status"], entry["listeners"]) == (status, [])
    assert says in entry["message"]
    assert report["summary"]["complete"] is False
    assert report["summary"]["hosts"] == dict(
        {"total": 2, "ok": 1, "failed": 0, "unreachable": 0, "not_run": 0, "with_problems": 0}, **{status: 1}
    )
    assert document.sentence(report["summary"]).startswith("PARTIAL, 1 %s of 2 hosts" % status.replace("_", " "))


@pytest.mark.parametrize("result", [UNREACHABLE, FAILED])
def test_all_hosts_failed(assemble, host, result):
    report = assemble(*(host("web%d" % number, facts=result) for number in range(3)))
    assert (report["summary"]["complete"], report["summary"]["hosts"]["ok"]) == (False, 0)


def test_no_hosts_are_not_a_clean_fleet(assemble):
    report = assemble()
    assert report["summary"]["complete"] is False
    assert document.sentence(report["summary"]) == "no hosts: nothing is known"


def test_a_whole_fleet(assemble, host, row):
    report = assemble(host("web1", row(80), row(443)), host("web2", row(80), groups=("web", "b")))
    assert report["summary"] == {
        "complete": True, "hosts": {"total": 2, "ok": 2, "failed": 0, "unreachable": 0, "not_run": 0, "with_problems": 0},
        "listeners": 3, "ports": 2, "unknown_owners": 0, "ephemeral": 0, "conflicts": None, "changes": None,
    }  # fmt: skip
    assert document.sentence(report["summary"]) == "3 listeners on 2 hosts"
    assert report["hosts"][1]["groups"] == ["web", "b"]


def test_facts_alone_are_facts_too(assemble, host, row, facts):
    bare = facts(row(80))["ansible_facts"]
    (entry,) = assemble(host("web1", facts=bare))["hosts"]
    assert (entry["status"], len(entry["listeners"])) == ("ok", 1)
    assert "ephemeral" not in entry, "nothing said, nothing guessed"


def test_facts_of_a_failed_task_are_none(assemble, host, row, facts):
    assert assemble(host("web1", facts=dict(facts(row(80)), failed=True)))["hosts"][0]["status"] == "failed"


def test_half_of_the_facts_is_a_problem(assemble, host, row):
    report = assemble(host("web1", facts={"ansible_facts": {"tcp_listen": [row(80)]}}))
    assert report["hosts"][0]["problems"] == ["udp_listen is not in its facts"]
    assert report["summary"]["complete"] is False
    assert document.sentence(report["summary"]).startswith("PARTIAL, 1 of 1 hosts with problems")


@pytest.mark.parametrize("failed", [True, False])
def test_a_plan_that_port_owner_could_not_judge_is_a_problem(assemble, host, row, failed):
    result = {"failed": failed, "msg": "missing_psutil", "reason": "missing_psutil"}
    report = assemble(host("web1", row(80), wishes=["80/tcp"], result=result))
    assert report["hosts"][0]["problems"] == ["port_owner could not judge its plan: missing_psutil"]
    assert report["summary"]["complete"] is False
    assert [one["judge"] for one in report["conflicts"]] == ["facts"]


def test_one_problem_is_told_once(assemble, host):
    result = {"failed": True, "msg": "plan[0].port: 0 is not usable"}
    (entry,) = assemble(host("web1", result=result, plan_error="plan[0].port: 0 is not usable"))["hosts"]
    assert entry["problems"] == ["its plan is not usable: plan[0].port: 0 is not usable"]
    (entry,) = assemble(host("web1", facts=result, plan_error="plan[0].port: 0 is not usable"))["hosts"]
    assert (entry["message"], entry["problems"]) == (result["msg"], [])


def test_an_empty_plan_is_none(assemble, host, row):
    """The role has an empty one by default: that is not a plan without conflicts."""
    report = assemble(host("web1", row(80), wishes=[]))
    assert report["plans"] == []
    assert "plan" not in report["hosts"][0]
    assert report["summary"]["conflicts"] is None


def test_a_plan_without_conflicts(assemble, host, row):
    report = assemble(host("web1", row(80), wishes=[81]))
    assert report["summary"]["conflicts"] == {
        "total": 0,
        "refused": 0,
        "unknown_owner": 0,
        "in_the_way": 0,
        "missing": 0,
    }


def test_equal_plans_are_kept_once(assemble, host):
    report = assemble(host("a", wishes=[80]), host("b", wishes=["80"]), host("c", wishes=[81]), host("d"))
    assert report["plans"] == [[{"port": 80}], [{"port": 81}]]
    assert [entry.get("plan") for entry in report["hosts"]] == [0, 0, 1, None]


def test_missing_owners_are_counted_apart(assemble, host, row):
    report = assemble(host("a", row(81), row(82, None), wishes=[{"port": "80/tcp", "owner": ["nginx"]}, 81, 82]))
    assert report["summary"]["conflicts"] == {
        "total": 2,
        "refused": 0,
        "unknown_owner": 1,
        "in_the_way": 1,
        "missing": 1,
    }
    told = document.sentence(report["summary"])
    assert told == "2 listeners on 1 host; 2 conflicts with the plan; 1 unknown owner"


def test_what_hosts_say_is_printable_everywhere(assemble, host, row):
    nasty = "a\u202eb\x1b[2J\u2028</script>"
    report = assemble(
        host("web\u202e1", row(80, nasty, user=nasty, service=nasty), groups=(nasty,), wishes=["80/tcp"]),
        host("web2", facts={"failed": True, "msg": nasty}),
        title=nasty,
    )
    text = page.to_json(report)
    assert not any(letter in text for letter in "\u202e\x1b\u2028")
    assert "</script>" in text, "what can be shown is left as it is"
