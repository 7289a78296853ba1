// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The socket tables of iphlpapi and the one bind of the proof. Private to harbormaster.ports.

using System;
using System.Runtime.InteropServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeSockets
{
    /// <summary>Address families as Windows numbers them (Win32 "socket function").</summary>
    public static class FamilyNumber
    {
        public const int IPv4 = 2;
        public const int IPv6 = 23;
    }

    /// <summary>Tables of sockets with their owners, as bytes (Win32 "GetExtendedTcpTable", "GetExtendedUdpTable").</summary>
    public static class SocketTables
    {
        // A table may grow between two calls. A host that outgrows so many answers is not going to hold still.
        private const int MostTries = 12;
        private const int FirstSize = 64 * 1024;
        private const int LargestTable = 512 * 1024 * 1024;

        private const int TcpOwnerModuleAll = 8;  // TCP_TABLE_CLASS
        private const int UdpOwnerModule = 2;     // UDP_TABLE_CLASS
        private const int OwnerModuleBasic = 0;   // TCPIP_OWNER_MODULE_INFO_CLASS
        private const int LargestOwner = 64 * 1024;

        private delegate int Fill(IntPtr table, ref int size);

        /// <summary>Every TCP socket of one family with its owner, in all states: MIB_TCPTABLE_OWNER_MODULE or its IPv6 kin.</summary>
        /// <exception cref="NativeError">Windows refuses the table.</exception>
        public static byte[] Tcp(int family)
        {
            return Read("GetExtendedTcpTable", family, delegate(IntPtr table, ref int size)
            {
                return Api.GetExtendedTcpTable(table, ref size, false, family, TcpOwnerModuleAll, 0);
            });
        }

        /// <summary>Every UDP socket of one family with its owner: MIB_UDPTABLE_OWNER_MODULE or its IPv6 kin.</summary>
        /// <exception cref="NativeError">Windows refuses the table.</exception>
        public static byte[] Udp(int family)
        {
            return Read("GetExtendedUdpTable", family, delegate(IntPtr table, ref int size)
            {
                return Api.GetExtendedUdpTable(table, ref size, false, family, UdpOwnerModule, 0);
            });
        }

        /// <summary>
        /// The owner module of one row: for a service in a shared host process, the service's name (Win32
        /// "GetOwnerModuleFromTcpEntry" and its three kin; TCPIP_OWNER_MODULE_BASIC_INFO).
        /// </summary>
        /// <param name="row">The bytes of the row, as they came in the table.</param>
        /// <returns>The module's name; null where Windows does not know it, or the socket is gone.</returns>
        public static string OwnerModule(bool tcp, int family, byte[] row)
        {
            int size = 4096;
            using (NativeBuffer copy = new NativeBuffer(row.Length))
            {
                Marshal.Copy(row, 0, copy.Pointer, row.Length);
                for (int attempt = 0; attempt < 3 && size <= LargestOwner; attempt++)
                {
                    using (NativeBuffer answer = new NativeBuffer(size))
                    {
                        int code;
                        try
                        {
                            code = AskOwner(tcp, family, copy.Pointer, answer.Pointer, ref size);
                        }
                        catch (EntryPointNotFoundException)
                        {
                            // Not in every environment that runs Windows programs.
                            return null;
                        }
                        if (code == Win32.Success)
                        {
                            return answer.Text(0);
                        }
                        if (code != Win32.InsufficientBuffer)
                        {
                            return null;
                        }
                    }
                }
            }
            return null;
        }

        /// <summary>
        /// Close one IPv4 TCP connection under its program (Win32 "SetTcpEntry": MIB_TCPROW with the state
        /// MIB_TCP_STATE_DELETE_TCB).
        /// </summary>
        /// <param name="local">The four bytes of the local address.</param>
        /// <param name="remote">The four bytes of the remote address.</param>
        /// <returns>0, or the Windows error number.</returns>
        public static int CloseTcp(byte[] local, int localPort, byte[] remote, int remotePort)
        {
            byte[] row = new byte[20];
            row[0] = 12;  // MIB_TCP_STATE_DELETE_TCB
            Array.Copy(local, 0, row, 4, 4);
            SocketAddress.PutPort(row, 8, localPort);
            Array.Copy(remote, 0, row, 12, 4);
            SocketAddress.PutPort(row, 16, remotePort);
            using (NativeBuffer buffer = new NativeBuffer(row.Length))
            {
                Marshal.Copy(row, 0, buffer.Pointer, row.Length);
                return Api.SetTcpEntry(buffer.Pointer);
            }
        }

        private static int AskOwner(bool tcp, int family, IntPtr row, IntPtr answer, ref int size)
        {
            if (tcp)
            {
                return family == FamilyNumber.IPv4
                    ? Api.GetOwnerModuleFromTcpEntry(row, OwnerModuleBasic, answer, ref size)
                    : Api.GetOwnerModuleFromTcp6Entry(row, OwnerModuleBasic, answer, ref size);
            }
            return family == FamilyNumber.IPv4
                ? Api.GetOwnerModuleFromUdpEntry(row, OwnerModuleBasic, answer, ref size)
                : Api.GetOwnerModuleFromUdp6Entry(row, OwnerModuleBasic, answer, ref size);
        }

        private static byte[] Read(string call, int family, Fill fill)
        {
            int size = FirstSize;
            int code = Win32.InsufficientBuffer;
            for (int attempt = 0; attempt < MostTries && size <= LargestTable; attempt++)
            {
                using (NativeBuffer table = new NativeBuffer(size))
                {
                    int said = size;
                    code = fill(table.Pointer, ref said);
                    if (code == Win32.Success)
                    {
                        return table.Bytes(size);
                    }
                    if (family == FamilyNumber.IPv6 && (code == Win32.NotSupported || code == Win32.NoData))
                    {
                        // A host without IPv6 has no such sockets.
                        return new byte[4];
                    }
                    if (code != Win32.InsufficientBuffer)
                    {
                        break;
                    }
                    // What it asks for now is too little a moment later.
                    size = Math.Max(said, size) + Math.Max(said, size) / 4 + 4096;
                }
            }
            throw new NativeError(call, code);
        }

        private static class Api
        {
            [DllImport("iphlpapi.dll")]
            public static extern int GetExtendedTcpTable(IntPtr table, ref int size, [MarshalAs(UnmanagedType.Bool)] bool order, int family, int tableClass, int reserved);

            [DllImport("iphlpapi.dll")]
            public static extern int GetExtendedUdpTable(IntPtr table, ref int size, [MarshalAs(UnmanagedType.Bool)] bool order, int family, int tableClass, int reserved);

            [DllImport("iphlpapi.dll")]
            public static extern int GetOwnerModuleFromTcpEntry(IntPtr row, int infoClass, IntPtr answer, ref int size);

            [DllImport("iphlpapi.dll")]
            public static extern int GetOwnerModuleFromTcp6Entry(IntPtr row, int infoClass, IntPtr answer, ref int size);

            [DllImport("iphlpapi.dll")]
            public static extern int GetOwnerModuleFromUdpEntry(IntPtr row, int infoClass, IntPtr answer, ref int size);

            [DllImport("iphlpapi.dll")]
            public static extern int GetOwnerModuleFromUdp6Entry(IntPtr row, int infoClass, IntPtr answer, ref int size);

            [DllImport("iphlpapi.dll")]
            public static extern int SetTcpEntry(IntPtr row);
        }
    }

    /// <summary>The bytes of sockaddr_in and sockaddr_in6 (Win32 "sockaddr").</summary>
    internal static class SocketAddress
    {
        public static byte[] Of(int family, byte[] address, int port)
        {
            bool v4 = family == FamilyNumber.IPv4;
            byte[] bytes = new byte[v4 ? 16 : 28];
            bytes[0] = (byte)family;
            PutPort(bytes, 2, port);
            Array.Copy(address, 0, bytes, v4 ? 4 : 8, address.Length);
            return bytes;
        }

        /// <summary>A port number in network byte order.</summary>
        public static void PutPort(byte[] bytes, int offset, int port)
        {
            bytes[offset] = (byte)(port >> 8);
            bytes[offset + 1] = (byte)port;
        }
    }

    /// <summary>One bind, tried and taken back at once.</summary>
    public static class BindCall
    {
        private const int Stream = 1;
        private const int Datagram = 2;
        private const int ProtocolTcp = 6;
        private const int ProtocolUdp = 17;
        private const int ProtocolIPv6 = 41;
        private const int SocketLevel = 0xffff;
        private const int ExclusiveAddressUse = ~4;   // SO_EXCLUSIVEADDRUSE, which is ~SO_REUSEADDR
        private const int V6Only = 27;
        private const int Overlapped = 0x01;
        private const int NoHandleInherit = 0x80;     // a child that starts meanwhile must not keep the port
        private const int NotStarted = 10093;         // WSANOTINITIALISED
        private static readonly IntPtr Invalid = new IntPtr(-1);

        /// <summary>
        /// Bind a new socket, never listen, close it (Win32 "Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE": an exclusive bind to
        /// a wildcard fails in every case in which somebody has the port).
        /// </summary>
        /// <param name="address">4 or 16 bytes.</param>
        /// <param name="v6only">For IPv6: leave the IPv4 side out.</param>
        /// <param name="exclusive">With SO_EXCLUSIVEADDRUSE.</param>
        /// <returns>0 when it could be bound, else the Windows Sockets error number.</returns>
        /// <exception cref="NativeError">Windows Sockets can't be used at all.</exception>
        public static int Try(bool tcp, int family, byte[] address, int port, bool v6only, bool exclusive)
        {
            IntPtr socket = Open(tcp, family);
            if (socket == Invalid)
            {
                int code = Marshal.GetLastWin32Error();
                if (code != NotStarted)
                {
                    return code;
                }
                Start();
                socket = Open(tcp, family);
                if (socket == Invalid)
                {
                    return Marshal.GetLastWin32Error();
                }
            }
            try
            {
                int one = 1;
                if (exclusive && Api.setsockopt(socket, SocketLevel, ExclusiveAddressUse, ref one, 4) != 0)
                {
                    return Marshal.GetLastWin32Error();
                }
                int only = v6only ? 1 : 0;
                if (family == FamilyNumber.IPv6 && Api.setsockopt(socket, ProtocolIPv6, V6Only, ref only, 4) != 0)
                {
                    return Marshal.GetLastWin32Error();
                }
                byte[] where = SocketAddress.Of(family, address, port);
                return Api.bind(socket, where, where.Length) == 0 ? 0 : Marshal.GetLastWin32Error();
            }
            finally
            {
                Api.closesocket(socket);
            }
        }

        private static IntPtr Open(bool tcp, int family)
        {
            return Api.WSASocketW(family, tcp ? Stream : Datagram, tcp ? ProtocolTcp : ProtocolUdp, IntPtr.Zero, 0, Overlapped | NoHandleInherit);
        }

        private static void Start()
        {
            // WSADATA is 408 bytes on 64-bit Windows and 400 on 32-bit (Win32 "WSADATA").
            using (NativeBuffer data = new NativeBuffer(512))
            {
                int code = Api.WSAStartup(0x0202, data.Pointer);
                if (code != 0)
                {
                    throw new NativeError("WSAStartup", code);
                }
            }
        }

        private static class Api
        {
            [DllImport("ws2_32.dll")]
            public static extern int WSAStartup(short version, IntPtr data);

            [DllImport("ws2_32.dll", SetLastError = true)]
            public static extern IntPtr WSASocketW(int family, int type, int protocol, IntPtr info, int group, int flags);

            [DllImport("ws2_32.dll", SetLastError = true)]
            public static extern int setsockopt(IntPtr socket, int level, int name, ref int value, int size);

            [DllImport("ws2_32.dll", SetLastError = true)]
            public static extern int bind(IntPtr socket, byte[] address, int size);

            [DllImport("ws2_32.dll", SetLastError = true)]
            public static extern int closesocket(IntPtr socket);
        }
    }
}
