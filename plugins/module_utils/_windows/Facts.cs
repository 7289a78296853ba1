// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// From the options of a task to its facts. Private to harbormaster.ports: the entry of win_listen_ports_facts.

using System.Collections;
using System.Collections.Generic;
using System.Linq;
using System.Net.NetworkInformation;
using Ansible.Basic;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.FactsDates;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.FactsRows;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.FactsStates;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Observe;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Facts
{
    public static class ListenPortsFacts
    {
        /// <summary>Look at the whole host once, and put it into the module's result. Ends by FailJson where that can't be done.</summary>
        public static void Run(AnsibleModule module)
        {
            PortsError failure;
            try
            {
                Gather(module.Params, module.Result);
                return;
            }
            catch (PortsError error)
            {
                failure = error;
            }
            catch (NativeError error)
            {
                failure = new PortsError(Codes.SourceRefused, "the system can't be read: " + error.Message);
            }
            // Outside of the catch: FailJson ends the module by an exception.
            module.Result["reason"] = failure.Code;
            module.FailJson(failure.Message);
        }

        private static void Gather(IDictionary options, IDictionary<string, object> result)
        {
            View view = ParseView(options);
            Snapshot snapshot;
            bool owners = view.Details != View.None;
            using (Observer observer = new Observer(null, false, view.Connections, owners, view.Details == View.Full))
            {
                snapshot = observer.Look();
                result["ephemeral"] = Ephemeral(observer);
            }
            view.Interfaces = Interfaces(snapshot);
            Rows rows = new Rows(snapshot, view);
            Dictionary<string, object> facts = rows.Facts();
            result["msg"] = rows.Message(facts);
            result["ansible_facts"] = facts;
        }

        /// <summary>What the task wants to see.</summary>
        /// <exception cref="OptionError">Values that can't be used, or not together.</exception>
        private static View ParseView(IDictionary options)
        {
            List<string> filter = ((IEnumerable)options["tcp_filter"]).Cast<string>().ToList();
            ISet<string> tcp = StateWords.OfFilter(filter);
            bool everything = (bool)options["include_non_listening"];
            bool filtered = !tcp.SetEquals(new[] { SocketState.Listen });
            if (everything && filtered)
            {
                throw new OptionError(
                    "tcp_filter", string.Join(", ", filter),
                    "it excludes include_non_listening, which shows all states; say one of them");
            }
            return new View
            {
                Ss = (string)options["command"] == "ss",
                Connections = everything || filtered,
                Tcp = everything ? null : tcp,
                Udp = everything ? null : new HashSet<string> { SocketState.Unconnected },
                Details = (string)options["details"],
                Date = DateFormat.Parse((string)options["date_uformat"]),
            };
        }

        /// <summary>The ports that Windows gives to outgoing connections by itself: by protocol, first and last of each range.</summary>
        private static Dictionary<string, object> Ephemeral(Observer observer)
        {
            Dictionary<string, object> ranges = new Dictionary<string, object>();
            foreach (string protocol in new[] { Protocol.Tcp, Protocol.Udp })
            {
                int[] range = observer.DynamicPorts(protocol);
                ranges[protocol] = range == null ? new List<object>() : new List<object> { range };
            }
            return ranges;
        }

        /// <summary>Names of the interfaces that sockets are bound to. Most hosts have no such socket, and are not asked.</summary>
        private static Dictionary<int, string> Interfaces(Snapshot snapshot)
        {
            Dictionary<int, string> names = new Dictionary<int, string>();
            if (!snapshot.Sockets.Any(row => row.Interface != 0))
            {
                return names;
            }
            try
            {
                foreach (NetworkInterface one in NetworkInterface.GetAllNetworkInterfaces())
                {
                    if (one.Supports(NetworkInterfaceComponent.IPv6))
                    {
                        names[one.GetIPProperties().GetIPv6Properties().Index] = one.Name;
                    }
                }
            }
            catch (NetworkInformationException)
            {
                // One has gone since: the row has no name for it then.
                return names;
            }
            return names;
        }
    }
}
