"""Laws of retries= and timeout=: the serial value, and the serial outcome of an item that fails."""

# ruff: noqa: B023  # lambdas that are called at once

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import OptionError, options, pany, parray, plist, pmap, pmin, preduce, pset, psum
from mpicomp.engine import limit
from tests.launch import run_python, run_ranks
from tests.mpi.laws import holds, on_root, raised, rank_of, together

WORLD = MPI.COMM_WORLD
N = 70
SOURCES: dict[str, Callable[[], Iterable[int]]] = {
    "range": lambda: range(N),
    "list": lambda: [*range(N)],
    "stream": lambda: (x for x in range(N)),
}
FAILING = (5, 33, 64)  # each as often as it is allowed to
SLOW = 33
LIMIT = 0.4  # seconds; other items take microseconds, on a machine that others use too


class Failing(Exception):
    pass


class Flaky:
    """Fails the first *times* times that it meets each of `FAILING` on this rank."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.met: Counter[int] = Counter()

    def __call__(self, x: int) -> int:
        self.met[x] += 1
        if x in FAILING and self.met[x] <= self.times:
            raise Failing("attempt", self.met[x], x)
        return 3 * x

    def pair(self, x: int) -> Iterator[int]:
        """Gives a value before it fails."""
        yield -x
        yield self(x)


VERBS: dict[str, tuple[Callable[..., Any], Callable[[list[int]], Any]]] = {
    "plist": (plist, list),
    "pset": (pset, set),
    "psum": (psum, sum),
    "pmin": (pmin, min),
    "parray": (lambda gen, **o: parray(gen, np.int64, **o), lambda found: np.array(found)),
    "preduce": (lambda gen, **o: preduce(add, gen, **o), sum),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("verb", VERBS)
def test_what_fails_is_tried_again_and_nothing_is_doubled(verb: str, source: str) -> None:
    run, serial = VERBS[verb]
    make = SOURCES[source]
    pairs = [v for x in range(N) for v in (-x, 3 * x)]
    schedule = {"range": "dynamic,3", "list": "static,1", "stream": "af"}[source]
    common: dict[str, Any] = {"schedule": schedule, "retries": 2, "effects": "ignore"}
    f = Flaky(2)
    holds(run((f(x) for x in make()), **common), serial([3 * x for x in range(N)]))
    f = Flaky(1)
    holds(run((v for x in make() for v in f.pair(x)), **common), serial(pairs))
    together(all(f.met[x] in (0, 2) for x in FAILING), f"{f.met}")
    together(all(f.met[x] in (0, 1) for x in range(N) if x not in FAILING), f"{f.met}")


def test_a_search_stops_where_it_would_without_failures() -> None:
    for make in SOURCES.values():
        f = Flaky(2)
        gen = (v == 3 * 64 for x in make() for v in f.pair(x))
        holds(pany(gen, retries=2, effects="ignore"), True)
        gen = (v < 0 or f(v) > 0 for x in make() if x for v in (-x, 5))  # 5 fails, after the hit
        f = Flaky(10**6)
        holds(pany(gen, retries=2, effects="ignore"), True)


def test_one_attempt_too_few() -> None:
    for schedule in ("static,1", "static", "dynamic,3", "af"):
        common: dict[str, Any] = {"schedule": schedule, "retries": 2, "effects": "ignore"}
        f = Flaky(3)
        error = raised(lambda: plist((f(x) for x in range(N)), **common), Failing)
        assert error.args == ("attempt", 3, 5)
        assert error.__notes__[0].startswith("  in item 5 (x=5) on rank ")
        assert "  tried 3 times" in error.__notes__
        f = Flaky(3)
        failed = {x: Failing("attempt", 3, x) for x in FAILING}
        got = plist((f(x) for x in range(N)), errors="return", **common)
        holds(got, [failed.get(x, 3 * x) for x in range(N)])
        f = Flaky(3)  # what came before it stays in front
        due = [v for x in range(N) for v in (-x, failed.get(x, 3 * x))]
        got = plist((v for x in range(N) for v in f.pair(x)), errors="return", **common)
        holds(got, due)


def test_a_chunk_of_a_batched_function_is_one_item() -> None:
    failed: set[range] = set()

    def double(chunk: range) -> list[int]:
        if chunk not in failed:
            failed.add(chunk)
            raise Failing(chunk)
        return [2 * x for x in chunk]

    common: dict[str, Any] = {"batched": True, "effects": "ignore", "schedule": "static,4"}
    holds(pmap(double, range(N), retries=1, **common), [2 * x for x in range(N)])
    stream = (x for x in range(N))
    holds(pmap(lambda rows: [*rows], stream, retries=1, **common), [*range(N)])


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_exit_is_not_tried_again(kind: type[BaseException]) -> None:
    asked: list[int] = []

    def leave(x: int) -> int:
        asked.append(x)
        if x == 7:
            raise kind(3)
        return x

    gen = (leave(x) for x in range(N))
    error = raised(lambda: plist(gen, retries=5, effects="ignore"), kind)
    assert not any("tried" in note for note in error.__notes__)
    together(asked.count(7) <= 1, f"{asked}")


def test_the_source_of_a_stream_is_read_once() -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise Failing("the source")

    error = raised(lambda: plist((x for x in source()), retries=3), Failing)
    assert "in the source itself" in error.__notes__[0]


# timeouts

LONG = 1000.0


def sleeps(x: int) -> int:
    if x == SLOW:
        time.sleep(LONG)
    return x


def turns(x: int) -> int:
    while x == SLOW:
        pass
    return x


def shrugs(x: int) -> int:
    try:
        return sleeps(x)
    except Exception:
        return -1


def insists(x: int) -> int:
    try:
        return sleeps(x)
    except BaseException:
        return sleeps(x)


def nests(x: int) -> int:
    return sum(plist(sleeps(y) for y in (x, x)) or ())


def gives(x: int) -> Iterator[int]:
    yield x
    yield sleeps(x)


@pytest.mark.parametrize("item", [sleeps, turns, shrugs, insists, nests])
def test_an_item_that_takes_too_long_is_interrupted(
    item: Callable[[int], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit, "_AGAIN", LIMIT)
    for schedule in ("static,3", "dynamic,3", "af") if item is sleeps else ("static",):
        common: dict[str, Any] = {"schedule": schedule, "errors": "return", "root": None}
        got = plist((item(x) for x in range(N)), timeout=LIMIT, **common)
        assert got is not None
        assert [x for x in range(N) if isinstance(got[x], TimeoutError)] == [SLOW]
        assert all(got[x] == (2 * x if item is nests else x) for x in range(N) if x != SLOW)
        notes = got[SLOW].__notes__  # type: ignore[attr-defined]  # an exception stands there
        assert "in item 33 (x=33) on rank" in notes[0]
        assert "test_careful.py" in notes[1]


def deaf(x: int) -> int:
    """An item that misses the first alarm."""
    heard: list[int] = []
    known = signal.signal(signal.SIGALRM, lambda *_: heard.append(x))
    while not heard:
        time.sleep(0.001)
    signal.signal(signal.SIGALRM, known)
    time.sleep(LONG)
    return x


def test_an_alarm_that_was_not_heard_rings_again() -> None:
    raised(lambda: plist((deaf(x) for x in range(1)), timeout=LIMIT), TimeoutError)


def test_the_first_that_takes_too_long_is_raised() -> None:
    gen = (v for x in SOURCES["stream"]() for v in gives(x))
    error = raised(lambda: psum(gen, timeout=LIMIT, retries=1), TimeoutError)
    assert "item 33 " in error.__notes__[0]
    assert "  tried 2 times" in error.__notes__
    assert "in sleeps" in str(error.__cause__) or WORLD.size == 1


def test_the_limit_of_a_verb_inside_an_item_is_its_own() -> None:
    def item(x: int) -> list[Any] | None:
        return plist((sleeps(y) for y in (x, SLOW)), timeout=LIMIT, errors="return")

    with options(timeout=60.0):
        got = plist((item(x) for x in range(2)), root=None)
    assert got is not None
    assert [inner[0] for inner in got if inner] == [0, 1]
    assert all(isinstance(inner[1], TimeoutError) for inner in got if inner)


def test_no_limit_is_left_behind() -> None:
    before = signal.getsignal(signal.SIGALRM)
    holds(plist((x for x in range(N)), timeout=50, root=rank_of("all")), [*range(N)], None)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    assert not limit._sections


def test_a_thread_cannot_be_interrupted_and_is_told() -> None:
    if WORLD.size > 1:  # one process is enough
        return
    told: list[BaseException] = []

    def call() -> None:
        try:
            plist((x for x in range(3)), timeout=1)
        except OptionError as error:
            told.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert "main thread" in str(told[0])


STUCK = """
import ctypes
from mpicomp import pdict, plist
from mpicomp.engine import limit

limit.GRACE = 0.5


def hang(x):
    if x == 3:
        mutex = ctypes.create_string_buffer(256)
        for _ in range(2):  # nothing ends the second wait
            ctypes.CDLL(None).pthread_mutex_lock(mutex)
    return x


plist((hang(x) for x in range(4)), timeout=0.1)
"""


def test_what_does_not_come_back_to_python_is_named_and_ends_the_job(tmp_path: Path) -> None:
    program = tmp_path / "stuck.py"
    program.write_text(STUCK)

    def told() -> tuple[int, str]:
        start = run_python if WORLD.size == 1 else lambda args: run_ranks(2, args)
        done = start([program])
        return done.returncode, done.stderr

    code, text = on_root(told)
    assert code != 0
    assert "in item 3 (x=3) on rank" in text
    assert "has not come back to Python" in text
    assert "in hang" in text
