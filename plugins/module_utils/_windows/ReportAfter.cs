// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What became of each port and holder, from the plan, the deeds and the look afterwards. Private to harbormaster.ports.

using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ReportAfter
{
    public static class Aftermath
    {
        /// <summary>The ports with what was found before, what became of each holder, and the state after.</summary>
        public static IReadOnlyList<PortPlan> Ports(Story story)
        {
            if (story.Proof == null && story.Failure == null)
            {
                return story.Plan.Ports;
            }
            // Without a look afterwards only what was found is a fact, never what was planned.
            Plan later = story.Proof == null ? story.Plan : story.Proof.Plan;
            return Listed.Of(story.Plan.Ports.Zip(later.Ports, (planned, proven) => One(story, planned, proven)));
        }

        private static PortPlan One(Story story, PortPlan planned, PortPlan proven)
        {
            bool? bindable;
            // What a bind said, not what the plan expects one to say.
            (story.Proof == null ? story.Snapshot : story.Proof.Snapshot).Bindable.TryGetValue(planned.Wish.Key, out bindable);
            IEnumerable<Holder> later = proven.Holders.Where(holder => IsNew(holder, planned))
                .Select(holder => holder.Ended(holder.Outcome == Fate.Kept ? Fate.Kept : Fate.None, holder.Refusal));
            return planned.WithStatus(proven.Before).WithBindable(bindable).Judged(
                planned.Holders.Select(holder => WithOutcome(story, holder)).Concat(later), Blocked(story, planned, proven), proven.Kept);
        }

        private static Refusal Blocked(Story story, PortPlan planned, PortPlan proven)
        {
            if (story.Failure != null && story.Plan.Refusals.Contains(story.Failure))
            {
                return planned.Refusal;
            }
            if (proven.Kept || proven.Before == PortStatus.Free || proven.Before == PortStatus.Lingering)
            {
                return null;
            }
            return planned.Refusal ?? story.Failure;
        }

        private static Holder WithOutcome(Story story, Holder holder)
        {
            if (!holder.Stoppable)
            {
                return holder;
            }
            Outcome outcome = story.Outcomes.LastOrDefault(one => one.Step.Holders.Contains(holder.Key));
            if (outcome == null)
            {
                Plan later = story.Proof == null ? story.Plan : story.Proof.Plan;
                bool still = later.Ports.Any(port => port.Holders.Any(found => found.Key == holder.Key));
                return holder.Ended(still ? Fate.None : Fate.Gone, null);
            }
            string word = outcome.Result == Outcome.Done ? Fate.Stopped : outcome.Result == Outcome.Gone ? Fate.Gone : Fate.None;
            if (outcome.Step.Actuator == Actuator.TcpEntry && story.Proof != null
                && story.Proof.Snapshot.Sockets.Any(row => holder.Ids.Contains(row.Id)))
            {
                // A closed socket that its program had bound explicitly holds the port as before.
                word = Fate.None;
            }
            return holder.Ended(word, outcome.Error);
        }

        /// <summary>A holder of the look afterwards that the plan did not know.</summary>
        private static bool IsNew(Holder holder, PortPlan planned)
        {
            if (holder.Pids.Count == 0 && holder.Services.Count == 0)
            {
                return false;
            }
            return !planned.Holders.Any(old => old.Key == holder.Key || old.Pids.Intersect(holder.Pids).Any());
        }
    }
}
