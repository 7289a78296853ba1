// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Which class carries out which kind of step, and the order. Private to harbormaster.ports.
//
// A new kind of step is one file with one class like ProcessStopper, one line in Actor.Begin, and one builder in DecideSteps.cs.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ActProcesses;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ActServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ActSockets;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Observe;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Act
{
    /// <summary>The act stage.</summary>
    public static class Actor
    {
        private const double LookEvery = 0.05;

        /// <summary>Wait until nobody is connected to the holders of these steps any more, at most so long.</summary>
        /// <returns>Whether there was anybody to wait for: then time has passed, and the plan is an old one.</returns>
        public static bool Drain(IReadOnlyList<Step> steps, IEyes eyes, double seconds)
        {
            double until = Clock.Now + seconds;
            bool waited = false;
            while (Clock.Now < until && Clients(steps, eyes).Any(clients => clients.Count > 0))
            {
                waited = true;
                Clock.Sleep(LookEvery, until);
            }
            return waited;
        }

        /// <summary>Do the steps in their order, those of one kind that follow each other together.</summary>
        /// <returns>The outcome of each step that was begun. After a failure no further step is begun.</returns>
        public static IEnumerable<Outcome> CarryOut(IReadOnlyList<Step> steps, IEyes eyes, Observer observer)
        {
            List<HashSet<string>> connected = Clients(steps, eyes);
            int next = 0;
            while (next < steps.Count)
            {
                int first = next;
                while (next < steps.Count && steps[next].Actuator == steps[first].Actuator)
                {
                    next++;
                }
                List<Step> batch = steps.Skip(first).Take(next - first).ToList();
                IReadOnlyList<Outcome> outcomes = Begin(batch, eyes, observer);
                bool counting = Enumerable.Range(first, next - first).Any(index => connected[index].Count > 0);
                // A child that goes on serving its client drops nobody.
                HashSet<string> left = counting ? Established(eyes.Rows()) : new HashSet<string>();
                bool failed = false;
                for (int index = 0; index < outcomes.Count; index++)
                {
                    Outcome outcome = outcomes[index];
                    failed = failed || outcome.Result == Outcome.Failed;
                    int dropped = outcome.Acted ? connected[first + index].Except(left).Count() : 0;
                    yield return new Outcome(
                        outcome.Step, outcome.Result, outcome.Acted, outcome.Seconds, dropped, outcome.Killed, outcome.Error);
                }
                if (failed)
                {
                    yield break;
                }
            }
        }

        /// <returns>One outcome for each step, in their order.</returns>
        private static IReadOnlyList<Outcome> Begin(IReadOnlyList<Step> steps, IEyes eyes, Observer observer)
        {
            switch (steps[0].Actuator)
            {
                case Actuator.Process: return ProcessStopper.Stop(steps, eyes, observer);
                case Actuator.Service: return ServiceStopper.Stop(steps, eyes, observer);
                case Actuator.TcpEntry: return SocketCloser.Close(steps, eyes);
                default: throw new InvalidOperationException("no actuator " + steps[0].Actuator);
            }
        }

        /// <summary>The connections of clients to the holders of each step. One that two steps share counts for the first.</summary>
        private static List<HashSet<string>> Clients(IReadOnlyList<Step> steps, IEyes eyes)
        {
            List<List<Socket>> listeners = steps.Select(Listeners).ToList();
            List<HashSet<string>> found = steps.Select(step => new HashSet<string>()).ToList();
            if (listeners.All(rows => rows.Count == 0))
            {
                return found;
            }
            foreach (Socket client in eyes.Rows().Where(IsConnection))
            {
                int index = listeners.FindIndex(rows => rows.Any(listener => listener.Accepts(client)));
                if (index >= 0)
                {
                    found[index].Add(Ends(client));
                }
            }
            return found;
        }

        private static List<Socket> Listeners(Step step)
        {
            return step.Roots.Count == 0 ? new List<Socket>() : step.Sockets.Where(row => row.State == SocketState.Listen).ToList();
        }

        private static HashSet<string> Established(IEnumerable<Socket> rows)
        {
            return new HashSet<string>(rows.Where(IsConnection).Select(Ends));
        }

        private static bool IsConnection(Socket row)
        {
            return row.Protocol == Protocol.Tcp && row.State == SocketState.Established;
        }

        private static string Ends(Socket row)
        {
            return row.Address + " " + row.Port + " " + row.RemoteAddress + " " + row.RemotePort;
        }
    }
}
