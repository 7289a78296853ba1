// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// JSON as PowerShell's ConvertTo-Json -Depth 99 and ConvertFrom-Json have it, for what a module takes and gives. A value that is no
// plain data is an error: ConvertTo-Json would print all of its properties.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Management.Automation;
using System.Text;

public static class RigJson
{
    private const int MostDepth = 99;
    private const string Escaped = "\"\\\n\r\t\b\f";
    private const string Escapes = "\"\\nrtbf";

    // asPowerShell: objects are Hashtables that ignore case, and lists are arrays, as in $complex_args. Else Dictionary and ArrayList.
    public static object Read(string text, bool asPowerShell)
    {
        Reader reader = new Reader(text, asPowerShell);
        object value = reader.Value();
        reader.End();
        return value;
    }

    public static string Write(object value)
    {
        StringBuilder text = new StringBuilder();
        Put(text, value, 0);
        return text.ToString();
    }

    private class Reader
    {
        private readonly string text;
        private readonly bool asPowerShell;
        private int at;

        public Reader(string text, bool asPowerShell)
        {
            this.text = text;
            this.asPowerShell = asPowerShell;
        }

        public void End()
        {
            Skip();
            if (at != text.Length)
                throw Bad("something after the value");
        }

        public object Value()
        {
            Skip();
            if (at >= text.Length)
                throw Bad("a value is missing");
            if (text[at] == '"')
                return Text();
            if (text[at] == '{')
                return Object();
            return text[at] == '[' ? List() : Word();
        }

        private FormatException Bad(string what)
        {
            return new FormatException("JSON at " + at + ": " + what);
        }

        private void Skip()
        {
            while (at < text.Length && char.IsWhiteSpace(text[at]))
                at++;
        }

        private bool Next(char wanted)
        {
            Skip();
            if (at >= text.Length || text[at] != wanted)
                return false;
            at++;
            return true;
        }

        private void Expect(char wanted)
        {
            if (!Next(wanted))
                throw Bad(wanted + " is missing");
        }

        private object Object()
        {
            IDictionary found = asPowerShell ? (IDictionary)new Hashtable(StringComparer.OrdinalIgnoreCase) : new Dictionary<string, object>();
            Expect('{');
            if (Next('}'))
                return found;
            do
            {
                Skip();
                string key = Text();
                Expect(':');
                found[key] = Value();
            }
            while (Next(','));
            Expect('}');
            return found;
        }

        private object List()
        {
            ArrayList found = new ArrayList();
            Expect('[');
            if (!Next(']'))
            {
                do
                    found.Add(Value());
                while (Next(','));
                Expect(']');
            }
            return asPowerShell ? (object)found.ToArray() : found;
        }

        private object Word()
        {
            int begin = at;
            while (at < text.Length && ",]} \t\r\n".IndexOf(text[at]) < 0)
                at++;
            string word = text.Substring(begin, at - begin);
            if (word == "true" || word == "false")
                return word == "true";
            if (word == "null")
                return null;
            int small;
            if (int.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out small))
                return small;
            long big;
            if (long.TryParse(word, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out big))
                return big;
            double real;
            if (double.TryParse(word, NumberStyles.Float, CultureInfo.InvariantCulture, out real))
                return real;
            throw Bad("what is " + word);
        }

        private string Text()
        {
            StringBuilder found = new StringBuilder();
            Expect('"');
            for (; ; at++)
            {
                if (text[at] == '"')
                {
                    at++;
                    return found.ToString();
                }
                if (text[at] != '\\')
                {
                    found.Append(text[at]);
                    continue;
                }
                at++;
                if (text[at] == 'u')
                {
                    found.Append((char)int.Parse(text.Substring(at + 1, 4), NumberStyles.HexNumber));
                    at += 4;
                    continue;
                }
                int place = Escapes.IndexOf(text[at]);
                found.Append(place < 0 ? text[at] : Escaped[place]);
            }
        }
    }

    private static void Put(StringBuilder text, object value, int depth)
    {
        if (depth > MostDepth)
            throw new InvalidOperationException("JSON deeper than " + MostDepth);
        PSObject wrapped = value as PSObject;
        if (wrapped != null)
            value = wrapped.BaseObject;
        if (value == null)
            text.Append("null");
        else if (value is bool)
            text.Append((bool)value ? "true" : "false");
        else if (value is string || value is char || value is Guid || value is Uri || value is Version)
            Quote(text, value.ToString());
        else if (value is DateTime)
            Quote(text, "/Date(" + (long)(((DateTime)value).ToUniversalTime() - new DateTime(1970, 1, 1)).TotalMilliseconds + ")/");
        else if (value is Enum)
            text.Append(Convert.ToInt64(value));
        else if (value is double || value is float)
            text.Append(((IConvertible)value).ToDouble(null).ToString("R", CultureInfo.InvariantCulture));
        else if (value is IConvertible)
            text.Append(((IConvertible)value).ToString(CultureInfo.InvariantCulture));
        else if (value is IDictionary)
            PutObject(text, (IDictionary)value, depth);
        else if (value is IEnumerable)
            PutList(text, (IEnumerable)value, depth);
        else
            throw new NotSupportedException("put plain data into a result, not a " + value.GetType());
    }

    private static void PutObject(StringBuilder text, IDictionary found, int depth)
    {
        string before = "{";
        foreach (DictionaryEntry entry in found)
        {
            text.Append(before);
            Quote(text, entry.Key.ToString());
            text.Append(':');
            Put(text, entry.Value, depth + 1);
            before = ",";
        }
        text.Append(found.Count == 0 ? "{}" : "}");
    }

    private static void PutList(StringBuilder text, IEnumerable found, int depth)
    {
        string before = "[";
        foreach (object item in found)
        {
            text.Append(before);
            Put(text, item, depth + 1);
            before = ",";
        }
        text.Append(before == "[" ? "[]" : "]");
    }

    private static void Quote(StringBuilder text, string value)
    {
        text.Append('"');
        foreach (char one in value)
        {
            int place = Escaped.IndexOf(one);
            if (place >= 0)
                text.Append('\\').Append(Escapes[place]);
            else if (one < ' ')
                text.Append("\\u").Append(((int)one).ToString("x4"));
            else
                text.Append(one);
        }
        text.Append('"');
    }
}
