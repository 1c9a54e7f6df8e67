"""A call that one rank should do, again and again: the root does it before the ranks meet.

Rules of this file: on the root alone, and without a message; what came of it stands in the header
with which the call begins (`mpicomp.engine.agree`).  So such a call costs a single exchange.  Where
items take longer this time it ends, and the ranks share what is left.
"""

from __future__ import annotations

from time import perf_counter

from mpicomp.engine.agree import ALL, FAILED, Ahead
from mpicomp.engine.auto import QUICK, Memory
from mpicomp.engine.compute import straight
from mpicomp.engine.gather import own
from mpicomp.plan.failure import Failure
from mpicomp.plan.source import Data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mpicomp.engine.call import Call
    from mpicomp.wire.world import World

_SECOND = 31  # items of the run behind the first item: a slow one is not to be followed by many
_LONGEST = 0.05  # seconds that the others should take


def ahead(world: World, call: Call) -> Ahead:
    """Do the call, or its first items, if this was best every time of late; the root asks."""
    n, memory = call.comprehension.source.n, Memory(call)
    if n is None or not memory.lone(n) or not _fits(call):
        return Ahead()
    began = now = perf_counter()
    try:
        for run in _runs(n, memory.cost):
            since = now
            caught = straight(world, call, call.comprehension.source, [run])
            if caught is not None and caught.exception is not None:
                return Ahead(FAILED, None, Failure(caught.exception, caught.item, caught.notes))
            if caught is not None:
                break
            now = perf_counter()
            if run.stop < n and now - began > QUICK and now - since > len(run) * memory.ships:
                return Ahead(run.stop)
        return Ahead(ALL, call.collector.finish([own(call, in_order=True)], n))
    except BaseException as exc:
        return Ahead(FAILED, None, Failure(exc, 0, ()))
    finally:
        memory.keep_call(n, perf_counter() - began)


def _fits(call: Call) -> bool:
    """Whether computing the items is all that it takes."""
    options, source, collector = call.options, call.comprehension.source, call.collector
    return (
        call.plain
        and options.schedule.kind == "auto"
        and not (collector.sets_up or collector.meets or call.comprehension.whole_runs)
        and (source.known or type(source) is Data)
        and source.spread is None
    )


def _runs(n: int, cost: float) -> Iterator[range]:
    at, size = 0, 1
    while at < n:
        yield range(at, min(at + size, n))
        at += size
        size = _SECOND if at == 1 else min(n - at, max(size, int(_LONGEST / cost)))
