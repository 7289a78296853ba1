// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// From stoppable holders to steps. Private to harbormaster.ports. Pure.
//
// One holder on several asked ports is stopped once. What a step does besides, it says.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideHolders;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideMatching;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideReasons;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideSockets;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideTables;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideSteps
{
    public static class StepPlanner
    {
        private const double ProcessGrace = 30;
        // The service manager has no bound of its own for a stop; that of systemd has done well.
        private const double ServiceGrace = 90;
        private const double CloseGrace = 5;

        /// <summary>The steps for every holder that was found stoppable, in the order of the ports, each holder once.</summary>
        public static IReadOnlyList<Step> Plan(Snapshot snapshot, Policy policy, IEnumerable<PortPlan> ports)
        {
            List<string> order = new List<string>();
            Dictionary<string, Step> found = new Dictionary<string, Step>();
            Dictionary<string, Holder> holders = new Dictionary<string, Holder>();
            foreach (PortPlan port in ports)
            {
                foreach (Holder holder in port.Holders.Where(one => one.Stoppable))
                {
                    Step step = One(snapshot, policy, port, holder);
                    if (found.ContainsKey(holder.Key))
                    {
                        found[holder.Key] = found[holder.Key].MergedWith(step);
                        continue;
                    }
                    order.Add(holder.Key);
                    found[holder.Key] = step;
                    holders[holder.Key] = holder;
                }
            }
            HashSet<Socket> wished = new HashSet<Socket>(found.Values.SelectMany(step => step.Sockets));
            HashSet<int> asked = new HashSet<int>(ports.Where(port => port.Wish.Protocol == Protocol.Tcp).Select(port => port.Wish.Port));
            ILookup<int, Socket> rows = Unasked(snapshot, wished);
            return Listed.Of(order.Select(key => found[key].WithAlsoFrees(AlsoFrees(snapshot, found[key], holders[key], rows, asked))));
        }

        /// <summary>The ports, with a refusal on each one whose step would free or stop more than was asked for.</summary>
        public static IEnumerable<PortPlan> RefuseCollateral(IEnumerable<PortPlan> ports, IEnumerable<Step> planned)
        {
            foreach (PortPlan port in ports)
            {
                Step step = planned.LastOrDefault(one => one.AlsoFrees.Count + one.AlsoStops.Count > 0 && one.Ports.Contains(port.Wish.Label));
                if (step == null || port.Refusal != null)
                {
                    yield return port;
                    continue;
                }
                Refusal refusal = Reasons.Collateral(step.Target, string.Join(", ", step.AlsoFrees), string.Join(", ", step.AlsoStops));
                IEnumerable<Holder> marked = port.Holders.Select(
                    holder => step.Holders.Contains(holder.Key) ? holder.With(Fate.Refused, refusal, false) : holder);
                yield return port.Judged(marked, refusal, false);
            }
        }

        private static Step One(Snapshot snapshot, Policy policy, PortPlan port, Holder holder)
        {
            string who = HolderFinder.Describe(snapshot, holder);
            string[] labels = { port.Wish.Label };
            string[] keys = { holder.Key };
            if (holder.Kind == HolderKind.Connection || holder.Kind == HolderKind.Leftover)
            {
                return new Step(
                    Actuator.TcpEntry, "close_socket", holder.Kind == HolderKind.Leftover ? who : "connection of " + who, labels,
                    sockets: holder.Sockets, grace: CloseGrace, holders: keys);
            }
            if (holder.Kind == HolderKind.Service && policy.Method != "signal")
            {
                return OfService(snapshot, policy, holder, who, labels, keys);
            }
            Target[] targets = holder.Pids.Select(pid => TargetOf(snapshot, pid)).ToArray();
            bool window = snapshot.Processes[holder.Pids[0]].HasWindow;
            return new Step(
                Actuator.Process, "signal", who, labels, alsoStops: OtherServices(snapshot, holder), roots: targets.Take(1),
                members: targets.Skip(1), sockets: holder.Sockets, signal: window ? Ask.Close : Ask.Terminate,
                kill: holder.Pids.All(pid => MayKill(snapshot.Processes[pid], policy.Force)), grace: policy.GracePeriod ?? ProcessGrace,
                holders: keys, queue: holder.Queue);
        }

        private static Step OfService(
            Snapshot snapshot, Policy policy, Holder holder, string who, IEnumerable<string> labels, IEnumerable<string> keys)
        {
            Service service = Managers.Facts(snapshot, holder.Services[0]);
            bool starts = service.StartType < Service.DemandStart;
            bool? returns = starts ? true : service.Triggers && service.StartType != Service.DisabledStart ? (bool?)null : false;
            List<Target> roots = new List<Target>();
            if (service.Pid != 0)
            {
                roots.Add(snapshot.Processes.ContainsKey(service.Pid) ? TargetOf(snapshot, service.Pid) : new Target(service.Pid, 0, service.Name));
            }
            return new Step(
                Actuator.Service, "stop_service", who, labels, alsoStops: service.Dependants, returnsAtBoot: policy.Persist ? false : returns,
                roots: roots, members: holder.Pids.Where(pid => pid != service.Pid).Select(pid => TargetOf(snapshot, pid)),
                sockets: holder.Sockets, signal: Ask.Stop, kill: false, grace: policy.GracePeriod ?? ServiceGrace,
                serviceStops: service.Dependants.Concat(new[] { service.Name }), persist: policy.Persist,
                undo: policy.Persist ? Undo(service) : null, holders: keys, queue: holder.Queue);
        }

        /// <summary>What sets the start type back; null where it is disabled already.</summary>
        private static string Undo(Service service)
        {
            if (service.StartType == Service.DisabledStart)
            {
                return null;
            }
            string automatic = service.DelayedAuto ? "delayed-auto" : "auto";
            return "sc.exe config \"" + service.Name + "\" start= " + (service.StartType < Service.DemandStart ? automatic : "demand");
        }

        /// <summary>Whether TerminateProcess may follow when the grace period is over; databases are spared unless force says so.</summary>
        private static bool MayKill(Process process, bool? force)
        {
            return force ?? Matching.Program(process, Tables.Databases) == null;
        }

        private static Target TargetOf(Snapshot snapshot, int pid)
        {
            Process process = snapshot.Processes[pid];
            return new Target(pid, process.StartTicks, process.Name);
        }

        /// <summary>Services that end with a process that is ended itself.</summary>
        private static IEnumerable<string> OtherServices(Snapshot snapshot, Holder holder)
        {
            return holder.Pids.SelectMany(pid => snapshot.Processes[pid].Services).Distinct().Except(holder.Services);
        }

        /// <summary>By each process that has them, the rows that hold a port and that no step is for.</summary>
        private static ILookup<int, Socket> Unasked(Snapshot snapshot, ICollection<Socket> wished)
        {
            return snapshot.OtherSockets.Concat(snapshot.Sockets)
                .Where(row => SocketIndex.IsHolding(row) && !wished.Contains(row) && snapshot.Owners.ContainsKey(row.Id))
                .SelectMany(row => snapshot.Owners[row.Id].Select(pid => new KeyValuePair<int, Socket>(pid, row)))
                .ToLookup(one => one.Key, one => one.Value);
        }

        /// <summary>Ports that only the processes of this step have, and that nobody asked for.</summary>
        private static IEnumerable<string> AlsoFrees(
            Snapshot snapshot, Step step, Holder holder, ILookup<int, Socket> unasked, ICollection<int> asked)
        {
            if (step.Actuator == Actuator.TcpEntry)
            {
                return new string[0];
            }
            HashSet<int> ending = new HashSet<int>(step.Members.Concat(step.Roots).Select(target => target.Pid));
            HashSet<int> pids = new HashSet<int>(ending);
            if (step.Actuator == Actuator.Service)
            {
                // A shared host lives on, with the rows of its other services.
                ending.RemoveWhere(pid => snapshot.Processes.ContainsKey(pid) && snapshot.Processes[pid].Services.Count > 1);
                ending.UnionWith(Managers.ProcessesOf(snapshot, step.ServiceStops));
                pids.UnionWith(ending);
                pids.UnionWith(step.ServiceStops.Select(name => Managers.Facts(snapshot, name)).Where(one => one != null).Select(one => one.Pid));
            }
            var rows = pids.SelectMany(pid => unasked[pid]).Distinct().Where(row => GoesToo(snapshot, row, ending, step.ServiceStops))
                .Select(row => new { row.Port, row.Protocol });
            var http = Managers.OtherHttpPorts(snapshot, holder, asked).Select(port => new { Port = port, Protocol = Protocol.Tcp });
            return rows.Concat(http).Distinct().OrderBy(one => one.Port).ThenBy(one => one.Protocol, StringComparer.Ordinal)
                .Select(one => one.Port + "/" + one.Protocol);
        }

        /// <summary>Whether every process that has a row ends, or the service inside of it that the row is known to be of.</summary>
        private static bool GoesToo(Snapshot snapshot, Socket row, ICollection<int> ending, IEnumerable<string> services)
        {
            bool ofService = row.Service != null && services.Contains(row.Service, StringComparer.OrdinalIgnoreCase);
            return ofService || snapshot.Owners[row.Id].All(ending.Contains);
        }
    }
}
