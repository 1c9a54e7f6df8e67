"""What ranks have in common for longer than a call: an array once a node, and a number.

Rules of this file: an array's memory is a file without a name, as in `mpicomp.wire.slab`, so that
it lives as long as somebody looks at it; a number lives in a window of its own, which is given
back collectively.
"""

from __future__ import annotations

import mmap
import os
import threading
from math import prod
from typing import Any, cast
from weakref import WeakValueDictionary

import numpy as np

from mpicomp.errors import TransportError
from mpicomp.wire import transport
from mpicomp.wire.counter import Counter, Service
from mpicomp.wire.library import mpi
from mpicomp.wire.slab import claimed, made
from mpicomp.wire.world import HEADER, World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpi4py import MPI
    from numpy.typing import NDArray

    Key = tuple[bytes, int]

_shared: WeakValueDictionary[Key, Any] = WeakValueDictionary()


class SharedArray(np.ndarray[Any, Any]):
    """A read-only array that the ranks of a node have once; it travels as a reference.

    What is computed from it is an ordinary array; a part of it is a view, and travels as a copy.
    """

    _key: Key | None = None

    def __array_finalize__(self, _: object) -> None:
        self._key = None  # of the whole alone

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else np.asarray(array)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._key is None:
            return np.asarray(self).__reduce_ex__(protocol)
        return referred, (self._key,)


def referred(key: Key) -> Any:
    """What this rank has under *key*: an array, or a counter."""
    found = _shared.get(key)
    if found is None:
        raise TransportError(
            "a shared array or counter was sent by reference to a process that does not have it "
            "(any more): make it with share() or counter() on all ranks, and keep it on all as "
            "long as one uses it"
        )
    return found


def known(key: Key, thing: Any) -> None:
    """From now on, and as long as it lives, *thing* is what this rank has under *key*."""
    _shared[key] = thing


def keyed(array: Any, key: Key) -> SharedArray:
    """*array* as one that is shared, known as *key*."""
    array.flags.writeable = False
    found = array.view(SharedArray)
    found._key = key
    known(key, found)
    return cast(SharedArray, found)


def spread_array(world: World, array: Any, root: int) -> NDArray[Any]:
    """The root's array in the memory of each node.

    Collective: every rank of the world calls, *root* with the array, the others with anything.
    Where there is no memory to be shared, each rank has a copy of its own.
    """
    told = (array.dtype, array.shape) if world.rank == root else None
    dtype, shape = transport.broadcast_object(world, told, root)
    nbytes = prod(shape) * dtype.itemsize
    if not nbytes:
        return np.empty(shape, dtype)
    comm, node = world.comm, world.on_node()
    assert comm is not None, "a serial world shares with nobody"
    members = node.allgather(world.rank)
    head = root if root in members else members[0]
    memory, found = _of_node(node, members.index(head), nbytes)
    heads = comm.Split(0 if world.rank == head else mpi().UNDEFINED, world.rank != root)
    lost = comm.allreduce(found is None)
    whole: Any = None
    if not lost and memory is not None:
        whole = np.frombuffer(memory, np.uint8, nbytes)
    elif lost:
        whole = np.empty(nbytes, np.uint8)
    if whole is not None and world.rank == root:
        whole[:] = array.reshape(-1).view(np.uint8)
    if lost:
        transport.fill(world, whole, root)
    elif heads != mpi().COMM_NULL and heads.size > 1:
        transport.fill(World(cast("MPI.Intracomm", heads)), whole, 0)
    if heads != mpi().COMM_NULL:
        heads.Free()
    comm.Barrier()  # nobody looks before all is there
    raw = whole if lost else np.frombuffer(cast(mmap.mmap, found), np.uint8, nbytes)
    return cast("NDArray[Any]", raw.view(dtype).reshape(shape))


def _of_node(
    node: MPI.Intracomm, head: int, nbytes: int
) -> tuple[mmap.mmap | None, mmap.mmap | None]:
    """Memory that the head of a node fills, and the same for all to read; None where not to be had.

    Collective: every rank of the node calls.
    """
    file, here = made(nbytes) if node.rank == head else (-1, None)
    told = node.bcast(here, head)
    memory = found = None
    if told is not None:
        path, token = told
        if node.rank == head:
            memory = claimed(path, token, nbytes, 0, 1)
        found = _read_only(path, token, nbytes)
    node.Barrier()
    if file >= 0:
        os.close(file)
    return memory, found if node.rank != head or memory is not None else None


def _read_only(path: str, token: bytes, nbytes: int) -> mmap.mmap | None:
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            if os.pread(handle, len(token), 0) != token:  # of another container
                return None
            return mmap.mmap(handle, nbytes, prot=mmap.PROT_READ)
        finally:
            os.close(handle)
    except OSError:
        return None


class Number:
    """A whole number that all ranks add to.

    Attributes
    ----------
    start : int
    """

    def __init__(self, world: World, start: int) -> None:
        """Collective: every rank of the world calls."""
        self.start = start
        self._lock = threading.Lock()
        self._added = 0
        self._counter: Counter | None = None
        self._service: Service | None = None
        self._own: World | None = None
        if world.comm is not None and world.size > 1:
            # a communicator of its own: its questions must not meet those of a verb's claims
            self._own = World(world.comm.Dup())
            self._counter = Counter(self._own)
            if len(self._counter.heads) > 1 and self._counter.heads[0] == world.rank:
                self._service = Service(self._counter)
                self._service.start()

    def add(self, amount: int) -> int:
        """Add *amount*, and give the number before it."""
        with self._lock:
            if self._counter is None:
                self._added += amount
                return self.start + self._added - amount
            if self._counter.group == 0:
                return self.start + self._counter.claim(amount)
            return self.start + self._counter.ask(0, amount)

    def Free(self) -> None:  # as MPI's own objects
        """Collective: every rank of the world calls."""
        if self._counter is None or self._own is None:
            return
        self._own.exchange(bytes(HEADER))  # nobody asks any more
        self.start, self._added = self.add(0), 0
        self._own.exchange(bytes(HEADER))
        if self._service is not None:
            self._service.over.set()
            self._service.join()
        self._counter.Free()
        self._counter = None
        self._own.close()
