# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of the role, and the wishes that it means before and after a deploy. Private to harbormaster.ports.

Everything is checked here, on the controller and before a host is asked, in the words of the one who wrote the plan. Only
names of services are left to the hosts: each has its own list of them.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import OptionError, quoted
from ansible_collections.harbormaster.ports.plugins.module_utils._wishes import wishes

CLEAR, VERIFY = PURPOSES = ("clear", "verify")
PROTOCOLS = ("any", "tcp", "udp")
NAMES = ("owner", "keep", "stop_only", "user")
KEYS = ("port", "protocol", "address", *NAMES)

_SHAPE = (
    "a list is wanted, of ports such as 8080 or 443/tcp and of dictionaries such as {port: 443/tcp, owner: [nginx]}"
)
_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*\Z")

Item = t.Dict[str, t.Any]


class PlanError(Exception):
    """A plan that can't be used; a sentence for people."""


def normalise(plan: t.Any, purpose: str, keep_owner: bool = True, option: str = "clear_ports_plan") -> t.List[Item]:
    """The plan as the option ``plan`` of port_owner takes it.

    :param plan: what the user wrote.
    :param purpose: ``clear`` for ``state: free`` before a deploy, ``verify`` for ``state: present`` after it.
    :param keep_owner: whether the right owner may stay while the ports are cleared.
    :param option: the variable's name, for sentences.
    :raises PlanError: for each value that can't be used.
    """
    if purpose not in PURPOSES:
        raise PlanError("purpose: %s is not usable: clear or verify is allowed" % quoted(purpose))
    found = items(plan, option)
    if purpose == VERIFY:
        return [_claim(item) for item in found if item.get("owner") is not None]
    return [_clearing(item, keep_owner) for item in found]


def items(plan: t.Any, option: str = "clear_ports_plan") -> t.List[Item]:
    """The items of a plan: each with ``port`` as text, those of the other KEYS that the user gave, and lists of names.

    :raises PlanError: for each value that can't be used.
    """
    found = [_item(item, "%s[%d]" % (option, index)) for index, item in enumerate(_listed(plan, option))]
    for state in ("present", "free"):
        given = [_without_service_name(item, state) for item in found]
        try:
            wishes({"state": state, "plan": given, "protocol": "any"})
        except OptionError as error:
            # It speaks of "plan[0].port", the user of a variable.
            raise PlanError(re.sub(r"\Aplan", lambda dummy: option, error.message)) from error
    return found


def _listed(plan: t.Any, option: str) -> t.Sequence[t.Any]:
    """A list as it is; the text of ``-e plan=8080,443/tcp`` and a lone number in one."""
    if plan is None:
        return []
    if isinstance(plan, str):
        return [part.strip() for part in plan.split(",")] if plan.strip() else []
    if isinstance(plan, int) and not isinstance(plan, bool):
        return [plan]
    if not isinstance(plan, (list, tuple)):
        raise PlanError("%s: %s is not usable: %s" % (option, quoted(plan), _SHAPE))
    return plan


def _item(given: t.Any, place: str) -> Item:
    if not isinstance(given, t.Mapping):
        return {"port": _port(given, place)}
    unknown = [str(key) for key in given if key not in KEYS]
    if unknown:
        raise PlanError("%s: there is no key %s: %s are allowed" % (place, quoted(unknown[0]), ", ".join(KEYS)))
    item: Item = {"port": _port(given.get("port"), place + ".port")}
    for key in KEYS[1:]:
        if given.get(key) is not None:
            item[key] = _names(given[key], "%s.%s" % (place, key)) if key in NAMES else given[key]
    if item.get("protocol", "any") not in PROTOCOLS:
        raise PlanError(
            "%s.protocol: %s is not usable: %s is allowed" % (place, quoted(item["protocol"]), "any, tcp or udp")
        )
    if item.get("owner") == [] and "keep" in item:
        raise PlanError(
            "%s: owner says that nobody may hold the port, and keep lets somebody: drop one of them" % place
        )
    return item


def _port(given: t.Any, place: str) -> str:
    if isinstance(given, bool) or not isinstance(given, (int, str)):
        raise PlanError(
            "%s: %s is not usable: a port is wanted, such as 8080, 443/tcp, 9000-9010 or https" % (place, quoted(given))
        )
    return str(given).strip()


def _names(given: t.Any, place: str) -> t.List[str]:
    if isinstance(given, str):
        return [name.strip() for name in given.split(",")]
    # A number among them is an account's.
    if isinstance(given, (list, tuple)) and all(
        isinstance(name, (str, int)) and not isinstance(name, bool) for name in given
    ):
        return [str(name) for name in given]
    if isinstance(given, int) and not isinstance(given, bool):
        return [str(given)]
    raise PlanError("%s: %s is not usable: a name or a list of names is wanted" % (place, quoted(given)))


def _without_service_name(item: Item, state: str) -> Item:
    """The item as far as it can be judged away from the host, with the port 1 in place of a service's name."""
    judged = dict(item)
    if state == "free":
        judged.pop("owner", None)
    stem, slash, protocol = item["port"].partition("/")
    named = _SERVICE_NAME.match(stem.strip()) and not set(stem) <= set("0123456789-._+ ")
    if named and (not slash or protocol.strip().lower() in PROTOCOLS[1:]):
        judged["port"] = "1" + slash + protocol
    return judged


def _claim(item: Item) -> Item:
    """After the deploy: who has to hold the port."""
    return {key: item[key] for key in ("port", "protocol", "address", "owner", "user") if key in item}


def _clearing(item: Item, keep_owner: bool) -> Item:
    """Before the deploy: who may stay, and who may be stopped."""
    wish = {key: value for key, value in item.items() if key != "owner"}
    if keep_owner and item.get("owner"):
        wish["keep"] = list(dict.fromkeys([*item["owner"], *item.get("keep", [])]))
    return wish
