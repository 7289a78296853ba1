// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Stopping services through the service manager. Private to harbormaster.ports.
//
// Those that depend on a service are stopped before it, each one only when the one before has really stopped: the manager
// answers at once, and the service takes its time. A service is never ended past its manager.

using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeServices;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Observe;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ActServices
{
    /// <summary>Carries out steps of Actuator.Service.</summary>
    public static class ServiceStopper
    {
        private const double LookEvery = 0.02;
        // What a stopped service's process may need to give its socket back.
        private const double SocketWait = 2.0;

        /// <summary>Stop the services of these steps, one after the other. After a failure no further one is begun.</summary>
        /// <returns>One outcome for each step that was begun, in their order.</returns>
        public static IReadOnlyList<Outcome> Stop(IReadOnlyList<Step> steps, IEyes eyes, Observer observer)
        {
            List<Outcome> outcomes = new List<Outcome>();
            foreach (Step step in steps)
            {
                outcomes.Add(new Run(step, eyes, observer).Go());
                if (outcomes.Last().Result == Outcome.Failed)
                {
                    break;
                }
            }
            return outcomes;
        }

        /// <summary>One step on its way.</summary>
        private sealed class Run
        {
            private readonly Step _step;
            private readonly IEyes _eyes;
            private readonly Observer _observer;
            private readonly string _name;
            private readonly double _began = Clock.Now;
            private readonly List<string> _stopped = new List<string>();
            private bool _acted;

            public Run(Step step, IEyes eyes, Observer observer)
            {
                _step = step;
                _eyes = eyes;
                _observer = observer;
                _name = step.ServiceStops.Last();
            }

            public Outcome Go()
            {
                try
                {
                    using (ServiceManager manager = new ServiceManager())
                    {
                        return IsTheSame(manager) ? Stop(manager) : Over(Outcome.Gone, null);
                    }
                }
                catch (NativeError error)
                {
                    return Over(Outcome.Failed, Failure(_name, error.Code, "can't be asked for its state"));
                }
            }

            /// <summary>Whether the service still runs in the process that the decision was made about, and still has the port.</summary>
            private bool IsTheSame(ServiceManager manager)
            {
                ServiceEntry now = manager.Status(_name);
                if (now == null || now.State == ServiceState.Stopped)
                {
                    return false;
                }
                Target root = _step.Roots.FirstOrDefault();
                if (root != null && (now.Pid != root.Pid || (root.StartTicks != 0 && _observer.Hold(root.Pid, root.StartTicks) == null)))
                {
                    return false;
                }
                return _eyes.Rows().Any(row => _step.Ids.Contains(row.Id));
            }

            private Outcome Stop(ServiceManager manager)
            {
                int startType = -1;
                if (_step.Persist)
                {
                    // Before the stop: a trigger or a failure action that comes between must find it disabled.
                    startType = manager.Setup(_name).StartType;
                    int code = startType == Service.DisabledStart ? Win32.Success : manager.SetStartType(_name, Service.DisabledStart);
                    if (code != Win32.Success)
                    {
                        return Over(Outcome.Failed, Failure(_name, code, "can't be disabled"));
                    }
                    _acted = startType != Service.DisabledStart;
                }
                Refusal error = null;
                foreach (string name in _step.ServiceStops)
                {
                    error = StopOne(manager, name);
                    if (error != null)
                    {
                        break;
                    }
                }
                if (error == null)
                {
                    WaitForSocket();
                    return Over(Outcome.Done, null);
                }
                if (startType >= 0 && startType != Service.DisabledStart && manager.SetStartType(_name, startType) == Win32.Success)
                {
                    // It runs on, so it starts as before.
                    _acted = _stopped.Count > 0;
                }
                return Over(Outcome.Failed, error);
            }

            /// <summary>Ask one service to stop, and wait until it has.</summary>
            /// <returns>Why it did not stop; null when it has.</returns>
            private Refusal StopOne(ServiceManager manager, string name)
            {
                double until = Clock.Now + _step.Grace;
                bool asked = false;
                while (true)
                {
                    ServiceEntry now = manager.Status(name);
                    if (now == null || now.State == ServiceState.Stopped)
                    {
                        if (asked)
                        {
                            _stopped.Add(name);
                        }
                        return null;
                    }
                    int code = Win32.Success;
                    if (!asked && now.State != ServiceState.StopPending)
                    {
                        code = manager.Stop(name);
                        asked = code == Win32.Success;
                        _acted = _acted || asked;
                    }
                    // 1061: it is on its way to another state, and takes requests again when it is there.
                    if (code != Win32.Success && code != Win32.ServiceCannotAcceptControl && code != Win32.ServiceNotActive)
                    {
                        return Failure(name, code, "can't be stopped");
                    }
                    if (Clock.Now >= until)
                    {
                        return Late(name, now.State);
                    }
                    Clock.Sleep(LookEvery, until);
                }
            }

            /// <summary>Give the process a moment to close its socket: its service reports that it has stopped before it ends.</summary>
            private void WaitForSocket()
            {
                double until = Clock.Now + SocketWait;
                while (Clock.Now < until && _eyes.Rows().Any(row => _step.Ids.Contains(row.Id)))
                {
                    Clock.Sleep(LookEvery, until);
                }
            }

            private Refusal Late(string name, int state)
            {
                string problem = string.Format(
                    CultureInfo.InvariantCulture,
                    "the service {0} is {1} {2:0.###} s after the stop request{3}",
                    name,
                    state == ServiceState.StopPending ? "still stopping" : "still not stopped",
                    _step.Grace,
                    Before());
                return new Refusal(Codes.StillHeld, problem, "give it more time with grace_period; a service is not ended past its manager");
            }

            private Refusal Failure(string name, int code, string what)
            {
                string problem = "the service " + name + " " + what + ": " + NativeError.Words(code) + Before();
                switch (code)
                {
                    case Win32.AccessDenied:
                        return new Refusal(Codes.NotPermitted, problem, "run the task as an elevated administrator");
                    case Win32.DependentServicesRunning:
                        return new Refusal(Codes.StepFailed, problem, "one that depends on it was started meanwhile: run the task again");
                    default:
                        return new Refusal(Codes.StepFailed, problem, "look at the event log of the service, then run the task again");
                }
            }

            /// <summary>What had been stopped before it went wrong.</summary>
            private string Before()
            {
                return _stopped.Count == 0 ? "" : " (stopped before it: " + string.Join(", ", _stopped.ToArray()) + ")";
            }

            private Outcome Over(string result, Refusal error)
            {
                return new Outcome(_step, result, _acted, Clock.Now - _began, error: error);
            }
        }
    }
}
