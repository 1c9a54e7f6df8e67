"""What holds between hosts: they are seen, claims and values cross from one to the other."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from mpicomp import parray, plist, record
from mpicomp.wire.counter import counter_of
from mpicomp.wire.world import world as world_of
from tests.mpi.laws import holds, raised
from tests.multihost.hosts import HOSTS

WORLD = MPI.COMM_WORLD
pytestmark = pytest.mark.mpi


def test_there_are_two_hosts_of_two_ranks() -> None:
    with record() as rec:
        plist((x for x in range(100)), schedule="dynamic", root=None)
    each = WORLD.bcast(rec.calls[0].hosts if WORLD.rank == 0 else None)
    assert each == (HOSTS[0],) * 2 + (HOSTS[1],) * 2


def test_each_host_has_a_queue_of_its_own() -> None:
    counter = counter_of(world_of())
    assert sum(counter.sizes) == 4
    assert len(counter.heads) in (2, 4)  # four where claims do not progress


def slow(x: int) -> int:
    return sum(range(20_000)) * 0 + x


@pytest.mark.parametrize("schedule", ["dynamic,3", "guided", "af", "auto"])
def test_every_item_is_computed_once(schedule: str) -> None:
    for root in (0, WORLD.size - 1):
        got = plist((slow(x) for x in range(400)), schedule=schedule, root=root)
        holds(got, [*range(400)], root)


@pytest.mark.parametrize("schedule", ["static", "dynamic,1000"])
def test_large_values_cross_the_network(schedule: str) -> None:
    n = 1 << 20  # 8 MiB
    got = parray((x * 0.5 for x in range(n)), schedule=schedule, root=2)
    if WORLD.rank == 2:
        assert got is not None
        assert (got == np.arange(n) * 0.5).all()
    pairs = plist(((x, "é" * 9) for x in range(30_000)), schedule=schedule)
    holds(pairs, [(x, "é" * 9) for x in range(30_000)])


def test_what_fails_on_one_host_is_raised_on_the_other() -> None:
    error = raised(lambda: plist(1 // (x - 90) for x in range(100)), ZeroDivisionError)
    assert "in item 90" in "".join(error.__notes__)
