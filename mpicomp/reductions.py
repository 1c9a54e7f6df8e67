"""The verbs that make one value of many: sums, extremes, searches, folds.

Rules of this file: those of `mpicomp.verbs`.
"""

from __future__ import annotations

from typing import Any

from mpicomp.calling import called
from mpicomp.engine.reducing import Folded, Searched, Summed, picked
from mpicomp.errors import OptionError
from mpicomp.options import SPREAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Unpack

    from mpicomp.options import Common, Options
    from mpicomp.plan.comprehension import Comprehension


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

    return called("psum", gen, collector, options)


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
    return called("pmin", gen, lambda *_: picked(min, key, default), options, also=(key,))


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
    return called("pmax", gen, lambda *_: picked(max, key, default), options, also=(key,))


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
    return called("pany", gen, lambda *_: Searched(sought=True), options, usual=SPREAD)  # type: ignore[no-any-return]  # the engine knows no verb


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
    return called("pall", gen, lambda *_: Searched(sought=False), options, usual=SPREAD)  # type: ignore[no-any-return]  # the engine knows no verb


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

    return called("preduce", gen, collector, options, also=(op,))
