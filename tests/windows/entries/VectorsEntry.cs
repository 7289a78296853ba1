// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The vectors of tests/vectors in C#: what was seen and what is wished become a plan, and the plan is told in the words of the
// vectors. Comparing it with what is expected is the Python test's part. Options go through the real Ansible.Basic with the
// module's own spec.
using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Management.Automation;
using Ansible.Basic;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Decide;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Report;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Wishes;

public static class VectorsEntry
{
    // [{given, wish, seeds}] -> [{ports, actions, warnings, whole, shuffled}], or {error}; arguments: the file with the spec.
    public static string Plans(string input, string[] arguments)
    {
        string spec = File.ReadAllText(arguments[0]);
        return RigJson.Write(Cases(input).Select(one => Answered(() => PlanOf(one, spec))).ToList());
    }

    // [{given, wish, end, later, now, check_mode}] -> [{result, diff}]: what is told of a run that ended in this way.
    // end: null (decided and nothing more), done, gone, failed; later: what was seen afterwards.
    public static string Stories(string input, string[] arguments)
    {
        string spec = File.ReadAllText(arguments[0]);
        return RigJson.Write(Cases(input).Select(one => Answered(() => Told(one, spec))).ToList());
    }

    // [options] -> [{ansible: sentence} or {option, sentence} or {}]: what each task is told of its options.
    public static string BadInput(string input, string[] arguments)
    {
        string spec = File.ReadAllText(arguments[0]);
        return RigJson.Write(Cases(input).Select(one => Answered(() => Refused(one, spec))).ToList());
    }

    private static IEnumerable<IDictionary> Cases(string input)
    {
        return ((IEnumerable)RigJson.Read(input, false)).Cast<IDictionary>();
    }

    private static object Answered(Func<object> answer)
    {
        try
        {
            return answer();
        }
        catch (FormatException error)
        {
            return new Dictionary<string, object> { { "error", error.Message } };
        }
        catch (PortsError error)
        {
            return new Dictionary<string, object> { { "error", error.Code + ": " + error.Message } };
        }
    }

    private static object Refused(IDictionary options, string spec)
    {
        string said;
        IDictionary parameters = Parameters(options, spec, out said);
        if (said != null)
        {
            return new Dictionary<string, object> { { "ansible", said } };
        }
        try
        {
            WishReader.PolicyOf(parameters);
            WishReader.All(parameters);
        }
        catch (OptionError error)
        {
            return new Dictionary<string, object> { { "option", error.Option }, { "sentence", error.Message }, { "code", error.Code } };
        }
        return new Dictionary<string, object>();
    }

    /// <summary>What Ansible makes of options; null when it refuses them, with what it says.</summary>
    private static IDictionary Parameters(IDictionary options, string spec, out string said)
    {
        string line = null;
        AnsibleModule.WriteLine = text => line = text;
        // As the options come over the wire: without regard to case, lists as arrays.
        ScriptBlock.ComplexArgs = (Hashtable)RigJson.Read(RigJson.Write(options), true);
        try
        {
            IDictionary parameters = AnsibleModule.Create(new string[0], (IDictionary)RigJson.Read(spec, true)).Params;
            said = null;
            return parameters;
        }
        catch (ExitException)
        {
            said = (string)((IDictionary)RigJson.Read(line, false))["msg"];
            return null;
        }
        catch (ArgumentException error)
        {
            // Ansible.Basic does not catch it itself.
            said = "exception: " + error.Message;
            return null;
        }
    }

    private static object Told(IDictionary one, string spec)
    {
        string said;
        IDictionary parameters = Parameters((IDictionary)one["wish"], spec, out said);
        IReadOnlyList<Wish> wishes = WishReader.All(parameters);
        Policy policy = WishReader.PolicyOf(parameters);
        Snapshot snapshot = VectorsGiven.Snapshot((IDictionary)one["given"], wishes, null);
        Plan plan = Decider.Decide(snapshot, wishes, policy);
        string end = (string)one["end"];
        Story story = new Story(snapshot, plan, policy, (bool)one["check_mode"], plan.Refusals.FirstOrDefault());
        if (end != null)
        {
            Refusal error = end == Outcome.Failed ? new Refusal(Codes.StepFailed, "it does not end", "look at it") : null;
            Snapshot later = VectorsGiven.Snapshot((IDictionary)one["later"], wishes, null);
            IEnumerable<Outcome> outcomes = plan.Steps.Select(
                step => new Outcome(step, end, end != Outcome.Gone, 1.2345, end == Outcome.Done ? 2 : 0, null, error));
            story = story.With(outcomes: outcomes, proof: new Proof(later, Decider.Decide(later, wishes, policy), error), failure: error);
        }
        DateTime now = new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc).AddSeconds((int)one["now"]);
        story = story.With(elapsed: 2.0006);
        return new Dictionary<string, object> { { "result", Reporter.Result(story, now) }, { "diff", Reporter.Diff(story) } };
    }

    private static object PlanOf(IDictionary one, string spec)
    {
        string said;
        IDictionary parameters = Parameters((IDictionary)one["wish"], spec, out said);
        if (said != null)
        {
            throw new FormatException(said);
        }
        IReadOnlyList<Wish> wishes = WishReader.All(parameters);
        Policy policy = WishReader.PolicyOf(parameters);
        Func<Random, Dictionary<string, object>> plan =
            order => VectorsTold.Plan(Decider.Decide(VectorsGiven.Snapshot((IDictionary)one["given"], wishes, order), wishes, policy));
        Dictionary<string, object> straight = plan(null);
        string whole = RigJson.Write(straight);
        straight["shuffled"] = Enumerable.Range(0, (int)one["seeds"]).Where(seed => RigJson.Write(plan(new Random(seed))) != whole).ToList();
        return straight;
    }
}

/// <summary>From a vector to what decide takes. A key that is not known is an error.</summary>
internal static class VectorsGiven
{
    private const long FirstId = 1001;

    public static Snapshot Snapshot(IDictionary given, IReadOnlyList<Wish> wishes, Random order)
    {
        Only(given, "sockets", "processes", "bindable", "kernel", "blind", "carriers", "this_task", "ephemeral", "ephemeral_reserved", "may_close",
            "elevated", "services", "http", "excluded", "ghosts");
        List<IDictionary> entries = Maps(given, "sockets");
        List<Socket> rows = entries.Select((entry, number) => Row(entry, number)).ToList();
        Dictionary<long, List<int>> owners = new Dictionary<long, List<int>>();
        for (int number = 0; number < rows.Count; number++)
        {
            foreach (int pid in Numbers(entries[number], "held_by"))
            {
                if (!owners.ContainsKey(rows[number].Id))
                {
                    owners[rows[number].Id] = new List<int>();
                }
                owners[rows[number].Id].Add(pid);
            }
        }
        List<Process> processes = Processes(Maps(given, "processes"));
        List<Service> services = Maps(given, "services").Select(ServiceOf).ToList();
        List<HttpQueue> queues = Maps(given, "http").Select(Queue).ToList();
        List<ExcludedRange> excluded = Maps(given, "excluded").Select(Range).ToList();
        Shuffle(rows, order);
        Shuffle(processes, order);
        Shuffle(services, order);
        Shuffle(queues, order);
        Shuffle(excluded, order);
        foreach (List<int> pids in owners.Values)
        {
            Shuffle(pids, order);
        }
        HashSet<string> asked = new HashSet<string>(wishes.Select(wish => wish.Protocol + wish.Port));
        List<int> ephemeral = given.Contains("ephemeral") ? Numbers(given, "ephemeral") : new List<int> { 32768, 60999 };
        return new Snapshot(
            sockets: rows.Where(row => asked.Contains(row.Protocol + row.Port)),
            otherSockets: rows.Where(row => !asked.Contains(row.Protocol + row.Port)),
            owners: owners.ToDictionary(one => one.Key, one => Listed.Of(one.Value)),
            processes: processes.ToDictionary(process => process.Pid),
            services: services.ToDictionary(service => service.Name, StringComparer.OrdinalIgnoreCase),
            ghosts: Pairs(given, "ghosts").ToDictionary(one => int.Parse((string)one.Key), one => Listed.Of(Numbers(one.Value))),
            httpQueues: queues,
            excluded: excluded,
            blind: Maps(given, "blind").Select(entry => BlindOf(entry)),
            kernel: Pairs(given, "kernel").ToDictionary(one => KernelKey((string)one.Key), one => (string)one.Value),
            ephemeralFirst: ephemeral[0],
            ephemeralLast: ephemeral[1],
            ephemeralReserved: Numbers(given, "ephemeral_reserved"),
            selfPids: Numbers(given, "this_task"),
            carriers: Pairs(given, "carriers").ToDictionary(one => int.Parse((string)one.Key), one => (string)one.Value),
            bindable: Pairs(given, "bindable").ToDictionary(one => Label((string)one.Key), one => (bool?)one.Value),
            mayClose: Flag(given, "may_close", true),
            elevated: Flag(given, "elevated", true));
    }

    private static Socket Row(IDictionary entry, int number)
    {
        // unread: what the tables of Windows do not say; inode and uid: what stands for them is made up here.
        Only(entry, "tcp", "udp", "state", "peer", "held_by", "inode", "v6only", "family", "uid", "pid", "service");
        string protocol = entry.Contains("tcp") ? "tcp" : "udp";
        string address, peer = "";
        int port, peerPort = 0;
        Endpoint((string)entry[protocol], out address, out port);
        if (entry.Contains("peer"))
        {
            Endpoint((string)entry["peer"], out peer, out peerPort);
        }
        string idle = protocol == "tcp" ? SocketState.Listen : SocketState.Unconnected;
        List<int> holders = Numbers(entry, "held_by");
        long id = entry.Contains("inode") ? Convert.ToInt64(entry["inode"]) : entry.Contains("held_by") ? FirstId + number : 0;
        return new Socket(
            protocol, (string)entry["family"] ?? (address.Contains(":") ? Family.IPv6 : Family.IPv4), address, port,
            (string)entry["state"] ?? (peerPort != 0 ? SocketState.Established : idle), peer, peerPort, id,
            entry.Contains("pid") ? (int)entry["pid"] : holders.DefaultIfEmpty(0).Min(), (bool?)entry["v6only"], 0, (string)entry["service"]);
    }

    private static List<Process> Processes(List<IDictionary> entries)
    {
        Dictionary<int, IDictionary> given = entries.ToDictionary(entry => (int)entry["pid"]);
        List<Process> found = new List<Process>();
        foreach (IDictionary entry in entries)
        {
            // A unit is no service of Windows: a case that turns on it is marked as one of Linux.
            Only(entry, "pid", "name", "parent", "exe", "command", "user", "uid", "sid", "unit", "services", "window", "critical", "protection",
                "denied", "session", "started");
            List<int> ancestors = new List<int>();
            int above = Number(entry, "parent", 0);
            while (above != 0 && !ancestors.Contains(above))
            {
                ancestors.Add(above);
                above = given.ContainsKey(above) ? Number(given[above], "parent", 0) : 0;
            }
            int pid = (int)entry["pid"];
            found.Add(new Process(
                pid, (string)entry["name"], Number(entry, "parent", 0), (string)entry["exe"], (string)entry["command"], (string)entry["user"],
                entry.Contains("uid") ? entry["uid"].ToString() : (string)entry["sid"],
                entry.Contains("started") ? Convert.ToDouble(entry["started"]) : (double?)null, pid * 10L, ancestors, Number(entry, "session", 1),
                Flag(entry, "window", true), Flag(entry, "critical", false), Number(entry, "protection", 0), Texts(entry, "services"),
                Flag(entry, "denied", false)));
        }
        return found;
    }

    private static Service ServiceOf(IDictionary entry)
    {
        Only(entry, "name", "pid", "state", "accepts_stop", "start", "delayed", "shared", "protected", "dependants", "triggers", "restarts");
        return new Service(
            (string)entry["name"], (string)entry["name"], Number(entry, "pid", 0), Number(entry, "state", 4), Flag(entry, "accepts_stop", true),
            Number(entry, "start", Service.DemandStart), Flag(entry, "delayed", false), Flag(entry, "shared", false), Number(entry, "protected", 0),
            Texts(entry, "dependants"), Flag(entry, "triggers", false), Flag(entry, "restarts", false));
    }

    private static HttpQueue Queue(IDictionary entry)
    {
        Only(entry, "name", "pids", "urls", "ports", "iis");
        return new HttpQueue((string)entry["name"], Numbers(entry, "pids"), Texts(entry, "urls"), Numbers(entry, "ports"), Flag(entry, "iis", false));
    }

    private static ExcludedRange Range(IDictionary entry)
    {
        Only(entry, "tcp", "udp", "family", "administered");
        string protocol = entry.Contains("tcp") ? "tcp" : "udp";
        int[] ends = ((string)entry[protocol]).Split('-').Select(int.Parse).ToArray();
        return new ExcludedRange(protocol, (string)entry["family"] ?? Family.IPv4, ends[0], ends[1], Flag(entry, "administered", false));
    }

    private static Blind BlindOf(IDictionary entry)
    {
        Only(entry, "code", "text", "advice");
        return new Blind((string)entry["code"], (string)entry["text"], 1, (string)entry["advice"] ?? "");
    }

    private static void Endpoint(string text, out string address, out int port)
    {
        int colon = text.LastIndexOf(':');
        address = text.Substring(0, colon).Trim('[', ']');
        port = int.Parse(text.Substring(colon + 1));
    }

    /// <summary>8080/tcp on 192.0.2.10</summary>
    private static BindKey Label(string label)
    {
        string[] parts = label.Split(new[] { " on " }, StringSplitOptions.None);
        string[] place = parts[0].Split('/');
        return new BindKey(place[1], int.Parse(place[0]), parts.Length > 1 ? parts[1] : null);
    }

    private static string KernelKey(string label)
    {
        BindKey key = Label(label);
        return Keyed(key.Protocol, key.Port);
    }

    private static string Keyed(string protocol, int port)
    {
        return ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model.Snapshot.KernelKey(protocol, port);
    }

    private static void Only(IDictionary mapping, params string[] known)
    {
        string[] unknown = mapping.Keys.Cast<string>().Except(known).ToArray();
        if (unknown.Length > 0)
        {
            throw new FormatException("a vector has no key " + string.Join(", ", unknown) + " here; known are " + string.Join(", ", known));
        }
    }

    private static List<IDictionary> Maps(IDictionary given, string key)
    {
        return given.Contains(key) ? ((IEnumerable)given[key]).Cast<IDictionary>().ToList() : new List<IDictionary>();
    }

    private static IEnumerable<DictionaryEntry> Pairs(IDictionary given, string key)
    {
        return given.Contains(key) ? ((IDictionary)given[key]).Cast<object>().Select(Entry) : new DictionaryEntry[0];
    }

    /// <summary>A generic dictionary enumerates pairs of its own kind.</summary>
    private static DictionaryEntry Entry(object pair)
    {
        KeyValuePair<string, object> one = (KeyValuePair<string, object>)pair;
        return new DictionaryEntry(one.Key, one.Value);
    }

    private static List<int> Numbers(IDictionary given, string key)
    {
        return given.Contains(key) ? Numbers(given[key]) : new List<int>();
    }

    private static List<int> Numbers(object values)
    {
        return values == null ? new List<int>() : ((IEnumerable)values).Cast<int>().ToList();
    }

    private static List<string> Texts(IDictionary given, string key)
    {
        return given.Contains(key) ? ((IEnumerable)given[key]).Cast<string>().ToList() : new List<string>();
    }

    private static int Number(IDictionary given, string key, int otherwise)
    {
        return given.Contains(key) ? (int)given[key] : otherwise;
    }

    private static bool Flag(IDictionary given, string key, bool otherwise)
    {
        return given.Contains(key) ? (bool)given[key] : otherwise;
    }

    private static void Shuffle<T>(List<T> values, Random order)
    {
        for (int at = values.Count - 1; order != null && at > 0; at--)
        {
            int other = order.Next(at + 1);
            T value = values[at];
            values[at] = values[other];
            values[other] = value;
        }
    }
}

/// <summary>From a plan to what a vector says of it.</summary>
internal static class VectorsTold
{
    public static Dictionary<string, object> Plan(Plan plan)
    {
        return new Dictionary<string, object>
        {
            { "ports", plan.Ports.ToDictionary(port => port.Wish.Label, port => (object)Port(port)) },
            { "actions", plan.Steps.Select(Step).ToList() },
            { "warnings", plan.Warnings.ToList() },
        };
    }

    private static Dictionary<string, object> Port(PortPlan port)
    {
        return new Dictionary<string, object>
        {
            { "before", port.Before },
            { "status", port.Status },
            { "bindable", port.Bindable },
            { "kept", port.Kept },
            { "met", port.Met },
            { "ephemeral", port.Ephemeral },
            { "established", port.Established },
            { "time_wait", port.TimeWait },
            { "addresses", port.Sockets.Select(row => row.Address).ToList() },
            { "sockets", port.Sockets.Select(Row).ToList() },
            { "blocked_by", port.Refusal == null ? null : port.Refusal.Code },
            { "passing", port.Refusal == null ? (object)null : port.Refusal.Passing },
            { "reason", port.Refusal == null ? "" : port.Refusal.Reason },
            { "remedy_says", port.Refusal == null ? "" : port.Refusal.Remedy },
            { "reason_says", port.Refusal == null ? "" : port.Refusal.Reason },
            { "holders", port.Holders.Select(Holder).ToList() },
        };
    }

    private static Dictionary<string, object> Holder(Holder holder)
    {
        return new Dictionary<string, object>
        {
            { "kind", holder.Kind },
            { "name", holder.Name },
            { "pids", holder.Pids.ToList() },
            { "service", holder.Services.Count == 1 ? holder.Services[0] : null },
            { "stoppable", holder.Stoppable },
            { "outcome", holder.Outcome },
            { "code", holder.Refusal == null ? null : holder.Refusal.Code },
            { "reason", holder.Refusal == null ? "" : holder.Refusal.Reason },
            { "remedy_says", holder.Refusal == null ? "" : holder.Refusal.Remedy },
        };
    }

    private static Dictionary<string, object> Step(Step step)
    {
        return new Dictionary<string, object>
        {
            { "action", step.Action },
            { "target", step.Target },
            { "ports", step.Ports.ToList() },
            { "also_frees", step.AlsoFrees.ToList() },
            { "also_stops", step.AlsoStops.ToList() },
            { "signal", step.Signal },
            { "kill", step.Kill },
            { "grace", step.Grace },
            { "asks", step.Roots.Select(target => target.Pid).ToList() },
            { "then", step.Members.Select(target => target.Pid).ToList() },
            { "closes", step.Sockets.Select(Row).OrderBy(text => text, StringComparer.Ordinal).ToList() },
            { "services", step.ServiceStops.ToList() },
            { "returns_at_boot", step.ReturnsAtBoot },
            { "persist", step.Persist },
            { "undo", step.Undo },
        };
    }

    private static string Row(Socket row)
    {
        string here = End(row.Address, row.Port);
        return row.RemotePort == 0 ? here : here + " to " + End(row.RemoteAddress, row.RemotePort);
    }

    private static string End(string address, int port)
    {
        return (address.Contains(":") ? "[" + address + "]" : address) + ":" + port;
    }
}
