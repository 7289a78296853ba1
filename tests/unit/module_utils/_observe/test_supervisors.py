# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Supervisors: what becomes of a holder with each of them, by what their commands have said, as recorded."""

from __future__ import annotations

import os
import pwd

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command, evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Process
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    monit as monit_module,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import (
    pm2,
    processes,
    supervisor_talk,
    supervisors,
)
from ansible_collections.harbormaster.ports.tests.unit.module_utils._observe import supervisor_texts as recorded

ME = os.geteuid()


# From a process to its supervisor ---------------------------------------------------------------------------------


@pytest.fixture
def host(monkeypatch, tmp_path):
    """A host whose commands answer as told: {words in a command line: stdout or Answer}; every call is recorded."""

    class Host:
        answers = {}
        calls = []
        folder = str(tmp_path / "web")
        arguments = ["/usr/bin/python3", "/usr/bin/supervisord"]
        environment = {"PM2_HOME": "/home/bob/.pm2", "HOME": "/home/bob", "PATH": "/home/bob/bin", "SECRET": "x"}

        def run(self, argv, timeout, uid=None, environment=None):
            self.calls.append((tuple(argv), uid, dict(environment or {})))
            for words, answer in self.answers.items():
                if words in " ".join(argv):
                    return answer if isinstance(answer, command.Answer) else command.Answer(tuple(argv), 0, answer)
            return command.Answer(tuple(argv), not_started="%s is not installed" % argv[0])

    one = Host()
    one.answers, one.calls = {}, []
    os.mkdir(one.folder)
    monkeypatch.setattr(command, "run", one.run)
    monkeypatch.setattr(supervisor_talk, "folder", lambda pid: one.folder)
    # What is proven is for other tests.
    monkeypatch.setattr(evidence, "folder", lambda path: path)
    monkeypatch.setattr(evidence, "listener", lambda path: path)
    monkeypatch.setattr(evidence, "find", lambda program, path: program)
    monkeypatch.setattr(supervisor_talk, "arguments", lambda pid: one.arguments)
    monkeypatch.setattr(supervisor_talk, "environment", lambda pid: one.environment)
    monkeypatch.setattr(pm2, "_exe", lambda pid: "/opt/bin/node")
    monkeypatch.setattr(supervisor_talk, "MONIT_PID_FILES", ())
    return one


def family(name, *below, uid=ME, **more):
    """A supervisor with pid 100, proven when it is ours, and a chain of processes of the same account below it."""
    more.setdefault("proven", (name,) if uid == ME else ())
    known = {1: Process(1, "systemd"), 100: Process(100, name, 1, uid=uid, ancestors=(1,), **more)}
    above = (100, 1)
    for pid in below:
        known[pid] = Process(pid, "app", above[0], uid=uid, ancestors=above)
        above = (pid, *above)
    return known


def supervised(known, holders, stopping, may_ask=True):
    found, blind = supervisors.asked(known, holders, stopping, Clock(), may_ask).answers()
    assert blind == ()
    return dict(found)


def test_supervisord_is_asked_for_the_process_that_it_started_itself(host):
    host.answers = {"status": recorded.STATUS, "avail": recorded.AVAIL}
    found = supervised(family("supervisord", 834, 835), {835}, True)[835]
    assert (found.program, found.pid, found.child, found.returns_at_boot) == ("shop", 100, 834, True)
    assert found.stop == ("/usr/bin/supervisorctl", "stop", "shop")
    assert found.start == ("/usr/bin/supervisorctl", "start", "shop")


def test_a_report_does_not_ask_what_starts_by_itself(host):
    host.answers = {"status": recorded.STATUS, "avail": recorded.AVAIL}
    found = supervised(family("supervisord", 834), {834}, False)[834]
    assert (found.program, found.returns_at_boot, len(host.calls)) == ("shop", None, 1)


def test_two_holders_of_one_program_are_one_question(host):
    host.answers = {"status": recorded.STATUS, "avail": recorded.AVAIL}
    found = supervised(family("supervisord", 834, 835), {834, 835}, False)
    assert found[834] == found[835]
    assert len(host.calls) == 1


def test_a_supervisor_runs_its_commands_with_its_own_rights_only(host):
    """Its configuration may name code to load: that of another user must not run as us."""
    host.answers = {"status": recorded.STATUS}
    found = supervised(family("supervisord", 834, uid=ME + 1), {834}, False)[834]
    assert found.user == ME + 1
    assert [uid for _argv, uid, _environment in host.calls] == [ME + 1]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (command.Answer(("supervisorctl",), 4, stderr="unix:///run/s.sock no such file"), "unix:///run/s.sock no such file"),
        (command.Answer(("supervisorctl",), timed_out=True, seconds=5), "supervisorctl did not answer within 5 s"),
        (command.Answer(("supervisorctl",), 3, recorded.STATUS.replace("834", "8")), "cron"),
        (command.Answer(("supervisorctl",), 0, ""), "supervisorctl status does not list pid 834"),
    ],
)  # fmt: skip
def test_a_supervisor_that_does_not_answer_has_no_command_and_a_reason(host, answer, why):
    host.answers = {"status": answer}
    found = supervised(family("supervisord", 834), {834}, True)[834]
    assert found.stop == ()
    assert why in found.why


@pytest.mark.parametrize(
    ("name", "status", "stop"),
    [
        ("runsv", "run: web: (pid 927) 5s", ("sv", "-w", "30", "down")),
        ("s6-supervise", "up (pid 927 pgid 927) 5 seconds", ("s6-svc", "-d")),
        ("supervise", "web: up (pid 927) 5 seconds", ("svc", "-d")),
    ],
)
def test_service_directories(host, name, status, stop):
    host.answers = {"st": status}
    found = supervised(family(name, 927, 928), {928}, True)[928]
    assert (found.program, found.child, found.stop) == ("web", 927, (*stop, host.folder))
    assert found.returns_at_boot is True
    open(os.path.join(host.folder, "down"), "w").close()
    assert supervised(family(name, 927), {927}, True)[927].returns_at_boot is False


def test_pm2_is_called_with_the_home_of_its_daemon(host):
    host.answers = {"jlist": recorded.JLIST}
    found = supervised(family("PM2 v5.3.0: God", 943), {943}, True)[943]
    assert (found.supervisor, found.program, found.stop) == ("pm2", "shop", ("pm2", "stop", "0"))
    assert dict(found.environment) == {
        "PM2_HOME": "/home/bob/.pm2",
        "HOME": pwd.getpwuid(ME).pw_dir,
        "PATH": "/opt/bin:" + command.PATH,
    }
    assert host.calls[0][2] == dict(found.environment)


def test_the_daemon_of_pm2_holds_the_port_of_its_only_cluster(host, monkeypatch):
    host.answers = {"jlist": recorded.JLIST}
    workers = {965: Process(965, "node", 100), 972: Process(972, "node", 100), 943: Process(943, "node", 7)}
    monkeypatch.setattr(processes, "describe", lambda pids, commands: {pid: workers[pid] for pid in pids})
    found = supervised(family("PM2 v5.3.0: God"), {100}, True)[100]
    assert (found.program, found.stop, found.stops) == ("clu", ("pm2", "stop", "clu"), (965, 972))


def test_of_two_clusters_of_one_daemon_none_is_guessed(host):
    host.answers = {"jlist": recorded.JLIST.replace('"name": "clu", "pm_id": 2', '"name": "other", "pm_id": 2')}
    found = supervised(family("PM2 v5.3.0: God"), {100}, True)[100]
    assert found.stop == ()
    assert "2 apps in cluster mode" in found.why


def test_the_own_port_of_a_supervisor_is_not_supervised(host):
    assert supervised(family("supervisord"), {100}, True) == {}
    assert host.calls == []


def test_what_runs_in_a_container_is_for_its_engine(host):
    known = family("supervisord", 834)
    known[834] = known[834]._replace(container=Container("docker", "aa"))
    assert supervised(known, {834}, True) == {}
    assert host.calls == []


def test_a_process_that_pm2_names_and_has_not_started_is_not_said_to_stop(host, monkeypatch):
    host.answers = {"jlist": recorded.JLIST}
    others = {965: Process(965, "node", 100), 972: Process(972, "postgres", 1)}
    monkeypatch.setattr(processes, "describe", lambda pids, commands: {pid: others[pid] for pid in pids})
    assert supervised(family("PM2 v5.3.0: God"), {100}, True)[100].stops == (965,)


@pytest.mark.parametrize("name", ["supervisord", "runsv", "s6-supervise", "supervise", "PM2 v5.3.0: God"])
def test_a_supervisor_of_another_account_is_not_asked_by_a_look_that_changes_nothing(host, name):
    found = supervised(family(name, 927, uid=ME + 1), {927}, True, may_ask=False)[927]
    assert (found.unasked, found.stop, found.returns_at_boot) == (True, (), None)
    assert host.calls == []


@pytest.mark.parametrize("name", ["supervisord", "runsv", "s6-supervise", "supervise", "PM2 v5.3.0: God"])
@pytest.mark.parametrize("may_ask", [False, True])
def test_a_supervisor_by_name_only_runs_nothing_with_our_rights(host, name, may_ask):
    found = supervised(family(name, 927, proven=()), {927}, True, may_ask)[927]
    assert found.stop == () and "others than root" in found.why
    assert host.calls == []


def test_the_nearest_supervisor_that_can_be_one_is_asked(host):
    """One of another account is looked past: what root's has started further up is root's."""
    host.answers = {"status": recorded.STATUS}
    known = {
        1: Process(1, "systemd"),
        100: Process(100, "supervisord", 1, uid=ME, ancestors=(1,), proven=("supervisord",)),
        834: Process(834, "runsv", 100, uid=ME + 1, ancestors=(100, 1)),
        835: Process(835, "app", 834, uid=ME + 2, ancestors=(834, 100, 1)),
    }
    assert supervised(known, {835}, False)[835].program == "shop"


def test_a_plain_process_asks_nobody(host):
    known = {1: Process(1, "systemd"), 50: Process(50, "node", 1, ancestors=(1,))}
    assert supervised(known, {50, 1, 99}, True) == {}
    assert host.calls == []


@pytest.fixture
def monit(host, monkeypatch, tmp_path):
    """A host on which monit runs, with its pid file and configuration in a directory of the test."""
    files = {"/etc/monit/monitrc": recorded.MONITRC, "/run/mweb.pid": "1202\n"}
    monkeypatch.setattr(supervisor_talk, "MONIT_PID_FILES", ("/proc/self/stat",))
    monkeypatch.setattr(monit_module, "daemon", lambda: 50)
    monkeypatch.setattr(evidence, "owner", lambda path, kind: path if path in files else None)
    monkeypatch.setattr(evidence, "read", lambda path, most=0: files[path].encode() if path in files else None)
    host.arguments = ["/usr/bin/monit"]
    host.files = files
    return host


HOLDERS = {
    1: Process(1, "systemd"),
    1202: Process(1202, "app", 1, ancestors=(1,)),
    7: Process(7, "x", 1, ancestors=(1,)),
}


def test_monit_knows_what_it_watches(monit):
    monit.answers = {"status": recorded.MONIT}
    found = supervised(HOLDERS, {1202, 7}, True)
    assert set(found) == {1202}
    assert (found[1202].program, found[1202].stop, found[1202].pid) == ("mweb", ("monit", "stop", "mweb"), 50)


def test_what_monit_has_just_started_is_known_by_its_pid_file(monit):
    """Its status has the new pid only after its next round. Until then a signal would be answered with a new start."""
    monit.answers = {"status": recorded.MONIT.replace("  pid                          1202\n", "")}
    found = supervised(HOLDERS, {1202, 7}, True)
    assert set(found) == {1202}
    assert (found[1202].program, found[1202].stop, found[1202].why) == ("mweb", ("monit", "stop", "mweb"), "")


def test_monit_is_asked_with_its_own_configuration(monit):
    monit.arguments = ["/usr/bin/monit", "-I", "-c", "/srv/monitrc"]
    monit.files["/srv/monitrc"] = monit.files.pop("/etc/monit/monitrc")
    monit.answers = {"-c /srv/monitrc -B status": recorded.MONIT.replace("1202", "1")}
    found = supervised(HOLDERS, {1202}, True)[1202]
    assert found.stop == ("monit", "-c", "/srv/monitrc", "stop", "mweb")
    assert found.start == ("monit", "-c", "/srv/monitrc", "start", "mweb")


def test_a_silent_monit_is_known_by_its_pid_files(monit):
    monit.answers = {"status": command.Answer(("monit",), 1, stderr="Monit: the monit daemon is not listening")}
    found = supervised(HOLDERS, {1202}, True)[1202]
    assert (found.program, found.stop) == ("mweb", ())
    assert "not listening" in found.why


def test_monit_is_not_asked_with_a_configuration_that_others_may_write(monit):
    monit.arguments = ["/usr/bin/monit", "-c", "/home/bob/monitrc"]
    assert supervised(HOLDERS, {1202}, True) == {}
    assert monit.calls == []


def test_who_writes_a_pid_file_tells_of_its_own_processes_only(monit, monkeypatch):
    monit.answers = {"status": recorded.MONIT}
    monkeypatch.setattr(evidence, "owner", lambda path, kind: None)
    monkeypatch.setattr(monit_module, "_writer", lambda path: 4000)
    assert supervised(HOLDERS, {1202}, True) == {}
    own = {**HOLDERS, 1202: HOLDERS[1202]._replace(real_uid=4000)}
    assert supervised(own, {1202}, True)[1202].program == "mweb"


def test_without_a_pid_file_that_is_known_roots_processes_alone_are_watched(monit, monkeypatch):
    """Any account can make a process look like what a pattern means."""
    monit.answers = {"status": recorded.MONIT}
    monit.files["/etc/monit/monitrc"] = recorded.MONITRC.replace("pidfile", "matching")
    assert supervised({**HOLDERS, 1202: HOLDERS[1202]._replace(real_uid=4000)}, {1202}, True) == {}
    roots = {**HOLDERS, 1202: HOLDERS[1202]._replace(real_uid=0, uid=0)}
    assert supervised(roots, {1202}, True)[1202].program == "mweb"


def test_a_pid_file_that_is_gone_or_open_to_all_proves_nothing(tmp_path):
    process = HOLDERS[1202]._replace(real_uid=0, uid=0)
    path = tmp_path / "web.pid"
    told = monit_module._may_tell_of
    assert not told(str(path), process)
    path.write_text("1202")
    path.chmod(0o666)
    assert not told(str(path), process)
