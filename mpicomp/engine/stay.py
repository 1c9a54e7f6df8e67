"""``root="stay"``: values are left where they were computed.

Rules of this file: no value is sent; what is agreed on is where the values lie in the whole.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from mpicomp.engine.agree import together
from mpicomp.engine.collect import Listed
from mpicomp.engine.distributed import Distributed, next_number
from mpicomp.engine.ranked import places_of
from mpicomp.plan.spread import merged_runs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from mpicomp.engine.call import Call
    from mpicomp.engine.collect import Row
    from mpicomp.plan.decomposition import Decomposition
    from mpicomp.wire.world import World


class Told(NamedTuple):
    """What every rank says about its part.

    Attributes
    ----------
    rows : list of (int, int) or None
        Of a comprehension that can give any number of values: first item, and how many values.
    kind : tuple or None
        Of an array with values: dtype, and shape of one value.
    """

    rows: list[tuple[int, int]] | None
    kind: tuple[Any, tuple[int, ...]] | None


def stayed(call: Call) -> tuple[Any, list[Any]]:
    """This rank's values, and of which items they are, in increasing order.

    Of values under keys: the pairs, and where in the source each key appeared first.
    """
    found = call.collector.stayed()
    return found if call.collector.meets else _in_order(*found)


def as_parts(world: World, call: Call, n: int, left: Any) -> Distributed[Any]:
    """This rank's values, as a part of the whole.

    Collective: every rank of the world calls.

    Parameters
    ----------
    world : World
    call : Call
        Its collector has the values.
    n : int
        Items in all.
    left : (values, rows)
        What `stayed` gave.
    """
    if call.collector.meets:
        return _by_key(world, *left)
    values, rows = left
    one_to_one = call.comprehension.one_to_one
    is_list = isinstance(call.collector, Listed)
    mine = Told(
        None if one_to_one else [(row.start, row.given) for row in rows],
        None if is_list or not len(values) else (values.dtype, values.shape[1:]),
    )
    told = world.comm.allgather(mine) if world.comm is not None else [mine]
    if not is_list:
        kinds = [one.kind for one in told if one.kind is not None]
        values = together(world, lambda: _shaped(values, kinds))
    if one_to_one:
        runs = [range(r.start, r.start + r.step * r.given, r.step) for r in rows]
        total = n
    else:
        runs, total = _numbered(told, world.rank)
    return Distributed(
        values,
        merged_runs(runs),
        total,
        world,
        next_number(world),
        decomposition=_decomposition(call, n, world.size) if one_to_one else None,
        has_exceptions=call.collector.has_exceptions,
    )


def _by_key(world: World, pairs: list[Any], firsts: list[Any]) -> Distributed[Any]:
    """Pairs in the order in which their keys appeared first, each where its key's digest says."""
    places, total = places_of(world, firsts)
    runs = merged_runs([range(place, place + 1) for place in places])
    return Distributed(pairs, runs, total, world, next_number(world))


def _in_order(values: Any, rows: list[Row]) -> tuple[Any, list[Row]]:
    """Rows in increasing order (a rank may have claimed from another's queue), values likewise."""
    if all(a.start < b.start for a, b in pairwise(rows)):
        return values, rows
    places: list[tuple[Row, int]] = []
    at = 0
    for row in rows:
        places.append((row, at))
        at += row.given
    places.sort()
    parts = [values[at : at + row.given] for row, at in places]
    if isinstance(values, list):
        joined: Any = [value for part in parts for value in part]
    else:
        import numpy as np

        joined = np.concatenate(parts, dtype=values.dtype)
    return joined, [row for row, _ in places]


def _shaped(values: Any, kinds: list[tuple[Any, tuple[int, ...]]]) -> Any:
    """An array of the dtype and the shape of value that all ranks' arrays have."""
    tails = {tail for _, tail in kinds}
    if len(tails) > 1:
        raise ValueError(
            f"parray got items of different shapes: {sorted(tails)}; "
            "give numbers, or arrays of one shape"
        )
    if not kinds:
        return values
    dtype = common_dtype(kind for kind, _ in kinds)
    return values.astype(dtype, copy=False).reshape(len(values), *tails.pop())


def common_dtype(kinds: Iterable[Any]) -> Any:
    """What holds all of *kinds*; one that they have in common as it is, also of foreign bytes."""
    import numpy as np

    found = set(kinds)
    return found.pop() if len(found) == 1 else np.result_type(*found)


def _numbered(told: list[Told], rank: int) -> tuple[list[range], int]:
    """Where the values of each of this rank's rows lie in the whole; how many there are in all."""
    everyone = sorted(
        (*row, owner) for owner, one in enumerate(told) for row in one.rows or ()
    )
    runs, at = [], 0
    for _, given, owner in everyone:
        if owner == rank:
            runs.append(range(at, at + given))
        at += given
    return runs, at


def _decomposition(call: Call, n: int, p: int) -> Decomposition | None:
    """The formula by which the values lie, where there is one."""
    schedule, source = call.options.schedule, call.comprehension.source
    if call.options.cost is not None or call.keeper is not None:
        return None
    if source.spread is not None or source.n != n:
        return None
    if call.way(n)[0] != "static":
        return None
    return schedule.decomposition(n, p)
