# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Docker engines say, by recorded answers of Docker 20.10."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Endpoint
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import docker, orchestrators
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.table import by_protocol

ENGINE = docker.Engine(812, 0, "/run/docker.sock")


def both(port, protocol="tcp"):
    return [Endpoint(protocol, address, port) for address in ("0.0.0.0", "::")]


# What an engine says -----------------------------------------------------------------------------------------------


def test_a_container(recorded):
    one = docker.parse(recorded("docker-20.10-web"), ENGINE)
    assert (one.engine, one.name, one.asked, one.user, one.endpoint) == ("docker", "web", True, None, ENGINE.endpoint)
    assert len(one.id) == 64 and one.pid > 1 and one.started.startswith("2026-11-21T")
    # without the userland proxy it has IPv4 alone
    assert one.published == (Endpoint("tcp", "0.0.0.0", 8080),)
    assert (one.restart, one.removed_on_stop, one.stop_timeout, one.host_network) == ("always", False, 10.0, False)
    assert (one.project, one.service, one.orchestrator) == ("shop", "front", "")


def test_one_that_is_deleted_when_it_stops(recorded):
    one = docker.parse(recorded("docker-20.10-one"), ENGINE)
    assert one.removed_on_stop and one.stop_timeout == 3.0 and one.restart == "no"
    assert one.published == (Endpoint("tcp", "127.0.0.1", 8081), Endpoint("udp", "127.0.0.1", 8082))


def test_one_with_the_hosts_network(recorded):
    one = docker.parse(recorded("docker-20.10-hostnet"), ENGINE)
    assert one.host_network and one.published == () and one.pid > 1


def test_one_that_waits_to_be_started_again(recorded):
    """It is bound to nothing now, and will take what it is configured to have."""
    content = recorded("docker-20.10-looping")
    assert content["NetworkSettings"]["Ports"] == {}
    one = docker.parse(content, ENGINE)
    assert one.published == tuple(both(8110)) and one.pid == 0


def test_one_that_is_started_again_so_many_times(recorded):
    content = recorded("docker-20.10-web")
    content["HostConfig"]["RestartPolicy"] = {"Name": "on-failure", "MaximumRetryCount": 5}
    one = docker.parse(content, ENGINE)
    assert (one.restart, one.retries) == ("on-failure", 5)


def test_one_that_has_ended(recorded):
    content = recorded("docker-20.10-web")
    content["State"]["Running"] = False
    assert docker.parse(content, ENGINE) is None


@pytest.mark.parametrize("content", [None, [], {}, {"Id": "../../x", "State": {"Running": True}}, {"State": 7}])
def test_what_is_no_container(content):
    assert docker.parse(content, ENGINE) is None


def test_one_that_is_never_killed(recorded):
    content = recorded("docker-20.10-web")
    content["Config"]["StopTimeout"] = -1
    assert docker.parse(content, ENGINE).stop_timeout is None


def test_a_rootless_engine(recorded):
    assert docker.parse(recorded("docker-20.10-web"), ENGINE._replace(uid=1000)).user == 1000


def test_a_task_of_a_swarm(recorded):
    one = docker.parse(recorded("docker-20.10-task"), ENGINE)
    assert (one.orchestrator, one.service) == ("swarm", "sw2") and one.name.startswith("sw2.1.")
    assert one.published == (Endpoint("tcp", "0.0.0.0", 8201),)


def test_services_of_a_swarm(recorded):
    """One has its port on every node, one on its containers, one is scaled to nothing."""
    found = [docker.parse_service(one, ENGINE) for one in recorded("docker-20.10-services")]
    (one,) = [service for service in found if service]
    assert (one.name, one.service, one.orchestrator, one.pid) == ("sw1", "sw1", "swarm", 0)
    assert one.published == tuple(both(8200))


def test_a_service_on_every_node(recorded):
    (content,) = [one for one in recorded("docker-20.10-services") if one["Spec"]["Name"] == "sw1"]
    content["Spec"]["Mode"] = {"Global": {}}
    content["Spec"]["Labels"] = {"com.docker.stack.namespace": "shop"}
    assert docker.parse_service(content, ENGINE).project == "shop"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, ("", "", "")),
        ({"com.docker.compose.project": "shop", "com.docker.compose.service": "db"}, ("", "shop", "db")),
        ({"io.podman.compose.project": "shop", "io.podman.compose.service": "db"}, ("", "shop", "db")),
        ({"io.kubernetes.pod.name": "web-7", "io.kubernetes.pod.namespace": "prod"}, ("kubernetes", "prod", "web-7")),
        ({"com.docker.swarm.task.id": "x"}, ("swarm", "", "")),
        ({"com.docker.swarm.service.name": "s_web", "com.docker.stack.namespace": "s"}, ("swarm", "s", "s_web")),
        ({"com.hashicorp.nomad.alloc_id": "a", "com.hashicorp.nomad.job_name": "j"}, ("nomad", "j", "")),
        ({"maintainer": "me"}, ("", "", "")),
    ],
)
def test_who_made_it(labels, expected):
    assert docker.by_labels(labels) == expected


@pytest.mark.parametrize(
    ("bindings", "expected"),
    [
        (None, []),
        ({"80/tcp": None, "81/tcp": []}, []),
        ({"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, both(8080)),
        ({"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "80"}, {"HostIp": "::", "HostPort": "80"}]}, both(80)),
        ({"53/udp": [{"HostIp": "0:0::1", "HostPort": "53"}]}, [Endpoint("udp", "::1", 53)]),
        ({"9/sctp": [{"HostIp": "192.0.2.1", "HostPort": "9"}]}, [Endpoint("sctp", "192.0.2.1", 9)]),
        ({"80": [{"HostIp": "::1", "HostPort": "80"}]}, [Endpoint("tcp", "::1", 80)]),
        ({"80/tcp": [{"HostIp": "", "HostPort": ""}, {"HostIp": "", "HostPort": "8000-8010"}]}, []),
        ({"80/tcp": [{"HostIp": "", "HostPort": "0"}, {"HostIp": "", "HostPort": "65536"}]}, []),
        ({"80/tcp": [{"HostIp": "", "HostPort": "8" * 4000}]}, []),
        ({"80/tcp": [{"HostIp": "nowhere", "HostPort": "80"}, {"HostIp": "a\0b", "HostPort": "80"}]}, []),
        ({"80/tcp": [{"HostPort": 80}, 7, None]}, []),
    ],
)
def test_bindings(bindings, expected):
    assert list(docker.endpoints(bindings)) == expected


# Which ones a question is about ------------------------------------------------------------------------------------


def asked(server, ports=(), ids=(), seconds=5.0):
    found, blind = [], []
    engine = docker.Engine(os.getpid(), os.geteuid(), server.path)
    question = docker.Question(by_protocol(ports), frozenset(ids))
    docker.ask(engine, question, time.monotonic() + seconds, found, blind)
    return [one.name for one in found], blind


@pytest.fixture
def lab(recorded, engine_at):
    """An engine with all that was recorded, and its routes."""
    routes = {
        "/containers/json": recorded("docker-20.10-containers"),
        "/services": recorded("docker-20.10-services"),
        "/info": {"Swarm": {"LocalNodeState": "inactive"}},
    }
    for name in ("web", "one", "looping", "hostnet", "task"):
        content = recorded("docker-20.10-" + name)
        routes["/containers/%s/json" % content["Id"]] = content
    server = engine_at(routes)
    server.routes = routes
    return server


@pytest.mark.parametrize(
    ("ports", "names"),
    [
        ([("tcp", 8080)], ["web"]),
        ([("udp", 8082)], ["one"]),
        ([("tcp", 8082)], []),
        ([("tcp", 8080), ("tcp", 8081), ("udp", 8081)], ["one", "web"]),
        ([("tcp", 8110)], ["looping"]),
        ([("tcp", 8200)], ["sw1"]),
        ([("tcp", 8201)], ["sw2.1.i9hb3dk4qgn40o6mstlpq9g88"]),
        ([("udp", 8202)], []),
        ([("tcp", 8090)], []),
        ([("tcp", 9999)], []),
    ],
)
def test_only_what_publishes_the_port(lab, ports, names):
    found, blind = asked(lab, ports)
    assert (sorted(found), blind) == (names, [])


def test_by_id_of_a_control_group(lab, recorded):
    assert asked(lab, [("tcp", 8090)], [recorded("docker-20.10-hostnet")["Id"]]) == (["hostnet"], [])


def test_one_question_for_all_and_one_for_each_of_concern(lab, recorded):
    asked(lab, [("tcp", 8080)])
    looked_at = [recorded("docker-20.10-" + name)["Id"] for name in ("looping", "web")]
    assert sorted(lab.questions) == sorted(
        ["/containers/json", "/services"] + ["/containers/%s/json" % one for one in looked_at]
    )


def test_one_that_goes_away_between_two_questions(lab, recorded):
    del lab.routes["/containers/%s/json" % recorded("docker-20.10-web")["Id"]]
    assert asked(lab, [("tcp", 8080), ("tcp", 8200)]) == (["sw1"], [])


NO_MANAGER = 'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node'


def test_no_swarm(lab):
    lab.routes["/services"] = (503, {"message": NO_MANAGER})
    assert asked(lab, [("tcp", 8080)]) == (["web"], [])


def test_a_locked_swarm_hides_its_services(lab):
    lab.routes["/services"] = (503, {"message": "Swarm is encrypted and needs to be unlocked before it can be used."})
    found, (blind,) = asked(lab, [("tcp", 8080)])
    assert found == ["web"] and blind.code == "container_engine" and "Swarm is encrypted" in blind.text


def test_an_engine_with_a_problem(lab):
    lab.routes["/containers/json"] = (500, {"message": "layer\x1b[2J does not exist"})
    found, (blind,) = asked(lab, [("tcp", 8080)])
    assert found == [] and "says: layer\\x1b[2J does not exist" in blind.text and "dockerd, pid" in blind.text
    assert blind.advice


def test_an_engine_that_hangs(lab):
    lab.routes["/containers/json"] = lambda: time.sleep(1.0)
    began = time.monotonic()
    found, (blind,) = asked(lab, [("tcp", 8080)], seconds=0.3)
    assert found == [] and "no answer within 0.3 s" in blind.text and "docker -H unix://" in blind.advice
    assert time.monotonic() - began < 0.9


@pytest.mark.parametrize("answer", [{}, [7, None, []], {"a": [1]}, "text"])
def test_an_answer_that_nobody_has_documented(engine_at, answer):
    """What is no list is not taken for an empty one."""
    server = engine_at({"/containers/json": answer, "/services": answer})
    found, blind = asked(server, [("tcp", 8080)])
    assert found == [] and bool(blind) is not isinstance(answer, list)


# Who runs it -------------------------------------------------------------------------------------------------------

NODE, TASK = "1ciubybc2xre9tw4eye0ly5tr", "i9hb3dk4qgn40o6mstlpq9g88"


def orchestrator(lab, port=8201, uid=None):
    found, blind = [], []
    engine = docker.Engine(os.getpid(), os.geteuid() if uid is None else uid, lab.path)
    docker.ask(engine, docker.Question(by_protocol([("tcp", port)]), frozenset()), time.monotonic() + 5, found, blind)
    assert blind == [] and len(found) == 1
    return found[0].orchestrator, found[0].service


def info(manager=True, state="active", node=NODE):
    return {"Swarm": {"NodeID": node, "LocalNodeState": state, "ControlAvailable": manager}}


def test_a_task_that_the_manager_knows(lab, recorded):
    lab.routes["/info"] = info()
    lab.routes["/tasks/" + TASK] = {"Status": {"ContainerStatus": {"ContainerID": recorded("docker-20.10-task")["Id"]}}}
    assert orchestrator(lab) == ("swarm", "sw2")


def test_a_task_on_a_worker(lab):
    lab.routes["/info"] = info(manager=False)
    assert orchestrator(lab) == ("swarm", "sw2")


@pytest.mark.parametrize(
    "said",
    [info(False, "inactive"), info(False, ""), info(False, node="other"), info(True), {}, []],
    ids=["no swarm", "silent", "another node", "its manager knows no such task", "nothing", "odd"],
)
def test_a_label_of_swarm_without_a_swarm(lab, said):
    """Any image may bring it."""
    lab.routes["/info"] = said
    assert orchestrator(lab) == ("", "sw2")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("com.docker.swarm.task.name", "sw2.1.x"),
        ("com.docker.swarm.task.id", "../../x"),
        ("com.docker.swarm.task.id", "1"),
    ],
)
def test_a_label_of_swarm_on_another_container(lab, recorded, name, value):
    content = recorded("docker-20.10-task")
    content["Config"]["Labels"][name] = value
    lab.routes["/containers/%s/json" % content["Id"]] = content
    lab.routes["/info"] = info(False)
    assert orchestrator(lab) == ("", "sw2")


LABELS = {
    "kubernetes": ({"io.kubernetes.pod.name": "web-7", "io.kubernetes.pod.namespace": "prod"}, "kubelet"),
    "nomad": ({"com.hashicorp.nomad.alloc_id": "a", "com.hashicorp.nomad.task_name": "web-7"}, "nomad"),
}


@pytest.fixture
def agent(roots_path):
    """A function that starts a program of this name, as root's or somebody else's."""
    running = []

    def start(name, uid=0):
        path = roots_path / name
        shutil.copy("/bin/sleep", str(path))
        os.chown(str(path), uid, uid)
        running.append(subprocess.Popen(["setpriv", "--reuid", str(uid), "--clear-groups", str(path), "60"]))
        for _attempt in range(200):
            with open("/proc/%d/comm" % running[-1].pid, encoding="ascii") as stream:
                if stream.read().strip() == name:
                    return
            time.sleep(0.02)
        raise AssertionError("it does not run")

    yield start
    for one in running:
        one.kill()
        one.wait()


@pytest.mark.parametrize("kind", sorted(LABELS))
@pytest.mark.parametrize("uid", [0, 65534, None])
def test_a_label_counts_where_the_orchestrators_agent_is(lab, recorded, agent, kind, uid):
    labels, program = LABELS[kind]
    content = recorded("docker-20.10-web")
    content["Config"]["Labels"] = labels
    lab.routes["/containers/%s/json" % content["Id"]] = content
    if uid is not None:
        agent(program, uid)
    assert orchestrator(lab, 8080) == (kind if uid == 0 else "", "web-7")


def test_an_image_with_the_same_name_as_its_agent_proves_nothing():
    assert not orchestrators.runs("swarm") and not orchestrators.runs("")
