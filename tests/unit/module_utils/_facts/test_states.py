# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError
from ansible_collections.harbormaster.ports.plugins.module_utils._facts import states
from ansible_collections.harbormaster.ports.plugins.module_utils._model import BOUND, IPV4, IPV6, LISTEN, TCP, Socket
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import netlink, procnet


def row(address="127.0.0.1", state=LISTEN, remote="", port=0, v6only=None):
    family = IPV6 if ":" in address or v6only is not None else IPV4
    return Socket(TCP, family, address, 20001, state, remote, port, v6only=v6only)


@pytest.mark.parametrize(
    ("one", "netstat", "ss"),
    [
        (row(), "0.0.0.0:*", "0.0.0.0:*"),
        (row("::", v6only=False), ":::*", "*:*"),
        (row("::", v6only=True), ":::*", "[::]:*"),
        (row("::"), ":::*", "[::]:*"),
        (row("::1", v6only=False), ":::*", "[::]:*"),
        (row(remote="192.0.2.7", port=443), "192.0.2.7:443", "192.0.2.7:443"),
        (row("::1", remote="::1", port=443), "::1:443", "[::1]:443"),
        (row(remote="127.0.0.1", port=443, v6only=False), "127.0.0.1:443", "[::ffff:127.0.0.1]:443"),
    ],
)
def test_the_other_end(one, netstat, ss):
    assert states.foreign_address(one, False) == netstat
    assert states.foreign_address(one, True) == ss


EVERY_STATE = sorted({*netlink._TCP_STATES.values(), *procnet._TCP_STATES.values(), *netlink._UDP_STATES.values()})


@pytest.mark.parametrize("word", EVERY_STATE)
def test_words_of_netstat_and_ss(word):
    assert states.state(row(state=word), False) == word
    shown = states.state(row(state=word), True)
    assert "_" not in shown
    assert shown in (
        "LISTEN", "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "CLOSE-WAIT", "LAST-ACK", "CLOSING",
        "UNCONN", "BOUND",
    )  # fmt: skip


def test_every_state_can_be_filtered():
    tcp = {*netlink._TCP_STATES.values(), *procnet._TCP_STATES.values()}
    assert tcp == set(states.WINDOWS_STATES.values()) - {""}


@pytest.mark.parametrize("word", sorted(states.WINDOWS_STATES))
def test_words_of_tcp_filter_in_any_case(word):
    expected = {states.WINDOWS_STATES[word]}
    assert (
        states.tcp_states([word]) == states.tcp_states([word.upper()]) == states.tcp_states([word.lower()]) == expected
    )


def test_several_at_once():
    assert states.tcp_states(["Listen", "Bound", "listen"]) == {LISTEN, BOUND}


@pytest.mark.parametrize("words", [["ESTAB"], ["Listen", "nonsense"], [""], []])
def test_other_words(words):
    with pytest.raises(OptionError) as caught:
        states.tcp_states(words)
    assert caught.value.message.startswith("tcp_filter: ")
    assert "CloseWait" in caught.value.message
