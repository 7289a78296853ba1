// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Which processes may carry the Ansible connection. Private to harbormaster.ports.
//
// Stopping what the task itself hangs on leaves a host half done and out of reach. Ancestry alone does not find it: async
// and become detach the module from its connection. So a process counts as a carrier when
//
// * it has the very connection that SSH_CONNECTION names, or is the local other end of it;
// * it is an SSH server with an open connection, and our own session can't be told;
// * it runs the service WinRM, unless our own session is known to come by SSH;
// * it is an agent that takes tasks from elsewhere, with an open connection: these look the same for everybody.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveCarriers
{
    /// <summary>An SSH session as sshd writes it into SSH_CONNECTION: the client's end, the server's end.</summary>
    public sealed class SshSession
    {
        public readonly string Client;
        public readonly int ClientPort;
        public readonly string Server;
        public readonly int ServerPort;

        private SshSession(string client, int clientPort, string server, int serverPort)
        {
            Client = client;
            ClientPort = clientPort;
            Server = server;
            ServerPort = serverPort;
        }

        /// <summary>Understand SSH_CONNECTION: four words. Null for anything else, such as a connection without TCP.</summary>
        public static SshSession Parse(string value)
        {
            string[] words = (value ?? "").Split(new char[] { ' ', '\t' }, StringSplitOptions.RemoveEmptyEntries);
            int near, far;
            if (words.Length != 4
                || !int.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out far)
                || !int.TryParse(words[3], NumberStyles.None, CultureInfo.InvariantCulture, out near))
            {
                return null;
            }
            // Link-local addresses carry their interface (fe80::1%12), which a row has elsewhere.
            return new SshSession(words[0].Split('%')[0], far, words[2].Split('%')[0], near);
        }

        /// <summary>Whether this row is the server's end of the session.</summary>
        public bool IsServerEnd(Socket row)
        {
            return row.Address == Server && row.Port == ServerPort && row.RemoteAddress == Client && row.RemotePort == ClientPort;
        }

        /// <summary>Whether this row is the client's end, on this very host: a tunnel in front of sshd.</summary>
        public bool IsClientEnd(Socket row)
        {
            return row.Address == Client && row.Port == ClientPort && row.RemoteAddress == Server && row.RemotePort == ServerPort;
        }
    }

    /// <summary>The search for carriers.</summary>
    public static class Carriers
    {
        private const string WinRm = "WinRM";

        private static readonly string[] SshServers = new string[] { "sshd.exe", "sshd-session.exe", "sshd-auth.exe" };

        // The twin of AGENTS in _known.py, as far as these are there on Windows; their services are launchers in DecideTables.cs.
        private static readonly string[] Agents = new string[]
        {
            "Agent.Listener.exe",
            "Runner.Listener.exe",
            "Tentacle.exe",
            "WaAppAgent.exe",
            "WindowsAzureGuestAgent.exe",
            "amazon-ssm-agent.exe",
            "buildkite-agent.exe",
            "cloudflared.exe",
            "gitlab-runner.exe",
            "google_osconfig_agent.exe",
            "pxp-agent.exe",
            "receptor.exe",
            "salt-minion.exe",
            "ssm-agent-worker.exe",
            "ssm-session-worker.exe",
            "tailscaled.exe",
            "teleport.exe",
            "vmtoolsd.exe",
        };

        /// <summary>Whether connections have to be read: not where nobody who could be a carrier is there.</summary>
        public static bool NeedConnections(IEnumerable<Process> holders, SshSession session)
        {
            return session != null || holders.Any(one => IsOneOf(one, SshServers) || IsOneOf(one, Agents));
        }

        /// <summary>Pid -> why it may carry our connection, as the end of a sentence that begins with the process.</summary>
        /// <param name="holders">Who may have to be stopped.</param>
        /// <param name="established">Every established TCP connection of the host; only needed as <see cref="NeedConnections"/> says.</param>
        /// <param name="session">The SSH session of this module, null when it has none.</param>
        public static Dictionary<int, string> Among(IEnumerable<Process> holders, IList<Socket> established, SshSession session)
        {
            Dictionary<int, string> found = new Dictionary<int, string>();
            HashSet<int> connected = new HashSet<int>(established.Select(row => row.Pid));
            HashSet<int> near = new HashSet<int>();
            HashSet<int> far = new HashSet<int>();
            if (session != null)
            {
                near.UnionWith(established.Where(session.IsServerEnd).Select(row => row.Pid));
                far.UnionWith(established.Where(session.IsClientEnd).Select(row => row.Pid));
            }
            foreach (Process one in holders)
            {
                string why = Why(one, connected.Contains(one.Pid), near, far);
                if (why != null)
                {
                    found[one.Pid] = why;
                }
            }
            return found;
        }

        private static string Why(Process one, bool connected, HashSet<int> near, HashSet<int> far)
        {
            if (near.Contains(one.Pid))
            {
                return "has the very connection that SSH_CONNECTION names";
            }
            if (far.Contains(one.Pid))
            {
                return "is the near end of the SSH connection that runs this task";
            }
            if (near.Count == 0 && connected && IsOneOf(one, SshServers))
            {
                return "is an SSH server with an open connection, and can't be told from the one that runs this task";
            }
            if (near.Count == 0 && one.Services.Contains(WinRm, StringComparer.OrdinalIgnoreCase))
            {
                return "runs WinRM, and may be what runs this task";
            }
            if (connected && IsOneOf(one, Agents))
            {
                return "is an agent with an open connection, and may be what runs this task";
            }
            return null;
        }

        private static bool IsOneOf(Process process, string[] names)
        {
            return names.Contains(process.Name, StringComparer.OrdinalIgnoreCase);
        }
    }
}
