"""`Distributed`: values that lie on the ranks that computed them.

Rules of this file: every method that says *Collective* begins as every call does, so that ranks
which make different ones find out; what fails on one rank is raised on all.
"""

from __future__ import annotations

from itertools import count
from typing import Any, TypeVar

from mpicomp.engine.collect import Collector, Row, in_order, placed
from mpicomp.errors import OptionError, TransportError
from mpicomp.options import Options
from mpicomp.plan.comprehension import Comprehension
from mpicomp.plan.cuttable import Cuttable
from mpicomp.plan.decomposition import Decomposition
from mpicomp.plan.schedule import parse
from mpicomp.plan.source import Range, is_array
from mpicomp.plan.spread import Spread, positions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from numpy import int64
    from numpy.typing import NDArray

    from mpicomp.engine.call import Call
    from mpicomp.wire.world import World

T = TypeVar("T")
_numbers = count()


def next_number(world: World) -> int:
    """By which a new whole is known, the same on all ranks.

    Collective: every rank of the world calls.
    """
    global _numbers
    number = next(_numbers)
    if world.comm is not None:
        number = max(world.comm.allgather(number))
    _numbers = count(number + 1)
    return number


class Distributed(Cuttable[T]):
    """The value of ``plist(…, root="stay")``: each rank has what it computed.

    A source for the next verb, which computes on each rank over its own part; nothing moves.
    Its length and its order are those of the serial value.

    Attributes
    ----------
    part : list or ndarray
        This rank's values, in the order of the whole.
    decomposition : Block, Cyclic, BlockCyclic or None
        Who has which, where a formula says it.

    Examples
    --------
    >>> from mpicomp import plist, psum
    >>> d = plist((x * x for x in range(6) if x % 2), root="stay")
    >>> len(d), psum(y for y in d), d.gather()
    (3, 35, [1, 9, 25])
    """

    def __init__(
        self,
        part: Any,
        runs: Sequence[range],
        n: int,
        world: World,
        number: int,
        decomposition: Decomposition | None = None,
        has_exceptions: bool = False,
    ) -> None:
        self.part = part
        self.decomposition = decomposition
        self._world = world
        self._has_exceptions = has_exceptions
        self._spread = Spread(part, runs, n, number, world, alone=world.size == 1)

    @property
    def source(self) -> Spread:
        return self._spread

    @property
    def indices(self) -> range | NDArray[int64]:
        """Positions in the whole of this rank's values."""
        found: range | NDArray[int64] = positions(self._spread.runs)
        return found

    def __len__(self) -> int:
        return self._spread.n or 0

    def __getitem__(self, index: Any) -> Any:
        position = range(len(self))[index]
        if isinstance(position, range):
            raise TypeError("a whole on several ranks is not sliced; write d.part, or d.gather()")
        return self.part[self._spread.place(position)]

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TransportError(
            f"the {len(self)} values of this whole lie on the ranks that computed them, and are "
            "not pickled or copied as one; use it as the source of a verb, send d.part (what this "
            "rank has), or d.gather() them"
        )

    def __repr__(self) -> str:
        world = self._world
        return f"<{len(self.part)} of {len(self)} values, on rank {world.rank} of {world.size}>"

    def __distarray__(self) -> dict[str, Any]:
        """As the Distributed Array Protocol 0.10.0 has it, for arrays.

        Raises
        ------
        OptionError
            The values are a list, or no formula says who has which.
        """
        if not is_array(self.part) or self.decomposition is None:
            raise OptionError(
                "the protocol describes arrays in blocks; write parray(…, root=\"stay\") and "
                'then d.redistribute("static")'
            )
        inner = [{"dist_type": "b", "size": size, "proc_grid_size": 1, "proc_grid_rank": 0,
                  "start": 0, "stop": size} for size in self.part.shape[1:]]  # fmt: skip
        first = self.decomposition.dim_data(self._world.rank)
        return {"__version__": "0.10.0", "buffer": self.part, "dim_data": (first, *inner)}

    def gather(self, root: int | None = 0) -> Any:
        """The whole, in the serial order.

        Collective: every rank that has a part calls; the root (all, when it is None) gets the list
        or array, the others None.
        """
        return self._call("gather", _Whole(self), lambda call: None, root)

    def redistribute(self, to: str | Decomposition) -> Distributed[T]:
        """The same values, each moved to the rank that *to* names.

        Collective: every rank that has a part calls; each gets its new part.

        Parameters
        ----------
        to : str or Decomposition
            ``"static"``, ``"static,4"``, or a `Block`, `Cyclic` or `BlockCyclic` of this length and
            this number of ranks.
        """
        return self._call("redistribute", Collector(), lambda _: self._moved(to), 0, repr(to))  # type: ignore[no-any-return]  # as verbs

    def to_npy(self, path: str | PathLike[str]) -> None:
        """Write the whole as one file of numpy's format, each rank its own part.

        Values that do not lie in one block on each rank are moved so first.  The file appears
        under its name when it is complete.

        Collective: every rank that has a part calls.

        Parameters
        ----------
        path : path
            On a file system that all ranks see.

        Raises
        ------
        TypeError
            Values that are no numbers or arrays of one shape.
        OSError
            On every rank, what one met.
        """
        from mpicomp.engine.files import write_npy

        self._call("to_npy", Collector(), lambda _: write_npy(self, path), 0, repr(path))

    def to_hdf5(self, path: str | PathLike[str], name: str = "data") -> None:
        """Write the whole as a data set of a new HDF5 file, each rank its own part.

        All at once where h5py has been built with MPI on every rank, else one after the other.
        Needs ``pip install "mpicomp[hdf5]"``; otherwise as `to_npy`.

        Collective: every rank that has a part calls.
        """
        from mpicomp.engine.files import write_hdf5

        self._call("to_hdf5", Collector(), lambda _: write_hdf5(self, path, name), 0, repr(path))

    def _call(
        self,
        verb: str,
        collector: Collector,
        act: Callable[[Call], Any],
        root: int | None,
        about: str = "",
    ) -> Any:
        """Agree that all ranks do this, and do it: *act*, or bring the collector's values."""
        from mpicomp.engine.wholes import make

        whole = Comprehension(iter, Range(range(len(self))), None)
        about = f"whole {self._spread.number} {about}"
        given: Any = {"root": root, "schedule": "static", "errors": "raise", "effects": "ignore"}
        return make(
            self._world, verb, whole, collector, lambda: Options(given), about, len(self), act
        )

    def _moved(self, to: str | Decomposition) -> Distributed[T]:
        from mpicomp.engine.wholes import moved

        decomposition = parse(to).decomposition(len(self), self._world.size) if isinstance(
            to, str) else to  # fmt: skip
        if not isinstance(decomposition, Decomposition):
            raise OptionError(f'redistribute needs "static", "static,b" or a Block, got {to!r}')
        if (decomposition.n, decomposition.p) != (len(self), self._world.size):
            raise OptionError(
                f"there are {len(self)} values on {self._world.size} ranks, got {decomposition!r}"
            )
        return moved(self, decomposition)


class _Whole(Collector):
    """Values that lie on the ranks, for the root to have."""

    def __init__(self, d: Distributed[Any]) -> None:
        self.d = d
        self.has_exceptions = d._has_exceptions

    def export(self) -> Any:
        rows = [(run.start, run.step, len(run), run.stop) for run in self.d.source.runs]
        part = self.d.part
        return (part if is_array(part) else list(part)), rows  # of its own: it may be added to

    def finish(self, exports: list[Any], n: int) -> Any:
        if not is_array(self.d.part):
            whole: list[tuple[list[Any], list[Row] | None]] = [
                (values, [Row(*row) for row in rows]) for values, rows in exports
            ]
            return in_order(whole)
        import numpy as np

        return placed(np.empty((n, *self.d.part.shape[1:]), self.d.part.dtype), exports)
