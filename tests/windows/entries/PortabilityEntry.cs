// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What a compiler for .NET 4 can't know of the .NET that PowerShell 7 runs on.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using System.Reflection.Emit;

public static class PortabilityEntry
{
    private const BindingFlags All =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;

    // -> [what is missing or obsolete here: METHOD of ours, member that it uses, why]. The input is the namespace of ours.
    public static string Members(string input, string[] arguments)
    {
        List<object> found = new List<object>();
        int members = 0;
        Dictionary<short, OpCode> codes = typeof(OpCodes).GetFields()
            .Where(field => field.FieldType == typeof(OpCode))
            .Select(field => (OpCode)field.GetValue(null))
            .ToDictionary(code => code.Value);
        foreach (Type type in Assembly.GetExecutingAssembly().GetTypes())
        {
            if (type.FullName == null || !type.FullName.StartsWith(input.Trim()))
                continue;
            foreach (MethodBase method in type.GetMethods(All).Cast<MethodBase>().Concat(type.GetConstructors(All)))
            {
                MethodBody body = method.GetMethodBody();
                if (body == null)
                    continue;
                foreach (int token in Tokens(body.GetILAsByteArray(), codes))
                {
                    members++;
                    string problem = Problem(method, token);
                    if (problem != null)
                        found.Add(type.FullName + "." + method.Name + ": " + problem);
                }
            }
        }
        return RigJson.Write(new Dictionary<string, object> { { "members", members }, { "found", found } });
    }

    // [name of an assembly] -> {namespace: [public type]}.
    public static string Types(string input, string[] arguments)
    {
        Dictionary<string, SortedSet<string>> found = new Dictionary<string, SortedSet<string>>();
        foreach (string name in (System.Collections.IEnumerable)RigJson.Read(input, false))
        {
            foreach (Type type in Assembly.Load(name).GetExportedTypes().Where(one => one.Namespace != null && !one.IsNested))
            {
                if (!found.ContainsKey(type.Namespace))
                    found[type.Namespace] = new SortedSet<string>(StringComparer.Ordinal);
                found[type.Namespace].Add(type.Name);
            }
        }
        return RigJson.Write(found);
    }

    private static string Problem(MethodBase method, int token)
    {
        Type[] ofType = method.DeclaringType.IsGenericType ? method.DeclaringType.GetGenericArguments() : null;
        Type[] ofMethod = method.IsGenericMethod ? method.GetGenericArguments() : null;
        MemberInfo used;
        try
        {
            used = method.Module.ResolveMember(token, ofType, ofMethod);
        }
        catch (MissingMemberException error)
        {
            return error.Message;
        }
        catch (TypeLoadException error)
        {
            return error.Message;
        }
        // It may be said of a property and not of its methods, or of the whole type.
        IEnumerable<MemberInfo> around = new[] { used, used.DeclaringType };
        if (used is MethodInfo && used.DeclaringType != null)
            around = around.Concat(used.DeclaringType.GetProperties(All).Where(one => one.GetAccessors(true).Contains(used)));
        return around.Where(one => one != null && IsObsolete(one)).Select(one => one + " is obsolete").FirstOrDefault();
    }

    private static bool IsObsolete(MemberInfo one)
    {
        return one.GetCustomAttributesData().Any(said => said.Constructor.DeclaringType == typeof(ObsoleteAttribute));
    }

    // The tokens of members in the code of a method (ECMA-335, III.1.9).
    private static IEnumerable<int> Tokens(byte[] code, Dictionary<short, OpCode> codes)
    {
        int at = 0;
        while (at < code.Length)
        {
            short value = code[at++];
            if (value == 0xFE)
                value = unchecked((short)(0xFE00 | code[at++]));
            OpCode operation = codes[value];
            switch (operation.OperandType)
            {
                case OperandType.InlineNone:
                    break;
                case OperandType.ShortInlineBrTarget:
                case OperandType.ShortInlineI:
                case OperandType.ShortInlineVar:
                    at += 1;
                    break;
                case OperandType.InlineVar:
                    at += 2;
                    break;
                case OperandType.InlineI8:
                case OperandType.InlineR:
                    at += 8;
                    break;
                case OperandType.InlineSwitch:
                    at += 4 + 4 * BitConverter.ToInt32(code, at);
                    break;
                case OperandType.InlineMethod:
                case OperandType.InlineField:
                case OperandType.InlineType:
                case OperandType.InlineTok:
                    yield return BitConverter.ToInt32(code, at);
                    at += 4;
                    break;
                default:
                    at += 4;
                    break;
            }
        }
    }
}
