# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netlink, as thin as it goes. Private to harbormaster.ports: not an interface for other collections.

Asks the kernel one question at a time and frames its answer; what the payloads mean is the callers' business. The
layouts are those of linux/netlink.h; sock_diag's request, its destroy notes and SOCK_DESTROY are here because more than
one stage uses them (linux/sock_diag.h, linux/inet_diag.h).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import (
    NOT_PERMITTED,
    STEP_FAILED,
    ActError,
    MalformedData,
    SourceRefused,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._model import IPV4, TCP, UDP, Socket

NETLINK_ROUTE = 0
NETLINK_SOCK_DIAG = 4
NETLINK_GENERIC = 16

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP = 0x300

SOCK_DIAG_BY_FAMILY = 20
SOCK_DESTROY = 21

IPPROTO_NUMBERS = {TCP: 6, UDP: 17}

_NAMES = {NETLINK_ROUTE: "rtnetlink", NETLINK_SOCK_DIAG: "sock_diag", NETLINK_GENERIC: "generic netlink"}

_NLMSG_NOOP = 1
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLMSG_OVERRUN = 4
_NLM_F_DUMP_INTR = 0x10

# struct nlmsghdr: length with this header, type, flags, sequence, port id.
_HEADER = struct.Struct("=IHHII")
# struct nlattr: length with this header, type.
_ATTRIBUTE = struct.Struct("=HH")
_CODE = struct.Struct("=i")
# struct inet_diag_req_v2 up to its id: family, protocol, extensions, padding, states; the id has 48 bytes.
_DIAG_REQUEST = struct.Struct("=BBBBI")
DIAG_ID_SIZE = 48

# The two top bits of an attribute's type say how it is coded (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
_TYPE_MASK = 0x3FFF

# The kernel never builds a message of a dump larger than 32 KiB, whatever the reader offers.
_BUFFER = 65536

# A question that was disturbed is asked again this often: the table changed, or an answer got lost.
ATTEMPTS = 5

# enum sknetlink_groups, as the bit mask that bind() takes.
_DESTROY_GROUPS = {TCP: 1 << 0 | 1 << 2, UDP: 1 << 1 | 1 << 3}


class Refused(SourceRefused):
    """The kernel said no, with an errno (a positive number)."""

    def __init__(self, source: str, number: int) -> None:
        super().__init__(source, os.strerror(number))
        self.errno = number


class Interrupted(SourceRefused):
    """What was asked for changed while the kernel told it, so the answer has holes. Asking again helps."""


Message = t.Tuple[int, int, int, bytes]


def messages(data: bytes) -> t.Iterator[Message]:
    """Split what one recv() brought into messages.

    :returns: (type, flags, sequence, payload) of each.
    :raises MalformedData: a length that can't be, or a torn header. Messages before it may have been yielded:
        a caller uses nothing of them before the iterator's end.
    """
    offset, end = 0, len(data)
    unpack = _HEADER.unpack_from
    while offset < end:
        if end - offset < 16:
            raise MalformedData("netlink", "torn message header", data[offset:])
        length, type_, flags, sequence, _port = unpack(data, offset)
        if length < 16 or length > end - offset:
            raise MalformedData("netlink", "message length %d of %d bytes left" % (length, end - offset), data[offset:])
        yield type_, flags, sequence, data[offset + 16 : offset + length]
        offset += length + 3 & ~3


def attributes(data: bytes) -> t.Iterator[t.Tuple[int, bytes]]:
    """Split a run of ``struct nlattr`` (or ``rtattr``, the same layout) into (type, value).

    :raises MalformedData: as `messages`.
    """
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < 4:
            raise MalformedData("netlink", "torn attribute header", data[offset:])
        length, type_ = _ATTRIBUTE.unpack_from(data, offset)
        if length < 4 or length > end - offset:
            raise MalformedData(
                "netlink", "attribute length %d of %d bytes left" % (length, end - offset), data[offset:]
            )
        yield type_ & _TYPE_MASK, data[offset + 4 : offset + length]
        offset += length + 3 & ~3


def attribute(type_: int, value: bytes) -> bytes:
    """One ``struct nlattr`` with its padding."""
    return _ATTRIBUTE.pack(4 + len(value), type_) + value + bytes(-len(value) % 4)


class Netlink:
    """A netlink socket of one family, for one question after the other.

    :param family: one of the NETLINK_* numbers.
    :raises Refused: on construction, when the kernel or a seccomp filter does not give us such a socket.
    """

    def __init__(self, family: int) -> None:
        self.source = _NAMES.get(family, "netlink %d" % family)
        self._sequence = 0
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        except OSError as error:
            # EPERM, EACCES: seccomp or SELinux; EPROTONOSUPPORT, EAFNOSUPPORT: not in this kernel (or sandbox).
            raise Refused(self.source, error.errno or errno.EIO) from error

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def request(self, type_: int, flags: int, payload: bytes, timeout: float) -> t.Iterator[t.Tuple[int, bytes]]:
        """Ask, and yield (type, payload) of the answer's messages until the kernel says that it is complete.

        Exhaust the iterator before the next request: the kernel runs one dump a socket at a time.

        :param flags: NLM_F_DUMP for a table; without it an acknowledgement is asked for, which ends the answer.
        :param timeout: seconds for the whole answer.
        :raises Refused: an error message, or a dump that ended with an error (a missing handler does that).
        :raises Interrupted: the dump is inconsistent or part of it was lost.
        :raises SourceRefused: no end of the answer within the timeout.
        :raises MalformedData: bytes that are not netlink messages.
        """
        self._sequence += 1
        if flags & NLM_F_DUMP != NLM_F_DUMP:
            flags |= NLM_F_ACK
        header = _HEADER.pack(16 + len(payload), type_, flags | NLM_F_REQUEST, self._sequence, 0)
        deadline = time.monotonic() + timeout
        try:
            self._socket.settimeout(timeout)
            self._socket.sendto(header + payload, (0, 0))
        except OSError as error:
            raise Refused(self.source, error.errno or errno.EIO) from error
        torn = False
        while True:
            for kind, message_flags, sequence, body in messages(self._receive(deadline)):
                if sequence != self._sequence:
                    continue
                torn = torn or bool(message_flags & _NLM_F_DUMP_INTR)
                if kind >= 16:
                    yield kind, body
                elif kind in (_NLMSG_ERROR, _NLMSG_DONE):
                    self._check(kind, body)
                    if torn:
                        raise Interrupted(self.source, "the table changed while it was read")
                    return
                elif kind == _NLMSG_OVERRUN:
                    raise Interrupted(self.source, "messages were lost")
                elif kind != _NLMSG_NOOP:
                    raise MalformedData(self.source, "unknown control message %d" % kind, body)

    def _check(self, kind: int, body: bytes) -> None:
        """Raise what an NLMSG_ERROR or NLMSG_DONE carries: 0 is an acknowledgement, a negative errno a refusal."""
        if len(body) < 4:
            if kind == _NLMSG_DONE and not body:
                return
            raise MalformedData(self.source, "torn end of an answer", body)
        (code,) = _CODE.unpack_from(body)
        if code < 0:
            raise Refused(self.source, -code)
        if code > 0 and kind == _NLMSG_ERROR:
            raise MalformedData(self.source, "positive error code %d" % code, body)

    def _receive(self, deadline: float) -> bytes:
        """The kernel's next datagram."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise SourceRefused(self.source, "no complete answer in time")
            self._socket.settimeout(left)
            try:
                data, _ancillary, flags, sender = self._socket.recvmsg(_BUFFER)
            except socket.timeout:
                continue
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    # The receive buffer overflowed: the kernel dropped a part of the answer.
                    raise Interrupted(self.source, "messages were lost") from error
                raise Refused(self.source, error.errno or errno.EIO) from error
            if sender[0] != 0:
                # Not from the kernel: a program may send to our port id.
                continue
            if flags & socket.MSG_TRUNC:
                raise MalformedData(self.source, "a message of more than %d bytes" % _BUFFER, data)
            if not data:
                raise MalformedData(self.source, "an empty message")
            return data


def ask(family: int, type_: int, flags: int, payload: bytes, timeout: float = 15.0) -> t.List[t.Tuple[int, bytes]]:
    """Ask one question on a socket of its own, again when the answer was disturbed.

    :returns: (type, payload) of every message of the answer.
    :raises SourceRefused, MalformedData: as `Netlink.request`; Interrupted after `ATTEMPTS` disturbed answers.
    """
    for attempt in range(ATTEMPTS):
        with Netlink(family) as link:
            try:
                return list(link.request(type_, flags, payload, timeout))
            except Interrupted:
                if attempt == ATTEMPTS - 1:
                    raise
    raise SourceRefused(_NAMES.get(family, "netlink"), "no undisturbed answer")


def diag_request(family: int, protocol: int, states: int, diag_id: bytes = bytes(DIAG_ID_SIZE)) -> bytes:
    """``struct inet_diag_req_v2`` of linux/inet_diag.h.

    :param family: AF_INET or AF_INET6; the kernel takes no AF_UNSPEC here.
    :param states: bit mask over the states' numbers, see linux/tcp_states.h.
    """
    return _DIAG_REQUEST.pack(family, protocol, 0, 0, states) + diag_id


def destroy(row: Socket) -> bool:
    """Close one socket on behalf of its program, which lives on and sees an error on it (SOCK_DESTROY).

    The row's cookie makes sure that it hits this very socket and not a later one with the same addresses. A bound
    socket that is neither connected nor listening can't be found this way: the kernel says that it is gone. So look
    again afterwards.

    :returns: False when the kernel found no such socket any more.
    :raises ActError: `not_permitted` or `step_failed`, in words that say what would help.
    """
    name = ("[%s]:%d/%s" if ":" in row.address else "%s:%d/%s") % (row.address, row.port, row.protocol)
    if len(row.diag_id) != DIAG_ID_SIZE:
        raise ActError(STEP_FAILED, "the socket %s can't be closed: only netlink rows can be" % name)
    family = socket.AF_INET if row.family == IPV4 else socket.AF_INET6
    payload = diag_request(family, IPPROTO_NUMBERS[row.protocol], 0xFFFFFFFF, row.diag_id)
    try:
        ask(NETLINK_SOCK_DIAG, SOCK_DESTROY, 0, payload)
    except Refused as error:
        if error.errno == errno.ENOENT:
            # It ended by itself since it was seen.
            return False
        if error.errno in (errno.EPERM, errno.EACCES):
            raise ActError(
                NOT_PERMITTED,
                "the socket %s can't be closed: this needs CAP_NET_ADMIN (become: true)" % name,
            ) from error
        if error.errno == errno.EOPNOTSUPP:
            raise ActError(
                STEP_FAILED,
                "the socket %s can't be closed: this kernel was built without INET_DIAG_DESTROY" % name,
            ) from error
        raise ActError(STEP_FAILED, "the socket %s can't be closed: %s" % (name, error.why)) from error
    except SourceRefused as error:
        raise ActError(STEP_FAILED, "the socket %s can't be closed: %s" % (name, error.why)) from error
    return True


def destroy_watch(protocols: t.Iterable[str] = (TCP, UDP)) -> t.Optional[socket.socket]:
    """A non-blocking socket that becomes readable whenever a TCP or UDP socket of this network namespace ends.

    It tells of every socket, so a reader looks again at its own ports and goes on waiting; `drain_watch` empties it.
    TIME_WAIT ends silently. Needs no privileges. The caller closes it.

    :returns: None where the kernel (before 4.4) or a sandbox does not give it: then wait in small steps.
    """
    groups = 0
    for protocol in protocols:
        groups |= _DESTROY_GROUPS[protocol]
    watch: t.Optional[socket.socket] = None
    try:
        watch = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_SOCK_DIAG
        )
        watch.bind((0, groups))
    except OSError:
        # Whatever the reason, waiting works without it too.
        if watch is not None:
            watch.close()
        return None
    return watch


def drain_watch(watch: socket.socket) -> None:
    """Throw away what a `destroy_watch` has told so far, so that it becomes readable only on news."""
    for _turn in range(10000):
        try:
            watch.recv(1)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                # EAGAIN: it is empty. ENOBUFS only says that notes were dropped, and there may be more.
                return
