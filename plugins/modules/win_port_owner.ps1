#!powershell

# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Who owns a port, and how it is made free. Everything happens in C#: see plugins/module_utils/_windows.

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -CSharpUtil ansible_collections.harbormaster.ports.plugins.module_utils._windows.Conductor

$spec = @{
    options = @{
        port = @{ type = "list"; elements = "str"; aliases = @("ports") }
        plan = @{
            type = "list"
            elements = "dict"
            options = @{
                port = @{ type = "str"; required = $true }
                protocol = @{ type = "str"; choices = @("any", "tcp", "udp") }
                address = @{ type = "str" }
                owner = @{ type = "list"; elements = "str" }
                user = @{ type = "list"; elements = "str" }
                keep = @{ type = "list"; elements = "str" }
                stop_only = @{ type = "list"; elements = "str" }
            }
        }
        protocol = @{ type = "str"; default = "any"; choices = @("any", "tcp", "udp") }
        address = @{ type = "str" }
        state = @{ type = "str"; default = "present"; choices = @("present", "free") }
        owner = @{ type = "list"; elements = "str" }
        user = @{ type = "list"; elements = "str" }
        keep = @{ type = "list"; elements = "str" }
        stop_only = @{ type = "list"; elements = "str" }
        method = @{ type = "str"; default = "auto"; choices = @("auto", "service", "container", "signal", "none") }
        signal = @{ type = "str"; default = "TERM" }
        grace_period = @{ type = "float" }
        force = @{ type = "bool" }
        drain = @{ type = "float"; default = 0 }
        settle = @{ type = "float" }
        timeout = @{ type = "float"; default = 0 }
        close_blocking = @{ type = "bool"; default = $false }
        collateral = @{ type = "str"; default = "warn"; choices = @("warn", "refuse", "accept") }
        persist = @{ type = "bool"; default = $false }
        protect = @{ type = "list"; elements = "str"; default = @() }
        unprotect = @{ type = "list"; elements = "str"; default = @() }
        backend = @{ type = "str"; default = "auto"; choices = @("auto", "netlink", "procfs", "psutil") }
    }
    mutually_exclusive = @(, @("port", "plan"))
    required_one_of = @(, @("port", "plan"))
    supports_check_mode = $true
}

# Ansible.Basic reads numbers by the rules of the host's language: "0.5" would be 5 on a German one.
[System.Threading.Thread]::CurrentThread.CurrentCulture = [System.Globalization.CultureInfo]::InvariantCulture

$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)
[ansible_collections.harbormaster.ports.plugins.module_utils._windows.Conductor.PortOwner]::Run($module)
$module.ExitJson()
