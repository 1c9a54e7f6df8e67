"""Laws of `MPIExecutor`: the same program does on it what it does on the standard library's."""

from __future__ import annotations

import asyncio
import itertools
import logging
import operator
import os
import threading
import time
import traceback
from collections.abc import Callable
from concurrent import futures
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import CollectiveMismatch, ConcurrentCallError, TransportError, plist, psum
from mpicomp.errors import RemoteTraceback
from mpicomp.futures import BrokenExecutor, CancelledError, MPIExecutor, as_completed, serve, wait
from tests.launch import run_ranks
from tests.mpi.laws import exactly, on_root, raised, still_works, together
from tests.mpi.test_streams import Watched

WORLD = MPI.COMM_WORLD
PARALLEL = WORLD.size > 1


# tasks


def square(x: int) -> int:
    return x * x


def fails(*args: Any) -> None:
    raise LookupError(*args)


def nap(seconds: float, value: Any = None) -> Any:
    time.sleep(seconds)
    return value


def both(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


class Needy(Exception):
    """Cannot be made from its ``args``."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} and {second}")
        self.first = first


class Unpicklable(Exception):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.lock = threading.Lock()


class Explosive:
    """Can be pickled, and not be unpickled."""

    def __reduce__(self) -> Any:
        return fails, ("cannot be read",)


class Picky:
    """Will not be pickled, and says so in its own way."""

    def __reduce__(self) -> Any:
        raise LookupError("not me")


def needy() -> None:
    raise Needy(1, 2)


def unpicklable() -> None:
    raise Unpicklable(3)


def leave() -> None:
    raise SystemExit(4)


# programs


def caught(future: Future[Any]) -> Any:
    error = future.exception()
    return type(error), getattr(error, "args", None)


def some_calls(pool: Executor) -> Any:
    return [
        pool.submit(square, 3).result(),
        pool.submit(both).result(),
        pool.submit(both, 1, self=2, fn=3).result(),
        pool.submit(operator.mul, "ab", 2).result(timeout=60),
        caught(pool.submit(fails, 1, "two")),
        caught(pool.submit(square)),  # type: ignore[call-arg]  # it lacks its argument
        caught(pool.submit(needy)),
        caught(pool.submit(leave)),
    ]


def maps(pool: Executor) -> Any:
    return [
        [*pool.map(square, range(100))],
        [*pool.map(square, range(100), chunksize=7)],
        [*pool.map(divmod, range(5, 9), [2, 3, 4])],
        [*pool.map(square, [])],
        [*pool.map(square, [2]), *pool.map(square, [3])],  # trap 8: a second map
        [*pool.map(abs, (x for x in range(-5, 5)))],
        [*pool.map(str, [1, 2], chunksize=100)],
    ]


def a_map_that_fails(pool: Executor) -> Any:
    results = pool.map(divmod, [1, 1, 1, 1], [2, 3, 0, 5])
    return [next(results), next(results), next(results)]


def a_map_in_order(pool: Executor) -> Any:
    """Trap 11: results in arrival order where order was promised."""
    return [*pool.map(nap, [0.2, 0.1, 0.0, 0.0, 0.0], itertools.count())]


def a_map_without_time(pool: Executor) -> Any:
    results = pool.map(nap, [0, 0, 3], timeout=1)
    got = [next(results), next(results)]
    with pytest.raises(TimeoutError):
        next(results)
    return got


def an_early_end_of_a_map(pool: Executor) -> Any:
    """Trap 10."""
    for value in pool.map(square, range(1000)):
        if value > 50:
            break
    return pool.submit(square, 7).result()


def completed(pool: Executor) -> Any:
    each = {pool.submit(square, x): x for x in range(30)}
    return sorted((each[future], future.result()) for future in as_completed(each, timeout=60))


def waits(pool: Executor) -> Any:
    slow, quick, bad = pool.submit(nap, 1.0), pool.submit(square, 2), pool.submit(fails)
    first = wait([slow, quick], return_when=futures.FIRST_COMPLETED)
    failed = wait([slow, bad], return_when=futures.FIRST_EXCEPTION)
    late = wait([slow], timeout=0)
    done = wait([slow, quick, bad])
    return [len(first.done) > 0, bad in failed.done, len(late.done) < 2, len(done.done),
            len(done.not_done)]  # fmt: skip


def callbacks(pool: Executor) -> Any:
    seen: list[Any] = []
    over = threading.Event()

    def again(future: Future[int]) -> None:
        seen.append(future.result())
        if len(seen) < 5:
            pool.submit(square, len(seen)).add_done_callback(again)  # from a callback of a callback
        else:
            over.set()

    pool.submit(square, 9).add_done_callback(again)
    assert over.wait(60)
    done = pool.submit(square, 2)
    done.result()
    done.add_done_callback(lambda future: seen.append(future.result()))
    return seen


def cancels(pool: Executor) -> Any:
    running = [pool.submit(nap, 0.3) for _ in range(2 * WORLD.size)]
    pending = [pool.submit(square, x) for x in range(50)]
    last = pending[-1]
    told = [last.cancel(), last.cancelled(), last.cancel(), last.done()]
    with pytest.raises(CancelledError):
        last.result()
    rest = sum(future.result() for future in pending[:-1])
    return told, rest, [future.result() for future in running]


def futures_know_their_state(pool: Executor) -> Any:
    future = pool.submit(square, 3)
    future.result()
    return [future.done(), future.running(), future.cancelled(), future.cancel()]


def in_asyncio(pool: Executor) -> Any:
    async def main() -> Any:
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(pool, square, x) for x in range(20)]
        bad = loop.run_in_executor(pool, fails, 1)
        return await asyncio.gather(*calls, bad, return_exceptions=True)

    return asyncio.run(main())


def from_many_threads(pool: Executor) -> Any:
    found: dict[int, list[int]] = {}

    def submits(k: int) -> None:
        found[k] = [*pool.map(square, range(k, k + 50))]

    threads = [threading.Thread(target=submits, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found.items())


def refuses(pool: Executor) -> Any:
    told: list[Any] = []
    wrong: Any = pool.submit
    try:
        wrong()
    except TypeError as error:
        told.append(type(error))
    pool.shutdown()
    pool.shutdown(wait=False)
    try:
        pool.submit(square, 1)
    except RuntimeError as error:
        told.append(type(error))
    return told


def outcome(program: Callable[[Executor], Any], pool: Executor) -> Any:
    try:
        return exactly(program(pool))
    except Exception as error:
        return type(error), error.args


PROGRAMS = (some_calls, maps, a_map_that_fails, a_map_in_order, a_map_without_time,
            an_early_end_of_a_map, completed, waits, callbacks, cancels, futures_know_their_state,
            in_asyncio, from_many_threads, refuses)  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: str(program.__name__))
def test_the_same_program_does_the_same(program: Callable[[Executor], Any]) -> None:
    told = ""
    with MPIExecutor(root_computes=program in (maps, callbacks, cancels)) as pool:
        if pool is not None:
            with ThreadPoolExecutor(WORLD.size) as threads:
                expected = outcome(program, threads)
            got = outcome(program, pool)
            if got != expected:
                told = f"expected {expected!r:.1000}\ngot {got!r:.1000}"
    together(not told, told)
    still_works()


def with_executor(use: Callable[[MPIExecutor], Any], **options: Any) -> None:
    """*use* an executor on its root; what it raises, every rank finds out."""
    told = ""
    with MPIExecutor(**options) as pool:
        if pool is not None:
            try:
                use(pool)
            except Exception:
                told = traceback.format_exc()
    together(not told, told)


# what is ours


def test_where_tasks_run_and_who_gets_the_executor() -> None:
    for root in {0, WORLD.size - 1}:
        with MPIExecutor(root=root) as pool:
            assert (pool is not None) is (WORLD.rank == root or not PARALLEL)
            if pool is not None:
                ranks = {*pool.map(rank_of_task, range(300))}
                assert ranks <= ({*range(WORLD.size)} - {root} if PARALLEL else {0})
                assert pool.num_workers == max(1, WORLD.size - 1)
        still_works()
    both_sides = {0, 1} if PARALLEL else {0}
    with MPIExecutor(1, root_computes=True) as pool:
        if pool is not None:
            assert len({*pool.map(rank_of_task, range(100))}) <= len(both_sides)
    for comm in (MPI.COMM_SELF, WORLD, WORLD.Dup(), WORLD):  # one after the other
        with MPIExecutor(comm=comm) as pool:
            if pool is not None:
                assert [*pool.map(square, range(9))] == [x * x for x in range(9)]
        if comm not in (MPI.COMM_SELF, WORLD):
            comm.Free()
    half: Any = WORLD.Split(WORLD.rank % 2, WORLD.rank)
    with MPIExecutor(comm=half) as pool:
        if pool is not None:
            assert [*pool.map(square, range(9))] == [x * x for x in range(9)]
    half.Free()
    still_works()


def rank_of_task(x: int) -> int:
    time.sleep(0.001)
    return int(WORLD.rank)


def test_trap_7_what_cannot_be_pickled_is_its_own_futures_error() -> None:
    """Arguments, results, exceptions, functions; on the way there, and on the way back."""

    def use(pool: MPIExecutor) -> None:
        good = [pool.submit(square, x) for x in range(5)]
        bad: list[Future[Any]] = [
            pool.submit(both, threading.Lock()),
            pool.submit(threading.Lock),
            pool.submit(both, Explosive()),
            pool.submit(Explosive),
        ]
        more = [pool.submit(square, x) for x in range(5)]
        if PARALLEL:
            kinds = [type(future.exception()) for future in bad]
            assert kinds == [TransportError, TransportError, LookupError, LookupError]
            own: Any = pool.submit(both, Picky()).exception()
            assert (type(own), own.args) == (LookupError, ("not me",))
            assert any("while the arguments of a task were pickled" in n for n in own.__notes__)
        assert [future.result() for future in good + more] == [0, 1, 4, 9, 16] * 2
        for task in (needy, unpicklable):
            error: Any = pool.submit(task).exception()
            assert type(error) in (Needy, Unpicklable)
        assert [*pool.map(square, range(5))] == [0, 1, 4, 9, 16]

    with_executor(use)


def test_a_remote_traceback_is_the_cause() -> None:
    def use(pool: MPIExecutor) -> None:
        error: Any = pool.submit(fails, 1).exception()
        if PARALLEL:
            assert type(error.__cause__) is RemoteTraceback
            assert "raise LookupError(*args)" in str(error.__cause__)
            assert any("in a task on rank" in note for note in error.__notes__)

    with_executor(use)


def test_functions_without_a_name_go_by_value() -> None:
    def use(pool: MPIExecutor) -> None:
        for offset in range(3):  # each is another function under the same name
            assert [*pool.map(lambda x: x + offset, range(10))] == [*range(offset, 10 + offset)]  # noqa: B023  # sent at once
        makers = [pool.submit(partial(lambda k, more: [k, more], k, offset)) for k in range(200)]
        assert [future.result() for future in makers] == [[k, 2] for k in range(200)]

    with_executor(use)


class Big:
    """A function that is dear to send."""

    sent = 0

    def __call__(self, x: int) -> int:
        return x

    def __getstate__(self) -> dict[str, Any]:
        Big.sent += 1
        return {"bulk": b"x" * 1_000_000}


def test_a_function_is_pickled_once_and_goes_to_each_rank_once() -> None:
    Big.sent = 0

    def use(pool: MPIExecutor) -> None:
        assert [*pool.map(Big(), range(1000))] == [*range(1000)]
        assert Big.sent <= 1

    with_executor(use)


def test_large_arguments_and_results() -> None:
    def use(pool: MPIExecutor) -> None:
        arrays = [np.arange(300_000) + k for k in range(8)]
        for array, result in zip(arrays, pool.map(np.negative, arrays), strict=True):
            assert exactly(result) == exactly(-array)
            assert result.flags.writeable
        texts = ["x" * 10**6, "y" * 3 * 10**6]
        assert [*pool.map(str.upper, texts)] == [text.upper() for text in texts]

    with_executor(use)


def test_trap_9_the_input_is_read_no_further_than_the_buffer() -> None:
    def use(pool: MPIExecutor) -> None:
        numbers = Watched(itertools.count())
        results = pool.map(square, numbers, buffersize=10)
        assert numbers.read == 10
        for k in range(100):
            assert next(results) == k * k
            assert numbers.read == k + 11
        results.close()  # type: ignore[attr-defined]  # a generator
        unordered = pool.starmap(square, ((x,) for x in range(50)), buffersize=7, unordered=True)
        assert sorted(unordered) == [x * x for x in range(50)]
        for wrong in (0, -1, 1.5, "3"):
            with pytest.raises((TypeError, ValueError), match="buffersize"):
                pool.map(square, [1], buffersize=wrong)  # type: ignore[arg-type]  # wrong on purpose
        full = itertools.count()
        pool.map(square, full, buffersize=4)
        pool.shutdown()
        assert next(full) == 4
        with pytest.raises(ValueError, match="chunksize"):
            pool.map(square, [1], chunksize=0)

    with_executor(use)


def test_trap_9_tasks_are_not_sent_all_at_once() -> None:
    """Those that have not gone out can be cancelled: with slow tasks nearly all."""

    def use(pool: MPIExecutor) -> None:
        submitted = [pool.submit(nap, 0.1) for _ in range(50)]
        pool.shutdown(cancel_futures=True)
        cancelled = sum(future.cancelled() for future in submitted)
        assert 50 - 2 * WORLD.size <= cancelled < 50
        assert all(future.done() for future in submitted)

    with_executor(use)


def test_trap_13_starmap_with_a_window() -> None:
    def use(pool: MPIExecutor) -> None:
        for window in (None, 1, 3):
            for pairs in ([(1, 2), (3, 4), (5, 6)], [()] * 5, [(1,), (2, 3), ()]):
                due = [both(*args) for args in pairs]
                assert [*pool.starmap(both, pairs, buffersize=window)] == due
                assert [*pool.starmap(both, iter(pairs), buffersize=window, chunksize=2)] == due

    with_executor(use)


def test_a_quick_result_does_not_wait_for_a_slow_task() -> None:
    """Though they have gone out in one batch."""

    def use(pool: MPIExecutor) -> None:
        [*pool.map(square, range(2000))]  # batches are long now
        slow = pool.submit(nap, 2.0)
        quick = [pool.submit(square, x) for x in range(100)]
        wait(quick, timeout=60)
        assert not slow.done() or not PARALLEL
        assert slow.result() is None

    if WORLD.size > 2 or not PARALLEL:
        with_executor(use)
    with_executor(use, root_computes=True)


started: list[Any] = []


def start(*args: Any) -> None:
    started.append(args)


def what_started() -> list[Any]:
    return started


def test_an_initializer_runs_once_before_the_first_task() -> None:
    started.clear()

    def use(pool: MPIExecutor) -> None:
        for _ in range(20):
            assert pool.submit(what_started).result() == [("a", 1)]

    with_executor(use, initializer=start, initargs=("a", 1))
    together(started == ([("a", 1)] if WORLD.rank or not PARALLEL else []), str(started))


@pytest.mark.parametrize("computes", [False, True])
@pytest.mark.filterwarnings("ignore")  # the thread pool logs it
def test_trap_12_a_worker_that_cannot_begin_breaks_the_executor(computes: bool) -> None:
    logged: list[Any] = []
    handler = logging.Handler()
    handler.emit = logged.append  # type: ignore[assignment, method-assign]  # looked at
    logging.getLogger("concurrent.futures").addHandler(handler)

    def use(pool: MPIExecutor) -> None:
        with pytest.raises(BrokenExecutor):
            pool.submit(square, 1).result(timeout=60)
        with pytest.raises(BrokenExecutor):
            pool.submit(square, 1).result(timeout=60)
        assert logged[0].getMessage() == "Exception in initializer:"
        assert logged[0].exc_info[0] is LookupError

    with_executor(use, initializer=fails, initargs=("no licence",), root_computes=computes)
    still_works()
    if PARALLEL:
        raised(lambda: MPIExecutor(initializer=start, initargs=(threading.Lock(),)).__enter__(),
               TransportError)  # fmt: skip


def test_verbs_in_tasks_are_serial_and_beside_it_they_are_refused() -> None:
    def use(pool: MPIExecutor) -> None:
        assert pool.submit(nested, 10).result() == 45
        inner = pool.submit(executor_in_a_task, 5).result()
        assert inner == [0, 1, 4, 9, 16]
        if PARALLEL:
            with pytest.raises(ConcurrentCallError, match="MPIExecutor is open"):
                plist(x for x in range(3))

    with_executor(use)
    with_executor(use, root_computes=True)


def nested(n: int) -> Any:
    return psum(x for x in range(n))


def executor_in_a_task(n: int) -> list[int]:
    with MPIExecutor() as pool:
        assert pool is not None
        return [*pool.map(square, range(n))]


def test_without_a_with() -> None:
    for _ in range(2):
        pool = MPIExecutor()
        if pool.is_master():
            assert pool.submit(square, 3).result() == 9
        elif WORLD.rank % 2:
            with pytest.raises(RuntimeError, match="is a worker"):
                pool.submit(square, 3)
        pool.shutdown()
        still_works()


def test_ranks_that_stand_by_serve_one_executor_after_the_other() -> None:
    def several() -> None:
        if WORLD.rank:
            serve()
            return
        for k in range(3):
            with MPIExecutor() as pool:
                assert pool is not None
                assert [*pool.map(square, range(k))] == [x * x for x in range(k)]
        if PARALLEL:
            plist(x for x in range(3))

    if PARALLEL:
        error = raised(several, CollectiveMismatch)
        assert "serve()" in str(error)
    else:
        several()


STANDING = """
from mpicomp import world
from mpicomp.futures import serve
if world().rank:
    serve()
else:
    for k in (2, 3):
        with MPIExecutor() as pool:
            print(pool.submit(pow, k, 2).result(), flush=True)
"""


def test_a_dropped_executor_still_does_its_tasks() -> None:
    if WORLD.rank:
        MPIExecutor().serve()
    else:
        pool = MPIExecutor()
        futures = [pool.submit(square, x) for x in range(20)]
        del pool
        assert [future.result() for future in futures] == [x * x for x in range(20)]
        while PARALLEL and any(t.name == "mpicomp-executor" for t in threading.enumerate()):
            time.sleep(0.001)
    still_works()


@pytest.mark.parametrize("wrong", [{"max_workers": 0}, {"max_workers": -1}, {"root": 10**6},
                                   {"root": -1}, {"initializer": 3}])  # fmt: skip
def test_bad_arguments_get_a_letter(wrong: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        MPIExecutor(**wrong)


def test_a_million_tasks_pass_through_a_buffer() -> None:
    """As many as the time allows here; what is kept does not grow."""

    def use(pool: MPIExecutor) -> None:
        before = resident()
        total = sum(pool.map(square, range(8_000), buffersize=200))
        assert total == sum(x * x for x in range(8_000))
        assert resident() < before + 30e6

    with_executor(use)


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


# programs of their own


def program(path: Path, text: str) -> Path:
    path.write_text("import os, signal, time\nfrom mpicomp.futures import MPIExecutor\n" + text)
    return path


UNFINISHED = """
pool = MPIExecutor()
if pool.is_master():
    for word in ("apple", "pear"):
        pool.submit(time.sleep, 0.1).add_done_callback(lambda _, word=word: print(word, flush=True))
else:
    pool.serve()
"""
DEADLY = """
with MPIExecutor() as pool:
    if pool is not None:
        pool.submit({deed}).result()
        print("a result")
"""


def test_ranks_that_stand_by_end_with_the_root(tmp_path: Path) -> None:
    if WORLD.size == 2:
        done: Any = on_root(lambda: run_ranks(3, [program(tmp_path / "stand.py", STANDING)]))
        assert (done.returncode, done.stdout.split()) == (0, ["4", "9"]), done.stderr


def test_the_end_of_the_program_waits_for_the_tasks(tmp_path: Path) -> None:
    if WORLD.size == 2:
        done: Any = on_root(lambda: run_ranks(3, [program(tmp_path / "end.py", UNFINISHED)]))
        assert (done.returncode, sorted(done.stdout.split())) == (0, ["apple", "pear"]), done.stderr


@pytest.mark.parametrize("deed", ["os._exit, 3", "signal.raise_signal, signal.SIGKILL"])
def test_trap_12_a_dead_worker_is_not_waited_for(deed: str, tmp_path: Path) -> None:
    if WORLD.size == 2:
        text = DEADLY.replace("{deed}", deed)
        done: Any = on_root(lambda: run_ranks(3, [program(tmp_path / "dies.py", text)], timeout=60))
        assert done.returncode != 0, done.stderr
        assert "a result" not in done.stdout

