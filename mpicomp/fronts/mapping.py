"""The results of many tasks, submitted as far ahead as asked for.

Rules of this file: a result that is not asked for keeps no executor alive; an iterator that is
dropped cancels what has not begun.
"""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any
from weakref import ref

from mpicomp.fronts.parcel import Function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from typing import TypeVar

    from mpicomp.fronts.executor import MPIExecutor

    T = TypeVar("T")


def in_chunks(
    fn: Callable[..., Any], arguments: Iterator[tuple[Any, ...]], chunksize: int
) -> tuple[Function, Iterator[tuple[Any, ...]]]:
    """A function and its arguments, so many calls in one."""
    if chunksize == 1:
        return Function(fn), arguments
    chunks = iter(lambda: [*islice(arguments, chunksize)], [])
    return Function(partial(_chunk, fn)), ((chunk,) for chunk in chunks)


def _chunk(fn: Callable[..., T], chunk: list[tuple[Any, ...]]) -> list[T]:
    return [fn(*args) for args in chunk]


def flat(results: Iterable[list[T]]) -> Iterator[T]:
    for chunk in results:
        yield from chunk


class Results:
    """The results of many tasks, which are submitted as far ahead as *buffersize* says."""

    def __init__(
        self,
        executor: MPIExecutor,
        function: Function,
        tasks: Iterator[tuple[Any, ...]],
        end: float | None,
        buffersize: int | None,
        unordered: bool,
    ) -> None:
        self._executor = ref(executor)  # a result that nobody asks for keeps no executor alive
        self._function, self._tasks, self._end = function, tasks, end
        self._lazy = buffersize is not None
        self._order = None if not unordered else Arrivals()
        self._futures: deque[Future[Any]] = deque()  # in order; or
        self._open: set[Future[Any]] = set()
        for args in islice(tasks, buffersize):
            self._add(executor, args)

    def _add(self, executor: MPIExecutor, args: tuple[Any, ...]) -> None:
        future = executor.enter(self._function, args, {})
        if self._order is None:
            self._futures.append(future)
        else:
            self._open.add(future)
            future.add_done_callback(self._order.add)

    def __iter__(self) -> Iterator[Any]:
        try:
            while self._futures or self._open:
                executor = self._executor() if self._lazy else None
                if executor is not None:
                    for args in islice(self._tasks, 1):
                        self._add(executor, args)
                del executor
                yield self._result(self._next())
        finally:
            for future in [*self._futures, *self._open]:
                future.cancel()

    def _next(self) -> Future[Any]:
        if self._order is None:
            return self._futures.popleft()
        future = self._order.next(self._left())
        self._open.remove(future)
        return future

    def _left(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - monotonic())

    def _result(self, future: Future[Any]) -> Any:
        try:
            try:
                return future.result(self._left())
            finally:
                future.cancel()
        finally:
            del future  # or its traceback would keep it alive


class Arrivals:
    """Futures in the order in which they were done."""

    def __init__(self) -> None:
        self._done: deque[Future[Any]] = deque()
        self._some = threading.Semaphore(0)

    def add(self, future: Future[Any]) -> None:
        self._done.append(future)
        self._some.release()

    def next(self, timeout: float | None) -> Future[Any]:
        if not self._some.acquire(timeout=timeout):
            raise TimeoutError
        return self._done.popleft()
