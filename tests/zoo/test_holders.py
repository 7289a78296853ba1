# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The holders alone: each is what it says it is, seen by /proc, by ss and by psutil, without the module."""

from __future__ import annotations

import re
import subprocess

import pytest

from zoo import harness, world
from zoo.bestiary import ALL, ANIMALS, NONE, Animal


def seen_by_ss(port: int) -> set[int]:
    """The pids that ``ss`` names on a local port."""
    run = subprocess.run(
        ["ss", "-tuanpH", "sport = :%d" % port], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, timeout=30
    )
    return {int(pid) for pid in re.findall(rb"pid=(\d+)", run.stdout)}


def seen_by_psutil(port: int) -> set[int]:
    """The pids that psutil names on a local port."""
    try:
        import psutil
    except ImportError:
        world.lacking("psutil is not installed")
    return {row.pid for row in psutil.net_connections("inet") if row.laddr and row.laddr.port == port and row.pid}


def agrees(seen: set[int], owners: list[int], how: str) -> bool:
    if how == ALL:
        return seen == set(owners)
    return not seen if how == NONE else bool(seen) and seen < set(owners)


@pytest.mark.tool("ss")
@pytest.mark.parametrize("animal", ANIMALS, ids=lambda animal: animal.name)
def test_is_what_it_says(zoo, animal: Animal) -> None:
    holder = zoo.keep(animal)
    inodes = {inode for dummy, dummy, inode in world.table(holder.port) if inode}
    holding = sorted(pid for pid in holder.identities if world.alive(pid) and world.open_inodes(pid) & inodes)
    if animal.species in ("bound_only", "shut_down"):
        assert inodes == set(), "a bound socket that does not listen is in no table of /proc/net"
    else:
        assert holding == holder.owners
    assert agrees(seen_by_ss(holder.port), holder.owners, animal.ss)
    assert agrees(seen_by_psutil(holder.port), holder.owners, animal.psutil)
    assert set(holder.living()) >= set(holder.owners) | set(holder.others)


def test_every_species_is_in_the_table() -> None:
    from zoo import holders

    elsewhere = {
        "clients", "heir", "kept", "outgoing_bound", "respawned", "respawner", "term_only", "turncoat", "udp_v6only",
    }  # fmt: skip
    assert set(holders.SPECIES) == {animal.species for animal in ANIMALS} | elsewhere


def test_nothing_is_left_behind(module) -> None:
    """The keeper finds a process that nobody reported, and a cut lifeline ends the ones it knows."""
    zoo = harness.Zoo(module, private=world.ROOT)
    holder = zoo.start("forked_sharers")
    stray = subprocess.Popen(["sleep", "60"])
    left = zoo.close()
    assert not holder.living()
    stray.kill()
    stray.wait(5)
    assert left == ([stray.pid] if world.ROOT else [])


def test_holders_end_with_their_keeper(zoo) -> None:
    holder = zoo.start("forked_sharers")
    holder.process.stdin.close()
    assert world.wait_gone(holder.owners[1:]) == []
