// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Dates by the codes of PowerShell's Get-Date -UFormat. Private to harbormaster.ports. Pure.
//
// In the words of the C locale, whatever the host's language is: a playbook that parses a date works everywhere.

using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.FactsDates
{
    /// <summary>A date format that has been understood: what stands between the codes, and the codes.</summary>
    public sealed class DateFormat
    {
        private static readonly DateTime Epoch = new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        private static readonly DateTimeFormatInfo Words = CultureInfo.InvariantCulture.DateTimeFormat;

        // Codes that are short for several others.
        private static readonly Dictionary<char, string> Composed = new Dictionary<char, string>
        {
            { 'c', "%a %b %e %H:%M:%S %Y" },
            { 'D', "%m/%d/%y" },
            { 'F', "%Y-%m-%d" },
            { 'R', "%H:%M" },
            { 'r', "%I:%M:%S %p" },
            { 'T', "%H:%M:%S" },
            { 'X', "%H:%M:%S" },
            { 'x', "%m/%d/%y" },
        };

        private static readonly Dictionary<char, Func<Moment, string>> Codes = new Dictionary<char, Func<Moment, string>>
        {
            { '%', when => "%" },
            { 'A', when => Words.GetDayName(when.Local.DayOfWeek) },
            { 'a', when => Words.GetAbbreviatedDayName(when.Local.DayOfWeek) },
            { 'B', when => Words.GetMonthName(when.Local.Month) },
            { 'b', when => Words.GetAbbreviatedMonthName(when.Local.Month) },
            { 'C', when => Padded(when.Local.Year / 100, 2) },
            { 'd', when => Padded(when.Local.Day, 2) },
            { 'e', when => Blank(when.Local.Day) },
            { 'G', when => Padded(when.WeekYear, 4) },
            { 'g', when => Padded(when.WeekYear % 100, 2) },
            { 'H', when => Padded(when.Local.Hour, 2) },
            { 'h', when => Words.GetAbbreviatedMonthName(when.Local.Month) },
            { 'I', when => Padded(when.HourOfTwelve, 2) },
            { 'j', when => Padded(when.Local.DayOfYear, 3) },
            { 'k', when => Blank(when.Local.Hour) },
            { 'l', when => Blank(when.HourOfTwelve) },
            { 'M', when => Padded(when.Local.Minute, 2) },
            { 'm', when => Padded(when.Local.Month, 2) },
            { 'n', when => "\n" },
            { 'p', when => when.Local.Hour < 12 ? "AM" : "PM" },
            { 'S', when => Padded(when.Local.Second, 2) },
            { 's', when => Math.Floor(when.Seconds).ToString("0", CultureInfo.InvariantCulture) },
            { 't', when => "\t" },
            { 'U', when => Padded((when.Local.DayOfYear + 6 - (int)when.Local.DayOfWeek) / 7, 2) },
            { 'u', when => Padded(when.WeekDay + 1, 1) },
            { 'V', when => Padded(when.Week, 2) },
            { 'W', when => Padded((when.Local.DayOfYear + 6 - when.WeekDay) / 7, 2) },
            { 'w', when => Padded((int)when.Local.DayOfWeek, 1) },
            { 'Y', when => Padded(when.Local.Year, 4) },
            { 'y', when => Padded(when.Local.Year % 100, 2) },
            { 'Z', when => when.Offset },
        };

        private readonly List<Func<Moment, string>> _pieces = new List<Func<Moment, string>>();

        private DateFormat()
        {
        }

        /// <summary>Understand "%Y-%m-%d".</summary>
        /// <exception cref="OptionError">A code that there is not, and a % without one.</exception>
        public static DateFormat Parse(string text)
        {
            DateFormat format = new DateFormat();
            int at = 0;
            while (at < text.Length)
            {
                if (text[at] != '%')
                {
                    int end = text.IndexOf('%', at);
                    string between = text.Substring(at, (end < 0 ? text.Length : end) - at);
                    format._pieces.Add(when => between);
                    at += between.Length;
                    continue;
                }
                char code = at + 1 < text.Length ? text[at + 1] : '\0';
                if (Composed.ContainsKey(code))
                {
                    format._pieces.AddRange(Parse(Composed[code])._pieces);
                }
                else if (Codes.ContainsKey(code))
                {
                    format._pieces.Add(Codes[code]);
                }
                else
                {
                    throw new OptionError("date_uformat", text, "after a % one of " + AllCodes() + " is allowed");
                }
                at += 2;
            }
            return format;
        }

        /// <summary>A moment in the host's own time zone.</summary>
        /// <param name="seconds">Since 1970, UTC.</param>
        public string Of(double seconds)
        {
            Moment when = new Moment(seconds);
            return string.Concat(_pieces.Select(piece => piece(when)));
        }

        /// <summary>ISO 8601 in UTC, to the second.</summary>
        /// <param name="seconds">Since 1970, UTC.</param>
        public static string Iso(double seconds)
        {
            return Utc(seconds).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        }

        private static DateTime Utc(double seconds)
        {
            return Epoch.AddTicks((long)Math.Floor(seconds) * TimeSpan.TicksPerSecond);
        }

        private static string AllCodes()
        {
            IEnumerable<char> codes = Codes.Keys.Concat(Composed.Keys);
            return new string(codes.OrderBy(code => char.ToLowerInvariant(code)).ThenBy(code => code).ToArray());
        }

        private static string Padded(int number, int digits)
        {
            return number.ToString("D" + digits, CultureInfo.InvariantCulture);
        }

        private static string Blank(int number)
        {
            return number.ToString(CultureInfo.InvariantCulture).PadLeft(2);
        }

        private sealed class Moment
        {
            public readonly double Seconds;
            public readonly DateTime Local;
            // Year and week of ISO 8601: a week belongs to the year that has its Thursday.
            public readonly int WeekYear;
            public readonly int Week;

            private readonly DateTime _utc;

            public Moment(double seconds)
            {
                Seconds = seconds;
                _utc = Utc(seconds);
                Local = _utc.ToLocalTime();
                DateTime thursday = Local.AddDays(3 - WeekDay);
                WeekYear = thursday.Year;
                Week = (thursday.DayOfYear - 1) / 7 + 1;
            }

            /// <summary>0 for Monday.</summary>
            public int WeekDay
            {
                get { return ((int)Local.DayOfWeek + 6) % 7; }
            }

            public int HourOfTwelve
            {
                get { return Local.Hour % 12 == 0 ? 12 : Local.Hour % 12; }
            }

            /// <summary>Whole hours from UTC, as +01.</summary>
            public string Offset
            {
                get
                {
                    int hours = (int)(TimeZoneInfo.Local.GetUtcOffset(_utc).TotalSeconds / 3600);
                    return (TimeZoneInfo.Local.GetUtcOffset(_utc) < TimeSpan.Zero ? "-" : "+") + Padded(Math.Abs(hours), 2);
                }
            }
        }
    }
}
