"""`product`: several nested loops as one sequence that can be cut anywhere.

Rules of this file: pure; nothing is stored but the factors.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat

from mpicomp.errors import OptionError
from mpicomp.plan.cuttable import Cuttable
from mpicomp.plan.source import Source, length, slice_range
from mpicomp.plan.streams import Seeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any


def _size(factor: Sequence[Any]) -> int:
    return length(factor) if isinstance(factor, range) else len(factor)


class product(Cuttable["tuple[Any, ...]"]):  # named as itertools.product, which it mirrors
    """The Cartesian product of sequences, as a sequence that can be cut.

    ``for i, j in product(range(4), range(10**6))`` shares out both loops among the ranks
    (OpenMP's ``collapse``), where ``for i in range(4) for j in range(10**6)`` shares out the
    first.  The order is that of `itertools.product`; nothing is stored.

    Parameters
    ----------
    *factors : sequence
        Anything with a length and items by number; all others are made into lists.

    Examples
    --------
    >>> from mpicomp import plist, product
    >>> plist(10 * i + j for i, j in product(range(2), range(3)))
    [0, 1, 2, 10, 11, 12]
    """

    __slots__ = ("factors", "n")

    def __init__(self, *factors: Iterable[Any]) -> None:
        for factor in factors:
            if isinstance(factor, Cuttable) and factor.source.spread is not None:
                raise OptionError(
                    f"product pairs each of its values with all others, and {factor!r} lies on "
                    "several ranks; write f(x, y) for x in d for y in ys, or gather(root=None) it"
                )
            if isinstance(factor, Cuttable) and isinstance(factor.source, Seeded):
                raise OptionError(
                    "product would use a random stream for many items, and what one draws would "
                    "depend on the others; write seeded(product(xs, ys), seed): a stream an item"
                )
        self.factors = tuple(f if isinstance(f, Sequence) else list(f) for f in factors)
        self.n = 1
        for factor in self.factors:
            self.n *= _size(factor)

    def __len__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return f"product({', '.join(map(repr, self.factors))})"

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(self.n)[index]]
        if not -self.n <= index < self.n:
            raise IndexError(f"index {index} is outside a product of {self.n} items")
        rest, item = index % self.n, []
        for factor in reversed(self.factors):
            rest, place = divmod(rest, _size(factor))
            item.append(factor[place])
        return tuple(reversed(item))

    @property
    def source(self) -> Product:
        return Product(self, range(self.n))


class Product(Source):
    """Some positions of a `product`."""

    __slots__ = ("positions", "whole")

    def __init__(self, whole: product, positions: range) -> None:
        self.whole = whole
        self.positions = positions
        self.n = length(positions)

    def __repr__(self) -> str:
        return f"{self.whole!r} at {self.positions!r}"

    @property
    def known(self) -> bool:  # type: ignore[override]  # a constant in the other leaves
        return all(isinstance(factor, range) for factor in self.whole.factors)

    def cut(self, part: range) -> Product:
        return Product(self.whole, slice_range(self.positions, part))

    def open(self) -> tuple[Iterator[tuple[Any, ...]], object]:
        if self.positions.step != 1 or not self.whole.factors:
            places = iter(self.positions)
            return map(self.whole.__getitem__, places), places
        rows = _Rows(self.whole.factors, self.positions)
        return chain.from_iterable(rows), rows

    def outline(self) -> tuple[Any, ...]:
        return ("known", self)


class _Rows:
    """Runs along the last factor: each is a ``zip`` that works at C speed and stores nothing."""

    def __init__(self, factors: tuple[Sequence[Any], ...], positions: range) -> None:
        self.outer, self.inner = product(*factors[:-1]), factors[-1]
        self.positions = positions
        self.behind = 0
        self.row: Iterator[Any] = iter(())

    def __iter__(self) -> Iterator[Iterator[tuple[Any, ...]]]:
        width = _size(self.inner)
        at, stop = self.positions.start, self.positions.stop
        while at < stop:
            row, column = divmod(at, width)
            end = min(width, column + stop - at)
            self.row = iter(
                [self.inner[i] for i in range(column, end)]
                if not isinstance(self.inner, (range, list, tuple))
                else self.inner[column:end]
            )
            at += end - column
            self.behind = stop - at
            yield zip(*map(repeat, self.outer[row]), self.row, strict=False)

    def __length_hint__(self) -> int:
        left: int = self.row.__length_hint__()  # type: ignore[attr-defined]  # of range, list, tuple
        return self.behind + left
