"""Laws of a flow: every item once, in order, within the window, whatever happens when."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpicomp.plan.cutting import Grant, cut_of
from mpicomp.plan.flow import PACE, Flow, Outlet, Paced


class Run:
    """A flow of n items on p ranks, driven by chance: one event after the other.

    Parameters
    ----------
    failing : set of int
        Items that fail.
    gives : callable
        Item -> the values that it gives.
    """

    def __init__(
        self,
        n: int,
        p: int,
        chance: random.Random,
        ordered: bool,
        window: int | None,
        schedule: str | None = None,
        failing: frozenset[int] = frozenset(),
        one_each: bool = True,
    ) -> None:
        self.n, self.p, self.chance, self.failing = n, p, chance, failing
        self.one_each, self.asked = one_each, window
        self.flow = Flow(p, cut_of(schedule, None, p) if schedule else None)
        cut = cut_of(schedule, None, p) if schedule else None
        self.outlet = Outlet(ordered, p, window, cut.least if cut else 1)
        self.held: dict[int, list[list[int]]] = {rank: [] for rank in range(p)}  # number, at, stop
        self.read = 0
        self.begun: list[int] = []
        self.got: list[int] = []

    def values(self, item: int) -> list[int]:
        return [item] if self.one_each else [item] * (item % 3)

    def all_of(self, start: int, stop: int) -> list[int]:
        return [value for item in range(start, stop) for value in self.values(item)]

    # events

    def fill(self) -> None:
        wanted = min(self.outlet.wanted(self.read), self.flow.wanted())
        count = min(wanted, self.chance.randint(1, 9))
        found = min(count, self.n - self.read)
        if count:
            self.read += found
            self.take_in(self.flow.extend(found))
            if found < count:
                self.take_in(self.flow.close())
        if self.asked is not None:
            assert self.read <= self.outlet.gone + self.asked

    def take_in(self, served: list[tuple[int, Grant]]) -> None:
        for rank, grant in served:
            self.held[rank].append([grant.number, grant.start, grant.stop])

    def ask(self) -> None:
        rank = self.chance.randrange(self.p)
        grant = self.flow.ready(rank)
        if grant is not None:
            assert grant.stop <= self.read
            self.take_in([(rank, grant)])

    def work(self) -> None:
        """A rank does some items of its first batch, and tells; perhaps it is done."""
        ranks = [rank for rank, held in self.held.items() if held]
        if not ranks:
            return
        rank = self.chance.choice(ranks)
        number, at, stop = self.held[rank][0]
        until = self.chance.randint(at, stop)
        for item in range(at, until):
            self.begun.append(item)
            if item in self.failing:
                self.outlet.put(range(at, item), self.all_of(at, item))
                self.flow.failed(rank, number, item)
                self.outlet.fail(item)
                del self.held[rank][0]
                return
        self.outlet.put(range(at, until), self.all_of(at, until))
        self.held[rank][0][1] = until
        if until == stop:
            del self.held[rank][0]
            self.flow.done(rank, number, self.chance.choice([0.0, 1e-6, PACE, 1.0]))

    def give_back(self) -> None:
        rank = self.chance.randrange(self.p)
        if self.held[rank]:
            place = self.chance.randrange(len(self.held[rank]))
            number, at, stop = self.held[rank][place]
            if at < stop:
                self.held[rank][place][2] = at
                first = at == self.start_of(rank, number)
                self.take_in(self.flow.returned(rank, number, at))
                if first:
                    del self.held[rank][place]
                else:  # what has been told of before is all that is left
                    del self.held[rank][place]
                    self.flow.done(rank, number, 1e-3)

    def start_of(self, rank: int, number: int) -> int:
        return self.flow.held(rank, number).start

    def go_out(self) -> bool:
        piece = self.outlet.piece()
        if piece is None:
            return False
        count, values = piece
        self.got += values
        self.outlet.gone += count
        return True

    @property
    def over(self) -> bool:
        return self.outlet.failed or (self.flow.finished and not self.outlet.failed_at)

    def run(self) -> None:
        for _ in range(10_000):
            self.chance.choice([self.fill, self.ask, self.ask, self.work, self.work,
                                self.give_back, self.go_out])()  # fmt: skip
            if self.chance.random() < 0.1:
                self.outlet.widen(self.chance.randint(0, 100))
            if not self.go_out() and self.over:
                break
        else:
            raise AssertionError(f"it does not end: {self.flow!r}")


SCHEDULES = (None, None, "dynamic,3", "guided", "factoring", "static,2", "af", "dynamic,20")


@settings(max_examples=400)
@given(
    n=st.integers(0, 60),
    p=st.integers(1, 5),
    seed=st.integers(0, 10**9),
    ordered=st.booleans(),
    window=st.none() | st.integers(1, 20),
    schedule=st.sampled_from(SCHEDULES),
    one_each=st.booleans(),
)
def test_every_item_once_in_order_within_the_window(
    n: int, p: int, seed: int, ordered: bool, window: int | None, schedule: str | None,
    one_each: bool,
) -> None:  # fmt: skip
    if window is not None and schedule and "," in schedule:
        window += int(schedule.split(",")[1])  # a window holds a chunk
    run = Run(n, p, random.Random(seed), ordered, window, schedule, one_each=one_each)
    run.run()
    assert sorted(run.begun) == [*range(n)]
    expected: list[int] = run.all_of(0, n)
    assert (run.got if ordered else sorted(run.got)) == expected
    assert run.outlet.gone == n


@settings(max_examples=400)
@given(
    n=st.integers(1, 40),
    p=st.integers(1, 4),
    seed=st.integers(0, 10**9),
    failing=st.frozensets(st.integers(0, 39), min_size=1, max_size=3),
    window=st.none() | st.integers(1, 9),
)
def test_the_first_failure_comes_behind_what_came_before_it(
    n: int, p: int, seed: int, failing: frozenset[int], window: int | None
) -> None:
    run = Run(n, p, random.Random(seed), ordered=True, window=window, failing=failing)
    run.run()
    first = min((item for item in failing if item < n), default=None)
    assert run.got == [*range(n if first is None else first)]
    assert run.outlet.failed is (first is not None)
    assert len(set(run.begun)) == len(run.begun)


def test_batches_follow_the_measured_time() -> None:
    cut = Paced(2)
    cut.known = 10**6
    sizes = []
    for seconds in (1e-5, 1e-5, 1e-5, 1e-5, 1.0, 1e-5):
        grant = cut.next(0)
        assert grant is not None
        sizes.append(len(grant.items))
        cut.learn(0, sizes[-1], seconds * sizes[-1], 0.0)
    assert sizes == [1, 8, 64, 400, 400, 1]  # after a slow item one by one again


def test_few_items_go_out_one_by_one() -> None:
    cut = Paced(4)
    cut.known = 8
    cut.learn(0, 100, 1e-4, 0.0)
    grants: list[Any] = [cut.next(0) for _ in range(8)]
    assert [len(grant.items) for grant in grants] == [1] * 8


def test_nothing_waits_behind_a_slow_batch() -> None:
    flow = Flow(2)
    flow.extend(1000)
    first = flow.ready(0)
    assert first is not None
    assert flow.ready(0) is None  # nobody knows yet how long it takes
    flow.done(0, first.number, 1e-6)
    second, third = flow.ready(0), flow.ready(0)
    assert second is not None
    assert third is not None  # quick ones are sent ahead
    flow.returned(0, third.number, third.start)
    assert flow.ready(0) is None  # it is stuck in the second
    flow.done(0, second.number, 10.0)
    fourth = flow.ready(0)
    assert fourth is not None
    assert fourth.start == third.start  # what was given back comes first
    assert flow.ready(0) is None


def test_a_chunk_given_back_keeps_the_order_of_the_lowest() -> None:
    flow = Flow(3, cut_of("dynamic,10", None, 3))
    flow.extend(100)
    grants: list[Any] = [flow.ready(rank) for rank in range(3)]
    flow.returned(0, grants[0].number, 4)
    flow.done(1, grants[1].number, 1.0)
    flow.done(0, grants[0].number, 1.0)
    flow.stop(5)
    assert not flow.finished  # item 4 was given back, and has not been done
    again = flow.ready(1)
    assert again is not None
    assert again.items == range(4, 10)
    flow.done(1, again.number, 1.0)
    assert flow.finished


@pytest.mark.parametrize(("number", "at"), [(7, 0), (0, -1), (0, 11)])
def test_what_is_not_held_cannot_be_given_back(number: int, at: int) -> None:
    flow = Flow(1, cut_of("dynamic,10", None, 1))
    flow.extend(10)
    flow.ready(0)
    with pytest.raises(ValueError, match="got"):
        flow.returned(0, number, at)


@pytest.mark.parametrize("window", [0, -1, 1.5, "3"])
def test_a_window_is_a_whole_number(window: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="window"):
        Outlet(True, 2, window)
