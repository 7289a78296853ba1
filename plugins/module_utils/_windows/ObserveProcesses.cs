// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The processes of one run, each held open from the first time it is looked at. Private to harbormaster.ports.
//
// Windows does not give the pid of a process to another one while somebody has it open. So a decision that was made over a
// held process is about that very process for as long as the run lasts.

using System;
using System.Collections.Generic;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Masking;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeProcesses;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeTokens;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeWindows;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveText;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveProcesses
{
    /// <summary>Every process of the host by name, and the ones that matter in full.</summary>
    public sealed class ProcessBook : IDisposable
    {
        /// <summary>The System Idle Process, and System with all drivers. Neither can be opened, stopped or waited for.</summary>
        public const int IdlePid = 0;
        public const int SystemPid = 4;

        private const int MostAncestors = 64;
        private const double EpochSeconds = 11644473600;  // between 1601, where FILETIMEs begin, and 1970

        private readonly bool _commands;
        private readonly Dictionary<int, Held> _held = new Dictionary<int, Held>();
        private Dictionary<int, ProcessEntry> _list;
        private Dictionary<int, List<IntPtr>> _windows;

        /// <param name="commands">Read command lines too.</param>
        public ProcessBook(bool commands)
        {
            _commands = commands;
        }

        /// <summary>Read the list of processes anew, once for each look.</summary>
        /// <exception cref="NativeError">Windows refuses the list.</exception>
        public void Turn()
        {
            _list = ProcessList.Read();
            _windows = null;
            List<int> ended = new List<int>();
            foreach (KeyValuePair<int, Held> one in _held)
            {
                if (one.Value.Process == null || one.Value.Process.Ended == true)
                {
                    ended.Add(one.Key);
                }
            }
            foreach (int pid in ended)
            {
                Drop(pid);
            }
        }

        /// <summary>Whether there was such a process when the list was read.</summary>
        public bool Lives(int pid)
        {
            return pid == IdlePid || pid == SystemPid || _list.ContainsKey(pid);
        }

        /// <summary>The processes that name this pid as their creator.</summary>
        public IEnumerable<int> ChildrenOf(int pid)
        {
            foreach (ProcessEntry entry in _list.Values)
            {
                if (entry.ParentPid == pid && entry.Pid != pid)
                {
                    yield return entry.Pid;
                }
            }
        }

        /// <summary>When the process was created, a FILETIME; 0 when Windows does not say, or there is none.</summary>
        public long CreatedOf(int pid)
        {
            Held held = Hold(pid);
            return held.Process == null ? 0 : held.Created;
        }

        /// <summary>The process that was first looked at under this pid, held open; null when none was, or it can't be opened.</summary>
        public OpenedProcess Known(int pid)
        {
            Held held;
            return _held.TryGetValue(pid, out held) ? held.Process : null;
        }

        /// <summary>File name of a process's executable; empty for none.</summary>
        public string ImageOf(int pid)
        {
            ProcessEntry entry;
            return _list.TryGetValue(pid, out entry) ? entry.Image : "";
        }

        /// <summary>The parent and its parents, nearest first; only those that are older than their child: a pid may be used again.</summary>
        public List<int> AncestorsOf(int pid)
        {
            List<int> found = new List<int>();
            ProcessEntry entry;
            int child = pid;
            while (found.Count < MostAncestors && _list.TryGetValue(child, out entry))
            {
                int parent = entry.ParentPid;
                if (parent == IdlePid || parent == pid || found.Contains(parent) || !_list.ContainsKey(parent))
                {
                    break;
                }
                long born = CreatedOf(child), before = CreatedOf(parent);
                if (born != 0 && before != 0 && before > born)
                {
                    break;
                }
                found.Add(parent);
                child = parent;
            }
            return found;
        }

        /// <summary>All that is known of a process.</summary>
        /// <param name="services">Short names of the services that run in it.</param>
        /// <param name="family">Look for its ancestors too.</param>
        public Process Describe(int pid, IEnumerable<string> services, bool family)
        {
            ProcessEntry entry;
            _list.TryGetValue(pid, out entry);
            string name = pid == SystemPid ? "System" : entry == null ? "" : HostText.Printable(entry.Image);
            int parent = entry == null ? 0 : entry.ParentPid;
            List<int> ancestors = family ? AncestorsOf(pid) : null;
            Held held = Hold(pid);
            if (held.Process == null)
            {
                return new Process(
                    pid, name, parent, ancestors: ancestors, session: OpenedProcess.SessionOf(pid), services: services, denied: true);
            }
            held.Read(_commands);
            if (held.Path != null && pid != SystemPid)
            {
                name = HostText.Printable(FileName(held.Path));
            }
            return new Process(
                pid,
                name,
                parent,
                HostText.Printable(held.Path),
                held.Command,
                held.Account == null ? null : HostText.Printable(held.Account.Name),
                held.Account == null ? null : held.Account.Sid,
                held.Created == 0 ? (double?)null : held.Created / 1e7 - EpochSeconds,
                held.Created,
                ancestors,
                held.Session,
                Windows.ContainsKey(pid),
                held.Critical,
                held.Protection,
                services,
                !held.Process.MayEnd);
        }

        /// <summary>The main windows of our own desktop, by pid.</summary>
        public Dictionary<int, List<IntPtr>> Windows
        {
            get
            {
                if (_windows == null)
                {
                    _windows = Desktop.MainWindows();
                }
                return _windows;
            }
        }

        public void Dispose()
        {
            foreach (Held one in _held.Values)
            {
                one.Dispose();
            }
            _held.Clear();
        }

        private Held Hold(int pid)
        {
            Held held;
            if (_held.TryGetValue(pid, out held))
            {
                return held;
            }
            int code;
            held = new Held(pid == IdlePid ? null : OpenedProcess.Open(pid, out code));
            _held[pid] = held;
            return held;
        }

        private void Drop(int pid)
        {
            _held[pid].Dispose();
            _held.Remove(pid);
        }

        /// <summary>The last part of a path; of what is no path, all of it.</summary>
        private static string FileName(string path)
        {
            int slash = path.LastIndexOfAny(new char[] { '\\', '/' });
            return path.Substring(slash + 1);
        }

        /// <summary>One process with what does not change while it lives, read once.</summary>
        private sealed class Held : IDisposable
        {
            public readonly OpenedProcess Process;
            public readonly long Created;
            public string Path;
            public string Command;
            public Account Account;
            public int Session = -1;
            public bool Critical;
            public int Protection;
            private bool _read;

            public Held(OpenedProcess process)
            {
                Process = process;
                Created = process == null ? 0 : process.Created;
            }

            public void Read(bool command)
            {
                if (_read)
                {
                    return;
                }
                _read = true;
                Path = Process.Path;
                Account = Process.Owner;
                Session = OpenedProcess.SessionOf(Process.Pid);
                Critical = Process.Critical;
                Protection = Process.Protection;
                if (command)
                {
                    string line = Process.CommandLine;
                    Command = line == null ? null : SecretMask.CommandLine(line);
                }
            }

            public void Dispose()
            {
                if (Process != null)
                {
                    Process.Dispose();
                }
            }
        }
    }
}
