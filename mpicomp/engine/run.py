"""From a call to its value: agree, compute, agree, collect.

    every rank    begin ── [the root's items] ── compute ── end ── gather ── [close]
    the root                                                     finish

Rules of this file: every rank that passes one exchange reaches the next, whatever happens in
between; what failed is decided from the same headers on all ranks; so nobody is left waiting.
A verb that is called inside an item runs serially, and so does every verb in a world of one.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from mpicomp.engine import limit, metering
from mpicomp.engine.agree import Agreement, blamed, check_root, check_source, place, raise_first
from mpicomp.engine.ahead import ahead
from mpicomp.engine.alone import alone, frame_inside, nested
from mpicomp.engine.auto import remember
from mpicomp.engine.call import LEAVE, Call, unpack
from mpicomp.engine.compute import Caught, at_work, compute, straight
from mpicomp.engine.computing import Computed, computed
from mpicomp.engine.costed import check_cost
from mpicomp.engine.draining import drain, source_note
from mpicomp.engine.gather import Sending, collect, forget, own, packed, sending
from mpicomp.engine.keeping import missing, spread
from mpicomp.engine.keyed import meet
from mpicomp.engine.recover import Survival
from mpicomp.engine.resuming import resume
from mpicomp.engine.share import at_hand
from mpicomp.engine.shuffled import recheck
from mpicomp.engine.stay import as_parts, stayed
from mpicomp.engine.stopping import Listening, stopped
from mpicomp.engine.teams import in_teams
from mpicomp.engine.timing import keep
from mpicomp.engine.watch import watch
from mpicomp.plan.failure import tell
from mpicomp.plan.source import Stream
from mpicomp.record.recording import under_way
from mpicomp.wire import guard
from mpicomp.wire.cutoff import STOP, Cutoff
from mpicomp.wire.waiting import wait
from mpicomp.wire.world import World, world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpi4py import MPI

    Before = Callable[[Call, Computed], tuple[Call, Computed]]  # the results are brought together


def run(verb: str, comm: MPI.Intracomm | None, build: Callable[[], Call]) -> Any:
    """Make the call that *build* describes.

    Collective: every rank of *comm* calls.

    Parameters
    ----------
    verb : str
        For messages.
    comm : mpi4py.MPI.Intracomm, or what makes the call elsewhere, or None
    build : callable
        Gives the `Call`; what it raises is raised on every rank.
    """
    if nested():
        call = build()
        check_source(call, World())
        # its other ranks know nothing of it
        return serial(World(), call._replace(sampler=None, events=None))
    if comm is not None and (elsewhere := getattr(comm, "__mpicomp_run__", None)):
        return elsewhere(verb, build)  # the engines of a notebook
    ranks = world(comm)
    if ranks.comm is None:
        return _by_itself(ranks, build)
    with alone(verb):
        if ranks.size == 1:  # in a job of more, where its items must not call the others
            return _by_itself(ranks, build)
        install_guard(ranks)
        try:
            if ranks.watch is None:
                value = parallel(ranks, verb, build)
            else:
                value = Survival(ranks, verb, build, _together).value()
        finally:
            interrupted, ranks.interrupted = ranks.interrupted, False
            if ranks.vigil is not None:
                ranks.vigil.left()
        if interrupted:
            raise KeyboardInterrupt
        return value


def _by_itself(ranks: World, build: Callable[[], Call]) -> Any:
    call = build()
    check_root(call.options.root, ranks)
    check_source(call, ranks)
    limit.check(call.options)
    if call.options.cost is not None:
        check_cost(call, call.comprehension.source.n, alone=True)
    watch(call, ranks.rank)
    if call.events is None:
        return _metered(ranks, call)
    with under_way():
        return _metered(ranks, call)


def _metered(ranks: World, call: Call) -> Any:
    if not call.options.progress or metering.drawing():
        return serial(ranks, call)
    metering.check(call.options)
    meter = metering.Meter(ranks, call, call.comprehension.source.n)
    try:
        return serial(ranks, call._replace(meter=meter))
    finally:
        meter.rest()
        meter.drop()


def install_guard(ranks: World) -> None:
    """See to it that a rank which dies, or ends, leaves nobody waiting."""
    guard.install(ranks, LEAVE, _place)


def _place() -> str:
    """Where the items of this process are, for those who wait for it."""
    frame = frame_inside()
    return at_work(frame) if frame is not None else ""


def serial(ranks: World, call: Call) -> Any:
    """The call on this process alone."""
    if call.keeper is None:
        return _serially(ranks, call)
    if nested():
        return _serially(ranks, call._replace(keeper=None))
    with call.keeper.at(0):
        return _serially(ranks, call)


def _serially(ranks: World, call: Call) -> Any:
    if call.plain and not isinstance(call.comprehension.source, Stream):
        return _plainly(ranks, call)
    began = perf_counter()
    source, problem = call.comprehension.source, None
    cutoff = Cutoff(ranks, stop=call.keeper.stopper) if call.keeper is not None else None
    if isinstance(source, Stream):
        resume(ranks, call, source, None, ranks.rank)
        caught, n = drain(ranks, call.streamed(), source, cutoff)
    else:
        # an error of the source's own has no item's place, and what is kept must be at hand
        if call.options.errors == "return" or call.keeper is not None:
            source, problem = at_hand(source)
        n = source.n or 0
        resume(ranks, call, source, n, ranks.rank)
        call.collector.prepare(ranks, n, call.comprehension.one_to_one, call.options.root)
        runs = spread(call, _runs(call, missing(call, n) or 0))
        caught = compute(ranks, call, source, runs, cutoff)
    caught = kept(call, caught)
    if cutoff is not None:
        caught = stopped(ranks, cutoff, caught)
    if problem is not None and caught is None:
        caught = Caught(n, problem, (source_note(ranks),))
    if caught is not None and caught.exception is not None:
        tell(caught.exception, caught.notes)
        raise caught.exception
    recheck(ranks, call)
    if call.options.stays:
        value: Any = as_parts(ranks, call, n, stayed(call))
    else:
        value = call.collector.finish([own(call, in_order=call.keeper is None)], n)
    keep(ranks, call, n, began, perf_counter(), None)
    return value


def _plainly(ranks: World, call: Call) -> Any:
    """The usual call, whose own cost is to be small: it may have a single item."""
    comprehension, collector = call.comprehension, call.collector
    n = comprehension.source.n or 0
    collector.prepare(ranks, n, comprehension.one_to_one, call.options.root)
    caught = straight(ranks, call, comprehension.source, _runs(call, n))
    if caught is not None and caught.exception is not None:
        tell(caught.exception, caught.notes)
        raise caught.exception
    return collector.finish([own(call, in_order=True)], n)


def _runs(call: Call, n: int) -> list[range]:
    """All items at once; for a batched function in the blocks that the schedule names."""
    if not call.comprehension.whole_runs:
        return [range(n)] if n else []
    block = call.options.schedule.chunk or max(1, n)
    return [range(at, min(at + block, n)) for at in range(0, n, block)]


def parallel(ranks: World, verb: str, build: Callable[[], Call]) -> Any:
    """The call on all ranks of a world of several."""
    began = perf_counter()
    agreed = Agreement(ranks, verb, build, ahead)
    if agreed.finished:
        return agreed.value
    if agreed.call.options.ranks_per_item > 1:
        return in_teams(ranks, agreed.call, _among)
    keeper = agreed.call.keeper
    if keeper is None:
        return _together(ranks, agreed, began)
    with keeper.at(ranks.rank):
        return _together(ranks, agreed, began)


def _among(heads: World, call: Call) -> Any:
    """The call on those that lead teams."""
    return serial(heads, call) if heads.size == 1 else parallel(heads, call.verb, lambda: call)


def _together(ranks: World, agreed: Agreement, began: float, before: Before | None = None) -> Any:
    keeper = agreed.call.keeper
    cutoff = Cutoff(ranks, agreed.settle, None if keeper is None else keeper.stopper)
    done = computed(ranks, agreed, cutoff)
    agreed.settle()
    call = agreed.call
    if keeper is not None:
        done = done._replace(caught=_awaited(ranks, cutoff, kept(call, done.caught)))
    try:
        if before is not None:
            call, done = before(call, done)
        if call.collector.meets:
            done = meet(ranks, call, done)
        value = conclude(ranks, call, done, cutoff, began)
    finally:
        if done.meter is not None:
            done.meter.drop()
    remember(agreed.call, perf_counter() - began)
    return value


def _awaited(ranks: World, cutoff: Cutoff, caught: Caught | None) -> Caught | None:
    """What ended the computing here, once all are done; until then this rank can stop them.

    Collective: every rank of the world calls.
    """
    if cutoff.stop is not None and ranks.comm is not None:
        everyone = Listening(ranks.comm.Ibarrier(), cutoff)
        try:
            wait(everyone)
        except KeyboardInterrupt as exc:
            cutoff.announce(STOP)
            caught = Caught(0, exc)
            wait(everyone)
    return stopped(ranks, cutoff, caught)


def kept(call: Call, caught: Caught | None) -> Caught | None:
    """What ended the computing, once all that was done is kept."""
    problem = None if call.keeper is None else call.keeper.finish(call)
    if problem is None or (caught is not None and caught.exception is not None):
        return caught
    return Caught(0, problem, ("  when the last finished items were kept",))


def conclude(ranks: World, call: Call, done: Computed, cutoff: Cutoff, began: float = 0.0) -> Any:
    """Agree on how it went; raise what failed, or collect the value.

    Collective: every rank of the world calls.
    """
    caught, n, in_order, counter, choice, meter = done
    root = call.options.root
    mine = Sending()
    stays, left = call.options.stays, None
    if (caught is None or caught.exception is None) and (stays or ranks.rank != root):
        try:
            left = stayed(call) if stays else None
            payload = None if stays else packed(call, in_order)
        except BaseException as exc:
            caught = Caught(n, exc, (f"  in the results of rank {ranks.rank}, {ranks.host}",))
        else:
            mine = sending(ranks, payload, root)
    header = mine.header(place(caught, True), place(caught, False), cutoff, n)
    headers = unpack(ranks.exchange(header.pack()))
    met = perf_counter()
    if counter is not None:
        counter.rest()
    if meter is not None:
        meter.settle()
    cutoff.settle(sum(h.d & 3 for h in headers), headers[0].d >> 2)
    if blamed(headers) is not None:
        forget(ranks, headers, mine, root)
        raise_first(ranks, call, headers, caught)
    if call.sampler is not None:
        try:
            recheck(ranks, call)
        except BaseException:
            forget(ranks, headers, mine, root)
            raise
    n = max(n, *(h.e for h in headers))  # of a stream, the root alone knows
    if stays:
        value: Any = as_parts(ranks, call, n, left)
    else:
        value = collect(ranks, call, headers, mine, in_order, n)
    keep(ranks, call, n, began, met, headers, choice)
    return value
