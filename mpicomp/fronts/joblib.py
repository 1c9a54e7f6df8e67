"""joblib's backend: ``Parallel`` on the ranks of the executor that is open.

Rules of this file: joblib is imported when the backend is registered; batching is joblib's own.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from mpicomp.fronts.executor import MPIExecutor


def register_joblib() -> None:
    """Make ``joblib.parallel_config("mpicomp")`` known.

    Then `joblib.Parallel`, and what is built on it, such as scikit-learn's ``n_jobs``, computes
    on the ranks of the `mpicomp.futures.MPIExecutor` whose ``with`` stands around it; in a world
    of one rank none is needed.  A nested ``Parallel`` runs serially on its rank.

    Raises
    ------
    MissingExtra
        joblib is not installed.

    Examples
    --------
    >>> import mpicomp
    >>> from mpicomp.futures import MPIExecutor
    >>> mpicomp.register_joblib()
    >>> import joblib
    >>> with MPIExecutor() as executor:
    ...     if executor is not None:
    ...         with joblib.parallel_config("mpicomp"):
    ...             joblib.Parallel()(joblib.delayed(pow)(x, 2) for x in range(5))
    [0, 1, 4, 9, 16]
    """
    backend = _backend()
    import_module("joblib").register_parallel_backend("mpicomp", backend)


def _call(batch: Callable[[], Any]) -> Any:
    return batch()


@cache
def _backend() -> Any:
    from mpicomp.record.picture import MissingExtra

    try:
        joblib: Any = import_module("joblib._parallel_backends")
    except ImportError as exc:
        raise MissingExtra('joblib is not installed; pip install "mpicomp[joblib]"') from exc

    class Backend(joblib.AutoBatchingMixin, joblib.ParallelBackendBase):  # type: ignore[misc]  # joblib has no types
        """Batches of joblib's as tasks of an executor."""

        supports_retrieve_callback = True
        default_n_jobs = -1

        def __init__(self, executor: MPIExecutor | None = None, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self._given = executor
            self._own: MPIExecutor | None = None
            self._open: set[Future[Any]] = set()

        @property
        def _executor(self) -> MPIExecutor:
            from mpicomp.fronts.executor import MPIExecutor, innermost

            found = self._given or innermost() or self._own
            if found is None:
                found = MPIExecutor()
                if not found.alone:
                    raise RuntimeError(
                        "joblib's backend needs the ranks to serve: write\n"
                        "with MPIExecutor() as executor:\n"
                        "    if executor is not None:\n"
                        '        with joblib.parallel_config("mpicomp"): ...'
                    )
                self._own = found
            return found

        def effective_n_jobs(self, n_jobs: int | None) -> int:
            if n_jobs == 0:
                raise ValueError("n_jobs == 0 in Parallel has no meaning")
            workers = self._executor.num_workers
            if n_jobs is None:
                return workers
            return min(n_jobs, workers) if n_jobs > 0 else max(1, workers + 1 + n_jobs)

        def configure(self, n_jobs: int = 1, parallel: Any = None, **kwargs: Any) -> int:
            self.parallel = parallel
            return self.effective_n_jobs(n_jobs)

        def submit(
            self, func: Callable[[], Any], callback: Callable[[Any], Any] | None = None
        ) -> Future[Any]:
            future = self._executor.submit(_call, func)
            self._open.add(future)
            future.add_done_callback(self._open.discard)
            if callback is not None:
                future.add_done_callback(callback)
            return future

        def retrieve_result_callback(self, out: Future[Any]) -> Any:
            return out.result()

        def abort_everything(self, ensure_ready: bool = True) -> None:
            for future in [*self._open]:
                future.cancel()

        def terminate(self) -> None:
            self.reset_batch_stats()
            own, self._own = self._own, None
            if own is not None:
                own.shutdown()

        def get_nested_backend(self) -> tuple[Any, None]:
            return joblib.SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None

    return Backend
