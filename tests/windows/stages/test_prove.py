# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The prove stage: real binds; and the watch over freed ports, with eyes that see what a test wrote down."""

from __future__ import annotations

import pytest

from windows.stages import stage

OLD = {"actuator": "process", "pid": 100, "start": 1, "id": 7}


@pytest.fixture(scope="module")
def proven(tools, csharp):
    """What the proof says about looks, each from its time on."""
    app = stage.program(csharp)

    def prove(*looks, acted=(OLD,), settle=0.5, until=0.0):
        scenes = [{"at": at, "holder": holder} for at, holder in looks]
        return stage.parsed(app, "Prove", {"looks": scenes, "acted": list(acted), "settle": settle, "until": until})

    return prove


def somebody(**changes):
    """A holder that the decision would stop."""
    return {
        "pid": 200,
        "start": 2,
        "id": 9,
        "stoppable": True,
        "outcome": "none",
        "parents": [],
        "refusal": None,
        **changes,
    }


# The bind -----------------------------------------------------------------------------------------------------------


def test_a_free_port_can_be_bound(real, port):
    asked = [
        [protocol, port, address, False] for protocol in ("tcp", "udp") for address in (None, "127.0.0.1", "::1", "::")
    ]
    assert real("Bind", asked) == [True] * len(asked)


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("tcp4", "0.0.0.0"),
        ("tcp4", "127.0.0.1"),
        ("tcp6", "::"),
        ("tcp6", "::1"),
        ("udp4", "127.0.0.1"),
        ("udp6", "::1"),
    ],
)
@pytest.mark.parametrize("flag", [(), ("exclusive",)], ids=["ordinary", "exclusive"])
def test_a_held_port_can_not_be_bound(real, start, port, kind, address, flag):
    start("listen", kind, address, port, *flag)
    assert real("Bind", [[kind[:3], port, None, False]]) == [False]


def test_a_socket_that_no_table_lists_is_met(real, start, port):
    start("listen", "tcp4", "127.0.0.1", port, "idle")
    assert real("Bind", [["tcp", port, None, False]]) == [False]


def test_the_other_protocol_does_not_count(real, start, port):
    start("listen", "tcp4", "127.0.0.1", port)
    assert real("Bind", [["udp", port, None, False]]) == [True]


def test_an_address_of_its_own(real, start, port):
    start("listen", "tcp4", "127.0.0.1", port)
    asked = [["tcp", port, address, False] for address in ("127.0.0.1", "127.0.0.2", "192.0.2.1", "2001:db8::1")]
    # No address of this host: nothing was tried.
    assert real("Bind", asked) == [False, True, None, None]


def test_leftovers_alone_do_not_turn_a_holder_into_nobody(real, start, port):
    start("listen", "tcp4", "0.0.0.0", port)
    assert real("Bind", [["tcp", port, None, True]]) == [False]


def test_recorded_bind_is_exclusive_and_on_both_wildcards(recorded, port):
    prove, files = recorded("ws2_32")
    assert prove("Bind", [["tcp", port, None, False]]) == [True]
    # SOL_SOCKET SO_EXCLUSIVEADDRUSE, IPPROTO_IPV6 IPV6_V6ONLY; AF_INET and AF_INET6 with the sizes of their addresses.
    assert files.read("ws2_32.log").splitlines() == [
        "setsockopt 65535 -5 1",
        "bind 2 %d 16" % port,
        "setsockopt 65535 -5 1",
        "setsockopt 41 27 1",
        "bind 23 %d 28" % port,
    ]


def test_recorded_bind_to_the_dual_wildcard_by_name(recorded, port):
    prove, files = recorded("ws2_32")
    assert prove("Bind", [["tcp", port, "::", False]]) == [True]
    assert "setsockopt 41 27 0" in files.read("ws2_32.log").splitlines()


@pytest.mark.parametrize(
    ("codes", "answer"),
    [
        ("10048", False),
        ("10013", False),
        ("0 10048", False),
        ("0 10047", True),
        ("10047 10049", None),
    ],
)
def test_recorded_answers_of_a_bind(recorded, port, codes, answer):
    prove, files = recorded("ws2_32")
    files.write("bind.code", codes)
    assert prove("Bind", [["tcp", port, None, False]]) == [answer]


def test_recorded_leftovers_leave_the_last_word_to_an_ordinary_bind(recorded, port):
    prove, files = recorded("ws2_32")
    for only, answer in ((False, False), (True, True)):
        files.write("bind.code", "10048")
        assert prove("Bind", [["tcp", port, "127.0.0.1", only]]) == [answer]
    # The second try is without SO_EXCLUSIVEADDRUSE.
    assert files.read("ws2_32.log").splitlines().count("setsockopt 65535 -5 1") == 2
    assert files.read("ws2_32.log").splitlines().count("bind 2 %d 16" % port) == 3


# The watch ----------------------------------------------------------------------------------------------------------


def test_a_port_that_stays_free(proven):
    said = proven((0, None), settle=0.6)
    assert said["failure"] is None
    assert said["seconds"] >= 0.6


def test_nothing_stopped_is_nothing_to_watch(proven):
    said = proven((0, None), acted=[], settle=None)
    assert said["failure"] is None and said["seconds"] < 0.5


@pytest.mark.parametrize(("actuator", "seconds"), [("process", 3.0), ("service", 1.0)])
def test_how_long_it_is_watched_by_default(proven, actuator, seconds):
    said = proven((0, None), acted=[dict(OLD, actuator=actuator)], settle=None)
    assert seconds <= said["seconds"] < seconds + 1


def test_one_that_takes_the_port_back_is_named(proven):
    back = somebody(parents=[[150, "cmd.exe"], [140, "keeper.exe"]])
    said = proven((0, None), (0.3, back), settle=5)
    assert said["failure"]["code"] == "respawned"
    assert said["seconds"] < 2, "it is told when it is seen, not when settle is over"
    assert "8080/tcp was freed, and taken again within 0." in said["failure"]["reason"]
    assert said["failure"]["reason"].endswith(
        "by new.exe (pid 200), whose parent is cmd.exe (pid 150); likely supervisor: keeper.exe (pid 140) (a supervisor)"
    )


def test_one_of_a_service_is_the_service_managers(proven):
    said = proven((0, None), (0.2, somebody(services=["Shop"])), settle=2)
    assert said["failure"]["reason"].endswith("likely supervisor: the service manager, for the service Shop")


def test_the_old_holder_that_never_left(proven):
    said = proven((0, somebody(pid=100, start=1, id=7)))
    assert said["failure"]["code"] == "still_held"
    assert said["failure"]["reason"] == "new.exe (pid 100) still holds 8080/tcp"


def test_a_pid_with_another_start_time_is_a_new_one(proven):
    assert proven((0, somebody(pid=100, start=99)))["failure"]["code"] == "respawned"


def test_the_same_socket_in_another_process_was_never_free(proven):
    said = proven((0, somebody(id=7)))
    assert said["failure"]["code"] == "still_held"
    assert "shares the socket" in said["failure"]["reason"]


def test_a_closed_connection_whose_program_had_bound_it(proven):
    closed = {"actuator": "tcp_entry", "pid": None, "start": 0, "id": 9}
    said = proven((0, somebody(kind="connection")), acted=[closed])
    assert said["failure"]["code"] == "still_held"
    assert "had bound the socket explicitly" in said["failure"]["reason"]


def test_one_that_may_stay_is_success(proven):
    assert proven((0, somebody(stoppable=False, outcome="kept")))["failure"] is None


def test_what_passes_by_itself_is_waited_for(proven):
    passing = somebody(
        stoppable=False, kind="connection", outcome="refused", refusal={"code": "connection", "passing": True}
    )
    said = proven((0, passing), (1.0, None), settle=0, until=10)
    assert said["failure"] is None and 1.0 <= said["seconds"] < 4
    assert proven((0, passing), (5.0, None), settle=0, until=0.5)["failure"]["code"] == "connection"


def test_what_does_not_pass_is_not_waited_for(proven):
    final = somebody(stoppable=False, outcome="refused", refusal={"code": "protected_process", "passing": False})
    said = proven((0, final), acted=[], settle=0, until=20)
    assert said["failure"]["code"] == "protected_process" and said["seconds"] < 2
