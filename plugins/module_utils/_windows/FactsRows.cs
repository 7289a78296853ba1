// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// From a snapshot to the facts: the keys of the module's documentation. Private to harbormaster.ports. Pure.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.FactsDates;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.FactsStates;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.FactsRows
{
    /// <summary>What the task wants to see of a snapshot.</summary>
    public sealed class View
    {
        public const string None = "none";
        public const string Full = "full";

        /// <summary>Words and rows as ss-based users have them: one row a sharer.</summary>
        public bool Ss;
        /// <summary>The keys that only say something of connections, too.</summary>
        public bool Connections;
        /// <summary>TCP states to be shown, null for all.</summary>
        public ISet<string> Tcp;
        /// <summary>UDP states likewise.</summary>
        public ISet<string> Udp;
        /// <summary>none, process or full.</summary>
        public string Details;
        /// <summary>Format of stime.</summary>
        public DateFormat Date;
        /// <summary>Index -> name.</summary>
        public IDictionary<int, string> Interfaces = new Dictionary<int, string>();
    }

    /// <summary>The rows of one snapshot, as one task wants to see them.</summary>
    public sealed class Rows
    {
        // owner_status, beside the codes of what could not be seen.
        private const string Known = "known";
        private const string NotAsked = "not_asked";
        private const string Ownerless = "none";
        private const string Kernel = "kernel";
        private const string Ghost = "ghost";
        private const string Unknown = "unknown";

        // Reasons for an unknown owner that are as they should be, and not for people to look into.
        private static readonly string[] Expected = { NotAsked, Ownerless, Kernel };

        private readonly Snapshot _snapshot;
        private readonly View _view;
        private readonly string _why;
        private readonly Dictionary<int, Dictionary<string, object>> _people;

        public Rows(Snapshot snapshot, View view)
        {
            _snapshot = snapshot;
            _view = view;
            _why = snapshot.Blind.Count > 0 ? snapshot.Blind[0].Code : Unknown;
            _people = snapshot.Processes.Values.ToDictionary(process => process.Pid, Person);
        }

        /// <summary>tcp_listen and udp_listen, always both.</summary>
        public Dictionary<string, object> Facts()
        {
            List<object> tcp = new List<object>();
            List<object> udp = new List<object>();
            Dictionary<string, string> before = new Dictionary<string, string>();
            foreach (Socket row in Wanted())
            {
                IReadOnlyList<int> pids = RootFirst(row);
                // Rows that differ in nothing are one row, as netstat-based users have it.
                string looks = string.Join(
                    "|", row.Address, row.Port, row.State, row.RemoteAddress, row.RemotePort, row.V6Only, row.Interface, row.Service,
                    string.Join(",", pids), row.Pid);
                if (!_view.Ss && before.ContainsKey(row.Protocol) && before[row.Protocol] == looks)
                {
                    continue;
                }
                before[row.Protocol] = looks;
                AddRows(row.Protocol == Protocol.Tcp ? tcp : udp, row, pids);
            }
            return new Dictionary<string, object> { { "tcp_listen", tcp }, { "udp_listen", udp } };
        }

        /// <summary>One line for people: how much was found, and what would show the owners that are missing.</summary>
        public string Message(Dictionary<string, object> found)
        {
            List<object> tcp = (List<object>)found["tcp_listen"];
            List<object> udp = (List<object>)found["udp_listen"];
            int hidden = tcp.Concat(udp).Cast<Dictionary<string, object>>().Count(IsHidden);
            List<string> parts = new List<string> { tcp.Count + " TCP and " + udp.Count + " UDP sockets" };
            if (hidden > 0)
            {
                parts.Add("the owners of " + hidden + " are not known");
            }
            parts.AddRange(_snapshot.Blind.Select(blind => blind.Text).Distinct());
            parts.AddRange(_snapshot.Blind.Select(blind => blind.Advice).Where(advice => advice.Length > 0).Distinct());
            return string.Join("; ", parts);
        }

        private static bool IsHidden(Dictionary<string, object> row)
        {
            return row["pid"] == null && !Expected.Contains((string)row["owner_status"]);
        }

        /// <summary>The sockets that the task wants to see, in an order that does not depend on the system's.</summary>
        private IEnumerable<Socket> Wanted()
        {
            return _snapshot.Sockets
                .Where(row => Shows(row.Protocol == Protocol.Tcp ? _view.Tcp : _view.Udp, row.State))
                .OrderBy(row => row.Port)
                .ThenBy(row => row.Family, StringComparer.Ordinal)
                .ThenBy(row => row.Address, StringComparer.Ordinal)
                .ThenBy(row => row.RemoteAddress, StringComparer.Ordinal)
                .ThenBy(row => row.RemotePort)
                .ThenBy(row => row.Pid);
        }

        private static bool Shows(ISet<string> states, string state)
        {
            return states == null || states.Contains(state);
        }

        /// <summary>Who shares a socket, the main owner first: the first one that has none of the others above it.</summary>
        private IReadOnlyList<int> RootFirst(Socket row)
        {
            IReadOnlyList<int> owners;
            if (row.Id == 0 || !_snapshot.Owners.TryGetValue(row.Id, out owners))
            {
                return new int[0];
            }
            List<int> pids = owners.Where(pid => _snapshot.Processes.ContainsKey(pid)).ToList();
            return pids.OrderBy(pid => _snapshot.Processes[pid].Ancestors.Intersect(pids).Any()).ToList();
        }

        private void AddRows(List<object> rows, Socket row, IReadOnlyList<int> pids)
        {
            IReadOnlyList<int> heirs;
            bool ghost = _snapshot.Ghosts.TryGetValue(row.Pid, out heirs);
            IEnumerable<int> sharers = ghost ? heirs.Where(pid => _people.ContainsKey(pid)) : pids;
            List<object> owners = sharers.Select(pid => (object)Of(row, pid)).ToList();
            string status = ghost ? Ghost : pids.Count > 0 ? Known : Status(row);
            // Those who may have inherited a socket are guesses: none of them is the main owner.
            IEnumerable<object> who = ghost || owners.Count == 0 ? new object[] { null } : _view.Ss ? owners : owners.Take(1);
            foreach (object owner in who)
            {
                rows.Add(Row(row, (Dictionary<string, object>)owner, owners, status));
            }
        }

        /// <summary>Why a socket has no owner here.</summary>
        private string Status(Socket row)
        {
            if (_view.Details == View.None)
            {
                return NotAsked;
            }
            if (row.Id == 0)
            {
                return Ownerless;
            }
            return KernelName(row) != null ? Kernel : _why;
        }

        private string KernelName(Socket row)
        {
            string name;
            return _snapshot.Kernel.TryGetValue(Snapshot.KernelKey(row.Protocol, row.Port), out name) ? name : null;
        }

        private Dictionary<string, object> Row(
            Socket socket, Dictionary<string, object> owner, List<object> owners, string status)
        {
            Dictionary<string, object> row = new Dictionary<string, object>
            {
                { "address", socket.Address },
                { "port", socket.Port },
                { "protocol", socket.Protocol },
                { "pid", null },
                { "name", status == Kernel ? KernelName(socket) : null },
                { "user", null },
                { "stime", null },
                { "started", null },
                { "service", null },
                { "container", null },
                { "family", socket.Family },
                { "v6only", socket.V6Only },
                { "interface", InterfaceName(socket) },
                { "owner_status", status },
                { "owners", owners },
            };
            if (_view.Details == View.Full)
            {
                row["exe"] = null;
                row["command"] = null;
            }
            foreach (KeyValuePair<string, object> known in owner ?? new Dictionary<string, object>())
            {
                row[known.Key] = known.Value;
            }
            if (_view.Connections)
            {
                row["state"] = StateWords.Of(socket, _view.Ss);
                row["foreign_address"] = StateWords.ForeignAddress(socket, _view.Ss);
                row["remote_address"] = socket.RemoteAddress.Length > 0 ? socket.RemoteAddress : null;
                row["remote_port"] = socket.RemotePort != 0 ? (object)socket.RemotePort : null;
            }
            return row;
        }

        private string InterfaceName(Socket row)
        {
            string name;
            return row.Interface != 0 && _view.Interfaces.TryGetValue(row.Interface, out name) ? name : null;
        }

        /// <summary>A process as the owner of one socket: of several services in it, the one that the socket belongs to.</summary>
        private Dictionary<string, object> Of(Socket row, int pid)
        {
            if (row.Service == null)
            {
                return _people[pid];
            }
            Dictionary<string, object> person = new Dictionary<string, object>(_people[pid]);
            person["service"] = row.Service;
            return person;
        }

        /// <summary>One entry of owners; of the main owner these are keys of the row itself too.</summary>
        private Dictionary<string, object> Person(Process process)
        {
            double? started = process.Started;
            Dictionary<string, object> person = new Dictionary<string, object>
            {
                { "pid", process.Pid },
                { "name", Stem(process.Name) },
                { "user", process.User },
                { "stime", started.HasValue ? _view.Date.Of(started.Value) : null },
                { "started", started.HasValue ? DateFormat.Iso(started.Value) : null },
                { "service", process.Services.Count == 1 ? process.Services[0] : null },
                { "container", null },
            };
            if (_view.Details == View.Full)
            {
                person["exe"] = process.Exe;
                person["command"] = process.Command;
            }
            return person;
        }

        /// <summary>The name without .exe, as Get-Process and the facts of others have it.</summary>
        private static string Stem(string name)
        {
            return name.EndsWith(".exe", StringComparison.OrdinalIgnoreCase) ? name.Substring(0, name.Length - 4) : name;
        }
    }
}
