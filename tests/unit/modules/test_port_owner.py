# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as a target runs it: a process that reads its arguments and writes one JSON object, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from ansible_collections.harbormaster.ports.tests.vectors.vectors import bad_input

BAD_INPUT = bad_input("linux")
MODULE = "ansible_collections.harbormaster.ports.plugins.modules.port_owner"
DEADLINE = 60

# What Ansible's wrapper does around a module. The profile is asked for by ansible-core 2.19 and newer.
WRAPPER = """
import runpy, sys
from ansible.module_utils import basic
basic._ANSIBLE_ARGS = sys.stdin.buffer.read()
basic._ANSIBLE_PROFILE = "legacy"
runpy.run_module(%r, run_name="__main__", alter_sys=True)
"""


class Run:
    """One run of the module in a process of its own. ``result`` is its JSON."""

    def __init__(self, options, check=False, diff=False, before="", **environment):
        arguments = dict(options, _ansible_check_mode=check, _ansible_diff=diff)
        path = os.pathsep.join(entry for entry in sys.path if entry)
        done = subprocess.run(
            [sys.executable, "-c", before + WRAPPER % MODULE],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(os.environ, PYTHONPATH=path, PYTHONDONTWRITEBYTECODE="1", **environment),
            timeout=DEADLINE,
            check=False,
        )
        self.errors = done.stderr.decode()
        self.code = done.returncode
        try:
            self.result = json.loads(done.stdout)
        except ValueError:
            pytest.fail("no JSON but %r, and %s" % (done.stdout, self.errors), pytrace=False)
        assert "Traceback" not in self.errors
        assert "Traceback" not in json.dumps(self.result)


def closed_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


# Bad input --------------------------------------------------------------------------------------------------------

NONSENSE = [
    {"port": "9" * 5000},
    {"port": "1-" + "9" * 5000},
    {"port": 80, "signal": "9" * 5000},
    {"port": "\ud800"},
    {"port": 80, "address": "1" * 5000},
    {"port": 80, "owner": ["\ud800", "[", "[!", "\0", "*" * 200]},
    {"port": "x" * 100000},
    {"port": 80, "timeout": "1e400"},
    {"port": 80, "timeout": "1_000_000"},
    {"port": 80, "grace_period": "-0x1"},
    {"port": [None]},
    {"port": [[80]]},
    {"port": [{"port": 80}]},
    {"plan": [{"port": None}]},
    {"plan": [None]},
    {"plan": "80"},
    {"plan": {"port": 80}},
    {"port": 80, "signal": None},
    {"port": 80, "state": None},
    {"port": 80, "owner": {"name": "nginx"}},
    {"port": 80, "protect": None},
    {"port": 80, "backend": "psutil", "state": []},
]

# Loads everything once and runs the module in a fork for each of the arguments: a process of its own, without the
# quarter of a second that Python and Ansible need to begin.
MANY = """
import json, os, runpy, sys, tempfile, traceback
from ansible.module_utils import basic
basic._ANSIBLE_PROFILE = "legacy"
from %(module)s import main
answers = []
for wish in json.load(sys.stdin):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if not pid:
            code = 99
            try:
                os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
                basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": wish}).encode()
                runpy.run_module(%(module)r, run_name="__main__", alter_sys=True)
            except SystemExit as end:
                code = end.code
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush(), sys.stderr.flush()
                os._exit(code or 0)
        status = os.waitpid(pid, 0)[1]
        out.seek(0), err.seek(0)
        answers.append((status >> 8, out.read().decode(), err.read().decode()))
json.dump(answers, sys.stdout)
"""


def as_json(wish):
    """YAML has numbers that JSON lacks: these reach a module as text."""
    return json.loads(json.dumps(wish).replace("NaN", '"nan"').replace("Infinity", '"inf"'))


@pytest.fixture(scope="module")
def answers():
    """(exit code, standard output, standard error) of each bad input, by its JSON."""
    wishes = [as_json(case["wish"]) for case in BAD_INPUT] + NONSENSE
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MANY % {"module": MODULE}],
        input=json.dumps(wishes).encode(),
        stdout=subprocess.PIPE,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry)),
        # all of them, one after the other
        timeout=10 * DEADLINE,
        check=True,
    )
    return {json.dumps(wish): answer for wish, answer in zip(wishes, json.loads(done.stdout))}


@pytest.mark.parametrize("case", BAD_INPUT, ids=lambda case: "%s-%.60r" % (case["option"], case["wish"]))
def test_bad_value_is_one_clear_sentence(answers, case):
    code, output, errors = answers[json.dumps(as_json(case["wish"]))]
    assert "Traceback" not in errors
    assert code == 1
    result = json.loads(output)
    message = result["msg"]
    assert result["failed"] is True
    assert case["value"] in message
    assert case["says"] in message
    assert "\n" not in message
    if case.get("by") == "ansible":
        assert case["option"].split(".")[-1] in message
    else:
        assert message.startswith(case["option"] + ": ")
        assert result["reason"] == "bad_option"
        assert not result.get("changed")


@pytest.mark.parametrize("wish", NONSENSE, ids=lambda wish: "%.60r" % (wish,))
def test_nonsense_never_ends_in_a_traceback(answers, wish):
    """Whatever it is, the answer is JSON with a message (some of these are even usable: null is the default)."""
    code, output, errors = answers[json.dumps(wish)]
    assert "Traceback" not in errors
    result = json.loads(output)
    assert code == (1 if result.get("failed") else 0)
    assert 0 < len(result["msg"]) < 2000


def test_a_backend_that_is_not_there_is_named():
    hide = "import sys; sys.modules['psutil'] = None\n"
    result = Run({"port": 80, "backend": "psutil"}, before=hide).result
    assert result["failed"] is True
    assert "psutil" in result["msg"]


def test_too_few_descriptors_are_a_sentence():
    few = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (%d, %d))\n"
    for most in (4, 6, 9):
        # Python's own imports need some; from the first number on with which it starts, every run answers.
        last = "from ansible_collections.harbormaster.ports.plugins.modules import port_owner\n" + few % (most, most)
        result = Run({"port": closed_port()}, before=last).result
        assert result["msg"]


# Results ----------------------------------------------------------------------------------------------------------


def test_report_of_a_port_that_is_held(listener):
    run = Run({"port": "%d/tcp" % listener})
    assert run.code == 0
    assert run.result["changed"] is False
    assert run.result["free"] is False
    assert run.result["ports"][0]["status"] == "held"
    assert [owner["pid"] for owner in run.result["owners"]] == [os.getpid()]
    assert "reason" not in run.result


def test_report_of_a_port_that_is_free():
    run = Run({"port": "%d/tcp" % closed_port()})
    assert (run.code, run.result["changed"], run.result["free"]) == (0, False, True)
    assert run.result["owners"] == []
    assert run.result["ports"][0]["bindable"] is True


def test_our_own_ancestor_is_refused(listener):
    """This very process started the module, so it is never stopped."""
    run = Run({"port": "%d/tcp" % listener, "state": "free", "unprotect": ["*"], "method": "signal"})
    assert run.code == 1
    assert run.result["failed"] is True
    assert run.result["reason"] == "own_ancestor"
    assert run.result["changed"] is False
    assert run.result["ports"][0]["blocked_by"]["code"] == "own_ancestor"
    assert "nothing was stopped" in run.result["msg"]


def test_a_missing_owner_fails_with_everything_that_was_found():
    run = Run({"port": "%d/tcp" % closed_port(), "owner": "nginx"})
    assert run.code == 1
    assert run.result["reason"] == "not_held"
    assert {"msg", "free", "ports", "owners", "actions", "elapsed"} <= set(run.result)


def test_an_empty_plan_asks_for_nothing():
    run = Run({"plan": [], "state": "free"})
    assert (run.code, run.result["changed"], run.result["free"], run.result["ports"]) == (0, False, True, [])


def test_check_mode_predicts_what_the_real_run_does_and_a_second_run_changes_nothing(hold):
    holder = hold()
    options = {"port": "%d/tcp" % holder.port, "state": "free", "settle": 0}
    predicted = Run(options, check=True, diff=True)
    assert holder.process.poll() is None, "check mode stopped it"
    real = Run(options, diff=True)
    assert real.code == 0
    assert holder.process.wait(10) == -signal.SIGTERM
    for key in ("changed", "free", "ports", "diff"):
        assert predicted.result[key] == real.result[key], key
    fleeting = ("result", "seconds")
    actions = [{key: action[key] for key in action if key not in fleeting} for action in real.result["actions"]]
    assert actions == [
        {key: action[key] for key in action if key not in fleeting} for action in predicted.result["actions"]
    ]
    assert [action["result"] for action in predicted.result["actions"]] == ["predicted"]
    assert [action["result"] for action in real.result["actions"]] == ["done"]
    second = Run(options, diff=True)
    assert (second.code, second.result["changed"], second.result["actions"]) == (0, False, [])
    assert second.result["diff"]["before"] == second.result["diff"]["after"]


def test_diff_is_there_only_when_it_was_asked_for(hold):
    holder = hold()
    options = {"port": "%d/tcp" % holder.port}
    assert "diff" not in Run(options).result
    assert "held" in Run(options, diff=True).result["diff"]["before"]


def test_a_holder_that_outlives_its_grace_period_is_a_failure_that_names_it(hold):
    holder = hold("deaf")
    options = {"port": "%d/tcp" % holder.port, "state": "free", "grace_period": 0.3, "force": False}
    result = Run(options).result
    assert holder.process.poll() is None
    assert (result["failed"], result["reason"]) == (True, "still_held")
    assert result["changed"] is True, "a signal was sent"
    assert result["free"] is False
    assert result["ports"][0]["status"] == "held"
    assert result["ports"][0]["blocked_by"]["code"] == "still_held"
    assert result["actions"][0]["result"] == "failed"
    assert str(holder.pid) in result["msg"]


def test_a_warning_comes_as_a_warning():
    with open("/proc/sys/net/ipv4/ip_local_port_range") as stream:
        first = int(stream.read().split()[0])
    result = Run({"port": "%d/udp" % first, "state": "free"}, check=True).result
    assert any(str(first) in str(warning) for warning in result.get("warnings", []))
