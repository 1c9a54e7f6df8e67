"""Which rank computes what: the ways in which a call's items are shared out.

Rules of this file: every rank takes the same way, decided from what all of them know; what
sets up messages is done before anything can fail.

=========  ======================================  ==============================================
dispatch   who decides who takes which items       used for
=========  ======================================  ==============================================
static     a formula                               ``static`` and ``static,b``
counter    whoever claims first                    all others, where the number of items is known
master     the root, who also reads the source     streams, and schedules that adapt
=========  ======================================  ==============================================
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mpicomp.engine.auto import Chooser, Memory
from mpicomp.engine.claims import sorted_runs, span_runs, table_runs
from mpicomp.engine.compute import Caught, compute
from mpicomp.engine.costed import planned
from mpicomp.engine.draining import source_note
from mpicomp.engine.handed import handed_out, lead, work
from mpicomp.engine.keeping import gaps_of, missing, narrowed, spread
from mpicomp.engine.metering import Meter
from mpicomp.engine.resuming import resume
from mpicomp.engine.share import at_hand, distribute, replicate, runs_of
from mpicomp.engine.streamed import rounds
from mpicomp.errors import OptionError
from mpicomp.plan.chunks import table
from mpicomp.plan.costing import Cuts, Sorted
from mpicomp.plan.cutting import cut_of
from mpicomp.plan.decomposition import Contiguous
from mpicomp.plan.own import OwnPlan
from mpicomp.plan.source import Stream
from mpicomp.plan.spans import SpanSizer
from mpicomp.plan.spread import own_runs
from mpicomp.wire.counter import counter_of
from mpicomp.wire.transport import NothingSent, broadcast_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.engine.agree import Agreement
    from mpicomp.engine.call import Call
    from mpicomp.plan.chunks import PlanLike
    from mpicomp.plan.source import Source
    from mpicomp.wire.counter import Counter
    from mpicomp.wire.cutoff import Cutoff
    from mpicomp.wire.world import World


class Computed(NamedTuple):
    """What one rank has done of a call.

    Attributes
    ----------
    caught : Caught or None
        What ended its work early.
    n : int
        Items in all (of a stream, the root alone knows).
    in_order : bool
        The shares of rank 0, 1, … follow each other in the source.
    counter : Counter or None
        What the runs were claimed from.
    choice : str
        What was chosen on the way, and why, for people to read in the record.
    meter : Meter or None
        Who has told how far the ranks are.
    """

    caught: Caught | None
    n: int
    in_order: bool = False
    counter: Counter | None = None
    choice: str = ""
    meter: Meter | None = None


class Setting(NamedTuple):
    """What every way of computing works on."""

    world: World
    call: Call
    root: int
    source: Source
    outline: tuple[Any, ...]  # of the root's source, where it has to be sent
    n: int | None
    cutoff: Cutoff
    plan: PlanLike | Sorted | Cuts | None  # chunks that are claimed; shares that follow from costs
    left: int | None  # of the n items, how many are missing
    begun: int = 0  # of those, how many the root has done ahead


def computed(world: World, agreed: Agreement, cutoff: Cutoff) -> Computed:
    """Compute this rank's part of the call.

    Collective: every rank of the world calls.
    """
    call, root = agreed.call, agreed.root
    source, problem = call.comprehension.source, None
    outline: tuple[Any, ...] = ()
    n = source.n
    if agreed.sent:
        told = None
        if world.rank == root:
            source, problem = at_hand(source)
            told = source.outline(), source.n
        try:
            outline, n = broadcast_object(world, told, root)
        except BaseException as exc:
            return Computed(_blame(exc, root), 0)
    done = _shared_out(world, agreed, source, outline, n, cutoff)
    if problem is not None and done.caught is None:  # nothing before the item that cannot be had
        done = done._replace(caught=Caught(done.n, problem, (source_note(world),)))
    return done


def _shared_out(
    world: World,
    agreed: Agreement,
    source: Source,
    outline: tuple[Any, ...],
    n: int | None,
    cutoff: Cutoff,
) -> Computed:
    call, root = agreed.call, agreed.root
    if n is None:
        call = call.streamed()
    if call.keeper is not None:
        resume(world, call, source, n, root)
    left = missing(call, n)
    dispatch = _dispatch_of(call, n) if source.spread is None else "in place"
    plan: PlanLike | Sorted | Cuts | None = None
    if source.spread is not None:
        pass
    elif call.options.cost is not None:
        plan = planned(world, call, source, n, root)
    else:
        plan = _plan_of(call, dispatch, n, world.size)
    setting = Setting(world, call, root, source, outline, n, cutoff, plan, left, agreed.begun)
    if not call.options.progress:
        return _dispatched(setting, agreed, dispatch)
    meter = Meter(world, call, left)
    try:
        done = _dispatched(setting._replace(call=call._replace(meter=meter)), agreed, dispatch)
    except BaseException:
        meter.drop()
        raise
    meter.rest()
    return done._replace(meter=meter)


def _dispatched(setting: Setting, agreed: Agreement, dispatch: str) -> Computed:
    world, call, root, _, _, n, cutoff, *_ = setting
    if dispatch == "static" and n is None:
        return Computed(*rounds(world, call, root, cutoff))
    if n is not None:
        call.collector.prepare(world, n, call.comprehension.one_to_one, call.options.root)
    if dispatch == "in place":
        return _in_place(setting, agreed)
    if dispatch == "static":
        return _static(setting, agreed)
    return _counter(setting) if dispatch == "counter" else _master(setting)


def _in_place(setting: Setting, agreed: Agreement) -> Computed:
    """Items that lie on the ranks are computed there, whatever the schedule."""
    world, call, _, source, _, n, cutoff, *_ = setting
    runs = own_runs(source, call.strided)
    return Computed(compute(world, call, source, runs, cutoff, agreed.glance), n or 0)


def _dispatch_of(call: Call, n: int | None) -> str:
    if call.options.dispatch == "counter" and n is None:
        raise OptionError(
            'dispatch="counter" needs to know how many items there are; '
            'write dispatch="master" for a stream, or leave it out'
        )
    return call.way(n)[0]


def _plan_of(call: Call, dispatch: str, n: int | None, p: int) -> PlanLike | None:
    """The chunks to be claimed; raises, on every rank alike, for a schedule that cannot be."""
    schedule = call.options.schedule
    if dispatch == "master":
        cut_of(handed_out(call, n, p), missing(call, n), p)
    if dispatch != "counter" or schedule.kind == "auto":
        return None
    assert n is not None, "a stream has a master"
    if isinstance(schedule, OwnPlan):
        return narrowed(call, schedule.plan_for(n, p))
    return table(schedule, missing(call, n) or 0, p)


def _static(setting: Setting, agreed: Agreement) -> Computed:
    world, call, root, source, outline, n, cutoff, plan, left, _ = setting
    assert n is not None, "streams go in rounds"
    assert left is not None, "what is missing of them is known as well"
    by_cost = plan if isinstance(plan, Cuts) else None
    decomposition = by_cost or call.options.schedule.decomposition(left, world.size)
    in_order = isinstance(decomposition, Contiguous) and call.keeper is None
    try:
        if outline:
            source = distribute(world, source, outline, decomposition, root, gaps_of(call))
    except NothingSent:
        return Computed(None, n, in_order)
    except BaseException as exc:
        return Computed(Caught(0, exc, _sending(root)), n, in_order)
    runs = spread(call, runs_of(decomposition, world.rank, call.strided))
    choice = "cost= was given: contiguous shares of about the same cost" if by_cost else ""
    caught = compute(world, call, source, runs, cutoff, agreed.glance)
    return Computed(caught, n, in_order, choice=choice)


def _everywhere(setting: Setting) -> tuple[Source, BaseException | None]:
    """The source with all of the root's items, or what kept it from this rank."""
    world, _, root, source, outline, *_ = setting
    try:
        return replicate(world, source, outline, root) if outline else source, None
    except BaseException as exc:
        return source, exc


def _counter(setting: Setting) -> Computed:
    world, call, root, _, _, n, cutoff, plan, left, begun = setting
    assert n is not None, "a stream has a master"
    assert left is not None, "what is missing of them is known as well"
    counter = counter_of(world)
    counter.serve()
    source, problem = _everywhere(setting)
    if problem is not None:
        return Computed(_blame(problem, root), n, counter=counter)
    choice = ""
    if isinstance(plan, Sorted):
        choice = f"cost= was given: the dearest items first, in {plan.nchunks} chunks"
        runs = spread(call, sorted_runs(counter, plan))
        caught = compute(world, call, source, runs, cutoff, ascending=False)
    elif plan is not None:
        assert not isinstance(plan, Cuts), "nothing of a share is claimed"
        ascending = not isinstance(call.options.schedule, OwnPlan)
        runs = spread(call, table_runs(counter, plan))
        caught = compute(world, call, source, runs, cutoff, ascending=ascending)
    else:
        memory, alone = Memory(call), world.rank == root
        sizer = SpanSizer(world.size, memory.cost)
        chooser = Chooser(call, alone, memory)
        patience = 0.0 if alone else memory.patience
        runs = span_runs(counter, range(begun, left), sizer, chooser, patience)
        caught = compute(world, call, source, spread(call, runs), cutoff)
        memory.keep(sizer.typical)
        choice = chooser.told(sizer.typical)
    return Computed(caught, n, counter=counter, choice=choice)


def _master(setting: Setting) -> Computed:
    world, call, root, source, _, n, cutoff, *_ = setting
    problem: BaseException | None = None
    if n is not None:
        source, problem = _everywhere(setting)
    if world.rank == root:
        return Computed(*lead(world, call, source, n, problem, cutoff))
    streamed = n is None or isinstance(source, Stream)
    caught = work(world, call, root, None if streamed else source, problem, cutoff)
    return Computed(caught, n or 0)


def _blame(problem: BaseException, root: int) -> Caught | None:
    return None if isinstance(problem, NothingSent) else Caught(0, problem, _sending(root))


def _sending(root: int) -> tuple[str, ...]:
    return (f"  while the items were sent to the ranks by rank {root}",)
