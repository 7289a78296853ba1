# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds the rows of a wish: from sockets and owners to Holders. Private to harbormaster.ports. Pure.

Processes that share a socket because one forked the others are one holder, named after the root-most of them. A
process that got the socket in another way (passed on, or its parent closed its own copy) is a holder of its own.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import managers, matching, reasons, tables
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.sockets import Rows
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    CONNECTION,
    KERNEL,
    LEFTOVER,
    PROCESS,
    RESOLVER,
    SERVICE,
    SYSTEMD_SOCKET,
    UNKNOWN,
    Container,
    Holder,
    Policy,
    Process,
    Refusal,
    Snapshot,
    Socket,
    Unit,
    UnitFacts,
    Wish,
)

# Of those who may have a socket that is not seen, so many are named.
_MOST_SUSPECTS = 5


def find(snapshot: Snapshot, wish: Wish, rows: Rows, bindable: t.Optional[bool]) -> t.Tuple[Holder, ...]:
    """Everybody and everything that keeps the wish's port, without a word yet on what may be done about it."""
    holders = _managed(snapshot, wish, _owned(snapshot, rows.holding, connection=False))
    holders += _unowned(snapshot, wish, [row for row in rows.holding if not _visible(snapshot, row)])
    holders += _owned(snapshot, rows.outgoing, connection=True)
    nameless = tuple(row for row in rows.outgoing if not _visible(snapshot, row))
    if nameless:
        holders.append(Holder(CONNECTION, "", sockets=nameless))
    if rows.leftovers:
        holders.append(Holder(LEFTOVER, "", sockets=rows.leftovers))
    if not holders and bindable is False:
        holders.append(Holder(UNKNOWN, ""))
    return tuple(holders)


def supervisor(snapshot: Snapshot, process: Process) -> t.Optional[t.Tuple[Process, str]]:
    """The supervisor that is the parent of a process, and the command that it takes.

    What an account calls a program of its own says nothing of another account's processes.
    """
    parent = snapshot.processes.get(process.parent_pid)
    if parent is None or parent.pid == 1 or not (parent.account in (0, process.account) or parent.proven):
        return None
    for name, command in tables.SUPERVISORS:
        if matching.program(parent, (name,)):
            return parent, command
    return None


def supervisor_name(process: Process) -> t.Optional[str]:
    """What makes a process look like one that starts others again; None when nothing does."""
    if matching.program(process, [name for name, _command in tables.SUPERVISORS]):
        return "a supervisor"
    return "a shell or a watcher" if matching.program(process, tables.RESPAWNERS) else None


def describe(snapshot: Snapshot, holder: Holder) -> str:
    """A holder for people: ``nginx (pid 812, user root, nginx.service)``, ``the docker container web (project shop)``."""
    process = main_process(snapshot, holder)
    if holder.kind == LEFTOVER:
        return "leftovers of old connections"
    if holder.kind == KERNEL:
        return "the kernel (%s)" % holder.name
    if holder.container is not None:
        return _described_container(holder, holder.container, process)
    if process is None:
        return holder.unit.name if holder.unit else "a process that can't be seen"
    if holder.kind == SYSTEMD_SOCKET and holder.unit:
        return "%s (held by systemd, pid %d)" % (holder.unit.name, process.pid)
    facts = ["pid %d" % process.pid]
    if process.user is not None:
        facts.append("user %s" % process.user)
    inside = process.roots_container
    if inside:
        facts.append("%s container %s" % (inside.engine, inside.name or inside.id[:12]))
    elif holder.unit or process.unit:
        facts.append((holder.unit or process.unit or Unit("")).name)
    if holder.supervised is not None and holder.supervised.program:
        facts.append("%s's %s" % (holder.supervised.supervisor, _quoted(holder.supervised.program)))
    elif holder.supervised is not None and holder.supervised.unasked:
        facts.append("supervised by %s, not asked" % holder.supervised.supervisor)
    return "%s (%s)" % (_quoted(process.called) or "a process without a name", ", ".join(facts))


def _quoted(name: str) -> str:
    """A name that somebody has chosen; in quotes when it could be read as the end of a name and more of the sentence."""
    return '"%s"' % name.replace('"', "'") if any(mark in name for mark in '();,"') else name


def _described_container(holder: Holder, container: Container, process: t.Optional[Process]) -> str:
    """A container by what people know of it. Behind a swarm's port there may be a service and no container."""
    swarm = container.orchestrator == "swarm"
    name = (swarm and container.service) or container.name or container.id[:12]
    facts = []
    if container.project:
        facts.append("project %s" % _quoted(container.project))
    if container.service and not swarm:
        facts.append("service %s" % _quoted(container.service))
    if holder.kind == SERVICE and holder.unit:
        facts.append(holder.unit.name)
    if process is not None:
        facts.append("%s, pid %d" % (_quoted(process.name), process.pid))
    if container.unasked:
        known = process is not None and process.uid == container.user and process.user
        account = "user %s" % process.user if process is not None and known else "uid %s" % container.user
        facts.append("%s of %s not asked" % (container.engine, account))
    noun = "swarm service" if swarm else "%s container" % container.engine
    if not name:
        return "a %s (%s)" % (noun, ", ".join(facts))
    return "the %s %s%s" % (noun, _quoted(name), " (%s)" % ", ".join(facts) if facts else "")


def hidden(snapshot: Snapshot, holder: Holder) -> Refusal:
    """Why nothing can be said about a holder that is not seen, and what would help."""
    if not holder.sockets:
        what = "it can't be bound although no socket is listed, and so it"
    else:
        uids = sorted({row.uid for row in holder.sockets if row.uid is not None})
        what = "its socket%s" % (" of uid %s" % ", ".join(map(str, uids)) if uids else "")
    known, advice = unseen(snapshot, holder)
    return reasons.hidden_owner(
        what,
        known,
        advice or "look for it in other containers and namespaces, or as a kernel service; ss -tulpne shows the row",
    )


def unseen(snapshot: Snapshot, holder: Holder) -> t.Tuple[str, str]:
    """What goes behind "a process that can't be seen": why, and who it may be; and what would help, both perhaps empty."""
    seen = "; ".join(blind.text for blind in snapshot.blind)
    known = " (%s)" % seen if seen else ""
    likely = [snapshot.processes[pid] for pid in suspects(snapshot, holder)]
    if not likely:
        return known, "; ".join(dict.fromkeys(blind.advice for blind in snapshot.blind if blind.advice))
    named = ["%s (pid %d)" % (_quoted(process.called), process.pid) for process in likely[:_MOST_SUSPECTS]]
    if len(likely) > _MOST_SUSPECTS:
        named.append("%d more" % (len(likely) - _MOST_SUSPECTS))
    known += ", perhaps by %s, of the same account and with open files that no table shows" % " or ".join(named)
    names = [process.called for process in likely if not _has_manager(process)]
    if not names:
        return known, "look which of these has it, and stop the unit or the container of that one"
    # Somebody has chosen this name: it must not mean others too.
    plain = names[0] if set(names[0]).isdisjoint("*?[]{},\"' ") else "NAME"
    return known, "look which of these has it, and stop that one with method: signal and stop_only: [%s]" % plain


def suspects(snapshot: Snapshot, holder: Holder) -> t.List[int]:
    """Who may have the sockets of a holder that is not seen, by pid: of the accounts that have made these."""
    makers = {row.uid for row in holder.sockets if row.uid is not None}
    pids = {pid for uid in makers for pid in snapshot.suspects.get(uid, ())}
    return sorted(pid for pid in pids if pid in snapshot.processes)


def named_suspects(snapshot: Snapshot, policy: Policy, wish: Wish, holder: Holder) -> Holder:
    """A holder that is not seen as those who may be it, where the task names them for a signal; else as it is.

    Nobody is stopped on a suspicion alone: the task has to ask for ``method: signal``, and to say by a name in ``stop_only`` whom.
    What a manager has started is left to that.
    """
    if holder.kind != UNKNOWN or policy.method != "signal":
        return holder
    patterns = [pattern for pattern in wish.stop_only or () if pattern != matching.ANYBODY]
    pids = [
        pid
        for pid in suspects(snapshot, holder)
        if matching.matches(snapshot.processes[pid], patterns)
        and matching.runs_as(snapshot.processes[pid], wish.user)
        and not _has_manager(snapshot.processes[pid])
    ]
    if not pids:
        return holder
    return holder._replace(kind=PROCESS, name=snapshot.processes[pids[0]].called, pids=tuple(pids))


def _has_manager(process: Process) -> bool:
    """Whether something has started a process that would start it again; a login's scope does not."""
    return process.container is not None or (process.unit is not None and not process.unit.name.endswith(".scope"))


def main_process(snapshot: Snapshot, holder: Holder) -> t.Optional[Process]:
    """The root-most process of a holder."""
    return snapshot.processes.get(holder.pids[0]) if holder.pids else None


def matches(
    snapshot: Snapshot, holder: Holder, process: t.Optional[Process], patterns: t.Iterable[str], cut: bool = False
) -> bool:
    """Whether one of the patterns means this process of the holder, by its own names or those of its manager.

    :param cut: as in `matching.matches`.
    """
    subject, also = _subject(snapshot, holder, process)
    return matching.matches(subject, patterns, cut, also)


def protecting(
    snapshot: Snapshot, holder: Holder, process: t.Optional[Process], patterns: t.Iterable[str]
) -> t.Optional[str]:
    """The first of a task's patterns that means this process of the holder."""
    subject, also = _subject(snapshot, holder, process)
    return matching.protecting(subject, patterns, also)


def _subject(
    snapshot: Snapshot, holder: Holder, process: t.Optional[Process]
) -> t.Tuple[t.Optional[Process], t.FrozenSet[str]]:
    """The process as patterns may see it, and the names of the holder's manager."""
    names: t.Set[str] = set()
    if holder.unit is not None:
        names |= managers.unit_names(snapshot, holder.unit)
    if holder.container is not None:
        names |= matching.container_names(holder.container)
        if process is not None and managers.is_relay(process):
            # The relay runs in its engine's unit: that name means every container.
            process = process._replace(unit=None)
    if process is not None and process.unit is not None:
        names |= managers.unit_names(snapshot, process.unit)
    if holder.supervised is not None and holder.supervised.program:
        names.add(holder.supervised.program)
    return process, frozenset(names)


def _visible(snapshot: Snapshot, row: Socket) -> bool:
    return any(pid in snapshot.processes for pid in snapshot.owners.get(row.inode, ())) if row.inode else False


def _owned(snapshot: Snapshot, rows: t.Sequence[Socket], connection: bool) -> t.List[Holder]:
    """One holder for each root-most sharer of these rows."""
    # By the rows' places: any account can have ten thousands of them, and of processes.
    shares: t.Dict[int, t.List[int]] = {}
    for place, row in enumerate(rows):
        for pid in snapshot.owners.get(row.inode, ()):
            if pid in snapshot.processes:
                shares.setdefault(pid, []).append(place)
    families: t.Dict[int, t.List[int]] = {}
    for pid in sorted(shares):
        families.setdefault(_root(snapshot, pid, shares), []).append(pid)
    holders = []
    for root in sorted(families):
        pids = (root,) + tuple(pid for pid in families[root] if pid != root)
        own = tuple(rows[place] for place in sorted({place for pid in pids for place in shares[pid]}))
        holders.append(Holder(CONNECTION if connection else PROCESS, snapshot.processes[root].called, pids, own))
    return holders


def _managed(snapshot: Snapshot, wish: Wish, families: t.Sequence[Holder]) -> t.List[Holder]:
    """The families of processes as what their managers make of them, and the containers that no socket shows."""
    found: t.Dict[t.Tuple[t.Any, ...], t.List[Holder]] = {}

    def add(holder: Holder) -> None:
        found.setdefault(holder.key, []).append(holder)

    for family in families:
        process = snapshot.processes[family.pids[0]]
        if managers.is_relay(process):
            _add_relay(snapshot, family, add)
        elif managers.is_service_manager(process):
            _add_activated(snapshot, family, process, add)
        else:
            manager = managers.of(snapshot, family.pids)
            add(_holder(manager, process.called, family.pids, family.sockets))
    present = {parts[0].container.id for parts in found.values() if parts[0].container is not None}
    for container in managers.published(snapshot, wish):
        if container.id not in present:
            add(_holder(managers.publisher(snapshot, container), "", (), ()))
    return [_one(parts) for parts in found.values()]


def _one(parts: t.Sequence[Holder]) -> Holder:
    """Two relays of one container, or two processes of one unit, are one holder."""
    if len(parts) == 1:
        return parts[0]
    return parts[0]._replace(
        pids=tuple(dict.fromkeys(pid for part in parts for pid in part.pids)),
        sockets=tuple(dict.fromkeys(row for part in parts for row in part.sockets)),
    )


def _add_relay(snapshot: Snapshot, family: Holder, add: t.Callable[[Holder], None]) -> None:
    """The containers behind the rows of a relay; rows without one stay the relay's own."""
    rest: t.List[Socket] = []
    for row in family.sockets:
        container = managers.publishing(snapshot, row, snapshot.processes[family.pids[0]])
        if container is None:
            rest.append(row)
        else:
            add(_holder(managers.publisher(snapshot, container), "", family.pids, (row,)))
    if rest:
        process = snapshot.processes[family.pids[0]]
        add(_holder(managers.of(snapshot, family.pids), process.name, family.pids, tuple(rest)))


def _add_activated(snapshot: Snapshot, family: Holder, process: Process, add: t.Callable[[Holder], None]) -> None:
    """The units for which a service manager holds the rows: sockets, or the only service whose descriptors it keeps."""
    user = None if process.pid == 1 else process.uid
    rest: t.List[Socket] = []
    for row in family.sockets:
        unit = managers.socket_unit(snapshot, row, user)
        if unit is None:
            rest.append(row)
        else:
            add(Holder(SYSTEMD_SOCKET, unit.unit.name, family.pids, (row,), unit=unit.unit))
    for row in rest:
        # A service that shares the row was activated with it or has stored it; a stored one that nobody shares is told
        # by the only service for which something is stored.
        facts = _sharing(snapshot, row) or managers.keeper(snapshot, user)
        if facts is not None:
            add(Holder(SERVICE, facts.unit.name, family.pids, (row,), unit=facts.unit))
        else:
            add(Holder(SYSTEMD_SOCKET, process.name, family.pids, (row,)))


def _sharing(snapshot: Snapshot, row: Socket) -> t.Optional[UnitFacts]:
    """The service that has a socket together with its service manager."""
    for pid in snapshot.owners.get(row.inode, ()):
        process = snapshot.processes.get(pid)
        if process is not None and not managers.is_service_manager(process):
            manager = managers.of(snapshot, (pid,))
            facts = snapshot.units.get(manager.unit) if manager.unit and manager.kind == SERVICE else None
            if facts is not None and (facts.stored or facts.triggered_by):
                return facts
    return None


def _root(snapshot: Snapshot, pid: int, sharers: t.Container[int]) -> int:
    """The farthest ancestor that shares too; service managers don't count, they share every socket that they activated."""
    root = pid
    for ancestor in snapshot.processes[pid].ancestors:
        if ancestor != 1 and ancestor in sharers and not managers.is_service_manager(snapshot.processes[ancestor]):
            root = ancestor
    return root


def _unowned(snapshot: Snapshot, wish: Wish, rows: t.Sequence[Socket]) -> t.List[Holder]:
    """Holders of rows that no visible process has: the kernel, systemd (whose descriptors are often closed to a look)."""
    activated: t.Dict[Unit, t.List[Socket]] = {}
    rest: t.List[Socket] = []
    users = sorted({unit.user for unit in snapshot.units}, key=lambda user: -1 if user is None else user)
    for row in rows:
        units = (managers.socket_unit(snapshot, row, user) for user in users)
        facts = next((found for found in units if found is not None), None)
        (rest if facts is None else activated.setdefault(facts.unit, [])).append(row)
    holders = [
        Holder(SYSTEMD_SOCKET, unit.name, sockets=tuple(sockets), unit=unit) for unit, sockets in activated.items()
    ]
    evidence = snapshot.kernel.get((wish.protocol, wish.port))
    if rest:
        holders.append(Holder(KERNEL if evidence else UNKNOWN, evidence or "", sockets=tuple(rest)))
    return holders


def _holder(manager: managers.Manager, process: str, pids: t.Tuple[int, ...], sockets: t.Tuple[Socket, ...]) -> Holder:
    """A holder by the name of its manager, or of its process where it has none."""
    name = process
    if manager.kind in (SERVICE, RESOLVER) and manager.unit is not None:
        name = manager.unit.name
    elif manager.container is not None:
        name = manager.container.name or manager.container.service or manager.container.id[:12] or process
    return Holder(
        manager.kind,
        name,
        pids,
        sockets,
        unit=manager.unit,
        container=manager.container,
        supervised=manager.supervised,
    )
