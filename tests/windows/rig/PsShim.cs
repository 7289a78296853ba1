// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Stand-ins for the few types of PowerShell and .NET Framework that Ansible.Basic.cs names. A script that Ansible.Basic does not
// run today is an error here, never a guess.
using System;
using System.Collections;
using System.Collections.Generic;
using System.Collections.ObjectModel;
using System.Globalization;

namespace System.Management.Automation
{
    public class PSObject
    {
        public object BaseObject;

        public PSObject(object value)
        {
            BaseObject = value;
        }

        public override string ToString()
        {
            return Convert.ToString(BaseObject, CultureInfo.InvariantCulture);
        }
    }

    public class InvocationInfo
    {
        public string PositionMessage = "";
    }

    public class ErrorRecord
    {
        public InvocationInfo InvocationInfo = new InvocationInfo();
        public object CategoryInfo = "";
        public string FullyQualifiedErrorId = "";
        public string ScriptStackTrace = "";
        public Exception Exception;
    }

    // What "exit N" is inside of a ScriptBlock.
    public class ExitException : Exception
    {
        public readonly int Code;

        public ExitException(int code) : base("exit " + code)
        {
            Code = code;
        }
    }

    public class ScriptBlock
    {
        public static Hashtable ComplexArgs = new Hashtable(StringComparer.OrdinalIgnoreCase);

        private readonly string text;

        private ScriptBlock(string text)
        {
            this.text = text;
        }

        public static ScriptBlock Create(string text)
        {
            return new ScriptBlock(text);
        }

        public Collection<PSObject> Invoke(params object[] args)
        {
            Collection<PSObject> answer = new Collection<PSObject>();
            if (text == "$complex_args")
                answer.Add(new PSObject(ComplexArgs));
            else if (text.StartsWith("ConvertTo-Json -InputObject $args[0]"))
                answer.Add(new PSObject(RigJson.Write(args[0])));
            else if (text.EndsWith("exit $args[0]"))
                throw new ExitException((int)args[0]);
            else
                throw new NotSupportedException("the rig does not know the script " + text);
            return answer;
        }
    }
}

namespace System.Management.Automation.Runspaces
{
    public class Runspace
    {
        private static readonly Runspace only = new Runspace();

        public static Runspace DefaultRunspace
        {
            get { return only; }
        }
    }
}

namespace System.Web.Script.Serialization
{
    // What Ansible.Basic reads JSON with in Windows PowerShell.
    public class JavaScriptSerializer
    {
        public int MaxJsonLength;
        public int RecursionLimit;

        public T Deserialize<T>(string text)
        {
            return (T)RigJson.Read(text, false);
        }

        public string Serialize(object value)
        {
            return RigJson.Write(value);
        }
    }
}

namespace System.Diagnostics
{
    // The event log is in .NET Framework, and not in .NET 8 itself.
    public enum EventLogEntryType
    {
        Error = 1,
        Warning = 2,
        Information = 4
    }

    public sealed class EventLog : IDisposable
    {
        public string Source;

        public EventLog(string log)
        {
        }

        public static bool SourceExists(string source)
        {
            return true;
        }

        public static void CreateEventSource(string source, string log)
        {
        }

        public void WriteEntry(string message, EventLogEntryType type, int id)
        {
        }

        public void Dispose()
        {
        }
    }
}
