// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Whether a name of the task means a process. Private to harbormaster.ports. Pure.
//
// Names are matched whole, as globs, never as parts, and without regard to case: java is not javascript-server.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.RegularExpressions;
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
            foreach (string name in Scripts.NamesOf(process.Command))
            {
                names.Add(name);
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
            string[] names = process == null ? new string[0] : new[] { process.Name, FileName(process.Exe) };
            return table.FirstOrDefault(
                entry => names.Any(name => !string.IsNullOrEmpty(name) && (Glob.Matches(name, entry) || Glob.Matches(Stem(name), entry))));
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

    /// <summary>What an interpreter runs, out of its command line; the rules are those of _decide/matching.py.</summary>
    public static class Scripts
    {
        // Of a command line, what may name a program.
        private const int MostWords = 24;

        private static readonly Regex Interpreters = new Regex(
            @"^(?:pythonw?|py|pypy|node|nodejs|bun|deno|ruby|perl|php|lua|luajit|java|javaw|mono|dotnet|busybox|toybox|sh|bash|dash|zsh"
                + @"|ksh|mksh|tclsh|pwsh|powershell|wscript|cscript)[0-9.]*\z",
            RegexOptions.CultureInvariant | RegexOptions.IgnoreCase);

        private static readonly Regex Word = new Regex(
            "'(?<word>[^']*)'|\"(?<word>[^\"]*)\"|(?<word>\\S+)", RegexOptions.CultureInvariant);

        private static readonly HashSet<string> WithValue = new HashSet<string>(
            new[]
            {
                "-W", "-X", "-cp", "-classpath", "--class-path", "-p", "--module-path", "-r", "--require", "--import", "--loader", "-I", "-C",
                "-d", "-S", "-t", "-M", "--add-opens", "--add-modules", "--add-exports", "-o", "-O", "--rcfile", "--init-file",
            });

        private static readonly HashSet<string> Verbs = new HashSet<string>(new[] { "run", "exec", "--" });

        private static readonly string[] Code = { "-c", "-e", "--eval" };

        private static readonly string[] Next = { "-m", "-jar", "-f", "-File", "-file" };

        private static readonly string[] Endings =
        {
            ".py", ".pyc", ".pyz", ".js", ".mjs", ".cjs", ".ts", ".rb", ".pl", ".php", ".lua", ".jar", ".war", ".sh", ".tcl", ".dll", ".exe",
            ".ps1", ".vbs",
        };

        /// <summary>The script's name, with and without its ending.</summary>
        public static IEnumerable<string> NamesOf(string command)
        {
            List<string> words = new List<string>();
            for (Match match = Word.Match((command ?? "").Replace('\\', '/')); match.Success && words.Count < MostWords; match = match.NextMatch())
            {
                words.Add(match.Groups["word"].Value);
            }
            if (words.Count == 0 || !Interpreters.IsMatch(Base(words[0])))
            {
                yield break;
            }
            string script = Base(Run(words));
            if (script.Length == 0)
            {
                yield break;
            }
            yield return script;
            string ending = Endings.FirstOrDefault(one => script.EndsWith(one, StringComparison.OrdinalIgnoreCase));
            if (ending != null && script.Length > ending.Length)
            {
                yield return script.Substring(0, script.Length - ending.Length);
            }
        }

        /// <summary>The script, class, archive or module that an interpreter runs; empty when it is given code.</summary>
        private static string Run(IReadOnlyList<string> words)
        {
            for (int number = 1; number < words.Count; number++)
            {
                string word = words[number];
                if (Code.Contains(word))
                {
                    return "";
                }
                if (Next.Contains(word))
                {
                    return number + 1 < words.Count ? words[number + 1] : "";
                }
                if (WithValue.Contains(word))
                {
                    number++;
                }
                else if (!word.StartsWith("-", StringComparison.Ordinal) && !Verbs.Contains(word))
                {
                    return word;
                }
            }
            return "";
        }

        private static string Base(string path)
        {
            string name = path.Substring(path.LastIndexOf('/') + 1);
            return name.EndsWith(".exe", StringComparison.OrdinalIgnoreCase) ? name.Substring(0, name.Length - 4) : name;
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
