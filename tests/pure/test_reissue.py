"""Laws of running chunks again: each counts once, and a rank that stands still holds nobody up."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpicomp.plan.cutting import Grant
from mpicomp.plan.dispatcher import Dispatcher

SCHEDULES = ("static", "dynamic,3", "guided", "factoring", "awf-b", "af")
Hold = tuple[int, Grant]


class Job:
    """A dispatcher, and ranks of which some are slow or never come back."""

    def __init__(self, schedule: str, n: int | None, p: int, **options: Any) -> None:
        self.master = Dispatcher(schedule, n, p, reissue=True, **options)
        self.p = p
        self.held: list[list[Grant]] = [[] for _ in range(p)]
        self.moot: set[tuple[int, int]] = set()
        self.told: set[tuple[int, int]] = set()
        self.counted: list[Grant] = []
        self.failing: list[tuple[int, Grant]] = []
        self.alive = set(range(p))
        self.known = n or 0
        self.open = n is None

    def take(self, rank: int, grant: Grant) -> None:
        assert rank in self.alive
        assert grant not in self.held[rank], "a rank does not run against itself"
        assert grant not in self.counted, "what is done is not handed out"
        self.held[rank].append(grant)

    def ready(self, rank: int) -> bool:
        grant = self.master.ready(rank)
        if grant is not None:
            self.take(rank, grant)
        return grant is not None

    def report(self, rank: int, grant: Grant, index: int | None = None) -> None:
        """Done, or failed at an item."""
        expected = (rank, grant.number) not in self.moot
        if index is None:
            assert self.master.done(rank, grant.number, 1e-3, 0.0) is expected
        else:
            assert self.master.failed(rank, grant.number, index) is expected
        self.held[rank].remove(grant)
        if not expected:
            self.moot.discard((rank, grant.number))
        elif index is None:
            self.counted.append(grant)
        else:
            self.failing.append((index, grant))
        self.learn()

    def learn(self) -> None:
        for rank, number in self.master.superseded():
            assert number in {grant.number for grant in self.held[rank]}, "only who holds it"
            assert (rank, number) not in self.told, "once"
            self.told.add((rank, number))
            self.moot.add((rank, number))

    def lost(self, rank: int) -> None:
        self.alive.discard(rank)
        self.held[rank] = []
        self.moot = {entry for entry in self.moot if entry[0] != rank}
        self.serve(self.master.lost(rank))

    def serve(self, served: list[Hold]) -> None:
        for rank, grant in served:
            self.take(rank, grant)

    def read(self, rng: random.Random) -> None:
        count = rng.randint(0, self.master.wanted())
        self.known += count
        self.serve(self.master.extend(count))

    def close(self) -> None:
        self.open = False
        self.serve(self.master.close())

    def check(self) -> None:
        """Every item below the limit counted once."""
        assert self.master.finished
        limit = self.master.limit
        stop = self.known if limit is None else limit
        items = [i for grant in self.counted for i in grant.items if i < stop]
        items += [i for _, grant in self.failing for i in grant.items if i < stop]
        assert sorted(items) == list(range(stop))
        numbers = [grant.number for grant in self.counted]
        assert len(set(numbers)) == len(numbers)


def play(job: Job, rng: random.Random, standing: set[int], accidents: float) -> None:
    """Random events until all is done; *standing* ranks take chunks and never report."""
    for _ in range(100_000):
        if job.master.finished and not job.open:
            return
        if job.open and (rng.random() < 0.02 or job.known > 80 or job.master.limit is not None):
            job.close()
        elif job.open and rng.random() < 0.3:
            job.read(rng)
        rank = rng.choice(sorted(job.alive))
        held = job.held[rank]
        if len(job.alive - standing) > 1 and rng.random() < accidents:
            if rng.random() < 0.5:
                job.lost(rng.choice(sorted(job.alive - standing)))
                continue
            if held and rank not in standing:
                grant = rng.choice(held)
                job.report(rank, grant, rng.choice(grant.items))
                continue
        if held and rank not in standing and rng.random() < 0.7:
            job.report(rank, held[0])
        else:
            job.ready(rank)
    raise AssertionError("it never ends")


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_each_item_counts_once_whoever_is_slow(schedule: str) -> None:
    for p, stream, seed in product((1, 2, 3, 7), (False, True), range(40)):
        rng = random.Random(f"{schedule} {p} {stream} {seed}")
        job = Job(
            schedule, None if stream else rng.choice((0, 1, p, 60)), p, ahead=rng.randint(0, 2)
        )
        standing = set(rng.sample(range(p), rng.randint(0, p - 1)))
        play(job, rng, standing, accidents=rng.choice((0.0, 0.0, 0.02)))
        job.check()
        for rank in job.alive:  # those who come back too late
            for grant in [*job.held[rank]]:
                job.report(rank, grant)
        job.check()


@given(st.integers(2, 5), st.integers(1, 30), st.data())
def test_one_rank_that_works_is_enough(p: int, n: int, data: st.DataObject) -> None:
    """All others take what they can get, and are never heard of again."""
    job = Job("dynamic", n, p)
    for rank in data.draw(st.permutations([*range(1, p)] * 3)):
        job.ready(rank)
    while not job.master.finished:
        if not job.held[0]:
            assert job.ready(0), "there is always something to do"
        job.report(0, job.held[0][0])
    job.check()


def test_without_it_nothing_is_handed_out_twice() -> None:
    master = Dispatcher("static", 4, 2)
    assert master.ready(0)
    assert master.ready(1)
    assert master.done(1, 1, 1.0)
    assert master.ready(1) is None
    assert master.superseded() == []


def test_what_nobody_needs_after_a_failure_is_told() -> None:
    job = Job("dynamic,5", 20, 3, ahead=0)
    assert all(job.ready(rank) for rank in range(3))
    job.report(1, job.held[1][0], index=7)
    assert job.moot == {(2, 2)}
    assert not job.master.finished
    job.report(0, job.held[0][0])
    job.check()
