"""What outlives the rank that had it: a source that is on every rank, a stream that begins again.

Rules of this file: pure.
"""

from __future__ import annotations

from mpicomp.plan.source import Branch, Data, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Everywhere(Branch):
    """A source whose items are on every rank by now."""

    __slots__ = ()
    known = True

    def __init__(self, whole: Source) -> None:
        super().__init__([whole])
        self.n = whole.n

    def __repr__(self) -> str:
        return repr(self.children[0])

    def cut(self, part: range) -> Source:
        return self.children[0].cut(part)

    def open(self) -> tuple[Iterator[Any], object]:
        return self.children[0].open()

    def outline(self) -> tuple[Any, ...]:
        return ("known", self)

    def leaves(self) -> list[Data]:
        return []


class Remembered:
    """An iterator that can begin again: it keeps what it has given."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator
        self._given: list[Any] = []
        self._end: BaseException | None = None
        self._at = 0

    def __iter__(self) -> Remembered:
        return self

    def __next__(self) -> Any:
        if self._at == len(self._given):
            if self._end is not None:
                raise self._end
            try:
                self._given.append(next(self._iterator))
            except BaseException as exc:  # it might go on, and must not
                self._end = exc
                raise
        self._at += 1
        return self._given[self._at - 1]

    def rewind(self) -> None:
        """Begin again."""
        self._at = 0
