# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The drop-in, the link, the one restart, and the way back from everything that can go wrong.

The files are real, at another place. systemd and its resolver are played here; the lab has the real ones.
"""

from __future__ import annotations

import errno
import os
import signal
import stat

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._act import resolver, systemd
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SourceRefused
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command, resolv_conf
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Socket, Step, Unit, UnitTarget

UNIT = "systemd-resolved.service"
TCP = Socket("tcp", "ipv4", "127.0.0.53", 53, "LISTEN", inode=11)
UDP = Socket("udp", "ipv4", "127.0.0.53", 53, "UNCONN", inode=12)
OFF = ("DNSStubListener=no", "DNSStubListenerExtra=")
STUB_FILE = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n"
UPLINK_FILE = "nameserver 192.0.2.53\nsearch .\n"


class Host:
    """A host with systemd-resolved: what its files are, what its systemd answers, and the sockets that follow from both."""

    def __init__(self, root):
        self.root = root
        self.etc = root / "etc" / "resolv.conf"
        self.runtime = root / "run" / "resolved.conf.d" / "zz.conf"
        self.lasting = root / "etc" / "resolved.conf.d" / "zz-lasting.conf"
        self.uplink = root / "run" / "uplink"
        self.stub = root / "run" / "stub"
        self.calls = []
        self.run_number = 1
        self.active = "active"
        # What goes wrong.
        self.links_stub = True  # since systemd 247
        self.overruled = False
        self.forgets = False
        self.late_servers = 0
        self.starts = True
        self.starts_when_off = True
        self.trying = False  # systemd itself is starting the unit again, which has failed
        self.hangs = False
        self.limited = 0
        self.silent_table = False
        for folder in ("etc", "run"):
            (root / folder).mkdir()
        self.uplink.write_text(UPLINK_FILE)
        self.stub.write_text(STUB_FILE)
        self.etc.symlink_to("../run/stub")

    # What resolver.py is handed --------------------------------------------------------------------------------------

    def rows(self):
        if self.silent_table and self.run_number > 1:
            raise SourceRefused("netlink", "Operation not permitted")
        if self.active != "active" or (self.off and not self.overruled):
            return ()
        return tuple(row._replace(inode=row.inode + 100 * (self.run_number - 1)) for row in (TCP, UDP))

    def holds(self, pid, inodes):
        return pid == self.pid and bool(inodes & {row.inode for row in self.rows()})

    def systemctl(self, user, words, timeout):
        assert user is None and timeout > 0
        words = [word for word in words if word != "--"]
        answer = command.Answer(("systemctl", *words), 0)
        if words[0] == "show" and words[2] == "Result":
            return answer._replace(stdout="Result=%s\n" % ("start-limit-hit" if self.active == "failed" else "success"))
        if words[0] == "show":
            said = "Id=%s\nActiveState=%s\nSubState=running\nMainPID=%d\nInvocationID=run%d\n"
            return answer._replace(stdout=said % (UNIT, self.active, self.pid, self.run_number))
        self.calls.append(words[0])
        if words[0] == "reset-failed":
            self.limited = 0
            return answer
        if words[0] == "stop":
            self.trying, self.active = False, "inactive"
            return answer
        assert words[0] in ("start", "restart") and words[1:] == [UNIT]
        if words[0] == "restart":
            self.interrupt()
        if self.hangs:
            return answer._replace(status=-9, timed_out=True, seconds=timeout)
        if self.limited:
            self.active = "failed"
            return answer._replace(status=1, stderr="Job failed because start was attempted too often.")
        started = self.starts and (self.starts_when_off or not self.off) and not self.trying
        self.active = "active" if started else "activating"
        self.trying = not started
        self.run_number += 1
        self.write_files()
        return answer if started else answer._replace(status=1, stderr="Job for %s failed." % UNIT)

    def interrupt(self):
        """What comes in the middle of a restart."""

    def write_files(self):
        self.uplink.write_text("# nobody\n" if self.forgets and self.off else UPLINK_FILE)
        self.stub.unlink()
        if self.off and self.links_stub:
            self.stub.symlink_to("uplink")
        else:
            self.stub.write_text(STUB_FILE)

    @property
    def pid(self):
        return 50 + self.run_number if self.active == "active" else 0

    @property
    def off(self):
        return any("DNSStubListener=no" in path.read_text() for path in (self.runtime, self.lasting) if path.exists())

    # What a test does ------------------------------------------------------------------------------------------------

    def configure(self, **fields):
        target = UnitTarget(Unit(UNIT), 51, "run1")
        step = Step(
            "resolver", "configure_resolver", "systemd-resolved (pid 51)", ("53/tcp", "53/udp"), sockets=(TCP, UDP),
            units=(target,), settings=OFF, grace=30.0,
        )._replace(**fields)  # fmt: skip
        (outcome,) = resolver.configure([step], self, None)
        return outcome

    def files(self):
        """Everything below the root, except what systemd-resolved itself writes."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            if path in (self.uplink, self.stub):
                continue
            content = os.readlink(str(path)) if path.is_symlink() else path.read_text() if path.is_file() else None
            found[str(path.relative_to(self.root))] = content
        return found

    def servers(self):
        return resolv_conf.read(str(self.etc)).servers


@pytest.fixture
def host(tmp_path, monkeypatch):
    made = Host(tmp_path)
    monkeypatch.setattr(resolv_conf, "RESOLV_CONF", str(made.etc))
    monkeypatch.setattr(resolv_conf, "UPLINK", str(made.uplink))
    monkeypatch.setattr(resolver, "RESOLVER_RUNTIME", str(made.runtime))
    monkeypatch.setattr(resolver, "RESOLVER_LASTING", str(made.lasting))
    monkeypatch.setattr(resolver, "SERVERS_WAIT", 0.3)
    monkeypatch.setattr(systemd, "systemctl", made.systemctl)
    return made


def well(outcome):
    assert (outcome.result, outcome.acted, outcome.error) == ("done", True, None)


def failed(outcome, host, before, code="step_failed", acted=True):
    """A failure after which everything is as it was."""
    assert (outcome.result, outcome.acted) == ("failed", acted), outcome
    assert outcome.error.code == code
    assert "everything was put back as it was" in outcome.error.reason
    assert host.files() == before
    assert host.active == "active" and not host.off
    assert host.servers() == ("127.0.0.53",)
    return outcome.error


# It works -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_stock_host(host, umask):
    before = os.umask(umask)
    try:
        well(host.configure())
    finally:
        os.umask(before)
    assert host.calls == ["restart"]
    assert host.rows() == () and host.servers() == ("192.0.2.53",)
    assert host.runtime.read_text().splitlines()[-3:] == ["[Resolve]", *OFF]
    assert not host.lasting.parent.exists() and sorted(os.listdir(str(host.runtime.parent))) == ["zz.conf"]
    assert os.readlink(str(host.etc)) == "../run/stub", "the link needs no care"
    # It is read by a user who is neither root nor of root's group.
    assert stat.S_IMODE(host.runtime.stat().st_mode) == 0o644
    assert stat.S_IMODE(host.runtime.parent.stat().st_mode) == 0o755


def test_persist_writes_where_a_reboot_finds_it(host):
    well(host.configure(persist=True))
    assert host.lasting.exists() and not host.runtime.parent.exists()


def test_what_an_earlier_run_has_set_stays_set(host):
    host.runtime.parent.mkdir()
    host.runtime.write_text("[Resolve]\nLLMNR=no\nDNSStubListener=udp\n")
    well(host.configure())
    assert resolver.parse_drop_in(host.runtime.read_text()) == (*OFF, "LLMNR=no")


def test_a_plain_file_that_names_the_stub_becomes_a_link_and_is_kept(host):
    host.etc.unlink()
    text = "# by hand\nnameserver 127.0.0.53\nsearch corp.example lab.test\n"
    host.etc.write_text(text)
    well(host.configure(relink=True))
    assert os.readlink(str(host.etc)) == "../run/uplink" and host.servers() == ("192.0.2.53",)
    kept = host.root / "etc" / "resolv.conf.before-harbormaster-ports"
    assert kept.read_text() == text
    lines = host.runtime.read_text().splitlines()
    assert "# %s is the file that %s was before." % (kept, host.etc) in lines
    assert "Domains=corp.example lab.test" in lines, "only that file knew these domains"
    # A later run still knows where the file is.
    host.run_number, host.active = 1, "active"
    host.overruled = True
    host.configure(settings=("LLMNR=no",), sockets=(Socket("udp", "ipv4", "0.0.0.0", 5355, "UNCONN", inode=11),))
    assert "# %s is the file that %s was before." % (kept, host.etc) in host.runtime.read_text()


def test_a_link_of_somebody_else_that_names_the_stub_leads_to_the_real_servers(host):
    host.etc.unlink()
    (host.root / "run" / "theirs").write_text(STUB_FILE)
    host.etc.symlink_to("../run/theirs")
    well(host.configure(relink=True))
    assert os.readlink(str(host.etc)) == "../run/uplink"
    assert "# %s was a link to ../run/theirs before." % host.etc in host.runtime.read_text()
    assert (host.root / "run" / "theirs").read_text() == STUB_FILE
    kept = host.root / "etc" / "resolv.conf.before-harbormaster-ports"
    assert os.readlink(str(kept)) == "../run/theirs", "what the undo moves back"


def test_before_systemd_247_the_stub_file_is_no_link(host):
    host.links_stub = False
    well(host.configure())
    assert os.readlink(str(host.etc)) == "../run/uplink" and host.servers() == ("192.0.2.53",)


def test_a_start_limit_that_only_this_restart_has_hit(host):
    host.limited = 1
    well(host.configure())
    assert host.calls == ["restart", "reset-failed", "start"]


def test_servers_that_come_a_moment_after_the_start(host, monkeypatch):
    host.forgets = True
    monkeypatch.setattr(resolver.time, "sleep", lambda seconds: host.uplink.write_text(UPLINK_FILE))
    well(host.configure())


def test_a_host_that_never_had_a_server_loses_none(host):
    """Its /etc/resolv.conf is of its own."""
    host.uplink.write_text("# nobody\n")
    host.forgets = True
    host.etc.unlink()
    host.etc.write_text("nameserver 192.0.2.1\n")
    well(host.configure())
    assert host.etc.read_text() == "nameserver 192.0.2.1\n"


@pytest.mark.parametrize("starts", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_asked_to_end_in_the_middle_ends_after_it(host, monkeypatch, number, starts):
    before, came = host.files(), []
    host.starts_when_off = starts
    monkeypatch.setattr(host, "interrupt", lambda: os.kill(os.getpid(), number))
    old = signal.signal(number, lambda which, frame: came.append((which, host.files(), host.active)))
    try:
        outcome = host.configure()
    finally:
        signal.signal(number, old)
    ((which, files, active),) = came
    assert (which, active) == (number, "active")
    if starts:
        well(outcome)
    else:
        assert outcome.result == "failed" and files == before


# Nothing to do --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"units": (UnitTarget(Unit(UNIT), 51, "another"),)},
        {"units": (UnitTarget(Unit(UNIT), 99, "run1"),)},
        {"units": ()},
        {"sockets": (TCP._replace(inode=999),)},
    ],
)
def test_another_run_or_another_socket_is_not_touched(host, fields):
    before = host.files()
    outcome = host.configure(**fields)
    assert (outcome.result, outcome.acted, outcome.error) == ("gone", False, None)
    assert host.files() == before and host.calls == []


# It goes wrong --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("earlier", [None, "[Resolve]\nLLMNR=no\n"])
def test_a_setting_that_is_read_later(host, earlier):
    if earlier:
        host.runtime.parent.mkdir()
        host.runtime.write_text(earlier)
    before = host.files()
    host.overruled = True
    error = failed(host.configure(), host, before, "still_held")
    assert "cat-config" in error.remedy
    assert host.calls == ["restart", "stop", "reset-failed", "start"]


def test_servers_that_are_lost(host):
    before = host.files()
    host.forgets = True
    error = failed(host.configure(), host, before)
    assert "no server to ask" in error.reason


def test_a_resolver_that_does_not_start_with_it(host):
    before = host.files()
    host.starts = False
    outcome = host.configure()
    assert (outcome.result, outcome.acted, outcome.error.code) == ("failed", True, "step_failed")
    assert "not everything could be put back" in outcome.error.reason
    assert "start it with systemctl restart %s" % UNIT in outcome.error.reason
    assert host.files() == before


def test_a_resolver_that_starts_only_with_the_old_settings(host):
    """What systemd tries by itself in the meantime began with the new ones, and is not joined."""
    before = host.files()
    host.starts_when_off = False
    error = failed(host.configure(), host, before)
    assert "did not come back" in error.reason and "journalctl" in error.remedy


def test_a_restart_that_hangs(host):
    before = host.files()
    host.hangs = True
    outcome = host.configure(grace=0.0)
    assert (outcome.result, outcome.acted) == ("failed", True)
    assert (
        "within 5 s, and goes on" in outcome.error.reason and "not everything could be put back" in outcome.error.reason
    )
    assert host.files() == before


def test_a_table_that_can_not_be_read_any_more(host):
    before = host.files()
    host.silent_table = True
    outcome = host.configure()
    assert (outcome.result, outcome.acted) == ("failed", True) and "can't be seen" in outcome.error.reason
    assert host.files() == before and not host.off


def refusing(call, number, *fragments):
    """A system call that refuses paths with such a part."""

    def refuse(*arguments, **keywords):
        if any(fragment in str(path) for path in arguments for fragment in fragments):
            raise OSError(number, os.strerror(number), *map(str, arguments[:1]))
        return call(*arguments, **keywords)

    return refuse


REFUSALS = [
    ("replace", errno.EBUSY, "resolv.conf"),  # mounted on its own
    ("symlink", errno.EROFS, "resolv.conf"),
    ("mkdir", errno.EACCES, "resolved.conf.d"),
    ("replace", errno.ENOSPC, "zz.conf"),
    ("fsync", errno.EIO, ""),
]


@pytest.mark.parametrize(
    "plain, call, number, fragment",
    # Only a file is kept by a second name.
    [(True, "link", errno.EXDEV, "resolv.conf"), *((plain, *one) for one in REFUSALS for plain in (False, True))],
)
def test_what_can_not_be_written_changes_nothing(host, monkeypatch, plain, call, number, fragment):
    if plain:
        host.etc.unlink()
        host.etc.write_text(STUB_FILE)
    before = host.files()
    # os.replace is what puts things back as well: it refuses once.
    original, refuse = getattr(os, call), refusing(getattr(os, call), number, fragment)

    def once(*arguments, **keywords):
        try:
            return refuse(*arguments, **keywords)
        except OSError:
            monkeypatch.setattr(os, call, original)
            raise

    monkeypatch.setattr(os, call, once)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    error = failed(host.configure(relink=True), host, before, acted=False)
    assert os.strerror(number) in error.reason and "harbormaster-ports-new" not in error.reason
    assert "lsattr" in error.remedy and host.calls == []


def test_without_root_it_says_so(host, monkeypatch):
    before = host.files()
    monkeypatch.setattr(os, "mkdir", refusing(os.mkdir, errno.EACCES, "resolved.conf.d"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    error = failed(host.configure(), host, before, "not_permitted", acted=False)
    assert error.remedy == "run the task with become: true"


def test_on_an_old_systemd_a_mounted_resolv_conf_takes_everything_back(host, monkeypatch):
    """Only the look after the restart shows that it would have to be another file."""
    before = host.files()
    host.links_stub = False
    monkeypatch.setattr(os, "replace", refusing(os.replace, errno.EBUSY, "etc/resolv.conf"))
    error = failed(host.configure(), host, before)
    assert "can't be changed: Device or resource busy" in error.reason


def test_what_can_not_be_put_back_is_said(host, monkeypatch):
    host.overruled = True
    unlink = os.unlink

    def refuse(path):
        if str(path) == str(host.runtime):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        unlink(path)

    monkeypatch.setattr(os, "unlink", refuse)
    outcome = host.configure()
    assert (outcome.result, outcome.acted) == ("failed", True)
    assert "not everything could be put back: %s: Read-only file system" % host.runtime in outcome.error.reason


# Parts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before, lines, after",
    [
        ((), OFF, OFF),
        (("LLMNR=no",), OFF, (*OFF, "LLMNR=no")),
        (("DNSStubListener=tcp", "Domains=a b"), OFF, (*OFF, "Domains=a b")),
        (OFF, OFF, OFF),
    ],
)
def test_settings_are_merged_by_their_names(before, lines, after):
    assert resolver.merged(before, lines) == after


def test_only_settings_are_read_back():
    text = "# a=b\n;c=d\n[Resolve]\n DNSStubListener=no \n\nrubbish\nDNSStubListenerExtra=\n"
    assert resolver.parse_drop_in(text) == OFF


def test_after_a_failure_no_further_step_is_begun(host):
    host.overruled = True
    step = Step("resolver", "configure_resolver", "x", ("53/tcp",), sockets=(TCP,), settings=OFF, grace=1.0,
                units=(UnitTarget(Unit(UNIT), 51, "run1"),))  # fmt: skip
    assert [outcome.result for outcome in resolver.configure([step, step], host, None)] == ["failed"]
