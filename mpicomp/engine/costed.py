"""``cost=``: the root lays out the items by what they cost, for all ranks.

Rules of this file: what the user gave is looked at on the root alone; what is wrong with it is
raised on every rank, before any item.
"""

from __future__ import annotations

from typing import Any

from mpicomp.engine.agree import close
from mpicomp.engine.compute import bare
from mpicomp.engine.keeping import gaps_of
from mpicomp.errors import OptionError
from mpicomp.plan.costing import checked_costs, cuts, longest_first
from mpicomp.plan.schedule import Schedule
from mpicomp.wire.transport import broadcast_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.engine.call import Call
    from mpicomp.plan.costing import Costs, Cuts, Sorted
    from mpicomp.plan.source import Source
    from mpicomp.wire.world import World


def planned(world: World, call: Call, source: Source, n: int | None, root: int) -> Cuts | Sorted:
    """Who takes what, by cost: a formula's shares, or the chunks that are claimed.

    Collective: every rank of the world calls; *source* is that of the root there.
    """
    check_cost(call, n)
    made: Any = None
    problem: BaseException | None = None
    if world.rank == root:
        try:
            made = _laid_out(call.options.schedule, _costs(call, source, n or 0), world.size)
        except BaseException as exc:
            problem = exc
    close(world, problem)
    told: Cuts | Sorted = broadcast_object(world, made, root)
    return told


def _laid_out(schedule: Any, costs: Costs, ranks: int) -> Cuts | Sorted:
    assert isinstance(schedule, Schedule), "options were checked"
    if schedule.kind == "static":
        return cuts(costs, ranks)
    return longest_first(costs, schedule, ranks)


def _costs(call: Call, source: Source, n: int) -> Costs:
    given = call.options.cost
    if not callable(given):
        return _of_missing(call, checked_costs(given, n))
    found = []
    for item in bare(source).open()[0]:
        try:
            found.append(given(item))
        except Exception as exc:
            exc.add_note(f"  when cost= was asked for item {len(found)}, {item!r:.100}")
            raise
    return _of_missing(call, checked_costs(found, n))


def _of_missing(call: Call, costs: Costs) -> Costs:
    """The costs of those items that are yet to be computed."""
    gaps = gaps_of(call)
    if gaps is None:
        return costs
    left = [costs[run.start : run.stop] for run in gaps.spread(range(gaps.count or 0))]
    each = [cost for part in left for cost in part.tolist()]
    return checked_costs(each, len(each))


def check_cost(call: Call, n: int | None, alone: bool = False) -> None:
    """Raise `OptionError` for costs of a stream, and for a wrong number of them.

    Parameters
    ----------
    call : Call
    n : int or None
    alone : bool
        There is one rank, whose costs are the root's.
    """
    if n is None:
        raise OptionError(
            "cost= needs all items at hand, and the source is a stream; write the items as a list"
        )
    if alone and not callable(call.options.cost):
        checked_costs(call.options.cost, n)
