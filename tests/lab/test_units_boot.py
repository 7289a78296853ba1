# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What starts units again, with a real systemd: their triggers, other programs, D-Bus, and every boot."""

from __future__ import annotations

import contextlib

from lab.harness import Host

PROXY = "/usr/lib/systemd/systemd-socket-proxyd 127.0.0.1:7111"


def chain(host: Host) -> None:
    """A front that passes its clients on to a back, which it needs."""
    host.unit("back.service", "lab-serve 7111")
    needs = "[Unit]\nRequires=back.service\nAfter=back.service\n"
    host.unit("front.service", PROXY, start=False, sections=needs)
    host.unit("front.socket", ListenStream="7110")
    host.sh("exec 3<>/dev/tcp/127.0.0.1/7110; sleep 0.5")
    assert host.active("front.service") and host.active("back.service")


def refuses_clients(host: Host, port: int) -> bool:
    return not host.ok("exec 3<>/dev/tcp/127.0.0.1/%d" % port)


def test_the_socket_before_a_dependant_stops_too(host: Host):
    chain(host)
    done = host.free(7111).done
    assert done["changed"] and not done.failed, done
    (action,) = done["actions"]
    assert action["also_frees"] == ["7110/tcp"] and "front.socket" in action["also_stops"], action
    assert refuses_clients(host, 7110) and host.stays_free(7111, 2)
    assert not any(host.active(unit) for unit in ("front.socket", "front.service", "back.service"))


def test_both_ends_of_a_chain_at_once(host: Host):
    chain(host)
    done = host.free([7110, 7111], collateral="refuse").done
    assert done["changed"] and not done.failed, done
    assert "left by itself" not in done["msg"], done["msg"]
    assert all(holder["outcome"] == "stopped" for port in (7110, 7111) for holder in done.holders(port)), done
    assert not host.held(7110) and not host.held(7111)


def test_what_stops_with_an_earlier_step_did_not_leave_by_itself(host: Host):
    host.unit("base.service", "lab-serve 8080")
    host.unit("needs.service", "lab-serve 8081", sections="[Unit]\nRequires=base.service\nAfter=base.service\n")
    host.wait_held(8081)
    done = host.free([8080, 8081], collateral="refuse").done
    assert done["changed"] and not done.failed, done
    assert [action["result"] for action in done["actions"]] == ["done", "done"]
    assert "left by itself" not in done["msg"], done["msg"]


def test_units_without_an_order_stop_side_by_side(host: Host):
    ports = [8081, 8082, 8083, 8084]
    for port in ports:
        host.unit("slow%d.service" % port, "lab-serve --slow 5 %d" % port, TimeoutStopSec="60")
        host.wait_held(port)
    done = host.free(ports).done
    assert done["changed"] and not done.failed, done
    each = [action["seconds"] for action in done["actions"]]
    assert len(each) == 4 and min(each) > 4, done["actions"]
    assert done["elapsed"] < sum(each), "one after the other takes longer than all of their stops together"


def test_units_with_an_order_have_their_time_one_after_the_other(host: Host):
    """The first one's stop takes most of its grace period, and only then the second one's begins."""
    host.unit("base.service", "lab-serve --slow 4 8081", TimeoutStopSec="60")
    host.unit("later.service", "lab-serve --slow 4 8082", TimeoutStopSec="60", sections="[Unit]\nAfter=base.service\n")
    host.wait_held(8081)
    host.wait_held(8082)
    done = host.free([8082, 8081], grace_period=6).done
    assert done["changed"] and not done.failed, done
    assert done["elapsed"] > 7, "they are ordered"


def test_one_of_several_does_not_stop_in_time(host: Host):
    host.unit("deaf.service", "lab-serve --deaf 8081", TimeoutStopSec="60")
    host.unit("good.service", "lab-serve 8082")
    host.wait_held(8081)
    host.wait_held(8082)
    done = host.free([8081, 8082], again=False, grace_period=2).done
    assert done.failed and done["reason"] == "still_held" and done["changed"], done
    assert [action["result"] for action in done["actions"]] == ["failed", "done"], done
    assert done.status(8082) == "free" and done.status(8081) == "held"


def test_a_start_that_replaces_the_stop_is_a_respawn(host: Host):
    host.unit("web.service", "lab-serve 8080", ExecStop="/bin/sleep 3")
    host.unit("watch.service", "/bin/sh -c 'while sleep 0.2; do systemctl --no-block start web; done'")
    host.wait_held(8080)
    done = host.free(8080, again=False).done
    assert done.failed and done["reason"] == "respawned" and "web.service" in done["msg"], done
    assert "no reason" not in done["msg"], done["msg"]


def test_a_polite_signal_to_what_restarts_after_a_crash_only(host: Host):
    host.unit("web.service", "lab-serve 8080", Restart="on-abort")
    (pid,) = host.wait_held(8080)
    refused = host.free(8080, again=False, method="signal", signal="KILL").done
    assert refused.failed and refused["reason"] == "would_respawn" and host.alive(pid), refused
    done = host.free(8080, method="signal").done
    assert done["changed"] and not done.failed and host.stays_free(8080, 2), done


def test_what_d_bus_starts_on_demand_is_told(host: Host):
    host.write(
        "/usr/share/dbus-1/system-services/org.lab.Web.service",
        "[D-BUS Service]\nName=org.lab.Web\nExec=/bin/false\nUser=root\nSystemdService=web.service\n",
        keep=False,
    )
    host.unit("web.service", "lab-serve 8080")
    host.wait_held(8080)
    done = host.free(8080).done
    assert done["actions"][0]["may_restart"] == ["D-Bus, when somebody asks for org.lab.Web,"]
    assert "org.lab.Web" in done["msg"], done["msg"]


@contextlib.contextmanager
def packaged(host: Host, **files: str):
    """Files where packages have theirs, removed afterwards."""
    paths = []
    for name, text in files.items():
        folder, _under, unit = name.partition("_")
        place = {"unit": "/usr/lib/systemd/system/", "generator": "/etc/systemd/system-generators/"}[folder]
        paths.append(place + unit.replace("_AT_", "@").replace("_DOT_", "."))
        host.write(paths[-1], text, mode="755" if folder == "generator" else "644")
    try:
        host.systemctl("daemon-reload")
        yield
    finally:
        host.sh("rm -f %s; systemctl daemon-reload" % " ".join("'%s'" % path for path in paths), check=False)


GENERATOR = """#!/bin/sh
mkdir -p $1/multi-user.target.wants
for port in 8081 8082; do ln -s /usr/lib/systemd/system/labgen@.service $1/multi-user.target.wants/labgen@$port.service; done
"""


def test_what_boots_bring_back_and_what_persist_keeps_down(host: Host):
    """A generator's units, a sleeping socket that is enabled, and a unit that only one wants which nobody starts."""
    served = "[Service]\nExecStart=lab-serve %i\n"
    with packaged(host, unit_labgen_AT__DOT_service=served, generator_labgen=GENERATOR):
        host.systemctl("start", "labgen@8081.service", "labgen@8082.service")
        host.unit("sleeper.service", "lab-serve --activated 8083", start=False)
        host.unit("sleeper.socket", ListenStream="8083", start=False, enable=True)
        host.unit("direct.service", "lab-serve 8084", start=False)
        host.unit("direct.socket", ListenStream="8084", Service="direct.service", start=False, enable=True)
        host.systemctl("start", "direct.service")
        host.unit("local.service", "lab-serve 8085", start=False)
        host.sh("sed -i /WantedBy/d /etc/systemd/system/local.service")
        host.unit("till.service", "/bin/sleep infinity", start=False, sections="[Unit]\nWants=local.service\n")
        host.systemctl("start", "till.service")
        for port in (8081, 8082, 8084, 8085):
            host.wait_held(port)
        try:
            kept = host.free(8081).done
            assert kept["actions"][0]["returns_at_boot"] is True, kept
            asleep = host.task(check=True, port=8084, state="free")
            assert asleep["actions"][0]["returns_at_boot"] is True, asleep
            done = host.free([8082, 8084, 8085], persist=True).done
            assert not done.failed, done
            assert not any(action["returns_at_boot"] for action in done["actions"]), done
            undo = [action["undo"] for action in done["actions"]]
            assert undo[0] and "unmask" in undo[0] and "direct.socket" in undo[1] and undo[2] is None, undo
            host.reboot()
            host.wait_held(8081)
            assert not any(host.held(port) for port in (8082, 8084, 8085))
            host.sh(" && ".join(filter(None, undo)))
            assert host.enabled("direct.socket")
        finally:
            host.sh("systemctl unmask labgen@8082.service; systemctl stop 'labgen@*.service'", check=False)
