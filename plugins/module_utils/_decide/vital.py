# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network, the login or the cluster of a host rests on. Private to harbormaster.ports. Pure.

Stopping one of these for a port cuts the host off, and often the task with it. So they are protected, by the unit (the
service manager's word) and by the program (on evidence), and each entry says what to do in place of it.
"""

from __future__ import annotations

import typing as t


class Vital(t.NamedTuple):
    """Programs and units (globs) that one piece of advice is for.

    :param instead: what to do in place of stopping it, as a clause.
    """

    programs: t.Tuple[str, ...]
    units: t.Tuple[str, ...]
    instead: str


_ADDRESS = "bind your server to one address and name it with address"
_TUNNEL = "have the tunnel use another port, or take it down by hand over a connection that does not need it"
_CLUSTER = "drain the node first and stop it by hand, or give your server another port"

VITAL = (
    Vital(
        ("ifup", "ifdown"),
        ("networking.service", "ifup@*.service", "ifupdown-*.service"),
        "stopping it takes interfaces down: stop by its own means what the interface's scripts started",
    ),
    Vital(
        ("dhclient", "dhcpcd", "dhcpcd5", "udhcpc", "udhcpc6", "dhcp6c", "pump"),
        ("dhclient*.service", "dhcpcd*.service", "udhcpc*.service"),
        "without it the interface loses its address when the lease ends: give it a static address first, or "
        + _ADDRESS,
    ),
    Vital(
        ("systemd-network*",),
        ("systemd-networkd*",),
        "switch off what has the port for that link (DHCP=, DHCPServer= of its .network file, then networkctl reload)",
    ),
    Vital(
        ("NetworkManager", "nm-dispatcher"),
        ("NetworkManager*.service",),
        "end the connection that has the port with nmcli connection down NAME, or give it a static address",
    ),
    Vital(
        ("wickedd", "wickedd-*"),
        ("wicked*.service",),
        "take down the one interface that has the port with wicked ifdown NAME",
    ),
    Vital(
        ("connmand", "connman-vpnd"),
        ("connman*.service",),
        "start it with --nodnsproxy if the port is 53, or take down the one service with connmanctl disconnect",
    ),
    Vital(
        ("iwd", "wpa_supplicant", "pppd", "pppoe", "ModemManager"),
        ("iwd.service", "wpa_supplicant*.service", "ppp@*.service", "pppoe*.service", "ModemManager.service"),
        "the host's link rests on it: take down the one link by its own means",
    ),
    Vital(
        ("zebra", "bgpd", "ospfd", "ospf6d", "isisd", "ripd", "babeld", "bird", "bird6", "gobgpd"),
        (
            "frr*.service",
            "quagga*.service",
            "zebra.service",
            "bird.service",
            "bird6.service",
            "gobgpd*.service",
            "babeld.service",
        ),
        "the host's routes rest on it: take away the one listener in its configuration, or " + _ADDRESS,
    ),
    Vital(
        ("cloud-init", "cloud-id"),
        ("cloud-init*.service", "cloud-config.service", "cloud-final.service"),
        "wait for its end with cloud-init status --wait; what it has started is stopped by its own means",
    ),
    Vital(
        ("tailscaled",),
        ("tailscaled.service", "snap.tailscale.*.service"),
        "have it use another port (PORT= in /etc/default/tailscaled), or take it down over another connection",
    ),
    Vital(
        ("openvpn",),
        ("openvpn.service", "openvpn@*.service", "openvpn-client@*.service", "openvpn-server@*.service"),
        "give the tunnel another port (port or lport in its configuration; a client needs none: nobind), or take it down "
        "by hand over a connection that does not need it",
    ),
    Vital(
        ("wireguard-go", "boringtun", "boringtun-cli"),
        ("wg-quick@*.service", "wireguard*.service"),
        "give the tunnel another ListenPort (wg set NAME listen-port N), or take it down over another connection",
    ),
    Vital(
        ("charon", "charon-systemd", "charon-nm", "starter", "pluto"),
        ("strongswan*.service", "ipsec.service", "libreswan*.service"),
        "give it other ports (port and port_nat_t of charon), or take the one connection down with swanctl --terminate or "
        "ipsec down",
    ),
    Vital(
        ("zerotier-one", "netbird", "nebula", "tincd", "openconnect", "ocserv", "innernet", "fastd", "vpnc"),
        (
            "zerotier-one.service",
            "netbird*.service",
            "nebula.service",
            "nebula@*.service",
            "tinc.service",
            "tinc@*.service",
            "openconnect*.service",
            "ocserv.service",
            "innernet*.service",
            "fastd*.service",
        ),
        _TUNNEL,
    ),
    Vital(
        ("cloudflared", "teleport"),
        ("cloudflared*.service", "teleport*.service"),
        "people log in through it: " + _TUNNEL,
    ),
    Vital(
        ("k3s", "k3s-server", "k3s-agent"),
        ("k3s*.service",),
        "take what holds the port out of it (--disable traefik, --disable servicelb), or " + _CLUSTER,
    ),
    Vital(
        ("rke2", "rke2-server", "rke2-agent", "k0s", "kubelite", "kube-apiserver", "kube-proxy", "kube-scheduler"),
        ("rke2-*.service", "k0s*.service", "snap.microk8s.*.service", "snap.k8s.*.service", "kube-*.service"),
        _CLUSTER,
    ),
    Vital(
        ("keepalived", "vrrpd", "ucarp"),
        ("keepalived*.service", "vrrpd*.service", "ucarp*.service"),
        "move the address to another host first, or " + _ADDRESS,
    ),
    Vital(
        ("corosync", "pacemakerd", "pacemaker-remoted", "heartbeat"),
        ("corosync*.service", "pacemaker*.service", "heartbeat.service"),
        "put the node into standby and stop the cluster with its own command (pcs cluster stop, crm cluster stop)",
    ),
    Vital(
        (),
        ("lxc-net.service",),
        "stopping it takes away the bridge of all containers: set LXC_DHCP_RANGE and its DNS off in /etc/default/lxc-net, or "
        + _ADDRESS,
    ),
)
