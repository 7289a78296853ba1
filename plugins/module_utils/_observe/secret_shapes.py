# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What looks like a secret wherever it stands in a text, and values under a secret's name. Private to harbormaster.ports.

Every pattern takes time in proportion to the text, however it is made: each begins at a fixed word or at the border of a run, and
what it reads from there has a limit or ends the match.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._observe.secret_names import (
    MASK,
    QUERY_NAMES,
    is_person,
    is_secret_name,
    is_secret_value,
)

# the same within text: name, closing quote, separator
_FIELD = re.compile(
    r"(?<![\w.@$-])(?P<name>[\w.@$-]{1,128})"
    r"(?P<sign>\\{0,3}[\"']?[ \t]{0,4}[=:][ \t]{0,4}(?:[NE](?='))?|(?P<sql>[ \t]{0,4}[(=]?[ \t]{0,4}[(]?[NE]?(?<=[ \t(NE])(?=\\{0,3}[\"'])))"
)
_VALUE = re.compile(
    r"'\"'\"'(?:[^']|'(?!\"'\"'))*(?:'\"'\"')?"  # a quote in quotes, as a shell is told
    r"|\"[^\"\\]*(?:\\.[^\"\\]*)*\"?"
    r"|'[^']*'?"
    r"|\\{1,8}[\"'](?:[^\"'\\]|\\(?!\\{0,7}[\"']))*"
    r"|(?:[^\s\"'&;,})\]\\]|\\.)+|\\",
    re.DOTALL,
)
# in a connection string: blanks belong to the value
_PIECE = re.compile(r"[^;\"'\r\n]+")
_PIECE_AND_MORE = re.compile(r"[^;\"'\r\n]{1,256};[ \t]{0,4}[A-Za-z][\w .-]{0,40}=")
_PIECE_BEFORE = re.compile(r"(?:[A-Za-z][\w .-]{0,40}=[^;=\"'\r\n]{0,200};[ \t]{1,4}|;)\Z")
_SCRIPT_BEFORE = re.compile(r"[-/][A-Za-z]{0,16}[cdkCK][ \t]{1,4}(?:[\"']{1,8})\Z")

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
# a token as the user: alone, or with a password that is none
_URL_TOKEN = re.compile(r"(?<=://)(?P<user>[^\s/?#:@\"']{1,1024})(?=:?@|:x-oauth-basic@)")
_QUERY = re.compile(r"(?<=[?&;])(?P<name>[A-Za-z_]{1,16}=)(?P<value>[^\s\"'&#;]{1,4096})")
# the same without a scheme: user:secret@tcp(host), user:secret@host/database
_DSN = re.compile(
    r"(?<![\w.%+/@\\:-])(?P<user>(?!(?:mailto|sips?|acct|xmpp|urn|npm|git|file|http|https):)[\w.%+-]{1,64}(?:/[\w.%+-]{1,64})?:)"
    r"(?!//)[^\s\"'@]{1,256}(?:@[^\s\"'@]{1,256}){0,2}?@(?=[A-Za-z0-9_\[(])(?!sha(?:256|512):)"
)
_JDBC_USER = re.compile(r"(?P<user>:(?:thin|oci8?):[^\s/@:]{1,128}/)[^\s@]{1,256}@")
_IDENTIFIED = re.compile(
    r"(?P<head>\bidentified[ \t]{1,4}(?:with[ \t]{1,4}[^\s]{1,64}[ \t]{1,4})?(?:by|as|using)[ \t]{1,4}"
    r"(?:password[ \t]{1,4}|values[ \t]{1,4})?"
    r"|\bpassword[ \t]{1,4}for[ \t]{1,4}[^\s=]{1,128}[ \t]{0,4}=[ \t]{0,4})",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|gl(?:pat|ptt|dt|rtr?|soat|cbt|agent|imt|ft)-[\w-]{16,}|xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}"
    r"|A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{12,}|sk-(?=[\w-]{0,80}\d)[\w-]{16,}|[srp]k_(?:live|test)_\w{10,}|whsec_\w{16,}|AIza[\w-]{30,}"
    r"|ya29\.[\w-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{20,}|do[opr]_v1_[0-9a-f]{32,}|hv[sb]\.[\w-]{20,}"
    r"|SG\.[\w-]{16,64}\.[\w-]{16,}|tskey-[\w-]{10,}|dckr_pat_[\w-]{16,}|hf_[A-Za-z0-9]{30,}|glsa_\w{20,}"
    r"|AGE-SECRET-KEY-1[A-Z0-9]{20,})"
    r"|(?<![\w-])eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)*"
)
_QEMU = re.compile(r"(?P<head>\bsecret,[^\s\"']{0,128}?\bdata=)[^\s\"',]{1,4096}")


def mask_patterns(text: str) -> str:
    """A text without what its looks or its names call a secret."""
    if "-----BEGIN" in text:
        text = _PRIVATE_KEY.sub(MASK, text)
    text = _HEADER.sub(lambda found: found.group("name") + (found.group("scheme") or "") + MASK, text)
    text = _COOKIES.sub(r"\g<name>" + MASK, text)
    text = _BEARER.sub(r"\g<scheme>" + MASK, text)
    if "@" in text:
        if "://" in text:
            text = _URL_TOKEN.sub(lambda found: found.group() if is_person(found.group()) else MASK, text)
            text = _URL_USER.sub(r"\g<user>%s@" % MASK, text)
        if "jdbc:" in text:
            text = _JDBC_USER.sub(r"\g<user>%s@" % MASK, text)
        text = _DSN.sub(r"\g<user>%s@" % MASK, text)
    if "?" in text or "&" in text:
        text = _QUERY.sub(_mask_query, text)
    if "secret," in text:
        text = _QEMU.sub(r"\g<head>" + MASK, text)
    return _TOKEN.sub(MASK, _mask_fields(_mask_identified(text)))


def _mask_query(found: t.Match[str]) -> str:
    name = found.group("name")
    return name + MASK if name[:-1].lower() in QUERY_NAMES else found.group()


def _mask_identified(text: str) -> str:
    """SQL that names the secret by several words."""
    pieces: t.List[str] = []
    end = 0
    for found in _IDENTIFIED.finditer(text):
        value = _VALUE.match(text, found.end()) if found.end() >= end else None
        if value and not value.group().lower().startswith("password"):
            pieces += (text[end : found.end()], _masked_value(value.group()))
            end = value.end()
    pieces.append(text[end:])
    return "".join(pieces)


def _masked_value(value: str) -> str:
    quote = value[: len(value) - len(value.lstrip("\\\"'"))]
    closing = quote if quote and value.endswith(quote) and len(value) > len(quote) else ""
    return quote + MASK + closing


def _mask_fields(text: str) -> str:
    """Values under a secret's name, in JSON, YAML, connection strings, SQL, queries and assignments."""
    pieces: t.List[str] = []
    end = 0
    found = _FIELD.search(text)
    while found:
        following = found.end()
        # an option's value behind a blank is a word of its own
        option = found.group("sql") is not None and found.group("name").startswith("-")
        if not option and is_secret_name(found.group("name")) and not _is_place(text, found):
            # a long value is always taken for a secret: so none is read again and again for the names in it
            match = _value(text, found)
            value = match.group() if match else ""
            if match and value != MASK and _is_secret_field(found, value):
                pieces += (text[end:following], _masked_value(value))
                end = following = match.end()
        # Only the name and its sign are passed: the value may hold names itself (JAVA_OPTS=-Dpassword=x).
        found = _FIELD.search(text, following)
    pieces.append(text[end:])
    return "".join(pieces)


def _value(text: str, found: t.Match[str]) -> t.Optional[t.Match[str]]:
    following = found.end()
    if found.group("sign").strip() == "=" and text[following : following + 1] not in ("", '"', "'", "\\", ";"):
        before = text[max(0, found.start() - 256) : found.start()]
        quoted = before[-1:] in ("'", '"')
        if (
            _PIECE_BEFORE.search(before)
            or ((not before or quoted) and _PIECE_AND_MORE.match(text, following))
            or (quoted and not _SCRIPT_BEFORE.search(before) and not text.startswith(MASK, following))
        ):
            return _PIECE.match(text, following)
    return _VALUE.match(text, following)


def _is_place(text: str, found: t.Match[str]) -> bool:
    """Lists of paths and hosts with ports have colons too: /opt/token:/opt/bin, http://auth:8080."""
    start = found.start()
    return found.group("sign") == ":" and start > 1 and text[start - 1] == "/" and not text[start - 2].isspace()


def _is_secret_field(found: t.Match[str], value: str) -> bool:
    name = found.group("name")
    if not is_secret_value(name, value):
        return False
    if found.group("sign") == ":":
        return not (value.isdigit() and len(value) <= 5 and name.lower() in ("auth", "token", "secret", "secrets"))
    return True
