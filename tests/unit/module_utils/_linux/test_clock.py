# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One bound for all that is asked within a look: real commands that don't answer."""

from __future__ import annotations

import time

import pytest
from ansible_collections.harbormaster.ports.plugins.module_utils._linux import command
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.clock import Clock
from ansible_collections.harbormaster.ports.plugins.module_utils._linux.together import Question, together


def test_a_question_may_take_its_own_bound_or_what_is_left():
    clock = Clock(2.0)
    assert clock.left(0.5) == 0.5
    assert 1.5 < clock.left(5.0) <= 2.0 and not clock.over
    over = Clock(0.0)
    assert over.over and over.left(5.0) == 0.0


def test_many_that_do_not_answer_cost_as_much_as_one():
    clock = Clock(1.0)
    began = time.monotonic()
    found = together([lambda: command.run(["sleep", "60"], clock.left(5.0)) for _number in range(8)], clock)
    assert time.monotonic() - began < 4.0
    assert [answer is None or answer.timed_out for answer in found] == [True] * 8


def test_one_that_answers_is_heard_beside_one_that_hangs():
    clock = Clock(1.0)
    said, nothing = together(
        [lambda: command.run(["echo", "here"], clock.left()), lambda: command.run(["sleep", "60"], clock.left())], clock
    )
    assert said.stdout.strip() == "here"
    assert nothing is None or nothing.timed_out


def test_who_ignores_every_bound_is_left_behind():
    began = time.monotonic()
    assert together([lambda: time.sleep(20)], Clock(0.2)) == [None]
    assert time.monotonic() - began < 5.0


def test_an_error_is_raised_where_the_answer_is_asked_for():
    def fail():
        raise ValueError("x")

    question = Question(fail)
    with pytest.raises(ValueError, match="x"):
        question.answer(Clock())


def test_when_no_time_is_left_nothing_is_started():
    answer = command.run(["touch", "/does/not/matter"], Clock(0.0).left())
    assert answer.status is None and "no time was left to ask touch" in answer.problem
