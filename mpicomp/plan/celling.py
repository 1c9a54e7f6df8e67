"""Who waits for a rank that will not come, because its cell has ended: the brain of `wire.cells`.

Rules of this file: pure; what a rank knows of the others is what they told when a cell of theirs
ended, and it may be heard late, or before the cell began here.

Ranks are told apart by exchanges: all have begun an exchange that one of them has completed.
Cells are told apart by their text, and those of one text by how many were begun since the last
exchange: so a cell that one rank runs alone, or that is run again, is not taken for another.
"""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection


class Ended(NamedTuple):
    """What a rank tells when its cell ends.

    Attributes
    ----------
    world, exchange : int
        The how manieth world it is in, and how many exchanges it has begun there.
    dropped : int
        How often it has given up the worlds of other communicators.
    cell, text : int
        A digest of the text of this cell, and the how manieth of that text it is since that
        exchange: `text` and `cell`.
    """

    world: int
    exchange: int
    dropped: int
    cell: int
    text: int


class Ledger:
    """What one rank has done, and has heard of the others.

    Attributes
    ----------
    at : tuple of int
        World and exchange; making a world counts as its first exchange.
    """

    def __init__(self) -> None:
        self.at = (1, 0)
        self.dropped = 0
        self._begun: dict[int, int] = {}  # cells since the last exchange, by text
        self._before = self._text = 0
        self._heard: dict[int, dict[int, Ended]] = {}

    def begin(self, text: int) -> None:
        """A cell begins."""
        self._begun[text] = self._begun.get(text, 0) + 1
        self._text = text

    def end(self) -> Ended:
        """The cell ends: what the others have to know."""
        return Ended(*self.at, self.dropped, self._cell, self._text)

    def step(self) -> None:
        """An exchange begins, or the making of a world."""
        self.at = (self.at[0], self.at[1] + 1)
        self._before = self._cell
        self._begun.clear()

    def give_up(self) -> None:
        """The world is of no more use; the next one has to be made."""
        self.at = (self.at[0] + 1, 0)
        self._begun.clear()

    @property
    def _cell(self) -> int:
        return self._begun.get(self._text, 0)

    def hear(self, rank: int, ended: Ended) -> None:
        """A cell has ended on *rank*."""
        known = self._heard.setdefault(rank, {})
        if any((other.world, other.exchange) != ended[:2] for other in known.values()):
            known.clear()
        known[ended.text] = ended

    def abandoned(self) -> bool:
        """Whether another rank has given up the world in which this one still is."""
        return any(
            ended.world > self.at[0] for told in self._heard.values() for ended in told.values()
        )

    def missing(self) -> int | None:
        """A rank that will not begin the exchange that this one has begun, if there is any.

        Examples
        --------
        >>> mine, theirs = Ledger(), Ledger()
        >>> for ledger in (mine, theirs):
        ...     ledger.begin(text=7)
        >>> mine.step()
        >>> mine.missing()
        >>> mine.hear(1, theirs.end())
        >>> mine.missing()
        1
        """
        for rank, told in self._heard.items():
            ended = told.get(self._text)
            if ended is None:
                if any(other.world > self.at[0] for other in told.values()):
                    return rank
            elif ended.world != self.at[0]:
                again = self.at[1] == 1 and self._before == 0  # in the same cell, a new world
                if ended.world > self.at[0] or again:
                    return rank
            elif ended.exchange == self.at[1] - 1 and ended.cell >= self._before:
                return rank
        return None

    def absent(self, members: Collection[int]) -> int | None:
        """One of *members* whose cell, the one that goes on here, has ended, if there is any."""
        for rank, told in self._heard.items():
            ended = told.get(self._text)
            if rank in members and ended is not None:
                same = (ended.world, ended.exchange) == self.at
                if same and ended.cell >= self._cell:
                    return rank
        return None
