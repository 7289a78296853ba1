# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file system of the hosts: Debian with systemd, sshd, engines and supervisors. Built once, kept as a tar file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import typing as t
from pathlib import Path

from labkit.place import CACHE, KEY, docker, run, say

SUITE = "bookworm"
# Another mirror of Debian than the one that debootstrap takes by itself.
MIRROR = os.environ.get("HARBORMASTER_LAB_MIRROR", "")
PM2 = "7.0.4"
HOST_FILES = Path(__file__).resolve().parents[1] / "host"

PACKAGES = (
    # what a stock server has
    "systemd", "systemd-sysv", "systemd-resolved", "dbus", "dbus-user-session", "libpam-systemd", "openssh-server",
    "openssh-client", "sudo", "python3", "iproute2", "procps", "psmisc", "kmod", "iptables", "cron", "at",
    # services
    "nginx-light", "dnsmasq-base", "openbsd-inetd",
    # engines
    "docker.io", "busybox-static", "podman", "uidmap", "slirp4netns", "passt", "netavark", "aardvark-dns", "crun",
    "catatonit", "fuse-overlayfs",
    # supervisors; nodejs is for pm2
    "supervisor", "runit", "s6", "daemontools", "monit", "nodejs",
)  # fmt: skip

# Debian's own servers, with which one test tries the collection. They are fetched with the hosts' packages, and installed
# by that test on its host, where their own scripts start them.
SERVERS = (
    "apache2", "avahi-daemon", "bind9", "chrony", "cups-daemon", "dnsmasq", "dovecot-imapd", "exim4-daemon-light", "haproxy",
    "mariadb-server", "memcached", "mosquitto", "php-fpm", "pgbouncer", "postgresql", "privoxy", "gunicorn", "rabbitmq-server",
    "redis-server", "rpcbind", "samba", "slapd", "snmpd", "squid", "tftpd-hpa", "tor", "varnish", "vsftpd",
)  # fmt: skip

# Installed, and started by the tests that want them.
SWITCHED_OFF = (
    "nginx.service", "inetd.service", "supervisor.service", "monit.service", "atd.service", "podman.service",
    "podman.socket", "podman-restart.service", "podman-auto-update.service", "podman-auto-update.timer",
    "e2scrub_all.timer", "e2scrub_reap.service", "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer",
    "fstrim.timer", "getty@tty1.service",
    # the lab's engine has configured the network; docker.service would wait for networkd to say so
    "systemd-networkd.service", "systemd-networkd-wait-online.service",
)  # fmt: skip

# /etc/docker/daemon.json of the hosts: containers are in units' control groups, as on a current distribution.
ENGINE_SETTINGS = {"exec-opts": ["native.cgroupdriver=systemd"]}


def stamp() -> str:
    """Changes with anything that goes into the tree."""
    digest = hashlib.sha256(repr((SUITE, PACKAGES, SERVERS, SWITCHED_OFF, PM2)).encode())
    for path in [Path(__file__), *sorted(HOST_FILES.rglob("*"))]:
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def archive() -> Path:
    """The tar file of the hosts' tree, built when there is none for the present list of packages."""
    path = CACHE / ("host-%s.tar" % stamp())
    if path.exists() and servers().is_dir():
        return path
    tree = CACHE / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    base = _base()
    say("building the hosts' file system (a minute or two)")
    tree.mkdir()
    run("tar", "-C", tree, "--numeric-owner", "-xf", base)
    _packages(tree)
    _pm2(tree)
    _settle(tree)
    run("tar", "-C", tree, "--numeric-owner", "-cf", path.with_suffix(".new"), ".", seconds=300)
    path.with_suffix(".new").replace(path)
    shutil.rmtree(tree)
    for old in CACHE.glob("host-*.tar"):
        if old != path:
            old.unlink()
    return path


def _base() -> Path:
    """What debootstrap makes: it does not change when the list of packages does."""
    path = CACHE / ("base-%s.tar" % SUITE)
    if not path.exists():
        say("debootstrap %s" % SUITE)
        tree = CACHE / "base"
        shutil.rmtree(tree, ignore_errors=True)
        run(
            "debootstrap",
            "--variant=minbase",
            "--include=ca-certificates",
            SUITE,
            tree,
            *([MIRROR] if MIRROR else []),
            seconds=900,
        )
        run("tar", "-C", tree, "--numeric-owner", "-cf", path.with_suffix(".new"), ".", seconds=300)
        path.with_suffix(".new").replace(path)
        shutil.rmtree(tree)
    return path


def _packages(tree: Path) -> None:
    shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
    policy = tree / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    slim = ["doc", "man", "locale", "info"]
    (tree / "etc/dpkg/dpkg.cfg.d/slim").write_text("".join("path-exclude=/usr/share/%s/*\n" % name for name in slim))
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C")
    run("chroot", tree, "apt-get", "-q", "update", seconds=300, env=env)
    run("chroot", tree, "apt-get", "-qy", "--no-install-recommends", "install", *PACKAGES, seconds=1800, env=env)
    policy.unlink()
    _fetch_servers(tree, env)
    for junk in [*slim, "../cache/apt", "../lib/apt/lists"]:
        shutil.rmtree(tree / "usr/share" / junk if "/" not in junk else tree / "var" / junk[3:], ignore_errors=True)


def servers() -> Path:
    """The folder of packages that the test of Debian's own servers installs on its host."""
    return CACHE / ("servers-" + stamp())


def _fetch_servers(tree: Path, env: t.Mapping[str, str]) -> None:
    """Fetch what the servers need beyond the packages of the hosts, without installing it."""
    cached = tree / "var/cache/apt/archives"
    # The package of systemd-resolved has made it a link to what nobody serves in here.
    (tree / "etc/resolv.conf").unlink()
    shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
    run("chroot", tree, "apt-get", "clean", env=env)
    options = ["-qy", "--no-install-recommends", "--download-only"]
    run("chroot", tree, "apt-get", *options, "install", *SERVERS, seconds=1800, env=env)
    fresh = CACHE / "servers-new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for package in cached.glob("*.deb"):
        shutil.move(package, fresh / package.name)
    for old in CACHE.glob("servers-*"):
        if old != fresh:
            shutil.rmtree(old)
    fresh.replace(servers())


def _pm2(tree: Path) -> None:
    """pm2 comes from npm. It goes where its own installer would put it."""
    prefix = CACHE / ("pm2-" + PM2)
    if not (prefix / "lib/node_modules/pm2/package.json").exists():
        run(
            "npm", "install", "--global", "--prefix", prefix, "--no-audit", "--no-fund", "--loglevel=error",
            "pm2@" + PM2, seconds=300,
        )  # fmt: skip
    shutil.copytree(prefix, tree / "usr/local", symlinks=True, dirs_exist_ok=True)


def _settle(tree: Path) -> None:
    """Accounts, keys, and the state in which a host boots."""
    for user in ("ops", "bob", "eve"):
        run("chroot", tree, "useradd", "-m", "-s", "/bin/bash", user)
    if not KEY.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", KEY)
    public = KEY.with_suffix(".pub").read_text()
    for home, user in (("root", "root"), ("home/ops", "ops"), ("home/bob", "bob")):
        folder = tree / home / ".ssh"
        folder.mkdir(mode=0o700)
        (folder / "authorized_keys").write_text(public)
        run("chroot", tree, "chown", "-R", "%s:%s" % (user, user), "/%s/.ssh" % home)
    (CACHE / "known_hosts").write_text("lab " + (tree / "etc/ssh/ssh_host_ed25519_key.pub").read_text())
    for path in sorted(HOST_FILES.rglob("*")):
        if path.is_file():
            target = tree / path.relative_to(HOST_FILES)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    run("chroot", tree, "systemctl", "disable", *SWITCHED_OFF)
    run("chroot", tree, "systemctl", "--global", "disable", "podman.socket", "podman.service", check=False)
    run("chroot", tree, "chmod", "440", "/etc/sudoers.d/ops")
    (tree / "etc/docker").mkdir(exist_ok=True)
    (tree / "etc/docker/daemon.json").write_text(json.dumps(ENGINE_SETTINGS) + "\n")
    linger = tree / "var/lib/systemd/linger"
    linger.mkdir(parents=True, exist_ok=True)
    (linger / "bob").touch()
    # An engine mounts its own over these; the first boot links resolv.conf to the stub's.
    (tree / "etc/resolv.conf").unlink()
    (tree / "etc/resolv.conf").touch()
    # Empty, not missing: else systemd takes the boot for the first one and enables every unit again.
    (tree / "etc/machine-id").write_text("")
    _inner_image(tree)


def _inner_image(tree: Path) -> None:
    """The image of the containers that the tests start on the hosts: a busybox, as a tar to import."""
    box = tree / "opt/lab/box"
    (box / "bin").mkdir(parents=True)
    shutil.copy(tree / "bin/busybox", box / "bin/busybox")
    applets = run("chroot", tree, "busybox", "--list").stdout.split()
    for name in applets:
        if name != "busybox":
            (box / "bin" / name).symlink_to("busybox")
    for folder in ("tmp", "etc", "srv"):
        (box / folder).mkdir()
    (box / "etc/passwd").write_text("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    run("tar", "-C", box, "--numeric-owner", "-cf", tree / "opt/lab/box.tar", ".")
    shutil.rmtree(box)


def load() -> str:
    """Put the image into the lab's engine; its name."""
    name = "harbormaster/host:" + stamp()
    path = archive()
    if docker("image", "inspect", name, check=False).returncode:
        say("importing the hosts' image")
        docker("import", path, name, seconds=600)
    return name


def describe() -> t.Dict[str, t.Any]:
    return {"suite": SUITE, "packages": list(PACKAGES), "pm2": PM2, "stamp": stamp()}
