# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""listen_ports_facts, on_port and port_free with the real command lines of every ansible-core that is offered.

HARBORMASTER_ANSIBLE_BIN names their folders, as in test_short_names.py.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("short_names", Path(__file__).with_name("test_short_names.py"))
short_names = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(short_names)
site, real, holder = short_names.site, short_names.real, short_names.holder

MODULE = "harbormaster.ports.listen_ports_facts"
PLAY = """\
    - hosts: localhost
      gather_facts: %s
      tasks:
"""
KEEP = """\
        - copy: {content: "{{ ansible_facts | to_json }}", dest: "{{ seen }}"}
"""
# Its own bound of 10 s is for machines that do nothing else.
SETUP = "ansible.builtin.setup: {gather_subset: ['!all', min], gather_timeout: 100}"


@pytest.fixture
def free_port():
    with short_names.socket.socket() as one:
        return short_names.bind_below_ephemeral(one)


def on(rows, port):
    return [row for row in rows if row["port"] == port]


# What the documentation of community.general's module does with its facts.
AS_DOCUMENTED = """\
        - harbormaster.ports.listen_ports_facts:

        - name: Ports that are on a list
          ansible.builtin.debug:
            msg: "TCP {{ item.port }} is held by pid {{ item.pid }}"
          loop: "{{ ansible_facts.tcp_listen | selectattr('port', 'in', [%(port)d, 25]) | list }}"

        - name: Ports of either protocol, and of both
          ansible.builtin.assert:
            that:
              - "%(port)d in ansible_facts.tcp_listen | map(attribute='port') | sort | list"
              - "ansible_facts.udp_listen | map(attribute='port') | sort | list is sequence"
              - "%(port)d in (ansible_facts.tcp_listen + ansible_facts.udp_listen) | map(attribute='port') | unique | sort | list"

        - name: All sockets, by a named command
          harbormaster.ports.listen_ports_facts:
            command: netstat
            include_non_listening: true
"""


def test_as_community_general_documents_it(real, holder):
    text = PLAY % "false" + AS_DOCUMENTED % {"port": holder.port} + KEEP
    found = real.play(text)
    (row,) = on(found["tcp_listen"], holder.port)
    assert (row["pid"], row["state"], row["foreign_address"]) == (holder.process.pid, "LISTEN", "0.0.0.0:*")
    shown = real.run("ansible-playbook", str(real.folder / "play.yml"), "-e", "seen=%s" % (real.folder / "x")).stdout
    assert "TCP %d is held by pid %d" % (holder.port, holder.process.pid) in shown


@pytest.mark.matrix
@pytest.mark.parametrize(
    "options", ["", "{tcp_filter: [Closing, Established]}", "{date_uformat: '%Y'}"], ids=["plain", "filter", "date"]
)
def test_as_ansible_windows_documents_it(real, holder, options):
    found = real.play(PLAY % "false" + "        - %s: %s\n" % (MODULE, options) + KEEP)
    rows = on(found["tcp_listen"], holder.port)
    if "filter" in options:
        assert rows == []
        assert {row["state"] for row in found["tcp_listen"]} <= {"CLOSING", "ESTABLISHED"}
    else:
        assert [row["pid"] for row in rows] == [holder.process.pid]
        assert len(rows[0]["stime"]) == (4 if options else 24)


@pytest.mark.matrix
def test_ad_hoc(real, holder):
    word, result = real.ad_hoc(MODULE)
    assert (word, result["changed"]) == ("SUCCESS", False)
    (row,) = on(result["ansible_facts"]["tcp_listen"], holder.port)
    assert row["user"] == pwd.getpwuid(os.geteuid()).pw_name


def test_ad_hoc_by_its_short_name(real, holder):
    result = real.ad_hoc("listen_ports_facts", "-a", "details=none")[1]
    (row,) = on(result["ansible_facts"]["tcp_listen"], holder.port)
    assert (row["pid"], row["owner_status"]) == (None, "not_asked")


@pytest.mark.parametrize(
    "modules", ["smart", *(pytest.param(some, marks=pytest.mark.matrix) for some in ("setup", "ansible.builtin.setup"))]
)
def test_facts_modules(real, holder, modules):
    """Together with the usual facts, one after the other, with module_defaults."""
    found = gathered(real, modules, SETUP, "parallel: false")
    (row,) = on(found["tcp_listen"], holder.port)
    assert row["pid"] == holder.process.pid
    assert "signal.pause" in row["command"]
    assert found["python"]["version"]["major"] == 3, "the usual facts are there too"


def test_facts_modules_in_parallel(real, holder):
    """Beside another one than setup, which ansible-core ends after five seconds then; a busy machine takes longer."""
    found = gathered(real, "ansible.builtin.service_facts", "", "parallel: true, gather_timeout: 100")
    (row,) = on(found["tcp_listen"], holder.port)
    assert row["pid"] == holder.process.pid
    assert "signal.pause" in row["command"]
    assert "services" in found


def gathered(real, modules, defaults, options):
    """What gather_facts finds with these modules and ours."""
    assert "ANSIBLE_FACTS_MODULES" not in os.environ
    text = """\
    - hosts: localhost
      gather_facts: false
      module_defaults:
        harbormaster.ports.listen_ports_facts: {details: full}
        %s
      tasks:
        - gather_facts: {%s}
"""
    return run_with_modules(real, text % (defaults, options) + KEEP, modules + "," + MODULE)


@pytest.mark.parametrize("defaults", [MODULE, "group/harbormaster.ports.ports"])
def test_a_play_that_gathers_by_itself(real, holder, defaults):
    text = PLAY % "true\n      module_defaults:\n        %s: {details: none}\n        %s" % (defaults, SETUP) + KEEP
    text = text.replace("tasks:\n\n", "tasks:\n")
    # In parallel, they would have five seconds each.
    found = run_with_modules(real, text, "smart,%s" % MODULE, ansible_facts_parallel=False)
    (row,) = on(found["tcp_listen"], holder.port)
    assert (row["pid"], row["owner_status"]) == (None, "not_asked")
    assert found["system"] == "Linux"


def run_with_modules(real, text, modules, **variables):
    """As `Site.play`, with FACTS_MODULES, by a variable of the play."""
    return real.play(text, "-e", json.dumps({"ansible_facts_modules": modules, **variables}))


QUESTIONS = """\
        - harbormaster.ports.listen_ports_facts:
            details: full
        - assert:
            that:
              - ansible_facts is not harbormaster.ports.port_free(%(port)d)
              - ansible_facts is not harbormaster.ports.port_free('%(port)d/tcp')
              - ansible_facts is harbormaster.ports.port_free('%(port)d/udp')
              - ansible_facts is harbormaster.ports.port_free(%(port)d, address='127.0.0.2')
              - ansible_facts is harbormaster.ports.port_free(%(free)d)
              - ansible_facts | harbormaster.ports.on_port(%(port)d) | map(attribute='pid') == [%(pid)d]
              - ansible_facts | harbormaster.ports.on_port('%(port)d', owner='py*') | length == 1
              - ansible_facts | harbormaster.ports.on_port(%(port)d, owner='nginx') == []
              - ansible_facts | harbormaster.ports.on_port(%(port)d, 'udp') == []
              - ansible_facts.tcp_listen | harbormaster.ports.on_port(%(port)d) | length == 1
"""


def test_questions_in_a_play(real, holder, free_port):
    text = QUESTIONS % {"port": holder.port, "free": free_port, "pid": holder.process.pid}
    assert on(real.play(PLAY % "false" + text + KEEP)["tcp_listen"], holder.port)


@pytest.mark.matrix
@pytest.mark.parametrize(
    "question",
    [
        "ansible_facts is harbormaster.ports.port_free(80)",
        "ansible_facts is not harbormaster.ports.port_free(80)",
        "no_such_facts is harbormaster.ports.port_free(80)",
        "ansible_facts.nothing is harbormaster.ports.port_free(80)",
        "(ansible_facts | harbormaster.ports.on_port(80)) == []",
        "(no_such_facts | harbormaster.ports.on_port(80)) == []",
    ],
)
def test_missing_facts_are_an_error(real, question):
    book = real.write("play.yml", PLAY % "false" + '        - assert: {that: "%s"}\n' % question)
    done = real.run("ansible-playbook", str(book))
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert "Assertion failed" not in said
    # what is undefined is Ansible's own error before the question is asked
    assert any(words in said for words in ("listen_ports_facts", "undefined", "has no attribute")), said
    assert "Traceback" not in said


@pytest.mark.matrix
def test_the_documentation_is_found(real):
    for kind, name in (("module", "listen_ports_facts"), ("filter", "on_port"), ("test", "port_free")):
        done = real.run("ansible-doc", "-t", kind, "harbormaster.ports." + name)
        assert done.returncode == 0, done.stderr
        assert "harbormaster.ports" in done.stdout
