// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Which rows of the socket table a server's bind would meet. Private to harbormaster.ports. Pure.
//
// LISTEN, BOUND, every UDP socket      holding: they block a bind
// connection that a listener accepted  counted, and never touched
// other connection with a process      an outgoing connection: its local port is the wished one
// other row without a process          left over: TIME_WAIT and the like

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideSockets
{
    /// <summary>The rows of one wish, sorted by what they mean for it.</summary>
    public sealed class WishRows
    {
        public readonly IReadOnlyList<Socket> Holding;
        public readonly IReadOnlyList<Socket> Outgoing;
        public readonly IReadOnlyList<Socket> Leftovers;
        public readonly IReadOnlyList<Socket> Accepted;

        public WishRows(
            IEnumerable<Socket> holding, IEnumerable<Socket> outgoing = null, IEnumerable<Socket> leftovers = null,
            IEnumerable<Socket> accepted = null)
        {
            Holding = Listed.Of(holding);
            Outgoing = Listed.Of(outgoing);
            Leftovers = Listed.Of(leftovers);
            Accepted = Listed.Of(accepted);
        }

        /// <summary>What a bind meets, or may meet.</summary>
        public IEnumerable<Socket> Blocking
        {
            get { return Holding.Concat(Outgoing).Concat(Leftovers); }
        }

        /// <summary>How many connections are in this state.</summary>
        public int InState(string state)
        {
            return Outgoing.Concat(Leftovers).Concat(Accepted).Count(row => row.State == state);
        }

        /// <summary>Whether connections stay behind in FIN_WAIT or TIME_WAIT when the holders end in an ordinary way.</summary>
        public bool WillLinger
        {
            get
            {
                string[] closing = { SocketState.TimeWait, "FIN_WAIT1", "FIN_WAIT2", "CLOSING" };
                return Leftovers.Count > 0
                    || Accepted.Any(row => closing.Contains(row.State) || (row.State == SocketState.Established && row.Id != 0));
            }
        }
    }

    /// <summary>The rows of a snapshot by protocol and port, so that 4,096 wishes don't read every row 4,096 times.</summary>
    public sealed class SocketIndex
    {
        private readonly Snapshot _snapshot;
        private readonly ILookup<string, Socket> _rows;

        public SocketIndex(Snapshot snapshot)
        {
            _snapshot = snapshot;
            _rows = snapshot.Sockets.ToLookup(row => Snapshot.KernelKey(row.Protocol, row.Port));
        }

        /// <summary>The rows that count for a wish, in an order that does not depend on the system's.</summary>
        public WishRows Rows(Wish wish)
        {
            List<Socket> rows = _rows[Snapshot.KernelKey(wish.Protocol, wish.Port)].Where(row => Collides(row, wish.Address)).ToList();
            rows.Sort(Order);
            if (wish.Protocol == Protocol.Udp)
            {
                bool client = !wish.Named && IsEphemeral(_snapshot, wish.Port);
                return client ? new WishRows(null, rows) : new WishRows(rows);
            }
            List<Socket> holding = rows.Where(IsHolding).ToList();
            // One of each kind will do: a port can have thousands of connections.
            List<Socket> listeners = holding.Where(row => row.State == SocketState.Listen)
                .GroupBy(row => row.Address + (row.V6Only == true)).Select(group => group.First()).ToList();
            List<Socket> outgoing = new List<Socket>();
            List<Socket> leftovers = new List<Socket>();
            List<Socket> accepted = new List<Socket>();
            foreach (Socket row in rows.Where(row => !IsHolding(row)))
            {
                if (listeners.Any(listener => listener.Accepts(row)))
                {
                    accepted.Add(row);
                }
                else if (row.Id != 0)
                {
                    outgoing.Add(row);
                }
                else
                {
                    leftovers.Add(row);
                }
            }
            return new WishRows(holding, outgoing, leftovers, accepted);
        }

        /// <summary>Whether a bind to an address (null: to all of them) would meet this row.</summary>
        public static bool Collides(Socket row, string address)
        {
            if (address == null || row.Address == address || row.Address == "*")
            {
                return true;
            }
            // An IPv6 wildcard that is not IPv6-only has the IPv4 port too; the tables of Windows can't say, and so it counts.
            bool dual = row.Address == "::" && row.V6Only != true;
            if (!address.Contains(":"))
            {
                return dual || (address == "0.0.0.0" ? !row.Address.Contains(":") : row.Address == "0.0.0.0");
            }
            return address == "::" || row.Address == "::";
        }

        /// <summary>Whether Windows may give this port to an outgoing connection at any moment.</summary>
        public static bool IsEphemeral(Snapshot snapshot, int port)
        {
            return snapshot.EphemeralFirst <= port && port <= snapshot.EphemeralLast && !snapshot.EphemeralReserved.Contains(port);
        }

        /// <summary>A warning about wished ports that an outgoing connection can take.</summary>
        public static IEnumerable<string> EphemeralWarning(IEnumerable<PortPlan> ports)
        {
            int[] numbers = ports.Where(port => port.Ephemeral).Select(port => port.Wish.Port).Distinct().OrderBy(port => port).ToArray();
            if (numbers.Length == 0)
            {
                yield break;
            }
            string more = numbers.Length > 5 ? " and " + (numbers.Length - 5) + " more" : "";
            yield return "port " + string.Join(", ", numbers.Take(5)) + more
                + ": inside the range from which Windows serves outgoing connections, so one of them can take it at any moment; netsh int "
                + "ipv4 add excludedportrange keeps it out";
        }

        /// <summary>Whether a row keeps others from its port: a listener, a bound socket, every socket of UDP.</summary>
        public static bool IsHolding(Socket row)
        {
            return row.Protocol == Protocol.Udp || row.State == SocketState.Listen || row.State == SocketState.Bound;
        }

        private static int Order(Socket one, Socket other)
        {
            int order = string.CompareOrdinal(one.Family, other.Family);
            order = order != 0 ? order : string.CompareOrdinal(one.Address, other.Address);
            order = order != 0 ? order : string.CompareOrdinal(one.State, other.State);
            order = order != 0 ? order : string.CompareOrdinal(one.RemoteAddress, other.RemoteAddress);
            order = order != 0 ? order : one.RemotePort.CompareTo(other.RemotePort);
            order = order != 0 ? order : one.Id.CompareTo(other.Id);
            return order != 0 ? order : string.CompareOrdinal(one.ToString(), other.ToString());
        }
    }
}
