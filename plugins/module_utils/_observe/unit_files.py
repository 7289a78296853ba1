# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where systemd's unit files lie, and what makes a unit start at boot. Private to harbormaster.ports.

A unit starts because another one wants it. ``systemctl disable`` takes away the links that say so in the administrator's
directory, and nothing else: not a Wants= in another unit's file, not a link that a package or a generator brings. A unit
like that is masked, by a link in the same directory, which is impossible where the unit's own file lies there. Links and
files of the directories for the time until the next boot are gone then; what generators write is written again. See
systemctl(1), systemd.generator(7) and systemd.unit(5), "Unit File Load Path".
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._linux import evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._model import UnitFacts

# The directories that systemctl itself changes: the lasting one first, then the one until the next boot.
_SYSTEM = ("/etc/systemd/system", "/run/systemd/system")
# Where names are looked up besides: for other names of a unit (default.target), and to tell what is linked from elsewhere.
_PACKAGED = ("/usr/local/lib/systemd/", "/usr/lib/systemd/", "/lib/systemd/")
# Written again by each boot.
_GENERATED = ("/run/systemd/generator", "/run/systemd/generator.early", "/run/systemd/generator.late")
# More that a boot takes away, and what goes before a mask.
_TRANSIENT = ("/run/systemd/transient", "/run/systemd/system.control", "/run/systemd/system.attached")
_BEFORE_MASKS = ("/etc/systemd/system.control", "/run/systemd/generator.early")
_WANTING = ("wants", "requires", "upholds")

# Where the files lie that say what D-Bus starts (dbus-daemon(1)).
_ACTIVATION = tuple(
    place + "/dbus-1/system-services" for place in ("/etc", "/run", "/usr/local/share", "/usr/share", "/lib")
)
_MOST_FILES = 1000
_UNIT_OF_BUS = re.compile(rb"^[ \t]*SystemdService[ \t]*=[ \t]*(\S{1,255})[ \t]*$", re.MULTILINE)
_NAME_OF_BUS = re.compile(rb"^[ \t]*Name[ \t]*=[ \t]*(\S{1,255})[ \t]*$", re.MULTILINE)


class _Places(t.NamedTuple):
    """The directories of one kind of service manager.

    :param own: the one that ``systemctl enable`` changes.
    :param passing: those that are empty after a boot.
    :param lasting: all others.
    """

    own: str
    passing: t.Tuple[str, ...]
    lasting: t.Tuple[str, ...]


def lasting(facts: UnitFacts, generated: str, fragment: str = "") -> UnitFacts:
    """A unit's facts, with what a boot and ``systemctl disable`` and ``systemctl mask`` do about its next start.

    :param generated: the file that a generator made the unit from, empty when none did.
    :param fragment: the unit's own file, empty when it is not known.
    """
    places = _places(facts.unit.user)
    if places is None:
        return facts
    wanted_by, pulled = wanting(facts.known_as, facts.wanted_by, facts.unit.user)
    if not (wanted_by or facts.file_state):
        return facts._replace(wanted_by=())
    own = os.path.join(places.own, facts.unit.name)
    script = "/init.d/" in generated
    return facts._replace(
        wanted_by=wanted_by,
        # What comes from a script of SysV is disabled by that system's own tool.
        pulled_by=() if script else pulled,
        maskable=not os.path.lexists(own) and os.path.dirname(fragment) not in _BEFORE_MASKS,
        linked=_linked(facts.unit.name, places.own),
        passing=is_passing(facts.unit.name, fragment, facts.unit.user),
    )


def wanting(
    names: t.Sequence[str], told: t.Sequence[str], user: t.Optional[int]
) -> t.Tuple[t.Tuple[str, ...], t.Tuple[str, ...]]:
    """The units that want one after the next boot, and those of them that do so by no link of the administrator's.

    :param names: all names of the unit.
    :param told: the units that want it now, by its manager's word.
    """
    places = _places(user)
    if places is None:
        return tuple(told), tuple(told)
    kinds: t.Dict[str, t.Set[str]] = {}
    for kind, folders in (("own", (places.own,)), ("passing", places.passing), ("lasting", places.lasting)):
        for folder in folders:
            for entry in _names_in(folder):
                wanter, _dot, link = entry.rpartition(".")
                if link in _WANTING and any(os.path.lexists(os.path.join(folder, entry, name)) for name in names):
                    kinds.setdefault(_other_name(wanter, places), set()).add(kind)
    after = {name for name in told if kinds.get(name) != {"passing"}}
    # A link that was made since the manager has read its files says so at the next boot.
    after.update(name for name, found in kinds.items() if found != {"passing"})
    # What no link explains, the other unit's own file says.
    pulled = {name for name in after if "lasting" in kinds.get(name, {"lasting"})}
    return tuple(sorted(after)), tuple(sorted(pulled))


def is_passing(name: str, fragment: str, user: t.Optional[int]) -> bool:
    """Whether the file of a unit is gone with the next boot, and no other one takes its place."""
    places = _places(user)
    if places is None or os.path.dirname(fragment) not in places.passing:
        return False
    return not any(
        os.path.lexists(os.path.join(folder, one)) for folder in (places.own, *places.lasting) for one in _files(name)
    )


def buses() -> t.Dict[str, t.Tuple[t.Tuple[str, bool], ...]]:
    """Name of a unit -> names on the system's D-Bus for which it is started, and whether that outlives its being disabled."""
    found: t.Dict[str, t.Dict[str, bool]] = {}
    files = [os.path.join(folder, name) for folder in _ACTIVATION for name in sorted(_names_in(folder))]
    for path in files[:_MOST_FILES]:
        data = evidence.read(path) if path.endswith(".service") else None
        unit = _UNIT_OF_BUS.search(data) if data else None
        name = _NAME_OF_BUS.search(data) if data else None
        if unit and name:
            called = unit.group(1).decode("ascii", "replace")
            # An alias is a link in the administrator's directory.
            lasts = not os.path.islink(os.path.join(_SYSTEM[0], called))
            found.setdefault(called, {})[name.group(1).decode("ascii", "replace")] = lasts
    return {called: tuple(sorted(names.items())) for called, names in found.items()}


def _places(user: t.Optional[int]) -> t.Optional[_Places]:
    if user is None:
        return _Places(
            _SYSTEM[0],
            (*_SYSTEM[1:], *_TRANSIENT),
            (*(place + "system" for place in _PACKAGED), *_GENERATED, _BEFORE_MASKS[0], "/etc/systemd/system.attached"),
        )
    import pwd

    try:
        home = pwd.getpwuid(user).pw_dir
    except KeyError:
        # No account, no home: then its manager's own words are all that there is.
        return None
    run = "/run/user/%d/systemd/" % user
    return _Places(
        home + "/.config/systemd/user",
        (run + "user", run + "transient", run + "user.control", "/run/systemd/user"),
        (
            home + "/.local/share/systemd/user",
            home + "/.config/systemd/user.control",
            "/etc/systemd/user",
            *(place + "user" for place in _PACKAGED),
            *(run + "generator" + kind for kind in ("", ".early", ".late")),
        ),
    )


def _other_name(name: str, places: _Places) -> str:
    """What a unit is really called: default.target is a link to another one."""
    for folder in (places.own, *places.passing, *places.lasting):
        path = os.path.join(folder, name)
        if os.path.islink(path):
            return os.path.basename(os.path.realpath(path))
    return name


def _files(name: str) -> t.Tuple[str, ...]:
    """The names that the file of a unit may have: its own, and its template's."""
    stem, at, instance = name.partition("@")
    template = "%s@.%s" % (stem, instance.rpartition(".")[2]) if at else name
    return tuple(dict.fromkeys((name, template)))


def _linked(name: str, folder: str) -> str:
    """The file outside of systemd's directories that a link in its directory leads to; empty when there is no such link."""
    for one in _files(name):
        path = os.path.join(folder, one)
        if os.path.islink(path):
            target = os.path.realpath(path)
            known = (folder, "/etc/systemd/", "/run/systemd/", *_PACKAGED, "/dev/null")
            return "" if target.startswith(known) else target
    return ""


def _names_in(folder: str) -> t.List[str]:
    try:
        return os.listdir(folder)
    except OSError:
        # Missing is common; of another user's it may be closed to us.
        return []
