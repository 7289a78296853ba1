// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command lines word by word: what a word's name, its program and the words before it make a secret. Private to harbormaster.ports. The
// rules are those of _observe/masking.py.

using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.SecretNames;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.SecretShapes;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.SecretWords
{
    /// <summary>Reads the words of one line in their order, and masks each by itself and by what stands before it.</summary>
    public sealed class MaskedWords
    {
        private const string Hidden = Secrets.Mask;
        // cmd /c "powershell -Command 'app ...'": a line in a line in a line
        private const int Deepest = 3;
        private const RegexOptions Plain = RegexOptions.CultureInvariant;
        private const RegexOptions Lines = RegexOptions.CultureInvariant | RegexOptions.Singleline;

        // name and separator at the start of a word; the value is all that follows, whatever it is
        private static readonly Regex Assignment = new Regex(@"\G(?<name>(?:--?|/)?[^\W\d][\w.\[\]@$!-]{0,127})(?<sign>[=:])(?=.)", Lines);
        private static readonly Regex Setting = new Regex(@"\A(?:--?|/)[^\W\d][\w.@!-]{0,127}\z", Plain);
        private static readonly Regex BareName = new Regex(@"\A\w[\w.@!-]{0,127}\z", Plain);
        private static readonly Regex Key = new Regex(@"\A[\w/][\w.:/@-]{0,254}\z", Plain);
        private static readonly Regex PairSign = new Regex("[:%,]", Plain);
        private static readonly Regex NameAndSecret = new Regex(@"\A[""']?(?<user>[^\s:@/\\""'=]{1,128}):(?<secret>[^\s:/\\].*)\z", Lines);
        private static readonly Regex AttachedPair = new Regex(@"\A-[uU](?=[^\s:@/=-]{1,128}:)", Plain);
        private static readonly Regex OracleUser = new Regex(@"\A(?<user>[^\s/@]{1,128}/)[^\s@/][^\s@]{0,256}(?<at>@|\z)", Plain);
        private static readonly Regex APort = new Regex(
            @"\A(?:[\w.\[\]:]{0,64}:)?[0-9]{1,5}(?:-[0-9]{1,5})?(?::[0-9]{1,5})?(?:/(?:tcp|udp|sctp))?\z", Plain);

        private static readonly Regex Parameter = new Regex(@"\A[A-Za-z_]\w{0,127}=", Plain);
        private static readonly Regex OpenSsl = new Regex(@"\A(?<name>pass:|(?:hex)?key:).+", Lines);

        // Words of a line that a shell made: quoted parts belong to the word around them.
        private static readonly Regex Split = new Regex(@"(?:[^\s""'\\]+|\\.|""(?:[^""\\]|\\.)*""|'[^']*'|[""'\\])+", Lines);
        private static readonly Regex Quoted = new Regex(@"[\s""']", Plain);
        private static readonly Regex SmallWord = new Regex(@"\A[a-z]+(?:-[a-z]+)*\z", Plain);
        private static readonly Regex EndOfCommand = new Regex(@"\A(?:.*;|&&|\|\|?|&)\z", Lines);

        private readonly bool _whole;
        private readonly int _depth;
        private bool _first;
        private List<Habit> _programs;
        private HashSet<string> _named;
        private string _before;
        private bool _setter, _login, _pair, _fields;
        // name of the secret that comes next; "-" where an option means it
        private string _awaited;
        // so many words are a secret only if they don't look like a plain word
        private int _vague;
        private List<int> _distances;

        /// <param name="whole">They are the arguments of a process; otherwise pieces of a text that has been through the patterns.</param>
        /// <param name="depth">Lines around this one.</param>
        public MaskedWords(bool whole, int depth)
        {
            _whole = whole;
            _depth = depth;
            _first = depth == 0;
            Command();
        }

        public string Mask(string word)
        {
            string bare = _whole ? word : word.Trim('"', '\'');
            string program = bare.Substring(bare.LastIndexOfAny(new[] { '/', '\\' }) + 1);
            if (program.EndsWith(".exe", StringComparison.OrdinalIgnoreCase))
            {
                program = program.Substring(0, program.Length - 4);
            }
            string shown = Masked(word, bare);
            Remember(bare, program.ToLowerInvariant());
            return shown;
        }

        /// <summary>A line of several words. What spans words goes first, the words by their place follow.</summary>
        public static string MaskText(string text, int depth)
        {
            text = Shapes.MaskPatterns(text);
            MaskedWords state = new MaskedWords(false, depth);
            if (!Quoted.IsMatch(text))
            {
                return state.Mask(text);
            }
            StringBuilder pieces = new StringBuilder();
            int end = 0;
            foreach (Match place in Split.Matches(text))
            {
                pieces.Append(text, end, place.Index - end).Append(state.Mask(place.Value));
                end = place.Index + place.Length;
            }
            return pieces.Append(text, end, text.Length - end).ToString();
        }

        /// <summary>Nothing of the command before counts for the next one: "docker login -p x r &amp;&amp; docker run -p 80:80 i".</summary>
        private void Command()
        {
            _programs = new List<Habit>();
            _named = new HashSet<string>();
            _distances = new List<int>();
            _before = "";
            _setter = _login = _pair = _fields = false;
            _awaited = null;
            _vague = 0;
        }

        private string Masked(string word, string bare)
        {
            bool option = Secrets.IsOption(bare);
            if (!option && _distances.Count > 0 && !(_named.Contains("net") && (Starts(bare, "/") || Starts(bare, "\\\\"))))
            {
                _distances = _distances.Select(far => far - 1).ToList();
                if (_distances.Remove(0))
                {
                    return Secrets.IsSecretValue("-", bare) ? Hidden : word;
                }
            }
            if (_awaited != null && Starts(bare, "--value="))
            {
                return "--value=" + Hidden;
            }
            if (_awaited != null && bare.Length > 0 && !option && !IsConnector(bare))
            {
                if (IsAwaited(bare))
                {
                    return Hidden;
                }
                if (_awaited != "-" && !Secrets.IsSecretValue(_awaited, bare))
                {
                    return word;
                }
            }
            else if (!option && bare.Length > 0 && _pair)
            {
                bool known = _programs.Any(habit => habit.Pair.Contains(_before));
                return known ? MaskPair(word) : MaskUser(word) ?? MaskWord(word);
            }
            else if (!option && _fields && bare.IndexOf('=') >= 0)
            {
                return Hidden;
            }
            return MaskWord(word);
        }

        private bool IsAwaited(string bare)
        {
            if (_awaited == "-")
            {
                // parameters are judged by their own names: "oc process -p NAME=x"
                return !(_named.Overlaps(SecretTables.Ports) && APort.IsMatch(bare)) && Secrets.IsSecretValue("-", bare) && !(_login && Parameter.IsMatch(bare));
            }
            if (_vague > 0 && (SecretTables.Stops.Contains(bare) || SmallWord.IsMatch(bare)))
            {
                return false;
            }
            return !SecretTables.Stops.Contains(bare.ToLowerInvariant()) && Secrets.IsSecretValue(_awaited, bare);
        }

        private void Remember(string bare, string program)
        {
            string awaited = _awaited;
            int vague = _vague;
            _pair = _fields = false;
            _awaited = null;
            _vague = 0;
            if (!_whole && EndOfCommand.IsMatch(bare))
            {
                Command();
                return;
            }
            if (awaited != null && IsConnector(bare))
            {
                _awaited = awaited;
                _vague = vague;
                _before = bare;
                return;
            }
            if (vague > 1 && !Secrets.IsOption(bare))
            {
                _awaited = awaited;
                _vague = vague - 1;
            }
            _distances.AddRange(_programs.SelectMany(habit => habit.After).Where(one => one.Key == bare).Select(one => one.Value));
            LookAt(bare);
            Habit known = Secrets.HabitOf(program);
            if (known != null)
            {
                // Its own options are asked once, however often it is named.
                if (!_programs.Contains(known))
                {
                    _programs.Add(known);
                }
                _distances.AddRange(known.After.Where(one => one.Key == program).Select(one => one.Value));
            }
            _named.Add(program);
            _login = _login || (bare == "login" && _named.Overlaps(SecretTables.Login));
            if (_named.Contains("htpasswd") && bare.IndexOf('b') > 0 && bare[0] == '-' && bare[1] != '-')
            {
                _distances = new List<int> { bare.IndexOf('n') < 0 ? 3 : 2 };
            }
            _before = bare;
            _setter = SecretTables.Setters.Contains(bare.ToLowerInvariant()) || bare.EndsWith(":set", StringComparison.Ordinal) || (_setter && Key.IsMatch(bare));
            _first = false;
        }

        /// <summary>What a word says about the one behind it.</summary>
        private void LookAt(string bare)
        {
            if (bare.Length > 255)
            {
                return;
            }
            bool setting = Setting.IsMatch(bare), net = _named.Contains("net");
            if (setting && Secrets.IsSecretName(bare) && !Secrets.IsSwitch(bare))
            {
                _awaited = bare;
            }
            else if (_programs.Any(habit => habit.Separate.Contains(bare)) || (bare == "-p" && _login))
            {
                _awaited = "-";
            }
            else if (_programs.Any(habit => habit.Pair.Contains(bare)))
            {
                _pair = true;
            }
            else if (_programs.Any(habit => habit.Fields.Contains(bare)))
            {
                _fields = true;
            }
            else if (bare == "-u" || bare == "-U" || bare == "login" || (setting && Secrets.IsUserName(bare)))
            {
                _pair = !_named.Overlaps(SecretTables.Grouped);
                _awaited = net && bare.StartsWith("/user", StringComparison.OrdinalIgnoreCase) ? "-" : _awaited;
            }
            else if (net && (bare.StartsWith("/user:", StringComparison.OrdinalIgnoreCase) || Starts(bare, "\\\\") || Starts(bare, "//")))
            {
                _awaited = "-";
            }
            else if (!_first && !setting)
            {
                LookAtName(bare.TrimEnd(':', '='));
            }
        }

        /// <summary>A name without an option's dashes: "config set requirepass x", "proxy.password x", "secret x".</summary>
        private void LookAtName(string bare)
        {
            if (!(BareName.IsMatch(bare) || (_setter && Key.IsMatch(bare))) || !Secrets.IsSecretName(bare) || Secrets.IsSwitch(bare))
            {
                return;
            }
            if (_setter || !Secrets.IsVagueName(bare))
            {
                _awaited = bare;
            }
            else if (!_named.Overlaps(SecretTables.Objects))
            {
                _awaited = bare;
                _vague = bare.Any(one => one == '_' || !char.IsLetterOrDigit(one)) ? 2 : 1;
            }
        }

        private string MaskWord(string word)
        {
            string opening = _whole ? "" : word.Substring(0, word.Length - word.TrimStart('"', '\'').Length);
            string bare = word.Substring(opening.Length);
            string masked = MaskByProgram(bare);
            if (masked != null)
            {
                return opening + masked;
            }
            if (_named.Overlaps(SecretTables.Oracle))
            {
                bare = OracleUser.Replace(bare, "${user}" + Hidden + "${at}", 1);
            }
            bool users = !_named.Overlaps(SecretTables.Grouped);
            if (users && AttachedPair.IsMatch(bare))
            {
                string pair = MaskUser(bare.Substring(2));
                if (pair != null)
                {
                    return opening + bare.Substring(0, 2) + pair;
                }
            }
            // "sh -c 'DB_PASSWORD=x exec server'" is a script, of which only a part is the value
            bool script = new[] { "/c", "/k", "-command" }.Contains(_before.ToLowerInvariant())
                || (Starts(_before, "-") && _before.EndsWith("c", StringComparison.Ordinal));
            if (!script && (_whole || !Quoted.IsMatch(bare.Trim('"', '\''))))
            {
                masked = MaskAssignment(bare, users);
                if (masked != null)
                {
                    return opening + masked;
                }
            }
            bare = OpenSsl.Replace(bare, "${name}" + Hidden);
            if (_whole)
            {
                return Quoted.IsMatch(bare) ? MaskText(bare, _depth + 1) : Shapes.MaskPatterns(bare);
            }
            string last = opening.Length > 0 ? opening.Substring(opening.Length - 1) : "";
            string inner = last.Length > 0 && bare.EndsWith(last, StringComparison.Ordinal) ? bare.Substring(0, bare.Length - 1) : "";
            if (inner.Length > 0 && Quoted.IsMatch(inner) && _depth < Deepest)
            {
                return opening + MaskText(inner, _depth + 1) + last;
            }
            return opening + bare;
        }

        /// <summary>An option with the secret attached, as the programs named before take it. Null for other words.</summary>
        private string MaskByProgram(string bare)
        {
            foreach (Habit habit in _programs)
            {
                foreach (string option in habit.Attached.Where(one => Goes(bare, one) && !Starts(bare, "--")))
                {
                    string rest = bare.Substring(option.Length);
                    if (rest != "-" && Secrets.IsSecretValue("-", rest) && !(_named.Overlaps(SecretTables.Ports) && APort.IsMatch(rest)))
                    {
                        return option + Hidden;
                    }
                }
                foreach (string start in habit.Pair.Select(WithSign).Where(one => Goes(bare, one)))
                {
                    return start + MaskPair(bare.Substring(start.Length));
                }
                foreach (string start in habit.Fields.Select(WithSign).Where(one => Goes(bare, one) && bare.IndexOf('=', one.Length) >= 0))
                {
                    return start + Hidden;
                }
            }
            return null;
        }

        private static string WithSign(string option)
        {
            return Starts(option, "--") ? option + "=" : option;
        }

        private static bool Starts(string text, string start)
        {
            return text.StartsWith(start, StringComparison.Ordinal);
        }

        /// <summary>Whether a text begins with another one and goes on.</summary>
        private static bool Goes(string text, string start)
        {
            return text.Length > start.Length && Starts(text, start);
        }

        /// <summary>Whether a word stands between a name and its value: "password = x", "/v Password /t REG_SZ /d x".</summary>
        private static bool IsConnector(string bare)
        {
            return SecretTables.Connectors.Contains(bare) || Starts(bare, "REG_");
        }

        /// <summary>--password=x, /pw:x, --env=DB_PASSWORD=x: all that follows is the value. Null for other words.</summary>
        private static string MaskAssignment(string word, bool users)
        {
            for (int start = 0; ; )
            {
                Match found = Assignment.Match(word, start);
                if (!found.Success || !(found.Groups["sign"].Value == "=" || word[start] == '-' || word[start] == '/'))
                {
                    return null;
                }
                string name = found.Groups["name"].Value;
                start = found.Index + found.Length;
                if (Secrets.IsSecretName(name))
                {
                    return Secrets.IsSecretValue(name, word.Substring(start)) ? word.Substring(0, start) + Hidden : null;
                }
                string pair = users && Secrets.IsUserName(name) ? MaskUser(word.Substring(start)) : null;
                if (pair != null)
                {
                    return word.Substring(0, start) + pair;
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
            return word.Substring(0, end) + Hidden + ((last == '"' || last == '\'') && word[0] == last ? last.ToString() : "");
        }

        /// <summary>name:secret behind an option of any program; null where it is a user and a group, a host and a port, a URL.</summary>
        private static string MaskUser(string word)
        {
            Match found = NameAndSecret.Match(word);
            string user = found.Groups["user"].Value, secret = found.Groups["secret"].Value.TrimEnd('"', '\'');
            if (!found.Success || secret.Length == 0 || secret == user || secret == Hidden || SecretTables.Groups.Contains(secret))
            {
                return null;
            }
            bool host = secret.Length < 6 && (user.IndexOf('.') >= 0 || user == "localhost");
            return secret.All(char.IsDigit) && (host || user.All(char.IsDigit)) ? null : MaskPair(word);
        }
    }
}
