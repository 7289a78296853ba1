# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a port from systemd-resolved. Private to harbormaster.ports: not an interface for other collections.

A drop-in turns the listener off, and one restart makes it so for tcp and udp. All or nothing: when systemd-resolved does
not come back, still has the port, or has lost the servers that it asks, everything is put back as it was.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._act import systemd
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import (
    NOT_PERMITTED,
    STEP_FAILED,
    STILL_HELD,
    PortsError,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import resolv_conf
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import (
    KEPT,
    RESOLVER_LASTING,
    RESOLVER_RUNTIME,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Eyes, Outcome, Refusal, Step

# Never give up a restart half way, however short the grace period.
SHORTEST_RESTART = 5.0
# For the stop, and for the start with the old settings.
WAY_BACK = 30.0
# Servers that a network manager tells systemd-resolved come after its start.
SERVERS_WAIT = 5.0
_PAUSE = 0.1

_NO_STUB = "DNSStubListener=no"
_NO_EXTRA = "DNSStubListenerExtra="
# Files with another ending than .conf are nobody's drop-in.
_NEW = ".harbormaster-ports-new"


def configure(steps: t.Sequence[Step], eyes: Eyes, number_of: t.Callable[[str], int]) -> t.List[Outcome]:
    """Give systemd-resolved the settings of these steps; after a failure no further one is begun."""
    del number_of
    outcomes: t.List[Outcome] = []
    for step in steps:
        outcomes.append(_configure(step, eyes))
        if outcomes[-1].result == "failed":
            break
    return outcomes


def parse_drop_in(text: str) -> t.Tuple[str, ...]:
    """The settings of a drop-in that was written here before."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if "=" in line and not line.startswith(("#", ";", "[")))


def merged(before: t.Iterable[str], lines: t.Iterable[str]) -> t.Tuple[str, ...]:
    """Settings of an earlier run and new ones; of one setting the new one."""
    by_name = {line.partition("=")[0].strip(): line for lines in (before, lines) for line in lines}
    return tuple(by_name[name] for name in sorted(by_name))


def _configure(step: Step, eyes: Eyes) -> Outcome:
    began = time.monotonic()

    def outcome(result: str, acted: bool, error: t.Optional[Refusal] = None) -> Outcome:
        return Outcome(step, result, acted=acted, seconds=time.monotonic() - began, error=error)

    names = [target.unit.name for target in step.units]
    if len(names) != 1 or not systemd.same(step, systemd.states(None, names)) or not systemd.still(step, eyes):
        return outcome("gone", False)
    with _to_the_end():
        change = _Change(step, eyes)
        try:
            change.prepare()
        except OSError as error:
            left = change.take_back()
            return outcome("failed", bool(left), _unprepared(step, error, left))
        try:
            refusal = change.restart() or change.check()
        except (PortsError, OSError) as error:
            reason = "whether %s has let it go can't be seen: %s" % (step.target, error)
            refusal = Refusal(STEP_FAILED, reason, "look with state: present, then run the task again")
        if refusal is None:
            return outcome("done", True)
        return outcome("failed", True, refusal._replace(reason="%s; %s" % (refusal.reason, _back(change.take_back()))))


@contextlib.contextmanager
def _to_the_end() -> t.Iterator[None]:
    """What asks this process to end waits until the change is whole, or taken back: its parts are bounded in time."""
    came: t.List[int] = []
    asking = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    # An ignored signal stays ignored; a handler, unlike a mask, is not handed on to systemctl.
    before = {number: signal.getsignal(number) for number in asking}
    for number, handler in before.items():
        if handler not in (None, signal.SIG_IGN):
            signal.signal(number, lambda which, _frame: came.append(which))
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler not in (None, signal.SIG_IGN):
                signal.signal(number, handler)
        for first in came[:1]:
            os.kill(os.getpid(), first)


class _Change:
    """One change of systemd-resolved's settings, with the way back."""

    def __init__(self, step: Step, eyes: Eyes) -> None:
        self.step = step
        self._eyes = eyes
        self._unit = step.units[0].unit.name
        self._undo: t.List[t.Callable[[], t.Any]] = []
        self._restarted = False
        self._upstreams = bool(_upstreams())
        self._comment = ""

    def prepare(self) -> None:
        """Write what the restart will read. Nothing that runs has changed after it.

        :raises OSError: a file can't be written; some may be.
        """
        lines = self.step.settings
        if self.step.relink:
            # First, as this is what may be impossible: a file that is mounted or immutable can't be replaced.
            # Search domains that only this file tells are read there as long as it is not systemd-resolved's own.
            search = resolv_conf.read(resolv_conf.RESOLV_CONF).search
            if search:
                lines += ("Domains=" + " ".join(search),)
            self._relink()
        self._write_drop_in(RESOLVER_LASTING if self.step.persist else RESOLVER_RUNTIME, lines)

    def restart(self) -> t.Optional[Refusal]:
        """Have systemd-resolved start anew; None when it is there again."""
        self._restarted = True
        why = self._start("restart", max(self.step.grace, SHORTEST_RESTART))
        if not why:
            return None
        reason = "%s did not come back after its restart: %s" % (self._unit, why)
        return Refusal(STEP_FAILED, reason, "look at journalctl -u %s" % self._unit)

    def check(self) -> t.Optional[Refusal]:
        """Whether the port is let go and names can still be resolved; None when both are so."""
        if self._still_listening():
            return Refusal(
                STILL_HELD,
                "%s was restarted and listens there again: a file that is read later says otherwise" % self._unit,
                "see what wins: systemd-analyze cat-config systemd/resolved.conf",
            )
        until = time.monotonic() + SERVERS_WAIT
        while self._upstreams and not _upstreams():
            if time.monotonic() >= until:
                return Refusal(
                    STEP_FAILED,
                    "%s knew no server to ask any more after its restart" % self._unit,
                    "name one with DNS= in /etc/systemd/resolved.conf, then run the task again",
                )
            time.sleep(_PAUSE)
        if not self._leads_nowhere():
            return None
        # Before systemd 247 the stub's file keeps naming the stub when that is off.
        try:
            self._relink()
        except OSError as error:
            reason = "%s would name nobody but the stub, and can't be changed: %s"
            path = resolv_conf.RESOLV_CONF
            return Refusal(STEP_FAILED, reason % (path, error.strerror), "make %s a file of your own" % path)
        return None

    def take_back(self) -> str:
        """Put everything back; what could not be, as a clause."""
        problems = []
        while self._undo:
            try:
                self._undo.pop()()
            except OSError as error:
                problems.append("%s: %s" % (error.filename, error.strerror))
        if self._restarted:
            # Where it did not start, systemd goes on trying by itself. A restart would join such an attempt, which began
            # with the new settings, and fail with it: a stop ends them all, and what starts then has read the old ones.
            systemd.systemctl(None, ["stop", "--", self._unit], WAY_BACK)
            systemd.systemctl(None, ["reset-failed", "--", self._unit], systemd.PATIENCE)
            why = self._start("start", WAY_BACK)
            if why:
                problems.append(
                    "%s is not back (%s), start it with systemctl restart %s" % (self._unit, why, self._unit)
                )
        return "; ".join(problems)

    def _start(self, verb: str, seconds: float) -> str:
        """Start the unit; why it does not run now, as a clause, empty when it does."""
        answer = systemd.systemctl(None, [verb, "--", self._unit], seconds)
        if not answer.ok and not answer.timed_out and self._counted_out():
            # It ran well before this restart, which was only one too many within the time that its start limit counts.
            systemd.systemctl(None, ["reset-failed", "--", self._unit], systemd.PATIENCE)
            answer = systemd.systemctl(None, ["start", "--", self._unit], seconds)
        if answer.timed_out:
            return "systemd has not done it within %g s, and goes on with it" % seconds
        state = systemd.states(None, [self._unit]).get(self._unit)
        if state is not None and state.active == "active" and state.main_pid:
            return ""
        if answer.problem:
            return answer.problem
        return "it is %s (%s)" % (state.active, state.sub) if state is not None else "its state can't be seen"

    def _counted_out(self) -> bool:
        """Whether the unit's start limit has refused it (StartLimitBurst= of systemd.unit(5))."""
        said = systemd.systemctl(None, ["show", "-p", "Result", "--", self._unit], systemd.PATIENCE)
        return "start-limit-hit" in said.stdout

    def _still_listening(self) -> bool:
        state = systemd.states(None, [self._unit]).get(self._unit)
        places = {(row.protocol, row.address, row.port) for row in self.step.sockets}
        inodes = {row.inode for row in self._eyes.rows() if (row.protocol, row.address, row.port) in places}
        return state is not None and bool(inodes) and self._eyes.holds(state.main_pid, inodes)

    def _leads_nowhere(self) -> bool:
        """Whether /etc/resolv.conf names only addresses where nobody answers any more."""
        given_up: t.Set[str] = set()
        if _NO_STUB in self.step.settings:
            given_up.update(resolv_conf.STUB_ADDRESSES)
        if _NO_EXTRA in self.step.settings:
            given_up.update(row.address for row in self.step.sockets)
        servers = resolv_conf.read(resolv_conf.RESOLV_CONF).servers
        return bool(servers) and given_up.issuperset(servers)

    def _write_drop_in(self, path: str, lines: t.Iterable[str]) -> None:
        folder = os.path.dirname(path)
        for missing in _missing_folders(folder):
            os.mkdir(missing)
            self._undo.append(functools.partial(os.rmdir, missing))
            # systemd-resolved reads its settings as a user of its own, whatever our umask is.
            os.chmod(missing, 0o755)  # noqa: S103
        before: t.Optional[str] = None
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", errors="surrogateescape") as stream:
            before = stream.read()
        text = [
            "# Written by the Ansible collection harbormaster.ports to free a port. To undo it, delete this file and",
            "# run: systemctl restart systemd-resolved",
            *([self._comment] if self._comment else _comments(before or "")),
            "[Resolve]",
            *merged(parse_drop_in(before or ""), lines),
        ]
        _write(path, "\n".join(text) + "\n")
        self._undo.append(
            functools.partial(os.unlink, path) if before is None else functools.partial(_write, path, before)
        )

    def _relink(self) -> None:
        """Make /etc/resolv.conf a link to the file with the real servers, in one go; what it was is kept beside it."""
        path = resolv_conf.RESOLV_CONF
        kept = path + KEPT
        with contextlib.suppress(FileNotFoundError):
            os.unlink(kept)
        if os.path.islink(path):
            before = os.readlink(path)
            os.symlink(before, kept)
            self._comment = "# %s was a link to %s before." % (path, before)
        else:
            os.link(path, kept)
            self._comment = "# %s is the file that %s was before." % (kept, path)
        try:
            _replace_by_link(path, os.path.relpath(resolv_conf.UPLINK, os.path.dirname(path)))
        except OSError:
            os.unlink(kept)
            raise
        self._undo.append(functools.partial(os.replace, kept, path))


def _upstreams() -> t.Tuple[str, ...]:
    """The servers that systemd-resolved asks, itself left out."""
    servers = resolv_conf.read(resolv_conf.UPLINK).servers
    return tuple(server for server in servers if server not in resolv_conf.STUB_ADDRESSES)


def _missing_folders(folder: str) -> t.List[str]:
    """The folders that have to be made for this one, outermost first."""
    missing: t.List[str] = []
    while folder and not os.path.isdir(folder):
        missing.insert(0, folder)
        folder = os.path.dirname(folder)
    return missing


def _comments(text: str) -> t.List[str]:
    """What an earlier run has noted about /etc/resolv.conf."""
    return [line for line in text.splitlines() if line.startswith("# ") and line.endswith(" before.")][:1]


def _write(path: str, text: str) -> None:
    """Write a file so that a reader sees the old one or the new one, and nothing in between."""
    new = path + _NEW
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
            os.fchmod(stream.fileno(), 0o644)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(new, path)
    except OSError:
        os.unlink(new)
        raise


def _replace_by_link(path: str, target: str) -> None:
    new = path + _NEW
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    os.symlink(target, new)
    try:
        os.replace(new, path)
    except OSError:
        os.unlink(new)
        raise


def _back(left: str) -> str:
    return "not everything could be put back: %s" % left if left else "everything was put back as it was"


def _unprepared(step: Step, error: OSError, left: str) -> Refusal:
    path = str(error.filename).replace(_NEW, "")
    reason = "the settings of %s can't be changed: %s: %s; %s" % (step.target, path, error.strerror, _back(left))
    if os.geteuid() != 0:
        return Refusal(NOT_PERMITTED, reason, "run the task with become: true")
    remedy = "look whether it is read-only, immutable (lsattr) or mounted on its own (findmnt), then run the task again"
    return Refusal(STEP_FAILED, reason, remedy)
