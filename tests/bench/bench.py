# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast it is, as ratios: our lookup beside ss, lsof, fuser, netstat and psutil, our task beside ansible.builtin.ping.

A benchmark, not a test: it says which targets are met, and ends with 0 either way. README.md tells how to read it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

import facts
import measure
from load import BUSY, BUSY_QUICK, CROWDED, CROWDED_QUICK, FIRST_PORT, LAST_PORT, Load, Size, listen
from measure import Cost, Row, on_cores, pairs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RESULTS = ROOT / "build" / "bench.json"
MODULE = "harbormaster.ports.port_owner"

# The project's targets: greatest ratio, and seconds for the last.
LOOKUP_ONE_CORE, LOOKUP_TWO_CORES, TWENTY_PORTS, WHOLE_TASK, AFTER_EXIT = 0.8, 0.5, 1.1, 1.15, 0.05

IN_OWN_NETWORK = "HARBORMASTER_BENCH_IN_OWN_NETWORK"
TOPICS = ("task", "facts", "busy", "crowded")


# --- lookups at a load


class Worker:
    """worker.py, waiting to be told what to look up. It runs on the cores that this process has when it starts."""

    def __enter__(self) -> Worker:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        return self

    def __exit__(self, *_unused: object) -> None:
        self._process.kill()
        self._process.communicate()

    def look(self, name: str, ports: t.Sequence[int], expected: t.Optional[t.Sequence[int]] = None) -> Cost:
        """One timed look.

        :raises RuntimeError: the answer is not that ``expected`` pids hold the ports. Only right answers count.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(("%s %s\n" % (name, " ".join(map(str, ports)))).encode())
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("%s ended without an answer" % name)
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        if expected is not None and answer["pids"] != sorted(expected):
            raise RuntimeError("wrong answer: %s in place of %s" % (answer["pids"], sorted(expected)))
        return Cost(answer["wall"], answer["cpu"])


def busy(size: Size, rounds: int) -> t.Iterator[Row]:
    """Many processes, each with some of everything."""
    with Load(size) as load:
        ports = sorted(load.listeners)
        port = ports[len(ports) // 2]
        many = ports[:: len(ports) // 20][:20]
        holder, holders = [load.listeners[port]], {load.listeners[each] for each in many}
        topic = "One port at " + str(size)
        with on_cores(1), Worker() as worker:

            def ours() -> Cost:
                return worker.look("observe", [port], holder)

            where = topic + ", one core"
            yield beside_ss(where, worker, port, holder, rounds, LOOKUP_ONE_CORE)
            for words in (
                ["lsof", "-nP", "-iTCP:%d" % port, "-sTCP:LISTEN"],
                ["fuser", "%d/tcp" % port],
                ["netstat", "-ltnp"],
            ):
                yield pairs(where, "lookup", words[0], ours, lambda words=words: measure.command(*words), rounds)  # type: ignore[misc]
            yield pairs(where, "lookup", "psutil", ours, lambda: worker.look("psutil", [port], holder), rounds)
            yield pairs(
                where,
                "a Python that starts, imports, looks up",
                "ss -ltnp",
                lambda: measure.command(sys.executable, str(HERE / "worker.py"), "observe", str(port)),
                lambda: measure.command("ss", "-ltnp"),
                rounds,
            )
            yield pairs(
                where,
                "20 ports",
                "one port",
                lambda: worker.look("observe", many, sorted(holders)),
                ours,
                rounds,
                TWENTY_PORTS,
            )
        yield two_cores(topic, port, holder, rounds, LOOKUP_TWO_CORES)


def crowded(size: Size, rounds: int) -> t.Iterator[Row]:
    """Few processes with thousands of connections each."""
    with Load(size) as load:
        ports = sorted(load.listeners)
        port = ports[len(ports) // 2]
        holder = [load.listeners[port]]
        topic = "One port at " + str(size)
        with on_cores(1), Worker() as worker:
            where = topic + ", one core"
            yield beside_ss(where, worker, port, holder, rounds, LOOKUP_ONE_CORE)
            yield pairs(
                where,
                "the kernel's part of the lookup",
                "lookup",
                lambda: worker.look("table", [port]),
                lambda: worker.look("observe", [port], holder),
                rounds,
            )
        yield two_cores(topic, port, holder, rounds, LOOKUP_ONE_CORE)


def two_cores(topic: str, port: int, holder: t.Sequence[int], rounds: int, target: float) -> Row:
    where = topic + ", two cores"
    with on_cores(2) as enough:
        if not enough:
            return Row(where, "lookup", "ss -ltnp", target=target, note="this machine lends us one core only")
        with Worker() as worker:
            return beside_ss(where, worker, port, holder, rounds, target)


def beside_ss(where: str, worker: Worker, port: int, holder: t.Sequence[int], rounds: int, target: float) -> Row:
    """Our lookup of one port, and ss, which lists them all."""
    return pairs(
        where,
        "lookup",
        "ss -ltnp",
        lambda: worker.look("observe", [port], holder),
        lambda: measure.command("ss", "-ltnp"),
        rounds,
        target,
    )


# --- whole tasks


class Controller:
    """Ansible with a configuration of its own, and this collection. Everything it writes is in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        beside = Path(sys.executable).parent / "ansible"
        found = str(beside) if beside.exists() else shutil.which("ansible")
        self.binaries = Path(found).parent if found else None
        config = folder / "ansible.cfg"
        config.write_text(
            "[defaults]\ninventory = %(f)s/hosts\nlocal_tmp = %(f)s/tmp\nremote_tmp = %(f)s/tmp\n"
            "callback_plugins = %(callbacks)s\ncallbacks_enabled = task_seconds\n"
            % {"f": folder, "callbacks": HERE / "callbacks"},
            encoding="utf-8",
        )
        (folder / "hosts").write_text(
            "localhost ansible_connection=local ansible_python_interpreter=%s\n" % sys.executable, encoding="utf-8"
        )
        env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        self.env = dict(
            env,
            ANSIBLE_CONFIG=str(config),
            ANSIBLE_COLLECTIONS_PATH=os.environ["PYTHONPATH"].split(os.pathsep)[0],
            TASK_SECONDS=str(folder / "seconds"),
            LC_ALL="C.UTF-8",
        )

    def run(self, command: str, *words: str, **more: str) -> Cost:
        if self.binaries is None:
            raise RuntimeError("ansible is not installed")
        return measure.command(str(self.binaries / command), *words, env=dict(self.env, **more))

    def payload(self, module: str, arguments: str) -> str:
        """What Ansible sends to a target for this task: one Python file, arguments included."""
        before = set((self.folder / "tmp").glob("**/AnsiballZ_*.py"))
        # it fails when the task does, and the file is there all the same
        with contextlib.suppress(RuntimeError):
            self.run("ansible", "localhost", "-m", module, "-a", arguments, ANSIBLE_KEEP_REMOTE_FILES="1")
        made = set((self.folder / "tmp").glob("**/AnsiballZ_*.py")) - before
        if len(made) != 1:
            raise RuntimeError("%s does not run here" % module)
        return str(made.pop())


def task(rounds: int) -> t.Iterator[Row]:
    """Whole tasks on an unloaded host."""
    with tempfile.TemporaryDirectory(prefix="harbormaster-bench-") as folder:
        controller = Controller(Path(folder))
        port = "%d/tcp" % free_port()
        topic = "A whole task on an unloaded host"
        yield pairs(
            topic,
            "ansible -m port_owner",
            "ansible -m ping",
            lambda: controller.run("ansible", "localhost", "-m", MODULE, "-a", "port=%s" % port),
            lambda: controller.run("ansible", "localhost", "-m", "ansible.builtin.ping"),
            rounds,
            WHOLE_TASK,
        )
        yield in_a_playbook(topic, controller, port, "free", 2 * rounds)
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", int(port.partition("/")[0])))
            holder.listen(1)
            yield in_a_playbook(topic, controller, port, "held", 2 * rounds)
        try:
            ours, ping = controller.payload(MODULE, "port=%s" % port), controller.payload("ansible.builtin.ping", "")
        except RuntimeError as error:
            yield Row(topic, "what the target runs of it", "the same of ping", note=str(error))
        else:
            yield pairs(
                topic,
                "what the target runs of it",
                "the same of ping",
                lambda: measure.command(sys.executable, ours),
                lambda: measure.command(sys.executable, ping),
                2 * rounds,
            )
        for settle in (0, 1):
            yield after_exit(controller, settle, rounds)


def facts_tasks(rounds: int, quick: bool) -> t.Iterator[Row]:
    """The facts module; facts.py has its lines. Nothing is measured where its payload can't be made."""
    with tempfile.TemporaryDirectory(prefix="harbormaster-bench-") as folder:
        yield from facts.facts(Controller(Path(folder)), rounds, quick)


def in_a_playbook(topic: str, controller: Controller, port: str, status: str, rounds: int) -> Row:
    """Tasks in turn in one play: Ansible's own start is not counted."""
    what, against = "task in a playbook, port %s" % status, "task ping"
    lines = ["- hosts: localhost", "  gather_facts: false", "  tasks:"]
    for _unused in range(rounds + 1):
        lines += ["  - {name: ours, %s: {port: %s}}" % (MODULE, port), "  - {name: ping, ansible.builtin.ping: {}}"]
    book = controller.folder / "play.yml"
    book.write_text("\n".join(lines) + "\n", encoding="utf-8")
    seconds = controller.folder / "seconds"
    seconds.write_text("")
    try:
        controller.run("ansible-playbook", str(book))
    except RuntimeError as error:
        return Row(topic, what, against, target=WHOLE_TASK, note=str(error))
    tasks = [json.loads(line) for line in seconds.read_text(encoding="utf-8").splitlines()]
    costs = {name: [Cost(each["seconds"]) for each in tasks if each["task"] == name] for name in ("ours", "ping")}
    # the first of either packs the module, once a run
    return measure.row_of(topic, what, against, list(zip(costs["ours"], costs["ping"]))[1:], WHOLE_TASK)


def after_exit(controller: Controller, settle: int, rounds: int) -> Row:
    """Seconds between the holder's exit and the module's answer, less ``settle``."""
    topic, what = "state=free", "from the holder's exit to the answer, settle=%d left out" % settle
    try:
        port = free_port()
        payload = controller.payload(MODULE, "port=%d/tcp state=free settle=%d" % (port, settle))
        found = [freed(payload, port) - settle for _unused in range(rounds)]
    except (RuntimeError, OSError) as error:
        return Row(topic, what, "", target=AFTER_EXIT, note=str(error))
    return measure.seconds(topic, what, found, AFTER_EXIT)


HOLDER = """
import signal, socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", %d))
s.listen(5)
print("on", flush=True)
signal.pause()
"""


def freed(payload: str, port: int) -> float:
    """Start a holder, free its port, and tell how long after the holder's exit the module answers.

    Its answer, not its end: the end of a module's Python takes as long for ``ping``.
    """
    with subprocess.Popen([sys.executable, "-c", HOLDER % port], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            with subprocess.Popen([sys.executable, payload], stdout=subprocess.PIPE) as module:
                assert module.stdout is not None
                handle = os.pidfd_open(holder.pid)
                try:
                    when = readable([handle, module.stdout.fileno()])
                finally:
                    os.close(handle)
                said = module.stdout.read().decode(errors="replace")
            if module.returncode != 0:
                raise RuntimeError("the module failed: %s" % said.strip()[:200])
        finally:
            if holder.poll() is None:
                holder.kill()
    return when[1] - when[0]


def readable(handles: t.Sequence[int]) -> t.List[float]:
    """When each of these has become readable; for a pidfd that is the process's exit."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    when: t.Dict[int, float] = {}
    while len(when) < len(handles):
        ready = poll.poll(60000)
        now = time.perf_counter()
        if not ready:
            raise RuntimeError("the module or its holder did not end within a minute")
        for handle, _event in ready:
            when[handle] = now
            poll.unregister(handle)
    return [when[handle] for handle in handles]


def free_port() -> int:
    [listener] = listen(range(LAST_PORT, FIRST_PORT, -1), 1)
    with listener:
        return int(listener.getsockname()[1])


# --- the run


def in_own_network(arguments: t.Sequence[str]) -> None:
    """As root, start again in a network namespace: nobody else's sockets are in the way there. Else return."""
    if IN_OWN_NETWORK in os.environ or os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        return
    if subprocess.run(["unshare", "--net", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        return
    os.environ[IN_OWN_NETWORK] = "1"
    script = 'ip link set lo up && exec "$@"'
    words = ["unshare", "--net", "sh", "-c", script, "bench", sys.executable, str(HERE / "bench.py"), *arguments]
    os.execvp(words[0], words)


@contextlib.contextmanager
def collection_on_path() -> t.Iterator[None]:
    """Make this checkout importable under its full name, for this process and what it starts."""
    with tempfile.TemporaryDirectory(prefix="harbormaster-bench-") as folder:
        place = Path(folder) / "ansible_collections" / "harbormaster"
        place.mkdir(parents=True)
        (place / "ports").symlink_to(ROOT)
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        yield


def machine() -> t.Dict[str, t.Any]:
    return {
        "kernel": platform.release(),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "host": socket.gethostname() if IN_OWN_NETWORK not in os.environ else "own network namespace",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="a smaller load and fewer rounds")
    parser.add_argument("--rounds", type=int, help="pairs a line (9, with --quick 3)")
    parser.add_argument("--only", action="append", choices=TOPICS, help="only this topic; may be given several times")
    options = parser.parse_args()
    in_own_network(sys.argv[1:])
    # Both end in one way, also where a shell has started us in the background, with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)

    rounds = options.rounds or (3 if options.quick else 9)
    topics = {
        "task": lambda: task(rounds),
        "facts": lambda: facts_tasks(rounds, options.quick),
        "busy": lambda: busy(BUSY_QUICK if options.quick else BUSY, rounds),
        "crowded": lambda: crowded(CROWDED_QUICK if options.quick else CROWDED, rounds),
    }
    before, rows, interrupted = machine(), [], False
    with collection_on_path():
        try:
            for name in options.only or TOPICS:
                for row in topics[name]():
                    rows.append(row)
                    print("." if not row.note else "!", end="", file=sys.stderr, flush=True)
        except KeyboardInterrupt:
            interrupted = True
        print(file=sys.stderr)
    print(measure.table(rows))
    print("\n%s" % verdict(rows, before, options.quick))
    shown = [dict(row._asdict(), met=row.met) for row in rows]
    try:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({"machine": before, "quick": options.quick, "rows": shown}, indent=2) + "\n")
        print("%s has all of it." % RESULTS.relative_to(ROOT))
    except OSError as error:
        print("The table is all there is: %s" % error)
    return 130 if interrupted else 0


def verdict(rows: t.Sequence[Row], where: t.Dict[str, t.Any], quick: bool) -> str:
    judged = [row for row in rows if row.met is not None]
    missed = [row for row in judged if not row.met]
    lines = [
        "%d of %d targets met, %d lines without a number."
        % (len(judged) - len(missed), len(judged), sum(bool(row.note) for row in rows))
    ]
    lines += ["  missed: %s, %s" % (row.topic, row.what) for row in missed]
    if quick:
        lines.append("--quick: a small load shows that it runs, not how fast it is; the targets are about the big one.")
    if max(where["load_average"], os.getloadavg()[0]) > 2 * where["cores"]:
        lines.append("Other work was going on: see whether the processor time's ratio (cpu) says the same.")
    lines.append(
        "Kernel %(kernel)s, Python %(python)s, %(cores)d cores, load average %(load_average).1f at the start." % where
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
