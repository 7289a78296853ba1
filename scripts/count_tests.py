# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Usage: python scripts/count_tests.py DIRECTORY. Adds up the JUnit reports in it; fails when one failed or none ran."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def main(directory: str) -> int:
    passed = failed = 0
    for path in sorted(Path(directory).glob("*.xml")):
        suites = ElementTree.parse(path).getroot().iter("testsuite")
        counts = [[int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")] for suite in suites]
        tests, failures, errors, skipped = (sum(column) for column in zip(*counts))
        bad = failures + errors
        print("%s: %d tests ran, %d failed, %d skipped" % (path.stem, tests - skipped, bad, skipped))
        passed += tests - skipped - bad
        failed += bad
    print("Tests that ran: %d" % (passed + failed))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
