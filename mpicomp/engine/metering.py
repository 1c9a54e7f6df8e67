"""``progress=True``: the root is told how far the ranks are, while all of them compute.

Rules of this file: nothing of it runs unless it is asked for.  A rank counts between two pieces
and tells the root a few times a second; a thread of the root's listens and draws, so that
neither one of the root's items that takes long, nor its waiting for the others, stops the bar.

Each rank sends one last report when it has no more to compute, before the exchange that ends the
call.  Behind that exchange all of them are under way, and the root takes them in: nothing is left
in the network for the next call.
"""

from __future__ import annotations

import threading
from array import array
from contextlib import suppress
from time import monotonic, perf_counter, sleep

from mpicomp.record.progress import Display, tqdm
from mpicomp.wire.library import mpi
from mpicomp.wire.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpi4py import MPI

    from mpicomp.engine.call import Call
    from mpicomp.engine.draining import Feed
    from mpicomp.options import Options
    from mpicomp.wire.world import World

_TAG = 20
_BUSY, _LAST = range(2)
_EVERY = 0.2  # seconds between two reports of a rank
_MOST = 1000  # reports a second that the root has to hear, of all ranks together
_DRAW = 0.1  # seconds between two looks of the root's thread
_PATIENCE = 5.0  # seconds for what is under way, should a rank be lost


_drawn: set[Watcher] = set()


def drawing() -> bool:
    """Whether a bar is there already: a call inside an item gets none of its own."""
    return bool(_drawn)


def check(options: Options) -> None:
    """Raise `MissingExtra` if there is nothing to draw with."""
    if options.progress:
        tqdm()


class Meter:
    """This rank's part in telling how far one call is.

    Parameters
    ----------
    world : World
    call : Call
    total : int or None
        Number of items in all; None of a stream.
    """

    def __init__(self, world: World, call: Call, total: int | None) -> None:
        self._world = world
        self._root = call.options.root or 0
        self._done = 0
        self._feed: Feed | None = None
        self._working = True
        self._every = max(_EVERY, world.size / _MOST)
        self._due = perf_counter() + self._every
        self._sends: list[tuple[MPI.Request, array[int]]] = []
        self._watcher: Watcher | None = None
        if world.rank == self._root or world.comm is None:
            self._watcher = Watcher(world, self, f"{call.verb}{_line_of(call)}", total)
            self._watcher.start()
            _drawn.add(self._watcher)

    def add(self, items: int) -> None:
        """So many more are computed here."""
        self._done += items
        if self._watcher is None and perf_counter() >= self._due:
            self._due = perf_counter() + self._every
            self._sends = [sent for sent in self._sends if not sent[0].Test()]
            if not self._sends:  # else the root is behind
                self._tell(_BUSY)

    def take_back(self, items: int) -> None:
        """So many of them do not count: another rank had computed them before."""
        self._done -= items

    def follow(self, feed: Feed) -> None:
        """Of a stream that runs through in one piece: it counts itself."""
        self._feed = feed

    @property
    def done(self) -> int:
        """Items computed on this rank."""
        return self._done + (self._feed.taken if self._feed is not None else 0)

    @property
    def working(self) -> bool:
        """Whether this rank still computes."""
        return self._working

    def rest(self) -> None:
        """This rank has no more to compute."""
        if self._working:
            self._working = False
            if self._watcher is None:  # alone, or the root
                self._tell(_LAST)

    def settle(self) -> None:
        """Take in the last reports.

        Every rank of the world calls, after an exchange that all of them reached at rest.
        """
        for request, _ in self._sends:
            wait(request)
        self._sends.clear()
        if self._watcher is not None:
            self._watcher.end()

    def drop(self) -> None:
        """Draw no more: the call ended before its ranks could settle, or has settled."""
        if self._watcher is not None:
            self._watcher.end(listening=False)

    def _tell(self, state: int) -> None:
        assert self._world.comm is not None, "a rank that is alone draws by itself"
        told = array("q", [self._done, state])
        request = self._world.comm.Isend([told, mpi().INT64_T], self._root, _TAG)
        self._sends.append((request, told))


class Watcher(threading.Thread):
    """Listens and draws, on the root."""

    def __init__(self, world: World, meter: Meter, title: str, total: int | None) -> None:
        super().__init__(name="mpicomp-progress", daemon=True)
        self._world = world
        self._meter = meter
        self._told = [0] * world.size
        self._busy = set(range(world.size)) - {world.rank}
        self._over = threading.Event()
        self._listening = True
        self._display: Display | None = Display(title, total, world.size)

    def end(self, listening: bool = True) -> None:
        """Show the last state, having heard the last reports if *listening*."""
        if self.is_alive():
            self._listening = listening
            self._over.set()
            self.join()
        _drawn.discard(self)

    def run(self) -> None:
        with suppress(Exception):  # a rank was lost: told by the call itself
            self._listen()
        self._draw(last=True)

    def _listen(self) -> None:
        while not self._over.wait(_DRAW):
            self._hear()
            self._draw()
        until = monotonic() + _PATIENCE
        while self._listening and self._busy and monotonic() < until:
            self._hear()
            sleep(_DRAW / 100)

    def _hear(self) -> None:
        comm = self._world.comm
        if comm is None:
            return
        status = mpi().Status()
        while comm.Iprobe(mpi().ANY_SOURCE, _TAG, status):
            said = array("q", [0, 0])
            rank = status.Get_source()
            comm.Recv([said, mpi().INT64_T], rank, _TAG)
            self._told[rank], state = said
            if state == _LAST:
                self._busy.discard(rank)

    def _draw(self, last: bool = False) -> None:
        if self._display is None:
            return
        show = self._display.close if last else self._display.show
        try:
            show(sum(self._told) + self._meter.done, len(self._busy) + self._meter.working)
        except Exception:  # a closed terminal is no reason to end the work
            self._display = None


def _line_of(call: Call) -> str:
    code = call.comprehension.code
    if code is None:
        return ""
    return f" at {code.co_filename.rpartition('/')[2]}:{code.co_firstlineno}"
