# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's own servers, as their packages configure and start them: predicted, freed, freed again, and started once more.

All of them are installed on one host, from packages that were fetched with the lab. Servers that don't want the same port
run at the same time, and one play frees them one after the other; what fails is told of all of them together.
"""

from __future__ import annotations

import contextlib
import traceback
import typing as t

from labkit import image, place

from lab.harness import Host, Result, same


class Server(t.NamedTuple):
    """One server.

    :param start: units that are started for it; the first one is what has to be stopped, by whatever name.
    :param port: the port that is freed, with its protocol.
    :param names: names that must mean it in ``stop_only``.
    :param options: more for the task.
    :param prepare: a script that gives it the port.
    """

    name: str
    start: tuple[str, ...]
    port: str
    names: tuple[str, ...] = ()
    options: dict[str, t.Any] = {}
    prepare: str = ""


# An application for gunicorn, /srv/web/web.py.
WEB_APP = 'mkdir -p /srv/web && printf \'def app(e, s):\\n    s("200 OK", [])\\n    return [b""]\\n\' >/srv/web/web.py'

SERVERS = (
    Server("nginx", ("nginx.service",), "80/tcp", ("nginx",)),
    Server("apache2", ("apache2.service",), "80/tcp", ("apache2",)),
    Server(
        "haproxy",
        ("haproxy.service",),
        "8404/tcp",
        ("haproxy",),
        prepare="printf 'listen here\\n  bind :8404\\n  mode http\\n' >>/etc/haproxy/haproxy.cfg",
    ),
    Server("mariadb", ("mariadb.service",), "3306/tcp", ("mysql", "mariadbd")),
    Server("redis", ("redis-server.service",), "6379/tcp", ("redis",)),
    Server("memcached", ("memcached.service",), "11211/tcp", ("memcached",)),
    Server("mosquitto", ("mosquitto.service",), "1883/tcp", ("mosquitto",)),
    Server(
        "php-fpm",
        ("php8.2-fpm.service",),
        "9000/tcp",
        ("php8.2-fpm",),
        prepare="sed -i 's#^listen = .*#listen = 127.0.0.1:9000#' /etc/php/8.2/fpm/pool.d/www.conf",
    ),
    Server(
        "gunicorn",
        ("web.service",),
        "8000/tcp",
        ("gunicorn",),
        prepare=WEB_APP + "\n"
        "printf '[Service]\\nWorkingDirectory=/srv/web\\nExecStart=/usr/bin/gunicorn -w 2 -b 127.0.0.1:8000 web:app\\n"
        "Restart=always\\n' >/etc/systemd/system/web.service; systemctl daemon-reload",
    ),
    Server("dovecot", ("dovecot.service",), "143/tcp", ("dovecot",)),
    Server("exim4", ("exim4.service",), "25/tcp", ("exim4",)),
    Server("cups", ("cups.service", "cups.socket"), "631/tcp", ("cupsd",)),
    Server("rpcbind", ("rpcbind.service", "rpcbind.socket"), "111", ("rpcbind",)),
    Server("smbd", ("smbd.service",), "445/tcp", ("smbd",)),
    Server("vsftpd", ("vsftpd.service",), "21/tcp", ("vsftpd",)),
    Server("tftpd", ("tftpd-hpa.service",), "69/udp", ("in.tftpd",)),
    Server(
        "dnsmasq",
        ("dnsmasq.service",),
        "53",
        ("dnsmasq",),
        options={"address": "127.0.0.9"},
        prepare="printf 'listen-address=127.0.0.9\\nbind-interfaces\\n' >/etc/dnsmasq.d/here.conf",
    ),
    Server("bind9", ("named.service",), "53", ("bind9", "named"), options={"address": "127.0.0.1"}),
    Server("chrony", ("chrony.service",), "323/udp", ("chronyd",)),
    Server("snmpd", ("snmpd.service",), "161/udp", ("snmpd",)),
    Server("avahi", ("avahi-daemon.service", "avahi-daemon.socket"), "5353/udp", ("avahi-daemon",)),
    Server("squid", ("squid.service",), "3128/tcp", ("squid",)),
    Server("privoxy", ("privoxy.service",), "8118/tcp", ("privoxy",)),
    Server("tor", ("tor@default.service",), "9050/tcp", ("tor",)),
    Server("varnish", ("varnish.service",), "6081/tcp", ("varnish", "varnishd")),
    Server("slapd", ("slapd.service",), "389/tcp", ("slapd",)),
    Server("pgbouncer", ("pgbouncer.service",), "6432/tcp", ("pgbouncer",)),
    Server("postgresql", ("postgresql@15-main.service",), "5432/tcp", ("postgres", "postgresql@15-main")),
    Server("rabbitmq", ("rabbitmq-server.service",), "5672/tcp", ("rabbitmq-server",)),
)


def numbers(server: Server) -> list[tuple[int, str]]:
    number, _slash, protocol = server.port.partition("/")
    return [(int(number), one) for one in ([protocol] if protocol else ["tcp", "udp"])]


def test_debians_own_servers(host: Host):
    host.spoil()
    _install(host)
    problems: list[str] = []
    for batch in batches():
        _tried(host, batch, problems)
    assert not problems, "%d problems with %d servers:\n\n%s" % (len(problems), len(SERVERS), "\n".join(problems))


def batches() -> list[list[Server]]:
    """The servers in groups in which no port is wanted twice."""
    found: list[list[Server]] = []
    for server in SERVERS:
        ports = set(numbers(server))
        free = (group for group in found if not any(ports & set(numbers(other)) for other in group))
        group = next(free, None)
        if group is None:
            found.append([server])
        else:
            group.append(server)
    return found


def _all(server: Server) -> list[str]:
    return list(server.start[1:] + server.start[:1])


def _install(host: Host) -> None:
    """Install the packages without a network. What their scripts would start is started when its turn comes."""
    place.docker("cp", image.servers(), host.name + ":/srv/servers", seconds=120)
    # Some have to be configured before others can be unpacked.
    host.sh(
        "cd /srv/servers; export DEBIAN_FRONTEND=noninteractive\n"
        "printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d\n"
        "for turn in 1 2 3; do dpkg --force-confdef -i --skip-same-version *.deb >>/srv/log 2>&1 && break; done\n"
        "dpkg --configure -a >>/srv/log 2>&1 || tail -n 30 /srv/log\n"
        "rm -rf /srv/servers /usr/sbin/policy-rc.d; systemctl daemon-reload",
        seconds=1200,
    )
    host.sh("systemctl stop %s" % " ".join(name for one in SERVERS for name in _all(one)), check=False, seconds=400)


def _tried(host: Host, batch: list[Server], problems: list[str]) -> None:
    """Predict, free, free once more and start again each server of a group."""
    tasks = []
    for server in batch:
        with told(server, problems):
            if server.prepare:
                host.sh(server.prepare)
            _start(host, server)
        options = dict(server.options, port=server.port, state="free", stop_only=list(server.names))
        for name, check in (("predicted", True), ("done", False), ("again", False)):
            task = host._task(name, check, options)  # pylint: disable=protected-access
            tasks.append({**task, "name": "%s %s" % (server.name, name)})
    before = {other: host.active(other) for other in ("ssh.service", "systemd-resolved.service", "cron.service")}
    results = host.play(tasks, deadline=1200)
    for server in batch:
        with told(server, problems):
            predicted, done, again = (results["%s %s" % (server.name, name)] for name in ("predicted", "done", "again"))
            _judged(host, server, done)
            same(predicted, done)
            assert not again.failed and not again["changed"] and again["actions"] == [], again
    # They were not harmed: they start again and serve. Some start others, as cups does avahi by D-Bus.
    host.systemctl("reset-failed", check=False)
    for server in batch:
        with told(server, problems):
            _start(host, server)
    host.sh("systemctl stop %s" % " ".join(name for server in batch for name in _all(server)), check=False, seconds=400)
    assert before == {other: host.active(other) for other in before}


@contextlib.contextmanager
def told(server: Server, problems: list[str]) -> t.Iterator[None]:
    """What goes wrong with one server is no end for the others."""
    try:
        yield
    except Exception:  # pylint: disable=broad-except
        problems.append("%s: %s" % (server.name, traceback.format_exc(limit=-2)))


def _start(host: Host, server: Server) -> None:
    host.sh("systemctl start %s" % " ".join(_all(server)), seconds=200)
    for number, protocol in numbers(server):
        host.wait_held(number, protocol, 60)


def _judged(host: Host, server: Server, done: Result) -> None:
    assert done["changed"] and not done.failed and done["free"], done
    unit = server.start[0]
    assert not host.active(unit), "%s is still active" % unit
    actions = [action["action"] for action in done["actions"]]
    assert actions == ["stop_unit"], done["actions"]
    assert unit.partition(".")[0].partition("@")[0] in str(done["actions"][0]), done["actions"][0]


def test_gunicorn_by_hand_is_stopped_whole(host: Host):
    """Without a unit, and after USR2, with which it hands its socket to a new master that is its child."""
    host.spoil()
    place.docker("cp", image.servers(), host.name + ":/srv/servers", seconds=120)
    host.sh(
        # Of what it needs, some may be part of the host already.
        "cd /srv/servers; ls | grep -E '^(gunicorn|python3-(gunicorn|setuptools|pkg-resources))_' | xargs dpkg -i; "
        "rm -rf /srv/servers; test -x /usr/bin/gunicorn",
        seconds=120,
    )
    host.sh(WEB_APP)
    host.spawn("/usr/bin/gunicorn --chdir /srv/web -w 2 -b 127.0.0.1:8000 -p /srv/web/pid web:app")
    host.wait_held(8000, seconds=60)
    first = host.pids(8000)
    host.sh("kill -USR2 $(cat /srv/web/pid)")
    place.wait_for("the new master", lambda: len(host.pids(8000)) >= 2 * len(first), 60)
    pids = host.pids(8000)
    freed = host.free(8000, stop_only=["gunicorn"])
    assert freed.done["changed"] and not freed.done.failed, freed.done
    assert not any(host.alive(pid) for pid in pids)
