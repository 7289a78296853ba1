// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Service names of ports, as this host knows them. Private to harbormaster.ports.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Text;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.PortNames
{
    /// <summary>The host's table of services (the file that getservbyname reads too), read when it is first asked.</summary>
    public sealed class PortNameTable
    {
        private static readonly Lazy<PortNameTable> Own = new Lazy<PortNameTable>(Load);

        // In the order of the file: the first one wins.
        private readonly Dictionary<string, int> _ports = new Dictionary<string, int>(StringComparer.OrdinalIgnoreCase);
        private readonly Dictionary<string, string> _names = new Dictionary<string, string>();

        /// <param name="text">Lines of NAME PORT/PROTOCOL [ALIAS ...] [# comment]; others are passed over.</param>
        public PortNameTable(string text)
        {
            foreach (string line in text.Split('\n'))
            {
                string[] words = line.Split('#')[0].Split(new[] { ' ', '\t', '\r' }, StringSplitOptions.RemoveEmptyEntries);
                string[] place = words.Length < 2 ? new string[0] : words[1].Split('/');
                int port;
                if (place.Length != 2 || !int.TryParse(place[0], NumberStyles.None, CultureInfo.InvariantCulture, out port))
                {
                    continue;
                }
                Add(words[0], port, place[1].ToLowerInvariant());
                for (int at = 2; at < words.Length; at++)
                {
                    Add(words[at], port, place[1].ToLowerInvariant());
                }
            }
        }

        public static PortNameTable OfThisHost
        {
            get { return Own.Value; }
        }

        /// <summary>The port of a service name; null when there is none.</summary>
        /// <param name="protocol">tcp or udp; null for the first of any.</param>
        public int? Port(string name, string protocol)
        {
            int port;
            return _ports.TryGetValue(name + "/" + protocol, out port) ? port : (int?)null;
        }

        /// <summary>The service name of a port; null when it has none.</summary>
        public string Name(int port, string protocol)
        {
            string name;
            return _names.TryGetValue(port + "/" + protocol, out name) ? name : null;
        }

        private void Add(string name, int port, string protocol)
        {
            foreach (string key in new[] { name + "/" + protocol, name + "/" })
            {
                if (!_ports.ContainsKey(key))
                {
                    _ports[key] = port;
                }
            }
            if (!_names.ContainsKey(port + "/" + protocol))
            {
                _names[port + "/" + protocol] = name;
            }
        }

        private static PortNameTable Load()
        {
            try
            {
                string etc = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.System), "drivers\\etc\\services");
                return new PortNameTable(File.ReadAllText(etc, Encoding.ASCII));
            }
            catch (IOException)
            {
                // A host without the file knows no names: that is no reason to say nothing about its ports.
                return new PortNameTable("");
            }
            catch (UnauthorizedAccessException)
            {
                return new PortNameTable("");
            }
        }
    }
}
