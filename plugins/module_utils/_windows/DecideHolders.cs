// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Who holds the rows of a wish: from sockets and owners to Holders. Private to harbormaster.ports. Pure.
//
// Processes that share a socket because one started the others are one holder, named after the root-most of them. The tables of
// Windows name one process a socket, which may have ended (a ghost); behind those of PID 4 are drivers, and the programs that
// HTTP.sys serves.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideMatching;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideReasons;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideSockets;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideTables;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideHolders
{
    public static class HolderFinder
    {
        /// <summary>The process of Windows' kernel, in whose name drivers and HTTP.sys listen.</summary>
        public const int SystemPid = 4;

        /// <summary>Everybody and everything that keeps the wish's port, without a word yet on what may be done about it.</summary>
        public static IEnumerable<Holder> Find(Snapshot snapshot, Wish wish, WishRows rows, bool? bindable)
        {
            List<Holder> holders = Owned(snapshot, rows.Holding.Where(row => !IsSystem(snapshot, row)), false);
            holders.AddRange(OfSystem(snapshot, rows.Holding.Where(row => IsSystem(snapshot, row))));
            holders.AddRange(Unowned(snapshot, wish, rows.Holding.Where(row => !IsVisible(snapshot, row))));
            holders.AddRange(Owned(snapshot, rows.Outgoing, true));
            List<Socket> nameless = rows.Outgoing.Where(row => !IsVisible(snapshot, row)).ToList();
            if (nameless.Count > 0)
            {
                holders.Add(new Holder(HolderKind.Connection, "", null, nameless));
            }
            if (rows.Leftovers.Count > 0)
            {
                holders.Add(new Holder(HolderKind.Leftover, "", null, rows.Leftovers));
            }
            if (holders.Count == 0 && bindable == false)
            {
                ExcludedRange range = Excluded(snapshot, wish);
                holders.Add(
                    range == null
                        ? new Holder(HolderKind.Unknown, "")
                        : new Holder(HolderKind.Kernel, "excluded port range " + range.First + "-" + range.Last));
            }
            return holders;
        }

        /// <summary>The excluded range that keeps a wish's port from being bound; null when there is none.</summary>
        public static ExcludedRange Excluded(Snapshot snapshot, Wish wish)
        {
            string family = wish.Address == null ? null : wish.Address.Contains(":") ? Family.IPv6 : Family.IPv4;
            return snapshot.Excluded
                .Where(range => range.Protocol == wish.Protocol && range.First <= wish.Port && wish.Port <= range.Last)
                .Where(range => family == null || range.Family == family)
                .OrderBy(range => range.Family, StringComparer.Ordinal).ThenBy(range => range.First).ThenBy(range => range.Last)
                .FirstOrDefault();
        }

        /// <summary>The supervisor that is the parent of a process, and the command that it takes; null when there is none.</summary>
        public static KeyValuePair<Process, string>? Supervisor(Snapshot snapshot, Process process)
        {
            Process parent;
            if (!snapshot.Processes.TryGetValue(process.ParentPid, out parent))
            {
                return null;
            }
            string[] entry = Tables.Supervisors.FirstOrDefault(one => Matching.Program(parent, new[] { one[0] }) != null);
            return entry == null ? (KeyValuePair<Process, string>?)null : new KeyValuePair<Process, string>(parent, entry[1]);
        }

        /// <summary>What makes a process look like one that starts others again; null when nothing does.</summary>
        public static string SupervisorName(Process process)
        {
            if (Matching.Program(process, Tables.Supervisors.Select(one => one[0])) != null)
            {
                return "a supervisor";
            }
            return Matching.Program(process, Tables.Respawners) != null ? "a shell or a watcher" : null;
        }

        /// <summary>A holder for people: nginx.exe (pid 812, user CORP\bob, service nginx).</summary>
        public static string Describe(Snapshot snapshot, Holder holder)
        {
            if (holder.Kind == HolderKind.Leftover)
            {
                return "leftovers of old connections";
            }
            if (holder.Kind == HolderKind.Kernel)
            {
                return "the kernel (" + holder.Name + ")";
            }
            Process process = MainProcess(snapshot, holder);
            List<string> facts = new List<string>();
            if (process != null)
            {
                facts.Add("pid " + process.Pid);
                if (process.User != null)
                {
                    facts.Add("user " + process.User);
                }
            }
            if (holder.Services.Count > 0)
            {
                facts.Add((holder.Services.Count > 1 ? "services " : "service ") + string.Join(", ", holder.Services));
            }
            if (holder.Queue != null)
            {
                facts.Add("behind HTTP.sys");
            }
            if (process == null && holder.Services.Count == 0)
            {
                Socket ghost = holder.Sockets.FirstOrDefault(row => snapshot.Ghosts.ContainsKey(row.Pid));
                return ghost == null ? "a process that can't be seen" : "a process that inherited the socket of pid " + ghost.Pid;
            }
            string name = process == null ? holder.Name : process.Name.Length > 0 ? process.Name : "a process without a name";
            return name + " (" + string.Join(", ", facts) + ")";
        }

        /// <summary>Why nothing can be said about a holder that is not seen, and what would help.</summary>
        public static Refusal Hidden(Snapshot snapshot, Holder holder)
        {
            Socket ghost = holder.Sockets.FirstOrDefault(row => snapshot.Ghosts.ContainsKey(row.Pid));
            if (ghost != null)
            {
                IEnumerable<string> candidates = snapshot.Ghosts[ghost.Pid]
                    .OrderBy(pid => pid).Where(snapshot.Processes.ContainsKey)
                    .Select(pid => snapshot.Processes[pid].Name + " (pid " + pid + ")");
                return Reasons.Ghost(ghost.Pid, string.Join(" or ", candidates));
            }
            string what = holder.Sockets.Count > 0
                ? "its socket"
                : "it can't be bound although no socket is listed, and so it";
            string seen = string.Join("; ", snapshot.Blind.Select(blind => blind.Text));
            string advice = string.Join("; ", snapshot.Blind.Select(blind => blind.Advice).Where(one => one.Length > 0).Distinct());
            return Reasons.HiddenOwner(
                what, seen.Length > 0 ? " (" + seen + ")" : "",
                advice.Length > 0 ? advice : "run the task again, its process may just have ended; netstat -abno shows the row");
        }

        /// <summary>The root-most process of a holder; null when it has none that is known.</summary>
        public static Process MainProcess(Snapshot snapshot, Holder holder)
        {
            Process process;
            return holder.Pids.Count > 0 && snapshot.Processes.TryGetValue(holder.Pids[0], out process) ? process : null;
        }

        private static IReadOnlyList<int> OwnersOf(Snapshot snapshot, Socket row)
        {
            IReadOnlyList<int> pids;
            return row.Id != 0 && snapshot.Owners.TryGetValue(row.Id, out pids) ? pids : Listed.Of<int>(null);
        }

        private static bool IsVisible(Snapshot snapshot, Socket row)
        {
            return OwnersOf(snapshot, row).Any(snapshot.Processes.ContainsKey);
        }

        private static bool IsSystem(Snapshot snapshot, Socket row)
        {
            return OwnersOf(snapshot, row).Contains(SystemPid);
        }

        /// <summary>One holder for each root-most sharer of these rows, and for each service inside a shared host.</summary>
        private static List<Holder> Owned(Snapshot snapshot, IEnumerable<Socket> rows, bool connection)
        {
            Dictionary<int, List<Socket>> shares = new Dictionary<int, List<Socket>>();
            // Any account can have ten thousands of rows, and of processes.
            Dictionary<Socket, int> places = new Dictionary<Socket, int>();
            foreach (Socket row in rows)
            {
                places[row] = places.Count;
                foreach (int pid in OwnersOf(snapshot, row).Where(snapshot.Processes.ContainsKey))
                {
                    if (!shares.ContainsKey(pid))
                    {
                        shares[pid] = new List<Socket>();
                    }
                    shares[pid].Add(row);
                }
            }
            List<Holder> holders = new List<Holder>();
            foreach (IGrouping<int, int> family in shares.Keys.OrderBy(pid => pid).GroupBy(pid => Root(snapshot, pid, shares)).OrderBy(one => one.Key))
            {
                IEnumerable<int> pids = new[] { family.Key }.Concat(family.Where(pid => pid != family.Key));
                List<Socket> own = family.SelectMany(pid => shares[pid]).Distinct().OrderBy(row => places[row]).ToList();
                holders.AddRange(OfFamily(snapshot, Listed.Of(pids), own, connection));
            }
            return holders;
        }

        private static IEnumerable<Holder> OfFamily(Snapshot snapshot, IReadOnlyList<int> pids, List<Socket> rows, bool connection)
        {
            Process process = snapshot.Processes[pids[0]];
            var told = rows.Select(row => new { row, services = Managers.ServicesOf(snapshot, process, row) }).ToList();
            if (connection)
            {
                yield return new Holder(HolderKind.Connection, process.Name, pids, rows, told.SelectMany(one => one.services).Distinct());
                yield break;
            }
            foreach (var group in told.GroupBy(one => string.Join("\n", one.services)).OrderBy(one => one.Key, StringComparer.Ordinal))
            {
                yield return Named(process, pids, group.Select(one => one.row), group.First().services, null);
            }
        }

        /// <summary>A holder by the name of its service, or of its process where it is none.</summary>
        private static Holder Named(
            Process process, IEnumerable<int> pids, IEnumerable<Socket> rows, IReadOnlyList<string> services, HttpQueue queue)
        {
            if (Matching.Program(process, Tables.Relays) != null)
            {
                return new Holder(HolderKind.Container, process.Name, pids, rows, services, queue);
            }
            return services.Count == 0
                ? new Holder(HolderKind.Process, process.Name, pids, rows, null, queue)
                : new Holder(HolderKind.Service, services.Count == 1 ? services[0] : process.Name, pids, rows, services, queue);
        }

        /// <summary>The farthest ancestor that shares too.</summary>
        private static int Root(Snapshot snapshot, int pid, IDictionary<int, List<Socket>> sharers)
        {
            return snapshot.Processes[pid].Ancestors.LastOrDefault(sharers.ContainsKey, pid);
        }

        /// <summary>Who is behind the rows of PID 4: the programs of a request queue, else a driver.</summary>
        private static IEnumerable<Holder> OfSystem(Snapshot snapshot, IEnumerable<Socket> rows)
        {
            Dictionary<string, List<Socket>> drivers = new Dictionary<string, List<Socket>>();
            Dictionary<HttpQueue, List<Socket>> queues = new Dictionary<HttpQueue, List<Socket>>();
            foreach (Socket row in rows)
            {
                List<HttpQueue> served = Managers.Queues(snapshot, row).ToList();
                foreach (HttpQueue queue in served)
                {
                    Add(queues, queue, row);
                }
                if (served.Count == 0)
                {
                    string name;
                    bool known = snapshot.Kernel.TryGetValue(Snapshot.KernelKey(row.Protocol, row.Port), out name);
                    Add(drivers, known ? name : "a driver of Windows", row);
                }
            }
            IEnumerable<Holder> found = queues.SelectMany(one => OfQueue(snapshot, one.Key, one.Value));
            return Merged(found)
                .Concat(drivers.OrderBy(one => one.Key, StringComparer.Ordinal).Select(one => new Holder(HolderKind.Kernel, one.Key, null, one.Value)));
        }

        /// <summary>One holder for each process of a queue; for IIS the service that controls all of its application pools.</summary>
        private static IEnumerable<Holder> OfQueue(Snapshot snapshot, HttpQueue queue, List<Socket> rows)
        {
            List<int> pids = queue.Pids.Where(snapshot.Processes.ContainsKey).OrderBy(pid => pid).ToList();
            if (queue.Iis)
            {
                yield return new Holder(HolderKind.Service, Tables.IisService, pids, rows, new[] { Tables.IisService }, queue);
            }
            else if (pids.Count == 0)
            {
                yield return new Holder(HolderKind.Unknown, "", null, rows);
            }
            else
            {
                Dictionary<int, List<Socket>> sharers = pids.ToDictionary(pid => pid, pid => rows);
                foreach (IGrouping<int, int> family in pids.GroupBy(pid => Root(snapshot, pid, sharers)))
                {
                    Process process = snapshot.Processes[family.Key];
                    IEnumerable<int> own = new[] { family.Key }.Concat(family.Where(pid => pid != family.Key));
                    yield return Named(process, own, rows, Managers.ServicesOf(snapshot, process, rows[0]), queue);
                }
            }
        }

        /// <summary>Several queues of the same processes, or of IIS, are one holder.</summary>
        private static IEnumerable<Holder> Merged(IEnumerable<Holder> found)
        {
            return found.GroupBy(holder => holder.Key).OrderBy(group => group.Key, StringComparer.Ordinal).Select(
                group => new Holder(
                    group.First().Kind, group.First().Name, group.SelectMany(one => one.Pids).Distinct(),
                    group.SelectMany(one => one.Sockets).Distinct(), group.First().Services,
                    group.Select(one => one.Queue).Where(one => one != null).OrderBy(one => one.Name, StringComparer.Ordinal).FirstOrDefault()));
        }

        private static IEnumerable<Holder> Unowned(Snapshot snapshot, Wish wish, IEnumerable<Socket> rows)
        {
            List<Socket> ghosts = rows.Where(row => snapshot.Ghosts.ContainsKey(row.Pid)).ToList();
            List<Socket> others = rows.Where(row => !snapshot.Ghosts.ContainsKey(row.Pid)).ToList();
            foreach (IGrouping<int, Socket> ghost in ghosts.GroupBy(row => row.Pid).OrderBy(group => group.Key))
            {
                yield return new Holder(HolderKind.Unknown, "", null, ghost);
            }
            if (others.Count > 0)
            {
                string evidence;
                bool known = snapshot.Kernel.TryGetValue(Snapshot.KernelKey(wish.Protocol, wish.Port), out evidence);
                yield return known ? new Holder(HolderKind.Kernel, evidence, null, others) : new Holder(HolderKind.Unknown, "", null, others);
            }
        }

        private static void Add<TKey>(IDictionary<TKey, List<Socket>> groups, TKey key, Socket row)
        {
            if (!groups.ContainsKey(key))
            {
                groups[key] = new List<Socket>();
            }
            groups[key].Add(row);
        }

        /// <summary>The last one that fits, or else this one.</summary>
        private static int LastOrDefault(this IEnumerable<int> values, Func<int, bool> fits, int otherwise)
        {
            foreach (int value in values.Where(fits))
            {
                otherwise = value;
            }
            return otherwise;
        }
    }
}
