# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test of the collection stands on: its own import path, and skips that can't hide.

The code imports itself as ``ansible_collections.harbormaster.ports``, whatever directory the checkout is in. So a
link with that name is made under the ignored ``.cache/`` and put on the import path.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAME = Path("ansible_collections", "harbormaster", "ports")
BY_DESIGN = "by design: "


def collections_path() -> Path:
    """The directory that holds ``ansible_collections``, for sys.path and for ANSIBLE_COLLECTIONS_PATH."""
    if ROOT.parts[-3:] == NAME.parts:
        return ROOT.parents[2]
    path = ROOT / ".cache" / "collections"
    link = path / NAME
    link.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Relative, so that a checkout that is moved stays whole.
        link.symlink_to(os.path.relpath(ROOT, link.parent), target_is_directory=True)
    except FileExistsError:
        pass  # an earlier run, or another worker of this one
    return path


COLLECTIONS_PATH = collections_path()
if str(COLLECTIONS_PATH) not in sys.path:
    sys.path.insert(0, str(COLLECTIONS_PATH))
os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(COLLECTIONS_PATH)
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / ".cache" / "hypothesis"))


def _skip_is_failure(report, what):
    """With CI=true a skipped test is a failed one, unless its reason begins with ``by design:``."""
    if not report.skipped or hasattr(report, "wasxfail") or os.environ.get("CI") != "true":
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if BY_DESIGN not in reason:
        report.outcome = "failed"
        report.longrepr = "%s was skipped, which counts as a failure when CI=true. %s" % (what, reason)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    _skip_is_failure(outcome.get_result(), item.nodeid)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    outcome = yield
    _skip_is_failure(outcome.get_result(), collector.nodeid)
