"""Moving values between ranks.

Rules of this file: counts on the wire stay below `LIMIT` bytes (Open MPI refuses 2 GiB), for
any size of the whole; every rank knows all sizes before the first byte moves; nothing that is
large is copied into a second place to be sent.
"""

from __future__ import annotations

from array import array
from typing import Any

from mpicomp.wire.forms import FAILED, PICKLED, Payload, decode, encode
from mpicomp.wire.library import mpi
from mpicomp.wire.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mpi4py import MPI

    from mpicomp.wire.world import World

LIMIT = 1 << 28
"""Most bytes of one message."""
SMALL = 1 << 20
"""Up to so many bytes in all, one collective brings everything to everyone."""
EARLY = 1 << 14
"""Up to so many bytes, a rank sends before it is asked."""
_TAG = 1


def pieces(blob: Any) -> list[Any]:
    """*blob* in messages of at most `LIMIT` bytes."""
    view = memoryview(blob).cast("B")
    return [view[at : at + LIMIT] for at in range(0, len(view), LIMIT)]


def send(world: World, blobs: Sequence[Any], dest: int) -> None:
    """Send *blobs*, whose sizes the receiver knows, to rank *dest*."""
    comm = world.comm
    assert comm is not None, "nobody to send to"
    byte = mpi().BYTE
    requests = [comm.Isend([p, byte], dest, _TAG) for blob in blobs for p in pieces(blob)]
    for request in requests:
        wait(request)


def receive(world: World, sizes: Sequence[int], source: int, tag: int = _TAG) -> list[Any]:
    """Receive blobs of these *sizes*, in memory of their own that can be written to."""
    import numpy as np

    comm = world.comm
    assert comm is not None, "nobody to receive from"
    byte = mpi().BYTE
    blobs = [np.empty(size, np.uint8) for size in sizes]  # not bytearray: it would be zeroed
    requests = [comm.Irecv([p, byte], source, tag) for blob in blobs for p in pieces(blob)]
    for request in requests:
        wait(request)
    return blobs


def post(world: World, blobs: Sequence[Any], dest: int) -> MPI.Request | None:
    """Send *blobs* on their way before anybody has asked, if they are small enough.

    `gather_blobs` or `discard` on rank *dest* takes them in, after an exchange of the sizes.
    """
    assert world.comm is not None, "nobody to send to"
    if not _is_early(sum(map(len, blobs)), len(blobs)):
        return None
    return world.comm.Isend([_joined(blobs), mpi().BYTE], dest, _TAG)


def _is_early(total: int, count: int) -> bool:
    return count > 0 and total + 8 * count <= EARLY


def _joined(blobs: Sequence[Any]) -> Any:
    """One message: the blobs behind their sizes; a blob alone needs no size."""
    if len(blobs) == 1:
        return blobs[0]
    return b"".join([array("q", map(len, blobs)).tobytes(), *blobs])


def gather_blobs(
    world: World,
    mine: Sequence[Any],
    posted: MPI.Request | None,
    totals: Sequence[int],
    counts: Sequence[int],
    root: int,
) -> list[list[Any]] | None:
    """Everyone's blobs on the root.

    Collective: every rank of the world calls; *root* gets a list over ranks, the others None.

    Parameters
    ----------
    world : World
    mine : sequence of buffers
        What this rank has (empty on the root, whose own stays where it is).
    posted : Request or None
        What `post` gave for them.
    totals, counts : sequence of int
        Of every rank: bytes in all, and number of blobs.
    root : int
    """
    if world.rank != root:
        if posted is not None:
            wait(posted)
        elif mine:
            send(world, [array("q", map(len, mine)), *mine], root)
        return None
    parts: list[list[Any]] = []
    for rank, (total, count) in enumerate(zip(totals, counts, strict=True)):
        if rank == root or not count:
            parts.append([])
        elif _is_early(total, count):
            parts.append(_receive_early(world, total, count, rank))
        else:
            sizes = memoryview(receive(world, [8 * count], rank)[0]).cast("q")
            parts.append(receive(world, sizes, rank))
    return parts


def _receive_early(world: World, total: int, count: int, source: int) -> list[Any]:
    assert world.comm is not None, "nobody to receive from"
    message = bytearray(total if count == 1 else total + 8 * count)
    world.comm.Recv([message, mpi().BYTE], source, _TAG)
    return [message] if count == 1 else _split(memoryview(message), count)


def discard(
    world: World,
    posted: MPI.Request | None,
    totals: Sequence[int],
    counts: Sequence[int],
    root: int,
) -> None:
    """Take in what was posted to the root, and forget it: the call has failed.

    Collective: every rank of the world calls, in the place of `gather_blobs`.
    """
    if posted is not None:
        wait(posted)
    if world.rank == root:
        for rank, (total, count) in enumerate(zip(totals, counts, strict=True)):
            if rank != root and _is_early(total, count):
                _receive_early(world, total, count, rank)


def _split_all(whole: bytearray, lengths: Sequence[int], counts: Sequence[int]) -> list[list[Any]]:
    parts, at, view = [], 0, memoryview(whole)
    for length, count in zip(lengths, counts, strict=True):
        parts.append(_split(view[at : at + length], count) if length else [])
        at += length
    return parts


def _split(view: memoryview, count: int) -> list[Any]:
    sizes = view[: 8 * count].cast("q")
    blobs: list[Any] = []
    at = 8 * count
    for size in sizes:
        # buffers of arrays (all but the first) get memory of their own, so that it is aligned
        blobs.append(bytearray(view[at : at + size]) if blobs else view[at : at + size])
        at += size
    return blobs


def allgather_blobs(
    world: World, mine: list[Any], totals: Sequence[int], counts: Sequence[int]
) -> list[list[Any]]:
    """Everyone's blobs on every rank.

    Collective: every rank of the world calls; the parameters are those of `gather_blobs`.
    """
    comm = world.comm
    assert comm is not None, "nobody to gather from"
    lengths = [total + 8 * count for total, count in zip(totals, counts, strict=True)]
    if sum(lengths) > SMALL:
        return [broadcast(world, mine if rank == world.rank else None, rank)
                for rank in range(world.size)]  # fmt: skip
    joined = b"".join([array("q", map(len, mine)).tobytes(), *mine])
    whole = bytearray(sum(lengths))
    comm.Allgatherv([joined, mpi().BYTE], [whole, lengths, mpi().BYTE])
    return _split_all(whole, lengths, counts)


def broadcast(world: World, blobs: list[Any] | None, root: int) -> list[Any]:
    """The root's blobs on every rank.

    Collective: every rank of the world calls and gets the blobs (the root its own).
    """
    comm = world.comm
    assert comm is not None, "nobody to broadcast to"
    sizes = array("q", map(len, blobs)) if blobs is not None else None
    count = array("q", [len(blobs) if blobs is not None else 0])
    wait(comm.Ibcast([count, mpi().INT64_T], root))
    sizes = sizes if sizes is not None else array("q", bytes(8 * count[0]))
    wait(comm.Ibcast([sizes, mpi().INT64_T], root))
    if blobs is None:
        import numpy as np

        blobs = [np.empty(size, np.uint8) for size in sizes]
    for blob in blobs:
        fill(world, blob, root)
    return blobs


def fill(world: World, blob: Any, root: int) -> None:
    """The root's bytes in everyone's *blob*, which has their size.

    Collective: every rank of the world calls.
    """
    assert world.comm is not None, "nobody to broadcast to"
    for piece in pieces(blob):
        wait(world.comm.Ibcast([piece, mpi().BYTE], root))


def broadcast_object(world: World, value: Any, root: int) -> Any:
    """The root's *value* on every rank: pickled, with arrays as raw buffers beside it.

    Collective: every rank of the world calls and gets the value.

    Raises
    ------
    NothingSent
        On the other ranks, when the root's value cannot be pickled.
    TransportError
        On the root, then.
    """
    if world.rank != root:
        blobs = broadcast(world, None, root)
        if not blobs:
            raise NothingSent
        return decode(PICKLED, blobs)
    try:
        blobs = encode(value, plain=True).blobs
    except BaseException:
        broadcast(world, [], root)
        raise
    broadcast(world, blobs, root)
    return value


class NothingSent(Exception):  # the error is the root's, and told by it
    """The root could not make this rank's part; it knows why and will say so."""


def scatter_values(world: World, make: Callable[[int], Any] | None, root: int) -> Any:
    """One value for each rank, made on the root when its turn comes.

    Collective: every rank of the world calls; rank r gets ``make(r)``; the root gets None.

    Raises
    ------
    NothingSent
        On the ranks for which *make* failed, and those after them.
    Exception
        On the root, after all ranks were served: what *make* raised.
    """
    if world.rank != root:
        (count,) = memoryview(receive(world, [8], root)[0]).cast("q")
        form, *sizes = memoryview(receive(world, [8 * count], root)[0]).cast("q")
        if form == FAILED:
            raise NothingSent
        return decode(form, receive(world, sizes, root))
    assert make is not None, "the root makes what is scattered"
    failed: BaseException | None = None
    for rank in range(world.size):
        if rank == root:
            continue
        payload = Payload(FAILED, [])
        if failed is None:
            try:
                payload = encode(make(rank))
            except BaseException as exc:
                failed = exc
        lengths = array("q", [payload.form, *map(len, payload.blobs)])
        send(world, [array("q", [len(lengths)]), lengths, *payload.blobs], rank)
    if failed is not None:
        raise failed
    return None
