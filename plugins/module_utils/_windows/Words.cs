// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The one line for people, and the words in it: those of _words.py. Private to harbormaster.ports.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideHolders;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Words
{
    public static class Sentences
    {
        // A line for people: more ports than this are counted.
        private const int MostNamed = 8;

        /// <summary>What was found, what was done and how it was proven; on a failure first of all what is wrong.</summary>
        /// <param name="ports">The ports with the state after.</param>
        /// <param name="now">Seconds since 1970.</param>
        public static string Message(Story story, IReadOnlyList<PortPlan> ports, double now)
        {
            if (ports.Count == 0)
            {
                return "nothing was asked for: the plan is empty";
            }
            if (story.Failure != null)
            {
                return Failed(story, ports);
            }
            if (story.Policy.State == "free")
            {
                return Freed(story, ports);
            }
            List<string> found = ports.Where(port => port.Status != PortStatus.Free).Select(port => Found(story.Snapshot, port, now)).ToList();
            return Together(found, ports);
        }

        /// <summary>3 h 12 min: the two largest units.</summary>
        public static string Duration(double seconds)
        {
            long left = (long)Math.Max(seconds, 0);
            List<string> parts = new List<string>();
            int[] sizes = { 86400, 3600, 60, 1 };
            string[] units = { "d", "h", "min", "s" };
            for (int at = 0; at < sizes.Length; at++)
            {
                if (left >= sizes[at] || (at == sizes.Length - 1 && parts.Count == 0))
                {
                    parts.Add(left / sizes[at] + " " + units[at]);
                    left %= sizes[at];
                }
                else if (parts.Count > 0)
                {
                    break;
                }
            }
            return string.Join(" ", parts.Take(2));
        }

        private static string Found(Snapshot snapshot, PortPlan port, double now)
        {
            string label = "port " + port.Wish.Label + ": ";
            if (port.Status == PortStatus.Lingering)
            {
                return label + "nobody listens; " + port.Sockets.Count + " old or outgoing connection" + (port.Sockets.Count == 1 ? " is" : "s are")
                    + " left, a server can bind it";
            }
            if (port.Status == PortStatus.Reserved)
            {
                return label + "reserved by Windows (" + string.Join(", ", port.Holders.Select(holder => holder.Name)) + ")";
            }
            if (port.Holders.Count == 0)
            {
                return label + port.Status;
            }
            return label + "held by " + And(port.Holders.Select(holder => Aged(snapshot, holder, now)).ToList());
        }

        private static string Aged(Snapshot snapshot, Holder holder, double now)
        {
            Process process = HolderFinder.MainProcess(snapshot, holder);
            string who = HolderFinder.Describe(snapshot, holder);
            if (holder.Kind == HolderKind.Connection)
            {
                who = (holder.Sockets.Any(row => row.Protocol == Protocol.Udp) ? "a UDP socket of " : "a connection of ") + who;
            }
            if (holder.Pids.Count > 1)
            {
                int more = holder.Pids.Count - 1;
                who += " and " + more + " more process" + (more == 1 ? " that shares" : "es that share") + " its socket";
            }
            if (process != null)
            {
                return process.Started == null ? who : who + ", running for " + Duration(now - process.Started.Value);
            }
            if (holder.Kind != HolderKind.Unknown || holder.Pids.Count > 0)
            {
                return who;
            }
            if (holder.Sockets.Count == 0)
            {
                return "something that no socket table shows: it can't be bound";
            }
            if (snapshot.Blind.Count > 0)
            {
                who += " (" + string.Join("; ", snapshot.Blind.Select(blind => blind.Text)) + ")";
                who += string.Concat(snapshot.Blind.Select(blind => blind.Advice).Where(one => one.Length > 0).Distinct().Select(one => "; " + one));
            }
            return who;
        }

        private static string Together(IReadOnlyList<string> sentences, IEnumerable<PortPlan> ports)
        {
            List<string> parts = sentences.Take(MostNamed).ToList();
            if (sentences.Count > MostNamed)
            {
                parts.Add(More(sentences.Count - MostNamed, "ports"));
            }
            List<string> free = ports.Where(port => port.Status == PortStatus.Free).Select(port => port.Wish.Label).ToList();
            if (free.Count > 0)
            {
                parts.Add(free.Count <= MostNamed ? "free: " + string.Join(", ", free) : free.Count + " ports free");
            }
            return string.Join("; ", parts);
        }

        private static string More(int number, string where)
        {
            return number + " more " + (number == 1 ? "is" : "are") + " in " + where;
        }

        private static string Freed(Story story, IReadOnlyList<PortPlan> ports)
        {
            List<string> kept = ports.SelectMany(
                port => port.Holders.Where(holder => holder.Outcome == Fate.Kept).Select(holder => "kept " + holder.Name + " on " + port.Wish.Label)).ToList();
            if (story.CheckMode && story.Plan.Steps.Count > 0)
            {
                IEnumerable<string> would = story.Plan.Steps.Select(step => "would " + Deed(step, false) + Besides(step) + " to free " + And(step.Ports));
                return Together(would.Concat(kept).ToList(), new PortPlan[0]);
            }
            List<string> labels = ports.Where(IsFree).Select(port => port.Wish.Label).ToList();
            if (story.Outcomes.Count == 0)
            {
                List<string> left = Left(story, ports);
                string text = labels.Count == 0 ? "nothing to do" : left.Count > 0 ? Are(labels, "free", false) : Are(labels, "already free", true);
                return string.Join("; ", left.Concat(new[] { text }).Concat(kept.Take(MostNamed)));
            }
            List<string> done = story.Outcomes.Select(Did).Distinct().ToList();
            List<string> parts = done.Take(MostNamed).Concat(kept.Take(MostNamed)).ToList();
            int more = done.Count + kept.Count - parts.Count;
            if (more > 0)
            {
                parts.Add(More(more, "actions and ports"));
            }
            if (labels.Count > 0)
            {
                bool stopped = story.Outcomes.Any(outcome => outcome.Acted && outcome.Step.Actuator != Actuator.TcpEntry);
                string watched = stopped && story.Policy.Settle != 0
                    ? "nothing took " + (labels.Count == 1 ? "it" : "them") + " back, and " : "";
                bool untried = ports.Any(port => IsFree(port) && port.Bindable == null);
                parts.Add(Are(labels, "free", false) + ": " + watched + (untried ? "a test bind could not be tried" : "a test bind succeeded"));
            }
            return string.Join("; ", parts);
        }

        private static bool IsFree(PortPlan port)
        {
            return port.Status == PortStatus.Free || port.Status == PortStatus.Lingering;
        }

        /// <summary>Who was there at first, and went without our doing.</summary>
        private static List<string> Left(Story story, IEnumerable<PortPlan> ports)
        {
            IEnumerable<Holder> gone = ports.SelectMany(port => port.Holders).Where(holder => holder.Outcome == Fate.Gone);
            return gone
                .Select(holder => (holder.Kind == HolderKind.Connection ? "the connection of " : "") + HolderFinder.Describe(story.Snapshot, holder))
                .Distinct().Take(MostNamed).Select(who => who + " left by itself").ToList();
        }

        /// <summary>8080/tcp is free, 13 ports are free.</summary>
        private static string Are(IReadOnlyList<string> labels, string what, bool past)
        {
            string named = labels.Count <= MostNamed ? string.Join(", ", labels) : labels.Count + " ports";
            string verb = labels.Count == 1 ? (past ? "was" : "is") : (past ? "were" : "are");
            return named + " " + verb + " " + what;
        }

        private static string Did(Outcome outcome)
        {
            Step step = outcome.Step;
            if (outcome.Result == Outcome.Gone)
            {
                return step.Target + " left by itself";
            }
            string text = Deed(step, true);
            if (outcome.Killed.Count > 0)
            {
                text += " and, after " + step.Grace.ToString("0.######", CultureInfo.InvariantCulture) + " s, TerminateProcess on pid "
                    + string.Join(", ", outcome.Killed);
            }
            if (outcome.Dropped > 0)
            {
                text += ", which dropped " + outcome.Dropped + " connection" + (outcome.Dropped == 1 ? "" : "s");
            }
            return text + Besides(step);
        }

        /// <summary>What a step means beyond the port.</summary>
        private static string Besides(Step step)
        {
            string text = step.AlsoStops.Count > 0 ? " and with it " + And(step.AlsoStops) : "";
            if (step.Persist && step.Undo != null)
            {
                return text + " (not back at boot; undo: " + step.Undo + ")";
            }
            return step.ReturnsAtBoot == true ? text + " (back at boot)" : text;
        }

        /// <summary>What a step does, or did, to whom and by whom.</summary>
        private static string Deed(Step step, bool past)
        {
            if (step.Actuator == Actuator.TcpEntry)
            {
                return (past ? "closed" : "close") + " the " + step.Target;
            }
            string how = "with " + (step.Signal == Ask.Terminate ? "TerminateProcess" : step.Signal);
            return (past ? "stopped " : "stop ") + step.Target + " " + (step.Actuator == Actuator.Service ? "through the service manager" : how);
        }

        private static string Failed(Story story, IEnumerable<PortPlan> ports)
        {
            Refusal failure = story.Failure;
            if (story.Outcomes.Count > 0 || !story.Plan.Refusals.Contains(failure))
            {
                IEnumerable<string> done = story.Outcomes.Where(outcome => outcome.Result != Outcome.Failed).Select(Did).Distinct();
                // What a decision says of a port calls it "it".
                Plan decided = story.Proof == null ? story.Plan : story.Proof.Plan;
                string label = decided.Ports.Where(port => failure.Equals(port.Refusal)).Select(port => port.Wish.Label + ": ").FirstOrDefault();
                return string.Join("; ", new[] { label + failure.Reason + ": " + failure.Remedy }.Concat(done));
            }
            string begin = story.Policy.State == "free" ? "nothing was stopped: " : "";
            // What is in the way comes first: of a long list, only the beginning is told.
            IEnumerable<string> against = ports.SelectMany(port => Against(port));
            IEnumerable<string> others = ports.SelectMany(port => Spared(story, port));
            return begin + Together(against.Concat(others).Distinct().ToList(), new PortPlan[0]);
        }

        private static IEnumerable<string> Against(PortPlan port)
        {
            string label = port.Wish.Label + ": ";
            if (port.Refusal != null && port.Holders.All(holder => holder.Refusal == null))
            {
                yield return label + port.Refusal.Reason + " (" + port.Refusal.Remedy + ")";
            }
            foreach (Holder holder in port.Holders.Where(holder => holder.Refusal != null))
            {
                yield return label + holder.Refusal.Reason + " (" + holder.Refusal.Remedy + ")";
            }
        }

        private static IEnumerable<string> Spared(Story story, PortPlan port)
        {
            return port.Holders
                .Where(holder => holder.Refusal == null && holder.Stoppable)
                .Select(holder => port.Wish.Label + ": " + HolderFinder.Describe(story.Snapshot, holder) + " would have been stopped");
        }

        private static string And(IReadOnlyList<string> words)
        {
            if (words.Count < 3)
            {
                return string.Join(" and ", words);
            }
            return string.Join(", ", words.Take(words.Count - 1)) + " and " + words[words.Count - 1];
        }
    }
}
