// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What is behind the rows of one look. Private to harbormaster.ports.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeProcesses;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeSockets;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveCarriers;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveHttp;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveProcesses;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveTables;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveSight
{
    /// <summary>What a run wants to see.</summary>
    public sealed class Question
    {
        /// <summary>Every port of the host.</summary>
        public readonly bool All;
        /// <summary>The sockets that the holders have on other ports, too.</summary>
        public readonly bool Others;
        private readonly HashSet<int> _tcpPorts;
        private readonly HashSet<int> _udpPorts;
        private readonly bool _everything;

        /// <param name="ports">(protocol, port) pairs; null for all ports of the host.</param>
        /// <param name="everything">With all ports: connections and what they have left too; else listeners and UDP alone.</param>
        public Question(ICollection<KeyValuePair<string, int>> ports, bool others, bool everything)
        {
            All = ports == null;
            Others = others;
            _tcpPorts = PortsOf(ports, Protocol.Tcp);
            _udpPorts = PortsOf(ports, Protocol.Udp);
            _everything = everything;
        }

        /// <summary>Whether ports of this protocol are asked for.</summary>
        public bool Asks(string protocol)
        {
            return All || (protocol == Protocol.Tcp ? _tcpPorts : _udpPorts).Count > 0;
        }

        /// <summary>Whether a row is on an asked port; with all ports, whether it is one of those to be shown.</summary>
        public bool Wants(TableRow row)
        {
            if (!All)
            {
                return (row.Tcp ? _tcpPorts : _udpPorts).Contains(row.Port) && row.State != null;
            }
            return _everything ? row.State != null : IsServer(row);
        }

        /// <summary>Whether a row keeps others from its port for good: a listener, or any UDP socket.</summary>
        public static bool IsServer(TableRow row)
        {
            return !row.Tcp || row.State == SocketState.Listen;
        }

        private static HashSet<int> PortsOf(ICollection<KeyValuePair<string, int>> ports, string protocol)
        {
            return new HashSet<int>((ports ?? new KeyValuePair<string, int>[0]).Where(one => one.Key == protocol).Select(one => one.Value));
        }
    }

    /// <summary>What is behind the rows of one look.</summary>
    public sealed class Sight
    {
        private const int DynamicFirst = 49152;
        private const int DynamicLast = 65535;

        private readonly Question _question;
        private readonly ProcessBook _book;
        private readonly List<SocketTable> _tables;
        private readonly List<TableRow> _rows;
        private readonly HashSet<int> _dead;
        private readonly ServiceBook _services;
        private readonly List<Socket> _sockets = new List<Socket>();
        private readonly Dictionary<long, IReadOnlyList<int>> _owners = new Dictionary<long, IReadOnlyList<int>>();
        private readonly Dictionary<int, IReadOnlyList<int>> _ghosts = new Dictionary<int, IReadOnlyList<int>>();
        private readonly Dictionary<int, Process> _processes = new Dictionary<int, Process>();
        private readonly List<Blind> _blind = new List<Blind>();

        /// <param name="tables">The tables that the rows came from.</param>
        /// <param name="dead">Pids of rows that no living process has.</param>
        public Sight(
            Question question, ProcessBook book, List<SocketTable> tables, List<TableRow> rows, HashSet<int> dead, ServiceBook services)
        {
            _question = question;
            _book = book;
            _tables = tables;
            _rows = rows;
            _dead = dead;
            _services = services;
        }

        /// <summary>Find out all of it.</summary>
        /// <param name="elevated">This account is an administrator with its rights.</param>
        /// <param name="session">The SSH session of this module, null for none.</param>
        /// <param name="dynamicPorts">First and last port that Windows gives to outgoing connections of a protocol; null when it does not say.</param>
        public Snapshot Seen(bool elevated, SshSession session, Func<string, int[]> dynamicPorts)
        {
            foreach (TableRow row in _rows)
            {
                Add(row);
            }
            HashSet<int> holders = new HashSet<int>(_owners.Values.SelectMany(pids => pids));
            bool kernel = !_question.All && holders.Contains(ProcessBook.SystemPid);
            List<HttpQueue> queues = kernel ? Queues(elevated) : null;
            HashSet<int> known = new HashSet<int>(holders);
            known.UnionWith(_ghosts.Values.SelectMany(pids => pids));
            if (queues != null)
            {
                known.UnionWith(queues.SelectMany(queue => queue.Pids).Where(_book.Lives));
            }
            Know(known);
            if (_services.Refused != null)
            {
                _blind.Add(new Blind(
                    "services", "the service manager can't be asked: " + _services.Refused.Message, 1, "run the task as an elevated administrator"));
            }
            Dictionary<string, Service> services = Services(queues);
            List<int> self = _book.AncestorsOf(ProcessList.OwnPid);
            self.Add(ProcessList.OwnPid);
            Dictionary<int, IReadOnlyList<string>> reservations = kernel ? KernelPorts.Reservations() : null;
            int[] dynamic = DynamicRange(dynamicPorts);
            return new Snapshot(
                _sockets,
                _owners,
                _processes,
                _question.Others ? OtherSockets(holders) : null,
                services,
                _ghosts,
                queues,
                reservations,
                null,
                _blind,
                kernel ? Kernel(queues, reservations) : null,
                dynamic[0],
                dynamic[1],
                null,
                self,
                CarriersAmong(session),
                mayClose: elevated,
                elevated: elevated);
        }

        private void Add(TableRow row)
        {
            int pid = row.Pid;
            if (pid == ProcessBook.IdlePid)
            {
                _sockets.Add(row.ToSocket(null));
                return;
            }
            bool dead = _dead.Contains(pid) || IsTakenOver(row);
            Socket socket = row.ToSocket(dead ? null : ServiceOf(row));
            _sockets.Add(socket);
            if (!dead)
            {
                _owners[socket.Id] = new int[] { pid };
                return;
            }
            IReadOnlyList<int> before;
            IEnumerable<int> heirs = Heirs(row);
            _ghosts[pid] = Listed.Of(_ghosts.TryGetValue(pid, out before) ? before.Union(heirs).OrderBy(one => one) : heirs.OrderBy(one => one));
        }

        /// <summary>
        /// Whether the pid of a row means another process by now: it began after the socket was bound, and has a "child" that
        /// is older than itself, so there was another one with its pid. The clock alone would not do: it may have been set.
        /// </summary>
        private bool IsTakenOver(TableRow row)
        {
            long bound = row.Created, began = bound == 0 ? 0 : _book.CreatedOf(row.Pid);
            if (bound == 0 || began <= bound)
            {
                return false;
            }
            return _book.ChildrenOf(row.Pid).Any(child => IsBefore(_book.CreatedOf(child), began));
        }

        /// <summary>Living children of a dead process that may have inherited the socket: those that began when it was there.</summary>
        private IEnumerable<int> Heirs(TableRow row)
        {
            long bound = row.Created;
            long began = _dead.Contains(row.Pid) ? 0 : _book.CreatedOf(row.Pid);
            return _book.ChildrenOf(row.Pid).Where(child =>
            {
                long born = _book.CreatedOf(child);
                return !IsBefore(born, bound) && (began == 0 || IsBefore(born, began));
            });
        }

        private static bool IsBefore(long time, long other)
        {
            return time != 0 && other != 0 && time < other;
        }

        /// <summary>The service that has a row of a process with several; null where the process says it all, or nobody does.</summary>
        private string ServiceOf(TableRow row)
        {
            IReadOnlyList<string> there = _services.In(row.Pid);
            if (there.Count < 2)
            {
                return null;
            }
            string module = SocketTables.OwnerModule(row.Tcp, row.Family, row.Bytes);
            return there.FirstOrDefault(name => string.Equals(name, module, StringComparison.OrdinalIgnoreCase));
        }

        /// <summary>Describe these processes and all their ancestors.</summary>
        private void Know(IEnumerable<int> pids)
        {
            foreach (int pid in pids)
            {
                Know(pid);
                foreach (int ancestor in _processes[pid].Ancestors)
                {
                    Know(ancestor);
                }
            }
        }

        private void Know(int pid)
        {
            if (!_processes.ContainsKey(pid))
            {
                _processes[pid] = _book.Describe(pid, _services.In(pid), !_question.All);
            }
        }

        /// <summary>
        /// The services of all known processes, those that manage IIS, and all that depend on them; their processes are known then
        /// too. With all ports of the host the names, which the processes have, are enough.
        /// </summary>
        private Dictionary<string, Service> Services(List<HttpQueue> queues)
        {
            if (_question.All || _services.Refused != null)
            {
                return null;
            }
            IEnumerable<string> names = _processes.Values.SelectMany(one => one.Services);
            if (queues != null && queues.Any(queue => queue.Iis))
            {
                names = names.Concat(KernelPorts.IisServices);
            }
            Dictionary<string, Service> found = _services.Describe(names);
            Know(found.Values.Select(service => service.Pid).Where(pid => pid != 0).ToList());
            return found;
        }

        private List<HttpQueue> Queues(bool elevated)
        {
            List<HttpQueue> queues = KernelPorts.Queues(_services.PidOf, _book.ImageOf);
            if (queues == null || (queues.Count == 0 && !elevated))
            {
                _blind.Add(new Blind("http_sys", "netsh does not say which programs HTTP.sys serves", 1, "run the task as an elevated administrator"));
            }
            return queues;
        }

        private Dictionary<string, string> Kernel(List<HttpQueue> queues, Dictionary<int, IReadOnlyList<string>> reservations)
        {
            Dictionary<string, string> found = new Dictionary<string, string>();
            foreach (Socket row in _sockets.Where(one => one.Pid == ProcessBook.SystemPid))
            {
                bool served = row.Protocol == Protocol.Tcp && queues != null && queues.Any(queue => queue.Ports.Contains(row.Port));
                if (!served)
                {
                    found[Model.Snapshot.KernelKey(row.Protocol, row.Port)] =
                        KernelPorts.Driver(row.Protocol, row.Port, row.Protocol == Protocol.Tcp && reservations.ContainsKey(row.Port));
                }
            }
            return found;
        }

        /// <summary>Rows that the holders have elsewhere and that a bind would meet; those of drivers are not theirs to give.</summary>
        private IEnumerable<Socket> OtherSockets(HashSet<int> holders)
        {
            List<Socket> found = new List<Socket>();
            foreach (SocketTable table in _tables)
            {
                for (int index = 0; index < table.Count; index++)
                {
                    TableRow row = table[index];
                    int pid = row.Pid;
                    if (pid == ProcessBook.SystemPid || !holders.Contains(pid) || _question.Wants(row) || !Question.IsServer(row))
                    {
                        continue;
                    }
                    Socket socket = row.ToSocket(ServiceOf(row));
                    found.Add(socket);
                    _owners[socket.Id] = new int[] { pid };
                }
            }
            return found;
        }

        /// <summary>Windows' own default, unless UDP sockets outside it are to be judged: then whether they are clients matters.</summary>
        private int[] DynamicRange(Func<string, int[]> dynamicPorts)
        {
            int[] usual = new int[] { DynamicFirst, DynamicLast };
            if (_question.All || !_sockets.Any(row => row.Protocol == Protocol.Udp && row.Port < DynamicFirst))
            {
                return usual;
            }
            return dynamicPorts(Protocol.Udp) ?? usual;
        }

        private Dictionary<int, string> CarriersAmong(SshSession session)
        {
            if (_question.All)
            {
                return null;
            }
            List<Socket> established = new List<Socket>();
            if (Carriers.NeedConnections(_processes.Values, session))
            {
                foreach (SocketTable table in _tables.Any(one => one.Tcp) ? _tables : AllTables.Read(true, false))
                {
                    for (int index = 0; table.Tcp && index < table.Count; index++)
                    {
                        TableRow row = table[index];
                        if (row.State == SocketState.Established)
                        {
                            established.Add(row.ToSocket(null));
                        }
                    }
                }
            }
            return Carriers.Among(_processes.Values, established, session);
        }
    }
}
