// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// IP addresses as bytes and as text. Private to harbormaster.ports.
//
// The frameworks read too much (1.2.3, 0x7f.1) and don't write all of them in the same way, so both are done here: what the
// task says and what a table says are compared as text.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Addresses
{
    public static class IpText
    {
        /// <summary>Four or sixteen bytes as text: the shortest form, lower case (RFC 5952); an IPv4-mapped address as IPv4.</summary>
        public static string Of(byte[] address)
        {
            if (address.Length == 4)
            {
                return string.Join(".", address);
            }
            if (IsMapped(address))
            {
                return string.Join(".", address.Skip(12));
            }
            int[] groups = Enumerable.Range(0, 8).Select(at => address[2 * at] << 8 | address[2 * at + 1]).ToArray();
            int first, length;
            LongestZeros(groups, out first, out length);
            if (length < 2)
            {
                return Joined(groups);
            }
            return Joined(groups.Take(first)) + "::" + Joined(groups.Skip(first + length));
        }

        /// <summary>The bytes of an address; null for everything else: names, networks, zones, other spellings of numbers.</summary>
        public static byte[] Parse(string text)
        {
            if (!text.Contains(":"))
            {
                return ParseV4(text);
            }
            int gap = text.IndexOf("::", StringComparison.Ordinal);
            List<int> before = Groups(gap < 0 ? text : text.Substring(0, gap), gap < 0);
            List<int> after = gap < 0 ? new List<int>() : Groups(text.Substring(gap + 2), true);
            if (before == null || after == null)
            {
                return null;
            }
            int missing = 8 - before.Count - after.Count;
            if (gap < 0 ? missing != 0 : missing < 1)
            {
                return null;
            }
            return before.Concat(Enumerable.Repeat(0, missing)).Concat(after)
                .SelectMany(group => new[] { (byte)(group >> 8), (byte)group }).ToArray();
        }

        private static bool IsMapped(byte[] address)
        {
            return address.Take(10).All(one => one == 0) && address[10] == 0xff && address[11] == 0xff;
        }

        private static string Joined(IEnumerable<int> groups)
        {
            return string.Join(":", groups.Select(group => group.ToString("x", CultureInfo.InvariantCulture)));
        }

        private static void LongestZeros(int[] groups, out int first, out int length)
        {
            first = 0;
            length = 0;
            for (int begin = 0; begin < groups.Length; begin++)
            {
                int run = groups.Skip(begin).TakeWhile(group => group == 0).Count();
                if (run > length)
                {
                    first = begin;
                    length = run;
                }
            }
        }

        private static byte[] ParseV4(string text)
        {
            string[] parts = text.Split('.');
            return parts.Length == 4 && parts.All(IsOctet) ? parts.Select(part => byte.Parse(part, CultureInfo.InvariantCulture)).ToArray() : null;
        }

        /// <summary>0 to 255 without leading zeros, which some systems read as octal.</summary>
        private static bool IsOctet(string text)
        {
            return text.Length > 0 && text.Length < 4 && text.All(one => one >= '0' && one <= '9') && (text.Length == 1 || text[0] != '0')
                && int.Parse(text, CultureInfo.InvariantCulture) < 256;
        }

        /// <summary>The 16 bit groups of a part of an IPv6 address; null when it is none.</summary>
        /// <param name="last">It is the end of the address, where IPv4 may stand.</param>
        private static List<int> Groups(string text, bool last)
        {
            List<int> groups = new List<int>();
            if (text.Length == 0)
            {
                return groups;
            }
            string[] parts = text.Split(':');
            for (int at = 0; at < parts.Length; at++)
            {
                byte[] tail = last && at == parts.Length - 1 ? ParseV4(parts[at]) : null;
                if (tail != null)
                {
                    groups.Add(tail[0] << 8 | tail[1]);
                    groups.Add(tail[2] << 8 | tail[3]);
                }
                else if (parts[at].Length > 0 && parts[at].Length < 5 && parts[at].All(Uri.IsHexDigit))
                {
                    groups.Add(int.Parse(parts[at], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
                }
                else
                {
                    return null;
                }
            }
            return groups;
        }
    }
}
