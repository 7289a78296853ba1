# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that more than one stage has to know. Private to harbormaster.ports: not an interface for other collections.

An agent takes tasks from elsewhere, so it is a launcher: what it started is not its unit's to stop. And it may be what
carries the Ansible connection. Both are read from here, so that none is one and not the other by oversight.
"""

from __future__ import annotations

import typing as t


class Agent(t.NamedTuple):
    """Something that starts programs for somebody who is elsewhere.

    :param programs: names of its executables and scripts, whole.
    :param units: globs of the units that it runs in. Those are the evidence where it runs as an account of its own.
    :param carries: whether it may bring an Ansible task. False for what has connections all day and brings no Ansible task: monitoring, and the servers of
        schedulers. A refusal to stop a carrier is final, and these have ports that people want to be free.
    """

    programs: t.Tuple[str, ...]
    units: t.Tuple[str, ...]
    carries: bool = True


# Kinds of units that start another one (systemd.unit(5), Triggers=) and that can bring a listener back.
TRIGGERS = (".path", ".socket", ".timer")

# Login daemons, and the processes of their sessions.
SSH = ("sshd", "sshd-session", "sshd-auth", "dropbear", "tinysshd")

# On the host they stand for a container's published port.
RELAYS = (
    "docker-proxy",
    "rootlessport",
    "rootlesskit",
    "slirp4netns",
    "pasta",
    "pasta.avx2",
    "conmon",
    "netavark",
)

AGENTS = (
    # other ways to log in
    Agent(("in.telnetd", "telnetd", "in.rlogind", "in.rshd"), ("telnet*.service", "rlogin*.service")),
    Agent(("teleport", "tsh"), ("teleport*.service",)),
    Agent(("tailscaled",), ("tailscaled.service", "snap.tailscale.*.service")),
    Agent(("cloudflared",), ("cloudflared*.service",)),
    Agent(("ttyd", "gotty", "shellinaboxd"), ("ttyd*.service", "gotty*.service", "shellinabox*.service")),
    Agent(("cockpit-ws", "cockpit-tls", "cockpit-session"), ("cockpit*.service",)),
    Agent(("miniserv.pl",), ("webmin.service", "usermin.service")),
    # the clouds' own
    Agent(
        ("amazon-ssm-agent", "ssm-agent-worker", "ssm-session-worker", "ssm-document-worker"),
        ("amazon-ssm-agent*.service", "snap.amazon-ssm-agent.*.service"),
    ),
    Agent(("codedeploy-agent", "cfn-hup"), ("codedeploy-agent*.service", "cfn-hup.service")),
    Agent(("waagent", "WALinuxAgent"), ("walinuxagent*.service", "waagent*.service")),
    Agent(
        ("gc_linux_service", "himds", "gc_worker"), ("gcd.service", "extd.service", "gcad.service", "himdsd.service")
    ),
    Agent(
        ("google_osconfig_agent", "google_guest_agent", "google_guest_agent_manager", "google_guest_compat_manager"),
        ("google-osconfig-agent.service", "google-guest-*.service", "google-startup-scripts.service"),
    ),
    Agent((), ("google-cloud-ops-agent*.service", "stackdriver-agent.service"), carries=False),
    Agent((), ("oracle-cloud-agent*.service", "snap.oracle-cloud-agent.*.service")),
    Agent(("qemu-ga",), ("qemu-guest-agent.service", "qemu-ga.service")),
    Agent(("vmtoolsd",), ("open-vm-tools.service", "vmtoolsd.service", "vmware-tools.service")),
    # configuration management
    Agent(("ansible-pull", "receptor"), ("ansible-pull*.service", "receptor*.service")),
    Agent(("salt-minion",), ("salt-minion*.service", "venv-salt-minion.service")),
    Agent(("puppet", "pxp-agent"), ("puppet.service", "puppet-agent.service", "pxp-agent.service")),
    Agent(("mcollectived", "choria"), ("mcollective*.service", "choria*.service")),
    Agent(
        ("chef-client", "cinc-client", "pushy-client", "push-jobs-client"),
        ("chef-client*.service", "cinc-client*.service", "*push-jobs*client*.service"),
    ),
    Agent(
        ("cf-execd", "cf-agent", "cf-serverd", "cf-monitord", "rudder-agent"),
        (
            "cfengine3.service",
            "cf-execd.service",
            "cf-serverd.service",
            "cf-monitord.service",
            "rudder-agent.service",
            "rudder-cf-*.service",
        ),
    ),
    Agent(
        ("landscape-client", "landscape-manager", "landscape-broker", "landscape-monitor", "landscape-package-changer"),
        ("landscape-client*.service",),
    ),
    Agent(
        ("rhcd", "yggd", "yggdrasild", "insights-client"), ("rhcd.service", "ygg*.service", "insights-client*.service")
    ),
    Agent(("foreman-proxy", "smart-proxy"), ("foreman-proxy.service",)),
    Agent(("mender-client", "mender-updated", "mender-connect"), ("mender-*.service",)),
    Agent(("Tentacle",), ("tentacle*.service", "Tentacle*.service", "octopus*.service")),
    # builds
    Agent(("gitlab-runner",), ("gitlab-runner*.service",)),
    Agent(("Runner.Listener", "Runner.Worker"), ("actions.runner.*.service", "github-runner*.service")),
    Agent(
        ("Agent.Listener", "Agent.Worker"), ("vsts.agent.*.service", "vstsagent*.service", "azure-pipelines*.service")
    ),
    Agent(("buildkite-agent",), ("buildkite-agent*.service",)),
    Agent(("act_runner", "forgejo-runner"), ("act_runner*.service", "act-runner*.service", "forgejo-runner*.service")),
    Agent(("drone-runner-exec", "drone-runner-ssh"), ("drone-runner*.service",)),
    Agent(("woodpecker-agent",), ("woodpecker-agent*.service",)),
    Agent(("circleci-runner", "circleci-launch-agent"), ("circleci*.service",)),
    Agent(("concourse",), ("concourse*.service",)),
    Agent(
        (),
        ("teamcity-agent*.service", "teamcity-build-agent*.service", "teamcity_agent*.service", "buildAgent*.service"),
    ),
    Agent((), ("bamboo-agent*.service", "*bamboo*agent*.service")),
    Agent((), ("teamcity.service", "TeamCity*.service", "bamboo*.service"), carries=False),
    Agent((), ("go-agent*.service", "gocd-agent*.service")),
    Agent((), ("jenkins-agent*.service", "jenkins-slave*.service", "jenkins-swarm*.service", "swarm-client*.service")),
    Agent((), ("jenkins*.service",), carries=False),
    # schedulers of jobs
    Agent(("nomad",), ("nomad*.service",), carries=False),
    Agent(
        (),
        ("rundeck*.service", "semaphore*.service", "airflow-worker*.service", "st2actionrunner*.service"),
        carries=False,
    ),
    Agent(("slurmd", "slurmstepd"), ("slurmd*.service",), carries=False),
    # monitoring that runs commands
    Agent(("nrpe",), ("nrpe.service", "nagios-nrpe-server.service", "ncpa*.service"), carries=False),
    Agent(("zabbix_agentd", "zabbix_agent2"), ("zabbix-agent*.service",), carries=False),
    Agent(
        ("check_mk_agent", "cmk-agent-ctl"),
        ("check-mk-agent*.service", "cmk-agent*.service"),
        carries=False,
    ),
    Agent(("sensu-agent",), ("sensu-agent.service",), carries=False),
)
