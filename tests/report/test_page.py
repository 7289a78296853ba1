# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page in a real Chromium: what people see and do on it. Every test also fails on any message of the console."""

from __future__ import annotations

import json
import re

import fleets
import pytest
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import document

SHOWN = "#view .grid:not([hidden])"


def words(locator):
    """What each of the elements says, also to those who only hear it."""
    return [" ".join(text.split()) for text in locator.all_text_contents()]


def hosts(page):
    return words(page.locator(SHOWN + " [role=rowheader] .words"))


def rows(page):
    """Every row that is in view, as the texts of its cells."""
    return page.locator(SHOWN + " .grid-body [role=row]").evaluate_all(
        "rows => rows.map(row => [...row.children].map(cell => cell.textContent.trim().replace(/\\s+/g, ' ')))"
    )


def cell(page, host, port):
    """The cell of the matrix for a host and a port such as 80/tcp."""
    number, _slash, protocol = port.partition("/")
    head = page.locator(SHOWN + " [role=columnheader]").filter(has_text=number).filter(has_text=protocol)
    column = next(one.get_attribute("aria-colindex") for one in head.all() if words(one)[0] == number + protocol)
    line = page.locator(SHOWN + " .grid-body [role=row]").filter(has=page.locator(".words", has_text=host))
    return line.locator("[aria-colindex='%s']" % column)


def show(page, view):
    page.click("#tab-" + view)


def details(page):
    page.wait_for_selector("#panel:not([hidden])")
    return " ".join(page.inner_text("#panel").split())


# What is there when it opens ----------------------------------------------------------------------------------------------


def test_the_head_says_what_is_missing_before_all_else(page):
    assert page.title() == "Ports of the shop"
    tiles = words(page.locator(".tile"))
    assert tiles == [
        "8 of 11hosts seen3 missing", "70listeners20 ports", "7conflictswith the plan", "6changes+2 \u22121 ≠2",
        "1unknown owner", "1in ephemeral range",
    ]  # fmt: skip
    (banner,) = words(page.locator(".banner"))
    assert banner.startswith("Partial3 of 11 hosts are missing: 1 failed, 1 unreachable, 1 not run.")
    assert page.get_attribute("html", "data-complete") == "false"
    assert "Compared with the report of 2026-02-23 09:30:00 UTC. 2 hosts are new: queue1, queue2." in page.inner_text(
        "#compared"
    )


def test_hosts_that_were_not_seen_are_first_and_have_no_cells(page):
    assert hosts(page)[:3] == ["db2", "queue1", "queue2"]
    for row, says in zip(
        rows(page), ("failed: The module", "unreachable: Failed to connect", "not run: it is not in this run")
    ):
        assert len(row) == 2
        assert row[1].startswith(says)


def test_a_whole_fleet_has_no_banner(opened, written):
    report = fleets.report([document.Given("a", facts=fleets.facts(fleets.row("sshd", "root", "ssh.service", 22)))])
    page = opened(written(report)).page
    assert page.get_attribute("html", "data-complete") == "true"
    assert page.locator(".banner").count() == 0
    assert words(page.locator(".tile"))[:4] == [
        "1host seen",
        "1listener1 port",
        "\u2013no plannothing to compare",
        "\u2013no baselinenothing to compare",
    ]


@pytest.mark.parametrize(
    "status", [{"unreachable": True, "msg": "No route to host"}, {"failed": True, "msg": "no Python"}, None]
)
def test_a_fleet_that_nobody_saw_looks_like_one(opened, written, status):
    page = opened(written(fleets.report([document.Given("a", facts=status, active=False)]))).page
    assert "1 of 1 host is missing" in page.inner_text("#banners")
    assert hosts(page) == ["a"]
    show(page, "listeners")
    assert page.inner_text("#empty-text") == "Nobody listens on the hosts that were seen."


def test_no_hosts_at_all(opened, written):
    page = opened(written(fleets.report([]))).page
    assert "Nothing is known of any host" in page.inner_text("#banners")
    for view, says in (("matrix", "no hosts"), ("conflicts", "without a plan"), ("changes", "without a baseline")):
        show(page, view)
        assert says in page.inner_text("#empty-text")


def test_problems_and_notices_are_banners(opened, written):
    facts = fleets.facts(fleets.row("sshd", "root", "ssh.service", 22))
    given = document.Given("a", facts=facts, plan_error="plan[0].port: '80-' is not usable")
    frame = document.Frame(fleets.GENERATED)
    report = document.assemble(frame, [given], None, [{"code": "no_baseline", "text": "baseline: there is no file x"}])
    page = opened(written(report)).page
    told = words(page.locator(".banner"))
    assert told == ["Partial1 host has problems: see the messages of the hosts.", "Notebaseline: there is no file x"]
    page.locator("[role=rowheader]").first.click()
    assert "its plan is not usable: plan[0].port: '80-'" in details(page)


# Cells ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "port", "state", "says"),
    [
        ("web1", "80/tcp", "planned", "✓nginx, as planned, listening"),
        ("web1", "22/tcp", "held", "•sshd, listening"),
        ("web2", "80/tcp", "in_the_way", "!≠apache2, in the way of the plan, another owner than before, listening"),
        ("web2", "8000/tcp", "new", "+python3, new, listening"),
        ("app2", "8000/tcp", "gone", "\u2212gone, gone"),
        ("app1", "9007/tcp", "refused", "✖node, in the way, and must not be stopped, listening"),
        ("app1", "9009/tcp", "unknown_owner", "⁇unknown, in the way, owner not known, owner not known, listening"),
        ("app1", "41233/tcp", "ephemeral", "~java, on an ephemeral port, listening"),
        ("db1", "5432/tcp", "addresses_changed", "⇄postgres, other addresses than before, listening"),
        ("db1", "2049/tcp", "held", "•nfsd, listening"),
    ],
)
def test_each_state_has_a_symbol_a_word_and_a_colour(wide, host, port, state, says):
    found = cell(wide, host, port)
    text, _comma, more = says.partition(", ")
    assert words(found) == [text]
    assert found.get_attribute("aria-label") == "%s, %s" % (re.sub(r"^[^\w]+", "", text), more)
    assert "state-" + state in found.get_attribute("class")


def test_no_two_states_share_their_symbol():
    from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import page as pages

    symbols = re.findall(r"key: '\w+', symbol: '(.)'", (pages.SOURCES / "model.js").read_text(encoding="utf-8"))
    assert len(symbols) == len(set(symbols)) == 12


def test_a_planned_port_that_nobody_has_is_a_column(opened, written):
    given = document.Given("a", facts=fleets.facts(), items=fleets.items([{"port": "443/tcp", "owner": ["nginx"]}]))
    page = opened(written(fleets.report([given]))).page
    assert words(cell(page, "a", "443/tcp")) == ["○nobody yet"]
    assert cell(page, "a", "443/tcp").get_attribute("aria-label") == "nobody yet, planned, nobody there yet"
    assert "planned" in page.locator("[role=columnheader]").nth(1).get_attribute("class")


# Details ----------------------------------------------------------------------------------------------------------------


def test_details_of_a_conflict(page):
    cell(page, "web2", "80/tcp").click()
    told = details(page)
    for part in (
        "web2 · 80/tcp", "Plan: held by nginx", "! In the way", "Found apache2 (root, apache2.service)", "Judged by comparing the facts",
        "≠ Another owner", "Before nginx (root, nginx.service)", "Now apache2 (root, apache2.service)", "0.0.0.0:80/tcp",
        "Process apache2 (pid 812)", "User root", "Service apache2.service", "Since 2026-02-20 06:12:44 UTC (10 d 3 h)",
    ):  # fmt: skip
        assert part in told


def test_details_of_every_sharer_and_of_a_container(wide):
    cell(wide, "db1", "5432/tcp").click()
    wide.click("#panel summary")
    assert details(wide).count("Process postgres (pid ") == 5
    assert "Addresses before 127.0.0.1" in details(wide)
    cell(wide, "app3", "8080/tcp").click()
    assert "Container docker shop-canary 5f2c0e0d7a99" in details(wide)


def test_details_of_an_unknown_owner_say_why(page):
    cell(page, "app1", "9009/tcp").click()
    assert "only root sees processes of other users: become helps" in details(page)


def test_details_of_an_ephemeral_port(wide):
    cell(wide, "app1", "41233/tcp").click()
    assert "while the server is down, one may take it" in details(wide)


def test_details_of_a_host(page):
    page.locator("[role=rowheader]", has_text="queue1").click()
    told = details(page)
    assert "unreachable Failed to connect to the host via ssh: No route to host" in told
    assert "Listeners not known" in told
    page.locator("[role=rowheader]", has_text="app1").click()
    assert "Ephemeral ports 32768-60999" in details(page)


def test_commands_are_shown_where_they_were_asked_for(opened, written):
    row = fleets.row("java", "shop", None, 8080, command="java -jar shop.jar --password=hunter2", exe="/usr/bin/java")
    for asked in (False, True):
        page = opened(written(fleets.report([document.Given("a", facts=fleets.facts(row))], commands=asked))).page
        cell(page, "a", "8080/tcp").click()
        assert ("Command java -jar shop.jar --password=" in details(page)) is asked
        assert "hunter2" not in page.content()
        assert "Executable /usr/bin/java" in details(page)


# Search, filters, order ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("nginx", {"web1", "web2", "web3", "web4"}),  # web2 had it
        ("owner:nginx", {"web1", "web3", "web4"}),
        ("APACHE", {"web2"}),
        ("443", {"web1", "web2", "web3", "web4"}),
        ("port:44", set()),
        ("port:9005-9010", {"app1"}),
        ("9000-9010", {"web1", "web2", "web3", "web4", "app1"}),
        ("53/udp host:db", {"db1"}),
        ("user:postgres", {"db1"}),
        ("service:shop.service", {"app1", "app2", "app3"}),
        ("container:canary", {"app3"}),
        ("address:127.0.0.53 group:dublin", {"app3", "db1"}),
        ("status:unreachable", {"queue1"}),
        ("queue", {"queue1", "queue2"}),
        ("no route", {"queue1"}),
        ("telnetd 23", {"app2"}),
        ("port:x", set()),
        ("<b>", set()),
        ("((", set()),
    ],
)
def test_search(page, query, expected):
    page.fill("#search", query)
    assert set(hosts(page)) == expected
    assert page.is_visible("#empty") is (not expected)
    page.click("#empty-clear" if not expected else "#clear")
    assert len(hosts(page)) == 11
    assert page.evaluate("document.activeElement.id") == "search"


def test_a_search_leaves_only_the_columns_that_it_is_about(page):
    page.fill("#search", "port:80")
    heads = words(page.locator("[role=columnheader] .head-title"))
    assert heads == ["Host", "80"]
    assert page.inner_text("#status-line") == "4 hosts, 1 port shown"


@pytest.mark.parametrize(
    ("chip", "expected"),
    [
        ("Conflicts", {"app1", "app2", "app3", "web2"}),
        ("Changes", {"app2", "db1", "web2"}),
        ("Unknown owner", {"app1"}),
        ("Ephemeral range", {"app1"}),
    ],
)
def test_chips(page, chip, expected):
    button = page.get_by_role("button", name=chip, exact=True)
    button.click()
    assert set(hosts(page)) == expected
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert len(hosts(page)) == 11


def test_two_chips_show_both(page):
    page.get_by_role("button", name="Unknown owner", exact=True).click()
    page.get_by_role("button", name="Changes", exact=True).click()
    assert set(hosts(page)) == {"app1", "app2", "db1", "web2"}


def test_beyond_loopback(page):
    show(page, "listeners")
    page.get_by_role("button", name="Beyond loopback").click()
    assert not [row for row in rows(page) if row[5].startswith("127.")]
    assert [row for row in rows(page) if row[5] == "[::]"]


@pytest.mark.parametrize(
    ("choice", "value", "expected"),
    [("protocol", "udp", 8), ("group", "dublin", 3), ("status", "failed", 1), ("status", "ok", 8)],
)
def test_choices(page, choice, value, expected):
    page.select_option("#" + choice, value)
    assert len(hosts(page)) == expected


def test_orders_of_the_matrix(page):
    page.select_option("#hosts", "name")
    assert hosts(page)[:4] == ["app1", "app2", "app3", "db1"]
    page.select_option("#hosts", "listeners")
    assert hosts(page)[0] == "app1"
    page.select_option("#ports", "number")
    assert words(page.locator("[role=columnheader] .head-title"))[1:4] == ["22", "23", "53"]
    page.select_option("#ports", "hosts")
    assert words(page.locator("[role=columnheader] .head-title"))[1] == "22"


def test_hosts_in_the_order_of_one_port(page):
    page.select_option("#ports", "number")
    head = page.locator("[role=columnheader]", has_text="80tcp").first
    head.click()
    assert hosts(page)[:4] == ["web2", "web1", "web3", "web4"]
    assert head.get_attribute("aria-sort") == "ascending"
    head.click()
    assert hosts(page)[:4] == ["web1", "web3", "web4", "web2"]


@pytest.mark.parametrize("view", ["listeners", "conflicts", "changes", "hosts"])
def test_every_column_sorts_both_ways(wide, view):
    page = wide
    show(page, view)
    for index in range(page.locator("[role=columnheader]").count()):
        orders = []
        for direction in ("ascending", "descending"):
            page.locator("[role=columnheader]").nth(index).click()
            assert page.locator("[role=columnheader]").nth(index).get_attribute("aria-sort") == direction
            orders.append([row[index] for row in rows(page)])
        assert sorted(orders[0]) == sorted(orders[1])
        known = [value for value in orders[0] if value]
        if len(set(known)) > 1:
            assert orders[0] != orders[1], index


def test_numbers_are_sorted_as_numbers(page):
    show(page, "listeners")
    page.locator("[role=columnheader]", has_text="Port").click()
    ports = [int(row[1].partition("/")[0]) for row in rows(page)]
    assert ports == sorted(ports)
    assert ports[0] == 22


# Views ------------------------------------------------------------------------------------------------------------------


def test_conflicts_come_worst_first(page):
    show(page, "conflicts")
    assert [row[2] for row in rows(page)][:3] == ["✖Must not be stopped", "⁇Owner not known", "!In the way"]
    assert page.inner_text("#status-line") == "7 conflicts shown"
    page.locator(SHOWN + " .grid-body [role=row]").first.click()
    assert "app1 · 9007/tcp" in details(page)


def test_changes_since_the_baseline(page):
    show(page, "changes")
    seen = {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows(page)}
    assert seen == {
        ("web2", "80/tcp"): ("≠Another owner", "nginx (root, nginx.service)", "apache2 (root, apache2.service)"),
        ("web2", "443/tcp"): ("≠Another owner", "nginx (root, nginx.service)", "apache2 (root, apache2.service)"),
        ("web2", "8000/tcp"): ("+New", "", "python3 (deploy)"),
        ("app2", "23/tcp"): ("+New", "", "telnetd (root, inetd.service)"),
        ("app2", "8000/tcp"): ("\u2212Gone", "gunicorn (api, api.service)", ""),
        ("db1", "5432/tcp"): ("⇄Other addresses", "postgres (postgres, postgresql@15-main.service)", "postgres (postgres, postgresql@15-main.service)"),
    }  # fmt: skip


def test_tiles_lead_to_what_they_count(page):
    page.click("[data-tile=conflicts]")
    assert len(rows(page)) == 7
    page.click("[data-tile=unknown]")
    assert [row[:2] for row in rows(page)] == [["app1", "9009/tcp"]]
    page.click("[data-tile=hosts]")
    assert len(rows(page)) == 11
    page.click("#banners button")
    assert [row[1] for row in rows(page)][:3] == ["failed", "unreachable", "not run"]


def test_the_address_keeps_what_is_looked_at(opened, small):
    page = opened(small, "#view=listeners&q=owner%3Anginx").page
    assert page.input_value("#search") == "owner:nginx"
    assert {row[2] for row in rows(page)} == {"✓nginx"}
    page.fill("#search", "sshd")
    assert "q=sshd" in page.evaluate("location.hash")


@pytest.mark.parametrize(
    "fragment",
    ["#view=__proto__&q=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", "#view=nothing", "#%", "#" + "q=" + "x" * 5000],
)
def test_an_odd_address_is_text(opened, small, fragment):
    page = opened(small, fragment).page
    assert page.get_attribute("html", "data-view") == "matrix"
    assert page.locator("img").count() == 0


def test_compact_cells_keep_their_words_for_those_who_listen(page):
    page.click("#compact")
    found = cell(page, "web1", "80/tcp")
    assert found.bounding_box()["width"] < 60
    assert words(found) == ["✓"]
    assert found.get_attribute("aria-label") == "nginx, as planned, listening"


# Untrusted text -----------------------------------------------------------------------------------------------------------

NAMES = [
    "<script>window.hacked = 1</script>", "</script><script>window.hacked = 1</script>", "<img src=x onerror='window.hacked=1'>",
    "\"><svg onload=window.hacked=1>", "&lt;b&gt;", "javascript:window.hacked=1", "${window.hacked=1}", "__proto__", "constructor", "toString",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_process_may_call_itself_anything(opened, written, name):
    row = fleets.row(name, name, name, 8080, container={"engine": name, "id": name, "name": name})
    other = {"failed": True, "msg": name}
    given = [
        document.Given(name, groups=(name,), facts=fleets.facts(row), items=fleets.items([8080])),
        document.Given("b", facts=other),
    ]
    page = opened(written(fleets.report(given, title=name))).page
    assert page.title() == name
    assert name in cell(page, name, "8080/tcp").inner_text()
    cell(page, name, "8080/tcp").click()
    assert "Process %s (pid 812)" % name in details(page)
    for view in ("listeners", "conflicts", "changes", "hosts"):
        show(page, view)
    page.fill("#search", name)
    assert page.evaluate("typeof window.hacked") == "undefined"
    assert page.evaluate("document.scripts.length") == 2
    assert page.locator("img, svg, iframe, a").count() == 0


TURNED = "a\u202egnp.exe\u2066\u200b"


def test_characters_that_turn_the_reading_are_codes(opened, written):
    report = fleets.report([document.Given("h", facts=fleets.facts(fleets.row(TURNED, "x", None, 80)))])
    page = opened(written(report)).page
    assert "a\\u202egnp.exe\\u2066" in cell(page, "h", "80/tcp").inner_text()


@pytest.mark.parametrize("name", [TURNED, "a\u2028b\u2029c", "a\x1b[2Jb\x07", "</script><!-- <script>"])
def test_a_document_that_somebody_else_wrote_is_shown_as_text_too(opened, written, name):
    """The page does not rely on the report's maker having made names printable."""
    report = fleets.report([document.Given("h", facts=fleets.facts(fleets.row("x", "x", None, 80)))])
    report["hosts"][0]["listeners"][0]["name"] = name
    report["hosts"][0]["name"] = name
    page = opened(written(report)).page
    page.locator("[role=gridcell]").first.click()
    shown = page.evaluate("document.body.innerText")
    assert not any(letter in shown for letter in "\u202e\u2066\u200b\u2028\u2029\x1b\x07")
    assert page.evaluate("document.scripts.length") == 2


def test_the_policy_stops_a_script_that_is_not_its_own(opened, small):
    one = opened(small, quiet=False)
    one.page.evaluate("""() => {
        const script = document.createElement('script');
        try { script.textContent = 'window.hacked = 1'; } catch (error) { window.refused = error.name; }
        document.body.append(script);
    }""")
    assert one.page.evaluate("typeof window.hacked") == "undefined"
    assert (
        one.page.evaluate(
            "() => { try { document.body.innerHTML = '<b>'; return 'taken'; } catch (error) { return error.name; } }"
        )
        == "TypeError"
    )
    assert one.page.evaluate("fetch('data:text/plain,x').then(() => 'fetched', () => 'refused')") == "refused"
    assert any("Content Security Policy" in text for _kind, text in one.said)


# Keyboard -----------------------------------------------------------------------------------------------------------------


def active(page):
    return page.evaluate(
        "document.getElementById(document.activeElement.getAttribute('aria-activedescendant')).textContent"
    )


def test_the_grid_by_keyboard(page):
    page.focus(SHOWN)
    assert active(page).startswith("Host")
    page.keyboard.press("ArrowDown")
    assert "db2" in active(page)
    for _step in range(4):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert "apache2" in active(page)
    page.keyboard.press("Enter")
    assert "web2 · 80/tcp" in details(page)
    assert page.evaluate("document.activeElement.id") == "panel-title"
    page.keyboard.press("Escape")
    assert page.is_hidden("#panel")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "grid"
    assert "apache2" in active(page)


def test_an_empty_place_is_a_place_too(page):
    page.focus(SHOWN)
    for key in ("Control+Home", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert active(page) == "nobody"
    page.keyboard.press("Enter")
    assert page.is_hidden("#panel")
    page.keyboard.press("ArrowLeft")
    assert active(page).startswith("app1")
    assert page.locator(".nobody").count() == 0


def test_the_ends_of_the_grid(opened, large):
    page = opened(large).page
    page.focus(SHOWN)
    page.keyboard.press("Control+End")
    place = "document.activeElement.getAttribute('aria-activedescendant').split('-').slice(1).map(Number)"
    columns = int(page.get_attribute(SHOWN, "aria-colcount"))
    assert page.evaluate(place) == [500, columns - 1]
    page.keyboard.press("Control+Home")
    assert page.evaluate(place) == [1, 0]
    page.keyboard.press("PageDown")
    row, column = page.evaluate(place)
    assert row > 5
    assert column == 0
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(place)[1] == columns - 1


def test_sorting_by_keyboard(page):
    show(page, "listeners")
    page.focus(SHOWN)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator("[role=columnheader]").nth(1).get_attribute("aria-sort") == "ascending"
    page.keyboard.press(" ")
    assert page.locator("[role=columnheader]").nth(1).get_attribute("aria-sort") == "descending"


def test_tabs_by_keyboard(page):
    page.focus("#tab-matrix")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-listeners"
    assert page.get_attribute("#tab-listeners", "aria-selected") == "true"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute("#tab-hosts", "aria-selected") == "true"
    assert page.get_attribute("#view", "aria-labelledby") == "tab-hosts"


def test_a_slash_begins_a_search(page):
    page.keyboard.press("/")
    page.keyboard.type("a/b")
    assert page.input_value("#search") == "a/b"


def test_everything_can_be_reached_by_tab(page):
    seen = set()
    for _step in range(40):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate(
                "document.activeElement.id || document.activeElement.getAttribute('role') || document.activeElement.textContent"
            )
        )
    assert {
        "theme",
        "tab-matrix",
        "search",
        "protocol",
        "group",
        "status",
        "hosts",
        "ports",
        "compact",
        "grid",
        "Show hosts",
    } <= seen


# Light, dark, paper ---------------------------------------------------------------------------------------------------------


def brightness(page):
    channels = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    return sum(channels) / 3


def test_dark_where_the_system_is(opened, small):
    assert brightness(opened(small, color_scheme="light").page) > 200
    assert brightness(opened(small, color_scheme="dark").page) < 60


@pytest.mark.parametrize(("scheme", "choice"), [("light", "dark"), ("dark", "light")])
def test_the_switch_beats_the_system_and_is_kept(opened, small, scheme, choice):
    one = opened(small, color_scheme=scheme)
    before = brightness(one.page)
    one.page.select_option("#theme", choice)
    assert abs(brightness(one.page) - before) > 100
    one.open(small)
    assert one.page.input_value("#theme") == choice
    one.page.select_option("#theme", "auto")
    assert brightness(one.page) == before


def test_paper_has_everything_and_no_controls(opened, small):
    one = opened(small, color_scheme="dark")
    page = one.page
    page.emulate_media(media="print", color_scheme="dark")
    page.wait_for_selector("#paper table")
    assert brightness(page) == 255
    assert page.is_hidden("main")
    assert page.is_visible(".banner")
    heads = page.locator("#paper h2").all_inner_texts()
    assert heads == [
        "Hosts that are missing or partly seen (3)",
        "Conflicts with the plan (7)",
        "Changes since the baseline (6)",
        "Listeners (70)",
    ]
    assert page.locator("#paper tbody tr").count() == 3 + 7 + 6 + 70
    one.picture("print")
    page.emulate_media(media="screen")
    page.wait_for_selector("#paper table", state="detached")


def test_paper_has_what_the_filter_has_left(page):
    page.fill("#search", "host:web2")
    page.emulate_media(media="print")
    page.wait_for_selector("#paper table")
    assert page.locator("#paper h2").all_inner_texts()[1:] == [
        "Conflicts with the plan (2)",
        "Changes since the baseline (3)",
        "Listeners (9)",
    ]


def test_a_pdf_comes_out(page, tmp_path):
    data = page.pdf()
    assert data.startswith(b"%PDF")
    assert len(data) > 20000


def test_a_narrow_screen(opened, small):
    one = opened(small, viewport={"width": 390, "height": 800})
    cell(one.page, "web2", "80/tcp").click()
    assert one.page.locator("#panel").bounding_box()["width"] >= 380
    one.picture("narrow")
    one.page.keyboard.press("Escape")
    assert one.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_scripts_it_says_what_it_knows(opened, small, browser):
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(small.as_uri())
        told = page.inner_text("noscript, body")
        assert "PARTIAL, 1 failed, 1 unreachable, 1 not run of 11 hosts" in told
    finally:
        context.close()


def test_the_data_on_the_page_is_the_file_beside_it(page, small):
    beside = json.loads(small.with_suffix(".json").read_text(encoding="utf-8"))
    assert page.evaluate("JSON.parse(document.getElementById('report').textContent)") == beside
