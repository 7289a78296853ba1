# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure parts of the facts beside their Python twins: the same words for the same input. Runs on mono, without Wine."""

from __future__ import annotations

import itertools
import random
import time
from pathlib import Path

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError
from ansible_collections.harbormaster.ports.plugins.module_utils._facts import dates, states
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Socket

from windows import rig

ENTRY = Path(__file__).resolve().parent / "entries" / "FactsEntry.cs"
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"]
CODES = "%AaBbCcDdeFGgHhIjklMmnpRrSsTtUuVWwXxYyZ"
FORMATS = ["%" + code for code in CODES] + ["%c", "%Y-%m-%dT%H:%M:%S", "a%%b %e.", "", "100 %%"]
BAD_FORMATS = ["%", "%Q", "%Y-%", "x%1"]


@pytest.fixture(scope="module")
def ask(tools, csharp):
    """Call one method of the entry with a value; what it answers."""
    app = rig.program(csharp, [*rig.utils(), ENTRY])

    def call(method, value, **environment):
        return rig.on_mono([app, "-", "FactsEntry." + method], value, timeout=60, LC_ALL="de_DE.UTF-8", **environment)

    return call


def python_date(form, seconds):
    try:
        return dates.parse(form)(seconds)
    except OptionError as error:
        return error.message


def moments():
    """Ends of years, where weeks are counted from the old or the new one, leap days, and any others."""
    turns = [time.mktime((year, 12, 28 + day, 23, 59, 59, 0, 0, 0)) for year in range(2000, 2030) for day in range(8)]
    chance = random.Random(7)
    return turns + [chance.uniform(86400, 2e9) for _index in range(60)] + [951782400, 1709164800]


@pytest.mark.parametrize("zone", ZONES)
def test_dates_are_the_same_in_every_code(ask, zone, monkeypatch):
    if not Path("/usr/share/zoneinfo", zone).exists():
        zone = "UTC"
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        cases = [{"format": form, "seconds": int(seconds)} for form in FORMATS for seconds in moments()]
        assert ask("Dates", cases, TZ=zone) == [python_date(case["format"], case["seconds"]) for case in cases]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_bad_formats_get_the_same_sentence(ask):
    cases = [{"format": form, "seconds": 0} for form in BAD_FORMATS]
    said = ask("Dates", cases)
    assert said == [python_date(case["format"], 0) for case in cases]
    assert all("date_uformat" in sentence for sentence in said)


def test_filters_are_the_same(ask):
    cases = [[word] for word in states.WINDOWS_STATES if word != "DeleteTCB"]
    cases += [["listen", " ESTABLISHED "], ["Listen", "Bound"], [], ["Listening"], ["Listen", "Nonsense"]]

    def python(words):
        try:
            return sorted(states.tcp_states(words))
        except OptionError as error:
            return error.message

    assert ask("Filters", cases) == [python(words) for words in cases]
    # The one state that Linux never shows.
    assert ask("Filters", [["DeleteTCB"]]) == [["DELETE_TCB"]]


def test_states_and_far_ends_are_the_same(ask):
    cases = [
        {
            "family": family,
            "address": address,
            "state": state,
            "remote_address": far,
            "remote_port": port,
            "v6only": only,
            "ss": ss,
        }
        for (family, address), state, (far, port), only, ss in itertools.product(
            [("ipv4", "0.0.0.0"), ("ipv4", "127.0.0.1"), ("ipv6", "::"), ("ipv6", "::1"), ("ipv6", "192.0.2.1")],
            [
                "LISTEN",
                "ESTABLISHED",
                "TIME_WAIT",
                "CLOSE_WAIT",
                "SYN_RECV",
                "FIN_WAIT1",
                "LAST_ACK",
                "CLOSE",
                "CLOSING",
                "BOUND",
            ],
            [("", 0), ("192.0.2.7", 443), ("2001:db8::7", 443)],
            [None, True, False],
            [True, False],
        )
    ]

    def python(case):
        row = Socket(
            "tcp",
            case["family"],
            case["address"],
            80,
            case["state"],
            case["remote_address"],
            case["remote_port"],
            v6only=case["v6only"],
        )
        return [states.state(row, case["ss"]), states.foreign_address(row, case["ss"])]

    assert ask("Ends", cases) == [python(case) for case in cases]
