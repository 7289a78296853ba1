# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that the kernel itself holds: made-up messages, and a real vxlan link in a namespace of its own.

WireGuard, geneve, bareudp and fou are known from linux/wireguard.h, if_link.h and fou.h only: few kernels that tests run
on have them.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData, SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import netlink as wire
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.netlink import attribute
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Socket
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import kernel, netlink
from hypothesis import given
from hypothesis import strategies as some


def link(kind, name=b"x0", data=b"", flags=1, extra=b""):
    info = attribute(18, attribute(1, kind) + attribute(2, data))
    return struct.pack("=BxHiII", 0, 0, 7, flags, 0) + attribute(3, name + b"\0") + info + extra


def port(type_, number, order=">"):
    # Behind attributes that are of no interest, as the kernel sends them.
    return attribute(1, b"\x05\0\0\0") * (type_ != 1) + attribute(type_, struct.pack(order + "H", number))


def generic(*attributes):
    return struct.pack("=BBH", 1, 1, 0) + b"".join(attributes)


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (link(b"vxlan\0", b"vx0", port(15, 4789)), ("vxlan", "vx0", 4789)),
        (link(b"geneve\0", b"gn0", port(5, 6081)), ("geneve", "gn0", 6081)),
        (link(b"bareudp\0", b"bu0", port(1, 6635)), ("bareudp", "bu0", 6635)),
        (link(b"wireguard\0", b"wg0"), ("wireguard", "wg0", None)),
        (link(b"vxlan\0", b"down", port(15, 4789), flags=0), None),
        (link(b"vxlan\0", b"abroad", port(15, 4789), extra=attribute(37, bytes(4))), None),
        (link(b"vxlan\0", b"silent"), None),
        (link(b"bridge\0", b"br0", port(15, 4789)), None),
        (struct.pack("=BxHiII", 0, 0, 1, 1, 0) + attribute(3, b"lo\0"), None),
    ],
    ids=["vxlan", "geneve", "bareudp", "wireguard", "down", "other namespace", "no port", "other kind", "no kind"],
)
def test_links(payload, found):
    assert kernel.parse_link(payload) == found


@pytest.mark.parametrize(
    "payload",
    [b"", bytes(15), link(b"vxlan\0", data=attribute(15, b"\1")), link(b"vxlan\0")[:-3], link(b"vxlan\0", data=b"\1")],
)
def test_links_that_are_none(payload):
    with pytest.raises(MalformedData):
        kernel.parse_link(payload)


def test_wireguard_says_its_port_in_the_order_of_the_machine():
    first = generic(attribute(1, b"\7\0\0\0"), attribute(2, b"wg0\0"), attribute(3, bytes(32)), port(6, 51820, "="))
    assert kernel.parse_wireguard(first) == 51820
    assert kernel.parse_wireguard(generic(attribute(8, b""))) is None
    with pytest.raises(MalformedData):
        kernel.parse_wireguard(generic(attribute(6, bytes(4))))


def test_fou_says_its_port_in_network_order():
    assert kernel.parse_fou(generic(port(1, 5555))) == 5555
    assert kernel.parse_fou(generic()) is None


def test_families():
    family = generic(attribute(2, b"nlctrl\0"), attribute(1, struct.pack("=H", 16)))
    assert kernel.parse_family(family) == ("nlctrl", 16)


@given(some.binary(max_size=120))
def test_any_bytes_are_understood_or_refused(data):
    for parse in (kernel.parse_link, kernel.parse_wireguard, kernel.parse_fou, kernel.parse_family):
        try:
            parse(data)
        except MalformedData:
            pass


@given(some.integers(0, 80), some.integers(0, 255), some.integers(0, 80))
def test_mutated_links_are_understood_or_refused(offset, value, size):
    data = bytearray(link(b"vxlan\0", b"vx0", port(15, 4789)))
    if offset < len(data):
        data[offset] = value
    for part in (data, data[:size]):
        try:
            kernel.parse_link(bytes(part))
        except MalformedData:
            pass


def test_nfsd():
    words = "nfsd (the kernel's NFS server)"
    assert kernel.parse_nfsd("tcp 2049\nudp 2049\nrdma 20049\n") == {("tcp", 2049): words, ("udp", 2049): words}
    assert kernel.parse_nfsd("") == {}
    for text in ("tcp\n", "tcp x\n", "tcp 2049 1\n"):
        with pytest.raises(MalformedData):
            kernel.parse_nfsd(text)


def row(protocol, number):
    return Socket(protocol, "ipv4", "0.0.0.0", number, "UNCONN")


class FakeKernel:
    """Answers by netlink family and message type; what it does not know it refuses."""

    def __init__(self, monkeypatch, answers):
        self.asked = []
        self.answers = answers
        monkeypatch.setattr(wire, "ask", self.ask)

    def ask(self, family, type_, _flags, payload, _timeout):
        self.asked.append((family, type_, payload))
        if (family, type_) not in self.answers:
            raise SourceRefused("netlink", "Operation not permitted")
        return [(16, body) for body in self.answers[family, type_]]


FAMILIES = [
    generic(attribute(2, name + b"\0"), port(1, number, "=")) for name, number in [(b"wireguard", 33), (b"fou", 34)]
]
LINKS = [link(b"wireguard\0", b"wg0"), link(b"vxlan\0", b"vx\x1b0", port(15, 4789))]
DEVICE = [generic(port(6, 51820, "=")), generic(attribute(8, b""))]


def test_evidence_of_all_kinds(monkeypatch, tmp_path):
    (tmp_path / "portlist").write_text("tcp 2049\n")
    monkeypatch.setattr(kernel, "_NFSD_PORTS", str(tmp_path / "portlist"))
    answers = {(0, 18): LINKS, (16, 16): FAMILIES, (16, 33): DEVICE, (16, 34): [generic(port(1, 5555))]}
    fake = FakeKernel(monkeypatch, answers)
    rows = [row("udp", 51820), row("udp", 4789), row("udp", 5555), row("tcp", 2049), row("tcp", 4789), row("udp", 1)]
    assert kernel.kernel_owners(rows) == {
        ("udp", 51820): "wireguard link wg0",
        ("udp", 4789): "vxlan link vx\\x1b0",
        ("udp", 5555): "a foo-over-udp tunnel (ip fou)",
        ("tcp", 2049): "nfsd (the kernel's NFS server)",
    }
    # What nobody asked for is left out.
    assert kernel.kernel_owners(rows[1:2]) == {("udp", 4789): "vxlan link vx\\x1b0"}
    # The device is asked for by name.
    assert [payload[4:] for family, type_, payload in fake.asked if type_ == 33] == [attribute(2, b"wg0\0")] * 2


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({}, set()),
        ({(0, 18): LINKS}, {4789}),
        ({(0, 18): LINKS, (16, 16): []}, {4789}),
        ({(0, 18): [b"torn"], (16, 16): FAMILIES, (16, 34): [generic(port(1, 5555))]}, {5555}),
        # WireGuard says nothing to those without CAP_NET_ADMIN.
        ({(0, 18): LINKS, (16, 16): FAMILIES}, {4789}),
        ({(0, 18): LINKS, (16, 16): FAMILIES, (16, 33): [b"x"]}, {4789}),
    ],
)
def test_evidence_that_can_not_be_read_is_none(monkeypatch, tmp_path, answers, found):
    monkeypatch.setattr(kernel, "_NFSD_PORTS", str(tmp_path / "nothing"))
    FakeKernel(monkeypatch, answers)
    rows = [row("udp", 51820), row("udp", 4789), row("udp", 5555)]
    assert {number for _unused, number in kernel.kernel_owners(rows)} == found


def test_tcp_rows_do_not_ask_for_links(monkeypatch, tmp_path):
    monkeypatch.setattr(kernel, "_NFSD_PORTS", str(tmp_path / "nothing"))
    fake = FakeKernel(monkeypatch, {})
    assert kernel.kernel_owners([row("tcp", 2049)]) == {}
    assert fake.asked == []


@pytest.mark.parametrize("user", [False, True], ids=["root", "user"])
def test_a_real_vxlan_link(in_netns, user):
    if shutil.which("ip") is None:
        pytest.skip("needs ip (iproute2)")
    good, owners = in_netns(vxlan, user)
    if not good:
        pytest.skip("this kernel has no vxlan")
    # vx1 is down: it holds nothing, and a server may be on its port.
    assert owners == {("udp", 4789): "vxlan link vx0"}


def vxlan(user):
    make = "ip link add vx%d type vxlan id %d dstport %d local 127.0.0.1 dev lo"
    for number in (0, 1):
        if subprocess.run((make % (number, number + 5, number + 4789)).split(), check=False).returncode:
            return False, {}
    subprocess.run(["ip", "link", "set", "vx0", "up"], check=True)
    if user:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    rows = netlink.dump(((4780, 4800),))
    held = [one for one in rows if one.inode]
    return True, kernel.kernel_owners([*rows, row("udp", 4790)]) if len(held) == 1 else rows
