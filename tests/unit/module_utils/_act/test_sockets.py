# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SOCK_DESTROY on real sockets, in a network namespace of their own."""

from __future__ import annotations

import socket

from ansible_collections.harbormaster.ports.plugins.module_utils import _wishes
from ansible_collections.harbormaster.ports.plugins.module_utils._act import sockets
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Step
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.snapshot import observe_sockets

SERVER = 20001


def connected():
    """(listener, client, accepted): the client's local port is what a server wants."""
    listener = socket.create_server(("127.0.0.1", SERVER))
    client = socket.create_connection(("127.0.0.1", SERVER))
    accepted = listener.accept()[0]
    return listener, client, accepted


def close(*rows):
    (outcome,) = sockets.close(
        [Step("destroy", "close_socket", "x", ("1/tcp",), sockets=rows)], None, _wishes.signal_number
    )
    return outcome


def rows_on(port):
    return observe_sockets([("tcp", port)])


def error_of(one):
    one.settimeout(10)
    try:
        return one.recv(1)
    except OSError as error:
        return type(error).__name__


def closes_one():
    listener, client, accepted = connected()
    port = client.getsockname()[1]
    (row,) = rows_on(port)
    outcome = close(row)
    again = close(row)
    left = [one.state for one in rows_on(port) if one.inode]
    other = socket.create_connection(("127.0.0.1", SERVER))
    return (
        (outcome.result, outcome.acted, outcome.error),
        error_of(client),
        left,
        (again.result, again.acted, again.error),
        bool(other),
        len(rows_on(SERVER)) > 0,
    )


def test_that_one_socket_is_closed_and_its_program_lives_on(in_netns):
    first, error, left, again, other, listening = in_netns(closes_one)
    assert first == ("done", True, None)
    assert error == "ConnectionAbortedError"
    assert left == []
    assert again == ("gone", False, None)
    assert other and listening


def replaced():
    """The socket that was seen is gone, and another one has the very same addresses."""
    listener, client, accepted = connected()
    port = client.getsockname()[1]
    (row,) = rows_on(port)
    # An abortive close leaves nothing behind, so the port can be taken again at once.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    error_of(accepted)
    again = socket.socket()
    again.bind(("127.0.0.1", port))
    again.connect(("127.0.0.1", SERVER))
    outcome = close(row)
    again.send(b"x")
    return outcome.result, outcome.acted


def test_a_later_socket_with_the_same_addresses_is_not_hit(in_netns):
    assert in_netns(replaced) == ("gone", False)


def not_allowed():
    listener, client, accepted = connected()
    (row,) = rows_on(client.getsockname()[1])
    outcome = close(row)
    client.send(b"x")
    return outcome.result, outcome.acted, outcome.error.code, outcome.error.remedy


def test_without_the_right_it_is_a_failure_with_advice(in_netns):
    result, acted, code, remedy = in_netns(not_allowed, user=True)
    assert (result, acted, code) == ("failed", False, "not_permitted")
    assert "timeout" in remedy


def half():
    """Of two rows the second can't be closed: the first one was, and that is told."""
    listener, client, accepted = connected()
    (row,) = rows_on(client.getsockname()[1])
    outcome = close(row, row._replace(diag_id=b""))
    return outcome.result, outcome.acted, outcome.error.code


def test_what_was_closed_before_a_failure_counts(in_netns):
    assert in_netns(half) == ("failed", True, "step_failed")
