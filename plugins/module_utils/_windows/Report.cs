// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// From a Story to the result that the user gets: the keys of the module's documentation. Private to harbormaster.ports.
//
// Only plain data goes into it: text, numbers, booleans, null, lists and dictionaries of these.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.PortNames;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ReportAfter;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Words;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Report
{
    public static class Reporter
    {
        private static readonly DateTime Epoch = new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc);

        /// <summary>Every result key; the same ones in success, failure and check mode.</summary>
        /// <param name="utcNow">For ages.</param>
        public static Dictionary<string, object> Result(Story story, DateTime utcNow)
        {
            double now = (utcNow - Epoch).TotalSeconds;
            IReadOnlyList<PortPlan> after = Aftermath.Ports(story);
            bool would = story.Plan.Steps.Count > 0 && story.Failure == null;
            Dictionary<string, object> answer = new Dictionary<string, object>
            {
                { "changed", story.CheckMode ? would : story.Outcomes.Any(outcome => outcome.Acted) },
                { "free", after.All(port => port.Met) },
                { "msg", Sentences.Message(story, after, now) },
                { "ports", Plain(after.Select(port => Port(story, port))) },
                { "owners", Plain(Owners(story, now)) },
                { "actions", Plain(Actions(story)) },
                { "elapsed", Rounded(story.Elapsed) },
            };
            if (story.Failure != null)
            {
                answer["reason"] = story.Failure.Code;
            }
            return answer;
        }

        /// <summary>What --diff shows: one line a port, before and after.</summary>
        public static Dictionary<string, object> Diff(Story story)
        {
            IReadOnlyList<PortPlan> after = Aftermath.Ports(story);
            IEnumerable<string> before = after.Select(port => port.Wish.Label + " " + port.Before + Names(port) + "\n");
            IEnumerable<string> now = after.Select(
                port => port.Wish.Label + " " + port.Status + (port.Status == port.Before ? Names(port) : "") + "\n");
            return new Dictionary<string, object> { { "before", string.Concat(before) }, { "after", string.Concat(now) } };
        }

        private static string Names(PortPlan port)
        {
            IEnumerable<string> names = port.Holders.Select(holder => holder.Name).Where(name => name.Length > 0).Distinct()
                .OrderBy(name => name, StringComparer.Ordinal);
            return names.Any() ? " by " + string.Join(", ", names) : "";
        }

        private static Dictionary<string, object> Port(Story story, PortPlan port)
        {
            return new Dictionary<string, object>
            {
                { "port", port.Wish.Port },
                { "protocol", port.Wish.Protocol },
                { "address", port.Wish.Address },
                { "port_name", PortNameTable.OfThisHost.Name(port.Wish.Port, port.Wish.Protocol) },
                { "before", port.Before },
                { "status", port.Status },
                { "bindable", port.Bindable },
                { "ephemeral", port.Ephemeral },
                { "sockets", Plain(port.Sockets.Select(row => Row(story, row))) },
                { "holders", Plain(port.Holders.Select(Held)) },
                { "connections", new Dictionary<string, object> { { "established", port.Established }, { "time_wait", port.TimeWait } } },
                { "blocked_by", Blocked(port.Refusal) },
            };
        }

        /// <summary>Sockets of Windows have no user of their own and no inode: the user is the process's.</summary>
        private static Dictionary<string, object> Row(Story story, Socket row)
        {
            IReadOnlyList<int> pids;
            Process process = null;
            if (story.Snapshot.Owners.TryGetValue(row.Id, out pids) && pids.Count > 0)
            {
                story.Snapshot.Processes.TryGetValue(pids[0], out process);
            }
            return new Dictionary<string, object>
            {
                { "address", row.Address },
                { "family", row.Family },
                { "state", row.State },
                { "user", process == null ? null : process.User },
                { "inode", null },
            };
        }

        private static Dictionary<string, object> Held(Holder holder)
        {
            Refusal refusal = holder.Refusal;
            return new Dictionary<string, object>
            {
                { "kind", holder.Kind },
                { "name", holder.Name.Length > 0 ? holder.Name : null },
                { "pids", Plain(holder.Pids) },
                { "service", holder.Services.Count == 1 ? holder.Services[0] : null },
                { "container", null },
                { "stoppable", holder.Stoppable },
                { "outcome", holder.Outcome },
                { "code", refusal == null ? null : refusal.Code },
                { "reason", refusal == null ? null : refusal.Reason },
                { "remedy", refusal == null ? null : refusal.Remedy },
            };
        }

        private static Dictionary<string, object> Blocked(Refusal refusal)
        {
            if (refusal == null)
            {
                return null;
            }
            return new Dictionary<string, object>
            {
                { "code", refusal.Code }, { "reason", refusal.Reason }, { "remedy", refusal.Remedy }, { "passing", refusal.Passing },
            };
        }

        /// <summary>One entry for each process that was found, the ones that came later too.</summary>
        private static IEnumerable<Dictionary<string, object>> Owners(Story story, double now)
        {
            List<Found> seen = new List<Found>();
            Look(seen, story.Snapshot, story.Plan);
            if (story.Proof != null)
            {
                Look(seen, story.Proof.Snapshot, story.Proof.Plan);
            }
            return seen.Select(found => Owner(found, now));
        }

        private static void Look(List<Found> seen, Snapshot snapshot, Plan plan)
        {
            foreach (PortPlan port in plan.Ports)
            {
                foreach (int pid in port.Holders.SelectMany(holder => holder.Pids).Distinct().Where(snapshot.Processes.ContainsKey).OrderBy(pid => pid))
                {
                    Process process = snapshot.Processes[pid];
                    Found found = seen.FirstOrDefault(one => one.Process.Pid == pid && one.Process.StartTicks == process.StartTicks);
                    if (found == null)
                    {
                        found = new Found(process);
                        seen.Add(found);
                    }
                    found.Add(port.Holders.Where(holder => holder.Pids.Contains(pid)), port.Wish.Port + "/" + port.Wish.Protocol);
                }
            }
        }

        private static Dictionary<string, object> Owner(Found found, double now)
        {
            Process process = found.Process;
            return new Dictionary<string, object>
            {
                { "pid", process.Pid },
                { "name", process.Name },
                { "exe", process.Exe },
                { "command", process.Command },
                { "user", process.User },
                { "started", process.Started == null ? null : Iso(process.Started.Value) },
                { "age_seconds", process.Started == null ? null : (object)(long)Math.Max(0, now - process.Started.Value) },
                { "parent_pid", process.ParentPid },
                { "service", found.Service },
                { "container", null },
                { "ports", Plain(found.Ports) },
            };
        }

        private static IEnumerable<Dictionary<string, object>> Actions(Story story)
        {
            if (story.CheckMode)
            {
                return story.Plan.Steps.Select(step => Action(step, "predicted", 0, 0));
            }
            return story.Outcomes.Where(outcome => outcome.Result != Outcome.Gone)
                .Select(outcome => Action(outcome.Step, outcome.Result, outcome.Seconds, outcome.Dropped));
        }

        private static Dictionary<string, object> Action(Step step, string result, double seconds, int dropped)
        {
            return new Dictionary<string, object>
            {
                { "action", step.Action },
                { "target", step.Target },
                { "ports", Plain(step.Ports) },
                { "also_frees", Plain(step.AlsoFrees) },
                { "also_stops", Plain(step.AlsoStops) },
                { "returns_at_boot", step.ReturnsAtBoot },
                { "may_restart", new List<object>() },
                { "undo", step.Undo },
                { "dropped", dropped },
                { "result", result },
                { "seconds", Rounded(seconds) },
            };
        }

        private static string Iso(double started)
        {
            return Epoch.AddSeconds(Math.Floor(started)).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        }

        private static double Rounded(double seconds)
        {
            return Math.Round(seconds, 3);
        }

        private static List<object> Plain<T>(IEnumerable<T> values)
        {
            return values.Cast<object>().ToList();
        }

        /// <summary>A process, the asked ports that it was found on, and what it stands for there.</summary>
        private sealed class Found
        {
            public readonly Process Process;
            public readonly List<string> Ports = new List<string>();
            public string Service;

            public Found(Process process)
            {
                Process = process;
            }

            public void Add(IEnumerable<Holder> holders, string port)
            {
                Service = Service ?? holders.Where(holder => holder.Services.Count == 1).Select(holder => holder.Services[0]).FirstOrDefault();
                if (!Ports.Contains(port))
                {
                    Ports.Add(port);
                }
            }
        }
    }
}
