#!/usr/bin/python
# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who owns a port, and how it is made free."""

from __future__ import annotations

DOCUMENTATION = r"""
module: port_owner
short_description: Report who holds ports, and make ports free
version_added: 0.1.0
author:
  - The harbormaster.ports contributors (@harbormaster)
description:
  - Says which processes hold a TCP or UDP port, with everything that helps to recognise them.
  - With O(state=free) it stops the holder the way its own manager would (systemd, Docker, Podman, a supervisor, or with a polite
    signal what none of these manages), waits for its end, watches that nothing takes the port back, and binds the port once.
    Only then is it a success.
  - It is all or nothing. When one holder of one of the asked ports must not be stopped, nothing is stopped, and the message says
    what would have happened to each holder.
  - It never touches clients that are connected to the port, the process that carries the Ansible connection, PID 1, or a protected
    process such as sshd or dockerd.
  - A port is free when no socket is on it that the bind of a server would meet. What closed connections leave behind
    (TIME_WAIT) does not count, as long as a bind with SO_REUSEADDR works; such a port is V(lingering).
options:
  port:
    description:
      - The ports. Each is a number from 1 to 65535, a range such as V(8000-8010), or a service name such as V(https).
      - Each may end in V(/tcp) or V(/udp), which beats O(protocol).
      - At most 4096 ports fit in one task.
      - Mind YAML where numbers are not quoted, C(0777) is octal and C(22:22) may be read as base 60.
    type: list
    elements: str
    aliases: [ports]
  plan:
    description:
      - Several wishes that are judged together, all or nothing. Instead of O(port).
      - What an item does not say itself (O(protocol), O(address), O(owner), O(user), O(keep), O(stop_only)), the task says for it.
      - An empty plan asks for nothing.
    type: list
    elements: dict
    suboptions:
      port:
        description: A number, a range or a service name, as in O(port).
        type: str
        required: true
      protocol:
        description: As O(protocol), which it takes by default.
        type: str
        choices: [any, tcp, udp]
      address:
        description: As O(address).
        type: str
      owner:
        description:
          - As O(owner). An empty list means nobody.
        type: list
        elements: str
      user:
        description: As O(user).
        type: list
        elements: str
      keep:
        description: As O(keep).
        type: list
        elements: str
      stop_only:
        description: As O(stop_only).
        type: list
        elements: str
  protocol:
    description:
      - With V(any) both protocols are looked at. With O(state=free) both are made free, but a UDP socket on an ephemeral port
        counts as a client's connection unless V(udp) is asked for by name.
      - With O(state=present), O(owner) and V(any), at least one of the two is held, and nobody else is on either.
    type: str
    default: any
    choices: [any, tcp, udp]
  address:
    description:
      - Only holders count that a bind to this address would collide with. That includes those on the wildcard address, and
        IPv6 wildcards that accept IPv4 too.
      - Without it, holders on every address count.
    type: str
  state:
    description:
      - V(present) reports and changes nothing.
      - V(free) makes the ports free.
    type: str
    default: present
    choices: [present, free]
  owner:
    description:
      - With O(state=present), fail unless somebody holds the port and every holder matches one of these names. V(*) means anybody.
      - Somebody holds it who serves it, by a TCP listener, an unconnected UDP socket or a published port of a container. A connection,
        and a socket that is only bound, don't count.
      - With O(state=free) it is an error; use O(keep) or O(stop_only) there.
      - Names are globs and are matched whole, never in part, against the process name (whole, and as the kernel cuts it to 15
        characters), the base name of the executable, the script that an interpreter runs (C(till.py) and C(till)), the name at the
        begin of a title that the program has written itself (C(gunicorn) of its master and workers), every name of the systemd unit (its
        aliases too) with and without suffix and template, the name of the container, its compose service, and the name by which a
        supervisor knows the program.
      - A pattern with a slash matches the whole path of the executable.
    type: list
    elements: str
  stop_only:
    description:
      - With O(state=free), only holders that match may be stopped, with every process that shares their socket. One that matches
        neither this nor O(keep) is refused, and then nothing is stopped. Matched as O(owner).
    type: list
    elements: str
  keep:
    description:
      - With O(state=free), holders that match may stay. Their port counts as done. Holders that match O(stop_only) are stopped
        all the same, when they are named there by more than V(*). Matched as O(owner).
      - Alone, it means that all others may be stopped.
      - A holder that may stay on one port is not stopped on another, and one that shares its socket with such a process is not
        stopped either. Both are refused.
    type: list
    elements: str
  user:
    description:
      - Accounts, by name or number. With O(owner) the holder must also run as one of them, without it anybody of these accounts
        will do.
      - With O(state=free), every process to be stopped must run as one of them, else it is refused.
    type: list
    elements: str
  method:
    description:
      - How a holder may be stopped. V(auto) takes the way of whatever manages it. In this order, that is a unit that runs the
        container, the container, the supervisor (which would start again what systemd stops), the service, and a signal.
      - V(service) and V(container) refuse a holder that is not managed in this way.
      - V(signal) sends a signal even when something manages the holder. It is refused where the manager would start it again at once,
        and for the relay of a container. It overrules a refusal that rests on nothing but what the process calls itself.
      - V(none) stops nothing. It waits up to O(timeout) for the holder to leave, and fails then.
    type: str
    default: auto
    choices: [auto, service, container, signal, none]
  signal:
    description:
      - The polite signal, by name or number.
      - Where V(TERM) does not mean the end, another one is sent in its place. That is INT for postgres and uwsgi.
      - It is for processes. What its manager stops (systemd, an engine, a supervisor) is stopped in the manager's own way; a warning says so.
    type: str
    default: TERM
  grace_period:
    description:
      - Seconds that a process gets after the polite signal. Without it, 30 seconds.
      - For a unit, a container or a supervised program, seconds that the task waits for its manager. Without it, what the manager's
        own stop timeouts add up to. Nothing is killed past its manager; when the time is over, the task fails and says what is
        still going on.
    type: float
  force:
    description:
      - Whether a process that outlives the grace period is killed (KILL).
      - Without it, yes for all but known databases.
    type: bool
  drain:
    description:
      - Seconds to wait at most for the clients of the holders to leave, before the holders are stopped.
    type: float
    default: 0
  settle:
    description:
      - Seconds in which the freed ports must stay free. Without it, 3 seconds after a signal, 1 second after a manager stopped
        something, and none when nothing was stopped. After a signal to the child of a known watcher, such as a uwsgi emperor or nodemon, 6
        seconds. For a unit that has C(Restart=), one second more than its C(RestartSec=), if that is less than 30 seconds.
      - RV(actions[].may_restart) names who may start it again later than that.
    type: float
  timeout:
    description:
      - Seconds to wait for what is not stopped. With O(owner), until the right one holds the port. With O(state=free), until what
        passes by itself (outgoing connections, leftovers) is gone, and with O(method=none) until any holder is.
      - Without O(owner), O(state=present) never waits.
    type: float
    default: 0
  close_blocking:
    description:
      - Close outgoing connections that sit on the port, and leftovers that block it. Only that socket is closed, its program lives on.
        This needs root (CAP_NET_ADMIN).
      - A socket that its program had bound explicitly stays bound after that. The result says so then.
      - A connection whose program can't be seen is never closed, since it may carry the task itself.
    type: bool
    default: false
  collateral:
    description:
      - What to do when stopping a holder also frees ports that were not asked for, or stops units or containers that depend on it. V(warn)
        stops it with a warning, V(refuse) refuses, V(accept) stops it and says it in RV(actions) alone.
      - Only V(accept) stops a container that its engine deletes when it stops (C(--rm)), with its anonymous volumes.
    type: str
    default: warn
    choices: [warn, refuse, accept]
  persist:
    description:
      - Keep what this run stopped from coming back at boot. Units are disabled, or masked where others pull them in; the restart
        policy of containers is set to V(no); the setting of systemd-resolved goes to C(/etc). RV(actions[].undo) has the command that
        takes it back.
      - Where that is not possible, nothing is stopped (V(cannot_persist)), and the message says what would keep it away. That is so for
        a program that its supervisor starts with itself, an app that pm2 has saved, a unit that another one wants and whose own file
        under C(/etc) is in the way of a mask, and a container whose engine can't change its restart policy any more.
      - A plain process has nobody who starts it at boot, so this means nothing for it.
    type: bool
    default: false
  protect:
    description:
      - Names of processes, units and containers that are never stopped, in addition to the default list. Matched as O(owner).
      - What would stop a protected unit along with it is refused too.
    type: list
    elements: str
    default: []
  unprotect:
    description:
      - Names that are taken off the default list of protected processes (systemd and its core daemons, dbus, sshd, dropbear, dockerd,
        containerd, podman, crio, kubelet, and what the network, the login or the cluster of the host rests on, such as networking,
        dhclient, NetworkManager, cloud-init, tailscaled, openvpn, k3s and keepalived).
      - Where nothing but a process's own word says that it has such a name, that name takes off this refusal too, and so does
        O(method=signal).
      - PID 1, the module, its ancestors and the carrier of the connection stay protected.
    type: list
    elements: str
    default: []
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
    description:
      - Reports what would be done, and leaves everything alone. RV(ignore:changed), RV(ports) and RV(actions) equal those of a real run.
      - One thing only a real run knows. Supervisors and container engines of other accounts are not asked before, since these accounts
        choose what their programs do. Who is behind one is predicted as stopped through it, with RV(actions[].returns_at_boot) null, and
        a warning says that it is not asked now. The real run asks it, names what it stops, and may refuse.
  diff_mode:
    support: full
    description: One line for each port, before and after.
  platform:
    platforms: posix
    support: full
    description: The systems that it runs on. Linux needs nothing but Python 3.8, the others need psutil.
notes:
  - Only root sees the processes of other users. Without it, their ports are V(held_unknown), never free.
  - What an account calls its programs, control groups and containers is not believed when something is to be stopped. A refusal that
    rests on nothing else yields to O(method=signal) and to O(unprotect). C(SECURITY.md) of the collection says what is believed.
  - With C(async), give it more seconds than O(drain), O(grace_period), O(timeout) and O(settle) together.
  - One task with a list of ports, or with a plan, beats a loop, since it is judged as a whole and is as fast as for one port.
  - While it binds a port for the proof, a server that starts in that moment can be in its way. So O(state=present) binds only ports
    that nobody listens on, once, and never while it waits for an owner.
"""

EXAMPLES = r"""
- name: Who has port 8080?
  harbormaster.ports.port_owner:
    port: 8080
  register: who

- name: Make port 53 free, tcp and udp
  harbormaster.ports.port_owner:
    port: 53
    state: free
  become: true

- name: After the deploy, nginx and nobody else holds 443 within 30 seconds
  harbormaster.ports.port_owner:
    port: 443/tcp
    owner: nginx
    timeout: 30

- name: Clear a range of java, leave everybody else
  harbormaster.ports.port_owner:
    port: 9000-9010/tcp
    state: free
    stop_only: java
    keep: '*'

- name: See what would be stopped
  harbormaster.ports.port_owner:
    port: [80/tcp, 443/tcp]
    state: free
  check_mode: true
  register: would

- name: Nothing listens on it, but it can't be bound - close the outgoing connection that has it
  harbormaster.ports.port_owner:
    port: 50051/tcp
    state: free
    close_blocking: true
  become: true

- name: Several wishes at once, all or nothing
  harbormaster.ports.port_owner:
    state: free
    plan:
      - port: 8080
      - port: 443/tcp
        keep: [nginx, haproxy]
      - port: 9000-9010/tcp
        stop_only: java
        user: app
      - port: 53
        address: 192.0.2.10
"""

RETURN = r"""
msg:
  description: One line for people, with what was found, done and proven.
  returned: always
  type: str
  sample: 'port 8080/tcp: held by nginx (pid 812, user root, nginx.service), running for 3 h 12 min; free: 8080/udp'
free:
  description: Whether all asked ports are free, or held by those who may stay.
  returned: always
  type: bool
  sample: false
reason:
  description:
    - Code of the failure.
    - V(protected_process), V(protected_dependant), V(own_ancestor), V(own_connection), V(owner_mismatch), V(user_mismatch),
      V(hidden_owner), V(handed_over), V(kernel_socket), V(unsupported_manager), V(managed_elsewhere), V(engine), V(orchestrated),
      V(would_delete), V(would_respawn), V(would_break_dns), V(not_stoppable), V(cannot_persist), V(supervised), V(wrong_method), V(collateral) and
      V(not_permitted) are refusals that do not pass by themselves.
    - V(connection), V(leftover), V(not_held), V(still_held) (with O(method=none)) and a mismatch of O(owner) may pass, and O(timeout)
      waits for that.
    - V(respawned), V(still_held), V(step_failed), V(not_proven) and V(changing) come after something was done or tried.
    - V(bad_option), V(source_refused), V(malformed_data) and V(missing_psutil) say that the task could not begin.
  returned: failure
  type: str
  sample: protected_process
elapsed:
  description: Seconds that the module took.
  returned: always
  type: float
  sample: 3.112
ports:
  description: One entry for each asked port and protocol, free ones too.
  returned: always
  type: list
  elements: dict
  sample:
    - port: 8080
      protocol: tcp
      address: null
      port_name: http-alt
      before: held
      status: held
      bindable: null
      ephemeral: false
      sockets:
        - {address: 0.0.0.0, family: ipv4, state: LISTEN, user: root, inode: 41233}
      holders:
        - {kind: service, name: nginx.service, pids: [812, 813], service: nginx.service, container: null, stoppable: false,
           outcome: none, code: null, reason: null, remedy: null}
      connections: {established: 3, time_wait: 0}
      blocked_by: null
  contains:
    port:
      description: The port.
      type: int
      sample: 8080
    protocol:
      description: V(tcp) or V(udp).
      type: str
      sample: tcp
    address:
      description: The asked address, null for all of them.
      type: str
      sample: 192.0.2.10
    port_name:
      description: The service name of the port on the host.
      type: str
      sample: http-alt
    before:
      description: The status as it was found, see RV(ports[].status).
      type: str
      sample: held
    status:
      description:
        - The status after the task; in check mode, the predicted one.
        - One of V(free), V(lingering) (only leftovers that don't block a server), V(reserved) (Windows), V(held), and V(held_unknown)
          (by somebody who can't be seen).
      type: str
      sample: free
    bindable:
      description: What a bind said. Null when it was not tried, or not allowed.
      type: bool
      sample: true
    ephemeral:
      description: The kernel may give this port to an outgoing connection at any moment.
      type: bool
      sample: false
    sockets:
      description: The sockets that the bind of a server meets, with address, family, state, user and inode.
      type: list
      elements: dict
      sample:
        - {address: 0.0.0.0, family: ipv4, state: LISTEN, user: root, inode: 41233}
    holders:
      description:
        - Who keeps the port from being bound. Processes that share a socket because one forked the others are one holder.
        - RV(ports[].holders[].kind) is V(process), V(service), V(systemd_socket), V(resolver) (systemd-resolved), V(container),
          V(connection) (outgoing), V(leftover), V(kernel) or V(unknown).
        - A container that publishes the port is its holder, whether a relay has a socket for it on the host or not.
        - RV(ports[].holders[].outcome) is V(stopped), V(kept), V(refused), V(gone) (left by itself) or V(none).
      type: list
      elements: dict
      sample:
        - {kind: service, name: nginx.service, pids: [812, 813], service: nginx.service, container: null, stoppable: true,
           outcome: stopped, code: null, reason: null, remedy: null}
      contains:
        kind:
          description: What holds it.
          type: str
          sample: process
        name:
          description: Name of the process, unit or container; what in the kernel it is.
          type: str
          sample: nginx
        pids:
          description: The root-most process first, then the others that share its sockets.
          type: list
          elements: int
          sample: [812, 813]
        service:
          description: The systemd unit that manages it, null when none does.
          type: str
          sample: nginx.service
        container:
          description: The container that it is, with engine, id, name, and the project and service of compose; null when it is none.
          type: dict
          sample: {engine: docker, id: 5f2c0e0d7a, name: shop-web-1, project: shop, service: web}
        stoppable:
          description: Whether the task would stop it.
          type: bool
          sample: true
        outcome:
          description: What became of it.
          type: str
          sample: stopped
        code:
          description: Code of the reason why it is not stopped.
          type: str
          sample: protected_process
        reason:
          description: The reason in words.
          type: str
          sample: sshd (pid 700, user root) is protected (sshd)
        remedy:
          description: What to do next.
          type: str
          sample: if it really has to go, take its name off the list with unprotect, or stop it by hand
    connections:
      description: How many connections the port has in the states ESTABLISHED and TIME_WAIT.
      type: dict
      sample: {established: 3, time_wait: 0}
    blocked_by:
      description: What weighs most among the reasons why the wish is not met, with code, reason, remedy and passing. Null when it is met.
      type: dict
      sample: null
owners:
  description: One entry for each process that was found, all that share a socket.
  returned: always
  type: list
  elements: dict
  sample:
    - pid: 812
      name: nginx
      exe: /usr/sbin/nginx
      command: 'nginx: master process /usr/sbin/nginx'
      user: root
      started: '2026-03-01T06:12:44Z'
      age_seconds: 11520
      parent_pid: 1
      service: nginx.service
      container: null
      ports: [80/tcp, 443/tcp]
  contains:
    pid:
      description: Its id.
      type: int
      sample: 812
    name:
      description: Its name; whole where the kernel has cut it to 15 characters.
      type: str
      sample: nginx
    exe:
      description: Path of its executable.
      type: str
      sample: /usr/sbin/nginx
    command:
      description: Its command line, with secrets masked.
      type: str
      sample: 'nginx: master process /usr/sbin/nginx'
    user:
      description: The account that it runs as.
      type: str
      sample: root
    started:
      description: When it was started, in ISO 8601, UTC.
      type: str
      sample: '2026-03-01T06:12:44Z'
    age_seconds:
      description: How long it has been running.
      type: int
      sample: 11520
    parent_pid:
      description: Its parent.
      type: int
      sample: 1
    service:
      description: The systemd unit that it belongs to.
      type: str
      sample: nginx.service
    container:
      description: The container that it runs in or holds the port for, with engine, id, name, and the project and service of compose.
      type: dict
      sample: {engine: docker, id: 5f2c0e0d7a, name: shop-web-1, project: shop, service: web}
    ports:
      description: Which of the asked ports it holds.
      type: list
      elements: str
      sample: [80/tcp, 443/tcp]
actions:
  description: What was done, in order; in check mode, what would be done.
  returned: always
  type: list
  elements: dict
  sample:
    - action: signal
      target: nginx (pid 812, user root)
      ports: [8080/tcp]
      also_frees: [8443/tcp]
      also_stops: []
      returns_at_boot: null
      undo: null
      may_restart: []
      dropped: 3
      result: done
      seconds: 0.104
  contains:
    action:
      description:
        - V(signal), V(close_socket), V(stop_unit) (systemd), V(configure_resolver) (systemd-resolved), V(stop_container) (Docker, Podman)
          or V(stop_program) (a supervisor).
      type: str
      sample: signal
    target:
      description: What it was done to.
      type: str
      sample: nginx (pid 812, user root)
    ports:
      description: The asked ports that it frees.
      type: list
      elements: str
      sample: [8080/tcp]
    also_frees:
      description: Ports that it frees as well.
      type: list
      elements: str
      sample: [8443/tcp]
    also_stops:
      description: Units and containers that stop with it, because they depend on it or would start it again.
      type: list
      elements: str
      sample: []
    returns_at_boot:
      description: Whether the holder comes back at boot. Null when nobody can know, as with a plain process.
      type: bool
      sample: null
    undo:
      description: The command that takes back what lasts beyond the stop, such as C(systemctl enable). Null when there is nothing of the kind.
      type: str
      sample: systemctl enable nginx.service
    may_restart:
      description:
        - Who is known to live on and may start it again later than it was watched for (O(settle)), such as a watcher that is its parent, a timer,
          cron, its unit by C(RestartSec=), D-Bus when somebody asks for its name, or a socket of a unit that needs it. Empty when nobody of the kind is known.
      type: list
      elements: str
      sample: [its parent uwsgi (pid 7)]
    dropped:
      description: Connections of clients that were open when it was stopped.
      type: int
      sample: 3
    result:
      description:
        - V(done), V(predicted) or V(failed).
        - A process that becomes another program (by exec) while it is being stopped is V(failed) here, and judged anew as what it is then.
        - Who left by itself has no entry, see RV(ports[].holders[].outcome).
      type: str
      sample: done
    seconds:
      description: How long it took.
      type: float
      sample: 0.104
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.harbormaster.ports.plugins.module_utils import _argspec, _conductor, _report
from ansible_collections.harbormaster.ports.plugins.module_utils._errors import SOURCE_REFUSED, PortsError


def main() -> None:
    """Wire options, run and result together."""
    module = AnsibleModule(**_argspec.port_owner())
    try:
        story = _conductor.run(module.params, module.check_mode)
    except PortsError as error:
        module.fail_json(msg=error.message, reason=error.code, **error.fields)
    except OSError as error:
        module.fail_json(msg="the system can't be read: %s" % error, reason=SOURCE_REFUSED)
    result = _report.result(story, time.time())
    for warning in story.plan.warnings:
        module.warn(warning)
    if module._diff:
        result["diff"] = _report.diff(story)
    if story.failure is not None:
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
