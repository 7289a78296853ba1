# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Compiles holder.exe with the C# compiler of .NET Framework, which every Windows has.
$ErrorActionPreference = "Stop"
$source = @'
using System;
using System.Net;
using System.Net.Sockets;
using System.ServiceProcess;
using System.Threading;

// holder.exe PORT [SERVICE]: listens on PORT of 127.0.0.1 for five minutes; as the service SERVICE until it is stopped.
public class Holder : ServiceBase
{
    private readonly int port;
    private TcpListener listener;

    private Holder(int port, string name)
    {
        this.port = port;
        ServiceName = name;
    }

    protected override void OnStart(string[] args)
    {
        listener = new TcpListener(IPAddress.Loopback, port);
        listener.Start();
    }

    protected override void OnStop()
    {
        listener.Stop();
    }

    public static void Main(string[] args)
    {
        Holder holder = new Holder(int.Parse(args[0]), args.Length > 1 ? args[1] : "holder");
        if (args.Length > 1)
        {
            ServiceBase.Run(holder);
            return;
        }
        holder.OnStart(args);
        Thread.Sleep(300000);
    }
}
'@
$file = "$env:windir\Temp\harbormaster_holder.cs"
Set-Content -LiteralPath $file -Value $source -Encoding ASCII
$compiler = "$env:windir\Microsoft.NET\Framework64\v4.0.30319\csc.exe"
& $compiler /nologo /target:exe "/out:$env:windir\Temp\harbormaster_holder.exe" /reference:System.ServiceProcess.dll $file
exit $LASTEXITCODE
