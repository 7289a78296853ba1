# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""observe -> decide -> act -> prove: the only file that knows all four. Private to harbormaster.ports."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils import _wishes
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.decide import decide
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.sockets import Index, unclear
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import (
    CHANGING,
    NOT_PROVEN,
    PortsError,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    BOUND,
    LISTEN,
    UDP,
    BindKey,
    Outcome,
    Plan,
    Policy,
    Proof,
    Refusal,
    Snapshot,
    Socket,
    Step,
    Target,
    Wish,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.snapshot import (
    needs_psutil,
    observe,
    observe_sockets,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._prove.bind import probe, takes_ipv4

# A holder that appears between the look and the act is never stopped: the plan is made again, at most this many times.
MOST_PLANS = 3
# While the table does not change, a whole look is taken again after so many seconds.
LOOK_AGAIN = 1.0


class Story(t.NamedTuple):
    """All that a run has seen and done, also of a run that failed. Everything in a result comes from here.

    :param snapshot: what the plan was made from.
    :param plan: what was decided; with its predictions.
    :param outcomes: what was done.
    :param proof: the look afterwards; None when nothing was done.
    :param failure: why the wish is not met; None when it is.
    :param elapsed: seconds of the whole run.
    :param waited: seconds after which nothing was in the way any more; 0 when that was not waited for, or steps were due then.
        ``snapshot`` and ``plan`` are those of before the wait, and ``proof`` is what came of it.
    """

    snapshot: Snapshot
    plan: Plan
    policy: Policy
    outcomes: t.Tuple[Outcome, ...] = ()
    proof: t.Optional[Proof] = None
    failure: t.Optional[Refusal] = None
    elapsed: float = 0.0
    check_mode: bool = False
    waited: float = 0.0


class SystemEyes:
    """The observe stage as the other stages may use it, for the ports of one task.

    :param may_ask: the run is one that changes things, and so may run the programs of other accounts, as these accounts.
    """

    def __init__(self, wishes: t.Sequence[Wish], policy: Policy, backend: str, may_ask: bool = False) -> None:
        self._may_ask = may_ask
        self._ports = sorted({(wish.protocol, wish.port) for wish in wishes})
        self._wishes = wishes
        self._backend = backend
        self._others = policy.state == "free"
        self._by_psutil = needs_psutil(backend)
        self._probing = self._others or not policy.timeout
        self._families: t.Dict[int, t.Optional[bool]] = {}

    def look(self) -> Snapshot:
        """A whole snapshot, with a bind probe on the ports that nothing listens on or is bound to.

        Everything that is asked shares one clock, also when it is asked twice. While it binds, a probe can get in the way of a
        server that is starting. So a report binds once, and a task that waits for its owner to come not at all.
        """
        clock = Clock()
        snapshot = self._observed(clock)
        if not self._probing:
            return snapshot
        self._probing = self._others
        bindable = self._probed(snapshot)
        if self._unexplained(snapshot, bindable):
            # Somebody came between the look at the table and the bind, perhaps: then the table shows it now.
            snapshot = self._observed(clock)
            bindable = self._probed(snapshot)
        unexplained = self._unexplained(snapshot, bindable)
        if unexplained and snapshot.backend != "psutil":
            # Loaded here: only old kernels and refused netlinks leave such ports.
            from ansible_collections.harbormaster.ports.plugins.module_utils._observe.unlisted import explained

            snapshot = explained(snapshot, unexplained, clock)
        return snapshot._replace(bindable=bindable)

    def _observed(self, clock: Clock) -> Snapshot:
        """A snapshot in which a socket of the IPv6 wildcard says whether it takes IPv4 too, where that matters and can be told."""
        snapshot = observe(self._ports, self._backend, self._others, self._may_ask, clock)
        mixed = {(w.protocol, w.port) for w in self._wishes if w.address is not None and ":" not in w.address}
        if not mixed or not any(map(unclear, snapshot.sockets)):
            return snapshot
        return snapshot._replace(
            sockets=tuple(
                self._told(row, snapshot) if unclear(row) and (row.protocol, row.port) in mixed else row
                for row in snapshot.sockets
            )
        )

    def _told(self, row: Socket, snapshot: Snapshot) -> Socket:
        """The row with what a bind says of it. Each socket is asked about once: a probe may be in the way of a server."""
        if row.inode not in self._families:
            same = [other for other in snapshot.sockets if (other.protocol, other.port) == (row.protocol, row.port)]
            alone = sum(map(unclear, same)) == 1
            said = takes_ipv4(row.protocol, row.port, same)
            # Of two on the wildcard, a bind that fails does not say which one it met.
            self._families[row.inode] = None if said is None or (said and not alone) else not said
        return row._replace(v6only=self._families[row.inode])

    def _probed(self, snapshot: Snapshot) -> t.Dict[BindKey, t.Optional[bool]]:
        """What a bind says where nothing holds the port."""
        index = Index(snapshot)
        keys = set()
        for wish in self._wishes:
            rows = index.rows(wish)
            if not rows.holding:
                keys.add(wish.key)
            elif wish.keep and wish.protocol != UDP:
                # A connection that may stay, beside a listener at another address: it alone can be in the way there.
                keys.update((wish.protocol, wish.port, row.address) for row in rows.outgoing)
        return {key: probe(*key) for key in keys}

    @staticmethod
    def _unexplained(snapshot: Snapshot, bindable: t.Mapping[BindKey, t.Optional[bool]]) -> t.Set[t.Tuple[str, int]]:
        """The ports that can't be bound although no row is on them."""
        listed = {(row.protocol, row.port) for row in snapshot.sockets}
        return {(protocol, port) for (protocol, port, _where), said in bindable.items() if said is False} - listed

    def rows(self) -> t.Tuple[Socket, ...]:
        """Only the rows on the wished ports."""
        return observe_sockets(self._ports, self._backend)

    def holds(self, pid: int, inodes: t.AbstractSet[int]) -> bool:
        """Whether this pid has one of these sockets open now; by psutil, whether it has any on the wished ports."""
        if self._by_psutil:
            from ansible_collections.harbormaster.ports.plugins.module_utils._observe import psutil_backend

            return psutil_backend.holds(pid, self._ports)
        from ansible_collections.harbormaster.ports.plugins.module_utils._observe import descriptors

        return descriptors.still_holds(pid, inodes)

    def start_ticks(self, pid: int) -> t.Optional[int]:
        """Start time of the process that has this pid now."""
        if self._by_psutil:
            from ansible_collections.harbormaster.ports.plugins.module_utils._observe import psutil_backend

            return psutil_backend.start_ticks(pid)
        from ansible_collections.harbormaster.ports.plugins.module_utils._observe import processes

        return processes.start_ticks(pid)

    def target(self, pid: int) -> t.Optional[Target]:
        """What the process that has this pid now is, in the words of a plan."""
        from ansible_collections.harbormaster.ports.plugins.module_utils._decide.steps import as_target

        if self._by_psutil:
            from ansible_collections.harbormaster.ports.plugins.module_utils._observe import by_psutil

            process = by_psutil.process(pid)
        else:
            from ansible_collections.harbormaster.ports.plugins.module_utils._observe import processes

            process = processes.describe((pid,)).get(pid)
        return None if process is None else as_target(process)


def run(params: t.Mapping[str, t.Any], check_mode: bool) -> Story:
    """Do what a task asks for.

    :param params: the module's parameters, after Ansible's own checks.
    :returns: the story of the run, also when the wish is not met (`Story.failure`).
    :raises PortsError: for bad options, and when the system can't be read at all.
    """
    began = time.monotonic()
    policy = _wishes.policy(params)
    wishes = _wishes.wishes(params)
    if not wishes:
        return Story(Snapshot(), Plan(()), policy, check_mode=check_mode)
    eyes = SystemEyes(wishes, policy, params["backend"], may_ask=policy.state == "free" and not check_mode)
    until = began + (0.0 if check_mode else policy.timeout)
    first = eyes.look()
    found = decide(first, wishes, policy)
    looked = time.monotonic()
    snapshot, plan = _decided(eyes, wishes, policy, until, (first, found))
    failure = plan.refusals[0] if plan.refusals else None
    story = Story(snapshot, plan, policy, failure=failure, check_mode=check_mode)
    if policy.state == "free" and found.refusals and not plan.refusals and not plan.steps:
        # What was in the way has gone meanwhile: the result tells of it, not of an empty port.
        waited = time.monotonic() - looked
        story = story._replace(snapshot=first, plan=found, proof=Proof(snapshot, plan), waited=waited)
    if failure is None and plan.steps:
        if check_mode:
            story = story._replace(plan=_with_privileges(plan))
        else:
            story = _act_and_prove(story, eyes, wishes, until)
    return story._replace(elapsed=time.monotonic() - began)


def _decided(
    eyes: SystemEyes,
    wishes: t.Sequence[Wish],
    policy: Policy,
    until: float,
    first: t.Optional[t.Tuple[Snapshot, Plan]] = None,
) -> t.Tuple[Snapshot, Plan]:
    """A snapshot and its plan, made again until nothing is in the way or the time is over.

    Only passing refusals are waited for: a connection that ends, an owner that is still starting.

    :param first: the first look and its plan, where they were made already.
    """
    if first is None:
        snapshot = eyes.look()
        plan = decide(snapshot, wishes, policy)
    else:
        snapshot, plan = first
    if _final(plan) or time.monotonic() >= until:
        return snapshot, plan
    # Loaded here: most runs never wait.
    from ansible_collections.harbormaster.ports.plugins.module_utils._linux.pidfd import Waker

    with Waker() as waker:
        while not _final(plan) and time.monotonic() < until:
            now = time.monotonic()
            seen = _fingerprint(snapshot.sockets)
            while time.monotonic() < min(until, now + LOOK_AGAIN):
                waker.sleep(min(until, now + LOOK_AGAIN))
                if _fingerprint(eyes.rows()) != seen:
                    break
            snapshot = eyes.look()
            plan = decide(snapshot, wishes, policy)
    return snapshot, plan


def _final(plan: Plan) -> bool:
    """Whether waiting changes nothing: no refusal, or one that does not pass by itself."""
    return not plan.refusals or not all(refusal.passing for refusal in plan.refusals)


def _act_and_prove(story: Story, eyes: SystemEyes, wishes: t.Sequence[Wish], until: float) -> Story:
    """Carry out the plan when it still fits, and prove the result. Whatever goes wrong, what was done is in the story.

    When holders come or go before anything was done, the plan is made again.
    """
    # Loaded here: reports, by far the most common runs, need neither.
    from ansible_collections.harbormaster.ports.plugins.module_utils._act.registry import drain
    from ansible_collections.harbormaster.ports.plugins.module_utils._decide.holders import supervisor_name
    from ansible_collections.harbormaster.ports.plugins.module_utils._prove import proof

    policy = story.policy
    outcomes: t.List[Outcome] = []
    drained = False
    for attempt in range(MOST_PLANS + 1):
        if attempt:
            snapshot, plan = _decided(eyes, wishes, policy, until)
            if not plan.refusals and not plan.steps:
                # They had left by themselves. What was found first is still what the result tells of.
                return story._replace(outcomes=tuple(outcomes), proof=Proof(snapshot, plan))
            story = story._replace(snapshot=snapshot, plan=plan)
            if plan.refusals:
                return story._replace(outcomes=tuple(outcomes), failure=plan.refusals[0])
        if attempt == MOST_PLANS:
            return story._replace(failure=_changing(), outcomes=tuple(outcomes), proof=Proof(snapshot, plan))
        if policy.drain and not drained:
            drained = True
            if drain(story.plan.steps, eyes, policy.drain):
                continue
        if _expected(eyes.rows(), story.snapshot):
            try:
                _rounds(story.plan, eyes, wishes, policy, outcomes)
            except (PortsError, OSError) as error:
                return _unproven(story._replace(outcomes=tuple(outcomes)), error)
            if any(outcome.acted or outcome.error is not None for outcome in outcomes):
                break
    proven: t.Optional[Proof] = None
    try:
        failure = next((outcome.error for outcome in outcomes if outcome.error is not None), None)
        if failure is not None:
            proven = _seen(eyes, wishes, policy)
        else:
            settle = proof.settle_seconds(policy.settle, outcomes, eyes)
            proven = proof.prove(
                eyes,
                lambda snapshot: decide(snapshot, wishes, policy),
                outcomes,
                settle,
                until,
                supervisor_name,
            )
            failure = proven.failure
            outcomes = proof.with_living(outcomes, eyes)
    except (PortsError, OSError) as error:
        return _unproven(story._replace(outcomes=tuple(outcomes)), error)
    return story._replace(outcomes=tuple(outcomes), proof=proven, failure=failure)


def _rounds(plan: Plan, eyes: SystemEyes, wishes: t.Sequence[Wish], policy: Policy, outcomes: t.List[Outcome]) -> None:
    """Carry out the plan, and once more what the same sockets still need: a sharer that the first look did not see.

    Never what a manager has stopped and left behind (nothing is killed past its manager), a holder with a new socket (that
    one is for the proof to name, not to stop), or the program whose connection was closed.
    """
    from ansible_collections.harbormaster.ports.plugins.module_utils._act.registry import carry_out

    steps = plan.steps
    signalled = [step for step in steps if step.actuator == "signal"]
    mine = {inode for step in signalled for inode in step.inodes}
    judged = {target for step in signalled for target in step.roots + step.members}
    for _round in range(MOST_PLANS):
        for outcome in carry_out(steps, eyes, _wishes.signal_number):
            outcomes.append(outcome)
        if not any(outcome.acted for outcome in outcomes) or any(outcome.error is not None for outcome in outcomes):
            return
        again = decide(eyes.look(), wishes, policy)
        if again.refusals or not again.steps:
            return
        if not all((step.inodes and step.inodes <= mine) or _known(step, judged) for step in again.steps):
            return
        steps = again.steps


def _known(step: Step, judged: t.AbstractSet[Target]) -> bool:
    """Whether the plan has judged every process of this step already."""
    return bool(step.roots) and all(any(one.is_still(target) for one in judged) for target in step.roots + step.members)


def _seen(eyes: SystemEyes, wishes: t.Sequence[Wish], policy: Policy) -> Proof:
    """The state as found after a failed step."""
    snapshot = eyes.look()
    return Proof(snapshot, decide(snapshot, wishes, policy))


def _expected(rows: t.Iterable[Socket], snapshot: Snapshot) -> bool:
    """Whether no socket holds a wished port now that the plan does not know."""
    known = {row.inode for row in snapshot.sockets}
    return all(row.inode in known for row in rows if _holding(row))


def _with_privileges(plan: Plan) -> Plan:
    """The plan's ports, with ``bindable`` predicted None where this account may not bind at all.

    The kernel refuses a privileged port before it looks whether it is in use, so a held one can be asked too.
    """
    ports = tuple(
        port._replace(bindable=None)
        if port.bindable and port.wish.port < 1024 and probe(*port.wish.key) is None
        else port
        for port in plan.ports
    )
    return plan._replace(ports=ports)


def _holding(row: Socket) -> bool:
    return row.protocol == UDP or row.state in (LISTEN, BOUND)


def _fingerprint(rows: t.Iterable[Socket]) -> t.FrozenSet[t.Tuple[str, int, str, int, str]]:
    return frozenset((row.protocol, row.port, row.address, row.inode, row.state) for row in rows)


def _unproven(story: Story, error: Exception) -> Story:
    """The end of a run that can't see any more. What was done is told; the ports are as they were found, not as planned."""
    failure = Refusal(NOT_PROVEN, "the result can't be seen: %s" % error, "look with state: present")
    return story._replace(proof=Proof(story.snapshot, story.plan), failure=failure)


def _changing() -> Refusal:
    return Refusal(
        CHANGING,
        "new holders appeared in each of %d looks, and none of them was stopped" % MOST_PLANS,
        "stop what starts them, then run the task again",
    )
