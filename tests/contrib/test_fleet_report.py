# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""fleet_report with the real command lines of every ansible-core that is offered, as in test_short_names.py."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("short_names", Path(__file__).with_name("test_short_names.py"))
short_names = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(short_names)
site, real, holder = short_names.site, short_names.real, short_names.holder

HOSTS = """\
[web]
web1 ansible_connection=local ansible_python_interpreter=%(python)s
web2 ansible_connection=local ansible_python_interpreter=/no/such/python
[db]
db1 ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1
db2 ansible_connection=local ansible_python_interpreter=%(python)s
"""
PLAY = """\
    - hosts: all
      gather_facts: false
      vars: %(vars)s
      tasks:
        - harbormaster.ports.listen_ports_facts:
          register: listening
          ignore_errors: true
          ignore_unreachable: true
        - harbormaster.ports.fleet_report: %(options)s
          register: report
        - copy: {content: "{{ report | to_json }}", dest: "{{ seen }}"}
          run_once: true
          delegate_to: web1
"""
DEST = {"facts_variable": "listening", "dest": "{{ playbook_dir }}/out", "hosts": "{{ groups.all | sort }}"}


@pytest.fixture
def fleet(real):
    """Run the play: a host that answers, one without Python, one that can't be reached, and one more."""
    real.write("hosts", HOSTS % {"python": sys.executable})

    def run(options, *arguments, variables=None, ends=0):
        book = real.write("play.yml", PLAY % {"vars": json.dumps(variables or {}), "options": json.dumps(options)})
        seen = real.folder / "seen"
        seen.unlink(missing_ok=True)
        done = real.run(
            "ansible-playbook", "-i", str(real.folder / "hosts"), str(book), "-e", "seen=%s" % seen, *arguments
        )
        assert "Traceback" not in done.stdout + done.stderr
        assert done.returncode == ends, done.stdout + done.stderr
        result = json.loads(seen.read_text()) if seen.exists() else None
        return done.stdout + done.stderr, result

    run.out = real.folder / "out"
    return run


def document(fleet):
    return json.loads((fleet.out / "report.json").read_text())


def statuses(fleet):
    return {host["name"]: host["status"] for host in document(fleet)["hosts"]}


def test_a_fleet_of_which_half_fails(fleet, holder):
    said, result = fleet(DEST)
    assert statuses(fleet) == {"db1": "unreachable", "db2": "ok", "web1": "ok", "web2": "failed"}
    assert result["summary"] == document(fleet)["summary"]
    assert result["summary"]["complete"] is False
    assert result["msg"].startswith("PARTIAL, 1 failed, 1 unreachable of 4 hosts")
    assert (result["changed"], result["html"]) == (True, str(fleet.out / "report.html"))
    for path in fleet.out.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(path.name for path in fleet.out.iterdir()) == ["report.html", "report.json"]
    (host,) = [host for host in document(fleet)["hosts"] if host["name"] == "web1"]
    (row,) = [row for row in host["listeners"] if row["port"] == holder.port]
    assert (row["pid"], row["owner_status"]) == (holder.process.pid, "known")
    assert host["ephemeral"]["tcp"]
    assert host["groups"] == ["web"]
    # the table, as text and not as JSON
    assert "\ndb1 " in said
    assert "UNREACHABLE: " in said
    assert all(line in said for line in result["table"])


@pytest.mark.matrix
def test_hosts_outside_of_the_limit_are_not_run(fleet):
    fleet(DEST, "--limit", "web1,db1")
    assert statuses(fleet) == {"db1": "unreachable", "db2": "not_run", "web1": "ok", "web2": "not_run"}


@pytest.mark.matrix
def test_nobody_answers(fleet, real):
    real.write(
        "hosts",
        "a ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1\nb ansible_connection=local ansible_python_interpreter=/no/python\n",
    )
    book = PLAY % {"vars": "{}", "options": json.dumps(DEST)}
    real.write("play.yml", book[: book.index("        - copy")])
    done = real.run("ansible-playbook", "-i", str(real.folder / "hosts"), str(real.folder / "play.yml"))
    assert done.returncode == 0, done.stdout
    assert statuses(fleet) == {"a": "unreachable", "b": "failed"}


@pytest.mark.matrix
def test_check_mode_says_all_and_writes_nothing(fleet):
    said, result = fleet(DEST, "--check", "--diff")
    assert result is None, "copy does not write in check mode either"
    assert not fleet.out.exists()
    assert "+complete: False" in said
    assert "UNREACHABLE: " in said


@pytest.mark.matrix
def test_the_difference_that_is_shown_is_that_of_the_summaries(fleet):
    fleet(DEST, "--limit", "web1")
    said, _unused = fleet(DEST, "--limit", "web1,db2", "--diff")
    assert "-hosts.ok: 1" in said
    assert "+hosts.ok: 2" in said


def test_the_report_that_it_replaces_is_the_baseline(fleet, holder):
    options = dict(DEST, baseline=str(fleet.out / "report.json"))
    said, result = fleet(options, "--limit", "web1")
    assert "nothing is compared" in " ".join(said.split())
    assert [one["code"] for one in document(fleet)["notices"]] == ["no_baseline"]
    assert result["summary"]["changes"] is None
    holder.process.kill()
    holder.process.wait()
    _said, result = fleet(options, "--limit", "web1")
    # Other tests of this machine have listeners of their own, which come and go.
    assert [one["kind"] for one in document(fleet)["changes"] if one["port"] == holder.port] == ["gone"]
    assert document(fleet)["notices"] == []


@pytest.mark.matrix
@pytest.mark.parametrize(
    "content", ["{}", "no json", '{"schema": "harbormaster.ports/fleet-report", "version": 99, "hosts": []}']
)
def test_a_baseline_that_is_none_fails_after_the_report_is_written(fleet, tmp_path, content):
    (tmp_path / "old.json").write_text(content)
    said, _unused = fleet(dict(DEST, baseline=str(tmp_path / "old.json")), "--limit", "web1", ends=2)
    assert "is not usable" in " ".join(said.split())
    assert [one["code"] for one in document(fleet)["notices"]] == ["bad_baseline"]


PLAN = [{"port": "%d/tcp", "owner": ["nginx"]}]


@pytest.mark.matrix
@pytest.mark.parametrize("where", ["plan", "play", "extra", "inventory", "template"])
def test_a_plan_from_each_place(fleet, real, holder, where):
    plan = [{"port": "%d/tcp" % holder.port, "owner": ["nginx"]}]
    options, variables, arguments = dict(DEST, plan_variable="wishes"), {}, ["--limit", "web1"]
    if where == "plan":
        options = dict(DEST, plan=plan)
    elif where == "play":
        variables = {"wishes": plan}
    elif where == "extra":
        arguments += ["-e", json.dumps({"wishes": plan})]
    else:
        inventory = (real.folder / "hosts").read_text()
        lines = "wishes=%s\n" % json.dumps(plan) if where == "inventory" else "own_port=%d\n" % holder.port
        real.write("hosts", inventory + "[web:vars]\n" + lines)
        if where == "template":
            variables = {"wishes": [{"port": "{{ own_port }}/tcp", "owner": ["nginx"]}]}
    fleet(options, *arguments, variables=variables)
    assert [(one["kind"], one["port"]) for one in document(fleet)["conflicts"]] == [("in_the_way", holder.port)]
    assert document(fleet)["plans"] == [[{"port": holder.port, "protocol": "tcp", "owner": ["nginx"]}]]


@pytest.mark.matrix
@pytest.mark.parametrize("group", ["web", "db"])
def test_a_plan_that_only_some_hosts_have(fleet, real, group):
    """The task runs for web1, whose plan is nobody else's."""
    real.write("hosts", (real.folder / "hosts").read_text() + "[%s:vars]\nwishes=[22]\n" % group)
    fleet(dict(DEST, plan_variable="wishes"))
    assert {host["name"]: host.get("plan") for host in document(fleet)["hosts"]} == {
        name: 0 if name.startswith(group) else None for name in ("db1", "db2", "web1", "web2")
    }


@pytest.mark.matrix
def test_a_plan_of_the_play_beats_those_of_the_inventory(fleet, real):
    real.write("hosts", (real.folder / "hosts").read_text() + "[web:vars]\nwishes=[22]\n")
    fleet(dict(DEST, plan_variable="wishes"), variables={"wishes": [23]})
    assert document(fleet)["plans"] == [[{"port": 23}]]


@pytest.mark.matrix
def test_a_plan_may_speak_of_other_hosts(fleet, real):
    """As a template may, anywhere else in an inventory."""
    (real.folder / "group_vars").mkdir()
    text = "own: 8000\nwishes: ['{{ hostvars.web1.own }}/tcp', '{{ groups.all | length }}/udp']\n"
    (real.folder / "group_vars" / "all.yml").write_text(text)
    fleet(dict(DEST, plan_variable="wishes"))
    wanted = [{"port": 8000, "protocol": "tcp"}, {"port": 4, "protocol": "udp"}]
    assert document(fleet)["plans"] == [wanted]
    assert {host.get("plan") for host in document(fleet)["hosts"]} == {0}


@pytest.mark.matrix
@pytest.mark.parametrize("wishes", ["'{{ no_such_variable }}'", "'{{ 1 +'", '["80-"]', '[{"prot": 80}]'])
def test_a_bad_plan_of_a_host_is_its_problem_and_no_end_of_the_report(fleet, real, wishes):
    real.write(
        "hosts",
        (real.folder / "hosts")
        .read_text()
        .replace("web1 ", "web1 wishes=%s " % wishes.replace(" ", "") if wishes[0] == "[" else "web1 "),
    )
    if wishes[0] != "[":
        (real.folder / "host_vars").mkdir(exist_ok=True)
        (real.folder / "host_vars" / "web1.yml").write_text("wishes: %s\n" % wishes)
    _said, result = fleet(dict(DEST, plan_variable="wishes"))
    (host,) = [host for host in document(fleet)["hosts"] if host["name"] == "web1"]
    assert host["status"] == "ok"
    assert len(host["problems"]) == 1
    assert host["problems"][0].startswith("its plan is not usable: ")
    assert result["summary"]["complete"] is False


BAD = [
    ({"dest": "x"}, "facts_variable"),
    ({"facts_variable": "listening", "plan": [80], "plan_variable": "x"}, "mutually exclusive"),
    ({"facts_variable": "listening", "plan": ["80-"]}, "plan[0].port"),
    ({"facts_variable": "listening", "mode": "u+rw"}, "mode: "),
    ({"facts_variable": "listening", "mode": 384}, "mode: "),
    ({"facts_variable": "listening", "table_rows": -1}, "table_rows: -1"),
    ({"facts_variable": "listening", "dest": "/proc/no"}, "dest: /proc/no"),
    ({"facts_variable": "listening", "port": 80}, "port"),
]  # fmt: skip


@pytest.mark.matrix
@pytest.mark.parametrize(("options", "says"), BAD, ids=[says for _options, says in BAD])
def test_bad_values_are_one_sentence(fleet, options, says):
    said, _unused = fleet(options, "--limit", "web1", ends=2)
    assert says in said


def test_only_the_table_without_a_folder(fleet, holder):
    said, result = fleet({"facts_variable": "listening"}, "--limit", "web1")
    assert (result["changed"], result["html"], result["json"]) == (False, None, None)
    assert "%d/tcp" % holder.port in said
    assert not fleet.out.exists()


@pytest.mark.matrix
def test_no_table_where_the_output_is_for_machines(fleet):
    said, result = fleet(dict(DEST, table=False), "--limit", "web1")
    assert result["table"][0].startswith("HOST ")
    assert "HOST  PORT" not in said.replace(json.dumps(result["table"]), "")


def test_what_a_host_says_is_never_a_template(fleet, tmp_path):
    """A process may call itself anything."""
    name = "{{ 1 + 1 }}<b>"
    program = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    )
    rename = "import ctypes; ctypes.CDLL(None).prctl(15, %r, 0, 0, 0); " % name.encode()
    with subprocess.Popen(
        [sys.executable, "-c", rename + program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        port = int(process.stdout.readline())
        try:
            fleet(DEST, "--limit", "web1")
        finally:
            process.communicate("\n")
    (host,) = [host for host in document(fleet)["hosts"] if host["name"] == "web1"]
    assert [row["name"] for row in host["listeners"] if row["port"] == port] == [name]
    assert name not in (fleet.out / "report.html").read_text()


def test_become_and_the_interpreter_of_the_host_mean_nothing_for_it(fleet, real):
    """The report is written for a host that can't be reached, with a become that does not exist."""
    lines = (
        "a ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1 ansible_python_interpreter=/no/python "
        "ansible_become=true ansible_become_method=sudo ansible_become_exe=/no/sudo\n"
    )
    real.write("hosts", lines)
    book = PLAY % {"vars": "{}", "options": json.dumps(DEST)}
    real.write("play.yml", book[: book.index("        - copy")])
    done = real.run("ansible-playbook", "-i", str(real.folder / "hosts"), str(real.folder / "play.yml"))
    assert done.returncode == 0, done.stdout
    assert statuses(fleet) == {"a": "unreachable"}
    assert (fleet.out / "report.html").stat().st_uid == os.getuid()


def test_it_works_from_an_installed_collection(fleet, real, tmp_path):
    """Built and installed into an empty folder: the files of the page are shipped."""
    built = real.run("ansible-galaxy", "collection", "build", str(short_names.ROOT), "--output-path", str(tmp_path))
    assert built.returncode == 0, built.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    real.collection.unlink()
    done = real.run(
        "ansible-galaxy", "collection", "install", str(archive), "-p", str(real.folder / "collections"), "--offline"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not real.collection.is_symlink()
    fleet(DEST, "--limit", "web1")
    assert "<title>Ports of the fleet</title>" in (fleet.out / "report.html").read_text()
    assert document(fleet)["generator"]["collection"]
    assert (real.collection / "docs" / "fleet-report.schema.json").is_file()


@pytest.mark.matrix
def test_the_documentation_is_found(real):
    done = real.run("ansible-doc", "harbormaster.ports.fleet_report")
    assert done.returncode == 0, done.stderr
    assert "self-contained HTML page" in done.stdout
