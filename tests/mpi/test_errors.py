"""Law 2: what the serial comprehension raises, every rank raises, and nobody is left waiting."""

# ruff: noqa: B023, C417  # lambdas that are called at once

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpi4py import MPI

from mpicomp import (
    BatchError,
    RemoteError,
    TransportError,
    options,
    pall,
    pany,
    parray,
    pdict,
    plist,
    pmap,
    pmax,
    pmin,
    preduce,
    product,
    pset,
    psum,
)
from mpicomp.errors import RemoteTraceback
from mpicomp.wire import waiting
from tests.mpi.laws import (
    HANDED_OUT,
    ROOTS,
    SCHEDULES,
    WAYS,
    holds,
    raised,
    rank_of,
    still_works,
    together,
)

WORLD = MPI.COMM_WORLD
PARALLEL = WORLD.size > 1


class Failing(Exception):
    pass


def fails(x: Any, *places: int) -> Any:
    if x in places:
        raise Failing("item", int(x))
    return x


SOURCES: dict[str, Callable[[], Iterable[Any]]] = {
    "range": lambda: range(30),
    "list": lambda: [*range(30)],
    "array": lambda: np.arange(30),
    "zip": lambda: (x for x, _ in zip(range(30), [0] * 30, strict=True)),
    "stream": lambda: (x for x in range(30)),
}
each_source = pytest.mark.parametrize("source", SOURCES)


# which of them


@each_source
def test_the_first_by_index_is_raised(source: str) -> None:
    failing = [(3, 4, 28), (29,), (29, 11, 10, 12), tuple(range(30))]
    for (schedule, root), places in zip(WAYS, failing, strict=True):
        gen = (fails(x, *places) for x in SOURCES[source]())
        error = raised(lambda: plist(gen, schedule=schedule, root=rank_of(root)), Failing)
        assert error.args == ("item", min(places))
        assert f"item {min(places)} " in error.__notes__[0]


def grid(x: float, y: float) -> float:
    return x / y


def test_the_error_says_item_value_rank_host_line_and_remote_traceback() -> None:
    xs = [1.5] * 7 + [0.0]
    error = raised(
        lambda: plist((grid(1.0, x) for x in xs), schedule="static"), ZeroDivisionError
    )  # fmt: skip
    told = "\n".join(error.__notes__)
    for part in ("item 7", "x=0.0", f"rank {WORLD.size - 1}", os.uname().nodename,
                 "test_errors.py", "grid(1.0, x) for x in xs"):  # fmt: skip
        assert part in told
    if PARALLEL:
        assert type(error.__cause__) is RemoteTraceback
        assert "in grid" in str(error.__cause__)
        assert "return x / y" in str(error.__cause__)


PLACES: dict[str, Callable[[], Iterator[Any]]] = {
    "filter clause": lambda: (x for x in range(20) if fails(x, 13)),
    "inner loop": lambda: (x for x in range(20) for y in range(3) if fails(10 * x + y, 131)),
    "inner source": lambda: (y for x in range(20) for y in [fails(x, 13)] * 2),
    "mapped source": lambda: (x for x in map(lambda x: fails(x, 13), range(20))),
    "mapped source beside": lambda: (
        x for x in zip("abcdefghijklmnopqrst", map(lambda x: fails(x, 13), range(20)), strict=True)
    ),
    "filtered source": lambda: (x for x in filter(lambda x: fails(x, 13), range(20))),
    "map": lambda: map(lambda x: fails(x, 13), range(20)),
    "stream": lambda: (x for x in (fails(x, 13) for x in range(20))),
}


@pytest.mark.parametrize("place", PLACES)
def test_wherever_in_the_item_it_fails(place: str) -> None:
    for schedule in SCHEDULES:
        error = raised(lambda: plist(PLACES[place](), schedule=schedule), Failing)
        assert error.args in (("item", 13), ("item", 131))
        assert "item 13 " in error.__notes__[0] or "in the source itself" in error.__notes__[0]


@each_source
def test_of_a_decision_and_a_failure_the_first_counts(source: str) -> None:
    make = SOURCES[source]
    for schedule, (first, second) in zip(
        SCHEDULES, [(5, 20), (5, 6), (0, 29), (16, 17)], strict=True
    ):
        holds(pany((fails(x, second) == first for x in make()), schedule=schedule), True)
        holds(pall((fails(x, second) != first for x in make()), schedule=schedule), False)
        for search in (pany, pall):
            gen = (bool(fails(x, first) == second) is (search is pany) for x in make())
            error = raised(lambda: search(gen, schedule=schedule), Failing)
            assert error.args == ("item", first)


# errors="return"


def values(gen: Callable[[Iterable[Any]], Iterator[Any]], xs: Iterable[Any]) -> list[Any]:
    """What ``errors="return"`` promises: item by item, and behind its values its exception."""
    found: list[Any] = []
    for x in xs:
        try:
            found.extend(gen([x]))
        except Exception as error:
            found.append(error)
    return found


RETURNS: dict[str, Callable[[Iterable[Any]], Iterator[Any]]] = {
    "plain": lambda xs: (6 // x for x in xs),
    "filter": lambda xs: (x for x in xs if 6 // x > 2),
    "inner loop": lambda xs: (6 // (x - y) for x in xs for y in range(3)),
    "inner loop and filter": lambda xs: (y for x in xs if x for y in range(6 // (x - 1))),
    "map": lambda xs: map(lambda x: 6 // x, xs),
}


@settings(max_examples=40)
@given(
    shape=st.sampled_from(sorted(RETURNS)),
    xs=st.lists(st.integers(0, 4), max_size=25),
    make=st.sampled_from([list, np.array, lambda xs: (x for x in xs), lambda xs: map(int, xs)]),
    schedule=st.sampled_from(SCHEDULES + HANDED_OUT),
    root=st.sampled_from(ROOTS),
)
def test_a_returned_exception_stands_where_the_item_failed(
    shape: str, xs: list[int], make: Any, schedule: str, root: str
) -> None:
    gen, xs = RETURNS[shape], xs or [0]
    got = plist(gen(make(xs)), errors="return", schedule=schedule, root=rank_of(root))
    holds(got, values(gen, make(xs)), rank_of(root))


def test_a_returned_exception_has_its_notes_and_its_traceback() -> None:
    got: Any = plist((grid(1.0, x) for x in [1.0, 0.0] * 6), errors="return", root=None)
    for place, error in enumerate(got):
        if place % 2:
            assert type(error) is ZeroDivisionError
            assert any(f"item {place} (x=0.0)" in note for note in error.__notes__)
            assert "in grid" in str(error.__cause__)


def test_a_set_keeps_the_values_beside_the_returned_exceptions() -> None:
    xs = [3, 1, 2, 0, 7, 0, 4, 5] * 3
    for schedule in SCHEDULES:
        got: Any = pset((12 // x for x in xs), errors="return", schedule=schedule, root=None)
        together({v for v in got if type(v) is int} == {12 // x for x in xs if x}, str(got))
        together(sum(type(v) is ZeroDivisionError for v in got) == xs.count(0), str(got))


def test_pmap_over_a_stream_returns_exceptions() -> None:
    got = pmap(lambda x: 6 // x, (x for x in [1, 0, 2, 0, 3]), errors="return")
    holds(got, values(lambda xs: (6 // x for x in xs), [1, 0, 2, 0, 3]))


def test_a_batched_function_fails_for_its_whole_chunk() -> None:
    calls = [0]

    def halves(chunk: Sequence[int]) -> list[int]:
        calls[0] += 1
        return [6 // x for x in chunk]

    xs = [1, 2, 3, 1, 0, 2, 3, 3, 3, 1]
    with options(effects="ignore"):
        got = pmap(halves, xs, batched=True, schedule="static,3", errors="return", root=None)
    assert got is not None
    together([type(v).__name__ for v in got] == ["int"] * 3 + ["ZeroDivisionError"] * 3
             + ["int"] * 4, str(got))  # fmt: skip
    assert WORLD.allreduce(calls[0]) == 4


# what cannot travel


class Other(Exception):
    """Its ``__init__`` has other parameters than its args."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code


class Locked(Exception):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lock = threading.Lock()


class BadText(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


def throw(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    "error",
    [
        Other(3, reason="because"),
        BadText("text"),
        OSError(2, "No such file", "here"),
        UnicodeDecodeError("ascii", b"\xff", 0, 1, "ordinal"),
        ExceptionGroup("both", [ValueError(1), KeyError(2)]),
        KeyError("k"),
        ValueError("s\udcff"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_exception_arrives_with_type_and_arguments(error: Exception) -> None:
    for place in (0, 19):
        got = raised(lambda: plist(throw(error) if x == place else x for x in range(20)))
        assert type(got) is type(error)
        assert repr(got.args) == repr(error.args)
        assert vars(got).get("code") == vars(error).get("code")


def test_an_exception_with_a_lock_arrives_with_the_locks_repr() -> None:
    error = raised(lambda: plist(throw(Locked("first")) for _ in range(20)), Locked)
    assert error.args == ("first",)
    assert "lock" in str(error.lock)


def test_an_exception_of_a_local_class_is_told_by_name() -> None:
    class Local(ValueError):
        pass

    error = raised(lambda: plist(throw(Local("x", 4)) for _ in range(20)), RemoteError, Local)
    assert type(error) is RemoteError if PARALLEL else type(error) is Local
    assert "('x', 4)" in str(error)
    got = plist((throw(Local("x", 4)) for _ in range(20)), errors="return")
    if WORLD.rank == 0:
        assert all("('x', 4)" in str(value) for value in got or ())


def test_the_users_own_notes_stay() -> None:
    def noted(x: int) -> int:
        error = ValueError(x)
        error.add_note("the user's")
        raise error

    assert raised(lambda: plist(noted(x) for x in range(9))).__notes__[0] == "the user's"


def deep(x: int) -> int:
    return deep(x + 1)


def test_a_recursion_error() -> None:
    raised(lambda: plist(deep(x) for x in range(9)), RecursionError)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("errors", ["raise", "return"])
def test_also_what_is_no_exception(kind: type[BaseException], errors: str) -> None:
    for place in (0, 19):
        error = raised(
            lambda: plist(
                (throw(kind(3)) if x == place else x for x in range(20)), errors=errors
            ),
            kind,
        )
        assert error.args == (3,)


def test_an_item_cannot_end_the_comprehension() -> None:
    error = raised(lambda: plist(next(iter(())) if x == 13 else x for x in range(20)), RuntimeError)
    assert "StopIteration" in str(error)
    for schedule in SCHEDULES:
        raised(lambda: pmap(next, [iter([1]), iter(())] * 9, schedule=schedule),
               RuntimeError, TransportError)  # fmt: skip


def test_a_result_that_cannot_be_pickled() -> None:
    if not PARALLEL:
        assert len(plist((lambda: 1) for _ in range(20)) or ()) == 20
        return
    with options(schedule="static"):  # or the root might keep all to itself
        error = raised(lambda: plist((lambda: 1) for _ in range(20)), TransportError)
        assert "function" in str(error)
        raised(lambda: plist((threading.Lock() for _ in range(20)), root=None), TransportError)
        locks = (threading.Lock() for _ in "abc" * 33)
        raised(lambda: preduce(lambda a, _: a, locks), TransportError)


@pytest.mark.parametrize("schedule", ["static", "static,1"])
def test_an_item_that_cannot_be_pickled(schedule: str) -> None:
    xs = [*range(19), threading.Lock()]
    if PARALLEL:
        raised(lambda: plist((x for x in xs), schedule=schedule), TransportError)
        raised(lambda: plist((x for x in (x for x in xs)), schedule=schedule), TransportError)
    else:
        assert plist(x for x in xs) == xs


class Untouchable:
    """Unpickled, it raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        return throw, (self.error,)


def test_a_result_that_cannot_be_unpickled() -> None:
    if PARALLEL:
        for kind in (ValueError, SystemExit):
            for root in (0, None):
                raised(lambda: plist((Untouchable(kind("no")) for _ in range(20)), root=root,
                                     schedule="static"), kind)  # fmt: skip


def test_an_item_that_cannot_be_unpickled() -> None:
    if PARALLEL:
        xs = [Untouchable(ValueError("no"))] * 200
        for schedule in ("static", "static,1", "guided"):
            raised(lambda: plist((x for x in xs), schedule=schedule), ValueError)
        raised(lambda: plist((x for x in (x for x in xs)), schedule="static,1"), ValueError)


def slowly(_: object) -> None:
    time.sleep(0.001)


def test_an_item_that_cannot_be_unpickled_from_a_master() -> None:
    """Unless the master takes all the items itself, and none of them travels."""
    xs = [Untouchable(ValueError("no"))] * 200
    told = "all done by the master"
    try:
        pmap(slowly, (x for x in xs), schedule="dynamic")
    except ValueError as error:
        told = repr(error)
    together(len(set(WORLD.allgather(told))) == 1, told)
    still_works()


# what runs outside the items


class Broken(Sequence[int]):
    def __init__(self, place: int) -> None:
        self.place = place

    def __len__(self) -> int:
        return 20

    def __getitem__(self, index: Any) -> Any:
        return fails(range(20)[index], self.place)


def test_a_sequence_whose_item_cannot_be_had() -> None:
    for schedule in SCHEDULES:
        error = raised(lambda: plist((x for x in Broken(13)), schedule=schedule), Failing)
        assert error.args == ("item", 13)
        error = raised(
            lambda: plist((fails(x, 5, 17) for x in Broken(13)), schedule=schedule), Failing
        )  # fmt: skip
        assert error.args == ("item", 5)


def test_with_errors_returned_an_item_that_cannot_be_had_is_raised_all_the_same() -> None:
    for schedule in SCHEDULES:
        def call(schedule: str = schedule) -> Any:
            return plist((fails(x, 5) for x in Broken(13)), schedule=schedule, errors="return")

        error = raised(call, Failing)
        assert error.args == ("item", 13)
        assert "in the source itself" in error.__notes__[0]


def test_the_good_values_are_offered_where_they_can_be_kept() -> None:
    gen = (fails(x, *range(40)) for x in range(40))
    error = raised(lambda: plist(gen, root=None, schedule="static"), Failing)
    kept = "keeps the good values" in error.__notes__[-1]
    assert kept == (WORLD.size > 1)
    error = raised(lambda: psum(fails(x, *range(40)) for x in range(40)), Failing)
    assert not any("keeps the good values" in note for note in error.__notes__)


def waits(thread: int) -> bool:
    """Whether a thread of this process is in one of our waits."""
    frame = sys._current_frames().get(thread)
    while frame is not None and frame.f_code is not waiting.wait.__code__:
        frame = frame.f_back
    return frame is not None


def test_ranks_interrupted_while_they_wait_can_go_on_with_the_next_call(tmp_path: Path) -> None:
    folder = WORLD.bcast(tmp_path)
    main = threading.get_ident()

    def interrupt() -> None:
        while not waits(main):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)
        (folder / f"{WORLD.rank}").touch()

    def item(x: int) -> int:
        if WORLD.rank == 0 and WORLD.size > 1:  # the others wait for it
            while len(list(folder.glob("[0-9]"))) < WORLD.size - 1:
                time.sleep(0.01)
            raise KeyboardInterrupt
        return x

    if WORLD.rank:
        threading.Thread(target=interrupt).start()
    if WORLD.size > 1:
        with pytest.raises(KeyboardInterrupt):
            plist((item(x) for x in range(WORLD.size)), schedule="static")
    WORLD.Barrier()
    still_works()


class Again:
    """An iterator that fails once, and could go on."""

    def __init__(self, place: int) -> None:
        self.at, self.place = -1, place

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.at += 1
        if self.at == self.place:
            raise Failing("source", self.at)
        if self.at > 5000:
            raise StopIteration
        return self.at


def test_a_stream_that_fails() -> None:
    for schedule in SCHEDULES:
        for place in (0, 7, 1000):
            gen = (fails(x, place + 1, place + 50) for x in Again(place))
            error = raised(lambda: plist(gen, schedule=schedule), Failing)
            assert error.args == ("source", place)
            assert "in the source itself" in error.__notes__[0]
        error = raised(
            lambda: plist((fails(x, 5) for x in Again(7)), schedule=schedule), Failing
        )  # fmt: skip
        assert error.args == ("item", 5)
        raised(lambda: plist((x for x in Again(7)), errors="return", schedule=schedule), Failing)
        holds(pany((x == 5 for x in Again(7)), schedule=schedule), True)


class Incomparable:
    def __init__(self, x: int, error: type[BaseException] = ValueError) -> None:
        self.x, self.error = x, error

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        raise self.error("no")

    def __lt__(self, other: object) -> bool:
        raise self.error("no")

    __gt__ = __lt__


def never(a: Any, b: Any) -> Any:
    raise Failing("op", min(a, b))


OUTSIDE: dict[str, tuple[Callable[[], Any], type[BaseException]]] = {
    "op": (lambda: preduce(never, (x for x in range(200))), Failing),
    "op at the root": (lambda: preduce(never, (x for x in range(2)), schedule="static,1"), Failing),
    "op with the initial": (lambda: preduce(never, (x for x in range(1)), 5), Failing),
    "op, of an exit": (lambda: preduce(lambda a, b: throw(SystemExit(3)), (x for x in range(99))),
                       SystemExit),
    "nothing to reduce": (lambda: preduce(max, (x for x in range(0))), TypeError),
    "sum": (lambda: psum(x for x in [1, 2, "three", 4] * 9), TypeError),
    "sum of text": (lambda: psum((x for x in "abc"), ""), TypeError),
    "key": (lambda: pmin((x for x in range(20)), key=lambda x: fails(x, 13)), Failing),
    "key of one": (lambda: pmax((x for x in range(1)), key=lambda x: fails(x, 0)), Failing),
    "key that is none": (lambda: pmax((x for x in range(20)), key=cast(Any, 3)), TypeError),
    "order": (lambda: pmin(Incomparable(x) for x in range(20)), ValueError),
    "mixed order": (lambda: pmax(x for x in [1, 2, "three"]), TypeError),
    "nothing to choose": (lambda: pmin(x for x in range(0)), ValueError),
    "equality": (lambda: pset(Incomparable(x) for x in range(20)), ValueError),
    "equality at the root": (lambda: pset((Incomparable(x) for x in range(2)), schedule="static,1"),
                             ValueError),
    "equality, of an exit": (lambda: pset(
        (Incomparable(x, SystemExit) for x in range(2)), schedule="static,1"), SystemExit),
    "hash": (lambda: pset([x] for x in range(20)), TypeError),
    "hash of a key": (lambda: pdict(([x], x) for x in range(20)), TypeError),
    "no pair": (lambda: pdict(cast(Any, x) for x in range(20)), TypeError),
    "three": (lambda: pdict((*cast(Any, (x, x)), x) for x in range(20)), ValueError),
    "truth": (lambda: pany(np.zeros(3) for x in range(20)), ValueError),
    "shapes": (lambda: parray([0.0] * x for x in range(20)), ValueError),
    "shapes of ranks": (lambda: parray([0.0] * (x // 10) for x in range(20)), ValueError),
    "no number": (lambda: parray("ten" for x in range(20)), ValueError),
    "no float": (lambda: parray(1j for x in range(20)), TypeError),
    "no dtype": (lambda: parray((x for x in range(3)), "nonsense"), TypeError),
    "too large": (lambda: parray((300 for x in range(20)), np.uint8), OverflowError),
    "batch": (lambda: pmap(lambda chunk: [1] * 30, range(20), batched=True), BatchError),
    "batch of nothing": (lambda: pmap(lambda chunk: None, range(20), batched=True), TypeError),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_the_items(name: str) -> None:
    call, kind = OUTSIDE[name]
    raised(call, kind)


# last: where ranks once waited for ever, the run ends here


def test_a_product_that_cannot_be_pickled() -> None:
    pairs = product([threading.Lock()], range(20))
    if PARALLEL:
        raised(lambda: plist(y for _, y in pairs), TransportError)
    else:
        assert plist(y for _, y in pairs) == [*range(20)]


def test_no_exception_in_a_mapped_source_either() -> None:
    def leave(x: int) -> Any:
        return throw(SystemExit(3)) if x == 13 else x

    raised(lambda: plist(x for x in enumerate(map(leave, range(20)))), SystemExit)
    raised(lambda: plist(x for x in (leave(x) for x in range(20))), SystemExit)
