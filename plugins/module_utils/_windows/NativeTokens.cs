// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Access tokens: which account a process runs as. Private to harbormaster.ports.

using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeTokens
{
    /// <summary>The account a process runs as.</summary>
    public sealed class Account
    {
        /// <summary>The security identifier as text, such as S-1-5-18.</summary>
        public readonly string Sid;
        /// <summary>Such as <c>CORP\alice</c>; the SID again where Windows knows no name for it.</summary>
        public readonly string Name;

        public Account(string sid, string name)
        {
            Sid = sid;
            Name = name;
        }
    }

    /// <summary>Access tokens (Win32 "GetTokenInformation").</summary>
    internal static class Tokens
    {
        private const int Query = 0x0008;
        private const int UserInformation = 1;

        // Accounts of a machine or a domain; all others are Windows' own.
        private const string OfADomain = "S-1-5-21-";
        private const int MostMilliseconds = 5000;

        private static readonly Dictionary<string, string> Names = new Dictionary<string, string>();
        private static bool _outOfReach;

        public static Account OwnerOf(KernelHandle process)
        {
            using (NativeBuffer user = Information(process, UserInformation))
            {
                if (user == null)
                {
                    return null;
                }
                IntPtr sid = user.Address(0);
                string text = SidText(sid);
                if (text == null)
                {
                    return null;
                }
                string name;
                if (!Names.TryGetValue(text, out name))
                {
                    name = BoundedNameOf(Copied(sid), text) ?? text;
                    Names[text] = name;
                }
                return new Account(text, name);
            }
        }

        private static NativeBuffer Information(KernelHandle process, int infoClass)
        {
            KernelHandle token;
            if (!Api.OpenProcessToken(process, Query, out token))
            {
                token.Dispose();
                return null;
            }
            using (token)
            {
                // A SID takes 68 bytes at most (SECURITY_MAX_SID_SIZE).
                NativeBuffer answer = new NativeBuffer(256);
                int length;
                if (Api.GetTokenInformation(token, infoClass, answer.Pointer, answer.Size, out length))
                {
                    return answer;
                }
                answer.Dispose();
                return null;
            }
        }

        private static string SidText(IntPtr sid)
        {
            IntPtr text;
            if (!Api.ConvertSidToStringSidW(sid, out text))
            {
                return null;
            }
            string answer = Marshal.PtrToStringUni(text);
            Api.LocalFree(text);
            return answer;
        }

        /// <summary>The bytes of a SID: eight, and four for each sub-authority, which the second byte counts.</summary>
        private static byte[] Copied(IntPtr sid)
        {
            byte[] bytes = new byte[8 + 4 * Marshal.ReadByte(sid, 1)];
            Marshal.Copy(sid, bytes, 0, bytes.Length);
            return bytes;
        }

        /// <summary>The name of an account, unless it takes too long to find: a domain controller may be out of reach.</summary>
        private static string BoundedNameOf(byte[] sid, string text)
        {
            bool local = !text.StartsWith(OfADomain, StringComparison.Ordinal);
            if (_outOfReach && !local)
            {
                return null;
            }
            string name = null;
            Thread asking = new Thread(delegate() { name = NameOf(sid); });
            asking.IsBackground = true;
            asking.Start();
            if (asking.Join(MostMilliseconds))
            {
                return name;
            }
            _outOfReach = true;
            return null;
        }

        private static string NameOf(byte[] sid)
        {
            int nameSize = 512, domainSize = 512, use;
            StringBuilder name = new StringBuilder(nameSize), domain = new StringBuilder(domainSize);
            if (!Api.LookupAccountSidW(null, sid, name, ref nameSize, domain, ref domainSize, out use) || name.Length == 0)
            {
                return null;
            }
            return domain.Length == 0 ? name.ToString() : domain + "\\" + name;
        }

        private static class Api
        {
            [DllImport("advapi32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool OpenProcessToken(KernelHandle process, int access, out KernelHandle token);

            [DllImport("advapi32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool GetTokenInformation(KernelHandle token, int infoClass, IntPtr answer, int size, out int length);

            [DllImport("advapi32.dll", SetLastError = true, CharSet = CharSet.Unicode)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool LookupAccountSidW(string system, byte[] sid, StringBuilder name, ref int nameSize, StringBuilder domain, ref int domainSize, out int use);

            [DllImport("advapi32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool ConvertSidToStringSidW(IntPtr sid, out IntPtr text);

            [DllImport("kernel32.dll")]
            public static extern IntPtr LocalFree(IntPtr memory);
        }
    }
}
