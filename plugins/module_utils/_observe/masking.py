# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""Command lines without the secrets in them. Private to harbormaster.ports.

Any user of a host may read most command lines, but a report travels further: into logs, tickets and pages. What is taken
out is what a name calls a secret (``--db-password x``, ``-Dpw=x``, ``API_TOKEN=x``, ``"secret": "x"``, ``set password x``),
what a known program takes as one (``mysql -px``), and what looks like one wherever it stands (URLs with a password,
``name:secret`` behind ``-u``, bearer headers, tokens with a maker's prefix, private keys). In doubt a value is masked: a
report that lacks a word is still a report.

The text is cut before it is searched, and every pattern takes time in proportion to the text all the same.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.secret_names import (
    CONNECTORS,
    GROUPED,
    GROUPS,
    HABITS,
    LOGIN,
    MASK,
    OBJECTS,
    OPTION,
    ORACLE,
    PORTS,
    SETTERS,
    STOPS,
    Habit,
    is_secret_name,
    is_secret_value,
    is_switch,
    is_user_name,
    is_vague_name,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._observe.secret_shapes import mask_patterns

MAX_LENGTH = 4096
# sh -c "ssh host 'app ...'": a line in a line in a line
_DEEPEST = 3

# name and separator at the start of a word; a value may be anything
_ASSIGNMENT = re.compile(r"(?<![^=:])(?P<name>(?:--?|/)?[^\W\d][\w.\[\]@$!-]{0,127})(?P<sign>[=:])(?=.)", re.DOTALL)
_SETTING = re.compile(r"\A(?:--?|/)[^\W\d][\w.@!-]{0,127}\Z")
_BARE_NAME = re.compile(r"\A\w[\w.@!-]{0,127}\Z")
_KEY = re.compile(r"\A[\w/][\w.:/@-]{0,254}\Z")
_PAIR = re.compile(r"[:%,]")
_NAME_AND_SECRET = re.compile(r"\A[\"']?(?P<user>[^\s:@/\\\"'=]{1,128}):(?P<secret>[^\s:/\\].*)\Z", re.DOTALL)
_ATTACHED_PAIR = re.compile(r"\A-[uU](?=[^\s:@/=-]{1,128}:)")
_ORACLE_USER = re.compile(r"\A(?P<user>[^\s/@]{1,128}/)[^\s@/][^\s@]{0,256}(?P<at>@|\Z)")
_A_PORT = re.compile(r"\A(?:[\w.\[\]:]{0,64}:)?[0-9]{1,5}(?:-[0-9]{1,5})?(?::[0-9]{1,5})?(?:/(?:tcp|udp|sctp))?\Z")
_PARAMETER = re.compile(r"\A[A-Za-z_]\w{0,127}=")

_OPENSSL = re.compile(r"\A(pass:|(?:hex)?key:).+", re.DOTALL)

# --- words

# Words of a line that a shell or a title's writer made: quoted parts belong to the word around them.
_SPLIT = re.compile(r"(?:[^\s\"'\\]+|\\.|\"(?:[^\"\\]|\\.)*\"|'[^']*'|[\"'\\])+", re.DOTALL)
_QUOTED = re.compile(r"[\s\"']")
_SMALL_WORD = re.compile(r"\A[a-z]+(?:-[a-z]+)*\Z")
_END_OF_COMMAND = re.compile(r"\A(?:.*;|&&|\|\|?|&)\Z", re.DOTALL)
# where a cut may fall: what stands behind the last of these could be half of something
_BORDER = re.compile(r"[\s\"'&;,(){}\[\]<>|]")
_NO_LETTER = re.compile(r"[^A-Za-z0-9]")
_HALF_A_URL = re.compile(r"(?<=://)(?P<user>[^\s/?#:@\"']{0,256}:)[^\s/@]{1,1024}\Z")


def mask_command(argv: t.Sequence[str], more: bool = False) -> str:
    """One line to show: secrets replaced, arguments with blanks quoted, at most 4096 characters.

    :param argv: decoded with ``surrogateescape`` where the bytes are not UTF-8. A single element with blanks is a title
        that the program wrote itself, and is read word by word.
    :param more: what follows was cut off already.
    """
    words, cut = _cut_words(argv, more)
    if len(argv) == 1:
        line = _safe(_mask_text(words[0], 0)) if words else ""
    else:
        state = _Words(True, 0)
        line = " ".join([_quote(_safe(state.mask(word))) for word in words])
    if cut:
        line = _HALF_A_URL.sub(r"\g<user>" + MASK, line)
    return _cut(line + "..." if cut else line)


def _cut_words(argv: t.Sequence[str], more: bool) -> t.Tuple[t.List[str], bool]:
    """What is looked at: 4096 characters, without the half of a word at their end."""
    words: t.List[str] = []
    left = MAX_LENGTH
    for word in argv:
        if len(word) > left:
            return [*words, *_cut_word(word[:left])], True
        words.append(word)
        left -= len(word) + 1
        if left < 0:
            return words, len(words) < len(argv) or more
    if more and words:
        words[-1:] = _cut_word(words[-1])
    return words, more


def _cut_word(word: str) -> t.List[str]:
    """What is left of the last word: it, or nothing."""
    for border in (_BORDER, _NO_LETTER):
        for at in range(len(word) - 1, max(-1, len(word) - 1025), -1):
            if border.match(word[at]):
                return [word[: at + 1]]
    # one run of letters this long is no secret that is known by its looks
    return [word] if len(word) > 1024 else []


class _Words:
    """Reads the words of one line in their order, and masks each by itself and by what stands before it.

    :param whole: they are the arguments of a process; otherwise pieces of a text that has been through the patterns.
    """

    def __init__(self, whole: bool, depth: int) -> None:
        self._whole = whole
        self._depth = depth
        self._first = depth == 0
        self._command()

    def _command(self) -> None:
        """Nothing of the command before counts for the next one: "docker login -p x r && docker run -p 80:80 i"."""
        self._programs: t.List[Habit] = []
        self._named: t.Set[str] = set()
        self._before = self._setter = ""
        self._login = self._pair = self._fields = False
        self._awaited: t.Optional[str] = None  # name of the secret that comes next; "-" where an option means it
        self._vague = 0  # so many words are a secret only if they don't look like a plain word
        self._distances: t.List[int] = []

    def mask(self, word: str) -> str:
        bare = word if self._whole else word.strip("\"'")
        program = bare.rsplit("/", 1)[-1].rsplit("\\", 1)[-1]
        if program.lower().endswith(".exe"):
            program = program[:-4]
        shown = self._masked(word, bare)
        self._remember(bare, program)
        return shown

    def _masked(self, word: str, bare: str) -> str:
        option = bool(OPTION.match(bare))
        if not option and self._distances and not ("net" in self._named and bare.startswith(("/", "\\\\"))):
            self._distances = [far - 1 for far in self._distances]
            if 0 in self._distances:
                self._distances.remove(0)
                return MASK if is_secret_value("-", bare) else word
        if self._awaited is not None and bare.startswith("--value="):
            return "--value=" + MASK
        if self._awaited is not None and bare and not option and not _is_connector(bare):
            if self._is_awaited(bare):
                return MASK
            if self._awaited != "-" and not is_secret_value(self._awaited, bare):
                return word
        elif option or not bare:
            pass
        elif self._pair:
            return self._mask_pair(word, bare)
        elif self._fields and "=" in bare:
            return MASK
        return self._mask_word(word)

    def _is_awaited(self, bare: str) -> bool:
        if self._awaited == "-":
            if self._named & PORTS and _A_PORT.match(bare):
                return False
            # parameters are judged by their own names: "oc process -p NAME=x"
            return is_secret_value("-", bare) and not (self._login and _PARAMETER.match(bare))
        if self._vague and (bare in STOPS or _SMALL_WORD.match(bare)):
            return False
        return bare.lower() not in STOPS and is_secret_value(self._awaited or "", bare)

    def _mask_pair(self, word: str, bare: str) -> str:
        if self._pair and any(self._before in habit.pair for habit in self._programs):
            return _mask_pair(word)
        return _mask_user(word) or self._mask_word(word)

    def _remember(self, bare: str, program: str) -> None:
        awaited, vague = self._awaited, self._vague
        self._pair = self._fields = False
        self._awaited, self._vague = None, 0
        if not self._whole and _END_OF_COMMAND.match(bare):
            self._command()
            return
        if awaited is not None and _is_connector(bare):
            self._awaited, self._vague, self._before = awaited, vague, bare
            return
        if vague > 1 and not OPTION.match(bare):
            self._awaited, self._vague = awaited, vague - 1
        self._distances += [far for habit in self._programs for one, far in habit.after if one == bare]
        self._look_at(bare)
        known = HABITS.get(program) or HABITS.get(program.lower())
        if known:
            if known not in self._programs:  # asked once, however often it is named
                self._programs.append(known)
            self._distances += [far for one, far in known.after if one == program]
        self._named.add(program.lower())
        self._login = self._login or (bare == "login" and bool(self._named & LOGIN))
        if "htpasswd" in self._named and bare.startswith("-") and "b" in bare and not bare.startswith("--"):
            self._distances = [2 if "n" in bare else 3]
        self._before = bare
        if bare.lower() in SETTERS or bare.endswith(":set"):
            self._setter = bare
        elif self._setter and not _KEY.match(bare):
            self._setter = ""
        self._first = False

    def _look_at(self, bare: str) -> None:
        """What a word says about the one behind it."""
        if len(bare) > 255:
            return
        setting = _SETTING.match(bare)
        if setting and is_secret_name(bare) and not is_switch(bare):
            self._awaited = bare
        elif any(bare in habit.separate for habit in self._programs) or (bare == "-p" and self._login):
            self._awaited = "-"
        elif any(bare in habit.pair for habit in self._programs):
            self._pair = True
        elif any(bare in habit.fields for habit in self._programs):
            self._fields = True
        elif bare in ("-u", "-U", "login") or (setting and is_user_name(bare)):
            self._pair = not self._named & GROUPED
            if "net" in self._named and bare.lower().startswith("/user"):
                self._awaited = "-"
        elif "net" in self._named and (bare.lower().startswith("/user:") or bare.startswith(("\\\\", "//"))):
            self._awaited = "-"
        elif not self._first and not setting:
            self._look_at_name(bare)

    def _look_at_name(self, bare: str) -> None:
        """A name without an option's dashes: "config set requirepass x", "proxy.password x", "secret x"."""
        bare = bare.rstrip(":=")
        if not (_BARE_NAME.match(bare) or (self._setter and _KEY.match(bare))):
            return
        if not is_secret_name(bare) or is_switch(bare):
            return
        if self._setter:
            self._awaited = bare
        elif not is_vague_name(bare):
            self._awaited = bare
        elif not self._named & OBJECTS:
            self._awaited, self._vague = bare, 2 if re.search(r"\W|_", bare) else 1

    def _mask_word(self, word: str) -> str:
        whole = self._whole
        opening = "" if whole else word[: len(word) - len(word.lstrip("\"'"))]
        bare = word[len(opening) :]
        for habit in self._programs:
            for option in habit.attached:
                if bare.startswith(option) and len(bare) > len(option) and not bare.startswith("--"):
                    rest = bare[len(option) :]
                    if rest != "-" and is_secret_value("-", rest) and not (self._named & PORTS and _A_PORT.match(rest)):
                        return opening + option + MASK
            for option in habit.pair:
                start = option + "=" if option.startswith("--") else option
                if bare.startswith(start) and len(bare) > len(start):
                    return opening + start + _mask_pair(bare[len(start) :])
            for option in habit.fields:
                start = option + "=" if option.startswith("--") else option
                if bare.startswith(start) and "=" in bare[len(start) :]:
                    return opening + start + MASK
        if self._named & ORACLE:
            bare = _ORACLE_USER.sub(r"\g<user>%s\g<at>" % MASK, bare, 1)
        attached = _ATTACHED_PAIR.match(bare)
        if attached and not self._named & GROUPED:
            pair = _mask_user(bare[2:])
            if pair:
                return opening + bare[:2] + pair
        # "sh -c 'DB_PASSWORD=x exec server'" is a script, of which only a part is the value
        before = self._before
        script = before.lower() in ("/c", "/k", "-command") or (before.startswith("-") and before.endswith("c"))
        if not script and (whole or not _QUOTED.search(bare.strip("\"'"))):
            masked = _mask_assignment(bare, not self._named & GROUPED)
            if masked is not None:
                return opening + masked
        bare = _OPENSSL.sub(r"\1" + MASK, bare)
        if whole:
            return _mask_text(bare, self._depth + 1) if _QUOTED.search(bare) else mask_patterns(bare)
        inner = bare[:-1] if opening and bare.endswith(opening[-1:]) else ""
        if inner and _QUOTED.search(inner) and self._depth < _DEEPEST:
            return opening + _mask_text(inner, self._depth + 1) + opening[-1]
        return opening + bare


def _is_connector(bare: str) -> bool:
    """Whether a word stands between a name and its value: "password = x", "/v Password /t REG_SZ /d x"."""
    return bare in CONNECTORS or bare.startswith("REG_")


def _mask_text(text: str, depth: int) -> str:
    """A line of several words. What spans words goes first, the words by their place follow."""
    text = mask_patterns(text)
    state = _Words(False, depth)
    if not _QUOTED.search(text):
        return state.mask(text)
    pieces: t.List[str] = []
    end = 0
    for place in _SPLIT.finditer(text):
        pieces += (text[end : place.start()], state.mask(place.group()))
        end = place.end()
    pieces.append(text[end:])
    return "".join(pieces)


def _mask_assignment(word: str, users: bool) -> t.Optional[str]:
    """``--password=x``, ``/pw:x``, ``--env=DB_PASSWORD=x``: all that follows is the value. None for other words."""
    start = 0
    while True:
        found = _ASSIGNMENT.match(word, start)
        if not found or not (found.group("sign") == "=" or word[start] in "-/"):
            return None
        name = found.group("name")
        start = found.end()
        if is_secret_name(name):
            return word[:start] + MASK if is_secret_value(name, word[start:]) else None
        if users and is_user_name(name):
            pair = _mask_user(word[start:])
            if pair:
                return word[:start] + pair


def _mask_pair(word: str) -> str:
    """``user:secret``, ``user%secret`` or ``user,secret``; without a separator the program asks for the secret."""
    found = _PAIR.search(word)
    if not found or found.end() == len(word):
        return word
    return word[: found.end()] + MASK + (word[-1] if word[-1] in "\"'" and word[0] == word[-1] else "")


def _mask_user(word: str) -> str:
    """``name:secret`` behind an option of any program; empty where it is a user and a group, a host and a port, a URL."""
    found = _NAME_AND_SECRET.match(word)
    if not found:
        return ""
    user, secret = found.group("user"), found.group("secret").rstrip("\"'")
    if secret == user or secret in GROUPS or not secret or secret == MASK:
        return ""
    if secret.isdigit() and (user.isdigit() or (len(secret) < 6 and ("." in user or user == "localhost"))):
        return ""
    return _mask_pair(word)


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
