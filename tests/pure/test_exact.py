"""Laws of the exact sum: `math.fsum` and `fractions.Fraction` as oracles, in any partition."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mpicomp.plan.exact import expansion, kinds_of, total

numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**900), 2**900)


def summed(parts: list[list[Any]]) -> Any:
    """As the ranks do it: each expands its part, the root adds up what they sent."""
    kinds: set[type] = set()
    terms: list[Any] = []
    for part in parts:
        found = kinds_of(part)
        assert found is not None
        kinds |= found
        terms += expansion(part, found)
    again = expansion(terms, kinds_of(terms) or set())  # a rank that has many of them
    assert repr(total(again, kinds)) == repr(total(terms, kinds))
    return total(terms, kinds)


def partitions(values: list[Any]) -> list[list[list[Any]]]:
    return [
        [values],
        [[value] for value in values],
        [[], values[::2], values[1::2]],
        [values[len(values) // 2 :], values[: len(values) // 2]],
    ]


def bits(value: Any) -> tuple[type, str]:
    return type(value), value.hex() if isinstance(value, float) else repr(value)


@given(st.lists(numbers, max_size=30))
@example([1e308, 1e308, -1e308, 1.5])
@example([1e16, 1.0, -1e16])
@example([2**53 + 1, 1e-300])
@example([1e308, 1e308, 2**1000])
def test_the_exact_sum_rounded_once(values: list[Any]) -> None:
    exact = sum(map(Fraction, values), Fraction())
    for parts in partitions(values):
        found = summed(parts)
        if not any(isinstance(value, float) for value in values):
            assert type(found) is int
            assert found == exact
            continue
        try:
            assert found == float(exact)
        except OverflowError:
            assert found == (math.inf if exact > 0 else -math.inf)


@given(st.lists(st.floats(), max_size=20))
def test_fsum_where_it_has_an_answer(values: list[float]) -> None:
    try:
        serial = math.fsum(values)
    except (OverflowError, ValueError):
        serial = None
    answers = {bits(summed(parts)) for parts in partitions(values)} if values else set()
    assert len(answers) <= 1
    if serial and values:
        assert answers == {bits(serial)}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([math.inf, 1e308, 1e308, 1e308], math.inf),
        ([-math.inf, 1.0], -math.inf),
        ([math.inf, -math.inf], math.nan),
        ([math.nan, 1e308, 1e308, 1e308], math.nan),
        ([math.inf, 10**300], math.inf),
        ([1e308, 1e308], math.inf),
        ([-1e308, -1e308], -math.inf),
        ([10**400, 1.5, -(10**400)], 1.5),
    ],
)
def test_the_edges(values: list[Any], expected: float) -> None:
    for parts in partitions(values):
        assert repr(summed(parts)) == repr(expected)


@pytest.mark.parametrize("beside", [0.5, math.inf, np.float64(1)])
def test_an_int_beyond_floats_cannot_stand_beside_them(beside: float) -> None:
    for parts in partitions([10**400, beside]):
        with pytest.raises(OverflowError):
            summed(parts)


ONE = [1, True, 1.0, np.float64(1), np.bool_(True)]


@pytest.mark.parametrize("first", ONE, ids=repr)
@pytest.mark.parametrize("second", ONE, ids=repr)
def test_the_type_is_that_of_the_serial_sum(first: Any, second: Any) -> None:
    for values in ([first], [second], [first, second], [first, first, second]):
        for parts in partitions(values):
            assert bits(summed(parts)) == bits(sum(values))


def test_other_types_are_not_taken() -> None:
    for value in (1j, Decimal(1), Fraction(1), np.float32(1), np.int64(1), "1", None):
        assert kinds_of([1, 2.0, value]) is None


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=50))
def test_an_expansion_is_exact(values: list[float]) -> None:
    terms = expansion(values, {float})
    assert sum(Fraction(t) for t in terms) == sum(Fraction(v) for v in values)
