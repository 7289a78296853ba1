# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vectors in C#, beside the Python that reads the same files. Runs on mono, all cases in one process, without Wine."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils import _conductor, _errors, _model, _report
from ansible_collections.harbormaster.ports.tests.unit.module_utils._decide import test_vectors as in_python
from ansible_collections.harbormaster.ports.tests.vectors import vectors

from windows import powershell, rig

ENTRY = Path(__file__).resolve().parent / "entries" / "VectorsEntry.cs"
CASES = dict(vectors.decisions("windows"))
# What both platforms have.
SHARED = {name: case for name, case in CASES.items() if "platform" not in case}
BAD_INPUT = vectors.bad_input("windows")
SEEDS = 5
MODULE = "win_port_owner"


@pytest.fixture(scope="module")
def app_with_entry(tools, csharp):
    return rig.program(csharp, [*rig.utils(), ENTRY], powershell.specs())


@pytest.fixture(scope="module")
def ask(app_with_entry):
    """Call one method of the entry with a value; what it answers."""
    app = app_with_entry

    def call(method, value):
        return rig.on_mono([app, "-", "VectorsEntry." + method, app.parent / (MODULE + ".json")], value, timeout=120)

    return call


@pytest.fixture(scope="module")
def plans(ask):
    """Id -> the plan of each case, as C# tells it."""
    return dict(zip(CASES, ask("Plans", asked())))


def asked():
    """All cases as the entry takes them."""
    return [{"given": case["given"], "wish": case["wish"], "seeds": SEEDS} for case in CASES.values()]


def test_the_runtime_of_powershell_7_decides_the_same(prefix, app_with_entry, plans):
    """.NET 8 under Wine, beside the mono of all other tests here."""
    # It runs in the program's folder.
    done = prefix.call(
        "net", str(app_with_entry), "-", "VectorsEntry.Plans", MODULE + ".json", stdin=json.dumps(asked())
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert dict(zip(CASES, json.loads(done.stdout))) == plans


@pytest.mark.parametrize("name", CASES)
def test_vector(plans, name):
    case, told = CASES[name], plans[name]
    vectors.only(case, "name", "platform", "given", "wish", "expect")
    assert "error" not in told, "%s: %s" % (case["name"], told)
    found = vectors.unmet(case, told["ports"], told["actions"], told["warnings"])
    assert not found, "\n".join(["%s:" % case["name"], *found])


@pytest.mark.parametrize("name", CASES)
def test_order_of_what_was_seen_does_not_matter(plans, name):
    assert plans[name]["shuffled"] == []


@pytest.mark.parametrize("name", CASES)
def test_rules_that_hold_for_every_plan(plans, name):
    """All or nothing; a report has no steps; nobody outside of a stoppable holder, and nobody of ours, is ever asked to end."""
    case, told = CASES[name], plans[name]
    given, wish = case["given"], case["wish"]
    refused = any(port["blocked_by"] for port in told["ports"].values())
    if refused or wish.get("state", "present") == "present" or wish.get("method") == "none":
        assert told["actions"] == []
    holders = [holder for port in told["ports"].values() for holder in port["holders"] if holder["stoppable"]]
    services = {service["name"]: service.get("pid") for service in given.get("services", ())}
    stoppable = {pid for holder in holders for pid in holder["pids"]} | {
        services.get(holder["service"]) for holder in holders
    }
    spared = {0, 4, *given.get("this_task", ()), *given.get("carriers", {})}
    for step in told["actions"]:
        asked = {*step["asks"], *step["then"]}
        assert asked <= stoppable
        assert not asked & spared
        assert (step["action"] == "close_socket") == (not step["asks"])
        assert (step["action"] == "stop_service") == bool(step["services"])
        assert step["signal"] in ("WM_CLOSE", "TERMINATE", "STOP")


def test_codes_are_those_of_linux_and_a_few_more_and_are_documented():
    codes = dict(
        re.findall(r'public const string (\w+) = "(\w+)";', (rig.UTILS / "Errors.cs").read_text(encoding="utf-8"))
    )
    shared = {value for name, value in vars(_errors).items() if name.isupper()}
    assert set(codes.values()) - shared == {"ghost", "no_polite_way", "reserved_range"}
    documentation = (powershell.MODULES / (MODULE + ".yml")).read_text(encoding="utf-8")
    assert [code for code in codes.values() if "V(%s)" % code not in documentation] == []
    everything = "".join(path.read_text(encoding="utf-8") for path in rig.utils())
    assert [name for name in codes if "Codes." + name not in everything] == []


def test_every_refusal_of_windows_has_a_case():
    """Reasons that decide can give are met by a vector; the others come from what is done, or from Ansible."""
    told = set(re.findall(r"\bCodes\.(\w+)", (rig.UTILS / "DecideReasons.cs").read_text(encoding="utf-8")))
    codes = dict(
        re.findall(r'public const string (\w+) = "(\w+)";', (rig.UTILS / "Errors.cs").read_text(encoding="utf-8"))
    )
    met = {port.get("blocked_by") for case in CASES.values() for port in case["expect"]["ports"].values()}
    assert {codes[name] for name in told} - met == set()


def test_names_tell_the_cases_apart():
    names = [
        case["name"]
        for path in vectors.FOLDER.glob("*.yml")
        if path.name != vectors.BAD_INPUT
        for case in vectors.listed(path)
    ]
    assert sorted(names) == sorted(set(names))
    assert len(CASES) - len(SHARED) > 80
    assert len(SHARED) > 150


@pytest.fixture(scope="module")
def said(ask):
    """What each task with bad options is told, in the order of the cases."""
    return ask("BadInput", [case["wish"] for case in BAD_INPUT])


@pytest.mark.parametrize(
    "number", range(len(BAD_INPUT)), ids=lambda number: "%s-%d" % (BAD_INPUT[number]["option"], number)
)
def test_bad_value_is_one_clear_sentence(said, number):
    case, told = BAD_INPUT[number], said[number]
    vectors.only(case, "wish", "option", "value", "says", "by", "platform")
    sentence = told.get("ansible") if case.get("by") == "ansible" else told.get("sentence")
    assert sentence is not None, told
    assert case["option"] in sentence
    assert case["value"] in sentence
    assert case["says"] in sentence
    if case.get("by") != "ansible":
        assert (told["option"], told["code"]) == (case["option"], "bad_option")
        assert sentence.startswith(case["option"] + ": ")
        assert sentence.isprintable()


# Any world -----------------------------------------------------------------------------------------------------------


def odd_world(chance):
    """A task and what was seen, put together by chance: most of it makes no sense, and all of it can be seen for a moment."""
    pids = [4, *range(100, 100 + chance.randrange(1, 8))]
    names = [
        "System",
        "svchost.exe",
        "nginx.exe",
        "sshd.exe",
        "lsass.exe",
        "wslrelay.exe",
        "kubelet.exe",
        "mysqld.exe",
        "supervisord.exe",
        "",
    ]
    services = ["W3SVC", "Shop", "WinRM", "iphlpsvc", "Jenkins", "Base"]

    def some(values, most=3):
        return chance.sample(values, chance.randrange(min(most, len(values)) + 1))

    def flag():
        return chance.random() < 0.5

    sockets = []
    for _row in range(chance.randrange(1, 6)):
        protocol, address = (
            chance.choice(["tcp", "tcp", "udp"]),
            chance.choice(["0.0.0.0", "127.0.0.1", "[::]", "[2001:db8::1]"]),
        )
        row = {protocol: "%s:%d" % (address, chance.choice([80, 81, 82])), "pid": chance.choice([*pids, 812])}
        if chance.random() < 0.9:
            row["held_by"] = some(pids[1:]) or some(pids)
        if protocol == "tcp" and flag():
            row.update(
                peer="192.0.2.9:%d" % chance.randrange(1, 9),
                state=chance.choice(["ESTABLISHED", "TIME_WAIT", "CLOSE_WAIT"]),
            )
        elif protocol == "tcp" and chance.random() < 0.2:
            row["state"] = "BOUND"
        if flag():
            row["service"] = chance.choice(services)
        sockets.append(row)
    processes = [
        {
            "pid": pid,
            "name": chance.choice(names),
            "parent": chance.choice([0, *pids]),
            "services": some(services) if chance.random() < 0.4 else [],
            "window": chance.random() < 0.8,
            "critical": chance.random() < 0.03,
            "denied": chance.random() < 0.05,
        }
        for pid in pids
        if chance.random() < 0.97
    ]
    given = {
        "sockets": sockets,
        "processes": processes,
        "services": [
            {"name": name, "pid": chance.choice([0, *pids]), "state": chance.randrange(1, 8), "accepts_stop": flag(), "start": chance.randrange(5),
             "dependants": some(services), "restarts": flag(), "triggers": flag()}
            for name in some(services, 6)
        ],
        "http": [
            {"name": name, "pids": some(pids), "urls": [], "ports": some([80, 81, 82, 83]), "iis": flag()} for name in some(["A", "B", "C"])
        ],
        "excluded": [{chance.choice(["tcp", "udp"]): chance.choice(["80-81", "82-90"]), "administered": flag()} for _one in range(chance.randrange(2))],
        "ghosts": {"812": some(pids)} if flag() else {},
        "kernel": {"80/tcp": "a driver"} if flag() else {},
        "bindable": {"%d/%s" % (port, protocol): chance.choice([True] * 6 + [False, None]) for port in (80, 81, 82) for protocol in ("tcp", "udp")},
        "carriers": {str(pid): "it is one" for pid in some(pids, 1) if chance.random() < 0.3},
        "this_task": some(pids, 1) if chance.random() < 0.3 else [],
        "elevated": flag(),
    }  # fmt: skip
    wish = {
        "port": chance.choice(["80-82", "80/tcp", "81/tcp"]),
        "state": chance.choice(["free", "free", "free", "present"]),
        "method": chance.choice(["auto"] * 5 + ["signal", "service", "none"]),
    }
    for option, values in (
        ("force", [True, False]),
        ("close_blocking", [True]),
        ("collateral", ["refuse", "accept"]),
        ("persist", [True]),
    ):
        if flag():
            wish[option] = chance.choice(values)
    for option in ("keep", "stop_only", "owner") if wish["state"] == "free" else ("owner",):
        if chance.random() < 0.15 and not (option == "owner" and wish["state"] == "free"):
            wish[option] = some(["nginx", "Shop", "*", "svchost", "sshd"]) or ["x"]
    return {"given": given, "wish": wish, "seeds": 3}


def test_no_world_is_too_odd(ask):
    """Whatever is seen: a plan in words, the same in every order, nothing done beside a refusal, and none of ours ever touched."""
    chance = random.Random(20)
    worlds = [odd_world(chance) for _index in range(700)]
    acted = 0
    for world, told in zip(worlds, ask("Plans", worlds)):
        assert "error" not in told, (told, world)
        assert told["shuffled"] == [], world
        refused = any(port["blocked_by"] for port in told["ports"].values())
        assert not (told["actions"] and (refused or world["wish"]["state"] == "present")), world
        spared = {0, 4, *world["given"]["this_task"], *map(int, world["given"]["carriers"])}
        assert not spared & {pid for step in told["actions"] for pid in step["asks"] + step["then"]}, world
        acted += bool(told["actions"])
    assert acted > 5


# The same words ---------------------------------------------------------------------------------------------------

# What speaks of the system itself: its tools, its accounts, how long it keeps what. The other half is compared all the same.
OWN_REASONS = {"engine", "not_permitted"}
OWN_REMEDIES = {"engine", "hidden_owner", "kernel_socket", "leftover", "not_permitted"}
# Facts that only Linux tells: the unit of a process, the user of a socket.
ONLY_LINUX = re.compile(r"(, [^ ,()]+\.(service|scope)(?=\)))|( of uid [0-9, ]*[0-9])")


def common(code, reason, remedy):
    """What two languages have to say alike of one refusal."""
    return (
        code,
        None if code in OWN_REASONS else ONLY_LINUX.sub("", reason),
        None if code in OWN_REMEDIES else remedy,
    )


@pytest.mark.parametrize("name", SHARED)
def test_both_languages_say_the_same(plans, name):
    case, told = SHARED[name], plans[name]
    wishes, policy = in_python.wish_of(case)
    plan = in_python.decide(in_python.snapshot_of(case, wishes), wishes, policy)
    for port in plan.ports:
        other = told["ports"][port.wish.label]
        assert (
            port.before,
            port.status,
            port.bindable,
            port.kept,
            port.ephemeral,
            port.established,
            port.time_wait,
        ) == tuple(
            other[key] for key in ("before", "status", "bindable", "kept", "ephemeral", "established", "time_wait")
        )
        assert [in_python.told_row(row) for row in port.sockets] == other["sockets"]
        assert [
            (holder.kind, holder.name, list(holder.pids), holder.stoppable, holder.outcome) for holder in port.holders
        ] == [
            tuple(holder[key] for key in ("kind", "name", "pids", "stoppable", "outcome"))
            for holder in other["holders"]
        ]
        for holder, twin in zip(port.holders, other["holders"]):
            if holder.refusal is not None:
                ours = common(holder.refusal.code, holder.refusal.reason, holder.refusal.remedy)
                assert common(twin["code"], twin["reason"], twin["remedy_says"]) == ours
    ours = [
        (step.action, ONLY_LINUX.sub("", step.target), list(step.ports), list(step.also_frees), step.kill, step.grace)
        for step in plan.steps
    ]
    assert ours == [
        tuple(step[key] for key in ("action", "target", "ports", "also_frees", "kill", "grace"))
        for step in told["actions"]
    ]


# The same results ------------------------------------------------------------------------------------------------

NOW = 1_800_000_000
FREED = [name for name, case in SHARED.items() if case["wish"].get("state") == "free"]
# Linux asks with a signal, Windows through a window.
POLITE = re.compile(r"\bwith WM_CLOSE\b")
# What the two systems know about different things.
UNLIKE = {"port_name", "user", "inode"}


def born(case):
    """What was seen, with a start time and a parent for each process."""
    processes = [
        {"parent": 1, "started": NOW - 777 * entry["pid"], **entry} for entry in case["given"].get("processes", ())
    ]
    return dict(case["given"], processes=processes)


def empty(case):
    """What is seen when all of it is gone: every asked port can be bound."""
    wishes, _policy = in_python.wish_of(case)
    return {"bindable": {wish.label: True for wish in wishes}}


def python_story(case, end, check_mode):
    """What the Python of Linux tells of a run that ended in this way."""
    wishes, policy = in_python.wish_of(case)
    aged = in_python.snapshot_of(case, wishes)
    snapshot = aged._replace(
        processes={pid: one._replace(started=float(NOW - 777 * pid)) for pid, one in aged.processes.items()}
    )
    plan = in_python.decide(snapshot, wishes, policy)
    failure = plan.refusals[0] if plan.refusals else None
    story = _conductor.Story(snapshot, plan, policy, failure=failure, check_mode=check_mode, elapsed=2.0006)
    if end is not None:
        error = _model.Refusal("step_failed", "it does not end", "look at it") if end == "failed" else None
        later = in_python.snapshot_of(dict(case, given=case["given"] if error else empty(case)), wishes)
        outcomes = tuple(
            _model.Outcome(
                step, end, acted=end != "gone", seconds=1.2345, dropped=2 if end == "done" else 0, error=error
            )
            for step in plan.steps
        )
        proof = _model.Proof(later, in_python.decide(later, wishes, policy), error)
        story = story._replace(outcomes=outcomes, proof=proof, failure=error)
    return {"result": _report.result(story, NOW), "diff": _report.diff(story)}


def same(ours, theirs, where):
    """What of the Python's result is not in the other one in the same words. It may have more keys."""
    if isinstance(ours, dict):
        for key in set(ours) - UNLIKE:
            if key not in theirs:
                yield "%s.%s is not there" % (where, key)
            else:
                yield from same(ours[key], theirs[key], "%s.%s" % (where, key))
        if ours.get("code") in OWN_REASONS | OWN_REMEDIES:
            return
    elif isinstance(ours, list):
        if len(ours) != len(theirs):
            yield "%s: %d and %d" % (where, len(ours), len(theirs))
        for number, (one, other) in enumerate(zip(ours, theirs)):
            yield from same(one, other, "%s[%d]" % (where, number))
    elif isinstance(ours, str):
        if ONLY_LINUX.sub("", ours) != POLITE.sub("with TERM", theirs):
            yield "%s: %r and %r" % (where, ours, theirs)
    elif ours != theirs:
        yield "%s: %r and %r" % (where, ours, theirs)


def of_its_own(name):
    """Whether a case has sentences that speak of the system itself; who may start something again is looked for on Linux alone."""
    wishes, policy = in_python.wish_of(SHARED[name])
    plan = in_python.decide(in_python.snapshot_of(SHARED[name], wishes), wishes, policy)
    if any(step.restarters for step in plan.steps):
        return True
    return any(refusal.code in OWN_REASONS | OWN_REMEDIES for refusal in plan.refusals) or any(
        "unit" in entry for entry in SHARED[name]["given"].get("processes", ())
    )


@pytest.mark.parametrize(
    ("end", "check_mode"), [(None, False), (None, True), ("done", False), ("gone", False), ("failed", False)]
)
def test_both_languages_tell_the_same_story(ask, end, check_mode):
    names = [name for name in (SHARED if end is None else FREED) if not of_its_own(name)]
    if end is not None:
        # Those whose plan has a step.
        names = [name for name in names if python_story(SHARED[name], None, True)["result"]["actions"]]
    assert len(names) > 20
    asked = [
        {
            "given": born(SHARED[name]),
            "later": born(SHARED[name]) if end == "failed" else empty(SHARED[name]),
            "wish": SHARED[name]["wish"],
            "end": end,
            "now": NOW,
            "check_mode": check_mode,
        }
        for name in names
    ]
    found = []
    for name, told in zip(names, ask("Stories", asked)):
        assert "error" not in told, told
        found += same(python_story(SHARED[name], end, check_mode), told, name)
    assert not found, "\n".join(found[:40])


# What only Windows says: the vector, how its run ended, and the line for people.
SAID = [
    (
        "A service is stopped through the service manager, never by its process",
        None,
        "would stop httpd.exe (pid 100, service Apache2.4) through the service manager (back at boot) to free 80/tcp",
    ),
    (
        "A service is stopped through the service manager, never by its process",
        "done",
        "stopped httpd.exe (pid 100, service Apache2.4) through the service manager, which dropped 2 connections (back at boot); "
        "80/tcp is free: nothing took it back, and a test bind succeeded",
    ),
    (
        "persist sets the start type, and says how that is taken back",
        "done",
        "stopped httpd.exe (pid 100, service Apache2.4) through the service manager, which dropped 2 connections (not back at boot; "
        'undo: sc.exe config "Apache2.4" start= delayed-auto); 80/tcp is free: nothing took it back, and a test bind succeeded',
    ),
    (
        "What depends on a service is stopped before it",
        "done",
        "stopped sqlservr.exe (pid 100, service MSSQLSERVER) through the service manager, which dropped 2 connections and with it Reports "
        "and SQLSERVERAGENT (back at boot); 1433/tcp is free: nothing took it back, and a test bind succeeded",
    ),
    (
        "force true ends a process without a window at once",
        "done",
        "stopped app.exe (pid 100) with TerminateProcess, which dropped 2 connections; 8080/tcp is free: nothing took it back, and a test bind succeeded",
    ),
    (
        "Behind a port of PID 4 is the process that registered the URL",
        "failed",
        "it does not end: look at it",
    ),
    (
        "An application pool that has not started yet is IIS's as well",
        None,
        "would stop W3SVC (service W3SVC, behind HTTP.sys) through the service manager to free 80/tcp",
    ),
    (
        "A report of a reserved port is no failure",
        None,
        "port 50010/tcp: reserved by Windows (excluded port range 50000-50059)",
    ),
    (
        "A process without a window has no polite way, so it is not ended unless that is asked for",
        None,
        "nothing was stopped: 8080/tcp: app.exe (pid 100) has no window in the session of this task, so nothing can ask it to end (end it by its "
        "own means, or let the task end it at once with force: true)",
    ),
]


@pytest.mark.parametrize(("title", "end", "line"), SAID)
def test_what_only_windows_says(ask, title, end, line):
    (case,) = (case for case in CASES.values() if case["name"] == title)
    free = dict.fromkeys(case["expect"]["ports"], True)
    later = case["given"] if end == "failed" else {"bindable": free}
    told = ask("Stories", [dict(case, later=later, end=end, now=NOW, check_mode=end is None)])
    assert told[0]["result"]["msg"] == line
    assert told[0]["result"]["changed"] == ("would stop" in line or end is not None)


def test_a_holder_that_was_not_there_before_is_in_the_result(ask):
    """A respawner: the process that was stopped, and the one that came in its place."""
    case = {"given": CASES["who_holds-2"]["given"], "wish": {"port": "8080/tcp", "state": "free"}}
    later = {
        "sockets": [{"tcp": "127.0.0.1:8080", "held_by": [200], "inode": 7}],
        "processes": [{"pid": 200, "name": "nginx", "parent": 50}],
    }
    (told,) = ask("Stories", [dict(case, later=later, end="done", now=NOW, check_mode=False)])
    (port,) = told["result"]["ports"]
    assert [(holder["pids"], holder["outcome"]) for holder in port["holders"]] == [([100], "stopped"), ([200], "none")]
    assert [owner["pid"] for owner in told["result"]["owners"]] == [100, 200]
    assert (port["before"], port["status"]) == ("held", "held")
    assert told["diff"] == {"before": "8080/tcp held by nginx\n", "after": "8080/tcp held by nginx\n"}
