// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Every reason for which a holder is not stopped or a wish is not met. Private to harbormaster.ports.
//
// The codes are shared with Linux, and so is each sentence that does not speak of the system itself (_decide/reasons.py). A
// passing reason ends by itself (a connection closes, TIME_WAIT runs out): timeout waits for it.

using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideReasons
{
    public static class Reasons
    {
        /// <summary>A name of the protected list.</summary>
        /// <param name="byTask">The task's own protect put it there.</param>
        public static Refusal ProtectedProcess(string who, string rule, bool byTask)
        {
            return new Refusal(
                Codes.ProtectedProcess,
                who + " is protected (" + (byTask ? "protect: " : "") + rule + ")",
                "if it really has to go, take its name " + (byTask ? "out of protect" : "off the list with unprotect") + ", or stop it by hand");
        }

        /// <summary>Windows itself, or what it guards itself: never, whatever the options say.</summary>
        /// <param name="why">What tells that it is so, as a clause.</param>
        public static Refusal NeverStopped(string who, string why)
        {
            return new Refusal(
                Codes.ProtectedProcess,
                who + " is never stopped: " + why,
                "give your server another port, or, if it needs one address only, name it with address");
        }

        /// <summary>The module, or a process that it was started by.</summary>
        public static Refusal OwnAncestor(string who)
        {
            return new Refusal(
                Codes.OwnAncestor, who + " started this very task", "run the task over another connection, or from another host");
        }

        /// <summary>What carries, or may carry, the Ansible connection.</summary>
        public static Refusal OwnConnection(string who, string why)
        {
            return new Refusal(
                Codes.OwnConnection, who + " may carry the Ansible connection (" + why + ")",
                "reach the host another way, or stop it by hand");
        }

        /// <summary>Somebody holds the port whom the wish does not name.</summary>
        public static Refusal OwnerMismatch(string who, string option, string allowed)
        {
            return new Refusal(
                Codes.OwnerMismatch,
                option == "owner" ? who + " holds it, expected " + allowed : who + " is not in " + option + ": " + allowed,
                option == "owner"
                    ? "name it in owner, or make the port free with state: free"
                    : "name it in stop_only if it may be stopped, in keep if it may stay",
                option == "owner");
        }

        /// <summary>A wish that covers one process of a holder, and not another one that shares its socket.</summary>
        public static Refusal SharedMismatch(string who, string sharer, string why)
        {
            return new Refusal(
                Codes.OwnerMismatch, who + " shares its socket with " + sharer + ", which " + why,
                "name both in stop_only, or both in keep: they hold the port together");
        }

        /// <summary>One wish lets a holder stay, another one would stop it.</summary>
        public static Refusal KeptElsewhere(string who, string label)
        {
            return new Refusal(
                Codes.OwnerMismatch, who + " may stay on " + label + ", so it can't be stopped here",
                "name it in keep here too, or leave it out there");
        }

        /// <summary>Right name, wrong account.</summary>
        public static Refusal UserMismatch(string who, string user, string allowed)
        {
            return new Refusal(
                Codes.UserMismatch, who + " runs as " + user + ", and user allows " + allowed,
                "add the account to user, or leave the option out");
        }

        /// <summary>owner is given and nobody serves the port.</summary>
        /// <param name="found">What there is instead, as clauses.</param>
        public static Refusal NotHeld(string allowed, IEnumerable<string> found)
        {
            string text = string.Join("; ", new[] { "nothing listens, expected " + allowed }.Concat(found));
            return new Refusal(Codes.NotHeld, text, "start it, or wait longer with timeout", true);
        }

        /// <summary>A socket whose process can't be seen.</summary>
        public static Refusal HiddenOwner(string what, string candidates, string advice)
        {
            return new Refusal(Codes.HiddenOwner, what + " is held by a process that can't be seen" + candidates, advice);
        }

        /// <summary>The process that opened the socket is gone, and one that inherited its handle keeps it.</summary>
        /// <param name="candidates">Who that may be, for people; empty when nobody qualifies.</param>
        public static Refusal Ghost(int pid, string candidates)
        {
            return new Refusal(
                Codes.Ghost,
                "the process that opened its socket (pid " + pid + ") has ended, and another one has inherited it"
                + (candidates.Length > 0 ? ", perhaps " + candidates : ""),
                "which one it is, Windows does not tell: end it by hand, it was started by pid " + pid
                + (candidates.Length > 0 ? "" : " or by one of its children") + "; then run the task again");
        }

        /// <summary>A port that Windows lets nobody bind.</summary>
        public static Refusal ReservedRange(ExcludedRange range)
        {
            string family = range.Family == Family.IPv6 ? "ipv6" : "ipv4";
            string span = "protocol=" + range.Protocol + " startport=" + range.First + " numberofports=" + (range.Last - range.First + 1);
            return new Refusal(
                Codes.ReservedRange,
                "Windows has excluded the ports " + range.First + " to " + range.Last + " from being bound",
                range.Administered
                    ? "an administrator has set that; netsh int " + family + " delete excludedportrange " + span + " takes it back"
                    : "Hyper-V, WSL, Docker or WinNAT take such ranges at each boot: choose another port, or stop the service winnat, start your "
                        + "server, and start winnat again");
        }

        /// <summary>A socket that Windows itself opened.</summary>
        public static Refusal KernelSocket(string what)
        {
            return new Refusal(
                Codes.KernelSocket, "the kernel itself holds it (" + what + ")",
                "take that away with its own tool: Remove-WindowsFeature or Disable-NetAdapterBinding for file sharing, netsh http show "
                + "servicestate for what HTTP.sys serves");
        }

        /// <summary>A UDP socket on an ephemeral port, where nobody asked for UDP by name.</summary>
        public static Refusal UnnamedUdp(string who, int port)
        {
            return new Refusal(
                Codes.Connection, who + " has a UDP socket on it, as clients have on ephemeral ports",
                "wait for its end with timeout; if it is a server, ask for " + port + "/udp by name", true);
        }

        /// <summary>An outgoing connection whose local port is the wished one.</summary>
        /// <param name="hint">What else than waiting would help, or why nothing does.</param>
        public static Refusal Connection(string who, string remote, string hint)
        {
            return new Refusal(
                Codes.Connection, "a connection of " + who + " with " + remote + " has it as its local port",
                "wait for its end with timeout; " + hint, true);
        }

        /// <summary>Rows without a process that make a bind fail.</summary>
        public static Refusal Leftover(string states)
        {
            return new Refusal(
                Codes.Leftover, "what is left of old connections (" + states + ") keeps it from being bound",
                "wait with timeout (TIME_WAIT lasts up to 4 minutes), or remove the rows with close_blocking: true (IPv4 only)", true);
        }

        /// <summary>What the task asks for takes more rights than its account has.</summary>
        /// <param name="what">What can't be done, as "X can't be closed".</param>
        public static Refusal NotPermitted(string what)
        {
            return new Refusal(
                Codes.NotPermitted, what + ": that needs an elevated administrator",
                "run the task as one (on Windows, become: true with become_method: runas), or wait for its end with timeout");
        }

        /// <summary>A process without a window in our session can't be asked to end.</summary>
        public static Refusal NoPoliteWay(string who)
        {
            return new Refusal(
                Codes.NoPoliteWay, who + " has no window in the session of this task, so nothing can ask it to end",
                "end it by its own means, or let the task end it at once with force: true");
        }

        /// <summary>A supervisor would start the holder again at once.</summary>
        public static Refusal Supervised(string who, string supervisor, string command)
        {
            return new Refusal(
                Codes.Supervised, who + " is run by " + supervisor + ", which would start it again",
                command + "; or force the signal with method: signal");
        }

        /// <summary>Something that another program set up and would set up again.</summary>
        public static Refusal ManagedElsewhere(string who, string manager, string remedy)
        {
            return new Refusal(
                Codes.ManagedElsewhere, who + " is run by " + manager,
                remedy + "; or, if your server needs one address only, name it with address");
        }

        /// <summary>A container engine, or what relays the ports of containers or of WSL.</summary>
        public static Refusal Engine(string who, int port)
        {
            return new Refusal(
                Codes.Engine,
                who + " belongs to a container engine or to WSL, and has this port for itself or for somebody inside",
                "it is never stopped for a port, all containers would go with it; find what publishes it with docker ps --filter publish="
                + port + ", or inside WSL with ss -ltnp, and stop that");
        }

        /// <summary>A service that does not take a request to stop.</summary>
        /// <param name="why">As a clause.</param>
        /// <param name="remedy">What to do next.</param>
        public static Refusal NotStoppable(string who, string why, string remedy, bool passing = false)
        {
            return new Refusal(Codes.NotStoppable, who + " can't be stopped by request: " + why, remedy, passing);
        }

        /// <summary>Something that would stop as well is protected.</summary>
        public static Refusal ProtectedDependant(string who, string dependant, string rule)
        {
            return new Refusal(
                Codes.ProtectedDependant,
                "stopping " + who + " would also stop " + dependant + ", which is protected (" + rule + ")",
                "take the dependency away first (sc.exe enumdepend shows it), or stop it by hand");
        }

        /// <summary>The end of a process that its service manager starts again.</summary>
        public static Refusal WouldRespawn(string who, string manager, string restart)
        {
            return new Refusal(
                Codes.WouldRespawn, manager + " starts " + who + " again after a signal (restart policy " + restart + ")",
                "leave method at auto, which stops it through its manager");
        }

        /// <summary>method names a way that this holder does not have.</summary>
        public static Refusal WrongMethod(string who, string method)
        {
            return new Refusal(
                Codes.WrongMethod, who + " can't be stopped with method: " + method, "leave method at auto, which uses its real manager");
        }

        /// <summary>method: signal on a process that other services need too.</summary>
        public static Refusal SharedHost(string who)
        {
            return new Refusal(
                Codes.WrongMethod, who + " shares its process with other services, and method: signal would end them all",
                "leave method at auto, which stops this service alone");
        }

        /// <summary>method: none waits and stops nothing.</summary>
        public static Refusal StillHeld(string who)
        {
            return new Refusal(
                Codes.StillHeld, who + " holds it, and method: none stops nothing",
                "wait longer with timeout, or let the task stop it with method: auto", true);
        }

        /// <summary>collateral: refuse and the step frees or stops more than was asked for.</summary>
        public static Refusal Collateral(string who, string ports, string dependants)
        {
            string besides = (ports.Length > 0 ? " free " + ports : "") + (ports.Length > 0 && dependants.Length > 0 ? " and" : "")
                + (dependants.Length > 0 ? " stop " + dependants : "");
            string remedy = ports.Length > 0 ? "ask for those ports too, or allow it with collateral: warn" : "allow it with collateral: warn";
            return new Refusal(Codes.Collateral, "stopping " + who + " would also" + besides, remedy);
        }
    }
}
