"""A stream as source: the root consumes it, once, in order, a bounded window ahead.

Rules of this file: a round is one window, shared out by the schedule; rounds end when the
stream does, when an item failed, or when one decided the call.
"""

from __future__ import annotations

from itertools import count
from time import perf_counter

from mpicomp.engine.agree import place
from mpicomp.engine.call import ROUND, Call, Header, unpack
from mpicomp.engine.compute import Caught, compute
from mpicomp.engine.draining import Feed, source_failure
from mpicomp.engine.share import part_of, runs_of
from mpicomp.engine.stopping import stopped
from mpicomp.plan.gaps import Gaps
from mpicomp.plan.source import Data, Held, Stream
from mpicomp.wire.transport import NothingSent, scatter_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mpicomp.wire.cutoff import Cutoff
    from mpicomp.wire.world import World

_ROUND = 0.05  # seconds that a round should take, so that its messages cost little
_MOST = 4096  # items a rank, so that a window stays small


def rounds(world: World, call: Call, root: int, cutoff: Cutoff) -> tuple[Caught | None, int]:
    """Compute the whole stream.

    Collective: every rank of the world calls.

    Returns
    -------
    caught : Caught or None
        What ended this rank's work early.
    n : int
        Items computed, by all ranks together.
    """
    source = call.comprehension.source
    feed = Feed(source) if world.rank == root and isinstance(source, Stream) else None
    caught: Caught | None = None
    base, size = 0, 4 * world.size * (call.options.schedule.chunk or 1)
    for _ in count():
        cutoff.poll()
        caught = stopped(world, cutoff, caught)
        window = feed.window(size) if feed and caught is None else []
        header = Header(ROUND, place(caught, True), len(window), f=place(caught, False))
        headers = unpack(world.exchange(header.pack()))
        if any(h.failed or h.f for h in headers):
            break
        n = headers[root].a
        if not n:
            break
        began = perf_counter()
        caught = _round(world, call, window, base, n, root, cutoff)
        base += n
        if perf_counter() - began < _ROUND:
            size = min(2 * size, _MOST * world.size)
    if feed and caught is None:
        caught = source_failure(world, call, feed)
    return caught, base


def _round(
    world: World, call: Call, window: list[Any], base: int, n: int, root: int, cutoff: Cutoff
) -> Caught | None:
    window, gaps = _left(call, window, base, n)
    decomposition = call.options.schedule.decomposition(gaps.count or 0, world.size)
    whole = Data(window)
    try:
        make = (lambda rank: part_of(whole, decomposition, rank)) if world.rank == root else None
        items = scatter_values(world, make, root)
    except NothingSent:
        return None
    except BaseException as exc:
        return Caught(base, exc, (f"  while items {base} to {base + n - 1} were sent",))
    if world.rank == root:
        items = part_of(whole, decomposition, root)
    runs = runs_of(decomposition, world.rank, call.strided)
    if call.keeper is None:
        there = (range(run.start + base, run.stop + base, run.step) for run in runs)
    else:
        there = (part for run in runs for part in gaps.spread(run))
    held = Held(items, base + n, lambda item: int(decomposition.local(gaps.place(item))))
    return compute(world, call, held, there, cutoff)


def _left(call: Call, window: list[Any], base: int, n: int) -> tuple[list[Any], Gaps]:
    """Of the items from *base* on those that are missing, and where they stand."""
    if call.keeper is None:
        return window, Gaps((), base + n, base)
    gaps = Gaps(call.keeper.done, base + n, base)
    missing = gaps.spread(range(gaps.count or 0))
    return [item for run in missing for item in window[run.start - base : run.stop - base]], gaps
