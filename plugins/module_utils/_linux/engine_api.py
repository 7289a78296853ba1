# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One question to a container engine over its socket (Docker's Engine API). Private to harbormaster.ports.

The API is HTTP on a Unix socket. Three decisions:

* HTTP/1.0 of our own instead of ``http.client``: its imports (email, ssl) take longer than all questions of a look
  together, and its timeout starts anew with each byte. Asked in 1.0, a server sends the plain body and closes.
* Paths without a version (``/containers/json``): each engine answers these in the version that it knows best, while any
  fixed one is too new for some engine and refused by another as too old. The few fields that are read here have been
  there from API 1.24 to 1.52.
* Who listens is checked before anything is said: a socket's path can be in a place where others may write.
"""

from __future__ import annotations

import errno
import re
import socket
import struct
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import answers
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable

# A thousand containers take 2 MB in a list.
_MOST_BYTES = 64 << 20
_MOST_HEADER_BYTES = 1 << 16
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,12})[ \t]*\r\n", re.IGNORECASE)
# struct ucred of linux/socket.h: pid, uid, gid.
_UCRED = struct.Struct("=iII")
_PAUSE = 0.02


class Answer(t.NamedTuple):
    """What an engine has said.

    :param status: HTTP's: 2xx is done, 304 was so already, 404 knows no such thing.
    :param content: the decoded JSON; None when there was none.
    """

    status: int
    content: t.Any

    @property
    def good(self) -> bool:
        """It did what was asked, or had no need to."""
        return 200 <= self.status < 300 or self.status == 304

    @property
    def words(self) -> str:
        """The engine's own words about what went wrong, on one line."""
        said = answers.text(self.content, "message")
        return said or "it answered with HTTP status %d" % self.status


class EngineSilent(SourceRefused):
    """An engine could not be asked, or gave no answer that can be used.

    :param late: it did not answer within the time; what was asked for may happen nevertheless.
    :param sent: the question reached it.
    :param refused: this account may not ask it.
    """

    def __init__(self, endpoint: str, why: str, late: bool = False, sent: bool = False, refused: bool = False) -> None:
        super().__init__("the engine at %s" % endpoint, why)
        self.late = late
        self.sent = sent
        self.refused = refused


class Peer(t.NamedTuple):
    """The process that listens on a socket, as the kernel says (SO_PEERCRED, unix(7)): the one that called listen()."""

    pid: int
    uid: int


def ask(
    endpoint: str,
    path: str,
    seconds: float,
    uid: t.Optional[int] = None,
    body: t.Any = None,
    post: bool = False,
) -> Answer:
    """Ask one question and read the answer.

    :param endpoint: path of the engine's socket.
    :param seconds: bound of the whole exchange.
    :param uid: the account that has to be listening there; None takes any.
    :param body: what is sent along as JSON.
    :param post: something is to be done.
    :raises EngineSilent: no connection, no answer in time, or none that is HTTP with JSON.
    """
    until = time.monotonic() + seconds
    sent = False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            _connect(link, endpoint, until)
            there = _peer(link).uid
            if uid is not None and there != uid:
                raise EngineSilent(endpoint, "uid %d listens there, not uid %d" % (there, uid))
            # Before the first byte: when sending fails in the middle, the engine may have got enough of it.
            sent = True
            _in_time(link, until)
            link.sendall(_request(path, body, post))
            return _answer(endpoint, _read(link, until))
        except socket.timeout:
            # an OSError as well, but without an errno
            raise EngineSilent(endpoint, "no answer within %.3g s" % seconds, late=True, sent=sent) from None
        except OSError as error:
            refused = error.errno in (errno.EACCES, errno.EPERM)
            raise EngineSilent(endpoint, error.strerror or str(error), sent=sent, refused=refused) from None
        except EngineSilent as error:
            error.sent = sent
            raise


def peer(endpoint: str, seconds: float) -> Peer:
    """Who listens there. Nothing is said to it.

    :raises EngineSilent: nobody, or not for us.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            _connect(link, endpoint, time.monotonic() + seconds)
            return _peer(link)
        except socket.timeout:
            raise EngineSilent(endpoint, "no connection within %.3g s" % seconds, late=True) from None
        except OSError as error:
            refused = error.errno in (errno.EACCES, errno.EPERM)
            raise EngineSilent(endpoint, error.strerror or str(error), refused=refused) from None


def _connect(link: socket.socket, endpoint: str, until: float) -> None:
    while True:
        _in_time(link, until)
        try:
            link.connect(endpoint)
            return
        except OSError as error:
            # A full backlog: others wait for this engine too. Unlike TCP, this is told at once (unix(7)).
            if error.errno != errno.EAGAIN:
                raise
            time.sleep(_PAUSE)


def _in_time(link: socket.socket, until: float) -> None:
    left = until - time.monotonic()
    if left <= 0:
        raise socket.timeout
    link.settimeout(left)


def _peer(link: socket.socket) -> Peer:
    pid, uid, _gid = _UCRED.unpack(link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid, uid)


def _request(path: str, body: t.Any, post: bool) -> bytes:
    content = b""
    lines = ["%s %s HTTP/1.0" % ("POST" if post else "GET", path), "Host: localhost", "Accept: application/json"]
    if post:
        if body is not None:
            import json

            content = json.dumps(body).encode("ascii")
            lines.append("Content-Type: application/json")
        lines.append("Content-Length: %d" % len(content))
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + content


def _read(link: socket.socket, until: float) -> bytes:
    """All that it says until it closes, or until it has said as much as it promised."""
    data = bytearray()
    end: t.Optional[int] = None
    while end is None or len(data) < end:
        _in_time(link, until)
        more = link.recv(1 << 16)
        if not more:
            break
        data += more
        if len(data) > _MOST_BYTES:
            raise OSError(errno.EMSGSIZE, "an answer of more than %d MB" % (_MOST_BYTES >> 20))
        if end is None:
            border = data.find(b"\r\n\r\n", 0, _MOST_HEADER_BYTES)
            length = _LENGTH.search(data, 0, border + 2) if border >= 0 else None
            if length:
                end = border + 4 + int(length.group(1))
    if end is not None and len(data) < end:
        raise OSError(errno.EPIPE, "the answer ended after %d of %d bytes" % (len(data), end))
    return bytes(data)


def _answer(endpoint: str, data: bytes) -> Answer:
    status = _STATUS.match(data)
    _head, border, content = data.partition(b"\r\n\r\n")
    if not status or not border:
        why = "no HTTP answer but %s" % printable(data[:64]) if data else "it closed the connection without an answer"
        raise EngineSilent(endpoint, why)
    said = answers.decoded(content) if content.strip() else None
    answer = Answer(int(status.group(1)), said)
    if answer.status == 200 and said is None:
        raise EngineSilent(endpoint, "no JSON in its answer but %s" % printable(content[:64]))
    return answer
