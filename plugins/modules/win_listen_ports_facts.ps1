#!powershell

# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Every listening socket of a host, as facts. Everything happens in C#: see plugins/module_utils/_windows.

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -CSharpUtil ansible_collections.harbormaster.ports.plugins.module_utils._windows.Facts

$spec = @{
    options = @{
        command = @{ type = "str"; choices = @("netstat", "ss") }
        include_non_listening = @{ type = "bool"; default = $false }
        tcp_filter = @{ type = "list"; elements = "str"; default = @("Listen") }
        date_uformat = @{ type = "str"; default = "%c" }
        details = @{ type = "str"; default = "process"; choices = @("none", "process", "full") }
        backend = @{ type = "str"; default = "auto"; choices = @("auto", "netlink", "procfs", "psutil") }
    }
    supports_check_mode = $true
}

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)
[ansible_collections.harbormaster.ports.plugins.module_utils._windows.Facts.ListenPortsFacts]::Run($module)
$module.ExitJson()
