# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Command lines without the secrets in them. Private to harbormaster.ports.

Any user of a host may read most command lines, but a report travels further: into logs, tickets and pages. What is taken
out is what a name calls a secret (``--db-password x``, ``-Dpw=x``, ``API_TOKEN=x``, ``"secret": "x"``), what a known program
takes as one (``mysql -px``), and what looks like one wherever it stands (URLs with a password, bearer headers, tokens
with a maker's prefix, private keys). In doubt a value is masked: a report that lacks a word is still a report.

Every pattern here takes time in proportion to the text: each begins at a fixed word or at the border of a run, and
whatever repeats without a limit ends the match.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.secret_names import (
    HABITS,
    MASK,
    OPTION,
    ORACLE,
    WORD_SETTINGS,
    Habit,
    is_secret_name,
    is_secret_value,
    is_switch,
)

MAX_LENGTH = 4096

# name and separator at the start of a word; a value may be anything
_ASSIGNMENT = re.compile(r"(?P<name>(?:--?|/)?[A-Za-z_][\w.\[\]-]*)(?P<sign>[=:])(?P<value>.+)\Z", re.DOTALL)
_SETTING = re.compile(r"(?:--?|/)[A-Za-z][\w.-]*\Z")
# the same within text: name, closing quote, separator
_FIELD = re.compile(r"(?<![\w.-])(?P<name>[\w.-]{1,128})(?P<sign>\\{0,3}[\"']?[ \t]{0,4}[=:][ \t]{0,4})")
_VALUE = re.compile(
    r"\"[^\"\\]*(?:\\.[^\"\\]*)*\"?"
    r"|'[^']*'?"
    r"|\\+[\"'](?:(?!\\*[\"']).)*"
    r"|[^\s\"'&;,})\]]+",
    re.DOTALL,
)
_PAIR = re.compile(r"[:%,]")
_ORACLE_USER = re.compile(r"\A(?P<user>[^\s/@]{1,128}/)[^\s@/][^\s@]{0,256}(?P<at>@|\Z)")

# --- what looks like a secret wherever it stands

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)
_HEADER = re.compile(
    r"(?P<name>(?:\b|(?<=-H))(?:proxy-)?authorization\\{0,3}[\"']?[ \t]{0,4}[:=][ \t]{0,4}\\{0,3}[\"']?)"
    r"(?P<scheme>(?:bearer|basic|token|digest|negotiate|apikey)[ \t]{1,4})?"
    r"[^\s\"'\\]+(?:(?<=,)[ \t][^\r\n'\"]{0,4096})?",
    re.IGNORECASE,
)
_COOKIES = re.compile(r"(?P<name>\b(?:set-)?cookie:[ \t]{0,4})[^\r\n\"']+", re.IGNORECASE)
_BEARER = re.compile(r"(?P<scheme>\bbearer[ \t]{1,4})[\w.~+/=-]{6,}", re.IGNORECASE)
# in front of the last @ of a URL's authority; or, where a slash in the password was not escaped, of the first
_URL_USER = re.compile(
    r"(?<=://)(?P<user>[^\s/?#:@\"']{0,256}:)"
    r"(?:[^\s/?#\"']{1,1024}@|(?!\d{1,5}[/?#])[^\s@\"']{1,256}@)"
)
_URL_TOKEN = re.compile(r"(?<=://)[\w.-]{20,255}@")
_JDBC_USER = re.compile(r"(?P<user>:(?:thin|oci8?):[^\s/@:]{1,128}/)[^\s@]{1,256}@")
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|gl(?:pat|ptt|dt|rtr?|soat|cbt|agent|imt|ft)-[\w-]{16,}|xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}"
    r"|A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{12,}|sk-(?=[\w-]{0,80}\d)[\w-]{16,}|[srp]k_(?:live|test)_\w{10,}|whsec_\w{16,}|AIza[\w-]{30,}"
    r"|ya29\.[\w-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{20,}|do[opr]_v1_[0-9a-f]{32,}|hv[sb]\.[\w-]{20,}"
    r"|SG\.[\w-]{16,64}\.[\w-]{16,}|tskey-[\w-]{10,}|dckr_pat_[\w-]{16,}|hf_[A-Za-z0-9]{30,}|glsa_\w{20,}"
    r"|AGE-SECRET-KEY-1[A-Z0-9]{20,})"
    r"|(?<![\w-])eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)*"
)
_OPENSSL = re.compile(r"\A(pass:).+", re.DOTALL)

# --- words

# Words of a line that a shell or a title's writer made: quoted parts belong to the word around them.
_SPLIT = re.compile(r"(?:[^\s\"']+|\"[^\"]*\"|'[^']*'|[\"'])+")
_QUOTED = re.compile(r"[\s\"']")


def mask_command(argv: t.Sequence[str]) -> str:
    """One line to show: secrets replaced, arguments with blanks quoted, at most 4096 characters.

    :param argv: decoded with ``surrogateescape`` where the bytes are not UTF-8. A single element with blanks is a title
        that the program wrote itself, and is read word by word.
    """
    if len(argv) == 1:
        return _cut(_safe(_mask_text(argv[0])))
    shown: t.List[str] = []
    length = 0
    # What comes behind the cut can't change what is before it. Masking is per word, so nothing is cut in two here.
    for word in _mask_words(argv, True):
        shown.append(_quote(_safe(word)))
        length += len(shown[-1]) + 1
        if length > MAX_LENGTH + 1:  # the last blank is not there
            break
    return _cut(" ".join(shown))


def _mask_text(text: str) -> str:
    """A line of several words. What spans words goes first, the words by their place follow."""
    text = _mask_patterns(text)
    if not _QUOTED.search(text):
        return next(_mask_words((text,), False))
    pieces: t.List[str] = []
    end = length = 0
    places = list(_SPLIT.finditer(text))
    for place, word in zip(places, _mask_words([place.group() for place in places], False)):
        pieces += (text[end : place.start()], word)
        end = place.end()
        length += len(pieces[-2]) + len(word)
        if length > MAX_LENGTH:  # the rest is behind the cut anyhow
            return "".join(pieces)
    pieces.append(text[end:])
    return "".join(pieces)


def _mask_words(words: t.Sequence[str], whole: bool) -> t.Iterator[str]:
    """Each word masked by itself and by what stands before it.

    :param whole: they are the arguments of a process; otherwise pieces of a text that has been through the patterns.
    """
    programs: t.List[Habit] = []
    oracle = login = False
    secret_in = -1  # words until a secret one, by position
    pair = False
    before = ""
    for word in words:
        bare = word if whole else word.strip("\"'")
        program = bare.rsplit("/", 1)[-1].rsplit("\\", 1)[-1]
        if program.endswith(".exe"):
            program = program[:-4]
        secret_in -= 1
        if secret_in == 0 and bare and not OPTION.match(bare):
            yield MASK if is_secret_value(before, bare) else word
        elif pair and not OPTION.match(bare):
            yield _mask_pair(word)
        else:
            yield _mask_word(word, programs, oracle, whole, before)
        pair = False
        before_login, login = login, login or (bare == "login" and bool(programs))
        distance = next((far for habit in programs for option, far in habit.after if option == bare), 0)
        if bare in WORD_SETTINGS or (_SETTING.match(bare) and is_secret_name(bare) and not is_switch(bare)):
            secret_in, before = 1, bare
        elif any(bare in habit.separate for habit in programs) or (before_login and bare == "-p"):
            secret_in, before = 1, "-"
        elif distance:
            secret_in, before = distance, "-"
        else:
            pair = any(bare in habit.pair for habit in programs)
            if secret_in < 1:
                before = bare
        if program in HABITS:
            programs.append(HABITS[program])
        oracle = oracle or program in ORACLE


def _mask_word(word: str, programs: t.List[Habit], oracle: bool, whole: bool, before: str) -> str:
    opening = "" if whole else word[: len(word) - len(word.lstrip("\"'"))]
    bare = word[len(opening) :]
    for habit in programs:
        for option in habit.attached:
            if bare.startswith(option) and len(bare) > len(option) and not bare.startswith("--"):
                return opening + option + MASK
        for option in habit.pair:
            start = option + "=" if option.startswith("--") else option
            if bare.startswith(start) and len(bare) > len(start):
                return opening + start + _mask_pair(bare[len(start) :])
    if oracle:
        bare = _ORACLE_USER.sub(r"\g<user>%s\g<at>" % MASK, bare, 1)
    # "sh -c 'DB_PASSWORD=x exec server'" is a script, of which only a part is the value
    script = before.startswith("-") and before.endswith("c")
    if not script and (whole or not _QUOTED.search(bare.strip("\"'"))):
        masked = _mask_assignment(bare)
        if masked is not None:
            return opening + masked
    bare = _OPENSSL.sub(r"\1" + MASK, bare)
    if not whole:
        return opening + bare
    return _mask_text(bare) if _QUOTED.search(bare) else _mask_patterns(bare)


def _mask_assignment(word: str) -> t.Optional[str]:
    """``--password=x``, ``/pw:x``, ``--env=DB_PASSWORD=x``: all that follows is the value. None for other words."""
    start = 0
    while True:
        found = _ASSIGNMENT.match(word, start)
        if not found or not (found.group("sign") == "=" or word[start] in "-/"):
            return None
        if is_secret_name(found.group("name")):
            secret = is_secret_value(found.group("name"), found.group("value"))
            return word[: found.start("value")] + MASK if secret else word
        start = found.start("value")


def _mask_pair(word: str) -> str:
    """``user:secret``, ``user%secret`` or ``user,secret``; without a separator the program asks for the secret."""
    found = _PAIR.search(word)
    if not found or found.end() == len(word):
        return word
    return word[: found.end()] + MASK + (word[-1] if word[-1] in "\"'" and word[0] == word[-1] else "")


def _mask_patterns(text: str) -> str:
    if "-----BEGIN" in text:
        text = _PRIVATE_KEY.sub(MASK, text)
    text = _HEADER.sub(lambda found: found.group("name") + (found.group("scheme") or "") + MASK, text)
    text = _COOKIES.sub(r"\g<name>" + MASK, text)
    text = _BEARER.sub(r"\g<scheme>" + MASK, text)
    if "://" in text:
        text = _URL_USER.sub(r"\g<user>%s@" % MASK, text)
        text = _URL_TOKEN.sub(MASK + "@", text)
    if "jdbc:" in text:
        text = _JDBC_USER.sub(r"\g<user>%s@" % MASK, text)
    return _TOKEN.sub(MASK, _mask_fields(text))


def _mask_fields(text: str) -> str:
    """Values under a secret's name, in JSON, YAML, connection strings, queries and assignments."""
    pieces: t.List[str] = []
    end = 0
    found = _FIELD.search(text)
    while found:
        following = found.end()
        if is_secret_name(found.group("name")):
            value = _VALUE.match(text, following)
            if value and _is_secret_field(text, found, value.group()):
                quote = value.group()[: len(value.group()) - len(value.group().lstrip("\\\"'"))]
                closing = quote if quote and value.group().endswith(quote) and len(value.group()) > len(quote) else ""
                pieces += (text[end:following], quote, MASK, closing)
                end = following = value.end()
        # Only the name and its sign are passed: the value may hold names itself (JAVA_OPTS=-Dpassword=x).
        found = _FIELD.search(text, following)
    pieces.append(text[end:])
    return "".join(pieces)


def _is_secret_field(text: str, found: t.Match[str], value: str) -> bool:
    name = found.group("name")
    if not is_secret_value(name, value):
        return False
    if found.group("sign") == ":":
        # lists of paths and hosts with ports have colons too: /opt/token:/opt/bin, http://auth:8080
        if found.start() > 1 and text[found.start() - 1] == "/" and not text[found.start() - 2].isspace():
            return False
        return not (value.isdigit() and len(value) <= 5 and name.lower() in ("auth", "token", "secret", "secrets"))
    return True


# --- the line


def _safe(text: str) -> str:
    try:
        return printable(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        # a surrogate that stands for no byte: nothing of ours decodes to that, but a caller's text may hold one
        return printable(text.encode("utf-8", "backslashreplace"))


def _quote(word: str) -> str:
    if word and not _QUOTED.search(word):
        return word
    return "'%s'" % word.replace("'", "'\"'\"'")


def _cut(line: str) -> str:
    return line if len(line) <= MAX_LENGTH else line[: MAX_LENGTH - 3] + "..."
