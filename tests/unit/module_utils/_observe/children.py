# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real processes by the name of somebody else, for tests of who is asked."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import traceback

PR_SET_NAME = 15


@contextlib.contextmanager
def process(name, uid, work):
    """A child of this name and account (None: ours) that says when it is ready; ended by its pid."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reader)
            if uid is not None and os.geteuid() != uid:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode())
            work(lambda: os.write(writer, b"x"))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    try:
        assert os.read(reader, 1) == b"x", "it has ended"
        yield pid
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
