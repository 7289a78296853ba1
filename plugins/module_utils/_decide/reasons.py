# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reason for which a holder is not stopped or a wish is not met. Private to harbormaster.ports.

The codes are those of ``_errors.py``; the sentences are for people. A *passing*
reason ends by itself (a connection closes, TIME_WAIT runs out): ``timeout`` waits for it.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import (
    CANNOT_PERSIST,
    COLLATERAL,
    CONNECTION,
    ENGINE,
    HANDED_OVER,
    HIDDEN_OWNER,
    KERNEL_SOCKET,
    LEFTOVER,
    MANAGED_ELSEWHERE,
    NOT_HELD,
    NOT_PERMITTED,
    NOT_STOPPABLE,
    ORCHESTRATED,
    OWN_ANCESTOR,
    OWN_CONNECTION,
    OWNER_MISMATCH,
    PROTECTED_DEPENDANT,
    PROTECTED_PROCESS,
    STILL_HELD,
    SUPERVISED,
    UNSUPPORTED_MANAGER,
    USER_MISMATCH,
    WOULD_BREAK_DNS,
    WOULD_DELETE,
    WOULD_RESPAWN,
    WRONG_METHOD,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Refusal


def claimed(refusal: Refusal, name: str) -> Refusal:
    """A refusal that rests on what a process calls itself: its remedy says what overrules it."""
    return refusal._replace(
        remedy="only its own word says that it is %s: if that is untrue, stop it with method: signal or unprotect: [%s]; else %s"
        % (name, name, refusal.remedy),
        claim=True,
    )


def protected_process(who: str, rule: str, by_task: bool, instead: str = "") -> Refusal:
    """A name of the protected list.

    :param by_task: the task's own ``protect`` put it there.
    :param instead: what to do in place of stopping it, as a clause.
    """
    return Refusal(
        PROTECTED_PROCESS,
        "%s is protected (%s%s)" % (who, "protect: " if by_task else "", rule),
        "%sif it really has to go, take its name %s, or stop it by hand"
        % (instead + "; " if instead else "", "out of protect" if by_task else "off the list with unprotect"),
    )


def handed_over(who: str, makers: t.Sequence[int]) -> Refusal:
    """Somebody holds a socket that another account has made, and has not started it: it was passed on (SCM_RIGHTS)."""
    account = "uid %s" % ", ".join(map(str, makers))
    return Refusal(
        HANDED_OVER,
        "%s has a socket that %s has made and must have passed on, as neither has started the other" % (who, account),
        "name it in stop_only if it may be stopped for that; stopping the processes of %s, with this one in keep, may end it too"
        % account,
    )


def first_process(who: str) -> Refusal:
    """PID 1: never, whatever the options say."""
    return Refusal(
        PROTECTED_PROCESS,
        "%s is PID 1, which is never stopped" % who,
        "in a container, stop the container from its host; under systemd, look which unit has the socket (systemctl "
        "list-sockets, systemd-analyze fdstore) and stop that",
    )


def own_ancestor(who: str) -> Refusal:
    """The module, or a process that it was started by."""
    return Refusal(
        OWN_ANCESTOR,
        "%s started this very task" % who,
        "run the task over another connection, or from another host",
    )


def own_connection(who: str, why: str) -> Refusal:
    """What carries, or may carry, the Ansible connection."""
    return Refusal(
        OWN_CONNECTION,
        "%s may carry the Ansible connection (%s)" % (who, why),
        "reach the host another way, or stop it by hand",
    )


def owner_mismatch(who: str, option: str, allowed: str) -> Refusal:
    """Somebody holds the port whom the wish does not name."""
    return Refusal(
        OWNER_MISMATCH,
        "%s holds it, expected %s" % (who, allowed)
        if option == "owner"
        else "%s is not in %s: %s" % (who, option, allowed),
        "name it in owner, or make the port free with state: free"
        if option == "owner"
        else "name it in stop_only if it may be stopped, in keep if it may stay",
        passing=option == "owner",
    )


def shared_mismatch(who: str, sharer: str, why: str) -> Refusal:
    """A wish that covers one process of a holder, and not another one that shares its socket."""
    return Refusal(
        OWNER_MISMATCH,
        "%s shares its socket with %s, which %s" % (who, sharer, why),
        "name both in stop_only, or both in keep: they hold the port together",
    )


def kept_elsewhere(who: str, label: str) -> Refusal:
    """One wish lets a holder stay, another one would stop it."""
    return Refusal(
        OWNER_MISMATCH,
        "%s may stay on %s, so it can't be stopped here" % (who, label),
        "name it in keep here too, or leave it out there",
    )


def user_mismatch(who: str, user: str, allowed: str) -> Refusal:
    """Right name, wrong account."""
    return Refusal(
        USER_MISMATCH,
        "%s runs as %s, and user allows %s" % (who, user, allowed),
        "add the account to user, or leave the option out",
    )


def not_held(allowed: str, found: t.Sequence[str]) -> Refusal:
    """``owner`` is given and nobody serves the port.

    :param found: what there is instead, as clauses.
    """
    text = "; ".join(["nothing listens, expected %s" % allowed, *found])
    return Refusal(NOT_HELD, text, "start it, or wait longer with timeout", passing=True)


def hidden_owner(what: str, candidates: str, advice: str) -> Refusal:
    """A socket whose process can't be seen."""
    return Refusal(HIDDEN_OWNER, "%s is held by a process that can't be seen%s" % (what, candidates), advice)


def unclear_family(who: str, label: str) -> Refusal:
    """A socket on the IPv6 wildcard, where IPv4 is asked for and nobody knows whether it takes that too."""
    return Refusal(
        HIDDEN_OWNER,
        "%s listens on [::], and whether it takes %s too could not be told" % (who, label),
        "ask for the port without address, or let the task use netlink (backend: netlink), which tells",
    )


def kernel_socket(what: str) -> Refusal:
    """A socket that the kernel itself opened."""
    return Refusal(
        KERNEL_SOCKET,
        "the kernel itself holds it (%s)" % what,
        "take that away with its own tool: ip link del for a tunnel, nfsdctl or systemctl stop nfs-server for nfsd, wg for WireGuard",
    )


def unnamed_udp(who: str, port: int) -> Refusal:
    """A UDP socket on an ephemeral port, where nobody asked for UDP by name."""
    return Refusal(
        CONNECTION,
        "%s has a UDP socket on it, as clients have on ephemeral ports" % who,
        "wait for its end with timeout; if it is a server, ask for %d/udp by name" % port,
        passing=True,
    )


def connection(who: str, remote: str, hint: str) -> Refusal:
    """An outgoing connection whose local port is the wished one.

    :param hint: what else than waiting would help, or why nothing does.
    """
    return Refusal(
        CONNECTION,
        "a connection of %s with %s has it as its local port" % (who, remote),
        "wait for its end with timeout; " + hint,
        passing=True,
    )


def leftover(states: str) -> Refusal:
    """Rows without a process that make a bind fail."""
    return Refusal(
        LEFTOVER,
        "what is left of old connections (%s) keeps it from being bound" % states,
        "wait with timeout (TIME_WAIT lasts 60 s), or remove the rows with close_blocking: true",
        passing=True,
    )


def not_permitted(what: str) -> Refusal:
    """``close_blocking`` without the right to do it."""
    return Refusal(
        NOT_PERMITTED,
        "%s can't be closed: that needs root (CAP_NET_ADMIN)" % what,
        "run the task with become: true, or wait for its end with timeout",
    )


def unsupported_manager(who: str, manager: str, command: str) -> Refusal:
    """What manages the holder can't be asked, or is none that this collection can ask."""
    return Refusal(
        UNSUPPORTED_MANAGER,
        "%s is managed by %s, which would start it again or be left in disorder by a bare signal" % (who, manager),
        command,
    )


def apart(who: str, namespace: str, unprotect: str) -> Refusal:
    """A process with a namespace of its own, and nobody who says whose container it is."""
    return Refusal(
        UNSUPPORTED_MANAGER,
        "%s has a %s namespace of its own, as in a container, and nobody that could be asked knows it"
        % (who, namespace),
        "find out who made it (lsns, systemd-cgls) and stop it there; if nobody manages it, stop the process itself with "
        "method: signal or unprotect: [%s]" % unprotect,
        claim=True,
    )


def nothing_to_act_on(who: str) -> Refusal:
    """A holder behind which nothing was found that could be asked to end."""
    return Refusal(
        UNSUPPORTED_MANAGER,
        "nothing was found through which %s could be stopped" % who,
        "look which unit has the socket (systemctl list-sockets, systemd-analyze fdstore), and stop that one by hand",
    )


def supervised(who: str, supervisor: str, command: str) -> Refusal:
    """A supervisor would start the holder again at once, and does not take our word."""
    return Refusal(
        SUPERVISED,
        "%s is run by %s, which would start it again" % (who, supervisor),
        "%s; or force the signal with method: signal" % command,
    )


def managed_elsewhere(who: str, manager: str, remedy: str) -> Refusal:
    """A helper of another program, which would set it up again and needs it."""
    return Refusal(
        MANAGED_ELSEWHERE,
        "%s is run by %s" % (who, manager),
        "%s; or, if your server needs one address only, name it with address" % remedy,
    )


def engine(who: str, why: str, port: int) -> Refusal:
    """A container engine or its relay, and no container was found behind it.

    :param why: what kept its containers from being seen; empty when they were.
    """
    return Refusal(
        ENGINE,
        "%s belongs to a container engine, and no container was found that publishes this port%s"
        % (who, " (%s)" % why if why else ""),
        "the engine is never stopped for a port; %sfind what publishes it with docker ps --filter publish=%d or podman ps, "
        "and stop that" % ("have the engine answer first; " if why else "", port),
    )


def stray_relay(who: str, port: int, name: str) -> Refusal:
    """What stands for a container's port, and every engine says that it has no such container."""
    return Refusal(
        ENGINE,
        "%s stands for a container's port, and no container was found that publishes it" % who,
        "look with docker ps --filter publish=%d or podman ps; if no container has the port, stop the process that is left "
        "over with method: signal or unprotect: [%s]" % (port, name),
    )


def orchestrated(who: str, orchestrator: str, command: str) -> Refusal:
    """A scheduler would start the container again, here or elsewhere."""
    return Refusal(ORCHESTRATED, "%s is run by %s, which would start it again" % (who, orchestrator), command)


def would_delete(who: str) -> Refusal:
    """A container with ``--rm``."""
    return Refusal(
        WOULD_DELETE,
        "stopping %s deletes it and its anonymous volumes (it was started with --rm)" % who,
        "if it may be deleted, say so with collateral: accept",
    )


def would_respawn(who: str, manager: str, restart: str, after: str = "a signal") -> Refusal:
    """A bare signal to what is started again at once."""
    return Refusal(
        WOULD_RESPAWN,
        "%s starts %s again after %s (restart policy %s)" % (manager, who, after, restart),
        "leave method at auto, which stops it through its manager",
    )


def would_break_dns(who: str, why: str) -> Refusal:
    """Without the stub, no name would be resolved any more."""
    return Refusal(
        WOULD_BREAK_DNS,
        "without %s this host could resolve no names: %s" % (who, why),
        "give systemd-resolved an upstream server first (DNS= in resolved.conf, or of the link), or ask for one address "
        "only with address",
    )


def protected_dependant(who: str, dependant: str, rule: str) -> Refusal:
    """Something that would stop as well is protected."""
    return Refusal(
        PROTECTED_DEPENDANT,
        "stopping %s would also stop %s, which is protected (%s)" % (who, dependant, rule),
        "take the dependency away first (systemctl list-dependencies --reverse shows it), or stop it by hand",
    )


def not_stoppable(who: str, why: str) -> Refusal:
    """A unit or service that does not take a request to stop."""
    return Refusal(NOT_STOPPABLE, "%s can't be stopped by request: %s" % (who, why), "stop what it belongs to")


def cannot_persist(who: str, why: str, remedy: str) -> Refusal:
    """``persist: true`` on something that will be back after a reboot all the same."""
    return Refusal(
        CANNOT_PERSIST,
        "%s can't be kept from coming back at boot: %s" % (who, why),
        "%s; or leave persist out" % remedy,
    )


def wrong_method(who: str, method: str) -> Refusal:
    """``method`` names a way that this holder does not have."""
    return Refusal(
        WRONG_METHOD,
        "%s can't be stopped with method: %s" % (who, method),
        "leave method at auto, which uses its real manager",
    )


def still_held(who: str) -> Refusal:
    """``method: none`` waits and stops nothing."""
    return Refusal(
        STILL_HELD,
        "%s holds it, and method: none stops nothing" % who,
        "wait longer with timeout, or let the task stop it with method: auto",
        passing=True,
    )


def collateral_unread(who: str, why: str) -> Refusal:
    """``collateral: refuse``, and the step may free more than was seen."""
    return Refusal(
        COLLATERAL,
        "stopping %s may free other ports too: %s" % (who, why),
        "run the task again, or allow it with collateral: warn",
    )


def collateral(who: str, ports: str, dependants: str) -> Refusal:
    """``collateral: refuse`` and the step frees or stops more than was asked for."""
    besides = " and".join(text for text in (ports and " free " + ports, dependants and " stop " + dependants) if text)
    allow = "allow it with collateral: warn"
    return Refusal(
        COLLATERAL,
        "stopping %s would also%s" % (who, besides),
        "ask for those ports too, or " + allow if ports else allow,
    )
