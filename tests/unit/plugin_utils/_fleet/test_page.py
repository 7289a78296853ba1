# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import hashlib
import html
import json
import re

import pytest
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import page

NASTY = "</script><script>alert(1)</script><!--\u2028\u2029&lt;'\"@@DATA@@ @@SCRIPT@@"


@pytest.fixture
def made(assemble, host, row):
    report = assemble(host("web1", row(80, "</script><script>x"), row(81, NASTY)), title="a <b> & @@SCRIPT@@")
    text = page.to_json(report)
    return report, text, page.to_html(report, text)


def block(text, attributes):
    """The text of the one element with these attributes."""
    (found,) = re.findall(r"<script%s>(.*?)</script>" % attributes, text, re.DOTALL)
    return found


def test_the_file_is_the_document_and_one_line_a_host(made):
    report, text, _unused = made
    assert json.loads(text) == report
    assert len([line for line in text.splitlines() if line.startswith('  {"name":')]) == 1


def test_the_page_holds_the_same_document(made):
    report, _unused, whole = made
    inside = block(whole, ' type="application/json" id="report"')
    assert json.loads(inside) == report
    assert not re.search("[<>&\u2028\u2029]", inside)


def test_nothing_that_a_host_says_is_markup(made):
    whole = made[2]
    assert len(re.findall("<script", whole)) == 2
    assert len(re.findall("</script", whole)) == 2
    assert "alert(1)</script>" not in whole


def test_what_is_put_in_is_not_looked_at_again(made):
    whole = made[2]
    assert (
        "@@DATA@@ @@SCRIPT@@"
        in json.loads(block(whole, ' type="application/json" id="report"'))["hosts"][0]["listeners"][1]["name"]
    )
    assert "<title>a &lt;b&gt; &amp; @@SCRIPT@@</title>" in whole


def test_its_policy_lets_only_its_own_script_and_style_run(made):
    whole = made[2]
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', whole)
    rules = dict(rule.split(" ", 1) for rule in html.unescape(policy).split("; "))
    digest = base64.b64encode(hashlib.sha256(block(whole, "").encode()).digest()).decode()
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'sha256-%s'" % digest
    assert "unsafe" not in policy
    assert whole.index("Content-Security-Policy") < whole.index("<style")


def test_it_is_one_file_that_loads_nothing(made):
    whole = made[2]
    outside = re.sub(r"<script.*?</script>", "", whole, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:,)|@import|url\(""", outside)
    assert not re.search(r"https?://(?!www\.gnu\.org/licenses)", whole)


@pytest.mark.parametrize("name", page.SCRIPTS)
def test_the_script_never_makes_markup_out_of_text(name):
    source = (page.SOURCES / name).read_text(encoding="utf-8")
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "fetch(",
        "XMLHttpRequest",
        "import(",
    ):
        assert word not in source
    assert "</" not in source
    assert "<!--" not in source


def test_every_file_of_the_page_is_in_it():
    assert {path.name for path in page.SOURCES.iterdir()} == {*page.SCRIPTS, *page.STYLES, "page.html"}


@pytest.mark.parametrize("path", sorted(page.SOURCES.iterdir()), ids=lambda path: path.name)
def test_files_of_the_page_have_their_header_and_a_size_to_be_read(path):
    text = path.read_text(encoding="utf-8")
    assert "SPDX-License-" + "Identifier: GPL-3.0-or-later" in text[:400]
    assert len(text.splitlines()) <= 430
    assert "\r" not in text
