# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets that don't exist, as the facts module and port_owner would have told of them. The same ones at every run."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import baseline, document, files, page, plan

GENERATED = "2026-03-02T09:30:00Z"
BEFORE = "2026-02-23T09:30:00Z"
EPHEMERAL = {"tcp": [[32768, 60999]], "udp": [[32768, 60999]]}

# name, user, unit, port, protocol, address: what such a host has, by what it is for.
COMMON = [
    ("sshd", "root", "ssh.service", 22, "tcp", "0.0.0.0"),
    ("systemd-resolved", "systemd-resolve", "systemd-resolved.service", 53, "udp", "127.0.0.53"),
    ("systemd-resolved", "systemd-resolve", "systemd-resolved.service", 53, "tcp", "127.0.0.53"),
    ("chronyd", "_chrony", "chrony.service", 323, "udp", "127.0.0.1"),
    ("node_exporter", "prometheus", "node-exporter.service", 9100, "tcp", "::"),
]
ROLES = {
    "web": [
        ("nginx", "root", "nginx.service", 80, "tcp", "0.0.0.0"),
        ("nginx", "root", "nginx.service", 443, "tcp", "0.0.0.0"),
        ("php-fpm", "root", "php8.2-fpm.service", 9000, "tcp", "127.0.0.1"),
    ],
    "app": [
        ("java", "shop", "shop.service", 8080, "tcp", "::"),
        ("java", "shop", "shop.service", 8081, "tcp", "127.0.0.1"),
        ("gunicorn", "api", "api.service", 8000, "tcp", "127.0.0.1"),
    ],
    "db": [
        ("postgres", "postgres", "postgresql@15-main.service", 5432, "tcp", "0.0.0.0"),
        ("pgbouncer", "postgres", "pgbouncer.service", 6432, "tcp", "0.0.0.0"),
        ("postgres_exporter", "prometheus", "postgres-exporter.service", 9187, "tcp", "::"),
    ],
    "cache": [
        ("redis-server", "redis", "redis-server.service", 6379, "tcp", "127.0.0.1"),
        ("memcached", "memcache", "memcached.service", 11211, "tcp", "127.0.0.1"),
    ],
    "queue": [
        ("beam.smp", "rabbitmq", "rabbitmq-server.service", 5672, "tcp", "::"),
        ("beam.smp", "rabbitmq", "rabbitmq-server.service", 15672, "tcp", "0.0.0.0"),
        ("epmd", "epmd", "epmd.service", 4369, "tcp", "0.0.0.0"),
    ],
}
PLAN = [
    {"port": "80/tcp", "owner": ["nginx"]},
    {"port": "443/tcp", "owner": ["nginx", "W3SVC"]},
    {"port": "8080/tcp", "owner": ["java", "tomcat*"]},
    {"port": "9000-9010/tcp", "stop_only": ["java"], "keep": ["php-fpm*"]},
    {"port": 23, "owner": []},
]


def owner(name, user, unit, pid, started, **more):
    """One process, with every key that the facts module gives."""
    return {
        "pid": pid, "name": name, "user": user, "service": unit, "container": None, "started": started,
        "stime": "Sun Mar  1 06:12:44 2026", **more,
    }  # fmt: skip


def row(name, user, unit, port, protocol="tcp", address="0.0.0.0", pid=812, started="2026-02-20T06:12:44Z", **more):
    """One row of facts."""
    who = owner(name, user, unit, pid, started)
    return {
        **who, "address": address, "port": port, "protocol": protocol, "family": "ipv6" if ":" in address else "ipv4",
        "v6only": False if address == "::" else None, "interface": None, "owner_status": "known", "owners": [who], **more,
    }  # fmt: skip


def hidden(port, protocol="tcp", address="0.0.0.0", why="not_root"):
    """A row whose owner could not be seen."""
    found = row(None, None, None, port, protocol, address, pid=None, started=None)
    return {**found, "stime": None, "owner_status": why, "owners": []}


def facts(*rows, ephemeral=EPHEMERAL):  # pylint: disable=dangerous-default-value
    """The registered result of the facts module."""
    listed = {name: [one for one in rows if one["protocol"] == name] for name in ("tcp", "udp")}
    return {
        "changed": False,
        "msg": "%d TCP and %d UDP sockets" % (len(listed["tcp"]), len(listed["udp"])),
        "ansible_facts": {"tcp_listen": listed["tcp"], "udp_listen": listed["udp"]},
        "ephemeral": ephemeral,
    }


def items(wishes):
    """A plan as the document takes it."""
    return plan.parse(wishes, "plan")


def report(hosts, earlier=None, **frame):
    """A document of such hosts; ``earlier`` is another document."""
    frame.setdefault("generated", GENERATED)
    about = document.Frame(collection="0.1.0", ansible="2.19.14", **frame)
    scope = "all" if about.facts_asked else "plan"
    old = None if earlier is None else baseline.read(page.to_json(earlier).encode(), scope)
    return document.assemble(about, hosts, old)


def small():
    """A fleet in which everything happens once: every status, conflict and change."""
    return report(_small(changed=True), report(_small(changed=False), generated=BEFORE), title="Ports of the shop")


def _small(changed):
    hosts = []
    for number in range(1, 5):
        rows = [row(*one, pid=600 + at) for at, one in enumerate(COMMON + ROLES["web"])]
        if number == 2 and changed:
            rows[5:7] = [row("apache2", "root", "apache2.service", 80), row("apache2", "root", "apache2.service", 443)]
            rows.append(row("python3", "deploy", None, 8000, address="0.0.0.0"))
        hosts.append(
            document.Given(
                "web%d" % number, groups=("web", "frankfurt"), facts=facts(*rows), items=items(PLAN[:2] + PLAN[3:])
            )
        )
    for number in range(1, 4):
        rows = [row(*one, pid=900 + at) for at, one in enumerate(COMMON + ROLES["app"])]
        if number == 1:
            rows += [row("java", "shop", "shop.service", 9005), row("node", "dev", None, 9007), hidden(9009)]
            rows.append(row("java", "shop", "shop.service", 41233, address="::"))
        if number == 2 and changed:
            rows = [one for one in rows if one["port"] != 8000] + [row("telnetd", "root", "inetd.service", 23)]
        if number == 3:
            rows[5] = row(
                "python3",
                "root",
                None,
                8080,
                container={"engine": "docker", "id": "5f2c0e0d7a99", "name": "shop-canary"},
            )
        groups = ("app", "frankfurt" if number < 3 else "dublin")
        hosts.append(document.Given("app%d" % number, groups=groups, facts=facts(*rows), items=items(PLAN[2:])))
    workers = [
        owner("postgres", "postgres", "postgresql@15-main.service", pid, "2026-02-20T06:12:44Z")
        for pid in (700, 731, 732, 733)
    ]
    rows = [row(*one) for one in COMMON + ROLES["db"]]
    rows[5] = {**rows[5], "owners": workers, "address": "0.0.0.0" if changed else "127.0.0.1"}
    rows.append(hidden(2049, why="kernel") | {"name": "nfsd"})
    hosts.append(document.Given("db1", groups=("db", "dublin"), facts=facts(*rows)))
    hosts.append(
        document.Given(
            "db2",
            groups=("db", "dublin"),
            facts={"failed": True, "msg": "The module interpreter '/usr/bin/python3' was not found."}
            if changed
            else facts(*rows),
        )
    )
    if changed:
        hosts.append(
            document.Given(
                "queue1",
                groups=("queue",),
                facts={"unreachable": True, "msg": "Failed to connect to the host via ssh: No route to host"},
            )
        )
        hosts.append(document.Given("queue2", groups=("queue",), in_play=False, active=False))
    return hosts


def large(hosts=500, listeners=60, seed=6):
    """A fleet of the given size, and the same one a week before."""
    return report(
        _large(hosts, listeners, seed, True),
        report(_large(hosts, listeners, seed, False), generated=BEFORE),
        title="Ports of %d hosts" % hosts,
    )


def _large(hosts, listeners, seed, changed):
    dice = random.Random(seed)
    wishes = items(PLAN)
    extras = [
        ("svc-%02d" % number, "svc", "svc-%02d.service" % number, 10000 + number * 7, "tcp", "0.0.0.0") for number in range(90)
    ]  # fmt: skip
    found = []
    for number in range(hosts):
        role = list(ROLES)[number % len(ROLES)]
        name = "%s%03d" % (role, number // len(ROLES) + 1)
        rows = [row(*one, pid=500 + at) for at, one in enumerate(COMMON + ROLES[role])]
        start = dice.randrange(len(extras))
        fill = max(0, listeners - len(rows) - 2)
        rows += [row(*extras[(start + at) % len(extras)], pid=2000 + at) for at in range(fill)]
        rows += [
            row("rpc.statd", "statd", "rpc-statd.service", dice.randrange(32768, 61000), protocol)
            for protocol in ("tcp", "udp")
        ]
        rows = rows[:listeners]
        chance = dice.random()
        if changed:
            rows = _mishap(rows, chance)
        groups = (role, ("frankfurt", "dublin", "ashburn")[number % 3])
        given = document.Given(
            name, groups=groups, facts=facts(*rows), items=wishes if role in ("web", "app") else None
        )
        if changed and 0.2 < chance < 0.206:
            given = given._replace(
                facts={"unreachable": True, "msg": "Failed to connect to the host via ssh: Connection timed out"}
            )
        elif changed and 0.21 < chance < 0.214:
            given = given._replace(
                facts={"failed": True, "msg": "The module interpreter '/usr/bin/python3' was not found."}
            )
        found.append(given)
    return found


def _mishap(rows, chance):
    """What has happened to some hosts since the week before."""
    if chance < 0.02:
        return [*rows[:-1], row("python3", "deploy", None, 8080)]
    if chance < 0.03:
        return [*rows[:-1], hidden(9005)]
    if chance < 0.05:
        return rows[:-3]
    if chance < 0.06:
        return [row("httpd", "root", "httpd.service", one["port"]) if one["name"] == "nginx" else one for one in rows]
    return rows


def main(folder):
    """Write the reports of both fleets below a folder."""
    for name, make in (("shop", small), ("fleet-500", large)):
        written = page.to_json(make())
        place = Path(folder) / name
        files.write(str(place / "report.json"), written, 0o600)
        files.write(str(place / "report.html"), page.to_html(json.loads(written), written), 0o600)
        print("%s: %s" % (name, place / "report.html"))


if __name__ == "__main__":
    main(sys.argv[1])
