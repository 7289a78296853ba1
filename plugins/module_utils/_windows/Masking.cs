// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command lines without the secrets in them. Private to harbormaster.ports. The rules are those of _observe/masking.py; the same
// test data go through both.
//
// What is taken out is what a name calls a secret (--db-password x, /pw:x, API_TOKEN=x, "secret": "x"), what a known program takes as
// one (mysql -px), and what looks like one wherever it stands (URLs with a password, bearer headers, tokens with a maker's
// prefix, private keys). In doubt a value is masked: a report that lacks a word is still a report.
//
// Every pattern takes time in proportion to the text: each begins at a fixed word or at the border of a run, and whatever
// repeats without a limit ends the match.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveText;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.SecretNames;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Masking
{
    public static class SecretMask
    {
        public const int MaxLength = 4096;

        private const string Mask = Secrets.Mask;
        private const RegexOptions Plain = RegexOptions.CultureInvariant;
        private const RegexOptions Lines = RegexOptions.CultureInvariant | RegexOptions.Singleline;
        private const RegexOptions AnyCase = RegexOptions.CultureInvariant | RegexOptions.IgnoreCase;

        // name and separator at the start of a word; the value is all that follows, whatever it is
        private static readonly Regex Assignment = new Regex(
            @"\G(?<name>(?:--?|/)?[A-Za-z_][\w.\[\]-]*)(?<sign>[=:])(?!\z)", Plain);

        private static readonly Regex Setting = new Regex(@"\A(?:--?|/)[A-Za-z][\w.-]*\z", Plain);
        // the same within text: name, closing quote, separator
        private static readonly Regex Field = new Regex(
            @"(?<![\w.-])(?<name>[\w.-]{1,128})(?<sign>\\{0,3}[""']?[ \t]{0,4}[=:][ \t]{0,4})", Plain);

        private static readonly Regex FieldValue = new Regex(
            @"\G(?:""[^""\\]*(?:\\.[^""\\]*)*""?|'[^']*'?|\\+[""'](?:(?!\\*[""']).)*|[^\s""'&;,})\]]+)", Lines);

        private static readonly Regex PairSign = new Regex("[:%,]", Plain);
        private static readonly Regex OracleUser = new Regex(@"\A(?<user>[^\s/@]{1,128}/)[^\s@/][^\s@]{0,256}(?<at>@|\z)", Plain);

        // What looks like a secret wherever it stands.
        private static readonly Regex PrivateKey = new Regex(
            @"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\z)", Lines);

        private static readonly Regex Header = new Regex(
            @"(?<name>(?:\b|(?<=-H))(?:proxy-)?authorization\\{0,3}[""']?[ \t]{0,4}[:=][ \t]{0,4}\\{0,3}[""']?)"
            + @"(?<scheme>(?:bearer|basic|token|digest|negotiate|apikey)[ \t]{1,4})?"
            + @"[^\s""'\\]+(?:(?<=,)[ \t][^\r\n'""]{0,4096})?", AnyCase);

        private static readonly Regex Cookies = new Regex(@"(?<name>\b(?:set-)?cookie:[ \t]{0,4})[^\r\n""']+", AnyCase);
        private static readonly Regex Bearer = new Regex(@"(?<scheme>\bbearer[ \t]{1,4})[\w.~+/=-]{6,}", AnyCase);
        // in front of the last @ of a URL's authority; or, where a slash in the password was not escaped, of the first
        private static readonly Regex UrlUser = new Regex(
            @"(?<=://)(?<user>[^\s/?#:@""']{0,256}:)(?:[^\s/?#""']{1,1024}@|(?!\d{1,5}[/?#])[^\s@""']{1,256}@)", Plain);

        private static readonly Regex UrlToken = new Regex(@"(?<=://)[\w.-]{20,255}@", Plain);
        private static readonly Regex JdbcUser = new Regex(@"(?<user>:(?:thin|oci8?):[^\s/@:]{1,128}/)[^\s@]{1,256}@", Plain);
        private static readonly Regex Token = new Regex(
            @"(?<![A-Za-z0-9])(?:"
            + @"gh[opsur]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|gl(?:pat|ptt|dt|rtr?|soat|cbt|agent|imt|ft)-[\w-]{16,}|xox[a-z]-[\w-]{8,}|xapp-[\w-]{8,}"
            + @"|A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{12,}|sk-(?=[\w-]{0,80}\d)[\w-]{16,}|[srp]k_(?:live|test)_\w{10,}|whsec_\w{16,}|AIza[\w-]{30,}"
            + @"|ya29\.[\w-]{16,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{20,}|do[opr]_v1_[0-9a-f]{32,}|hv[sb]\.[\w-]{20,}"
            + @"|SG\.[\w-]{16,64}\.[\w-]{16,}|tskey-[\w-]{10,}|dckr_pat_[\w-]{16,}|hf_[A-Za-z0-9]{30,}|glsa_\w{20,}"
            + @"|AGE-SECRET-KEY-1[A-Z0-9]{20,})"
            + @"|(?<![\w-])eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)*", Plain);

        private static readonly Regex OpenSsl = new Regex(@"\A(?<name>pass:).+", Lines);

        // Words of a line that a shell made: quoted parts belong to the word around them.
        private static readonly Regex Split = new Regex(@"(?:[^\s""']+|""[^""]*""|'[^']*'|[""'])+", Plain);
        private static readonly Regex Quoted = new Regex(@"[\s""']", Plain);
        private static readonly string[] ScriptOptions = { "/c", "/k", "-command", "-c" };

        /// <summary>A command line to show: secrets replaced, everything printable, at most 4096 characters.</summary>
        /// <param name="line">As the process has it; its words are told apart as programs of Windows do.</param>
        public static string CommandLine(string line)
        {
            return Cut(string.Join(" ", Shown(Arguments.Of(line))));
        }

        /// <summary>Each argument masked and printable, as far as the limit for the whole line lets it be shown.</summary>
        public static IEnumerable<string> Words(IReadOnlyList<string> arguments)
        {
            return MaskWords(arguments, true).Select(HostText.Printable);
        }

        /// <summary>A line in one piece, such as a title that a program wrote itself, word by word.</summary>
        public static string Title(string text)
        {
            return Cut(HostText.Printable(MaskText(text)));
        }

        private static IEnumerable<string> Shown(IReadOnlyList<string> arguments)
        {
            int length = 0;
            // What comes behind the cut can't change what is before it. Masking is per word, so nothing is cut in two here.
            foreach (string word in Words(arguments))
            {
                string shown = Arguments.Quoted(word);
                yield return shown;
                length += shown.Length + 1;
                if (length > MaxLength + 1)
                {
                    yield break;
                }
            }
        }

        private static string Cut(string line)
        {
            return line.Length <= MaxLength ? line : line.Substring(0, MaxLength - 3) + "...";
        }

        /// <summary>A line of several words. What spans words goes first, the words by their place follow.</summary>
        private static string MaskText(string text)
        {
            text = MaskPatterns(text);
            if (!Quoted.IsMatch(text))
            {
                return MaskWords(new[] { text }, false).First();
            }
            StringBuilder pieces = new StringBuilder();
            int end = 0;
            List<Match> places = Split.Matches(text).Cast<Match>().ToList();
            using (IEnumerator<string> words = MaskWords(places.Select(place => place.Value).ToList(), false).GetEnumerator())
            {
                foreach (Match place in places)
                {
                    words.MoveNext();
                    pieces.Append(text, end, place.Index - end).Append(words.Current);
                    end = place.Index + place.Length;
                    if (pieces.Length > MaxLength)
                    {
                        // the rest is behind the cut anyhow
                        return pieces.ToString();
                    }
                }
            }
            return pieces.Append(text, end, text.Length - end).ToString();
        }

        /// <summary>Each word masked by itself and by what stands before it.</summary>
        /// <param name="whole">They are the arguments of a process; otherwise pieces of a text that has been through the patterns.</param>
        private static IEnumerable<string> MaskWords(IEnumerable<string> words, bool whole)
        {
            List<Habit> programs = new List<Habit>();
            bool oracle = false, login = false, pair = false;
            // words until a secret one, by position
            int secretIn = -1;
            string before = "";
            foreach (string word in words)
            {
                string bare = whole ? word : word.Trim('"', '\'');
                string program = bare.Substring(bare.LastIndexOfAny(new[] { '/', '\\' }) + 1);
                if (program.EndsWith(".exe", StringComparison.OrdinalIgnoreCase))
                {
                    program = program.Substring(0, program.Length - 4);
                }
                secretIn--;
                if (secretIn == 0 && bare.Length > 0 && !Secrets.IsOption(bare))
                {
                    yield return Secrets.IsSecretValue(before, bare) ? Mask : word;
                }
                else
                {
                    yield return pair && !Secrets.IsOption(bare) ? MaskPair(word) : MaskWord(word, programs, oracle, whole, before);
                }
                pair = false;
                bool beforeLogin = login;
                login = login || (bare == "login" && programs.Count > 0);
                int distance = programs.SelectMany(habit => habit.After).Where(one => one.Key == bare).Select(one => one.Value).FirstOrDefault();
                if (Secrets.WordSettings.Contains(bare) || (Setting.IsMatch(bare) && Secrets.IsSecretName(bare) && !Secrets.IsSwitch(bare)))
                {
                    secretIn = 1;
                    before = bare;
                }
                else if (programs.Any(habit => habit.Separate.Contains(bare)) || (beforeLogin && bare == "-p"))
                {
                    secretIn = 1;
                    before = "-";
                }
                else if (distance > 0)
                {
                    secretIn = distance;
                    before = "-";
                }
                else
                {
                    pair = programs.Any(habit => habit.Pair.Contains(bare));
                    before = secretIn < 1 ? bare : before;
                }
                Habit known;
                if (Secrets.Habits.TryGetValue(program, out known))
                {
                    // Its own options are asked once, however often it is named.
                    if (!programs.Contains(known))
                    {
                        programs.Add(known);
                    }
                }
                oracle = oracle || Secrets.Oracle.Contains(program.ToLowerInvariant());
            }
        }

        private static string MaskWord(string word, List<Habit> programs, bool oracle, bool whole, string before)
        {
            string opening = whole ? "" : word.Substring(0, word.Length - word.TrimStart('"', '\'').Length);
            string bare = word.Substring(opening.Length);
            foreach (Habit habit in programs)
            {
                foreach (string option in habit.Attached.Where(one => StartsWith(bare, one) && !StartsWith(bare, "--")))
                {
                    return opening + option + Mask;
                }
                foreach (string start in habit.Pair.Select(one => StartsWith(one, "--") ? one + "=" : one).Where(one => StartsWith(bare, one)))
                {
                    return opening + start + MaskPair(bare.Substring(start.Length));
                }
            }
            if (oracle)
            {
                bare = OracleUser.Replace(bare, "${user}" + Mask + "${at}", 1);
            }
            // "sh -c 'DB_PASSWORD=x exec server'" is a script, of which only a part is the value
            bool script = ScriptOptions.Contains(before.ToLowerInvariant())
                || (before.StartsWith("-", StringComparison.Ordinal) && before.EndsWith("c", StringComparison.Ordinal));
            if (!script && (whole || !Quoted.IsMatch(bare.Trim('"', '\''))))
            {
                string masked = MaskAssignment(bare);
                if (masked != null)
                {
                    return opening + masked;
                }
            }
            bare = OpenSsl.Replace(bare, "${name}" + Mask);
            if (!whole)
            {
                return opening + bare;
            }
            return Quoted.IsMatch(bare) ? MaskText(bare) : MaskPatterns(bare);
        }

        /// <summary>Whether a text begins with another one and goes on.</summary>
        private static bool StartsWith(string text, string start)
        {
            return text.Length > start.Length && text.StartsWith(start, StringComparison.Ordinal);
        }

        /// <summary>--password=x, /pw:x, --env=DB_PASSWORD=x: all that follows is the value. Null for other words.</summary>
        private static string MaskAssignment(string word)
        {
            for (int start = 0; ; )
            {
                Match found = Assignment.Match(word, start);
                if (!found.Success || !(found.Groups["sign"].Value == "=" || word[start] == '-' || word[start] == '/'))
                {
                    return null;
                }
                start = found.Index + found.Length;
                if (Secrets.IsSecretName(found.Groups["name"].Value))
                {
                    return Secrets.IsSecretValue(found.Groups["name"].Value, word.Substring(start)) ? word.Substring(0, start) + Mask : word;
                }
            }
        }

        /// <summary>user:secret, user%secret or user,secret; without a separator the program asks for the secret.</summary>
        private static string MaskPair(string word)
        {
            Match found = PairSign.Match(word);
            int end = found.Index + found.Length;
            if (!found.Success || end == word.Length)
            {
                return word;
            }
            char last = word[word.Length - 1];
            return word.Substring(0, end) + Mask + ((last == '"' || last == '\'') && word[0] == last ? last.ToString() : "");
        }

        private static string MaskPatterns(string text)
        {
            if (Has(text, "-----BEGIN"))
            {
                text = PrivateKey.Replace(text, Mask);
            }
            text = Header.Replace(text, "${name}${scheme}" + Mask);
            text = Cookies.Replace(text, "${name}" + Mask);
            text = Bearer.Replace(text, "${scheme}" + Mask);
            if (Has(text, "://"))
            {
                text = UrlUser.Replace(text, "${user}" + Mask + "@");
                text = UrlToken.Replace(text, Mask + "@");
            }
            if (Has(text, "jdbc:"))
            {
                text = JdbcUser.Replace(text, "${user}" + Mask + "@");
            }
            return Token.Replace(MaskFields(text), Mask);
        }

        private static bool Has(string text, string part)
        {
            return text.IndexOf(part, StringComparison.Ordinal) >= 0;
        }

        /// <summary>Values under a secret's name, in JSON, YAML, connection strings, queries and assignments.</summary>
        private static string MaskFields(string text)
        {
            StringBuilder pieces = new StringBuilder();
            int end = 0;
            Match found = Field.Match(text);
            while (found.Success)
            {
                int following = found.Index + found.Length;
                if (Secrets.IsSecretName(found.Groups["name"].Value))
                {
                    Match value = FieldValue.Match(text, following);
                    if (value.Success && IsSecretField(text, found, value.Value))
                    {
                        string quote = value.Value.Substring(0, value.Length - value.Value.TrimStart('\\', '"', '\'').Length);
                        bool closed = quote.Length > 0 && value.Length > quote.Length && value.Value.EndsWith(quote, StringComparison.Ordinal);
                        pieces.Append(text, end, following - end).Append(quote).Append(Mask).Append(closed ? quote : "");
                        end = following = value.Index + value.Length;
                    }
                }
                // Only the name and its sign are passed: the value may hold names itself (JAVA_OPTS=-Dpassword=x).
                found = Field.Match(text, following);
            }
            return pieces.Append(text, end, text.Length - end).ToString();
        }

        private static bool IsSecretField(string text, Match found, string value)
        {
            string name = found.Groups["name"].Value;
            if (!Secrets.IsSecretValue(name, value))
            {
                return false;
            }
            if (found.Groups["sign"].Value != ":")
            {
                return true;
            }
            // lists of paths and hosts with ports have colons too: /opt/token:/opt/bin, http://auth:8080
            if (found.Index > 1 && text[found.Index - 1] == '/' && !char.IsWhiteSpace(text[found.Index - 2]))
            {
                return false;
            }
            string[] hosts = { "auth", "token", "secret", "secrets" };
            return !(value.All(char.IsDigit) && value.Length <= 5 && hosts.Contains(name.ToLowerInvariant()));
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
