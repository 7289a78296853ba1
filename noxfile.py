# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the collection, one session each. ``make help`` is the way in; ``make list`` shows all sessions.

antsibull-nox.toml configures the sessions that antsibull-nox brings. Every session installs one pinned file of
tests/requirements.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

try:
    import antsibull_nox
    from antsibull_nox.sessions.collections import prepare_collections
except ImportError:
    sys.exit("antsibull-nox is missing: use 'make', which sets up .venv, instead of another nox.")

ROOT = Path(__file__).resolve().parent
CACHE = ROOT / ".cache"
REQUIREMENTS = Path("tests", "requirements")
JUNIT = CACHE / "junit"

# Pythons of targets on which the unit tests run.
OLDEST_TARGET, NEWEST_TARGET = TARGET_PYTHONS = ("3.8", "3.13")

# ansible-core -> the Python its controller runs on here.
CORES = {"2.16": "3.11", "2.17": "3.11", "2.18": "3.12", "2.19": "3.12", "2.20": "3.13", "2.21": "3.13"}
OLDEST_CORE, NEWEST_CORE = min(CORES), max(CORES)

# The core of the demo and the benchmark: it runs on each Python that can run nox here.
MAIN_CORE = "2.19"

# All tests with all cores; make test-matrix asks for it. Else those that are marked for it run with the newest alone.
MATRIX = bool(os.environ.get("HARBORMASTER_MATRIX"))


# What ansible-test finds out about the documentation of plugins.
DOCUMENTED = ("validate-modules", "ansible-doc", "action-plugin-docs", "runtime-metadata", "ignores")

# The role and a rolling deploy on hosts with a systemd of their own too; elsewhere tests/fleet has network namespaces.
FLEET_IN_THE_LAB = (
    "tests/fleet/test_role.py::test_a_mixed_plan",
    "tests/fleet/test_role.py::test_check_mode_and_diff_tell_the_truth",
    "tests/fleet/test_rolling.py::test_a_protected_holder_stops_its_host_only",
)


def _pythons_first_on_path() -> None:
    """Put one link per real interpreter first on PATH, and take pyenv's shims off it.

    A shim answers for Pythons that are not switched on and fails when it is called, which ansible-test, trying all
    that it knows, takes for a broken Python.
    """
    links = CACHE / "pythons"
    links.mkdir(parents=True, exist_ok=True)
    for version in sorted({*TARGET_PYTHONS, *CORES.values(), "3.9", "3.10"}):
        found = subprocess.run([ROOT / "scripts" / "find-python", version], capture_output=True, text=True, check=False)
        link = links / ("python%s" % version)
        wanted = found.stdout.strip()
        if found.returncode == 0 and not (link.is_symlink() and os.readlink(link) == wanted):
            # Replaced in one step: another nox may be running.
            fresh = links / ("new-%s-%d" % (version, os.getpid()))
            fresh.symlink_to(wanted)
            fresh.replace(link)
    path = [entry for entry in os.environ["PATH"].split(os.pathsep) if Path(entry).name != "shims"]
    os.environ["PATH"] = os.pathsep.join([str(links), *path])


def _collections_path() -> str:
    """A directory in which this checkout has its name as a collection; tests/conftest.py makes the same one."""
    path = CACHE / "collections"
    link = path / "ansible_collections" / "harbormaster" / "ports"
    link.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(os.path.relpath(ROOT, link.parent))
    return str(path)


def _install(session: nox.Session, name: str, *args: str) -> None:
    session.install("--quiet", *args, "-r", str(REQUIREMENTS / ("%s.txt" % name)))


def _pytest(session: nox.Session, name: str, *args: str) -> None:
    session.run("python", "-m", "pytest", "--junitxml", str(JUNIT / ("%s.xml" % name)), *args)


_pythons_first_on_path()
nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["style"]
antsibull_nox.load_antsibull_nox_toml()


@nox.session
def style(session: nox.Session) -> None:
    """Formatting, lint and types; with the argument 'fix' it formats and repairs what it can."""
    _install(session, "lint")
    if session.posargs == ["fix"]:
        session.run("ruff", "format")
        session.run("ruff", "check", "--fix")
    else:
        session.run("ruff", "format", "--check")
        session.run("ruff", "check")
    plugins = "ansible_collections.harbormaster.ports.plugins."
    packages = [word for name in ("module_utils", "plugin_utils") for word in ("-p", plugins + name)]
    session.run("mypy", *packages, env={"MYPYPATH": _collections_path()})


@nox.session(python=TARGET_PYTHONS)
def units(session: nox.Session) -> None:
    """Unit tests, on the oldest and the newest Python of targets."""
    _install(session, "units")
    if session.python == OLDEST_TARGET:
        # module_utils of ansible-core run on older Pythons than the controller: take the oldest core's as they are.
        pins = (REQUIREMENTS / ("core-%s.txt" % OLDEST_CORE)).read_text().splitlines()
        pin = next(line for line in pins if line.startswith("ansible-core=="))
        session.install("--quiet", "--no-deps", "--ignore-requires-python", pin)
    else:
        # With all that it needs: filters and tests run on the controller.
        _install(session, "core-%s" % NEWEST_CORE)
    # What is only counted and compared is the same on each Python.
    some = ["-m", "not pure"] if session.python == OLDEST_TARGET and not MATRIX else []
    _pytest(session, "units-%s" % session.python, "-n", "2", *some, *(session.posargs or ["tests/unit"]))


@nox.session(python="3.12")
def integration(session: nox.Session) -> None:
    """Tests on real sockets and processes; the short names also with each core that a target session has set up."""
    session.run("scripts/install-oracles", external=True)
    _install(session, "units")
    _install(session, "core-%s" % NEWEST_CORE)
    suites = [suite for suite in ("tests/zoo", "tests/contrib") if list(Path(suite).rglob("test_*.py"))]
    # The session has the newest core itself.
    newest = "target-%s" % NEWEST_CORE.replace(".", "-")
    others = sorted(path for path in Path(".nox").absolute().glob("target-*/bin") if path.parent.name != newest)
    session.env["HARBORMASTER_ANSIBLE_BIN"] = os.pathsep.join([session.bin, *(str(folder) for folder in others)])
    # What is broken at the root breaks every test, each after its wait: the first ones tell enough.
    _pytest(session, "integration", "-n", "3", "--maxfail=30", *(session.posargs or suites))


@nox.session(python="3.12")
def attacks(session: nox.Session) -> None:
    """What an account without rights sets up, and what the module makes of it as root. Needs root."""
    session.run("scripts/install-oracles", external=True)
    _install(session, "units")
    _install(session, "core-%s" % NEWEST_CORE)
    _pytest(session, "attacks", "-n", "3", *(session.posargs or ["tests/attacks"]))


@nox.session(python="3.12")
def lab(session: nox.Session) -> None:
    """Plays over ssh against real systemd hosts; the lab is taken down again unless it was up before."""
    was_up = (CACHE / "lab" / "lab.json").exists()
    # 3: this machine can't have one, which the tests judge: skipped with the reason, or with CI=true failed.
    session.run("scripts/lab/lab", "up", external=True, success_codes=[0, 3])
    try:
        _install(session, "units")
        _install(session, "core-%s" % NEWEST_CORE)
        _pytest(session, "lab", "-n", "3", "--dist", "worksteal", *(session.posargs or ["tests/lab"]))
        inventory = CACHE / "lab" / "inventory.yml"
        if inventory.exists() and not session.posargs:
            session.env["HARBORMASTER_FLEET_INVENTORY"] = str(inventory)
            _pytest(session, "lab-fleet", *FLEET_IN_THE_LAB)
    finally:
        if not was_up:
            session.run("scripts/lab/lab", "down", external=True, success_codes=[0, 3])


def _core_package(session: nox.Session, core: str) -> Path:
    """The ``bin`` of an ansible-core beside the session's own, for tests that ask each one; made once for its pins."""
    pins = REQUIREMENTS / ("core-%s.txt" % core)
    folder = CACHE / "cores" / core
    stamp = folder / "pins.txt"
    if not (stamp.exists() and stamp.read_text() == pins.read_text()):
        session.run("python%s" % CORES[core], "-m", "venv", "--clear", str(folder), external=True)
        session.run(
            str(folder / "bin" / "pip"),
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            str(pins),
            external=True,
        )
        stamp.write_text(pins.read_text())
    return folder / "bin"


@nox.session(python="3.12")
def windows(session: nox.Session) -> None:
    """The Windows half: compiled and run under Wine, its modules as ansible-core sends them. Needs root on Debian."""
    folders = [_core_package(session, core) for core in (CORES if MATRIX else (OLDEST_CORE, NEWEST_CORE))]
    _install(session, "units")
    _install(session, "core-%s" % NEWEST_CORE)
    _install(session, "windows")
    session.env["HARBORMASTER_ANSIBLE_BIN"] = os.pathsep.join(str(folder) for folder in folders)
    _pytest(session, "windows", "-n", "2", "--dist", "loadfile", *(session.posargs or ["tests/windows"]))


@nox.session(python="3.12")
def report(session: nox.Session) -> None:
    """The fleet report's page in a real browser; its pictures are in tests/output/report."""
    session.run("scripts/install-browser", external=True)
    _install(session, "report")
    _install(session, "core-%s" % NEWEST_CORE)
    _pytest(session, "report", *(session.posargs or ["tests/report"]))


@nox.session(name="report-demo", python="3.12")
def report_demo(session: nox.Session) -> None:
    """Sample reports in build/report: this machine, a fleet of 500 that does not exist, and the hosts of an inventory."""
    _install(session, "core-%s" % MAIN_CORE)
    env = {"ANSIBLE_COLLECTIONS_PATH": _collections_path(), "PYTHONPATH": _collections_path()}
    session.run("scripts/demo/report", *session.posargs, external=True, env=env)


def _private_home() -> Path:
    """A home directory for ansible-test, so that its environments and its pip stay out of the user's own.

    ansible-test fetches get-pip from a site of its own. A stand-in that runs ensurepip, in the place where it caches
    the download, needs no site but the package index.
    """
    home = CACHE / "home"
    for name in (".config", ".pip", ".netrc", ".cache/pip"):
        real, link = Path.home() / name, home / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if real.exists():
            with contextlib.suppress(FileExistsError):  # from an earlier run, or one at the same time
                link.symlink_to(real)
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    return home


def _pip_stand_ins(session: nox.Session, home: Path) -> None:
    """One stand-in for each pip release that this ansible-core may ask for."""
    found = session.run("python", "-c", PIP_VERSIONS, silent=True) or ""
    for version in found.split():
        path = home / ".ansible" / "test" / "cache" / ("get_pip_%s.py" % version.replace(".", "_"))
        path.write_text((ROOT / "scripts" / "get_pip_stand_in.py").read_text())


PIP_VERSIONS = """
import pathlib, re, ansible_test._internal.python_requirements as module
text = pathlib.Path(module.__file__).read_text()
print(*sorted(set(re.findall(r"pip='([0-9.]+)'", text))))
"""


def _ansible_test(session: nox.Session, *commands: list[str]) -> None:
    """Run ansible-test commands in a copy of the tree that has the path ansible_collections/harbormaster/ports."""
    home = _private_home()
    _pip_stand_ins(session, home)
    prepared = prepare_collections(session, install_in_site_packages=False, install_out_of_tree=True)
    if prepared is None:
        session.error("ansible-test needs an environment of its own: don't use --no-venv.")
    with session.chdir(prepared.current_path):
        for command in commands:
            session.run("ansible-test", *command, env={"HOME": str(home)})


def _core_session(core: str) -> None:
    @nox.session(name="sanity-%s" % core, python=CORES[core])
    def sanity(session: nox.Session) -> None:
        _install(session, "core-%s" % core)
        # validate-modules calls PowerShell for each .ps1. Where there is none, they are left to tests/windows/test_powershell.py.
        scripts = [] if shutil.which("pwsh") else sorted(Path("plugins", "modules").glob("*.ps1"))
        excluded = [word for path in scripts for word in ("--exclude", str(path))]
        common = ["sanity", "--venv", "--color", "no", *excluded]
        if core == OLDEST_CORE and not MATRIX and not session.posargs:
            # The newest core's checks are the stricter ones. The oldest one has an older Python, and judges what is documented.
            old = ["--python", OLDEST_TARGET, "--test", "import", "--test", "compile"]
            documented = [word for test in DOCUMENTED for word in ("--test", test)]
            _ansible_test(session, [*common, *old], [*common, *documented])
        else:
            # pylint takes minutes, and is the same for all; of the tests in the matrix only.
            commands = [[*common, "--skip-test", "pylint", *session.posargs]]
            if core == NEWEST_CORE and not session.posargs:
                commands.append([*common, "--test", "pylint", *([] if MATRIX else ["plugins/"])])
            _ansible_test(session, *commands)

    sanity.__doc__ = "ansible-test sanity with ansible-core %s." % core

    @nox.session(name="target-%s" % core, python=CORES[core])
    def target(session: nox.Session) -> None:
        _install(session, "core-%s" % core)
        # A target's Python may be older than the controller's: the oldest core drives the oldest.
        target_python = OLDEST_TARGET if core == OLDEST_CORE else CORES[core]
        hosts = ["--controller", "origin:python=%s" % CORES[core], "--target", "controller:python=%s" % target_python]
        _ansible_test(
            session,
            ["integration", "--color", "no", *hosts, *(session.posargs or ["port_owner", "listen_ports_facts"])],
        )

    target.__doc__ = "ansible-test integration with ansible-core %s, on this machine." % core

    @nox.session(name="fleet-%s" % core, python=CORES[core])
    def fleet(session: nox.Session) -> None:
        session.run("scripts/install-oracles", external=True)
        _install(session, "units")
        _install(session, "core-%s" % core)
        some = [] if core == NEWEST_CORE else ["-m", "not newest" if MATRIX else "not newest and not matrix"]
        _pytest(session, "fleet-%s" % core, "-n", "2", *some, *(session.posargs or ["tests/fleet"]))

    fleet.__doc__ = "The role and the playbooks on several hosts over ssh, installed, with ansible-core %s." % core


for _core in CORES:
    _core_session(_core)


@nox.session
def changelog(session: nox.Session) -> None:
    """The changelog's fragments."""
    _install(session, "changelog")
    session.run("antsibull-changelog", "lint")


@nox.session
def demo(session: nox.Session) -> None:
    """Who holds a port, free it, and once more, on this machine."""
    _install(session, "core-%s" % MAIN_CORE)
    session.run("scripts/demo/run", external=True, env={"ANSIBLE_COLLECTIONS_PATH": _collections_path()})


@nox.session
def bench(session: nox.Session) -> None:
    """Our lookup beside ss, lsof, fuser, netstat and psutil, in pairs; the whole task beside ansible.builtin.ping."""
    session.run("scripts/install-oracles", external=True)
    _install(session, "units")
    _install(session, "core-%s" % MAIN_CORE)
    env = {"ANSIBLE_COLLECTIONS_PATH": _collections_path(), "PYTHONPATH": _collections_path()}
    session.run("python", "tests/bench/bench.py", *session.posargs, env=env)
