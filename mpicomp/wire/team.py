"""Teams of ranks that compute an item together.

Rules of this file: communicators are made once for each size and root, and given back with the
world they were made of.
"""

from __future__ import annotations

from typing import Any, cast

from mpicomp.wire.library import mpi
from mpicomp.wire.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpi4py import MPI


class Team:
    """The team of this rank.

    Parameters
    ----------
    world : World
    size : int
        Ranks of a team (all of the world, where it has fewer).
    root : int
        Leads the first team, whatever its number.

    Attributes
    ----------
    world : World or None
        The team for our messages; None for a rank that is left over, when the number of ranks is no
        multiple of the size.
    comm : mpi4py.MPI.Intracomm or None
        The same for the user's.
    heads : World or None
        The ranks that lead the teams, on one that does.
    """

    def __init__(self, world: World, size: int, root: int) -> None:
        """Collective: every rank of the world calls."""
        assert world.comm is not None, "a serial world has no teams"
        self.about = size, root
        size = min(size, world.size)
        place = (world.rank - root) % world.size
        inside = place < world.size // size * size
        undefined = mpi().UNDEFINED
        team = world.comm.Split(place // size if inside else undefined, place)
        leads = inside and place % size == 0
        heads = world.comm.Split(0 if leads else undefined, place)
        self.world = World(cast("MPI.Intracomm", team)) if inside else None
        self.comm = cast("MPI.Intracomm", team).Dup() if inside else None
        self.heads = World(cast("MPI.Intracomm", heads)) if leads else None

    def Free(self) -> None:  # as MPI's own objects
        """Collective: every rank of the team calls."""
        if self.comm is not None:
            self.comm.Free()
        for mine in (self.heads, self.world):
            if mine is not None:
                mine.close()


def team_of(world: World, size: int, root: int) -> Team:
    """The team of this rank; made when it is asked for the first time.

    Collective the first time: every rank of the world calls.
    """
    for known in world.owned:
        if isinstance(known, Team) and known.about == (size, root):
            return known
    team = Team(world, size, root)
    world.owned.append(team)
    return team


def itself() -> Any:
    """The communicator of this rank alone."""
    return mpi().COMM_SELF
