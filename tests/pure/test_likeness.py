"""Laws of likeness: what went through pickle is like itself, what differs in one bit is not."""

from __future__ import annotations

import datetime as dt
import math
import pickle
from collections import OrderedDict, namedtuple
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mpicomp.plan.likeness import same

NAN = float("nan")
Pair = namedtuple("Pair", "left right")


class Uncomparable:
    """Whose ``==`` raises."""

    def __init__(self, inside: Any) -> None:
        self.inside = inside

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not with me")

    __hash__ = None  # type: ignore[assignment]  # as a class with __eq__ has it


class Ambiguous(Uncomparable):
    """Whose ``==`` gives what is neither true nor false."""

    def __eq__(self, other: object) -> Any:
        return np.ones(2)

    __hash__ = None


def travelled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text()
    | st.binary() | st.decimals() | st.builds(Uncomparable, st.floats())
    | arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(min_dims=0, max_side=3))
    | st.floats().map(lambda x: np.array([x, "text", None], dtype=object))
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.floats(), inner, max_size=3)
        | st.builds(Pair, inner, inner) | st.builds(Ambiguous, inner)
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=60)
@given(VALUES)
@example({NAN: [NAN, {-0.0}]})
def test_what_has_travelled_is_like_itself(value: Any) -> None:
    assert same(travelled(value), travelled(value))


@settings(max_examples=40)
@given(VALUES, VALUES)
def test_likeness_has_no_side(one: Any, other: Any) -> None:
    one, other = travelled(one), travelled(other)
    assert same(one, other) == same(other, one)


@given(st.floats(), st.floats())
def test_floats_are_alike_as_their_text_is(one: float, other: float) -> None:
    assert same(one, other) == (repr(one) == repr(other))
    assert same([{"x": (one,)}], [{"x": (other,)}]) == (repr(one) == repr(other))
    assert same(np.float64(one), np.float64(other)) == (repr(one) == repr(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0), (1, True), ((1,), [1]), (Pair(1, 2), (1, 2)), ([1], [1, 1]),
        ({"a": 1}, {"a": 1.0}), ({"a": 1}, {"b": 1}), ({"a": 1}, OrderedDict(a=1)),
        ({NAN: 1}, {NAN: 2}), (0.0, -0.0), ([[], {"x": NAN}], [[], {"x": 1.0}]),
        (Decimal("1"), Decimal("2")), (dt.date(2020, 1, 1), dt.datetime(2020, 1, 1)),
        (Uncomparable(1), Uncomparable(2)), (Ambiguous([1]), Ambiguous([2])),
        (np.float32(1), np.float64(1)), (np.array(1.0), 1.0),
    ],
    ids=map(str, range(17)),
)  # fmt: skip
def test_values_that_differ_in_one_thing_are_not_alike(one: Any, other: Any) -> None:
    assert not same(travelled(one), travelled(other))


GRID = np.arange(6.0)


@pytest.mark.parametrize(
    "other",
    [
        GRID.astype(np.float32), GRID.reshape(2, 3), GRID[:5],
        GRID.astype(object), GRID * -1, np.where(GRID == 3, NAN, GRID),
        np.nextafter(GRID, math.inf),
    ],
    ids=map(str, range(7)),
)  # fmt: skip
def test_arrays_differ_by_dtype_by_shape_and_by_every_bit(other: Any) -> None:
    assert same(travelled(GRID), travelled(GRID))
    assert not same(travelled(GRID), travelled(other))


def test_arrays_of_objects_are_alike_as_their_objects_are() -> None:
    def made(last: Any) -> Any:
        return travelled(np.array([[1, "text"], [NAN, Uncomparable(last)]], dtype=object))

    assert same(made([1]), made([1]))
    assert not same(made([1]), made([1.0]))
    records = np.array([(1, "a")], dtype=[("number", "i4"), ("what", "O")])
    assert same(travelled(records), travelled(records))


def test_how_an_array_lies_in_memory_is_no_difference() -> None:
    grid = GRID.reshape(2, 3)
    assert same(travelled(np.asfortranarray(grid)), travelled(grid[:, ::-1])[:, ::-1])
