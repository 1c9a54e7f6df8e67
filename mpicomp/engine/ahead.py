"""A call that was tiny again and again: the root does it before the ranks meet.

Rules of this file: on the root alone, and without a message; what came of it stands in the header
with which the call begins (`mpicomp.engine.agree`).  So a tiny call costs a single exchange.  An
item that takes long this time ends it, and the ranks share what is left.
"""

from __future__ import annotations

from itertools import pairwise
from time import perf_counter

from mpicomp.engine.agree import ALL, FAILED, Ahead
from mpicomp.engine.auto import QUICK, Memory, remember
from mpicomp.engine.compute import straight
from mpicomp.engine.gather import own
from mpicomp.plan.failure import Failure
from mpicomp.plan.source import Data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mpicomp.engine.call import Call
    from mpicomp.wire.world import World

_FIRST = (0, 1, 32)  # where the first runs begin: a slow item is not to be followed by many


def ahead(world: World, call: Call) -> Ahead:
    """Do the call, or its first items, if it has always been tiny; the root asks."""
    n = call.comprehension.source.n
    if n is None or not Memory(call).tiny(n) or not _fits(call):
        return Ahead()
    began = perf_counter()
    try:
        for run in _runs(n):
            caught = straight(world, call, call.comprehension.source, [run])
            if caught is not None and caught.exception is not None:
                return Ahead(FAILED, None, Failure(caught.exception, caught.item, caught.notes))
            if caught is not None:
                break
            if run.stop < n and perf_counter() - began > QUICK:
                return Ahead(run.stop)
        return Ahead(ALL, call.collector.finish([own(call, in_order=True)], n))
    except BaseException as exc:
        return Ahead(FAILED, None, Failure(exc, 0, ()))
    finally:
        remember(call, perf_counter() - began)


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


def _runs(n: int) -> Iterator[range]:
    for start, stop in pairwise([*(at for at in _FIRST if at < n), n]):
        yield range(start, stop)
