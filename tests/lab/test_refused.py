# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must never be stopped: the way in, the engine, the first process. Refused, nothing touched, and said why."""

from __future__ import annotations

import pytest

from lab.harness import Host


def refused(host: Host, port, code: str, **options):
    done = host.free(port, again=False, **options).done
    assert done.failed and not done["changed"], done
    assert done["actions"] == []
    assert done["reason"] == code, done
    assert done["msg"].startswith("nothing was stopped")
    return done


@pytest.mark.parametrize("options", [{}, {"method": "signal"}, {"method": "service"}, {"force": True}])
def test_sshd(host: Host, options):
    """Over ssh the daemon is where the task itself comes from: that is the first thing to say."""
    daemon = host.main_pid("ssh.service")
    done = refused(host, 22, "own_ancestor", **options)
    assert "sshd" in done["msg"]
    assert done.holder(22)["remedy"]
    assert host.main_pid("ssh.service") == daemon and host.ssh("echo in") == "in"


@pytest.mark.parametrize("task", [{}, {"play_remote_user": "ops", "play_become": True}], ids=["root", "sudo"])
def test_sshd_from_a_task_that_no_session_runs(host: Host, task):
    """Async leaves the session: then it is the name, and the connections, that protect it."""
    daemon = host.main_pid("ssh.service")
    done = host.task(port=22, state="free", play_async=60, play_poll=1, **task)
    assert done.failed and not done["changed"] and done["actions"] == [], done
    assert done["reason"] in ("own_connection", "protected_process"), done
    assert host.main_pid("ssh.service") == daemon and host.ssh("echo in") == "in"


def test_sshd_unprotected_still_carries_the_connection(host: Host):
    refused(host, 22, "own_ancestor", unprotect=["sshd", "ssh.service"], method="signal")
    assert host.ssh("echo in") == "in"


def test_the_connection_itself_over_async(host: Host):
    done = host.task(port=22, state="free", unprotect=["sshd"], method="signal", play_async=60, play_poll=1)
    assert done.failed and not done["changed"], done
    assert host.ssh("echo in") == "in"


def test_the_docker_engine(host: Host):
    """An engine that listens on TCP is not stopped for its own port, nor is it for a port that it proxies."""
    host.spoil()
    host.sh("mkdir -p /etc/systemd/system/docker.service.d")
    host.write(
        "/etc/systemd/system/docker.service.d/tcp.conf",
        "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// -H tcp://127.0.0.1:2375 --tls=false\n",
    )
    host.sh("systemctl daemon-reload; systemctl restart docker", seconds=90)
    (pid,) = host.wait_held(2375, seconds=40)
    done = host.free(2375, again=False).done
    assert done.failed and not done["changed"] and done["reason"] in ("engine", "protected_process"), done
    assert host.alive(pid) and host.active("docker.service")


def test_mixed_request_stops_nothing(host: Host):
    """One service, one container, one process and one protected: the message tells of all four."""
    host.unit("web.service", "lab-serve 8081")
    host.container("shop", "8082:80")
    host.ssh("nohup lab-serve 8083 >/dev/null 2>&1 & sleep 0.3")
    pids = {port: host.wait_held(port) for port in (8081, 8082, 8083)}
    done = host.free([8081, 8082, 8083, 22], again=False).done
    assert done.failed and not done["changed"] and done["actions"] == []
    for name in ("web.service", "shop", "lab-serve", "sshd"):
        assert name in done["msg"], done["msg"]
    assert done["reason"] == "own_ancestor"
    assert done.holder(22)["outcome"] == "refused"
    kinds = {port: {holder["kind"] for holder in done.holders(port)} for port in pids}
    assert kinds == {8081: {"service"}, 8082: {"container"}, 8083: {"process"}}
    assert {port: host.pids(port) for port in pids} == pids
    assert host.active("web.service") and host.running("shop")
