# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman, root's and a user's: no daemon to ask, conmon or rootlessport on the host's side of the port."""

from __future__ import annotations

import pytest

from lab.harness import Freed, Host, Result, unasked


def stopped(freed: Freed, port: int, name: str) -> dict:
    assert freed.done["changed"] and not freed.done.failed, freed.done
    holder = freed.done.holder(port)
    assert holder["kind"] == "container" and holder["outcome"] == "stopped", holder
    (action,) = freed.done["actions"]
    assert action["action"] == "stop_container" and name in action["target"], action
    return action


def left_to_the_real_run(predicted: Result) -> None:
    """What another account's engine says is the one thing that check mode does not know, and it says so."""
    assert not predicted.failed and predicted["changed"], predicted
    (action,) = predicted["actions"]
    assert action["action"] == "stop_container" and action["returns_at_boot"] is None, action
    assert "podman of user bob not asked" in action["target"], action
    assert unasked(predicted) == [0], predicted


def test_roots_container(host: Host):
    host.podman_image()
    host.container("cellar", "8080:80", engine="podman")
    host.container("other", "8081:80", engine="podman")
    host.wait_held(8080)
    assert host.sh("ss -Hltnp sport = :8080").find("conmon") > 0
    stopped(host.free(8080), 8080, "cellar")
    assert not host.held(8080) and not host.running("cellar", "podman") and host.running("other", "podman")
    assert host.ok("podman container exists cellar")


@pytest.mark.parametrize("handler", ["rootlessport", "slirp4netns"])
def test_a_users_container_from_root(host: Host, handler: str):
    host.podman_image("bob")
    options = ["--network", "slirp4netns:port_handler=slirp4netns"] if handler == "slirp4netns" else []
    host.container("mine", "8080:80", *options, engine="podman", user="bob")
    host.container("other", "8081:80", engine="podman", user="bob")
    host.wait_held(8080)
    assert handler in host.sh("ss -Hltnp sport = :8080")
    seen = host.look(8080)
    assert not seen.failed and "podman of user bob not asked" in seen["msg"], seen
    freed = host.free(8080)
    left_to_the_real_run(freed.predicted)
    stopped(freed, 8080, "mine")
    assert not host.held(8080)
    assert not host.running("mine", "podman", "bob") and host.running("other", "podman", "bob")
    assert host.sh("podman ps -a --quiet") == "", "root's podman knows nothing of it"


@pytest.mark.parametrize("options", [(), ("--cgroups=disabled",)], ids=["in a control group", "in none"])
def test_a_users_container_on_the_hosts_network(host: Host, options: tuple):
    """The holder itself is in the container, by its control group or by who has started it."""
    host.podman_image("bob")
    host.container("mine", (), "--network", "host", *options, engine="podman", user="bob", command="httpd -f -p 8080")
    host.wait_held(8080)
    freed = host.free(8080, stop_only="mine")
    left_to_the_real_run(freed.predicted)
    stopped(freed, 8080, "mine")
    assert not host.running("mine", "podman", "bob")


def test_what_a_users_engine_makes_the_real_run_refuse(host: Host):
    """Check mode can't know that it would be deleted, and says what it does not know."""
    host.podman_image("bob")
    host.container("brief", "8080:80", "--rm", engine="podman", user="bob")
    host.wait_held(8080)
    freed = host.free(8080, again=False)
    left_to_the_real_run(freed.predicted)
    assert freed.done.failed and not freed.done["changed"] and freed.done["reason"] == "would_delete", freed.done
    assert host.running("brief", "podman", "bob")


def test_a_users_container_by_that_user(host: Host):
    host.podman_image("bob")
    host.container("mine", "8080:80", engine="podman", user="bob")
    host.wait_held(8080)
    stopped(host.free(8080, play_remote_user="bob"), 8080, "mine")
    assert not host.running("mine", "podman", "bob")


def test_a_container_that_a_unit_runs_is_stopped_through_the_unit(host: Host):
    host.podman_image()
    host.sh("podman create --name cellar -p 8080:80 box httpd -f -p 80; podman generate systemd --new --name cellar"
            " >/etc/systemd/system/container-cellar.service; podman rm cellar; systemctl daemon-reload;"
            " systemctl enable --now container-cellar")  # fmt: skip
    host.wait_held(8080)
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    (action,) = freed.done["actions"]
    assert action["action"] == "stop_unit" and "container-cellar.service" in action["target"], action
    assert action["returns_at_boot"] is True
    assert host.stays_free(8080, 5) and not host.active("container-cellar.service")


def test_a_users_container_that_a_unit_runs(host: Host):
    host.podman_image("bob")
    host.as_user(
        "bob",
        "mkdir -p .config/systemd/user; podman create --name mine -p 8080:80 box httpd -f -p 80;"
        " podman generate systemd --new --name mine >.config/systemd/user/container-mine.service; podman rm mine;"
        " systemctl --user daemon-reload; systemctl --user start container-mine",
    )
    host.wait_held(8080)
    freed = host.free(8080)
    left_to_the_real_run(freed.predicted)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert freed.done["actions"][0]["action"] == "stop_unit" and "container-mine.service" in freed.done.targets[0]
    assert host.stays_free(8080, 3)


def test_host_network(host: Host):
    host.podman_image()
    host.container("bare", (), "--network", "host", engine="podman", command="httpd -f -p 8080")
    host.wait_held(8080)
    stopped(host.free(8080), 8080, "bare")
    assert not host.running("bare", "podman")


def test_a_pod(host: Host):
    """The pod's infra container publishes the port: all of the pod stops, and that is said before."""
    host.podman_image()
    made = host.sh(
        "podman pod create --infra-image localhost/box:latest --infra-command 'sleep 1000' --name pod -p 8080:80",
        check=False,
    )
    if not made:
        host.sh("podman pod create --name pod -p 8080:80 --infra-image localhost/box:latest")
    host.container("member", (), "--pod", "pod", engine="podman")
    host.wait_held(8080)
    freed = host.free(8080)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert not host.held(8080)
    assert "member" in str(freed.predicted["actions"]), freed.predicted


def test_one_that_would_be_deleted(host: Host):
    host.podman_image()
    host.container("brief", "8080:80", "--rm", engine="podman")
    host.wait_held(8080)
    done = host.free(8080, again=False).done
    assert done.failed and not done["changed"] and done["reason"] == "would_delete", done
    assert host.running("brief", "podman")


def test_dns_of_a_podman_network_is_managed_elsewhere(host: Host):
    host.podman_image()
    host.sh("podman network create cellar")
    host.container("member", (), "--network", "cellar", engine="podman")
    gateway = host.sh("podman network inspect cellar --format '{{(index .Subnets 0).Gateway}}'")
    assert host.ok("ss -Hlnup src %s:53 | grep -q aardvark" % gateway), host.sh("ss -Hlnup sport = :53")
    done = host.free(53, address=gateway, again=False).done
    assert done.failed and not done["changed"] and done["reason"] == "managed_elsewhere", done
    assert host.running("member", "podman")


def test_both_engines_at_once(host: Host):
    host.podman_image()
    host.container("shop", "8080:80")
    host.container("cellar", "8081:80", engine="podman")
    host.wait_held(8081)
    freed = host.free([8080, 8081])
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert len(freed.done["actions"]) == 2
    assert not host.running("shop") and not host.running("cellar", "podman")
