# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading resolv.conf(5). Private to harbormaster.ports: not an interface for other collections."""

from __future__ import annotations

import os
import re
import stat
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable_text

# The files of systemd-resolved.service(8), and what every program reads.
RESOLV_CONF = "/etc/resolv.conf"
UPLINK = "/run/systemd/resolve/resolv.conf"
STUB = "/run/systemd/resolve/stub-resolv.conf"
STATIC = ("/usr/lib/systemd/resolv.conf", "/lib/systemd/resolv.conf")

# Where systemd-resolved's stub answers.
STUB_ADDRESSES = ("127.0.0.53", "127.0.0.54")

# MAXNS of resolv.h: nobody asks a fourth one.
_MOST_SERVERS = 3
_LARGEST = 1 << 16
# An IPv6 address with an interface takes 62 characters.
_LONGEST_ADDRESS = 100
_DOMAIN = re.compile(r"\A[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?\Z")


class ResolvConf(t.NamedTuple):
    """What such a file says.

    :param servers: addresses, IPv6 ones of a link with their ``%interface``; only those that are ever asked.
    :param search: domains that a short name is looked for in.
    """

    servers: t.Tuple[str, ...] = ()
    search: t.Tuple[str, ...] = ()


def parse(text: str) -> ResolvConf:
    """Understand the text of a resolv.conf; of ``domain`` and ``search`` the last line holds."""
    servers: t.List[str] = []
    search: t.Tuple[str, ...] = ()
    for line in text.splitlines():
        # A keyword stands at the begin of its line, and blank space behind it.
        keyword, values = line.partition(" ")[0].partition("\t")[0], line.split()[1:]
        if keyword == "nameserver" and values and len(values[0]) <= _LONGEST_ADDRESS:
            servers.append(printable_text(values[0]))
        elif keyword in ("search", "domain"):
            # "search ." is how systemd-resolved writes that there is none
            search = tuple(value for value in values if _DOMAIN.match(value))
    return ResolvConf(tuple(dict.fromkeys(servers[:_MOST_SERVERS])), search)


def read(path: str) -> ResolvConf:
    """What a file says; nothing when it is not there or can't be read: then it serves nobody.

    systemd-resolved's files lie in a folder of its account, which may put anything there or a link to it. So nothing is
    opened that could block or that does something when it is opened, and nothing that not everybody may read.
    """
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return ResolvConf()
    try:
        found = os.fstat(place)
        if not stat.S_ISREG(found.st_mode) or not found.st_mode & stat.S_IROTH:
            return ResolvConf()
        with open("/proc/self/fd/%d" % place, "rb") as stream:
            return parse(stream.read(_LARGEST).decode("utf-8", "replace"))
    except OSError:
        return ResolvConf()
    finally:
        os.close(place)
