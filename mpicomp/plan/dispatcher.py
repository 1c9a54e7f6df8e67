"""The master's brain: events in (ready, done, failed, lost), grants out.

Rules of this file: no message, no clock, no thread; an event costs the same however many chunks
there are, and nothing is kept of a chunk that is done.  Where a chunk ends is decided in
`mpicomp.plan.cutting`; who gets it, here.

    a rank's life      ready ── Grant ── ready ── Grant ── done ── ready ── None (hungry)
    a chunk's life     cut ── granted ── done | failed
                               ├─ lost ──── granted again ── done | failed
                               └─ returned from item i on: [start, i) stays, [i, stop) as if lost

Who is told None while it holds nothing is *hungry*, and gets its grant as the answer to the
event that makes one possible: `extend`, `close`, `returned` or `lost`.  So nobody hungry is
passed over, and while anybody is hungry there is nothing to hand out.

A rank may hold a second grant, so that the next chunk is there when the first is done.  But a
chunk that waits behind another cannot be given to a rank that is free.  Therefore who holds
something gets more only if it holds no more than the 2p-th part of the items that nobody holds:
with a second such chunk it stays within its fair share of them.  So many small chunks are
prefetched until the end is near, and the few large ones of schedules that taper are not.  (To
count chunks instead would not do: the first of 4 ranks would take 250 + 188 of guided's 1000.)
Of a stream that goes on only the window is known, which is no end: there it is enough that an
item is left for every rank.

With *reissue*, when everything is handed out, who is free gets a chunk that others still hold: the
lowest of those that fewest hold.  The first to finish it counts; the others are *superseded*.
So ranks that are slow, or stand still, hold nobody up, as long as one works.

Source: Mohammed, Cavelan & Ciorba 2019, "rDLB: a novel approach for robust dynamic load balancing
of scientific applications with parallel independent tasks".
"""

from __future__ import annotations

from heapq import heappop, heappush

from mpicomp.plan.cutting import Cut, cut_of
from mpicomp.plan.value import whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mpicomp.plan.chunks import PlanLike
    from mpicomp.plan.cutting import Grant
    from mpicomp.plan.schedule import Schedule

_BLOCKS_AHEAD = 16  # least chunks for each rank in a stream's window
NOBODY = -1


class Dispatcher:
    """Hands out n items, or a stream, to p ranks; all it knows it was told by events.

    Parameters
    ----------
    schedule : str, Schedule, PlanLike or Cut
        Any schedule but "auto", or a plan; a static one goes out chunk by chunk as well, to
        whoever asks.  A cut of one's own knows n and p itself.
    n : int or None
        Number of items; None for a stream, whose items are announced by `extend`.
    p : int
        Number of ranks that may ask: ``range(p)``.
    ahead : int, default 1
        Grants that a rank may hold besides the one it works on.
    window : int, optional
        Of a stream: items that may be known beyond the lowest unfinished one; at least the least
        chunk, 16 of them for each rank by default.
    reissue : bool, default False
        Near the end, chunks may be held by several ranks.
    **parameters
        Of the schedule: see `mpicomp.plan.cutting.cut_of`.

    Attributes
    ----------
    limit : int or None
        The lowest item that failed.
    window : int
        As above; it may be changed at any time.

    Examples
    --------
    Two ranks, rank 1 twice as fast:

    >>> master = Dispatcher("dynamic,4", 11, 2)
    >>> master.ready(0), master.ready(1)
    (Grant(number=0, start=0, stop=4), Grant(number=1, start=4, stop=8))
    >>> master.done(1, 1, seconds=0.5)
    True
    >>> master.ready(1)
    Grant(number=2, start=8, stop=11)
    >>> master.done(0, 0, seconds=1.0), master.done(1, 2, seconds=0.4), master.finished
    (True, True, True)

    A rank that dies, and one that was hungry:

    >>> master = Dispatcher("static", 10, 2)
    >>> master.ready(0).items, master.ready(1).items
    (range(0, 5), range(5, 10))
    >>> master.done(1, 1, seconds=0.5), master.ready(1)
    (True, None)
    >>> master.lost(0)
    [(1, Grant(number=0, start=0, stop=5))]

    A rank that is slow, and one that does its work again:

    >>> master = Dispatcher("static", 10, 2, reissue=True)
    >>> master.ready(0).items, master.ready(1).items
    (range(0, 5), range(5, 10))
    >>> master.done(1, 1, seconds=0.5), master.ready(1).items
    (True, range(0, 5))
    >>> master.done(1, 0, seconds=0.5), master.finished, master.superseded()
    (True, True, [(0, 0)])
    >>> master.done(0, 0, seconds=9.0)
    False
    """

    __slots__ = (
        "_again",
        "_also",
        "_cut",
        "_hungry",
        "_load",
        "_lost",
        "_moot",
        "_news",
        "_open",
        "_reissue",
        "_room",
        "limit",
        "window",
    )

    def __init__(
        self,
        schedule: str | Schedule | PlanLike | Cut,
        n: int | None,
        p: int,
        *,
        ahead: int = 1,
        window: int | None = None,
        reissue: bool = False,
        **parameters: Any,
    ) -> None:
        cut = schedule if isinstance(schedule, Cut) else cut_of(schedule, n, p, **parameters)
        self._cut = cut
        window = _BLOCKS_AHEAD * cut.p * cut.least if window is None else window
        self.window = whole("window", window, cut.least)
        self.limit: int | None = None
        # chunks granted or lost, and not done: who holds them; in the order of the items
        self._open: dict[int, tuple[int, Grant]] = {}
        self._again: list[tuple[int, Grant]] = []  # the lost among them, lowest first, as a heap
        self._room = [whole("ahead", ahead, 0) + 1] * cut.p  # grants that each rank may still get
        self._load = [0] * cut.p  # items that each rank holds
        self._hungry: dict[int, None] = {}  # in the order of asking
        self._lost: set[int] = set()
        self._reissue = reissue
        self._also: dict[int, list[int]] = {}  # of open chunks, who holds them besides the first
        self._moot: set[tuple[int, int]] = set()  # ranks and chunks that others have done for them
        self._news: list[tuple[int, int]] = []  # those nobody has been told of

    def __repr__(self) -> str:
        cut = self._cut
        known = f"{cut.known}" if cut.closed else f"{cut.known}..."
        return (
            f"<Dispatcher: {cut.at} of {known} items handed out, {len(self._open)} chunks "
            f"unfinished, {len(self._hungry)} of {cut.p} ranks hungry>"
        )

    def ready(self, rank: int) -> Grant | None:
        """*rank* can take a chunk, or one more.

        Returns
        -------
        Grant or None
            None: it holds as much as it may (ask again when some of it is done); or there is
            nothing to hand out, and then a rank that holds nothing is remembered as hungry.
        """
        cut, load = self._cut, self._load[rank]
        spare = 2 * cut.p * load if cut.closed or not load else cut.p
        if not self._room[rank] or spare > cut.known - cut.at:
            return None
        grant = self._grant(rank)
        if grant is not None:
            self._hungry.pop(rank, None)
        elif not load:
            self._hungry[rank] = None
        return grant

    def done(self, rank: int, number: int, seconds: float, overhead: float = 0.0) -> bool:
        """*rank* has finished a chunk.

        Parameters
        ----------
        rank, number : int
            Who, and which chunk.
        seconds : float
            How long it computed.
        overhead : float
            How long it waited for the grant; of interest to ``awf-d`` and ``awf-e``.

        Returns
        -------
        bool
            Whether its values count.  They do not when the rank was given up as `lost` before:
            the chunk is another's now; nor when another has done it first.

        Raises
        ------
        ValueError
            For a chunk that the rank does not hold.
        """
        grant = self._held(rank, number)
        if grant is None:
            return False
        self._settle(rank, grant)
        self._cut.learn(rank, grant.stop - grant.start, seconds, overhead)
        return True

    def failed(self, rank: int, number: int, index: int) -> bool:
        """Item *index*, in a chunk that *rank* holds, has ended that chunk and the call.

        From now on no item at or above it is handed out; chunks below, given back by a rank that
        was lost, still are: the serial comprehension would have met their errors first.

        Returns
        -------
        bool
            Whether it counts, as in `done`.

        Raises
        ------
        ValueError
            For a chunk that the rank does not hold, and an item that is not in it.
        """
        grant = self._held(rank, number)
        if grant is None:
            return False
        if index not in grant.items:
            raise ValueError(f"chunk {number} is {grant.items}, got {index=}; write the item's own")
        self._settle(rank, grant)
        self.limit = limit = index if self.limit is None else min(index, self.limit)
        if self._reissue:  # who computes what nobody needs any more can be told to stop
            for holder, grant in [*self._open.values()]:
                if grant.start >= limit and holder != NOBODY:
                    self._settle(NOBODY, grant)
        return True

    def superseded(self) -> list[tuple[int, int]]:
        """Which ranks hold which chunks that are done or not needed; each is told once.

        They may stop; what they report of these chunks does not count.
        """
        news, self._news = self._news, []
        return news

    def lost(self, rank: int) -> list[tuple[int, Grant]]:
        """*rank* has died: what it held goes to others, lowest first, before anything new.

        It gets no more grants, and what is still reported of it does not count.

        Returns
        -------
        list of (int, Grant)
            Who was hungry and gets what.
        """
        self._lost.add(rank)
        self._hungry.pop(rank, None)
        self._room[rank] = 0
        for number, (holder, grant) in self._open.items():
            also = self._also.get(number, [])
            if rank in also:
                also.remove(rank)
            elif holder == rank and also:
                self._open[number] = also.pop(0), grant
            elif holder == rank:
                self._open[number] = NOBODY, grant
                heappush(self._again, (grant.start, grant))
        self._news = [entry for entry in self._news if entry[0] != rank]
        return self._serve()

    def returned(self, rank: int, number: int, at: int) -> list[tuple[int, Grant]]:
        """*rank* gives back the items of a chunk from *at* on, which it has not begun.

        They become a chunk with a number of its own, and go to others before anything new.  What
        is left of the first is reported as usual, unless nothing is.  Gives what `lost` gives.

        Raises
        ------
        ValueError
            For a chunk that the rank does not hold, and an *at* outside of it.
        """
        grant = self._held(rank, number)
        if grant is None or at == grant.stop:
            return []
        if at not in grant.items:
            raise ValueError(f"chunk {number} is {grant.items}, got {at=}; write an item of it")
        rest = self._cut.split(at, grant.stop)
        if at == grant.start:
            self._settle(rank, grant)
        else:
            self._open[number] = rank, grant._replace(stop=at)
            self._load[rank] -= rest.stop - rest.start
        self._open[rest.number] = NOBODY, rest
        self._open = dict(sorted(self._open.items(), key=lambda held: held[1][1].start))
        heappush(self._again, (rest.start, rest))
        return self._serve()

    def extend(self, count: int) -> list[tuple[int, Grant]]:
        """*count* more items of the stream have been read; gives what `lost` gives.

        Raises
        ------
        ValueError
            For more than `wanted`, unless an item has failed since; and if there is no stream, or
            no longer.
        """
        if self._cut.closed:
            raise ValueError(f"extend({count}) is for an open stream; write n=None, close() last")
        if self.limit is None and count > self.wanted():
            raise ValueError(
                f"{count} items were read where {self.wanted()} were wanted; "
                "read at most wanted() items at a time"
            )
        self._cut.known += count
        return self._serve()

    def close(self) -> list[tuple[int, Grant]]:
        """The stream has ended; gives what `lost` gives."""
        self._cut.closed = True
        return self._serve()

    def wanted(self) -> int:
        """How many items of the stream may be read now."""
        if self._cut.closed or self.limit is not None:
            return 0
        return max(0, self.lowest + self.window - self._cut.known)

    @property
    def finished(self) -> bool:
        """Whether every item is done, or every one below `limit`."""
        if self.limit is not None:
            return self.lowest >= self.limit
        return self._cut.closed and self.lowest == self._cut.known

    @property
    def hungry(self) -> bool:
        """Whether a rank waits for its next chunk with nothing in hand."""
        return bool(self._hungry)

    @property
    def lowest(self) -> int:
        """The lowest unfinished item."""
        for _, grant in self._open.values():
            return grant.start
        return self._cut.at

    def _grant(self, rank: int) -> Grant | None:
        grant = self._given_back(rank) if self._again else None
        if grant is None:
            grant = self._cut.next(rank) if self.limit is None else None
            if grant is None:
                return self._reissued(rank) if self._reissue else None
        self._open[grant.number] = rank, grant
        return self._taken(rank, grant)

    def _reissued(self, rank: int) -> Grant | None:
        """A chunk of another rank's, for one that has nothing to do."""
        if self._load[rank] or not (self._cut.closed or self.limit is not None):
            return None
        held = [number for number, (holder, _) in self._open.items() if holder != NOBODY]
        if not held:
            return None
        number = min(held, key=lambda number: len(self._also.get(number, ())))
        self._also.setdefault(number, []).append(rank)
        return self._taken(rank, self._open[number][1])

    def _taken(self, rank: int, grant: Grant) -> Grant:
        self._room[rank] -= 1
        self._load[rank] += grant.stop - grant.start
        return grant

    def _given_back(self, rank: int) -> Grant | None:
        _, grant = heappop(self._again)
        return grant if self.limit is None or grant.start < self.limit else None

    def _serve(self) -> list[tuple[int, Grant]]:
        served: list[tuple[int, Grant]] = []
        for rank in self._hungry:
            grant = self._grant(rank)
            if grant is not None:
                served.append((rank, grant))
        for rank, _ in served:
            del self._hungry[rank]
        return served

    def _held(self, rank: int, number: int) -> Grant | None:
        """A chunk that *rank* reports; None if the rank is lost, and it with it."""
        holder, grant = self._open.get(number, (NOBODY, None))
        if rank == holder or rank in self._also.get(number, ()):
            return grant
        if (rank, number) in self._moot:
            self._moot.remove((rank, number))
            return None
        if rank in self._lost:
            return None
        held = [k for k, (holder, _) in self._open.items() if holder == rank]
        raise ValueError(f"rank {rank} holds the chunks {held}, got {number}; report each once")

    def _settle(self, rank: int, grant: Grant) -> None:
        """The chunk is over: *rank* has done it, or nobody need."""
        holder, _ = self._open.pop(grant.number)
        for each in (holder, *self._also.pop(grant.number, ())):
            self._room[each] += 1
            self._load[each] -= grant.stop - grant.start
            if each != rank:
                self._moot.add((each, grant.number))
                self._news.append((each, grant.number))
