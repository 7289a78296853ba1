// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Whether a server could bind a port now: by binding it, once. Private to harbormaster.ports.
//
// The probe never listens, and closes at once. It binds with exclusive address use, on both wildcards or on one address: that
// fails whenever somebody has the port, also where Windows would let an ordinary server in beside another one (Win32 "Using
// SO_REUSEADDR and SO_EXCLUSIVEADDRUSE"). 10048 means a socket has the port; 10013 means one that is exclusive has, or
// Windows keeps the port in an excluded range.

using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Addresses;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeSockets;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ProveBind
{
    /// <summary>The bind probe.</summary>
    public static class Probe
    {
        // The host has no such family, or the address is none of its own (10022: an address that needs its interface).
        private static readonly int[] Untried = new int[]
        {
            Win32.SocketNoProtocol, Win32.SocketNoType, Win32.SocketNoFamily, Win32.SocketNoAddress, Win32.SocketInvalid,
        };

        /// <summary>Try a port.</summary>
        /// <param name="protocol">tcp or udp.</param>
        /// <param name="address">Null for the wildcards of both families.</param>
        /// <param name="leftoversOnly">
        /// The only rows on the port are leftovers of closed connections. They stand in the way of an exclusive bind and not of
        /// an ordinary one, which is what servers do.
        /// </param>
        /// <returns>True when it can be bound, false when it is in use, null when it could not be tried.</returns>
        /// <exception cref="NativeError">A failure of another kind, such as no memory for a socket.</exception>
        public static bool? Bind(string protocol, int port, string address, bool leftoversOnly)
        {
            byte[][] places = address == null ? new byte[][] { new byte[4], new byte[16] } : new byte[][] { IpText.Parse(address) };
            bool?[] answers = places.Select(place => BindOne(protocol == Protocol.Tcp, port, place, address == null, leftoversOnly)).ToArray();
            if (answers.Contains(false))
            {
                return false;
            }
            return answers.Contains(true) ? true : (bool?)null;
        }

        private static bool? BindOne(bool tcp, int port, byte[] place, bool wildcards, bool leftoversOnly)
        {
            int family = place.Length == 4 ? FamilyNumber.IPv4 : FamilyNumber.IPv6;
            // Only a server that asks for "::" by name wants the IPv4 side with it; else that is probed by itself.
            bool v6only = wildcards || place.Any(one => one != 0);
            int code = BindCall.Try(tcp, family, place, port, v6only, true);
            if (leftoversOnly && IsBusy(code))
            {
                code = BindCall.Try(tcp, family, place, port, v6only, false);
            }
            if (code == Win32.Success)
            {
                return true;
            }
            if (IsBusy(code))
            {
                return false;
            }
            if (Untried.Contains(code))
            {
                return null;
            }
            throw new NativeError("bind", code);
        }

        private static bool IsBusy(int code)
        {
            return code == Win32.SocketInUse || code == Win32.SocketAccess;
        }
    }
}
