"""`seeded`: a sequence whose items come with random streams of their own.

Rules of this file: pure; what is wrong with a seed is told before anything is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as whole_number

from mpicomp.errors import OptionError
from mpicomp.plan.cuttable import Cuttable
from mpicomp.plan.find import find_source
from mpicomp.plan.source import Range, Source, Stream, is_array, length
from mpicomp.plan.streams import Seeded, SeededStream, Seeder, described

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, SupportsIndex, overload

    from numpy.random import Generator
    from numpy.typing import NDArray


class seeded(Cuttable["tuple[Any, Generator]"]):  # reads as a verb: for x, rng in seeded(xs, 7)
    """The pairs ``(x, rng)`` of each item of *xs* and a random stream of its own.

    Item number i has stream number i of *seed*, whoever computes it: the same digits for any
    number of ranks, any schedule, and without MPI.  A stream is made when its item is asked for,
    each time new; nothing is stored.

    Parameters
    ----------
    xs : iterable
        Whatever a comprehension may run over; taken as it is now.  A stream (a generator, a
        file) is consumed once, in order, on the root.
    seed : int or sequence of int
        At least 0, of any size; the same on every rank.

    Raises
    ------
    OptionError
        A seed that cannot be one; also None, which would be another one in each process.

    Notes
    -----
    The stream of item i is ``Generator(PCG64DXSM(SeedSequence(seed, spawn_key=(i,))))`` of
    `numpy.random`.  That stays so.  A slice of a ``seeded`` is one too, and its items keep their
    streams.

    Examples
    --------
    >>> from mpicomp import plist, seeded
    >>> plist(x + int(rng.integers(10)) for x, rng in seeded(range(0, 50, 10), seed=7))
    [8, 10, 27, 34, 46]
    """

    __slots__ = ("_source", "_xs")

    def __init__(self, xs: Iterable[Any], seed: int | Sequence[int] | NDArray[Any]) -> None:
        seeder = Seeder(_checked(seed))
        source = find_source(xs)
        self._xs = xs
        self._source: Seeded | SeededStream
        if source.n is not None and source.one_to_one:
            self._source = seeder([source, Range(range(source.n))])
        else:
            # what a filter drops has no number: who comes behind it has to know how many there were
            stream = source if isinstance(source, Stream) else Stream(iter(xs))
            self._source = SeededStream(stream, seeder)

    @property
    def source(self) -> Source:
        return self._source

    def __len__(self) -> int:
        return len(self._cuttable("a length").numbers)

    def __repr__(self) -> str:
        text = described(repr(self._xs), self._source.seeder)
        if isinstance(self._source, SeededStream):
            return text
        numbers = self._source.numbers
        return text if numbers == range(length(numbers)) else f"{text} at {numbers!r}"

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: SupportsIndex) -> tuple[Any, Generator]: ...
        @overload
        def __getitem__(self, index: slice) -> seeded: ...

    def __getitem__(self, index: Any) -> Any:
        source = self._cuttable("items by number")
        places = range(length(source.numbers))
        if isinstance(index, slice):
            return self._of(source.cut(places[index]))
        try:
            place = places[index]
        except IndexError:
            n = length(places)
            raise IndexError(f"index {index} is outside a seeded of {n} items") from None
        return next(source.cut(range(place, place + 1)).open()[0])

    def __reversed__(self) -> Any:
        return iter(self[::-1])

    def _cuttable(self, wanted: str) -> Seeded:
        if isinstance(self._source, SeededStream):
            raise TypeError(
                f"{self!r} has no {wanted}: its items are known once they have been read; "
                "write seeded(list(xs), seed)"
            )
        return self._source

    def _of(self, source: Seeded) -> seeded:
        part = object.__new__(type(self))
        part._xs, part._source = self._xs, source
        return part


def _checked(seed: Any) -> int | tuple[int, ...]:
    if seed is None:
        raise OptionError(
            "seed=None would be another seed in each process, and nobody could run it again; "
            "write a number, such as seed=7 or what secrets.randbits(128) gave you once"
        )
    if is_array(seed, or_subclass=True):
        seed = seed.tolist()
    several = isinstance(seed, Sequence) and not isinstance(seed, (str, bytes, bytearray))
    words = tuple(_word(word, seed) for word in (seed if several else (seed,)))
    if not words:
        raise OptionError(f"a seed needs a number at least, got {seed!r}; write seed=7")
    return words if several else words[0]


def _word(word: Any, seed: Any) -> int:
    try:
        exact = -1 if isinstance(word, bool) else whole_number(word)
    except TypeError:
        exact = -1
    if exact < 0:
        raise OptionError(
            f"a seed is a whole number >= 0 or a sequence of them, got {seed!r:.100}; "
            "write seed=7 or seed=(7, 1)"
        )
    return exact
