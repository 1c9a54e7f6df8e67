"""In a kernel of IPython a cell ends as a program does: nobody waits for a rank whose cell ended.

Rules of this file: nothing here runs outside of kernels that a launcher has started; who will
not come is decided in `mpicomp.plan.celling`.

A rank whose cell ends tells all others.  Who waits for an exchange that it has not begun gives
up, leaves the communicator, and makes a new one at the next call; the rank that was missed hears
of it when its next cell begins.  Before there is a communicator of our own, these messages go
over ``COMM_WORLD``, and only where a cell has ended with an error: a rank that waits for such a
one would wait for ever.
"""

from __future__ import annotations

import sys
import time
from array import array
from functools import partial
from typing import Any

from mpicomp.errors import CollectiveMismatch
from mpicomp.plan.celling import Ended, Ledger
from mpicomp.plan.comprehension import digest_of
from mpicomp.wire import world as door
from mpicomp.wire.library import mpi
from mpicomp.wire.waiting import wait
from mpicomp.wire.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpi4py import MPI

_TAG = 32701  # below the least bound that MPI allows; of no use to anybody else, it is hoped
_GRACE = 2.0  # seconds
_LOOKS = 100  # a look finds a message only if one before it has fetched it


class Cells:
    """The cells of this kernel, and what was heard of the others'."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self._world: CellWorld | None = None
        self._others: list[CellWorld] = []
        self._channel: MPI.Intracomm | None = None
        self._making: dict[int, tuple[MPI.Intracomm | None, MPI.Request]] = {}
        self._sent: list[tuple[MPI.Request, array[int]]] = []

    def begin(self, text: str) -> None:
        """A cell begins."""
        if _usable():
            for _ in range(_LOOKS):
                self._listen()
            if self.ledger.abandoned() and self._world is not None:
                self._world.closed = True  # they have waited for this rank, and have left
            self._renew()
        self.ledger.begin(digest_of(text))

    def end(self, failed: bool) -> None:
        """A cell ends."""
        if not _usable() or (self._channel is None and not failed):
            return
        self._renew()
        comm = self._comm
        self._sent = [sent for sent in self._sent if not sent[0].Test()]
        told = array("q", self.ledger.end())
        for rank in range(comm.size):
            if rank != comm.rank:
                request = comm.Isend([told, mpi().INT64_T], rank, _TAG)
                self._sent.append((request, told))
        until = time.monotonic() + _GRACE
        while not all(request.Test() for request, _ in self._sent) and time.monotonic() < until:
            time.sleep(0.001)  # a first message needs both ends to be made

    def made(self, comm: MPI.Intracomm) -> World:
        """The world of *comm*.

        Collective: every rank of *comm* calls.  A rank that gave up goes on where it was.
        """
        whole, members = mpi().COMM_WORLD, frozenset[int]()
        if comm != whole:
            members = frozenset(comm.group.Translate_ranks(None, whole.group))
        else:
            self._renew()
        heed = partial(self.heed, members, None, time.monotonic())
        key = comm.handle
        if key not in self._making:
            if not members:
                self.ledger.step()
            self._making[key] = None, comm.Ibarrier()
        own, request = self._making[key]
        wait(request, heed)
        if own is None:
            # all are here; a duplicate that is begun by some alone keeps all others from being made
            own, request = self._making[key] = comm.Idup()
            wait(request, heed)
        del self._making[key]
        made = CellWorld(own, self, members)
        if members:
            self._others = [*(other for other in self._others if not other.closed), made]
        else:
            self._world, self._channel = made, self._channel or own
        return made

    def heed(self, members: frozenset[int], world: World | None, since: float) -> None:
        """Stop waiting for who does not come.

        Parameters
        ----------
        members : frozenset of int
            Who is waited for, by number in ``COMM_WORLD``; empty: all of it.
        world : World, optional
            Where an exchange is waited for; None: a world is being made.
        since : float, seconds
            When the wait began.

        Raises
        ------
        CollectiveMismatch
            Some rank's cell has ended, and it has not begun what is waited for.
        """
        dropped = self.ledger.dropped
        self._listen()
        if members:
            # which exchanges it has begun here is not told: those get the time to end
            late = self.ledger.dropped > dropped or time.monotonic() - since > _GRACE
            gone = self.ledger.absent(members) if late else None
        else:
            gone = self.ledger.missing()
        if gone is None:
            return
        if members:
            self._drop(dropped + 1)
        elif world is not None:
            world.closed = True
        error = CollectiveMismatch(
            f"the cell has ended on rank {gone}, by an error or without the call that rank "
            f"{mpi().COMM_WORLD.rank} is in; let all ranks make the same calls"
        )
        error.__mpicomp_brief__ = True  # type: ignore[attr-defined]  # for `_told`
        raise error

    def _renew(self) -> None:
        """Go on to the next world, if the last one is of no more use."""
        if self._world is not None and self._world.closed:
            self._world = None
            self.ledger.give_up()

    def _drop(self, times: int) -> None:
        """Give up the worlds of all communicators but ``COMM_WORLD``, as another rank has."""
        self.ledger.dropped = max(self.ledger.dropped, times)
        for world in self._others:
            world.closed = True

    @property
    def _comm(self) -> MPI.Intracomm:
        comm: MPI.Intracomm = self._channel if self._channel is not None else mpi().COMM_WORLD
        return comm

    def _listen(self) -> None:
        status = mpi().Status()
        whole = mpi().COMM_WORLD
        for comm in (whole,) if self._channel is None else (whole, self._channel):
            while comm.Iprobe(mpi().ANY_SOURCE, _TAG, status):
                heard, rank = array("q", bytes(8 * len(Ended._fields))), status.Get_source()
                comm.Recv([heard, mpi().INT64_T], rank, _TAG)
                ended = Ended(*heard)
                self.ledger.hear(rank, ended)
                if ended.dropped > self.ledger.dropped:
                    self._drop(ended.dropped)


class CellWorld(World):
    """A world whose ranks do not wait for one whose cell has ended.

    Attributes
    ----------
    members : frozenset of int
        Its ranks' numbers in ``COMM_WORLD``; empty: it is all of that.
    """

    __slots__ = ("_cells", "_since", "members")

    def __init__(self, comm: MPI.Intracomm, cells: Cells, members: frozenset[int]) -> None:
        super().__init__(comm)
        self._cells = cells
        self._since = 0.0
        self.members = members

    def offer(self, header: bytes) -> None:
        if self.members:
            self._since = time.monotonic()
        else:
            self._cells.ledger.step()
        super().offer(header)

    def heed(self) -> None:
        self._cells.heed(self.members, self, self._since)


cells: Cells | None = None


def _usable() -> bool:
    found: Any = sys.modules.get("mpi4py.MPI")
    return found is not None and found.Is_initialized() and not found.Is_finalized()


def kernel() -> Any:
    """The shell of the kernel that this process is, or None."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if hasattr(shell, "kernel") else None


def install() -> None:
    """Watch over the cells of this kernel, which a launcher has started."""
    global cells
    shell = kernel()
    if shell is None or cells is not None:
        return
    cells = found = Cells()
    found.ledger.begin(digest_of(_text(shell)))  # the cell that goes on
    door.make = found.made
    shell.events.register("pre_execute", lambda: found.begin(_text(shell)))
    shell.events.register("post_execute", lambda: found.end(not shell.last_execution_succeeded))
    # or an error here would cancel the next cells here alone, and the others would wait in them
    shell.kernel._abort_queues = _go_on
    if not shell.custom_exceptions:  # the user's own go first
        shell.set_custom_exc((Exception,), _told)


def _go_on(*_: object) -> None:
    """In the place of ipykernel's own, which refuses cells that are about to come."""


def _text(shell: Any) -> str:
    return str(shell.kernel.get_parent().get("content", {}).get("code", ""))


def _told(shell: Any, kind: type, exc: Exception, tb: Any, tb_offset: Any = None) -> None:
    """One error, not one for each rank: rank 0, or the rank that has failed, tells all of it."""
    agreed: World | None = getattr(exc, "__mpicomp_world__", None)
    if hasattr(exc, "__mpicomp_brief__"):
        shell._showtraceback(kind, exc, [f"{kind.__name__}: {exc}"])
    elif agreed is not None and agreed.rank > 0:
        shell._showtraceback(kind, exc, [f"{kind.__name__}: raised by all ranks; see rank 0"])
    else:
        shell.showtraceback((kind, exc, tb), tb_offset=1)
