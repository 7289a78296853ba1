// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Stopping processes. Private to harbormaster.ports.
//
// A process with windows in our session gets WM_CLOSE; one without has no polite way, and is ended at once where the step
// says so. When the grace period is over, TerminateProcess goes to those that still hold the port, where the step allows
// that. The wait ends when the socket is gone or the process is.
//
// All of it happens through handles that were opened before the decision: while one is open its pid means no other process.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeProcesses;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeWindows;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Observe;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ActProcesses
{
    /// <summary>Carries out steps of Actuator.Process.</summary>
    public static class ProcessStopper
    {
        // What Windows needs to end a process; one with a request that a driver does not give back needs for ever.
        internal const double KillWait = 5.0;
        private const int LookEveryMilliseconds = 20;

        /// <summary>Carry out these steps together, so that their grace periods run side by side.</summary>
        /// <returns>One outcome for each step, in their order. Never throws for what a process does.</returns>
        public static IReadOnlyList<Outcome> Stop(IReadOnlyList<Step> steps, IEyes eyes, Observer observer)
        {
            List<Run> runs = steps.Select(step => new Run(step, observer)).ToList();
            try
            {
                IReadOnlyList<Socket> rows = eyes.Rows();
                foreach (Run run in runs)
                {
                    run.Begin(rows);
                }
                while (runs.Any(run => run.Outcome == null))
                {
                    rows = eyes.Rows();
                    foreach (Run run in runs.Where(run => run.Outcome == null))
                    {
                        run.GoOn(rows);
                    }
                    Run waiting = runs.FirstOrDefault(run => run.Outcome == null);
                    if (waiting != null)
                    {
                        waiting.WaitForAnEnd(LookEveryMilliseconds);
                    }
                }
            }
            catch (PortsError error)
            {
                // The table can't be read any more. What was done is done, and has to be told.
                foreach (Run run in runs)
                {
                    run.Blinded(error.Message);
                }
            }
            return runs.Select(run => run.Outcome).ToList();
        }

        /// <summary>One process by its identity.</summary>
        private sealed class Grip
        {
            public readonly Target Target;
            private readonly OpenedProcess _process;

            public Grip(Target target, Observer observer)
            {
                Target = target;
                _process = observer.Hold(target.Pid, target.StartTicks);
            }

            /// <summary>Whether the process is gone, or was another one from the start.</summary>
            public bool Ended
            {
                get { return _process == null || _process.Ended == true; }
            }

            /// <summary>Whether it still has one of the step's rows. Those of HTTP.sys are PID 4's, and it is behind them while it lives.</summary>
            public bool Holds(IEnumerable<Socket> rows, Step step)
            {
                return !Ended && rows.Any(row => step.Ids.Contains(row.Id) && (row.Pid == Target.Pid || step.Queue != null));
            }

            public void Wait(int milliseconds)
            {
                _process.Wait(milliseconds);
            }

            public int End()
            {
                return _process.End();
            }
        }

        /// <summary>One step on its way: roots asked, members asked, ended, over.</summary>
        private sealed class Run
        {
            public Outcome Outcome;
            private readonly Step _step;
            private readonly List<Grip> _roots;
            private readonly List<Grip> _members;
            private readonly double _began = Clock.Now;
            private readonly List<int> _killed = new List<int>();
            private double _deadline;
            private bool _acted;
            private bool _membersAsked;
            private bool _killing;
            private bool _unheard;

            public Run(Step step, Observer observer)
            {
                _step = step;
                _roots = step.Roots.Select(target => new Grip(target, observer)).ToList();
                _members = step.Members.Select(target => new Grip(target, observer)).ToList();
                _membersAsked = _members.Count == 0;
            }

            /// <summary>Ask the roots. When none of the processes holds the socket any more, nothing is done.</summary>
            public void Begin(IReadOnlyList<Socket> rows)
            {
                List<Grip> roots = Holding(_roots, rows);
                if (roots.Count > 0)
                {
                    AskToEnd(roots);
                }
                else if (Holding(_members, rows).Count > 0)
                {
                    AskMembers(rows);
                }
                else
                {
                    Over(Outcome.Gone, null);
                }
            }

            /// <summary>Look where this step stands, and do what is due.</summary>
            public void GoOn(IReadOnlyList<Socket> rows)
            {
                List<Grip> holding = Holding(_roots.Concat(_members), rows);
                if (holding.Count == 0)
                {
                    // Every process that was to let it go has; whoever has the port now is for a new decision.
                    Over(Outcome.Done, null);
                }
                else if (!_membersAsked && _roots.All(grip => grip.Ended))
                {
                    AskMembers(rows);
                }
                else if (Clock.Now < _deadline)
                {
                    return;
                }
                else if (!_membersAsked && !_roots.Any(holding.Contains))
                {
                    // The root lives on and has closed its copy.
                    AskMembers(rows);
                }
                else if (_killing || !_step.Kill)
                {
                    Fail();
                }
                else
                {
                    Kill(rows);
                }
            }

            /// <summary>Wait for the end of one of the processes, so long at most.</summary>
            public void WaitForAnEnd(int milliseconds)
            {
                Grip living = _roots.Concat(_members).FirstOrDefault(grip => !grip.Ended);
                if (living != null)
                {
                    living.Wait(milliseconds);
                }
            }

            /// <summary>End a step that is still under way when nothing can be seen any more.</summary>
            public void Blinded(string why)
            {
                if (Outcome == null)
                {
                    string problem = "whether " + _step.Target + " has left can't be seen: " + why;
                    Over(Outcome.Failed, new Refusal(Codes.StepFailed, problem, "look with state: present, then run the task again"));
                }
            }

            private List<Grip> Holding(IEnumerable<Grip> grips, IReadOnlyList<Socket> rows)
            {
                return grips.Where(grip => grip.Holds(rows, _step)).ToList();
            }

            private void AskMembers(IReadOnlyList<Socket> rows)
            {
                _membersAsked = true;
                _killing = false;
                AskToEnd(Holding(_members, rows));
            }

            private void AskToEnd(List<Grip> grips)
            {
                if (_step.Signal == Ask.Terminate)
                {
                    _killing = true;
                    _deadline = Clock.Now + KillWait;
                    grips.ForEach(grip => End(grip));
                    return;
                }
                _deadline = Clock.Now + _step.Grace;
                Dictionary<int, List<IntPtr>> windows = Desktop.MainWindows();
                bool asked = false;
                foreach (Grip grip in grips)
                {
                    List<IntPtr> own;
                    if (windows.TryGetValue(grip.Target.Pid, out own))
                    {
                        foreach (IntPtr window in own)
                        {
                            asked = Desktop.AskToClose(window) == Win32.Success || asked;
                        }
                    }
                }
                _acted = _acted || asked;
                if (!asked)
                {
                    // Its windows closed meanwhile: nobody there who could hear us, and no reason to wait for an answer.
                    _unheard = true;
                    _deadline = Clock.Now;
                }
            }

            private void Kill(IReadOnlyList<Socket> rows)
            {
                _killing = true;
                _deadline = Clock.Now + KillWait;
                // Nobody is ended who was not asked before.
                foreach (Grip grip in Holding(_membersAsked ? _roots.Concat(_members) : _roots, rows))
                {
                    if (End(grip))
                    {
                        _killed.Add(grip.Target.Pid);
                    }
                }
            }

            /// <returns>Whether it was ended by this.</returns>
            private bool End(Grip grip)
            {
                int code = Outcome != null ? Win32.Success : grip.End();
                if (Outcome == null && code == Win32.Success)
                {
                    _acted = true;
                    return true;
                }
                // A process that is ending already can't be ended: that is what was wanted.
                if (code != Win32.Success && !grip.Ended)
                {
                    Over(Outcome.Failed, new Refusal(
                        Codes.NotPermitted,
                        _step.Target + " can't be ended: " + NativeError.Words(code),
                        "run the task as an elevated administrator"));
                }
                return false;
            }

            private void Fail()
            {
                string code = Codes.StillHeld;
                string problem;
                string remedy;
                if (_unheard && !_killing)
                {
                    code = Codes.NoPoliteWay;
                    problem = _step.Target + " has no window left that could be asked to close, and it is not killed";
                    remedy = "allow TerminateProcess with force: true";
                }
                else if (_killing)
                {
                    problem = string.Format(CultureInfo.InvariantCulture, "{0} still holds it {1:0.###} s after TerminateProcess", _step.Target, KillWait);
                    remedy = "it hangs in a driver: look at the disk or network file system that it waits for";
                }
                else
                {
                    problem = string.Format(
                        CultureInfo.InvariantCulture, "{0} still holds it {1:0.###} s after {2}, and it is not killed", _step.Target, _step.Grace, _step.Signal);
                    remedy = "give it more time with grace_period, or allow TerminateProcess with force: true";
                }
                Over(Outcome.Failed, new Refusal(code, problem, remedy));
            }

            private void Over(string result, Refusal error)
            {
                Outcome = new Outcome(_step, result, _acted, Clock.Now - _began, 0, _killed, error);
            }
        }
    }
}
