# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the options of a task to Wishes and a Policy. Private to harbormaster.ports.

Every bad value is one sentence that names the option, the value and what is allowed.
"""

from __future__ import annotations

import math
import re
import signal as signals
import socket
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError
from ansible_collections.harbormaster.ports.plugins.module_utils._model import TCP, UDP, Patterns, Policy, Wish

MOST_PORTS = 4096
# Wishes with all repeats in them: tcp and udp of each port, and of each range that overlaps with others.
MOST_WITH_REPEATS = 16 * MOST_PORTS
LONGEST_WAIT = 86400.0
PORTS_ALLOWED = "allowed are 1 to 65535, a range such as 8000-8010, or a service name such as https, each with /tcp or /udp if wanted"

# Of bounded length: Python refuses to convert numbers of thousands of digits.
_RANGE = re.compile(r"([0-9]{1,9})-([0-9]{1,9})\Z")
_ONLY_DIGITS = re.compile(r"[0-9]{1,9}\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*\Z")


def wishes(params: t.Mapping[str, t.Any]) -> t.Tuple[Wish, ...]:
    """The wishes of a task, in the order in which they were given, each (port, protocol) of an item once.

    :param params: the module's parameters, after Ansible's own checks of types and choices.
    :raises OptionError: for each value that can't be used.
    """
    free = params["state"] == "free"
    found: t.List[Wish] = []
    asked: t.Set[t.Tuple[t.Any, ...]] = set()
    if params.get("plan") is not None:
        if not params["plan"]:
            return ()
        for index, item in enumerate(params["plan"]):
            # What an item does not say itself, the task says for all of them.
            own = {name: value for name, value in item.items() if value is not None}
            wished = _item({**params, **own}, "plan[%d]." % index, index, free)
            found.extend(wished)
            _check_size("plan", asked, found, wished)
    else:
        if not params["port"]:
            raise OptionError("port", params["port"], "give at least one port; " + PORTS_ALLOWED)
        for index, text in enumerate(dict.fromkeys(params["port"])):
            wished = _item(dict(params, port=text), "", index, free)
            found.extend(wished)
            _check_size("port", asked, found, wished)
    return _without_repeats(found)


def policy(params: t.Mapping[str, t.Any]) -> Policy:
    """The options that hold for the whole task.

    :raises OptionError: for negative or endless times and unknown signals.
    """
    return Policy(
        state=params["state"],
        method=params["method"],
        signal=signal_name(params["signal"]),
        grace_period=_seconds("grace_period", params["grace_period"]),
        force=params["force"],
        drain=_seconds("drain", params["drain"]) or 0.0,
        settle=_seconds("settle", params["settle"]),
        timeout=_seconds("timeout", params["timeout"]) or 0.0,
        close_blocking=params["close_blocking"],
        collateral=params["collateral"],
        persist=params["persist"],
        protect=_patterns("protect", params["protect"], True) or (),
        unprotect=_patterns("unprotect", params["unprotect"], True) or (),
    )


def signal_name(value: t.Any) -> str:
    """``TERM`` for ``TERM``, ``SIGTERM``, ``term`` or ``15``; real-time signals by number.

    :raises OptionError: for a signal that this system does not have.
    """
    text = str(value).strip().upper()
    text = text[3:] if text.startswith("SIG") else text
    allowed = "allowed are a signal's name such as TERM, INT, HUP or KILL, or its number from 1 to %d" % (
        signals.NSIG - 1
    )
    if _ONLY_DIGITS.match(text):
        number = int(text)
        if not 1 <= number < signals.NSIG:
            raise OptionError("signal", value, allowed)
        try:
            return signals.Signals(number).name[3:]
        except ValueError:
            return str(number)
    if "SIG" + text not in signals.Signals.__members__:
        raise OptionError("signal", value, allowed)
    return text


def signal_number(name: str) -> int:
    """The number of a name that ``signal_name`` gave."""
    return int(name) if _ONLY_DIGITS.match(name) else int(signals.Signals["SIG" + name])


def parse_ports(text: str, option: str = "port") -> t.Tuple[t.Tuple[int, int], t.Optional[str]]:
    """``8000-8010/tcp`` -> ((8000, 8010), "tcp"); without a protocol the second part is None.

    :raises OptionError: when the text is no port, no range and no known service name.
    """
    whole = str(text)
    stem, slash, protocol = whole.strip().partition("/")
    stem, protocol = stem.strip(), protocol.strip().lower()
    if slash and protocol not in (TCP, UDP):
        raise OptionError(option, whole, "after the slash tcp or udp is allowed")
    span = _RANGE.match(stem)
    if span:
        first, last = int(span.group(1)), int(span.group(2))
        if first > last:
            raise OptionError(option, whole, "the range ends before it begins; write %d-%d" % (last, first))
    elif _ONLY_DIGITS.match(stem):
        first = last = int(stem)
    elif not _NAME.match(stem) or (stem[0].isdigit() and set(stem) <= set("0123456789-._+")):
        raise OptionError(option, whole, PORTS_ALLOWED)
    else:
        first = last = _service_port(stem, protocol or None, option, whole)
    if first < 1 or last > 65535:
        raise OptionError(option, whole, "a port is a number from 1 to 65535")
    return (first, last), protocol or None


def plain_address(text: t.Any, option: str = "address") -> str:
    """An IPv4 or IPv6 address in its shortest form; an IPv4-mapped one as IPv4.

    :raises OptionError: for everything else: names, networks, zones.
    """
    allowed = "an IPv4 or IPv6 address is allowed, such as 192.0.2.10 or 2001:db8::1; no name, no network, no zone"
    stripped = str(text).strip()
    if ":" not in stripped:
        try:
            return socket.inet_ntop(socket.AF_INET, socket.inet_pton(socket.AF_INET, stripped))
        except (OSError, ValueError):
            raise OptionError(option, text, allowed) from None
    try:
        packed = socket.inet_pton(socket.AF_INET6, stripped)
    except (OSError, ValueError):
        raise OptionError(option, text, allowed) from None
    if packed.startswith(b"\0" * 10 + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed)


def _check_size(
    option: str, asked: t.Set[t.Tuple[t.Any, ...]], found: t.Sequence[Wish], wished: t.Sequence[Wish]
) -> None:
    """Asked after each item: a list of a thousand ranges must not fill the memory first. What is asked for twice counts once."""
    asked.update((wish.port, wish.address, wish.owner, wish.keep, wish.stop_only, wish.user) for wish in wished)
    if len(asked) > MOST_PORTS:
        raise OptionError(option, "%d ports" % len(asked), "at most %d ports fit in one task" % MOST_PORTS)
    if len(found) > MOST_WITH_REPEATS:
        raise OptionError(
            option,
            "%d ports with all repeats" % len(found),
            "at most %d ports fit in one task, each named once" % MOST_PORTS,
        )


def _item(item: t.Mapping[str, t.Any], prefix: str, request: int, free: bool) -> t.List[Wish]:
    """The wishes of one item of the plan, or of one element of ``port``."""
    in_plan = bool(prefix)
    (first, last), suffix = parse_ports(item["port"], prefix + "port")
    if last - first >= MOST_PORTS:
        raise OptionError(prefix + "port", item["port"], "at most %d ports fit in one task" % MOST_PORTS)
    owner = _patterns(prefix + "owner", item.get("owner"), in_plan)
    if free and owner:
        raise OptionError(
            prefix + "owner",
            ", ".join(owner),
            "with state=free say keep for who may stay, or stop_only for the only ones that may be stopped",
        )
    asked = suffix or item.get("protocol") or "any"
    address = item.get("address")
    common: t.Dict[str, t.Any] = {
        "named": asked != "any",
        "address": None if address is None else plain_address(address, prefix + "address"),
        "owner": None if free else owner,
        "keep": _patterns(prefix + "keep", item.get("keep"), False) if free else None,
        "stop_only": _patterns(prefix + "stop_only", item.get("stop_only"), False) if free else None,
        "user": _accounts(_patterns(prefix + "user", item.get("user"), False)),
        "request": request,
    }
    protocols = (TCP, UDP) if asked == "any" else (asked,)
    return [Wish(port, protocol, **common) for port in range(first, last + 1) for protocol in protocols]


def _patterns(option: str, values: t.Optional[t.Sequence[str]], may_be_empty: bool) -> Patterns:
    if values is None:
        return None
    if not values and not may_be_empty:
        raise OptionError(
            option, values, "an empty list is not allowed, it could mean all or nobody; leave the option out"
        )
    cleaned = tuple(str(value).strip() for value in values)
    if not all(cleaned):
        raise OptionError(option, list(values), "an empty name is not allowed; '*' stands for anybody")
    if not all(value.isprintable() for value in cleaned):
        raise OptionError(option, list(values), "only printable characters are allowed in a name")
    return cleaned


def _accounts(names: Patterns) -> Patterns:
    """The accounts, with the number of each that shares it with another one: a process of ``toor`` is shown as root's."""
    if names is None:
        return None
    numbers = []
    for name in names:
        try:
            import pwd  # here: Windows has none, and most tasks name no account

            uid = pwd.getpwnam(name).pw_uid
            if pwd.getpwuid(uid).pw_name != name:
                numbers.append(str(uid))
        except (ImportError, KeyError, ValueError):
            # A pattern, a number, or no account of this host.
            continue
    return names + tuple(number for number in numbers if number not in names)


def _seconds(option: str, value: t.Optional[float]) -> t.Optional[float]:
    if value is None:
        return None
    if not math.isfinite(value) or not 0 <= value <= LONGEST_WAIT:
        raise OptionError(option, value, "allowed are 0 to %d seconds" % LONGEST_WAIT)
    return float(value)


def _service_port(name: str, protocol: t.Optional[str], option: str, whole: str) -> int:
    try:
        return socket.getservbyname(name, protocol) if protocol else socket.getservbyname(name)
    except OSError:
        raise OptionError(
            option,
            whole,
            "the host knows no %sservice of that name (/etc/services); give the number"
            % (protocol + " " if protocol else ""),
        ) from None


def _without_repeats(found: t.Sequence[Wish]) -> t.Tuple[Wish, ...]:
    """Each wish once: ``80,80/tcp`` asks for 80/tcp one time, and then by name."""
    unique: t.Dict[t.Tuple[t.Any, ...], Wish] = {}
    for wish in found:
        identity = (wish.port, wish.protocol, wish.address, wish.owner, wish.keep, wish.stop_only, wish.user)
        if identity not in unique or (wish.named and not unique[identity].named):
            unique[identity] = wish
    return tuple(unique.values())
