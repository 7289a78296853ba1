// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Which services run in which processes, and how the ones that matter are set up. Private to harbormaster.ports.

using System;
using System.Collections.Generic;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveText;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveServices
{
    /// <summary>The service manager's list at one moment, read in one call.</summary>
    public sealed class ServiceBook : IDisposable
    {
        private static readonly string[] None = new string[0];

        private readonly ServiceManager _manager;
        private readonly Dictionary<string, ServiceEntry> _byName = new Dictionary<string, ServiceEntry>(StringComparer.OrdinalIgnoreCase);
        private readonly Dictionary<int, List<string>> _byPid = new Dictionary<int, List<string>>();

        /// <summary>Why the service manager could not be asked; null when it could.</summary>
        public readonly NativeError Refused;

        /// <summary>Ask the service manager. That it refuses is not an error here: it is something that can't be seen.</summary>
        public ServiceBook()
        {
            try
            {
                _manager = new ServiceManager();
                foreach (ServiceEntry entry in _manager.All())
                {
                    Add(entry);
                }
            }
            catch (NativeError error)
            {
                Refused = error;
            }
        }

        /// <summary>Short names of the services that run in a process.</summary>
        public IReadOnlyList<string> In(int pid)
        {
            List<string> names;
            return _byPid.TryGetValue(pid, out names) ? (IReadOnlyList<string>)names : None;
        }

        /// <summary>The process of a service; 0 when it does not run or there is none.</summary>
        public int PidOf(string name)
        {
            ServiceEntry entry;
            return _byName.TryGetValue(name, out entry) ? entry.Pid : 0;
        }

        /// <summary>These services in full, and the running ones that depend on them.</summary>
        public Dictionary<string, Service> Describe(IEnumerable<string> names)
        {
            Dictionary<string, Service> found = new Dictionary<string, Service>(StringComparer.OrdinalIgnoreCase);
            Queue<string> open = new Queue<string>(names);
            while (open.Count > 0)
            {
                string name = open.Dequeue();
                ServiceEntry entry;
                if (found.ContainsKey(name) || !_byName.TryGetValue(name, out entry))
                {
                    continue;
                }
                ServiceSetup setup = _manager.Setup(entry.Name);
                found[name] = new Service(
                    HostText.Printable(entry.Name),
                    HostText.Printable(entry.DisplayName),
                    entry.Pid,
                    entry.State,
                    entry.AcceptsStop,
                    setup.StartType,
                    setup.Delayed,
                    entry.Shares,
                    setup.Protection,
                    setup.Dependants,
                    setup.Triggered,
                    setup.Restarts);
                foreach (string dependant in setup.Dependants)
                {
                    open.Enqueue(dependant);
                }
            }
            return found;
        }

        public void Dispose()
        {
            if (_manager != null)
            {
                _manager.Dispose();
            }
        }

        private void Add(ServiceEntry entry)
        {
            _byName[entry.Name] = entry;
            if (entry.Pid == 0)
            {
                return;
            }
            List<string> names;
            if (!_byPid.TryGetValue(entry.Pid, out names))
            {
                names = new List<string>();
                _byPid[entry.Pid] = names;
            }
            names.Add(entry.Name);
        }
    }
}
