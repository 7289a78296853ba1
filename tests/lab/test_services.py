# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd services: stopped by their manager, with all that would start them again, and not back afterwards."""

from __future__ import annotations

import pytest

from lab.harness import Freed, Host


def stopped(freed: Freed, port: int, unit: str, kind: str = "service") -> dict:
    """The one action of a free that went through a unit."""
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert freed.done["free"], freed.done
    assert freed.done.holder(port)["kind"] == kind, freed.done.holder(port)
    assert freed.done.holder(port)["outcome"] == "stopped"
    (action,) = freed.done["actions"]
    assert action["action"] == "stop_unit" and unit in action["target"], action
    assert action["result"] == "done" and freed.predicted["actions"][0]["result"] == "predicted"
    return action


def test_restart_always_stays_down(host: Host):
    host.unit("web.service", "lab-serve 8080", Restart="always", RestartSec="100ms")
    host.wait_held(8080)
    freed = host.free(8080)
    action = stopped(freed, 8080, "web.service")
    assert action["returns_at_boot"] is False, "it is not enabled"
    assert host.stays_free(8080, 15)
    assert host.systemctl("is-active", "web.service", check=False) == "inactive"


def test_nginx_with_its_workers(host: Host):
    """Debian's own nginx: a master and workers on 80, on both families."""
    host.sh("mkdir -p /etc/systemd/system/nginx.service.d")
    host.write("/etc/systemd/system/nginx.service.d/a.conf", "[Service]\nRestart=always\n")
    host.undo("rm -r /etc/systemd/system/nginx.service.d; systemctl disable --now nginx; systemctl daemon-reload")
    host.sh("systemctl daemon-reload; systemctl enable --now nginx")
    pids = host.wait_held(80)
    assert len(pids) >= 2
    freed = host.free(80)
    action = stopped(freed, 80, "nginx.service")
    assert action["returns_at_boot"] is True
    assert set(pids) <= set(freed.predicted.pids())
    assert not host.held(80) and not any(host.alive(pid) for pid in pids)
    assert host.enabled("nginx.service"), "without persist nothing is disabled"


def test_persist_survives_a_reboot(host: Host):
    for name, port in (("kept", 8081), ("gone", 8082)):
        host.unit(name + ".service", "lab-serve %d" % port, enable=True, Restart="always")
        host.wait_held(port)
    stopped(host.free(8081), 8081, "kept.service")
    freed = host.free(8082, persist=True)
    action = stopped(freed, 8082, "gone.service")
    assert action["returns_at_boot"] is False
    assert not host.enabled("gone.service") and host.enabled("kept.service")
    assert "systemctl enable gone.service" in freed.done["msg"] + str(action), "how to undo it"
    host.reboot()
    host.wait_held(8081)
    assert not host.held(8082) and not host.active("gone.service")


def test_persist_of_what_another_unit_wants_survives_a_reboot(host: Host):
    """systemctl disable takes links away; the Wants= of another unit stays, and a unit from elsewhere loses its file."""
    packaged = "/usr/lib/systemd/system/wanted.service"
    host.write(packaged, "[Service]\nExecStart=lab-serve 8081\n[Install]\nWantedBy=multi-user.target\n")
    host.write(
        "/opt/lab/linked.service", "[Service]\nExecStart=lab-serve 8082\n[Install]\nWantedBy=multi-user.target\n"
    )
    host.unit("local.service", "lab-serve 8083", enable=True)
    wants = "[Unit]\nWants=wanted.service local.service\n"
    host.unit("till.service", "/bin/sleep infinity", enable=True, start=False, sections=wants)
    host.systemctl("enable", "--now", "wanted.service", "/opt/lab/linked.service", "till.service")
    for port in (8081, 8082, 8083):
        host.wait_held(port)
    try:
        refused = host.free(8083, again=False, persist=True).done
        assert refused.failed and refused["reason"] == "cannot_persist" and "till.service" in refused["msg"], refused
        done = host.free([8081, 8082], persist=True).done
        undo = [action["undo"] for action in done["actions"]]
        assert not any(action["returns_at_boot"] for action in done["actions"]), done
        host.reboot()
        host.wait_held(8083)
        assert not host.held(8081) and not host.held(8082)
        host.sh(" && ".join(undo))
        assert host.enabled("wanted.service") and host.enabled("linked.service"), "the undo is one"
    finally:
        host.sh(
            "systemctl disable --now wanted.service linked.service; rm -f %s /opt/lab/linked.service; systemctl daemon-reload"
            % packaged,
            check=False,
        )


def test_template_instance(host: Host):
    host.unit("web@.service", "lab-serve %i", start=False, Restart="always")
    host.systemctl("start", "web@9001.service", "web@9002.service")
    host.wait_held(9001)
    other = host.wait_held(9002)
    freed = host.free(9001, stop_only=["web@"])
    stopped(freed, 9001, "web@9001.service")
    assert host.pids(9002) == other and host.active("web@9002.service")


def test_workers_that_share_the_socket(host: Host):
    host.unit("web.service", "lab-serve --workers 3 8080", Restart="always")
    pids = host.wait_held(8080)
    freed = host.free(8080)
    stopped(freed, 8080, "web.service")
    assert not any(host.alive(pid) for pid in pids)


def test_a_child_holds_the_port_and_the_main_process_does_not(host: Host):
    host.unit("web.service", "lab-serve --children 8081 8080", Restart="always")
    host.wait_held(8080)
    host.wait_held(8081)
    freed = host.free(8081)
    action = stopped(freed, 8081, "web.service")
    assert action["also_frees"] == ["8080/tcp"]
    assert not host.held(8080) and not host.held(8081)


def test_several_ports_at_once_are_one_stop(host: Host):
    host.unit("web.service", "lab-serve 8080 8081 --udp 8080")
    host.wait_held(8081)
    freed = host.free([8080, 8081])
    assert not freed.done.failed and freed.done["changed"], freed.done
    assert len(freed.done["actions"]) == 1
    assert freed.done["actions"][0]["also_frees"] == []


def test_collateral_is_told_and_can_be_refused(host: Host):
    """Dependants stop as well: Requires, BindsTo and PartOf."""
    host.unit("base.service", "lab-serve 8080 8081")
    for name, kind in (("needs", "Requires"), ("bound", "BindsTo"), ("part", "PartOf")):
        dependency = "[Unit]\n%s=base.service\nAfter=base.service\n" % kind
        host.unit(name + ".service", "/bin/sleep 900", sections=dependency)
    refused = host.free(8080, again=False, collateral="refuse").done
    assert refused.failed and refused["reason"] == "collateral" and not refused["changed"], refused
    assert host.active("base.service")
    freed = host.free(8080)
    action = stopped(freed, 8080, "base.service")
    assert sorted(action["also_stops"]) == ["bound.service", "needs.service", "part.service"]
    assert action["also_frees"] == ["8081/tcp"]
    assert not any(host.active(name + ".service") for name in ("needs", "bound", "part"))


def test_dependants_alone_are_collateral_too(host: Host):
    host.unit("base.service", "lab-serve 8080")
    host.unit("needs.service", "/bin/sleep 900", sections="[Unit]\nRequires=base.service\nAfter=base.service\n")
    refused = host.free(8080, again=False, collateral="refuse").done
    assert refused.failed and not refused["changed"] and refused["reason"] == "collateral", refused
    assert "needs.service" in refused["msg"] and host.active("needs.service")
    freed = host.free(8080)
    assert stopped(freed, 8080, "base.service")["also_stops"] == ["needs.service"]


def test_a_protected_dependant_is_a_refusal(host: Host):
    host.unit("base.service", "lab-serve 8080")
    host.unit("guard.service", "/bin/sleep 900", sections="[Unit]\nBindsTo=base.service\nAfter=base.service\n")
    done = host.free(8080, again=False, protect=["guard.service"]).done
    assert done.failed and not done["changed"] and done["reason"] == "protected_dependant", done
    assert "guard.service" in done["msg"]
    assert host.active("base.service") and host.active("guard.service")


def test_a_main_process_that_ends_badly_is_still_a_freed_port(host: Host):
    host.unit("web.service", "lab-serve --code 3 8080", Restart="always")
    host.wait_held(8080)
    stopped(host.free(8080), 8080, "web.service")
    assert host.systemctl("is-active", "web.service", check=False) in ("failed", "inactive")


@pytest.mark.parametrize("task", [{}, {"play_remote_user": "ops", "play_become": True}], ids=["root", "sudo"])
def test_over_async(host: Host, task):
    host.unit("web.service", "lab-serve 8080", Restart="always")
    host.wait_held(8080)
    done = host.task(port=8080, state="free", play_async=90, play_poll=1, **task)
    assert done["changed"] and not done.failed, done
    assert done["actions"][0]["action"] == "stop_unit"
    assert not host.held(8080) and not host.active("web.service")
    again = host.task(port=8080, state="free", play_async=90, play_poll=1, **task)
    assert not again["changed"] and not again.failed


def test_through_sudo(host: Host):
    host.unit("web.service", "lab-serve 8080", Restart="always", enable=True)
    host.wait_held(8080)
    freed = host.free(8080, persist=True, play_remote_user="ops", play_become=True)
    stopped(freed, 8080, "web.service")
    assert not host.enabled("web.service")


def test_without_root_it_is_said_what_is_missing(host: Host):
    host.unit("web.service", "lab-serve 8080")
    pids = host.wait_held(8080)
    done = host.free(8080, again=False, play_remote_user="ops").done
    assert done.failed and not done["changed"], done
    assert "become" in done["msg"], done["msg"]
    assert host.pids(8080) == pids


# Methods --------------------------------------------------------------------------------------------------------


def test_a_signal_to_what_restarts_is_refused(host: Host):
    host.unit("web.service", "lab-serve 8080", Restart="always")
    pids = host.wait_held(8080)
    done = host.free(8080, again=False, method="signal").done
    assert done.failed and not done["changed"] and done["reason"] == "would_respawn", done
    assert host.pids(8080) == pids


def test_a_signal_to_what_does_not_restart(host: Host):
    host.unit("web.service", "lab-serve 8080")
    (pid,) = host.wait_held(8080)
    freed = host.free(8080, method="signal")
    assert freed.done["changed"] and freed.done["actions"][0]["action"] == "signal"
    assert not host.alive(pid)


@pytest.mark.parametrize("method", ["container", "service"])
def test_a_method_that_the_holder_does_not_have(host: Host, method: str):
    if method == "container":
        host.unit("web.service", "lab-serve 8080")
    else:
        host.spawn("lab-serve 8080")
    pids = host.wait_held(8080)
    done = host.free(8080, again=False, method=method).done
    assert done.failed and not done["changed"] and done["reason"] == "wrong_method", done
    assert host.pids(8080) == pids


def test_method_none_waits_for_the_holder_to_leave(host: Host):
    host.unit("web.service", "/usr/bin/timeout 6 lab-serve 8080")
    host.wait_held(8080)
    done = host.task(port=8080, state="free", method="none", timeout=30)
    assert not done.failed and not done["changed"], done
    assert done.status(8080) == "free"


# What starts a service again ------------------------------------------------------------------------------------


def test_a_timer_does_not_bring_it_back(host: Host):
    host.unit("web.service", "lab-serve 8080")
    host.unit("web.timer", OnUnitInactiveSec="1s", OnBootSec="1s", AccuracySec="100ms")
    host.wait_held(8080)
    freed = host.free(8080)
    action = stopped(freed, 8080, "web.service")
    assert "web.timer" in action["also_stops"]
    assert host.stays_free(8080, 6) and not host.active("web.timer")


def test_a_path_unit_does_not_bring_it_back(host: Host):
    host.unit("web.service", "lab-serve 8080", start=False)
    host.unit("web.path", PathExists="/etc/hosts")
    host.wait_held(8080)
    freed = host.free(8080)
    action = stopped(freed, 8080, "web.service")
    assert "web.path" in action["also_stops"]
    assert host.stays_free(8080, 5) and not host.active("web.path")


def test_socket_activated(host: Host):
    host.unit("web.service", "lab-serve --activated", start=False, Restart="always")
    host.unit("web.socket", ListenStream=["8080", "8081"], enable=True)
    host.sh("exec 3<>/dev/tcp/127.0.0.1/8080; head -1 <&3")
    assert host.active("web.service") and len(host.pids(8080)) == 2
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    (action,) = freed.done["actions"]
    assert action["also_frees"] == ["8081/tcp"] and action["returns_at_boot"] is True
    assert not host.active("web.service") and not host.active("web.socket")
    assert host.stays_free(8080, 3)


def test_socket_that_nobody_has_used_yet(host: Host):
    """Only the first process holds it; the service has another name."""
    host.unit("other.service", "lab-serve --activated", start=False)
    host.unit("front.socket", ListenStream="127.0.0.1:8080", Service="other.service")
    assert host.pids(8080) == [1]
    freed = host.free(8080)
    stopped(freed, 8080, "front.socket", kind="systemd_socket")
    assert not host.active("front.socket") and not host.held(8080)


def test_socket_with_an_instance_per_connection(host: Host):
    host.unit("each@.service", "lab-serve --inetd", start=False, StandardInput="socket")
    host.unit("each.socket", ListenStream="8080", Accept="yes")
    host.sh("setsid --fork sh -c 'exec sleep 60 | busybox nc 127.0.0.1 8080' >/dev/null 2>&1; sleep 0.5")
    assert host.ok("systemctl list-units --plain --no-legend 'each@*.service' | grep -q running")
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert not host.active("each.socket") and not host.held(8080)
    assert not host.ok("systemctl list-units --plain --no-legend 'each@*.service' | grep -q running")
    host.sh("pkill -x sleep", check=False)


def test_udp_socket_unit(host: Host):
    host.unit("log.service", "lab-serve --activated", start=False)
    host.unit("log.socket", ListenDatagram="8514")
    freed = host.free("8514/udp")
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert not host.held(8514, "udp") and not host.active("log.socket")


def test_persist_of_a_socket_survives_a_reboot(host: Host):
    host.unit("web.service", "lab-serve --activated", start=False)
    host.unit("web.socket", ListenStream="8080", enable=True, sections="")
    freed = host.free(8080, persist=True)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    host.reboot()
    assert not host.held(8080) and not host.enabled("web.socket")


def test_a_socket_that_systemd_keeps_for_a_service(host: Host):
    """The service has crashed and is about to start again; until then its socket is in the manager's hands."""
    host.unit(
        "web.service",
        "lab-serve --store 8080",
        Restart="always",
        RestartSec="90",
        NotifyAccess="all",
        FileDescriptorStoreMax="4",
    )
    (main,) = set(host.wait_held(8080)) - {1}
    host.sh("sleep 0.5; kill -KILL %d; sleep 0.5" % main)
    assert host.pids(8080) == [1] and host.systemctl("show", "-P", "SubState", "web.service") == "auto-restart"
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert "web.service" in freed.done.targets[0]
    assert not host.held(8080) and not host.active("web.service")


def test_connections_that_drop_are_told(host: Host):
    host.unit("web.service", "lab-serve 8080", Restart="always")
    host.wait_held(8080)
    host.sh(
        "for i in 1 2 3; do setsid --fork sh -c 'sleep 100 | busybox nc 127.0.0.1 8080' >/dev/null 2>&1; done; sleep 0.5"
    )
    freed = host.free(8080)
    action = stopped(freed, 8080, "web.service")
    assert freed.predicted.port(8080)["connections"]["established"] == 3
    assert action["dropped"] == 3
    host.sh("pkill -x sleep", check=False)


# Users' own services --------------------------------------------------------------------------------------------


def test_a_users_service_is_freed_from_root(host: Host):
    host.unit("mine.service", "lab-serve 8080", user="bob", Restart="always")
    host.wait_held(8080)
    freed = host.free(8080)
    stopped(freed, 8080, "mine.service")
    assert host.stays_free(8080, 3) and not host.active("mine.service", user="bob")
    assert host.active("user@1001.service") and host.systemctl("is-system-running", user="bob") == "running"


def test_a_users_service_is_freed_by_that_user(host: Host):
    host.unit("mine.service", "lab-serve 8080", user="bob", Restart="always", enable=True)
    host.wait_held(8080)
    freed = host.free(8080, persist=True, play_remote_user="bob")
    stopped(freed, 8080, "mine.service")
    assert not host.enabled("mine.service", user="bob")
    assert host.active("user@1001.service")


def test_a_users_socket(host: Host):
    host.unit("mine.service", "lab-serve --activated", user="bob", start=False)
    host.unit("mine.socket", ListenStream="8080", user="bob")
    host.wait_held(8080)
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert not host.held(8080) and not host.active("mine.socket", user="bob")
    assert host.active("user@1001.service")


def test_persist_of_a_users_service_survives_a_reboot(host: Host):
    host.unit("mine.service", "lab-serve 8080", user="bob", enable=True)
    host.wait_held(8080)
    stopped(host.free(8080, persist=True), 8080, "mine.service")
    host.reboot()
    assert host.active("user@1001.service")
    assert not host.held(8080)


# Super servers --------------------------------------------------------------------------------------------------


def test_one_service_of_inetd_is_managed_elsewhere(host: Host):
    host.spoil()
    host.write(
        "/etc/inetd.conf", "8080 stream tcp nowait root /bin/cat cat\n8081 stream tcp nowait root /bin/cat cat\n"
    )
    host.sh("systemctl start inetd")
    host.wait_held(8080)
    done = host.free(8080, again=False).done
    assert done.failed and not done["changed"] and done["reason"] == "managed_elsewhere", done
    assert "8081" in done["msg"]
    assert host.held(8080) and host.held(8081)
