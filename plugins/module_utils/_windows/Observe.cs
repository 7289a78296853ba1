// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// One look at the system, and the handles that live through all looks of a run. Private to harbormaster.ports.
//
// Each look reads every list once: the socket tables, the processes, the services. What is behind the rows is asked only when
// there are any, and only of those that have them: a run on a free port pays for nothing else.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeProcesses;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeTools;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveCarriers;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveNetsh;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveProcesses;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveSight;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveTables;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Observe
{
    /// <summary>The observe stage for the ports of one task. One a run; it owns every handle that was opened before the decision.</summary>
    public sealed class Observer : IDisposable
    {
        // A process that ends between two of our lists leaves a row without a process behind, for a moment.
        private const int LooksAtGhosts = 3;
        private const int GhostPauseMilliseconds = 50;

        private readonly Question _question;
        private readonly bool _owners;
        private readonly ProcessBook _book;
        private readonly bool _elevated;
        private readonly SshSession _session;
        private readonly Dictionary<string, int[]> _dynamic = new Dictionary<string, int[]>();
        private List<ExcludedRange> _excluded;

        /// <param name="ports">(protocol, port) pairs; null for all ports of the host.</param>
        /// <param name="others">Also find the sockets that the holders have on other ports.</param>
        /// <param name="everything">With all ports: connections and what they have left too; else listeners and UDP alone.</param>
        /// <param name="owners">Look for the processes behind the rows.</param>
        /// <param name="commands">Read their command lines too.</param>
        public Observer(ICollection<KeyValuePair<string, int>> ports, bool others, bool everything, bool owners, bool commands)
        {
            _question = new Question(ports, others, everything);
            _owners = owners;
            _book = new ProcessBook(commands);
            OpenedProcess.UseDebugPrivilege();
            _elevated = ServiceManager.WeAreElevated;
            _session = SshSession.Parse(Environment.GetEnvironmentVariable("SSH_CONNECTION"));
        }

        /// <summary>See who holds the ports.</summary>
        /// <exception cref="SourceRefused">Windows refuses a socket table or the list of processes.</exception>
        /// <exception cref="MalformedData">A table does not have its documented layout.</exception>
        public Snapshot Look()
        {
            try
            {
                List<SocketTable> tables = Tables(_question.Others);
                List<TableRow> rows = Wanted(tables);
                if (!_owners || rows.All(row => row.Pid == ProcessBook.IdlePid))
                {
                    return new Snapshot(rows.Select(row => row.ToSocket(null)), mayClose: _elevated, elevated: _elevated);
                }
                _book.Turn();
                HashSet<int> dead = Dead(rows);
                for (int look = 1; dead.Count > 0 && look < LooksAtGhosts; look++)
                {
                    Thread.Sleep(GhostPauseMilliseconds);
                    tables = Tables(_question.Others);
                    rows = Wanted(tables);
                    _book.Turn();
                    dead = Dead(rows);
                }
                using (ServiceBook services = new ServiceBook())
                {
                    return new Sight(_question, _book, tables, rows, dead, services).Seen(_elevated, _session, DynamicPorts);
                }
            }
            catch (NativeError error)
            {
                throw Refused(error);
            }
        }

        /// <summary>Only the rows on the wished ports: what a loop that waits for a change can afford to ask for.</summary>
        /// <exception cref="SourceRefused">As <see cref="Look"/>; MalformedData likewise.</exception>
        public IReadOnlyList<Socket> Rows()
        {
            try
            {
                return Listed.Of(Wanted(Tables(false)).Select(row => row.ToSocket(null)));
            }
            catch (NativeError error)
            {
                throw Refused(error);
            }
        }

        /// <summary>Whether this process has one of these rows now.</summary>
        public bool Holds(int pid, ICollection<long> ids)
        {
            return Rows().Any(row => row.Pid == pid && ids.Contains(row.Id));
        }

        /// <summary>Start time of the process that has this pid now, a FILETIME; null when there is none or Windows does not say.</summary>
        public long? StartTicks(int pid)
        {
            OpenedProcess known = _book.Known(pid);
            if (known != null && known.Ended == false)
            {
                return known.Created;
            }
            int code;
            using (OpenedProcess now = OpenedProcess.Open(pid, out code))
            {
                return now == null || now.Ended == true ? (long?)null : now.Created;
            }
        }

        /// <summary>
        /// The process that the decision was made about, by the handle that was opened before it; null when that one is
        /// gone, never was held, or began at another time.
        /// </summary>
        public OpenedProcess Hold(int pid, long startTicks)
        {
            OpenedProcess known = _book.Known(pid);
            return known != null && startTicks != 0 && known.Created == startTicks && known.Ended != true ? known : null;
        }

        /// <summary>Ports that Windows keeps from being bound although no socket is on them. Asked once a run, when it explains something.</summary>
        public IReadOnlyList<ExcludedRange> ExcludedRanges()
        {
            if (_excluded == null)
            {
                _excluded = new List<ExcludedRange>();
                foreach (string protocol in new string[] { Protocol.Tcp, Protocol.Udp })
                {
                    if (_question.Asks(protocol))
                    {
                        AddExcluded(protocol, Family.IPv4);
                        AddExcluded(protocol, Family.IPv6);
                    }
                }
            }
            return _excluded;
        }

        /// <summary>First and last port that Windows gives to outgoing connections by itself; null when it does not say.</summary>
        public int[] DynamicPorts(string protocol)
        {
            int[] range;
            if (!_dynamic.TryGetValue(protocol, out range))
            {
                RangeText said = NetshText.DynamicRange(Netsh.Read("interface ipv4 show dynamicport " + protocol));
                range = said == null ? null : new int[] { said.First, said.Last };
                _dynamic[protocol] = range;
            }
            return range;
        }

        public void Dispose()
        {
            _book.Dispose();
        }

        private void AddExcluded(string protocol, string family)
        {
            string said = Netsh.Read("interface " + family + " show excludedportrange protocol=" + protocol);
            foreach (RangeText range in NetshText.ExcludedRanges(said))
            {
                _excluded.Add(new ExcludedRange(protocol, family, range.First, range.Last, range.Administered));
            }
        }

        /// <param name="whole">The tables of both protocols, also of one that nobody asked for.</param>
        private List<SocketTable> Tables(bool whole)
        {
            return AllTables.Read(whole || _question.Asks(Protocol.Tcp), whole || _question.Asks(Protocol.Udp));
        }

        private List<TableRow> Wanted(List<SocketTable> tables)
        {
            List<TableRow> rows = new List<TableRow>();
            foreach (SocketTable table in tables)
            {
                for (int index = 0; index < table.Count; index++)
                {
                    TableRow row = table[index];
                    if (_question.Wants(row))
                    {
                        rows.Add(row);
                    }
                }
            }
            return rows;
        }

        /// <summary>Pids of rows that no living process has.</summary>
        private HashSet<int> Dead(List<TableRow> rows)
        {
            return new HashSet<int>(rows.Select(row => row.Pid).Where(pid => !_book.Lives(pid)));
        }

        private static SourceRefused Refused(NativeError error)
        {
            return new SourceRefused(error.Call, NativeError.Words(error.Code));
        }
    }
}
