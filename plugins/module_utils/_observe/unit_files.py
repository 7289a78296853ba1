# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where systemd's unit files lie, and what makes a unit start at boot. Private to harbormaster.ports.

A unit starts because another one wants it. ``systemctl disable`` takes away the links that say so in the administrator's
directory, and nothing else: not a Wants= in another unit's file, not a link that a package or a generator brings. A unit
like that is masked, by a link in the same directory, which is impossible where the unit's own file lies there. See
systemctl(1) and systemd.unit(5), "Unit File Load Path".
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._model import UnitFacts

_SYSTEM = ("/etc/systemd/system", "/run/systemd/system")
# Where names are looked up besides: for other names of a unit (default.target), and to tell what is linked from elsewhere.
_PACKAGED = ("/usr/local/lib/systemd/", "/usr/lib/systemd/", "/lib/systemd/")
_WANTING = ("wants", "requires", "upholds")


def lasting(facts: UnitFacts, generated: str) -> UnitFacts:
    """A unit's facts, with what ``systemctl disable`` and ``systemctl mask`` could do about its next start.

    :param generated: the file that a generator made the unit from, empty when none did.
    """
    folders = _folders(facts.unit.user)
    if not folders or not (facts.wanted_by or facts.file_state):
        return facts
    own = os.path.join(folders[0], facts.unit.name)
    script = "/init.d/" in generated
    return facts._replace(
        # What comes from a script of SysV is disabled by that system's own tool.
        pulled_by=() if script else pulled_by(facts.unit.name, facts.wanted_by, folders, facts.unit.user),
        maskable=not os.path.lexists(own),
        linked=_linked(facts.unit.name, folders[0]),
    )


def pulled_by(
    name: str, wanted_by: t.Sequence[str], folders: t.Sequence[str], user: t.Optional[int]
) -> t.Tuple[str, ...]:
    """The units that want this one by something else than a link in these directories."""
    linking: t.Set[str] = set()
    for folder in folders if wanted_by else ():
        for entry in _names_in(folder):
            wanter, _dot, kind = entry.rpartition(".")
            if kind in _WANTING and os.path.lexists(os.path.join(folder, entry, name)):
                linking.update((wanter, _other_name(wanter, folders, user)))
    return tuple(one for one in wanted_by if one not in linking)


def _folders(user: t.Optional[int]) -> t.Tuple[str, ...]:
    """The directories that systemctl itself changes: the lasting one first, then the one until the next boot."""
    if user is None:
        return _SYSTEM
    import pwd

    try:
        home = pwd.getpwuid(user).pw_dir
    except KeyError:
        # No account, no home: then its manager's own words are all that there is.
        return ()
    return (home + "/.config/systemd/user", "/run/user/%d/systemd/user" % user)


def _other_name(name: str, folders: t.Sequence[str], user: t.Optional[int]) -> str:
    """What a unit is really called: default.target is a link to another one."""
    kind = "system" if user is None else "user"
    for folder in (*folders, *("/etc/systemd/user",) * (user is not None), *(place + kind for place in _PACKAGED)):
        path = os.path.join(folder, name)
        if os.path.islink(path):
            return os.path.basename(os.path.realpath(path))
    return name


def _linked(name: str, folder: str) -> str:
    """The file outside of systemd's directories that a link in its directory leads to; empty when there is no such link."""
    stem, at, instance = name.partition("@")
    template = "%s@.%s" % (stem, instance.rpartition(".")[2]) if at else name
    for one in dict.fromkeys((name, template)):
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
