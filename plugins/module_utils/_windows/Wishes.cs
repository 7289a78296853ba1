// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// From the options of a task to Wishes and a Policy. Private to harbormaster.ports.
//
// Every bad value is one sentence that names the option, the value and what is allowed: the same one as on Linux (_wishes.py).

using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text.RegularExpressions;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Addresses;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.PortNames;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Wishes
{
    /// <summary>Reads the parameters of a module, after Ansible's own checks of types and choices.</summary>
    public static class WishReader
    {
        private const int MostPorts = 4096;
        // Wishes with all repeats in them: tcp and udp of each port, and of each range that overlaps with others.
        private const int MostWithRepeats = 16 * MostPorts;
        private const double LongestWait = 86400;
        private const string PortsAllowed =
            "allowed are 1 to 65535, a range such as 8000-8010, or a service name such as https, each with /tcp or /udp if wanted";

        private const RegexOptions Invariant = RegexOptions.CultureInvariant;
        private static readonly Regex Range = new Regex(@"\A([0-9]{1,9})-([0-9]{1,9})\z", Invariant);
        private static readonly Regex OnlyDigits = new Regex(@"\A[0-9]{1,9}\z", Invariant);
        private static readonly Regex Name = new Regex(@"\A[A-Za-z0-9][A-Za-z0-9+._-]*\z", Invariant);

        // Names of Linux, by number: a playbook for both systems may name one. Windows has no signals.
        private static readonly string[] Signals =
            ("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ "
            + "VTALRM PROF WINCH IO PWR SYS").Split(' ');

        private static readonly string[] OtherSignals = { "IOT", "CLD", "POLL", "RTMIN", "RTMAX" };
        private const int MostSignals = 64;

        /// <summary>The wishes in the order in which they were given, each (port, protocol) of an item once.</summary>
        /// <exception cref="OptionError">For each value that can't be used.</exception>
        public static IReadOnlyList<Wish> All(IDictionary parameters)
        {
            bool free = Text(parameters, "state") == "free";
            List<Wish> found = new List<Wish>();
            HashSet<string> asked = new HashSet<string>();
            IList plan = Items(parameters, "plan");
            if (plan != null)
            {
                for (int index = 0; index < plan.Count; index++)
                {
                    string prefix = "plan[" + index + "].";
                    AddItem(found, asked, WithTask(parameters, (IDictionary)plan[index]), prefix, index, free);
                }
            }
            else
            {
                IList ports = Items(parameters, "port");
                if (ports == null || ports.Count == 0)
                {
                    throw new OptionError("port", new object[0], "give at least one port; " + PortsAllowed);
                }
                object[] distinct = ports.Cast<object>().Distinct().ToArray();
                for (int index = 0; index < distinct.Length; index++)
                {
                    Hashtable item = WithTask(parameters, new Hashtable { { "port", distinct[index] } });
                    AddItem(found, asked, item, "", index, free);
                }
            }
            return WithoutRepeats(found);
        }

        /// <summary>The options that hold for the whole task.</summary>
        /// <exception cref="OptionError">For negative or endless times, unknown signals and empty names.</exception>
        public static Policy PolicyOf(IDictionary parameters)
        {
            return new Policy(
                state: Text(parameters, "state"),
                method: Text(parameters, "method"),
                signal: SignalName(parameters["signal"]),
                gracePeriod: Seconds(parameters, "grace_period"),
                force: (bool?)parameters["force"],
                drain: Seconds(parameters, "drain") ?? 0,
                settle: Seconds(parameters, "settle"),
                timeout: Seconds(parameters, "timeout") ?? 0,
                closeBlocking: (bool)parameters["close_blocking"],
                collateral: Text(parameters, "collateral"),
                persist: (bool)parameters["persist"],
                protect: Patterns("protect", Items(parameters, "protect"), true),
                unprotect: Patterns("unprotect", Items(parameters, "unprotect"), true));
        }

        /// <summary>TERM for TERM, SIGTERM, term or 15; real-time signals by number.</summary>
        private static string SignalName(object value)
        {
            string text = Convert.ToString(value, CultureInfo.InvariantCulture);
            string name = text.Trim().ToUpperInvariant();
            name = name.StartsWith("SIG", StringComparison.Ordinal) ? name.Substring(3) : name;
            string allowed = "allowed are a signal's name such as TERM, INT, HUP or KILL, or its number from 1 to " + MostSignals;
            if (OnlyDigits.IsMatch(name))
            {
                int number = int.Parse(name, CultureInfo.InvariantCulture);
                if (number < 1 || number > MostSignals)
                {
                    throw new OptionError("signal", text, allowed);
                }
                return number <= Signals.Length ? Signals[number - 1] : number.ToString(CultureInfo.InvariantCulture);
            }
            if (!Signals.Contains(name) && !OtherSignals.Contains(name))
            {
                throw new OptionError("signal", text, allowed);
            }
            return name;
        }

        /// <summary>What an item does not say itself, the task says for all of them.</summary>
        private static Hashtable WithTask(IDictionary parameters, IDictionary own)
        {
            Hashtable item = new Hashtable(parameters);
            foreach (DictionaryEntry entry in own)
            {
                if (entry.Value != null)
                {
                    item[entry.Key] = entry.Value;
                }
            }
            return item;
        }

        /// <summary>The wishes of one item of the plan, or of one element of port.</summary>
        private static void AddItem(List<Wish> found, HashSet<string> asked, IDictionary item, string prefix, int request, bool free)
        {
            bool inPlan = prefix.Length > 0;
            int first, last;
            string suffix;
            ParsePorts(Text(item, "port"), prefix + "port", out first, out last, out suffix);
            if (last - first >= MostPorts)
            {
                throw new OptionError(prefix + "port", Text(item, "port"), "at most " + MostPorts + " ports fit in one task");
            }
            IReadOnlyList<string> owner = Patterns(prefix + "owner", Items(item, "owner"), inPlan);
            if (free && owner != null && owner.Count > 0)
            {
                throw new OptionError(
                    prefix + "owner", string.Join(", ", owner),
                    "with state=free say keep for who may stay, or stop_only for the only ones that may be stopped");
            }
            string protocol = suffix ?? Text(item, "protocol") ?? "any";
            object place = item["address"];
            string address = place == null ? null : PlainAddress(place.ToString(), prefix + "address");
            IReadOnlyList<string> keep = free ? Patterns(prefix + "keep", Items(item, "keep"), false) : null;
            IReadOnlyList<string> stopOnly = free ? Patterns(prefix + "stop_only", Items(item, "stop_only"), false) : null;
            IReadOnlyList<string> user = Patterns(prefix + "user", Items(item, "user"), false);
            string options = string.Join("\n", address, Identity(owner), Identity(keep), Identity(stopOnly), Identity(user));
            string[] protocols = protocol == "any" ? new[] { Protocol.Tcp, Protocol.Udp } : new[] { protocol };
            for (int port = first; port <= last; port++)
            {
                asked.Add(port + " " + options);
                foreach (string one in protocols)
                {
                    found.Add(new Wish(port, one, protocol != "any", address, free ? null : owner, keep, stopOnly, user, request));
                }
            }
            // Asked after each item: a list of a thousand ranges must not fill the memory first. What is asked for twice counts once.
            if (asked.Count > MostPorts)
            {
                throw new OptionError(
                    inPlan ? "plan" : "port", asked.Count + " ports", "at most " + MostPorts + " ports fit in one task");
            }
            if (found.Count > MostWithRepeats)
            {
                throw new OptionError(
                    inPlan ? "plan" : "port", found.Count + " ports with all repeats",
                    "at most " + MostPorts + " ports fit in one task, each named once");
            }
        }

        /// <summary>8000-8010/tcp -> 8000, 8010, tcp; without a protocol the last part is null.</summary>
        private static void ParsePorts(string whole, string option, out int first, out int last, out string protocol)
        {
            string text = whole.Trim();
            int slash = text.IndexOf('/');
            protocol = slash < 0 ? null : text.Substring(slash + 1).Trim().ToLowerInvariant();
            string stem = slash < 0 ? text : text.Substring(0, slash).Trim();
            if (protocol != null && protocol != Protocol.Tcp && protocol != Protocol.Udp)
            {
                throw new OptionError(option, whole, "after the slash tcp or udp is allowed");
            }
            Match span = Range.Match(stem);
            if (span.Success)
            {
                first = int.Parse(span.Groups[1].Value, CultureInfo.InvariantCulture);
                last = int.Parse(span.Groups[2].Value, CultureInfo.InvariantCulture);
                if (first > last)
                {
                    throw new OptionError(option, whole, "the range ends before it begins; write " + last + "-" + first);
                }
            }
            else if (OnlyDigits.IsMatch(stem))
            {
                first = last = int.Parse(stem, CultureInfo.InvariantCulture);
            }
            else if (!Name.IsMatch(stem) || (stem[0] >= '0' && stem[0] <= '9' && stem.All(one => "0123456789-._+".IndexOf(one) >= 0)))
            {
                throw new OptionError(option, whole, PortsAllowed);
            }
            else
            {
                int? port = PortNameTable.OfThisHost.Port(stem, protocol);
                if (port == null)
                {
                    throw new OptionError(
                        option, whole,
                        "the host knows no " + (protocol == null ? "" : protocol + " ")
                        + "service of that name (drivers\\etc\\services); give the number");
                }
                first = last = port.Value;
            }
            if (first < 1 || last > 65535)
            {
                throw new OptionError(option, whole, "a port is a number from 1 to 65535");
            }
        }

        /// <summary>An IPv4 or IPv6 address in its shortest form; an IPv4-mapped one as IPv4.</summary>
        private static string PlainAddress(string text, string option)
        {
            byte[] address = IpText.Parse(text.Trim());
            if (address == null)
            {
                throw new OptionError(
                    option, text,
                    "an IPv4 or IPv6 address is allowed, such as 192.0.2.10 or 2001:db8::1; no name, no network, no zone");
            }
            return IpText.Of(address);
        }

        private static IReadOnlyList<string> Patterns(string option, IList values, bool mayBeEmpty)
        {
            if (values == null)
            {
                return null;
            }
            if (values.Count == 0 && !mayBeEmpty)
            {
                throw new OptionError(
                    option, values, "an empty list is not allowed, it could mean all or nobody; leave the option out");
            }
            List<string> cleaned = values.Cast<object>().Select(value => value.ToString().Trim()).ToList();
            if (cleaned.Any(value => value.Length == 0))
            {
                throw new OptionError(option, values, "an empty name is not allowed; '*' stands for anybody");
            }
            if (!cleaned.All(Characters.AllPrintable))
            {
                throw new OptionError(option, values, "only printable characters are allowed in a name");
            }
            return Listed.Of(cleaned);
        }

        private static double? Seconds(IDictionary parameters, string option)
        {
            object value = parameters[option];
            if (value == null)
            {
                return null;
            }
            // Ansible hands over single precision, whose text is what the user wrote.
            double seconds = value is float
                ? double.Parse(((float)value).ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture)
                : Convert.ToDouble(value, CultureInfo.InvariantCulture);
            if (!(seconds >= 0 && seconds <= LongestWait))
            {
                throw new OptionError(option, seconds, "allowed are 0 to " + LongestWait + " seconds");
            }
            return seconds;
        }

        /// <summary>Each wish once: 80,80/tcp asks for 80/tcp one time, and then by name.</summary>
        private static IReadOnlyList<Wish> WithoutRepeats(IEnumerable<Wish> found)
        {
            List<Wish> unique = new List<Wish>();
            Dictionary<string, int> known = new Dictionary<string, int>();
            foreach (Wish wish in found)
            {
                string identity = string.Join(
                    "\n", wish.Label, Identity(wish.Owner), Identity(wish.Keep), Identity(wish.StopOnly), Identity(wish.User));
                int at;
                if (!known.TryGetValue(identity, out at))
                {
                    known[identity] = unique.Count;
                    unique.Add(wish);
                }
                else if (wish.Named && !unique[at].Named)
                {
                    unique[at] = wish;
                }
            }
            return Listed.Of(unique);
        }

        /// <summary>No name has a tab in it, and none is empty.</summary>
        private static string Identity(IEnumerable<string> names)
        {
            return names == null ? "-" : "\t" + string.Join("\t", names);
        }

        private static string Text(IDictionary parameters, string option)
        {
            object value = parameters[option];
            return value == null ? null : Convert.ToString(value, CultureInfo.InvariantCulture);
        }

        private static IList Items(IDictionary parameters, string option)
        {
            return (IList)parameters[option];
        }
    }
}
