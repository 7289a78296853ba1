#!/usr/bin/python
# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of plugins/action/fleet_report.py, which runs on the controller. There is nothing to run on a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_report
short_description: One page, and its JSON, of who listens where on a fleet
version_added: 0.1.0
author:
  - The harbormaster.ports contributors (@harbormaster)
description:
  - Makes one self-contained HTML page, a matrix of hosts and ports, and the JSON that the page shows, out of results that the hosts of
    the play have registered. No host is asked for anything.
  - Hosts that failed, that could not be reached, or that the run left out are in it as such. A fleet that was seen in part never looks
    clean.
  - With a plan it says who is in its way, with an earlier report what is new, gone or somebody else's.
  - It runs on the controller, once for the whole play, as part of a play that has the hosts of the report. The playbook
    C(harbormaster.ports.report) has such a play.
options:
  hosts:
    description:
      - Every host that belongs into the report. One that is not in the play, as with C(--limit), is shown as not run.
      - Without it, all hosts of the play.
    type: list
    elements: str
  facts_variable:
    description:
      - Name of the variable in which each host has registered the result of M(harbormaster.ports.listen_ports_facts). Its failures count too,
        so it is best registered by a task with C(ignore_errors) and C(ignore_unreachable).
      - Without it, the report has the ports that O(result_variable) has been asked for, and no others.
    type: str
  result_variable:
    description:
      - Name of the variable in which each host has registered a result of M(harbormaster.ports.port_owner) with a plan, such as that of the
        role's check. What it says of a port beats what the facts say, since it knows connections and what is protected.
    type: str
  plan_variable:
    description:
      - Name of the variable that has the plan of each host, in the form that the role P(harbormaster.ports.clear_ports#role) takes. A host
        without such a variable, or with an empty one, has no plan.
    type: str
  plan:
    description:
      - One plan for all hosts. Instead of O(plan_variable).
    type: raw
  dest:
    description:
      - Folder for C(report.html) and C(report.json). It is made, for its owner alone, where there is none. Each file is put into its place
        as a whole.
      - A relative path begins where the command was started.
      - Without it nothing is written, and only the table and the summary are made.
    type: path
  baseline:
    description:
      - The C(report.json) of an earlier run. It may be the one that this run replaces.
      - Where there is no such file, as before the first run, that is a warning. If the file isn't a report, the report is written without a
        comparison, and then the task fails.
    type: path
  commands:
    description:
      - Show command lines, where the facts have them (O(harbormaster.ports.listen_ports_facts#module:details=full)). Secrets are masked, as
        far as they can be recognised, on the host and here once more.
    type: bool
    default: false
  title:
    description: Title of the page.
    type: str
    default: Ports of the fleet
  mode:
    description:
      - Mode of both files, in quotes. Who listens where is not for everybody.
    type: raw
    default: '0600'
  table:
    description:
      - Show a short table on the terminal. Switch it off where the standard output has to be JSON.
    type: bool
    default: true
  table_rows:
    description: Rows that the table has at most.
    type: int
    default: 40
attributes:
  action:
    support: full
    description: It runs on the controller only.
  async:
    support: none
    description: Can be run in the background.
  become:
    support: none
    description: Files are those of the user who runs Ansible, whatever the play says.
  bypass_host_loop:
    support: full
    description: It runs once for the whole play, and not with the strategy C(free).
  check_mode:
    support: full
    description: Everything is made, and nothing is written.
  connection:
    support: none
    description: It needs no connection to the host that it runs for.
  diff_mode:
    support: full
    description: The summary, before and after.
  platform:
    platforms: all
    support: full
    description: The hosts of the report may be of any kind.
notes:
  - A report always changes, since it says when it was made.
  - What hosts say is shown as text and never runs. Control characters and characters that turn the reading direction are shown as codes.
  - The JSON is described by C(docs/fleet-report.schema.json), which is part of the collection.
seealso:
  - module: harbormaster.ports.listen_ports_facts
  - module: harbormaster.ports.port_owner
"""

EXAMPLES = r"""
- name: Who listens where
  hosts: all
  gather_facts: false
  tasks:
    - name: Gather the sockets of each host
      harbormaster.ports.listen_ports_facts:
      register: listening
      ignore_errors: true
      ignore_unreachable: true

    - name: Write the report, whatever has failed
      harbormaster.ports.fleet_report:
        hosts: "{{ groups['all'] }}"
        facts_variable: listening
        dest: port-report
        baseline: port-report/report.json
      register: report

    - name: Keep the numbers where AWX shows them
      ansible.builtin.set_stats:
        data:
          ports: "{{ report.summary }}"
      run_once: true

- name: Variations
  hosts: all
  gather_facts: false
  tasks:
    - name: With a plan, for everybody who may read the pages of a web server
      harbormaster.ports.fleet_report:
        facts_variable: listening
        plan:
          - 8080
          - {port: 443/tcp, owner: [nginx, W3SVC]}
        dest: /var/www/html/ports
        mode: '0644'

    - name: Only the table, of what a check has found
      harbormaster.ports.fleet_report:
        result_variable: checked
"""

RETURN = r"""
msg:
  description: The summary as one line for people. What is missing comes first.
  returned: always
  type: str
  sample: 'PARTIAL, 1 unreachable of 12 hosts; 214 listeners on 11 hosts; 2 conflicts with the plan; 5 changes'
html:
  description: Path of the page. Null without O(dest).
  returned: success
  type: str
  sample: /srv/port-report/report.html
json:
  description: Path of the JSON. Null without O(dest).
  returned: success
  type: str
  sample: /srv/port-report/report.json
reason:
  description: V(bad_baseline), when the report was written without a comparison.
  returned: failure
  type: str
  sample: bad_baseline
table:
  description: The lines of the short table.
  returned: success
  type: list
  elements: str
  sample:
    - HOST  PORT      OWNER  USER  SERVICE        SINCE                 NOTE
    - web1  8080/tcp  java   app   shop.service   2026-03-01 06:12:44Z  in the way
summary:
  description: The numbers, small enough for M(ansible.builtin.set_stats).
  returned: success
  type: dict
  sample:
    complete: false
    hosts: {total: 12, ok: 11, failed: 0, unreachable: 1, not_run: 0, with_problems: 0}
    listeners: 214
    ports: 38
    unknown_owners: 0
    ephemeral: 3
    conflicts: {total: 2, refused: 1, unknown_owner: 0, in_the_way: 1, missing: 4}
    changes: {total: 5, new: 2, gone: 1, owner_changed: 2, addresses_changed: 0}
  contains:
    complete:
      description: Whether every host has said all that it was asked for.
      type: bool
      sample: false
    hosts:
      description: How many hosts there are, by what became of them.
      type: dict
      sample: {total: 12, ok: 11, failed: 0, unreachable: 1, not_run: 0, with_problems: 0}
    listeners:
      description: Listening sockets on all hosts.
      type: int
      sample: 214
    ports:
      description: Different ports.
      type: int
      sample: 38
    unknown_owners:
      description: Listeners that somebody has who could not be seen.
      type: int
      sample: 0
    ephemeral:
      description: Listeners on ports that the host may give to an outgoing connection.
      type: int
      sample: 3
    conflicts:
      description:
        - Conflicts with the plan by kind. RV(ignore:missing), ports that nobody holds yet, are not part of RV(ignore:total). Null without
          a plan.
      type: dict
      sample: {total: 2, refused: 1, unknown_owner: 0, in_the_way: 1, missing: 4}
    changes:
      description: Differences from the baseline by kind. Null without a baseline.
      type: dict
      sample: {total: 5, new: 2, gone: 1, owner_changed: 2, addresses_changed: 0}
"""
