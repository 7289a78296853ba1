// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The words that other tools have for states and endpoints. Private to harbormaster.ports. Pure.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.FactsStates
{
    public static class StateWords
    {
        // Where ss has another word than netstat.
        private static readonly Dictionary<string, string> Ss = new Dictionary<string, string>
        {
            { SocketState.Established, "ESTAB" },
            { SocketState.TimeWait, "TIME-WAIT" },
            { SocketState.CloseWait, "CLOSE-WAIT" },
            { "SYN_SENT", "SYN-SENT" },
            { "SYN_RECV", "SYN-RECV" },
            { "FIN_WAIT1", "FIN-WAIT-1" },
            { "FIN_WAIT2", "FIN-WAIT-2" },
            { "LAST_ACK", "LAST-ACK" },
            { "CLOSE", "UNCONN" },
        };

        // The choices of tcp_filter, which are Windows' own words, in the order in which they are told.
        private static readonly string[] Choices =
        {
            "Bound", "Closed", "CloseWait", "Closing", "DeleteTCB", "Established", "FinWait1", "FinWait2", "LastAck", "Listen",
            "SynReceived", "SynSent", "TimeWait",
        };

        private static readonly Dictionary<string, string> States = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase)
        {
            { "Bound", SocketState.Bound },
            { "Closed", "CLOSE" },
            { "CloseWait", SocketState.CloseWait },
            { "Closing", "CLOSING" },
            { "DeleteTCB", "DELETE_TCB" },
            { "Established", SocketState.Established },
            { "FinWait1", "FIN_WAIT1" },
            { "FinWait2", "FIN_WAIT2" },
            { "LastAck", "LAST_ACK" },
            { "Listen", SocketState.Listen },
            { "SynReceived", "SYN_RECV" },
            { "SynSent", "SYN_SENT" },
            { "TimeWait", SocketState.TimeWait },
        };

        /// <summary>Our states for the words of tcp_filter, in whatever case.</summary>
        /// <exception cref="OptionError">Another word, and none at all.</exception>
        public static ISet<string> OfFilter(IReadOnlyList<string> words)
        {
            string allowed = "allowed are " + string.Join(", ", Choices);
            if (words.Count == 0)
            {
                throw new OptionError(
                    "tcp_filter", words, "an empty list is not allowed, it could mean all or none; " + allowed);
            }
            string unknown = words.FirstOrDefault(word => !States.ContainsKey(word.Trim()));
            if (unknown != null)
            {
                throw new OptionError("tcp_filter", unknown, allowed);
            }
            return new HashSet<string>(words.Select(word => States[word.Trim()]));
        }

        /// <summary>The state as netstat or ss has it.</summary>
        public static string Of(Socket row, bool ss)
        {
            string word;
            return ss && Ss.TryGetValue(row.State, out word) ? word : row.State;
        }

        /// <summary>The other end as netstat or ss has it: 192.0.2.7:443, 0.0.0.0:* where there is none.</summary>
        public static string ForeignAddress(Socket row, bool ss)
        {
            bool v6 = row.Family == Family.IPv6;
            if (row.RemoteAddress.Length == 0 && row.RemotePort == 0)
            {
                if (!v6)
                {
                    return "0.0.0.0:*";
                }
                if (!ss)
                {
                    return ":::*";
                }
                return row.Address == "::" && row.V6Only == false ? "*:*" : "[::]:*";
            }
            string address = row.RemoteAddress.Length > 0 ? row.RemoteAddress : v6 ? "::" : "0.0.0.0";
            if (ss && v6)
            {
                // IPv4 clients of a dual-stack socket: the model has them as plain IPv4.
                address = address.Contains(":") ? "[" + address + "]" : "[::ffff:" + address + "]";
            }
            return address + ":" + row.RemotePort;
        }
    }
}
