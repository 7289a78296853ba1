# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One play, one task, two kinds of hosts: a real Linux, and a Windows that is only pretended up to the pipe, and real under Wine behind it.

What Ansible sends to the Windows host is compared with what was compiled; the same utils then do the work, on real sockets.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from windows import controller, rig
from windows.test_payload import check_payload

FOLDERS = controller.folders()
TEST_PORTS = range(26000, 32000)  # below the range of outgoing connections


@pytest.fixture(params=sorted({FOLDERS[0], FOLDERS[-1]}), ids=controller.label)
def site(request, tmp_path, prefix, app):
    made = controller.Site(tmp_path, request.param)
    made.environment = {
        "PRETENDED_WINDOWS_RUN": json.dumps([str(rig.SCRIPTS / "run"), str(rig.CACHE), "net", str(app)]),
        "RIG_PREFIX": prefix.name,
        "RIG_NETNS": "1",
    }
    return made


@pytest.fixture
def here():
    """A holder on this machine, on a port that is free here; and that port."""
    program = "import socket, sys, time; s = socket.socket(fileno=int(sys.argv[1])); s.listen(); print('on', flush=True); time.sleep(120)"
    with socket.socket() as bound:
        for port in TEST_PORTS:
            try:
                bound.bind(("127.0.0.1", port))
            except OSError:
                continue
            break
        holder = subprocess.Popen(
            [sys.executable, "-c", program, str(bound.fileno())], pass_fds=[bound.fileno()], stdout=subprocess.PIPE
        )
    assert holder.stdout is not None and holder.stdout.readline() == b"on\n"
    yield holder, port
    holder.kill()
    holder.wait()


@pytest.fixture
def there(prefix, here):
    """A holder on the Windows host, on the same port of its own network."""
    animal = prefix.start(str(rig.native("holder")), "listen", "tcp4", "127.0.0.1", str(here[1]), "window")
    yield animal
    animal.process.terminate()
    animal.wait_gone()


PLAY = """\
    - hosts: here, there
      gather_facts: false
      collections: [harbormaster.ports]
      tasks:
        - port_owner:
            port: %(port)d/tcp
            state: %(state)s
            settle: 0.2
          check_mode: %(check)s
          register: r
        - listen_ports_facts:
        - copy:
            content: "{{ {'result': r, 'facts': ansible_facts} | to_json }}"
            dest: "{{ playbook_dir }}/{{ inventory_hostname }}.json"
          delegate_to: here
          check_mode: false
"""


def keys(value, path=""):
    """Every key of a result by its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield path + key
            yield from keys(inner, path + key + ".")
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner, path + "[].")


def test_one_task_frees_the_port_on_both(site, here, there):
    holder, port = here
    predicted = site.play(PLAY % {"port": port, "state": "free", "check": "true"})
    assert holder.poll() is None and there.alive()
    done = site.play(PLAY % {"port": port, "state": "free", "check": "false"})
    assert holder.wait(20) is not None and there.wait_gone()
    for host in ("here", "there"):
        result = done[host]["result"]
        assert (result["changed"], result["free"]) == (True, True)
        assert [(one["before"], one["status"]) for one in result["ports"]] == [("held", "free")]
        assert predicted[host]["result"]["changed"] is True
        listed = [
            [row["pid"] for row in run[host]["facts"]["tcp_listen"] if row["port"] == port] for run in (predicted, done)
        ]
        assert listed == [[holder.pid if host == "here" else there.pid], []]
    for module in site.arrived():
        check_payload(module, "win_port_owner" if "state" in module["arguments"] else "win_listen_ports_facts")


def test_results_of_both_have_the_same_keys(site, here, there):
    _holder, port = here
    done = site.play(PLAY % {"port": port, "state": "present", "check": "false"})
    found = {host: set(keys(done[host]["result"])) for host in done}
    # Python's module says which invocation and interpreter it was; that is Ansible's, not ours.
    ansibles = {
        key for keys_ in found.values() for key in keys_ if key.startswith(("ansible_facts", "invocation", "warnings"))
    }
    assert found["here"] - ansibles <= found["there"], sorted(found["here"] - ansibles - found["there"])
    rows = {host: set(done[host]["facts"]["tcp_listen"][0]) for host in done}
    assert rows["here"] == rows["there"]
