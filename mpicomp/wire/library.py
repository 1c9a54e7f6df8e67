"""mpi4py's ``MPI``: imported when it is needed, and what can be said of the library below it."""

from __future__ import annotations

from functools import cache
from typing import Any, cast


def mpi() -> Any:
    """mpi4py's ``MPI``, imported."""
    from mpi4py import MPI

    return MPI


@cache
def keeps_requests() -> bool:
    """Whether a persistent collective may be started again and again.

    Only where that was tried: the second start of Intel MPI 2021.18's gives old values, or hangs.
    """
    library: str = mpi().Get_library_version()
    if library.startswith("MPICH"):
        return cast("bool", mpi().Get_version() >= (4, 0))
    return library.startswith("Open MPI v5")  # it says that it is MPI 3.1, and has them
