"""Into which pieces a rank cuts its runs, between which it listens.

Rules of this file: pieces grow from one item until they take about `PACE` seconds, so that
listening costs nothing that can be measured and a slow item is not followed by a slow thousand.
Each run begins anew with one item: what the last one took says nothing of this one's.
"""

from __future__ import annotations

from itertools import chain
from sys import maxsize
from time import perf_counter

from mpicomp.plan.fold import leaves
from mpicomp.plan.source import length

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mpicomp.engine.call import Call

PACE = 0.005
_GROWTH = 1024
_AT_ONCE = 4096  # items that nobody waits for, and whose values are not kept: one piece


def pieces(call: Call, run: range, listening: bool) -> Iterable[range]:
    """*run* in the pieces that the call's collector can take; each is done when the next is asked.

    Parameters
    ----------
    call : Call
    run : range
    listening : bool
        Whether anybody is listened to between two pieces.
    """
    if call.comprehension.whole_runs:
        return (run,)
    if call.collector.by_leaf:
        cut = leaves(run)
        return cut if call.keeper is None else chain.from_iterable(map(_paced, cut))
    if call.keeper is not None or listening:
        return _paced(run)
    at_once = maxsize if call.collector.keeps_all and not call.options.careful else _AT_ONCE
    return _paced(run) if length(run) > at_once else (run,)


def _paced(run: range) -> Iterator[range]:
    at, size, n = 0, 1, length(run)
    while at < n:
        began = perf_counter()
        yield run[at : at + size]
        took = perf_counter() - began
        at += size
        if took < PACE / 2:
            size *= max(2, min(_GROWTH, int(PACE / 4 / took)))
        elif took > PACE * 2:
            size = max(1, size // 2)
