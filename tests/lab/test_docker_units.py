# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of a real Docker that something on the host is behind: a unit with the client, a control group's name."""

from __future__ import annotations

import pytest

from lab.harness import Host

SERVE = "sh -c 'trap \"exit 0\" TERM; httpd -p 80; while :; do sleep 0.1; done'"


def by_unit(host: Host, port: int, unit: str, name: str) -> None:
    """The unit is stopped, and nothing takes the port back."""
    seen = host.look(port)
    assert seen.holder(port)["kind"] == "service" and seen.holder(port)["name"] == unit, seen
    freed = host.free(port)
    assert freed.done["changed"] and not freed.done.failed and freed.done["free"], freed.done
    (action,) = freed.done["actions"]
    assert action["action"] == "stop_unit" and unit in action["target"], action
    assert not host.running(name) and not host.active(unit)
    assert host.stays_free(port, 3)


@pytest.mark.parametrize("extra", ["", "--rm"])
def test_a_unit_that_runs_a_container_by_its_client(host: Host, extra: str):
    """Restart=always: who stops the container alone has it back at once."""
    host.container("two", "8081:80", "--restart", "always")
    host.unit(
        "one.service", command="/usr/bin/docker run --name one %s -p 8080:80 box %s" % (extra, SERVE),
        start=False, Restart="always", ExecStartPre="-/usr/bin/docker rm -f one",
    )  # fmt: skip
    host.undo("docker rm -f one")
    host.systemctl("start", "one.service")
    host.wait_running("one", 8080)
    by_unit(host, 8080, "one.service", "one")
    assert host.running("two") and host.held(8081)


def test_a_unit_that_starts_a_container_which_is_there(host: Host):
    host.docker("create", "--name", "one", "-p", "8080:80", "box", "sh", "-c", "exec httpd -f -p 80")
    host.undo("docker rm -f one")
    host.unit(
        "one.service", command="/bin/sh -c 'docker start -a one; exit 1'", start=False, Restart="always",
        ExecStop="/usr/bin/docker stop -t 1 one",
    )  # fmt: skip
    host.systemctl("start", "one.service")
    host.wait_running("one", 8080)
    by_unit(host, 8080, "one.service", "one")


def test_who_started_the_client_by_hand_is_no_manager(host: Host):
    """The same words in a login, and below a unit that starts things for others."""
    host.unit("jenkins.service", command="/bin/sh -c 'docker run --name one -p 8080:80 box httpd -f -p 80; sleep 600'")
    host.undo("docker rm -f one")
    host.wait_running("one", 8080)
    freed = host.free(8080)
    assert freed.done.holder(8080)["kind"] == "container" and not freed.done.failed, freed.done
    assert host.active("jenkins.service") and not host.running("one")


def test_the_name_of_a_container_in_the_hands_of_an_account(host: Host):
    """Its control group is called as a container of root's. The port is freed, and the container goes on."""
    host.container("shop", "8081:80", "--restart", "always")
    identity = host.docker("inspect", "--format", "{{.Id}}", "shop").strip()
    host.spawn("lab-serve 8080", user="nobody")
    (pid,) = host.wait_held(8080)
    host.sh(
        "for base in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do test -e $base/cgroup.procs && break; done;"
        " base=$base$(sed -n 's/^1:name=systemd:\\(.*\\)/\\1/p; s/^0::\\(.*\\)/\\1/p' /proc/1/cgroup | head -1 | sed 's,/init.scope$,,');"
        " mkdir -p $base/given && chown nobody $base/given && mkdir $base/given/docker-%s.scope"
        " && chown nobody $base/given/docker-%s.scope && echo %d >$base/given/docker-%s.scope/cgroup.procs"
        % (identity, identity, pid, identity)
    )
    assert identity in host.sh("cat /proc/%d/cgroup" % pid)
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    (action,) = freed.done["actions"]
    assert action["action"] == "signal" and freed.done.holder(8080)["kind"] == "process", freed.done
    assert host.running("shop") and host.held(8081) and not host.alive(pid)


def test_a_relay_that_is_left_over(host: Host):
    """The engine's own relay, for a container that there is not. The engine answers, and goes on."""
    host.container("shop", "8081:80")
    host.sh(
        "setsid --fork $(command -v docker-proxy || echo /usr/libexec/docker/docker-proxy) -proto tcp -host-ip 0.0.0.0 "
        "-host-port 8080 -container-ip 172.17.0.99 -container-port 80 3>/dev/null </dev/null >/dev/null 2>&1"
    )
    host.wait_held(8080)
    done = host.free(8080, again=False).done
    assert done.failed and done["reason"] == "engine" and "unprotect: [docker-proxy]" in done["msg"], done
    freed = host.free(8080, unprotect=["docker-proxy"])
    assert freed.done["changed"] and not freed.done.failed and not host.held(8080), freed.done
    (action,) = freed.done["actions"]
    assert action["action"] == "signal" and "docker-proxy" in action["target"], action
    assert host.running("shop") and host.held(8081)
