# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""listen_ports_facts beside community.general's module of that name, and beside ansible.builtin.ping: whole ad-hoc tasks.

A topic of bench.py. community.general comes out of the package ``ansible``; where it is not to be had, its line says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import typing as t
import zipfile
from pathlib import Path

import measure
from load import Load, Size
from measure import Cost, Row, pairs

OURS = "harbormaster.ports.listen_ports_facts"
THEIRS = "community.general.listen_ports_facts"
PING = "ansible.builtin.ping"

# At 1,000 listeners at least 20 times as fast; at 100 at most 1.5 pings.
AGAINST_THEIRS, AGAINST_PING = 1 / 20, 1.5
# Flat in connections: what the kernel is asked, and a look without owners.
FLAT = 1.25

THOUSAND = Size("thousand listeners", processes=500, files=100, listeners=2, connections=0)
HUNDRED = Size("hundred listeners", processes=50, files=20, listeners=2, connections=0)
QUIET = Size("quiet", processes=50, files=0, listeners=2, connections=0)
CONNECTED = Size("connected", processes=50, files=0, listeners=2, connections=400)


class Ansible(t.Protocol):
    """What bench.py's Controller gives."""

    folder: Path
    env: t.Dict[str, str]

    def run(self, command: str, *words: str, **more: str) -> Cost:
        """Run one of ansible's commands, and say what it cost."""

    def payload(self, module: str, arguments: str) -> str:
        """Path of what a target would run."""


def facts(controller: Ansible, rounds: int, quick: bool) -> t.Iterator[Row]:
    """Each line is a whole ``ansible -m``, but for those that say something else."""
    few = max(1, rounds // 4)
    thousand = THOUSAND._replace(processes=100, listeners=2) if quick else THOUSAND
    with Load(thousand) as load:
        topic = "Facts at " + str(thousand)
        try:
            theirs = with_community_general(controller.folder)
        except RuntimeError as error:
            yield Row(topic, "ansible -m listen_ports_facts", THEIRS, target=AGAINST_THEIRS, note=str(error))
        else:
            yield pairs(
                topic,
                "ansible -m listen_ports_facts",
                "community.general's",
                lambda: task(controller, OURS),
                lambda: controller.run(
                    "ansible", "localhost", "-m", THEIRS, ANSIBLE_COLLECTIONS_PATH=theirs, ANSIBLE_LOCALHOST_WARNING="0"
                ),
                few,
                AGAINST_THEIRS,
            )
        yield pairs(
            topic, "ansible -m listen_ports_facts", "ping", lambda: task(controller, OURS), ping(controller), few
        )
        yield memory(topic, controller, len(load.listeners))
    with Load(HUNDRED):
        topic = "Facts at " + str(HUNDRED)
        yield pairs(
            topic,
            "ansible -m listen_ports_facts",
            "ping",
            lambda: task(controller, OURS),
            ping(controller),
            rounds,
            AGAINST_PING,
        )
    yield from flat(controller, rounds, CONNECTED._replace(connections=50) if quick else CONNECTED)


def flat(controller: Ansible, rounds: int, connected: Size) -> t.Iterator[Row]:
    """What the target runs, with many connections and with none, in pairs."""
    for details, target in (("none", FLAT), ("process", None)):
        topic = "Facts with connections and without, %d against 0, on the target" % (
            connected.processes * connected.connections
        )
        payload = controller.payload(OURS, "details=%s" % details)
        with Load(QUIET):
            quiet = [measure.command(sys.executable, payload) for _unused in range(rounds + 1)][1:]
        with Load(connected):
            busy = [measure.command(sys.executable, payload) for _unused in range(rounds + 1)][1:]
        yield measure.row_of(topic, "details=%s" % details, "without", list(zip(busy, quiet)), target)


def task(controller: Ansible, module: str) -> Cost:
    return controller.run("ansible", "localhost", "-m", module)


def ping(controller: Ansible) -> t.Callable[[], Cost]:
    return lambda: task(controller, PING)


def memory(topic: str, controller: Ansible, listeners: int) -> Row:
    """The most memory that the module's process has had; the answer has to be whole."""
    found = {}
    for module in (OURS, PING):
        script = (
            "import json, resource, subprocess, sys\n"
            "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, check=True)\n"
            "answer = json.loads(done.stdout).get('ansible_facts', {})\n"
            "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss\n"
            "print(json.dumps([peak, len(answer.get('tcp_listen', ()))]))\n"
        )
        words = [sys.executable, "-c", script, sys.executable, controller.payload(module, "")]
        done = subprocess.run(words, stdout=subprocess.PIPE, check=False, env=controller.env)
        if done.returncode != 0:
            return Row(topic, "memory of the module's process", "", note="%s does not run here" % module)
        found[module] = json.loads(done.stdout)
    if found[OURS][1] < listeners:
        return Row(topic, "memory of the module's process", "", note="only %d rows" % found[OURS][1])
    what = "peak memory, %.1f MB" % (found[OURS][0] / 1024)
    return Row(topic, what, "ping, %.1f MB" % (found[PING][0] / 1024), ratio=found[OURS][0] / found[PING][0])


def with_community_general(folder: Path) -> str:
    """A collections path that has community.general, out of a wheel of ``ansible`` that pip has downloaded.

    :raises RuntimeError: it can't be had.
    """
    wheels = os.environ.get("HARBORMASTER_BENCH_WHEELS")
    where = Path(wheels) if wheels else folder / "wheels"
    if not list(where.glob("ansible-*.whl")):
        words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(where), "ansible"]
        if subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            raise RuntimeError("the package ansible, which has community.general, can't be downloaded")
    path = folder / "theirs"
    with zipfile.ZipFile(next(iter(where.glob("ansible-*.whl")))) as wheel:
        begin = "ansible_collections/community/general/"
        for name in wheel.namelist():
            inside = name[len(begin) :].split("/")
            # Not its tests and documents: thousands of files that nobody reads here.
            if name.startswith(begin) and inside[0] in ("meta", "MANIFEST.json", "FILES.json", "plugins"):
                wheel.extract(name, path)
    return str(path)
