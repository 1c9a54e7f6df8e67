"""Which items are done already, and which are missing.

Rules of this file: pure.  A span is a pair ``(start, stop)``, half-open.  A schedule runs over the
*missing* items as if there were no others, so any schedule and any number of ranks can go on
where others have stopped: `Gaps` tells which items of the whole source those are.

    items      0 1 2 3 4 5 6 7 8 9
    done           x x     x x x        [(2, 4), (6, 9)]
    missing    0 1     2 3       4      place
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import itemgetter
from sys import maxsize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mpicomp.plan.chunks import PlanLike

    Span = tuple[int, int]

_start: itemgetter[int] = itemgetter(0)


def union(spans: Iterable[Span]) -> list[Span]:
    """All items of *spans*, as few spans in increasing order.

    Examples
    --------
    >>> union([(6, 9), (2, 3), (3, 4), (7, 8), (5, 5)])
    [(2, 4), (6, 9)]
    """
    whole: list[Span] = []
    for start, stop in sorted(spans):
        if whole and start <= whole[-1][1]:
            whole[-1] = whole[-1][0], max(stop, whole[-1][1])
        elif start < stop:
            whole.append((start, stop))
    return whole


def apart(chunks: Iterable[Sequence[Span]]) -> list[bool]:
    """For each of *chunks* whether it is taken: those are left out that meet one taken before.

    Two ranks may have done the same items; the values of one of them count.

    Examples
    --------
    >>> apart([[(0, 4)], [(3, 5), (8, 9)], [(4, 5)], [(4, 5)]])
    [True, False, True, False]
    """
    taken: list[Span] = []
    answers = []
    for spans in chunks:
        fits = not any(_meets(taken, start, stop) for start, stop in spans)
        answers.append(fits)
        if fits:
            for span in spans:
                taken.insert(bisect_left(taken, span), span)
    return answers


def _meets(taken: list[Span], start: int, stop: int) -> bool:
    """Whether an item of ``range(start, stop)`` is in *taken*, which is sorted and disjoint."""
    at = bisect_left(taken, stop, key=_start)
    return at > 0 and taken[at - 1][1] > start


class Gaps:
    """The items that are missing, numbered by their *place* among themselves.

    Parameters
    ----------
    done : iterable of (int, int)
        Spans of items; they may overlap.
    n : int or None
        Number of items; None for a stream, which has no end.
    start : int, default 0
        Items before it count as done.

    Attributes
    ----------
    count : int or None
        How many are missing.

    Examples
    --------
    >>> gaps = Gaps([(2, 4), (6, 9)], 10)
    >>> gaps, gaps.count
    (<Gaps: 5 items missing>, 5)
    >>> list(gaps.spread(range(1, 5)))
    [range(1, 2), range(4, 6), range(9, 10)]
    >>> [gaps.place(item) for item in range(10)]
    [0, 1, 2, 2, 2, 3, 4, 4, 4, 4]
    """

    __slots__ = ("_places", "_starts", "_stops", "count")

    def __init__(self, done: Iterable[Span], n: int | None, start: int = 0) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._places: list[int] = []
        known = 0
        end = maxsize if n is None else n
        for first, last in [*union(done), (end, end)]:
            stop = min(first, end)
            if start < stop:
                self._starts.append(start)
                self._stops.append(stop)
                self._places.append(known)
                known += stop - start
            start = max(start, last)
        self.count = None if n is None else known

    def __repr__(self) -> str:
        return f"<Gaps: {'all others' if self.count is None else self.count} items missing>"

    def place(self, item: int) -> int:
        """How many of the missing items come before *item*."""
        at = bisect_right(self._starts, item) - 1
        return 0 if at < 0 else self._places[at] + min(item, self._stops[at]) - self._starts[at]

    def has(self, item: int) -> bool:
        """Whether *item* is missing."""
        at = bisect_right(self._starts, item) - 1
        return at >= 0 and item < self._stops[at]

    def spread(self, places: range) -> Iterator[range]:
        """The runs of items that stand at *places* (of step 1), in increasing order."""
        at = max(0, bisect_right(self._places, places.start) - 1)
        first, stop = places.start, places.stop
        while first < stop and at < len(self._places):
            begin = self._starts[at] + first - self._places[at]
            end = min(self._stops[at], begin + stop - first)
            if begin < end:
                yield range(begin, end)
                first += end - begin
            at += 1


class Narrowed:
    """A plan for all items, as one for the missing items alone: its chunks lose what is done.

    Parameters
    ----------
    plan : PlanLike
    gaps : Gaps

    Examples
    --------
    >>> from mpicomp.plan.chunks import table
    >>> list(Narrowed(table("dynamic,4", 10, 2), Gaps([(2, 4), (6, 9)], 10)))
    [(0, 2), (2, 4), (4, 5)]
    """

    __slots__ = ("_gaps", "_plan", "n", "nchunks", "p")

    def __init__(self, plan: PlanLike, gaps: Gaps) -> None:
        self._plan = plan
        self._gaps = gaps
        self.n = gaps.count or 0
        self.p = plan.p
        self.nchunks = plan.nchunks

    def span(self, k: int) -> Span:
        """Where chunk *k* starts and stops; it may be empty."""
        start, stop = self._plan.span(k)
        return self._gaps.place(start), self._gaps.place(stop)

    def __iter__(self) -> Iterator[Span]:
        return map(self.span, range(self.nchunks))
