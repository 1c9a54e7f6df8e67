"""Laws of the roll call: who never comes is named, and nobody else."""

from __future__ import annotations

from heapq import heappop, heappush
from math import inf
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from mpicomp.plan.rollcall import VERDICT, RollCall, Said

PATIENCE, GRACE = 10.0, 2.0
DELAY = 0.4  # seconds, at most, from rank to rank
NAP = 0.3  # seconds, at most, between two looks


class Job:
    """Ranks that begin to wait at their times, under a virtual clock.

    Parameters
    ----------
    arrivals : list of float
        When each rank begins to wait; infinite: never.
    draw : callable
        Bound -> a time up to it.
    """

    def __init__(self, arrivals: list[float], draw: Any) -> None:
        self.arrivals = arrivals
        self.draw = draw
        self.rolls = [
            RollCall(rank, len(arrivals), PATIENCE, GRACE) for rank in range(len(arrivals))
        ]
        self.inbox: list[list[tuple[float, Said]]] = [[] for _ in arrivals]
        self.ended: dict[int, tuple[float, list[int]]] = {}
        self.asked: list[float] = []

    def run(self, until: float) -> None:
        looks = [(time, rank) for rank, time in enumerate(self.arrivals) if time < inf]
        looks.sort()
        for time, rank in looks:
            self.rolls[rank].waits(time)
        while looks and looks[0][0] < until:
            now, rank = heappop(looks)
            if now >= max(self.arrivals):
                return  # all are there: the exchange is over
            if self.look(now, rank):
                heappush(looks, (now + 1e-3 + self.draw(NAP), rank))

    def look(self, now: float, rank: int) -> bool:
        roll = self.rolls[rank]
        came = [said for time, said in self.inbox[rank] if time <= now]
        self.inbox[rank] = [(time, said) for time, said in self.inbox[rank] if time > now]
        for said in came:
            if said.kind == VERDICT:
                self.ended[rank] = now, self.rolls[said.rank].missing
                return False
            self.send(now, rank, roll.hear(said))
        told = roll.look(now)
        self.send(now, rank, told)
        if told and told[0].kind != VERDICT:
            self.asked.append(now)
        if roll.missing:
            self.ended[rank] = now, roll.missing
            return False
        return True

    def send(self, now: float, rank: int, told: list[Said]) -> None:
        for said in told:
            message = Said(rank, said.kind, said.number)
            self.inbox[said.rank].append((now + self.draw(DELAY), message))


times = st.lists(st.floats(0, 30) | st.just(inf), min_size=2, max_size=5)


@given(times, st.data())
def test_who_never_comes_is_named_and_nobody_who_was_there(
    arrivals: list[float], data: st.DataObject
) -> None:
    assume(min(arrivals) < inf)
    job = Job(arrivals, lambda bound: data.draw(st.floats(0, bound)))
    job.run(until=60.0)
    never = {rank for rank, time in enumerate(arrivals) if time == inf}
    if never:
        # everybody who came has been told, each at most patience, grace and messages later
        assert job.ended.keys() == set(range(len(arrivals))) - never
        for rank, (time, missing) in job.ended.items():
            assert never <= set(missing)
            assert time <= max(arrivals[rank], max(t for t in arrivals if t < inf)) + 2 * PATIENCE
    for time, missing in job.ended.values():
        assert all(arrivals[rank] + GRACE > min(time, max(job.asked)) - GRACE for rank in missing)


@given(st.integers(2, 5), st.data())
def test_where_all_wait_nobody_is_missing(p: int, data: st.DataObject) -> None:
    """It is something else that takes long: they ask, and wait on, again and again."""
    rolls = [RollCall(rank, p, PATIENCE, GRACE) for rank in range(p)]
    for rank, roll in enumerate(rolls):
        roll.waits(float(rank))
    box: list[tuple[int, Said]] = []
    for step in range(40):
        for rank in data.draw(st.permutations(range(p))):
            for to, said in [entry for entry in box if entry[0] == rank]:
                box.remove((to, said))
                box += [(s.rank, Said(rank, s.kind, s.number)) for s in rolls[rank].hear(said)]
            told = rolls[rank].look(step * 1.0)
            box += [(s.rank, Said(rank, s.kind, s.number)) for s in told]
    assert not any(roll.missing for roll in rolls)


def test_a_wait_that_ends_in_time_asks_nobody() -> None:
    roll = RollCall(0, 2, PATIENCE, GRACE)
    for k in range(10):
        roll.waits(9.0 * k)
        assert roll.look(9.0 * k + 8.9) == []


def test_an_answer_to_an_earlier_roll_call_counts_for_nothing() -> None:
    roll = RollCall(0, 2, PATIENCE, GRACE)
    roll.waits(0.0)
    (ask,) = roll.look(10.0)
    roll.waits(11.0)
    (again,) = roll.look(21.0)
    assert again.number == ask.number + 1
    roll.hear(Said(1, 1, ask.number))
    roll.look(23.0)
    assert roll.missing == [1]
