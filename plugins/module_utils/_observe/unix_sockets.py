# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unix sockets that somebody listens on, with their paths. Private to harbormaster.ports.

By netlink (linux/unix_diag.h), where each name has a length. /proc/net/unix is text: a name may have a newline in it, and
what comes after that looks like a row of its own. So that is only read where there is nothing else, and there a path
counts for no more than the inode beside it: who uses it looks whether the process that it means has that inode.
"""

from __future__ import annotations

import re
import socket
import struct
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import MalformedData, SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import netlink
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable

Sockets = t.Dict[int, str]

# struct unix_diag_req: family, protocol, padding, states, inode, what to show, cookie.
_REQUEST = struct.Struct("=BBHIIIII")
# struct unix_diag_msg: family, type, state, padding, inode, cookie.
_MESSAGE = struct.Struct("=BBBBIII")
_SHOW_NAME = 0x1
_NAME = 0
_TCP_LISTEN = 10
_SECONDS = 2.0
# Num RefCount Protocol Flags Type St Inode Path; the flag is __SO_ACCEPTCON of linux/net.h.
_LISTENING = re.compile(
    rb"^[0-9a-f]+: [0-9A-F]{8} [0-9A-F]{8} 00010000 [0-9A-F]{4} [0-9A-F]{2} +([0-9]{1,20}) (/.*)$", re.MULTILINE
)
# sun_path of struct sockaddr_un (unix(7)), without its NUL
_LONGEST_PATH = 107
# Of the text, what is read: rows of some 50,000 sockets.
_MOST_TEXT = 8 << 20


def listening(wanted: t.Callable[[int, str], bool], seconds: float = _SECONDS) -> t.Tuple[Sockets, bool]:
    """inode -> path of the wanted sockets of our network namespace that somebody listens on.

    Only absolute paths that can be connected to. Who is asked about many thousand sockets keeps the wanted ones alone.

    :param wanted: by inode and path.
    :returns: the sockets, and whether the kernel itself has said which name is whose.
    """
    try:
        return _by_netlink(wanted, seconds), True
    except (SourceRefused, MalformedData):
        return {inode: path for inode, path in by_text(table("self")).items() if wanted(inode, path)}, False


def by_text(data: bytes) -> Sockets:
    """The same out of /proc/net/unix (net/unix/af_unix.c, unix_seq_show), where any account can forge a row."""
    found: Sockets = {}
    for match in _LISTENING.finditer(data):
        path = _path(match.group(2))
        if path:
            # The kernel's own row of a socket stands before what a later one's name pretends, or after: neither is better.
            found.setdefault(int(match.group(1)), path)
    return found


def table(pid: t.Union[int, str]) -> bytes:
    """The Unix sockets of the network namespace that a process is in, as text; empty when that can't be read."""
    try:
        with open("/proc/%s/net/unix" % pid, "rb") as stream:
            return stream.read(_MOST_TEXT)
    except OSError:
        # gone, or a kernel or sandbox that has no such file
        return b""


def _by_netlink(wanted: t.Callable[[int, str], bool], seconds: float) -> Sockets:
    request = _REQUEST.pack(socket.AF_UNIX, 0, 0, 1 << _TCP_LISTEN, 0, _SHOW_NAME, 0xFFFFFFFF, 0xFFFFFFFF)
    for attempt in range(netlink.ATTEMPTS):
        found: Sockets = {}
        try:
            with netlink.Netlink(netlink.NETLINK_SOCK_DIAG) as link:
                for _kind, body in link.request(netlink.SOCK_DIAG_BY_FAMILY, netlink.NLM_F_DUMP, request, seconds):
                    inode, path = _understood(body)
                    if path and wanted(inode, path):
                        found[inode] = path
            return found
        except netlink.Interrupted:
            if attempt == netlink.ATTEMPTS - 1:
                raise
    return {}


def _understood(body: bytes) -> t.Tuple[int, str]:
    """Inode and path of one socket; an empty path for one that has none."""
    if len(body) < _MESSAGE.size:
        raise MalformedData("unix_diag", "torn message", body)
    _family, _type, state, _padding, inode, _low, _high = _MESSAGE.unpack_from(body)
    if state == _TCP_LISTEN:
        for kind, value in netlink.attributes(body[_MESSAGE.size :]):
            if kind == _NAME:
                # a path is given with its NUL, an abstract name begins with one
                return inode, _path(value[:-1] if value.endswith(b"\0") else value)
    return inode, ""


def _path(raw: bytes) -> str:
    """A path that can be connected to; empty for an abstract name, and for one that would have to be altered to be shown."""
    if raw.startswith(b"/") and len(raw) <= _LONGEST_PATH and printable(raw).encode("utf-8") == raw:
        return raw.decode("utf-8")
    return ""
