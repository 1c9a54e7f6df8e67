"""A task, and the thread of the root that computes tasks too.

Rules of this file: the thread touches what is the office's only with its lock.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from time import perf_counter
from typing import Any

from mpicomp.engine.batch import Batch
from mpicomp.engine.hand import SLOW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from mpicomp.fronts.office import Office
    from mpicomp.fronts.parcel import Function
    from mpicomp.plan.cutting import Grant

_IDLE = 0.1  # seconds between two looks


class Task:
    """A call that was submitted."""

    __slots__ = ("args", "function", "future", "kwargs", "lost", "running")

    def __init__(
        self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.future: Future[Any] = Future()
        self.function, self.args, self.kwargs = function, args, kwargs
        self.running = False
        self.lost = 0  # ranks that were lost with it

    def start(self) -> bool:
        """From now on it cannot be cancelled; False when it has been."""
        self.running = self.running or self.future.set_running_or_notify_cancel()
        return self.running

    def run(self) -> tuple[Any, BaseException | None]:
        """Compute it here: its value, or what it raised."""
        try:
            return self.function.function(*self.args, **self.kwargs), None
        except BaseException as exc:
            return None, exc


class OwnTasks:
    """The root's own thread that computes; verbs in its tasks are serial, as in items.

    Parameters
    ----------
    office : Office
    prepare : callable
        What it does first.
    """

    def __init__(self, office: Office, prepare: Callable[[], object]) -> None:
        self._office = office
        self._prepare = prepare
        self._grants: deque[Grant] = deque()
        self._batch: Batch | None = None
        self._some = threading.Event()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, name="mpicomp-tasks", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self._office.inside()
        try:
            self._prepare()
        except BaseException as exc:
            self._office.cannot_begin(exc)
            return
        while not self.over.is_set():
            self._some.clear()
            with self._office.lock:
                grant = self._grants.popleft() if self._grants else None
                grant = grant or self._office.flow.ready(self._office.rank)
            if grant is not None:
                self._work(grant)
            else:
                self._some.wait(_IDLE)

    def _work(self, grant: Grant) -> None:
        office, began = self._office, perf_counter()
        batch = self._batch = Batch(*grant, one_each=False)
        while batch.step():
            number = batch.at - 1
            with office.lock:
                task = office.begin(number)
            if task is not None:
                value, exc = task.run()
                with office.lock:
                    office.settle(number, value, exc)
                office.wake.set()
        with office.lock:
            self._batch = None
            batch.end()
            office.flow.done(office.rank, grant.number, perf_counter() - began)

    def keep(self, grant: Grant) -> None:
        """Get a grant."""
        self._grants.append(grant)
        self._some.set()

    def unburden(self) -> None:
        """Give back what waits behind a slow task."""
        batch = self._batch
        if batch is not None and perf_counter() - batch.began > SLOW:
            at = batch.give_back()
            if at is not None:
                self._office.take_back(batch.number, at)
