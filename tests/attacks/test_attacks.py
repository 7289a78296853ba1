# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no account gets by anything that it sets up, tried for real.

The module runs as root, the traps are those of an account without rights.

a  nothing is run, opened or connected to with more rights than the account has
b  nothing of others is stopped, restarted or changed
c  the port of the account is seen, and can be freed all the same
d  a look ends within its bound, and costs little memory
e  nothing that root knows is told to the account
f  no text in a result lies about other processes
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import time

import pytest
from zoo import world

from attacks.attacker import ACCOUNT, Attacker
from attacks.disguises import DISGUISES, Scene, never_the_same

# A look may take 10 s for all that it asks. The rest is Python's start, on a machine that is busy with other tests.
BOUND = 25.0
# KB; a report without traps takes some 30 MB.
MOST_MEMORY = 160 << 10
SECRET = "S3cr3t-of-root"


def looks(zoo, facts_module, port):
    """Everything that may change nothing: a report, a prediction, and the facts of the host."""
    yield "report", lambda: zoo.run(port=[port])
    yield "check mode", lambda: zoo.free([port], check=True)
    yield "facts", lambda: facts_module.run(details="full")


@pytest.fixture
def scene(zoo, attacker: Attacker, monkeypatch):
    monkeypatch.setenv("HARBOUR_SECRET", SECRET)
    victim = zoo.start("tcp4")
    yield Scene(attacker, victim)
    folder = "/run/systemd/resolved.conf.d"
    left = os.listdir(folder) if os.path.isdir(folder) else []
    assert not [name for name in left if "harbormaster" in name], "a drop-in was left behind"


def as_the_account(run: dict) -> bool:
    """Whether what was run had the rights of the account alone, and none of root's secrets."""
    return (
        set(run["uids"]) == {str(ACCOUNT)}
        and "0" not in run["gids"] + run["groups"]
        and int(run["capabilities"], 16) == 0
        and run["no_new_privs"] == "1"
        and SECRET not in json.dumps(run)
        and all(
            name.startswith(("/dev/null", "pipe:", "/proc/")) for name in run["descriptors"] if "witness" not in name
        )
    )


@pytest.mark.parametrize("disguise", DISGUISES, ids=lambda one: one.__name__)
def test_nobody_gets_anything_by_a_disguise(disguise, zoo, facts_module, scene: Scene) -> None:
    trap = disguise(scene)
    for name, look in looks(zoo, facts_module, trap.port):
        began = time.monotonic()
        result = look()
        assert time.monotonic() - began < BOUND, "d: %s took too long" % name
        assert scene.attacker.witnessed() == [], "a: %s ran a program of the account" % name
        asked = [path for path in os.listdir(scene.folder) if path.endswith(".asked")]
        assert not asked, "a: %s connected to a socket of the account" % name
        assert result.get("changed") is not True or name == "check mode"
        assert "\n" not in str(result.get("msg")) and "\x1b" not in json.dumps(result, ensure_ascii=False), (
            "f: %s" % name
        )
        assert world.alive(trap.pid) and world.alive(trap.above)
    report = zoo.run(port=[trap.port])
    assert trap.pid in report.pids(), "c: the holder is seen"
    tries = [{"grace_period": 5}, {"grace_period": 5, "method": "signal"}]
    if disguise is never_the_same:
        # A name of it may be a database's, and that is spared unless the task says so.
        tries.append({"grace_period": 0, "method": "signal", "force": True})
    for options in tries:
        began = time.monotonic()
        freed = zoo.free([trap.port], **options)
        assert time.monotonic() - began < BOUND, "d: %s took too long" % options
        if not freed.failed:
            break
        assert world.alive(trap.pid), "what was refused was not touched"
    assert not freed.failed and freed["free"], "c: the port could not be freed: %s" % freed.get("msg")
    assert not world.alive(trap.pid)
    for run in scene.attacker.witnessed():
        assert as_the_account(run), "a, e: %s" % run
    assert scene.victim.living(), "b: root's own server was stopped"
    again = zoo.run(port=[scene.victim.port])
    assert scene.victim.pid in again.pids()


@pytest.mark.parametrize(
    "disguise",
    [one for one in DISGUISES if one.__name__.startswith(("engine_", "long_"))],
    ids=lambda one: one.__name__,
)
def test_a_look_costs_little_memory(disguise, zoo, scene: Scene) -> None:
    trap = disguise(scene)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    zoo.run(port=[trap.port])
    zoo.free([trap.port], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert after <= max(before, MOST_MEMORY)


@pytest.mark.parametrize(
    "disguise", [one for one in DISGUISES if one.__name__.startswith("engine_")], ids=lambda one: one.__name__
)
def test_a_free_port_stays_free(disguise, zoo, scene: Scene) -> None:
    """What an engine of the account says of a port that nobody holds is no news of that port."""
    disguise(scene)
    port = zoo.port()
    report = zoo.run(port=[port])
    assert report.port(port)["status"] == "free" and report["free"]
    freed = zoo.free([port])
    assert not freed.failed and freed["changed"] is False


@pytest.mark.parametrize(
    "disguise", [one for one in DISGUISES if one.__name__ == "engine_that_lies"], ids=lambda one: one.__name__
)
def test_roots_server_is_not_the_accounts_container(disguise, zoo, scene: Scene) -> None:
    """Neither by a made-up name that a task allows, nor by a label that would refuse it for ever."""
    disguise(scene)
    refused = zoo.free([scene.victim.port], stop_only=["web"], method="signal")
    assert refused.failed and refused["reason"] == "owner_mismatch" and scene.victim.living()
    freed = zoo.free([scene.victim.port])
    assert not freed.failed and not scene.victim.living()


# A daemon of root's that takes descriptors of whoever connects, and keeps them.
TAKES = """
import ctypes, os, socket, sys, time
ctypes.CDLL(None).prctl(15, b"messaged", 0, 0, 0)
there = socket.socket(socket.AF_UNIX)
there.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
there.listen()
print("ready", flush=True)
friend, _address = there.accept()
kept = friend.recvmsg(1, socket.CMSG_LEN(4))
print("has it", flush=True)
time.sleep(600)
"""


def test_a_daemon_that_was_handed_a_listener_is_not_its_server(zoo, scene: Scene) -> None:
    """It is not stopped unless the task names it; the account's own processes are, with the daemon in keep."""
    path = scene.attacker.path("daemon.sock")
    with subprocess.Popen([zoo.module.python, "-c", TAKES, path], stdout=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stdout is not None and daemon.stdout.readline() == "ready\n"
            trap = scene.attacker.trap(hand_to=path)
            assert daemon.stdout.readline() == "has it\n"
            for more in ({}, {"method": "signal"}, {"unprotect": ["messaged"], "force": True}):
                refused = zoo.free([trap.port], **more)
                assert refused.failed and refused["reason"] == "handed_over" and not refused["changed"], refused
                assert daemon.poll() is None and world.alive(trap.pid)
            assert "uid %d" % ACCOUNT in refused["msg"] and "messaged" in refused["msg"]
            freed = zoo.free([trap.port], keep=["messaged"])
            assert not freed.failed and daemon.poll() is None and not world.alive(trap.pid), freed
            assert zoo.free([trap.port])["reason"] == "handed_over" and daemon.poll() is None
            freed = zoo.free([trap.port], stop_only=["messaged"])
            assert not freed.failed and freed["free"] and daemon.wait(10) is not None
        finally:
            daemon.kill()


@pytest.mark.parametrize("where", ["queue", "unaccepted"])
def test_a_listener_that_is_on_its_way_can_be_freed(zoo, scene: Scene, where) -> None:
    """Nobody has a descriptor of it. Who may have it is named, and stopped when the task names it for a signal."""
    trap = scene.attacker.trap(in_flight=where, name="sender")
    other = scene.attacker.trap(name="other")
    for more in ({}, {"method": "signal"}, {"stop_only": ["sender"]}, {"method": "signal", "stop_only": ["other"]}):
        refused = zoo.free([trap.port], **more)
        assert refused.failed and refused["reason"] == "hidden_owner" and world.alive(trap.pid), refused
        assert "sender (pid %d)" % trap.pid in refused["msg"] and "stop_only: [sender]" in refused["msg"], refused
    report = zoo.run(port=[trap.port])
    assert report.port(trap.port)["status"] == "held_unknown" and "sender (pid %d)" % trap.pid in report["msg"], report
    predicted = zoo.free([trap.port], method="signal", stop_only=["sender"], check=True)
    freed = zoo.free([trap.port], method="signal", stop_only=["sender"])
    assert not freed.failed and freed["free"] and predicted.comparable() == freed.comparable()
    assert not world.alive(trap.pid) and world.alive(other.pid) and scene.victim.living()


def test_keys_of_root_stay_with_root(zoo, scene: Scene) -> None:
    """A key in root's session keyring, and a supervisor of the account whose command would read it."""
    from attacks.disguises import supervisord_by_script

    trap = supervisord_by_script(scene)
    script = 'keyctl new_session >/dev/null; keyctl add user harbour %s @s >/dev/null; exec "$@"' % SECRET
    prefix = ("/bin/sh", "-c", script, "sh")
    if subprocess.run(["keyctl", "--version"], check=False, capture_output=True).returncode:
        world.lacking("needs keyctl")
    zoo.free([trap.port], prefix=prefix, grace_period=5)
    for run in scene.attacker.witnessed():
        assert "harbour" not in run["keys"], run
