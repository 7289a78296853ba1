# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What besides a control group shows that a process is contained. Private to harbormaster.ports.

A container runtime leaves a process of its own (a shim) above each container. And a container has namespaces of its own,
which proves only that somebody has made them: services have them too, and any account may make some for itself.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container

# The namespace in which dockerd keeps its containers at containerd.
_DOCKERS = "moby"
# NS_GET_OWNER_UID of linux/nsfs.h
_OWNER_UID = 0xB704


def watched(proven: t.Sequence[str], words: t.Sequence[str], uid: int) -> t.Optional[Container]:
    """The container that a process watches over; None when it is no shim.

    :param proven: its names, as far as they are evidence. With them its command line is: its engine has written that.
    :param uid: its account.
    """
    user = uid or None
    name = next(iter(proven), "")
    if name.startswith("containerd-shim"):
        space = _after(words, "-namespace")
        engine = "docker" if space == _DOCKERS else "containerd"
        project = "" if space in (_DOCKERS, "default") else space
        return Container(engine, _after(words, "-id") or name, user=user, project=project)
    if name in ("conmon", "crio-conmon"):
        engine = "cri-o" if any("crio" in word for word in words) else "podman"
        return Container(engine, _after(words, "-c", "--cid") or name, user=user)
    if name not in ("runc", "crun") or not {"run", "start", "init", "exec"}.intersection(words[1:]):
        return None
    return Container("runc", words[-1], user=user)


def _after(words: t.Sequence[str], *options: str) -> str:
    return next((value for option, value in zip(words, words[1:]) if option in options), "")


def namespace(directory: int, in_unit: bool, in_session: bool) -> str:
    """Which namespace of its own a process has, as a container has: ``PID``, ``mount``, or empty for none.

    Not one that an account has made for itself: such a process is that account's like any other.

    :param directory: its open /proc/[pid].
    :param in_unit: it belongs to a service. These have their own view of the file system (PrivateTmp=, ProtectSystem=).
    :param in_session: it belongs to a login. Its files may be those of the host, with a /tmp of its own (pam_namespace(8)).
    """
    kind = ""
    if _differs(directory, "ns/pid"):
        kind = "PID"
    elif not in_unit and _differs(directory, "ns/mnt") and not (in_session and _same_root(directory)):
        kind = "mount"
    return "" if kind and _differs(directory, "ns/user") and _made_by_an_account(directory) else kind


def _differs(directory: int, link: str) -> bool:
    """Whether it is in another namespace than the first process, and than this one."""
    its = _link(link, directory)
    return bool(its) and its not in (_link("/proc/1/" + link), _link("/proc/self/" + link))


def _link(path: str, directory: t.Optional[int] = None) -> str:
    try:
        return os.readlink(path, dir_fd=directory)
    except OSError:
        # It has ended, or is not for our eyes; a sandbox may keep those of the first process from root too.
        return ""


def _same_root(directory: int) -> bool:
    try:
        its, ours = os.stat("root", dir_fd=directory), os.stat("/")
    except OSError:
        return False
    return (its.st_dev, its.st_ino) == (ours.st_dev, ours.st_ino)


def _made_by_an_account(directory: int) -> bool:
    """Whether its user namespace is that of an account other than root (ioctl_ns(2))."""
    import fcntl

    uid = bytearray(4)
    try:
        handle = os.open("ns/user", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return False
    try:
        fcntl.ioctl(handle, _OWNER_UID, uid)
    except OSError:
        # a kernel before 4.11
        return False
    finally:
        os.close(handle)
    return uid != bytearray(4)
