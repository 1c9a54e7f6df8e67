"""The worker of the master-worker mode: a rank that is handed its runs.

Rules of this file: it knows the master by messages alone (`mpicomp.engine.talk`).
"""

from __future__ import annotations

import time
from array import array
from typing import Any

from mpicomp.engine.compute import Caught
from mpicomp.engine.stopping import Listening
from mpicomp.engine.talk import (
    BYE,
    DONE,
    DOWN,
    END,
    FAILED,
    HELLO,
    LOAD,
    UP,
    Party,
    item_at,
    place_of,
)
from mpicomp.plan.source import Data, Source
from mpicomp.wire.forms import decode
from mpicomp.wire.library import mpi
from mpicomp.wire.transport import receive
from mpicomp.wire.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mpi4py import MPI

    from mpicomp.plan.gaps import Gaps
    from mpicomp.wire.cutoff import Cutoff
    from mpicomp.wire.world import World


class Current(Source):
    """The items of the chunk at work."""

    __slots__ = ("_gaps", "chunk", "start")

    def __init__(self, gaps: Gaps | None = None) -> None:
        self.n = None
        self._gaps = gaps
        self.chunk: Any = ()
        self.start = 0

    def hold(self, start: int, chunk: Any) -> None:
        """From now on it is this chunk, which begins at item *start*."""
        self.start, self.chunk = start, chunk

    def cut(self, part: range) -> Data:
        at = place_of(part.start, self._gaps) - self.start
        return Data(self.chunk[at : at + len(part)])


class Worker(Party):
    """A rank that is handed its runs.

    Parameters
    ----------
    world, cutoff, gaps
        As of `Party`.
    master : int
    items : Current or None
        Where to put the items that come with a grant; None when the rank has its own.

    Attributes
    ----------
    problem : Caught or None
        Items that came with a grant and could not be unpickled.
    number : int
        The chunk at work.
    drops : int
        Of how many chunks it was told that nobody needs them, as the END says.
    """

    def __init__(
        self,
        world: World,
        master: int,
        items: Current | None,
        cutoff: Cutoff,
        gaps: Gaps | None = None,
    ) -> None:
        super().__init__(world, cutoff, gaps)
        self._master = master
        self._items = items
        self._asked: MPI.Request | None = None
        self.problem: Caught | None = None
        self.number = END
        self.drops = 0
        self._grant = array("q", bytes(40))
        self._ended = False

    def runs(self) -> Iterator[range]:
        """The runs, one after the other, until the master says END."""
        self.greet()
        asked = time.perf_counter()
        while self._next():
            number, start, stop = self._grant[:3]
            self.number = number
            if self.problem is not None:
                return
            began = time.perf_counter()
            yield range(start, stop)
            done = time.perf_counter()
            if self.outcome is None:
                self._tell(DONE, number, stop - start, done - began, began - asked)
            else:
                self._tell_failed(self.outcome)
                self.outcome = None
            self.number = END
            asked = done

    def greet(self) -> None:
        """Tell the master that this rank is there."""
        self._tell(HELLO)

    def finish(self, caught: Caught | None) -> None:
        """Say farewell: once the master has said it too."""
        if caught is not None:
            self._tell_failed(caught)
        while not self._ended:
            self._next()
        self._tell(BYE)

    def _tell_failed(self, caught: Caught) -> None:
        place = place_of(caught.item, self._gaps)
        here = self._grant[1] <= place < self._grant[2]  # else it was interrupted
        self._tell(FAILED, self.number if here else END, place)

    def _next(self) -> bool:
        """Take in the next grant; False at the END."""
        kind = mpi().INT64_T
        if self._asked is None:  # else Ctrl-C has come while it was waited for
            self._asked = self._comm.Irecv([self._grant, kind], self._master, DOWN)
        can_stop = self._cutoff.stop is not None
        wait(Listening(self._asked, self._cutoff) if can_stop else self._asked)
        self._asked = None
        number, start, _, form, count = self._grant
        self._ended = number == END
        self.drops = start if self._ended else 0
        if count:
            sizes = memoryview(receive(self._world, [8 * count], self._master, LOAD)[0]).cast("q")
            blobs = receive(self._world, sizes, self._master, LOAD)
            self._take_in(start, form, blobs)
        return not self._ended

    def _take_in(self, start: int, form: int, blobs: list[Any]) -> None:
        assert self._items is not None, "items come with the grants of a stream alone"
        try:
            self._items.hold(start, decode(form, blobs))
        except BaseException as exc:
            item = item_at(start, self._gaps)
            note = f"  while items {item} and on were received by rank {self._world.rank}"
            self.problem = self.problem or Caught(item, exc, (note,))

    def _tell(
        self, kind: int, number: int = 0, item: int = 0, seconds: float = 0.0, waited: float = 0.0
    ) -> None:
        said = array("q", [kind, number, item, int(seconds * 1e9), int(waited * 1e9)])
        wait(self._say(said, self._master, UP))
