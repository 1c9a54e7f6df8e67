"""One array in the memory of a node: each rank writes its part where the root will read it.

Rules of this file: the memory is a file without a name (``memfd``), so that it lives as long as
somebody's array looks at it and no longer, whatever becomes of the processes, and with no
collective call to free it (an MPI window would need one, and a garbage collector cannot make
it); room is claimed before it is written to, since where there is none the kernel kills
whoever writes first.
"""

from __future__ import annotations

import mmap
import os
from math import prod
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpicomp.wire.world import World

_TOKEN = 16  # bytes by which a node-mate knows that it has opened the right file


def open_slab(world: World, shape: tuple[int, ...], dtype: Any, root: int) -> Any:
    """An array of zeros that the root and its node-mates share; None on other nodes.

    Collective: every rank of the world calls.  Where it cannot be had (no shared memory, or
    none left), every rank gets None.
    """
    import numpy as np

    comm = world.comm
    assert comm is not None, "a serial world shares with nobody"
    if world.watch is not None:  # what a lost rank had written could not be told from the rest
        return None
    nbytes = prod(shape) * dtype.itemsize
    file, told = made(nbytes) if world.rank == root and nbytes else (-1, None)
    told = comm.bcast(told, root)
    if told is None:
        return None
    node = world.on_node()
    near = root in node.allgather(world.rank)
    path, token = told
    memory = claimed(path, token, nbytes, node.rank, node.size) if near else None
    lost = comm.allreduce(near and memory is None)
    if file >= 0:
        os.close(file)
    if lost or memory is None:
        return None
    return np.frombuffer(memory, dtype).reshape(shape)


def made(nbytes: int) -> tuple[int, tuple[str, bytes] | None]:
    """A file of that length without any room yet; where node-mates find it, and its token."""
    try:
        file = os.memfd_create("mpicomp")
    except (AttributeError, OSError):  # another system than Linux; none to be had
        return -1, None
    token = os.urandom(_TOKEN)
    os.pwrite(file, token, 0)
    os.ftruncate(file, nbytes)
    return file, (f"/proc/{os.getpid()}/fd/{file}", token)


def claimed(path: str, token: bytes, nbytes: int, rank: int, size: int) -> mmap.mmap | None:
    """The file as memory, after this rank has claimed its part of the room."""
    try:
        handle = os.open(path, os.O_RDWR)
        try:
            if os.pread(handle, _TOKEN, 0) != token:  # another container's process of that number
                return None
            start, stop = nbytes * rank // size, nbytes * (rank + 1) // size
            if start < stop:
                os.posix_fallocate(handle, start, stop - start)
            return mmap.mmap(handle, nbytes)
        finally:
            os.close(handle)
    except OSError:
        return None
