# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that somebody started and nobody manages: the process goes, and who started it stays."""

from __future__ import annotations

from lab.harness import Host


def freed_as_process(host: Host, port: int, pid: int, **options) -> None:
    freed = host.free(port, **options)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert freed.done.holder(port)["kind"] == "process"
    assert freed.done.holder(port)["outcome"] == "stopped"
    assert freed.done["actions"][0]["action"] == "signal"
    assert not host.alive(pid) and not host.held(port)


def test_nohup_in_an_ssh_session(host: Host):
    """The session that started it is over; sshd and Ansible's connection live on."""
    daemon = host.main_pid("ssh.service")
    host.ssh("nohup lab-serve 8080 >/dev/null 2>&1 & sleep 0.3")
    (pid,) = host.wait_held(8080)
    freed_as_process(host, 8080, pid)
    assert host.main_pid("ssh.service") == daemon and host.alive(daemon)
    assert host.ssh("echo still here") == "still here"


def test_nohup_of_another_user_in_a_session_that_stays(host: Host):
    with host.session(user="bob", script="nohup lab-serve 8080 >/dev/null 2>&1 & cat"):
        (pid,) = host.wait_held(8080)
        freed_as_process(host, 8080, pid)
        assert host.ok("pgrep -u bob -x cat"), "the session that started it went too"
    assert host.active("user@1001.service")


def test_cron_job(host: Host):
    cron = host.main_pid("cron.service")
    host.write("/etc/cron.d/lab", "* * * * * root exec lab-serve 8080 >/dev/null 2>&1\n", keep=False)
    (pid,) = host.wait_held(8080, seconds=75)
    host.sh("rm /etc/cron.d/lab")
    assert "cron.service" in host.sh("cat /proc/%d/cgroup" % pid)
    freed_as_process(host, 8080, pid)
    assert host.active("cron.service") and host.main_pid("cron.service") == cron


def test_ci_agent_job(host: Host):
    """What a build left running is not the agent's unit."""
    host.unit("gitlab-runner.service", "/bin/sh -c 'setsid lab-serve 8080 & exec sleep 600'")
    (pid,) = host.wait_held(8080)
    agent = host.main_pid("gitlab-runner.service")
    assert "gitlab-runner.service" in host.sh("cat /proc/%d/cgroup" % pid)
    freed_as_process(host, 8080, pid)
    assert host.active("gitlab-runner.service") and host.alive(agent)


def test_remote_forward_of_another_session(host: Host):
    """A port that ssh -R opened: that session ends, the other ones and the daemon don't."""
    daemon = host.main_pid("ssh.service")
    with host.session("-R", "18080:127.0.0.1:9") as forwarding, host.session() as other:
        (pid,) = host.wait_held(18080)
        freed = host.free(18080)
        assert freed.done["changed"], freed.done
        assert freed.done.pids() == [pid]
        assert not host.held(18080) and not host.alive(pid)
        forwarding.wait(10)
        assert other.poll() is None
    assert host.main_pid("ssh.service") == daemon


def test_async_and_sudo(host: Host):
    host.ssh("nohup lab-serve 8080 >/dev/null 2>&1 & sleep 0.3", user="bob")
    (pid,) = host.wait_held(8080)
    task = {"play_remote_user": "ops", "play_become": True}
    done = host.task(port=8080, state="free", play_async=60, play_poll=1, **task)
    assert done["changed"] and not done.failed, done
    assert not host.alive(pid)
    again = host.task(port=8080, state="free", play_async=60, play_poll=1, **task)
    assert not again["changed"] and not again.failed


def test_a_deaf_process_is_killed_after_the_grace_period(host: Host):
    host.ssh("nohup lab-serve --deaf 8080 >/dev/null 2>&1 & sleep 0.3")
    (pid,) = host.wait_held(8080)
    freed = host.free(8080, grace_period=2)
    assert freed.done["changed"] and not host.alive(pid)
    assert freed.done["elapsed"] >= 2


def test_a_shell_that_starts_it_again_is_named(host: Host):
    """An unknown respawner is noticed while the port is watched; nothing is killed twice."""
    host.write(
        "/usr/local/bin/respawn", "#!/bin/sh\nwhile true; do lab-serve 8080; sleep 0.5; done\n", "755", keep=False
    )
    host.ssh("nohup respawn >/dev/null 2>&1 & sleep 0.5")
    (first,) = host.wait_held(8080)
    shell = int(host.sh("ps -o ppid= -p %d" % first))
    host.undo("kill %d" % shell)
    done = host.task(port=8080, state="free")
    assert done.failed and done["changed"]
    assert done["reason"] == "respawned", done
    (second,) = host.wait_held(8080)
    assert second != first
    assert str(second) in done["msg"] and str(shell) in done["msg"], done["msg"]
    host.sh("kill %d; kill %d" % (shell, second))
