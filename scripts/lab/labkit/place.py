# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab of this checkout lives, and how its scripts run commands.

Two checkouts can have a lab each: everything outside the checkout carries a name made from its path. HARBORMASTER_LAB
names the checkout whose lab is used, when it is not this one.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

ROOT = Path(os.environ.get("HARBORMASTER_LAB") or Path(__file__).resolve().parents[3])
CACHE = ROOT / ".cache" / "lab"
NAME = "hm-lab-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
RUN = Path("/run") / NAME
NETNS = Path("/run/netns") / NAME
STATE = CACHE / "lab.json"
INVENTORY = CACHE / "inventory.yml"
SSH_CONFIG = CACHE / "ssh_config"
KEY = CACHE / "key"

# The lab's own network. It exists in the lab's network namespace only, so it can't collide with anything.
GATEWAY = "10.211.0.1"
NETWORK = "10.211.0.1/16"

# A name that only the lab's DNS server knows.
DNS_NAME = "harbour.lab.test"
DNS_ANSWER = "192.0.2.53"

IN_LAB = ["nsenter", "--net=%s" % NETNS]

# command -> Debian package
COMMANDS = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "docker": "docker.io",
    "runc": "runc",
    "debootstrap": "debootstrap",
    "busybox": "busybox-static",
    "ip": "iproute2",
    "iptables": "iptables",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "npm": "npm",
}


class LabError(Exception):
    """The lab can't be brought up or used; the text says what to do."""


class NoLab(LabError):
    """This machine can't have a lab at all."""


def say(text: str) -> None:
    sys.stderr.write("lab: %s\n" % text)


def run(*command: t.Any, seconds: float = 120, check: bool = True, **more: t.Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with its output as text."""
    words = [str(word) for word in command]
    more.setdefault("stdin", subprocess.DEVNULL if "input" not in more else None)
    if more["stdin"] is None:
        del more["stdin"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False, **more)
    except subprocess.TimeoutExpired:
        raise LabError("%s did not end within %d seconds" % (" ".join(words)[:200], seconds)) from None
    if check and done.returncode:
        raise LabError(
            "%s ended with %d: %s"
            % (" ".join(words)[:200], done.returncode, (done.stderr + done.stdout)[-2000:].strip())
        )
    return done


def docker(*words: t.Any, **more: t.Any) -> subprocess.CompletedProcess[str]:
    """The docker command of the lab's own engine, on which the hosts run."""
    return run("docker", "--host", "unix://%s/docker.sock" % RUN, *words, **more)


def wait_for(what: str, ready: t.Callable[[], t.Any], seconds: float = 60) -> t.Any:
    end = time.monotonic() + seconds
    while True:
        found = ready()
        if found:
            return found
        if time.monotonic() > end:
            raise LabError("%s did not come about within %d seconds" % (what, seconds))
        time.sleep(0.1)


@contextlib.contextmanager
def alone(name: str, wait: bool = True) -> t.Iterator[bool]:
    """Hold a lock of this lab; yields False when somebody else has it and ``wait`` is false."""
    (CACHE / "locks").mkdir(parents=True, exist_ok=True)
    with open(CACHE / "locks" / name, "w", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def replace(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(name, mode)
    os.replace(name, path)


def install_commands() -> None:
    """Install what the lab's scripts call, where it is missing."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = sorted({package for command, package in COMMANDS.items() if shutil.which(command) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise NoLab("missing, and there is no apt-get to install them with: %s" % " ".join(missing))
    say("installing %s" % " ".join(missing))
    # Debian starts what it installs; an engine beside our own is not wanted.
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
        policy.chmod(0o755)
    try:
        run(Path(__file__).resolve().parents[2] / "apt-install", *missing, seconds=2700)
    finally:
        if ours:
            policy.unlink()
