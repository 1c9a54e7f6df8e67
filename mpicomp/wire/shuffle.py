"""All to all: a value from each rank for each other rank.

Rules of this file: one partner to send to and one to receive from at a time, so that no more than
one part of what a rank holds is encoded at once; every rank goes through all rounds, whatever
fails in one of them.
"""

from __future__ import annotations

from array import array
from typing import Any

from mpicomp.wire.forms import FAILED, Payload, decode, encode
from mpicomp.wire.library import mpi
from mpicomp.wire.transport import NothingSent, pieces
from mpicomp.wire.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.wire.world import World

_TAG = 31


def shuffle(world: World, make: Callable[[int], Any], take: Callable[[Any], Any]) -> None:
    """Give each rank what is made for it, and take in what the others have made for this one.

    Collective: every rank of the world calls.

    Parameters
    ----------
    world : World
    make : callable
        Rank -> what it gets; called for each rank once.
    take : callable
        Called with what each rank has made, the own part first.

    Raises
    ------
    NothingSent
        Another rank could not make or send its part; it knows why.
    Exception
        What *make* or *take* raised first, or `TransportError`; after all rounds.
    """
    problem: BaseException | None = None
    try:
        take(make(world.rank))
    except BaseException as exc:
        problem = exc
    for step in range(1, world.size):
        dest, source = (world.rank + step) % world.size, (world.rank - step) % world.size
        payload = Payload(FAILED, [])
        if problem is None or isinstance(problem, NothingSent):
            try:
                payload = encode(make(dest), plain=True)
            except BaseException as exc:
                problem = exc
        form, blobs = _swapped(world, payload, dest, source)
        try:
            if form == FAILED:
                raise NothingSent
            if problem is None:
                take(decode(form, blobs))
        except BaseException as exc:
            problem = problem or exc
    if problem is not None:
        raise problem


def _swapped(world: World, payload: Payload, dest: int, source: int) -> tuple[int, list[Any]]:
    """Send *payload*, and meanwhile receive another: its form and blobs."""
    import numpy as np

    head = array("q", [payload.form, len(payload.blobs)])
    (told,) = _round(world, dest, source, [head], [array("q", bytes(16))])
    form, count = told
    mine = array("q", map(len, payload.blobs))
    (sizes,) = _round(world, dest, source, [mine], [array("q", bytes(8 * count))])
    blobs: list[Any] = [np.empty(size, np.uint8) for size in sizes]
    return form, _round(world, dest, source, payload.blobs, blobs)


def _round(world: World, dest: int, source: int, sent: list[Any], got: list[Any]) -> list[Any]:
    comm, byte = world.comm, mpi().BYTE
    assert comm is not None, "a serial world has nobody to send to"
    requests = [comm.Irecv([p, byte], source, _TAG) for blob in got for p in pieces(blob)]
    requests += [comm.Isend([p, byte], dest, _TAG) for blob in sent for p in pieces(blob)]
    for request in requests:
        wait(request)
    return got
