# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several hosts to try a playbook on, reached over ssh.

Without more said they are network namespaces of this machine, each with its own sshd, its own ports and its own loopback;
the controller is one more namespace, so nothing of it can be seen or reached from outside. HARBORMASTER_FLEET_INVENTORY
names an inventory of other hosts in their place: at least four, with python3, reached as root, over ssh.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import typing as t
from pathlib import Path

from zoo import world

NAMES = ("web1", "web2", "web3", "db1")
PYTHON = "/usr/bin/python3"
SSHD = """\
Port 22
ListenAddress 0.0.0.0
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
UseDNS no
MaxStartups 100
"""


class Host(t.NamedTuple):
    """One host, as ssh reaches it from the controller."""

    name: str
    variables: t.Dict[str, t.Any]

    def ssh(self, folder: str) -> t.List[str]:
        """:param folder: where the sockets of connections are that stay open for a while."""
        if "ansible_ssh_args" in self.variables:
            # Somebody else's hosts, with a configuration of ssh that says everything.
            return [
                "ssh",
                *shlex.split(self.variables["ansible_ssh_args"]),
                self.variables.get("ansible_host", self.name),
            ]
        words = ["ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]
        words += ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        words += ["-o", "ControlMaster=auto", "-o", "ControlPersist=60s", "-o", "ControlPath=%s/%%C" % folder]
        for option, variable in (("-p", "ansible_port"), ("-i", "ansible_ssh_private_key_file")):
            if variable in self.variables:
                words += [option, str(self.variables[variable])]
        user = self.variables.get("ansible_user", "root")
        return [*words, "%s@%s" % (user, self.variables.get("ansible_host", self.name))]


class Fleet:
    """The hosts, and the place from which they are reached."""

    def __init__(self, hosts: t.Sequence[Host], controller: t.Sequence[str] = ()) -> None:
        """:param controller: the words that run a command at the place from which the hosts are reached."""
        self.hosts = {host.name: host for host in hosts}
        self.controller = list(controller)
        self._sockets = tempfile.mkdtemp(prefix="fleet-ssh-")

    def run(self, name: str, command: str, given: str = "") -> str:
        """Run a shell command on a host, with something to read, and give what it printed."""
        words = [*self.controller, *self.hosts[name].ssh(self._sockets), command]
        done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError("%s: %s: %s" % (name, command, done.stderr))
        return done.stdout

    def write(self, name: str, path: str, text: str, mode: str = "0755") -> None:
        """Put a file on a host; in place at once, so that it can be run while it is replaced."""
        command = "mkdir -p {folder} && cat > {path}.new && chmod {mode} {path}.new && mv {path}.new {path}"
        command = command.format(folder=shlex.quote(os.path.dirname(path)), path=shlex.quote(path), mode=mode)
        self.run(name, command, text)

    def inventory(self) -> t.Dict[str, t.Dict[str, t.Any]]:
        """The hosts with their variables, to be changed at will."""
        return {host.name: dict(host.variables) for host in self.hosts.values()}

    def close(self) -> None:
        """End the connections. The hosts are not ours to take down."""
        for host in self.hosts.values():
            words = [*self.controller, *host.ssh(self._sockets), "-O", "exit"]
            subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        shutil.rmtree(self._sockets, ignore_errors=True)


def named_fleet(inventory: str, ansible_inventory: str) -> Fleet:
    """The hosts of an inventory that somebody else keeps."""
    done = subprocess.run(
        [ansible_inventory, "-i", inventory, "--list"], capture_output=True, text=True, timeout=60, check=True
    )
    variables = json.loads(done.stdout)["_meta"]["hostvars"]
    names = sorted(variables)[: len(NAMES)]
    if len(names) < len(NAMES):
        raise RuntimeError("%s has %d hosts with variables, %d are needed" % (inventory, len(names), len(NAMES)))
    # The tests know them by names of their own.
    return Fleet(
        [Host(known, {"ansible_host": name, **variables[name]}) for known, name in zip(NAMES, names)],
    )


class NamespaceFleet(Fleet):
    """Hosts that are network namespaces, one sshd each, on a bridge that only the controller's namespace has."""

    def __init__(self, folder: Path) -> None:
        self._mark = "hm%x" % os.getpid()
        self._made: t.List[str] = []
        self._daemons: t.List[subprocess.Popen[bytes]] = []
        self._folder = folder
        hosts = [
            Host(
                name,
                {
                    "ansible_host": "192.0.2.%d" % number,
                    "ansible_user": "root",
                    "ansible_ssh_private_key_file": str(folder / "key"),
                    "ansible_python_interpreter": PYTHON,
                },
            )
            for number, name in enumerate(NAMES, 11)
        ]
        super().__init__(hosts, ["ip", "netns", "exec", self._mark])
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        for key in ("key", "host_key"):
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._folder / key))
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd locks up the part of it that has no rights
        self._namespace(self._mark)
        _run("ip", "-n", self._mark, "link", "add", "fleet", "type", "bridge")
        _run("ip", "-n", self._mark, "addr", "add", "192.0.2.1/24", "dev", "fleet")
        _run("ip", "-n", self._mark, "link", "set", "fleet", "up")
        for host in self.hosts.values():
            self._host(host)
        for host in self.hosts.values():
            self._await(host)

    def _namespace(self, name: str) -> None:
        _run("ip", "netns", "add", name)
        self._made.append(name)
        _run("ip", "-n", name, "link", "set", "lo", "up")

    def _host(self, host: Host) -> None:
        space = "%s-%s" % (self._mark, host.name)
        self._namespace(space)
        # Both ends are made inside of namespaces: no name is taken outside, not even for a moment.
        _run("ip", "-n", self._mark, "link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", space)
        _run("ip", "-n", self._mark, "link", "set", host.name, "master", "fleet", "up")
        _run("ip", "-n", space, "addr", "add", host.variables["ansible_host"] + "/24", "dev", "eth0")
        _run("ip", "-n", space, "link", "set", "eth0", "up")
        config = self._folder / ("%s.conf" % host.name)
        config.write_text(SSHD.format(folder=self._folder))
        with (self._folder / ("%s.log" % host.name)).open("wb") as log:
            command = ["ip", "netns", "exec", space, "/usr/sbin/sshd", "-D", "-e", "-f", str(config)]
            self._daemons.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def _await(self, host: Host) -> None:
        end = time.monotonic() + 20
        while True:
            try:
                self.run(host.name, "true")
                return
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def close(self) -> None:
        """End what lives in the namespaces, all of it started through us, and take them down."""
        shutil.rmtree(self._sockets, ignore_errors=True)
        inhabitants = [pid for name in self._made for pid in self._inhabitants(name)]
        for pid in inhabitants:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for daemon in self._daemons:
            daemon.wait(10)
        left = world.wait_gone(inhabitants)
        for name in reversed(self._made):
            _run("ip", "netns", "delete", name)
        self._made = []
        if left:
            raise RuntimeError("pids %s did not end" % left)

    @staticmethod
    def _inhabitants(name: str) -> t.List[int]:
        return [int(pid) for pid in _run("ip", "netns", "pids", name).split()]


def _run(*words: str) -> str:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise RuntimeError("%s: %s" % (" ".join(words), done.stderr.strip()))
    return done.stdout
