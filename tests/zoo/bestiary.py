# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What lives in the zoo, and what is true of each animal by construction.

One row an animal; the tests of the report, of freeing, of check mode and of the oracles all walk this table.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

ALL, SOME, NONE = "all", "some", "none"


@dataclass(frozen=True)
class Animal:
    """One kind of holder.

    :param name: id of the test.
    :param species: function in holders.py.
    :param options: what the holder is told.
    :param rows: protocols on which it holds the port.
    :param kind: kind of holder in the report.
    :param before: status that the report gives.
    :param ask: options of the module when it frees this one.
    :param after: status after ``state: free``.
    :param code: reason code of the refusal when it can't be freed; None when it can.
    :param ss: how many of the owners ``ss`` names.
    :param psutil: how many of the owners psutil names.
    :param survives: its owners live on although the port is freed.
    :param root: needs root.
    :param root_to_free: only root may free it: SOCK_DESTROY takes CAP_NET_ADMIN.
    :param picks: the kernel picks the port.
    """

    name: str
    species: str
    options: t.Mapping[str, t.Any] = field(default_factory=dict)
    rows: tuple[str, ...] = ("tcp",)
    kind: str = "process"
    before: str = "held"
    ask: t.Mapping[str, t.Any] = field(default_factory=dict)
    after: str = "free"
    code: str | None = None
    ss: str = ALL
    psutil: str = ALL
    survives: bool = False
    root: bool = False
    root_to_free: bool = False
    picks: bool = False


UDP = ("udp",)
CLOSE = {"close_blocking": True}
HIDDEN = {"ss": NONE, "psutil": NONE}

ANIMALS = (
    Animal("tcp4", "tcp4"),
    Animal("tcp6", "tcp6"),
    Animal("udp4", "udp4", rows=UDP),
    Animal("udp6", "udp6", rows=UDP),
    Animal("tcp4-wildcard", "tcp4_wildcard"),
    Animal("udp4-wildcard", "udp4_wildcard", rows=UDP),
    Animal("dual-stack", "dual_stack"),
    Animal("v6only", "v6only"),
    Animal("udp-dual-stack", "udp_dual_stack", rows=UDP),
    Animal("tcp-and-udp", "tcp_and_udp", rows=("tcp", "udp")),
    Animal("two-sockets", "two_sockets"),
    Animal("mptcp", "mptcp"),
    Animal("bound-only", "bound_only", **HIDDEN),
    Animal("shut-down-listener", "shut_down", **HIDDEN),
    Animal("udp-connected", "udp_connected", rows=UDP),
    Animal("unaccepted-queue", "unaccepted"),
    Animal("reuseport-group", "reuseport_group"),
    Animal("forked-sharers", "forked_sharers", psutil=SOME),
    Animal("reaping-master", "reaping_master", psutil=SOME),
    Animal("sharers-without-parent", "sharers_without_parent", psutil=SOME),
    Animal("inherited-parent-gone", "inherited_parent_gone"),
    Animal("inherited-parent-lives", "inherited_parent_lives"),
    Animal("passed-over-unix-socket", "passed"),
    Animal("in-flight", "in_flight", kind="unknown", before="held_unknown", after="held_unknown", code="hidden_owner"),
    Animal("zombie-leader", "zombie_leader", **HIDDEN),
    Animal("unshared-files", "unshared_files", root=True, **HIDDEN),
    Animal("outgoing", "outgoing", kind="connection", ask=CLOSE, root_to_free=True, survives=True, picks=True),
    Animal(
        "outgoing-no-port",
        "outgoing_no_port",
        kind="connection",
        ask=CLOSE,
        root_to_free=True,
        survives=True,
        picks=True,
    ),
    Animal("time-wait", "time_wait", {"reuse": True}, kind="leftover", before="lingering", after="lingering"),
    Animal("time-wait-blocking", "time_wait", {"reuse": False}, kind="leftover", ask=CLOSE, root_to_free=True),
    Animal("fin-wait", "fin_wait", {"reuse": True}, kind="leftover", before="lingering", after="lingering"),
    Animal("fin-wait-blocking", "fin_wait", {"reuse": False}, kind="leftover", ask=CLOSE, root_to_free=True),
    Animal("stubborn", "stubborn", ask={"grace_period": 1}),
    Animal("slow", "slow"),
    Animal("closes-and-lives", "closes_and_lives", survives=True),
    Animal("stopped", "stopped"),
    Animal("setuid-drop", "setuid_drop", root=True),
    Animal("name-with-spaces", "tcp4", {"comm": "my app 1"}),
    Animal("name-with-brackets", "tcp4", {"comm": "a) S 1 (b"}),
    Animal("name-with-newline", "tcp4", {"comm": "two\nlines\t\x1b[2J"}),
    Animal("name-not-utf8", "tcp4", {"comm": "\xff\xfe\x80caf\xe9"}),
)
