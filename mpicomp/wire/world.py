"""The worlds of ranks that make calls together: one for each communicator of the user's.

Rules of this file: no MPI unless a launcher started us, mpi4py is already in use, or a
communicator was given; every communicator of the user's is duplicated once, so that our
messages never meet theirs.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, cast

from mpicomp.errors import LaunchError, OptionError, PatienceError
from mpicomp.wire import threads, ulfm
from mpicomp.wire.library import keeps_requests, mpi
from mpicomp.wire.started import check_launch, launched
from mpicomp.wire.waiting import NAP, wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mpi4py import MPI

    from mpicomp.wire.counter import Counter
    from mpicomp.wire.losses import Process
    from mpicomp.wire.ulfm import Watch
    from mpicomp.wire.vigil import Vigil

HEADER = 72
"""Bytes of the message with which every call begins and ends."""

_PATIENCE = 2.0  # seconds

_TOO_LATE = (
    "MPI has been finalized, and the ranks cannot reach each other any more; "
    "make the call before MPI.Finalize(), or leave finalizing to the end of the program"
)


class World:
    """The ranks that take part: a private duplicate of a communicator, or this process alone.

    Attributes
    ----------
    rank, size : int
        As in MPI.
    host : str
        Name of this machine.
    comm : mpi4py.MPI.Intracomm or None
        The private duplicate; None when serial.
    interrupted : bool
        This rank has got Ctrl-C while it waited for the others.
    lost : str
        Why the ranks cannot go on together, if they cannot.
    vigil : Vigil or None
        Who looks after ranks that do not come; None before the first call with ``patience=``.
    watch : Watch or None
        Who looks for lost ranks, where they are survived.
    origin : tuple of int
        Then: the ranks that these had before any was lost; *began_with* is how many there were.
    heir : World or None
        Then: the world of those that are left, in the place of this one.
    processes : sequence of Process
        Of every rank; empty until they have been told.

    Examples
    --------
    >>> import mpicomp
    >>> world = mpicomp.world()
    >>> world.rank < world.size
    True
    """

    __slots__ = (
        "_all",
        "_mine",
        "_offered",
        "_persistent",
        "began_with",
        "closed",
        "comm",
        "counter",
        "heir",
        "host",
        "interrupted",
        "lost",
        "node",
        "origin",
        "owned",
        "processes",
        "rank",
        "size",
        "vigil",
        "watch",
    )

    def __init__(self, comm: MPI.Intracomm | None = None) -> None:
        self.comm = comm
        self.rank, self.size = (comm.rank, comm.size) if comm else (0, 1)
        self.host = os.uname().nodename
        self.node: MPI.Intracomm | None = None
        self.counter: Counter | None = None
        self.owned: list[Any] = []  # what was made on it and is given back with it
        self.closed = False
        self.interrupted = False
        self.lost = ""
        self.vigil: Vigil | None = None
        self.watch: Watch | None = None
        self.origin: tuple[int, ...] = ()
        self.began_with = self.size
        self.heir: World | None = None
        self.processes: Sequence[Process] = ()
        self._mine = bytearray(HEADER)
        self._all = bytearray(HEADER * self.size)
        self._persistent: MPI.Prequest | None = None
        self._offered: MPI.Request | None = None

    def __repr__(self) -> str:
        return f"<rank {self.rank} of {self.size} on {self.host}>"

    @property
    def shrunk(self) -> bool:
        """Whether ranks have been lost."""
        return self.size < self.began_with

    def now(self, number: int) -> int:
        """The rank that began as *number*; the lowest of those that are left where it is lost."""
        if not self.shrunk or number >= self.began_with:
            return number
        return self.origin.index(number) if number in self.origin else 0

    def exchange(self, header: bytes) -> bytearray:
        """Everyone's header, in rank order; the one place where a rank waits for the others.

        Collective: every rank of the world calls; every rank gets all headers.
        """
        self.offer(header)
        return self.headers()

    def offer(self, header: bytes) -> None:
        """The first half of `exchange`: say it, and go on meanwhile."""
        assert self.comm is not None, "a serial world has nobody to exchange with"
        if self.lost:
            raise PatienceError(self.lost)
        self._mine[:] = header
        if self.watch is not None or not keeps_requests():
            self._offered = self.comm.Iallgather(self._mine, self._all)
            return
        if self._persistent is None:
            self._persistent = self.comm.Allgather_init(self._mine, self._all)
        self._persistent.Start()
        self._offered = self._persistent

    def complete(self) -> bool:
        """Whether everyone has offered."""
        return self._offered is None or self._offered.Test()

    def headers(self) -> bytearray:
        """The second half of `exchange`: wait for all."""
        if self._offered is not None:
            try:
                wait(self._offered, self.heed)
            except KeyboardInterrupt:
                self._interrupt(self._offered)
        return self._all

    def heed(self) -> None:
        """Look, in a long wait, whether it makes sense to go on: here it always does."""

    def _interrupt(self, exchange: MPI.Request) -> None:
        """Let the exchange end, if the others come: they do when they are interrupted as well.

        Otherwise this world is of no more use, and the next call makes a new one.
        """
        self.interrupted = True  # and told of at the end of the call
        until = time.monotonic() + _PATIENCE
        while not exchange.Test():
            if time.monotonic() > until:
                self.closed = True
                raise KeyboardInterrupt
            time.sleep(NAP)

    def on_node(self) -> MPI.Intracomm:
        """The ranks that share this machine's memory.

        Collective the first time: every rank of the world calls.
        """
        if self.node is None:
            assert self.comm is not None, "a serial world has no node communicator"
            self.node = cast("MPI.Intracomm", self.comm.Split_type(mpi().COMM_TYPE_SHARED))
        return self.node

    def close(self) -> None:
        """Give back what belongs to this world.

        Collective: every rank of the world calls, for the last time.
        """
        if not self.closed:
            self.closed = True
            if self.watch is not None:  # where freeing might wait for ever
                return
            for mine in (*self.owned, self.counter, self._persistent, self.node, self.comm):
                if mine is not None:
                    mine.Free()


def _made(comm: MPI.Intracomm) -> World:
    fragile = comm.size > 1 and ulfm.active()
    return ulfm.first(comm) if fragile else World(comm.Dup())


_alone = World()
_default: World | None = None
make: Callable[[MPI.Intracomm], World] = _made
"""Gives a communicator of the user's its world; collective."""
_keyval: int | None = None


def world(comm: MPI.Intracomm | None = None) -> World:
    """The world of *comm*; of ``COMM_WORLD`` when None; this process alone without MPI.

    Collective the first time a communicator is seen: every rank of it calls.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm, optional

    Returns
    -------
    World

    Raises
    ------
    LaunchError
        A launcher started several processes, but each is rank 0 of 1; MPI has been finalized.
    OptionError
        *comm* is no intracommunicator.

    Examples
    --------
    >>> import mpicomp
    >>> mpicomp.world().rank
    0
    """
    global _default
    if comm is not None:
        return _world_of(comm)
    while _default is not None and _default.heir is not None:
        _default = _default.heir
    if _default is None or _default.closed:
        _default = _first_world()
    if _default.comm is not None and mpi().Is_finalized():
        raise LaunchError(_TOO_LATE)
    if _default is _alone and "mpi4py.MPI" in sys.modules:
        _default = _first_world()  # the user's program has started MPI since
    return _default


def _first_world() -> World:
    if not launched() and "mpi4py.MPI" not in sys.modules:
        return _alone
    ulfm.prepare()
    try:
        found = mpi()
    except (ImportError, RuntimeError) as exc:  # no mpi4py; no MPI library
        check_launch(1, f"MPI cannot be loaded ({exc})")
        return _alone
    size = found.COMM_WORLD.size
    check_launch(size, found.Get_library_version().split("\n")[0].strip(" ,\0"))
    return _world_of(found.COMM_WORLD) if size > 1 else World()


def _world_of(comm: MPI.Intracomm) -> World:
    global _keyval
    found = mpi()
    if found.Is_finalized():
        raise LaunchError(_TOO_LATE)
    if not isinstance(comm, found.Intracomm) or comm == found.COMM_NULL:
        raise OptionError(f"comm must be an intracommunicator of mpi4py, got {comm!r}")
    if _keyval is None:
        _keyval = found.Comm.Create_keyval(delete_fn=_forget)
    known: World | None = comm.Get_attr(_keyval)
    while known is not None and known.heir is not None:
        known = known.heir
    if known is None or known.closed:
        known = make(comm)
        comm.Set_attr(_keyval, known)
        if known.size > 1:
            threads.share(known)
    return known


def _forget(comm: MPI.Intracomm, keyval: int, known: World) -> None:
    """The user's communicator is being freed (collectively): so is what belongs to it."""
    if mpi().Is_finalized() or comm == mpi().COMM_WORLD:
        return  # MPI itself is ending
    known.close()
