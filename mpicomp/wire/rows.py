"""Rows of an array to their ranks, as typed buffers: never pickled.

Rules of this file: both sides derive the same list of messages from the decomposition; no
message is larger than `transport.LIMIT` unless a single block is.

Blocks go as they lie.  The many short blocks of a cyclic or block-cyclic decomposition go as a
derived datatype (``MPI_Type_vector``), which picks them out of the root's array on the way.
"""

from __future__ import annotations

from math import prod
from typing import Any

from mpicomp.wire import transport
from mpicomp.wire.library import mpi
from mpicomp.wire.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from mpicomp.plan.decomposition import Decomposition
    from mpicomp.wire.world import World

_TAG = 2
_SHORT = 1 << 16  # bytes of a block below which several go in one message


def messages(
    decomposition: Decomposition, rank: int, row_bytes: int
) -> Iterator[tuple[int, int, int, int]]:
    """``(first row, blocks, rows of a block, rows from block to block)`` of each message."""
    waiting: list[range] = []
    for span in decomposition.spans(rank):
        block = len(span) * row_bytes
        if block >= _SHORT:
            rows = max(1, transport.LIMIT // row_bytes)
            for at in range(span.start, span.stop, rows):
                yield at, 1, min(rows, span.stop - at), 0
            continue
        full = len(waiting) >= max(1, transport.LIMIT // max(1, block))
        if waiting and (full or len(span) != len(waiting[0])):
            yield _together(waiting)
            waiting = []
        waiting.append(span)
    if waiting:
        yield _together(waiting)


def _together(spans: list[range]) -> tuple[int, int, int, int]:
    stride = spans[1].start - spans[0].start if len(spans) > 1 else 0
    return spans[0].start, len(spans), len(spans[0]), stride


def scatter_rows(
    world: World,
    rows: Any,
    dtype: Any,
    tail: tuple[int, ...],
    decomposition: Decomposition,
    root: int,
) -> Any:
    """This rank's rows of the root's array.

    Collective: every rank of the world calls; each gets an ndarray of shape
    ``(decomposition.count(rank), *tail)``.

    Parameters
    ----------
    world : World
    rows : ndarray
        The whole, on the root; ignored elsewhere.
    dtype, tail
        Of the whole: its dtype and ``shape[1:]``, known to every rank.
    decomposition : Decomposition
    root : int
    """
    import numpy as np

    row_bytes = dtype.itemsize * prod(tail)
    if world.rank == root:
        whole = np.ascontiguousarray(rows)
        if row_bytes:
            for rank in range(world.size):
                if rank != root:
                    _send(world, whole.reshape(-1).view("B"), row_bytes, decomposition, rank)
        indices = decomposition.indices(root)
        return whole[indices] if not isinstance(indices, range) else whole[
            indices.start : indices.stop : indices.step]  # fmt: skip
    mine = np.empty((decomposition.count(world.rank), *tail), dtype)
    if row_bytes and mine.size:
        _receive(world, mine.reshape(-1).view("B"), row_bytes, decomposition, root)
    return mine


def share_rows(world: World, rows: Any, dtype: Any, shape: tuple[int, ...], root: int) -> Any:
    """All of the root's rows.

    Collective: every rank of the world calls; each gets an ndarray of that *shape*.

    Parameters
    ----------
    world : World
    rows : ndarray
        On the root; ignored elsewhere.
    dtype, shape
        Of the whole, known to every rank.
    root : int
    """
    import numpy as np

    mine = world.rank == root
    whole = np.ascontiguousarray(rows) if mine else np.empty(shape, dtype)
    if whole.size and dtype.itemsize:
        transport.fill(world, whole.reshape(-1).view("B"), root)
    return rows if mine else whole


def _send(world: World, raw: Any, row_bytes: int, decomposition: Decomposition, rank: int) -> None:
    assert world.comm is not None, "nobody to send to"
    row = mpi().BYTE.Create_contiguous(row_bytes)
    try:
        for first, blocks, length, stride in messages(decomposition, rank, row_bytes):
            kind = row.Create_vector(blocks, length, stride).Commit()
            wait(world.comm.Isend([raw[first * row_bytes :], 1, kind], rank, _TAG))
            kind.Free()
    finally:
        row.Free()


def _receive(
    world: World, raw: Any, row_bytes: int, decomposition: Decomposition, root: int
) -> None:
    assert world.comm is not None, "nobody to receive from"
    at = 0
    for _, blocks, length, _ in messages(decomposition, world.rank, row_bytes):
        end = at + blocks * length * row_bytes
        wait(world.comm.Irecv([raw[at:end], mpi().BYTE], root, _TAG))
        at = end
