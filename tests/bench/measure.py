# Copyright (c) 2026, the harbormaster.ports contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two ways measured in turn, and what their ratio says about a target.

Machines are noisy, and a noisy minute hits both of a pair: so the ratio is taken within each pair, and the median of
these ratios is the result. Processor time stands beside it: other work on the machine hardly changes it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import subprocess
import time
import typing as t

WORDS = {True: "met", False: "missed", None: ""}


class Cost(t.NamedTuple):
    """One run: seconds on the clock, and seconds of processor time, 0 when it is not known."""

    wall: float
    cpu: float = 0.0


class Row(t.NamedTuple):
    """One line of the result.

    :param ratio: median of the pairs' ratios, None when there is none to be had.
    :param low: the ratio that a quarter of the pairs is below, and ``high`` the one that a quarter is above.
    :param cpu_ratio: the same of processor time.
    :param ours: seconds, median; ``other`` likewise.
    :param target: greatest ratio (or number of seconds, without ``other``) that is good enough; None: only for comparison.
    :param note: why there is no number.
    """

    topic: str
    what: str
    against: str
    ratio: t.Optional[float] = None
    low: t.Optional[float] = None
    high: t.Optional[float] = None
    cpu_ratio: t.Optional[float] = None
    ours: t.Optional[float] = None
    other: t.Optional[float] = None
    target: t.Optional[float] = None
    rounds: int = 0
    note: str = ""

    @property
    def met(self) -> t.Optional[bool]:
        if self.target is None or self.ours is None:
            return None
        return (self.ours if self.ratio is None else self.ratio) <= self.target


def pairs(
    topic: str,
    what: str,
    against: str,
    ours: t.Callable[[], Cost],
    other: t.Callable[[], Cost],
    rounds: int,
    target: t.Optional[float] = None,
) -> Row:
    """Run both in turn, ABAB. One that can't run leaves a note in place of numbers."""
    try:
        ours(), other()  # the first run of either fills caches
        measured = [(ours(), other()) for _unused in range(rounds)]
    except (OSError, RuntimeError) as error:
        return Row(topic, what, against, target=target, note=str(error))
    return row_of(topic, what, against, measured, target)


def row_of(
    topic: str, what: str, against: str, measured: t.Sequence[t.Tuple[Cost, Cost]], target: t.Optional[float]
) -> Row:
    ratios = sorted(ours.wall / other.wall for ours, other in measured)
    cpu_ratios = [ours.cpu / other.cpu for ours, other in measured if ours.cpu and other.cpu]
    return Row(
        topic,
        what,
        against,
        ratio=statistics.median(ratios),
        low=ratios[len(ratios) // 4],
        high=ratios[-1 - len(ratios) // 4],
        cpu_ratio=statistics.median(cpu_ratios) if cpu_ratios else None,
        ours=statistics.median(ours.wall for ours, _other in measured),
        other=statistics.median(other.wall for _ours, other in measured),
        target=target,
        rounds=len(measured),
    )


def seconds(topic: str, what: str, found: t.Sequence[float], target: float) -> Row:
    """A line that is about time itself: it has a target in seconds, and nothing to be compared with."""
    ordered = sorted(found)
    return Row(
        topic,
        what,
        "",
        low=ordered[len(ordered) // 4],
        high=ordered[-1 - len(ordered) // 4],
        ours=statistics.median(ordered),
        target=target,
        rounds=len(ordered),
    )


def cpu_seconds(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def command(*words: str, allowed: t.Container[int] = (0,), env: t.Optional[t.Dict[str, str]] = None) -> Cost:
    """Run a command to its end, its output unread.

    :raises RuntimeError: it is not installed, or it ended in another way than ``allowed``.
    """
    cpu = cpu_seconds(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, check=False
        )
    except FileNotFoundError as error:
        raise RuntimeError("%s is not installed" % words[0]) from error
    wall = time.perf_counter() - began
    if done.returncode not in allowed:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise RuntimeError("%s ended with %d: %s" % (words[0], done.returncode, said[-1] if said else "nothing said"))
    return Cost(wall, cpu_seconds(resource.RUSAGE_CHILDREN) - cpu)


@contextlib.contextmanager
def on_cores(count: int) -> t.Iterator[bool]:
    """Keep this process, and what it starts, on so many cores. False when there are not so many."""
    before = os.sched_getaffinity(0)
    chosen = sorted(before)[:count]
    os.sched_setaffinity(0, chosen)
    try:
        yield len(chosen) == count
    finally:
        os.sched_setaffinity(0, before)


def table(rows: t.Sequence[Row]) -> str:
    """All rows as text, a block a topic."""
    lines: t.List[str] = []
    topic = None
    for row in rows:
        if row.topic != topic:
            topic = row.topic
            lines += ["", topic]
            lines.append(FORMAT % ("", "ours", "other", "ratio", "(quarters)", "cpu", "target", ""))
        name = "%s / %s" % (row.what, row.against) if row.against else row.what
        if row.note:
            lines.append("  %-48s %s" % (name, row.note))
            continue
        ratio, spread = "", ""
        if row.ratio is not None:
            ratio = "%.2f" % row.ratio
        if row.low is not None and row.high is not None:
            spread = "%.2f-%.2f" % (row.low, row.high)
            if row.ratio is None:
                spread = "%s-%s" % (milliseconds(row.low), milliseconds(row.high))
        target = ""
        if row.target is not None:
            target = "%.2f" % row.target if row.ratio is not None else milliseconds(row.target)
        cpu = "%.2f" % row.cpu_ratio if row.cpu_ratio is not None else ""
        lines.append(
            FORMAT % (name, milliseconds(row.ours), milliseconds(row.other), ratio, spread, cpu, target, WORDS[row.met])
        )
    return "\n".join(line.rstrip() for line in lines)


FORMAT = "  %-48s %10s %10s %7s %16s %6s %8s  %s"


def milliseconds(value: t.Optional[float]) -> str:
    return "" if value is None else "%.1f ms" % (value * 1000)
