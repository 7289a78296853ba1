// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The service control manager. Private to harbormaster.ports.

using Microsoft.Win32.SafeHandles;
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeServices
{
    /// <summary>States of a service (Win32 "SERVICE_STATUS_PROCESS").</summary>
    public static class ServiceState
    {
        public const int Stopped = 1;
        public const int StartPending = 2;
        public const int StopPending = 3;
        public const int Running = 4;
    }

    /// <summary>One service as the manager lists it.</summary>
    public sealed class ServiceEntry
    {
        public readonly string Name;
        public readonly string DisplayName;
        /// <summary>Its process; 0 when it does not run.</summary>
        public readonly int Pid;
        /// <summary>One of <see cref="ServiceState"/>, or 5 to 7 for pausing and paused.</summary>
        public readonly int State;
        /// <summary>Whether it takes a stop request now (SERVICE_ACCEPT_STOP).</summary>
        public readonly bool AcceptsStop;
        /// <summary>Whether it is meant to share its process with others (SERVICE_WIN32_SHARE_PROCESS).</summary>
        public readonly bool Shares;
        /// <summary>Milliseconds after which the service means to have made a step, as it says itself while it stops.</summary>
        public readonly int WaitHint;
        /// <summary>Counted up by the service with each step while it stops.</summary>
        public readonly int CheckPoint;

        public ServiceEntry(string name, string displayName, int type, int state, int accepts, int checkPoint, int waitHint, int pid)
        {
            Name = name;
            DisplayName = displayName;
            Shares = (type & 0x20) != 0;
            State = state;
            AcceptsStop = (accepts & 1) != 0;
            CheckPoint = checkPoint;
            WaitHint = waitHint;
            Pid = pid;
        }
    }

    /// <summary>How a service is set up, as far as it matters here.</summary>
    public sealed class ServiceSetup
    {
        /// <summary>0 boot, 1 system, 2 automatic, 3 on demand, 4 disabled (Win32 "QUERY_SERVICE_CONFIGW"); -1 not known.</summary>
        public int StartType = -1;
        /// <summary>An automatic service that starts some minutes after the others (Win32 "SERVICE_DELAYED_AUTO_START_INFO").</summary>
        public bool Delayed;
        /// <summary>Whether an event can start it again (Win32 "SERVICE_TRIGGER_INFO").</summary>
        public bool Triggered;
        /// <summary>Whether the manager starts it again when its process ends (Win32 "SERVICE_FAILURE_ACTIONSW").</summary>
        public bool Restarts;
        /// <summary>0 for a service like any other (Win32 "SERVICE_LAUNCH_PROTECTED_INFO").</summary>
        public int Protection;
        /// <summary>The services that run and depend on it, also over others, in the order in which they have to be stopped.</summary>
        public string[] Dependants = new string[0];
    }

    /// <summary>A connection to the service control manager of this host.</summary>
    public sealed class ServiceManager : IDisposable
    {
        private const int Connect = 0x0001;
        private const int CreateService = 0x0002;
        private const int Enumerate = 0x0004;
        private const int QueryConfig = 0x0001;
        private const int ChangeConfig = 0x0002;
        private const int QueryStatus = 0x0004;
        private const int EnumerateDependents = 0x0008;
        private const int StopRight = 0x0020;
        private const int Win32Services = 0x30;    // SERVICE_WIN32; user services have one of its bits too
        private const int AllStates = 3;           // SERVICE_STATE_ALL
        private const int Active = 1;              // SERVICE_ACTIVE
        private const int StopControl = 1;         // SERVICE_CONTROL_STOP
        private const int NoChange = -1;           // SERVICE_NO_CHANGE
        private const int StatusSize = 36;         // SERVICE_STATUS_PROCESS: nine DWORDs
        private const int FailureActions = 2;      // SERVICE_CONFIG_FAILURE_ACTIONS
        private const int DelayedStart = 3;        // SERVICE_CONFIG_DELAYED_AUTO_START_INFO
        private const int TriggerInfo = 8;         // SERVICE_CONFIG_TRIGGER_INFO
        private const int LaunchProtected = 12;    // SERVICE_CONFIG_LAUNCH_PROTECTED
        private const int RestartAction = 1;       // SC_ACTION_RESTART
        private const int MostTries = 8;
        private const int LargestAnswer = 16 * 1024 * 1024;

        private readonly ServiceHandle _manager;

        /// <exception cref="NativeError">This account may not ask the service manager.</exception>
        public ServiceManager()
        {
            _manager = Api.OpenSCManagerW(null, null, Connect | Enumerate);
            if (_manager.IsInvalid)
            {
                int code = Marshal.GetLastWin32Error();
                _manager.Dispose();
                throw new NativeError("OpenSCManagerW", code);
            }
        }

        /// <summary>
        /// Whether this module has the rights of an administrator, and not only the account of one: nobody else may create
        /// services (Win32 "Service Security and Access Rights").
        /// </summary>
        public static bool WeAreElevated
        {
            get
            {
                using (ServiceHandle manager = Api.OpenSCManagerW(null, null, CreateService))
                {
                    return !manager.IsInvalid;
                }
            }
        }

        /// <summary>Every service of the host, running or not, in one call (Win32 "EnumServicesStatusExW").</summary>
        /// <exception cref="NativeError">This account may not list the services.</exception>
        public List<ServiceEntry> All()
        {
            int size = 64 * 1024;
            for (int attempt = 0; attempt < MostTries && size <= LargestAnswer; attempt++)
            {
                using (NativeBuffer answer = new NativeBuffer(size))
                {
                    int needed, count, resume = 0;
                    if (Api.EnumServicesStatusExW(_manager, 0, Win32Services, AllStates, answer.Pointer, size, out needed, out count, ref resume, null))
                    {
                        return Entries(answer, count);
                    }
                    int code = Marshal.GetLastWin32Error();
                    if (code != Win32.MoreData)
                    {
                        throw new NativeError("EnumServicesStatusExW", code);
                    }
                    size += needed + 8 * 1024;
                }
            }
            throw new NativeError("EnumServicesStatusExW", Win32.MoreData);
        }

        /// <summary>How one service is set up. What this account may not read stays as if it were not there.</summary>
        public ServiceSetup Setup(string name)
        {
            ServiceSetup setup = new ServiceSetup();
            using (ServiceHandle service = Api.OpenServiceW(_manager, name, QueryConfig))
            {
                if (!service.IsInvalid)
                {
                    ReadSetup(service, setup);
                }
            }
            using (ServiceHandle service = Api.OpenServiceW(_manager, name, EnumerateDependents))
            {
                if (!service.IsInvalid)
                {
                    setup.Dependants = Dependants(service);
                }
            }
            return setup;
        }

        /// <summary>The state of one service now (Win32 "QueryServiceStatusEx").</summary>
        /// <returns>null when there is no such service.</returns>
        /// <exception cref="NativeError">It can't be asked.</exception>
        public ServiceEntry Status(string name)
        {
            using (ServiceHandle service = Api.OpenServiceW(_manager, name, QueryStatus))
            {
                if (service.IsInvalid)
                {
                    int code = Marshal.GetLastWin32Error();
                    if (code == Win32.ServiceDoesNotExist)
                    {
                        return null;
                    }
                    throw new NativeError("OpenServiceW", code);
                }
                using (NativeBuffer status = new NativeBuffer(StatusSize))
                {
                    int needed;
                    if (!Api.QueryServiceStatusEx(service, 0, status.Pointer, StatusSize, out needed))
                    {
                        throw new NativeError("QueryServiceStatusEx", Marshal.GetLastWin32Error());
                    }
                    return Entry(name, "", status, 0);
                }
            }
        }

        /// <summary>Ask a service to stop. It stops in its own time: its state tells when it has.</summary>
        /// <returns>0, or the Windows error number.</returns>
        public int Stop(string name)
        {
            using (ServiceHandle service = Api.OpenServiceW(_manager, name, StopRight))
            {
                if (service.IsInvalid)
                {
                    return Marshal.GetLastWin32Error();
                }
                using (NativeBuffer status = new NativeBuffer(StatusSize))
                {
                    return Api.ControlService(service, StopControl, status.Pointer) ? Win32.Success : Marshal.GetLastWin32Error();
                }
            }
        }

        /// <summary>Set the start type of a service, and nothing else of it (Win32 "ChangeServiceConfigW").</summary>
        /// <returns>0, or the Windows error number.</returns>
        public int SetStartType(string name, int startType)
        {
            using (ServiceHandle service = Api.OpenServiceW(_manager, name, ChangeConfig))
            {
                if (service.IsInvalid)
                {
                    return Marshal.GetLastWin32Error();
                }
                bool done = Api.ChangeServiceConfigW(service, NoChange, startType, NoChange, null, null, IntPtr.Zero, null, null, null, null);
                return done ? Win32.Success : Marshal.GetLastWin32Error();
            }
        }

        public void Dispose()
        {
            _manager.Dispose();
        }

        /// <summary>ENUM_SERVICE_STATUS_PROCESSW: two pointers and a SERVICE_STATUS_PROCESS.</summary>
        private static List<ServiceEntry> Entries(NativeBuffer answer, int count)
        {
            int size = Padded(2 * IntPtr.Size + StatusSize);
            List<ServiceEntry> found = new List<ServiceEntry>(count);
            for (int index = 0; index < count; index++)
            {
                int at = index * size;
                found.Add(Entry(answer.Text(at), answer.Text(at + IntPtr.Size), answer, at + 2 * IntPtr.Size));
            }
            return found;
        }

        private static ServiceEntry Entry(string name, string displayName, NativeBuffer answer, int at)
        {
            return new ServiceEntry(
                name,
                displayName,
                answer.Int32(at),
                answer.Int32(at + 4),
                answer.Int32(at + 8),
                answer.Int32(at + 20),
                answer.Int32(at + 24),
                answer.Int32(at + 28));
        }

        private static void ReadSetup(ServiceHandle service, ServiceSetup setup)
        {
            using (NativeBuffer config = Config(service))
            {
                setup.StartType = config == null ? -1 : config.Int32(4);
            }
            using (NativeBuffer failures = Config2(service, FailureActions))
            {
                setup.Restarts = failures != null && HasRestart(failures);
            }
            using (NativeBuffer delayed = Config2(service, DelayedStart))
            {
                setup.Delayed = delayed != null && delayed.Int32(0) != 0;
            }
            using (NativeBuffer triggers = Config2(service, TriggerInfo))
            {
                setup.Triggered = triggers != null && triggers.Int32(0) > 0;
            }
            using (NativeBuffer launch = Config2(service, LaunchProtected))
            {
                setup.Protection = launch == null ? 0 : launch.Int32(0);
            }
        }

        /// <summary>SERVICE_FAILURE_ACTIONSW: reset period, two texts, count and pointer of SC_ACTION (type, delay).</summary>
        private static bool HasRestart(NativeBuffer failures)
        {
            int count = failures.Int32(3 * IntPtr.Size);
            long first = failures.Address(4 * IntPtr.Size).ToInt64() - failures.Pointer.ToInt64();
            for (int index = 0; index < count; index++)
            {
                long at = first + index * 8;
                if (at < 0 || at + 8 > failures.Size)
                {
                    return false;
                }
                if (failures.Int32((int)at) == RestartAction)
                {
                    return true;
                }
            }
            return false;
        }

        private static NativeBuffer Config(ServiceHandle service)
        {
            return Answer(delegate(IntPtr memory, int size, out int needed)
            {
                return Api.QueryServiceConfigW(service, memory, size, out needed);
            });
        }

        private static NativeBuffer Config2(ServiceHandle service, int level)
        {
            return Answer(delegate(IntPtr memory, int size, out int needed)
            {
                return Api.QueryServiceConfig2W(service, level, memory, size, out needed);
            });
        }

        private static NativeBuffer Answer(Fill fill)
        {
            int size = 1024;
            for (int attempt = 0; attempt < 3 && size <= LargestAnswer; attempt++)
            {
                NativeBuffer memory = new NativeBuffer(size);
                int needed;
                if (fill(memory.Pointer, size, out needed))
                {
                    return memory;
                }
                int code = Marshal.GetLastWin32Error();
                memory.Dispose();
                if (code != Win32.InsufficientBuffer && code != Win32.MoreData)
                {
                    return null;
                }
                size += needed;
            }
            return null;
        }

        /// <summary>Win32 "EnumDependentServicesW": its order is the one to stop in. Its answer has 64,000 bytes at most.</summary>
        private static string[] Dependants(ServiceHandle service)
        {
            int size = Padded(2 * IntPtr.Size + 28);
            using (NativeBuffer answer = new NativeBuffer(64000))
            {
                int needed, count;
                if (!Api.EnumDependentServicesW(service, Active, answer.Pointer, answer.Size, out needed, out count))
                {
                    return new string[0];
                }
                string[] names = new string[count];
                for (int index = 0; index < count; index++)
                {
                    names[index] = answer.Text(index * size);
                }
                return names;
            }
        }

        private static int Padded(int size)
        {
            return size + (IntPtr.Size - size % IntPtr.Size) % IntPtr.Size;
        }

        private delegate bool Fill(IntPtr memory, int size, out int needed);

        private sealed class ServiceHandle : SafeHandleZeroOrMinusOneIsInvalid
        {
            public ServiceHandle()
                : base(true)
            {
            }

            protected override bool ReleaseHandle()
            {
                return Api.CloseServiceHandle(handle);
            }
        }

        private static class Api
        {
            [DllImport("advapi32.dll", SetLastError = true, CharSet = CharSet.Unicode)]
            public static extern ServiceHandle OpenSCManagerW(string machine, string database, int access);

            [DllImport("advapi32.dll", SetLastError = true, CharSet = CharSet.Unicode)]
            public static extern ServiceHandle OpenServiceW(ServiceHandle manager, string name, int access);

            [DllImport("advapi32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool CloseServiceHandle(IntPtr service);

            [DllImport("advapi32.dll", SetLastError = true, CharSet = CharSet.Unicode)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool EnumServicesStatusExW(ServiceHandle manager, int level, int type, int state, IntPtr answer, int size, out int needed, out int count, ref int resume, string group);

            [DllImport("advapi32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool QueryServiceStatusEx(ServiceHandle service, int level, IntPtr answer, int size, out int needed);

            [DllImport("advapi32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool QueryServiceConfigW(ServiceHandle service, IntPtr answer, int size, out int needed);

            [DllImport("advapi32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool QueryServiceConfig2W(ServiceHandle service, int level, IntPtr answer, int size, out int needed);

            [DllImport("advapi32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool EnumDependentServicesW(ServiceHandle service, int state, IntPtr answer, int size, out int needed, out int count);

            [DllImport("advapi32.dll", SetLastError = true)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool ControlService(ServiceHandle service, int control, IntPtr status);

            [DllImport("advapi32.dll", SetLastError = true, CharSet = CharSet.Unicode)]
            [return: MarshalAs(UnmanagedType.Bool)]
            public static extern bool ChangeServiceConfigW(ServiceHandle service, int type, int startType, int errorControl, string path, string group, IntPtr tag, string dependencies, string account, string password, string displayName);
        }
    }
}
