# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may start again what a step stops, and lives on. Private to harbormaster.ports. Pure.

Slower ones than any bearable watch exist: a parent that sleeps for ten seconds, cron. So they are named.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import (
    at_boot,
    managed_steps,
    managers,
    matching,
    tables,
    units,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    Process,
    Restarter,
    Snapshot,
    Step,
    UnitFacts,
)

# A uwsgi emperor starts its vassal again 4 to 5 seconds later (it looks each 3 seconds, and throttles), a node parent that
# waits 5 seconds is the slowest of common examples: with a second for the start of the program.
WATCHER_DELAY = 6.0
# An account of a parent that may be anybody's: root's.
_ROOT = 0
_SHELL_OPTIONS = ("-i", "-l", "--login")


def of(snapshot: Snapshot, step: Step) -> t.Tuple[Restarter, ...]:
    """Who may start it again, as far as it is known; empty when nobody is."""
    if step.actuator == "systemd":
        return _of_units(snapshot, step)
    if step.actuator != "signal":
        return ()
    found: t.Dict[Restarter, None] = {}
    ending = managed_steps.ending(snapshot, step)
    for target in step.roots:
        process = snapshot.processes.get(target.pid)
        if process is None:
            continue
        watcher = _watcher(snapshot, process, ending)
        if watcher is not None:
            found[watcher] = None
        facts = snapshot.units.get(process.unit) if process.unit is not None else None
        if facts is not None and facts.main_pid in (process.pid, 0):
            found.update(dict.fromkeys(_of_unit(snapshot, facts, step.signal)))
        if process.unit is not None and matching.glob_any(process.unit.name, tables.CRON_UNITS):
            found[Restarter("%s, which has started it," % process.unit.name)] = None
    return tuple(found)


def _of_units(snapshot: Snapshot, step: Step) -> t.Tuple[Restarter, ...]:
    """What starts units when it is used or due, and lives on. What Restart= says does not hold for a stop by request."""
    stopped = tuple(snapshot.units[target.unit] for target in step.units if target.unit in snapshot.units)
    along = units.dependants(snapshot, stopped)
    return tuple(Restarter(who) for who in at_boot.on_demand(snapshot, stopped, along, step.disable, step.mask))


def delay(snapshot: Snapshot, step: Step) -> float:
    """Seconds after which the manager of what is stopped would start it again (RestartSec=)."""
    chosen = {target.unit for target in step.units}
    if step.actuator == "signal":
        chosen |= {
            process.unit
            for process in (snapshot.processes.get(target.pid) for target in step.roots)
            if process is not None and process.unit is not None
        }
    facts = [snapshot.units[unit] for unit in chosen if unit in snapshot.units]
    return max((one.restart_delay for one in facts if one.restart not in ("", "no")), default=0.0)


def _of_unit(snapshot: Snapshot, facts: UnitFacts, signal: str) -> t.Iterator[Restarter]:
    # A program that is asked to end may do so with an error of its own, which counts as a failure.
    if units.restarts(facts, signal) or facts.restart == "on-failure":
        text = "%s (Restart=%s, RestartSec=%g s)" % (facts.unit.name, facts.restart, facts.restart_delay)
        yield Restarter(text, delay=facts.restart_delay + 1.0)
    for who in at_boot.on_demand(snapshot, (facts,), (), (), ()):
        yield Restarter(who)


def _watcher(snapshot: Snapshot, process: Process, ending: t.AbstractSet[int]) -> t.Optional[Restarter]:
    """The nearest ancestor that lives on and is known to start programs again, or the parent when it may."""
    for number, pid in enumerate(process.ancestors):
        above = snapshot.processes.get(pid)
        if above is None or pid <= 1 or pid in snapshot.self_pids or managers.is_service_manager(above):
            return None
        if pid in ending:
            continue
        if above.account not in (_ROOT, process.account):
            # What another account calls its own says nothing of this process.
            return None
        if _is_known(above):
            return _named(above, number, WATCHER_DELAY)
        if number == 0 and _may(above):
            return _named(above, number, None)
    return None


def _named(process: Process, number: int, seconds: t.Optional[float]) -> Restarter:
    what = "its parent" if number == 0 else "its ancestor"
    text = "%s %s (pid %d)" % (what, process.called, process.pid)
    return Restarter(text, process.pid, process.start_ticks, seconds)


def _is_known(process: Process) -> bool:
    """A program whose purpose is to start others again."""
    names = {
        process.name.partition(":")[0],
        process.name,
        *process.proven,
        matching.executable(process).rpartition("/")[2],
    }
    names.add(_script(process))
    watchers = (*tables.WATCHERS, *(name for name, _command in tables.SUPERVISORS))
    return any(matching.glob_any(name, watchers) for name in names if name)


def _may(process: Process) -> bool:
    """A program that runs somebody's own code, which may be a loop: an interpreter, or a shell with a script."""
    if matching.program(process, tables.SHELLS):
        words = (process.command or "").split(" ")
        return len([word for word in words[1:] if word and word not in _SHELL_OPTIONS]) > 0
    return matching.program(process, tables.SCRIPTED) is not None


def _script(process: Process) -> str:
    """The name of the script that an interpreter runs, out of its command line."""
    if not matching.program(process, tables.SCRIPTED):
        return ""
    words = (process.command or "").split(" ")[1:]
    script = next((word for word in words if word and not word.startswith("-")), "")
    return script.rpartition("/")[2]
