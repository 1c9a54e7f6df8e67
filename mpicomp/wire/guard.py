"""No rank is left waiting by one that has died: what happens at the end of the program.

Rules of this file: nothing here runs before the first parallel call.

An uncaught exception on one rank ends the whole job with exit code 1.  When every rank raised
the same (agreed) error, the root alone prints it.  A rank that merely reaches the end of its
program says so with an exchange of its own, so that those who are in a verb find out that it
will not come.  ``os._exit`` is no way to leave in silence (MPICH's launcher would end the others
and report success): in a parallel call it ends the job as an error, elsewhere it is as the end of
the program.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from functools import partial

from mpicomp.wire import cells, ulfm
from mpicomp.wire.library import mpi
from mpicomp.wire.waiting import watched_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import NoReturn

    from mpicomp.wire.world import World

_GRACE = 2.0  # seconds that the others get to print what they have to say
_FLUSH = 0.2  # seconds in which the launcher passes on what was printed, before it is killed
_REALLY = os._exit
failed: list[BaseException] = []
installed: set[str] = set()
aborting: list[Callable[[int], None]] = []
"""What is told the job's exit code before this rank ends the job."""
_worlds: list[World] = []


def install(world: World, leave: bytes, at_work: Callable[[], str]) -> None:
    """Install the guard, and let it watch over *world* too.

    Parameters
    ----------
    world : World
        A parallel one.
    leave : bytes
        The header that says "I have reached the end of my program".
    at_work : callable
        What this process is doing in a parallel call, for people; empty when it is in none.
    """
    watch()
    if "leave" not in installed:
        installed.add("leave")
        atexit.register(_leave, leave)
        os._exit = partial(_exit, os.getpid(), leave, at_work)
    if world not in _worlds:
        _worlds.append(world)


def watch() -> None:
    """See to it that an uncaught exception on this rank ends the whole job."""
    if "hook" not in installed:
        installed.add("hook")
        if cells.kernel() is not None:  # the end of a cell is no end of the job
            cells.install()
            return
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
    if agreed and together(agreed):
        agreed.close()  # all are here, and all close it: an open window is warned of
        return
    if silent:  # rank 0 has not failed, and told nothing
        previous(kind, exc, traceback)
    abort()


def _exit(pid: int, leave: bytes, at_work: Callable[[], str], status: int = 0) -> NoReturn:
    """In the place of ``os._exit``."""
    if os.getpid() != pid or mpi().Is_finalized():  # a forked child ends like this, as it should
        _REALLY(status)
    work = at_work()
    if work:
        caller = sys._getframe(1)
        outcome = (
            "the others go on without this rank" if _survived()
            else "whose value nobody can have any more"
        )  # fmt: skip
        print(
            f"mpicomp: os._exit({status}) was called in a parallel call, {outcome}; "
            f"the job ends with exit code {status or 1}\n{work}\n"
            f"  called by {caller.f_code.co_name} ({caller.f_code.co_filename}:{caller.f_lineno})",
            file=sys.stderr,
        )
        sys.stdout.flush()
        abort(status or 1)
    if status == 0 and not _leave(leave):  # any other code ends the job, as it should
        status = 1
    _REALLY(status)


def together(world: World) -> bool:
    """Whether the whole job comes here: it has failed alike, and ends alike."""
    if world.comm is None or world.began_with < mpi().COMM_WORLD.size:
        return False
    try:
        request = world.comm.Ibarrier()
        until = time.monotonic() + _GRACE
        while not (here := request.Test()) and time.monotonic() < until:
            time.sleep(0.005)
    except ulfm.losses():
        return False
    return here


def end_job() -> None:
    """End all ranks at once with exit code 1; does nothing where there is no job of several."""
    found = sys.modules.get("mpi4py.MPI")
    at_work = found is not None and found.Is_initialized() and not found.Is_finalized()
    if at_work and mpi().COMM_WORLD.size > 1:
        abort()


def _survived() -> bool:
    """Whether the others go on when this rank is lost."""
    return any(world.watch is not None for world in _worlds)


def abort(code: int = 1) -> NoReturn:
    """End all ranks."""
    sys.stderr.flush()
    for told in aborting:
        told(code)
    if _survived():
        ulfm.fall()  # the others go on without it
    time.sleep(_FLUSH)
    mpi().COMM_WORLD.Abort(code)
    time.sleep(_GRACE)  # MPICH comes back from it, and what followed would reach the others
    _REALLY(code)


def _all_leave(headers: bytearray, leave: bytes) -> bool:
    """Whether all say so, in their first two words; the others may say more."""
    return all(headers[at : at + 16] == leave[:16] for at in range(0, len(headers), len(leave)))


def _leave(leave: bytes) -> bool:
    """Tell all worlds at once that this rank makes no more calls; wait until nobody does.

    Returns
    -------
    bool
        Whether the others have left too; else they were in a call, and have failed for it.
    """
    if mpi().Is_finalized() or failed:
        return True
    if any(world.lost for world in _worlds):
        abort()  # a rank never came, and would be waited for
    waiting = [world for world in _worlds if not world.closed and world.watch is None]
    surviving = [world for world in _worlds if not world.closed and world.watch is not None]
    open_still = [*waiting]  # in an order that all ranks have: closing one may wait for its ranks
    for world in waiting:
        world.offer(leave)
    nap, alike = 0.0001, True
    while waiting:
        for world in [world for world in waiting if world.complete()]:
            waiting.remove(world)
            if not _all_leave(world.headers(), leave):
                alike = False
                if not together(world):
                    abort()  # they were in a verb, have been told, and have not ended for it
        time.sleep(nap)
        nap = min(0.01, 2 * nap)
    for world in open_still:
        world.close()
    return all(_leave_those_left(world, leave) for world in surviving) and alike


def _leave_those_left(world: World, leave: bytes) -> bool:
    """As `_leave`; ranks that are lost meanwhile are not waited for."""
    while True:
        well, alike = True, False
        watched_by(world.watch)
        try:
            alike = _all_leave(world.exchange(leave), leave)
        except ulfm.losses():
            well = False
        if ulfm.agreed(world, well):
            break
        world = ulfm.renewed(world)
    sys.stdout.flush()
    sys.stderr.flush()
    if not ulfm.ends_by_itself():
        _REALLY(0)
    return alike
