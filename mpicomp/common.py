"""What the ranks have in common: arrays, once a node, and counters.

Rules of this file: collective functions that begin as every call does, so that ranks which make
different ones find out.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from mpicomp.engine.alone import nested
from mpicomp.engine.collect import Collector
from mpicomp.engine.run import install_guard
from mpicomp.engine.wholes import make
from mpicomp.errors import OptionError
from mpicomp.options import Options
from mpicomp.plan.comprehension import Comprehension
from mpicomp.plan.source import Range
from mpicomp.plan.value import whole
from mpicomp.wire.world import World, world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpi4py.MPI import Intracomm
    from numpy.typing import ArrayLike

    from mpicomp.engine.call import Call
    from mpicomp.wire.common import Number

_numbers = count()


def share(array: ArrayLike | None, /, *, comm: Intracomm | None = None, root: int = 0) -> Any:
    """A read-only copy of the root's array, once in the memory of each node.

    For what all items look at and none changes: tables, maps, images.  It takes the memory of one
    copy on a node, whatever its number of ranks; the memory is given back when the last rank of the
    node has let go of it, with no call for that.  Where the system has no memory to share, each
    rank has a copy of its own.

    Collective: every rank of *comm* calls; each gets the array.

    Parameters
    ----------
    array : array_like
        Of numbers, text or records.  The root's counts; the others may come with None.
    comm : mpi4py.MPI.Intracomm, optional
    root : int, default 0

    Returns
    -------
    ndarray
        Of a subclass that is pickled as a reference (to ranks that have it), not as a copy.  Ranks
        may drop it at different times: it stays readable where it is kept.

    Raises
    ------
    OptionError
        On every rank, when the root's is no such array.

    Examples
    --------
    >>> from mpicomp import plist, share
    >>> table = share([10.0, 20.0, 30.0])
    >>> plist(float(table[x] + 1) for x in range(3))
    [11.0, 21.0, 31.0]
    """
    ranks = _ranks(comm)

    def checked() -> Any:
        import numpy as np

        options = Options(_about(root))
        if options.root is None:
            raise OptionError("share needs the rank that has the array: write root=0")
        if ranks.rank == options.root and np.asarray(array).dtype.hasobject:
            raise OptionError(
                f"share takes an array of numbers, text or records, got {array!r:.100}; "
                "other objects every rank can make by itself"
            )
        return options

    def act(_: Call) -> Any:
        import numpy as np

        from mpicomp.wire.common import keyed, spread_array

        if ranks.comm is None or ranks.size == 1:
            return keyed(np.array(array), _agreed_key(ranks))
        mine = np.array(array, order="C", copy=None) if ranks.rank == root else None
        return keyed(spread_array(ranks, mine, root), _agreed_key(ranks))

    return _together(ranks, "share", checked, act)


def counter(start: int = 0, /, *, comm: Intracomm | None = None) -> SharedCounter:
    """A whole number that every rank can add to, also from within items.

    Collective: every rank of *comm* calls; each gets the counter.

    Parameters
    ----------
    start : int, default 0
    comm : mpi4py.MPI.Intracomm, optional

    Examples
    --------
    >>> from mpicomp import counter, pfor
    >>> with counter() as found:
    ...     outcome = pfor(found.add(1) for x in range(10) if x % 3 == 0)
    ...     print(found.value)
    4
    """
    ranks = _ranks(comm)

    def act(_: Call) -> SharedCounter:
        from mpicomp.wire.common import Number, known

        key = _agreed_key(ranks)
        number = Number(ranks, start)
        ranks.owned.append(number)
        found = SharedCounter(number, ranks, key)
        known(key, found)
        return found

    def checked() -> Any:
        whole("start", start)
        return Options(_about(0))

    made: SharedCounter = _together(ranks, "counter", checked, act, str(start))
    return made


class SharedCounter:
    """What `counter` gives.

    On one node `add` takes about a microsecond, whatever the other ranks do.  Between nodes rank 0
    answers from a thread, which takes milliseconds while it computes in Python, and waits as long
    as an extension module holds the interpreter's lock there.  It is pickled as a reference, so
    that it can be part of an item, or an argument of an executor's task.

    Examples
    --------
    >>> from mpicomp import counter
    >>> with counter(5) as tickets:
    ...     tickets.add(1), tickets.add(2), tickets.value
    (5, 6, 8)
    """

    def __init__(self, number: Number, ranks: World, key: tuple[bytes, int]) -> None:
        self._number = number
        self._ranks = ranks
        self._key = key

    def __reduce__(self) -> Any:  # as a reference, to ranks that have it
        from mpicomp.wire.common import referred

        return referred, (self._key,)

    def add(self, amount: int = 1) -> int:
        """Add *amount*; the value before that, which no other call of `add` gives (by amounts > 0).

        Not collective: any rank, any thread.
        """
        return self._number.add(whole("amount", amount))

    @property
    def value(self) -> int:
        """The number as it is now; others may be adding to it."""
        return self._number.add(0)

    def close(self) -> None:
        """Give back its window; its value stays to be read.  The end of the program does it too.

        Collective: every rank that made it calls.
        """
        if self._number in self._ranks.owned:
            self._ranks.owned.remove(self._number)
            self._number.Free()

    def __enter__(self) -> SharedCounter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:  # else the other ranks may not come; the end of the program closes it
            self.close()

    def __repr__(self) -> str:
        return f"<counter at {self.value}>"


def _ranks(comm: Intracomm | None) -> World:
    return World() if nested() else world(comm)


def _agreed_key(ranks: World) -> tuple[bytes, int]:
    """By which the ranks know something that they have in common, and nothing else.

    Collective: every rank of the world calls.
    """
    if ranks.comm is None or ranks.size == 1:
        return b"", next(_numbers)
    import os

    key: tuple[bytes, int] = ranks.comm.bcast((os.urandom(8), next(_numbers)))
    return key


def _about(root: Any) -> Any:
    return {"root": root, "schedule": "static", "errors": "raise", "effects": "ignore"}


def _together(
    ranks: World,
    verb: str,
    options: Callable[[], Options],
    act: Callable[[Call], Any],
    about: str = "",
) -> Any:
    if ranks.size > 1:
        install_guard(ranks)
    nothing = Comprehension(iter, Range(range(0)), None)
    return make(ranks, verb, nothing, Collector(), options, about, 0, act)
