# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import files


def test_a_new_file_in_a_new_folder_is_for_its_owner_alone(tmp_path):
    path = tmp_path / "a" / "b" / "report.json"
    files.write(str(path), "é\n", 0o600)
    assert path.read_bytes() == "é\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_the_mode_is_what_was_asked_for_whatever_the_umask_says(tmp_path, mode):
    old = os.umask(0o077)
    try:
        files.write(str(tmp_path / "x"), "", mode)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == mode


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "report.json").symlink_to("theirs")
    files.write(str(tmp_path / "report.json"), "ours", 0o600)
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert not (tmp_path / "report.json").is_symlink()


@pytest.mark.parametrize("step", ["fsync", "replace", "fchmod"])
def test_when_it_fails_the_old_file_is_still_there_and_no_half_of_a_new_one(tmp_path, monkeypatch, step):
    path = tmp_path / "report.json"
    path.write_text("old")

    def full(*_unused, **_unused_too):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, step, full)
    with pytest.raises(files.FileError, match=r"dest: .*report\.json can't be written: No space left on device"):
        files.write(str(path), "new", 0o600)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(files.FileError, match="dest"):
        files.write(str(tmp_path / "a" / "report.json"), "", 0o600)


def test_reading(tmp_path, monkeypatch):
    path = tmp_path / "x"
    assert files.read(str(path)) is None
    path.write_bytes(b"abc")
    assert files.read(str(path)) == b"abc"
    monkeypatch.setattr(files, "LARGEST", 2)
    with pytest.raises(files.FileError, match="larger"):
        files.read(str(path))
    with pytest.raises(files.FileError, match="can't be read"):
        files.read(str(tmp_path))


@pytest.mark.parametrize(("value", "mode"), [("0600", 0o600), ("644", 0o644), ("0640", 0o640), (600, 0o600)])
def test_modes(value, mode):
    assert files.parse_mode(value) == mode


@pytest.mark.parametrize("value", ["", "0400", "u=rw", "0999", "01777", 384, -1, None, True, "0600\n"])
def test_modes_that_are_none(value):
    with pytest.raises(files.FileError, match="mode: "):
        files.parse_mode(value)
