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

from ansible_collections.harbormaster.ports.plugins.module_utils._observe.text import printable

MASK = "********"
MAX_LENGTH = 4096

# --- names

# One run of a name's letters: "dbPassword", "DB_PASSWORD" and "db-password" all have the words db and password.
_WORDS = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_ENDS = (
    "password",
    "passwd",
    "passwort",
    "passphrase",
    "passcode",
    "pass",
    "pwd",
    "pw",
    "secret",
    "secrets",
    "token",
    "tokens",
    "apikey",
    "authkey",
    "accesskey",
    "secretkey",
    "privatekey",
    "accountkey",
    "credential",
    "credentials",
    "creds",
    "auth",
    "cookie",
    "bearer",
    "jwt",
)
_INNOCENT = frozenset(("bypass", "compass", "encompass", "overpass", "underpass", "trespass", "oauth", "xauth", "noauth"))
# Words before "key" that make it a secret one.
_SECRET_KEYS = frozenset(
    "access account admin aes api app application auth consumer deploy encrypt encryption hmac jwt license master "
    "private secret service session shared signing ssh storage subscription webhook".split()
)
# What may stand behind the telling word without changing what the value is.
_FORMS = frozenset(("value", "hash", "plain", "raw", "base", "string", "data", "text"))
# "--no-password", "--ask-pass": switches, so what follows is not theirs
_SWITCHES = frozenset(("no", "ask", "without", "prompt", "enable", "disable", "use", "skip", "require", "allow"))
# These often are the name of a file, and a file's name is no secret.
_OFTEN_PATHS = ("key", "auth", "credential", "credentials", "creds", "cookie")
_PATH = re.compile(r"(?:file:|~?/|\.{1,2}/)[^\s:@]*\Z|[^\s:@]+\.(?:pem|key|crt|cer|json|ya?ml|p12|pfx|jks|conf|txt)\Z")
_PLAIN = frozenset(("", "true", "false", "yes", "no", "on", "off", "none", "null", MASK))
_OPTION = re.compile(r"--[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*(?:=.*)?\Z|-[A-Za-z]\Z|-[a-z]+\Z|-[DXJ][\w.:]+(?:=.*)?\Z", re.DOTALL)

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


def is_secret_name(name: str) -> bool:
    """Whether a value under this name is a secret, judged by the name's last words."""
    if name in ("PWD", "OLDPWD"):  # the shell's working directory
        return False
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and words[-1] in _FORMS:
        words.pop()
    if not words or words[-1] in _INNOCENT:
        return False
    if words[-1] == "key":
        return len(words) > 1 and words[-2].endswith(tuple(_SECRET_KEYS))
    if words[-1] == "tokens" and words[0] in ("max", "min", "num", "n"):  # a language model's budget
        return False
    return words[-1].endswith(_SECRET_ENDS)


def _is_secret_value(name: str, value: str) -> bool:
    bare = value.strip("\"'\\")
    if bare.lower() in _PLAIN:
        return False
    last = name.lower().rstrip("-_.")
    if last.endswith(_OFTEN_PATHS) and _PATH.match(bare):
        return False
    # "-pass 2" is an encoder's second round
    return not (last.lstrip("-/") == "pass" and len(bare) == 1 and bare.isdigit())


# --- programs


class _Habit(t.NamedTuple):
    """Where a program takes secrets.

    :param attached: options that have it attached, ``-psecret``.
    :param separate: options that have it as the next word.
    :param after: words with a secret two words on: ``add_user NAME SECRET``.
    :param pair: options with ``user:secret`` in the same or the next word.
    """

    attached: t.Tuple[str, ...] = ()
    separate: t.Tuple[str, ...] = ()
    after: t.Tuple[str, ...] = ()
    pair: t.Tuple[str, ...] = ()


_BOTH_P = _Habit(attached=("-p",), separate=("-p",))
_LDAP = _Habit(attached=("-w",), separate=("-w", "-a", "-s"))
_LDAP_ASK = _Habit(attached=("-w",), separate=("-w",))
_BIG_P = _Habit(attached=("-P",), separate=("-P",))
_SAMBA = _Habit(pair=("-U", "--user"))
_HABITS: t.Dict[str, _Habit] = {
    # a separate word behind their -p is a database: they ask for the password
    **dict.fromkeys(
        "mysql mysqldump mysqladmin mysqlimport mysqlcheck mysqlsh mysqlslap mysqlshow mysqlbinlog mysqlpump mysql_upgrade "
        "mariadb mariadb-dump mariadb-admin mariadb-import mariadb-check mariadb-slap mariadb-show mariadb-binlog "
        "mariadb-backup mariadb-upgrade mariabackup xtrabackup innobackupex 7z 7za 7zr".split(),
        _Habit(attached=("-p",)),
    ),
    **dict.fromkeys(
        "mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat mongotop mongofiles mycli mydumper myloader "
        "sshpass rabbitmqadmin cqlsh cypher-shell rdesktop oc".split(),
        _BOTH_P,
    ),
    **dict.fromkeys("ldapsearch ldapadd ldapmodify ldapdelete ldapmodrdn ldapwhoami ldapcompare ldapexop".split(), _LDAP_ASK),
    "ldappasswd": _LDAP,
    **dict.fromkeys("redis-cli redis-benchmark valkey-cli valkey-benchmark keydb-cli".split(), _Habit(separate=("-a",))),
    **dict.fromkeys("sqlcmd bcp isql tsql ipmitool mosquitto_pub mosquitto_sub zip unzip".split(), _BIG_P),
    **dict.fromkeys("smbclient rpcclient net winexe smbget".split(), _SAMBA),
    **dict.fromkeys(("snmpget", "snmpwalk", "snmpset", "snmptrap"), _Habit(separate=("-A", "-X", "-c"))),
    "curl": _Habit(pair=("-u", "-U", "--user", "--proxy-user", "-E", "--cert")),
    "lftp": _Habit(pair=("-u", "--user")),
    "http": _Habit(pair=("-a", "--auth")),
    "https": _Habit(pair=("-a", "--auth")),
    "etcdctl": _Habit(pair=("--user",)),
    "rabbitmqctl": _Habit(after=("add_user", "change_password", "authenticate_user")),
    "htpasswd": _Habit(after=("-b", "-bc", "-cb", "-nb", "-bn")),
    "redis-server": _Habit(separate=("--requirepass", "--masterauth")),
    "ngrok": _Habit(separate=("authtoken",)),
    "vault": _Habit(separate=("login",)),
}
_BEFORE_LOGIN = frozenset("docker podman nerdctl buildah skopeo helm az cf npm".split())
_HABITS.update(dict.fromkeys(_BEFORE_LOGIN, _Habit()))
_WORD_SETTINGS = frozenset(("requirepass", "masterauth"))
_PAIR = re.compile(r"[:%,]")
_PASSWORD_ORACLE = re.compile(r"(?P<user>[^\s/@]{1,128}/)[^\s@/][^\s@]{0,256}(?P<at>@|\Z)")
_ORACLE = frozenset("sqlplus sqlldr expdp impdp rman exp imp".split())

# --- what looks like a secret wherever it stands

_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
)
_HEADER = re.compile(
    r"(?P<name>\b(?:proxy-)?authorization\\{0,3}[\"']?[ \t]{0,4}[:=][ \t]{0,4}\\{0,3}[\"']?)"
    r"(?P<scheme>(?:bearer|basic|token|digest|negotiate|apikey)[ \t]{1,4})?"
    r"[^\s\"'\\]+(?:(?<=,)[ \t][^\r\n'\"]{0,4096})?",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<scheme>\bbearer[ \t]{1,4})[\w.~+/=-]{6,}", re.IGNORECASE)
# in front of the last @ of a URL's authority; or, where a slash in the password was not escaped, of the first
_URL_USER = re.compile(
    r"(?<=://)(?P<user>[^\s/?#:@\"']{0,256}:)"
    r"(?:[^\s/?#\"']{1,1024}@|(?!\d{1,5}[/?#])[^\s@\"']{1,256}@)"
)
_URL_TOKEN = re.compile(r"(?<=://)[\w.-]{20,255}@")
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|gl[a-z]{2,6}-[\w-]{16,}|xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}"
    r"|A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{12,}|sk-[\w-]{16,}|[srp]k_(?:live|test)_\w{10,}|whsec_\w{16,}|AIza[\w-]{30,}"
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
        word = _safe(word)
        shown.append(_quote(word))
        length += len(word) + 1
        if length > MAX_LENGTH:
            break
    return _cut(" ".join(shown))


def _mask_text(text: str) -> str:
    """A line of several words. What spans words goes first, the words by their place follow."""
    text = _mask_patterns(text)
    if not _QUOTED.search(text):
        return next(_mask_words((text,), False))
    pieces: t.List[str] = []
    end = 0
    places = list(_SPLIT.finditer(text))
    for place, word in zip(places, _mask_words([place.group() for place in places], False)):
        pieces += (text[end : place.start()], word)
        end = place.end()
    pieces.append(text[end:])
    return "".join(pieces)


def _mask_words(words: t.Sequence[str], whole: bool) -> t.Iterator[str]:
    """Each word masked by itself and by what stands before it.

    :param whole: they are the arguments of a process; otherwise pieces of a text that has been through the patterns.
    """
    programs: t.List[_Habit] = []
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
        if secret_in == 0 and bare and not _OPTION.match(bare):
            yield MASK if _is_secret_value(before, bare) else word
        elif pair and not _OPTION.match(bare):
            yield _mask_pair(word)
        else:
            yield _mask_word(word, programs, oracle, whole, before)
        pair = False
        before_login, login = login, login or (bare == "login" and bool(programs))
        if _SETTING.match(bare) and is_secret_name(bare) and not _is_switch(bare) or bare in _WORD_SETTINGS:
            secret_in = 1
            before = bare
        elif any(bare in habit.separate for habit in programs) or (before_login and bare == "-p"):
            secret_in, before = 1, "-"
        elif any(bare in habit.after for habit in programs):
            secret_in, before = 2, "-"
        else:
            pair = any(bare in habit.pair for habit in programs)
            if secret_in < 1:
                before = bare
        if program in _HABITS:
            programs.append(_HABITS[program])
        oracle = oracle or program in _ORACLE


def _mask_word(word: str, programs: t.List[_Habit], oracle: bool, whole: bool, before: str) -> str:
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
        bare = _PASSWORD_ORACLE.sub(r"\g<user>%s\g<at>" % MASK, bare, 1)
    # "sh -c 'DB_PASSWORD=x exec server'" is a script, of which only a part is the value
    if not (before.startswith("-") and before.endswith("c")) and (whole or not _QUOTED.search(bare.strip("\"'"))):
        found = _ASSIGNMENT.match(bare)
        if found and (found.group("sign") == "=" or bare[0] in "-/") and is_secret_name(found.group("name")):
            if not _is_secret_value(found.group("name"), found.group("value")):
                return word
            return opening + found.group("name") + found.group("sign") + MASK
    bare = _OPENSSL.sub(r"\1" + MASK, bare)
    if not whole:
        return opening + bare
    return _mask_text(bare) if _QUOTED.search(bare) else _mask_patterns(bare)


def _is_switch(option: str) -> bool:
    words = _WORDS.findall(option)
    return len(words) > 1 and words[0].lower() in _SWITCHES


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
    text = _BEARER.sub(lambda found: found.group("scheme") + MASK, text)
    if "://" in text:
        text = _URL_USER.sub(lambda found: found.group("user") + MASK + "@", text)
        text = _URL_TOKEN.sub(MASK + "@", text)
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
    if not _is_secret_value(name, value):
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
