# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be done about one holder: the rules, in the order in which they are asked. Private to harbormaster.ports. Pure.

A new kind of holder is one rule here. Each rule answers with a Refusal, or with None: the next rule is asked. A
holder that no rule refuses is stopped.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import (
    by_manager,
    holders,
    managers,
    matching,
    protection,
    reasons,
    tables,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._decide.case import Case, Rule
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    CONNECTION,
    CONTAINER,
    KERNEL,
    LEFTOVER,
    PROCESS,
    RESOLVER,
    SERVICE,
    SYSTEMD_SOCKET,
    UDP,
    UNKNOWN,
    Process,
    Refusal,
    Snapshot,
)


def may_stay(case: Case) -> bool:
    """Whether ``keep`` lets this holder stay. ``stop_only`` goes first: it names who has to go."""
    wish = case.wish
    if wish.keep is None or case.holder.kind == LEFTOVER:
        return False
    if wish.stop_only is not None:
        # One that can't be seen may be just the one that has to go.
        if case.main is None and case.holder.kind in (UNKNOWN, CONNECTION):
            return False
        if case.matches(case.main, _without_anybody(wish.stop_only)):
            return False
    return case.matches(case.main, wish.keep, cut=True)


def refusal(case: Case) -> t.Optional[Refusal]:
    """The first rule's answer, None when the holder may be stopped."""
    if case.policy.method == "none":
        return reasons.still_held(case.who)
    for rule in _RULES[case.holder.kind]:
        answer = rule(case)
        if answer is not None:
            return answer
    return None


def _without_anybody(patterns: t.Sequence[str]) -> t.List[str]:
    return [pattern for pattern in patterns if pattern != matching.ANYBODY]


def _kernel(case: Case) -> t.Optional[Refusal]:
    return reasons.kernel_socket(case.holder.name)


def _hidden(case: Case) -> t.Optional[Refusal]:
    return holders.hidden(case.snapshot, case.holder)


def _first_process(case: Case) -> t.Optional[Refusal]:
    return reasons.first_process(case.who) if any(process.pid <= 1 for process in case.members) else None


def _own_ancestor(case: Case) -> t.Optional[Refusal]:
    own = any(process.pid in case.snapshot.self_pids for process in case.members)
    return reasons.own_ancestor(case.who) if own else None


def _own_connection(case: Case) -> t.Optional[Refusal]:
    for process in case.members:
        if process.pid in case.snapshot.carriers:
            return reasons.own_connection(case.who, case.snapshot.carriers[process.pid])
    return None


def _handed_over(case: Case) -> t.Optional[Refusal]:
    """A process of one account with the listener of another one, neither of which has started the other.

    Any account may send its sockets to daemons that take descriptors, root's too: what a process has is not what it serves.
    Who has made a socket is the kernel's word. On Windows a handle gets into a process of another account by that account alone.
    """
    makers = {row.uid for row in case.holder.sockets}
    if makers & {None, 0} or _without_anybody(case.wish.stop_only or ()):
        return None
    for process in case.members:
        above = (case.snapshot.processes.get(pid) for pid in process.ancestors)
        accounts = {account for one in (process, *above) if one is not None for account in (one.uid, one.real_uid)}
        if makers & accounts:
            return None
    known = sorted(uid for uid in makers if uid is not None)
    return reasons.handed_over(case.who, known) if known and case.members else None


def _protected(case: Case) -> t.Optional[Refusal]:
    defaults = [name for name in protection.PROTECTED if name not in case.policy.unprotect]
    members: t.Sequence[t.Optional[Process]] = case.members or [None]
    claim = None
    for process in members:
        by_name = holders.protecting(case.snapshot, case.holder, process, case.policy.protect)
        if by_name:
            return reasons.protected_process(case.who, by_name, True)
        if process is None or (case.holder.container is not None and managers.is_relay(process)):
            # The engine is not what would be stopped.
            continue
        by_name = matching.proven(process, defaults) or matching.program(process, defaults)
        if by_name and not _login_session(case.snapshot, process):
            instead = protection.INSTEAD.get(by_name, "")
            refusal = case.believed(reasons.protected_process(case.who, by_name, False, instead), process, by_name)
            if refusal is not None and not refusal.claim:
                return refusal
            # Another one of them may be proven.
            claim = claim or refusal
    return claim


def _login_session(snapshot: Snapshot, process: Process) -> bool:
    """A session's process of sshd or dropbear: the child of one with the same name, not the daemon that listens."""
    parent = snapshot.processes.get(process.parent_pid)
    return (
        process.name in tables.LOGIN_DAEMONS
        and parent is not None
        and parent.name == process.name
        and matching.proven(parent, tables.LOGIN_DAEMONS) is not None
    )


def _mismatch(case: Case) -> t.Optional[Refusal]:
    allowed = case.wish.stop_only
    if allowed is None or managers.is_unasked(case.holder):
        # The names of a container whose engine was not asked are not known: a warning says that these decide.
        return None
    if not case.matches(case.main, allowed):
        return reasons.owner_mismatch(case.who, "stop_only", ", ".join(allowed))
    for member in case.members:
        if not case.matches(member, allowed):
            return reasons.shared_mismatch(
                case.who, "%s (pid %d)" % (member.name, member.pid), "stop_only does not name"
            )
    return None


def _kept_member(case: Case) -> t.Optional[Refusal]:
    """One of the processes may stay, but it shares the socket of one that has to go."""
    wish = case.wish
    if wish.keep is None or matching.ANYBODY in wish.keep:
        return None
    for member in case.members:
        if case.matches(member, wish.keep, cut=True) and not case.matches(member, wish.stop_only or ()):
            return reasons.shared_mismatch(case.who, "%s (pid %d)" % (member.name, member.pid), "keep names")
    return None


def _account(case: Case) -> t.Optional[Refusal]:
    accounts = case.wish.user
    if accounts is None:
        return None
    members: t.Sequence[t.Optional[Process]] = case.members or [None]
    for process in members:
        if not matching.runs_as(process, accounts):
            account = str(process.user) if process else "an unknown account"
            return reasons.user_mismatch(case.who, account, ", ".join(accounts))
    return None


def _connection(case: Case) -> t.Optional[Refusal]:
    if case.wish.protocol == UDP:
        # Closing it breaks a server that nobody meant, and would not free the port if it was bound.
        return reasons.unnamed_udp(case.who, case.wish.port)
    # One whose program can't be seen may carry this very task: it is never closed.
    if _closable(case) and case.members:
        return _right_to_close(case, "the connection of %s" % case.who)
    far = sorted({"%s:%d" % (row.remote_address, row.remote_port) for row in case.holder.sockets if row.remote_port})
    if not case.policy.close_blocking:
        hint = "close_blocking: true closes that one connection"
    elif not case.members:
        hint = "one whose program can't be seen is not closed, it may carry this task"
    else:
        hint = "close_blocking works with the rows of netlink only, not with those of %s" % case.snapshot.backend
    return reasons.connection(case.who, ", ".join(far) or "nobody in particular", hint)


def _leftover(case: Case) -> t.Optional[Refusal]:
    if _closable(case):
        return _right_to_close(case, "what is left of old connections")
    return reasons.leftover(", ".join(sorted({row.state for row in case.holder.sockets})))


def _right_to_close(case: Case, what: str) -> t.Optional[Refusal]:
    return None if case.snapshot.may_close else reasons.not_permitted(what)


def _closable(case: Case) -> bool:
    """Whether ``close_blocking`` asks for it and the source of the rows gave what SOCK_DESTROY takes."""
    return case.policy.close_blocking and all(row.diag_id for row in case.holder.sockets)


_GUARDS: t.Tuple[Rule, ...] = (
    by_manager.elsewhere,
    by_manager.engine,
    _first_process,
    _own_ancestor,
    _own_connection,
    _handed_over,
    _protected,
)
_WISHED: t.Tuple[Rule, ...] = (_mismatch, _kept_member, _account)
_MANAGED: t.Tuple[Rule, ...] = (*_GUARDS, *_WISHED, *by_manager.RULES)

_RULES: t.Mapping[str, t.Tuple[Rule, ...]] = {
    PROCESS: _MANAGED,
    SERVICE: _MANAGED,
    CONTAINER: _MANAGED,
    SYSTEMD_SOCKET: _MANAGED,
    RESOLVER: _MANAGED,
    CONNECTION: (_connection, _own_ancestor, _own_connection, _mismatch, _account),
    LEFTOVER: (_leftover,),
    KERNEL: (_kernel,),
    UNKNOWN: (_hidden,),
}
