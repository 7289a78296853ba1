# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three uses of the collection as people type them, through the real ansible commands.

The commands run in the test's network of its own, so that ports 22, 53 and 8080 are theirs to use.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from zoo import harness, world

NAMES = ["harbormaster.ports.port_owner", "port_owner"]
HEADER = "- hosts: all\n  gather_facts: false\n  collections: [harbormaster.ports]\n  tasks:\n"


class Ansible:
    """The ansible commands, configured for this tree and nothing else."""

    def __init__(self, work: Path, directory: Path, python: str) -> None:
        self.directory = directory
        self.environment = harness.ansible_environment(
            work,
            ANSIBLE_ACTION_PLUGINS=str(harness.TREE / "contrib" / "short_names"),
            ANSIBLE_REMOTE_TMP=str(directory / "remote"),
            ANSIBLE_SSH_ARGS="-F /dev/null -o ControlMaster=no",
            ANSIBLE_HOST_KEY_CHECKING="0",
            ANSIBLE_ASYNC_DIR=str(directory / "async"),
        )
        self.inventory = directory / "hosts"
        self.inventory.write_text("localhost ansible_connection=local ansible_python_interpreter=%s\n" % python)

    def command(self, *words: str, ok: bool = True) -> str:
        run = subprocess.run(
            [harness.ansible_command(words[0]), "-i", str(self.inventory), *words[1:]],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=120, cwd=self.directory, check=False
        )  # fmt: skip
        text = run.stdout.decode(errors="replace")
        assert "Traceback" not in text, text
        if ok is not None:
            assert (run.returncode == 0) is ok, text
        return text

    def adhoc(self, name: str, arguments: str, *more: str, ok: bool = True) -> dict:
        """One ad-hoc command; the JSON that it shows."""
        text = self.command("ansible", "all", "-m", name, "-a", arguments, *more, ok=ok)
        return json.loads(text[text.rindex("=> {") + 3 :])

    def play(self, tasks: str, *more: str, ok: bool = True) -> tuple[dict, str]:
        """One play; its first result (registered as ``r``) and the recap's counts."""
        book, answer = self.directory / "play.yml", self.directory / "answer.json"
        answer.unlink(missing_ok=True)
        keep = (
            "      register: r\n      ignore_errors: true\n"
            "    - delegate_to: localhost\n      become: false\n      check_mode: false\n"
            "      ansible.builtin.copy:\n        dest: %s\n        content: '{{ r | to_json }}'\n"
            "      vars: {ansible_connection: local, ansible_python_interpreter: %s}\n"
            "      changed_when: false\n    - ansible.builtin.fail:\n      when: r is failed\n"
        ) % (answer, sys.executable)
        book.write_text(HEADER + tasks + keep)
        text = self.command("ansible-playbook", str(book), *more, ok=ok)
        return json.loads(answer.read_text()), text[text.index("PLAY RECAP") :]


def changed(recap: str) -> int:
    return int(re.search(r"changed=(\d+)", recap).group(1))


@pytest.fixture
def ansible(zoo, work: Path, tmp_path: Path, target_python: str):
    yield Ansible(work, tmp_path, target_python)
    # The watchdog of an async task looks at its child every five seconds.
    if zoo.network is not None:
        reported = {pid for holder in zoo.holders for pid in holder.identities}
        world.wait_gone([pid for pid in zoo.network.inhabitants() if pid not in reported], 30)


def port_of(zoo, wanted: int) -> int:
    """The port people mean, where the network is ours; else any free one."""
    return wanted if zoo.network is not None else zoo.port()


def pids(result: dict) -> list[int]:
    return sorted(owner["pid"] for owner in result["owners"])


@pytest.mark.parametrize("name", NAMES)
def test_ad_hoc_who_has_8080(zoo, ansible: Ansible, name: str) -> None:
    holder = zoo.start("tcp4", port_of(zoo, 8080), comm="shipyard")
    result = ansible.adhoc(name, "port=%d" % holder.port)
    assert pids(result) == holder.owners
    assert result["changed"] is False
    assert "shipyard" in result["msg"]
    assert holder.living()


def test_play_frees_53_and_a_second_run_changes_nothing(zoo, ansible: Ansible) -> None:
    """The line of the README, word for word but for the port where 53 is not ours."""
    holder = zoo.start("tcp_and_udp", port_of(zoo, 53))
    task = "    - port_owner: port=%d state=free\n" % holder.port
    result, recap = ansible.play(task)
    assert result["changed"] is True and changed(recap) == 1
    assert world.wait_gone(holder.owners) == []
    assert world.table(holder.port) == []
    result, recap = ansible.play(task)
    assert result["changed"] is False and changed(recap) == 0
    assert result["free"] is True


@pytest.mark.parametrize("name", NAMES)
def test_check_mode_through_the_command(zoo, ansible: Ansible, name: str) -> None:
    holder = zoo.start("tcp4")
    task = "    - %s: port=%d state=free settle=0\n" % (name, holder.port)
    predicted, recap = ansible.play(task, "--check", "--diff")
    assert changed(recap) == 1 and holder.living()
    real, recap = ansible.play(task)
    assert not holder.living()
    for key in ("changed", "ports", "actions"):
        assert harness.steady(predicted[key]) == harness.steady(real[key])


@pytest.mark.parametrize("name", NAMES)
def test_async(zoo, ansible: Ansible, name: str) -> None:
    holder = zoo.start("tcp4")
    task = "    - %s: port=%d state=free settle=0\n      async: 300\n      poll: 1\n" % (name, holder.port)
    result, recap = ansible.play(task)
    assert result["changed"] is True and changed(recap) == 1
    assert world.wait_gone(holder.owners) == []


@pytest.mark.parametrize("name", NAMES)
def test_async_ad_hoc(zoo, ansible: Ansible, name: str) -> None:
    holder = zoo.start("tcp4")
    result = ansible.adhoc(name, "port=%d" % holder.port, "-B", "300", "-P", "1")
    assert pids(result) == holder.owners


def test_failure_reads_well_and_leaves_all_alone(zoo, ansible: Ansible) -> None:
    holder = zoo.start("tcp4", comm="sshd")
    result, recap = ansible.play("    - port_owner: port=%d state=free\n" % holder.port, ok=False)
    assert result["failed"] is True and changed(recap) == 0
    assert "protected" in result["msg"]
    assert holder.living()


@pytest.mark.parametrize("name", NAMES)
def test_module_defaults_guard(zoo, ansible: Ansible, name: str) -> None:
    """``protect`` that a play sets for all of its tasks counts under both names."""
    holder = zoo.start("tcp4", comm="ledger")
    task = "    - %s: port=%d state=free settle=0\n" % (name, holder.port)
    task += "      module_defaults: {harbormaster.ports.port_owner: {protect: [ledger]}}\n"
    result, dummy = ansible.play(task, ok=False)
    assert result["failed"] is True
    assert holder.living()


@pytest.mark.root
@pytest.mark.tool("sudo")
@pytest.mark.parametrize("detached", [False, True], ids=["sudo", "sudo-and-async"])
def test_become(zoo, ansible: Ansible, detached: bool) -> None:
    holder = zoo.start("tcp4")
    task = "    - port_owner: port=%d state=free settle=0\n      become: true\n" % holder.port
    task += "      async: 300\n      poll: 1\n" if detached else ""
    result, recap = ansible.play(task)
    assert result["changed"] is True and changed(recap) == 1
    assert world.wait_gone(holder.owners) == []


@pytest.mark.root
@pytest.mark.tool("sudo")
def test_become_somebody_who_sees_less(zoo, ansible: Ansible, work: Path) -> None:
    holder = zoo.start("tcp4")
    # nobody has no home: its files go to a folder that is open to all, and gone with the others at the end
    open_to_all = work / "nobody"
    open_to_all.mkdir(exist_ok=True)
    open_to_all.chmod(0o777)
    task = "    - port_owner: port=%d/tcp\n      become: true\n      become_user: nobody\n" % holder.port
    task += "      vars: {ansible_remote_tmp: %s, ansible_shell_allow_world_readable_temp: true}\n" % open_to_all
    result, dummy = ansible.play(task)
    assert [entry["status"] for entry in result["ports"]] == ["held_unknown"]
    assert "become: true" in result["msg"]


@pytest.mark.tool("sudo")
@pytest.mark.root
def test_ancestors_stay_protected_through_sudo(zoo, ansible: Ansible) -> None:
    """The port is held by the process that runs ansible: an ancestor beyond sudo."""
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", zoo.port()))
        sock.listen(1)
        port = sock.getsockname()[1]
        task = "    - port_owner: port=%d state=free unprotect='*'\n      become: true\n" % port
        result, dummy = ansible.play(task, ok=False)
    assert result["ports"][0]["blocked_by"]["code"] == "own_ancestor"


# A real sshd, with the connection of ansible itself on it ------------------------------------------------------------


class Sshd:
    """An sshd on port 22 of the test's network, with keys of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name)]
            subprocess.run(command, check=True, timeout=30)
        # Debian's init script makes this one at boot; another worker's sshd may use it, so it stays.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        options = {
            "ListenAddress": "127.0.0.1:22", "HostKey": directory / "host", "AuthorizedKeysFile": directory / "user.pub",
            "StrictModes": "no", "UsePAM": "no", "PidFile": "none", "PermitRootLogin": "yes",
            "Subsystem": "sftp internal-sftp",
        }  # fmt: skip
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null"]
        for name, value in options.items():
            command += ["-o", "%s=%s" % (name, value)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if b"listening on" in line:
                return
        raise RuntimeError("sshd does not start")

    @property
    def client(self) -> list[str]:
        return ["-F", "/dev/null", "-i", str(self.directory / "user"), "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]  # fmt: skip

    def close(self) -> None:
        self.process.kill()
        self.process.wait(5)
        self.process.stderr.close()


@pytest.fixture
def sshd(zoo, ansible: Ansible, tmp_path: Path, target_python: str):
    server = Sshd(tmp_path)
    arguments = " ".join(server.client)
    ansible.inventory.write_text(
        "box ansible_host=127.0.0.1 ansible_user=root ansible_connection=ssh ansible_python_interpreter=%s"
        " ansible_ssh_common_args='%s'\n" % (target_python, arguments)
    )
    yield server
    server.close()


MODES = {
    "plain": "",
    "async": "      async: 300\n      poll: 1\n",
    "sudo": "      become: true\n",
    "sudo-and-async": "      become: true\n      async: 300\n      poll: 1\n",
}


@pytest.mark.root
@pytest.mark.tool("sshd", "ssh-keygen", "sudo")
@pytest.mark.parametrize("mode", MODES)
def test_the_line_of_ansible_is_never_cut(zoo, ansible: Ansible, sshd: Sshd, mode: str) -> None:
    result, dummy = ansible.play("    - port_owner: port=22 state=free\n" + MODES[mode], ok=False)
    assert result["failed"] is True and result["changed"] is False
    (entry,) = [entry for entry in result["ports"] if entry["protocol"] == "tcp"]
    assert entry["blocked_by"]["code"] in ("protected_process", "own_ancestor", "own_connection")
    assert sshd.process.poll() is None
    assert ansible.adhoc("ansible.builtin.ping", "")["ping"] == "pong"


@pytest.mark.root
@pytest.mark.tool("sshd", "ssh-keygen", "sudo")
@pytest.mark.parametrize("mode", ["plain", "sudo"])
def test_unprotect_does_not_cut_the_line_either(zoo, ansible: Ansible, sshd: Sshd, mode: str) -> None:
    task = "    - port_owner: port=22 state=free unprotect=sshd\n" + MODES[mode]
    result, dummy = ansible.play(task, ok=False)
    (entry,) = [entry for entry in result["ports"] if entry["protocol"] == "tcp"]
    assert entry["blocked_by"]["code"] in ("own_ancestor", "own_connection")
    assert sshd.process.poll() is None


@pytest.mark.root
@pytest.mark.tool("sshd", "ssh-keygen", "ssh")
def test_anothers_forwarded_port_is_stoppable(zoo, ansible: Ansible, sshd: Sshd) -> None:
    """``ssh -R`` of another session: that session's process ends, the daemon and our session stay."""
    port = zoo.port()
    tunnel = subprocess.Popen(
        ["ssh", *sshd.client, "-o", "ExitOnForwardFailure=yes", "-R", "%d:127.0.0.1:9" % port, "root@127.0.0.1",
         "echo ready; exec cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert tunnel.stdout.readline() == b"ready\n"
        result, dummy = ansible.play("    - port_owner: port=%d state=free settle=0\n" % port)
        assert result["changed"] is True
        assert tunnel.wait(10) != 0
        assert sshd.process.poll() is None
    finally:
        tunnel.kill()
        tunnel.wait(5)
        tunnel.stdin.close()
        tunnel.stdout.close()
