# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemctl says, understood: recorded answers of a real systemd, asked for as often as the code asks."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Endpoint, Socket, Unit
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import systemd

DATA = Path(__file__).resolve().parents[2] / "data" / "systemctl"
SYSTEM = (DATA / "show-252.txt").read_text(encoding="utf-8")
USER = (DATA / "show-user-252.txt").read_text(encoding="utf-8")


class Manager:
    """systemctl, played with what a real one has said; a unit that was not recorded is not known to it."""

    def __init__(self):
        self.system = SYSTEM
        self.asked = []
        self.answer = None

    def run(self, argv, timeout, uid=None, environment=None):
        words = list(argv)
        assert words[0] == "systemctl" and 0 < timeout <= systemd.PATIENCE
        assert ("--user" in words) == (uid is not None)
        names = words[words.index("--") + 1 :]
        self.asked.append((uid, names))
        if self.answer is not None:
            return self.answer
        recorded = (USER if uid is not None else self.system).strip().split("\n\n")
        blocks = []
        for name in names:
            before = len(blocks)
            for block in dict.fromkeys(recorded):
                properties = systemd.parse_show(block)[0]
                own = systemd.parse_names(properties["Names"][0])
                if any(fnmatch.fnmatchcase(one, name) for one in own):
                    blocks.append(block)
            if "*" not in name and len(blocks) == before:
                blocks.append("Id=%s\nNames=%s\nLoadState=not-found\nActiveState=inactive" % (name, name))
        return command.Answer(tuple(words), 0, stdout="\n\n".join(blocks) + "\n")


@pytest.fixture
def manager(monkeypatch):
    played = Manager()
    monkeypatch.setattr(command, "run", played.run)
    monkeypatch.setattr(systemd, "_pids", lambda properties, user: ())
    return played


def told(name, text=SYSTEM, user=None):
    blocks = [block for block in systemd.parse_show(text) if block["Id"] == [name]]
    return systemd.facts_of(blocks[0], user)


def row(port, protocol="tcp"):
    return Socket(protocol, "ipv4", "0.0.0.0", port, "LISTEN", inode=1)


def asked_for(found):
    return sorted(unit.name for unit in found)


# One unit -------------------------------------------------------------------------------------------------------------


def test_a_service_as_it_is():
    facts = told("rec-base.service")
    assert facts.unit == Unit("rec-base.service") and facts.up
    assert (facts.active, facts.sub, facts.restart, facts.file_state) == ("active", "running", "on-failure", "enabled")
    assert facts.main_pid > 1 and len(facts.invocation) == 32
    assert facts.stop_timeout is None, "infinity"
    assert facts.wanted_by == ("multi-user.target", "rec-needs.service")
    assert facts.triggered_by == ("rec-base.path", "rec-base.timer")
    assert facts.stopped_with == ("rec-needs.service", "rec-part.service")
    assert facts.stored == 0 and facts.manual_stop


def test_timers_and_paths():
    timer, path = told("rec-base.timer"), told("rec-base.path")
    assert timer.triggers == path.triggers == ("rec-base.service",)
    assert (timer.sub, timer.file_state, timer.wanted_by) == ("waiting", "enabled", ("timers.target",))
    assert timer.stop_timeout == 0.0 and timer.restart == "no" and timer.main_pid == 0


def test_what_waits_for_its_next_start_is_up_and_what_has_ended_is_not():
    waiting, ended = told("rec-again.service"), told("rec-base2.service")
    assert waiting.up and waiting.sub == "auto-restart" and waiting.main_pid == 0 and waiting.restart == "always"
    assert not ended.up and ended.active == "inactive" and ended.invocation == ""


def test_where_a_socket_unit_listens():
    """Files, pipes with blanks in their names and netlink are not what ports are about."""
    assert told("rec-sock.socket").listens == (
        Endpoint("tcp", "127.0.0.1", 28081),
        Endpoint("tcp", "::1", 28081),
        Endpoint("tcp", "::", 28082),
        Endpoint("udp", "::", 28083),
    )


def test_names_with_a_backslash():
    """systemctl puts them into quotes in a list, and only there."""
    facts = told("rec-my\\x2dapp.socket")
    assert facts.triggers == ("rec-my\\x2dapp.service",)
    assert told("rec-my\\x2dapp.service").triggered_by == ("rec-my\\x2dapp.socket",)


@pytest.mark.parametrize(
    "text, names",
    [
        ("", ()),
        ("a.service b.socket", ("a.service", "b.socket")),
        ('"a\\\\x2db.service" c.service', ("a\\x2db.service", "c.service")),
        # Older versions say them as they are.
        ("a\\x2db.service c.service", ("a\\x2db.service", "c.service")),
        ('"', ('"',)),
    ],
)
def test_lists_of_names(text, names):
    assert systemd.parse_names(text) == names


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("1min 30s", 90.0), ("90s", 90.0), ("1min 30.250000s", 90.25), ("100ms", 0.1), ("0", 0.0), ("5us", 5e-6),
        ("2h", 7200.0), ("1d 1h", 90000.0), ("1month", 2629800.0), ("infinity", None), ("", None), ("soon", None),
    ],
)  # fmt: skip
def test_time_spans(text, seconds):
    assert systemd.parse_timespan(text) == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize(
    "value, endpoints",
    [
        ("[fe80::1%eth0]:53 (Datagram)", (Endpoint("udp", "fe80::1", 53, 7),)),
        # What systemd 252 says of one socket unit.
        ("127.0.0.1:25410 (Stream)", (Endpoint("tcp", "127.0.0.1", 25410),)),
        ("[fe80::a4dc:74ff:fec7:9800]:25411%eth0 (Stream)", (Endpoint("tcp", "fe80::a4dc:74ff:fec7:9800", 25411, 7),)),
        ("[fe80::1]:25411%2 (Stream)", (Endpoint("tcp", "fe80::1", 25411, 2),)),
        ("[fe80::1]:25411%gone0 (Stream)", (Endpoint("tcp", "fe80::1", 25411),)),
        ("[::ffff:127.0.0.1]:25412 (Stream)", (Endpoint("tcp", "127.0.0.1", 25412),)),
        ("[::ffff:0.0.0.0]:25412 (Datagram)", (Endpoint("udp", "0.0.0.0", 25412),)),
        ("[::]:25413 (Stream)", (Endpoint("tcp", "::", 25413),)),
        ("*:25414 (Stream)", (Endpoint("tcp", "0.0.0.0", 25414), Endpoint("tcp", "::", 25414))),
        ("[::1]:25415 (Datagram)", (Endpoint("udp", "::1", 25415),)),
        ("[0:0::0:1]:25415 (Datagram)", (Endpoint("udp", "::1", 25415),)),
        ("[::7f00:1]:25416 (Stream)", (Endpoint("tcp", "::127.0.0.1", 25416),)),
        ("[::ffff:a.b]:1 (Stream)", (Endpoint("tcp", "", 1),)),
        ("0.0.0.0:80 (Stream) [::]:443 (Stream)", (Endpoint("tcp", "0.0.0.0", 80), Endpoint("tcp", "::", 443))),
        ("vsock:2:1234 (Stream)", ()),
        ("2:1234 (Stream)", ()),
        ("@abstract (Stream)", ()),
        ("/run/with:80 (Stream)", ()),
        ("0.0.0.0:80 (SequentialPacket)", ()),
        ("", ()),
    ],
)
def test_places_to_listen(value, endpoints):
    known = {"eth0": 7, "2": 2}
    assert systemd.parse_listen([value], index=lambda zone: known.get(zone, 0)) == endpoints


def test_a_device_holds_for_each_place(monkeypatch):
    """Two units may listen on one port, each on its own interface."""
    text = {
        "Id": ["a.socket"],
        "Listen": ["0.0.0.0:80 (Stream)", "[fe80::1]:80%lo (Stream)"],
        "BindToDevice": ["nothere0"],
    }
    assert [one.interface for one in systemd.facts_of(text, None).listens] == [0, 1]
    text["BindToDevice"] = ["lo"]
    assert [one.interface for one in systemd.facts_of(text, None).listens] == [1, 1]


def test_what_decides_whether_a_stop_ends_the_holder():
    script = {
        "Id": ["a.service"], "Names": ["b.service a.service"], "ControlPID": ["7"], "KillMode": ["process"],
        "SendSIGKILL": ["no"], "RemainAfterExit": ["yes"], "SourcePath": ["/etc/init.d/a"],
    }  # fmt: skip
    facts = systemd.facts_of(script, None)
    assert (facts.control_pid, facts.kill_mode, facts.kills, facts.remains) == (7, "process", False, False)
    assert facts.known_as == ("a.service", "b.service") and facts.leading == {7}
    assert systemd.facts_of(dict(script, SourcePath=[""]), None).remains
    plain = systemd.facts_of({"Id": ["a.service"]}, None)
    assert (plain.kill_mode, plain.kills, plain.remains) == ("control-group", True, False)


def test_nonsense_is_no_unit():
    assert systemd.parse_show("") == []
    assert systemd.parse_show("no equals sign\n\nNames=a.service\n\nId=\n") == []
    facts = systemd.facts_of({"Id": ["a.service"], "MainPID": ["x"], "NFileDescriptorStore": ["-1"]}, 1000)
    assert (facts.unit, facts.main_pid, facts.stored, facts.up) == (Unit("a.service", 1000), 0, 0, False)


# A manager ------------------------------------------------------------------------------------------------------------


def test_a_service_and_everything_around_it(manager):
    found, blind = systemd.facts([Unit("rec-base.service")], [])
    assert blind == ()
    assert asked_for(found) == [
        "rec-base.path", "rec-base.service", "rec-base.timer", "rec-needs.service", "rec-part.service"
    ]  # fmt: skip
    assert found[Unit("rec-base.service")].triggered_by == ("rec-base.path", "rec-base.timer")
    assert [uid for uid, names in manager.asked] == [None, None], "one question, and one for the ring around it"


def test_an_alias_is_the_unit_itself(manager):
    found = systemd.facts([Unit("rec-alias.service"), Unit("rec-base.service")], [])[0]
    assert "rec-alias.service" not in asked_for(found) and Unit("rec-base.service") in found


def test_what_the_manager_does_not_know_runs_nothing(manager):
    found, blind = systemd.facts([Unit("nothere.service"), Unit("neither.service")], [])
    assert blind == () and len(manager.asked) == 1
    assert asked_for(found) == ["neither.service", "nothere.service"]
    assert not any(facts.up or facts.leading for facts in found.values())


@pytest.mark.parametrize(
    "name", ["*.service", "a b.service", "nothing", "a.service\n", "-.mountain", "x" * 300 + ".service", ""]
)
def test_what_is_no_name_of_a_unit_is_not_asked(manager, name):
    """Labels and control groups can have any name; one that systemctl does not take would spoil the whole answer."""
    found, blind = systemd.facts([Unit("rec-base.service"), Unit(name)], [])
    assert Unit("rec-base.service") in found and blind == ()
    assert not any(name in names for _uid, names in manager.asked)
    assert not found[Unit(name)].up


def test_a_list_that_breaks_off_is_no_list(manager):
    """What was told before may lack just the unit that stops along."""
    manager.answer = command.Answer(("systemctl",), -9, stdout=SYSTEM, timed_out=True, seconds=5.0)
    found, (blind,) = systemd.facts([Unit("rec-base.service")], [])
    assert found == {} and "did not answer" in blind.text


def test_a_unit_around_that_is_not_told_makes_the_whole_answer_none(manager, monkeypatch):
    told = manager.run

    def silent(argv, timeout, uid=None, environment=None):
        answer = told(argv, timeout, uid, environment)
        blocks = answer.stdout.strip().split("\n\n")
        return answer._replace(stdout="\n\n".join(block for block in blocks if "Id=rec-needs.service" not in block))

    monkeypatch.setattr(command, "run", silent)
    found, (blind,) = systemd.facts([Unit("rec-base.service")], [])
    assert found == {} and "did not tell of rec-needs.service" in blind.text


def test_a_chain_without_an_end_is_not_cut(manager, monkeypatch):
    """Who stops at the end of it would stop along as well."""
    monkeypatch.setattr(systemd, "_MOST_RINGS", 1)
    found, (blind,) = systemd.facts([Unit("rec-base.service")], [])
    assert found == {} and "too long a chain" in blind.text


def test_a_row_of_the_first_process_is_traced_to_its_socket_unit(manager):
    found = systemd.facts([], [None], [row(28082)])[0]
    assert asked_for(found) == ["rec-base2.service", "rec-sock.socket"]
    assert systemd.facts([], [None], [row(28083)])[0] == {}, "the same number of another protocol"
    assert Unit("rec-sock.socket") in systemd.facts([], [None], [row(28083, "udp")])[0]
    assert len(manager.asked) == 3, "all sockets and services are told at once"


def test_a_socket_that_accepts_comes_with_its_instances(manager):
    """It does not say so itself any more when systemd has read its files again since."""
    assert told("rec-each.socket").triggers == ()
    found = systemd.facts([], [None], [row(28084)])[0]
    instances = [unit.name for unit in found if unit.name.startswith("rec-each@")]
    assert len(instances) == 2
    assert sorted(found[Unit("rec-each.socket")].triggers) == sorted(instances)


def test_a_socket_that_accepts_and_is_no_holder_brings_them_too(manager):
    found = systemd.facts([Unit("rec-each.socket")], [])[0]
    assert sum(unit.name.startswith("rec-each@") for unit in found) == 2


def test_an_escaped_name_is_found_again(manager):
    found = systemd.facts([Unit("rec-my\\x2dapp.service")], [])[0]
    assert asked_for(found) == ["rec-my\\x2dapp.service", "rec-my\\x2dapp.socket"]


def test_a_service_whose_descriptors_are_kept(manager):
    manager.system = SYSTEM.replace("MainPID=0\nNFileDescriptorStore=0", "MainPID=0\nNFileDescriptorStore=2", 1)
    assert manager.system != SYSTEM
    found = systemd.facts([], [None], [row(80)])[0]
    assert [facts.stored for facts in found.values() if facts.stored] == [2]


def test_each_users_manager_is_asked_as_that_user(manager, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found, blind = systemd.facts([Unit("rec-base.service"), Unit("rec-mine.service", 1001)], [1001], [row(28091)])
    assert blind == () and {uid for uid, names in manager.asked} == {None, 1001}
    mine = found[Unit("rec-mine.service", 1001)]
    assert mine.restart == "always" and mine.triggered_by == ("rec-mine.socket",)
    assert found[Unit("rec-mine.socket", 1001)].listens == (Endpoint("tcp", "::", 28091),)
    assert Unit("rec-mine.service") not in found, "units of a user and of the system are different ones"


def test_without_root_only_ones_own_manager_is_asked(manager, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    found, blind = systemd.facts([Unit("rec-mine.service", 1001), Unit("x.service", 1002)], [])
    assert Unit("rec-mine.service", 1001) in found
    (one,) = blind
    assert one.code == "service_manager" and "uid 1002" in one.text and "become" in one.advice
    assert all(uid != 1002 for uid, names in manager.asked)


@pytest.mark.parametrize(
    "answer, words",
    [
        (command.Answer(("systemctl",), not_started="systemctl is not installed"), "systemctl is not installed"),
        (command.Answer(("systemctl",), -9, timed_out=True, seconds=5.0), "did not answer within 5 s"),
        (command.Answer(("systemctl",), 1, stderr="Failed to connect to bus: Host is down\n"), "Host is down"),
    ],
)
def test_a_silent_manager_is_said(manager, answer, words):
    manager.answer = answer
    found, (blind,) = systemd.facts([Unit("a.service")], [])
    assert found == {} and blind.code == "service_manager" and words in blind.text and blind.advice
    assert len(manager.asked) == 1, "who is silent is not asked again"


def test_a_long_list_is_asked_in_parts(manager):
    systemd.facts([Unit("a%d.service" % number) for number in range(1001)], [])
    assert [len(names) for uid, names in manager.asked] == [1000, 1]


# Processes ------------------------------------------------------------------------------------------------------------


def test_the_processes_of_a_unit_and_of_the_groups_below(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd, "_CGROUP_ROOTS", (str(tmp_path / "none"), str(tmp_path)))
    group = tmp_path / "system.slice" / "a.service"
    (group / "payload" / "deep").mkdir(parents=True)
    (group / "cgroup.procs").write_text("12\n0\n")
    (group / "payload" / "cgroup.procs").write_text("")
    (group / "payload" / "deep" / "cgroup.procs").write_text("14\n13\n")
    assert systemd._pids({"ControlGroup": ["/system.slice/a.service"]}, None) == (12, 13, 14)
    for nothing in ({}, {"ControlGroup": [""]}, {"ControlGroup": ["/"]}, {"ControlGroup": ["/system.slice/b.service"]}):
        assert systemd._pids(nothing, None) == ()


def test_the_processes_that_share_a_group(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd, "_CGROUP_ROOTS", (str(tmp_path),))
    monkeypatch.setattr(systemd.cgroups, "root_of", lambda data: "/system.slice/docker-aaaa.scope")
    assert systemd.companions(os.getpid()) == (), "a group that is nowhere to be found"
    group = tmp_path / "system.slice" / "docker-aaaa.scope"
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("14\n12\n")
    assert systemd.companions(os.getpid()) == (12, 14)
    assert systemd.companions(2**22 + 1) == (), "no such process"


def test_a_group_that_can_not_be_read_has_no_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(systemd, "_CGROUP_ROOTS", (str(tmp_path),))
    (tmp_path / "a.service" / "cgroup.procs").mkdir(parents=True)
    assert systemd._pids({"ControlGroup": ["/a.service"]}, None) == ()


@pytest.mark.parametrize(
    "path", ["/../../..", "/user.slice/user@1001.service/../..", "/system.slice/other.service", "/"]
)
def test_a_users_manager_has_no_word_outside_of_its_own_group(tmp_path, monkeypatch, path):
    monkeypatch.setattr(systemd, "_CGROUP_ROOTS", (str(tmp_path / "deep" / "root"),))
    for folder in ("system.slice/other.service", "user.slice/user@1001.service/app.slice/a.service"):
        group = tmp_path / "deep" / "root" / folder
        group.mkdir(parents=True)
        (group / "cgroup.procs").write_text("12\n")
    assert systemd._pids({"ControlGroup": [path]}, 1001) == ()
    own = {"ControlGroup": ["/user.slice/user@1001.service/app.slice/a.service"]}
    assert systemd._pids(own, 1001) == (12,) and systemd._pids(own, 1002) == ()


def test_groups_without_end_are_not_walked(tmp_path, monkeypatch, manager):
    monkeypatch.undo()
    monkeypatch.setattr(systemd, "_CGROUP_ROOTS", (str(tmp_path),))
    monkeypatch.setattr(systemd, "_MOST_GROUPS", 10)
    monkeypatch.setattr(command, "run", manager.run)
    group = tmp_path / systemd.parse_show(SYSTEM)[0]["ControlGroup"][0].lstrip("/")
    for number in range(20):
        (group / str(number)).mkdir(parents=True)
    found, (blind,) = systemd.facts([Unit("rec-base.service")], [])
    assert found == {} and "more than 10 control groups" in blind.text


@pytest.mark.parametrize(
    ("value", "program"),
    [
        ("{ path=/usr/bin/buildkite-agent ; argv[]=/usr/bin/buildkite-agent start ; ignore_errors=no ; pid=0 }", "buildkite-agent"),
        (
            "{ path=/usr/bin/python3 ; argv[]=/usr/bin/python3 -u /usr/sbin/waagent -daemon ; ignore_errors=no ; pid=812 }",
            "waagent",
        ),
        ("{ path=/usr/bin/ruby ; argv[]=/usr/bin/ruby -e exit ; ignore_errors=no }", ""),
        ("{ path=/a b/x ; argv[]=x ; ignore_errors=no }", "x"),
        ("", ""),
        ("nonsense", ""),
    ],
)  # fmt: skip
def test_what_a_unit_was_told_to_start(value, program):
    assert systemd.facts_of({"Id": ["a.service"], "ExecStart": [value]}, None).program == program
