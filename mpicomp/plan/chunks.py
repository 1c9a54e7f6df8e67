"""Chunk tables: how a schedule cuts ``range(n)``, computed alike on every rank.

Handing out work is handing out the number k of a chunk, so each rank must know, without asking,
where chunk k begins and ends.  A plan is kept as *runs* of equal chunks, each run being the
``range(start, stop, size)`` of its chunks' first items: ``dynamic`` on 10**9 items is one range.

Each technique is a generator of (size, how many in a row), which may promise more than n items:
the last chunk is cut off at n.  No chunk but that one is shorter than the schedule's least.  All
sizes are exact whole numbers; ``mfsc`` and ``fsc`` alone round one float.

In the formulas: n items, p ranks, R items remaining, b the batch (p chunks in a row) from 0.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, chain, count
from math import ceil, inf, log, sqrt

from mpicomp.errors import ScheduleError
from mpicomp.plan.schedule import parse
from mpicomp.plan.value import Frozen, ceil_div, whole, within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Protocol

    from mpicomp.plan.schedule import Schedule

    Sizes = Iterator[tuple[int, int]]  # (size, how many in a row)

    class PlanLike(Protocol):
        """What an engine asks of a plan; a schedule of your own is any object with these."""

        @property
        def n(self) -> int: ...
        @property
        def p(self) -> int: ...
        @property
        def nchunks(self) -> int: ...
        def span(self, k: int, /) -> tuple[int, int]: ...
        def __iter__(self) -> Iterator[tuple[int, int]]: ...


class Plan(Frozen):
    """The chunks of ``range(n)``, numbered from 0, in order and without a gap.

    Parameters
    ----------
    n, p : int
        Numbers of items and ranks.
    runs : tuple of range
        Runs of equal chunks: ``range(start, stop, size)``, each beginning where the last stopped.

    Examples
    --------
    >>> plan = table("guided", 1000, 4)
    >>> plan
    <Plan: 1000 items in 22 chunks for 4 ranks>
    >>> plan.span(1)
    (250, 438)
    >>> print(plan)
    250 188 141 106 79 59 45 33 25 19 14 11 8 6 4 3x2 2 1x4
    >>> list(table("dynamic,4", 10, 2))
    [(0, 4), (4, 8), (8, 10)]
    """

    __slots__ = ("_numbers", "n", "p", "runs")
    __match_args__ = ("n", "p", "runs")
    n: int
    p: int
    runs: tuple[range, ...]
    _numbers: tuple[int, ...]

    def __init__(self, n: int, p: int, runs: tuple[range, ...]) -> None:
        lengths = (ceil_div(run.stop - run.start, run.step) for run in runs)
        self._set(n=n, p=p, runs=runs, _numbers=tuple(accumulate(lengths, initial=0)))

    @property
    def nchunks(self) -> int:
        """Number of chunks."""
        return self._numbers[-1]

    @property
    def starts(self) -> Iterator[int]:
        """First item of each chunk, one after the other."""
        return chain.from_iterable(self.runs)

    def span(self, k: int) -> tuple[int, int]:
        """Where chunk *k* starts and stops (half-open); IndexError if there is no chunk *k*."""
        k = within("chunk", whole("chunk", k), self.nchunks)
        at = bisect_right(self._numbers, k) - 1
        run = self.runs[at]
        start = run.start + (k - self._numbers[at]) * run.step
        return start, min(start + run.step, run.stop)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for run in self.runs:
            for start in run:
                yield start, min(start + run.step, run.stop)

    def __repr__(self) -> str:
        return f"<Plan: {self.n} items in {self.nchunks} chunks for {self.p} ranks>"

    def __str__(self) -> str:
        """The sizes: ``125x4 63x4`` is four chunks of 125, then four of 63."""
        sizes: list[list[int]] = []  # [size, how many in a row]
        for run in self.runs:
            full, rest = divmod(run.stop - run.start, run.step)
            for size, times in ((run.step, full), (rest, 1)):
                if not size or not times:
                    continue
                if sizes and sizes[-1][0] == size:
                    sizes[-1][1] += times
                else:
                    sizes.append([size, times])
        return " ".join(f"{size}x{times}" if times > 1 else f"{size}" for size, times in sizes)


def table(schedule: str | Schedule, n: int, p: int, **parameters: Any) -> Plan:
    """Cut ``range(n)`` for p ranks as *schedule* says.

    Parameters
    ----------
    schedule : str or Schedule
        Any but the adaptive ones and ``auto``.  What it says itself of the parameters below
        counts where they are left out.
    n, p : int
        Numbers of items (0 or more) and ranks (1 or more).
    h, sigma : float
        Of ``fsc``, which needs both: seconds per claim of a chunk, and the standard deviation, in
        seconds, of the time of one item.
    swr : float, default 0.5
        Of ``pls``: the share of the items, 0 to 1, that goes out in the first p chunks.
    stages : int, default max(2, p - 1)
        Of ``fiss``: the number of batches over which the chunks grow, 2 or more.

    Raises
    ------
    ScheduleError
        For a schedule that has no table, and for parameters out of bounds.
    TypeError
        For a parameter that the schedule does not take.

    Examples
    --------
    >>> [stop - start for start, stop in table("factoring", 20, 2)]
    [5, 5, 3, 3, 1, 1, 1, 1]
    """
    schedule = parse(schedule)
    # static,b and dynamic,b cut alike: they differ in who takes a chunk
    name = "dynamic" if schedule.name == "static" and schedule.chunk else schedule.name
    if name not in _TECHNIQUES:
        raise ScheduleError(
            f'the chunks of "{schedule}" follow from what is measured: it has no table; '
            'write "guided" or "factoring"'
        )
    technique, takes = _TECHNIQUES[name]
    parameters = {**dict(schedule.parameters), **parameters}
    for given in parameters.keys() - set(takes):
        raise TypeError(f'"{schedule}" takes no {given}; write table("{schedule}", {n}, {p})')
    n, p = whole("n", n, 0), whole("p", p, 1)
    return Plan(n, p, _runs(n, technique(n, p, schedule.least, **parameters)))


def _runs(n: int, sizes: Sizes) -> tuple[range, ...]:
    runs: list[range] = []
    stop = 0
    while stop < n:  # no size is asked for beyond the last item
        size, many = next(sizes)
        start = runs.pop().start if runs and runs[-1].step == size else stop
        stop = min(stop + size * many, n)
        runs.append(range(start, stop, size))
    return tuple(runs)


def _balanced(n: int, p: int, least: int) -> Sizes:
    """Static: the p blocks of `mpicomp.plan.decomposition.Block`."""
    q, r = divmod(n, p)
    if r:
        yield q + 1, r
    yield q, p - r


def _even(n: int, p: int, least: int) -> Sizes:
    """Chunk self-scheduling, OpenMP's dynamic: always the same size."""
    yield least, n


def _guided(n: int, p: int, least: int) -> Sizes:
    """Guided self-scheduling, recursive: ceil(R/p).

    Source: Polychronopoulos & Kuck 1987, IEEE Trans. Computers C-36(12).
    """
    while n > 0:
        size = max(least, ceil_div(n, p))
        # the size stays while R > (size - 1) p; the least stays to the end
        many = ceil_div(n - (size - 1) * p * (size > least), size)
        yield size, many
        n -= size * many


def factoring_chunk(remaining: int, p: int) -> int:
    """Size of each of the next p chunks by factoring with x = 2, recursive: ceil(R/(2p)).

    Source: Hummel, Schonberg & Flynn 1992, CACM 35(8); the variant known as FAC2.

    Examples
    --------
    >>> factoring_chunk(1000, 4), factoring_chunk(500, 4)
    (125, 63)
    """
    return ceil_div(remaining, 2 * p)


def _factoring(n: int, p: int, least: int) -> Sizes:
    while n > 0:
        size = max(least, factoring_chunk(n, p))
        yield size, p
        n -= size * p


def _slope(n: int, p: int, last: int) -> tuple[int, int, int]:
    """The trapezoid's first chunk, number of chunks, and whole-number decrement (rounded down)."""
    first = max(last, ceil_div(n, 2 * p))
    steps = ceil_div(2 * n, first + last)
    return first, steps, (first - last) // max(steps - 1, 1)


def _trapezoid(n: int, p: int, last: int) -> Sizes:
    """Trapezoid self-scheduling: from ceil(n/2p) down to *last* by a constant whole number.

    Source: Tzen & Ni 1993, IEEE Trans. Parallel and Distributed Systems 4(1).
    """
    first, steps, delta = _slope(n, p, last)
    if delta == 0:
        yield first, steps
    else:
        yield from ((size, 1) for size in range(first, last - 1, -delta))


def _tfss(n: int, p: int, least: int) -> Sizes:
    """Trapezoid factoring: each batch has the mean of its p trapezoid chunks, rounded down.

    Source: Chronopoulos, Andonie, Benche & Grosu 2001, IEEE Cluster.
    """
    first, _, delta = _slope(n, p, 1)
    for b in count():
        yield max(least, first - b * p * delta - ceil_div((p - 1) * delta, 2)), p


def _fiss(n: int, p: int, least: int, stages: int | None = None) -> Sizes:
    """Fixed increase: B stages from n/(Xp), X = B + 2, growing by 2n(1 - B/X)/(pB(B - 1)).

    Both rounded down; 1 - B/X is 2/X.  One stage has nothing to grow to (the formula divides by
    B - 1), so B is at least 2.  Source: Philip & Das 1997, PDCS.
    """
    stages = max(2, p - 1) if stages is None else whole("stages", stages)
    if stages < 2:
        raise ScheduleError(f"fiss grows from stage to stage, got {stages=}; write stages=2")
    first = n // ((stages + 2) * p)
    delta = 4 * n // ((stages + 2) * p * stages * (stages - 1))
    for b in count():
        yield max(least, first + b * delta), p


def _viss(n: int, p: int, least: int) -> Sizes:
    """Variable increase: c, 3c/2, 7c/4, ... towards 2c, with c = n/p**2; all rounded down.

    Source: Philip & Das 1997, PDCS, with X = p as in LB4OMP: c (1 - 0.5**(b + 1)) / 0.5.
    """
    first = n // (p * p)
    for b in count():
        yield max(least, 2 * first + (-first >> b)), p  # -first >> b is -ceil(first / 2**b)


def _mfsc(n: int, p: int, least: int) -> Sizes:
    """Modified fixed size: int(0.55 + t ln 2 / ln t), t = ceil(n/p): as many chunks as factoring.

    One item per rank (t = 1, where ln t = 0) is one item per chunk.  Source: DLS4LB, LB4OMP.
    """
    t = ceil_div(n, p)
    yield max(least, int(0.55 + t * log(2) / log(t)) if t > 1 else 1), n


def _fsc(n: int, p: int, least: int, h: float | None = None, sigma: float | None = None) -> Sizes:
    """Fixed size: ceil((sqrt(2) n h / (sigma p sqrt(ln p)))**(2/3)), at most ceil(n/p).

    Where the formula divides by zero, that bound is its limit: equal items (sigma = 0) go out as
    one chunk per rank, and a single rank takes all.  Source: Kruskal & Weiss 1985, IEEE Trans.
    Software Engineering SE-11(10).
    """
    if h is None or sigma is None or not (0 <= h < inf and 0 <= sigma < inf):
        raise ScheduleError(
            f"fsc needs seconds per claim and the deviation of an item's time, got {h=}, {sigma=}; "
            'write "fsc,h=1e-6,sigma=1e-3", or "mfsc", which needs neither'
        )
    spread = sigma * p * sqrt(log(p))
    ideal = (sqrt(2) * n * h / spread) ** (2 / 3) if spread else inf
    share = ceil_div(n, p)
    yield max(least, ceil(ideal) if ideal < share else share), n


def _pls(n: int, p: int, least: int, swr: float = 0.5) -> Sizes:
    """Performance loop scheduling: p chunks of ceil(n swr / p), then guided's closed form.

    The latter, ceil((1 - 1/p)**i R/p) with R what the first p left, is computed in whole numbers
    with 64 bits after the point.  Source: Shih, Yang & Tseng 2007, Journal of Supercomputing
    41(3); rounding as in LB4OMP.
    """
    if not 0 <= swr <= 1:
        raise ScheduleError(f"swr is a share of the items, 0 to 1, got {swr!r}; write swr=0.5")
    from fractions import Fraction

    if swr:
        first = max(least, ceil(Fraction(str(swr)) * n / p))  # 0.8 as written, not as stored
        yield first, p
        n -= first * p
    scaled = (n << 64) // p
    while scaled > least << 64:
        yield ceil_div(scaled, 1 << 64), 1
        scaled = scaled * (p - 1) // p
    yield least, n


_TECHNIQUES: dict[str, tuple[Callable[..., Sizes], tuple[str, ...]]] = {
    "static": (_balanced, ()),
    "dynamic": (_even, ()),
    "guided": (_guided, ()),
    "trapezoid": (_trapezoid, ()),
    "factoring": (_factoring, ()),
    "tfss": (_tfss, ()),
    "fiss": (_fiss, ("stages",)),
    "viss": (_viss, ()),
    "mfsc": (_mfsc, ()),
    "fsc": (_fsc, ("h", "sigma")),
    "pls": (_pls, ("swr",)),
}
