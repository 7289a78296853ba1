# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one line for people, and the words in it. Private to harbormaster.ports."""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._conductor import Story
from ansible_collections.harbormaster.ports.plugins.module_utils._decide import holders, managers
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    FREE,
    LINGERING,
    UDP,
    Holder,
    Outcome,
    PortPlan,
    Process,
    Snapshot,
    Step,
)

# A line for people: more ports than this are counted.
MOST_NAMED = 8


def message(story: Story, ports: t.Sequence[PortPlan], now: float) -> str:
    """What was found, what was done and how it was proven; on a failure first of all what is wrong.

    :param ports: the ports with the state after.
    """
    if not ports:
        return "nothing was asked for: the plan is empty"
    if story.failure is not None:
        return _failed(story, ports)
    if story.policy.state == "free":
        return _freed(story, ports)
    return _listed([_found(story.snapshot, port, now) for port in ports if port.status != FREE], ports)


def duration(seconds: float) -> str:
    """``3 h 12 min``: the two largest units."""
    left = int(max(seconds, 0))
    parts: t.List[str] = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if left >= size or (unit == "s" and not parts):
            parts.append("%d %s" % (left // size, unit))
            left %= size
        elif parts:
            break
    return " ".join(parts[:2])


def account(uid: t.Optional[int]) -> t.Optional[str]:
    """The name of a numeric user; the number where it has none; None for None."""
    if uid is None:
        return None
    try:
        import pwd  # here: Windows has none, and reports without sockets don't need it

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)


def _found(snapshot: Snapshot, port: PortPlan, now: float) -> str:
    label = "port %s: " % port.wish.label
    if port.status == LINGERING:
        return label + "nobody listens; %s, a server can bind it" % _rest_of(port)
    if not port.holders:
        return label + port.status
    who = [_aged(snapshot, holder, now) for holder in port.holders]
    return label + "held by " + _and(who)


def _rest_of(port: PortPlan) -> str:
    number = len(port.sockets)
    return "%d old or outgoing connection%s left" % (number, " is" if number == 1 else "s are")


def _aged(snapshot: Snapshot, holder: Holder, now: float) -> str:
    process = holders.main_process(snapshot, holder)
    who = holders.describe(snapshot, holder)
    if holder.kind == "connection":
        datagrams = any(row.protocol == UDP for row in holder.sockets)
        who = ("a UDP socket of " if datagrams else "a connection of ") + who
    if holder.container is None and len(holder.pids) > 1:
        more = len(holder.pids) - 1
        who += " and %d more process%s its socket" % (more, " that shares" if more == 1 else "es that share")
    if process is not None and process.started is not None and not _is_manager(holder, process):
        who += ", running for " + duration(now - process.started)
    elif process is None and not holder.pids and holder.kind == "unknown" and not holder.sockets:
        who = "something that no socket table shows: it can't be bound"
    elif holder.kind == "unknown":
        known, advice = holders.unseen(snapshot, holder)
        who += known + ("; " + advice if advice else "")
    return who


def _is_manager(holder: Holder, process: Process) -> bool:
    """Whether the process that has the socket has it for the unit: its age says nothing."""
    return holder.unit is not None and managers.is_service_manager(process)


def _listed(sentences: t.Sequence[str], ports: t.Sequence[PortPlan]) -> str:
    free = [port for port in ports if port.status == FREE]
    parts = list(sentences[:MOST_NAMED])
    if len(sentences) > MOST_NAMED:
        parts.append(_more(len(sentences) - MOST_NAMED, "ports"))
    if free:
        labels = [port.wish.label for port in free]
        parts.append("free: %s" % ", ".join(labels) if len(labels) <= MOST_NAMED else "%d ports free" % len(labels))
    return "; ".join(parts)


def _more(number: int, where: str) -> str:
    return "%d more %s in %s" % (number, "is" if number == 1 else "are", where)


def _freed(story: Story, ports: t.Sequence[PortPlan]) -> str:
    kept = ["kept %s on %s" % (h.name, p.wish.label) for p in ports for h in p.holders if h.outcome == "kept"]
    if story.check_mode and story.plan.steps:
        would = [
            "would %s%s to free %s" % (_deed(step, past=False), _besides(step), _and(step.ports))
            for step in story.plan.steps
        ]
        return "; ".join([_listed(would + kept, []), *_again(story.plan.steps)])
    if not story.outcomes:
        labels = [port.wish.label for port in ports if port.status in (FREE, LINGERING)]
        left = _left(story, ports)
        text = "nothing to do"
        if labels:
            text = _are(labels, "free" if left else "already free", past=not left)
        return "; ".join(left + [text] + kept[:MOST_NAMED])
    done = list(dict.fromkeys(_did(outcome) for outcome in story.outcomes))
    labels = [port.wish.label for port in ports if port.status in (FREE, LINGERING)]
    proof = []
    if labels:
        stopped = any(outcome.acted and outcome.step.actuator != "destroy" for outcome in story.outcomes)
        again = _again([outcome.step for outcome in story.outcomes])
        seconds = " for %g s" % story.proof.watched if again and story.proof is not None else ""
        watched = "nothing took %s back%s, and " % ("it" if len(labels) == 1 else "them", seconds)
        watched = watched if stopped and story.policy.settle != 0 else ""
        untried = any(port.bindable is None for port in ports if port.status in (FREE, LINGERING))
        tried = "a test bind could not be tried" if untried else "a test bind succeeded"
        proof = ["%s: %s%s" % (_are(labels, "free"), watched, tried), *again]
    more = len(done) + len(kept) - len(done[:MOST_NAMED]) - len(kept[:MOST_NAMED])
    rest = [_more(more, "actions and ports")] if more else []
    return "; ".join(done[:MOST_NAMED] + kept[:MOST_NAMED] + rest + proof)


def _left(story: Story, ports: t.Sequence[PortPlan]) -> t.List[str]:
    """Who was there at first, and went without our doing."""
    when = "after " + duration(story.waited) if story.waited else "by itself"
    gone = [holder for port in ports for holder in port.holders if holder.outcome == "gone"]
    who = dict.fromkeys(_gone(story.snapshot, holder) for holder in gone)
    return ["%s left %s" % (one, when) for one in list(who)[:MOST_NAMED]]


def _gone(snapshot: Snapshot, holder: Holder) -> str:
    who = holders.describe(snapshot, holder)
    return "the connection of " + who if holder.kind == "connection" else who


def _are(labels: t.Sequence[str], what: str, past: bool = False) -> str:
    """``8080/tcp is free``, ``13 ports are free``."""
    named = ", ".join(labels) if len(labels) <= MOST_NAMED else "%d ports" % len(labels)
    one, several = ("was", "were") if past else ("is", "are")
    return "%s %s %s" % (named, one if len(labels) == 1 else several, what)


def _again(steps: t.Iterable[Step]) -> t.List[str]:
    """Who lives on and may start again what these steps stop."""
    return list(dict.fromkeys(one.text for step in steps for one in step.restarters))[:MOST_NAMED]


def _did(outcome: Outcome) -> str:
    step = outcome.step
    if outcome.became:
        asked = "was asked with %s, and then became" % step.signal if outcome.acted else "became"
        return "%s %s %s (by exec), which was judged anew" % (step.target, asked, outcome.became)
    if outcome.result == "gone":
        return "%s left by itself" % step.target
    if outcome.along:
        return "%s stopped with %s" % (step.target, outcome.along)
    text = _deed(step, past=True)
    if outcome.killed:
        text += " and, after %g s, KILL to pid %s" % (step.grace, ", ".join(map(str, outcome.killed)))
    if outcome.dropped:
        text += ", which dropped %d connection%s" % (outcome.dropped, "" if outcome.dropped == 1 else "s")
    return text + _besides(step)


def _besides(step: Step) -> str:
    """What a step means beyond the port."""
    text = " and with it %s" % _and(step.also_stops) if step.also_stops else ""
    if step.persist and step.undo:
        return text + " (not back at boot; undo: %s)" % step.undo
    if step.returns_at_boot:
        return text + " (back at boot)"
    if step.action == "stop_container" and step.returns_at_boot is None:
        return text + " (may be back at boot)"
    return text


def _deed(step: Step, past: bool) -> str:
    """What a step does, or did, to whom and by whom."""
    stop, close, turn = ("stopped", "closed", "turned") if past else ("stop", "close", "turn")
    if step.action == "close_socket":
        return "%s the %s" % (close, step.target)
    if step.action == "configure_resolver":
        return "%s off %s in %s" % (turn, _and([line.partition("=")[0] for line in step.settings]), step.target)
    by = step.signal
    through = ""
    if step.action == "stop_unit":
        through = "systemd"
    elif step.container is not None:
        through = step.container.engine
    elif step.supervised is not None:
        through = step.supervised.supervisor
    return "%s %s %s" % (stop, step.target, "through %s" % through if through else "with %s" % by)


def _failed(story: Story, ports: t.Sequence[PortPlan]) -> str:
    failure = story.failure
    if failure is None:
        return ""
    if story.outcomes or failure not in story.plan.refusals:
        done = list(dict.fromkeys(_did(outcome) for outcome in story.outcomes if outcome.error is None))
        # What a decision says of a port calls it "it".
        decided = (story.proof.plan if story.proof else story.plan).ports
        label = next((port.wish.label + ": " for port in decided if port.refusal == failure), "")
        return "; ".join(["%s%s: %s" % (label, failure.reason, failure.remedy)] + done)
    # What is in the way comes first: of a long list, only the beginning is told.
    against: t.Dict[str, None] = {}
    others: t.Dict[str, None] = {}
    for port in ports:
        if port.refusal is not None and not any(holder.refusal for holder in port.holders):
            against["%s: %s (%s)" % (port.wish.label, port.refusal.reason, port.refusal.remedy)] = None
        for holder in port.holders:
            if holder.refusal is not None:
                against["%s: %s (%s)" % (port.wish.label, holder.refusal.reason, holder.refusal.remedy)] = None
            elif holder.stoppable:
                who = holders.describe(story.snapshot, holder)
                others["%s: %s would have been stopped" % (port.wish.label, who)] = None
    begin = "nothing was stopped: " if story.policy.state == "free" else ""
    return begin + _listed(list(against) + list(others), [])


def _and(words: t.Sequence[str]) -> str:
    return " and ".join(words) if len(words) < 3 else ", ".join(words[:-1]) + " and " + words[-1]
