# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Port 53 on a stock host: given up by systemd-resolved, and names still resolve."""

from __future__ import annotations

import pytest
from labkit import place

from lab.harness import Freed, Host

UPSTREAM = "/etc/systemd/resolved.conf.d/10-lab.conf"


def given_up(host: Host, freed: Freed) -> dict:
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert not host.held(53) and not host.held(53, "udp")
    assert host.resolves(), host.sh("ls -l /etc/resolv.conf; cat /etc/resolv.conf; resolvectl --no-pager", check=False)
    assert host.active("systemd-resolved.service")
    (action,) = freed.done["actions"]
    assert action["action"] == "configure_resolver" and action["result"] == "done"
    assert freed.done.holder(53)["kind"] == "resolver"
    return action


@pytest.fixture(autouse=True)
def tidy(host: Host):
    """What the resolver is given here does not outlive the test."""
    yield
    host.sh(
        "rm -rf /run/systemd/resolved.conf.d; find /etc/systemd/resolved.conf.d -type f ! -name 10-lab.conf -delete;"
        " printf '[Resolve]\\nDNS=%s\\n' >%s; rm -f /etc/resolv.conf;"
        " ln -s ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf;"
        " systemctl reset-failed systemd-resolved; systemctl restart systemd-resolved" % (place.GATEWAY, UPSTREAM)
    )


def reconfigure(host: Host, path: str, text: str) -> None:
    host.write("/etc/systemd/resolved.conf.d/" + path, text)
    host.sh("systemctl reset-failed systemd-resolved; systemctl restart systemd-resolved")


def test_stock_host(host: Host):
    """The mission's own example, and then a container that publishes the port."""
    started = host.sh("journalctl -u systemd-resolved -o cat | grep -c ^Started")
    action = given_up(host, host.free(53))
    assert action["returns_at_boot"] is True
    assert int(host.sh("journalctl -u systemd-resolved -o cat | grep -c ^Started")) == int(started) + 1, "one restart"
    host.container("dns", ["53:80", "53:80/udp"])
    assert host.held(53) and host.held(53, "udp")
    assert host.resolves()


def test_through_sudo_and_async(host: Host):
    task = {"play_remote_user": "ops", "play_become": True, "play_async": 90, "play_poll": 1}
    done = host.task(port=53, state="free", **task)
    assert done["changed"] and not done.failed, done
    assert not host.held(53) and not host.held(53, "udp") and host.resolves()


def test_not_lasting_it_is_back_after_a_reboot(host: Host):
    given_up(host, host.free(53))
    host.reboot()
    host.wait_held(53)
    assert host.resolves()


def test_persist_lasts(host: Host):
    action = given_up(host, host.free(53, persist=True))
    assert action["returns_at_boot"] is False
    host.reboot()
    assert not host.held(53) and not host.held(53, "udp") and host.resolves()
    again = host.task(port=53, state="free", persist=True)
    assert not again["changed"] and not again.failed


def test_a_drop_in_of_the_admin_that_says_otherwise(host: Host):
    reconfigure(host, "50-stub.conf", "[Resolve]\nDNSStubListener=yes\n")
    given_up(host, host.free(53))


def test_an_extra_listener(host: Host):
    reconfigure(
        host, "50-extra.conf", "[Resolve]\nDNSStubListenerExtra=127.0.0.1\nDNSStubListenerExtra=udp:127.0.0.9\n"
    )
    host.wait_held(53)
    assert "127.0.0.9" in host.sh("ss -Hlnu sport = :53")
    given_up(host, host.free(53))


def test_a_plain_resolv_conf_that_names_the_stub(host: Host):
    host.sh("cp --remove-destination /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
    assert host.resolves()
    given_up(host, host.free(53))


def test_a_plain_resolv_conf_that_names_a_real_server(host: Host):
    """It is nobody's business to change it; for systemd-resolved it is the upstream."""
    host.sh("rm /etc/resolv.conf; echo nameserver %s >/etc/resolv.conf; rm %s" % (place.GATEWAY, UPSTREAM))
    host.sh("systemctl restart systemd-resolved")
    given_up(host, host.free(53))
    assert host.sh("cat /etc/resolv.conf") == "nameserver " + place.GATEWAY and not host.ok("test -L /etc/resolv.conf")


def test_without_an_upstream_it_is_refused(host: Host):
    host.sh("rm %s; systemctl restart systemd-resolved" % UPSTREAM)
    host.write("/etc/systemd/resolved.conf.d/20-none.conf", "[Resolve]\nFallbackDNS=\n")
    host.sh("systemctl restart systemd-resolved")
    before = host.pids(53)
    done = host.free(53, again=False).done
    assert done.failed and not done["changed"] and done["reason"] == "would_break_dns", done
    assert host.pids(53) == before and host.held(53, "udp")
    assert host.sh("readlink /etc/resolv.conf").endswith("stub-resolv.conf")
    assert not host.ok("test -e /run/systemd/resolved.conf.d")


def test_one_protocol_takes_the_other_along_and_says_so(host: Host):
    freed = host.free("53/tcp")
    action = given_up(host, freed)
    assert action["also_frees"] == ["53/udp"]


def test_an_address_on_which_nothing_is(host: Host):
    """The stub is on the loopback: a server on the host's own address has nothing in its way."""
    address = host.sh("ip -4 -o addr show eth0 | awk '{print $4}' | cut -d/ -f1")
    freed = host.free(53, address=address)
    assert not freed.done["changed"] and not freed.done.failed, freed.done
    assert host.held(53)


def test_llmnr(host: Host):
    host.wait_held(5355)
    freed = host.free(5355)
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert not host.held(5355) and not host.held(5355, "udp")
    assert host.held(53) and host.resolves()


def test_method_service_would_take_the_resolver(host: Host):
    done = host.free(53, again=False, method="service").done
    assert done.failed and not done["changed"], done
    assert host.held(53) and host.resolves()


def test_a_standalone_dnsmasq_is_a_plain_service(host: Host):
    command = (
        "/usr/sbin/dnsmasq --keep-in-foreground --no-resolv --no-hosts --bind-interfaces --listen-address=127.0.0.1"
    )
    host.unit("dnsmasq.service", command + " --except-interface=none --server=%s" % place.GATEWAY, Restart="always")
    host.sh("for i in $(seq 50); do ss -Hlnt src 127.0.0.1:53 | grep -q . && break; sleep 0.1; done")
    freed = host.free(53, address="127.0.0.1")
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert freed.done["actions"][0]["action"] == "stop_unit" and "dnsmasq.service" in freed.done.targets[0]
    assert not host.active("dnsmasq.service") and host.held(53) and host.resolves()


def test_a_dnsmasq_of_libvirt_is_not_ours(host: Host):
    host.sh("mkdir -p /var/lib/libvirt/dnsmasq")
    host.write(
        "/var/lib/libvirt/dnsmasq/default.conf", "port=53\nlisten-address=127.0.0.1\nbind-interfaces\nno-resolv\n"
    )
    host.spawn("/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/var/lib/libvirt/dnsmasq/default.conf --user=root")
    host.sh("for i in $(seq 50); do ss -Hlnt src 127.0.0.1:53 | grep -q . && break; sleep 0.1; done")
    done = host.free(53, address="127.0.0.1", again=False).done
    assert done.failed and done["reason"] == "managed_elsewhere" and not done["changed"], done
    assert "virsh" in done["msg"]
    host.sh("pkill -x dnsmasq")
