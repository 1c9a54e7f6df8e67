"""One file that all ranks write.

Rules of this file: each rank writes at a place of its own, with no more at a time than one message
may have.
"""

from __future__ import annotations

from typing import Any

from mpicomp.wire.library import mpi
from mpicomp.wire.transport import pieces
from mpicomp.wire.waiting import wait

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.wire.world import World


def write_at(world: World, path: str, offset: int, array: Any) -> None:
    """Write the bytes of *array* at *offset* of a file that is there.

    Collective: every rank of the world calls.
    """
    raw = array.reshape(-1).view("B")
    if world.comm is None:
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(raw)
        return
    file = mpi().File.Open(world.comm, path, mpi().MODE_WRONLY)
    try:
        for piece in pieces(raw):
            file.Write_at(offset, [piece, mpi().BYTE])
            offset += len(piece)
    finally:
        file.Close()


def in_turn(world: World, act: Callable[[], None]) -> None:
    """Let each rank *act* when those before it are done.

    Collective: every rank of the world calls; what *act* raises is raised when all have had their
    turn.
    """
    problem: BaseException | None = None
    for rank in range(world.size):
        if rank == world.rank:
            try:
                act()
            except BaseException as exc:
                problem = exc
        if world.comm is not None:
            wait(world.comm.Ibarrier())
    if problem is not None:
        raise problem
