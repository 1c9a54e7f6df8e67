"""The verbs: a comprehension in, its value out.

Rules of this file: a verb says what is collected and how; everything else is `engine.run`.

What holds for all of them.  *Collective*: every rank of *comm* makes the same call; the root
gets the value, the others None.  The keyword-only options are those of `mpicomp.options`; one
that is left out (``...``) is as `mpicomp.options` says.  What an item raises is raised again on
every rank, with its own type; the errors of a bad call are `OptionError`, `ComprehensionError`,
`CollectiveMismatch` and `ConcurrentCallError`.
"""

from __future__ import annotations

from typing import Any

from mpicomp.engine.call import Call
from mpicomp.engine.collect import Listed, dict_of, set_of
from mpicomp.engine.keeping import keeper_for
from mpicomp.engine.reducing import Folded, Searched, Summed, picked
from mpicomp.engine.run import run
from mpicomp.engine.shuffled import sampler_for
from mpicomp.engine.state import Setup
from mpicomp.errors import OptionError
from mpicomp.options import AUTO, SPREAD, WHOLE, Options, chosen
from mpicomp.plan.batch import batched_map
from mpicomp.plan.comprehension import code_of, take_apart
from mpicomp.record.recording import recording

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar, Unpack

    from numpy.typing import DTypeLike, NDArray

    from mpicomp.engine.collect import Collector
    from mpicomp.options import Common
    from mpicomp.plan.comprehension import Comprehension

    T = TypeVar("T")
    K = TypeVar("K")
    V = TypeVar("V")


def _call(
    verb: str,
    expression: object,
    collector: Callable[[Comprehension, Options], Collector],
    options: Common,
    detail: str = "",
    usual: str = AUTO,
    make: Callable[[], Comprehension] | None = None,
    also: tuple[object, ...] = (),
) -> Any:
    def build() -> Call:
        asked = chosen(options, usual)
        apart = take_apart(expression, verb) if make is None else make()
        collected = collector(apart, asked)
        if asked.errors == "return" and not collected.keeps_errors:
            raise OptionError(
                f'errors="return" puts an exception in the place of an item, and {verb} has no '
                "such places; use plist, pset, pmap or pfor, or handle the error in the item"
            )
        if asked.ranks_per_item > 1 and apart.whole_runs:
            raise OptionError("a batched function has no single items: leave ranks_per_item= out")
        if asked.stays and not collected.can_stay:
            raise OptionError(
                f'root="stay" leaves each rank its part of a list or array, and {verb} gives one '
                "value; write root=None for every rank to have it, or use plist, parray or pmap"
            )
        if apart.source.spread is not None and (asked.journal or asked.deadline) is not None:
            raise OptionError(
                "journal= and deadline= are for items that any rank can take, and these lie on "
                'their ranks (root="stay"); give the option to the call that makes them'
            )
        events: list[Any] | None = [] if recording() else None
        sampler = sampler_for(asked.check)
        return Call(verb, apart, collected, asked, detail, events, also, sampler, keeper_for(asked))

    comm, setup = Options.comm_of(options), Options.setup_of(options)
    if setup is None:
        return run(verb, comm, build)
    with Setup(setup) as ready:
        return run(verb, comm, lambda: ready.before_items_of(build()))


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
    return _call("plist", gen, lambda *_: Listed(keeps_errors=True), options)  # type: ignore[no-any-return]  # the engine knows nothing of T


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
    return _call("pset", gen, lambda _, asked: set_of(asked.errors), options)  # type: ignore[no-any-return]  # as in plist


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
    return _call("pdict", gen, lambda *_: dict_of(), options)  # type: ignore[no-any-return]  # as in plist


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

    return _call("parray", gen, lambda *_: Arrayed(dtype), options, f"dtype={dtype!r}")  # type: ignore[no-any-return]  # as in plist


def psum(
    gen: Iterable[Any],
    /,
    start: Any = 0,
    **options: Unpack[Common],
) -> Any:
    """The sum ``sum(gen, start)``, with the same bits for any number of ranks and any schedule.

    Floats (and ints beside them) are summed exactly and rounded once (`math.fsum`'s promise);
    so the last digits can differ from those of the builtin, which rounds after every item.
    Ints are exact, as in the builtin.  Everything else that has ``+`` is combined along a tree
    that the positions of the items alone decide (see `preduce`).

    Collective: every rank of *comm* calls; the root gets the sum, the others None.

    Parameters
    ----------
    gen : generator expression or map object
    start : object, default 0
        Added in front.
    **options
        See `plist`; ``errors`` can only be ``"raise"``.

    Examples
    --------
    >>> from mpicomp import psum
    >>> psum(x * x for x in range(1000))
    332833500
    >>> psum(0.1 for _ in range(10))
    1.0
    """

    def collector(apart: Comprehension, _: Options) -> Summed:
        sum((), start)  # raises TypeError for text, as the builtin does
        return Summed(start, apart.one_to_one)

    return _call("psum", gen, collector, options)


def pmin(
    gen: Iterable[Any],
    /,
    *,
    key: Callable[[Any], Any] | None = None,
    default: Any = ...,
    **options: Unpack[Common],
) -> Any:
    """The smallest value, ``min(gen, key=key, default=default)``: the first of equals.

    Collective: every rank of *comm* calls; the root gets the value, the others None.

    Parameters
    ----------
    gen : generator expression or map object
    key : callable, optional
        What to compare by; has to order the values totally (NaN excepted, see below).
    default : object, optional
        The value when there is none.
    **options
        See `plist`; ``errors`` can only be ``"raise"``.

    Raises
    ------
    ValueError
        No values and no *default*, as the builtin.

    Notes
    -----
    A float NaN is the result when it comes first, and passed over otherwise, as in the builtin.

    Examples
    --------
    >>> from mpicomp import pmin
    >>> pmin((x - 5) ** 2 for x in range(10))
    0
    >>> pmin((word for word in ["pear", "fig", "kiwi"]), key=len)
    'fig'
    """
    return _call("pmin", gen, lambda *_: picked(min, key, default), options, also=(key,))


def pmax(
    gen: Iterable[Any],
    /,
    *,
    key: Callable[[Any], Any] | None = None,
    default: Any = ...,
    **options: Unpack[Common],
) -> Any:
    """The largest value, ``max(gen, key=key, default=default)``: the first of equals.

    Collective: every rank of *comm* calls; the root gets the value, the others None.

    Parameters
    ----------
    gen, key, default, **options
        See `pmin`.

    Raises
    ------
    ValueError
        No values and no *default*, as the builtin.

    Examples
    --------
    >>> from mpicomp import pmax
    >>> pmax(x % 7 for x in range(100))
    6
    >>> pmax((x for x in ()), default="nothing")
    'nothing'
    """
    return _call("pmax", gen, lambda *_: picked(max, key, default), options, also=(key,))


def pany(
    gen: Iterable[Any],
    /,
    **options: Unpack[Common],
) -> bool | None:
    """Whether any value is true, ``any(gen)``; all ranks stop soon after the first that is.

    Items before it are still computed, as in the serial order one of them might raise.  So that
    all ranks work at the front of that order, the default schedule here is cyclic, in small
    blocks.

    Collective: every rank of *comm* calls; the root gets the answer, the others None.

    Parameters
    ----------
    gen, **options
        See `plist`; ``errors`` can only be ``"raise"``.

    Returns
    -------
    bool or None

    Examples
    --------
    >>> from mpicomp import pany
    >>> pany(x * x == 49 for x in range(10**12))
    True
    """
    return _call("pany", gen, lambda *_: Searched(sought=True), options, usual=SPREAD)  # type: ignore[no-any-return]  # as in plist


def pall(
    gen: Iterable[Any],
    /,
    **options: Unpack[Common],
) -> bool | None:
    """Whether all values are true, ``all(gen)``; all ranks stop soon after the first that is not.

    Collective: every rank of *comm* calls; the root gets the answer, the others None.

    Parameters
    ----------
    gen, **options
        See `pany`.

    Returns
    -------
    bool or None

    Examples
    --------
    >>> from mpicomp import pall
    >>> pall(x < 5 for x in range(10**12))
    False
    """
    return _call("pall", gen, lambda *_: Searched(sought=False), options, usual=SPREAD)  # type: ignore[no-any-return]  # as in plist


def preduce(
    op: Callable[[Any, Any], Any],
    gen: Iterable[Any],
    /,
    *initial: Any,
    **options: Unpack[Common],
) -> Any:
    """``functools.reduce(op, gen, initial)`` for an associative *op*.

    Values are combined in the serial order, along a tree that the positions of the items alone
    decide: the same bits for any number of ranks and any schedule (and, for up to 32 items without
    *initial*, the very fold from left to right).  *op* need not be commutative.

    Collective: every rank of *comm* calls; the root gets the value, the others None.

    Parameters
    ----------
    op : callable
        Associative: ``op(op(a, b), c) == op(a, op(b, c))``.
    gen : generator expression or map object
    initial : object, optional
        Put in front.
    **options
        See `plist`; ``errors`` can only be ``"raise"``.

    Raises
    ------
    TypeError
        No values and no *initial*, as `functools.reduce`.

    Examples
    --------
    >>> from operator import mul
    >>> from mpicomp import preduce
    >>> preduce(mul, (x for x in range(1, 6)), 1)
    120
    """

    def collector(*_: object) -> Folded:
        if not callable(op) or len(initial) > 1:
            raise OptionError("write preduce(op, gen) or preduce(op, gen, initial), op a function")
        return Folded(op, *initial)

    return _call("preduce", gen, collector, options, also=(op,))


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
    return _call("pmap", None, lambda *_: Listed(keeps_errors=True), options, usual=way, make=make)  # type: ignore[no-any-return]  # as in plist
