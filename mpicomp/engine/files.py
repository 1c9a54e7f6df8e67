"""Values that lie on the ranks, into one file: each rank writes its own.

Rules of this file: the root begins the file, so that what is wrong with its name is an ordinary
OSError; it is written under another name, and gets its own when all ranks have written.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from mpicomp.engine.agree import together
from mpicomp.engine.stay import common_dtype
from mpicomp.engine.wholes import moved
from mpicomp.plan.decomposition import Block
from mpicomp.record.picture import MissingExtra
from mpicomp.wire import transport
from mpicomp.wire.files import in_turn, write_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from os import PathLike

    from mpicomp.engine.distributed import Distributed


def in_blocks(d: Distributed[Any]) -> tuple[Distributed[Any], Any]:
    """The same values in one block on each rank; and this rank's as an array.

    Collective: every rank of the world calls.
    """
    import numpy as np

    world = d._world
    told = world.comm.allgather(len(d.source.runs)) if world.comm is not None else [1]
    steps = [run.step for run in d.source.runs]
    scattered = max(told) > 1 or max(steps, default=1) > 1
    if world.comm is not None and world.comm.allreduce(scattered):
        d = moved(d, Block(len(d), world.size))
    mine = together(world, lambda: _array(d.part))
    kind = (mine.dtype, mine.shape[1:]) if len(mine) else None
    kinds = world.comm.allgather(kind) if world.comm is not None else [kind]
    found = [one for one in kinds if one is not None]
    if len({tail for _, tail in found}) > 1:
        shapes = sorted({tail for _, tail in found})
        raise TypeError(f"values of different shapes cannot be one array: {shapes}")
    dtype = common_dtype(one for one, _ in found) if found else mine.dtype
    tail = found[0][1] if found else mine.shape[1:]
    return d, np.ascontiguousarray(mine.astype(dtype, copy=False).reshape(len(mine), *tail))


def _array(values: Any) -> Any:
    import numpy as np

    array = np.asarray(values)
    if array.dtype.hasobject:
        raise TypeError(
            "only numbers, text and arrays of one shape can be written so, got "
            f"{next(iter(values))!r:.100}; gather() the values and write them your own way"
        )
    return array


def write_npy(d: Distributed[Any], path: str | PathLike[str]) -> None:
    """See `Distributed.to_npy`.

    Collective: every rank of the world calls.
    """
    d, mine = in_blocks(d)
    world, n = d._world, len(d)
    part = os.fspath(path) + ".part"
    begin = together(world, lambda: _begin(part, n, mine) if world.rank == 0 else 0)
    if world.comm is not None:
        begin = world.comm.bcast(begin)
    row = mine.nbytes // len(mine) if len(mine) else 0
    first = d.source.runs[0].start if len(mine) else 0
    together(world, lambda: write_at(world, part, begin + first * row, mine))
    together(world, lambda: os.replace(part, path) if world.rank == 0 else None)


def _begin(path: str, n: int, mine: Any) -> int:
    """Write the head of the file, and make room for the rest; where that begins."""
    from numpy.lib import format as npy

    about = {"descr": npy.dtype_to_descr(mine.dtype), "fortran_order": False,
             "shape": (n, *mine.shape[1:])}  # fmt: skip
    with open(path, "wb") as file:
        npy.write_array_header_2_0(file, about)
        begin = file.tell()
        nbytes = mine.dtype.itemsize * n
        for size in mine.shape[1:]:
            nbytes *= size
        file.truncate(begin + nbytes)
    return begin


def write_hdf5(d: Distributed[Any], path: str | PathLike[str], name: str) -> None:
    """See `Distributed.to_hdf5`.

    Collective: every rank of the world calls.
    """
    h5py = together(d._world, _h5py)
    d, mine = in_blocks(d)
    world, n = d._world, len(d)
    part = os.fspath(path) + ".part"
    first = d.source.runs[0].start if len(mine) else 0
    able = world.comm is not None and all(world.comm.allgather(h5py.get_config().mpi))
    way = {"driver": "mpio", "comm": world.comm} if able else {}

    def begin() -> None:
        if world.rank == 0:
            with h5py.File(part, "w") as file:
                file.create_dataset(name, (n, *mine.shape[1:]), mine.dtype)

    def write() -> None:
        if able or len(mine):  # opening it is collective where all write together
            with h5py.File(part, "r+", **way) as file:
                _put(file[name], first, mine)

    together(world, begin)
    together(world, write if able else lambda: in_turn(world, write))
    together(world, lambda: os.replace(part, path) if world.rank == 0 else None)


def _put(place: Any, first: int, rows: Any) -> None:
    """Write *rows* from row *first* on, with no more at a time than one message may have."""
    step = max(1, transport.LIMIT // max(1, rows[:1].nbytes))
    for at in range(0, len(rows), step):
        place[first + at : first + min(at + step, len(rows))] = rows[at : at + step]


def _h5py() -> Any:
    try:
        return import_module("h5py")
    except ImportError as exc:
        raise MissingExtra(
            f'to_hdf5 needs h5py, which is not there ({exc}); write pip install "mpicomp[hdf5]"'
        ) from exc
