"""What a recorded call leaves: every item once, on the root alone, whatever the dispatch."""

from __future__ import annotations

from typing import Any

import pytest
from mpi4py import MPI

import mpicomp
from mpicomp import plist
from tests.mpi.laws import holds, together

WORLD = MPI.COMM_WORLD
WAYS: list[tuple[dict[str, Any], str]] = [
    ({}, "counter"),
    ({"schedule": "static"}, "static"),
    ({"schedule": "static,3"}, "static"),
    ({"schedule": "guided"}, "counter"),
    ({"schedule": "auto"}, "counter"),
    ({"schedule": "dynamic", "dispatch": "master"}, "master"),
    ({"schedule": "awf-c"}, "master"),
]


@pytest.mark.parametrize(("way", "dispatch"), WAYS)
def test_every_item_is_in_it_once(way: dict[str, Any], dispatch: str) -> None:
    root = WORLD.size - 1
    with mpicomp.record() as rec:
        got = plist((x * x for x in range(100)), root=root, **way)
        holds(got, [x * x for x in range(100)], root)
    together(len(rec.calls) == (WORLD.rank == root), f"{rec.calls}")
    for call in rec.calls:
        assert (call.verb, call.n, len(call.hosts)) == ("plist", 100, WORLD.size)
        assert call.dispatch == (dispatch if WORLD.size > 1 else "serial")
        events = call.events
        items = [i for e in events for i in range(e["start"], e["stop"], e["step"])]
        assert sorted(items) == list(range(100))
        assert all(0 <= e["begin"] <= e["end"] for e in events if e["rank"] == root)
        assert str(rec.summary())


def test_a_stream_is_recorded_too() -> None:
    with mpicomp.record() as rec:
        holds(plist(x for x in (x for x in range(50))), list(range(50)))
    assert all(call.n == 50 for call in rec.calls)


def test_nothing_is_kept_outside() -> None:
    with mpicomp.record() as rec:
        pass
    holds(plist(x for x in range(9)), list(range(9)))
    assert not rec.calls
