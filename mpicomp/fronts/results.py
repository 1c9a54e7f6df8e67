"""What a pool's asynchronous calls and `imap` give, over futures.

Rules of this file: a result is ready when all its tasks are; of several errors the first by
position counts.
"""

from __future__ import annotations

import threading
from collections import deque
from multiprocessing import TimeoutError as Late
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future
    from typing import Self

    from mpicomp.fronts.executor import MPIExecutor
    from mpicomp.fronts.mapping import Arrivals

_AHEAD = 16  # items for each worker that imap reads ahead


class AsyncResult:
    """The result of a call that is under way: `multiprocessing.pool.AsyncResult`.

    Parameters
    ----------
    futures : list of Future
    callback, error_callback : callable, optional
        Called with the value, or with what was raised.
    single : bool
        The value is that of the one future, not a list.
    chunked : bool
        Each future has a list of values.
    """

    def __init__(
        self,
        futures: list[Future[Any]],
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
        single: bool = False,
        chunked: bool = False,
    ) -> None:
        self._futures = futures
        self._callback, self._error_callback = callback, error_callback
        self._single, self._chunked = single, chunked
        self._left = len(futures)
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None
        if not futures:  # as multiprocessing: nobody is called
            self._value = []
            self._ready.set()
        for future in futures:
            future.add_done_callback(self._done)

    def _done(self, _: Future[Any]) -> None:
        with self._lock:
            self._left -= 1
            last = not self._left
        if last:
            self._finish()

    def _finish(self) -> None:
        values: list[Any] = []
        for future in self._futures:
            try:
                value = future.result()
            except BaseException as exc:  # a task may raise SystemExit, and a future be cancelled
                self._error = exc
                break
            values.extend(value if self._chunked else [value])
        self._value = values[0] if self._single and values else values
        self._futures = []
        try:
            if self._error is None and self._callback is not None:
                self._callback(self._value)
            elif self._error is not None and self._error_callback is not None:
                self._error_callback(self._error)
        finally:
            self._ready.set()

    def ready(self) -> bool:
        """Whether it is there."""
        return self._ready.is_set()

    def successful(self) -> bool:
        """Whether it is a value."""
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._error is None

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it is there, or *timeout* seconds."""
        self._ready.wait(timeout)

    def get(self, timeout: float | None = None) -> Any:
        """The value; raises what the call has raised, or `multiprocessing.TimeoutError`."""
        if not self._ready.wait(timeout):
            raise Late
        if self._error is not None:
            raise self._error
        return self._value


class Imap:
    """What `Pool.imap` gives: an iterator that goes on behind a result that is an error."""

    def __init__(
        self,
        executor: MPIExecutor,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        arrivals: Arrivals | None,
        chunksize: int = 1,
    ) -> None:
        self._items = iter(iterable)
        self._executor, self._func, self._arrivals = executor, func, arrivals
        self._chunksize = chunksize
        self._futures: deque[Future[Any]] = deque()
        self._waiting = 0
        self._problem: BaseException | None = None
        self._read(_AHEAD * executor.num_workers)

    def _read(self, count: int) -> None:
        """Give out at least *count* more items, if there are; what the source raises comes last.

        As with multiprocessing, a chunk in which the source has failed is not computed.
        """
        while count > 0 and self._problem is None:
            chunk: list[Any] = []
            try:
                for item in self._items:
                    chunk.append((item,))
                    if len(chunk) == self._chunksize:
                        break
                else:
                    self._problem = StopIteration()
            except Exception as exc:
                self._problem = exc
                return
            for future in self._executor.submit_all(self._func, chunk, 1):
                self._waiting += 1
                if self._arrivals is None:
                    self._futures.append(future)
                else:
                    future.add_done_callback(self._arrivals.add)
            count -= len(chunk)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout: float | None = None) -> Any:
        """The next result.

        Raises
        ------
        multiprocessing.TimeoutError
            It was not there within *timeout* seconds; it may be asked for again.
        """
        if not self._waiting:
            problem, self._problem = self._problem, StopIteration()
            raise problem or StopIteration
        future = self._taken(timeout)
        self._waiting -= 1
        if self._waiting < _AHEAD * self._executor.num_workers:
            self._read(1)
        return future.result()

    def _taken(self, timeout: float | None) -> Future[Any]:
        try:
            if self._arrivals is not None:
                return self._arrivals.next(timeout)
            self._futures[0].exception(timeout)
        except TimeoutError:
            raise Late from None
        return self._futures.popleft()
