# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would start a unit at boot, out of the links in systemd's directories."""

from __future__ import annotations

import os

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Unit, UnitFacts
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import unit_files

WEB = UnitFacts(Unit("web.service"), file_state="enabled", wanted_by=("graphical.target", "shop.service"))


@pytest.fixture
def etc(tmp_path, monkeypatch):
    folder = tmp_path / "etc"
    folder.mkdir()
    monkeypatch.setattr(unit_files, "_SYSTEM", (str(folder), str(tmp_path / "run")))
    monkeypatch.setattr(unit_files, "_PACKAGED", (str(tmp_path / "usr") + "/",))
    (tmp_path / "usr" / "system").mkdir(parents=True)
    return folder


def wants(folder, wanter, name="web.service", kind="wants"):
    (folder / ("%s.%s" % (wanter, kind))).mkdir(parents=True)
    (folder / ("%s.%s" % (wanter, kind)) / name).symlink_to("/usr/lib/systemd/system/" + name)


def test_links_of_the_administrators_directory_can_be_taken_away(etc, tmp_path):
    wants(etc, "graphical.target")
    assert unit_files.lasting(WEB, "").pulled_by == ("shop.service",)
    wants(tmp_path / "usr" / "system", "shop.service")
    assert unit_files.lasting(WEB, "").pulled_by == ("shop.service",), "a package's link stays"
    wants(etc, "shop.service", kind="requires")
    assert unit_files.lasting(WEB, "").pulled_by == ("shop.service",), "also beside one of the administrator's"


def test_a_link_of_the_administrators_alone(etc):
    wants(etc, "graphical.target")
    wants(etc, "shop.service", kind="requires")
    found = unit_files.lasting(WEB, "")
    assert found.pulled_by == () and found.wanted_by == WEB.wanted_by


def test_a_link_of_the_next_boots_end_is_gone_then(etc, tmp_path):
    wants(etc, "graphical.target")
    wants(tmp_path / "run", "shop.service")
    found = unit_files.lasting(WEB, "")
    assert (found.wanted_by, found.pulled_by) == (("graphical.target",), ())
    wants(tmp_path / "usr" / "system", "shop.service")
    found = unit_files.lasting(WEB, "")
    assert (found.wanted_by, found.pulled_by) == (WEB.wanted_by, ("shop.service",))


def test_what_a_generator_links_is_linked_again_by_each_boot(etc, tmp_path, monkeypatch):
    monkeypatch.setattr(unit_files, "_GENERATED", (str(tmp_path / "generator"),))
    wants(tmp_path / "generator", "graphical.target", kind="upholds")
    wants(tmp_path / "run", "graphical.target")
    found = unit_files.lasting(WEB._replace(file_state="enabled-runtime", wanted_by=("graphical.target",)), "")
    assert (found.wanted_by, found.pulled_by) == (("graphical.target",), ("graphical.target",))


def test_a_link_that_the_manager_has_not_read_yet(etc):
    wants(etc, "multi-user.target", name="alias.service")
    told = WEB._replace(wanted_by=(), names=("web.service", "alias.service"))
    assert unit_files.lasting(told, "").wanted_by == ("multi-user.target",)


def test_a_file_that_is_gone_with_the_boot(etc, tmp_path):
    run = str(tmp_path / "run")
    found = unit_files.lasting(WEB, "", run + "/web.service")
    assert found.passing
    assert not unit_files.lasting(WEB, "", "/usr/lib/systemd/system/web.service").passing
    assert not unit_files.lasting(WEB, "").passing
    instance = WEB._replace(unit=Unit("web@1.service"))
    assert unit_files.lasting(instance, "", run + "/web@.service").passing
    (tmp_path / "usr" / "system" / "web@.service").write_text("[Service]\n")
    assert not unit_files.lasting(instance, "", run + "/web@.service").passing, "the package's one is there then"


def test_a_file_that_goes_before_a_mask(etc):
    assert not unit_files.lasting(WEB, "", "/run/systemd/generator.early/web.service").maskable
    assert unit_files.lasting(WEB, "", "/run/systemd/generator/web.service").maskable


def test_what_d_bus_starts(etc, tmp_path, monkeypatch):
    folder = tmp_path / "dbus"
    folder.mkdir()
    monkeypatch.setattr(unit_files, "_ACTIVATION", (str(tmp_path / "none"), str(folder)))
    monkeypatch.setattr(unit_files.evidence, "read", lambda path: open(path, "rb").read())
    texts = {
        "org.one.service": "[D-BUS Service]\nName=org.one\nExec=/bin/false\nSystemdService = dbus-org.one.service\n",
        "org.two.service": "[D-BUS Service]\nName=org.two\nSystemdService=two.service\n",
        "org.again.service": "[D-BUS Service]\nName=org.again\nSystemdService=two.service\n",
        "org.none.service": "[D-BUS Service]\nName=org.none\nExec=/usr/bin/none\n",
        "org.text.txt": "[D-BUS Service]\nName=org.text\nSystemdService=text.service\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (etc / "dbus-org.one.service").symlink_to("/usr/lib/systemd/system/one.service")
    assert unit_files.buses() == {
        "dbus-org.one.service": (("org.one", False),),
        "two.service": (("org.again", True), ("org.two", True)),
    }


def test_a_target_by_another_name(etc, tmp_path):
    wants(etc, "default.target")
    assert unit_files.lasting(WEB, "").pulled_by == WEB.wanted_by
    (tmp_path / "usr" / "system" / "default.target").symlink_to("graphical.target")
    assert unit_files.lasting(WEB, "").pulled_by == ("shop.service",)


def test_what_comes_from_a_script_is_switched_off_by_its_own_tool(etc):
    generated = WEB._replace(file_state="generated")
    assert unit_files.lasting(generated, "/etc/init.d/web").pulled_by == ()
    assert unit_files.lasting(generated, "/etc/containers/systemd/web.container").pulled_by == WEB.wanted_by


def test_a_file_in_the_way_of_a_mask(etc):
    assert unit_files.lasting(WEB, "").maskable
    (etc / "web.service").write_text("[Service]\n")
    found = unit_files.lasting(WEB, "")
    assert not found.maskable and found.linked == ""


def test_a_file_from_elsewhere(etc, tmp_path):
    outside = tmp_path / "opt" / "web.service"
    outside.parent.mkdir()
    outside.write_text("[Service]\n")
    (etc / "web.service").symlink_to(outside)
    found = unit_files.lasting(WEB, "")
    assert not found.maskable and found.linked == str(outside)
    (etc / "web@.service").symlink_to(outside)
    instance = WEB._replace(unit=Unit("web@1.service"))
    assert unit_files.lasting(instance, "").linked == str(outside), "an instance has its template's file"


def test_an_alias_is_not_from_elsewhere(etc, tmp_path):
    (etc / "web.service").symlink_to(tmp_path / "usr" / "system" / "nginx.service")
    assert unit_files.lasting(WEB, "").linked == ""


def test_units_of_a_user_are_in_the_home(tmp_path, monkeypatch):
    import pwd

    own = pwd.getpwuid(os.getuid())
    home = tmp_path / ".config" / "systemd" / "user"
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: own if uid != 1001 else type("P", (), {"pw_dir": str(tmp_path)}))
    mine = WEB._replace(unit=Unit("web.service", 1001))
    wants(home, "graphical.target")
    assert unit_files.lasting(mine, "").pulled_by == ("shop.service",)


def test_a_user_without_an_account(monkeypatch):
    import pwd

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    mine = WEB._replace(unit=Unit("web.service", 4242))
    assert unit_files.lasting(mine, "") == mine


def test_a_unit_that_nobody_wants(etc):
    facts = UnitFacts(Unit("web.service"))
    assert unit_files.lasting(facts, "") == facts


def test_a_unit_that_nobody_wants_after_the_boot(etc, tmp_path):
    wants(tmp_path / "run", "graphical.target")
    facts = UnitFacts(Unit("web.service"), wanted_by=("graphical.target",))
    assert unit_files.lasting(facts, "").wanted_by == ()
