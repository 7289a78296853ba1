# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a fleet: from what each host has registered to one page and its JSON, on the controller.

plugins/modules/fleet_report.py has the documentation. No host is asked for anything here, so there is no connection, no
become and no interpreter; all that is made of the hosts' words is made in plugin_utils/_fleet.
"""

from __future__ import annotations

import os
import time
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible_collections.harbormaster.ports.plugins.plugin_utils._fleet import (
    baseline,
    document,
    files,
    listeners,
    page,
    plan,
    table,
)
from ansible_collections.harbormaster.ports.plugins.plugin_utils._plan import PlanError

Mapping = t.Mapping[str, t.Any]

ARGUMENTS = {
    "hosts": {"type": "list", "elements": "str"},
    "facts_variable": {"type": "str"},
    "result_variable": {"type": "str"},
    "plan_variable": {"type": "str"},
    "plan": {"type": "raw"},
    "dest": {"type": "path"},
    "baseline": {"type": "path"},
    "commands": {"type": "bool", "default": False},
    "title": {"type": "str", "default": "Ports of the fleet"},
    "mode": {"type": "raw", "default": "0600"},
    "table": {"type": "bool", "default": True},
    "table_rows": {"type": "int", "default": 40},
}
MOST_TABLE_ROWS = 10000


class ActionModule(ActionBase):  # type: ignore[misc]
    """What Ansible looks for in this file."""

    # One report for the whole play, also where nobody wrote run_once.
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Any = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """Make the report; everything that can go wrong is one sentence."""
        result = super().run(tmp, task_vars)
        _unused, args = self.validate_argument_spec(
            argument_spec=ARGUMENTS,
            mutually_exclusive=[("plan", "plan_variable")],
            required_one_of=[("facts_variable", "result_variable")],
        )
        try:
            result.update(self._report(args, task_vars or {}, files.parse_mode(args["mode"])))
        except (files.FileError, PlanError) as error:
            raise AnsibleActionFail(str(error)) from error
        return result

    def _report(self, args: Mapping, task_vars: t.Dict[str, t.Any], mode: int) -> t.Dict[str, t.Any]:
        if not 0 <= args["table_rows"] <= MOST_TABLE_ROWS:
            raise files.FileError(
                "table_rows: %d is not usable: 0 to %d are allowed" % (args["table_rows"], MOST_TABLE_ROWS)
            )
        frame = document.Frame(
            generated=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            title=args["title"],
            collection=_own_version(),
            ansible=ansible_version,
            facts_asked=args["facts_variable"] is not None,
            commands=args["commands"],
        )
        earlier, notices, problem = self._baseline(args["baseline"], frame)
        report = document.assemble(frame, self._hosts(args, task_vars), earlier, notices)
        numbers = report["summary"]
        answer: t.Dict[str, t.Any] = {
            "changed": args["dest"] is not None,
            "msg": document.sentence(numbers),
            "summary": numbers,
            "table": table.lines(report, args["table_rows"]),
            "html": None,
            "json": None,
        }
        if args["dest"] is not None:
            answer.update(self._write(report, args["dest"], mode))
        if args["table"]:
            for line in answer["table"]:
                self._display.display(line)
        if notices:
            answer["warnings"] = [notice["text"] for notice in notices]
        if problem:
            answer.update(failed=True, reason="bad_baseline", msg="%s; %s" % (problem, answer["msg"]))
        return answer

    def _hosts(self, args: Mapping, task_vars: t.Dict[str, t.Any]) -> t.List[document.Given]:
        """What the run knows of each host. Results are taken as they are: text of a host is never a template."""
        in_play = list(task_vars.get("ansible_play_hosts_all") or [])
        active = set(task_vars.get("ansible_play_hosts") or [])
        groups: t.Dict[str, t.List[str]] = {}
        for group, members in sorted((task_vars.get("groups") or {}).items()):
            if group not in ("all", "ungrouped"):
                for member in members:
                    groups.setdefault(member, []).append(group)
        literal = None if args["plan"] is None else plan.parse(args["plan"], "plan")
        mine = task_vars["hostvars"].raw_get(task_vars["inventory_hostname"]) if in_play else {}
        found = []
        for name in dict.fromkeys(args["hosts"] if args["hosts"] is not None else in_play):
            here = name in in_play
            raw = task_vars["hostvars"].raw_get(name) if here else {}
            own = raw if isinstance(raw, t.Mapping) else {}
            items, why = literal, None
            if literal is None and here:
                items, why = self._plan(args["plan_variable"], task_vars, own, mine)
            found.append(
                document.Given(
                    name,
                    in_play=here,
                    active=name in active,
                    groups=tuple(groups.get(name, ())),
                    facts=_registered(own, args["facts_variable"]),
                    result=_registered(own, args["result_variable"]),
                    items=items,
                    plan_error=why,
                )
            )
        return found

    def _plan(
        self, name: t.Optional[str], task_vars: t.Dict[str, t.Any], own: Mapping, mine: Mapping
    ) -> t.Tuple[t.Optional[t.Tuple[plan.Item, ...]], t.Optional[str]]:
        """The plan of one host, and why it is not usable.

        A variable of the play, or of a role, is not among those that one host has of another, so it is taken from those of the
        host that this task runs for, unless it is that host's own. One of the play beats those of the inventory.

        :param own: the variables of the host. :param mine: those of the host that this task runs for.
        """
        if name is None:
            return None, None
        of_play = self._task.get_play().get_vars()
        plays = name in of_play and task_vars.get(name) == of_play[name]
        if name in own and not plays:
            value, known = own[name], {"hostvars": task_vars["hostvars"], **own}
        elif name in task_vars and (plays or name not in mine or task_vars[name] != mine[name]):
            value, known = task_vars[name], {**task_vars, **own}
        else:
            return None, None
        try:
            given = self._templar.copy_with_new_env(available_variables=known).template(value)
            return (plan.parse(given, name) if given is not None else None), None
        except (AnsibleError, PlanError) as error:
            return None, str(error)

    def _baseline(
        self, path: t.Optional[str], frame: document.Frame
    ) -> t.Tuple[t.Optional[document.Document], t.List[t.Dict[str, str]], t.Optional[str]]:
        """The earlier report, what to say of it on the page, and why the task fails in the end."""
        if path is None:
            return None, [], None
        path = self._place(path)
        problem = None
        try:
            data = files.read(path)
            if data is not None:
                return baseline.read(data, "all" if frame.facts_asked else "plan"), [], None
            text = "baseline: there is no file %s: nothing is compared" % path
        except (files.FileError, baseline.BaselineError) as error:
            text = problem = "baseline: %s is not usable: %s" % (path, error)
        code = "bad_baseline" if problem else "no_baseline"
        return None, [{"code": code, "text": listeners.clean(text, listeners.LONGEST_MESSAGE) or ""}], problem

    def _write(self, report: document.Document, dest: str, mode: int) -> t.Dict[str, t.Any]:
        folder = self._place(dest)
        paths = {kind: os.path.join(folder, "report." + kind) for kind in ("html", "json")}
        answer: t.Dict[str, t.Any] = dict(paths)
        if self._task.diff:
            answer["diff"] = {
                "before_header": paths["json"],
                "after_header": paths["json"],
                "before": _told(paths["json"]),
                "after": _lines(report["generated"], report["summary"]),
            }
        if not self._task.check_mode:
            text = page.to_json(report)
            files.write(paths["json"], text, mode)
            files.write(paths["html"], page.to_html(report, text), mode)
        return answer

    def _place(self, path: str) -> str:
        """Where a relative path begins: where ansible-playbook was started, as with all files of the controller's user."""
        return os.path.abspath(os.path.expanduser(path))


def _registered(own: Mapping, name: t.Optional[str]) -> t.Optional[Mapping]:
    value = own.get(name) if name else None
    return value if isinstance(value, t.Mapping) else None


def _told(path: str) -> str:
    """What the report that is there now says, for --diff; nothing where there is none, or none that can be read."""
    import json

    try:
        data = files.read(path)
        old = json.loads(data) if data else {}
        return _lines(str(old["generated"]), dict(old["summary"]))
    except (files.FileError, ValueError, KeyError, TypeError):
        return ""


def _lines(generated: str, numbers: t.Mapping[str, t.Any]) -> str:
    """The summary, a number a line."""
    lines = ["generated: %s" % generated]
    for key, value in numbers.items():
        if isinstance(value, t.Mapping):
            lines += ["%s.%s: %s" % (key, name, number) for name, number in value.items()]
        else:
            lines.append("%s: %s" % (key, value))
    return "".join(line + "\n" for line in lines)


def _own_version() -> str:
    """The version of this collection, out of what the installation or the checkout says; empty when neither does."""
    import json
    from pathlib import Path

    root = Path(__file__).resolve().parents[2]
    try:
        if (root / "MANIFEST.json").is_file():
            return str(json.loads((root / "MANIFEST.json").read_text(encoding="utf-8"))["collection_info"]["version"])
        lines = (root / "galaxy.yml").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("version:"))
    except (OSError, ValueError, KeyError, StopIteration):
        return ""
