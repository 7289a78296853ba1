# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole names, never parts of them."""

from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._decide import matching
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Process, Unit

JAVA = Process(100, "java", exe="/usr/lib/jvm/bin/java", user="app", uid=1001)
NAMED = Process(101, "(sd-pam)", exe="/opt/a b/server (deleted)", unit=Unit("shop@eu-1.service"))
BOXED = Process(102, "node", container=Container("docker", "5f2c0e0d7a11", "web"))
BARE = Process(103, "", exe=None)


@pytest.mark.parametrize(
    ("process", "pattern", "answer"),
    [
        (JAVA, "java", True),
        (JAVA, "jav", False),
        (JAVA, "ava", False),
        (JAVA, "jav?", True),
        (JAVA, "j*", True),
        (JAVA, "[jl]ava", True),
        (JAVA, "JAVA", False),
        (JAVA, "*", True),
        (JAVA, "/usr/lib/jvm/bin/java", True),
        (JAVA, "/usr/*/java", True),
        (JAVA, "*/java", True),
        (JAVA, "bin/java", False),
        (JAVA, "/usr/lib/jvm/bin", False),
        (JAVA, "app", False),
        (JAVA, "100", False),
        (NAMED, "server", True),
        (NAMED, "server (deleted)", False),
        (NAMED, "/opt/a b/server", True),
        (NAMED, "(sd-pam)", True),
        (NAMED, "shop@eu-1.service", True),
        (NAMED, "shop@eu-1", True),
        (NAMED, "shop@.service", True),
        (NAMED, "shop@", True),
        (NAMED, "shop", True),
        (NAMED, "eu-1", False),
        (NAMED, "service", False),
        (BOXED, "web", True),
        (BOXED, "5f2c0e0d7a11", True),
        (BOXED, "5f2c", False),
        (BOXED, "docker", False),
        (BARE, "", False),
        (BARE, "*", True),
        (BARE, "?*", False),
        (BARE, "*/*", False),
        (None, "*", True),
        (None, "java", False),
        (None, "**", False),
    ],
)
def test_a_pattern_means_a_process(process, pattern, answer):
    assert matching.matches(process, [pattern]) is answer


def test_one_of_several_patterns_is_enough_and_none_of_none():
    assert matching.matches(JAVA, ["nginx", "java"])
    assert not matching.matches(JAVA, [])


@pytest.mark.parametrize(
    ("unit", "names"),
    [
        ("nginx.service", {"nginx.service", "nginx"}),
        ("a.b.service", {"a.b.service", "a.b"}),
        ("getty@tty1.service", {"getty@tty1.service", "getty@tty1", "getty@.service", "getty@", "getty"}),
        ("strange", {"strange"}),
    ],
)
def test_names_of_a_unit(unit, names):
    assert matching.unit_names(unit) == names


@pytest.mark.parametrize(
    ("process", "accounts", "answer"),
    [
        (JAVA, None, True),
        (JAVA, ["app"], True),
        (JAVA, ["1001"], True),
        (JAVA, ["web", "app"], True),
        (JAVA, ["ap"], False),
        (JAVA, ["100"], False),
        (JAVA, ["a*"], True),
        (BARE, ["app"], False),
        (None, ["app"], False),
        (None, None, True),
    ],
)
def test_accounts(process, accounts, answer):
    assert matching.runs_as(process, accounts) is answer


def test_root_is_an_account_by_its_number_too():
    assert matching.runs_as(Process(1, "init", uid=0), ["0"])


def test_first_entry_of_a_table():
    assert matching.protecting(JAVA, ("nginx", "ja*", "java")) == "ja*"
    assert matching.protecting(JAVA, ("nginx",)) is None


def test_a_name_that_the_kernel_cut_spares_and_never_condemns():
    script = Process(7, "longname-server", exe="/usr/bin/python3.11")
    whole = "longname-server-with-a-tail.py"
    assert matching.protecting(script, (whole,)) == whole
    assert matching.matches(script, (whole,), cut=True)
    assert not matching.matches(script, (whole,))
    assert not matching.matches(Process(8, "longname", exe="/usr/bin/python3.11"), (whole,), cut=True)
