# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Without root: what is ours is freed, what is not is said to be hidden, with advice."""

from __future__ import annotations

import pytest

from zoo import world
from zoo.world import NOBODY

pytestmark = pytest.mark.root  # to become somebody else


@pytest.mark.parametrize(
    "species", ["tcp4", "udp4", "dual_stack", "forked_sharers", "bound_only", "inherited_parent_gone", "zombie_leader"]
)
def test_own_process_is_freed(zoo, species: str) -> None:
    holder = zoo.start(species, user=NOBODY)
    report = zoo.run(port=[holder.port], as_user=NOBODY)
    assert report.pids() == holder.owners
    predicted = zoo.free([holder.port], check=True, as_user=NOBODY)
    real = zoo.free([holder.port], as_user=NOBODY)
    assert not real.failed, real["msg"]
    assert predicted.comparable() == real.comparable()
    assert real["changed"] is True
    assert world.wait_gone(holder.owners) == []


@pytest.mark.parametrize("species", ["tcp4", "udp4", "bound_only", "setuid_drop", "two_sockets"])
@pytest.mark.parametrize("backend", ["auto", "procfs"])
def test_another_users_is_hidden_and_the_advice_is_become(zoo, species: str, backend: str) -> None:
    if (species, backend) == ("bound_only", "procfs"):
        backend = "auto"
    holder = zoo.start(species)
    report = zoo.run(port=[holder.port], as_user=NOBODY, backend=backend)
    assert not report.failed
    assert report["owners"] == []
    assert report["free"] is False
    protocol = "udp" if species == "udp4" else "tcp"
    assert report.port(holder.port, protocol)["status"] == "held_unknown"
    assert "become: true" in report["msg"]
    predicted = zoo.free([holder.port], check=True, as_user=NOBODY)
    real = zoo.free([holder.port], as_user=NOBODY, backend=backend)
    assert predicted.comparable() == real.comparable()
    assert real.failed and real["changed"] is False
    blocked = real.port(holder.port, protocol)["blocked_by"]
    assert blocked["code"] == "hidden_owner" and "become: true" in blocked["remedy"]
    assert holder.living() == list(holder.identities)


def test_ours_and_theirs_on_one_port(zoo) -> None:
    """Half of a group can't be seen: then nothing of it is stopped."""
    port = zoo.port()
    ours = zoo.start("tcp4", port, user=NOBODY, address="127.0.0.1")
    theirs = zoo.start("tcp4", port, address="127.0.0.2")
    real = zoo.free([port], as_user=NOBODY)
    assert real.failed and real["changed"] is False
    assert real.port(port)["status"] == "held_unknown"
    assert real.pids() == ours.owners
    assert ours.living() and theirs.living()
    narrow = zoo.free([port], as_user=NOBODY, address="127.0.0.1")
    assert not narrow.failed, narrow["msg"]
    assert not ours.living() and theirs.living()


def test_privileged_port_can_be_reported(zoo) -> None:
    result = zoo.run(port=["80/tcp"], as_user=NOBODY)
    assert (result.port(80)["status"], result.port(80)["bindable"]) == ("free", None)


def test_closing_a_connection_needs_privileges_and_it_is_said(zoo) -> None:
    holder = zoo.start("outgoing", 0, user=NOBODY)
    predicted = zoo.free([holder.port], as_user=NOBODY, close_blocking=True, check=True)
    real = zoo.free([holder.port], as_user=NOBODY, close_blocking=True)
    assert real.failed and real["changed"] is False
    assert predicted.failed and predicted.comparable() == real.comparable()
    assert "become" in real["msg"]
    assert holder.living() == list(holder.identities)
