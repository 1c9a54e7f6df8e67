"""Computing what a master hands out: streams, adaptive schedules, ``dispatch="master"``.

Rules of this file: the root is the master; the items of a stream travel with the grants, those
of any other source are on every rank before it begins.
"""

from __future__ import annotations

from typing import Any

from mpicomp.engine.compute import Caught, compute
from mpicomp.engine.draining import Feed, source_failure
from mpicomp.engine.keeping import gaps_of, missing, narrowed, spread
from mpicomp.engine.master import Master
from mpicomp.engine.reissued import Parts, lead_again, work_again
from mpicomp.engine.worker import Current, Worker
from mpicomp.plan.cutting import LEFT_TO_MASTER
from mpicomp.plan.dispatcher import Dispatcher
from mpicomp.plan.own import OwnPlan
from mpicomp.plan.schedule import parse
from mpicomp.plan.source import Stream
from mpicomp.wire.transport import NothingSent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.engine.call import Call
    from mpicomp.plan.chunks import PlanLike
    from mpicomp.plan.cutting import Grant
    from mpicomp.plan.gaps import Gaps
    from mpicomp.plan.schedule import Schedule
    from mpicomp.plan.source import Source
    from mpicomp.wire.cutoff import Cutoff
    from mpicomp.wire.world import World


class Supply:
    """Items of a stream that have been read and not yet handed out."""

    def __init__(self, stream: Stream, gaps: Gaps | None, again: bool) -> None:
        self.feed = Feed(stream)
        self._gaps = gaps
        self._base = 0
        self._items: list[Any] = []
        # chunks that may be handed out once more, by their first item
        self._taken: dict[int, list[Any]] | None = {} if again else None

    def read(self, count: int) -> int:
        """Read *count* more that are missing; how many there were."""
        found = self._window(count)
        self._items += found
        return len(found)

    def _window(self, count: int) -> list[Any]:
        if self._gaps is None:
            return self.feed.window(count)
        found: list[Any] = []
        while len(found) < count:
            at = self.feed.taken
            read = self.feed.window(count - len(found))
            found += [item for place, item in enumerate(read, at) if self._gaps.has(place)]
            if self.feed.ended:
                break
        return found

    def take(self, grant: Grant) -> list[Any]:
        """The items of *grant*; chunks are cut in order, so they are the first, or known."""
        if self._taken is not None and grant.start < self._base:
            return self._taken[grant.start]
        skipped, count = grant.start - self._base, grant.stop - grant.start
        taken = self._items[skipped : skipped + count]
        del self._items[: skipped + count]
        self._base = grant.stop
        if self._taken is not None:
            self._taken[grant.start] = taken
        return taken

    def forget(self, lowest: int) -> None:
        """The chunks before item *lowest* are done."""
        if self._taken is not None:
            self._taken = {start: items for start, items in self._taken.items() if start >= lowest}


def handed_out(call: Call, n: int | None, p: int) -> Schedule | PlanLike:
    """The schedule by which a master cuts chunks where it is left to us: tapering ones."""
    schedule = call.options.schedule
    if isinstance(schedule, OwnPlan):
        return schedule.plan if n is None else narrowed(call, schedule.plan_for(n, p))
    return parse(LEFT_TO_MASTER) if schedule.kind == "auto" else schedule


def work(
    world: World,
    call: Call,
    master: int,
    source: Source | None,
    problem: BaseException | None,
    cutoff: Cutoff,
) -> Caught | None:
    """Compute what the master gives this rank.

    Every rank but the master calls; without a *source* the items come with the grants; *problem*
    is what kept this rank from getting its source.
    """
    current = Current(gaps_of(call))
    worker = Worker(world, master, current if source is None else None, cutoff, gaps_of(call))
    if problem is None and call.options.reissue:
        return work_again(world, worker, master, Parts(world, call, source or current))
    if problem is None:
        runs = spread(call, worker.runs())
        caught = compute(world, call, source or current, runs, cutoff) or worker.problem
    else:
        worker.greet()
        caught = Caught(0, problem, (f"  before the first item of rank {world.rank}",))
    worker.finish(caught)
    return None if isinstance(problem, NothingSent) else caught


def lead(
    world: World,
    call: Call,
    source: Source,
    n: int | None,
    problem: BaseException | None,
    cutoff: Cutoff,
) -> tuple[Caught | None, int]:
    """Hand out all of the source, and compute along, unless the root only hands out.

    The master calls, with the parameters of `work`.

    Returns
    -------
    caught : Caught or None
        What ended its own work, or the reading of the stream.
    n : int
        Items in all.
    """
    gaps = gaps_of(call)
    again = call.options.reissue
    supply = Supply(source, gaps, again) if isinstance(source, Stream) else None
    current = Current(gaps)
    schedule = handed_out(call, n, world.size)
    dispatcher = Dispatcher(schedule, missing(call, n), world.size, reissue=again)

    def read(count: int) -> int:
        assert supply is not None, "only a stream is read"
        supply.forget(dispatcher.lowest)
        return supply.read(count)

    def hold(grant: Grant) -> None:
        if supply is not None:
            current.hold(grant.start, supply.take(grant))

    reads, load = (None, None) if supply is None else (read, supply.take)
    master = Master(world, dispatcher, cutoff, reads, load, gaps, hold)
    try:
        items = source if supply is None else current
        caught = _led(world, call, items, problem, cutoff, master)
    finally:
        master.rest()
    unsent = master.unsent
    if unsent is not None and (caught is None or unsent.item < caught.item):
        caught = unsent
    if supply is None:
        return caught, n or 0
    return caught or source_failure(world, call, supply.feed), supply.feed.taken


def _led(
    world: World,
    call: Call,
    items: Source,
    problem: BaseException | None,
    cutoff: Cutoff,
    master: Master,
) -> Caught | None:
    """Compute along, until all is done; what ended the root's own work."""
    if problem is None and call.options.reissue:
        return lead_again(master, Parts(world, call, items))
    if problem is not None:
        caught: Caught | None = Caught(0, problem, ("  while its items were sent to the ranks",))
    elif call.options.dispatch == "master-only":
        caught = None
    else:
        runs = spread(call, master.runs())
        caught = compute(world, call, items, runs, cutoff, master.glance)
    master.finish(caught)
    return caught
