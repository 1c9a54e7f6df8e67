"""The chunk at work on a rank, and what has come of it: looked at by a second thread.

Rules of this file: no message is sent here.  An item that has begun is finished here; what has
not begun can be given back at any moment.
"""

from __future__ import annotations

import threading
from time import perf_counter
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Batch:
    """Items ``range(start, stop)``, of which those before ``at`` have begun.

    Parameters
    ----------
    number, start, stop : int
        As in `Grant`.
    one_each : bool
        Every item gives one value, so that values tell how many items are complete.
    splits : bool
        What has not begun may be given back.

    Attributes
    ----------
    at : int
        The first item that has not begun.
    told : int
        Items before it are complete, and their values were taken.
    began : float
        When the last item began.
    """

    __slots__ = ("_over", "at", "began", "found", "lock", "number", "one_each", "splits", "start",
                 "started", "stop", "told")  # fmt: skip

    def __init__(
        self, number: int, start: int, stop: int, one_each: bool = True, splits: bool = True
    ) -> None:
        self.number, self.start, self.stop = number, start, stop
        self.one_each, self.splits = one_each, splits
        self.at = self.told = start
        self.found: list[Any] = []
        self.began = self.started = perf_counter()
        self.lock = threading.Lock()
        self._over = False

    def step(self) -> bool:
        """Begin the next item; False when there is none left here."""
        with self.lock:
            if self.at >= self.stop:
                return False
            self.at += 1
            self.began = perf_counter()
            return True

    def feed(self, items: Iterator[Any]) -> Iterator[Any]:
        """The items, each when it is begun."""
        while self.step():
            for item in items:
                yield item
                break
            else:  # a filter has dropped the rest
                return

    def end(self) -> None:
        """All items that were not given back are complete."""
        with self.lock:
            self._over = True
            self.at = self.stop

    def take(self) -> tuple[range, list[Any]]:
        """The values that were found since the last time, and the items that they complete."""
        with self.lock:
            found, self.found = self.found, []
            if self._over:
                complete = self.stop
            elif self.one_each:
                complete = self.told + len(found)
            else:
                complete = max(self.told, self.at - 1) if self.splits else self.told
            run, self.told = range(self.told, complete), complete
            return run, found

    def give_back(self) -> int | None:
        """Keep what has begun; the first item that is given back, or None."""
        with self.lock:
            at = max(self.at, self.start + 1)  # one is kept, or there would be nothing to report
            if self._over or not self.splits or at >= self.stop:
                return None
            self.stop = at
            return at
