// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Plays the part of a module's .ps1, which can't run here: the option spec, one call, ExitJson.
//
//     PROGRAM SPEC.json TYPE.METHOD <ARGUMENTS.json    AnsibleModule.Create with the spec of the .ps1, then TYPE.METHOD(module)
//     PROGRAM SPEC.json - <ARGUMENTS.json              only AnsibleModule.Create; the result has the parameters
//     PROGRAM - TYPE.METHOD [ARGUMENT...] <INPUT       a static method of a test: string METHOD(string input, string[] arguments)
//
// The exit code is the module's. 98: an exception came through, which a user would see as one. 99: neither ExitJson nor
// FailJson was called.
using System;
using System.Collections;
using System.Collections.Generic;
using System.IO;
using System.Management.Automation;
using System.Reflection;
using Ansible.Basic;

internal static class Driver
{
    private const int Exception = 98;
    private const int NoResult = 99;

    private static int Main(string[] args)
    {
        try
        {
            string input = Console.In.ReadToEnd();
            if (args[0] != "-")
                return RunModule(args[0], args[1], input);
            string[] rest = new string[args.Length - 2];
            Array.Copy(args, 2, rest, 0, rest.Length);
            Console.WriteLine(Method(args[1]).Invoke(null, new object[] { input, rest }));
            return 0;
        }
        catch (ExitException exit)
        {
            return exit.Code;
        }
        catch (TargetInvocationException thrown)
        {
            ExitException exit = thrown.InnerException as ExitException;
            if (exit != null)
                return exit.Code;
            Console.Error.WriteLine("Unhandled exception: " + thrown.InnerException);
            return Exception;
        }
    }

    private static int RunModule(string spec, string method, string input)
    {
        ScriptBlock.ComplexArgs = (Hashtable)RigJson.Read(input, true);
        AnsibleModule module = AnsibleModule.Create(new string[0], (IDictionary)RigJson.Read(File.ReadAllText(spec), true));
        if (method == "-")
            module.Result["params"] = module.Params;
        else
            Method(method).Invoke(null, new object[] { module });
        if (method == "-")
            module.ExitJson();
        // What the .ps1 says after its one call.
        module.ExitJson();
        return NoResult;
    }

    private static MethodInfo Method(string name)
    {
        int dot = name.LastIndexOf('.');
        Type type = Assembly.GetExecutingAssembly().GetType(name.Substring(0, dot), true);
        return type.GetMethod(name.Substring(dot + 1), BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic);
    }
}
