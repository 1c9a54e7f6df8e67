"""What items cost, where the user knows: which come first, and where a static share ends.

Rules of this file: pure; costs are relative, in any unit; positions stay those of the source.

The dearest items (`GIANT`) come first, the longest of them at the head, as in Graham's LPT rule;
all others follow in their own order, in as few runs as that leaves.  So a chunk is a few runs,
however many items there are.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from mpicomp.errors import OptionError
from mpicomp.plan.chunks import table
from mpicomp.plan.decomposition import Contiguous
from mpicomp.plan.value import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from mpicomp.plan.schedule import Schedule
    from mpicomp.plan.value import Items

    Costs = NDArray[np.float64]

GIANT = 0.01
"""Share of a rank's fair part above which an item is taken ahead: at most 100 for each rank."""


def checked_costs(given: Any, n: int) -> Costs:
    """The costs of *n* items as an array; equal ones where all are 0.

    Raises
    ------
    OptionError
        What is no cost: negative, not finite, not one number for each item.

    Examples
    --------
    >>> checked_costs([3, 0, 1], 3)
    array([3., 0., 1.])
    """
    import numpy as np

    try:
        costs = np.asarray(given, np.float64)
    except (TypeError, ValueError) as exc:
        raise OptionError(
            f"cost= has to give a number for each item ({exc}); write cost=len, or an array of n"
        ) from None
    if costs.shape != (n,):
        raise OptionError(
            f"cost= has to give one number for each of {n} items, got the shape {costs.shape}; "
            "write a function of an item, or an array of n"
        )
    wrong = ~((costs >= 0) & (costs < np.inf))
    if wrong.any():
        at = int(wrong.argmax())
        raise OptionError(
            f"cost= has to give numbers of 0 or more, got {costs[at]} for item {at}; "
            "write what it takes relative to the others"
        )
    return costs if costs.any() else np.ones(n)


class Cuts(Contiguous):
    """One contiguous piece per rank, of any length: ``schedule="static"`` with ``cost=``.

    Parameters
    ----------
    n, p : int
        Numbers of items and ranks.
    bounds : tuple of int
        p + 1 of them: rank r holds ``range(bounds[r], bounds[r + 1])``.

    Examples
    --------
    >>> cuts = Cuts(10, 3, (0, 7, 7, 10))
    >>> [cuts.indices(rank) for rank in range(3)]
    [range(0, 7), range(7, 7), range(7, 10)]
    >>> cuts.owner(8), cuts.local(8), cuts.index(2, 1)
    (2, 1, 8)
    """

    __slots__ = ("bounds",)
    __match_args__ = ("n", "p", "bounds")
    bounds: tuple[int, ...]

    def __init__(self, n: int, p: int, bounds: tuple[int, ...]) -> None:
        super().__init__(n, p)
        self._set(bounds=bounds)

    def _owner(self, i: Items) -> Items:
        if isinstance(i, int):
            return bisect_right(self.bounds, i) - 1
        import numpy as np

        owners: Items = np.searchsorted(self.bounds, i, "right") - 1
        return owners

    def _local(self, i: Items) -> Items:
        if isinstance(i, int):
            return i - self.bounds[self._owner(i)]
        import numpy as np

        local: Items = i - np.asarray(self.bounds)[self._owner(i)]
        return local

    def _index(self, rank: int, local: Items) -> Items:
        return self.bounds[rank] + local

    def _count(self, rank: int) -> int:
        return len(self._indices(rank))

    def _indices(self, rank: int) -> range:
        return range(self.bounds[rank], self.bounds[rank + 1])


def cuts(costs: Costs, p: int) -> Cuts:
    """The contiguous pieces of which the dearest is as cheap as can be.

    Found by halving the interval in which that piece's cost lies: whether pieces of at most so
    much suffice is p searches in the prefix sums.

    Examples
    --------
    >>> import numpy as np
    >>> cuts(np.array([1.0, 1.0, 1.0, 1.0, 4.0]), 2)
    Cuts(5, 2, (0, 4, 5))
    """
    import numpy as np

    sums = np.concatenate([[0.0], np.cumsum(costs)]).tolist()
    low, high = max(sums[-1] / p, float(costs.max(initial=0.0))), sums[-1]
    best = _pieces(sums, p, high)
    for _ in range(50):
        middle = (low + high) / 2
        found = _pieces(sums, p, middle)
        if found[-1] < len(costs):
            low = middle
        else:
            best, high = found, middle
    return Cuts(len(costs), p, tuple(best))


def _pieces(sums: list[float], p: int, most: float) -> list[int]:
    """Bounds of p pieces that cost at most *most*, each as long as can be."""
    bounds = [0]
    for _ in range(p):
        bounds.append(bisect_right(sums, sums[bounds[-1]] + most) - 1)
    return bounds


class Sorted(Frozen):
    """A table of chunks over the items in another order than theirs.

    Parameters
    ----------
    order : tuple of range
        Runs of items: all of them, each once.
    bounds : tuple of int
        Chunk k is ``range(bounds[k], bounds[k + 1])`` of the places in that order.

    Examples
    --------
    >>> plan = Sorted((range(4, 5), range(0, 4)), (0, 1, 3, 5))
    >>> [plan.runs(k) for k in range(plan.nchunks)]
    [[range(4, 5)], [range(0, 2)], [range(2, 4)]]
    """

    __slots__ = ("_places", "bounds", "order")
    __match_args__ = ("order", "bounds")
    order: tuple[range, ...]
    bounds: tuple[int, ...]
    _places: list[int]

    def __init__(self, order: tuple[range, ...], bounds: tuple[int, ...]) -> None:
        places = [0]
        for run in order:
            places.append(places[-1] + len(run))
        self._set(order=order, bounds=bounds, _places=places)

    @property
    def nchunks(self) -> int:
        """Number of chunks."""
        return len(self.bounds) - 1

    def runs(self, k: int) -> list[range]:
        """The items of chunk *k*."""
        start, stop = self.bounds[k], self.bounds[k + 1]
        found = []
        at = bisect_right(self._places, start) - 1
        while start < stop:
            run, skipped = self.order[at], start - self._places[at]
            part = run[skipped : skipped + stop - start]
            found.append(part)
            start += len(part)
            at += 1
        return found


def longest_first(costs: Costs, schedule: Schedule, p: int) -> Sorted:
    """The chunks of *schedule*, cut from the cost instead of from the number of items.

    ``dynamic,c`` takes c items at a time.  Where another table takes k of n items, that part k/n
    of the cost is taken, but not fewer than the least chunk.  ``auto`` takes the 2p-th part of the
    cost that remains, down to single items.

    Examples
    --------
    >>> import numpy as np
    >>> from mpicomp.plan.schedule import parse
    >>> plan = longest_first(np.array([1.0] * 400 + [400.0]), parse("auto"), 2)
    >>> [plan.runs(k) for k in range(plan.nchunks)][:3]
    [[range(400, 401)], [range(0, 100)], [range(100, 175)]]
    """
    import numpy as np

    order = _ordered(costs, p)
    places = np.concatenate([np.arange(run.start, run.stop) for run in order] or [np.arange(0)])
    sums = np.concatenate([[0.0], np.cumsum(costs[places])])
    return Sorted(order, tuple(_bounds(sums, schedule, p)))


def _ordered(costs: Costs, p: int) -> tuple[range, ...]:
    import numpy as np

    giants = np.flatnonzero(costs > GIANT * costs.sum() / p)
    longest = giants[np.argsort(-costs[giants], kind="stable")].tolist()
    between = [-1, *giants.tolist(), len(costs)]
    rest = (range(before + 1, after) for before, after in pairwise(between))
    return (*(range(i, i + 1) for i in longest), *filter(None, rest))


def _bounds(sums: Costs, schedule: Schedule, p: int) -> list[int]:
    n, least = len(sums) - 1, schedule.least
    if schedule.name == "dynamic":
        return [*range(0, n, least), n]
    bounds = [0]
    stops = _shares(sums, p) if schedule.kind == "auto" else _as_items(sums, schedule, p)
    for stop in stops:
        if bounds[-1] < stop:
            bounds.append(min(n, max(stop, bounds[-1] + least)))
    return bounds


def _as_items(sums: Costs, schedule: Schedule, p: int) -> Iterator[int]:
    """Where the chunks of a table end that takes the mean cost for an item."""
    n = len(sums) - 1
    for _, stop in table(schedule, n, p):
        yield _place(sums, stop * float(sums[-1]) / n) if stop < n else n


def _shares(sums: Costs, p: int) -> Iterator[int]:
    n, at = len(sums) - 1, 0
    while at < n:
        share = float(sums[-1] - sums[at]) / (2 * p)
        at = min(n, max(at + 1, _place(sums, sums[at] + share))) if share else n
        yield at


def _place(sums: Costs, cost: float) -> int:
    """How many items it takes to cost so much; rounding does not make it one more."""
    return int(sums.searchsorted(cost - 1e-12 * float(sums[-1])))
