# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of the collection. Private to harbormaster.ports: not an interface for other collections.

The stages hand each other only these values, all immutable. They are NamedTuples, because a dataclass takes ten times
as long to define, which every run on every host would pay for:

    observe -> Snapshot -> decide (with Wishes and a Policy) -> Plan of Steps -> act -> Outcomes -> prove -> Proof

Text that a host says (names, command lines) is already made printable, and command lines masked, when it
gets here. Times are seconds; ``started`` is seconds since the epoch, UTC.
"""

# No annotations from __future__ here: as text they would be compiled one by one when the classes are made.
import typing as t

# The nouns of that file are nouns of this one: who needs a Process need not know where it is written down.
# pylint: disable=useless-import-alias,unused-import
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import Blind as Blind
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import Container as Container
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import Endpoint as Endpoint
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import Process as Process
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import Resolver as Resolver
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import Restarter as Restarter
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import Starter as Starter
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import Supervised as Supervised
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import Target as Target
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import Unit as Unit
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import UnitFacts as UnitFacts
from ansible_collections.harbormaster.ports.plugins.module_utils._managers import UnitTarget as UnitTarget

# pylint: enable=useless-import-alias,unused-import

TCP, UDP = "tcp", "udp"
IPV4, IPV6 = "ipv4", "ipv6"

# States carry netstat's words. BOUND is ours: a TCP socket that is bound and neither listens nor is connected.
LISTEN = "LISTEN"
BOUND = "BOUND"
ESTABLISHED, TIME_WAIT, CLOSE_WAIT = "ESTABLISHED", "TIME_WAIT", "CLOSE_WAIT"
UNCONN = "UNCONN"

# Kinds of holders.
PROCESS, SERVICE = "process", "service"
SYSTEMD_SOCKET = "systemd_socket"
RESOLVER = "resolver"
CONTAINER = "container"
CONNECTION = "connection"
LEFTOVER = "leftover"
KERNEL, UNKNOWN = "kernel", "unknown"

# Status of a port, best first: of several that apply, the worst one is told.
FREE = "free"
LINGERING = "lingering"
RESERVED = "reserved"
HELD = "held"
HELD_UNKNOWN = "held_unknown"


class Socket(t.NamedTuple):
    """One row of the kernel's socket table.

    :param protocol: ``tcp`` or ``udp``.
    :param family: ``ipv4`` or ``ipv6``; the family of the socket, also for IPv4-mapped clients of a dual-stack one.
    :param address: local address, plain text; IPv4-mapped ones (``::ffff:a.b.c.d``) are shown as ``a.b.c.d``.
    :param state: netstat's word, or ``BOUND``.
    :param uid: numeric user of the socket.
    :param inode: 0 when no descriptor refers to it (TIME_WAIT, orphans, a listener's unaccepted queue).
    :param v6only: None when the source can't say.
    :param interface: index of the interface it is bound to, 0 for none.
    :param rqueue: bytes waiting to be read; for listeners, connections waiting to be accepted.
    :param diag_id: ``struct inet_diag_sockid`` (linux/inet_diag.h) as the kernel sent it, for SOCK_DESTROY; empty
        when the source has none.
    """

    protocol: str
    family: str
    address: str
    port: int
    state: str
    remote_address: str = ""
    remote_port: int = 0
    uid: t.Optional[int] = None
    inode: int = 0
    v6only: t.Optional[bool] = None
    interface: int = 0
    rqueue: int = 0
    mptcp: bool = False
    diag_id: bytes = b""

    def accepts(self, client: "Socket") -> bool:
        """Whether a connection with this local end came in through this listener."""
        if self.port != client.port or self.protocol != client.protocol:
            return False
        if self.address == client.address:
            return True
        if self.address == "::":
            return ":" in client.address or not self.v6only
        return self.address == "0.0.0.0" and ":" not in client.address


_EMPTY: t.Mapping[t.Any, t.Any] = {}
BindKey = t.Tuple[str, int, t.Optional[str]]


class Snapshot(t.NamedTuple):
    """The system at one moment, as far as it could be seen.

    :param sockets: every row on the asked ports.
    :param owners: inode -> pids that have it open, lowest first. An inode that is missing here has no visible owner.
    :param processes: every pid of ``owners``, and their ancestors.
    :param other_sockets: rows on other ports of the processes in ``owners``, when they were asked for.
    :param blind: what could not be seen.
    :param kernel: (protocol, port) -> what in the kernel owns it, only on positive evidence.
    :param ephemeral: first and last port that the kernel gives to outgoing connections by itself.
    :param ephemeral_reserved: ports inside that range which it leaves out.
    :param self_pids: this module's process and its ancestors.
    :param carriers: pid -> why it may be what carries the Ansible connection.
    :param may_close: this account may close the sockets of others (SOCK_DESTROY).
    :param bindable: (protocol, port, address) -> what a bind said: True, False, None when it could not be tried.
    :param units: what the service managers say of the holders' units, and of what starts or stops together with these.
    :param wanting: units that may start those, and what starts them, up to the boot's target; for ``state: free`` only.
    :param containers: containers that publish an asked port or have a process in ``owners``, swarm services that publish one.
    :param resolver: how names are resolved, when systemd-resolved holds an asked port.
    :param supervised: pid -> its supervisor, for the pids of ``owners``.
    :param own_unit: the unit that this module's process runs in.
    :param suspects: uid -> pids of that account that may have what has no owner in ``owners``.
    """

    sockets: t.Tuple[Socket, ...] = ()
    owners: t.Mapping[int, t.Tuple[int, ...]] = _EMPTY
    processes: t.Mapping[int, Process] = _EMPTY
    other_sockets: t.Tuple[Socket, ...] = ()
    blind: t.Tuple[Blind, ...] = ()
    kernel: t.Mapping[t.Tuple[str, int], str] = _EMPTY
    ephemeral: t.Tuple[int, int] = (32768, 60999)
    ephemeral_reserved: t.FrozenSet[int] = frozenset()
    self_pids: t.FrozenSet[int] = frozenset()
    carriers: t.Mapping[int, str] = _EMPTY
    bindable: t.Mapping[BindKey, t.Optional[bool]] = _EMPTY
    backend: str = "netlink"
    may_close: bool = True
    units: t.Mapping[Unit, UnitFacts] = _EMPTY
    wanting: t.Mapping[Unit, Starter] = _EMPTY
    containers: t.Tuple[Container, ...] = ()
    resolver: t.Optional[Resolver] = None
    supervised: t.Mapping[int, Supervised] = _EMPTY
    own_unit: t.Optional[Unit] = None
    suspects: t.Mapping[int, t.Tuple[int, ...]] = _EMPTY


Patterns = t.Optional[t.Tuple[str, ...]]


class Wish(t.NamedTuple):
    """What is wanted of one port of one protocol.

    :param named: the protocol was asked for by name; False when it comes from ``any``.
    :param address: only holders that a bind to this address would collide with; None for every address.
    :param owner: who shall hold it (``present``); an empty tuple means nobody.
    :param keep: who may stay (``free``).
    :param stop_only: the only ones that may be stopped (``free``).
    :param user: accounts that narrow the match.
    :param request: number of the task's item it comes from: tcp and udp of one ``any`` belong together.
    """

    port: int
    protocol: str
    named: bool = True
    address: t.Optional[str] = None
    owner: Patterns = None
    keep: Patterns = None
    stop_only: Patterns = None
    user: Patterns = None
    request: int = 0

    @property
    def key(self) -> BindKey:
        """What a bind probe of this wish is filed under."""
        return (self.protocol, self.port, self.address)

    @property
    def label(self) -> str:
        """The port as people write it, such as ``8080/tcp`` or ``53/udp on 192.0.2.10``."""
        label = "%d/%s" % (self.port, self.protocol)
        return label if self.address is None else "%s on %s" % (label, self.address)


class Policy(t.NamedTuple):
    """The options of the task that hold for all of its wishes. Times are seconds; see the module's documentation."""

    state: str = "present"
    method: str = "auto"
    signal: str = "TERM"
    grace_period: t.Optional[float] = None
    force: t.Optional[bool] = None
    drain: float = 0.0
    settle: t.Optional[float] = None
    timeout: float = 0.0
    close_blocking: bool = False
    collateral: str = "warn"
    persist: bool = False
    protect: t.Tuple[str, ...] = ()
    unprotect: t.Tuple[str, ...] = ()


class Refusal(t.NamedTuple):
    """Why a holder is not stopped, or a port is not as it was wished.

    :param code: one of the codes of ``_errors.py``.
    :param passing: True for what ends by itself: ``timeout`` waits for it.
    :param claim: it rests on what a process says of itself: ``method: signal`` and ``unprotect`` overrule it.
    """

    code: str
    reason: str
    remedy: str
    passing: bool = False
    claim: bool = False


class Holder(t.NamedTuple):
    """Who keeps one port from being bound: a process with the children that share its socket, or something else.

    :param pids: the root-most process first, then the others that share its sockets.
    :param sockets: the rows on the port that it accounts for.
    :param outcome: ``none``, ``stopped``, ``kept``, ``refused`` or ``gone``; in a plan, the predicted one.
    :param unit: the unit that manages it.
    :param container: the container that it is.
    :param supervised: the supervisor that would start it again.
    """

    kind: str
    name: str
    pids: t.Tuple[int, ...] = ()
    sockets: t.Tuple[Socket, ...] = ()
    stoppable: bool = False
    outcome: str = "none"
    refusal: t.Optional[Refusal] = None
    unit: t.Optional[Unit] = None
    container: t.Optional[Container] = None
    supervised: t.Optional[Supervised] = None

    @property
    def key(self) -> t.Tuple[t.Any, ...]:
        """What tells it from other holders, on whatever port it is met."""
        if self.container is not None:
            return (self.kind, self.container.engine, *self.container.key)
        if self.unit is not None:
            return (self.kind, self.unit)
        if self.kind == CONTAINER:
            # Relays of an engine that tells of no container are one riddle, not one each.
            return (self.kind, self.name)
        if self.pids and self.kind != CONNECTION:
            return (self.kind, self.pids[0])
        return (self.kind, self.sockets)

    @property
    def inodes(self) -> t.FrozenSet[int]:
        """Inodes of its sockets; without the 0 of sockets that have no descriptor."""
        return frozenset(row.inode for row in self.sockets if row.inode)


class Step(t.NamedTuple):
    """One thing to do, complete enough to be done without looking anything up.

    :param actuator: key of the registry in ``_act/registry.py``.
    :param action: what the result calls it.
    :param target: what it is done to, for people.
    :param ports: labels of the asked ports that it frees.
    :param also_frees: labels of ports that it frees as well and that nobody asked for.
    :param also_stops: what stops with it.
    :param dependants: those of them that depend on it; the others would only start it again.
    :param returns_at_boot: whether the holder comes back at boot; None when nobody can know.
    :param roots: processes that are signalled first.
    :param members: processes that share the sockets; signalled only when the roots are gone and they still hold them.
    :param sockets: the rows that have to go.
    :param kill: KILL may follow when the grace period is over.
    :param grace: seconds that are waited for the end.
    :param holders: keys of the holders that it stops (`Holder.key`).
    :param units: units that are stopped in one call, all of one manager.
    :param survivors: processes that their unit's stop may leave alive: signalled then, if they still hold the socket.
    :param disable: units that are disabled afterwards, so that they don't start at boot.
    :param mask: units that can't be disabled, and are masked for the same end.
    :param container: the container that is stopped.
    :param supervised: the program that is stopped by its supervisor.
    :param settings: lines of a drop-in for systemd-resolved's ``[Resolve]`` section.
    :param relink: /etc/resolv.conf has to become a link to the file with the real name servers.
    :param persist: what is done survives a reboot.
    :param undo: the command that takes back what a reboot would not, empty when there is nothing of the kind.
    :param restarters: who may start it again and lives on, as far as it is known.
    :param watch: seconds after which its own manager would start it again.
    :param covers: keys of holders that other steps are about and that end with this one.
    :param suspected: nobody could see that its processes have the sockets; the task has named them.
    :param nameless: whatever its processes call themselves, they would be judged the same.
    """

    actuator: str
    action: str
    target: str
    ports: t.Tuple[str, ...]
    also_frees: t.Tuple[str, ...] = ()
    also_stops: t.Tuple[str, ...] = ()
    dependants: t.Tuple[str, ...] = ()
    returns_at_boot: t.Optional[bool] = None
    roots: t.Tuple[Target, ...] = ()
    members: t.Tuple[Target, ...] = ()
    sockets: t.Tuple[Socket, ...] = ()
    signal: str = "TERM"
    kill: bool = False
    grace: float = 30.0
    holders: t.Tuple[t.Tuple[t.Any, ...], ...] = ()
    units: t.Tuple[UnitTarget, ...] = ()
    disable: t.Tuple[str, ...] = ()
    mask: t.Tuple[str, ...] = ()
    container: t.Optional[Container] = None
    supervised: t.Optional[Supervised] = None
    settings: t.Tuple[str, ...] = ()
    relink: bool = False
    persist: bool = False
    undo: str = ""
    restarters: t.Tuple[Restarter, ...] = ()
    watch: float = 0.0
    survivors: t.Tuple[Target, ...] = ()
    covers: t.Tuple[t.Tuple[t.Any, ...], ...] = ()
    suspected: bool = False
    nameless: bool = False

    @property
    def inodes(self) -> t.FrozenSet[int]:
        """Inodes of the rows that have to go."""
        return frozenset(row.inode for row in self.sockets if row.inode)


class PortPlan(t.NamedTuple):
    """What was found on one wished port, and what becomes of it.

    :param before: status as found.
    :param status: status afterwards, as predicted (a plan) or as seen (a proof).
    :param sockets: the rows that a server's bind would meet.
    :param refusal: the one that weighs most, None when the wish is met or will be.
    :param kept: somebody who may stay holds it.
    """

    wish: Wish
    before: str
    status: str
    bindable: t.Optional[bool]
    ephemeral: bool
    sockets: t.Tuple[Socket, ...] = ()
    holders: t.Tuple[Holder, ...] = ()
    established: int = 0
    time_wait: int = 0
    refusal: t.Optional[Refusal] = None
    kept: bool = False

    @property
    def met(self) -> bool:
        """The port is free for a server, or held by who may hold it."""
        return self.kept or self.status in (FREE, LINGERING)


class Plan(t.NamedTuple):
    """The decision: per port what is the case, and the steps in order. With a refusal there are no steps."""

    ports: t.Tuple[PortPlan, ...]
    steps: t.Tuple[Step, ...] = ()
    warnings: t.Tuple[str, ...] = ()

    @property
    def refusals(self) -> t.Tuple[Refusal, ...]:
        """The refusal of each port that has one, final ones first."""
        found = [port.refusal for port in self.ports if port.refusal is not None]
        return tuple(sorted(found, key=lambda refusal: refusal.passing))


class Outcome(t.NamedTuple):
    """What became of one step.

    :param result: ``done``, ``failed`` or ``gone`` (it had left by itself, nothing was done).
    :param acted: something was really done to the system.
    :param killed: pids that had to be killed.
    :param dropped: connections that were open when the step began.
    :param became: what a target had become by exec when its next signal was due, which it then did not get; else empty.
    :param along: the target of an earlier step of the same plan, with which it ended already.
    """

    step: Step
    result: str
    acted: bool = False
    seconds: float = 0.0
    dropped: int = 0
    killed: t.Tuple[int, ...] = ()
    error: t.Optional[Refusal] = None
    became: str = ""
    along: str = ""


class Proof(t.NamedTuple):
    """What the system looked like after the last step, when ``settle`` was over.

    :param plan: a decision over the new snapshot: its ports are the state after.
    :param failure: why it is not as wished; None when it is.
    :param watched: seconds in which nothing took a port.
    """

    snapshot: Snapshot
    plan: Plan
    failure: t.Optional[Refusal] = None
    watched: float = 0.0


class Eyes(t.Protocol):
    """What the act and prove stages may ask of the observe stage; the conductor hands it to them."""

    def look(self) -> Snapshot:
        """A whole new snapshot of the wished ports."""

    def rows(self) -> t.Tuple[Socket, ...]:
        """Only the socket rows of the wished ports: cheap enough to be asked 20 times a second."""

    def holds(self, pid: int, inodes: t.AbstractSet[int]) -> bool:
        """Whether this pid has one of these sockets open now."""

    def start_ticks(self, pid: int) -> t.Optional[int]:
        """Start time of the process that has this pid now; None when there is none."""

    def target(self, pid: int) -> t.Optional[Target]:
        """What the process that has this pid now is: as the plan names it. None when there is none that can be seen."""
