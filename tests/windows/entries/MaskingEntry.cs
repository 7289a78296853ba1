// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The masking of command lines and other pure readings of text, for the tests that share their data with Python.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Threading;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Addresses;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideMatching;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Masking;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.PortNames;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.SecretNames;

public static class MaskingEntry
{
    // [[argument]] -> [one line each, the words as they are]; one argument alone is a line that a program wrote itself
    public static string Words(string input, string[] arguments)
    {
        return Answers(input, one => Masked(((IEnumerable)one).Cast<string>().ToList()));
    }

    // [command line] -> [what is shown of it]
    public static string Lines(string input, string[] arguments)
    {
        return Answers(input, one => SecretMask.CommandLine((string)one));
    }

    // [command line] -> [[argument]]
    public static string Arguments(string input, string[] arguments)
    {
        return Answers(input, one => ansible_collections.harbormaster.ports.plugins.module_utils._windows.Masking.Arguments.Of((string)one).ToList());
    }

    // [text] -> [the line in one piece, as it is shown]
    public static string Titles(string input, string[] arguments)
    {
        return Answers(input, one => SecretMask.Title((string)one));
    }

    // [name of a table] -> [its words]
    public static string Tables(string input, string[] arguments)
    {
        return Answers(input, one => ((IEnumerable<string>)typeof(SecretTables).GetField((string)one).GetValue(null)).ToList());
    }

    // [[argument]] -> [seconds of processor time, and the length of what is shown]
    public static string Times(string input, string[] arguments)
    {
        return Answers(input, one =>
        {
            List<string> words = ((IEnumerable)one).Cast<string>().ToList();
            TimeSpan begun = Spent();
            int length = SecretMask.CommandLine(string.Join(" ", words.Select(Quoted))).Length;
            if (words.Count == 1)
            {
                length = Math.Max(length, SecretMask.Title(words[0]).Length);
            }
            return new List<object> { (Spent() - begun).TotalSeconds, length };
        });
    }

    // [[name, pattern]] -> [whether it matches]
    public static string Globs(string input, string[] arguments)
    {
        return Answers(input, one => Glob.Matches((string)((IList)one)[0], (string)((IList)one)[1]));
    }

    // [text] -> [the address in its shortest form, or null]
    public static string Addresses(string input, string[] arguments)
    {
        return Answers(input, one =>
        {
            byte[] address = IpText.Parse((string)one);
            return address == null ? null : IpText.Of(address);
        });
    }

    // {table, ports: [[name, protocol]], names: [[port, protocol]]} -> [ports, names]
    public static string Services(string input, string[] arguments)
    {
        IDictionary given = (IDictionary)RigJson.Read(input, false);
        PortNameTable table = new PortNameTable((string)given["table"]);
        List<object> ports = ((IEnumerable)given["ports"]).Cast<IList>().Select(one => (object)table.Port((string)one[0], (string)one[1])).ToList();
        List<object> names = ((IEnumerable)given["names"]).Cast<IList>().Select(one => (object)table.Name((int)one[0], (string)one[1])).ToList();
        return RigJson.Write(new List<object> { ports, names });
    }

    private static string Answers(string input, Func<object, object> answer)
    {
        // A language in which the small form of I is not i: nothing may depend on it.
        Thread.CurrentThread.CurrentCulture = new CultureInfo("tr-TR");
        return RigJson.Write(((IEnumerable)RigJson.Read(input, false)).Cast<object>().Select(answer).ToList());
    }

    private static TimeSpan Spent()
    {
        return Process.GetCurrentProcess().TotalProcessorTime;
    }

    private static string Masked(List<string> words)
    {
        return words.Count == 1 ? SecretMask.Title(words[0]) : string.Join(" ", SecretMask.Words(words));
    }

    private static string Quoted(string word)
    {
        return ansible_collections.harbormaster.ports.plugins.module_utils._windows.Masking.Arguments.Quoted(word);
    }
}
