# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings of text in C#, with the data of their Python twins: secrets, globs, addresses, service names. On mono, without Wine."""

from __future__ import annotations

import fnmatch
import itertools
import random
import shlex
import socket
from pathlib import Path

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils import _wishes
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import secret_names
from ansible_collections.harbormaster.ports.tests.unit.module_utils._observe import test_masking as in_python

from windows import rig

ENTRY = Path(__file__).resolve().parent / "entries" / "MaskingEntry.cs"
CASES = in_python.CASES
SECRETS = in_python.SECRETS
LONGEST = 4096


@pytest.fixture(scope="module")
def ask(tools, csharp):
    """Call one method of the entry with a value; what it answers."""
    app = rig.program(csharp, [*rig.utils(), ENTRY])

    def call(method, value):
        return rig.on_mono([app, "-", "MaskingEntry." + method], value, timeout=300)

    return call


# Secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_are_masked(ask, secret):
    lines = [[word.replace("§", secret) for word in in_python.arguments(line)] for line, _shown in CASES["masked"]]
    for (line, shown), masked in zip(CASES["masked"], ask("Words", lines)):
        assert secret not in masked, line
        # quotes are shown only where there are blanks or quotes: the words are what counts
        assert masked.replace("'", "") == shown.replace("'", ""), line


def test_tokens_are_masked_wherever_they_stand(ask):
    places = ["{}", "--header={}", "x={},b", "https://{}@host/", "https://bob:{}@host/", "({})"]
    both = list(itertools.product(CASES["tokens"], places))
    said = ask("Words", [["app", place.format(head + tail)] for (head, tail), place in both])
    for ((_head, tail), place), masked in zip(both, said):
        assert tail not in masked, place
        assert "********" in masked, place


def test_innocents_stay(ask):
    assert ask("Words", [in_python.arguments(line) for line in CASES["innocent"]]) == [
        " ".join(in_python.arguments(line)) for line in CASES["innocent"]
    ]


def test_secrets_are_hidden_in_every_form_of_a_line(ask):
    lines = [line.replace("§", secret) for line in CASES["hidden"] for secret in (*SECRETS, "S3cr3tX")]
    secrets = [secret for _line in CASES["hidden"] for secret in (*SECRETS, "S3cr3tX")]
    forms = [
        ask("Words", [shlex.split(line) for line in lines]),
        ask("Words", [["sh", "-c", line] for line in lines]),
        ask("Titles", lines),
    ]
    for form in forms:
        for line, secret, shown in zip(lines, secrets, form):
            assert secret not in shown, line


def test_what_tells_nothing_secret_stays(ask):
    assert ask("Words", [shlex.split(line) for line in CASES["plain"]]) == [
        " ".join(shlex.split(line)) for line in CASES["plain"]
    ]
    assert ask("Titles", CASES["plain"]) == CASES["plain"]


def test_the_tables_are_those_of_python(ask):
    names = [
        name
        for name in vars(secret_names)
        if name.isupper() and name[0] != "_" and name not in ("MASK", "HABITS", "OPTION", "PLAIN")
    ]
    told = ask("Tables", [name.title().replace("_", "") for name in names] + ["Programs"])
    for name, words in zip(names, told):
        assert sorted(words) == sorted(getattr(secret_names, name)), name
    assert [line.strip() for line in told[-1]] == [line.strip() for line in secret_names._TABLE.strip().splitlines()]


# Command lines of Windows: what is shown, with § for the secret.
WINDOWS = [
    (r'"C:\Program Files\MySQL\bin\mysqld.exe" --port=3306', r'"C:\Program Files\MySQL\bin\mysqld.exe" --port=3306'),
    (
        r'"C:\Program Files\MySQL\bin\MYSQL.EXE" -uroot -p§ db',
        r'"C:\Program Files\MySQL\bin\MYSQL.EXE" -uroot -p******** db',
    ),
    (r"C:\app\server.exe /password:§ /port:80", r"C:\app\server.exe /password:******** /port:80"),
    (r'server.exe "--password=a § b" x', r"server.exe --password=******** x"),
    (r"sqlcmd -S h -U sa -P §", r"sqlcmd -S h -U sa -P ********"),
    (r'cmd.exe /c "set DB_PASSWORD=§ && app.exe"', r'cmd.exe /c "set DB_PASSWORD=******** && app.exe"'),
    (r'powershell -Command "app --token § --port 80"', r'powershell -Command "app --token ******** --port 80"'),
    (r"sc.exe config app obj= .\bob password= §", r"sc.exe config app obj= .\bob password= ********"),
    (r"psexec \\host -u bob -p § cmd", r"psexec \\host -u bob -p ******** cmd"),
    (r"schtasks /create /ru bob /rp §", r"schtasks /create /ru bob /rp ********"),
    (r"net user bob § /add", r"net user bob ******** /add"),
    (
        r'w3wp.exe -ap "My Pool" -c "Server=x;Password=§;Port=1"',
        r'w3wp.exe -ap "My Pool" -c Server=x;Password=********;Port=1',
    ),
    (
        r'app.exe "{\"user\": \"bob\", \"password\": \"§\"}"',
        r'app.exe "{\"user\": \"bob\", \"password\": \"********\"}"',
    ),
    (r"nginx.exe --private-key C:\keys\server.pem", r"nginx.exe --private-key C:\keys\server.pem"),
]


@pytest.mark.parametrize("secret", SECRETS)
def test_command_lines_of_windows(ask, secret):
    said = ask("Lines", [line.replace("§", secret) for line, _shown in WINDOWS])
    assert said == [shown for _line, shown in WINDOWS]


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("", []),
        ("   ", []),
        ("a b\tc", ["a", "b", "c"]),
        (r'"C:\Program Files\a.exe" b', [r"C:\Program Files\a.exe", "b"]),
        (r'C:\a"b c"d.exe x', [r"C:\ab cd.exe", "x"]),
        (r'a "b c" d', ["a", "b c", "d"]),
        (r'a "ab\"c" "\\" d', ["a", 'ab"c', "\\", "d"]),
        (r'a a\\\b d"e f"g h', ["a", r"a\\\b", "de fg", "h"]),
        (r"a a\\\"b c d", ["a", r"a\"b", "c", "d"]),
        (r'a a\\\\"b c" d e', ["a", r"a\\b c", "d", "e"]),
        (r'a a"b"" c d', ["a", 'ab" c d']),
        (r'a "" b', ["a", "", "b"]),
        (r'a "open', ["a", "open"]),
        ("a \\\\", ["a", "\\\\"]),
    ],
)
def test_arguments_are_told_apart_as_the_c_runtime_does(ask, line, arguments):
    """The examples are those of "Parsing C command-line arguments", and some of what a program may be started with besides."""
    assert ask("Arguments", [line]) == [arguments]


def test_one_safe_line(ask):
    said = ask("Lines", ["a b\ac\u202ed", 'a "b\nc\x1b[1m" \ud83d\ude00 \ud800', "x" * 5000, 'a ""', 'a "b c'])
    assert said == ["a b\\x07c\\u202ed", "a b\\x0ac\\x1b[1m \U0001f600 \\ud800", "x" * 4093 + "...", 'a ""', 'a "b c"']


@pytest.mark.parametrize("before", [LONGEST - 30, LONGEST - 12, LONGEST - 5, LONGEST])
def test_a_cut_comes_after_the_mask(ask, before):
    secrets = ["--password=Hunter2xyz", "http://bob:Hunter2xyz@h/", "ghp_0123456789abcdefABCDEF0123456789"]
    for shown in ask("Lines", ["x" * before + " " + secret + " " + "y" * 100 for secret in secrets]):
        assert len(shown) <= LONGEST
        assert shown.endswith("...")
        assert "Hunt" not in shown
        assert "0123" not in shown


def test_time_grows_with_length_only(ask):
    """What takes time by the square takes minutes at this length."""
    texts = dict(in_python.HOSTILE)
    for piece in in_python.PIECES:
        whole = (piece * in_python.LONGEST)[: in_python.LONGEST]
        texts[piece], texts[piece + " below a program"] = [whole], ["app", "-u", whole]
    names = list(texts)
    for name, (seconds, length) in zip(names, ask("Times", [texts[name] for name in names])):
        print("%-20s %6.2f s" % (name, seconds))
        assert length <= LONGEST, name
        assert seconds < 2, name


# Globs, addresses, service names ----------------------------------------------------------------------------------

ALPHABET = "ab*?[]!-c"


def test_globs_are_those_of_python(ask):
    """Any names and patterns of a small alphabet; both sides without regard to case."""
    chance = random.Random(11)
    pairs = [
        [
            "".join(chance.choices("abc-!]", k=chance.randrange(6))),
            "".join(chance.choices(ALPHABET, k=chance.randrange(8))),
        ]
        for _index in range(6000)
    ]
    for (name, pattern), matches in zip(pairs, ask("Globs", pairs)):
        # "b-a" is an empty range in newer Pythons and an error in older ones.
        if "-" not in pattern:
            assert matches == fnmatch.fnmatchcase(name, pattern), (name, pattern)


@pytest.mark.parametrize(
    ("name", "pattern", "matches"),
    [
        ("Nginx.EXE", "nginx.*", True),
        ("java", "jav", False),
        ("x9y", "x[0-9]y", True),
        ("xay", "x[!0-9]y", True),
        ("I", "i", True),
        ("a" * 60, "a*" * 30 + "b", False),
    ],
)
def test_globs(ask, name, pattern, matches):
    assert ask("Globs", [[name, pattern]]) == [matches]


def python_address(text):
    try:
        return _wishes.plain_address(text)
    except OptionError:
        return None


def test_addresses_are_those_of_python(ask):
    chance = random.Random(5)
    whole = [
        socket.inet_ntop(socket.AF_INET6, bytes(chance.choice((0, 0, 0, 1, 255)) for _byte in range(16)))
        for _one in range(400)
    ]
    odd = ["".join(chance.choices(":::0f1.2", k=chance.randrange(1, 12))) for _one in range(4000)]
    known = (
        "1.2.3.4 01.2.3.4 1.2.3 1.2.3.256 0.0.0.0 255.255.255.255 1.2.3.4. .1.2.3 :: ::1 1:: ::ffff:1.2.3.4 ::ffff:102:304 64:ff9b::1.2.3.4 "
        "1:2:3:4:5:6:7:8 1:2:3:4:5:6:7:8:9 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 1::2::3 12345::1 g::1 fe80::1%1 [::1] 1:2:3:4:5:6:1.2.3.4 "
        "1:2:3:4:5:6:7:1.2.3.4 2001:DB8::A 0:0:1::"
    ).split()
    texts = whole + odd + known
    for text, told in zip(texts, ask("Addresses", texts)):
        wanted = python_address(text)
        # The old "IPv4-compatible" form, which glibc alone writes with dots.
        if wanted is not None and wanted.startswith("::") and "." in wanted:
            wanted = (
                told
                if told is not None
                and socket.inet_pton(socket.AF_INET6, told) == socket.inet_pton(socket.AF_INET6, wanted)
                else wanted
            )
        assert told == wanted, text


SERVICES = """
# a comment
http               80/tcp    www www-http           #World Wide Web
https             443/tcp    MCom
https             443/udp    MCom
domain             53/udp
domain             53/tcp
broken             x/tcp
alone
web               80/tcp
"""


def test_service_names(ask):
    ports = [
        ["http", None],
        ["WWW", "tcp"],
        ["http", "udp"],
        ["mcom", "udp"],
        ["domain", None],
        ["web", "tcp"],
        ["alone", None],
        ["broken", None],
    ]
    names = [[80, "tcp"], [80, "udp"], [443, "udp"], [7, "tcp"]]
    assert ask("Services", {"table": SERVICES.replace("\n", "\r\n"), "ports": ports, "names": names}) == [
        [80, 80, None, 443, 53, 80, None, None],
        ["http", None, "https", None],
    ]


def test_arguments_are_quoted_so_that_they_are_told_apart_again(ask):
    words = [["a.exe", "b c", 'd"e', "f"], ["x", ""]]
    lines = ['a.exe "b c" "d\\"e" f', 'x ""']
    assert ask("Arguments", lines) == words
    assert ask("Lines", lines) == lines
