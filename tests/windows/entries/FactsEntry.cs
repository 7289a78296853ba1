// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The pure parts of the facts, for the tests that compare them with their Python twins.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.FactsDates;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.FactsStates;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;

public static class FactsEntry
{
    // [{format, seconds}] -> [text, or the sentence of the error]
    public static string Dates(string input, string[] arguments)
    {
        List<object> said = new List<object>();
        foreach (IDictionary one in (IEnumerable)RigJson.Read(input, false))
        {
            try
            {
                said.Add(DateFormat.Parse((string)one["format"]).Of(Convert.ToDouble(one["seconds"])));
            }
            catch (PortsError error)
            {
                said.Add(error.Message);
            }
        }
        return RigJson.Write(said);
    }

    // [[word of tcp_filter]] -> [sorted states, or the sentence of the error]
    public static string Filters(string input, string[] arguments)
    {
        List<object> said = new List<object>();
        foreach (IEnumerable words in (IEnumerable)RigJson.Read(input, false))
        {
            try
            {
                said.Add(StateWords.OfFilter(words.Cast<string>().ToList()).OrderBy(word => word, StringComparer.Ordinal).ToList());
            }
            catch (PortsError error)
            {
                said.Add(error.Message);
            }
        }
        return RigJson.Write(said);
    }

    // [{family, address, state, remote_address, remote_port, v6only, ss}] -> [[state, foreign address]]
    public static string Ends(string input, string[] arguments)
    {
        List<object> said = new List<object>();
        foreach (IDictionary one in (IEnumerable)RigJson.Read(input, false))
        {
            Socket row = new Socket(
                Protocol.Tcp, (string)one["family"], (string)one["address"], 80, (string)one["state"], (string)one["remote_address"],
                (int)one["remote_port"], v6Only: (bool?)one["v6only"]);
            said.Add(new[] { StateWords.Of(row, (bool)one["ss"]), StateWords.ForeignAddress(row, (bool)one["ss"]) });
        }
        return RigJson.Write(said);
    }
}
