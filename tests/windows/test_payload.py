# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each ansible-core sends to a Windows host: the right module under every name, with each of its C# utils once."""

from __future__ import annotations

import re

import pytest

from windows import controller, powershell, rig

ROUTES = [
    ("harbormaster.ports.port_owner", "win_port_owner"),
    ("harbormaster.ports.win_port_owner", "win_port_owner"),
    ("port_owner", "win_port_owner"),
    ("harbormaster.ports.listen_ports_facts", "win_listen_ports_facts"),
    ("harbormaster.ports.win_listen_ports_facts", "win_listen_ports_facts"),
    ("listen_ports_facts", "win_listen_ports_facts"),
]
OPTIONS = {"win_port_owner": {"port": ["8080"]}, "win_listen_ports_facts": {"details": "none"}}


@pytest.fixture(params=controller.folders(), ids=controller.label)
def site(request, tmp_path):
    return controller.Site(tmp_path, request.param)


def script_of(name):
    return (powershell.MODULES / (name + ".ps1")).read_text(encoding="utf-8")


def needed(name):
    """The C# utils of ours that a module needs, directly or not, by their usings."""
    found, ahead = {}, [script_of(name)]
    while ahead:
        for stem in re.findall(re.escape(rig.NAMESPACE) + r"(\w+)\s*;?\s*$", ahead.pop(), re.MULTILINE):
            if stem not in found:
                found[stem] = (rig.UTILS / (stem + ".cs")).read_text(encoding="utf-8")
                ahead.append(found[stem])
    return found


def check_payload(module, name):
    assert module["script"].splitlines() == script_of(name).splitlines()
    ours = [(util, text) for util, text in module["csharp"] if "Ansible.Basic" not in util]
    names = sorted(util.removesuffix(".cs").rsplit(".", 1)[-1] for util, _text in ours)
    assert names == sorted(needed(name)), "each one that is needed, once"
    for util, text in ours:
        assert text == needed(name)[util.removesuffix(".cs").rsplit(".", 1)[-1]]
    # Fully named, so that no second name brings the same file again.
    assert all(util.startswith(rig.NAMESPACE) for util, _text in ours)
    assert [util for util, _text in module["csharp"] if "Ansible.Basic" in util]


@pytest.mark.parametrize(("called", "name"), ROUTES, ids=[called for called, _name in ROUTES])
def test_every_name_sends_the_windows_module(site, called, name):
    done = site.run("ansible", "there", "-m", called, "-a", "port=8080" if "owner" in called else "details=none")
    assert "there | SUCCESS" in done.stdout, done.stdout + done.stderr
    (module,) = site.arrived()
    check_payload(module, name)
    for option, value in OPTIONS[name].items():
        assert module["arguments"][option] in (value, value[0] if isinstance(value, list) else value)


def test_check_mode_and_diff_are_sent(site):
    done = site.run("ansible", "there", "-C", "-D", "-m", "harbormaster.ports.port_owner", "-a", "port=8080 state=free")
    assert "there | SUCCESS" in done.stdout, done.stdout + done.stderr
    (module,) = site.arrived()
    assert module["arguments"]["_ansible_check_mode"] is True
    assert module["arguments"]["_ansible_diff"] is True


def test_a_play_with_both_kinds_of_hosts_sends_each_its_own(site):
    seen = site.play(
        """\
        - hosts: here, there
          gather_facts: false
          collections: [harbormaster.ports]
          module_defaults:
            group/harbormaster.ports.ports: {protocol: tcp}
          tasks:
            - port_owner: {port: 28080}
              register: r
            - copy: {content: "{{ r | to_json }}", dest: "{{ playbook_dir }}/{{ inventory_hostname }}.json"}
              delegate_to: here
        """
    )
    assert [port["port"] for port in seen["here"]["ports"]] == [28080], "the Linux host has run the real module"
    assert [port["protocol"] for port in seen["here"]["ports"]] == ["tcp"]
    assert seen["there"]["msg"] == "pretended"
    (module,) = site.arrived()
    check_payload(module, "win_port_owner")
    assert module["arguments"]["port"] in (28080, "28080", [28080])
    # Defaults are keyed by the name that the task says, on Windows too.
    assert module["arguments"]["protocol"] == "tcp"


def test_facts_modules_gathers_them_on_both(site):
    seen = site.play(
        """\
        - hosts: here, there
          gather_facts: true
          tasks:
            - copy: {content: "{{ ansible_facts | to_json }}", dest: "{{ playbook_dir }}/here.json"}
              delegate_to: here
              when: inventory_hostname == 'here'
        """,
        ANSIBLE_FACTS_MODULES="harbormaster.ports.listen_ports_facts",
    )
    assert isinstance(seen["here"]["tcp_listen"], list)
    (module,) = site.arrived()
    check_payload(module, "win_listen_ports_facts")
