# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The socket table by /proc/net: recorded tables and made-up ones. What is live is compared in test_netlink.py."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData, SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import procnet
from hypothesis import given
from hypothesis import strategies as some

TABLES = yaml.safe_load((Path(__file__).resolve().parents[2] / "data" / "proc_net.yml").read_text(encoding="utf-8"))
IDS = ["%(protocol)s over %(family)s" % case for case in TABLES]
TITLE = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ROW = b"   0: 0100007F:4E21 00000000:0000 0A 00000000:00000001 00:00000000 00000000  1000        0 137395 2 0 100 0 0 10 0\n"

little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="by design: recorded on a little-endian machine")


@little_endian
@pytest.mark.parametrize("case", TABLES, ids=IDS)
def test_recorded_tables(case):
    rows = procnet.parse_table(case["table"].encode(), case["protocol"], case["family"])
    seen = [
        [row.address, row.port, row.state, row.remote_address, row.remote_port, row.uid, row.inode, row.rqueue]
        for row in rows
    ]
    assert seen == case["rows"]
    assert {(row.protocol, row.family) for row in rows} == {(case["protocol"], case["family"])}
    assert {(row.v6only, row.interface, row.diag_id) for row in rows} == {(None, 0, b"")}


@pytest.mark.parametrize(
    ("order", "word", "family", "address"),
    [
        ("little", "0100007F", "ipv4", "127.0.0.1"),
        ("big", "7F000001", "ipv4", "127.0.0.1"),
        ("little", "B80D0120000000000000000001000000", "ipv6", "2001:db8::1"),
        ("big", "20010DB8000000000000000000000001", "ipv6", "2001:db8::1"),
        ("little", "0000000000000000FFFF00000100007F", "ipv6", "127.0.0.1"),
        ("big", "00000000000000000000FFFF7F000001", "ipv6", "127.0.0.1"),
    ],
)
def test_addresses_are_words_of_the_machine(monkeypatch, order, word, family, address):
    monkeypatch.setattr(sys, "byteorder", order)
    none = "0" * len(word)
    line = "0: %s:1F90 %s:0000 0A 00000000:00000000 00:00000000 00000000 0 0 7\n" % (word, none)
    (row,) = procnet.parse_table(TITLE + line.encode(), "tcp", family)
    assert (row.address, row.port) == (address, 8080)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"0100007F", b"0100007"),
        (b"0100007F", b"0x00007F"),
        (b"0100007F", b"01 0007F"),
        (b"0100007F:4E21", b"0100007F"),
        (b":4E21", b":4E"),
        (b":4E21", b":_E21"),
        (b":4E21", b":+E21"),
        (b" 0A ", b" 0D "),
        (b" 0A ", b" 00 "),
        (b" 0A ", b" 0a "),
        (b" 1000 ", b" -1 "),
        (b" 1000 ", b" 1_0 "),
        (b"137395", b"13x395"),
        (b"137395", b"9" * 21),
        (b":00000001 ", b":1 "),
    ],
)
def test_words_that_can_not_be(old, new):
    assert procnet.parse_table(TITLE + ROW, "tcp", "ipv4")
    assert old in ROW
    with pytest.raises(MalformedData):
        procnet.parse_table(TITLE + ROW.replace(old, new, 1), "tcp", "ipv4")


def test_a_table_cut_anywhere_is_refused_or_has_whole_rows_only():
    whole = procnet.parse_table(TITLE + ROW + ROW, "tcp", "ipv4")
    data = TITLE + ROW + ROW
    for size in range(len(data)):
        try:
            rows = procnet.parse_table(data[:size], "tcp", "ipv4")
        except MalformedData:
            continue
        assert size in (len(TITLE), len(TITLE + ROW))
        assert rows == whole[: len(rows)]


def test_an_empty_table():
    assert procnet.parse_table(TITLE, "tcp", "ipv4") == []
    for nothing in (b"", b"\n", ROW):
        with pytest.raises(MalformedData):
            procnet.parse_table(nothing, "tcp", "ipv4")


@given(
    some.sampled_from([TITLE + ROW, *(case["table"].encode() for case in TABLES)]),
    some.lists(some.tuples(some.integers(0, 1200), some.binary(max_size=3)), max_size=5),
    some.sampled_from(["tcp", "udp"]),
    some.sampled_from(["ipv4", "ipv6"]),
)
def test_mutated_tables_are_understood_or_refused(table, changes, protocol, family):
    data = bytearray(table)
    for offset, value in changes:
        data[offset : offset + 1] = value
    try:
        rows = procnet.parse_table(bytes(data), protocol, family)
    except MalformedData:
        return
    assert all(0 <= row.port <= 65535 and row.inode >= 0 for row in rows)


@given(some.binary(max_size=300))
def test_any_bytes_are_understood_or_refused(data):
    for protocol in ("tcp", "udp"):
        try:
            procnet.parse_table(TITLE + data, protocol, "ipv4")
        except MalformedData:
            pass


class Files:
    """Stands in for open(): only these files are there."""

    def __init__(self, monkeypatch, tmp_path, **files):
        def fake(path, mode="r", **keywords):
            name = path.rpartition("/")[2]
            if name not in files:
                raise FileNotFoundError(2, "No such file or directory")
            if isinstance(files[name], OSError):
                raise files[name]
            real = tmp_path / name
            real.write_bytes(files[name])
            return builtins.open(real, mode, **keywords)

        monkeypatch.setattr(procnet, "open", fake, raising=False)


def test_without_ipv6_there_is_no_table_for_it(monkeypatch, tmp_path):
    Files(monkeypatch, tmp_path, tcp=TITLE + ROW, udp=TITLE)
    assert [(row.family, row.port) for row in procnet.read()] == [("ipv4", 20001)]


@pytest.mark.parametrize(
    "files",
    [
        {"udp": TITLE},
        {"tcp": PermissionError(13, "Permission denied"), "udp": TITLE},
        {"tcp": TITLE, "udp": TITLE, "tcp6": PermissionError(13, "Permission denied")},
    ],
    ids=["none for IPv4", "forbidden", "forbidden for IPv6"],
)
def test_a_table_that_is_not_shown_is_a_refusal(monkeypatch, tmp_path, files):
    Files(monkeypatch, tmp_path, **files)
    with pytest.raises(SourceRefused):
        procnet.read(((80, 80),))


def test_rows_at_the_seam_of_two_pages_count_once(monkeypatch, tmp_path):
    other = ROW.replace(b"137395", b"137396")
    Files(monkeypatch, tmp_path, tcp=TITLE + ROW + other + ROW, udp=TITLE)
    # Two sockets of a SO_REUSEPORT group differ in their inode.
    assert [row.inode for row in procnet.read()] == [137395, 137396]


def test_only_the_protocols_that_are_asked_for_are_read(monkeypatch, tmp_path):
    Files(monkeypatch, tmp_path, tcp=TITLE + ROW)
    assert len(procnet.read(None, ("tcp",))) == 1
    assert procnet.read(((80, 80),), ("tcp",)) == []
