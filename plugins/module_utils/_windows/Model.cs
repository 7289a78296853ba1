// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The nouns of what is seen: sockets, processes, services, and the snapshot of them. Private to harbormaster.ports.
//
// The stages hand each other only these values and those of ModelPlans.cs. None of them changes once it is made: a With...
// method gives a changed copy. They are the nouns of _model.py, with what only Windows has.
//
// Text that a host says (names, command lines) is already made printable, and command lines masked, when it gets here. Times
// are seconds; Started is seconds since 1970, UTC.

using System;
using System.Collections.Generic;
using System.Linq;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model
{
    public static class Protocol
    {
        public const string Tcp = "tcp";
        public const string Udp = "udp";
    }

    public static class Family
    {
        public const string IPv4 = "ipv4";
        public const string IPv6 = "ipv6";
    }

    /// <summary>States of sockets, in netstat's words. BOUND: a TCP socket that neither listens nor is connected.</summary>
    public static class SocketState
    {
        public const string Listen = "LISTEN";
        public const string Bound = "BOUND";
        public const string Established = "ESTABLISHED";
        public const string TimeWait = "TIME_WAIT";
        public const string CloseWait = "CLOSE_WAIT";
        public const string Unconnected = "UNCONN";
    }

    /// <summary>One row of the socket tables. Two with the same values are the same row.</summary>
    public sealed class Socket : IEquatable<Socket>
    {
        private readonly string _text;

        /// <summary>tcp or udp.</summary>
        public readonly string Protocol;
        /// <summary>ipv4 or ipv6.</summary>
        public readonly string Family;
        /// <summary>Local address, plain text; IPv4-mapped ones are shown as IPv4.</summary>
        public readonly string Address;
        public readonly int Port;
        /// <summary>A word of SocketState, or netstat's for the others (SYN_RECV, FIN_WAIT1 ...).</summary>
        public readonly string State;
        public readonly string RemoteAddress;
        public readonly int RemotePort;
        /// <summary>What the row is known by: the same in each look, 0 where no process has it (TIME_WAIT).</summary>
        public readonly long Id;
        /// <summary>The pid that the table names; it may be dead (a ghost). 0 for none.</summary>
        public readonly int Pid;
        /// <summary>Null where the source can't say.</summary>
        public readonly bool? V6Only;
        /// <summary>Index of the interface it is bound to (scope of its address), 0 for none.</summary>
        public readonly int Interface;
        /// <summary>Short name of the service that owns the row inside a shared host (svchost.exe), else null.</summary>
        public readonly string Service;

        public Socket(
            string protocol, string family, string address, int port, string state, string remoteAddress = "", int remotePort = 0,
            long id = 0, int pid = 0, bool? v6Only = null, int @interface = 0, string service = null)
        {
            Protocol = protocol;
            Family = family;
            Address = address;
            Port = port;
            State = state;
            RemoteAddress = remoteAddress;
            RemotePort = remotePort;
            Id = id;
            Pid = pid;
            V6Only = v6Only;
            Interface = @interface;
            Service = service;
            _text = string.Join(
                "|", protocol, family, address, port, state, remoteAddress, remotePort, id, pid, v6Only, @interface, service);
        }

        /// <summary>Whether SetTcpEntry can close it: connections of IPv4 alone.</summary>
        public bool Closable
        {
            get
            {
                return Protocol == Model.Protocol.Tcp && Family == Model.Family.IPv4 && RemotePort != 0
                    && State != SocketState.Listen && State != SocketState.Bound;
            }
        }

        /// <summary>Whether a connection with this local end came in through this listener.</summary>
        public bool Accepts(Socket client)
        {
            if (Port != client.Port || Protocol != client.Protocol)
            {
                return false;
            }
            if (Address == client.Address)
            {
                return true;
            }
            bool v6 = client.Address.Contains(":");
            if (Address == "::")
            {
                return v6 || V6Only != true;
            }
            return Address == "0.0.0.0" && !v6;
        }

        public bool Equals(Socket other)
        {
            return other != null && _text == other._text;
        }

        public override bool Equals(object other)
        {
            return Equals(other as Socket);
        }

        public override int GetHashCode()
        {
            return _text.GetHashCode();
        }

        /// <summary>All of it, for comparisons and for an order that does not depend on the system's.</summary>
        public override string ToString()
        {
            return _text;
        }
    }

    /// <summary>One process, with what identifies it for good: pid and start time together.</summary>
    public sealed class Process
    {
        public readonly int Pid;
        /// <summary>File name of the executable as it is, such as nginx.exe.</summary>
        public readonly string Name;
        public readonly int ParentPid;
        /// <summary>Path of the executable, null when it can't be read.</summary>
        public readonly string Exe;
        /// <summary>Masked command line, null when it can't be read.</summary>
        public readonly string Command;
        /// <summary>Account as DOMAIN\name, null when it is not known.</summary>
        public readonly string User;
        /// <summary>The account's security identifier (S-1-5-18), null when it is not known.</summary>
        public readonly string Sid;
        /// <summary>Seconds since 1970, null when it is not known.</summary>
        public readonly double? Started;
        /// <summary>Creation time as a FILETIME (100 ns since 1601), 0 when it is not known.</summary>
        public readonly long StartTicks;
        /// <summary>Pids from the parent up to the root, nearest first; only parents that are older than their child.</summary>
        public readonly IReadOnlyList<int> Ancestors;
        /// <summary>Number of its session, -1 when it is not known.</summary>
        public readonly int Session;
        /// <summary>It has a top-level window in the module's own session: WM_CLOSE has somebody to go to.</summary>
        public readonly bool HasWindow;
        /// <summary>Windows stops with a blue screen when it ends (ProcessBreakOnTermination).</summary>
        public readonly bool Critical;
        /// <summary>PS_PROTECTION (winternl.h), 0 for none: even an administrator can't open it to end it.</summary>
        public readonly int Protection;
        /// <summary>Short names of the services that run in it, as the service manager's PID map says.</summary>
        public readonly IReadOnlyList<string> Services;
        /// <summary>It could not be opened with the right to end it.</summary>
        public readonly bool Denied;

        public Process(
            int pid, string name, int parentPid = 0, string exe = null, string command = null, string user = null, string sid = null,
            double? started = null, long startTicks = 0, IEnumerable<int> ancestors = null, int session = -1, bool hasWindow = false,
            bool critical = false, int protection = 0, IEnumerable<string> services = null, bool denied = false)
        {
            Pid = pid;
            Name = name;
            ParentPid = parentPid;
            Exe = exe;
            Command = command;
            User = user;
            Sid = sid;
            Started = started;
            StartTicks = startTicks;
            Ancestors = Listed.Of(ancestors);
            Session = session;
            HasWindow = hasWindow;
            Critical = critical;
            Protection = protection;
            Services = Listed.Of(services);
            Denied = denied;
        }
    }

    /// <summary>One service as the service manager knows it.</summary>
    public sealed class Service
    {
        /// <summary>Start types of winsvc.h.</summary>
        public const int AutoStart = 2;
        public const int DemandStart = 3;
        public const int DisabledStart = 4;
        /// <summary>SERVICE_STOPPED of winsvc.h; 4 is running, 2, 3, 5 and 6 are on their way.</summary>
        public const int Stopped = 1;

        /// <summary>Short name, as sc.exe takes it.</summary>
        public readonly string Name;
        public readonly string DisplayName;
        /// <summary>0 when it does not run.</summary>
        public readonly int Pid;
        /// <summary>1 to 7 of winsvc.h.</summary>
        public readonly int State;
        /// <summary>It takes a stop request now (SERVICE_ACCEPT_STOP).</summary>
        public readonly bool AcceptsStop;
        /// <summary>0 boot, 1 system, 2 automatic, 3 on demand, 4 disabled.</summary>
        public readonly int StartType;
        public readonly bool DelayedAuto;
        /// <summary>It may share its process with others (SERVICE_WIN32_SHARE_PROCESS).</summary>
        public readonly bool Shared;
        /// <summary>SERVICE_LAUNCH_PROTECTED, 0 for none.</summary>
        public readonly int Protected;
        /// <summary>Running services that depend on it, in the order in which they have to be stopped: deepest first.</summary>
        public readonly IReadOnlyList<string> Dependants;
        /// <summary>It has start triggers: an event may start it again at any moment.</summary>
        public readonly bool Triggers;
        /// <summary>Its failure actions start it again when its process ends in another way than a stop.</summary>
        public readonly bool Restarts;

        public Service(
            string name, string displayName = null, int pid = 0, int state = 4, bool acceptsStop = true, int startType = DemandStart,
            bool delayedAuto = false, bool shared = false, int @protected = 0, IEnumerable<string> dependants = null,
            bool triggers = false, bool restarts = false)
        {
            Name = name;
            DisplayName = displayName;
            Pid = pid;
            State = state;
            AcceptsStop = acceptsStop;
            StartType = startType;
            DelayedAuto = delayedAuto;
            Shared = shared;
            Protected = @protected;
            Dependants = Listed.Of(dependants);
            Triggers = triggers;
            Restarts = restarts;
        }
    }

    /// <summary>A request queue of http.sys: who gets the requests that come in through PID 4.</summary>
    public sealed class HttpQueue
    {
        public readonly string Name;
        /// <summary>The processes that have it open.</summary>
        public readonly IReadOnlyList<int> Pids;
        /// <summary>The URLs registered in it, such as HTTP://+:8080/APP/.</summary>
        public readonly IReadOnlyList<string> Urls;
        /// <summary>The ports of those URLs.</summary>
        public readonly IReadOnlyList<int> Ports;
        /// <summary>An application pool of IIS: the service W3SVC controls it, and starts its processes when it likes.</summary>
        public readonly bool Iis;

        public HttpQueue(string name, IEnumerable<int> pids = null, IEnumerable<string> urls = null, IEnumerable<int> ports = null,
            bool iis = false)
        {
            Name = name;
            Pids = Listed.Of(pids);
            Urls = Listed.Of(urls);
            Ports = Listed.Of(ports);
            Iis = iis;
        }
    }

    /// <summary>Ports that Windows lets nobody bind, although no socket is on them (netsh int ipv4 show excludedportrange).</summary>
    public sealed class ExcludedRange
    {
        public readonly string Protocol;
        public readonly string Family;
        public readonly int First;
        public readonly int Last;
        /// <summary>Set by an administrator; else by Hyper-V, WinNAT and the like, anew at each boot.</summary>
        public readonly bool Administered;

        public ExcludedRange(string protocol, string family, int first, int last, bool administered = false)
        {
            Protocol = protocol;
            Family = family;
            First = first;
            Last = last;
            Administered = administered;
        }
    }

    /// <summary>Something that could not be seen.</summary>
    public sealed class Blind
    {
        public readonly string Code;
        /// <summary>What it is, as a clause.</summary>
        public readonly string Text;
        /// <summary>How many objects it hides.</summary>
        public readonly int Hidden;
        /// <summary>What would help, as a clause.</summary>
        public readonly string Advice;

        public Blind(string code, string text, int hidden = 1, string advice = "")
        {
            Code = code;
            Text = text;
            Hidden = hidden;
            Advice = advice;
        }
    }

    /// <summary>The system at one moment, as far as it could be seen. Everything but the lists has a default.</summary>
    public sealed class Snapshot
    {
        /// <summary>Every row on the asked ports.</summary>
        public IReadOnlyList<Socket> Sockets { get; private set; }
        /// <summary>Rows on other ports of the processes in Owners, when they were asked for.</summary>
        public IReadOnlyList<Socket> OtherSockets { get; private set; }
        /// <summary>Socket.Id -> pids that have it, lowest first. An id that is missing here has no visible owner.</summary>
        public IReadOnlyDictionary<long, IReadOnlyList<int>> Owners { get; private set; }
        /// <summary>Every pid of Owners, their ancestors, and the processes of the request queues.</summary>
        public IReadOnlyDictionary<int, Process> Processes { get; private set; }
        /// <summary>Short name -> service, without regard to case: those of the processes, and their dependants.</summary>
        public IReadOnlyDictionary<string, Service> Services { get; private set; }
        /// <summary>Dead pid of a row -> living processes that may have inherited its socket; none is a possible answer.</summary>
        public IReadOnlyDictionary<int, IReadOnlyList<int>> Ghosts { get; private set; }
        /// <summary>Request queues of http.sys; asked for when PID 4 is on a wished port.</summary>
        public IReadOnlyList<HttpQueue> HttpQueues { get; private set; }
        /// <summary>Port -> URLs that are reserved on it (netsh http show urlacl). A reservation holds nothing: it names who may.</summary>
        public IReadOnlyDictionary<int, IReadOnlyList<string>> UrlReservations { get; private set; }
        /// <summary>Excluded port ranges; asked for when a bind is refused and no row explains it.</summary>
        public IReadOnlyList<ExcludedRange> Excluded { get; private set; }
        /// <summary>What could not be seen.</summary>
        public IReadOnlyList<Blind> Blind { get; private set; }
        /// <summary>"tcp 445" -> which driver or service of Windows owns the port, on positive evidence. Key: KernelKey.</summary>
        public IReadOnlyDictionary<string, string> Kernel { get; private set; }
        /// <summary>First and last port that Windows gives to outgoing connections by itself.</summary>
        public int EphemeralFirst { get; private set; }
        public int EphemeralLast { get; private set; }
        /// <summary>Ports inside that range which it leaves out.</summary>
        public ISet<int> EphemeralReserved { get; private set; }
        /// <summary>This module's process and its ancestors.</summary>
        public ISet<int> SelfPids { get; private set; }
        /// <summary>Pid -> why it may be what carries the Ansible connection.</summary>
        public IReadOnlyDictionary<int, string> Carriers { get; private set; }
        /// <summary>What a bind said: true, false, null when it could not be tried. Keys that are missing were not tried.</summary>
        public IReadOnlyDictionary<BindKey, bool?> Bindable { get; private set; }
        public string Backend { get; private set; }
        /// <summary>This account may close the sockets of others (SetTcpEntry): it is an elevated administrator.</summary>
        public bool MayClose { get; private set; }
        public bool Elevated { get; private set; }

        public Snapshot(
            IEnumerable<Socket> sockets = null, IReadOnlyDictionary<long, IReadOnlyList<int>> owners = null,
            IReadOnlyDictionary<int, Process> processes = null, IEnumerable<Socket> otherSockets = null,
            IReadOnlyDictionary<string, Service> services = null, IReadOnlyDictionary<int, IReadOnlyList<int>> ghosts = null,
            IEnumerable<HttpQueue> httpQueues = null, IReadOnlyDictionary<int, IReadOnlyList<string>> urlReservations = null,
            IEnumerable<ExcludedRange> excluded = null, IEnumerable<Blind> blind = null,
            IReadOnlyDictionary<string, string> kernel = null, int ephemeralFirst = 49152, int ephemeralLast = 65535,
            IEnumerable<int> ephemeralReserved = null, IEnumerable<int> selfPids = null,
            IReadOnlyDictionary<int, string> carriers = null, IReadOnlyDictionary<BindKey, bool?> bindable = null,
            string backend = "iphlpapi", bool mayClose = true, bool elevated = true)
        {
            Sockets = Listed.Of(sockets);
            OtherSockets = Listed.Of(otherSockets);
            Owners = owners ?? new Dictionary<long, IReadOnlyList<int>>();
            Processes = processes ?? new Dictionary<int, Process>();
            Services = services ?? new Dictionary<string, Service>();
            Ghosts = ghosts ?? new Dictionary<int, IReadOnlyList<int>>();
            HttpQueues = Listed.Of(httpQueues);
            UrlReservations = urlReservations ?? new Dictionary<int, IReadOnlyList<string>>();
            Excluded = Listed.Of(excluded);
            Blind = Listed.Of(blind);
            Kernel = kernel ?? new Dictionary<string, string>();
            EphemeralFirst = ephemeralFirst;
            EphemeralLast = ephemeralLast;
            EphemeralReserved = new HashSet<int>(ephemeralReserved ?? new int[0]);
            SelfPids = new HashSet<int>(selfPids ?? new int[0]);
            Carriers = carriers ?? new Dictionary<int, string>();
            Bindable = bindable ?? new Dictionary<BindKey, bool?>();
            Backend = backend;
            MayClose = mayClose;
            Elevated = elevated;
        }

        public static string KernelKey(string protocol, int port)
        {
            return protocol + " " + port;
        }

        public Snapshot WithBindable(IReadOnlyDictionary<BindKey, bool?> bindable)
        {
            Snapshot copy = (Snapshot)MemberwiseClone();
            copy.Bindable = bindable;
            return copy;
        }

        public Snapshot WithExcluded(IEnumerable<ExcludedRange> excluded)
        {
            Snapshot copy = (Snapshot)MemberwiseClone();
            copy.Excluded = Listed.Of(excluded);
            return copy;
        }
    }

    /// <summary>What a bind probe is filed under: protocol, port, and the asked address, null for all of them.</summary>
    public sealed class BindKey : IEquatable<BindKey>
    {
        public readonly string Protocol;
        public readonly int Port;
        public readonly string Address;

        public BindKey(string protocol, int port, string address)
        {
            Protocol = protocol;
            Port = port;
            Address = address;
        }

        public bool Equals(BindKey other)
        {
            return other != null && Protocol == other.Protocol && Port == other.Port && Address == other.Address;
        }

        public override bool Equals(object other)
        {
            return Equals(other as BindKey);
        }

        public override int GetHashCode()
        {
            return Port ^ Protocol.GetHashCode() ^ (Address ?? "").GetHashCode();
        }
    }

    /// <summary>Lists that nobody changes any more.</summary>
    public static class Listed
    {
        /// <summary>A copy of its own; an empty list for null.</summary>
        public static IReadOnlyList<T> Of<T>(IEnumerable<T> values)
        {
            return Array.AsReadOnly(values == null ? new T[0] : values.ToArray());
        }
    }
}
