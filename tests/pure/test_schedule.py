"""Laws of schedules and their chunk tables, and published sequences as oracles."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, groupby, islice, repeat
from math import ceil, floor, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mpicomp.errors import ScheduleError
from mpicomp.plan.adaptive import af_chunk, awf_pace, awf_weights, weighted_chunk
from mpicomp.plan.chunks import Plan, factoring_chunk, table
from mpicomp.plan.decomposition import Block, BlockCyclic, Cyclic
from mpicomp.plan.schedule import KINDS, TAKES, Schedule, parse

if TYPE_CHECKING:
    from mpicomp.plan.chunks import PlanLike

GOLDEN = json.loads(
    Path(__file__).parents[1].joinpath("golden", "chunk_sequences.json").read_text("utf-8")
)
MEASURED = {"fsc": {"h": 1e-3, "sigma": 0.02}}  # parameters without a default
TABLES = [name for name, kind in KINDS.items() if kind in ("static", "table")]
LEAST_CHUNKS = [name for name in TABLES if name not in ("static", "dynamic")]


def plan_of(text: str, n: int, p: int) -> Plan:
    return table(text, n, p, **MEASURED.get(parse(text).name, {}))


def sizes(plan: PlanLike) -> list[int]:
    return [stop - start for start, stop in plan]


# reading


@pytest.mark.parametrize(
    ("text", "name", "chunk", "kind"),
    [
        ("static", "static", None, "static"),
        ("static,4", "static", 4, "static"),
        ("dynamic", "dynamic", None, "table"),
        ("guided,8", "guided", 8, "table"),
        ("awf-b", "awf-b", None, "adaptive"),
        ("af,2", "af", 2, "adaptive"),
        ("auto", "auto", None, "auto"),
    ],
)
def test_openmps_spelling(text: str, name: str, chunk: int | None, kind: str) -> None:
    schedule = parse(text)
    assert (schedule.name, schedule.chunk, schedule.kind) == (name, chunk, kind)
    assert schedule.least == (chunk or 1)
    assert str(schedule) == text
    assert parse(schedule) is schedule


def test_white_space_and_case_are_forgiven() -> None:
    assert parse(" \tGuided ,  8\n") == parse("guided,8")
    assert parse("AWF_B") == parse("awf-b")
    assert parse("dynamic,004") == parse("dynamic,4")


@given(st.sampled_from(sorted(KINDS)), st.none() | st.integers(1, 10**30))
def test_text_and_value_are_the_same(name: str, chunk: int | None) -> None:
    schedule = Schedule(name, None if name == "auto" else chunk)
    assert parse(str(schedule)) == schedule
    assert eval(repr(schedule)) == pickle.loads(pickle.dumps(schedule)) == schedule
    assert hash(copy.copy(schedule)) == hash(schedule)


def test_a_schedule_is_frozen() -> None:
    with pytest.raises(AttributeError, match="frozen value"):
        parse("guided").chunk = 3


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("giuded,8", "unknown schedule 'giuded'; write \"guided,8\""),
        ("Dinamic", "unknown schedule 'dinamic'; write \"dynamic\""),
        ("gss,4", "unknown schedule 'gss'; write \"guided,4\""),
        ("cyclic", "unknown schedule 'cyclic'; write \"static,1\""),
        ("block,4", "unknown schedule 'block'; write \"static,4\""),
        ("cyclic,4", "unknown schedule 'cyclic'; write \"static,1\""),
        ("fac2,x", "unknown schedule 'fac2'; write \"factoring\""),
        ("", "unknown schedule ''; write \"static\", or another of static, dynamic,"),
        ("static,0", 'the chunk of static must be a whole number >= 1, got 0; write "static,4"'),
        ("static,", "the chunk of static must be a whole number >= 1, got ''; write"),
        ("guided,-3", 'whole number >= 1, got \'-3\'; write "guided,4", or "guided" alone'),
        ("guided,1.5", "whole number >= 1, got '1.5'"),
        ("dynamic,4,4", "whole number >= 1, got '4,4'"),
        ("dynamic,\N{ARABIC-INDIC DIGIT FOUR}", "whole number >= 1, got"),
        ("auto,4", 'auto chooses the chunk itself, got 4; write "auto"'),
        (4, 'a schedule is a text, got 4; write "static" or "dynamic,4"'),
        (["static"], "a schedule is a text, got ['static']"),
    ],
)
def test_bad_text_gets_a_letter(text: str, letter: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse(text)
    assert letter in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("chunk", [0, -1, 2.0, "4"])
def test_bad_chunk_gets_a_letter(chunk: int) -> None:
    with pytest.raises(ScheduleError, match=r"whole number >= 1, got .*; write \"tfss,4\""):
        Schedule("tfss", chunk)


def test_bad_name_gets_a_letter() -> None:
    with pytest.raises(ScheduleError, match=r"unknown schedule 'statik'; write \"static\""):
        Schedule("statik", 4)


def test_static_schedules_are_decompositions() -> None:
    assert parse("static").decomposition(10, 4) == Block(10, 4)
    assert parse("static,1").decomposition(10, 4) == Cyclic(10, 4)
    assert parse("static,3").decomposition(10, 4) == BlockCyclic(10, 4, 3)


@pytest.mark.parametrize("text", [name for name, kind in KINDS.items() if kind != "static"])
def test_others_are_none(text: str) -> None:
    with pytest.raises(ScheduleError, match=rf'got "{text}"; write "static"'):
        parse(text).decomposition(10, 4)


# published sequences

IMPLEMENTED = {
    "static": "static",
    "guided_recursive": "guided",
    "guided_recursive_min10": "guided,10",
    "tss_int_delta": "trapezoid",
    "fac2_recursive": "factoring",
    "tfss": "tfss",
    "fiss_B3": "fiss",
    "viss": "viss",
    "pls_swr0.5": "pls",
    "mfsc": "mfsc",
    "dynamic_120": "dynamic,120",
}
OTHER_FORM = {"guided_closed", "tss_real_delta", "fac2_closed"}  # the same rule, rounded otherwise


@pytest.mark.parametrize(("golden", "text"), IMPLEMENTED.items())
def test_published_sequence(golden: str, text: str) -> None:
    plan = table(text, GOLDEN["N"], GOLDEN["P"])
    assert sizes(plan) == GOLDEN["sequences"][golden]["chunks"]


def test_no_published_sequence_is_forgotten() -> None:
    assert IMPLEMENTED.keys() | OTHER_FORM == GOLDEN["sequences"].keys()
    assert {parse(text).name for text in IMPLEMENTED.values()} == {*TABLES} - {"fsc"}


# laws of every table


@pytest.mark.parametrize("name", TABLES)
@given(n=st.integers(0, 5000), p=st.integers(1, 64), chunk=st.none() | st.integers(1, 200))
@example(n=0, p=1, chunk=None)
@example(n=1, p=1, chunk=None)
@example(n=1, p=64, chunk=None)
@example(n=64, p=64, chunk=None)
@example(n=7, p=3, chunk=200)
def test_every_item_once_and_in_order(name: str, n: int, p: int, chunk: int | None) -> None:
    schedule = Schedule(name, chunk)
    plan = plan_of(str(schedule), n, p)
    spans = list(plan)
    assert [start for start, _ in spans] == [0, *(stop for _, stop in spans)][: len(spans)]
    assert (spans[-1][1] if spans else 0) == n
    assert all(start < stop for start, stop in spans)
    assert all(stop - start >= schedule.least for start, stop in spans[:-1])
    assert (plan.n, plan.p, plan.nchunks) == (n, p, len(spans))
    assert [plan.span(k) for k in range(plan.nchunks)] == spans
    assert list(plan.starts) == [start for start, _ in spans]


@pytest.mark.parametrize("name", TABLES)
@given(n=st.integers(2**31, 2**66), p=st.integers(1, 500), data=st.data())
def test_exact_beyond_63_bits(name: str, n: int, p: int, data: st.DataObject) -> None:
    text = f"{name},{n // 1000}"  # a thousand chunks or so
    plan = plan_of(text, n, p)
    k = data.draw(st.integers(0, plan.nchunks - 1))
    start, stop = plan.span(k)
    assert start == 0 if k == 0 else start == plan.span(k - 1)[1]
    assert stop == n if k == plan.nchunks - 1 else stop - start >= n // 1000


@pytest.mark.parametrize("name", TABLES)
def test_a_plan_is_a_value(name: str) -> None:
    plan = plan_of(name, 1000, 4)
    assert pickle.loads(pickle.dumps(plan)) == copy.deepcopy(plan) == plan_of(name, 1000, 4)
    assert hash(plan) == hash(plan_of(name, 1000, 4))
    assert plan != plan_of(name, 1001, 4)
    assert repr(plan) == f"<Plan: 1000 items in {plan.nchunks} chunks for 4 ranks>"
    with pytest.raises(AttributeError, match="frozen value"):
        plan.n = 3


@pytest.mark.parametrize("k", [-1, 22])
def test_a_chunk_that_is_not_there(k: int) -> None:
    with pytest.raises(IndexError, match=rf"chunk must lie in range\(22\), got {k}"):
        table("guided", 1000, 4).span(k)


def test_even_chunks_store_nothing() -> None:
    for text in ("dynamic", "static,7", "mfsc", "fsc"):
        plan = plan_of(text, 10**30, 1000)
        assert len(plan.runs) == 1
        assert plan.span(plan.nchunks - 1)[1] == 10**30
    assert len(table("static", 10**30 + 1, 1000).runs) == 2


@pytest.mark.parametrize("name", TABLES)
def test_many_ranks_need_few_runs(name: str) -> None:
    plan = plan_of(name, 10**6, 10**5)
    assert len(plan.runs) <= 10
    assert sum(run.stop - run.start for run in plan.runs) == 10**6


# the rules, written once more: slowly, chunk by chunk, in rational numbers


def cut(n: int, least: int, rule: Iterator[int]) -> list[int]:
    chunks = []
    while n:
        chunks.append(min(n, max(least, next(rule))))
        n -= chunks[-1]
    return chunks


def trapezoid(n: int, p: int, last: int) -> Iterator[int]:
    first = max(last, ceil(Fraction(n, 2 * p)))
    steps = ceil(Fraction(2 * n, first + last))
    delta = floor(Fraction(first - last, steps - 1)) if steps > 1 else 0
    return (first - i * delta for i in range(10**9))


def batched(sizes: Iterator[int], p: int) -> Iterator[int]:
    return chain.from_iterable(repeat(size, p) for size in sizes)


def tfss(n: int, p: int) -> Iterator[int]:
    chunks = trapezoid(n, p, 1)
    return batched((floor(Fraction(sum(islice(chunks, p)), p)) for _ in iter(int, 1)), p)


def viss(n: int, p: int) -> Iterator[int]:
    half = Fraction(1, 2)
    c = n // (p * p)
    return batched((floor(c * (1 - half ** (b + 1)) / half) for b in range(10**9)), p)


def fiss(n: int, p: int, stages: int) -> Iterator[int]:
    x = stages + 2
    growth = 2 * n * (1 - Fraction(stages, x)) / (p * stages * (stages - 1))
    return batched((floor(Fraction(n, x * p)) + b * floor(growth) for b in range(10**9)), p)


def pls(n: int, p: int, least: int, swr: Fraction) -> Iterator[int]:
    first = ceil(n * swr / p)
    rest = n - p * max(least, first) if first else n
    shrink = Fraction(p - 1, p)
    return chain(
        repeat(first, p if first else 0), (ceil(shrink**i * rest / p) for i in range(10**9))
    )


counts = st.integers(0, 2000)
ranks = st.integers(1, 40)
chunks = st.integers(1, 30)


@given(counts, ranks)
def test_static_chunk_k_is_the_block_of_rank_k(n: int, p: int) -> None:
    blocks = (Block(n, p).spans(rank) for rank in range(p))
    assert list(table("static", n, p)) == [
        (span.start, span.stop) for span in chain.from_iterable(blocks)
    ]


@given(counts, ranks, chunks)
def test_static_chunk_k_goes_to_rank_k_mod_p(n: int, p: int, b: int) -> None:
    plan = table(f"static,{b}", n, p)
    for rank in range(p):
        spans = [plan.span(k) for k in range(rank, plan.nchunks, p)]
        held = [i for start, stop in spans for i in range(start, stop)]
        assert held == list(BlockCyclic(n, p, b).indices(rank))


@given(counts, ranks, chunks)
def test_guided_is_a_share_of_what_remains(n: int, p: int, least: int) -> None:
    remaining, expected = n, []
    while remaining:
        expected.append(min(remaining, max(least, ceil(Fraction(remaining, p)))))
        remaining -= expected[-1]
    assert sizes(table(f"guided,{least}", n, p)) == expected


@given(counts, ranks, chunks)
def test_factoring_halves_what_remains_in_batches(n: int, p: int, least: int) -> None:
    remaining, expected = n, []
    while remaining:
        size = max(least, ceil(Fraction(remaining, 2 * p)))
        for _ in range(p):
            expected.append(min(remaining, size))
            remaining -= expected[-1]
    assert sizes(table(f"factoring,{least}", n, p)) == [size for size in expected if size]


@given(counts, ranks, chunks)
def test_trapezoid_falls_in_equal_steps(n: int, p: int, last: int) -> None:
    plan = table(f"trapezoid,{last}", n, p)
    assert sizes(plan) == cut(n, last, trapezoid(n, p, last))


@given(counts, ranks, chunks)
def test_tfss_is_the_mean_of_trapezoid(n: int, p: int, least: int) -> None:
    assert sizes(table(f"tfss,{least}", n, p)) == cut(n, least, tfss(n, p))


@given(counts, ranks, chunks, st.integers(2, 9))
def test_fiss_grows_in_equal_steps(n: int, p: int, least: int, stages: int) -> None:
    plan = table(f"fiss,{least}", n, p, stages=stages)
    assert sizes(plan) == cut(n, least, fiss(n, p, stages))
    assert table("fiss", n, p) == table("fiss", n, p, stages=max(2, p - 1))


@given(counts, ranks, chunks)
def test_viss_grows_by_halves(n: int, p: int, least: int) -> None:
    assert sizes(table(f"viss,{least}", n, p)) == cut(n, least, viss(n, p))


@given(counts, ranks, chunks, st.sampled_from([0.0, 0.25, 0.3, 0.8, 1.0, 0, 1]))
def test_pls_is_static_then_guided(n: int, p: int, least: int, swr: float) -> None:
    plan = table(f"pls,{least}", n, p, swr=swr)
    assert sizes(plan) == cut(n, least, pls(n, p, least, Fraction(str(swr))))


@given(st.integers(1, 10**6), st.integers(1, 1000))
def test_mfsc_cuts_about_as_often_as_factoring(n: int, p: int) -> None:
    mfsc, factoring = table("mfsc", n, p).nchunks, table("factoring", n, p).nchunks
    assert factoring / 3 <= mfsc <= 3 * factoring + p


def test_mfsc_with_one_item_per_rank() -> None:
    assert sizes(table("mfsc", 4, 4)) == [1, 1, 1, 1]
    assert sizes(table("mfsc", 2, 4)) == [1, 1]
    assert sizes(table("mfsc", 1, 1)) == [1]
    assert sizes(table("mfsc", 5, 4)) == [2, 2, 1]  # t = 2: int(0.55 + 2)


# fsc


def test_fsc_by_hand() -> None:
    # sqrt(2) * 1000 * 0.001 / (0.02 * 4 * sqrt(ln 4)) = 15.0141..., to the power 2/3 6.0859...
    assert sizes(table("fsc", 1000, 4, h=1e-3, sigma=0.02))[:2] == [7, 7]


def test_fsc_where_the_formula_divides_by_zero() -> None:
    assert sizes(table("fsc", 1000, 1, h=1e-3, sigma=0.02)) == [1000]  # nobody to share with
    assert sizes(table("fsc", 1000, 3, h=1e-3, sigma=0.0)) == [334, 334, 332]  # equal items
    assert sizes(table("fsc", 1000, 3, h=1e-3, sigma=5e-324)) == [334, 334, 332]
    assert set(sizes(table("fsc", 1000, 4, h=0.0, sigma=0.02))) == {1}  # claims are free
    assert set(sizes(table("fsc,50", 1000, 4, h=0.0, sigma=0.02))) == {50}


@pytest.mark.parametrize(
    "measured",
    [{}, {"h": 1e-3}, {"sigma": 1.0}, {"h": -1.0, "sigma": 1.0}, {"h": 1.0, "sigma": float("nan")}],
    ids=repr,
)
def test_fsc_needs_two_measurements(measured: dict[str, float]) -> None:
    with pytest.raises(ScheduleError, match=r'write "fsc,h=1e-6,sigma=1e-3", or "mfsc"'):
        table("fsc", 1000, 4, **measured)


# letters


def test_a_schedule_without_a_table_says_so() -> None:
    for text in (name for name, kind in KINDS.items() if kind in ("adaptive", "auto")):
        with pytest.raises(ScheduleError, match=rf'"{text}" .* no table; write "guided"'):
            table(text, 1000, 4)


PARAMETERS = {
    "fsc,h=1e-6,sigma=0.001": (("h", 1e-6), ("sigma", 1e-3)),
    "FSC, 2 , sigma=1e-3, h=.000001": (("sigma", 1e-3), ("h", 1e-6)),
    "pls,swr=0.8": (("swr", 0.8),),
    "fiss,stages=4": (("stages", 4),),
    "weighted,weights=2:1:1": (("weights", (2.0, 1.0, 1.0)),),
    "awf_c,4,weights=1.5:0.5": (("weights", (1.5, 0.5)),),
}


@pytest.mark.parametrize("text", PARAMETERS)
def test_what_a_formula_needs_stands_in_the_text(text: str) -> None:
    schedule = parse(text)
    assert schedule.parameters == PARAMETERS[text]
    assert parse(str(schedule)) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert hash(schedule) == hash(parse(str(schedule)))
    assert schedule.chunk == {"F": 2, "a": 4}.get(text[0])


def test_the_text_and_the_keywords_mean_the_same() -> None:
    assert table("fsc,h=1e-3,sigma=0.02", 1000, 4) == table("fsc", 1000, 4, h=1e-3, sigma=0.02)
    assert table("pls,swr=0.8", 1000, 4) == table("pls", 1000, 4, swr=0.8)
    assert table("fiss,stages=2", 1000, 4) == table("fiss", 1000, 4, stages=2)
    assert table("pls,swr=0.8", 1000, 4, swr=0.5) == table("pls", 1000, 4)  # what is nearer counts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("guided,h=1", "guided takes nothing but a chunk, got 'h'"),
        ("fsc,h=1,weights=1:1", "fsc takes h and sigma, got 'weights'"),
        ("fsc,h=soon", "h of fsc cannot be 'soon'; write h=1e-6"),
        ("fiss,stages=2.5", "stages of fiss cannot be '2.5'; write stages=4"),
        ("weighted,weights=1:x", "weights of weighted cannot be '1:x'; write weights=2:1:1"),
        ("weighted,0,weights=1:1", "whole number >= 1, got"),
        ("pls,4,5,swr=1", "whole number >= 1, got '4,5'"),
        ("auto,h=1", "auto takes nothing"),
    ],
)
def test_letters_about_parameters(text: str, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        parse(text)


def test_parameters_are_checked() -> None:
    with pytest.raises(TypeError, match=r'"guided" takes no swr; write table\("guided", 9, 2\)'):
        table("guided", 9, 2, swr=0.5)
    with pytest.raises(ScheduleError, match=r"got stages=1; write stages=2"):
        table("fiss", 1000, 4, stages=1)
    with pytest.raises(ScheduleError, match=r"0 to 1, got 1\.5; write swr=0\.5"):
        table("pls", 1000, 4, swr=1.5)
    with pytest.raises(ValueError, match=r"n must be >= 0, got -1"):
        table("guided", -1, 4)
    with pytest.raises(ValueError, match=r"p must be >= 1, got 0"):
        table("guided", 10, 0)


# a schedule of one's own


class Halves:
    """Two chunks, whatever p."""

    def __init__(self, n: int, p: int) -> None:
        self.n, self.p, self.nchunks = n, p, 2

    def span(self, k: int) -> tuple[int, int]:
        return k * self.n // 2, (k + 1) * self.n // 2

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return map(self.span, range(self.nchunks))


def test_a_plan_of_ones_own_has_the_same_few_methods() -> None:
    plans: list[PlanLike] = [Halves(10, 4), table("static", 10, 2)]  # mypy sees that both fit
    assert [sizes(plan) for plan in plans] == [[5, 5], [5, 5]]


# sizes from measured times


@given(st.integers(0, 10**30), ranks)
def test_factoring_chunk(remaining: int, p: int) -> None:
    assert factoring_chunk(remaining, p) == ceil(Fraction(remaining, 2 * p))


def test_weighted_chunk_by_hand() -> None:
    assert weighted_chunk(1000, 4, 1.0) == factoring_chunk(1000, 4) == 125
    assert weighted_chunk(1000, 4, 1.5) == 188  # 187.5, rounded up
    assert weighted_chunk(3, 4, 0.001) == 1
    assert weighted_chunk(3, 4, 4.0) == 3  # not more than remains
    assert weighted_chunk(0, 4, 1.0) == 0


def test_awf_pace_by_hand() -> None:
    assert awf_pace([], []) is None
    assert awf_pace([6.0], [3]) == 2.0
    assert awf_pace([6.0, 1.0, 2.0], [3, 1, 4]) == (1 * 6 + 2 * 1 + 3 * 2) / (1 * 3 + 2 * 1 + 3 * 4)


def test_awf_weights_by_hand() -> None:
    # paces 1, 2, 4: mean 7/3; raw 7/3, 7/6, 7/12, sum 49/12; times 3
    assert awf_weights([1.0, 2.0, 4.0]) == pytest.approx([12 / 7, 6 / 7, 3 / 7])
    assert awf_weights([2.0, 2.0]) == [1.0, 1.0]
    assert awf_weights([5.0]) == [1.0]


def test_a_rank_without_a_time_counts_as_the_mean() -> None:
    assert awf_weights([None, None, None]) == [1.0, 1.0, 1.0]
    assert awf_weights([1.0, 3.0, None]) == pytest.approx(awf_weights([1.0, 3.0, 2.0]))
    assert awf_weights([1.0, 3.0, 0.0]) == awf_weights([1.0, 3.0, None])


paces = st.lists(st.none() | st.floats(1e-9, 1e3), min_size=1, max_size=50)


@given(paces)
def test_awf_weights_add_up_and_follow_speed(paces: list[float | None]) -> None:
    weights = awf_weights(paces)
    assert sum(weights) == pytest.approx(len(paces))
    known = [(pace, weight) for pace, weight in zip(paces, weights, strict=True) if pace]
    assert all(pace * weight == pytest.approx(known[0][0] * known[0][1]) for pace, weight in known)


def test_af_chunk_by_hand() -> None:
    # D = 2 (0.2**2 / 0.1) = 0.8, T = 0.05, TR = 5: (10.8 - sqrt(0.64 + 16)) / 0.2 = 33.60...
    assert af_chunk(100, [0.1, 0.1], [0.2, 0.2], 0) == 34
    # D = 0.09 / 0.3 = 0.3, T = 1 / (10 + 10/3) = 0.075, TR = 7.5:
    # 15.3 - sqrt(0.09 + 9) = 12.285; / 0.2 = 61.42..., / 0.6 = 20.47...
    assert [af_chunk(100, [0.1, 0.3], [0.0, 0.3], rank) for rank in (0, 1)] == [62, 21]


def test_af_of_equal_items_is_each_ranks_fair_share() -> None:
    assert [af_chunk(1000, [0.5] * 4, [0.0] * 4, rank) for rank in range(4)] == [250] * 4
    assert af_chunk(90, [1.0, 2.0], [0.0, 0.0], 0) == 60
    assert af_chunk(0, [1.0, 2.0], [0.0, 0.0], 0) == 0


rank_times = st.lists(
    st.tuples(st.floats(1e-3, 10.0), st.floats(0.0, 10.0)), min_size=1, max_size=20
)


@given(st.integers(1, 10**6), rank_times)
def test_af_is_the_published_formula(remaining: int, times: list[tuple[float, float]]) -> None:
    means, deviations = map(list, zip(*times, strict=True))
    d = sum(sigma**2 / mu for mu, sigma in times)
    x = remaining / sum(1 / mu for mu in means)
    for rank, mu in enumerate(means):
        published = (d + 2 * x - sqrt(d * d + 4 * d * x)) / (2 * mu)
        size = af_chunk(remaining, means, deviations, rank)
        lost = 1e-12 * (d + 2 * x) / mu  # to the published formula's subtraction
        assert min(remaining, published) - lost <= size <= max(1, published + 1 + lost)


def test_af_needs_times() -> None:
    with pytest.raises(ValueError, match=r"must be > 0 s, got 0\.0; measure first"):
        af_chunk(10, [0.0, 1.0], [0.0, 1.0], 0)


# a text for a plan


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), max_size=6), st.integers(0, 4))
def test_the_text_of_a_plan_is_its_sizes_run_by_run(
    pieces: list[tuple[int, int]], short: int
) -> None:
    runs, stop = [], 0
    for size, many in pieces:
        runs.append(range(stop, stop + size * many, size))
        stop = runs[-1].stop
    if runs and len(runs[-1]) > 1:  # the last chunk may be shorter
        stop -= min(short, runs[-1].step - 1)
        runs[-1] = range(runs[-1].start, stop, runs[-1].step)
    plan = Plan(stop, 2, tuple(runs))
    told = [(size, len(list(same))) for size, same in groupby(sizes(plan))]
    assert str(plan) == " ".join(f"{size}x{k}" if k > 1 else f"{size}" for size, k in told)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_schedule_is_made_with_the_parameters_that_it_takes_and_no_others(name: str) -> None:
    takes = TAKES.get(name, ())
    for key in ("h", "sigma", "swr", "stages", "weights"):
        value = (2.0, 1.0) if key == "weights" else 3.0
        if key in takes:
            assert parse(str(Schedule(name, None, [(key, value)]))).parameters == ((key, value),)
            continue
        letter = " and ".join(takes) or "nothing but a chunk"
        with pytest.raises(ScheduleError, match=f"{name} takes {letter}, got '{key}'; leave"):
            Schedule(name, None, [(key, value)])
