// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// observe -> decide -> act -> prove: the only file that knows all four. Private to harbormaster.ports: the entry of win_port_owner.

using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;
using Ansible.Basic;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Act;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ConductorEyes;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Decide;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideSockets;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Prove;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Report;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Wishes;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Conductor
{
    public static class PortOwner
    {
        /// <summary>Do what the task asks for, and put it into the module's result. Ends by FailJson where the wish is not met.</summary>
        public static void Run(AnsibleModule module)
        {
            PortsError failure;
            try
            {
                Tell(module, TaskRun.Of(module.Params, module.CheckMode));
                return;
            }
            catch (PortsError error)
            {
                failure = error;
            }
            catch (NativeError error)
            {
                failure = new PortsError(Codes.SourceRefused, "the system can't be read: " + error.Message);
            }
            // Outside of the catch: FailJson ends the module by an exception.
            module.Result["reason"] = failure.Code;
            module.FailJson(failure.Message);
        }

        private static void Tell(AnsibleModule module, Story story)
        {
            foreach (KeyValuePair<string, object> one in Reporter.Result(story, DateTime.UtcNow))
            {
                module.Result[one.Key] = one.Value;
            }
            foreach (string warning in story.Plan.Warnings)
            {
                module.Warn(warning);
            }
            if (module.DiffMode)
            {
                foreach (KeyValuePair<string, object> one in Reporter.Diff(story))
                {
                    module.Diff[one.Key] = one.Value;
                }
            }
            if (story.Failure != null)
            {
                module.FailJson((string)module.Result["msg"]);
            }
        }
    }

    /// <summary>One run of a task.</summary>
    internal sealed class TaskRun
    {
        // A holder that appears between the look and the act is never stopped: the plan is made again, at most this many times.
        private const int MostPlans = 3;
        // While the tables do not change, a whole look is taken again after so many seconds.
        private const double LookAgain = 1.0;
        // How long the end of a process takes at most on a busy host.
        private const double Ending = 2.0;
        // Between two looks at the tables.
        private const double Pause = 0.05;

        private readonly IReadOnlyList<Wish> _wishes;
        private readonly Policy _policy;
        private readonly SystemEyes _eyes;
        private readonly double _until;
        private readonly List<Outcome> _outcomes = new List<Outcome>();

        private TaskRun(IReadOnlyList<Wish> wishes, Policy policy, SystemEyes eyes, double until)
        {
            _wishes = wishes;
            _policy = policy;
            _eyes = eyes;
            _until = until;
        }

        /// <summary>The story of a run, also when the wish is not met (Story.Failure).</summary>
        /// <param name="options">The module's parameters, after Ansible's own checks.</param>
        /// <exception cref="PortsError">Bad options, and a system that can't be read at all.</exception>
        public static Story Of(IDictionary options, bool checkMode)
        {
            double began = Clock.Now;
            Policy policy = WishReader.PolicyOf(options);
            IReadOnlyList<Wish> wishes = WishReader.All(options);
            if (wishes.Count == 0)
            {
                return new Story(new Snapshot(), new Plan(new PortPlan[0]), policy, checkMode);
            }
            using (SystemEyes eyes = new SystemEyes(wishes, policy))
            {
                TaskRun run = new TaskRun(wishes, policy, eyes, began + (checkMode ? 0 : policy.Timeout));
                return run.Whole(checkMode).With(elapsed: Clock.Now - began);
            }
        }

        private Story Whole(bool checkMode)
        {
            Story story = Decided(checkMode);
            if (story.Failure != null || story.Plan.Steps.Count == 0 || checkMode)
            {
                return story;
            }
            return ActAndProve(story);
        }

        /// <summary>
        /// A snapshot and its plan, made again until nothing is in the way or the time is over. Only passing refusals are waited
        /// for: a connection that ends, an owner that is still starting.
        /// </summary>
        private Story Decided(bool checkMode)
        {
            Snapshot snapshot = _eyes.Look();
            Plan plan = Judge(snapshot);
            while (!IsFinal(plan) && Clock.Now < _until)
            {
                double look = Math.Min(_until, Clock.Now + LookAgain);
                HashSet<Socket> seen = new HashSet<Socket>(snapshot.Sockets);
                while (Clock.Now < look)
                {
                    Clock.Sleep(Pause, look);
                    if (!seen.SetEquals(_eyes.Rows()))
                    {
                        break;
                    }
                }
                snapshot = _eyes.Look();
                plan = Judge(snapshot);
            }
            return new Story(snapshot, plan, _policy, checkMode, plan.Refusals.FirstOrDefault());
        }

        /// <summary>
        /// The same after something has changed. A process that is just ending loses its window before its sockets, and can't be
        /// opened any more: for that time it looks like one that must not be stopped. So a refusal counts when it stays.
        /// </summary>
        private Story DecidedAgain()
        {
            double until = Clock.Now + Ending;
            Story again = Decided(false);
            while (again.Failure != null && Clock.Now < until)
            {
                Clock.Sleep(Pause, until);
                again = Decided(false);
            }
            return again;
        }

        private Plan Judge(Snapshot snapshot)
        {
            return Decider.Decide(snapshot, _wishes, _policy);
        }

        /// <summary>Whether waiting changes nothing: no refusal, or one that does not pass by itself.</summary>
        private static bool IsFinal(Plan plan)
        {
            return plan.Refusals.Count == 0 || !plan.Refusals.All(refusal => refusal.Passing);
        }

        /// <summary>
        /// Carry out the plan when it still fits, and prove the result. Whatever goes wrong, what was done is in the story.
        /// When holders come or go before anything was done, the plan is made again.
        /// </summary>
        private Story ActAndProve(Story story)
        {
            bool drained = false;
            for (int attempt = 0; ; attempt++)
            {
                if (attempt > 0)
                {
                    Story again = DecidedAgain();
                    Proof seen = new Proof(again.Snapshot, again.Plan);
                    if (again.Failure == null && again.Plan.Steps.Count == 0)
                    {
                        // They had left by themselves. What was found first is still what the result tells of.
                        return story.With(outcomes: _outcomes, proof: seen);
                    }
                    story = story.With(again.Snapshot, again.Plan);
                    if (again.Failure != null)
                    {
                        return story.With(outcomes: _outcomes, failure: again.Failure);
                    }
                    if (attempt == MostPlans)
                    {
                        return story.With(outcomes: _outcomes, proof: seen, failure: Changing());
                    }
                }
                if (_policy.Drain > 0 && !drained)
                {
                    drained = true;
                    if (Actor.Drain(story.Plan.Steps, _eyes, _policy.Drain))
                    {
                        continue;
                    }
                }
                if (!AsExpected(story.Snapshot))
                {
                    continue;
                }
                try
                {
                    CarryOut(story.Plan.Steps);
                }
                catch (PortsError error)
                {
                    return Unproven(story, error);
                }
                catch (NativeError error)
                {
                    return Unproven(story, error);
                }
                if (_outcomes.Any(outcome => outcome.Acted || outcome.Error != null))
                {
                    break;
                }
            }
            return Proven(story.With(outcomes: _outcomes));
        }

        /// <summary>
        /// Carry out steps, and once more what the same sockets still need: a sharer that the first look did not see. Never a
        /// holder with a new socket (that one is for the proof to name, not to stop), and never the program whose connection was
        /// closed.
        /// </summary>
        private void CarryOut(IReadOnlyList<Step> steps)
        {
            HashSet<long> mine = new HashSet<long>(steps.Where(step => step.Roots.Count > 0).SelectMany(step => step.Ids));
            HashSet<Target> judged = new HashSet<Target>(steps.SelectMany(Targets));
            for (int round = 0; round < MostPlans; round++)
            {
                foreach (Outcome outcome in Actor.CarryOut(steps, _eyes, _eyes.Observer))
                {
                    _outcomes.Add(outcome);
                }
                if (!_outcomes.Any(outcome => outcome.Acted) || _outcomes.Any(outcome => outcome.Error != null))
                {
                    return;
                }
                Plan again = Judge(_eyes.Look());
                if (again.Refusals.Count > 0 || again.Steps.Count == 0)
                {
                    return;
                }
                if (!again.Steps.All(step => mine.IsSupersetOf(step.Ids) || IsKnown(step, judged)))
                {
                    return;
                }
                steps = again.Steps;
            }
        }

        private Story Proven(Story story)
        {
            try
            {
                Outcome failed = story.Outcomes.FirstOrDefault(outcome => outcome.Error != null);
                if (failed != null)
                {
                    Snapshot snapshot = _eyes.Look();
                    return story.With(proof: new Proof(snapshot, Judge(snapshot)), failure: failed.Error);
                }
                double settle = Prover.SettleSeconds(_policy.Settle, story.Outcomes);
                Proof proof = Prover.Prove(_eyes, Judge, story.Outcomes, settle, _until, Decider.SupervisorName);
                return story.With(proof: proof, failure: proof.Failure);
            }
            catch (PortsError error)
            {
                return Unproven(story, error);
            }
            catch (NativeError error)
            {
                return Unproven(story, error);
            }
        }

        private static IEnumerable<Target> Targets(Step step)
        {
            return step.Roots.Concat(step.Members);
        }

        /// <summary>Whether the plan has judged every process of this step already.</summary>
        private static bool IsKnown(Step step, HashSet<Target> judged)
        {
            return step.Roots.Count > 0 && judged.IsSupersetOf(Targets(step));
        }

        /// <summary>Whether no socket holds a wished port now that the plan does not know.</summary>
        private bool AsExpected(Snapshot snapshot)
        {
            HashSet<long> known = new HashSet<long>(snapshot.Sockets.Select(row => row.Id));
            return _eyes.Rows().All(row => known.Contains(row.Id) || !SocketIndex.IsHolding(row));
        }

        /// <summary>The end of a run that can't see any more. What was done is told; the ports are as they were found.</summary>
        private Story Unproven(Story story, Exception error)
        {
            Refusal failure = new Refusal(
                Codes.NotProven, "the result can't be seen: " + error.Message, "look with state: present");
            return story.With(outcomes: _outcomes, proof: new Proof(story.Snapshot, story.Plan), failure: failure);
        }

        private static Refusal Changing()
        {
            return new Refusal(
                Codes.Changing, "new holders appeared in each of " + MostPlans + " looks, and none of them was stopped",
                "stop what starts them, then run the task again");
        }
    }
}
