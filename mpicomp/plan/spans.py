"""How many items to claim at a time when nobody has cut them beforehand: ``schedule="auto"``.

A span is to take about `SPAN` seconds, whatever an item costs.  So each rank measures what its
own items cost, and begins with a single one.
"""

from __future__ import annotations

from math import inf

SPAN = 0.002
"""Seconds that a span is to take."""
_GROWTH = 8
_KNOWN = 64  # items that may be claimed at once, when some have been measured
_NOTHING = 2e-4  # seconds of work that are sooner done than shared
_BRIEF = 2e-5  # seconds in which the clock sees mostly our own work
_LEAST = 1e-9  # seconds an item: what the clock cannot tell from nothing


class SpanSizer:
    """What one rank knows of its items' cost, and the span that follows from it.

    A span is `SPAN` seconds of items, at most 8 times as many as the last time, and at most the
    2p-th part of what remains, so that the last spans of all ranks end together.  A rank that
    seems quicker alone takes 8 times as many as the last time, and at most half of what remains,
    because the next items may be dearer than those it has measured; all at once when they should
    take less than 0.2 ms.

    Parameters
    ----------
    ranks : int
        How many share the items.
    before : float
        Seconds an item took in the last call of the same code: it counts as long as a few items
        have shown no more than that they are short.

    Attributes
    ----------
    cost : float
        Seconds an item, as measured in the last span; infinite before the first.
    typical : float
        As measured in the largest span.
    items : int
        How many have been measured.

    Examples
    --------
    >>> sizer = SpanSizer(ranks=4)
    >>> sizer.size(left=10_000)
    1
    >>> sizer.learn(items=1, seconds=1e-5)
    >>> sizer.size(left=10_000)  # not yet the 200 that take 2 ms
    8
    >>> sizer.learn(8, 8e-5)
    >>> sizer.learn(64, 64e-5)
    >>> sizer.size(10_000), sizer.size(400), sizer.size(3), sizer.size(400, alone=True)
    (200, 50, 1, 200)
    """

    __slots__ = ("_before", "_largest", "_most", "_ranks", "cost", "items", "typical")

    def __init__(self, ranks: int, before: float = inf) -> None:
        self._ranks = ranks
        self._before = before
        self._most = 1
        self._largest = self.items = 0
        self.cost = self.typical = inf

    def size(self, left: int, alone: bool = False) -> int:
        """Items to claim next.

        Parameters
        ----------
        left : int
            Items that were left at the last claim, 1 or more.
        alone : bool
            Whether the rank would compute the items sooner than get their values from others.
        """
        if alone:
            if self._most >= _KNOWN and left * self.cost < _NOTHING:
                return left
            return max(1, min(self._most, left // 2))
        return max(1, min(self._most, int(SPAN / self.cost), left // (2 * self._ranks)))

    def learn(self, items: int, seconds: float) -> None:
        """A span of *items* has taken *seconds*."""
        self.cost = max(_LEAST, seconds / items)
        self.items += items
        self._most *= _GROWTH
        if items > self._largest:
            self._largest, self.typical = items, self.cost
        if seconds < _BRIEF and self._before < self.cost:
            self.cost, self._most = self._before, max(self._most, _KNOWN)
