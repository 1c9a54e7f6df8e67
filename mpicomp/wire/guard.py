"""No rank is left waiting by one that has died: what happens at the end of the program.

Rules of this file: nothing here runs before the first parallel call.

An uncaught exception on one rank ends the whole job with exit code 1.  When every rank raised
the same (agreed) error, the root alone prints it.  A rank that merely reaches the end of its
program says so with an exchange of its own, so that those who are in a verb find out that it
will not come.
"""

from __future__ import annotations

import atexit
import sys
import time
from functools import partial

from mpicomp.wire.world import mpi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from mpicomp.wire.world import World

_GRACE = 2.0  # seconds that the others get to print what they have to say
_FLUSH = 0.2  # seconds in which the launcher passes on what was printed, before it is killed
failed: list[BaseException] = []
installed: set[str] = set()
_worlds: list[World] = []


def install(world: World, leave: bytes) -> None:
    """Install the guard, and let it watch over *world* too.

    Parameters
    ----------
    world : World
        A parallel one.
    leave : bytes
        The header that says "I have reached the end of my program".
    """
    watch()
    if "leave" not in installed:
        installed.add("leave")
        atexit.register(_leave, leave)
    if world not in _worlds:
        _worlds.append(world)


def watch() -> None:
    """See to it that an uncaught exception on this rank ends the whole job."""
    if "hook" not in installed:
        installed.add("hook")
        sys.excepthook = partial(_uncaught, sys.excepthook)


def stand_back() -> None:
    """Leave uncaught exceptions to somebody else, who ends the job: `mpicomp run`."""
    installed.add("hook")
    if isinstance(sys.excepthook, partial) and sys.excepthook.func is _uncaught:
        sys.excepthook = sys.excepthook.args[0]


def _uncaught(
    previous: Callable[..., object],
    kind: type[BaseException],
    exc: BaseException,
    traceback: TracebackType | None,
) -> None:
    failed.append(exc)
    agreed: World | None = getattr(exc, "__mpicomp_world__", None)
    silent = agreed is not None and agreed.rank > 0
    if not silent:
        previous(kind, exc, traceback)
    sys.stdout.flush()
    sys.stderr.flush()
    if mpi().Is_finalized() or mpi().COMM_WORLD.size == 1:
        return
    if agreed and _together(agreed):
        agreed.close()  # all are here, and all close it: an open window is warned of
        return
    if silent:  # rank 0 has not failed, and told nothing
        previous(kind, exc, traceback)
    _abort()


def _together(world: World) -> bool:
    """Whether the whole job comes here: it has failed alike, and ends alike."""
    if world.comm is None or world.size < mpi().COMM_WORLD.size:
        return False
    request = world.comm.Ibarrier()
    until = time.monotonic() + _GRACE
    while not (here := request.Test()) and time.monotonic() < until:
        time.sleep(0.005)
    return here


def end_job() -> None:
    """End all ranks at once with exit code 1; does nothing where there is no job of several."""
    found = sys.modules.get("mpi4py.MPI")
    at_work = found is not None and found.Is_initialized() and not found.Is_finalized()
    if at_work and mpi().COMM_WORLD.size > 1:
        _abort()


def _abort() -> None:
    sys.stderr.flush()
    time.sleep(_FLUSH)
    mpi().COMM_WORLD.Abort(1)


def _leave(leave: bytes) -> None:
    """Tell all worlds at once that this rank makes no more calls; wait until nobody does."""
    if mpi().Is_finalized() or failed:
        return
    if any(world.lost for world in _worlds):
        _abort()  # a rank never came, and would be waited for
        return  # MPICH may let this rank go on for a moment
    waiting = [world for world in _worlds if not world.closed]
    for world in waiting:
        world.offer(leave)
    nap = 0.0001
    while waiting:
        for world in [world for world in waiting if world.complete()]:
            waiting.remove(world)
            if world.headers() != leave * world.size and not _together(world):
                _abort()  # they were in a verb, have been told, and have not ended for it
            world.close()
        time.sleep(nap)
        nap = min(0.01, 2 * nap)
