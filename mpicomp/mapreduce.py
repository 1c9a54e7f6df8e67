"""MapReduce: the verbs that bring values together by their keys.

Rules of this file: those of `mpicomp.verbs`.

Each rank combines what it has computed; then every key goes to the rank that a digest of it names,
the same in every process, with what each rank has of it; that rank combines this, and the root
collects.  So what one rank holds in between is its share of the keys.
"""

from __future__ import annotations

from mpicomp.calling import called
from mpicomp.engine.keyed import Keyed
from mpicomp.errors import OptionError
from mpicomp.plan.keyed import Counts, Folds, Groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable
    from typing import TypeVar, Unpack

    from mpicomp.options import Common, Options

    K = TypeVar("K")
    V = TypeVar("V")


def pcount(
    gen: Iterable[K], /, *, sort: bool = False, **options: Unpack[Common]
) -> Counter[K] | None:
    """The counter ``collections.Counter(gen)``: how often each value came.

    Collective: every rank of *comm* calls; the root gets the counter, the others None.

    Parameters
    ----------
    gen : generator expression or map object
        Of text, numbers, dates, or tuples of these (see `pgroup`).
    sort : bool, default False
        As in `pgroup`: by the values, not by how often they came (that is ``most_common()``).
    **options
        See `plist`; ``errors`` can only be ``"raise"``.

    Returns
    -------
    collections.Counter or None
        In the order of first appearance, as that of the standard library.  With ``root="stay"``
        a `Distributed` of pairs, as that of `pgroup`.

    Examples
    --------
    >>> from mpicomp import pcount
    >>> pcount(word for line in ["to be or", "not to be"] for word in line.split())
    Counter({'to': 2, 'be': 2, 'or': 1, 'not': 1})
    """
    from collections import Counter

    def collector(_: object, asked: Options) -> Keyed:
        return Keyed(Counts(), Counter, _sorted(sort, asked))

    return called("pcount", gen, collector, options, _told(sort))  # type: ignore[no-any-return]  # the engine knows nothing of K


def pgroup(
    gen: Iterable[tuple[K, V]], /, *, sort: bool = False, **options: Unpack[Common]
) -> dict[K, list[V]] | None:
    """The values of each key: what ``d.setdefault(key, []).append(value)`` makes of the pairs.

    Collective: every rank of *comm* calls; the root gets the dict, the others None.

    Parameters
    ----------
    gen : generator expression or map object
        Of pairs ``(key, value)``.  A key is text, bytes, a number, a date, a path, an Enum, None, a
        class, or a tuple or frozenset of these; keys that are equal come together, as ``1`` and
        ``1.0`` do.
    sort : bool, default False
        Keys in increasing order, instead of that of their first appearance.
    **options
        See `plist`; ``errors`` can only be ``"raise"``.  With ``root="stay"`` each key, with its
        values, is left on the rank that a digest of it names.

    Returns
    -------
    dict or None
        Keys in the order of first appearance, the values of each in the order of the items.  With
        ``root="stay"`` a `Distributed` of the pairs ``dict.items()`` has, in that order.

    Raises
    ------
    TransportError
        A key of another type, of which it is not known when two are equal; or NaN.
    TypeError
        Keys that *sort* cannot compare.

    Examples
    --------
    >>> from mpicomp import pgroup
    >>> pgroup((len(word), word) for word in ["fig", "pear", "plum", "kiwi", "yam"])
    {3: ['fig', 'yam'], 4: ['pear', 'plum', 'kiwi']}
    """

    def collector(_: object, asked: Options) -> Keyed:
        return Keyed(Groups(), sort=_sorted(sort, asked))

    return called("pgroup", gen, collector, options, _told(sort))  # type: ignore[no-any-return]  # as in pcount


def preduce_by_key(
    op: Callable[[V, V], V],
    gen: Iterable[tuple[K, V]],
    /,
    *,
    sort: bool = False,
    **options: Unpack[Common],
) -> dict[K, V] | None:
    """The fold of each key's values by an associative *op*: ``d[key] = op(d[key], value)``.

    Values of a key are combined in the order of the items, along a tree that the positions alone
    decide: the same bits for any number of ranks and any schedule (and, within each 32 items, the
    very fold from left to right).  *op* need not be commutative.

    Collective: every rank of *comm* calls; the root gets the dict, the others None.

    Parameters
    ----------
    op : callable
        Associative: ``op(op(a, b), c) == op(a, op(b, c))``.
    gen : generator expression or map object
        Of pairs ``(key, value)``; what a key can be is said at `pgroup`.
    sort, **options
        See `pgroup`.

    Returns
    -------
    dict or None
        Keys in the order of first appearance.  With ``root="stay"`` a `Distributed` of pairs, as
        that of `pgroup`.

    Raises
    ------
    TransportError, TypeError
        See `pgroup`.

    Examples
    --------
    >>> from operator import add
    >>> from mpicomp import preduce_by_key
    >>> preduce_by_key(add, ((x % 3, x) for x in range(10)))
    {0: 18, 1: 12, 2: 15}
    >>> preduce_by_key(max, ((len(word), word) for word in ["pear", "fig", "plum"]), sort=True)
    {3: 'fig', 4: 'plum'}
    """

    def collector(_: object, asked: Options) -> Keyed:
        if not callable(op):
            raise OptionError(
                f"write preduce_by_key(op, ((k, v) for ...)), op a function, got {op!r:.100}"
            )
        return Keyed(Folds(op), sort=_sorted(sort, asked))

    return called("preduce_by_key", gen, collector, options, _told(sort), also=(op,))  # type: ignore[no-any-return]  # as in pcount


def _sorted(sort: object, asked: Options) -> bool:
    """*sort*, if there can be such a call."""
    if not isinstance(sort, bool):
        raise OptionError(f"sort must be True or False, got {sort!r:.100}")
    if sort and asked.stays:
        raise OptionError(
            'sort=True puts the keys in order where they come together, and with root="stay" each '
            "stays on its own rank; leave one of them out"
        )
    return sort


def _told(sort: bool) -> str:
    """What the ranks agree on, where it is not as usual."""
    return f"sort={sort!r:.100}" if sort else ""
