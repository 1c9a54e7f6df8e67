"""What the tests of this folder ask again and again.

Every function that takes *comm* is collective: all its ranks call it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import plist

SCHEDULES = ("static", "static,1", "static,3", "static,1000")
HANDED_OUT = ("dynamic", "dynamic,3", "guided,2", "factoring", "af", "auto")
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES)

ROOTS = ("first", "last", "all")

WAYS = (*zip(SCHEDULES, ("first", "last", "all", "last"), strict=True),)
"""Each schedule and each root, not all the pairs."""


def rank_of(root: str, comm: MPI.Intracomm = MPI.COMM_WORLD) -> int | None:
    """The option for one of `ROOTS`."""
    return {"first": 0, "last": comm.size - 1, "all": None}[root]


def exactly(value: Any) -> Any:
    """*value* in a form whose ``==`` also sees types, signs of zero, and the bits of a NaN."""
    kind = type(value)
    if isinstance(value, BaseException):
        return kind, exactly(value.args)
    if isinstance(value, float):
        return kind, struct.pack("d", value)
    if isinstance(value, complex):
        return kind, exactly(value.real), exactly(value.imag)
    if getattr(value, "dtype", None) in (np.longdouble, np.clongdouble):
        return kind, repr(value)  # some of its bytes mean nothing
    if isinstance(value, np.ndarray | np.generic):
        whole = value.tolist() if value.dtype.hasobject else value.tobytes()
        return kind, str(value.dtype), value.shape, exactly(whole)
    if isinstance(value, list | tuple):
        return kind, [exactly(item) for item in value]
    if isinstance(value, set | frozenset):
        return kind, sorted((exactly(item) for item in value), key=repr)
    if isinstance(value, Mapping):
        return kind, [exactly(item) for item in value.items()]
    return kind, value


def holds(got: Any, expected: Any, root: int | None = 0, comm: MPI.Intracomm | None = None) -> None:
    """Law 1: the root (or all, when it is None) has the serial value, the others None."""
    __tracebackhide__ = True
    ranks = comm or MPI.COMM_WORLD
    due = expected if root in (None, ranks.rank) else None
    together(exactly(got) == exactly(due), f"expected {due!r:.2000}\ngot {got!r:.2000}", ranks)


def together(good: bool, message: str, comm: MPI.Intracomm = MPI.COMM_WORLD) -> None:
    """Assert on all ranks: none goes on to the next call alone."""
    __tracebackhide__ = True
    told = comm.allgather("" if good else message)
    lines = (f"rank {rank}: {text or 'good'}" for rank, text in enumerate(told))
    assert not any(told), "\n".join(lines)


def raised(call: Callable[[], Any], *kinds: type[BaseException]) -> Any:
    """Law 2: *call* raises one of *kinds*, the same on every rank, and the next call works."""
    __tracebackhide__ = True
    error: BaseException | None = None
    told = ""
    try:
        told = f"nothing was raised; it gave {call()!r}"
    except BaseException as exc:
        error = exc
        told = f"{type(exc).__qualname__}{exc.args!r} {getattr(exc, '__notes__', None)}"
    first, *others = MPI.COMM_WORLD.allgather(told)
    together(all(other == first for other in others), told)
    together(isinstance(error, kinds or Exception), told)
    still_works()
    return error


def still_works() -> None:
    """A call like any other."""
    holds(plist((x * x for x in range(10)), schedule="static,1"), [x * x for x in range(10)])


def on_root(function: Callable[[], Any]) -> Any:
    """Do something on rank 0 alone, such as running a program; its result on every rank."""
    result: Any = None
    if MPI.COMM_WORLD.rank == 0:
        try:
            result = function()
        except Exception as error:
            result = AssertionError(f"on rank 0: {error!r}")
    result = MPI.COMM_WORLD.bcast(result)
    if isinstance(result, AssertionError):
        raise result
    return result
