# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that other tools have for states and endpoints. Private to harbormaster.ports. Pure."""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    BOUND,
    CLOSE_WAIT,
    ESTABLISHED,
    IPV6,
    LISTEN,
    TIME_WAIT,
    Socket,
)

# Where ss has another word than netstat.
_SS = {
    ESTABLISHED: "ESTAB",
    TIME_WAIT: "TIME-WAIT",
    CLOSE_WAIT: "CLOSE-WAIT",
    "SYN_SENT": "SYN-SENT",
    "SYN_RECV": "SYN-RECV",
    "FIN_WAIT1": "FIN-WAIT-1",
    "FIN_WAIT2": "FIN-WAIT-2",
    "LAST_ACK": "LAST-ACK",
    "CLOSE": "UNCONN",
}

# The choices of tcp_filter, which are Windows' own words.
WINDOWS_STATES = {
    "Bound": BOUND,
    "Closed": "CLOSE",
    "CloseWait": CLOSE_WAIT,
    "Closing": "CLOSING",
    # a connection that is being forgotten: Linux shows none of these
    "DeleteTCB": "",
    "Established": ESTABLISHED,
    "FinWait1": "FIN_WAIT1",
    "FinWait2": "FIN_WAIT2",
    "LastAck": "LAST_ACK",
    "Listen": LISTEN,
    "SynReceived": "SYN_RECV",
    "SynSent": "SYN_SENT",
    "TimeWait": TIME_WAIT,
}
_BY_LOWER_CASE = {name.lower(): state for name, state in WINDOWS_STATES.items()}


def tcp_states(words: t.Sequence[str]) -> t.FrozenSet[str]:
    """Our states for the words of ``tcp_filter``, in whatever case.

    :raises OptionError: for another word, and for none at all.
    """
    allowed = "allowed are " + ", ".join(WINDOWS_STATES)
    if not words:
        raise OptionError(
            "tcp_filter", list(words), "an empty list is not allowed, it could mean all or none; " + allowed
        )
    for word in words:
        if word.strip().lower() not in _BY_LOWER_CASE:
            raise OptionError("tcp_filter", word, allowed)
    return frozenset(_BY_LOWER_CASE[word.strip().lower()] for word in words)


def state(row: Socket, ss: bool) -> str:
    """The state as netstat or ss has it."""
    return _SS.get(row.state, row.state) if ss else row.state


def foreign_address(row: Socket, ss: bool) -> str:
    """The other end as netstat or ss has it: ``192.0.2.7:443``, ``0.0.0.0:*`` where there is none."""
    if not row.remote_address and not row.remote_port:
        if row.family != IPV6:
            return "0.0.0.0:*"
        if not ss:
            return ":::*"
        return "*:*" if row.address == "::" and row.v6only is False else "[::]:*"
    address = row.remote_address or ("::" if row.family == IPV6 else "0.0.0.0")
    if ss and row.family == IPV6:
        # IPv4 clients of a dual-stack socket: the model has them as plain IPv4
        address = "[%s]" % address if ":" in address else "[::ffff:%s]" % address
    return "%s:%d" % (address, row.remote_port)
