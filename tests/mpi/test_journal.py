"""Laws of the journal: what was kept is not computed again, and the value is the serial one."""

from __future__ import annotations

import ctypes
import os
import resource
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import (
    Journal,
    JournalError,
    JournalWarning,
    OptionError,
    options,
    pall,
    pany,
    parray,
    pcount,
    pdict,
    pfor,
    pgroup,
    plist,
    pmap,
    pmax,
    pmin,
    preduce,
    preduce_by_key,
    pset,
    psum,
    seeded,
)
from mpicomp.journal import journal as opened
from mpicomp.journal.journal import CALLS
from mpicomp.journal.stores import DirectoryStore, MemoryStore
from tests.mpi.laws import exactly, holds, raised, still_works, together

WORLD = MPI.COMM_WORLD
N = 120
WAYS = (("static", None), ("static,1", None), ("dynamic,3", "counter"), ("guided", "master"),
        ("auto", None), ("af", None))  # fmt: skip


pytestmark = pytest.mark.filterwarnings("ignore::mpicomp.SideEffectWarning")  # of `Work`


class Failing(Exception):
    pass


class Work:
    """A function of items that counts its calls, and fails at one item as long as it is told to.

    It counts on this rank; `total` is everyone's.  Its state is no part of what it computes.
    """

    def __init__(self, function: Callable[[Any], Any], fails_at: int = -1) -> None:
        self.function = function
        self.fails_at = fails_at
        self.calls = 0

    def __reduce__(self) -> tuple[Any, ...]:  # what the journal sees of it
        return Work, (self.function,)

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        if x == self.fails_at:
            raise Failing(x)
        return self.function(x)

    def total(self) -> int:
        """Calls on all ranks since the last time."""
        calls, self.calls = self.calls, 0
        return int(WORLD.allreduce(calls))


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A folder that all ranks see."""
    found: Path = WORLD.bcast(tmp_path)
    return found / "run.mpj"


def kept(where: Any) -> Journal:
    """A journal that keeps every piece at once, as opened by a program that begins."""
    WORLD.Barrier()
    opened._open.clear()
    return Journal(where, every=0.0)


def items_in(journal: Journal) -> int:
    """How many items are kept, of all calls."""
    WORLD.Barrier()
    here = WORLD.rank == 0 or not journal.store.shared
    chunks = [journal.store.chunks(key) for key in sorted(journal.store.keys()) if key != CALLS]
    spans = [span for found in chunks for spans, _ in found for span in spans]
    return int(WORLD.allreduce(sum(stop - start for start, stop in spans) if here else 0))


def square(x: int) -> int:
    return x * x


SOURCES: dict[str, Callable[[], Iterable[Any]]] = {
    "range": lambda: range(N),
    "list": lambda: [*range(N)],
    "array": lambda: np.arange(N),
    "stream": lambda: (x for x in range(N)),
}


def squares(work: Work, source: str, way: tuple[str, str | None], where: Path) -> Any:
    schedule, dispatch = way
    if source == "stream" and dispatch == "counter":
        dispatch = "master"
    return plist((work(x) for x in SOURCES[source]()), schedule=schedule, dispatch=dispatch,
                 journal=kept(where))  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_after_an_error_only_what_is_missing_is_computed(where: Path, source: str) -> None:
    work = Work(square)
    for number, (first, second) in enumerate(zip(WAYS, [*WAYS[3:], *WAYS[:3]], strict=True)):
        folder = where / f"{number}"
        work.fails_at = N - 20
        raised(partial(squares, work, source, first, folder), Failing)
        work.total()
        work.fails_at = -1
        for due in (N - items_in(kept(folder)), 0):
            holds(squares(work, source, second, folder), [x * x for x in SOURCES[source]()])
            again = work.total()
            together(again == due, f"{first}, {second}: {again} items, missing were {due}")


def awkward(x: int) -> float:
    return (1.0 - x % 2 * 2) * 10.0 ** (x % 30) / 3


def pair(x: int, y: int) -> int:
    return x * 7 + y


VERBS: dict[str, tuple[Callable[..., Any], Callable[[int], Any]]] = {
    "plist": (plist, square),
    "pset": (pset, lambda x: x % 7),
    "pdict": (pdict, lambda x: (x % 7, x)),
    "parray": (parray, awkward),
    "rows": (lambda gen, **said: parray(gen, dtype=int, **said), lambda x: [x, -x]),
    "psum": (psum, awkward),
    "sum of arrays": (psum, lambda x: np.array([x, awkward(x)])),
    "pmin": (lambda gen, **said: pmin(gen, key=abs, **said), awkward),
    "pmax": (pmax, awkward),
    "pany": (pany, lambda x: x == N - 5),
    "pall": (pall, lambda x: x >= 0),
    "pfor": (lambda gen, **said: pfor(gen, **said), square),
    "pcount": (pcount, lambda x: x % 7),
    "pgroup": (pgroup, lambda x: (x % 7, x)),
    "preduce_by_key": (partial(preduce_by_key, pair), lambda x: (x % 3, x)),
    "preduce": (lambda gen, **said: preduce(pair, gen, 1, **said), square),
}


def made(call: Callable[..., Any], work: Work, **said: Any) -> Any:
    return call((work(x) for x in range(N)), **said)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_the_same_value_to_the_bit(verb: str) -> None:
    call, function = VERBS[verb]
    work = Work(function)
    for number, (schedule, dispatch) in enumerate(WAYS[1::2]):
        said: Any = {"schedule": schedule, "dispatch": dispatch}
        expected = WORLD.bcast(made(call, work, schedule="static"))
        work.fails_at = 40 + number
        store = MemoryStore()
        raised(partial(made, call, work, journal=kept(store), **said), Failing)
        work.fails_at = -1
        for _ in range(2):
            holds(made(call, work, journal=kept(store), **said), expected)


def test_random_streams_are_those_of_their_items(where: Path) -> None:
    work = Work(float)

    def drawn(journal: Journal | None) -> Any:
        pairs = seeded(range(N), seed=7)
        return plist((work(x) + rng.random() for x, rng in pairs), journal=journal)

    expected = WORLD.bcast(drawn(None))
    work.fails_at = 77
    raised(lambda: drawn(kept(where)), Failing)
    work.fails_at = -1
    holds(drawn(kept(where)), expected)


def test_errors_as_values_and_batches(where: Path) -> None:
    def gen() -> Iterator[int]:
        return (12 // (x % 5) for x in range(N))

    expected = WORLD.bcast(plist(gen(), errors="return"))
    for schedule in ("static,4", "dynamic,7"):
        holds(plist(gen(), errors="return", schedule=schedule, journal=kept(where)), expected)
    calls = Work(lambda chunk: [x + 1 for x in chunk])
    for size in ("dynamic,7", "static,9"):
        holds(pmap(calls, range(N), batched=True, schedule=size, journal=kept(where / "batched")),
              [x + 1 for x in range(N)])  # fmt: skip
    together(calls.total() == -(-N // 7), "computed again")


def test_each_call_of_a_program_has_its_own_chunks(where: Path) -> None:
    work = Work(square)

    def program(journal: Journal, calls: int) -> None:
        state: Any = 0
        for _ in range(calls):
            total = psum((work(x) + state for x in range(N)), journal=journal, root=None)
            state = total % 1000
        for _ in range(2):  # the same comprehension twice
            holds(plist((work(x) for x in range(N)), journal=journal), [x * x for x in range(N)])

    program(kept(where), 3)
    together(work.total() == 5 * N, "not all was computed")
    program(kept(where), 3)
    together(work.total() == 0, "something was computed again")
    raised(lambda: program(kept(where), 4), JournalError)


def test_another_comprehension_is_refused_and_the_difference_told(where: Path) -> None:
    def call(n: int, extra: int, journal: Any) -> Any:
        return plist((x + extra for x in range(n)), journal=journal)

    call(N, 1, kept(where))
    error = raised(lambda: call(N, 2, kept(where)), JournalError)
    for part in ("another comprehension", "extra in the comprehension: kept 1, now 2", "prune"):
        assert part in str(error)
    error = raised(lambda: call(N + 1, 1, kept(where)), JournalError)
    assert f"kept range(0, {N}), now range(0, {N + 1})" in str(error)
    holds(call(N, 1, kept(where)), [x + 1 for x in range(N)])


def made_of(work: Work, journal: Any) -> Any:
    return plist((work(x) for x in range(N)), journal=journal, schedule="static,2")


@pytest.mark.parametrize("kind", ["memory", "directory", "one's own"])
def test_other_stores(where: Path, kind: str) -> None:
    class Own(MemoryStore):
        pass

    made: dict[str, Callable[[], Any]] = {"memory": MemoryStore, "one's own": Own}
    store = made.get(kind, lambda: DirectoryStore(where))()
    work = Work(square, fails_at=N - 1)
    raised(lambda: made_of(work, Journal(store, every=0.0)), Failing)
    work.fails_at = -1
    work.total()
    due = N - items_in(Journal(store))
    holds(made_of(work, store), [x * x for x in range(N)])
    again = work.total()
    together(again == due, f"{again} items, missing were {due}")
    if kind == "memory":
        error = raised(lambda: plist((x for x in range(3)), journal=object()), OptionError)  # type: ignore[arg-type]  # a wrong one
        assert "put, chunks, keys" in str(error)


def test_what_is_torn_is_left_out(where: Path) -> None:
    work = Work(square)
    with options(schedule="static,5"):
        plist((work(x) for x in range(N)), journal=kept(where))
        work.total()
        WORLD.Barrier()
        if WORLD.rank == 0:
            for path in where.iterdir():
                size = path.stat().st_size
                os.truncate(path, size - size // 3)
        WORLD.Barrier()
        holds(plist((work(x) for x in range(N)), journal=kept(where)), [x * x for x in range(N)])


class Full(MemoryStore):
    """A store on a disk that is full for a while."""

    full = True

    def put(self, key: str, spans: Any, data: bytes) -> None:
        if self.full and key != "calls":
            raise OSError(28, "No space left on device")
        super().put(key, spans, data)


def test_a_full_disk_is_told_and_ends_the_call_or_not_as_asked() -> None:
    store = Full()
    error = raised(lambda: plist((x for x in range(N)), journal=Journal(store)), JournalError)
    assert "No space left" in str(error)
    with pytest.warns(JournalWarning, match="No space left.*goes on"):
        got = plist((square(x) for x in range(N)), schedule="static",
                    journal=Journal(store, on_error="warn"))  # fmt: skip
    holds(got, [x * x for x in range(N)])
    still_works()


_CAPGET, _CAPSET = {"x86_64": (125, 126)}.get(os.uname().machine, (90, 91))
_OVERRIDE = 1 << 1  # CAP_DAC_OVERRIDE: by it root may write where nobody may


@contextmanager
def bound_by_modes() -> Iterator[None]:
    """Also root may write only where the modes of files let it; of this thread."""
    system = ctypes.CDLL(None, use_errno=True).syscall
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)
    held = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    assert not system(_CAPGET, head, held), os.strerror(ctypes.get_errno())
    before = held[0]
    held[0] &= ~_OVERRIDE
    assert not system(_CAPSET, head, held), os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        held[0] = before
        assert not system(_CAPSET, head, held), os.strerror(ctypes.get_errno())


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing in *folder* can be written."""
    WORLD.Barrier()
    if WORLD.rank == 0:
        folder.chmod(0o555)
    WORLD.Barrier()
    try:
        with bound_by_modes():
            yield
    finally:
        WORLD.Barrier()
        folder.chmod(0o755)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Files cannot grow, wherever they are: as on a disk that is full."""
    assert not folder.is_file()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("how", [read_only, full])
@pytest.mark.parametrize("begun", [False, True])
def test_where_nothing_can_be_written(
    how: Callable[[Path], AbstractContextManager[None]], begun: bool, where: Path
) -> None:
    work = Work(square)

    def made(on_error: str) -> Any:
        return plist((work(x) for x in range(N)), schedule="static,5",
                     journal=Journal(where, on_error, every=0.0))  # fmt: skip

    where.mkdir(parents=True, exist_ok=True)
    kept(where)
    if begun:
        work.fails_at = N - 20
        raised(lambda: made("raise"), Failing)
        work.fails_at = -1
    due = N - items_in(kept(where))
    work.total()
    with how(where):
        error = raised(lambda: made("raise"), JournalError)
        assert "cannot be written" in str(error)
        assert how is full or "Permission denied" in str(error)
        work.total()
        for again in (due, N):  # the second of two equal calls is another one
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always", JournalWarning)
                got = made("warn")
            holds(got, [x * x for x in range(N)])
            together(work.total() == again, "what was kept was not used, or too much was")
            said = WORLD.allgather([str(warning.message) for warning in told])
            together(max(map(len, said)) == 1, f"each rank tells it once at most: {said}")
            together(begun or list(map(len, said))[1:] == [0] * (WORLD.size - 1), f"{said}")
    holds(made("raise"), [x * x for x in range(N)])
    still_works()


def test_what_could_not_be_put_down_is_put_down_later() -> None:
    class Late(MemoryStore):
        puts = 0

        def put(self, key: str, spans: Any, data: bytes) -> None:
            self.puts += 1
            if self.puts == 1:
                raise OSError(28, "No space left on device")
            super().put(key, spans, data)

    store = Late()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", JournalWarning)
        plist((square(x) for x in range(N)), journal=Journal(store, "warn", every=0.0),
              schedule="static")  # fmt: skip
    together(len(store._kept.get(CALLS, ())) == (WORLD.rank == 0), f"{store._kept.keys()}")


def test_a_journal_that_cannot_be_is_told_on_all_ranks(where: Path) -> None:
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_text("not a folder")
    error = raised(lambda: plist((x for x in range(N)), journal=where), JournalError)
    assert "is a file" in str(error)
    WORLD.Barrier()


def test_a_verb_in_an_item_keeps_nothing(where: Path) -> None:
    def inner(x: int) -> int:
        return psum(y for y in range(x))  # type: ignore[no-any-return]  # as all verbs

    with options(journal=kept(where)):
        holds(plist(inner(x) for x in range(N)), [x * (x - 1) // 2 for x in range(N)])
    together(len(kept(where).known()) == 1, "more than one call")


def test_all_ranks_have_to_name_the_same_journal(where: Path) -> None:
    if WORLD.size > 1:
        own = where / str(WORLD.rank)
        raised(lambda: plist((x for x in range(N)), journal=own), RuntimeError)


def rows(xs: Iterable[int]) -> Iterator[int]:
    yield from xs


def test_a_stream_that_is_searched(where: Path) -> None:
    for _ in range(2):
        holds(pany((x == 77 for x in rows(range(N))), journal=kept(where)), True)
    assert exactly(1.0) != exactly(1)
