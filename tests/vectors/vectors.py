# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vectors as the tests of each language read and compare them. The format is told in README.md."""

from __future__ import annotations

from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parent
PLATFORMS = ("linux", "windows")
# Sentences about options, not decisions.
BAD_INPUT = "bad_input.yml"


def only(mapping, *known):
    """The mapping itself; an unknown key is an error."""
    unknown = set(mapping) - set(known)
    if unknown:
        raise ValueError("a vector has no key %s here; known are %s" % (sorted(unknown), ", ".join(known)))
    return mapping


def listed(path):
    """The cases of one file. A file for one platform is a mapping, and its cases are marked with it."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if isinstance(content, dict):
        only(content, "platform", "cases")
        content = [dict(case, platform=content["platform"]) for case in content["cases"]]
    return content


def here(case, platform):
    """Whether a case is one of this platform; without a mark it is one of every platform."""
    mark = case.get("platform", platform)
    if mark not in PLATFORMS:
        raise ValueError("a case has no platform %r; there are %s" % (mark, ", ".join(PLATFORMS)))
    return mark == platform


def decisions(platform):
    """(id, case) of each decision of a platform, in the order of the files."""
    for path in sorted(FOLDER.glob("*.yml")):
        if path.name != BAD_INPUT:
            for number, case in enumerate(listed(path)):
                if here(case, platform):
                    yield "%s-%d" % (path.stem, number + 1), case


def bad_input(platform):
    """Each value that can't be used."""
    return [case for case in listed(FOLDER / BAD_INPUT) if here(case, platform)]


def differences(expected, told, where):
    """What of the expected does not hold; only the keys that the vector names are looked at."""
    if isinstance(expected, dict):
        unknown = set(expected) - set(told)
        if unknown:
            raise ValueError("a vector has no key %s at %s" % (sorted(unknown), where))
        for key, value in expected.items():
            if key in ("remedy_says", "reason_says"):
                if value not in told[key]:
                    yield "%s: the remedy %r does not say %r" % (where, told[key], value)
            else:
                yield from differences(value, told[key], "%s.%s" % (where, key))
    elif isinstance(expected, list) and expected and isinstance(expected[0], dict):
        if len(expected) != len(told):
            yield "%s: %d expected, there are %d: %r" % (where, len(expected), len(told), told)
        for number, (one, other) in enumerate(zip(expected, told)):
            yield from differences(one, other, "%s[%d]" % (where, number))
    elif expected != told:
        yield "%s: expected %r, it is %r" % (where, expected, told)


def unmet(case, ports, actions, warnings):
    """What of a case's expectations does not hold for a plan as its language tells it.

    :param ports: label -> what is told of that port.
    """
    expect = only(case["expect"], "ports", "actions", "warnings")
    found = []
    if set(ports) != set(expect["ports"]):
        found.append("ports: expected %s, there are %s" % (sorted(expect["ports"]), sorted(ports)))
    for label, wanted in expect["ports"].items():
        if label in ports:
            found += differences(wanted, ports[label], label)
    found += differences(expect.get("actions", []), actions, "actions")
    if "warnings" in expect:
        missing = [text for text in expect["warnings"] if not any(text in warning for warning in warnings)]
        if missing or len(expect["warnings"]) != len(warnings):
            found.append("warnings: expected %r, there are %r" % (expect["warnings"], warnings))
    return found
