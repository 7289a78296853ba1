// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// net.exe PROGRAM.(exe|dll) [ARGUMENT...]   runs a managed program inside of the runtime that it is bundled with.
// Without a program it says what that runtime is.
//
// A fake.NAME.dll beside the program answers the program's calls into NAME.dll (NAME as its DllImport spells it): so what
// Wine lacks can be answered with what was recorded, and the program knows nothing of it.
using System;
using System.IO;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;

internal static class Launcher
{
    private const int UnhandledException = 134;

    private static string folder;

    public static IntPtr Resolve(string name, Assembly caller, DllImportSearchPath? paths)
    {
        string file = name.EndsWith(".dll", StringComparison.OrdinalIgnoreCase) ? name : name + ".dll";
        string fake = Path.Combine(folder, "fake." + file);
        return File.Exists(fake) ? LoadLibraryW(fake) : IntPtr.Zero;
    }

    [DllImport("kernel32.dll", CharSet = CharSet.Unicode, SetLastError = true)]
    private static extern IntPtr LoadLibraryW(string path);

    private static void UseFakes(Assembly assembly)
    {
        if (assembly.IsDynamic || !assembly.Location.StartsWith(folder, StringComparison.OrdinalIgnoreCase))
            return;
        // By reflection: the library that mcs compiles against is older than this type.
        Type library = typeof(object).Assembly.GetType("System.Runtime.InteropServices.NativeLibrary", true);
        MethodInfo set = library.GetMethod("SetDllImportResolver");
        Type resolver = set.GetParameters()[1].ParameterType;
        set.Invoke(null, new object[] { assembly, Delegate.CreateDelegate(resolver, typeof(Launcher).GetMethod("Resolve")) });
    }

    private static void UseUtf8()
    {
        UTF8Encoding utf8 = new UTF8Encoding(false);
        Console.SetOut(new StreamWriter(Console.OpenStandardOutput(), utf8) { AutoFlush = true });
        Console.SetError(new StreamWriter(Console.OpenStandardError(), utf8) { AutoFlush = true });
        Console.SetIn(new StreamReader(Console.OpenStandardInput(), utf8));
    }

    private static int Main(string[] args)
    {
        if (args.Length == 0)
        {
            Console.WriteLine(".NET " + Environment.Version + " on " + Environment.OSVersion);
            return 0;
        }
        UseUtf8();
        string program = Path.GetFullPath(args[0]);
        folder = Path.GetDirectoryName(program);
        AppDomain.CurrentDomain.AssemblyResolve += delegate(object sender, ResolveEventArgs wanted)
        {
            string beside = Path.Combine(folder, new AssemblyName(wanted.Name).Name + ".dll");
            return File.Exists(beside) ? Assembly.LoadFrom(beside) : null;
        };
        AppDomain.CurrentDomain.AssemblyLoad += delegate(object sender, AssemblyLoadEventArgs loaded) { UseFakes(loaded.LoadedAssembly); };
        string[] rest = new string[args.Length - 1];
        Array.Copy(args, 1, rest, 0, rest.Length);
        try
        {
            MethodInfo main = Assembly.LoadFrom(program).EntryPoint;
            object code = main.Invoke(null, main.GetParameters().Length == 0 ? null : new object[] { rest });
            return code is int ? (int)code : 0;
        }
        catch (TargetInvocationException thrown)
        {
            Console.Error.WriteLine("Unhandled exception: " + thrown.InnerException);
            return UnhandledException;
        }
    }
}
