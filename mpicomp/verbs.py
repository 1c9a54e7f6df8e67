"""The verbs that make a list, a set, a dict or an array: a comprehension in, its value out.

Rules of this file: a verb says what is collected and how; everything else is `called`.

What holds for all verbs.  *Collective*: every rank of *comm* makes the same call; the root
gets the value, the others None.  The keyword-only options are those of `mpicomp.options`; one
that is left out (``...``) is as `mpicomp.options` says.  What an item raises is raised again on
every rank, with its own type; the errors of a bad call are `OptionError`, `ComprehensionError`,
`CollectiveMismatch` and `ConcurrentCallError`.
"""

from __future__ import annotations

from mpicomp.calling import called
from mpicomp.engine.collect import Listed, dict_of, set_of
from mpicomp.errors import OptionError
from mpicomp.options import AUTO, WHOLE
from mpicomp.plan.batch import batched_map
from mpicomp.plan.comprehension import code_of, take_apart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar, Unpack

    from numpy.typing import DTypeLike, NDArray

    from mpicomp.options import Common
    from mpicomp.plan.comprehension import Comprehension

    T = TypeVar("T")
    K = TypeVar("K")
    V = TypeVar("V")


def plist(
    gen: Iterable[T],
    /,
    **options: Unpack[Common],
) -> list[T] | None:
    """The list ``[*gen]``, computed by all ranks.

    Collective: every rank of *comm* calls; the root gets the list, the others None.

    Parameters
    ----------
    gen : generator expression or map object
        Not yet started.  Its outermost source is shared out; its own code runs on each share.
    **options
        Those of `mpicomp.options`.  With ``errors="return"`` an exception stands where the item's
        values would: behind those that the item gave before it failed, also where a filter
        might have dropped it; one exception an item, however many inner loops.

    Returns
    -------
    list or None

    Examples
    --------
    >>> from mpicomp import plist
    >>> plist(x * x for x in range(10) if x % 3)
    [1, 4, 16, 25, 49, 64]
    """
    return called("plist", gen, lambda *_: Listed(keeps_errors=True), options)  # type: ignore[no-any-return]  # the engine knows nothing of T


def pset(
    gen: Iterable[T],
    /,
    **options: Unpack[Common],
) -> set[T] | None:
    """The set ``{*gen}``, computed by all ranks; each rank sends a value once.

    Collective: every rank of *comm* calls; the root gets the set, the others None.

    Parameters
    ----------
    gen, **options
        See `plist`.

    Returns
    -------
    set or None

    Examples
    --------
    >>> from mpicomp import pset
    >>> sorted(pset(x % 3 for x in range(100)))
    [0, 1, 2]
    """
    return called("pset", gen, lambda _, asked: set_of(asked.errors), options)  # type: ignore[no-any-return]  # as in plist


def pdict(
    gen: Iterable[tuple[K, V]],
    /,
    **options: Unpack[Common],
) -> dict[K, V] | None:
    """The dict of a generator of pairs; the last of equal keys wins, in the serial order.

    Collective: every rank of *comm* calls; the root gets the dict, the others None.

    Parameters
    ----------
    gen : generator expression or map object
        Of pairs ``(key, value)``.
    **options
        See `plist`; ``errors`` can only be ``"raise"``.

    Returns
    -------
    dict or None

    Examples
    --------
    >>> from mpicomp import pdict
    >>> pdict((x % 3, x) for x in range(10))
    {0: 9, 1: 7, 2: 8}
    """
    return called("pdict", gen, lambda *_: dict_of(), options)  # type: ignore[no-any-return]  # as in plist


def parray(
    gen: Iterable[Any],
    /,
    dtype: DTypeLike = float,
    **options: Unpack[Common],
) -> NDArray[Any] | None:
    """The array ``numpy.array([*gen], dtype)``, filled by all ranks without any pickling.

    Collective: every rank of *comm* calls; the root gets the array, the others None.

    Parameters
    ----------
    gen : generator expression or map object
        Of numbers, or of arrays of one shape (the rows of the result).
    dtype : dtype, default float
    **options
        See `plist`; ``errors`` can only be ``"raise"``.

    Returns
    -------
    ndarray or None
        Of shape ``(number of values, *shape of a value)``.

    Raises
    ------
    ValueError
        The values have different shapes.

    Examples
    --------
    >>> from mpicomp import parray
    >>> parray((x * x for x in range(5)), dtype=int)
    array([ 0,  1,  4,  9, 16])
    """
    from mpicomp.engine.arrayed import Arrayed

    return called("parray", gen, lambda *_: Arrayed(dtype), options, f"dtype={dtype!r}")  # type: ignore[no-any-return]  # as in plist


def pmap(
    function: Callable[..., T],
    /,
    *iterables: Iterable[Any],
    batched: bool = False,
    **options: Unpack[Common],
) -> list[T] | None:
    """The list ``[*map(function, *iterables)]``, computed by all ranks.

    Collective: every rank of *comm* calls; the root gets the list, the others None.

    Parameters
    ----------
    function : callable
        Takes one item of each iterable.
    *iterables : iterable
    batched : bool, default False
        *function* gets whole chunks instead (a range, a list, or of an ndarray an ndarray) and
        returns as many results as a chunk has items.  A chunk is what the schedule gives a rank
        at a time: all of its share, or with ``"static,b"`` b items.
    **options
        See `plist`.

    Returns
    -------
    list or None

    Raises
    ------
    BatchError
        A batched function gave another number of results.

    Examples
    --------
    >>> from mpicomp import pmap
    >>> pmap(pow, range(4), [2, 2, 3, 3])
    [0, 1, 8, 27]
    >>> pmap(lambda chunk: [2 * x for x in chunk], range(5), batched=True)
    [0, 2, 4, 6, 8]
    """

    def make() -> Comprehension:
        if not callable(function) or not iterables:
            raise OptionError("write pmap(function, xs): a function and at least one iterable")
        if not isinstance(batched, bool):
            raise OptionError(f"batched must be True or False, got {batched!r}")
        if batched:
            return batched_map(function, iterables, code_of(function))
        return take_apart(map(function, *iterables), "pmap")

    way = WHOLE if batched else AUTO
    return called("pmap", None, lambda *_: Listed(keeps_errors=True), options, usual=way, make=make)  # type: ignore[no-any-return]  # as in plist
