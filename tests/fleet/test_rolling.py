# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling deploys of a small web server: clear, deploy, verify; a host that fails stops by itself only."""

from __future__ import annotations

import re
import textwrap

import controller
import pytest

ROLLING = "harbormaster.ports.rolling"
GUIDE = controller.TREE / "docs" / "docsite" / "rst" / "guide_rolling.rst"
SHOPD = (controller.HERE / "roles" / "shop" / "templates" / "shopd.py.j2").read_text(encoding="utf-8")
PORT = 8080


@pytest.fixture
def shop(site):
    """The first version on every host; the next deploys stop the one that is there."""
    site.plan(
        [{"port": "%d/tcp" % PORT, "owner": "shopd"}, 9001],
        clear_ports_keep_owner=False,
        clear_ports_settle=0.2,
        clear_ports_verify_timeout=20,
        shop_port=PORT,
    )
    words = {"shop_shebang": "#!" + controller.PYTHON, "shop_version": "1", "shop_port": str(PORT)}
    program = re.sub(r"\{\{ (\w+) \}\}", lambda found: words[found.group(1)], SHOPD)
    for host in site.names:
        path = site.hosts[host]["shop_folder"] + "/shopd"
        site.fleet.write(host, path, program)
        site.fleet.run(host, path)
    assert versions(site) == dict.fromkeys(site.names, "version 1")
    return site


def versions(site, *names):
    return {name: site.fetch(name, PORT) for name in names or site.names}


def failed(site, run):
    return [name for name in site.hosts if run.recap(name).get("failed")]


def replace_by_protected(site, host):
    """Somebody has put a program that the machine depends on onto the port of the shop."""
    (old,) = site.pids(host, site.hosts[host]["shop_folder"] + "/shopd")
    site.fleet.run(host, "kill -9 %d" % old)
    return site.hold(host, PORT, name="NetworkManager")


@pytest.mark.matrix
def test_a_protected_holder_stops_its_host_only(shop):
    holder = replace_by_protected(shop, "web2")
    run = shop.play(ROLLING, ports_deploy_role="shop", shop_version=2)
    assert run.returncode == 2
    assert failed(shop, run) == ["web2"], run.text
    assert run.recap("web2")["rescued"] == 1
    assert versions(shop, "web1", "web3", "db1") == dict.fromkeys(("web1", "web3", "db1"), "version 2")
    assert shop.alive("web2", holder)
    assert re.search(r'fatal: \[web2\].*"reason": "protected_process"', run.text)
    assert "is protected" in run.said("Clear the ports of the plan")
    # One host after the other, in the order of the inventory.
    assert re.findall(r"^changed: \[(\w+)\]", run.said("shop : Start the shop"), re.MULTILINE) == [
        "web1",
        "web3",
        "db1",
    ]


@pytest.mark.parametrize(
    ("share", "later"), [(30, "version 1"), pytest.param(50, "version 2", marks=pytest.mark.matrix)]
)
def test_too_many_failures_end_the_roll_out(shop, share, later):
    """Two of four: more than 30 %, and not more than 50 %."""
    for host in ("web1", "web2"):
        replace_by_protected(shop, host)
    run = shop.play(ROLLING, ports_deploy_role="shop", shop_version=2, ports_max_fail_percentage=share)
    assert run.returncode == 2
    assert versions(shop, "web3", "db1") == dict.fromkeys(("web3", "db1"), later), run.text
    assert (run.counts("db1") == "none") is (share == 30)
    sentence = "this host was not touched, the roll-out has ended: 2 of 4 hosts have failed (web1, web2; "
    assert (sentence in run.text) is (share == 30)


@pytest.mark.matrix
def test_a_host_that_is_not_reached_stops_by_itself_only(shop):
    shop.hosts = {"lost1": {}, **shop.hosts}
    shop.unreachable()
    shop.hosts["lost1"].update(clear_ports_plan=[PORT])
    run = shop.play(ROLLING, ports_deploy_role="shop", shop_version=2)
    assert run.returncode == 2
    assert failed(shop, run) == ["lost1"], run.text
    assert versions(shop) == dict.fromkeys(shop.names, "version 2")


@pytest.mark.matrix
@pytest.mark.parametrize("serial", [1, 2])
def test_a_host_that_is_lost_in_the_middle_ends_the_roll_out(shop, serial):
    """It stands somewhere between two versions, and nobody knows where. Those of its batch are not left there too."""
    shop.write(
        "roles/half/tasks/main.yml",
        """\
        - name: Half of a deploy
          ansible.builtin.command: "true"
          vars:
            ansible_port: 1
          when: inventory_hostname == 'web1'
        - name: The other half
          ansible.builtin.include_role:
            name: shop
        """,
    )
    run = shop.play(ROLLING, ports_deploy_role="half", shop_version=2, ports_serial=serial)
    assert run.returncode in (2, 4)
    assert run.recap("web1")["unreachable"] == 1, run.text
    assert versions(shop, "web3", "db1") == dict.fromkeys(("web3", "db1"), "version 1"), run.text
    assert versions(shop, "web2") == {"web2": "version %d" % serial}
    assert ("and 1 were lost in the middle of a deploy (web1)" in run.text) is (serial == 2)


@pytest.mark.matrix
def test_a_deploy_that_fails_and_one_that_proves_false(shop):
    """web1 fails while it deploys; on web2 somebody else takes the port, which only verify can tell."""
    shop.write(
        "roles/mixed/tasks/main.yml",
        """\
        - name: Fail on one host
          ansible.builtin.command: "false"
          when: inventory_hostname == 'web1'
        - name: The deploy
          ansible.builtin.include_role:
            name: shop
          when: inventory_hostname != 'web2'
        """,
    )
    shop.plan(shop.hosts["web2"]["clear_ports_plan"], "web2", clear_ports_verify_timeout=1)
    run = shop.play(
        ROLLING, ports_deploy_role="mixed", shop_version=2, ports_serial="50%", ports_max_fail_percentage=50
    )
    assert run.returncode == 2
    assert failed(shop, run) == ["web1", "web2"], run.text
    assert '"reason": "not_held"' in run.said("The right owners hold the ports")
    assert versions(shop, "web3", "db1") == dict.fromkeys(("web3", "db1"), "version 2")


@pytest.mark.matrix
def test_check_mode(shop):
    run = shop.play(ROLLING, "--check", ports_deploy_role="shop", shop_version=2)
    assert run.returncode == 0, run.text
    assert "skipping: [db1]" in run.said("The right owners hold the ports of the plan")
    assert versions(shop) == dict.fromkeys(shop.names, "version 1")


@pytest.mark.matrix
def test_without_a_role_nothing_is_touched(shop):
    run = shop.play(ROLLING)
    assert run.returncode == 2
    assert "ports_deploy_role is not set: name the role that deploys" in run.text
    assert [run.recap(name).get("failed") for name in shop.names] == [1, None, None, None], "said once"
    assert versions(shop) == dict.fromkeys(shop.names, "version 1")


def examples():
    """The playbooks of the guide, by the name of their first play."""
    blocks = re.findall(
        r"^\.\. code-block:: yaml\n\n((?:    .*\n|\n)+)", GUIDE.read_text(encoding="utf-8"), re.MULTILINE
    )
    texts = [textwrap.dedent(block) for block in blocks]
    return {text.split("name: ", 1)[1].split("\n", 1)[0]: text for text in texts if text.startswith("- name:")}


@pytest.mark.parametrize(
    ("name", "serial", "share", "deployed"),
    [
        pytest.param(
            "Deploy in batches", 1, 50, [], marks=pytest.mark.matrix
        ),  # web1 fails: with one host a batch, that is all of the batch
        ("Deploy in batches", 2, 50, ["web2", "web3", "db1"]),
        pytest.param("Deploy in batches", 2, 0, [], marks=pytest.mark.matrix),  # web2 stops where it is
        pytest.param("Deploy one by one", 1, None, ["web2", "web3", "db1"], marks=pytest.mark.matrix),
    ],
)
def test_the_playbooks_of_the_guide(shop, name, serial, share, deployed):
    replace_by_protected(shop, "web1")
    text = re.sub(r"^( +serial:) .*", r"\g<1> %d" % serial, examples()[name], flags=re.MULTILINE)
    text = re.sub(r"^( +max_fail_percentage:) .*", r"\g<1> %s" % share, text, flags=re.MULTILINE)
    run = shop.play(shop.write("guide.yml", text.replace("hosts: web", "hosts: all")), shop_version=2)
    assert run.returncode == 2
    lives = {host: bool(shop.pids(host, shop.hosts[host]["shop_folder"] + "/shopd")) for host in shop.names[1:]}
    found = versions(shop, *(host for host in lives if lives[host]))
    assert [host for host in found if found[host] == "version 2"] == deployed, run.text
    assert run.recap("web1")["failed"] == 1
    assert lives["web2"] is (serial == 1 or share == 50), "cleared, and never deployed"
