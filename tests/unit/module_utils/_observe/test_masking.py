# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shlex
import time
from pathlib import Path

import pytest
import yaml
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


@pytest.mark.parametrize("argv", HOSTILE.values(), ids=list(HOSTILE))
def test_time_grows_with_length_only(argv):
    """What takes time by the square takes minutes at this length; measured are 0.2 s at most."""
    begun = time.process_time()
    assert len(mask_command(argv)) <= MAX_LENGTH
    assert time.process_time() - begun < 4
