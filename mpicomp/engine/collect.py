"""What becomes of the values: one small class for each kind of result.

Rules of this file: no message is sent here.  A collector lives for one call on one rank:
``take`` for each piece of the source, ``export`` what has to travel, ``finish`` on the root.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mpicomp.wire.world import World


class Decided(Exception):  # no error: the item at work decides the call
    """Raised by ``take`` when no later item can change the result."""


class Row(NamedTuple):
    """*given* values came from the items ``start, start + step, …`` up to *stop*."""

    start: int
    step: int
    given: int
    stop: int


def grown(rows: list[Row], piece: range | Row, count: int) -> None:
    """Note that *piece* gave *count* values, in the last row where it goes on from there."""
    last = rows[-1] if rows else None
    if last and (last.stop, last.step) == (piece.start, piece.step):
        rows[-1] = Row(last.start, last.step, last.given + count, piece.stop)
    elif count:
        rows.append(Row(piece.start, piece.step, count, piece.stop))


def grown_by(rows: list[Row], others: list[Row] | None) -> None:
    """Note what *others* say of values that now stand behind those of *rows*."""
    for row in others or ():
        grown(rows, row, row.given)


class Collector:
    """The base: what every collector answers.

    Attributes
    ----------
    by_leaf : bool
        Pieces have to lie within one leaf of `mpicomp.plan.fold`.
    contiguous : bool
        Pieces have to be of step 1, also where each item gives one value.
    keeps_errors : bool
        An exception can stand in an item's place.
    can_stay : bool
        Its values can be left on the ranks, and ``stayed`` gives them.
    sets_up : bool
        ``prepare`` exchanges messages.
    keeps_all : bool
        Its memory is that of all values anyway.
    has_exceptions : bool
        One does.
    meets : bool
        Before the values are collected, ranks exchange some: `mpicomp.engine.keyed`.
    eager : bool
        ``take`` may be given a list that is its own, instead of an iterator.
    """

    by_leaf = False
    contiguous = False
    keeps_errors = False
    can_stay = False
    sets_up = False
    keeps_all = False
    has_exceptions = False
    meets = False
    eager = False

    def prepare(self, world: World, n: int, one_to_one: bool, root: int | None) -> None:
        """Make ready for *n* items.  Collective: every rank of the world calls."""

    def needed(self, values: Iterator[Any]) -> Iterator[Any]:
        """Those of an item's values that have to be computed."""
        return values

    def take(self, piece: range, values: Iterator[Any] | list[Any]) -> None:
        """Take in what the items of *piece* give."""
        raise TypeError

    def put(self, items: range, exception: BaseException) -> None:
        """An exception in the place of each of *items*; for those that keep errors."""
        raise TypeError

    def export(self) -> Any:
        """What the root needs of this rank."""
        raise TypeError

    def fresh(self) -> Collector:
        """An empty one of the same kind: for a piece whose values are to be told apart."""
        raise TypeError

    def kept(self) -> Any:
        """What another of the same kind can `absorb`."""
        return self.export()

    def absorb(self, part: Any) -> None:
        """Take in what a `fresh` one has `kept`."""
        raise TypeError

    def stayed(self) -> tuple[Any, list[Any]]:
        """This rank's values and their rows, where they can stay."""
        raise TypeError

    def finish(self, exports: list[Any], n: int) -> Any:
        """The result, from every rank's export in rank order; *n* items in all."""
        raise TypeError


class Listed(Collector):
    """Values in the serial order; ``build`` makes the result of them.

    Parameters
    ----------
    build : callable
        List of all values -> result.
    thin : callable, optional
        Values of a piece -> those that can still matter; it does the work on the ranks.
    """

    eager = True

    def __init__(
        self,
        build: Callable[[list[Any]], Any] | None = None,
        thin: Callable[[Iterable[Any]], Iterable[Any]] | None = None,
        keeps_errors: bool = False,
    ) -> None:
        self.build = build
        self.thin = thin
        self.contiguous = thin is not None
        self.keeps_errors = keeps_errors
        self.keeps_all = thin is None
        self.can_stay = thin is None and build is None
        self.values: list[Any] = []
        self.rows: list[Row] = []

    def take(self, piece: range, values: Iterator[Any] | list[Any]) -> None:
        before = len(self.values)
        try:
            if self.thin is not None:
                self.values.extend(self.thin(values))
            elif type(values) is list and len(values) > before:  # the few are moved
                values[:0] = self.values
                self.values = values
            else:
                self.values.extend(values)
        finally:  # what came before an error stays
            grown(self.rows, piece, len(self.values) - before)

    def put(self, items: range, exception: BaseException) -> None:
        self.has_exceptions = True
        self.values += [exception] * len(items)
        grown(self.rows, items, len(items))

    def export(self) -> Any:
        return self.values

    def stayed(self) -> tuple[list[Any], list[Row]]:
        return self.values, self.rows

    def fresh(self) -> Listed:
        return Listed(self.build, self.thin, self.keeps_errors)

    def kept(self) -> Any:
        return self.values, self.rows

    def absorb(self, part: Any) -> None:
        values, rows = part
        self.values += values
        if self.keeps_errors and not self.has_exceptions:
            self.has_exceptions = any(isinstance(value, BaseException) for value in values)
        grown_by(self.rows, rows)

    def finish(self, exports: list[Any], n: int) -> Any:
        values = in_order(exports)
        return values if self.build is None else self.build(values)


def in_order(exports: list[tuple[list[Any], list[Row] | None]]) -> list[Any]:
    """Everyone's values as one list in the serial order.

    Parameters
    ----------
    exports : list of (values, rows)
        Rows are None throughout when the order of the ranks is that of the items.
    """
    if len(exports) == 1 and _rises(exports[0][1]):
        return exports[0][0]
    if all(rows is None for _, rows in exports):
        return _joined([values for values, _ in exports])
    if any(row.step != 1 for _, rows in exports for row in rows or ()):
        return _interleaved(exports)
    most, rest = _last_row(exports)
    parts = []
    for values, rows in exports:
        at = 0
        for row in rows or ():
            if row is not rest:
                parts.append((row.start, values[at : at + row.given]))
            at += row.given
    parts.sort(key=_start)  # stable: an exception stays behind the values of its own item
    before = _joined([part for _, part in parts])
    if rest is None:
        return before
    most[: len(most) - rest.given] = before  # what comes last stays where it is
    return most


def placed(whole: Any, exports: list[tuple[Any, Any]]) -> Any:
    """Everyone's values written into the array *whole*, where their items stand.

    Parameters
    ----------
    whole : ndarray
    exports : list of (ndarray, rows)
    """
    for values, rows in exports:
        at = 0
        for start, step, given, _ in rows:
            whole[start : start + step * given : step] = values[at : at + given]
            at += given
    return whole


def _rises(rows: list[Row] | None) -> bool:
    """Whether a rank's own values are in order: not so where it has gone on after a stop,
    nor where the schedule is not in the order of the items.
    """
    return rows is None or all(left.start <= right.start for left, right in pairwise(rows))


def _last_row(exports: list[tuple[list[Any], list[Row] | None]]) -> tuple[list[Any], Row | None]:
    """The list that ends with the last of all values, and its last row."""
    most, rows = max(exports, key=_end)
    last = rows[-1] if rows else None
    if last is not None and all(
        row is last or row.start < last.start for _, others in exports for row in others or ()
    ):
        return most, last
    return most, None


def _end(export: tuple[list[Any], list[Row] | None]) -> int:
    return export[1][-1].start if export[1] else -1


def _joined(parts: list[list[Any]]) -> list[Any]:
    """All in one list, the first of them; several times as fast as going through the items."""
    whole = parts[0] if parts else []
    for part in parts[1:]:
        whole += part
    return whole


def _start(part: tuple[int, list[Any]]) -> int:
    return part[0]


def _interleaved(exports: list[tuple[list[Any], list[Row] | None]]) -> list[Any]:
    """Rows of any step, each item having given exactly one value."""
    whole: list[Any] = [None] * sum(len(values) for values, _ in exports)
    for values, rows in exports:
        at = 0
        for row in rows or ():
            stop = row.start + row.step * row.given
            whole[row.start : stop : row.step] = values[at : at + row.given]
            at += row.given
    return whole


def set_of(errors: str) -> Listed:
    """``set``: of equal values the first is kept, as the serial set does."""
    # thinned at the end only, where an item that fails must not take those before it along
    return Listed(set, dict.fromkeys if errors == "raise" else None, keeps_errors=True)


def dict_of() -> Listed:
    """``dict``: of equal keys the last value is kept, in the place of the first key."""
    return Listed(dict, lambda pairs: dict(pairs).items())
