"""A source whose items lie on the ranks already: each computes over its own.

Rules of this file: pure; positions are those of the whole, as everywhere.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import Any

from mpicomp.errors import ComprehensionError
from mpicomp.plan.source import Branch, Data, Source, length

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Spread(Source):
    """This rank's items of a whole that lies on all ranks of a world.

    Parameters
    ----------
    items : list or ndarray
        This rank's, in increasing order of position.
    runs : sequence of range
        Their positions; no two overlap, and they are in increasing order.
    n : int
        Items of all ranks.
    number : int
        Of the whole: equal on all ranks, and another for each whole.
    home : object
        The world whose ranks have the items.
    alone : bool
        Whether that is one rank, which has them all.
    """

    __slots__ = ("_places", "_starts", "alone", "home", "items", "number", "runs")
    known = True

    def __init__(
        self,
        items: Any,
        runs: Sequence[range],
        n: int,
        number: int,
        home: object,
        alone: bool,
    ) -> None:
        self.items = items
        self.runs = tuple(runs)
        self.n = n
        self.number = number
        self.home = home
        self.alone = alone
        self._starts = [run.start for run in self.runs]
        self._places = list(accumulate(map(len, self.runs), initial=0))

    def __repr__(self) -> str:
        return f"whole {self.number} of {self.n} values, spread over the ranks"

    @property
    def spread(self) -> Spread:  # type: ignore[override]  # a constant elsewhere
        return self

    def place(self, position: int) -> int:
        """Where in *items* that position of the whole is.

        Raises
        ------
        IndexError
            It is on another rank.
        """
        at = bisect_right(self._starts, position) - 1
        if at < 0 or position not in self.runs[at]:
            raise IndexError(
                f"item {position} of {self.n} is on another rank; d.gather(root=None) brings all"
            )
        run = self.runs[at]
        return self._places[at] + (position - run.start) // run.step

    def cut(self, part: range) -> Data:
        at = self.place(part.start) if part else 0
        return Data(self.items[at : at + len(part)])

    def open(self) -> tuple[Iterator[Any], object]:
        if not self.alone:
            raise ComprehensionError(
                f"these {self.n} values lie on several ranks; use them as the source of a verb, as "
                "in plist(f(y) for y in d), take this rank's in d.part, or d.gather() them"
            )
        it = iter(self.items)
        return it, it

    def outline(self) -> tuple[Any, ...]:
        return ("known", self)


def own_runs(source: Source, strided: bool) -> list[range]:
    """This rank's runs of a source with spread items in it.

    Parameters
    ----------
    source : Source
    strided : bool
        Whether a run may skip over other ranks' items.
    """
    spread, n = source.spread, source.n
    assert spread is not None, "somewhere in it"
    assert n is not None, "it can be counted"
    clipped = [_below(run, n) for run in spread.runs]
    if strided or all(run.step == 1 for run in clipped):
        return [run for run in clipped if run]
    return [range(i, i + 1) for run in clipped for i in run]


def _below(run: range, n: int) -> range:
    """The positions of *run* below *n* (a ``zip`` may be shorter)."""
    return range(run.start, min(run.stop, n), run.step)


def check_spread(source: Source, home: object, alone: bool) -> None:
    """That all of *source* is on the ranks of *home*, part by part.

    Raises
    ------
    ComprehensionError
        It is not; says what to write.
    """
    first = source.spread
    assert first is not None, "somewhere in it"
    for leaf in _leaves(source):
        spread = leaf.spread
        if spread is None and not leaf.known:
            raise ComprehensionError(
                f"{leaf!r} beside values that stay on the ranks would have to be moved to them; "
                "gather() those, or make both stay"
            )
        if spread is None:
            continue
        if spread.home is not home and not (alone and spread.alone):
            raise ComprehensionError(
                f"a {spread!r} of another communicator: the ranks that make this call do not have "
                "them all (a verb inside an item is one rank's); gather() them first"
            )
        if spread.runs != first.runs or spread.n != first.n:
            raise ComprehensionError(
                f"values beside each other lie on different ranks ({first!r}, and {spread!r}); "
                'd.redistribute("static") brings both into the same blocks'
            )


def _leaves(source: Source) -> Iterator[Source]:
    if isinstance(source, Branch):
        for child in source.children:
            yield from _leaves(child)
    else:
        yield source


def positions(runs: Sequence[range]) -> Any:
    """All positions of *runs*: a range where they are one, else an array of int64."""
    if len(runs) == 1:
        return runs[0]
    import numpy as np

    parts = [np.arange(run.start, run.stop, run.step, dtype=np.int64) for run in runs]
    return np.concatenate(parts) if parts else range(0)


def merged_runs(runs: Sequence[range]) -> list[range]:
    """The same positions in as few runs as can be: neighbours of step 1 joined."""
    joined: list[range] = []
    for run in runs:
        last = joined[-1] if joined else None
        if not length(run):
            continue
        if last is not None and last.step == run.step == 1 and last.stop == run.start:
            joined[-1] = range(last.start, run.stop)
        else:
            joined.append(run)
    return joined
