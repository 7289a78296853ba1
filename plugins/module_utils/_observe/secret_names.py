# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which words of a command line are secrets: by name, by value, by program. Private to harbormaster.ports."""

from __future__ import annotations

import re
import typing as t

MASK = "********"

# --- names

# One run of a name's letters: "dbPassword", "DB_PASSWORD" and "db-password" all have the words db and password.
_WORDS = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_ENDS = (
    "password",
    "passwd",
    "passwort",
    "kennwort",
    "passkey",
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
    "psk",
    "otp",
)
_INNOCENT = frozenset(
    ("bypass", "compass", "encompass", "overpass", "underpass", "trespass", "oauth", "xauth", "noauth")
)
# Words before "key" that make it a secret one.
_SECRET_KEYS = frozenset(
    "access account admin aes api app application auth consumer deploy encrypt encryption hmac jwt licence license master "
    "private secret service session shared signing ssh storage subscription webhook".split()
)
# What may stand behind the telling word without changing what the value is.
_FORMS = frozenset(("value", "hash", "sha", "md", "plain", "raw", "base", "string", "data", "text", "id"))
# "--no-password", "--ask-pass": switches, so what follows is not theirs
_SWITCHES = frozenset(("no", "ask", "without", "prompt", "enable", "disable", "use", "skip", "require", "allow"))
# These often are the name of a file, and a file's name is no secret. Not so access and API keys, which may begin with a
# slash themselves.
_OFTEN_PATHS = re.compile(
    "(?:(?:private|ssh|signing|master|session)[-_.]?key|auth|credentials?|creds|cookie)\\Z", re.IGNORECASE
)
_PATH = re.compile(
    r"(?:file:|~?/|\.{1,2}/)[\w./@+-]+\Z|[\w./@+-]+\.(?:pem|key|crt|cer|json|ya?ml|p12|pfx|jks|conf|txt)\Z"
)
_PLAIN = frozenset(("", "true", "false", "yes", "no", "on", "off", "none", "null", MASK))
OPTION = re.compile(
    r"--[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*(?:=.*)?\Z|-[A-Za-z]\Z|-[a-z]+\Z|-[DXJ][\w.:]+(?:=.*)?\Z", re.DOTALL
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
    if words[-3:] == ["auth", "user", "pass"]:  # openvpn's, which takes a file
        return False
    return bool(words[-1].endswith(_SECRET_ENDS))


def is_secret_value(name: str, value: str) -> bool:
    """Whether the value of an option with a secret's name is the secret itself, not a path, a number or a switch."""
    bare = value.strip("\"'\\")
    if bare.lower() in _PLAIN:
        return False
    if _OFTEN_PATHS.search(name) and _PATH.match(bare):
        return False
    # "-pass 2" is an encoder's second round, "--max-tokens 4096" a language model's budget
    last = name.lower().lstrip("-/")
    return not (bare.isdigit() and (last.endswith("tokens") or (last == "pass" and len(bare) == 1)))


def is_switch(option: str) -> bool:
    """Whether an option only switches something on or off, so that what follows is not its value."""
    words = _WORDS.findall(option)
    return len(words) > 1 and words[0].lower() in _SWITCHES


# --- programs


class Habit(t.NamedTuple):
    """Where a program takes secrets.

    :param attached: options that have it attached, ``-psecret``.
    :param separate: options that have it as the next word.
    :param after: words with a secret a few words on: 2 for ``add_user NAME SECRET``.
    :param pair: options with ``user:secret`` in the same or the next word.
    """

    attached: t.Tuple[str, ...] = ()
    separate: t.Tuple[str, ...] = ()
    after: t.Tuple[t.Tuple[str, int], ...] = ()
    pair: t.Tuple[str, ...] = ()


_BOTH_P = Habit(attached=("-p",), separate=("-p",))
_LDAP = Habit(attached=("-w",), separate=("-w", "-a", "-s"))
_LDAP_ASK = Habit(attached=("-w",), separate=("-w",))
_BIG_P = Habit(attached=("-P",), separate=("-P",))
_SAMBA = Habit(pair=("-U", "--user"))
HABITS: t.Dict[str, Habit] = {
    # a separate word behind their -p is a database: they ask for the password
    **dict.fromkeys(
        "mysql mysqldump mysqladmin mysqlimport mysqlcheck mysqlsh mysqlslap mysqlshow mysqlbinlog mysqlpump mysql_upgrade "
        "mariadb mariadb-dump mariadb-admin mariadb-import mariadb-check mariadb-slap mariadb-show mariadb-binlog "
        "mariadb-backup mariadb-upgrade mariabackup xtrabackup innobackupex 7z 7za 7zr".split(),
        Habit(attached=("-p",)),
    ),
    **dict.fromkeys(
        "mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat mongotop mongofiles mycli mydumper myloader "
        "sshpass rabbitmqadmin cqlsh cypher-shell rdesktop oc".split(),
        _BOTH_P,
    ),
    **dict.fromkeys(
        "ldapsearch ldapadd ldapmodify ldapdelete ldapmodrdn ldapwhoami ldapcompare ldapexop".split(), _LDAP_ASK
    ),
    "ldappasswd": _LDAP,
    **dict.fromkeys("redis-cli redis-benchmark valkey-cli valkey-benchmark keydb-cli".split(), Habit(separate=("-a",))),
    **dict.fromkeys("sqlcmd bcp isql tsql ipmitool mosquitto_pub mosquitto_sub zip unzip".split(), _BIG_P),
    **dict.fromkeys("smbclient rpcclient net winexe smbget".split(), _SAMBA),
    **dict.fromkeys(("snmpget", "snmpwalk", "snmpset", "snmptrap"), Habit(separate=("-A", "-X", "-c"))),
    "curl": Habit(pair=("-u", "-U", "--user", "--proxy-user", "-E", "--cert")),
    **dict.fromkeys(("xfreerdp", "wlfreerdp", "xfreerdp3"), Habit(attached=("/p:",))),
    "lftp": Habit(pair=("-u", "--user")),
    "http": Habit(pair=("-a", "--auth")),
    "https": Habit(pair=("-a", "--auth")),
    "etcdctl": Habit(pair=("--user",)),
    "rabbitmqctl": Habit(after=(("add_user", 2), ("change_password", 2), ("authenticate_user", 2))),
    "htpasswd": Habit(
        after=(("-b", 3), ("-bc", 3), ("-cb", 3), ("-bB", 3), ("-Bb", 3), ("-nb", 2), ("-bn", 2), ("-nbB", 2))
    ),
    "ngrok": Habit(separate=("authtoken",)),
    "vault": Habit(separate=("login",)),
    "consul": Habit(separate=("-encrypt",), attached=("-encrypt=",)),
    **dict.fromkeys(("ttyd", "gotty"), Habit(pair=("-c", "--credential"))),
    **dict.fromkeys(("ss-server", "ss-local", "ss-redir", "ssserver", "sslocal"), Habit(separate=("-k",))),
    **dict.fromkeys(("k3s", "frpc", "frps"), Habit(separate=("-t",))),
}
_BEFORE_LOGIN = frozenset("docker podman nerdctl buildah skopeo helm az cf npm".split())
HABITS.update(dict.fromkeys(_BEFORE_LOGIN, Habit()))
WORD_SETTINGS = frozenset(("requirepass", "masterauth"))
ORACLE = frozenset("sqlplus sqlldr expdp impdp rman".split())
