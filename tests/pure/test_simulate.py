"""The virtual clock: closed forms, a second event loop, and laws that hold for every schedule."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mpicomp.errors import OptionError, ScheduleError
from mpicomp.plan.chunks import table
from mpicomp.plan.dispatcher import Dispatcher
from mpicomp.plan.schedule import KINDS, parse
from mpicomp.plan.spans import SPAN, SpanSizer
from mpicomp.record.commandline import add_simulate
from mpicomp.record.costs import cost_of, measured, modelled
from mpicomp.record.recording import Record
from mpicomp.record.simulate import Outcome, replay, simulate
from mpicomp.record.timeline import Timeline

MEASURED = {"fsc": {"h": 1e-3, "sigma": 0.02}}  # parameters without a default
SCHEDULES = [*KINDS, "static,1", "static,3", "dynamic,4", "guided,2"]
ROUNDING = 1e-9

# sixteenths: their sums and differences are exact
seconds = st.integers(0, 64).map(lambda k: k / 16)
costs = st.lists(seconds, max_size=40)
ranks = st.integers(1, 9)
schedules = st.sampled_from(SCHEDULES)


def simulated(each: Sequence[float], schedule: str, p: int, **assumed: object) -> Outcome:
    parameters = MEASURED.get(parse(schedule).name, {})
    return simulate(each, schedule, p, **parameters, **assumed)  # type: ignore[arg-type]  # passed on


def rows(outcome: Outcome) -> list[tuple[int, int, int, float, float]]:
    """Rank, start, stop, begin, end of each chunk, in the order of the items."""
    (call,) = outcome.record.calls
    names = ["rank", "start", "stop", "begin", "end"]
    return sorted(call.events[names].tolist(), key=lambda row: row[1:3])


# laws


@given(costs, schedules, ranks, seconds, seconds, seconds)
def test_every_item_is_computed_once_by_a_rank_that_is_free(
    each: list[float], schedule: str, p: int, claim: float, message: float, service: float
) -> None:
    outcome = simulated(each, schedule, p, claim=claim, message=message, service=service)
    events = rows(outcome)
    assert [i for _, start, stop, _, _ in events for i in range(start, stop)] == [*range(len(each))]
    for _, start, stop, begin, end in events:
        assert end - begin == sum(each[start:stop])
    for rank in range(p):
        mine = sorted((begin, end) for who, _, _, begin, end in events if who == rank)
        assert all(end <= begin for (_, end), (begin, _) in pairwise([(0.0, 0.0), *mine]))


@given(costs, schedules, ranks, seconds)
def test_the_sums_are_those_of_the_items(
    each: list[float], schedule: str, p: int, claim: float
) -> None:
    outcome = simulated(each, schedule, p, claim=claim)
    assert (outcome.ranks, outcome.calls) == (p, 1)
    assert outcome.busy.sum() == pytest.approx(sum(each))
    assert outcome.items.sum() == len(each)
    total = outcome.busy + outcome.overhead + outcome.idle
    assert total == pytest.approx(outcome.makespan)
    # nobody is quicker than its work, nor than the longest item
    assert outcome.makespan >= max([*each, sum(each) / p]) - ROUNDING
    assert 0 <= outcome.efficiency <= 1 + ROUNDING
    assert -ROUNDING <= outcome.imbalance <= p - 1 + ROUNDING


@given(costs, st.sampled_from(["dynamic", "dynamic,4", "guided", "factoring"]), ranks)
def test_list_scheduling_is_within_grahams_bound(each: list[float], schedule: str, p: int) -> None:
    # Graham 1966, Bell System Technical Journal 45(9), for the chunks as jobs
    jobs = [sum(each[start:stop]) for start, stop in table(schedule, len(each), p)]
    bound = sum(jobs) / p + max(jobs, default=0.0) * (1 - 1 / p)
    assert simulated(each, schedule, p, claim=0.0).makespan <= bound + ROUNDING


@given(costs, schedules, ranks)
def test_chunks_are_those_of_the_plan(each: list[float], schedule: str, p: int) -> None:
    assume(p > 1 and parse(schedule).kind in ("static", "table"))
    plan = table(schedule, len(each), p, **MEASURED.get(parse(schedule).name, {}))
    ways = [None, "counter", "master"]
    for outcome in (simulated(each, schedule, p, dispatch=way) for way in ways):
        assert [row[1:3] for row in rows(outcome)] == list(plan)
        assert outcome.chunks.sum() == plan.nchunks


@given(costs, st.sampled_from(["static", "static,1", "static,3"]), ranks, seconds)
def test_static_is_a_formula_and_free(
    each: list[float], schedule: str, p: int, claim: float
) -> None:
    assume(p > 1)
    outcome = simulated(each, schedule, p, claim=claim, message=claim, service=claim)
    layout = parse(schedule).decomposition(len(each), p)
    shares = [sum(each[i] for i in layout.indices(rank)) for rank in range(p)]
    assert outcome.busy.tolist() == shares
    assert outcome.makespan == max(shares)
    assert not outcome.overhead.any()


@given(costs, schedules, ranks, seconds)
def test_the_same_twice_is_the_same(each: list[float], schedule: str, p: int, claim: float) -> None:
    first, again = (simulated(each, schedule, p, claim=claim) for _ in range(2))
    assert first.record.calls == again.record.calls


@given(st.lists(seconds, min_size=1, max_size=30), ranks)
def test_twice_the_speed_is_half_the_time(each: list[float], p: int) -> None:
    slow = simulate(each, "guided", p, claim=0.25)
    fast = simulate(each, "guided", p, claim=0.125, speeds=[2.0] * p)
    assert fast.makespan == slow.makespan / 2


# closed forms


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_one_rank_takes_all_in_one_chunk(schedule: str) -> None:
    outcome = simulated([0.5] * 100, schedule, 1, claim=1.0, message=1.0, service=1.0)
    assert (outcome.makespan, outcome.chunks.tolist(), outcome.efficiency) == (50.0, [1], 1.0)
    assert outcome.record.calls[0].dispatch == "serial"


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("p", [1, 2, 5])
def test_no_items(schedule: str, p: int) -> None:
    outcome = simulated([], schedule, p)
    assert (outcome.makespan, outcome.chunks.sum(), outcome.efficiency) == (0.0, 0, 1.0)
    assert (outcome.imbalance, outcome.cov) == (0.0, 0.0)


@pytest.mark.parametrize(("n", "p"), [(1, 1), (1, 7), (10, 4), (1000, 7), (12, 12), (5, 100)])
def test_equal_items_dealt_in_blocks(n: int, p: int) -> None:
    outcome = simulate([0.25] * n, "static", p)
    assert outcome.makespan == 0.25 * ceil(n / p)
    assert outcome.efficiency == n / (p * ceil(n / p))


@pytest.mark.parametrize(("n", "p", "c"), [(1, 7, 1), (10, 4, 1), (1000, 7, 8), (5, 100, 2)])
def test_equal_items_claimed_one_chunk_at_a_time(n: int, p: int, c: int) -> None:
    outcome = simulate([0.25] * n, f"dynamic,{c}", p, claim=0.125, dispatch="counter")
    full, rest = divmod(n, c)
    rounds = ceil(full / p) * (0.125 + 0.25 * c)
    short = (0.125 + 0.25 * rest) if rest and full % p == 0 else 0.0
    assert outcome.makespan == rounds + short


def test_one_rank_that_claims_pays_for_each_claim() -> None:
    plan = table("guided", 100, 1)
    outcome = simulate([0.5] * 100, "guided", 1, claim=0.25, dispatch="counter")
    assert outcome.makespan == 50 + 0.25 * plan.nchunks


def test_ranks_beyond_the_chunks_stay_idle() -> None:
    outcome = simulate([1.0, 2.0, 3.0], "dynamic", 10, claim=0.5)
    assert outcome.busy.tolist() == [1.0, 2.0, 3.0] + [0.0] * 7
    assert outcome.overhead.tolist() == [0.5] * 3 + [0.0] * 7
    assert outcome.idle.tolist() == [2.0, 1.0, 0.0] + [3.5] * 7


@pytest.mark.parametrize("place", [0, 50, 99])
@pytest.mark.parametrize("schedule", ["dynamic", "guided", "factoring"])
def test_one_giant_item(schedule: str, place: int) -> None:
    each = [0.0] * 100
    each[place] = 8.0
    assert simulate(each, schedule, 4, claim=0.0).makespan == 8.0


def test_one_giant_item_that_comes_last_makes_all_wait() -> None:
    # 3 ranks, 9 items of 1 s and one of 9 s: the giant begins when the others are done
    assert simulate([1.0] * 9 + [9.0], "dynamic", 3, claim=0.0).makespan == 12.0
    assert simulate([9.0] + [1.0] * 9, "dynamic", 3, claim=0.0).makespan == 9.0


def test_by_hand() -> None:
    # rank 0: claim, 0-2, claim, 4-6; rank 1: claim, 2-4, claim, 6-7
    outcome = simulate([1.0, 1.0, 2.0, 1.0, 1.0, 3.0, 2.0], "dynamic,2", 2, claim=0.5)
    assert rows(outcome) == [
        (0, 0, 2, 0.5, 2.5),
        (1, 2, 4, 0.5, 3.5),
        (0, 4, 6, 3.0, 7.0),
        (1, 6, 7, 4.0, 6.0),
    ]
    assert outcome.makespan == 7.0
    assert (outcome.busy.tolist(), outcome.idle.tolist()) == ([6.0, 5.0], [0.0, 1.0])
    assert outcome.imbalance == pytest.approx(6 / 5.5 - 1)
    assert outcome.cov == pytest.approx(0.5 / 5.5)
    assert outcome.efficiency == 11 / 14


def test_a_master_by_hand() -> None:
    outcome = simulate([4.0, 4.0, 4.0], "dynamic", 2, dispatch="master", message=1.0, service=0.5)
    assert rows(outcome) == [
        (0, 0, 1, 0.5, 4.5),  # asks itself: only the service
        (1, 1, 2, 2.5, 6.5),  # hello arrives at 1, is answered at 1.5, the answer is there at 2.5
        (0, 2, 3, 5.0, 9.0),
    ]


def test_a_master_is_the_bottleneck_of_small_items() -> None:
    # a message a chunk, one after the other: 1000 answers of 1 ms
    outcome = simulate([1e-6] * 1000, "dynamic", 50, dispatch="master", service=1e-3)
    assert outcome.makespan == pytest.approx(1.0, rel=0.1)


# a second event loop, that looks at everybody all the time


def claimed_again(
    each: Sequence[float], chunks: Sequence[tuple[int, int]], speeds: Sequence[float], claim: float
) -> list[tuple[int, int, int, float, float]]:
    free = [0.0] * len(speeds)
    found = []
    for start, stop in chunks:
        rank = free.index(min(free))
        begin = free[rank] + claim
        free[rank] = begin + sum(each[start:stop]) / speeds[rank]
        found.append((rank, start, stop, begin, free[rank]))
    return found


@given(costs, st.sampled_from(["dynamic,3", "guided", "fiss", "static"]), st.data(), ranks, seconds)
def test_claims_as_in_a_second_loop(
    each: list[float], schedule: str, data: st.DataObject, p: int, claim: float
) -> None:
    speeds = data.draw(st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=p, max_size=p))
    outcome = simulate(each, schedule, p, dispatch="counter", claim=claim, speeds=speeds)
    plan = list(table(schedule, len(each), p))
    assert rows(outcome) == claimed_again(each, plan, speeds, claim)


@given(costs, st.integers(2, 9), seconds)
def test_a_master_cuts_auto_as_the_engines_does(each: list[float], p: int, message: float) -> None:
    auto, factoring = (
        simulated(each, schedule, p, dispatch="master", message=message)
        for schedule in ("auto", "factoring")
    )
    assert rows(auto) == rows(factoring)


def handed_out_again(
    each: Sequence[float], schedule: str, p: int, message: float, service: float
) -> list[tuple[int, int, int, float, float]]:
    """Every message, answer and end of a chunk as an event of its own, on one list."""
    master = Dispatcher(schedule, len(each), p)
    away = [0.0] + [message] * (p - 1)
    shelves: list[list[tuple[int, int, int, float]]] = [[] for _ in range(p)]
    working = [False] * p
    idle_since = [0.0] * p
    queue: list[tuple[float, int, tuple[int, float, float] | None]] = []
    busy_until = 0.0
    found = []
    # (when, order among equals, what)
    agenda: list[tuple[float, int, int, Callable[[float], None]]] = []

    def at(when: float, rank: int, deed: Callable[[float], None]) -> None:
        agenda.append((when, rank, len(agenda), deed))

    def tell(rank: int, now: float, done: tuple[int, float, float] | None) -> None:
        arrival = now + away[rank]
        at(arrival, rank, lambda when: queue.append((when, rank, done)))

    def start(rank: int, now: float) -> None:
        if working[rank] or not shelves[rank]:
            return
        number, first, stop, _ = shelves[rank].pop(0)
        working[rank] = True
        took, waited = sum(each[first:stop]), now - idle_since[rank]
        found.append((rank, first, stop, now, now + took))

        def end(when: float) -> None:
            working[rank], idle_since[rank] = False, when
            tell(rank, when, (number, took, waited))
            start(rank, when)

        at(now + took, rank, end)

    def answer(when: float, rank: int, done: tuple[int, float, float] | None) -> None:
        if done is not None:
            master.done(rank, *done)
        while (grant := master.ready(rank)) is not None:
            chunk = (*grant, when)

            def deliver(now: float, chunk: tuple[int, int, int, float] = chunk) -> None:
                shelves[rank].append(chunk)
                start(rank, now)

            at(when + away[rank], rank, deliver)
            if rank == 0:
                break

    for rank in range(p):
        tell(rank, 0.0, None)
    while agenda or queue:
        if queue:
            when, rank, done = min(queue, key=lambda said: said[:2])
            turn = max(when, busy_until) + service
            if not agenda or min(agenda)[0] > turn:
                queue.remove((when, rank, done))
                busy_until = turn
                answer(turn, rank, done)
                continue
        event = min(agenda, key=lambda deed: deed[:3])
        agenda.remove(event)
        event[3](event[0])
    return sorted(found, key=lambda row: row[1:3])


@given(
    st.integers(0, 30),
    st.sampled_from(["dynamic", "dynamic,2", "guided", "factoring", "awf-b", "awf-e", "af"]),
    st.integers(1, 5),
    st.floats(0.01, 3.0),
    st.floats(0.01, 3.0),
    st.randoms(use_true_random=False),
)
def test_a_master_as_in_a_second_loop(
    n: int, schedule: str, p: int, message: float, service: float, random: object
) -> None:
    each = [random.uniform(0.1, 5.0) for _ in range(n)]  # type: ignore[attr-defined]  # of no class
    outcome = simulate(each, schedule, p, dispatch="master", message=message, service=service)
    again = handed_out_again(each, schedule, p, message, service)
    mine = rows(outcome)
    assert [row[:3] for row in mine] == [row[:3] for row in again]
    assert np.array(mine) == pytest.approx(np.array(again))


# adaptive schedules and auto


@pytest.mark.parametrize("schedule", ["awf-b", "awf-c", "awf-d", "awf-e", "af", "factoring"])
def test_a_rank_of_three_times_the_speed_gets_about_three_times_the_items(schedule: str) -> None:
    outcome = simulate([1e-3] * 8000, schedule, 4, speeds=[3.0, 1.0, 1.0, 1.0])
    assert outcome.items[0] == pytest.approx(4000, rel=0.1)
    assert outcome.efficiency > 0.95


def test_weights_that_are_true_make_all_end_together() -> None:
    weights = [3.0, 1.0]
    outcome = simulate([1e-3] * 4000, "weighted", 2, speeds=weights, weights=weights)
    assert outcome.items.tolist() == pytest.approx([3000, 1000], rel=0.01)
    assert outcome.imbalance < 0.01


@pytest.mark.parametrize("free", [1, 3, 30, 100])
def test_auto_is_not_misled_by_first_items_that_cost_nothing(free: int) -> None:
    each = [0.0] * free + [1.0] * 40
    assert simulate(each, "auto", 4).makespan < 40 / 3


@pytest.mark.parametrize("text", ["constant:2e-5", "ramp:0,1e-3", "lognormal:1e-4,1.5"])
def test_auto_shares_out_what_is_worth_it(text: str) -> None:
    outcome = simulate(modelled(text, 20_000), "auto", 8)
    assert outcome.efficiency > 0.95


@given(st.integers(1, 10**9), st.integers(1, 1000), st.floats(0, 10))
def test_a_span_is_within_its_bounds(left: int, p: int, cost: float) -> None:
    sizer = SpanSizer(p)
    most = 1
    for _ in range(12):
        size = sizer.size(left)
        assert 1 <= size <= most
        assert size <= max(1, left // (2 * p))
        assert size == 1 or size * sizer.cost <= SPAN * (1 + 1e-9)
        alone = sizer.size(left, alone=True)
        if most >= 64 and left * sizer.cost < 2e-4:
            assert alone == left
        else:
            assert alone == max(1, min(left // 2, most))
        sizer.learn(size, size * cost)
        most *= 8


def test_a_cost_remembered_counts_while_items_are_short_and_few() -> None:
    sizer = SpanSizer(2, before=1e-7)
    sizer.learn(1, 5e-6)
    assert sizer.size(999, alone=True) == 999
    sizer = SpanSizer(2, before=1e-7)
    sizer.learn(1, 5e-3)
    assert sizer.cost == sizer.typical == 5e-3
    assert sizer.size(999, alone=True) == 8


# costs


@given(costs)
def test_the_cost_of_a_chunk_is_the_sum_of_its_items(each: list[float]) -> None:
    cost, n = cost_of(each)
    assert n == len(each)
    for start in range(n + 1):
        for stop in range(start, n + 1):
            assert cost(start, stop) == sum(each[start:stop])


@given(costs, ranks, st.sampled_from(["guided", "static,1", "auto"]))
def test_a_function_and_an_array_cost_the_same(each: list[float], p: int, schedule: str) -> None:
    by_function = simulate(lambda i, j: sum(each[i:j]), schedule, p, n=len(each))
    assert by_function.record.calls == simulate(each, schedule, p).record.calls


def test_a_function_costs_the_same_for_any_number_of_items() -> None:
    outcome = simulate(lambda i, j: (j - i) * 2.0**-30, "guided", 1000, n=2**50, claim=0.0)
    assert outcome.makespan == pytest.approx(2**20 / 1000, rel=1e-9)
    assert outcome.items.sum() == 2**50


@given(st.lists(seconds, min_size=1, max_size=40), ranks, ranks)
def test_what_was_recorded_item_by_item_replays_exactly(each: list[float], p: int, q: int) -> None:
    first = simulate(each, "static,1", p, dispatch="counter", claim=0.0)
    for schedule in ("static", "static,2", "guided", "awf-c", "auto"):
        again = replay(first.record.calls, schedule, q)
        wanted = simulate(each, schedule, q)
        assert [row[:3] for row in rows(again)] == [row[:3] for row in rows(wanted)]
        assert again.busy == pytest.approx(wanted.busy)


def test_a_replay_divides_a_chunk_evenly_and_strided_runs_too() -> None:
    events = [(0, 0, 6, 2, 0.0, 3.0), (1, 1, 6, 2, 0.0, 6.0)]
    call = Timeline("plist", "static,1", "static", "", 6, "ab", "  ", 0.0, 6.0, events)
    cost = measured(call)
    assert [cost(i, i + 1) for i in range(6)] == [1.0, 2.0] * 3
    assert (cost(0, 6), cost(3, 5)) == (9.0, 3.0)
    assert replay([call]).makespan == 6.0
    assert replay([call], "dynamic", 1, claim=0.0).makespan == 9.0


def test_items_that_were_not_computed_cost_nothing() -> None:
    call = Timeline("pany", "static", "static", "", 10, "a", " ", 0.0, 9.0, [(0, 4, 6, 1, 1, 9)])
    cost = measured(call)
    assert [cost(i, i + 1) for i in range(10)] == [0.0] * 4 + [4.0] * 2 + [0.0] * 4
    empty = Timeline("pany", "static", "static", "", 10, "a", " ", 0.0, 9.0, [])
    assert measured(empty)(0, 10) == 0.0


def test_calls_are_replayed_one_after_the_other() -> None:
    calls = [call for p in (2, 3) for call in simulate([1.0] * 6, "static", p).record.calls]
    outcome = replay(calls)
    assert (outcome.calls, outcome.makespan, outcome.ranks) == (2, 5.0, 3)
    assert outcome.busy.tolist() == [5.0, 5.0, 2.0]
    assert replay([]).makespan == 0.0


@pytest.mark.parametrize(
    ("text", "mean", "spread"),
    [
        ("constant:0.25", 0.25, 0.0),
        ("ramp:1,3", 2.0, 3**-0.5),
        ("bimodal:1,5,0.25", 2.0, 3**0.5),
        ("lognormal:0.5,0.5", 0.5, 0.5 * (np.exp(0.25) - 1) ** 0.5),
    ],
)
def test_modelled_costs_have_their_mean_and_spread(text: str, mean: float, spread: float) -> None:
    each = modelled(text, 200_000)
    assert each.mean() == pytest.approx(mean, rel=0.01)
    assert each.std() == pytest.approx(spread, rel=0.02, abs=1e-12)
    assert (modelled(text, 1000) == modelled(text, 1000)).all()
    assert modelled(text, 0).size == 0


# what cannot be simulated


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"costs": [1.0, -1.0]}, "got -1.0 for item 1"),
        ({"costs": [float("nan")]}, "got nan for item 0"),
        ({"costs": [[1.0]]}, r"got shape \(1, 1\)"),
        ({"costs": [1.0], "n": 2}, r"shape \(2,\), seconds of each item; got shape \(1,\)"),
        ({"costs": sum}, "write simulate.costs, schedule, ranks, n=1000"),
        ({"dispatch": "server"}, "guided has no dispatch='server'; write dispatch=\"counter\""),
        ({"schedule": "af", "dispatch": "counter"}, 'write dispatch="master"'),
        ({"schedule": "auto", "dispatch": "static"}, 'write dispatch="counter" or'),
        ({"speeds": [1.0]}, "one number > 0 for each of 4 ranks"),
        ({"speeds": [1.0, 1.0, 1.0, 0.0]}, "one number > 0"),
        ({"claim": -1.0}, "claim must be seconds, 0 or more, got -1.0; write claim=0.0"),
        ({"message": float("inf")}, "message must be seconds"),
        ({"schedule": table("guided", 3, 2)}, "a plan of 3 items for 2 ranks"),
    ],
)
def test_an_error_says_what_to_write(arguments: dict[str, object], said: str) -> None:
    given: dict[str, object] = {"costs": [1.0] * 3, "schedule": "guided", "ranks": 4}
    with pytest.raises(OptionError, match=said):
        simulate(**(given | arguments))  # type: ignore[arg-type]  # wrong on purpose


def test_errors_of_schedules_are_theirs() -> None:
    with pytest.raises(ScheduleError, match="fsc needs"):
        simulate([1.0], "fsc", 2)
    for schedule in ("auto", "guided"):
        with pytest.raises(TypeError, match=f'"{schedule}" takes no swr; '):
            simulate([1.0], schedule, 2, swr=0.5)
    with pytest.raises(ValueError, match="ranks must be >= 1"):
        simulate([1.0], "static", 0)


def test_a_plan_of_your_own() -> None:
    plan = table("guided", 10, 2)
    assert simulate([1.0] * 10, plan, 2).busy.tolist() == [5.0, 5.0]


def test_more_ranks_than_anybody_has() -> None:
    outcome = simulate(np.ones(200_000), "dynamic", 100_000, claim=0.5)
    assert (outcome.makespan, outcome.chunks.max()) == (3.0, 2)
    assert (outcome.busy == 2.0).all()


# the command


def command(*words: str) -> int:
    parser = ArgumentParser(prog="mpicomp")
    add_simulate(parser)
    asked = parser.parse_args(words)
    code: int = asked.perform(asked)
    return code


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--n 64 --ranks 4 1000 --schedule static dynamic,4 --cost constant:0.5 --claim 0"
    assert command(*words.split()) == 0
    head, blank, _, *table = capsys.readouterr().out.splitlines()
    assert (head, blank) == ("64 items, 32 s, the longest 500 ms: constant:0.5", "")
    assert [line.split() for line in table] == [
        ["static", "4", "8", "s", "1.000", "0.000", "4"],
        ["dynamic,4", "4", "8", "s", "1.000", "0.000", "16"],
        ["static", "1000", "500", "ms", "0.064", "14.625", "64"],
        ["dynamic,4", "1000", "2", "s", "0.016", "61.500", "16"],
    ]


def test_the_command_reads_costs_and_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    each = np.array([1.0, 2.0, 3.0, 4.0])
    np.save(tmp_path / "costs.npy", each)
    record = simulate(each, "dynamic", 2).record
    Record(record.calls * 2).save(tmp_path / "run.npz")
    for name, makespan in (("costs.npy", "7 s"), ("run.npz", "14 s")):
        command("--cost", str(tmp_path / name), "--ranks", "2", "--schedule", "static", "--gantt")
        said = capsys.readouterr().out
        assert f"static               2{makespan:>12}" in said
        assert "1 |███" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--cost constant", "write constant:C with seconds for C"),
        ("--cost ramp:1,x", "write ramp:A,B"),
        ("--cost bimodal:1,2,3", "write bimodal:A,B,SHARE"),
        ("--cost normal:1", "write constant:C, ramp:A,B"),
        ("--cost nosuch.npy", "No such file"),
        ("--cost nosuch.npz", "No such file"),
        ("--cost constant:1 --schedule gss", 'write "guided"'),
        ("--cost constant:1 --ranks 0", "ranks must be >= 1"),
        ("--cost constant:1 --n -1", "--n"),
        ("", "required: --cost"),
    ],
)
def test_a_command_line_that_cannot_be_understood(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        command(*words.split())
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ""
