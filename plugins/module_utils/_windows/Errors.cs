// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The errors of the collection, and every code that tests, documentation, playbooks and both languages share. Private to
// harbormaster.ports. See _errors.py.

using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors
{
    /// <summary>The reason codes. Those of _errors.py, and those that only Windows has.</summary>
    public static class Codes
    {
        public const string ProtectedProcess = "protected_process";
        public const string OwnAncestor = "own_ancestor";
        public const string OwnConnection = "own_connection";
        public const string OwnerMismatch = "owner_mismatch";
        public const string UserMismatch = "user_mismatch";
        public const string NotHeld = "not_held";
        public const string HiddenOwner = "hidden_owner";
        public const string KernelSocket = "kernel_socket";
        public const string Connection = "connection";
        public const string Leftover = "leftover";
        public const string Supervised = "supervised";
        public const string WrongMethod = "wrong_method";
        public const string Collateral = "collateral";
        public const string NotPermitted = "not_permitted";
        public const string ManagedElsewhere = "managed_elsewhere";
        public const string Engine = "engine";
        public const string WouldRespawn = "would_respawn";
        public const string ProtectedDependant = "protected_dependant";
        public const string NotStoppable = "not_stoppable";
        // Windows alone:
        public const string NoPoliteWay = "no_polite_way";
        public const string ReservedRange = "reserved_range";
        public const string Ghost = "ghost";
        // After something was done or tried:
        public const string StillHeld = "still_held";
        public const string Respawned = "respawned";
        public const string Changing = "changing";
        public const string StepFailed = "step_failed";
        public const string NotProven = "not_proven";
        // The task could not begin:
        public const string BadOption = "bad_option";
        public const string SourceRefused = "source_refused";
        public const string MalformedData = "malformed_data";
    }

    /// <summary>Base of every error that the collection raises on purpose.</summary>
    public class PortsError : Exception
    {
        /// <summary>One of Codes.</summary>
        public readonly string Code;

        /// <param name="message">One sentence: the option or object, its value, what is allowed or to do next.</param>
        public PortsError(string code, string message)
            : base(message)
        {
            Code = code;
        }
    }

    /// <summary>A value of the task that can't be used. The message names option, value and what is allowed.</summary>
    public sealed class OptionError : PortsError
    {
        public readonly string Option;

        public OptionError(string option, object value, string allowed)
            : base(Codes.BadOption, option + ": " + Shown.Value(value) + " is not usable: " + allowed)
        {
            Option = option;
        }
    }

    /// <summary>One source of what is seen is not to be had here.</summary>
    public sealed class SourceRefused : PortsError
    {
        /// <param name="source">What was asked, such as GetExtendedTcpTable.</param>
        /// <param name="why">The system's answer.</param>
        public SourceRefused(string source, string why)
            : base(Codes.SourceRefused, source + " can't be read: " + why)
        {
        }
    }

    /// <summary>Bytes of the system that don't have the documented layout. Nothing of the answer is used.</summary>
    public sealed class MalformedData : PortsError
    {
        /// <param name="data">The offending bytes; only the first 64 go into the message.</param>
        public MalformedData(string source, string problem, byte[] data = null)
            : base(Codes.MalformedData, source + ": " + problem + Hex(data))
        {
        }

        private static string Hex(byte[] data)
        {
            if (data == null || data.Length == 0)
            {
                return "";
            }
            return " (" + string.Concat(data.Take(64).Select(one => one.ToString("x2", CultureInfo.InvariantCulture))) + ")";
        }
    }

    /// <summary>A step could not be carried out. What was done before it stays in the result.</summary>
    public sealed class ActError : PortsError
    {
        public ActError(string code, string message)
            : base(code, message)
        {
        }
    }

    /// <summary>A user's values as they go into a sentence: whole when short, cut when long, never with line breaks.</summary>
    public static class Shown
    {
        private const int Longest = 80;

        /// <summary>Text in quotes, numbers and lists as on Linux: the same sentence for the same task.</summary>
        public static string Value(object value)
        {
            string text = Plain(value, true);
            return text.Length <= Longest ? text : text.Substring(0, Longest - 3) + "...";
        }

        private static string Plain(object value, bool top)
        {
            if (value == null)
            {
                return "None";
            }
            if (value is string)
            {
                return Quoted((string)value);
            }
            if (value is double)
            {
                return Number((double)value);
            }
            IEnumerable many = value as IEnumerable;
            if (many != null)
            {
                List<string> shown = new List<string>();
                foreach (object one in many)
                {
                    shown.Add(Plain(one, false));
                }
                return "[" + string.Join(", ", shown) + "]";
            }
            return Convert.ToString(value, CultureInfo.InvariantCulture);
        }

        /// <summary>A number as YAML's reader knows it: 30.0, 0.5, inf, nan.</summary>
        private static string Number(double value)
        {
            if (double.IsNaN(value))
            {
                return "nan";
            }
            if (double.IsInfinity(value))
            {
                return value > 0 ? "inf" : "-inf";
            }
            string text = value.ToString("R", CultureInfo.InvariantCulture);
            return text.IndexOfAny(new[] { '.', 'E' }) < 0 ? text + ".0" : text;
        }

        /// <summary>Single quotes, unless that takes more escapes; what can't be printed as an escape.</summary>
        private static string Quoted(string value)
        {
            char mark = value.Contains("'") && !value.Contains("\"") ? '"' : '\'';
            StringBuilder text = new StringBuilder();
            text.Append(mark);
            for (int at = 0; at < value.Length; at++)
            {
                char one = value[at];
                if (one == mark || one == '\\')
                {
                    text.Append('\\').Append(one);
                }
                else if (Characters.Printable(value, at))
                {
                    text.Append(one);
                }
                else
                {
                    text.Append(Escape(one));
                }
            }
            return text.Append(mark).ToString();
        }

        private static string Escape(char one)
        {
            switch (one)
            {
                case '\n': return "\\n";
                case '\r': return "\\r";
                case '\t': return "\\t";
                default: return string.Format(CultureInfo.InvariantCulture, one < 256 ? "\\x{0:x2}" : "\\u{0:x4}", (int)one);
            }
        }
    }

    /// <summary>Which characters can be shown without doing something to a terminal or to the order of the text.</summary>
    public static class Characters
    {
        /// <summary>Whether a character can be printed; halves of a pair are looked at together.</summary>
        public static bool Printable(string text, int at)
        {
            char one = text[at];
            if (char.IsLowSurrogate(one) && at > 0 && char.IsHighSurrogate(text[at - 1]))
            {
                at--;
            }
            switch (CharUnicodeInfo.GetUnicodeCategory(text, at))
            {
                case UnicodeCategory.Control:
                case UnicodeCategory.Format:
                case UnicodeCategory.Surrogate:
                case UnicodeCategory.PrivateUse:
                case UnicodeCategory.OtherNotAssigned:
                case UnicodeCategory.LineSeparator:
                case UnicodeCategory.ParagraphSeparator:
                    return false;
                case UnicodeCategory.SpaceSeparator:
                    return one == ' ';
                default:
                    return true;
            }
        }

        public static bool AllPrintable(string text)
        {
            return Enumerable.Range(0, text.Length).All(at => Printable(text, at));
        }
    }
}
