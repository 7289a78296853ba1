# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that decisions rest on, as tables. Private to harbormaster.ports. All of them are globs, matched whole."""

from __future__ import annotations

# Machines depend on these: stopping one locks people out or takes every container along.
PROTECTED = (
    "systemd",
    "init",
    "systemd-journal*",
    "systemd-logind",
    "systemd-udevd",
    "systemd-network*",
    "systemd-timesyn*",
    "systemd-machine*",
    "systemd-userdb*",
    "systemd-userwor*",
    "systemd-oomd",
    "dbus-daemon",
    "dbus-broker",
    "dbus-broker-lau*",
    "sshd",
    "ssh.socket",
    "sshd.socket",
    "dropbear",
    "dockerd",
    "containerd",
    "containerd-shim*",
    "podman",
    "crio",
    "kubelet",
    "NetworkManager",
)

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

# Units that start things for others: what runs below them is not theirs to stop.
LAUNCHERS = (
    "cron.service",
    "crond.service",
    "cronie.service",
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
    "user@*.service",
    "init.scope",
    "supervisor.service",
    "supervisord.service",
    "runit.service",
    "s6*.service",
    "pm2-*.service",
    "monit.service",
    "jenkins*.service",
    "gitlab-runner.service",
    "actions.runner.*.service",
    "buildkite-agent*.service",
    "teamcity-agent*.service",
    "tailscaled.service",
    "teleport.service",
    "amazon-ssm-agent.service",
    "snap.amazon-ssm-agent.*.service",
    "walinuxagent.service",
    "waagent.service",
    "receptor*.service",
    "ansible-pull*.service",
    "docker.service",
    "containerd.service",
)

# On the host they stand for a container's published port.
ENGINE_RELAYS = (
    "docker-proxy",
    "rootlessport",
    "rootlesskit",
    "slirp4netns",
    "pasta",
    "pasta.avx2",
    "conmon",
    "netavark",
    "aardvark-dns",
)

# name of the supervisor's process -> the command that stops one of its programs
SUPERVISORS = (
    ("supervisord", "supervisorctl stop NAME"),
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
