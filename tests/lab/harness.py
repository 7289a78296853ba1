# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of the lab as a test sees it: what is done on it, plays against it, and how it is left clean.

    host.unit("web.service", "lab-serve 8080", Restart="always")
    freed = host.free(8080)
    assert freed.done["changed"]

``sh`` goes past sshd and is nobody's session; ``ssh`` is a session like Ansible's own.

What the module is sent as was built by Ansible, and it runs in an ssh session; a controller that starts anew for each of
hundreds of plays would be most of what the machine does. A task that asks for more of Ansible (``play_become``,
``play_async``, variables, another module) goes through a whole ansible-playbook.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from labkit import hosts, image, place
from zoo import harness as zoo

HERE = Path(__file__).resolve().parent
PLAY_DEADLINE = 240.0  # seconds; a task that hangs is a failure of its test, not of the whole run
BORROW_DEADLINE = 1200.0
SERVE = "/usr/bin/lab-serve"  # where the PATH of cron and of sh leads too
MODULE = "harbormaster.ports.port_owner"
NOT_FAILED = "done is not failed"
NAME = MODULE.rpartition(".")[2]
PAYLOAD = "/var/lib/lab/payload"  # the module on a host, as Ansible would send it
PLAIN = frozenset(
    ("name", MODULE, "check_mode", "ignore_errors", "register", "when")
)  # of a task that needs no controller
# The one thing that check mode does not know: what a program of another account would say, which only a real run asks. A
# warning about the target of an action says so, in these words.
UNASKED = "which is not asked now"
# What that program says: which container, unit or program it is, and what stops and comes back with it.
SAID_OF_ACTION = ("action", "target", "also_frees", "also_stops", "returns_at_boot", "undo", "may_restart")
SAID_OF_HOLDER = ("kind", "name", "service", "container")


class Result(zoo.Result):
    """What one task returned, and how long it took, as the controller sees it."""

    def __init__(self, values: dict, end: str, seconds: float) -> None:
        super(zoo.Result, self).__init__(values)  # pylint: disable=bad-super-call
        self.end, self.seconds = end, seconds
        text = json.dumps(values)
        assert "Traceback" not in text, "a traceback reached the user: %s" % text
        # What ansible says of a module that died, and of nothing else.
        assert "Module failed:" not in str(values.get("msg")), text
        assert end != "unreachable", "the host can't be reached any more: %s" % text

    @property
    def failed(self) -> bool:
        return self.end == "failed"

    def holders(self, port: int, protocol: str = "tcp") -> list[dict]:
        return self.port(port, protocol)["holders"]

    def holder(self, port: int, protocol: str = "tcp") -> dict:
        """The one holder of a port."""
        found = self.holders(port, protocol)
        assert len(found) == 1, "%d holders of %d/%s: %s" % (len(found), port, protocol, found)
        return found[0]

    def status(self, port: int, protocol: str = "tcp") -> str:
        return self.port(port, protocol)["status"]

    @property
    def targets(self) -> list[str]:
        return [action["target"] for action in self["actions"]]

    def __repr__(self) -> str:
        return json.dumps(self, indent=1)


class Freed(t.NamedTuple):
    """A port that was freed: what check mode said, what was done, and what a second run did."""

    predicted: Result
    done: Result
    again: Result | None


class Host:
    """One host, ours until ``close``."""

    def __init__(self, name: str, lab: Lab) -> None:
        self.name = name
        self.work = lab.work
        self._lab = lab
        self._undo: list[t.Callable[[], t.Any]] = []
        self._spoilt = False
        self._brought = ""
        # The first line makes it a program whose name is the file's.
        self.write(SERVE, "#!/usr/bin/python3\n" + (HERE / "serve.py").read_text(encoding="utf-8"), "755")

    # On the host ------------------------------------------------------------------------------------------------

    def sh(self, script: str, check: bool = True, text: str = "", seconds: float = 60) -> str:
        """Run a script as root, past sshd: no session, no unit. Its output."""
        return hosts.sh(self.name, script, seconds=seconds, check=check, text=text).strip()

    def ok(self, script: str) -> bool:
        """Whether a script ends well."""
        return self.sh("(%s\n) >/dev/null 2>&1 && echo fine" % script, check=False).endswith("fine")

    def ssh(self, script: str, user: str = "root", check: bool = True) -> str:
        """Run a script in an ssh session of its own."""
        words = ["ssh", "-F", place.SSH_CONFIG, "-o", "ControlPath=none", "-l", user, self.name, script]
        return place.run(*words, check=check, seconds=60).stdout.strip()

    @contextlib.contextmanager
    def session(self, *words: str, user: str = "root", script: str = "cat") -> t.Iterator[subprocess.Popen]:
        """An ssh session that stays until its input ends, with more words for ssh such as ``-R``."""
        command = ["ssh", "-F", str(place.SSH_CONFIG), "-o", "ControlPath=none", "-o", "ExitOnForwardFailure=yes"]
        process = subprocess.Popen(
            [*command, "-l", user, *words, self.name, script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )  # fmt: skip
        try:
            yield process
        finally:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()
            process.stdout.close()

    def as_user(self, user: str, script: str, check: bool = True, seconds: float = 60) -> str:
        """Run a script as another user with that user's runtime directory: what a login gives."""
        prefix = (
            "cd; export XDG_RUNTIME_DIR=/run/user/$(id -u) DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$(id -u)/bus\n"
        )
        return self.sh("runuser -u %s -- /bin/bash" % user, text=prefix + script, check=check, seconds=seconds)

    def write(self, path: str, text: str, mode: str = "644", keep: bool = True) -> None:
        """Write a file; ``keep``: it may stay after the test."""
        quoted = shlex.quote(path)
        self.sh(f"mkdir -p $(dirname {quoted}) && cat >{quoted} && chmod {mode} {quoted}", text=text)
        if not keep:
            self._undo.append(lambda: self.sh("rm -f " + quoted))

    def spawn(self, command: str, user: str = "root") -> None:
        """Start a process that no unit and no session manages: its parent is the host's first process."""
        self.sh("setsid --fork runuser -u %s -- %s </dev/null >/dev/null 2>&1" % (user, command))

    def pids(self, port: int, protocol: str = "tcp") -> list[int]:
        """Who holds a port, as ss sees it."""
        rows = self.sh("ss -Hlnp%s sport = :%d" % (protocol[0], port))
        return sorted({int(piece.split(",")[0].split(")")[0]) for piece in rows.split("pid=")[1:]})

    def held(self, port: int, protocol: str = "tcp") -> bool:
        return bool(self.sh("ss -Hln%s sport = :%d" % (protocol[0], port)))

    def wait_held(self, port: int, protocol: str = "tcp", seconds: float = 15) -> list[int]:
        place.wait_for(
            "a holder of %d/%s on %s" % (port, protocol, self.name), lambda: self.held(port, protocol), seconds
        )
        return self.pids(port, protocol)

    def stays_free(self, port: int, seconds: float, protocol: str = "tcp") -> bool:
        """Whether nobody takes a port back for so long."""
        script = "end=$((SECONDS + %d)); while [ $SECONDS -lt $end ]; do ss -Hln%s sport = :%d; sleep 0.2; done"
        return not self.sh(script % (seconds, protocol[0], port), seconds=seconds + 60)

    def alive(self, pid: int) -> bool:
        """Whether a process runs; a zombie does not."""
        return self.sh("ps -o stat= -p %d" % pid, check=False)[:1] not in ("", "Z")

    def resolves(self) -> bool:
        """Whether the lab's own name is found, the way every program looks names up."""
        return self.sh("timeout 15 getent hosts %s" % place.DNS_NAME, check=False).startswith(place.DNS_ANSWER)

    # systemd ----------------------------------------------------------------------------------------------------

    def unit(
        self,
        name: str,
        command: str = "",
        start: bool = True,
        enable: bool = False,
        user: str = "",
        sections: str = "",
        **service: t.Any,
    ) -> None:
        """Write a unit and start it. Its [Service] or [Socket] ... section comes from the keywords, more from ``sections``."""
        section = name.rpartition(".")[2].capitalize()
        lines = ["[%s]" % section]
        if command:
            lines.append("ExecStart=" + command)
        for key, value in service.items():
            lines += ["%s=%s" % (key, item) for item in (value if isinstance(value, list) else [value])]
        wanted = "default.target" if user else "multi-user.target"
        text = "\n".join(lines) + "\n" + sections + "\n[Install]\nWantedBy=%s\n" % wanted
        folder = "/home/%s/.config/systemd/user" % user if user else "/etc/systemd/system"
        self.write("%s/%s" % (folder, name), text)
        if user:
            self.sh(f"chown -R {user}: /home/{user}/.config")
        self.systemctl("daemon-reload", user=user)
        self._undo.append(lambda: self._remove_unit(name, folder, user))
        if enable:
            self.systemctl("enable", name, user=user)
        if start:
            self.systemctl("start", name, user=user)

    def _remove_unit(self, name: str, folder: str, user: str) -> None:
        stem = name.replace("@.", "@*.")
        script = "C kill -s KILL {0}; C stop {0}; C disable {1}; C unmask {1}; rm -f {2}/{1}; C daemon-reload; C reset-failed {0}"
        self.sh(script.replace("C ", self._manager(user) + " ").format(shlex.quote(stem), name, folder), check=False)

    @staticmethod
    def _manager(user: str) -> str:
        return "systemctl --user -M %s@" % user if user else "systemctl"

    def systemctl(self, *words: str, user: str = "", check: bool = True) -> str:
        return self.sh("%s %s" % (self._manager(user), shlex.join(words)), check=check)

    def active(self, unit: str, user: str = "") -> bool:
        return self.systemctl("is-active", unit, user=user, check=False) in ("active", "activating", "reloading")

    def enabled(self, unit: str, user: str = "") -> bool:
        return self.systemctl("is-enabled", unit, user=user, check=False) == "enabled"

    def main_pid(self, unit: str, user: str = "") -> int:
        return int(self.systemctl("show", "-P", "MainPID", unit, user=user))

    def reboot(self) -> None:
        hosts.reboot(self.name)

    # Engines ----------------------------------------------------------------------------------------------------

    def docker(self, *words: str, check: bool = True, seconds: float = 60) -> str:
        return self.sh("docker " + shlex.join(words), check=check, seconds=seconds)

    def container(
        self,
        name: str,
        publish: str | t.Sequence[str] = (),
        *options: str,
        command: str = "httpd -f -p 80",
        engine: str = "docker",
        user: str = "",
    ) -> str:
        """Start a container of the busybox image; its id."""
        words = [engine, "run", "--detach", "--name", name]
        for item in [publish] if isinstance(publish, str) else publish:
            words += ["--publish", item]
        words += [*options, "box", *shlex.split(command)]
        if engine == "docker":
            self._undo.append(lambda: self.sh("docker rm --force --volumes %s" % name, check=False))
        return self.as_user(user, shlex.join(words)) if user else self.sh(shlex.join(words))

    def podman_image(self, user: str = "") -> None:
        """Give podman its image. What podman leaves behind is too much to tidy: the host is thrown away after the test."""
        self.spoil()
        script = "podman import --quiet /opt/lab/box.tar box:latest"
        if user:
            self.as_user(user, script)
        else:
            self.sh(script)

    def wait_running(self, name: str, port: int) -> None:
        """Until a container runs and has its port: the engine's relay has it a moment before the engine lists the container."""
        place.wait_for("the container %s" % name, lambda: self.running(name), 60)
        self.wait_held(port)

    def running(self, name: str, engine: str = "docker", user: str = "") -> bool:
        script = "%s inspect --format '{{.State.Running}}' %s" % (engine, name)
        said = self.as_user(user, script, check=False) if user else self.sh(script, check=False)
        return said == "true"

    def engine_settings(self, **settings: t.Any) -> None:
        """Restart the Docker engine with other settings. Its old ones come back with a new host."""
        self.spoil()
        self.write("/etc/docker/daemon.json", json.dumps({**image.ENGINE_SETTINGS, **settings}))
        self.sh("systemctl restart docker", seconds=90)

    # Plays ------------------------------------------------------------------------------------------------------

    def task(self, check: bool = False, **options: t.Any) -> Result:
        """Run the module once; options that begin with ``play_`` are of the task, not of the module (``play_become``)."""
        return self.play([self._task("task", check, options)])["task"]

    def look(self, port: t.Any, **options: t.Any) -> Result:
        return self.task(port=port, **options)

    def free(self, port: t.Any = None, again: bool = True, **options: t.Any) -> Freed:
        """Predict, free, and free once more, in one play. The prediction and the second run are checked here.

        :param again: False when a second run is no matter of this test.
        """
        if port is not None:
            options["port"] = port
        options["state"] = "free"
        tasks = [self._task("predicted", True, options), self._task("done", False, options)]
        if again:
            tasks.append({**self._task("again", False, options), "when": NOT_FAILED})
        results = self.play(tasks)
        freed = Freed(results["predicted"], results["done"], results.get("again"))
        same(freed.predicted, freed.done)
        if freed.again is not None:
            assert not freed.again.failed and not freed.again["changed"], "a second run: %r" % freed.again
            assert freed.again["actions"] == [], freed.again
        return freed

    @staticmethod
    def _task(name: str, check: bool, options: dict) -> dict:
        task = {key[5:]: value for key, value in options.items() if key.startswith("play_")}
        module = {key: value for key, value in options.items() if not key.startswith("play_")}
        return {**task, "name": name, MODULE: module, "check_mode": check, "ignore_errors": True, "register": name}

    def play(self, tasks: list[dict], deadline: float = PLAY_DEADLINE, **variables: t.Any) -> dict[str, Result]:
        """Run tasks over ssh; their results by name."""
        if variables or any(set(task) - PLAIN for task in tasks):
            return self.ansible(tasks, deadline, **variables)
        end = time.monotonic() + deadline
        results: dict[str, Result] = {}
        registered: dict[str, Result] = {}
        for task in tasks:
            if task.get("when") == NOT_FAILED and registered["done"].failed:
                continue
            result = self._directly(task, end - time.monotonic())
            results[task["name"]] = registered[task["register"]] = result
        return results

    def _directly(self, task: dict, seconds: float) -> Result:
        """Run the module of a task in an ssh session."""
        arguments = {"_ansible_check_mode": task["check_mode"], "_ansible_diff": False, **task[MODULE]}
        payload = self._payload()
        command = ["ssh", *hosts.SHARED_CONNECTION, self.name]
        command.append("/usr/bin/python3 %s/runner.py %s %s" % (payload, payload, zoo.MODULES + NAME))
        began = time.monotonic()
        run = subprocess.run(
            command, input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=seconds, check=False
        )  # fmt: skip
        result = zoo.Result(run, time.monotonic() - began)
        # As a controller shows them.
        result["warnings"] = [
            one["event"]["msg"] if isinstance(one, dict) else one for one in result.get("warnings", ())
        ]
        end = "failed" if result.failed else "ok"
        shown = {key: value for key, value in result.items() if key != "invocation"}
        print("%s %s after %.1f s: %s" % (task["name"], end, result.seconds, json.dumps(shown)))
        return Result(dict(result), end, result.seconds)

    def _payload(self) -> str:
        """The folder on the host with the module, brought there once."""
        if not self._brought:
            made = self._lab.payload(self.name)
            self._brought = "%s/%s" % (PAYLOAD, made.name)
            if not self.ok("test -e %s/runner.py" % self._brought):
                self.sh("mkdir -p " + PAYLOAD)
                place.docker("cp", made, "%s:%s/" % (self.name, PAYLOAD))
        return self._brought

    def ansible(self, tasks: list[dict], deadline: float = PLAY_DEADLINE, **variables: t.Any) -> dict[str, Result]:
        """Run tasks through ansible-playbook over ssh; their results by name."""
        folder = Path(tempfile.mkdtemp(dir=self.work))
        book, seen = folder / "play.yml", folder / "results"
        book.write_text(
            json.dumps([{"hosts": self.name, "gather_facts": False, "vars": variables, "tasks": tasks}], indent=1)
        )
        environment = zoo.ansible_environment(
            self.work,
            ANSIBLE_REMOTE_TMP="~/.ansible/tmp",
            ANSIBLE_CALLBACK_PLUGINS=str(HERE / "callbacks"),
            ANSIBLE_CALLBACKS_ENABLED="lab_results",
            ANSIBLE_HOST_KEY_CHECKING="1",
            ANSIBLE_DEPRECATION_WARNINGS="0",
            LAB_RESULTS=str(seen),
        )
        command = [zoo.ansible_command("ansible-playbook"), "-i", str(place.INVENTORY), str(book)]
        # Not through a shell and never without an end.
        run = subprocess.run(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=deadline, check=False
        )  # fmt: skip
        text = run.stdout.decode(errors="replace")
        assert seen.exists(), text
        assert "Traceback" not in text, text
        found = [json.loads(line) for line in seen.read_text(encoding="utf-8").splitlines()]
        for line in found:
            # shown by pytest when the test fails
            shown = {key: value for key, value in line["result"].items() if key != "invocation"}
            print("%s %s after %.1f s: %s" % (line["task"], line["end"], line["seconds"], json.dumps(shown)))
        return {line["task"]: Result(line["result"], line["end"], line["seconds"]) for line in found}

    # The end ----------------------------------------------------------------------------------------------------

    def spoil(self) -> None:
        """This host can't be tidied after the test: a new one takes its place."""
        self._spoilt = True

    def undo(self, script: str) -> None:
        """A script for the end of the test."""
        self._undo.append(lambda: self.sh(script, check=False))

    def close(self) -> None:
        """Put everything back; a host that is not as it was is replaced."""
        if not self._spoilt:
            for step in reversed(self._undo):
                step()
            # What is left of closed connections would go in the middle of the next test.
            left_over = "ss -K state time-wait >/dev/null"
            self.sh("pkill -KILL -x lab-serve; %s; systemctl reset-failed" % left_over, check=False)
            for _attempt in range(3):
                left = hosts.differs(self.name)
                if not left:
                    return
                time.sleep(0.3)
            sys.stderr.write("%s is replaced, for it was left like this:\n%s\n" % (self.name, left))
        hosts.recreate(self.name)


def payload(work: Path, host: str) -> Path:
    """A folder with the module as Ansible sends it, compiled by the Python of a host. Its name changes with the module."""
    made = zoo.explode(work, sys.executable, NAME)
    shutil.copy(zoo.HERE / "runner.py", made / "runner.py")
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(made.rglob("*.py")))).hexdigest()[:12]
    folder = place.CACHE / "payload" / digest
    with place.alone("payload"):
        if not folder.exists():
            folder.parent.mkdir(exist_ok=True)
            inside = "/var/lib/lab/new"
            place.docker("cp", made, "%s:%s" % (host, inside))
            hosts.sh(host, "python3 -m compileall -q %s" % inside)
            place.docker("cp", "%s:%s" % (host, inside), folder)
            hosts.sh(host, "rm -rf " + inside)
    return folder


def same(predicted: Result, done: Result) -> None:
    """Check mode said what a real run then did."""
    if done.failed and not predicted.failed:
        return  # what goes wrong while it is done can't be known before; the test judges it
    assert predicted.failed == done.failed, "predicted: %r\ndone: %r" % (predicted, done)
    before, after = predicted.comparable(), done.comparable()
    for number in unasked(predicted):
        for told in (before, after):
            leave_unsaid(told, number)
    assert before == after, "check mode predicted\n%s\nand this was done:\n%s" % (
        json.dumps(before, indent=1), json.dumps(after, indent=1)
    )  # fmt: skip


def unasked(predicted: Result) -> list[int]:
    """The actions of a prediction that rest on a program which was not asked, by their places; each has its warning."""
    warnings = [str(warning) for warning in predicted.get("warnings", ()) if UNASKED in str(warning)]
    return [
        number
        for number, action in enumerate(predicted["actions"])
        if any(warning.startswith(action["target"] + " ") for warning in warnings)
    ]


def leave_unsaid(told: dict, number: int) -> None:
    """Take out of a result what only the program behind this action says. That the port is freed, and of whom, stays."""
    if number >= len(told["actions"]):
        return
    action = told["actions"][number]
    for key in SAID_OF_ACTION:
        del action[key]
    for port in told["ports"]:
        if "%d/%s" % (port["port"], port["protocol"]) in action["ports"]:
            for holder in port["holders"]:
                for key in SAID_OF_HOLDER:
                    del holder[key]


class Lab:
    """All hosts; hands them out one by one, over all test runs on this machine."""

    def __init__(self, work: Path) -> None:
        self.work = zoo.collection_path(work)
        self._payload: Path | None = None

    def payload(self, host: str) -> Path:
        """The module, made once for a run of the tests."""
        if self._payload is None:
            self._payload = payload(self.work, host)
        return self._payload

    @contextlib.contextmanager
    def borrow(self) -> t.Iterator[Host]:
        end = time.monotonic() + BORROW_DEADLINE
        while True:
            for name in hosts.TEST_HOSTS:
                with place.alone("host-" + name, wait=False) as ours:
                    if ours:
                        # Still there: whoever had it before did not come to its end.
                        in_use = place.CACHE / "locks" / (name + ".in-use")
                        if in_use.exists():
                            hosts.recreate(name)
                        in_use.touch()
                        host = Host(name, self)
                        try:
                            yield host
                        finally:
                            host.close()
                            in_use.unlink()
                        return
            if time.monotonic() > end:
                raise AssertionError("no host of the lab became free within %d seconds" % BORROW_DEADLINE)
            time.sleep(0.2)


def why_not() -> str:
    """Why there is no lab to test with; empty when there is one."""
    if not place.STATE.exists():
        return "the lab is not up: run 'make lab' as root"
    if shutil.which("docker") is None or hosts.docker("version", check=False, seconds=30).returncode:
        return "the lab's engine does not answer: run 'make lab-down lab' as root"
    return ""
