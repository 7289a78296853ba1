# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be believed: whether root alone can have made a thing what it is. Private to harbormaster.ports.

Names, arguments, titles, paths and labels are claims: any account chooses its own. A thing is *proven* when no other
account than root could have made it: by who owns it, and who may write the folders on the way to it. Where the module
runs as another account, that account counts as root does: it can't be cheated by itself.

* A path is walked from ``/`` downwards and left at the first folder that is somebody else's. So nothing of another account
  is ever opened, followed or waited for, and nobody can exchange a proven path between the check and its use.
* A folder that others may write, also a sticky one, proves nothing. A group counts as others unless it is root's.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import typing as t

# Links on the way to a file; the kernel's own limit (MAXSYMLINKS of linux/namei.h).
_MOST_LINKS = 40
_DELETED = " (deleted)"
# What a pid file, a status file or a configuration may have in it.
LARGEST_FILE = 1 << 20

# Programs that run other programs: what they are called, and their first arguments, say which one.
INTERPRETERS = re.compile(
    r"(?:python|pypy|node|nodejs|bun|deno|ruby|perl|php|lua|java|mono|dotnet|beam\.smp|busybox|toybox|sh|bash|dash|zsh|ksh"
    r"|mksh|tclsh)[0-9.]*\Z"
)

# Of a command line, what may name a program.
_LONGEST_WORDS = 4096
_COMM = re.compile(rb"\AName:\t([^\n]*)$", re.MULTILINE)
_UIDS = re.compile(rb"^Uid:\t(\d{1,10})\t(\d{1,10})\t(\d{1,10})\t", re.MULTILINE)

Uids = t.Tuple[int, int, int]


def accounts() -> t.FrozenSet[int]:
    """The accounts whose word is good: root, and the one that we run as."""
    return frozenset((0, os.geteuid()))


def resolved(path: str, owners: t.Optional[t.AbstractSet[int]] = None) -> t.Optional[str]:
    """The path without links, when each folder and link on the way to it is root's and nobody else may write there.

    The last part is not judged, and need not be there.

    :param owners: accounts that count as root does; `accounts` unless said.
    :returns: None when somebody else has a word in it.
    """
    good = accounts() if owners is None else owners
    if not path.startswith("/") or "\0" in path:
        return None
    todo = [part for part in path.split("/") if part not in ("", ".")]
    done = ""
    links = 0
    if not _is_ours(os.lstat("/"), good, "/"):
        return None
    while todo:
        part = todo.pop(0)
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        here = done + "/" + part
        try:
            found = os.lstat(here)
        except OSError:
            # not there, or too long a name
            return None if todo else here
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if found.st_uid not in good or links > _MOST_LINKS:
                return None
            target = os.readlink(here)
            if target.startswith("/"):
                done = ""
            todo = [one for one in target.split("/") if one not in ("", ".")] + todo
            continue
        if todo and not (stat.S_ISDIR(found.st_mode) and _is_ours(found, good, here)):
            return None
        done = here
    return done or "/"


def owner(path: str, kind: int, owners: t.Optional[t.AbstractSet[int]] = None) -> t.Optional[str]:
    """The path without links, when the thing itself is of this kind and root's as well.

    :param kind: as S_IFMT of inode(7): ``stat.S_IFREG``, ``stat.S_IFDIR``, ``stat.S_IFSOCK``.
    """
    good = accounts() if owners is None else owners
    real = resolved(path, good)
    if real is None:
        return None
    try:
        found = os.lstat(real)
    except OSError:
        return None
    if stat.S_IFMT(found.st_mode) != kind or found.st_uid not in good:
        return None
    # Who may write to a socket is who may ask there, not who listens.
    return real if kind == stat.S_IFSOCK or _is_ours(found, good, real) else None


def executable(path: str) -> t.Optional[str]:
    """The path of a program without links, when only root can have put it there; None when it is not proven."""
    real = owner(path, stat.S_IFREG)
    return real if real is not None and os.access(real, os.X_OK) else None


def find(program: str, path: str) -> t.Optional[str]:
    """The first proven program of this name on a search path, or the named file itself when it is proven.

    :param path: folders with colons between them.
    """
    if "/" in program:
        return program if executable(program) else None
    for folder in path.split(":"):
        if executable(folder + "/" + program):
            return folder + "/" + program
    return None


def folder(path: str) -> t.Optional[str]:
    """The path of a folder without links, when only root may write there and on the way to it."""
    return owner(path, stat.S_IFDIR)


def listener(path: str) -> t.Optional[str]:
    """The path of a Unix socket without links, when root has made it in a folder that only root may write."""
    return owner(path, stat.S_IFSOCK)


def read(path: str, most: int = LARGEST_FILE) -> t.Optional[bytes]:
    """The content of a small regular file that only root can have written; None when it is not proven, or larger.

    Nothing that could block is opened: no FIFO, no device, no link.
    """
    real = owner(path, stat.S_IFREG)
    if real is None:
        return None
    try:
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > most:
            return None
        data = b""
        while len(data) <= most:
            more = os.read(handle, 1 << 16)
            if not more:
                return data
            data += more
        return None
    except OSError:
        return None
    finally:
        os.close(handle)


def names(
    uids: Uids,
    comm: str,
    exe: t.Optional[str],
    arguments: t.Sequence[str],
    running: t.Callable[[], os.stat_result],
) -> t.Tuple[str, ...]:
    """The names of a process that are proven: what it is called is what it is. Empty when nothing of it is.

    The process has root's rights alone (a set-uid program of somebody has that one's real uid), and its executable is
    root's. Then the executable's own name counts. What an interpreter runs, and what that calls itself, is the word of
    whoever started it, which was root; but another program of root's (sudo, su) can be started by anybody under any name.

    :param uids: real, effective and saved uid.
    :param exe: what the link /proc/PID/exe says.
    :param arguments: of its command line.
    :param running: stats the executable that really runs; called only when its path is proven.
    """
    good = accounts()
    if len(set(uids)) != 1 or uids[0] not in good or not exe:
        return ()
    deleted = exe.endswith(_DELETED)
    path = exe[: -len(_DELETED)] if deleted else exe
    real = resolved(path, good)
    if real != path:
        # The kernel's path has no links in it: it is one of another mount namespace, or of somebody else's folder.
        return ()
    try:
        found = running()
        # Of what was deleted or replaced the folder is left: a container's program was not in it, whatever its path.
        there = os.lstat(os.path.dirname(real) if deleted else real)
    except OSError:
        return ()
    if not stat.S_ISREG(found.st_mode) or not _is_ours(found, good, real):
        return ()
    if there.st_dev != found.st_dev or (not deleted and there.st_ino != found.st_ino):
        return ()
    name = path.rpartition("/")[2]
    if not INTERPRETERS.match(name) or found.st_mode & (stat.S_ISUID | stat.S_ISGID):
        # A set-uid busybox gives itself all three uids of root too, in the middle of what somebody has it do.
        return (name,)
    title = arguments[0].partition(":")[0] if arguments else ""
    said = (name, comm, title.rpartition("/")[2], script(arguments).rpartition("/")[2])
    return tuple(dict.fromkeys(word for word in said if word))


def process_names(pid: int) -> t.Tuple[str, ...]:
    """The proven names of the process that has this pid now (see `names`); empty when it is gone, or not for our eyes."""
    try:
        with open("/proc/%d/status" % pid, "rb") as stream:
            status = stream.read(1 << 16)
        with open("/proc/%d/cmdline" % pid, "rb") as stream:
            words = stream.read(_LONGEST_WORDS).split(b"\0")
        exe = os.fsdecode(os.readlink("/proc/%d/exe" % pid))
    except OSError:
        return ()
    comm, found = _COMM.search(status), uids(status)
    if comm is None or found is None:
        return ()
    arguments = [os.fsdecode(word) for word in words]
    return names(found, os.fsdecode(comm.group(1)), exe, arguments, lambda: os.stat("/proc/%d/exe" % pid))


def uids(status: bytes) -> t.Optional[Uids]:
    """Real, effective and saved uid out of /proc/[pid]/status."""
    found = _UIDS.search(status)
    return (int(found.group(1)), int(found.group(2)), int(found.group(3))) if found else None


def script(arguments: t.Sequence[str]) -> str:
    """The script that an interpreter runs; empty where it is given code or a module by an option."""
    for word in arguments[1:]:
        if word in ("-c", "-e", "-m"):
            return ""
        if not word.startswith("-"):
            return word
    return ""


def words_of(roots: t.Iterable[str], path: str) -> t.Optional[t.Tuple[int, t.Optional[int]]]:
    """How much of a path of a control group is root's word, and whose word the rest is.

    systemd and engines hand a subtree over to an account by giving it the folder (cgroups(7), "Delegation of a
    hierarchy"): the folder's own name is root's word, as root made it, and every name below is what that account says.

    :param roots: where the hierarchy may be mounted.
    :param path: as in /proc/PID/cgroup, with a slash in front.
    :returns: the number of leading parts that root has named, and the uid that has named the rest (None when there is no
        rest); None when the folder can't be found, which proves nothing.
    """
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        return None
    for root in roots:
        here = root
        try:
            for number, part in enumerate(parts, 1):
                here += "/" + part
                found = os.lstat(here)
                if not stat.S_ISDIR(found.st_mode):
                    raise NotADirectoryError(here)
                if found.st_uid != 0:
                    return number, found.st_uid
        except OSError:
            continue
        return len(parts), None
    return None


def _is_ours(found: os.stat_result, good: t.AbstractSet[int], path: str) -> bool:
    """Owned by one of these, and nobody else may write: also not a group, unless it is root's."""
    if found.st_uid not in good or found.st_mode & stat.S_IWOTH:
        return False
    if not found.st_mode & stat.S_IWGRP:
        return True
    # The group's bits are also those of every account and group of an access control list (acl(5)).
    return found.st_gid == 0 and not _has_list(path)


def _has_list(path: str) -> bool:
    try:
        return bool(os.getxattr(path, "system.posix_acl_access", follow_symlinks=False))
    except OSError as error:
        # Gone with its path, or on a file system that knows no lists, there is none.
        return error.errno not in (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOENT)
