// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The rules for holders that are services, besides those for every process. Private to harbormaster.ports. Pure.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideCase;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideMatching;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideReasons;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideTables;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideRulesOfServices
{
    public static class ServiceRules
    {
        private const int StartPending = 2;
        private const int ContinuePending = 5;
        private const int PausePending = 6;
        private const int StopPending = 3;

        public static readonly Func<Case, Refusal>[] All =
        {
            OneOfSeveral, Elsewhere, IisSites, BySignal, NotElevated, Request, Dependants,
        };

        /// <summary>A guard, for every kind of holder: a service of the protected list, or one that Windows protects itself.</summary>
        public static Refusal Protected(Case one)
        {
            foreach (string name in one.Holder.Services)
            {
                string rule = Matching.Entry(name, one.NotUnprotected(Tables.ProtectedServices));
                if (rule != null)
                {
                    return Reasons.ProtectedProcess(one.Who, rule, false);
                }
                Service service = Managers.Facts(one.Snapshot, name);
                if (service != null && service.Protected != 0)
                {
                    return Reasons.NeverStopped(one.Who, "Windows guards " + name + " as a protected service");
                }
            }
            return null;
        }

        /// <summary>A shared host whose row does not say which of its services it is.</summary>
        private static Refusal OneOfSeveral(Case one)
        {
            if (one.Holder.Services.Count < 2)
            {
                return null;
            }
            return Reasons.NotStoppable(
                one.Who, "several services share its process, and which of them has the port is not known",
                "stop the right one by hand (Stop-Service), or give it a process of its own with sc.exe config NAME type= own");
        }

        /// <summary>A service that has the port on behalf of somebody else.</summary>
        private static Refusal Elsewhere(Case one)
        {
            string[] entry = Tables.Elsewhere.FirstOrDefault(row => Matching.Entry(one.Holder.Services[0], new[] { row[0] }) != null);
            return entry == null ? null : Reasons.ManagedElsewhere(one.Who, entry[1], entry[2]);
        }

        /// <summary>IIS serves all of its sites through one service.</summary>
        private static Refusal IisSites(Case one)
        {
            if (one.Holder.Queue == null || !one.Holder.Queue.Iis)
            {
                return null;
            }
            List<int> others = Managers.OtherHttpPorts(one.Snapshot, one.Holder, one.Asked).ToList();
            if (others.Count == 0)
            {
                return null;
            }
            return Reasons.ManagedElsewhere(
                one.Who, "IIS, which serves other sites as well (port " + string.Join(", ", others) + ")",
                "stop the site with Stop-Website or take its binding away, or ask for all of these ports");
        }

        /// <summary>method: signal ends the process itself. For a shared host that would take other services along.</summary>
        private static Refusal BySignal(Case one)
        {
            if (one.Policy.Method != "signal")
            {
                return null;
            }
            if (one.Holder.Queue != null && one.Holder.Queue.Iis)
            {
                return Reasons.WouldRespawn(one.Who, "IIS", "with the next request");
            }
            Service service = Managers.Facts(one.Snapshot, one.Holder.Services[0]);
            Process process = Managers.ProcessOf(one.Snapshot, service) ?? one.Main;
            if (one.Main == null || process.Services.Count > 1)
            {
                return Reasons.SharedHost(one.Who);
            }
            return service != null && service.Restarts ? Reasons.WouldRespawn(one.Who, "the service manager", "restart") : null;
        }

        private static Refusal NotElevated(Case one)
        {
            return one.Snapshot.Elevated || one.Policy.Method == "signal" ? null : Reasons.NotPermitted(one.Who + " can't be stopped");
        }

        private static Refusal Request(Case one)
        {
            return one.Policy.Method == "signal" ? null : Stoppable(one, one.Holder.Services[0], "");
        }

        /// <summary>What depends on the service is stopped before it, so it has to be stoppable too, and nobody that is protected.</summary>
        private static Refusal Dependants(Case one)
        {
            Service service = one.Policy.Method == "signal" ? null : Managers.Facts(one.Snapshot, one.Holder.Services[0]);
            foreach (string name in service == null ? new string[0] : service.Dependants)
            {
                Service dependant = Managers.Facts(one.Snapshot, name);
                Process process = Managers.ProcessOf(one.Snapshot, dependant);
                string rule = one.Policy.Protect.FirstOrDefault(pattern => Matching.Matches(process, new[] { pattern }, new[] { name }))
                    ?? Matching.Entry(name, one.NotUnprotected(Tables.ProtectedServices))
                    ?? Matching.Program(process, one.NotUnprotected(Tables.ProtectedPrograms).Concat(Tables.Untouchable))
                    ?? (dependant != null && dependant.Protected != 0 ? "a protected service" : null)
                    ?? OwnWay(one.Snapshot, name);
                if (rule != null)
                {
                    return Reasons.ProtectedDependant(one.Who, "service " + name, rule);
                }
                Refusal refusal = Stoppable(one, name, "service " + name + ", which depends on it, ");
                if (refusal != null)
                {
                    return refusal;
                }
            }
            return null;
        }

        /// <summary>Why the end of a service would end this very task; null when it would not.</summary>
        private static string OwnWay(Snapshot snapshot, string name)
        {
            foreach (int pid in Managers.ProcessesOf(snapshot, new[] { name }))
            {
                if (snapshot.SelfPids.Contains(pid))
                {
                    return "it started this very task";
                }
                if (snapshot.Carriers.ContainsKey(pid))
                {
                    return "it may carry the Ansible connection";
                }
            }
            return null;
        }

        /// <summary>Why the service manager can't stop a service; null when it can.</summary>
        /// <param name="which">The service as the sentence begins with it; empty for the holder's own.</param>
        private static Refusal Stoppable(Case one, string name, string which)
        {
            Service service = Managers.Facts(one.Snapshot, name);
            string itself = which.Length > 0 ? which : "it ";
            if (service == null)
            {
                return Reasons.NotStoppable(one.Who, "the service manager says nothing about " + name, "run the task as an elevated administrator");
            }
            if (service.State == StopPending || service.State == Service.Stopped || service.AcceptsStop)
            {
                return null;
            }
            if (service.State == StartPending || service.State == ContinuePending || service.State == PausePending)
            {
                return Reasons.NotStoppable(one.Who, itself + "is just changing its state", "wait with timeout", true);
            }
            return Reasons.NotStoppable(
                one.Who, itself + "takes no stop requests", "stop what it belongs to, or set its start type to disabled and restart the host");
        }
    }
}
