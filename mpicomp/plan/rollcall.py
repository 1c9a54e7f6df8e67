"""Who is missing: the roll call of ranks that have waited too long.

Rules of this file: pure; no clock: the time is told.  All that is said here is said by ranks that
wait; one that computes, or is not there, says nothing, and that is how it is found.

    a rank waits       patience is over ── ASK all ── all are HERE: wait on, from the beginning
                                             └─ some are silent for the grace: VERDICT to all
    another waits      ASK ── HERE;  VERDICT ── the same verdict
"""

from __future__ import annotations

from typing import NamedTuple

ASK, HERE, VERDICT = range(3)


class Said(NamedTuple):
    """A message: to or from whom, of what kind, in which roll call of the one who asks."""

    rank: int
    kind: int
    number: int


class RollCall:
    """One rank's part.

    Parameters
    ----------
    rank, size : int
        Of this rank, and of all.
    patience : float, seconds
        How long it waits before it asks.
    grace : float, seconds
        How long it waits for the answers.

    Attributes
    ----------
    missing : list of int
        The ranks that have not answered, once there is a verdict of its own.

    Examples
    --------
    Rank 0 of 3 waits for rank 2:

    >>> roll = RollCall(0, 3, patience=60.0, grace=2.0)
    >>> roll.waits(0.0)
    >>> roll.look(59.0)
    []
    >>> roll.look(60.0)
    [Said(rank=1, kind=0, number=1), Said(rank=2, kind=0, number=1)]
    >>> roll.hear(Said(1, HERE, 1))
    []
    >>> roll.look(62.0), roll.missing
    ([Said(rank=1, kind=2, number=1), Said(rank=2, kind=2, number=1)], [2])
    """

    __slots__ = (
        "_asked",
        "_here",
        "_number",
        "_since",
        "grace",
        "missing",
        "patience",
        "rank",
        "size",
    )

    def __init__(self, rank: int, size: int, patience: float, grace: float) -> None:
        self.rank, self.size = rank, size
        self.patience, self.grace = patience, grace
        self.missing: list[int] = []
        self._number = 0
        self._since = 0.0
        self._asked: float | None = None  # when, in a roll call that is under way
        self._here: set[int] = set()

    def waits(self, now: float) -> None:
        """A wait begins, or begins anew because something has come."""
        self._since = now
        self._asked = None

    def look(self, now: float) -> list[Said]:
        """It still waits; what there is to say."""
        if self._asked is None:
            if now - self._since < self.patience:
                return []
            self._number += 1
            self._asked, self._here = now, {self.rank}
            return self._to_all(ASK)
        if len(self._here) == self.size:  # nobody is missing: it is something else that takes long
            self.waits(now)
            return []
        if now - self._asked < self.grace:
            return []
        self.missing = sorted(set(range(self.size)) - self._here)
        return self._to_all(VERDICT)

    def hear(self, said: Said) -> list[Said]:
        """Take in a message (no verdict: that is the end); what there is to answer."""
        if said.kind == ASK:
            return [Said(said.rank, HERE, said.number)]
        if self._asked is not None and said.number == self._number:
            self._here.add(said.rank)
        return []

    def _to_all(self, kind: int) -> list[Said]:
        return [Said(rank, kind, self._number) for rank in range(self.size) if rank != self.rank]
