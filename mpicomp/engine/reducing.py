"""What becomes of values that come down to one: folds, sums, the least and the greatest, a search.

Rules of this file: those of `mpicomp.engine.collect`.
"""

from __future__ import annotations

import sys
from functools import partial, reduce
from itertools import chain, islice
from operator import add
from typing import Any

from mpicomp.engine.collect import Collector, Decided, Listed
from mpicomp.plan.exact import exact_types, expansion, kinds_of, total
from mpicomp.plan.fold import LEAF, Fold, leaves, merged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


def lowest(key: Callable[[Any], Any] | None, pick: Callable[..., Any]) -> Callable[..., list[Any]]:
    """For `min` and `max`: the one value of a piece that can still be the result.

    A NaN compares false with everything: it is the result where it comes first of all, and
    passed over elsewhere.  So a NaN that leads its piece is kept beside the best of the others.
    """

    def thin(values: Iterable[Any]) -> list[Any]:
        found = list(values)
        keys = found if key is None else list(map(key, found))
        places: Sequence[int] = range(len(found))
        head: list[Any] = []
        if any(map(_unordered, keys)):
            head = found[:1] if _unordered(keys[0]) else []
            places = [place for place in places if not _unordered(keys[place])]
        if not places:
            return head
        return [*head, found[pick(places, key=keys.__getitem__)]]

    return thin


def _unordered(key: Any) -> bool:
    """Whether *key* is a NaN, or numpy's like of it for single floats and dates."""
    if isinstance(key, float):
        return key != key
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(key, numpy.generic) and bool(key != key)


class Folded(Collector):
    """``functools.reduce`` along the tree of `mpicomp.plan.fold`."""

    by_leaf = True
    contiguous = True

    def __init__(self, op: Callable[[Any, Any], Any], *initial: Any) -> None:
        self.op = op
        self.initial = initial
        self.fold = Fold(op)

    def take(self, piece: range, values: Iterator[Any] | list[Any]) -> None:
        if piece.start % LEAF == 0:
            # reduced as they come, so that an error of op meets the item at work
            items = iter(values)
            found = [reduce(self.op, items, first) for first in islice(items, 1)]
        else:
            found = list(values)
        self.fold.add(piece.start, piece.stop, found)

    def export(self) -> Any:
        return self.fold.nodes

    def fresh(self) -> Folded:
        return Folded(self.op)

    def absorb(self, part: Any) -> None:
        for start, stop, level, values in part:
            self.fold.add(start, stop, values, level)

    def finish(self, exports: list[Any], n: int) -> Any:
        return merged(self.op, n, chain.from_iterable(exports)).result(*self.initial)


class Summed(Collector):
    """``sum``: exact for ints and floats, a fold for everything else that can be added."""

    contiguous = True
    eager = True

    def __init__(self, start: Any, one_to_one: bool) -> None:
        self.start = start
        self.by_leaf = not one_to_one  # else a piece's values can be told apart by item
        self.terms: list[Any] = []
        self.kinds: set[type] = set()
        self.fold = Fold(add)

    def take(self, piece: range, values: Iterator[Any] | list[Any]) -> None:
        found = list(values)
        kinds = kinds_of(found)
        if kinds is not None:
            self._add(found, kinds)
            return
        exact = exact_types()
        numbers = [value for value in found if type(value) in exact]
        self._add(numbers, set(map(type, numbers)))
        for leaf in leaves(piece):
            at = leaf.start - piece.start
            part = found if self.by_leaf else found[at : at + len(leaf)]
            others = [_countable(value) for value in part if type(value) not in exact]
            self.fold.add(leaf.start, leaf.stop, others)

    def _add(self, numbers: list[Any], kinds: set[type]) -> None:
        if not numbers:
            return
        self.kinds |= kinds
        self._put(expansion(numbers, kinds))

    def _put(self, terms: list[Any]) -> None:
        self.terms += terms
        if len(self.terms) > 1000:
            self.terms = expansion(self.terms, set(map(type, self.terms)))

    def export(self) -> Any:
        return self.terms, self.kinds, self.fold.nodes

    def fresh(self) -> Summed:
        return Summed(0, not self.by_leaf)

    def absorb(self, part: Any) -> None:
        terms, kinds, nodes = part
        self.kinds |= kinds
        self._put(terms)
        for start, stop, level, values in nodes:
            self.fold.add(start, stop, values, level)

    def finish(self, exports: list[Any], n: int) -> Any:
        terms = [term for export in exports for term in export[0]]
        kinds = set().union(*(export[1] for export in exports))
        value = self.start
        if terms and type(value) in exact_types():
            value = total([*terms, value], kinds | {type(value)})
        elif terms:
            value = value + total(terms, kinds)
        others = merged(add, n, chain.from_iterable(export[2] for export in exports))
        return others.result(value)


def _countable(value: Any) -> Any:
    """Arrays of truth values as numbers: their own ``+`` is a logical or."""
    return value + 0 if getattr(getattr(value, "dtype", None), "kind", "") == "b" else value


class Searched(Collector):
    """``any`` (or, with *sought* False, ``all``): over at the first item that decides."""

    contiguous = True

    def __init__(self, sought: bool) -> None:
        self.sought = sought
        self.found = False

    def needed(self, values: Iterator[Any]) -> Iterator[Any]:
        for value in values:
            truth = bool(value)
            yield truth
            if truth is self.sought:
                return

    def take(self, piece: range, values: Iterator[Any] | list[Any]) -> None:
        if any(values) if self.sought else not all(values):
            self.found = True
            raise Decided

    def export(self) -> Any:
        return self.found

    def fresh(self) -> Searched:
        return Searched(self.sought)

    def absorb(self, part: Any) -> None:
        self.found |= part

    def finish(self, exports: list[Any], n: int) -> bool:
        return any(exports) is self.sought


def picked(pick: Callable[..., Any], key: Callable[[Any], Any] | None, default: Any) -> Listed:
    """``min`` or ``max``."""
    extra = {} if default is ... else {"default": default}
    return Listed(partial(pick, key=key, **extra), lowest(key, pick))
