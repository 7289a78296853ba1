// Copyright (c) 2026, the harbormaster.ports contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Names that decisions rest on, as tables. Private to harbormaster.ports. All of them are globs, matched whole and without regard
// to case; programs with or without .exe.

namespace ansible_collections.harbormaster.ports.plugins.module_utils._windows.DecideTables
{
    public static class Tables
    {
        // Windows itself: ending one of these ends the system or every session. Nothing takes a name off this list.
        public static readonly string[] Untouchable =
        {
            "System", "Registry", "Secure System", "csrss", "smss", "wininit", "winlogon", "services", "lsass", "lsaiso",
        };

        // Machines depend on these: stopping one locks people out, or leaves the host without a network or its own managers.
        public static readonly string[] ProtectedPrograms =
        {
            "sshd", "dropbear", "WmiPrvSE", "dwm", "fontdrvhost", "LogonUI", "MsMpEng", "vmms", "vmcompute",
            "clussvc",
        };

        // The same for services, by their short names.
        public static readonly string[] ProtectedServices =
        {
            "WinRM", "sshd", "TermService", "UmRdpService", "SessionEnv", "RpcSs", "RpcEptMapper", "DcomLaunch", "LSM", "SamSs", "KeyIso",
            "VaultSvc", "Netlogon", "NTDS", "Kdc", "DFSR", "ADWS", "DNS", "EventLog", "PlugPlay", "Power", "ProfSvc", "gpsvc", "Winmgmt",
            "Schedule", "Dhcp", "Dnscache", "NlaSvc", "nsi", "iphlpsvc", "mpssvc", "BFE", "PolicyAgent", "IKEEXT", "LanmanServer",
            "LanmanWorkstation", "CryptSvc", "WinDefend", "Sense", "wuauserv", "vmms", "vmcompute", "hns", "ClusSvc", "HTTP",
        };

        // A session of these daemons is a child with the daemon's own name: it is not the daemon.
        public static readonly string[] LoginDaemons = { "sshd", "dropbear" };

        // Killed in the middle of a write they may need a recovery that nobody planned for: only when force says so.
        public static readonly string[] Databases =
        {
            "postgres", "postmaster", "mysqld", "mariadbd", "mongod", "redis-server", "valkey-server", "memurai", "etcd", "influxd",
            "clickhouse-server", "oracle", "tnslsnr", "sqlservr", "db2sysc*", "slapd", "neo4j", "couchdb", "erl", "beam.smp", "cockroach",
            "scylla", "rethinkdb", "arangod", "memsqld", "tidb-server", "tikv-server", "firebird", "fbserver",
        };

        // Services that start things for others: what runs below them is not theirs to stop.
        public static readonly string[] Launchers =
        {
            "Schedule", "sshd", "ssh-agent", "WinRM", "Jenkins*", "actions.runner.*", "gitlab-runner*", "buildkite-agent*", "TCBuildAgent*",
            "TeamCity*", "vstsagent*", "bamboo*", "Go Agent*", "tailscale", "teleport*", "AmazonSSMAgent", "WindowsAzureGuestAgent", "RdAgent",
            "google_osconfig_agent", "GCEAgent", "salt-minion", "puppet", "chef-client", "OctopusDeploy*", "docker", "com.docker.service",
            "containerd", "kubelet", "rancher-wins", "nomad", "receptor*",
        };

        // Container engines, which hold ports for containers or for their own interface.
        public static readonly string[] Engines =
        {
            "dockerd", "containerd", "containerd-shim*", "podman", "kubelet", "kube-proxy", "nomad", "com.docker.service", "rancher-desktop*",
        };

        // They stand for the ports of containers or of WSL: stopping one takes all of them along.
        public static readonly string[] Relays =
        {
            "com.docker.backend", "com.docker.proxy", "docker-proxy", "vpnkit", "vpnkit-bridge", "wslrelay", "wslhost", "wslservice", "vmmemWSL",
            "gvproxy", "win-sshproxy", "host-switch", "rootlessport",
        };

        // name of the supervisor's process -> the command that stops one of its programs
        public static readonly string[][] Supervisors =
        {
            new[] { "supervisord", "supervisorctl stop NAME" },
            new[] { "circusd", "circusctl stop NAME" },
        };

        // Parents that are known to start a program again; they have no command to be asked with.
        public static readonly string[] Respawners =
        {
            "nssm", "winsw*", "prunsrv", "watchexec", "nodemon", "forever", "pm2", "cmd", "powershell", "pwsh", "bash", "sh", "cscript", "wscript",
        };

        /// <summary>The service that controls IIS's application pools and hands their ports to HTTP.sys.</summary>
        public const string IisService = "W3SVC";

        /// <summary>Many services share this program; a row names its own.</summary>
        public const string ServiceHost = "svchost";
    }
}
