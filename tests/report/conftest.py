# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Chromium that opens reports from file://, and reports that are written the way the action plugin writes them.

Pictures are left in tests/output/report. With CI=true a missing browser or axe-core is a failure (scripts/install-browser
installs both).
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "tests" / "output" / "report"
sys.path.insert(0, str(Path(__file__).resolve().parent))

import fleet  # noqa: E402
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import page as pages  # noqa: E402

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# No sandbox: the tests may run as root. Nothing but the report is opened, and nothing is asked of a network.
SWITCHES = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run", "--disable-extensions", "--font-render-hinting=none",
]  # fmt: skip


def lacking(what):
    """With CI=true a skip is a failure: tests/conftest.py sees to that."""
    pytest.skip("needs %s: scripts/install-browser" % what)


@pytest.fixture(scope="session")
def browser():
    """One Chromium for all tests."""
    found = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if found is None:
        lacking("Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def axe():
    """The text of the axe-core that scripts/install-browser pins."""
    version = re.search(r"^AXE=(\S+)$", (ROOT / "scripts" / "install-browser").read_text(), re.MULTILINE).group(1)
    path = ROOT / ".cache" / "axe-core" / version / "axe.min.js"
    if not path.is_file():
        lacking("axe-core")
    return path.read_text(encoding="utf-8")


def write(folder, document, name="report"):
    """Both files, as the action plugin has them."""
    text = pages.to_json(document)
    (folder / (name + ".json")).write_text(text, encoding="utf-8")
    path = folder / (name + ".html")
    path.write_text(pages.to_html(document, text), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Path of the page on which everything is once."""
    return write(tmp_path_factory.mktemp("small"), fleet.small())


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """Path of the page of 500 hosts with 60 listeners each."""
    return write(tmp_path_factory.mktemp("large"), fleet.large())


@pytest.fixture
def written(tmp_path):
    """A function that writes a document and gives the page's path."""
    return lambda document: write(tmp_path, document)


class Opened:
    """A page that is open, and what it has said and asked for."""

    def __init__(self, page):
        self.page = page
        self.said = []
        self.asked = []
        page.on("console", lambda message: self.said.append((message.type, message.text)))
        page.on("pageerror", lambda error: self.said.append(("error", str(error))))
        page.on("request", lambda request: self.asked.append(request.url))

    def open(self, path, fragment=""):
        self.page.goto(path.as_uri() + fragment)
        self.page.wait_for_selector("html[data-ready]")
        return self.page

    def picture(self, name):
        OUTPUT.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=str(OUTPUT / (name + ".png")))


@pytest.fixture
def opened(browser):
    """A function that opens a report; at the end no page may have complained or asked for anything else."""
    contexts, pages_open = [], []

    def open_report(path, fragment="", quiet=True, **options):
        options.setdefault("viewport", {"width": 1440, "height": 900})
        context = browser.new_context(**options)
        contexts.append(context)
        one = Opened(context.new_page())
        one.open(path, fragment)
        if quiet:
            pages_open.append(one)
        return one

    yield open_report
    for context in contexts:
        context.close()
    for one in pages_open:
        assert one.said == []
        assert {re.sub("[?#].*", "", url) for url in one.asked if not url.startswith(("data:", "blob:"))} <= {
            one.asked[0].partition("#")[0]
        }


@pytest.fixture
def page(opened, small):
    """The small report, open."""
    return opened(small).page


@pytest.fixture
def wide(opened, small):
    """The same on a screen that has room for all of it."""
    return opened(small, viewport={"width": 2700, "height": 2600}).page
