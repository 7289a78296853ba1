# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables: every entry can match something, and the machines' vital parts are in them."""

from __future__ import annotations

import signal

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._decide import (
    holders,
    managers,
    matching,
    rules,
    steps,
    tables,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.decide import decide
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Policy,
    Process,
    Snapshot,
    Socket,
    Unit,
    Wish,
)

COMM_SIZE = 15


def alone(process):
    """A host on which this process listens and nothing else is known."""
    row = Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", inode=11)
    return Snapshot((row,), {11: (process.pid,)}, {process.pid: process})


def kind_of(process):
    return managers.of(Snapshot(processes={process.pid: process}), (process.pid,)).kind


def plan_for(process, **policy):
    return decide(alone(process), [Wish(8080, "tcp")], Policy(state="free", **policy))


@pytest.mark.parametrize(
    "name",
    [
        "systemd", "systemd-journald", "systemd-logind", "systemd-udevd", "systemd-networkd", "systemd-timesyncd",
        "dbus-daemon", "dbus-broker", "sshd", "dropbear", "NetworkManager",
    ],
)  # fmt: skip
def test_vital_programs_are_protected_by_their_kernel_name(name):
    plan = plan_for(Process(100, name[:COMM_SIZE]))
    assert plan.ports[0].refusal.code == "protected_process"


@pytest.mark.parametrize("name", ["dockerd", "containerd", "crio", "kubelet", "podman"])
def test_engines_are_never_stopped_for_a_port(name):
    plan = plan_for(Process(100, name))
    assert plan.ports[0].refusal.code == "engine"


@pytest.mark.parametrize("name", tables.PROTECTED)
def test_every_protected_name_can_be_taken_off_the_list(name):
    program = name.replace("*", "x")
    process = Process(100, program)
    assert plan_for(process).ports[0].refusal
    left = [entry for entry in tables.PROTECTED if entry != name and matching.matches(process, [entry])]
    assert bool(plan_for(process, unprotect=(name,)).ports[0].refusal) == bool(left)


@pytest.mark.parametrize("name", tables.DATABASES)
def test_databases_are_spared(name):
    process = Process(100, name.replace("*", "x")[:COMM_SIZE], exe="/usr/bin/" + name.replace("*", "x"))
    assert steps.may_kill(process, None) is False
    assert steps.may_kill(process, True) is True
    assert steps.may_kill(process, False) is False


def test_everybody_else_may_be_killed():
    assert steps.may_kill(Process(100, "node"), None) is True
    assert steps.may_kill(Process(100, "node"), False) is False


@pytest.mark.parametrize(("name", "polite"), tables.POLITE_SIGNALS)
def test_polite_signals_are_signals_and_replace_term_only(name, polite):
    assert hasattr(signal, "SIG" + polite)
    assert steps.polite_signal(Process(100, name), "TERM") == polite
    assert steps.polite_signal(Process(100, name), "HUP") == "HUP"
    assert steps.polite_signal(Process(100, name + "-exporter"), "TERM") == "TERM"


@pytest.mark.parametrize("unit", [unit for unit in tables.LAUNCHERS if unit.endswith(".service")])
def test_what_a_launcher_started_is_a_process(unit):
    name = unit.replace("@*", "@1").replace("*", "-x")
    assert kind_of(Process(100, "node", unit=Unit(name))) == "process"


@pytest.mark.parametrize("unit", ["nginx.service", "sshd-exporter.service", "cronjob.service", "my-receptor.service"])
def test_other_units_manage(unit):
    assert kind_of(Process(100, "node", unit=Unit(unit))) == "service"


@pytest.mark.parametrize("unit", ["session-3.scope", "user.slice", "ssh.socket", "x.timer", "init.scope"])
def test_only_services_manage(unit):
    assert kind_of(Process(100, "node", unit=Unit(unit))) == "process"


@pytest.mark.parametrize("name", tables.ENGINE_RELAYS)
def test_relays_stand_for_containers(name):
    assert kind_of(Process(100, name)) == "container"


@pytest.mark.parametrize(("name", "command"), tables.SUPERVISORS)
def test_supervisors(name, command):
    parent = Process(50, name.replace("*", " v5.3.0: G"))
    child = Process(100, "node", 50, ancestors=(50,))
    snapshot = Snapshot(processes={50: parent, 100: child})
    assert holders.supervisor(snapshot, child) == (parent, command)
    assert holders.supervisor_name(parent) == "a supervisor"
    assert holders.supervisor(snapshot, parent) is None


def test_the_first_process_supervises_everything_and_therefore_nothing():
    child = Process(100, "node", 1)
    assert holders.supervisor(Snapshot(processes={1: Process(1, "launchd"), 100: child}), child) is None


def test_who_restarts_things_is_guessed():
    assert holders.supervisor_name(Process(50, "bash")) == "a shell or a watcher"
    assert holders.supervisor_name(Process(50, "node")) is None


@pytest.mark.parametrize(
    "table",
    [
        tables.PROTECTED, tables.DATABASES, tables.LAUNCHERS, tables.ENGINE_RELAYS, tables.RESPAWNERS,
        [name for name, _more in tables.SUPERVISORS + tables.POLITE_SIGNALS],
    ],
    ids=["protected", "databases", "launchers", "relays", "respawners", "others"],
)  # fmt: skip
def test_entries_are_unique_and_match_something(table):
    assert len(table) == len(set(table))
    assert "*" not in table
    for name in table:
        assert name.strip() == name != ""


def test_every_kind_of_holder_has_its_rules():
    assert set(rules._RULES) == {
        "process", "service", "container", "systemd_socket", "resolver", "connection", "leftover", "kernel", "unknown",
    }  # fmt: skip
