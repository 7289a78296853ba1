// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// The stages observe, act and prove by themselves, for their tests: JSON in, JSON out, no module around them.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Act;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Errors;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Model;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelPlans;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ModelRun;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Native;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeTools;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Observe;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveCarriers;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveNetsh;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveTables;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ObserveText;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.Prove;
using ansible_collections.harbormaster.ports.plugins.module_utils._windows.ProveBind;

public static class SystemEntry
{
    // Parsers --------------------------------------------------------------------------------------------------------

    // {"tcp": bool, "family": 2|23, "hex": TEXT} -> rows, or {"error": code, "message": TEXT}
    public static string Table(string input, string[] arguments)
    {
        IDictionary asked = Read(input);
        byte[] bytes = Bytes((string)asked["hex"]);
        return Answer(delegate
        {
            SocketTable table = new SocketTable((bool)asked["tcp"], Number(asked["family"]), bytes);
            return Enumerable.Range(0, table.Count)
                .Select(index => table[index])
                .Where(row => row.State != null)
                .Select(row => Shape(row.ToSocket(null)))
                .ToList();
        });
    }

    // What netsh wrote, in hex -> what is understood of it.
    public static string Queues(string input, string[] arguments)
    {
        return RigJson.Write(NetshText.Queues(Netsh.Decoded(Bytes(input.Trim()))).Select(queue => new Dictionary<string, object>
        {
            { "name", queue.Name },
            { "pids", queue.Pids },
            { "numbers", queue.Numbers },
            { "urls", queue.Urls },
            { "ports", queue.Urls.Select(NetshText.Port).ToList() },
        }).ToList());
    }

    public static string Ranges(string input, string[] arguments)
    {
        return RigJson.Write(NetshText.ExcludedRanges(Netsh.Decoded(Bytes(input.Trim()))).Select(RangeShape).ToList());
    }

    public static string Dynamic(string input, string[] arguments)
    {
        RangeText range = NetshText.DynamicRange(Netsh.Decoded(Bytes(input.Trim())));
        return RigJson.Write(range == null ? null : RangeShape(range));
    }

    public static string Printable(string input, string[] arguments)
    {
        return RigJson.Write(((IEnumerable)RigJson.Read(input, false)).Cast<string>().Select(HostText.Printable).ToList());
    }

    public static string Session(string input, string[] arguments)
    {
        SshSession session = SshSession.Parse(input.TrimEnd('\n'));
        return RigJson.Write(session == null
            ? null
            : new List<object> { session.Client, session.ClientPort, session.Server, session.ServerPort });
    }

    // Observe --------------------------------------------------------------------------------------------------------

    // {"ports": ["tcp 8080", ...] or null, "others": bool, "everything": bool, "commands": bool, "ssh": SSH_CONNECTION}
    // -> a snapshot
    public static string Look(string input, string[] arguments)
    {
        return Answer(delegate
        {
            using (Observer observer = ObserverOf(Read(input)))
            {
                return Shape(observer.Look());
            }
        });
    }

    public static string Excluded(string input, string[] arguments)
    {
        using (Observer observer = ObserverOf(Read(input)))
        {
            observer.ExcludedRanges();
            return RigJson.Write(observer.ExcludedRanges().Select(range => string.Join(
                " ", range.Protocol, range.Family, range.First, range.Last, range.Administered)).ToList());
        }
    }

    // Seconds of so many looks, one after the other with the same observer, and the rows of the last.
    public static string Timed(string input, string[] arguments)
    {
        IDictionary asked = Read(input);
        using (Observer observer = ObserverOf(asked))
        {
            List<double> seconds = new List<double>();
            Snapshot seen = null;
            for (int look = 0; look < Number(asked["looks"]); look++)
            {
                double began = Clock.Now;
                seen = observer.Look();
                seconds.Add(Clock.Now - began);
            }
            return RigJson.Write(new Dictionary<string, object>
            {
                { "seconds", seconds }, { "rows", seen.Sockets.Count }, { "processes", seen.Processes.Count },
            });
        }
    }

    // Act ------------------------------------------------------------------------------------------------------------

    // Looks at "ports", makes a step of "step" for who is there, waits for the file "wait_for" to be there, carries it out.
    // step: {"actuator", "signal", "kill", "grace", "services": [...], "persist", "shift": add to each start time, "states": only rows
    // in these states, "only": only rows of this port, "root" and "queue": this process through a queue of HTTP.sys} -> {"outcomes": [...], "rows": rows after}
    public static string Step(string input, string[] arguments)
    {
        IDictionary asked = Read(input);
        return Answer(delegate
        {
            using (Observer observer = ObserverOf(asked))
            {
                Snapshot seen = observer.Look();
                Step step = StepOf((IDictionary)asked["step"], seen);
                WaitFor((string)asked["wait_for"], (string)asked["ready"]);
                DirectEyes eyes = new DirectEyes(observer);
                List<Outcome> outcomes = Actor.CarryOut(new Step[] { step }, eyes, observer).ToList();
                return new Dictionary<string, object>
                {
                    { "outcomes", outcomes.Select(Shape).ToList() },
                    { "rows", observer.Rows().Select(Shape).ToList() },
                    { "pids", step.Roots.Select(root => root.Pid).ToList() },
                };
            }
        });
    }

    public static string Drain(string input, string[] arguments)
    {
        IDictionary asked = Read(input);
        using (Observer observer = ObserverOf(asked))
        {
            Step step = StepOf((IDictionary)asked["step"], observer.Look());
            double began = Clock.Now;
            bool waited = Actor.Drain(new Step[] { step }, new DirectEyes(observer), Convert.ToDouble(asked["drain"]));
            return RigJson.Write(new Dictionary<string, object> { { "waited", waited }, { "seconds", Clock.Now - began } });
        }
    }

    private static Step StepOf(IDictionary asked, Snapshot seen)
    {
        List<object> states = List(asked["states"]);
        List<Socket> rows = seen.Sockets
            .Where(row => states.Count == 0 || states.Contains(row.State))
            .Where(row => asked["only"] == null || row.Port == Number(asked["only"]))
            .ToList();
        long shift = asked["shift"] == null ? 0 : Number(asked["shift"]);
        if (asked["root"] != null)
        {
            Process told = seen.Processes[Number(asked["root"])];
            return new Step(
                Actuator.Process, "test", "the holder", new string[] { "the port" }, roots: new Target[] { new Target(told.Pid, told.StartTicks, told.Name) },
                sockets: rows, signal: (string)asked["signal"], kill: Is(asked["kill"]), queue: asked["queue"] == null ? null : new HttpQueue((string)asked["queue"]));
        }
        List<Target> roots = rows.SelectMany(row => seen.Owners.ContainsKey(row.Id) ? seen.Owners[row.Id] : new int[0]).Distinct()
            .Select(pid => new Target(pid, seen.Processes[pid].StartTicks + shift, seen.Processes[pid].Name))
            .ToList();
        string actuator = (string)asked["actuator"];
        return new Step(
            actuator,
            "test",
            "the holder",
            new string[] { "the port" },
            roots: actuator == Actuator.TcpEntry ? null : roots,
            sockets: rows,
            signal: (string)asked["signal"],
            kill: Is(asked["kill"]),
            grace: asked["grace"] == null ? 30 : Convert.ToDouble(asked["grace"]),
            serviceStops: List(asked["services"]).Cast<string>(),
            persist: Is(asked["persist"]));
    }

    private static void WaitFor(string path, string ready)
    {
        if (path == null)
        {
            return;
        }
        System.IO.File.WriteAllText(ready, "");
        double until = Clock.Now + 30;
        while (!System.IO.File.Exists(path) && Clock.Now < until)
        {
            Clock.Sleep(0.02, until);
        }
    }

    // Prove ----------------------------------------------------------------------------------------------------------

    // [[protocol, port, address, leftovers only], ...] -> [true, false or null, ...]
    public static string Bind(string input, string[] arguments)
    {
        List<object> answers = new List<object>();
        foreach (object one in (IEnumerable)RigJson.Read(input, false))
        {
            List<object> probe = List(one);
            answers.Add(Probe.Bind((string)probe[0], Number(probe[1]), (string)probe[2], (bool)probe[3]));
        }
        return RigJson.Write(answers);
    }

    // {"looks": [{"at": seconds, "holder": null | {pid, start, id, stoppable, outcome, kind, parents: [[pid, name], ...]}, "refusal": null
    // | {code, passing}}], "settle", "until", "acted": [{actuator, pid, start, id}]} -> {"seconds", "failure", "looked"}
    public static string Prove(string input, string[] arguments)
    {
        IDictionary asked = Read(input);
        ScriptedEyes eyes = new ScriptedEyes(List(asked["looks"]).Cast<IDictionary>().ToList());
        List<Outcome> outcomes = List(asked["acted"]).Cast<IDictionary>().Select(ScriptedEyes.OutcomeOf).ToList();
        double began = Clock.Now;
        Proof proof = Prover.Prove(
            eyes,
            eyes.Judge,
            outcomes,
            asked["settle"] == null ? Prover.SettleSeconds(null, outcomes) : Convert.ToDouble(asked["settle"]),
            Clock.Now + Convert.ToDouble(asked["until"]),
            process => process.Name == "keeper.exe" ? "a supervisor" : null);
        return RigJson.Write(new Dictionary<string, object>
        {
            { "seconds", Clock.Now - began },
            { "looked", eyes.Looked },
            { "failure", proof.Failure == null ? null : Shape(proof.Failure) },
        });
    }

    // Shapes ---------------------------------------------------------------------------------------------------------

    private static Dictionary<string, object> Shape(Snapshot seen)
    {
        return new Dictionary<string, object>
        {
            { "sockets", seen.Sockets.Select(Shape).ToList() },
            { "others", seen.OtherSockets.Select(Shape).ToList() },
            { "owners", seen.Sockets.Where(row => seen.Owners.ContainsKey(row.Id)).Select(row => new List<object> { row.Port, seen.Owners[row.Id].ToList() }).ToList() },
            { "processes", seen.Processes.Values.ToDictionary(one => one.Pid.ToString(), one => (object)Shape(one)) },
            { "services", seen.Services.Values.ToDictionary(one => one.Name, one => (object)Shape(one)) },
            { "ghosts", seen.Ghosts.ToDictionary(one => one.Key.ToString(), one => (object)one.Value.ToList()) },
            { "queues", seen.HttpQueues.Select(queue => new Dictionary<string, object>
                {
                    { "name", queue.Name }, { "pids", queue.Pids.ToList() }, { "ports", queue.Ports.ToList() },
                    { "urls", queue.Urls.ToList() }, { "iis", queue.Iis },
                }).ToList() },
            { "reservations", seen.UrlReservations.ToDictionary(one => one.Key.ToString(), one => (object)one.Value.ToList()) },
            { "kernel", seen.Kernel.ToDictionary(one => one.Key, one => (object)one.Value) },
            { "blind", seen.Blind.Select(one => one.Code).ToList() },
            { "ephemeral", new List<object> { seen.EphemeralFirst, seen.EphemeralLast } },
            { "self", seen.SelfPids.ToList() },
            { "carriers", seen.Carriers.ToDictionary(one => one.Key.ToString(), one => (object)one.Value) },
            { "elevated", seen.Elevated },
        };
    }

    private static Dictionary<string, object> Shape(Socket row)
    {
        return new Dictionary<string, object>
        {
            { "protocol", row.Protocol }, { "family", row.Family }, { "address", row.Address }, { "port", row.Port },
            { "state", row.State }, { "remote_address", row.RemoteAddress }, { "remote_port", row.RemotePort }, { "id", row.Id },
            { "pid", row.Pid }, { "interface", row.Interface }, { "service", row.Service },
        };
    }

    private static Dictionary<string, object> Shape(Process one)
    {
        return new Dictionary<string, object>
        {
            { "name", one.Name }, { "parent", one.ParentPid }, { "exe", one.Exe }, { "command", one.Command }, { "user", one.User },
            { "sid", one.Sid }, { "started", one.Started }, { "ticks", one.StartTicks }, { "ancestors", one.Ancestors.ToList() },
            { "session", one.Session }, { "window", one.HasWindow }, { "critical", one.Critical }, { "protection", one.Protection },
            { "services", one.Services.ToList() }, { "denied", one.Denied },
        };
    }

    private static Dictionary<string, object> Shape(Service one)
    {
        return new Dictionary<string, object>
        {
            { "pid", one.Pid }, { "state", one.State }, { "accepts_stop", one.AcceptsStop }, { "start_type", one.StartType },
            { "shared", one.Shared }, { "protected", one.Protected }, { "dependants", one.Dependants.ToList() },
            { "triggers", one.Triggers }, { "restarts", one.Restarts }, { "delayed", one.DelayedAuto },
        };
    }

    private static Dictionary<string, object> Shape(Outcome one)
    {
        return new Dictionary<string, object>
        {
            { "result", one.Result }, { "acted", one.Acted }, { "seconds", one.Seconds }, { "dropped", one.Dropped },
            { "killed", one.Killed.ToList() }, { "error", one.Error == null ? null : Shape(one.Error) },
        };
    }

    private static Dictionary<string, object> Shape(Refusal one)
    {
        return new Dictionary<string, object>
        {
            { "code", one.Code }, { "reason", one.Reason }, { "remedy", one.Remedy }, { "passing", one.Passing },
        };
    }

    private static byte[] Bytes(string hex)
    {
        return Enumerable.Range(0, hex.Length / 2).Select(at => Convert.ToByte(hex.Substring(2 * at, 2), 16)).ToArray();
    }

    private static object RangeShape(RangeText range)
    {
        return new List<object> { range.First, range.Last, range.Administered };
    }

    private static string Answer(Func<object> work)
    {
        try
        {
            return RigJson.Write(work());
        }
        catch (PortsError error)
        {
            return RigJson.Write(new Dictionary<string, object> { { "error", error.Code }, { "message", error.Message } });
        }
    }

    private static Observer ObserverOf(IDictionary asked)
    {
        List<KeyValuePair<string, int>> ports = null;
        if (asked["ssh"] != null)
        {
            Environment.SetEnvironmentVariable("SSH_CONNECTION", (string)asked["ssh"]);
        }
        if (asked["ports"] != null)
        {
            ports = List(asked["ports"]).Cast<string>()
                .Select(one => new KeyValuePair<string, int>(one.Split(' ')[0], int.Parse(one.Split(' ')[1])))
                .ToList();
        }
        return new Observer(ports, Is(asked["others"]), Is(asked["everything"]), true, Is(asked["commands"]));
    }

    private static bool Is(object value)
    {
        return value is bool && (bool)value;
    }

    internal static int Number(object value)
    {
        return Convert.ToInt32(value);
    }

    internal static List<object> List(object value)
    {
        return value == null ? new List<object>() : ((IEnumerable)value).Cast<object>().ToList();
    }

    private static IDictionary Read(string input)
    {
        return (IDictionary)RigJson.Read(input, true);
    }

    // The conductor's eyes without its bind probe.
    private sealed class DirectEyes : IEyes
    {
        private readonly Observer _observer;

        public DirectEyes(Observer observer)
        {
            _observer = observer;
        }

        public Snapshot Look()
        {
            return _observer.Look();
        }

        public IReadOnlyList<Socket> Rows()
        {
            return _observer.Rows();
        }

        public bool Holds(int pid, ICollection<long> ids)
        {
            return _observer.Holds(pid, ids);
        }

        public long? StartTicks(int pid)
        {
            return _observer.StartTicks(pid);
        }
    }

    // Eyes that see what a test wrote down, each scene from its time on.
    private sealed class ScriptedEyes : IEyes
    {
        private static readonly Wish Asked = new Wish(8080, Protocol.Tcp);
        private readonly List<IDictionary> _scenes;
        private readonly double _began = Clock.Now;
        public int Looked;

        public ScriptedEyes(List<IDictionary> scenes)
        {
            _scenes = scenes;
        }

        public static Outcome OutcomeOf(IDictionary one)
        {
            Step step = new Step(
                (string)one["actuator"],
                "test",
                "the holder",
                new string[] { "8080/tcp" },
                roots: one["pid"] == null ? null : new Target[] { new Target(Number(one["pid"]), Number(one["start"]), "old.exe") },
                sockets: new Socket[] { new Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", id: Number(one["id"])) });
            return new Outcome(step, Outcome.Done, true);
        }

        public Snapshot Look()
        {
            Looked++;
            IDictionary holder = Holder;
            if (holder == null)
            {
                return new Snapshot();
            }
            Dictionary<int, Process> processes = new Dictionary<int, Process>();
            List<object> parents = List(holder["parents"]);
            int pid = Number(holder["pid"]);
            processes[pid] = new Process(
                pid, "new.exe", startTicks: Number(holder["start"]), ancestors: parents.Select(one => Number(List(one)[0])), services: List(holder["services"]).Cast<string>());
            foreach (object one in parents)
            {
                processes[Number(List(one)[0])] = new Process(Number(List(one)[0]), (string)List(one)[1]);
            }
            return new Snapshot(Rows(), processes: processes);
        }

        public IReadOnlyList<Socket> Rows()
        {
            IDictionary holder = Holder;
            return Listed.Of(holder == null ? null : new Socket[] { Row(holder) });
        }

        public bool Holds(int pid, ICollection<long> ids)
        {
            throw new InvalidOperationException("the proof asks nobody");
        }

        public long? StartTicks(int pid)
        {
            throw new InvalidOperationException("the proof asks nobody");
        }

        public Plan Judge(Snapshot seen)
        {
            IDictionary holder = Holder;
            if (seen.Sockets.Count == 0 || holder == null)
            {
                return new Plan(new PortPlan[] { new PortPlan(Asked, PortStatus.Free, true, false, null, null) });
            }
            IDictionary refusal = (IDictionary)holder["refusal"];
            Refusal why = refusal == null ? null : new Refusal((string)refusal["code"], "why", "remedy", Is(refusal["passing"]));
            Holder found = new Holder(
                (string)holder["kind"] ?? HolderKind.Process, "new.exe", new int[] { Number(holder["pid"]) }, seen.Sockets)
                .With((string)holder["outcome"], why, Is(holder["stoppable"]));
            PortPlan port = new PortPlan(Asked, PortStatus.Held, null, false, seen.Sockets, new Holder[] { found });
            // What would be stopped is predicted to be gone.
            port = port.WithStatus(found.Stoppable ? PortStatus.Free : PortStatus.Held);
            return new Plan(new PortPlan[] { port.Judged(new Holder[] { found }, why, (string)holder["outcome"] == Fate.Kept) });
        }

        private IDictionary Holder
        {
            get { return (IDictionary)_scenes.Last(scene => Convert.ToDouble(scene["at"]) <= Clock.Now - _began)["holder"]; }
        }

        private static Socket Row(IDictionary holder)
        {
            return new Socket("tcp", "ipv4", "0.0.0.0", 8080, "LISTEN", id: Number(holder["id"]), pid: Number(holder["pid"]));
        }
    }
}
