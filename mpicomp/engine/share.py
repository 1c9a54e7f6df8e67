"""This rank's share of the source: which runs of items, and where they lie.

Rules of this file: positions are those of the whole source; where the source is made of ranges
nothing moves; else the root's copy is the truth, and each rank gets its own part of it.
"""

from __future__ import annotations

from typing import Any

from mpicomp.errors import ComprehensionError
from mpicomp.plan.decomposition import Cyclic
from mpicomp.plan.source import Branch, Data, Held, Picked, is_typed_array, rebuild
from mpicomp.wire.rows import scatter_rows, share_rows
from mpicomp.wire.transport import broadcast_object, scatter_values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mpicomp.plan.decomposition import Decomposition
    from mpicomp.plan.gaps import Gaps
    from mpicomp.plan.source import Source
    from mpicomp.wire.world import World


def runs_of(decomposition: Decomposition, rank: int, strided: bool) -> Iterable[range]:
    """The runs of a rank: contiguous, or for a cyclic one, if *strided*, a single one."""
    if strided and isinstance(decomposition, Cyclic):
        whole = decomposition.indices(rank)
        assert isinstance(whole, range), "a cyclic share is one range"
        return [whole] if whole else []
    return decomposition.spans(rank)


def at_hand(source: Source) -> tuple[Source, BaseException | None]:
    """*source* with its items in memory, up to the first that cannot be had; and why not.

    A ``Sequence`` of the user's computes its items when they are asked for: here and now, on the
    root, before anybody depends on them.
    """
    problem: BaseException | None = None
    if isinstance(source, Picked):
        items: list[Any] = []
        try:
            items.extend(source.open()[0])
        except BaseException as exc:
            problem = exc
        return Data(items), problem
    if isinstance(source, Branch):
        children = []
        for child in source.children:
            kept, failed = at_hand(child)
            children.append(kept)
            problem = problem or failed
        return source.over(children), problem
    return source, None


def distribute(
    world: World,
    source: Source,
    outline: tuple[Any, ...],
    decomposition: Decomposition,
    root: int,
    gaps: Gaps | None = None,
) -> Source:
    """Send each rank its part of the root's items; give back a source that holds it.

    Collective: every rank of the world calls.

    Parameters
    ----------
    world : World
    source : Source
        This rank's own: on the root the truth, elsewhere only its functions are used.
    outline : tuple
        Of the root's source.
    decomposition : Decomposition
        Of all items; with *gaps* of those that are missing.
    root : int
    gaps : Gaps, optional
    """
    own = source.leaves() if world.rank == root else None
    held, failed = [], None
    for place, (n, array) in enumerate(_leaf_outlines(outline)):
        leaf = own[place] if own else None
        try:
            if leaf is not None and gaps is not None:
                leaf = _missing(leaf, gaps)
            items = _send_leaf(world, leaf, array, decomposition, root)
        except (
            BaseException
        ) as exc:  # the leaves after it are sent all the same: others wait for them
            failed = exc
            continue
        held.append(Held(items, n, _local(decomposition, gaps)))
    if failed is not None:
        raise failed
    return _rebuilt(world, source, outline, held, root)


def _missing(leaf: Data, gaps: Gaps) -> Data:
    """The items of *leaf* that are missing, one behind the other."""
    parts = [leaf.cut(run).items for run in gaps.spread(range(gaps.count or 0))]
    if len(parts) == 1:
        return Data(parts[0])
    if is_typed_array(leaf.items):
        import numpy as np

        return Data(np.concatenate([leaf.items[:0], *parts]))
    return Data([item for part in parts for item in part])


def _local(decomposition: Decomposition, gaps: Gaps | None) -> Callable[[int], int]:
    """Position in the whole source -> place among the items of the rank that has it."""
    if gaps is None:
        return decomposition.local
    return lambda item: decomposition.local(gaps.place(item))


def replicate(world: World, source: Source, outline: tuple[Any, ...], root: int) -> Source:
    """Give every rank all of the root's items.

    Collective: every rank of the world calls; the parameters are those of `distribute`.
    """
    own = source.leaves() if world.rank == root else None
    leaves, failed = [], None
    for place, (n, array) in enumerate(_leaf_outlines(outline)):
        items = own[place].items if own else None
        try:
            if array is not None:
                items = share_rows(world, items, array[0], (n, *array[1]), root)
            else:
                items = broadcast_object(world, items, root)
        except BaseException as exc:  # as in `distribute`
            failed = exc
            continue
        leaves.append(Data(items))
    if failed is not None:
        raise failed
    return _rebuilt(world, source, outline, leaves, root)


def _rebuilt(
    world: World, source: Source, outline: tuple[Any, ...], leaves: list[Any], root: int
) -> Source:
    functions = source.functions()
    if len(functions) != count_functions(outline):
        raise ComprehensionError(
            f"rank {world.rank} has no function for the map or filter in the source of rank "
            f"{root}; write the same expression on every rank"
        )
    return rebuild(outline, iter(leaves), iter(functions))


def _leaf_outlines(outline: tuple[Any, ...]) -> list[tuple[int, Any]]:
    kind, *rest = outline
    if kind == "data":
        return [(rest[0], rest[1])]
    if kind == "known":
        return []
    return [leaf for child in rest[1:] for leaf in _leaf_outlines(child)]


def count_functions(outline: tuple[Any, ...]) -> int:
    """How many functions stand in the source that *outline* describes."""
    kind, *rest = outline
    if kind in ("data", "known"):
        return 0
    branch, *inner = rest
    return int(branch.has_function) + sum(map(count_functions, inner))


def _send_leaf(
    world: World, leaf: Data | None, array: Any, decomposition: Decomposition, root: int
) -> Any:
    if array is not None:
        rows = leaf.items if leaf is not None else None
        return scatter_rows(world, rows, array[0], array[1], decomposition, root)
    if leaf is None:
        return scatter_values(world, None, root)
    scatter_values(world, lambda rank: part_of(leaf, decomposition, rank), root)
    return part_of(leaf, decomposition, root)


def part_of(leaf: Data, decomposition: Decomposition, rank: int) -> Any:
    """The items of a leaf that are one rank's, in increasing order of position."""
    parts = [leaf.cut(run).items for run in runs_of(decomposition, rank, strided=True)]
    if len(parts) == 1:
        return parts[0]
    return [item for part in parts for item in part]
