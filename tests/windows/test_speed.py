# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A big host: 1,000 listeners and 500 processes. Every call into Windows is counted: lists are read once, and rows cost none.

The cost per listener is printed (``pytest -s`` or the report of a failure shows it); nothing is judged by a clock, which under Wine says
little.
"""

from __future__ import annotations

import time

import pytest

from windows import powershell, rig

FACTS = rig.NAMESPACE + "Facts.ListenPortsFacts.Run"
OWNER = rig.NAMESPACE + "Conductor.PortOwner.Run"
LIBRARIES = ("iphlpapi", "kernel32", "advapi32", "ntdll")
# Calls that read a whole list. A table that grows is asked again: with its size, and once more when it grew meanwhile.
TABLES = {"GetExtendedTcpTable": 6, "GetExtendedUdpTable": 6}
LISTS = {"CreateToolhelp32Snapshot": 1, "EnumServicesStatusExW": 2}
LISTENERS, PROCESSES = 1000, 500
HERD, EACH = 50, 2  # holders that are many, beside one that has many


@pytest.fixture(scope="module")
def counting(tools, csharp):
    return rig.program(csharp, rig.utils(), powershell.specs(), counted=LIBRARIES)


@pytest.fixture(scope="module")
def big():
    """A Windows of its own, so that nobody else is counted."""
    made = rig.Prefix("big")
    made.drop()
    made = rig.Prefix("big")
    yield made
    made.drop()


def counted(prefix, app, module, method, **options):
    """A run and its calls into Windows, by name."""
    result = prefix.module(app, module, method, options)
    assert "failed" not in result.data, result.data.get("msg")
    calls = prefix.calls()
    assert calls, "nothing was counted"
    return result, calls


def once_each(calls):
    for name, most in {**TABLES, **LISTS}.items():
        assert calls.get(name, 0) <= most, "%s was called %d times" % (name, calls[name])


def wait_for_children(animal, count, seconds=240):
    end = time.monotonic() + seconds
    while animal.said().count("ready") < count:
        assert time.monotonic() < end, "%d of %d are ready" % (animal.said().count("ready"), count)
        time.sleep(0.2)


def test_a_thousand_listeners_of_five_hundred_processes(big, counting, record_property):
    holder = str(rig.native("holder"))
    small = big.start(holder, "crowd", "tcp4", "127.0.0.1", "22000", "10")
    few, few_calls = counted(big, counting, "win_listen_ports_facts", FACTS)
    assert [row["pid"] for row in few.data["ansible_facts"]["tcp_listen"]] == [small.pid] * 10
    once_each(few_calls)

    many = LISTENERS - 10 - HERD * EACH
    crowd = big.start(holder, "crowd", "tcp4", "127.0.0.1", "23000", str(many))
    rows, row_calls = counted(big, counting, "win_listen_ports_facts", FACTS)
    assert len(rows.data["ansible_facts"]["tcp_listen"]) == 10 + many
    # One process more, 890 rows more: only what is asked of each process may grow, and the sizing of a table.
    processes = {name for name, count in row_calls.items() if count > few_calls.get(name, 0)}
    for name in processes - set(TABLES):
        assert row_calls[name] - few_calls.get(name, 0) <= 2, "%s is called for each row" % name

    herd = big.start(holder, "herd", "tcp4", "127.0.0.1", "25000", str(HERD), str(EACH), ready=False)
    family = big.start(holder, "family", str(PROCESSES - HERD - 4), ready=False)
    wait_for_children(herd, HERD)
    wait_for_children(family, PROCESSES - HERD - 4)
    whole, whole_calls = counted(big, counting, "win_listen_ports_facts", FACTS, details="full")
    found = whole.data["ansible_facts"]["tcp_listen"]
    assert len(found) == LISTENERS
    assert len({row["pid"] for row in found}) == HERD + 2
    assert all(row["owner_status"] == "known" and "holder.exe" in row["command"] for row in found)
    once_each(whole_calls)
    assert whole_calls["Process32NextW"] >= PROCESSES - 1, "all of them were in the one list"
    # Only processes that hold something are opened: once to look at it, once to read its command line.
    assert whole_calls["OpenProcess"] <= 2 * (HERD + 2) + 4

    none, none_calls = counted(big, counting, "win_listen_ports_facts", FACTS, details="none")
    assert len(none.data["ansible_facts"]["tcp_listen"]) == LISTENERS
    assert "OpenProcess" not in none_calls and "CreateToolhelp32Snapshot" not in none_calls

    one, one_calls = counted(big, counting, "win_port_owner", OWNER, port="23000/tcp")
    assert one.data["owners"][0]["pid"] == crowd.pid
    once_each(one_calls)
    assert one_calls["OpenProcess"] <= 20, "one port: its holder, its ancestors, and who may carry the task"

    for name, run, calls in [
        ("facts, 10", few, few_calls),
        ("facts, 1,000", whole, whole_calls),
        ("one port of 1,000", one, one_calls),
    ]:
        line = "%-18s %5.2f s, %4d calls into Windows" % (name, run.seconds, sum(calls.values()))
        print(line)
        record_property(name, line)
    print(
        "per listener: %.2f ms, %.2f calls"
        % (
            1000 * (whole.seconds - few.seconds) / (LISTENERS - 10),
            (sum(whole_calls.values()) - sum(few_calls.values())) / (LISTENERS - 10),
        )
    )
