"""Who takes what when nobody decides it beforehand: runs claimed one after the other.

Rules of this file: a run is claimed when the one before it is done; each group of ranks has a
queue of its own (`mpicomp.wire.counter`), and a rank whose group has run out goes on with the
others' queues.  So no rank is idle while there is work, and none ever waits for a master.
"""

from __future__ import annotations

from itertools import accumulate, chain
from os import sched_yield
from time import perf_counter, sleep

_LOOK = 1e-5  # seconds from one look at a queue to the next
_SOON = 1e-3  # seconds after which a rank that waits for a queue's end sleeps between its looks
_SLACK = 5e-3  # seconds by which a queue may be late
_GLIMPSE = 64  # items that a rank takes which has left them to another, and finds the queue late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mpicomp.engine.auto import Chooser
    from mpicomp.plan.chunks import PlanLike
    from mpicomp.plan.costing import Sorted
    from mpicomp.plan.spans import SpanSizer
    from mpicomp.wire.counter import Counter


def table_runs(counter: Counter, plan: PlanLike) -> Iterator[range]:
    """Chunks of *plan*, one after the other."""
    return (range(*plan.span(k)) for k in _numbers(counter, plan.nchunks))


def sorted_runs(counter: Counter, plan: Sorted) -> Iterator[range]:
    """The runs of the chunks of *plan*, whose items are not in their order."""
    return chain.from_iterable(map(plan.runs, _numbers(counter, plan.nchunks)))


def _numbers(counter: Counter, nchunks: int) -> Iterator[int]:
    """Numbers of chunks, claimed: group g of m has those that are g modulo m."""
    groups = len(counter.heads)
    totals = [(nchunks - group + groups - 1) // groups for group in range(groups)]
    for group, first, _ in _claims(counter, totals, lambda _: 1):
        yield group + first * groups


def _claims(
    counter: Counter, totals: list[int], amount: Callable[[int], int]
) -> Iterator[tuple[int, int, int]]:
    """``(group, first, stop)`` of each claim, own group first.

    Parameters
    ----------
    counter : Counter
    totals : list of int
        Length of each group's queue.
    amount : callable
        Numbers left in a queue (behind the last claim) -> how many to claim.
    """
    for step in range(len(totals)):
        group = (counter.group + step) % len(totals)
        total, first, want = totals[group], 0, 0
        while first + want < total:
            want = amount(total - first - want)
            first = counter.claim(want) if not step else counter.ask(group, want)
            if first >= total:
                break
            yield group, first, min(first + want, total)


def span_runs(
    counter: Counter, items: range, sizer: SpanSizer, chooser: Chooser, patience: float = 0.0
) -> Iterator[range]:
    """Spans of *items*, sized by what this rank has measured (`mpicomp.plan.spans`).

    Parameters
    ----------
    counter : Counter
    items : range
        Of step 1.
    sizer : SpanSizer
    chooser : Chooser
    patience : float
        Seconds to leave to the others, who may be done by then.
    """
    groups = len(counter.heads)
    ends = accumulate(counter.sizes, initial=0)
    n = items.stop - items.start
    bounds = [items.start + n * end // sum(counter.sizes) for end in ends]
    totals = [bounds[group + 1] - bounds[group] for group in range(groups)]

    def amount(left: int) -> int:
        if chooser.rests(sizer):
            _while_it_moves(counter, totals[counter.group], chooser.expected(sizer))
            return min(_GLIMPSE, sizer.size(left))
        return sizer.size(left, alone=chooser.whole(sizer, left))

    _leave_to_others(counter, totals[counter.group], patience)
    for group, first, stop in _claims(counter, totals, amount):
        began = perf_counter()
        yield range(bounds[group] + first, bounds[group] + stop)
        sizer.learn(stop - first, perf_counter() - began)


def _leave_to_others(counter: Counter, total: int, patience: float) -> None:
    """Wait until *patience* has run out, or the queue."""
    until = perf_counter() + patience
    while perf_counter() < until and counter.claim(0) < total:
        _pause(0.0)


def _while_it_moves(counter: Counter, total: int, cost: float) -> None:
    """Wait as long as the queue runs out as quickly as items of *cost* seconds let expect."""
    at = moved = counter.claim(0)
    began = since = perf_counter()
    while at < total and (now := perf_counter()) < since + _SLACK + 2 * cost * moved:
        _pause(now - began)
        if (new := counter.claim(0)) > at:
            at, moved, since = new, new - at, now


def _pause(waited: float) -> None:
    """Between two looks, each of which slows the others: asleep, if it has been long already."""
    if waited > _SOON:
        sleep(_SOON / 10)
        return
    until = perf_counter() + _LOOK
    while perf_counter() < until:
        sched_yield()
