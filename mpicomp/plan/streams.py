"""Random streams, one an item: the sources behind `seeded`.

Rules of this file: pure; a stream depends on the seed and on its number, and on nothing else;
numpy is imported when the first stream is made.

The stream of item i is ``Generator(PCG64DXSM(SeedSequence(seed, spawn_key=(i,))))``, which is
what numpy's own ``SeedSequence(seed).spawn(n)[i]`` seeds.  A Philox with the item in its counter
was the other way: no two of its streams are alike for certain, where two of these are with a
chance of 2**-128; but it is no cheaper to make (numpy seeds it in vain), and its ``rng.spawn``
fails, where each of these has children of its own.
"""

from __future__ import annotations

from itertools import count, starmap

from mpicomp.plan.source import Branch, Range, Source, Stream
from mpicomp.plan.value import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from numpy.random import Generator


class Seeder(Frozen):
    """Makes the streams of one seed.

    Called with sources, it gives the `Seeded` over them: so an outline carries the seed.

    Parameters
    ----------
    entropy : int or tuple of int
        As `numpy.random.SeedSequence` takes it.
    """

    __slots__ = ("entropy",)
    __match_args__ = ("entropy",)
    entropy: int | tuple[int, ...]
    has_function = False  # to an outline, this is a kind of branch

    def __init__(self, entropy: int | tuple[int, ...]) -> None:
        self._set(entropy=entropy)

    def __call__(self, children: Sequence[Source]) -> Seeded:
        return Seeded(children, self)

    def maker(self) -> Callable[[Any, int], tuple[Any, Generator]]:
        """A function: an item and its number -> the item and its stream, new."""
        from numpy.random import PCG64DXSM, Generator, SeedSequence

        entropy = self.entropy

        def pair(x: Any, number: int) -> tuple[Any, Generator]:
            return x, Generator(PCG64DXSM(SeedSequence(entropy, spawn_key=(number,))))

        return pair

    def pairs(self, rows: Iterator[tuple[Any, int]]) -> Iterator[tuple[Any, Generator]]:
        """Numbered items -> items with their streams, each made when it is asked for."""
        return starmap(self.maker(), rows)


class Seeded(Branch):
    """Items with their streams; its children are the items and the numbers of the streams."""

    __slots__ = ("seeder",)

    def __init__(self, children: Sequence[Source], seeder: Seeder) -> None:
        super().__init__(children)
        self.seeder = seeder
        self.n = self.children[0].n

    def __repr__(self) -> str:
        return described(repr(self.children[0]), self.seeder)

    @property
    def numbers(self) -> range:
        numbers = self.children[1]
        assert isinstance(numbers, Range), "streams are numbered by a range"
        return numbers.items

    def outline(self) -> tuple[Any, ...]:
        return ("branch", self.seeder, *(child.outline() for child in self.children))

    def over(self, children: Sequence[Source]) -> Seeded:
        return self.seeder(children)

    def cut(self, part: range) -> Seeded:
        return self.seeder([child.cut(part) for child in self.children])

    def open(self) -> tuple[Iterator[Any], object]:
        its, probe = self.open_children()
        return map(self.seeder.maker(), *its), probe


class SeededStream(Stream):
    """The same over a stream.

    Attributes
    ----------
    rows : Stream
        The items with their numbers: what has to travel, where the pairs need not.
    """

    __slots__ = ("rows", "seeder")

    def __init__(self, xs: Stream, seeder: Seeder) -> None:
        rows = zip(xs.iterator, count(), strict=False)
        self.rows = Stream(rows, described(repr(xs), seeder))
        self.seeder = seeder
        super().__init__(seeder.pairs(rows), repr(self.rows))


def described(xs: str, seeder: Seeder) -> str:
    """For people, with the seed: ranks that differ in it can tell why they do."""
    return f"seeded({xs}, seed={seeder.entropy!r})"
