# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole module where Wine lacks a part of Windows: that part is played by a fake library with recorded answers.

Everything else is real: the processes that are to be spared or ended, the services, the bind.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from windows import powershell, rig
from windows.stages import stage
from windows.stages.tables import BOUND_AT, table, tcp4, tcp6
from windows.test_zoo import METHOD, Zoo, entry, server_of, steady

EXCLUDED = stage.netsh_text("excluded-de-cp850.bin").decode("cp850")


@pytest.fixture
def fake(prefix, csharp):
    """A zoo in which some libraries are fakes, and the folder of what they answer."""
    folder = stage.Recorded(prefix)
    made = []

    def play(*libraries):
        fakes = {library: stage.FAKES / (library + ".c") for library in libraries}
        made.append(Zoo(prefix, rig.program(csharp, rig.utils(), powershell.specs(), fakes=fakes)))
        return made[-1], folder

    yield play
    for zoo in made:
        zoo.close()
    folder.clear()


def refused(zoo, port, code, **options):
    """Freeing it is refused with this code, in check mode as in the real run, and nothing is done."""
    answers = [zoo.free("%d/tcp" % port, check=check, **options) for check in (True, False)]
    for answer in answers:
        assert (answer["failed"], answer["reason"], answer["changed"], answer["actions"]) == (True, code, False, [])
        assert entry(answer, port)["blocked_by"]["code"] == code
        assert answer["msg"].startswith("nothing was stopped: ")
    assert steady(answers[0]) == steady(answers[1])
    return answers[1]


def test_recorded_ghost_is_refused_and_its_heir_named(fake):
    zoo, files = fake("iphlpapi")
    port = zoo.port()
    keeper = zoo.start("keeper", "tcp4", "127.0.0.1", zoo.port(), "delay")
    child = int(keeper.wait_for(r"child (\d+)").group(1))
    parent = keeper.pid
    stage.end(keeper)
    files.write("tcp4.bin", table(tcp4(2, "127.0.0.1", port, pid=parent, created=1)))
    answer = refused(zoo, port, "ghost", force=True)
    assert "pid %d" % child in answer["msg"] and str(parent) in answer["msg"]


@pytest.mark.parametrize(("window", "force"), [(True, None), (False, None)])
def test_recorded_other_session_has_no_polite_way(fake, window, force):
    """WM_CLOSE reaches windows of our session only, so a window elsewhere is none."""
    zoo, _files = fake("user32", "kernel32")
    port = zoo.port()
    holder = zoo.listen(port, *(["window"] if window else []))
    refused(zoo, port, "no_polite_way", force=force)
    assert holder.alive() and "WM_CLOSE" not in holder.said()


def test_recorded_other_session_is_ended_by_force(fake):
    zoo, _files = fake("user32", "kernel32")
    port = zoo.port()
    holder = zoo.listen(port, "window")
    real = zoo.free("%d/tcp" % port, force=True)
    assert "failed" not in real, real["msg"]
    assert holder.wait_gone() and "WM_CLOSE" not in holder.said()


def test_recorded_critical_process_is_protected_whatever_is_said(fake):
    zoo, files = fake("kernel32", "ntdll")
    port = zoo.port()
    holder = zoo.listen(port, "window")
    files.write("critical", "1")
    refused(zoo, port, "protected_process", force=True, unprotect=["*", "holder"])
    assert holder.alive()


def test_recorded_protected_process_is_protected_whatever_is_said(fake):
    zoo, files = fake("ntdll")
    port = zoo.port()
    holder = zoo.listen(port, "window")
    files.write("protection", str(0x61))
    refused(zoo, port, "protected_process", force=True, unprotect=["holder"])
    assert holder.alive()


def test_recorded_excluded_range_is_reserved(fake, prefix):
    """Nobody can bind it and no row is there: a process of Linux in the same network makes the bind fail, as Windows would."""
    zoo, files = fake()
    files.netsh("interface_ipv4_show_excludedportrange_protocol=tcp", EXCLUDED)
    files.netsh("interface_ipv6_show_excludedportrange_protocol=tcp", "\r\n")
    first = next(
        int(line.split()[0]) for line in EXCLUDED.splitlines() if line.split()[:1] and line.split()[0].isdigit()
    )
    program = (
        "import socket, time; s = socket.create_server(('0.0.0.0', %d)); print('on', flush=True); time.sleep(60)"
        % first
    )
    command = ["nsenter", "--net", "--target", str(server_of(prefix)), sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as hidden:
        try:
            assert hidden.stdout is not None and hidden.stdout.readline() == b"on\n"
            answer = refused(zoo, first, "reserved_range", force=True)
            assert entry(answer, first)["status"] == "reserved"
        finally:
            hidden.kill()


def test_recorded_program_behind_http_sys_is_named(fake):
    zoo, files = fake("iphlpapi", "httpapi")
    port = zoo.port()
    program = zoo.start("idle")
    files.write("tcp4.bin", table(tcp4(2, "0.0.0.0", port, pid=4)))
    files.netsh("http_show_servicestate_view=requestq", stage.QUEUE % (program.pid, port))
    report = zoo.run(port="%d/tcp" % port)
    (holder,) = entry(report, port)["holders"]
    assert holder["pids"] == [program.pid]
    assert "holder.exe" in report["msg"]
    refused(zoo, port, "no_polite_way")
    assert program.alive()


def test_recorded_driver_behind_pid_4_is_windows_itself(fake):
    zoo, files = fake("iphlpapi", "httpapi")
    files.write("tcp4.bin", table(tcp4(2, "0.0.0.0", 445, pid=4)))
    answer = refused(zoo, 445, "kernel_socket", force=True, unprotect=["*"])
    assert "SMB" in answer["msg"]


def test_recorded_leftovers_are_lingering_and_need_nothing(fake):
    zoo, files = fake("iphlpapi")
    port = zoo.port()
    files.write(
        "tcp4.bin",
        table(tcp4(11, "127.0.0.1", port, "127.0.0.1", 50000), tcp4(11, "127.0.0.1", port, "127.0.0.1", 50001)),
    )
    answer = zoo.free("%d/tcp" % port)
    assert (answer["changed"], answer["free"], entry(answer, port)["status"]) == (False, True, "lingering")
    assert entry(answer, port)["connections"]["time_wait"] == 2


def test_recorded_ipv6_connection_can_not_be_closed(fake):
    """SetTcpEntry knows IPv4 only."""
    zoo, files = fake("iphlpapi")
    port = zoo.port()
    program = zoo.start("idle")
    files.write("tcp6.bin", table(tcp6(5, "2001:db8::1", port, "2001:db8::2", 50000, program.pid, BOUND_AT)))
    answer = zoo.free("%d/tcp" % port, close_blocking=True, check=True)
    assert answer["actions"] == []
    assert program.alive()


def test_recorded_dependants_are_told_and_stopped_first(fake):
    zoo, files = fake("advapi32")
    first = zoo.port(2)
    zoo.service("rigbase", "rigbase:%d" % first)
    zoo.service("rigneeds", "rigneeds:%d" % (first + 1), needs="rigbase")
    files.write("dependants", "rigbase rigneeds\n")
    predicted = zoo.free("%d/tcp" % first, check=True)
    real = zoo.free("%d/tcp" % first)
    assert "failed" not in real, real["msg"]
    assert steady(predicted) == steady(real)
    (action,) = real["actions"]
    assert (action["also_stops"], action["also_frees"]) == (["rigneeds"], ["%d/tcp" % (first + 1)])
    assert [zoo.state(name)[0] for name in ("rigbase", "rigneeds")] == [1, 1]


def test_recorded_table_that_is_refused_is_a_sentence(fake):
    zoo, files = fake("iphlpapi")
    files.write("tcp4.code", "5")
    answer = zoo.run(port="%d/tcp" % zoo.port())
    assert (answer["failed"], answer["reason"]) == (True, "source_refused")
    assert "GetExtendedTcpTable" in answer["msg"] and "access denied" in answer["msg"]


def test_the_method_is_the_one_of_the_script():
    assert powershell.Script(powershell.MODULES / "win_port_owner.ps1").calls == [METHOD]
