"""`concurrent.futures` with `MPIExecutor`: one import changes.

    from mpicomp.futures import MPIExecutor, as_completed
"""

from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    InvalidStateError,
    as_completed,
    wait,
)

from mpicomp.fronts.executor import MPIExecutor, serve

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenExecutor",
    "CancelledError",
    "Executor",
    "Future",
    "InvalidStateError",
    "MPIExecutor",
    "as_completed",
    "serve",
    "wait",
]
