# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables: every entry can match something, and the machines' vital parts are in them."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._decide import (
    holders,
    managers,
    matching,
    protection,
    rules,
    steps,
    tables,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.decide import decide
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.vital import VITAL
from ansible_collections.harbormaster.ports.plugins.module_utils._known import AGENTS
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Policy,
    Process,
    Snapshot,
    Socket,
    Unit,
    UnitFacts,
    Wish,
)

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"
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


@pytest.mark.parametrize("name", protection.PROTECTED)
def test_every_protected_name_can_be_taken_off_the_list(name):
    program = name.replace("*", "x")
    process = Process(100, program)
    assert plan_for(process).ports[0].refusal
    left = [entry for entry in protection.PROTECTED if entry != name and matching.matches(process, [entry])]
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
        protection.PROTECTED, tables.DATABASES, tables.LAUNCHERS, tables.ENGINE_RELAYS, tables.RESPAWNERS,
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


def names_of_vital():
    return [(vital, program) for vital in VITAL for program in vital.programs]


@pytest.mark.parametrize(("vital", "program"), names_of_vital(), ids=[program for _vital, program in names_of_vital()])
def test_what_the_network_rests_on_says_what_to_do_instead(vital, program):
    name = program.replace("*", "d")
    process = Process(100, name[:COMM_SIZE], exe="/usr/sbin/" + name, proven=(name,))
    for method in ("auto", "signal"):
        found = plan_for(process, method=method).ports[0].refusal
        assert (found.code, found.claim) == ("protected_process", False)
        assert found.remedy.startswith(vital.instead)
    assert plan_for(process, unprotect=(program,)).ports[0].refusal is None


def units_of_vital():
    return [(vital, unit) for vital in VITAL for unit in vital.units]


@pytest.mark.parametrize(("vital", "glob"), units_of_vital(), ids=[unit for _vital, unit in units_of_vital()])
def test_units_that_the_network_rests_on_are_protected_whatever_runs_in_them(vital, glob):
    unit = Unit(glob.replace("*", "x").replace(".service", "") + ".service")
    process = Process(100, "x", uid=65534, real_uid=65534, unit=unit)
    snapshot = alone(process)._replace(units={unit: UnitFacts(unit, main_pid=100)})

    def refusal(**policy):
        return decide(snapshot, [Wish(8080, "tcp")], Policy(state="free", **policy)).ports[0].refusal

    assert refusal().code == "protected_process"
    assert vital.instead in refusal().remedy
    for name in (unit.name, unit.name[: -len(".service")], *vital.programs):
        assert refusal(unprotect=(name,)) is None


VITAL_NAMES = [
    "dhclient", "dhcpcd", "udhcpc", "systemd-networkd", "NetworkManager", "wickedd", "connmand", "cloud-init", "tailscaled",
    "openvpn", "charon", "zerotier-one", "netbird", "nebula", "k3s", "rke2", "k0s", "keepalived", "corosync", "pacemakerd",
]  # fmt: skip
VITAL_UNITS = [
    "networking.service", "ifup@eth0.service", "systemd-networkd.service", "systemd-networkd.socket", "NetworkManager.service",
    "wicked.service", "wickedd.service", "connman.service", "cloud-init-local.service", "cloud-init.service",
    "cloud-config.service", "cloud-final.service", "tailscaled.service", "openvpn@x.service", "openvpn-client@x.service",
    "openvpn-server@x.service", "wg-quick@wg0.service", "strongswan.service", "strongswan-starter.service", "ipsec.service",
    "zerotier-one.service", "netbird.service", "nebula.service", "k3s.service", "k3s-agent.service", "rke2-server.service",
    "rke2-agent.service", "k0scontroller.service", "snap.microk8s.daemon-kubelite.service", "keepalived.service",
    "lxc-net.service", "corosync.service", "pacemaker.service", "kubelet.service", "ssh.service", "docker.service",
]  # fmt: skip


def test_what_must_never_leave_the_lists():
    """Written down once more: an entry that is deleted must not delete its own test."""
    assert [name for name in VITAL_NAMES if not matching.glob_any(name, protection.PROTECTED)] == []
    assert [name for name in VITAL_UNITS if not matching.glob_any(name, protection.PROTECTED_UNITS)] == []
    for name in ("nginx.service", "haproxy.service", "rc-local.service", "mariadb.service", "systemd-resolved.service"):
        assert not matching.glob_any(name, protection.PROTECTED_UNITS)


AGENT_UNITS = [
    "salt-minion.service", "puppet.service", "chef-client.service", "cinc-client.service", "vsts.agent.acme.pool.one.service",
    "bamboo-agent.service", "teamcity-agent.service", "tentacle-x.service", "google-osconfig-agent.service",
    "google-guest-agent.service", "google-cloud-ops-agent-fluent-bit.service", "amazon-ssm-agent.service",
    "walinuxagent.service", "waagent.service", "receptor.service", "rundeckd.service", "jenkins.service",
    "gitlab-runner.service", "actions.runner.acme-x.one.service", "buildkite-agent.service", "drone-runner-exec.service",
    "woodpecker-agent.service", "concourse-worker.service", "nomad.service", "cloudflared.service", "tailscaled.service",
    "teleport.service", "mcollective.service", "rudder-agent.service", "cfengine3.service", "landscape-client.service",
    "ansible-pull.service", "nagios-nrpe-server.service", "zabbix-agent.service", "rc-local.service", "networking.service",
    "cloud-final.service", "cron.service", "ssh.service",
]  # fmt: skip
AGENT_PROGRAMS = [
    "salt-minion", "puppet", "chef-client", "Agent.Listener", "Tentacle", "google_osconfig_agent", "google_guest_agent",
    "amazon-ssm-agent", "waagent", "receptor", "gitlab-runner", "Runner.Listener", "buildkite-agent", "nomad", "cloudflared",
    "tailscaled", "teleport", "mcollectived", "cf-execd", "landscape-client", "ansible-pull", "nrpe", "zabbix_agentd",
]  # fmt: skip


@pytest.mark.parametrize("name", AGENT_UNITS)
def test_a_stray_below_an_agents_unit_is_a_process(name):
    unit = Unit(name)
    agent, stray = Process(50, "java", unit=unit), Process(100, "node", 50, ancestors=(50, 1), unit=unit)
    snapshot = Snapshot(processes={50: agent, 100: stray}, units={unit: UnitFacts(unit, main_pid=50)})
    assert managers.of(snapshot, (100,)).kind == "process"


@pytest.mark.parametrize("program", AGENT_PROGRAMS)
def test_an_agent_is_known_in_a_unit_of_any_name(program):
    unit = Unit("mine.service")
    stray = Process(100, "node", 50, ancestors=(50, 1), unit=unit)

    def kind(agent, facts):
        return managers.of(Snapshot(processes={50: agent, 100: stray}, units={unit: facts}), (100,)).kind

    facts = UnitFacts(unit, main_pid=50)
    claim = Process(50, program[:COMM_SIZE], unit=unit)
    assert kind(claim, facts) == "service"
    assert kind(claim._replace(proven=("python3", program)), facts) == "process"
    assert kind(claim, facts._replace(program=program)) == "process"


# Azure's agent is called waagent on Linux.
ONLY_ON_WINDOWS = {"WaAppAgent", "WindowsAzureGuestAgent"}


def test_agents_of_windows_are_agents_here():
    """The twin table in C#: each of its entries is in both, or on the list above."""
    source = PLUGINS / "module_utils" / "_windows" / "ObserveCarriers.cs"
    table = source.read_text(encoding="utf-8").partition("string[] Agents")[2].partition("};")[0]
    found = set(re.findall(r'"([^"]+)\.exe"', table))
    assert found >= {"salt-minion", "Agent.Listener"}
    known = {program for agent in AGENTS if agent.carries for program in agent.programs}
    assert found - known == ONLY_ON_WINDOWS
