#!/usr/bin/python
# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every listening socket of a host, as facts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: listen_ports_facts
short_description: Every listening TCP and UDP socket of a host as facts
version_added: 0.1.0
author:
  - The harbormaster.ports contributors (@harbormaster)
description:
  - Returns which TCP and UDP ports of a host are listened on, and by whom, as facts. It changes nothing.
  - The kernel is asked directly. On a Linux target nothing but Python is needed, and no command is run.
  - It takes the options of M(community.general.listen_ports_facts) and M(ansible.windows.win_listen_ports_facts), and returns the keys
    of both and more. A playbook that uses one of them works when the name of the module is replaced.
  - One difference can be noticed. An owner that is not known is null, where others say V(0) or an empty string, and
    RV(ansible_facts.tcp_listen[].owner_status) says why. The idiom for rows with a known owner is C(selectattr('pid')).
  - It can be one of the modules that M(ansible.builtin.gather_facts) runs (C(FACTS_MODULES)).
options:
  command:
    description:
      - Whose words and rows to use. No command is run, so none can be missing.
      - With V(netstat), and without this option, each socket is one row that names its main owner, and states are words such as
        V(ESTABLISHED).
      - With V(ss), each process that shares a socket is a row of its own, and states are words such as V(ESTAB).
    type: str
    choices: [netstat, ss]
  include_non_listening:
    description:
      - Show connections, what closed ones have left behind, and TCP sockets that are bound but not listening (V(BOUND), seen on Linux 6.8
        and newer) too.
      - Adds the keys RV(ansible_facts.tcp_listen[].state), RV(ansible_facts.tcp_listen[].foreign_address),
        RV(ansible_facts.tcp_listen[].remote_address) and RV(ansible_facts.tcp_listen[].remote_port) to each row.
    type: bool
    default: false
  tcp_filter:
    description:
      - Show TCP sockets in these states instead of those that listen. UDP has no such states and is shown as ever.
      - The words are V(Bound), V(Closed), V(CloseWait), V(Closing), V(DeleteTCB), V(Established), V(FinWait1), V(FinWait2), V(LastAck),
        V(Listen), V(SynReceived), V(SynSent) and V(TimeWait), in upper or lower case.
      - Any other value than the default adds the keys that O(include_non_listening) adds, and excludes that option.
    type: list
    elements: str
    default: [Listen]
  date_uformat:
    description:
      - Format of RV(ansible_facts.tcp_listen[].stime), in the codes that PowerShell's C(Get-Date -UFormat) has. Names of days and months
        are English, whatever the language of the host is.
    type: str
    default: '%c'
  details:
    description:
      - How much to find out about the owners of the sockets, which is what takes time on hosts with many processes.
      - V(none) says nothing of owners. It takes the same time on any host, whatever runs there.
      - V(process) says who they are.
      - V(full) adds their executables and command lines. Secrets in command lines are masked, as far as they can be recognised.
    type: str
    default: process
    choices: [none, process, full]
  backend:
    description:
      - Where the socket table comes from, for tests and odd hosts. V(auto) is netlink on Linux, with /proc/net as the fall-back, and
        psutil on systems that are neither Linux nor Windows.
    type: str
    default: auto
    choices: [auto, netlink, procfs, psutil]
attributes:
  check_mode:
    support: full
    description: It never changes anything.
  diff_mode:
    support: N/A
    description: It never changes anything.
  facts:
    support: full
    description: Returns facts about the host.
  platform:
    platforms: posix
    support: full
    description: The systems that it runs on. Linux needs nothing but Python 3.8, the others need psutil.
notes:
  - Only root sees the processes of other users. Without it, their sockets are all there, and their owners are null.
  - A port that only a container engine's packet filter rules publish has no socket and is not in these facts.
seealso:
  - module: harbormaster.ports.port_owner
  - module: community.general.listen_ports_facts
  - module: ansible.windows.win_listen_ports_facts
  - plugin: harbormaster.ports.on_port
    plugin_type: filter
  - plugin: harbormaster.ports.port_free
    plugin_type: test
"""

EXAMPLES = r"""
- name: Gather the facts
  harbormaster.ports.listen_ports_facts:

- name: Nobody but nginx listens on 443
  ansible.builtin.assert:
    that: ansible_facts | harbormaster.ports.on_port('443/tcp') | map(attribute='name') | unique == ['nginx']

- name: Fail early when the port of the new service is taken
  ansible.builtin.assert:
    that: ansible_facts is harbormaster.ports.port_free(8080)
    fail_msg: "8080 is taken: {{ ansible_facts | harbormaster.ports.on_port(8080) }}"

- name: Show all ports that are open to other hosts
  ansible.builtin.debug:
    msg: >-
      {{ (ansible_facts.tcp_listen + ansible_facts.udp_listen)
         | rejectattr('address', 'match', '127[.]|::1$')
         | map(attribute='port') | unique | sort }}

- name: Show who has no known owner, and why
  ansible.builtin.debug:
    msg: "{{ item.port }}/{{ item.protocol }}: {{ item.owner_status }}"
  loop: "{{ ansible_facts.tcp_listen | rejectattr('pid') }}"
  loop_control:
    label: "{{ item.port }}"

- name: Only the ports of a huge host, without their owners
  harbormaster.ports.listen_ports_facts:
    details: none

- name: Connections too, in the words of ss
  harbormaster.ports.listen_ports_facts:
    command: ss
    include_non_listening: true

- name: Connections that the other side has closed and this one has not
  harbormaster.ports.listen_ports_facts:
    tcp_filter: [CloseWait]

# ansible.cfg: [defaults] facts_modules = smart, harbormaster.ports.listen_ports_facts
- name: Part of the facts that a play gathers by itself
  hosts: all
  module_defaults:
    harbormaster.ports.listen_ports_facts:
      details: none
  tasks:
    - name: Show the ports
      ansible.builtin.debug:
        msg: "{{ ansible_facts.tcp_listen | map(attribute='port') | unique | sort }}"
"""

RETURN = r"""
msg:
  description: One line for people, with the number of sockets, and what would show the owners that are missing.
  returned: success
  type: str
  sample: 12 TCP and 3 UDP sockets
ephemeral:
  description:
    - By protocol, the ranges of ports that the system gives to outgoing connections by itself, each as first and last port. A connection
      can take such a port while its server is down. Reserved ports are left out. Empty where the system does not say it.
  returned: success
  type: dict
  sample: {tcp: [[32768, 60999]], udp: [[32768, 60999]]}
reason:
  description: Code of the failure, which is V(bad_option), V(source_refused), V(malformed_data) or V(missing_psutil).
  returned: failure
  type: str
  sample: bad_option
ansible_facts:
  description: The sockets. Both lists are always there, also when they are empty.
  returned: success
  type: dict
  contains:
    tcp_listen:
      description: One row for each TCP socket. Sockets that differ in nothing are one row, except with O(command=ss).
      returned: success
      type: list
      elements: dict
      sample:
        - address: 0.0.0.0
          port: 443
          protocol: tcp
          pid: 812
          name: nginx
          user: root
          stime: Sun Mar  1 07:12:44 2026
          started: '2026-03-01T06:12:44Z'
          service: nginx.service
          container: null
          family: ipv4
          v6only: null
          interface: null
          owner_status: known
          owners:
            - pid: 812
              name: nginx
              user: root
              stime: Sun Mar  1 07:12:44 2026
              started: '2026-03-01T06:12:44Z'
              service: nginx.service
              container: null
            - pid: 813
              name: nginx
              user: www-data
              stime: Sun Mar  1 07:12:44 2026
              started: '2026-03-01T06:12:44Z'
              service: nginx.service
              container: null
      contains:
        address:
          description: Local address. V(0.0.0.0) and V(::) mean every one; V(::) takes IPv4 clients too unless it is v6only.
          returned: success
          type: str
          sample: 0.0.0.0
        port:
          description: Local port.
          returned: success
          type: int
          sample: 443
        protocol:
          description: V(tcp).
          returned: success
          type: str
          sample: tcp
        pid:
          description:
            - The main owner. Of several processes that share the socket it is the one that started the others, with O(command=ss) each of
              them. Null when it is not known.
          returned: success
          type: int
          sample: 812
        name:
          description:
            - Its name, whole where the kernel has cut it to 15 characters. For a socket of the kernel, what in the kernel it is. Null when it
              is not known.
          returned: success
          type: str
          sample: nginx
        user:
          description: The account that it runs as. Null when it is not known.
          returned: success
          type: str
          sample: root
        stime:
          description: When it was started, in the host's time and the format O(date_uformat). Null when it is not known.
          returned: success
          type: str
          sample: Sun Mar  1 07:12:44 2026
        started:
          description: The same in ISO 8601, UTC.
          returned: success
          type: str
          sample: '2026-03-01T06:12:44Z'
        service:
          description: The systemd unit that it belongs to. Null when there is none.
          returned: success
          type: str
          sample: nginx.service
        container:
          description:
            - The container that it runs in, or for which an engine's relay holds the socket, with engine, id and name. The name is null
              when its engine could not be asked. Null when there is no container.
          returned: success
          type: dict
          sample: {engine: docker, id: 5f2c0e0d7a, name: null}
        exe:
          description: Path of its executable.
          returned: O(details=full)
          type: str
          sample: /usr/sbin/nginx
        command:
          description: Its command line, with secrets masked.
          returned: O(details=full)
          type: str
          sample: 'nginx: master process /usr/sbin/nginx'
        family:
          description: V(ipv4) or V(ipv6).
          returned: success
          type: str
          sample: ipv4
        v6only:
          description: Whether an IPv6 socket takes no IPv4 clients. Null for others, and where the host does not say it.
          returned: success
          type: bool
          sample: null
        interface:
          description: Name of the network interface that the socket is bound to. Null when it is bound to none.
          returned: success
          type: str
          sample: eth1
        owner_status:
          description:
            - V(known), or why the owner is null.
            - V(not_asked) with O(details=none). V(none) when no process has it, as with what a closed connection leaves behind. V(kernel) when
              the kernel itself has it, as for a vxlan link. V(unknown) when everything could be seen and nobody has it, as when its process
              is just ending.
            - V(not_root) when processes of other users can't be looked into, V(hidepid) when /proc hides them; C(become) helps.
            - V(descriptors_refused) when not even root may look, V(pid_namespace) when only the processes of a container are seen; look from
              outside of the container.
            - V(owners_hidden) and V(sockets_refused) are what psutil may not see.
          returned: success
          type: str
          sample: known
        owners:
          description:
            - Every process that shares the socket, the main owner first. Each has the keys RV(ansible_facts.tcp_listen[].pid),
              RV(ansible_facts.tcp_listen[].name), RV(ansible_facts.tcp_listen[].user), RV(ansible_facts.tcp_listen[].stime),
              RV(ansible_facts.tcp_listen[].started), RV(ansible_facts.tcp_listen[].service) and
              RV(ansible_facts.tcp_listen[].container), with O(details=full) also RV(ansible_facts.tcp_listen[].exe) and
              RV(ansible_facts.tcp_listen[].command).
          returned: success
          type: list
          elements: dict
          sample: []
        state:
          description:
            - State of the socket, such as V(LISTEN), V(ESTABLISHED), V(TIME_WAIT), V(CLOSE_WAIT) or V(BOUND); with O(command=ss) such as
              V(LISTEN), V(ESTAB), V(TIME-WAIT), V(CLOSE-WAIT) or V(BOUND).
          returned: O(include_non_listening=true), or another O(tcp_filter) than the default
          type: str
          sample: ESTABLISHED
        foreign_address:
          description:
            - The other end with its port. V(0.0.0.0:*) or V(:::*) when there is none. With O(command=ss) IPv6 addresses are in brackets.
          returned: O(include_non_listening=true), or another O(tcp_filter) than the default
          type: str
          sample: 192.0.2.7:51234
        remote_address:
          description: The address of the other end. Null when there is none.
          returned: O(include_non_listening=true), or another O(tcp_filter) than the default
          type: str
          sample: 192.0.2.7
        remote_port:
          description: The port of the other end. Null when there is none.
          returned: O(include_non_listening=true), or another O(tcp_filter) than the default
          type: int
          sample: 51234
    udp_listen:
      description:
        - One row for each UDP socket that is not connected, with the keys of RV(ansible_facts.tcp_listen). With
          O(include_non_listening=true) connected ones too.
        - Their states are V(UNCONN) and V(ESTABLISHED), with O(command=ss) V(UNCONN) and V(ESTAB).
      returned: success
      type: list
      elements: dict
      sample:
        - address: 127.0.0.53
          port: 53
          protocol: udp
          pid: 601
          name: systemd-resolved
          user: systemd-resolve
          stime: Sun Mar  1 07:12:40 2026
          started: '2026-03-01T06:12:40Z'
          service: systemd-resolved.service
          container: null
          family: ipv4
          v6only: null
          interface: lo
          owner_status: known
          owners: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.harbormaster.ports.plugins.module_utils import _argspec
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SOURCE_REFUSED, PortsError
from ansible_collections.harbormaster.ports.plugins.module_utils._facts.gather import gather


def main() -> None:
    """Wire options, look and result together."""
    module = AnsibleModule(**_argspec.listen_ports_facts())
    try:
        answer = gather(module.params)
    except PortsError as error:
        module.fail_json(msg=error.message, reason=error.code, **error.fields)
    except OSError as error:
        module.fail_json(msg="the system can't be read: %s" % error, reason=SOURCE_REFUSED)
    module.exit_json(changed=False, msg=answer.message, ansible_facts=answer.facts, ephemeral=answer.ephemeral)


if __name__ == "__main__":
    main()
