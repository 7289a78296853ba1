# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of file /etc/resolv.conf is, and which servers are known."""

from __future__ import annotations

import os

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import resolv_conf
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import resolver


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files of systemd-resolved and of the host, at another place."""
    for name, path in (("RESOLV_CONF", "etc"), ("UPLINK", "uplink"), ("STUB", "stub")):
        monkeypatch.setattr(resolv_conf, name, str(tmp_path / path))
    monkeypatch.setattr(resolv_conf, "STATIC", (str(tmp_path / "static"), str(tmp_path / "older-static")))
    (tmp_path / "uplink").write_text("nameserver 192.0.2.53\nnameserver 127.0.0.53\nsearch .\n")
    (tmp_path / "stub").write_text("nameserver 127.0.0.53\noptions edns0 trust-ad\n")
    (tmp_path / "older-static").write_text("nameserver 127.0.0.53\n")
    return tmp_path


@pytest.mark.parametrize("name, kind", [("uplink", "uplink"), ("stub", "stub"), ("older-static", "static")])
@pytest.mark.parametrize("make", [os.symlink, os.link])
def test_the_file_at_the_end_of_the_link_says_what_it_is(files, name, kind, make):
    make(str(files / name), str(files / "etc"))
    found = resolver.resolver()
    assert found.resolv_conf == kind
    assert found.upstreams == ("192.0.2.53",), "its own address is nobody it could ask"
    assert found.servers == (("192.0.2.53", "127.0.0.53") if name == "uplink" else ("127.0.0.53",))


def test_with_the_stub_off_the_stub_file_leads_to_the_real_servers(files):
    (files / "stub").unlink()
    (files / "stub").symlink_to("uplink")
    (files / "etc").symlink_to("stub")
    assert resolver.resolver().resolv_conf == "uplink"


def test_a_file_of_somebody_else(files):
    (files / "etc").write_text((files / "stub").read_text())
    assert resolver.resolver() == (("192.0.2.53",), "foreign", ("127.0.0.53",), ("127.0.0.53",))


@pytest.mark.parametrize("dangling", [False, True])
def test_no_file_and_no_resolver(files, dangling):
    if dangling:
        (files / "etc").symlink_to("nowhere")
    (files / "uplink").unlink()
    assert resolver.resolver() == ((), "missing", (), ())


@pytest.mark.parametrize(
    "server, local",
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("192.0.2.53", False),
        ("2001:db8::53", False),
        ("no address", False),
        ("", False),
    ],
)
def test_an_address_of_this_host_is_known_by_a_bind(server, local):
    assert resolver._is_local(server) is local
