"""`MPIExecutor`: the executor of `concurrent.futures`, on the ranks.

Rules of this file: what the standard library documents holds; where the work is done is
`mpicomp.fronts.office`, and without other ranks the standard library's threads.
"""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from operator import index
from time import monotonic
from typing import Any
from weakref import ref

from mpicomp.engine.agree import check_root
from mpicomp.engine.alone import nested
from mpicomp.errors import OptionError
from mpicomp.fronts import meeting
from mpicomp.fronts.mapping import Results, flat, in_chunks
from mpicomp.fronts.meeting import meet, start_with
from mpicomp.fronts.office import Office
from mpicomp.fronts.own import Task
from mpicomp.fronts.parcel import Function
from mpicomp.wire.world import World, world

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import ParamSpec, Self, TypeVar

    from mpi4py.MPI import Intracomm

    P = ParamSpec("P")
    T = TypeVar("T")


_NAME = "MPIExecutor"


def serve(comm: Intracomm | None = None, root: int = 0) -> None:
    """Serve the executors that *root* makes, one after the other, until its program ends.

    Collective: every rank of *comm* but the root calls, once; the root uses executors as if it
    were alone.  Comes back when the root has reached the end of its program.

    Raises
    ------
    CollectiveMismatch
        The root has called something else, for which all ranks are needed.

    Examples
    --------
    >>> import mpicomp
    >>> from mpicomp.futures import MPIExecutor, serve
    >>> if mpicomp.world().rank:
    ...     serve()
    ... else:
    ...     for k in range(2):
    ...         with MPIExecutor() as executor:
    ...             print(executor.submit(pow, 2, k).result())
    1
    2
    """
    again = True
    while again:
        ranks = world(comm)  # without those that were lost since
        master = ranks.now(root)
        again = ranks.size > 1 and ranks.rank != master
        again = again and meeting.serve(ranks, _NAME, master, standing=True)


class MPIExecutor(Executor):
    """An executor whose tasks are computed by the other ranks.

    All of `concurrent.futures.Executor`.  In a program that every rank runs:

        with MPIExecutor() as executor:
            if executor is not None:
                ...                             # on the root

    Collective: every rank of *comm* enters the ``with``.  The root gets the executor at once; the
    others serve in it until the root leaves, and then get None.  (Without ``with``: the others
    call `serve`, and the root at last `shutdown`.)  The root alone submits.  In a world of one
    rank, without MPI, and inside an item or task, tasks are computed by a thread of this process.

    Tasks go out in batches by measured time, few at a time; a function goes to each rank once,
    large buffers beside the pickle.  What cannot be pickled, whatever a task raises, and what its
    result does on the way back is the error of its own future.

    Parameters
    ----------
    max_workers : int, optional
        How many of the ranks work (or threads, where there is one rank); by default all (one).
    initializer : callable, optional
        Called by each worker before its first task, with *initargs*.  When it fails, the
        executor is broken: pending futures and `submit` raise `BrokenExecutor`.
    initargs : tuple
    comm : mpi4py.MPI.Intracomm, optional
        By default all ranks.
    root : int, default 0
        The rank that submits.
    root_computes : bool, default False
        Whether a thread of the root computes as well.

    Attributes
    ----------
    num_workers : int
        How many work.
    rank : int
        This one.
    alone : bool
        There are no other ranks: tasks are computed by threads of this process.

    Raises
    ------
    CollectiveMismatch
        On entering: the ranks did not come to the same.
    TransportError
        On entering: the initializer cannot be sent.

    Examples
    --------
    >>> from mpicomp.futures import MPIExecutor
    >>> with MPIExecutor() as executor:
    ...     if executor is not None:
    ...         print(executor.submit(pow, 2, 10).result())
    ...         print(*executor.map(divmod, [7, 8, 9], [4, 4, 4]))
    1024
    (1, 3) (2, 0) (2, 1)
    """

    def __init__(
        self,
        max_workers: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        comm: Intracomm | None = None,
        root: int = 0,
        root_computes: bool = False,
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._ranks = World() if nested() else world(comm)
        if index(root) < 0:
            raise OptionError(f"root must be a rank, got {root!r}")
        self._root = self._ranks.now(index(root))
        check_root(self._root, self._ranks)
        self._max_workers = max_workers
        self._start = initializer, tuple(initargs)
        self._root_computes = root_computes
        self._lock = threading.Lock()
        self._shut = self._served = False
        self._office: Office | None = None
        self._threads: ThreadPoolExecutor | None = None
        if self._ranks.comm is None or self._ranks.size == 1:
            self._go_alone()

    def _go_alone(self) -> None:
        """From now on threads of this process compute."""
        self._threads = ThreadPoolExecutor(self._max_workers or 1, "mpicomp", *self._start)

    @property
    def num_workers(self) -> int:
        if self._threads is not None:
            return self._max_workers or 1
        most = self._ranks.size - 1 + self._root_computes
        return min(self._max_workers or most, most)

    @property
    def rank(self) -> int:
        return self._ranks.rank

    @property
    def alone(self) -> bool:
        return self._threads is not None

    def is_master(self) -> bool:
        """Whether this rank is the one that submits."""
        return self._threads is not None or self._ranks.rank == self._root

    def serve(self) -> None:
        """Compute tasks until the root shuts the executor down; for all ranks but the root."""
        if not self.is_master() and not self._served:
            self._served = True
            meeting.serve(self._ranks, _NAME, self._root)

    def __enter__(self) -> Self | None:  # type: ignore[override]  # None: not on this rank
        if not self.is_master():
            self.serve()
            return None
        with self._lock:
            self._begin()
        _entered.append(ref(self))
        return self

    def _begin(self) -> Office | None:
        """Meet the other ranks, the first time; None where there are none."""
        if not self.is_master():
            raise RuntimeError(
                f"rank {self._ranks.rank} is a worker of the executor, and rank {self._root} "
                "submits; write `if executor is not None:` in the with-block"
            )
        if self._threads is None and self._office is None:
            met = meet(self._ranks, _NAME, self._root, self._start)
            assert met is not None, "the root does not stand by"
            self._ranks, self._root = met.world, met.root
            if met.world.size == 1:  # the others were lost before they came
                met.hold.__exit__()
                self._go_alone()
                return None
            prepare = partial(start_with, met.blobs) if self._root_computes else None
            others = self.num_workers - self._root_computes
            met.hold.outside()
            self._office = Office(met.world, met.hold, self, others, prepare)
        return self._office

    @property
    def _broken(self) -> bool:  # under the standard library's name, which people look at
        threads, office = self._threads, self._office
        if threads is not None:
            return bool(threads._broken)
        return office is not None and office.broken is not None

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T]:
        """Have ``fn(*args, **kwargs)`` computed; its `concurrent.futures.Future`."""
        return self.enter(Function(fn), args, kwargs)

    def enter(
        self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[Any]:
        """The same for a function that is on its way already."""
        with self._lock:
            if self._shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            office = self._begin()
            if self._threads is not None:
                return self._threads.submit(function.function, *args, **kwargs)
            assert office is not None, "there are other ranks"
            if self._broken:
                raise office.error()
            if not threading.main_thread().is_alive():
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            return office.submit(Task(function, args, kwargs))

    def map(
        self,
        fn: Callable[..., T],
        /,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """An iterator over ``map(fn, *iterables)``, computed by the ranks.

        Parameters
        ----------
        fn : callable
        *iterables : iterable
            Read at once, or as *buffersize* says.
        timeout : float, seconds, optional
            From this call on; then ``next`` raises `TimeoutError`.
        chunksize : int, default 1
            Calls in one task.  There is no need for it: tasks go out in batches anyway.
        buffersize : int, optional
            Tasks whose results have not been given out yet; the iterables are read no further.
        """
        return self.starmap(fn, zip(*iterables, strict=False), timeout, chunksize, buffersize)

    def starmap(
        self,
        fn: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        unordered: bool = False,
    ) -> Iterator[T]:
        """The same for `itertools.starmap`; *unordered*: results come as they are done."""
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None:
            buffersize = _buffer(buffersize)
        end = None if timeout is None else timeout + monotonic()
        function, tasks = in_chunks(fn, (tuple(args) for args in iterable), chunksize)
        results = Results(self, function, tasks, end, buffersize, unordered)
        return iter(results) if chunksize == 1 else flat(results)

    def submit_all(
        self, fn: Callable[..., Any], arguments: Iterable[Iterable[Any]], chunksize: int = 1
    ) -> Iterator[Future[Any]]:
        """Futures of ``fn(*args)`` for each args; with a *chunksize*, of lists of so many."""
        function, tasks = in_chunks(fn, (tuple(args) for args in arguments), chunksize)
        for args in tasks:
            yield self.enter(function, args, {})

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more tasks: let the ranks go when those that were submitted are done.

        Parameters
        ----------
        wait : bool, default True
            Come back when they are.
        cancel_futures : bool, default False
            Cancel all that have not begun.
        """
        if ref(self) in _entered:
            _entered.remove(ref(self))
        if not self.is_master():
            self.serve()
            return
        with self._lock:
            office = self._office if self._shut else self._begin()
            self._shut = True
        if self._threads is not None:
            self._threads.shutdown(wait, cancel_futures=cancel_futures)
            return
        assert office is not None, "there are other ranks"
        office.cancelling = office.cancelling or cancel_futures
        office.closing = True
        office.wake.set()
        if wait:
            office.join()


def _buffer(size: int) -> int:
    try:
        size = index(size)
    except TypeError:
        raise TypeError(f"buffersize must be an integer or None, got {size!r}") from None
    if size < 1:
        raise ValueError(f"buffersize must be None or > 0, got {size}")
    return size


_entered: list[ref[MPIExecutor]] = []


def innermost() -> MPIExecutor | None:
    """The executor whose ``with`` this process is in, if it is in one."""
    return _entered[-1]() if _entered else None
