# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to facts about ports. Private to harbormaster.ports: not an interface for other collections.

The rows may come from harbormaster.ports, community.general or ansible.windows. What one of these does not say is never
taken for "no": a question that its rows can't answer is an error.
"""

from __future__ import annotations

import fnmatch
import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import PortsError
from ansible_collections.harbormaster.ports.plugins.module_utils._wishes import parse_ports, plain_address

Row = t.Mapping[str, t.Any]

PROTOCOLS = ("tcp", "udp")
_GATHER = (
    "gather them first, with harbormaster.ports.listen_ports_facts, community.general.listen_ports_facts or "
    "ansible.windows.win_listen_ports_facts, and give the filter or test ansible_facts"
)
# States without a process that holds the port: a server can bind it all the same. Written as `_state` gives them.
_LEFT_OVER = {"TIMEWAIT", "FINWAIT1", "FINWAIT2", "LASTACK", "CLOSING", "SYNRECV", "SYNRECEIVED", "DELETETCB"}
_NOT_LETTERS = re.compile("[^A-Z0-9]")


class QuestionError(Exception):
    """Facts that are not there, or not such that the question can be answered; a sentence for people."""


class Question(t.NamedTuple):
    """What is asked for; None where everything will do.

    :param ports: (first, last, protocol or None).
    :param owner: globs, likewise ``service`` and ``container``.
    """

    ports: t.Optional[t.Tuple[t.Tuple[int, int, t.Optional[str]], ...]] = None
    protocol: str = "any"
    address: t.Optional[str] = None
    owner: t.Optional[t.Tuple[str, ...]] = None
    service: t.Optional[t.Tuple[str, ...]] = None
    container: t.Optional[t.Tuple[str, ...]] = None


def question(
    port: t.Any = None,
    protocol: t.Any = "any",
    address: t.Any = None,
    owner: t.Any = None,
    service: t.Any = None,
    container: t.Any = None,
) -> Question:
    """Understand the arguments of a filter or test.

    :raises QuestionError: for a value that can't be used.
    """
    asked = str(protocol).lower()
    if asked not in (*PROTOCOLS, "any"):
        raise QuestionError("protocol: %r is not usable: any, tcp or udp is allowed" % (protocol,))
    try:
        ports = None if port is None else tuple(_ports(port))
        place = None if address is None else plain_address(address)
    except PortsError as error:
        raise QuestionError(error.message) from error
    return Question(
        ports, asked, place, _globs("owner", owner), _globs("service", service), _globs("container", container)
    )


def ask(facts: t.Any, asked: Question) -> t.List[Row]:
    """The rows that are meant, in the order in which the facts have them.

    :raises QuestionError: the facts are not there, or do not say what is asked for.
    """
    rows = [row for row in _rows(facts, _protocols(asked)) if _on_port(row, asked) and _meets(row, asked.address)]
    if asked.owner is not None:
        _must_say(rows, "name", "owner")
        rows = [row for row in rows if any(_matches(_names(one), asked.owner) for one in _people(row))]
    if asked.service is not None:
        _must_say(rows, "service", "service")
        rows = [row for row in rows if any(_matches(_unit(one), asked.service) for one in _people(row))]
    if asked.container is not None:
        _must_say(rows, "container", "container")
        rows = [row for row in rows if any(_matches(_container(one), asked.container) for one in _people(row))]
    return rows


def holding(rows: t.Iterable[Row]) -> t.List[Row]:
    """Those of the rows that keep a server from binding the port: all but what closed connections have left."""
    return [row for row in rows if _state(row) not in _LEFT_OVER]


def _ports(given: t.Any) -> t.Iterator[t.Tuple[int, int, t.Optional[str]]]:
    items = given if isinstance(given, (list, tuple, set)) else [given]
    if not items:
        raise QuestionError("port: an empty list is not usable: it could mean all or none")
    for item in items:
        if isinstance(item, bool) or not isinstance(item, (int, str)):
            raise QuestionError("port: %r is not usable: a number, a range or a service name is allowed" % (item,))
        (first, last), protocol = parse_ports(str(item))
        yield first, last, protocol


def _globs(option: str, given: t.Any) -> t.Optional[t.Tuple[str, ...]]:
    if given is None:
        return None
    items = [given] if isinstance(given, str) else given
    if not isinstance(items, (list, tuple, set)) or not items or not all(isinstance(one, str) and one for one in items):
        raise QuestionError("%s: %r is not usable: a name or a list of names is allowed" % (option, given))
    return tuple(items)


def _protocols(asked: Question) -> t.Tuple[str, ...]:
    """The protocols whose rows are needed for an answer."""
    needed = {suffix or asked.protocol for _first, _last, suffix in asked.ports or ((0, 0, None),)}
    return tuple(protocol for protocol in PROTOCOLS if protocol in needed or "any" in needed)


def _rows(facts: t.Any, protocols: t.Iterable[str]) -> t.List[Row]:
    """Every row of these protocols: out of ansible_facts, of a module's result, or of a list of rows."""
    if _is_missing(facts):
        raise QuestionError("there are no facts about ports here: " + _GATHER)
    if isinstance(facts, t.Mapping):
        if (
            "tcp_listen" not in facts
            and "udp_listen" not in facts
            and isinstance(facts.get("ansible_facts"), t.Mapping)
        ):
            facts = facts["ansible_facts"]
        found: t.List[t.Any] = []
        for protocol in protocols:
            rows = facts.get(protocol + "_listen")
            if _is_missing(rows) or not _is_list(rows):
                raise QuestionError("%s_listen is not in these facts: %s" % (protocol, _GATHER))
            found += rows
    elif _is_list(facts):
        # one of the two lists, or both added up: the rows say which protocol they are of
        found = [row for row in facts if not isinstance(row, t.Mapping) or row.get("protocol") in (None, *protocols)]
    else:
        raise QuestionError(
            "facts about ports are a dictionary or a list of rows, not %s: %s" % (_kind(facts), _GATHER)
        )
    for row in found:
        if not isinstance(row, t.Mapping) or "port" not in row or "address" not in row:
            raise QuestionError("a row without port and address is not one of facts about ports: %.80r" % (row,))
    return found


def _is_missing(value: t.Any) -> bool:
    # Jinja's undefined values, of whatever flavour: an import of jinja2 would not know all of them
    return value is None or any(parent.__name__ == "Undefined" for parent in type(value).__mro__)


def _is_list(value: t.Any) -> bool:
    return isinstance(value, t.Sequence) and not isinstance(value, (str, bytes))


def _kind(value: t.Any) -> str:
    return "text" if isinstance(value, str) else "a %s" % type(value).__name__


def _on_port(row: Row, asked: Question) -> bool:
    own = row.get("protocol")
    if asked.ports is None:
        return asked.protocol == "any" or own in (None, asked.protocol)
    number = int(row["port"])
    for first, last, suffix in asked.ports:
        protocol = suffix or asked.protocol
        if first <= number <= last and (protocol == "any" or own in (None, protocol)):
            return True
    return False


def _meets(row: Row, address: t.Optional[str]) -> bool:
    """Whether a bind to the address would meet this row. ``*`` is how ss writes a dual-stack wildcard."""
    if address is None:
        return True
    own = str(row["address"]).partition("%")[0].strip("[]")
    if own.startswith("::ffff:") and "." in own:
        own = own[len("::ffff:") :]
    dual = own == "*" or (own == "::" and not row.get("v6only"))
    if dual or own == address or address == "::":
        return True
    if ":" not in address:
        return own == "0.0.0.0" or (address == "0.0.0.0" and ":" not in own)
    return own == "::"


def _must_say(rows: t.Sequence[Row], key: str, option: str) -> None:
    for row in rows:
        if key not in row:
            raise QuestionError(
                "%s: the row of port %s does not have the key %s; facts of harbormaster.ports.listen_ports_facts do"
                % (option, row["port"], key)
            )
        if row.get("owner_status") == "not_asked":
            raise QuestionError("%s: these facts were gathered with details=none, which leaves it out" % option)


def _people(row: Row) -> t.List[Row]:
    """Everybody who shares the socket: for rows without ``owners``, the row itself."""
    return list(row.get("owners") or [row])


def _names(one: Row) -> t.List[str]:
    """What an ``owner`` may match: name, executable, unit, container."""
    names = [str(one.get("name") or "")]
    path = str(one.get("exe") or "")
    names.append(re.split(r"[/\\]", path)[-1])
    names += [name[:-4] for name in names if name.lower().endswith(".exe")]
    return names + _unit(one) + _container(one)


def _unit(one: Row) -> t.List[str]:
    """A unit with and without its suffix, and the stem of its template."""
    unit = str(one.get("service") or "")
    stem = unit.rpartition(".")[0] or unit
    return [unit, stem, stem.partition("@")[0]]


def _container(one: Row) -> t.List[str]:
    container = one.get("container")
    if isinstance(container, t.Mapping):
        return [str(container.get(key) or "") for key in ("name", "id")] + [str(container.get("id") or "")[:12]]
    return [str(container or "")]


def _matches(names: t.Sequence[str], globs: t.Iterable[str]) -> bool:
    # Windows tells upper case from lower case in no name, and is known by the suffix of its programs.
    fold = any(name.lower().endswith(".exe") for name in names)
    for glob in globs:
        for name in names:
            if name and (fnmatch.fnmatchcase(name, glob) or (fold and fnmatch.fnmatchcase(name.lower(), glob.lower()))):
                return True
    return False


def _state(row: Row) -> str:
    """The state in capital letters alone, as TIME_WAIT, TIME-WAIT and TimeWait are one; empty when it is not said."""
    return _NOT_LETTERS.sub("", str(row.get("state") or "").upper())
