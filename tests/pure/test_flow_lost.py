"""Laws of a flow whose ranks may be lost: no item is lost with them; what they held goes alone."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from mpicomp.plan.cutting import Grant
from mpicomp.plan.flow import Flow


class Crew:
    """Ranks that work, give back and die by chance; rank 0 never dies.

    Attributes
    ----------
    counts : dict
        How often the values of each item were taken in; or given up, which they are once.
    held : dict
        What each rank holds, in the order of getting.
    suspects : set of int
        Items that a rank held when it was lost.
    """

    def __init__(self, n: int, p: int, chance: random.Random) -> None:
        self.n, self.chance = n, chance
        self.flow = Flow(p)
        self.flow.spared = 0
        self.counts = dict.fromkeys(range(n), 0)
        self.held: dict[int, list[Grant]] = {rank: [] for rank in range(p)}
        self.suspects: set[int] = set()
        self.known = 0

    def take(self, rank: int, grant: Grant) -> None:
        risky = self.suspects.intersection(grant.items)
        if risky:
            assert rank != 0, "the root got what others were lost with"
            assert len(grant.items) == 1
            assert self.flow.alone(grant.number)
            assert not self.held[rank], "it is not alone"
        assert not any(self.flow.alone(other.number) for other in self.held[rank])
        self.held[rank].append(grant)

    def served(self, served: list[tuple[int, Grant]]) -> None:
        for rank, grant in served:
            self.take(rank, grant)

    def ask(self) -> None:
        rank = self.chance.choice([*self.held])
        grant = self.flow.ready(rank)
        if grant is not None:
            self.take(rank, grant)

    def read(self) -> None:
        count = min(self.n - self.known, self.chance.randint(0, 20))
        self.known += count
        self.served(self.flow.extend(count))

    def finish(self) -> None:
        busy = [rank for rank, held in self.held.items() if held]
        if busy:
            rank = self.chance.choice(busy)
            grant = self.held[rank].pop(0)
            for item in grant.items:
                self.counts[item] += 1
                self.suspects.discard(item)
            self.flow.done(rank, grant.number, self.chance.choice([1e-6, 1e-4, 1.0]))

    def give_back(self) -> None:
        long = [(rank, grant) for rank, held in self.held.items() for grant in held[:1]
                if len(grant.items) > 1]  # fmt: skip
        if long:
            rank, grant = self.chance.choice(long)
            at = self.chance.randint(grant.start + 1, grant.stop - 1)
            self.held[rank][0] = grant._replace(stop=at)
            self.served(self.flow.returned(rank, grant.number, at))

    def die(self) -> None:
        if len(self.held) > 1:
            rank = self.chance.choice([rank for rank in self.held if rank])
            grants = self.held.pop(rank)
            assert sorted(grants) == sorted(self.flow.holding(rank))
            self.suspects.update(item for grant in grants for item in grant.items)
            self.served(self.flow.lost(rank))
            if len(self.held) == 1:  # nobody is left who could be given them
                for item in self.flow.waiting_alone():
                    assert item in self.suspects
                    self.counts[item] += 1

    def run(self) -> None:
        events = [self.ask, self.ask, self.finish, self.read, self.give_back]
        for _ in range(40 * self.n + 400):
            event = self.die if self.chance.random() < 0.02 else self.chance.choice(events)
            event()
            if self.known == self.n and all(self.counts.values()):
                return
        raise AssertionError(f"{self.flow!r} does not come to its end")


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 60), st.integers(2, 6), st.integers(0, 10**9))
def test_every_item_is_done_once_whoever_is_lost(n: int, p: int, seed: int) -> None:
    crew = Crew(n, p, random.Random(seed))
    crew.run()
    assert {*crew.counts.values()} == {1}


def test_who_is_spared_goes_on_with_what_is_new() -> None:
    flow = Flow(2)
    flow.spared = 0
    flow.extend(3)
    assert flow.ready(1) == Grant(0, 0, 1)
    assert flow.ready(0) == Grant(1, 1, 2)
    assert flow.lost(1) == []
    flow.done(0, 1, 1.0)
    assert flow.ready(0) == Grant(3, 2, 3)
    flow.done(0, 3, 1.0)
    assert flow.ready(0) is None
    assert flow.lowest == 0
    assert flow.waiting_alone() == [0]
