# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that decisions rest on, as tables. Private to harbormaster.ports. All of them are globs, matched whole."""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._known import AGENTS, RELAYS

# A session of these daemons is a child with the daemon's own name: it is not the daemon.
LOGIN_DAEMONS = ("sshd", "dropbear")

# Killed in the middle of a write they may need a recovery that nobody planned for: no KILL unless force says so.
DATABASES = (
    "postgres",
    "postmaster",
    "mysqld",
    "mariadbd",
    "mongod",
    "redis-server",
    "valkey-server",
    "etcd",
    "influxd",
    "clickhouse-serv*",
    "clickhouse-server",
    "oracle",
    "ora_*",
    "tnslsnr",
    "sqlservr",
    "db2sysc",
    "slapd",
    "neo4j",
    "couchdb",
    "beam.smp",
    "cockroach",
    "scylla",
    "rethinkdb",
    "arangod",
    "memsqld",
    "tidb-server",
    "tikv-server",
    "firebird",
)

# Programs that do something else on TERM: it makes postgres wait for its clients and uwsgi reload.
POLITE_SIGNALS = (("postgres", "INT"), ("postmaster", "INT"), ("uwsgi", "INT"), ("uwsgi-core", "INT"))

# Units that start things for others: what runs below them is not theirs to stop. Agents are in `_known`.
LAUNCHERS = (
    "cron.service",
    "crond.service",
    "cronie.service",
    "fcron.service",
    "incron*.service",
    "anacron.service",
    "atd.service",
    "ssh.service",
    "sshd.service",
    "ssh@*.service",
    "sshd@*.service",
    "dropbear.service",
    "dropbear@*.service",
    "getty@*.service",
    "serial-getty@*.service",
    "console-getty.service",
    "display-manager.service",
    "gdm*.service",
    "lightdm.service",
    "sddm.service",
    "xrdp-sesman.service",
    "user@*.service",
    "init.scope",
    "supervisor.service",
    "supervisord.service",
    "runit.service",
    "s6*.service",
    "pm2-*.service",
    "monit.service",
    "docker.service",
    "containerd.service",
    # scripts of a host's boot: what they started outlives them
    "rc-local.service",
    "rc.local.service",
    "networking.service",
    "ifup@*.service",
    "lxc-net.service",
    "cloud-init*.service",
    "cloud-config.service",
    "cloud-final.service",
    *(unit for agent in AGENTS for unit in agent.units),
)

# The same by what runs in the unit, whatever its name is: agents, schedulers and daemons that start sessions.
LAUNCHER_PROGRAMS = (
    "cron",
    "crond",
    "anacron",
    "atd",
    "incrond",
    "sshd",
    "dropbear",
    "login",
    "agetty",
    "systemd",
    "dockerd",
    "containerd",
    *(program for agent in AGENTS for program in agent.programs),
)

# On the host they stand for a container's published port.
ENGINE_RELAYS = RELAYS

# Those of them that live for one container's ports alone: when it is gone, they are of no use to anybody.
LONE_RELAYS = ("docker-proxy", "rootlessport")

# Engines, and what belongs to them. On a port they stand for containers, or for their own interface.
ENGINES = (*ENGINE_RELAYS, "dockerd", "containerd", "podman", "crio", "kubelet")


class Elsewhere(t.NamedTuple):
    """A helper that another program set up and would set up again.

    :param program: name of the helper.
    :param unit: glob on its unit, empty for none.
    :param user: glob on its account, empty for none.
    :param command: glob on its command line, empty for none. One of the three that are not empty has to match.
    :param by: who runs it.
    :param remedy: what to do instead.
    """

    program: str
    unit: str
    user: str
    command: str
    by: str
    remedy: str


MANAGED_ELSEWHERE = (
    Elsewhere(
        "dnsmasq",
        "NetworkManager.service",
        "",
        "*/NetworkManager/*",
        "NetworkManager",
        "set dns=default in NetworkManager.conf, or end the shared connection (nmcli connection down NAME)",
    ),
    Elsewhere(
        "dnsmasq",
        "*virt*.service",
        "libvirt-dnsmasq",
        "*/libvirt/*",
        "libvirt, for one of its networks",
        "stop that network with virsh net-destroy NAME",
    ),
    Elsewhere(
        "dnsmasq",
        "*lxd*.service",
        "lxd",
        "*/lxd/*",
        "LXD, for one of its networks",
        "turn its DNS off with lxc network set NAME raw.dnsmasq=port=0",
    ),
    Elsewhere(
        "dnsmasq",
        "incus*.service",
        "incus",
        "*/incus/*",
        "Incus, for one of its networks",
        "turn its DNS off with incus network set NAME raw.dnsmasq=port=0",
    ),
    Elsewhere(
        "dnsmasq",
        "lxc-net.service",
        "lxc-dnsmasq",
        "*/lxc/*",
        "lxc-net, for the bridge of its containers",
        "have it serve no names with port=0 in the file that LXC_DHCP_CONFILE names in /etc/default/lxc-net",
    ),
    Elsewhere("aardvark-dns", "", "*", "", "podman, for one of its networks", "stop the containers of that network"),
)

# One process that listens for many services: stopping it for one port takes the others along.
SUPER_SERVERS = ("xinetd", "inetd", "openbsd-inetd", "inetutils-inetd")

# Engines that are known by a process's control group only -> the command that stops one of their machines
FOREIGN_ENGINES = (
    ("containerd", "stop it with nerdctl SPACE stop NAME, or ctr SPACE task kill NAME"),
    ("cri-o", "stop it with crictl stop NAME"),
    ("lxc", "stop it with lxc-stop -n NAME"),
    ("systemd-nspawn", "stop it with machinectl stop NAME"),
    ("libvirt", "stop it with virsh shutdown NAME"),
    ("runc", "stop it with runc kill NAME"),
    ("unknown", "find what runs NAME (systemd-cgls, ps -ef --forest) and stop it there"),
)

# First processes that start services themselves, or by scripts (SysV, OpenRC, busybox), and say nothing of them.
OTHER_INITS = ("init", "openrc-init", "busybox", "sysvinit", "dinit", "finit")

# name of the supervisor's process -> the command that stops one of its programs
SUPERVISORS = (
    ("supervisord", "supervisorctl stop NAME"),
    ("runsvdir", "sv down NAME"),
    ("s6-svscan", "s6-svc -d SERVICEDIR"),
    ("runsv", "sv down NAME"),
    ("s6-supervise", "s6-svc -d SERVICEDIR"),
    ("PM2*", "pm2 stop NAME"),
    ("monit", "monit stop NAME"),
    ("circusd", "circusctl stop NAME"),
    ("daemontools", "svc -d SERVICEDIR"),
    ("supervise", "svc -d SERVICEDIR"),
    ("god", "god stop NAME"),
    ("launchd", "launchctl bootout LABEL"),
)

# What stops a program of a supervisor that could be told by name.
SUPERVISOR_COMMANDS = {
    "supervisord": "supervisorctl stop NAME",
    "runit": "sv down NAME",
    "s6": "s6-svc -d SERVICEDIR",
    "daemontools": "svc -d SERVICEDIR",
    "pm2": "pm2 stop NAME",
    "monit": "monit stop NAME",
}

# What keeps a program of these from being started with its supervisor.
SUPERVISOR_LASTING = {
    "runit": "put an empty file down into its service directory, then run the task again",
    "s6": "put an empty file down into its service directory, then run the task again",
    "daemontools": "put an empty file down into its service directory, then run the task again",
    "pm2": "as its account, stop it and have that saved: pm2 stop NAME && pm2 save",
}

# What starts programs again is its purpose; they have no command that stops one of them. As globs on a name or a script's.
WATCHERS = (
    "uwsgi*",
    "nodemon",
    "forever",
    "foreman*",
    "honcho",
    "hivemind",
    "goreman",
    "overmind",
    "entr",
    "watchexec",
    "inotifywait",
    "watchmedo",
    "immortal",
    "mprocs",
    "air",
)

# What runs somebody's own code, which may be a loop.
SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "ash", "busybox")
SCRIPTED = ("python*", "node", "nodejs", "ruby*", "perl*", "php*", "bun", "deno", "lua*")

# Units of programs that start others by the clock.
CRON_UNITS = ("cron.service", "crond.service", "cronie.service", "fcron.service", "anacron.service", "bcron.service")

# Parents that are known to start a program again; they have no command to be asked with.
RESPAWNERS = (
    "nodemon",
    "forever",
    "foreman",
    "honcho",
    "overmind",
    "entr",
    "watchexec",
    "inotifywait",
    "tini",
    "sh",
    "bash",
    "dash",
    "zsh",
    "ksh",
)
