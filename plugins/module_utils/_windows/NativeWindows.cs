// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The windows of our own desktop: the one polite way to ask a program to end. Private to harbormaster.ports.

using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeWindows
{
    /// <summary>Top-level windows (Win32 "EnumWindows"): it shows those of our own session and desktop, no others.</summary>
    public static class Desktop
    {
        private const int Close = 0x0010;      // WM_CLOSE
        private const int OwnerRelation = 4;   // GW_OWNER

        private delegate bool Visit(IntPtr window, IntPtr parameter);

        /// <summary>
        /// The main windows by pid: visible ones that no other window owns. A console's window is none: closing it ends
        /// every program that shares the console, and perhaps this one.
        /// </summary>
        public static Dictionary<int, List<IntPtr>> MainWindows()
        {
            Dictionary<int, List<IntPtr>> found = new Dictionary<int, List<IntPtr>>();
            Visit visit = delegate(IntPtr window, IntPtr parameter)
            {
                int pid;
                if (Api.IsWindowVisible(window) && Api.GetWindow(window, OwnerRelation) == IntPtr.Zero
                    && !IsConsole(window) && Api.GetWindowThreadProcessId(window, out pid) != 0)
                {
                    List<IntPtr> windows;
                    if (!found.TryGetValue(pid, out windows))
                    {
                        windows = new List<IntPtr>();
                        found[pid] = windows;
                    }
                    windows.Add(window);
                }
                return true;
            };
            // Fails where there is no desktop, as in most remote sessions: then there are no windows to ask.
            Api.EnumWindows(visit, IntPtr.Zero);
            GC.KeepAlive(visit);
            return found;
        }

        /// <summary>Ask a window to close. Its program may ask its user back, or not care.</summary>
        /// <returns>0, or the Windows error number.</returns>
        public static int AskToClose(IntPtr window)
        {
            return Api.PostMessageW(window, Close, IntPtr.Zero, IntPtr.Zero) ? Win32.Success : Marshal.GetLastWin32Error();
        }

        private static bool IsConsole(IntPtr window)
        {
            StringBuilder name = new StringBuilder(64);
            Api.GetClassNameW(window, name, name.Capacity);
            string text = name.ToString();
            return text == "ConsoleWindowClass" || text == "PseudoConsoleWindow";
        }

        private static class Api
        {
            [DllImport("user32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool EnumWindows(Visit visit, IntPtr parameter);

            [DllImport("user32.dll", SetLastError = true)]
            public static extern int GetWindowThreadProcessId(IntPtr window, out int pid);

            [DllImport("user32.dll")]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool IsWindowVisible(IntPtr window);

            [DllImport("user32.dll", SetLastError = true)]
            public static extern IntPtr GetWindow(IntPtr window, int relation);

            [DllImport("user32.dll", SetLastError = true, CharSet = CharSet.Unicode)]
            public static extern int GetClassNameW(IntPtr window, StringBuilder name, int size);

            [DllImport("user32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool PostMessageW(IntPtr window, int message, IntPtr wParam, IntPtr lParam);
        }
    }
}
