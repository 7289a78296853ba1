// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What a host says, made safe to show. Private to harbormaster.ports.
//
// Process names, paths and arguments are text that any user of the host chooses. They end up in a terminal, in JSON and
// in HTML, so nothing in them may move a cursor, break a line or turn the reading direction.

using System.Globalization;
using System.Text;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveText
{
    /// <summary>Text of the host on its way to people.</summary>
    public static class HostText
    {
        /// <summary>
        /// The text with every character that must not be shown as \xNN or \uNNNN: controls, marks of direction, line and
        /// paragraph separators, surrogates without their other half. For reading, not for turning back. Null stays null.
        /// </summary>
        public static string Printable(string text)
        {
            if (text == null || IsPlain(text))
            {
                return text;
            }
            StringBuilder safe = new StringBuilder(text.Length + 16);
            for (int index = 0; index < text.Length; index++)
            {
                char one = text[index];
                if (char.IsHighSurrogate(one) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]))
                {
                    safe.Append(one).Append(text[++index]);
                }
                else if (IsUnsafe(one))
                {
                    safe.AppendFormat(CultureInfo.InvariantCulture, one < 0x100 ? "\\x{0:x2}" : "\\u{0:x4}", (int)one);
                }
                else
                {
                    safe.Append(one);
                }
            }
            return safe.ToString();
        }

        private static bool IsPlain(string text)
        {
            foreach (char one in text)
            {
                if (one < ' ' || one > '~')
                {
                    return false;
                }
            }
            return true;
        }

        private static bool IsUnsafe(char one)
        {
            return one < ' '
                || (one >= '\x7f' && one <= '\x9f')
                || one == '\u061c' || one == '\u200e' || one == '\u200f'
                || (one >= '\u2028' && one <= '\u202e')
                || (one >= '\u2066' && one <= '\u2069')
                || char.IsSurrogate(one);
        }
    }
}
