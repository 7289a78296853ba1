# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts: Debian with a real systemd, sshd and engines of their own, each in a container of the lab's engine."""

from __future__ import annotations

import json
import os
import shlex
import time
import typing as t

from labkit import image
from labkit.place import (
    CACHE,
    DNS_ANSWER,
    DNS_NAME,
    GATEWAY,
    INVENTORY,
    KEY,
    NAME,
    NETNS,
    RUN,
    SSH_CONFIG,
    STATE,
    LabError,
    docker,
    replace,
    run,
    say,
    wait_for,
)

# The tests take these, one each; the last one is for trying things by hand.
TEST_HOSTS = ("lab1", "lab2", "lab3")
SPARE = "spare"
HOSTS = (*TEST_HOSTS, SPARE)
FIRST_PORT = 22001  # of sshd on the loopback of the lab's network namespace

# All that systemd, dockerd and podman need inside; --privileged asks for more than a restricted machine has to give.
RIGHTS = (
    "--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--security-opt", "seccomp=unconfined",
    "--security-opt", "apparmor=unconfined", "--security-opt", "systempaths=unconfined",
    "--device-cgroup-rule", "a *:* rwm", "--device", "/dev/fuse", "--device", "/dev/net/tun",
    "--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw",
    "--tmpfs", "/run:exec,mode=755", "--tmpfs", "/tmp:exec,mode=1777",
    "--sysctl", "net.ipv6.conf.all.disable_ipv6=0", "--sysctl", "net.ipv6.conf.default.disable_ipv6=0",
    "--stop-signal", "SIGRTMIN+3",
    # overlay file systems don't stack: the engines inside get a plain directory
    "--volume", "/var/lib/docker", "--volume", "/var/lib/containers",
)  # fmt: skip

# For ssh: one connection a host that stays open, as Ansible's own does.
SHARED_CONNECTION = (
    "-F", str(SSH_CONFIG), "-o", "ControlMaster=auto", "-o", "ControlPersist=120s", "-o", "ControlPath=%s/ssh/%%n-%%r" % RUN,
)  # fmt: skip

# Comes when it is first asked for, and stays.
PASSING = ("bob dbus-daemon",)


def ssh_port(name: str) -> int:
    return FIRST_PORT + HOSTS.index(name)


def up() -> None:
    """Start what is missing of the name server and the hosts, and write how they are reached."""
    picture = image.load()
    _name_server(picture)
    there = dict(line.split() for line in docker("ps", "--format", "{{.Names}} {{.Image}}").stdout.splitlines())
    fresh = [name for name in HOSTS if there.get(name) != picture]
    for name in fresh:
        docker("rm", "--force", "--volumes", name, check=False)
        _start(name, picture)
    write_access()
    for name in fresh:
        _wait_booted(name)
        _equip(name)
    replace(STATE, json.dumps(describe(picture), indent=1) + "\n")


def describe(picture: str) -> t.Dict[str, t.Any]:
    return {
        "name": NAME, "run": str(RUN), "hosts": list(HOSTS), "test_hosts": list(TEST_HOSTS), "image": picture,
        "ssh_config": str(SSH_CONFIG), "inventory": str(INVENTORY),
        "dns": {"server": GATEWAY, "name": DNS_NAME, "answer": DNS_ANSWER},
    }  # fmt: skip


def _name_server(picture: str) -> None:
    """A DNS server on the lab's bridge: the upstream of the hosts, with a name that nobody else knows."""
    if docker("inspect", "--format", "{{.State.Running}}", "dns", check=False).stdout.strip() == "true":
        return
    docker("rm", "--force", "dns", check=False)
    docker(
        "run", "--detach", "--name", "dns", "--network", "host", "--restart", "unless-stopped", "--cap-add", "NET_ADMIN",
        picture, "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces", "--user=root",
        "--listen-address=" + GATEWAY, "--host-record=%s,%s" % (DNS_NAME, DNS_ANSWER),
    )  # fmt: skip


def _start(name: str, picture: str) -> None:
    done = docker(
        "run", "--detach", "--name", name, "--hostname", name, "--publish", "127.0.0.1:%d:22" % ssh_port(name), *RIGHTS,
        picture, "/usr/local/sbin/lab-init",
    )  # fmt: skip
    with open(CACHE / "hosts.ids", "a", encoding="ascii") as stream:
        stream.write(done.stdout.strip() + "\n")


def sh(name: str, script: str, seconds: float = 60, check: bool = True, text: str = "") -> str:
    """Run a shell script as root inside a host, past sshd; its output."""
    return docker(
        "exec", "--interactive", name, "/bin/bash", "-c", script, seconds=seconds, check=check, input=text
    ).stdout


def _wait_booted(name: str) -> None:
    def booted() -> bool:
        state = docker("exec", name, "systemctl", "is-system-running", check=False, seconds=30).stdout.strip()
        return state in ("running", "degraded")

    try:
        wait_for("the boot of %s" % name, booted, 240)
    except LabError as error:
        log = docker("exec", name, "systemctl", "--no-pager", "list-jobs", check=False).stdout
        raise LabError("%s\n%s" % (error, log)) from None
    failed = sh(
        name, "systemctl --failed --plain --no-legend --no-pager; ss -Hltn sport = :22 | grep -q . || echo no sshd"
    )
    if failed.strip():
        raise LabError("%s booted, but: %s" % (name, failed.strip()))


def _equip(name: str) -> None:
    """The image for the engine inside, and what the host looks like before any test: see lab-state."""
    sh(name, "docker import /opt/lab/box.tar box:latest >/dev/null")
    sh(name, "mkdir -p /var/lib/lab && lab-state >/var/lib/lab/baseline")


def differs(name: str) -> str:
    """How a host differs from what it was after its first boot; empty when it does not."""
    found = sh(name, "lab-state | diff /var/lib/lab/baseline -", check=False).splitlines()
    return "\n".join(line for line in found if line[:1] in "<>" and line[2:] not in PASSING)


def recreate(name: str) -> None:
    """Throw a host away and start a new one in its place."""
    picture = json.loads(STATE.read_text(encoding="utf-8"))["image"]
    forget_connections(name)
    docker("rm", "--force", "--volumes", name, check=False)
    _start(name, picture)
    _wait_booted(name)
    _equip(name)


def reboot(name: str, seconds: float = 60) -> None:
    """An orderly shutdown and a new boot; disks stay, /run and /tmp go."""
    forget_connections(name)
    docker("restart", "--time", "30", name, seconds=seconds)
    _wait_booted(name)


def forget_connections(name: str) -> None:
    """End the ssh connections that are kept open to a host."""
    for path in (RUN / "ssh").glob("%s*" % name):
        run("ssh", "-F", SSH_CONFIG, "-o", "ControlPath=%s" % path, "-O", "exit", name, check=False)
        path.unlink(missing_ok=True)


def write_access() -> None:
    """The ssh configuration and the inventory, for the tests and for people."""
    (RUN / "ssh").mkdir(mode=0o700, parents=True, exist_ok=True)
    text = "# Written by scripts/lab. The hosts are in the network namespace %s.\n" % NAME
    for name in HOSTS:
        text += "Host %s\n  Port %d\n" % (name, ssh_port(name))
    text += f"""\
Host *
  HostName 127.0.0.1
  User root
  IdentityFile {KEY}
  IdentitiesOnly yes
  HostKeyAlias lab
  HostKeyAlgorithms ssh-ed25519
  StrictHostKeyChecking yes
  UserKnownHostsFile {CACHE}/known_hosts
  ProxyCommand nsenter --net={NETNS} busybox nc 127.0.0.1 %p
  ConnectTimeout 15
  ServerAliveInterval 15
  ServerAliveCountMax 4
  LogLevel ERROR
"""
    replace(SSH_CONFIG, text)
    inventory = {
        "all": {
            "vars": {
                "ansible_ssh_args": " ".join(SHARED_CONNECTION),
                "ansible_ssh_pipelining": True,
                "ansible_python_interpreter": "/usr/bin/python3",
            },
            "hosts": {name: {} for name in HOSTS},
        }
    }
    # JSON is YAML.
    replace(INVENTORY, json.dumps(inventory, indent=2) + "\n")


def status() -> str:
    lines = []
    for name in HOSTS:
        state = docker("exec", name, "systemctl", "is-system-running", check=False, seconds=30)
        lines.append("%s: %s" % (name, state.stdout.strip() or state.stderr.strip()))
    lines.append("inventory: %s" % INVENTORY)
    lines.append("ssh:       ssh -F %s %s" % (SSH_CONFIG, SPARE))
    lines.append("past ssh:  docker -H unix://%s/docker.sock exec -it %s bash" % (RUN, SPARE))
    return "\n".join(lines)


def check() -> None:
    """What a test may rely on; anything else is said."""
    from concurrent.futures import ThreadPoolExecutor

    def of(name: str) -> str:
        answer = sh(
            name, "getent hosts %s; ss -Hltun 'sport = :53' | wc -l" % shlex.quote(DNS_NAME), check=False
        ).split()
        if answer[:1] != [DNS_ANSWER]:
            return "%s does not resolve %s: %s" % (name, DNS_NAME, answer)
        if answer[-1] != "4":
            return "%s: systemd-resolved does not hold tcp and udp 53 (%s sockets)" % (name, answer[-1])
        done = run("ssh", "-F", SSH_CONFIG, name, "true", check=False)
        return "" if done.returncode == 0 else "%s can't be reached over ssh: %s" % (name, done.stderr.strip())

    with ThreadPoolExecutor() as pool:
        complaints = [line for line in pool.map(of, HOSTS) if line]
    if complaints:
        raise LabError("; ".join(complaints))
    say("%d hosts are up (%s)" % (len(HOSTS), time.strftime("%H:%M:%S")))


def is_root() -> bool:
    return os.geteuid() == 0
