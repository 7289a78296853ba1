# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself is what the other tests take it for, and plays reach its hosts over ssh."""

from __future__ import annotations

from lab.harness import Host


def test_a_host_is_a_stock_debian_with_systemd(host: Host):
    assert host.sh("systemctl is-system-running") == "running"
    assert host.sh("cat /proc/1/comm") == "systemd"
    assert host.systemctl("is-system-running", user="bob") == "running"
    assert host.active("docker.service") and host.active("cron.service") and host.active("ssh.service")


def test_the_stub_resolver_has_53_and_names_resolve_through_it(host: Host):
    for protocol in ("tcp", "udp"):
        holders = host.sh("ss -Hlnp%s sport = :53" % protocol[0])
        assert "127.0.0.53" in holders and "127.0.0.54" in holders and "systemd-resolve" in holders
    assert host.sh("readlink /etc/resolv.conf") == "../run/systemd/resolve/stub-resolv.conf"
    assert host.resolves()


def test_a_reboot_keeps_the_disk_and_not_the_processes(host: Host):
    host.write("/srv/kept", "as it was")
    host.write("/run/passing", "gone")
    host.spawn("lab-serve 8080")
    host.wait_held(8080)
    boot = host.sh("systemctl show -P UserspaceTimestampMonotonic; stat -c %Y /proc/1")
    host.reboot()
    assert host.sh("cat /srv/kept") == "as it was"
    assert not host.ok("test -e /run/passing") and not host.held(8080)
    assert host.sh("systemctl show -P UserspaceTimestampMonotonic; stat -c %Y /proc/1") != boot
    assert host.resolves() and host.sh("systemctl is-system-running") == "running"
    host.sh("rm /srv/kept")


def test_a_changed_host_is_replaced(lab):
    with lab.borrow() as host:
        host.sh("touch /etc/systemd/system/left.service; date >/etc/left")
        name = host.name
    with lab.borrow() as host:
        assert host.name != name or not host.ok("test -e /etc/left")


def test_report_over_ssh(host: Host):
    """What a stock host says of its two stock ports."""
    seen = host.look([22, 53])
    assert not seen.failed and not seen["changed"]
    assert seen.status(22) == "held" and seen.status(22, "udp") == "free"
    assert seen.status(53) == "held" and seen.status(53, "udp") == "held"
    services = {(port, owner["service"]) for owner in seen["owners"] for port in owner["ports"]}
    assert {
        ("22/tcp", "ssh.service"),
        ("53/tcp", "systemd-resolved.service"),
        ("53/udp", "systemd-resolved.service"),
    } <= services


def test_report_as_another_user_and_through_sudo(host: Host):
    host.unit("web.service", "lab-serve 8080")
    pids = host.wait_held(8080)
    plain = host.look(8080, play_remote_user="ops")
    assert plain.status(8080) in ("held", "held_unknown") and not plain.failed
    through_sudo = host.look(8080, play_remote_user="ops", play_become=True)
    assert through_sudo.status(8080) == "held" and through_sudo.pids() == pids
    assert through_sudo["owners"][0]["service"] == "web.service"
