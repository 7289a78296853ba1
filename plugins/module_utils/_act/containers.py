# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping containers through their engines. Private to harbormaster.ports.

The engine is asked to stop the container: it sends the container's own stop signal, waits for as long as the container
is configured to need, and kills it then. Never `kill`, never a signal to the inner process: the engine would take that
for a crash and start it again.

Before it is asked, the container is looked at again: by its id, and by when it was started. What an engine has been
asked for it goes on with, also when we wait no longer; a podman command that is ended in its wait leaves the
container told, but not killed.

Where the stop is to last, the restart policy is changed afterwards: a stop that fails leaves it as it was, and a
container that was stopped by request is not started again before its engine is.
"""

from __future__ import annotations

import os
import threading
import time
import typing as t

from ansible_collections.harbormaster.ports.plugins.module_utils._errors import NOT_PERMITTED, STEP_FAILED, STILL_HELD
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import answers, command, engine_api, evidence
from ansible_collections.harbormaster.ports.plugins.module_utils._model import Container, Eyes, Outcome, Refusal, Step

# Seconds for a question that changes nothing.
_LOOK = 5.0
# Containers that are stopped at a time, so that their grace periods run side by side.
_WORKERS = 8
_PAUSE = 0.05
_ALIVE = ("running", "paused", "restarting", "stopping", "removing")
_RESTARTED = ("always", "unless-stopped", "on-failure")


class _Silent(Exception):
    """The engine did not do what was asked, or can't be asked.

    :param late: it had not answered when the time was over.
    :param sent: it got the question.
    :param closed: the account that asks may not.
    """

    def __init__(self, why: str, late: bool = False, sent: bool = True, closed: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.late = late
        self.sent = sent
        self.closed = closed


class _State(t.NamedTuple):
    """How a container is now.

    :param word: the engine's own: ``running``, ``paused``, ``exited`` ...; empty when there is no such container.
    """

    word: str = ""
    started: str = ""

    @property
    def alive(self) -> bool:
        """Whether it still has its ports."""
        return self.word in _ALIVE


def stop(steps: t.Sequence[Step], eyes: Eyes, number_of: t.Callable[[str], int]) -> t.List[Outcome]:
    """Stop the containers of these steps, those of Docker side by side.

    :returns: one Outcome for each step, in their order. Never raises for what an engine does.
    """
    del number_of
    listed = {row.inode for row in eyes.rows()} if any(step.inodes for step in steps) else set()
    outcomes: t.Dict[int, Outcome] = {}
    waiting = [index for index, step in enumerate(steps) if step.container and _is_side_by_side(step.container)]

    def work() -> None:
        while waiting:
            try:
                index = waiting.pop(0)
            except IndexError:
                # another worker was faster
                return
            outcomes[index] = _stop(steps[index], listed)

    workers = [threading.Thread(target=work, daemon=True) for _number in range(min(_WORKERS, len(waiting)) - 1)]
    for worker in workers:
        worker.start()
    work()
    for worker in workers:
        worker.join()
    # Podman is a command, and engines of other accounts are asked as these: a process with threads should not fork.
    for index, step in enumerate(steps):
        if index not in outcomes:
            outcomes[index] = _stop(step, listed)
    return [outcomes[index] for index in range(len(steps))]


def _is_side_by_side(container: Container) -> bool:
    return container.engine == "docker" and (container.user or 0) in evidence.accounts()


def _stop(step: Step, listed: t.AbstractSet[int]) -> Outcome:
    began = time.monotonic()
    container = step.container
    if container is None or container.engine not in _ENGINES:
        unknown = Refusal(
            STEP_FAILED, "%s can't be stopped: its engine is not known here" % step.target, "stop it by hand"
        )
        return Outcome(step, "failed", error=unknown)
    if step.inodes and not step.inodes & listed:
        return Outcome(step, "gone")
    result, acted, error = _Stop(step, container, _ENGINES[container.engine](container)).carried_out()
    return Outcome(step, result, acted, time.monotonic() - began, error=error)


_Ending = t.Tuple[str, bool, t.Optional[Refusal]]


class _Stop:
    """One container on its way down."""

    def __init__(self, step: Step, container: Container, engine: _Engine) -> None:
        self.step = step
        self.container = container
        self.engine = engine
        self.until = time.monotonic() + step.grace

    def carried_out(self) -> _Ending:
        """Result, whether anything was really asked for, and what went wrong."""
        try:
            before = self.engine.state()
        except _Silent as silence:
            code = NOT_PERMITTED if silence.closed else STEP_FAILED
            remedy = "run the task with become: true" if silence.closed else self.engine.advice
            return self._failed(code, "was not stopped: %s" % silence.why, False, remedy)
        if not before.alive or not _is_this_run(self.container, before):
            return "gone", False, None
        problem: t.Optional[_Silent] = None
        asked = True
        try:
            asked = self.engine.stop(max(self.until - time.monotonic(), 0.1))
        except _Silent as silence:
            problem, asked = silence, silence.sent
        return self._ended(problem, asked)

    def _ended(self, problem: t.Optional[_Silent], asked: bool) -> _Ending:
        """The end of the story, by what the container is like when its engine has answered or the time is over."""
        try:
            after = self.engine.state()
            while after.alive and problem is None and time.monotonic() < self.until:
                time.sleep(_PAUSE)
                after = self.engine.state()
        except _Silent as silence:
            told = "was asked to stop" if asked else "was not asked to stop"
            why = "%s, and whether it still runs can't be told: %s" % (told, silence.why)
            return self._failed(STEP_FAILED, why, asked, self.engine.advice)
        if after.alive and problem is not None and not problem.late:
            return self._failed(
                STEP_FAILED, "was not stopped, it is %s: %s" % (after.word, problem.why), asked, self.engine.advice
            )
        if after.alive:
            why = "was asked to stop and is %s after %g s; %s" % (after.word, self.step.grace, self.engine.goes_on)
            return self._failed(STILL_HELD, why, asked, "give it more time with grace_period")
        if not asked:
            return "gone", False, None
        if self.step.persist and after.word and self.container.restart not in ("", "no"):
            try:
                self.engine.keep_down()
            except _Silent as silence:
                why = "was stopped, but its restart policy is still %s: %s" % (self.container.restart, silence.why)
                return self._failed(STEP_FAILED, why, True, "run: " + self.engine.update_command)
        return "done", True, None

    def _failed(self, code: str, why: str, acted: bool, remedy: str) -> _Ending:
        return "failed", acted, Refusal(code, "%s %s" % (self.step.target, why), remedy)


def _is_this_run(container: Container, state: _State) -> bool:
    """Whether it is still the run that was judged, or one that its engine has started again by itself."""
    return state.started == container.started or container.restart in _RESTARTED


class _Engine:
    """What is asked of an engine for one container."""

    # What becomes of a stop that was not waited for.
    goes_on = ""

    def __init__(self, container: Container) -> None:
        self.container = container

    @property
    def advice(self) -> str:
        """What to look at when it does not answer."""
        raise NotImplementedError

    @property
    def update_command(self) -> str:
        """The command that keeps the container down."""
        raise NotImplementedError

    def state(self) -> _State:
        """How the container is now."""
        raise NotImplementedError

    def stop(self, seconds: float) -> bool:
        """Have it stopped, and wait so long for that; False when there was nothing to stop."""
        raise NotImplementedError

    def keep_down(self) -> None:
        """Change its restart policy to ``no``."""
        raise NotImplementedError


class _Docker(_Engine):
    """A Docker engine, over its socket."""

    goes_on = "its engine goes on with that"

    @property
    def advice(self) -> str:
        return "look whether its engine is well: docker -H unix://%s ps" % self.container.endpoint

    @property
    def update_command(self) -> str:
        return "docker -H unix://%s update --restart=no %s" % (self.container.endpoint, _name(self.container))

    def state(self) -> _State:
        answer = self._ask("json", _LOOK)
        if answer.status == 404:
            return _State()
        if not answer.good:
            raise _Silent(answer.words)
        return _State(
            answers.text(answer.content, "State", "Status"), answers.text(answer.content, "State", "StartedAt")
        )

    def stop(self, seconds: float) -> bool:
        # Without a limit of ours: the container's own stop timeout holds.
        answer = self._ask("stop", seconds, post=True)
        if not answer.good and answer.status != 404:
            raise _Silent(answer.words)
        # 304: it had ended already; 404: and was deleted.
        return 200 <= answer.status < 300

    def keep_down(self) -> None:
        answer = self._ask("update", _LOOK, {"RestartPolicy": {"Name": "no"}}, post=True)
        if not answer.good:
            raise _Silent(answer.words)

    def _ask(self, what: str, seconds: float, body: t.Any = None, post: bool = False) -> engine_api.Answer:
        path = "/containers/%s/%s" % (self.container.id, what)
        try:
            # Whoever else listens there is not the engine that told of this container: who it is, is looked at each time.
            return engine_api.ask(self.container.endpoint, path, seconds, self.container.user or 0, body, post)
        except engine_api.EngineSilent as silence:
            why = "the engine at %s: %s" % (self.container.endpoint, silence.why)
            raise _Silent(why, silence.late, silence.sent, silence.refused) from None


class _Podman(_Engine):
    """Podman's command, as the account whose container it is. A pod is stopped as a whole: its ports are of all of it."""

    goes_on = "podman was ended in its wait, so that nothing will kill the container"

    @property
    def advice(self) -> str:
        return "look what hinders it: %s" % self._as_its_user("ps")

    @property
    def update_command(self) -> str:
        return self._as_its_user("update --restart=no %s" % _name(self.container))

    def state(self) -> _State:
        answer = self._run(("container", "inspect", self.container.id), _LOOK)
        found = answers.objects({"all": answers.decoded(answer.stdout)}, "all")
        if found:
            return _State(answers.text(found[0], "State", "Status"), answers.text(found[0], "State", "StartedAt"))
        if "no such " in answer.stderr.lower():
            return _State()
        raise _Silent(answer.problem or "podman does not say how it is", late=answer.timed_out)

    def stop(self, seconds: float) -> bool:
        pod = self.container.pod
        answer = self._run(("pod", "stop", pod) if pod else ("stop", self.container.id), seconds)
        if answer.problem:
            raise _Silent(answer.problem, late=answer.timed_out, sent=not answer.not_started)
        return True

    def keep_down(self) -> None:
        answer = self._run(("update", "--restart", "no", self.container.id), _LOOK)
        if answer.problem:
            raise _Silent(answer.problem)

    def _as_its_user(self, words: str) -> str:
        """A command for people; run by another user it is about other containers."""
        user = self.container.user
        return "podman %s%s" % (words, "" if user is None else " (as uid %d)" % user)

    def _run(self, words: t.Tuple[str, ...], seconds: float) -> command.Answer:
        user = 0 if self.container.user is None else self.container.user
        uid = None if user == os.geteuid() else user
        return command.run(
            self.container.command + words, seconds, uid=uid, environment=dict(self.container.environment)
        )


_ENGINES: t.Mapping[str, t.Type[_Engine]] = {"docker": _Docker, "podman": _Podman}


def _name(container: Container) -> str:
    return container.name or container.id[:12]
