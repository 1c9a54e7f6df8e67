"""What ranks have in common: an array once a node, a counter, and what setup= made on each."""

from __future__ import annotations

import gc
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import (
    CollectiveMismatch,
    OptionError,
    Outcome,
    TransportError,
    counter,
    options,
    pfor,
    piter,
    plist,
    pmap,
    psum,
    share,
    state,
)
from mpicomp.futures import MPIExecutor
from mpicomp.wire import common, slab, transport
from mpicomp.wire.world import world
from tests.launch import run_ranks
from tests.mpi.laws import holds, on_root, raised, rank_of, together

WORLD = MPI.COMM_WORLD


# share


def files_behind(array: Any) -> set[str]:
    """The inode of the mapped file that the memory of *array* is in, as the kernel has it."""
    at = array.__array_interface__["data"][0]
    found = set()
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, _, _, inode, *_ = line.split()
        start, stop = (int(end, 16) for end in span.split("-"))
        if start <= at < stop and inode != "0":
            found.add(inode)
    return found


@pytest.mark.parametrize("root", ["first", "last"])
@pytest.mark.parametrize("kind", ["f8", "i4,f8", "U5", "?"])
def test_an_array_is_shared_as_it_is(root: str, kind: str) -> None:
    whole = np.arange(600).reshape(20, 30).astype(kind.split(",")[0])
    if "," in kind:
        whole = np.zeros((7, 3), kind)
        whole["f1"] = 1.5
    source = rank_of(root)
    assert source is not None
    table = share(whole if WORLD.rank == source else None, root=source)
    same = table.dtype == whole.dtype and np.array_equal(table, whole)
    together(same and not table.flags.writeable, f"{table!r}")
    if "," not in kind:
        holds(plist((table[i].tolist() for i in range(20)), root=None), whole.tolist(), None)


def test_a_node_has_it_once() -> None:
    table = share(np.arange(100_000.0) if WORLD.rank == 0 else None)
    files = WORLD.allgather(files_behind(table))
    if WORLD.size > 1:
        together(len(files[0]) == 1 and all(one == files[0] for one in files), str(files))
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1
    WORLD.Barrier()


def test_it_lives_as_long_as_somebody_looks_at_it() -> None:
    table = share(np.arange(50_000.0))
    part = table[10:20]
    inode = files_behind(table)
    del table
    gc.collect()
    together(part.tolist() == [*range(10, 20)], "gone too early")
    del part
    gc.collect()
    maps = Path("/proc/self/maps").read_text()
    together(all(f" {one} " not in maps for one in inode), "still mapped")


def test_it_travels_as_a_reference() -> None:
    table = share(np.arange(50_000.0))
    packed = pickle.dumps(table, 5)
    together(len(packed) < 300 and pickle.loads(packed) is table, f"{len(packed)} bytes")
    holds(plist((y is table for y in [table] * 6), root=None), [True] * 6, None)
    rows = pickle.loads(pickle.dumps(table[5:8]))
    assert type(rows) is np.ndarray
    assert rows.tolist() == [5, 6, 7]
    assert type(table + 1) is np.ndarray
    assert type(table.sum()) is np.float64
    assert type(np.sqrt(table)) is np.ndarray
    del table
    gc.collect()
    with pytest.raises(TransportError, match="keep it on all"):
        pickle.loads(packed)
    WORLD.Barrier()


def test_it_stays_where_it_is_kept() -> None:
    """The rank that gave it, and so made its memory, lets go of it before the others do."""
    table: Any = share(np.arange(50_000.0) if WORLD.rank == 0 else None)
    if WORLD.rank == 0:
        del table
        gc.collect()
    WORLD.Barrier()
    again = share(np.zeros(50_000) if WORLD.rank == 0 else None)  # it does not take its place
    together(WORLD.rank == 0 or float(table.sum()) == sum(range(50_000)), "it is gone")
    together(not again.any(), "it is another's")


def test_tasks_are_given_what_ranks_have_in_common() -> None:
    table, hits = share(np.arange(50_000.0)), counter()
    with MPIExecutor() as ex:
        if ex is not None:
            tasks = [ex.submit(looked_up, table, hits, x) for x in range(40)]
            got = [task.result() for task in tasks]
    WORLD.Barrier()
    together(hits.value == 40, repr(hits))
    if WORLD.rank == 0:
        assert [value for value, _ in got] == [float(x) for x in range(40)]
        assert sorted(ticket for _, ticket in got) == [*range(40)]
    hits.close()


def looked_up(table: Any, hits: Any, x: int) -> tuple[float, int]:
    assert not table.flags.writeable
    return float(table[x]), hits.add()


LEFT = """
import numpy as np
from mpicomp import counter, plist, share
table, hits = share(np.arange(50_000.0)), counter()
view = table[10:20]
plist((hits.add(), float(table[x])) for x in range(100))
print(f"{hits.value >= 0} {float(view[0])}\\n", end="", flush=True)
"""


def test_what_is_left_at_the_end_of_the_program_is_given_back_in_silence() -> None:
    if WORLD.size != 2:
        return
    done = on_root(lambda: run_ranks(2, ["-W", "error", "-c", LEFT]))
    together(done.returncode == 0, done.stderr)
    together([*done.stdout.split()] == ["True", "10.0"] * 2, done.stdout)
    together("Warning" not in done.stderr and "Traceback" not in done.stderr, done.stderr)
    together("leak" not in done.stderr and "mpool" not in done.stderr, done.stderr)


def test_without_memory_to_share_each_has_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LIMIT", 1000)
    whole = np.arange(10_000)
    together(np.array_equal(share(whole), whole), "differs")
    if WORLD.rank == WORLD.size - 1:
        monkeypatch.setattr(common, "_read_only", lambda *_: None)
    together(np.array_equal(share(whole), whole), "differs")
    monkeypatch.setattr(common, "made", lambda _: (-1, None))
    together(np.array_equal(share(whole), whole), "differs")
    assert slab.made(8)[1] is not None


def test_what_cannot_be_shared() -> None:
    raised(lambda: share([object()]), OptionError)  # type: ignore[arg-type]  # on purpose
    raised(lambda: share(None), OptionError)
    raised(lambda: share([1], root=99), OptionError)
    if WORLD.size > 1:
        raised(lambda: share([1]) if WORLD.rank else plist(x for x in [1]), CollectiveMismatch)
    together(share(3.5).shape == () and share([]).shape == (0,), "shapes")


# counter


def test_each_number_is_given_once() -> None:
    with counter(100) as tickets:
        mine = [tickets.add() for _ in range(200)]
        assert mine == sorted(mine)
        got = sorted(ticket for part in WORLD.allgather(mine) for ticket in part)
        together(got == [*range(100, 100 + 200 * WORLD.size)], "lost or doubled")
        together(tickets.value == 100 + 200 * WORLD.size, repr(tickets))
        WORLD.Barrier()
        tickets.add(-5)
    together(tickets.value == 100 + 195 * WORLD.size, repr(tickets))


@pytest.mark.parametrize(("schedule", "dispatch"), [
    ("static", None), ("static,2", None), ("dynamic,3", "counter"), ("guided", "master"),
    ("dynamic,3", "master-only"), ("auto", None), ("af", None),
])  # fmt: skip
def test_it_counts_whoever_hands_out_the_items(schedule: str, dispatch: str | None) -> None:
    with counter() as hits, options(schedule=schedule, dispatch=dispatch):
        tickets = plist((hits.add() for _ in range(70)), root=None)
        together(sorted(tickets or ()) == [*range(70)], f"{tickets}")
        if dispatch != "counter":
            holds(pfor(hits.add(2) for _ in stream(30)), Outcome(30, 0, []))
            for _ in piter(hits.add() for _ in range(10)):
                pass
            WORLD.Barrier()
            together(hits.value == 140, repr(hits))
        holds(plist((hits.add(0) >= 0, y is hits) for y in [hits] * 9), [(True, True)] * 9)


def test_items_and_threads_count_together() -> None:
    hits = counter()

    def count(x: int) -> int:
        if x % 7 == 0:
            thread = threading.Thread(target=hits.add, args=(2,))
            thread.start()
            thread.join()
        return x

    outcome = pfor((count(x) for x in range(100)), schedule="dynamic,3", root=None)
    assert outcome is not None
    together(hits.value == 30, repr(hits))
    hits.close()
    hits.close()
    together(hits.value == 30, repr(hits))


def test_a_counter_where_claims_do_not_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPICOMP_CLAIMS", "two-sided")
    with counter() as first, counter(1000) as second:
        for _ in range(20):
            first.add(1)
            second.add(-1)
        WORLD.Barrier()
        together(first.value == 20 * WORLD.size, repr(first))
        together(second.value == 1000 - 20 * WORLD.size, repr(second))


def test_bad_counters() -> None:
    raised(lambda: counter(1.5), TypeError)  # type: ignore[arg-type]  # on purpose
    with counter() as c, pytest.raises(TypeError):
        c.add("one")  # type: ignore[arg-type]  # on purpose
    if WORLD.size > 1:
        raised(lambda: counter(WORLD.rank), CollectiveMismatch)


def test_a_counter_left_open_ends_with_the_program() -> None:
    counter()
    together(len(world(WORLD).owned) > 0 or WORLD.size == 1, "it is not known")


# setup


class Model:
    made = 0

    def __init__(self) -> None:
        Model.made += 1
        self.factor = 3

    def __call__(self, x: int) -> int:
        return self.factor * x


def model() -> Model:
    return Model()


def stream(n: int) -> Iterator[int]:
    yield from range(n)


DISPATCHES = [("static", None), ("static,1", None), ("dynamic,3", None), ("auto", None),
              ("guided", "master"), ("dynamic,3", "master-only"), ("af", None)]  # fmt: skip


@pytest.mark.parametrize(("schedule", "dispatch"), DISPATCHES)
def test_items_find_what_setup_made(schedule: str, dispatch: str | None) -> None:
    with options(setup=model, schedule=schedule, dispatch=dispatch, effects="ignore"):
        holds(plist(state()(x) for x in range(50)), [3 * x for x in range(50)])
        holds(plist(state()(x) for x in stream(50) if x % 2), [3 * x for x in range(1, 50, 2)])
        holds(psum(state()(x) for x in [1, 2, 3]), 18)
        holds(pmap(lambda x: state()(x), [4, 5]), [12, 15])
        holds(pmap(lambda x, y: state()(x + y), range(3), iter([1, 1, 1])), [3, 6, 9])
        holds(pmap(lambda xs: [*map(state(), xs)], range(5), batched=True), [0, 3, 6, 9, 12])
    together(Model.made <= 1, f"made {Model.made} times")


def test_an_iterators_items_find_it_and_its_loop_does_not() -> None:
    xs = [*range(3000)]
    for source in (xs, iter(xs), map(abs, iter(xs))):
        got = []
        for y in piter((state()(x) for x in source), setup=model, effects="ignore"):
            with pytest.raises(OptionError, match="setup="):
                state()
            got.append(y)
        together(got == ([3 * x for x in xs] if WORLD.rank == 0 else []), f"{got}")
    holds([*piter((state()(x) for x in xs), setup=model)] or None, [3 * x for x in xs])
    together(Model.made <= 1, f"made {Model.made} times")
    bad = piter((state() for _ in range(90)), setup=fails_on(0), errors="return")
    got = [type(y) for y in bad]
    due = {ConnectionError, int} if WORLD.size > 1 else {ConnectionError}
    together({*got} <= due and len(got) in (0, 90), f"{got}")
    raised(lambda: [*piter((state() for _ in range(90)), setup=fails)], ConnectionError)
    holds(plist(sum(piter((state() * y for y in range(x)), setup=lambda: 2)) for x in range(5)),
          [0, 0, 2, 6, 12])  # fmt: skip


def fails() -> int:
    raise ConnectionError("no licence")


def test_it_is_made_only_where_items_are() -> None:
    made: list[int] = []

    def make() -> int:
        made.append(os.getpid())
        return 7

    with options(effects="ignore"):
        holds(plist((state() for _ in range(1)), setup=make, schedule="static"), [7])
        together(len(made) == (WORLD.rank == 0), str(made))
        holds(plist((state() for _ in range(0)), setup=make), [])
        holds(plist((state() for _ in range(40)), setup=make, schedule="static"), [7] * 40)
    together(len(made) == 1, str(made))


def test_each_call_has_its_own() -> None:
    def inner(x: int) -> tuple[int, Any, int]:
        before = state()
        found = plist((state() * x for x in range(3)), setup=lambda: 10)
        return before, found, state()

    expected = [(1, [0, 10, 20], 1)] * 4
    holds(plist((inner(x) for x in range(4)), setup=lambda: 1), expected)
    with pytest.raises(OptionError, match="setup="):
        state()
    WORLD.Barrier()


def fails_on(rank: int) -> Callable[[], int]:
    def make() -> int:
        if WORLD.rank == rank:
            raise ConnectionError("no licence")
        return 1

    return make


def test_setup_that_fails() -> None:
    error = raised(
        lambda: plist((state() + x for x in range(90)), setup=fails_on(WORLD.size - 1),
                      schedule="static"),
        ConnectionError,
    )  # fmt: skip
    assert any("in setup=" in note for note in error.__notes__)
    got = plist((state() + x for x in range(90)), setup=fails_on(0), schedule="static",
                errors="return", root=None)  # fmt: skip
    assert got is not None
    bad = [isinstance(y, ConnectionError) for y in got]
    together(bad == [i < -(-90 // WORLD.size) for i in range(90)], str(bad))
    raised(lambda: plist((x for x in range(3)), setup=5), OptionError)  # type: ignore[call-overload, arg-type, misc, unused-ignore]  # on purpose
    raised(lambda: plist(state() for x in range(3)), OptionError)
