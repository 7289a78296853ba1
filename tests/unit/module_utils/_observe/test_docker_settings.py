# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._observe import docker_settings


@pytest.mark.parametrize(
    ("command", "configuration", "shown"),
    [
        (b"/usr/sbin/dockerd\0-H\0fd://\0", b"", True),
        (b"/usr/sbin/dockerd\0", b'{"log-driver": "journald"}', True),
        (b"/usr/sbin/dockerd\0--userland-proxy=false\0", b"", False),
        (b"/usr/sbin/dockerd\0", b'{"userland-proxy": false}', False),
        (b"/usr/sbin/dockerd\0--config-file=/opt/docker.json\0", b"", False),
        (b"/usr/sbin/dockerd\0", None, False),
        (b"", b"", False),
    ],
)
def test_whether_a_closed_engine_shows_its_ports(command, configuration, shown, monkeypatch, tmp_path):
    """Only what can be told for sure spares a plain user the warning on a port that looks free."""
    monkeypatch.setattr(docker_settings, "_SWARM", str(tmp_path / "docker_gwbridge"))
    assert docker_settings.shows_its_ports(command, configuration) is shown
    (tmp_path / "docker_gwbridge").mkdir()
    assert not docker_settings.shows_its_ports(command, configuration), "ports of a swarm have no sockets"


def test_a_configuration_that_can_not_be_read(monkeypatch, tmp_path):
    monkeypatch.setattr(docker_settings, "_FILE", str(tmp_path / "daemon.json"))
    assert docker_settings.configuration() == b"", "none is the default one"
    (tmp_path / "daemon.json").mkdir()
    assert docker_settings.configuration() is None
