# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import importlib
import itertools
import re
import shlex
import sys
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import secret_names
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.masking import MAX_LENGTH, mask_command

CASES = yaml.safe_load(Path(__file__).parents[2].joinpath("data", "command_lines.yml").read_text("utf-8"))
# Shapes that real passwords have: plain, with the letters that shells and URLs trip over, long.
SECRETS = ("Hunter2xyz", "p%40ss-w0rd.x", "Zq8+Kd1_x~Y!", "0123456789abcdef" * 8)


def arguments(line):
    return line if isinstance(line, list) else shlex.split(line)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(("line", "shown"), CASES["masked"])
def test_secrets_are_masked(line, shown, secret):
    argv = [word.replace("§", secret) for word in arguments(line)]
    masked = mask_command(argv)
    assert secret not in masked
    # quotes are shown only where there are blanks or quotes: the words are what counts
    assert masked.replace("'", "") == shown.replace("'", "")


@pytest.mark.parametrize("place", ["{}", "--header={}", "x={},b", "https://{}@host/", "https://bob:{}@host/", "({})"])
@pytest.mark.parametrize(("head", "tail"), CASES["tokens"])
def test_tokens_are_masked_wherever_they_stand(head, tail, place):
    masked = mask_command(["app", place.format(head + tail)])
    assert tail not in masked
    assert "********" in masked


@pytest.mark.parametrize("line", CASES["innocent"])
def test_innocents_stay(line):
    assert mask_command(arguments(line)) == line


def test_a_token_as_the_only_user_of_a_url():
    assert mask_command(["app", "https://0123456789abcdef01234567@sentry/1"]) == "app https://********@sentry/1"
    assert mask_command(["app", "ssh://git@host/x"]) == "app ssh://git@host/x"


def test_a_private_key_goes_whole():
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"
    assert mask_command(["app", "--cert-pem", key, "x"]) == "app --cert-pem ******** x"
    # one that was cut goes to its end
    assert mask_command(["app", key[:50]]) == "app ********"


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        ([], ""),
        ([""], ""),
        (["a", "b c", "", "d"], "a 'b c' '' d"),
        (["a", "it's"], "a 'it'\"'\"'s'"),
        (
            ["nginx: master process /usr/sbin/nginx -g daemon off;"],
            "nginx: master process /usr/sbin/nginx -g daemon off;",
        ),
        (["postgres: bob db 10.0.0.1(5432) idle"], "postgres: bob db 10.0.0.1(5432) idle"),
        (["a", "b\nc\x1b[1m"], "a b\\x0ac\\x1b[1m"),
        (["a", b"\xe9".decode("utf-8", "surrogateescape")], "a \\xe9"),
        (["\ud800"], "\\ud800"),
    ],
)
def test_one_safe_line(argv, shown):
    assert mask_command(argv) == shown


@pytest.mark.parametrize("before", [MAX_LENGTH - 30, MAX_LENGTH - 12, MAX_LENGTH - 5, MAX_LENGTH])
@pytest.mark.parametrize(
    "secret", ["--password=Hunter2xyz", "http://bob:Hunter2xyz@h/", "ghp_0123456789abcdefABCDEF0123456789"]
)
def test_a_cut_comes_after_the_mask(before, secret):
    for argv in (["x" * before, secret, "y" * 100], ["x" * before + " " + secret + " " + "y" * 100]):
        shown = mask_command(argv)
        assert len(shown) <= MAX_LENGTH
        assert shown.endswith("...")
        assert "Hunt" not in shown
        assert "0123" not in shown


@pytest.mark.parametrize("line", CASES["hidden"])
def test_secrets_are_hidden_in_every_form_of_a_line(line):
    for secret in (*SECRETS, "S3cr3tX"):
        told = line.replace("§", secret)
        for argv in (shlex.split(told), [told], ["sh", "-c", told], ["watch", "-n", "1", told]):
            assert secret not in mask_command(argv)
        # a page of the fleet masks once more what a host has sent
        shown = mask_command(shlex.split(told))
        assert secret not in mask_command([shown])


@pytest.mark.parametrize("line", CASES["plain"])
def test_what_tells_nothing_secret_stays(line):
    assert mask_command(shlex.split(line)) == line
    assert mask_command([line]) == line


def test_what_is_cut_is_not_searched():
    """What comes behind the cut is not even looked at, and what is before it is masked nevertheless."""
    shown = mask_command(["app", "--password", "Hunter2xyz", "x" * 200_000, "--token"])
    assert shown.startswith("app --password ******** ")
    assert shown.endswith("...")
    assert mask_command(["app", "--x=1 y", "z"], more=True) == "app '--x=1 y'..."


HOSTILE = {
    "letters": ["a" * 100_000],
    "quotes": ["\"'" * 50_000],
    "assignments": ["a=b " * 25_000],
    "chain": ["a=" * 50_000],
    "secret names": ["password=" * 11_000],
    "quoted and open": ['password="' * 10_000],
    "escaped and open": ['password=\\"' * 9_000],
    "blanks": ["password" + " " * 100_000 + "x"],
    "urls": ["://a:b/" * 14_000],
    "schemes": ["http://" * 14_000],
    "ats": ["://a:" + "@" * 100_000],
    "no ats": ["://" + "a" * 100_000 + ":"],
    "jwt": ["-eyJabcdefg" * 9_000],
    "jwt dots": ["eyJabcdefg." * 9_000],
    "keys": ["-----BEGIN RSA PRIVATE KEY-----" * 3_000],
    "key words": ["-----BEGIN " + "A " * 50_000],
    "sk": ["-sk-" * 25_000],
    "escapes": ['\\"' * 50_000],
    "backslashes": ["\\" * 100_000],
    "colons": ["a:" * 50_000],
    "headers": ["Authorization: Bearer x, " * 4_000],
    "cookies": ["cookie: " * 12_000],
    "options": ["--password"] * 10_000,
    "pairs": ["--password", "x"] * 5_000,
    "programs": ["mysql"] * 20_000,
    "many": ["a"] * 100_000,
    "dashes": ["-" * 100_000],
    "marks": ["\u202e" * 30_000],
}


# What may precede a secret's name or value, as pieces out of which the worst texts are made.
PIECES = (
    "a",
    "A",
    "1",
    "1.",
    "\\",
    "\\a",
    '"',
    "'",
    "\\'",
    '\\"',
    "\"'",
    "'\"'\"'",
    " ",
    "\n",
    " \n",
    "\t",
    "=",
    ":",
    "@",
    "/",
    "//",
    "-",
    "--",
    ".",
    ",",
    ";",
    "&",
    "?",
    "[",
    "(",
    "<",
    "a=",
    "a:",
    "a:a",
    "a@",
    "a/",
    "a-",
    "--a",
    "-a",
    "-Da",
    "a a",
    "a;",
    "a=;",
    "://",
    "http://a:",
    "://a@",
    "a/token:",
    "token:",
    "token=",
    'token="',
    "password ",
    "password '",
    "password=\\",
    "password=a ",
    "; password=a b",
    "identified by ",
    "password for a ",
    "secret,",
    "data=",
    "Authorization: ",
    "authorization:",
    "cookie:",
    "bearer ",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "PRIVATE KEY-----",
    "eyJaaaaa.",
    "sk-",
    "SG.aaaaaaaaaaaaaaaa",
    "jdbc:oracle:thin:a/",
    "?key=",
    "&key=a",
    "mysql -p",
    "$(",
    "\u00e9",
    "\u5bc6\u7801=",
)
LONGEST = 1 << 17
# Seconds that are too short to be measured.
LEAST = 0.0005
# So many of them are of every kind of text; the others are of command lines.
COMMON = 8
ROOT = Path(__file__).resolve().parents[4] / "plugins"
PACKAGE = "ansible_collections.harbormaster.ports.plugins."
ROOMS = ("module_utils/_observe", "module_utils/_linux", "module_utils/_decide", "plugin_utils/_fleet")


def compiled():
    """Every pattern that a module of these rooms has, each once: also one that is added tomorrow."""
    for room in ROOMS:
        for file in sorted((ROOT / room).glob("*.py")):
            if file.stem in ("__init__", "netlink"):
                continue
            module = importlib.import_module(PACKAGE + room.replace("/", ".") + "." + file.stem)
            for name, value in sorted(vars(module).items()):
                many = value if isinstance(value, (list, tuple)) else [value]
                for number, one in enumerate(
                    part for item in many for part in (item if isinstance(item, tuple) else [item])
                ):
                    if isinstance(one, re.Pattern) and not (name in vars(secret_names) and module is not secret_names):
                        pieces = PIECES if "masking" in file.stem or "secret" in file.stem else PIECES[:COMMON]
                        yield pytest.param(one, pieces, id="%s.%s.%d" % (file.stem, name, number))


def own_pieces(pattern):
    """Beginnings of what the pattern itself looks for: its runs of plain letters."""
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    runs = re.findall(r"[A-Za-z0-9_ :/=@'-]{2,}", text)
    return [*sorted(set(runs), key=len)[-8:], *(["".join(runs)[:200]] if runs else [])]


def spent(pattern, text):
    begun = time.process_time()
    for _found in itertools.islice(pattern.finditer(text), 1_000):
        pass
    return time.process_time() - begun


def text_of(pattern, piece, tail, length):
    text = (piece * (length // len(piece) + 1))[:length] + tail
    return text if isinstance(pattern.pattern, str) else text.encode("utf-8", "surrogateescape")


def grows_faster(pattern, piece):
    """Whether the time for a text grows clearly faster than its length. The end of the text is what nothing matches."""
    short = text_of(pattern, piece, "\0", LONGEST >> 4)
    first = spent(pattern, short)
    # What is slow, but not by the square, is not fed the longest text each time.
    times = 16 if first < 0.002 else 4
    if first > 0.05:
        short = text_of(pattern, piece, "\0", LONGEST >> 8)
        first, times = spent(pattern, short), 16
    long = text_of(pattern, piece, "\0", len(short) * times)
    # By the square it takes the length's factor once more, 16 or 4 times; what other programs cost is less than that.
    for _again in range(3):
        if spent(pattern, long) < 2.5 * times * max(first, LEAST):
            return False
        first = min(first, spent(pattern, short))
    return True


@pytest.mark.skipif(sys.version_info < (3, 9), reason="by design: the patterns are the same on each Python")
@pytest.mark.parametrize(("pattern", "pieces"), compiled())
def test_every_pattern_takes_time_in_proportion_to_the_text(pattern, pieces):
    slow = [piece for piece in (*pieces, *own_pieces(pattern)) if grows_faster(pattern, piece)]
    assert not slow


def test_a_pattern_by_the_square_is_found():
    """The measure itself: these two are known to take time by the square."""
    assert grows_faster(re.compile(r"\d+x"), "1")
    assert grows_faster(re.compile(r"^\s+pid", re.MULTILINE), "\n")


@pytest.mark.parametrize("piece", PIECES)
def test_an_argument_of_128_kb(piece):
    """What a host's text may cost is 100 ms; several times that is allowed here, as the machine is shared."""
    text = (piece * LONGEST)[:LONGEST]
    for argv in ([text], ["sh", "-c", text], ["mysql", "-u", text], [piece] * 30_000):
        begun = time.process_time()
        assert len(mask_command(argv)) <= MAX_LENGTH
        assert time.process_time() - begun < 0.5


@pytest.mark.parametrize("argv", HOSTILE.values(), ids=list(HOSTILE))
def test_time_grows_with_length_only(argv):
    """What takes time by the square takes minutes at this length; measured are 0.2 s at most."""
    begun = time.process_time()
    assert len(mask_command(argv)) <= MAX_LENGTH
    assert time.process_time() - begun < 4
