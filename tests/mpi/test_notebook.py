"""A notebook and its engines: the serial value, one readable error, and nothing left behind.

Each test drives engines of its own, of two ranks; so it runs where it is alone, with both MPIs.
"""

from __future__ import annotations

import builtins
import os
import signal
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import reduce
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil  # type: ignore[import-untyped]  # it has no annotations
import pytest
from mpi4py import MPI

import mpicomp
from mpicomp.errors import (
    CollectiveMismatch,
    ComprehensionError,
    LaunchError,
    MpicompError,
    OptionError,
    SideEffectWarning,
    TransportError,
)
from mpicomp.notebook import Session, connect, starting
from tests.launch import NEEDED, OF_A_JOB, environment, mpi_beside, run_python
from tests.mpi.laws import exactly

pytestmark = [
    pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="one notebook drives the engines"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
PATIENCE = 60  # seconds; what takes as long hangs


@pytest.fixture(scope="module", autouse=True)
def outside() -> Iterator[None]:
    """As if no launcher had started this process: a notebook is not a rank."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(OF_A_JOB):
            del os.environ[name]
    os.environ.update(environment(), **NEEDED[mpi_beside()])
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def mpi(outside: None) -> Iterator[Session]:
    with connect(n=2) as session:
        yield session


class Point:
    """Of a module, which the engines import."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]  # can be changed


def numbers(until: int) -> Iterator[int]:
    yield from range(until)


def same(got: Any, expected: Any) -> None:
    assert exactly(got) == exactly(expected)


def usable(mpi: Session) -> None:
    """The next call works."""
    same(mpi.plist(x * x for x in range(20)), [x * x for x in range(20)])


def test_every_verb_gives_what_the_serial_line_gives(mpi: Session) -> None:
    xs = [3, 1, 4, 1, 5, 9, 2, 6]
    rows = np.arange(12.0).reshape(6, 2)
    same(mpi.plist(x * x for x in range(1000) if x % 3), [x * x for x in range(1000) if x % 3])
    same(mpi.plist((x, y) for x in xs for y in range(x)), [(x, y) for x in xs for y in range(x)])
    same(mpi.pset(x % 4 for x in xs), {x % 4 for x in xs})
    same(mpi.pdict((x % 3, x) for x in xs), {x % 3: x for x in xs})
    same(mpi.parray((x + 1 for x in rows), dtype=np.float32), (rows + 1).astype(np.float32))
    same(mpi.psum(x for x in range(10**5)), sum(range(10**5)))
    same(mpi.psum(r for r in rows), sum(rows))
    same(mpi.pmin((x for x in xs), key=lambda x: -x), min(xs, key=lambda x: -x))
    same(mpi.pmax((x for x in ""), default="none"), "none")
    assert mpi.pany(x == 77 for x in range(10**12)) is True
    assert mpi.pall(x < 77 for x in chain(range(50), range(100))) is False
    joined = reduce(lambda a, b: a + b, ([x] for x in xs), [0])
    same(mpi.preduce(lambda a, b: a + b, ([x] for x in xs), [0]), joined)
    same(mpi.pmap(pow, xs, range(8)), [*map(pow, xs, range(8))])
    same(mpi.pcount(x % 3 for x in xs), Counter(x % 3 for x in xs))
    same(mpi.pgroup((x % 2, x) for x in range(5)), {0: [0, 2, 4], 1: [1, 3]})
    same(mpi.preduce_by_key(max, ((x % 2, x) for x in range(5))), {0: 4, 1: 3})
    assert mpi.pfor(x for x in xs) == (len(xs), 0, [])
    same(mpi.pmap(lambda c: [x + 1 for x in c], rows, batched=True), [*(rows + 1)])


def test_any_source_and_any_option(mpi: Session) -> None:
    rows = np.arange(30.0).reshape(10, 3)
    sources: list[Callable[[], Iterable[Any]]] = [
        lambda: range(10, 0, -3), lambda: [Point(1), None, "x"], lambda: rows, lambda: "text",
        lambda: {1: 2, 3: 4}.items(), lambda: zip("abc", rows, strict=False),
        lambda: enumerate([5, 6]), lambda: map(Point, [1, 2]), lambda: numbers(7),
        lambda: filter(None, [0, 1, 2]), lambda: mpicomp.product([1, 2], "ab"), lambda: (),
    ]  # fmt: skip
    options: list[Any] = [
        {}, {"schedule": "static,1"}, {"schedule": "dynamic,1", "root": 1},
        {"dispatch": "master", "schedule": "guided", "root": None},
    ]  # fmt: skip
    for k, source in enumerate(sources):
        same(mpi.plist((x for x in source()), **options[k % 4]), [*source()])
    draws = [mpi.plist(r.random() for _, r in mpicomp.seeded(s, 7)) for s in (range(3), numbers(3))]
    same(draws, 2 * [mpicomp.plist(r.random() for _, r in mpicomp.seeded(range(3), 7))])
    same(mpi.plist(1 // x for x in range(1, 3)), [1, 0])
    kept = mpi.plist((12 // x for x in (1, 0, 2)), errors="return", schedule="static")
    assert kept is not None
    assert [kept[0], kept[2]] == [12, 6]
    assert isinstance(kept[1], ZeroDivisionError)
    assert "in item 1 (x=0)" in kept[1].__notes__[0]
    with mpicomp.options(comm=mpi):  # type: ignore[arg-type]  # it stands for its ranks
        same(mpicomp.plist(x for x in range(3)), [0, 1, 2])


def test_arrays_that_come_can_be_written_to(mpi: Session) -> None:
    big = np.ones(10**5)

    def changed(k: int) -> Any:
        big[k] = 2.0
        return big * k

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SideEffectWarning)
        got = mpi.plist((changed(k) for k in range(3)), schedule="static,1")
    got[0][0] = 5.0
    assert (got[2][3:] == 2).all()
    assert (big == 1).all(), "the notebook's own is another"


def test_what_is_defined_in_a_cell_travels_and_comes_back(mpi: Session) -> None:
    scale = 3

    class Pair:
        def __init__(self, x: Any) -> None:
            self.x = x

        def twice(self) -> Any:
            return even(self.x) and scale * self.x

    class CellError(Exception):
        def __init__(self, x: int, why: str) -> None:
            super().__init__(x)
            self.why = why

    def even(x: int) -> bool:
        return x == 0 or odd(x - 1)

    def odd(x: int) -> bool:
        return x != 0 and even(x - 1)

    method = Pair.twice
    pairs = mpi.plist((Pair(p.x + scale) for p in [Pair(1), Pair(2)]), schedule="static")
    assert [type(pair) for pair in pairs] == [Pair, Pair]
    assert [pair.x for pair in pairs] == [4, 5]
    assert Pair.twice is method
    same(mpi.plist(pair.twice() for pair in pairs), [12, False])

    def fails(x: int) -> int:
        if x == 5:
            raise CellError(x, "because")
        return x

    with pytest.raises(CellError) as raised:
        mpi.plist((fails(x) for x in range(8)), schedule="static")
    assert raised.value.args == (5,)
    assert raised.value.why == "because"
    kept = mpi.plist((fails(x) for x in range(8)), schedule="static", errors="return")
    assert type(kept[5]) is CellError
    usable(mpi)


class Counted:
    """Counts on each process how many of them were unpickled there."""

    def __reduce__(self) -> Any:
        return counted, ()


def counted() -> Counted:
    vars(builtins)["_unpickled"] = vars(builtins).get("_unpickled", 0) + 1
    return Counted()


def test_the_source_goes_to_the_root_alone(mpi: Session) -> None:
    source = [Counted() for _ in range(10)]
    assert mpi.psum((1 for _ in source), schedule="static", root=1) == 10
    got = mpi.view.apply_async(lambda: vars(builtins).pop("_unpickled", 0)).get(PATIENCE)
    assert got == [5, 10], "rank 0 has its own half alone, from the root"


def test_an_error_is_the_serial_one_with_its_place(mpi: Session) -> None:
    bound = 4

    def f(x: int) -> float:
        return 1 / (x - bound)  # this line fails

    with pytest.raises(ZeroDivisionError) as raised:
        mpi.plist((f(x) for x in range(10)), schedule="static,1")
    notes = "\n".join(raised.value.__notes__)
    assert "in item 4 (x=4) on rank 0" in notes
    assert "mpi.plist((f(x) for x in range(10))" in notes
    assert "this line fails" in str(raised.value.__cause__)
    usable(mpi)


def test_each_bad_call_is_told_and_the_next_one_works(mpi: Session) -> None:
    lock = threading.Lock()

    def broken() -> Iterator[int]:
        yield 1
        yield 2
        raise EOFError("in the source")

    bad: list[tuple[type[BaseException], str, Callable[[], Any]]] = [
        (ComprehensionError, "generator expression", lambda: mpi.plist([1, 2])),
        (OptionError, "root=2 is outside", lambda: mpi.plist((x for x in "ab"), root=2)),
        (OptionError, "no option is called", lambda: mpi.plist((x for x in "ab"), rot=2)),
        (TransportError, "lock", lambda: mpi.plist(lock.locked() for _ in range(3))),
        (TransportError, "lock", lambda: mpi.plist(x for x in [lock])),
        (TransportError, "lock", lambda: mpi.plist(threading.Lock() for _ in range(3))),
        (EOFError, "in the source", lambda: mpi.plist(x for x in broken())),
        (ZeroDivisionError, "zero", lambda: mpi.plist(1 // (x - 1) for x in broken())),
        (OptionError, "n= starts", lambda: connect(mpi.client, n=2)),
        (OptionError, "connect takes", lambda: connect("default")),
    ]  # fmt: skip
    for kind, text, call in bad:
        with pytest.raises(kind, match=text):
            call()
    assert mpi.pany(x == 2 for x in broken()) is True, "any stops before the error"
    seen: list[int] = []
    with pytest.warns(SideEffectWarning, match="seen"):
        mpi.plist(seen.remove(x) or x for x in ())  # type: ignore[func-returns-value, var-annotated]  # bad
    usable(mpi)


def test_verbs_inside_of_items_run_serially(mpi: Session) -> None:
    got = mpi.plist((mpi.psum(y for y in range(x)) for x in range(6)), schedule="static,1")
    same(got, [sum(range(x)) for x in range(6)])


def test_progress_is_shown_here_and_changes_nothing(
    mpi: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    def slow(x: int) -> int:
        time.sleep(0.02)
        return x

    same(mpi.plist((slow(x) for x in range(60)), progress=True, schedule="dynamic"), [*range(60)])
    shown = capsys.readouterr().err
    assert "plist" in shown
    assert "ranks busy" in shown


def test_options_that_keep_or_check(mpi: Session, tmp_path: Path) -> None:
    file = tmp_path / "run.mpj"
    for _ in range(2):
        same(mpi.plist((x * x for x in range(50)), journal=str(file)), [x * x for x in range(50)])
    assert file.exists()
    same(mpi.plist((x for x in range(50)), check="shuffle", retries=1), [*range(50)])
    with pytest.raises(OptionError, match="stay"):
        mpi.plist((x for x in range(5)), root="stay")


def test_what_items_print_is_printed_here(
    mpi: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    mpi.plist((print("item", x) for x in range(2)), schedule="static")
    assert capsys.readouterr().out == "[0] item 0\n[1] item 1\n"


def test_a_record_and_the_engines_are_shown(mpi: Session) -> None:
    with mpi.record() as rec:
        mpi.plist((x for x in range(100)), schedule="static,10")
        mpi.psum(x for x in range(5))
    assert [call.verb for call in rec.calls] == ["plist", "psum"]
    assert rec.calls[0].items.sum() == 100
    assert "data:image/png" in rec._repr_html_()
    assert str(psutil.Process().pid) not in mpi.info._repr_html_()
    for engine, about in mpi.info.engines:
        assert f"<td>{engine}</td>" in mpi._repr_html_()
        assert f"<td>{about.pid}</td>" in mpi._repr_html_()
    assert "2 MPI ranks" in repr(mpi)


@pytest.mark.parametrize("schedule", ["static", "dynamic,1", "auto"])
def test_stop_stops_the_work_and_the_engines_stay(
    mpi: Session, schedule: str, tmp_path: Path
) -> None:
    mark = tmp_path / "started"

    def slow(x: int) -> int:
        mark.touch()
        time.sleep(0.05)
        return x

    before = mpi.view.apply_async(os.getpid).get(PATIENCE)
    threading.Thread(target=_press, args=(mark,)).start()
    with pytest.raises(KeyboardInterrupt):
        mpi.plist((slow(x) for x in range(10**6)), schedule=schedule, effects="ignore")
    for _ in range(3):
        usable(mpi)
    assert mpi.view.apply_async(os.getpid).get(PATIENCE) == before, "the engines have stayed"


def _press(mark: Path) -> None:
    while not mark.exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)


CELLS: list[tuple[str, dict[int, type]]] = [  # a cell, and on which ranks it ends with what
    ("from mpicomp import plist\nfrom mpi4py import MPI\nrank = MPI.COMM_WORLD.rank", {}),
    ("1 / rank\nplist(x for x in range(9))", {0: ZeroDivisionError, 1: CollectiveMismatch}),
    ("if rank == 0: plist(x for x in range(9))", {0: CollectiveMismatch}),
    ("plist(1 / (x - 5) for x in range(9))", {0: ZeroDivisionError, 1: ZeroDivisionError}),
    ("for k in range(40):\n  if k * rank == 30: 1 / 0\n  plist(x for x in range(9))",
     {0: CollectiveMismatch, 1: ZeroDivisionError}),
    ("half = MPI.COMM_WORLD.Split(0)\n1 / rank\nplist((x for x in range(9)), comm=half)",
     {0: ZeroDivisionError, 1: CollectiveMismatch}),
    ("plist((x for x in range(9)), comm=half)", {}),
    ("if rank: plist((x for x in range(9)), comm=half)", {1: CollectiveMismatch}),
    ("plist((x for x in range(9)), comm=half)", {}),
    ("plist(x for x in range(9)) if rank else plist(2 * x for x in range(9))",
     {0: CollectiveMismatch, 1: CollectiveMismatch}),
]  # fmt: skip


class Strangers(NamedTuple):
    """Engines that were not started by `connect`, and know nothing of us."""

    cluster: Any
    client: Any
    refused: list[str]  # what `connect` said: of engines without MPI, of those beside others


@pytest.fixture(scope="module")
def strangers(outside: None) -> Iterator[Strangers]:
    """Two engines without MPI, 0 and 1; then 2 and 3, the ranks of an MPI job; then these alone."""
    cluster, client = starting.started(2, "local")
    try:
        refused = [str(raised_by(lambda: connect(client)))]
        (local,) = cluster.engines
        cluster.engine_launcher_class = "mpi"
        cluster.start_engines_sync(2)
        client.wait_for_engines(4, timeout=PATIENCE, interactive=False)
        refused.append(str(raised_by(lambda: connect(client))))
        cluster.stop_engines_sync(local)
        ended = time.monotonic() + PATIENCE
        while len(client.ids) > 2 and time.monotonic() < ended:
            time.sleep(0.05)
        yield Strangers(cluster, client, refused)
    finally:
        client.close()
        starting.end(cluster)


def raised_by(call: Callable[[], Any]) -> LaunchError:
    with pytest.raises(LaunchError) as raised:
        call()
    return raised.value


def test_a_cell_on_the_engines_never_freezes(strangers: Strangers) -> None:
    """The engines know nothing of us before: the first cells are the user's own."""
    client = strangers.client
    engines, _ = starting.ranked(client)
    view = client[engines]
    for cell, failing in CELLS:
        ended = executed(view, cell, engines)
        assert {rank: name for rank, (name, _) in ended.items()} == {
            rank: kind.__name__ for rank, kind in failing.items()
        }, (cell, ended)
        told = [text for _, text in ended.values() if len(text.splitlines()) > 2]
        assert len(told) <= 1, "one error, and not one for each rank"
        for engine in engines:  # of one engine alone, then of the other
            assert executed(client[[engine]], "alone = 1 / 0", engines)
        assert not executed(view, "got = plist(x * x for x in range(9))", engines)
        assert view["got"] == [[x * x for x in range(9)], None]
    with Session(client, None, mine=False) as mpi:
        usable(mpi)
        executed(view, "1 / rank\nplist(x for x in range(9))", engines)
        usable(mpi)


def executed(view: Any, cell: str, engines: list[int]) -> dict[int, tuple[str, str]]:
    """By rank where *cell* fails: the error's name, and its traceback."""
    sent = view.execute(cell, silent=False, block=False)
    sent.wait(PATIENCE)
    assert sent.ready(), f"frozen: {cell}"
    failed = getattr(sent.exception(), "elist", [])
    return {engines.index(info["engine_id"]): (name, text) for name, _, text, info in failed}


def test_engines_that_run_already(strangers: Strangers) -> None:
    alone, beside_others = strangers.refused
    assert "each is rank 0 of 1" in alone
    assert "--engines=mpi" in alone
    assert "not all ranks of one MPI job" in beside_others
    for where in (strangers.client, strangers.client[:], strangers.cluster):
        with connect(where) as mpi:
            assert sorted(mpi.engines) == [2, 3], "ids are not ranks"
            usable(mpi)
            same(mpi.plist((x for x in range(9)), root=1), [*range(9)])
            ranks = mpi.view.apply_async(lambda: __import__("mpicomp").world().rank)
            same(ranks.get(PATIENCE), [0, 1])


def test_engines_that_die_are_told_of_and_started_again(mpi: Session) -> None:
    """The last one that uses these engines."""
    pids = processes(mpi)
    with pytest.raises(LaunchError, match="restart"):
        mpi.plist((os._exit(1) if x == 3 else x for x in range(4)), schedule="static")
    mpi.restart()
    usable(mpi)
    pids += processes(mpi)
    mpi.close()
    assert_gone(pids)
    with pytest.raises(MpicompError):
        mpi.plist(x for x in range(3))


def processes(mpi: Session) -> list[psutil.Process]:
    """The controller, the engines, and all that they started."""
    controller = psutil.Process(mpi._cluster.controller.pid)
    engines = [psutil.Process(about.pid) for _, about in mpi.info.engines]
    return [p for top in (controller, *engines) for p in (top, *top.children(recursive=True))]


def assert_gone(pids: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(pids, timeout=PATIENCE)
    assert not alive


USER = """if True:
    import sys, threading, time
    from pathlib import Path
    from jupyter_client.manager import KernelManager

    FIRST = '''
    import os, psutil, time
    from mpicomp.notebook import connect
    mpi = connect(n=2)
    pids = [about.pid for _, about in mpi.info.engines]
    controller = psutil.Process(mpi._cluster.controller.pid)
    print(*pids, controller.pid, *(child.pid for child in controller.children(recursive=True)))
    '''
    LONG = '''
    def slow(x):
        open("started", "w").close()
        time.sleep(0.05)
        return x
    mpi.plist(slow(x) for x in range(10**6))
    '''
    AFTER = '''
    assert [about.pid for _, about in mpi.info.engines] == mpi.view.apply_sync(os.getpid) == pids
    print(mpi.psum(x for x in range(100)))
    '''
    manager = KernelManager(kernel_name="python3", transport="ipc")  # no port to lose
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)

    def cell(code):
        reply = client.execute_interactive(code, timeout=60)["content"]
        print(reply.get("ename", "no error"), flush=True)

    def press():
        while not Path("started").exists():
            time.sleep(0.01)
        manager.interrupt_kernel()

    cell(FIRST)
    threading.Thread(target=press, daemon=True).start()
    cell(LONG)
    cell(AFTER)
    manager.shutdown_kernel(now=True)  # it is killed, and can tell nobody
"""


def test_the_stop_button_of_a_real_notebook_and_the_death_of_its_kernel(
    outside: None, tmp_path: Path
) -> None:
    done = run_python(["-c", USER], env=NEEDED[mpi_beside()], cwd=tmp_path)
    pids, *rest = done.stdout.splitlines()
    assert rest == ["no error", "KeyboardInterrupt", "4950", "no error"], done.stderr
    assert len(pids.split()) > 3  # the controller has schedulers
    assert_gone([psutil.Process(int(pid)) for pid in pids.split() if psutil.pid_exists(int(pid))])
