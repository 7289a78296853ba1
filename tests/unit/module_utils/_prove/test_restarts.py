# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who starts again what was stopped: real watchers, which live on."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.harbormaster.ports.plugins.module_utils import _argspec, _conductor, _report

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="by design: looks at Linux")
OPTIONS = ArgumentSpecValidator(_argspec.port_owner()["argument_spec"])

# A child that listens, and is started again so many seconds after its end.
WATCHER = """#!%s
import os, socket, sys, time
while True:
    child = os.fork()
    if child == 0:
        server = socket.socket()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", int(sys.argv[1])))
        server.listen()
        time.sleep(120)
        os._exit(0)
    os.waitpid(child, 0)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def watcher(tmp_path):
    """Starts a watcher of this name and patience; gives its pid and the port of its child."""
    started = []

    def start(name, seconds):
        path = tmp_path / name
        path.write_text(WATCHER % sys.executable)
        path.chmod(0o755)
        with socket.socket() as one:
            one.bind(("127.0.0.1", random.randint(28000, 28999)))
            port = one.getsockname()[1]
        process = subprocess.Popen([str(path), str(port), str(seconds)], start_new_session=True)
        started.append(process)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        return process.pid, port

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free(port, check_mode=False, **options):
    checked = OPTIONS.validate({"port": "%d/tcp" % port, "state": "free", "address": "127.0.0.1", **options})
    assert not checked.error_messages, checked.error_messages
    story = _conductor.run(checked.validated_parameters, check_mode)
    return _report.result(story, time.time())


def test_a_watcher_that_takes_four_seconds_is_waited_for(watcher):
    _pid, port = watcher("honcho", 4)
    done = free(port)
    assert done["reason"] == "respawned", done
    assert "honcho" in done["msg"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_slower_one_is_named_and_check_mode_says_the_same(watcher, check_mode):
    pid, port = watcher("foreman", 60)
    done = free(port, check_mode)
    assert "reason" not in done, done
    assert done["actions"][0]["may_restart"] == ["its parent foreman (pid %d)" % pid]
    assert "its parent foreman (pid %d) lives and may start it again" % pid in done["msg"]
    assert check_mode or "nothing took it back for 6 s" in done["msg"], done["msg"]


def test_one_that_has_ended_meanwhile_is_not_named(watcher, monkeypatch):
    pid, port = watcher("foreman", 60)
    real = _conductor._rounds

    def and_end(*arguments):
        os.kill(pid, signal.SIGSTOP)
        real(*arguments)
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)

    monkeypatch.setattr(_conductor, "_rounds", and_end)
    done = free(port)
    assert "reason" not in done, done
    assert done["actions"][0]["may_restart"] == [] and "may start it again" not in done["msg"]


def test_what_was_said_is_waited_for_and_no_more(watcher):
    _pid, port = watcher("honcho", 4)
    done = free(port, settle=0.2)
    assert "reason" not in done and "nothing took it back for 0.2 s" in done["msg"], done
