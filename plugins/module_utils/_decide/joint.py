# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the steps of a plan do together to the host's names, and none of them alone. Private to harbormaster.ports. Pure.

systemd-resolved may give up its port as long as a server is left to be asked; the server that it asks may be stopped as
long as there is another one. A plan that does both is judged by what is left when all of it is done.
"""

from __future__ import annotations

import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._decide import (
    managed_steps,
    reasons,
    resolving,
    steps,
)
from ansible_collections.harbormaster.ports.plugins.module_utils._model import (
    LISTEN,
    UNCONN,
    Container,
    Policy,
    PortPlan,
    Resolver,
    Snapshot,
    Step,
)

Judged = t.Tuple[t.List[PortPlan], t.List[Step], t.Tuple[str, ...]]


def names(snapshot: Snapshot, policy: Policy, ports: t.Sequence[PortPlan], planned: t.Sequence[Step]) -> Judged:
    """The ports, the steps and the warnings, when it is known what the whole plan takes from the host's name resolution."""
    resolver = snapshot.resolver
    if resolver is None or not planned:
        return list(ports), list(planned), ()
    lost = _lost(snapshot, resolver, planned)
    broken: t.Dict[Step, str] = {}
    changed = []
    for step in planned:
        relink = bool(step.settings) and resolving.relinks(resolver, step.sockets, lost)
        if relink == step.relink:
            changed.append(step)
        else:
            changed.append(step._replace(relink=relink, undo=managed_steps.stub_again(policy, relink)))
        why = resolving.breaks(resolver, step.sockets, lost) if step.settings else ""
        if why:
            broken[step] = why
    judged = steps.refuse(ports, list(broken), lambda step: reasons.would_break_dns(step.target, broken[step]))
    alone = () if any(step.settings for step in planned) else resolving.unresolved(resolver, lost)
    warnings = tuple(
        "this host resolves names by %s alone, which is stopped: names are not resolved until a server is there again"
        % ", ".join(alone)
        for _once in alone[:1]
    )
    return judged, changed, warnings


def _lost(snapshot: Snapshot, resolver: Resolver, planned: t.Sequence[Step]) -> t.FrozenSet[str]:
    """The name servers of this host that nobody serves any more when the plan is done."""
    ending = {pid for step in planned if not step.settings for pid in managed_steps.ending(snapshot, step)}
    stopped = {step.container.id for step in planned if step.container is not None}
    leaving = {
        row for step in planned for row in step.sockets if not step.settings or resolving.frees(step.settings, row)
    }
    rows = [row for row in snapshot.sockets + snapshot.other_sockets if row.state in (LISTEN, UNCONN)]
    lost = set()
    for server in {*resolver.upstreams, *resolver.servers}:
        serving = [row for row in rows if resolving.serves(row.address, row.port, server, resolver.local, row.v6only)]
        # A server that nobody is seen to serve is another host, or a container behind the firewall's rules.
        gone = [row for row in serving if row in leaving or _ends(snapshot, row.inode, ending)]
        others = [container for container in snapshot.containers if _publishes(container, server, resolver)]
        left = [container for container in others if container.id not in stopped]
        if (serving or others) and len(gone) == len(serving) and not left:
            lost.add(server)
    return frozenset(lost)


def _ends(snapshot: Snapshot, inode: int, ending: t.AbstractSet[int]) -> bool:
    owners = set(snapshot.owners.get(inode, ())) - {1}
    return bool(owners) and owners <= ending


def _publishes(container: Container, server: str, resolver: Resolver) -> bool:
    return any(resolving.serves(one.address, one.port, server, resolver.local) for one in container.published)
