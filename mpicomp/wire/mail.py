"""Letters: a few whole numbers and any blobs, from one rank to another, without an appointment.

Rules of this file: a letter arrives as it was sent, and letters of one rank in their order; no
message is longer than `transport.LIMIT`; posting does not wait.  A rank that uses it from several
threads holds a lock of its own meanwhile.

    one message     number of words, of blobs │ words │ sizes │ the small blobs
    then            the large blobs, each in pieces
"""

from __future__ import annotations

from array import array
from typing import Any

from mpicomp.wire.forms import OUT_OF_BAND
from mpicomp.wire.library import mpi
from mpicomp.wire.transport import pieces, receive
from mpicomp.wire.waiting import Arrival, wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """

    def __init__(self, world: World, master: int) -> None:
        assert world.comm is not None, "a serial world has nobody to write to"
        self._comm = world.comm
        self._world = world
        self.master = master
        self._out, self._in = (_DOWN, _UP) if world.rank == master else (_UP, _DOWN)
        self._sends: list[tuple[MPI.Request, Any]] = []

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
        request = self._comm.Isend([message, mpi().BYTE], dest, tag)
        if not request.Test():
            self._sends.append((request, message))

    def sweep(self) -> None:
        """Forget the letters that have left, and let the others get on."""
        if self._sends:
            self._sends = [sent for sent in self._sends if not sent[0].Test()]

    def settle(self) -> None:
        """Wait until all letters have left."""
        for request, _ in self._sends:
            wait(request)
        self._sends.clear()

    def take(self) -> tuple[int, list[int], list[Any]] | None:
        """The next letter, if there is one: who wrote it, its words and its blobs."""
        coming = self.coming()
        if not coming.Test():
            return None
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
        """Something to wait for: a letter."""
        return Coming(self._comm, self._in)


class Coming(Arrival):
    """A letter from anybody, to be waited for."""

    __slots__ = ()

    @property
    def size(self) -> int:
        size: int = self._status.Get_count(mpi().BYTE)
        return size
