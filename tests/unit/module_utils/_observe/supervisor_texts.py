# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What supervisors' commands have said, as recorded."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "data" / "supervisors"
STATUS = (DATA / "supervisor-4.2-status.txt").read_text(encoding="utf-8")
AVAIL = (DATA / "supervisor-4.2-avail.txt").read_text(encoding="utf-8")
# As 7.0 says it too.
JLIST = (DATA / "pm2-5.3-jlist.txt").read_text(encoding="utf-8")
MONIT = (DATA / "monit-5.33-status.txt").read_text(encoding="utf-8")
MONITRC = (DATA / "monit-5.33-monitrc.txt").read_text(encoding="utf-8")
