# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""contrib/short_names with the real command lines of every ansible-core that is offered.

HARBORMASTER_ANSIBLE_BIN names folders that hold ``ansible`` and ``ansible-playbook``, separated by ``:``; without it
the ones beside this Python, or on PATH, are used.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import textwrap
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHORT_NAMES = ROOT / "contrib" / "short_names"

# Below the ephemeral range, so that no outgoing connection of this machine can sit on them.
TEST_PORTS = range(20000, 32000)


def ansible_folders() -> t.List[str]:
    named = os.environ.get("HARBORMASTER_ANSIBLE_BIN", "")
    if named:
        return [folder for folder in named.split(os.pathsep) if folder]
    beside = Path(sys.executable).parent
    if (beside / "ansible-playbook").exists():
        return [str(beside)]
    found = shutil.which("ansible-playbook")
    return [str(Path(found).parent)] if found else []


FOLDERS = ansible_folders()
if not FOLDERS and os.environ.get("CI") != "true":
    pytest.skip("no ansible-playbook on PATH, and HARBORMASTER_ANSIBLE_BIN is not set", allow_module_level=True)


class Site:
    """A controller of its own: configuration, inventory and collection in one temporary folder."""

    def __init__(self, folder: Path, binaries: str) -> None:
        self.folder = folder
        self.binaries = Path(binaries)
        self.collection = folder / "collections" / "ansible_collections" / "harbormaster" / "ports"
        self.collection.parent.mkdir(parents=True)
        self.inventory = "localhost ansible_connection=local ansible_python_interpreter=%s\n" % sys.executable

    def use_real_collection(self) -> None:
        self.collection.symlink_to(ROOT)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def run(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        self.write("inventory", self.inventory)
        self.write(
            "ansible.cfg",
            """\
            [defaults]
            inventory = %(folder)s/inventory
            collections_path = %(folder)s/collections
            action_plugins = %(short)s
            connection_plugins = %(folder)s/connection_plugins
            local_tmp = %(folder)s/tmp
            remote_tmp = %(folder)s/tmp
            async_dir = %(folder)s/async
            retry_files_enabled = false
            nocolor = true
            """
            % {"folder": self.folder, "short": SHORT_NAMES},
        )
        env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        env.update(
            ANSIBLE_CONFIG=str(self.folder / "ansible.cfg"),
            ANSIBLE_ASYNC_DIR=str(self.folder / "async"),
            ANSIBLE_FORCE_COLOR="0",
            ANSIBLE_INJECT_INVOCATION="true",  # results show the options that reached the module
            LC_ALL="C.UTF-8",
        )
        return subprocess.run(
            [str(self.binaries / command), *arguments],
            env=env,
            cwd=str(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )

    def ad_hoc(self, module: str, *arguments: str) -> t.Tuple[str, t.Dict[str, t.Any]]:
        """The word before the arrow (SUCCESS, CHANGED, FAILED!), and the result."""
        done = self.run("ansible", "localhost", "-m", module, *arguments)
        # With --background the result comes twice; the last one is the end of the job.
        shown = re.findall(r"^localhost \| (\S+) => (\{.*?^\})", done.stdout, re.DOTALL | re.MULTILINE)
        assert shown, done.stdout + done.stderr
        return shown[-1][0], json.loads(shown[-1][1])

    def play(self, text: str, *arguments: str) -> t.Any:
        """Run a play that leaves what it registered as ``r`` in a file; give that back."""
        book = self.write("play.yml", text)
        seen = self.folder / "seen.json"
        done = self.run("ansible-playbook", str(book), "-e", "seen=%s" % seen, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(seen.read_text(encoding="utf-8"))


@pytest.fixture(params=FOLDERS or ["none offered"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    made = Site(tmp_path, request.param)
    assert (made.binaries / "ansible").exists(), "no ansible in %s" % request.param
    return made


@pytest.fixture
def real(site: Site) -> Site:
    site.use_real_collection()
    return site


class Holder:
    """A process that listens on one port of 127.0.0.1 until it is asked to end."""

    PROGRAM = "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.listen(5); print('on', flush=True); %s"

    def __init__(self) -> None:
        with socket.socket() as bound:
            self.port = bind_below_ephemeral(bound)
            os.set_inheritable(bound.fileno(), True)
            self.process = subprocess.Popen(
                [sys.executable, "-c", self.PROGRAM % "import signal; signal.pause()", str(bound.fileno())],
                pass_fds=[bound.fileno()],
                stdout=subprocess.PIPE,
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"on\n"

    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def bind_below_ephemeral(sock: socket.socket) -> int:
    start = os.getpid() % len(TEST_PORTS)
    for step in range(len(TEST_PORTS)):
        port = TEST_PORTS[(start + step) % len(TEST_PORTS)]
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
    raise AssertionError("every port of %r is taken" % (TEST_PORTS,))


@pytest.fixture
def holder() -> t.Iterator[Holder]:
    held = Holder()
    try:
        yield held
    finally:
        held.end()


def what_matters(result: t.Dict[str, t.Any]) -> t.Any:
    """The ports of a result without the ages, which differ between two runs."""
    return json.loads(re.sub(r'"age_seconds": \d+(\.\d+)?', '"age_seconds": 0', json.dumps(result["ports"])))


def test_ad_hoc_says_the_same_as_the_full_name(real: Site, holder: Holder) -> None:
    word, short = real.ad_hoc("port_owner", "-a", "port=%d" % holder.port)
    _word, full = real.ad_hoc("harbormaster.ports.port_owner", "-a", "port=%d" % holder.port)
    assert word == "SUCCESS"
    assert short["ports"][0]["status"] == "held"
    assert [owner["pid"] for owner in short["owners"]] == [holder.process.pid]
    assert what_matters(short) == what_matters(full)


def test_ad_hoc_check_mode_stops_nothing(real: Site, holder: Holder) -> None:
    word, result = real.ad_hoc("port_owner", "-C", "-a", "port=%d/tcp state=free" % holder.port)
    assert (word, result["changed"]) == ("CHANGED", True)
    assert [action["result"] for action in result["actions"]] == ["predicted"]
    assert holder.alive()


def test_ad_hoc_frees_the_port_and_a_second_run_changes_nothing(real: Site, holder: Holder) -> None:
    arguments = ("-a", "port=%d/tcp state=free settle=0" % holder.port)
    assert real.ad_hoc("port_owner", *arguments)[0] == "CHANGED"
    assert not holder.alive()
    assert real.ad_hoc("port_owner", *arguments)[0] == "SUCCESS"


def test_ad_hoc_names_an_unknown_option(real: Site) -> None:
    word, result = real.ad_hoc("port_owner", "-a", "port=8080 prot=tcp")
    assert word == "FAILED!"
    assert "(harbormaster.ports.port_owner)" in result["msg"]
    assert "prot" in result["msg"]


def test_ad_hoc_async_waits_for_the_job(real: Site, holder: Holder) -> None:
    word, result = real.ad_hoc("port_owner", "-B", "60", "-P", "1", "-a", "port=%d" % holder.port)
    assert word == "SUCCESS"
    assert result["ansible_job_id"]
    assert result["ports"][0]["status"] == "held"


def test_ad_hoc_async_in_the_background_is_collected_by_async_status(real: Site, holder: Holder) -> None:
    _word, started = real.ad_hoc("port_owner", "-B", "60", "-P", "0", "-a", "port=%d/tcp state=free" % holder.port)
    assert "ports" not in started
    # The job has ended when its holder has: only then is it asked, so that no time has to be guessed.
    holder.process.wait(timeout=30)
    result = real.play(
        """\
        - hosts: localhost
          gather_facts: false
          tasks:
            - async_status:
                jid: %s
              register: r
              until: r is finished
              retries: 60
              delay: 1
            - copy: {content: "{{ r | to_json }}", dest: "{{ seen }}"}
        """
        % started["ansible_job_id"]
    )
    assert result["changed"] is True
    assert result["ports"][0]["status"] == "free"


def test_play_frees_the_port_and_check_mode_predicts_it(real: Site, holder: Holder) -> None:
    text = """\
        - hosts: localhost
          gather_facts: false
          tasks:
            - port_owner:
                port: %d/tcp
                state: free
                settle: 0
              register: r
            - copy: {content: "{{ r | to_json }}", dest: "{{ seen }}"}
              check_mode: false
        """
    predicted = real.play(text % holder.port, "--check")
    assert holder.alive()
    done = real.play(text % holder.port)
    assert not holder.alive()
    assert [run["changed"] for run in (predicted, done, real.play(text % holder.port))] == [True, True, False]


def test_play_async(real: Site, holder: Holder) -> None:
    result = real.play(
        """\
        - hosts: localhost
          gather_facts: false
          tasks:
            - port_owner:
                port: %d
              async: 60
              poll: 1
              register: r
            - copy: {content: "{{ r | to_json }}", dest: "{{ seen }}"}
        """
        % holder.port
    )
    assert result["ports"][0]["status"] == "held"


def test_role_may_use_the_short_name_too(real: Site, holder: Holder) -> None:
    real.write("roles/look/tasks/main.yml", "- port_owner: {port: %d}\n  register: r\n" % holder.port)
    result = real.play(
        """\
        - hosts: localhost
          gather_facts: false
          roles: [look]
          tasks:
            - copy: {content: "{{ r | to_json }}", dest: "{{ seen }}"}
        """
    )
    assert result["ports"][0]["status"] == "held"


SHORT, LEGACY = "port_owner", "ansible.legacy.port_owner"
FULL, GROUP = "harbormaster.ports.port_owner", "group/harbormaster.ports.ports"


@pytest.mark.parametrize("collections", ["[]", "[harbormaster.ports]"])
def test_module_defaults_of_every_name_reach_the_short_one(real: Site, collections: str) -> None:
    """Each name sets one option of its own, and all of them set ``ports``: of those the nearest name wins."""
    book = real.write(
        "play.yml",
        """\
        - hosts: localhost
          gather_facts: false
          collections: %s
          vars: {start: 2100}
          module_defaults:
            %s: {ports: ["{{ start }}1/tcp"], settle: 11}
            %s: {ports: ["{{ start }}2/tcp"], grace_period: 12}
            %s: {ports: ["{{ start }}3/tcp"], timeout: 13}
          tasks:
            - port_owner:
            - port_owner: {ports: 21009/tcp, timeout: 0}
        """
        % (collections, GROUP, FULL, SHORT),
    )
    shown = real.run("ansible-playbook", str(book), "-vvv").stdout
    results = re.findall(r"^ok: \[localhost\] => (\{.*?^\})", shown, re.DOTALL | re.MULTILINE)
    seen = [json.loads(result)["invocation"]["module_args"] for result in results]
    assert [[args["settle"], args["grace_period"], args["timeout"]] for args in seen] == [[11, 12, 13], [11, 12, 0]], (
        shown
    )
    # A set: the module shows ``ports`` under both of its names.
    assert [set(re.findall(r"\d+/tcp", str(args))) for args in seen] == [{"21003/tcp"}, {"21009/tcp"}]


@pytest.mark.parametrize("name", [SHORT, LEGACY, FULL, GROUP])
def test_module_defaults_of_one_name_reach_the_short_one(real: Site, name: str) -> None:
    result = real.play(
        """\
        - hosts: localhost
          gather_facts: false
          module_defaults:
            %s: {port: 21007/tcp}
          tasks:
            - port_owner:
              register: r
            - copy: {content: "{{ r | to_json }}", dest: "{{ seen }}"}
        """
        % name
    )
    assert [port["port"] for port in result["ports"]] == [21007]


# Stands where winrm or psrp would: says that it wants PowerShell modules, and answers every command itself.
WINDOWS_CONNECTION = '''\
DOCUMENTATION = """
name: recorded_windows
short_description: answers like a Windows host
description: answers like a Windows host
options:
  remote_addr:
    description: host
    default: inventory_hostname
    vars: [{name: ansible_host}]
"""
from ansible.plugins.connection import ConnectionBase


class Connection(ConnectionBase):
    transport = "recorded_windows"
    module_implementation_preferences = (".ps1", ".exe", "")
    allow_executable = False
    has_pipelining = True
    always_pipeline_modules = True
    has_native_async = True
    _shell_type = "powershell"

    def __init__(self, *args, **kwargs):
        self._shell_type = "powershell"
        super().__init__(*args, **kwargs)

    def _connect(self):
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        return 0, b'{"changed": false, "answered_by": "recorded_windows"}', b""

    def put_file(self, in_path, out_path):
        pass

    def fetch_file(self, in_path, out_path):
        pass

    def close(self):
        pass
'''


def test_windows_host_gets_the_powershell_module(site: Site) -> None:
    """With the routing of meta/runtime.yml; the module files are stand-ins, for only the choice between them counts."""
    for name in ("modules/port_owner.py", "modules/win_port_owner.ps1"):
        path = site.collection / "plugins" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!powershell\n" if name.endswith("ps1") else "#!/usr/bin/python\n", encoding="utf-8")
    (site.collection / "meta").mkdir()
    shutil.copy(str(ROOT / "meta" / "runtime.yml"), str(site.collection / "meta"))
    site.write("connection_plugins/recorded_windows.py", WINDOWS_CONNECTION)
    site.inventory = "winhost ansible_connection=recorded_windows ansible_shell_type=powershell\n"

    done = site.run("ansible", "winhost", "-m", "port_owner", "-a", "port=8080", "-vvv")

    assert '"answered_by": "recorded_windows"' in done.stdout, done.stdout + done.stderr
    used = re.findall(r"Using module file (\S+)", done.stdout)
    assert used == [str(site.collection / "plugins" / "modules" / "win_port_owner.ps1")]
