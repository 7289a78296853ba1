# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture in the README is of this page. ``make report-screenshot`` takes it anew."""

from __future__ import annotations

import os
import re
import shutil
import struct

from places import OUTPUT, ROOT


def size(path):
    """Width and height out of a PNG's header (PNG specification, IHDR)."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", data[16:24])


def test_the_picture_of_the_readme(opened, small):
    one = opened(small, viewport={"width": 1500, "height": 840}, device_scale_factor=1.25)
    page = one.page
    page.locator("#view .cell.state-refused").first.click()
    page.wait_for_selector("#panel:not([hidden])")
    page.mouse.move(0, 0)
    page.wait_for_timeout(300)
    one.picture("readme")
    fresh = OUTPUT / "readme.png"
    if os.environ.get("HARBORMASTER_SCREENSHOT"):
        shutil.copyfile(str(fresh), str(ROOT / os.environ["HARBORMASTER_SCREENSHOT"]))
    (link,) = re.findall(r"!\[[^\]]{30,}\]\((docs/images/[\w.-]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    committed = ROOT / link
    assert size(committed) == size(fresh) == (1875, 1050)
    assert committed.stat().st_size > 50000
