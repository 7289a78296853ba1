# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Lets the tests come in through WinRM: a user, the listener, and the configuration of the PowerShell that is asked for. Run it on a
# machine that is thrown away afterwards. The user's password goes into the environment of the job's later steps.
param([Parameter(Mandatory = $true)][ValidateSet("5.1", "7")][string]$PowerShell)

$ErrorActionPreference = "Stop"
$password = "Aa1!" + [guid]::NewGuid().ToString("N")
$user = New-LocalUser -Name porttest -Password (ConvertTo-SecureString -String $password -AsPlainText -Force)
Add-LocalGroupMember -SID S-1-5-32-544 -Member $user

Enable-PSRemoting -SkipNetworkProfileCheck -Force
Set-Item -Path WSMan:\localhost\Service\AllowUnencrypted -Value $false
# A local administrator gets all of its rights over the network too.
$policy = "HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System"
Set-ItemProperty -Path $policy -Name LocalAccountTokenFilterPolicy -Value 1 -Type DWord
# From the Linux of this machine.
New-NetFirewallRule -DisplayName "WinRM from WSL" -Direction Inbound -LocalPort 5985 -Protocol TCP -Action Allow | Out-Null

if ($PowerShell -eq "7") {
    # Makes the endpoint PowerShell.7, and restarts WinRM.
    & "$env:ProgramFiles\PowerShell\7\pwsh.exe" -NoProfile -Command "Enable-PSRemoting -SkipNetworkProfileCheck -Force"
}

"::add-mask::$password"
"RIG_PASSWORD=$password" | Out-File -FilePath $env:GITHUB_ENV -Append -Encoding ASCII
