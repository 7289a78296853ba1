// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The URL reservations of HTTP.sys. Private to harbormaster.ports.

using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeHttp
{
    /// <summary>URLs that accounts may serve through HTTP.sys, whether they do or not (Win32 "HttpQueryServiceConfiguration").</summary>
    public static class UrlReservations
    {
        private const int Version1 = 1;            // HTTPAPI_VERSION: major 1 in the low word, minor 0
        private const int InitializeConfig = 2;    // HTTP_INITIALIZE_CONFIG
        private const int UrlAclInfo = 2;          // HttpServiceConfigUrlAclInfo
        private const int QueryNext = 1;           // HttpServiceConfigQueryNext
        private const int MostReservations = 10000;

        /// <summary>Every reserved URL, such as <c>http://+:5985/wsman/</c>; none where HTTP.sys is not to be had.</summary>
        public static List<string> Read()
        {
            List<string> found = new List<string>();
            try
            {
                if (Api.HttpInitialize(Version1, InitializeConfig, IntPtr.Zero) != Win32.Success)
                {
                    return found;
                }
            }
            catch (DllNotFoundException)
            {
                return found;
            }
            try
            {
                for (int token = 0; token < MostReservations; token++)
                {
                    string url = Next(token);
                    if (url == null)
                    {
                        break;
                    }
                    found.Add(url);
                }
            }
            finally
            {
                Api.HttpTerminate(InitializeConfig, IntPtr.Zero);
            }
            return found;
        }

        /// <summary>
        /// The reservation of this number; null past the last one. HTTP_SERVICE_CONFIG_URLACL_QUERY is the kind of the query,
        /// a pointer and the number; the answer, HTTP_SERVICE_CONFIG_URLACL_SET, begins with a pointer to the URL.
        /// </summary>
        private static string Next(int token)
        {
            using (NativeBuffer query = new NativeBuffer(3 * IntPtr.Size))
            {
                Marshal.WriteInt32(query.Pointer, 0, QueryNext);
                Marshal.WriteInt32(query.Pointer, 2 * IntPtr.Size, token);
                int size = 4096;
                for (int attempt = 0; attempt < 2; attempt++)
                {
                    using (NativeBuffer answer = new NativeBuffer(size))
                    {
                        int needed;
                        int code = Api.HttpQueryServiceConfiguration(IntPtr.Zero, UrlAclInfo, query.Pointer, query.Size, answer.Pointer, size, out needed, IntPtr.Zero);
                        if (code == Win32.Success)
                        {
                            return answer.Text(0);
                        }
                        if (code != Win32.InsufficientBuffer)
                        {
                            return null;
                        }
                        size = needed;
                    }
                }
                return null;
            }
        }

        private static class Api
        {
            [DllImport("httpapi.dll")]
            public static extern int HttpInitialize(int version, int flags, IntPtr reserved);

            [DllImport("httpapi.dll")]
            public static extern int HttpTerminate(int flags, IntPtr reserved);

            [DllImport("httpapi.dll")]
            public static extern int HttpQueryServiceConfiguration(IntPtr service, int info, IntPtr query, int querySize, IntPtr answer, int size, out int needed, IntPtr overlapped);
        }
    }
}
