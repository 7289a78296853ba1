# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

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
