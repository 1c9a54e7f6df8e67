"""The master of the master-worker mode: it reads the source, and hands out chunks.

Rules of this file: what is handed out next is the `Dispatcher`'s decision; here are the messages,
which `mpicomp.engine.talk` lists.
Every rank sends and receives the same number of farewells, whatever happened, so that nothing is
left in the network for the next call.

The master computes too.  It listens between its own pieces; while one of its items takes long, a
thread listens for it and hands out what has been read (it never reads the source itself, which
may belong to its thread).
"""

from __future__ import annotations

import threading
import time
from array import array
from typing import Any

from mpicomp.engine.compute import Caught
from mpicomp.engine.talk import (
    BYE,
    DONE,
    DOWN,
    DROP,
    END,
    FAILED,
    LOAD,
    UP,
    Party,
    item_at,
    place_of,
)
from mpicomp.plan.gulp import Gulp
from mpicomp.wire.cutoff import STOP
from mpicomp.wire.forms import Payload, encode
from mpicomp.wire.library import mpi
from mpicomp.wire.transport import pieces
from mpicomp.wire.ulfm import losses
from mpicomp.wire.waiting import wait, watched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mpi4py import MPI

    from mpicomp.plan.cutting import Grant
    from mpicomp.plan.dispatcher import Dispatcher
    from mpicomp.plan.gaps import Gaps
    from mpicomp.wire.cutoff import Cutoff
    from mpicomp.wire.world import World

_LISTEN = 0.003  # seconds between two looks of the master's thread
_NAP = 0.0002
AHEAD = 0.02
_MOST = 4096  # items a rank in the window of a stream


class Master(Party):
    """The rank that hands out, and computes what is left to it.

    Parameters
    ----------
    world, cutoff, gaps
        As of `Party`.
    dispatcher : Dispatcher
    read : callable, optional
        Of a stream: how many items are wanted -> how many more have been read; fewer: it has ended.
    load : callable, optional
        A grant -> its items, to be sent with it; none when every rank has them.
    hold : callable, optional
        Takes each grant of the master's own, before those behind it are handed out.

    Attributes
    ----------
    drop : callable or None
        Of calls whose chunks may be with several ranks: takes the number of a chunk of its own
        that another has done.
    """

    def __init__(
        self,
        world: World,
        dispatcher: Dispatcher,
        cutoff: Cutoff,
        read: Callable[[int], int] | None = None,
        load: Callable[[Grant], Any] | None = None,
        gaps: Gaps | None = None,
        hold: Callable[[Grant], None] | None = None,
    ) -> None:
        super().__init__(world, cutoff, gaps)
        self.dispatcher = dispatcher
        self._read = read
        self._load = load
        self._lock = threading.RLock()
        self._sends: list[tuple[MPI.Request, Any]] = []
        self._here: set[int] = set()
        self._gone = 0
        self._waiting = False
        self._gulp = Gulp()
        self._said = array("q", bytes(40))
        self._over = threading.Event()
        self._mine: Grant | None = None
        self._hold = hold
        self._drops = [0] * world.size
        self.drop: Callable[[int], None] | None = None
        self.unsent: Caught | None = None

    @property
    def number(self) -> int:
        """The chunk of its own that is at work."""
        return END if self._mine is None else self._mine.number

    def runs(self) -> Iterator[range]:
        """The master's own runs, between which it hands out the others'."""
        threading.Thread(target=self._listen, name="mpicomp-master", daemon=True).start()
        rank = self._world.rank
        while not self.dispatcher.finished:
            self._poll()
            with self._lock:
                busy = self._serve() or self._fill()
                grant = None if busy else self.dispatcher.ready(rank)
                if grant is not None:
                    self._keep(grant)
            if self._mine is None:
                self._nap(busy)
                continue
            grant = self._mine
            self._waiting = False
            began = time.perf_counter()
            yield grant.items
            with self._lock:
                if self.outcome is None:
                    self._done(rank, grant.number, len(grant.items), time.perf_counter() - began)
                else:
                    self._failed(self.outcome)
                    self.outcome = None
                self._mine = None

    def glance(self) -> None:
        """Hand out what is asked for, between two pieces of the master's own."""
        with self._lock:
            self._serve()

    def finish(self, caught: Caught | None) -> None:
        """Serve until all is done that has to be; then say END, and hear everybody's farewell."""
        with self._lock:
            if caught is not None:
                self._failed(caught)
        others = self._world.size - 1
        while not self.dispatcher.finished:
            self._idle()
        self._over.set()
        while len(self._here) < others:
            self._idle()
        with self._lock:
            for rank in self._here:
                self._send(rank, array("q", [END, self._drops[rank], 0, 0, 0]), [])
        while self._gone < others:
            self._idle()
        for request, _ in self._sends:
            wait(request)

    def _failed(self, caught: Caught) -> None:
        """A chunk of its own has ended early."""
        place = place_of(caught.item, self._gaps)
        if self._mine is not None and place in self._mine.items:
            self.dispatcher.failed(self._world.rank, self._mine.number, place)
            self._tell_superseded()
        else:  # it was interrupted
            self.dispatcher.limit = 0

    def _tell_superseded(self) -> None:
        if self.drop is None:
            return
        for rank, number in self.dispatcher.superseded():
            if rank == self._world.rank:
                self.drop(number)
                continue
            said = array("q", [number])
            self._drops[rank] += 1
            self._sends.append((self._say(said, rank, DROP), said))

    def _poll(self) -> None:
        """Hear how far the ranks need to go; whether they are to go on at all."""
        if self._cutoff.poll() == STOP:
            with self._lock:
                self.dispatcher.limit = 0

    def _idle(self) -> None:
        self._poll()
        with self._lock:
            busy = self._serve() or self._fill()
        self._nap(busy)

    def _nap(self, busy: bool) -> None:
        vigil = watched()
        if vigil is not None:
            vigil.waits() if busy or not self._waiting else vigil.look()
        self._waiting = not busy
        if not busy:
            time.sleep(_NAP)

    def rest(self) -> None:
        """Listen no more, also where a rank was lost in the middle."""
        self._over.set()

    def _listen(self) -> None:
        while not self._over.wait(_LISTEN):
            with self._lock:
                try:
                    if not self._over.is_set():
                        self._serve()
                except losses():  # the master itself will meet it
                    return

    def _fill(self) -> bool:
        """Read on in the source, as far as the window lets; not for long when somebody waits."""
        wanted = self.dispatcher.wanted()
        if not wanted or self._read is None:
            return False
        count = self._gulp.of(wanted, self.dispatcher.hungry)
        began = time.perf_counter()
        found = self._read(count)
        self._gulp.took(time.perf_counter() - began)
        served = self.dispatcher.extend(found)
        if found < count:
            served += self.dispatcher.close()
        for rank, grant in served:
            self._give(rank, grant)
        return True

    def _serve(self) -> bool:
        """Answer what has come in; whether there was anything."""
        status = mpi().Status()
        heard = False
        while self._comm.Iprobe(mpi().ANY_SOURCE, UP, status):
            heard = True
            self._hear(status.Get_source())
        self._sends = [sent for sent in self._sends if not sent[0].Test()]
        return heard

    def _hear(self, rank: int) -> None:
        self._comm.Recv([self._said, mpi().INT64_T], rank, UP)
        kind, number, item, nanoseconds, waited = self._said
        if kind == BYE:
            self._gone += 1
        elif kind == FAILED and number == END:
            self.dispatcher.limit = 0  # it could not even begin
        else:
            if kind == FAILED:
                self.dispatcher.failed(rank, number, item)
                self._tell_superseded()
                if self.drop is None:  # it does no more
                    return
            elif kind == DONE:
                self._done(rank, number, item, nanoseconds / 1e9, waited / 1e9)
            self._here.add(rank)
            while (grant := self.dispatcher.ready(rank)) is not None:
                self._give(rank, grant)

    def _done(
        self, rank: int, number: int, items: int, seconds: float, waited: float = 0.0
    ) -> None:
        self.dispatcher.done(rank, number, seconds, waited)
        self._tell_superseded()
        if self._read is not None:
            # a window in which each rank has about AHEAD seconds of work
            width = int(self._world.size * AHEAD * items / max(seconds, 1e-9))
            most = _MOST * self._world.size
            self.dispatcher.window = max(self.dispatcher.window, min(width, most))

    def _give(self, rank: int, grant: Grant) -> None:
        if rank == self._world.rank:
            self._keep(grant)
            return
        payload = Payload(0, [])
        if self._load is not None:
            try:
                payload = encode(self._load(grant))
            except (
                BaseException
            ) as exc:  # cannot travel: its item ends the call, as if it had failed
                first, last = (item_at(at, self._gaps) for at in (grant.start, grant.stop - 1))
                note = f"  while items {first} to {last} were sent to rank {rank}"
                self.unsent = self.unsent or Caught(first, exc, (note,))
                self.dispatcher.failed(rank, grant.number, grant.start)
                self._tell_superseded()
                return
        said = array("q", [*grant, payload.form, len(payload.blobs)])
        self._send(rank, said, payload.blobs)

    def _keep(self, grant: Grant) -> None:
        """The master's own next chunk; its items are taken at once, before those behind them."""
        assert self._hold is not None, "a master is given chunks while it runs"
        self._mine = grant
        self._hold(grant)

    def _send(self, rank: int, said: Any, blobs: list[Any]) -> None:
        self._sends.append((self._say(said, rank, DOWN), said))
        if blobs:
            sizes = memoryview(array("q", map(len, blobs))).cast("B")
            for blob in (sizes, *blobs):
                for piece in pieces(blob):
                    self._sends.append((self._comm.Isend([piece, mpi().BYTE], rank, LOAD), piece))
