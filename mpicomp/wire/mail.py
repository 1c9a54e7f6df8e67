"""Letters: a few whole numbers and any blobs, from one rank to another, without an appointment.

Rules of this file: a letter arrives as it was sent, and letters of one rank in their order; no
message is longer than `transport.LIMIT`; posting does not wait.  A rank that uses it from several
threads holds a lock of its own meanwhile.  Where losses are looked for, no method fails for one: it
is told of by `lost`, and by `heed` to who can do nothing without the one that is gone.

    one message     number of words, of blobs │ words │ sizes │ the small blobs
    then            the large blobs, each in pieces
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from typing import Any

from mpicomp.wire import ulfm
from mpicomp.wire.forms import OUT_OF_BAND
from mpicomp.wire.library import mpi
from mpicomp.wire.losses import Losses
from mpicomp.wire.transport import pieces, receive
from mpicomp.wire.waiting import Arrival, wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mpi4py import MPI

    from mpicomp.wire.world import World

_UP, _DOWN = 20, 22  # and the numbers after them for the large blobs


class Mail:
    """The letters between the master and the ranks.

    Parameters
    ----------
    world : World
        A parallel one.
    master : int
        The rank that everybody writes to.
    lossy : bool
        Look for losses: of the master, or at the master of all others.
    """

    def __init__(self, world: World, master: int, lossy: bool = False) -> None:
        assert world.comm is not None, "a serial world has nobody to write to"
        self._comm = world.comm if world.watch is None else ulfm.unguarded(world.comm)
        self._world = world
        self.master = master
        self._out, self._in = (_DOWN, _UP) if world.rank == master else (_UP, _DOWN)
        self._sends: list[tuple[int, MPI.Request, Any]] = []
        others = [r for r in range(world.size) if r != master] if world.rank == master else [master]
        self._losses = Losses(world, others) if lossy else None
        # a letter of one who is gone may be there and not be receivable, and is met again and again
        self._writers = others if self._survives else None
        self._news: list[int] = []

    @property
    def _survives(self) -> bool:
        return self._losses is not None and self._losses.survived

    def lost(self) -> list[int]:
        """The ranks that have been found to be gone since the last time."""
        self._look()
        news, self._news = self._news, []
        return news

    def heed(self) -> None:
        """In a wait: see whether what is waited for can come.

        Raises
        ------
        Lost
            The master is gone.
        """
        self._look()
        if self.master in self._news:
            raise ulfm.Lost

    def _look(self) -> None:
        found = self._losses.look() if self._losses is not None else []
        if found:
            self._news += found
            self._writers = self._writers and [r for r in self._writers if r not in found]
            self._sends = [sent for sent in self._sends if sent[0] not in found]

    def post(self, dest: int, words: Sequence[int], blobs: Sequence[Any] = ()) -> None:
        """Send a letter on its way; *blobs* must not change any more."""
        sizes = [len(blob) for blob in blobs]
        small = [blob for blob in blobs if len(blob) < OUT_OF_BAND]
        head = array("q", [len(words), len(sizes), *words, *sizes]).tobytes()
        self._send(b"".join([head, *small]) if small else head, dest, self._out)
        for blob in blobs:
            if len(blob) >= OUT_OF_BAND:
                for piece in pieces(blob):
                    self._send(piece, dest, self._out + 1)

    def _send(self, message: Any, dest: int, tag: int) -> None:
        try:
            request = self._comm.Isend([message, mpi().BYTE], dest, tag)
            if not request.Test():
                self._sends.append((dest, request, message))
        except mpi().Exception:
            if not self._survives:
                raise

    def sweep(self) -> bool:
        """Forget the letters that have left, and let the others get on; whether all have left."""
        if self._sends:
            self._sends = [sent for sent in self._sends if not self._left(sent[1])]
        return not self._sends

    def _left(self, request: MPI.Request) -> bool:
        try:
            return request.Test()
        except mpi().Exception:
            if not self._survives:
                raise
            return True

    def settle(self) -> None:
        """Wait until all letters have left."""
        if not self.sweep():
            wait(Soon(self.sweep), self.heed)

    def take(self) -> tuple[int, list[int], list[Any]] | None:
        """The next letter, if there is one: who wrote it, its words and its blobs."""
        coming = self.coming()
        if not coming.there():
            return None
        try:
            return self._received(coming)
        except mpi().Exception:
            if not self._survives:
                raise
            return None

    def _received(self, coming: Coming) -> tuple[int, list[int], list[Any]]:
        source, size = coming.source, coming.size
        message = bytearray(size)
        self._comm.Recv([message, mpi().BYTE], source, self._in)
        view = memoryview(message)
        count, blobs = view[:16].cast("q")
        at = 16 + 8 * (count + blobs)
        words = view[16:at].cast("q").tolist()
        sizes = words[count:]
        del words[count:]
        found: list[Any] = []
        for size in sizes:
            if size < OUT_OF_BAND:
                found.append(view[at : at + size])
                at += size
            else:
                found += receive(self._world, [size], source, self._in + 1)
        return source, words, found

    def coming(self) -> Coming:
        """Something to wait for: a letter, or news of a loss."""
        return Coming(self._comm, self._in, self._writers, self._news)


class Coming(Arrival):
    """A letter from one of *writers* (None: anybody), to be waited for; or *news*."""

    __slots__ = ("_news", "_writers")

    def __init__(
        self, comm: MPI.Intracomm, tag: int, writers: list[int] | None, news: list[int]
    ) -> None:
        super().__init__(comm, tag)
        self._writers, self._news = writers, news

    def Test(self) -> bool:
        return bool(self._news) or self.there()

    def there(self) -> bool:
        """Whether it is a letter."""
        if self._writers is None:
            return super().Test()
        for writer in self._writers:
            with suppress(mpi().Exception):  # gone since, as will be found
                if self._comm.Iprobe(writer, self._tag, self._status):
                    return True
        return False

    @property
    def size(self) -> int:
        size: int = self._status.Get_count(mpi().BYTE)
        return size


class Soon:
    """Something to wait for, as requests are."""

    __slots__ = ("Test",)

    def __init__(self, test: Callable[[], bool]) -> None:
        self.Test = test
