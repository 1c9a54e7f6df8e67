"""Laws of batched functions: whole runs in, as many results out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from mpicomp.errors import BatchError
from mpicomp.plan.batch import batched_map
from mpicomp.plan.comprehension import code_of
from mpicomp.plan.source import Stream


def batched(function: Callable[..., Any], *iterables: Iterable[Any]) -> Any:
    return batched_map(function, iterables, code_of(function))


def values(comprehension: Any, part: range) -> list[Any]:
    return list(comprehension.make(comprehension.source.cut(part).open()[0]))


def test_a_run_comes_whole_and_as_it_lies() -> None:
    seen: list[Any] = []

    def note(*chunks: Any) -> list[int]:
        seen.append(chunks)
        return [7] * len(chunks[0])

    array = np.arange(10.0)
    assert values(batched(note, range(0, 20, 2), array, "abcdefghij"), range(3, 9, 2)) == [7] * 3
    ((numbers, floats, letters),) = seen
    assert numbers == range(6, 18, 4)
    assert isinstance(floats, np.ndarray)
    assert floats.tolist() == [3.0, 5.0, 7.0]
    assert list(letters) == ["d", "f", "h"]


@pytest.mark.parametrize("iterable", [{3: 1, 4: 1}, {3, 4}, zip([3, 4]), map(int, "34")])
def test_any_iterable_that_can_be_cut(iterable: Iterable[Any]) -> None:
    (chunk,) = values(batched(lambda chunk: [list(chunk)] * len(chunk), iterable), range(1, 2))
    assert chunk in ([4], [(4,)])


def test_lengths_are_those_of_the_shortest() -> None:
    comprehension = batched(lambda a, b: [len(a)] * len(b), range(9), "abc")
    assert comprehension.source.n == 3
    assert comprehension.whole_runs
    assert comprehension.one_to_one
    assert values(comprehension, range(3)) == [3, 3, 3]


@pytest.mark.parametrize("given", [0, 2, 4])
def test_another_number_of_results_is_told(given: int) -> None:
    with pytest.raises(BatchError, match=f"got 3 items and gave {given} results?; give one"):
        values(batched(lambda chunk: [0] * given, range(9)), range(3))


def test_one_is_one() -> None:
    with pytest.raises(BatchError, match="got 1 item and gave 2 results"):
        values(batched(lambda chunk: [1, 2], range(9)), range(1))


@pytest.mark.parametrize(
    "iterables",
    [((x for x in range(5)),), ((x for x in range(5)), "abcde"), (filter(None, range(6)),)],
    ids=["one", "two", "filter"],
)
def test_of_a_stream_windows_come_whole(iterables: tuple[Iterable[Any], ...]) -> None:
    comprehension = batched(lambda *chunks: [len(chunks[-1])] * len(chunks[0]), *iterables)
    assert isinstance(comprehension.source, Stream)
    window = list(comprehension.source.iterator)
    assert len(window) == 5
    assert list(comprehension.streamed().make(iter(window))) == [5] * 5
    assert list(comprehension.streamed().make(iter(()))) == []
