"""root="stay": values that lie on the ranks are, together, those of the serial comprehension."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from functools import reduce
from importlib import import_module
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpi4py import MPI

from mpicomp import (
    Block,
    BlockCyclic,
    CollectiveMismatch,
    ComprehensionError,
    Cyclic,
    Distributed,
    OptionError,
    TransportError,
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
from mpicomp.wire import transport
from tests.mpi.laws import exactly, holds, on_root, raised, together

WORLD = MPI.COMM_WORLD


def stay(verb: Callable[..., Any], gen: Iterable[Any], **more: Any) -> Any:
    """The value of a verb, left on the ranks."""
    d = verb(gen, root="stay", **more)
    assert isinstance(d, Distributed)
    return d


def is_whole(d: Any, expected: list[Any]) -> None:
    """The parts are those of the whole, each position once."""
    __tracebackhide__ = True
    told = WORLD.allgather([(int(i), y) for i, y in zip(d.indices, d.part, strict=True)])
    found = sorted((pair for part in told for pair in part), key=lambda pair: pair[0])
    same = exactly([pair[1] for pair in found]) == exactly(expected)
    together([i for i, _ in found] == [*range(len(expected))] and same, f"{expected} != {found}")
    together(len(d) == len(expected), f"{len(d)}")


def stream(xs: Iterable[Any]) -> Iterator[Any]:
    yield from xs


@pytest.mark.parametrize("schedule", ["static", "static,3", "dynamic,3", "guided,2", "af", "auto"])
def test_parts_make_the_whole(schedule: str) -> None:
    xs = [f"item {x}" for x in range(101)]
    with options(schedule=schedule):
        is_whole(stay(plist, (x * x for x in range(101))), [x * x for x in range(101)])
        d = stay(plist, (x[-2:] for x in xs if x.endswith(("1", "7")) for _ in range(int(x[-2:]))))
        is_whole(d, [x[-2:] for x in xs if x.endswith(("1", "7")) for _ in range(int(x[-2:]))])
        is_whole(stay(plist, (x + 1 for x in stream(range(60)) if x % 3)),
                 [x + 1 for x in range(60) if x % 3])  # fmt: skip
        is_whole(stay(plist, (x for x in range(9) if x > 10)), [])


@settings(max_examples=15)
@given(
    st.lists(st.integers(0, 9), max_size=80),
    st.sampled_from(["static", "static,1", "static,4", "dynamic,3", "auto"]),
    st.sampled_from(["static", "static,1", "static,5"]),
)
def test_one_comprehension_over_the_other(xs: list[int], schedule: str, to: str) -> None:
    with options(schedule=schedule):
        d = stay(plist, (x + 1 for x in xs if x % 3))
        e = stay(plist, ((y, i) for i, y in enumerate(d) for _ in range(y % 2)))
    ys = [x + 1 for x in xs if x % 3]
    expected = [(y, i) for i, y in enumerate(ys) for _ in range(y % 2)]
    is_whole(e, expected)
    holds(plist(y for y in e), expected)
    holds(e.gather(root=None), expected, None)
    moved = e.redistribute(to)
    is_whole(moved, expected)
    holds(plist((y for y in moved if y[0] > 3), root=None), [y for y in expected if y[0] > 3], None)


@pytest.mark.parametrize("schedule", ["static", "static,1", "static,3", "guided"])
def test_verbs_over_what_stays(schedule: str) -> None:
    xs = [(x * 37) % 101 + 0.1 for x in range(90)]
    with options(schedule=schedule):
        d = stay(plist, (x for x in xs))
        a = stay(parray, (x for x in xs))
    for y in (d, a):
        holds(psum(float(x) for x in y), psum((x for x in xs), root=None))
        holds(pmax(float(x) for x in y), max(xs))
        holds(pany(x > 100 for x in y), True)
        texts = [str(x) for x in xs if x > 50]
        holds(preduce(add, (str(float(x)) for x in y if x > 50)), reduce(add, texts))
        holds(pset(int(x) % 5 for x in y), {int(x) % 5 for x in xs})
        holds(plist(float(x) for x in map(abs, y)), xs)
        holds(plist(float(x) for x in filter(None, y)), xs)
        holds(plist((i, float(a + b)) for i, (a, b) in enumerate(zip(y, y, strict=True))),
              [(i, x + x) for i, x in enumerate(xs)])  # fmt: skip
        holds(plist(float(x) for _, x in zip(range(7), y, strict=False)), xs[:7])
        holds(plist(rng.integers(100) + x for x, rng in seeded(d, 3)),
              plist((rng.integers(100) + x for x, rng in seeded(xs, 3)), root=None))  # fmt: skip
        holds(pmin(float(x) for x in y), min(xs))
        holds(pall(x > 0.5 for x in y), False)
        holds(pdict((int(x) % 5, float(x)) for x in y), {int(x) % 5: x for x in xs})
        holds(parray(x for x in y), np.array(xs))
        groups: dict[int, list[float]] = {}
        for x in xs:
            groups.setdefault(int(x) % 5, []).append(x)
        holds(pgroup((int(x) % 5, float(x)) for x in y), groups)
        holds(preduce_by_key(max, ((int(x) % 5, float(x)) for x in y)),
              {key: max(values) for key, values in groups.items()})  # fmt: skip
        got = pfor(x for x in y)
        together((got is None) is (WORLD.rank > 0), f"{got}")
    counts = pcount((int(x) for x in d), root=None)
    assert counts is not None
    together(list(counts) == list(dict.fromkeys(int(x) for x in xs)), str(counts))
    holds(pmap(lambda ys: [2 * y for y in ys], d, batched=True), [2 * x for x in xs])


class Fixed:
    """A value that cannot be sent."""

    def __reduce__(self) -> Any:
        raise AssertionError("sent")


def test_values_do_not_move() -> None:
    d = stay(plist, ((x, WORLD.rank) for x in range(50)), schedule="static,3")
    e = stay(plist, ((*y, WORLD.rank) for y in d), schedule="dynamic,1")
    together(all(was == now for _, was, now in e.part), str(e.part))
    together(list(d.indices) == list(e.indices), "they have other places")
    fixed = stay(plist, (Fixed() for _ in range(20)), schedule="static,3")
    holds(psum(isinstance(y, Fixed) for y in fixed), 20)
    some = stay(plist, (y for i, y in enumerate(fixed) if i % 3))
    holds(plist(type(y).__name__ for y in filter(None, some)), ["Fixed"] * 13)
    raised(lambda: fixed.gather(root=WORLD.size - 1) if WORLD.size > 1 else [][0])


def test_values_go_when_nobody_has_them_any_more() -> None:
    for make in (lambda x: {x}, lambda x: np.arange(x)):
        d = stay(plist, (make(x) for x in range(40)), schedule="static,2")
        e = stay(plist, (len(y) for y in d))
        holds(psum(y for y in e), psum((len(make(x)) for x in range(40)), root=None))
        held = [weakref.ref(y) for y in d.part]
        del d
        gc.collect()
        together(all(one() is None for one in held), "still there")
        together(len(e) == 40, repr(e))


def test_a_whole_is_not_sent() -> None:
    d = stay(plist, (x for x in range(40)))
    for refused in (pickle.dumps, deepcopy):
        with pytest.raises(TransportError, match=r"send d\.part"):
            refused(d)
    if WORLD.size > 1:
        error = raised(lambda: plist((d for _ in range(9)), schedule="static"), TransportError)
        assert "send d.part" in str(error)


def test_a_communicator_that_is_no_more() -> None:
    if WORLD.size == 1:
        return
    comm = WORLD.Dup()
    d = stay(plist, (x for x in range(9)), comm=comm)
    holds(d.gather(), [*range(9)])
    comm.Free()
    raised(d.gather, ComprehensionError)


def test_arrays_stay_arrays() -> None:
    for schedule in ("static", "static,2", "dynamic,3"):
        d = stay(parray, ([x, x * x] for x in range(17)), dtype="i4", schedule=schedule)
        whole = np.array([[x, x * x] for x in range(17)], "i4")
        together(d.part.dtype == np.int32 and d.part.shape[1:] == (2,), f"{d.part.shape}")
        holds(d.gather(root=None), whole, None)
        holds(d.redistribute(Cyclic(17, WORLD.size)).gather(), whole)
        odd = stay(parray, (row[1] for row in d if row[0] % 2), dtype=int, schedule=schedule)
        holds(odd.gather(), np.array([x * x for x in range(17) if x % 2]))
    raised(lambda: stay(parray, (range(x) for x in range(9))), ValueError)


@pytest.mark.parametrize("make", [Block, Cyclic, lambda n, p: BlockCyclic(n, p, 3)])
def test_redistributing_gives_what_the_formula_says(make: Callable[[int, int], Any]) -> None:
    to = make(40, WORLD.size)
    d = stay(plist, (x * x for x in range(40)), schedule="guided").redistribute(to)
    mine = [int(i) for i in to.indices(WORLD.rank)]
    together(list(map(int, d.indices)) == mine and d.part == [i * i for i in mine], repr(d))
    told = f"<{len(mine)} of 40 values, on rank {WORLD.rank} of {WORLD.size}>"
    together(repr(d) == told, repr(d))
    if mine:
        assert d[mine[-1]] == mine[-1] ** 2
        assert d[mine[-1] - 40] == mine[-1] ** 2
    others = [i for i in range(40) if i not in mine]
    if others:
        with pytest.raises(IndexError, match="another rank"):
            d[others[0]]


def test_the_distributed_array_protocol() -> None:
    d = stay(parray, ([x, 1.5] for x in range(10)), schedule="static")
    told = d.__distarray__()
    span = Block(10, WORLD.size).dim_data(WORLD.rank)
    assert told["__version__"] == "0.10.0"
    assert told["dim_data"][0] == span
    assert told["dim_data"][1]["size"] == 2
    assert told["buffer"] is d.part
    with pytest.raises(OptionError, match="redistribute"):
        stay(plist, (x for x in range(3))).__distarray__()


# files


def shared(tmp_path: Path) -> Path:
    return Path(WORLD.bcast(str(tmp_path)))


@pytest.mark.parametrize("schedule", ["static", "static,1", "dynamic,3"])
def test_one_npy_of_all_parts(
    schedule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "LIMIT", 64)
    path = shared(tmp_path) / f"{schedule}.npy"
    rows = np.arange(90).reshape(30, 3) / 7
    stay(parray, ([a, b, c] for a, b, c in rows.tolist()), schedule=schedule).to_npy(path)
    together(np.array_equal(np.load(path), rows), "another array was written")
    stay(plist, (x for x in range(100) if x % 9 == 4), schedule=schedule).to_npy(path)
    together(np.load(path).tolist() == [*range(4, 100, 9)], "another list was written")
    nothing: list[float] = []
    stay(parray, (x for x in nothing)).to_npy(path)
    together(np.load(path).shape == (0,), "nothing is something")
    together(on_root(lambda: [p.name for p in path.parent.iterdir()]) == [path.name], "left over")


@pytest.mark.parametrize("kind", ["f4", ">f8", "c16", "?", "U5", "M8[s]", "i4,f8"])
def test_one_npy_of_any_kind(kind: str, tmp_path: Path) -> None:
    path = shared(tmp_path) / "rows.npy"
    for n, schedule in ((1, "static,1"), (2, "static"), (11, "static,2"), (11, "dynamic,3")):
        if "," in kind:
            rows = np.zeros((n, 2, 3), kind)
            rows["f1"] = 1.5
        else:
            rows = (np.arange(n * 6).reshape(n, 2, 3) % 7).astype(kind)
        stay(parray, (row for row in rows), dtype=rows.dtype, schedule=schedule).to_npy(path)
        got = np.load(path)
        together(got.dtype == rows.dtype and np.array_equal(got, rows), f"{got!r}")


def test_one_hdf5_of_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LIMIT", 64)
    h5py = import_module("h5py")
    path = shared(tmp_path) / "all.h5"
    stay(plist, (x / 3 for x in range(100) if x % 9 == 4)).to_hdf5(path, "thirds")
    with h5py.File(path, "r") as file:
        got = file["thirds"][:].tolist()
    together(got == [x / 3 for x in range(4, 100, 9)], str(got))
    for n, kind in ((1, "f4"), (2, "c16"), (23, "i2"), (0, "f8")):
        rows = np.arange(n * 6).reshape(n, 2, 3).astype(kind)
        d = stay(parray, (row for row in rows), dtype=kind, schedule="static,2")
        d.to_hdf5(path)
        with h5py.File(path, "r") as file:
            back = file["data"][:]
        together(back.dtype == rows.dtype and np.array_equal(back, d.gather(root=None)), f"{back}")


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    d = stay(plist, (x for x in range(30)))
    raised(lambda: d.to_npy(shared(tmp_path) / "missing" / "a.npy"), FileNotFoundError)
    path = shared(tmp_path) / "a.npy"
    raised(lambda: stay(plist, (object() for _ in range(30))).to_npy(path), TypeError)
    raised(lambda: stay(plist, ([0] * x for x in range(30))).to_npy(path))
    raised(lambda: d.to_hdf5(path / "b.h5"), OSError)


# errors


def test_errors_are_those_of_the_serial_comprehension() -> None:
    d = stay(plist, (x for x in range(40) if x % 2), schedule="static,3")
    error = raised(lambda: plist(1 // (y - 21) for y in d), ZeroDivisionError)
    assert "in item 10 (x=21)" in error.__notes__[0]
    got = plist((1 // (y - 21) for y in d), errors="return", root=None)
    assert got is not None
    together([type(y) for y in got].index(ZeroDivisionError) == 10, str(got))
    e = stay(plist, (1 // (y - 21) for y in d), errors="return")
    back = e.gather(root=None)
    together(type(back[10]) is ZeroDivisionError and "item 10" in back[10].__notes__[0], str(back))
    raised(lambda: stay(plist, (1 // (y - 21) for y in d)), ZeroDivisionError)


def test_calls_that_cannot_be() -> None:
    d = stay(plist, (x for x in range(40)))
    e = stay(plist, (x for x in range(41) if x), schedule="static,1")
    raised(lambda: psum((x for x in range(3)), root="stay"), OptionError)
    raised(lambda: plist((x for x in range(3)), root="here"), OptionError)
    raised(lambda: d.redistribute(Block(3, WORLD.size)), OptionError)
    raised(lambda: d.gather(root=99), OptionError)
    if WORLD.size == 1:
        return
    raised(lambda: plist(a + b for a, b in zip(d, e, strict=True)), ComprehensionError)
    raised(lambda: plist(a + b for a, b in zip(d, [1] * 40, strict=True)), ComprehensionError)
    raised(lambda: plist((x for x in d), comm=WORLD.Dup()), ComprehensionError)
    raised(lambda: plist(sum(plist(y for y in d) or ()) for x in range(4)), ComprehensionError)
    raised(lambda: [*d], ComprehensionError)
    raised(lambda: plist(y for y in (e if WORLD.rank else d)), CollectiveMismatch)
    raised(lambda: e.gather() if WORLD.rank else d.redistribute("static"), CollectiveMismatch)


def test_what_stays_can_be_checked_on_another_rank() -> None:
    d = stay(plist, (x for x in range(60)), schedule="static,2")
    holds(plist((y + 1 for y in d), check="shuffle"), [*range(1, 61)])
    holds(plist((i + y for i, y in enumerate(d)), check="shuffle"), [*range(0, 120, 2)])


def test_a_journal_gives_back_what_stays(tmp_path: Path) -> None:
    path = str(shared(tmp_path) / "run.mpj")
    for _ in range(2):  # the second time nothing is computed
        d = stay(plist, (x * x for x in range(50)), schedule="static,3", journal=path)
        is_whole(d, [x * x for x in range(50)])
        together(d.decomposition is None, "the formula says where they were computed, not are")
    raised(lambda: plist((y for y in d), journal=path), OptionError)
