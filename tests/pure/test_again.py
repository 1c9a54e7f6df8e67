"""A stream that can be read again, and a source that every rank has."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpicomp.plan.again import Everywhere, Remembered
from mpicomp.plan.source import Data, Zip, rebuild


def failing(n: int) -> Iterator[int]:
    yield from range(n)
    raise KeyError(n)


@given(n=st.integers(0, 20), reads=st.lists(st.integers(0, 25), max_size=5))
def test_it_gives_the_same_each_time_however_far_it_was_read(n: int, reads: list[int]) -> None:
    asked = []

    def items() -> Iterator[int]:
        for x in range(n):
            asked.append(x)
            yield x

    again = Remembered(items())
    for count in [*reads, n + 1]:
        assert list(islice(again, count)) == [*range(min(count, n))]
        again.rewind()
    assert asked == [*range(n)]  # of the user's each once


@pytest.mark.parametrize("n", [0, 3])
def test_it_fails_again_where_it_failed(n: int) -> None:
    again = Remembered(failing(n))
    for _ in range(3):
        found: list[Any] = []
        with pytest.raises(KeyError):
            found.extend(again)
        with pytest.raises(KeyError):
            next(again)
        assert found == [*range(n)]
        again.rewind()


def test_what_is_everywhere_need_not_be_sent() -> None:
    source = Everywhere(Zip([Data("abcd"), Data([1, 2, 3])]))
    assert (source.known, source.n, source.one_to_one, source.leaves()) == (True, 3, True, [])
    assert [*source.cut(range(1, 3)).open()[0]] == [("b", 2), ("c", 3)]
    assert [*source.open()[0]] == [("a", 1), ("b", 2), ("c", 3)]


@given(st.lists(st.integers(), max_size=5))
def test_what_is_everywhere_is_told_as_itself_and_brought_whole(items: list[int]) -> None:
    below = Zip([Data(items), Data(items)])
    source = Everywhere(below)
    assert repr(source) == repr(below)
    made = rebuild(source.outline(), iter(()), iter(()))
    assert [*made.open()[0]] == [(x, x) for x in items]
