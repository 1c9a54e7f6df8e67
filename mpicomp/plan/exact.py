"""Sums of numbers without rounding on the way, so that their order does not matter.

Rules of this file: pure.

A list of floats has an exact sum, which a few floats can hold (Shewchuk 1997, Discrete &
Computational Geometry 18: an expansion).  `math.fsum` gives its correctly rounded value; summed
again with that value taken away it gives the next term, and so on.  Expansions of many ranks
are summed exactly once more and rounded once: the result has the same bits however the items
were shared out.
"""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from math import fsum, isfinite

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Number = int | float | Fraction


_BUILTIN = frozenset((int, bool, float))


def kinds_of(values: list[Any]) -> set[type] | None:
    """The types among *values*; None when some are neither ints, floats nor numpy's own two."""
    kinds = set(map(type, values))
    return kinds if kinds <= _BUILTIN or kinds <= exact_types() else None


def exact_types() -> set[type]:
    """The types whose values can be summed exactly."""
    return {*_BUILTIN, *_numpy()}


def _numpy() -> tuple[type, ...]:
    """numpy's float64, and its bool: they are counted, though ``True_ + True_`` is ``True_``."""
    numpy = sys.modules.get("numpy")
    return (numpy.float64, numpy.bool_) if numpy else ()


def expansion(values: list[Any], kinds: set[type]) -> list[Number]:
    """A few numbers whose exact sum is that of *values*, which may be earlier expansions' terms."""
    if kinds and kinds <= {int, bool}:
        return [sum(values)]
    if kinds and all(issubclass(kind, float) for kind in kinds):
        return _expand(values)
    ints = [int(v) for v in values if not isinstance(v, (float, Fraction))]
    fractions = [v for v in values if isinstance(v, Fraction)]
    floats = [v for v in values if isinstance(v, float)]
    return [sum(ints), sum(fractions, Fraction()), *_expand(floats)]


def _expand(floats: list[float]) -> list[Number]:
    terms: list[Number] = []
    try:
        term = fsum(floats)
        while term and isfinite(term):
            terms.append(term)
            term = fsum([*floats, *(-t for t in terms)])
    except (OverflowError, ValueError):  # on the way only; or both infinities are there
        unusual = [f for f in floats if not isfinite(f)]
        return [sum(unusual) if unusual else sum(map(Fraction, floats))]
    return [*terms, term]


def total(terms: list[Any], kinds: set[type]) -> Any:
    """The sum of *terms*, rounded once, of the type that the serial sum would have.

    Raises
    ------
    OverflowError
        The ints among the items make one too large for a float and stand beside floats.
    """
    whole = sum(int(term) for term in terms if not isinstance(term, (float, Fraction)))
    special = kinds - {int, bool, float}
    if not any(issubclass(kind, float) for kind in kinds):
        return sys.modules["numpy"].int64(whole) if special else whole
    float(whole)  # raises as the serial sum would, whatever the floats are
    rest: list[Any] = [term for term in terms if isinstance(term, (float, Fraction))]
    unusual = [term for term in rest if isinstance(term, float) and not isfinite(term)]
    value = sum(unusual) if unusual else _rounded(sum(map(Fraction, rest), Fraction(whole)))
    return sys.modules["numpy"].float64(value) if special else float(value)


def _rounded(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf
