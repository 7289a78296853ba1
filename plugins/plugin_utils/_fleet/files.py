# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the controller: written whole or not at all. Private to harbormaster.ports."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import typing as t

# A report of 2,000 hosts with 100 listeners each has about 60 MB.
LARGEST = 512 * 1024 * 1024

_MODE = re.compile(r"0?[0-7]{3}\Z")


class FileError(Exception):
    """A file or folder that can't be used; a sentence for people."""


def parse_mode(value: t.Any) -> int:
    """``0600`` -> 0o600.

    :raises FileError: no such number, or one that keeps its owner from reading and writing.
    """
    text = str(value)
    if not _MODE.match(text) or int(text, 8) & 0o600 != 0o600:
        raise FileError(
            "mode: %.20r is not usable: an octal number in quotes is allowed, such as '0600' or '0644', which lets its owner "
            "read and write" % (value,)
        )
    return int(text, 8)


def read(path: str) -> t.Optional[bytes]:
    """The whole file; None when there is none.

    :raises FileError: it can't be read, or is larger than any report.
    """
    try:
        with open(path, "rb") as stream:
            if os.fstat(stream.fileno()).st_size > LARGEST:
                raise FileError("%s is larger than %d MB, which no report is" % (path, LARGEST >> 20))
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileError("%s can't be read: %s" % (path, error.strerror)) from error


def write(path: str, text: str, mode: int) -> None:
    """Put a file into its place in one step, readable by nobody else before it has its mode. The folder is made.

    :raises FileError: it can't be written; what was there before is still there then.
    """
    folder, name = os.path.split(path)
    handle, fresh = -1, ""
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        handle, fresh = tempfile.mkstemp(prefix="." + name + ".", dir=folder)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(fresh, path)
        fresh = ""
    except OSError as error:
        raise FileError("dest: %s can't be written: %s" % (path, error.strerror)) from error
    finally:
        if fresh:
            with contextlib.suppress(OSError):  # it was never more than half a file
                os.unlink(fresh)
