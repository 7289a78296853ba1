// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The nouns of what is wished, decided and done. Private to harbormaster.ports.
//
//     observe -> Snapshot -> decide (with Wishes and a Policy) -> Plan of Steps -> act -> Outcomes -> prove -> Proof
//
// None of them changes once it is made: a With... method gives a changed copy. See Model.cs for what is seen.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans
{
    /// <summary>Kinds of holders.</summary>
    public static class HolderKind
    {
        public const string Process = "process";
        public const string Service = "service";
        public const string Container = "container";
        public const string Connection = "connection";
        public const string Leftover = "leftover";
        public const string Kernel = "kernel";
        public const string Unknown = "unknown";
    }

    /// <summary>Status of a port, best first: of several that apply, the worst one is told.</summary>
    public static class PortStatus
    {
        public const string Free = "free";
        public const string Lingering = "lingering";
        public const string Reserved = "reserved";
        public const string Held = "held";
        public const string HeldUnknown = "held_unknown";
    }

    /// <summary>What becomes of a holder.</summary>
    public static class Fate
    {
        public const string None = "none";
        public const string Stopped = "stopped";
        public const string Kept = "kept";
        public const string Refused = "refused";
        public const string Gone = "gone";
    }

    /// <summary>Who carries out a step: a word of Act.cs.</summary>
    public static class Actuator
    {
        /// <summary>WM_CLOSE or TerminateProcess on the roots, then on the members that still hold the rows.</summary>
        public const string Process = "process";
        /// <summary>The service manager, on ServiceStops in their order.</summary>
        public const string Service = "service";
        /// <summary>SetTcpEntry on the rows.</summary>
        public const string TcpEntry = "tcp_entry";
    }

    /// <summary>What asks a process to end: the value of Step.Signal.</summary>
    public static class Ask
    {
        /// <summary>WM_CLOSE to its windows in our session.</summary>
        public const string Close = "WM_CLOSE";
        /// <summary>TerminateProcess at once: it has no window, and force is true.</summary>
        public const string Terminate = "TERMINATE";
        /// <summary>The service manager's stop request.</summary>
        public const string Stop = "STOP";
    }

    /// <summary>What is wanted of one port of one protocol. A list that is null was not given; an empty owner means nobody.</summary>
    public sealed class Wish
    {
        public readonly int Port;
        public readonly string Protocol;
        /// <summary>The protocol was asked for by name; false when it comes from "any".</summary>
        public readonly bool Named;
        /// <summary>Only holders that a bind to this address would collide with; null for every address.</summary>
        public readonly string Address;
        /// <summary>Who shall hold it (present).</summary>
        public readonly IReadOnlyList<string> Owner;
        /// <summary>Who may stay (free).</summary>
        public readonly IReadOnlyList<string> Keep;
        /// <summary>The only ones that may be stopped (free).</summary>
        public readonly IReadOnlyList<string> StopOnly;
        /// <summary>Accounts that narrow the match.</summary>
        public readonly IReadOnlyList<string> User;
        /// <summary>Number of the task's item it comes from: tcp and udp of one "any" belong together.</summary>
        public readonly int Request;

        public Wish(
            int port, string protocol, bool named = true, string address = null, IReadOnlyList<string> owner = null,
            IReadOnlyList<string> keep = null, IReadOnlyList<string> stopOnly = null, IReadOnlyList<string> user = null, int request = 0)
        {
            Port = port;
            Protocol = protocol;
            Named = named;
            Address = address;
            Owner = owner;
            Keep = keep;
            StopOnly = stopOnly;
            User = user;
            Request = request;
        }

        /// <summary>What a bind probe of this wish is filed under.</summary>
        public BindKey Key
        {
            get { return new BindKey(Protocol, Port, Address); }
        }

        /// <summary>The port as people write it, such as 8080/tcp or 53/udp on 192.0.2.10.</summary>
        public string Label
        {
            get { return Port + "/" + Protocol + (Address == null ? "" : " on " + Address); }
        }
    }

    /// <summary>The options of the task that hold for all of its wishes. Times are seconds, null for what was not given.</summary>
    public sealed class Policy
    {
        public readonly string State;
        public readonly string Method;
        /// <summary>As the task says it; Windows has no signals, it is checked and then means nothing.</summary>
        public readonly string Signal;
        public readonly double? GracePeriod;
        public readonly bool? Force;
        public readonly double Drain;
        public readonly double? Settle;
        public readonly double Timeout;
        public readonly bool CloseBlocking;
        public readonly string Collateral;
        public readonly bool Persist;
        public readonly IReadOnlyList<string> Protect;
        public readonly IReadOnlyList<string> Unprotect;

        public Policy(
            string state = "present", string method = "auto", string signal = "TERM", double? gracePeriod = null, bool? force = null,
            double drain = 0, double? settle = null, double timeout = 0, bool closeBlocking = false, string collateral = "warn",
            bool persist = false, IEnumerable<string> protect = null, IEnumerable<string> unprotect = null)
        {
            State = state;
            Method = method;
            Signal = signal;
            GracePeriod = gracePeriod;
            Force = force;
            Drain = drain;
            Settle = settle;
            Timeout = timeout;
            CloseBlocking = closeBlocking;
            Collateral = collateral;
            Persist = persist;
            Protect = Listed.Of(protect);
            Unprotect = Listed.Of(unprotect);
        }
    }

    /// <summary>Why a holder is not stopped, or a port is not as it was wished. Two with the same values are the same.</summary>
    public sealed class Refusal : IEquatable<Refusal>
    {
        /// <summary>One of Codes.</summary>
        public readonly string Code;
        public readonly string Reason;
        public readonly string Remedy;
        /// <summary>It ends by itself: timeout waits for it.</summary>
        public readonly bool Passing;

        public Refusal(string code, string reason, string remedy, bool passing = false)
        {
            Code = code;
            Reason = reason;
            Remedy = remedy;
            Passing = passing;
        }

        public Refusal AsPassing()
        {
            return new Refusal(Code, Reason, Remedy, true);
        }

        public bool Equals(Refusal other)
        {
            return other != null && Code == other.Code && Reason == other.Reason && Remedy == other.Remedy && Passing == other.Passing;
        }

        public override bool Equals(object other)
        {
            return Equals(other as Refusal);
        }

        public override int GetHashCode()
        {
            return Code.GetHashCode() ^ Reason.GetHashCode();
        }
    }

    /// <summary>Who keeps one port from being bound: a process with the children that share its socket, or something else.</summary>
    public sealed class Holder
    {
        /// <summary>A word of HolderKind.</summary>
        public string Kind { get; private set; }
        /// <summary>Name of the process or service; what in the kernel it is.</summary>
        public string Name { get; private set; }
        /// <summary>The root-most process first, then the others that share its sockets.</summary>
        public IReadOnlyList<int> Pids { get; private set; }
        /// <summary>The rows on the port that it accounts for.</summary>
        public IReadOnlyList<Socket> Sockets { get; private set; }
        /// <summary>The task would stop it.</summary>
        public bool Stoppable { get; private set; }
        /// <summary>A word of Fate; in a plan, the predicted one.</summary>
        public string Outcome { get; private set; }
        public Refusal Refusal { get; private set; }
        /// <summary>Short names of the services that it stands for: one, or all of a shared host that can't be told apart.</summary>
        public IReadOnlyList<string> Services { get; private set; }
        /// <summary>The request queue of HTTP.sys through which it holds the port; null when it has a socket of its own.</summary>
        public HttpQueue Queue { get; private set; }

        public Holder(
            string kind, string name, IEnumerable<int> pids = null, IEnumerable<Socket> sockets = null,
            IEnumerable<string> services = null, HttpQueue queue = null)
        {
            Kind = kind;
            Name = name;
            Pids = Listed.Of(pids);
            Sockets = Listed.Of(sockets);
            Outcome = Fate.None;
            Services = Listed.Of(services);
            Queue = queue;
        }

        /// <summary>What tells it from other holders, on whatever port it is met.</summary>
        public string Key
        {
            get
            {
                if (Kind == HolderKind.Service)
                {
                    return Kind + " " + string.Join(" ", Services).ToUpperInvariant();
                }
                return Kind + " " + (Pids.Count > 0 && Kind != HolderKind.Connection ? Pids[0].ToString() : string.Join(" ", Sockets));
            }
        }

        /// <summary>Ids of its sockets; without the 0 of those that no process has.</summary>
        public ISet<long> Ids
        {
            get { return new HashSet<long>(Sockets.Where(row => row.Id != 0).Select(row => row.Id)); }
        }

        /// <summary>A copy with an answer: what becomes of it, why, and whether the task would stop it.</summary>
        public Holder With(string outcome = null, Refusal refusal = null, bool? stoppable = null)
        {
            Holder copy = (Holder)MemberwiseClone();
            copy.Outcome = outcome ?? Outcome;
            copy.Refusal = refusal ?? Refusal;
            copy.Stoppable = stoppable ?? Stoppable;
            return copy;
        }

        /// <summary>A copy with this outcome and this refusal, also when that is null.</summary>
        public Holder Ended(string outcome, Refusal refusal)
        {
            Holder copy = (Holder)MemberwiseClone();
            copy.Outcome = outcome;
            copy.Refusal = refusal;
            return copy;
        }
    }

    /// <summary>One process that a step may end: the identity that is checked again before it is touched.</summary>
    public sealed class Target : IEquatable<Target>
    {
        public readonly int Pid;
        /// <summary>Process.StartTicks.</summary>
        public readonly long StartTicks;
        public readonly string Name;

        public Target(int pid, long startTicks, string name)
        {
            Pid = pid;
            StartTicks = startTicks;
            Name = name;
        }

        public bool Equals(Target other)
        {
            return other != null && Pid == other.Pid && StartTicks == other.StartTicks && Name == other.Name;
        }

        public override bool Equals(object other)
        {
            return Equals(other as Target);
        }

        public override int GetHashCode()
        {
            return Pid ^ StartTicks.GetHashCode();
        }
    }

    /// <summary>One thing to do, complete enough to be done without looking anything up.</summary>
    public sealed class Step
    {
        /// <summary>A word of Actuator.</summary>
        public string Actuator { get; private set; }
        /// <summary>What the result calls it: signal, stop_service or close_socket.</summary>
        public string Action { get; private set; }
        /// <summary>What it is done to, for people.</summary>
        public string Target { get; private set; }
        /// <summary>Labels of the asked ports that it frees.</summary>
        public IReadOnlyList<string> Ports { get; private set; }
        /// <summary>Labels of ports that it frees as well and that nobody asked for.</summary>
        public IReadOnlyList<string> AlsoFrees { get; private set; }
        /// <summary>What stops with it: dependent services, other services of a process that is ended.</summary>
        public IReadOnlyList<string> AlsoStops { get; private set; }
        /// <summary>Whether the holder comes back at boot; null when nobody can know.</summary>
        public bool? ReturnsAtBoot { get; private set; }
        /// <summary>Processes that are asked first. For a service: the process that it runs in, which has to be its one still.</summary>
        public IReadOnlyList<Target> Roots { get; private set; }
        /// <summary>Processes that share the rows; asked only when the roots are gone and they still hold them.</summary>
        public IReadOnlyList<Target> Members { get; private set; }
        /// <summary>The rows that have to go.</summary>
        public IReadOnlyList<Socket> Sockets { get; private set; }
        /// <summary>A word of Ask.</summary>
        public string Signal { get; private set; }
        /// <summary>TerminateProcess may follow when the grace period is over. Never for a service.</summary>
        public bool Kill { get; private set; }
        /// <summary>Seconds.</summary>
        public double Grace { get; private set; }
        /// <summary>Short names of the services to stop, in order: dependants first, the service itself last.</summary>
        public IReadOnlyList<string> ServiceStops { get; private set; }
        /// <summary>Set the start type of what was stopped to disabled, that of ServiceStops' last one.</summary>
        public bool Persist { get; private set; }
        /// <summary>The command that takes back what a reboot would not; null when there is nothing of the kind.</summary>
        public string Undo { get; private set; }
        /// <summary>Keys of the holders that it stops (Holder.Key).</summary>
        public IReadOnlyList<string> Holders { get; private set; }
        /// <summary>
        /// The request queue of HTTP.sys through which the roots have the rows: those are PID 4's, so whether the roots still
        /// hold them is asked of the queue. Null for all others.
        /// </summary>
        public HttpQueue Queue { get; private set; }

        public Step(
            string actuator, string action, string target, IEnumerable<string> ports, IEnumerable<string> alsoStops = null,
            bool? returnsAtBoot = null, IEnumerable<Target> roots = null, IEnumerable<Target> members = null,
            IEnumerable<Socket> sockets = null, string signal = Ask.Close, bool kill = false, double grace = 30,
            IEnumerable<string> serviceStops = null, bool persist = false, string undo = null, IEnumerable<string> holders = null,
            HttpQueue queue = null)
        {
            Actuator = actuator;
            Action = action;
            Target = target;
            Ports = Listed.Of(ports);
            AlsoFrees = Listed.Of<string>(null);
            AlsoStops = Listed.Of(alsoStops);
            ReturnsAtBoot = returnsAtBoot;
            Roots = Listed.Of(roots);
            Members = Listed.Of(members);
            Sockets = Listed.Of(sockets);
            Signal = signal;
            Kill = kill;
            Grace = grace;
            ServiceStops = Listed.Of(serviceStops);
            Persist = persist;
            Undo = undo;
            Holders = Listed.Of(holders);
            Queue = queue;
        }

        /// <summary>Ids of the rows that have to go.</summary>
        public ISet<long> Ids
        {
            get { return new HashSet<long>(Sockets.Where(row => row.Id != 0).Select(row => row.Id)); }
        }

        public Step WithAlsoFrees(IEnumerable<string> labels)
        {
            Step copy = (Step)MemberwiseClone();
            copy.AlsoFrees = Listed.Of(labels);
            return copy;
        }

        /// <summary>Two steps on the same holder as one.</summary>
        public Step MergedWith(Step other)
        {
            Step copy = (Step)MemberwiseClone();
            copy.Ports = Listed.Of(Ports.Concat(other.Ports.Except(Ports)));
            copy.Members = Listed.Of(Members.Concat(other.Members.Except(Roots.Concat(Members))));
            copy.Sockets = Listed.Of(Sockets.Concat(other.Sockets.Except(Sockets)));
            copy.Holders = Listed.Of(Holders.Concat(other.Holders.Except(Holders)));
            copy.Kill = Kill && other.Kill;
            return copy;
        }
    }

    /// <summary>What was found on one wished port, and what becomes of it.</summary>
    public sealed class PortPlan
    {
        public Wish Wish { get; private set; }
        /// <summary>Status as found, a word of PortStatus.</summary>
        public string Before { get; private set; }
        /// <summary>Status afterwards, as predicted (a plan) or as seen (a proof).</summary>
        public string Status { get; private set; }
        public bool? Bindable { get; private set; }
        public bool Ephemeral { get; private set; }
        /// <summary>The rows that a server's bind would meet.</summary>
        public IReadOnlyList<Socket> Sockets { get; private set; }
        public IReadOnlyList<Holder> Holders { get; private set; }
        public int Established { get; private set; }
        public int TimeWait { get; private set; }
        /// <summary>The one that weighs most, null when the wish is met or will be.</summary>
        public Refusal Refusal { get; private set; }
        /// <summary>Somebody who may stay holds it.</summary>
        public bool Kept { get; private set; }

        public PortPlan(
            Wish wish, string status, bool? bindable, bool ephemeral, IEnumerable<Socket> sockets, IEnumerable<Holder> holders,
            int established = 0, int timeWait = 0)
        {
            Wish = wish;
            Before = status;
            Status = status;
            Bindable = bindable;
            Ephemeral = ephemeral;
            Sockets = Listed.Of(sockets);
            Holders = Listed.Of(holders);
            Established = established;
            TimeWait = timeWait;
        }

        /// <summary>The port is free for a server, or held by who may hold it.</summary>
        public bool Met
        {
            get { return Kept || Status == PortStatus.Free || Status == PortStatus.Lingering; }
        }

        public PortPlan WithBindable(bool? bindable)
        {
            PortPlan copy = (PortPlan)MemberwiseClone();
            copy.Bindable = bindable;
            return copy;
        }

        public PortPlan WithStatus(string status)
        {
            PortPlan copy = (PortPlan)MemberwiseClone();
            copy.Status = status;
            return copy;
        }

        /// <summary>A copy with the holders as they were judged, the refusal (null for none), and whether somebody may stay.</summary>
        public PortPlan Judged(IEnumerable<Holder> holders, Refusal refusal, bool kept)
        {
            PortPlan copy = (PortPlan)MemberwiseClone();
            copy.Holders = Listed.Of(holders);
            copy.Refusal = refusal;
            copy.Kept = kept;
            return copy;
        }
    }

    /// <summary>The decision: per port what is the case, and the steps in order. With a refusal there are no steps.</summary>
    public sealed class Plan
    {
        public readonly IReadOnlyList<PortPlan> Ports;
        public readonly IReadOnlyList<Step> Steps;
        public readonly IReadOnlyList<string> Warnings;

        public Plan(IEnumerable<PortPlan> ports, IEnumerable<Step> steps = null, IEnumerable<string> warnings = null)
        {
            Ports = Listed.Of(ports);
            Steps = Listed.Of(steps);
            Warnings = Listed.Of(warnings);
        }

        /// <summary>The refusal of each port that has one, final ones first.</summary>
        public IReadOnlyList<Refusal> Refusals
        {
            get
            {
                return Listed.Of(Ports.Where(port => port.Refusal != null).Select(port => port.Refusal).OrderBy(one => one.Passing));
            }
        }
    }
}
