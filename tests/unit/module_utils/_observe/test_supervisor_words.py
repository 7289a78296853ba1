# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What supervisors' commands say, as recorded; and the worst that one could say."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import supervisor_words as supervisors
from ansible_collections.harbormaster.ports.tests.unit.module_utils._observe import supervisor_texts as recorded


def test_supervisorctl_status_tells_what_runs():
    assert supervisors.parse_supervisor_status(recorded.STATUS) == [
        supervisors.Told("shop", 834),
        supervisors.Told("web:web_00", 901),
    ]
    assert supervisors.parse_supervisor_status("unix:///run/supervisor.sock no such file\n") == []


def test_supervisorctl_avail_tells_what_starts_by_itself():
    assert supervisors.parse_supervisor_avail(recorded.AVAIL) == {"cron": False, "shop": True, "web:web_00": True}


@pytest.mark.parametrize(
    ("arguments", "script", "configuration"),
    [
        (
            ["/usr/bin/python3", "/usr/bin/supervisord", "-n", "-c", "/etc/supervisor/supervisord.conf"],
            "/usr/bin/supervisord",
            "/etc/supervisor/supervisord.conf",
        ),
        (
            ["/opt/v/bin/python", "/opt/v/bin/supervisord", "--configuration=my.conf"],
            "/opt/v/bin/supervisord",
            "/srv/my.conf",
        ),
        (["/usr/bin/python3", "/usr/bin/supervisord", "-c/etc/s.conf"], "/usr/bin/supervisord", "/etc/s.conf"),
        (["supervisord"], "supervisord", ""),
        ([], "", ""),
    ],
)
def test_what_supervisord_was_started_with(arguments, script, configuration):
    assert supervisors.supervisord_script(arguments) == script
    assert supervisors.supervisord_configuration(arguments, "/srv") == configuration


@pytest.mark.parametrize(
    ("text", "pid"),
    [
        ("run: /srv/rs/web: (pid 927) 5s\n", 927),
        ("run: web: (pid 12) 5s, normally down; run: log: (pid 9) 5s", 12),
        ("down: /srv/rs/web: 1s, normally up\n", 0),
        ("up (pid 917 pgid 917) 23 seconds\n", 917),
        ("up (pid 917) 23 seconds\n", 917),
        ("/srv/dt/web: up (pid 918) 31 seconds\n", 918),
        ("fail: web: runsv not running\n", 0),
    ],
)
def test_the_pid_of_a_service_directory(text, pid):
    assert supervisors.parse_service_pid(text) == pid


def test_pm2_lists_its_apps_behind_chatter():
    apps = supervisors.parse_pm2(recorded.JLIST)
    assert [(app.number, app.name, app.pid, app.cluster) for app in apps] == [
        (0, "shop", 943, False),
        (1, "clu", 965, True),
        (2, "clu", 972, True),
        (3, "down", 0, False),
    ]


@pytest.mark.parametrize("text", ["", "[PM2] Spawning PM2 daemon", "[", '[1, "x", {"name": "y"}]', "{}"])
def test_what_pm2_does_not_say_is_no_app(text):
    assert supervisors.parse_pm2(text) == []


def test_monit_tells_pids_and_its_configuration_pid_files():
    assert supervisors.parse_monit_status(recorded.MONIT) == [supervisors.Told("mweb", 1202)]
    said = supervisors.parse_monitrc(recorded.MONITRC)
    assert said.checks == {"mweb": "/run/mweb.pid", "quoted": "/run/quoted.pid"}
    assert said.includes == ["/etc/monit/conf.d/*"]


def test_what_monitrc_says_in_other_ways():
    text = "check process one\n  with pidfile '/run/a b.pid' if failed port 80 then alert\nalert x with \"check process no pidfile /x\"\n"
    assert supervisors.parse_monitrc(text).checks == {"one": "/run/a b.pid"}


def test_what_pm2_has_saved():
    text = json.dumps([{"name": "web", "status": "online"}, {"name": "off", "status": "stopped"}, {"name": "x"}, 3])
    assert supervisors.parse_pm2_dump(text) == {"web": True, "off": False, "x": True}
    assert supervisors.parse_pm2_dump("[") == {}


BIG = 128 << 10


def fill(piece, size=BIG):
    return (piece * (size // len(piece) + 1))[:size]


WORST = [
    fill("["), fill("[\n"), fill("[{"), fill("[{\n"), fill("[{}"), fill("\n[{}"), fill("[]\n"), fill("{"), fill('[{"a":'), fill('"'),
    fill("'"), fill(" "), fill("\n"), fill("\n "), fill("\t\n"), fill("a"), fill("1"), "[" + "1" * BIG, '[{"pm_id": ' + "1" * BIG + "}]",
    fill("check "), fill("check process "), fill("check process x pidfile "), fill("include "), fill("#"), fill("#\n"),
    fill("Process '"), fill("Process 'a'\n"), fill("Process 'a'\n" + " " * 100), "Process 'a'" + "\n" * BIG, "Process 'a'\n" + fill(" pid 1\n"),
    fill("(pid "), "(pid " + "1" * BIG, fill("(pid 1"), "a " + "A" * BIG, fill("a RUNNING pid 1"), "a RUNNING pid " + "1" * BIG + ",",
    "a" + " " * BIG, "a in use" + " " * BIG, fill("a in use "), fill("\\"), fill('"\\'), fill("\x0b"), fill("\u2028"),
]  # fmt: skip
PARSERS = [
    supervisors.parse_supervisor_status,
    supervisors.parse_supervisor_avail,
    supervisors.parse_service_pid,
    supervisors.parse_pm2,
    supervisors.parse_pm2_dump,
    supervisors.parse_monit_status,
    supervisors.parse_monitrc,
    lambda text: supervisors.supervisord_configuration(text.split(" "), "/"),
    lambda text: supervisors.monit_configuration(text.split(" "), "/"),
]


@pytest.mark.parametrize("number", range(len(PARSERS)))
def test_the_worst_text_takes_no_time(number):
    for text in WORST:
        began = time.process_time()
        PARSERS[number](text)
        assert time.process_time() - began < 1.0, text[:20]


def test_80000_brackets_take_no_time():
    for text in ("[" * 80000, "[\n" * 80000, "[{\n" * 80000, "[]\n" * 80000):
        began = time.process_time()
        assert supervisors.parse_pm2(text) == []
        assert time.process_time() - began < 1.0


def test_more_than_pm2_can_have_to_say_is_not_read():
    assert supervisors.parse_pm2('[{"pm_id": 1}]' + " " * (3 << 20)) == []


@pytest.mark.parametrize("pid", [True, -1, 1e9, "7", None, 1 << 40])
def test_a_pid_of_pm2_is_a_number(pid):
    (app,) = supervisors.parse_pm2(json.dumps([{"pm_id": 1, "pid": pid}]))
    assert app.pid == 0
