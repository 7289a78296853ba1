# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as their results tell of them, in a few words."""

from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import document, plan

EPHEMERAL = {"tcp": [[32768, 60999]], "udp": [[32768, 60999]]}


def _row(port, name="nginx", protocol="tcp", address="0.0.0.0", **more):
    known = name is not None
    who = {
        "pid": 812 if known else None, "name": name, "user": "root" if known else None, "service": None, "container": None,
        "started": "2026-03-01T06:12:44Z" if known else None, "stime": None,
    }  # fmt: skip
    who.update(more)
    seen = {"owner_status": "known" if known else "not_root", "owners": [who] if known else []}
    return {**seen, **who, "address": address, "port": port, "protocol": protocol}


@pytest.fixture
def row():
    """A row of the facts module; without a name its owner could not be seen."""
    return _row


@pytest.fixture
def facts():
    """The registered result of the facts module."""

    def make(*rows):
        listed = {name + "_listen": [one for one in rows if one["protocol"] == name] for name in ("tcp", "udp")}
        return {"changed": False, "msg": "n sockets", "ansible_facts": listed, "ephemeral": EPHEMERAL}

    return make


@pytest.fixture
def host(facts):
    """What the run knows of a host that listens on these rows."""

    def make(name, *rows, wishes=None, **more):
        items = None if wishes is None else plan.parse(wishes, "plan")
        return document.Given(name, **{"facts": facts(*rows), "items": items, **more})

    return make


@pytest.fixture
def assemble():
    """The document of hosts."""

    def make(*hosts, earlier=None, **frame):
        return document.assemble(document.Frame("2026-03-02T09:30:00Z", **frame), hosts, earlier)

    return make
