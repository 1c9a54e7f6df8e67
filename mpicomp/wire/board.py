"""What each rank is doing, where the other ranks of its machine can read it without its help.

Rules of this file: each rank writes its own slip and no other, without locks; who reads while it
is written may read nonsense, and is told so by nothing: it is for people.

The memory is a file without a name, as in `mpicomp.wire.slab`: it dies with its processes.
"""

from __future__ import annotations

import mmap
import os
import time
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.wire.world import World

_SLIP = 512
_HEAD = Struct("<dqqq")  # since when; first and last item at work; bytes of text
_TOKEN = 16


class Board:
    """The slips of the ranks of one machine.

    Collective: every rank of the world makes one.

    Attributes
    ----------
    places : list of (host, process id, node, place on it)
        Of every rank of the world.
    """

    def __init__(self, world: World) -> None:
        node = world.on_node()
        assert world.comm is not None, "a serial world waits for nobody"
        file, told = _make(node.size * _SLIP) if node.rank == 0 else (-1, None)
        told = node.bcast(told)
        self._memory = _map(told, node.size * _SLIP)
        node.Barrier()  # all have it: its file may be closed
        if file >= 0:
            os.close(file)
        head = node.bcast(world.rank)
        self.places = world.comm.allgather((world.host, os.getpid(), head, node.rank))
        self._node, self._at = head, node.rank * _SLIP

    def write(self, text: str, first: int = -1, last: int = -1) -> None:
        """Say what this rank does from now on."""
        if self._memory is not None:
            said = text.encode()[: _SLIP - _HEAD.size]
            head = _HEAD.pack(time.monotonic(), first, last, len(said))
            self._memory[self._at : self._at + len(head) + len(said)] = head + said

    def items(self, first: int, last: int) -> None:
        """Say which items are at work; the text stays."""
        if self._memory is not None:
            _HEAD.pack_into(
                self._memory, self._at, time.monotonic(), first, last,
                _HEAD.unpack_from(self._memory, self._at)[3],
            )  # fmt: skip

    def read(self, rank: int) -> str:
        """Who *rank* is and what it does, in one line."""
        host, pid, head, place = self.places[rank]
        who = f"rank {rank} ({host}, process {pid})"
        if head != self._node or self._memory is None:
            return f"{who}, on another machine: what it does cannot be seen from here"
        at = place * _SLIP
        since, first, last, size = _HEAD.unpack_from(self._memory, at)
        text = self._memory[at + _HEAD.size : at + _HEAD.size + size].decode(errors="replace")
        items = ""
        if first >= 0:
            items = f", at item {first}" if first == last else f", at items {first} to {last}"
        return f"{who} was last seen {time.monotonic() - since:.1f} s ago: {text}{items}"


def _make(nbytes: int) -> tuple[int, tuple[str, bytes] | None]:
    try:
        file = os.memfd_create("mpicomp-board")
        os.posix_fallocate(file, 0, nbytes)
    except (AttributeError, OSError):  # another system than Linux; none to be had
        return -1, None
    token = os.urandom(_TOKEN)
    os.pwrite(file, token, 0)
    return file, (f"/proc/{os.getpid()}/fd/{file}", token)


def _map(told: tuple[str, bytes] | None, nbytes: int) -> mmap.mmap | None:
    if told is None:
        return None
    path, token = told
    try:
        handle = os.open(path, os.O_RDWR)
        try:
            if os.pread(handle, _TOKEN, 0) != token:  # another container's process of that number
                return None
            return mmap.mmap(handle, nbytes)
        finally:
            os.close(handle)
    except OSError:
        return None
