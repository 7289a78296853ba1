# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Docker engine was told, as far as it matters to who may not ask it. Private to harbormaster.ports."""

from __future__ import annotations

import os
import typing as t

_FILE = "/etc/docker/daemon.json"
# The bridge that a node of a swarm has.
_SWARM = "/sys/class/net/docker_gwbridge"


def shows_its_ports(command: bytes, configuration: t.Optional[bytes]) -> bool:
    """Whether each published port has a socket on the host, by the command line and the configuration of a dockerd.

    So it is while its userland proxy is on, which is the default (dockerd(8)). A swarm's ports have no sockets all the same.

    :param configuration: content of its file; None when that can't be read.
    """
    if not command or b"userland-proxy" in command or b"--config-file" in command or configuration is None:
        return False
    return b"userland-proxy" not in configuration and not os.path.exists(_SWARM)


def configuration() -> t.Optional[bytes]:
    """Content of its file; empty when there is none, None when that can't be read."""
    try:
        with open(_FILE, "rb") as stream:
            return stream.read(1 << 20)
    except FileNotFoundError:
        return b""
    except OSError:
        return None
