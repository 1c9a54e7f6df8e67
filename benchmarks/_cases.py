"""What is measured: each kind of work, as a user of each side would write it.

- ``serial``: the comprehension of the language.
- ``shared``: the same comprehension given to mpicomp.
- ``part`` and ``join``: the work on one span of the range, for a pool to map over spans, and the
  way from its results to the value. So no pool pays per item; it is what their chunk sizes do.
- ``by_hand``: typed buffers and one ``Gatherv`` into an array, as mpi4py's documentation teaches.
"""

from __future__ import annotations

import itertools
import math
import random
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mpicomp import parray, plist

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

Array = np.ndarray[Any, np.dtype[Any]]
Span = tuple[int, int]

MIB = 131_072  # float64 values in 1 MiB


def spans(n: int, pieces: int) -> list[Span]:
    """Cut ``range(n)`` into at most *pieces* even half-open spans, none of them empty."""
    cuts = [n * k // pieces for k in range(pieces + 1)]
    return [(start, stop) for start, stop in itertools.pairwise(cuts) if start < stop]


def gathered(
    comm: Intracomm, n: int, row: tuple[int, ...], dtype: type, fill: Callable[[Array, Span], None]
) -> Array | None:
    """Let each rank fill its rows of an array of *n*; rank 0 gets the whole."""
    from mpi4py import MPI

    cuts = [n * r // comm.size for r in range(comm.size + 1)]
    start, stop = cuts[comm.rank], cuts[comm.rank + 1]
    counts = [(b - a) * math.prod(row) for a, b in itertools.pairwise(cuts)]
    if comm.rank:
        part: Array = np.empty((stop - start, *row), dtype)
        fill(part, (start, stop))
        comm.Gatherv(part, None)
        return None
    whole: Array = np.empty((n, *row), dtype)
    fill(whole[start:stop], (start, stop))
    comm.Gatherv(MPI.IN_PLACE, (whole, counts))
    return whole


class Work(ABC):
    """One kind of work on ``range(n)``; see the head of this file."""

    @abstractmethod
    def serial(self, n: int) -> Any: ...

    @abstractmethod
    def shared(self, n: int) -> Any: ...

    def same(self, value: Any, expected: Any) -> bool:
        """Tell whether *value* is what the serial side made."""
        return bool(value == expected)


class Spread(Work):
    """What other packages, and mpi4py by hand, are asked for too."""

    @abstractmethod
    def by_hand(self, comm: Intracomm, n: int) -> Any: ...

    @abstractmethod
    def part(self, span: Span) -> Any: ...

    def join(self, parts: list[Any]) -> Any:
        return list(itertools.chain.from_iterable(parts))


class SquaresToList(Spread):
    """``[x * x for x in range(n)]``."""

    def serial(self, n: int) -> list[int]:
        return [x * x for x in range(n)]

    def shared(self, n: int) -> list[int] | None:
        return plist(x * x for x in range(n))

    def by_hand(self, comm: Intracomm, n: int) -> Any:
        def fill(part: Array, span: Span) -> None:
            part[:] = np.fromiter((x * x for x in range(*span)), np.int64, len(part))

        whole = gathered(comm, n, (), np.int64, fill)
        return None if whole is None else whole.tolist()

    def part(self, span: Span) -> list[int]:
        return [x * x for x in range(*span)]

    def same(self, value: list[int], expected: list[int]) -> bool:
        return value == expected and set(map(type, value)) <= {int}


class SquaresToArray(Spread):
    """``np.fromiter((x * x for x in range(n)), float, n)``."""

    def serial(self, n: int) -> Array:
        return np.fromiter((x * x for x in range(n)), float, n)

    def shared(self, n: int) -> Array | None:
        return parray(x * x for x in range(n))

    def by_hand(self, comm: Intracomm, n: int) -> Array | None:
        def fill(part: Array, span: Span) -> None:
            part[:] = np.fromiter((x * x for x in range(*span)), float, len(part))

        return gathered(comm, n, (), float, fill)

    def part(self, span: Span) -> Array:
        start, stop = span
        return np.fromiter((x * x for x in range(start, stop)), float, stop - start)

    def join(self, parts: list[Array]) -> Array:
        return np.concatenate(parts)

    def same(self, value: Array, expected: Array) -> bool:
        return value.dtype == expected.dtype and np.array_equal(value, expected)


def mebibyte(i: int) -> Array:
    """Make one result of 1 MiB."""
    return np.full(MIB, float(i))


class Mebibytes(Spread):
    """``[mebibyte(i) for i in range(n)]``: large results, little work."""

    def serial(self, n: int) -> list[Array]:
        return [mebibyte(i) for i in range(n)]

    def shared(self, n: int) -> list[Array] | None:
        return plist(mebibyte(i) for i in range(n))

    def by_hand(self, comm: Intracomm, n: int) -> list[Array] | None:
        def fill(part: Array, span: Span) -> None:
            for row, i in zip(part, range(*span), strict=True):
                row[:] = mebibyte(i)

        whole = gathered(comm, n, (MIB,), float, fill)
        return None if whole is None else list(whole)

    def part(self, span: Span) -> list[Array]:
        return [mebibyte(i) for i in range(*span)]

    def same(self, value: list[Array], expected: list[Array]) -> bool:
        return len(value) == len(expected) and all(map(np.array_equal, value, expected))


def count_down(turns: int) -> int:
    """Cost *turns*."""
    while turns:
        turns -= 1
    return turns


class CountDowns(Spread):
    """``[count_down(turns) for turns in ...]``: *n* items of *mean* turns, log-normal."""

    def __init__(self, n: int, mean: int, sigma: float) -> None:
        draw = random.Random(2012).lognormvariate
        self.turns = [int(mean * draw(-(sigma**2) / 2, sigma)) for _ in range(n)]

    def serial(self, n: int) -> list[int]:
        return [count_down(turns) for turns in self.turns]

    def shared(self, n: int) -> list[int] | None:
        return plist(count_down(turns) for turns in self.turns)

    def by_hand(self, comm: Intracomm, n: int) -> Any:
        def fill(part: Array, span: Span) -> None:
            part[:] = self.part(span)

        whole = gathered(comm, n, (), np.int64, fill)
        return None if whole is None else whole.tolist()

    def part(self, span: Span) -> list[int]:
        return [count_down(turns) for turns in self.turns[slice(*span)]]


class Imports(Work):
    """``python -c CODE`` in a fresh process, against ``python -c "import mpicomp"``."""

    def __init__(self, code: str) -> None:
        self.code = code

    def serial(self, n: int) -> int:
        return subprocess.run([sys.executable, "-c", self.code], check=True).returncode

    def shared(self, n: int) -> int:
        return subprocess.run([sys.executable, "-c", "import mpicomp"], check=True).returncode


@dataclass(frozen=True)
class Target:
    """A promise about mpicomp: ``value(other, mpicomp)``, of medians in seconds, in *unit*."""

    value: Callable[[float, float], float]
    bound: float
    unit: str
    at_least: bool
    other: str = "serial"

    def reached(self, value: float) -> bool:
        """Tell whether *value* keeps the promise."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Case:
    """A work of one size.

    The work is `Spread` where more than serial and mpicomp is measured.  *number* calls make one
    sample and *size* bytes one value; *groups* are those of `_sides` it
    is measured in, and it is the first that the target speaks of.
    """

    name: str
    what: str
    work: Any
    n: int
    groups: tuple[str, ...] = ("ranks", "pools")
    number: int = 1
    size: int = 0
    target: Target | None = None


def cases(quick: bool) -> dict[str, Case]:
    """All cases by name; *quick* makes the long ranges a hundred times shorter."""
    to_list, to_array = SquaresToList(), SquaresToArray()
    long, longer = (10**4, 10**5) if quick else (10**6, 10**7)
    size = 100 * 2**20
    faster = Target(lambda serial, ours: serial / ours, 1.9, "times as fast as serial", True)
    flow = Target(lambda serial, ours: size / ours / 1e9, 1.5, "GB/s", True)
    later = Target(lambda numpy, ours: (ours - numpy) * 1e3, 15, "ms more than numpy", False)
    extra = Target(lambda serial, ours: (ours - serial) * 1e6, 10, "µs more a call", False)
    alone, fresh = ("1 rank", "plain python"), ("fresh processes",)
    numpy, bare = Imports("import numpy"), Imports("pass")
    close = Target(lambda serial, ours: ours / serial, 1.5, "of serial", False)
    typed = "mpi4py by hand"
    no_slower = Target(lambda by_hand, ours: ours / by_hand, 1.0, f"of {typed}", False, typed)
    few, many = (40, 1000) if quick else (400, 20_000)
    uneven, small = CountDowns(few, 40_000, 1.5), CountDowns(many, 600, 0.0)
    every = [
        Case("uneven", f"{few} items of 1 ms on average, log-normal", uneven, few),
        Case("small", f"{many} items of 15 µs", small, many),
        Case("seed", "1000 squares to a list", to_list, 1000, number=200, target=close),
        Case("list-1e6", f"{long} squares to a list", to_list, long),
        Case("list-1e7", f"{longer} squares to a list", to_list, longer, target=no_slower),
        Case("array-1e7", f"{longer} squares to an array", to_array, longer, target=faster),
        Case("mib", "100 arrays of 1 MiB to a list", Mebibytes(), 100, size=size, target=flow),
        Case("call", "10 squares to a list", to_list, 10, alone, number=2000, target=extra),
        Case("import", "import mpicomp; serial: import numpy", numpy, 0, fresh, target=later),
        Case("import-bare", "import mpicomp; serial: the bare interpreter", bare, 0, fresh),
    ]
    return {case.name: case for case in every}
