# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an account without rights can dress its processes up as. Each function sets one trap and says who holds the port.

A new claim that some rule could fall for is one function here: it is tried against reports, check mode, facts and frees.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import typing as t
from pathlib import Path

from attacks.attacker import ACCOUNT, GROUP, PYTHON, Attacker, Trap

SET_UID = "/bin/su"  # waits for a password on its input, with root's rights
ID = "0123456789abcdef" * 4
SLEEP = ("-c", "import time; time.sleep(3600)")


class Scene(t.NamedTuple):
    """Where an attack happens.

    :param victim: a listener of root's, with its pid: what must be alive at the end.
    """

    attacker: Attacker
    victim: t.Any

    @property
    def folder(self) -> str:
        return str(self.attacker.folder)


def set_uid_supervisord(scene: Scene) -> Trap:
    """A set-uid program under a supervisor's name, with a supervisorctl beside it."""
    scene.attacker.tool("supervisorctl", "web RUNNING pid 1, uptime 0:00:05\n")
    link = scene.attacker.link("supervisord", SET_UID)
    argv = [scene.attacker.path("supervisord"), "-c", scene.attacker.file("supervisord.conf", "[supervisord]\n")]
    return scene.attacker.trap(child=True, exec=link, argv=argv)


def supervisord_by_script(scene: Scene) -> Trap:
    scene.attacker.tool("supervisorctl", "web RUNNING pid 1, uptime 0:00:05\n")
    link = scene.attacker.link("supervisord", PYTHON)
    sleeper = scene.attacker.file("supervisord.py", "import time\ntime.sleep(3600)\n")
    return scene.attacker.trap(child=True, exec=link, argv=[scene.attacker.path("supervisord"), sleeper])


def _pm2(scene: Scene, program: str) -> Trap:
    answer = json.dumps([{"pm_id": 0, "name": "web", "pid": 1, "pm2_env": {"exec_mode": "fork_mode"}}])
    scene.attacker.tool("pm2", answer)
    link = scene.attacker.link("PM2 v5.3.0: God", program)
    environment = {"PATH": scene.folder + ":/usr/bin:/bin", "HOME": scene.folder, "PM2_HOME": scene.folder}
    argv = ["PM2 v5.3.0: God Daemon (/root/.pm2)", *_waiting(scene, program, [])]
    return scene.attacker.trap(child=True, exec=link, argv=argv, env=environment)


def _waiting(scene: Scene, program: str, words: t.Sequence[str]) -> list[str]:
    """Arguments with which a program stays and does nothing, and that hold these words."""
    if program == SET_UID:
        return ["-c", " ".join(words), "root"]
    return [scene.attacker.file("sleeper.py", "import time\ntime.sleep(3600)\n"), *words]


def set_uid_pm2(scene: Scene) -> Trap:
    return _pm2(scene, SET_UID)


def pm2(scene: Scene) -> Trap:
    return _pm2(scene, PYTHON)


def _sleeping_as(scene: Scene, name: str, *words: str, program: str = PYTHON, **options: t.Any) -> Trap:
    """The name is that of the holder's parent; the words are its arguments."""
    link = scene.attacker.link(name, program)
    argv = [scene.attacker.path(name), *_waiting(scene, program, words)]
    return scene.attacker.trap(child=True, exec=link, argv=argv, **options)


def runsv(scene: Scene) -> Trap:
    """A service directory whose control files block whoever opens them."""
    folder = scene.attacker.folder / "service"
    (folder / "supervise").mkdir(parents=True)
    for name in ("ok", "control", "status", "pid"):
        os.mkfifo(folder / "supervise" / name)
    for one in (folder, folder / "supervise", *(folder / "supervise").iterdir()):
        os.chown(one, ACCOUNT, GROUP)
    return _sleeping_as(scene, "runsv", "web", cwd=str(folder))


def s6_supervise(scene: Scene) -> Trap:
    return _sleeping_as(scene, "s6-supervise", "web")


def daemontools(scene: Scene) -> Trap:
    return _sleeping_as(scene, "supervise", "web")


def set_uid_runsv(scene: Scene) -> Trap:
    return _sleeping_as(scene, "runsv", "web", program=SET_UID)


def conmon(scene: Scene) -> Trap:
    """podman's monitor, which names the engine's folders and runtime."""
    runtime = scene.attacker.tool("runtime", "")
    words = ["--api-version", "1", "-c", ID, "-u", ID, "-r", runtime, "--exit-command", scene.attacker.tool("podman")]
    for name in ("--root", "--runroot", "--runtime", "--storage-driver", "--cgroup-manager"):
        words += ["--exit-command-arg", name, "--exit-command-arg", runtime if name == "--runtime" else scene.folder]
    scene.attacker.file("containers.conf", '[engine]\nruntime = "x"\n[engine.runtimes]\nx = ["%s"]\n' % runtime)
    environment = {"CONTAINERS_CONF": scene.attacker.path("containers.conf"), "HOME": scene.folder}
    return _sleeping_as(scene, "conmon", *words, env=environment)


def set_uid_conmon(scene: Scene) -> Trap:
    return _sleeping_as(scene, "conmon", "--exit-command", scene.attacker.tool("podman"), program=SET_UID)


def rootlesskit(scene: Scene) -> Trap:
    return scene.attacker.trap(name="rootlesskit")


def slirp(scene: Scene) -> Trap:
    return scene.attacker.trap(name="slirp4netns")


def _python_as(scene: Scene, name: str, argv: t.Sequence[str], **options: t.Any) -> Trap:
    """Python under another name, with the arguments that this one would have."""
    return scene.attacker.trap(exec=scene.attacker.link(name, PYTHON), argv=argv, **options)


def docker_proxy(scene: Scene) -> Trap:
    return _python_as(scene, "docker-proxy", ["docker-proxy", *SLEEP, "-proto", "tcp", "-host-port", "80"])


def _engine(scene: Scene, **options: t.Any) -> Trap:
    return _python_as(scene, "dockerd", ["dockerd", *SLEEP], child=True, **options)


def _container(scene: Scene, **more: t.Any) -> dict:
    labels = {"com.docker.swarm.service.name": "web", "io.kubernetes.pod.name": "web"}
    content = {
        "Id": ID, "Name": "/web", "Config": {"Labels": labels}, "HostConfig": {"NetworkMode": "host"},
        "State": {"Running": True, "Pid": scene.victim.pid, "StartedAt": "now", "Status": "running"},
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "", "HostPort": str(scene.victim.port)}]}},
    }  # fmt: skip
    return {**content, **more}


def engine_that_lies(scene: Scene) -> Trap:
    """An engine that says that root's server is a container of its own, and a swarm's."""
    listed = [{"Id": ID, "State": "running", "Ports": [{"Type": "tcp", "IP": "", "PublicPort": scene.victim.port}]}]
    answers = {"containers": listed, "inspect": _container(scene)}
    return _engine(scene, unix=[scene.attacker.path("docker.sock")], answers=answers)


def engine_that_is_full(scene: Scene) -> Trap:
    paths = [scene.attacker.path("docker%d.sock" % number) for number in range(10)]
    return _engine(scene, unix=paths, full=True)


def engine_that_never_ends(scene: Scene) -> Trap:
    listed = [{"Id": ID, "State": "running", "Ports": []}]
    answers = {"containers": listed, "padding": 64 << 20}
    return _engine(scene, unix=[scene.attacker.path("docker.sock")], answers=answers)


def forged_socket_table(scene: Scene) -> Trap:
    """Names with a newline forge rows in /proc/net/unix."""
    row = "\n0000000000000000: 00000002 00000000 00010000 0001 01 99999 /run/docker.sock"
    return _engine(scene, abstract=["x" + row, "y/docker/libnetwork/z.sock"])


def resolver(scene: Scene) -> Trap:
    return scene.attacker.trap(name="systemd-resolve")


def init(scene: Scene) -> Trap:
    return scene.attacker.trap(name="systemd")


def session_of_sshd(scene: Scene) -> Trap:
    return _python_as(scene, "sshd", ["sshd: root@pts/0", *SLEEP], connected=scene.victim.port)


def agent(scene: Scene) -> Trap:
    return scene.attacker.trap(name="tailscaled", connected=scene.victim.port)


def xinetd(scene: Scene) -> Trap:
    return scene.attacker.trap(name="xinetd")


def dnsmasq_of_libvirt(scene: Scene) -> Trap:
    return _python_as(scene, "dnsmasq", ["dnsmasq", *SLEEP, "--conf-file=/var/lib/libvirt/dnsmasq/x.conf"])


def kubelet(scene: Scene) -> Trap:
    return scene.attacker.trap(name="kubelet")


def shim(scene: Scene) -> Trap:
    return _sleeping_as(scene, "containerd-shim", "-namespace", "k8s.io", "-id", ID)


def database(scene: Scene) -> Trap:
    return scene.attacker.trap(name="postgres")


def long_words(scene: Scene) -> Trap:
    """128 KB of what the patterns of secrets are slow on."""
    words = ["\\" * 60_000, "a/token:" * 7_500, "=" * 60_000, "'\"" * 30_000, "x" * 120_000]
    return scene.attacker.trap(exec=PYTHON, argv=["app", *SLEEP, *words])


def forged_text(scene: Scene) -> Trap:
    """Words that end the line they stand on and go on in the module's own words."""
    words = ["\n80/tcp: held by nginx (pid 1, user root)", "\x1b[2K\r", "\u202e"]
    return scene.attacker.trap(exec=PYTHON, argv=["app", *SLEEP, *words])


def set_uid_holder(scene: Scene) -> Trap:
    """The holder itself is a set-uid program, under the name of a login daemon, with a connection."""
    link = scene.attacker.link("sshd", SET_UID)
    return scene.attacker.trap(exec=link, argv=["sshd: root@pts/0", "root"], connected=scene.victim.port)


def set_uid_relay(scene: Scene) -> Trap:
    link = scene.attacker.link("docker-proxy", SET_UID)
    return scene.attacker.trap(exec=link, argv=["docker-proxy", "root"])


def set_uid_engine(scene: Scene) -> Trap:
    link = scene.attacker.link("dockerd", SET_UID)
    return scene.attacker.trap(exec=link, argv=["dockerd", "root"], unix=[scene.attacker.path("docker.sock")])


def never_the_same(scene: Scene) -> Trap:
    """A program that is another one by exec, all the time: who judges it anew at each change would never be done."""
    again = scene.attacker.file(
        "again.py",
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "time.sleep(0.03)\n"
        "name = sys.argv[1]\n"
        "other = 'redis-server' if name == 'postgres' else 'postgres'\n"
        "os.execv(os.path.join(%r, other), [other, __file__, other])\n" % scene.folder,
    )
    for name in ("redis-server", "postgres"):
        program = scene.attacker.file(name, "", 0o755)
        shutil.copy(os.path.realpath(PYTHON), program)
    return scene.attacker.trap(exec=program, argv=["postgres", again, "postgres"])


def stopped(scene: Scene) -> Trap:
    """One that hears no signal but KILL."""
    trap = scene.attacker.trap(name="postgres")
    os.kill(trap.pid, signal.SIGSTOP)
    return trap


def crowd(scene: Scene) -> Trap:
    """Very many processes with the names of everything that is looked for."""
    return scene.attacker.trap(name="docker-proxy", crowd=400, unix=[scene.attacker.path("docker.sock")])


def _in_cgroup(scene: Scene, path: str) -> Trap:
    """A subtree that was handed over to the account, and in it a name of its choice."""
    trap = scene.attacker.trap(name="web")
    base = Path("/sys/fs/cgroup/systemd")
    if not (base / "cgroup.procs").exists():
        base = Path("/sys/fs/cgroup")
    lines = [line.split(":", 2) for line in Path("/proc/1/cgroup").read_text().splitlines()]
    wanted = "name=systemd" if base.name == "systemd" else ""
    root = next((path for _number, controllers, path in lines if controllers == wanted), "/").strip("/")
    here = base / root.replace("init.scope", "")
    parts = ["attack-%d.slice" % trap.pid, "user@%d.service" % ACCOUNT, *path.split("/")]
    for number, part in enumerate(parts):
        here /= part
        here.mkdir()
        scene.attacker.cgroups.append(here)
        if number:
            for one in (here, here / "cgroup.procs"):
                os.chown(one, ACCOUNT, GROUP)
    (here / "cgroup.procs").write_text("%d\n" % trap.pid)
    return trap


def cgroup_of_a_container(scene: Scene) -> Trap:
    return _in_cgroup(scene, "docker-%s.scope" % ID)


def cgroup_of_a_pod(scene: Scene) -> Trap:
    return _in_cgroup(scene, "kubepods-besteffort-pod1.slice/cri-containerd-%s.scope" % ID)


def cgroup_of_a_service(scene: Scene) -> Trap:
    return _in_cgroup(scene, "dbus.service")


DISGUISES: tuple[t.Callable[[Scene], Trap], ...] = (
    set_uid_supervisord, supervisord_by_script, set_uid_pm2, pm2, runsv, set_uid_runsv, s6_supervise, daemontools, conmon,
    set_uid_conmon, rootlesskit, slirp, docker_proxy, engine_that_lies, engine_that_is_full, engine_that_never_ends,
    forged_socket_table, resolver, init, session_of_sshd, agent, xinetd, dnsmasq_of_libvirt, kubelet, shim, database,
    set_uid_holder, set_uid_relay, set_uid_engine, never_the_same, stopped, crowd,
    long_words, forged_text, cgroup_of_a_container, cgroup_of_a_pod, cgroup_of_a_service,
)  # fmt: skip
