// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The decision: a pure function from what was seen and what is wished to a Plan. Private to harbormaster.ports.
//
// No clock, no input or output, no Ansible. It is all or nothing: when one holder of one port is refused, the plan has no steps
// at all. The rules and their codes are those of Linux (_decide/), proven by the same vectors (tests/vectors/).

using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideFreeing;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideHolders;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideMatching;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideReasons;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideSockets;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Decide
{
    public static class Decider
    {
        /// <summary>What is the case on each wished port, and the steps that make the wishes true.</summary>
        /// <param name="snapshot">The rows of all wished ports, their owners, and what a bind said where nothing holds a port.</param>
        /// <returns>Ports in the order of the wishes. Steps only with state free, and only when nothing is refused.</returns>
        public static Plan Decide(Snapshot snapshot, IReadOnlyList<Wish> wishes, Policy policy)
        {
            SocketIndex index = new SocketIndex(snapshot);
            IReadOnlyList<PortPlan> seen = Listed.Of(wishes.Select(wish => Seen(snapshot, index.Rows(wish), wish)));
            if (policy.State == "free")
            {
                return Freeing.Of(snapshot, policy, index, seen);
            }
            return new Plan(Present(snapshot, seen), null, SocketIndex.EphemeralWarning(seen.Where(port => Any(port.Wish.Owner))));
        }

        /// <summary>What makes a process look like one that starts others again; null when nothing does.</summary>
        public static string SupervisorName(Process process)
        {
            return HolderFinder.SupervisorName(process);
        }

        private static bool Any(IReadOnlyList<string> names)
        {
            return names != null && names.Count > 0;
        }

        /// <summary>One port as it is, without a judgement.</summary>
        private static PortPlan Seen(Snapshot snapshot, WishRows rows, Wish wish)
        {
            bool? bindable;
            snapshot.Bindable.TryGetValue(wish.Key, out bindable);
            List<Holder> found = HolderFinder.Find(snapshot, wish, rows, bindable).ToList();
            return new PortPlan(
                wish, Status(rows, found, bindable), bindable, SocketIndex.IsEphemeral(snapshot, wish.Port), rows.Blocking, found,
                rows.InState(SocketState.Established), rows.InState(SocketState.TimeWait));
        }

        private static string Status(WishRows rows, IEnumerable<Holder> found, bool? bindable)
        {
            if (rows.Holding.Count > 0)
            {
                return found.Any(holder => holder.Kind == HolderKind.Unknown) ? PortStatus.HeldUnknown : PortStatus.Held;
            }
            if (rows.Outgoing.Count > 0)
            {
                return bindable == true ? PortStatus.Lingering : PortStatus.Held;
            }
            if (rows.Leftovers.Count > 0)
            {
                return bindable == false ? PortStatus.Held : PortStatus.Lingering;
            }
            if (bindable != false)
            {
                return PortStatus.Free;
            }
            return found.Any(holder => holder.Kind == HolderKind.Kernel) ? PortStatus.Reserved : PortStatus.Held;
        }

        /// <summary>owner looks at tcp and udp of one request together: one of them is held, and nobody else is on either.</summary>
        private static IEnumerable<PortPlan> Present(Snapshot snapshot, IReadOnlyList<PortPlan> seen)
        {
            Dictionary<string, bool> held = seen.GroupBy(Request).ToDictionary(
                group => group.Key, group => group.Any(port => port.Holders.Any(holder => Counts(snapshot, port, holder))));
            ILookup<int, PortPlan> numbers = seen.ToLookup(port => port.Wish.Port);
            foreach (PortPlan port in seen)
            {
                IReadOnlyList<string> owner = Owner(port.Wish);
                if (owner == null)
                {
                    yield return port;
                    continue;
                }
                Refusal refusal = Unmet(snapshot, port, owner);
                // Of the two protocols of one request, tcp says that nobody is there.
                bool told = port.Wish.Protocol == Protocol.Udp && !port.Wish.Named;
                if (refusal == null && owner.Count > 0 && !held[Request(port)] && !told)
                {
                    refusal = Reasons.NotHeld(string.Join(", ", owner), Found(snapshot, port, owner, numbers[port.Wish.Port]));
                }
                yield return port.Judged(port.Holders, refusal, port.Kept);
            }
        }

        private static string Request(PortPlan port)
        {
            return port.Wish.Request + " " + port.Wish.Port;
        }

        /// <summary>Who shall hold the port; user alone means anybody of these accounts.</summary>
        private static IReadOnlyList<string> Owner(Wish wish)
        {
            return wish.Owner == null && wish.User != null ? Listed.Of(new[] { Matching.Anybody }) : wish.Owner;
        }

        private static bool IsFree(PortPlan port)
        {
            return port.Status == PortStatus.Free || port.Status == PortStatus.Lingering;
        }

        /// <summary>Who has the port against others; a client's socket on an ephemeral UDP port that nobody named does not.</summary>
        private static IEnumerable<Holder> InTheWay(PortPlan port)
        {
            return IsFree(port) ? new Holder[0] : port.Holders.Where(
                holder => holder.Kind != HolderKind.Leftover && !(holder.Kind == HolderKind.Connection && port.Wish.Protocol == Protocol.Udp));
        }

        /// <summary>Whether somebody can come in here. A connection, and a socket that is only bound, serve nobody.</summary>
        private static bool Serves(Holder holder)
        {
            return holder.Sockets.Any(
                row => row.State == SocketState.Listen || (row.Protocol == Protocol.Udp && row.RemotePort == 0));
        }

        /// <summary>Whether this is somebody who serves the port, so that the wish can be met.</summary>
        private static bool Counts(Snapshot snapshot, PortPlan port, Holder holder)
        {
            if (!Serves(holder))
            {
                return false;
            }
            if (holder.Kind != HolderKind.Connection)
            {
                return !IsFree(port);
            }
            // An ephemeral UDP port that nobody named is a client's, unless it is the very owner who has it.
            IReadOnlyList<string> named = Listed.Of((Owner(port.Wish) ?? new string[0]).Where(name => name != Matching.Anybody));
            Process main = HolderFinder.MainProcess(snapshot, holder);
            return Matching.Matches(main, named, holder.Services) && Matching.RunsAs(main, port.Wish.User);
        }

        /// <summary>Who has the port and should not.</summary>
        private static Refusal Unmet(Snapshot snapshot, PortPlan port, IReadOnlyList<string> owner)
        {
            string wanted = owner.Count > 0 ? string.Join(", ", owner) : "nobody";
            foreach (Holder holder in InTheWay(port))
            {
                Process main = HolderFinder.MainProcess(snapshot, holder);
                string who = HolderFinder.Describe(snapshot, holder);
                bool anybody = owner.Count == 1 && owner[0] == Matching.Anybody;
                if (holder.Kind == HolderKind.Unknown && (!anybody || holder.Sockets.Count == 0))
                {
                    return HolderFinder.Hidden(snapshot, holder).AsPassing();
                }
                if (!Matching.Matches(main, owner, holder.Services))
                {
                    return Reasons.OwnerMismatch(who, "owner", wanted);
                }
                if (!Matching.RunsAs(main, port.Wish.User))
                {
                    string account = main == null ? "somebody unknown" : main.User ?? "an unknown account";
                    return Reasons.UserMismatch(who, account, string.Join(", ", port.Wish.User)).AsPassing();
                }
            }
            return null;
        }

        /// <summary>What there is instead of the wanted server, as clauses: its connections, and the other protocol of the port.</summary>
        /// <param name="same">Everything that was asked about this number.</param>
        private static IEnumerable<string> Found(
            Snapshot snapshot, PortPlan port, IReadOnlyList<string> owner, IEnumerable<PortPlan> same)
        {
            List<string> clauses = new List<string>();
            foreach (Holder holder in port.Holders.Where(one => one.Kind != HolderKind.Leftover && one.Sockets.Count > 0 && !Serves(one)))
            {
                bool connected = holder.Sockets.Any(row => row.RemotePort != 0);
                clauses.Add(
                    HolderFinder.Describe(snapshot, holder) + (connected ? " has only a connection on it" : " has only bound it"));
            }
            foreach (PortPlan other in same.Where(one => one.Wish.Protocol != port.Wish.Protocol))
            {
                clauses.AddRange(other.Holders
                    .Where(one => one.Kind != HolderKind.Leftover
                        && Matching.Matches(HolderFinder.MainProcess(snapshot, one), owner, one.Services))
                    .Select(one => other.Wish.Label + " is held by " + HolderFinder.Describe(snapshot, one)));
            }
            return clauses.Distinct();
        }
    }
}
