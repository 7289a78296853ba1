// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What is behind the ports of PID 4: drivers of Windows, and the programs that HTTP.sys serves. Private to harbormaster.ports.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeHttp;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeTools;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveNetsh;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveText;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveHttp
{
    /// <summary>Ports of the kernel.</summary>
    public static class KernelPorts
    {
        private const string ServiceState = "http show servicestate view=requestq";

        // IIS hands a site's ports to HTTP.sys through these services, and starts its worker processes when it likes.
        public static readonly string[] IisServices = new string[] { "W3SVC", "WAS" };
        private static readonly string[] IisWorkers = new string[] { "w3wp.exe" };

        // Drivers that listen by themselves. They are named by port: the table shows PID 4 for all of them alike.
        private static readonly Dictionary<string, string> Drivers = new Dictionary<string, string>
        {
            { "tcp 445", "the file server of Windows, SMB" },
            { "tcp 139", "NetBIOS over TCP/IP" },
            { "udp 137", "NetBIOS over TCP/IP" },
            { "udp 138", "NetBIOS over TCP/IP" },
            { "tcp 1723", "the VPN server of Windows, PPTP" },
            { "udp 1701", "the VPN server of Windows, L2TP" },
            { "tcp 2049", "the NFS server of Windows" },
            { "udp 2049", "the NFS server of Windows" },
            { "tcp 111", "the NFS server of Windows" },
            { "udp 111", "the NFS server of Windows" },
        };

        /// <summary>Every request queue of HTTP.sys, with the processes that wait on it and its ports.</summary>
        /// <param name="pidOfService">The process of a service; 0 when it does not run.</param>
        /// <param name="imageOf">File name of a process's executable.</param>
        /// <returns>null when netsh can't be asked or says nothing.</returns>
        public static List<HttpQueue> Queues(Func<string, int> pidOfService, Func<int, string> imageOf)
        {
            string said = Netsh.Read(ServiceState);
            if (string.IsNullOrEmpty(said))
            {
                return null;
            }
            int[] iis = IisServices.Select(pidOfService).Where(pid => pid != 0).Distinct().ToArray();
            List<HttpQueue> queues = new List<HttpQueue>();
            foreach (QueueText text in NetshText.Queues(said))
            {
                // Before its first worker starts, an application pool has only the process that controls it.
                bool managed = text.Numbers.Concat(text.Pids).Any(number => iis.Contains(number))
                    || text.Pids.Any(pid => IisWorkers.Contains(imageOf(pid), StringComparer.OrdinalIgnoreCase));
                int[] ports = text.Urls.Select(NetshText.Port).Where(port => port != 0).Distinct().ToArray();
                queues.Add(new HttpQueue(text.Name, text.Pids, text.Urls, ports, managed));
            }
            return queues;
        }

        /// <summary>Port -> URLs that are reserved on it.</summary>
        public static Dictionary<int, IReadOnlyList<string>> Reservations()
        {
            return UrlReservations.Read()
                .Where(url => NetshText.Port(url) != 0)
                .GroupBy(NetshText.Port)
                .ToDictionary(group => group.Key, group => Listed.Of(group.Select(HostText.Printable)));
        }

        /// <summary>What in the kernel has a port of PID 4 that no request queue serves.</summary>
        /// <param name="reserved">Whether a URL is reserved on the port.</param>
        public static string Driver(string protocol, int port, bool reserved)
        {
            string name;
            if (Drivers.TryGetValue(Snapshot.KernelKey(protocol, port), out name))
            {
                return name;
            }
            return reserved ? "HTTP.sys" : "a driver of Windows";
        }
    }
}
