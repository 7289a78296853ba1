# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role on several hosts over ssh: clear, check, verify."""

from __future__ import annotations

import re

import pytest

CLEAR = "harbormaster.ports.clear"
OK = "changed=0 unreachable=0 failed=0"
CHANGED = "changed=1 unreachable=0 failed=0"
FAILED = "changed=0 unreachable=0 failed=1"
ROLE = """\
    - hosts: all
      gather_facts: false
      tasks:
        - ansible.builtin.import_role:
            name: harbormaster.ports.clear_ports
            tasks_from: %s
"""


def test_a_mixed_plan(site):
    """Stopped, kept, refused and nothing there: one plan, four hosts, and a second run that changes nothing."""
    stray = site.hold("web1", 8080)
    udp = site.hold("web1", "5353/udp")
    nginx = site.hold("web1", 8443, name="nginx")
    java = site.hold("web2", 9003, name="java")
    other = site.hold("web3", 9003)
    innocent = site.hold("web3", 8080)
    site.plan(
        [
            8080,
            "5353/udp",
            {"port": "8443/tcp", "owner": ["nginx", "W3SVC"]},
            {"port": "9000-9010/tcp", "stop_only": ["java"]},
        ],
        clear_ports_settle=0.2,
    )

    first, second = site.play(CLEAR), site.play(CLEAR)

    assert (first.counts("web1"), first.counts("web2")) == (CHANGED, CHANGED), first.text
    assert (first.counts("web3"), first.counts("db1")) == (FAILED, OK)
    assert [site.alive("web1", pid) for pid in (stray, udp, nginx)] == [False, False, True]
    assert not site.alive("web2", java)
    assert [site.alive("web3", pid) for pid in (other, innocent)] == [True, True], "all or nothing"
    assert "is not in stop_only: java" in first.said("Clear the ports of the plan")
    assert "stopped stray (pid %d" % stray in first.said("Say what was done")
    assert "kept nginx on 8443/tcp" in first.said("Say what was done")
    assert [second.counts(name) for name in site.names] == [OK, OK, FAILED, OK], second.text
    assert first.returncode == second.returncode == 2


def test_check_mode_and_diff_tell_the_truth(site):
    pid = site.hold("web1", 8080)
    site.plan(["8080/tcp"], clear_ports_settle=0.2)

    predicted = site.play(CLEAR, "--check", "--diff")
    assert site.alive("web1", pid)
    done = site.play(CLEAR, "--diff")
    assert not site.alive("web1", pid)

    for run in (predicted, done):
        assert [run.counts(name) for name in site.names] == [CHANGED, OK, OK, OK], run.text
    diffs = [re.findall(r"^[-+].*", run.said("Clear the ports of the plan"), re.MULTILINE) for run in (predicted, done)]
    assert diffs[0] == diffs[1]
    assert ["-8080/tcp held by stray", "+8080/tcp free"] == diffs[0][2:4]
    assert "would stop stray" in predicted.said("Say what was done")


def test_the_entry_point_check_stops_nothing(site):
    """Also without --check."""
    stray, other = site.hold("web1", 8080), site.hold("web2", 8080)
    site.plan([8080])
    site.plan([{"port": 8080, "stop_only": "java"}], "web2")
    book = site.write("check.yml", ROLE % "check")

    strict = site.play(book, "--diff")
    lenient = site.play(book, clear_ports_check_strict=False)

    assert site.alive("web1", stray)
    assert site.alive("web2", other)
    assert [strict.counts(name) for name in site.names] == [CHANGED, FAILED, OK, OK], strict.text
    assert [lenient.counts(name) for name in site.names] == [OK, OK, OK, OK], lenient.text
    assert "+8080/tcp free" in strict.text
    assert '"msg": "nothing was stopped: 8080/tcp: stray (pid %d' % other in strict.text


def test_verify(site):
    """The owner comes in time, somebody else has the port, nobody has it, nobody may have it."""
    book = site.write("verify.yml", ROLE % "verify")
    plan = [{"port": "8443/tcp", "owner": "nginx"}, 8080, {"port": 9000, "stop_only": "java"}]
    site.hold("web1", 8443, name="nginx", after=4)
    site.hold("web1", 8080)
    site.hold("web1", 9000)
    site.hold("web2", 8443)
    site.hold("db1", 2323)
    site.plan(plan, clear_ports_verify_timeout=1)
    site.plan(plan, "web1", clear_ports_verify_timeout=30)
    site.plan([{"port": 2323, "owner": []}], "db1", clear_ports_verify_timeout=0)

    run = site.play(book)

    assert [run.counts(name) for name in site.names] == [OK, FAILED, FAILED, FAILED], run.text
    reasons = dict(re.findall(r'^fatal: \[(\w+)\]: .*"reason": "(\w+)"', run.text, re.MULTILINE))
    assert reasons == {"web2": "owner_mismatch", "web3": "not_held", "db1": "owner_mismatch"}

    skipped = site.play(book, "--check")
    assert [skipped.counts(name) for name in site.names] == [OK] * 4, skipped.text
    assert skipped.recap("web2")["skipped"] == 1


@pytest.mark.newest
@pytest.mark.parametrize("keep", [True, False])
def test_whether_the_owner_may_stay(site, keep):
    pid = site.hold("web1", 8443, name="nginx")
    site.plan([{"port": 8443, "owner": "nginx"}], clear_ports_keep_owner=keep, clear_ports_settle=0.2)
    run = site.play(CLEAR, "--limit", "web1")
    assert run.returncode == 0, run.text
    assert site.alive("web1", pid) is keep


@pytest.mark.newest
def test_options_reach_the_module(site):
    """One that is seen in each direction: protect and unprotect, and a grace period that is waited for."""
    vault, engine = site.hold("web1", 8080, name="vault"), site.hold("web2", 8080, name="containerd")
    site.plan([8080], clear_ports_settle=0.2)
    site.plan([8080], "web1", clear_ports_protect=["vault"])
    site.plan([8080], "web2", clear_ports_unprotect=["containerd"])
    run = site.play(CLEAR, "--limit", "web1,web2")
    assert [run.counts(name) for name in ("web1", "web2")] == [FAILED, CHANGED], run.text
    assert (site.alive("web1", vault), site.alive("web2", engine)) == (True, False)

    run = site.play(CLEAR, "--limit", "web1", clear_ports_method="none", clear_ports_timeout=1)
    assert '"reason": "still_held"' in run.text
    assert site.alive("web1", vault)


@pytest.mark.newest
@pytest.mark.parametrize(
    ("words", "lives"),
    [
        (("--tags", "clear_ports"), False),
        (("--tags", "clear_ports_main"), False),
        (("--tags", "before"), False),
        (("--tags", "clear_ports_verify"), True),
        (("--tags", "deploy"), True),
        (("--skip-tags", "clear_ports"), True),
        (("--skip-tags", "before"), True),
    ],
)
def test_tags(site, words, lives):
    book = site.write(
        "deploy.yml",
        """\
        - hosts: web1
          gather_facts: false
          roles:
            - role: harbormaster.ports.clear_ports
              tags: before
          tasks:
            - ansible.builtin.debug:
                msg: deployed
              tags: deploy
            - ansible.builtin.import_role:
                name: harbormaster.ports.clear_ports
                tasks_from: verify
              tags: after
        """,
    )
    pid = site.hold("web1", 8080)
    site.plan([8080], clear_ports_settle=0)
    run = site.play(book, *words)
    assert run.returncode == 0, run.text
    assert site.alive("web1", pid) is lives
    assert ("deployed" in run.text) is (words[0] == "--skip-tags" or "deploy" in words)


@pytest.mark.newest
def test_no_plan_is_nothing_to_do(site):
    pid = site.hold("web1", 8080)
    site.plan(None, "web2")
    site.plan([], "web3")
    run = site.play(CLEAR)
    assert [run.counts(name) for name in site.names] == [OK] * 4, run.text
    assert run.said("Say what was done").count("nothing was asked for") == 4
    assert site.alive("web1", pid)


def test_a_bad_plan_is_one_sentence(site):
    pid = site.hold("web1", 8080)
    site.plan([8080])
    site.plan([8080, {"port": "80-"}], "web1")
    site.plan({"port": 8080}, "web2")
    run = site.play(CLEAR)
    assert [run.counts(name) for name in site.names] == [FAILED, FAILED, OK, OK]
    assert '"msg": "clear_ports_plan[1].port: \'80-\' is not usable: allowed are 1 to 65535, ' in run.text
    assert '"msg": "clear_ports_plan: {\'port\': 8080} is not usable: a list is wanted, ' in run.text
    assert site.alive("web1", pid)


@pytest.mark.matrix
def test_what_cannot_be_seen_is_not_free(site):
    """The user's become reaches the role, which sets none of its own. Here it leads to somebody who sees nothing."""
    pid = site.hold("web1", 8080)
    site.plan(["8080/tcp"])
    site.hosts["web1"].update(
        ansible_become=True, ansible_become_method="su", ansible_become_user="nobody", ansible_become_flags="-s /bin/sh"
    )
    run = site.play("harbormaster.ports.check", "--limit", "web1,web2")
    assert [run.counts(name) for name in ("web1", "web2")] == [FAILED, OK], run.text
    assert re.search(
        r"^web1 +8080/tcp +\? .*refused|^web1 +8080/tcp .*unknown", run.said("Show all hosts"), re.MULTILINE
    ), run.text
    assert "become: true" in run.said("Judge what was seen")
    assert site.alive("web1", pid)
