"""What a pool's asynchronous calls give: `multiprocessing.pool.AsyncResult`, over futures.

Rules of this file: a result is ready when all its tasks are; of several errors the first by
position counts.
"""

from __future__ import annotations

import threading
from multiprocessing import TimeoutError as Late
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future


class AsyncResult:
    """The result of a call that is under way.

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
