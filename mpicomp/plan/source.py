"""What a comprehension's outermost ``for`` runs over, and how to cut it anywhere.

Rules of this file: pure; a cut costs no more than the items it holds; nothing is consumed
except by `Stream`, which alone cannot be cut.

All positions are those of the whole source, also on a rank that holds only its share: `Held`
knows where a share's items lie.
"""

from __future__ import annotations

import sys
from itertools import chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Self

    from mpicomp.plan.spread import Spread


def length(indices: range) -> int:
    """``len`` of a range of any size (the builtin stops at ``sys.maxsize``)."""
    try:
        return len(indices)
    except OverflowError:
        steps = indices.stop - indices.start + indices.step - (1 if indices.step > 0 else -1)
        return max(0, steps // indices.step)


def slice_range(whole: range, part: range) -> range:
    """The members of *whole* at the positions *part*."""
    return whole[slice_of(part)]


def slice_of(part: range) -> slice:
    """The slice that picks the positions *part*, also backwards to the very first."""
    if not part:
        return slice(0, 0)
    return slice(part.start, part.stop if part.stop >= 0 else None, part.step)


def is_array(items: object, or_subclass: bool = False) -> bool:
    """Whether *items* is a numpy array (and no subclass: those may slice as they like)."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return False
    return type(items) is numpy.ndarray or (or_subclass and isinstance(items, numpy.ndarray))


def is_typed_array(items: Any) -> bool:
    """Whether *items* is an array that can travel as raw bytes."""
    return is_array(items) and not items.dtype.hasobject


class Source:
    """A sequence that can be cut: ``n`` items, of which ``cut(positions)`` keeps some.

    Attributes
    ----------
    n : int or None
        Number of items; None when only consuming it can tell.
    known : bool
        Every rank can make it alone (it is made of ranges): nothing has to be sent.
    one_to_one : bool
        Each position gives exactly one item (not so for ``filter``).
    spread : Spread or None
        Somewhere in it, what lies on the ranks already: see `mpicomp.plan.spread`.
    """

    __slots__ = ("n",)
    n: int | None
    known = False
    one_to_one = True
    spread: Spread | None = None

    def __repr__(self) -> str:
        return f"a {type(self).__name__.lower()} of {self.n} items"

    def cut(self, part: range) -> Source:
        """The same kind of source, holding the items at the positions *part*."""
        raise TypeError(f"a {type(self).__name__} cannot be cut")

    def open(self) -> tuple[Iterator[Any], object]:
        """An iterator, and an object whose ``__length_hint__`` tells what it has left."""
        raise TypeError(f"a {type(self).__name__} cannot be opened")

    def outline(self) -> tuple[Any, ...]:
        """What another rank needs to know to build its own cut: all but the data."""
        raise TypeError(f"a {type(self).__name__} has no outline")

    def leaves(self) -> list[Data]:
        """The parts whose items have to be sent, in a fixed order."""
        return []

    def functions(self) -> list[Callable[..., Any]]:
        """The functions inside (of ``map`` and ``filter``), in the same fixed order."""
        return []


class Range(Source):
    """Three integers, equal on every rank."""

    __slots__ = ("items",)
    known = True

    def __init__(self, items: range) -> None:
        self.items = items
        self.n = length(items)

    def cut(self, part: range) -> Range:
        if part.step == 1 and part.stop - part.start == self.n:
            return self
        return Range(slice_range(self.items, part))

    def open(self) -> tuple[Iterator[int], object]:
        it = iter(self.items)
        return it, it

    def __repr__(self) -> str:
        return repr(self.items)

    def outline(self) -> tuple[Any, ...]:
        return ("known", self)


class Data(Source):
    """Items that exist on the root: a list, a tuple, text, an array."""

    __slots__ = ("items",)

    def __init__(self, items: Any) -> None:
        self.items = items
        self.n = len(items)

    def cut(self, part: range) -> Data:
        return Data(self.items[slice_of(part)])

    def open(self) -> tuple[Iterator[Any], object]:
        it = iter(self.items)
        return it, it

    def outline(self) -> tuple[Any, ...]:
        array = (self.items.dtype, self.items.shape[1:]) if is_typed_array(self.items) else None
        return ("data", self.n, array)

    def leaves(self) -> list[Data]:
        return [self]


class Picked(Data):
    """Items of any ``Sequence``, asked for one by one: what cannot be had fails by itself."""

    __slots__ = ("positions", "whole")

    def __init__(self, whole: Sequence[Any], positions: range) -> None:
        self.whole = whole
        self.positions = positions
        self.n = length(positions)

    @property
    def items(self) -> list[Any]:
        return [self.whole[i] for i in self.positions]

    def cut(self, part: range) -> Picked:
        return Picked(self.whole, slice_range(self.positions, part))

    def open(self) -> tuple[Iterator[Any], object]:
        places = iter(self.positions)
        return map(self.whole.__getitem__, places), places


class Held(Source):
    """The items of one rank's share, found by their positions in the whole source.

    Parameters
    ----------
    items : list or ndarray
        The share, in increasing order of position.
    n : int
        Length of the whole source.
    local : callable
        Position in the whole source -> place in *items*.
    """

    __slots__ = ("items", "local")

    def __init__(self, items: Any, n: int, local: Callable[[int], int]) -> None:
        self.items = items
        self.n = n
        self.local = local

    def cut(self, part: range) -> Data:
        at = self.local(part.start) if part else 0
        return Data(self.items[at : at + len(part)])


class Branch(Source):
    """A source made of other sources."""

    __slots__ = ("children",)
    has_function = False

    def __init__(self, children: Sequence[Source]) -> None:
        self.children = tuple(children)

    def __repr__(self) -> str:
        return f"{type(self).__name__.lower()}({', '.join(map(repr, self.children))})"

    def outline(self) -> tuple[Any, ...]:
        return ("branch", type(self), *(child.outline() for child in self.children))

    def over(self, children: Sequence[Source]) -> Branch:
        """The same over other *children*."""
        return type(self)(children, *self.functions()[: int(self.has_function)])

    @property
    def known(self) -> bool:  # type: ignore[override]  # a constant in the leaves
        return all(child.known for child in self.children)

    @property
    def one_to_one(self) -> bool:  # type: ignore[override]  # a constant in the leaves
        return all(child.one_to_one for child in self.children)

    @property
    def spread(self) -> Spread | None:  # type: ignore[override]  # a constant in the leaves
        return next((child.spread for child in self.children if child.spread is not None), None)

    def leaves(self) -> list[Data]:
        return [leaf for child in self.children for leaf in child.leaves()]

    def functions(self) -> list[Callable[..., Any]]:
        return [function for child in self.children for function in child.functions()]

    def open_children(self) -> tuple[list[Iterator[Any]], object]:
        opened = [child.open() for child in self.children]
        # the first child is asked first: what it has left tells which item is at work
        return [it for it, _ in opened], opened[0][1]


class Zip(Branch):
    """``zip`` over sources; ``enumerate`` is one whose first child is a range."""

    __slots__ = ()

    def __init__(self, children: Sequence[Source]) -> None:
        super().__init__(children)
        self.n = min((child.n or 0 for child in self.children), default=0)

    def cut(self, part: range) -> Zip:
        return Zip([child.cut(part) for child in self.children])

    def open(self) -> tuple[Iterator[Any], object]:
        its, probe = self.open_children() if self.children else ([], iter(()))
        return zip(*its, strict=False), probe


class Map(Branch):
    """``map`` of a function over sources."""

    __slots__ = ("function",)
    has_function = True

    def __init__(self, children: Sequence[Source], function: Callable[..., Any]) -> None:
        super().__init__(children)
        self.function = function
        self.n = min(child.n or 0 for child in self.children)

    def cut(self, part: range) -> Self:
        return type(self)([child.cut(part) for child in self.children], self.function)

    def open(self) -> tuple[Iterator[Any], object]:
        its, probe = self.open_children()
        return mapped(map, self.function, its), probe

    def functions(self) -> list[Callable[..., Any]]:
        return [self.function, *super().functions()]


class Filter(Map):
    """``filter`` by a function (or None) over one source."""

    __slots__ = ()
    one_to_one = False

    def open(self) -> tuple[Iterator[Any], object]:
        its, probe = self.open_children()
        return mapped(filter, self.function, its), probe


def mapped(
    kind: Callable[..., Iterator[Any]], function: Callable[..., Any], its: Sequence[Iterator[Any]]
) -> Iterator[Any]:
    """``kind(function, *its)`` (a `map`, say), whose function cannot end it.

    A StopIteration that *function* lets through would end the one slice where it happened and
    no other.  It is an error here, as it is in a generator expression.
    """
    asked = []

    def end() -> Iterator[Any]:
        asked.append(True)
        yield from ()

    def check() -> Iterator[Any]:
        if not asked:
            raise RuntimeError(f"{function!r} raised StopIteration")
        yield from ()

    return chain(kind(function, *(chain(it, end()) for it in its)), check())


class Stream(Source):
    """An iterator: consumed on the root, once, in order."""

    __slots__ = ("about", "iterator")

    def __init__(self, iterator: Iterator[Any], about: str = "") -> None:
        self.iterator = iterator
        self.about = about or f"a {type(iterator).__name__}"
        self.n = None

    def __repr__(self) -> str:
        return self.about

    def open(self) -> tuple[Iterator[Any], object]:
        return self.iterator, None

    def outline(self) -> tuple[Any, ...]:
        return ("stream",)


def rebuild(
    outline: tuple[Any, ...], leaves: Iterator[Source], functions: Iterator[Callable[..., Any]]
) -> Source:
    """The source that *outline* describes, with these leaves and functions in their order."""
    kind, *rest = outline
    if kind == "data":
        return next(leaves)
    if kind == "known":
        made: Source = rest[0]
        return made
    branch, *inner = rest
    function = [next(functions)] if branch.has_function else []
    return branch([rebuild(child, leaves, functions) for child in inner], *function)  # type: ignore[no-any-return]  # a Branch
