// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// From the bytes of the socket tables to rows. Private to harbormaster.ports. Needs no Windows.

using System;
using System.Collections.Generic;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Addresses;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeSockets;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveTables
{
    /// <summary>One row as it lies in a table. What is asked of most rows, port and pid, is read without making an object of it.</summary>
    public struct TableRow
    {
        private readonly SocketTable _table;
        private readonly int _at;

        internal TableRow(SocketTable table, int at)
        {
            _table = table;
            _at = at;
        }

        public int Port
        {
            get { return _table.PortAt(_at); }
        }

        /// <summary>The process that bound the socket, alive or not; 0 for what is left of closed connections.</summary>
        public int Pid
        {
            get { return _table.PidAt(_at); }
        }

        /// <summary>When it was bound, a FILETIME; 0 where Windows does not say.</summary>
        public long Created
        {
            get { return _table.CreatedAt(_at); }
        }

        /// <summary>A word of SocketState, or netstat's for the others; null for a socket that Windows is taking away just now.</summary>
        public string State
        {
            get { return _table.StateAt(_at); }
        }

        public bool Tcp
        {
            get { return _table.Tcp; }
        }

        public int Family
        {
            get { return _table.Family; }
        }

        /// <summary>The bytes of the row, for the owner module.</summary>
        public byte[] Bytes
        {
            get { return _table.BytesAt(_at); }
        }

        /// <summary>The row as the other stages know it.</summary>
        /// <param name="service">The service that owns it inside a shared host, or null.</param>
        public Socket ToSocket(string service)
        {
            return _table.SocketAt(_at, service);
        }
    }

    /// <summary>
    /// One table with owner modules: a count, then rows from byte 8 on (Win32 "MIB_TCPTABLE_OWNER_MODULE",
    /// "MIB_TCP6TABLE_OWNER_MODULE", "MIB_UDPTABLE_OWNER_MODULE", "MIB_UDP6TABLE_OWNER_MODULE"; the rows have LARGE_INTEGERs, so
    /// they lie the same in 32 and 64 bits).
    /// </summary>
    public sealed class SocketTable
    {
        private const int FirstRow = 8;
        private const int DeleteTcb = 12;

        // MIB_TCP_STATE of tcpmib.h, in netstat's words as the Linux side has them; 100 is a bound socket that does nothing yet.
        private static readonly Dictionary<int, string> States = new Dictionary<int, string>
        {
            { 1, "CLOSE" },
            { 2, SocketState.Listen },
            { 3, "SYN_SENT" },
            { 4, "SYN_RECV" },
            { 5, SocketState.Established },
            { 6, "FIN_WAIT1" },
            { 7, "FIN_WAIT2" },
            { 8, SocketState.CloseWait },
            { 9, "CLOSING" },
            { 10, "LAST_ACK" },
            { 11, SocketState.TimeWait },
            { 100, SocketState.Bound },
        };

        internal readonly bool Tcp;
        internal readonly int Family;
        private readonly byte[] _bytes;
        private readonly Layout _layout;

        /// <summary>Understand a table.</summary>
        /// <param name="family">2 for IPv4, 23 for IPv6.</param>
        /// <exception cref="MalformedData">It says that it has more rows than it has bytes for.</exception>
        public SocketTable(bool tcp, int family, byte[] bytes)
        {
            Tcp = tcp;
            Family = family;
            _bytes = bytes;
            _layout = Layout.Of(tcp, family);
            Count = bytes.Length < 4 ? -1 : BitConverter.ToInt32(bytes, 0);
            if (Count < 0 || (Count > 0 && FirstRow + (long)Count * _layout.Size > bytes.Length))
            {
                string name = (tcp ? "TCP" : "UDP") + (family == FamilyNumber.IPv4 ? "" : "6") + " table";
                throw new MalformedData(name, "it has no room for the " + Count + " rows that it says it has", bytes);
            }
        }

        /// <summary>How many rows it has.</summary>
        public readonly int Count;

        public TableRow this[int index]
        {
            get { return new TableRow(this, FirstRow + index * _layout.Size); }
        }

        internal int PortAt(int at)
        {
            return NetworkPort(at + _layout.LocalPort);
        }

        internal int PidAt(int at)
        {
            return BitConverter.ToInt32(_bytes, at + _layout.Pid);
        }

        internal long CreatedAt(int at)
        {
            return BitConverter.ToInt64(_bytes, at + _layout.Created);
        }

        internal string StateAt(int at)
        {
            if (!Tcp)
            {
                return SocketState.Unconnected;
            }
            int number = BitConverter.ToInt32(_bytes, at + _layout.State);
            string word;
            if (number == DeleteTcb)
            {
                return null;
            }
            return States.TryGetValue(number, out word) ? word : "STATE_" + number;
        }

        internal byte[] BytesAt(int at)
        {
            byte[] row = new byte[_layout.Size];
            Array.Copy(_bytes, at, row, 0, row.Length);
            return row;
        }

        internal Socket SocketAt(int at, string service)
        {
            string state = StateAt(at);
            bool far = Tcp && state != SocketState.Listen && state != SocketState.Bound;
            return new Socket(
                Tcp ? Protocol.Tcp : Protocol.Udp,
                Family == FamilyNumber.IPv4 ? Model.Family.IPv4 : Model.Family.IPv6,
                Address(at + _layout.LocalAddress),
                PortAt(at),
                state,
                far ? Address(at + _layout.RemoteAddress) : "",
                far ? NetworkPort(at + _layout.RemotePort) : 0,
                IdAt(at, far),
                PidAt(at),
                null,
                Family == FamilyNumber.IPv6 ? Scope(at + _layout.LocalScope) : 0,
                service);
        }

        /// <summary>
        /// What the row is known by in every look: a 64-bit hash (FNV-1a) of its ends, its pid and the time of its bind. The
        /// state is left out, a socket keeps its name when it changes. 0 where no process has the row.
        /// </summary>
        private long IdAt(int at, bool far)
        {
            if (PidAt(at) == 0)
            {
                return 0;
            }
            ulong hash = 14695981039346656037UL;
            hash = Mixed(hash, (byte)(Tcp ? 6 : 17));
            hash = Mixed(hash, (byte)Family);
            int address = Family == FamilyNumber.IPv4 ? 4 : 16;
            hash = Mixed(hash, at + _layout.LocalAddress, address);
            hash = Mixed(hash, at + _layout.LocalPort, 2);
            if (far)
            {
                hash = Mixed(hash, at + _layout.RemoteAddress, address);
                hash = Mixed(hash, at + _layout.RemotePort, 2);
            }
            hash = Mixed(hash, at + _layout.Pid, 4);
            hash = Mixed(hash, at + _layout.Created, 8);
            long id = (long)(hash & 0x7fffffffffffffffUL);
            return id == 0 ? 1 : id;
        }

        private ulong Mixed(ulong hash, int at, int count)
        {
            for (int index = 0; index < count; index++)
            {
                hash = Mixed(hash, _bytes[at + index]);
            }
            return hash;
        }

        private static ulong Mixed(ulong hash, byte one)
        {
            return unchecked((hash ^ one) * 1099511628211UL);
        }

        private string Address(int at)
        {
            byte[] address = new byte[Family == FamilyNumber.IPv4 ? 4 : 16];
            Array.Copy(_bytes, at, address, 0, address.Length);
            return IpText.Of(address);
        }

        /// <summary>A port in network byte order, in the first two bytes of its DWORD.</summary>
        private int NetworkPort(int at)
        {
            return _bytes[at] << 8 | _bytes[at + 1];
        }

        /// <summary>
        /// The scope of an address, which for link-local ones is the number of the interface. Its page says network byte
        /// order, hosts were seen to send their own: the number that an interface can have is the right one.
        /// </summary>
        private int Scope(int at)
        {
            uint little = BitConverter.ToUInt32(_bytes, at);
            if (little <= 0xffff)
            {
                return (int)little;
            }
            uint big = (uint)_bytes[at] << 24 | (uint)_bytes[at + 1] << 16 | (uint)_bytes[at + 2] << 8 | _bytes[at + 3];
            return big <= 0xffff ? (int)big : 0;
        }

        /// <summary>Where the members of a row lie, in bytes from its begin.</summary>
        private sealed class Layout
        {
            // MIB_TCPROW_OWNER_MODULE, MIB_TCP6ROW_OWNER_MODULE, MIB_UDPROW_OWNER_MODULE, MIB_UDP6ROW_OWNER_MODULE
            private static readonly Layout Tcp4 = new Layout(160, state: 0, local: 4, scope: -1, port: 8, remote: 12, remotePort: 16, pid: 20, created: 24);
            private static readonly Layout Tcp6 = new Layout(192, state: 48, local: 0, scope: 16, port: 20, remote: 24, remotePort: 44, pid: 52, created: 56);
            private static readonly Layout Udp4 = new Layout(160, state: -1, local: 0, scope: -1, port: 4, remote: -1, remotePort: -1, pid: 8, created: 16);
            private static readonly Layout Udp6 = new Layout(176, state: -1, local: 0, scope: 16, port: 20, remote: -1, remotePort: -1, pid: 24, created: 32);

            public readonly int Size;
            public readonly int State;
            public readonly int LocalAddress;
            public readonly int LocalScope;
            public readonly int LocalPort;
            public readonly int RemoteAddress;
            public readonly int RemotePort;
            public readonly int Pid;
            public readonly int Created;

            private Layout(int size, int state, int local, int scope, int port, int remote, int remotePort, int pid, int created)
            {
                Size = size;
                State = state;
                LocalAddress = local;
                LocalScope = scope;
                LocalPort = port;
                RemoteAddress = remote;
                RemotePort = remotePort;
                Pid = pid;
                Created = created;
            }

            public static Layout Of(bool tcp, int family)
            {
                if (tcp)
                {
                    return family == FamilyNumber.IPv4 ? Tcp4 : Tcp6;
                }
                return family == FamilyNumber.IPv4 ? Udp4 : Udp6;
            }
        }
    }

    /// <summary>The tables of one moment, each read once.</summary>
    public static class AllTables
    {
        /// <summary>Read the tables of these protocols, of both families.</summary>
        public static List<SocketTable> Read(bool tcp, bool udp)
        {
            List<SocketTable> tables = new List<SocketTable>(4);
            foreach (int family in new int[] { FamilyNumber.IPv4, FamilyNumber.IPv6 })
            {
                if (tcp)
                {
                    tables.Add(new SocketTable(true, family, SocketTables.Tcp(family)));
                }
                if (udp)
                {
                    tables.Add(new SocketTable(false, family, SocketTables.Udp(family)));
                }
            }
            return tables;
        }
    }
}
