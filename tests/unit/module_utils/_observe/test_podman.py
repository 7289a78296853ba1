# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman's containers: whose they are, by real processes that are called conmon, and recorded answers of podman 4.3."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Endpoint, Process
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import podman
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.docker import Question
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import by_protocol

STORE = "/home/bob/.local/share/containers/storage"
# As podman 4.3 starts it without root, with what comes before and between its own arguments cut short.
CONMON = (
    "/usr/bin/conmon --api-version 1 -c 96d0 -u 96d0 -r /usr/bin/crun -n b3 --exit-dir /run/user/1001/libpod/tmp/exits"
    " --exit-command /usr/bin/podman --exit-command-arg --root --exit-command-arg " + STORE + " --exit-command-arg"
    " --runroot --exit-command-arg /run/user/1001/containers --exit-command-arg --log-level --exit-command-arg warning"
    " --exit-command-arg --cgroup-manager --exit-command-arg cgroupfs --exit-command-arg --tmpdir --exit-command-arg"
    " /run/user/1001/libpod/tmp --exit-command-arg --network-config-dir --exit-command-arg  --exit-command-arg"
    " --network-backend --exit-command-arg netavark --exit-command-arg --runtime --exit-command-arg crun"
    " --exit-command-arg --storage-driver --exit-command-arg vfs --exit-command-arg container --exit-command-arg cleanup"
    " --exit-command-arg 96d0"
)
OPTIONS = (
    "--root", STORE, "--runroot", "/run/user/1001/containers", "--cgroup-manager", "cgroupfs",
    "--tmpdir", "/run/user/1001/libpod/tmp", "--network-backend", "netavark", "--runtime", "crun", "--storage-driver", "vfs",
)  # fmt: skip


def line(*words, exit_command="/usr/bin/podman"):
    said = ["conmon", "-c", "x", "--exit-command", exit_command]
    for word in words:
        said += ["--exit-command-arg", word]
    return "\0".join(said).encode() + b"\0"


# Whose ------------------------------------------------------------------------------------------------------------


def test_the_options_of_an_account():
    assert podman.parse_conmon(CONMON.replace(" ", "\0").encode() + b"\0") == OPTIONS


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--root", "/srv/x", "container", "cleanup", "--root", "/srv/y"), ("--root", "/srv/x")),
        (("--root", "relative"), ()),
        (("--root", "/srv/../../etc"), ()),
        (("--runtime", "/tmp/evil"), ()),
        (("--runtime", "crun"), ("--runtime", "crun")),
        (("--storage-opt", "overlay.mount_program=/tmp/evil"), ()),
        (("--conmon", "/tmp/evil"), ()),
        (("--hooks-dir", "/tmp/evil"), ()),
        (("--module", "/tmp/evil"), ()),
        (("--url", "unix:///tmp/evil"), ()),
        (("--root",), ()),
        ((), ()),
    ],
)
def test_only_options_that_run_nothing_are_taken_over(words, expected):
    assert podman.parse_conmon(line(*words)) == expected


@pytest.mark.parametrize(
    "data", [b"", b"conmon\0", line(exit_command="/usr/libexec/crio/cleanup"), line(exit_command="")]
)
def test_a_conmon_of_somebody_else(data):
    assert podman.parse_conmon(data) is None


@contextlib.contextmanager
def monitor(command_line, environment, uid):
    """A process called conmon, with a command line and variables, in this network namespace."""
    script = (
        "import ctypes, os, sys; os.setgroups([]); os.setuid(%d); ctypes.CDLL(None).prctl(15, b'conmon');"
        " os.write(1, b'x'); sys.stdin.read()" % uid
    )
    # after these words comes the command line: only what stands after --exit-command counts
    words = [sys.executable, "-c", script, *command_line.decode().split("\0")[:-1]]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout.read(1) == b"x"
            yield process.pid
        finally:
            process.stdin.close()
            process.wait()


def accounts(processes, unreserved=False, may_ask=True):
    found, blind = podman.accounts([processes] if processes else [], unreserved, may_ask)
    return list(found), [(one.code, one.text, one.advice) for one in blind]


def relay(name, uid, pid=None, container=None):
    return Process(pid or os.getpid(), name, uid=uid, container=container)


ENVIRONMENT = {"HOME": "/home/x", "XDG_RUNTIME_DIR": "/run/x", "LD_PRELOAD": "/tmp/x", "_CONTAINERS_ROOTLESS_UID": "7"}


def of_two_users():
    bobs, roots = line("--root", "/home/bob/s"), line("--root", "/var/s")
    with monitor(bobs, ENVIRONMENT, 65534), monitor(bobs, dict(ENVIRONMENT, CONTAINERS_CONF="/c"), 65534):
        with monitor(roots, {"HOME": "/root"}, 0):
            bob = accounts([relay("rootlessport", 65534)])
            root = accounts([relay("httpd", 0), relay("conmon", 0)])
            nobody = accounts([relay("httpd", 0)])
            unheld = accounts([], unreserved=True)
    return bob, root, nobody, unheld


def test_whose_containers_are_behind_a_relay(in_netns):
    """One account a set of directories, as its own user, with nothing that would make it load or be somebody else."""
    bob, root, nobody, unheld = in_netns(of_two_users)
    expected = podman.Account(
        65534, ("podman", "--root", "/home/bob/s"), (("HOME", "/home/x"), ("XDG_RUNTIME_DIR", "/run/x"))
    )
    assert bob == ([expected], [])
    assert root == unheld == ([podman.Account(0, ("podman", "--root", "/var/s"), (("HOME", "/root"),))], [])
    assert nobody == ([], [])


def without_a_monitor(name):
    os.environ["XDG_RUNTIME_DIR"] = "/run/mine"
    script = "import ctypes, os, sys; ctypes.CDLL(None).prctl(15, b'%s'); os.write(1, b'x'); sys.stdin.read()"
    words = [sys.executable, "-c", script % name]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        # Popen may return before the program has its own environment, where the kernel has vfork.
        assert process.stdout.read(1) == b"x"
        found = accounts([relay("pasta.avx2", 0, process.pid)])
        process.stdin.close()
    return found, accounts([], unreserved=True)


def test_without_a_conmon_the_relays_own_settings_count(in_netns):
    ((one,), blind), unheld = in_netns(without_a_monitor, "pasta.avx2")
    assert one.command == ("podman",) and ("XDG_RUNTIME_DIR", "/run/mine") in one.environment and blind == []
    assert unheld == ([], [])


def test_another_program_of_roots_is_no_relay(in_netns):
    """Anybody can start some of these (su) under any name."""
    assert in_netns(without_a_monitor, "su")[0] == ([], [])


@pytest.mark.parametrize("kind", [0x00020000, 0x40000000], ids=["mounts", "network"])
def test_who_is_not_of_this_host_is_not_believed(kind):
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        ctypes.CDLL(None).unshare(kind)
        ctypes.CDLL(None).prctl(15, b"conmon")
        os.write(writer, b"x")
        time.sleep(60)
        os._exit(0)
    try:
        os.read(reader, 1)
        assert pid not in podman.conmons(0)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


def as_nobody():
    return accounts([relay("rootlessport", 1001)]), accounts([relay("conmon", 0)])


def test_another_users_containers_need_root(in_netns):
    (found, ((code, text, advice),)), (also, ((_code, roots, _advice),)) = in_netns(as_nobody, user=True)
    assert found == also == [] and code == "container_engine_of_another" and "become: true" in advice
    assert "user 1001" in text and "user root" in roots


@pytest.mark.parametrize(
    ("processes", "count"),
    [
        ([relay("conmon", 0, container=Container("cri-o", "a" * 64))], 0),
        ([relay("httpd", 0, container=Container("kubernetes", "a" * 64)), relay("conmon", 0)], 0),
        ([relay("httpd", 0, container=Container("podman", "a" * 64))], 1),
    ],
)
def test_others_use_the_same_helpers(monkeypatch, processes, count):
    monkeypatch.setattr(podman, "conmons", lambda uid: [])
    assert len(accounts(processes)[0]) == count


def test_a_user_inside_of_a_container_is_no_account(monkeypatch):
    """Its process runs as one of the account's other users; who watches over it runs as the account."""
    monkeypatch.setattr(podman, "conmons", lambda uid: [])
    inside = relay("httpd", 165635, container=Container("podman", "a" * 64))
    with monitor(b"conmon\0", {}, os.geteuid()) as pid:
        found, blind = accounts([inside, relay("conmon", os.geteuid(), pid)])
    assert [one.uid for one in found] == [os.geteuid()] and blind == []


def set_uid_of_another(directory, other):
    """A set-uid program of root's (or bob's) that nobody has started, by the name of conmon and with words of its choice."""
    program = directory + "/conmon"
    words = line("--root", "/tmp/evil").split(b"\0")[:-1]
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        os.dup2(reader, 0)
        os.execve(program, words, {"CONTAINERS_CONF": "/tmp/evil"})
    try:
        for _attempt in range(200):
            with open("/proc/%d/comm" % pid, encoding="ascii") as stream:
                if stream.read() == "conmon\n":
                    break
            time.sleep(0.02)
        with open("/proc/%d/status" % pid, "rb") as stream:
            uids = podman.evidence.uids(stream.read())
        one = Process(pid, "conmon", uid=other, real_uid=65534)
        return uids, podman.conmons(other), podman.conmons(65534), accounts([one]), accounts([one], may_ask=False)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("other", [0, 1])
def test_a_set_uid_program_speaks_for_who_has_started_it(in_netns, roots_path, other):
    """Nobody's words are run as nobody at most, and in a report not at all."""
    program = roots_path / "conmon"
    shutil.copy("/bin/cat", str(program))
    os.chown(str(program), other, other)
    program.chmod(0o4755)
    uids, of_other, of_nobody, asked, reported = in_netns(set_uid_of_another, str(roots_path), other)
    assert uids == (65534, other, other), "the program has to be a set-uid one here"
    assert of_other == of_nobody == []
    (account,), _blind = asked
    assert account.uid == 65534 and account.command == ("podman",)
    assert reported[0] == [] and "not asked" in reported[1][0][1] and reported[1][0][2] == ""


def as_root_by_another_program():
    words = line("--root", "/tmp/evil")
    with monitor(words, {"CONTAINERS_CONF": "/tmp/evil"}, 0) as pid:
        found = podman.conmons(0)
        # what it is called is all that a program of root's has from whoever has started it
        podman.evidence.INTERPRETERS = re.compile(r"none\Z")
        return pid, found, podman.conmons(0), accounts([relay("conmon", 0, pid)])


def test_a_program_of_roots_that_is_only_called_conmon(in_netns):
    pid, as_interpreter, as_any_program, found = in_netns(as_root_by_another_program)
    assert as_interpreter == [pid] and as_any_program == [] and found == ([], [])


# What it says ------------------------------------------------------------------------------------------------------


def routes(recorded, **more):
    known = {
        "ps --all --pod --format json": json.dumps(recorded("podman-4.3-ps")),
        "container inspect *": json.dumps(recorded("podman-4.3-inspect")),
        "--version": "podman version 4.3.1\n",
    }
    return dict(more, **known)


def ask(command, ports=(), ids=(), pids=(), seconds=20.0):
    found, blind = [], []
    question = Question(by_protocol(ports), frozenset(ids), frozenset(pids))
    account = podman.Account(os.geteuid(), command, (("XDG_RUNTIME_DIR", "/run/user/0"),))
    podman.ask(account, question, time.monotonic() + seconds, found, blind)
    return found, blind


def entry(recorded, name):
    (one,) = [one for one in recorded("podman-4.3-ps") if one["Names"] == [name]]
    return one


def test_a_published_port(recorded, podman_command):
    command = podman_command(routes(recorded))
    (one,), blind = ask(command, [("tcp", 8300)])
    assert blind == [] and (one.engine, one.name, one.asked, one.endpoint) == ("podman", "pweb", True, "")
    assert one.published == (
        Endpoint("tcp", "0.0.0.0", 8300), Endpoint("tcp", "::", 8300), Endpoint("udp", "127.0.0.1", 8301),
    )  # fmt: skip
    assert one.pid == entry(recorded, "pweb")["Pid"] and one.started.startswith("2026-11-21T")
    assert (one.restart, one.can_persist, one.stop_timeout, one.removed_on_stop) == ("always", False, 4.0, False)
    assert (one.pod, one.members, one.unit, one.command) == ("", (), "", command)
    assert one.environment == (("XDG_RUNTIME_DIR", "/run/user/0"),)


def test_a_newer_podman_can_change_the_policy(recorded, podman_command):
    answers = routes(recorded)
    answers["--version"] = "podman version 5.1.0\n"
    (one,), _blind = ask(podman_command(answers), [("tcp", 8300)])
    assert one.can_persist


def test_nothing_of_concern_is_one_question(recorded, podman_command):
    assert ask(podman_command(routes(recorded)), [("tcp", 9999), ("udp", 8300)]) == ([], [])
    assert podman_command.calls() == ["ps --all --pod --format json"]


def test_by_the_pid_of_its_first_process(recorded, podman_command):
    """With the host's network it publishes nothing, and without a control group of its own nothing else leads to it."""
    (one,), _blind = ask(podman_command(routes(recorded)), pids=[entry(recorded, "phost")["Pid"], 1])
    assert one.name == "phost" and one.host_network and one.published == ()


def test_by_the_id_of_its_control_group(recorded, podman_command):
    (one,), _blind = ask(podman_command(routes(recorded)), ids=[entry(recorded, "phost")["Id"]])
    assert one.name == "phost"


def test_a_pod_is_its_keeper_and_its_members(recorded, podman_command):
    """All of its containers show the port; it is stopped as a whole, so the longest stop timeout counts."""
    answers = routes(recorded)
    said = recorded("podman-4.3-inspect")
    for one in said:
        if one["Name"] == "pmember":
            one["Config"]["StopTimeout"] = 70
    answers["container inspect *"] = json.dumps(said)
    (one,), _blind = ask(podman_command(answers), [("tcp", 8320)])
    keeper = entry(recorded, "048ef519185a-infra")
    assert (one.id, one.pod, one.project) == (keeper["Id"], keeper["Pod"], "ppod")
    assert one.members == ("pmember",) and one.stop_timeout == 70.0


def test_a_member_that_holds_a_port_itself_is_stopped_alone(recorded, podman_command):
    member = entry(recorded, "pmember")
    (one,), _blind = ask(podman_command(routes(recorded)), pids=[member["Pid"]])
    assert (one.name, one.pod, one.members, one.project) == ("pmember", "", (), "ppod")


def test_one_that_has_ended_holds_nothing(recorded, podman_command):
    answers = routes(recorded)
    listed = recorded("podman-4.3-ps")
    for one in listed:
        one["State"] = "exited"
    answers["ps --all --pod --format json"] = json.dumps(listed)
    assert ask(podman_command(answers), [("tcp", 8300)]) == ([], [])


def test_one_that_ends_between_two_questions(recorded, podman_command):
    answers = routes(recorded)
    answers["container inspect *"] = ("Error: no such container\n", 125)
    found, (blind,) = ask(podman_command(answers), [("tcp", 8300)])
    assert found == [] and "no such container" in blind.text
    said = recorded("podman-4.3-inspect")
    for one in said:
        one["State"]["Status"] = "exited"
    answers["container inspect *"] = json.dumps(said)
    assert ask(podman_command(answers), [("tcp", 8300)]) == ([], [])


def test_a_unit_that_runs_it(recorded, podman_command):
    answers = routes(recorded)
    said = recorded("podman-4.3-inspect")
    for one in said:
        one["Config"]["Labels"] = {"PODMAN_SYSTEMD_UNIT": "container-pweb.service"}
        one["HostConfig"]["AutoRemove"] = True
    answers["container inspect *"] = json.dumps(said)
    (one,), _blind = ask(podman_command(answers), [("tcp", 8300)])
    assert one.unit == "container-pweb.service" and one.removed_on_stop and one.monitor > 1


@pytest.mark.parametrize(
    "label", ["io.kubernetes.pod.name", "com.docker.swarm.task.id", "com.hashicorp.nomad.alloc_id"]
)
def test_a_label_of_an_image_makes_no_orchestrator(recorded, podman_command, label):
    answers = routes(recorded)
    said = recorded("podman-4.3-inspect")
    for one in said:
        one["Config"]["Labels"] = {label: "x"}
    answers["container inspect *"] = json.dumps(said)
    (one,), _blind = ask(podman_command(answers), [("tcp", 8300)])
    assert one.orchestrator == ""


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        (None, []),
        ([{"host_ip": "::1", "host_port": 80, "container_port": 80, "range": 1, "protocol": "tcp"}], [("tcp", 80, 80)]),
        ([{"host_ip": "127.0.0.1", "host_port": 80, "range": 3, "protocol": "udp"}],
         [("udp", 80, 82)]),
        ([{"hostPort": 80, "containerPort": 8, "protocol": "tcp", "hostIP": ""}], [("tcp", 80, 80)]),
        ([{"host_ip": "127.0.0.1", "host_port": 80, "protocol": "tcp,udp"}], [("tcp", 80, 80), ("udp", 80, 80)]),
        ([{"host_ip": "127.0.0.1", "host_port": 65535, "range": 9999999999, "protocol": "tcp"}], [("tcp", 65535, 65535)]),
        ([{"container_port": 80, "protocol": "tcp"}, {"host_port": -1}, {"host_port": 99999}, {"host_port": "x"}, 7], []),
    ],
)  # fmt: skip
def test_listed_ports(ports, expected):
    assert podman.listed_ports({"Ports": ports}) == expected


@pytest.mark.parametrize("first", [8300, 8301])
@pytest.mark.parametrize("more", [{}, {"IsInfra": True, "Pod": "cd" * 32}, {"Pod": "cd" * 32}])
def test_a_list_of_two_megabytes_takes_little_time(first, more):
    """What another account's containers say of their ports is any number of ranges."""
    one = {"Id": "ab" * 32, "State": "running", "Ports": [{"host_port": first, "range": 60_000, "protocol": "tcp"}] * 4}
    entries = [dict(one, **more) for _number in range(5_000)]
    question = Question({"tcp": ((8300, 8300),)}, frozenset())
    before = time.process_time()
    chosen = podman.choose(entries, question)
    assert len(chosen) == (5_000 if first == 8300 else 0)
    assert time.process_time() - before < 1.0


def test_an_account_with_too_many_containers_for_a_port_has_said_nothing(monkeypatch):
    monkeypatch.setattr(podman, "_said", lambda *_arguments: json.dumps(
        [{"Id": "%064x" % number, "State": "running", "Ports": [{"host_port": 8300, "protocol": "tcp"}]}
         for number in range(200)]
    ))  # fmt: skip
    found, blind = [], []
    question = Question({"tcp": ((8300, 8300),)}, frozenset())
    podman.ask(podman.Account(65534), question, time.monotonic() + 5, found, blind)
    assert found == [] and blind[0].code == "container_engine_of_another" and "more than 50" in blind[0].text


def test_a_podman_that_hangs(podman_command):
    began = time.monotonic()
    found, (blind,) = ask(podman_command({"hangs": ""}), [("tcp", 8300)], seconds=0.5)
    assert found == [] and time.monotonic() - began < 10
    assert blind.code == "container_engine" and "did not answer" in blind.text and blind.advice


def test_a_podman_that_fails(podman_command):
    found, (blind,) = ask(podman_command({"ps *": ("Error: database is locked\x1b[31m\n", 125)}), [("tcp", 8300)])
    assert found == [] and "database is locked\\x1b[31m" in blind.text and "user root" in blind.text


def test_a_podman_that_is_gone(tmp_path):
    found, (blind,) = ask((str(tmp_path / "podman"),), [("tcp", 8300)])
    assert found == [] and "not installed" in blind.text


@pytest.mark.parametrize(
    ("text", "understood"),
    [
        ("", True),
        ("null", True),
        ("[7, null, {}]", True),
        ('[{"Id": "../x", "State": "running"}]', True),
        ("{}", False),
        ("<html>", False),
        ('[{"Id": ', False),
        ("[" + " " * (5 << 20) + "]", False),
        ("[" * 100000, False),
    ],
    ids=["nothing", "null", "odd", "bad id", "object", "html", "cut", "huge", "deep"],
)
def test_an_answer_that_nobody_has_documented(podman_command, text, understood):
    """What can't be read whole is not taken for an empty list."""
    found, blind = ask(podman_command({"ps *": text}), [("tcp", 8300)])
    assert found == [] and bool(blind) is not understood
