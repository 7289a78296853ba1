# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container an engine's command runs, by command lines of all kinds. The lab has the real ones in real units."""

from __future__ import annotations

import os
import shlex
import subprocess

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Unit
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import clients

ID = "0123456789abcdef" * 4
ONE = Container("docker", ID, "one", asked=True)
WEB = Container("docker", ID, "shop-web-1", asked=True, project="shop", service="web")


def client(line, folder="/", unit=None, account=None, variables=None, pid=100):
    uid = os.geteuid() if account is None else account
    return clients.Client(
        unit or Unit("one.service"), uid, tuple(shlex.split(line)), str(folder), frozenset((pid,)), variables or {}
    )


def unit_of(container, *known):
    (found,), mains = clients.with_units([container], known)
    assert bool(mains) == (found.unit != container.unit)
    return found.unit


@pytest.mark.parametrize(
    "line",
    [
        "docker run --name one -p 8080:80 box",
        "docker run --name=one box httpd -f",
        "/usr/bin/docker run --rm -it -p 8080:80 --name one box",
        "docker run -p8080:80 -eA=b -e C=d -itp 80:80 --name one box",
        "docker run -d --init --network host --name one box",
        "docker -H unix:///run/other.sock --log-level error run --name one box",
        "docker container run --name one box",
        "docker start -a one",
        "docker start --attach one two",
        "docker container start -ai %s" % ID[:12],
        "docker attach one",
        "/usr/bin/python3 /usr/bin/docker run --name one box",
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="by design: these containers are root's")
def test_the_container_of_a_line(line):
    assert unit_of(ONE, client(line)) == "one.service"


@pytest.mark.parametrize(
    "line",
    [
        "docker run --name two box",
        "docker run --name only-one box",
        "docker run box app --name one",
        "docker run --rm box run --name one",
        "docker run --env --name=one box",
        "docker run --label x=one -p 8080:80 box",
        "docker start -a 0123",
        "docker ps --filter name=one",
        "docker logs -f one",
        "docker exec one sh",
        "podman run --name one box",
        "nginx run --name one box",
        "docker",
        "docker run",
        "docker run --name",
        "docker compose up",
    ],
)
@pytest.mark.skipif(os.geteuid() != 0, reason="by design: these containers are root's")
def test_lines_that_run_another_one_or_none(line):
    assert unit_of(ONE, client(line)) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="by design: these containers are root's")
def test_podman_and_its_monitor():
    one = ONE._replace(engine="podman")
    assert unit_of(one, client("podman run --replace --name one box")) == "one.service"
    assert unit_of(one, client("/usr/bin/conmon --api-version 1 -c %s -u %s" % (ID, ID))) == "one.service"
    assert unit_of(one, client("/usr/bin/conmon --api-version 1 -c %s" % ID[::-1])) == ""


def test_whose_word_it_is():
    """An account's client tells of that account's containers in that account's units, and of nobody else's."""
    line = "docker run --name one box"
    theirs, unit = ONE._replace(user=65534), Unit("one.service", 65534)
    assert unit_of(ONE, client(line, account=65534)) == ""
    assert unit_of(ONE, client(line, account=65534, unit=unit)) == ""
    assert unit_of(theirs, client(line, account=0)) == ""
    assert unit_of(theirs, client(line, account=65534)) == ""
    assert unit_of(theirs, client(line, account=65534, unit=unit)) == "one.service"


def test_a_unit_that_is_known_already_stays():
    container = ONE._replace(unit="quadlet.service")
    assert clients.with_units([container], [client("docker run --name one box", account=0)]) == ((container,), {})


@pytest.mark.skipif(os.geteuid() != 0, reason="by design: these containers are root's")
class TestCompose:
    @pytest.mark.parametrize(
        "line",
        [
            "docker compose up",
            "docker-compose up --no-color",
            "/usr/bin/python3 /usr/bin/docker-compose up",
            "docker-compose -f ../shop/compose.yml up",
            "docker compose --file=compose.yml up web",
            "/usr/libexec/docker/cli-plugins/docker-compose compose up",
            "docker --context x compose -p shop -f /nowhere.yml up",
            "docker compose --project-name=shop up",
        ],
    )
    def test_the_project_of_a_line(self, roots_path, line):
        folder = roots_path / "Sh.op"
        folder.mkdir()
        (roots_path / "shop").mkdir()
        for where in (folder, roots_path / "shop"):
            (where / "compose.yml").write_text("services: {web: {image: box}}\n", encoding="ascii")
        assert unit_of(WEB, client(line, folder)) == "one.service"
        assert unit_of(WEB._replace(project="other", name="other-web-1"), client(line, folder)) == ""

    def test_where_a_project_has_its_name_from(self, roots_path):
        (roots_path / "sub").mkdir()
        file = roots_path / "docker-compose.yml"
        file.write_text("services: {web: {image: box}}\n", encoding="ascii")
        up = "docker compose up"
        assert unit_of(WEB, client(up, roots_path)) == ""
        assert unit_of(WEB, client(up, roots_path, variables={b"COMPOSE_PROJECT_NAME": b"shop"})) == "one.service"
        (roots_path / ".env").write_text("A=b\nCOMPOSE_PROJECT_NAME=shop\n", encoding="ascii")
        assert unit_of(WEB, client(up, roots_path)) == "one.service"
        assert unit_of(WEB, client(up, roots_path / "sub")) == "one.service", "the file is looked for above too"
        (roots_path / ".env").unlink()
        file.write_text("name: shop\nservices: {web: {image: box}}\n", encoding="ascii")
        assert unit_of(WEB, client(up, roots_path)) == "one.service"

    def test_labels_of_an_image_are_no_word_of_the_unit(self, roots_path):
        """Its container has another name than compose gives, and the file does not give that one."""
        up = client("docker compose -p shop up", roots_path)
        stranger = WEB._replace(name="evil")
        assert unit_of(stranger, up) == ""
        (roots_path / "compose.yaml").write_text("services:\n  web:\n    container_name: evil\n", encoding="ascii")
        assert unit_of(stranger, up) == "one.service"
        (roots_path / "compose.yaml").chmod(0o666)
        assert unit_of(stranger, up) == "", "a file that others may write says nothing"

    def test_of_two_units_of_a_project_the_one_that_names_the_service(self):
        others = (
            client("docker compose -p shop up db", unit=Unit("db.service")),
            client("docker compose -p shop up web", unit=Unit("web.service")),
        )
        assert unit_of(WEB, *others) == unit_of(WEB, *reversed(others)) == "web.service"

    def test_what_is_no_up(self):
        assert unit_of(WEB, client("docker compose -p shop logs -f")) == ""
        assert unit_of(WEB, client("docker compose -p shop")) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose clients others pretend to be")
def test_who_counts_as_a_client_at_all(tmp_path):
    """A program of root's under a client's name is started by anybody (sudo); and others may be as many as they like."""
    (tmp_path / "docker").symlink_to("/bin/sleep")
    started = [subprocess.Popen(["docker", "60"], executable=tmp_path / "docker")]
    script = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'docker'); print(flush=True); time.sleep(60)"
    for _number in range(20):
        started.append(
            subprocess.Popen(["setpriv", "--reuid", "65534", "--clear-groups", "/usr/bin/python3", "-c", script], stdout=subprocess.PIPE)
        )  # fmt: skip
    try:
        for one in started[1:]:
            one.stdout.readline()
        others = {one.pid for one in started[1:]}
        with open("/proc/%d/comm" % started[0].pid, encoding="ascii") as stream:
            assert stream.read() == "docker\n"
        assert started[0].pid not in clients.candidates({0})
        assert others.isdisjoint(clients.candidates({0}))
        assert 0 < len(others.intersection(clients.candidates({65534}))) <= 16
    finally:
        for one in started:
            one.kill()
            one.wait()
        for one in started[1:]:
            one.stdout.close()
