// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Whether a name of the task means a process. Private to harbormaster.ports. Pure.
//
// Names are matched whole, as globs, never as parts, and without regard to case: java is not javascript-server.

using System;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideMatching
{
    public static class Matching
    {
        public const string Anybody = "*";

        private const string Suffix = ".exe";

        /// <summary>Everything that a pattern without a path separator may match of one process, besides its services.</summary>
        public static ISet<string> NamesOf(Process process)
        {
            HashSet<string> names = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
            if (process == null)
            {
                return names;
            }
            foreach (string name in new[] { process.Name, FileName(process.Exe) })
            {
                if (!string.IsNullOrEmpty(name))
                {
                    names.Add(name);
                    names.Add(Stem(name));
                }
            }
            return names;
        }

        /// <summary>Whether one of the patterns means this process. * means anybody, also who can't be seen.</summary>
        /// <param name="also">Names of the services that the process stands for.</param>
        public static bool Matches(Process process, IEnumerable<string> patterns, IEnumerable<string> also)
        {
            ISet<string> names = NamesOf(process);
            names.UnionWith(also);
            string path = process == null || process.Exe == null ? "" : process.Exe.Replace('\\', '/');
            foreach (string pattern in patterns)
            {
                if (pattern == Anybody)
                {
                    return true;
                }
                if (pattern.IndexOf('/') >= 0 || pattern.IndexOf('\\') >= 0)
                {
                    if (path.Length > 0 && Glob.Matches(path, pattern.Replace('\\', '/')))
                    {
                        return true;
                    }
                }
                else if (names.Any(name => Glob.Matches(name, pattern)))
                {
                    return true;
                }
            }
            return false;
        }

        /// <summary>The first entry of a table that means this program; null when none does. Services don't count.</summary>
        public static string Program(Process process, IEnumerable<string> table)
        {
            ISet<string> names = NamesOf(process);
            return table.FirstOrDefault(entry => names.Any(name => Glob.Matches(name, entry)));
        }

        /// <summary>The first entry of a table that means this name.</summary>
        public static string Entry(string name, IEnumerable<string> table)
        {
            return table.FirstOrDefault(entry => Glob.Matches(name, entry));
        }

        /// <summary>
        /// Whether the process runs as one of the accounts: as name, DOMAIN\name or security identifier. No accounts means
        /// anybody.
        /// </summary>
        public static bool RunsAs(Process process, IReadOnlyList<string> accounts)
        {
            if (accounts == null)
            {
                return true;
            }
            if (process == null)
            {
                return false;
            }
            string user = process.User ?? "";
            string[] who = { user, user.Substring(user.LastIndexOf('\\') + 1), process.Sid };
            return accounts.Any(account => who.Any(name => !string.IsNullOrEmpty(name) && Glob.Matches(name, account)));
        }

        private static string FileName(string path)
        {
            return path == null ? null : path.Substring(path.LastIndexOfAny(new[] { '/', '\\' }) + 1);
        }

        private static string Stem(string name)
        {
            return name.EndsWith(Suffix, StringComparison.OrdinalIgnoreCase) ? name.Substring(0, name.Length - Suffix.Length) : name;
        }
    }

    /// <summary>Globs as Python's fnmatch has them: * ? [seq] [!seq]. Takes time in proportion to both lengths at most.</summary>
    public static class Glob
    {
        public static bool Matches(string name, string pattern)
        {
            string text = name.ToUpperInvariant();
            string glob = pattern.ToUpperInvariant();
            int at = 0, place = 0;
            // Where to go on when the match fails: behind the last *, with one more character given to it.
            int star = -1, given = 0;
            while (at < text.Length)
            {
                int next = place;
                if (place < glob.Length && glob[place] == '*')
                {
                    star = ++place;
                    given = at;
                }
                else if (place < glob.Length && One(glob, ref next, text[at]))
                {
                    place = next;
                    at++;
                }
                else if (star >= 0)
                {
                    place = star;
                    at = ++given;
                }
                else
                {
                    return false;
                }
            }
            return glob.Substring(place).All(one => one == '*');
        }

        /// <summary>Whether the part of the pattern at this place takes the character; the place moves behind that part.</summary>
        private static bool One(string glob, ref int place, char character)
        {
            char begin = glob[place++];
            if (begin == '?')
            {
                return true;
            }
            if (begin != '[')
            {
                return begin == character;
            }
            int from = place < glob.Length && glob[place] == '!' ? place + 1 : place;
            // A ] that comes first is one of the set.
            int end = from < glob.Length ? glob.IndexOf(']', from + 1) : -1;
            if (end < 0)
            {
                return character == '[';
            }
            bool found = InSet(glob.Substring(from, end - from), character);
            bool negated = from != place;
            place = end + 1;
            return found != negated;
        }

        private static bool InSet(string set, char character)
        {
            for (int at = 0; at < set.Length; at++)
            {
                if (at + 2 < set.Length && set[at + 1] == '-')
                {
                    if (set[at] <= character && character <= set[at + 2])
                    {
                        return true;
                    }
                    at += 2;
                }
                else if (set[at] == character)
                {
                    return true;
                }
            }
            return false;
        }
    }
}
