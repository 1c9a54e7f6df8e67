"""The lowest position known to decide a call: nothing above it need be computed.

Rules of this file: a rank announces at most twice, an item and `STOP`; positions travel to rank 0,
which passes on each that is lower than the last; `settle` takes in what is still under way, so
that nothing is left in the network for the next call.
"""

from __future__ import annotations

from array import array
from sys import maxsize

from mpicomp.wire.library import mpi
from mpicomp.wire.waiting import Arrival, wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpi4py import MPI

    from mpicomp.wire.world import World

_TAG = 3
STOP = -1
"""The position that says: nothing at all is needed any more."""


class Cutoff:
    """One call's cutoff, as far as this rank has heard.

    Parameters
    ----------
    world : World
    settle : callable, optional
        Waits until all ranks have agreed on the call.
    stop : callable, optional
        Why this rank is to stop the call: a text, empty when it is not.

    Attributes
    ----------
    limit : int
        Items at this position and above are not needed.
    announced : int
        How many positions this rank has sent to rank 0.
    relays : int
        How many positions rank 0 has passed on (on rank 0).
    stopped : str
        Why this rank has told all to stop.
    """

    __slots__ = (
        "_requests",
        "_settle",
        "_world",
        "announced",
        "heard",
        "limit",
        "relays",
        "stop",
        "stopped",
    )

    def __init__(
        self,
        world: World,
        settle: Callable[[], None] | None = None,
        stop: Callable[[], str] | None = None,
    ) -> None:
        self._world = world
        self._settle = settle
        self._requests: list[tuple[MPI.Request, array[int]]] = []
        self.limit = maxsize
        self.announced = 0
        self.relays = 0
        self.heard = 0
        self.stop = stop
        self.stopped = ""

    def announce(self, index: int) -> None:
        """This rank has found that *index* decides, unless something before it does."""
        if index >= self.limit:
            return
        if self._settle is not None:  # or it might reach ranks that are in another call
            self._settle()
        self.limit = index
        if self._world.rank == 0:
            self._relay()
        else:
            self.announced += 1
            self._send(0)

    def poll(self) -> int:
        """The limit, after hearing what has come in."""
        if self.stop is not None and self.limit > STOP:
            self.stopped = self.stop()
            if self.stopped:
                self.announce(STOP)
        comm = self._world.comm
        while comm is not None and comm.Iprobe(mpi().ANY_SOURCE, _TAG):
            before = self.limit
            self._hear()
            if self._world.rank == 0 and self.limit < before:
                self._relay()
        return self.limit

    def settle(self, announced: int, relays: int) -> None:
        """Take in the rest: rank 0 was told *announced* times, and has told all *relays* times.

        Every rank of the world calls, after an exchange that told the two numbers.
        """
        expected = announced if self._world.rank == 0 else relays
        while self.heard < expected:
            self._hear()
        for request, _ in self._requests:
            request.Wait()
        self._requests.clear()

    def _hear(self) -> None:
        assert self._world.comm is not None, "a serial world hears nothing"
        heard = array("q", [0])
        arrived = Arrival(self._world.comm, _TAG)
        wait(arrived)
        self._world.comm.Recv([heard, mpi().INT64_T], arrived.source, _TAG)
        self.heard += 1
        self.limit = min(self.limit, heard[0])

    def _relay(self) -> None:
        self.relays += 1
        for rank in range(1, self._world.size):
            self._send(rank)

    def _send(self, dest: int) -> None:
        assert self._world.comm is not None, "a serial world tells nobody"
        told = array("q", [self.limit])
        request = self._world.comm.Isend([told, mpi().INT64_T], dest, _TAG)
        self._requests.append((request, told))
