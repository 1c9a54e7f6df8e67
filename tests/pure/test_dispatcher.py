"""Laws of handing out: every item once, nobody forgotten, whatever happens in which order."""

from __future__ import annotations

import gc
import random
import tracemalloc
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import product
from math import ceil, sqrt
from statistics import fmean, variance
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mpicomp.errors import ScheduleError
from mpicomp.plan.adaptive import af_chunk, awf_pace, awf_weights, weighted_chunk
from mpicomp.plan.chunks import table
from mpicomp.plan.cutting import Grant
from mpicomp.plan.dispatcher import Dispatcher
from mpicomp.plan.schedule import KINDS, parse

if TYPE_CHECKING:
    from mpicomp.plan.schedule import Schedule

MEASURED: dict[str, dict[str, Any]] = {"fsc": {"h": 1e-3, "sigma": 0.02}}  # without a default
TABLES = [name for name, kind in KINDS.items() if kind in ("static", "table")]
ADAPTIVE = [name for name, kind in KINDS.items() if kind == "adaptive"]
NAMES = [*TABLES, *ADAPTIVE]
RANKS = (1, 2, 3, 7)
LAST_BIT = 1  # an item more or less, where two ways to add floats differ before rounding up

schedules = st.builds(
    lambda name, chunk: parse(name if chunk is None else f"{name},{chunk}"),
    st.sampled_from(NAMES),
    st.none() | st.integers(1, 9),
)


class Job:
    """A dispatcher and the ranks it serves: passes events on, and checks every answer.

    Parameters
    ----------
    schedule : str or Schedule
    n : int or None
        Number of items; None for a stream.
    p : int
        Number of ranks.
    **options
        Of the dispatcher.
    """

    def __init__(self, schedule: str | Schedule, n: int | None, p: int, **options: Any) -> None:
        self.schedule = parse(schedule)
        parameters = MEASURED.get(self.schedule.name, {})
        self.master = Dispatcher(schedule, n, p, **options, **parameters)
        self.p, self.ahead = p, options.get("ahead", 1)
        self.open_stream = n is None
        self.known = n or 0
        self.held: list[list[Grant]] = [[] for _ in range(p)]
        self.orphans: list[Grant] = []  # of ranks that were lost
        self.late: list[tuple[int, Grant]] = []  # what lost ranks may still report
        self.alive = set(range(p))
        self.hungry: list[int] = []
        self.granted: list[Grant] = []  # every chunk once, in the order of numbers
        self.accepted: list[Grant] = []
        self.limit: int | None = None

    # what is known of the dispatcher's state, from outside

    @property
    def fresh(self) -> int:
        """The lowest item that was never handed out."""
        return self.granted[-1].stop if self.granted else 0

    @property
    def lowest(self) -> int:
        """The lowest unfinished item."""
        unfinished = [*self.orphans, *(grant for held in self.held for grant in held)]
        return min((grant.start for grant in unfinished), default=self.fresh)

    def below(self, start: int) -> bool:
        return self.limit is None or start < self.limit

    @property
    def nothing_to_give(self) -> bool:
        """Whether even a rank that holds nothing must be told None."""
        if any(self.below(grant.start) for grant in self.orphans):
            return False
        left = self.known - self.fresh
        if self.open_stream and left < self.schedule.least:
            return True
        return not left or self.limit is not None

    @property
    def finished(self) -> bool:
        if self.limit is not None:
            return self.lowest >= self.limit
        return not self.open_stream and self.lowest == self.known

    # events

    def ready(self, rank: int) -> Grant | None:
        load = sum(len(grant.items) for grant in self.held[rank])
        left = self.known - self.fresh
        spare = 2 * self.p * load if load == 0 or not self.open_stream else self.p
        full = len(self.held[rank]) > self.ahead or spare > left
        grant = self.master.ready(rank)
        if rank not in self.alive or full or self.nothing_to_give:
            assert grant is None
        else:
            assert grant is not None
            self.check(rank, grant)
        if grant is None and not load and rank in self.alive and rank not in self.hungry:
            self.hungry.append(rank)
        return grant

    def done(self, rank: int, grant: Grant, seconds: float = 1e-3, overhead: float = 0.0) -> None:
        assert self.master.done(rank, grant.number, seconds, overhead) is True
        self.held[rank].remove(grant)
        self.accepted.append(grant)

    def failed(self, rank: int, grant: Grant, index: int) -> None:
        assert self.master.failed(rank, grant.number, index) is True
        self.held[rank].remove(grant)
        self.limit = index if self.limit is None else min(self.limit, index)

    def report_late(self, rank: int, grant: Grant, index: int | None) -> None:
        """A lost rank's last words, which come when its chunk is another's already."""
        if index is None:
            assert self.master.done(rank, grant.number, 1e-3) is False
        else:
            assert self.master.failed(rank, grant.number, index) is False

    def lost(self, rank: int) -> None:
        self.alive.discard(rank)
        self.orphans += self.held[rank]
        self.late += [(rank, grant) for grant in self.held[rank]]
        self.held[rank] = []
        self.hungry = [other for other in self.hungry if other != rank]
        self.serve(self.master.lost(rank))

    def extend(self, count: int) -> None:
        self.known += count
        self.serve(self.master.extend(count))

    def close(self) -> None:
        self.open_stream = False
        self.serve(self.master.close())

    # laws of the answers

    def serve(self, served: list[tuple[int, Grant]]) -> None:
        ranks = [rank for rank, _ in served]
        assert ranks == self.hungry[: len(served)], "who asked first is served first"
        for rank, grant in served:
            self.check(rank, grant)
        self.hungry = self.hungry[len(served) :]
        assert not self.hungry or self.nothing_to_give

    def check(self, rank: int, grant: Grant) -> None:
        assert rank in self.alive
        assert self.below(grant.start), "no item at or above one that failed"
        if self.orphans and self.below(min(self.orphans).start):
            assert grant == min(self.orphans), "what was lost comes first, lowest first"
            self.orphans.remove(grant)
        else:
            assert (grant.number, grant.start) == (len(self.granted), self.fresh)
            assert grant.start < grant.stop <= self.known
            last = grant.stop == self.known and not self.open_stream
            static = self.schedule.kind == "static"
            assert last or static or len(grant.items) >= self.schedule.least
            self.granted.append(grant)
        self.held[rank].append(grant)
        assert len(self.held[rank]) <= self.ahead + 1

    def check_state(self) -> None:
        master = self.master
        assert master.limit == self.limit
        assert master.finished is self.finished
        assert not self.hungry or self.nothing_to_give
        reads = self.open_stream and self.limit is None
        assert master.wanted() == (max(0, self.lowest + master.window - self.known) if reads else 0)

    def check_result(self) -> None:
        """Every item was finished once; with a failure, every one below it."""
        assert self.master.finished
        stop = self.known if self.limit is None else self.limit
        done = sorted(self.accepted)
        assert len({grant.number for grant in done}) == len(done)
        items = [i for grant in done for i in grant.items if i < stop]
        failing = [grant for grant in self.granted if self.limit in grant.items]
        items += [i for grant in failing for i in range(grant.start, stop)]
        assert sorted(items) == list(range(stop))

    # ways to go on

    def step(self, rng: random.Random) -> None:
        """Any event that may happen now."""
        rank = rng.choice(sorted(self.alive))
        held = self.held[rank]
        choices = ["ready"] + ["done"] * 2 * bool(held) + ["read"] * 2 * self.open_stream
        match rng.choice(choices):
            case "ready":
                self.ready(rank)
            case "done":
                self.done(rank, rng.choice(held), rng.random(), rng.random())
            case "read":
                self.extend(rng.randint(0, self.master.wanted()))
        self.check_state()

    def run_out(self) -> None:
        """Let the ranks that are left finish the work, without any more accidents."""
        while not self.master.finished:
            before = self.open_stream, self.known, len(self.accepted)
            if self.open_stream and (self.limit is not None or self.known > 500):
                self.close()
            elif self.open_stream:
                self.extend(self.master.wanted())
            for rank in sorted(self.alive):
                while self.ready(rank):
                    pass
                for grant in list(self.held[rank]):
                    self.done(rank, grant)
            self.check_state()
            assert before != (self.open_stream, self.known, len(self.accepted)), "stuck"
        self.check_result()


# random interleavings


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_every_item_once(name: str, p: int) -> None:
    for n, chunk, seed in product((0, 1, p - 1, p, 1000), ("", ",3"), range(2)):
        job = Job(name + chunk, n, p)
        rng = random.Random(f"{name}{chunk} {n} {p} {seed}")
        while not job.master.finished:
            job.step(rng)
        job.check_result()
        assert all(job.ready(rank) is None for rank in range(p))
        assert job.master.wanted() == 0


@pytest.mark.parametrize("p", RANKS)
@pytest.mark.parametrize("name", NAMES)
def test_every_item_of_a_stream_once(name: str, p: int) -> None:
    for n, chunk, seed in product((0, 1, p - 1, p, 300), ("", ",3"), range(2)):
        job = Job(name + chunk, None, p)
        rng = random.Random(f"{name}{chunk} {n} {p} {seed}")
        while job.known < n:
            job.step(rng)
        job.close()
        while not job.master.finished:
            job.step(rng)
        job.check_result()


@pytest.mark.parametrize("name", NAMES)
def test_ranks_die_and_items_fail(name: str) -> None:
    for p, stream, seed in product(RANKS, (False, True), range(20)):
        rng = random.Random(f"{name} {p} {stream} {seed}")
        job = Job(name, None if stream else 200, p, ahead=rng.randint(0, 3))
        for _ in range(rng.randint(0, 150)):
            job.step(rng)
            rank = rng.randrange(p)
            if rank in job.alive and len(job.alive) > 1 and rng.random() < 0.03:
                job.lost(rank)
            elif job.held[rank] and rng.random() < 0.02:
                grant = rng.choice(job.held[rank])
                job.failed(rank, grant, rng.choice(grant.items))
            elif job.late and rng.random() < 0.2:
                job.report_late(*job.late.pop(), index=None)
            job.check_state()
        job.run_out()


class Interleavings(RuleBasedStateMachine):
    """The same, with hypothesis looking for the shortest way to break a law."""

    @initialize(
        schedule=schedules,
        n=st.none() | st.integers(0, 60),
        p=st.integers(1, 7),
        ahead=st.integers(0, 3),
        window=st.none() | st.integers(9, 40),
    )
    def begin(
        self, schedule: Schedule, n: int | None, p: int, ahead: int, window: int | None
    ) -> None:
        self.job = Job(schedule, n, p, ahead=ahead, window=window)

    def a_rank(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.job.alive)), "rank")

    def a_grant(self, data: st.DataObject) -> tuple[int, Grant]:
        held = [(rank, grant) for rank in self.job.alive for grant in self.job.held[rank]]
        return data.draw(st.sampled_from(held), "grant")

    @rule(data=st.data())
    def ready(self, data: st.DataObject) -> None:
        self.job.ready(data.draw(st.integers(0, self.job.p - 1), "rank"))  # a lost one, too

    @precondition(lambda self: any(self.job.held))
    @rule(data=st.data(), seconds=st.floats(0, 1e6), overhead=st.floats(0, 1e6))
    def done(self, data: st.DataObject, seconds: float, overhead: float) -> None:
        self.job.done(*self.a_grant(data), seconds, overhead)

    @precondition(lambda self: any(self.job.held))
    @rule(data=st.data())
    def failed(self, data: st.DataObject) -> None:
        rank, grant = self.a_grant(data)
        self.job.failed(rank, grant, data.draw(st.sampled_from(grant.items), "item"))

    @precondition(lambda self: len(self.job.alive) > 1)
    @rule(data=st.data())
    def lost(self, data: st.DataObject) -> None:
        self.job.lost(self.a_rank(data))

    @precondition(lambda self: self.job.late)
    @rule(data=st.data())
    def late(self, data: st.DataObject) -> None:
        rank, grant = data.draw(st.sampled_from(self.job.late), "late")
        self.job.report_late(rank, grant, data.draw(st.none() | st.sampled_from(grant.items)))

    @precondition(lambda self: self.job.open_stream)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        self.job.extend(data.draw(st.integers(0, self.job.master.wanted()), "count"))

    @precondition(lambda self: self.job.open_stream)
    @rule()
    def close(self) -> None:
        self.job.close()

    @precondition(lambda self: self.job.open_stream)
    @rule(window=st.integers(9, 80))
    def look_ahead(self, window: int) -> None:
        self.job.master.window = window

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "job"):
            self.job.check_state()

    def teardown(self) -> None:
        if hasattr(self, "job"):
            self.job.run_out()


def test_any_interleaving() -> None:
    run_state_machine_as_test(
        Interleavings, settings=settings(max_examples=300, stateful_step_count=40, deadline=None)
    )


# chunks


def chunks(job: Job) -> Iterator[tuple[int, int]]:
    """All chunks, taken by the ranks in turn, one at a time."""
    while not job.master.finished:
        for rank in range(job.p):
            grant = job.ready(rank)
            if grant is not None:
                yield grant.start, grant.stop
                job.done(rank, grant)


@pytest.mark.parametrize("name", TABLES)
@given(n=st.integers(0, 2000), p=st.integers(1, 9), chunk=st.none() | st.integers(1, 50))
def test_chunk_k_is_the_plans(name: str, n: int, p: int, chunk: int | None) -> None:
    text = name if chunk is None else f"{name},{chunk}"
    plan = table(text, n, p, **MEASURED.get(name, {}))
    assert list(chunks(Job(text, n, p))) == [plan.span(k) for k in range(plan.nchunks)]


def test_a_plan_of_ones_own() -> None:
    class FirstSingly:
        """The first p items one by one, then the rest."""

        def __init__(self, n: int, p: int) -> None:
            self.n, self.p, self.nchunks = n, p, p + 1

        def span(self, k: int, /) -> tuple[int, int]:
            return (k, k + 1) if k < self.p else (self.p, self.n)

        def __iter__(self) -> Iterator[tuple[int, int]]:
            return map(self.span, range(self.nchunks))

    plan = FirstSingly(11, 2)
    master = Dispatcher(plan, 11, 2, ahead=2)
    assert [master.ready(rank) for rank in (0, 1, 0)] == [(0, 0, 1), (1, 1, 2), (2, 2, 11)]
    with pytest.raises(
        ScheduleError, match=r"11 items for 2 ranks .* n=None, p=2; write n=11, p=2"
    ):
        Dispatcher(plan, None, 2)


def test_large_numbers_are_exact() -> None:
    master = Dispatcher("guided", 10**30 + 1, 3)
    grant = master.ready(2)
    assert grant == (0, 0, (10**30 + 3) // 3)
    assert grant is not None
    assert grant.items.stop == grant.stop


@pytest.mark.parametrize("text", ["dynamic,1", "static,1", "weighted", "awf-c", "af"])
def test_nothing_is_kept_of_a_chunk_that_is_done(text: str) -> None:
    master = Dispatcher(text, 10**9, 4)

    def take_turns(count: int) -> None:
        for k in range(count):
            grant = master.ready(k % 4)
            if grant is not None:
                master.done(k % 4, grant.number, 1e-3)

    take_turns(1000)
    tracemalloc.start()
    take_turns(10_000)
    gc.collect()  # the interpreter keeps freed tuples for later
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 10_000  # a byte for each


# prefetching


@pytest.mark.parametrize("ahead", range(4))
def test_no_more_than_ahead_besides_the_one_at_work(ahead: int) -> None:
    master = Dispatcher("dynamic", 10**6, 3, ahead=ahead)
    assert [master.ready(1) is not None for _ in range(6)] == [k <= ahead for k in range(6)]
    master.done(1, 0, 1.0)
    assert [master.ready(1) is not None for _ in range(2)] == [True, False]


@pytest.mark.parametrize("text", ["static", "guided", "trapezoid", "factoring", "pls", "weighted"])
def test_no_second_large_chunk(text: str) -> None:
    master = Dispatcher(text, 1000, 4)
    assert master.ready(0) is not None
    assert master.ready(0) is None
    assert all(master.ready(rank) for rank in (1, 2, 3)), "who holds nothing is not refused"


def test_near_the_end_nobody_hoards() -> None:
    n, p, b = 120, 3, 4
    job = Job(f"dynamic,{b}", n, p)
    second = {}
    for _ in range(n // b):
        assert job.ready(0)
        second[job.known - job.fresh] = job.ready(0) is not None
        for grant in list(job.held[0]):
            job.done(0, grant)
        if job.master.finished:
            break
    assert second == {left: left >= 2 * p * b for left in second}
    assert set(second.values()) == {True, False}


@pytest.mark.parametrize("name", NAMES)
def test_who_comes_first_takes_no_more_than_its_share(name: str) -> None:
    job = Job(name, 1000, 4)
    while job.ready(0):
        pass
    largest = max((stop - start for start, stop in chunks(Job(name, 1000, 4))), default=0)
    assert sum(len(grant.items) for grant in job.held[0]) <= max(1000 // 4, largest)


# lost ranks


def test_what_was_lost_comes_first_and_lowest_first() -> None:
    master = Dispatcher("dynamic,5", 100, 4)
    for rank in (0, 1, 2, 1):
        master.ready(rank)
    assert master.lost(1) == []
    grants = [master.ready(3), master.done(2, 2, 1.0) and master.ready(2), master.ready(3)]
    assert grants == [(1, 5, 10), (3, 15, 20), (4, 20, 25)]
    assert master.ready(1) is None
    assert master.lost(1) == []


def test_a_late_report_does_not_count() -> None:
    master = Dispatcher("dynamic,5", 10, 3)
    assert master.ready(0) == (0, 0, 5)
    master.lost(0)
    assert not master.done(0, 0, 1.0)  # nobody has it
    assert master.ready(1) == (0, 0, 5)
    assert not master.done(0, 0, 1.0)  # another has it
    assert not master.failed(0, 0, 3)
    assert master.done(1, 0, 1.0)
    assert not master.done(0, 0, 1.0)  # it is done
    assert master.limit is None
    assert master.ready(1) == (1, 5, 10)


def test_who_waits_takes_over() -> None:
    master = Dispatcher("static", 12, 4)
    assert [master.ready(rank) for rank in range(4)] == [(k, 3 * k, 3 * k + 3) for k in range(4)]
    for rank in (3, 2):
        assert master.done(rank, rank, 1.0)
        assert master.ready(rank) is None
    assert master.lost(1) == [(3, (1, 3, 6))]
    assert master.lost(0) == [(2, (0, 0, 3))]
    assert master.done(3, 1, 1.0)
    assert not master.finished
    assert master.done(2, 0, 1.0)
    assert master.finished


# failures


def test_only_what_is_below_a_failure_is_handed_out() -> None:
    master = Dispatcher("dynamic,5", 100, 4)
    for rank in range(4):
        master.ready(rank)
    assert master.failed(2, 2, 12)
    assert master.limit == 12
    assert master.ready(2) is None
    assert master.lost(0) == [(2, (0, 0, 5))]
    assert master.lost(3) == []  # 15 to 19: nobody wants them now
    assert master.done(2, 0, 1.0)
    assert not master.finished
    assert master.failed(1, 1, 9)
    assert master.limit == 9
    assert master.finished


def test_of_several_failures_the_lowest_counts() -> None:
    master = Dispatcher("dynamic,5", 100, 3)
    for rank in range(3):
        master.ready(rank)
    for rank, index, limit in [(1, 7, 7), (2, 10, 7), (0, 4, 4)]:
        assert not master.finished
        assert master.failed(rank, rank, index)
        assert master.limit == limit
    assert master.finished


def test_a_failure_ends_a_stream() -> None:
    master = Dispatcher("dynamic", None, 2)
    assert master.ready(0) is None
    assert master.extend(3) == [(0, (0, 0, 1))]
    assert master.wanted() > 0
    assert master.failed(0, 0, 0)
    assert master.wanted() == 0
    assert master.extend(5) == []  # read before the failure was known
    assert master.ready(0) is None
    assert master.finished


# streams


def test_hungry_ranks_are_served_in_turn() -> None:
    master = Dispatcher("dynamic", None, 4)
    assert [master.ready(rank) for rank in (2, 0, 3, 2)] == [None] * 4
    assert master.extend(0) == []
    assert master.extend(2) == [(2, (0, 0, 1)), (0, (1, 1, 2))]
    assert master.extend(2) == [(3, (2, 2, 3))]
    assert master.ready(1) == (3, 3, 4)
    assert not master.finished
    assert master.close() == []


def test_the_window_begins_at_the_lowest_unfinished_item() -> None:
    master = Dispatcher("dynamic,2", None, 2, window=6)
    assert master.wanted() == 6
    master.extend(6)
    assert master.wanted() == 0
    assert [master.ready(rank) for rank in (0, 1)] == [(0, 0, 2), (1, 2, 4)]
    master.done(1, 1, 1.0)
    assert master.wanted() == 0
    assert master.ready(1) == (2, 4, 6)
    master.done(0, 0, 1.0)
    assert master.wanted() == 4
    master.window = 4
    assert master.wanted() == 2
    master.lost(1)
    assert master.wanted() == 2


def test_a_block_waits_until_it_is_whole() -> None:
    master = Dispatcher("dynamic,4", None, 2)
    assert master.ready(1) is None
    assert master.extend(3) == []
    assert master.extend(2) == [(1, (0, 0, 4))]
    assert master.ready(0) is None
    assert master.close() == [(0, (1, 4, 5))]


@pytest.mark.parametrize("text", ["dynamic,4", "static,4", "dynamic"])
def test_blocks_of_a_stream_are_the_plans(text: str) -> None:
    rng = random.Random(text)
    job = Job(text, None, 3)
    while job.known < 500:
        job.step(rng)
    job.close()
    while not job.master.finished:
        job.step(rng)
    assert [(start, stop) for _, start, stop in job.granted] == list(table(text, job.known, 3))


@pytest.mark.parametrize("name", NAMES)
def test_a_slow_stream_goes_out_item_by_item(name: str) -> None:
    job = Job(name, None, 2)
    for i in range(20):
        assert job.ready(i % 2) is None
        job.extend(1)
        job.done(i % 2, job.held[i % 2][0])
    assert [grant.items for grant in job.granted] == [range(i, i + 1) for i in range(20)]


def test_what_has_been_read_is_cut_as_the_schedule_cuts() -> None:
    for name, first in [("guided", [250, 188]), ("factoring", [125, 125]), ("static", [250, 250])]:
        master = Dispatcher(name, None, 4, window=1000)
        master.extend(1000)
        grants = [master.ready(rank) for rank in (0, 1)]
        assert [len(grant.items) for grant in grants if grant] == first


def test_a_batch_of_a_stream_is_p_chunks() -> None:
    job = Job("guided", None, 2, window=1000)
    job.extend(8)
    assert size(job, 0) == 4
    job.extend(100)
    assert size(job, 1) == 2
    report(job, 0, 1e-3)
    assert size(job, 0) == 51  # half of the 2 and 100 that are left


def test_a_batch_ends_with_what_it_was_cut_from() -> None:
    job = Job("weighted", None, 4, window=1000)
    job.extend(1)
    assert job.ready(0) == (0, 0, 1)
    job.extend(800)
    assert [len(job.ready(rank).items) for rank in (1, 2, 3)] == [100] * 3  # type: ignore[union-attr]  # no None


# measured schedules


def size(job: Job, rank: int) -> int:
    """Items that *rank* gets now."""
    grant = job.ready(rank)
    assert grant is not None
    return len(grant.items)


def report(job: Job, rank: int, seconds_per_item: float, overhead: float = 0.0) -> None:
    grant = job.held[rank][0]
    job.done(rank, grant, seconds_per_item * len(grant.items), overhead)


def test_given_weights() -> None:
    job = Job("weighted", 1000, 4, weights=[4, 2, 1, 1])  # scaled to sum 4
    assert [size(job, rank) for rank in range(4)] == [250, 125, 63, 63]
    left = 1000 - 501
    report(job, 1, 1.0)
    assert size(job, 1) == weighted_chunk(left, 4, 1.0) == 63
    report(job, 0, 1.0)
    assert size(job, 0) == weighted_chunk(left, 4, 2.0) == 126  # the same batch


def test_given_weights_count_until_a_rank_is_measured() -> None:
    for name in ("awf-b", "awf-c", "awf-d", "awf-e"):
        job = Job(f"{name},weights=3:1", 1000, 2)
        assert size(job, 0) == weighted_chunk(1000, 2, 1.5)


def test_without_weights_it_is_factoring() -> None:
    assert list(chunks(Job("weighted", 1000, 4))) == list(table("factoring", 1000, 4))


@pytest.mark.parametrize(("text", "pays"), [("awf-b", 0.0), ("awf-d", 30.0)])
def test_awf_learns_once_per_batch(text: str, pays: float) -> None:
    job = Job(text, 1000, 2)
    assert [size(job, rank) for rank in (0, 1)] == [250, 250]
    report(job, 0, 0.1)
    report(job, 1, 0.3, overhead=30.0)
    weights = awf_weights([0.1, 0.3 + pays / 250])
    assert size(job, 0) == weighted_chunk(500, 2, weights[0])
    report(job, 0, 10.0)  # changes nothing in this batch
    assert size(job, 1) == weighted_chunk(500, 2, weights[1])
    left = job.known - job.fresh
    first, second = 250, job.granted[2].stop - 500
    paces = [awf_pace([25.0, 10.0 * second], [first, second]), 0.3 + pays / 250]
    report(job, 1, 0.3, overhead=pays * len(job.held[1][0].items) / 250)
    assert size(job, 1) == weighted_chunk(left, 2, awf_weights(paces)[1])


@pytest.mark.parametrize(("text", "pays"), [("awf-c", False), ("awf-e", True)])
def test_awf_learns_at_each_chunk(text: str, pays: bool) -> None:
    rng = random.Random(text)
    job = Job(text, 10**7, 3)
    seconds: list[list[float]] = [[], [], []]
    items: list[list[int]] = [[], [], []]
    for _ in range(40):
        rank = rng.randrange(3)
        weights = awf_weights([awf_pace(*both) for both in zip(seconds, items, strict=True)])
        expected = weighted_chunk(job.known - job.fresh, 3, weights[rank])
        items[rank].append(size(job, rank))
        assert abs(items[rank][-1] - expected) <= LAST_BIT
        work, wait = rng.random() * items[rank][-1], rng.random()
        seconds[rank].append(work + wait * pays)
        job.done(rank, job.held[rank][0], work, wait)


def test_adaptive_factoring() -> None:
    rng = random.Random(2)
    n, p = 10**5, 3
    job = Job("af", n, p)
    told: list[list[tuple[int, float]]] = [[], [], []]
    for step in range(30):
        rank = step % p if step < 7 else rng.randrange(p)
        left = job.known - job.fresh
        known = {other: estimate(told[other]) for other in range(p) if len(told[other]) > 1}
        if rank in known:
            typical = tuple(map(fmean, zip(*known.values(), strict=True)))
            means, deviations = zip(*(known.get(j, typical) for j in range(p)), strict=True)
            expected = af_chunk(left, means, deviations, rank)
        else:
            expected = ceil(left / (8 * p))
        items = size(job, rank)
        assert abs(items - expected) <= LAST_BIT
        told[rank].append((items, items * rng.uniform(1, 3) * (1 + rank)))
        job.done(rank, job.held[rank][0], told[rank][-1][1])


def estimate(told: list[tuple[int, float]]) -> tuple[float, float]:
    """Mean and deviation of one item's time, by the definition."""
    items = sum(m for m, _ in told)
    mean = sum(t for _, t in told) / items
    return mean, sqrt(sum(m * (t / m - mean) ** 2 for m, t in told) / (len(told) - 1))


def test_af_finds_the_deviation_of_items_from_times_of_chunks() -> None:
    rng = random.Random(1)
    times = [rng.expovariate(2.0) for _ in range(60_000)]
    told, at = [], 0
    while at < len(times):
        m = rng.randint(1, 100)
        told.append((len(times[at : at + m]), sum(times[at : at + m])))
        at += m
    mean, deviation = estimate(told)
    assert mean == pytest.approx(fmean(times))
    assert deviation == pytest.approx(sqrt(variance(times)), rel=0.05)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_times_too_short_for_the_clock(name: str) -> None:
    job = Job(name, 1000, 3)
    while not job.master.finished:
        for rank in range(3):
            if job.ready(rank):
                job.done(rank, job.held[rank][0], 0.0)
    job.check_result()


def run_on_a_virtual_clock(
    job: Job, costs: list[float], speeds: list[float], latency: float
) -> tuple[float, list[int]]:
    """Seconds until the last item is done, and items of each rank."""
    clock = [(0.0, rank) for rank in range(job.p)]  # who is free when
    heapify(clock)
    items, end = [0] * job.p, 0.0
    while clock:
        now, rank = heappop(clock)
        if job.held[rank]:
            grant = job.held[rank][0]
            job.done(rank, grant, sum(costs[grant.start : grant.stop]) / speeds[rank], latency)
            items[rank] += len(grant.items)
            end = now
        grant_or_none = job.ready(rank)
        if grant_or_none is not None:
            grant = grant_or_none
            work = sum(costs[grant.start : grant.stop]) / speeds[rank]
            heappush(clock, (now + latency + work, rank))
    return end, items


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_faster_rank_gets_more(name: str) -> None:
    speeds = [4.0, 2.0, 1.0, 1.0]
    options = {"weights": speeds} if name == "weighted" else {}
    job = Job(name, 10_000, 4, **options)
    end, items = run_on_a_virtual_clock(job, [1e-3] * 10_000, speeds, latency=1e-4)
    job.check_result()
    assert items == pytest.approx([5000, 2500, 1250, 1250], rel=0.1)
    assert end == pytest.approx(10.0 / 8, rel=0.1)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("static", "fiss", "viss")])
def test_uneven_items_are_balanced(name: str) -> None:
    rng = random.Random(name)
    costs = [rng.expovariate(1000.0) for _ in range(20_000)]
    job = Job(name, len(costs), 4)
    end, _ = run_on_a_virtual_clock(job, costs, [1.0] * 4, latency=1e-5)
    assert end < 1.1 * sum(costs) / 4


# letters


WRONG: list[tuple[str, int | None, dict[str, Any], str]] = [
    ("auto", 10, {}, '"auto" .* write "guided"'),
    ("auto", None, {}, '"auto" .* write "guided"'),
    ("gss", 10, {}, 'write "guided"'),
    ("fsc", None, {}, "fsc needs seconds per claim"),
    ("guided", -1, {}, "n must be >= 0, got -1"),
    ("guided", 10, {"ahead": -1}, "ahead must be >= 0, got -1"),
    ("dynamic,8", None, {"window": 7}, "window must be >= 8, got 7"),
    ("guided", 10, {"swr": 0.5}, '"guided" takes no swr'),
    ("af", 10, {"weights": [1, 1]}, '"af" measures .*; write "weighted"'),
    ("weighted", 10, {"weights": [1]}, r'each of 2 ranks, got \[1\]; write "weighted,weights=1:1"'),
    ("awf-c,weights=1:1:1", 10, {}, r"each of 2 ranks, got \(1.0, 1.0, 1.0\)"),
    ("weighted", 10, {"weights": [1, 0]}, r"each of 2 ranks, got \[1, 0\]"),
]


@pytest.mark.parametrize(("schedule", "n", "options", "letter"), WRONG, ids=map(str, range(11)))
def test_a_wrong_word_gets_a_letter(
    schedule: str, n: int | None, options: dict[str, Any], letter: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=letter):
        Dispatcher(schedule, n, 2, **options)


def test_what_is_no_schedule_gets_a_letter() -> None:
    with pytest.raises(ScheduleError, match='a text or a plan, got 4; write "dynamic,4"'):
        Dispatcher(4, 10, 2)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ValueError, match="p must be >= 1, got 0"):
        Dispatcher("guided", 10, 0)


def test_reading_out_of_turn_gets_a_letter() -> None:
    with pytest.raises(ValueError, match=r"extend\(1\) is for an open stream; write n=None"):
        Dispatcher("guided", 10, 2).extend(1)
    stream = Dispatcher("guided", None, 2, window=4)
    with pytest.raises(ValueError, match="5 items were read where 4 were wanted"):
        stream.extend(5)
    stream.close()
    with pytest.raises(ValueError, match=r"extend\(0\) is for an open stream"):
        stream.extend(0)


def test_a_report_that_cannot_be_gets_a_letter() -> None:
    master = Dispatcher("dynamic,4", 100, 2)
    for rank in (0, 1, 1):
        master.ready(rank)
    with pytest.raises(ValueError, match=r"rank 1 holds the chunks \[1, 2\], got 0; report"):
        master.done(1, 0, 1.0)
    with pytest.raises(ValueError, match=r"chunk 1 is range\(4, 8\), got index=8"):
        master.failed(1, 1, 8)
    assert master.done(1, 1, 1.0)
    with pytest.raises(ValueError, match=r"rank 1 holds the chunks \[2\], got 1"):
        master.done(1, 1, 1.0)


def test_its_repr_tells_where_it_stands() -> None:
    master = Dispatcher("dynamic,4", None, 2)
    master.ready(1)
    master.extend(6)
    assert repr(master) == (
        "<Dispatcher: 4 of 6... items handed out, 1 chunks unfinished, 0 of 2 ranks hungry>"
    )
    master.close()
    assert " 4 of 6 items" in repr(master)


@given(schedules, st.integers(1, 40), st.integers(1, 4))
def test_who_gives_back_nothing_of_a_chunk_has_it_still(
    schedule: Schedule, n: int, p: int
) -> None:
    measured = MEASURED.get(schedule.name, {})
    master = Dispatcher(schedule, n, p, **measured)
    grant = master.ready(0)
    if grant is None:
        return
    assert master.returned(0, grant.number, grant.stop) == []
    for at in (grant.start - 1, grant.stop + 1):
        with pytest.raises(ValueError, match="write an item of it"):
            master.returned(0, grant.number, at)
    assert master.done(0, grant.number, 1.0)
    with pytest.raises(ValueError, match="chunk"):
        master.returned(0, grant.number, grant.start)
