# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each manager allows: the rules of services, containers, supervisors and the resolver. Private to harbormaster.ports.

Pure. Each rule answers with a Refusal, or with None: the next one is asked, as in `rules`.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import (
    at_boot,
    commands,
    holders,
    managers,
    matching,
    protection,
    reasons,
    resolving,
    tables,
    units,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.case import Case, Rule
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    BOUND,
    CONTAINER,
    LISTEN,
    PROCESS,
    RESOLVER,
    SERVICE,
    SYSTEMD_SOCKET,
    UDP,
    Container,
    Holder,
    Policy,
    Process,
    Refusal,
    Snapshot,
    Unit,
    UnitFacts,
)

BY_SIGNAL = "signal"
BY_SERVICE = "service"
BY_CONTAINER = "container"
BY_SUPERVISOR = "supervisor"
BY_RESOLVER = "resolver"

# An id of an engine has more; a name that somebody has chosen is told whole.
_LONGEST_NAME = 64

_WAYS = {SERVICE: BY_SERVICE, SYSTEMD_SOCKET: BY_SERVICE, CONTAINER: BY_CONTAINER, RESOLVER: BY_RESOLVER}


def way(policy: Policy, holder: Holder) -> str:
    """Through whom a holder is stopped: what ``method`` forces, else its real manager."""
    if policy.method == BY_SERVICE and managers.is_unasked(holder):
        # Whether a unit runs it, its engine would say.
        return BY_CONTAINER
    if policy.method in (BY_SIGNAL, BY_SERVICE, BY_CONTAINER):
        return policy.method
    if holder.supervised is not None:
        return BY_SUPERVISOR
    if holder.unit is None and holder.container is None:
        # What calls itself an engine's relay or a service manager, and nothing is known of what it manages.
        return BY_SIGNAL
    return _WAYS.get(holder.kind, BY_SIGNAL)


def elsewhere(case: Case) -> t.Optional[Refusal]:
    """Helpers that another program set up, and one process that serves the ports of many."""
    main = case.main
    if main is None or case.holder.container is not None:
        return None
    for entry in tables.MANAGED_ELSEWHERE:
        if matching.program(main, (entry.program,)) and _fits(entry, main):
            refusal = reasons.managed_elsewhere(case.who, entry.by, entry.remedy)
            return refusal if _belongs(entry, main) else case.believed(refusal, main, entry.program)
    name = matching.proven(main, tables.SUPER_SERVERS) or matching.program(main, tables.SUPER_SERVERS)
    others = _other_ports(case, main) if name else ()
    if name and others:
        by = "%s, which serves %s as well" % (main.name, ", ".join(others))
        remedy = "take the service out of its configuration and reload it, or ask for all of its ports"
        return case.believed(reasons.managed_elsewhere(case.who, by, remedy), main, name)
    return None


def _other_ports(case: Case, main: Process) -> t.Sequence[str]:
    """What a process serves besides the ports that the task asks for."""
    asked = case.asked | {(case.wish.port, case.wish.protocol)}
    return sorted(
        {
            "%d/%s" % (row.port, row.protocol)
            for row in case.snapshot.sockets + case.snapshot.other_sockets
            if main.pid in case.snapshot.owners.get(row.inode, ())
            and (row.protocol == UDP or row.state in (LISTEN, BOUND))
            and (row.port, row.protocol) not in asked
        }
    )


def engine(case: Case) -> t.Optional[Refusal]:
    """An engine or its relay behind which no container was found."""
    main = case.main
    if main is None or case.holder.container is not None:
        return None
    entry = matching.proven(main, tables.ENGINES) or matching.program(main, tables.ENGINES)
    if entry is None:
        return None
    why = _unasked(case.snapshot)
    if not any(matching.proven(process, tables.ENGINES) for process in case.members):
        return case.claimed(reasons.engine(case.who, why, case.wish.port), main.name, entry, *matching.programs(main))
    if matching.program(main, tables.ENGINE_RELAYS) is None and entry in case.policy.unprotect and not why:
        # The engine's own port, and its name is off the list.
        return None
    if why or entry not in tables.LONE_RELAYS:
        # A container that its engine did not tell of would go on behind a port that leads nowhere.
        return reasons.engine(case.who, why, case.wish.port)
    if case.policy.method == BY_SIGNAL or {entry, main.name}.intersection(case.policy.unprotect):
        return None
    return reasons.stray_relay(case.who, case.wish.port, entry)


def _belongs(entry: tables.Elsewhere, process: Process) -> bool:
    """Whether the unit or the account, which nobody else can give a process, says that it is the helper."""
    unit = process.unit
    if unit is not None and unit.user is None and entry.unit and matching.glob_any(unit.name, (entry.unit,)):
        return True
    own = process.user is not None and process.uid == process.account
    return own and entry.user not in ("", matching.ANYBODY) and process.user == entry.user


def _fits(entry: tables.Elsewhere, process: Process) -> bool:
    facts = (
        (entry.unit, process.unit.name if process.unit else None),
        (entry.user, process.user),
        (entry.command, process.command),
    )
    return any(glob and value is not None and matching.glob_any(value, (glob,)) for glob, value in facts)


def _unasked(snapshot: Snapshot) -> str:
    return "; ".join(blind.text for blind in snapshot.blind if blind.code.startswith("container_engine"))


def _wrong_method(case: Case) -> t.Optional[Refusal]:
    method, holder = case.policy.method, case.holder
    if method == BY_SERVICE and holder.kind == RESOLVER:
        return reasons.would_break_dns(case.who, "it is what resolves them here; method: auto takes its port only")
    possible = {
        BY_SERVICE: holder.unit is not None or managers.is_unasked(holder),
        BY_CONTAINER: holder.container is not None,
        # A relay's end would leave its container running behind a port that leads nowhere.
        BY_SIGNAL: bool(holder.pids)
        and holder.kind != SYSTEMD_SOCKET
        and min(holder.pids) > 1
        and not (holder.container is not None and case.main is not None and managers.is_relay(case.main)),
    }
    if possible.get(method, True):
        return None
    refusal = reasons.wrong_method(case.who, method)
    if method == BY_SIGNAL and case.main is not None and case.main.pid > 1 and not _manages(case.snapshot, case.main):
        return case.claimed(refusal, case.main.name)
    return refusal


def _manages(snapshot: Snapshot, process: Process) -> bool:
    """Whether it is proven that others depend on a process: an engine's relay, or the service manager of a user."""
    if matching.proven(process, (*tables.ENGINE_RELAYS, "dockerd")):
        return True
    facts = snapshot.units.get(Unit("user@%d.service" % process.uid)) if process.uid is not None else None
    return facts is not None and facts.main_pid == process.pid


def _signalled(case: Case) -> t.Optional[Refusal]:
    """A bare signal to what its manager starts again at once."""
    if case.policy.method != BY_SIGNAL:
        return None
    holder = case.holder
    facts = case.snapshot.units.get(holder.unit) if holder.unit else None
    after = _restarting(facts, case.policy) if facts is not None else ""
    if facts is not None and after:
        refusal = reasons.would_respawn(case.who, facts.unit.name, facts.restart, after)
        return _of_account(case, refusal, facts.unit.user, facts.unit.name)
    container = holder.container
    if container is not None and container.pid in holder.pids and container.restart not in ("", "no"):
        refusal = reasons.would_respawn(case.who, container.engine, container.restart)
        return _of_account(case, refusal, container.user, container.name or container.id[:12])
    return None


def _restarting(facts: UnitFacts, policy: Policy) -> str:
    """The signal after which a service is started again; empty for none. KILL follows only where that is no reason."""
    if units.restarts(facts, policy.signal):
        return policy.signal
    return "KILL, which force allows" if policy.force and units.restarts(facts, "KILL") else ""


def _of_account(case: Case, refusal: Refusal, user: t.Optional[int], name: str) -> t.Optional[Refusal]:
    """What the service manager or the engine of an account says is that account's word: the task may overrule it by name."""
    if user is None:
        return refusal
    if name in case.policy.unprotect:
        return None
    remedy = "%s; or say unprotect: [%s], as nobody but its own account says so" % (refusal.remedy, name)
    return refusal._replace(remedy=remedy, claim=True)


def _service(case: Case) -> t.Optional[Refusal]:
    unit = case.holder.unit
    if way(case.policy, case.holder) != BY_SERVICE:
        return None
    if unit is None:
        return reasons.nothing_to_act_on(case.who)
    snapshot, policy = case.snapshot, case.policy
    chosen = units.group(snapshot, unit)
    if not chosen:
        why = "; ".join(blind.text for blind in snapshot.blind if blind.code == "service_manager")
        manager = "the systemd unit %s, of which its manager does not tell%s" % (
            unit.name,
            " (%s)" % why if why else "",
        )
        name = case.main.user if unit.user is not None and case.main is not None else None
        command = commands.systemctl(name or unit.user, "stop", unit.name)
        return reasons.unsupported_manager(case.who, manager, "stop it with " + command)
    for facts in chosen:
        protected = units.protecting(snapshot, facts, policy)
        if protected is not None:
            instead = "" if protected[1] else protection.INSTEAD.get(protected[0], "")
            return reasons.protected_process(_and_unit(case.who, facts), *protected, instead)
        if not facts.manual_stop:
            return reasons.not_stoppable(facts.unit.name, "its unit says RefuseManualStop=yes")
    along = units.dependants(snapshot, chosen)
    for facts in along:
        protected = units.protecting(snapshot, facts, policy)
        if protected is not None:
            return reasons.protected_dependant(case.who, facts.unit.name, protected[0])
    return _carrying(case, chosen + along) or _other_accounts(case, chosen) or _coming_back(case, chosen)


def _and_unit(who: str, facts: UnitFacts) -> str:
    return who if facts.unit.name in who else "%s, which stops with %s," % (facts.unit.name, who)


def _carrying(case: Case, stopped: t.Sequence[UnitFacts]) -> t.Optional[Refusal]:
    """The task itself, or its connection, in a unit that would stop."""
    for facts in stopped:
        if facts.unit == case.snapshot.own_unit or case.snapshot.self_pids.intersection(facts.pids) - {1}:
            return reasons.own_ancestor(facts.unit.name)
        carrier = next((pid for pid in facts.pids if pid in case.snapshot.carriers), None)
        if carrier is not None:
            return reasons.own_connection(facts.unit.name, case.snapshot.carriers[carrier])
    return None


def _other_accounts(case: Case, chosen: t.Sequence[UnitFacts]) -> t.Optional[Refusal]:
    """``user`` holds for every process that stops with the unit, not only for those that share the socket."""
    for facts in chosen:
        for pid in facts.pids:
            process = case.snapshot.processes.get(pid)
            if process is not None and not matching.runs_as(process, case.wish.user):
                who = "%s (pid %d), of the same unit," % (process.name, pid)
                return reasons.user_mismatch(who, str(process.user), ", ".join(case.wish.user or ()))
    return None


def _coming_back(case: Case, chosen: t.Sequence[UnitFacts]) -> t.Optional[Refusal]:
    """``persist`` for a unit that is neither started by a link of its own nor can be masked."""
    found = at_boot.unmaskable(case.snapshot, chosen) if case.policy.persist else None
    if found is None:
        return None
    facts, pulling = found
    why = "%s wants %s, whose file lies where a mask would" % (", ".join(pulling), facts.unit.name)
    remedy = "take it out of Wants= and Requires= of %s (systemctl cat %s)"
    return reasons.cannot_persist(case.who, why, remedy % (", ".join(pulling), commands.line(*pulling)))


def _container(case: Case) -> t.Optional[Refusal]:
    container = case.holder.container
    if container is None or way(case.policy, case.holder) not in (BY_CONTAINER, BY_SERVICE):
        return None
    if container.orchestrator:
        remedy = _scheduler(container) + _own_risk(container)
        return reasons.orchestrated(case.who, container.orchestrator.capitalize(), remedy)
    if way(case.policy, case.holder) == BY_SERVICE or container.unasked:
        # What an engine would say that only the real run asks, is left to that run: a warning says so.
        return None
    if not container.asked:
        return _unanswered(case, container)
    if container.pid in case.snapshot.self_pids - {0, 1}:
        return reasons.own_ancestor(case.who)
    for pid, why in sorted(case.snapshot.carriers.items()):
        process = case.snapshot.processes.get(pid)
        if process is not None and container.pid > 1 and container.pid in (pid, *process.ancestors):
            return reasons.own_connection(case.who, why)
    if container.removed_on_stop and case.policy.collateral != "accept":
        return reasons.would_delete(case.who)
    if case.policy.persist and not container.can_persist and container.restart in ("always", "unless-stopped"):
        why = "its restart policy is %s, and this %s can't change that of a container that exists"
        remedy = "create it anew with --restart=no"
        return reasons.cannot_persist(case.who, why % (container.restart, container.engine), remedy)
    return None


def _apart(case: Case) -> t.Optional[Refusal]:
    """A process that looks contained by its namespaces alone. Anybody may have made these: its own name takes this off."""
    main = case.main
    if main is None or not main.apart or case.holder.kind != PROCESS or case.policy.method == BY_SIGNAL:
        return None
    if case.holder.supervised is not None or matching.program(main, case.policy.unprotect):
        return None
    return reasons.apart(case.who, main.apart, main.name)


def _unanswered(case: Case, container: Container) -> Refusal:
    """A container that its engine has not told of."""
    name = container.name or (container.id if len(container.id) < _LONGEST_NAME else container.id[:12])
    foreign = dict(tables.FOREIGN_ENGINES).get(container.engine)
    if foreign is None:
        why = _unasked(case.snapshot)
        manager = "%s, which could not be asked%s" % (container.engine, " (%s)" % why if why else "")
        remedy = "stop it with %s stop %s" % (container.engine, name)
    else:
        manager = "an engine that is not known" if container.engine == "unknown" else container.engine
        space = " --namespace %s" % container.project if container.project else ""
        remedy = foreign.replace("NAME", name).replace(" SPACE", space)
    if container.user is not None:
        remedy += " as the user %s" % (
            case.main.user if case.main and case.main.uid == container.user else container.user
        )
    return reasons.unsupported_manager(case.who, manager, remedy + _own_risk(container))


def _own_risk(container: Container) -> str:
    """What else helps where a control group's name is all that makes it a container, and an account may have chosen that."""
    if container.asked or (container.user is None and not container.unsure):
        return ""
    return "; if it is no container, force the signal with method: signal"


def _scheduler(container: Container) -> str:
    """The command for the scheduler that runs a container."""
    name = container.service or container.name or container.id[:12]
    if container.orchestrator == "swarm":
        return "scale its service down with docker service scale %s=0, or docker service rm %s" % (name, name)
    if container.orchestrator == "nomad":
        return "stop its job with nomad job stop %s" % name
    if not container.service:
        return "find its pod with crictl pods or kubectl get pods -A -o wide, and scale down what it belongs to"
    space = "-n %s " % container.project if container.project else ""
    return "scale down what the pod belongs to: kubectl %sdescribe pod %s names it" % (space, name)


def _resolver(case: Case) -> t.Optional[Refusal]:
    if way(case.policy, case.holder) != BY_RESOLVER or case.snapshot.resolver is None:
        return None
    why = resolving.breaks(case.snapshot.resolver, case.holder.sockets)
    return reasons.would_break_dns(case.who, why) if why else _service_known(case)


def _service_known(case: Case) -> t.Optional[Refusal]:
    """The resolver is restarted through its service manager, which has to answer."""
    if case.holder.unit in case.snapshot.units:
        return None
    return reasons.unsupported_manager(case.who, "systemd, which could not be asked", "look at systemctl status")


def _supervised(case: Case) -> t.Optional[Refusal]:
    ways = (BY_SUPERVISOR, BY_SIGNAL)
    if case.policy.method == BY_SIGNAL or case.main is None or way(case.policy, case.holder) not in ways:
        return None
    found = case.holder.supervised
    if found is None:
        seen = holders.supervisor(case.snapshot, case.main)
        if seen is None:
            return None
        parent, command = seen
        refusal = reasons.supervised(case.who, "%s (pid %d)" % (parent.name, parent.pid), "stop it with %s" % command)
        proven = matching.proven(parent, [name for name, _command in tables.SUPERVISORS])
        return refusal if proven else case.claimed(refusal, parent.name)
    supervisor = "%s (pid %d)" % (found.supervisor, found.pid)
    if not found.stop and not found.unasked:
        command = tables.SUPERVISOR_COMMANDS.get(found.supervisor, "its own command")
        command = command.replace("NAME", found.program or "NAME")
        why = " (%s)" % found.why if found.why else ""
        return reasons.supervised(case.who, supervisor + why, "stop it with %s" % command)
    if case.snapshot.self_pids.intersection((found.child, *found.stops)) - {0, 1}:
        return reasons.own_ancestor(case.who)
    if case.policy.persist and found.returns_at_boot:
        why = "%s starts it when it starts itself" % found.supervisor
        remedy = tables.SUPERVISOR_LASTING.get(found.supervisor, "turn its start off in the configuration of %s")
        if "%" in remedy:
            remedy %= found.supervisor
        return reasons.cannot_persist(case.who, why, remedy.replace("NAME", found.program))
    return None


RULES: t.Tuple[Rule, ...] = (_wrong_method, _signalled, _service, _container, _resolver, _supervised, _apart)
