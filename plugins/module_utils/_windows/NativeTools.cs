// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The one tool that is run, netsh: it shows what no documented function does. Private to harbormaster.ports.

using System;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Text;
using System.Threading;

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.NativeTools
{
    /// <summary>Runs netsh of this Windows, by its full path, and reads what it says.</summary>
    public static class Netsh
    {
        private const int MostMilliseconds = 15000;
        private const int MostBytes = 8 * 1024 * 1024;

        /// <summary>What netsh writes, whatever its exit code.</summary>
        /// <param name="arguments">Constant words of ours, never text of a user or of the host.</param>
        /// <returns>null when it can't be run or does not end in time.</returns>
        public static string Read(string arguments)
        {
            ProcessStartInfo start = new ProcessStartInfo(Path.Combine(Environment.SystemDirectory, "netsh.exe"), arguments);
            start.UseShellExecute = false;
            start.CreateNoWindow = true;
            start.RedirectStandardInput = true;
            start.RedirectStandardOutput = true;
            start.RedirectStandardError = true;
            try
            {
                using (Process netsh = Process.Start(start))
                {
                    netsh.StandardInput.Close();
                    netsh.ErrorDataReceived += delegate { };
                    netsh.BeginErrorReadLine();
                    MemoryStream said = new MemoryStream();
                    Stream output = netsh.StandardOutput.BaseStream;
                    Thread reader = new Thread(delegate() { Drain(output, said); });
                    reader.IsBackground = true;
                    reader.Start();
                    if (!reader.Join(MostMilliseconds) || !netsh.WaitForExit(MostMilliseconds))
                    {
                        netsh.Kill();
                        return null;
                    }
                    return Decoded(said.ToArray());
                }
            }
            catch (Win32Exception)
            {
                return null;
            }
            catch (InvalidOperationException)
            {
                // It ended between the wait and the kill.
                return null;
            }
        }

        /// <summary>
        /// Text in an unknown code page: UTF-8 where it is that, else each byte as one character. Only ASCII counts
        /// for what is read from it: digits, colons and URLs.
        /// </summary>
        internal static string Decoded(byte[] bytes)
        {
            try
            {
                return new UTF8Encoding(false, true).GetString(bytes);
            }
            catch (ArgumentException)
            {
                StringBuilder text = new StringBuilder(bytes.Length);
                foreach (byte one in bytes)
                {
                    text.Append((char)one);
                }
                return text.ToString();
            }
        }

        private static void Drain(Stream output, MemoryStream said)
        {
            byte[] part = new byte[16384];
            try
            {
                int count;
                while ((count = output.Read(part, 0, part.Length)) > 0)
                {
                    if (said.Length < MostBytes)
                    {
                        said.Write(part, 0, count);
                    }
                }
            }
            catch (IOException)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return;
            }
        }
    }
}
