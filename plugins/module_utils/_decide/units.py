# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stops together with a systemd unit, and what comes back. Private to harbormaster.ports. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import matching, tables
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Policy, Snapshot, Unit, UnitFacts

# UnitFileState of what starts at boot by itself (systemctl(1), is-enabled).
_ENABLED = ("enabled", "alias")
# Units that have no link of their own that systemctl disable could take away, so whatever wants them does it otherwise.
_NOT_ENABLED = ("static", "indirect", "disabled")
# What is gone with the next boot, or can't start at all.
_PASSING = ("masked", "masked-runtime", "transient", "enabled-runtime", "linked-runtime")
# A bound of our own where a unit may take for ever to stop, and for the longest chain of stops.
NO_TIMEOUT = 600.0
LONGEST = 3600.0


def group(snapshot: Snapshot, unit: Unit) -> t.Tuple[UnitFacts, ...]:
    """The unit and everything that would start it again (sockets, paths, timers), and what a socket of these started.

    All of these are stopped in one call; the unit itself comes first.
    """
    found: t.Dict[Unit, UnitFacts] = {}
    todo = [unit]
    while todo:
        facts = snapshot.units.get(todo.pop(0))
        if facts is None or facts.unit in found or not (facts.up or facts.unit == unit):
            continue
        found[facts.unit] = facts
        todo += [Unit(name, unit.user) for name in sorted(facts.triggered_by)]
        if facts.unit.name.endswith(".socket"):
            todo += [Unit(name, unit.user) for name in sorted(facts.triggers)]
    return tuple(found.values())


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


def returns_at_boot(stopped: t.Sequence[UnitFacts]) -> bool:
    """Whether one of these starts at boot again: by itself, or because another unit wants it."""
    names = {facts.unit.name for facts in stopped}
    return any(_starts(facts, names) for facts in stopped)


def disabled(stopped: t.Sequence[UnitFacts]) -> t.Tuple[UnitFacts, ...]:
    """The ones that ``systemctl disable`` keeps from starting at boot."""
    names = {facts.unit.name for facts in stopped}
    return tuple(facts for facts in stopped if _starts(facts, names) and not _pulling(facts, names))


def masked(stopped: t.Sequence[UnitFacts]) -> t.Tuple[UnitFacts, ...]:
    """The ones that other units pull in at boot however they are disabled, so that they have to be masked."""
    names = {facts.unit.name for facts in stopped}
    return tuple(facts for facts in stopped if _starts(facts, names) and _pulling(facts, names))


def unmaskable(stopped: t.Sequence[UnitFacts]) -> t.Optional[t.Tuple[UnitFacts, t.Tuple[str, ...]]]:
    """The first unit that should be masked and can't be, and what pulls it in; None when there is none."""
    names = {facts.unit.name for facts in stopped}
    return next(((facts, _pulling(facts, names)) for facts in masked(stopped) if not facts.maskable), None)


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
        entry = next((entry for entry in tables.PROTECTED_UNITS if matching.glob_any(name, (entry,))), None)
        if entry is None:
            continue
        off = {entry, *matching.unit_names(name), *tables.PROGRAMS_OF.get(entry, ())}
        if name in facts.known_as:
            # Whoever takes it off the list may call it by any of its names.
            off.update(one for alias in facts.known_as for one in matching.unit_names(alias))
        if not off.intersection(policy.unprotect):
            return entry, False
    return None


def _starts(facts: UnitFacts, along: t.Container[str]) -> bool:
    """Whether it starts at boot without one of those that stop along with it."""
    if facts.file_state in _ENABLED:
        return True
    return facts.file_state not in _PASSING and any(name not in along for name in facts.wanted_by)


def _pulling(facts: UnitFacts, along: t.Container[str]) -> t.Tuple[str, ...]:
    """What would start it at boot although it is disabled."""
    if facts.linked:
        # systemctl disable takes the link to its file away, and nobody finds it any more.
        return ()
    wanting = facts.wanted_by if facts.file_state in _NOT_ENABLED else facts.pulled_by
    return tuple(name for name in wanting if name not in along)
