"""``pfor``: items are counted, and what they give is dropped where it was made.

Rules of this file: no value is kept, not even for the length of a piece; exceptions alone travel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mpicomp.engine.collect import Collector

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Outcome(NamedTuple):
    """What has become of a loop: `mpicomp.pfor`.

    Attributes
    ----------
    done : int
        Values that the comprehension has given, as ``len([*gen])``.
    failed : int
        Items that raised.
    errors : list of (int, Exception)
        For each of these its position in the source and what it raised, in the order of the source.

    Examples
    --------
    >>> from mpicomp import pfor
    >>> outcome = pfor((1 // x for x in (2, 0, 1)), errors="return")
    >>> outcome.done, outcome.failed
    (2, 1)
    """

    done: int
    failed: int
    errors: list[tuple[int, Exception]]


class Tally(Collector):
    """How many values there were, and which items failed."""

    contiguous = True
    keeps_errors = True

    def __init__(self) -> None:
        self.done = 0
        self.errors: list[tuple[int, BaseException]] = []

    def take(self, piece: range, values: Iterator[Any] | list[Any]) -> None:
        for _ in values:
            self.done += 1

    def put(self, items: range, exception: BaseException) -> None:
        self.has_exceptions = True
        self.errors += [(item, exception) for item in items]

    def export(self) -> Any:
        return self.done, self.errors

    def fresh(self) -> Tally:
        return Tally()

    def absorb(self, part: Any) -> None:
        done, errors = part
        self.done += done
        self.errors += errors
        self.has_exceptions |= bool(errors)

    def finish(self, exports: list[Any], n: int) -> Outcome:
        errors = sorted((error for export in exports for error in export[1]), key=_place)
        return Outcome(sum(export[0] for export in exports), len(errors), errors)


def _place(error: tuple[int, BaseException]) -> int:
    return error[0]
