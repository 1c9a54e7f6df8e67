"""The shared word: each rank takes the next numbers of its group's queue, without a master.

Rules of this file: memory comes from ``Win.Allocate`` (a claim on ``Win.Create`` memory waits
until its holder enters MPI); the window is opened once a world, and freed collectively.

The ranks of a node form a group and claim by fetch-and-add in shared memory, which takes about
a microsecond whatever the holder does.  Where that does not hold (it is tried once, when the
window is opened) every rank is a group of its own, with a word of its own.  Between groups, a
thread at the head of each answers those who have run out: `Service`.
"""

from __future__ import annotations

import os
import threading
import time
from array import array

from mpicomp.wire.library import mpi
from mpicomp.wire.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpi4py import MPI

    from mpicomp.wire.world import World

_ASK, _ANSWER = 4, 5
_PROBE = 0.01  # seconds that the holder stays away from MPI while a claim is tried
_TRIES = 3
_NAP = 0.0005


class Counter:
    """This rank's group, and its word.

    Attributes
    ----------
    group : int
        Number of this rank's group.
    heads, sizes : list of int
        The rank at the head of each group, and how many ranks it has.
    """

    def __init__(self, world: World) -> None:
        """Collective: every rank of the world calls."""
        comm = world.comm
        assert comm is not None, "a serial world has nobody to share with"
        self._comm = comm
        node = world.on_node()
        self._window: MPI.Win | None = None
        self._word = 0
        self._lock = threading.Lock()
        self._service: Service | None = None
        if node.size > 1:
            self._open(node)
        if comm.allreduce(not self._progresses(node)):
            self.Free()
        head = node.bcast(world.rank, 0) if self._window is not None else world.rank
        heads = comm.allgather(head)
        self.heads = sorted(set(heads))
        self.group = self.heads.index(head)
        self.sizes = [heads.count(one) for one in self.heads]

    def _open(self, node: MPI.Intracomm) -> None:
        self._window = mpi().Win.Allocate(8 if node.rank == 0 else 0, 8, comm=node)
        self._window.Lock_all()
        self._amount = array("q", [0])
        self._found = array("q", [0])
        kind = mpi().INT64_T
        self._add = ([self._amount, kind], [self._found, kind], 0, 0, mpi().SUM)
        if node.rank == 0:
            self.reset()
        node.Barrier()

    def _progresses(self, node: MPI.Intracomm) -> bool:
        """Whether a claim comes back while the word's holder is away from MPI."""
        said = os.environ.get("MPICOMP_CLAIMS")
        if said in ("two-sided", "shared"):
            return said == "shared"
        return node.size == 1 or any(self._comes_back(node) for _ in range(_TRIES))

    def _comes_back(self, node: MPI.Intracomm) -> bool:
        """Try it once; on a busy machine it may be late for another reason."""
        node.Barrier()
        began = time.perf_counter()
        if node.rank == 0:
            time.sleep(_PROBE)  # and leave the core to who claims
        elif node.rank == 1:
            self.claim(1)
        quick = time.perf_counter() - began < _PROBE / 2
        node.Barrier()
        if node.rank == 0:
            self.reset()
        return bool(node.bcast(quick, 1))

    def claim(self, amount: int) -> int:
        """The first of *amount* numbers of this group's queue, which nobody else gets."""
        with self._lock:  # the service thread claims too
            if self._window is None:
                self._word += amount
                return self._word - amount
            self._amount[0] = amount
            self._window.Fetch_and_op(*self._add)
            self._window.Flush(0)
            return self._found[0]

    def ask(self, group: int, amount: int) -> int:
        """As `claim`, of another group's queue: its head answers."""
        kind, answer = mpi().INT64_T, array("q", [0])
        head = self.heads[group]
        reply = self._comm.Irecv([answer, kind], head, _ANSWER)
        self._comm.Send([array("q", [amount]), kind], head, _ASK)
        wait(reply)
        return answer[0]

    def serve(self) -> None:
        """Begin to answer other groups, where there are any and this rank is a head."""
        if len(self.heads) > 1 and self.heads[self.group] == self._comm.rank:
            self._service = Service(self)
            self._service.start()

    def rest(self) -> None:
        """The call is over for every rank: stop answering, and begin at 0 for the next."""
        if self._service is not None:
            self._service.over.set()
            self._service.join()
            self._service = None
        if self.heads[self.group] == self._comm.rank:
            self.reset()

    def reset(self) -> None:
        """Begin at 0 again.  For the head of the group, when no rank is claiming."""
        self._word = 0
        if self._window is not None:
            zero, old = array("q", [0]), array("q", [0])
            kind = mpi().INT64_T
            self._window.Fetch_and_op([zero, kind], [old, kind], 0, 0, mpi().REPLACE)
            self._window.Flush(0)

    def Free(self) -> None:  # as MPI's own objects
        """Collective: every rank of the world calls."""
        if self._window is not None:
            self._window.Unlock_all()
            self._window.Free()
            self._window = None


def counter_of(world: World) -> Counter:
    """The counter of *world*, opened the first time.

    Collective the first time: every rank of the world calls.
    """
    if world.counter is None:
        world.counter = Counter(world)
    return world.counter


class Service(threading.Thread):
    """Answers the claims of other groups while the head of this one computes."""

    def __init__(self, counter: Counter) -> None:
        super().__init__(name="mpicomp-claims", daemon=True)
        self._counter = counter
        self.over = threading.Event()

    def run(self) -> None:
        comm, kind = self._counter._comm, mpi().INT64_T
        amount, status = array("q", [0]), mpi().Status()
        while not self.over.is_set():
            if not comm.Iprobe(mpi().ANY_SOURCE, _ASK, status):
                time.sleep(_NAP)
                continue
            asker = status.Get_source()
            comm.Recv([amount, kind], asker, _ASK)
            comm.Send([array("q", [self._counter.claim(amount[0])]), kind], asker, _ANSWER)
