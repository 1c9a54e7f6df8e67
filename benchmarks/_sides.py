"""Who is measured: each side is a context in which its way to do a case can be called.

A side gives, on the root, a function of no arguments that makes the value. On the other ranks
it gives the same function if all ranks must call it, and None if there is nothing to call.
What pools need to start is done on the way in, with one small map, and is not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from _cases import Case, spans

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

Run = Callable[[], Any]
Map = Callable[[Callable[[Any], Any], list[Any]], list[Any]]
Side = Callable[[Case, int, "Intracomm | None"], AbstractContextManager[Run | None]]


def over_spans(mapped: Map, case: Case, workers: int) -> Run:
    """Warm the pool up, and give the way it does the case: four spans for each worker."""
    pieces = spans(case.n, 4 * workers)
    mapped(case.work.part, [(0, 1)] * workers)
    return lambda: case.work.join(mapped(case.work.part, pieces))


@contextmanager
def serial(case: Case, workers: int, comm: Intracomm | None) -> Iterator[Run | None]:
    """The comprehension, on the root; the others have nothing to do."""
    yield (lambda: case.work.serial(case.n)) if comm is None or comm.rank == 0 else None


@contextmanager
def mpicomp(case: Case, workers: int, comm: Intracomm | None) -> Iterator[Run | None]:
    """The comprehension in mpicomp's verb."""
    if comm:
        comm.Barrier()
    yield lambda: case.work.shared(case.n)


@contextmanager
def by_hand(case: Case, workers: int, comm: Intracomm | None) -> Iterator[Run | None]:
    """Typed buffers and one Gatherv."""
    assert comm
    comm.Barrier()
    yield lambda: case.work.by_hand(comm, case.n)


@contextmanager
def futures(case: Case, workers: int, comm: Intracomm | None) -> Iterator[Run | None]:
    """mpi4py.futures: rank 0 hands out, the others work; here it polls without sleeping."""
    from mpi4py.futures import MPICommExecutor

    executor: AbstractContextManager[Any] = MPICommExecutor(comm, root=0, backoff=0)
    with executor as pool:
        yield over_spans(lambda f, xs: list(pool.map(f, xs)), case, workers) if pool else None


@contextmanager
def schwimmbad(case: Case, workers: int, comm: Intracomm | None) -> Iterator[Run | None]:
    """schwimmbad: rank 0 hands out, the others work."""
    try:
        pool = import_module("schwimmbad").MPIPool(comm)
    except SystemExit:  # how a worker's constructor ends, when its work is done
        yield None
        return
    yield over_spans(pool.map, case, workers)
    pool.close()
    pool.workers.clear()  # it closes itself again at exit: nobody would listen


@contextmanager
def multiprocessing_pool(case: Case, workers: int, comm: Intracomm | None) -> Iterator[Run | None]:
    """A pool of the standard library."""
    from multiprocessing import Pool

    with Pool(workers) as pool:
        yield over_spans(lambda f, xs: pool.map(f, xs, chunksize=1), case, workers)


@contextmanager
def process_pool(case: Case, workers: int, comm: Intracomm | None) -> Iterator[Run | None]:
    """The executor of the standard library."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers) as pool:
        yield over_spans(lambda f, xs: list(pool.map(f, xs)), case, workers)


@contextmanager
def joblib(case: Case, workers: int, comm: Intracomm | None) -> Iterator[Run | None]:
    """joblib, with its own processes (loky)."""
    parallel = import_module("joblib")
    with parallel.Parallel(n_jobs=workers) as pool:
        yield over_spans(lambda f, xs: pool(map(parallel.delayed(f), xs)), case, workers)


BOTH: dict[str, Side] = {"serial": serial, "mpicomp": mpicomp}
GROUPS: dict[str, dict[str, Side]] = {
    "ranks": BOTH
    | {"mpi4py by hand": by_hand, "mpi4py.futures": futures, "schwimmbad": schwimmbad},
    "pools": BOTH
    | {
        "multiprocessing.Pool": multiprocessing_pool,
        "ProcessPoolExecutor": process_pool,
        "joblib": joblib,
    },
    "1 rank": BOTH,
    "plain python": BOTH,
    "fresh processes": BOTH,
}
ON_RANKS = {"ranks", "1 rank"}
OPTIONAL = {"schwimmbad", "joblib"}


def present(name: str) -> bool:
    """Tell whether the package that a side needs is installed."""
    return name not in OPTIONAL or find_spec(name) is not None
