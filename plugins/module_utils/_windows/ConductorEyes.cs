// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The observe stage as the other stages may use it, for the ports of one task. Private to harbormaster.ports.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideSockets;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Observe;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ProveBind;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ConductorEyes
{
    /// <summary>It owns every handle that was opened before a decision: they are closed with it.</summary>
    public sealed class SystemEyes : IEyes, IDisposable
    {
        private readonly IReadOnlyList<Wish> _wishes;
        private readonly Observer _observer;
        private readonly bool _free;
        private bool _probing;

        public SystemEyes(IReadOnlyList<Wish> wishes, Policy policy)
        {
            _wishes = wishes;
            _free = policy.State == "free";
            _probing = _free || policy.Timeout == 0;
            List<KeyValuePair<string, int>> ports = wishes
                .Select(wish => new KeyValuePair<string, int>(wish.Protocol, wish.Port))
                .Distinct()
                .ToList();
            _observer = new Observer(ports, _free, true, true, true);
        }

        /// <summary>The same eyes for the act stage, which needs the handles as well.</summary>
        public Observer Observer
        {
            get { return _observer; }
        }

        /// <summary>
        /// A whole snapshot, with a bind probe on the ports that nothing listens on or is bound to.
        /// While it binds, a probe can get in the way of a server that is starting. So a report binds once, and a task that waits
        /// for its owner to come not at all.
        /// </summary>
        public Snapshot Look()
        {
            Snapshot snapshot = _observer.Look();
            if (!_probing)
            {
                return snapshot;
            }
            _probing = _free;
            Dictionary<BindKey, bool?> bindable = Probed(snapshot);
            if (HasUnexplained(snapshot, bindable))
            {
                // Somebody came between the look at the tables and the bind, perhaps: then the tables show it now.
                snapshot = _observer.Look();
                bindable = Probed(snapshot);
            }
            if (HasUnexplained(snapshot, bindable))
            {
                snapshot = snapshot.WithExcluded(_observer.ExcludedRanges());
            }
            return snapshot.WithBindable(bindable);
        }

        public IReadOnlyList<Socket> Rows()
        {
            return _observer.Rows();
        }

        public bool Holds(int pid, ICollection<long> ids)
        {
            return _observer.Holds(pid, ids);
        }

        public long? StartTicks(int pid)
        {
            return _observer.StartTicks(pid);
        }

        public void Dispose()
        {
            _observer.Dispose();
        }

        /// <summary>What a bind says where nothing holds the port.</summary>
        private Dictionary<BindKey, bool?> Probed(Snapshot snapshot)
        {
            SocketIndex index = new SocketIndex(snapshot);
            Dictionary<BindKey, bool?> said = new Dictionary<BindKey, bool?>();
            foreach (Wish wish in _wishes.Where(one => !said.ContainsKey(one.Key)))
            {
                WishRows rows = index.Rows(wish);
                if (rows.Holding.Count == 0)
                {
                    bool leftoversOnly = rows.Leftovers.Count > 0 && rows.Outgoing.Count == 0 && rows.Accepted.Count == 0;
                    said[wish.Key] = Probe.Bind(wish.Protocol, wish.Port, wish.Address, leftoversOnly);
                }
            }
            return said;
        }

        /// <summary>Whether a port can't be bound although no row is on it.</summary>
        private static bool HasUnexplained(Snapshot snapshot, Dictionary<BindKey, bool?> bindable)
        {
            return bindable.Any(
                said => said.Value == false
                    && !snapshot.Sockets.Any(row => row.Protocol == said.Key.Protocol && row.Port == said.Key.Port));
        }
    }
}
