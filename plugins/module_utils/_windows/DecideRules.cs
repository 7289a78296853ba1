// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What may be done about one holder: the rules, in the order in which they are asked. Private to harbormaster.ports. Pure.
//
// A new kind of holder is one rule here. Each rule answers with a Refusal, or with null: the next rule is asked. A holder that
// no rule refuses is stopped.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideCase;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideHolders;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideMatching;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideReasons;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideRulesOfServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideTables;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideRules
{
    public static class Rules
    {
        private static readonly Func<Case, Refusal>[] Guards = { Engine, PartOfWindows, OwnAncestor, OwnConnection, Protected, ServiceRules.Protected };
        private static readonly Func<Case, Refusal>[] Wished = { Mismatch, KeptMember, Account, WrongMethod };

        private static readonly Dictionary<string, Func<Case, Refusal>[]> ByKind = new Dictionary<string, Func<Case, Refusal>[]>
        {
            { HolderKind.Process, All(Guards, Wished, new Func<Case, Refusal>[] { Supervised, Denied, NoPoliteWay }) },
            { HolderKind.Service, All(Guards, Wished, ServiceRules.All, new Func<Case, Refusal>[] { Signalled }) },
            { HolderKind.Container, Guards },
            { HolderKind.Connection, new Func<Case, Refusal>[] { Connection, OwnAncestor, OwnConnection, Mismatch, Account } },
            { HolderKind.Leftover, new Func<Case, Refusal>[] { Leftover } },
            { HolderKind.Kernel, new Func<Case, Refusal>[] { Kernel } },
            { HolderKind.Unknown, new Func<Case, Refusal>[] { Hidden } },
        };

        /// <summary>Whether keep lets this holder stay. stop_only goes first: it names who has to go.</summary>
        public static bool MayStay(Case one)
        {
            Wish wish = one.Wish;
            if (wish.Keep == null || one.Holder.Kind == HolderKind.Leftover)
            {
                return false;
            }
            if (wish.StopOnly != null)
            {
                // One that can't be seen may be just the one that has to go.
                if (one.Main == null && (one.Holder.Kind == HolderKind.Unknown || one.Holder.Kind == HolderKind.Connection))
                {
                    return false;
                }
                if (one.Matches(one.Main, wish.StopOnly.Where(pattern => pattern != Matching.Anybody)))
                {
                    return false;
                }
            }
            return one.Matches(one.Main, wish.Keep);
        }

        /// <summary>The first rule's answer, null when the holder may be stopped.</summary>
        public static Refusal Answer(Case one)
        {
            if (one.Policy.Method == "none")
            {
                return Reasons.StillHeld(one.Who);
            }
            return ByKind[one.Holder.Kind].Select(rule => rule(one)).FirstOrDefault(answer => answer != null);
        }

        private static Func<Case, Refusal>[] All(params Func<Case, Refusal>[][] rules)
        {
            return rules.SelectMany(one => one).ToArray();
        }

        private static Refusal Kernel(Case one)
        {
            ExcludedRange range = one.Holder.Sockets.Count == 0 ? HolderFinder.Excluded(one.Snapshot, one.Wish) : null;
            return range != null ? Reasons.ReservedRange(range) : Reasons.KernelSocket(one.Holder.Name);
        }

        private static Refusal Hidden(Case one)
        {
            return HolderFinder.Hidden(one.Snapshot, one.Holder);
        }

        private static Refusal PartOfWindows(Case one)
        {
            if (one.Holder.Pids.Any(pid => pid == 0 || pid == HolderFinder.SystemPid))
            {
                return Reasons.NeverStopped(one.Who, "it is the kernel of Windows");
            }
            foreach (Process process in one.Members)
            {
                string name = Matching.Program(process, Tables.Untouchable);
                string why = name != null ? name + " is a part of Windows"
                    : process.Critical ? "Windows itself ends with pid " + process.Pid + ", which is marked as critical"
                    : process.Protection != 0 ? "Windows guards pid " + process.Pid + " as a protected process"
                    : null;
                if (why != null)
                {
                    return Reasons.NeverStopped(one.Who, why);
                }
            }
            return null;
        }

        private static Refusal OwnAncestor(Case one)
        {
            return one.Ending.Any(one.Snapshot.SelfPids.Contains) ? Reasons.OwnAncestor(one.Who) : null;
        }

        private static Refusal OwnConnection(Case one)
        {
            foreach (int pid in one.Ending)
            {
                string why;
                if (one.Snapshot.Carriers.TryGetValue(pid, out why))
                {
                    return Reasons.OwnConnection(one.Who, why);
                }
            }
            return null;
        }

        private static Refusal Protected(Case one)
        {
            IEnumerable<Process> members = one.Members.Count > 0 ? one.Members : new Process[] { null };
            foreach (Process process in members)
            {
                string byTask = one.Policy.Protect.FirstOrDefault(pattern => one.Matches(process, new[] { pattern }));
                if (byTask != null)
                {
                    return Reasons.ProtectedProcess(one.Who, byTask, true);
                }
                string byName = Matching.Program(process, one.NotUnprotected(Tables.ProtectedPrograms));
                if (byName != null && !IsLoginSession(one.Snapshot, process))
                {
                    return Reasons.ProtectedProcess(one.Who, byName, false);
                }
            }
            return null;
        }

        /// <summary>A session's process of sshd: the child of one with the same name, not the daemon that listens.</summary>
        private static bool IsLoginSession(Snapshot snapshot, Process process)
        {
            Process parent;
            string daemon = Matching.Program(process, Tables.LoginDaemons);
            return daemon != null && snapshot.Processes.TryGetValue(process.ParentPid, out parent)
                && Matching.Program(parent, new[] { daemon }) != null;
        }

        private static Refusal Mismatch(Case one)
        {
            IReadOnlyList<string> allowed = one.Wish.StopOnly;
            if (allowed == null)
            {
                return null;
            }
            if (!one.Matches(one.Main, allowed))
            {
                return Reasons.OwnerMismatch(one.Who, "stop_only", string.Join(", ", allowed));
            }
            Process stranger = one.Members.FirstOrDefault(member => !one.Matches(member, allowed));
            return stranger == null ? null : Reasons.SharedMismatch(one.Who, Short(stranger), "stop_only does not name");
        }

        /// <summary>One of the processes may stay, but it shares the socket of one that has to go.</summary>
        private static Refusal KeptMember(Case one)
        {
            IReadOnlyList<string> keep = one.Wish.Keep;
            if (keep == null || keep.Contains(Matching.Anybody))
            {
                return null;
            }
            Process kept = one.Members.FirstOrDefault(
                member => one.Matches(member, keep) && !one.Matches(member, one.Wish.StopOnly ?? Listed.Of<string>(null)));
            return kept == null ? null : Reasons.SharedMismatch(one.Who, Short(kept), "keep names");
        }

        private static Refusal Account(Case one)
        {
            IReadOnlyList<string> accounts = one.Wish.User;
            IEnumerable<Process> members = one.Members.Count > 0 ? one.Members : new Process[] { null };
            foreach (Process process in members)
            {
                if (!Matching.RunsAs(process, accounts))
                {
                    string account = process == null || process.User == null ? "an unknown account" : process.User;
                    return Reasons.UserMismatch(one.Who, account, string.Join(", ", accounts));
                }
            }
            return null;
        }

        private static Refusal WrongMethod(Case one)
        {
            string method = one.Policy.Method;
            bool named = method == HolderKind.Service || method == HolderKind.Container;
            return named && one.Holder.Kind != method ? Reasons.WrongMethod(one.Who, method) : null;
        }

        private static Refusal Engine(Case one)
        {
            foreach (Process process in one.Members)
            {
                if (Matching.Program(process, Tables.Relays) != null || Matching.Program(process, one.NotUnprotected(Tables.Engines)) != null)
                {
                    return Reasons.Engine(one.Who, one.Wish.Port);
                }
            }
            return null;
        }

        private static Refusal Supervised(Case one)
        {
            if (one.Policy.Method == "signal" || one.Main == null)
            {
                return null;
            }
            KeyValuePair<Process, string>? found = HolderFinder.Supervisor(one.Snapshot, one.Main);
            return found == null ? null : Reasons.Supervised(one.Who, Short(found.Value.Key), "stop it with " + found.Value.Value);
        }

        /// <summary>A service whose process is ended itself: then the answer is that of any process.</summary>
        private static Refusal Signalled(Case one)
        {
            return one.Policy.Method == "signal" ? Denied(one) ?? NoPoliteWay(one) : null;
        }

        /// <summary>A process that the account of the task may not end.</summary>
        private static Refusal Denied(Case one)
        {
            return one.Members.Any(process => process.Denied) ? Reasons.NotPermitted(one.Who + " can't be ended") : null;
        }

        /// <summary>A process that nothing can ask to end, unless the task wants it ended at once.</summary>
        private static Refusal NoPoliteWay(Case one)
        {
            return one.Main == null || one.Main.HasWindow || one.Policy.Force == true ? null : Reasons.NoPoliteWay(one.Who);
        }

        private static Refusal Connection(Case one)
        {
            if (one.Wish.Protocol == Protocol.Udp)
            {
                // Closing it breaks a server that nobody meant, and would not free the port if it was bound.
                return Reasons.UnnamedUdp(one.Who, one.Wish.Port);
            }
            // One whose program can't be seen may carry this very task: it is never closed.
            if (IsClosable(one) && one.Members.Count > 0)
            {
                return RightToClose(one, "the connection of " + one.Who);
            }
            IEnumerable<string> far = one.Holder.Sockets.Where(row => row.RemotePort != 0)
                .Select(row => row.RemoteAddress + ":" + row.RemotePort).Distinct().OrderBy(text => text, StringComparer.Ordinal);
            string hint = "close_blocking: true closes that one connection";
            if (one.Policy.CloseBlocking)
            {
                hint = one.Members.Count == 0
                    ? "one whose program can't be seen is not closed, it may carry this task"
                    : "Windows closes the connections of others over IPv4 only, not over IPv6";
            }
            string remote = string.Join(", ", far);
            return Reasons.Connection(one.Who, remote.Length > 0 ? remote : "nobody in particular", hint);
        }

        private static Refusal Leftover(Case one)
        {
            if (IsClosable(one))
            {
                return RightToClose(one, "what is left of old connections");
            }
            IEnumerable<string> states = one.Holder.Sockets.Select(row => row.State).Distinct().OrderBy(state => state, StringComparer.Ordinal);
            return Reasons.Leftover(string.Join(", ", states));
        }

        private static Refusal RightToClose(Case one, string what)
        {
            return one.Snapshot.MayClose ? null : Reasons.NotPermitted(what + " can't be closed");
        }

        /// <summary>Whether close_blocking asks for it and SetTcpEntry can do it.</summary>
        private static bool IsClosable(Case one)
        {
            return one.Policy.CloseBlocking && one.Holder.Sockets.All(row => row.Closable);
        }

        private static string Short(Process process)
        {
            return process.Name + " (pid " + process.Pid + ")";
        }
    }
}
