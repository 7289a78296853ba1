# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Supervisors: stopped by their own command, and still stopped afterwards. Each one is the real program."""

from __future__ import annotations

import pytest

from lab.harness import Freed, Host


def stopped(host: Host, freed: Freed, port: int) -> dict:
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert freed.done["free"], freed.done
    assert freed.done.holder(port)["outcome"] == "stopped"
    (action,) = freed.done["actions"]
    assert action["action"] == "stop_program" and action["result"] == "done", action
    assert host.stays_free(port, 6), "its supervisor started it again"
    return action


def supervisord(host: Host) -> None:
    for name, port in (("web", 8080), ("other", 8081)):
        text = "[program:%s]\ncommand=lab-serve %d\nautorestart=true\n" % (name, port)
        host.write("/etc/supervisor/conf.d/%s.conf" % name, text)
    host.sh("systemctl start supervisor")


def runit(host: Host) -> None:
    services(host, "/etc/service")
    host.unit("runit.service", "/usr/bin/runsvdir -P /etc/service")


def s6(host: Host) -> None:
    services(host, "/run/service")
    host.unit("s6.service", "/usr/bin/s6-svscan /run/service")


def daemontools(host: Host) -> None:
    services(host, "/srv/service")
    host.unit("daemontools.service", "/usr/bin/svscan /srv/service")


def services(host: Host, folder: str) -> None:
    for name, port in (("web", 8080), ("other", 8081)):
        host.write("%s/%s/run" % (folder, name), "#!/bin/sh\nexec lab-serve %d\n" % port, "755")


def monit(host: Host, configuration: str = "/etc/monit/monitrc", seconds: int = 2) -> None:
    host.write(
        "/usr/local/sbin/web",
        "#!/bin/sh\nif [ $1 = stop ]; then exec kill $(cat /run/web.pid); fi\n"
        "setsid lab-serve 8080 >/dev/null 2>&1 &\necho $! >/run/web.pid\n",
        "755",
    )
    host.write(
        configuration,
        "set daemon %d\nset httpd unixsocket /run/monit.socket allow root:x\ncheck process web with pidfile /run/web.pid\n"
        '  start program = "/usr/local/sbin/web start"\n  stop program = "/usr/local/sbin/web stop"\n' % seconds,
        "600",
    )
    host.unit("monit.service", "/usr/bin/monit -I -c " + configuration)


def pm2(host: Host) -> None:
    host.write("/srv/web.js", "require('http').createServer((q, r) => r.end('x')).listen(8080, '0.0.0.0')\n")
    host.write("/srv/other.js", "require('http').createServer((q, r) => r.end('x')).listen(8081, '0.0.0.0')\n")
    start = "pm2 start --silent /srv/web.js --name web && pm2 start --silent /srv/other.js --name other"
    host.as_user("bob", start, seconds=90)


SETUPS = {setup.__name__: setup for setup in (supervisord, runit, s6, daemontools, monit, pm2)}
DAEMONS = {
    "supervisord": "pgrep -x supervisord",
    "runit": "pgrep -x runsvdir",
    "s6": "pgrep -x s6-svscan",
    "daemontools": "pgrep -x svscan",
    "monit": "pgrep -x monit",
    "pm2": "pgrep -f '^PM2 '",
}


@pytest.mark.parametrize("name", SETUPS)
def test_stopped_by_its_own_command(host: Host, name: str):
    host.spoil()
    SETUPS[name](host)
    host.wait_held(8080, seconds=30)
    others = []
    if name != "monit":
        others = host.wait_held(8081, seconds=30)
    daemon = host.sh(DAEMONS[name])
    action = stopped(host, host.free(8080), 8080)
    assert "web" in action["target"], action
    assert host.sh(DAEMONS[name]) == daemon, "the supervisor itself lives on"
    if others:
        assert host.pids(8081) == others


def test_what_monit_has_only_just_started(host: Host):
    """Its status tells the pid after its next round, minutes later. It would answer a signal with a new start all the same."""
    host.spoil()
    monit(host, "/srv/monitrc", seconds=300)
    host.wait_held(8080, seconds=30)
    action = stopped(host, host.free(8080), 8080)
    assert "web" in action["target"], action


@pytest.mark.parametrize("name", ["supervisord", "runit"])
def test_through_sudo_and_async(host: Host, name: str):
    host.spoil()
    SETUPS[name](host)
    host.wait_held(8080, seconds=30)
    task = {"play_remote_user": "ops", "play_become": True, "play_async": 90, "play_poll": 1}
    done = host.task(port=8080, state="free", **task)
    assert done["changed"] and not done.failed, done
    assert host.stays_free(8080, 5)


def test_a_supervisord_that_can_not_be_asked(host: Host):
    """Without its control socket there is only the hint: refused before anything is stopped."""
    host.spoil()
    host.write("/etc/deaf.conf", "[supervisord]\nnodaemon=true\n[program:web]\ncommand=lab-serve 8080\n")
    host.unit("deaf.service", "/usr/bin/supervisord -c /etc/deaf.conf")
    pids = host.wait_held(8080)
    done = host.free(8080, again=False).done
    assert done.failed and not done["changed"] and done["reason"] == "supervised", done
    assert "supervisorctl" in done["msg"]
    assert host.pids(8080) == pids


def test_a_runit_whose_supervise_does_not_answer(host: Host):
    host.spoil()
    runit(host)
    pids = host.wait_held(8080)
    host.sh("pkill -STOP -x runsv")
    done = host.free(8080, again=False).done
    assert done.failed, done
    assert done["elapsed"] < 90
    assert host.pids(8080) == pids
    host.sh("pkill -CONT -x runsv")


def test_a_service_directory_in_which_an_account_has_a_part(host: Host):
    """Root's own tools would write through the link that it has put there; a report runs none of them either."""
    host.spoil()
    runit(host)
    pids = host.wait_held(8080)
    host.write("/root/precious", "kept")
    host.sh("chown -R bob /etc/service/web/supervise")
    host.as_user("bob", "cd /etc/service/web/supervise && mv control kept && ln -s /root/precious control")
    assert host.look(8080).holder(8080)["kind"] == "process"
    done = host.free(8080, again=False).done
    assert done.failed and not done["changed"] and done["reason"] == "supervised", done
    assert "others than root may write" in done["msg"] and "/web/supervise)" in done["msg"], done
    assert host.sh("cat /root/precious") == "kept" and host.pids(8080) == pids


def test_the_supervisors_own_port(host: Host):
    """supervisord's own interface is the unit's port like any other; its children are not taken along silently."""
    host.spoil()
    supervisord(host)
    host.write("/etc/supervisor/conf.d/inet.conf", "[inet_http_server]\nport=127.0.0.1:9001\n")
    host.sh("systemctl restart supervisor")
    host.wait_held(9001, seconds=30)
    host.wait_held(8080, seconds=30)
    freed = host.free(9001, again=False)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    (action,) = freed.done["actions"]
    assert "supervisor.service" in action["target"]
    assert {"8080/tcp", "8081/tcp"} <= set(action["also_frees"])


def test_signal_can_be_forced(host: Host):
    """method: signal is the user's word; that the program comes back is noticed and said."""
    host.spoil()
    supervisord(host)
    host.wait_held(8080, seconds=30)
    done = host.free(8080, again=False, method="signal").done
    assert done.failed and done["reason"] in ("respawned", "would_respawn"), done


def test_nodemon_like_node_cluster(host: Host):
    """A node cluster: the master has the port's handle and its workers share it; one stop of the root-most frees it."""
    host.spoil()
    host.write(
        "/srv/cluster.js",
        "const c = require('cluster'), h = require('http');\n"
        "if (c.isPrimary) { c.fork(); c.fork(); } else { h.createServer((q, r) => r.end('x')).listen(8080); }\n",
    )
    host.spawn("node /srv/cluster.js", user="bob")
    pids = host.wait_held(8080, seconds=20)
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert not any(host.alive(pid) for pid in pids) and host.stays_free(8080, 3)
