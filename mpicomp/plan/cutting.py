"""Where the next chunk ends: items become known, a rank asks, a grant comes out.

Rules of this file: pure; chunks come out in order, without a gap.  Who may ask, and what becomes
of a chunk, is the dispatcher's business.

============== ============================================ =========================
cut            where chunks end                             what for
============== ============================================ =========================
`TableCut`     chunk k is ``plan.span(k)``                  static and table, n known
`StreamCut`    by the table of the items known, in batches  static and table, streams
`WeightedCut`  `weighted_chunk`, weights given              weighted
`AwfCut`       `weighted_chunk`, weights measured           awf-b, -c, -d, -e
`FactoringCut` `af_chunk`, means and deviations measured    af
============== ============================================ =========================

For a stream, R in the formulas is what is known and not yet cut off.  A chunk costs the same
however many there are; with awf-c, awf-e and af it grows with p, as their formulas do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from itertools import islice
from math import inf, sqrt
from typing import NamedTuple

from mpicomp.errors import ScheduleError
from mpicomp.plan.adaptive import INSTANT, af_chunk, awf_weights, weighted_chunk
from mpicomp.plan.chunks import table
from mpicomp.plan.schedule import Schedule, parse
from mpicomp.plan.value import ceil_div, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from mpicomp.plan.chunks import PlanLike

LEFT_TO_MASTER = "factoring"
"""What a master cuts by where the schedule is ``auto``."""
_FIRST = 8  # a chunk to measure by is ceil(R/8p): two for each rank leave 78 %
_new = tuple.__new__  # what Grant(...) comes to, without the Python function in between


class Grant(NamedTuple):
    """A chunk that a rank is to compute.

    Attributes
    ----------
    number : int
        Of the chunk, from 0, in the order of the items.
    start, stop : int
        Its items, half-open.

    Examples
    --------
    >>> grant = Grant(number=3, start=12, stop=16)
    >>> grant.items, len(grant.items)
    (range(12, 16), 4)
    """

    number: int
    start: int
    stop: int

    @property
    def items(self) -> range:
        """The same as a range."""
        return range(self.start, self.stop)


class Cut(ABC):
    """The items ``range(known)``, of which ``range(at)`` are cut off; see the subclasses.

    Parameters
    ----------
    n : int or None
        Number of items; None for a stream, whose items become known as they are read.
    p : int
        Number of ranks.
    least : int
        No chunk is shorter, but the last.

    Attributes
    ----------
    at, known : int
        Items cut off, and items known so far.
    number : int
        Chunks cut off.
    closed : bool
        No more items will become known.
    """

    __slots__ = ("at", "closed", "known", "least", "number", "p")

    def __init__(self, n: int | None, p: int, least: int) -> None:
        self.at, self.number, self.known, self.closed = 0, 0, n or 0, n is not None
        self.p, self.least = p, least

    @abstractmethod
    def next(self, rank: int) -> Grant | None:
        """The chunk that *rank* gets; None when there is none, or none yet."""

    def learn(  # noqa: B027  # most schedules have nothing to learn
        self, rank: int, items: int, seconds: float, overhead: float
    ) -> None:
        """*rank* has finished a chunk of so many items, after waiting *overhead* for it."""

    def split(self, start: int, stop: int) -> Grant:
        """A chunk of its own for items that came out in another, and were given back."""
        self.number += 1
        return Grant(self.number - 1, start, stop)

    def _take(self, start: int, stop: int) -> Grant:
        grant = _new(Grant, (self.number, start, stop))
        self.number += 1
        self.at = stop
        return grant


class TableCut(Cut):
    """The chunks of a plan, one after the other; nothing is stored, however many there are."""

    __slots__ = ("_spans",)

    def __init__(self, plan: PlanLike) -> None:
        super().__init__(plan.n, plan.p, 1)
        self._spans = iter(plan)

    def next(self, rank: int) -> Grant | None:
        span = next(self._spans, None)
        return self._take(*span) if span else None


class SizedCut(Cut):
    """Chunks of whatever size is right when a rank asks, but none shorter than the least."""

    __slots__ = ()

    def next(self, rank: int) -> Grant | None:
        left = self.known - self.at
        if left < self.least and not (left and self.closed):
            return None
        return self._take(self.at, self.at + min(left, max(self.least, self._size(rank, left))))

    @abstractmethod
    def _size(self, rank: int, left: int) -> int: ...


class StreamCut(SizedCut):
    """A stream in batches of p chunks: the first p of the table of the items known by then.

    So a stream that is far ahead is handed out in large chunks, one that lags item by item.
    ``dynamic,b`` and ``static,b`` come out as if n had been known.
    """

    __slots__ = ("_batch", "_table")

    def __init__(self, schedule: Schedule, p: int, **parameters: Any) -> None:
        super().__init__(None, p, schedule.least)
        self._table = partial(table, schedule, p=p, **parameters)
        self._table(n=1)  # what cannot be cut is refused here, not at the first item
        self._batch: Iterator[tuple[int, int]] = iter(())

    def _size(self, rank: int, left: int) -> int:
        span = next(self._batch, None)
        if span is None:
            self._batch = islice(self._table(n=left), self.p)
            span = next(self._batch)
        return span[1] - span[0]


class WeightedCut(SizedCut):
    """Weighted factoring in batches of *turns* chunks, all cut from the same R and weights."""

    __slots__ = ("_batch_end", "_remaining", "_turn", "_turns", "_weights")

    def __init__(
        self, schedule: Schedule, n: int | None, p: int, turns: int, weights: Sequence[float]
    ) -> None:
        super().__init__(n, p, schedule.least)
        self._turns, self._turn = turns, 0
        self._remaining = self._batch_end = 0
        self._weights = weights

    def _size(self, rank: int, left: int) -> int:
        # what a stream has read meanwhile is not part of the batch: it may end before its turns
        if not self._turn or self.at >= self._batch_end:
            self._turn, self._remaining, self._batch_end = self._turns, left, self.known
            self._weights = self._measured()
        self._turn -= 1
        return weighted_chunk(self._remaining, self.p, self._weights[rank])

    def _measured(self) -> Sequence[float]:
        return self._weights


class AwfCut(WeightedCut):
    """The same with measured weights; of `awf_pace` the two sums are kept, not their terms."""

    __slots__ = ("_before", "_chunks", "_claims", "_items", "_paces", "_seconds")

    def __init__(self, schedule: Schedule, n: int | None, p: int, weights: Sequence[float]) -> None:
        super().__init__(schedule, n, p, p if schedule.name in ("awf-b", "awf-d") else 1, weights)
        self._before = weights
        self._claims = schedule.name in ("awf-d", "awf-e")
        self._chunks, self._items, self._seconds = [0] * p, [0] * p, [0.0] * p
        self._paces: list[float | None] = [None] * p

    def learn(self, rank: int, items: int, seconds: float, overhead: float) -> None:
        self._chunks[rank] = k = self._chunks[rank] + 1
        self._items[rank] += k * items
        self._seconds[rank] += k * (seconds + overhead if self._claims else seconds)
        self._paces[rank] = self._seconds[rank] / self._items[rank]

    def _measured(self) -> list[float]:
        return awf_weights(self._paces, self._before)


class FactoringCut(SizedCut):
    """Adaptive factoring; who has not finished two chunks yet gets ceil(R/8p) items.

    Chunks of m items that take t seconds are means t/m of m items each.  They have the items'
    mean mu = sum(t)/sum(m), and the items' variance is sum(m (t/m - mu)**2) / (chunks - 1), which
    needs no clock inside a chunk.  It is summed up as in West 1979, CACM 22(9).  Ranks not known
    yet are taken to be as the mean of the others.
    """

    __slots__ = ("_chunks", "_items", "_means", "_squares", "_told")

    def __init__(self, schedule: Schedule, n: int | None, p: int) -> None:
        super().__init__(n, p, schedule.least)
        self._chunks, self._items = [0] * p, [0] * p
        self._means, self._squares = [0.0] * p, [0.0] * p
        self._told: list[tuple[float, float] | None] = [None] * p  # mean and deviation

    def learn(self, rank: int, items: int, seconds: float, overhead: float) -> None:
        self._chunks[rank] += 1
        self._items[rank] += items
        off = seconds / items - self._means[rank]
        self._means[rank] = mean = self._means[rank] + off * items / self._items[rank]
        self._squares[rank] += items * off * (seconds / items - mean)
        if self._chunks[rank] >= 2 and mean > INSTANT:
            self._told[rank] = mean, sqrt(self._squares[rank] / (self._chunks[rank] - 1))

    def _size(self, rank: int, left: int) -> int:
        if not self._told[rank]:
            return ceil_div(left, _FIRST * self.p)
        means, deviations = zip(*filter(None, self._told), strict=True)
        if len(means) < self.p:
            typical = sum(means) / len(means), sum(deviations) / len(means)
            means, deviations = zip(*(pair or typical for pair in self._told), strict=True)
        return af_chunk(left, means, deviations, rank)


def cut_of(schedule: str | Schedule | PlanLike, n: int | None, p: int, **parameters: Any) -> Cut:
    """The cut of a schedule, or of a plan.

    Parameters
    ----------
    schedule : str, Schedule or PlanLike
    n : int or None
        Number of items; None for a stream.
    p : int
        Number of ranks.
    **parameters
        What `mpicomp.plan.chunks.table` takes; ``weights``, one > 0 for each rank, of
        ``weighted``, and of ``awf-b`` to ``awf-e`` for as long as a rank has not been measured.

    Raises
    ------
    ScheduleError, TypeError, ValueError
        As `mpicomp.plan.chunks.table` does; for a plan of other items or ranks; for weights that
        are not one for each rank.

    Examples
    --------
    >>> cut = cut_of("guided", 1000, 4)
    >>> cut.next(rank=0), cut.next(rank=3), cut.known - cut.at
    (Grant(number=0, start=0, stop=250), Grant(number=1, start=250, stop=438), 562)
    """
    if not isinstance(schedule, (str, Schedule)):
        return _plan_cut(schedule, n, p, **parameters)
    schedule, p = parse(schedule), whole("p", p, 1)
    n = None if n is None else whole("n", n, 0)
    if schedule.kind == "adaptive":
        return _adaptive_cut(schedule, n, p, **{**dict(schedule.parameters), **parameters})
    if n is None:
        return StreamCut(schedule, p, **parameters)
    return TableCut(table(schedule, n, p, **parameters))


def _plan_cut(plan: PlanLike, n: int | None, p: int) -> TableCut:
    if not hasattr(plan, "nchunks"):
        raise ScheduleError(f'a schedule is a text or a plan, got {plan!r}; write "dynamic,4"')
    if (plan.n, plan.p) != (n, p):
        raise ScheduleError(
            f"a plan of {plan.n} items for {plan.p} ranks was given for n={n}, p={p}; "
            f"write n={plan.n}, p={plan.p}"
        )
    return TableCut(plan)


def _adaptive_cut(
    schedule: Schedule, n: int | None, p: int, weights: Sequence[float] | None = None
) -> Cut:
    if schedule.name == "weighted":
        return WeightedCut(schedule, n, p, p, _scaled(weights, p))
    if schedule.name != "af":
        return AwfCut(schedule, n, p, _scaled(weights, p))
    if weights is not None:
        raise TypeError('"af" measures means and deviations; write "weighted" to give weights')
    return FactoringCut(schedule, n, p)


def _scaled(weights: Sequence[float] | None, p: int) -> list[float]:
    """One weight per rank, with sum p; all alike where none are given."""
    given = [1.0] * p if weights is None else [float(weight) for weight in weights]
    if len(given) != p or not all(0 < weight < inf for weight in given):
        raise ValueError(
            f"there has to be one weight > 0 for each of {p} ranks, got {weights!r}; "
            f'write "weighted,weights={":".join(["1"] * p)}"'
        )
    scale = p / sum(given)
    return [weight * scale for weight in given]
