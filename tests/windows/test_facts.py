# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""win_listen_ports_facts on real sockets of a Windows: the real tables, real processes, a real service."""

from __future__ import annotations

import time

import pytest

from windows import contract, rig

METHOD = rig.NAMESPACE + "Facts.ListenPortsFacts.Run"
CONNECTION_KEYS = {"state", "foreign_address", "remote_address", "remote_port"}
FULL_KEYS = {"exe", "command"}


@pytest.fixture(scope="module")
def holder():
    return str(rig.native("holder"))


@pytest.fixture(scope="module")
def farm(prefix, holder):
    """Holders that stay for all tests of this file, by name."""
    started = time.time()
    animals = {
        "tcp4": prefix.start(holder, "listen", "tcp4", "127.0.0.1", "21001"),
        "tcp6": prefix.start(holder, "listen", "tcp6", "::1", "21002", "v6only"),
        "udp4": prefix.start(holder, "listen", "udp4", "127.0.0.1", "21003"),
        "udp6": prefix.start(holder, "listen", "udp6", "::1", "21004", "v6only"),
        "one": prefix.start(holder, "listen", "tcp4", "127.0.0.1", "21005"),
        "other": prefix.start(holder, "listen", "tcp4", "127.0.0.2", "21005"),
        "server": prefix.start(holder, "listen", "tcp4", "127.0.0.1", "21006", "accept"),
        "secret": prefix.start(holder, "listen", "tcp4", "127.0.0.1", "21007", "--password=hunter2"),
    }
    animals["client"] = prefix.start(holder, "connect", "tcp4", "127.0.0.1", "21006")
    animals["server"].wait_for("accepted")
    service = prefix.call("exe", str(rig.native("service")), "install", "rigfacts", "-", "rigfacts:21008")
    assert service.stdout.startswith("ready"), service.stdout + service.stderr
    animals["started"] = started
    yield animals
    prefix.stop()


@pytest.fixture
def gather(prefix, app, farm):
    def run(**options):
        result = prefix.module(app, "win_listen_ports_facts", METHOD, options)
        return result.data

    return run


def on(result, port, protocol="tcp"):
    return [row for row in result["ansible_facts"][protocol + "_listen"] if row["port"] == port]


def test_tcp_and_udp_of_both_families(gather, farm):
    result = gather()
    for name, protocol, port, address, family in [
        ("tcp4", "tcp", 21001, "127.0.0.1", "ipv4"),
        ("tcp6", "tcp", 21002, "::1", "ipv6"),
        ("udp4", "udp", 21003, "127.0.0.1", "ipv4"),
        ("udp6", "udp", 21004, "::1", "ipv6"),
    ]:
        (row,) = on(result, port, protocol)
        assert (row["pid"], row["address"], row["family"], row["protocol"]) == (
            farm[name].pid,
            address,
            family,
            protocol,
        )
        assert (row["name"], row["owner_status"], row["container"], row["interface"]) == ("holder", "known", None, None)
        assert [owner["pid"] for owner in row["owners"]] == [row["pid"]]
    assert result["changed"] is False


def test_every_key_is_documented(gather):
    module = "win_listen_ports_facts"
    assert contract.differences(module, gather(), {"reason", *CONNECTION_KEYS, *FULL_KEYS}) == []
    assert contract.differences(module, gather(include_non_listening=True, details="full"), {"reason"}) == []


def test_several_listeners_on_one_port_are_several_rows(gather, farm):
    rows = on(gather(), 21005)
    assert {row["address"]: row["pid"] for row in rows} == {
        "127.0.0.1": farm["one"].pid,
        "127.0.0.2": farm["other"].pid,
    }


def test_who_and_since_when(gather, farm):
    (row,) = on(gather(date_uformat="%s"), 21001)
    assert farm["started"] - 2 <= int(row["stime"]) <= time.time() + 2
    assert row["started"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(row["stime"])))
    assert "\\" in row["user"]


def test_a_service_has_its_name(gather):
    (row,) = on(gather(), 21008)
    assert (row["service"], row["owners"][0]["service"]) == ("rigfacts", "rigfacts")
    (row,) = on(gather(), 21001)
    assert row["service"] is None


def test_full_details_have_the_command_and_no_secret(gather):
    result = gather(details="full")
    (row,) = on(result, 21007)
    assert row["exe"].lower().endswith("holder.exe")
    assert "listen tcp4 127.0.0.1 21007" in row["command"]
    assert "hunter2" not in str(result)
    assert "exe" not in on(gather(), 21007)[0]


def test_details_none_asks_for_nobody(gather):
    (row,) = on(gather(details="none"), 21001)
    assert (row["pid"], row["owner_status"], row["owners"]) == (None, "not_asked", [])


def test_connections_only_when_asked(gather, farm):
    assert {row["pid"] for row in on(gather(), 21006)} == {farm["server"].pid}
    result = gather(include_non_listening=True)
    states = {(row["state"], row["pid"]) for row in on(result, 21006)}
    assert states == {("LISTEN", farm["server"].pid), ("ESTABLISHED", farm["server"].pid)}
    (near,) = [row for row in on(result, 21006) if row["state"] == "ESTABLISHED"]
    (far,) = [row for row in result["ansible_facts"]["tcp_listen"] if row["pid"] == farm["client"].pid]
    assert (near["remote_address"], near["remote_port"]) == ("127.0.0.1", far["port"])
    assert far["foreign_address"] == "127.0.0.1:21006"


def test_a_filter_shows_only_those_states(gather, farm):
    result = gather(tcp_filter=["established"])
    assert {row["state"] for row in result["ansible_facts"]["tcp_listen"]} == {"ESTABLISHED"}
    assert {farm["server"].pid, farm["client"].pid} <= {row["pid"] for row in result["ansible_facts"]["tcp_listen"]}
    assert on(result, 21003, "udp"), "UDP is shown as ever"


def test_words_of_ss(gather):
    result = gather(command="ss", include_non_listening=True)
    assert {row["state"] for row in on(result, 21006)} == {"LISTEN", "ESTAB"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tcp_filter": ["Listening"]}, "tcp_filter: 'Listening' is not usable: allowed are Bound,"),
        ({"tcp_filter": []}, "tcp_filter: [] is not usable: an empty list"),
        ({"tcp_filter": ["Established"], "include_non_listening": True}, "it excludes include_non_listening"),
        ({"date_uformat": "%Q"}, "date_uformat: '%Q' is not usable: after a % one of"),
    ],
)
def test_bad_options_are_one_sentence(gather, options, says):
    result = gather(**options)
    assert result["failed"] is True
    assert says in result["msg"]
    assert result["reason"] == "bad_option"


def test_check_mode_is_the_same(gather):
    assert on(gather(_ansible_check_mode=True), 21001) == on(gather(), 21001)
