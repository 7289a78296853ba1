// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Closing single connections under programs that live on. Private to harbormaster.ports.
//
// Windows can do that with TCP over IPv4 alone (Win32 "SetTcpEntry"). A socket that was bound explicitly may stay bound
// after it: the look afterwards tells.

using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Addresses;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeSockets;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ActSockets
{
    /// <summary>Carries out steps of Actuator.TcpEntry.</summary>
    public static class SocketCloser
    {
        // How long a closed row may stay in the table.
        private const double GoneWait = 1.0;
        private const double LookEvery = 0.02;

        /// <summary>
        /// Close the connections of these steps. SetTcpEntry takes only the two ends, so the table is looked at first: the row
        /// must be the one that was decided about, with the same process and time of its bind.
        /// </summary>
        public static IReadOnlyList<Outcome> Close(IReadOnlyList<Step> steps, IEyes eyes)
        {
            return steps.Select(step => Close(step, eyes)).ToList();
        }

        private static Outcome Close(Step step, IEyes eyes)
        {
            double began = Clock.Now;
            int closed = 0;
            Refusal error = null;
            HashSet<Socket> now = new HashSet<Socket>(eyes.Rows().Select(Bare));
            foreach (Socket row in step.Sockets)
            {
                if (!now.Contains(Bare(row)))
                {
                    continue;
                }
                int code = SocketTables.CloseTcp(IpText.Parse(row.Address), row.Port, IpText.Parse(row.RemoteAddress), row.RemotePort);
                if (code == Win32.Success)
                {
                    closed++;
                }
                else if (code != Win32.MrMidNotFound && code != Win32.NotFound)
                {
                    // Those two: it left between the look and the call.
                    error = Failure(step, code);
                    break;
                }
            }
            if (closed > 0)
            {
                WaitUntilGone(step, eyes);
            }
            string result = error != null ? Outcome.Failed : closed > 0 ? Outcome.Done : Outcome.Gone;
            return new Outcome(step, result, closed > 0, Clock.Now - began, error: error);
        }

        private static void WaitUntilGone(Step step, IEyes eyes)
        {
            double until = Clock.Now + GoneWait;
            HashSet<Socket> closed = new HashSet<Socket>(step.Sockets.Select(Bare));
            while (Clock.Now < until && eyes.Rows().Any(row => closed.Contains(Bare(row))))
            {
                Clock.Sleep(LookEvery, until);
            }
        }

        /// <summary>The row without its service: a look at rows alone does not ask for that.</summary>
        private static Socket Bare(Socket row)
        {
            return new Socket(
                row.Protocol, row.Family, row.Address, row.Port, row.State, row.RemoteAddress, row.RemotePort, row.Id, row.Pid, row.V6Only, row.Interface);
        }

        private static Refusal Failure(Step step, int code)
        {
            return new Refusal(
                code == Win32.AccessDenied ? Codes.NotPermitted : Codes.StepFailed,
                "the " + step.Target + " can't be closed: " + NativeError.Words(code),
                code == Win32.AccessDenied ? "run the task as an elevated administrator" : "wait for its end with timeout instead");
        }
    }
}
