# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may claim to be a supervisor: real processes of root and of an account without rights, with commands that note who runs them."""

from __future__ import annotations

import ctypes
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import snapshot, supervisor_talk, supervisors

NOBODY = pwd.getpwnam("nobody")
MAN = pwd.getpwnam("man")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to have processes of two accounts")

# A listener, and a parent of it that becomes another program.
LISTEN = """
import os, socket, sys, time
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", int(sys.argv[1])))
server.listen()
if os.fork() == 0:
    time.sleep(60)
    os._exit(0)
server.close()
{then}
"""
BECOMES = LISTEN.format(then="os.execv(sys.argv[2], sys.argv[2:])")
STAYS = LISTEN.format(then="time.sleep(60)")
# Notes who it is, what keys it has, what it could write to, and then says what it was told to say.
CONTROL = """#!/bin/sh
{{ id -u; id -ru; id -G; cat /proc/self/status | grep NoNewPrivs; ls /proc/self/fd | wc -l; pwd; env
grep -c . /proc/keys; grep harbour /proc/keys; }} >>{note} 2>&1
{then}
"""


@pytest.fixture
def place():
    """A folder of root's, with one of nobody's in it; everything that was started there ends with the test."""

    class Place:
        root = tempfile.mkdtemp(prefix="harbour-", dir="/var/lib")
        started: list = []

        def file(self, name, content, mode=0o755, owner=0):
            path = os.path.join(self.root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as stream:
                stream.write(content)
            os.chmod(path, mode)
            os.chown(path, owner, owner)
            return path

        def start(self, argv, uid=0, **more):
            words = list(argv)
            if uid:
                words = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", *words]
            process = subprocess.Popen(words, start_new_session=True, cwd="/", **more)
            self.started.append(process)
            return process

    one = Place()
    os.chmod(one.root, 0o755)
    for name, account in (("theirs", NOBODY), ("mans", MAN)):
        os.mkdir(os.path.join(one.root, name), 0o755)
        os.chown(os.path.join(one.root, name), account.pw_uid, account.pw_gid)
    one.started = []
    yield one
    for process in one.started:
        # Each has a session of its own: its children go with it.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    shutil.rmtree(one.root)


def free_port():
    for _try in range(100):
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", random.randint(27000, 27999)))
            except OSError:
                continue
            return one.getsockname()[1]
    raise OSError("no free port")


def look(*ports, **more):
    """The supervisors of whoever holds these ports, once somebody does."""
    until = time.monotonic() + 20
    wanted = [("tcp", port) for port in ports]
    while time.monotonic() < until:
        if len({row.port for row in snapshot.observe_sockets(wanted)}) == len(ports):
            break
        time.sleep(0.05)
    # What execs last has done it by then.
    time.sleep(0.5)
    found = snapshot.observe(wanted, **more)
    assert found.owners
    return found


def note_of(place, name="note"):
    try:
        with open(os.path.join(place.root, "theirs", name), encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def theirs(place, name="supervisorctl", then="exit 1"):
    """A command of nobody's beside what nobody calls a supervisor."""
    note = os.path.join(place.root, "theirs", "note")
    return place.file("theirs/" + name, CONTROL.format(note=note, then=then), owner=NOBODY.pw_uid)


@pytest.mark.parametrize("program", ["/usr/bin/su", "/usr/bin/passwd", "/usr/bin/chsh"])
@pytest.mark.parametrize("may_ask", [False, True])
def test_a_set_uid_program_that_is_called_supervisord_runs_nothing_as_root(place, program, may_ask):
    """Its effective uid is root's; who has started it, and chosen its name and arguments, is not."""
    theirs(place)
    link = os.path.join(place.root, "theirs", "supervisord")
    os.symlink(program, link)
    port = free_port()
    reader, writer = os.pipe()
    try:
        place.start(["/usr/bin/python3", "-c", BECOMES, str(port), link], NOBODY.pw_uid, stdin=reader)
        found = look(port, may_ask=may_ask)
    finally:
        os.close(reader)
        os.close(writer)
    assert note_of(place).splitlines()[:2] in ([], ["65534", "65534"])
    if not may_ask:
        assert note_of(place) == "", "a look that changes nothing runs nothing"
    (told,) = found.supervised.values() or [None]
    assert told is None or (told.user == NOBODY.pw_uid and told.stop == ())


def test_a_path_of_the_environment_leads_to_nothing_that_runs_as_root(place):
    """A process that calls itself pm2's daemon, and is a set-uid program of an account with its own PATH."""
    theirs(place, "pm2")
    port = free_port()
    reader, writer = os.pipe()
    link = os.path.join(place.root, "theirs", "PM2 v5: God")
    os.symlink("/usr/bin/su", link)
    environment = {"PATH": os.path.join(place.root, "theirs"), "HOME": "/", "PM2_HOME": place.root + "/theirs"}
    try:
        place.start(
            ["/usr/bin/python3", "-c", BECOMES, str(port), link], NOBODY.pw_uid, stdin=reader,
            env={**os.environ, **environment, "PATH": environment["PATH"] + ":/usr/bin:/bin"},
        )  # fmt: skip
        for may_ask in (False, True):
            look(port, may_ask=may_ask)
            assert "0" not in note_of(place).splitlines()[:2]
    finally:
        os.close(reader)
        os.close(writer)


def fake(place, name, then, owner=0, folder=""):
    """A daemon of Python that has started a listener, and its command beside it."""
    return (
        place.file(folder + "supervisord", "#!/usr/bin/python3\n" + STAYS, owner=owner),
        place.file(
            folder + "supervisorctl",
            CONTROL.format(note=os.path.join(place.root, "theirs", name), then=then),
            owner=owner,
        ),
    )


def says(pid_file):
    return 'echo "web   RUNNING   pid $(cat %s), uptime 0:00:02"' % pid_file


def child_of(found):
    (pids,) = set(found.owners.values())
    return pids[0]


def test_roots_supervisord_is_asked_by_the_command_beside_it(place):
    daemon, control = fake(place, "note", says(os.path.join(place.root, "pid")))
    port = free_port()
    place.start(["/usr/bin/python3", daemon, str(port)])
    place.file("pid", str(child_of(look(port))))
    (told,) = look(port).supervised.values()
    assert told.user is None and told.program == "web" and told.stop == (control, "stop", "web")
    assert note_of(place).splitlines()[0] == "0"


def test_roots_supervisord_is_not_asked_with_a_configuration_of_others(place):
    """It may name code, or a socket to speak with."""
    daemon, _control = fake(place, "note", "exit 1")
    configuration = place.file("theirs/s.conf", "", owner=NOBODY.pw_uid)
    port = free_port()
    place.start(["/usr/bin/python3", daemon, str(port), "-c", configuration])
    (told,) = look(port, may_ask=True).supervised.values()
    assert told.stop == () and "others than root may write its configuration" in told.why
    assert note_of(place) == ""


def test_roots_supervisord_does_not_make_a_command_of_others_run_as_root(place):
    """A program in a folder of somebody else's, which root has started."""
    daemon, _control = fake(place, "note", "exit 1", NOBODY.pw_uid, "theirs/")
    port = free_port()
    place.start(["/usr/bin/python3", daemon, str(port)])
    (told,) = look(port, may_ask=True).supervised.values()
    assert told.stop == ()
    assert note_of(place) == ""


def test_a_supervisord_of_an_account_is_asked_as_that_account_and_only_when_it_may_be(place):
    daemon, control = fake(place, "note", says(os.path.join(place.root, "pid")), NOBODY.pw_uid, "theirs/")
    port = free_port()
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    place.start([daemon, str(port)], NOBODY.pw_uid)
    place.file("pid", str(child_of(look(port))))
    (told,) = look(port).supervised.values()
    assert (told.unasked, told.stop, told.returns_at_boot, told.why) == (True, (), None, "not asked")
    assert note_of(place) == ""
    try:
        child = os.fork()
        if child == 0:
            # The session keyring of this process has a key that only root may read.
            library = ctypes.CDLL(None)
            status = 1
            try:
                library.syscall(250, 1, b"harbour")
                library.syscall(248, b"user", b"harbour-secret", b"secret", 6, -3)
                found = look(port, may_ask=True)
                (told,) = found.supervised.values()
                status = 0 if (told.program, told.user, told.stop[0]) == ("web", NOBODY.pw_uid, control) else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        os.close(reader)
        os.close(writer)
    said = note_of(place)
    lines = said.splitlines()
    assert lines[:3] == ["65534", "65534", "65534"]
    assert "NoNewPrivs:\t1" in said and "harbour-secret" not in said
    assert lines[4].strip() == "4" and lines[5] == "/"
    assert "PATH=/usr/local/sbin:" in said and "HOME=" + NOBODY.pw_dir in said


def test_what_an_account_calls_supervisord_means_nothing_for_the_process_of_another(place):
    """The listener is man's: nobody's supervisord, however it came to be its parent, has no word in it."""
    daemon = place.file(
        "theirs/supervisord",
        "#!/usr/bin/python3\n" + LISTEN.format(then="os.setresuid(65534, 65534, 65534)\ntime.sleep(60)"),
        owner=NOBODY.pw_uid,
    )
    text = (
        open(daemon, encoding="ascii")
        .read()
        .replace("if os.fork() == 0:\n", "if os.fork() == 0:\n    os.setresuid(%d, %d, %d)\n" % ((MAN.pw_uid,) * 3))
    )
    place.file("theirs/supervisord", text, owner=NOBODY.pw_uid)
    theirs(place)
    port = free_port()
    place.start([daemon, str(port)])
    found = look(port, may_ask=True)
    assert found.processes[child_of(found)].account == MAN.pw_uid
    assert found.supervised == {}
    assert note_of(place) == ""


def test_many_supervisors_that_hang_cost_one_bound(place):
    ports = []
    for number in range(6):
        fake(place, "note", "sleep 60", NOBODY.pw_uid, "theirs/%d/" % number)
        ports.append(free_port())
        path = os.path.join(place.root, "theirs", str(number), "supervisord")
        place.start([path, str(ports[-1])], NOBODY.pw_uid)
    daemon, _control = fake(place, "note", says(os.path.join(place.root, "pid")), 0, "good/")
    ports.append(free_port())
    place.start(["/usr/bin/python3", daemon, str(ports[-1])])
    place.file("pid", str(child_of(look(ports[-1]))))
    look(*ports)
    began = time.monotonic()
    found = snapshot.observe([("tcp", port) for port in ports], may_ask=True)
    assert time.monotonic() - began < 12.5
    told = sorted((one.program, bool(one.why)) for one in found.supervised.values())
    assert told == [("", True)] * 6 + [("web", False)]


def look_at_us():
    """The supervisors of this very process, which holds a port for that, and how long the look took."""
    port = free_port()
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
        server.listen()
        began = time.monotonic()
        return look(port), time.monotonic() - began


@pytest.mark.parametrize("kind", ["fifo", "theirs", "link", "sock"])
def test_a_pid_file_that_is_none_is_not_waited_for(place, monkeypatch, kind):
    path = os.path.join(place.root, "monit.pid")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "theirs":
        place.file("monit.pid", str(os.getpid()), owner=NOBODY.pw_uid)
    elif kind == "link":
        os.symlink("/dev/zero", path)
    else:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(path)
    monkeypatch.setattr(supervisor_talk, "MONIT_PID_FILES", (path,))
    found, seconds = look_at_us()
    assert found.supervised == {} and seconds < 5


def test_pid_files_of_what_monit_watches_are_not_waited_for_either(place, monkeypatch):
    """monit is root's, by its program; a FIFO in its configuration's place of a pid file."""
    monit = os.path.join(place.root, "monit")
    shutil.copy("/usr/bin/sleep", monit)
    daemon = place.start([monit, "60"])
    place.file("monit.pid", "%d\n" % daemon.pid)
    fifo = os.path.join(place.root, "theirs", "app.pid")
    os.mkfifo(fifo)
    configuration = place.file(
        "monitrc",
        "check process app with pidfile %s\ninclude %s/*\n" % (fifo, os.path.join(place.root, "theirs")),
        0o600,
    )
    from ansible_collections.harbormaster.ports.plugins.module_utils._observe import monit as asking

    monkeypatch.setattr(supervisor_talk, "MONIT_PID_FILES", (os.path.join(place.root, "monit.pid"),))
    monkeypatch.setattr(asking, "FILES", (configuration,))
    assert asking.daemon() == daemon.pid
    found, seconds = look_at_us()
    assert found.supervised == {} and seconds < 8


@pytest.mark.parametrize("whose", ["root", "theirs", "link", "control", "ok", "status", "fifo", "log"])
def test_a_service_directory_is_roots_in_all_that_its_tools_open(place, whose):
    """They follow links and write: what root's command would open in there must not be in somebody else's hands."""
    service = os.path.join(place.root, "web")
    inner = os.path.join(service, "supervise")
    os.mkdir(service, 0o755)
    if whose == "link":
        # As distributions do it, though to root's folder.
        inner = os.path.join(place.root, "theirs", "supervise")
        os.symlink(inner, os.path.join(service, "supervise"))
    os.mkdir(inner, 0o755)
    os.mkfifo(os.path.join(inner, "control"))
    os.mkfifo(os.path.join(inner, "ok"))
    place.file(os.path.join(inner, "status"), "")
    assert whose == "link" or supervisors._unproven(service) == ""
    if whose == "theirs":
        os.chown(inner, NOBODY.pw_uid, NOBODY.pw_gid)
    elif whose == "log":
        # As others log as an account of their own.
        os.makedirs(os.path.join(service, "log", "supervise"))
        assert supervisors._unproven(service) == ""
        os.chown(os.path.join(service, "log", "supervise"), NOBODY.pw_uid, NOBODY.pw_gid)
    elif whose == "fifo":
        os.unlink(os.path.join(inner, "status"))
        os.mkfifo(os.path.join(inner, "status"))
    elif whose in ("control", "ok", "status"):
        os.unlink(os.path.join(inner, whose))
        os.symlink(place.file("precious", "kept"), os.path.join(inner, whose))
    why = supervisors._unproven(service)
    assert bool(why) == (whose != "root") and (whose == "root" or "/supervise" in why), why
