# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What brings units back at boot and on demand. Private to harbormaster.ports: not an interface for other collections.

Only who wants to stop units asks this. From each of them the chain of what wants it is followed, one `systemctl show` for
each ring, until it meets what the manager starts at boot. What is not followed to its end is not in the answer, and counts as
started then.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._known import TRIGGERS
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Starter, Unit, UnitFacts
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import systemd, unit_files

_BOOT = "default.target"
_MOST_RINGS = 12
_MOST_UNITS = 500

Units = t.Mapping[Unit, UnitFacts]


def told(units: Units, clock: Clock) -> t.Tuple[Units, t.Mapping[Unit, Starter]]:
    """These units, with what a boot and D-Bus do about them, and all units above them that may start them."""
    found = dict(units)
    above: t.Dict[Unit, Starter] = {}
    for user in dict.fromkeys(unit.user for unit in units):
        names = [unit.name for unit in units if unit.user == user]
        chain = _Chain(user, names, clock)
        try:
            chain.ask([*names, _BOOT, *(name for unit in units if unit.user == user for name in units[unit].wanted_by)])
            for name in names:
                found[Unit(name, user)] = chain.own(units[Unit(name, user)])
            chain.climb([found[Unit(name, user)] for name in names])
        except systemd.Unanswered:
            # It has answered a moment ago. What it has told by now counts, and the rest is not known.
            pass
        above.update((Unit(name, user), starter) for name, starter in chain.starters.items())
    if any(unit.user is None for unit in units):
        buses = unit_files.buses()
        for unit, facts in found.items():
            if unit.user is None:
                found[unit] = facts._replace(bus=tuple(bus for name in facts.known_as for bus in buses.get(name, ())))
    return found, above


class _Chain:
    """What one service manager says of who starts whom."""

    def __init__(self, user: t.Optional[int], own: t.Iterable[str], clock: Clock) -> None:
        self.user = user
        self.starters: t.Dict[str, Starter] = {}
        self._own = set(own)
        self._clock = clock
        self._known: t.Dict[str, systemd.Properties] = {}
        self._asked: t.Set[str] = set()

    def ask(self, names: t.Iterable[str]) -> None:
        """Have these told."""
        wanted = sorted(name for name in set(names).difference(self._asked) if systemd.is_name(name))
        self._asked.update(names)
        if not wanted:
            return
        for properties in systemd.show(self.user, wanted, self._clock):
            for name in (*properties["Id"], *systemd.parse_names(" ".join(properties.get("Names", ())))):
                self._known[name] = properties

    def own(self, facts: UnitFacts) -> UnitFacts:
        """A unit's facts, with what a boot does about it."""
        properties = self._known.get(facts.unit.name, {})
        binding = systemd.parse_names(" ".join(properties.get("BoundBy", ())))
        facts = facts._replace(wanted_by=tuple(sorted({*facts.wanted_by, *binding})))
        return unit_files.lasting(facts, _word(properties, "SourcePath"), _word(properties, "FragmentPath"))

    def climb(self, units: t.Sequence[UnitFacts]) -> None:
        """Follow what starts these units, to the boot's own target or to what nobody starts."""
        first = {name for facts in units for name in facts.wanted_by}
        ring = first | {name for facts in units for name in facts.triggered_by}
        for _turn in range(_MOST_RINGS):
            ring = {name for name in ring if name not in self.starters and name not in self._own}
            self.ask(ring)
            self.starters.update((name, self._starter(name)) for name in ring)
            if not ring or len(self.starters) > _MOST_UNITS:
                return
            ring = {name for name in self.starters if not self._reached(name)}
            ring = {name for one in ring for name in self.starters[one].by if name not in self.starters}
            # Targets lead up faster than what they want, which is mostly more.
            ring = {name for name in ring if name.endswith(".target")} or ring
            # What starts the nearest ones on demand is told, also when they start at boot.
            near = (name for one in first if one in self.starters for name in self.starters[one].by)
            ring.update(name for name in near if name.endswith(TRIGGERS))

    def _starter(self, name: str) -> Starter:
        properties = self._known.get(name)
        if properties is None:
            return Starter()
        facts = systemd.facts_of(properties, self.user)
        fragment = _word(properties, "FragmentPath")
        if facts.file_state in ("masked", "transient") or unit_files.is_passing(name, fragment, self.user):
            return Starter(up=facts.up)
        wanted_by = {*facts.wanted_by, *systemd.parse_names(" ".join(properties.get("BoundBy", ())))}
        after = unit_files.wanting(facts.known_as, sorted(wanted_by), self.user)[0]
        boot = (_BOOT,) if _BOOT in facts.known_as else ()
        return Starter((*boot, *after, *facts.triggered_by), facts.up)

    def _reached(self, name: str) -> bool:
        """Whether the boot's target is known to start this one, without any of those that are about to stop."""
        todo, seen = [name], set(self._own)
        while todo:
            one = todo.pop()
            if one == _BOOT:
                return True
            if one not in seen and one in self.starters:
                todo += self.starters[one].by
            seen.add(one)
        return False


def _word(properties: systemd.Properties, name: str) -> str:
    return properties.get(name, [""])[0].strip()
