"""Functions that take a whole chunk at a time.

Rules of this file: pure.
"""

from __future__ import annotations

from mpicomp.errors import BatchError
from mpicomp.plan.comprehension import Comprehension
from mpicomp.plan.find import find_source
from mpicomp.plan.source import Data, Map, Range, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import CodeType
    from typing import Any

    from mpicomp.plan.source import Source


class BatchedMap(Map):
    """``function(chunk, chunk, …)`` over sources that are cut alike."""

    __slots__ = ()

    def open(self) -> tuple[Iterator[Any], object]:
        it = _results(self.function, [_chunk(child) for child in self.children], self.n or 0)
        return it, it


def _chunk(source: Source) -> Any:
    return source.items if isinstance(source, (Data, Range)) else list(source.open()[0])


def _results(function: Callable[..., Any], chunks: Sequence[Any], n: int) -> Iterator[Any]:
    results = function(*chunks)
    if len(results) != n:
        items, given = _counted(n, "item"), _counted(len(results), "result")
        raise BatchError(f"a batched function got {items} and gave {given}; give one for each")
    return iter(results)


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" + ("" if n == 1 else "s")


def batched_map(
    function: Callable[..., Any], iterables: Sequence[Iterable[Any]], code: CodeType | None
) -> Comprehension:
    """The comprehension that gives *function* whole runs of *iterables*."""
    sources = [find_source(iterable) for iterable in iterables]
    source: Source
    if all(source.n is not None and source.one_to_one for source in sources):
        source = BatchedMap(sources, function)
    else:
        source = Stream(zip(*iterables, strict=False))

    def make(items: Iterator[Any]) -> Iterator[Any]:
        rows = list(items)
        return (
            _results(function, list(map(list, zip(*rows, strict=True))), len(rows))
            if rows
            else iter(())
        )

    return Comprehension(iter, source, code, True, function, (make,))
