# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops together with a systemd unit. Private to harbormaster.ports. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import matching, protection
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Policy, Snapshot, Unit, UnitFacts

# A bound of our own where a unit may take for ever to stop, and for the longest chain of stops.
NO_TIMEOUT = 600.0
LONGEST = 3600.0
# systemd.service(5): signals that count as a clean end, and the values of Restart= that start a service again after an end by
# one of these, or by another one. What a program makes of a signal besides, its exit status says: see `restarts`.
_CLEAN = ("HUP", "INT", "TERM", "PIPE")
_AFTER_CLEAN = ("always", "on-success")
_AFTER_UNCLEAN = ("always", "on-failure", "on-abnormal", "on-abort")


def restarts(facts: UnitFacts, signal: str) -> bool:
    """Whether systemd starts a service again whose main process was sent this signal."""
    if signal in _CLEAN:
        return facts.restart in _AFTER_CLEAN
    # Another one than KILL may be caught, and then the end may be a clean one.
    return facts.restart in _AFTER_UNCLEAN or (signal != "KILL" and facts.restart in _AFTER_CLEAN)


def group(snapshot: Snapshot, unit: Unit) -> t.Tuple[UnitFacts, ...]:
    """The unit and everything that would start it again (sockets, paths, timers), and what a socket of these started.

    What depends on these stops along, and whatever would start that again would start all of it: so that belongs here too.
    All of these are stopped in one call; the unit itself comes first.
    """
    found: t.Dict[Unit, UnitFacts] = {}
    todo = [unit]
    along: t.Set[Unit] = set()
    while todo:
        while todo:
            facts = snapshot.units.get(todo.pop(0))
            if facts is None or facts.unit in found or facts.unit in along or not (facts.up or facts.unit == unit):
                continue
            found[facts.unit] = facts
            todo += _triggers_of(facts)
            if facts.unit.name.endswith(".socket"):
                todo += [Unit(name, facts.unit.user) for name in sorted(facts.triggers)]
        depending = dependants(snapshot, found.values())
        along = {facts.unit for facts in depending}
        todo = [
            one
            for facts in depending
            for one in _triggers_of(facts)
            if one not in found and one not in along and one in snapshot.units and snapshot.units[one].up
        ]
    return tuple(found.values())


def _triggers_of(facts: UnitFacts) -> t.List[Unit]:
    return [Unit(name, facts.unit.user) for name in sorted(facts.triggered_by)]


def dependants(snapshot: Snapshot, stopped: t.Iterable[UnitFacts]) -> t.Tuple[UnitFacts, ...]:
    """Running units that systemd stops along with these, by name: whatever requires them, is bound to or a part of them."""
    chosen = {facts.unit for facts in stopped}
    found: t.Dict[Unit, UnitFacts] = {}
    todo = sorted(chosen)
    while todo:
        facts = snapshot.units.get(todo.pop())
        for name in facts.stopped_with if facts else ():
            other = snapshot.units.get(Unit(name, facts.unit.user if facts else None))
            if other is not None and other.up and other.unit not in chosen and other.unit not in found:
                found[other.unit] = other
                todo.append(other.unit)
    return tuple(sorted(found.values(), key=lambda facts: facts.unit.name))


def bound(stopped: t.Iterable[UnitFacts]) -> float:
    """Seconds after which stopping these has failed: ExecStop=, TERM and KILL may take a stop timeout each."""
    seconds = [NO_TIMEOUT if facts.stop_timeout is None else facts.stop_timeout for facts in stopped]
    return min(10.0 + 3.0 * sum(seconds), LONGEST)


def protecting(snapshot: Snapshot, facts: UnitFacts, policy: Policy) -> t.Optional[t.Tuple[str, bool]]:
    """The name by which a unit is protected, and whether it was the task that named it; None when it is not.

    A unit is protected by its own name, and by a unit that it triggers or that triggers it.
    """
    tied = (snapshot.units.get(Unit(name, facts.unit.user)) for name in (*facts.triggered_by, *facts.triggers))
    kin = [*facts.known_as, *facts.triggered_by, *facts.triggers, *(name for one in tied if one for name in one.names)]
    for name in kin:
        names = matching.unit_names(name)
        for pattern in policy.protect:
            if pattern != matching.ANYBODY and any(matching.glob_any(one, (pattern,)) for one in names):
                return pattern, True
    for name in kin:
        entry = next((entry for entry in protection.PROTECTED_UNITS if matching.glob_any(name, (entry,))), None)
        if entry is None:
            continue
        off = {entry, *matching.unit_names(name), *protection.PROGRAMS_OF.get(entry, ())}
        if name in facts.known_as:
            # Whoever takes it off the list may call it by any of its names.
            off.update(one for alias in facts.known_as for one in matching.unit_names(alias))
        if not off.intersection(policy.unprotect):
            return entry, False
    return None
