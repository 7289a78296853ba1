# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The observe stage on real sockets, processes and services; ``recorded`` in a name: Windows' part is played by a fake library."""

from __future__ import annotations

import time

import pytest

from windows import rig
from windows.stages import stage
from windows.stages.tables import BOUND_AT, table, tcp4, tcp6, udp4


def only(seen, **wanted):
    """The one row that is like this."""
    rows = [row for row in seen["sockets"] if all(row[key] == value for key, value in wanted.items())]
    assert len(rows) == 1, (wanted, seen["sockets"])
    return rows[0]


# Real ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "address", "family", "state"),
    [
        ("tcp4", "0.0.0.0", "ipv4", "LISTEN"),
        ("tcp4", "127.0.0.1", "ipv4", "LISTEN"),
        ("tcp6", "::1", "ipv6", "LISTEN"),
        ("udp4", "127.0.0.1", "ipv4", "UNCONN"),
        ("udp6", "::", "ipv6", "UNCONN"),
    ],
)
def test_a_holder(real, start, port, kind, address, family, state):
    animal = start("listen", kind, address, port)
    seen = real.look("%s %d" % (kind[:3], port))
    row = only(seen, port=port, family=family)
    assert (row["address"], row["state"], row["pid"]) == (address, state, animal.pid)
    assert row["id"] > 0
    assert [port, [animal.pid]] in seen["owners"]
    assert seen["ghosts"] == {} and seen["blind"] == []


def test_a_holder_in_full(real, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port)
    process = real.look("tcp %d" % port)["processes"][str(animal.pid)]
    assert process["name"] == "holder.exe"
    assert process["exe"].startswith("Z:\\") and process["exe"].endswith("\\holder.exe")
    assert process["command"].endswith("listen tcp4 127.0.0.1 %d" % port)
    assert "\\" in process["user"] and process["sid"].startswith("S-1-5-")
    assert abs(process["started"] - time.time()) < 60
    assert abs(process["ticks"] / 1e7 - 11644473600 - process["started"]) < 1
    assert (process["critical"], process["protection"], process["denied"], process["window"]) == (
        False,
        0,
        False,
        False,
    )


def test_only_the_asked_ports_and_protocols(real, start, more_ports):
    first, second = next(more_ports), next(more_ports)
    start("listen", "tcp4", "127.0.0.1", first)
    start("listen", "tcp4", "127.0.0.1", second)
    start("listen", "udp4", "127.0.0.1", first)
    assert [row["port"] for row in real.look("tcp %d" % first)["sockets"]] == [first]
    assert [row["protocol"] for row in real.look("udp %d" % first)["sockets"]] == ["udp"]
    assert real.look("tcp %d" % next(more_ports))["sockets"] == []


def test_several_listeners_on_one_port(real, start, port):
    animals = {address: start("listen", "tcp4", address, port) for address in ("127.0.0.1", "127.0.0.2")}
    seen = real.look("tcp %d" % port)
    assert {row["address"]: row["pid"] for row in seen["sockets"]} == {
        address: animal.pid for address, animal in animals.items()
    }
    assert len({row["id"] for row in seen["sockets"]}) == 2


def test_connections_on_the_port(real, start, port):
    server = start("listen", "tcp4", "127.0.0.1", port, "accept")
    client = start("connect", "tcp4", "127.0.0.1", port)
    server.wait_for("accepted")
    seen = real.look("tcp %d" % port)
    accepted = only(seen, state="ESTABLISHED")
    assert (accepted["pid"], accepted["address"], accepted["remote_address"]) == (server.pid, "127.0.0.1", "127.0.0.1")
    # Its other end is an outgoing connection on the client's port.
    far = only(real.look("tcp %d" % accepted["remote_port"]), port=accepted["remote_port"])
    assert (far["pid"], far["remote_port"]) == (client.pid, port)


def test_the_id_of_a_row_is_the_same_in_every_look(real, start, port):
    start("listen", "tcp4", "127.0.0.1", port)
    looks = [only(real.look("tcp %d" % port), port=port)["id"] for _look in range(2)]
    assert looks[0] == looks[1]


def test_the_other_ports_of_a_holder(real, start, more_ports):
    first = next(more_ports)
    _second, _third = next(more_ports), next(more_ports)
    animal = start("crowd", "tcp4", "127.0.0.1", first, "3")
    seen = real.look("tcp %d" % first, others=True)
    assert [row["port"] for row in seen["sockets"]] == [first]
    assert sorted(row["port"] for row in seen["others"]) == [first + 1, first + 2]
    assert {row["pid"] for row in seen["others"]} == {animal.pid}
    assert real.look("tcp %d" % first)["others"] == []


def test_the_family_of_a_holder(real, start, port):
    keeper = start("keeper", "tcp4", "127.0.0.1", port)
    keeper.wait_for("child")
    child = int(keeper.wait_for(r"child (\d+)").group(1))
    stage.until(lambda: real.look("tcp %d" % port)["sockets"])
    seen = real.look("tcp %d" % port)
    assert seen["processes"][str(child)]["ancestors"][0] == keeper.pid
    assert seen["processes"][str(keeper.pid)]["name"] == "holder.exe", "ancestors are described too"


def test_a_window_of_our_session(real, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port, "window")
    assert real.look("tcp %d" % port)["processes"][str(animal.pid)]["window"] is True


def test_a_process_that_may_not_be_opened(real, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port, "closed")
    process = real.look("tcp %d" % port)["processes"][str(animal.pid)]
    assert (process["denied"], process["name"], process["ticks"]) == (True, "holder.exe", 0)


def test_the_service_of_a_holder(real, services, port):
    name = "seen%d" % port
    pid = services.install(name, "%s:%d" % (name, port))
    seen = real.look("tcp %d" % port)
    assert only(seen, port=port)["pid"] == pid
    assert seen["processes"][str(pid)]["services"] == [name]
    told = seen["services"][name]
    assert (told["pid"], told["state"], told["accepts_stop"], told["start_type"]) == (pid, 4, True, 3)
    assert (told["shared"], told["dependants"], told["restarts"], told["triggers"]) == (False, [], False, False)


def test_a_service_that_takes_no_stop(real, services, port):
    name = "deaf%d" % port
    services.install(name, "%s:%d:deaf" % (name, port))
    assert real.look("tcp %d" % port)["services"][name]["accepts_stop"] is False


def test_all_ports(real, start, port):
    server = start("listen", "tcp4", "127.0.0.1", port, "accept")
    start("connect", "tcp4", "127.0.0.1", port)
    server.wait_for("accepted")
    listening = real("Look", {"ports": None, "everything": False, "commands": False})
    assert {row["state"] for row in listening["sockets"]} <= {"LISTEN", "UNCONN"}
    assert only(listening, port=port)["pid"] == server.pid
    assert listening["processes"][str(server.pid)]["command"] is None
    everything = real("Look", {"ports": None, "everything": True, "commands": True})
    assert only(everything, port=port, state="ESTABLISHED")
    assert everything["processes"][str(server.pid)]["command"]


def test_we_are_among_the_processes_that_must_live(real, start, port):
    start("listen", "tcp4", "127.0.0.1", port)
    seen = real.look("tcp %d" % port)
    assert seen["self"] and seen["elevated"] is True


# Recorded -----------------------------------------------------------------------------------------------------------


def test_recorded_time_wait_has_no_owner(recorded, port):
    look, files = recorded
    files.write("tcp4.bin", table(tcp4(11, "127.0.0.1", port, "127.0.0.1", 50000)))
    seen = look.look("tcp %d" % port)
    row = only(seen, state="TIME_WAIT")
    assert (row["id"], row["pid"], seen["owners"], seen["processes"]) == (0, 0, [], {})


def test_recorded_ghost_with_a_living_child(recorded, start, port, more_ports):
    keeper = start("keeper", "tcp4", "127.0.0.1", next(more_ports), "delay")
    child = int(keeper.wait_for(r"child (\d+)").group(1))
    look, files = recorded
    # The keeper ends; its child lives on, and the table goes on naming the keeper.
    files.write("tcp4.bin", table(tcp4(2, "127.0.0.1", port, pid=keeper.pid, created=1)))
    parent = keeper.pid
    stage.end(keeper)
    seen = look.look("tcp %d" % port)
    assert seen["ghosts"] == {str(parent): [child]}
    assert seen["owners"] == [], "nobody is known to have it"
    assert seen["processes"][str(child)]["parent"] == parent


def test_recorded_ghost_without_anybody(recorded, port):
    look, files = recorded
    files.write("tcp4.bin", table(tcp4(2, "127.0.0.1", port, pid=99996, created=BOUND_AT)))
    seen = look.look("tcp %d" % port)
    assert seen["ghosts"] == {"99996": []}
    assert only(seen, port=port)["pid"] == 99996


def test_recorded_child_that_began_before_the_socket_is_no_heir(recorded, start, port, more_ports):
    keeper = start("keeper", "tcp4", "127.0.0.1", next(more_ports), "delay")
    keeper.wait_for(r"child (\d+)")
    parent = keeper.pid
    stage.end(keeper)
    look, files = recorded
    files.write("tcp4.bin", table(tcp4(2, "127.0.0.1", port, pid=parent, created=1 << 60)))
    assert look.look("tcp %d" % port)["ghosts"] == {str(parent): []}


def test_recorded_pid_that_means_another_process_by_now(recorded, start, port):
    # The child of a dead process is older than the one that has its pid now.
    child, taker = start("idle"), start("idle")
    look, files = recorded
    files.write("tcp4.bin", table(tcp4(2, "127.0.0.1", port, pid=taker.pid, created=2)))
    seen = look.look("tcp %d" % port)
    assert (seen["ghosts"], seen["owners"]) == ({}, [[port, [taker.pid]]]), (
        "that it is younger than its socket proves nothing"
    )
    files.write("parents", "%d %d\n" % (child.pid, taker.pid))
    seen = look.look("tcp %d" % port)
    assert (seen["ghosts"], seen["owners"]) == ({str(taker.pid): [child.pid]}, [])


def test_recorded_parent_that_is_younger_than_its_child_is_none(recorded, start, port):
    child = start("listen", "tcp4", "127.0.0.1", port)
    younger = start("idle")
    look, files = recorded
    files.write("parents", "%d %d\n%d %d\n" % (child.pid, younger.pid, younger.pid, child.pid))
    assert look.look("tcp %d" % port)["processes"][str(child.pid)]["ancestors"] == []


def test_recorded_driver_behind_pid_4(recorded):
    look, files = recorded
    files.write("tcp4.bin", table(tcp4(2, "0.0.0.0", 445, pid=4), tcp4(2, "0.0.0.0", 9999, pid=4)))
    seen = look.look("tcp 445", "tcp 9999")
    assert seen["kernel"] == {"tcp 445": "the file server of Windows, SMB", "tcp 9999": "a driver of Windows"}
    assert seen["processes"]["4"]["name"] == "System"
    assert seen["owners"] == [[445, [4]], [9999, [4]]]
    # Wine's netsh says nothing, and that is said.
    assert seen["queues"] == [] and seen["blind"] == ["http_sys"]


def test_recorded_programs_behind_http_sys(recorded, start, port):
    animal = start("idle")
    look, files = recorded
    files.netsh(
        "http_show_servicestate_view=requestq",
        stage.QUEUE % (animal.pid, port),
    )
    files.write("tcp4.bin", table(tcp4(2, "0.0.0.0", port, pid=4)))
    files.write("reservations", "http://+:%d/shop/\nhttp://*:80/x/\n" % port)
    seen = look.look("tcp %d" % port)
    assert seen["queues"] == [
        {"name": "shop", "pids": [animal.pid], "ports": [port], "urls": ["HTTP://+:%d/SHOP/" % port], "iis": False}
    ]
    assert seen["processes"][str(animal.pid)]["name"] == "holder.exe"
    assert seen["kernel"] == {} and seen["blind"] == []
    assert seen["reservations"] == {str(port): ["http://+:%d/shop/" % port], "80": ["http://*:80/x/"]}
    assert files.netsh_calls() == ["http_show_servicestate_view=requestq"], "asked once"


def test_recorded_iis(recorded, start):
    controller = start("idle")
    look, files = recorded
    files.write("services", "W3SVC %d 4 1 32\nWAS %d 4 1 32\n" % (controller.pid, controller.pid))
    files.netsh(
        "http_show_servicestate_view=requestq",
        (stage.RECORDED / "netsh" / "queues-server2008-en.txt").read_text().replace("1868", str(controller.pid)),
    )
    files.write("tcp4.bin", table(tcp4(2, "0.0.0.0", 80, pid=4)))
    seen = look.look("tcp 80")
    assert {queue["name"]: queue["iis"] for queue in seen["queues"]} == {
        "Request queue is unnamed.": False,
        "DefaultAppPool": True,
    }
    assert set(seen["services"]) >= {"W3SVC", "WAS"}
    assert str(controller.pid) in seen["processes"]


def test_recorded_owner_module_of_a_shared_host(recorded, start, port):
    host = start("idle")
    look, files = recorded
    files.write("services", "Dnscache %d 4 1 32\nOther %d 4 1 32\nElsewhere 5000 4 1 16\n" % (host.pid, host.pid))
    files.write("tcp4.bin", table(tcp4(2, "0.0.0.0", port, pid=host.pid, created=BOUND_AT)))
    files.write("tcp6.bin", table(tcp6(2, "::", port, pid=host.pid, created=BOUND_AT)))
    files.write("udp4.bin", table(udp4("0.0.0.0", port, host.pid, BOUND_AT)))
    files.write("module.txt", "dnscache")
    seen = look.look("tcp %d" % port, "udp %d" % port)
    assert [row["service"] for row in seen["sockets"]] == ["Dnscache"] * 3
    assert sorted(seen["services"]) == ["Dnscache", "Other"]
    files.write("module.txt", "nothing.dll")
    assert [row["service"] for row in look.look("tcp %d" % port)["sockets"]] == [None, None]


def test_recorded_setup_of_services(recorded, services, port, more_ports):
    name, above, top = "base%d" % port, "above%d" % port, "top%d" % port
    services.install(name, "%s:%d" % (name, port))
    services.install(above, "%s:0" % above)
    elsewhere = next(more_ports)
    pid = services.install(top, "%s:%d" % (top, elsewhere))
    look, files = recorded
    files.write("dependants", "%s %s\n%s %s\n" % (name, above, above, top))
    files.write("setup", "%s 1 1 2 1\n" % name)
    seen = look.look("tcp %d" % port, others=True)
    told = seen["services"][name]
    assert (told["dependants"], told["protected"]) == ([above], 2)
    assert told["restarts"] and told["triggers"] and told["delayed"]
    # What depends on it is known too, with its process and its ports.
    assert seen["services"][above]["state"] == 4
    assert [(row["port"], row["pid"]) for row in seen["others"]] == [(elsewhere, pid)]
    assert seen["processes"][str(pid)]["services"] == [top]


def test_recorded_manager_that_refuses(recorded, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port)
    look, files = recorded
    files.write("refused", "")
    seen = look.look("tcp %d" % port)
    assert seen["processes"][str(animal.pid)]["services"] == []
    assert seen["blind"] == ["services"] and seen["elevated"] is False


def test_recorded_command_line_of_newer_windows(recorded, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port)
    look, files = recorded
    line = "shop.exe --from fake " + "x" * 3000
    files.write("command", line)
    assert look.look("tcp %d" % port)["processes"][str(animal.pid)]["command"] == line


@pytest.mark.parametrize("older", [False, True])
def test_recorded_critical_process(recorded, start, port, older):
    animal = start("listen", "tcp4", "127.0.0.1", port)
    look, files = recorded
    if older:
        files.write("older", "")
    assert look.look("tcp %d" % port)["processes"][str(animal.pid)]["critical"] is False
    files.write("critical", "1")
    process = look.look("tcp %d" % port)["processes"][str(animal.pid)]
    assert (process["critical"], process["session"]) == (True, 0)


def test_recorded_protected_process(recorded, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port)
    look, files = recorded
    files.write("protection", str(0x61))
    assert look.look("tcp %d" % port)["processes"][str(animal.pid)]["protection"] == 0x61


def test_recorded_process_that_may_be_seen_and_not_ended(recorded, start, port):
    animal = start("listen", "tcp4", "127.0.0.1", port)
    look, files = recorded
    files.write("unending", "")
    process = look.look("tcp %d" % port)["processes"][str(animal.pid)]
    assert process["denied"] is True
    assert process["ticks"] > 0 and process["exe"].endswith("holder.exe") and process["user"]


def test_recorded_account_whose_name_is_out_of_reach(recorded, start, port):
    animals = [start("listen", "tcp4", address, port) for address in ("127.0.0.1", "127.0.0.2")]
    look, files = recorded
    files.write("unreachable", "")
    began = time.monotonic()
    processes = look.look("tcp %d" % port)["processes"]
    assert {processes[str(animal.pid)]["user"] for animal in animals} == {processes[str(animals[0].pid)]["sid"]}
    assert time.monotonic() - began < 30, "it is waited for once, and not for ever"


def test_recorded_table_that_grows(recorded, port):
    look, files = recorded
    files.write("tcp4.bin", table(*(tcp4(2, "127.0.0.1", port, pid=0) for _row in range(1000))))
    files.write("growing", "1")
    assert len(look.look("tcp %d" % port)["sockets"]) == 1000


def test_recorded_table_that_is_refused(recorded, port):
    look, files = recorded
    files.write("tcp4.code", "5")
    said = look.look("tcp %d" % port)
    assert said["error"] == "source_refused"
    assert said["message"] == "GetExtendedTcpTable can't be read: Windows error 5 (access denied)"


def test_recorded_host_without_ipv6(recorded, port):
    look, files = recorded
    files.write("tcp6.code", "50")
    files.write("tcp4.bin", table(tcp4(2, "127.0.0.1", port)))
    assert len(look.look("tcp %d" % port)["sockets"]) == 1


def test_recorded_excluded_ranges_are_asked_once(recorded, real):
    _look, files = recorded
    text = (stage.RECORDED / "netsh" / "excluded-en.txt").read_text()
    files.netsh("interface_ipv4_show_excludedportrange_protocol=tcp", text)
    found = real("Excluded", {"ports": ["tcp 50005"]})
    assert found == ["tcp ipv4 5357 5357 False", "tcp ipv4 50000 50059 True", "tcp ipv4 59549 59648 False"]
    assert files.netsh_calls() == [
        "interface_ipv4_show_excludedportrange_protocol=tcp",
        "interface_ipv6_show_excludedportrange_protocol=tcp",
    ]


def test_recorded_dynamic_ports_for_udp_sockets_below_the_usual_ones(recorded, real, start, port):
    _look, files = recorded
    files.netsh("interface_ipv4_show_dynamicport_udp", (stage.RECORDED / "netsh" / "dynamic-en.txt").read_text())
    assert real.look("udp %d" % port)["ephemeral"] == [49152, 65535]
    assert files.netsh_calls() == [], "a free port does not pay for it"
    start("listen", "udp4", "127.0.0.1", port)
    assert real.look("udp %d" % port)["ephemeral"] == [1024, 15000]


def test_recorded_netsh_that_never_ends_is_not_waited_for(recorded, prefix, port):
    look, files = recorded
    files.write("tcp4.bin", table(tcp4(2, "0.0.0.0", port, pid=4)))
    files.netsh_is(rig.native("sleeper"))
    began = time.monotonic()
    assert look.look("tcp %d" % port)["blind"] == ["http_sys"]
    assert 9 < time.monotonic() - began < 60
    assert "netsh.exe" not in prefix.call("wine", "tasklist").stdout, "it is ended"


def test_recorded_ssh_session_carries_us(recorded, start, port):
    sshd = start("idle")
    look, files = recorded
    files.write(
        "tcp4.bin",
        table(tcp4(2, "0.0.0.0", port, pid=sshd.pid), tcp4(5, "192.0.2.1", 22, "192.0.2.7", 50022, sshd.pid)),
    )
    seen = look.look("tcp %d" % port, ssh="192.0.2.7 50022 192.0.2.1 22")
    assert seen["carriers"] == {str(sshd.pid): "has the very connection that SSH_CONNECTION names"}
    assert look.look("tcp %d" % port)["carriers"] == {}


def test_recorded_winrm_may_carry_us(recorded, start, port):
    host = start("idle")
    look, files = recorded
    files.write("services", "WinRM %d 4 1 32\n" % host.pid)
    files.write("tcp4.bin", table(tcp4(2, "0.0.0.0", port, pid=host.pid)))
    assert "WinRM" in look.look("tcp %d" % port)["carriers"][str(host.pid)]
