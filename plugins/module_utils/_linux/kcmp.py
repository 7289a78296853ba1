# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What two threads share (kcmp(2)). Private to harbormaster.ports: not an interface for other collections."""

from __future__ import annotations

import os
import typing as t

# kcmp(2) by machine (its own number where the table is older than the common one)
_KCMP = {"x86_64": 312, "i386": 349, "i686": 349, "armv7l": 378, "ppc64le": 354, "ppc64": 354, "s390x": 343}
_KCMP_COMMON = 272  # asm-generic/unistd.h: aarch64, riscv64, loongarch64
_KCMP_FILES = 2  # linux/kcmp.h


def table_comparer() -> t.Callable[[int, int], bool]:
    """A function that says whether two threads surely have the same table of descriptors.

    Servers with thousands of threads on one table are common; reading that table once a thread takes seconds.
    """
    try:
        import ctypes

        syscall = ctypes.CDLL(None).syscall
    except (ImportError, OSError, AttributeError):
        return lambda _pid, _thread: False
    number = _KCMP.get(os.uname().machine, _KCMP_COMMON)

    def same(pid: int, thread: int) -> bool:
        # a kernel without kcmp, or one that refuses it, answers -1: then the table is read
        return bool(syscall(number, pid, thread, _KCMP_FILES, 0, 0) == 0)

    return same
