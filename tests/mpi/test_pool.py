"""Laws of `Pool`: the same program does on it what it does on multiprocessing's; friends use it."""

from __future__ import annotations

import itertools
import multiprocessing
import pickle
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import pytest
from mpi4py import MPI

from mpicomp import Pool
from tests.launch import run_ranks
from tests.mpi.laws import exactly, on_root, still_works, together
from tests.mpi.test_executor import both, fails, nap, square
from tests.mpi.test_streams import Watched

WORLD = MPI.COMM_WORLD
PARALLEL = WORLD.size > 1


def calls(pool: Any) -> Any:
    later = pool.apply_async(square, (5,))
    later.wait(60)
    return [pool.apply(square, (3,)), pool.apply(both, (1, 2), {"x": 3}), later.get(),
            later.ready(), later.successful()]  # fmt: skip


def maps(pool: Any) -> Any:
    """Trap 8: one map after the other; trap 13: starmap of anything."""
    return [
        pool.map(square, range(50)),
        pool.map(square, [], 3),
        pool.map(square, (x for x in range(7)), chunksize=3),
        pool.starmap(both, [(1, 2), (), (3,)]),
        pool.starmap(both, iter([(1,), (2,), (3,)]), 2),
        [*pool.imap(square, range(40))],
        [*pool.imap(square, range(40), chunksize=7)],
        sorted(pool.imap_unordered(square, range(40))),
        pool.map_async(square, range(9)).get(60),
        pool.starmap_async(pow, [(2, 3), (3, 2)]).get(),
    ]


def fails_at(when: int) -> Iterator[int]:
    yield from range(when)
    raise LookupError(when)


def sources_that_fail(pool: Any) -> Any:
    """What comes before the chunk in which the source fails is given; then the error, once."""
    told: list[Any] = []
    for when, chunksize in itertools.product((0, 3, 7), (1, 2, 4)):
        for imap in (pool.imap, pool.imap_unordered):
            values, errors = [], []
            results = imap(square, fails_at(when), chunksize)
            for _ in range(10):
                try:
                    values.append(next(results))
                except LookupError as error:  # unordered, it may come before a value
                    errors.append(type(error))
                except StopIteration:
                    break
            if imap == pool.imap_unordered:  # of values behind it, those of a chunk are lost
                values = [value for value in values if value not in {x * x for x in range(when)}]
            told.append((values, errors))
        try:
            pool.map(square, fails_at(when), chunksize)
        except LookupError as error:
            told.append((error.args, error.__cause__))
    return told


def errors(pool: Any) -> Any:
    told: list[Any] = []
    failing: list[Callable[[], Any]] = [
        lambda: pool.apply(fails, (1,)), lambda: pool.map(fails, [1]),
        lambda: pool.starmap(fails, [(1, 2)]),
    ]  # fmt: skip
    for call in failing:
        try:
            call()
        except LookupError as error:
            told.append(error.args)
    bad = pool.apply_async(fails, (3,))
    bad.wait()
    told += [bad.ready(), bad.successful()]
    results = pool.imap(reciprocal, [1, 0, 2])  # an iterator that goes on behind an error
    told.append(next(results))
    with pytest.raises(ZeroDivisionError):
        next(results)
    return [*told, *results]


def reciprocal(x: int) -> float:
    return 1 / x


def callbacks(pool: Any) -> Any:
    seen: list[Any] = []
    over = threading.Semaphore(0)

    def note(value: Any) -> None:
        seen.append(value if not isinstance(value, Exception) else (type(value), value.args))
        over.release()

    ways: list[Callable[[], Any]] = [
        lambda: pool.apply_async(square, (2,), callback=note),
        lambda: pool.map_async(square, [1, 2, 3], callback=note),
        lambda: pool.starmap_async(pow, [(2, 2)], callback=note),
        lambda: pool.apply_async(fails, (7,), callback=note, error_callback=note),
    ]
    for begin in ways:
        begin()
        assert over.acquire(timeout=60)
    return seen


def times_out(pool: Any) -> Any:
    slow = pool.apply_async(nap, (1.0, "late"))
    told: list[Any] = [slow.ready()]
    ways: list[Callable[[], Any]] = [
        lambda: slow.get(0.01), lambda: pool.imap(nap, [1.0]).next(timeout=0.01)
    ]  # fmt: skip
    for hasty in ways:
        try:
            hasty()
        except multiprocessing.TimeoutError:
            told.append("late")
    try:
        slow.successful()
    except ValueError:
        told.append("not ready")
    return [*told, slow.get(60)]


def closed(pool: Any) -> Any:
    told: list[Any] = []
    try:
        pool.join()
    except ValueError as error:
        told.append(error.args)
    last = pool.map_async(square, range(20))
    pool.close()
    ways: list[Callable[[], Any]] = [
        lambda: pool.map(square, [1]), lambda: pool.apply(square, (1,))
    ]  # fmt: skip
    for late in ways:
        try:
            late()
        except ValueError as error:
            told.append(error.args)
    pool.join()
    return [*told, last.get()]


def refuses(pool: Any) -> Any:
    told: list[Any] = []
    ways: list[Callable[[], Any]] = [
        lambda: pool.imap(square, [1], chunksize=0), lambda: pickle.dumps(pool)
    ]  # fmt: skip
    for wrong in ways:
        try:
            wrong()
        except (ValueError, NotImplementedError) as error:
            told.append((type(error), error.args))
    return told


PROGRAMS = (calls, maps, sources_that_fail, errors, callbacks, times_out, closed, refuses)


def outcome(program: Callable[[Any], Any], pool: Any) -> Any:
    try:
        return exactly(program(pool))
    except Exception as error:
        return type(error), error.args


def with_pool(use: Callable[[Any], Any], **options: Any) -> None:
    """*use* a pool on its master; the others work."""
    told = ""
    with Pool(**options) as pool:
        if pool.is_master():
            told = str(use(pool) or "")
        elif WORLD.rank % 2:
            pool.wait()
    together(not told, told)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: str(program.__name__))
def test_the_same_program_does_the_same(program: Callable[[Any], Any]) -> None:
    def use(pool: Any) -> str:
        with ThreadPool(2) as threads:
            expected = outcome(program, threads)
        got = outcome(program, pool)
        return "" if got == expected else f"expected {expected!r:.1500}\ngot {got!r:.1500}"

    with_pool(use)
    still_works()


def test_a_pool_that_is_dropped_open_is_warned_of() -> None:
    def dropped() -> None:
        pool = Pool()
        if pool.is_worker():
            pool.wait()
        elif WORLD.size > 1:
            pool.apply(square, (2,))

    told: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        dropped()
        told += [str(warning.message) for warning in caught]
    mine = not WORLD.rank
    together(any("unclosed running" in text for text in told) is mine, str(told))
    still_works()


def test_imap_reads_a_bounded_number_of_items_ahead() -> None:
    """Trap 9; multiprocessing's own reads everything at once."""

    def use(pool: Any) -> str:
        for imap in (pool.imap, pool.imap_unordered):
            numbers = Watched(itertools.count())
            results = imap(square, numbers)
            for k in range(200):
                next(results)
                if numbers.read > k + 1 + 16 * pool.size:
                    return f"{numbers.read} were read for {k}"
        return ""

    with_pool(use)


def test_of_several_errors_the_first_by_position_counts() -> None:
    def use(pool: Any) -> str:
        result = pool.map_async(fails_late, [3, 2, 1])
        result.wait()
        return "" if caught_by(result.get).args == (3,) else "another"

    with_pool(use)


def caught_by(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return error


def fails_late(x: int) -> None:
    time.sleep(x / 20)
    raise LookupError(x)


def test_terminate_cancels_what_has_not_begun() -> None:
    def use(pool: Any) -> str:
        result = pool.map_async(nap, [0.05] * 100)
        pool.terminate()
        result.wait(60)
        return "" if result.ready() and not result.successful() else "it went on"

    with_pool(use)
    still_works()


def test_the_manners_of_schwimmbad() -> None:
    """`is_master`, `size`, a callback of map; a worker that does not ask is ended at the end."""
    seen: list[int] = []
    ended = False
    pool = Pool()
    together(pool.is_master() is (WORLD.rank == 0) is not pool.is_worker(), "who is who")
    together(Pool.enabled() is PARALLEL, "enabled")
    together((pool.rank, pool.size) == (WORLD.rank, max(1, WORLD.size - 1)), "rank and size")
    try:
        values = pool.map(square, [1, 2, 3], callback=seen.append)
        assert values == seen == [1, 4, 9]
    except SystemExit:
        ended = True
    pool.close()
    if pool.is_master():
        pool.join()
    together(ended is (WORLD.rank > 0), "a worker goes on")
    still_works()


@pytest.mark.parametrize("wrong", [{"processes": 0}, {"maxtasksperchild": -1}])
def test_bad_arguments_get_a_letter(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Pool(**wrong)


# friends: each gives what it gives by itself

FRIENDS = """
import sys
import warnings
from importlib.util import find_spec

import numpy as np

from mpicomp import Pool

warnings.simplefilter("ignore")


def log_prob(x):
    return -0.5 * float(np.sum(x * x))


def prior(u):
    return 10 * u - 5


def emcee(pool):
    import emcee

    start = np.random.default_rng(1).normal(size=(8, 2))
    state = emcee.State(start, random_state=np.random.RandomState(2).get_state())
    sampler = emcee.EnsembleSampler(8, 2, log_prob, pool=pool)
    sampler.run_mcmc(state, 10)
    return sampler.get_chain().sum()


def scipy(pool):
    from scipy.optimize import differential_evolution

    workers = 1 if pool is None else pool.map
    found = differential_evolution(lambda x: -log_prob(x - 1), [(-5, 5)] * 2, workers=workers,
                                   updating="deferred", rng=4, maxiter=5)
    return found.x.sum()


def dynesty(pool):
    import dynesty

    more = {} if pool is None else {"pool": pool, "queue_size": 2}
    sampler = dynesty.NestedSampler(log_prob, prior, 2, nlive=20,
                                    rstate=np.random.default_rng(5), **more)
    sampler.run_nested(maxiter=30, print_progress=False)
    return float(sampler.results.logz[0])


for friend in (emcee, scipy, dynesty):
    if find_spec(friend.__name__) is not None:
        with Pool() as pool:
            if pool.is_master():
                print(friend.__name__, repr(friend(None)), repr(friend(pool)))
            else:
                pool.wait()
"""


def test_friends_that_take_a_pool(tmp_path: Path) -> None:
    """emcee's ``pool=``, SciPy's ``workers=``, dynesty's ``pool=`` (if installed)."""
    if WORLD.size != 2:
        return
    script = tmp_path / "friends.py"
    script.write_text(FRIENDS)
    done: Any = on_root(lambda: run_ranks(3, [script], timeout=240))
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert {name for name, *_ in lines} >= {"emcee", "scipy"}
    for _, alone, with_pool in lines:
        assert alone == with_pool
