# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import plan
from ansible_collections.harbormaster.ports.plugins.plugin_utils._plan import PlanError


def found(assemble, host, wishes, *rows, **more):
    """(kind, port, protocol) of every conflict."""
    return [(one["kind"], one["port"], one.get("protocol")) for one in conflicts(assemble, host, wishes, *rows, **more)]


def conflicts(assemble, host, wishes, *rows, **more):
    return assemble(host("web1", *rows, wishes=wishes, **more))["conflicts"]


@pytest.mark.parametrize(
    ("wish", "kind"),
    [
        (80, "in_the_way"),
        ({"port": 80, "owner": []}, "in_the_way"),
        ({"port": "80/tcp", "owner": ["nginx"]}, None),
        ({"port": "80/tcp", "owner": "ng*"}, None),
        ({"port": "80/tcp", "owner": ["gin"]}, "in_the_way"),
        ({"port": "80/tcp", "owner": "*"}, None),
        ({"port": "80/tcp", "owner": ["nginx"], "user": ["www"]}, "in_the_way"),
        ({"port": "80/tcp", "owner": ["nginx"], "user": ["root"]}, None),
        ({"port": "80/tcp", "keep": ["nginx"]}, None),
        ({"port": "80/tcp", "keep": ["haproxy"]}, "in_the_way"),
        ({"port": "80/tcp", "stop_only": ["nginx"]}, "in_the_way"),
        ({"port": "80/tcp", "stop_only": ["java"]}, "refused"),
        ({"port": "80/tcp", "stop_only": ["java"], "keep": ["*"]}, None),
        ({"port": "80/tcp", "stop_only": ["nginx"], "keep": ["*"]}, "in_the_way"),
        ({"port": "80/tcp", "stop_only": ["*"], "keep": ["nginx"]}, None),
        ({"port": "80/tcp", "user": ["www"]}, "refused"),
        ({"port": "80/tcp", "address": "192.0.2.1"}, "in_the_way"),
        ("80/udp", None),
        ("79", None),
    ],
    ids=str,
)
def test_one_listener_and_one_wish(assemble, host, row, wish, kind):
    assert found(assemble, host, [wish], row(80)) == ([(kind, 80, "tcp")] if kind else [])


def test_an_address_that_is_another_one(assemble, host, row):
    wish = {"port": 53, "address": "192.0.2.10", "owner": ["named"]}
    assert found(assemble, host, [wish], row(53, address="127.0.0.53")) == [("missing", 53, None)]
    assert found(assemble, host, [wish], row(53, address="::")) == [("in_the_way", 53, "tcp")]


def test_nobody_there_yet(assemble, host):
    (one,) = conflicts(assemble, host, [{"port": "443/tcp", "owner": ["nginx", "W3SVC"]}])
    assert one == {
        "host": "web1", "kind": "missing", "port": 443, "protocol": "tcp", "wanted": "held by nginx or W3SVC", "found": [],
        "reason": "nobody listens on it", "judge": "facts",
    }  # fmt: skip


def test_ports_of_a_range_that_miss_their_owner_are_one_conflict(assemble, host, row):
    wish = [{"port": "9000-9010/tcp", "owner": ["java"]}]
    seen = [
        (one["port"], one.get("last")) for one in conflicts(assemble, host, wish, row(9004, "java"), row(9010, "java"))
    ]
    assert seen == [(9000, 9003), (9005, 9009)]


def test_either_protocol_is_enough_for_an_owner(assemble, host, row):
    assert found(assemble, host, [{"port": 53, "owner": ["named"]}], row(53, "named", "udp")) == []


@pytest.mark.parametrize(
    "wish",
    [80, {"port": 80, "owner": ["nginx"]}, {"port": 80, "stop_only": ["nginx"]}, {"port": 80, "keep": ["nginx"]}],
)
def test_who_is_not_known_is_never_as_planned(assemble, host, row, wish):
    assert found(assemble, host, [wish], row(80, None)) == [("unknown_owner", 80, "tcp")]


def test_an_executable_that_the_facts_do_not_have_is_not_guessed(assemble, host, row):
    wish = [{"port": "80/tcp", "owner": ["/usr/sbin/nginx"]}]
    assert found(assemble, host, wish, row(80)) == [("unknown_owner", 80, "tcp")]
    assert found(assemble, host, wish, row(80, exe="/usr/sbin/nginx", owners=[])) == []
    assert found(assemble, host, wish, row(80, exe="/tmp/nginx", owners=[])) == [("in_the_way", 80, "tcp")]


def test_of_several_listeners_on_a_port_the_worst_counts_and_all_are_named(assemble, host, row):
    (one,) = conflicts(
        assemble, host, [{"port": "80/tcp", "stop_only": ["java"]}], row(80, "java"), row(80, "nginx", address="::1")
    )
    assert (one["kind"], one["found"]) == ("refused", ["java (root)", "nginx (root)"])


def test_a_clients_udp_socket_is_none_unless_udp_is_named(assemble, host, row):
    given = row(40000, "dig", "udp")
    assert found(assemble, host, [40000], given) == []
    assert found(assemble, host, ["40000/udp"], given) == [("in_the_way", 40000, "udp")]


# port_owner has judged --------------------------------------------------------------------------------------------------


def told(*ports, predicted=True):
    return {"ports": list(ports), "actions": [{"result": "predicted" if predicted else "done"}]}


def port(number, outcome="none", blocked=None, before="held", **more):
    holder = {"kind": "process", "name": "java", "pids": [7], "outcome": outcome}
    return {
        "port": number,
        "protocol": "tcp",
        "address": None,
        "before": before,
        "holders": [holder],
        "blocked_by": blocked,
        **more,
    }


REFUSED = {
    "code": "protected_process",
    "reason": "java (pid 7) is protected",
    "remedy": "stop it by hand",
    "passing": False,
}


def test_what_port_owner_says_beats_the_facts(assemble, host, row):
    result = told(
        port(80, "refused", REFUSED), port(81, "kept"), port(82, "stopped"), port(83, before="free", holders=[])
    )
    seen = conflicts(assemble, host, ["80-83/tcp"], row(80), row(81), row(82), row(83), result=result)
    assert [(one["kind"], one["port"], one["judge"]) for one in seen] == [
        ("refused", 80, "port_owner"),
        ("in_the_way", 82, "port_owner"),
    ]
    assert (seen[0]["code"], seen[0]["remedy"], seen[0]["found"]) == (
        "protected_process",
        "stop it by hand",
        ["java (pid 7)"],
    )
    assert "passing" not in seen[0]


def test_a_port_of_which_port_owner_has_only_reported_is_judged_by_the_facts(assemble, host, row):
    (one,) = conflicts(assemble, host, ["80/tcp"], row(80), result={"ports": [port(80)], "actions": []})
    assert (one["kind"], one["judge"]) == ("in_the_way", "facts")


@pytest.mark.parametrize(
    ("code", "kind"),
    [("not_held", "missing"), ("hidden_owner", "unknown_owner"), ("connection", "refused"), ("new_code", "refused")],
)
def test_codes_of_refusals(assemble, host, code, kind):
    blocked = {"code": code, "reason": "r", "passing": True}
    (one,) = conflicts(assemble, host, ["80/tcp"], result=told(port(80, blocked=blocked)))
    assert (one["kind"], one["code"], one["passing"]) == (kind, code, True)


def test_what_was_stopped_is_no_conflict(assemble, host, row):
    assert conflicts(assemble, host, ["80/tcp"], row(80), result=told(port(80, "stopped"), predicted=False)) == []


@pytest.mark.parametrize(
    "result", [{}, {"ports": 5}, {"ports": [5, {}, {"port": "x"}]}, {"ports": [{"port": 80, "holders": [5]}]}]
)
def test_a_result_that_says_nothing_usable(assemble, host, row, result):
    assert found(assemble, host, ["80/tcp"], row(80), result=result) == [("in_the_way", 80, "tcp")]


def test_without_facts_the_rows_are_those_of_the_asked_ports(assemble, host):
    owner = {
        "pid": 7,
        "name": "java",
        "user": "shop",
        "service": "shop.service",
        "started": "2026-03-01T06:12:44Z",
        "command": "java -Dpw=x",
    }
    sockets = [{"address": "0.0.0.0"}, {"address": "::"}, {"address": "0.0.0.0"}]
    result = dict(told(port(80, "stopped", sockets=sockets)), owners=[owner])
    report = assemble(host("web1", facts=None, result=result, wishes=["80/tcp"]), facts_asked=False)
    (entry,) = report["hosts"]
    assert (entry["status"], report["scope"]) == ("ok", "plan")
    assert [(one["address"], one["name"], one["service"]) for one in entry["listeners"]] == [
        ("0.0.0.0", "java", "shop.service"), ("::", "java", "shop.service"),
    ]  # fmt: skip
    assert "command" not in entry["listeners"][0]
    assert [one["kind"] for one in report["conflicts"]] == ["in_the_way"]


def test_a_port_that_is_published_without_a_socket_is_a_row_too(assemble, host):
    holder = {"kind": "container", "name": "shop", "pids": [], "outcome": "stopped"}
    result = told(port(80, sockets=[], holders=[holder]))
    (entry,) = assemble(host("web1", facts=None, result=result), facts_asked=False)["hosts"]
    assert [(row["address"], row["name"]) for row in entry["listeners"]] == [("*", "shop")]


# The plan itself ---------------------------------------------------------------------------------------------------------


def test_a_plan_as_the_report_keeps_it():
    items = plan.parse(
        [
            8080,
            {"port": "9000-9010/tcp", "stop_only": ["java"]},
            {"port": 53, "address": "192.0.2.10", "owner": "named"},
        ],
        "plan",
    )
    assert [item.document() for item in items] == [
        {"port": 8080},
        {"port": 9000, "last": 9010, "protocol": "tcp", "stop_only": ["java"]},
        {"port": 53, "address": "192.0.2.10", "owner": ["named"]},
    ]


@pytest.mark.parametrize(
    "wishes", [["80-"], [{"port": 0}], [{"port": "no-such-service"}], [{"prot": 80}], {"port": 80}]
)
def test_a_bad_plan_is_one_sentence_that_names_the_variable(wishes):
    with pytest.raises(PlanError, match="my_plan") as caught:
        plan.parse(wishes, "my_plan")
    assert "\n" not in str(caught.value)
