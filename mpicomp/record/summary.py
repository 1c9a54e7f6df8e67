"""What timelines come to: how long each rank computed, waited and stood idle.

Rules of this file: all is computed from the events, so that what was measured and what was
simulated are judged alike.

A rank's time, from the call's start until the last rank's last item is computed (the makespan):

    |- - overhead - -|== busy ==|- overhead -|== busy ==|. . . idle . . .|
    call's start                                    its last item       the last rank's

Overhead is what a rank did before it was done and that was no item: agreeing, receiving items,
claiming.  So busy + overhead + idle is the makespan, of every rank.
"""

from __future__ import annotations

from mpicomp.record.units import counted, duration, evenly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from mpicomp.record.timeline import Timeline

_ROWS = 16
_WAYS = 3
_HEAD = "rank        busy    overhead        idle       items   chunks  result"


class Summary:
    """Sums over all events of one or several calls.

    Parameters
    ----------
    calls : iterable of Timeline
        Calls on different numbers of ranks are added rank by rank.

    Attributes
    ----------
    busy, overhead, idle : ndarray, float64, shape (ranks,), seconds
        As drawn at the head of this module.
    items, chunks : ndarray, int64, shape (ranks,)
        How many each rank computed.  A chunk is a run of items that was taken at once.
    makespan, elapsed : float, seconds
        Sums over the calls: until the last item was computed; until the value was there.
    calls : int
    ways : list of str
        Of each call: its schedule, who handed out, and why.
    paths : list of list of str
        Of each rank: how its results reached the root, each way once.

    Examples
    --------
    >>> from mpicomp.record.timeline import Timeline
    >>> events = [(0, 0, 2, 1, 0.0, 2.0), (0, 2, 3, 1, 2.5, 3.5), (1, 3, 4, 1, 0.5, 1.5)]
    >>> call = Timeline("plist", "dynamic,2", "counter", "as asked for", 4, "ab",
    ...                 ["memory", "message of 23 bytes"], 0.0, 4.0, events)
    >>> total = Summary([call])
    >>> total
    <Summary: 1 call on 2 ranks: 3.5 s, efficiency 0.571, imbalance 0.500>
    >>> total.busy, total.overhead, total.idle
    (array([3., 1.]), array([0.5, 0.5]), array([0., 2.]))
    >>> print(total)
    1 call on 2 ranks, 4 items in 3 chunks: computed in 3.5 s, over after 4 s
    efficiency 0.571, imbalance 0.500, c.o.v. 0.500
    "dynamic,2" (counter): as asked for
    <BLANKLINE>
    rank        busy    overhead        idle       items   chunks  result
       0         3 s      500 ms         0 s           3        2  memory
       1         1 s      500 ms         2 s           1        1  message of 23 bytes
    """

    def __init__(self, calls: Iterable[Timeline]) -> None:
        import numpy as np

        calls = list(calls)
        ranks = max((call.ranks for call in calls), default=0)
        self.calls = len(calls)
        self.makespan = float(sum(call.makespan for call in calls))
        self.elapsed = float(sum(call.seconds for call in calls))
        self.busy, self.overhead, self.idle = np.zeros((3, ranks))
        self.items, self.chunks = np.zeros((2, ranks), np.int64)
        self.ways = [f'"{call.schedule}" ({call.dispatch}): {call.reason}' for call in calls]
        self.paths: list[list[str]] = [[] for _ in range(ranks)]
        for call in calls:
            self._add(call)

    def _add(self, call: Timeline) -> None:
        import numpy as np

        events, ranks = call.events, call.ranks
        rank = events["rank"]
        busy = np.bincount(rank, events["end"] - events["begin"], ranks)
        last = np.zeros(ranks)
        np.maximum.at(last, rank, events["end"])
        self.busy[:ranks] += busy
        self.overhead[:ranks] += last - busy
        self.idle[:ranks] += call.makespan - last
        self.chunks[:ranks] += np.bincount(rank, minlength=ranks)
        np.add.at(self.items, rank, call.items)
        for paths, path in zip(self.paths, call.paths, strict=False):
            if path.strip() and path not in paths:
                paths.append(path)

    @property
    def ranks(self) -> int:
        """Number of ranks; the largest, where the calls' numbers differ."""
        return len(self.busy)

    @property
    def efficiency(self) -> float:
        """Share of all ranks' time that was spent on items; 1 when there was nothing to do."""
        spent = self.busy.sum() + self.overhead.sum() + self.idle.sum()
        return float(self.busy.sum() / spent) if spent else 1.0

    @property
    def imbalance(self) -> float:
        """How much longer the busiest rank computed than ranks do on average: max/mean - 1."""
        mean = self._mean
        return float(self.busy.max() / mean) - 1.0 if mean else 0.0

    @property
    def cov(self) -> float:
        """Coefficient of variation of busy: its standard deviation over its mean."""
        mean = self._mean
        return float(self.busy.std() / mean) if mean else 0.0

    @property
    def _mean(self) -> float:
        return float(self.busy.mean()) if self.ranks else 0.0

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {self._who()}: {duration(self.makespan)}, "
            f"efficiency {self.efficiency:.3f}, imbalance {self.imbalance:.3f}>"
        )

    def _who(self) -> str:
        return f"{counted(self.calls, 'call')} on {counted(self.ranks, 'rank')}"

    def __str__(self) -> str:
        lines = [
            f"{self._who()}, {counted(self.items.sum(), 'item')} in "
            f"{counted(self.chunks.sum(), 'chunk')}: computed in {duration(self.makespan)}, "
            f"over after {duration(self.elapsed)}",
            f"efficiency {self.efficiency:.3f}, imbalance {self.imbalance:.3f}, "
            f"c.o.v. {self.cov:.3f}",
            *self._told_ways(),
            "",
            _HEAD,
        ]
        return "\n".join([*lines, *self._rows(evenly(self.ranks, _ROWS))])

    def _told_ways(self) -> list[str]:
        """Each way once, the last call's at the end; of many, the last few."""
        ways = list(dict.fromkeys(reversed(self.ways)))
        more = [f"({len(ways) - _WAYS} more ways before)"] if len(ways) > _WAYS else []
        return [*more, *reversed(ways[:_WAYS])]

    def _told_path(self, rank: int) -> str:
        paths = self.paths[rank]
        if len(paths) > 1:  # of several calls: without the numbers of bytes
            paths = list(dict.fromkeys(path.partition(" of ")[0] for path in paths))
        return ", ".join(paths)

    def _rows(self, shown: Sequence[int]) -> list[str]:
        order = range(self.ranks) if len(shown) == self.ranks else self._by_load()
        rows = [self._row(order[k]) for k in shown]
        if len(shown) < self.ranks:
            rows.append(f"({len(shown)} of {self.ranks} ranks, from the least busy to the most)")
        return rows

    def _by_load(self) -> Any:
        import numpy as np

        order: NDArray[np.intp] = np.argsort(self.busy, kind="stable")
        return order

    def _row(self, rank: int) -> str:
        times = (f"{duration(each[rank]):>10}" for each in (self.busy, self.overhead, self.idle))
        counts = f"{self.items[rank]:>10} {self.chunks[rank]:>8}"
        return f"{rank:>4}  {'  '.join(times)}  {counts}  {self._told_path(rank)}".rstrip()
