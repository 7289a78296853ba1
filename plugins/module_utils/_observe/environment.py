# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of a process. Private to harbormaster.ports: not an interface for other collections."""

from __future__ import annotations

import os
import typing as t

# Of an environment, what is searched: so long may one variable be at most (MAX_ARG_STRLEN of linux/binfmts.h). And how
# much of it is read at once.
_LONGEST_ENVIRONMENT = 128 << 10
_PIECE = 16 << 10


def read(pid: int, names: t.Iterable[bytes]) -> t.Dict[bytes, bytes]:
    """These variables of the environment that a process was started with, as getenv(3) finds them: the first of a name counts.

    What stands behind 128 KiB is not looked for, so a variable that is not there may only be far behind.

    :returns: empty when the process is gone or may not be looked at.
    """
    missing = set(names)
    found: t.Dict[bytes, bytes] = {}
    try:
        handle = os.open("/proc/%d/environ" % pid, os.O_RDONLY)
    except OSError:
        return {}
    try:
        data, ended = b"\0", False
        while missing and not ended:
            more = os.read(handle, min(_PIECE, _LONGEST_ENVIRONMENT + 1 - len(data)))
            # The kernel says less than was asked for where a page can't be read; only nothing is the end.
            ended = not more
            data += more
            for name in sorted(missing):
                begin = data.find(b"\0" + name + b"=")
                end = data.find(b"\0", begin + 1)
                # Half a value is none, and whether it goes on is seen by the next piece.
                if begin >= 0 and (end >= 0 or (ended and len(data) <= _LONGEST_ENVIRONMENT)):
                    found[name] = data[begin + len(name) + 2 : end if end >= 0 else len(data)]
                    missing.remove(name)
    except OSError:
        # It has ended meanwhile, or has become another program.
        return {}
    finally:
        os.close(handle)
    return found
