# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""axe-core on every view, light and dark, and the things that it can't see. The pictures of all of them are kept."""

from __future__ import annotations

import json

import pytest
from conftest import OUTPUT

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
VIEWS = ["matrix", "compact", "listeners", "conflicts", "changes", "hosts", "details", "host", "filtered", "empty"]


def prepare(page, view):
    """Bring the page to what is to be looked at."""
    if view in ("listeners", "conflicts", "changes", "hosts"):
        page.click("#tab-" + view)
    elif view == "compact":
        page.click("#compact")
    elif view == "details":
        page.locator("#view .cell.state-in_the_way").first.click()
        page.wait_for_selector("#panel:not([hidden])")
    elif view == "host":
        page.locator("#view [role=rowheader]").first.click()
        page.wait_for_selector("#panel:not([hidden])")
    elif view == "filtered":
        page.get_by_role("button", name="Conflicts", exact=True).click()
        page.fill("#search", "app")
    elif view == "empty":
        page.fill("#search", "nobody-is-called-so")
    # colours fade in
    page.wait_for_timeout(200)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(opened, small, axe, view, scheme):
    # by the developer's tools, past the page's own policy
    one = opened(small, color_scheme=scheme, bypass_csp=True)
    prepare(one.page, view)
    one.picture("%s-%s" % (view, scheme))
    one.page.evaluate(axe)
    found = one.page.evaluate("rules => axe.run(document, rules)", RULES)
    told = [
        (rule["impact"], rule["id"], [node["html"][:160] for node in rule["nodes"][:3]]) for rule in found["violations"]
    ]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / ("axe-%s-%s.json" % (view, scheme))).write_text(json.dumps(told, indent=1) + "\n")
    assert [rule for rule in told if rule[0] in ("serious", "critical")] == []


def test_axe_would_find_something(opened, small, axe):
    """The same run on a page that was made worse on purpose."""
    page = opened(small, bypass_csp=True).page
    page.evaluate("document.getElementById('search').removeAttribute('aria-label')")
    page.evaluate("document.getElementById('search').removeAttribute('placeholder')")
    page.evaluate("document.getElementById('compared').style.color = '#eee'")
    page.evaluate(axe)
    found = page.evaluate("rules => axe.run(document, rules)", RULES)
    assert {"label", "color-contrast"} <= {rule["id"] for rule in found["violations"]}


def test_what_a_screen_reader_is_told_of_a_grid(opened, large):
    page = opened(large).page
    grid = page.locator("#view .grid")
    assert int(grid.get_attribute("aria-rowcount")) == 501
    columns = int(grid.get_attribute("aria-colcount"))
    assert columns > 1000
    assert grid.get_attribute("aria-label").startswith("Matrix of 500 hosts and ")
    page.focus("#view .grid")
    page.keyboard.press("Control+End")
    active = page.locator("#" + grid.get_attribute("aria-activedescendant"))
    assert active.is_visible()
    assert int(active.get_attribute("aria-colindex")) == columns
    assert int(active.locator("xpath=..").get_attribute("aria-rowindex")) == 501


def test_how_much_is_shown_is_announced(opened, small):
    page = opened(small).page
    assert page.get_attribute("#status-line", "role") == "status"
    page.fill("#search", "nginx")
    assert page.inner_text("#status-line") == "4 hosts, 2 ports shown"


def test_what_is_missing_is_announced(opened, small):
    assert opened(small).page.get_attribute("#banners", "role") == "status"


def test_big_letters_do_not_hide_anything(opened, small):
    """Twice the size, as WCAG 1.4.4 has it."""
    one = opened(small, viewport={"width": 720, "height": 900}, device_scale_factor=2)
    one.page.wait_for_selector("#view .grid")
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 720
    one.picture("zoomed")
    assert one.page.locator("#view .grid").bounding_box()["height"] > 150


@pytest.mark.parametrize("deficiency", ["achromatopsia", "deuteranopia", "protanopia", "tritanopia"])
def test_pictures_for_people_who_see_other_colours(opened, small, deficiency):
    """For a look at them: the symbols, which test_page.py checks, do not depend on it."""
    one = opened(small)
    session = one.page.context.new_cdp_session(one.page)
    session.send("Emulation.setEmulatedVisionDeficiency", {"type": deficiency})
    one.picture("matrix-" + deficiency)
    assert (OUTPUT / ("matrix-%s.png" % deficiency)).stat().st_size > 20000


def test_it_works_with_forced_colours(opened, small):
    one = opened(small, forced_colors="active")
    one.picture("matrix-forced-colors")
    assert one.page.locator("#view .cell.state-refused").is_visible() or one.page.locator("#view .cell").count() > 20
