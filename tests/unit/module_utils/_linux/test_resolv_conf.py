# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""resolv.conf(5): what a program that looks up a name gets out of it."""

from __future__ import annotations

import os
import signal

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import resolv_conf

UPLINK = """\
# This is /run/systemd/resolve/resolv.conf managed by man:systemd-resolved(8).
# nameserver 192.0.2.99

nameserver 10.211.0.1
nameserver fe80::1%eth0
search corp.example lab.test
"""


@pytest.mark.parametrize(
    "text, servers, search",
    [
        (UPLINK, ("10.211.0.1", "fe80::1%eth0"), ("corp.example", "lab.test")),
        ("nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n", ("127.0.0.53",), ()),
        ("nameserver\t192.0.2.1  # ours\r\n", ("192.0.2.1",), ()),
        # Behind a blank, without one, or as a comment it is no keyword.
        (" nameserver 192.0.2.1\nnameserver192.0.2.2\n;nameserver 192.0.2.3\nnameserver\n", (), ()),
        ("nameserver a\nnameserver b\nnameserver a\nnameserver c\n", ("a", "b"), ()),
        ("nameserver a\nnameserver b\nnameserver c\nnameserver d\n", ("a", "b", "c"), ()),
        ("domain one.test\nsearch two.test three.test\n", (), ("two.test", "three.test")),
        ("search two.test\ndomain one.test\n", (), ("one.test",)),
        ("search good.test x;y [Resolve] -x a=b ok_1.test.\n", (), ("good.test", "ok_1.test.")),
        ("nameserver 1\x1b[2J\u202e\n", ("1\\x1b[2J\\u202e",), ()),
        ("nameserver 1%s\nnameserver 192.0.2.1\n" % ("x" * 1000), ("192.0.2.1",), ()),
        ("", (), ()),
    ],
)
def test_what_a_file_says(text, servers, search):
    assert resolv_conf.parse(text) == (servers, search)


def test_a_file_that_is_not_there_or_no_text_serves_nobody(tmp_path):
    assert resolv_conf.read(str(tmp_path / "none")) == ((), ())
    assert resolv_conf.read(str(tmp_path)) == ((), ())
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\nnameserver 192.0.2.1\xff\n")
    assert resolv_conf.read(str(tmp_path / "bytes")) == (("192.0.2.1\ufffd",), ())


def test_a_device_is_no_file():
    assert resolv_conf.read("/dev/zero") == ((), ())


def test_nothing_is_opened_that_could_block_or_that_is_not_for_everybody(tmp_path):
    """Its folder is that of an account, and root looks into it."""
    path = tmp_path / "resolv.conf"
    os.mkfifo(path)
    signal.alarm(20)
    try:
        assert resolv_conf.read(str(path)) == ((), ())
    finally:
        signal.alarm(0)
    path.unlink()
    (tmp_path / "secret").write_text("nameserver 192.0.2.1\n")
    path.symlink_to("secret")
    (tmp_path / "secret").chmod(0o640)
    assert resolv_conf.read(str(path)) == ((), ())
    (tmp_path / "secret").chmod(0o644)
    assert resolv_conf.read(str(path)) == (("192.0.2.1",), ()), "links are usual here"
