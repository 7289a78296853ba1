# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parsers of observe: bytes of the socket tables, texts of netsh, text that is shown."""

from __future__ import annotations

import functools
import json
import struct

import pytest

from windows.stages import stage
from windows.stages.tables import BOUND_AT, table, tcp4, tcp6, udp4, udp6


@pytest.fixture(scope="module")
def understood(tools, csharp):
    return functools.partial(stage.parsed, stage.program(csharp))


def text_of(name):
    return stage.netsh_text(name).hex()


def rows_of(understood, tcp, family, data):
    return understood("Table", {"tcp": tcp, "family": family, "hex": data.hex()})


def test_tcp4_rows(understood):
    listener = tcp4(2, "0.0.0.0", 8080, "10.1.1.1", 99, 812, BOUND_AT)
    client = tcp4(5, "192.0.2.1", 8080, "192.0.2.2", 50000, 812, BOUND_AT + 1)
    rest = tcp4(11, "192.0.2.1", 8080, "192.0.2.3", 50001)
    found = rows_of(understood, True, 2, table(listener, client, rest) + b"what the buffer has behind")
    assert [(row["address"], row["port"], row["state"], row["pid"]) for row in found] == [
        ("0.0.0.0", 8080, "LISTEN", 812),
        ("192.0.2.1", 8080, "ESTABLISHED", 812),
        ("192.0.2.1", 8080, "TIME_WAIT", 0),
    ]
    # What a listener's remote members hold means nothing.
    assert [(row["remote_address"], row["remote_port"]) for row in found] == [
        ("", 0),
        ("192.0.2.2", 50000),
        ("192.0.2.3", 50001),
    ]
    assert all(row["family"] == "ipv4" and row["protocol"] == "tcp" for row in found)
    assert found[2]["id"] == 0 and found[0]["id"] > 0 and found[1]["id"] not in (0, found[0]["id"])


def test_tcp6_rows(understood):
    data = table(
        tcp6(2, "::", 8080, pid=812, created=BOUND_AT),
        tcp6(5, "fe80::1", 8080, "fe80::2", 50000, 812, scope=12),
        tcp6(5, "fe80::1", 8080, "fe80::2", 50001, 812, scope=12 << 24),
        tcp6(5, "::ffff:192.0.2.1", 8080, "::ffff:192.0.2.2", 50002, 812),
    )
    found = rows_of(understood, True, 23, data)
    assert [(row["address"], row["remote_address"], row["remote_port"]) for row in found] == [
        ("::", "", 0),
        ("fe80::1", "fe80::2", 50000),
        ("fe80::1", "fe80::2", 50001),
        ("192.0.2.1", "192.0.2.2", 50002),
    ]
    assert [row["interface"] for row in found] == [0, 12, 12, 0]
    assert {row["family"] for row in found} == {"ipv6"}


def test_udp_rows(understood):
    found = rows_of(understood, False, 2, table(udp4("0.0.0.0", 53, 44, BOUND_AT), udp4("127.0.0.1", 5353, 45)))
    found += rows_of(understood, False, 23, table(udp6("::", 53, 44, BOUND_AT), udp6("fe80::1", 1900, 46, scope=7)))
    assert [(row["address"], row["port"], row["pid"], row["interface"]) for row in found] == [
        ("0.0.0.0", 53, 44, 0),
        ("127.0.0.1", 5353, 45, 0),
        ("::", 53, 44, 0),
        ("fe80::1", 1900, 46, 7),
    ]
    assert {(row["protocol"], row["state"]) for row in found} == {("udp", "UNCONN")}


def test_every_state_has_netstats_word(understood):
    found = rows_of(
        understood, True, 2, table(*(tcp4(state, "127.0.0.1", 1, pid=4) for state in [*range(1, 13), 100, 77]))
    )
    assert [row["state"] for row in found] == (
        "CLOSE LISTEN SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT1 FIN_WAIT2 CLOSE_WAIT CLOSING LAST_ACK TIME_WAIT".split()
        + ["BOUND", "STATE_77"]
    ), "a row that Windows is deleting (12) is none"


def test_an_id_stays_while_the_socket_lives_and_only_then(understood):
    same = [tcp4(state, "192.0.2.1", 80, "192.0.2.2", 9, 812, BOUND_AT) for state in (5, 8)]
    other = [
        tcp4(5, "192.0.2.1", 80, "192.0.2.2", 9, 812, BOUND_AT + 1),
        tcp4(5, "192.0.2.1", 80, "192.0.2.2", 9, 816, BOUND_AT),
        tcp4(5, "192.0.2.1", 80, "192.0.2.2", 10, 812, BOUND_AT),
        tcp4(5, "192.0.2.1", 81, "192.0.2.2", 9, 812, BOUND_AT),
    ]
    ids = [row["id"] for row in rows_of(understood, True, 2, table(*same, *other))]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 5


@pytest.mark.parametrize(
    "data",
    [b"", b"\x01", struct.pack("<I", 1), struct.pack("<I4x", 2) + bytes(160), struct.pack("<i4x", -1) + bytes(160)],
    ids=["empty", "cut count", "no rows", "one row of two", "negative count"],
)
def test_a_table_without_its_documented_layout_is_an_error(understood, data):
    said = rows_of(understood, True, 2, data)
    assert said["error"] == "malformed_data"
    assert "TCP table" in said["message"]


def test_an_empty_table(understood):
    assert rows_of(understood, True, 2, bytes(4)) == []


# netsh --------------------------------------------------------------------------------------------------------------


def test_queues_of_an_older_windows(understood):
    winrm, pool = understood("Queues", text_of("queues-server2008-en.txt"))
    assert (winrm["pids"], winrm["ports"]) == ([944], [5985, 47001])
    assert winrm["urls"] == ["HTTP://+:5985/WSMAN/", "HTTP://+:47001/WSMAN/"]
    assert (pool["name"], pool["pids"], pool["ports"]) == ("DefaultAppPool", [], [80, 443])
    assert 1868 in pool["numbers"], "the process that controls it"


def test_queues_of_a_newer_windows(understood):
    winrm, shop = understood("Queues", text_of("queues-server2022-en.txt"))
    assert (winrm["pids"], winrm["ports"]) == ([2688], [5985, 5986])
    assert (shop["name"], shop["pids"], shop["ports"]) == ("shop", [4120, 4376], [8080])


@pytest.mark.parametrize("name", ["queues-fr-cp850.bin", "queues-zh-cp936.bin", "queues-ja-cp932.bin"])
def test_queues_in_other_words_and_code_pages(understood, name):
    (shop,) = understood("Queues", text_of(name))
    assert (shop["pids"], shop["ports"]) == ([4120, 4376], [8080])
    assert shop["name"] == "shop"


def test_queues_of_an_older_windows_in_other_words(understood):
    (winrm,) = understood("Queues", text_of("queues-de-cp850.bin"))
    assert (winrm["pids"], winrm["ports"]) == ([944], [5985, 47001])


@pytest.mark.parametrize("text", ["", "\n\n", "The service has not been started.\r\n", "Access is denied.\r\n\r\n"])
def test_no_queues(understood, text):
    assert understood("Queues", text.encode().hex()) == []


@pytest.mark.parametrize("language", ["en", "de-cp850", "es-cp850", "zh-cp936"])
def test_excluded_ranges(understood, language):
    found = understood("Ranges", text_of("excluded-%s.txt" % language))
    assert found == [[5357, 5357, False], [50000, 50059, True], [59549, 59648, False]]


@pytest.mark.parametrize(
    "text", ["", "The following command was not found: x 1 2.\r\n", "70000 70001\r\n", "90 80\r\n", "1 2 3\r\n"]
)
def test_no_excluded_ranges(understood, text):
    assert understood("Ranges", text.encode().hex()) == []


@pytest.mark.parametrize("language", ["en", "de-cp850", "zh-cp936"])
def test_dynamic_ports(understood, language):
    assert understood("Dynamic", text_of("dynamic-%s.txt" % language)) == [1024, 15000, False]


@pytest.mark.parametrize(
    "text", ["", "Start : 0\r\nNumber : 5\r\n", "Start : 60000\r\nNumber : 9000\r\n", "Start : 1024\r\n"]
)
def test_no_dynamic_ports(understood, text):
    assert understood("Dynamic", text.encode().hex()) is None


# Text ---------------------------------------------------------------------------------------------------------------


def test_text_of_the_host_can_be_shown(understood):
    given = [
        "plain",
        "na\u00efve \u4e2d \U0001f680",
        "a\x1b[31m\r\n\x00",
        "\x9b",
        "\u202eexe.txt",
        "\u2066a\u2069",
        "C:\\x",
    ]
    assert understood("Printable", json.dumps(given)) == [
        "plain",
        "na\u00efve \u4e2d \U0001f680",
        "a\\x1b[31m\\x0d\\x0a\\x00",
        "\\x9b",
        "\\u202eexe.txt",
        "\\u2066a\\u2069",
        "C:\\x",
    ]


@pytest.mark.parametrize(
    ("value", "session"),
    [
        ("192.0.2.7 50022 192.0.2.1 22", ["192.0.2.7", 50022, "192.0.2.1", 22]),
        ("fe80::1%12 50022 fe80::2%12 22", ["fe80::1", 50022, "fe80::2", 22]),
        ("UNKNOWN 65535 UNKNOWN", None),
        ("a b c d", None),
        ("", None),
    ],
)
def test_the_ssh_session(understood, value, session):
    assert understood("Session", value) == session
