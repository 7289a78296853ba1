# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What starts systemd's units again: at boot, and when somebody asks for them. Private to harbormaster.ports. Pure.

A unit starts at boot when a chain of units that want or trigger each other leads from the boot's own target to it. What
stops with it, and is kept from starting too, is no part of such a chain. A unit that was not seen may be one.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._known import TRIGGERS
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Snapshot, Unit, UnitFacts

# What a service manager starts when it starts itself (bootup(7)).
BOOT_TARGET = "default.target"
# Units that are there without anybody's wish: a device that was found, and what others are put into.
_BY_THEMSELVES = (".device", ".slice", ".scope")
# UnitFileState of what has no link of its own that systemctl disable could take away.
_NOT_ENABLED = ("static", "indirect", "disabled")
# What can't start, or is gone with the next boot.
_PASSING = ("masked", "transient", "linked-runtime")


def returns(snapshot: Snapshot, stopped: t.Sequence[UnitFacts]) -> bool:
    """Whether one of these starts at boot again."""
    names, concerned = _concerned(snapshot, stopped)
    return any(_starts(snapshot, facts, names) for facts in concerned)


def disabled(snapshot: Snapshot, stopped: t.Sequence[UnitFacts]) -> t.Tuple[UnitFacts, ...]:
    """The units that ``systemctl disable`` keeps from starting at boot."""
    names, concerned = _concerned(snapshot, stopped)
    return tuple(
        facts for facts in concerned if _starts(snapshot, facts, names) and not _pulling(snapshot, facts, names)
    )


def masked(snapshot: Snapshot, stopped: t.Sequence[UnitFacts]) -> t.Tuple[UnitFacts, ...]:
    """The units that are pulled in at boot however they are disabled, so that they have to be masked."""
    names, concerned = _concerned(snapshot, stopped)
    return tuple(facts for facts in concerned if _starts(snapshot, facts, names) and _pulling(snapshot, facts, names))


def unmaskable(snapshot: Snapshot, stopped: t.Sequence[UnitFacts]) -> t.Optional[t.Tuple[UnitFacts, t.Tuple[str, ...]]]:
    """The first unit that should be masked and can't be, and what pulls it in; None when there is none."""
    names = _concerned(snapshot, stopped)[0]
    return next(
        ((facts, _pulling(snapshot, facts, names)) for facts in masked(snapshot, stopped) if not facts.maskable), None
    )


def on_demand(
    snapshot: Snapshot,
    stopped: t.Sequence[UnitFacts],
    along: t.Sequence[UnitFacts],
    disable: t.Container[str],
    mask: t.Container[str],
) -> t.Tuple[str, ...]:
    """Who may start these again before the next boot, as words for people.

    :param along: what stops with them.
    :param disable: names of what is disabled then, and ``mask`` of what is masked.
    """
    down = {name for facts in (*stopped, *along) for name in facts.known_as}
    told: t.Dict[str, None] = {}
    for facts in stopped:
        if facts.unit.name in mask:
            continue
        for name, lasting in facts.bus:
            # An alias is one of the links that systemctl disable takes away.
            if lasting or facts.unit.name not in disable:
                told["D-Bus, when somebody asks for %s," % name] = None
        for trigger in facts.triggered_by:
            cause = snapshot.units.get(Unit(trigger, facts.unit.user))
            if trigger not in down and cause is not None and cause.up:
                told[trigger] = None
        for wanter in facts.wanted_by:
            node = snapshot.wanting.get(Unit(wanter, facts.unit.user))
            if node is None or node.up or wanter in down:
                # Who runs already starts nothing more.
                continue
            for trigger in node.by:
                starter = snapshot.wanting.get(Unit(trigger, facts.unit.user))
                if trigger.endswith(TRIGGERS) and trigger not in down and starter is not None and starter.up:
                    told["%s, through %s," % (trigger, wanter)] = None
    return tuple(told)


def _concerned(snapshot: Snapshot, stopped: t.Sequence[UnitFacts]) -> t.Tuple[t.Set[str], t.Tuple[UnitFacts, ...]]:
    """What has to stay down with these units: themselves, what triggers them, up or not, and what their sockets start.

    :returns: all their names, and the units.
    """
    found = {facts.unit: facts for facts in stopped}
    for sockets in (False, True):
        for facts in tuple(found.values()):
            for name in sorted(facts.triggers if sockets and _is_socket(facts) else facts.triggered_by):
                other = snapshot.units.get(Unit(name, facts.unit.user))
                if other is not None:
                    found.setdefault(other.unit, other)
    return {name for facts in found.values() for name in facts.known_as}, tuple(found.values())


def _is_socket(facts: UnitFacts) -> bool:
    return facts.unit.name.endswith(".socket")


def _can_start(facts: UnitFacts) -> bool:
    return facts.file_state not in _PASSING and not facts.passing


def _starts(snapshot: Snapshot, facts: UnitFacts, without: t.Container[str]) -> bool:
    """Whether it starts at boot without any of these."""
    return _can_start(facts) and any(
        _reached(snapshot, name, facts.unit.user, without) for name in (*facts.wanted_by, *facts.triggered_by)
    )


def _reached(snapshot: Snapshot, name: str, user: t.Optional[int], without: t.Container[str]) -> bool:
    """Whether a chain that none of these is a part of leads from the boot's target to a unit."""
    todo = [name]
    seen: t.Set[str] = set()
    while todo:
        one = todo.pop()
        if one in seen or one in without:
            continue
        seen.add(one)
        if one == BOOT_TARGET or one.endswith(_BY_THEMSELVES):
            return True
        facts = snapshot.units.get(Unit(one, user))
        node = snapshot.wanting.get(Unit(one, user))
        if facts is not None:
            todo += (*facts.wanted_by, *facts.triggered_by) if _can_start(facts) else ()
        if node is not None:
            todo += node.by
        if facts is None and node is None:
            return True
    return False


def _pulling(snapshot: Snapshot, facts: UnitFacts, without: t.Container[str]) -> t.Tuple[str, ...]:
    """What would start it at boot although it is disabled."""
    if facts.linked:
        # systemctl disable takes the link to its file away, and nobody finds it any more.
        return ()
    wanting = facts.pulled_by
    if wanting is None:
        wanting = facts.wanted_by if facts.file_state in _NOT_ENABLED else ()
    return tuple(name for name in wanting if name not in without and _reached(snapshot, name, facts.unit.user, without))
