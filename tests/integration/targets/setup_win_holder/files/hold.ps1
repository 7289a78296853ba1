# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Starts the holder on a free port, outside of the job that ends with the task. Prints {"pid": ..., "port": ...}.
# With the argument "service" it is a service, whose name is printed too.
param([string]$Kind = "process")

$ErrorActionPreference = "Stop"
$program = "$env:windir\Temp\harbormaster_holder.exe"
$taken = [System.Net.NetworkInformation.IPGlobalProperties]::GetIPGlobalProperties().GetActiveTcpListeners() | ForEach-Object { $_.Port }
$port = 20000..31999 | Where-Object { $taken -notcontains $_ } | Get-Random

if ($Kind -eq "service") {
    $name = "harbormaster$port"
    $null = New-Service -Name $name -BinaryPathName "`"$program`" $port $name" -StartupType Manual
    Start-Service -Name $name
    $holder = Get-CimInstance -ClassName Win32_Service -Filter "Name = '$name'"
    $answer = @{ pid = [int]$holder.ProcessId; port = $port; service = $name }
}
else {
    $started = Invoke-CimMethod -ClassName Win32_Process -MethodName Create -Arguments @{ CommandLine = "`"$program`" $port" }
    $answer = @{ pid = [int]$started.ProcessId; port = $port }
}

$end = (Get-Date).AddSeconds(30)
while (-not (Get-NetTCPConnection -LocalPort $port -State Listen -ErrorAction SilentlyContinue)) {
    if ((Get-Date) -gt $end) {
        throw "nobody listens on $port"
    }
    Start-Sleep -Milliseconds 100
}
ConvertTo-Json -InputObject $answer -Compress
