// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The nouns of a run: what was done, how it was proven, and the whole story of it. Private to harbormaster.ports.

using System.Collections.Generic;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun
{
    /// <summary>What became of one step.</summary>
    public sealed class Outcome
    {
        public const string Done = "done";
        public const string Failed = "failed";
        /// <summary>It had left by itself, nothing was done.</summary>
        public const string Gone = "gone";

        public readonly Step Step;
        /// <summary>done, failed or gone.</summary>
        public readonly string Result;
        /// <summary>Something was really done to the system.</summary>
        public readonly bool Acted;
        public readonly double Seconds;
        /// <summary>Connections that were open when the step began.</summary>
        public readonly int Dropped;
        /// <summary>Pids that had to be ended by TerminateProcess after the grace period.</summary>
        public readonly IReadOnlyList<int> Killed;
        /// <summary>Why it failed, null when it did not.</summary>
        public readonly Refusal Error;

        public Outcome(
            Step step, string result, bool acted = false, double seconds = 0, int dropped = 0, IEnumerable<int> killed = null,
            Refusal error = null)
        {
            Step = step;
            Result = result;
            Acted = acted;
            Seconds = seconds;
            Dropped = dropped;
            Killed = Listed.Of(killed);
            Error = error;
        }
    }

    /// <summary>What the system looked like after the last step, when settle was over.</summary>
    public sealed class Proof
    {
        public readonly Snapshot Snapshot;
        /// <summary>A decision over the new snapshot: its ports are the state after.</summary>
        public readonly Plan Plan;
        /// <summary>Why it is not as wished; null when it is.</summary>
        public readonly Refusal Failure;

        public Proof(Snapshot snapshot, Plan plan, Refusal failure = null)
        {
            Snapshot = snapshot;
            Plan = plan;
            Failure = failure;
        }
    }

    /// <summary>All that a run has seen and done, also of a run that failed. Everything in a result comes from here.</summary>
    public sealed class Story
    {
        /// <summary>What the plan was made from.</summary>
        public Snapshot Snapshot { get; private set; }
        /// <summary>What was decided; with its predictions.</summary>
        public Plan Plan { get; private set; }
        public Policy Policy { get; private set; }
        public bool CheckMode { get; private set; }
        /// <summary>What was done.</summary>
        public IReadOnlyList<Outcome> Outcomes { get; private set; }
        /// <summary>The look afterwards; null when nothing was done.</summary>
        public Proof Proof { get; private set; }
        /// <summary>Why the wish is not met; null when it is.</summary>
        public Refusal Failure { get; private set; }
        /// <summary>Seconds of the whole run.</summary>
        public double Elapsed { get; private set; }

        public Story(Snapshot snapshot, Plan plan, Policy policy, bool checkMode, Refusal failure = null)
        {
            Snapshot = snapshot;
            Plan = plan;
            Policy = policy;
            CheckMode = checkMode;
            Failure = failure;
            Outcomes = Listed.Of<Outcome>(null);
        }

        /// <summary>A changed copy; what is not given stays as it was.</summary>
        public Story With(
            Snapshot snapshot = null, Plan plan = null, IEnumerable<Outcome> outcomes = null, Proof proof = null, Refusal failure = null,
            double? elapsed = null)
        {
            Story copy = (Story)MemberwiseClone();
            copy.Snapshot = snapshot ?? Snapshot;
            copy.Plan = plan ?? Plan;
            copy.Outcomes = outcomes == null ? Outcomes : Listed.Of(outcomes);
            copy.Proof = proof ?? Proof;
            copy.Failure = failure ?? Failure;
            copy.Elapsed = elapsed ?? Elapsed;
            return copy;
        }
    }

    /// <summary>What the act and prove stages may ask of the observe stage; the conductor hands it to them.</summary>
    public interface IEyes
    {
        /// <summary>A whole new snapshot of the wished ports.</summary>
        Snapshot Look();

        /// <summary>Only the socket rows of the wished ports: cheap enough to be asked 20 times a second.</summary>
        IReadOnlyList<Socket> Rows();

        /// <summary>Whether this pid has one of these rows (Socket.Id) now.</summary>
        bool Holds(int pid, ICollection<long> ids);

        /// <summary>Start time of the process that has this pid now; null when there is none.</summary>
        long? StartTicks(int pid);
    }
}
