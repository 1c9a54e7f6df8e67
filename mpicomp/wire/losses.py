"""Which ranks are gone, for work in which the others need not go with them.

Rules of this file: only asked between two looks of a wait.  Two ways to know:

- MPI goes on without them and says who they are (`mpicomp.wire.ulfm`); or
- the launcher lets the others live, though MPI knows nothing of it (``-disable-auto-cleanup`` of
  MPICH's, ``--continuous`` of Open MPI's, ``srun --kill-on-bad-exit=0``): then the processes of
  this machine are looked at.  Mostly a launcher ends all ranks at once, and nobody is here to ask.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from mpicomp.wire import ulfm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.wire.world import World

_OFTEN, _SELDOM = 0.002, 0.5  # seconds between two looks: at what MPI knows, at processes


class Process(NamedTuple):
    """Where a rank runs.

    Attributes
    ----------
    host : str
    space : str
        In which its number counts; those of containers differ.
    pid : int
    """

    host: str
    space: str
    pid: int

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def here(world: World) -> Process:
    """This process."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return Process(world.host, space, os.getpid())


def meet(world: World) -> None:
    """Let the ranks know each other's processes.

    Collective the first time: every rank of the world calls.
    """
    assert world.comm is not None, "a serial world loses nobody"
    if not world.processes:
        world.processes = world.comm.allgather(here(world))
    if world.watch is not None:
        world.watch.mates = [(process.host, process.pid) for process in world.processes]


def runs(pid: int) -> bool:
    """Whether a process of this machine has not ended."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or another system than Linux
        return True
    return state not in "ZX"  # some launchers do not bury their children


class Losses:
    """Who of some ranks is gone.

    Parameters
    ----------
    world : World
        Whose ranks know each other's processes (`meet`).
    ranks : iterable of int
        Whose loss is of interest.

    Attributes
    ----------
    survived : bool
        MPI goes on without them.
    """

    def __init__(self, world: World, ranks: range | list[int]) -> None:
        self.survived = world.watch is not None
        self._world = world
        self._ranks = [*ranks]
        mine = here(world)
        self._near = [
            rank for rank in self._ranks
            if world.processes and world.processes[rank][:2] == mine[:2]
        ]  # fmt: skip
        self._next = 0.0

    def look(self) -> list[int]:
        """Those who are gone since the last look."""
        now = time.monotonic()
        if now < self._next:
            return []
        self._next = now + (_OFTEN if self.survived else _SELDOM)
        gone = self._known() if self.survived else self._ended()
        found = [rank for rank in self._ranks if rank in gone]
        self._ranks = [rank for rank in self._ranks if rank not in gone]
        return found

    def _known(self) -> set[int]:
        world = self._world
        assert world.watch is not None, "losses are survived"
        world.watch.count()
        return ulfm.gone(world)

    def _ended(self) -> set[int]:
        processes = self._world.processes
        return {rank for rank in self._near if not runs(processes[rank].pid)}
