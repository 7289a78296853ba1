# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers of a real Docker engine: the one that publishes the port is stopped by the engine, and no other."""

from __future__ import annotations

import shlex
import time

import pytest

from lab.harness import Freed, Host

# Leaves a trace when it is asked to stop: what was killed leaves none.
POLITE = "sh -c 'trap \"echo asked >/tmp/end; exit 0\" TERM; httpd -p 80; while :; do sleep 0.1; done'"
DEAF = "sh -c 'trap \"\" TERM; httpd -f -p 80'"


def stopped(host: Host, freed: Freed, port: int, name: str, protocol: str = "tcp") -> dict:
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert freed.done["free"], freed.done
    holder = freed.done.holder(port, protocol)
    assert holder["kind"] == "container" and holder["outcome"] == "stopped", holder
    (action,) = freed.done["actions"]
    assert action["action"] == "stop_container" and name in action["target"] and action["result"] == "done", action
    assert not host.running(name)
    assert host.docker("ps", "-aqf", "name=^%s$" % name), "stopped is not deleted"
    return action


def exit_code(host: Host, name: str) -> int:
    return int(host.docker("inspect", "--format", "{{.State.ExitCode}}", name))


def test_restart_always(host: Host):
    """Stopped, not killed; the other container of the engine and the engine itself go on."""
    host.container("shop", "8080:80", "--restart", "always", command=POLITE)
    host.container("other", "8081:80", "--restart", "always")
    engine, other = host.main_pid("docker.service"), host.pids(8081)
    freed = host.free(8080)
    action = stopped(host, freed, 8080, "shop")
    assert action["returns_at_boot"] is True, "an always container comes back with the daemon"
    assert exit_code(host, "shop") == 0
    assert host.docker("cp", "shop:/tmp/end", "-").find("asked") > 0
    assert host.pids(8081) == other and host.running("other")
    assert host.main_pid("docker.service") == engine
    host.sh("systemctl restart docker", seconds=90)
    assert host.running("shop"), "the prediction was right"


# Words of whoever has built an image, about managers that this container does not have.
CLAIMS = (
    "PODMAN_SYSTEMD_UNIT=cron.service", "com.docker.swarm.service.name=web", "com.docker.swarm.task.id=t1",
    "com.docker.swarm.task.name=web.1", "io.kubernetes.pod.name=web-7", "io.kubernetes.container.name=web",
    "com.hashicorp.nomad.alloc_id=8d7c",
)  # fmt: skip


def test_labels_of_an_image_are_no_evidence(host: Host):
    """No unit of the host is stopped for them, and no orchestrator is said to have the container."""
    changes = [word for label in CLAIMS for word in ("--change", "LABEL " + label)]
    host.docker("import", *changes, "/opt/lab/box.tar", "claims:latest")
    host.undo("docker rm --force --volumes shop; docker rmi claims")
    host.docker("run", "--detach", "--name", "shop", "--publish", "8080:80", "claims", *shlex.split(POLITE))
    assert "cron.service" in host.docker("inspect", "--format", "{{json .Config.Labels}}", "shop")
    freed = host.free(8080)
    stopped(host, freed, 8080, "shop")
    assert host.active("cron.service") and not host.running("shop")


def test_persist_outlives_a_restart_of_the_engine(host: Host):
    host.container("shop", "8080:80", "--restart", "always")
    host.container("cafe", "8081:80", "--restart", "unless-stopped")
    freed = host.free(8080, persist=True)
    action = stopped(host, freed, 8080, "shop")
    assert action["returns_at_boot"] is False
    assert host.docker("inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", "shop") == "no"
    assert "docker update --restart=always shop" in freed.done["msg"] + str(action), "how to undo it"
    host.sh("systemctl restart docker", seconds=90)
    assert host.running("cafe") and not host.running("shop") and not host.held(8080)


def test_on_failure(host: Host):
    """Its end by a signal is a failure to dockerd, when that starts again, although it was asked for."""
    host.container("shop", "8080:80", "--restart", "on-failure:7", command=DEAF)
    host.container("cafe", "8081:80", "--restart", "on-failure:7", command=DEAF)
    assert stopped(host, host.free(8080), 8080, "shop")["returns_at_boot"] is None
    action = stopped(host, host.free(8081, persist=True), 8081, "cafe")
    assert action["returns_at_boot"] is False and action["undo"] == "docker update --restart=on-failure:7 cafe"
    host.sh("systemctl restart docker", seconds=90)
    assert host.running("shop") and not host.running("cafe"), "the prediction was right"


def test_what_the_report_says(host: Host):
    labels = (
        "com.docker.compose.project=store",
        "com.docker.compose.service=web",
        "com.docker.compose.container-number=1",
    )
    host.container("store-web-1", "8080:80", *(word for label in labels for word in ("--label", label)))
    seen = host.look(8080)
    assert not seen["changed"] and seen.status(8080) == "held"
    assert seen.holder(8080)["kind"] == "container"
    for word in ("store-web-1", "store", "web"):
        assert word in str(seen["owners"]) + str(seen["ports"]), seen
    assert "store-web-1" in seen["msg"]
    for name in ("store-web-1", "web"):
        assert not host.look(8080, owner=[name]).failed
    assert host.look(8080, owner=["nginx"])["reason"] == "owner_mismatch"


def test_without_the_userland_proxy(host: Host):
    """dockerd itself, or nobody, has the host's side of the port."""
    host.engine_settings(**{"userland-proxy": False})
    host.container("shop", "8080:80", "--restart", "always")
    host.container("other", "8081:80")
    assert not host.ok("pgrep -x docker-proxy")
    assert host.look(8080).status(8080) == "held"
    engine = host.main_pid("docker.service")
    stopped(host, host.free(8080, persist=True), 8080, "shop")
    assert host.running("other") and host.main_pid("docker.service") == engine
    host.sh("systemctl reset-failed docker; systemctl restart docker", seconds=90)
    assert not host.running("shop") and not host.held(8080)


def test_host_network(host: Host):
    """A container's own inner process holds the port: the container is stopped, not the process."""
    host.container("bare", (), "--network", "host", "--restart", "always", command="httpd -f -p 8080")
    host.wait_held(8080)
    stopped(host, host.free(8080), 8080, "bare")
    assert host.stays_free(8080, 3)


def test_two_containers_on_one_port_and_different_addresses(host: Host):
    host.container("one", "127.0.0.1:8080:80", "--restart", "always")
    host.container("two", "127.0.0.2:8080:80", "--restart", "always")
    stopped(host, host.free(8080, address="127.0.0.2"), 8080, "two")
    assert host.running("one")
    both = host.look(8080)
    assert both.status(8080) == "held"
    stopped(host, host.free(8080), 8080, "one")


def test_both_containers_of_one_port(host: Host):
    host.container("one", "127.0.0.1:8080:80")
    host.container("two", "127.0.0.2:8080:80")
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert len(freed.done["actions"]) == 2 and not host.running("one") and not host.running("two")


def test_both_families_of_one_container_are_one_holder(host: Host):
    host.container("shop", ["0.0.0.0:8080:80", "[::]:8080:80"])
    assert len(host.pids(8080)) == 2
    stopped(host, host.free(8080), 8080, "shop")


def test_udp(host: Host):
    host.container("names", ["8053:53/udp", "8080:80"])
    freed = host.free("8053/udp")
    action = stopped(host, freed, 8053, "names", "udp")
    assert action["also_frees"] == ["8080/tcp"]


def test_collateral_of_a_container(host: Host):
    host.container("shop", ["8080:80", "8443:80"])
    done = host.free(8080, again=False, collateral="refuse").done
    assert done.failed and done["reason"] == "collateral" and "8443/tcp" in done["msg"], done
    assert host.running("shop")


def test_collateral_of_a_container_on_the_hosts_network(host: Host):
    """Another of its processes holds another port: that ends with it too."""
    host.container("bare", (), "--network", "host", command="httpd -f -p 8080")
    host.docker("exec", "-d", "bare", "httpd", "-f", "-p", "8081")
    host.wait_held(8080)
    host.wait_held(8081)
    (action,) = host.free(8081).done["actions"]
    assert action["also_frees"] == ["8080/tcp"], action


def test_one_that_would_be_deleted(host: Host):
    host.container("brief", "8080:80", "--rm")
    done = host.free(8080, again=False).done
    assert done.failed and not done["changed"] and done["reason"] == "would_delete", done
    assert "collateral: accept" in done["msg"]
    assert host.free(8080, again=False, method="container").done["reason"] == "would_delete"
    assert host.running("brief")
    freed = host.free(8080, collateral="accept")
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert not host.held(8080)
    assert host.docker("ps", "-aqf", "name=brief") == ""


def test_a_container_that_is_deaf_ends_by_its_own_stop_timeout(host: Host):
    host.container("deaf", "8080:80", "--stop-timeout", "3", command=DEAF)
    began = time.monotonic()
    freed = host.free(8080, again=False)
    stopped(host, freed, 8080, "deaf")
    assert exit_code(host, "deaf") == 137
    assert freed.done["actions"][0]["seconds"] >= 3
    assert time.monotonic() - began < 40


def test_our_patience_is_shorter_than_the_containers(host: Host):
    """grace_period bounds our wait; the engine's own stop goes on, and nothing is killed past it."""
    host.container("deaf", "8080:80", "--stop-timeout", "40", command=DEAF)
    began = time.monotonic()
    done = host.free(8080, again=False, grace_period=2).done
    assert done.failed, done
    assert done["elapsed"] < 20 and time.monotonic() - began < 60
    assert done["reason"] in ("still_held", "step_failed"), done
    assert done.status(8080) == "held" and host.running("deaf")
    assert "shop" not in done["msg"] and "deaf" in done["msg"]


def test_a_swarm_service_has_no_socket_and_is_not_ours(host: Host):
    host.spoil()
    host.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    host.docker(
        "service", "create", "--detach", "--name", "fleet", "--publish", "8085:80", "box", "httpd", "-f", "-p", "80"
    )
    host.sh("for i in $(seq 100); do docker service ps fleet | grep -q Running && break; sleep 0.2; done; sleep 1")
    assert not host.held(8085), "the ingress network has no socket on the host"
    seen = host.look(8085)
    assert seen.status(8085) == "held", "a bind that works is not called free: %r" % seen
    done = host.free(8085, again=False).done
    assert done.failed and not done["changed"] and done["reason"] == "orchestrated", done
    assert "docker service" in done["msg"] and "fleet" in done["msg"]


def test_a_task_of_swarm_is_not_ours(host: Host):
    host.spoil()
    host.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    host.docker(
        "service", "create", "--detach", "--name", "fleet", "--publish", "published=8085,target=80,mode=host",
        "box", "httpd", "-f", "-p", "80",
    )  # fmt: skip
    host.wait_held(8085, seconds=30)
    done = host.free(8085, again=False).done
    assert done.failed and not done["changed"] and done["reason"] == "orchestrated", done
    assert "docker service" in done["msg"] and "fleet" in done["msg"]


@pytest.mark.parametrize("method", ["signal", "service"])
def test_the_engine_is_not_the_way(host: Host, method: str):
    host.container("shop", "8080:80")
    pids, engine = host.pids(8080), host.main_pid("docker.service")
    done = host.free(8080, again=False, method=method).done
    assert done.failed and not done["changed"], done
    assert host.pids(8080) == pids and host.running("shop") and host.main_pid("docker.service") == engine


def test_a_look_never_starts_an_engine(host: Host):
    """docker.socket would start it at the first connection."""
    host.spoil()
    host.sh("systemctl stop docker.service containerd.service; systemctl start docker.socket")
    assert host.active("docker.socket")
    host.spawn("lab-serve 8080")
    host.wait_held(8080)
    assert host.look(8080).status(8080) == "held"
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed
    assert not host.active("docker.service")


@pytest.mark.parametrize("task", [{}, {"play_remote_user": "ops", "play_become": True}], ids=["root", "sudo"])
def test_over_async(host: Host, task):
    host.container("shop", "8080:80", "--restart", "always")
    done = host.task(port=8080, state="free", play_async=90, play_poll=1, **task)
    assert done["changed"] and not done.failed, done
    assert not host.running("shop") and not host.held(8080)


def test_a_user_who_may_not_ask_the_engine(host: Host):
    host.container("shop", "8080:80")
    done = host.free(8080, again=False, play_remote_user="ops").done
    assert done.failed and not done["changed"], done
    assert "become" in done["msg"], done["msg"]
    assert host.running("shop")


# Faults ---------------------------------------------------------------------------------------------------------


def test_an_engine_that_does_not_answer(host: Host):
    """dockerd is stopped as if it hung: bounded, nothing is touched, and it is said who did not answer."""
    host.container("shop", "8080:80", "--restart", "always")
    engine = host.main_pid("docker.service")
    host.undo("kill -CONT %d" % engine)
    pids = host.pids(8080)
    host.sh("kill -STOP %d" % engine)
    done = host.free(8080, again=False).done
    host.sh("kill -CONT %d" % engine)
    assert done.failed and not done["changed"], done
    assert done["elapsed"] < 30
    assert "docker" in done["msg"].lower()
    assert host.pids(8080) == pids and host.running("shop")


def test_an_engine_that_does_not_answer_does_not_matter_to_others(host: Host):
    """A process that has nothing to do with the engine is freed while that hangs."""
    engine = host.main_pid("docker.service")
    host.undo("kill -CONT %d" % engine)
    host.spawn("lab-serve 8080")
    host.wait_held(8080)
    host.sh("kill -STOP %d" % engine)
    done = host.task(port=8080, state="free")
    host.sh("kill -CONT %d" % engine)
    assert done["changed"] and not host.held(8080), done
    assert done["elapsed"] < 30


def test_an_engine_that_is_down(host: Host):
    """Its containers live on (live-restore) and publish nothing any more: no socket, and no engine is started."""
    host.engine_settings(**{"live-restore": True})
    host.container("shop", "8080:80")
    host.sh("systemctl stop docker.service")
    assert not host.held(8080) and host.ok("pgrep -x httpd || pgrep -f 'httpd -f'")
    seen = host.look(8080)
    assert not seen.failed and not host.active("docker.service")
    freed = host.free(8080, again=False)
    assert not freed.done["changed"] and not host.active("docker.service")
