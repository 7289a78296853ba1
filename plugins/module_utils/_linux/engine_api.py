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
* Who listens is checked before anything is said, and where the socket lies before we connect: connecting is already to
  be at the mercy of whoever has put the socket there, and may start a service.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import struct
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import answers, evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.text import printable

# What an engine of ours is called; the name has to be proven.
PROGRAM = "dockerd"
_LISTENERS = frozenset((PROGRAM, "systemd"))
# A thousand containers take 2 MB in a list. As objects in memory, JSON takes up to 25 times its size.
_MOST_BYTES = 4 << 20
# The same for an engine of another account, which may choose the worst of JSON.
_MOST_OF_OTHERS = 1 << 20
# Seconds that a child is given less than we wait for it, so that it tells itself why there is no answer.
_CHILD = 0.1
_ELSEWHERE = re.compile(r"(/proc/[0-9]+/root)(/.*)\Z", re.DOTALL)
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
    uid: int,
    body: t.Any = None,
    post: bool = False,
) -> Answer:
    """Ask one question and read the answer.

    As ourselves only an engine of ours is asked, by evidence: see `_admit`. One of another account is asked in a child
    that has that account's rights alone, so it is not to be asked while this process has other threads.

    :param endpoint: path of the engine's socket.
    :param seconds: bound of the whole exchange.
    :param uid: the account that has to be listening there, and whose word the answer is.
    :param body: what is sent along as JSON.
    :param post: something is to be done.
    :raises EngineSilent: no connection, no answer in time, or none that is HTTP with JSON.
    """
    request = _request(path, body, post)
    if uid in evidence.accounts():
        data, sent = _exchanged(endpoint, request, seconds, uid, _MOST_BYTES), True
    else:
        data, sent = _as(uid, endpoint, seconds, lambda left: _exchanged(endpoint, request, left, uid, _MOST_OF_OTHERS))
    try:
        return _answer(endpoint, data)
    except EngineSilent as error:
        error.sent = sent
        raise


def peer(endpoint: str, seconds: float, uid: int) -> Peer:
    """Who listens there. Nothing is said to it.

    :param uid: the account of the engine that is looked for, as in `ask`.
    :raises EngineSilent: nobody, or not for us.
    """
    if uid in evidence.accounts():
        _admit(endpoint, uid)
        return _peered(endpoint, seconds)
    data, _sent = _as(uid, endpoint, seconds, lambda left: _UCRED.pack(*_peered(endpoint, left), 0))
    pid, owner, _gid = _UCRED.unpack(data)
    return Peer(pid, owner)


def is_engine(there: Peer, uid: int) -> bool:
    """Whether who listens is an engine of this account, as far as anybody can tell by the process.

    systemd has made the socket of an engine that it starts on demand. A process that we can't see (of another pid
    namespace, hidden, or gone) has nothing against it but also nothing for it: then the socket's place has to do.
    """
    if there.uid != uid:
        return False
    if os.geteuid() != 0 or uid != 0 or there.pid in (0, 1) or not os.path.exists("/proc/%d" % there.pid):
        return True
    return not _LISTENERS.isdisjoint(evidence.process_names(there.pid))


def _exchanged(endpoint: str, request: bytes, seconds: float, uid: int, most: int) -> bytes:
    """What an engine says to a request."""
    until = time.monotonic() + seconds
    sent = False
    _admit(endpoint, uid)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            _connect(link, endpoint, until)
            there = _peer(link)
            if there.uid != uid:
                raise EngineSilent(endpoint, "uid %d listens there, not uid %d" % (there.uid, uid))
            if not is_engine(there, uid):
                raise EngineSilent(endpoint, "pid %d listens there, which is no proven %s" % (there.pid, PROGRAM))
            # Before the first byte: when sending fails in the middle, the engine may have got enough of it.
            sent = True
            _in_time(link, until)
            link.sendall(request)
            return _read(link, until, most)
        except socket.timeout:
            # an OSError as well, but without an errno
            raise EngineSilent(endpoint, "no answer within %.3g s" % seconds, late=True, sent=sent) from None
        except OSError as error:
            refused = error.errno in (errno.EACCES, errno.EPERM)
            raise EngineSilent(endpoint, error.strerror or str(error), sent=sent, refused=refused) from None


def _peered(endpoint: str, seconds: float) -> Peer:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        try:
            _connect(link, endpoint, time.monotonic() + seconds)
            return _peer(link)
        except socket.timeout:
            raise EngineSilent(endpoint, "no connection within %.3g s" % seconds, late=True) from None
        except OSError as error:
            refused = error.errno in (errno.EACCES, errno.EPERM)
            raise EngineSilent(endpoint, error.strerror or str(error), refused=refused) from None


def _admit(endpoint: str, uid: int) -> None:
    """Root connects only to a socket that root has made in a folder that only root may write."""
    if os.geteuid() == 0 and uid == 0 and not proven(endpoint):
        try:
            there = stat.S_ISSOCK(os.stat(endpoint).st_mode)
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise EngineSilent(endpoint, why) from None
        raise EngineSilent(
            endpoint, "others than root may write its folder, or made it" if there else "there is no socket"
        )


def proven(endpoint: str) -> bool:
    """Whether only root can have put a socket there; also below /proc/PID/root, where a process has mounts of its own."""
    found = _ELSEWHERE.match(endpoint)
    if found is None:
        return evidence.listener(endpoint) is not None
    here = found.group(1)
    parts = [part for part in found.group(2).split("/") if part]
    try:
        for number, part in enumerate([""] + parts):
            here += "/" + part if part else "/"
            here = here.replace("//", "/")
            status = os.lstat(here)
            last = number == len(parts)
            # No links: they lead out of that process's root.
            if part == ".." or status.st_uid != 0 or not (stat.S_ISSOCK if last else stat.S_ISDIR)(status.st_mode):
                return False
            if not last and (status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid != 0)):
                return False
    except OSError:
        return False
    return True


def _as(uid: int, endpoint: str, seconds: float, work: t.Callable[[float], bytes]) -> t.Tuple[bytes, bool]:
    """What a piece of work gives that is done with another account's rights, and whether the engine was spoken to."""
    import json  # here, as the child should load nothing

    from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command

    if os.geteuid() != 0:
        raise EngineSilent(endpoint, "it is of uid %d, and only that account or root may ask it" % uid, refused=True)

    def child() -> bytes:
        try:
            return b"+" + work(max(seconds - _CHILD, 0.01))
        except EngineSilent as silence:
            # In UTF-8, as Python has that in itself: the account may not be allowed to read the modules of others.
            return b"-" + json.dumps([silence.why, silence.late, silence.sent, silence.refused]).encode("utf-8")

    try:
        data = command.call(child, seconds, uid, _MOST_OF_OTHERS + _MOST_HEADER_BYTES)
    except KeyError:
        raise EngineSilent(endpoint, "there is no account with uid %d" % uid) from None
    except OSError as error:
        raise EngineSilent(endpoint, "it can't be asked as uid %d: %s" % (uid, error)) from None
    if data is None:
        raise EngineSilent(endpoint, "no answer within %.3g s" % seconds, late=True, sent=True)
    if data.startswith(b"-"):
        why, late, sent, refused = json.loads(data[1:].decode("utf-8"))
        raise EngineSilent(endpoint, why, late, sent, refused)
    return data[1:], True


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


def _read(link: socket.socket, until: float, most: int) -> bytes:
    """All that it says until it closes, or until it has said as much as it promised."""
    data = bytearray()
    end: t.Optional[int] = None
    while end is None or len(data) < end:
        _in_time(link, until)
        more = link.recv(1 << 16)
        if not more:
            break
        data += more
        if len(data) > most:
            raise OSError(errno.EMSGSIZE, "an answer of more than %d MB" % (most >> 20))
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
