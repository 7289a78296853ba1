# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which words of a command line are secrets: by name, by value, by program. Private to harbormaster.ports.

The tables are plain texts of words, the same as in _windows/SecretNames.cs. A test compares them.
"""

from __future__ import annotations

import re
import typing as t

MASK = "********"

# --- names

# One run of a name's letters: "dbPassword", "DB_PASSWORD" and "db-password" all have the words db and password.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
# A name is judged by its end: no more than this is read of it.
_LONGEST_NAME = 128
# What the last word of a secret's name ends with. Accents are taken off before.
SECRET_ENDS = tuple(
    (
        "password passwords passwd passwort kennwort passkey passphrase passcode pass pwd pw pswd psswd passwrd pword "
        "secret secrets token tokens apikey authkey accesskey secretkey privatekey accountkey masterkey signingkey sharedkey "
        "encryptionkey presharedkey keybase credential credentials creds auth cookie bearer jwt psk otp mnemonic "
        "pincode sessionid sessid "
        # as other languages call a password or a secret
        "contrasena contrasenya senha parola wachtwoord haslo heslo jelszo salasana losenord losen adgangskode kodeord passord sifre geslo "
        "lozinka zaporka slaptazodis parool motdepasse katasandi matkhau geheim geheimnis segreto segredo secreto "
        "пароль пароли секрет токен 密码 密碼 口令 ハスワート 비밀번호 암호 סיסמה"
    ).split()
)
# These are too short to be looked for at the end of longer words.
SECRET_WORDS = frozenset(
    "pin puk pat sas sig signature hmac salt seed clave mdp totp cvv cvc jeton creds hotp parole κωδικος".split()
)
# Several words that are one: "pass phrase", "mot-de-passe".
SECRET_PHRASES = tuple(
    "passphrase password passcode motdepasse palavrapasse katasandi matkhau seedphrase recoveryphrase backupphrase secretphrase "
    "apikey katalaluan".split()
)
INNOCENT = frozenset(
    "bypass compass encompass overpass underpass trespass oauth xauth noauth preauth reauth nopass multipass".split()
)
# Words before "key" that make it a secret one.
SECRET_KEYS = tuple(
    "access account activation admin aes api app application auth backup cipher consumer cookie crypto crypt decrypt decryption deploy "
    "encrypt encryption hmac ingest ingestion integration jwt licence license master preshared private recovery sas secret "
    "service session setup shared signature signing ssh storage subscription symmetric unlock wallet webhook wep wifi wpa".split()
)
# What may stand behind the telling word without changing what the value is.
FORMS = frozenset(
    "value hash sha md plain raw base string data text id new old current confirm confirmation again repeat root admin prod "
    "production staging encrypted encoded cleartext clear hex".split()
)
# "--no-password", "--ask-pass": switches, so what follows is not theirs
SWITCHES = frozenset("no ask without prompt enable disable use skip require allow with has is".split())
# "change-password bob", "add-authtoken x": a command, and what follows may be a name or the secret
COMMANDS = frozenset(
    "change reset set add update forgot generate hash verify check show create list get new delete rm".split()
)
# A single word of these says little: "kubectl get secret x", "app auth ldap", "token refresh".
VAGUE = frozenset(
    "secret secrets token tokens auth pass passwd password cookie salt seed pin pat sig signature credential credentials creds hmac".split()
)
# Words of the options and settings that take "name:secret".
USER_WORDS = frozenset("user username usr login userpwd userpass userinfo account principal".split())
# In the query of a URL also these are no names of ordinary values.
QUERY_NAMES = frozenset("key sig signature code sid ticket assertion k pw".split())

# --- values

# These often are the name of a file, and a file's name is no secret. Not so access and API keys, which may begin with a
# slash themselves.
_OFTEN_PATHS = re.compile(
    "(?:(?:private|ssh|signing|master|session|secret|backup|wallet|unlock|recovery)[-_.]?key|auth|credentials?|creds|cookie|salt|seed)\\Z",
    re.IGNORECASE,
)
_PATH = re.compile(
    r"\A(?:(?:file:|~?/|\.{1,2}/)[\w./@+-]+\Z|[\w./@+-]+\.(?:pem|key|crt|cer|json|ya?ml|p12|pfx|jks|conf|txt)\Z)"
)
# What begins so is a path under any name.
_KNOWN_PATH = re.compile(
    r"\A(?:file:/+)?/(?:etc|run|var|home|root|usr|opt|srv|tmp|mnt|proc|dev|secrets|data)/[\w./@+-]*\Z"
)
# "$DB_PASSWORD" in a script: the name of the variable, not what is in it
_VARIABLE = re.compile(r"\A\$(?:[A-Z_][A-Z0-9_]*|\{[A-Z_][A-Z0-9_]*\}|\([^()]*\))\Z")
PLAIN = frozenset(("", "true", "false", "yes", "no", "on", "off", "none", "null", "nil", "default", MASK))
# How somebody is known, not by what: "--auth=ldap", "--auth-token=jwt", "--auth SHA256"
KINDS = frozenset(
    "ldap ldaps ad jwt simple none basic digest bearer kerberos krb gssapi gss spnego negotiate ntlm sspi scram oauth oidc openid saml radius "
    "tacacs pam nis local file internal external builtin native static dynamic cert certs certificate certificates tls mtls ssl x token tokens "
    "password passwd key keys apikey pubkey publickey peer trust ident http https anonymous anon any all both auto default required optional "
    "enabled disabled disable enable plain login cram chap pap eap mschap mschapv psk sae wpa wpa2 wpa3 wep open hmac hash gcm cbc ctr poly "
    "chacha rsa dsa ecdsa eddsa aws iam azure gcp github gitlab google okta keycloak vault db database sql mysql postgres redis shadow "
    "system unix cookie session env stdin prompt ask keyring keychain header query lax strict secure user users admin client server proxy".split()
)
_ALGORITHM = re.compile(
    r"\A(?:sha|md|aes|blake|ripemd|rsa|ecdsa|ed|hs|rs|es|ps|tls|tlsv|wpa|krb|oauth|mschapv|argon|sm|x|v|bcrypt|scrypt|pbkdf|crypt)\d{0,4}[a-z]{0,3}\Z"
)
_PARTS = re.compile(r"[-_+:/|, ]+")
# The last words of names whose value may be such a kind.
KIND_ENDS = (
    "auth",
    "token",
    "tokens",
    "cookie",
    "hmac",
    "salt",
    "credential",
    "credentials",
    "creds",
    "bearer",
    "jwt",
    "sig",
    "signature",
)
# Tokens of a language model, and numbers of tokens.
MODEL_WORDS = frozenset(
    "eos bos pad unk sep cls mask stop special start end eot sot fim max min num n new prompt completion context total draft budget "
    "image begin".split()
)
_PLACEHOLDER = re.compile(r"\A(?:<[^<>]*>|\[[A-Z_]+\])\Z")
_NAME_OF_A_USER = re.compile(r"\A[A-Z]?[a-z]+(?:[._+-][a-z]+)*[0-9]{0,3}\Z")
# Right of "name:" these are a group: "-u www-data:adm"
GROUPS = frozenset(
    "nogroup nobody users wheel staff daemon adm root bin sys www-data docker audio video tty disk mail http nginx apache".split()
)
OPTION = re.compile(
    r"\A(?:--[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*(?:=.*)?\Z|-[A-Za-z]\Z|-[a-z]+\Z|-[DXJ][\w.:]+(?:=.*)?\Z)", re.DOTALL
)

_LEET = str.maketrans("0134578@$!", "oieastbasi")


def words_of(name: str) -> t.List[str]:
    """The words of a name in small letters, without what only says in which form the value is."""
    name = name[-_LONGEST_NAME:]
    if not name.isascii():
        import unicodedata

        name = name.replace("ł", "l").replace("\u0131", "i")
        name = "".join(one for one in unicodedata.normalize("NFKD", name) if not unicodedata.combining(one))
        name = unicodedata.normalize("NFC", name)
    words = [word.lower() for word in _WORDS.findall(name)]
    while len(words) > 1 and words[-1] in FORMS:
        words.pop()
    return words


def is_secret_name(name: str) -> bool:
    """Whether a value under this name is a secret, judged by the name's last words."""
    if name in ("PWD", "OLDPWD"):  # the shell's working directory
        return False
    if _is_secret(words_of(name)):
        return True
    # "p4ssw0rd", "t0k3n", "pa$$": digits and signs in the place of letters
    plain = name[-_LONGEST_NAME:].lower().translate(_LEET)
    if plain == name[-_LONGEST_NAME:].lower():
        return False
    words = words_of(plain)
    return bool(words) and len(words[-1]) > 3 and _is_secret(words[-1:])


def _is_secret(words: t.List[str]) -> bool:
    if not words or words[-1] in INNOCENT:
        return False
    if words[-1] == "key":
        return len(words) > 1 and (words[-2].endswith(SECRET_KEYS) or words[-3:-1] == ["pre", "shared"])
    if words[-3:] == ["auth", "user", "pass"]:  # openvpn's, which takes a file
        return False
    if words[-1] in SECRET_WORDS or words[-1].endswith(SECRET_ENDS):
        return True
    return len(words) > 1 and "".join(words[-4:]).endswith(SECRET_PHRASES)


def is_vague_name(name: str) -> bool:
    """Whether a word with a secret's name, without the dashes of an option, may as well be a word of something else."""
    words = words_of(name)
    return (len(words) == 1 and words[0] in VAGUE) or (len(words) > 1 and words[0] in COMMANDS)


def is_user_name(name: str) -> bool:
    """Whether what is under this name may be ``name:secret``."""
    words = words_of(name)
    return bool(words) and (words[-1] in USER_WORDS or words[-1].endswith(("user", "username", "login")))


def is_secret_value(name: str, value: str) -> bool:
    """Whether the value of an option with a secret's name is the secret itself, not a path, a kind, a number or a switch."""
    if len(value) > 512:  # nothing of the kind is that long
        return True
    bare = value.strip("\"'\\")
    small = bare.lower()
    if small in PLAIN or _VARIABLE.match(bare):
        return False
    if (_OFTEN_PATHS.search(name) and _PATH.match(bare)) or _KNOWN_PATH.match(bare):
        return False
    words = words_of(name)
    last = words[-1] if words else ""
    digits = bare.isdigit()
    if last.endswith(("token", "tokens")):
        if _PLACEHOLDER.match(bare) or (len(words) > 1 and words[-2] in MODEL_WORDS):
            return False
        if digits and last.endswith("tokens"):  # "--max-tokens 4096" is a language model's budget
            return False
    if last.endswith(KIND_ENDS):
        # "jwt,sign-method=RS256": a kind with its settings, which are judged by their own names
        if is_kind(small.split(",", 1)[0] if "=" in small else small) or (digits and len(bare) == 1):
            return False
    if last == "seed" and re.match(r"\A-?[0-9.]{1,20}\Z", bare):  # of a random generator
        return False
    # "-pass 2" is an encoder's second round, "--pin 17" a pin of a chip
    return not (digits and ((last == "pass" and len(bare) == 1) or (last == "pin" and len(bare) < 4)))


def is_kind(value: str) -> bool:
    """Whether a value only says how somebody is known: ``ldap``, ``basic,digest``, ``SCRAM-SHA-256``."""
    pieces = [piece for piece in _PARTS.split(value) if piece]
    return bool(pieces) and all(
        piece in KINDS or (piece.isdigit() and len(pieces) > 1) or _ALGORITHM.match(piece) for piece in pieces
    )


def is_person(text: str) -> bool:
    """Whether the only word in front of a URL's host is a name, not a token."""
    return len(text) < 20 and bool(_NAME_OF_A_USER.match(text))


def is_switch(option: str) -> bool:
    """Whether an option only switches something on or off, so that what follows is not its value."""
    words = words_of(option)
    return len(words) > 1 and words[0] in SWITCHES


# --- programs


class Habit(t.NamedTuple):
    """Where a program takes secrets.

    :param attached: options that have it attached, ``-psecret``.
    :param separate: options that have it as the next word.
    :param after: words with a secret a few words on: 2 for ``add_user NAME SECRET``. Options between don't count.
    :param pair: options with ``user:secret`` in the same or the next word.
    :param fields: options with ``name=secret`` in the same or the next word; without a sign it is a file.
    """

    attached: t.Tuple[str, ...] = ()
    separate: t.Tuple[str, ...] = ()
    after: t.Tuple[t.Tuple[str, int], ...] = ()
    pair: t.Tuple[str, ...] = ()
    fields: t.Tuple[str, ...] = ()


# programs: where they take secrets. A separate word behind mysql's -p is a database: it asks for the password.
_TABLE = """
mysql mysqldump mysqladmin mysqlimport mysqlcheck mysqlsh mysqlslap mysqlshow mysqlbinlog mysqlpump mysql_upgrade: attached -p
mariadb mariadb-dump mariadb-admin mariadb-import mariadb-check mariadb-slap mariadb-show mariadb-binlog: attached -p
mariadb-backup mariadb-upgrade mariabackup xtrabackup innobackupex 7z 7za 7zr: attached -p
rar unrar: attached -p -hp
mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat mongotop mongofiles mycli mydumper: attached -p; separate -p
myloader sshpass rabbitmqadmin cqlsh cypher-shell rdesktop twine ncftpput ncftpget ncftp: attached -p; separate -p
steghide fcrackzip hydra medusa netexec nxc crackmapexec evil-winrm airdecap-ng yt-dlp youtube-dl caddy: attached -p; separate -p
minerd cpuminer cgminer bfgminer ccminer xmrig: separate -p; pair -O --userpass
ldapsearch ldapadd ldapmodify ldapdelete ldapmodrdn ldapwhoami ldapcompare ldapexop ldapurl: attached -w; separate -w
ldappasswd: attached -w; separate -w -a -s
redis-cli redis-benchmark valkey-cli valkey-benchmark keydb-cli: separate -a
sqlcmd osql bcp isql tsql ipmitool mosquitto_pub mosquitto_sub zip unzip freebcp bsqldb gobuster: attached -P; separate -P
smbclient rpcclient winexe smbget smbmap smbtree smbcacls wmic: pair -U --user
net: pair -U --user; after user~2 password~2 use~2
snmpget snmpwalk snmpset snmptrap snmpbulkwalk snmpgetnext snmptable: separate -A -X -c
curl: pair -u -U --user --proxy-user -E --cert; fields -b --cookie
wget wget2: pair --user
xfreerdp wlfreerdp xfreerdp3: attached /p: /pth:
lftp: pair -u --user
http https: pair -a --auth
ab: pair -A -P
hey bombardier: pair -a
nikto: pair -id
etcdctl: pair --user add
transmission-remote: pair -n --auth
rabbitmqctl: after add_user~2 change_password~2 authenticate_user~2
openssl: separate -k -K; after passwd~1
ngrok: separate authtoken
vault: separate login
consul: separate -encrypt; attached -encrypt=
ttyd gotty: pair -c --credential
ss-server ss-local ss-redir ssserver sslocal: separate -k
k3s frpc frps influx vercel flyctl fly doctl: separate -t
gitlab-runner: separate -r
cloudflared: after install~1
wpa_passphrase: after wpa_passphrase~2
mkpasswd: after mkpasswd~1
radtest: after radtest~2 radtest~5
qpdf: after --encrypt~1 --encrypt~2
iwconfig iw: after key~1
mc: after set~4
ip: after auth~2 auth-trunc~2 enc~2 aead~2 key~2
ssh-keygen: separate -N -P
swaks: separate -ap
sendemail: separate -xp
curlftpfs: pair -u
docker podman nerdctl buildah skopeo helm az cf npm oc:
sc: separate password=
schtasks: separate /p /P /rp /RP
psexec psexec64 paexec signtool certutil: separate -p /p
winrs: attached -p: /p:
"""


def _habits() -> t.Dict[str, Habit]:
    found = {}
    for line in _TABLE.strip("\n").split("\n"):
        programs, _colon, rest = (line + " ").partition(": ")
        places: t.Dict[str, t.Any] = {}
        for part in rest.split(";"):
            kind, *words = part.split() or [""]
            if kind == "after":
                pairs = [word.rpartition("~") for word in words]
                places[kind] = tuple((word, int(far)) for word, _sign, far in pairs)
            elif kind:
                places[kind] = tuple(words)
        found.update(dict.fromkeys(programs.split(), Habit(**places)))
    return found


HABITS = _habits()
# Behind "login" their -p is a password.
LOGIN = frozenset("docker podman nerdctl buildah skopeo helm az cf npm oc".split())
# Programs whose -p is a port, also behind one whose -p is a password: "sshpass -p x ssh -p 2222 host"
PORTS = frozenset("ssh docker podman nerdctl nc ncat netcat telnet nmap".split())
# Programs that take "user:group".
GROUPED = frozenset(
    "docker podman nerdctl kubectl uwsgi runuser setpriv chroot gosu su-exec start-stop-daemon systemd-run chpst setuidgid chown".split()
)
# Programs whose words secret, token and auth are kinds of things.
OBJECTS = frozenset("kubectl oc docker podman nerdctl vault gh glab az aws gcloud consul nomad helm npm".split())
ORACLE = frozenset("sqlplus sqlldr expdp impdp rman".split())
# Behind these a word and its value follow: "set key value"
SETTERS = frozenset("set config put setvalue add write hset mset setex".split())
# Words after a secret's name behind which the secret stands; and those that tell that none follows.
CONNECTORS = frozenset("= : := == => to is as value -v --value -value /d -d --data by /t".split())
STOPS = frozenset(
    "for with in on and or from of the a an ls list get create delete rm remove show add enable disable login logout status inspect describe "
    "generate rotate revoke lookup renew set put update apply edit new init import export generic tls file prompt valid | || && & ; > < >>".split()
)
