"""``mpicomp bench``: what sharing brings on this machine, beside the serial comprehension.

Rules of this file: both sides of a ratio are measured in one run, in turns; the ranks that do not
measure sleep in the verb that they wait in.  Nothing is judged: the table says what it means.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from mpicomp.record.units import counted, duration
from mpicomp.reductions import psum
from mpicomp.verbs import parray, plist
from mpicomp.wire.threads import cores
from mpicomp.wire.world import world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterable

ABOUT = """Measure on these ranks what sharing brings, beside the serial comprehension.

Cheap items show what a call costs, dear ones what the ranks gain, uneven ones how well they keep
each other company.  Takes a minute; close what else computes."""
USAGE = "mpicomp bench [-n N] [--repeat R] [--quick] [--history FILE]"

_EVEN = 1.15  # a ratio this near to 1 is none
_WORTH = 0.6  # share of what p ranks can give


def _busy(seconds: float) -> float:
    """Compute for so long, whatever the speed of the machine."""
    until = time.perf_counter() + seconds
    value = 0.0
    while time.perf_counter() < until:
        value += 1.0
    return value


class Case(NamedTuple):
    """One line of the table: the same work, serially and shared."""

    name: str
    serial: Callable[[int], Any]
    shared: Callable[[int], Any]
    n: int
    quick: int  # items with --quick
    number: int = 1  # calls in a turn: short ones are not timed one by one


def _array(n: int) -> Any:
    import numpy as np

    return np.fromiter((x * x for x in range(n)), float, n)


CASES = (
    Case("squares to a list", lambda n: [x * x for x in range(n)],
         lambda n: plist(x * x for x in range(n)), 1000, 1000, 50),
    Case("squares to a list", lambda n: [x * x for x in range(n)],
         lambda n: plist(x * x for x in range(n)), 10**6, 10**5),
    Case("squares to an array", _array,
         lambda n: parray(x * x for x in range(n)), 10**6, 10**5),
    Case("sum of squares", lambda n: sum(x * x for x in range(n)),
         lambda n: psum(x * x for x in range(n)), 10**6, 10**5),
    Case("items of 1 ms", lambda n: [_busy(0.001) for _ in range(n)],
         lambda n: plist(_busy(0.001) for _ in range(n)), 400, 20),
    Case("items of 0 to 4 ms", lambda n: [_busy(0.004 * x / n) for x in range(n)],
         lambda n: plist(_busy(0.004 * x / n) for x in range(n)), 200, 20),
)  # fmt: skip


class Found(NamedTuple):
    """Seconds of each turn, of one case."""

    case: str
    n: int
    serial: list[float]
    shared: list[float]

    @property
    def speedup(self) -> float:
        return median(self.serial) / median(self.shared)

    @property
    def noise(self) -> float:
        """The longest serial turn by the shortest, less one."""
        return max(self.serial) / min(self.serial) - 1

    def meaning(self, ranks: int) -> str:
        """For people: what this ratio says."""
        if self.speedup > _WORTH * ranks and ranks > 1:
            return f"sharing pays: {self.speedup / ranks:.0%} of what {ranks} ranks can give"
        if self.speedup > 1.0 / _EVEN:
            return "as quick as alone" if self.speedup < _EVEN else "sharing pays a little"
        extra = median(self.shared) - median(self.serial)
        return f"too little work to share: a call costs {duration(extra)} more"


def add_bench(parser: ArgumentParser) -> None:
    """The arguments of ``mpicomp bench``, beside ``-n``."""
    add = parser.add_argument
    add("--repeat", type=int, default=5, metavar="R", help="turns of each side (5)")
    add("--quick", action="store_true", help="a tenth of the work: to see that it runs")
    add("--history", type=Path, metavar="FILE",
        help="append this run to FILE (lines of JSON), and tell the last one's ratios")  # fmt: skip
    parser.set_defaults(perform=bench)


def bench(asked: Namespace) -> int:
    """Measure all cases, and print the table on rank 0.

    Collective: every rank calls.
    """
    found = [measured(case, max(1, asked.repeat), asked.quick) for case in CASES]
    ranks = world()
    if ranks.rank == 0:
        last = _last(asked.history, ranks.size)
        print("\n".join(_table(found, ranks.size, last)))
        if asked.history is not None:
            _append(asked.history, found, ranks.size)
    return 0


def measured(case: Case, repeat: int, quick: bool) -> Found:
    """Both sides of *case*, in turns; the times are of interest on rank 0 alone."""
    n = case.quick if quick else case.n
    root = world().rank == 0
    found = Found(case.name, n, [], [])
    case.shared(n)  # opens what the first call opens
    for _ in range(repeat):
        if root:
            found.serial.append(_timed(case.serial, n, case.number))
        found.shared.append(_timed(case.shared, n, case.number))
    return found


def _timed(side: Callable[[int], Any], n: int, number: int) -> float:
    began = time.perf_counter()
    for _ in range(number):
        side(n)
    return (time.perf_counter() - began) / number


def _table(found: Iterable[Found], ranks: int, last: dict[str, float]) -> list[str]:
    lines = [
        f"{counted(ranks, 'rank')}; this one may use {counted(len(cores()), 'core')}",
        "",
        f"{'':<20} {'items':>8} {'serial':>10} {'shared':>10} {'speedup':>8} {'noise':>6}",
    ]
    for one in found:
        serial, shared = (duration(median(side)) for side in (one.serial, one.shared))
        before = last.get(_key(one))
        lines.append(
            f"{one.case:<20} {one.n:>8} {serial:>10} {shared:>10} {one.speedup:>8.2f} "
            f"{one.noise:>6.0%}  {one.meaning(ranks)}"
            + (f"; last time {before:.2f}" if before else "")
        )
    return lines


def _key(one: Found) -> str:
    return f"{one.case}, {one.n}"


def _last(history: Path | None, ranks: int) -> dict[str, float]:
    """The ratios of the last run on as many ranks."""
    if history is None or not history.exists():
        return {}
    runs = [json.loads(line) for line in history.read_text().splitlines()]
    same = [run["times_as_quick"] for run in runs if run["ranks"] == ranks]
    return same[-1] if same else {}


def _append(history: Path, found: Iterable[Found], ranks: int) -> None:
    run = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "host": world().host,
        "ranks": ranks,
        "times_as_quick": {_key(one): round(one.speedup, 4) for one in found},
    }
    with history.open("a") as file:
        file.write(json.dumps(run) + "\n")
