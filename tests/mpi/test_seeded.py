"""Law 3: an item draws the same numbers on any number of ranks, under any schedule."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI
from numpy.random import PCG64DXSM, Generator, SeedSequence

from mpicomp import (
    CollectiveMismatch,
    OptionError,
    gather,
    pany,
    parray,
    pdict,
    plist,
    pmap,
    preduce,
    product,
    psum,
    scatter,
    seeded,
)
from tests.mpi.laws import HANDED_OUT, SCHEDULES, WAYS, holds, raised, rank_of, together

WORLD = MPI.COMM_WORLD
LAST = WORLD.rank == WORLD.size - 1
XS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]

needs_two = pytest.mark.skipif(WORLD.size == 1, reason="one rank agrees with itself")
each_way = pytest.mark.parametrize("schedule", SCHEDULES + HANDED_OUT)

SOURCES: dict[str, Callable[[], Iterable[Any]]] = {
    "range": lambda: range(30, -9, -2),
    "nothing": lambda: range(0),
    "list": lambda: list(XS),
    "text": lambda: "some letters",
    "rows": lambda: np.arange(40.0).reshape(20, 2),
    "set": lambda: set(XS),
    "zip": lambda: zip(XS, range(50), strict=False),
    "enumerate": lambda: enumerate("letters", 3),
    "map": lambda: map(str, XS),
    "filter": lambda: filter(None, [0, 1, 0, 2, 3]),
    "product": lambda: product(range(4), range(5)),
    "product of lists": lambda: product("abc", [1.5, None]),
    "generator": lambda: (x for x in range(50)),
    "itertools": lambda: itertools.chain(XS, "ab"),
}
STREAMS = ("filter", "generator", "itertools")


def told(x: Any, rng: Generator) -> tuple[Any, int, float]:
    return np.array(x).tolist(), rng.bit_generator.random_raw(), rng.random()


def told_of(pair: tuple[Any, Generator]) -> tuple[Any, int, float]:
    return told(*pair)


def all_told(pairs: list[tuple[Any, Generator]]) -> Any:
    return [told(*pair) for pair in pairs]


def by_numpy(xs: Iterable[Any], seed: Any = 7) -> list[tuple[Any, int, float]]:
    """What the serial loop says, without mpicomp."""
    return [
        told(x, Generator(PCG64DXSM(SeedSequence(seed, spawn_key=(i,))))) for i, x in enumerate(xs)
    ]


@each_way
@pytest.mark.parametrize("name", SOURCES)
def test_an_item_draws_the_same_whoever_computes_it(name: str, schedule: str) -> None:
    got = plist((told(x, rng) for x, rng in seeded(SOURCES[name](), 7)), schedule=schedule)
    holds(got, by_numpy(SOURCES[name]()))


@pytest.mark.parametrize("dispatch", ["counter", "master"])
@pytest.mark.parametrize("name", SOURCES)
def test_whoever_hands_it_out(name: str, dispatch: str) -> None:
    def call() -> Any:
        pairs = seeded(SOURCES[name](), (7, 1))
        return plist((told(x, rng) for x, rng in pairs), schedule="dynamic,3", dispatch=dispatch)

    if dispatch == "counter" and name in STREAMS and WORLD.size > 1:
        raised(call, OptionError)
    else:
        holds(call(), by_numpy(SOURCES[name](), (7, 1)))


@pytest.mark.parametrize("name", SOURCES)
def test_pmap(name: str) -> None:
    expected = by_numpy(SOURCES[name]())
    for schedule, root in WAYS:
        rank = rank_of(root)
        got = pmap(told_of, seeded(SOURCES[name](), 7), schedule=schedule, root=rank)
        holds(got, expected, rank)
    got = pmap(all_told, seeded(SOURCES[name](), 7), batched=True, schedule="static,3")
    holds(got, expected)


@each_way
def test_a_slice_keeps_its_streams(schedule: str) -> None:
    for part in (slice(3, 8), slice(None, None, -1), slice(9, 2, -3)):
        for xs in (range(11), XS):
            got = plist((told(x, rng) for x, rng in seeded(xs, 7)[part]), schedule=schedule)
            holds(got, by_numpy(xs)[part])


@each_way
def test_inside_other_sources(schedule: str) -> None:
    got = plist((told(x, rng) for _, (x, rng) in enumerate(seeded(XS, 7))), schedule=schedule)
    holds(got, by_numpy(XS))
    stream = zip(seeded((x for x in XS), 7), range(99), strict=False)
    holds(plist((told(x, rng) for (x, rng), _ in stream), schedule=schedule), by_numpy(XS))
    kept = filter(lambda pair: pair[0] % 2, seeded(XS, 7))
    expected = [row for row in by_numpy(XS) if row[0] % 2]
    holds(plist((told(x, rng) for x, rng in kept), schedule=schedule), expected)


@pytest.mark.parametrize("schedule", ["static", "static,2", "dynamic,2", "auto"])
def test_inner_loops_and_filters_share_the_stream_of_their_item(schedule: str) -> None:
    def values(pairs: Any) -> Any:
        return (
            (x, y, rng.random()) for x, rng in pairs if rng.random() < 0.5 for y in range(x % 3)
        )

    holds(plist(values(seeded(XS * 9, 7)), schedule=schedule), [*values(seeded(XS * 9, 7))])


def test_the_root_alone_has_the_items() -> None:
    mine = XS if WORLD.rank == 0 else []
    holds(plist(told(x, rng) for x, rng in seeded(mine, 7)), by_numpy(XS))
    for schedule in ("static", "static,2", "dynamic,2"):
        stream = (x for x in XS) if WORLD.rank == 0 else []
        got = plist((told(x, rng) for x, rng in seeded(stream, 7)), schedule=schedule)
        holds(got, by_numpy(XS))


@pytest.mark.parametrize("schedule", ["static", "static,2", "dynamic,2"])
def test_a_map_over_the_streams_of_the_root_is_run_on_all_ranks(schedule: str) -> None:
    def stream() -> Any:
        return (x for x in XS) if WORLD.rank == 0 else []

    for seed in (7, (7, 1)):
        got = plist(map(told_of, seeded(stream(), seed)), schedule=schedule)
        holds(got, by_numpy(XS, seed))
    holds(plist(map(str, stream()), schedule=schedule), [*map(str, XS)])
    twice = pmap(lambda xs: [2 * x for x in xs], stream(), batched=True, schedule=schedule)
    holds(twice, [2 * x for x in XS])


def test_reductions_have_the_same_bits() -> None:
    draws = [(x, rng.normal()) for x, rng in seeded(range(300), 7)]
    for schedule in (*SCHEDULES, "dynamic,7", "auto"):
        got = psum((rng.normal() for _, rng in seeded(range(300), 7)), schedule=schedule)
        holds(got, math.fsum(draw for _, draw in draws))
        array = parray((rng.normal() for _, rng in seeded(range(300), 7)), schedule=schedule)
        holds(array, np.array([draw for _, draw in draws]))
    holds(pdict((x, rng.normal()) for x, rng in seeded(range(300), 7)), dict(draws))
    holds(
        preduce(max, (rng.normal() for _, rng in seeded(range(300), 7))), max(d for _, d in draws)
    )
    holds(pany(rng.random() > 0.99 for _, rng in seeded(range(10**6), 7)), expected=True)


def test_a_verb_inside_an_item() -> None:
    def inner(rng: Generator) -> Any:
        seed = int(rng.integers(2**40))
        return plist(r.random() + x for x, r in seeded(range(4), (7, seed)))

    holds(plist(inner(rng) for _, rng in seeded(XS, 7)), [inner(rng) for _, rng in seeded(XS, 7)])


@each_way
@pytest.mark.parametrize("name", ["range", "list", "generator"])
def test_an_item_that_fails_leaves_the_others_their_streams(name: str, schedule: str) -> None:
    def item(x: int, rng: Generator) -> Any:
        return told(x, rng) if x % 3 else 1 // (x % 3)

    got = plist((item(x, rng) for x, rng in seeded(SOURCES[name](), 7)),
                schedule=schedule, errors="return")  # fmt: skip
    zero = ZeroDivisionError("integer division or modulo by zero")
    holds(got, [row if row[0] % 3 else zero for row in by_numpy(SOURCES[name]())])


@pytest.mark.parametrize("schedule", ["static", "static,2", "dynamic,2"])
def test_an_error_names_the_item_and_not_its_generator(schedule: str) -> None:
    error = raised(
        lambda: plist((1 // (x - 9) for x, _ in seeded(XS, 7)), schedule=schedule),
        ZeroDivisionError,
    )
    together("in item 5 (x=9)" in "\n".join(error.__notes__), f"{error.__notes__}")


def test_a_generator_goes_home_and_draws_on() -> None:
    def used(rng: Generator) -> Generator:
        rng.random(3)
        return rng

    got = plist((used(rng) for _, rng in seeded(range(9), 7)), root=None)
    assert got is not None
    holds([rng.random() for rng in got],
          [used(rng).random() for _, rng in seeded(range(9), 7)], None)  # fmt: skip


@pytest.mark.parametrize("schedule", ["static", "static,2"])
@pytest.mark.parametrize("name", SOURCES)
def test_a_part_has_its_streams(name: str, schedule: str) -> None:
    part = scatter(seeded(SOURCES[name](), 7), schedule=schedule)
    holds(gather([told(x, rng) for x, rng in part], part), by_numpy(SOURCES[name]()))


# ranks that disagree


@needs_two
@pytest.mark.parametrize("name", SOURCES)
def test_ranks_with_other_seeds_are_told(name: str) -> None:
    seed = (7, 8) if LAST else 7
    for schedule in ("static", "dynamic,2"):

        def comprehension(schedule: str = schedule) -> Any:
            return plist((told(*p) for p in seeded(SOURCES[name](), seed)), schedule=schedule)

        def mapped(schedule: str = schedule) -> Any:
            return pmap(told_of, seeded(SOURCES[name](), seed), schedule=schedule)

        for call in (comprehension, mapped):
            text = str(raised(call, CollectiveMismatch))
            together("seed=7)" in text and "seed=(7, 8))" in text, text)


@needs_two
def test_ranks_with_other_seeds_inside_are_told() -> None:
    seed = 8 if LAST else 7
    raised(
        lambda: plist(rng.random() for _, (_, rng) in enumerate(seeded(range(9), seed))),
        CollectiveMismatch,
    )
    raised(lambda: scatter(seeded(range(9), seed)), CollectiveMismatch)


@needs_two
def test_of_items_inside_other_sources_the_roots_seed_counts() -> None:
    seed = 8 if LAST else 7
    got = plist(told(x, rng) for _, (x, rng) in enumerate(seeded(XS, seed)))
    holds(got, by_numpy(XS))
