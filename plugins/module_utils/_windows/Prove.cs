// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The proof: look again, watch that nothing takes a freed port back, bind it once. Private to harbormaster.ports.
//
// Only what this stage has seen counts as success.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Prove
{
    /// <summary>The prove stage.</summary>
    public static class Prover
    {
        // After a process was ended its supervisor needs time to notice; one took a port back after 1.06 s.
        private const double SettleAfterProcess = 3.0;
        private const double SettleAfterManager = 1.0;
        private const double LookEvery = 0.05;
        private const int LooksBetweenDecisions = 5;

        /// <summary>How long the freed ports are watched, in seconds: not at all when nothing was stopped.</summary>
        /// <param name="wanted">The option settle; null when it was not given.</param>
        public static double SettleSeconds(double? wanted, IEnumerable<Outcome> outcomes)
        {
            List<Outcome> stopped = outcomes.Where(one => one.Acted && one.Step.Actuator != Actuator.TcpEntry).ToList();
            if (stopped.Count == 0)
            {
                return 0;
            }
            if (wanted.HasValue)
            {
                return wanted.Value;
            }
            return stopped.Any(one => one.Step.Actuator == Actuator.Process) ? SettleAfterProcess : SettleAfterManager;
        }

        /// <summary>Say what the ports are like now, and whether that is what was wished.</summary>
        /// <param name="eyes">The observe stage; its snapshots carry the answers of the bind probe.</param>
        /// <param name="judge">The decide stage with the wishes of the task.</param>
        /// <param name="outcomes">What was done; a port held again by somebody else afterwards was taken back.</param>
        /// <param name="settle">Seconds in which nothing may take a port.</param>
        /// <param name="until">Time of the clock up to which what passes by itself (leftovers, connections) may still go away.</param>
        /// <param name="guess">Name of the supervisor that a process looks like, null for no such.</param>
        public static Proof Prove(
            IEyes eyes, Func<Snapshot, Plan> judge, IReadOnlyList<Outcome> outcomes, double settle, double until, Func<Process, string> guess)
        {
            double began = Clock.Now;
            double settled = began + settle;
            HashSet<string> judged = new HashSet<string>();
            while (true)
            {
                HashSet<string> takers = Takers(eyes.Rows());
                double now = Clock.Now;
                if (takers.IsSubsetOf(judged) && now < settled)
                {
                    Clock.Sleep(LookEvery, settled);
                    continue;
                }
                Snapshot snapshot = eyes.Look();
                Plan plan = judge(snapshot);
                List<PortPlan> unmet = plan.Ports.Where(port => !IsMet(port)).ToList();
                if (unmet.Count == 0 && now >= settled)
                {
                    return new Proof(snapshot, plan);
                }
                if (unmet.Count > 0 && !(now < until && unmet.All(Passes)))
                {
                    return new Proof(snapshot, plan, Why.Unmet(snapshot, unmet[0], outcomes, now - began, guess));
                }
                judged = takers;
                if (unmet.Count > 0)
                {
                    Clock.Sleep(LooksBetweenDecisions * LookEvery, until);
                }
                else
                {
                    Clock.Sleep(LookEvery, settled);
                }
            }
        }

        /// <summary>What tells one holding socket from another.</summary>
        private static HashSet<string> Takers(IEnumerable<Socket> rows)
        {
            return new HashSet<string>(rows
                .Where(row => row.Protocol == Protocol.Udp || row.State == SocketState.Listen || row.State == SocketState.Bound)
                .Select(row => string.Join(" ", row.Protocol, row.Port, row.Address, row.Id, row.State)));
        }

        /// <summary>Free, lingering, or held only by those who may stay. The plan's own predictions don't count here.</summary>
        private static bool IsMet(PortPlan port)
        {
            return port.Met && !port.Holders.Any(holder => holder.Stoppable || holder.Outcome == Fate.Refused);
        }

        /// <summary>Whether what is in the way ends by itself.</summary>
        private static bool Passes(PortPlan port)
        {
            if (port.Refusal != null)
            {
                return port.Refusal.Passing;
            }
            return port.Holders.Count > 0 && port.Holders.All(holder => holder.Kind == HolderKind.Leftover);
        }
    }

    /// <summary>The reasons why a port is not as it was wished after all was done.</summary>
    internal static class Why
    {
        /// <summary>Name who holds an unmet port: one that did not go, or a new one, with its parent and the likely supervisor.</summary>
        public static Refusal Unmet(
            Snapshot snapshot, PortPlan port, IReadOnlyList<Outcome> outcomes, double seconds, Func<Process, string> guess)
        {
            Holder culprit = port.Holders.FirstOrDefault(holder => holder.Outcome != Fate.Kept);
            ISet<long> closed = IdsOf(outcomes.Where(one => one.Step.Roots.Count == 0));
            if (culprit != null && culprit.Ids.Overlaps(closed))
            {
                return new Refusal(
                    Codes.StillHeld,
                    "the connection on " + port.Wish.Label + " was closed, but its program had bound the socket explicitly, so it keeps the port",
                    "free it without close_blocking, which stops " + Or(culprit.Name, "it") + ", or wait for its end with timeout");
            }
            Process process = null;
            if (culprit != null && culprit.Pids.Count > 0)
            {
                snapshot.Processes.TryGetValue(culprit.Pids[0], out process);
            }
            if (process == null || culprit.Kind == HolderKind.Connection)
            {
                return port.Refusal ?? new Refusal(
                    Codes.StillHeld, port.Wish.Label + " still can't be bound", "look again with state: present");
            }
            bool old = outcomes
                .SelectMany(one => one.Step.Roots.Concat(one.Step.Members))
                .Any(target => target.Pid == process.Pid && target.StartTicks == process.StartTicks);
            if (old || !outcomes.Any(one => one.Acted))
            {
                return port.Refusal ?? new Refusal(
                    Codes.StillHeld,
                    Named(process) + " still holds " + port.Wish.Label,
                    "give it more time with grace_period, or allow TerminateProcess with force: true");
            }
            if (culprit.Ids.Overlaps(IdsOf(outcomes)))
            {
                // The very same socket: it was never free.
                return port.Refusal ?? new Refusal(
                    Codes.StillHeld, Named(process) + " shares the socket on " + port.Wish.Label + " and still holds it", "run the task again");
            }
            return Respawned(snapshot, port, process, seconds, guess);
        }

        private static Refusal Respawned(Snapshot snapshot, PortPlan port, Process process, double seconds, Func<Process, string> guess)
        {
            // A parent that has ended left its pid, which may mean another process by now: only true ancestors count.
            List<Process> above = new List<Process>();
            foreach (int pid in process.Ancestors.Take(2))
            {
                Process one;
                if (snapshot.Processes.TryGetValue(pid, out one))
                {
                    above.Add(one);
                }
            }
            string supervisor = null;
            foreach (Process one in above)
            {
                string what = guess(one);
                if (what != null)
                {
                    supervisor = Named(one) + " (" + what + ")";
                    break;
                }
            }
            if (supervisor == null && process.Services.Count > 0)
            {
                supervisor = "the service manager, for the service " + process.Services[0];
            }
            string text = string.Format(
                CultureInfo.InvariantCulture, "{0} was freed, and taken again within {1:0.0} s by {2}", port.Wish.Label, seconds, Named(process));
            if (above.Count > 0)
            {
                text += ", whose parent is " + Named(above[0]);
            }
            text += "; likely supervisor: " + (supervisor ?? "unknown");
            return new Refusal(Codes.Respawned, text, "stop what starts it, then run the task again; nothing was killed twice");
        }

        private static ISet<long> IdsOf(IEnumerable<Outcome> outcomes)
        {
            return new HashSet<long>(outcomes.SelectMany(one => one.Step.Ids));
        }

        private static string Named(Process process)
        {
            return process.Name + " (pid " + process.Pid + ")";
        }

        private static string Or(string text, string instead)
        {
            return string.IsNullOrEmpty(text) ? instead : text;
        }
    }
}
