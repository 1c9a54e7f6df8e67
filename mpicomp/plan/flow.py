"""The brain of work whose results come back as they are done: batches, and the way out.

Rules of this file: no message, no clock, no thread.  `Flow` is the `Dispatcher` with what such
work needs besides: batches by measured time (`Paced`), and no second batch for a rank whose
first is slow, because what waits behind a slow item could be done by another.  What a lost rank
held goes out again one by one, so that it is known which item is with a rank that is lost too.
`Outlet` says which values may go out, and how far the source may be read.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappush
from sys import maxsize

from mpicomp.plan.cutting import SizedCut
from mpicomp.plan.dispatcher import NOBODY, Dispatcher
from mpicomp.plan.value import ceil_div, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mpicomp.plan.cutting import Cut, Grant

PACE = 0.004  # seconds that a batch should take, so that its messages cost little
_MOST = 1024  # items of a batch
_GROWTH = 8  # a batch is at most so many times as long as the one before it
_FIRST = 4  # items for each rank in the window, before anything is known of their cost
_WIDEST = 4096  # items for each rank in a window that we choose


class Paced(SizedCut):
    """Batches of about `PACE` seconds: one item at first, then by the time that items took.

    A batch is at most the 2p-th part of what is known, so that there is something for everyone,
    and few items go out one by one.

    Examples
    --------
    >>> cut = Paced(p=2)
    >>> cut.known = 1000
    >>> cut.next(rank=0)
    Grant(number=0, start=0, stop=1)
    >>> cut.learn(rank=0, items=1, seconds=0.001, overhead=0.0)
    >>> cut.next(rank=0)
    Grant(number=1, start=1, stop=5)
    """

    __slots__ = ("_cost", "_last")

    def __init__(self, p: int) -> None:
        super().__init__(None, p, 1)
        self._cost = 0.0
        self._last = 1

    def learn(self, rank: int, items: int, seconds: float, overhead: float) -> None:
        if seconds > 0:
            cost = seconds / items
            # what got dearer counts at once, what got cheaper by and by
            self._cost = cost if cost > self._cost else (self._cost + cost) / 2

    def _size(self, rank: int, left: int) -> int:
        size = min(int(PACE / self._cost), _GROWTH * self._last, _MOST) if self._cost else 1
        self._last = max(1, min(size, ceil_div(left, 2 * self.p)))
        return self._last


class Flow(Dispatcher):
    """The dispatcher of a flow: items are announced without end, results go out as they come.

    Parameters
    ----------
    p : int
        Number of ranks.
    cut : Cut, optional
        Where batches end; `Paced` by default.

    Attributes
    ----------
    spared : int or None
        A rank that must not be lost: it gets nothing that was with one that is.

    Examples
    --------
    A rank that is stuck in a slow item gives back what waits behind it:

    >>> flow = Flow(2)
    >>> flow.extend(100), flow.ready(0)
    ([], Grant(number=0, start=0, stop=1))
    >>> flow.done(0, 0, seconds=1e-6), flow.ready(0)
    (True, Grant(number=1, start=1, stop=9))
    >>> flow.returned(0, 1, at=3), flow.ready(1)
    ([], Grant(number=2, start=3, stop=9))

    A rank that is lost:

    >>> flow.lost(1), flow.ready(0)
    ([], None)
    >>> flow.done(0, 1, seconds=1e-6), flow.ready(0), flow.ready(0)
    (True, Grant(number=3, start=3, stop=4), None)
    """

    __slots__ = ("_alone", "_quick", "_slow", "spared")

    def __init__(self, p: int, cut: Cut | None = None) -> None:
        super().__init__(cut or Paced(p), None, p, window=maxsize)
        self._quick = False
        self._slow: set[int] = set()
        self._alone: dict[int, int | None] = {}  # chunks of lost ranks, and who holds them now
        self.spared: int | None = None

    def ready(self, rank: int) -> Grant | None:
        if self._load[rank] and (rank in self._slow or not self._quick or self._holds_alone(rank)):
            return None
        return super().ready(rank)

    def lost(self, rank: int) -> list[tuple[int, Grant]]:
        """*rank* has died: each item that it held becomes a chunk of its own.

        It goes to a rank that holds nothing else, and never to `spared`.
        """
        self._slow.discard(rank)
        for grant in self.holding(rank):
            self._settle(rank, grant)
            self._alone.pop(grant.number, None)
            for item in grant.items:
                single = self._cut.split(item, item + 1)
                self._open[single.number] = NOBODY, single
                self._alone[single.number] = None
                heappush(self._again, (item, single))
        self._open = dict(sorted(self._open.items(), key=lambda held: held[1][1].start))
        return super().lost(rank)

    def holding(self, rank: int) -> list[Grant]:
        """What *rank* holds."""
        return [grant for holder, grant in self._open.values() if holder == rank]

    def alone(self, number: int) -> bool:
        """Whether this is the single item of a lost rank."""
        return number in self._alone

    def waiting_alone(self) -> list[int]:
        """Items of lost ranks that nobody has taken since."""
        return [self._open[number][1].start for number, rank in self._alone.items() if rank is None]

    def _holds_alone(self, rank: int) -> bool:
        return bool(self._alone) and rank in self._alone.values()

    def _given_back(self, rank: int) -> Grant | None:
        if not self._alone:
            return super()._given_back(rank)
        suits = not self._load[rank] and rank != self.spared
        fit = [entry for entry in self._again if suits or entry[1].number not in self._alone]
        if not fit:
            return None
        self._again.remove(min(fit))
        heapify(self._again)
        _, grant = min(fit)
        if grant.number in self._alone:
            self._alone[grant.number] = rank
        return grant if self.limit is None or grant.start < self.limit else None

    def _settle(self, rank: int, grant: Grant) -> None:
        super()._settle(rank, grant)
        self._alone.pop(grant.number, None)

    def done(self, rank: int, number: int, seconds: float, overhead: float = 0.0) -> bool:
        counts = super().done(rank, number, seconds, overhead)
        self._quick = seconds < 2 * PACE
        self._slow.discard(rank)
        return counts

    def failed(self, rank: int, number: int, index: int) -> bool:
        self._slow.discard(rank)
        return super().failed(rank, number, index)

    def returned(self, rank: int, number: int, at: int) -> list[tuple[int, Grant]]:
        self._slow.add(rank)
        served = super().returned(rank, number, at)
        if not self._load[rank]:
            self._slow.discard(rank)
        return served

    def relieve(self, rank: int) -> None:
        """What *rank* has given back was not slow: it may hold more again."""
        self._slow.discard(rank)

    def held(self, rank: int, number: int) -> Grant:
        """The chunk that *rank*, which is not lost, reports on."""
        grant = self._held(rank, number)
        assert grant is not None, "nobody listens to those that are lost"
        return grant

    def stop(self, at: int) -> None:
        """Item *at* and those behind it are not handed out any more."""
        self.limit = at if self.limit is None else min(self.limit, at)


class Outlet:
    """Values that have come back, and which of them may go out.

    Values come in pieces: those of a run of items, or of some items of it and the beginning of
    the next.  The pieces that begin with one item come in their order.

    Parameters
    ----------
    ordered : bool
        Pieces go out in the order of the items; else in that of their coming.
    p : int
        Number of ranks.
    window : int, optional
        How many items may be known besides those whose values have gone out; chosen by `widen`
        when None.
    least : int, default 1
        Items of the least chunk, which a window has to hold.

    Attributes
    ----------
    gone : int
        Items whose values have all gone out.

    Examples
    --------
    >>> outlet = Outlet(ordered=True, p=2, window=4)
    >>> outlet.put(range(2, 3), ["c"]), outlet.piece()
    (None, None)
    >>> outlet.put(range(0, 2), ["a", "b"]), outlet.piece()
    (None, (2, ['a', 'b']))
    >>> outlet.piece(), outlet.wanted(known=3)
    ((1, ['c']), 1)
    """

    __slots__ = ("_at", "_chosen", "_here", "_most", "_pieces", "failed_at", "gone", "ordered",
                 "window")  # fmt: skip

    def __init__(self, ordered: bool, p: int, window: int | None = None, least: int = 1) -> None:
        self.ordered = ordered
        self._chosen = window is None
        self.window = whole("window", _FIRST * p * least if window is None else window, least)
        self._most = _WIDEST * p
        self._at = 0
        self._pieces: dict[int, deque[tuple[int, list[Any]]]] = {}
        self._here: deque[tuple[int, list[Any]]] = deque()
        self.failed_at: int | None = None
        self.gone = 0

    def put(self, run: range, values: list[Any]) -> None:
        """Take in the values of the items *run*, which are complete."""
        if self.ordered:
            self._pieces.setdefault(run.start, deque()).append((run.stop, values))
        else:
            self._here.append((len(run), values))

    def fail(self, at: int) -> None:
        """Item *at* has failed: nothing behind it goes out."""
        self.failed_at = at if self.failed_at is None else min(self.failed_at, at)

    def piece(self) -> tuple[int, list[Any]] | None:
        """The next piece that goes out: how many items it completes, and the values."""
        if not self.ordered:
            return self._here.popleft() if self._here else None
        waiting = self._pieces.get(self._at)
        if not waiting:
            return None
        stop, values = waiting.popleft()
        if not waiting:
            del self._pieces[self._at]
        count, self._at = stop - self._at, stop
        return count, values

    @property
    def failed(self) -> bool:
        """Whether what comes next is the failure (once `piece` has nothing)."""
        return self.failed_at is not None and (not self.ordered or self._at >= self.failed_at)

    def wanted(self, known: int) -> int:
        """How many items may be read now, besides the *known*."""
        return max(0, self.gone + self.window - known)

    def widen(self, wide: float) -> None:
        """So many items are a few batches for every rank; of no effect on a window that is set."""
        if self._chosen:
            self.window = max(self.window, int(min(wide, self._most)))
