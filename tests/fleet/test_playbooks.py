# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks check and report by their names, also when hosts fail: what is said of the fleet, and what is written."""

from __future__ import annotations

import json
import stat

import pytest

CHECK, REPORT = "harbormaster.ports.check", "harbormaster.ports.report"
OK = "changed=0 unreachable=0 failed=0"
CHANGED = "changed=1 unreachable=0 failed=0"
FAILED = "changed=0 unreachable=0 failed=1"


def statuses(site, folder="port-report"):
    document = json.loads((site.folder / folder / "report.json").read_text(encoding="utf-8"))
    return {host["name"]: host["status"] for host in document["hosts"]}


def rows(text, host):
    """The lines of the table that speak of a host."""
    return [line.split() for line in text.splitlines() if line.startswith(host + " ")]


@pytest.fixture
def busy(site):
    """In the way, refused, free, and not there."""
    site.pid = site.hold("web1", 8080)
    site.hold("web2", 9000, name="java")
    site.unreachable()
    site.plan([8080, {"port": 9000, "stop_only": "x"}])
    return site


def test_check(busy):
    run = busy.play(CHECK)
    assert [run.counts(name) for name in (*busy.names, "lost1")] == [CHANGED, FAILED, OK, OK, FAILED], run.text
    assert run.returncode == 2
    table = run.said("Show all hosts")
    (stray,) = rows(table, "web1")
    assert stray[1:4] == ["8080/tcp", "stray", "root"]
    assert "way:" in stray
    (java,) = rows(table, "web2")
    assert java[1:3] == ["9000/tcp", "java"]
    assert "refused:" in java
    assert "UNREACHABLE:" in rows(table, "lost1")[0]
    lines = [line for line in table.splitlines() if line]
    assert lines[0].split() == ["HOST", "PORT", "OWNER", "USER", "SERVICE", "SINCE", "NOTE"]
    where = lines[0].index("OWNER")
    assert {line[where:].split(" ")[0] for line in lines if " 8080/tcp " in line or " 9000/tcp " in line} == {
        "stray",
        "java",
    }
    summary = run.stats()["ports_check"]
    assert summary["complete"] is False
    assert (summary["hosts"]["total"], summary["hosts"]["unreachable"]) == (5, 1)
    assert (summary["conflicts"]["in_the_way"], summary["conflicts"]["refused"]) == (1, 1)
    assert busy.alive("web1", busy.pid)


@pytest.mark.newest
def test_check_of_a_part(busy):
    """What is outside of --limit was not seen, and is not called clean."""
    run = busy.play(CHECK, "--limit", "web3")
    assert run.returncode == 0
    table = run.said("Show all hosts")
    assert {host: " ".join(rows(table, host)[0][1:3]) for host in ("web1", "web2", "db1", "lost1")} == dict.fromkeys(
        ("web1", "web2", "db1", "lost1"), "NOT RUN:"
    )
    assert run.stats()["ports_check"]["hosts"]["not_run"] == 4

    run = busy.play(CHECK, ports_hosts="web3")
    assert run.stats()["ports_check"]["hosts"]["total"] == 1, "the pattern says what the fleet is"
    assert run.stats()["ports_check"]["complete"] is True


@pytest.mark.parametrize(
    "limit", ["all", *(pytest.param(some, marks=pytest.mark.matrix) for some in ("lost1", "web1,lost1"))]
)
def test_report_whatever_fails(busy, limit):
    """Some hosts, or all of them, can't be reached; one has no Python, or a plan that can't be used."""
    busy.hosts["web3"]["ansible_python_interpreter"] = "/nonexistent/python3"
    busy.plan([80, "80-"], "db1")
    run = busy.play(REPORT, "--limit", limit)
    assert run.returncode == 2
    expected = {"web1": "ok", "web2": "ok", "web3": "failed", "db1": "ok", "lost1": "unreachable"}
    if limit != "all":
        expected = {name: status if name in limit else "not_run" for name, status in expected.items()}
    assert statuses(busy) == expected
    assert "PARTIAL" in run.said("Say where it is")
    assert str(busy.folder / "port-report" / "report.html") in run.said("Say where it is")
    assert run.stats()["ports_report"]["complete"] is False
    for name in expected:
        ended = {"ok": OK, "not_run": "none"}.get(expected[name], FAILED)
        # One host's count has the file that was written; a plan that can't be used fails its host.
        assert run.counts(name) in {ended, CHANGED, "changed=1 unreachable=0 failed=1"} or name == "db1", run.text
    if limit == "all":
        assert run.counts("db1") == FAILED
        assert "clear_ports_plan[1].port: '80-' is not usable" in run.said("Write the report")


@pytest.mark.matrix
def test_report_of_a_fleet_that_is_well(site):
    site.hold("web1", 8080, name="nginx")
    site.plan([{"port": "8080/tcp", "keep": "nginx"}])
    run = site.play(REPORT, "--diff")
    assert run.returncode == 0, run.text
    assert run.stats()["ports_report"]["complete"] is True
    assert run.stats()["ports_report"]["conflicts"]["total"] == 0
    assert sum(run.recap(name)["changed"] for name in site.names) == 1, "the files, and nothing on the hosts"
    for name in ("report.html", "report.json"):
        assert stat.S_IMODE((site.folder / "port-report" / name).stat().st_mode) == 0o600
    (found,) = rows(run.said("Write the report"), "web1")[1:]
    assert found[1:4] == ["8080/tcp", "nginx", "root"]


@pytest.mark.newest
def test_report_beside_a_baseline(site):
    site.plan([])
    site.hold("web1", 8080)
    gone = site.hold("web2", 9000)
    assert site.play(REPORT, ports_report_dest="first").returncode == 0
    site.fleet.run("web2", "kill -9 %d" % gone)
    site.hold("web3", 7000)
    run = site.play(
        REPORT, ports_report_dest=str(site.folder / "deep" / "second"), ports_report_baseline="first/report.json"
    )
    assert run.returncode == 0, run.text
    changes = run.stats()["ports_report"]["changes"]
    assert (changes["new"], changes["gone"], changes["owner_changed"]) == (1, 1, 0)
    assert statuses(site, "deep/second") == dict.fromkeys(site.names, "ok")


@pytest.mark.newest
def test_report_in_check_mode_writes_nothing(site):
    run = site.play(REPORT, "--check", "--limit", "web1")
    assert run.returncode == 0, run.text
    assert "22/tcp" in run.said("Write the report")
    assert not (site.folder / "port-report").exists()


@pytest.mark.newest
@pytest.mark.parametrize("commands", [False, True])
def test_command_lines_only_when_asked_for(site, commands):
    site.hold("web1", 8080)
    run = site.play(REPORT, "--limit", "web1", ports_report_commands=commands)
    assert run.returncode == 0, run.text
    assert (site.place in (site.folder / "port-report" / "report.json").read_text(encoding="utf-8")) is commands


@pytest.mark.matrix
def test_the_configuration_does_not_matter(busy):
    """A strategy and a fatal switch that would end the play before its last tasks."""
    busy.settings = {"ANSIBLE_STRATEGY": "free", "ANSIBLE_ANY_ERRORS_FATAL": "true"}
    run = busy.play(REPORT)
    assert statuses(busy) == {**dict.fromkeys(busy.names, "ok"), "lost1": "unreachable"}
    assert run.text.count("TASK [Write the report]") == 1
    looked = run.said("See what clearing the ports of the plan would do")
    assert all("[%s]" % name in looked for name in busy.names), "one that fails takes nobody with it: " + run.text
    run = busy.play(CHECK)
    assert len(rows(run.said("Show all hosts"), "lost1")) == 1, run.text


@pytest.mark.matrix
def test_the_controller_needs_neither_become_nor_an_interpreter(busy):
    """Those of the hosts are broken, so each task that used them on the controller would fail."""
    for variables in busy.hosts.values():
        variables.update(
            ansible_become=True, ansible_become_exe="/nonexistent/sudo", ansible_python_interpreter="/nope"
        )
    run = busy.play(REPORT)
    assert statuses(busy) == {**dict.fromkeys(busy.names, "failed"), "lost1": "unreachable"}, run.text
    assert run.stats()["ports_report"]["complete"] is False


def test_what_a_host_says_is_never_a_template(site):
    """comm has 15 characters, enough for this."""
    site.hold("web1", 8080, name="{{ 7*191 }}")
    site.plan(["8080/tcp"], clear_ports_settle=0.2)
    checked, reported = site.play(CHECK, "--limit", "web1"), site.play(REPORT, "--limit", "web1")
    cleared = site.play("harbormaster.ports.clear", "--limit", "web1")
    for run in (checked, reported, cleared):
        assert "{{ 7*191 }}" in run.text, run.text
        assert "1337" not in run.text.replace("pid 1337", "")
    assert "stopped {{ 7*191 }}" in cleared.said("Say what was done")


def test_this_machine_without_an_inventory(site):
    """The first thing that somebody tries, in a directory of their own."""
    run = site.play(REPORT, "-i", "localhost,", "-c", "local", "-e", "ansible_python_interpreter=/usr/bin/python3")
    assert run.returncode == 0, run.text
    assert statuses(site) == {"localhost": "ok"}
