"""The threads of numerical libraries: the ranks of a node share its cores.

A BLAS starts as many threads as it sees cores.  Four ranks on a node of eight cores would be 32
threads; so each gets two, once, when the first world of several ranks is made.

Rules of this file: done once in a process, nothing in a call.  What the user has said stays: a
variable of `VARIABLES`, or a number of threads that a program has set.  Libraries that are loaded
already are told through threadpoolctl, where that is installed; those that will be loaded (and
child processes) read ``OMP_NUM_THREADS``.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mpicomp.wire.world import World

VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
    "GOTO_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip
_STARTED = ("MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_SIZE")  # ranks on this node
_TOO_LATE = (
    'numpy was loaded before, and keeps its own number: pip install "mpicomp[threads]", or '
    "export OMP_NUM_THREADS="
)


class Threads(NamedTuple):
    """How many threads a numerical library may start in this rank, and why.

    Attributes
    ----------
    each : int or None
        None: nothing was set here.
    why : str
        For people to read.
    """

    each: int | None
    why: str


_told: Threads | None = None


def threads() -> Threads:
    """What holds in this process.

    Examples
    --------
    >>> threads().why
    'one rank: nothing is shared'
    """
    return _told or Threads(None, "one rank: nothing is shared")


def share(world: World) -> None:
    """Share each node's cores among the ranks that it has, if that was not yet done.

    Collective: every rank of *world*, which has just been made, calls.
    """
    global _told
    assert world.comm is not None, "a serial world shares with nobody"
    if not world.comm.allreduce(_told is None):
        return  # the usual case of a second communicator
    here, mine = _machine(), cores()
    # not the MPI's own idea of a node: under srun --mpi=pmix some take each rank for one
    ranks = world.comm.allgather((here, sum(1 << core for core in mine)))
    if _told is None:
        masks = [mask for there, mask in ranks if there == here]
        _told = _settled([[k for k in range(m.bit_length()) if m >> k & 1] for m in masks], mine)


def _settled(masks: Sequence[Sequence[int]], mine: Sequence[int]) -> Threads:
    said = next((f"{name}={os.environ[name]}" for name in VARIABLES if os.environ.get(name)), None)
    if said is not None:
        return Threads(None, f"as the environment says: {said}")
    here = max(len(masks), *(int(os.environ.get(name, 0) or 0) for name in _STARTED))
    each = fair(masks, mine, here)
    os.environ["OMP_NUM_THREADS"] = str(each)  # for libraries not yet loaded, and children
    for_this = f"{len(mine)} core{'s' * (len(mine) != 1)}"
    why = f"{here} ranks on this node, {for_this} for this one: {each} each"
    return Threads(each, why if _limit(each, len(mine)) else f"{why}; {_TOO_LATE}{each}")


def _machine() -> str:
    """What ranks that share their cores have in common, and no others."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read()
    except OSError:
        return os.uname().nodename


def fair(masks: Sequence[Sequence[int]], mine: Sequence[int], here: int) -> int:
    """How many threads a rank may start: its part of each core that it may run on.

    Parameters
    ----------
    masks : sequence of sequence of int
        Cores that each of some ranks of the node may run on, this rank's among them.
    mine : sequence of int
    here : int
        How many ranks there are on the node; the others are taken to be bound as those of *masks*.

    Examples
    --------
    >>> fair([range(8)] * 4, range(8), 4)
    2
    >>> fair([range(4), range(4, 8)], range(4), 2)
    4
    >>> fair([range(2)] * 5, range(2), 5)
    1
    >>> fair([range(8)], range(8), 4)  # one of four ranks, in a communicator of its own
    2
    """
    # in thirds of a core and the like: exact, as a sum of floats might be just below a whole
    from fractions import Fraction

    users = {core: sum(core in mask for mask in masks) for core in mine}
    part = sum((Fraction(1, n) for n in users.values()), Fraction(0))
    return max(1, int(part * Fraction(len(masks), max(here, len(masks)))))


def cores() -> list[int]:
    """Numbers of the cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    return sorted(affinity(0)) if affinity else list(range(os.cpu_count() or 1))


def pools() -> list[dict[str, Any]] | None:
    """The numerical libraries that are loaded, as threadpoolctl sees them; None without it."""
    try:
        from threadpoolctl import threadpool_info  # type: ignore[import-untyped]  # as it comes
    except ImportError:
        return None
    found: list[dict[str, Any]] = threadpool_info()
    return found


def _limit(each: int, usual: int) -> bool:
    """Tell the libraries that are loaded; whether that could be done.

    One that does not start its *usual* number of threads has been told another by the program.
    """
    if each >= usual or "numpy" not in sys.modules:
        return True
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return False
    for library in ThreadpoolController().lib_controllers:
        if library.num_threads == usual:
            library.set_num_threads(each)
    return True
