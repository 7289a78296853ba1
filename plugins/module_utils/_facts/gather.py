# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of a task to its facts. Private to harbormaster.ports."""

from __future__ import annotations

import socket
import sys
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError
from ansible_collections.harbormaster.ports.plugins.module_utils._facts import dates, rows, states
from ansible_collections.harbormaster.ports.plugins.module_utils._model import LISTEN, UNCONN, Snapshot
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import ports
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.snapshot import observe_all


class Answer(t.NamedTuple):
    """What the module says.

    :param facts: ``tcp_listen`` and ``udp_listen``.
    :param message: one line for people.
    :param ephemeral: by protocol, the ranges that the kernel gives to outgoing connections, as [first, last].
    """

    facts: t.Dict[str, t.List[rows.Row]]
    message: str
    ephemeral: t.Dict[str, t.List[t.List[int]]]


def gather(params: t.Mapping[str, t.Any]) -> Answer:
    """Look at the whole host once, and put it into words.

    :param params: the module's parameters, after Ansible's own checks of types and choices.
    :raises OptionError: for values that can't be used.
    :raises ObserveError: the system can't be read in the way that was asked for.
    """
    view = parse_view(params)
    snapshot = observe_all(
        everything=view.connections,
        owners=view.details != rows.NONE,
        commands=view.details == rows.FULL,
        backend=params["backend"],
    )
    if view.details == rows.NONE:
        # psutil has told them all the same
        snapshot = snapshot._replace(owners={}, processes={})
    found = rows.facts(snapshot, view._replace(interfaces=_interfaces(snapshot)))
    return Answer(found, rows.message(snapshot, found), _ephemeral())


def parse_view(params: t.Mapping[str, t.Any]) -> rows.View:
    """What the task wants to see.

    :raises OptionError: for values that can't be used, or not together.
    """
    tcp = states.tcp_states(params["tcp_filter"])
    everything = bool(params["include_non_listening"])
    filtered = tcp != {LISTEN}
    if everything and filtered:
        words = ", ".join(params["tcp_filter"])
        raise OptionError(
            "tcp_filter", words, "it excludes include_non_listening, which shows all states; say one of them"
        )
    return rows.View(
        ss=params["command"] == "ss",
        connections=everything or filtered,
        tcp=None if everything else tcp,
        udp=None if everything else frozenset((UNCONN,)),
        details=params["details"],
        date=dates.parse(params["date_uformat"]),
    )


def _ephemeral() -> t.Dict[str, t.List[t.List[int]]]:
    """Empty where the system is not one whose way to say it is known."""
    ranges: t.List[t.List[int]] = []
    if sys.platform.startswith("linux"):
        (first, last), reserved = ports.ephemeral()
        given = ports.merge(port for port in range(first, last + 1) if port not in reserved)
        ranges = [list(bounds) for bounds in given]
    return {"tcp": ranges, "udp": ranges}


def _interfaces(snapshot: Snapshot) -> t.Dict[int, str]:
    names: t.Dict[int, str] = {}
    for index in {row.interface for row in snapshot.sockets if row.interface}:
        try:
            names[index] = socket.if_indextoname(index)
        except OSError:
            # The link has gone since: its number says nothing to anybody.
            continue
    return names
