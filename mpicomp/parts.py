"""`scatter` and `gather`: the pair of collectives that the verbs are made of.

For SPMD programs with loops of their own: ``scatter`` gives each rank its part of some items,
``gather`` puts what the ranks made of them together again in the serial order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mpicomp.engine.agree import Agreement, check_root, together
from mpicomp.engine.alone import alone, nested
from mpicomp.engine.call import Call
from mpicomp.engine.collect import Collector, Listed, Row, in_order, placed
from mpicomp.engine.computing import Computed
from mpicomp.engine.run import conclude, install_guard
from mpicomp.engine.share import at_hand, distribute, runs_of
from mpicomp.errors import OptionError
from mpicomp.options import WHOLE, Options
from mpicomp.plan.comprehension import Comprehension
from mpicomp.plan.find import find_source
from mpicomp.plan.schedule import parse
from mpicomp.plan.source import Data, Held, Range, Source, Stream, is_array
from mpicomp.wire.cutoff import Cutoff
from mpicomp.wire.transport import broadcast_object
from mpicomp.wire.world import World, world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Unpack

    from numpy import int64
    from numpy.typing import NDArray

    from mpicomp.options import Common
    from mpicomp.plan.decomposition import Decomposition


_HEARD = ("comm", "root", "schedule", "patience")


class Part(Sequence[Any]):
    """One rank's items of a whole that was scattered: a sequence.

    Attributes
    ----------
    items : list, range or ndarray
        The items themselves, in increasing order of position.
    indices : range or ndarray of int64
        Their positions in the whole.
    decomposition : Block, Cyclic or BlockCyclic
        Who has which.

    Examples
    --------
    >>> from mpicomp import scatter
    >>> part = scatter("abc")
    >>> list(zip(part.indices, part))
    [(0, 'a'), (1, 'b'), (2, 'c')]
    """

    __slots__ = ("_world", "decomposition", "items")

    def __init__(self, items: Any, decomposition: Decomposition, ranks: World) -> None:
        self.items = items
        self.decomposition = decomposition
        self._world = ranks

    @property
    def indices(self) -> range | NDArray[int64]:
        return self.decomposition.indices(self._world.rank)

    def __len__(self) -> int:
        return self.decomposition.count(self._world.rank)

    def __getitem__(self, place: Any) -> Any:
        return self.items[place]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __repr__(self) -> str:
        rank = self._world.rank
        return f"<part of rank {rank}: {len(self)} of {self.decomposition!r}>"

    def _rows(self) -> list[Row]:
        runs = runs_of(self.decomposition, self._world.rank, strided=True)
        return [Row(run.start, run.step, len(run), run.stop) for run in runs]


def scatter(xs: Iterable[Any], /, **options: Unpack[Common]) -> Part:
    """This rank's part of *xs*.

    Collective: every rank of *comm* calls; each gets its `Part`.

    Parameters
    ----------
    xs : iterable
        What counts is the root's, unless it is a range (or made of ranges), which has to be the
        same on every rank.  Arrays travel as typed buffers.  A generator or a file is consumed
        on the root.
    **options
        *comm*, *root* (has to be a rank), *schedule* and *patience* of `mpicomp.options`.

    Raises
    ------
    CollectiveMismatch
        Ranges differ between ranks, or another rank called something else.

    Examples
    --------
    >>> from mpicomp import gather, scatter
    >>> part = scatter(range(10), schedule="static,2")
    >>> gather([x * x for x in part], part)
    [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]
    """
    ranks = World() if nested() else world(Options.comm_of(options))

    if ranks.size == 1:
        call = _call(xs, options, ranks)
        source = call.comprehension.source
        decomposition = call.options.schedule.decomposition(source.n or 0, 1)
        return Part(_items(source, decomposition, ranks), decomposition, ranks)
    if ranks.watch is not None:
        raise OptionError(
            "the part of a rank that is lost would be lost with it, so there is no scatter where "
            "lost ranks are survived (--fault-tolerant); write plist(f(x) for x in xs)"
        )
    with alone("scatter"):
        install_guard(ranks)
        agreed = Agreement(ranks, "scatter", lambda: _call(xs, options, ranks))
        agreed.settle()
        call, from_rank, sent = agreed.call, agreed.root, agreed.sent
        source = call.comprehension.source
        outline, n = (), source.n
        if sent:
            told = (source.outline(), n) if ranks.rank == from_rank else None
            outline, n = broadcast_object(ranks, told, from_rank)
        decomposition = call.options.schedule.decomposition(n or 0, ranks.size)
        if sent:
            source = together(
                ranks, lambda: distribute(ranks, source, outline, decomposition, from_rank)
            )
        return Part(_items(source, decomposition, ranks), decomposition, ranks)


def _call(xs: Iterable[Any], options: Common, ranks: World) -> Call:
    chosen = Options(options, WHOLE)
    for name in options:
        if name not in _HEARD:  # those of a block around it are for the verbs in the block
            raise OptionError(
                f"scatter computes nothing, and has no {name}=; leave it out, or give it to "
                "plist(f(x) for x in xs)"
            )
    if chosen.root is None:
        raise OptionError("scatter needs the rank that has the items: write root=0")
    check_root(chosen.root, ranks)
    if chosen.schedule.kind != "static" and "schedule" not in options:
        chosen.schedule = parse("static")  # a default for verbs that can claim
    chosen.schedule.decomposition(0, 1)  # raises for one that a scatter cannot follow
    source = find_source(xs)
    if source.spread is not None:
        raise OptionError(
            "these values lie on the ranks already, whose parts are d.part, at d.indices; "
            'write d.redistribute("static") to have others, or scatter(d.gather())'
        )
    if isinstance(source, Stream) and ranks.rank == chosen.root:
        source = Data(list(source.iterator))
    source, problem = at_hand(source) if ranks.rank == chosen.root else (source, None)
    if problem is not None:
        raise problem
    return Call("scatter", Comprehension(iter, source, None), Listed(), chosen)


def _items(source: Source, decomposition: Decomposition, ranks: World) -> Any:
    """This rank's items, in memory of their own."""
    if isinstance(source, Held):
        items = source.items
    else:
        cuts = [source.cut(run) for run in runs_of(decomposition, ranks.rank, strided=True)]
        if len(cuts) == 1 and isinstance(cuts[0], (Data, Range)):
            items = cuts[0].items
        else:
            items = [item for cut in cuts for item in cut.open()[0]]
    if is_array(items):
        return items if items.base is None else items.copy()  # not a view of the root's whole
    return items if isinstance(items, (list, range)) else list(items)


class _Regathered(Collector):
    """Values that are computed already."""

    def __init__(self, values: Any, part: Part) -> None:
        self.values = values
        self.part = part

    def export(self) -> Any:
        return self.values, self.part._rows()

    def finish(self, exports: list[Any], n: int) -> Any:
        filled = [export for export in exports if len(export[0])] or exports
        if not all(is_array(values) for values, _ in filled):
            return in_order([(list(values), rows) for values, rows in exports])
        import numpy as np

        dtype = np.result_type(*(values.dtype for values, _ in filled))
        return placed(np.empty((n, *filled[0][0].shape[1:]), dtype), filled)


def gather(values: Any, part: Part, root: int | None = 0) -> Any:
    """What the ranks made of their parts, in the serial order.

    Collective: every rank of the communicator that *part* was scattered on calls; the root gets
    the whole, the others None.

    Parameters
    ----------
    values : list, ndarray or other sequence
        One value for each item of *part*, in its order.
    part : Part
        From `scatter`.
    root : int or None, default 0
        The rank that gets the whole; None: every rank does.

    Returns
    -------
    list, ndarray or None
        An array when every rank that has values came with an array.

    Raises
    ------
    OptionError
        On every rank, when one came with another number of values than its part has items.

    Examples
    --------
    >>> from mpicomp import gather, scatter
    >>> part = scatter([3, 1, 2])
    >>> gather([10 * x for x in part], part)
    [30, 10, 20]
    """
    if not isinstance(part, Part):
        raise OptionError(f"gather needs the part that scatter gave, got {part!r:.100}")
    ranks = part._world

    def build() -> Call:
        options = Options({"root": root, "schedule": "static", "errors": "raise"})
        check_root(options.root, ranks)
        if len(values) != len(part):
            raise OptionError(
                f"rank {ranks.rank} has a part of {len(part)} items and {len(values)} values; "
                "gather takes one value for each item"
            )
        whole = Comprehension(iter, Range(range(part.decomposition.n)), None)
        kept = values if is_array(values) or isinstance(values, list) else list(values)
        return Call("gather", whole, _Regathered(kept, part), options, repr(part.decomposition))

    if ranks.size == 1:
        call = build()
        return call.collector.finish([call.collector.export()], part.decomposition.n)
    with alone("gather"):
        agreed = Agreement(ranks, "gather", build)
        agreed.settle()
        done = Computed(None, part.decomposition.n)
        return conclude(ranks, agreed.call, done, Cutoff(ranks))
