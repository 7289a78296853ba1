# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All C# with the real Ansible.Basic.cs of each ansible-core: C# 5, no warning, and the options are taken."""

from __future__ import annotations

import json
import subprocess

import pytest

from windows import controller, powershell, rig

CORES = controller.folders()
DEFAULTS = {
    "win_port_owner": {"state": "present", "protocol": "any", "drain": 0, "protect": [], "owner": None},
    "win_listen_ports_facts": {"tcp_filter": ["Listen"], "date_uformat": "%c", "details": "process", "command": None},
}
GIVEN = {"win_port_owner": {"ports": "80,443/tcp"}, "win_listen_ports_facts": {}}
BAD = {
    "win_port_owner": {"port": 80, "plan": [{"port": 80}]},
    "win_listen_ports_facts": {"details": "everything"},
}


@pytest.fixture(scope="module", params=CORES, ids=controller.label)
def app_of_core(request, tools):
    return rig.program(rig.csharp_of(controller.package(request.param)), rig.utils(), powershell.specs())


def options_of(app, name, given):
    """What AnsibleModule.Create makes of options; on mono, since it touches nothing of Windows."""
    done = subprocess.run(
        ["mono", str(app), str(app.parent / (name + ".json")), "-"],
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_options_and_their_defaults(app_of_core, name):
    taken = options_of(app_of_core, name, GIVEN[name])["params"]
    assert {key: taken[key] for key in DEFAULTS[name]} == DEFAULTS[name]
    if name == "win_port_owner":
        assert taken["port"] == ["80", "443/tcp"]


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_what_ansible_refuses(app_of_core, name):
    refused = options_of(app_of_core, name, BAD[name])
    assert refused["failed"] is True
    assert all(
        word in refused["msg"] for word in (["port", "plan"] if name == "win_port_owner" else ["details", "full"])
    )


def test_a_warning_is_an_error(tools, csharp, tmp_path):
    source = tmp_path / "Unused.cs"
    source.write_text("internal static class Unused { private static void M() { int neverRead = 1; } }\n")
    with pytest.raises(rig.CompileError, match="neverRead"):
        rig.program(csharp, [source])


def test_what_is_newer_than_c_sharp_5_is_an_error(tools, csharp, tmp_path):
    source = tmp_path / "Newer.cs"
    source.write_text("internal static class Newer { public static string M(object o) { return o?.ToString(); } }\n")
    with pytest.raises(rig.CompileError):
        rig.program(csharp, [source])
