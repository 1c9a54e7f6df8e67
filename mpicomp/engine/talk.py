"""What a master and its workers say to each other.

    worker -> master    HELLO, then DONE or FAILED for each chunk, then BYE
    master -> worker    a grant [+ its items], DROP for a chunk that another has done, then END

Rules of this file: whatever is said has a few whole numbers; items follow with a tag of their own.
"""

from __future__ import annotations

from array import array
from typing import Any

from mpicomp.wire.library import mpi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpi4py import MPI

    from mpicomp.engine.compute import Caught
    from mpicomp.plan.gaps import Gaps
    from mpicomp.wire.cutoff import Cutoff
    from mpicomp.wire.world import World

HELLO, DONE, FAILED, BYE = range(4)
END = -1
"""In the place of a chunk's number: there is none, or none any more."""
UP, DOWN, LOAD, DROP = 6, 7, 8, 9
"""The tags: to the master, to a worker, its items, its superseded chunks."""


class Party:
    """Who takes part in it.

    Parameters
    ----------
    world : World
    cutoff : Cutoff
    gaps : Gaps or None
        Which items the grants speak of; None: of all.

    Attributes
    ----------
    outcome : Caught or None
        What ended the chunk at work early; set by who computes it, where that is not the end of
        its work.
    """

    def __init__(self, world: World, cutoff: Cutoff, gaps: Gaps | None) -> None:
        assert world.comm is not None, "a serial world has no master"
        self._comm = world.comm
        self._world = world
        self._cutoff = cutoff
        self._gaps = gaps
        self.outcome: Caught | None = None

    def _say(self, said: array[int], rank: int, tag: int) -> MPI.Request:
        """Begin to send it; who calls keeps *said* until it has gone."""
        numbers: Any = [said, mpi().INT64_T]
        return self._comm.Isend(numbers, rank, tag)


def place_of(item: int, gaps: Gaps | None) -> int:
    """Number of *item* in the grants, which count those that are missing."""
    return item if gaps is None else gaps.place(item)


def item_at(place: int, gaps: Gaps | None) -> int:
    """The way back."""
    return place if gaps is None else next(gaps.spread(range(place, place + 1))).start
