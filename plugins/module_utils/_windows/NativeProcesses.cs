// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Processes: which there are, and what one open handle tells. Private to harbormaster.ports.

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeTokens;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeProcesses
{
    /// <summary>One line of the process list: what Windows tells of every process, also of those that can't be opened.</summary>
    public sealed class ProcessEntry
    {
        public readonly int Pid;
        /// <summary>The pid of its creator; that one may be gone, and its number may mean another process by now.</summary>
        public readonly int ParentPid;
        /// <summary>File name of the executable.</summary>
        public readonly string Image;

        public ProcessEntry(int pid, int parentPid, string image)
        {
            Pid = pid;
            ParentPid = parentPid;
            Image = image;
        }
    }

    /// <summary>The list of processes (Win32 "Taking a Snapshot and Viewing Processes").</summary>
    public static class ProcessList
    {
        private const int SnapshotProcesses = 2;  // TH32CS_SNAPPROCESS
        private const int LongestName = 260;

        /// <summary>Every process, by pid.</summary>
        /// <exception cref="NativeError">Windows refuses the list.</exception>
        public static Dictionary<int, ProcessEntry> Read()
        {
            // PROCESSENTRY32W: ULONG_PTR th32DefaultHeapID moves what follows.
            int ids = 8 + IntPtr.Size + (IntPtr.Size == 8 ? 8 : 4);
            int size = ids + 20 + LongestName * 2;
            size += (IntPtr.Size - size % IntPtr.Size) % IntPtr.Size;
            Dictionary<int, ProcessEntry> found = new Dictionary<int, ProcessEntry>();
            using (KernelHandle snapshot = Api.CreateToolhelp32Snapshot(SnapshotProcesses, 0))
            {
                if (snapshot.IsInvalid)
                {
                    throw new NativeError("CreateToolhelp32Snapshot", Marshal.GetLastWin32Error());
                }
                using (NativeBuffer entry = new NativeBuffer(size))
                {
                    Marshal.WriteInt32(entry.Pointer, size);
                    bool more = Api.Process32FirstW(snapshot, entry.Pointer);
                    if (!more)
                    {
                        throw new NativeError("Process32FirstW", Marshal.GetLastWin32Error());
                    }
                    while (more)
                    {
                        int pid = entry.Int32(8);
                        string image = Marshal.PtrToStringUni(entry.At(ids + 20));
                        found[pid] = new ProcessEntry(pid, entry.Int32(ids + 8), image);
                        more = Api.Process32NextW(snapshot, entry.Pointer);
                    }
                }
            }
            return found;
        }

        /// <summary>The pid of this very process.</summary>
        public static int OwnPid
        {
            get { return Api.GetCurrentProcessId(); }
        }

        private static class Api
        {
            [DllImport("kernel32.dll", SetLastError = true)]
            public static extern KernelHandle CreateToolhelp32Snapshot(int flags, int pid);

            [DllImport("kernel32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool Process32FirstW(KernelHandle snapshot, IntPtr entry);

            [DllImport("kernel32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool Process32NextW(KernelHandle snapshot, IntPtr entry);

            [DllImport("kernel32.dll")]
            public static extern int GetCurrentProcessId();
        }
    }

    /// <summary>
    /// One process, held open. While the handle is open Windows gives its pid to nobody else, so what is asked and done
    /// through it can't hit another process.
    /// </summary>
    public sealed class OpenedProcess : IDisposable
    {
        private const int Terminate = 0x0001;
        private const int ReadMemory = 0x0010;
        private const int QueryInformation = 0x0400;
        private const int QueryLimited = 0x1000;
        private const int Synchronize = 0x100000;
        private const int WaitObject0 = 0;
        private const int WaitFailed = -1;
        private const int ExitCode = 1;

        public readonly int Pid;
        /// <summary>Whether Windows lets this account end the process.</summary>
        public readonly bool MayEnd;
        private readonly KernelHandle _handle;

        private OpenedProcess(int pid, KernelHandle handle, bool mayEnd)
        {
            Pid = pid;
            MayEnd = mayEnd;
            _handle = handle;
        }

        /// <summary>Hold a process by its pid.</summary>
        /// <param name="code">0, or why it can't be opened: 87 for no such process, 5 for one that this account may not open.</param>
        /// <returns>null when it can't be opened.</returns>
        public static OpenedProcess Open(int pid, out int code)
        {
            code = Win32.Success;
            foreach (int access in new int[] { QueryLimited | Synchronize | Terminate, QueryLimited | Synchronize, QueryLimited })
            {
                KernelHandle handle = Api.OpenProcess(access, false, pid);
                if (!handle.IsInvalid)
                {
                    return new OpenedProcess(pid, handle, (access & Terminate) != 0);
                }
                code = Marshal.GetLastWin32Error();
                handle.Dispose();
                if (code != Win32.AccessDenied)
                {
                    break;
                }
            }
            return null;
        }

        /// <summary>Let this account open the processes of others, where it holds SeDebugPrivilege but has not switched it on.</summary>
        public static void UseDebugPrivilege()
        {
            try
            {
                Process.EnterDebugMode();
            }
            catch (System.ComponentModel.Win32Exception)
            {
                // An account without the privilege sees what it may see.
                return;
            }
        }

        /// <summary>Whether the process has ended. Null when Windows does not let this account know.</summary>
        public bool? Ended
        {
            get { return Wait(0); }
        }

        /// <summary>Wait for the end of the process, so many milliseconds at most.</summary>
        /// <returns>Whether it has ended; null when Windows does not let this account wait.</returns>
        public bool? Wait(int milliseconds)
        {
            int said = Api.WaitForSingleObject(_handle, milliseconds);
            if (said == WaitFailed)
            {
                return null;
            }
            return said == WaitObject0;
        }

        /// <summary>End the process at once, without asking it.</summary>
        /// <returns>0, or the Windows error number.</returns>
        public int End()
        {
            return Api.TerminateProcess(_handle, ExitCode) ? Win32.Success : Marshal.GetLastWin32Error();
        }

        /// <summary>When it was created: a FILETIME, 100 ns since 1601, UTC; 0 when Windows does not say.</summary>
        public long Created
        {
            get
            {
                long created, exited, kernel, user;
                return Api.GetProcessTimes(_handle, out created, out exited, out kernel, out user) ? created : 0;
            }
        }

        /// <summary>The whole path of the executable; null when Windows does not say.</summary>
        public string Path
        {
            get
            {
                StringBuilder path = new StringBuilder(32768);
                int size = path.Capacity;
                return Api.QueryFullProcessImageNameW(_handle, 0, path, ref size) ? path.ToString() : null;
            }
        }

        /// <summary>The session it runs in; -1 when Windows does not say (Win32 "ProcessIdToSessionId").</summary>
        public static int SessionOf(int pid)
        {
            int session;
            return Api.ProcessIdToSessionId(pid, out session) ? session : -1;
        }

        /// <summary>Whether Windows stops with a blue screen when it ends (Win32 "IsProcessCritical").</summary>
        public bool Critical
        {
            get
            {
                bool critical;
                try
                {
                    if (Api.IsProcessCritical(_handle, out critical))
                    {
                        return critical;
                    }
                }
                catch (EntryPointNotFoundException)
                {
                    // Before Windows 8.1: the same flag, under its older name below.
                    critical = false;
                }
                byte[] flag = Query(BreakOnTermination, 4);
                return flag != null && flag[0] != 0;
            }
        }

        /// <summary>The PS_PROTECTION byte: 0 for a process like any other (Win32 "Protecting Anti-Malware Services").</summary>
        public int Protection
        {
            get
            {
                byte[] level = Query(ProtectionInformation, 1);
                return level == null ? 0 : level[0];
            }
        }

        /// <summary>The command line; null when it can't be read (class 60 of "NtQueryInformationProcess", Windows 8.1 and newer).</summary>
        public string CommandLine
        {
            get
            {
                string line = AskCommandLine();
                return line ?? PeekCommandLine();
            }
        }

        /// <summary>The account it runs as; null when Windows does not say.</summary>
        public Account Owner
        {
            get { return Tokens.OwnerOf(_handle); }
        }

        public void Dispose()
        {
            _handle.Dispose();
        }

        private const int BasicInformation = 0;
        private const int BreakOnTermination = 29;
        private const int CommandLineInformation = 60;
        private const int ProtectionInformation = 61;
        private const int InfoLengthMismatch = unchecked((int)0xC0000004);
        private const int MostText = 64 * 1024 + 64;

        private byte[] Query(int infoClass, int size)
        {
            using (NativeBuffer answer = new NativeBuffer(size))
            {
                int length;
                return Api.NtQueryInformationProcess(_handle, infoClass, answer.Pointer, size, out length) == 0 ? answer.Bytes(size) : null;
            }
        }

        private string AskCommandLine()
        {
            int size = 2048;
            for (int attempt = 0; attempt < 4 && size <= 4 * MostText; attempt++)
            {
                using (NativeBuffer answer = new NativeBuffer(size))
                {
                    int length;
                    int status = Api.NtQueryInformationProcess(_handle, CommandLineInformation, answer.Pointer, size, out length);
                    if (status == 0)
                    {
                        return UnicodeString(answer);
                    }
                    if (status != InfoLengthMismatch)
                    {
                        return null;
                    }
                    size = Math.Max(length, size * 4);
                }
            }
            return null;
        }

        /// <summary>A UNICODE_STRING at the start of a buffer, whose characters lie in the same buffer.</summary>
        private static string UnicodeString(NativeBuffer answer)
        {
            int bytes = answer.Int32(0) & 0xffff;
            long begin = answer.Address(IntPtr.Size).ToInt64() - answer.Pointer.ToInt64();
            if (begin < 0 || begin + bytes > answer.Size)
            {
                return null;
            }
            return Marshal.PtrToStringUni(answer.At((int)begin), bytes / 2);
        }

        /// <summary>
        /// The command line out of the process's own memory, for Windows versions without class 60: PEB.ProcessParameters and
        /// RTL_USER_PROCESS_PARAMETERS.CommandLine (Win32 "PEB structure", winternl.h). Only between processes of one width.
        /// </summary>
        private string PeekCommandLine()
        {
            bool wide = IntPtr.Size == 8;
            byte[] basic = Query(BasicInformation, wide ? 48 : 24);
            if (basic == null)
            {
                return null;
            }
            using (KernelHandle reading = Api.OpenProcess(QueryInformation | ReadMemory, false, Pid))
            {
                if (reading.IsInvalid)
                {
                    return null;
                }
                long parameters = PointerAt(reading, Pointer(basic, wide ? 8 : 4) + (wide ? 0x20 : 0x10));
                if (parameters == 0)
                {
                    return null;
                }
                byte[] text = Memory(reading, parameters + (wide ? 0x70 : 0x40), wide ? 16 : 8);
                if (text == null)
                {
                    return null;
                }
                byte[] line = Memory(reading, Pointer(text, wide ? 8 : 4), BitConverter.ToUInt16(text, 0));
                return line == null ? null : Encoding.Unicode.GetString(line);
            }
        }

        private static long Pointer(byte[] bytes, int offset)
        {
            return IntPtr.Size == 8 ? BitConverter.ToInt64(bytes, offset) : BitConverter.ToUInt32(bytes, offset);
        }

        private static long PointerAt(KernelHandle process, long address)
        {
            byte[] bytes = Memory(process, address, IntPtr.Size);
            return bytes == null ? 0 : Pointer(bytes, 0);
        }

        private static byte[] Memory(KernelHandle process, long address, int size)
        {
            byte[] bytes = new byte[size];
            IntPtr done;
            bool read = address != 0 && Api.ReadProcessMemory(process, new IntPtr(address), bytes, new IntPtr(size), out done);
            return read ? bytes : null;
        }

        private static class Api
        {
            [DllImport("kernel32.dll", SetLastError = true)]
            public static extern KernelHandle OpenProcess(int access, [MarshalAs(UnmanagedType.Bool)] bool inherit, int pid);

            [DllImport("kernel32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool TerminateProcess(KernelHandle process, int exitCode);

            [DllImport("kernel32.dll", SetLastError = true)]
            public static extern int WaitForSingleObject(KernelHandle handle, int milliseconds);

            [DllImport("kernel32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool GetProcessTimes(KernelHandle process, out long created, out long exited, out long kernel, out long user);

            [DllImport("kernel32.dll", SetLastError = true, CharSet = CharSet.Unicode)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool QueryFullProcessImageNameW(KernelHandle process, int flags, StringBuilder path, ref int size);

            [DllImport("kernel32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool ProcessIdToSessionId(int pid, out int session);

            [DllImport("kernel32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool IsProcessCritical(KernelHandle process, [MarshalAs(UnmanagedType.Bool)] out bool critical);

            [DllImport("kernel32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool ReadProcessMemory(KernelHandle process, IntPtr address, byte[] bytes, IntPtr size, out IntPtr done);

            [DllImport("ntdll.dll")]
            public static extern int NtQueryInformationProcess(KernelHandle process, int infoClass, IntPtr answer, int size, out int length);
        }
    }
}
