# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a name of the task means a process. Private to harbormaster.ports. Pure.

Names are matched whole, as globs, never as parts: ``java`` is not ``javascript-server``.
"""

from __future__ import annotations

import fnmatch
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Process

ANYBODY = "*"

# TASK_COMM_LEN of linux/sched.h, without its NUL.
_COMM = 15
# Programs that run other programs, and of their options those that take the next word with them.
_INTERPRETERS = frozenset(
    ("python", "pythonw", "py", "pypy", "node", "nodejs", "bun", "deno", "ruby", "perl", "php", "lua", "luajit", "java", "javaw",
     "mono", "dotnet", "busybox", "toybox", "sh", "bash", "dash", "zsh", "ksh", "mksh", "tclsh", "pwsh", "powershell", "wscript",
     "cscript")
)  # fmt: skip
_WITH_VALUE = frozenset(
    ("-W", "-X", "-cp", "-classpath", "--class-path", "-p", "--module-path", "-r", "--require", "--import", "--loader", "-I",
     "-C", "-d", "-S", "-t", "-M", "--add-opens", "--add-modules", "--add-exports", "-o", "-O", "--rcfile", "--init-file")
)  # fmt: skip
_VERBS = frozenset(("run", "exec", "--"))
_EXTENSIONS = (
    ".py", ".pyc", ".pyz", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl", ".php", ".lua", ".jar", ".war", ".sh", ".tcl", ".dll",
    ".exe", ".ps1", ".vbs",
)  # fmt: skip
# Of a command line, what may name a program.
_MOST_WORDS = 24


def names_of(process: t.Optional[Process]) -> t.FrozenSet[str]:
    """Everything that a pattern without a path separator may match of one process.

    comm (15 bytes) and what it was cut from, the name at the begin of a title that the program has written itself, the
    executable's base name, the script that an interpreter runs, the unit with and without its suffix and its template's
    stem, the container's names.
    """
    if process is None:
        return frozenset()
    names = {process.name, process.whole_name or ""}
    path = executable(process)
    if path:
        names.add(path.rpartition("/")[2])
    names |= title_names(process) | script_names(process)
    if process.unit:
        names |= unit_names(process.unit.name)
    if process.container:
        names |= container_names(process.container)
    return frozenset(name for name in names if name)


def unit_names(unit: str) -> t.Set[str]:
    """``getty@tty1.service`` -> itself, ``getty@tty1``, ``getty@.service``, ``getty@`` and ``getty``."""
    stem, dot, suffix = unit.rpartition(".")
    if not dot:
        return {unit}
    names = {unit, stem}
    template, at, _instance = stem.partition("@")
    if at:
        names |= {template + "@." + suffix, template + "@", template}
    return names


def title_names(process: Process) -> t.Set[str]:
    """The names that a program had before it wrote what it is doing into its title: ``gunicorn: maste`` is ``gunicorn``."""
    names = {_before_the_title(process.name)}
    # The first word of the command line, where only that was rewritten, and where the kernel's 15 bytes are too short.
    first = (process.command or "").partition(" ")[0].lstrip("[")
    if first.endswith(":"):
        names.add(first[:-1].rpartition("/")[2])
    return names - {""}


def _before_the_title(text: str) -> str:
    """The name in a title such as ``gunicorn: maste``, ``next-server (v1`` or ``puma 6.4.2 (tcp``; empty where there is none.

    The kernel's 15 bytes may end within what divides it.
    """
    text = text[1:] if text.startswith("[") else text
    whole = text
    for mark in (": ", " ("):
        text = text.partition(mark)[0]
    if len(whole) >= _COMM - 1:
        text = text.rstrip(" :")
    name, _blank, version = text.partition(" ")
    if version and not version.lstrip("v").strip("0123456789."):
        text = name
    return "" if text == whole else text


def script_names(process: Process) -> t.Set[str]:
    """What an interpreter runs, with and without its ending: ``python3 -u /opt/shop/till.py`` is ``till.py`` and ``till``."""
    words = _words((process.command or "").replace("\\", "/"))
    # Not by the executable's name: what an interpreter's program has written over its command line has no script in it.
    if not words or base(words[0]).lower().rstrip("0123456789.") not in _INTERPRETERS:
        return set()
    script = base(_script(words))
    stem = next((script[: -len(one)] for one in _EXTENSIONS if script.lower().endswith(one)), "")
    return {name for name in (script, stem) if name}


def base(path: str) -> str:
    """The last part of a path, of either platform, without the ending of Windows's programs."""
    name = path.replace("\\", "/").rpartition("/")[2]
    return name[: -len(".exe")] if name.lower().endswith(".exe") else name


def _words(command: str) -> t.List[str]:
    """The first words of a command line that was made to be read."""
    found: t.List[str] = []
    rest = command
    while rest and len(found) < _MOST_WORDS:
        rest = rest.lstrip()
        quote = rest[:1]
        if quote in ("'", '"') and quote in rest[1:]:
            word, _end, rest = rest[1:].partition(quote)
        else:
            word, _end, rest = rest.partition(" ")
        found.append(word)
    return [word for word in found if word]


def _script(words: t.Sequence[str]) -> str:
    """The script, class, archive or module that an interpreter runs; empty when it is given code."""
    skip = False
    for number, word in enumerate(words[1:], 1):
        if skip:
            skip = False
        elif word in ("-c", "-e", "--eval"):
            return ""
        elif word in ("-m", "-jar", "-f", "-File", "-file"):
            return words[number + 1] if number + 1 < len(words) else ""
        elif word in _WITH_VALUE:
            skip = True
        elif not word.startswith("-") and word not in _VERBS:
            return word
    return ""


def container_names(container: Container) -> t.Set[str]:
    """The names that people know a container by: its own, its id in full and as engines print it, its compose service."""
    return {container.name, container.id, container.id[:12], container.service} - {""}


def executable(process: Process) -> str:
    """The executable's path without the kernel's mark for a replaced file; empty when it is not known."""
    path = process.exe or ""
    return path[: -len(" (deleted)")] if path.endswith(" (deleted)") else path


def matches(
    process: t.Optional[Process],
    patterns: t.Iterable[str],
    cut: bool = False,
    also: t.AbstractSet[str] = frozenset(),
) -> bool:
    """Whether one of the patterns means this process. ``*`` means anybody, also who can't be seen.

    :param also: names of what manages the process.
    :param cut: a name that the kernel has cut to 15 bytes matches a longer one that begins with it. For patterns that
        spare a process, never for those that let it be stopped.
    """
    names = names_of(process) | also
    path = executable(process) if process else ""
    for pattern in patterns:
        if pattern == ANYBODY:
            return True
        if "/" in pattern:
            if path and fnmatch.fnmatchcase(path, pattern):
                return True
        elif any(fnmatch.fnmatchcase(name, pattern) for name in names):
            return True
        elif cut and process and len(process.name) == _COMM and fnmatch.fnmatchcase(process.name, pattern[:_COMM]):
            return True
    return False


def glob_any(name: str, patterns: t.Iterable[str]) -> bool:
    """Whether one of the globs matches the whole name."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def programs(process: Process) -> t.Tuple[str, ...]:
    """What a process is called, by its name and its executable's: its own word, unless it is proven."""
    return tuple(name for name in (process.name, executable(process).rpartition("/")[2]) if name)


def program(process: t.Optional[Process], table: t.Iterable[str]) -> t.Optional[str]:
    """The first entry of a table that means this program, by its name or its executable's.

    Units don't count: what runs in sshd.service need not be sshd.
    """
    if process is None:
        return None
    names = programs(process)
    return next((entry for entry in table if any(fnmatch.fnmatchcase(name, entry) for name in names)), None)


def proven(process: t.Optional[Process], table: t.Iterable[str]) -> t.Optional[str]:
    """The first entry of a table that this program is by evidence, not by what it calls itself (`Process.proven`)."""
    if process is None:
        return None
    return next((entry for entry in table if any(fnmatch.fnmatchcase(name, entry) for name in process.proven)), None)


def protecting(
    process: t.Optional[Process], patterns: t.Iterable[str], also: t.AbstractSet[str] = frozenset()
) -> t.Optional[str]:
    """The first of a task's patterns that means this process, also by a name that the kernel has cut."""
    return next((pattern for pattern in patterns if matches(process, (pattern,), cut=True, also=also)), None)


def runs_as(process: t.Optional[Process], accounts: t.Optional[t.Iterable[str]]) -> bool:
    """Whether the process runs as one of the accounts, by name or number; no accounts means anybody."""
    if accounts is None:
        return True
    if process is None:
        return False
    who = {process.user, None if process.uid is None else str(process.uid)}
    return any(fnmatch.fnmatchcase(name, account) for account in accounts for name in who if name)
