# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chains that start units at boot. systemd is played with its own words; the lab has a real one that boots."""

from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Starter, Unit, UnitFacts
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import boot, unit_files

GRAPH = {
    "graphical.target": {"Names": "graphical.target default.target"},
    "multi-user.target": {"RequiredBy": "graphical.target"},
    "basic.target": {"RequiredBy": "multi-user.target many.service"},
    "sysinit.target": {"RequiredBy": "basic.target a.service b.service c.service"},
    "rescue.target": {},
    "web.service": {"WantedBy": "multi-user.target", "BoundBy": "till.service", "TriggeredBy": "web.socket"},
    "web.socket": {"ActiveState": "inactive", "WantedBy": "sockets.target"},
    "sockets.target": {"WantedBy": "basic.target"},
    "till.service": {"ActiveState": "inactive", "TriggeredBy": "till.timer", "WantedBy": "multi-user.target"},
    "till.timer": {},
    "lost.service": {"WantedBy": "lost2.service"},
    "lost2.service": {"RequiredBy": "lost.service", "WantedBy": "rescue.target"},
    "gone.service": {"WantedBy": "multi-user.target", "UnitFileState": "transient"},
    "early.service": {"WantedBy": "sysinit.target"},
}


class Manager:
    def __init__(self):
        self.asked = []
        self.answer = None
        self.graph = dict(GRAPH)

    def run(self, argv, timeout, uid=None, environment=None):
        names = list(argv)[list(argv).index("--") + 1 :]
        self.asked.append((uid, names))
        if self.answer is not None:
            return self.answer
        blocks = {}
        for name in names:
            real = "graphical.target" if name == "default.target" else name
            told = dict({"Id": real, "Names": real, "ActiveState": "active"}, **self.graph.get(real, {}))
            told.setdefault("LoadState", "loaded" if real in self.graph else "not-found")
            blocks[real] = "\n".join("%s=%s" % one for one in told.items())
        return command.Answer(tuple(argv), 0, stdout="\n\n".join(blocks.values()) + "\n")


@pytest.fixture
def manager(monkeypatch, tmp_path):
    played = Manager()
    monkeypatch.setattr(command, "run", played.run)
    monkeypatch.setattr(unit_files, "_SYSTEM", (str(tmp_path / "etc"), str(tmp_path / "run")))
    for name in ("_PACKAGED", "_GENERATED", "_ACTIVATION"):
        monkeypatch.setattr(unit_files, name, ())
    return played


def told(*names, user=None, **fields):
    units = {Unit(name, user): UnitFacts(Unit(name, user), **fields) for name in names}
    found, above = boot.told(units, Clock())
    return found, {unit.name: starter for unit, starter in above.items()}


def test_the_chain_up_to_the_boots_own_target(manager):
    found, above = told("web.service", wanted_by=("multi-user.target",), triggered_by=())
    assert found[Unit("web.service")].wanted_by == ("multi-user.target", "till.service"), "BindsTo= starts it too"
    assert above["multi-user.target"] == Starter(("graphical.target",), True)
    assert above["graphical.target"] == Starter(("default.target",), True)
    assert above["till.service"] == Starter(("multi-user.target", "till.timer"), False)
    assert above["till.timer"] == Starter((), True), "what starts the nearest ones on demand"
    assert len(manager.asked) == 3, manager.asked


def test_of_many_that_want_a_target_the_targets_are_followed(manager):
    above = told("early.service", wanted_by=("sysinit.target",))[1]
    assert "a.service" not in above and "many.service" not in above
    assert {"sysinit.target", "basic.target", "multi-user.target", "graphical.target"} == set(above)


def test_a_chain_that_ends_nowhere_is_followed_to_its_end(manager):
    above = told("shop.service", wanted_by=("lost.service",))[1]
    assert above["lost.service"].by == ("lost2.service",)
    assert above["lost2.service"].by == ("lost.service", "rescue.target")
    assert above["rescue.target"].by == ()


def test_who_is_gone_with_the_boot_starts_nothing(manager):
    above = told("shop.service", wanted_by=("gone.service", "nothere.service"))[1]
    assert above["gone.service"] == Starter((), True)
    assert above["nothere.service"].by == ()


def test_what_is_about_to_stop_is_no_way_up(manager):
    manager.graph["lost.service"] = {"WantedBy": "web.service"}
    manager.graph["web.service"] = {"WantedBy": "multi-user.target lost.service"}
    found, above = told("web.service", wanted_by=("lost.service", "multi-user.target"))
    assert above["lost.service"].by == ("web.service",) and "web.service" not in above


def test_a_chain_without_an_end_is_given_up(manager):
    manager.graph.update({"n%d.service" % n: {"WantedBy": "n%d.service" % (n + 1)} for n in range(100)})
    above = told("shop.service", wanted_by=("n0.service",))[1]
    assert len(manager.asked) <= boot._MOST_RINGS + 1
    assert "n99.service" not in above, "what was not followed is not said to start nothing"


def test_a_manager_that_does_not_answer_any_more(manager):
    manager.answer = command.Answer(("systemctl",), -9, timed_out=True, seconds=5.0)
    found, above = told("web.service", wanted_by=("multi-user.target",))
    assert above == {} and found[Unit("web.service")].wanted_by == ("multi-user.target",)


def test_a_user_has_chains_of_its_own(manager, monkeypatch):
    monkeypatch.setattr(boot.systemd.os, "geteuid", lambda: 0)
    units = {
        Unit("web.service"): UnitFacts(Unit("web.service"), wanted_by=("multi-user.target",)),
        Unit("web.service", 4242): UnitFacts(Unit("web.service", 4242), wanted_by=("rescue.target",)),
    }
    above = boot.told(units, Clock())[1]
    assert Unit("rescue.target", 4242) in above and Unit("rescue.target") not in above
    assert Unit("multi-user.target") in above
    assert {uid for uid, names in manager.asked} == {None, 4242}


def test_the_names_on_d_bus(manager, monkeypatch):
    monkeypatch.setattr(unit_files, "buses", lambda: {"dbus-x.service": (("x", False),)})
    found = told("web.service", names=("web.service", "dbus-x.service"))[0]
    assert found[Unit("web.service")].bus == (("x", False),)
    assert told("web.service", user=4242)[0][Unit("web.service", 4242)].bus == ()
