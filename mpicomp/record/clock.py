"""A virtual clock that drives the plans and the dispatcher of the engines.

Rules of this file: which items make a chunk, and who gets it, is asked of `mpicomp.plan`; here is
only the time that passes.  Each way of dispatch is a generator of events, one a chunk, at a cost
that does not depend on the number of ranks (but for the logarithm of a heap).

========  ====================================================  ==============================
dispatch  who takes chunk k                                     what it costs
========  ====================================================  ==============================
static    its owner, by formula                                 nothing
counter   whoever is free first, the lowest of equals           *claim* seconds
master    whoever the `mpicomp.plan.dispatcher.Dispatcher`      *message* there, *service* when
          gives it to                                           its turn comes, *message* back
serial    the one rank: there is one chunk                      nothing
========  ====================================================  ==============================
"""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace
from typing import NamedTuple

from mpicomp.errors import OptionError
from mpicomp.plan.chunks import table
from mpicomp.plan.cutting import LEFT_TO_MASTER
from mpicomp.plan.dispatcher import Dispatcher
from mpicomp.plan.schedule import Schedule
from mpicomp.plan.spans import SpanSizer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from mpicomp.plan.chunks import PlanLike
    from mpicomp.record.costs import Cost
    from mpicomp.record.timeline import Row

    Asked = str | Schedule | PlanLike
    Chunks = Iterable[tuple[int, int]]


class Machine(NamedTuple):
    """The ranks that are not there, and the work."""

    n: int
    cost: Cost
    speeds: Sequence[float]
    claim: float
    message: float
    service: float

    @property
    def ranks(self) -> int:
        """How many."""
        return len(self.speeds)

    def ends(self, rank: int, start: int, stop: int, begin: float) -> float:
        """When *rank* has done the items that it begins at *begin*."""
        return begin + self.cost(start, stop) / self.speeds[rank]


def kind_of(plan: Schedule | PlanLike) -> str:
    """Who decides: as `mpicomp.plan.schedule.Schedule.kind`; a plan is a table."""
    return plan.kind if isinstance(plan, Schedule) else "table"


def events(
    machine: Machine, plan: Schedule | PlanLike, way: str, parameters: dict[str, Any]
) -> Iterator[Row]:
    """What happens on *machine*: ``(rank, start, stop, step, begin, end)`` for each chunk.

    Parameters
    ----------
    machine : Machine
    plan : Schedule or PlanLike
    way : {"static", "counter", "master", "serial"}
        A dispatch that the plan has.
    parameters : dict
        Of the schedule.

    Examples
    --------
    >>> from mpicomp.plan.schedule import parse
    >>> pair = Machine(4, lambda start, stop: stop - start, [1.0, 2.0], 0.25, 0.0, 0.0)
    >>> for row in events(pair, parse("dynamic,2"), "counter", {}):
    ...     print(row)
    (0, 0, 2, 1, 0.25, 2.25)
    (1, 2, 4, 1, 0.25, 1.25)
    """
    if way == "serial":
        return _serial(machine)
    auto = kind_of(plan) == "auto"
    if way == "master":  # and cuts what is left to it as the engine's does
        return _handed_out(machine, LEFT_TO_MASTER if auto else plan, parameters)
    if auto:
        for given in parameters:
            raise TypeError(f'"auto" takes no {given}; leave it out')
        return _claimed_spans(machine)
    chunks = _chunks(machine, plan, parameters)
    if way == "counter":
        return _claimed(machine, chunks)
    assert isinstance(plan, Schedule), "plans have no owners"
    return _owned(machine, chunks, plan.decomposition(machine.n, machine.ranks).owner)


def _serial(machine: Machine) -> Iterator[Row]:
    if machine.n:
        yield 0, 0, machine.n, 1, 0.0, machine.ends(0, 0, machine.n, 0.0)


def _owned(machine: Machine, chunks: Chunks, owner: Callable[[int], int]) -> Iterator[Row]:
    free = [0.0] * machine.ranks
    for start, stop in chunks:
        rank = owner(start)
        begin = free[rank]
        free[rank] = machine.ends(rank, start, stop, begin)
        yield rank, start, stop, 1, begin, free[rank]


def _claimed(machine: Machine, chunks: Chunks) -> Iterator[Row]:
    free = [(0.0, rank) for rank in range(machine.ranks)]  # a heap
    for start, stop in chunks:
        time, rank = free[0]
        begin = time + machine.claim
        end = machine.ends(rank, start, stop, begin)
        heapreplace(free, (end, rank))
        yield rank, start, stop, 1, begin, end


def _claimed_spans(machine: Machine) -> Iterator[Row]:
    n, ranks = machine.n, machine.ranks
    free = [(0.0, rank) for rank in range(ranks)]  # a heap
    sizers = [SpanSizer(ranks) for _ in range(ranks)]
    left = [n] * ranks  # as each rank saw it at its last claim
    start = 0
    while start < n:
        time, rank = free[0]
        stop = min(start + sizers[rank].size(left[rank]), n)
        begin = time + machine.claim
        end = machine.ends(rank, start, stop, begin)
        heapreplace(free, (end, rank))
        yield rank, start, stop, 1, begin, end
        sizers[rank].learn(stop - start, end - begin)
        left[rank], start = n - start, stop


def _handed_out(machine: Machine, schedule: Asked, parameters: dict[str, Any]) -> Iterator[Row]:
    ranks = machine.ranks
    master = Dispatcher(schedule, machine.n, ranks, **parameters)
    away = [0.0] + [machine.message] * (ranks - 1)  # from the master
    done = [0.0] * ranks  # when each rank will have done all it holds
    free = 0.0  # when the master will have answered all it has heard
    # a heap of what it will hear: (when, of whom, chunk done, seconds it took, seconds waited)
    heard = [(away[rank], rank, -1, 0.0, 0.0) for rank in range(ranks)]
    while heard:
        arrived, rank, number, took, waited = heappop(heard)
        free = max(arrived, free) + machine.service
        if number >= 0:
            master.done(rank, number, took, waited)
        while (grant := master.ready(rank)) is not None:
            begin = max(done[rank], free + away[rank])
            end = machine.ends(rank, grant.start, grant.stop, begin)
            waited, done[rank] = begin - done[rank], end
            heappush(heard, (end + away[rank], rank, grant.number, end - begin, waited))
            yield rank, grant.start, grant.stop, 1, begin, end
            if not rank:
                break  # it asks itself for one at a time


def _chunks(machine: Machine, plan: Schedule | PlanLike, parameters: dict[str, Any]) -> Chunks:
    n, p = machine.n, machine.ranks
    if isinstance(plan, Schedule):
        return table(plan, n, p, **parameters)
    if (plan.n, plan.p) != (n, p):
        raise OptionError(
            f"a plan of {plan.n} items for {plan.p} ranks was given for n={n}, p={p}; "
            f"write n={plan.n}, p={plan.p}"
        )
    return plan
