# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""500 hosts with 60 listeners each: opening, searching and scrolling. The numbers are printed (pytest -s, or in the summary).

Test machines are shared and noisy, so the bounds are those of the promise (2 s) or far above what is seen on a quiet one,
and the best of a few runs counts. What does not depend on the machine is asserted too: how much of the page there is at a time.
"""

from __future__ import annotations

import json
import time

import pytest
from places import OUTPUT

RUNS = 5
# Milliseconds. An answer within 100 ms feels immediate.
OPENS, ANSWERS = 2000, 250


@pytest.fixture(scope="module")
def seen():
    """What was measured, for people: printed, and kept beside the pictures."""
    found = {}
    yield found
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "speed.json").write_text(json.dumps(found, indent=1) + "\n")
    print("\n" + "\n".join("%-44s %s" % pair for pair in found.items()))


def opening(browser, path):
    """Milliseconds until the page is ready: by the page's own clock, and by ours, with a new context each."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    try:
        page = context.new_page()
        page.goto("about:blank")
        began = time.monotonic()
        page.goto(path.as_uri(), wait_until="load")
        page.wait_for_selector("html[data-ready]")
        ours = (time.monotonic() - began) * 1000
        return page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"), ours
    finally:
        context.close()


def test_it_opens_in_less_than_two_seconds(browser, large, small, seen):
    document = json.loads(large.with_suffix(".json").read_text(encoding="utf-8"))
    assert len(document["hosts"]) == 500
    assert document["summary"]["listeners"] > 29000
    whole = [opening(browser, large) for _run in range(RUNS)]
    little = [opening(browser, small) for _run in range(RUNS)]
    seen["page, MB"] = round(large.stat().st_size / 1e6, 1)
    seen["listeners"] = document["summary"]["listeners"]
    seen["opens in ms (page's clock), best and worst"] = "%.0f %.0f" % (min(whole)[0], max(whole)[0])
    seen["opens in ms (with the browser's answer)"] = "%.0f %.0f" % (
        min(run[1] for run in whole),
        max(run[1] for run in whole),
    )
    seen["a page of 11 hosts, ms"] = "%.0f %.0f" % (min(little)[0], max(little)[0])
    assert min(run[1] for run in whole) < OPENS


# What this machine needs right now for a thousand plain elements.
PLAIN = """() => {
    const began = performance.now();
    const box = document.createElement('div');
    for (let index = 0; index < 1000; index += 1) {
        const one = document.createElement('div');
        one.textContent = `line ${index}`;
        one.className = 'cell';
        box.append(one);
    }
    document.body.append(box);
    box.getBoundingClientRect();
    box.remove();
    return performance.now() - began;
}"""


QUERIES = ["n", "ng", "ngi", "nginx", "nginx host:web04", "port:10014", "zzz", "svc-1 user:svc"]

# From the key to the frame in which the answer is painted.
TYPE = """async (query) => {
    const box = document.getElementById('search');
    box.value = query;
    const began = performance.now();
    box.dispatchEvent(new Event('input', { bubbles: true }));
    document.querySelector('#view .grid').getBoundingClientRect();
    return performance.now() - began;
}"""


@pytest.mark.parametrize("view", ["matrix", "listeners", "hosts"])
def test_it_filters_without_lag(opened, large, seen, view):
    page = opened(large).page
    page.click("#tab-" + view)
    # the first search makes the index
    first = page.evaluate(TYPE, "first")
    plain = [page.evaluate(PLAIN) for _run in range(RUNS)]
    best = {query: min(page.evaluate(TYPE, query) for _run in range(RUNS)) for query in ["", *QUERIES]}
    plain += [page.evaluate(PLAIN) for _run in range(RUNS)]
    seen["%s: first search, ms" % view] = round(first)
    seen["%s: slowest of %d searches, ms" % (view, len(best))] = round(max(best.values()))
    assert first < OPENS
    # or, where the machine is busy with others, not more than some thousands of plain elements take there and then
    assert max(best.values()) < max(ANSWERS, 10 * sorted(plain)[len(plain) // 2]), best
    page.evaluate(TYPE, "host:web001 nginx")
    assert "1 host" in page.inner_text("#status-line") or "listeners shown" in page.inner_text("#status-line")


STEPS = 30
SCROLL = """async (steps) => {
    const grid = document.querySelector('#view .grid');
    const times = [];
    for (let step = 1; step <= steps; step += 1) {
        grid.scrollTop = step * 397;
        grid.scrollLeft = step * 211;
        const began = performance.now();
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        times.push(performance.now() - began);
    }
    return times.sort((one, other) => one - other);
}"""


@pytest.mark.parametrize("compact", [False, True])
def test_it_scrolls(opened, large, seen, compact):
    """A step sideways and down, where nothing can be kept, beside a thousand plain elements in the same moment."""
    page = opened(large).page
    if compact:
        page.click("#compact")
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable")

    def busy():
        numbers = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
        return 1000 * sum(numbers[name] for name in ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration"))

    works, plain = [], []
    for _run in range(3):
        plain.append(page.evaluate(PLAIN))
        began = busy()
        times = page.evaluate(SCROLL, STEPS)
        works.append((busy() - began) / STEPS)
        plain.append(page.evaluate(PLAIN))
    name = "scrolling%s" % (", compact" if compact else "")
    seen["%s: work a step, best and worst ms" % name] = "%.1f %.1f" % (min(works), max(works))
    seen["%s: two frames, median ms" % name] = round(times[STEPS // 2])
    seen["%s: a thousand plain elements, best and worst ms" % name] = "%.1f %.1f" % (min(plain), max(plain))
    assert min(works) < 10 * sorted(plain)[len(plain) // 2]


def test_only_what_is_in_view_is_in_the_document(opened, large, small):
    """Not a matter of speed of the machine: elements do not grow with hosts and ports."""
    for view in ("matrix", "listeners", "conflicts", "hosts"):
        page = opened(large).page
        page.click("#tab-" + view)
        assert page.locator("#view [role=row]").count() < 60
        assert page.locator("#view .cell").count() < 1200
