# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Windows host beside a Linux one: each gets its own module from the same task of the role.

Only the routing is tested here. The connection records and answers; the module for Windows has its own tests.
"""

from __future__ import annotations

import importlib.util
import re
import shutil

import controller
import pytest

_SPEC = importlib.util.spec_from_file_location(
    "short_names", controller.TREE / "tests" / "contrib" / "test_short_names.py"
)
_short_names = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_short_names)
CONNECTION = _short_names.WINDOWS_CONNECTION.replace('"changed": false,', '"changed": false, "ports": [], "msg": "",')


@pytest.fixture
def mixed(site):
    """The hosts, and one that wants PowerShell modules."""
    tree = site.folder / "collections" / "ansible_collections" / "harbormaster" / "ports"
    shutil.copytree(site.installed.tree, tree)
    module = tree / "plugins" / "modules" / "win_port_owner.ps1"
    if not module.exists():
        module.write_text("#!powershell\n", encoding="utf-8")
    site.write("connection_plugins/recorded_windows.py", CONNECTION)
    site.settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(site.folder / "collections"),
        "ANSIBLE_CONNECTION_PLUGINS": str(site.folder / "connection_plugins"),
    }
    site.hosts["win1"] = {"ansible_connection": "recorded_windows", "ansible_shell_type": "powershell"}
    site.plan([8080, {"port": 443, "owner": ["nginx", "W3SVC"]}], clear_ports_verify_timeout=0)
    return site


@pytest.mark.parametrize(
    "entry", ["main", *(pytest.param(some, marks=pytest.mark.matrix) for some in ("check", "verify"))]
)
def test_each_host_gets_its_own_module(mixed, entry):
    book = mixed.write(
        "play.yml",
        """\
        - hosts: web1,win1
          gather_facts: false
          tasks:
            - ansible.builtin.import_role:
                name: harbormaster.ports.clear_ports
                tasks_from: %s
        """
        % entry,
    )
    run = mixed.play(book, "-vvv")
    used = re.findall(r"^<?(\w*)>? ?Using module file \S+/modules/(\S+)", run.text, re.MULTILINE)
    assert sorted(name for dummy, name in used) == ["port_owner.py", "win_port_owner.ps1"], run.text
    assert '"answered_by": "recorded_windows"' in run.text
    assert run.counts("win1") == "changed=0 unreachable=0 failed=0"


def test_the_fleets_check_has_both(mixed):
    """No facts, no become, one table."""
    run = mixed.play("harbormaster.ports.check", ports_hosts="web1,win1")
    assert run.returncode == 0, run.text
    assert run.stats()["ports_check"]["hosts"]["ok"] == 2
