// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What the rules are asked about. Private to harbormaster.ports. Pure.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideHolders;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideMatching;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideCase
{
    /// <summary>One holder, and everything that a rule may look at.</summary>
    public sealed class Case
    {
        public readonly Snapshot Snapshot;
        public readonly Policy Policy;
        public readonly Wish Wish;
        public readonly Holder Holder;
        /// <summary>The holder for people.</summary>
        public readonly string Who;
        /// <summary>Its root-most process, null when none is known.</summary>
        public readonly Process Main;
        /// <summary>Every process of the holder that is still known.</summary>
        public readonly IReadOnlyList<Process> Members;
        /// <summary>All TCP ports that the task asks for.</summary>
        public readonly ICollection<int> Asked;

        public Case(Snapshot snapshot, Policy policy, Wish wish, Holder holder, ICollection<int> asked)
        {
            Snapshot = snapshot;
            Policy = policy;
            Wish = wish;
            Holder = holder;
            Asked = asked;
            Who = HolderFinder.Describe(snapshot, holder);
            Main = HolderFinder.MainProcess(snapshot, holder);
            Members = Listed.Of(holder.Pids.Where(snapshot.Processes.ContainsKey).Select(pid => snapshot.Processes[pid]));
        }

        /// <summary>Whether one of the patterns means this process of the holder, by its own name or its service's.</summary>
        public bool Matches(Process process, IEnumerable<string> patterns)
        {
            return Matching.Matches(process, patterns, Holder.Services);
        }

        /// <summary>A table of protected names without those that the task takes off.</summary>
        public IEnumerable<string> NotUnprotected(IEnumerable<string> table)
        {
            return table.Where(name => !Policy.Unprotect.Contains(name, StringComparer.OrdinalIgnoreCase));
        }
    }
}
