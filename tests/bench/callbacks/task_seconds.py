# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes how long each task took, as a line of JSON, to the file that TASK_SECONDS names."""

from __future__ import annotations

import json
import os
import time
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: task_seconds
type: notification
short_description: how long each task took
description: Appends the name of each task, and the seconds from its start to its result, to the file TASK_SECONDS.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "task_seconds"

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        self._began = time.perf_counter()

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._write(result, True)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._write(result, False)

    def _write(self, result: t.Any, fine: bool) -> None:
        line = {"task": result._task.get_name(), "seconds": time.perf_counter() - self._began, "fine": fine}
        with open(os.environ["TASK_SECONDS"], "a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
