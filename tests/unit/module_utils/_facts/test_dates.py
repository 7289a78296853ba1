# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError
from ansible_collections.harbormaster.ports.plugins.module_utils._facts import dates

CODES = "AaBbCDFGHIMRSTUVWXYabcdeghjklmnprstuwxy%"


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("%c", "Thu Feb  2 13:29:45 2017"),
        ("%Y", "2017"),
        ("%Y-%m-%d", "2017-02-02"),
        ("%A, %d. %B", "Thursday, 02. February"),
        ("%s", "1486038585"),
        ("%Z", "+01"),
        ("100%%", "100%"),
        ("no code", "no code"),
        ("", ""),
        ("é%y", "é17"),
    ],
)
def test_a_moment(text, shown):
    assert dates.parse(text)(1486038585.4) == shown


def test_the_words_are_those_of_the_c_locale_at_any_moment():
    """strftime of a Python that has not set its locale is the oracle, week numbers and turns of years included."""
    for epoch in [random.Random(7).randrange(0, 4 * 10**9) for _unused in range(400)] + [1483228800 - 3600, 1609455599]:
        for code in CODES:
            assert dates.parse("%" + code)(epoch) == time.strftime("%" + code, time.localtime(epoch)), (code, epoch)


@pytest.mark.parametrize(
    ("zone", "offset"),
    [("America/St_Johns", "-03"), ("Asia/Kolkata", "+05"), ("UTC", "+00"), ("America/Los_Angeles", "-08")],
)
def test_offset_in_hours(monkeypatch, zone, offset):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    assert dates.parse("%Z")(1486038585) == offset


@pytest.mark.parametrize("text", ["%", "%Q", "%Y-%", "%E", "%é", "%%%"])
def test_a_code_that_there_is_not(text):
    with pytest.raises(OptionError) as caught:
        dates.parse(text)
    assert caught.value.message.startswith("date_uformat: ")
    assert text in caught.value.message


def test_iso():
    assert dates.iso(1486038585.9) == "2017-02-02T12:29:45Z"
