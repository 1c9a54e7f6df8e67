"""Stopping a call on purpose: a signal, a deadline, the end of a batch job's time.

Rules of this file: a handler only notes the signal; ranks see it when they look, between two
pieces and while they wait, and tell the others by the call's cutoff (`mpicomp.wire.cutoff`).  So it
is enough that one rank is told.  Handlers are there while a call is at work that can be stopped,
and under ``mpicomp run`` from the first such call on; what was there before is put back.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from math import inf

from mpicomp.errors import OptionError, Stopped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from mpi4py import MPI

    from mpicomp.engine.compute import Caught
    from mpicomp.wire.cutoff import Cutoff
    from mpicomp.wire.world import World

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
"""What a batch system sends before it ends a job."""
_MARGIN = 60.0  # seconds before the end of a batch job

_came: list[signal.Signals] = []  # signals that nobody has seen to
_at_work: list[Stopper] = []  # calls that can be stopped, the outer ones first
_stays: list[bool] = []  # not empty: handlers stay between the calls


class Stopper:
    """Whether a call is to be stopped.  A context manager, for the time that it is at work.

    Parameters
    ----------
    deadline : float
        Seconds since 1970; infinite without.
    """

    def __init__(self, deadline: float = inf) -> None:
        self._deadline = deadline
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> str:
        """Why it is to be stopped; empty when it is not."""
        if _came:
            return _came.pop(0).name
        return "the deadline" if time.time() >= self._deadline else ""

    def __enter__(self) -> Stopper:
        _at_work.append(self)
        for number in SIGNALS:
            if threading.current_thread() is not threading.main_thread():
                break  # Python has handlers in the main thread alone
            known = signal.getsignal(number)
            if known is not _note and known is not signal.SIG_IGN:
                self._before[number] = known
                signal.signal(number, _note)
        return self

    def __exit__(self, *_: object) -> None:
        _at_work.remove(self)
        if not _stays:
            for number, known in self._before.items():
                signal.signal(number, known if known is not None else signal.SIG_DFL)
        _came.clear()  # several may have come, and one was enough


def keep_listening() -> None:
    """Leave the handlers installed behind the first call that can be stopped: `mpicomp run`."""
    _stays.append(True)


def _note(number: int, _: FrameType | None) -> None:
    if not _at_work:  # between two calls
        raise Stopped(f"{signal.Signals(number).name} between two calls")
    _came.append(signal.Signals(number))


def stopper_for(deadline: float | None, kept: bool) -> Stopper | None:
    """What stops a call.

    Parameters
    ----------
    deadline : float or None
        Asked for, in seconds since 1970.
    kept : bool
        The call has a journal: then it is stopped before its batch job ends, too.
    """
    if deadline is None and not kept:
        return None
    return Stopper(min(deadline or inf, _end_of_job()))


def _end_of_job() -> float:
    """When to stop for a batch job's end, in seconds since 1970."""
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    if not end.isdecimal():
        return inf
    margin = os.environ.get("MPICOMP_MARGIN", "")
    try:
        return int(end) - (float(margin) if margin else _MARGIN)
    except ValueError:
        raise OptionError(
            f"MPICOMP_MARGIN must be seconds before the end of the job, got {margin!r}"
        ) from None


class Listening:
    """A request, to be waited for by a rank that can be told to stop meanwhile."""

    __slots__ = ("_cutoff", "_request")

    def __init__(self, request: MPI.Request, cutoff: Cutoff) -> None:
        self._request, self._cutoff = request, cutoff

    def Test(self) -> bool:  # as requests have it
        self._cutoff.poll()
        return self._request.Test()


def stopped(world: World, cutoff: Cutoff, caught: Caught | None) -> Caught | None:
    """What ended this rank's work, also if that is that it was told to stop."""
    from mpicomp.engine.compute import Caught  # late: to compute, this file is needed

    if not cutoff.stopped:
        return caught
    return Caught(0, Stopped(f"{cutoff.stopped} on rank {world.rank}"))


def tell(reason: Stopped, kept: str, rank: int) -> None:
    """Say on one rank why the program ends; a `SystemExit` is silent."""
    if rank == 0:
        goes_on = f"; what is done is kept in {kept}, run it again to go on" if kept else ""
        print(f"mpicomp: stopped by {reason}{goes_on} (exit code {reason.code})", file=sys.stderr)
