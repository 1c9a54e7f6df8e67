"""`Pool`: multiprocessing's pool, on the ranks.

Rules of this file: behaves as `multiprocessing.pool.Pool` is documented, on top of `MPIExecutor`,
which is imported when the first pool is made.
"""

from __future__ import annotations

import sys
import warnings
from operator import index
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn, Self

    from mpi4py.MPI import Intracomm

    from mpicomp.fronts.executor import MPIExecutor
    from mpicomp.fronts.results import AsyncResult, Imap


class Pool:
    """The pool of `multiprocessing`, whose workers are the other ranks.

    For code that has a ``pool=`` or ``workers=pool.map``; and for what used schwimmbad's MPIPool.

    Collective: every rank of *comm* makes one.  Rank *root* is the master; the others serve in
    `wait`.  A worker that comes to anything that only a master can do, such as `map`, serves too,
    and then ends its program, as with schwimmbad.

    Parameters
    ----------
    processes : int, optional
        How many of the ranks work (threads, where there is one rank); by default all (one).
    initializer : callable, optional
        Called once by each worker with *initargs*, before its first task.
    initargs : tuple
    maxtasksperchild : int, optional
        Of no effect: a rank cannot be started anew.
    comm : mpi4py.MPI.Intracomm, optional
    root : int, default 0
    root_computes : bool, default False
        Whether a thread of the master computes as well.

    Attributes
    ----------
    rank : int
    size : int
        Workers.

    Examples
    --------
    >>> from mpicomp import Pool
    >>> with Pool() as pool:
    ...     if pool.is_master():
    ...         print(pool.map(abs, [-1, 2, -3]), pool.starmap(pow, [(2, 3), (3, 2)]))
    ...     else:
    ...         pool.wait()
    [1, 2, 3] [8, 9]
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        *,
        comm: Intracomm | None = None,
        root: int = 0,
        root_computes: bool = False,
    ) -> None:
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if maxtasksperchild is not None and (
            not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0
        ):
            raise ValueError("maxtasksperchild must be a positive int or None")
        from mpicomp.fronts.executor import MPIExecutor

        self._executor = MPIExecutor(
            processes, initializer, tuple(initargs), comm=comm, root=root,
            root_computes=root_computes,
        )  # fmt: skip
        self._open = True

    # who is who

    @property
    def rank(self) -> int:
        return self._executor.rank

    @property
    def size(self) -> int:
        return self._executor.num_workers

    @staticmethod
    def enabled() -> bool:
        """Whether there are other ranks to work."""
        from mpicomp.wire.world import world

        return world().size > 1

    def is_master(self) -> bool:
        """Whether this rank gives out the work."""
        return self._executor.is_master()

    def is_worker(self) -> bool:
        """Whether it does it."""
        return not self.is_master()

    def wait(self, callback: Callable[[], object] | None = None) -> None:
        """Work until the master closes the pool; then call *callback*.  Nothing on the master."""
        if self.is_worker():
            self._executor.serve()
            if callback is not None:
                callback()

    def _working(self) -> MPIExecutor:
        if self.is_worker():
            self._end()
        if not self._open:
            raise ValueError("Pool not running")
        return self._executor

    def _end(self) -> NoReturn:
        self.wait()
        sys.exit(0)  # what follows is the master's

    # one call

    def apply(
        self, func: Callable[..., Any], args: Iterable[Any] = (), kwds: dict[str, Any] | None = None
    ) -> Any:
        """``func(*args, **kwds)``."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """The same, to be asked for later."""
        from mpicomp.fronts.results import AsyncResult

        future = self._working().submit(func, *args, **(kwds or {}))
        return AsyncResult([future], callback, error_callback, single=True)

    # many

    def map(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
    ) -> list[Any]:
        """``[*map(func, iterable)]``; *callback* is called with each result, as schwimmbad does.

        *chunksize* is how many calls make a task; tasks go out in batches anyway.
        """
        if callback is not None:
            results = []
            for result in self.imap(func, iterable):
                callback(result)
                results.append(result)
            return results
        return self.map_async(func, iterable, chunksize).get()  # type: ignore[no-any-return]  # a list

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """The same, to be asked for later; *callback* gets the list."""
        tasks = ((item,) for item in iterable)
        return self.starmap_async(func, tasks, chunksize, callback, error_callback)

    def starmap(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
    ) -> list[Any]:
        """``[func(*args) for args in iterable]``."""
        return self.starmap_async(func, iterable, chunksize).get()  # type: ignore[no-any-return]  # a list

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> AsyncResult:
        """The same, to be asked for later; *callback* gets the list."""
        from mpicomp.fronts.results import AsyncResult

        futures = [*self._working().submit_all(func, iterable, _size(chunksize or 1))]
        return AsyncResult(futures, callback, error_callback, chunked=(chunksize or 1) > 1)

    def imap(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int = 1
    ) -> Imap:
        """An iterator over the results; *iterable* is read a bounded number of items ahead."""
        from mpicomp.fronts.results import Imap

        return Imap(self._working(), func, iterable, None, _size(chunksize))

    def imap_unordered(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int = 1
    ) -> Imap:
        """The same, the results as they are done."""
        from mpicomp.fronts.mapping import Arrivals
        from mpicomp.fronts.results import Imap

        return Imap(self._working(), func, iterable, Arrivals(), _size(chunksize))

    # the end

    def close(self) -> None:
        """No more work: what was given out is finished."""
        if self.is_master():
            self._open = False
            self._executor.shutdown(wait=False)
        else:
            self.wait()

    def terminate(self) -> None:
        """The same at once: only what has begun is finished."""
        if self.is_master():
            self._open = False
            self._executor.shutdown(wait=True, cancel_futures=True)
        else:
            self.wait()

    def join(self) -> None:
        """Wait for the end of the work; after `close` or `terminate`."""
        if self.is_worker():
            self.wait()
        elif self._open:
            raise ValueError("Pool is still running")
        else:
            self._executor.shutdown(wait=True)

    def __enter__(self) -> Self:
        if self.is_master() and not self._open:
            raise ValueError("Pool not running")
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()

    def __del__(self) -> None:
        if getattr(self, "_open", False) and self.is_master():
            text = f"unclosed running multiprocessing pool {self!r}"  # as the standard library says
            warnings.warn(text, ResourceWarning, stacklevel=2)

    def __reduce__(self) -> NoReturn:
        raise NotImplementedError(
            "pool objects cannot be passed between processes or pickled"
        )  # as multiprocessing says it


def _size(chunksize: int) -> int:
    if chunksize < 1:
        raise ValueError(f"Chunksize must be 1+, not {chunksize}")
    return index(chunksize)
