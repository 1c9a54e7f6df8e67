"""Laws of `piter`: the serial generator's values while the ranks work; however it ends."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpi4py import MPI

from mpicomp import ConcurrentCallError, OptionError, TransportError, options, piter, plist, seeded
from tests.launch import run_ranks
from tests.mpi.laws import exactly, holds, on_root, raised, still_works, together
from tests.mpi.test_streams import Watched

WORLD = MPI.COMM_WORLD
PARALLEL = WORLD.size > 1


def gives(got: Iterable[Any], expected: list[Any], root: int = 0) -> None:
    """The values on the root, none elsewhere."""
    values = [*got]
    due = expected if WORLD.rank == root else []
    together(exactly(values) == exactly(due), f"expected {due!r:.1000}\ngot {values!r:.1000}")


SOURCES: dict[str, Callable[[int], Iterable[Any]]] = {
    "range": range,
    "list": lambda n: [*range(n)],
    "tuple of pairs": lambda n: tuple((x, str(x)) for x in range(n)),
    "array": np.arange,
    "zip": lambda n: zip(range(n), "abc" * n, strict=False),
    "map": lambda n: map(float, [*range(n)]),
    "filter": lambda n: filter(lambda x: x % 3, [*range(n)]),
    "generator": lambda n: (x for x in range(n)),
    "islice": lambda n: itertools.islice(itertools.count(), n),
}
SHAPES: dict[str, Callable[[Iterable[Any]], Iterator[Any]]] = {
    "one each": lambda xs: ((x, 1) for x in xs),
    "filter": lambda xs: (x for x in xs if hash(str(x)[-1]) and str(x)[-1] in "0369)"),
    "inner loop": lambda xs: ((x, y) for x in xs for y in range(len(str(x)) % 4)),
    "map": lambda xs: map(str, xs),
}


@settings(max_examples=25)
@given(
    source=st.sampled_from(sorted(SOURCES)),
    shape=st.sampled_from(sorted(SHAPES)),
    n=st.integers(0, 60),
    window=st.none() | st.integers(1, 20),
    schedule=st.sampled_from(["auto", "dynamic", "guided", "factoring", "static,1", "af"]),
    last=st.booleans(),
)
def test_the_serial_values_in_order(
    source: str, shape: str, n: int, window: int | None, schedule: str, last: bool
) -> None:
    root = WORLD.size - 1 if last else 0
    make, xs = SHAPES[shape], SOURCES[source]
    got = piter(make(xs(n)), window=window, schedule=schedule, root=root)
    gives(got, [*make(xs(n))], root)


@pytest.mark.parametrize("window", [None, 5])
def test_many_quick_items(window: int | None) -> None:
    n = 2000 if window else 15_000
    gives(piter((x * x for x in (y for y in range(n))), window=window), [x * x for x in range(n)])
    got = sorted(piter((x * x for x in range(n)), ordered=False, window=window))
    gives(got, [x * x for x in range(n)])


def test_large_items_and_values() -> None:
    arrays = [np.arange(k, 200_000 + k) for k in range(12)]
    gives(piter(array * 2 for array in arrays), [array * 2 for array in arrays])
    gives(piter(array + 1 for array in iter(arrays)), [array + 1 for array in arrays])


def test_random_streams_belong_to_the_items() -> None:
    expected = [rng.random() + x for x, rng in seeded(range(20), 7)]
    for xs in (range(20), [*range(20)], iter(range(20)), (x for x in range(20))):
        gives(piter(rng.random() + x for x, rng in seeded(xs, 7)), expected)


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("window", [1, 2, 7])
def test_the_source_is_read_no_more_than_the_window_ahead(ordered: bool, window: int) -> None:
    """Once, in order, by the thread that iterates; of an endless one too."""
    numbers = Watched(itertools.count())
    worst = 0
    for count, _ in enumerate(piter((x for x in numbers), ordered=ordered, window=window), 1):
        worst = max(worst, numbers.read - count)
        if count == 200:
            break
    ahead = window if PARALLEL else 0
    together(worst <= ahead, f"{worst} ahead")
    together(numbers.readers <= {threading.get_ident()}, "another thread has read")
    still_works()


def test_a_window_that_nobody_says_is_bounded() -> None:
    numbers = Watched(itertools.count())
    for place, _ in enumerate(piter(x for x in numbers)):
        assert numbers.read <= place + 4096 * WORLD.size + 1
        if place == 20_000:
            break
    still_works()


def test_a_slow_first_item_does_not_hold_up_the_unordered() -> None:
    """Values come as they are done: those that are quick do not wait behind one that is not."""
    slow: list[int] = []

    def first_is_slow(x: int) -> tuple[int, bool]:
        if WORLD.rank == WORLD.size - 1 and not slow:
            slow.append(x)
            time.sleep(0.5)
            return x, True
        time.sleep(0.002)
        return x, False

    values = piter((first_is_slow(x) for x in range(60)), ordered=False, window=60,
                   effects="ignore")  # fmt: skip
    got = [*values]
    if WORLD.rank == 0:
        assert sorted(x for x, _ in got) == [*range(60)]
        last = max((place for place, (_, late) in enumerate(got) if late), default=59)
        assert not PARALLEL or last > 40


# ways to end


def test_break_then_another_call() -> None:
    """Trap 10: an early break from a result generator, then another collective."""
    for n in (1, 2, 50):
        for k, y in enumerate(piter(x * x for x in itertools.count())):
            assert y == k * k
            if k == n:
                break
        still_works()


def test_an_exception_in_the_consumer() -> None:
    for _ in range(3):
        seen = []
        try:
            for y in piter(x for x in range(10**9)):
                seen.append(y)
                if y == 10:
                    raise KeyError(y)
        except KeyError:
            assert seen == [*range(11)]
        still_works()


def test_close_and_dropping_and_not_even_beginning() -> None:
    numbers = piter(x for x in itertools.count())
    for _ in zip(range(3), numbers, strict=False):
        pass
    numbers.close()  # type: ignore[attr-defined]  # typed as the iterator that a loop needs
    assert next(numbers, None) is None
    still_works()
    for taken in range(3):
        dropped = piter(x for x in itertools.count())
        for _ in zip(range(taken), dropped, strict=False):
            pass
        del dropped
        still_works()
    cycle: list[Any] = [piter(x for x in itertools.count())]
    next(cycle[0], None)
    cycle.append(cycle)
    del cycle
    gc.collect()
    still_works()


def fails(x: int, *places: int) -> int:
    if x in places:
        raise LookupError("item", x)
    return x


@pytest.mark.parametrize("kind", ["range", "list", "generator"])
def test_an_exception_comes_in_its_place(kind: str) -> None:
    source = SOURCES[kind]
    for places in ((0,), (1, 0), (7,), (30, 29, 31), (99,)):
        seen: list[int] = []

        def one_by_one(places: tuple[int, ...] = places, seen: list[int] = seen) -> None:
            for y in piter(fails(x, *places) for x in source(100)):
                seen.append(y)

        error = raised(one_by_one, LookupError)
        assert error.args == ("item", min(places))
        assert seen == ([*range(min(places))] if WORLD.rank == 0 else [])
        if PARALLEL:
            assert any(f"item {min(places)} (x={min(places)})" in note for note in error.__notes__)


def broken_source() -> Iterator[int]:
    yield from range(5)
    raise OSError("the disk is gone")


def test_what_the_source_raises_comes_behind_its_last_item() -> None:
    seen: list[int] = []

    def consume() -> None:
        for y in piter(10 * x for x in broken_source()):
            seen.append(y)

    raised(consume, OSError)
    assert seen == ([0, 10, 20, 30, 40] if WORLD.rank == 0 else [])


def test_what_cannot_be_sent_is_raised_in_its_place() -> None:
    if not PARALLEL:
        return
    lock = threading.Lock()
    raised(lambda: [*piter(bool(x) for x in itertools.cycle([1, 2, lock]))], TransportError)
    seen: list[int] = []

    def consume() -> None:
        for y in piter((threading.Lock() if WORLD.rank else x) for x in itertools.count()):
            assert y == len(seen)
            seen.append(y)

    raised(consume, TransportError)


def test_exceptions_can_be_values() -> None:
    got = [*piter((6 // x for x in [1, 0, 2, 0, 3]), errors="return")]
    kinds = [type(value) for value in got]
    due = [int, ZeroDivisionError, int, ZeroDivisionError, int] if WORLD.rank == 0 else []
    together(kinds == due, str(got))
    got = [*piter((6 // x for x in iter([1, 0, 2])), errors="return")]
    together(len(got) == (3 if WORLD.rank == 0 else 0), str(got))


def test_items_are_tried_again() -> None:
    times: dict[int, int] = {}

    def flaky(x: int) -> int:
        times[x] = times.get(x, 0) + 1
        if x % 5 == 3 and times[x] < 3:
            raise OSError(x)
        return x

    for xs in (range(40), iter(range(40))):
        times.clear()
        gives(piter((flaky(x) for x in xs), retries=2, effects="ignore"), [*range(40)])
    times.clear()
    error = raised(lambda: [*piter((flaky(x) for x in range(40)), retries=1, effects="ignore")],
                   OSError)  # fmt: skip
    assert error.args == (3,)
    assert any("tried 2 times" in note for note in error.__notes__)


# in the company of others


def test_another_call_in_the_loop_is_refused() -> None:
    for seen, _ in enumerate(piter(x for x in range(100)), 1):
        if PARALLEL:
            with pytest.raises(ConcurrentCallError, match="piter is under way"):
                plist(x for x in range(3))
        if seen > 3:
            break
    still_works()


def test_verbs_in_items_are_serial() -> None:
    gives(piter(plist(y for y in range(x)) for x in range(20)), [[*range(x)] for x in range(20)])
    inner = piter(sum(piter(y for y in range(x))) for x in iter(range(20)))
    gives(inner, [sum(range(x)) for x in range(20)])


def test_a_communicator_of_ones_own() -> None:
    half: Any = WORLD.Split(WORLD.rank % 2, WORLD.rank)
    got = [*piter((x + 1 for x in range(50)), comm=half)]
    together(got == ([*range(1, 51)] if half.rank == 0 else []), str(got))
    half.Free()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"root": None}, "one rank"),
    ({"dispatch": "counter"}, "leave it out"),
    ({"window": 0}, "window"),
    ({"window": 2, "schedule": "dynamic,10"}, "window=10"),
    ({"root": 1000}, "outside"),
    ({"cost": len}, "no cost="),
    ({"cost": np.ones(3)}, "no cost="),
    ({"deadline": 3600}, "no deadline="),
    ({"check": "shuffle"}, 'check=\'shuffle\''),
    ({"reissue": True}, "reissue=True"),
    ({"ranks_per_item": 2}, "ranks_per_item="),
    ({"journal": "somewhere"}, "journal="),
    ({"progress": True}, "no progress="),
    ({"root": "stay"}, "write plist"),
]


@pytest.mark.parametrize(("given", "said"), WRONG)
def test_bad_options_get_a_letter(given: dict[str, Any], said: str) -> None:
    error = raised(lambda: piter((x for x in range(3)), **given), OptionError, ValueError)
    assert said in str(error)


def test_a_root_that_only_hands_out() -> None:
    ranks = {*piter((WORLD.rank for _ in range(200)), dispatch="master-only")}
    due = {0} if not PARALLEL else set(range(1, WORLD.size)) if WORLD.rank == 0 else set()
    together(ranks <= due, f"{ranks} computed")


def test_options_around_it() -> None:
    with options(root=WORLD.size - 1):
        gives(piter(x for x in range(9)), [*range(9)], WORLD.size - 1)


def test_iterators_left_open_at_the_end_hold_nobody_up(tmp_path: Path) -> None:
    if WORLD.size == 2:
        program = tmp_path / "left_open.py"
        program.write_text(
            "import itertools\n"
            "from mpicomp import piter\n"
            "values = piter(x for x in itertools.count())\n"
            "print(next(values, 'nothing'), flush=True)\n"
        )
        done: Any = on_root(lambda: run_ranks(3, [program]))
        assert done.returncode == 0, done.stderr
        assert sorted(done.stdout.split()) == ["0", "nothing", "nothing"]
    holds(plist(x for x in range(2)), [0, 1])
