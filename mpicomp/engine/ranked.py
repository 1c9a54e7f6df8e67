"""Where entries that lie on the ranks stand among those of all.

Rules of this file: a rank holds no more than its share of them; what fails on one is raised on all.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from mpicomp.engine.agree import together
from mpicomp.plan.ranking import bounds, cuts, numbered, sampled
from mpicomp.wire.shuffle import shuffle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mpicomp.plan.ranking import Entry
    from mpicomp.wire.world import World


def places_of(world: World, entries: Sequence[Entry]) -> tuple[list[int], int]:
    """The places of this rank's *entries*, which rise, and how many entries there are in all.

    Collective: every rank of the world calls.
    """
    if world.comm is None or world.size == 1:
        return [*range(len(entries))], len(entries)
    import numpy as np

    told = world.comm.allgather(sampled(entries))
    ends = bounds(entries, cuts([entry for samples in told for entry in samples], world.size))
    rows = np.array(entries, np.int64).reshape(-1, 2)
    parts = _swapped(world, lambda rank: rows[ends[rank] : ends[rank + 1]])
    counts = world.comm.allgather(sum(map(len, parts)))
    answers = together(world, lambda: numbered(parts, sum(counts[: world.rank])))
    found = _swapped(world, answers.__getitem__)
    return np.concatenate(found).tolist(), sum(counts)


def _swapped(world: World, make: Callable[[int], Any]) -> list[Any]:
    """What every rank has made for this one, in rank order.

    Collective: every rank of the world calls.
    """
    came: dict[int, Any] = {}

    def parcel(rank: int) -> tuple[int, Any]:
        return world.rank, make(rank)

    together(world, partial(shuffle, world, parcel, lambda parcel: came.update([parcel])))
    return [came[rank] for rank in range(world.size)]
