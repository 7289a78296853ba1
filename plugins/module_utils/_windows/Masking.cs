// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command lines without the secrets in them. Private to harbormaster.ports. The rules are those of _observe/masking.py; the same
// test data go through both.
//
// What is taken out is what a name calls a secret (--db-password x, /pw:x, API_TOKEN=x, "secret": "x", set password x), what a known
// program takes as one (mysql -px), and what looks like one wherever it stands (URLs with a password, name:secret behind -u, bearer
// headers, tokens with a maker's prefix, private keys). In doubt a value is masked: a report that lacks a word is still a report.
//
// The text is cut before it is searched, and every pattern takes time in proportion to the text all the same.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveText;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.SecretNames;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.SecretWords;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Masking
{
    public static class SecretMask
    {
        public const int MaxLength = 4096;

        private const string Ellipsis = "...";
        // where a cut may fall, besides blanks: what stands behind the last of these could be half of something
        private const string Borders = "\"'&;,(){}[]<>|";
        private static readonly Regex HalfAUrl = new Regex(@"(?<=://)(?<user>[^\s/?#:@""']{0,256}:)[^\s/@]{1,1024}\z", RegexOptions.CultureInvariant);

        /// <summary>A command line to show: secrets replaced, everything printable, at most 4096 characters.</summary>
        /// <param name="line">As the process has it; its words are told apart as programs of Windows do.</param>
        public static string CommandLine(string line)
        {
            bool cut = line.Length > MaxLength;
            List<string> arguments = Arguments.Of(cut ? CutWord(line.Substring(0, MaxLength)) : line).ToList();
            return Cut(string.Join(" ", Words(arguments).Select(Arguments.Quoted)), cut);
        }

        /// <summary>Each argument masked and printable.</summary>
        public static IEnumerable<string> Words(IReadOnlyList<string> arguments)
        {
            MaskedWords state = new MaskedWords(true, 0);
            return arguments.Select(word => HostText.Printable(state.Mask(word)));
        }

        /// <summary>A line in one piece, such as a title that a program wrote itself, word by word.</summary>
        public static string Title(string text)
        {
            bool cut = text.Length > MaxLength;
            return Cut(HostText.Printable(MaskedWords.MaskText(cut ? CutWord(text.Substring(0, MaxLength)) : text, 0)), cut);
        }

        private static string Cut(string line, bool cut)
        {
            line = cut ? HalfAUrl.Replace(line, "${user}" + Secrets.Mask) + Ellipsis : line;
            return line.Length <= MaxLength ? line : line.Substring(0, MaxLength - Ellipsis.Length) + Ellipsis;
        }

        /// <summary>Without the half of a word at its end.</summary>
        private static string CutWord(string word)
        {
            int first = Math.Max(0, word.Length - 1024), at = word.Length - 1;
            while (at >= first && !char.IsWhiteSpace(word[at]) && Borders.IndexOf(word[at]) < 0)
            {
                at--;
            }
            if (at < first)
            {
                for (at = word.Length - 1; at >= first && word[at] < '\x7f' && char.IsLetterOrDigit(word[at]); )
                {
                    at--;
                }
            }
            if (at >= first)
            {
                return word.Substring(0, at + 1);
            }
            // one run of letters this long is no secret that is known by its looks
            return word.Length > 1024 ? word : "";
        }
    }

    /// <summary>Arguments in a command line, as the C runtime of Windows tells them apart ("Parsing C command-line arguments").</summary>
    public static class Arguments
    {
        public static IReadOnlyList<string> Of(string line)
        {
            List<string> arguments = new List<string>();
            int at = 0;
            while (at < line.Length)
            {
                if (IsBlank(line[at]))
                {
                    at++;
                    continue;
                }
                arguments.Add(arguments.Count == 0 ? Program(line, ref at) : Argument(line, ref at));
            }
            return arguments;
        }

        /// <summary>A word as it is shown: in quotes where it could be taken for several.</summary>
        public static string Quoted(string word)
        {
            if (word.Length > 0 && word.IndexOf('"') < 0 && !word.Any(char.IsWhiteSpace))
            {
                return word;
            }
            return "\"" + word.Replace("\"", "\\\"") + "\"";
        }

        private static bool IsBlank(char one)
        {
            return one == ' ' || one == '\t' || one == '\0';
        }

        /// <summary>The program comes first, and a backslash in its path is only a backslash.</summary>
        private static string Program(string line, ref int at)
        {
            StringBuilder word = new StringBuilder();
            bool inside = false;
            for (; at < line.Length && (inside || !IsBlank(line[at])); at++)
            {
                if (line[at] == '"')
                {
                    inside = !inside;
                }
                else
                {
                    word.Append(line[at]);
                }
            }
            return word.ToString();
        }

        private static string Argument(string line, ref int at)
        {
            StringBuilder word = new StringBuilder();
            bool inside = false;
            while (at < line.Length && (inside || !IsBlank(line[at])))
            {
                int slashes = 0;
                for (; at < line.Length && line[at] == '\\'; at++)
                {
                    slashes++;
                }
                bool quote = at < line.Length && line[at] == '"';
                word.Append('\\', quote ? slashes / 2 : slashes);
                if (quote && slashes % 2 == 1)
                {
                    word.Append('"');
                    at++;
                }
                else if (quote)
                {
                    // Two of them inside of quotes are one.
                    if (inside && at + 1 < line.Length && line[at + 1] == '"')
                    {
                        word.Append('"');
                        at++;
                    }
                    else
                    {
                        inside = !inside;
                    }
                    at++;
                }
                else if (slashes == 0)
                {
                    word.Append(line[at++]);
                }
            }
            return word.ToString();
        }
    }
}
