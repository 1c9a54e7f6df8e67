"""How a rank waits: at full speed, then yielding the core, then napping.

Rules of this file: a wait that may be long lets Python answer signals, and lets whoever looks
after this rank's waits look.
"""

from __future__ import annotations

import os
import time
from typing import Protocol

from mpicomp.wire.library import mpi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpi4py import MPI

    from mpicomp.wire.ulfm import Watch
    from mpicomp.wire.vigil import Vigil

NAP = 0.001
"""Seconds: the longest sleep between two looks."""
_SPIN = 0.0005  # seconds: a rank this late is not waited for at full speed any more


_watched: Vigil | Watch | None = None


def watched_by(vigil: Vigil | Watch | None) -> None:
    """From now on *vigil* looks after this rank's waits, or nobody does."""
    global _watched
    _watched = vigil


def watched() -> Vigil | Watch | None:
    """Who looks after this rank's waits."""
    return _watched


class Awaited(Protocol):
    """What `wait` waits for: a request, or something like it."""

    def Test(self) -> bool: ...


def wait(request: Awaited, heed: Callable[[], None] | None = None) -> None:
    """Wait for *request*: at full speed, then yielding the core, then napping.

    A blocking MPI wait burns its core and does not let Python answer signals.  *heed* is called
    between two naps, and may end the wait with an error.

    Raises
    ------
    PatienceError
        In a call with ``patience=``: a rank is missing.
    """
    for _ in range(50):
        if request.Test():
            return
    until = time.perf_counter() + _SPIN
    while time.perf_counter() < until:
        if request.Test():
            return
        os.sched_yield()
    nap = NAP / 16
    vigil = _watched
    if vigil is not None:
        vigil.waits()
    while not request.Test():
        if vigil is not None:
            vigil.look()
        if heed is not None:
            heed()
        time.sleep(nap)
        nap = min(NAP, nap * 1.5)


class Arrival:
    """A message from anybody, to be waited for like a request, and then received by its source.

    Between machines, MPICH 5.0 does not give a receive from ANY_SOURCE what has come before it
    was posted.  Probing finds it.

    Attributes
    ----------
    source : int
        Who has sent it, once ``Test`` was true.
    """

    __slots__ = ("_comm", "_status", "_tag")

    def __init__(self, comm: MPI.Intracomm, tag: int) -> None:
        self._comm, self._tag = comm, tag
        self._status = mpi().Status()

    def Test(self) -> bool:  # as requests have it
        return self._comm.Iprobe(mpi().ANY_SOURCE, self._tag, self._status)

    @property
    def source(self) -> int:
        source: int = self._status.Get_source()
        return source
