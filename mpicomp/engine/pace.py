"""Into which pieces a rank cuts its runs, between which it listens.

Rules of this file: pieces grow from one item until they take about `PACE` seconds, so that
listening costs nothing that can be measured and a slow item is not followed by a slow thousand.
What was learnt from one run holds for the next.
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


class Pace:
    """The pieces of one rank's runs, as the call's collector can take them.

    Parameters
    ----------
    call : Call
    listening : bool
        Whether anybody is listened to between two pieces.
    """

    __slots__ = ("_call", "_listening", "_size")

    def __init__(self, call: Call, listening: bool) -> None:
        self._call = call
        self._listening = listening
        self._size = 1

    def pieces(self, run: range) -> Iterable[range]:
        """*run*, piece by piece; each is to be done when the next is asked for."""
        call = self._call
        if call.comprehension.whole_runs:
            return (run,)
        if call.collector.by_leaf:
            cut = leaves(run)
            return cut if call.keeper is None else chain.from_iterable(map(self._timed, cut))
        if call.keeper is not None or self._listening:
            return self._timed(run)
        at_once = maxsize if call.collector.keeps_all and not call.options.careful else _AT_ONCE
        return self._timed(run) if length(run) > at_once else (run,)

    def _timed(self, run: range) -> Iterator[range]:
        at, n = 0, length(run)
        while at < n:
            size = min(self._size, n - at)
            began = perf_counter()
            yield run[at : at + size]
            took = perf_counter() - began
            at += size
            if took < PACE / 2:
                size *= max(2, min(_GROWTH, int(PACE / 4 / took)))
                self._size = max(self._size, size)
            elif took > PACE * 2:
                self._size = max(1, int(size * PACE / took))
