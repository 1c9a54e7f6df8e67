"""The ranks of a node share its cores; nothing is shared by one alone."""

from __future__ import annotations

import os

from mpi4py import MPI

from mpicomp import plist, record
from mpicomp.wire.threads import cores, threads
from tests.mpi.laws import together

WORLD = MPI.COMM_WORLD


def test_after_a_call_the_ranks_of_a_node_have_no_more_threads_than_cores() -> None:
    with record() as rec:
        plist(x for x in range(9))
    each = threads().each
    if WORLD.size == 1:
        assert (each, rec.calls[0].threads) == (None, "one rank: nothing is shared")
        return
    together(each is not None and each >= 1, f"{threads()}")
    node = WORLD.Split_type(MPI.COMM_TYPE_SHARED)
    total = node.allreduce(each or 0)
    node.Free()
    together(total <= max(len(cores()), WORLD.size), f"{total} threads on {len(cores())} cores")
    together(os.environ["OMP_NUM_THREADS"] == str(each), "children know it")
    if WORLD.rank == 0:
        assert rec.calls[0].threads == threads().why
