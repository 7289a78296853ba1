// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What all calls into Windows have in common: error numbers, handles, buffers, the clock. Private to harbormaster.ports.
//
// Every P/Invoke of the collection is in a Native*.cs file, private to the class that gives it types. What comes out are
// numbers, text and plain bytes: the understanding of the bytes is another function, which needs no Windows.

using Microsoft.Win32.SafeHandles;
using System;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Threading;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native
{
    /// <summary>Windows error numbers that the code tells apart (Win32 "System Error Codes", "Windows Sockets Error Codes").</summary>
    internal static class Win32
    {
        public const int Success = 0;
        public const int AccessDenied = 5;
        public const int InvalidHandle = 6;
        public const int GenFailure = 31;
        public const int NotSupported = 50;
        public const int InvalidParameter = 87;
        public const int InsufficientBuffer = 122;
        public const int NoData = 232;
        public const int MoreData = 234;
        public const int NoMoreItems = 259;
        public const int PartialCopy = 299;
        public const int MrMidNotFound = 317;
        public const int DependentServicesRunning = 1051;
        public const int InvalidServiceControl = 1052;
        public const int ServiceRequestTimeout = 1053;
        public const int ServiceCannotAcceptControl = 1061;
        public const int ServiceNotActive = 1062;
        public const int ServiceDoesNotExist = 1060;
        public const int ServiceMarkedForDelete = 1072;
        public const int ShutdownInProgress = 1115;
        public const int NotFound = 1168;
        public const int NoneMapped = 1332;
        public const int NoSuchPrivilege = 1313;
        public const int SocketAccess = 10013;
        public const int SocketInvalid = 10022;
        public const int SocketNoProtocol = 10043;
        public const int SocketNoType = 10044;
        public const int SocketNoFamily = 10047;
        public const int SocketInUse = 10048;
        public const int SocketNoAddress = 10049;
    }

    /// <summary>A call into Windows that failed. It names the call and the error's number: texts differ by language.</summary>
    public sealed class NativeError : Exception
    {
        /// <summary>The function that failed, by its Win32 name.</summary>
        public readonly string Call;

        /// <summary>The Win32 or Windows Sockets error number.</summary>
        public readonly int Code;

        public NativeError(string call, int code)
            : base(call + ": " + Words(code))
        {
            Call = call;
            Code = code;
        }

        /// <summary>An error number for people, such as <c>Windows error 5 (access denied)</c>.</summary>
        public static string Words(int code)
        {
            return "Windows error " + code.ToString(CultureInfo.InvariantCulture) + Meaning(code);
        }

        private static string Meaning(int code)
        {
            switch (code)
            {
                case Win32.AccessDenied: return " (access denied)";
                case Win32.NotSupported: return " (not supported)";
                case Win32.InvalidParameter: return " (no such object)";
                case Win32.DependentServicesRunning: return " (dependent services are running)";
                case Win32.InvalidServiceControl: return " (the service takes no such request)";
                case Win32.ServiceRequestTimeout: return " (the service did not answer in time)";
                case Win32.ServiceDoesNotExist: return " (no such service)";
                case Win32.ServiceCannotAcceptControl: return " (the service can't take requests now)";
                case Win32.ServiceNotActive: return " (the service is not running)";
                case Win32.ServiceMarkedForDelete: return " (the service is being deleted)";
                case Win32.ShutdownInProgress: return " (the system is shutting down)";
                default: return "";
            }
        }
    }

    /// <summary>A kernel object's handle, closed with CloseHandle.</summary>
    public sealed class KernelHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        public KernelHandle()
            : base(true)
        {
        }

        internal KernelHandle(IntPtr value)
            : base(true)
        {
            SetHandle(value);
        }

        protected override bool ReleaseHandle()
        {
            return Api.CloseHandle(handle);
        }

        private static class Api
        {
            [DllImport("kernel32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool CloseHandle(IntPtr value);
        }
    }

    /// <summary>Memory that Windows writes an answer into, zeroed, freed with its scope.</summary>
    internal sealed class NativeBuffer : IDisposable
    {
        public readonly int Size;
        private IntPtr _memory;

        public NativeBuffer(int size)
        {
            Size = size;
            _memory = Marshal.AllocHGlobal(size);
            Marshal.Copy(new byte[size], 0, _memory, size);
        }

        public IntPtr Pointer
        {
            get { return _memory; }
        }

        /// <summary>The address some bytes into the buffer.</summary>
        public IntPtr At(int offset)
        {
            return new IntPtr(_memory.ToInt64() + offset);
        }

        public int Int32(int offset)
        {
            return Marshal.ReadInt32(_memory, Inside(offset, 4));
        }

        /// <summary>The pointer that stands at this offset.</summary>
        public IntPtr Address(int offset)
        {
            return Marshal.ReadIntPtr(_memory, Inside(offset, IntPtr.Size));
        }

        /// <summary>The text that the pointer at this offset points to; null for a null pointer.</summary>
        public string Text(int offset)
        {
            IntPtr text = Address(offset);
            return text == IntPtr.Zero ? null : Marshal.PtrToStringUni(text);
        }

        public byte[] Bytes(int count)
        {
            byte[] bytes = new byte[Math.Min(count, Size)];
            Marshal.Copy(_memory, bytes, 0, bytes.Length);
            return bytes;
        }

        public void Dispose()
        {
            if (_memory != IntPtr.Zero)
            {
                Marshal.FreeHGlobal(_memory);
                _memory = IntPtr.Zero;
            }
        }

        private int Inside(int offset, int length)
        {
            if (offset < 0 || offset + length > Size)
            {
                throw new ArgumentOutOfRangeException("offset");
            }
            return offset;
        }
    }

    /// <summary>Seconds that only ever grow, for waits and durations: setting the computer's clock does not move them.</summary>
    public static class Clock
    {
        private static readonly Stopwatch Running = Stopwatch.StartNew();

        /// <summary>Seconds since this module began.</summary>
        public static double Now
        {
            get { return Running.Elapsed.TotalSeconds; }
        }

        /// <summary>Wait a moment, but not past a time of this clock.</summary>
        /// <param name="seconds">How long at most.</param>
        /// <param name="until">The time of <see cref="Now"/> that ends the wait in any case.</param>
        public static void Sleep(double seconds, double until)
        {
            double left = Math.Min(seconds, until - Now);
            if (left > 0)
            {
                Thread.Sleep((int)Math.Ceiling(left * 1000));
            }
        }
    }
}
