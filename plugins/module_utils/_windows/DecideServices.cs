// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What manages a process, and who is behind the ports of PID 4. Private to harbormaster.ports. Pure.
//
// A service manages a holder when it runs in the holder's process, or when the holder descends from the service's own process
// and the service is no launcher (an agent, a scheduler, a login daemon). Inside a shared host (svchost.exe) a service manages the
// rows that Windows says are its own.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideMatching;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideTables;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideServices
{
    public static class Managers
    {
        /// <summary>
        /// The services that a process stands for with these rows: one; all that share it when that can't be told; none when it
        /// is a process like any other.
        /// </summary>
        public static IReadOnlyList<string> ServicesOf(Snapshot snapshot, Process process, Socket row)
        {
            if (process.Services.Count > 0)
            {
                bool told = row.Service != null && process.Services.Contains(row.Service, StringComparer.OrdinalIgnoreCase);
                IEnumerable<string> own = process.Services.OrderBy(name => name, StringComparer.Ordinal);
                return told ? Listed.Of(new[] { row.Service }) : Listed.Of(own);
            }
            foreach (int pid in process.Ancestors)
            {
                Process ancestor;
                if (snapshot.Processes.TryGetValue(pid, out ancestor) && ancestor.Services.Count > 0)
                {
                    return Listed.Of(Manages(snapshot, ancestor) ? ancestor.Services : null);
                }
            }
            return Listed.Of<string>(null);
        }

        /// <summary>Whether what a service's process has started belongs to the service.</summary>
        private static bool Manages(Snapshot snapshot, Process process)
        {
            if (process.Services.Count != 1 || Matching.Program(process, new[] { Tables.ServiceHost }) != null)
            {
                return false;
            }
            return Matching.Entry(process.Services[0], Tables.Launchers) == null && Matching.Program(process, Tables.LoginDaemons) == null;
        }

        /// <summary>What the service manager says of a service; null when it was not asked or knows none of that name.</summary>
        public static Service Facts(Snapshot snapshot, string name)
        {
            Service service;
            if (snapshot.Services.TryGetValue(name, out service))
            {
                return service;
            }
            return snapshot.Services.Values.FirstOrDefault(one => string.Equals(one.Name, name, StringComparison.OrdinalIgnoreCase));
        }

        /// <summary>The process that a service runs in; null when it is not known.</summary>
        public static Process ProcessOf(Snapshot snapshot, Service service)
        {
            Process process;
            return service != null && service.Pid != 0 && snapshot.Processes.TryGetValue(service.Pid, out process) ? process : null;
        }

        /// <summary>The request queues that take what comes in on a port of PID 4.</summary>
        public static IEnumerable<HttpQueue> Queues(Snapshot snapshot, Socket row)
        {
            if (row.Protocol != Protocol.Tcp)
            {
                return new HttpQueue[0];
            }
            return snapshot.HttpQueues.Where(queue => queue.Ports.Contains(row.Port)).OrderBy(queue => queue.Name, StringComparer.Ordinal);
        }

        /// <summary>Ports that HTTP.sys serves for a holder's processes, besides those of a set.</summary>
        public static IEnumerable<int> OtherHttpPorts(Snapshot snapshot, Holder holder, ICollection<int> besides)
        {
            return snapshot.HttpQueues
                .Where(queue => holder.Queue != null && (holder.Queue.Iis ? queue.Iis : queue.Pids.Intersect(holder.Pids).Any()))
                .SelectMany(queue => queue.Ports).Distinct().Where(port => !besides.Contains(port)).OrderBy(port => port);
        }
    }
}
