# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A name that an account gave its own program never makes a final refusal; the same name on evidence does."""

from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._decide import protection, tables
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.decide import decide
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Policy,
    Process,
    Snapshot,
    Socket,
    Unit,
    UnitFacts,
    Wish,
)

pytestmark = pytest.mark.pure

NOBODY = 65534
SYSTEMD = Process(1, "systemd", 0, uid=0, proven=("systemd",))


def every_name():
    """Each name of each table of programs, however many tables there are."""
    found = set()

    def walk(value):
        if isinstance(value, str):
            if value and "/" not in value and " " not in value:
                found.add(value)
        elif isinstance(value, dict):
            walk(list(value.items()))
        elif isinstance(value, (tuple, list)):
            for one in value:
                walk(one)

    for module in (tables, protection):
        for name in dir(module):
            if name.isupper():
                walk(getattr(module, name))
    return sorted(found - {"INT", "*"})


NAMES = every_name()
# With any command line, unit of its own account and parent.
COMMANDS = [
    "%s -x",
    "%s --conf=/var/lib/libvirt/dnsmasq/NetworkManager/lxd/incus/lxc/x",
    "/usr/bin/python3 /usr/bin/%s",
]
UNITS = [None, Unit("init.scope", NOBODY), Unit("%s.service", NOBODY), Unit("ssh.service", NOBODY)]


def of_nobody(name, command="%s -x", unit=None, parent=None):
    word = name.replace("*", "x")
    if unit is not None:
        unit = Unit(unit.name.replace("%s", word), unit.user)
    ancestors = (1,) if parent is None else (parent.pid, 1)
    return Process(
        100, word[:15], ancestors[0], "/tmp/bin/" + word, command % word, NOBODY, "nobody", ancestors=ancestors,
        unit=unit, real_uid=NOBODY
    )  # fmt: skip


def plan(process, *others, units=(), **policy):
    row = Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=11)
    other = Socket("tcp", "ipv4", "0.0.0.0", 8081, "LISTEN", inode=12)
    known = {one.pid: one for one in (SYSTEMD, process, *others)}
    snapshot = Snapshot(
        (row,), {11: (process.pid,), 12: (process.pid,)}, known, (other,), units={one.unit: one for one in units}
    )
    return decide(snapshot, [Wish(8080, "tcp")], Policy(state="free", **policy))


def refusal(plan):
    return plan.ports[0].refusal


def asked(plan):
    assert refusal(plan) is None, refusal(plan)
    return [(step.action, [target.pid for target in step.roots]) for step in plan.steps]


def test_the_walk_finds_the_tables():
    assert set(NAMES) >= {
        "sshd",
        "dnsmasq",
        "xinetd",
        "aardvark-dns",
        "rootlesskit",
        "supervisord",
        "dockerd",
        "systemd",
    }
    assert len(NAMES) > 150


def kept(names, free):
    """The names whose holders stay although the task says that they may be stopped; one test of some hundred names."""
    return [name for name in names if not free(name)]


def freed(plan):
    return refusal(plan) is None and [(step.action, step.roots[0].pid) for step in plan.steps] == [("signal", 100)]


@pytest.mark.parametrize(
    ("command", "unit"),
    [(command, None) for command in COMMANDS] + [(COMMANDS[1], unit) for unit in UNITS[1:]],
    ids=str,
)
def test_what_nobody_calls_its_program_is_overruled_by_method_signal(command, unit):
    def free(name):
        holder = of_nobody(name, command, unit)
        said = [UnitFacts(holder.unit, main_pid=100, restart="no")] if holder.unit else []
        return freed(plan(holder, units=said, method="signal"))

    assert kept(NAMES, free) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_what_nobody_calls_its_program_is_overruled_by_unprotect(command):
    def free(name):
        holder = of_nobody(name, command)
        # As the kernel cuts it, or in full.
        return all(freed(plan(holder, unprotect=(said,))) for said in (holder.name, name.replace("*", "x")))

    assert kept(NAMES, free) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_refusal_for_a_claim_says_what_overrules_it(command):
    refusals = [(of_nobody(name), refusal(plan(of_nobody(name, command)))) for name in NAMES]
    assert sum(found is not None for _holder, found in refusals) > 60
    for holder, found in refusals:
        if found is not None:
            assert found.claim, found
            assert "method: signal" in found.remedy
            assert "unprotect: [%s]" % holder.name in found.remedy


def test_a_parent_that_nobody_calls_so_is_overruled_too():
    def free(name):
        parent = of_nobody(name)._replace(pid=50)
        child = of_nobody("node", parent=parent)
        return all(
            freed(plan(child, parent, **policy)) for policy in ({"method": "signal"}, {"unprotect": (parent.name,)})
        )

    assert kept(NAMES, free) == []


def proven(name, **more):
    return Process(
        100, name[:15], 1, "/usr/sbin/" + name, name, 0, "root", ancestors=(1,), real_uid=0, proven=(name,), **more
    )


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("sshd", "protected_process"), ("systemd-networkd", "protected_process"), ("dropbear", "protected_process"),
        ("dbus-daemon", "protected_process"), ("NetworkManager", "protected_process"),
        ("dockerd", "engine"), ("conmon", "engine"), ("rootlesskit", "engine"), ("kubelet", "engine"),
        ("xinetd", "managed_elsewhere"), ("inetd", "managed_elsewhere"), ("aardvark-dns", "managed_elsewhere"),
    ],
)  # fmt: skip
def test_evidence_yields_to_no_signal(name, code):
    for method in ("auto", "signal"):
        found = refusal(plan(proven(name), method=method))
        assert found.code == code
        assert not found.claim


def test_a_proven_one_among_others_counts_though_the_task_overrules_the_others():
    """Whoever shares the socket: the claim of one does not hide the evidence of the other."""
    mine, real = of_nobody("tailscaled"), proven("sshd")._replace(pid=200, parent_pid=100, ancestors=(100, 1))
    row = Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=11)
    snapshot = Snapshot((row,), {11: (100, 200)}, {1: SYSTEMD, 100: mine, 200: real})
    for policy in (Policy("free"), Policy("free", method="signal"), Policy("free", unprotect=("tailscaled",))):
        found = refusal(decide(snapshot, [Wish(8080, "tcp")], policy))
        assert (found.code, found.claim) == ("protected_process", False)


def test_a_session_is_told_by_a_parent_that_is_sshd():
    daemon = proven("sshd")._replace(pid=50)
    child = of_nobody("sshd", parent=daemon)
    assert asked(plan(child, daemon)) == [("signal", [100])]
    pretender = of_nobody("sshd")._replace(pid=50)
    assert refusal(plan(of_nobody("sshd", parent=pretender), pretender)).claim


def test_libvirts_dnsmasq_is_told_by_its_unit_or_its_account():
    """It gives up root's rights: what is evidence is the control group, and the account."""
    holder = of_nobody("dnsmasq")
    for real in (
        holder._replace(unit=Unit("libvirtd.service")),
        holder._replace(user="libvirt-dnsmasq", uid=117, real_uid=117),
    ):
        found = refusal(plan(real, method="signal"))
        assert (found.code, found.claim) == ("managed_elsewhere", False)
    for claim in (
        holder._replace(unit=Unit("libvirtd.service", NOBODY)),
        holder._replace(user="libvirt-dnsmasq", uid=117),
    ):
        assert asked(plan(claim, method="signal")) == [("signal", [100])]


def test_the_service_manager_of_a_user_is_told_by_the_first_process():
    """The process that PID 1 started as user@1000.service is never signalled; one that only calls itself systemd is."""
    manager = of_nobody("systemd", unit=Unit("init.scope", NOBODY))
    real = UnitFacts(Unit("user@65534.service"), main_pid=100)
    assert refusal(plan(manager, units=[real], method="signal")).code == "wrong_method"
    other = real._replace(main_pid=99)
    assert asked(plan(manager, units=[other], method="signal")) == [("signal", [100])]


def test_what_the_manager_of_a_user_says_of_restarts_is_overruled_by_name():
    holder = of_nobody("node", unit=Unit("app.service", NOBODY))
    facts = UnitFacts(holder.unit, main_pid=100, restart="always")
    found = refusal(plan(holder, units=[facts], method="signal"))
    assert (found.code, found.claim) == ("would_respawn", True)
    assert "unprotect: [app.service]" in found.remedy
    assert asked(plan(holder, units=[facts], method="signal", unprotect=("app.service",))) == [("signal", [100])]
    system = facts._replace(unit=Unit("app.service"))
    held = holder._replace(unit=system.unit)
    assert refusal(plan(held, units=[system], method="signal", unprotect=("app.service",))).code == "would_respawn"
