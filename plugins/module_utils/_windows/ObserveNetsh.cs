// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What netsh says, read by its structure: indents, numbers, URLs. Private to harbormaster.ports.
//
// Its words differ by language and version, so none of them is looked at.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text.RegularExpressions;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveText;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveNetsh
{
    /// <summary>One request queue of HTTP.sys: programs that wait for requests, and the URLs whose requests they get.</summary>
    public sealed class QueueText
    {
        /// <summary>What stands behind the first colon of its first line; for most queues a phrase that says they have no name.</summary>
        public string Name = "";
        /// <summary>Processes attached to the queue.</summary>
        public readonly List<int> Pids = new List<int>();
        /// <summary>Every number that stands behind a label: limits, counts, and the process that controls the queue.</summary>
        public readonly List<int> Numbers = new List<int>();
        /// <summary>Registered URLs, such as <c>HTTP://+:5985/WSMAN/</c>.</summary>
        public readonly List<string> Urls = new List<string>();
    }

    /// <summary>A range of ports, ends included, as netsh lists it.</summary>
    public sealed class RangeText
    {
        public readonly int First;
        public readonly int Last;
        /// <summary>Marked with a star: an administrator keeps it for a program, which may bind it by name.</summary>
        public readonly bool Administered;

        public RangeText(int first, int last, bool administered)
        {
            First = first;
            Last = last;
            Administered = administered;
        }
    }

    /// <summary>Parsers of netsh's answers.</summary>
    public static class NetshText
    {
        private const RegexOptions Plain = RegexOptions.CultureInvariant;

        // "    HTTP://+:80/" or "<HTTP://...>"; an address may follow the port: "http://www:80:10.0.0.1/"
        private static readonly Regex Url = new Regex(@"^[\s<]+(https?://[^\s<>]+)[\s>]*$", Plain | RegexOptions.IgnoreCase);
        private static readonly Regex PortOfUrl = new Regex(@"^https?://(?:\[[^\]]*\]|[^:/\[]*):([0-9]{1,5})(?:[:/]|$)", Plain | RegexOptions.IgnoreCase);
        // "        4276" below "Process IDs:"
        private static readonly Regex Alone = new Regex(@"^\s+([0-9]{1,10})\s*$", Plain);
        // "        ID: 4276, image: C:\Windows\System32\svchost.exe"
        private static readonly Regex WithImage = new Regex(@"^\s+[^0-9]*[^0-9\s]\s*([0-9]{1,10})[^0-9\s].*[A-Za-z]:\\", Plain);
        private static readonly Regex Labelled = new Regex("^\\s+.*[:\uff1a]\\s*([0-9]{1,10})\\s*$", Plain);
        private static readonly Regex Range = new Regex(@"^\s*([0-9]{1,5})\s+([0-9]{1,5})\s*(\*?)\s*$", Plain);
        private static readonly Regex LastNumber = new Regex("[:\uff1a]?\\s*([0-9]{1,5})\\s*$", Plain);

        /// <summary>
        /// Understand <c>netsh http show servicestate view=requestq</c>. A queue begins with a line that is not indented and
        /// ends where the next one begins; lines of dashes underline a title. What holds neither a process nor a URL is no queue.
        /// </summary>
        public static List<QueueText> Queues(string text)
        {
            List<QueueText> queues = new List<QueueText>();
            QueueText queue = null;
            foreach (string line in Lines(text))
            {
                if (line.Trim().Length == 0)
                {
                    continue;
                }
                if (!char.IsWhiteSpace(line[0]))
                {
                    queue = new QueueText();
                    queue.Name = AfterColon(line);
                    queues.Add(queue);
                }
                else if (queue != null)
                {
                    ReadInto(queue, line);
                }
            }
            queues.RemoveAll(delegate(QueueText one) { return one.Pids.Count == 0 && one.Urls.Count == 0; });
            return queues;
        }

        /// <summary>The port of a URL of HTTP.sys, with a host name, an address in brackets, <c>+</c> or <c>*</c>; 0 for anything else.</summary>
        public static int Port(string url)
        {
            Match found = PortOfUrl.Match(url);
            int port;
            return found.Success && TryPort(found.Groups[1].Value, out port) ? port : 0;
        }

        /// <summary>
        /// Understand <c>netsh interface ipv4 show excludedportrange</c>: lines of two numbers, and a star on those that
        /// an administrator has set.
        /// </summary>
        public static List<RangeText> ExcludedRanges(string text)
        {
            List<RangeText> ranges = new List<RangeText>();
            foreach (string line in Lines(text))
            {
                Match found = Range.Match(line);
                int first, last;
                if (found.Success && TryPort(found.Groups[1].Value, out first) && TryPort(found.Groups[2].Value, out last) && first <= last)
                {
                    ranges.Add(new RangeText(first, last, found.Groups[3].Length > 0));
                }
            }
            return ranges;
        }

        /// <summary>
        /// Understand <c>netsh interface ipv4 show dynamicport</c>: the first two numbers at the end of a line are the first
        /// port and how many there are.
        /// </summary>
        /// <returns>null when these are not there.</returns>
        public static RangeText DynamicRange(string text)
        {
            List<int> numbers = new List<int>();
            foreach (string line in Lines(text))
            {
                Match found = LastNumber.Match(line);
                int number;
                if (found.Success && TryPort(found.Groups[1].Value, out number))
                {
                    numbers.Add(number);
                }
            }
            if (numbers.Count < 2 || numbers[0] == 0 || numbers[0] + numbers[1] - 1 > 65535 || numbers[1] == 0)
            {
                return null;
            }
            return new RangeText(numbers[0], numbers[0] + numbers[1] - 1, false);
        }

        private static void ReadInto(QueueText queue, string line)
        {
            int number;
            Match found = Url.Match(line);
            if (found.Success)
            {
                queue.Urls.Add(HostText.Printable(found.Groups[1].Value));
                return;
            }
            found = Alone.Match(line);
            if (!found.Success)
            {
                found = WithImage.Match(line);
            }
            if (found.Success)
            {
                if (TryNumber(found.Groups[1].Value, out number) && !queue.Pids.Contains(number))
                {
                    queue.Pids.Add(number);
                }
                return;
            }
            found = Labelled.Match(line);
            if (found.Success && TryNumber(found.Groups[1].Value, out number))
            {
                queue.Numbers.Add(number);
            }
        }

        private static string AfterColon(string line)
        {
            int colon = line.IndexOfAny(new char[] { ':', '\uff1a' });
            return colon < 0 ? "" : HostText.Printable(line.Substring(colon + 1).Trim());
        }

        private static string[] Lines(string text)
        {
            return (text ?? "").Split(new string[] { "\r\n", "\n", "\r" }, StringSplitOptions.None);
        }

        private static bool TryPort(string text, out int port)
        {
            return TryNumber(text, out port) && port <= 65535;
        }

        private static bool TryNumber(string text, out int number)
        {
            return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
        }
    }
}
