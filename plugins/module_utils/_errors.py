# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the collection. Private to harbormaster.ports: not an interface for other collections.

Every error knows the code that tests, docs and playbooks branch on, and carries what was already
known when it was raised; one place (modules' ``fail``) turns it into ``fail_json``.
"""

from __future__ import annotations

import typing as t

# Every code that tests, documentation, playbooks and both languages share. Refusals, and why a wish is not met:
PROTECTED_PROCESS = "protected_process"
OWN_ANCESTOR = "own_ancestor"
OWN_CONNECTION = "own_connection"
OWNER_MISMATCH = "owner_mismatch"
USER_MISMATCH = "user_mismatch"
NOT_HELD = "not_held"
HIDDEN_OWNER = "hidden_owner"
HANDED_OVER = "handed_over"
KERNEL_SOCKET = "kernel_socket"
CONNECTION = "connection"
LEFTOVER = "leftover"
UNSUPPORTED_MANAGER = "unsupported_manager"
SUPERVISED = "supervised"
MANAGED_ELSEWHERE = "managed_elsewhere"
ENGINE = "engine"
ORCHESTRATED = "orchestrated"
WOULD_DELETE = "would_delete"
WOULD_RESPAWN = "would_respawn"
WOULD_BREAK_DNS = "would_break_dns"
PROTECTED_DEPENDANT = "protected_dependant"
NOT_STOPPABLE = "not_stoppable"
CANNOT_PERSIST = "cannot_persist"
WRONG_METHOD = "wrong_method"
COLLATERAL = "collateral"
NOT_PERMITTED = "not_permitted"
# After something was done or tried:
STILL_HELD = "still_held"
RESPAWNED = "respawned"
CHANGING = "changing"
STEP_FAILED = "step_failed"
NOT_PROVEN = "not_proven"
# The task could not begin:
BAD_OPTION = "bad_option"
SOURCE_REFUSED = "source_refused"
MALFORMED_DATA = "malformed_data"
MISSING_PSUTIL = "missing_psutil"


class PortsError(Exception):
    """Base of every error that the collection raises on purpose.

    :param code: one of the codes above.
    :param message: one sentence for people: the option or object, its value, what is allowed or to do next.
    :param fields: result keys that were known when it happened; they reach the user unchanged.
    """

    def __init__(self, code: str, message: str, **fields: t.Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields


class OptionError(PortsError):
    """A value of the task that can't be used. The message names option, value and what is allowed."""

    def __init__(self, option: str, value: t.Any, allowed: str) -> None:
        super().__init__(
            BAD_OPTION,
            "%s: %s is not usable: %s" % (option, quoted(value), allowed),
        )
        self.option = option


class ObserveError(PortsError):
    """The system could not be read in the way that was asked for."""


class SourceRefused(ObserveError):
    """One source of sockets (netlink, /proc/net, psutil) is not to be had here; another one may be.

    :param source: the source's name.
    :param why: the system's own words, such as ``Operation not permitted``.
    """

    def __init__(self, source: str, why: str) -> None:
        super().__init__(SOURCE_REFUSED, "%s can't be read: %s" % (source, why))
        self.source = source
        self.why = why


class MalformedData(ObserveError):
    """Bytes of the kernel that don't have the documented layout. Nothing of the answer is used.

    :param source: where the bytes came from.
    :param problem: what is wrong with them.
    :param data: the offending bytes; only their first 64 go into the message.
    """

    def __init__(self, source: str, problem: str, data: bytes = b"") -> None:
        shown = " (%s)" % data[:64].hex() if data else ""
        super().__init__(MALFORMED_DATA, "%s: %s%s" % (source, problem, shown))
        self.source = source
        self.problem = problem


class ActError(PortsError):
    """A step could not be carried out. What was done before it stays in the result."""


def quoted(value: t.Any) -> str:
    """A user's value as it goes into a sentence: whole when short, cut when long, never with line breaks."""
    text = repr(value) if isinstance(value, str) else str(value)
    text = text.replace("\n", " ").replace("\r", " ")
    return text if len(text) <= 80 else text[:77] + "..."
