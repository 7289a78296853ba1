# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import baseline, page


@pytest.fixture
def compare(assemble):
    """The document of the hosts of today beside those of last week, each a list."""

    def make(then, now, **frame):
        earlier = assemble(*then)
        return assemble(*now, earlier=baseline.read(page.to_json(earlier).encode(), "all"), **frame)

    return make


def kinds(report):
    return [(one["kind"], one["port"]) for one in report["changes"]]


@pytest.mark.parametrize(
    ("then", "now", "kind"),
    [
        ({}, {}, None),
        ({}, {"pid": 99, "started": "2026-03-02T01:00:00Z"}, None),
        ({}, {"user": "www"}, "owner_changed"),
        ({}, {"name": "apache2"}, "owner_changed"),
        ({}, {"service": "nginx.service"}, "owner_changed"),
        ({}, {"address": "127.0.0.1"}, "addresses_changed"),
        ({}, {"name": "apache2", "address": "127.0.0.1"}, "owner_changed"),
        ({"container": {"engine": "docker", "id": "a", "name": "shop"}}, {"container": {"engine": "docker", "id": "b", "name": "shop"}}, None),
        ({"container": {"engine": "docker", "id": "a", "name": "shop"}}, {"container": {"engine": "docker", "id": "b", "name": "x"}}, "owner_changed"),
        ({"container": {"engine": "docker", "id": "a", "name": None}}, {"container": {"engine": "docker", "id": "b", "name": None}}, None),
    ],
)  # fmt: skip
def test_one_port_then_and_now(compare, host, row, then, now, kind):
    report = compare([host("web1", row(80, **then))], [host("web1", row(80, **now))])
    assert kinds(report) == ([(kind, 80)] if kind else [])
    assert report["summary"]["changes"]["total"] == len(report["changes"])


def test_new_and_gone(compare, host, row):
    report = compare([host("web1", row(80), row(81))], [host("web1", row(80), row(82, "java"))])
    assert kinds(report) == [("gone", 81), ("new", 82)]
    assert report["changes"][1] == {
        "host": "web1", "kind": "new", "protocol": "tcp", "port": 82, "before": [], "after": ["java (root)"],
        "addresses_before": [], "addresses_after": ["0.0.0.0"],
    }  # fmt: skip


@pytest.mark.parametrize("unknown_now", [True, False])
def test_an_owner_that_one_of_them_does_not_know_is_not_compared(compare, host, row, unknown_now):
    one, other = host("web1", row(80)), host("web1", row(80, None))
    report = compare([one], [other]) if unknown_now else compare([other], [one])
    assert kinds(report) == []
    assert report["baseline"]["ports_not_compared"] == 1


def test_both_do_not_know_it(compare, host, row):
    report = compare([host("web1", row(80, None))], [host("web1", row(80, None, address="127.0.0.1"))])
    assert kinds(report) == [("addresses_changed", 80)]


def test_hosts_that_one_of_them_has_not_seen_are_not_compared(compare, host, row):
    gone = {"unreachable": True, "msg": "x"}
    report = compare(
        [host("a", row(80)), host("b", facts=gone), host("c", row(80))],
        [host("a", facts=gone), host("b", row(80)), host("d", row(80))],
    )
    assert kinds(report) == []
    about = report["baseline"]
    assert about["hosts_not_compared"] == [
        {"host": "a", "reason": "unreachable now"},
        {"host": "b", "reason": "unreachable then"},
    ]
    assert (about["hosts_new"], about["hosts_gone"]) == (["d"], ["c"])


def test_clients_sockets_come_and_go(compare, host, row):
    report = compare([host("a", row(40000, "dig", "udp"))], [host("a", row(40001, "dig", "udp"), row(40002))])
    assert kinds(report) == [("new", 40002)]
    assert report["changes"][0]["ephemeral"] is True
    assert report["baseline"]["passing"] == 2


def test_a_planned_one_counts_all_the_same(compare, host, row):
    report = compare([host("a")], [host("a", row(40001, "dns", "udp"), wishes=["40001/udp"])])
    assert kinds(report) == [("new", 40001)]


def changed(**keys):
    report = {"schema": baseline.SCHEMA, "version": 1, "generated": "x", "scope": "all", "hosts": []}
    report.update(keys)
    return json.dumps(report).encode()


ROW = {"protocol": "tcp", "port": 80, "address": "::", "owner_status": "known"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"), (b"\xff\xfe", "not JSON"), (b"[" * 100000, "not JSON"), (b"[]", "schema"), (b"{}", "schema"),
        (changed(schema="x"), "schema"), (changed(version=2), "version 2"), (changed(version=None), "version"),
        (changed(hosts=None), "hosts"), (changed(hosts=[5]), "hosts"), (changed(hosts=[{"name": "a"}]), "listeners"),
        (changed(hosts=[{"name": "a", "listeners": [5]}]), "a listener of a"),
        (changed(hosts=[{"name": "a", "listeners": [{**ROW, "port": 0}]}]), "a listener of a"),
        (changed(hosts=[{"name": "a", "listeners": [{**ROW, "protocol": "x"}]}]), "a listener of a"),
        (changed(scope="plan"), "ports of a plan"), (changed(scope=5), "?"),
    ],
)  # fmt: skip
def test_files_that_are_no_report(data, says):
    with pytest.raises(baseline.BaselineError) as caught:
        baseline.read(data, "all")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_scope_has_to_be_the_same():
    with pytest.raises(baseline.BaselineError, match="all listeners, this one has the ports of a plan"):
        baseline.read(changed(), "plan")


def test_keys_of_a_later_release_are_no_obstacle():
    host = {"name": "a", "status": "ok", "listeners": [{**ROW, "more": 1}], "more": 1}
    assert baseline.read(changed(hosts=[host], more=1), "all")["hosts"][0]["listeners"][0]["port"] == 80


def test_a_baseline_is_cleaned_like_a_host(compare, host, row):
    host_then = {"name": "a", "status": "ok", "listeners": [{**ROW, "name": "x\u202ey"}]}
    earlier = baseline.read(changed(hosts=[host_then]), "all")
    assert earlier["hosts"][0]["listeners"][0]["name"] == "x\\u202ey"
