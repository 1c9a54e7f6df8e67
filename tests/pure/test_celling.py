"""Nobody waits for a rank whose cell has ended, and nobody gives up on one that will come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mpicomp.plan.celling import Ended, Ledger


class Rank:
    """A rank with a mailbox; messages of one sender come in their order, but late."""

    def __init__(self, number: int, ranks: list[Rank]) -> None:
        self.number, self.ranks = number, ranks
        self.ledger = Ledger()
        self.mail: list[tuple[int, Ended]] = []

    def run(self, text: int, calls: int) -> None:
        """A cell with so many exchanges, each of which all ranks come to."""
        self.ledger.begin(text)
        for _ in range(calls):
            self.ledger.step()

    def end(self) -> None:
        for other in self.ranks:
            if other is not self:
                other.mail.append((self.number, self.ledger.end()))

    def read(self, most: int) -> None:
        for _ in range(min(most, len(self.mail))):
            self.ledger.hear(*self.mail.pop(0))


def several(n: int = 3) -> list[Rank]:
    ranks: list[Rank] = []
    ranks += [Rank(number, ranks) for number in range(n)]
    return ranks


CELL = st.tuples(st.integers(0, 3), st.integers(0, 3))  # text, exchanges


@given(st.lists(st.tuples(CELL, st.lists(st.integers(0, 2), max_size=3)), max_size=8),
       st.integers(0, 3), st.integers(0, 2), st.data())  # fmt: skip
def test_who_has_left_is_missed_and_nobody_else(
    cells: list[tuple[tuple[int, int], list[int]]],
    calls: int,
    leaver: int,
    data: st.DataObject,
) -> None:
    """Cells on all ranks, cells of other texts on one alone; at last one rank leaves a cell."""
    ranks = several()
    for (text, before), solo in cells:
        for rank in ranks:
            rank.read(data.draw(st.integers(0, 9)))
            rank.run(text, before)
        for rank in ranks:
            rank.end()
        for number in solo:
            ranks[number].run(100 + number, 0)  # without a call, or it would wait
            ranks[number].end()
    for rank in ranks:
        rank.run(50, calls)
    waiting = [rank for rank in ranks if rank.number != leaver]
    for rank in waiting:
        rank.ledger.step()  # waits for all
        rank.read(data.draw(st.integers(0, 99)))
        assert rank.ledger.missing() is None, "the others may still come"
    ranks[leaver].end()
    for rank in waiting:
        rank.read(99)
        assert rank.ledger.missing() == leaver


@given(st.booleans(), st.integers(0, 3), st.integers(0, 3))
def test_after_one_has_left_all_meet_in_a_new_world(same: bool, calls: int, more: int) -> None:
    ranks = several()
    for rank in ranks:
        rank.run(1, calls)
    for rank in ranks[1:]:
        rank.ledger.step()
    ranks[0].end()
    for rank in ranks[1:]:
        rank.read(9)
        assert rank.ledger.missing() == 0
        rank.ledger.give_up()
        rank.end()
    for rank in ranks:  # the next cell, or the same once more
        rank.read(9)
        assert rank.ledger.abandoned() == (rank.number == 0)
        if rank.ledger.abandoned():
            rank.ledger.give_up()
        rank.ledger.begin(1 if same else 2)
        for _ in range(1 + more):
            rank.ledger.step()
            assert rank.ledger.missing() is None
    assert len({rank.ledger.at for rank in ranks}) == 1


def test_a_cell_that_is_run_again_is_not_the_one_before() -> None:
    mine, theirs = several(2)
    for _ in range(3):
        for rank in (mine, theirs):
            rank.run(5, 0)
        mine.read(9)
        mine.ledger.step()
        assert mine.ledger.missing() is None
        theirs.ledger.step()
        theirs.end()
        mine.end()


def test_members_of_another_communicator() -> None:
    mine, theirs = several(2)
    for rank in (mine, theirs):
        rank.run(5, 2)
    assert mine.ledger.absent([1]) is None
    theirs.end()
    mine.read(9)
    assert mine.ledger.absent([1]) == 1
    assert mine.ledger.absent([0]) is None
    mine.ledger.begin(5)
    assert mine.ledger.absent([1]) is None, "once more: it has not begun there"


def test_nobody_waits_in_a_new_world_for_whom_the_same_cell_has_ended_in_the_old() -> None:
    mine, theirs = several(2)
    for rank in (mine, theirs):
        rank.run(5, 0)
    mine.ledger.step()
    theirs.end()
    mine.read(9)
    assert mine.ledger.missing() == 1
    mine.ledger.give_up()
    mine.ledger.step()  # in the same cell: a new world
    assert mine.ledger.missing() == 1
    mine.ledger.begin(5)  # the cell once more, which they may come to
    mine.ledger.step()
    assert mine.ledger.missing() is None


def test_nobody_waits_for_whom_the_world_is_of_no_more_use() -> None:
    mine, theirs = several(2)
    mine.run(5, 1)
    theirs.run(6, 1)
    mine.ledger.step()
    theirs.end()
    mine.read(9)
    assert mine.ledger.missing() is None, "of this cell nothing was heard"
    theirs.ledger.give_up()
    theirs.end()
    mine.read(9)
    assert mine.ledger.missing() == 1
