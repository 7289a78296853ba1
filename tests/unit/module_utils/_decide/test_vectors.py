# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tests/vectors/*.yml against ``decide``. The format is told in tests/vectors/README.md.

The loader is strict: a key that it does not know is a mistake in the vector, not something to pass over. The same cases
run in C# in tests/windows/test_vectors.py.
"""

from __future__ import annotations

import random

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.harbormaster.ports.plugins.module_utils import _argspec, _wishes
from ansible_collections.harbormaster.ports.plugins.module_utils._decide import steps
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.decide import decide
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Blind,
    Container,
    Endpoint,
    Process,
    Resolver,
    Snapshot,
    Socket,
    Starter,
    Supervised,
    Unit,
    UnitFacts,
)
from ansible_collections.harbormaster.ports.tests.vectors.vectors import decisions, only, unmet

SEEDS = range(5)
LEAST = 60
OPTIONS = ArgumentSpecValidator(_argspec.port_owner()["argument_spec"])
CASES = [pytest.param(case, id=name) for name, case in decisions("linux")]


# From a vector to what decide takes -------------------------------------------------------------------------------


def wish_of(case):
    """(wishes, policy) of a vector, by the product's own reading of options."""
    checked = OPTIONS.validate(case["wish"])
    if checked.error_messages:
        raise ValueError("; ".join(checked.error_messages))
    params = checked.validated_parameters
    return _wishes.wishes(params), _wishes.policy(params)


def endpoint(text):
    """``127.0.0.1:80`` and ``[::1]:80`` -> address and port."""
    address, _colon, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def label_key(label):
    """``8080/tcp on 192.0.2.10`` -> (protocol, port, address)."""
    place, _on, address = label.partition(" on ")
    port, _slash, protocol = place.partition("/")
    return protocol, int(port), address or None


def socket_of(number, row):
    only(
        row, "tcp", "udp", "state", "peer", "held_by", "inode", "v6only", "family", "uid", "unread", "closable",
        "interface",
    )  # fmt: skip
    protocol = "tcp" if "tcp" in row else "udp"
    address, port = endpoint(row[protocol])
    peer, peer_port = endpoint(row["peer"]) if "peer" in row else ("", 0)
    idle = "LISTEN" if protocol == "tcp" else "UNCONN"
    return Socket(
        protocol,
        row.get("family", "ipv6" if ":" in address else "ipv4"),
        address,
        port,
        row.get("state", "ESTABLISHED" if peer else idle),
        peer,
        peer_port,
        uid=row.get("uid"),
        inode=row.get("inode", 1001 + number if "held_by" in row else 0),
        v6only=row.get("v6only"),
        rqueue=row.get("unread", 0),
        interface=row.get("interface", 0),
        diag_id=b"cookie %d" % number if row.get("closable", True) else b"",
    )


def processes_of(entries):
    given = {entry["pid"]: entry for entry in entries}
    given.setdefault(1, {"pid": 1, "name": "systemd", "parent": 0})
    answer = {}
    for pid, entry in given.items():
        only(
            entry, "pid", "name", "parent", "exe", "command", "user", "uid", "real_uid", "proven", "unit", "unit_user",
            "container", "apart"
        )  # fmt: skip
        ancestors = []
        above = entry.get("parent", 1)
        while above and above not in ancestors:
            ancestors.append(above)
            above = given[above].get("parent", 1) if above in given else 0
        container = entry.get("container")
        answer[pid] = Process(
            pid=pid,
            name=entry["name"],
            parent_pid=entry.get("parent", 1),
            exe=entry.get("exe"),
            command=entry.get("command"),
            uid=entry.get("uid"),
            user=entry.get("user"),
            start_ticks=pid * 10,
            ancestors=tuple(ancestors),
            unit=Unit(entry["unit"], entry.get("unit_user")) if "unit" in entry else None,
            container=Container(**only(container, "engine", "id", "name", "user", "unsure")) if container else None,
            real_uid=entry.get("real_uid", entry.get("uid")),
            proven=proven_of(entry),
            apart=entry.get("apart", ""),
        )
    return answer


def proven_of(entry):
    """The names that are evidence: all that a vector gives, unless it says that they are the account's own claim."""
    if not entry.get("proven", True):
        return ()
    exe = (entry.get("exe") or "").replace(" (deleted)", "").rpartition("/")[2]
    return tuple(name for name in (exe, entry["name"]) if name)


def place(text):
    """``0.0.0.0:80/tcp`` -> Endpoint; ``%3`` behind it is an interface."""
    where, _slash, rest = text.partition("/")
    address, port = endpoint(where)
    protocol, _percent, interface = rest.partition("%")
    return Endpoint(protocol, address, port, int(interface or 0))


def values_of(kind, entry, **special):
    """A noun of the model from a mapping whose keys are the noun's fields; lists become tuples."""
    only(entry, *kind._fields, *special)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    for key, make in special.items():
        if key in values:
            values[key] = make(values[key])
    return values


def unit_facts_of(entry):
    values = values_of(
        UnitFacts,
        {key: value for key, value in entry.items() if key not in ("name", "user")},
        listens=lambda texts: tuple(place(text) for text in texts),
    )
    if entry.get("file_state") == "enabled":
        # Where its links lead, unless a vector says so.
        values.setdefault("wanted_by", ("multi-user.target",))
    return UnitFacts(Unit(entry["name"], entry.get("user")), **dict({"main_pid": 0}, **values))


def starter_of(entry):
    return Starter(**values_of(Starter, {key: value for key, value in entry.items() if key not in ("name", "user")}))


def container_of(entry):
    values = values_of(Container, entry, published=lambda texts: tuple(place(text) for text in texts))
    return Container(**dict({"asked": True}, **values))


def snapshot_of(case, wishes, shuffle=lambda values: None):
    """What was observed. Sockets on ports that nobody asked for go where observe puts them: ``other_sockets``."""
    given = only(
        case["given"], "sockets", "processes", "bindable", "kernel", "blind", "carriers", "this_task", "ephemeral",
        "ephemeral_reserved", "may_close", "units", "containers", "resolver", "supervised", "own_unit", "wanting",
        "suspects",
    )  # fmt: skip
    rows = [socket_of(number, row) for number, row in enumerate(given.get("sockets", ()))]
    owners = {}
    for row, entry in zip(rows, given.get("sockets", ())):
        if entry.get("held_by"):
            owners.setdefault(row.inode, []).extend(pid for pid in entry["held_by"])
    processes = list(processes_of(given.get("processes", ())).items())
    units = [unit_facts_of(entry) for entry in given.get("units", ())]
    containers = [container_of(entry) for entry in given.get("containers", ())]
    for part in [rows, processes, units, containers, *owners.values()]:
        shuffle(part)
    asked = {(wish.protocol, wish.port) for wish in wishes}
    return Snapshot(
        sockets=tuple(row for row in rows if (row.protocol, row.port) in asked),
        owners={inode: tuple(pids) for inode, pids in owners.items()},
        processes=dict(processes),
        other_sockets=tuple(row for row in rows if (row.protocol, row.port) not in asked),
        blind=tuple(Blind(**only(entry, "code", "text", "advice")) for entry in given.get("blind", ())),
        kernel={label_key(label)[:2]: what for label, what in given.get("kernel", {}).items()},
        ephemeral=tuple(given.get("ephemeral", (32768, 60999))),
        ephemeral_reserved=frozenset(given.get("ephemeral_reserved", ())),
        self_pids=frozenset(given.get("this_task", ())),
        carriers=given.get("carriers", {}),
        may_close=given.get("may_close", True),
        bindable={label_key(label): said for label, said in given.get("bindable", {}).items()},
        units={facts.unit: facts for facts in units},
        wanting={Unit(entry["name"], entry.get("user")): starter_of(entry) for entry in given.get("wanting", ())},
        containers=tuple(containers),
        resolver=Resolver(**values_of(Resolver, given["resolver"])) if "resolver" in given else None,
        supervised={
            pid: Supervised(**values_of(Supervised, entry)) for pid, entry in given.get("supervised", {}).items()
        },
        own_unit=Unit(given["own_unit"]) if "own_unit" in given else None,
        suspects={uid: tuple(pids) for uid, pids in given.get("suspects", {}).items()},
    )


# From a plan to what a vector says of it --------------------------------------------------------------------------


def told_port(port):
    refusal = port.refusal
    return {
        "before": port.before,
        "status": port.status,
        "bindable": port.bindable,
        "kept": port.kept,
        "met": port.met,
        "ephemeral": port.ephemeral,
        "established": port.established,
        "time_wait": port.time_wait,
        "addresses": [row.address for row in port.sockets],
        "blocked_by": refusal.code if refusal else None,
        "passing": refusal.passing if refusal else None,
        "remedy_says": refusal.remedy if refusal else "",
        "reason_says": refusal.reason if refusal else "",
        "holders": [told_holder(holder) for holder in port.holders],
    }


def told_holder(holder):
    return {
        "kind": holder.kind,
        "name": holder.name,
        "pids": list(holder.pids),
        "stoppable": holder.stoppable,
        "outcome": holder.outcome,
        "code": holder.refusal.code if holder.refusal else None,
    }


def told_step(step):
    return {
        "action": step.action,
        "target": step.target,
        "ports": list(step.ports),
        "also_frees": list(step.also_frees),
        "signal": step.signal,
        "kill": step.kill,
        "grace": step.grace,
        "asks": [target.pid for target in step.roots],
        "then": [target.pid for target in step.members],
        "closes": sorted(told_row(row) for row in step.sockets),
        "units": [target.unit.name for target in step.units],
        "also_stops": list(step.also_stops),
        "returns_at_boot": step.returns_at_boot,
        "disable": list(step.disable),
        "mask": list(step.mask),
        "container": step.container.name if step.container else None,
        "program": step.supervised.program if step.supervised else None,
        "settings": list(step.settings),
        "relink": step.relink,
        "persist": step.persist,
        "undo": step.undo,
        "may_restart": [one.who for one in step.restarters],
        "watch": step.watch,
        "survivors": [target.pid for target in step.survivors],
        "covers": [getattr(key[-1], "name", key[-1]) for key in step.covers],
    }


def told_row(row):
    here, there = (
        ("[%s]:%d" if ":" in address else "%s:%d") % (address, port)
        for address, port in ((row.address, row.port), (row.remote_address, row.remote_port))
    )
    return "%s to %s" % (here, there) if row.remote_port else here


def check(case, plan):
    ports = {port.wish.label: told_port(port) for port in plan.ports}
    return unmet(case, ports, [told_step(step) for step in plan.steps], plan.warnings)


# The tests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_vector(case):
    only(case, "name", "platform", "given", "wish", "expect")
    wishes, policy = wish_of(case)
    found = check(case, decide(snapshot_of(case, wishes), wishes, policy))
    assert not found, "\n".join(["%s:" % case["name"]] + found)


@pytest.mark.parametrize("case", CASES)
def test_order_of_what_was_seen_does_not_matter(case):
    wishes, policy = wish_of(case)
    straight = decide(snapshot_of(case, wishes), wishes, policy)
    for seed in SEEDS:
        shuffled = decide(snapshot_of(case, wishes, random.Random(seed).shuffle), wishes, policy)
        assert shuffled == straight, "%s, seed %d" % (case["name"], seed)


@pytest.mark.parametrize("case", CASES)
def test_rules_that_hold_for_every_plan(case):
    """All or nothing; a report has no steps; nobody outside of a stoppable holder is ever asked to end."""
    wishes, policy = wish_of(case)
    snapshot = snapshot_of(case, wishes)
    plan = decide(snapshot, wishes, policy)
    if plan.refusals or policy.state == "present" or policy.method == "none":
        assert plan.steps == ()
    stoppable = {pid for port in plan.ports for holder in port.holders if holder.stoppable for pid in holder.pids}
    for step in plan.steps:
        asked = {target.pid for target in step.roots + step.members}
        assert asked <= stoppable
        assert not asked & (snapshot.self_pids | set(snapshot.carriers) | {0, 1})
        assert step.holders
        assert not steps.is_empty(step), step
        if step.action in ("signal", "close_socket"):
            assert bool(step.roots) != bool(step.action == "close_socket")
    accepted = [row for row in snapshot.sockets if row.state == "ESTABLISHED" and row not in _blocking(plan)]
    assert not any(row in step.sockets for row in accepted for step in plan.steps)


def _blocking(plan):
    return [row for port in plan.ports for row in port.sockets]


def test_names_tell_the_cases_apart():
    names = [case.values[0]["name"] for case in CASES]
    assert len(names) >= LEAST
    assert sorted(names) == sorted(set(names))


def test_a_wrong_expectation_is_noticed():
    """The runner itself can fail: each kind of expectation, bent, is reported."""
    case = next(param.values[0] for param in CASES if param.values[0]["name"].startswith("stop_only names who may"))
    wishes, policy = wish_of(case)
    plan = decide(snapshot_of(case, wishes), wishes, policy)
    assert check(case, plan) == []
    right = case["expect"]
    label = next(iter(right["ports"]))
    for wrong in (
        dict(right, ports={}),
        dict(right, ports={label: {"status": "held"}}),
        dict(right, ports={label: {"holders": []}}),
        dict(right, ports={label: {"holders": [{"name": "jav"}]}}),
        dict(right, actions=[]),
        dict(right, actions=[{"asks": [101]}]),
        dict(right, warnings=["anything"]),
    ):
        assert check(dict(case, expect=wrong), plan), wrong
    with pytest.raises(ValueError, match="no key"):
        check(dict(case, expect=dict(right, ports={label: {"stauts": "free"}})), plan)
