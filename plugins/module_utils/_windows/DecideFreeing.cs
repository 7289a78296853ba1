// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Which holders go, which may stay, and which must not be touched. Private to harbormaster.ports. Pure.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideCase;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideReasons;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideRules;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideSockets;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideSteps;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideFreeing
{
    public static class Freeing
    {
        /// <summary>The steps that free the ports, or the refusals when only one holder of one port must not be stopped.</summary>
        /// <param name="seen">The ports as they are.</param>
        public static Plan Of(Snapshot snapshot, Policy policy, SocketIndex index, IReadOnlyList<PortPlan> seen)
        {
            HashSet<int> asked = new HashSet<int>(seen.Where(port => port.Wish.Protocol == Protocol.Tcp).Select(port => port.Wish.Port));
            List<PortPlan> judged = KeptElsewhere(snapshot, policy, seen.Select(port => Judged(snapshot, policy, port, asked)).ToList());
            IReadOnlyList<Step> planned = StepPlanner.Plan(snapshot, policy, judged);
            if (policy.Collateral == "refuse")
            {
                judged = StepPlanner.RefuseCollateral(judged, planned).ToList();
            }
            IEnumerable<string> warnings = SocketIndex.EphemeralWarning(judged);
            if (judged.Any(port => port.Refusal != null))
            {
                return new Plan(judged, null, warnings);
            }
            if (policy.Collateral != "accept")
            {
                warnings = warnings.Concat(Besides(planned));
            }
            IEnumerable<PortPlan> predicted = judged.Select(port => Predicted(snapshot, policy, port, index.Rows(port.Wish)));
            return new Plan(predicted, planned, warnings);
        }

        /// <summary>What the steps free and stop that nobody asked for.</summary>
        private static IEnumerable<string> Besides(IReadOnlyList<Step> planned)
        {
            IEnumerable<string> frees = planned.Where(step => step.AlsoFrees.Count > 0)
                .Select(step => "stopping " + step.Target + " also frees " + string.Join(", ", step.AlsoFrees));
            IEnumerable<string> stops = planned.Where(step => step.AlsoStops.Count > 0)
                .Select(step => "stopping " + step.Target + " also stops " + string.Join(", ", step.AlsoStops));
            return frees.Concat(stops);
        }

        /// <summary>Each holder asked against the rules. A port that a bind says yes to needs nothing.</summary>
        private static PortPlan Judged(Snapshot snapshot, Policy policy, PortPlan port, ICollection<int> asked)
        {
            if (port.Status == PortStatus.Free || port.Status == PortStatus.Lingering)
            {
                return port;
            }
            List<Holder> answered = new List<Holder>();
            foreach (Holder holder in port.Holders)
            {
                Case one = new Case(snapshot, policy, port.Wish, holder, asked);
                if (Rules.MayStay(one))
                {
                    answered.Add(holder.With(Fate.Kept));
                }
                else if (holder.Kind == HolderKind.Leftover && port.Bindable != false)
                {
                    answered.Add(holder);
                }
                else
                {
                    Refusal refusal = Rules.Answer(one);
                    answered.Add(refusal == null ? holder.With(stoppable: true) : holder.With(Fate.Refused, refusal));
                }
            }
            Refusal worst = answered.Select(holder => holder.Refusal).Where(one => one != null).OrderBy(one => one.Passing).FirstOrDefault();
            return port.Judged(answered, worst, worst == null && answered.Any(holder => holder.Outcome == Fate.Kept));
        }

        /// <summary>A refusal where a holder would be stopped that may stay on another port: it can't do both.</summary>
        private static List<PortPlan> KeptElsewhere(Snapshot snapshot, Policy policy, List<PortPlan> ports)
        {
            Dictionary<string, PortPlan> keeping = new Dictionary<string, PortPlan>(StringComparer.OrdinalIgnoreCase);
            foreach (PortPlan port in ports)
            {
                foreach (Holder holder in port.Holders.Where(one => one.Outcome == Fate.Kept && one.Kind != HolderKind.Connection))
                {
                    foreach (string known in Managers.Identity(holder))
                    {
                        keeping[known] = port;
                    }
                }
            }
            return keeping.Count == 0 ? ports : ports.Select(port => WithoutKept(snapshot, policy, port, keeping)).ToList();
        }

        private static PortPlan WithoutKept(Snapshot snapshot, Policy policy, PortPlan port, IDictionary<string, PortPlan> keeping)
        {
            List<Holder> marked = new List<Holder>();
            Refusal first = null;
            foreach (Holder holder in port.Holders)
            {
                string kept = null;
                if (holder.Stoppable && holder.Kind != HolderKind.Connection)
                {
                    ISet<string> reach = Managers.Reach(snapshot, holder, policy.Method == "signal");
                    kept = keeping.Keys.Where(reach.Contains).OrderBy(known => known, StringComparer.Ordinal).FirstOrDefault();
                }
                if (kept == null)
                {
                    marked.Add(holder);
                    continue;
                }
                Refusal refusal = Reasons.KeptElsewhere(holder.Name, keeping[kept].Wish.Label);
                first = first ?? refusal;
                marked.Add(holder.With(Fate.Refused, refusal, false));
            }
            if (first == null)
            {
                return port;
            }
            return port.Judged(marked, port.Refusal == null || port.Refusal.Passing ? first : port.Refusal, false);
        }

        /// <summary>The port as it will be when the steps are done.</summary>
        private static PortPlan Predicted(Snapshot snapshot, Policy policy, PortPlan port, WishRows rows)
        {
            List<Holder> stopped = port.Holders.Where(holder => holder.Stoppable).ToList();
            if (stopped.Count == 0)
            {
                return port;
            }
            PortPlan after = port.Judged(
                port.Holders.Select(holder => holder.Stoppable ? holder.With(Fate.Stopped) : holder), port.Refusal, port.Kept);
            if (port.Kept)
            {
                return after;
            }
            bool serving = stopped.Any(holder => holder.Kind != HolderKind.Connection && holder.Kind != HolderKind.Leftover);
            return after.WithStatus(serving && WillLinger(snapshot, policy, stopped, rows) ? PortStatus.Lingering : PortStatus.Free)
                .WithBindable(true);
        }

        /// <summary>Windows resets the connections of a process that is ended at once; of others they close in the ordinary way.</summary>
        private static bool WillLinger(Snapshot snapshot, Policy policy, IEnumerable<Holder> stopped, WishRows rows)
        {
            bool ended = stopped.All(holder => holder.Kind == HolderKind.Process && !snapshot.Processes[holder.Pids[0]].HasWindow);
            return ended ? rows.Leftovers.Count > 0 : rows.WillLinger;
        }
    }
}
