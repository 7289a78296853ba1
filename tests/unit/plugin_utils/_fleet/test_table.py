# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib
import re
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import baseline, page, table


def test_a_small_fleet_by_host_and_port(assemble, host, row):
    report = assemble(
        host("web2", row(443, service="nginx.service"), row(22, "sshd")),
        host("web1", row(80, "nginx"), row(80, "nginx", address="::")),
    )
    assert table.lines(report, 40) == [
        "HOST  PORT     OWNER  USER  SERVICE        SINCE                 NOTE",
        "web1  80/tcp   nginx  root                 2026-03-01 06:12:44Z",
        "web2  22/tcp   sshd   root                 2026-03-01 06:12:44Z",
        "web2  443/tcp  nginx  root  nginx.service  2026-03-01 06:12:44Z",
    ]


def test_what_needs_a_look_comes_first_where_there_is_no_room(assemble, host, row):
    then = assemble(host("a", row(80), row(82)), host("b", row(80)))
    report = assemble(
        host(
            "a",
            *(row(port) for port in range(100, 150)),
            row(80),
            row(81, None),
            wishes=["80/tcp", {"port": "79/tcp", "owner": ["x"]}],
        ),
        host("b", facts={"unreachable": True, "msg": "No route to host"}),
        earlier=baseline.read(page.to_json(then).encode(), "all"),
    )
    lines = table.lines(report, 3)
    assert len(lines) == 5
    assert "UNREACHABLE: No route to host" in lines[1]
    assert "80/tcp" in lines[2]
    assert "in the way" in lines[2]
    assert "gone, before: nginx (root)" in "\n".join(table.lines(report, 60))
    assert lines[4] == "... and %d more" % (len(table.lines(report, 1000)) - 1 - 3)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (
            "Task failed: Failed to connect to the host via ssh: ssh: connect to host 192.0.2.7 port 22: No route to host",
            "No route to host",
        ),
        (
            "Failed to connect to the host via ssh: ssh: Could not resolve hostname web9: Name or service not known",
            "Name or service not known",
        ),
        (
            "Failed to connect to the host via ssh: Warning: Permanently added '192.0.2.7' (ED25519) to the list of known hosts."
            "\r\nroot@192.0.2.7: Permission denied (publickey).",
            "root@192.0.2.7: Permission denied (publickey).",
        ),
        (
            'Data could not be sent to remote host "web9". Make sure this host can be reached over ssh: ssh: connect to host web9 '
            "port 22: Connection refused\r\n",
            "Connection refused",
        ),
        (
            "ntlm: HTTPSConnectionPool(host='win1', port=5986): Max retries exceeded with url: /wsman (Caused by NewConnectionError("
            "'<urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno 111] Connection refused'))",
            "Connection refused",
        ),
        ("Failed to connect to the host via ssh: ", "Failed to connect to the host via ssh:"),
        (
            "Timeout (12s) waiting for privilege escalation prompt",
            "Timeout (12s) waiting for privilege escalation prompt",
        ),
    ],
)
def test_of_a_host_that_was_not_reached_the_cause_comes_first(assemble, host, said, cause):
    report = assemble(host("lost1", facts={"unreachable": True, "msg": said}))
    note = table.lines(report, 40)[1].partition("UNREACHABLE: ")[2]
    assert note == cause
    assert len(report["hosts"][0]["message"]) >= len(said.strip()), "the page and the JSON have it whole"


@pytest.mark.parametrize("said", ["Task failed: " * 40000, "Caused by X(" * 40000, "ssh: connect to host " * 40000])
def test_the_cause_of_a_long_message_is_found_at_once(said):
    began = time.process_time()
    table._cause(said)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("status", sorted(set(table.WHY_UNKNOWN) - {"kernel", "none"}))
def test_why_an_owner_is_unknown_is_told_in_words(assemble, host, row, status):
    (line,) = table.lines(assemble(host("a", row(80, None, owner_status=status))), 40)[1:]
    assert line.endswith("unknown owner: " + table.WHY_UNKNOWN[status]), "and in whole, in the widest note"


def test_the_page_says_it_in_the_same_words():
    web = pathlib.Path(table.__file__).parent / "web" / "model.js"
    words = re.search(r"const WHY_UNKNOWN = \{(.*?)\};", web.read_text(encoding="utf-8"), re.DOTALL).group(1)
    assert dict(re.findall(r"(\w+): '([^']*)'", words)) == table.WHY_UNKNOWN


def test_a_port_with_a_conflict_is_one_line(assemble, host, row):
    lines = table.lines(assemble(host("a", row(80, "java"), wishes=["80/tcp"])), 40)
    assert len(lines) == 2
    assert "java" in lines[1]
    assert "in the way" in lines[1]


@pytest.mark.parametrize("width", ["名前" * 20, "é" * 99, "e\u0301" * 99])
def test_columns_stay_columns(assemble, host, row, width):
    lines = table.lines(assemble(host("a", row(80, width), row(81, "x"))), 40)
    assert len({table._width(line[: line.index("2026-03-01 06:12")]) for line in lines[1:]}) == 1


def test_nothing_is_a_table_too(assemble):
    assert table.lines(assemble(), 40) == ["HOST  PORT  OWNER  USER  SERVICE  SINCE  NOTE"]


def test_no_rows_at_all(assemble, host, row):
    assert table.lines(assemble(host("a", row(80))), 0)[1:] == ["... and 1 more"]


def test_a_host_cannot_move_the_cursor(assemble, host, row):
    text = "\n".join(
        table.lines(
            assemble(host("a", row(80, "x\x1b[2J\u202e\r\n")), host("b", facts={"failed": True, "msg": "\x1b[31m"})), 40
        )
    )
    assert "\x1b" not in text
    assert "\u202e" not in text
