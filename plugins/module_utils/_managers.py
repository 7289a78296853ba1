# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nouns of processes and what manages them. Private to harbormaster.ports: not an interface for other collections.

A part of `_model`, with the same rules: values that don't change, text already made printable.
"""

# No annotations from __future__ here, as in `_model`.
import typing as t


class Blind(t.NamedTuple):
    """Something that could not be seen: what it is and what would help are clauses.

    :param hidden: how many objects it hides.
    :param unasked: uid of the account whose programs were not asked only because this run changes nothing.
    """

    code: str
    text: str
    hidden: int = 1
    advice: str = ""
    unasked: t.Optional[int] = None


class Endpoint(t.NamedTuple):
    """A port of one protocol at one address, ``0.0.0.0`` or ``::`` for all addresses of a family.

    :param interface: index of the only interface on which it listens, 0 for any.
    """

    protocol: str
    address: str
    port: int
    interface: int = 0


class Container(t.NamedTuple):
    """A container as its engine knows it; only ``engine`` and ``id`` when nobody but the cgroup path told of it.

    :param engine: ``docker``, ``podman``, ``kubernetes``, ``containerd``, ``cri-o``, ``lxc``, ``systemd-nspawn``, ``libvirt``,
        ``runc``, or ``unknown``.
    :param id: 64 hexadecimal digits; for a swarm service that has no container here, the service's id.
    :param asked: its engine has told what follows; False when only a cgroup path is known.
    :param user: uid of the account whose rootless engine runs it, None for the system's engine. Where only a cgroup path
        told of it, the account whose word that path is: then it is one of that account's containers, or none.
    :param endpoint: path of the Engine API's socket (docker); empty where the engine's command is used (podman).
    :param pid: its first process as the host sees it, 0 when it is not running.
    :param started: when it was started, in the engine's words: with the id it tells this run from a later one.
    :param published: ports of the host that lead into it.
    :param host_network: it has no network of its own: its processes' sockets are the host's.
    :param restart: restart policy: ``no``, ``always``, ``unless-stopped``, ``on-failure``.
    :param retries: how often ``on-failure`` starts it again at most; 0 for no limit.
    :param removed_on_stop: the engine deletes it and its anonymous volumes when it stops (``--rm``).
    :param stop_timeout: seconds that the engine gives it to end before it is killed; None when the engine has not said.
    :param project: compose project, Kubernetes namespace, or name of the podman pod.
    :param service: compose service, swarm service, or name of the Kubernetes pod.
    :param orchestrator: ``swarm``, ``kubernetes`` or ``nomad`` when one of these runs it, else empty.
    :param unit: systemd unit that runs it (quadlet, ``podman generate systemd``), empty when there is none.
    :param pod: id of the podman pod that it belongs to: the pod's ports go when the pod is stopped.
    :param members: names of the other containers of that pod: they are stopped along with it.
    :param can_persist: the engine can change the restart policy of a container that exists.
    :param claimed: an engine of another account has told of it, which counts for that account's processes alone: for the
        relays of the account ``user``, and for ``inside``. Never for a port without a socket.
    :param inside: of one that is claimed, the holders that are in it by evidence: they descend from its first process.
    :param monitor: pid of the process that watches over it (conmon), 0 when there is none.
    :param command: podman: the engine's command, with the options that its account runs it with.
    :param environment: variables that this command needs, as (name, value).
    :param unsure: only a cgroup path told of it, and nobody can say whose word that is.
    :param unasked: what the holders in ``inside`` stand for or are in, by their helpers or control group: its engine is a
        program of another account, which only a run that changes things asks. Its id may be empty.
    """

    engine: str
    id: str
    name: str = ""
    asked: bool = False
    user: t.Optional[int] = None
    endpoint: str = ""
    pid: int = 0
    started: str = ""
    published: t.Tuple[Endpoint, ...] = ()
    host_network: bool = False
    restart: str = "no"
    retries: int = 0
    removed_on_stop: bool = False
    stop_timeout: t.Optional[float] = None
    project: str = ""
    service: str = ""
    orchestrator: str = ""
    unit: str = ""
    pod: str = ""
    members: t.Tuple[str, ...] = ()
    can_persist: bool = True
    claimed: bool = False
    inside: t.Tuple[int, ...] = ()
    monitor: int = 0
    command: t.Tuple[str, ...] = ()
    environment: t.Tuple[t.Tuple[str, str], ...] = ()
    unsure: bool = False
    unasked: bool = False

    @property
    def key(self) -> t.Tuple[str, t.Optional[int]]:
        """What tells it from others: an id in the hands of an account is none of the system's engine.

        One of which no id is known is told by whom it has.
        """
        return (self.id or " ".join(map(str, self.inside)), self.user)


class Unit(t.NamedTuple):
    """A systemd unit. ``user`` is the uid whose user manager runs it, None for the system manager."""

    name: str
    user: t.Optional[int] = None


class UnitFacts(t.NamedTuple):
    """What its service manager says of one unit; the words are those of systemctl(1) and systemd.unit(5).

    :param active: ActiveState: ``active``, ``activating``, ``reloading``, ``deactivating``, ``inactive``, ``failed``.
    :param sub: SubState, such as ``running`` or ``auto-restart``.
    :param main_pid: MainPID, 0 when it has none.
    :param control_pid: ControlPID: the process of ExecStart= (Type=forking), ExecReload=, ExecStop= and the like that runs now.
    :param names: all the names by which it is known (Names): those of its aliases too. Empty means its own name alone.
    :param program: name of the program or script that its first ExecStart= starts; empty when it has none.
    :param invocation: InvocationID: another one after each start.
    :param restart: Restart=.
    :param restart_delay: RestartUSec in seconds.
    :param stop_timeout: TimeoutStopUSec in seconds, None for infinity.
    :param file_state: UnitFileState: ``enabled``, ``disabled``, ``static``, ``generated``, ``transient`` ...
    :param wanted_by: units that pull it in when they start (WantedBy, RequiredBy, UpheldBy, BoundBy); where it was looked up
        what a boot brings back, without those that do so by a link that is gone then, and with those of links that the
        manager has not read yet.
    :param pulled_by: those of them that do so by something else than a link that ``systemctl disable`` takes away; None
        where that was not looked up.
    :param passing: its file is gone with the next boot.
    :param bus: names on D-Bus for which it is started when somebody asks for them, and whether they still are when it is
        disabled.
    :param maskable: no file lies where ``systemctl mask`` puts its link.
    :param linked: the unit's file outside of systemd's directories, where a link leads to that; else empty.
    :param triggered_by: sockets, paths and timers that start it.
    :param triggers: what a socket, path or timer starts; the running instances of a socket with Accept=yes.
    :param stopped_with: units that systemd stops along with it (RequiredBy, BoundBy, ConsistsOf, PropagatesStopTo).
    :param listens: where a socket unit listens, TCP and UDP only.
    :param stored: how many descriptors the manager keeps for it (NFileDescriptorStore).
    :param manual_stop: False when it refuses to be stopped by request (RefuseManualStop).
    :param pids: the processes in its control group.
    :param kill_mode: KillMode=: ``control-group``, ``mixed``, ``process`` (of what it has, only its main process is ended) or
        ``none``.
    :param kills: SendSIGKILL=: what does not hear the polite signal is killed.
    :param remains: it counts as active when all of its processes have ended (RemainAfterExit=), so having some means nothing.
        The units that systemd makes of SysV scripts say so too, but their scripts know what they have started: False.
    """

    unit: Unit
    active: str = "active"
    sub: str = ""
    main_pid: int = 0
    invocation: str = ""
    restart: str = "no"
    restart_delay: float = 0.0
    stop_timeout: t.Optional[float] = 90.0
    file_state: str = ""
    wanted_by: t.Tuple[str, ...] = ()
    pulled_by: t.Optional[t.Tuple[str, ...]] = None
    maskable: bool = True
    linked: str = ""
    passing: bool = False
    bus: t.Tuple[t.Tuple[str, bool], ...] = ()
    triggered_by: t.Tuple[str, ...] = ()
    triggers: t.Tuple[str, ...] = ()
    stopped_with: t.Tuple[str, ...] = ()
    listens: t.Tuple[Endpoint, ...] = ()
    stored: int = 0
    manual_stop: bool = True
    pids: t.Tuple[int, ...] = ()
    control_pid: int = 0
    names: t.Tuple[str, ...] = ()
    kill_mode: str = "control-group"
    kills: bool = True
    remains: bool = False
    program: str = ""

    @property
    def known_as(self) -> t.Tuple[str, ...]:
        """All names of the unit, its own first."""
        return (self.unit.name, *(name for name in self.names if name != self.unit.name))

    @property
    def leading(self) -> t.FrozenSet[int]:
        """The processes that its service manager itself has started and watches."""
        return frozenset(pid for pid in (self.main_pid, self.control_pid) if pid)

    @property
    def up(self) -> bool:
        """Whether it runs, or is on its way up or down."""
        return self.active not in ("", "inactive", "failed")


class Starter(t.NamedTuple):
    """A unit that may start others.

    :param by: what starts it: units that want it, and its triggers. Empty when nobody does.
    :param up: whether it runs, or waits for what it triggers on.
    """

    by: t.Tuple[str, ...] = ()
    up: bool = False


class Resolver(t.NamedTuple):
    """How this host resolves names, as far as freeing the port of systemd-resolved's stub touches it.

    :param upstreams: name servers that systemd-resolved has learnt or was told, without its own stub addresses.
    :param resolv_conf: what /etc/resolv.conf is: ``stub`` (a link to the stub file), ``uplink`` (a link to the one with the
        real servers), ``static`` (systemd's own static file), ``foreign`` (a file or link of somebody else), ``missing``.
    :param servers: the name servers that /etc/resolv.conf lists.
    :param local: those of both that are addresses of this very host.
    """

    upstreams: t.Tuple[str, ...] = ()
    resolv_conf: str = "stub"
    servers: t.Tuple[str, ...] = ()
    local: t.Tuple[str, ...] = ()


class Supervised(t.NamedTuple):
    """A process that a supervisor starts again when it ends.

    :param supervisor: program: ``supervisord``, ``runit``, ``s6``, ``pm2``, ``monit``, ``circus``, ``daemontools`` ...
    :param pid: the supervisor's process.
    :param program: the name under which the supervisor knows it, empty when that is not known.
    :param child: the process that the supervisor itself started: the holder or an ancestor of it; 0 when not known.
    :param stop: the command that stops it, ready to be run; empty when the supervisor does not answer.
    :param start: the command that starts it again.
    :param user: uid that the commands have to be run as, None for our own.
    :param environment: variables that the commands need, as (name, value).
    :param why: why it can't be asked, as a clause; empty when it answers.
    :param returns_at_boot: whether it starts the program with itself; None when that is not known.
    :param stops: all pids that the command stops, as far as the supervisor says so.
    :param unasked: it is a program of another account, which only a run that changes things asks.
    """

    supervisor: str
    pid: int
    program: str = ""
    child: int = 0
    stop: t.Tuple[str, ...] = ()
    start: t.Tuple[str, ...] = ()
    user: t.Optional[int] = None
    environment: t.Tuple[t.Tuple[str, str], ...] = ()
    why: str = ""
    returns_at_boot: t.Optional[bool] = None
    stops: t.Tuple[int, ...] = ()
    unasked: bool = False


class Process(t.NamedTuple):
    """One process, with what identifies it for good: pid and start time together.

    :param name: the kernel's comm (15 bytes at most), printable.
    :param exe: path of the executable, None when it can't be read; ends in `` (deleted)`` when it was replaced.
    :param command: masked command line, None when it can't be read or there is none.
    :param started: seconds since the epoch.
    :param start_ticks: field 22 of /proc/pid/stat (proc_pid_stat(5)), clock ticks since boot.
    :param state: one letter of proc_pid_stat(5): R, S, D, Z, T, t, X, I.
    :param ancestors: pids from the parent up to the root, nearest first.
    :param whole_name: the name in full where the kernel's 15 bytes have cut it; None when they haven't, or when it is
        not to be had.
    :param uid: the effective one, whose rights it has.
    :param real_uid: the account that started it, whose word all of its names are: another one than ``uid`` for a set-uid
        program. None when it is not known.
    :param proven: names that are evidence (`_linux.evidence.names`): what it is called is what it is. All its other names,
        and its command line, are claims.
    :param image: where the stack of its program begins (field 28 of proc_pid_stat(5)): exec(2) gives it another one, and
        renaming does not. 0 when it is not shown.
    :param apart: the namespace of its own that makes it look contained, ``PID`` or ``mount``; empty when it has none, or is
        in a container that is known by something better.
    """

    pid: int
    name: str
    parent_pid: int = 0
    exe: t.Optional[str] = None
    command: t.Optional[str] = None
    uid: t.Optional[int] = None
    user: t.Optional[str] = None
    started: t.Optional[float] = None
    start_ticks: int = 0
    state: str = "S"
    ancestors: t.Tuple[int, ...] = ()
    unit: t.Optional[Unit] = None
    container: t.Optional[Container] = None
    whole_name: t.Optional[str] = None
    real_uid: t.Optional[int] = None
    proven: t.Tuple[str, ...] = ()
    image: int = 0
    apart: str = ""

    @property
    def called(self) -> str:
        """Its name for people, in full where that is known."""
        return self.whole_name or self.name

    @property
    def roots_container(self) -> t.Optional[Container]:
        """Its container where root has said so; None where an account, or nobody who is known, has."""
        container = self.container
        return container if container is not None and container.user is None and not container.unsure else None

    @property
    def account(self) -> t.Optional[int]:
        """The account whose word its names are, and as which alone it may be asked: the one that started it."""
        return self.uid if self.real_uid is None else self.real_uid


# Behind a name of a target that is proven.
PROVEN = ", proven"


class Target(t.NamedTuple):
    """One process that a step may signal: the identity that is checked again before each signal.

    :param exe: path of its executable, empty where that can't be read.
    :param names: everything that a pattern of the task may match of it, and what of that is proven.
    :param command: its command line, masked.
    :param image: as in `Process`.
    """

    pid: int
    start_ticks: int
    name: str
    exe: str = ""
    names: t.FrozenSet[str] = frozenset()
    command: str = ""
    image: int = 0

    @property
    def proven(self) -> bool:
        """Whether something of its names is evidence."""
        return any(name.endswith(PROVEN) for name in self.names)

    def is_still(self, now: "Target") -> bool:
        """Whether the process that has the pid now is the one that was judged, and runs the same program as then.

        exec(2) leaves pid, start time and sockets, and makes another program of it. A program that only renames itself
        is no other one: else it could keep out of reach by that.
        """
        if (self.pid, self.start_ticks) != (now.pid, now.start_ticks):
            return False
        if self.exe and not now.exe:
            # It is on its way out and has no program any more, or never showed which one it runs.
            return self.name == now.name
        if now.exe and self.exe and self.exe != now.exe:
            return False
        if self.image and now.image:
            return self.image == now.image or (self.names, self.command) == (now.names, now.command)
        return not self.names or not now.names or self.names == now.names


class Restarter(t.NamedTuple):
    """Who may start again what a step has stopped.

    :param who: in words, such as ``its parent uwsgi (pid 7)``.
    :param pid: the process that has to be alive for it; 0 when there is none such.
    :param delay: seconds within which it does so, None when that is not known.
    """

    who: str
    pid: int = 0
    start_ticks: int = 0
    delay: t.Optional[float] = None

    @property
    def text(self) -> str:
        """As a clause."""
        return "%s %smay start it again" % (self.who, "lives and " if self.pid else "")


class UnitTarget(t.NamedTuple):
    """One unit that a step may stop: the identity that is checked again before.

    :param invocation: as the manager said; empty when it has said none.
    """

    unit: Unit
    main_pid: int = 0
    invocation: str = ""


# What /etc/resolv.conf was, when it had to be made a link to the file with the real servers, is kept beside it.
RESOLV_CONF = "/etc/resolv.conf"
KEPT = ".before-harbormaster-ports"
# The drop-ins that take a port from systemd-resolved: until the next boot, and for good. Their names sort behind those that
# people choose, as the last one wins, wherever it is; they differ, as a file in /etc hides one of its name in /run.
RESOLVER_RUNTIME = "/run/systemd/resolved.conf.d/zz-harbormaster-ports.conf"
RESOLVER_LASTING = "/etc/systemd/resolved.conf.d/zz-harbormaster-ports-lasting.conf"
